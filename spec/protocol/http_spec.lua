-- src/protocol/http.c: heads of requests and responses, RFC 9112 2 to 5.

local http = require "evws_probe".http

local bad, too_long, too_big, version = -400, -414, -431, -505

-- RFC 6455 1.2
local rfc_request = "GET /chat HTTP/1.1\r\n"
  .. "Host: server.example.com\r\n"
  .. "Upgrade: websocket\r\n"
  .. "Connection: Upgrade\r\n"
  .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
  .. "Origin: http://example.com\r\n"
  .. "Sec-WebSocket-Protocol: chat, superchat\r\n"
  .. "Sec-WebSocket-Version: 13\r\n\r\n"
local rfc_response = "HTTP/1.1 101 Switching Protocols\r\n"
  .. "Upgrade: websocket\r\n"
  .. "Connection: Upgrade\r\n"
  .. "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
  .. "Sec-WebSocket-Protocol: chat\r\n\r\n"

local function without_counts(result)
  result.at, result.calls, result.scanned = nil, nil, nil
  return result
end

-- The head cut in several ways: always the same result, each byte scanned
-- once. Returns that of the bytes one by one, with the point of the verdict.
local function every_way(parse, bytes, limits)
  local one_by_one = parse(bytes, 1, limits)
  local at, scanned = one_by_one.at, one_by_one.scanned
  assert.equal(at, scanned)
  without_counts(one_by_one)
  for _, cuts in ipairs { 0, 2, 3, 7, 16, 61, { #bytes - 1 },
                          { #bytes // 2, 1, 2 } } do
    local result = parse(bytes, cuts, limits)
    assert.same(one_by_one, without_counts(result))
  end
  one_by_one.at = at
  return one_by_one
end

local function request(bytes, limits)
  return every_way(http.request, bytes, limits)
end

local function response(bytes, limits)
  return every_way(http.response, bytes, limits)
end

-- A request with these field lines.
local function with(lines)
  return "GET / HTTP/1.1\r\n" .. lines .. "\r\n"
end

local function refuses(parse, code, list)
  for _, bytes in ipairs(list) do
    assert.equal(code, parse(bytes).len, ("%q"):format(bytes))
  end
end

describe("http", function()
  describe("reads the RFC's example", function()
    it("of a request", function()
      local head = request(rfc_request)
      assert.equal(#rfc_request, head.len)
      assert.equal("GET", head.method)
      assert.equal("/chat", head.target)
      assert.equal(1, head.minor)
      assert.equal(7, #head.fields)
      assert.same({ name = "Host", value = "server.example.com", id = 4 },
                  head.fields[1])
      assert.same({ name = "Sec-WebSocket-Version", value = "13", id = 10 },
                  head.fields[7])
    end)

    it("of a response", function()
      local head = response(rfc_response)
      assert.equal(#rfc_response, head.len)
      assert.equal(101, head.status)
      assert.equal("Switching Protocols", head.reason)
      assert.equal("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", head.fields[3].value)
    end)
  end)

  it("leaves what stands behind the head alone", function()
    for _, rest in ipairs { "\r\n", "x", "\n\n\n", "GET / HTTP/1.1\r\n",
                            ("\0"):rep(100) } do
      assert.equal(#rfc_request, request(rfc_request .. rest).len)
    end
  end)

  it("asks for more at each byte before the last", function()
    for n = 0, #rfc_request - 1 do
      local result = http.request(rfc_request:sub(1, n))
      assert.equal(0, result.len)
      assert.equal(n, result.scanned)
    end
  end)

  it("gives the same result for each place of a single cut", function()
    local whole = without_counts(http.request(rfc_request))
    for n = 1, #rfc_request - 1 do
      assert.same(whole, without_counts(http.request(rfc_request, { n })))
    end
  end)

  describe("takes of a request line", function()
    it("any method that is a token", function()
      for _, method in ipairs { "HEAD", "OPTIONS", "get", "M-SEARCH",
                                "!#$%&'*+-.^_`|~09AZaz" } do
        assert.equal(method, request(method .. " / HTTP/1.1\r\n\r\n").method)
      end
    end)

    it("any target without whitespace and control bytes", function()
      for _, target in ipairs { "*", "/", "//", "/a?b=c#d", "http://a/b",
                                "a:443", "/\x80\xFF", "/" .. ("x"):rep(99),
                                "/%00%0d%0a" } do
        assert.equal(target,
                     request("GET " .. target .. " HTTP/1.1\r\n\r\n").target)
      end
    end)

    it("HTTP/1.0 and HTTP/1.1", function()
      assert.equal(0, request("GET / HTTP/1.0\r\n\r\n").minor)
      assert.equal(1, request("GET / HTTP/1.1\r\n\r\n").minor)
    end)
  end)

  describe("skips empty lines in front of a request", function()
    it("four at most (2.2)", function()
      for n = 0, 4 do
        local bytes = ("\r\n"):rep(n) .. rfc_request
        local head = request(bytes)
        assert.equal(#bytes, head.len)
        assert.same({ "GET", "/chat", 7 },
                    { head.method, head.target, #head.fields })
        assert.equal("server.example.com", head.fields[1].value)
      end
      for _, n in ipairs { 5, 6, 1000 } do
        local result = request(("\r\n"):rep(n) .. rfc_request)
        assert.equal(bad, result.len)
        assert.equal(10, result.at)
      end
    end)

    it("and waits for one that has not come", function()
      for n = 0, 8 do
        local result = request(("\r\n\r\n\r\n\r\n"):sub(1, n))
        assert.equal(0, result.len)
      end
      assert.equal(bad, request(("\r\n"):rep(5)).len)
    end)

    it("not counting them against its limits", function()
      local bytes = "\r\n\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n"
      local function parse(line, head)
        return request(bytes, { line = line, head = head, field_line = 4 }).len
      end
      assert.equal(#bytes, parse(14, 6))
      assert.equal(too_long, parse(13, 6))
      assert.equal(too_big, parse(14, 5))
    end)

    it("but none in front of a response", function()
      refuses(response, bad, { "\r\n" .. rfc_response, "\r\n", "\r\n\r\n" })
    end)

    it("nor between its lines, which end it", function()
      assert.equal(18, request("GET / HTTP/1.1\r\n\r\nA: b\r\n\r\n").len)
    end)
  end)

  it("takes a status line with and without a reason", function()
    for line, reason in pairs {
      ["HTTP/1.1 200 OK"] = "OK", ["HTTP/1.0 404 "] = "",
      ["HTTP/1.1 100"] = "", ["HTTP/1.1 999 \x80\t\xFF z"] = "\x80\t\xFF z",
      ["HTTP/1.1 200  two"] = " two",
    } do
      local head = response(line .. "\r\n\r\n")
      assert.equal(#line + 4, head.len)
      assert.equal(reason, head.reason)
      assert.equal(tonumber(line:sub(10, 12)), head.status)
    end
  end)

  it("trims the whitespace around a value and keeps that inside", function()
    for sent, value in pairs {
      [""] = "", [" "] = "", ["\t \t"] = "", ["a"] = "a", [" a"] = "a",
      ["\t a\tb \t"] = "a\tb", ["a  b  "] = "a  b", [" \x80\xFF"] = "\x80\xFF",
      [" :"] = ":", ["a:b"] = "a:b",
      [" a\tvalue of more than one vector \t"] =
        "a\tvalue of more than one vector",
    } do
      assert.equal(value, request(with("X:" .. sent .. "\r\n")).fields[1].value)
    end
  end)

  it("knows names in any case and no others", function()
    local names = { "connection", "content-length", "expect", "host",
      "origin", "sec-websocket-accept", "sec-websocket-extensions",
      "sec-websocket-key", "sec-websocket-protocol", "sec-websocket-version",
      "transfer-encoding", "upgrade" }
    local function id(name)
      return request(with(name .. ": x\r\n")).fields[1].id
    end
    for i, name in ipairs(names) do
      assert.equal(i, id(name))
      assert.equal(i, id(name:upper()))
      assert.equal(i, id((name:gsub("%f[%a]%a", string.upper))))
      for at = 1, #name do
        local changed = name:sub(at, at) == "z" and "y" or "z"
        assert.equal(0, id(name:sub(1, at - 1) .. changed .. name:sub(at + 1)))
      end
      assert.equal(0, id(name .. "s"))
      assert.equal(0, id(name:sub(2)))
    end
    for _, name in ipairs { "__index", "__gc", "__metatable", "x" } do
      assert.equal(0, id(name))
    end
  end)

  describe("takes a folded field of a response (5.2)", function()
    local function with_lines(lines)
      return "HTTP/1.1 200 OK\r\n" .. lines .. "\r\n"
    end

    it("for one value, in which its line breaks are blanks", function()
      for sent, value in pairs {
        ["a\r\n b"] = "a   b", ["a\r\n\tb"] = "a  \tb",
        ["a \t\r\n \t b \t"] = "a \t   \t b",
        ["a\r\n b\r\n c"] = "a   b   c", ["\r\n a"] = "a",
        [" \t\r\n \t a\t"] = "a", ["\r\n \r\n\ta"] = "a",
        ["a\r\n "] = "a", ["a\r\n \t \r\n "] = "a", ["\r\n \r\n "] = "",
        ["a\r\n \r\n b"] = "a      b", ["a,\r\n b:c"] = "a,   b:c",
        ["\r\n a\r\n b"] = "a   b", ["\xFF\r\n \x80"] = "\xFF   \x80",
      } do
        local bytes = with_lines("A: x\r\nB:" .. sent .. "\r\nC: y\r\n")
        local head = response(bytes)
        assert.equal(#bytes, head.len, ("%q"):format(sent))
        assert.same({ 3, "x", value, "y" }, { #head.fields,
          head.fields[1].value, head.fields[2].value, head.fields[3].value })
        bytes = with_lines("B:" .. sent .. "\r\n")
        head = response(bytes)
        assert.same({ #bytes, 1, value },
                    { head.len, #head.fields, head.fields[1].value })
      end
    end)

    it("as a list", function()
      local head = response(with_lines("Connection: keep-alive,\r\n upgrade,"
        .. "\r\n\tx \r\n ,\r\n y\r\n"))
      assert.same({ "keep-alive", "upgrade", "x", "y" },
                  http.elements(head.fields[1].value))
    end)

    it("within the limits", function()
      local fold = "A: b\r\n" .. (" c\r\n"):rep(9)
      local bytes = with_lines(fold)
      assert.equal(#bytes, response(bytes, { headers = 1, head = #fold,
                                             field_line = 4 }).len)
      assert.equal(too_big, response(bytes, { headers = 0 }).len)
      assert.equal(too_big, response(bytes, { head = #fold - 1 }).len)
      assert.equal(too_big, response(with_lines("A: b\r\n  cdef\r\n"),
                                     { field_line = 5 }).len)
      assert.equal(too_big, response(with_lines(fold .. "D: e\r\n"),
                                     { headers = 1 }).len)
      assert.equal(too_big, http.response("HTTP/1.1 200 OK\r\nA: b\r\n"
        .. (" c\r\n"):rep(10000)).len)
    end)

    it("only where there is one, and holds what a field may", function()
      local list = { with_lines " A: b\r\n", with_lines " \r\n",
                     with_lines "\t\r\nA: b\r\n" }
      for _, line in ipairs { " a\0", " \127", " a\rb", " \v", "\v", " a\r",
                              "\f a", "\0" } do
        list[#list + 1] = with_lines("A: b\r\n" .. line .. "\r\n")
        list[#list + 1] = with_lines("A: b\r\n c\r\n" .. line .. "\r\n")
      end
      refuses(response, bad, list)
    end)

    it("but none of a request", function()
      refuses(request, bad, { with "A: b\r\n c\r\n", with "A:\r\n\tb\r\n",
                              with "A: b\r\n \r\n" })
    end)
  end)

  it("tells that a response has line breaks without CR", function()
    for _, bytes in ipairs { (rfc_response:gsub("\r", "")),
      (rfc_response:gsub("\r\nConn", "\nConn")),
      rfc_response:sub(1, -3) .. "\n", "HTTP/1.1 101 x\n", "HTTP/\n",
      rfc_response:sub(1, -5) .. "\n\n" } do
      local result = response(bytes)
      assert.same({ bad, true }, { result.len, result.bare_lf })
    end
    for _, bytes in ipairs { "HTTP/1.1 20 x\r\n", "SSH-2.0-x\n", "\n", "x\r\n",
      "HTTP/1.1 200 OK\r\nA b\r\nC: d\n\n", "HTTP/1.1 200 OK\rA: b\r\n",
      "220 mail.example\n", "HTT\n", "{}\n" } do
      local result = response(bytes)
      assert.same({ bad, false }, { result.len, result.bare_lf }, bytes)
    end
  end)

  describe("limits", function()
    it("the start line, at the byte that is too many", function()
      local function line(n)
        return "GET /" .. ("x"):rep(n - 14) .. " HTTP/1.1"
      end
      assert.equal(104, request(line(100) .. "\r\n\r\n", { line = 100 }).len)
      for _, rest in ipairs { "\r\n\r\n", "", "\n", "\r" } do
        local result = request(line(101) .. rest, { line = 100 })
        assert.equal(too_long, result.len)
        assert.equal(101, result.at)
      end
      assert.equal(too_long, response("HTTP/1.1 200 OK\r\n\r\n",
                                      { line = 14 }).len)
      assert.equal(19, response("HTTP/1.1 200 OK\r\n\r\n", { line = 15 }).len)
    end)

    it("a field line, at the byte that is too many", function()
      local start = "GET / HTTP/1.1\r\n"
      local function line(n) return "Name: " .. ("x"):rep(n - 6) end
      for _, before in ipairs { "", "A: b\r\n" } do
        local bytes = start .. before .. line(50) .. "\r\n\r\n"
        assert.equal(#bytes, request(bytes, { field_line = 50 }).len)
        local result = request(start .. before .. line(51) .. "\r\n\r\n",
                               { field_line = 50 })
        assert.equal(too_big, result.len)
        assert.equal(#start + #before + 51, result.at)
      end
    end)

    it("the field lines in all, at the byte that is too many", function()
      local fields = "A: b\r\nCc: dd\r\n"
      local start = "GET / HTTP/1.1\r\n"
      local bytes = start .. fields .. "\r\n"
      assert.equal(#bytes, request(bytes, { head = #fields }).len)
      local result = request(bytes, { head = #fields - 1 })
      assert.equal(too_big, result.len)
      assert.equal(#start + #fields, result.at)
    end)

    it("the number of fields: 100 are the usual limit (BI-30)", function()
      for _, n in ipairs { 99, 100 } do
        local head = request(with(("X: y\r\n"):rep(n)))
        assert.equal(n, #head.fields)
      end
      for _, n in ipairs { 101, 2000 } do
        local bytes = with(("X: y\r\n"):rep(n) .. "Upgrade: websocket\r\n")
        local result = request(bytes)
        assert.equal(too_big, result.len)
        assert.equal(16 + 600 + 1, result.at)
      end
      local many = with(("X: y\r\n"):rep(100000) .. "Upgrade: websocket\r\n")
      assert.equal(too_big, http.request(many).len)
      assert.equal(too_big, http.request(many, 4096).len)
    end)

    it("fields where none are allowed", function()
      assert.equal(18, request(with(""), { headers = 0, head = 0 }).len)
      assert.equal(too_big, request(with("A: b\r\n"), { headers = 0 }).len)
    end)

    it("before grammar: a line too long is just that", function()
      assert.equal(too_long, request(("\0"):rep(200), { line = 100 }).len)
      assert.equal(too_long, request(("\r"):rep(200), { line = 100 }).len)
      assert.equal(too_big, request("GET / HTTP/1.1\r\n" .. ("\r"):rep(200),
                                    { field_line = 100 }).len)
    end)

    it("hold while no line ever ends (BI-32)", function()
      assert.equal(too_long, http.request(("x"):rep(9000), 100).len)
      assert.equal(8193, http.request(("x"):rep(9000), 1).at)
      local line = http.request("GET / HTTP/1.1\r\n" .. ("x"):rep(9000), 1)
      assert.equal(too_big, line.len)
      assert.equal(16 + 8193, line.at)
    end)

    it("hold while lines come without end (BI-32)", function()
      local lines = "GET / HTTP/1.1\r\n" .. ("X: y\r\n"):rep(10000)
      local result = http.request(lines, 1, { headers = 100000 })
      assert.equal(too_big, result.len)
      assert.equal(16 + 32769, result.at)
    end)

    it("of a name: 65,535 bytes, whatever a line may hold", function()
      local limits = { field_line = 1 << 20, head = 1 << 20 }
      local function head(n) return with(("n"):rep(n) .. ": v\r\n") end
      assert.equal("v", http.request(head(65535), 0, limits).fields[1].value)
      assert.equal(too_big, http.request(head(65536), 0, limits).len)
    end)
  end)

  it("scans 32 KiB that come one byte at a time once (BI-31)", function()
    local fields = {}
    for i = 1, 99 do fields[i] = ("X-%d: %s\r\n"):format(i, ("v"):rep(321)) end
    local bytes = with(table.concat(fields))
    local result = http.request(bytes, 1)
    assert.is_true(#bytes > 32000)
    assert.equal(#bytes, result.len)
    assert.equal(#bytes, result.calls)
    assert.equal(#bytes, result.scanned)
  end)

  it("keeps a header that is repeated 100 times as 100 (BI-33)", function()
    local line = "Cookie: " .. ("a=b;"):rep(20) .. "\r\n"
    local head = request(with(line:rep(100)))
    assert.equal(100, #head.fields)
    assert.equal(80, #head.fields[100].value)
  end)

  describe("refuses", function()
    it("a malformed request line (BI-39)", function()
      refuses(request, bad, {
        "\nGET / HTTP/1.1\r\n\r\n", "\r\n\nGET / HTTP/1.1\r\n\r\n",
        "\r\r\nGET / HTTP/1.1\r\n\r\n", "\rGET / HTTP/1.1\r\n\r\n",
        " \r\nGET / HTTP/1.1\r\n\r\n", "\r\n \r\nGET / HTTP/1.1\r\n\r\n",
        "\r\n\0\r\nGET / HTTP/1.1\r\n\r\n", "\n", "\n\n\n\n",
        "\r\n GET / HTTP/1.1\r\n\r\n", " GET / HTTP/1.1\r\n\r\n",
        "GET\r\n\r\n", "GET /\r\n\r\n", "GET / \r\n\r\n",
        "GET HTTP/1.1\r\n\r\n", "GET  HTTP/1.1\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET /  HTTP/1.1\r\n\r\n", "GET / HTTP/1.1 \r\n\r\n",
        "GET\t/ HTTP/1.1\r\n\r\n", "GET /\tHTTP/1.1\r\n\r\n",
        "GET /a b HTTP/1.1\r\n\r\n", "GET /a\tb HTTP/1.1\r\n\r\n",
        "GET /\0 HTTP/1.1\r\n\r\n", "GET /\127 HTTP/1.1\r\n\r\n",
        "GET /\27[31m HTTP/1.1\r\n\r\n", "GET /a\rb HTTP/1.1\r\n\r\n",
        "G\0T / HTTP/1.1\r\n\r\n", "G\xC3\x84T / HTTP/1.1\r\n\r\n",
        "(GET) / HTTP/1.1\r\n\r\n", "GET: / HTTP/1.1\r\n\r\n",
        " / HTTP/1.1\r\n\r\n", "GET /" .. ("x"):rep(40) .. "\0"
          .. ("x"):rep(40) .. " HTTP/1.1\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n", "\22\3\1\2\0\1\n\r\n",
      })
    end)

    it("a malformed version", function()
      refuses(request, bad, {
        "GET / http/1.1\r\n\r\n", "GET / HTTP/1\r\n\r\n",
        "GET / HTTP/11\r\n\r\n", "GET / HTTP/1.10\r\n\r\n",
        "GET / HTTP/01.1\r\n\r\n",
        "GET / HTTP/1,1\r\n\r\n", "GET / HTTP/1.x\r\n\r\n",
        "GET / HTTP/x.1\r\n\r\n", "GET / HTTPS/1.1\r\n\r\n",
        "GET / FTP/1.1\r\n\r\n", "GET / HTTP /1.1\r\n\r\n",
        "GET / HTTP/+1.1\r\n\r\n", "GET / HTTP/1.1\0\r\n\r\n",
      })
    end)

    it("another version than 1.0 and 1.1 (BI-44)", function()
      refuses(request, version, {
        "GET / HTTP/0.9\r\n\r\n", "GET / HTTP/1.2\r\n\r\n",
        "GET / HTTP/1.9\r\n\r\n", "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/3.0\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      })
      assert.equal(version, response("HTTP/2.0 200 OK\r\n\r\n").len)
    end)

    it("a malformed status line", function()
      refuses(response, bad, {
        "\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 \r\n\r\n",
        "HTTP/1.1 2\r\n\r\n", "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n",
        "HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1 000 x\r\n\r\n",
        "HTTP/1.1 -10 x\r\n\r\n", "HTTP/1.1 +10 x\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1\t200 OK\r\n\r\n",
        "HTTP/1.1 200\tOK\r\n\r\n", "HTTP/1.1 20x OK\r\n\r\n",
        "HTTP/1.1 1e2 OK\r\n\r\n", "HTTP/1.1 200 O\0K\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n", "HTTP/1.1 200 \27[0m\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
      })
    end)

    it("a malformed field line (BI-39)", function()
      local list = {}
      for _, line in ipairs {
        "Name : v", "Name\t: v", " Name: v", "\tName: v", ": v", ":", "Name",
        "Na me: v", "Na\0me: v", "Na\127me: v", "N\xC3\xA4me: v", "(Name): v",
        "Na/me: v", "Na=me: v", "Na@me: v", "Na,me: v", "Na;me: v",
        "Na[me: v", "Na{me: v", "\"Name\": v", "Name\\: v", "Na?me: v",
        "Name: a\0", "Name: \0", "Name:\0a", "Name: a\rb", "Name: a\r",
        "Name: \r", "Name: \v", "Name:\va", "Name: a\vb", "Name: a\127b",
        "Name: \27[31m", "Name: \8", "Name: \31", "Name: a\fb",
        "Name: " .. ("x"):rep(30) .. "\1" .. ("x"):rep(30),
        "Name: a\r\n b", "Name: a\r\n\tb", "Name: a\r\n ", "\r", "\0",
      } do
        list[#list + 1] = with(line .. "\r\n")
        list[#list + 1] = with("Host: a\r\n" .. line .. "\r\nX: y\r\n")
      end
      refuses(request, bad, list)
    end)

    it("each control byte at each place of a value (BI-39)", function()
      for n = 1, 40, 3 do
        for at = 1, n do
          local before, after = ("x"):rep(at - 1), ("x"):rep(n - at)
          for _, byte in ipairs { "\0", "\8", "\v", "\r", "\31", "\127" } do
            local bytes = with("A: " .. before .. byte .. after .. "\r\n")
            assert.equal(bad, http.request(bytes).len)
          end
          local bytes = with("A: " .. before .. "\x80\xFF" .. after .. "\r\n")
          assert.equal(#bytes, http.request(bytes).len)
        end
      end
    end)

    it("lines that end in a bare LF or CR (BI-39)", function()
      refuses(request, bad, {
        "GET / HTTP/1.1\n\n", "GET / HTTP/1.1\n\r\n", "GET / HTTP/1.1\r\n\n",
        "GET / HTTP/1.1\r\nA: b\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n\n",
        "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", "\nGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", "GET / HTTP/1.1\r\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n\r\r\n",
        "GET / HTTP/1.1\rA: b\r\n\r\n",
      })
      refuses(response, bad, { "HTTP/1.1 200 OK\n\n", "HTTP/1.1 200\n\r\n" })
    end)

    it("a bad line as soon as it is complete", function()
      local bytes = "GET / HTTP/1.1\r\nA b\r\n"
      assert.equal(#bytes, request(bytes .. "C: d\r\n\r\n").at)
    end)
  end)

  it("judges damaged heads the same however they are cut", function()
    math.randomseed(9112)
    local bytes_of_interest = { "\r", "\n", "\r\n", "\0", " ", "\t", ":", "",
                                "x", "\127", "\xFF", "\r\r\n", "\r\n\r\n" }
    for _ = 1, 3000 do
      local bytes = rfc_request
      for _ = 1, math.random(3) do
        local at = math.random(#bytes)
        bytes = bytes:sub(1, at - 1)
          .. bytes_of_interest[math.random(#bytes_of_interest)]
          .. bytes:sub(at + math.random(0, 1))
      end
      request(bytes, { headers = math.random(5, 9), line = math.random(16, 20),
                       field_line = math.random(35, 50),
                       head = math.random(170, 240) })
    end
  end)

  it("tells tokens from what is none", function()
    for _, s in ipairs { "a", "chat", "v1.chat", "!#$%&'*+-.^_`|~", "0" } do
      assert.is_true(http.is_token(s))
    end
    for _, s in ipairs { "", " ", "a b", "a,b", "a\0", "a\r", "(a)", "\x80",
                         "a;", "\"a\"", "a/b", "a:b", "{a}", "\127" } do
      assert.is_false(http.is_token(s), s)
    end
  end)

  it("lets no application end a line in a value (BI-45)", function()
    for _, s in ipairs { "", "a", "a b", "a\tb", "\x80\xFF", "a, b;c=\"d\"" } do
      assert.is_true(http.is_value(s))
    end
    for _, s in ipairs { "a\r\nB: c", "a\n", "\ra", "a\0", " a", "a ", "\ta",
                         "a\t", "\27[0m", "a\127" } do
      assert.is_false(http.is_value(s), s)
    end
  end)

  describe("lists", function()
    it("are taken apart at commas", function()
      for list, elements in pairs {
        [""] = {}, [" \t"] = {}, [","] = {}, [",, ,\t,"] = {},
        ["a"] = { "a" }, ["a,b"] = { "a", "b" }, [" a , b\t,"] = { "a", "b" },
        [",a,,b,,"] = { "a", "b" }, ["a b, c"] = { "a b", "c" },
        ['a="b,c", d'] = { 'a="b,c"', "d" }, ['"\\",",x'] = { '"\\","', "x" },
        ['"a'] = { '"a' }, ['"a,b'] = { '"a,b' }, ['"\\'] = { '"\\' },
        ['a\\,b'] = { "a\\", "b" }, ['""'] = { '""' },
        ["permessage-deflate; client_max_window_bits"] =
          { "permessage-deflate; client_max_window_bits" },
      } do
        assert.same(elements, http.elements(list), list)
      end
    end)

    it("cost time in proportion to their length (BI-22)", function()
      local n = 1 << 20
      local shapes = {
        { 'a; b="' .. ("\\c"):rep(n), 1 }, { "b" .. (" "):rep(n) .. "x", 1 },
        { (","):rep(n), 0 }, { (" "):rep(n), 0 }, { ("a,"):rep(n), n },
        { ('"'):rep(n), 1 }, { ('"",'):rep(n), n }, { (", "):rep(n) .. "a", 1 },
        { ("a ,"):rep(n), n }, { ("\\"):rep(n), 1 },
      }
      local start = os.clock()
      for _, shape in ipairs(shapes) do
        assert.equal(shape[2], http.count_elements(shape[1]))
      end
      -- 20 MB; anything worse than linear takes hours
      assert.is_true(os.clock() - start < 10)
    end)
  end)
end)
