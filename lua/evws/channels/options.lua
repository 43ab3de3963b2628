-- options.lua: the options of channels.new: names, types, defaults.

local core = require "evws.core"
local namespaces = require "evws.channels.namespaces"

local options = {}

options.defaults = {
  origins = "same",
  ping = 25,
  pong = false,
  pong_timeout = 8,
  connect_timeout = 15,
  expiry_grace = 25,
  max_command = 64 * 1024,
  max_message = 1024 * 1024,
  max_subscriptions = 128,
  max_channel = 255,
  max_depth = 64,
  max_recovered = 300,
  max_history = 300,
  parallel = 16,
  max_commands = 256,
  max_per_user = false,
}

local function is_whole(least, most)
  return function(value)
    return math.type(value) == "integer" and value >= least and value <= most,
      ("a whole number from %d to %d"):format(least, most)
  end
end

local function is_seconds(value)
  return type(value) == "number" and value > 0 and value < math.huge,
    "seconds above 0"
end

local function or_false(check)
  return function(value)
    local ok, expected = check(value)
    return value == false or ok, expected .. ", or false"
  end
end

local function is_type(kind)
  return function(value) return type(value) == kind, "a " .. kind end
end

local function is_rpc(value)
  if type(value) ~= "table" then return false, "a table of functions" end
  for name, fn in pairs(value) do
    if type(name) ~= "string" or type(fn) ~= "function" then
      return false, "names and functions"
    end
  end
  return true
end

local function any() return true end

local large = 1 << 40

local checks = {
  connect = is_type "function", refresh = is_type "function",
  on_message = is_type "function", on_subscribed = is_type "function",
  on_unsubscribed = is_type "function", on_disconnected = is_type "function",
  on_error = is_type "function",
  secret = function(value)
    return type(value) == "string" and value ~= "", "a string, not empty"
  end,
  namespaces = is_type "table", rpc = is_rpc,
  origins = any, compression = any, message_rate = any, max_lifetime = any,
  ping = or_false(is_whole(1, 3600)), pong = is_type "boolean",
  pong_timeout = is_seconds, connect_timeout = is_seconds,
  expiry_grace = is_seconds,
  max_command = is_whole(64, 0x7fffffff),
  max_message = is_whole(64, 0x7fffffff),
  max_subscriptions = is_whole(1, 1000000),
  max_channel = is_whole(1, 65535), max_depth = is_whole(2, 1000),
  max_recovered = is_whole(0, 1000000), max_history = is_whole(1, 1000000),
  parallel = is_whole(1, 60000), max_commands = is_whole(1, 1000000),
  max_per_user = or_false(is_whole(1, large)),
}
options.checks = checks

local function unknown(name, level)
  local names = {}
  for known in pairs(checks) do names[#names + 1] = known end
  table.sort(names)
  local near = core.suggest(tostring(name), names)
  error(("unknown option '%s' for 'channels'%s"):format(tostring(name),
    near and (" (did you mean '%s'?)"):format(near) or ""), level + 1)
end

-- Of namespaces that ask for tokens.
local function check_secret(read, level)
  if read.secret then return end
  for _, one in ipairs(read.rights.list) do
    if one.subscribe == "token" then
      error(("namespace '%s': subscribe = \"token\" needs the option 'secret'")
        :format(one.pattern), level + 1)
    end
  end
end

-- A checked copy with every default; .rights are the namespaces. Raises at the
-- line `level` calls up.
function options.read(given, level)
  if given == nil then given = {} end
  if type(given) ~= "table" then
    error(("bad argument #1 to 'new' (table expected, got %s)"):format(
      type(given)), level + 1)
  end
  local read = {}
  for name, value in pairs(options.defaults) do read[name] = value end
  for name, value in pairs(given) do
    if not checks[name] then unknown(name, level + 1) end
    local ok, expected = checks[name](value)
    if not ok then
      error(("bad option '%s' for 'channels' (%s expected)"):format(name,
        expected), level + 1)
    end
    read[name] = value
  end
  if read.pong and not read.ping then
    error("bad option 'pong' for 'channels' (there is no ping to answer)",
      level + 1)
  end
  read.rights = namespaces.new(read.namespaces or {}, read.max_channel,
    core.suggest, level + 1)
  local methods = {}
  for name, fn in pairs(read.rpc or {}) do methods[name] = fn end
  read.rpc = methods
  check_secret(read, level + 1)
  return read
end

return options
