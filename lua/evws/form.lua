-- form.lua: ws.parse_form: what a page's form sends, either way that a form has
-- (application/x-www-form-urlencoded; multipart/form-data, RFC 7578).

local parse_query = require "evws.query"

local find, gmatch, gsub, lower, match, sub = string.find, string.gmatch,
  string.gsub, string.lower, string.match, string.sub

local most_parts = 256
local most_head = 8192 -- bytes of the head of a part

-- A value in quotes, which begins at `at`, and where it ends. Browsers write a
-- quote in a name as %22; others write \" (RFC 9110 5.6.4).
local function quoted(field, at)
  local stop = at + 1
  while stop <= #field and sub(field, stop, stop) ~= '"' do
    stop = stop + (find(field, '^\\["\\]', stop) and 2 or 1)
  end
  return (gsub(sub(field, at + 1, stop - 1), '\\(["\\])', "%1")), stop
end

-- The first parameter of this name of a header field.
local function parameter(field, wanted)
  local at = find(field, ";", 1, true)
  while at do
    local name, stop = match(field, "^[ \t]*([^%s=;]+)=()", at + 1)
    local value
    if name and sub(field, stop, stop) == '"' then
      value, stop = quoted(field, stop)
    elseif name then
      value = match(field, "^[^%s;]*", stop)
    end
    if name and lower(name) == wanted then return value end
    at = find(field, ";", stop or at + 1, true)
  end
end

local function unescape(name)
  return name and (gsub(name, "%%(%x%x)", function(hex)
    local code = lower(hex)
    return code == "22" and '"' or code == "0d" and "\r"
      or code == "0a" and "\n" or nil
  end))
end

-- Name in lower case to value; nil when a line is none of a header's.
local function fields_of(head)
  local fields = {}
  for line in gmatch(head, "([^\r\n]+)\r\n") do
    local name, value = match(line, "^([%w%-]+):[ \t]*(.*)$")
    if not name then return nil end
    value = match(value, "^.*[^ \t]") or "" -- in one pass
    fields[lower(name)] = fields[lower(name)] or value
  end
  return fields
end

-- What a browser says may be a whole path (RFC 7578 4.2): its last part is the
-- name, and never leads out of a directory.
local function file_name(name)
  local last = match(name, "[^/\\]*$")
  return (last == "." or last == "..") and "" or last
end

local function read_part(head, body, form, files)
  local fields = fields_of(head)
  local disposition = fields and fields["content-disposition"]
  if not disposition or not find(lower(disposition), "^form%-data[ \t]*;") then
    return nil, "a part without Content-Disposition: form-data"
  end
  local name = unescape(parameter(disposition, "name"))
  if not name then return nil, "a part without a name" end
  local file = unescape(parameter(disposition, "filename"))
  if file == "" and body == "" then -- none was chosen
    return true
  elseif file then
    files[#files + 1] = { field = name, name = file_name(file), body = body,
      type = fields["content-type"] or "application/octet-stream" }
  elseif form[name] == nil then
    form[name] = body
  end
  return true
end

-- What stands in text[at, ...) behind a delimiter: nothing more, or a part, up
-- to the next one, whose end is returned.
local function next_part(text, at, delimiter, form, files)
  local _, line = find(text, "^[ \t]*\r\n", at)
  local _, head = find(text, "\r\n\r\n", (line or at) - 1, true)
  local stop, last = find(text, delimiter, (head or #text + 1) - 1, true)
  if not line or not stop then return nil, "the form is cut short" end
  if head - line > most_head then
    return nil, "the head of a part is too long"
  end
  local ok, why = read_part(sub(text, line + 1, head - 2),
    sub(text, head + 1, stop - 1), form, files)
  return ok and last + 1, why
end

-- RFC 2046 5.1.1. What stands before the first delimiter and behind the last
-- one is nobody's.
local function parse_multipart(body, boundary)
  if not boundary or #boundary > 70 or not find(boundary, "^[ -~]*[!-~]$") then
    return nil, "the form has no boundary"
  end
  local form, files, n, why = {}, {}, 0, "the form is cut short"
  local text, delimiter = "\r\n" .. body, "\r\n--" .. boundary
  local _, at = find(text, delimiter, 1, true)
  at = at and at + 1
  while at and sub(text, at, at + 1) ~= "--" do
    n = n + 1
    if n > most_parts then return nil, "the form has too many parts" end
    at, why = next_part(text, at, delimiter, form, files)
  end
  if not at then return nil, why end
  return form, files
end

return function(request)
  if type(request) ~= "table" or type(request.headers) ~= "table" then
    error(("bad argument #1 to 'parse_form' (a request expected, got %s)")
      :format(type(request)), 2)
  end
  local field = request.headers["content-type"] or ""
  local kind = lower(match(field, "^[^%s;]*"))
  if kind == "application/x-www-form-urlencoded" then
    return parse_query(request.body), {}
  elseif kind == "multipart/form-data" then
    return parse_multipart(request.body, parameter(field, "boundary"))
  end
  return nil, kind == "" and "no form: no Content-Type"
    or "no form: " .. kind
end
