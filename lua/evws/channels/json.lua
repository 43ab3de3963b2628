-- json.lua: values to JSON and back, and what the raw slices of a command say.

local core = require "evws.core"
local values = require "evws.values"
local writer = require "evws.json_writer"
local errors = require "evws.channels.errors"

local decode_text, split = core.json_decode, core.json_split
local null, map_mark = values.null, values.map_mark
local find, match, sub = string.find, string.match, string.sub
local bad = errors.bad

local json = { text = writer.text }

local depth_of_values = 500

-- A value; nil, with what is wrong, where the text is no JSON.
function json.decode(text, depth)
  return decode_text(text, depth or depth_of_values, null, map_mark)
end

-- The value of a raw slice that was checked; null and nothing are nil.
function json.value(raw)
  if not raw then return nil end
  local value, why = json.decode(raw)
  if value == nil then error(errors.bad_request, 0) end
  if value == null then return nil, why end
  return value
end

-- JSON of a value, or it raises at the line `level` calls up.
function json.encode(value, what, level)
  local text, why, where = writer.encode(value, depth_of_values)
  if text then return text end
  error(("%s cannot be sent: %s%s"):format(what, why,
    where ~= "" and " at " .. where or ""), level + 1)
end

-- ---- fields of a request: raw slices, each checked ----

function json.string_field(fields, name)
  local raw = fields[name]
  if not raw or raw == "null" then return nil end
  if sub(raw, 1, 1) ~= '"' then bad(name .. " is no text") end
  if not find(raw, "\\", 2, true) then return sub(raw, 2, -2) end
  return (decode_text(raw, 1, null, map_mark))
end

function json.flag_field(fields, name)
  local raw = fields[name]
  if not raw or raw == "null" or raw == "false" then return false end
  if raw ~= "true" then bad(name .. " is neither true nor false") end
  return true
end

-- A number that counts; one too large for an integer is the largest there is.
function json.count_field(fields, name)
  local raw = fields[name]
  if not raw or raw == "null" then return nil end
  if not match(raw, "^%d+$") then bad(name .. " does not count") end
  local value = tonumber(raw)
  return math.type(value) == "integer" and value or math.maxinteger
end

function json.integer_field(fields, name)
  local raw = fields[name]
  if not raw or raw == "null" then return nil end
  if not match(raw, "^%-?%d+$") then bad(name .. " is no whole number") end
  local value = tonumber(raw)
  if math.type(value) == "integer" then return value end
  return sub(raw, 1, 1) == "-" and math.mininteger or math.maxinteger
end

-- An object inside: its fields, of which those that are objects are tables as
-- well where levels is 2.
function json.object_field(fields, name, levels)
  local raw = fields[name]
  if not raw or raw == "null" then return nil end
  if sub(raw, 1, 1) ~= "{" then bad(name .. " is no object") end
  return (split(raw, levels or 1, 1024))
end

function json.raw_field(fields, name)
  local raw = fields[name]
  return raw ~= "null" and raw or nil
end

return json
