-- What a client may say wrongly, row by row (SR-n), without a socket; the rows
-- of negotiation and of transports are in front_spec.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local kit = require "spec.signalr.kit"
local ws = require "evws"

local gone_wrong = "Connection closed with an error."

local function echo_hub(options)
  local own = { on_error = function() end,
    methods = {
      Echo = function(ctx, ...) return ... end,
      Two = function(ctx, a, b) return a, b end,
      Guarded = { function() return "in" end,
        authorize = function(ctx) return ctx.user == "root" end },
      Up = { function(ctx, items)
        local list = {}
        for item in items:each() do list[#list + 1] = item end
        return { list, items.error or "" }
      end, uploads = 1 },
      Join = function(ctx, group) return ctx:join(group) end,
    },
    streams = { Count = function(ctx, out, n)
      for i = 1, n do out:send(i) end
    end } }
  for name, value in pairs(options or {}) do own[name] = value end
  return kit.hub(own)
end

local function ping(client)
  client:say { type = 1, invocationId = "after", target = "Echo",
    arguments = { 1 } }
  client:expect { type = 3, invocationId = "after", result = 1 }
end

for _, protocol in ipairs { "json", "messagepack" } do
  describe("a hub over " .. protocol, function()
    after_each(kit.cleanup)

    local function client_of(options, more)
      local own = { protocol = protocol }
      for name, value in pairs(more or {}) do own[name] = value end
      return kit.client(echo_hub(options), own)
    end

    -- A call's answer is an error, and the connection stays.
    local function call_fails(client, message, text)
      message.invocationId = message.invocationId or "x"
      client:say(message)
      client:expect { type = 3, invocationId = message.invocationId,
        error = text }
      ping(client)
    end

    it("SR-4 takes a handshake that is cut, or followed by records",
      function()
        local shake = ('{"protocol":"%s","version":1}\30'):format(protocol)
        local c = client_of(nil, { raw = true })
        for byte in shake:gmatch "." do c:feed(byte) end
        c:expect {}
        ping(c)
        c = client_of(nil, { raw = true })
        c:feed(shake .. (protocol == "json" and '{"type":6}\30'
          or "\2\x91\6"))
        c:expect {}
        ping(c)
      end)

    it("SR-7 ends with a record that is too long, before it is whole",
      function()
        local c = client_of { max_record = 100 }
        c:say { type = 1, target = "Echo", arguments = { ("x"):rep(40) } }
        for _ = 1, 20 do ping(c) end
        c:feed(protocol == "json" and ("x"):rep(101) or "\x65")
        c:expect_end(gone_wrong, true)
      end)

    it("SR-9 ignores types that nobody knows, and counts them", function()
      local c = client_of()
      c:feed(protocol == "json" and '{"type":99,"target":1}\30'
        or kit.framed "\x92\x63\xc1")
      c:expect_nothing()
      assert.equal(1, c.session.hub.counts.ignored)
      ping(c)
    end)

    it("SR-11 has no methods but its own", function()
      local c = client_of()
      for _, name in ipairs { "Nope", "on_connected", "__index", "methods",
        "", "Echo ", "échο" } do
        call_fails(c, { type = 1, target = name, arguments = {} },
          "Unknown hub method '" .. name .. "'")
      end
      c:say { type = 1, target = "Nope", arguments = {} }
      c:expect_nothing()
      for _, name in ipairs { "echo", "ECHO", "eChO" } do
        assert.equal(7, c:invoke(name, 7))
      end
    end)

    it("SR-12 fails a call with the wrong number of arguments", function()
      local c = client_of()
      for _, arguments in ipairs { {}, { 1 }, { 1, 2, 3 } } do
        call_fails(c, { type = 1, target = "Two", arguments = arguments },
          "Failed to invoke 'Two' due to an error on the server.")
      end
    end)

    it("SR-13 fails a call that is not allowed", function()
      call_fails(client_of(), { type = 1, target = "Guarded",
        arguments = {} },
        "Failed to invoke 'Guarded' because user is unauthorized")
      assert.equal("in", client_of(nil, { user = "root" }):invoke "guarded")
    end)

    it("SR-14 tells streams from methods", function()
      local c = client_of()
      call_fails(c, { type = 1, target = "Count", arguments = { 1 } },
        "The client attempted to invoke the streaming 'Count' method with a "
        .. "non-streaming invocation.")
      call_fails(c, { type = 4, target = "Echo", arguments = { 1 } },
        "The client attempted to invoke the non-streaming 'Echo' method with "
        .. "a streaming invocation.")
      c:say { type = 1, target = "Count", arguments = { 1 } }
      c:expect_nothing()
    end)

    it("SR-15 refuses the id of a stream that runs", function()
      local queue = ws.queue(1)
      local c = client_of { streams = { Wait = function(ctx, out)
        out:send "a"
        queue:take()
        out:send "b"
      end } }
      c:say { type = 4, invocationId = "1", target = "Wait", arguments = {} }
      c:expect { type = 2, invocationId = "1", item = "a" }
      c:say { type = 4, invocationId = "1", target = "Wait", arguments = {} }
      c:expect { type = 3, invocationId = "1",
        error = "Invocation ID '1' is already in use." }
      queue:put(true)
      c:expect { type = 2, invocationId = "1", item = "b" }
      c:expect { type = 3, invocationId = "1" }
    end)

    it("SR-16 runs two plain invocations with the same id", function()
      local c = client_of()
      for i = 1, 2 do
        c:say { type = 1, invocationId = "1", target = "Echo",
          arguments = { i } }
      end
      c:expect { type = 3, invocationId = "1", result = 1 }
      c:expect { type = 3, invocationId = "1", result = 2 }
    end)

    it("SR-17 refuses uploads that are not expected, twice the same, too many",
      function()
        local c = client_of { max_streams = 2 }
        local function text(target, what)
          return ("An unexpected error occurred invoking '%s' on the server. "
            .. "HubException: %s"):format(target, what)
        end
        call_fails(c, { type = 1, target = "Echo", arguments = { 1 },
          streamIds = { "s" } }, text("Echo",
          "Client sent 1 stream(s), Hub method expects 0."))
        call_fails(c, { type = 1, target = "Up", arguments = {} }, text("Up",
          "Client sent 0 stream(s), Hub method expects 1."))
        for i = 1, 2 do
          c:say { type = 1, invocationId = "u" .. i, target = "Up",
            arguments = {}, streamIds = { "s" .. i } }
        end
        call_fails(c, { type = 1, target = "Up", arguments = {},
          streamIds = { "s3" } }, text("Up", "Too many streams."))
        call_fails(c, { type = 4, target = "Count", arguments = { 1 } },
          "Too many streams.")
        c:say { type = 3, invocationId = "s1" }
        c:expect { type = 3, invocationId = "u1", result = { {}, "" } }
        call_fails(c, { type = 1, target = "Up", arguments = {},
          streamIds = { "s2" } }, text("Up",
          "Stream ID 's2' is already in use."))
        c:say { type = 3, invocationId = "s2" }
        c:expect { type = 3, invocationId = "u2", result = { {}, "" } }
        c = client_of { methods = { Pair = { function(ctx, a, b)
          return { a:receive(), b:receive() }
        end, uploads = 2 }, Echo = function(ctx, x) return x end } }
        call_fails(c, { type = 1, target = "Pair", arguments = {},
          streamIds = { "s", "s" } }, text("Pair",
          "Stream ID 's' is already in use."))
        assert.equal(0, c.session.n_streams)
        c:say { type = 1, invocationId = "p", target = "Pair", arguments = {},
          streamIds = { "s", "t" } }
        c:say { type = 2, invocationId = "t", item = 2 }
        c:say { type = 2, invocationId = "s", item = 1 }
        c:expect { type = 3, invocationId = "p", result = { 1, 2 } }
      end)

    it("SR-18 ignores items, ends and cancels of what is not there", function()
      local c = client_of()
      c:say { type = 2, invocationId = "no", item = 1 }
      c:say { type = 3, invocationId = "no", result = 1 }
      c:say { type = 3, invocationId = "no", error = "x" }
      c:say { type = 5, invocationId = "no" }
      c:expect_nothing()
      c:say { type = 1, invocationId = "1", target = "Up", arguments = {},
        streamIds = { "s" } }
      c:say { type = 3, invocationId = "s" }
      c:expect { type = 3, invocationId = "1", result = { {}, "" } }
      c:say { type = 2, invocationId = "s", item = 1 }
      c:say { type = 3, invocationId = "s" }
      ping(c)
    end)

    it("SR-19 reads no further when a method takes no more items", function()
      local queue, seen = ws.queue(1), 0
      local c = client_of { stream_buffer = 3, methods = {
        Slow = { function(ctx, items)
          queue:take()
          for _ in items:each() do seen = seen + 1 end
          return seen
        end, uploads = 1 } } }
      c:say { type = 1, invocationId = "1", target = "Slow", arguments = {},
        streamIds = { "s" } }
      for i = 1, 20 do c:say { type = 2, invocationId = "s", item = i } end
      c:say { type = 3, invocationId = "s" }
      assert.is_true(#c.inbox > 0)
      c:expect_nothing()
      queue:put(true)
      for _ = 1, 20 do kit.settle() end
      c:expect { type = 3, invocationId = "1", result = 20 }
    end)

    it("SR-21 ignores results that nobody awaits", function()
      local c = client_of()
      for _, id in ipairs { "s1", "s2", "0" } do
        c:say { type = 3, invocationId = id, result = 1 }
      end
      c:expect_nothing()
      ping(c)
    end)

    it("SR-22 runs one plain invocation at a time, however many come",
      function()
        local queue, running, most = ws.queue(1000), 0, 0
        local c = client_of { methods = { Slow = function(ctx, n)
          running = running + 1
          most = math.max(most, running)
          queue:take()
          running = running - 1
          return n
        end } }
        for i = 1, 200 do
          c:say { type = 1, invocationId = "i" .. i, target = "Slow",
            arguments = { i } }
        end
        assert.equal(1, running)
        for _ = 1, 200 do queue:put(true) end
        for i = 1, 200 do
          for _ = 1, 3 do kit.settle() end
          c:expect { type = 3, invocationId = "i" .. i, result = i }
        end
        assert.equal(1, most)
      end)

    it("SR-23 ignores Ack and Sequence where nothing is stateful", function()
      local c = client_of()
      c:say { type = 8, sequenceId = 5 }
      c:say { type = 9, sequenceId = 500 }
      c:expect_nothing()
      ping(c)
    end)

    it("SR-25 takes any number of pings", function()
      local c = client_of()
      for _ = 1, 300 do c:say { type = 6 } end
      c:expect_nothing()
      ping(c)
    end)

    it("SR-26 answers a Close by a Close, with or without an error", function()
      for _, text in ipairs { false, "bored" } do
        local why = "not told"
        local c = client_of { on_disconnected = function(_, reason)
          why = reason
        end }
        c:say { type = 7, error = text or nil }
        c:expect_end()
        assert.equal(text or nil, why)
      end
      local c = client_of(nil, { is_stateful = true })
      ping(c)
      c:say { type = 7 }
      c:expect_end()
      assert.is_nil(c.session.hub.by_token[c.session.token])
    end)

    it("SR-45 takes what one protocol can say and the other cannot", function()
      local hub = echo_hub { methods = {
        Tell = function(ctx, value)
          return (pcall(ctx.clients.all.send, ctx.clients.all, "Told", value))
        end } }
      local one = kit.client(hub, { protocol = protocol })
      local mp = kit.client(hub, { protocol = "messagepack" })
      local js = kit.client(hub)
      mp:feed(kit.framed("\x95\1\x80\xa1" .. "1\xa4Tell\x91\xcb\x7f\xf8"
        .. ("\0"):rep(6)))
      mp:expect { type = 3, invocationId = "1", result = false }
      js:expect_nothing()
      one:expect_nothing()
      mp:feed(kit.framed("\x95\1\x80\xa1" .. "2\xa4Tell\x91\xa2a\xff"))
      js:expect { type = 1, target = "Told", arguments = { "a\u{FFFD}" } }
    end)

    it("SR-46 takes group names of 1 to 1024 bytes", function()
      local c = client_of()
      assert.is_true(c:invoke("Join", ("g"):rep(1024)))
      assert.is_true(c:invoke("Join", "a\0b"))
      for _, name in ipairs { "", ("g"):rep(1025), ("g"):rep(30000) } do
        local result, why = c:invoke("Join", name)
        assert.is_nil(result)
        assert.equal("An unexpected error occurred invoking 'Join' on the "
          .. "server.", why)
      end
    end)

    it("SR-48 ends with who is too slow, and lets it come back", function()
      local full = false
      local c = client_of(nil, { transport = {} })
      local send = c.transport.send
      c.transport.send = function(self, bytes)
        if full then
          full = false
          return nil, "queue full"
        end
        return send(self, bytes)
      end
      full = true
      assert.equal(0, c.session.hub.clients.all:send("x"))
      c:expect { type = 7, error = gone_wrong, allowReconnect = true }
      assert.equal(1008, c.ended)
    end)
  end)
end

describe("a hub", function()
  after_each(kit.cleanup)

  it("SR-1 waits for a handshake, but not for ever", function()
    local hub = echo_hub { handshake_timeout = 3, max_record = 100 }
    local c = kit.client(hub, { raw = true })
    for _ = 1, 5 do hub:tick() end
    c:expect { error = "Handshake was canceled." }
    assert.equal(1000, c.ended)
    c = kit.client(hub, { raw = true })
    c:feed(("x"):rep(101))
    c:expect { error = "Handshake was canceled." }
    assert.equal(1000, c.ended)
  end)

  it("SR-2, SR-3 ends after a handshake that it refuses", function()
    for _, record in ipairs { "x", '{"protocol":"xml","version":1}',
      '{"protocol":"json","version":9}' } do
      local hub = echo_hub { on_connected = function() error "never" end }
      local c = kit.client(hub, { raw = true })
      c:feed(record .. "\30")
      assert.is_string(c:next().error)
      assert.equal(1000, c.ended)
      c:feed '{"type":1,"target":"Echo","arguments":[]}\30'
      c:expect_nothing()
    end
    local hub = echo_hub { protocols = { "json" } }
    local c = kit.client(hub, { raw = true })
    c:feed '{"protocol":"messagepack","version":1}\30'
    c:expect { error = "The protocol 'messagepack' is not supported." }
  end)

  it("SR-8, SR-10, SR-40 ends with a record of JSON that is none", function()
    for _, record in ipairs { "", "x", "[]", "{}", '{"type":"1"}',
      '{"type":1,"target":"Echo"}', '{"type":1,"target":1,"arguments":[]}',
      '{"type":1,"target":"Echo","arguments":{}}',
      '{"type":1,"target":"Echo","arguments":[],"invocationId":7}',
      '{"type":2,"item":1}', '{"type":3}', '{"type":4,"target":"Count",'
      .. '"arguments":[1]}', '{"type":5}',
      '{"type":3,"invocationId":"1","result":1,"error":"x"}',
      '{"type":1,"target":"Echo","arguments":[NaN]}',
      '{"type":1,"target":"Echo","arguments":[0x10]}',
      '{"type":1,"target":"Echo","arguments":["\\ud800"]}',
      '{"type":1,"target":"Echo","arguments":[' .. ("["):rep(100)
      .. ("]"):rep(100) .. ']}', '{"type":6,"x":"\255"}' } do
      local c = kit.client(echo_hub())
      c:feed(record .. "\30")
      c:expect_end(gone_wrong, true)
    end
  end)

  it("SR-40 fails the call where the record can be read", function()
    local c = kit.client(echo_hub())
    c:feed '{"type":1,"invocationId":"1","target":"Echo",'
    c:feed '"arguments":[1e999]}\30'
    c:expect { type = 3, invocationId = "1",
      error = "Failed to invoke 'Echo' due to an error on the server." }
    c:feed '{"type":1,"invocationId":"2","target":"Echo","arguments":[1],'
    c:feed '"target":"ECHO","arguments":[2]}\30'
    c:expect { type = 3, invocationId = "2", result = 2 }
  end)

  it("SR-41, SR-42 ends with a record of MessagePack that is none", function()
    for _, bytes in ipairs { "\0", "\x80\x80\x80\x80\x80\1",
      "\xff\xff\xff\xff\8", "\x81\x80\2", "\1\x90", "\1\x80", "\1\xc0",
      "\1\xc1", "\2\x91\xc0", kit.framed "\x95\1\x90\xc0\xa1a\x90",
      kit.framed "\x95\3\x80\xa1a\4\1", kit.framed "\x94\1\x80\xc0\xa1a" } do
      local c = kit.client(echo_hub(), { protocol = "messagepack" })
      c:feed(bytes)
      c:expect_end(gone_wrong, true)
    end
  end)

  it("SR-43, SR-44 fails the call for values that cannot be", function()
    local c = kit.client(echo_hub(), { protocol = "messagepack" })
    local head = "\x95\1\x80\xa1" .. "1\xa4Echo\x91"
    for _, value in ipairs { "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff",
      "\xdb\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff", "\xc9\xff\xff\xff\xff",
      ("\x91"):rep(30000), "\x81\xc0\1", "\x81\xcb\x7f\xf8\0\0\0\0\0\0\1",
      "\x81\x90\1", "\xd4\5a", "\xc1" } do
      c:feed(kit.framed(head .. value))
      c:expect { type = 3, invocationId = "1",
        error = "Failed to invoke 'Echo' due to an error on the server." }
    end
    ping(c)
  end)

  it("SR-20 ends an upload with an item that cannot be read", function()
    local c = kit.client(echo_hub(), { protocol = "messagepack" })
    c:say { type = 1, invocationId = "1", target = "Up", arguments = {},
      streamIds = { "s" } }
    c:say { type = 2, invocationId = "s", item = 1 }
    c:feed(kit.framed("\x94\2\x80\xa1s\xd4\5a"))
    c:say { type = 2, invocationId = "s", item = 2 }
    c:expect { type = 3, invocationId = "1", result = { { 1 },
      "an item could not be read: an extension is not known" } }
    ping(c)
  end)

  it("SR-24 ends with a Sequence beyond what was sent", function()
    local hub = echo_hub()
    local c = kit.client(hub, { is_stateful = true })
    ping(c)
    c:lose()
    c:come_back()
    c:say { type = 9, sequenceId = 3 }
    c:expect { type = 9, sequenceId = 1 }
    c:expect { type = 3, invocationId = "after", result = 1 }
    c:expect_end(gone_wrong, true)
  end)

  it("SR-27 cuts who has pinged and then is silent, and nobody else",
    function()
      local hub = echo_hub { keepalive_interval = 2, client_timeout = 4 }
      local silent, lively, mute = kit.client(hub), kit.client(hub),
        kit.client(hub)
      silent:say { type = 6 }
      for _ = 1, 12 do
        lively:say { type = 6 }
        hub:tick()
      end
      assert.is_true(silent.session.is_over)
      assert.is_false(lively.session.is_over)
      assert.is_false(mute.session.is_over)
      local last = silent.log[#silent.log]
      assert.same({ 7, true }, { last.type, last.allowReconnect })
    end)

  it("says what was wrong only with detailed_errors", function()
    local hub = echo_hub { detailed_errors = true, methods = {
      Fail = function() error "the reason" end,
      One = function(ctx, a) return a end } }
    local c = kit.client(hub)
    local _, why = c:invoke "Fail"
    assert.is_truthy(why:find("Error: .*the reason"))
    _, why = c:invoke "One"
    assert.is_truthy(why:find("Invocation provides 0 argument(s) but target "
      .. "expects 1.", 1, true))
    c:feed "x\30"
    local close = c:next()
    assert.is_truthy(close.error:find("^Connection closed with an error. .+"))
  end)
end)
