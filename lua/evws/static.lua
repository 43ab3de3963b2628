-- static.lua: ws.static, the files of one directory as an on_request handler.
--
-- What a path may name is decided here, once, on the decoded path. That nothing
-- outside the directory is ever opened is seen to by the kernel (file.c),
-- whatever happens to the tree meanwhile. Sections are those of RFC 9110.
-- Bytes of a request meet plain searches and anchored linear patterns only.

local core = require "evws.core"
local hint = require "evws.option_table".hint
local http_date = require "evws.http_date"

local file = core.file

local byte, find, format = string.byte, string.find, string.format
local lower, match, sub = string.lower, string.match, string.sub

local content_types = {
  css = "text/css", csv = "text/csv", htm = "text/html", html = "text/html",
  js = "text/javascript", mjs = "text/javascript", md = "text/markdown",
  txt = "text/plain", vtt = "text/vtt", json = "application/json",
  map = "application/json", webmanifest = "application/manifest+json",
  pdf = "application/pdf", wasm = "application/wasm",
  xhtml = "application/xhtml+xml", xml = "application/xml",
  gz = "application/gzip", zip = "application/zip", flac = "audio/flac",
  m4a = "audio/mp4", mp3 = "audio/mpeg", ogg = "audio/ogg",
  opus = "audio/ogg", wav = "audio/wav", otf = "font/otf", ttf = "font/ttf",
  woff = "font/woff", woff2 = "font/woff2", avif = "image/avif",
  bmp = "image/bmp", gif = "image/gif", ico = "image/vnd.microsoft.icon",
  jpeg = "image/jpeg", jpg = "image/jpeg", png = "image/png",
  svg = "image/svg+xml", webp = "image/webp", mp4 = "video/mp4",
  ogv = "video/ogg", webm = "video/webm",
}
for extension, content_type in pairs(content_types) do
  if find(content_type, "text/", 1, true) then
    content_types[extension] = content_type .. "; charset=utf-8"
  end
end

local DAY = 24 * 60 * 60 -- seconds

local reasons = {
  [301] = "Moved Permanently",
  [400] = "Bad Request",
  [404] = "Not Found",
  [405] = "Method Not Allowed",
  [412] = "Precondition Failed",
  [416] = "Range Not Satisfiable",
  [503] = "Service Unavailable",
}

-- Set here or by the engine: options.headers may not contradict them.
local computed = {}
for name in ([[accept-ranges allow cache-control connection content-length
  content-range content-type date etag keep-alive last-modified location
  trailer transfer-encoding upgrade x-content-type-options]]):gmatch("%S+") do
  computed[name] = true
end

-- Errors of opening that tell about this process or its disk, not the path.
local is_passing = {}
for _, name in ipairs { "EAGAIN", "EIO", "EMFILE", "ENFILE", "ENOMEM" } do
  is_passing[file[name]] = true
end

local defaults = {
  index = "index.html",
  cache_control = "no-cache",
  types = {},
  max_file = false,
  headers = {},
  symlinks = false,
}

local nibbles = {}
for value = 0, 15 do
  nibbles[byte(format("%x", value))] = value
  nibbles[byte(format("%X", value))] = value
end

-- RFC 3986 2.4: decodes, once. Text; or nil and a status: a NUL or a malformed
-- escape is 400, an encoded slash or a backslash names nothing we have.
local function decode(path)
  local pieces, n, from = {}, 0, 1
  local at = find(path, "%", 1, true)
  while at do
    local high, low = byte(path, at + 1, at + 2)
    high, low = nibbles[high], nibbles[low]
    if not high or not low then return nil, 400 end
    local char = string.char(high << 4 | low)
    if char == "/" then return nil, 404 end
    pieces[n + 1], pieces[n + 2] = sub(path, from, at - 1), char
    n, from = n + 2, at + 3
    at = find(path, "%", from, true)
  end
  pieces[n + 1] = sub(path, from)
  local text = table.concat(pieces)
  if find(text, "\0", 1, true) then return nil, 400 end
  if find(text, "\\", 1, true) then return nil, 404 end
  return text
