-- The words of a client to a proxy (src/protocol/tunnel.c): RFC 9110 9.3.6,
-- RFC 7617.

local tunnel = require "evws_probe".tunnel

describe("the URL of a proxy", function()
  it("has host, port and whom it is asked by", function()
    for text, want in pairs {
      ["http://a.test:3128"] = { "a.test", 3128, "" },
      ["http://a.test:3128/"] = { "a.test", 3128, "" },
      ["HTTP://a.test"] = { "a.test", 80, "" },
      ["https://a.test"] = { "a.test", 443, "", true },
      ["HTTPS://a:b@a.test:3128/"] = { "a.test", 3128, "Basic YTpi", true },
      ["a.test:3128"] = { "a.test", 3128, "" },
      ["a.test"] = { "a.test", 80, "" },
      ["http://127.0.0.1:8080"] = { "127.0.0.1", 8080, "" },
      ["http://[::1]:8080"] = { "::1", 8080, "" },
      ["http://Aladdin:open%20sesame@a.test:1"] = { "a.test", 1,
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" },
      ["http://a:b@a.test"] = { "a.test", 80, "Basic YTpi" },
      ["a:b@a.test"] = { "a.test", 80, "Basic YTpi" },
      ["http://a@a.test"] = { "a.test", 80, "Basic YTo=" },
      ["http://a:@a.test"] = { "a.test", 80, "Basic YTo=" },
      ["http://:@a.test"] = { "a.test", 80, "Basic Og==" },
      ["http://@a.test"] = { "a.test", 80, "Basic Og==" },
      ["http://a:b%3Ac@a.test"] = { "a.test", 80, "Basic YTpiOmM=" },
      ["http://a:b:c@a.test"] = { "a.test", 80, "Basic YTpiOmM=" },
      ["http://a:b@c@a.test"] = { "a.test", 80, "Basic YTpiQGM=" },
      ["http://a:%C3%A9@a.test"] = { "a.test", 80, "Basic YTrDqQ==" },
    } do
      local got = assert(tunnel.proxy(text))
      assert.same(want, { got.host, got.port, got.login, got.is_secure or nil },
        text)
    end
  end)

  it("is of HTTP, and whole", function()
    for text, want in pairs {
      [""] = "http://host:port expected",
      ["http://"] = "http://host:port expected",
      ["http:///"] = "http://host:port expected",
      ["http://a b"] = "http://host:port expected",
      ["http://a\r\nX: y"] = "http://host:port expected",
      ["http://a\0b"] = "http://host:port expected",
      ["http://a.test/path"] = "http://host:port expected",
      ["http://a.test:99999"] = "http://host:port expected",
      ["http://a.test:x"] = "http://host:port expected",
      ["http://[::1"] = "http://host:port expected",
      ["http://u:p@"] = "http://host:port expected",
      ["http://a.test:0"] = "the port is 0",
      ["https://"] = "http://host:port expected",
      ["https://a.test:0"] = "the port is 0",
      ["socks5://a.test"] =
        "only HTTP proxies are supported: http://host:port expected",
      ["http://a%@b"] = "a malformed %-escape in user or password",
      ["http://a%4@b"] = "a malformed %-escape in user or password",
      ["http://a:%4x@b"] = "a malformed %-escape in user or password",
      ["http://a%0d%0aX@b"] = "a control byte in user or password",
      ["http://a:\n@b"] = "a control byte in user or password",
      ["http://a:b%7F@b"] = "a control byte in user or password",
      ["http://a%3Ab:c@b"] = "a colon in the user's name",
      ["http://a:" .. ("x"):rep(600) .. "@b"] =
        "user and password are too long",
    } do
      local got, why = tunnel.proxy(text)
      assert.same({ nil, want }, { got, why }, text)
    end
  end)

  it("holds passwords up to its limit, and no longer ones", function()
    local most
    for n = 300, 400 do
      local got = tunnel.proxy("http://a:" .. ("x"):rep(n) .. "@b")
      if not got then break end
      most = n
      assert.equal(6 + (n + 2 + 2) // 3 * 4, #got.login)
    end
    assert.is_truthy(most and most < 400)
  end)
end)

describe("a list of those that no proxy is asked for", function()
  local function spares(list, host, port)
    return tunnel.is_spared(list, host, port or 80)
  end

  it("names hosts and all below them", function()
    for _, list in ipairs { "a.test", ".a.test", "*.a.test", "A.TEST",
      "b.test,a.test", "b.test a.test", " , b.test,\ta.test ,", "a.test.",
      "*", "b.test,*", "a.test:80", "a.test:", "test" } do
      assert.is_true(spares(list, "a.test"), list)
      assert.is_true(spares(list, "x.y.a.test"), list)
      assert.is_true(spares(list, "X.A.Test."), list)
    end
    for _, list in ipairs { "", " ", ",", "a.tes", "x.a.test",
      "xa.test", "a.test:81", "b.test", "a.test.b", ".", "*.", "a.*",
      ":80", "a.test:x", "\0", "127.0.0.1", "::/0" } do
      assert.is_false(spares(list, "a.test"), list)
    end
    assert.is_false(spares("a.test", "ba.test"))
    assert.is_false(spares("a.test", "test"))
    assert.is_true(spares("a", "b.a"))
    assert.is_true(spares("a", "a."))
    assert.is_false(spares("a", "."))
  end)

  it("names addresses and ranges of them", function()
    for _, list in ipairs { "127.0.0.1", "127.0.0.0/8", "0.0.0.0/0",
      "127.0.0.1:80", "10.0.0.0/8,127.0.0.1" } do
      assert.is_true(spares(list, "127.0.0.1"), list)
    end
    for _, list in ipairs { "::1", "[::1]", "[::1]:80", "::/64", "0:0::1" } do
      assert.is_true(spares(list, "::1"), list)
    end
    for _, list in ipairs { "127.0.0.2", "10.0.0.0/8", "127.0.0.1:81", "::1",
      "127.0.0.2:80", "a.test", "0.0.1", "127.0.0.1/33", "::/0",
      "127.0.0.0/8:80" } do
      assert.is_false(spares(list, "127.0.0.1"), list)
    end
    assert.is_false(spares("[::1]:81", "::1"))
    assert.is_false(spares("127.0.0.0/8", "localhost"))
  end)
end)

describe("what a proxy is asked", function()
  it("is CONNECT for host and port (RFC 9110 9.3.6)", function()
    assert.equal("CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n",
      tunnel.request("a.test", 80))
    assert.equal("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n"
      .. "Proxy-Authorization: Basic YTpi\r\n\r\n",
      tunnel.request("::1", 443, "Basic YTpi"))
    local name = ("a"):rep(63) .. ("." .. ("b"):rep(63)):rep(3)
    assert.equal(("CONNECT %s:65535 HTTP/1.1\r\nHost: %s:65535\r\n\r\n")
      :format(name, name), tunnel.request(name, 65535))
  end)
end)
