-- messagepack_reader.lua: MessagePack to values. Reads iteratively, looks at
-- no byte twice, and reserves nothing for a length that was only declared.
--
-- read(bytes, at, settings) -> value, the place behind it; or nil, what is
-- wrong, the place where. "incomplete": the bytes end before the value does.
-- Settings: max_depth, and perhaps is_lenient (text that is not UTF-8 gets
-- U+FFFD), binary(bytes) and extension(type, data), which make the values.

local values = require "evws.values"

local byte, sub, unpack = string.byte, string.sub, string.unpack
local math_type, utf8_len = math.type, utf8.len
local null, map_mark = values.null, values.map_mark

local reader = {}

-- Of each first byte of a character that is longer than one: how many follow,
-- and between which the first of them lies (Unicode, table 3-7).
local function sequel(first)
  if first >= 0xc2 and first <= 0xdf then return 1, 0x80, 0xbf end
  if first == 0xe0 then return 2, 0xa0, 0xbf end
  if first == 0xed then return 2, 0x80, 0x9f end
  if first >= 0xe1 and first <= 0xef then return 2, 0x80, 0xbf end
  if first == 0xf0 then return 3, 0x90, 0xbf end
  if first >= 0xf1 and first <= 0xf3 then return 3, 0x80, 0xbf end
  if first == 0xf4 then return 3, 0x80, 0x8f end
  return 0, 0, 0
end

