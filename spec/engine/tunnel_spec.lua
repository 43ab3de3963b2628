-- A client behind a proxy (src/engine/tunnel.c): RFC 9110 9.3.6. The proxy is
-- the spec's, and says whatever the spec wants it to.

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local tls = require "spec.helper.tls"
local proxy = require "spec.engine.proxy"
local core = require "evws.core"

local ws, probe = t.ws, t.probe
local second = t.factor
local ok = proxy.ok

-- ws.connect in a task, by way of a proxy -> outcome, raw, name of the proxy
local function dial(options, url)
  local listener <close> = assert(probe.listen "127.0.0.1")
  local outcome, socket, own = {}, nil, {}
  local name = "127.0.0.1:" .. listener.port
  for key, value in pairs(options or {}) do own[key] = value end
  own.proxy = ("http://%s%s/"):format(own.login or "", name)
  own.login = nil
  ws.spawn(function()
    local results = table.pack(t.connect(url or "ws://a.invalid/x", own))
    table.move(results, 1, results.n, 1, outcome)
    outcome.done = true
  end)
  t.wait(function()
    socket = listener:accept()
    return socket
  end, "the client to come")
  return outcome, t.wrap(socket, "client"), name
end

local function finished(outcome)
  t.wait(function() return outcome.done end, "the end of connect")
  return outcome[1], outcome[2], outcome[3], outcome[4]
end

-- Reads CONNECT; what is read later begins anew.
local function asked(raw)
  local head = kit.read_request(raw)
  assert.equal(head, raw.head)
  raw.head = nil
  return head
end

