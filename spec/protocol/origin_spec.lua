-- The origin policy (src/protocol/origin.c): RFC 6454, RFC 6455 10.2, and the
-- Host field of RFC 9110 7.2.
local origin = require "evws_probe".origin

local idn = "https://b\u{FC}cher.example"

describe("an origin", function()
  it("matches itself, without case and with its default port", function()
    for _, row in ipairs {
      { "https://good.com", "https://good.com" },
      { "HTTPS://Good.COM", "https://good.com" },
      { "https://good.com", "HTTPS://GOOD.com" },
      { "https://good.com:443", "https://good.com" },
      { "https://good.com", "https://good.com:443" },
      { "http://good.com:80", "http://good.com" },
      { "ws://good.com", "ws://good.com:80" },
      { "https://good.com:", "https://good.com" },
      { "https://good.com", "https://good.com:" },
      { "https://good.com:443", "https://good.com:" },
      { "http://[::1]:", "http://[::1]:80" },
      { "https://x.good.com:", "https://*.good.com" },
      { "https://x.good.com", "https://*.good.com:" },
      { "app://main:", "app://main" },
      { "https://good.com.", "https://good.com" },
      { "https://good.com", "https://good.com." },
      { "https://good.com.", "https://GOOD.com.:443" },
      { "https://x.good.com.", "https://*.good.com" },
      { "https://x.good.com", "https://*.good.com." },
      { "https://x.y.good.com.:", "https://*.good.com." },
      { "http://localhost.:3000", "http://localhost:3000" },
      { "http://127.0.0.1.", "http://127.0.0.1" },
      { "wss://good.com:443", "wss://good.com" },
      { "http://localhost:3000", "http://localhost:3000" },
      { "http://127.0.0.1:8080", "http://127.0.0.1:8080" },
      { "http://[::1]:8080", "http://[::1]:8080" },
      { "http://[FE80::A]", "http://[fe80::a]:80" },
      { "https://xn--bcher-kva.example", "https://xn--bcher-kva.example" },
      { "chrome-extension://abcdef", "chrome-extension://abcdef" },
      { "app://main:7", "app://main:7" },
      { "https://my_host-1.com", "https://my_host-1.com" }
    } do
      if not origin.matches(row[1], row[2]) then
        error(row[1] .. " should match " .. row[2])
      end
      assert.is_true(origin.is_pattern(row[2]))
    end
  end)

  it("of a page without a host is matched by its name alone", function()
    for pattern, same in pairs { null = {},
      ["file://"] = { "FILE://", "File://" } } do
      assert.is_true((origin.is_pattern(pattern)), pattern)
      assert.is_true(origin.matches(pattern, pattern))
      for _, text in ipairs(same) do
        assert.is_true(origin.matches(text, pattern), text)
        assert.is_true((origin.is_pattern(text)), text)
      end
      for _, other in ipairs { "", "NULL", "Null", " null", "null ", "null\0",
        "nul", "nulll", "null:", "null.", "null://", "null, null", "\"null\"",
        "http://null", "https://null", "file:", "file:/", "file:///",
        "file://null", "file://localhost", "file:///etc/passwd", "file://.",
        "file://:", "file://\0", "afile://", "https://good.com",
        pattern == "null" and "file://" or "null" } do
        if origin.matches(other, pattern) then
          error(("%q must not match %s"):format(other, pattern))
        end
      end
      for _, wide in ipairs { "https://good.com", "https://*.good.com",
        "https://null", "file://null", "NULL", "null:" } do
        assert.is_false(origin.matches(pattern, wide), wide)
      end
      for _, host in ipairs { "null", "", "file", "localhost" } do
        assert.is_false(origin.is_same(pattern, host, false))
      end
    end
  end)

  it("BI-55: matches no exact pattern but its own", function()
    for _, other in ipairs {
      "", "null", "NULL", "good.com", "//good.com", "https:good.com",
      "https:/good.com", "https://", "https:///good.com", "://good.com",
      "https://other.com", "https://good.com:444", "https://good.com:80",
      "http://good.com", "wss://good.com", "https://good.com..",
      "https://good.com./", "https://.", "https://good.com.:444",
      "https://good.com.evil", "https://evilgood.com",
      "https://evil.good.com", "https://good.co", "https://good.comm",
      "https://good.com@evil", "https://evil@good.com",
      "https://good.com:443@evil.com", "https://good.com:x@evil.com",
      "https://good.com/", "https://good.com/path", "https://good.com?q",
      "https://good.com#f", "https://good.com\\", "https://good.com ",
      " https://good.com", "https://good.com\t", "https://good.com\0",
      "https://good.com\0.evil", "https://good\0.com", "https\0://good.com",
      "https://good.com\r\n", "https://good.com::", "https://good.com:0443",
      "http://good.com:", "https://good.com:/", "https://good.com: ",
      "https://:", "https://good.com:443:", "https://good.com::443",
      "https://good.com:443 ", "https://good.com:+443",
      "https://good.com:-443", "https://good.com:65979", -- 443 + 65536
      "https://good.com:000443", "https://good.com:443443443443",
      "https://good.com:4\xD9\xA33", "https://good.com:443:443",
      "https://.good.com", "https://good..com", "https://%67ood.com",
      "https://g\u{43E}od.com", -- a Cyrillic o
      "https://*.good.com", "https://*", "*",
      "https://good.com, https://good.com", "https://good.com https://evil",
      "https://https://good.com", "https://[good.com]", "file://",
      "https://[::1", "https://::1",
      "https://" .. ("a"):rep(8192) .. ".good.com",
      ("a"):rep(8192) .. "://good.com", ("https://good.com"):rep(512)
    } do
      if origin.matches(other, "https://good.com") then
        error(("%q must not match"):format(other))
      end
    end
  end)

  it("BI-55: of no kind that is not understood matches itself", function()
    for _, s in ipairs { "", "NULL", idn, "https://good.com..", "https://",
      "https://a@b.com", "https://good.com/", "https://good.com:99999",
      "https://*", "https://[::1%eth0]", "https://[1.2.3.4]",
      "https://[::1]x", "https://[]", "1http://good.com", "file:///",
      "https://" .. ("a"):rep(256) } do
      if origin.matches(s, s) then error(("%q matches"):format(s)) end
    end
  end)

  it("BI-56: matches a wildcard with one label at least", function()
    local pattern = "https://*.a.com"
    assert.is_true(origin.is_pattern(pattern))
    for _, s in ipairs { "https://x.a.com", "https://x.y.a.com",
      "HTTPS://X.A.COM", "https://x.a.com:443", "https://a.com.a.com",
      "https://xn--bcher-kva.a.com" } do
      if not origin.matches(s, pattern) then error(s .. " should match") end
    end
    for _, s in ipairs { "https://a.com", "https://.a.com",
      "https://..a.com", "https://x..a.com", "https://xa.com",
      "https://evila.com", "https://x.evila.com", "https://com",
      "https://x.a.com.evil", "https://x.a.com:444", "http://x.a.com",
      "https://a.com.", "https://.a.com.", "https://x.a.com..",
      "https://x.a.com/", "https://evil.com/x.a.com",
      "https://evil.com#.a.com", "https://evil.com?.a.com",
      "https://evil.com\\.a.com", "https://evil.com\0.a.com",
      "https://x@y.a.com", "https://evil.com:80.a.com", "https://*.a.com",
      "https://x.b.com", "https://x.a.co", "https://x.aXcom", "null" } do
      if origin.matches(s, pattern) then
        error(("%q must not match"):format(s))
      end
    end
  end)

  it("BI-56: matches a wildcard with a port only on that port", function()
    local pattern = "http://*.a.com:8080"
    assert.is_true(origin.matches("http://x.a.com:8080", pattern))
    assert.is_false(origin.matches("http://x.a.com", pattern))
    assert.is_false(origin.matches("http://x.a.com:80", pattern))
    assert.is_false(origin.matches("http://a.com:8080", pattern))
  end)
end)

