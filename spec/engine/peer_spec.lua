-- Who is at the other end, as trusted proxies tell it (src/engine/peer.c):
-- over real sockets; what is read is judged in spec/protocol/proxy_spec.lua
-- and forwarded_spec.lua.
local t = require "spec.helper"
local kit = require "spec.engine.kit"
local tls = require "spec.helper.tls"

local key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
local upgrade = "GET /x HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n"
  .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" .. key
local signature = "\r\n\r\n\0\r\nQUIT\n"
local v1 = "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"
local v2 = signature .. "\x21\x11\0\12\192\0\2\1\192\0\2\2"
  .. (">I2I2"):pack(56324, 443)

-- A server that answers with who asks, and keeps it.
local function serve(options)
  local own, seen = {}, {}
  for name, value in pairs(options) do own[name] = value end
  local function note(kind, r)
    seen[#seen + 1] = ("%s %s %d %s"):format(kind, r.remote_address,
      r.remote_port, r.secure)
  end
  own.path = "/x"
  function own.on_request(request) note("request", request) return 204 end
  function own.on_upgrade(request) note("upgrade", request) end
  function own.on_open(conn) note("conn", conn) end
  return t.listen(own), seen
end

local function ask(server, headers, options)
  local client = t.raw(server, options)
  local status = client:upgrade { path = "/x", headers = headers }
  client:close()
  return status
end

describe("a trusted proxy", function()
  after_each(t.cleanup)

  it("tells address, port and scheme of its client", function()
    local server, seen = serve { trusted_proxies = { "127.0.0.1" } }
    assert.equal(101, ask(server, { ["X-Forwarded-For"] = "1.2.3.4:56",
      ["X-Forwarded-Proto"] = "https" }))
    assert.same({ "upgrade 1.2.3.4 56 true", "conn 1.2.3.4 56 true" }, seen)
  end)

  it("tells them with Forwarded too", function()
    local server, seen = serve { trusted_proxies = { "loopback" } }
    assert.equal(101, ask(server,
      { Forwarded = 'for="[2001:db8::1]:4711";proto=https' }))
    assert.same({ "upgrade 2001:db8::1 4711 true",
      "conn 2001:db8::1 4711 true" }, seen)
  end)

  it("is the client itself when it says nothing", function()
    local server, seen = serve { trusted_proxies = { "127.0.0.0/8" } }
    assert.equal(101, ask(server, {}))
    assert.truthy(seen[1]:match "^upgrade 127%.0%.0%.1 %d%d+ false$")
  end)

  it("tells them for each request of a connection anew", function()
    local server, seen = serve { trusted_proxies = { "127.0.0.1" } }
    local client = t.raw(server)
    for _, fields in ipairs { "X-Forwarded-For: 1.2.3.4\r\n"
      .. "X-Forwarded-Proto: https\r\n", "X-Forwarded-For: 5.6.7.8\r\n", "" } do
      client:send("GET / HTTP/1.1\r\nHost: a\r\n" .. fields .. "\r\n")
      assert.equal(204, (client:read_http()))
    end
    assert.equal("request 1.2.3.4 0 true", seen[1])
    assert.equal("request 5.6.7.8 0 false", seen[2])
    assert.truthy(seen[3]:match "^request 127%.0%.0%.1 %d%d+ false$")
  end)

  it("may be on a Unix socket", function()
    local path = os.tmpname()
    os.remove(path)
    local server, seen = serve { unix = path,
      trusted_proxies = { "unix" } }
    assert.equal(101, ask(server, { ["X-Forwarded-For"] = "1.2.3.4" }))
    assert.equal("upgrade 1.2.3.4 0 false", seen[1])
  end)

  it("BI-50: is not believed what stands in X_Forwarded_For", function()
    local server, seen = serve { trusted_proxies = { "127.0.0.1" } }
    assert.equal(101, ask(server, { ["X_Forwarded_For"] = "6.6.6.6",
      ["X-Forwarded-For"] = { "9.9.9.9", "1.2.3.4" } }))
    assert.equal("upgrade 1.2.3.4 0 false", seen[1])
  end)

  it("BI-50: is nobody by default, nor whoever is not listed", function()
    for _, trusted in ipairs { false, { "10.0.0.0/8", "::1", "unix" } } do
      local server, seen = serve { trusted_proxies = trusted or nil }
      assert.equal(101, ask(server, { ["X-Forwarded-For"] = "6.6.6.6",
        ["X-Forwarded-Proto"] = "https", Forwarded = "for=6.6.6.6" }))
      assert.truthy(seen[1]:match "^upgrade 127%.0%.0%.1 %d%d+ false$")
      assert.truthy(seen[2]:match "^conn 127%.0%.0%.1 %d%d+ false$")
    end
  end)

  it("BI-55: makes the same origin that of the browser's scheme", function()
    local server = serve { trusted_proxies = { "127.0.0.1" },
      origins = "same" }
    for _, row in ipairs {
      { "https://a.test", "https", 101 }, { "http://a.test", "http", 101 },
      { "http://a.test", nil, 101 }, { "https://a.test:443", "https", 101 },
      { "https://a.test", nil, 403 }, { "https://a.test", "http", 403 },
      { "http://a.test", "https", 403 },
      { "https://b.test", "https", 403 },
    } do
      assert.equal(row[3], ask(server, { Host = "a.test", Origin = row[1],
        ["X-Forwarded-Proto"] = row[2], ["X-Forwarded-Host"] = "b.test" }))
    end
  end)

  it("BI-55: is not played by a page that writes the fields", function()
    local server = serve { origins = "same" }
    assert.equal(403, ask(server, { Host = "a.test",
      Origin = "https://a.test", ["X-Forwarded-Proto"] = "https" }))
  end)
end)

