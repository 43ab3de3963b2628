-- Topics (src/engine/topic.c, publish.c): who gets what, in which order, and
-- what happens to those who do not read.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains

-- A server whose connections obey: "+x" subscribes to x, "-x" unsubscribes,
-- "x text" publishes; each answers itself with what the call has returned.
-- conns: those that are open, by the order of opening.
local function obedient(options)
  local conns = {}
  options = options or {}
  options.on_open = function(conn) conns[#conns + 1] = conn end
  options.on_message = function(conn, m)
    local verb, name = m:match "^([+-])(.*)$"
    if verb == "+" then
      conn:send("ok " .. tostring(conn:subscribe(name)))
    elseif verb == "-" then
      conn:send("ok " .. tostring(conn:unsubscribe(name)))
    else
      name = m:match "^%S+"
      conn:send("ok " .. conn:publish(name, m))
    end
  end
  return t.listen(options), conns
end

local function tell(raw, text, answer)
  raw:send(t.frame("text", text))
  raw:expect_frame("text", "ok " .. tostring(answer))
end

local function members(server, n, topic)
  local raws = {}
  for i = 1, n do
    raws[i] = t.open(server)
    if topic then tell(raws[i], "+" .. topic, true) end
  end
  return raws
end

describe("a topic", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("reaches all its subscribers but the publisher, and nobody else",
    function()
      local server = obedient()
      local raws = members(server, 3, "a")
      local other, mute = members(server, 1, "b")[1], t.open(server)
      tell(raws[1], "a hi", 2)
      raws[2]:expect_frame("text", "a hi")
      raws[3]:expect_frame("text", "a hi")
      raws[1]:expect_silence()
      other:expect_silence()
      mute:expect_silence()
    end)

  it("may be published to without having subscribed", function()
    local server = obedient()
    local raws = members(server, 2, "a")
    tell(t.open(server), "a hi", 2)
    for _, raw in ipairs(raws) do raw:expect_frame("text", "a hi") end
    assert.equal(2, server:publish("a", "\0\255", "binary"))
    for _, raw in ipairs(raws) do raw:expect_frame("binary", "\0\255") end
    assert.equal(0, server:publish("nobody", "x"))
  end)

  it("is what a connection has subscribed to, once", function()
    local server, conns = obedient()
    local raw = members(server, 1, "a")[1]
    tell(raw, "+a", true)
    tell(raw, "+b", true)
    local topics = conns[1]:topics()
    table.sort(topics)
    assert.same({ "a", "b" }, topics)
    assert.equal(1, server:publish("a", "x"))
    raw:expect_frame("text", "x")
    tell(raw, "-a", true)
    tell(raw, "-a", false)
    tell(raw, "-never", false)
    assert.same({ "b" }, conns[1]:topics())
    assert.equal(0, server:publish("a", "x"))
    assert.equal(0, server:subscribers "a")
    assert.equal(1, server:subscribers "b")
    raw:expect_silence()
  end)

  it("gives exactly what is published after subscribe and before unsubscribe",
    function()
      local server, conns = obedient()
      local raws = members(server, 2)
      t.pump(function()
        local a, b = conns[1], conns[2]
        a:subscribe "x"
        server:publish("x", "1")
        b:subscribe "x"
        server:publish("x", "2")
        a:unsubscribe "x"
        server:publish("x", "3")
        a:subscribe "x"
        b:unsubscribe "x"
        server:publish("x", "4")
        b:subscribe "x"
      end)
      for _, m in ipairs { "1", "2", "4" } do
        raws[1]:expect_frame("text", m)
      end
      for _, m in ipairs { "2", "3" } do raws[2]:expect_frame("text", m) end
      raws[1]:expect_silence()
      raws[2]:expect_silence()
    end)

  it("keeps the order of publishes, sends, pings and the close", function()
    local server, conns = obedient()
    local raw = members(server, 1, "x")[1]
    t.pump(function()
      local a = conns[1]
      a:send "1"
      server:publish("x", "2")
      a:send "3"
      server:publish("y", "never")
      server:publish("x", "4")
      server:broadcast "5"
      a:ping "6"
      server:publish("x", "7")
      a:close(4000)
      assert.equal(0, server:publish("x", "late"))
    end)
    for _, m in ipairs { "1", "2", "3", "4", "5" } do
      raw:expect_frame("text", m)
    end
    raw:expect_frame("ping", "6")
    raw:expect_frame("text", "7")
    assert.equal(4000, (raw:expect_close(4000)))
  end)

  it("waits behind a message that is being written", function()
    local server, conns = obedient()
    local raws = members(server, 2, "x")
    t.pump(function()
      server:publish("x", "1")
      local writer = conns[1]:writer()
      writer:write "2a"
      assert.equal(2, server:publish("x", "3"))
      writer:write "2b"
      writer:finish()
      assert.equal(2, server:publish("x", "4"))
    end)
    raws[1]:expect_frame("text", "1")
    assert.same({ "text", "2a2b" }, { raws[1]:message() })
    raws[1]:expect_frame("text", "3")
    raws[1]:expect_frame("text", "4")
    for _, m in ipairs { "1", "3", "4" } do raws[2]:expect_frame("text", m) end
  end)

  it("is missed behind a message that is being written, when the queue is full",
    function()
      local server, conns = obedient { max_queued = 1000 }
      local raw = members(server, 1, "x")[1]
      t.pump(function()
        local writer = conns[1]:writer()
        writer:write "a"
        assert.equal(1, server:publish("x", ("m"):rep(900)))
        assert.equal(0, server:publish("x", ("n"):rep(900)))
        assert.equal(1, conns[1].missed)
        writer:finish()
      end)
      assert.same({ "text", "a" }, { raw:message() })
      raw:expect_frame("text", ("m"):rep(900))
      raw:expect_silence()
    end)

  it("comes in one write for all of a turn", function()
    local server, conns = obedient()
    local raws = members(server, 3, "x")
    t.pump(function()
      for i = 1, 100 do assert.equal(3, server:publish("x", "m" .. i)) end
      for _, conn in ipairs(conns) do assert.equal(0, conn.buffered) end
    end)
    for _, raw in ipairs(raws) do
      for i = 1, 100 do raw:expect_frame("text", "m" .. i) end
    end
  end)

  it("of many a connection picks its own", function()
    local server, conns = obedient()
    local raws = members(server, 2)
    t.pump(function()
      for i = 1, 50 do conns[1]:subscribe("t" .. i * 2) end
      conns[2]:subscribe "t7"
      for i = 1, 200 do
        assert.equal((i % 2 == 0 and i <= 100 or i == 7) and 1 or 0,
          server:publish("t" .. i, tostring(i)))
      end
    end)
    for i = 1, 50 do raws[1]:expect_frame("text", tostring(i * 2)) end
    raws[2]:expect_frame("text", "7")
    raws[1]:expect_silence()
    raws[2]:expect_silence()
  end)

  it("is left by a connection that ends", function()
    local server, conns = obedient()
    local raws = members(server, 3, "x")
    raws[1]:finish()
    raws[2]:reset()
    t.wait(function() return server.connections == 1 end)
    assert.equal(1, server:subscribers "x")
    assert.equal(1, server:publish("x", "still"))
    raws[3]:expect_frame("text", "still")
    local gone = conns[1]
    assert.same({ "x" }, gone:topics())
    local ok, why = gone:subscribe "x"
    assert.is_nil(ok)
    assert.equal("closed", why)
    assert.same({ nil, "closed" }, { gone:publish("x", "y") })
    assert.is_false(gone:unsubscribe "x")
  end)

  it("may end its last subscriber in the turn that published to it",
    function()
      local server, conns = obedient()
      local raws = members(server, 2, "x")
      t.pump(function()
        server:publish("x", "1")
        conns[1]:unsubscribe "x"
        conns[2]:terminate()
        assert.equal(0, server:publish("x", "2"))
        for i = 1, 20 do
          conns[1]:subscribe("other" .. i)
          assert.equal(1, server:publish("other" .. i, "o" .. i))
          conns[1]:unsubscribe("other" .. i)
        end
        conns[1]:subscribe "x"
        assert.equal(1, server:publish("x", "3"))
      end)
      raws[1]:expect_frame("text", "1")
      for i = 1, 20 do raws[1]:expect_frame("text", "o" .. i) end
      raws[1]:expect_frame("text", "3")
    end)

  it("carries messages of every size, in order", function()
    local server = obedient { max_queued = 64 * 1024 * 1024 }
    local raws = members(server, 2, "x")
    local sizes = { 0, 1, 125, 126, 65535, 65536, 200000, 3, 1048576, 7 }
    t.pump(function()
      for i, n in ipairs(sizes) do
        assert.equal(2, server:publish("x", string.char(64 + i):rep(n)))
      end
    end)
    for _, raw in ipairs(raws) do
      for i, n in ipairs(sizes) do
        raw:expect_frame("text", string.char(64 + i):rep(n))
      end
    end
  end)

  it("works without a turn, from a script", function()
    local server = obedient()
    local raws = members(server, 2, "x")
    assert.equal(2, server:publish("x", "1"))
    assert.equal(2, server:broadcast "2")
    for _, raw in ipairs(raws) do
      raw:expect_frame("text", "1")
      raw:expect_frame("text", "2")
    end
  end)

  it("has names that a stranger may choose", function()
    local server, conns = obedient()
    local raw = members(server, 1)[1]
    local names = { "\0", "a\0b", ("x"):rep(65535), "__index", "\255\254" }
    t.pump(function()
      for _, name in ipairs(names) do
        assert.is_true(conns[1]:subscribe(name))
        assert.equal(1, server:publish(name, "hi"))
      end
      for i = 1, 5000 do conns[1]:subscribe("n" .. i) end
      assert.equal(1, server:publish("n4711", "found"))
      for i = 1, 5000 do conns[1]:unsubscribe("n" .. i) end
    end)
    for _ = 1, #names do raw:expect_frame("text", "hi") end
    raw:expect_frame("text", "found")
    assert.equal(#names, #conns[1]:topics())
  end)

  it("refuses what is no topic, no message, no kind", function()
    local server, conns = obedient()
    local raw = members(server, 1, "x")[1]
    local conn = conns[1]
    contains(select(2, pcall(conn.subscribe, conn, "")), "65535 bytes")
    contains(select(2, pcall(conn.subscribe, conn, ("x"):rep(65536))),
      "65535 bytes")
    contains(select(2, pcall(conn.subscribe, conn)), "bad argument #2")
    contains(select(2, pcall(conn.publish, conn, "x", "\255")), "not UTF-8")
    contains(select(2, pcall(server.publish, server, "x", {})), "string")
    contains(select(2, pcall(server.broadcast, server, "x", "bytes")),
      '"text" or "binary" expected')
    raw:expect_silence()
  end)

  it("is not for a client's connection", function()
    local server = obedient()
    local conn <close> = assert(ws.connect("ws://127.0.0.1:" .. server.port))
    for _, name in ipairs { "subscribe", "unsubscribe", "publish" } do
      contains(select(2, pcall(conn[name], conn, "x", "y")),
        "topics are a server's")
    end
  end)
end)

describe("a topic of connections that compress", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  -- Messages that repeat each other, so that a window that is not what the
  -- peer's is would be noticed.
  local function text(i)
    local word = ("the quick brown fox %d jumps over the lazy dog %d; ")
      :format(i, i % 7)
    return word:rep(1 + i * i % 300)
  end

  local function wish(level, options)
    options.threshold, options.level = 16, level
    return options
  end

  it("is inflated by each to what was published, in order", function()
    local server, conns = obedient { max_queued = false,
      compression = wish(6, { context_takeover = true }) }
    local url = "ws://127.0.0.1:" .. server.port
    local clients = {}
    for _, compression in ipairs { false, wish(6, {}),
      wish(6, { context_takeover = true }),
      wish(1, { server_max_window_bits = 9, context_takeover = true }),
      wish(1, { server_max_window_bits = 10 }) } do
      clients[#clients + 1] = assert(ws.connect(url, {
        compression = compression, max_ratio = false }))
    end
    t.wait(function() return #conns == #clients end)
    local wanted = {}
    t.pump(function()
      for _, conn in ipairs(conns) do conn:subscribe "x" end
      for i = 1, 60 do
        wanted[#wanted + 1] = text(i)
        if i % 3 == 0 then
          for _, conn in ipairs(conns) do conn:send(text(i)) end
        else
          assert.equal(#conns, server:publish("x", text(i)))
        end
        if i % 20 == 0 then ws.sleep(0) end
      end
    end)
    for i, client in ipairs(clients) do
      assert.equal(i > 1, client.compressed)
      for _, m in ipairs(wanted) do
        assert.is_true(client:receive(5) == m, "client " .. i)
      end
      client:close()
    end
  end)

  it("is compressed once: all get the same bytes", function()
    local server = obedient { compression = { threshold = 16 } }
    local raws = {}
    for i = 1, 2 do
      raws[i] = t.raw(server)
      assert.equal(101, (raws[i]:upgrade { extension = true, headers = {
        ["Sec-WebSocket-Extensions"] = "permessage-deflate" } }))
      tell(raws[i], "+x", true)
    end
    assert.equal(2, server:publish("x", ("long "):rep(100)))
    local first, second = raws[1]:frame(), raws[2]:frame()
    assert.equal(4, first.rsv)
    assert.is_true(#first.payload < 100)
    assert.equal(first.payload, second.payload)
    assert.equal(2, server:publish("x", "short"))
    assert.equal(0, raws[1]:frame().rsv)
  end)
end)

describe("a broadcast", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("reaches every open connection, later ones included", function()
    local server, conns = obedient()
    local raws = members(server, 2)
    local pending = t.raw(server)
    assert.equal(2, server:broadcast "1")
    raws[3] = t.open(server)
    t.wait(function() return #conns == 3 end)
    assert.equal(3, server:broadcast("2", "binary"))
    for i, raw in ipairs(raws) do
      if i < 3 then raw:expect_frame("text", "1") end
      raw:expect_frame("binary", "2")
    end
    assert.same({}, conns[1]:topics())
    pending:close()
  end)

  it("passes by a connection that is closing", function()
    local server, conns = obedient()
    local raws = members(server, 2)
    t.pump(function()
      conns[1]:close()
      assert.equal(1, server:broadcast "x")
    end)
    raws[1]:expect_close(1000)
    raws[2]:expect_frame("text", "x")
    assert.equal(1, server:broadcast "y")
  end)
end)

describe("a subscriber over TLS that does not read", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("gets sends and publishes in order, whoever reads meanwhile", function()
    local tls = require "spec.helper.tls"
    local own
    local server = t.listen(tls.options { read_ahead = true,
      max_queued = false, stall_timeout = false, keepalive_interval = false,
      on_open = function(conn)
        own = conn
        conn:subscribe "x"
      end,
      on_message = function(conn, m, kind)
        conn:send("a" .. m, kind)
        conn:publish("y", "nobody")
        conn.server:publish("x", "b" .. m)
        conn:send("c" .. m, kind)
      end })
    local client = assert(ws.connect("wss://localhost:" .. server.port,
      { tls = { ca = tls.file "ca.pem" }, max_message = false }))
    t.wait(function() return own end)
    client:pause()
    local n, block = 0, ("z"):rep(100000)
    -- until nothing but records of TLS waits, and then some more
    repeat
      n = n + 1
      own:send(block)
      t.turn()
    until own.buffered > 0 or n == 1000
    for i = 1, 20 do
      client:send(tostring(i))
      t.turn()
    end
    t.wait(function() return own.buffered > 0 end)
    client:resume()
    for _ = 1, n do assert.is_true(client:receive(10) == block) end
    for i = 1, 20 do
      for _, verb in ipairs { "a", "b", "c" } do
        assert.equal(verb .. i, (client:receive(10)))
      end
    end
    client:close()
  end)
end)

describe("a subscriber that does not read", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  local function slow_and_fast(options)
    options.sndbuf = nil
    local server, conns = obedient(options)
    local slow = t.open(server, { rcvbuf = 4096 })
    tell(slow, "+x", true)
    local fast = members(server, 1, "x")[1]
    return server, conns, slow, fast
  end

  -- Publishes until the slow one misses something.
  local function fill(server, fast, message)
    local n, got = 0
    repeat
      n = n + 1
      got = server:publish("x", n .. message)
      fast:expect_frame("text", n .. message)
    until got == 1 or n == 5000
    assert.equal(1, got)
    return n
  end

  it("misses what its queue has no room for, and is not counted", function()
    local server, conns, slow, fast =
      slow_and_fast { max_queued = 256 * 1024, stall_timeout = false }
    local message = ("m"):rep(10000)
    local n = fill(server, fast, message)
    assert.equal(1, conns[1].missed)
    assert.equal(0, conns[2].missed)
    assert.is_true(conns[1].buffered <= 256 * 1024)
    assert.is_true(conns[1].buffered > 256 * 1024 - 2 * 10010)
    assert.equal(1, server:publish("x", "z" .. message))
    fast:expect_frame("text", "z" .. message)
    assert.equal(2, conns[1].missed)
    -- all before the gap arrives, in order, and what comes after it
    for i = 1, n - 1 do slow:expect_frame("text", i .. message) end
    assert.equal(2, server:publish("x", "again"))
    slow:expect_frame("text", "again")
    fast:expect_frame("text", "again")
  end)

  it("is closed where on_full says so, alone", function()
    local ends = {}
    local server, _, _, fast = slow_and_fast { max_queued = 128 * 1024,
      on_full = "close", stall_timeout = false,
      on_close = function(_, code, why) ends[#ends + 1] = code .. why end }
    fill(server, fast, ("m"):rep(10000))
    t.wait(function() return #ends > 0 end)
    assert.same({ "1008slow consumer" }, ends)
    assert.equal(1, server:subscribers "x")
    assert.equal(1, server:publish("x", "on"))
    fast:expect_frame("text", "on")
  end)

  it("gets a turn's publishes whole, as it was counted for them", function()
    local server, conns, slow, fast =
      slow_and_fast { max_queued = 64 * 1024, stall_timeout = false }
    local sum = 0
    t.pump(function()
      for i = 1, 300 do
        sum = sum + server:publish("x", ("%06d"):format(i) .. ("m"):rep(20000))
      end
    end)
    assert.is_true(conns[1].missed > 0)
    assert.equal(sum, 600 - conns[1].missed - conns[2].missed)
    for i, raw in ipairs { slow, fast } do
      local last = 0
      for _ = 1, 300 - conns[i].missed do
        local _, m = raw:message()
        local number = tonumber(m:sub(1, 6))
        assert.is_true(number > last)
        last = number
      end
      raw:expect_silence()
    end
  end)
end)
