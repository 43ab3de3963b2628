-- The command line of evws, read by the table in manual.lua.

local manual = require "evws.command.manual"
local words = require "evws.command.words"

local arguments = {}

-- What others call it.
local others = {
  ["--connect"] = "the URL stands by itself",
  ["--execute"] = "a message stands behind the URL",
  ["--no-check"] = "--insecure",
  ["--no-color"] = "NO_COLOR=1",
  ["--passphrase"] = "a key without a password",
  ["--protocol"] = "--subprotocol",
  ["--text"] = "text is the default",
  ["--user"] = "--auth",
}

local fail = words.fail

local number = words.number

local function size(name, text)
  if text == "none" then return false end
  local digits, unit = text:match "^(%d+)([KMG]?)$"
  local shift = ({ [""] = 0, K = 10, M = 20, G = 30 })[unit]
  local value = digits and #digits < 10 and math.tointeger(digits) << shift
  if not value or value == 0 then
    fail("--%s: bytes (64K, 16M) or none expected, not '%s'", name, text)
  end
  return value
end

local function base64(bytes)
  local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    .. "0123456789+/"
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local word = a << 16 | (b or 0) << 8 | (c or 0)
    for shift = 18, 0, -6 do
      local digit = word >> shift & 63
      out[#out + 1] = digits:sub(digit + 1, digit + 1)
    end
    if not b then out[#out - 1] = "=" end
    if not c then out[#out] = "=" end
  end
  return table.concat(out)
end

local function add_header(o, name, value)
  o.headers = o.headers or {}
  o.headers[name] = o.headers[name] or {}
  table.insert(o.headers[name], value)
end

-- What is done with a value; others are kept as they are.
local take = {
  timeout = function(o, text) o.timeout = number("timeout", text, 0.001) end,
  interval = function(o, text) o.interval = number("interval", text, 0) end,
  count = function(o, text) o.count = number("count", text, 1, true) end,
  wait = function(o, text)
    o.wait = text == "forever" and math.huge or number("wait", text, 0)
  end,
  ["max-message"] = function(o, text)
    o.max_message = size("max-message", text)
  end,
  subprotocol = function(o, text)
    o.subprotocols = o.subprotocols or {}
    table.insert(o.subprotocols, text)
  end,
  auth = function(o, text)
    if not text:find ":" then
      fail("--auth: USER:PASSWORD expected, not '%s'", text)
    end
    add_header(o, "Authorization", "Basic " .. base64(text))
  end,
  proxy = function(o, text) o.proxy = text == "env" or text end,
  ["proxy-ca"] = function(o, text) o.proxy_tls = { ca = text } end,
  header = function(o, text)
    local name, value = text:match "^([^:%s]+):%s*(.-)%s*$"
    if not name then
      fail("--header: 'Name: value' expected, not '%s'", text)
    end
    add_header(o, name, value)
  end,
}

local function with_scheme(url)
  if url:find "^ws%+unix:" then return url end
  local scheme, rest = url:match "^(%a[%w+.-]*)(://.*)$"
  if not scheme then return "ws://" .. url end
  local same = { http = "ws", https = "wss" }
  return (same[scheme:lower()] or scheme) .. rest
end

local function check(o, rest)
  if o.key and not o.cert then fail "--key: --cert is missing" end
  if #rest == 0 then fail "a URL is missing" end
  o.url = with_scheme(table.remove(rest, 1))
  if o.ping and #rest > 0 then fail "--ping sends no messages" end
  o.messages = #rest > 0 and rest or nil
end

--- The options as a table, with `url` and `messages`; what is wrong is raised
--- as { usage = text }.
function arguments.read(list)
  local o, rest, behind = words.read(list, manual.groups, take, others)
  table.move(behind, 1, #behind, #rest + 1, rest)
  if not o.help and not o.version then check(o, rest) end
  return o
end

return arguments
