-- Clients that connect again after a loss (src/engine/retry.c).

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local child = require "spec.binding.kit"
local tls = require "spec.helper.tls"

local core = require "evws.core"
local ws, probe = t.ws, t.probe
local second = t.factor

local fast = { initial = 0.02, maximum = 0.1, jitter = 0 }

-- Without the reason.
local function three(message, why, code)
  return message, why, code
end

-- A server, and the connections it has accepted: log.conns.
local function serve(options)
  return kit.serve(options or {})
end

local function url_of(server, host)
  return ("ws://%s:%d/"):format(host or "127.0.0.1", server.port)
end

-- What its handlers see: { "open" } and { "close", code, reason, state }.
local function connect(url, options)
  local seen, own = {}, { reconnect = fast }
  for name, value in pairs(options or {}) do own[name] = value end
  local on_open, on_close = own.on_open, own.on_close
  function own.on_open(conn)
    seen[#seen + 1] = "open"
    if on_open then on_open(conn) end
  end
  function own.on_close(conn, code, reason)
    seen[#seen + 1] = ("close %d %s"):format(code, reason)
    if on_close then on_close(conn, code, reason) end
  end
  return assert(ws.connect(url, own)), seen
end

local function until_n(log, n)
  t.wait(function() return #log.conns >= n end, n .. " connections")
  return log.conns[n]
end

local function until_open(conn)
  t.wait(function() return conn.state == "open" end, "an open connection")
end

local function until_state(conn, state)
  t.wait(function() return conn.state == state end, state)
end

-- As many as it takes to come to rest: what is not decided then waits.
local function turns()
  for _ = 1, 6 do t.turn() end
end

-- The client has read all that the server's end has sent so far.
local function until_read(conn)
  local is_there
  conn:on_pong(function() is_there = true end):ping()
  t.wait(function() return is_there end, "a pong")
end

-- A port on which nobody listens.
local function free_port()
  local listener = assert(probe.listen "127.0.0.1")
  local port = listener.port
  listener:close()
  return port
end

local function sorted_keys(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return list
end

describe("a client that reconnects", function()
  after_each(function()
    child.cleanup()
    t.cleanup()
  end)

  it("comes back as the same connection: on_close, connecting, on_open",
    function()
      local server, log = serve()
      local states = {}
      local conn, seen = connect(url_of(server), {
        on_close = function(c) states[#states + 1] = c.state end })
      conn.data = { mine = true }
      until_open(conn)
      local id, port = conn.id, conn.remote_port
      until_n(log, 1):terminate()
      until_state(conn, "connecting")
      assert.same({ "open",
        "close 1006 connection closed without a close frame" }, seen)
      assert.same({ "closed" }, states)
      until_n(log, 2)
      until_open(conn)
      assert.same({ id, port, true, "/" },
        { conn.id, conn.remote_port, conn.data.mine, conn.path })
      assert.equal("open", seen[3])
      conn:send "hello"
      t.wait(function() return log.messages[1] == "hello" end)
      conn:close()
    end)

  it("keeps its handlers", function()
    local got = {}
    local server, log = serve { on_open = function(c) c:send "welcome" end }
    local conn = connect(url_of(server), {
      on_message = function() got[#got + 1] = "option" end })
    t.wait(function() return #got == 1 end)
    conn:on_message(function(_, m) got[#got + 1] = m end)
    local ends = 0
    conn:on_close(function() ends = ends + 1 end)
    for n = 1, 3 do
      log.conns[n]:terminate()
      t.wait(function() return #got == n + 1 end, "the message")
    end
    assert.same({ "option", "welcome", "welcome", "welcome" }, got)
    assert.equal(3, ends)
    conn:close()
    t.wait(function() return ends == 4 end)
  end)

  it("may receive in on_open each time, before on_message", function()
    local there = ws.queue(1) -- the client has read them all
    local server, log = serve { on_open = function(c)
      for _, m in ipairs { "token", "one", "two" } do c:send(m) end
      c:on_pong(function() there:put(true) end):ping()
    end }
    local got = {}
    local conn = connect(url_of(server), {
      on_open = function(c)
        got[#got + 1] = c:receive()
        there:take()
        c:on_message(function(_, m) got[#got + 1] = m end)
      end })
    for n = 1, 3 do
      t.wait(function() return #got == 3 * n end)
      log.conns[n]:terminate()
    end
    assert.same({ "token", "one", "two", "token", "one", "two", "token", "one",
      "two" }, got)
    conn:close()
  end)

  it("sends nothing meanwhile, and nothing again", function()
    local server, log = serve()
    local conn = connect(url_of(server))
    until_open(conn)
    conn:send "before"
    t.wait(function() return #log.messages == 1 end)
    log.conns[1]:terminate()
    until_state(conn, "connecting")
    for _, name in ipairs { "send", "ping", "shutdown", "drain" } do
      local result = { conn[name](conn, name == "send" and "x" or nil) }
      assert.same({ nil, "closed" }, { result[1], result[2] }, name)
    end
    until_n(log, 2)
    until_open(conn)
    conn:send "after"
    t.wait(function() return #log.messages == 2 end)
    assert.same({ "before", "after" }, log.messages)
    conn:close()
  end)

  it("has writers that end with the connection they wrote on", function()
    local server, log = serve()
    local conn = connect(url_of(server))
    until_open(conn)
    local writer = assert(conn:writer())
    writer:write "half"
    conn:send "behind it"
    log.conns[1]:terminate()
    until_n(log, 2)
    until_open(conn)
    assert.same({ nil, "closed" }, { writer:write "more" })
    assert.same({ nil, "closed" }, { writer:finish() })
    local other <close> = assert(conn:writer())
    other:write "whole"
    other:finish()
    t.wait(function() return #log.messages > 0 end)
    assert.same({ "whole" }, log.messages)
    conn:close()
  end)

  it("tells a waiting receive once; the next waits for the new connection",
    function()
      local server, log = serve()
      local conn, results = assert(ws.connect(url_of(server),
        { reconnect = fast })), {}
      ws.spawn(function()
        for n = 1, 4 do results[n] = table.pack(conn:receive()) end
      end)
      for n = 1, 2 do
        until_n(log, n)
        log.conns[n]:send("hello " .. n)
        if n == 1 then
          t.wait(function() return #results == 1 end)
          log.conns[1]:close(4001, "go")
        end
      end
      t.wait(function() return #results == 3 end)
      assert.same({ { "hello 1", "text", n = 2 },
        { nil, "closed", 4001, "go", n = 4 }, { "hello 2", "text", n = 2 } },
        results)
      conn:close()
      t.wait(function() return #results == 4 end)
      assert.same({ nil, "closed", 1000, "", n = 4 }, results[4])
    end)

  it("waits in receive as the driver of the loop too", function()
    local server = serve { on_open = function(c)
      c:send "x"
      c:close(1001)
    end }
    local conn = assert(ws.connect(url_of(server), { reconnect = fast }))
    for _ = 1, 3 do
      assert.equal("x", conn:receive(t.limit))
      assert.same({ nil, "closed", 1001 }, { three(conn:receive(t.limit)) })
    end
    conn:terminate()
  end)

  it("has unread messages before the closed result, and new ones behind it",
    function()
      local server, log = serve { on_open = function(c)
        for i = 1, 3 do c:send(tostring(i)) end
      end }
      local conn = assert(ws.connect(url_of(server), { reconnect = fast }))
      until_read(until_n(log, 1))
      log.conns[1]:terminate()
      until_read(until_n(log, 2))
      until_open(conn)
      local got = {}
      for i = 1, 7 do
        local message, _, code = conn:receive(t.limit)
        got[i] = message or code
      end
      assert.same({ "1", "2", "3", 1006, "1", "2", "3" }, got)
      conn:close()
    end)

  it("keeps unread messages where we cut ourselves", function()
    local server, log = serve { on_open = function(c) c:send "unread" end,
      keepalive_interval = false }
    local conn = assert(ws.connect(url_of(server), { reconnect = fast,
      keepalive_interval = 0.05 * second, keepalive_timeout = 0.06 * second }))
    log.conns[1]:pause()
    t.wait(function() return #log.conns == 2 end)
    assert.equal("unread", (conn:receive(t.limit)))
    assert.same({ nil, "closed", 1006 }, { three(conn:receive(t.limit)) })
    assert.equal("unread", (conn:receive(t.limit)))
    conn:terminate()
  end)

  it("has no unread messages after terminate, only the end", function()
    for _, reconnect in ipairs { fast, false } do
      local conn, raw = kit.connected { reconnect = reconnect }
      raw:send(t.frame("text", "1", { mask = false })
        .. t.frame("text", "2", { mask = false }))
      assert.equal("1", (conn:receive(t.limit)))
      conn:terminate()
      for _ = 1, 2 do
        assert.same({ nil, "closed", 1006 }, { three(conn:receive(t.limit)) })
      end
      raw:close()
    end
  end)

  it("that nobody reads tells many losses once", function()
    local server, log = serve { on_open = function(c) c:terminate() end }
    local conn = assert(ws.connect(url_of(server), { reconnect =
      { initial = 0.001, maximum = 0.002 } }))
    until_n(log, 20)
    assert.same({ nil, "closed", 1006 }, { three(conn:receive(t.limit)) })
    local result = { conn:receive(0) }
    assert.is_true(result[2] == "timeout" or result[2] == "closed")
    conn:close()
  end)

  it("takes a loss that nobody received for no pong", function()
    local server, log = serve()
    local got = {}
    local conn = assert(ws.connect(url_of(server), { reconnect = fast,
      on_pong = function() got[#got + 1] = "pong" end }))
    log.conns[1]:terminate()
    until_state(conn, "connecting")
    conn:on_message(function(_, m) got[#got + 1] = m end)
    until_n(log, 2):send "hello"
    t.wait(function() return #got > 0 end)
    assert.same({ "hello" }, got)
    conn:close()
  end)

  describe("does not come back", function()
    local function assert_stays(conn, log, n)
      until_state(conn, "closed")
      turns()
      assert.equal("closed", conn.state) -- not "connecting"
      assert.equal(n or 1, #log.conns)
    end

    it("after our own close, terminate or shutdown", function()
      for _, how in ipairs { "close", "terminate", "shutdown" } do
        local server, log = serve()
        local conn, seen = connect(url_of(server))
        until_open(conn)
        conn[how](conn)
        assert_stays(conn, log)
        assert.equal(2, #seen)
      end
    end)

    it("after 1000, 1002 and 1008, and does after others", function()
      local coming = {}
      for _, code in ipairs { 1000, 1001, 1002, 1003, 1008, 1011, 1012,
        4000 } do
        local server, log = serve { on_open = function(c) c:close(code) end }
        local conn = connect(url_of(server))
        t.wait(function()
          return #log.conns > 1 or conn.state == "closed"
            and #log.closed == 1
        end)
        if #log.conns == 1 then assert_stays(conn, log) end
        if #log.conns > 1 then coming[code] = true end
        conn:close()
      end
      assert.same({ 1001, 1003, 1011, 1012, 4000 }, sorted_keys(coming))
    end)

    it("after a peer that broke the protocol", function()
      local conn, raw = kit.connected { reconnect = fast }
      raw:send(t.frame("text", "masked"))
      raw:expect_close(1002)
      until_state(conn, "closed")
    end)

    it("when it is closed in on_close", function()
      for _, how in ipairs { "close", "terminate" } do
        local server, log = serve()
        local conn, seen = connect(url_of(server), {
          on_close = function(c) c[how](c) end })
        until_open(conn)
        log.conns[1]:terminate()
        assert_stays(conn, log)
        assert.equal(2, #seen)
      end
    end)

    it("when it is closed while it waits, and says no more", function()
      for _, how in ipairs { "close", "terminate" } do
        local server, log = serve()
        local conn, seen = connect(url_of(server), {
          reconnect = { initial = 5 } })
        until_open(conn)
        log.conns[1]:terminate()
        until_state(conn, "connecting")
        local result
        ws.spawn(function()
          conn:receive() -- the loss
          result = table.pack(conn:receive())
        end)
        turns()
        assert.is_nil(result)
        assert.is_true((conn[how](conn)))
        assert_stays(conn, log)
        assert.equal(2, #seen)
        assert.same({ nil, "closed", 1006 },
          { table.unpack(result, 1, 3) })
        assert.same({ nil, "closed" }, { conn:send "x" })
      end
    end)

    it("when its variable goes out of scope while it waits", function()
      local server, log = serve()
      local kept
      do
        local conn <close> = connect(url_of(server), {
          reconnect = { initial = 5 } })
        kept = conn
        until_open(conn)
        log.conns[1]:terminate()
        until_state(conn, "connecting")
      end
      assert_stays(kept, log)
    end)

    it("when it is closed during an attempt: on_close tells that", function()
      local listener = assert(probe.listen "127.0.0.1")
      local conn, seen = connect("ws://127.0.0.1:" .. listener.port)
      local raw = t.wrap(t.wait(function() return listener:accept() end),
        "client")
      kit.answer(raw)
      until_open(conn)
      raw:reset()
      local silent = t.wait(function() return listener:accept() end)
      conn:close()
      t.wait(function() return #seen == 3 end)
      turns()
      assert.equal("closed", conn.state)
      assert.equal("close 1006 closed before it was open", seen[3])
      assert.equal(3, #seen)
      assert.is_nil((listener:accept()))
      silent:close()
      listener:close()
    end)
  end)

  describe("whose first attempt fails", function()
    it("returns the error to a waiting ws.connect, and that is all",
      function()
        local ends = 0
        local url = ("ws://127.0.0.1:%d/"):format(free_port())
        assert.same({ nil, "connection refused" }, { t.connect(url,
          { reconnect = { initial = 0.001, maximum = 0.001 },
            on_close = function() ends = ends + 1 end }) })
        kit.during(0.01 * second) -- ten attempts more
        assert.equal(1, ends)
      end)

    it("goes on trying with on_open, and tells each failure", function()
      local port = free_port()
      local conn, seen = connect(("ws://127.0.0.1:%d/"):format(port))
      assert.equal("connecting", conn.state)
      t.wait(function() return #seen >= 3 end)
      assert.equal("close 1006 connection refused", seen[1])
      assert.equal("close 1006 connection refused", seen[3])
      local _, log = serve { port = port, on_open = function(c)
        c:send "at last"
      end }
      assert.equal("at last", (conn:receive(t.limit)))
      assert.equal("open", seen[#seen])
      assert.equal(1, #log.conns)
      conn:close()
    end)

    it("does not wake a receive with it", function()
      local result
      local conn, seen = connect(("ws://127.0.0.1:%d/"):format(free_port()))
      ws.spawn(function() result = table.pack(conn:receive()) end)
      t.wait(function() return #seen >= 3 end)
      assert.is_nil(result)
      conn:close()
      t.wait(function() return result end)
      assert.same({ nil, "closed", 1006, "closed before it was open", n = 4 },
        result)
    end)
  end)

  describe("that is refused", function()
    local function attempts(status, headers)
      local n = 0
      local server = t.listen { on_upgrade = function()
        n = n + 1
        return status, "", headers
      end }
      local conn, seen = connect(url_of(server))
      t.wait(function()
        return n > 2 or #seen == 1 and conn.state == "closed"
      end)
      if n == 1 then turns() end
      local state = conn.state
      conn:close()
      return n > 1, seen[1], state
    end

    it("gives up where the answer would be the same, and says which",
      function()
        for status, text in pairs { [400] = "400 Bad Request",
          [401] = "401 Unauthorized", [403] = "403 Forbidden",
          [410] = "410 Gone", [301] = "301 Moved Permanently" } do
          local again, first, state = attempts(status, status == 301
            and { Location = "ws://127.0.0.1:1/" } or nil)
          assert.is_false(again, text)
          assert.equal("closed", state)
          assert.equal("close 1006 " .. text, first)
        end
      end)

    it("tries again where it may pass", function()
      for _, status in ipairs { 404, 408, 429, 500, 502, 503, 504 } do
        assert.is_true((attempts(status)), status)
      end
    end)

    it("tries again when the answer was none", function()
      local listener = assert(probe.listen "127.0.0.1")
      local conn, seen = connect("ws://127.0.0.1:" .. listener.port)
      for _ = 1, 3 do
        local raw = t.wrap(t.wait(function() return listener:accept() end),
          "client")
        raw:send "SMTP ready\r\n\r\n"
        raw:close()
      end
      assert.is_true(#seen >= 2)
      conn:close()
      listener:close()
    end)
  end)

  describe("waits as Retry-After asks it to", function()
    -- The seconds between a refusal and the next attempt.
    local function gap(status, value)
      local listener <close> = assert(probe.listen "127.0.0.1")
      local conn = connect("ws://127.0.0.1:" .. listener.port, {
        reconnect = { initial = 0.01, maximum = 0.02, jitter = 0 } })
      local function accept()
        return t.wrap(t.wait(function() return listener:accept() end,
          "an attempt", 10), "client")
      end
      local raw = accept()
      kit.read_request(raw)
      raw:send(("HTTP/1.1 %d No\r\nRetry-After: %s\r\n\r\n"):format(status,
        value))
      local before = ws.now()
      raw:close()
      raw = accept()
      local seconds = ws.now() - before
      conn:close()
      raw:close()
      return seconds
    end

    it("in seconds, or by a date", function()
      for _, status in ipairs { 429, 503 } do
        assert.is_true(gap(status, "1") >= 0.9)
      end
      local date = os.date("!%a, %d %b %Y %H:%M:%S GMT",
        os.time() + 1 + t.factor)
      assert.is_true(gap(503, date) >= 0.9)
    end)

    it("but not for another status, a past date, or nonsense", function()
      assert.is_true(gap(500, "30") < 25)
      for _, value in ipairs { "Sun, 06 Nov 1994 08:49:37 GMT", "-1", "30x", "",
          "Sun, 06 Nov 2999 08:49:37", "Sun, 99 Nov 2999 08:49:37 GMT" } do
        assert.is_true(gap(503, value) < 25, value)
      end
    end)
  end)

  describe("waits", function()
    -- The seconds between failures.
    local function gaps(reconnect, n)
      local times = {}
      local conn = connect(("ws://127.0.0.1:%d/"):format(free_port()), {
        reconnect = reconnect,
        on_close = function() times[#times + 1] = ws.now() end })
      t.wait(function() return #times > n end)
      conn:close()
      local list = {}
      for i = 1, n do list[i] = times[i + 1] - times[i] end
      return list
    end

    it("twice as long each time, up to the maximum", function()
      local list = gaps({ initial = 0.02, maximum = 0.07, jitter = 0 }, 5)
      for i, expected in ipairs { 0.02, 0.04, 0.07, 0.07, 0.07 } do
        assert.is_true(list[i] > expected - 0.002, i)
        assert.is_true(list[i] < expected + 0.5 * second, i)
      end
    end)

    it("less by chance, up to the part that is jitter", function()
      local least, most = math.huge, 0
      for _, gap in ipairs(gaps({ initial = 0.05, maximum = 0.05,
        jitter = 1 }, 16)) do
        least, most = math.min(least, gap), math.max(most, gap)
      end
      assert.is_true(least < 0.035, least) -- 1 in 300 by chance, squared
      assert.is_true(most - least > 0.005, most - least)
      for _, gap in ipairs(gaps({ initial = 0.02, maximum = 0.02,
        jitter = 0.5 }, 8)) do
        assert.is_true(gap > 0.009, gap)
      end
    end)

    it("as at first after a connection that has lasted", function()
      -- a process of its own: no other timer is earlier than the next attempt
      local process = child.run [[
        local place, times, accepted = { host = "127.0.0.1", port = 0 }, 0, nil
        local listener = assert(ws.listen(place))
        place.port = listener.port
        listener:close()
        local function wait(predicate)
          local last = ws.now() + 60
          while not predicate() do
            assert(ws.now() < last, "waited in vain")
            ws.step(0.01)
          end
        end
        local conn = ws.connect("ws://127.0.0.1:" .. place.port, {
          reconnect = { initial = 0.03, maximum = 10, jitter = 0 },
          on_open = function() end,
          on_close = function() times = times + 1 end })
        wait(function() return times == 4 end) -- 0.03, 0.06, 0.12; now 0.24
        say(ws.timeout() <= 0.24)
        function place.on_open(other) accepted = other end
        assert(ws.listen(place))
        wait(function() return accepted and conn.state == "open" end)
        local opened = ws.now()
        wait(function() return ws.now() - opened > 0.25 end)
        accepted:terminate()
        wait(function() return times == 5 end)
        say(ws.timeout() <= 0.03)
        os.exit(0)
      ]]
      assert.equal(0, process:ended(20), process:errors())
      assert.equal("true\ntrue\n", process:output())
    end)

    it("longer when each connection is lost at once", function()
      local server, log = serve { on_open = function(c) c:terminate() end }
      local conn = connect(url_of(server), { reconnect =
        { initial = 0.02, maximum = 10, jitter = 0 } })
      until_n(log, 1)
      local from = ws.now()
      until_n(log, 5) -- 0.02 + 0.04 + 0.08 + 0.16
      assert.is_true(ws.now() - from > 0.29)
      conn:close()
    end)
  end)

  it("tries all addresses of the name anew", function()
    local six = probe.listen("::1", 0)
    if not six then return pending "no IPv6" end
    local port = six.port
    six:close()
    local server, log = serve { port = port }
    local conn = connect(url_of(server, "localhost"))
    until_open(conn)
    assert.equal("127.0.0.1", conn.remote_address)
    t.pump(server.close, server)
    until_state(conn, "connecting")
    local _, other = serve { port = port, host = "::1" }
    until_n(other, 1)
    until_open(conn)
    assert.equal("::1", conn.remote_address)
    assert.equal(1, #log.conns)
    conn:close()
  end)

  it("agrees on compression each time, and goes on to give chunks", function()
    local text = ("compressible "):rep(1000)
    local server, log = serve { compression = { context_takeover = true },
      on_open = function(c) c:send(text) end }
    local got, whole = {}, 0
    local conn = connect(url_of(server), {
      compression = { context_takeover = true },
      on_chunk = function(_, bytes, _, final)
        got[#got + 1] = bytes
        if final then whole = whole + 1 end
      end })
    for n = 1, 3 do
      t.wait(function() return whole == n end, "message " .. n)
      assert.is_truthy(conn.compressed)
      log.conns[n]:terminate()
    end
    assert.equal(text:rep(3), table.concat(got):sub(1, 3 * #text))
    conn:close()
  end)

  it("verifies the server each time, by the same name", function()
    local opened = 0
    local server = t.listen(tls.options { on_open = function(c)
      opened = opened + 1
      c:terminate()
    end })
    local conn = connect(("wss://127.0.0.1:%d/"):format(server.port), {
      tls = { ca = tls.file "ca.pem", server_name = "localhost" } })
    collectgarbage()
    t.wait(function() return opened >= 4 end)
    assert.is_true(conn.secure)
    conn:close()
    local refused, seen = connect(("wss://127.0.0.1:%d/"):format(server.port),
      { tls = { ca = tls.file "ca.pem", server_name = "other.test" } })
    t.wait(function() return #seen >= 2 end)
    assert.is_truthy(seen[1]:find "^close 1006 .*certificate")
    refused:close()
  end)

  it("sends the same request each time", function()
    local heads = {}
    local server = t.listen { on_upgrade = function(r)
      heads[#heads + 1] = ("%s?%s %s %s %s"):format(r.path, r.query, r.origin,
        r.headers["x-own"], r.headers["sec-websocket-protocol"])
    end, on_open = function(c) c:terminate() end }
    local conn = connect(url_of(server) .. "a/b?c=d", {
      origin = "https://o.test", headers = { ["X-Own"] = "mine" },
      subprotocols = { "v2", "v1" } })
    collectgarbage()
    t.wait(function() return #heads >= 3 end)
    conn:close()
    for i = 1, 3 do
      assert.equal("/a/b?c=d https://o.test mine v2, v1", heads[i])
    end
  end)

  it("leaves no descriptor behind", function()
    local server, log = serve()
    local conn = connect(url_of(server), { reconnect =
      { initial = 0.001, maximum = 0.001 } })
    until_n(log, 1)
    until_open(conn)
    turns()
    local before = t.fd_count()
    for n = 1, 20 do
      log.conns[n]:terminate()
      until_n(log, n + 1)
    end
    t.wait(function() return probe.fd_count() <= before end)
    conn:close()
  end)

  it("keeps ws.run running until it is ended", function()
    local p = child.run(([[
      local n = 0
      ws.connect("ws://127.0.0.1:%d/", { reconnect = { initial = 0.01 },
        on_open = error, on_close = function(conn)
          n = n + 1
          if n == 3 then conn:close() end
        end })
      print(ws.run(), n)]]):format(free_port()))
    assert.equal(0, p:ended())
    assert.equal("true\t3\n", p:output())
  end)

  it("lets the state be closed at any point", function()
    for _, point in ipairs { "waiting", "connecting", "lost" } do
      local p = child.run(([[
        local s = assert(ws.listen { port = 0, on_open = function(c)
          if %q ~= "waiting" then c:terminate() end end })
        local url = "ws://127.0.0.1:" .. s.port
        if %q == "waiting" then url = "ws://127.0.0.1:%d/" end
        local left = %d
        local c = ws.connect(url, { reconnect = { initial = %s },
          on_open = function() end, headers = { A = ("x"):rep(1000) },
          on_close = function() left = left - 1 end })
        while left > 0 or c.state == "closed" do ws.sleep(0) end
        print(c.state)
        os.exit(0, true)]]):format(point, point, free_port(),
          point == "lost" and 10 or 1, point == "lost" and "0.0001" or "60"))
      assert.equal(0, p:ended(), p:errors())
      assert.is_truthy(p:output():find "connecting" or point == "lost")
      assert.equal("", p:errors())
    end
  end)

  describe("without memory", function()
    if not core.fail_at then
      it("comes back, or ends", function() pending "built without WS_FAULT" end)
      return
    end

    after_each(function() core.fail_at(0) end)

    it("comes back, or ends, and tells both in pairs", function()
      ws.on_error(function() end)
      for _, every in ipairs { false, true } do
        for n = 1, 40 do
          local server, log = serve()
          local opens, ends = 0, 0
          local conn = ws.connect(url_of(server), { reconnect =
            { initial = 0.001, maximum = 0.001 },
            on_open = function() opens = opens + 1 end,
            on_close = function() ends = ends + 1 end })
          until_n(log, 1)
          until_open(conn)
          log.conns[1]:terminate()
          core.fail_at(n, every)
          turns()
          core.fail_at(0)
          t.wait(function()
            return conn.state == "open" or conn.state == "closed"
          end)
          conn:close()
          until_state(conn, "closed")
          t.wait(function() return ends >= opens and ends >= 1 end)
          t.cleanup()
        end
      end
      ws.on_error(nil)
    end)
  end)
end)

-- In virtual time.
describe("an attempt that is answered", function()
  local sim = require "evws.sim"

  it("is followed by the next where the answer may pass", function()
    local passing = { [404] = true, [408] = true, [425] = true, [429] = true }
    for _, status in ipairs { 301, 400, 401, 403, 404, 405, 408, 410, 421, 425,
      426, 428, 429, 431, 500, 501, 503, 599 } do
      sim.new { seed = status }:run(function(net)
        local attempts, ends = 0, 0
        local server = assert(ws.listen { port = 5000, on_upgrade = function()
          attempts = attempts + 1
          return status
        end })
        local conn = ws.connect("ws://localhost:5000/", {
          reconnect = { initial = 1, maximum = 1 },
          on_open = function() end,
          on_close = function() ends = ends + 1 end })
        net:advance(20)
        local is_passing = passing[status] or status >= 500
        assert.equal(is_passing or false, attempts > 1, status)
        assert.equal(is_passing and "connecting" or "closed", conn.state)
        conn:close()
        net:advance(5)
        assert.equal(attempts, ends)
        server:close { timeout = 1 }
        net:advance(5)
      end)
    end
  end)
end)
