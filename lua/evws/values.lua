-- values.lua: what MessagePack and JSON can say and a plain Lua value cannot:
-- a null inside of a table, a map that is empty or has integer keys, bytes that
-- are no text, a point in time, an extension. What is marked here is understood
-- by both writers.

local values = {}

local map_mark = { __name = "evws.map" }
local binary_mark = { __name = "evws.binary" }
local extension_mark = { __name = "evws.extension" }
local time_mark = { __name = "evws.time" }
values.map_mark, values.binary_mark = map_mark, binary_mark
values.extension_mark, values.time_mark = extension_mark, time_mark

values.null = setmetatable({}, {
  __name = "evws.null",
  __metatable = false,
  __newindex = function() error("null cannot be changed", 2) end,
  __tostring = function() return "null" end,
})

local function check(condition, n, name, expected, got)
  if condition then return end
  error(("bad argument #%d to '%s' (%s expected, got %s)"):format(n, name,
    expected, type(got)), 3)
end

-- The table itself, marked: it is written as a map.
function values.map(fields)
  if fields == nil then fields = {} end
  check(type(fields) == "table", 1, "map", "table", fields)
  local mark = getmetatable(fields)
  if mark ~= nil and mark ~= map_mark then
    error("bad argument #1 to 'map' (the table has a metatable)", 2)
  end
  return setmetatable(fields, map_mark)
end

function values.binary(bytes)
  check(type(bytes) == "string", 1, "binary", "string", bytes)
  return setmetatable({ bytes = bytes }, binary_mark)
end

function values.extension(kind, data)
  check(math.type(kind) == "integer", 1, "extension", "integer", kind)
  check(type(data) == "string", 2, "extension", "string", data)
  if kind < -128 or kind > 127 then
    error("bad argument #1 to 'extension' (-128 to 127 expected)", 2)
  end
  return setmetatable({ type = kind, data = data }, extension_mark)
end

-- Seconds since 1970 UTC, with a fraction or with nanoseconds beside them.
function values.time(seconds, nanoseconds)
  check(type(seconds) == "number", 1, "time", "number", seconds)
  local whole = math.tointeger(seconds)
  if not whole then
    if nanoseconds then
      error("bad argument #1 to 'time' (an integer expected)", 2)
    end
    whole = math.tointeger(math.floor(seconds))
    if not whole then
      error("bad argument #1 to 'time' (out of range)", 2)
    end
    nanoseconds = math.floor((seconds - whole) * 1e9 + 0.5)
    if nanoseconds == 1e9 then whole, nanoseconds = whole + 1, 0 end
  end
  nanoseconds = math.tointeger(nanoseconds or 0)
  if not nanoseconds or nanoseconds < 0 or nanoseconds > 999999999 then
    error("bad argument #2 to 'time' (0 to 999999999 expected)", 2)
  end
  return setmetatable({ seconds = whole, nanoseconds = nanoseconds },
    time_mark)
end

function binary_mark.__eq(a, b)
  return getmetatable(a) == getmetatable(b) and a.bytes == b.bytes
end

function extension_mark.__eq(a, b)
  return getmetatable(a) == getmetatable(b) and a.type == b.type
    and a.data == b.data
end

function time_mark.__eq(a, b)
  return getmetatable(a) == getmetatable(b) and a.seconds == b.seconds
    and a.nanoseconds == b.nanoseconds
end

-- The years that RFC 3339 can write: 0000 to 9999.
local first_second, last_second = -62167219200, 253402300799

-- RFC 3339, in UTC; nil where the year does not have four digits.
function values.format_time(time)
  local seconds, nanoseconds = time.seconds, time.nanoseconds
  if seconds < first_second or seconds > last_second then return nil end
  local text = os.date("!%Y-%m-%dT%H:%M:%S", seconds)
  if #text < 19 then text = ("0"):rep(19 - #text) .. text end
  if nanoseconds == 0 then return text .. "Z" end
  return (text .. (".%09d"):format(nanoseconds)):gsub("0+$", "") .. "Z"
end

function time_mark.__tostring(time)
  return values.format_time(time)
    or ("%d.%09d s since 1970"):format(time.seconds, time.nanoseconds)
end

return values
