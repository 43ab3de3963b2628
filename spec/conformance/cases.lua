-- The cases of the conformance suite, sections 1 to 5, 7 and 10, as a list;
-- section 6 is in utf8.lua, section 9 in limits.lua. The fields of a case
-- are described in judge.lua.

local judge = require "spec.conformance.judge"
local frame = judge.frame

local cases, case = judge.cases()

local function part(opcode, payload)
  return frame(opcode, payload, { fin = false })
end

local function close(code, reason)
  return frame("close", code and (">I2"):pack(code) .. (reason or "") or "")
end

local hello = "Hello, world!"
local hello_text = frame("text", hello)
local eight = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
local ways = { false, "frame", "octet" }
local names = { [false] = "", frame = ", frame-wise", octet = ", octet-wise" }

-- 1 Framing
local sizes = { 0, 125, 126, 127, 128, 65535, 65536, 65536 }
for section, kind in ipairs { "text", "binary" } do
  for i, size in ipairs(sizes) do
    local payload = (kind == "text" and "*" or "\xfe"):rep(size)
    case(("1.%d.%d"):format(section, i),
      ("echoes %s of %d octets%s"):format(kind, size,
        i == 8 and ", in pieces of 997" or ""),
      { write = { frame(kind, payload) }, by = i == 8 and 997,
        expect = { { kind, payload } }, within = size >= 65535 and 10 })
  end
end

