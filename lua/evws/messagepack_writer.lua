-- messagepack_writer.lua: values to MessagePack, each in its shortest form; a
-- float is always one of 64 bits, so that it stays a float.
--
-- write(out, n, value, depth) appends pieces to the list `out` behind the n
-- that it has and returns their new number; or nil, what is wrong, and where
-- in the value that is (".list[3]").

local values = require "evws.values"

local char, pack = string.char, string.pack
local math_type, utf8_len = math.type, utf8.len
local next, rawget, rawlen = next, rawget, rawlen
local null, map_mark = values.null, values.map_mark
local binary_mark, time_mark = values.binary_mark, values.time_mark
local extension_mark = values.extension_mark

local writer = {}

local bytes = {}
for value = 0, 255 do bytes[value] = char(value) end

local function integer(value)
  if value >= 0 then
    if value < 0x80 then return bytes[value] end
    if value < 0x100 then return "\xcc" .. bytes[value] end
    if value < 0x10000 then return pack(">BI2", 0xcd, value) end
    if value < 0x100000000 then return pack(">BI4", 0xce, value) end
    return pack(">Bi8", 0xcf, value)
  end
  if value >= -0x20 then return bytes[value + 0x100] end
  if value >= -0x80 then return "\xd0" .. bytes[value + 0x100] end
  if value >= -0x8000 then return pack(">Bi2", 0xd1, value) end
  if value >= -0x80000000 then return pack(">Bi4", 0xd2, value) end
  return pack(">Bi8", 0xd3, value)
end
writer.integer = integer

-- The head of what has a length: the shortest of the forms that there are.
local function head(len, fixed, most, first, has_8_bits)
  if len <= most then return bytes[fixed + len] end
  if has_8_bits then
    if len < 0x100 then return bytes[first] .. bytes[len] end
    first = first + 1
  end
  if len < 0x10000 then return pack(">BI2", first, len) end
  if len < 0x100000000 then return pack(">BI4", first + 1, len) end
end

local function string_head(len) return head(len, 0xa0, 31, 0xd9, true) end
local function binary_head(len) return head(len, 0, -1, 0xc4, true) end
local function list_head(len) return head(len, 0x90, 15, 0xdc) end
local function map_head(len) return head(len, 0x80, 15, 0xde) end
writer.list_head = list_head

-- fixext 1, 2, 4, 8, 16; else ext with a length.
local fixed_extensions = { "\xd4", "\xd5", [4] = "\xd6", [8] = "\xd7",
  [16] = "\xd8" }

local function extension(kind, data)
  local first = fixed_extensions[#data] or head(#data, 0, -1, 0xc7, true)
  if not first then return nil, "too long" end
  return first .. pack("b", kind) .. data
end

-- Of the three forms of a timestamp the shortest.
local function time(value)
  local seconds, nanoseconds = value.seconds, value.nanoseconds
  local data
  if seconds < 0 or seconds > 0x3ffffffff then
    data = pack(">I4i8", nanoseconds, seconds)
  elseif nanoseconds == 0 and seconds < 0x100000000 then
    data = pack(">I4", seconds)
  else
    data = pack(">I8", nanoseconds << 34 | seconds)
  end
  return extension(-1, data)
end

local function text(value)
  if not utf8_len(value) then return nil, "text is not UTF-8" end
  local first = string_head(#value)
  if not first then return nil, "too long" end
  return first .. value
end

local marked = {
  [binary_mark] = function(value)
    local first = binary_head(#value.bytes)
    if not first then return nil, "too long" end
    return first .. value.bytes
  end,
  [time_mark] = time,
  [extension_mark] = function(value)
    return extension(value.type, value.data)
  end,
}

local write

local function write_map(out, n, fields, depth)
  local at, count = n + 1, 0
  n = at -- the head's place
  for key, value in next, fields do
    local piece, why
    if type(key) == "string" then
      piece, why = text(key)
    elseif math_type(key) == "integer" then
      piece = integer(key)
    else
      why = "a key is neither a string nor an integer"
    end
    if not piece then return nil, why, "" end
    n, count = n + 1, count + 1
    out[n] = piece
    local where
    n, why, where = write(out, n, value, depth)
    if not n then
      local step = type(key) == "string" and "." .. key or "[" .. key .. "]"
      return nil, why, step .. where
    end
  end
  out[at] = map_head(count)
  return n
end

-- Is there a key that no list of this length has? What is wrong then, and
-- where: any length before a hole is one that Lua may give.
local function has_more(list, len)
  if next(list, len > 0 and len or nil) == nil then return nil end
  local count, is_list = 0, true
  for key in next, list do
    count = count + 1
    is_list = is_list and math_type(key) == "integer" and key > 0
  end
  if count == len then return nil end
  if is_list then return "a list has a hole", "[" .. len + 1 .. "]" end
  return "a table is both a list and a map", ""
end
writer.has_more = has_more

local function write_list(out, n, list, len, depth)
  n = n + 1
  out[n] = list_head(len)
  for i = 1, len do
    local value = rawget(list, i)
    local why, where
    if value == nil then return nil, "a list has a hole", "[" .. i .. "]" end
    n, why, where = write(out, n, value, depth)
    if not n then return nil, why, "[" .. i .. "]" .. where end
  end
  local more, at = has_more(list, len)
  if more then return nil, more, at end
  return n
end

local function write_table(out, n, value, depth)
  if value == null then
    out[n + 1] = "\xc0"
    return n + 1
  end
  local mark = getmetatable(value)
  local say = marked[mark]
  if say then
    local piece, why = say(value)
    if not piece then return nil, why, "" end
    out[n + 1] = piece
    return n + 1
  end
  if depth == 0 then return nil, "nested too deep", "" end
  local len = rawlen(value)
  if mark ~= map_mark and (len > 0 or next(value) == nil) then
    return write_list(out, n, value, len, depth - 1)
  end
  return write_map(out, n, value, depth - 1)
end

local function write_scalar(value)
  local kind = type(value)
  if kind == "string" then return text(value) end
  if kind == "number" then
    if math_type(value) == "integer" then return integer(value) end
    return pack(">Bd", 0xcb, value)
  end
  if kind == "boolean" then return value and "\xc3" or "\xc2" end
  if kind == "nil" then return "\xc0" end
  return nil, "a " .. kind .. " cannot be written"
end

function write(out, n, value, depth)
  if type(value) == "table" then return write_table(out, n, value, depth) end
  local piece, why = write_scalar(value)
  if not piece then return nil, why, "" end
  out[n + 1] = piece
  return n + 1
end

writer.write = write
writer.text = text

-- A string; or nil, what is wrong, and where.
function writer.encode(value, depth)
  if type(value) ~= "table" then
    local piece, why = write_scalar(value)
    return piece, why, ""
  end
  local out = {}
  local n, why, where = write(out, 0, value, depth)
  if not n then return nil, why, where end
  return table.concat(out, "", 1, n)
end

return writer
