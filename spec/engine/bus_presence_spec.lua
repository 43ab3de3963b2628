-- Who is in topics, of all processes (src/engine/bus_presence.c), with a real
-- redis-server. A backplane and a server in this process stand for a process;
-- one that is killed is one indeed.

local t = require "spec.helper"
local redis = require "spec.helper.redis"
local child = require "spec.helper.child"
local ws = t.ws

if redis.is_missing "presence in Redis" then return end

describe("presence in Redis", function()
  local db, n_processes

  before_each(function()
    redis.quiet()
    db, n_processes = redis.start(), 0
  end)

  after_each(redis.cleanup)

  -- A process that notes who comes and goes.
  local function process(options)
    local o = { url = db.url }
    for name, value in pairs(options or {}) do o[name] = value end
    local bus = redis.bus(o)
    n_processes = n_processes + 1
    local self = { bus = bus, told = {}, conns = {} }
    self.server = t.listen { backplane = bus,
      on_open = function(conn) self.conns[#self.conns + 1] = conn end,
      on_presence = function(topic, change, id, info, key)
        self.told[#self.told + 1] = table.concat({ change, topic, id, info,
          key }, " ")
      end }
    t.wait(function()
      return db:ask("PUBSUB", "NUMSUB", "evws:t:\0w")[2] >= n_processes
    end)
    return self
  end

  local function enter(self, topic, presence)
    local conn, raw = redis.join(self)
    assert(conn:subscribe(topic, { presence = presence }))
    return conn, raw
  end

  local function ids(self, topic)
    local people, why = t.pump(self.server.presence, self.server, topic)
    if not people then return "nil " .. why end
    local list = {}
    for i, one in ipairs(people) do
      list[i] = ("%s:%s:%s:%d"):format(one.id, one.key, one.info, one.count)
    end
    return table.concat(list, " ")
  end

  local function sees(self, topic, expected)
    t.wait(function() return ids(self, topic) == expected end, expected, 20)
  end

  local function told(self, ...)
    local expected = { ... }
    t.wait(function() return #self.told >= #expected end, "what is told", 20)
    t.pump(self.server.presence, self.server, "a") -- and nothing behind it
    assert.same(expected, self.told)
  end

  it("is everybody of all processes, by the order of coming", function()
    local a, b = process(), process()
    assert.equal("", ids(a, "a"))
    local ann = enter(a, "a", { id = "1", info = "Ann" })
    assert.equal("1:1:Ann:1", ids(a, "a"))
    local _, bob = enter(b, "a", { id = "2", info = "Bob" })
    assert.equal("1:1:Ann:1 2:2:Bob:1", ids(b, "a"))
    enter(b, "b\0\xff", { id = "3" })
    assert.equal("1:1:Ann:1 2:2:Bob:1", ids(a, "a"))
    assert.equal("3:3::1", ids(a, "b\0\xff"))
    assert.same({ { id = "1", key = "1", info = "Ann", count = 1 },
      { id = "2", key = "2", info = "Bob", count = 1 } },
      t.pump(a.bus.presence, a.bus, "a"))
    bob:reset()
    ann:unsubscribe "a"
    local expected = { "join a 1 Ann 1", "join a 2 Bob 2",
      "join b\0\xff 3  3", "leave a 1 Ann 1", "leave a 2 Bob 2" }
    for _, one in ipairs { a, b } do
      t.wait(function() return #one.told == 5 end, "all to be told")
      table.sort(one.told)
      assert.same(expected, one.told)
    end
    assert.equal("", ids(a, "a"))
    assert.equal(0, db:ask("EXISTS", "evws:p:a"))
    assert.equal(1, db:ask("ZCARD", "evws:x"))
  end)

  it("tells those of one key once, wherever they are", function()
    local a, b = process(), process()
    local one = enter(a, "a", { id = "1", key = "ann", info = "first" })
    assert.equal("1:ann:first:1", ids(a, "a"))
    local two = enter(b, "a", { id = "2", key = "ann", info = "second" })
    local three = enter(a, "a", { id = "3", key = "ann", info = "third" })
    sees(a, "a", "1:ann:third:3")
    sees(b, "a", "1:ann:third:3")
    one:unsubscribe "a"
    assert.equal("1:ann:third:2", ids(a, "a"))
    three:unsubscribe "a"
    assert.equal("2:ann:second:1", ids(a, "a"))
    told(a, "join a 1 first ann")
    two:unsubscribe "a"
    told(a, "join a 1 first ann", "leave a 2 second ann")
    told(b, "join a 1 first ann", "leave a 2 second ann")
    assert.equal("", ids(a, "a"))
  end)

  it("is told to those who have the topic of the topic", function()
    local a, b = process(), process()
    local watcher, raw = redis.join(b)
    t.pump(watcher.subscribe, watcher, "\0pa", { wait = 20 })
    local conn = enter(a, "a", { id = "1", info = '{"name":"Ann"}' })
    raw:expect_frame("text",
      '{"join":"1","key":"1","topic":"a","info":{"name":"Ann"}}')
    conn:close()
    raw:expect_frame("text",
      '{"leave":"1","key":"1","topic":"a","info":{"name":"Ann"}}')
    told(b, 'join a 1 {"name":"Ann"} 1', 'leave a 1 {"name":"Ann"} 1')
    raw:expect_silence()
  end)

  it("shows nobody twice who was there before a loss", function()
    local a, b = process(), process()
    enter(a, "a", "Ann")
    local gone = enter(b, "a", { id = "2", info = "Bob" })
    t.wait(function() return #a.told == 2 and #b.told == 2 end)
    local before = a.bus.state
    assert.equal("up", before)
    db:signal "STOP"
    gone:unsubscribe "a"
    db:signal "CONT"
    db:ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    for _, one in ipairs { a, b } do
      t.wait(function() return ids(one, "a"):find "^%S+:Ann:1$" end, "Ann", 20)
      local joins, leaves = 0, 0 -- that is told to who is there to hear it
      for _, line in ipairs(one.told) do
        local is_join = line:find "^join " ~= nil
        joins = joins + (is_join and 1 or 0)
        leaves = leaves + (is_join and 0 or 1)
        assert.is_true(joins > leaves)
      end
      assert.equal(2, joins)
      assert.is_true(leaves <= 1)
    end
  end)

  it("is said again when Redis has lost it", function()
    local a = process { presence_ttl = 0.6 * t.factor }
    enter(a, "a", { id = "1", info = "Ann" })
    sees(a, "a", "1:1:Ann:1")
    db:ask "FLUSHALL"
    sees(a, "a", "1:1:Ann:1")
  end)

  it("does not end while somebody is there", function()
    local a, b = process { presence_ttl = 2 * t.factor },
      process { presence_ttl = 2 * t.factor }
    enter(a, "a", { id = "1", info = "Ann" })
    sees(b, "a", "1:1:Ann:1")
    local function over() return db:ask("ZRANGE", "evws:x", "0", "-1",
      "WITHSCORES")[2] end
    local first = over()
    t.wait(function() return over() > first end, "it to be said again", 20)
    assert.equal("1:1:Ann:1", ids(b, "a"))
    assert.same({ "join a 1 Ann 1" }, b.told)
  end)

  it("is over when its process was killed, and told once", function()
    local ttl = 1.0 * t.factor
    local a, b = process { presence_ttl = ttl }, process { presence_ttl = ttl }
    local pipe = child.open(([[
      local bus = ws.backplane { url = %q, presence_ttl = %s }
      local server
      server = ws.listen { port = 0, backplane = bus,
        on_open = function(conn)
          conn:subscribe("a", { presence = { id = "9", info = "Eve" } })
        end }
      ws.spawn(function()
        local c = ws.connect("ws://127.0.0.1:" .. server.port)
        c:receive()
      end)
      ws.run()
    ]]):format(db.url, ttl), { shell = "echo $$;" })
    local pid = pipe:read "n"
    t.wait(function() return #a.told == 1 and #b.told == 1 end, "join", 20)
    assert.equal("9:9:Eve:1", ids(a, "a"))
    os.execute("kill -9 " .. pid)
    pipe:close()
    t.wait(function() return #a.told == 2 and #b.told == 2 end, "leave", 20)
    told(a, "join a 9 Eve 9", "leave a 9 Eve 9")
    told(b, "join a 9 Eve 9", "leave a 9 Eve 9")
    assert.equal("", ids(a, "a"))
    assert.equal(0, db:ask("EXISTS", "evws:p:a", "evws:x"))
  end)

  it("leaves with the server, and with the backplane", function()
    local a, b, c = process(), process(), process()
    enter(a, "a", { id = "1" })
    enter(b, "a", { id = "2" })
    t.wait(function() return #c.told == 2 end)
    a.server:close()
    t.wait(function() return #c.told == 3 end, "his leave")
    assert.equal("2:2::1", ids(c, "a"))
    b.bus:close()
    t.wait(function() return #c.told == 4 end, "the other's")
    assert.equal("", ids(c, "a"))
    assert.equal("nil closed", ids(b, "a"))
    assert.same({ nil, "closed" }, { b.bus:presence "a" })
  end)

  it("carries many at a time, and on over a loss", function()
    local a, b = process(), process()
    local conn = redis.join(a)
    for i = 1, 800 do
      conn:subscribe("t" .. i, { presence = { id = "p" .. i } })
    end
    sees(b, "t800", "p800:p800::1")
    t.wait(function() return db:ask("ZCARD", "evws:x") == 800 end, "all", 20)
    db:ask "FLUSHALL"
    db:ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    t.wait(function() return db:ask("ZCARD", "evws:x") == 800 end, "again", 20)
  end)

  it("says that Redis is away", function()
    local a = process()
    enter(a, "a", { id = "1" })
    assert.equal("1:1::1", ids(a, "a"))
    db:stop()
    t.wait(function() return a.bus.state == "away" end, "the loss", 20)
    assert.equal("nil backplane away", ids(a, "a"))
    assert.same({ nil, "backplane away" },
      { t.pump(a.bus.presence, a.bus, "a") })
    enter(a, "a", { id = "2" })
    db:again()
    t.wait(function() return a.bus.state == "up" end, "it to be back", 20)
    t.wait(function() return ids(a, "a"):find "2:2" end, "both", 20)
    assert.equal(2, #t.pump(a.server.presence, a.server, "a"))
  end)
end)

describe("presence with a Redis of our own making", function()
  local fake, bus, server

  before_each(function()
    ws.log = function() end
    fake = redis.fake()
  end)

  after_each(function()
    t.cleanup()
    redis.close { bus }
    redis.cleanup()
    ws.log = require "evws.core".log
  end)

  local told
  local function begin(options)
    told = {}
    options = options or {}
    options.url = fake.url
    options.reconnect = { initial = 0.01, maximum = 0.02 }
    bus = ws.backplane(options)
    fake.answers.EVAL = fake.answers.EVAL
      or function() return redis.reply(0) end
    server = t.listen { backplane = bus,
      on_presence = function(_, change, id) told[#told + 1] = change .. id end }
    fake:wait(function() return bus.state == "up" end, "the backplane")
  end

  local function ask()
    local results
    ws.spawn(function() results = table.pack(server:presence "a") end)
    fake:wait(function() return results end, "an answer", 20)
    return table.unpack(results, 1, results.n)
  end

  it("ends a wait for what does not come", function()
    fake.answers.EVAL = function(_, words)
      return words[8] == "a" and "" or redis.reply(0)
    end
    begin { timeout = 0.2 }
    local people, why = ask()
    assert.is_nil(people)
    assert.is_true(why == "timeout" or why == "backplane away", why)
  end)

  it("is away where Redis refuses all", function()
    begin()
    fake.answers.EVAL = function()
      return "-LOADING Redis is loading the dataset in memory\r\n"
    end
    assert.same({ nil, "backplane away" }, { ask() })
  end)

  it("takes what it reads with care", function()
    begin()
    local function entry(at, id, info)
      return string.pack(">I8 s4 I4 s2", at, "{}", 2, id) .. info
    end
    fake.answers.EVAL = function()
      return redis.reply { "n1", "1", "enode0001k1", entry(5, "x", "late"),
        "enode0002k2", entry(3, "y", ""), "enode0003k1", entry(4, "z", "early"),
        "e", "", "enode0004k3", "cut", "enode0005k4",
        string.pack(">I8 I4", 1, 0xffffffff), "odd" }
    end
    assert.same({ { id = "y", key = "k2", info = "", count = 2 },
      { id = "z", key = "k1", info = "early", count = 4 } }, ask())
  end)

  it("drops news that are none", function()
    begin()
    local head = "\0evw\1" .. ("\0"):rep(8)
    local whole = string.pack(">s4 s4 I4 s2", "a", "k", 1, "id") .. "info"
    fake:wait(function()
      for _, one in ipairs(fake.conns) do
        if one.channels and one.channels["evws:t:\0w"] then return true end
      end
    end)
    for i = 0, #whole - 5 do
      fake:publish("evws:t:\0w", head .. "J" .. whole:sub(1, i))
    end
    fake:publish("evws:t:\0w", head .. "X" .. whole)
    fake:publish("evws:t:\0w", head .. "J" .. whole)
    fake:publish("evws:t:\0w", head .. "L" .. whole)
    fake:wait(function() return #told == 2 end, "the good ones")
    assert.same({ "joinid", "leaveid" }, told)
    assert.is_true(server:stats().backplane.dropped.bad > 10)
  end)
end)
