-- Section 6 of the conformance suite: text that is UTF-8 and text that is
-- not. The fields of a case are those of judge.lua.

local judge = require "spec.conformance.judge"
local frame = judge.frame

local kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5" -- "kosme"
local cases, case = judge.cases()

local function hex(digits)
  return (digits:gsub("%x%x", function(h)
    return string.char(tonumber(h, 16))
  end))
end

-- One message in the fragments given.
local function message(fragments)
  local frames = {}
  for i, payload in ipairs(fragments) do
    frames[i] = frame(i == 1 and "text" or "continuation", payload,
      { fin = i == #fragments })
  end
  return frames
end

-- One octet a frame, and an empty last one.
local function octets(text)
  local list = {}
  for octet in text:gmatch(".") do list[#list + 1] = octet end
  list[#list + 1] = ""
  return message(list)
end

local function valid(id, title, frames, text)
  case(id, "echoes " .. title, { write = frames,
    expect = { { "text", text } } })
end

valid("6.1.1", "empty text", { frame("text", "") }, "")
valid("6.1.2", "three empty fragments", message { "", "", "" }, "")
valid("6.1.3", "a fragment between two empty ones",
  message { "", "middle frame payload", "" }, "middle frame payload")
local umlauts = "Hello-µ@ßöäüàá-UTF-8!!"
valid("6.2.1", "UTF-8 in one frame", { frame("text", umlauts) }, umlauts)
valid("6.2.2", "UTF-8 in two frames",
  message { "Hello-µ@ßöä", "üàá-UTF-8!!" }, umlauts)
valid("6.2.3", "UTF-8 in frames of one octet", octets(umlauts), umlauts)
valid("6.2.4", "Greek in frames of one octet", octets(kosme), kosme)

local surrogate = kosme .. "\xed\xa0\x80edited"
case("6.3.1", "fails on a surrogate",
  { write = { frame("text", surrogate) }, fail = { 1007 } })
case("6.3.2", "fails on a surrogate in frames of one octet",
  { write = octets(surrogate), fail = { 1007 } })

-- Fail fast: the third part is never sent, so the failure must be the
-- answer to the second; the first alone must not be one.
local too_high = kosme .. "\xf4\x90\x80\x80edited"
local function fail_fast(id, title, steps)
  case(id, "fails fast on " .. title, { fail = { 1007 }, steps = steps })
end
local function in_frames(first, second)
  local text = too_high:sub(first + 1)
  local frames = message { too_high:sub(1, first), text:sub(1, second),
    text:sub(second + 1) }
  return function(raw, write)
    write { frames[1] }
    raw:expect_silence(10)
    write { frames[2] }
  end
end
local function in_pieces(first, second)
  return function(raw, _, encode)
    local bytes = encode(frame("text", too_high, { fin = false }))
    local cut = #bytes - #too_high + first
    raw:send(bytes:sub(1, cut)):expect_silence(10)
    raw:send(bytes:sub(cut + 1, cut + second))
  end
end
fail_fast("6.4.1", "F4 90 80 80 in a second frame", in_frames(11, 4))
fail_fast("6.4.2", "90 after F4, the last octet of a frame", in_frames(12, 1))
fail_fast("6.4.3", "F4 90 80 80 in the middle of a frame", in_pieces(11, 4))
fail_fast("6.4.4", "90 after F4 in the middle of a frame", in_pieces(12, 1))

-- 6.5 to 6.23: one frame each; what is valid is echoed.
local function row(section, is_valid, texts)
  for i, text in ipairs(texts) do
    local ok = is_valid
    if type(ok) == "table" then ok = ok[i] end
    local fields = { write = { frame("text", text) }, within = 0.5 }
    if ok then fields.expect = { { "text", text } }
    else fields.fail = { 1007 } end
    case(("6.%d.%d"):format(section, i), ("%s %s"):format(
      ok and "echoes" or "fails on",
      #text > 24 and #text .. " octets" or (text:gsub(".", function(c)
        return ("%02X"):format(c:byte())
      end))), fields)
  end
end

local function list(digits)
  local texts = {}
  for word in digits:gmatch("%x+") do texts[#texts + 1] = hex(word) end
  return texts
end

local function spaced(from, to)
  local text = {}
  for octet = from, to do text[#text + 1] = string.char(octet) .. " " end
  return table.concat(text)
end

local five = list "24 C2A2 E282AC F0A4ADA2"
for i, text in ipairs(five) do five[i] = "hello" .. text .. "world" end
five[5] = kosme
row(5, true, five)

local prefixes = {}
for i = 1, #kosme do prefixes[i] = kosme:sub(1, i) end
row(6, { [2] = true, [5] = true, [7] = true, [9] = true, [11] = true },
  prefixes)

row(7, true, list "00 C280 E0A080 F0908080")
row(8, false, list "F888808080 FC8480808080")
row(9, true, list "7F DFBF EFBFBF F48FBFBF")
row(10, false, list "F7BFBFBF FBBFBFBFBF FDBFBFBFBFBF")
row(11, { true, true, true, true, false },
  list "ED9FBF EE8080 EFBFBD F48FBFBF F4908080")

local lone = list "80 BF 80BF 80BF80 80BF80BF 80BF80BF80 80BF80BF80BF"
local continuations = {}
for octet = 0x80, 0xbe do
  continuations[#continuations + 1] = string.char(octet)
end
lone[8] = table.concat(continuations)
row(12, false, lone)

row(13, false, { spaced(0xc0, 0xde), spaced(0xe0, 0xee), spaced(0xf0, 0xf6),
  spaced(0xf8, 0xfa), spaced(0xfc, 0xfc) })

local incomplete = list [[C0 E080 F08080 F8808080 FC80808080
  DF EFBF F7BFBF FBBFBFBF FDBFBFBFBF]]
row(14, false, incomplete)
row(15, false, { table.concat(incomplete) })
row(16, false, list "FE FF FEFEFFFF")
row(17, false, list "C0AF E080AF F08080AF F8808080AF FC80808080AF")
row(18, false, list "C1BF E09FBF F08FBFBF F887BFBFBF FC83BFBFBFBF")
row(19, false, list "C080 E08080 F0808080 F880808080 FC8080808080")
row(20, false, list "EDA080 EDADBF EDAE80 EDAFBF EDB080 EDBE80 EDBFBF")

local pairs_of_surrogates = {}
for _, high in ipairs(list "EDA080 EDADBF EDAE80 EDAFBF") do
  for _, low in ipairs(list "EDB080 EDBFBF") do
    pairs_of_surrogates[#pairs_of_surrogates + 1] = high .. low
  end
end
row(21, false, pairs_of_surrogates)

local non_characters = list "EFBFBE EFBFBF"
local planes = "F09 F0A F0B F18 F19 F1A F1B F28 F29 F2A F2B F38 F39 F3A F3B F48"
for prefix in planes:gmatch("%x+") do
  for _, ending in ipairs { "FBFBE", "FBFBF" } do
    non_characters[#non_characters + 1] = hex(prefix .. ending)
  end
end
row(22, true, non_characters)
row(23, true, list "EFBFB9 EFBFBA EFBFBB EFBFBC EFBFBD EFBFBE EFBFBF")

return cases
