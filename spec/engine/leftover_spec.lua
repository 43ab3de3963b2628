-- What is over leaves no memory behind (src/engine/topic_log.c, topic_table.c,
-- presence.c, kept.c, history.c, bus_pending.c, bus_names.c, bus_presence.c):
-- as stats().memory counts it.

local t = require "spec.helper"
local redis = require "spec.helper.redis"

local KIB = 1024

describe("memory is given back", function()
  local server, conns, raws

  after_each(t.cleanup)

  local function begin(n, options)
    local o = { on_open = function(conn) conns[#conns + 1] = conn end }
    for name, value in pairs(options or {}) do o[name] = value end
    conns, raws = {}, {}
    server = t.listen(o)
    for i = 1, n do
      raws[i] = t.open(server)
      t.wait(function() return conns[i] end)
    end
  end

  local function memory()
    collectgarbage()
    return server:stats().memory
  end

  -- At most so many bytes more than before, in the end; more than `least`
  -- meanwhile, as fn returns.
  local function costs(bytes, least, fn)
    local before = memory()
    local most = fn() or server:stats().memory
    assert.is_true(most - before >= least, most - before)
    local left
    local ok = pcall(t.wait, function()
      left = memory() - before
      return left <= bytes
    end, "it", 10)
    assert.is_true(ok, tostring(left))
  end

  it("of a turn that publishes often", function()
    begin(1)
    conns[1]:subscribe "a"
    t.pump(function() server:publish("a", "warm") end)
    raws[1]:expect_frame("text", "warm")
    costs(8 * KIB, 200 * KIB, function()
      local most
      t.pump(function()
        for _ = 1, 4000 do server:publish("a", "x") end
        most = server:stats().memory
      end)
      for _ = 1, 4000 do raws[1]:expect_frame("text", "x") end
      return most
    end)
  end)

  it("of a turn that publishes much", function()
    begin(1)
    conns[1]:subscribe "a"
    local long = ("x"):rep(2 * KIB * KIB)
    costs(8 * KIB, 0, function()
      t.pump(function() server:publish("a", long) end)
      raws[1]:expect_frame("text", long)
    end)
  end)

  it("of a turn that publishes packed", function()
    begin(0, { compression = true })
    local raw = t.raw(server)
    assert.equal(101, (raw:upgrade { headers = {
      ["Sec-WebSocket-Extensions"] = "permessage-deflate" } }))
    t.wait(function() return conns[1] end)
    conns[1]:subscribe "a"
    local part = {}
    for i = 1, 20000 do
      part[i] = ("%x"):format(i * 2654435761 & 0xffffffff)
    end
    local long = table.concat(part)
    local function publish()
      local most
      t.pump(function()
        server:publish("a", long)
        most = server:stats().memory
      end)
      assert.is_true(#raw:frame(20).payload < #long)
      return most
    end
    publish()
    costs(8 * KIB, #long, publish)
  end)

  it("of topics that nobody has any more", function()
    begin(1)
    conns[1]:subscribe "t0"
    costs(140 * KIB, 500 * KIB, function() -- their table stays
      for i = 1, 5000 do conns[1]:subscribe("t" .. i) end
      local most = server:stats().memory
      for i = 1, 5000 do conns[1]:unsubscribe("t" .. i) end
      return most
    end)
    costs(KIB, 500 * KIB, function() -- and is there for the next ones
      for i = 1, 5000 do conns[1]:subscribe("t" .. i) end
      local most = server:stats().memory
      for i = 1, 5000 do conns[1]:unsubscribe("t" .. i) end
      return most
    end)
  end)

  it("of who was in a topic", function()
    begin(1)
    local function be_in(topic, presence)
      conns[1]:subscribe(topic, { presence = presence })
    end
    be_in("a", { id = "0" })
    t.turn()
    local info = ("x"):rep(KIB)
    costs(64 * KIB, 1000 * KIB, function()
      for i = 1, 1000 do be_in("t" .. i, { id = "p" .. i, info = info }) end
      t.turn()
      local most = server:stats().memory
      for i = 1, 1000 do conns[1]:unsubscribe("t" .. i) end
      return most
    end)
    costs(KIB, 3 * KIB, function()
      be_in("a", { id = "0", info = info:rep(4) })
      local most = server:stats().memory
      be_in("a", { id = "0", info = "" })
      return most
    end)
  end)

  it("of a history that is forgotten, or reset", function()
    begin(0, { history = { ["*"] = { size = 4000, ttl = 1.5 * t.factor } } })
    local last
    server:hear("a", function(message) last = message end)
    server:publish("a", "warm")
    t.wait(function() return #server:history "a" == 0 end, "its end", 20)
    local function publish()
      last = nil
      for i = 1, 4000 do server:publish("a", "x" .. i) end
      t.wait(function() return last == "x4000" end)
    end
    costs(2 * KIB, 100 * KIB, function()
      publish()
      local most = server:stats().memory
      t.wait(function() return #server:history "a" == 0 end, "its end", 20)
      return most
    end)
    costs(2 * KIB, 100 * KIB, function()
      publish()
      local most = server:stats().memory
      server:reset "a"
      return most
    end)
  end)

  it("of topics whose histories are over", function()
    begin(0, { history = { ["*"] = { size = 9, ttl = 0.05 * t.factor } } })
    server:publish("t0", "x")
    costs(48 * KIB, 600 * KIB, function()
      for i = 1, 2000 do server:publish("t" .. i, ("x"):rep(200)) end
    end)
  end)

  describe("by a backplane", function()
    local fake, bus

    if redis.is_missing("by a backplane", "hiredis") then return end

    before_each(function()
      redis.quiet()
      fake = redis.fake()
      fake.answers.EVAL = function() return redis.reply(0) end
    end)

    after_each(function()
      redis.close { bus }
      redis.cleanup()
    end)

    local function join(options)
      local o = { url = fake.url,
        reconnect = { initial = 0.01, maximum = 0.02 } }
      for name, value in pairs(options or {}) do o[name] = value end
      bus = t.ws.backplane(o)
      begin(0, { backplane = bus })
      fake:wait(function() return bus.state == "up" end, "the backplane")
      raws[1] = t.open(server)
      fake:wait(function() return conns[1] end)
    end

    local function back(bytes, before, what)
      local left
      local ok = pcall(fake.wait, fake, function()
        left = memory() - before
        return left <= bytes
      end, what, 10)
      assert.is_true(ok, left)
    end

    it("of what has waited for too long", function()
      join { pending_timeout = 0.2 * t.factor }
      fake:stop()
      t.wait(function() return bus.state == "away" end, "the loss")
      local before = memory()
      for _ = 1, 100 do server:publish("a", ("x"):rep(10 * KIB)) end
      assert.is_true(memory() - before > 1000 * KIB)
      back(8 * KIB, before, "the end of them")
      assert.equal(100, server:stats().backplane.dropped.timeout)
    end)

    it("of what has waited, and left", function()
      join { pending_timeout = 600 }
      server:publish("a", "warm")
      fake:stop()
      t.wait(function() return bus.state == "away" end, "the loss")
      local before = memory()
      for _ = 1, 100 do server:publish("a", ("x"):rep(10 * KIB)) end
      assert.is_true(memory() - before > 1000 * KIB)
      fake:start()
      fake:wait(function() return bus.state == "up" end, "it to be back")
      back(40 * KIB, before, "all to be sent")
    end)

    it("of topics that it was asked for", function()
      join()
      local function come_and_go()
        for i = 1, 5000 do conns[1]:subscribe("t" .. i) end
        fake:wait(function()
          return fake:subscribers "evws:t:t5000" == 1
        end, "all of them", 20)
        local most = memory()
        for i = 1, 5000 do conns[1]:unsubscribe("t" .. i) end
        fake:wait(function()
          return server:stats().backplane.subscriptions == 1
        end, "their end", 20)
        return most
      end
      come_and_go()
      local before = memory()
      assert.is_true(come_and_go() - before > 1000 * KIB)
      back(KIB, before, "their memory")
    end)

    it("of who was there, and of long words about him", function()
      join()
      local before = memory()
      local info = ("x"):rep(4 * KIB)
      local function said()
        local n = 0
        for _, one in ipairs(fake.conns) do
          for _, words in ipairs(one.seen) do
            if words[1] == "EVAL" and #words == 9 then n = n + 1 end
          end
        end
        return n
      end
      for i = 1, 100 do
        conns[1]:subscribe("t" .. i, { presence = { id = "p", info = info } })
      end
      fake:wait(function() return said() >= 100 end, "all to be said", 20)
      assert.is_true(memory() - before > 400 * KIB)
      for i = 1, 100 do conns[1]:unsubscribe("t" .. i) end
      back(48 * KIB, before, "their end")
    end)
  end)
end)
