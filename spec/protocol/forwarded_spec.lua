-- Whom a request is from (src/protocol/forwarded.c and ip.c): X-Forwarded-*
-- and Forwarded (RFC 7239) behind trusted proxies.
local proxy = require "evws_probe".proxy

local trusted = { "10.0.0.0/8", "127.0.0.1", "::1", "fd00::/8", "unix" }

local function read(fields)
  return proxy.forwarded("GET / HTTP/1.1\r\n" .. table.concat(fields, "\r\n")
    .. (fields[1] and "\r\n\r\n" or "\r\n"), trusted)
end

local function check(rows)
  for _, row in ipairs(rows) do
    local address, port, scheme = read(row[1])
    local got = ("%s %d %d"):format(address, port, scheme)
    local want = ("%s %d %d"):format(row[2], row[3] or 0, row[4] or 0)
    if got ~= want then
      error(("%s: %s, not %s"):format(table.concat(row[1], " | "), got, want),
        2)
    end
  end
end

local function xff(...)
  local list = {}
  for i, value in ipairs { ... } do list[i] = "X-Forwarded-For: " .. value end
  return list
end

local function forwarded(...)
  local list = {}
  for i, value in ipairs { ... } do list[i] = "Forwarded: " .. value end
  return list
end

describe("X-Forwarded-For", function()
  it("is walked from the right to the first that is not trusted", function()
    check {
      { xff "1.2.3.4", "1.2.3.4" },
      { xff "1.2.3.4, 10.0.0.1", "1.2.3.4" },
      { xff "9.9.9.9, 1.2.3.4", "1.2.3.4" },
      { xff "9.9.9.9, 1.2.3.4, 10.0.0.1, fd00::2", "1.2.3.4" },
      { xff "10.9.9.9, 1.2.3.4, 10.0.0.1", "1.2.3.4" },
      { xff "10.0.0.3, 10.0.0.2", "10.0.0.3" }, -- all are ours
      { xff "2001:db8::1", "2001:db8::1" },
      { xff "::ffff:1.2.3.4", "1.2.3.4" },
      { xff "8.8.8.8,::ffff:10.0.0.1", "8.8.8.8" },
      { xff "1.2.3.4:5678", "1.2.3.4", 5678 },
      { xff "[2001:db8::1]:5678", "2001:db8::1", 5678 },
      { xff "[2001:db8::1]", "2001:db8::1" },
      { xff "  1.2.3.4\t,\t10.0.0.1  ", "1.2.3.4" },
      { xff ",, 1.2.3.4 ,,10.0.0.1,", "1.2.3.4" },
      { xff "", "" }, { xff ", ,", "" }, { {}, "" },
    }
  end)

  it("BI-50: is one list in several fields", function()
    check {
      { xff("9.9.9.9", "1.2.3.4"), "1.2.3.4" },
      { xff("1.2.3.4", "10.0.0.1"), "1.2.3.4" },
      { xff("9.9.9.9, 1.2.3.4", "10.0.0.1, 10.0.0.2"), "1.2.3.4" },
      { { "x-forwarded-for: 9.9.9.9", "Host: a", "X-FORWARDED-FOR: 1.2.3.4" },
        "1.2.3.4" },
      { xff("1.2.3.4", ""), "1.2.3.4" },
    }
  end)

  it("BI-50: is not X_Forwarded_For, nor any other name", function()
    check {
      { { "X_Forwarded_For: 6.6.6.6" }, "" },
      { { "X-Forwarded_For: 6.6.6.6", "X-Forwarded-For: 1.2.3.4" },
        "1.2.3.4" },
      { { "X-Forwarded-For: 1.2.3.4", "X_Forwarded_For: 6.6.6.6" },
        "1.2.3.4" },
      { { "X-Forwarded-For2: 6.6.6.6" }, "" },
      { { "X-Real-IP: 6.6.6.6", "Client-IP: 6.6.6.6" }, "" },
    }
  end)

  it("is walked no farther than an entry that is no address", function()
    for _, entry in ipairs { "unknown", "_hidden", "x", "1.2.3", "1.2.3.4.5",
      "256.1.1.1", "01.2.3.4", "0x1.2.3.4", "16909060", "1.2.3.4:", "1.2.3.4:x",
      "1.2.3.4:65536", "1.2.3.4:080", "1.2.3.4 5.6.7.8", "1.2.3.4;5", "[::1",
      "::1]", "[::1]x", "[::1]:", "[]", "[1.2.3.4]", "fe80::1%eth0", ":::",
      '"1.2.3.4"', "<b>", "1.2.3.4/8", ("1"):rep(5000), "::1::" } do
      check {
        { xff(entry), "" },
        { xff(entry .. ", 10.0.0.1"), "10.0.0.1" },
        { xff("1.2.3.4, " .. entry .. ", 10.0.0.2, 10.0.0.1"), "10.0.0.2" },
        { xff("1.2.3.4, " .. entry .. ", 5.6.7.8, 10.0.0.1"), "5.6.7.8" },
        { xff("1.2.3.4, " .. entry), "" },
      }
    end
  end)

  it("BI-50: loses nothing that stands behind an open quote", function()
    check {
      { xff '", 1.2.3.4', "1.2.3.4" },
      { xff '"9.9.9.9, 1.2.3.4", 10.0.0.1', "10.0.0.1" },
      { xff('"', "1.2.3.4"), "1.2.3.4" },
      { forwarded('for="', "for=1.2.3.4"), "1.2.3.4" },
      { forwarded 'for=", for=1.2.3.4', "1.2.3.4" },
      { forwarded 'for=", for="[2001:db8::1]:80"', "2001:db8::1", 80 },
      { forwarded 'for="\\, for=1.2.3.4', "1.2.3.4" },
    }
  end)
end)