-- The text with U+FFFD for each longest piece of a character that is none.
local function repair(text)
  local out, from = {}, 1
  while true do
    local _, bad = utf8_len(text, from)
    if not bad then break end
    out[#out + 1] = sub(text, from, bad - 1)
    out[#out + 1] = "\u{FFFD}"
    local more, least, most = sequel(byte(text, bad))
    from = bad + 1
    while more > 0 do
      local next_byte = byte(text, from)
      if not next_byte or next_byte < least or next_byte > most then break end
      from, more, least, most = from + 1, more - 1, 0x80, 0xbf
    end
  end
  out[#out + 1] = sub(text, from)
  return table.concat(out)
end
reader.repair = repair

local function text(bytes, at, len, settings)
  local value = sub(bytes, at, at + len - 1)
  if not utf8_len(value) then
    if not settings.is_lenient then return nil, "text is not UTF-8" end
    value = repair(value)
  end
  return value
end

local function binary(bytes, at, len, settings)
  local value = sub(bytes, at, at + len - 1)
  local make = settings.binary
  if not make then return value end
  value = make(value)
  if value == nil then return null end
  return value
end

-- The timestamp extension type of the specification: 32, 64 and 96 bits.
local function time(bytes, at, len)
  local seconds, nanoseconds
  if len == 4 then
    seconds, nanoseconds = unpack(">I4", bytes, at), 0
  elseif len == 8 then
    local both = unpack(">i8", bytes, at)
    seconds, nanoseconds = both & 0x3ffffffff, both >> 34
  elseif len == 12 then
    nanoseconds, seconds = unpack(">I4i8", bytes, at)
  else
    return nil, "a timestamp is not of 4, 8 or 12 bytes"
  end
  if nanoseconds > 999999999 then
    return nil, "a timestamp has a second or more of nanoseconds"
  end
  return values.time(seconds, nanoseconds)
end

-- len is without the byte of the type, which stands at `at`.
local function extension(bytes, at, len, settings)
  local kind = unpack("b", bytes, at)
  if kind == -1 then return time(bytes, at + 1, len) end
  local make = settings.extension
  if not make then return nil, "an extension is not known" end
  local value = make(kind, sub(bytes, at + 1, at + len))
  if value == nil then return null end
  return value
end

-- Numbers: how many bytes, and their format.
local numbers = {
  [0xca] = { 4, ">f" }, [0xcb] = { 8, ">d" },
  [0xcc] = { 1, "B" }, [0xcd] = { 2, ">I2" }, [0xce] = { 4, ">I4" },
  [0xcf] = { 8, ">i8" },
  [0xd0] = { 1, "b" }, [0xd1] = { 2, ">i2" }, [0xd2] = { 4, ">i4" },
  [0xd3] = { 8, ">i8" },
}

-- What has a length: its format and bytes, who reads it, bytes beside it.
local sized = {}
for i, format in ipairs { "B", ">I2", ">I4" } do
  local width = 1 << i - 1
  sized[0xc3 + i] = { width, format, binary, 0 }
  sized[0xc6 + i] = { width, format, extension, 1 }
  sized[0xd8 + i] = { width, format, text, 0 }
end

local constants = { [0xc0] = null, [0xc2] = false, [0xc3] = true }

-- Lists and maps with a length of 16 or 32 bits.
local containers = {
  [0xdc] = { 2, ">I2" }, [0xdd] = { 4, ">I4" },
  [0xde] = { 2, ">I2" }, [0xdf] = { 4, ">I4" },
}

-- The value whose first byte was `first`, with all else of it from `at` on,
-- and the place behind it.
local function scalar(bytes, at, first, settings)
  local constant = constants[first]
  if constant ~= nil then return constant, at end
  local number = numbers[first]
  if number then
    if at + number[1] - 1 > #bytes then return nil, "incomplete" end
    local value, after = unpack(number[2], bytes, at)
    if first == 0xcf and value < 0 then -- 2^63 and more
      value = (value >> 1 | value & 1) * 2.0
    end
    return value, after
  end
  local len, read, beside
  local form = sized[first]
  if form then
    if at + form[1] - 1 > #bytes then return nil, "incomplete" end
    len, at = unpack(form[2], bytes, at)
    read, beside = form[3], form[4]
  elseif first >= 0xd4 and first <= 0xd8 then
    len, read, beside = 1 << first - 0xd4, extension, 1
  else
    return nil, "a byte 0xc1 begins no value"
  end
  local after = at + len + beside
  if after - 1 > #bytes then return nil, "incomplete" end
  local value, why = read(bytes, at, len, settings)
  if value == nil then return nil, why end
  return value, after
end

-- How many values a list or map whose first byte is `first` declares, the
-- place behind its head, is it a map?
local function container_head(bytes, at, first)
  if first >= 0x90 and first < 0xa0 then return first & 0x0f, at, false end
  if first >= 0x80 and first < 0x90 then return first & 0x0f, at, true end
  local form = containers[first]
  if not form then return nil end
  if at + form[1] - 1 > #bytes then return nil, "incomplete" end
  local len, after = unpack(form[2], bytes, at)
  return len, after, first >= 0xde
end

-- The head of a list at `at`: its length and the place behind it; or nil.
function reader.list_head(bytes, at)
  local first = byte(bytes, at)
  if not first then return nil end
  local len, after, is_map = container_head(bytes, at + 1, first)
  if is_map then return nil end
  return len, after
end

local function begins_container(first)
  return first >= 0x80 and first < 0xa0 or first >= 0xdc and first < 0xe0
end

-- Looking on: fixint and fixstr first, as they are most of what there is.
local function leaf(bytes, at, first, settings)
  if first < 0x80 then return first, at + 1 end
  if first >= 0xe0 then return first - 0x100, at + 1 end
  if first >= 0xa0 and first < 0xc0 then
    local len = first & 0x1f
    if at + len > #bytes then return nil, "incomplete" end
    local value, why = text(bytes, at + 1, len, settings)
    if not value then return nil, why end
    return value, at + 1 + len
  end
  return scalar(bytes, at + 1, first, settings)
end

-- A level: the table, the values that it still lacks, is it a map, and for a
-- map the key whose value is awaited.
local function open(bytes, at, first)
  local len, after, is_map = container_head(bytes, at + 1, first)
  if not len then return nil, after end
  if len * (is_map and 2 or 1) > #bytes - after + 1 then
    return nil, "incomplete" -- each of them is a byte at least
  end
  return { made = {}, lacks = len, is_map = is_map, key = nil, at = 0 }, after
end

local not_a_key = "a key is neither a string nor an integer"

-- Puts a value in its place; false where it cannot be a key.
local function put(level, value)
  if not level.is_map then
    level.at = level.at + 1
    level.made[level.at] = value
    level.lacks = level.lacks - 1
  elseif level.key == nil then
    local is_integer = math_type(value) == "integer"
    if not is_integer and type(value) ~= "string" then return false end
    -- without the mark it might look like a list
    if is_integer then setmetatable(level.made, map_mark) end
    level.key = value
  else
    level.made[level.key] = value
    level.key = nil
    level.lacks = level.lacks - 1
  end
  return true
end

local function finish(level)
  if level.is_map and next(level.made) == nil then
    setmetatable(level.made, map_mark)
  end
  return level.made
end

function reader.read(bytes, at, settings)
  local stack, depth, level = nil, 0, nil
  while true do
    local first = byte(bytes, at)
    if not first then return nil, "incomplete", at end
    local value, after
    if begins_container(first) then
      if level and level.is_map and level.key == nil then
        return nil, not_a_key, at
      end
      if depth == settings.max_depth then return nil, "nested too deep", at end
      local opened
      opened, after = open(bytes, at, first)
      if not opened then return nil, after, at end
      stack = stack or {}
      stack[depth], depth, level = level, depth + 1, opened
    else
      value, after = leaf(bytes, at, first, settings)
      if value == nil then return nil, after, at end
      if not level then return value, after end
      if not put(level, value) then return nil, not_a_key, at end
    end
    at = after
    while level.lacks == 0 do
      value, depth = finish(level), depth - 1
      if depth == 0 then return value, at end
      level = stack[depth]
      put(level, value)
    end
  end
end

return reader