-- 2 Pings and pongs
local fe125 = ("\xfe"):rep(125)
for i, payload in ipairs { "", hello, eight, fe125 } do
  case("2." .. i, ("answers a ping of %d octets"):format(#payload),
    { write = { frame("ping", payload) }, expect = { { "pong", payload } } })
end
case("2.5", "fails on a ping of 126 octets",
  { write = { frame("ping", fe125 .. "\xfe") }, fail = { 1002 } })
case("2.6", "answers a ping of 125 octets, octet-wise",
  { write = { frame("ping", fe125) }, by = "octet",
    expect = { { "pong", fe125 } }, within = 2 })
case("2.7", "ignores an unsolicited empty pong",
  { write = { frame("pong", ""), close(1000) }, reply = { 1000 } })
case("2.8", "ignores an unsolicited pong with a payload",
  { write = { frame("pong", "unsolicited pong payload"), close(1000) },
    reply = { 1000 } })
case("2.9", "answers the ping behind an unsolicited pong",
  { write = { frame("pong", "unsolicited pong payload"),
    frame("ping", "ping payload") }, expect = { { "pong", "ping payload" } } })
for i, by in ipairs { false, "octet" } do
  local write, expect = {}, {}
  for n = 0, 9 do
    write[#write + 1] = frame("ping", "payload-" .. n)
    expect[#expect + 1] = { "pong", "payload-" .. n }
  end
  case("2." .. i + 9, "answers ten pings in order" .. names[by],
    { write = write, by = by, expect = expect, within = 3 })
end

-- 3 Reserved bits
case("3.1", "fails on RSV3",
  { write = { frame("text", hello, { rsv = 1 }) }, fail = { 1002 } })
for i, by in ipairs(ways) do
  local rsv = i + 1
  case("3." .. rsv, ("echoes what came before, then fails on RSV %d%s")
    :format(rsv, names[by]),
    { write = { hello_text, frame("text", hello, { rsv = rsv }),
      frame("ping") }, by = by, expect = { { "text", hello } },
      fail = { 1002 } })
end
case("3.5", "fails on RSV 5 of a binary frame",
  { write = { frame("binary", eight, { rsv = 5 }) }, fail = { 1002 } })
case("3.6", "fails on RSV 6 of a binary frame",
  { write = { frame("binary", hello, { rsv = 6 }) }, fail = { 1002 } })
case("3.7", "fails on RSV 7 of a close frame",
  { write = { frame("close", "", { rsv = 7 }) }, fail = { 1002 } })

-- 4 Reserved opcodes
for section, first in ipairs { 3, 11 } do
  for i = 1, 5 do
    local opcode = first + i - 1
    local id = ("4.%d.%d"):format(section, i)
    if i <= 2 then
      case(id, "fails on opcode " .. opcode, { fail = { 1002 },
        write = { frame(opcode, i == 2 and "reserved opcode payload" or "") } })
    else
      local by = i == 5 and "octet"
      case(id, ("echoes what came before, then fails on opcode %d%s")
        :format(opcode, names[by]),
        { write = { hello_text, frame(opcode, i > 3 and hello or ""),
          frame("ping") }, by = by, expect = { { "text", hello } },
          fail = { 1002 } })
    end
  end
end

-- 5 Fragmentation
local function three_ways(first, title, fields)
  for i, by in ipairs(ways) do
    local own = { by = by }
    for name, value in pairs(fields) do own[name] = value end
    case("5." .. first + i - 1, title .. names[by], own)
  end
end

local one, two = "fragment1", "fragment2"
local last = frame("continuation", two)
for i, kind in ipairs { "ping", "pong" } do
  case("5." .. i, "fails on a fragmented " .. kind,
    { write = { part(kind, one), last }, fail = { 1002 } })
end
three_ways(3, "echoes text in two fragments",
  { write = { part("text", one), last }, expect = { { "text", one .. two } } })
three_ways(6, "answers a ping between fragments, then echoes",
  { write = { part("text", one), frame("ping", "ping payload"), last },
    expect = { { "pong", "ping payload" }, { "text", one .. two } } })
for i, fin in ipairs { true, false } do
  three_ways(3 * i + 6, "fails on a continuation with FIN = "
    .. (fin and 1 or 0) .. " of nothing",
    { write = { frame("continuation", "non-continuation payload",
      { fin = fin }), hello_text }, fail = { 1002 } })
end
case("5.15", "echoes a message, then fails on a continuation of nothing",
  { write = { part("text", one), last, part("continuation", "fragment3"),
    frame("text", "fragment4") }, expect = { { "text", one .. two } },
    fail = { 1002 } })
for i, fin in ipairs { false, true } do
  local write = {}
  for n = 1, 4, 3 do
    write[n] = frame("continuation", "fragment" .. n, { fin = fin })
    write[n + 1] = part("text", "fragment" .. n + 1)
    write[n + 2] = frame("continuation", "fragment" .. n + 2)
  end
  case("5." .. i + 15, "fails on a message that begins as a continuation with"
    .. " FIN = " .. (fin and 1 or 0), { write = write, fail = { 1002 } })
end
case("5.18", "fails on a text frame inside a message",
  { write = { part("text", one), frame("text", two) }, fail = { 1002 } })
for i, by in ipairs { false, "frame" } do
  case("5." .. i + 18, "answers two pings inside five fragments" .. names[by], {
    steps = function(raw, write)
      write({ part("text", one), part("continuation", two),
        frame("ping", "pongme 1!") }, by)
      raw:expect_frame("pong", "pongme 1!", 1) -- instead of a pause
      write({ part("continuation", "fragment3"),
        part("continuation", "fragment4"), frame("ping", "pongme 2!"),
        frame("continuation", "fragment5") }, by)
    end,
    expect = { { "pong", "pongme 2!" },
      { "text", "fragment1fragment2fragment3fragment4fragment5" } },
  })
end

-- 7 Close handling
case("7.1.1", "echoes, then closes", { write = { frame("text",
  "Hello World!") }, expect = { { "text", "Hello World!" } } })
for i, behind in ipairs { close(), frame("ping"),
  frame("text", "Hello World!") } do
  case("7.1." .. i + 1, ("ignores a %s behind the close frame"):format(
    ({ "second close", "ping", "message" })[i]),
    { write = { close(1000), behind }, reply = { 1000 } })
end
case("7.1.5", "closes inside a fragmented message",
  { write = { part("text", one), close(1000), last }, reply = { 1000 } })
case("7.1.6", "comes to an end when closed behind 256 KiB", {
  write = { frame("text", ("BAsd7&jh23"):rep(26215):sub(1, 262144)),
    frame("text", "Hello World!"), close(1000), frame("ping") },
  informational = true })

case("7.3.1", "answers an empty close", { write = { close() },
  reply = { 1000 } })
case("7.3.2", "answers a close of one octet",
  { write = { frame("close", "a") }, reply = { 1002 }, drop = true })
for i, reason in ipairs { "", "Hello World!", ("*"):rep(123) } do
  case("7.3." .. i + 2, ("answers a close with a reason of %d octets")
    :format(#reason), { write = { close(1000, reason) }, reply = { 1000 } })
end
case("7.3.6", "answers a close of 126 octets", { reply = { 1002 },
  write = { close(1000, ("*"):rep(124)) }, drop = true })
case("7.5.1", "answers a close whose reason is not UTF-8",
  { write = { close(1000, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
    .. "\xed\xa0\x80edited") },
    reply = { 1002, 1007 }, drop = true })

for i, code in ipairs { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011,
  3000, 3999, 4000, 4999 } do
  case("7.7." .. i, "answers close code " .. code,
    { write = { close(code) }, reply = { 1000, code } })
end
for i, code in ipairs { 0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999 } do
  case("7.9." .. i, "refuses close code " .. code,
    { write = { close(code) }, reply = { 1002 }, drop = true })
end
for i, code in ipairs { 5000, 65535 } do
  case("7.13." .. i, "comes to an end on close code " .. code,
    { write = { close(code) }, informational = true })
end

-- 10 Auto-fragmentation
local auto, stars = {}, ("*"):rep(65536)
for from = 1, #stars, 1300 do
  auto[#auto + 1] = frame(from == 1 and "text" or "continuation",
    stars:sub(from, from + 1299), { fin = from + 1300 > #stars })
end
case("10.1.1", "echoes text of 65536 octets in 51 fragments",
  { write = auto, expect = { { "text", stars } }, within = 10 })

return cases
