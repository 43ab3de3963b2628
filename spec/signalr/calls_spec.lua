-- dispatch.lua: arguments of any number, filters around what comes and goes,
-- what is not called any more, and what is counted of answers that come late.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local kit = require "spec.signalr.kit"
local messagepack = require "evws.messagepack"
local signalr = require "evws.signalr"
local sim = require "evws.sim"
local ws = require "evws"

describe("a method", function()
  after_each(kit.cleanup)

  local methods = {
    M0 = function() return { "no arguments" } end,
    M1 = function(_, a) return { a } end,
    M2 = function(_, a, b) return { a, b } end,
    M3 = function(_, a, b, c) return { a, b, c } end,
    M4 = function(_, a, b, c, d) return { a, b, c, d } end,
    M5 = function(_, a, b, c, d, e) return { a, b, c, d, e } end,
    M6 = function(_, ...) return { ... } end,
  }

  for _, protocol in ipairs { "json", "messagepack" } do
    it("gets each of its arguments, however many: " .. protocol, function()
      local c = kit.client(kit.hub { methods = methods },
        { protocol = protocol })
      for _ = 1, 2 do
        assert.same({ "no arguments" }, c:invoke "M0")
        local arguments = {}
        for n = 1, 6 do
          arguments[n] = n * 11
          assert.same(arguments, c:invoke("M" .. n, table.unpack(arguments)))
        end
      end
    end)
  end

  it("is called with as many as it takes, and no others", function()
    local hub = kit.hub { detailed_errors = true, methods = methods }
    local c = kit.client(hub)
    local text = "Failed to invoke '%s' due to an error on the server. "
      .. "Invocation provides %d argument(s) but target expects %d."
    for n = 0, 5 do
      local arguments = {}
      for i = 1, n + 1 do arguments[i] = i end
      local _, why = c:invoke("M" .. n, table.unpack(arguments))
      assert.equal(text:format("M" .. n, n + 1, n), why)
      if n > 0 then
        _, why = c:invoke("M" .. n, table.unpack(arguments, 1, n - 1))
        assert.equal(text:format("M" .. n, n - 1, n), why)
      end
    end
    assert.equal(11, hub:stats().errors)
  end)

  it("is not called any more of a client that is gone", function()
    local log, gate = {}, ws.queue(1)
    local hub = kit.hub { methods = {
      Close = function(ctx)
        gate:take()
        log[#log + 1] = "close"
        ctx:close()
      end,
      Wait = function()
        gate:take()
        log[#log + 1] = "wait"
      end,
      Log = function() log[#log + 1] = "called" end } }
    for _, first in ipairs { "Close", "Wait" } do
      local c = kit.client(hub)
      log = {}
      for _, target in ipairs { first, "Log" } do
        c:say { type = 1, target = target, arguments = {} }
      end
      assert.same({}, log)
      if first == "Wait" then c:lose() end
      gate:put(true)
      kit.settle()
      assert.same({ first:lower() }, log)
      assert.same({ 0, 0, 0 }, { c.session.n_calls, c.session.n_running,
        hub.n_waiting })
    end
  end)

  it("that is asked for with a null, or for nobody, says nothing", function()
    local n = 0
    local hub = kit.hub { methods = { Count = function()
      n = n + 1
      return n
    end, Fail = function() error "x" end }, on_error = function() end }
    local c = kit.client(hub)
    for _, target in ipairs { "Count", "Fail", "None" } do
      c:say { type = 1, target = target, arguments = {} }
    end
    c:expect_nothing()
    assert.same({ 1, 2, 3 }, { n, hub:stats().errors, hub:stats().invocations })
  end)
end)

describe("filters", function()
  after_each(kit.cleanup)

  it("stand around what comes and goes, each in its place", function()
    local log = {}
    local function note(...) log[#log + 1] = table.concat({ ... }, " ") end
    local function filter(name)
      local own = {}
      for _, hook in ipairs { "connected", "disconnected" } do
        own[hook] = function(_, next_one, why)
          note(name, hook, why or "")
          next_one()
          note(name, "behind")
        end
      end
      return own
    end
    local hub = kit.hub { filters = { filter "1", {}, filter "2", filter "3" },
      on_connected = function() note "connected" end,
      on_disconnected = function(_, why) note("disconnected", why) end }
    local c = kit.client(hub)
    assert.same({ "1 connected ", "2 connected ", "3 connected ", "connected",
      "3 behind", "2 behind", "1 behind" }, log)
    log = {}
    c:lose()
    local why = "connection lost"
    assert.same({ "1 disconnected " .. why, "2 disconnected " .. why,
      "3 disconnected " .. why, "disconnected " .. why, "3 behind", "2 behind",
      "1 behind" }, log)
  end)

  it("stand around each call, and those without one are passed over",
    function()
      local log = {}
      local function filter(name)
        return { invoke = function(call, next_one)
          log[#log + 1] = name
          return next_one(call) .. name
        end }
      end
      local c = kit.client(kit.hub { filters = { filter "1", {}, filter "2",
        filter "3" }, methods = { Say = function(_, x) return x end } })
      assert.equal("x321", c:invoke("Say", "x"))
      assert.same({ "1", "2", "3" }, log)
    end)
end)

describe("an answer that comes late", function()
  for _, protocol in ipairs { "json", "messagepack" } do
    it("is counted as any other: " .. protocol, function()
      sim.new { delay = 0 }:run(function(net)
        local hub = signalr.hub { keepalive_interval = false, methods = {
          Late = function(_, x)
            ws.sleep(1)
            return x
          end, Soon = function(_, x) return x end } }
        ws.listen { port = 5000, routes = hub:routes "/hub" }
        local conn = net:connect "ws://localhost:5000/hub"
        conn:send(('{"protocol":"%s","version":1}\30'):format(protocol))
        assert.equal("{}\30", conn:receive())
        local records, bytes = hub:stats().records_out, hub:stats().bytes_out
        local n = 0
        -- one after the other, then all at once: those wait for a slot
        for _, targets in ipairs { { "Late" }, { "Soon" }, { "Late", "Soon",
          "Late", "Soon" } } do
          for _, target in ipairs(targets) do
            n = n + 1
            if protocol == "json" then
              conn:send(('{"type":1,"invocationId":"%d","target":"%s",'
                .. '"arguments":["x"]}\30'):format(n, target))
            else
              conn:send(kit.framed(messagepack.encode { 1, messagepack.map {},
                tostring(n), target, { "x" }, {} }), "binary")
            end
          end
          for _ = 1, #targets do
            records, bytes = records + 1, bytes + #conn:receive()
          end
          local stats = hub:stats()
          assert.same({ records, bytes, n, n }, { stats.records_out,
            stats.bytes_out, stats.invocations, stats.records_in })
        end
      end)
    end)
  end
end)
