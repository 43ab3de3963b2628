-- A terminal that is read by a spec: bytes in, what stands on it out. Knows the
-- few sequences that evws and a shell write; others raise.
--
--   emulator.show(bytes, columns) -> { lines..., row =, column = }
--     row and column: where the cursor stands, from 1; nothing scrolls away

local width = require "evws.command.width"

local emulator = {}

local function put(s, character)
  local n = width(character)
  if n == 0 then
    local last = s.column - 1
    s[s.row][last] = (s[s.row][last] or "") .. character
    return
  end
  if s.column + n - 1 > s.columns then s.row, s.column = s.row + 1, 1 end
  s[s.row] = s[s.row] or {}
  s[s.row][s.column] = character
  for i = 1, n - 1 do s[s.row][s.column + i] = "" end
  s.column = s.column + n
end

local function erase_line(s)
  for column = s.column, s.columns do s[s.row][column] = nil end
end

local sequences = {
  K = erase_line,
  C = function(s, n)
    s.column = math.min(s.column + (tonumber(n) or 1), s.columns)
  end,
  H = function(s) s.row, s.column = 1, 1 end,
  J = function(s)
    for row = 1, s.bottom do s[row] = {} end
  end,
  m = function() end,
}

local controls = {
  ["\r"] = function(s) s.column = 1 end,
  ["\n"] = function(s) s.row = s.row + 1 end,
  ["\8"] = function(s) s.column = math.max(s.column - 1, 1) end,
  ["\7"] = function() end,
}

local function text_of(cells, columns)
  local out = {}
  for column = 1, columns do out[column] = cells[column] or " " end
  return (table.concat(out):gsub(" +$", ""))
end

-- What stands first: how long it is, and what it does.
local function first(bytes)
  local _, stop, parameter, name = bytes:find "^\27%[([%d;]*)(%a)"
  if stop then return stop, assert(sequences[name], name), parameter end
  _, stop = bytes:find "^\27%[%?%d+[hl]"
  if stop then return stop end
  assert(bytes:byte() ~= 27, "an escape sequence that is not known")
  local control = controls[bytes:sub(1, 1)]
  if control then return 1, control end
  local character = bytes:match "^[\xC2-\xF4]?[\x80-\xBF]*"
  if character == "" then character = bytes:sub(1, 1) end
  assert(utf8.len(character) == 1 and bytes:byte() >= 32,
    ("%q is not for a terminal"):format(character))
  return #character, put, character
end

-- A sequence or a character whose end has not come yet.
local function is_cut(bytes)
  return bytes:find "^\27%[?%??[%d;]*$"
    or #bytes < 4 and bytes:find "^[\xC2-\xF4][\x80-\xBF]*$"
      and not utf8.len(bytes)
end

function emulator.show(bytes, columns)
  local s = { {}, row = 1, column = 1, columns = columns, bottom = 1 }
  while bytes ~= "" and not is_cut(bytes) do
    local n, act, value = first(bytes)
    if act then act(s, value) end
    s[s.row] = s[s.row] or {}
    s.bottom = math.max(s.bottom, s.row)
    bytes = bytes:sub(n + 1)
  end
  local shown = { row = s.row, column = s.column }
  for row = 1, s.bottom do shown[row] = text_of(s[row] or {}, columns) end
  while shown[#shown] == "" and #shown > 1 do shown[#shown] = nil end
  return shown
end

return emulator
