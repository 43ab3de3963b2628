-- Writes the seeds of the fuzz targets: lua5.4 fuzz/seeds.lua <directory>
--
-- What has broken WebSocket servers before, as the first inputs of the targets
-- that it concerns. The rows are those of spec/bad_inputs (BI-...). How a
-- target reads the bytes in front of its input is said in its file.

local directory = assert(arg[1], "a directory is missing")
local numbers, made = {}, {}

local function seed(target, ...)
  local path = directory .. "/" .. target
  if not made[target] then
    os.execute(("mkdir -p '%s'"):format(path))
    made[target] = true
  end
  for _, bytes in ipairs { ... } do
    numbers[target] = (numbers[target] or 0) + 1
    local name = ("%s/%03d"):format(path, numbers[target])
    local file = assert(io.open(name, "wb"))
    assert(file:write(bytes))
    file:close()
  end
end

-- Frames. mask: 4 bytes, false for none; a mask of zeros lets the payload be
-- read (and changed) as it is.
local zeros = "\0\0\0\0"

local function masked(payload, mask)
  local i = 0
  return (payload:gsub(".", function(c)
    i = i + 1
    return string.char(c:byte() ~ mask:byte((i - 1) % 4 + 1))
  end))
end

-- first: FIN, reserved bits and opcode; len: as declared.
local function frame(first, payload, mask, len, form)
  payload = payload or ""
  if mask == nil then mask = zeros end
  len = len or #payload
  form = form or len >= 0 and (len < 126 and 7 or len < 65536 and 16) or 64
  local bit = mask and 128 or 0
  local head = form == 7 and ("BB"):pack(first, bit | len)
    or form == 16 and (">BBI2"):pack(first, bit | 126, len)
    or (">BBi8"):pack(first, bit | 127, len)
  return head .. (mask or "") .. (mask and masked(payload, mask) or payload)
end

local function text(payload, mask) return frame(0x81, payload, mask) end
local function ping(payload, mask) return frame(0x89, payload, mask) end
local function close(code, reason, mask)
  return frame(0x88, (">I2"):pack(code) .. (reason or ""), mask)
end

-- The parameters in front: protocol.c has flags, limits, seed, fault; wslay.c
-- the flags alone. No limits, fed in pieces, read straight in, with a pool.
local function stream(bytes, client)
  local role = client and 1 or 0
  seed("protocol", ("BB>I2B"):pack(12 | role, 0, 0x1234, 0) .. bytes,
    ("BB>I2B"):pack(role, 0x0d, 1, 0) .. bytes)
  seed("wslay", string.char(role) .. bytes)
  if not client then
    -- upgraded; then with whims, a moody kernel and small limits
    seed("engine", "\1\0\0\0\0\0\0\0" .. bytes,
      "\1\x7c\x12\x34\x9a\x5b\2\0" .. bytes,
      "\x81\0\0\1\0\0\1\5" .. bytes)
  end
end