end

-- Where a request's path leads below the root: "" is the root itself, a slash
-- at the end stays; or nil and a status. One rule covers ".", ".." and hidden
-- files: no segment begins with a dot, but the one that RFC 8615 puts first.
local function resolve(path)
  if sub(path, 1, 1) ~= "/" then return nil, 400 end
  local text, status = decode(path)
  if not text then return nil, status end
  local from = 2
  if sub(text, 1, 13) == "/.well-known/" then from = 14 end
  while from <= #text do
    local first = sub(text, from, from)
    if first == "/" or first == "." then return nil, 404 end
    from = (find(text, "/", from, true) or #text) + 1
  end
  return sub(text, 2)
end

-- RFC 3986 2.3: what is not unreserved is escaped (ranges, as %w would follow
-- the locale).
local function encode(path)
  return (path:gsub("[^A-Za-z0-9._~/-]", function(char)
    return format("%%%02X", byte(char))
  end))
end

local function type_of(name, types)
  local dot = find(name:reverse(), ".", 1, true)
  if not dot then return "application/octet-stream" end
  local extension = lower(sub(name, #name - dot + 2))
  return types[extension] or content_types[extension]
    or "application/octet-stream"
end

-- Is the entity tag in a list of them? A plain search will do: a tag holds no
-- quote, so in a list a match with both quotes can be nothing but the tag.
-- Strong comparison (8.8.3.2) wants it without W/ in front.
local function has_tag(list, etag, strong)
  local at = find(list, etag, 1, true)
  while at do
    if not strong or sub(list, at - 2, at - 1) ~= "W/" then return true end
    at = find(list, etag, at + 1, true)
  end
  return list == "*"
end

-- 13.2.2: in this order. 412, 304 or nil.
local function check_conditions(headers, etag, modified)
  local date
  if headers["if-match"] then
    if not has_tag(headers["if-match"], etag, true) then return 412 end
  else
    date = http_date.parse(headers["if-unmodified-since"])
    if date and modified and modified > date then return 412 end
  end
  if headers["if-none-match"] then
    return has_tag(headers["if-none-match"], etag) and 304 or nil
  end
  date = http_date.parse(headers["if-modified-since"])
  return date and modified and modified <= date and 304 or nil
end

-- 13.1.5: strong comparison; a date must be exactly ours, and of a second that
-- is over (8.8.2.2).
local function allows_range(condition, etag, modified)
  if not condition or condition == etag then return true end
  return modified and http_date.parse(condition) == modified
    and modified < os.time()
end

-- 14.1.2: first and last byte of a single range; false if the file has none of
-- it; nil to send it whole: another unit, several ranges, or nonsense.
local function parse_range(value, size)
  local first, last = match(value, "^[bB][yY][tT][eE][sS]=(%d*)%-(%d*)$")
  if not first or (first == "" and last == "") then return nil end
  -- digits beyond 2^63 give a float, which compares as it should
  first, last = tonumber(first), tonumber(last)
  if first and last and last < first then return nil end
  if not first then
    if last == 0 then return false end
    if size == 0 then return nil end -- 206 cannot say "nothing"
    return math.max(size - last, 0), size - 1
  end
  if first >= size then return false end
  return first, math.min(last or size - 1, size - 1)
end

local function add_common(site, headers)
  headers["X-Content-Type-Options"] = "nosniff"
  for name, value in pairs(site.headers) do headers[name] = value end
  return headers
end

-- Every answer that is not the file: nothing of the request comes back in it,
-- and no cache keeps it.
local function refuse(site, status, headers)
  headers = add_common(site, headers or {})
  headers["Cache-Control"] = "no-store"
  headers["Content-Type"] = content_types.txt
  return status, status .. " " .. reasons[status] .. "\n", headers
end

-- One slash in front, since resolve() found no empty segment: it can never be
-- taken for "//host".
local function redirect(site, name, query)
  local location = "/" .. encode(name) .. "/"
  if query and query ~= "" and not find(query, "[^\x21-\x7e]") then
    location = location .. "?" .. query
  end
  return refuse(site, 301, { Location = location })
end

-- What holds the file that is served: closed, unless it was handed on.
local holder = { __close = function(held)
  if held.file then held.file:close() end
end }

local piece = 64 * 1024 -- bytes; what is longer leaves as the client takes it

-- A body of bytes and what stands behind them, up to last. What cannot be sent
-- as announced, for the file has changed, is cut off, and the client sees that.
local function in_pieces(opened, bytes, at, last)
  return function(out)
    local _ <close> = opened
    while true do
      local ok, why = out:write(bytes)
      if not ok and why ~= "queue full" then return end
      at = at + (ok and #bytes or 0)
      if at > last or not out:drain() then return end
      core.sleep(ok and 0 or 0.01) -- others have their turn
      bytes = opened:read(at, math.min(piece, last - at + 1))
      if not bytes or at + #bytes > last and opened:is_changed() then return end
    end
  end
end

-- The bytes asked for, as 200 or 206. 503 when the file has become shorter:
-- the length sent is always the length announced.
local function send(site, range, held, size, headers)
  local opened = held.file
  local status, first, last = 200, 0, size - 1
  if range then
    local from, to = parse_range(range, size)
    if from == false then
      local length = format("bytes */%d", size)
      return refuse(site, 416, { ["Content-Range"] = length })
    elseif from then
      status, first, last = 206, from, to
      headers["Content-Range"] = format("bytes %d-%d/%d", from, to, size)
    end
  end
  local length = last - first + 1
  if length > site.max_file then return refuse(site, 503) end
  local body = opened:read(first, math.min(length, piece))
  if not body then return refuse(site, 503) end
  if opened:is_changed() then
    -- 8.8.1: perhaps half old, half new, so these validators are not its own,
    -- and a part without one is of no use
    if status == 206 or length > piece then return refuse(site, 503) end
    headers["ETag"], headers["Last-Modified"] = nil, nil
  end
  if length > piece then
    headers["Content-Length"] = format("%d", length)
    held.file = nil
    body = in_pieces(opened, body, first, last)
  end
  return status, body, headers
end

local function serve(site, request, held, name, size, seconds, version)
  local asked = request.headers
  local etag = '"' .. version .. '"'
  -- what was built with the epoch as its time has none that says anything
  local modified = seconds >= DAY and seconds or nil
  local condition = check_conditions(asked, etag, modified)
  if condition == 412 then return refuse(site, 412) end
  local headers = add_common(site, {
    ["Cache-Control"] = site.cache_control,
    ["ETag"] = etag,
  })
  if condition == 304 then
    headers["Content-Length"] = format("%d", size)
    return 304, nil, headers
  end
  headers["Accept-Ranges"] = "bytes"
  headers["Content-Type"] = type_of(name, site.types)
  if modified and modified <= http_date.last_second then
    -- 8.8.2.1: never later than the answer itself
    headers["Last-Modified"] = http_date.format(math.min(modified, os.time()))
  end
  if request.method == "HEAD" then -- 14.2: Range means nothing to it
    headers["Content-Length"] = format("%d", size)
    return 200, nil, headers
  end
  local range = asked["range"]
  if not allows_range(asked["if-range"], etag, modified) then range = nil end
  return send(site, range, held, size, headers)
end

local function handle(site, request)
  if request.method == "OPTIONS" and request.path == "*" then -- 9.3.7
    return 204, nil, add_common(site, { Allow = "GET, HEAD, OPTIONS" })
  end
  if request.method ~= "GET" and request.method ~= "HEAD" then
    return refuse(site, 405, { Allow = "GET, HEAD" }) -- 15.5.6
  end
  local name, status = resolve(request.path)
  if not name then return refuse(site, status) end
  local is_directory = name == "" or sub(name, -1) == "/"
  if is_directory then
    if not site.index then return refuse(site, 404) end
    name = name .. site.index
  end
  local opened, size, seconds, version = site.directory:open(name)
  if opened then
    local held <close> = setmetatable({ file = opened }, holder)
    local answer, body, headers = serve(site, request, held, name, size,
      seconds, version)
    return answer, body, headers
  end
  local code = seconds
  if code == file.EISDIR and site.index and not is_directory then
    return redirect(site, name, request.query)
  end
  return refuse(site, is_passing[code] and 503 or 404)
end

local function unknown_option(name)
  return format("unknown option '%s' for 'static'%s", tostring(name),
    hint(name, defaults))
end

-- What may stand in a header: no control byte, so no second line.
local function is_value(value)
  return type(value) == "string" and not find(value, "[\0-\31\127]")
end

local function is_token(name)
  return type(name) == "string"
    and find(name, "^[A-Za-z0-9!#$%%&'*+.^_`|~-]+$") ~= nil
end

local function copy_fields(fields, may_name)
  local copy = {}
  if type(fields) ~= "table" then return nil end
  for name, value in pairs(fields) do
    local is_good = is_token(name) and is_value(value) and may_name(name)
    if not is_good then return nil end
    copy[name] = value
  end
  return copy
end

-- For each option: the value to work with, or nil when it is no such value.
local checks = {
  index = function(value)
    local is_name = value == false or type(value) == "string" and value ~= ""
      and value ~= "." and value ~= ".." and not find(value, "[/\\\0]")
    if is_name then return value end
  end,
  cache_control = function(value)
    return is_value(value) and value or nil
  end,
  max_file = function(value)
    if value == false then return math.huge end
    return type(value) == "number" and value >= 0 and value or nil
  end,
  symlinks = function(value)
    if type(value) == "boolean" then return value end
  end,
  types = function(value)
    return copy_fields(value, function(name)
      return not find(name, "[.A-Z]")
    end)
  end,
  headers = function(value)
    return copy_fields(value, function(name)
      return not computed[lower(name)]
    end)
  end,
}

local expected = {
  index = "a file name or false",
  cache_control = "a header value",
  max_file = "bytes or false",
  symlinks = "a boolean",
  types = "{ extension = type } in lower case without dots",
  headers = "{ name = value }, valid and none that the server sets itself",
}

-- The settings of a handler; or nil and what is wrong with the options.
local function read_options(options)
  for name in pairs(options) do
    if defaults[name] == nil then return nil, unknown_option(name) end
  end
  local site = {}
  for name, default in pairs(defaults) do
    local value = options[name]
    if value == nil then value = default end
    site[name] = checks[name](value)
    if site[name] == nil then
      return nil, format("bad option '%s' for 'static' (%s expected)", name,
        expected[name])
    end
  end
  return site
end

---Returns an `on_request` handler that serves the files of one directory and
---nothing outside it: GET and HEAD, ETag and Last-Modified, single ranges.
---What is no regular file, or has a name beginning with a dot, is 404.
---
---The directory is opened here and kept: when it is renamed, or a link to it
---changed, the handler stays with the old one. This call stands in the options
---of `ws.listen`, so a directory that cannot be opened raises like wrong use:
---at the caller's line, with the path and the reason.
---@param directory string
---@param options? evws.StaticOptions
---@return fun(request: evws.Request): integer, string?, table<string, string>
return function(directory, options)
  if type(directory) ~= "string" or find(directory, "\0", 1, true) then
    local got = type(directory)
    if got == "string" then got = "one with a zero byte" end
    error(format("bad argument #1 to 'static' (path expected, got %s)", got), 2)
  elseif options ~= nil and type(options) ~= "table" then
    error(format("bad argument #2 to 'static' (table expected, got %s)",
      type(options)), 2)
  end
  local site, problem = read_options(options or {})
  if not site then error(problem, 2) end
  site.directory, problem = file.open_directory(directory, site.symlinks)
  if not site.directory then
    error(format("cannot serve '%s': %s", directory, problem), 2)
  end
  return function(request)
    return handle(site, request)
  end
end