describe("a pattern", function()
  it("that can match nothing is named with its fault", function()
    for pattern, fault in pairs {
      [""] = "no scheme", ["good.com"] = "no scheme", ["*"] = "no scheme",
      ["NULL"] = "no scheme", ["https:/good.com"] = "no scheme",
      ["://good.com"] = "no scheme", ["https://"] = "no host",
      ["https://*."] = "no host", ["https://:80"] = "a bad host",
      ["https://good.com/"] = "a path after the host",
      ["file:///"] = "a path after the host",
      ["file://*"] = "a wildcard other than \"*.\" in front of the host",
      ["https://good.com?q"] = "a path after the host",
      ["https://me@good.com"] = "user info before the host",
      ["https://*"] = "a wildcard other than \"*.\" in front of the host",
      ["https://*good.com"] =
        "a wildcard other than \"*.\" in front of the host",
      ["https://a.*.com"] =
        "a wildcard other than \"*.\" in front of the host",
      ["https://*.*.com"] =
        "a wildcard other than \"*.\" in front of the host",
      ["https://good.com:*"] =
        "a wildcard other than \"*.\" in front of the host",
      [idn] = "a host that is not in its ASCII form (punycode)",
      ["https://good.com.."] = "a bad host", ["https://*.."] = "a bad host",
      ["https://good..com"] = "a bad host",
      ["https://good com"] = "a bad host",
      ["https://[::1"] = "a bad host",
      ["https://*.[::1]"] = "a wildcard before an address",
      ["https://good.com::"] = "a bad port", ["https://:"] = "a bad host",
      ["https://good.com:65536"] = "a bad port",
      ["https://good.com:080"] = "a bad port",
      ["https://" .. ("a"):rep(256)] = "a host that is too long"
    } do
      local ok, why = origin.is_pattern(pattern)
      assert.is_false(ok)
      assert.are.equal(pattern .. ": " .. fault, pattern .. ": " .. why)
      assert.is_false(origin.matches("https://good.com", pattern))
      assert.is_false(origin.matches(pattern, pattern))
    end
  end)
end)

