-- option_table.lua: tables of options, and what is said of names that there
-- are not. No part of the API.

local core = require "evws.core"

local option_table = {}

-- " (did you mean 'x'?)" for a name that is none of the keys of a table, or
-- "" where none is near.
function option_table.hint(name, known)
  local names = {}
  for other in pairs(known) do names[#names + 1] = other end
  table.sort(names)
  local near = core.suggest(tostring(name), names)
  return near and (" (did you mean '%s'?)"):format(near) or ""
end

-- Checks: a value -> is it right, and what is expected.

function option_table.any() return true end

function option_table.is_whole(least, most)
  return function(value)
    return math.type(value) == "integer" and value >= least and value <= most,
      ("a whole number from %d to %d"):format(least, most)
  end
end

function option_table.is_seconds(value)
  return type(value) == "number" and value > 0 and value < math.huge,
    "seconds above 0"
end

function option_table.is_type(kind)
  return function(value) return type(value) == kind, kind end
end

function option_table.or_false(check)
  return function(value)
    local ok, expected = check(value)
    return value == false or ok, expected .. ", or false"
  end
end

-- A checked copy with every default. Raises at the line `level` calls up.
function option_table.read(given, about, level)
  local read = {}
  for name, value in pairs(about.defaults) do read[name] = value end
  for name, value in pairs(given) do
    local check = about.checks[name]
    if not check then
      error(("unknown option '%s' for '%s'%s"):format(tostring(name),
        about.name, option_table.hint(name, about.checks)), level + 1)
    end
    local ok, expected = check(value)
    if not ok then
      error(("bad option '%s' for '%s' (%s expected)"):format(name, about.name,
        expected), level + 1)
    end
    read[name] = value
  end
  return read
end

return option_table
