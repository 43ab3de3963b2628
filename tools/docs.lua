-- Makes docs/api.md out of library/evws.lua and library/evws/, the one place
-- where functions, options and properties are described:
--
--   lua tools/docs.lua >docs/api.md      (make docs)
--
-- Functions stand first, in the order of the sections there; options and types
-- follow, for they are looked up. A table of contents leads to each.

-- What is put out: { title =, lines =, headings = }. The first has no title,
-- the options are one.
local options = { title = "Options and types", lines = {}, headings = {} }
local sections = { { lines = {}, headings = {} } }
local home = sections[1] -- by the last title
local section = home

local function put(...)
  section.lines[#section.lines + 1] = table.concat { ... }
end

local function put_heading(name)
  section.headings[#section.headings + 1] = name
  put("### ", name, "\n")
end

local function begin_section(title)
  home = title == "Options" and options
    or { title = title, lines = {}, headings = {} }
  if home ~= options then sections[#sections + 1] = home end
end

-- Lines of a comment as Markdown: those of a paragraph become one line.
local function text(lines)
  local parts, paragraph, is_code = {}, {}, false
  local function close()
    if #paragraph > 0 then
      parts[#parts + 1] = table.concat(paragraph, " ")
      paragraph = {}
    end
  end
  local code = {}
  for _, line in ipairs(lines) do
    if line:find "^```" then
      close()
      code[#code + 1] = line
      if is_code then
        parts[#parts + 1] = table.concat(code, "\n")
        code = {}
      end
      is_code = not is_code
    elseif is_code then
      code[#code + 1] = line
    elseif line == "" then
      close()
    elseif line:find "^%s*[%*%-] " then
      close()
      paragraph = { (line:gsub("^%s*%*", "-")) }
    else
      paragraph[#paragraph + 1] = (line:gsub("^%s+", ""))
    end
  end
  close()
  return table.concat(parts, "\n\n")
end

-- A type and what is said behind it: spaces end the type, but not in brackets,
-- quotes, or behind a comma or a colon.
local function split_type(s)
  local depth, quote, i = 0, nil, 1
  while i <= #s do
    local c = s:sub(i, i)
    if quote then
      if c == quote then quote = nil end
    elseif c == '"' then
      quote = c
    elseif c:find "[%(%[{<]" then
      depth = depth + 1
    elseif c:find "[%)%]}>]" then
      depth = depth - 1
    elseif c == " " and depth == 0 and not s:sub(i - 1, i - 1):find "[,:]" then
      break
    end
    i = i + 1
  end
  return s:sub(1, i - 1), s:sub(i + 1)
end

local function code(s)
  return "`" .. s .. "`"
end

local function put_field(name, rest, lines)
  local is_optional = name:find "%?$"
  local type, about = split_type(rest)
  if about ~= "" then lines[#lines + 1] = about end
  put("- **", code((name:gsub("%?$", ""))), "** ",
    code(type), is_optional and ", optional" or "")
  local words = text(lines)
  if words ~= "" then put("\n  ", (words:gsub("\n", "\n  "))) end
  put ""
end

local function put_values(title, list)
  if #list == 0 then return end
  put(title, "\n")
  for _, value in ipairs(list) do
    put("- ", code(value.name), " ", code(value.type),
      value.is_optional and ", optional" or "",
      value.about ~= "" and ": " .. value.about or "")
  end
  put ""
end

local function new_block()
  return { lines = {}, params = {}, returns = {} }
end

local function value_of(name, rest)
  local type, about = split_type(rest)
  return { name = (name:gsub("%?$", "")), type = type, about = about,
    is_optional = name:find "%?$" ~= nil }
end

local function result_of(rest)
  local type, more = split_type(rest)
  local name, about = more:match "^(%S*)%s*(.*)$"
  return { name = name ~= "" and name or "result", type = type, about = about }
end

local function put_function(block, signature)
  section = home
  put_heading(code(signature))
  put(text(block.lines), "\n")
  put_values("Arguments:", block.params)
  put_values("Returns:", block.returns)
end

local function put_class(block, name, parent)
  -- what no section has is a type, but for the module itself
  local is_type = name:find "Options$" or home == sections[1]
  section = is_type and name ~= "evws" and options or home
  put_heading(name)
  local words = text(block.lines)
  if words ~= "" then put(words, "\n") end
  if parent:find "^evws" then
    put("Has everything of ", code(parent), " as well.\n")
  end
end

-- What a comment before a blank line is about has been put by then.
local function annotation(block, line)
  local class, parent = line:match "^%-%-%-@class ([%w_.]+):? ?([%w_.]*)"
  local field, rest = line:match "^%-%-%-@field ([%w_]+%??) (.+)$"
  local param, kind = line:match "^%-%-%-@param ([%w_.]+%??) (.+)$"
  local alias, means = line:match "^%-%-%-@alias ([%w_.]+) (.+)$"
  local result = line:match "^%-%-%-@return (.+)$"
  if class then
    put_class(block, class, parent)
    block.lines = {}
  elseif field then
    put_field(field, rest, block.lines)
    block.lines = {}
  elseif alias then
    section = home == sections[1] and options or home
    put_heading(alias)
    put(code(means), "\n")
    if #block.lines > 0 then put(text(block.lines), "\n") end
    block.lines = {}
  elseif param then
    block.params[#block.params + 1] = value_of(param, kind)
  elseif result then
    block.returns[#block.returns + 1] = result_of(result)
  end
end

local function run(library)
  local block, title, manners = new_block(), nil, nil
  for line in library:gmatch "([^\n]*)\n" do
    local signature = line:match "^function (.+) end$"
    local comment = line:match "^%-%-%-([^@].*)$"
      or (line == "---" and "") or nil
    local plain = line:match "^%-%- ?(.*)$"
    if signature then
      put_function(block, signature)
      block = new_block()
    elseif line:find "^%-%-%-@" then
      annotation(block, line)
    elseif line:find "^%-%- %-%-%-" then
      title = not title
    elseif title then
      begin_section(plain)
    elseif comment then
      block.lines[#block.lines + 1] = comment
    elseif plain and not manners then
      manners = { plain }
    elseif plain and type(manners) == "table" then
      manners[#manners + 1] = plain
    elseif line == "" then
      if type(manners) == "table" then
        table.remove(manners, 1)
        table.remove(manners, 1)
        put(text(manners), "\n")
        manners = true
      end
      block = new_block()
    end
  end
end

-- As the web makes anchors of headings.
local function anchor(heading)
  return "#" .. heading:lower():gsub("[^%w %-_]", ""):gsub(" ", "-")
end

local function contents()
  local list = { "## Contents\n" }
  for i = 2, #sections do
    local one, links = sections[i], {}
    for _, heading in ipairs(one.headings) do
      local name = heading:gsub("%(.*%)", "")
      links[#links + 1] = ("[%s](%s)"):format(name, anchor(heading))
    end
    list[#list + 1] = ("- [%s](%s): %s"):format(one.title, anchor(one.title),
      table.concat(links, ", "))
  end
  list[#list + 1] = ""
  return list
end

local folder = (arg[0]:match "^(.*)/tools/" or ".") .. "/library/"
put [[
# Reference

<!-- made by `make docs` from library/; edits here are lost -->
]]
for _, name in ipairs { "evws", "evws/signalr", "evws/channels",
  "evws/messagepack", "evws/sim" } do
  local file = assert(io.open(folder .. name .. ".lua"))
  run(file:read "a")
  file:close()
end
sections[#sections + 1] = options
local out = {}
for i, one in ipairs(sections) do
  if i == 2 then table.move(contents(), 1, 2 * #sections, #out + 1, out) end
  if one.title then out[#out + 1] = "## " .. one.title .. "\n" end
  table.move(one.lines, 1, #one.lines, #out + 1, out)
end
local page = table.concat(out, "\n"):gsub("\n\n\n+", "\n\n"):gsub("%s*$", "\n")
io.write(page)
