-- options.lua: the options of channels.new: names, types, defaults.

local namespaces = require "evws.channels.namespaces"
local table_of = require "evws.option_table"

local any, is_seconds = table_of.any, table_of.is_seconds
local is_type, is_whole = table_of.is_type, table_of.is_whole
local or_false = table_of.or_false

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

local function is_rpc(value)
  if type(value) ~= "table" then return false, "a table of functions" end
  for name, fn in pairs(value) do
    if type(name) ~= "string" or type(fn) ~= "function" then
      return false, "names and functions"
    end
  end
  return true
end

local large = 1 << 40

local checks = {
  connect = is_type "function", refresh = is_type "function",
  on_message = is_type "function", on_subscribed = is_type "function",
  on_unsubscribed = is_type "function", on_disconnected = is_type "function",
  on_error = is_type "function",
  secret = function(value)
    return type(value) == "string" and #value >= 32,
      "a string of at least 32 bytes" -- of HS256: RFC 7518 3.2
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
  local read = table_of.read(given, { name = "channels", checks = checks,
    defaults = options.defaults }, level + 1)
  if read.pong and not read.ping then
    error("bad option 'pong' for 'channels' (there is no ping to answer)",
      level + 1)
  end
  read.rights = namespaces.new(read.namespaces or {}, read.max_channel,
    level + 1)
  local methods = {}
  for name, fn in pairs(read.rpc or {}) do methods[name] = fn end
  read.rpc = methods
  check_secret(read, level + 1)
  return read
end

return options
