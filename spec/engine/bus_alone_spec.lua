-- What a backplane tells by itself: on_presence in a process without a server,
-- and bus:history, with a real redis-server.

local t = require "spec.helper"
local redis = require "spec.helper.redis"
local ws = t.ws

if redis.is_missing "a backplane alone" then return end

describe("a backplane alone", function()
  local db

  before_each(function()
    redis.quiet()
    db = redis.start()
  end)

  after_each(redis.cleanup)

  local function open_bus(options)
    local o = { url = db.url }
    for name, value in pairs(options or {}) do o[name] = value end
    return redis.bus(o)
  end

  -- One who notes what it is told.
  local function listener(fn)
    local self = { told = {} }
    self.bus = open_bus { on_presence = function(topic, change, id, info, key)
      self.told[#self.told + 1] = table.concat({ change, topic, id, info,
        key }, " ")
      if fn then fn() end
    end }
    t.wait(function()
      return db:ask("PUBSUB", "NUMSUB", "evws:t:\0w")[2] > 0
    end, "its subscription")
    return self
  end

  local function told(self, expected)
    t.wait(function() return #self.told >= #expected end, "what is told", 20)
    assert.same(expected, self.told)
  end

  local function serve(bus, options)
    local self = { conns = {} }
    local o = { backplane = bus, on_open = function(conn)
      self.conns[#self.conns + 1] = conn
    end }
    for name, value in pairs(options or {}) do o[name] = value end
    self.server = t.listen(o)
    return self
  end

  local function enter(self, topic, presence)
    local n = #self.conns
    t.open(self.server)
    t.wait(function() return self.conns[n + 1] end)
    local conn = self.conns[n + 1]
    assert(conn:subscribe(topic, { presence = presence }))
    return conn
  end

  it("is told who comes and goes, in all topics and processes", function()
    local one = listener()
    local process = serve(open_bus())
    local ann = enter(process, "a", { id = "1", info = "Ann" })
    told(one, { "join a 1 Ann 1" })
    local bob = enter(process, "b\0", { id = "2", key = "bob" })
    ann:unsubscribe "a"
    told(one, { "join a 1 Ann 1", "join b\0 2  bob", "leave a 1 Ann 1" })
    bob:close()
    told(one, { "join a 1 Ann 1", "join b\0 2  bob", "leave a 1 Ann 1",
      "leave b\0 2  bob" })
  end)

  it("is told beside its servers, each once, of its own people too", function()
    local one, list = listener(), {}
    local process = serve(one.bus, { on_presence = function(topic, change)
      list[#list + 1] = change .. " " .. topic
    end })
    enter(process, "a", { id = "1" }):unsubscribe "a"
    told(one, { "join a 1  1", "leave a 1  1" })
    t.wait(function() return #list == 2 end, "the server to be told", 20)
    assert.same({ "join a", "leave a" }, list)
  end)

  it("may wait, fail and close it there", function()
    local one, failed = nil, 0
    ws.on_error(function() failed = failed + 1 end)
    local process = serve(open_bus())
    one = listener(function()
      local n = #one.told
      ws.sleep(0)
      if n == 2 then error "x" end
      if n == 3 then one.bus:close() end
    end)
    for i = 1, 3 do enter(process, "t" .. i, { id = "1" }) end
    t.wait(function() return tostring(one.bus):find "closed" end, "its end",
      20)
    t.wait(function() return failed == 1 end, "the error", 20)
    enter(process, "t4", { id = "1" })
    assert.equal(4, #t.pump(function()
      return { process.server:presence "t1", process.server:presence "t2",
        process.server:presence "t3", process.server:presence "t4" }
    end))
    assert.equal(3, #one.told)
    ws.on_error(nil)
  end)

  it("is told on after a loss", function()
    local one = listener()
    local process = serve(open_bus())
    enter(process, "a", { id = "1" })
    told(one, { "join a 1  1" })
    db:ask("CLIENT", "KILL", "TYPE", "pubsub")
    t.wait(function()
      return db:ask("PUBSUB", "NUMSUB", "evws:t:\0w")[2] > 0
        and one.bus.state == "up"
    end, "it to be back", 20)
    enter(process, "b", { id = "2" })
    told(one, { "join a 1  1", "join b 2  2" })
  end)

  it("reads the history as a server does", function()
    local bus, other = open_bus(), open_bus()
    assert.same({ nil, "not kept" }, { bus:history "room/1" })
    local rules = { ["room/*"] = { size = 3, ttl = 60 } }
    local process = serve(bus, { history = rules })
    serve(bus)
    for i = 1, 4 do
      t.pump(process.server.publish, process.server, "room/1", "m" .. i,
        "text", { wait = 20 })
    end
    local list, at = t.pump(bus.history, bus, "room/1")
    assert.same({ t.pump(process.server.history, process.server, "room/1") },
      { list, at })
    assert.same({ 3, 4, "m4" }, { #list, at.offset, list[3].message })
    assert.same({ { offset = 4, message = "m4", kind = "text" } },
      (t.pump(bus.history, bus, "room/1", { limit = 1, reverse = true })))
    assert.same({ nil, "not kept" }, { bus:history "other" })
    assert.same({ nil, "not kept" }, { other:history "room/1" })
    assert.has_error(function() bus:history() end)
    local ok, why = pcall(bus.history, bus, "room/1", { sinc = 1 })
    assert.is_false(ok)
    t.contains(why, "did you mean 'since'?")
    bus:close()
    assert.same({ nil, "closed" }, { bus:history "room/1" })
  end)

  it("takes no on_presence but a function", function()
    local ok, why = pcall(ws.backplane, { url = db.url, on_presence = 1 })
    assert.is_false(ok)
    t.contains(why, "bad option 'on_presence'")
  end)
end)
