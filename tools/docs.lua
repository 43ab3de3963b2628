-- Makes docs/api.md out of library/evws.lua and library/evws/, the one place
-- where functions, options and properties are described:
--
--   lua tools/docs.lua >docs/api.md      (make docs)

local out = {}

local function put(...)
  out[#out + 1] = table.concat { ... }
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
  put("### ", code(signature), "\n")
  put(text(block.lines), "\n")
  put_values("Arguments:", block.params)
  put_values("Returns:", block.returns)
end

local function put_class(block, name, parent)
  put("### ", name, "\n")
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
    put("### ", alias, "\n")
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
      put("## ", plain, "\n")
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

local folder = (arg[0]:match "^(.*)/tools/" or ".") .. "/library/"
put [[
# Reference

<!-- made by `make docs` from library/; edits here are lost -->
]]
for _, name in ipairs { "evws", "evws/messagepack" } do
  local file = assert(io.open(folder .. name .. ".lua"))
  run(file:read "a")
  file:close()
end
local page = table.concat(out, "\n"):gsub("\n\n\n+", "\n\n"):gsub("%s*$", "\n")
io.write(page)
