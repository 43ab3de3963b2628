-- Messages of a history that are here before it has been read (src/engine/
-- kept.c, kept_sync.c): a real redis-server, and somebody in between who holds
-- the answer to the reading back.

local t = require "spec.helper"
local redis = require "spec.helper.redis"
local relay = require "spec.helper.relay"
local core = require "evws.core"

if redis.is_missing "messages ahead of their history" then return end

describe("messages ahead of their history", function()
  local db, between, far, near

  local function process(url)
    local self = { conns = {} }
    self.bus = redis.bus { url = url, timeout = 60,
      reconnect = { initial = 0.001, maximum = 0.002, jitter = 0 } }
    self.server = t.listen { backplane = self.bus, max_queued = false,
      max_message = false,
      history = { ["room/*"] = { size = 100, ttl = 60 } },
      on_open = function(conn) self.conns[#self.conns + 1] = conn end }
    return self
  end

  before_each(function()
    redis.quiet()
    db = redis.start()
    between = relay.between { unix = db.path }
    far = process(db.url)
    near = process("redis://127.0.0.1:" .. between.port)
  end)

  after_each(function()
    if core.fail_at then core.fail_at(0) end
    redis.cleanup()
    relay.cleanup()
  end)

  local function keep(self, topic, message)
    local offset = t.pump(self.server.publish, self.server, topic, message,
      "text", { wait = 60 })
    assert.is_number(offset)
    return offset
  end

  -- Two who have subscribed, while the answer to the reading waits.
  local function held(topic)
    local one, one_raw = redis.join(near)
    local two, two_raw = redis.join(near)
    between.hold = "XRANGE"
    one:subscribe(topic)
    two:subscribe(topic)
    t.wait(function() return between.has_held end, "the answer", 20)
    return one, one_raw, two, two_raw
  end

  local function received()
    return near.server:stats().backplane.received
  end

  local function arrive(n, publish)
    local before = received()
    publish()
    t.wait(function() return received() >= before + n end, "them", 20)
  end

  local function release() between.hold = nil end

  it("are given behind it, but to who has published them", function()
    local one, raw, _, other = held "room/1"
    arrive(3, function()
      one:publish("room/1", "mine")
      one:publish("room/1", "")
      near.server:publish("room/1", "ours", "binary", { meta = "x" })
    end)
    release()
    other:expect_frame("text", "mine", 20)
    other:expect_frame("text", "", 20)
    other:expect_frame("binary", "ours", 20)
    raw:expect_frame("binary", "ours", 20)
    keep(far, "room/1", "more")
    raw:expect_frame("text", "more", 20)
    other:expect_frame("text", "more", 20)
    local list = t.pump(near.server.history, near.server, "room/1")
    assert.same({ "mine", "", "ours", "more" }, { list[1].message,
      list[2].message, list[3].message, list[4].message })
    assert.equal("x", list[3].meta)
  end)

  it("are read where the connection is lost before the answer", function()
    local one, raw, _, other = held "room/1"
    arrive(1, function() one:publish("room/1", "mine") end)
    arrive(1, function() keep(far, "room/1", "theirs") end)
    between:drop()
    release()
    t.wait(function() return near.bus.state ~= "up" end, "the loss", 20)
    t.wait(function() return near.bus.state == "up" end, "it to be back", 20)
    -- what was there when they came may be old to them, and is not lost
    local list = t.pump(near.server.history, near.server, "room/1")
    assert.same({ 2, "mine", "theirs" }, { #list, list[1].message,
      list[2].message })
    keep(far, "room/1", "more")
    for _, client in ipairs { raw, other } do
      local f
      repeat f = client:frame(20) until f.payload == "more"
      client:expect_silence()
    end
  end)

  it("are read where they are too many to be kept", function()
    local _, raw, _, other = held "room/1"
    local text = ("x"):rep(150000)
    arrive(12, function()
      for i = 1, 12 do keep(far, "room/1", i .. text) end
    end)
    release()
    for i = 1, 12 do
      raw:expect_frame("text", i .. text, 20)
      other:expect_frame("text", i .. text, 20)
    end
    keep(far, "room/1", "more")
    raw:expect_frame("text", "more", 20)
    other:expect_frame("text", "more", 20)
  end)

  it("are nothing where the history has begun anew since", function()
    keep(far, "room/1", "of before")
    local _, raw, _, other = held "room/1"
    arrive(2, function()
      assert.is_true(far.server:reset "room/1")
      keep(far, "room/1", "of now")
    end)
    release()
    raw:expect_frame("text", "of now", 20)
    other:expect_frame("text", "of now", 20)
    raw:expect_silence()
    local list, at = t.pump(near.server.history, near.server, "room/1")
    assert.same({ 1, "of now", 1 }, { #list, list[1].message, at.offset })
    local _, there = t.pump(far.server.history, far.server, "room/1")
    assert.equal(there.epoch, at.epoch)
  end)

  it("are of an epoch that is over, and read anew", function()
    local _, raw, _, other = held "room/1"
    arrive(1, function() keep(far, "room/1", "of before") end)
    -- as if another process had done it, and its word were lost
    db:ask("DEL", "evws:s:room/1")
    db:ask("DEL", "evws:m:room/1")
    release()
    raw:expect_frame("text", "of before", 20)
    keep(far, "room/1", "of now")
    raw:expect_frame("text", "of now", 20)
    other:expect_frame("text", "of before", 20)
    other:expect_frame("text", "of now", 20)
    assert.equal(1, #t.pump(near.server.history, near.server, "room/1"))
  end)

  -- The answer to a reading that was for others.
  local function left_again()
    local one, _, two = held "room/1"
    one:unsubscribe "room/1"
    two:unsubscribe "room/1"
    return one
  end

  local function answered()
    release()
    t.pump(near.server.presence, near.server, "nobody")
  end

  it("are not all of them for who asks when the others have left", function()
    left_again()
    answered()
    for i = 1, 3 do keep(far, "room/1", "m" .. i) end
    local list = t.pump(near.server.history, near.server, "room/1")
    assert.equal(3, #list)
  end)

  it("are not all of them for who comes back behind others", function()
    left_again()
    for i = 1, 3 do keep(far, "room/1", "m" .. i) end
    local conn, raw = redis.join(near)
    local found
    t.ws.spawn(function()
      found = conn:subscribe("room/1", { recover = { offset = 1 }, wait = 60 })
    end)
    t.turn(0)
    answered()
    t.wait(function() return found end, "him", 20)
    assert.same({ true, 3 }, { found.recovered, found.offset })
    for i = 2, 3 do raw:expect_frame("text", "m" .. i, 20) end
    raw:expect_silence()
  end)

  it("are nothing new for who comes behind others that have left", function()
    left_again()
    for i = 1, 3 do keep(far, "room/1", "m" .. i) end
    local conn, raw = redis.join(near)
    -- what was on its way has come before that
    assert(t.pump(conn.subscribe, conn, "fence", { wait = 60 }))
    conn:subscribe "room/1"
    t.turn(0)
    answered()
    t.pump(near.server.history, near.server, "room/1")
    keep(far, "room/1", "new")
    raw:expect_frame("text", "new", 20)
    raw:expect_silence()
  end)

  it("are for nobody where the server has closed", function()
    local servers = {}
    for i = 1, 3 do
      servers[i] = t.listen { backplane = near.bus,
        history = { ["room/*"] = { size = 9, ttl = 60 } } }
      servers[i]:hear("room/1", function() end)
    end
    held "room/1"
    between.hold = "XRANGE"
    for i = 1, 3 do servers[i]:hear("room/2", function() end) end
    t.turn()
    for i = 1, 3 do servers[i]:close() end
    keep(far, "room/1", "m")
    release()
    t.wait(function()
      local list = t.pump(near.server.history, near.server, "room/1")
      return list and #list == 1
    end, "the history", 20)
  end)

  it("come once each, though there is no memory for some", function()
    if not core.fail_at then return pending "built without WS_FAULT" end
    for n = 1, 40 do
      local topic = "room/m" .. n
      local one, raw, two, other = held(topic)
      core.fail_at(n // 2 + 1, n % 2 == 0)
      for i = 1, 3 do
        pcall(one.publish, one, topic, "mine " .. i)
        for _ = 1, 3 do t.turn(0) end
        db:ask "PING"
      end
      for _ = 1, 5 do t.turn(0) end
      core.fail_at(0)
      release()
      t.wait(function() -- where the connection was lost, too
        return t.pump(near.server.history, near.server, topic)
      end, "the reading", 20)
      local count = keep(far, topic, "the last one")
      t.wait(function()
        local list = t.pump(near.server.history, near.server, topic)
        return list and #list == count
      end, "the history", 20)
      if two.state == "open" then
        local last, f = 0
        repeat
          f = other:frame(20)
          local i = tonumber(f.payload:match "^mine (%d)$")
          assert.is_true(not i or i > last)
          last = i or last
        until f.payload == "the last one"
      end
      raw:close()
      other:close()
    end
  end)
end)
