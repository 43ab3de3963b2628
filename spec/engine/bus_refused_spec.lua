-- What Redis refuses of one topic (src/engine/redis.c, bus_kept.c,
-- bus_presence.c), with a real redis-server: that topic fails, with a line of
-- the log, and nothing else does.

local t = require "spec.helper"
local redis = require "spec.helper.redis"

if redis.is_missing "what Redis refuses" then return end

describe("what Redis refuses", function()
  local db, lines

  before_each(function()
    lines = redis.warnings()
    db = redis.start()
  end)

  after_each(redis.cleanup)

  local function process(options)
    local o = { url = db.url }
    for name, value in pairs(options or {}) do o[name] = value end
    local bus = redis.bus(o)
    local self = { bus = bus, conns = {} }
    self.server = t.listen { backplane = bus,
      history = { ["room/*"] = { size = 100, ttl = 60 } },
      on_open = function(conn) self.conns[#self.conns + 1] = conn end }
    return self
  end

  local function call(self, name, ...)
    return t.pump(self.server[name], self.server, ...)
  end

  local function keep(self, topic, message)
    return call(self, "publish", topic, message, "text", { wait = 20 })
  end

  -- Nothing was lost; each process that was refused has one line, of this key.
  local function are_well(a, b, key)
    for _, one in ipairs { a, b } do
      assert.equal("up", one.bus.state)
      assert.equal(0, one.server:stats().backplane.reconnects)
    end
    assert.is_true(#lines <= 2, table.concat(lines, "\n"))
    t.contains(lines[1], " refused: WRONGTYPE Operation against a key holding "
      .. "the wrong kind of value (" .. key .. ")")
  end

  for _, kind in ipairs { "s", "m" } do
    it("of a history does no harm to another: " .. kind, function()
      local a, b = process(), process()
      local conn, raw = redis.join(a)
      assert(t.pump(conn.subscribe, conn, "room/2", { wait = 20 }))
      assert.equal(1, (keep(b, "room/1", "first")))
      assert.equal("OK", db:ask("SET", "evws:" .. kind .. ":room/1", "theirs"))
      for i = 1, 3 do
        assert.same({ nil, "refused" }, { keep(b, "room/1", "x") })
        assert.equal(i, (keep(b, "room/2", "m" .. i)))
        raw:expect_frame("text", "m" .. i)
      end
      local reader, silent = redis.join(a)
      assert.same({ nil, "refused" }, { t.pump(reader.subscribe, reader,
        "room/1", { recover = {}, wait = 20 }) })
      assert.same({ nil, "refused" }, { call(a, "history", "room/1") })
      assert.equal(3, #call(a, "history", "room/2"))
      are_well(a, b, "evws:s:room/1")
      assert.equal(3, b.server:stats().backplane.dropped.refused)
      assert.equal(0, b.server:stats().backplane.dropped.lost)
      -- and it works as soon as it can
      assert(reader:subscribe "room/1")
      db:ask("DEL", "evws:" .. kind .. ":room/1")
      t.wait(function() return (keep(b, "room/1", "well")) end)
      silent:expect_frame("text", "well")
      t.wait(function() return call(a, "history", "room/1") end)
      assert.equal(0, a.server:stats().backplane.reconnects)
    end)
  end

  it("of a history is asked anew where nobody has subscribed", function()
    local a = process()
    local function history() return call(a, "history", "room/1") end
    local function is_refused() return select(2, history()) == "refused" end
    for _ = 1, 2 do
      assert.equal("OK", db:ask("SET", "evws:m:room/1", "theirs"))
      t.wait(is_refused, "the refusal")
      db:ask("DEL", "evws:m:room/1")
      t.wait(history, "the history")
    end
  end)

  it("of a history is read again by the clock, not by each publish", function()
    local a = process { reconnect = { initial = 0.01, maximum = 600 } }
    local reader = redis.join(a)
    assert.equal("OK", db:ask("SET", "evws:m:room/1", "theirs"))
    assert(t.pump(reader.subscribe, reader, "room/1", { wait = 20 }))
    assert.same({ nil, "refused" }, { keep(a, "room/1", "x") })
    local function evals()
      return tonumber(db:ask("INFO", "commandstats")
        :match "cmdstat_eval:calls=(%d+)")
    end
    local before = evals()
    for _ = 1, 10 do
      assert.same({ nil, "refused" }, { keep(a, "room/1", "x") })
    end
    assert.equal(10, evals() - before)
  end)

  it("of who is there does no harm to another", function()
    local ttl = t.factor -- a process that is held up is not there any more
    local a, b = process { presence_ttl = ttl }, process { presence_ttl = ttl }
    local function ids(topic)
      local people, why = call(b, "presence", topic)
      local list = {}
      for i, one in ipairs(people or {}) do list[i] = one.id end
      return people and table.concat(list, " ") or why
    end
    local conn = redis.join(a)
    for _, topic in ipairs { "lobby", "yard" } do
      assert(conn:subscribe(topic, { presence = { id = "1", info = "" } }))
    end
    t.wait(function() return ids "lobby" == "1" and ids "yard" == "1" end)
    assert.equal("OK", db:ask("SET", "evws:p:lobby", "theirs"))
    t.wait(function() return ids "lobby" == "refused" end)
    for _ = 1, 20 do assert.equal("1", ids "yard") end
    local other = redis.join(b)
    for _, topic in ipairs { "lobby", "yard" } do
      assert(other:subscribe(topic, { presence = { id = "2", info = "" } }))
    end
    t.wait(function() return ids "yard" == "1 2" end)
    are_well(a, b, "evws:p:lobby")
    db:ask("DEL", "evws:p:lobby")
    t.wait(function()
      local found = ids "lobby"
      return found == "1 2" or found == "2 1"
    end, "both, again", 20)
    assert.equal("up", a.bus.state)
    assert.equal(0, a.server:stats().backplane.reconnects)
  end)

  it("for want of a right to its channel is not kept either", function()
    assert.equal("OK", db:ask("ACL", "SETUSER", "evws", "on", ">pw", "~evws:*",
      "resetchannels", "&evws:all", "+@all"))
    local a, b = process { username = "evws", password = "pw" }, process()
    local conn, raw = redis.join(b)
    assert(t.pump(conn.subscribe, conn, "room/1", { wait = 20 }))
    assert.same({ nil, "refused" }, { keep(a, "room/1", "nobody's") })
    local _, epoch = keep(b, "room/1", "first")
    for _ = 1, 3 do
      assert.same({ nil, "refused" }, { keep(a, "room/1", "nobody's") })
    end
    a.server:reset "room/1"
    assert.same({ nil, "refused" }, { keep(a, "room/1", "nobody's") })
    assert.same({ 2, epoch }, { keep(b, "room/1", "second") })
    raw:expect_frame("text", "first")
    raw:expect_frame("text", "second")
    local list, at = call(b, "history", "room/1")
    assert.same({ 2, 2, epoch, "first" },
      { #list, at.offset, at.epoch, list[1].message })
    assert.same({ "2", 2 }, { db:ask("HGET", "evws:m:room/1", "t"),
      db:ask("XLEN", "evws:s:room/1") })
    assert.is_true(db:ask("PTTL", "evws:m:room/1") > 0)
    assert.is_true(#lines >= 1)
    t.contains(lines[1], " refused: ")
    t.contains(lines[1], "(evws:t:room/1)")
  end)

  it("for want of memory, or of a right to one channel, is that", function()
    local user = { username = "evws", password = "pw" }
    assert.equal("OK", db:ask("ACL", "SETUSER", "evws", "on", ">pw", "~evws:*",
      "resetchannels", "&evws:all", "&evws:t:room/*", "&evws:t:news", "+@all"))
    local a = process(user)
    local conn, raw = redis.join(a)
    assert(t.pump(conn.subscribe, conn, "news", { wait = 20 }))
    local function refused()
      return a.server:stats().backplane.dropped.refused
    end
    a.server:publish("secrets", "x")
    t.wait(function() return refused() == 1 end)
    t.contains(lines[1], "refused: NOPERM")
    assert.equal("OK", db:ask("CONFIG", "SET", "maxmemory", "1"))
    assert.same({ nil, "refused" }, { keep(a, "room/1", "x") })
    assert.equal(2, refused())
    db:ask("CONFIG", "SET", "maxmemory", "0")
    assert.equal(1, (keep(a, "room/1", "x")))
    db:ask("PUBLISH", "evws:t:news", "here")
    raw:expect_frame("text", "here")
    assert.equal("up", a.bus.state)
    assert.equal(0, a.server:stats().backplane.reconnects)
    assert.equal(1, #lines) -- one a minute
  end)

  it("when it cannot save is what is to be saved", function()
    local a = process { ping_interval = 0.02 }
    local conn, raw = redis.join(a)
    assert(t.pump(conn.subscribe, conn, "news", { wait = 20 }))
    -- as if the last save had failed
    db:ask("CONFIG", "SET", "save", "3600 1")
    os.execute("mkdir " .. db.directory .. "/dump.rdb")
    db:ask "BGSAVE"
    t.wait(function()
      local _, why = db:ask("SET", "x", "y")
      return why and why:find "^MISCONF"
    end, "it to refuse", 20)
    assert.same({ nil, "refused" }, { keep(a, "room/1", "x") })
    for i = 1, 5 do
      db:ask("PUBLISH", "evws:t:news", "n" .. i)
      raw:expect_frame("text", "n" .. i)
      local rtt = a.server:stats().backplane.rtt_seconds
      t.wait(function()
        return a.server:stats().backplane.rtt_seconds ~= rtt
      end, "a ping")
    end
    assert.equal("up", a.bus.state)
    assert.equal(0, a.server:stats().backplane.reconnects)
  end)
end)
