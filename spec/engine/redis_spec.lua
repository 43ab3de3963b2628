-- The backplane with a real redis-server: what docs/scaling.md guarantees, and
-- a message that arrives everywhere after every kind of loss.

local t = require "spec.helper"
local redis = require "spec.helper.redis"

local ws = t.ws

if redis.is_missing "a backplane with redis-server" then return end

-- Each of these stands for a process: a backplane, a server on it, and a
-- connection that has subscribed to "news".
local nodes, server, count

local function is_up(node) return node.bus.state == "up" end

local function all_up(what)
  t.wait(function()
    for _, node in ipairs(nodes) do
      if not is_up(node) then return false end
    end
    return true
  end, what or "all to be up", 20)
end

local function is_there(node)
  return node.server:stats().backplane.subscriptions >= 2
end

local function new_node(options, topics)
  local o = { url = server.url, timeout = 30,
    ping_interval = 0.2 * t.factor,
    reconnect = { initial = 0.02, maximum = 0.1 } }
  for name, value in pairs(options or {}) do o[name] = value end
  local node = { bus = assert(ws.backplane(o)), states = {} }
  node.bus:on_state(function(state)
    node.states[#node.states + 1] = state
    node[state] = (node[state] or 0) + 1
  end)
  node.server = t.listen { backplane = node.bus, on_open = function(conn)
    node.conn = conn
    for _, topic in ipairs(topics or { "news" }) do conn:subscribe(topic) end
  end }
  nodes[#nodes + 1] = node
  return node
end

local function open_nodes(n, options)
  for _ = 1, n do
    local node = new_node(options)
    node.raw = t.open(node.server)
  end
  all_up()
  for _, node in ipairs(nodes) do
    t.wait(function() return is_there(node) and is_up(node) end)
    t.pump(function()
      assert(node.conn:subscribe("news", { wait = t.limit * t.factor }))
    end)
  end
  return table.unpack(nodes)
end

-- What one publishes reaches all; once more where somebody was away meanwhile,
-- as happens on a machine that stands still for longer than Redis may.
local function losses()
  local n = 0
  for _, node in ipairs(nodes) do n = n + (node.away or 0) end
  return n
end

local function reaches_all(from, text)
  assert.same({ 1 }, { from.server:publish("news", text) })
  for _, node in ipairs(nodes) do
    local ok, f
    repeat
      ok, f = pcall(node.raw.frame, node.raw)
      if not ok then return false, f end
    until f.payload == text
  end
  return true
end

local function proved(from)
  local before, ok, why
  repeat
    all_up()
    count, before = count + 1, losses()
    ok, why = reaches_all(from or nodes[1], "message " .. count)
  until ok or losses() == before
  assert(ok, why)
end

local function went_away(node)
  t.wait(function() return (node.away or 0) > 0 end, "the loss to be noticed",
    20)
end

local function lose(fn)
  for _, node in ipairs(nodes) do node.away = 0 end
  fn()
  for _, node in ipairs(nodes) do went_away(node) end
end

before_each(function()
  nodes, count = {}, 0
  ws.log = function() end
end)

after_each(function()
  t.cleanup()
  local list = {}
  for i, node in ipairs(nodes) do list[i] = node.bus end
  redis.close(list)
  redis.cleanup()
  ws.log = require "evws.core".log
end)

describe("with redis-server, a backplane", function()
  before_each(function() server = redis.start() end)

  it("carries messages between processes, each once", function()
    local a, b, c = open_nodes(3)
    for i = 1, 50 do
      a.server:publish("news", "a" .. i)
      if i % 2 == 0 then t.turn() end
    end
    for _, node in ipairs { a, b, c } do
      for i = 1, 50 do node.raw:expect_frame("text", "a" .. i) end
      node.raw:expect_silence()
    end
  end)

  it("does so between processes indeed, and Redis' own clients", function()
    local child = require "spec.helper.child"
    local a = open_nodes(1)
    local pipe = child.open(([[
      local bus = ws.backplane %q
      ws.run(function()
        assert(bus:wait(20))
        bus:publish("news", "from a process", "binary")
      end)
      log(bus.state)
    ]]):format(server.url))
    a.raw:expect_frame("binary", "from a process", 20)
    assert.equal("up\n", pipe:read "a")
    pipe:close()
    assert.equal(1, server:ask("PUBLISH", "evws:t:news", "hello"))
    a.raw:expect_frame("text", "hello")
    assert.equal(1, server:ask("PUBLISH", "evws:all", "\xff"))
    a.raw:expect_frame("binary", "\xff")
  end)

  it("keeps the order of each publisher", function()
    local a, b = open_nodes(2)
    local n = 3000
    for i = 1, n do
      a.server:publish("news", "a " .. i)
      b.bus:publish("news", "b " .. i)
      if i % 100 == 0 then t.turn(0) end
    end
    for _, node in ipairs { a, b } do
      local last = { a = 0, b = 0 }
      while last.a < n or last.b < n do
        local who, i = assert(node.raw:frame(20)).payload:match "^(%a) (%d+)$"
        assert.equal(last[who] + 1, tonumber(i))
        last[who] = last[who] + 1
      end
    end
  end)

  it("holds a subscription from Redis' word on", function()
    local a, b = open_nodes(2)
    local got = {}
    for i = 1, 100 do
      local topic = "topic " .. i
      t.pump(function()
        assert(b.conn:subscribe(topic, { wait = t.limit * t.factor }))
      end)
      a.server:publish(topic, topic)
      b.raw:expect_frame("text", topic)
      got[#got + 1] = topic
    end
    assert.equal(100, #got)
  end)

  it("leaves out who publishes, nobody else", function()
    local a, b = open_nodes(2)
    assert.equal(0, (a.conn:publish("news", "but me")))
    a.server:publish("news", "for all")
    b.raw:expect_frame("text", "but me")
    b.raw:expect_frame("text", "for all")
    a.raw:expect_frame("text", "for all")
  end)

  it("carries large messages, and compares with none", function()
    local a, b = open_nodes(2, { max_queued = 4 * 1024 * 1024 })
    for _, n in ipairs { 0, 1, 59000, 61439, 61441, 65536, 900000 } do
      local text = ("x"):rep(n)
      a.server:publish("news", text)
      a.raw:expect_frame("text", text, 20)
      b.raw:expect_frame("text", text, 20)
    end
    assert.same({ 1, "backplane full" },
      { a.server:publish("news", ("x"):rep(5 * 1024 * 1024)) })
  end)

  it("comes back after a restart, with what waited", function()
    local a, b = open_nodes(2, { pending_timeout = 100 })
    proved()
    lose(function() server:stop() end)
    for i = 1, 200 do
      assert.same({ 1 }, { a.server:publish("news", "waits " .. i) })
    end
    for i = 1, 200 do a.raw:expect_frame("text", "waits " .. i) end
    server:again()
    all_up("both to be back")
    -- b may have come back behind a, and missed them: then all of them
    local first = a.server:stats().backplane.dropped
    assert.same({ 0, 0 }, { first.full, first.timeout })
    proved(a)
    proved(b)
    assert.is_true(a.server:stats().backplane.reconnects >= 1)
  end)

  it("keeps no more than it may, for no longer than it may", function()
    local a = open_nodes(1, { max_queued = 10000, pending_timeout = 0.3 })
    lose(function() server:stop() end)
    local full = 0
    for i = 1, 300 do
      local n, why = a.server:publish("news", ("x"):rep(100))
      assert.equal(1, n)
      if why then
        assert.equal("backplane full", why)
        full = full + 1
      end
    end
    local stats = a.server:stats().backplane
    assert.is_true(full > 100 and full < 300)
    assert.equal(full, stats.dropped.full)
    assert.is_true(stats.pending_bytes <= 10000)
    t.wait(function()
      return a.server:stats().backplane.dropped.timeout == 300 - full
    end, "what waited to be dropped")
    assert.equal(0, a.server:stats().backplane.pending_bytes)
    server:again()
    all_up()
    a.raw:frame()
    proved()
  end)

  for name, lose_it in pairs {
    ["CLIENT KILL of who has subscribed"] = function()
      server:ask("CLIENT", "KILL", "TYPE", "pubsub")
    end,
    ["CLIENT KILL of who publishes"] = function()
      server:ask("CLIENT", "KILL", "TYPE", "normal")
    end,
    ["a process that was stopped"] = function()
      server:signal "STOP"
      for _, node in ipairs(nodes) do node.server:publish("x", "y") end
      for _, node in ipairs(nodes) do went_away(node) end
      server:signal "CONT"
    end,
    ["CLIENT PAUSE"] = function()
      server:ask("CLIENT", "PAUSE", tostring(math.floor(1200 * t.factor)),
        "ALL")
    end,
    ["a demotion"] = function()
      server:ask("REPLICAOF", "127.0.0.1", "1")
      for _, node in ipairs(nodes) do went_away(node) end
      server:ask("REPLICAOF", "NO", "ONE")
    end,
    ["its end"] = function()
      server:stop()
      for _, node in ipairs(nodes) do went_away(node) end
      server:again()
    end,
  } do
    it("is whole again after " .. name, function()
      local a, b = open_nodes(2, { timeout = 0.5 * t.factor })
      proved(a)
      lose(lose_it)
      all_up()
      t.wait(function() return is_there(a) and is_there(b) end)
      proved(a)
      proved(b)
      assert.equal(2, server:ask("PUBSUB", "NUMSUB", "evws:t:news")[2])
    end)
  end

  it("takes no harm from FLUSHALL, or a long command", function()
    local a, b = open_nodes(2)
    server:ask "FLUSHALL"
    proved(a)
    server:ask("DEBUG", "SLEEP", "0.3")
    proved(b)
    assert.is_nil(a.away)
    assert.is_nil(b.away)
  end)

  it("follows its name to another master", function()
    local other = redis.start()
    local path = server.directory .. "/link.sock"
    local function point_to(to)
      assert(os.execute(("ln -sf %s %s"):format(to.path, path)))
    end
    point_to(server)
    open_nodes(2, { url = "redis+unix:" .. path })
    proved()
    lose(function()
      server:ask("REPLICAOF", "127.0.0.1", tostring(other.port))
      point_to(other)
    end)
    all_up()
    proved()
    assert.equal(2, other:ask("PUBSUB", "NUMSUB", "evws:t:news")[2])
    assert.equal(0, server:ask("PUBSUB", "NUMSUB", "evws:t:news")[2])
  end)

  it("lets go of what nobody wants, and of all when it is closed", function()
    local a = open_nodes(1)
    local function channels() return server:ask("PUBSUB", "CHANNELS", "*") end
    a.conn:unsubscribe "news"
    t.wait(function() return #channels() == 1 end, "the channel to go")
    assert.same({ "evws:all" }, channels())
    a.bus:close()
    t.wait(function() return #channels() == 0 end, "all to go")
    assert.same({ 0, "backplane closed" }, { a.server:publish("news", "x") })
    assert.same({ nil, "closed" }, { a.bus:publish("news", "x") })
    assert.same({ nil, "closed" }, { a.bus:wait(1) })
    assert.equal("closed", a.bus.state)
  end)

  it("sends what was published before it was closed", function()
    local a, b = open_nodes(2)
    for i = 1, 500 do a.bus:publish("news", "last " .. i) end
    a.bus:close()
    for i = 1, 500 do b.raw:expect_frame("text", "last " .. i) end
  end)

  it("speaks TLS", function()
    local tls = require "spec.helper.tls"
    local listener = assert(t.probe.listen "127.0.0.1")
    local port = listener.port
    listener:close()
    local cert = (io.popen "pwd"):read "l" .. "/" .. tls.file "localhost.pem"
    local other = redis.start(("--tls-port %d --tls-cert-file %s"
      .. " --tls-key-file %s --tls-ca-cert-file %s --tls-auth-clients no")
      :format(port, cert, cert:gsub("%.pem$", ".key"), cert))
    if other.failed then return pending "redis-server without TLS" end
    server = other
    local ca = tls.file "ca.pem"
    local url = "rediss://localhost:" .. port
    open_nodes(2, { url = url, tls = { ca = ca } })
    proved()
    lose(function() other:ask("CLIENT", "KILL", "TYPE", "pubsub") end)
    all_up()
    proved()
    local why
    ws.log = function(_, event, fields)
      if event == "backplane_lost" then why = fields.reason end
    end
    local bus <close> = ws.backplane { url = url,
      tls = { ca = ca, server_name = "other.test" } }
    t.wait(function() return why end, "the refusal")
    t.contains(why, "certificate")
    local none, problem = ws.backplane { url = url,
      tls = { ca = "no such file" } }
    assert.is_nil(none)
    t.contains(problem, "no such file")
    assert.equal("away", bus.state)
  end)

  it("keeps no script going but for what it has to send", function()
    local child = require "spec.helper.child"
    local a = open_nodes(1)
    assert.same({ "true" }, child.run(([[
      local bus = ws.backplane %q
      bus:on_state(function() end)
      log(ws.run())
    ]]):format(server.url)))
    assert.same({ "0", "true" }, child.run(([[
      local bus = ws.backplane %q
      log(bus:publish("news", "from a cron job"))
      log(ws.run())
    ]]):format(server.url)))
    a.raw:expect_frame("text", "from a cron job")
    assert.same({ "0", "true", "1" }, child.run([[
      ws.log = function() end
      local bus = ws.backplane { url = "redis+unix:/no/such/socket",
        pending_timeout = 0.2 }
      local server = ws.listen { port = 0, backplane = bus }
      log(bus:publish("news", "for nobody"))
      server:close()
      log(ws.run())
      log(server:stats().backplane == nil and 1)
    ]]))
  end)

  it("speaks over TCP as well, and shares topics out", function()
    local other = redis.start()
    local a, b = open_nodes(2, { url = {
      "redis://127.0.0.1:" .. server.port, other.url } })
    for i = 1, 20 do
      t.pump(function()
        assert(b.conn:subscribe("topic " .. i, { wait = 20 }))
      end)
      a.server:publish("topic " .. i, "number " .. i)
      b.raw:expect_frame("text", "number " .. i)
    end
    assert.is_true(#server:ask("PUBSUB", "CHANNELS", "evws:t:*") > 3)
    assert.is_true(#other:ask("PUBSUB", "CHANNELS", "evws:t:*") > 3)
    lose(function() other:ask("CLIENT", "KILL", "TYPE", "pubsub") end)
    all_up()
    proved()
  end)
end)

describe("with redis-server that asks who one is, a backplane", function()
  it("logs in by password, and is told when it is wrong", function()
    server = redis.start "--requirepass secret"
    local told = {}
    ws.log = function(_, event, fields)
      if event == "backplane_lost" then told[#told + 1] = fields.reason end
    end
    local reasons = { ["redis+unix:" .. server.path] = "NOAUTH",
      ["redis+unix://:wrong@" .. server.path] = "WRONGPASS" }
    for url, reason in pairs(reasons) do
      local node = new_node { url = url }
      went_away(node)
      assert.equal(reason, told[#told]:match "^%u+")
      node.bus:close()
    end
    nodes = {}
    open_nodes(2, { password = "secret" })
    proved()
  end)

  it("needs few rights", function()
    server = redis.start()
    assert.equal("OK", server:ask("ACL", "SETUSER", "evws", "on", ">pw",
      "resetchannels", "&evws:*", "+publish", "+subscribe", "+unsubscribe",
      "+ping", "+role", "+client|setname"))
    local a = open_nodes(2, { username = "evws", password = "pw" })
    proved(a)
    assert.equal("OK", server:ask("ACL", "SETUSER", "evws", "-role"))
    local away = a.away
    t.wait(function() return a.server:stats().backplane.rtt_seconds > 0 end)
    proved(a)
    assert.equal(away, a.away)
    lose(function()
      server:ask("ACL", "SETUSER", "evws", "-publish")
      a.server:publish("news", "refused")
      nodes[2].server:publish("news", "refused")
    end)
    server:ask("ACL", "SETUSER", "evws", "+publish")
    all_up()
    proved(a)
  end)
end)
