-- WebSocket URLs (src/protocol/url.c): RFC 6455 3, RFC 3986.

local url = require "evws_probe".url

local function refuses(why, list)
  for _, text in ipairs(list) do
    local got, reason = url.parse(text)
    assert.is_nil(got, text)
    assert.equal(why, reason, text)
  end
end

describe("a URL", function()
  it("of ws has host, port 80 and what is asked for", function()
    assert.same({ host = "server.example.com", port = 80, secure = false,
      authority = "server.example.com", target = "/chat?room=1&x=/y?z" },
      url.parse "ws://server.example.com/chat?room=1&x=/y?z")
  end)

  it("of wss is secure, on port 443", function()
    assert.same({ host = "a.test", port = 443, secure = true,
      authority = "a.test", target = "/" }, url.parse "wss://a.test/")
  end)

  it("has its scheme in any case", function()
    for _, scheme in ipairs { "ws", "WS", "Ws", "wS" } do
      assert.equal("a.test", url.parse(scheme .. "://a.test").host)
    end
    assert.is_true(url.parse("WSS://a.test").secure)
    assert.equal("/s", url.parse("WS+Unix:/s").socket)
  end)

  it("names its port", function()
    for port, text in pairs { [1] = "1", [8080] = "8080", [65535] = "65535",
      [80] = "80" } do
      local u = url.parse("ws://a.test:" .. text .. "/x")
      assert.same({ port, "a.test:" .. text, "/x" },
        { u.port, u.authority, u.target })
    end
  end)

  it("may have an empty port, which is none (RFC 3986 3.2.3)", function()
    for text, want in pairs {
      ["ws://a.test:"] = { "a.test", "a.test", 80, "" },
      ["ws://a.test:/"] = { "a.test", "a.test", 80, "/" },
      ["wss://a.test:?x:"] = { "a.test", "a.test", 443, "?x:" },
      ["ws://[::1]:/a:"] = { "::1", "[::1]", 80, "/a:" },
      ["WSS://127.0.0.1:/"] = { "127.0.0.1", "127.0.0.1", 443, "/" },
      ["ws://a.test.:/"] = { "a.test.", "a.test.", 80, "/" },
    } do
      local u = url.parse(text)
      assert.same(want, { u.host, u.authority, u.port, u.target }, text)
    end
    refuses("the host is malformed", { "ws://:", "ws://:/", "ws://a.test::",
      "ws://[::1]::/", "ws://[::1:/" })
  end)

  it("may do without a path", function()
    for text, target in pairs { ["ws://a.test"] = "",
      ["ws://a.test?q"] = "?q", ["ws://a.test:1?/"] = "?/",
      ["ws://a.test?"] = "?" } do
      assert.equal(target, url.parse(text).target)
    end
  end)

  it("has addresses of both families, the later in brackets", function()
    assert.equal("127.0.0.1", url.parse("ws://127.0.0.1:1/").host)
    for text, host in pairs { ["[::1]"] = "::1", ["[::1]:99"] = "::1",
      ["[2001:db8::7]"] = "2001:db8::7" } do
      local u = url.parse("ws://" .. text .. "/x")
      assert.same({ host, text }, { u.host, u.authority })
    end
  end)

  it("may name the zone of an address, which is not sent (RFC 6874)",
    function()
      for text, want in pairs {
        ["[fe80::1%25eth0]"] = { "fe80::1", "eth0", "[fe80::1]", 80 },
        ["[fe80::1%25eth0]:8080"] = { "fe80::1", "eth0", "[fe80::1]:8080",
                                      8080 },
        ["[fe80::1%25eth0]:"] = { "fe80::1", "eth0", "[fe80::1]", 80 },
        ["[FE80::A%252]"] = { "FE80::A", "2", "[FE80::A]", 80 },
        ["[::1%25br-1.a_b~Z]"] = { "::1", "br-1.a_b~Z", "[::1]", 80 },
        ["[fe80::1%2525]"] = { "fe80::1", "25", "[fe80::1]", 80 },
        ["[fe80::ffff:1.2.3.4%25x]"] = { "fe80::ffff:1.2.3.4", "x",
                                         "[fe80::ffff:1.2.3.4]", 80 },
      } do
        local u = assert(url.parse("ws://" .. text .. "/x%25y]"), text)
        assert.same(want, { u.host, u.zone, u.authority, u.port })
        assert.equal("/x%25y]", u.target)
      end
      local zone = ("z"):rep(125)
      assert.equal(zone, url.parse("wss://[fe80::1%25" .. zone .. "]").zone)
      refuses("the zone is not written as in [fe80::1%25eth0]", {
        "ws://[fe80::1%eth0]", "ws://[fe80::1%25]", "ws://[fe80::1%]/",
        "ws://[fe80::1%2]", "ws://[fe80::1%26eth0]", "ws://[fe80::1%25a+b]",
        "ws://[fe80::1%25a%20b]", "ws://[fe80::1%25a:1]",
        "ws://[fe80::1%25a%25b]", "ws://[fe80::1%25[a]",
        "ws://[fe80::1%25z" .. zone .. "]", "ws://[%eth0]" })
      refuses("the host is malformed", { "ws://[%25eth0]", "ws://fe80::1%25a/",
        "ws://[fe80::1]%25a", "ws://a%25b/", "ws://[1.2.3.4%25a]",
        "ws://[fe80::1%25a", "ws://[fe80::1%25a]x", "ws://[fe80::1%25a]:x",
        "ws://[fe80::1%25a]:65536", "ws://[fe80::g%25a]",
        "ws://[a%25a]", "ws://[[fe80::1%25a]" })
      refuses("the port is above 65535", { "ws://a.test:65536",
      "wss://a.test:99999999999999999999/x", "ws://[::1]:99999?x",
      "ws://127.0.0.1:000001" })
    refuses("the port is 0", { "ws://[fe80::1%25a]:0" })
    end)

  it("of ws+unix has the path of a socket, and a path behind it", function()
    for text, want in pairs {
      ["ws+unix:/run/a.sock"] = { "/run/a.sock", "" },
      ["ws+unix:/run/a.sock:/chat?x=1:2"] = { "/run/a.sock", "/chat?x=1:2" },
      ["ws+unix:///run/a.sock:/"] = { "/run/a.sock", "/" },
      ["ws+unix:a.sock"] = { "a.sock", "" },
      ["ws+unix://a.sock:"] = { "a.sock", "" },
    } do
      local u = url.parse(text)
      assert.same(want, { u.socket, u.target }, text)
      assert.same({ "localhost", "localhost", 0, false },
        { u.host, u.authority, u.port, u.secure })
    end
  end)

  it("keeps what is percent-encoded", function()
    assert.equal("/%2F%20%C3%A4?%23",
      url.parse("ws://a.test/%2F%20%C3%A4?%23").target)
  end)

  it("of another scheme is refused, and text that is no URL", function()
    refuses("the scheme is not ws, wss or ws+unix", { "", "w", "ws", "ws:",
      "ws:/", "ws:/a.test", "wss:", "http://a.test", "https://a.test",
      "//a.test", "a.test", "/path", "wsx://a.test", "ws+unix", "unix:/x",
      "xws://a.test" })
  end)

  it("with a fragment is refused (3)", function()
    refuses("a fragment is not allowed", { "ws://a.test/#", "ws://a.test#x",
      "ws://a.test/?a#b", "ws+unix:/s#", "#" })
  end)

  it("with bytes that would break the request is refused", function()
    refuses("a space or control character", { "ws://a.test/ ",
      " ws://a.test", "ws://a.test/a b", "ws://a.test/\r\nX: y",
      "ws://a.test/\0", "ws://a.test/\127", "ws://a\t.test",
      "ws+unix:/a b" })
    refuses("a character that must be percent-encoded",
      { "ws://a.test/\xc3\xa4", "ws://a.test/\x80", "wss://a.test?\xc3\xa4",
        "ws://a.test:80/a/\xff", "ws+unix:/s:/\xc3\xa4" })
  end)

  it("with a host that is not ASCII is told what is wanted", function()
    refuses("the host is not in its ASCII form (punycode)",
      { "ws://b\u{FC}cher.example/", "wss://B\u{DC}CHER.example:444/x?y",
        "ws://\xc3\xa4.test", "ws://a\xff",
        "ws://\u{43F}\u{440}.\u{440}\u{444}/",
        "ws://a.test\u{3002}", "ws://b\u{FC}cher.example/\u{FC}",
        "ws://b\u{FC}cher.example:x/", "ws://[\xc3\xa4]/" })
    assert.equal("xn--bcher-kva.example",
      url.parse "ws://xn--bcher-kva.example/".host)
  end)

  it("names a socket by any bytes", function()
    for _, path in ipairs { "/tmp/s\u{F6}k", "/tmp/\xff" } do
      assert.equal(path, url.parse("ws+unix:" .. path .. ":/x").socket)
    end
  end)

  it("with a malformed host or port is refused (BI-42)", function()
    refuses("the host is malformed", { "ws://", "ws:///", "ws:///path",
      "ws://?q", "ws://:80", "ws://a.test:x", "ws://a.test:-1",
      "ws://a.test:65536x", "ws://:65536",
      "ws://a.test:1:2",
      "ws://[::1", "ws://[::1]x", "ws://a%25lo]/", "ws://[a%25lo",
      "ws://[]", "ws://[::g]", "ws://::1/",
      "ws://a\\b/", "ws://a_test!<>/", "ws://" .. ("a"):rep(300) .. "/" })
    refuses("the port is above 65535", { "ws://a.test:65536",
      "wss://a.test:99999999999999999999/x", "ws://[::1]:99999?x",
      "ws://127.0.0.1:000001" })
    refuses("the port is 0", { "ws://a.test:0", "ws://a.test:000/" })
  end)

  it("with user info is refused, wherever it stands (BI-62)", function()
    refuses("user info before the host: give headers = "
      .. "{ authorization = ... }", { "ws://user@a.test",
      "ws://u:p@a.test/", "wss://u:p@a.test:1/x", "ws://@a.test",
      "ws://u:p@", "ws://a.test@b.test?c",
      "ws://\u{FC}:p@a.test/", "ws://u@b\u{FC}cher.example/" })
    assert.equal("/x@y?z@", url.parse("ws://a.test/x@y?z@").target)
  end)

  it("without the path of its socket is refused", function()
    refuses("the path of the socket is missing", { "ws+unix:", "ws+unix://",
      "ws+unix::/path", "ws+unix://:/path" })
  end)

  it("of great length is taken apart like a short one", function()
    local path = "/" .. ("p"):rep(100000)
    assert.equal(path, url.parse("ws://a.test" .. path).target)
  end)
end)
