-- A process that begins (src/engine/redis.c, bus_link.c, bus.c): nothing was
-- allocated before, so what fails here fails nowhere else. Each is a process of
-- its own, with a real redis-server.

local t = require "spec.helper"
local redis = require "spec.helper.redis"
local child = require "spec.helper.child"
local core = require "evws.core"

local ws = t.ws

if redis.is_missing "a process that begins with a backplane" then return end

describe("a process that begins with a backplane", function()
  local db

  before_each(function()
    redis.quiet()
    db = redis.start()
  end)

  after_each(redis.cleanup)

  local head = [[
    local url, port = %q, %d
    local core, faults = require "evws.core", probe.faults
    assert(faults.is_on())
    local reasons = {}
    ws.log = function(_, event, fields)
      if event == "backplane_lost" then
        reasons[#reasons + 1] = fields.reason
      end
    end
    local function new(more)
      local o = { url = url, timeout = 60, on_presence = function() end,
        reconnect = { initial = 0.01, maximum = 0.02 } }
      for name, value in pairs(more or {}) do o[name] = value end
      return ws.backplane(o)
    end
    local function up(bus)
      wait(function() return bus.state == "up" end)
      return bus
    end
  ]]

  local function run(script, ...)
    return child.run(head:format(db.url, db.port) .. script:format(...),
      { faults = true })
  end

  -- The n-th allocation, or all from it on; k timers are set already, so that
  -- there is room for some more at times, and at times for none.
  local function without_memory(n, every, k)
    return run([[
      for _ = 1, %d do ws.every(600, function() end) end
      local server
      core.fail_at(%d, %s)
      local ok, bus = pcall(new)
      if ok then
        for _ = 1, 20 do ws.step(0.001) end
        ok, server = pcall(ws.listen, { port = 0, backplane = bus,
          history = { ["*"] = { size = 3, ttl = 600 } } })
        if ok and server then
          pcall(server.hear, server, "a", function() end)
          pcall(server.publish, server, "a", "x")
        end
        for _ = 1, 5 do ws.step(0.001) end
      end
      core.fail_at(0)
      if not ok then assert((server or bus):find "not enough memory") end
      if type(bus) == "string" then bus = new() end
      up(bus)
      local s = assert(ws.listen { port = 0, backplane = bus,
        history = { ["*"] = { size = 3, ttl = 600 } } })
      ws.run(function()
        local offset
        repeat
          offset = s:publish("b", "x", "text", { wait = 60 })
        until offset
        log("kept", offset, #s:history "b")
        s:close()
        if server and type(server) ~= "string" then server:close() end
        ws.stop()
      end)
    ]], k, n, every)
  end

  it("comes to it, whatever failed first", function()
    if not core.fail_at then return pending "built without WS_FAULT" end
    for n = 1, 40 do
      local lines = without_memory(n, n % 5 == 0, 0)
      assert.same({ "kept 1 1" }, lines)
      db:ask "FLUSHALL"
    end
  end)

  it("comes to it, wherever there was no room for a timer", function()
    if not core.fail_at then return pending "built without WS_FAULT" end
    for k = 13, 16 do
      for n = 1, 10 do
        assert.same({ "kept 1 1" }, without_memory(n, false, k))
        db:ask "FLUSHALL"
      end
    end
  end)

  it("tells what its library cannot do, and tries again", function()
    assert.same({ "out of memory", "up" }, run [[
      faults.fail("redisReaderCreate", 1)
      up(new())
      log(reasons[1])
      log "up"
    ]])
    assert.same({ "out of memory", "true" }, run [[
      faults.fail("SSL_new", 1)
      local bus = ws.backplane { url = "rediss://127.0.0.1:" .. port,
        reconnect = { initial = 0.01, maximum = 0.02 } }
      wait(function() return #reasons > 1 end)
      log(reasons[1])
      log(bus.state == "away" or bus.state == "connecting")
    ]])
  end)

  it("is away where a descriptor is watched no more, and comes back",
    function()
      local lines = run [[
        for j = 0, 23 do
          local bus = new()
          for _ = 1, j // 8 do ws.step(0.001) end
          faults.refuse_watch(2 + (j & 7), 28) -- and who asks why
          for _ = 1, 5 do ws.step(0.001) end
          faults.refuse_watch(0)
          up(bus)
          bus:close()
        end
        for _, why in ipairs(reasons) do
          assert(why:find "watched descriptors" or why:find "No space left",
            why)
        end
        log(#reasons > 0)
      ]]
      assert.same({ "true" }, lines)
    end)

  it("raises, or goes on, where there is no chance", function()
    local lines = run [[
      local first = up(new())
      local server = ws.listen { port = 0, backplane = first,
        history = { ["*"] = { size = 3, ttl = 600 } } }
      local raised, given, list = 0, 0, {}
      faults.fail("getrandom", 1, 5, true)
      for i = 1, 120 do
        local ok, bus = pcall(new)
        if ok then
          list[#list + 1] = bus
        else
          assert(bus:find "not enough memory", bus)
          raised = raised + 1
        end
        local n, why = server:publish("topic " .. i, "x")
        assert(n or why == "out of memory", why)
        if not n then given = given + 1 end
        local done, reason = server:reset("topic " .. i)
        assert(done or reason == "out of memory", reason)
      end
      log(raised > 0, given > 0)
      for _, bus in ipairs(list) do bus:close() end
      for _ = 1, 50 do ws.step(0.001) end
      faults.fail("getrandom", 0)
      ws.run(function()
        assert(first:wait(60))
        local offset
        repeat
          offset = server:publish("b", "x", "text", { wait = 60 })
        until offset
        log(offset, #server:history "b")
        server:close()
        ws.stop()
      end)
    ]]
    assert.same({ "true true", "1 1" }, lines)
  end)

  it("gives up on who does not even take the connection", function()
    local listener <close> = assert(t.probe.listen("127.0.0.1", 0, 0))
    local held = {}
    for i = 1, 4 do
      held[i] = t.probe.connect { host = "127.0.0.1", port = listener.port }
    end
    local why
    ws.log = function(_, event, fields)
      if event == "backplane_lost" then why = fields.reason end
    end
    local bus = redis.backplane { timeout = 0.05,
      url = "redis://127.0.0.1:" .. listener.port }
    t.wait(function() return why end, "the end of an attempt", 20)
    assert.equal("timeout", why)
    assert.is_true(bus.state ~= "up")
    for _, socket in pairs(held) do socket:close() end
  end)

  it("that runs for more than three years goes on", function()
    local lines = run [[
      local bus = up(new { ping_interval = 1e7, presence_ttl = 1e7 })
      faults.shift(0, 110000000)
      for _ = 1, 10 do ws.step(0.001) end
      up(bus)
      ws.run(function()
        local people
        repeat people = bus:presence "hall" until people
        log(#people, bus.state)
        ws.stop()
      end)
    ]]
    assert.same({ "0 up" }, lines)
  end)
end)
