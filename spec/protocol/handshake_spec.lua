-- src/protocol/handshake.c: the opening handshake of RFC 6455 4, the
-- server's side.

local probe = require "evws_probe"
local handshake, http = probe.handshake, probe.http

local bad, method, expectation, upgrade = -400, -405, -417, -426
local not_implemented = -501

local key = "dGhlIHNhbXBsZSBub25jZQ=="
local accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

local function head(...)
  return table.concat({ ... }, "\r\n") .. "\r\n\r\n"
end

local usual = {
  "Host: a.example", "Upgrade: websocket", "Connection: Upgrade",
  "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " .. key,
}

-- The usual upgrade with lines replaced ("Host: b"), taken out ("-Host") or
-- put behind ("+Host: b").
local function request(...)
  local lines = { "GET / HTTP/1.1", table.unpack(usual) }
  for _, change in ipairs { ... } do
    local sign, name = change:match "^([-+]?)([^:]*)"
    local function is_named(line)
      return line:find(name .. ":", 1, true) == 1
    end
    if sign == "+" then
      lines[#lines + 1] = change:sub(2)
    elseif change:find "^%u+ .* HTTP/" then
      lines[1] = change
    else
      local found
      for i = #lines, 2, -1 do
        if is_named(lines[i]) then
          found = true
          if sign == "-" then table.remove(lines, i) else lines[i] = change end
        end
      end
      assert(found, change)
    end
  end
  return head(table.unpack(lines))
end

-- A request that is no upgrade.
local function plain(...)
  return head("GET / HTTP/1.1", "Host: a.example", ...)
end

local function refuses(code, list)
  for _, bytes in ipairs(list) do
    local what = ("%q"):format(bytes)
    local out, err, why = handshake.check(bytes)
    assert.is_nil(out, what)
    assert.equal(code, err, what)
    assert.is_string(why)
    assert.is_truthy(why:find "^[%w './-]+$", why)
  end
end

local function accepts(bytes)
  local out, err, why = handshake.check(bytes)
  assert(out, ("%s %s: %q"):format(err, why, bytes))
  return out
end

describe("handshake", function()
  it("answers the RFC's key with the RFC's value (1.3)", function()
    assert.equal(accept, handshake.accept(key))
  end)

  it("answers the RFC's request (1.2)", function()
    local out = accepts(head("GET /chat HTTP/1.1", "Host: server.example.com",
      "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: " .. key,
      "Origin: http://example.com", "Sec-WebSocket-Protocol: chat, superchat",
      "Sec-WebSocket-Version: 13"))
    assert.same({
      path = "/chat", host = "server.example.com", key = key,
      origin = "http://example.com", method = "GET", content_length = 0,
      has_length = false, is_chunked = false, keep_alive = true,
      expects_continue = false, is_upgrade = true,
    }, out)
    assert.equal(head("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket",
      "Connection: Upgrade", "Sec-WebSocket-Accept: " .. accept,
      "Sec-WebSocket-Protocol: chat"), handshake.write_101(key, "chat"))
  end)

  it("writes an answer without and with further fields", function()
    local start = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
      .. "Connection: Upgrade\r\nSec-WebSocket-Accept: " .. accept .. "\r\n"
    assert.equal(start .. "\r\n", handshake.write_101(key))
    assert.equal(start .. "A: b\r\nC: d\r\n\r\n",
                 handshake.write_101(key, nil, "A: b\r\nC: d\r\n"))
    local answer = handshake.write_101(key, "chat", "A: b\r\n")
    assert.equal(#answer, http.response(answer, 1).len)
  end)

  describe("accepts what is sent by", function()
    local clients = {
      Chrome = { "GET /chat?room=42 HTTP/1.1", "Host: localhost:8080",
        "Connection: Upgrade", "Pragma: no-cache", "Cache-Control: no-cache",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
          .. "(KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        "Upgrade: websocket", "Origin: http://localhost:8080",
        "Sec-WebSocket-Version: 13", "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-US,en;q=0.9", "Cookie: a=b; c=\"d e\"",
        "Sec-WebSocket-Key: " .. key, "Sec-WebSocket-Extensions: "
          .. "permessage-deflate; client_max_window_bits" },
      Firefox = { "GET / HTTP/1.1", "Host: a.example",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) "
          .. "Gecko/20100101 Firefox/128.0", "Accept: */*",
        "Accept-Language: en-US,en;q=0.5",
        "Accept-Encoding: gzip, deflate, br, zstd", "Sec-WebSocket-Version: 13",
        "Origin: null", "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Key: " .. key, "DNT: 1",
        "Connection: keep-alive, Upgrade", "Sec-Fetch-Dest: empty",
        "Sec-Fetch-Mode: websocket", "Sec-Fetch-Site: cross-site",
        "Pragma: no-cache", "Cache-Control: no-cache", "Upgrade: websocket" },
      Safari = { "GET / HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade",
        "Host: [::1]:8080", "Origin: https://a.example", "Pragma: no-cache",
        "Cache-Control: no-cache", "Sec-WebSocket-Key: " .. key,
        "Sec-WebSocket-Version: 13", "Accept-Encoding: gzip, deflate",
        "Sec-WebSocket-Extensions: x-webkit-deflate-frame" },
      curl = { "GET / HTTP/1.1", "Host: 127.0.0.1:9001",
        "User-Agent: curl/8.5.0", "Accept: */*", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " .. key,
        "Connection: Upgrade" },
      ["npm ws"] = { "GET / HTTP/1.1", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " .. key, "Connection: Upgrade",
        "Upgrade: websocket", "Sec-WebSocket-Extensions: permessage-deflate; "
          .. "client_max_window_bits", "Host: 127.0.0.1:9001" },
      ["Python websockets"] = { "GET / HTTP/1.1", "Host: localhost:8765",
        "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: " .. key, "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Extensions: permessage-deflate; "
          .. "client_max_window_bits",
        "User-Agent: Python/3.12 websockets/12.0" },
      ["Python aiohttp"] = { "GET / HTTP/1.1", "Host: localhost:8080",
        "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " .. key,
        "Accept: */*", "Accept-Encoding: gzip, deflate",
        "User-Agent: Python/3.12 aiohttp/3.9.5" },
      ["Go gorilla"] = { "GET / HTTP/1.1", "Host: localhost:8080",
        "User-Agent: Go-http-client/1.1", "Connection: Upgrade",
        "Sec-WebSocket-Key: " .. key, "Sec-WebSocket-Version: 13",
        "Upgrade: websocket" },
      Autobahn = { "GET / HTTP/1.1", "User-Agent: AutobahnTestSuite/0.8.2",
        "Host: 127.0.0.1:9001", "Upgrade: WebSocket", "Connection: Upgrade",
        "Pragma: no-cache", "Cache-Control: no-cache",
        "Sec-WebSocket-Key: " .. key, "Sec-WebSocket-Version: 13" },
      ["nginx before it"] = { "GET /a/b?c HTTP/1.1", "upgrade: websocket",
        "connection: upgrade", "host: backend_1",
        "x-forwarded-for: 203.0.113.7", "x-forwarded-proto: https",
        "sec-websocket-version: 13", "sec-websocket-key: " .. key,
        "content-length: 0" },
    }
    for name, lines in pairs(clients) do
      it(name, function()
        local bytes = head(table.unpack(lines))
        local out = accepts(bytes)
        assert.is_true(out.is_upgrade)
        assert.equal(key, out.key)
        assert.equal(#bytes, http.request(bytes, 1).len)
      end)
    end
  end)

  it("takes a target apart", function()
    local long = ("x"):rep(8000)
    for target, parts in pairs {
      ["/"] = { "/" }, ["/a/b"] = { "/a/b" }, ["/?"] = { "/", "" },
      ["/a?b=c?d"] = { "/a", "b=c?d" }, ["//a"] = { "//a" },
      ["/" .. long .. "?" .. long] = { "/" .. long, long },
      ["/%2e%2e/\xC3\xA4"] = { "/%2e%2e/\xC3\xA4" },
      ["http://a.example/b?c"] = { "/b", "c" },
      ["WS://A.example/b"] = { "/b" }, ["wss://a.example"] = { "/" },
      ["https://a.example?q"] = { "/", "q" }, ["ws://a.example?"] = { "/", "" },
      ["http://a.example/http://b.example/"] = { "/http://b.example/" },
    } do
      local out = accepts(request("GET " .. target .. " HTTP/1.1"))
      assert.same(parts, { out.path, out.query })
      assert.equal("a.example", out.host:lower())
    end
  end)

  it("takes a whole URL whose host is Host's, spelled otherwise", function()
    for target, hosts in pairs {
      ["http://a.example:80/x"] = { "a.example", "A.Example", "a.example:",
                                    "a.example.", "a.example:80",
                                    "a.example:0080" },
      ["http://a.example/x"] = { "a.example:80", "a.example.:80",
                                 "a.example:" },
      ["ws://a.example:/x"] = { "a.example", "a.example:80" },
      ["WS://A.EXAMPLE.:80/x"] = { "a.example" },
      ["https://a.example:443/x"] = { "a.example", "a.example:443" },
      ["wss://a.example/x"] = { "a.example:443", "a.example:" },
      ["http://a.example:8080/x"] = { "a.example:8080", "a.example.:08080" },
      ["http://[::1]:80/x"] = { "[::1]", "[::1]:" },
      ["http://127.0.0.1/x"] = { "127.0.0.1:80" },
    } do
      for _, host in ipairs(hosts) do
        for _, bytes in ipairs {
          request("GET " .. target .. " HTTP/1.1", "Host: " .. host),
          head("GET " .. target .. " HTTP/1.1", "Host: " .. host),
          head("GET " .. target .. " HTTP/1.0", "Host: " .. host) } do
          local out = accepts(bytes)
          -- RFC 9112 3.2.2: it counts for Host
          assert.equal(target:match "//([^/]*)", out.host)
          assert.equal("/x", out.path)
        end
      end
    end
  end)

  it("refuses a target it cannot serve", function()
    local list = {}
    for _, target in ipairs {
      "*", "a", "a/b", "?", "?a", "a.example:80", "http:/a.example/",
      "http:a.example", "ftp://a.example/", "http//a.example/", "javascript:x",
      "/a#b", "/#", "/a?b#c", "http://a.example/#", "\\", "%2f", "h", "ws:/",
      "ws:", "\xC3\xA4",
    } do
      list[#list + 1] = request("GET " .. target .. " HTTP/1.1")
    end
    refuses(bad, list)
  end)

  it("takes OPTIONS for the server as a whole (RFC 9112 3.2.4)", function()
    for _, target in ipairs { "*", "http://a.example", "ws://A.example:80" } do
      local out = accepts(head("OPTIONS " .. target .. " HTTP/1.1",
                               "Host: a.example"))
      assert.same({ "*", nil, "OPTIONS" }, { out.path, out.query, out.method })
    end
    assert.equal("*", accepts(head("OPTIONS * HTTP/1.0")).path)
    for target, path in pairs { ["/"] = "/", ["/*"] = "/*",
                                ["http://a.example/"] = "/",
                                ["http://a.example?q"] = "/" } do
      assert.equal(path, accepts(head("OPTIONS " .. target .. " HTTP/1.1",
                                      "Host: a.example")).path)
    end
    assert.equal("/", accepts(head("GET http://a.example HTTP/1.1",
                                   "Host: a.example")).path)
    local list = { head("OPTIONS * HTTP/1.1") }
    for _, line in ipairs { "OPTIONS *?", "OPTIONS **", "OPTIONS *#",
                            "OPTIONS */", "OPTIONS x",
                            "GET *", "POST *", "HEAD *",
                            "options *", "CONNECT *", "OPTIONS a:80",
                            "OPTIONS a.example" } do
      list[#list + 1] = head(line .. " HTTP/1.1", "Host: a.example")
    end
    refuses(bad, list)
    refuses(method, { request "OPTIONS * HTTP/1.1" })
  end)

  it("knows CONNECT and does not connect (RFC 9112 3.2.3)", function()
    local function connect(target, ...)
      return head("CONNECT " .. target .. " HTTP/1.1", ...)
    end
    refuses(method, {
      connect("a.example:443", "Host: a.example:443"),
      connect("a.example:443", "Host: a.example"),
      connect("a.example:80", "Host: A.example.:80"),
      connect("127.0.0.1:1", "Host: 127.0.0.1:1"),
      connect("[::1]:65535", "Host: [::1]:65535"),
      connect("a.example:443", "Host: a.example", "Content-Length: 5"),
      connect("a:443", "Host: a", table.unpack(usual, 2)),
      head "CONNECT a:443 HTTP/1.0",
    })
    local list = { connect("a:443"), connect("a:443", "Host: a", "Host: a"),
                   connect("a:443", "Host: b:443"),
                   connect("a:443", "Host: a:80"),
                   connect("a:443", "Host: a", "Content-Length: x") }
    for _, target in ipairs { "/", "*", "a", "a:", "a:0", "a:x", "a:65536",
                              "a:443/", "a:443?", "a:443#", "u@a:443", ":443",
                              "http://a:443", "http://a:443/", "[::1]", "::1",
                              "[::1:443", "a:443:443", "\xC3\xA4:443" } do
      list[#list + 1] = connect(target, "Host: a:443")
    end
    refuses(bad, list)
    for _, name in ipairs { "GET", "HEAD", "POST", "OPTIONS", "connect" } do
      refuses(bad, { head(name .. " a:443 HTTP/1.1", "Host: a:443") })
    end
  end)

  it("refuses an absolute target for another Host (BI-42)", function()
    local list = {}
    for _, target in ipairs {
      "http://b.example/", "http://a.example:81/", "http://a.example.b/",
      "http://a.exampl/", "http://u@a.example/", "http:///", "http://",
      "http:///a.example", "ws://", "http://?a.example", "http://a.example../",
      "http://a.example\\/", "https://a.example:80/", "ws://a.example:443/",
      "http://a.example:0/", "http://a.example:65616/", -- 80 + 65536
      "http://a.example:80:80/", "http://:80/", "http://.a.example/",
      "http://%61.example/", "http://[a.example]/",
    } do
      list[#list + 1] = request("GET " .. target .. " HTTP/1.1")
    end
    for _, host in ipairs { "a.example:443", "a.example:81", "a.example:0",
                            "b.example:80", "80", ":80" } do
      list[#list + 1] = request("GET http://a.example:80/ HTTP/1.1",
                                "Host: " .. host)
      list[#list + 1] = request("GET http://a.example/ HTTP/1.1",
                                "Host: " .. host)
    end
    refuses(bad, list)
  end)

  describe("wants one well-formed Host (BI-42)", function()
    it("and takes these", function()
      for _, host in ipairs { "a", "a.example", "a.example:8080", "127.0.0.1",
                              "127.0.0.1:80", "[::1]", "[::1]:65535",
                              "my_service:0", "A-B.example", "a.example:",
                              "[::1]:", "127.0.0.1:" } do
        assert.equal(host, accepts(request("Host: " .. host)).host)
        assert.equal(host, accepts(plain():gsub("a%.example", host)).host)
      end
    end)

    it("and not these", function()
      local list = { request "-Host", request "+Host: a.example",
                     request "+Host: b.example", request "+Host:",
                     head("GET / HTTP/1.1"), plain "Host: a.example",
                     head("GET http://a.example/ HTTP/1.1"),
                     head("GET / HTTP/1.0", "Host: a", "Host: a"),
                     head("GET / HTTP/1.0", "Host:"),
                     head("GET http://a@b/ HTTP/1.0") }
      for _, host in ipairs {
        "", "a@b", "a/b", "a?b", "a#b", "[::1", "::1", "[::1]a", "[]",
        "a:99999", "a:65536", "a:-1", "a:+1", "a:x", ("a"):rep(300),
        "\xC3\xA4.example", "a b", "a,b", "a\tb", "http://a", "a\\b", "a%00b",
        "a:80:80", ":80", "<a>", "a.example, b.example",
      } do
        list[#list + 1] = request("Host: " .. host)
      end
      refuses(bad, list)
    end)

    it("where HTTP/1.0 without an upgrade may do without", function()
      assert.is_nil(accepts(head("GET / HTTP/1.0")).host)
      assert.equal("a", accepts(head("GET http://a/ HTTP/1.0")).host)
      refuses(bad, { head("GET / HTTP/1.0", "Upgrade: websocket") })
    end)
  end)

  it("refuses two Origin fields, and tells none from an empty one", function()
    refuses(bad, { request("+Origin: http://a", "+Origin: http://a"),
                   plain("Origin: null", "Origin: http://a") })
    assert.is_nil(accepts(request()).origin)
    assert.equal("", accepts(request "+Origin:").origin)
    assert.equal("null", accepts(request "+Origin: null").origin)
  end)

  describe("of a body", function()
    it("tells how it is framed", function()
      local out = accepts(plain "Content-Length: 5")
      assert.same({ true, 5, false }, { out.has_length, out.content_length,
                                        out.is_chunked })
      out = accepts(plain "Transfer-Encoding: chunked")
      assert.same({ false, 0, true }, { out.has_length, out.content_length,
                                        out.is_chunked })
      out = accepts(plain())
      assert.same({ false, 0, false }, { out.has_length, out.content_length,
                                         out.is_chunked })
      assert.is_true(accepts(plain "Content-Length: 0").has_length)
    end)

    it("refuses lengths that are no numbers, and two (BI-37)", function()
      local list = { plain("Content-Length: 5", "Content-Length: 5"),
                     plain("Content-Length: 5", "Content-Length: 6"),
                     plain("Content-Length: 0", "content-length: 0"),
                     plain("Content-Length:", "Content-Length: 5") }
      for _, length in ipairs {
        "-1", "-150", "+5", "0x5", "", "5,5", "5, 6", "5 5", "5;", "5.0", "1e1",
        "9223372036854775808000", "18446744073709551616", "five", "\x80",
      } do
        list[#list + 1] = plain("Content-Length: " .. length)
        list[#list + 1] = head("GET / HTTP/1.0", "Content-Length: " .. length)
      end
      refuses(bad, list)
      -- 2^63 is a number; that it is too long is the body decoder's
      accepts(plain "Content-Length: 9223372036854775808")
    end)

    it("refuses what smuggles (BI-38)", function()
      local list = {
        plain("Transfer-Encoding: chunked", "Content-Length: 5"),
        plain("Content-Length: 0", "Transfer-Encoding: chunked"),
        plain("Transfer-Encoding:", "Content-Length: 5"),
        plain("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        plain("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        plain("Transfer-Encoding: identity", "Transfer-Encoding: chunked"),
        head("GET / HTTP/1.0", "Transfer-Encoding: chunked"),
        head("GET / HTTP/1.0", "Host: a", "Transfer-Encoding: gzip, chunked"),
        plain("Transfer-Encoding:\vchunked"),
        plain("Transfer-Encoding : chunked"),
      }
      for _, coding in ipairs {
        "xchunked", "chunkedx", "chunked, identity", "identity", "gzip", "",
        ",", "CHUNKED", "Chunked", "chunKed", "chunked, chunked", "\"chunked\"",
        "chunked;q=1", "chunked; a", "chunked gzip", "chunked, gzip", "x",
        "'chunked'", "chunked\x80",
      } do
        list[#list + 1] = plain("Transfer-Encoding: " .. coding)
      end
      refuses(bad, list)
      -- whitespace around a value is none of it
      assert.is_true(accepts(plain "Transfer-Encoding:\tchunked\t").is_chunked)
    end)

    it("refuses a coding it does not know in front of chunked", function()
      refuses(not_implemented, { plain "Transfer-Encoding: gzip, chunked",
                                 plain "Transfer-Encoding: a,b,c,chunked" })
    end)
  end)

  it("knows one expectation (BI-48)", function()
    assert.is_true(accepts(plain "Expect: 100-continue").expects_continue)
    assert.is_true(accepts(request "+Expect: 100-Continue").expects_continue)
    assert.is_false(accepts(plain()).expects_continue)
    assert.is_false(accepts(head("GET / HTTP/1.0",
                                 "Expect: 100-continue")).expects_continue)
    assert.is_true(accepts(plain("Expect: 100-continue", "X: y",
                                 "Expect: 100-continue")).expects_continue)
    refuses(expectation, {
      plain("Expect: 100-continue", "X: y", "Expect: z"),
      plain "Expect: 200-ok", plain "Expect:", plain "Expect: 100-continued",
      plain "Expect: 100-continue, x",
      plain("Expect: 100-continue", "Expect: x"),
      request "+Expect: x", head("GET / HTTP/1.0", "Expect: x"),
    })
  end)

  it("tells whether the connection may serve on", function()
    local function is_kept(...) return accepts(head(...)).keep_alive end
    local one, host = "GET / HTTP/1.1", "Host: a"
    assert.is_true(is_kept(one, host))
    assert.is_true(is_kept(one, host, "Connection: keep-alive"))
    assert.is_true(is_kept(one, host, "Connection: closed, x-close"))
    assert.is_false(is_kept(one, host, "Connection: close"))
    assert.is_false(is_kept(one, host, "Connection: keep-alive, CLOSE"))
    assert.is_false(is_kept(one, host, "Connection: x", "A: b",
                            "Connection: close"))
    assert.is_false(is_kept("GET / HTTP/1.0"))
    assert.is_true(is_kept("GET / HTTP/1.0", "Connection: Keep-Alive"))
    assert.is_false(is_kept("GET / HTTP/1.0", "Connection: keep-alive, close"))
  end)

  describe("of what is no upgrade", function()
    it("says so (BI-44)", function()
      for _, bytes in ipairs {
        plain(), plain "Upgrade: foo", plain "Upgrade: h2c",
        plain "Upgrade: websocket/13", plain "Upgrade: websockets",
        plain "Upgrade:", plain("Connection: Upgrade", "Upgrade: h2c"),
        request "-Upgrade", request "Upgrade: h2c",
        request "Upgrade: \"websocket\"",
        plain "Connection: Upgrade", plain("Sec-WebSocket-Key: x"),
      } do
        assert.is_false(accepts(bytes).is_upgrade)
      end
    end)

    it("tells the method (BI-44)", function()
      for name, is in pairs { GET = "GET", HEAD = "HEAD", POST = "other",
                              OPTIONS = "OPTIONS", get = "other",
                              GETS = "other", options = "other",
                              connect = "other" } do
        assert.equal(is, accepts(head(name .. " / HTTP/1.1", "Host: a")).method)
      end
    end)
  end)

  describe("of what asks for an upgrade", function()
    it("takes Upgrade and Connection as lists without case", function()
      for _, value in ipairs { "websocket", "WebSocket", "WEBSOCKET",
                               "h2c, websocket", "websocket,h2c",
                               ",websocket" } do
        assert.is_true(accepts(request("Upgrade: " .. value)).is_upgrade)
      end
      for _, value in ipairs { "Upgrade", "upgrade", "keep-alive, Upgrade",
                               "Upgrade,keep-alive", "a, b ,\tUPGRADE ,c" } do
        assert.is_true(accepts(request("Connection: " .. value)).is_upgrade)
      end
      assert.is_true(accepts(request("Connection: x", "+Connection: Upgrade",
        "Upgrade: x", "+A: b", "+Upgrade: websocket")).is_upgrade)
    end)

    it("refuses another method than GET (BI-44)", function()
      local list = {}
      for _, name in ipairs { "HEAD", "POST", "OPTIONS", "PUT", "GETT" } do
        list[#list + 1] = request(name .. " / HTTP/1.1")
      end
      refuses(method, list)
    end)

    it("refuses other versions and older drafts (BI-19, BI-41)", function()
      local list = {
        request "GET / HTTP/1.0", request "-Sec-WebSocket-Version",
        request("GET / HTTP/1.0", "-Sec-WebSocket-Version"),
        -- draft-ietf-hybi-00 and draft-hixie-75
        head("GET /demo HTTP/1.1", "Host: a.example", "Connection: Upgrade",
             "Sec-WebSocket-Key2: 12998 5 Y3 1  .P00", "Upgrade: WebSocket",
             "Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5",
             "Origin: http://a.example") .. "^n:ds[4U",
        head("GET /demo HTTP/1.1", "Upgrade: WebSocket", "Connection: Upgrade",
             "Host: a.example", "Origin: http://a.example",
             "WebSocket-Protocol: sample"),
      }
      for _, version in ipairs { "0", "6", "7", "8", "12", "14", "013", "13.0",
                                 "+13", "", "13, 8", "8, 13", "1 3", "0xd",
                                 "thirteen", "\"13\"", "131", "255" } do
        list[#list + 1] = request("Sec-WebSocket-Version: " .. version)
      end
      refuses(upgrade, list)
    end)

    it("refuses a version that is given twice", function()
      refuses(bad, { request "+Sec-WebSocket-Version: 13",
                     request "+Sec-WebSocket-Version: 8" })
    end)

    it("refuses a Connection that does not name it", function()
      refuses(bad, { request "-Connection", request "Connection: keep-alive",
                     request "Connection: upgraded", request "Connection:",
                     request "Connection: \"upgrade\"" })
    end)

    it("refuses keys that are not 16 bytes in base64 (BI-41)", function()
      local list = { request "-Sec-WebSocket-Key",
                     request("+Sec-WebSocket-Key: " .. key),
                     request("+Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==") }
      for _, value in ipairs {
        "", "x", "==", key:sub(1, -2), key:sub(1, -3), key .. "=", key .. "x",
        "dGhlIHNhbXBsZSBub25jZQ=x", "dGhlIHNhbXBsZSBub25jZQx=",
        "dGhlIHNhbXBsZSBub25jZQxx", "dGhlIHNhbXBsZSBub25jZ===",
        "-GhlIHNhbXBsZSBub25jZQ==", "_GhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25j Q==", "dGhlIHNhbXBsZSBub25j\tQ==",
        "dGhlIHNhbXBsZSBub25j\x80Q==", "dGhlIHNhbXBs,SBub25jZQ==",
        ("A"):rep(8000), "\"" .. key .. "\"", key .. ", " .. key,
        "@AAAAAAAAAAAAAAAAAAAAA==", "[AAAAAAAAAAAAAAAAAAAAA==",
        "`AAAAAAAAAAAAAAAAAAAAA==", "{AAAAAAAAAAAAAAAAAAAAA==",
        ":AAAAAAAAAAAAAAAAAAAAA==", ".AAAAAAAAAAAAAAAAAAAAA==",
      } do
        list[#list + 1] = request("Sec-WebSocket-Key: " .. value)
      end
      refuses(bad, list)
      for _, value in ipairs { "AAAAAAAAAAAAAAAAAAAAAA==",
                               "+/+/+/+/+/+/+/+/+/+/+w==",
                               "0123456789azAZ0123456A==" } do
        accepts(request("Sec-WebSocket-Key: " .. value))
      end
    end)

    it("refuses a body (BI-40)", function()
      refuses(bad, { request "+Content-Length: 1",
                     request "+Content-Length: 18446744073709551615",
                     request "+Transfer-Encoding: chunked" })
      assert.is_true(accepts(request "+Content-Length: 0").is_upgrade)
    end)

    it("takes what stands behind the head for frames (BI-40)", function()
      local bytes = request()
      assert.equal(#bytes, http.request(bytes .. "\x81\x80\1\2\3\4").len)
    end)
  end)

  it("judges a request of 100 fields, the needed ones last (BI-30)", function()
    local lines = { "GET / HTTP/1.1" }
    for i = 1, 95 do lines[#lines + 1] = "X-" .. i .. ": y" end
    table.move(usual, 1, #usual, #lines + 1, lines)
    assert.is_true(accepts(head(table.unpack(lines))).is_upgrade)
  end)

  it("is linear in repeated Connection fields (BI-33)", function()
    local lines = { "GET / HTTP/1.1", table.unpack(usual) }
    for _ = 1, 900 do
      lines[#lines + 1] = "Connection: " .. ("x,"):rep(4000)
    end
    local start = os.clock()
    accepts(head(table.unpack(lines)))
    assert.is_true(os.clock() - start < 5)
  end)

  describe("goes through the sub-protocols", function()
    local function offered(...)
      return handshake.subprotocols(request(...))
    end

    it("of all fields in order", function()
      assert.same({}, offered())
      assert.same({ "chat" }, offered "+Sec-WebSocket-Protocol: chat")
      assert.same({ "chat", "superchat" },
                  offered "+Sec-WebSocket-Protocol: chat, superchat")
      assert.same({ "a", "b", "c", "D" }, offered(
        "+Sec-WebSocket-Protocol: a,b", "+X: y", "+Sec-WebSocket-Protocol:",
        "+Sec-WebSocket-Protocol: ,c,,", "+Sec-WebSocket-Protocol: D"))
    end)

    it("and stops at what is no token", function()
      for _, value in ipairs { "a b", "a, b;c", "\"a\"", "a/b", "(a)", "\x80",
                               "a, \"b, c", "{}" } do
        local list, err = offered("+Sec-WebSocket-Protocol: " .. value)
        assert.is_nil(list)
        assert.equal(bad, err)
      end
    end)

    it("with time in proportion to their length (BI-22)", function()
      local start = os.clock()
      for _, list in ipairs { ("a,"):rep(200000), (","):rep(400000),
                              (" "):rep(400000) .. "a", ("a ,"):rep(100000) } do
        assert.is_table(offered("+Sec-WebSocket-Protocol: " .. list))
      end
      assert.is_true(os.clock() - start < 5)
    end)
  end)

  it("knows the phrases of RFC 9110 and 6585, as far as they are in use",
    function()
      local phrases = {}
      for line in ([[
        100 Continue
        101 Switching Protocols
        200 OK
        201 Created
        202 Accepted
        204 No Content
        206 Partial Content
        301 Moved Permanently
        302 Found
        303 See Other
        304 Not Modified
        307 Temporary Redirect
        308 Permanent Redirect
        400 Bad Request
        401 Unauthorized
        403 Forbidden
        404 Not Found
        405 Method Not Allowed
        406 Not Acceptable
        408 Request Timeout
        409 Conflict
        410 Gone
        411 Length Required
        413 Content Too Large
        414 URI Too Long
        415 Unsupported Media Type
        416 Range Not Satisfiable
        417 Expectation Failed
        421 Misdirected Request
        422 Unprocessable Content
        426 Upgrade Required
        429 Too Many Requests
        431 Request Header Fields Too Large
        500 Internal Server Error
        501 Not Implemented
        502 Bad Gateway
        503 Service Unavailable
        504 Gateway Timeout
        505 HTTP Version Not Supported]]):gmatch "[^\n]+" do
        local status, phrase = line:match "(%d+) (.+)"
        phrases[tonumber(status)] = phrase
      end
      for status = -1, 600 do
        assert.equal(phrases[status] or "Status", handshake.reason(status),
          status)
      end
    end)
end)
