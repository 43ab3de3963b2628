-- Redis' replies cut at every byte (spec/helper/relay.lua stands in between):
-- of coming back, of reading what was missed, and of reading a history for the
-- first time. Nothing is lost, comes twice or in another order. And one that is
-- old when it comes.

local t = require "spec.helper"
local redis = require "spec.helper.redis"
local relay = require "spec.helper.relay"

if redis.is_missing "a reply of Redis that is cut" then return end

local most = 1500 -- bytes, if a reply is longer than is thought

describe("a reply of Redis that is cut", function()
  local db, between

  before_each(function()
    redis.quiet()
    db = redis.start()
    between = relay.between { unix = db.path }
  end)

  after_each(function()
    redis.cleanup()
    relay.cleanup()
  end)

  local function process(url)
    local bus = redis.bus { url = url,
      reconnect = { initial = 0.001, maximum = 0.002, jitter = 0 } }
    local self = { bus = bus, conns = {} }
    self.server = t.listen { backplane = bus, max_queued = false,
      history = { ["room/*"] = { size = 5000, ttl = 60 } },
      on_open = function(conn) self.conns[#self.conns + 1] = conn end }
    return self
  end

  local function behind()
    return process("redis://127.0.0.1:" .. between.port)
  end

  local function enter(self)
    local raw, n = t.open(self.server), #self.conns
    t.wait(function() return self.conns[n] end)
    return self.conns[n], raw
  end

  local function publish(self, topic, message)
    local offset, epoch = t.pump(self.server.publish, self.server, topic,
      message, "text", { wait = 20 })
    assert.is_number(offset)
    return offset, epoch
  end

  -- How many bytes of Redis it takes to come back, and to be in step again.
  local function measure(self)
    local function reconnects()
      return self.server:stats().backplane.reconnects
    end
    local before, times = between.passed, reconnects()
    between:drop()
    t.wait(function()
      return reconnects() > times and self.bus.state == "up"
    end, "it to be back", 20)
    t.pump(self.server.history, self.server, "room/1")
    return between.passed - before
  end

  it("costs nobody a message, who was there or comes meanwhile", function()
    local far, near = process(db.url), behind()
    local conn, raw = enter(near)
    local _, epoch = publish(far, "room/1", "1")
    assert(t.pump(conn.subscribe, conn, "room/1",
      { recover = { offset = 1, epoch = epoch } }))
    local n = 1
    local function more(k)
      for _ = 1, k do
        n = n + 1
        assert.equal(n, publish(far, "room/1", tostring(n)))
      end
    end
    local function receive(from, first)
      for i = first, n do from:expect_frame("text", tostring(i), 20) end
    end
    more(2)
    receive(raw, 2)
    local bytes = math.min(measure(near) + 300, most)
    assert.is_true(bytes > 300)
    for at = 1, bytes do
      between:drop()
      local first = n + 1
      more(2)
      between.left = at
      local late, late_raw
      if at % 4 == 0 then -- somebody who comes back meanwhile
        late, late_raw = enter(near)
        local found = t.pump(late.subscribe, late, "room/1",
          { recover = { offset = first - 1, epoch = epoch } })
        assert.is_true(found.recovered)
      end
      local list, now
      t.wait(function() -- it may not have heard yet of what was cut
        list, now = t.pump(near.server.history, near.server, "room/1",
          { since = { offset = first - 1, epoch = epoch } })
        return list and now.offset == n
      end, "all", 20)
      assert.same({ n - first + 1, n, epoch },
        { #list, now.offset, now.epoch })
      for i, one in ipairs(list) do
        assert.equal(tostring(first - 1 + i), one.message)
      end
      receive(raw, first)
      if late then
        receive(late_raw, first)
        late:close()
        late_raw:close()
      end
      if between.left then -- it was all read: what comes now is cut
        more(1)
        receive(raw, n)
        between.left = nil
      end
    end
    raw:expect_silence()
  end)

  it("is read again where a history is read for the first time", function()
    local far, near = process(db.url), behind()
    for i = 1, 3 do publish(far, "room/0", "m" .. i) end
    local before = between.passed
    assert.equal(3, #t.pump(near.server.history, near.server, "room/0"))
    local bytes = math.min(between.passed - before + 2, most)
    for at = 1, bytes do
      local topic = "room/" .. at
      local _, epoch
      for i = 1, 3 do _, epoch = publish(far, topic, "m" .. i) end
      between.left = at
      local list, now = t.pump(near.server.history, near.server, topic)
      assert.same({ 3, 3, epoch }, { #list, now.offset, now.epoch })
      for i = 1, 3 do assert.equal("m" .. i, list[i].message) end
      between.left = nil
      t.wait(function() return near.bus.state == "up" end, "it", 20)
    end
  end)

  it("is not all where somebody has been told of more", function()
    local far, near = process(db.url), behind()
    local _, epoch
    for i = 1, 3 do _, epoch = publish(far, "room/1", "m" .. i) end
    local one, other = enter(near), enter(near)
    local found = {}
    local function come(conn, since)
      t.ws.spawn(function()
        found[conn] = conn:subscribe("room/1", { wait = 100,
          recover = { offset = since, epoch = epoch } })
      end)
    end
    between.hold = "XRANGE"
    come(one, 3)
    t.wait(function() return between.has_held end, "an answer of Redis", 20)
    -- What is kept now is in no answer of before, and nobody is told of it.
    local kept = db:ask("XRANGE", "evws:s:room/1", "3-0", "3-0")[1][2][2]
    local at = assert(kept:find(("\0"):rep(7) .. "\3" .. string.char(#epoch)
      .. epoch, 1, true))
    kept = kept:sub(1, at + 6) .. "\4" .. kept:sub(at + 8, -3) .. "m4"
    db:ask("HSET", "evws:m:room/1", "t", "4")
    db:ask("XADD", "evws:s:room/1", "4-0", "m", kept)
    come(other, 4)
    t.turn(0)
    between.hold = nil
    t.wait(function() return found[one] and found[other] end, "both", 20)
    assert.same({ true, 4 }, { found[other].recovered, found[other].offset })
    assert.is_true(found[one].recovered)
  end)
end)
