-- evws: WebSockets for Lua. The engine is evws.core, in C; what is better
-- said in Lua is in evws.*. The reference is library/evws.lua.

-- The C module would say "undefined symbol". This much every Lua can read.
if _VERSION ~= "Lua 5.4" and _VERSION ~= "Lua 5.5" then
  local jit = rawget(_G, "jit")
  error("evws needs Lua 5.4 or 5.5, and this is "
    .. (jit and jit.version or _VERSION), 0)
end

local core = require "evws.core"

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
  on_error = core.on_error,
  log = core.log,
  watchdog = core.watchdog,

  spawn = core.spawn,
  sleep = core.sleep,
  after = core.after,
  every = core.every,
  queue = core.queue,

  equals = core.equals,
  random = core.random,
  parse_query = require "evws.query",
}

core.set_module(ws) -- whatever stands in ws.log is called

return ws
