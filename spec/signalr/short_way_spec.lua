-- The short way of an invocation that comes whole in a message: it is the same
-- as the long one, but for the time it takes.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local core = require "evws.core"
local kit = require "spec.signalr.kit"
local json = require "evws.signalr.json".new(64)
local messagepack = require "evws.signalr.messagepack".new(64)
local pack = require "evws.messagepack"
local signalr = require "evws.signalr"
local t = require "spec.helper"
local ws = t.ws
local frame = t.frame

-- What read gives for these bytes, as parse says it.
local function message_of(protocol, bytes)
  local is_call, id, target, args, n, bad = protocol.read(bytes,
    protocol.kind)
  if is_call ~= true then return is_call, id end
  return { type = 1, id = id, target = target, args = args, n = n, bad = bad }
end

describe("a record that is read at once", function()
  it("of JSON is what it is otherwise", function()
    local calls = 0
    for _, args in ipairs { "[]", "[ ]", "{}", "null", "1", '"a"', "[1,2]",
      "[1.5,-2,1e3,-0]", "[9007199254740992,9007199254740993,1e300]",
      "[1e999]", '["a","[]",true,false,null]', "[null]", "[null,1,null]",
      "[[]]", "[{}]", "[[],{}]", '[{"a":[]},{"b":{}}]', '[{"a":{"c":[1,{}]}}]',
      "[[1,[2,[3]]]]", '["\u{E4}\\n\\u0041"]', '["\\ud800"]', "[1,2",
      "[1,]", '{"1":2}', "[[1e999]]",
      "[" .. ("["):rep(64) .. ("]"):rep(64) .. "]",
      "[" .. ("["):rep(65) .. ("]"):rep(65) .. "]" } do
      for _, rest in ipairs { '"type":1,"target":"S"',
        '"type":1,"target":"S","invocationId":"7"',
        '"type":1,"target":"S","invocationId":""',
        '"type":1,"target":"S","invocationId":7',
        '"type":1,"target":"S","invocationId":null',
        '"type":1,"target":7', '"type":1', '"type":"1","target":"S"',
        '"type":4,"target":"S","invocationId":"7"',
        '"type":1.0,"target":"S","more":[]', '"type":1,"target":"S","m":{}',
        '"type":1,"target":"S","headers":{}', '"type":1,"target":"S",'
        .. '"headers":1', '"type":1,"target":"S","streamIds":["1"]',
        '"type":1,"target":"S","arguments":[]' } do
        local record = ('{"arguments":%s,%s}'):format(args, rest)
        local read = { json.read(record .. "\30", "text") }
        if read[1] == true then calls = calls + 1 end
        local wanted = { json.parse(record) }
        local got = { message_of(json, record .. "\30") }
        if wanted[1] == nil then wanted[2], got[2] = nil, nil end
        assert.same(wanted, got, record)
      end
    end
    assert.is_true(calls > 25)
    local _, _, _, args = json.read(
      '{"type":1,"target":"S","arguments":[1,1.5,[2]]}\30', "text")
    assert.same({ "integer", "float", "integer" }, { math.type(args[1]),
      math.type(args[2]), math.type(args[3][1]) })
  end)

  it("of JSON is one, and has its end", function()
    for _, bytes in ipairs { "", "\30", "{}", '{"type":6}', '{"type":6}\30x',
      '{"type":6}\30{"type":6}\30', '\0{"type":6}\30', '{"type":6}\0\30' } do
      if bytes ~= "\30" then
        assert.is_false(json.read(bytes, "text"), bytes)
      end
    end
    assert.same({ type = 6 }, json.read('{"type":6}\30', "text"))
    assert.is_nil((json.read("\30", "text")))
    assert.is_nil((json.read("x\30", "text")))
  end)

  it("of MessagePack is what it is otherwise", function()
    local h, calls = pack.map {}, 0
    for _, args in ipairs { {}, { 1, 2 }, { -1, 127, 128, 1.5 },
      { "a", ("b"):rep(31), ("c"):rep(32) }, { true, false, pack.null },
      { { { 1 }, pack.map {} } }, { pack.null, 1 }, h, pack.null, 7,
      { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } } do
      for _, m in ipairs { { 1, h, "7", "S", args }, { 1, h, pack.null, "S",
        args }, { 1, h, "7", "S", args, {} }, { 1, h, "7", "S", args, { "1" } },
        { 1, h, "", "S", args }, { 1, h, 7, "S", args }, { 1, h, "7", 7, args },
        { 1, { a = "b" }, "7", "S", args }, { 4, h, "7", "S", args },
        { 1, h, "7", ("T"):rep(40), args }, { 1, h, ("7"):rep(40), "S", args },
        { 3, h, "7", 3, args }, { 6 }, { 1, h, "7", "S" } } do
        local record = pack.encode(m)
        local read = { messagepack.read(kit.framed(record), "binary") }
        if read[1] == true then calls = calls + 1 end
        local wanted = { messagepack.parse(record) }
        local got = { message_of(messagepack, kit.framed(record)) }
        if wanted[1] == nil then wanted[2], got[2] = nil, nil end
        assert.same(wanted, got)
      end
    end
    assert.is_true(calls > 20)
  end)

  local function said(message) return kit.told(message or "none") end

  local function is_the_same(record, protocol)
    protocol = protocol or messagepack
    assert.equal(said((protocol.parse(record))), said((message_of(protocol,
      kit.framed(record)))), ("%q"):format(record))
  end

  local head = "\x95\1\x80\xa17\xa1S"

  it("of MessagePack has each format as it is otherwise", function()
    local zeros, calls = ("\0"):rep(7), 0
    for _, value in ipairs { "\0", "\x7f", "\xe0", "\xff", "\xc0", "\xc2",
      "\xc3", "\xcc\xff", "\xcd\xff\xff", "\xce\xff\xff\xff\xff",
      "\xcf\x7f" .. zeros,
      "\xcf\x80" .. zeros, "\xcf\xff\xff\xff\xff\xff\xff\xf8\1",
      "\xcf\x80\0\0\0\0\0\4\0", "\xcf\x80\0\0\0\0\0\4\1",
      "\xd0\x80", "\xd1\x80\0", "\xd2\x80\0\0\0", "\xd3\x80" .. zeros,
      "\xca\x3f\x80\0\0", "\xca\x3d\xcc\xcc\xcd", "\xca\x7f\x80\0\0",
      "\xcb\x3f\xf0" .. zeros:sub(2), "\xcb\x80" .. zeros,
      "\xcb\x7f\xf8" .. zeros:sub(2), "\xa0", "\xa2\xc3\xa4", "\xd9\1a",
      "\xda\0\1a", "\xdb\0\0\0\1a", "\xa1\xff", "\xa3\xed\xa0\x80",
      "\xa4\xf4\x90\x80\x80", "\xc4\0", "\xc4\1\xff", "\xc5\0\1a",
      "\xc6\0\0\0\1a", "\x90", "\xdc\0\0", "\xdd\0\0\0\1\1", "\x80",
      "\xde\0\0", "\xdf\0\0\0\1\xa1k\1", "\x81\1\2", "\x82\1\2\xa1k\xc0",
      "\x81\xd3\x80" .. zeros .. "\1", "\x82\xa1k\1\xa1k\2",
      "\x81\xcf\x80" .. zeros .. "\1", "\x81\xc0\1", "\x81\xc4\1a\1",
      "\x81\xca\x3f\x80\0\0\1", "\x81\x90\1", "\x81\xa1\xff\1", "\x81\xc3\1",
      "\xd6\xff\0\0\0\1", "\xd4\5a", "\xc1", "\xdd\xff\xff\xff\xff",
      "\xdf\x80\0\0\0", "\xdb\xff\xff\xff\xff", "\x91", "\x81\xa1k",
      ("\x91"):rep(64) .. "\1", ("\x91"):rep(65) .. "\1",
      ("\x81\xa1k"):rep(64) .. "\1", ("\x81\xa1k"):rep(65) .. "\1",
      ("\x91"):rep(63) .. "\x90", ("\x91"):rep(64) .. "\x90" } do
      if messagepack.read(kit.framed(head .. "\x91" .. value), "binary")
        == true then
        calls = calls + 1
      end
      is_the_same(head .. "\x91" .. value)
      is_the_same(head .. "\x93\1" .. value .. "\2")
      is_the_same(head .. "\x91\x92\1" .. value)
    end
    assert.is_true(calls > 40, calls)
  end)

  it("of MessagePack is as deep and as long as it may be", function()
    for _, levels in ipairs { 1, 2, 64, 70 } do
      local own = require "evws.signalr.messagepack".new(levels, 200)
      for _, n in ipairs { 0, 1, 2, 3, 63, 64, 65, 69, 70, 71 } do
        is_the_same(head .. "\x91" .. ("\x91"):rep(n) .. "\1", own)
        is_the_same(head .. "\x91" .. ("\x81\1"):rep(n) .. "\1", own)
      end
      for _, n in ipairs { 187, 188, 189, 190 } do
        local bytes = kit.framed(head .. "\x91\xd9" .. string.char(n)
          .. ("x"):rep(n))
        local is_call = own.read(bytes, "binary")
        assert.equal(#bytes <= 200, is_call, #bytes)
      end
    end
  end)

  it("of MessagePack is the same when it is damaged", function()
    local args = pack.encode { 1, -2, 300, 1.5, "text", true, pack.null,
      { 1, { a = "b" } }, pack.map { [1] = 2 }, ("c"):rep(40) }
    local record = head .. args
    for at = 3, #record do
      for _, by in ipairs { 1, 2, 4, 8, 16, 32, 64, 128, 255 } do
        is_the_same(record:sub(1, at - 1) .. string.char(record:byte(at) ~ by)
          .. record:sub(at + 1))
      end
      is_the_same(record:sub(1, at))
    end
  end)

  it("of MessagePack has a result as the writer has it", function()
    local values = { false, true, 1.0, -0.0, 0.1, 1 / 0, -1 / 0,
      math.maxinteger, math.mininteger, "", { 1 }, pack.map {}, pack.null }
    for _, edge in ipairs { 0, 0x20, 0x80, 0x100, 0x8000, 0x10000, 0x80000000,
      0x100000000 } do
      for by = -1, 1 do
        values[#values + 1] = edge + by
        values[#values + 1] = -(edge + by)
      end
    end
    for _, n in ipairs { 31, 32, 100, 110, 120, 255, 256, 16370, 65535,
      65536 } do
      values[#values + 1] = ("x"):rep(n)
    end
    for _, id in ipairs { "7", ("i"):rep(31), ("i"):rep(32), ("i"):rep(300) } do
      for _, value in ipairs(values) do
        assert.equal(kit.framed(pack.encode { 3, pack.map {}, id, 3, value }),
          messagepack.result(id, value))
      end
      assert.equal(kit.framed(pack.encode { 3, pack.map {}, id, 3, pack.null }),
        messagepack.result(id, nil))
    end
    for _, bad in ipairs { "\xff", print } do
      assert.is_nil((messagepack.result("7", bad)))
    end
  end)

  it("of MessagePack is one, and whole", function()
    local record = kit.framed(pack.encode { 1, pack.map {}, "7", "S",
      { "ab" } })
    for i = 0, #record - 1 do
      assert.is_false(messagepack.read(record:sub(1, i), "binary"), i)
    end
    assert.is_false(messagepack.read(record .. "\2", "binary"))
    assert.is_false(messagepack.read("\0", "binary"))
    assert.is_false(messagepack.read("\x80\x80\1\x91\6", "binary"))
    for _, bad in ipairs { "\x95\1\x80\xa17\xa1S\x91\xc1", -- none, cut, foreign
      "\x95\1\x80\xa17\xa1S\x92\1", "\x95\1\x80\xa17\xa1S\x91\xd4\5a",
      "\x95\1\x80\xa17\xbfS", "\x95\1\x80\xa1\xff\xa1S\x90" } do
      local wanted, why = messagepack.parse(bad)
      assert.same({ wanted, why }, { messagepack.read(kit.framed(bad),
        "binary") })
    end
  end)
end)

describe("a method in the task that reads", function()
  local hubs, open = {}, nil

  local function serve(options)
    options.on_error = options.on_error or function() end
    options.keepalive_interval = false -- no pings between what is expected
    local hub = signalr.hub(options)
    hubs[#hubs + 1] = hub
    return t.listen { routes = hub:routes "/hub" }, hub
  end

  local function connect(server)
    local raw = t.raw(server)
    assert.equal(101, raw:upgrade { path = "/hub" })
    raw:send(frame("text", '{"protocol":"json","version":1}\30'))
    raw:expect_frame("text", "{}\30")
    return raw
  end

  local function call(raw, id, target, args)
    raw:send(frame("text", ('{"arguments":%s,"invocationId":"%s","target":"%s",'
      .. '"type":1}\30'):format(args or "[]", id, target)))
    return raw
  end

  local function expect(raw, id, result)
    return raw:expect_frame("text", ('{"type":3,"invocationId":"%s",%s}\30')
      :format(id, result))
  end

  before_each(function() open = ws.queue(9) end)

  after_each(function()
    open:close()
    kit.end_hubs(hubs)
    hubs = {}
    t.cleanup()
  end)

  it("that waits holds up the next call, and nothing else", function()
    local log = {}
    local server = serve { methods = { Wait = function(ctx, x)
      log[#log + 1] = "begin " .. x
      open:take()
      log[#log + 1] = "end " .. x
      return x
    end, Ask = function(ctx) return ctx.clients.caller:invoke "Say" end },
      streams = { One = function(ctx, out) out:send(1) end } }
    local raw = connect(server)
    call(raw, 1, "Wait", "[1]")
    t.wait(function() return #log == 1 end)
    raw:send(frame("text",
      '{"type":4,"invocationId":"s","target":"One","arguments":[]}\30'))
    raw:expect_frame("text", '{"type":2,"invocationId":"s","item":1}\30')
    raw:expect_frame("text", '{"type":3,"invocationId":"s"}\30')
    raw:send(frame("ping", "p")):expect_frame("pong", "p")
    call(raw, 2, "Wait", "[2]")
    call(raw, 3, "Ask")
    raw:send(frame("ping", "q")):expect_frame("pong", "q")
    assert.same({ "begin 1" }, log)
    open:put(1)
    expect(raw, 1, '"result":1')
    open:put(1)
    expect(raw, 2, '"result":2')
    assert.same({ "begin 1", "end 1", "begin 2", "end 2" }, log)
    -- and now the client's own answer is read while the method waits for it
    raw:expect_frame("text",
      '{"type":1,"invocationId":"s1","target":"Say","arguments":[]}\30')
    call(raw, 4, "Wait", "[4]")
    t.wait(function() return #log == 5 end)
    raw:send(frame("text", '{"type":3,"invocationId":"s1","result":9}\30'))
    expect(raw, 3, '"result":9')
    open:put(1)
    expect(raw, 4, '"result":4')
  end)

  it("is as many as there may be, and no more", function()
    local running, most = 0, 0
    local server, hub = serve { parallel_invocations = 3, methods = {
      Wait = function(ctx, x)
        running = running + 1
        most = math.max(most, running)
        open:take()
        running = running - 1
        return x
      end } }
    local raw = connect(server)
    for i = 1, 7 do call(raw, i, "Wait", "[0]") end
    t.wait(function() return running == 3 end)
    raw:send(frame("ping", "p")):expect_frame("pong", "p")
    assert.equal(4, hub:stats().invocations)
    for i = 1, 7 do
      open:put(1)
      expect(raw, i, '"result":0')
    end
    assert.same({ 3, 0 }, { most, running })
  end)

  it("knows that its client has left, and is waited for", function()
    local log = {}
    local server, hub = serve { methods = { Wait = function(ctx)
      ctx:on_closed(function() log[#log + 1] = "closed" end)
      open:take()
      log[#log + 1] = tostring(ctx.is_closed)
    end }, on_disconnected = function() log[#log + 1] = "disconnected" end }
    local raw = connect(server)
    call(raw, 1, "Wait")
    t.wait(function() return hub:stats().invocations == 1 end)
    raw:send(frame("close", "\3\232")):expect_close(1000)
    t.wait(function() return #log == 1 end)
    open:put(1)
    t.wait(function() return #log == 3 end)
    assert.same({ "closed", "true", "disconnected" }, log)
  end)

  it("tells of its errors, and of what cannot be sent", function()
    local told = {}
    local server = serve { on_error = function(_, text) told[#told + 1] = text
      end, methods = { Raise = function() error "secret" end,
        Say = function() signalr.raise "said" end,
        Print = function() return print end, Nil = function() end,
        Four = function(ctx, a, b, c, d) return { a, b, c, d } end } }
    local raw = connect(server)
    local prefix = '"error":"An unexpected error occurred invoking \'%s\' on '
      .. 'the server.%s"'
    for id = 1, 2 do
      expect(call(raw, id, "Raise"), id, prefix:format("Raise", ""))
      expect(call(raw, id, "Say"), id, prefix:format("Say",
        " HubException: said"))
      expect(call(raw, id, "Print"), id, prefix:format("Print", ""))
      expect(call(raw, id, "nil"), id, '"result":null')
      expect(call(raw, id, "Nil"), id, '"result":null')
      expect(call(raw, "\\u0022", "Nil"), '\\"', '"result":null')
      expect(call(raw, id, "Four", "[1,2,3,4]"), id, '"result":[1,2,3,4]')
      expect(call(raw, id, "Four", "[1,2,3]"), id,
        '"error":"Failed to invoke \'Four\' due to an error on the server."')
    end
    -- without an id nothing is said
    for _, name in ipairs { "Raise", "Print", "Nil" } do
      raw:send(frame("text", ('{"type":1,"target":"%s","arguments":[]}\30')
        :format(name)))
    end
    expect(call(raw, 9, "Nil"), 9, '"result":null')
    assert.equal(5, #told)
  end)

  it("is not reached by text that is none, wherever it is cut", function()
    local called = 0
    local server = serve { methods = { Text = function(ctx, text)
      called = called + 1
      return text
    end } }
    local record = '{"type":1,"target":"Text","arguments":["%s"]}\30'
    for _, bad in ipairs { "\255", "\u{E4}\xc3", "\xed\xa0\x80" } do
      local raw = connect(server)
      raw:send(frame("text", record:format(bad), { fin = false }))
      raw:expect_close(1007)
      raw = connect(server)
      raw:send(frame("binary", record:format(bad)))
      raw:expect_frame("text", '{"type":7,"error":"Connection closed with an '
        .. 'error.","allowReconnect":true}\30')
    end
    assert.equal(0, called)
  end)

  it("meets records in any number of pieces", function()
    local got = {}
    local server = serve { methods = { N = function(ctx, n)
      got[#got + 1] = n
    end } }
    local raw, bytes = connect(server), {}
    for i = 1, 60 do
      bytes[i] = ('{"type":1,"target":"N","arguments":[%d]}\30'):format(i)
    end
    for i = 1, 20 do raw:send(frame("text", bytes[i])) end
    raw:send(frame("text", table.concat(bytes, "", 21, 40)))
    local rest = table.concat(bytes, "", 41)
    for at = 1, #rest, 33 do
      raw:send(frame("text", rest:sub(at, at + 32)))
    end
    raw:send(frame("text", bytes[1]))
    t.wait(function() return #got == 61 end)
    for i = 1, 60 do assert.equal(i, got[i]) end
  end)

  it("is the handler of a message, and of nothing else", function()
    assert.is_nil(core.detach())
    local co, inside = "none", nil
    local server = t.listen { on_open = function() co = core.detach() end,
      on_message = function(conn)
        inside = core.detach() == coroutine.running() and not core.detach()
        conn:send "x"
      end }
    local raw = t.raw(server)
    raw:upgrade()
    raw:send(frame("text", "a")):expect_frame("text", "x")
    assert.same({ nil, true }, { co, inside })
  end)
end)
