-- Channels that Redis does not let one subscribe to (src/engine/
-- bus_subscriber.c): each of them by itself, while all others are there, until
-- the right is given.

local t = require "spec.helper"
local redis = require "spec.helper.redis"

if redis.is_missing("a channel that is refused", "hiredis") then return end

local NOPERM = "-NOPERM No permissions to access a channel\r\n"
local lines

local function process(url, options)
  local o = { url = url }
  for name, value in pairs(options or {}) do o[name] = value end
  local bus = redis.backplane(o)
  local self = { bus = bus, conns = {} }
  self.server = t.listen { backplane = bus,
    history = { ["room/*"] = { size = 100, ttl = 60 } },
    on_open = function(conn) self.conns[#self.conns + 1] = conn end }
  function self.stats() return self.server:stats().backplane end
  return self
end

describe("a channel that is refused, among many,", function()
  local fake, forbidden, a

  before_each(function()
    lines = redis.warnings()
    fake, forbidden = redis.fake(), {}
    fake.answers.SUBSCRIBE = function(conn, words)
      for i = 2, #words do
        if forbidden[words[i]] then return NOPERM end
      end
      return redis.usual.SUBSCRIBE(conn, words)
    end
  end)
  after_each(redis.cleanup)

  local function there()
    local set = {}
    for _, conn in ipairs(fake.conns) do
      for channel in pairs(conn.channels) do
        local topic = channel:match "^evws:t:(n.*)"
        if topic then set[topic] = true end
      end
    end
    return set
  end

  local function commands(from)
    local n = 0
    for _, conn in ipairs(fake.conns) do
      for i = from or 1, #conn.seen do
        n = n + (conn.seen[i][1] == "SUBSCRIBE" and 1 or 0)
      end
    end
    return n
  end

  local function nothing() end

  it("costs a command for each of its thousand, once", function()
    for _, n in ipairs { 7, 1500, 2222 } do
      forbidden["evws:t:n" .. n] = true
    end
    a = process(fake.url, { reconnect = { initial = 0.01, maximum = 600 } })
    for i = 1, 2500 do a.server:hear("n" .. i, nothing) end
    fake:wait(function() return a.bus.state == "up" end, "the backplane", 20)
    local set = there()
    for i = 1, 2500 do
      local is_allowed = i ~= 7 and i ~= 1500 and i ~= 2222
      assert.equal(is_allowed or nil, set["n" .. i])
    end
    assert.equal(3, a.stats().subscriptions_refused)
    assert.is_true(commands() <= 3 + 2501, commands())
    assert.equal(1, fake.count // 2) -- and nothing was cut
    assert.equal(1, #lines)
    t.contains(lines[1], "refused: NOPERM No permissions to access a channel "
      .. "(evws:t:n")
    -- who comes later is not held up by them
    a.server:hear("new", nothing)
    fake:wait(function() return there().new end, "another")
    -- and what was found allowed is not asked for alone again
    fake:drop()
    fake:wait(function()
      return a.bus.state == "up" and a.stats().reconnects == 1
    end, "the next connection", 20)
    assert.is_true(commands() <= 8, commands())
    assert.equal(3, a.stats().subscriptions_refused)
  end)

  it("is asked for again, some at a time, until it may be had", function()
    for i = 1, 2500 do forbidden["evws:t:n" .. i] = true end
    a = process(fake.url)
    for i = 1, 2500 do a.server:hear("n" .. i, nothing) end
    fake:wait(function()
      return a.bus.state == "up" and a.stats().subscriptions_refused == 2500
    end, "the refusals", 20)
    forbidden = {}
    fake:wait(function()
      return a.stats().subscriptions_refused == 0
    end, "the rights", 20)
    local set = there()
    for i = 1, 2500 do assert.is_true(set["n" .. i]) end
    assert.equal(0, a.stats().reconnects)
  end)

  it("is right whatever is allowed, wanted and let go of, and when", function()
    fake.piece = 97
    a = process(fake.url)
    local hearing = {}
    for _ = 1, 400 do
      local n = math.random(40)
      local channel = "evws:t:n" .. n
      if math.random() < 0.3 then
        forbidden[channel] = math.random() < 0.5 or nil
      elseif hearing[n] then
        hearing[n]:cancel()
        hearing[n] = nil
      else
        hearing[n] = a.server:hear("n" .. n, nothing)
      end
      if math.random() < 0.01 then fake:drop() end
      if math.random() < 0.5 then
        fake:pump()
        t.turn(0)
      end
    end
    fake:wait(function()
      if a.bus.state ~= "up" then return false end
      local set, n_refused = there(), 0
      for n = 1, 40 do
        local is_forbidden = forbidden["evws:t:n" .. n]
        local is_wanted = hearing[n] ~= nil
        if is_wanted and is_forbidden and not set["n" .. n] then
          n_refused = n_refused + 1
        elseif not is_forbidden and is_wanted ~= (set["n" .. n] or false) then
          return false
        end
      end
      return a.stats().subscriptions_refused == n_refused
    end, "what is wanted to be there", 30)
  end)

  it("in words that are none of a channel's is the end", function()
    for _, words in ipairs { "-NOPERM User x has no permissions to run the "
      .. "'subscribe' command\r\n", "-ERR no\r\n" } do
      fake.answers.SUBSCRIBE = function() return words end
      a = process(fake.url)
      fake:wait(function() return a.bus.state == "away" end, "its loss")
    end
  end)

  it("that nobody has asked for is the end", function()
    a = process(fake.url)
    a.server:hear("n", nothing)
    fake:wait(function() return a.bus.state == "up" end, "the backplane")
    fake:push(NOPERM)
    fake:wait(function() return a.stats().reconnects == 1 end, "another one")
  end)
end)

if not redis.has_server() then return end

describe("without a right", function()
  local db

  before_each(function()
    lines = redis.warnings()
    db = redis.start()
    assert.equal("OK", db:ask("ACL", "SETUSER", "evws", "on", ">pw", "~evws:*",
      "resetchannels", "&evws:all", "&evws:t:room/*", "&evws:t:news", "+@all"))
  end)
  after_each(redis.cleanup)

  local function start()
    local self = process(db.url, { username = "evws", password = "pw",
      ping_interval = 0.05 })
    t.wait(function() return self.bus.state == "up" end, "the backplane")
    return self
  end

  local function subscribe(conn, topic, options)
    local o = { wait = 20 }
    for name, value in pairs(options or {}) do o[name] = value end
    return t.pump(conn.subscribe, conn, topic, o)
  end

  local function pings(self)
    local rtt = self.stats().rtt_seconds
    t.wait(function() return self.stats().rtt_seconds ~= rtt end, "a ping")
  end

  it("to a channel all others are there, and it when it is given", function()
    local a = start()
    local conn, raw = redis.join(a)
    assert.is_true(subscribe(conn, "news"))
    for _ = 1, 2 do
      assert.same({ nil, "refused" }, { subscribe(conn, "secrets") })
    end
    a.server:publish("secrets", "here")
    raw:expect_frame("text", "here")
    db:ask("PUBLISH", "evws:t:news", "from afar")
    raw:expect_frame("text", "from afar")
    assert.equal("up", a.bus.state)
    assert.equal(1, a.stats().subscriptions_refused)
    t.contains(a.server:metrics(), "\nevws_backplane_subscriptions_refused 1\n")
    assert.equal(1, #lines)
    t.contains(lines[1], " refused: NOPERM ")
    t.contains(lines[1], "(evws:t:secrets)")
    db:ask("ACL", "SETUSER", "evws", "&evws:t:secrets")
    t.wait(function() return a.stats().subscriptions_refused == 0 end, "it", 20)
    assert.is_true(subscribe(conn, "secrets"))
    db:ask("PUBLISH", "evws:t:secrets", "also")
    raw:expect_frame("text", "also")
    assert.equal(0, a.stats().reconnects)
  end)

  it("that it had it goes on with the others", function()
    local a = start()
    local conn, raw = redis.join(a)
    assert.is_true(subscribe(conn, "news"))
    assert.is_true(subscribe(conn, "room/1"))
    db:ask("ACL", "SETUSER", "evws", "resetchannels", "&evws:all",
      "&evws:t:news") -- which cuts who has more
    t.wait(function()
      return a.bus.state == "up" and a.stats().subscriptions_refused == 1
    end, "the others", 20)
    db:ask("PUBLISH", "evws:t:news", "on")
    raw:expect_frame("text", "on")
  end)

  it("to the channel of a history nobody waits for that in vain", function()
    local a = start()
    local conn, raw = redis.join(a)
    db:ask("ACL", "SETUSER", "evws", "resetchannels", "&evws:all")
    t.wait(function() return a.bus.state == "up" end)
    assert.same({ nil, "refused" },
      { subscribe(conn, "room/1", { recover = {} }) })
    assert.same({ nil, "refused" },
      { t.pump(a.server.history, a.server, "room/1") })
    assert.is_true(conn:subscribe "room/1")
    db:ask("ACL", "SETUSER", "evws", "&evws:t:room/*")
    t.wait(function() return subscribe(conn, "room/1") end, "its right", 20)
    assert.equal(1, (t.pump(a.server.publish, a.server, "room/1", "x", "text",
      { wait = 20 })))
    raw:expect_frame("text", "x")
    assert.equal(1, #t.pump(a.server.history, a.server, "room/1"))
  end)

  it("to scripts plain topics go on, to pings all", function()
    local a, b = start(), start()
    local conn, raw = redis.join(a)
    assert.is_true(subscribe(conn, "news"))
    db:ask("ACL", "SETUSER", "evws", "-eval", "-ping")
    assert.same({ nil, "refused" },
      { t.pump(a.server.presence, a.server, "news") })
    assert.same({ nil, "refused" }, { t.pump(a.server.publish, a.server,
      "room/1", "x", "text", { wait = 20 }) })
    for i = 1, 3 do
      b.server:publish("news", "n" .. i)
      raw:expect_frame("text", "n" .. i)
      pings(a)
    end
    db:ask("ACL", "SETUSER", "evws", "-role")
    for _ = 1, 3 do pings(a) end
    assert.equal(0, a.stats().reconnects + b.stats().reconnects)
    db:ask("ACL", "SETUSER", "evws", "+eval")
    assert.same({}, t.pump(a.server.presence, a.server, "news"))
  end)
end)