local function streams()
  local list = {}
  local function add(...) list[#list + 1] = table.concat { ... } end
  add(text "hello", ping "p", frame(0x8A, "q"), frame(0x82, "\0\xff"),
    close(1000, "bye"), text "late")
  add(text("hello", "\x37\xfa\x21\x3d"))
  add(frame(0x01, "a"), ping "", frame(0x00, "b"), frame(0x80, "c"))
  for _, n in ipairs { 125, 126, 127, 128, 300, 1000, 2000 } do
    add(text(("x"):rep(n)), frame(0x82, ("y"):rep(n), "\1\2\3\4"))
    add(frame(0x02, ("x"):rep(n)), frame(0x00, ("y"):rep(n)), frame(0x80))
  end
  -- BI-01: lengths that wrap
  for _, len in ipairs { (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32,
    math.maxinteger, math.mininteger, -1 } do
    for _, first in ipairs { 0x81, 0x82, 0x80, 0x89 } do
      add(frame(0x01, "a"), frame(first, "x", nil, len))
      add(frame(first, "x", nil, len))
    end
  end
  for _, len in ipairs { 0, 1, 125, 126, 65535 } do -- not in shortest form
    add(frame(0x82, "x", nil, len, 16))
    add(frame(0x82, "x", nil, len, 64))
  end
  -- BI-04: fragments, and empty ones
  add(frame(0x01, "a"), frame(0x00, "b"):rep(20), frame(0x80, "c"))
  add(frame(0x02), frame(0x00):rep(40), frame(0x80))
  -- BI-09, BI-10: closes
  add(close(1000), close(1000))
  add(frame(0x01, "a"), close(1001), frame(0x80, "b"))
  add(frame(0x88))
  add(frame(0x88, "\3"))
  for _, code in ipairs { 0, 999, 1000, 1003, 1004, 1005, 1006, 1007, 1014,
    1015, 1016, 1100, 2000, 2999, 3000, 4999, 5000, 65535 } do
    add(close(code, "because"))
  end
  add(close(1000, "\xff"), "")
  add(close(1000, ("r"):rep(123)))
  add(frame(0x88, ("r"):rep(126), nil, 126))
  -- BI-11: text that is not UTF-8, at the end of a frame too
  for _, bad in ipairs { "\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xe2\x82",
    "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xff",
    "\xf0\x9f\x98" } do
    add(text("kosme" .. bad .. "edited"))
    add(frame(0x01, "kosme" .. bad), frame(0x80, "\x80"))
  end
  -- BI-12: reserved bits and opcodes
  for _, first in ipairs { 0xC1, 0xA1, 0x91, 0x40, 0xC9, 0x83, 0x87, 0x8B,
    0x8F, 0x09, 0x08 } do
    add(frame(0x01, "a"), frame(first, "x"))
    add(frame(first, "x"))
  end
  -- BI-13: the wrong masking
  add(text("hello", false))
  add(ping("hello", false))
  return list
end

for _, bytes in ipairs(streams()) do
  stream(bytes)
  seed("frame", bytes:sub(1, 100))
end
for _, mask in ipairs { false, zeros } do
  stream(text("hello", mask) .. ping("p", mask) .. frame(0x01, "a", mask)
    .. frame(0x80, "b", mask) .. close(1000, "bye", mask), true)
end

-- permessage-deflate. RFC 7692 7.2.3: "Hello" in one block, again with the
-- context kept, stored, with BFINAL, and in two blocks; BI-20, BI-24: nothing,
-- the one byte, cut short, garbage, a bomb.
local hello = "\xf2\x48\xcd\xc9\xc9\x07\0"
local bomb = "\xec\xc1\1\1\0\0\0\x80\x90\xfe\xaf\xee\x08\x0a" .. ("\0"):rep(60)
for _, data in ipairs { hello, "\xf2\0\x11\0\0",
  "\0\5\0\xfa\xff\x48\x65\x6c\x6c\x6f\0", "\xf3\x48\xcd\xc9\xc9\x07\0\0",
  "\xf2\x48\5\0\0\0\xff\xff\xca\xc9\xc9\7\0", "", "\0", hello:sub(1, 4),
  hello .. "\xff", bomb, bomb:sub(1, 20), "\3\0" .. hello } do
  -- inflate.c: what else to do, window and limits, room, a seed for the cuts
  seed("inflate", "\0\7\x40\x12\x34" .. data, "\1\x37\0\0\1" .. data)
  for _, flags in ipairs { 32, 96, 108, 160 } do
    seed("protocol", ("BB>I2B"):pack(flags, 0, 0x1234, 0)
      .. frame(0xC1, hello) .. frame(0x42, data:sub(1, 3)) .. ping "p"
      .. frame(0x80, data:sub(4)) .. frame(0xC1, data))
  end
  seed("engine", "\1\x0c\x12\x34\0\0\2\0" .. frame(0xC1, hello)
    .. frame(0xC2, data) .. close(1000))
end

-- extension.c: two wishes, and a list. BI-21 to BI-23.
for _, list in ipairs { "permessage-deflate",
  "permessage-deflate; client_max_window_bits",
  "permessage-deflate; server_max_window_bits=10, permessage-deflate",
  "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
  "x-webkit-deflate-frame, foo; a=b; c=\"d;,e\", permessage-deflate",
  "permessage-deflate, permessage-deflate\npermessage-deflate",
  "permessage-deflate; b=\"\\c\\c\\c", "permessage-deflate; =8", ",,, ,\t,",
  "permessage-deflate; unknown", "__index; __gc", "PERMESSAGE-DEFLATE" } do
  seed("extension", "\0\0" .. list, "\3\6" .. list, "\x1f\2" .. list)
end
for _, bits in ipairs { "", "7", "8", "9", "15", "16", "99", "-1", "+8", "08",
  "0x9", "\"8\"", "\"10\"", "10; server_max_window_bits=10" } do
  seed("extension", "\1\1permessage-deflate; server_max_window_bits=" .. bits,
    "\0\6permessage-deflate; client_max_window_bits=" .. bits)
end

-- UTF-8: the classes of BI-11 at the ends of vectors.
for _, piece in ipairs { "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
  "\x80", "\xc0\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
  "\xf5", "\xf0\x8f\xbf\xbf", "\xef\xbf\xbf" } do
  for _, before in ipairs { 0, 15, 31, 63 } do
    seed("utf8", ("\x12\x34"):rep(1) .. ("a"):rep(before) .. piece
      .. ("a"):rep(30))
  end
  seed("utf8", "\0\0" .. piece:rep(40))
end

-- HTTP. http.c has flags, a seed for the cuts (2 bytes) and the limit of
-- fields in front.
local key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
local upgrade = { "Upgrade: websocket", "Connection: Upgrade", key,
  "Sec-WebSocket-Version: 13" }

local function head(...)
  return table.concat({ ... }, "\r\n") .. "\r\n\r\n"
end

local function request(bytes)
  seed("http", "\0\x12\x34\x28" .. bytes)
  -- engine.c has 8 bytes of parameters
  seed("engine", "\6\0\0\0\0\0\0\0" .. bytes,
    "\6\0\x12\x34\x77\x55\2\0" .. bytes)
end

local function response(bytes)
  seed("http", "\1\x12\x34\x28" .. bytes)
end

local function upgrading(...)
  return head("GET /ws?a=b HTTP/1.1", "Host: a:80", upgrade[1], upgrade[2],
    upgrade[3], upgrade[4], ...)
end

request(upgrading())
for _, lines in ipairs {
  { "Origin: http://a" }, { "Sec-WebSocket-Protocol: a, b", "X: y" },
  { "Sec-WebSocket-Protocol: ,a,, b ,\t", "Sec-WebSocket-Protocol: c" },
  { "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits" },
  { "Content-Length: 5" }, { "Transfer-Encoding: chunked" }, { key },
  { "Sec-WebSocket-Version: 8" }, { "Host: b" }, { "Expect: 100-continue" },
  { "Upgrade: h2c" }, { "Connection: close" }, { "Origin: null" },
  { "Sec-WebSocket-Protocol: \"a\\\", b" } } do
  request(upgrading(table.unpack(lines)))
end
-- BI-19, BI-41, BI-44: upgrades that are none
request(head("GET / HTTP/1.1", "Host: a", "Upgrade: websocket"))
request(head("GET / HTTP/1.0", "Host: a", table.unpack(upgrade)))
request(head("GET / HTTP/2.0", "Host: a", table.unpack(upgrade)))
request(head("POST / HTTP/1.1", "Host: a", table.unpack(upgrade)))
request(head("GET / HTTP/1.1", "Host: a", "Upgrade: foo"))
request(head("GET / HTTP/1.1", "Host: a", "Connection: keep-alive"):rep(2))
request(head("HEAD / HTTP/1.0"))
-- BI-30 to BI-33: too much
request(head("GET / HTTP/1.1", "Host: a", ("X: y\r\n"):rep(41) .. "Z: z"))
request("GET /" .. ("a"):rep(300) .. " HTTP/1.1\r\nX: " .. ("b"):rep(300))
-- BI-37, BI-38: the length of the body
for _, length in ipairs { "-1", "+5", "0x5", "", "5", "5,5", "5, 6", "5 ",
  "9223372036854775808", "18446744073709551616" } do
  request(head("POST / HTTP/1.1", "Host: a", "Content-Length: " .. length)
    .. "hello")
end
for _, coding in ipairs { "chunked", "xchunked", "chunked, identity",
  "gzip, chunked", "CHUNKED", "\tchunked", "\vchunked", "chunked, chunked" } do
  request(head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: " .. coding)
    .. "3\r\nabc\r\n0\r\n\r\n")
end
-- BI-39: the grammar of fields
for _, line in ipairs { "A : b", ": b", " A: b", "A: b\r\n c", "A: \0", "A: \r",
  "A: \v", "A: \127", "\xc3\xa4: b", "A:b ", "A:\t b\t", "A:", "A",
  "A: b\n" } do
  request(head("GET / HTTP/1.1", "Host: a", line, "C: d"))
end
-- BI-42: Host and target
for _, host in ipairs { "", "a@b", "a/b", "[::1", "[::1]", "[::1]:80",
  "a:99999",
  "a:", "\0", "\xc3\xa4", "a..b", "a.", "1.2.3.4:5", "*.a", "[fe80::1%25]",
  ("a"):rep(256) } do
  request(head("GET / HTTP/1.1", "Host: " .. host))
  seed("origin", "\0\5" .. host .. "*.a.b", "\0\0" .. host)
  seed("url", "ws://" .. host .. "/p?q", "wss://" .. host)
end
for _, target in ipairs { "http://a/", "http://b/x", "ws://a?x", "*", "a:80",
  "/#f", "/%00", "//a", "https://a", "HTTP://A/", "/?", "?x", "http://a:80/",
  "ws://a.:/" } do
  request(head("GET " .. target .. " HTTP/1.1", "Host: a"))
end
for _, line in ipairs { "OPTIONS *", "OPTIONS http://a", "CONNECT a:443",
  "CONNECT /", "OPTIONS *?", "GET *" } do
  request(head(line .. " HTTP/1.1", "Host: a"))
end
-- BI-43: empty lines in front
for _, blank in ipairs { "\r\n", ("\r\n"):rep(4), ("\r\n"):rep(5), "\n",
  "\r\n\n" } do
  request(blank .. upgrading())
  request(head("POST / HTTP/1.1", "Host: a", "Content-Length: 1") .. "x"
    .. blank .. upgrading())
end
response(head("HTTP/1.1 101 Switching Protocols", upgrade[1], upgrade[2],
  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
for _, line in ipairs { "HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.0 404 No\tway",
  "HTTP/1.1 099 x", "HTTP/1.1 20 x", "HTTP/1.1 2000", "HTTP/3.0 200 x",
  "HTTP/1.1  200 x", "http/1.1 200 x" } do
  response(head(line, "A: b"))
end

-- answer.c: the length of what was offered, that, and the answer, in which
-- "@" is the right value.
for _, lines in ipairs {
  {}, { "Sec-WebSocket-Protocol: b" }, { "Sec-WebSocket-Protocol: d" },
  { "Sec-WebSocket-Protocol: a, b" }, { "Sec-WebSocket-Protocol: B" },
  { "Sec-WebSocket-Extensions: permessage-deflate" },
  { "Sec-WebSocket-Accept: @" }, { "Upgrade: x" } } do
  seed("answer", "\7a, b, c" .. head("HTTP/1.1 101 x", upgrade[1],
    "Connection: keep-alive, upgrade", "Sec-WebSocket-Accept: @",
    table.unpack(lines)))
end
seed("answer", "\1a/path?query", "\0/p")

-- reply.c: a seed for the cuts (2 bytes) in front.
for _, answer in ipairs {
  head("HTTP/1.1 101 x", upgrade[1], upgrade[2]) .. "\x81\1a",
  head("HTTP/1.1 102 x", "A: b") .. head("HTTP/1.1 204 No", "A: b"),
  head("HTTP/1.0 200 Connection established") .. "\x16\3\1",
  head("HTTP/1.1 407 No", "Content-Length: 5") .. "hello, more",
  head("HTTP/1.1 403 No", "Content-Length: x", "A: b\r\n c") .. "half",
  head("HTTP/1.1 403 No", "Transfer-Encoding: chunked")
    .. "3\r\nabc\r\n0\r\n\r\n",
  head("HTTP/1.1 403 No", "Transfer-Encoding: chunked") .. "1\r\naa",
  head("HTTP/1.1 403 No") .. ("x"):rep(1030),
  head("HTTP/1.1 100 x"):rep(17), "HTTP/1.1 200 x\n\n", "SSH-2.0\r\n\r\n",
} do
  seed("reply", "\x12\x34" .. answer)
end

-- body.c: a seed for the cuts (2 bytes) and a limit in front. BI-35, BI-36.
for _, body in ipairs { "0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n",
  "a;x=y\r\n0123456789\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n", "\n", "g\r\n",
  "0x1\r\n",
  "+1\r\nx\r\n", "-1\r\n", " 1\r\n", "1 \r\n", "1\nx\n", "1;a\n\r\n",
  "ffffffffffffffff\r\n", "10000000000000000\r\n", "00000000000000001\r\nx",
  "7fffffffffffffff\r\n", "1\r\nxx", "0\r\n: y\r\n\r\n", "0\r\nX : y\r\n\r\n",
  "0\r\nX: a\0b\r\n\r\n", "1;\"a\r\nb\"\r\nx\r\n0\r\n\r\n",
  "18446744073709551615", "18446744073709551616", "12345",
  ("1;eee\r\nx\r\n"):rep(30) .. "0\r\n\r\n" } do
  seed("body", "\x12\x34\0" .. body, "\0\1\5" .. body)
end

-- Two texts, the length of the first in front. BI-55.
for _, pair in ipairs { { "https://a.b", "https://*.b" },
  { "https://a.b", "https://a.b:443" }, { "HTTP://A.b:80", "http://a.B" },
  { "null", "null" }, { "http://a.b.", "http://a.b" }, { "file://", "file://" },
  { "http://a.evil", "http://a" }, { "http://evila.b", "http://*.a.b" },
  { "http://a@b", "http://b" }, { "http://[::1]:80", "http://[::1]" },
  { "http://a:080", "http://a" }, { "http://a/", "http://a" },
  { "ws://a", "a" }, { "https", "a.b:443" }, { "a.b", "*.b:80" } } do
  seed("origin", (">I2"):pack(#pair[1]) .. pair[1] .. pair[2])
end

seed("url", "ws+unix:/run/a.sock:/path?q", "ws+unix:///run/a.sock", "ws+unix::",
  "WS://a", "ws://a:0", "ws://a:65536/", "ws://a?q", "ws://a/#f",
  "wss://[::1]:1/", "ws://[fe80::1%25eth0]:1/", "ws://[fe80::1%eth0]",
  "ws://a:/",
  "http://u:p%20@a:3128/", "u@[::1]:1", "http://%3a:x@a", "https://a",
  "socks5://a", ".a.test,10.0.0.0/8 *.b:80", "[::1]:80,*", "::/64",
  "http://a", "ws:///", "ws://a b/", "ws://u:p@a/")

-- The depth in front.
for _, json in ipairs { '{"id":1,"connect":{"data":{"a":[1,-2.5e+3,true]}}}',
  '"\\u00e9\\ud83d\\ude00\\ud800"', "[[[[]]]]", '{"a":1},"x":{', "[1,]",
  "01", "1e", "NaN", '{"a":1,"a":2}', " [ ] ", '"\\', "{}{}", "nul" } do
  seed("json", "\64" .. json, "\1" .. json)
end

-- messagepack.c: values, or a record with its length in front.
for _, values in ipairs { "\x93\1\xff\xa1a", "\xc0\xc2\xc3\xc1",
  "\xcc\x80\xcd\1\0\xce\0\1\0\0\xcf\x80\0\0\0\0\0\0\0",
  "\xd0\x80\xd1\x80\0\xd2\x80\0\0\0\xd3\x80\0\0\0\0\0\0\0",
  "\xca\x7f\xc0\0\0\xcb\x7f\xf8\0\0\0\0\0\0", "\xd4\5a", "\xde\0\1",
  "\xc4\1a\xc5\0\1a\xc6\0\0\0\1a", "\xd9\1a\xda\0\1a\xdb\0\0\0\1a",
  "\xdb\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff",
  "\x7f\xe0\x80\x81\xa0\xbf", "\xdc\0\2\1\2\xdd\0\0\0\1\xc0",
  "\xde\0\0\xdf\0\0\0\0",
  "\xd5\1ab\xd6\1abcd", "\xc7\1\1a", "\xc9\xff\xff\xff\xff\1", "\xcc", "\xcd\1",
  "\xca\xff\xc0\0\0\xcb\x80\0\0\0\0\0\0\0", "\xcb\x7f\xf0\0\0\0\0\0", "\xd9",
  "\xd9\x20" .. ("a"):rep(32), "\xda\1\0" .. ("a"):rep(256), "\xa2\xff",
  "\xcd\0\x7f\xce\0\0\xff\xff\xcf\0\0\0\0\xff\xff\xff\xff",
  "\xd1\xff\xdf\xd2\xff\xff\x7f\xff",
  "\xd3\xff\xff\xff\xff\x7f\xff\xff\xff",
  "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff" } do
  seed("messagepack", "\0" .. values)
end
for _, record in ipairs { "\x95\1\x80\xa17\xa1S\x92\1\2",
  "\x96\1\x80\xc0\xa1S\x90\x90", "\x96\1\x80\xa17\xa1S\x91\1\x91\xa1s",
  "\x95\1\x80\xa0\xa1S\x90", "\x95\1\x80\xa17\xbfS", "\x91\6",
  "\x95\1\x80\xa17\xda\0\x80" .. ("S"):rep(128) .. "\x90", "", "\x94\1\x80",
  "\x95\1\x81\xa1h\xa1v\xc0\xa1S\x90", "\x95\1\x80\xc0\xa0\x90",
  "\x95\1\xc0\xc0\xa1S\x90",
  "\x95\1\x80\xc0\xa1S\xdc\0\1\1", "\x95\2\x80\xa17\xa1S\x90",
  "\x97\1\x80\xc0\xa1S\x90\x90\x90",
  "\x95\1\x80\xc0\xa1S\x91", "\x95\1\x80\xd9\1" .. "7\xd9\1S\x91\xa1s",
  "\x95\xcc\1\x80\xc0\xa1S\x90" } do
  local n = #record
  seed("messagepack", "\1" .. (n < 128 and string.char(n)
    or string.char(n & 127 | 128, n >> 7)) .. record)
end

-- resp.c: what it is (1 byte) and a seed for the cuts (2 bytes) in front.
for _, bytes in ipairs { "+OK\r\n", "-ERR no\r\n:12\r\n$-1\r\n*-1\r\n",
  "*3\r\n$7\r\nmessage\r\n$8\r\nevws:t:a\r\n$5\r\nhello\r\n",
  "*5\r\n$5\r\nslave\r\n$1\r\nx\r\n:1\r\n$9\r\nconnected\r\n:0\r\n",
  "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", ("*1\r\n"):rep(9),
  "$1099511627776\r\nxxxx", "*2147483648\r\n", "HTTP/1.1 400\r\n\r\n",
  "*3\r\n:0\r\n$0\r\n\r\n+a\r\n:-9223372036854775808\r\n",
  ":9223372036854775808\r\n", ":\r\n", ":1x\r\n", "$x\r\n", "$-2\r\n",
  "*-2\r\n", "$3\r\nabcd\r\n", "+\r\n-\r\n", "\r\n", "\0", "_\r\n#t\r\n",
  ",1.5\r\n,inf\r\n(12345678901234567890\r\n", "%1\r\n+a\r\n:1\r\n",
  "~1\r\n:1\r\n>2\r\n+message\r\n+m\r\n", "=8\r\ntxt:abcd\r\n",
  "|1\r\n+a\r\n+b\r\n:1\r\n", "$-1\r\n:1\r\n$2\r\nx",
  "$300\r\n" .. ("x"):rep(300) .. "\r\n" } do
  seed("resp", "\2\x12\x34" .. bytes)
  seed("resp", "\3\0\1" .. bytes:rep(3))
end
local node = ("\1"):rep(8)
for _, bytes in ipairs { "hello", "\xff", "\0evw\0" .. node .. "text",
  "\0evw\1" .. node .. "\xff", "\0evw\2" .. node .. "\0\1" .. node .. node,
  "\0evw\4" .. node .. node .. "\4k3f9m", "\0evw\8" .. node .. "\0\4metam",
  "\0evw\15" .. node .. "\0\1" .. node .. node .. node .. "\1e\0\1mx",
  "", "\0evw", "\0evw\0", "\0evw\16" .. node .. "later", "\0evw\0" .. node,
  "\0evw\2" .. node .. "\0\0none", "\0evw\2" .. node .. "\0\3" .. node,
  "\0evw\2" .. node .. "\0", "\0evw\2" .. node .. "\0\2" .. node .. node
    .. ("\2"):rep(16) .. "m", "\0evw\4" .. node .. node,
  "\0evw\4" .. node .. node .. "\9e", "\0evw\4" .. node .. node .. "\0m",
  "\0evw\8" .. node .. "\0\9m", "\0evw\8" .. node .. "\0\0m",
  "\0evw\0" .. node .. "\xed\xa0\x80", "\xf0\x9f\x98\x80", "\xe2\x82",
  "\xf4\x90\x80\x80", "\0evw\0" .. node .. "\xc3\xa4\xf0\x9f\x98\x80" } do
  seed("resp", "\0\0\0" .. bytes)
end
for _, url in ipairs { "redis://localhost", "redis+unix:/run/r.sock?db=3",
  "rediss://ann:p%40w@[::1]:7000/12", "redis+unix://u:p@/a%20b",
  "", "redis://", "redis:", "REDIS://A", "redis://a:0", "redis://a:65536",
  "redis://a:", "redis://a:x", "redis://a/", "redis://a/x", "redis://a/1/2",
  "redis://a/99999999999", "redis://a?db=1", "redis://a#f", "redis://[::1",
  "redis://[::1]x", "redis://[1.2.3.4]", "redis://a b", "redis://@a",
  "redis://:p@a", "redis://u@a", "redis://u:p:q@a", "redis://u%@a",
  "redis://u%4@a", "redis://%00:%ff@a", "redis://u/p@a", "redis://-a",
  "redis://a..b", "redis+unix:", "redis+unix:relative", "redis+unix:/a?db=",
  "redis+unix:/a?db=x", "redis+unix:/a?x=1", "redis+unix:/a?db=1&x",
  "redis+unix:/a%00b", "redis+unix://p@/a", "redis+unix://host/a",
  "redis+unix:/" .. ("a"):rep(120), "http://a", "localhost:6379" } do
  seed("resp", "\1\0\0" .. url)
end
