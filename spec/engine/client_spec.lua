-- Connecting (src/engine/client.c), against a server that says whatever the
-- spec wants it to.

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local tls = require "spec.helper.tls"

local frame = t.frame
local second = t.factor

local function finished(outcome)
  t.wait(function() return outcome.done end, "the end of connect")
  return outcome[1], outcome[2], outcome[3]
end

local function plain(opcode, payload, options)
  local o = options or {}
  o.mask = false
  return frame(opcode, payload, o)
end

-- A 101 with these fields changed: false leaves one out.
local function answer_with(raw, changes)
  local head = kit.read_request(raw)
  local key = head:match "\r\nSec%-WebSocket%-Key: (%S+)\r\n"
  local accept = require("evws_probe").handshake.accept(key)
  local fields = { Upgrade = "websocket", Connection = "Upgrade",
    ["Sec-WebSocket-Accept"] = accept }
  for name, value in pairs(changes) do fields[name] = value end
  local lines = { "HTTP/1.1 101 Switching Protocols\r\n" }
  for name, value in pairs(fields) do
    if value then lines[#lines + 1] = name .. ": " .. value .. "\r\n" end
  end
  raw:send(table.concat(lines) .. "\r\n")
end

describe("a client", function()
  after_each(t.cleanup)

  it("asks as RFC 6455 4.1 wants it", function()
    local outcome, raw = kit.dial({ origin = "https://a.test",
      subprotocols = { "v2", "v1" }, headers = { ["X-Own"] = "mine" } },
      "/chat?room=1")
    local head = kit.answer(raw, "Sec-WebSocket-Protocol: v1\r\n")
    assert.equal("GET /chat?room=1 HTTP/1.1\r\n", head:match "^.-\r\n")
    for _, line in ipairs { "Upgrade: websocket", "Connection: Upgrade",
      "Sec-WebSocket-Version: 13", "Origin: https://a.test",
      "Sec-WebSocket-Protocol: v2, v1", "X-Own: mine" } do
      assert.is_truthy(head:find("\r\n" .. line .. "\r\n", 1, true), line)
    end
    assert.is_truthy(head:find "\r\nHost: 127%.0%.0%.1:%d+\r\n")
    assert.equal(24, #head:match "\r\nSec%-WebSocket%-Key: (%S+)\r\n")
    local conn = assert(finished(outcome))
    assert.same({ "open", "/chat", "room=1", "v1" }, { conn.state, conn.path,
      conn.query, conn.subprotocol })
  end)

  it("has a new key each time", function()
    local seen = {}
    for _ = 1, 10 do
      local _, raw = kit.dial()
      local key = kit.answer(raw):match "Sec%-WebSocket%-Key: (%S+)"
      assert.is_nil(seen[key])
      seen[key] = true
    end
  end)

  it("talks", function()
    local conn, raw = kit.connected()
    conn:send("hello", "binary")
    raw:expect_frame("binary", "hello")
    raw:send(plain("text", "hi"))
    assert.same({ "hi", "text" },
      { t.pump(function() return conn:receive() end) })
    conn:close(4000, "bye")
    raw:expect_close(4000)
    raw:send(plain("close", (">I2"):pack(4000)))
    raw:half_close()
    raw:expect_eof()
  end)

  it("opens with an answer in single bytes, and frames behind it",
    function()
      local outcome, raw = kit.dial()
      local bytes = {}
      function raw:send(text) -- collects what kit.answer writes
        bytes[#bytes + 1] = text
        return self
      end
      kit.answer(raw, nil, plain("text", "early") .. plain("text", "birds"))
      raw.send = nil
      raw:send_bytewise(table.concat(bytes))
      local conn = assert(finished(outcome))
      t.pump(function()
        assert.equal("early", (conn:receive()))
        assert.equal("birds", (conn:receive()))
      end)
    end)

  it("refuses what the answer must not be (4.1)", function()
    for _, changes in ipairs {
      { ["Sec-WebSocket-Accept"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=" },
      { ["Sec-WebSocket-Accept"] = false },
      { Upgrade = false }, { Upgrade = "h2c" },
      { Connection = false }, { Connection = "close" },
      { ["Sec-WebSocket-Protocol"] = "never-offered" },
      { ["Sec-WebSocket-Extensions"] = "permessage-deflate" },
    } do
      local outcome, raw = kit.dial()
      answer_with(raw, changes)
      local conn, why, status = finished(outcome)
      assert.is_nil(conn)
      assert.is_true(type(why) == "string" and #why > 0)
      assert.is_nil(status)
      assert.is_nil((raw:frame()))
    end
  end)

  it("refuses a sub-protocol that it did not offer", function()
    local outcome, raw = kit.dial { subprotocols = { "a", "b" } }
    answer_with(raw, { ["Sec-WebSocket-Protocol"] = "c" })
    assert.is_nil((finished(outcome)))
  end)

  it("says how it was refused", function()
    for _, case in ipairs {
      { "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "403 Forbidden", 403 },
      { "HTTP/1.1 401 \r\n\r\n", "401", 401 },
      { "HTTP/1.1 503\r\n\r\n", "503", 503 },
      { "HTTP/1.1 200 OK\r\n\r\nhello", "200 OK", 200 },
      { "HTTP/1.1 301 Moved\r\nLocation: ws://other.test/\r\n\r\n",
        "301 Moved", 301 },
      { "HTTP/1.1 400 \27[31mred\r\n\r\n", nil, nil },
    } do
      local outcome, raw = kit.dial()
      kit.read_request(raw)
      raw:send(case[1]):flush():close()
      local conn, why, status = finished(outcome)
      assert.is_nil(conn)
      if case[2] then
        assert.same({ case[2], case[3] }, { why, status })
      else
        assert.is_nil(why:find "[\0-\31\127-\255]")
      end
    end
  end)

  it("gives up on an answer that is not HTTP", function()
    for _, bytes in ipairs { "SSH-2.0-OpenSSH_9.2\r\n", "\0\1\2\3\r\n\r\n",
      "\x15\x03\x01\0\2\2\x46", "HTTP/2 200\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1 101 OK\r\nBad Name: x\r\n\r\n", frame("text", "hi") } do
      local outcome, raw = kit.dial { timeout = 1 * second }
      kit.read_request(raw)
      raw:send(bytes)
      raw:half_close()
      local conn, why = finished(outcome)
      assert.is_nil(conn)
      assert.is_true(#why > 0)
    end
  end)

  it("gives up on a head without an end", function()
    local outcome, raw = kit.dial()
    kit.read_request(raw)
    raw:send("HTTP/1.1 101 Switching Protocols\r\n"
      .. ("X: " .. ("x"):rep(1000) .. "\r\n"):rep(200))
    local conn, why = finished(outcome)
    assert.is_nil(conn)
    assert.equal("the head of the answer is too big", why)
  end)

  it("says that the server has gone away", function()
    local outcome, raw = kit.dial()
    raw:close()
    local conn, why = finished(outcome)
    assert.is_nil(conn)
    assert.is_true(why == "closed during the handshake"
      or why == "connection reset", why)
    for _, part in ipairs { "", "HTTP/1.1 101 Swit" } do
      outcome, raw = kit.dial()
      kit.read_request(raw)
      raw:send(part)
      raw:half_close()
      conn, why = finished(outcome)
      assert.same({ nil, "closed during the handshake" }, { conn, why })
      outcome, raw = kit.dial()
      kit.read_request(raw)
      raw:send(part):reset()
      conn, why = finished(outcome)
      assert.same({ nil, "connection reset" }, { conn, why })
    end
  end)

  it("says that nobody listens there", function()
    local listener = assert(t.probe.listen "127.0.0.1")
    local port = listener.port
    listener:close()
    assert.same({ nil, "connection refused", nil }, { t.pump(t.connect,
      "ws://127.0.0.1:" .. port .. "/") })
    assert.same({ nil, "connection refused" }, { t.pump(t.connect,
      "ws://localhost:" .. port .. "/") })
    assert.same({ nil, "no such socket" }, { t.pump(t.connect,
      "ws+unix:/no/such/socket") })
    local conn, why = t.pump(t.connect, "ws+unix:/" .. ("x"):rep(200))
    assert.is_nil(conn)
    assert.equal("the path of the socket is too long", why)
  end)

  it("says that a name is not known", function()
    local outcome = {}
    t.ws.spawn(function()
      outcome[1], outcome[2] = t.connect("ws://no-such-host.invalid/")
      outcome.done = true
    end)
    t.wait(function() return outcome.done end, "the answer", 30)
    assert.same({ nil, "host name not found" }, { outcome[1], outcome[2] })
  end)

  it("tries the next address when one refuses", function()
    local server = t.listen { host = "127.0.0.1", on_message = function() end }
    local conn = assert(t.pump(t.connect,
      ("ws://localhost:%d/"):format(server.port)))
    assert.equal("127.0.0.1", conn.remote_address)
    conn:close()
    local listener = t.probe.listen("::1", 0)
    if not listener then return end
    local url, outcome = ("ws://localhost:%d/"):format(listener.port), {}
    t.ws.spawn(function()
      outcome[1], outcome[2] = t.connect(url)
      outcome.done = true
    end)
    local socket
    t.wait(function()
      socket = listener:accept()
      return socket
    end)
    kit.answer(t.wrap(socket, "client"))
    assert.equal("::1", (finished(outcome)).remote_address)
    listener:close()
  end)

  it("waits no longer than its timeout, in each phase", function()
    local limit = 0.08 * second
    for _, first in ipairs { "silent", "trickling" } do
      local began, phase = t.probe.now(), first
      local outcome, raw = kit.dial { timeout = limit }
      while not outcome.done do
        assert.is_true(t.probe.now() - began < 5 * second)
        if phase == "trickling" then raw:send "H" end
        kit.during(0.01)
        if phase == "trickling" then phase = "silent" end
      end
      assert.same({ nil, "timeout" }, { outcome[1], outcome[2] })
      assert.is_true(t.probe.now() - began >= limit - 0.02)
    end
  end)

  it("waits no longer where nobody accepts", function()
    -- a backlog that is full lets a connection hang
    local listener = assert(t.probe.listen("127.0.0.1", 0, 0))
    local fill = {}
    for i = 1, 4 do
      fill[i] = assert(t.probe.connect { port = listener.port })
    end
    local conn, why = t.pump(t.connect, "ws://127.0.0.1:"
      .. listener.port .. "/", { timeout = 0.08 * second })
    assert.same({ nil, "timeout" }, { conn, why })
    for _, socket in ipairs(fill) do socket:close() end
    listener:close()
  end)

  it("reads in vain for what is unmasked or worse from its server",
    function()
      for code, bytes in pairs {
        [1002] = frame("text", "masked"),
        [1007] = plain("text", "\xff"),
        [1009] = plain("text", "", { len = 1 << 40 }),
      } do
        local conn, raw = kit.connected()
        raw:send(bytes)
        raw:expect_close(code)
        t.wait(function() return conn.state == "closed" end)
        local message, why, told = t.pump(function()
          return conn:receive()
        end)
        assert.same({ nil, "closed", code }, { message, why, told })
      end
    end)

  it("with on_open returns at once, and says how it ended", function()
    local ends = {}
    local function on_close(_, code, reason)
      ends[#ends + 1] = { code, reason }
    end
    local outcome, raw = kit.dial { on_open = error, on_close = on_close }
    local conn = finished(outcome)
    assert.equal("connecting", conn.state)
    kit.read_request(raw)
    raw:send "HTTP/1.1 404 Not Found\r\n\r\n"
    t.wait(function() return #ends == 1 end)
    assert.same({ 1006, "404 Not Found" }, ends[1])
    kit.during(0.02)
    assert.equal(1, #ends)
  end)

  it("that is closed while it connects ends once", function()
    for _, how in ipairs { "close", "terminate" } do
      local ends = {}
      local outcome, raw = kit.dial { on_open = error,
        on_close = function(_, code) ends[#ends + 1] = code end }
      local conn = finished(outcome)
      conn[how](conn)
      t.wait(function() return #ends == 1 end)
      assert.same({ 1006 }, ends)
      t.wait(function() return raw.ended or not raw:frame() end)
    end
  end)

  it("leaves nothing behind when it fails", function()
    local before = t.fd_count()
    for _ = 1, 5 do
      local outcome, raw = kit.dial()
      kit.read_request(raw)
      raw:send "HTTP/1.1 500 No\r\n\r\n"
      assert.is_nil((finished(outcome)))
      raw:close()
    end
    t.wait(function() return t.probe.fd_count() <= before end)
  end)

  it("waits for ever where it is told to", function()
    local outcome, raw = kit.dial { timeout = false }
    for _ = 1, 20 do t.turn() end
    kit.answer(raw)
    t.wait(function() return outcome.done end, "the connection")
    assert(outcome[1], outcome[2])
    outcome[1]:terminate()
  end)

  it("waits for the words of a refusal no longer than its timeout", function()
    -- long enough for its answer to come in time
    local outcome, raw = kit.dial { timeout = 3 }
    kit.read_request(raw)
    raw:send "HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nsome"
    t.wait(function() return outcome.done end, "the refusal")
    assert.is_nil(outcome[1])
    t.contains(outcome[2], "403 Forbidden")
  end)

  it("that ends as it opens takes nothing of what came with the answer",
    function()
      for _, how in ipairs { "close", "terminate" } do
        local messages, ended = 0, 0
        local outcome, raw = kit.dial {
          on_open = function(conn) conn[how](conn) end,
          on_message = function() messages = messages + 1 end,
          on_close = function() ended = ended + 1 end }
        kit.answer(raw, nil, t.frame("text", "early", { mask = false })
          .. t.frame("close", "\3\232", { mask = false }))
        t.wait(function() return ended == 1 end, "its end")
        assert.is_true(outcome.done)
        for _ = 1, 3 do t.turn() end
        assert.same({ 0, 1 }, { messages, ended })
      end
    end)

  it("finds a name with its dot, and expects a certificate without it",
    function()
      local server = t.listen(tls.options { on_message = t.echo })
      local conn = assert(t.pump(t.ws.connect,
        ("wss://localhost.:%d/"):format(server.port),
        { tls = { ca = tls.file "ca.pem" } }))
      assert(conn:send "hello")
      assert.equal("hello", t.pump(conn.receive, conn, 20))
      conn:close()
    end)
end)
