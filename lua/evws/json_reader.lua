-- json_reader.lua: JSON to values, by lua-cjson, and what that leaves undone:
-- integers are integers, an empty list is none of an empty map, infinities and
-- text that is not UTF-8 are refused.
--
-- parse gives a raw tree, of which value() makes values: so only those parts of
-- a record are walked that are handed on.

local values = require "evws.values"

local byte, find, match, sub = string.byte, string.find, string.match,
  string.sub
local tointeger, math_type = math.tointeger, math.type
local null, map_mark = values.null, values.map_mark

local reader = {}

-- Stands in lists that were empty; nobody else can know it.
local marker = ("empty %016x%016x"):format(math.random(0), math.random(0))
local marked_list = '["' .. marker .. '"]'

-- The text with the marker in each list that is empty. Text is skipped, and
-- no byte is looked at twice.
local function mark_empty_lists(text)
  local out, n, from, at = {}, 0, 1, 1
  while true do
    local found = find(text, '["[]', at)
    if not found then break end
    if sub(text, found, found) == "[" then
      local after = match(text, "^[ \t\r\n]*%]()", found + 1)
      if after then
        out[n + 1], out[n + 2] = sub(text, from, found - 1), marked_list
        n, from, at = n + 2, after, after
      else
        at = found + 1
      end
    else
      repeat
        found = find(text, '["\\]', found + 1)
        local is_escape = found and sub(text, found, found) == "\\"
        if is_escape then found = found + 1 end
      until not is_escape
      if not found then break end
      at = found + 1
    end
  end
  if n == 0 then return text end
  out[n + 1] = sub(text, from)
  return table.concat(out)
end

-- What may stand between the brackets of an empty list, or be their end.
local is_blank = { [9] = true, [10] = true, [13] = true, [32] = true,
  [93] = true }

-- Might there be an empty list? Plain searches, for most texts have none.
local function has_empty_list(text)
  local at = find(text, "[", 1, true)
  while at do
    if is_blank[byte(text, at + 1)] then return true end
    at = find(text, "[", at + 1, true)
  end
  return false
end

function reader.is_available()
  return (pcall(require, "cjson"))
end

-- A reader for trees of at most so many levels. Raises where lua-cjson is
-- missing.
function reader.new(max_depth)
  local cjson = require "cjson".new()
  cjson.decode_max_depth(max_depth)
  cjson.decode_invalid_numbers(false)
  local decode, raw_null = cjson.decode, cjson.null
  local self = { null = raw_null, decode = decode }

  -- The raw tree, or nil and what is wrong. Numbers are floats, null is
  -- self.null. What self.decode gives is the same for text that is UTF-8,
  -- without zero bytes and without empty lists.
  function self.parse(text)
    if not utf8.len(text) then return nil, "text is not UTF-8" end
    if find(text, "\0", 1, true) then return nil, "a zero byte stands in it" end
    if has_empty_list(text) then text = mark_empty_lists(text) end
    local ok, tree = pcall(decode, text)
    if not ok then return nil, tree end
    return tree
  end

  local function list_of(tree)
    if tree[1] == marker then return {} end
    local list = {}
    for i, raw in ipairs(tree) do
      local value, why = self.value(raw)
      if value == nil then return nil, why end
      list[i] = value
    end
    return list
  end

  local function map_of(tree)
    if next(tree) == nil then return setmetatable({}, map_mark) end
    local fields = {}
    for name, raw in next, tree do
      local value, why = self.value(raw)
      if value == nil then return nil, why end
      fields[name] = value
    end
    return fields
  end

  -- The value of a raw one, or nil and what is wrong.
  function self.value(raw)
    if math_type(raw) == "float" then
      if raw - raw ~= 0 then return nil, "a number is too large" end
      return raw >= -0x1p53 and raw <= 0x1p53 and tointeger(raw) or raw
    elseif raw == raw_null then
      return null
    elseif type(raw) ~= "table" then
      return raw
    end
    return (raw[1] ~= nil and list_of or map_of)(raw)
  end

  -- How many elements a raw list has; nil where it is none.
  function self.count(raw)
    if type(raw) ~= "table" or raw[1] == nil then return nil end
    return raw[1] == marker and 0 or #raw
  end

  return self
end

return reader
