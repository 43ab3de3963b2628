-- connect_options.lua: the options of channels.connect and of subscribing:
-- names, types, defaults.

local backoff = require "evws.channels.backoff"
local table_of = require "evws.option_table"

local any, is_seconds = table_of.any, table_of.is_seconds
local is_type, is_whole = table_of.is_type, table_of.is_whole

local connect_options = {}

connect_options.defaults = {
  name = "evws",
  timeout = 5,
  reconnect = true,
  max_message = 16 * 1024 * 1024,
  receive_queue = 1024,
}

local function is_token(value)
  return type(value) == "string" or type(value) == "function",
    "text or a function"
end

local is_reconnect_field = {
  initial = is_seconds, maximum = is_seconds,
  jitter = function(value)
    return type(value) == "number" and value >= 0 and value <= 1, "0 to 1"
  end,
}

local function is_reconnect(value)
  if type(value) ~= "boolean" and type(value) ~= "table" then
    return false, "a boolean or a table"
  end
  return true
end

local is_function = is_type "function"

-- Those of a channel, which stand among those of a connection too: for all.
local of_channels = {
  on_publication = is_function, on_join = is_function, on_leave = is_function,
  on_subscribed = is_function, on_unsubscribed = is_function,
}

-- What is ws.connect's own business.
connect_options.passed = { "tls", "origin", "headers", "proxy", "proxy_tls",
  "compression", "max_message" }

connect_options.checks = {
  token = is_token, data = any, name = is_type "string",
  version = is_type "string", timeout = is_seconds, reconnect = is_reconnect,
  receive_queue = is_whole(1, 1 << 30),
  on_connected = is_function, on_disconnected = is_function,
  on_message = is_function, on_error = is_function,
}

connect_options.subscription_checks = {
  token = is_token, data = any, join_leave = is_type "boolean",
  recover = is_type "table", wait = is_type "boolean",
}

for name, check in pairs(of_channels) do
  connect_options.checks[name] = check
  connect_options.subscription_checks[name] = check
end
for _, name in ipairs(connect_options.passed) do
  connect_options.checks[name] = any
end

local function read_reconnect(given, level)
  if given == false then return false end
  local read = table_of.read(given == true and {} or given,
    { name = "reconnect", checks = is_reconnect_field,
      defaults = backoff.usual }, level + 1)
  read.maximum = math.max(read.maximum, read.initial)
  return read
end

local function check_table(given, name, n, level)
  if type(given) == "table" then return given end
  error(("bad argument #%d to '%s' (table expected, got %s)"):format(n, name,
    type(given)), level + 1)
end

-- A checked copy with every default. Raises at the line `level` calls up.
function connect_options.read(given, level)
  if given == nil then given = {} end
  local read = table_of.read(check_table(given, "connect", 2, level + 1),
    { name = "connect", checks = connect_options.checks,
      defaults = connect_options.defaults }, level + 1)
  read.reconnect = read_reconnect(read.reconnect, level + 1)
  return read
end

local function is_position(at)
  if type(at) ~= "table" then return false end
  local offset, epoch = at.offset or 0, at.epoch or ""
  return math.type(offset) == "integer" and offset >= 0
    and type(epoch) == "string"
end

function connect_options.read_subscription(given, level)
  if given == nil then given = {} end
  local read = table_of.read(check_table(given, "subscribe", 2, level + 1),
    { name = "subscribe", checks = connect_options.subscription_checks,
      defaults = { wait = true } }, level + 1)
  if read.recover and not is_position(read.recover) then
    error("bad option 'recover' for 'subscribe' ({ offset =, epoch = } "
      .. "expected)", level + 1)
  end
  return read
end

local history_names = { since = true, limit = true, reverse = true }

-- The fields of a request for a history, as JSON without the channel.
function connect_options.history_fields(given, text, level)
  local read = check_table(given or {}, "history", 2, level + 1)
  for name in pairs(read) do
    if not history_names[name] then
      error(("unknown option '%s' for 'history'%s"):format(tostring(name),
        table_of.hint(name, history_names)), level + 1)
    end
  end
  local limit, since = read.limit or -1, read.since
  if math.type(limit) ~= "integer" then
    error("bad option 'limit' for 'history' (an integer expected)", level + 1)
  end
  local fields = ',"limit":' .. limit
  if read.reverse then fields = fields .. ',"reverse":true' end
  if since == nil then return fields end
  if not is_position(since) then
    error("bad option 'since' for 'history' ({ offset =, epoch = } "
      .. "expected)", level + 1)
  end
  return ('%s,"since":{"offset":%d,"epoch":%s}'):format(fields,
    since.offset or 0, text(since.epoch or ""))
end

return connect_options
