-- options.lua: the options of signalr.hub: names, types, defaults, and the
-- methods with what each of them takes.

local table_of = require "evws.option_table"

local any, is_seconds = table_of.any, table_of.is_seconds
local is_type, is_whole = table_of.is_type, table_of.is_whole
local or_false = table_of.or_false

local options = {}

options.defaults = {
  origins = "same",
  detailed_errors = false,
  keepalive_interval = 15,
  client_timeout = 30,
  handshake_timeout = 15,
  disconnect_timeout = 15,
  close_timeout = 5,
  stall_timeout = 10,
  max_record = 32 * 1024,
  max_buffered = 64 * 1024,
  max_queued = 1024 * 1024,
  parallel_invocations = 1,
  stream_buffer = 10,
  max_streams = 100,
  max_negotiated = 8192,
  max_depth = 64,
  stateful_reconnect = false,
  replay_buffer = 100000,
  minimum_version = 0,
  poll_timeout = 90,
}

local function is_list_of(known)
  return function(value)
    local expected = "a list of " .. table.concat(known, ", ")
    if type(value) ~= "table" or #value == 0 then return false, expected end
    for _, name in ipairs(value) do
      local found = false
      for _, other in ipairs(known) do found = found or name == other end
      if not found then return false, expected end
    end
    return true
  end
end

local transports = { "WebSockets", "ServerSentEvents", "LongPolling" }

local large = 1 << 40

local checks = {
  methods = is_type "table", streams = is_type "table",
  on_connected = is_type "function", on_disconnected = is_type "function",
  authorize = is_type "function", user_id = is_type "function",
  on_error = is_type "function", filters = is_type "table",
  origins = any, compression = any, message_rate = any, max_lifetime = any,
  protocols = is_list_of { "json", "messagepack" },
  transports = is_list_of(transports),
  detailed_errors = is_type "boolean",
  keepalive_interval = or_false(is_seconds),
  client_timeout = or_false(is_seconds),
  handshake_timeout = is_seconds, disconnect_timeout = is_seconds,
  poll_timeout = is_seconds, close_timeout = is_seconds,
  stall_timeout = is_seconds,
  max_record = or_false(is_whole(64, 0x7fffffff)),
  max_buffered = is_whole(1, large), max_queued = is_whole(1, large),
  parallel_invocations = is_whole(1, 60000),
  stream_buffer = is_whole(1, 1000000), max_streams = is_whole(0, 1000000),
  max_depth = is_whole(1, 500), max_negotiated = is_whole(1, large),
  stateful_reconnect = is_type "boolean", replay_buffer = is_whole(1, large),
  minimum_version = is_whole(0, 1),
  name = is_type "string",
  secret = function(value)
    return type(value) == "string" and #value >= 16, "16 bytes or more"
  end,
}
options.checks = checks

local method_fields = { uploads = "integer", args = "args",
  authorize = "function" }

-- What its own parameters say about a function: how many arguments at least
-- and at most, when so many parameters are ours.
local function span_of(fn, ours)
  local info = debug.getinfo(fn, "u")
  local n = math.max(info.nparams - ours, 0)
  return n, info.isvararg and math.huge or n, info.isvararg
end

-- { name =, fn =, is_stream =, uploads =, least =, most =, authorize =,
-- is_simple = }: simple is what is called with its arguments and no more.
local function read_method(name, value, is_stream, has_filters, level)
  local function bad(what)
    error(("bad method '%s' (%s expected)"):format(tostring(name), what),
      level + 2)
  end
  if type(name) ~= "string" or name == "" or not utf8.len(name) then
    bad "a name"
  end
  local fields = type(value) == "table" and value or { value }
  local fn = fields[1]
  if type(fn) ~= "function" then bad "a function, or a table with one" end
  for field in pairs(fields) do
    if field ~= 1 and not method_fields[field] then
      bad "{ function, uploads =, args =, authorize = }"
    end
  end
  local uploads, args = fields.uploads or 0, fields.args
  if math.type(uploads) ~= "integer" or uploads < 0 then
    bad "a number of uploads"
  end
  if fields.authorize and type(fields.authorize) ~= "function" then
    bad "a function 'authorize'"
  end
  local least, most, is_vararg = span_of(fn,
    1 + uploads + (is_stream and 1 or 0))
  if math.type(args) == "integer" then
    least, most = args, args
  elseif type(args) == "table" then
    least, most = args[1], args[2]
  elseif args ~= nil then
    bad "a number of arguments, or { least, most }"
  end
  if math.type(least) ~= "integer" or least < 0 or type(most) ~= "number"
    or most < least then
    bad "a number of arguments, or { least, most }"
  end
  return { name = name, fn = fn, is_stream = is_stream, uploads = uploads,
    least = least, most = most, authorize = fields.authorize,
    is_simple = least == most and uploads == 0 and not (is_stream
      or is_vararg or fields.authorize or has_filters) }
end

local function lower(name)
  return (name:gsub("[A-Z]", string.lower))
end
options.lower = lower

local function read_methods(given, level)
  local methods = {}
  for _, kind in ipairs { "methods", "streams" } do
    for name, value in pairs(given[kind] or {}) do
      local method = read_method(name, value, kind == "streams",
        given.filters ~= nil, level + 1)
      local key = lower(name)
      if methods[key] then
        local one, other = methods[key].name, name
        if other < one then one, other = other, one end
        error(("methods '%s' and '%s' have the same name"):format(one, other),
          level + 1)
      end
      methods[key] = method
    end
  end
  return methods
end

local filter_fields = { invoke = true, connected = true, disconnected = true }

local function check_filters(filters, level)
  for _, filter in ipairs(filters) do
    local ok = type(filter) == "table"
    for field, fn in pairs(ok and filter or {}) do
      ok = ok and filter_fields[field] and type(fn) == "function"
    end
    if not ok then
      error("bad option 'filters' (a list of { invoke =, connected =, "
        .. "disconnected = } expected)", level + 1)
    end
  end
end

-- A checked copy with every default, and the methods by their names in lower
-- case. Raises at the line `level` calls up.
function options.read(given, level)
  if type(given) ~= "table" then
    error(("bad argument #1 to 'hub' (table expected, got %s)"):format(
      type(given)), level + 1)
  end
  local read = table_of.read(given, { name = "hub", checks = checks,
    defaults = options.defaults }, level + 1)
  read.protocols = read.protocols or { "json", "messagepack" }
  read.transports = read.transports or transports
  local interval, timeout = read.keepalive_interval, read.client_timeout
  if interval and timeout and timeout <= interval then
    error("bad option 'client_timeout' for 'hub' (more than "
      .. "'keepalive_interval' expected)", level + 1)
  end
  check_filters(read.filters or {}, level + 1)
  return read, read_methods(given, level + 1)
end

return options
