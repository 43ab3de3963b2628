-- A client behind a proxy that speaks TLS itself (src/engine/tunnel.c,
-- src/transport/tls.c): TLS to the proxy, and in it perhaps TLS to the server.

local t = require "spec.helper"
local tls = require "spec.helper.tls"
local proxy = require "spec.engine.proxy"
local core = require "evws.core"

local ws = t.ws
local limit = t.limit * t.factor

-- What a proxy for localhost shows.
local function shown(more)
  local own = { server = true, certificate = tls.file "localhost.pem",
    key = tls.file "localhost.key" }
  for name, value in pairs(more or {}) do own[name] = value end
  return own
end

local function relay(port, more, options)
  local own = { tls = shown(more) }
  for name, value in pairs(options or {}) do own[name] = value end
  return proxy.relay(port, own)
end

-- ws.connect by way of it, with our CA for the proxy and for the server.
local function connect(server_or_url, port, options)
  local own = { proxy = "https://localhost:" .. port, timeout = limit,
    proxy_tls = { ca = tls.file "ca.pem" } }
  local url = server_or_url
  if type(url) ~= "string" then
    local is_secure = pcall(url.reload_tls, url)
    url = ("%s://localhost:%d/x"):format(is_secure and "wss" or "ws", url.port)
    if is_secure then own.tls = { ca = tls.file "ca.pem" } end
  end
  for name, value in pairs(options or {}) do own[name] = value or nil end
  return t.connect(url, own)
end

local function serve(is_secure, options)
  local own = { on_message = t.echo, max_message = 8 << 20 }
  for name, value in pairs(options or {}) do own[name] = value end
  return t.listen(is_secure and tls.options(own) or own)
end

