-- core.short_call: calls over WebSockets that are answered without any Lua but
-- the method's are the same as all others.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local core = require "evws.core"
local json = require "evws.signalr.json".new(64)
local kit = require "spec.signalr.kit"
local memory = require "evws_probe".memory
local messagepack = require "evws.signalr.messagepack".new(64)
local signalr = require "evws.signalr"
local t = require "spec.helper"
local ws = t.ws
local frame, told = t.frame, kit.told

describe("a call that is answered at once", function()
  local hubs, open = {}, nil

  before_each(function() open = ws.queue(9) end)

  after_each(function()
    ws.on_error(nil)
    open:close()
    kit.end_hubs(hubs)
    hubs = {}
    t.cleanup()
  end)

  local function serve(options)
    options.on_error = options.on_error or function() end
    options.keepalive_interval = false -- no pings between what is expected
    local hub = signalr.hub(options)
    hubs[#hubs + 1] = hub
    return t.listen { routes = hub:routes "/hub" }, hub
  end

  local function connect(server, protocol)
    local raw = t.raw(server)
    assert.equal(101, raw:upgrade { path = "/hub" })
    raw:send(frame("text", ('{"protocol":"%s","version":1}\30'):format(
      protocol.name)))
    raw:expect_frame("text", "{}\30")
    return raw
  end

  local function invocation(protocol, id, target, ...)
    return (assert(protocol.invocation(id, target, { ... }, select("#", ...))))
  end

  local function call(raw, protocol, ...)
    return raw:send(frame(protocol.kind, invocation(protocol, ...)))
  end

  local function expect(raw, protocol, id, value)
    return raw:expect_frame(protocol.kind, (assert(protocol.result(id, value))))
  end

  local function short_calls(hub, protocol)
    return (hub.protocols[protocol.name].counted())
  end

  for _, protocol in ipairs { json, messagepack } do
    local name = protocol.name

    it("by " .. name .. " has arguments and a result of each kind", function()
      local got
      local server, hub = serve { methods = { Two = function(_, a, b)
        got = table.pack(a, b)
        return a
      end } }
      local raw = connect(server, protocol)
      for _, value in ipairs { 0, 1, -1, 123456789012345, -123456789012345,
        true, false, "", "text", "\u{E4}\u{1F600}", ("x"):rep(300) } do
        call(raw, protocol, "7", "Two", value, nil)
        expect(raw, protocol, "7", value)
        assert.equal(told(value), told(got[1]))
        assert.equal(2, got.n)
        assert.is_nil(got[2])
      end
      assert.equal(11, short_calls(hub, protocol))
      call(raw, protocol, "7", "Two", nil, 2)
      expect(raw, protocol, "7", nil)
      assert.same({ nil, 2, n = 2 }, got)
      -- these are not, wherever that is found
      for _, value in ipairs { 1.5, 2^53 + 2.0, math.maxinteger,
        ("x"):rep(600), 'a "quote"\n', { 1, { a = "b" } } } do
        local record = invocation(protocol, "7", "Two", value, nil)
        local wanted = protocol.parse(protocol.is_binary
          and record:gsub("^[\128-\255]*.", "") or record:sub(1, -2))
        raw:send(frame(protocol.kind, record))
        local answer = raw:frame()
        assert.equal(told(wanted.args[1]), told(got[1]))
        assert.equal(2, got.n)
        assert.equal(protocol.result("7", got[1]), answer.payload)
      end
      call(raw, protocol, ("i"):rep(600), "Two", 1, 2)
      expect(raw, protocol, ("i"):rep(600), 1)
    end)

    it("by " .. name .. " may have no id, and then has no answer", function()
      local got = {}
      local server, hub = serve { methods = { Note = function(_, n)
        got[#got + 1] = n
        if n == 2 then error "not told" end
        return n == 3 and print or n
      end } }
      local raw = connect(server, protocol)
      for n = 1, 3 do call(raw, protocol, nil, "Note", n) end
      call(raw, protocol, "4", "Note", 4)
      expect(raw, protocol, "4", 4)
      assert.same({ 1, 2, 3, 4 }, got)
      assert.equal(4, short_calls(hub, protocol))
    end)

    it("by " .. name .. " is counted as all others are", function()
      local server, hub = serve { methods = {
        One = function(_, x) return x end,
        Any = function(_, ...) return (...) end } }
      local raw = connect(server, protocol)
      local names = { "invocations", "records_in", "records_out", "bytes_in",
        "bytes_out", "errors" }
      local function steps(target)
        local before = hub:stats()
        for _ = 1, 3 do
          call(raw, protocol, "1", target, 5)
          expect(raw, protocol, "1", 5)
        end
        local after, list = hub:stats(), {}
        for i, field in ipairs(names) do
          list[i] = after[field] - before[field]
        end
        return list
      end
      assert.same(steps "Any", steps "One")
      assert.equal(3, steps "One"[1])
      assert.equal(9, hub:stats().invocations)
      assert.is_truthy(hub:metrics():find("calls_total{hub=\"/hub\"} 9", 1,
        true))
    end)

    it("by " .. name .. " may wait, and fail then", function()
      local why
      local server, hub = serve { parallel_invocations = 2, methods = {
        Wait = function(_, x)
          if open:take() == "fail" then error "late" end
          return x
        end,
        Ask = function(ctx) return (ctx.clients.caller:invoke "Say") end },
        on_error = function(_, text) why = text end }
      local raw = connect(server, protocol)
      for i = 1, 3 do call(raw, protocol, tostring(i), "Wait", i) end
      t.wait(function() return hub:stats().invocations == 3 end)
      raw:send(frame("ping", "p")):expect_frame("pong", "p")
      open:put(1)
      expect(raw, protocol, "1", 1)
      open:put "fail"
      raw:expect_frame(protocol.kind, protocol.failure("2",
        "An unexpected error occurred invoking 'Wait' on the server."))
      open:put(1)
      expect(raw, protocol, "3", 3)
      t.wait(function() return why end)
      assert.is_truthy(why:find "short_call_spec.lua:%d+: late$")
      -- one that awaits a result gives its slot back
      for i = 4, 6 do call(raw, protocol, tostring(i), "Ask") end
      for i = 1, 3 do
        raw:expect_frame(protocol.kind, invocation(protocol, "s" .. i, "Say"))
      end
      for i = 1, 3 do
        raw:send(frame(protocol.kind, (protocol.result("s" .. i, 10 + i))))
        expect(raw, protocol, tostring(3 + i), 10 + i)
      end
      local _, one = next(hub.by_id)
      assert.same({ 0, 0 }, { one.n_calls, one.n_running })
      assert.is_true(short_calls(hub, protocol) >= 0)
    end)

    it("by " .. name .. " may find no memory", function()
      -- what is raised then is a string, which nobody had a chance to catch
      local why
      local server = serve { detailed_errors = true, methods = {
        Large = function()
          local _ <close> = setmetatable({}, { __close = function()
            memory.refuse()
          end })
          local long = ("x"):rep(100)
          memory.refuse(0)
          return long .. long
        end, One = function(_, x) return x end },
        on_error = function(_, ...) why = { ... } end }
      local raw = connect(server, protocol)
      call(raw, protocol, "1", "Large")
      raw:expect_frame(protocol.kind, protocol.failure("1", "An unexpected "
        .. "error occurred invoking 'Large' on the server. Error: not enough "
        .. "memory"))
      call(raw, protocol, "2", "One", 2) -- it has given back its slot
      expect(raw, protocol, "2", 2)
      t.wait(function() return why end)
      assert.same({ "not enough memory", "not enough memory" }, why)
    end)

    it("by " .. name .. " is over also where its end cannot be told", function()
      local gone, seen = 0, nil
      local function see(_, text) seen = seen or text:find "no memory" end
      ws.on_error(see)
      local server, hub = serve { on_error = see, methods = {
        Fixed = function(_, _) error "not told" end,
        Any = function(_, ...) error "not told" end },
        on_disconnected = function() gone = gone + 1 end }
      hub.protocols[name].failure = function() error("no memory", 0) end
      local list = { 1 } -- in JSON it goes the long way
      for i, one in ipairs { { "Fixed", 1 }, { "Fixed", list }, { "Any" } } do
        local raw = connect(server, protocol)
        local _, session = next(hub.by_id)
        seen = nil
        call(raw, protocol, "1", table.unpack(one))
        t.wait(function() return seen end)
        assert.same({ 0, 0 }, { session.n_calls, session.n_running })
        raw:close()
        t.wait(function() return gone == i end)
      end
    end)

    it("by " .. name .. " is the last of a client that leaves", function()
      local log = {}
      local server, hub = serve { methods = { Wait = function(ctx)
        open:take()
        log[#log + 1] = "returns " .. tostring(ctx.is_closed)
        return 1
      end, Go = function(ctx)
        ctx:close()
        return 1
      end }, on_disconnected = function() log[#log + 1] = "disconnected" end }
      local raw = connect(server, protocol)
      call(raw, protocol, "1", "Wait")
      t.wait(function() return hub:stats().invocations == 1 end)
      raw:close()
      t.wait(function() return hub.n_sessions == 0 end)
      assert.same({}, log)
      open:put(1)
      t.wait(function() return #log == 2 end)
      assert.same({ "returns true", "disconnected" }, log)
      raw = connect(server, protocol)
      call(raw, protocol, "1", "Go")
      raw:expect_frame(protocol.kind, protocol.close())
      t.wait(function() return #log == 3 end)
    end)

    it("by " .. name .. " may find its client's queue full", function()
      local why
      local server, hub = serve { max_queued = 1000, methods = {
        Fill = function(ctx)
          local conn = ctx.data
          while conn:send(("x"):rep(900)) do end
          return 1
        end }, on_disconnected = function(_, text) why = text end }
      local raw = connect(server, protocol)
      local _, one = next(hub.by_id)
      one.ctx.data = one.transport.conn
      call(raw, protocol, "1", "Fill")
      t.wait(function() return why end)
      assert.same({ "slow consumer", 0 }, { why, hub.n_sessions })
      assert.equal(1, short_calls(hub, protocol))
    end)
  end

  -- Pieces of JSON, put together at random: each list gives a method what the
  -- long way reads of it, or is none for both.
  it("by json is read as lua-cjson reads it", function()
    local state = 7
    local function any(n)
      state = (state * 1103515245 + 12345) % 2147483648
      return state // 65536 % n + 1
    end
    local pieces = { "0", "1", "-0", "-1", "01", "12", "123456789012345",
      "1234567890123456", "-", "1.5", "1e3", "true", "false", "null", "nul",
      "tru", '""', '"a"', '"\u{E4}"', '"\\n"', '"\\u0041"', '"a', "[]", "[1]",
      "{}", '{"a":1}', "NaN", "Infinity", "0x10", "+1", ".5", "1.", "1e999",
      '"\127"', '"]"', '","', " 1", "1 ", '"}"' }
    local ends = { "]", "]", "]", "]", "]", "]", "]", ",]", "}", "]]", "" }
    local got
    local server, hub = serve { methods = {
      N0 = function() got = {} end,
      N1 = function(_, a) got = table.pack(a) end,
      N2 = function(_, a, b) got = table.pack(a, b) end,
      N3 = function(_, a, b, c) got = table.pack(a, b, c) end } }
    local raw = connect(server, json)
    local n_good, n_bad = 0, 0
    for _ = 1, 1500 do
      local n, list = any(4) - 1, {}
      for i = 1, n do list[i] = pieces[any(any(2) == 1 and 20 or #pieces)] end
      local args = "[" .. table.concat(list, ",") .. ends[any(#ends)]
      local record = ('{"type":1,"invocationId":"1","target":"N%d",'
        .. '"arguments":%s}'):format(n, args)
      local wanted = json.parse(record)
      got = nil
      raw:send(frame("text", record .. "\30"))
      if wanted and not wanted.bad and wanted.n == n then
        n_good = n_good + 1
        expect(raw, json, "1", nil)
        got.n = nil
        assert.equal(told(wanted.args), told(got), args)
      else
        n_bad = n_bad + 1
        local answer = raw:frame()
        assert.is_truthy(answer.payload:find('"error":', 1, true), args)
        assert.is_nil(got, args)
        if not wanted then
          raw:close()
          raw = connect(server, json)
        end
      end
    end
    assert.is_true(n_good > 300 and n_bad > 100, n_good .. " " .. n_bad)
    local n_short = short_calls(hub, json)
    assert.is_true(n_short > 200 and n_short < n_good, n_short)
  end)

  it("has a few arguments", function()
    -- more than the short way has room for, and as many as it has
    local fixed = assert(load("return function(_" .. (", a"):rep(32)
      .. ") return a end"))()
    local many = assert(load("return function(_" .. (", a"):rep(40)
      .. ") return a end"))()
    local server, hub = serve { methods = { Fixed = fixed, Many = many } }
    for _, protocol in ipairs { json, messagepack } do
      local raw, list = connect(server, protocol), {}
      for i = 1, 40 do list[i] = i end
      call(raw, protocol, "1", "Fixed", table.unpack(list, 1, 32))
      expect(raw, protocol, "1", 32)
      assert.equal(1, short_calls(hub, protocol))
      call(raw, protocol, "1", "Many", table.unpack(list))
      expect(raw, protocol, "1", 40)
      for _, n in ipairs { 31, 33 } do
        call(raw, protocol, "1", "Fixed", table.unpack(list, 1, n))
        raw:expect_frame(protocol.kind, protocol.failure("1",
          "Failed to invoke 'Fixed' due to an error on the server."))
      end
      assert.equal(0, short_calls(hub, protocol))
    end
  end)

  it("is for the task of a handler alone", function()
    local hub = kit.hub { methods = { One = function(_, x) return x end } }
    local c = kit.client(hub)
    assert.is_nil(hub.protocols.json.short(c.session,
      invocation(json, "1", "One", 5), "text", nil))
    assert.equal(0, c.session.n_calls)
    assert.equal(0, short_calls(hub, json))
    assert.error_matches(function() core.short_call() end, "table expected")
    kit.cleanup()
  end)
end)
