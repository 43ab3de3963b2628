-- A line while it is being typed: keys in, what to draw out. Knows neither a
-- terminal nor the loop.

local width = require "evws.command.width"

local editor = {}
editor.__index = editor

local HISTORY = 1000 -- lines

function editor.new()
  return setmetatable({
    line = {}, -- characters
    at = 0, -- how many of them stand before the cursor
    first = 1, -- the first one that is drawn
    keys = "", -- what has come of a key so far
    history = {}, looking_at = nil, -- which of it; nil: none
    is_pasting = false,
  }, editor)
end

-- ---- the line ----

local function text_of(characters, from, to)
  return table.concat(characters, "", from or 1, to or #characters)
end

function editor:text() return text_of(self.line) end

local function set(self, text)
  self.line, self.first = {}, 1
  for _, code in utf8.codes(text) do
    self.line[#self.line + 1] = utf8.char(code)
  end
  self.at = #self.line
end

local function insert(self, character)
  self.at = self.at + 1
  table.insert(self.line, self.at, character)
end

-- A step to the left or right takes what combines with a character along.
local function left(self)
  if self.at == 0 then return 0 end
  local at = self.at - 1
  while at > 0 and width(self.line[at + 1]) == 0 do at = at - 1 end
  return at
end

local function right(self)
  if self.at == #self.line then return self.at end
  local at = self.at + 1
  while self.line[at + 1] and width(self.line[at + 1]) == 0 do at = at + 1 end
  return at
end

local function word_left(self)
  local at = self.at
  while at > 0 and self.line[at]:find "%s" do at = at - 1 end
  while at > 0 and not self.line[at]:find "%s" do at = at - 1 end
  return at
end

local function word_right(self)
  local at, n = self.at, #self.line
  while at < n and self.line[at + 1]:find "%s" do at = at + 1 end
  while at < n and not self.line[at + 1]:find "%s" do at = at + 1 end
  return at
end

-- What stands between two places goes.
local function cut(self, from, to)
  local n = #self.line
  table.move(self.line, to + 1, n, from + 1)
  for i = n - (to - from) + 1, n do self.line[i] = nil end
  self.at = from
end

local function look(self, step)
  local history = self.history
  local now = self.looking_at or #history + 1
  local next_one = now + step
  if next_one < 1 or next_one > #history + 1 then return end
  if now == #history + 1 then self.draft = self:text() end
  self.looking_at = next_one
  set(self, history[next_one] or self.draft)
end

local function enter(self)
  local text = self:text()
  local history = self.history
  if text ~= "" and text ~= history[#history] then
    history[#history + 1] = text
    if #history > HISTORY then table.remove(history, 1) end
  end
  self.looking_at, self.draft = nil, nil
  set(self, "")
  return { kind = "line", text = text }
end

-- ---- keys ----

local function home(self) self.at = 0 end
local function to_end(self) self.at = #self.line end
local function up(self) look(self, -1) end
local function down(self) look(self, 1) end
local function go_left(self) self.at = left(self) end
local function go_right(self) self.at = right(self) end
local function go_word_left(self) self.at = word_left(self) end
local function go_word_right(self) self.at = word_right(self) end
local function delete(self) cut(self, self.at, right(self)) end
local function backspace(self) cut(self, left(self), self.at) end
local function cut_word(self) cut(self, word_left(self), self.at) end
local function end_or_delete(self)
  if #self.line == 0 then return { kind = "end" } end
  delete(self)
end

local function end_of_paste(self) self.is_pasting = false end

local controls = {
  [1] = home, [2] = go_left, [4] = end_or_delete, [5] = to_end,
  [6] = go_right, [8] = backspace, [10] = enter,
  [11] = function(self) cut(self, self.at, #self.line) end,
  [12] = function() return { kind = "redraw" } end, [13] = enter,
  [14] = down, [16] = up,
  [21] = function(self) cut(self, 0, self.at) end,
  [23] = cut_word,
  [26] = function() return { kind = "suspend" } end,
  [28] = function() return { kind = "quit" } end,
  [127] = backspace,
}

-- Behind ESC [ or ESC O; with the parameter in front of it.
local sequences = {
  A = up, B = down, C = go_right, D = go_left, H = home, F = to_end,
  ["1;5C"] = go_word_right, ["1;5D"] = go_word_left,
  ["1;3C"] = go_word_right, ["1;3D"] = go_word_left,
  ["1~"] = home, ["3~"] = delete, ["4~"] = to_end, ["7~"] = home,
  ["8~"] = to_end,
  ["200~"] = function(self) self.is_pasting = true end,
  ["201~"] = end_of_paste,
}

-- Behind ESC: Alt.
local alternatives = { b = go_word_left, f = go_word_right,
  ["\127"] = cut_word, ["\8"] = cut_word,
  d = function(self) cut(self, self.at, word_right(self)) end }

-- The first key of what has come: its length and what it does. Length 0: its
-- end has not come.
local function escape_sequence(keys)
  if #keys == 1 then return 0 end
  local second = keys:sub(2, 2)
  if second ~= "[" and second ~= "O" then
    return second == "\27" and 1 or 2, alternatives[second]
  end
  local stop = keys:find("[^\32-\63]", 3)
  if not stop then return 0 end
  if keys:find("^[\64-\126]", stop) then
    return stop, sequences[keys:sub(3, stop)]
  end
  return stop - 1
end

-- A character of UTF-8; bytes that are none are passed over.
local function character(keys)
  local lead = keys:byte()
  local n = lead < 0x80 and 1 or lead >= 0xC2 and lead < 0xE0 and 2
    or lead >= 0xE0 and lead < 0xF0 and 3
    or lead >= 0xF0 and lead < 0xF5 and 4 or 0
  if n == 0 then return 1 end
  local there = keys:match("^[\x80-\xBF]*", 2)
  if #there < n - 1 then return #there + 1 < #keys and #there + 1 or 0 end
  local text = keys:sub(1, n)
  if not utf8.len(text) then return 1 end
  return n, function(self) insert(self, text) end
end

local function pasted(keys)
  local byte = keys:byte()
  if byte == 10 or byte == 13 then
    return 1, function(self) insert(self, "\n") end
  elseif byte == 9 or byte >= 32 and byte ~= 127 then
    return character(keys)
  end
  return 1
end

local function next_key(self)
  local keys = self.keys
  local byte = keys:byte()
  if byte == 27 then
    local n, act = escape_sequence(keys)
    -- what is pasted is text, but for its end
    return n, (not self.is_pasting or act == end_of_paste) and act or nil
  end
  if self.is_pasting then return pasted(keys) end
  if byte == 9 then return character(keys) end
  if byte < 32 or byte == 127 then return 1, controls[byte] end
  return character(keys)
end

--- Takes bytes of a terminal -> a list of what is to be done:
--- { kind = "line", text = }, and "end", "redraw", "suspend" and "quit".
function editor:feed(bytes)
  local events = {}
  self.keys = self.keys .. bytes
  while self.keys ~= "" do
    local n, act = next_key(self)
    if n == 0 then break end
    self.keys = self.keys:sub(n + 1)
    events[#events + 1] = act and act(self) or nil
  end
  return events
end

-- ---- drawing ----

-- In one column, whatever it is.
local shown = { ["\n"] = "\u{23ce}", ["\t"] = " " }

local function columns(self, from, to)
  local n = 0
  for i = from, to do n = n + width(self.line[i]) end
  return n
end

--- The part of the line that fits into so many columns, and in which of them
--- the cursor stands, from 0.
function editor:view(room)
  local line = self.line
  if self.first > self.at + 1 then self.first = self.at + 1 end
  local under = line[self.at + 1] and width(line[self.at + 1]) or 0
  while self.first <= self.at
    and columns(self, self.first, self.at) + under >= room do
    self.first = self.first + 1
  end
  local out, used = {}, 0
  for i = self.first, #line do
    used = used + width(line[i])
    if used >= room then break end
    out[#out + 1] = shown[line[i]] or line[i]
  end
  return table.concat(out), columns(self, self.first, self.at)
end

return editor