describe("a client behind a proxy over TLS", function()
  after_each(function()
    if core.fail_at then core.fail_at(0) end
    proxy.cleanup()
    t.cleanup()
    t.turn()
  end)

  for _, is_secure in ipairs { false, true } do
    local name = is_secure and "wss" or "ws"

    it("reaches a server of " .. name, function()
      local server = serve(is_secure)
      local port, log = relay(server.port)
      t.pump(function()
        local conn <close> = assert(connect(server, port))
        assert.equal(is_secure, conn.secure)
        conn:send("hello", "binary")
        assert.same({ "hello", "binary" }, { conn:receive(limit) })
      end)
      assert.same({ ("CONNECT localhost:%d HTTP/1.1\r\n"
        .. "Host: localhost:%d\r\n\r\n"):format(server.port, server.port) },
        { log[1] })
    end)

    it("carries long messages both ways, in order, to " .. name, function()
      local server = serve(is_secure)
      local port = relay(server.port)
      t.pump(function()
        local conn <close> = assert(connect(server, port,
          { max_message = 8 << 20 }))
        for n, size in ipairs { 0, 1, 16384, 65537, 300000, 3 << 20 } do
          local long = string.char(64 + n):rep(size)
          assert(conn:send(long, "binary"))
          assert.is_true(long == conn:receive(limit))
        end
        for i = 1, 300 do assert(conn:send(("%d "):format(i):rep(i))) end
        for i = 1, 300 do
          assert.equal(("%d "):format(i):rep(i), (conn:receive(limit)))
        end
      end)
    end)

    it("closes well, from either end, with " .. name, function()
      local ends = {}
      local server = serve(is_secure, { on_message = function(conn, text)
        if text == "go" then conn:close(4001, "gone") end
      end, on_close = function(_, code, reason)
        ends[#ends + 1] = code .. " " .. reason
      end })
      local port = relay(server.port)
      t.pump(function()
        local conn = assert(connect(server, port))
        conn:send "go"
        assert.same({ 4001, "gone" }, { conn:wait(limit) })
        conn = assert(connect(server, port))
        conn:close(4002, "bye")
        assert.same({ 4002, "bye" }, { conn:wait(limit) })
      end)
      t.wait(function() return #ends == 2 end)
      assert.same({ "4001 gone", "4002 bye" }, ends)
    end)

    it("notices the end of the proxy, with " .. name, function()
      local server = serve(is_secure)
      local port, log = relay(server.port)
      t.pump(function()
        local conn = assert(connect(server, port))
        for peer in server:each() do peer:terminate() end
        local code = conn:wait(limit)
        assert.equal(1006, code)
      end)
      assert.equal(1, log.n)
    end)
  end

  it("looks at whose certificate the proxy has", function()
    local server = serve(false)
    local function outcome(more, proxy_tls, host)
      local port = relay(server.port, more)
      local conn, why = t.pump(function()
        return connect(server, port, { proxy_tls = proxy_tls,
          proxy = ("https://%s:%d"):format(host or "localhost", port) })
      end)
      if conn then conn:terminate() end
      return conn and "open" or why:gsub("^proxy %S+:%d+: ", "proxy: ")
    end
    local ca = tls.file "ca.pem"
    assert.equal("open", outcome({}, { ca = ca }))
    assert.equal("open", outcome({}, { ca = ca }, "127.0.0.1"))
    assert.equal("open", outcome({}, { ca = ca, server_name = "localhost" },
      "127.0.0.1"))
    assert.equal("proxy: certificate verify failed: hostname mismatch",
      outcome({}, { ca = ca, server_name = "other.test" }))
    assert.equal("proxy: certificate verify failed: unable to get local "
      .. "issuer certificate", outcome({}, false))
    local lines = {}
    function ws.log(_, _, fields) lines[#lines + 1] = fields.text end
    assert.equal("open", outcome({}, { verify = false }))
    ws.log = core.log
    -- what is for the server is not for the proxy
    local port = relay(server.port)
    local conn, why = t.pump(function()
      return connect(server, port, { proxy_tls = false, tls = { ca = ca } })
    end)
    assert.is_nil(conn)
    t.contains(why, "unable to get local issuer certificate")
  end)

  it("shows its own certificate to a proxy that asks for one", function()
    local server = serve(false)
    local port, log = relay(server.port, { ca = tls.file "ca.pem" })
    local own = { ca = tls.file "ca.pem", certificate = tls.file "client.pem",
      key = tls.file "client.key" }
    t.pump(function()
      local conn <close> = assert(connect(server, port, { proxy_tls = own }))
      conn:send "x"
      assert.equal("x", (conn:receive(limit)))
    end)
    assert.equal("a client", log.subject)
  end)

  it("names the proxy where it does not answer by TLS", function()
    local server = serve(false)
    local listener <close> = assert(t.probe.listen "127.0.0.1")
    local outcome = {}
    ws.spawn(function()
      outcome[1], outcome[2] = connect(server, listener.port)
    end)
    local socket
    t.wait(function()
      socket = listener:accept()
      return socket
    end)
    t.wrap(socket, "client"):send "HTTP/1.1 400 Bad Request\r\n\r\n"
    t.wait(function() return outcome[2] end)
    t.contains(outcome[2], ("proxy localhost:%d: TLS: "):format(listener.port))
  end)

  it("tells how it was refused, and with what words", function()
    for _, cut in ipairs { false, true } do
      local port = relay(1, {}, { answer = function()
        return "HTTP/1.1 407 Proxy Authentication Required\r\n"
          .. "Proxy-Authenticate: Basic realm=\"x\"\r\n"
          .. (cut and "\r\nsor" or "Content-Length: 6\r\n\r\nsorry!")
      end })
      local conn, why, status, response = t.pump(function()
        return connect("wss://a.invalid/", port)
      end)
      assert.same({ nil, ("proxy localhost:%d: 407 Proxy Authentication "
        .. "Required"):format(port), 407, cut and "sor" or "sorry!",
        'Basic realm="x"' }, { conn, why, status, response.body,
        response.headers["proxy-authenticate"] })
    end
  end)

  it("sends its login inside of TLS", function()
    local server = serve(true)
    local port, log = relay(server.port)
    t.pump(function()
      local conn <close> = assert(connect(server, port,
        { proxy = "https://Aladdin:open%20sesame@localhost:" .. port }))
      assert.equal("open", conn.state)
    end)
    t.contains(log[1], "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ")
  end)

  it("takes nothing for an answer of the server's that it was not asked for",
    function()
      local server = serve(false)
      local port = relay(server.port, {}, { behind = "HTTP/1.1 101 x\r\n\r\n" })
      local conn, why = t.pump(function() return connect(server, port) end)
      assert.same({ nil, ("proxy localhost:%d: an answer before the request was"
        .. " sent"):format(port) }, { conn, why })
    end)

  it("comes back through it", function()
    local opened = {}
    local server = serve(true, { on_open = function(conn)
      opened[#opened + 1] = conn
    end })
    local port, log = relay(server.port)
    local conn = t.pump(function()
      return assert(connect(server, port,
        { reconnect = { initial = 0.001, jitter = 0 } }))
    end)
    for i = 1, 3 do
      t.wait(function() return #opened == i and conn.state == "open" end)
      opened[i]:close(4000)
    end
    t.wait(function() return #opened == 4 end)
    assert.equal(4, log.n)
    conn:terminate()
  end)

  it("waits where the proxy does not read, and loses nothing", function()
    local server = serve(true)
    local port = relay(server.port)
    t.pump(function()
      local conn <close> = assert(connect(server, port,
        { max_queued = 64 << 20 }))
      local piece = ("x"):rep(100000)
      for i = 1, 60 do assert(conn:send(i .. piece, "binary")) end
      for i = 1, 60 do
        assert.is_true(i .. piece == conn:receive(limit))
      end
      assert.is_true(conn:drain(limit))
    end)
  end)

  describe("without memory", function()
    if not core.fail_at then
      it("ends, or opens", function() pending "built without WS_FAULT" end)
      return
    end

    it("ends, or opens", function()
      local server = serve(true)
      local port = relay(server.port)
      local opened, failed = proxy.without_memory(120, function(options)
        return connect(server, port, options)
      end)
      assert.is_true(opened > 0 and failed > 0)
    end)
  end)
end)
