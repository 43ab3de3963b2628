-- What could be changed in a file of C or Lua, for tools/mutate.lua: a list of
-- { line =, was =, code =, first =, last =, text = }, the octets first to last
-- replaced by text; `was` and `code` are the line before and after, without
-- blanks around. Of a statement that is removed, code is "removed: " and it.

local code_of = require "names".code_of

local mutants = {}

local function blank(text)
  return (text:gsub("[^\n]", " "))
end

-- A Lua text with comments and strings blanked.
local function lua_code_of(text)
  local out, from = {}, 1
  while true do
    local at = text:find("[-%[\"']", from)
    if not at then break end
    local start, stop = at, nil
    if text:find("^%-%-", at) then start = at + 2 end
    local level = text:match("^%[(=*)%[", start)
    if level then
      stop = select(2, text:find("]" .. level .. "]", start, true))
    elseif start > at then
      stop = (text:find("\n", at, true) or #text + 1) - 1
    elseif text:find("^[\"']", at) then
      stop = at + 1
      while stop <= #text and text:sub(stop, stop) ~= text:sub(at, at) do
        stop = stop + (text:sub(stop, stop) == "\\" and 2 or 1)
      end
    end
    out[#out + 1] = text:sub(from, at - 1)
    out[#out + 1] = stop and blank(text:sub(at, stop)) or text:sub(at, at)
    from = (stop or at) + 1
  end
  out[#out + 1] = text:sub(from)
  return table.concat(out)
end

-- By what stands between blanks. An increment beyond a limit is a mutant, too.
local both = { ["<"] = "<=", ["<="] = "<", [">"] = ">=", [">="] = ">",
  ["+"] = "-", ["-"] = "+" }
local operators = {
  c = { ["=="] = "!=", ["!="] = "==", ["&&"] = "||", ["||"] = "&&",
    ["+="] = "-=", ["-="] = "+=", ["&"] = "|", ["|"] = "&",
    ["<<"] = ">>", [">>"] = "<<", ["true"] = "false", ["false"] = "true" },
  lua = { ["=="] = "~=", ["~="] = "==", ["and"] = "or", ["or"] = "and",
    ["//"] = "*", ["true"] = "false", ["false"] = "true", ["&"] = "|",
    ["|"] = "&", ["<<"] = ">>", [">>"] = "<<" },
}
for _, known in pairs(operators) do
  for was, is in pairs(both) do known[was] = is end
end

local function each_operator(line, known, add)
  for first, word, last in line:gmatch "()([^%s();,{}]+)()" do
    local text = known[word]
    if text then add(first, last - 1, text) end
  end
end

-- Up and down by one, but nothing below zero. A width of bits and what the
-- compiler checks are no numbers.
local function each_number(line, add)
  if line:find "static_assert" or line:find ": %d+;" then return end
  for first, digits, last in line:gmatch "()%f[%w_.](%d+)()" do
    if not line:find("^[%w_.]", last) then
      local n = math.tointeger(digits)
      if n then
        add(first, last - 1, tostring(n + 1))
        if n > 0 then add(first, last - 1, tostring(n - 1)) end
      end
    end
  end
end

-- A comparison alone is another operator's already.
local function each_condition(kind, line, add)
  if kind == "lua" then
    local first, _, last = line:match "%f[%w_]if ()(.-)() then%f[^%w_]"
    if not first then
      first, _, last = line:match "%f[%w_]while ()(.-)() do%f[^%w_]"
    end
    local simple = line:find " [=~]= " and not line:find " and "
      and not line:find " or "
    if first and not simple then add(first, last - 1, "not (%s)") end
  else
    local first, whole = line:match "%f[%w_]if ()(%b())"
    if not first then first, whole = line:match "%f[%w_]while ()(%b())" end
    local simple = line:find " [=!]= " and not line:find " [&|][&|] "
    if first and not simple then
      add(first, first + #whole - 1, "(!%s)")
    end
  end
end

-- Whether a line is a statement of its own that can go: a call, an assignment
-- to what was declared elsewhere, a jump. `before` and `after` are the lines
-- around it that have code.
local function is_statement(kind, line, before, after)
  local word = line:match "^%s*(.-)%s*$"
  if kind == "c" then
    return before:find "[;{}:)]%s*$" and word:find ";$" and (
      word:find "^[%a_][%w_]*%b();$" or word == "break;" or word == "return;"
      or word:find "^%*?[%a_][%w_>%-.%[%]%+]* [%+%-|&]?= [^{]+;$"
      or word:find "^[%a_][%w_>%-.%[%]]*[%+%-][%+%-];$") and true or false
  end
  local is_free = before:find "%f[%w_]then%s*$" or before:find "%f[%w_]do%s*$"
    or before:find "%f[%w_]else%s*$" or before:find "%f[%w_]end%s*$"
    or before:find "^%s*local [%w_, ]+ = [%w_.:()]+$"
    or before:find "^%s*[%w_.:]+%b()%s*$" or before:find "function.*%)%s*$"
  local goes_on = after:find "^%s*[.:+*/<>=~]" or after:find "^%s*and "
    or after:find "^%s*or "
  return is_free and not goes_on and (word:find "^[%a_][%w_.:]*%b()$"
    or word:find "^[%a_][%w_.]* = [^{(]+$" and not word:find "[,({]$"
    or word:find "^[%a_][%w_.]* = [^{(]+%b()$") and true or false
end

-- Of a path that ends in .c or .lua, and its text.
function mutants.of(path, text)
  local kind = path:match "[^.]+$"
  local code = kind == "lua" and lua_code_of(text) or code_of(text)
  local list, lines, starts, at = {}, {}, {}, 1
  for line in (code .. "\n"):gmatch "(.-)\n" do
    lines[#lines + 1], starts[#starts + 1] = line, at
    at = at + #line + 1
  end
  local before = ""
  for n, read in ipairs(lines) do
    local line, start = read, starts[n]
    local whole = text:sub(start, start + #line - 1)
    local was = whole:match "^%s*(.-)%s*$"
    local function add(first, last, new)
      if new:find("%s", 1, true) then
        new = new:gsub("%%s", function() return whole:sub(first, last) end)
      end
      local is = whole:sub(1, first - 1) .. new .. whole:sub(last + 1)
      list[#list + 1] = { line = n, was = was, code = is:match "^%s*(.-)%s*$",
        first = start + first - 1, last = start + last - 1, text = new }
    end
    if kind == "c" and line:find "^%s*#%s*[iel]" then line = "" end -- an #if
    each_operator(line, operators[kind], add)
    each_number(line, add)
    each_condition(kind, line, add)
    if is_statement(kind, line, before, lines[n + 1] or "") then
      add(line:find "%S", #line:match "^(.-)%s*$", kind == "c" and ";" or "")
      list[#list].code = "removed: " .. was
    end
    if line:find "%S" then before = line end
  end
  return list
end

return mutants