describe("the same origin", function()
  it("BI-55: is that of the Host, with the default port of either",
    function()
      for _, row in ipairs {
        { "https://good.com", "good.com", true, true },
        { "http://good.com", "good.com", false, true },
        { "https://good.com", "good.com:443", true, true },
        { "https://good.com:443", "good.com", true, true },
        { "HTTPS://GOOD.com", "good.COM", true, true },
        { "http://localhost:8080", "localhost:8080", false, true },
        { "http://[::1]:8080", "[::1]:8080", false, true },
        { "http://good.com.", "good.com.", false, true },
        { "http://good.com.", "good.com", false, true },
        { "http://good.com", "good.com.", false, true },
        { "https://good.com", "good.com.:443", true, true },
        { "http://localhost:80", "localhost.:", false, true },
        { "https://good.com", "good.com:", true, true },
        { "http://good.com", "good.com:", false, true },
        { "https://good.com:", "good.com", true, true },
        { "http://[::1]", "[::1]:", false, true },
        { "http://good.com", "good.com:", true, false },
        { "http://good.com:8080", "good.com:", false, false },
        -- TLS ended in front of us
        { "https://good.com:8443", "good.com:8443", false, true },
        { "https://good.com", "good.com:443", false, true },

        { nil, "good.com", true, false },
        { "", "good.com", true, false },
        { "null", "good.com", true, false },
        { "null", "null", false, false },
        { "https://other.com", "good.com", true, false },
        { "https://good.com:444", "good.com", true, false },
        { "https://good.com", "good.com:444", true, false },
        { "http://good.com", "good.com", true, false },
        { "https://good.com", "good.com", false, false },
        { "ws://good.com", "good.com", false, false },
        { "app://good.com:80", "good.com", false, false },
        { "https://good.com..", "good.com", true, false },
        { "https://good.com.", "good", true, false },
        { "https://good.com.evil", "good.com", true, false },
        { "https://evilgood.com", "good.com", true, false },
        { "https://good.com@evil", "good.com", true, false },
        { "https://good.com@evil", "evil", true, false },
        { "https://good.com/", "good.com", true, false },
        { idn, "b\u{FC}cher.example", true, false },
        { "https://", "", true, false },
        { "https://good.com", "", true, false },
        { "https://good.com", "good.com,evil", true, false },
        { "https://good.com", "good.com ", true, false },
        { "web+app-1.2://good.com", "good.com", true, false },
        { "+web://good.com", "good.com", true, false },
        { "https://" .. ("a"):rep(8192), ("a"):rep(8192), true, false }
      } do
        if origin.is_same(row[1], row[2], row[3]) ~= row[4] then
          error(("%s on %q"):format(row[1], row[2]))
        end
      end
    end)
end)

