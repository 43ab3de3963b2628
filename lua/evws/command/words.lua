-- A command line as options and what stands between them, by a table as those
-- in manual.lua. What is wrong is raised as { usage = text }.

local core = require "evws.core"

local words = {}

function words.fail(format, ...)
  error({ usage = format:format(...) }, 0)
end

local fail = words.fail

function words.number(name, text, least, is_whole)
  local value = tonumber(text)
  if not value or value ~= value or value < least
    or is_whole and math.type(value) ~= "integer" then
    fail("--%s: a number of at least %g expected, not '%s'", name, least, text)
  end
  return value
end

local reader = {}
reader.__index = reader

-- Without a value, or as it stands, or as whoever reads it takes it.
local function set(self, option, value)
  local take = self.take[option.long]
  if not option.value then
    self.o[option.long] = true
  elseif take then
    take(self.o, value)
  else
    self.o[option.long] = value
  end
end

-- The option that was meant, if one is near.
local function nearest(self, text)
  local name, list = text:match "^%-%-([^=]*)", {}
  for long in pairs(self.by_long) do list[#list + 1] = long end
  table.sort(list)
  local found = name and core.suggest(name, list)
  return found and found ~= name and ("did you mean '--%s'?"):format(found)
end

local function unknown(self, text)
  local hint = self.others[text:match "^[^=]*"] or nearest(self, text)
  fail("unknown option '%s'%s", text, hint and " (" .. hint .. ")" or "")
end

-- "-kb", "-w0.3", "-w" "0.3" -> how many arguments were used
local function short(self, i)
  local list, at = self.list, 2
  local text = list[i]
  while at <= #text do
    local option = self.by_short[text:sub(at, at)]
    if not option then unknown(self, text) end
    at = at + 1
    if option.value then
      local value = at <= #text and text:sub(at) or list[i + 1]
      if not value then fail("%s: a value is missing", text) end
      set(self, option, value)
      return at <= #text and 1 or 2
    end
    set(self, option)
  end
  return 1
end

-- "--binary", "--wait=1", "--wait" "1"
local function long(self, i)
  local list = self.list
  local name, value = list[i]:match "^%-%-([^=]*)=?(.*)$"
  if not list[i]:find("=", 1, true) then value = nil end
  local option = self.by_long[name]
  if not option or value and not option.value then unknown(self, list[i]) end
  if not option.value then
    set(self, option)
    return 1
  end
  local given = value or list[i + 1]
  if not given then fail("%s: a value is missing", list[i]) end
  set(self, option, given)
  return value and 1 or 2
end

local function by_name(groups)
  local by_long, by_short = {}, {}
  for _, group in ipairs(groups) do
    for _, option in ipairs(group.options) do
      by_long[option.long] = option
      if option.short then by_short[option.short] = option end
    end
  end
  return by_long, by_short
end

--- groups: of options; take: name -> function(o, text), where the text is not
--- the value as it stands; others: what names
--- that do not exist may have meant -> o, the words that are no options, and
--- those behind "--"
function words.read(list, groups, take, others)
  local self = setmetatable({ list = list, take = take, others = others,
    o = {} }, reader)
  self.by_long, self.by_short = by_name(groups)
  local rest, i = {}, 1
  while list[i] do
    local text = list[i]
    if text == "--" then
      return self.o, rest, table.move(list, i + 1, #list, 1, {})
    elseif not text:find "^%-." then
      rest[#rest + 1] = text
      i = i + 1
    else
      i = i + (text:find "^%-%-" and long or short)(self, i)
    end
  end
  return self.o, rest, {}
end

return words