describe("a client behind a proxy", function()
  local log

  after_each(function()
    if core.fail_at then core.fail_at(0) end
    proxy.cleanup()
    t.cleanup()
    t.turn()
  end)

  it("asks it for the way, and then the server", function()
    local outcome, raw = dial { headers = { ["X-Own"] = "mine" } }
    assert.equal("CONNECT a.invalid:80 HTTP/1.1\r\nHost: a.invalid:80\r\n\r\n",
      asked(raw))
    raw:send(ok)
    local head = kit.answer(raw)
    assert.equal("GET /x HTTP/1.1\r\n", head:match "^.-\r\n")
    assert.is_truthy(head:find("\r\nHost: a.invalid\r\n", 1, true))
    assert.is_truthy(head:find("\r\nX-Own: mine\r\n", 1, true))
    assert.is_nil(head:find "Proxy")
    local conn = assert(finished(outcome))
    assert.same({ "open", "/x", "127.0.0.1" },
      { conn.state, conn.path, conn.remote_address })
    conn:send("hello", "binary")
    raw:expect_frame("binary", "hello")
    raw:send(t.frame("text", "hi", { mask = false }))
    assert.equal("hi", (t.pump(function() return conn:receive() end)))
  end)

  it("tells only the proxy who asks it", function()
    local outcome, raw = dial({ login = "Aladdin:open%20sesame@" },
      "ws://[::1]:8080/")
    assert.equal("CONNECT [::1]:8080 HTTP/1.1\r\nHost: [::1]:8080\r\n"
      .. "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n",
      asked(raw))
    raw:send(ok)
    assert.is_nil(kit.answer(raw):find "uthoriz")
    assert(finished(outcome))
  end)

  it("takes any 2xx, of HTTP/1.0 too, in single bytes, and ignores what it "
    .. "says of a body", function()
    for _, head in ipairs { "HTTP/1.0 200 Connection established\r\n"
      .. "Proxy-agent: tinyproxy/1.11\r\n\r\n", "HTTP/1.1 204\r\n\r\n",
      "HTTP/1.1 299 \r\nContent-Length: 12\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 102 Processing\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" } do
      for _, is_whole in ipairs { false, true } do
        local outcome, raw = dial()
        asked(raw)
        if is_whole then raw:send(head) else raw:send_bytewise(head) end
        kit.answer(raw)
        local conn = assert(finished(outcome))
        assert.equal(101, conn.response.status)
        conn:terminate()
      end
    end
  end)

  it("names it when it ends at any byte, or says nothing", function()
    for n = 0, #ok - 1 do
      local outcome, raw, name = dial()
      asked(raw)
      raw:send(ok:sub(1, n)):flush()
      if n % 2 == 0 then raw:close() else raw.socket:reset() end
      local conn, why, status, response = finished(outcome)
      assert.is_nil(conn or status or response)
      t.contains(why, ("proxy %s: "):format(name))
      assert.is_truthy(why:find "connection reset"
        or why:find "closed during the handshake", why)
    end
    local outcome, raw, name = dial { timeout = 0.05 }
    asked(raw)
    raw:send(ok:sub(1, -2))
    local conn, why = finished(outcome)
    assert.same({ nil, ("proxy %s: timeout"):format(name) }, { conn, why })
  end)

  it("names it when it is not there", function()
    local listener = assert(probe.listen "127.0.0.1")
    local name = "127.0.0.1:" .. listener.port
    listener:close()
    for via, want in pairs {
      ["http://" .. name] = ("proxy %s: connection refused"):format(name),
      ["http://a.invalid:8080"] =
        "proxy a.invalid:8080: host name not found",
      [("http://%s.invalid"):format(("a"):rep(60))] =
        ("proxy %s...:80: host name not found"):format(("a"):rep(48)),
    } do
      local conn, why = t.connect("ws://127.0.0.1:1/", { proxy = via })
      assert.same({ nil, want }, { conn, why })
    end
    local _, why = ws.connect("wss://b.invalid/secret",
      { proxy = "http://u:secret@" .. name })
    assert.equal("cannot connect to wss://b.invalid: proxy " .. name
      .. ": connection refused", why)
  end)

  it("names it as its URL does, a long name in part", function()
    -- no name, so that nobody outside of this machine is asked
    local long = ("long"):rep(20) .. ".invalid"
    for host, name in pairs { ["[::1]"] = "[::1]:1",
      [long] = long:sub(1, 48) .. "...:1" } do
      local conn, why = ws.connect("ws://a.invalid/", { timeout = 4 * second,
        proxy = ("http://%s:1"):format(host) })
      assert.is_nil(conn)
      t.contains(why, "proxy " .. name .. ": ")
    end
  end)

  it("tells how it was refused, and with what words", function()
    local outcome, raw, name = dial { login = "me:wrong@" }
    asked(raw)
    raw:send("HTTP/1.1 407 Proxy Authentication Required\r\n"
      .. "Proxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 6\r\n\r\n")
    raw:send "sorry!and more"
    assert.same({ nil, ("proxy %s: 407 Proxy Authentication Required")
      :format(name), 407, { status = 407, body = "sorry!",
        reason = "Proxy Authentication Required", headers = {
          ["proxy-authenticate"] = 'Basic realm="x"',
          ["content-length"] = "6" } } }, { finished(outcome) })
    raw:expect_eof()
    for head, want in pairs {
      ["HTTP/1.1 301 Moved\r\nLocation: http://b.test/\r\n"] = "301 Moved",
      ["HTTP/1.1 403 \r\n"] = "403",
      ["HTTP/1.1 502 Bad Gateway\r\n"] = "502 Bad Gateway",
      ["HTTP/1.1 101 Switching Protocols\r\n"] = "101 Switching Protocols",
      ["HTTP/1.1 199 x\r\nA: b\r\n\r\nHTTP/1.1 304 Not Modified\r\n"] =
        "304 Not Modified",
    } do
      outcome, raw, name = dial()
      asked(raw)
      raw:send(head .. "Content-Length: 0\r\n\r\n")
      local conn, why, status = finished(outcome)
      assert.same({ nil, ("proxy %s: %s"):format(name, want) }, { conn, why })
      assert.equal(tonumber(want:match "%d+"), status)
    end
  end)

  it("gives up on one that does not speak HTTP, or without end", function()
    for bytes, want in pairs {
      ["SSH-2.0-OpenSSH_9.2\r\n"] = "the answer is not HTTP",
      ["\x15\x03\x01\0\2\2\x46\r\n"] = "the answer is not HTTP",
      ["\5\0\r\n\r\n"] = "the answer is not HTTP",
      ["HTTP/1.1 200 OK\n\n"] = "lines of the answer end in LF without CR",
      ["HTTP/1.1 200 OK\r\nA: " .. ("a"):rep(9000)] =
        "the head of the answer is too big",
      ["HTTP/1.1 200 OK\r\n" .. ("A: b\r\n"):rep(101)] =
        "the head of the answer is too big",
      ["HTTP/1.1 200 OK\r\n" .. ("A: " .. ("b"):rep(4000) .. "\r\n"):rep(9)] =
        "the head of the answer is too big",
      [("HTTP/1.1 100 Continue\r\n\r\n"):rep(17)] =
        "the head of the answer is too big",
    } do
      local outcome, raw, name = dial()
      asked(raw)
      raw:send(bytes)
      local conn, why, status = finished(outcome)
      assert.same({ nil, ("proxy %s: %s"):format(name, want), nil },
        { conn, why, status })
    end
  end)

  it("takes what stands behind the 200 for the server's", function()
    for behind, want in pairs {
      ["<html>"] = "the answer is not HTTP",
      ["HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"] = "503 Busy",
      ["HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        .. "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"] =
        "wrong Sec-WebSocket-Accept",
    } do
      local outcome, raw = dial()
      asked(raw)
      raw:send(ok .. behind .. "\r\n")
      local conn, why, status = finished(outcome)
      assert.same({ nil, want, tonumber(want:match "^%d+") },
        { conn, why, status })
    end
    -- for TLS, which is not taken in by it
    for behind, part in pairs { ["HTTP/1.1 101 x\r\n\r\n"] = "TLS: ",
      ["\x15\x03\x03\0\2\2\x28"] = "handshake failure" } do
      local outcome, raw = dial({}, "wss://a.invalid/")
      assert.equal("CONNECT a.invalid:443 ", asked(raw):sub(1, 22))
      raw:send(ok .. behind)
      local conn, why = finished(outcome)
      assert.is_nil(conn)
      t.contains(why, part)
      assert.is_nil(why:find "proxy")
    end
  end)

  it("speaks TLS with the server inside, and no word of it before", function()
    local subject
    local server = t.listen(tls.options { on_message = t.echo,
      on_open = function(conn) subject = conn.request.host end })
    local port
    port, log = proxy.relay(server.port)
    local options = { tls = { ca = tls.file "ca.pem" },
      proxy = "http://127.0.0.1:" .. port }
    local url = "wss://localhost:" .. server.port
    t.pump(function()
      local conn <close> = assert(ws.connect(url, options))
      assert.is_true(conn.secure)
      local long = ("x"):rep(300000)
      conn:send(long)
      assert.equal(long, (conn:receive(t.limit * second)))
    end)
    assert.equal("localhost:" .. server.port, subject)
    assert.equal(1, log.n)
    options.tls = { ca = tls.file "ca.pem", server_name = "other.test" }
    local conn, why = t.pump(function() return t.connect(url, options) end)
    assert.is_nil(conn)
    assert.equal("certificate verify failed: hostname mismatch", why)
  end)

  it("comes back through it", function()
    local server, seen = kit.serve()
    local port
    port, log = proxy.relay(server.port, { answer = function(_, n)
      return n == 2 and "HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n"
    end })
    local reasons = {}
    local conn = t.pump(function()
      return assert(ws.connect("ws://localhost:" .. server.port, {
        proxy = ("http://a:b@127.0.0.1:%d"):format(port),
        reconnect = { initial = 0.001, jitter = 0 },
        on_close = function(_, code, why)
          reasons[#reasons + 1] = code .. " " .. why
        end }))
    end)
    t.wait(function() return #seen.conns == 1 end)
    seen.conns[1]:close(4000, "again")
    t.wait(function() return #seen.conns == 2 and conn.state == "open" end)
    assert.same({ "4000 again",
      ("1006 proxy 127.0.0.1:%d: 503 Full"):format(port) }, reasons)
    assert.equal(3, #log)
    for i = 2, 3 do assert.equal(log[1], log[i]) end
    assert.equal(101, conn.response.status)
    conn:close()
  end)

  it("does not come back where it is refused for good", function()
    local port
    port, log = proxy.relay(1, { answer = function()
      return "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"
    end })
    local conn = ws.connect("ws://a.invalid/", { reconnect = true,
      proxy = "http://127.0.0.1:" .. port, on_open = error })
    t.wait(function() return conn.state == "closed" end)
    assert.same({ 407, 1 }, { conn.response.status, #log })
  end)

  it("ends at any point when it is told to", function()
    for _, point in ipairs { "dialing", "asking", "refused" } do
      local before = t.fd_count()
      local listener <close> = assert(probe.listen "127.0.0.1")
      local reason
      local conn = ws.connect("ws://a.invalid/", { on_open = error,
        proxy = "http://127.0.0.1:" .. listener.port,
        on_close = function(_, _, why) reason = why end })
      if point ~= "dialing" then
        local socket
        t.wait(function()
          socket = listener:accept()
          return socket
        end)
        local raw = t.wrap(socket, "client")
        asked(raw)
        if point == "refused" then raw:send "HTTP/1.1 403 No\r\n\r\n" end
        t.turn()
      end
      conn:close()
      t.wait(function() return reason end)
      assert.equal("closed", conn.state)
      listener:close()
      t.cleanup()
      t.wait(function() return probe.fd_count() <= before end)
    end
  end)

  describe("without memory", function()
    if not core.fail_at then
      it("ends, or opens", function() pending "built without WS_FAULT" end)
      return
    end

    it("ends, or opens", function()
      local server = kit.serve()
      local port
      port, log = proxy.relay(server.port)
      local opened, failed = proxy.without_memory(80, function(options)
        options.proxy = ("http://a:b@127.0.0.1:%d"):format(port)
        return ws.connect("ws://localhost:" .. server.port, options)
      end)
      assert.is_true(opened > 0 and failed > 0)
    end)
  end)
end)
