-- session.lua, context.lua, dispatch.lua: the life of a client of a hub: hooks,
-- filters, slots, the clock, and one that comes back.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local kit = require "spec.signalr.kit"
local signalr = require "evws.signalr"
local ws = require "evws"

describe("a session", function()
  after_each(kit.cleanup)

  it("has hooks: connected before its calls, disconnected after the last",
    function()
      local log, queue = {}, ws.queue(1)
      local hub = kit.hub {
        on_connected = function(ctx)
          ws.sleep(0)
          log[#log + 1] = "connected " .. ctx.protocol
        end,
        on_disconnected = function(ctx, why)
          log[#log + 1] = "disconnected " .. tostring(why)
            .. tostring(ctx.is_closed)
        end,
        methods = { Slow = function()
          log[#log + 1] = "called"
          queue:take()
          log[#log + 1] = "returned"
        end } }
      local c = kit.client(hub)
      c:say { type = 1, target = "Slow", arguments = {} }
      c:lose()
      assert.same({ "connected json", "called" }, log)
      queue:put(true)
      kit.settle()
      assert.same({ "connected json", "called", "returned",
        "disconnected connection losttrue" }, log)
      assert.equal(0, hub.n_sessions)
    end)

  it("reads nothing before on_connected has returned", function()
    local queue, called = ws.queue(1), false
    local hub = kit.hub { on_connected = function() queue:take() end,
      methods = { Call = function() called = true end } }
    local c = kit.client(hub, { raw = true })
    c:feed '{"protocol":"json","version":1}\30'
    c:expect {}
    c:say { type = 1, target = "Call", arguments = {} }
    assert.is_false(called)
    assert.equal(1, hub.clients.all:send "to those who are being connected")
    queue:put(true)
    kit.settle()
    assert.is_true(called)
  end)

  it("that on_connected refuses ends, and was never there", function()
    local told = false
    local hub = kit.hub { on_connected = function() signalr.raise "not you" end,
      on_disconnected = function() told = true end }
    local c = kit.client(hub)
    c:expect_end("Connection closed with an error. HubException: not you")
    assert.is_false(told)
    assert.equal(0, hub.n_sessions)
  end)

  it("has a context", function()
    local seen
    local hub = kit.hub { methods = { Look = function(ctx)
      ctx.items.n = (ctx.items.n or 0) + 1
      seen = ctx
      return { ctx.id, ctx.user, ctx.transport, ctx.protocol, ctx.items.n,
        ctx.is_closed }
    end } }
    local c = kit.client(hub, { user = "ann" })
    local id = c.session.id
    assert.same({ id, "ann", "WebSockets", "json", 1, false },
      c:invoke "Look")
    assert.equal(2, c:invoke "Look"[5])
    assert.is_nil(seen.nothing)
    assert.is_nil(seen.data)
    seen.data = 7
    assert.equal(c.session.ctx, seen)
    assert.equal(7, c.session.ctx.data)
    assert.equal("evws.signalr.context: " .. id, tostring(seen))
    local closed = 0
    assert.equal(seen, seen:on_closed(function(ctx)
      assert.equal(seen, ctx)
      closed = closed + 1
    end))
    for why, given in pairs {
      ["bad option 'error' for 'close' (text expected)"] = { error = "\255" },
      ["bad option 'allow_reconnect' for 'close' (boolean expected)"] =
        { allow_reconnect = 1 },
      ["unknown option 'eror' for 'close' (did you mean 'error'?)"] =
        { eror = "x" },
      ["bad argument #1 to 'close' (table expected)"] = "x",
    } do
      local ok, text = pcall(function() seen:close(given) end)
      assert.is_false(ok)
      assert.equal(why, text:match "session_spec.lua:%d+: (.*)$")
    end
    assert.is_false(seen.is_closed)
    seen:close { error = "go away", allow_reconnect = true }
    c:expect_end("go away", true)
    kit.settle()
    assert.is_true(seen.is_closed)
    seen:on_closed(function() closed = closed + 10 end)
    kit.settle()
    assert.equal(11, closed)
    assert.has_error(function() seen:on_closed(1) end,
      "bad argument #1 to 'on_closed' (function expected, got number)")
  end)

  it("passes its calls and hooks through filters, the first outermost",
    function()
      local log = {}
      local function filter(name)
        return {
          invoke = function(call, next_one)
            log[#log + 1] = name .. " " .. call.method .. call.args.n
            if call.args[1] == "no" then signalr.raise(name .. " says no") end
            local result = next_one(call)
            return name .. result
          end,
          connected = function(ctx, next_one)
            log[#log + 1] = name .. " in"
            next_one()
          end,
          disconnected = function(ctx, next_one)
            next_one()
            log[#log + 1] = name .. " out"
          end }
      end
      local hub = kit.hub { filters = { filter "a", {}, filter "b" },
        methods = { Echo = function(ctx, text, more) return text end },
        on_connected = function() log[#log + 1] = "hook" end,
        streams = { Count = function(ctx, out, n)
          out:send(n)
          return ""
        end } }
      local c = kit.client(hub)
      assert.equal("abx", c:invoke("echo", "x", kit.null))
      local _, why = c:invoke("Echo", "no", 1)
      assert.is_truthy(why:find("HubException: a says no", 1, true))
      c:say { type = 4, invocationId = "s", target = "Count",
        arguments = { 3 } }
      c:expect { type = 2, invocationId = "s", item = 3 }
      c:expect { type = 3, invocationId = "s" }
      c:lose(true)
      assert.same({ "a in", "b in", "hook", "a Echo2", "b Echo2", "a Echo2",
        "a Count1", "b Count1", "b out", "a out" }, log)
    end)

  it("runs as many plain calls at once as it may", function()
    local queue, log = ws.queue(9), {}
    local hub = kit.hub { parallel_invocations = 2, methods = {
      Wait = function(ctx, n)
        log[#log + 1] = n
        queue:take()
      end } }
    local c = kit.client(hub)
    for i = 1, 4 do
      c:say { type = 1, target = "Wait", arguments = { i } }
    end
    assert.same({ 1, 2 }, log)
    queue:put(true)
    for _ = 1, 3 do kit.settle() end
    assert.same({ 1, 2, 3 }, log)
    queue:put(true)
    queue:put(true)
    for _ = 1, 3 do kit.settle() end
    assert.same({ 1, 2, 3, 4 }, log)
  end)

  it("gives the slot back of a call with more arguments than a stack holds",
    function()
      local many = 1000100 -- LUAI_MAXSTACK is a million
      local any = function(_, ...) return (select("#", ...)) end
      local errors = {}
      local function note(_, why) errors[#errors + 1] = why end
      for _, options in ipairs { {}, { filters = { {} } } } do
        options.max_record, options.on_error = false, note
        options.methods = { Any = any,
          Set = { function(_, a) return a end, args = many } }
        local hub = kit.hub(options)
        local c = kit.client(hub)
        for i, name in ipairs { "Any", "Set" } do
          c:say(('{"type":1,"invocationId":"x","target":"%s","arguments":[%s1]}'
            .. "\30"):format(name, ("1,"):rep(many - 1)))
          c:expect { type = 3, invocationId = "x", error =
            ("An unexpected error occurred invoking '%s' on the server.")
              :format(name) }
          assert.equal(0, c.session.n_calls)
          assert.equal(3, (c:invoke("Any", 1, 2, i)))
        end
      end
      assert.equal(4, #errors)
      for _, why in ipairs(errors) do
        assert.is_truthy(why:find("too many results to unpack", 1, true))
      end
    end)

  it("tells on_error what failed, and the client not", function()
    local errors = {}
    local hub = kit.hub { on_error = function(conn, message, traceback)
      errors[#errors + 1] = { message, traceback }
    end, methods = {
      Fail = function() error "the secret" end,
      Raise = function() signalr.raise "a word" end,
      Bad = function() return print end } }
    local c = kit.client(hub)
    local _, why = c:invoke "Fail"
    assert.equal("An unexpected error occurred invoking 'Fail' on the server.",
      why)
    _, why = c:invoke "Raise"
    assert.equal("An unexpected error occurred invoking 'Raise' on the server."
      .. " HubException: a word", why)
    _, why = c:invoke "Bad"
    assert.equal("An unexpected error occurred invoking 'Bad' on the server.",
      why)
    kit.settle()
    assert.equal(2, #errors)
    assert.is_truthy(errors[1][1]:find "the secret$")
    assert.is_truthy(errors[1][2]:find "stack traceback")
    assert.is_truthy(errors[2][1]:find("the result of 'Bad' cannot be sent: a "
      .. "function cannot be written", 1, true))
    assert.equal(3, hub:stats().errors)
  end)

  it("expires when no transport comes for it", function()
    local hub = kit.hub { disconnect_timeout = 2 }
    hub:session()
    hub:rest()
    assert.same({ 1, 1 }, { hub.n_sessions, hub.n_new })
    for _ = 1, 3 do hub:tick() end
    assert.same({ 0, 0 }, { hub.n_sessions, hub.n_new })
    assert.is_nil(next(hub.by_token))
    assert.is_nil(next(hub.by_id))
  end)

  it("is pinged each interval, and costs nothing between", function()
    local hub = kit.hub { keepalive_interval = 3, client_timeout = 10 }
    local c = kit.client(hub, { is_stateful = true })
    local d = kit.client(hub, { protocol = "messagepack" })
    c:say { type = 6 }
    for _ = 1, 9 do hub:tick() end
    for _, one in ipairs { c, d } do
      for _ = 1, 3 do one:expect { type = 6 } end
      one:expect_nothing()
    end
    hub = kit.hub { keepalive_interval = false }
    c = kit.client(hub)
    for _ = 1, 40 do hub:tick() end
    c:expect_nothing()
  end)

  it("has its posts answered while a method runs, up to max_buffered",
    function()
      local queue, log = ws.queue(9), {}
      local hub = kit.hub { max_buffered = 300, methods = {
        Wait = function(ctx, n)
          queue:take()
          log[#log + 1] = n
        end } }
      local c = kit.client(hub)
      local record = '{"type":1,"target":"Wait","arguments":[%d]}\30'
      local answered = 0
      for i = 1, 12 do
        ws.spawn(function()
          assert.is_true(c.session:post(record:format(i)))
          answered = answered + 1
        end)
        kit.settle()
      end
      -- the first runs, the second waits for its slot, beside 300 bytes
      assert.is_true(answered > 3 and answered < 12, answered)
      for _ = 1, 12 do
        queue:put(true)
        for _ = 1, 3 do kit.settle() end
      end
      assert.equal(12, answered)
      assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }, log)
      c:lose(true)
      assert.is_false(c.session:post "x")
    end)

  it("is told of the end with a hundred others, then the next hundred",
    function()
      local hub, left, sleep = kit.hub {}, {}, ws.sleep
      for _ = 1, 250 do hub:session() end
      function ws.sleep() left[#left + 1] = hub.n_sessions end
      local ok, why = pcall(hub.close, hub)
      ws.sleep = sleep
      assert.is_true(ok, why)
      assert.same({ 150, 50 }, left)
      assert.equal(0, hub.n_sessions)
    end)

  it("leaves nothing behind", function()
    local hub = kit.hub { methods = { Join = function(ctx) ctx:join "g" end } }
    for _ = 1, 20 do
      local c = kit.client(hub, { user = "u", is_stateful = true })
      c:invoke "Join"
      c:lose(true)
    end
    kit.settle()
    assert.same({}, hub.clock.slots)
    assert.same({}, hub.groups.walked)
    assert.same({}, hub.speakers)
    assert.same({ 0, 0 }, { hub.n_sessions, hub.n_new })
  end)
end)

describe("a stateful session", function()
  after_each(kit.cleanup)

  local function hub_of(options)
    local own = { stateful_reconnect = true,
      methods = { Echo = function(ctx, value) return value end } }
    for name, value in pairs(options or {}) do own[name] = value end
    return kit.hub(own)
  end

  local function call(c, n)
    c:say { type = 1, invocationId = "i" .. n, target = "Echo",
      arguments = { n } }
  end

  local function answered(c, n)
    c:expect { type = 3, invocationId = "i" .. n, result = n }
  end

  it("holds everything but the handshake's answer until it is spoken to",
    function()
      local hub = hub_of { on_connected = function(ctx)
        ctx.clients.caller:send "Welcome"
      end }
      local c = kit.client(hub, { is_stateful = true })
      hub.clients.all:send "News"
      c:expect_nothing()
      c:say { type = 6 }
      c:expect { type = 1, target = "Welcome", arguments = {} }
      c:expect { type = 1, target = "News", arguments = {} }
      c = kit.client(hub, { is_stateful = true })
      c:expect_nothing()
      hub:tick()
      hub:tick()
      c:expect { type = 1, target = "Welcome", arguments = {} }
    end)

  it("that comes back before it has spoken is told once what was held",
    function()
      local hub = hub_of { on_connected = function(ctx)
        ctx.clients.caller:send "Welcome"
      end }
      local c = kit.client(hub, { is_stateful = true })
      c:expect_nothing()
      c:lose()
      hub.clients.all:send "News"
      c:come_back()
      c:expect { type = 9, sequenceId = 1 }
      c:expect { type = 1, target = "Welcome", arguments = {} }
      c:expect { type = 1, target = "News", arguments = {} }
      c:say { type = 9, sequenceId = 1 }
      call(c, 1)
      answered(c, 1)
      c:expect_nothing()
    end)

  it("that was lost before it has spoken may have spoken", function()
    local queue = ws.queue(1)
    local hub = hub_of { on_connected = function(ctx)
      ctx.clients.caller:send "Welcome"
      queue:take()
    end }
    local c = kit.client(hub, { is_stateful = true })
    call(c, 1) -- waits for on_connected
    c:lose()
    queue:put(true)
    kit.settle()
    c:come_back()
    c:expect { type = 9, sequenceId = 1 }
    c:expect { type = 1, target = "Welcome", arguments = {} }
    answered(c, 1)
    c:expect_nothing()
  end)

  it("ends when what it missed does not fit", function()
    local hub, n, code = hub_of(), 0, nil
    local c = kit.client(hub, { is_stateful = true })
    c:say { type = 6 }
    c:lose()
    for _ = 1, 3 do hub.clients.all:send "News" end
    c.session:attach({ name = "WebSockets", finish = function(_, with)
      code = with
    end, send = function()
      n = n + 1
      if n < 3 then return true end
      return nil, "queue full"
    end }, {})
    assert.same({ 1008, true, 0 }, { code, c.session.is_over, hub.n_sessions })
  end)

  it("ends when what was held for it does not fit, whoever says it", function()
    for way, say in pairs {
      speaks = function(c) c:say { type = 6 } end,
      ["is late"] = function(c) c.session.hub:tick() end,
      ["is sent away"] = function(c)
        c.session.ctx:close { error = "go away" }
      end,
    } do
      local why
      local hub = hub_of { on_disconnected = function(_, text) why = text end }
      local c = kit.client(hub, { is_stateful = true })
      for _ = 1, 4 do hub.clients.all:send "News" end
      c:expect_nothing()
      local n = 0
      function c.transport.send()
        n = n + 1
        if n < 3 then return true end
        return nil, "queue full"
      end
      say(c)
      kit.settle()
      -- two, the one that did not fit, and the Close
      assert.same({ way, 4, 1008, true, "slow consumer", 0 },
        { way, n, c.ended, c.session.is_over, why, hub.n_sessions })
    end
  end)

  it("cannot come back any more when its Close is written", function()
    for _, finish in ipairs {
      function(c) c.session.ctx:close() end,
      function(c) c.session.ctx:close { allow_reconnect = true } end,
      function(c) c:say { type = 7 } end,
      function(c) c:feed "x\30" end,
    } do
      local hub = hub_of()
      local c = kit.client(hub, { is_stateful = true })
      c:say { type = 6 }
      local known = {}
      function c.transport.send()
        known[#known + 1] = hub.by_token[c.session.token] ~= nil
        return true
      end
      finish(c)
      kit.settle()
      assert.same({ false }, known)
    end
  end)

  it("comes back with all that it missed, and nothing twice", function()
    local ended = false
    local hub = hub_of { on_disconnected = function() ended = true end }
    local c = kit.client(hub, { is_stateful = true })
    call(c, 1)
    answered(c, 1)
    c:lose()
    hub.clients.all:send("While", "away")
    c:come_back()
    c:expect { type = 9, sequenceId = 1 }
    answered(c, 1) -- it was not acknowledged
    c:expect { type = 1, target = "While", arguments = { "away" } }
    call(c, 3) -- before its Sequence: not looked at
    c:expect_nothing()
    c:say { type = 9, sequenceId = 1 }
    call(c, 1) -- again: it is known
    call(c, 2)
    call(c, 4)
    answered(c, 2)
    answered(c, 4)
    hub:tick()
    c:expect { type = 8, sequenceId = 3 }
    c:say { type = 8, sequenceId = 4 }
    assert.equal(0, c.session.replay.bytes)
    assert.is_false(ended)
  end)

  it("keeps what is said when nobody has noticed yet that it is lost",
    function()
      local hub = hub_of()
      local c = kit.client(hub, { is_stateful = true })
      c:say { type = 6 }
      function c.transport.send() return nil, "closed" end
      assert.equal(1, hub.clients.all:send("Kept"))
      c:lose()
      c:come_back()
      c:expect { type = 9, sequenceId = 1 }
      c:expect { type = 1, target = "Kept", arguments = {} }
    end)

  it("is over when it does not come back in time, or has said so", function()
    local why
    local hub = hub_of { disconnect_timeout = 3,
      on_disconnected = function(_, text) why = text or "clean" end }
    local c = kit.client(hub, { is_stateful = true })
    c:lose()
    assert.is_nil(why)
    assert.equal(1, hub.n_sessions)
    for _ = 1, 4 do hub:tick() end
    kit.settle()
    assert.equal("the client did not come back", why)
    assert.equal(0, hub.n_sessions)
    c = kit.client(hub, { is_stateful = true })
    c:lose(true)
    assert.equal("clean", why)
  end)

  it("makes a stream wait while too much is not acknowledged", function()
    local sent = 0
    local hub = hub_of { replay_buffer = 500, streams = {
      Flow = function(ctx, out)
        while sent < 100 and out:send(("x"):rep(50)) do sent = sent + 1 end
      end } }
    local c = kit.client(hub, { is_stateful = true })
    c:say { type = 4, invocationId = "s", target = "Flow", arguments = {} }
    kit.settle()
    assert.is_true(sent < 10)
    local before = sent
    c:say { type = 8, sequenceId = sent }
    kit.settle()
    assert.is_true(sent > before)
    c:lose()
    before = sent
    kit.settle()
    assert.is_true(sent - before <= 1)
    c:come_back()
    c:say { type = 9, sequenceId = 2 }
    c:say { type = 8, sequenceId = 1000 }
    kit.settle()
    assert.is_true(sent > before)
    c:lose(true)
    kit.settle()
    assert.is_true(sent < 100)
  end)

  it("lets all streams go on that have waited, with one Ack", function()
    local hub = hub_of { replay_buffer = 400, streams = {
      Flow = function(ctx, out, n)
        for _ = 1, n do out:send(("x"):rep(150)) end
      end } }
    local c = kit.client(hub, { is_stateful = true })
    for i = 1, 3 do
      c:say { type = 4, invocationId = "s" .. i, target = "Flow",
        arguments = { i == 1 and 3 or 1 } }
    end
    kit.settle()
    assert.equal(3, c.session.n_running)
    c:say { type = 8, sequenceId = 100 }
    kit.settle()
    assert.equal(0, c.session.n_running)
  end)

  it("ends when more than max_queued is not acknowledged", function()
    local hub = hub_of { max_queued = 1000, replay_buffer = 500 }
    local c = kit.client(hub, { is_stateful = true })
    c:lose()
    for _ = 1, 30 do hub.clients.all:send("Text", ("x"):rep(40)) end
    assert.is_true(c.session.is_over)
    assert.equal(0, hub.n_sessions)
  end)
end)
