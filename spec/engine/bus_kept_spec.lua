-- Histories in Redis (src/engine/bus_kept.c, kept_sync.c), against a real
-- redis-server: one order for all processes, and nothing lost between them.
-- Two backplanes in this process stand for two processes.

local t = require "spec.helper"
local redis = require "spec.helper.redis"
local ws = t.ws

if redis.is_missing "a history in Redis" then return end

local rules = { ["room/*"] = { size = 100, ttl = 60 } }
describe("a history in Redis", function()
  local db

  before_each(function()
    redis.quiet()
    db = redis.start()
  end)

  after_each(redis.cleanup)

  -- A process: a backplane and a server of its own.
  local function process(history)
    local bus = redis.bus { url = db.url }
    local self = { bus = bus, conns = {} }
    self.server = t.listen { backplane = bus, history = history or rules,
      max_queued = false,
      on_open = function(conn) self.conns[#self.conns + 1] = conn end }
    return self
  end

  local function open(self)
    local raw = t.open(self.server)
    local n = #self.conns
    t.wait(function() return #self.conns > n - 1 and self.conns[n] end)
    return self.conns[#self.conns], raw
  end

  local function subscribe(self, topic, options)
    local conn, raw = open(self)
    local got = t.pump(conn.subscribe, conn, topic, options)
    return raw, got, conn
  end

  local function texts(list)
    local out = {}
    for i, entry in ipairs(list) do out[i] = entry.message end
    return out
  end

  local function read(self, topic, options)
    return t.pump(self.server.history, self.server, topic, options)
  end

  it("is read on for who has seen more than has come here yet", function()
    local a = process()
    local _, at = subscribe(a, "room/1", { recover = {} })
    for i = 1, 3 do a.server:publish("room/1", "m" .. i) end
    t.wait(function() return #read(a, "room/1") == 3 end)
    local function ahead(offset, text) -- kept, and on its way here
      db:ask("HINCRBY", "evws:m:room/1", "t", "1")
      local list = db:ask("XRANGE", "evws:s:room/1", "1-0", "1-0")
      local bytes = list[1][2][2]:gsub("m1$", text)
        :gsub(("\0"):rep(7) .. "\1", ("\0"):rep(7) .. string.char(offset))
      db:ask("XADD", "evws:s:room/1", offset .. "-0", "m", bytes)
    end
    ahead(4, "m4")
    ahead(5, "m5")
    local epoch = at.epoch
    local raw, found = subscribe(a, "room/1",
      { recover = { offset = 4, epoch = epoch } })
    assert.same({ true, 5 }, { found.recovered, found.offset })
    assert.equal("m5", raw:frame().payload)
    -- nobody has ever been told of that
    _, found = subscribe(a, "room/1",
      { recover = { offset = 9, epoch = epoch } })
    assert.same({ false, 5 }, { found.recovered, found.offset })
    _, found = subscribe(a, "room/1",
      { recover = { offset = 9, epoch = "another!" } })
    assert.is_false(found.recovered)
  end)

  it("has one order for all, and is kept once", function()
    local a, b = process(), process()
    local one = subscribe(a, "room/1", { recover = {} })
    local two = subscribe(b, "room/1", { recover = {} })
    local expected = {}
    for i = 1, 20 do
      local from = i % 2 == 0 and a or b
      assert.is_true(from.server:publish("room/1", "m" .. i))
    end
    local list
    t.wait(function()
      list = read(a, "room/1")
      return #list == 20
    end)
    for i, entry in ipairs(list) do
      assert.equal(i, entry.offset)
      expected[i] = entry.message
    end
    assert.same(expected, texts(read(b, "room/1")))
    for i = 1, 20 do
      one:expect_frame("text", expected[i])
      two:expect_frame("text", expected[i])
    end
    one:expect_silence()
    two:expect_silence()
  end)

  it("recovers in another process, and in one that begins", function()
    local a = process()
    local _, found = subscribe(a, "room/1", { recover = {} })
    assert.equal(0, found.offset)
    for i = 1, 5 do
      a.server:publish("room/1", "m" .. i, "text", { meta = "x" .. i })
    end
    t.wait(function() return #read(a, "room/1") == 5 end)
    local b = process()
    local raw, got = subscribe(b, "room/1",
      { recover = { offset = 2, epoch = found.epoch } })
    assert.same({ recovered = true, offset = 5, epoch = found.epoch,
      missed = 3 }, got)
    for i = 3, 5 do raw:expect_frame("text", "m" .. i) end
    a.server:publish("room/1", "m6")
    raw:expect_frame("text", "m6")
    assert.equal("x4", read(b, "room/1")[4].meta)
    local _, other = subscribe(b, "room/1",
      { recover = { offset = 2, epoch = "another" } })
    assert.is_false(other.recovered)
  end)

  it("is one read of Redis for a thousand who come back", function()
    local a = process()
    local _, found = subscribe(a, "room/1", { recover = {} })
    for i = 1, 5 do a.server:publish("room/1", "m" .. i) end
    t.wait(function() return #read(a, "room/1") == 5 end)
    local b, got, n = process(), {}, 0
    local conn = open(b)
    local function reads()
      return db:ask("INFO", "commandstats"):match "cmdstat_eval:calls=(%d+)"
    end
    local before = reads()
    for i = 1, 1000 do
      ws.spawn(function()
        got[i] = conn:subscribe("room/1", {
          recover = { offset = i % 5, epoch = found.epoch },
          joined = function() n = n + 1 end })
      end)
    end
    t.wait(function() return n == 1000 end, "all of them")
    assert.equal(1, reads() - before)
    for i = 1, 1000 do
      assert.is_true(got[i].recovered)
      assert.equal(5 - i % 5, #got[i].missed)
    end
  end)

  it("tells where a message is to who waits, or that nobody knows", function()
    local a = process()
    local conn = open(a)
    assert.is_true(a.server:publish("room/1", "m1"))
    local offset, epoch = t.pump(a.server.publish, a.server, "room/1", "m2",
      "text", { wait = 5 })
    assert.equal(2, offset)
    assert.same({ 3, epoch }, { t.pump(conn.publish, conn, "room/1", "m3",
      "text", { wait = 5 }) })
    assert.equal(epoch, select(2, read(a, "room/1")).epoch)
    local results = {}
    for i = 1, 50 do
      ws.spawn(function()
        results[i] = a.server:publish("room/1", "n" .. i, "text",
          { wait = 5 })
      end)
    end
    t.wait(function() return results[50] end)
    for i = 1, 50 do assert.equal(3 + i, results[i]) end
    db:signal "STOP"
    local told = {}
    for i, seconds in ipairs { 0.01, 5 } do
      ws.spawn(function()
        told[i] = { a.server:publish("room/1", "x", "text",
          { wait = seconds * t.factor }) }
      end)
    end
    t.wait(function() return told[1] end)
    assert.same({ nil, "timeout" }, told[1])
    db:signal "KILL"
    t.wait(function() return told[2] end)
    assert.same({ nil, "lost" }, told[2])
    t.wait(function() return a.bus.state == "away" end)
    assert.same({ nil, "backplane away" }, { t.pump(a.server.publish,
      a.server, "room/1", "y", "text", { wait = 5 }) })
  end)

  it("leaves out who publishes, here alone", function()
    local a, b = process(), process()
    local raw, _, conn = subscribe(a, "room/1", { recover = {} })
    local two = subscribe(b, "room/1", { recover = {} })
    assert.is_true(conn:publish("room/1", "mine"))
    a.server:publish("room/1", "ours")
    two:expect_frame("text", "mine")
    two:expect_frame("text", "ours")
    raw:expect_frame("text", "ours")
  end)

  it("loses nothing when the connections are cut, again and again",
    function()
      local a, b = process(), process()
      local raw = subscribe(b, "room/1", { recover = {} })
      local other = subscribe(a, "room/1", { recover = {} })
      local n, losses = 0, 0
      a.bus:on_state(function(state)
        if state == "away" then losses = losses + 1 end
      end)
      for round = 1, 10 do
        for _ = 1, 10 do
          if a.server:publish("room/1", "m" .. n + 1) then n = n + 1 end
        end
        -- what has been taken reaches Redis before the cut
        t.wait(function()
          return tonumber(db:ask("HGET", "evws:m:room/1", "t")) == n
        end)
        db:ask("CLIENT", "KILL", "TYPE", round % 2 == 0 and "pubsub"
          or "normal")
        t.wait(function() return losses == round end)
        t.wait(function() return a.server:publish("room/1", "r" .. round) end)
        n = n + 1
      end
      local k = 0
      for round = 1, 10 do
        for _ = 1, 10 do
          k = k + 1
          raw:expect_frame("text", "m" .. k + (round - 1))
          other:expect_frame("text", "m" .. k + (round - 1))
        end
        raw:expect_frame("text", "r" .. round)
        other:expect_frame("text", "r" .. round)
      end
      raw:expect_silence()
      other:expect_silence()
    end)

  it("says so when Redis is away, and goes on when it is back", function()
    local a = process()
    local raw = subscribe(a, "room/1", { recover = {} })
    db:signal "KILL"
    t.wait(function() return a.bus.state == "away" end)
    assert.same({ nil, "backplane away" }, { a.server:publish("room/1", "x") })
    assert.same({ nil, "timeout" }, { t.pump(function()
      return a.conns[1]:subscribe("room/2", { recover = {}, wait = 0.01 })
    end) })
    db:again()
    t.wait(function() return a.bus.state == "up" end)
    t.wait(function() return a.server:publish("room/1", "y") end)
    raw:expect_frame("text", "y")
  end)

  it("begins a new epoch by reset, and when Redis has lost all", function()
    local a, b = process(), process()
    local told = {}
    for i, one in ipairs { a, b } do
      one.server:view("v", function(m, _, about)
        return about.offset .. m
      end, { reset = function() return "reset" end })
      one.server:hear("room/1", function() end, { reset = function(about)
        told[i] = about.epoch
      end })
    end
    local raw, found = subscribe(a, "room/1", { recover = {}, view = "v" })
    local two = subscribe(b, "room/1", { recover = {}, view = "v" })
    for round, break_it in ipairs {
      function() assert.is_true(a.server:reset "room/1") end,
      function() db:ask "FLUSHALL" end } do
      a.server:publish("room/1", "x")
      raw:expect_frame("text", "1x")
      two:expect_frame("text", "1x")
      break_it()
      a.server:publish("room/1", "y")
      for _, one in ipairs { raw, two } do
        one:expect_frame("text", "reset")
        one:expect_frame("text", "1y")
      end
      t.wait(function() return told[1] and told[1] == told[2] end)
      assert.not_equal(found.epoch, told[1])
      local _, got = subscribe(b, "room/1",
        { recover = { offset = 0, epoch = found.epoch } })
      assert.is_false(got.recovered)
      if round == 1 then
        a.server:reset "room/1"
        raw:expect_frame("text", "reset")
        two:expect_frame("text", "reset")
        told = {}
      end
    end
  end)

  it("is as long as it may be, and is forgotten", function()
    local short = { ["room/*"] = { size = 3, ttl = 60 } }
    local a = process(short)
    local _, found = subscribe(a, "room/1", { recover = {} })
    for i = 1, 9 do a.server:publish("room/1", "m" .. i) end
    t.wait(function() return #read(a, "room/1") == 3 end)
    assert.equal(3, db:ask("XLEN", "evws:s:room/1"))
    assert.is_true(db:ask("PTTL", "evws:s:room/1") <= 60000)
    assert.is_true(db:ask("PTTL", "evws:m:room/1") > 60000)
    db:ask("DEL", "evws:s:room/1") -- as when its time is over
    local b = process(short)
    local _, got = subscribe(b, "room/1",
      { recover = { offset = 9, epoch = found.epoch } })
    assert.is_true(got.recovered)
    _, got = subscribe(b, "room/1",
      { recover = { offset = 8, epoch = found.epoch } })
    assert.is_false(got.recovered)
  end)

  it("takes what others publish without a place as it is", function()
    local a = process()
    local raw = subscribe(a, "room/1", { recover = {} })
    a.server:publish("room/1", "one")
    raw:expect_frame("text", "one")
    db:ask("PUBLISH", "evws:t:room/1", "from elsewhere")
    raw:expect_frame("text", "from elsewhere")
    a.server:publish("room/1", "two")
    raw:expect_frame("text", "two")
    assert.same({ "one", "two" }, texts(read(a, "room/1")))
  end)

  it("stamps of those only what is JSON", function()
    local one = process { ["room/*"] = { size = 5, ttl = 60, stamp = "json" } }
    local raw = subscribe(one, "room/1", { wait = t.limit * t.factor })
    for _, bytes in ipairs { "raw", "", "{", "1 2", "\xff", "1" } do
      db:ask("PUBLISH", "evws:t:room/1", bytes)
    end
    raw:expect_frame("text",
      '{"offset":0,"epoch":"","topic":"room/1","data":1}')
    one.server:publish("room/1", "2")
    t.contains(raw:frame().payload, '{"offset":1,')
  end)

  it("is not led astray by places that there are not", function()
    local a = process()
    local raw = subscribe(a, "room/1", { recover = {} })
    a.server:publish("room/1", "one")
    raw:expect_frame("text", "one")
    local first = db:ask("XRANGE", "evws:s:room/1", "-", "+")[1][2][2]
    local far = first:gsub("\0\1\10", "\99\1\10", 1)
    local other = first:gsub("\10%l%w", "\10zz", 1)
    local function reads()
      return tonumber(db:ask("INFO", "commandstats")
        :match "cmdstat_eval:calls=(%d+)")
    end
    local before = reads()
    db:ask("PUBLISH", "evws:t:room/1", far)
    db:ask("PUBLISH", "evws:t:room/1", other)
    a.server:publish("room/1", "two")
    raw:expect_frame("text", "two")
    raw:expect_silence()
    assert.is_true(reads() - before <= 6, reads() - before)
  end)

  it("is filled where a message is missing before one that comes",
    function()
      local a = process()
      local raw = subscribe(a, "room/1", { recover = {} })
      a.server:publish("room/1", "one")
      raw:expect_frame("text", "one")
      local stream = db:ask("XRANGE", "evws:s:room/1", "-", "+")
      local first = stream[1][2][2]
      -- as if two had been lost on its way, and three had come
      local function at(n) return first:gsub("\0\1\10", "\0" .. string.char(n)
        .. "\10", 1) end
      local two, three = at(2):gsub("one$", "two"), at(3):gsub("one$", "3!!")
      db:ask("XADD", "evws:s:room/1", "2-0", "m", two)
      db:ask("XADD", "evws:s:room/1", "3-0", "m", three)
      db:ask("HSET", "evws:m:room/1", "t", "3")
      db:ask("PUBLISH", "evws:t:room/1", three)
      raw:expect_frame("text", "two")
      raw:expect_frame("text", "3!!")
      db:ask("PUBLISH", "evws:t:room/1", two) -- twice is once
      a.server:publish("room/1", "four")
      raw:expect_frame("text", "four")
      raw:expect_silence()
    end)

  local function publish(self, topic, message)
    assert.is_number(t.pump(self.server.publish, self.server, topic, message,
      "text", { wait = 5 }))
  end

  for _, is_later in ipairs { true, false } do
    it("is nothing new to who comes after it"
      .. (is_later and ", a while after others have left" or ""), function()
      local a, b = process(), process()
      local raw, _, conn = subscribe(a, "room/1", { wait = 5 })
      publish(a, "room/1", "first")
      raw:expect_frame("text", "first")
      conn:unsubscribe "room/1"
      local function stats() return a.server:stats().backplane end
      t.wait(function() return not is_later or stats().subscriptions == 1 end)
      for i = 1, 3 do publish(b, "room/1", "old " .. i) end
      t.wait(function() return is_later or stats().received == 4 end)
      conn:subscribe "room/1"
      t.wait(function() return #read(a, "room/1") == 4 end)
      publish(b, "room/1", "new")
      raw:expect_frame("text", "new")
      raw:expect_silence()
    end)
  end

  it("is nothing new to who comes, though it is read in parts", function()
    local a = process()
    for i = 1, 90 do
      publish(a, "room/1", i .. ("x"):rep(200000)) -- above max_reply
    end
    local raw = subscribe(a, "room/1", { wait = 5 })
    t.wait(function() return #read(a, "room/1") == 90 end)
    publish(a, "room/1", "new")
    raw:expect_frame("text", "new")
    assert.equal(0, a.server:stats().backplane.reconnects)
    local c = process() -- and a subscriber that has missed all of it
    local late = subscribe(c, "room/1", { recover = { offset = 0 } })
    for i = 1, 90 do late:expect_frame("text", i .. ("x"):rep(200000)) end
    late:expect_frame("text", "new")
    late:expect_silence()
    assert.equal(0, c.server:stats().backplane.reconnects)
  end)

  it("is over, though what stands there is nothing, and long", function()
    local a = process()
    publish(a, "room/1", "one")
    for i = 2, 12 do
      db:ask("XADD", "evws:s:room/1", i .. "-0", "m", ("x"):rep(1000000))
    end
    db:ask("HSET", "evws:m:room/1", "t", "12")
    local raw = subscribe(a, "room/1", { wait = 5 })
    t.wait(function() return read(a, "room/1") end)
    publish(a, "room/1", "new")
    raw:expect_frame("text", "new")
    local calls = db:ask("INFO", "commandstats"):match "eval:calls=(%d+)"
    assert.is_true(tonumber(calls) < 10, calls)
  end)

  it("is there for who has subscribed just before", function()
    local a = process()
    local raw, _, conn = subscribe(a, "room/0", { wait = 5 })
    publish(a, "room/1", "old")
    local heard = {}
    for i = 1, 50 do
      conn:subscribe("room/" .. i)
      a.server:hear("room/" .. i, function(message)
        heard[#heard + 1] = message
      end)
      a.server:publish("room/" .. i, "m" .. i)
    end
    local got = {}
    for _ = 1, 50 do got[select(2, raw:message())] = true end
    for i = 1, 50 do assert.is_true(got["m" .. i], i) end
    raw:expect_silence()
    t.wait(function() return #heard == 50 end)
  end)

  it("is read again for many topics in a moment", function()
    local a, from = process(), os.clock()
    for i = 1, 40000 do a.server:hear("room/" .. i, function() end) end
    read(a, "room/40000")
    db:ask("CLIENT", "KILL", "TYPE", "pubsub")
    t.wait(function() return a.bus.state == "away" end)
    t.wait(function() return a.bus.state == "up" end)
    read(a, "room/40000")
    assert.is_true(os.clock() - from < 4, os.clock() - from)
  end)
end)