describe("a PROXY header", function()
  after_each(t.cleanup)

  local trusted = { "127.0.0.1" }

  it("tells whom the connection is for, in both versions", function()
    for _, header in ipairs { v1, v2 } do
      local server, seen = serve { proxy_protocol = true,
        trusted_proxies = trusted }
      local client = t.raw(server):send(header .. upgrade .. "\r\n")
      assert.equal(101, (client:read_http()))
      client:send(t.frame("text", "after it")):expect_silence()
      assert.same({ "upgrade 192.0.2.1 56324 false",
        "conn 192.0.2.1 56324 false" }, seen)
    end
  end)

  it("may come byte by byte, with the request behind it", function()
    for _, header in ipairs { v1, v2 } do
      local server, seen = serve { proxy_protocol = true,
        trusted_proxies = trusted }
      local client = t.raw(server):send_bytewise(header .. upgrade .. "\r\n")
      assert.equal(101, (client:read_http()))
      assert.equal("upgrade 192.0.2.1 56324 false", seen[1])
    end
  end)

  it("of the LOCAL command, UNKNOWN or a long block changes nothing",
    function()
      for _, header in ipairs { signature .. "\x20\0\0\0",
        "PROXY UNKNOWN\r\n", signature .. "\x20\x11\x10\0" .. ("x"):rep(4096) }
      do
        local server, seen = serve { proxy_protocol = true,
          trusted_proxies = trusted }
        local client = t.raw(server):send(header .. upgrade .. "\r\n")
        assert.equal(101, (client:read_http()))
        assert.truthy(seen[1]:match "^upgrade 127%.0%.0%.1 %d%d+ false$")
      end
    end)

  it("of the Unix family leaves no address", function()
    local server, seen = serve { proxy_protocol = true,
      trusted_proxies = trusted }
    local client = t.raw(server):send(signature .. "\x21\x31\0\xD8"
      .. ("\0"):rep(216) .. upgrade .. "\r\n")
    assert.equal(101, (client:read_http()))
    assert.equal("upgrade  0 false", seen[1])
  end)

  it("BI-50: is no word about fields that whoever it names has sent",
    function()
      local server, seen = serve { proxy_protocol = true,
        trusted_proxies = trusted }
      local client = t.raw(server):send(v1 .. upgrade
        .. "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n")
      assert.equal(101, (client:read_http()))
      assert.equal("upgrade 192.0.2.1 56324 false", seen[1])
    end)

  it("makes fields count when it names a trusted proxy", function()
    local server, seen = serve { proxy_protocol = true,
      trusted_proxies = { "127.0.0.1", "192.0.2.0/24" } }
    local client = t.raw(server):send(v1 .. upgrade
      .. "X-Forwarded-For: 1.2.3.4\r\n\r\n")
    assert.equal(101, (client:read_http()))
    assert.equal("upgrade 1.2.3.4 0 false", seen[1])
  end)

  it("BI-50: is taken once for a connection, not for each request", function()
    local server, seen = serve { proxy_protocol = true,
      trusted_proxies = trusted }
    local get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    local client = t.raw(server):send(v1 .. get)
    assert.equal(204, (client:read_http()))
    client:send(get)
    assert.equal(204, (client:read_http()))
    client:send("PROXY TCP4 6.6.6.6 192.0.2.2 1 2\r\n" .. get)
    assert.equal(400, (client:read_http()))
    assert.same({ "request 192.0.2.1 56324 false",
      "request 192.0.2.1 56324 false" }, seen)
  end)

  it("BI-50: is taken from trusted proxies alone: others are closed",
    function()
      local server, seen = serve { proxy_protocol = true,
        trusted_proxies = { "10.0.0.0/8" } }
      local healthy = serve {}
      local bystander = t.open(healthy, { path = "/x" })
      for _, bytes in ipairs { v1 .. upgrade .. "\r\n", upgrade .. "\r\n",
        "" } do
        local client = t.raw(server):send(bytes)
        assert.is_nil((client:read_http()))
        client:close()
      end
      assert.same({}, seen)
      assert.equal(3, server:stats().refused.proxy)
      bystander:expect_silence()
    end)

  it("BI-50: is no header of a request where none is wanted", function()
    local server = serve { trusted_proxies = trusted }
    local client = t.raw(server):send(v1 .. upgrade .. "\r\n")
    assert.equal(400, (client:read_http()))
  end)

  it("BI-32: that is missing, malformed or endless closes", function()
    local server, seen = serve { proxy_protocol = true,
      trusted_proxies = trusted }
    for _, bytes in ipairs { upgrade .. "\r\n", "PROXY TCP4 1.1.1.1\r\n",
      "PROXY UNKNOWN " .. ("x"):rep(100000), "\22\3\1\2\0",
      signature .. "\x21\x12\0\12" .. ("x"):rep(12),
      signature .. "\x21\x11\xFF\xFF" .. ("x"):rep(65535) } do
      local client = t.raw(server):send(bytes)
      assert.is_nil((client:read_http()))
      client:close()
      t.raw(server):send(bytes:sub(1, 9)):half_close()
    end
    t.wait(function() return server.connections == 0 end)
    assert.same({}, seen)
  end)

  it("BI-34: has handshake_timeout in all, however it trickles", function()
    for _, header in ipairs { v1:sub(1, -2), v2:sub(1, -2), "" } do
      local server = serve { proxy_protocol = true, handshake_timeout = 0.3,
        trusted_proxies = trusted }
      local client, i = t.raw(server), 0
      local began = t.probe.now()
      kit.during(0.2, function()
        i = i + 1
        client:send(header:sub(i, i))
      end)
      assert.is_nil((client:read_http()))
      assert.is_true(t.probe.now() - began >= 0.25)
    end
  end)

  it("stands in front of TLS, in the same segment or byte by byte",
    function()
      for _, header in ipairs { v1, v2 } do
        for _, bytewise in ipairs { false, true } do
          local own = tls.options { proxy_protocol = true,
            trusted_proxies = trusted }
          local server, seen = serve(own)
          local client = tls.raw(server)
          for i = 1, bytewise and #header or 0 do
            client.tcp:send(header:sub(i, i))
            t.turn()
          end
          if not bytewise then client.socket.out = header end
          client:send(upgrade .. "X-Forwarded-Proto: http\r\n\r\n")
          assert.equal(101, (client:read_http()))
          assert.same({ "upgrade 192.0.2.1 56324 true",
            "conn 192.0.2.1 56324 true" }, seen)
          client:close()
        end
      end
    end)

  it("that is missing in front of TLS closes", function()
    local server, seen = serve(tls.options { proxy_protocol = true,
      trusted_proxies = trusted })
    local client = tls.raw(server)
    client:send(upgrade .. "\r\n")
    assert.is_nil((tls.shake(client)))
    assert.same({}, seen)
  end)

  it("may break off anywhere", function()
    local server = serve { proxy_protocol = true, trusted_proxies = trusted }
    local healthy = t.raw(server):send(v1 .. upgrade .. "\r\n")
    assert.equal(101, (healthy:read_http()))
    for n = 1, #v2 do
      t.raw(server):send(v2:sub(1, n)):flush():reset()
      local client = t.raw(server):send(v2:sub(1, n)):flush()
      client:close()
    end
    healthy:expect_silence()
  end)
end)

