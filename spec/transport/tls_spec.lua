-- TLS as a whole, from the certificate files to the bytes, in both roles:
-- src/transport/tls.c, tls_context.c and what stream.c makes of them.

local t = require "spec.helper"
local tls = require "spec.helper.tls"
local kit = require "spec.engine.kit"
local echo = t.echo

local frame, file = t.frame, tls.file

local function serve(options)
  local own = tls.options(options)
  own.on_message = own.on_message or echo
  return kit.serve(own)
end

-- ws.connect in a task, to a server of ours.
local function connect(server, options, host)
  local own = {}
  for name, value in pairs(options or {}) do own[name] = value end
  own.tls = own.tls or { ca = file "ca.pem" }
  return t.pump(t.connect, ("wss://%s:%d/"):format(host or "127.0.0.1",
    server.port), own)
end

describe("TLS, a server", function()
  after_each(t.cleanup)

  for _, version in ipairs { "1.2", "1.3" } do
    it("speaks TLS " .. version .. " with HTTP/1.1 by ALPN", function()
      local server = serve()
      local c = tls.open(server, { tls = { ca = file "ca.pem", min = version,
        max = version, alpn = "\2h2\8http/1.1" } })
      c:send(frame("text", "hello")):expect_frame("text", "hello")
      local info = c.tls:info()
      assert.equal("TLSv" .. version, info.version)
      assert.equal("http/1.1", info.alpn)
      assert.is_truthy(info.cipher:find "GCM" or info.cipher:find "CHACHA")
      c:finish()
    end)
  end

  it("takes bytes in any pieces", function()
    local server = serve()
    local c = tls.raw(server)
    local tcp = t.wrap(c.tcp, "server")
    local hello, engine = tls.hello {}
    tcp:send_bytewise(hello)
    c.socket.engine = engine
    assert.is_true(tls.shake(c))
    assert.equal(101, (c:upgrade()))
    engine:write(frame("text", ("piece"):rep(100)))
    tcp:send_bytewise(engine:take())
    c:expect_frame("text", ("piece"):rep(100))
  end)

  it("answers messages of every size", function()
    local server = serve { max_message = 4 << 20, max_queued = 8 << 20 }
    local c = tls.open(server)
    for _, n in ipairs { 0, 1, 125, 126, 16383, 16384, 16385, 65535, 65536,
      100000, 262144, 1 << 20, 3000000 } do
      local payload = ("0123456789abcdef"):rep(n // 16 + 1):sub(1, n)
      c:send(frame("binary", payload)):expect_frame("binary", payload)
    end
  end)

  it("sends what one read brings in one record", function()
    local server = serve()
    local c = tls.open(server, { tls = { min = "1.3" } })
    local list = {}
    for i = 1, 16 do list[i] = frame("text", ("%02d"):format(i)) end
    c:send(table.concat(list))
    local bytes = t.wait(function() return (c.tcp:recv()) end, "the echoes")
    local length = (">I2"):unpack(bytes, 4)
    assert.equal(#bytes, length + 5)
    c.tls:feed(bytes)
    for i = 1, 16 do c:expect_frame("text", ("%02d"):format(i)) end
  end)

  it("announces its end", function()
    local server, log = serve()
    local c = tls.open(server)
    c:send(frame("close", (">I2"):pack(1000)))
    c:expect_close(1000)
    c:expect_eof()
    assert.is_true(c.socket.notified)
    assert.equal(1000, (kit.closed(log)))
  end)

  it("hears of the peer's end, also behind data", function()
    local server, log = serve()
    local c = tls.open(server)
    c.tls:write(frame("text", "the last"))
    c.tls:shutdown()
    local both = c.tls:take()
    t.wrap(c.tcp, "server"):send(both)
    local code, reason = kit.closed(log)
    assert.same({ "the last" }, log.messages)
    assert.equal(1006, code)
    assert.equal("connection closed without a close frame", reason)
  end)

  it("resumes sessions by tickets", function()
    local server = serve()
    for _, version in ipairs { "1.2", "1.3" } do
      local first = tls.open(server, { tls = { max = version } })
      first:send(frame("text", "one")):expect_frame("text", "one")
      assert.is_false(first.tls:info().resumed)
      local again = tls.open(server, { tls = { max = version,
        session = first.tls:session() } })
      again:send(frame("text", "two")):expect_frame("text", "two")
      assert.is_true(again.tls:info().resumed, version)
    end
  end)

  it("has a minimum version, and names it by an alert", function()
    local server = serve { tls = { minimum = "1.3" } }
    local c = tls.raw(server, { tls = { max = "1.2" } })
    local ok, why = tls.shake(c)
    assert.is_nil(ok)
    assert.equal("tlsv1 alert protocol version", why)
    t.wrap(c.tcp, "server"):expect_eof()
  end)

  it("shows the certificate of the name that is asked for", function()
    local other = { certificate = file "other.pem", key = file "other.key" }
    local server = serve { tls = { hosts = { ["other.test"] = other,
      ["*.wild.test"] = other, ["dotted.test."] = other,
      ["*.wild.dotted."] = other } } }
    local function subject(name)
      local c = tls.raw(server, { tls = { server_name = name } })
      assert.is_true(tls.shake(c))
      return c.tls:info().subject
    end
    assert.equal("localhost", subject())
    assert.equal("localhost", subject "unknown.test")
    assert.equal("other.test", subject "other.test")
    assert.equal("other.test", subject "OTHER.test")
    assert.equal("other.test", subject "a.wild.test")
    assert.equal("localhost", subject "wild.test")
    assert.equal("localhost", subject "a.b.wild.test")
    for _, name in ipairs { "other.test.", "dotted.test", "dotted.test.",
      "a.wild.test.", "a.wild.dotted", "a.wild.dotted." } do
      assert.equal("other.test", subject(name), name)
    end
    for _, name in ipairs { "other.test..", "test.", "wild.test.",
      "a.b.wild.dotted." } do
      assert.equal("localhost", subject(name), name)
    end
  end)

  it("tells that it is secure, and who the client is", function()
    local seen, conn
    local server = serve { tls = { ca = file "ca.pem", verify = "optional" },
      on_upgrade = function(r) seen = r end,
      on_open = function(c) conn = c end }
    tls.open(server)
    assert.is_true(seen.secure)
    assert.is_true(conn.secure)
    assert.is_nil(seen.client_certificate)
    local c = tls.open(server, { tls = { certificate = file "client.pem",
      key = file "client.key" } })
    assert.equal("CN=a client,O=evws", seen.client_certificate)
    c:finish()
    local plain = t.listen { on_upgrade = function(r) seen = r end }
    t.open(plain)
    assert.is_false(seen.secure)
  end)

  it("lets nobody in without the certificate it requires", function()
    local server = serve { tls = { ca = file "ca.pem" } }
    for _, version in ipairs { "1.2", "1.3" } do
      local c = tls.raw(server, { tls = { max = version } })
      c:send "GET / HTTP/1.1\r\n\r\n"
      local _, why = c:frame()
      assert.is_truthy(why:find "handshake failure"
        or why:find "certificate required", why)
      c = tls.raw(server, { tls = { max = version,
        certificate = file "self.pem", key = file "self.key" } })
      c:send "GET / HTTP/1.1\r\n\r\n"
      _, why = c:frame()
      assert.is_truthy(why:find "unknown ca" or why:find "certificate", why)
    end
    assert.equal(101, tls.raw(server, { tls = {
      certificate = file "client.pem", key = file "client.key" } }):upgrade())
  end)

  it("serves plain HTTP over TLS", function()
    local server = serve { path = "/ws",
      on_request = function() return 200, ("page"):rep(100000) end }
    local c = tls.raw(server)
    for _ = 1, 3 do
      c:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
      local status, _, body = c:read_http()
      assert.equal(200, status)
      assert.equal(("page"):rep(100000), body)
    end
  end)

  it("compares origins with https where 'same' is asked for", function()
    local server = serve { origins = "same" }
    local function status(origin)
      return (tls.raw(server):upgrade { host = "a.test",
        headers = { Origin = origin } })
    end
    assert.equal(101, status "https://a.test")
    assert.equal(403, status "http://a.test:80")
  end)

  it("keeps its promises on a Unix socket", function()
    local path = os.tmpname()
    os.remove(path)
    local server = serve { unix = path }
    local c = tls.open(server)
    c:send(frame("text", "local")):expect_frame("text", "local")
  end)

  it("says why files cannot be used", function()
    local function why(certificate, key, ca)
      local server, problem = t.ws.listen { port = 0, tls = {
        certificate = certificate, key = key or file "localhost.key",
        ca = ca } }
      assert.is_nil(server)
      return problem
    end
    local good = file "localhost.pem"
    local cannot = "cannot load %s %s: %s"
    for what, problem in pairs {
      [{ file "none.pem" }] = cannot:format("certificate", file "none.pem",
        "No such file or directory"),
      [{ "spec" }] = cannot:format("certificate", "spec", "Is a directory"),
      [{ "/dev/null" }] = cannot:format("certificate", "/dev/null",
        "it is empty"),
      [{ "README.md" }] = cannot:format("certificate", "README.md",
        "it holds no such thing in PEM form"),
      [{ file "expired.pem", file "expired.key" }] = cannot:format(
        "certificate", file "expired.pem", "it has expired"),
      [{ good, file "other.key" }] = cannot:format("key", file "other.key",
        "it does not belong to the certificate"),
      [{ good, file "rsa.key" }] = cannot:format("key", file "rsa.key",
        "it does not belong to the certificate"),
      [{ good, file "locked.key" }] = cannot:format("key", file "locked.key",
        "it is encrypted"),
      [{ good, file "localhost.key", "README.md" }] = cannot:format("ca",
        "README.md", "no certificate or crl found"),
    } do
      assert.equal(problem, why(table.unpack(what)))
    end
  end)
end)

describe("server:reload_tls", function()
  after_each(t.cleanup)

  local function copy(from, to)
    local input <close> = assert(io.open(file(from), "rb"))
    local output <close> = assert(io.open(to, "wb"))
    output:write(input:read "a")
  end

  it("takes new files for new connections and drops nobody", function()
    local certificate, key = os.tmpname(), os.tmpname()
    copy("localhost.pem", certificate)
    copy("localhost.key", key)
    local server = serve { tls = { certificate = certificate, key = key } }
    local old = tls.open(server)
    copy("other.pem", certificate)
    copy("other.key", key)
    assert.is_true(server:reload_tls())
    local new = tls.open(server)
    assert.equal("localhost", old.tls:info().subject)
    assert.equal("other.test", new.tls:info().subject)
    for _, c in ipairs { old, new } do
      c:send(frame("text", "hello")):expect_frame("text", "hello")
    end
    copy("localhost.key", key)
    assert.same({ nil, "cannot load key " .. key
      .. ": it does not belong to the certificate" },
      { server:reload_tls() })
    assert.equal("other.test", tls.open(server).tls:info().subject)
    os.remove(certificate)
    os.remove(key)
  end)

  it("is of servers with TLS, that are open", function()
    assert.has_error(function() t.listen {}:reload_tls() end,
      "cannot reload: the server has no option 'tls'")
    local server = serve()
    t.pump(server.close, server)
    assert.same({ nil, "closed" }, { server:reload_tls() })
  end)
end)

describe("TLS, a client", function()
  after_each(t.cleanup)

  it("talks to a server of ours, in both versions", function()
    for _, minimum in ipairs { "1.2", "1.3" } do
      local server, log = serve()
      local conn = assert(connect(server, { tls = { ca = file "ca.pem",
        minimum = minimum } }))
      assert.is_true(conn.secure)
      for _, n in ipairs { 1, 1000, 70000, 900000 } do
        local payload = ("x"):rep(n)
        assert.is_true(conn:send(payload))
        assert.equal(payload, (t.pump(conn.receive, conn)))
      end
      conn:close()
      t.wait(function() return conn.state == "closed" end)
      assert.equal(1000, (kit.closed(log)))
    end
  end)

  it("verifies chain, name and address", function()
    local server = serve()
    local function why(options, host)
      local conn, problem = connect(server, { tls = options }, host)
      assert.is_nil(conn)
      return problem
    end
    assert.equal("certificate verify failed: unable to get local issuer "
      .. "certificate", why {})
    assert.equal("certificate verify failed: hostname mismatch",
      why { ca = file "ca.pem", server_name = "other.test" })
    local foreign = serve { tls = { certificate = file "other.pem",
      key = file "other.key" } }
    server = foreign
    assert.equal("certificate verify failed: IP address mismatch",
      why { ca = file "ca.pem" })
    assert.is_truthy(connect(foreign, { tls = { ca = file "ca.pem",
      server_name = "other.test" } }))
    server = serve { tls = { certificate = file "self.pem",
      key = file "self.key" } }
    assert.equal("certificate verify failed: self-signed certificate",
      why { ca = file "ca.pem" })
    assert.is_truthy(connect(server, { tls = { verify = false } }))
  end)

  it("shows a certificate of its own", function()
    local seen
    local server = serve { tls = { ca = file "ca.pem" },
      on_upgrade = function(r) seen = r.client_certificate end }
    local files = { ca = file "ca.pem", certificate = file "client.pem",
      key = file "client.key" }
    assert.is_truthy(connect(server, { tls = files }))
    assert.equal("CN=a client,O=evws", seen)
    local conn, why = connect(server, { tls = { ca = file "ca.pem" } })
    assert.is_nil(conn)
    assert.equal("TLS: tlsv13 alert certificate required", why)
  end)

  it("names the host it wants, but no address", function()
    local names = {}
    local listener <close> = assert(t.probe.listen "127.0.0.1")
    for _, host in ipairs { "localhost", "127.0.0.1" } do
      t.ws.spawn(function()
        t.ws.connect(("wss://%s:%d/"):format(host, listener.port),
          { timeout = 5 })
      end)
      local socket = t.wait(function() return (listener:accept()) end)
      local hello = t.wait(function() return (socket:recv()) end)
      names[#names + 1] = hello:find("\0\0localhost", 1, true)
        and "localhost" or hello:find("localhost", 1, true) and "?" or "none"
      assert.is_truthy(hello:find("\8http/1.1", 1, true))
      socket:close()
    end
    assert.is_truthy(names[1] ~= "none")
    assert.equal("none", names[2])
  end)

  it("compares an address without its zone (RFC 4007 6)", function()
    local names = {}
    local server = kit.serve(tls.options { host = "::1" })
    for _, host in ipairs { "[::1]", "[::1%251]" } do
      local conn, why = connect(server, nil, host)
      assert(conn, why)
      conn:close()
      names[#names + 1] = conn.remote_address
    end
    assert.same({ "::1", "::1" }, names)
    local _, why = connect(server, { tls = { ca = file "ca.pem",
      server_name = "other.test" } }, "[::1%251]")
    assert.is_truthy(why:find "certificate verify failed")
  end)

  it("is told what its files lack, and what is not TLS", function()
    local server = serve()
    local conn, why = connect(server, { tls = { ca = "README.md" } })
    assert.is_nil(conn)
    assert.equal("cannot load ca README.md: no certificate or crl found", why)
    local plain = t.listen {}
    conn, why = connect(plain)
    assert.is_nil(conn)
    assert.equal("TLS: wrong version number", why)
  end)

  it("comes back over TLS, to whom it knew", function()
    local server, log = serve()
    local conn = assert(connect(server, { reconnect = { initial = 0.01 },
      tls = { ca = file "ca.pem", server_name = "localhost" } }))
    log.conns[1]:terminate()
    t.wait(function() return #log.conns == 2 and conn.state == "open" end,
      "the client to come back")
    assert.is_true(conn.secure)
    assert.is_true(log.conns[2].secure)
    conn:close()
    t.wait(function() return conn.state == "closed" end)
  end)

  it("hears an end that nobody has announced", function()
    local listener <close> = assert(t.probe.listen "127.0.0.1")
    local ended
    local conn = assert(t.ws.connect("wss://127.0.0.1:" .. listener.port, {
      tls = { ca = file "ca.pem" }, on_open = function() end,
      on_close = function(_, code, reason) ended = { code, reason } end }))
    local socket = t.wait(function() return (listener:accept()) end)
    local raw = tls.wrap(socket, { server = true,
      certificate = file "localhost.pem", key = file "localhost.key" },
      "client")
    assert.is_true(tls.shake(raw))
    kit.answer(raw)
    t.wait(function() return conn.state == "open" end)
    raw.tcp:shutdown()
    t.wait(function() return ended end)
    assert.same({ 1006, "eof without close_notify" }, ended)
    raw:close()
  end)
end)

describe("TLS options", function()
  after_each(t.cleanup)

  local function listen(options)
    return function() t.ws.listen { port = 0, tls = options } end
  end
  local function dial(options)
    return function() t.ws.connect("wss://127.0.0.1:1", { tls = options }) end
  end

  it("that are not known raise, with a suggestion", function()
    assert.has_error(listen { certficate = "a" }, "unknown option "
      .. "'tls.certficate' for 'listen' (did you mean 'tls.certificate'?)")
    assert.has_error(dial { servername = "a" }, "unknown option "
      .. "'tls.servername' for 'connect' (did you mean 'tls.server_name'?)")
    assert.has_error(dial { hosts = {} },
      "unknown option 'tls.hosts' for 'connect'")
    assert.has_error(listen { xyzzy = 1 },
      "unknown option 'tls.xyzzy' for 'listen'")
    assert.has_error(listen { "a" }, "options of 'tls' have names, not "
      .. "positions")
  end)

  it("of the wrong kind raise", function()
    local pair = { certificate = file "localhost.pem",
      key = file "localhost.key" }
    local function with(name, value)
      local own = { [name] = value }
      for k, v in pairs(pair) do own[k] = own[k] or v end
      return listen(own)
    end
    assert.has_error(listen(true), "bad option 'tls' (table expected, got "
      .. "true)")
    assert.has_error(listen { certificate = 1 },
      "bad option 'tls.certificate' (string expected, got 1)")
    assert.has_error(listen { certificate = "a" },
      "option 'tls.key' is missing (the key of the certificate)")
    assert.has_error(listen {},
      "option 'tls.certificate' is missing (a file in PEM form)")
    assert.has_error(dial { key = "a" },
      "option 'tls.certificate' is missing (a file in PEM form)")
    assert.has_error(with("minimum", "1.1"),
      "bad option 'tls.minimum' (\"1.2\" or \"1.3\" expected)")
    assert.has_error(with("verify", true), "bad option 'tls.verify' "
      .. "(\"none\", \"optional\" or \"required\" expected, got true)")
    assert.has_error(with("verify", "required"),
      "option 'tls.ca' is missing ('tls.verify' needs it)")
    assert.has_error(dial { verify = "none" },
      "bad option 'tls.verify' (boolean expected, got the string \"none\")")
    assert.has_error(dial { server_name = "a b" },
      "bad option 'tls.server_name' ('a b' is no host name)")
    assert.has_error(with("hosts", { pair }), "bad option 'tls.hosts' "
      .. "(names with { certificate =, key = } expected)")
    assert.has_error(with("hosts", { ["a b"] = pair }),
      "bad option 'tls.hosts' ('a b' is no host name)")
    assert.has_error(with("hosts", { a = 1 }), "bad option 'tls.hosts' "
      .. "({ certificate =, key = } expected, got 1)")
    assert.has_error(with("hosts", { a = { certificat = "a" } }),
      "bad option 'tls.hosts' (unknown field 'certificat', did you mean "
      .. "'certificate'?)")
    assert.has_error(with("ca", "a\0b"),
      "bad option 'tls.ca' (string without a zero byte expected, got the "
      .. [[string "a\x00b")]])
  end)
end)
