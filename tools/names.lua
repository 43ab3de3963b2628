-- What a C file defines, declares, uses and includes, for tools/rooms.lua.
-- It is read as clang-format leaves it, without a preprocessor: of an #if,
-- all branches count.

local names = {}

local function blank(text)
  return (text:gsub("[^\n]", " "))
end

-- The text with comments, strings and characters blanked.
function names.code_of(text)
  local out, from = {}, 1
  while true do
    local at = text:find("[/\"']", from)
    if not at then break end
    local stop
    local two = text:sub(at, at + 1)
    if two == "/*" then
      stop = select(2, text:find("*/", at + 2, true))
    elseif two == "//" then
      stop = (text:find("\n", at, true) or #text + 1) - 1
    elseif two:sub(1, 1) ~= "/" then
      stop = at + 1
      while stop <= #text and text:sub(stop, stop) ~= two:sub(1, 1) do
        stop = stop + (text:sub(stop, stop) == "\\" and 2 or 1)
      end
    else
      stop = at - 1
      out[#out + 1] = text:sub(from, at)
      from = at + 1
    end
    if stop ~= at - 1 then
      stop = stop or #text
      out[#out + 1] = text:sub(from, at - 1)
      out[#out + 1] = blank(text:sub(at, stop))
      from = stop + 1
    end
  end
  out[#out + 1] = text:sub(from)
  return table.concat(out)
end

local keywords = {}
for name in ([[if for while switch return sizeof do else case default
  typeof _Static_assert static_assert _Alignof alignof defined]])
  :gmatch("%S+") do
  keywords[name] = true
end

-- The lines of the preprocessor, and the text without them.
local function directives_of(code)
  local list = {}
  code = ("\n" .. code):gsub("(\n[ \t]*)(#[^\n]*)", function(before, line)
    return before .. "\1" .. line
  end)
  local out, from = {}, 1
  while true do
    local at = code:find("\1", from, true)
    if not at then break end
    local stop = at
    repeat -- a backslash at the end continues it
      stop = code:find("\n", stop + 1, true) or #code + 1
    until code:sub(stop - 1, stop - 1) ~= "\\"
    local line = code:sub(at + 1, stop - 1)
    list[#list + 1] = line:gsub("[\1\\]", " ")
    out[#out + 1] = code:sub(from, at - 1)
    out[#out + 1] = line:gsub("[^\n]", " ")
    from = stop
  end
  out[#out + 1] = code:sub(from)
  return list, (table.concat(out):gsub("\1", ""))
end

local function each_name(text, fn)
  for at, name in text:gmatch("()%f[%w_]([%a_][%w_]*)") do
    local before = text:sub(math.max(at - 12, 1), at - 1)
    local is_member = before:find("%->%s*$") or before:find("%.%s*$")
    if not is_member and not keywords[name] then fn(name) end
  end
end

-- The outermost things of a text: calls fn(head, bodies), where the head is
-- what stands outside of braces and each body is { text, kind }.
local function each_outermost(code, fn)
  local head, bodies, depth, from, parens = "", {}, 0, 1, 0
  local is_value = false
  for at, c in code:gmatch("()([{}();=])") do
    if depth == 0 and c == "(" then
      parens = parens + 1
    elseif depth == 0 and c == ")" then
      parens = parens - 1
    elseif c == "=" then
      is_value = is_value or depth == 0 and parens == 0
    elseif c == "{" then
      if depth == 0 then
        head, from = head .. code:sub(from, at - 1), at + 1
      end
      depth = depth + 1
    elseif c == "}" then
      depth = depth - 1
      if depth == 0 then
        local is_function = not is_value and head:find("%)%s*$") ~= nil
        bodies[#bodies + 1] = { code:sub(from, at - 1),
          is_value and "value" or is_function and "function" or "type" }
        head, from = head .. " ", at + 1
        if is_function then
          fn(head, bodies)
          head, bodies, is_value = "", {}, false
        end
      end
    elseif c == ";" and depth == 0 and parens == 0 then
      fn(head .. code:sub(from, at - 1), bodies)
      head, bodies, from, is_value = "", {}, at + 1, false
    end
  end
  return depth == 0
end

local function note(list, name, value)
  if not list[name] then list[#list + 1] = name end
  list[name] = value
end

-- What a head declares: a name, and whether it is a function's.
local function declared(head)
  head = head:gsub("__attribute__%s*%b()", " "):gsub("%b[]", " ")
  head = head:gsub("=.*", "")
  if head:find("%f[%w_]typedef%f[^%w_]") then return nil end
  local pointer = head:match("%(%s*%*%s*const%s+([%a_][%w_]*)%s*%)")
    or head:match("%(%s*%*%s*([%a_][%w_]*)%s*%)%s*%(")
  local before = head:match("^(.-)%(")
  if pointer and not before:find("[%w_]+%s*[%s*]+[%w_]+%s*$") then
    return pointer, false
  end
  local called = head:match("([%a_][%w_]*)%s*%b()%s*$")
  if called then return not keywords[called] and called or nil, true end
  local kind, rest = head:match("^%s*(%a+)%s+[%w_]*%s*(.-)%s*$")
  if (kind == "struct" or kind == "enum" or kind == "union") and rest == ""
  then
    return nil
  end
  return head:match("[%s*]([%a_][%w_]*)%s*$"), false
end

local function has_word(head, word)
  return head:find("%f[%w_]" .. word .. "%f[^%w_]") ~= nil
end

-- Each set is a list, and keyed by the names in it; defines has "function",
-- "variable", "inline" or "macro" (with arguments) for a name.
function names.read(path, text)
  local file = { path = path, defines = {}, declares = {}, own = {},
    uses = {}, includes = {} }
  local is_header = path:find("%.h$") ~= nil
  for line in text:gmatch("[^\n]+") do
    local header = line:match('^%s*#%s*include%s*"([^"]+)"')
    if header then note(file.includes, "src/" .. header, true) end
  end
  local function use(name)
    note(file.uses, name, true)
  end
  local directives, rest = directives_of(names.code_of(text))
  for _, line in ipairs(directives) do
    local name, call, body =
      line:match("^#%s*define%s+([%a_][%w_]*)(%(?)(.*)")
    if name then
      if is_header and call == "(" then note(file.defines, name, "macro") end
      each_name(body, use)
    end
  end
  local is_whole = each_outermost(rest, function(head, bodies)
    local last = bodies[#bodies]
    local name, is_function = declared(head)
    local value = head:match("=(.*)")
    if value then each_name(value, use) end
    for _, body in ipairs(bodies) do
      if body[2] ~= "type" then each_name(body[1], use) end
    end
    if not name then return end
    local is_static = has_word(head, "static")
    local is_body = last and last[2] == "function"
    if is_static and not is_header then
      file.own[name] = true
    elseif is_static then
      note(file.defines, name, is_body and "inline" or "variable")
    elseif is_body or not is_function and not has_word(head, "extern") then
      note(file.defines, name, is_body and "function" or "variable")
    else
      note(file.declares, name, true)
    end
  end)
  file.is_whole = is_whole
  return file
end

names.note = note

return names