describe("the options of proxies", function()
  after_each(t.cleanup)

  local function refusal(options)
    options.port = 0
    local ok, why = pcall(t.ws.listen, options)
    assert.is_false(ok)
    return (why:gsub("^.-:%d+: ", ""))
  end

  it("are checked", function()
    assert.equal("bad option 'trusted_proxies' ('10.0.0.1/8': bits behind the "
      .. "prefix)", refusal { trusted_proxies = { "::1", "10.0.0.1/8" } })
    assert.equal("bad option 'trusted_proxies' ('nginx': no address)",
      refusal { trusted_proxies = { "nginx" } })
    assert.equal("bad option 'trusted_proxies' (entry 1 is no string)",
      refusal { trusted_proxies = { 10 } })
    assert.equal("bad option 'trusted_proxies' (a list of strings expected)",
      refusal { trusted_proxies = { loopback = true } })
    assert.equal("bad option 'trusted_proxies' (a list of addresses and "
      .. [[ranges expected, got the string "loopback")]],
      refusal { trusted_proxies = "loopback" })
    assert.equal("bad option 'proxy_protocol' (boolean expected, got the "
      .. [[string "v1")]],
      refusal { proxy_protocol = "v1", trusted_proxies = { "::1" } })
    assert.equal("option 'proxy_protocol' needs 'trusted_proxies'",
      refusal { proxy_protocol = true })
    assert.equal("option 'proxy_protocol' needs 'trusted_proxies'",
      refusal { proxy_protocol = true, trusted_proxies = {} })
  end)

  it("belong to the listener", function()
    for name, value in pairs { trusted_proxies = { "::1" },
      proxy_protocol = true } do
      assert.equal(("option '%s' belongs to 'listen', not to a route")
        :format(name), refusal { routes = { ["/a"] = { [name] = value } } })
    end
  end)

  it("know the loopback and the private addresses by name", function()
    local server, seen = serve { trusted_proxies = { "loopback", "private" } }
    for _, list in ipairs { "1.2.3.4, 10.1.1.1", "1.2.3.4, 172.31.0.1",
      "1.2.3.4, 192.168.1.1", "1.2.3.4, fd12::1", "1.2.3.4, 127.9.9.9, ::1",
      "9.9.9.9, 1.2.3.4" } do
      assert.equal(101, ask(server, { ["X-Forwarded-For"] = list }))
      assert.equal("upgrade 1.2.3.4 0 false", seen[#seen - 1])
    end
    assert.equal(101, ask(server,
      { ["X-Forwarded-For"] = "1.2.3.4, 11.0.0.1" }))
    assert.equal("upgrade 11.0.0.1 0 false", seen[#seen - 1])
  end)
end)
