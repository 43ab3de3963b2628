-- The backplane (src/engine/bus.c, bus_link.c, redis.c) against a Redis of our
-- own making: what it is told, what it makes of that, and what it does when
-- anything else comes.

local t = require "spec.helper"
local redis = require "spec.helper.redis"
local refusal = require "spec.binding.kit".refusal

local ws = t.ws
local reply = redis.reply
local buses, lines

if redis.is_missing("a backplane", "hiredis") then return end

local function cleanup()
  t.cleanup()
  redis.close(buses)
  redis.cleanup()
  ws.log = require "evws.core".log
end

local function backplane(fake, options)
  local o = { url = fake.url, reconnect = { initial = 0.01, maximum = 0.02 } }
  for name, value in pairs(options or {}) do o[name] = value end
  local bus = ws.backplane(o)
  buses[#buses + 1] = bus
  return bus
end

local function up(fake, bus)
  fake:wait(function() return bus.state == "up" end, "the backplane")
end

-- Everybody who opens a connection has subscribed to the topic of its path.
local function listen(bus, options)
  local o = { backplane = bus, on_open = function(conn)
    conn:subscribe(conn.path:sub(2))
  end }
  for name, value in pairs(options or {}) do o[name] = value end
  return t.listen(o)
end

local function subscribed(fake, channel)
  for _, conn in ipairs(fake.conns) do
    if conn.channels[channel] then return true end
  end
end

local function member(fake, server, topic)
  local raw = t.raw(server)
  local status
  fake:wait(function()
    status = status or raw:upgrade { path = "/" .. topic }
    return status == 101 and subscribed(fake, "evws:t:" .. topic)
  end, "the subscription")
  return raw
end

-- What has been asked for: the first words of all connections, with counts.
local function asked(fake, word)
  local list = {}
  for _, conn in ipairs(fake.conns) do
    for _, words in ipairs(conn.seen) do
      if words[1] == word then list[#list + 1] = words end
    end
  end
  return list
end

local function expect(fake, raw, text)
  local got
  fake:wait(function()
    for _ = 1, 50 do -- it may send byte by byte
      fake:pump()
      t.turn(0)
    end
    local ok, f = pcall(raw.frame, raw, 0.01)
    got = ok and f
    return got
  end, text)
  assert.equal(text, got.payload)
end

local function logged(text)
  for _, line in ipairs(lines) do
    if line:find(text, 1, true) then return line end
  end
end

before_each(function()
  buses, lines = {}, {}
  ws.log = function(level, event, fields)
    lines[#lines + 1] = ("%s %s %s"):format(level, event,
      fields and (fields.message or fields.reason) or "")
  end
end)

describe("a backplane", function()
  after_each(cleanup)

  it("greets, subscribes to what is for everybody, and is up", function()
    local fake = redis.fake()
    local bus = backplane(fake)
    assert.equal("connecting", bus.state)
    listen(bus)
    up(fake, bus)
    assert.equal(2, #fake.conns)
    assert.equal(2, #asked(fake, "ROLE"))
    assert.same({ { "SUBSCRIBE", "evws:all" } }, asked(fake, "SUBSCRIBE"))
  end)

  it("logs in, and chooses its database, each time it connects", function()
    local fake = redis.fake()
    local bus = backplane(fake, {
      url = ("redis://ann:s%%40cret@127.0.0.1:%d/3"):format(fake.port) })
    up(fake, bus)
    for _ = 1, 2 do
      for _, words in ipairs(asked(fake, "AUTH")) do
        assert.same({ "AUTH", "ann", "s@cret" }, words)
      end
      assert.equal(2, #asked(fake, "AUTH"))
      assert.same({ "SELECT", "3" }, asked(fake, "SELECT")[1])
      local conn = fake.conns[1]
      assert.equal("AUTH", conn.seen[1][1])
      fake:drop()
      fake:wait(function() return bus.state == "away" end)
      up(fake, bus)
    end
  end)

  it("subscribes once to what many want, and lets go a second later", function()
    local fake = redis.fake()
    local bus = backplane(fake)
    local server = listen(bus)
    up(fake, bus)
    local a, b = member(fake, server, "news"), member(fake, server, "news")
    assert.equal(2, #asked(fake, "SUBSCRIBE"))
    a:close()
    b:close()
    fake:wait(function() return server:subscribers "news" == 0 end)
    assert.is_true(subscribed(fake, "evws:t:news"))
    fake:wait(function() return not subscribed(fake, "evws:t:news") end)
    assert.same({ { "UNSUBSCRIBE", "evws:t:news" } },
      asked(fake, "UNSUBSCRIBE"))
  end)

  it("asks for nothing when somebody comes back within a second", function()
    local fake = redis.fake()
    local bus = backplane(fake)
    local server = listen(bus)
    up(fake, bus)
    local conn
    server:route("/x", { on_open = function(c) conn = c end })
    t.open(server, { path = "/x" })
    t.wait(function() return conn end)
    conn:subscribe "a"
    fake:wait(function() return subscribed(fake, "evws:t:a") end)
    local n = #asked(fake, "SUBSCRIBE")
    for _ = 1, 100 do
      conn:unsubscribe "a"
      conn:subscribe "a"
    end
    fake:publish("evws:t:a", "still")
    fake:wait(function() return true end)
    assert.equal(n, #asked(fake, "SUBSCRIBE"))
    assert.equal(0, #asked(fake, "UNSUBSCRIBE"))
  end)

  it("has the changes of a turn in few commands", function()
    local fake = redis.fake()
    local bus = backplane(fake)
    local conn
    local server = listen(bus, { on_open = function(c) conn = c end })
    up(fake, bus)
    t.open(server)
    t.wait(function() return conn end)
    local before = #asked(fake, "SUBSCRIBE")
    for i = 1, 2500 do conn:subscribe("topic " .. i) end
    fake:wait(function() return subscribed(fake, "evws:t:topic 2500") end)
    local list = asked(fake, "SUBSCRIBE")
    assert.equal(before + 3, #list)
    assert.equal(1001, #list[before + 1])
    assert.equal(501, #list[before + 3])
  end)

  it("takes a topic of any bytes, as long as topics are", function()
    local fake = redis.fake()
    local bus = backplane(fake)
    local conn
    local server = listen(bus, { on_open = function(c) conn = c end })
    up(fake, bus)
    local raw = t.open(server)
    t.wait(function() return conn end)
    for _, topic in ipairs { "\0\r\n*$", ("x"):rep(65535), "\xff" } do
      conn:subscribe(topic)
      fake:wait(function() return subscribed(fake, "evws:t:" .. topic) end)
      fake:publish("evws:t:" .. topic, "for " .. #topic)
      expect(fake, raw, "for " .. #topic)
      server:publish(topic, "own")
      expect(fake, raw, "own")
      fake:wait(function() return #asked(fake, "PUBLISH") > 0 end)
    end
  end)

  it("does not send its own echo again", function()
    local fake = redis.fake()
    local bus = backplane(fake)
    local server = listen(bus)
    up(fake, bus)
    local raw = member(fake, server, "news")
    assert.equal(1, (server:publish("news", "one")))
    assert.equal(1, (bus:publish("news", "two")))
    fake:wait(function() return #asked(fake, "PUBLISH") == 2 end)
    fake:publish("evws:t:news", "three")
    expect(fake, raw, "one")
    expect(fake, raw, "two")
    expect(fake, raw, "three")
  end)

  it("carries kind and meta, and sends to who hears", function()
    local fake = redis.fake()
    local a, b = backplane(fake), backplane(fake)
    local from, to = listen(a), listen(b)
    up(fake, a)
    up(fake, b)
    local heard = {}
    to:hear("news", function(message, kind, about)
      heard[#heard + 1] = { message, kind, about.meta }
    end)
    fake:wait(function() return subscribed(fake, "evws:t:news") end)
    from:publish("news", "text")
    from:publish("news", "\xff\0", "binary", { meta = "about it" })
    from:publish("news", "", "text", { meta = "" })
    fake:wait(function() return #heard == 3 end)
    assert.same({ { "text", "text" }, { "\xff\0", "binary", "about it" },
      { "", "text" } }, heard)
  end)

  it("keeps what is meant for here", function()
    local fake = redis.fake()
    local bus = backplane(fake)
    local conn
    local server = listen(bus, { on_open = function(c) conn = c end })
    up(fake, bus)
    local raw = t.open(server)
    t.wait(function() return conn end)
    conn:subscribe("ping", { here = true })
    conn:subscribe "news"
    server:publish("ping", "here", "text", { here = true })
    server:publish("news", "there")
    fake:wait(function() return #asked(fake, "PUBLISH") == 1 end)
    assert.is_nil(subscribed(fake, "evws:t:ping"))
    raw:expect_frame("text", "here")
    raw:expect_frame("text", "there")
  end)

  it("joins the servers of one process without Redis", function()
    local fake = redis.fake()
    fake.answers.ROLE = function() return "" end
    local bus = backplane(fake)
    local one, two = listen(bus), listen(bus)
    local conn
    one:route("/x", { on_open = function(c) conn = c c:subscribe "news" end })
    two:route("/x", { on_open = function(c) c:subscribe "news" end })
    local a, b = t.open(one, { path = "/x" }), t.open(two, { path = "/x" })
    t.wait(function()
      return one:subscribers "news" + two:subscribers "news" == 2
    end)
    assert.equal(1, (one:publish("news", "from one")))
    assert.equal(2, (bus:publish("news", "from the bus")))
    assert.equal(0, (conn:publish("news", "but me")))
    assert.equal(1, (two:broadcast "all"))
    for _, text in ipairs { "from one", "from the bus", "but me", "all" } do
      if text ~= "but me" then a:expect_frame("text", text) end
      b:expect_frame("text", text)
    end
  end)

  it("gives on to all, though a view closes servers meanwhile", function()
    local fake = redis.fake()
    local bus = backplane(fake)
    local servers, raws = {}, {}
    for i = 1, 4 do
      servers[i] = t.listen { backplane = bus, routes = { ["/x"] = {
        on_open = function(c) c:subscribe("news", { view = "v" }) end } } }
      servers[i]:view("v", function(message)
        if i == 1 then
          servers[2]:close { timeout = 0 }
          servers[3]:close { timeout = 0 }
        end
        return message
      end)
      if i == 1 or i == 4 then -- others are gone as soon as they are closed
        raws[i] = t.open(servers[i], { path = "/x" })
        t.wait(function() return servers[i]:subscribers "news" == 1 end)
      end
    end
    up(fake, bus)
    fake:publish("evws:t:news", "one")
    expect(fake, raws[1], "one")
    expect(fake, raws[4], "one")
    assert.equal(2, (bus:publish("news", "two")))
    raws[4]:expect_frame("text", "two")
  end)

  it("sends what waited in its order, when it is whole again", function()
    local fake = redis.fake()
    local bus = backplane(fake, { pending_timeout = 100 })
    local server = listen(bus)
    up(fake, bus)
    fake:stop()
    t.wait(function() return bus.state == "away" end)
    for i = 1, 200 do
      local text = i == 100 and ("x"):rep(70000) or "message " .. i
      assert.same({ 0 }, { server:publish(i % 2 == 0 and "a" or "b", text) })
    end
    fake.answers.SUBSCRIBE = function() return "" end
    fake:start()
    fake:wait(function() return #asked(fake, "SUBSCRIBE") == 1 end)
    assert.equal("away", bus.state)
    assert.equal(0, #asked(fake, "PUBLISH"))
    fake.answers.SUBSCRIBE = nil
    for _, conn in ipairs(fake.conns) do
      local last = conn.seen[#conn.seen]
      if last and last[1] == "SUBSCRIBE" then
        conn.out = conn.out .. reply { "subscribe", "evws:all", 1 }
      end
    end
    fake:wait(function() return #asked(fake, "PUBLISH") == 200 end, "all", 20)
    for i, words in ipairs(asked(fake, "PUBLISH")) do
      assert.equal(i % 2 == 0 and "evws:t:a" or "evws:t:b", words[2])
      assert.equal(i == 100 and ("x"):rep(70000) or "message " .. i,
        words[3]:sub(14))
    end
    assert.equal("up", bus.state)
  end)

  it("says what it expects instead", function()
    for message, given in pairs {
      ["bad argument #1 to 'backplane' (a URL or a table expected, got number)"]
        = 6379,
      ["option 'url' is missing"] = {},
      ["unknown option 'prefx' for 'backplane' (did you mean 'prefix'?)"] =
        { url = "redis://localhost", prefx = "" },
      ["bad option 'url' (the scheme is not redis, rediss or redis+unix)"] =
        "localhost:6379",
      ["bad option 'prefix' (string expected)"] =
        { url = { "redis://a", "redis://b" }, prefix = 1 },
    } do
      assert.equal(message, refusal(function()
        local bus = ws.backplane(given)
        return bus
      end))
      collectgarbage()
      collectgarbage()
    end
  end)

  it("may be closed before it is up: what waits leaves first", function()
    local fake = redis.fake()
    local role
    fake.answers.ROLE = function() return role or "" end
    local bus = backplane(fake)
    local server = listen(bus)
    fake:wait(function() return #asked(fake, "ROLE") == 2 end, "greetings")
    server:publish("news", "one")
    bus:publish("news", "two")
    bus:close()
    role = reply { "master", 0, {} }
    for _, conn in ipairs(fake.conns) do conn.out = conn.out .. role end
    local got = {}
    fake.answers.PUBLISH = function(_, words)
      got[#got + 1] = words[3]:sub(14)
      return reply(0)
    end
    fake:wait(function() return #got == 2 end, "both", 20)
    assert.same({ "one", "two" }, got)
    fake:wait(function() return #fake.conns == 0 end, "its end", 20)
  end)

  it("may be closed before it is up, and never will be", function()
    local fake = redis.fake()
    fake.answers.ROLE = function() return "" end
    local bus = backplane(fake, { pending_timeout = 0.2 })
    local server = listen(bus)
    fake:wait(function() return #asked(fake, "ROLE") == 2 end, "greetings")
    server:publish("news", "one")
    bus:close()
    fake:wait(function()
      return server:stats().backplane.dropped.timeout == 1
    end, "the drop", 20)
    fake:wait(function() return #fake.conns == 0 end, "its end", 20)
  end)

  it("closes when Redis has answered what was published", function()
    local fake = redis.fake()
    local held = {}
    fake.answers.PUBLISH = function(conn)
      held[#held + 1] = conn
      return ""
    end
    local bus = backplane(fake, { timeout = 60 })
    up(fake, bus)
    for i = 1, 3 do bus:publish("news", tostring(i)) end
    bus:close()
    fake:wait(function() return #held == 3 end, "all three", 20)
    for i = 1, 3 do
      for _ = 1, 20 do
        t.turn()
        fake:pump()
      end
      assert.equal(2, #fake.conns)
      held[i].out = held[i].out .. reply(0)
    end
    fake:wait(function() return #fake.conns == 0 end, "its end", 20)
  end)

  it("closes without an answer to what is asked behind that", function()
    local fake = redis.fake()
    local held, is_asked, subscriber
    fake.answers.SUBSCRIBE = function(conn, words)
      if words[2] == "evws:all" then
        return redis.usual.SUBSCRIBE(conn, words)
      end
      subscriber = conn
      return ""
    end
    fake.answers.PUBLISH = function(conn)
      held = conn
      return ""
    end
    fake.answers.EVAL = function()
      is_asked = true
      return ""
    end
    local bus = backplane(fake, { timeout = 60, ping_interval = 60 })
    local server = listen(bus, { history = {
      kept = { size = 10, ttl = 60 } } })
    up(fake, bus)
    local found
    ws.spawn(function() found = { server:history "kept" } end)
    bus:publish("news", "one")
    fake:wait(function() return held and subscriber end, "both", 20)
    bus:close()
    assert.same({ nil, "backplane closed" }, { server:publish("kept", "no") })
    assert.same({ nil, "closed" }, { bus:publish("kept", "no") })
    subscriber.out = subscriber.out .. reply { "subscribe", "evws:t:kept", 2 }
    fake:wait(function() return is_asked end, "the question", 20)
    assert.is_nil(found)
    assert.equal(2, #fake.conns)
    held.out = held.out .. reply(0)
    fake:wait(function() return #fake.conns == 0 end, "its end", 20)
    t.wait(function() return found end, "an answer", 20)
    assert.is_nil(found[1])
  end)

  it("closes though Redis does not answer", function()
    local fake = redis.fake()
    fake.answers.PUBLISH = function() return "" end
    local bus = backplane(fake, { timeout = 0.2 })
    local server = listen(bus)
    up(fake, bus)
    server:publish("news", "one")
    bus:close()
    fake:wait(function() return #fake.conns == 0 end, "its end", 20)
    assert.equal(1, server:stats().backplane.dropped.lost)
  end)

  it("may be closed and forgotten before its servers", function()
    local fake = redis.fake()
    local bus = backplane(fake)
    local conn
    local server = listen(bus, { on_open = function(c) conn = c end })
    up(fake, bus)
    local raw = t.open(server)
    t.wait(function() return conn end)
    conn:subscribe "a"
    fake:wait(function() return subscribed(fake, "evws:t:a") end)
    bus:close()
    assert.equal("closed", bus.state)
    fake:wait(function() return #fake.conns == 0 end)
    conn:unsubscribe "a"
    conn:subscribe "b"
    assert.same({ 1, "backplane closed" }, { server:publish("b", "one") })
    assert.has_error(function() t.listen { backplane = bus } end,
      "bad option 'backplane' (it is closed)")
    bus, buses = nil, {}
    collectgarbage()
    collectgarbage()
    conn:unsubscribe "b"
    conn:subscribe "c"
    assert.equal(1, (server:publish("c", "two")))
    raw:expect_frame("text", "one")
    raw:expect_frame("text", "two")
    local over
    ws.after(1.2, function() over = true end)
    t.wait(function() return over end)
  end)

  it("is the same for servers that name the same URL", function()
    local fake = redis.fake()
    local one = t.listen { backplane = fake.url }
    local two = t.listen { backplane = fake.url }
    fake:wait(function() return subscribed(fake, "evws:all") end)
    assert.equal(2, #fake.conns)
    t.pump(one.close, one)
    fake:wait(function() return true end)
    assert.equal(2, #fake.conns)
    t.pump(two.close, two)
    fake:wait(function() return #fake.conns == 0 end, "its end")
  end)

  it("shares topics out among several, by CRC16", function()
    local fakes = { redis.fake(), redis.fake() }
    local bus = ws.backplane { url = { fakes[1].url, fakes[2].url } }
    buses[1] = bus
    local server = listen(bus)
    local function wait(predicate)
      fakes[1]:wait(function() fakes[2]:pump() return predicate() end)
    end
    wait(function() return bus.state == "up" end)
    -- CRC-16/XMODEM of "123456789" is 0x31C3: odd
    server:publish("123456789", "odd")
    server:publish("a", "CRC 0x7C87")
    server:broadcast "the first one's"
    wait(function()
      return #asked(fakes[2], "PUBLISH") == 2
        and #asked(fakes[1], "PUBLISH") == 1
    end)
  end)

  it("drops what is no message, and goes on", function()
    local fake = redis.fake()
    local bus = backplane(fake)
    local server = listen(bus)
    up(fake, bus)
    local raw = member(fake, server, "news")
    local node = ("\1"):rep(8)
    for _, bytes in ipairs { "\0evw", "\0evw\0", "\0evw\16" .. node .. "x",
      "\0evw\0" .. node .. "\xff", "\0evw\2" .. node .. "\0\9",
      "\0evw\4" .. node, "\0evw\4" .. node .. ("\0"):rep(8) .. "\9e",
      "\0evw\8" .. node .. "\255\255m", "\0evw\0\1\2" } do
      fake:publish("evws:t:news", bytes)
    end
    fake:push(reply { "message", "evws:t:other", "not wanted" })
    fake:push(reply { "message", "evws:t:", "no name" })
    fake:push(reply { "message", "evws:unknown", "?" })
    fake:push(reply { "message", "x", "?" })
    fake:push(reply { "smessage", "evws:t:news", "?" })
    fake:push(reply { "message", "evws:t:news" })
    fake:push(reply { "message", "evws:t:news", 7 })
    fake:push(reply { "message", "evws:t:news", { "deep" } })
    fake:push(reply {})
    fake:publish("evws:t:news", "\0evw\1" .. node .. "\xff")
    fake:publish("evws:t:news", "\xfe")
    fake:publish("evws:all", "last")
    fake:wait(function() return server:stats().backplane.received == 4 end)
    t.turn()
    raw:expect_frame("binary", "\xff")
    raw:expect_frame("binary", "\xfe")
    raw:expect_frame("text", "last")
    assert.equal(9, server:stats().backplane.dropped.bad)
    assert.equal("up", bus.state)
  end)

  it("leaves out the connections that an envelope names", function()
    local fake = redis.fake()
    local bus = backplane(fake)
    local server = listen(bus)
    up(fake, bus)
    local raw = member(fake, server, "news")
    server:publish("news", "x")
    fake:wait(function() return #asked(fake, "PUBLISH") == 1 end)
    raw:expect_frame("text", "x")
    local node = asked(fake, "PUBLISH")[1][3]:sub(6, 13)
    local other = ("\7"):rep(8)
    local first = math.max(server:each()().id - 20, 0) -- its own among them
    for _, who in ipairs { other, node } do
      local list = {}
      for i = 1, 40 do list[i] = who .. (">I8"):pack(first + i) end
      fake:publish("evws:t:news", "\0evw\2" .. other .. "\0\40"
        .. table.concat(list) .. (who == other and "all" or "none"))
    end
    fake:publish("evws:t:news", "end")
    expect(fake, raw, "all")
    expect(fake, raw, "end")
  end)

  it("understands what comes however it is cut", function()
    local fake = redis.fake()
    fake.piece = 1
    local bus = backplane(fake)
    local server = listen(bus)
    fake:wait(function() return bus.state == "up" end, "the backplane", 20)
    local raw = member(fake, server, "news")
    fake:publish("evws:t:news", "one")
    fake:publish("evws:t:news", "\0evw\1" .. ("\2"):rep(8) .. "two\xff")
    expect(fake, raw, "one")
    expect(fake, raw, "two\xff")
    assert.equal("up", bus.state)
  end)
end)

-- What a Redis can say that is no help: the reason that is told.
local role = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
local bad = {
  ["a wrong password"] = { word = "AUTH", "-WRONGPASS invalid\r\n",
    "WRONGPASS" },
  ["no password"] = { word = "ROLE",
    "-NOAUTH Authentication required.\r\n", "NOAUTH" },
  ["a loading one"] = { word = "ROLE", "-LOADING Redis is loading\r\n",
    "LOADING" },
  ["a replica"] = { word = "ROLE",
    "*5\r\n$5\r\nslave\r\n$1\r\nx\r\n:1\r\n$9\r\nconnected\r\n:0\r\n",
    "it is a replica" },
  ["a sentinel"] = { word = "ROLE", "*2\r\n$8\r\nsentinel\r\n*0\r\n",
    "it is no master" },
  ["a server of another kind"] = { word = "ROLE",
    "HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak" },
  ["a bulk of 2^40"] = { word = "ROLE", "$1099511627776\r\n"
    .. ("x"):rep(2000), "max_reply" },
  ["a number of items beyond reason"] = { word = "ROLE",
    "*99999999999\r\n", "does not speak" },
  ["a million items that are no end"] = { word = "ROLE",
    "*1000000\r\n" .. (":1\r\n"):rep(3000), "it" },
  ["arrays in arrays"] = { word = "ROLE", ("*1\r\n"):rep(20),
    "it" },
  ["a word in place of an array"] = { word = "ROLE", "+OK\r\n",
    "does not speak" },
  ["no permission to choose"] = { word = "SELECT", "-NOPERM no\r\n",
    "NOPERM" },
  ["no permission to subscribe"] = { word = "SUBSCRIBE",
    "-NOPERM this user has no permissions to run the 'subscribe' command\r\n",
    "NOPERM" },
  ["an error with lines and colours"] = { word = "ROLE",
    "-ERR \27[31mred\7\r\n", "ERR \\x1b[31mred\\x07" },
  ["ten thousand errors"] = { word = "ROLE", ("-ERR no\r\n"):rep(10000),
    "ERR no" },
  ["one that may not write"] = { word = "PUBLISH",
    "-READONLY You can't write against a read only replica.\r\n",
    "READONLY" },
  ["another answer to what is published"] = { word = "PUBLISH",
    reply { 1 }, "does not speak" },
  ["half a reply"] = { word = "ROLE", "*3\r\n$6\r\nmast", "timeout" },
  ["silence"] = { word = "ROLE", "", "timeout" },
  ["silence about subscriptions"] = { word = "SUBSCRIBE", "", "timeout" },
  ["silence about what is published"] = { word = "PUBLISH", "", "timeout" },
  ["an end"] = { word = "ROLE", function(conn)
    conn.is_over = true
    return ""
  end, "closed" },
  ["a reset"] = { word = "ROLE", function(conn)
    conn.socket:reset()
    conn.is_over = true
    return ""
  end, "reset" },
  ["a reply to nothing"] = { word = "ROLE", role .. "+OK\r\n",
    "reply to nothing" },
}

describe("a backplane that meets", function()
  after_each(cleanup)

  for name, case in pairs(bad) do
    it(name .. " is away, tells why once, and comes back", function()
      local fake = redis.fake()
      fake.answers[case.word] = type(case[1]) == "function" and case[1]
        or function() return case[1] end
      local is_slow = case[2] == "timeout"
      local bus = backplane(fake, { max_reply = 1024,
        timeout = is_slow and 0.1 * t.factor or nil, url =
        ("redis://:secret@127.0.0.1:%d/1"):format(fake.port) })
      local server = listen(bus)
      local raw = t.bystander(t.listen { on_message = t.echo })
      fake:wait(function()
        if case.word == "PUBLISH" then server:publish("x", "to be refused") end
        return fake.count >= 6
      end, "more attempts", 20)
      if case.word ~= "PUBLISH" then assert.equal("away", bus.state) end
      assert(logged(case[2]), table.concat(lines, "\n"))
      assert.is_nil(logged "secret")
      local warnings, own = 0, (":%d:"):format(fake.port)
      for _, line in ipairs(lines) do -- others may be away, too
        if line:find "^warning" and line:find(own, 1, true) then
          warnings = warnings + 1
        end
      end
      assert.equal(1, warnings, table.concat(lines, "\n"))
      assert.equal(0, (server:publish("news", "x")))
      raw.check()
      fake.answers[case.word] = nil
      up(fake, bus)
      local member_of = member(fake, server, "news")
      fake:publish("evws:t:news", "well again")
      expect(fake, member_of, "well again")
    end)
  end

  it("nobody at all is away, and finds who comes", function()
    local fake = redis.fake()
    fake:stop()
    local bus = backplane(fake)
    local nowhere = ws.backplane "redis://no-such-host.invalid"
    buses[#buses + 1] = nowhere
    listen(bus)
    t.wait(function()
      return bus.state == "away" and nowhere.state == "away"
    end, "both to be away", 20)
    assert(logged "refused")
    fake:start()
    up(fake, bus)
    assert.equal("away", nowhere.state)
  end)

  it("one that has not heard of ROLE, or keeps it, does without", function()
    for _, answer in ipairs { "-ERR unknown command 'ROLE'\r\n",
      "-NOPERM this user has no permissions\r\n" } do
      local fake = redis.fake()
      fake.answers.ROLE = function() return answer end
      local bus = backplane(fake, { ping_interval = 0.02 })
      up(fake, bus)
      fake:wait(function() return #asked(fake, "PING") >= 4 end, "pings")
      assert.equal("up", bus.state)
    end
  end)
end)
