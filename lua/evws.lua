-- evws: WebSockets for Lua. The engine is evws.core, in C; what is better
-- said in Lua is in evws.*. The reference is library/evws.lua.

-- The C module would say "undefined symbol". This much every Lua can read.
if _VERSION ~= "Lua 5.4" and _VERSION ~= "Lua 5.5" then
  local jit = rawget(_G, "jit")
  error("evws needs Lua 5.4 or 5.5, and this is "
    .. (jit and jit.version or _VERSION), 0)
end

local core = require "evws.core"
require "evws.metrics" -- for server:metrics
local option_table = require "evws.option_table"

local ws = {
  version = core.version,
  defaults = core.defaults,

  listen = core.listen,
  connect = core.connect,
  static = require "evws.static",

  run = core.run,
  step = core.step,
  stop = core.stop,
  fd = core.fd,
  timeout = core.timeout,
  now = core.now,
  log = core.log,
  watchdog = core.watchdog,

  spawn = core.spawn,
  sleep = core.sleep,
  after = core.after,
  every = core.every,
  queue = core.queue,
  backplane = core.backplane,
  wait = core.wait,
  popen = require "evws.popen",
  worker = require "evws.worker",

  equals = core.equals,
  hmac_sha256 = core.hmac_sha256,
  json_split = core.json_split,
  random = core.random,
  parse_query = require "evws.query",
  parse_form = require "evws.form",
  parse_cookies = require "evws.cookies".parse,
  cookie = require "evws.cookies".write,
}

core.set_module(ws) -- whatever stands in ws.log is called

-- Both hooks can be called and set, `ws.on_error(f)` and `ws.on_error = f`;
-- what has a slip of the pen in it would otherwise never be called.
local names = { on_error = true }
for name in pairs(ws) do names[name] = true end

local hidden = { on_error = core.on_error }

local function set(_, name, value)
  if name == "on_error" then
    if value ~= nil and type(value) ~= "function" then
      error(("ws.on_error: a function or nil expected, got a %s")
        :format(type(value)), 2)
    end
    core.on_error(value)
    return
  end
  if names[name] then return rawset(ws, name, value) end
  error(("cannot set '%s' of evws%s"):format(tostring(name),
    option_table.hint(name, names)), 2)
end

local function all()
  local list = { on_error = core.on_error }
  for name, value in next, ws do list[name] = value end
  return next, list
end

return setmetatable(ws, { __index = hidden, __newindex = set, __pairs = all,
  __name = "evws" })