describe("a Host field", function()
  it("is a name or an address, and perhaps a port", function()
    local long = ("a"):rep(250)
    for _, row in ipairs {
      { "server.example.com", "server.example.com", -1 }, -- RFC 6455 1.2
      { "good.com:8080", "good.com", 8080 },
      { "GOOD.com", "GOOD.com", -1 },
      { "good.com.", "good.com.", -1 },
      { "localhost:0", "localhost", 0 },
      { "a:65535", "a", 65535 },
      { "a:", "a", -1 }, { "[::1]:", "::1", -1 }, { "a.:", "a.", -1 },
      { "127.0.0.1:", "127.0.0.1", -1 },
      { "a:00080", "a", 80 },
      { "127.0.0.1:80", "127.0.0.1", 80 },
      { "my_host-1", "my_host-1", -1 },
      { "[::1]", "::1", -1 },
      { "[::1]:443", "::1", 443 },
      { "[2001:DB8::ff00:42:8329]", "2001:DB8::ff00:42:8329", -1 },
      { "[::ffff:1.2.3.4]:1", "::ffff:1.2.3.4", 1 },
      { "[1:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:8", -1 },
      { long .. "aaaaa", long .. "aaaaa", -1 },
      { long .. ":8080", long, 8080 }
    } do
      local name, port = origin.parse_host(row[1])
      assert.are.same({ row[2], row[3] }, { name, port })
    end
  end)

  it("is refused where it is anything else", function()
    for _, s in ipairs { "", ":80", ".", "..", ".a", "a..b", "a..", "a b",
      " a", "a ", "a\t", "a\0", "a\0b", "a,b", "a/", "/", "a/b", "a?", "a#",
      "u@a", "u:p@a", "http://a", "a%41", "b\u{FC}cher", "a*", "*.a", ":",
      "a:65536", "a:99999", "a:100000", "a:000080", "a:8x", "a:x", "a:-1",
      "a:+1", "a: 1", "a:1 ", "a:80:80", "a:80:", "a::", "::1",
      "1:2:3:4:5:6:7:8",
      "[", "]", "[]", "[]:80", "[:]", "[a]", "[::1", "::1]", "[::1]a",
      "[::1] ", "[::1]::", "[::1]: ", "[::1]:x", "[::1]:65536", "[::1]]",
      "[[::1]]",
      "[::1%lo]", "[::1%25lo]", "[1.2.3.4]", "[v1.a]", "[::1\0]",
      "[1:2:3:4:5:6:7:8:9]", "[::12345]", "[1::2::3]",
      "[" .. ("0"):rep(60) .. "::1]", "a[::1]", "a\x7F", "a\x80",
      ("a"):rep(256), ("a"):rep(251) .. ":8080" } do
      if origin.parse_host(s) then error(("%q is no host"):format(s)) end
    end
  end)

  it("may be asked for by names, and what is none is told", function()
    for _, entry in ipairs { "a", "a.b.", "*.a", "a:1", "*.a:1", "[::1]",
      "[::1]:5000", "127.0.0.1", "a:", "xn--bcher-kva.example" } do
      assert.is_true((origin.is_host_pattern(entry)), entry)
    end
    for entry, fault in pairs { [""] = "no host", ["*."] = "no host",
      ["http://a"] = "a scheme before the host",
      ["ws://*.a/"] = "a scheme before the host",
      ["a/b"] = "a path after the host", ["a?"] = "a path after the host",
      ["u@a"] = "user info before the host",
      ["*"] = "a wildcard other than \"*.\" in front of the host",
      ["a.*"] = "a wildcard other than \"*.\" in front of the host",
      ["*.[::1]"] = "a wildcard before an address",
      ["b\u{FC}cher.example"] =
        "a host that is not in its ASCII form (punycode)",
      ["*.b\u{FC}cher.example"] =
        "a host that is not in its ASCII form (punycode)",
      ["a b"] = "a bad host", ["::1"] = "a bad host", ["[::1"] = "a bad host",
      ["a:x"] = "a bad port", ["a:65536"] = "a bad port",
      [("a"):rep(256)] = "a host that is too long" } do
      local ok, why = origin.is_host_pattern(entry)
      assert.same({ entry, false, fault }, { entry, ok, why })
    end
  end)

  it("BI-57: matches only the names that are served", function()
    for _, row in ipairs {
      { "localhost", "localhost", true },
      { "LOCALHOST", "localhost", true },
      { "localhost:8080", "localhost", true },
      { "localhost:8080", "localhost:8080", true },
      { "127.0.0.1:8080", "127.0.0.1", true },
      { "[::1]:8080", "[::1]", true },
      { "[::1]:8080", "[::1]:8080", true },
      { "x.good.com", "*.good.com", true },
      { "x.y.good.com:1", "*.good.com", true },
      { "x.good.com:1", "*.good.com:1", true },
      { "localhost:", "localhost", true },
      { "localhost.", "localhost", true },
      { "localhost", "LOCALHOST.", true },
      { "localhost.:80", "localhost:80", true },
      { "127.0.0.1.:80", "127.0.0.1", true },
      { "x.good.com.", "*.good.com", true },
      { "x.good.com", "*.good.com.", true },
      { "localhost", "localhost:", true },
      { "localhost:8080", "localhost:", true },
      { "[::1]:", "[::1]", true },
      { "x.good.com:", "*.good.com:", true },

      { "evil.test", "localhost", false },
      { "evil.test:8080", "localhost", false },
      { "localhost.evil.test", "localhost", false },
      { "evil-localhost", "localhost", false },
      { "localhost..", "localhost", false },
      { "localhost.:81", "localhost.:80", false },
      { "localhost:8081", "localhost:8080", false },
      { "localhost", "localhost:8080", false },
      { "localhost", "localhost:80", false },
      { "localhost:", "localhost:80", false },
      { "evil.test:", "localhost", false },
      { "127.0.0.1.evil.test", "127.0.0.1", false },
      { "[::2]", "[::1]", false },
      { "good.com", "*.good.com", false },
      { ".good.com", "*.good.com", false },
      { "xgood.com", "*.good.com", false },
      { "evilgood.com", "*.good.com", false },
      { "com", "*.good.com", false },
      { "x.good.com.evil", "*.good.com", false },
      { "good.com.", "*.good.com", false },
      { "good.com.", "*.good.com.", false },
      { "x.good.com:2", "*.good.com:1", false },
      { "localhost@evil.test", "localhost", false },
      { "evil.test#localhost", "localhost", false },
      { "", "localhost", false },
      { "localhost", "", false },
      { "evil.test", "*", false }, -- "any" is told by the caller
      { "evil.test", "*.", false },
      { "*.good.com", "*.good.com", false }
    } do
      if origin.host_matches(row[1], row[2]) ~= row[3] then
        error(("%q for %q"):format(row[1], row[2]))
      end
    end
  end)
end)
