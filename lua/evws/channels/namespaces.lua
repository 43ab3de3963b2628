-- namespaces.lua: the rights of a channel, by its name.

local hint = require "evws.option_table".hint

local namespaces = {}
namespaces.__index = namespaces

local function is_flag(value) return type(value) == "boolean" end

local function one_of(...)
  local known = { ... }
  return function(value)
    for _, other in ipairs(known) do
      if value == other then return true end
    end
    return false
  end
end

local function is_history(value)
  if type(value) ~= "table" then return false end
  for name in pairs(value) do
    if name ~= "size" and name ~= "ttl" then return false end
  end
  return math.type(value.size) == "integer" and value.size >= 1
    and type(value.ttl) == "number" and value.ttl > 0
end

local subscribe, publish = one_of(true, false, "token"),
  one_of(true, false, "subscribers")

-- What each right may be, its default, and how to say what was expected.
local rights = {
  subscribe = { default = true, expected = "true, false, \"token\" or a "
    .. "function", check = function(value)
      return type(value) == "function" or subscribe(value)
    end },
  publish = { default = false, expected = "true, false, \"subscribers\" or a "
    .. "function", check = function(value)
      return type(value) == "function" or publish(value)
    end },
  history = { expected = "{ size =, ttl = }", check = is_history },
  cache = { default = false, expected = "a boolean", check = is_flag },
  presence = { default = false, expected = "a boolean", check = is_flag },
  join_leave = { default = false, expected = "true, false or \"always\"",
    check = one_of(true, false, "always") },
  read_history = { default = "subscribers",
    expected = "true, false or \"subscribers\"",
    check = one_of(true, false, "subscribers") },
  read_presence = { default = "subscribers",
    expected = "true, false or \"subscribers\"",
    check = one_of(true, false, "subscribers") },
}

local function read_rights(pattern, given, level)
  local function fail(text, ...)
    error(("namespace '%s': " .. text):format(pattern, ...), level + 2)
  end
  if type(given) ~= "table" then fail("a table of rights expected") end
  local read = { pattern = pattern }
  for name, right in pairs(rights) do read[name] = right.default end
  for name, value in pairs(given) do
    local right = rights[name]
    if not right then
      fail("unknown right '%s'%s", tostring(name), hint(name, rights))
    end
    if not right.check(value) then
      fail("bad right '%s' (%s expected)", name, right.expected)
    end
    read[name] = value
  end
  if read.cache and not read.history then
    fail("'cache' needs 'history'")
  end
  return read
end

local function check_pattern(pattern, max_channel, level)
  local star = type(pattern) == "string" and pattern:find("*", 1, true)
  if type(pattern) ~= "string" or pattern == "" or not utf8.len(pattern)
    or pattern:byte() == 0 or #pattern > max_channel
    or star and star ~= #pattern then
    error(("bad namespace '%s' (a channel's name expected, or the beginning "
      .. "of one and a *)"):format(tostring(pattern)), level + 1)
  end
end

-- given: pattern -> rights. Raises at the line `level` calls up.
function namespaces.new(given, max_channel, level)
  local self = setmetatable({ exact = {}, prefixes = {}, list = {} },
    namespaces)
  for pattern, value in pairs(given) do
    check_pattern(pattern, max_channel, level + 1)
    local read = read_rights(pattern, value, level + 1)
    self.list[#self.list + 1] = read
    if pattern:sub(-1) == "*" then
      read.prefix = pattern:sub(1, -2)
      self.prefixes[#self.prefixes + 1] = read
    else
      self.exact[pattern] = read
    end
  end
  table.sort(self.prefixes, function(a, b)
    return #a.prefix > #b.prefix
  end)
  return self
end

-- The rights of a channel: of its own name, else of the longest beginning; nil
-- where there are none.
function namespaces:find(channel)
  local found = self.exact[channel]
  if found then return found end
  if channel:byte() == 0 then return nil end
  for _, one in ipairs(self.prefixes) do
    local prefix = one.prefix
    if channel:sub(1, #prefix) == prefix then return one end
  end
  return nil
end

-- The topics to keep, as the option `history` of ws.listen wants them.
function namespaces:kept()
  local kept, any = {}, false
  for _, one in ipairs(self.list) do
    if one.history then
      any = true
      kept[one.pattern] = { size = one.history.size, ttl = one.history.ttl }
    end
  end
  return any and kept or nil
end

return namespaces
