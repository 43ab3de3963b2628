-- cookies.lua: ws.parse_cookies and ws.cookie: what a browser sends back, and
-- what it is told to keep (RFC 6265).

local hint = require "evws.option_table".hint
local http_date = require "evws.http_date"

local byte, char, find, format, gmatch, gsub, match =
  string.byte, string.char, string.find, string.format, string.gmatch,
  string.gsub, string.match

local most_cookies = 256 -- that are looked at
local most_bytes = 4096 -- RFC 6265 6.1: of one that every browser keeps

local cookies = {}

local function bad(argument, fn, problem)
  error(("bad argument #%d to '%s' (%s)"):format(argument, fn, problem), 3)
end

-- ---- reading ----

-- In one pass, whatever there is.
local function trim(text)
  return match(text, "^[ \t]*(.*[^ \t])") or ""
end

-- 4.1.1: the quotes around a value are not of it.
local function decode(value)
  value = match(value, '^"(.*)"$') or value
  if not find(value, "%", 1, true) then return value end
  return (gsub(value, "%%(%x%x)", function(hex)
    return char(tonumber(hex, 16))
  end))
end

function cookies.parse(field)
  if field == nil then return {} end
  if type(field) ~= "string" then
    bad(1, "parse_cookies", "string expected, got " .. type(field))
  end
  local values, n = {}, 0
  for pair in gmatch(field, "[^;]+") do
    n = n + 1
    if n > most_cookies then break end
    local equals = find(pair, "=", 1, true)
    local name = equals and trim(pair:sub(1, equals - 1)) or ""
    if name ~= "" and values[name] == nil then
      values[name] = decode(trim(pair:sub(equals + 1)))
    end
  end
  return values
end

-- ---- writing ----

local same_sites = { strict = "Strict", lax = "Lax", none = "None" }

-- Each: what it may be, and how it is written; nil: it may not be that.
local attributes = {
  { "max_age", "Max-Age", "whole seconds", function(value)
    return math.type(value) == "integer" and format("%d", value)
  end },
  { "expires", "Expires", "a time in seconds since 1970", function(value)
    if type(value) ~= "number" or value ~= value or value < 0
      or value > http_date.last_second then
      return nil
    end
    return http_date.format(value // 1 | 0)
  end },
  { "domain", "Domain", "a host name", function(value)
    return type(value) == "string" and match(value, "^%.?[%w%-]+[%w.%-]*$")
  end },
  { "path", "Path", "a path that begins with / and has no ;", function(value)
    return type(value) == "string" and match(value, "^/[^;%c\128-\255]*$")
  end },
  { "secure", "Secure", "a boolean" },
  { "http_only", "HttpOnly", "a boolean" },
  { "same_site", "SameSite", '"strict", "lax" or "none"', function(value)
    return type(value) == "string" and same_sites[value:lower()]
  end },
  { "partitioned", "Partitioned", "a boolean" },
}
local defaults = { path = "/", http_only = true, same_site = "lax" }

local names = {}
for _, attribute in ipairs(attributes) do names[attribute[1]] = true end

local function check_names(options)
  for name in pairs(options) do
    if not names[name] then
      error(("unknown option '%s' for 'cookie'%s"):format(tostring(name),
        hint(name, names)), 3)
    end
  end
end

-- What a browser would drop without a word is told to whoever writes it.
local function check_together(name, options)
  local prefix = match(name:lower(), "^__(%l+)%-")
  local function needs(what, why)
    error(("option '%s' is missing (%s needs it)"):format(what, why), 4)
  end
  if not options.secure then
    if prefix == "secure" or prefix == "host" then
      needs("secure", "a name that begins with " .. name:match "^__%a+%-")
    end
    if options.same_site and options.same_site:lower() == "none" then
      needs("secure", "same_site = \"none\"")
    end
    if options.partitioned then needs("secure", "'partitioned'") end
  end
  if prefix == "host" and (options.domain or options.path ~= "/") then
    error("a name that begins with __Host- has the path / and no domain", 3)
  end
end

-- 4.1.1: a value has no blanks, quotes, commas, semicolons and backslashes, and
-- is ASCII; what it may not have is written as in a URL.
local function encode(value)
  return (gsub(value, '[^!#$&-+%-.-:<-Z%[%]^-~]', function(c)
    return format("%%%02X", byte(c))
  end))
end

local function written(attribute, value)
  local _, name, expected, write = table.unpack(attribute)
  local text = ""
  if write then
    text = write(value)
  elseif value ~= true then
    text = nil
  end
  if not text then
    error(("bad option '%s' (%s expected, got %s)"):format(attribute[1],
      expected, type(value) == "string" and format("%q", value)
      or tostring(value)), 3)
  end
  return "; " .. name .. (write and "=" .. text or "")
end

function cookies.write(name, value, options)
  if type(name) ~= "string" then
    bad(1, "cookie", "string expected, got " .. type(name))
  elseif not find(name, "^[%w!#$%%&'*+%-.^_`|~]+$") then
    bad(1, "cookie", ("%q is no name of a cookie"):format(name))
  elseif type(value) ~= "string" then
    bad(2, "cookie", "string expected, got " .. type(value))
  elseif options ~= nil and type(options) ~= "table" then
    bad(3, "cookie", "table expected, got " .. type(options))
  end
  local all = {}
  for key, default in pairs(defaults) do all[key] = default end
  for key, given in pairs(options or {}) do all[key] = given end
  check_names(all)
  local text = encode(value)
  if #name + #text + 1 > most_bytes then
    bad(2, "cookie", "name and value are longer than 4096 bytes")
  end
  text = name .. "=" .. text
  for _, attribute in ipairs(attributes) do
    local given = all[attribute[1]]
    if given ~= nil and given ~= false then
      text = text .. written(attribute, given)
    end
  end
  check_together(name, all)
  return text
end

return cookies