describe("X-Forwarded-Proto", function()
  local function proto(addresses, value, ...)
    local list = addresses and xff(addresses) or {}
    for _, v in ipairs { value, ... } do
      list[#list + 1] = "X-Forwarded-Proto: " .. v
    end
    return list
  end

  it("tells the scheme, alone or beside the address", function()
    check {
      { proto(nil, "https"), "", 0, 2 }, { proto(nil, "HTTPS"), "", 0, 2 },
      { proto(nil, "wss"), "", 0, 2 }, { proto(nil, "http"), "", 0, 1 },
      { proto(nil, "ws"), "", 0, 1 }, { proto(nil, "httpss"), "", 0, 0 },
      { proto(nil, "on"), "", 0, 0 }, { proto(nil, ""), "", 0, 0 },
      { proto("1.2.3.4", "https"), "1.2.3.4", 0, 2 },
    }
  end)

  it("counts from the right as far as the address stands", function()
    check {
      { proto("1.2.3.4", "https, http"), "1.2.3.4", 0, 1 },
      { proto("1.2.3.4", "https", "http"), "1.2.3.4", 0, 1 },
      { proto("1.2.3.4, 10.0.0.1", "https, http"), "1.2.3.4", 0, 2 },
      { proto("9.9.9.9, 1.2.3.4, 10.0.0.1", "http, https, http"), "1.2.3.4",
        0, 2 },
      { proto("1.2.3.4, 10.0.0.1", "https"), "1.2.3.4", 0, 2 },
      { proto("x, 10.0.0.1", "https, http"), "10.0.0.1", 0, 1 },
    }
  end)
end)

describe("Forwarded", function()
  it("is read as RFC 7239 writes it", function()
    check {
      { forwarded "for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60",
        0, 1 },
      { forwarded 'For="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17",
        4711 },
      { forwarded "for=192.0.2.43, for=198.51.100.17", "198.51.100.17" },
      { forwarded "for=192.0.2.43, for=10.0.0.1", "192.0.2.43" },
      { forwarded("for=192.0.2.43", "for=10.0.0.1;proto=https"),
        "192.0.2.43" },
      { forwarded "proto=https;for=192.0.2.43, for=10.0.0.1;proto=http",
        "192.0.2.43", 0, 2 },
      { forwarded 'for="192.0.2.43:80"', "192.0.2.43", 80 },
      { forwarded 'for="192.0.2.43:_gazonk"', "192.0.2.43" },
      { forwarded 'for="192\\.0.2.43"', "192.0.2.43" },
      { forwarded 'FOR=192.0.2.43 ; PROTO="HTTPS" ; ext="a;b"',
        "192.0.2.43", 0, 2 },
      { forwarded "for=10.0.0.2;proto=https, for=10.0.0.1", "10.0.0.2", 0,
        2 },
    }
  end)

  it("ends its walk at whatever it does not understand", function()
    for _, element in ipairs { "for=unknown", 'for="_mdn"', "for=_hidden",
      "proto=https", "for", "for=", "=1.2.3.4", "for=1.2.3.4;for=5.6.7.8",
      "for =1.2.3.4", "for= 1.2.3.4", 'for="1.2.3.4', 'for="1.2.3.4"x',
      "for=1.2.3.4 x", "for=[::1]", "for=1.2.3.4:80", "for=1.2.3.4;;;x",
      'for="' .. ("1"):rep(200) .. '"', "for=1.2.3.4;proto=http;proto=https",
      'for="1.2.3.4\\' } do
      check {
        { forwarded(element), "" },
        { forwarded(element .. ", for=10.0.0.1"), "10.0.0.1" },
        { forwarded("for=1.2.3.4, " .. element .. ", for=10.0.0.1;proto=http"),
          "10.0.0.1", 0, 1 },
      }
    end
  end)

  it("is not looked at beside X-Forwarded-For or -Proto", function()
    check {
      { { "Forwarded: for=6.6.6.6;proto=https", "X-Forwarded-For: 1.2.3.4" },
        "1.2.3.4" },
      { { "X-Forwarded-Proto: http", "Forwarded: for=6.6.6.6;proto=https" },
        "", 0, 1 },
      { { "X_Forwarded_For: 6.6.6.6", "Forwarded: for=1.2.3.4" }, "1.2.3.4" },
    }
  end)
end)

describe("a range of addresses", function()
  it("holds what its prefix says", function()
    for _, row in ipairs {
      { "10.1.2.3", "10.0.0.0/8", true }, { "11.0.0.0", "10.0.0.0/8", false },
      { "9.255.255.255", "10.0.0.0/8", false },
      { "10.0.0.1", "10.0.0.1", true }, { "10.0.0.2", "10.0.0.1", false },
      { "172.31.255.255", "172.16.0.0/12", true },
      { "172.32.0.0", "172.16.0.0/12", false },
      { "192.168.1.127", "192.168.1.0/25", true },
      { "192.168.1.128", "192.168.1.0/25", false },
      { "1.2.3.4", "0.0.0.0/0", true }, { "::1", "0.0.0.0/0", false },
      { "1.2.3.4", "::/0", false }, { "2001:db8::1", "::/0", true },
      { "::ffff:1.2.3.4", "::/0", false },
      { "::ffff:1.2.3.4", "1.2.3.4", true },
      { "1.2.3.4", "::ffff:1.2.3.0/120", true },
      { "2001:db8:ffff::", "2001:db8::/32", true },
      { "2001:db9::", "2001:db8::/32", false },
      { "fdff::1", "fc00::/7", true }, { "fe00::1", "fc00::/7", false },
      { "::1", "::1/128", true }, { "unix", "unix", true },
      { "unix", "0.0.0.0/0", false }, { "unix", "::/0", false },
      { "127.0.0.1", "unix", false },
    } do
      if proxy.is_in(row[1], row[2]) ~= row[3] then
        error(("%s in %s is not %s"):format(row[1], row[2], row[3]))
      end
    end
  end)

  it("is refused when it is none", function()
    for text, why in pairs {
      [""] = "no address", ["x"] = "no address", ["/8"] = "no address",
      ["10/8"] = "no address", ["10.0.0.0/"] = "a bad prefix length",
      ["10.0.0.0/33"] = "a bad prefix length",
      ["10.0.0.0/-1"] = "a bad prefix length",
      ["10.0.0.0/08"] = "a bad prefix length",
      ["10.0.0.0/8/8"] = "a bad prefix length",
      ["10.0.0.0/255.0.0.0"] = "a bad prefix length",
      ["::/129"] = "a bad prefix length", ["[::1]"] = "no address",
      ["::1%lo"] = "no address", ["10.0.0.1/8"] = "bits behind the prefix",
      ["2001:db8::1/32"] = "bits behind the prefix",
      ["::ffff:0.0.0.0/95"] = "bits behind the prefix",
      ["::ffff:0:0/0"] = "bits behind the prefix",
      ["10.0.0.0\0/8"] = "no address", ["localhost"] = "no address",
    } do
      local ok, what = proxy.range(text)
      assert.is_false(ok)
      assert.equal(why, what)
    end
  end)
end)
