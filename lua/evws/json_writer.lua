-- json_writer.lua: values to JSON (RFC 8259): integers with all their digits,
-- floats with as few as bring them back, [] for an empty table.
--
-- The same calls as those of messagepack_writer.lua. No byte below 0x20 ever
-- stands in what is written: neither a newline nor 0x1E.

local values = require "evws.values"

local byte, char, find, format = string.byte, string.char, string.find,
  string.format
local gsub, sub = string.gsub, string.sub
local math_type, utf8_len = math.type, utf8.len
local next, rawget, rawlen = next, rawget, rawlen
local null, map_mark = values.null, values.map_mark

local writer = {}

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b",
  ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
for code = 0, 31 do
  local c = char(code)
  escapes[c] = escapes[c] or format("\\u%04x", code)
end

local function text(value)
  if not utf8_len(value) then return nil, "text is not UTF-8" end
  if find(value, '[%c"\\]') then value = gsub(value, '[\0-\31"\\]', escapes) end
  return '"' .. value .. '"'
end
writer.text = text

local function number(value)
  if math_type(value) == "integer" then return format("%d", value) end
  if value ~= value or value - value ~= 0 then
    return nil, "NaN and infinities have no form in JSON"
  end
  local short = format("%.15g", value)
  if tonumber(short) ~= value then
    short = format("%.16g", value)
    if tonumber(short) ~= value then short = format("%.17g", value) end
  end
  -- the locale may have a comma
  return (gsub(short, ",", "."))
end

local letters =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  return (gsub(bytes, "..?.?", function(group)
    local a, b, c = byte(group, 1, 3)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    local out = ""
    for shift = 18, 18 - 6 * #group, -6 do
      local at = (bits >> shift & 63) + 1
      out = out .. sub(letters, at, at)
    end
    return out .. sub("==", #group)
  end))
end
writer.base64 = base64

local marked = {
  [values.binary_mark] = function(value)
    return '"' .. base64(value.bytes) .. '"'
  end,
  [values.time_mark] = function(value)
    local text_of = values.format_time(value)
    if not text_of then return nil, "the year has not four digits" end
    return '"' .. text_of .. '"'
  end,
  [values.extension_mark] = function()
    return nil, "an extension has no form in JSON"
  end,
}

local write

local function write_map(out, n, fields, depth)
  local first = "{"
  for key, value in next, fields do
    local name, why
    if type(key) == "string" then
      name, why = text(key)
    elseif math_type(key) == "integer" then
      name = '"' .. key .. '"'
    else
      why = "a key is neither a string nor an integer"
    end
    if not name then return nil, why, "" end
    out[n + 1], out[n + 2], out[n + 3] = first, name, ":"
    first = ","
    local where
    n, why, where = write(out, n + 3, value, depth)
    if not n then
      local step = type(key) == "string" and "." .. key or "[" .. key .. "]"
      return nil, why, step .. where
    end
  end
  out[n + 1] = first == "{" and "{}" or "}"
  return n + 1
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

local function write_list(out, n, list, len, depth)
  for i = 1, len do
    local value = rawget(list, i)
    local why, where
    if value == nil then return nil, "a list has a hole", "[" .. i .. "]" end
    out[n + 1] = i == 1 and "[" or ","
    n, why, where = write(out, n + 1, value, depth)
    if not n then return nil, why, "[" .. i .. "]" .. where end
  end
  local more, at = has_more(list, len)
  if more then return nil, more, at end
  out[n + 1] = len == 0 and "[]" or "]"
  return n + 1
end

local function write_table(out, n, value, depth)
  if value == null then
    out[n + 1] = "null"
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
  if kind == "number" then return number(value) end
  if kind == "boolean" then return value and "true" or "false" end
  if kind == "nil" then return "null" end
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
