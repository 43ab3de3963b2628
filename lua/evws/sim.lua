-- sim.lua: a simulated network, for specs: bytes that come late, in pieces or
-- not at all, and a clock that goes on when nothing else is left to do. The
-- reference is library/evws/sim.lua.

local ws = require "evws"
local core = require "evws.core"
local option_table = require "evws.option_table"
local standard = require "evws.sim.standard"

local sim = {}

local methods = {}
local meta = { __index = methods, __name = "evws.sim" }
local entered -- the network that is

-- ---- options ----

local function is_duration(value)
  return type(value) == "number" and value >= 0 and value < math.huge
end

local checks = {
  seed = function(value)
    return math.type(value) == "integer", "an integer"
  end,
  time = option_table.is_whole(0, 1 << 53),
  limit = option_table.is_seconds,
  trace = option_table.is_type "boolean",
  delay = function(value)
    local least, most = value, value
    if type(value) == "table" then least, most = value[1], value[2] end
    return is_duration(least) and is_duration(most) and least <= most,
      "seconds, or { least, most }"
  end,
  short = function(value)
    return type(value) == "number" and value >= 0 and value <= 1, "0 to 1"
  end,
  rate = option_table.or_false(function(value)
    return type(value) == "number" and value > 0, "bytes a second above 0"
  end),
  buffer = option_table.is_whole(1, 1 << 30),
}

local about_new = { name = "sim.new", checks = checks, defaults = {
  seed = 1, time = 1000000000, limit = 366 * 24 * 3600, trace = false,
  delay = 0.001, short = 0, rate = false, buffer = 64 * 1024 } }

local about_link = { name = "link", defaults = {}, checks = {
  delay = checks.delay, short = checks.short, rate = checks.rate,
  buffer = checks.buffer } }

-- delay, spread, short, rate, buffer, as the core wants them; what is not
-- given is as before.
local function link_of(options, delay, spread, short, rate, buffer)
  local given = options.delay
  if type(given) == "table" then
    delay, spread = given[1], given[2] - given[1]
  elseif given then
    delay, spread = given, 0
  end
  if options.rate ~= nil then rate = options.rate or 0 end
  return delay, spread, options.short or short, rate, options.buffer or buffer
end

-- ---- entering and leaving ----

local function must(level, ok, why)
  if ok == nil then error(why, level + 1) end
  return ok
end

local function check_self(self, name, level)
  if getmetatable(self) == meta then return end
  error(("call net:%s, not net.%s"):format(name, name), level + 1)
end

local function check_entered(self, name)
  check_self(self, name, 3)
  if entered == self then return end
  error(("net:%s: the network is not entered (use it in net:run, or behind "
    .. "net:enter)"):format(name), 3)
end

function sim.new(options)
  if options ~= nil and type(options) ~= "table" then
    error("bad argument #1 to 'new' (table expected)", 2)
  end
  return setmetatable({
    options = option_table.read(options or {}, about_new, 2) }, meta)
end

local function enter(self)
  local options = self.options
  local has_on_error = must(3, core.sim.enter(options.seed, options.time,
    options.limit + 0.0, options.trace, link_of(options, 0, 0, 0, 0, 0)))
  entered, self.failure, self.said = self, nil, nil
  self.put_back = standard.enter(options.seed)
  if not has_on_error then
    core.on_error(function(_, message, traceback)
      self.failure = self.failure or traceback or message
    end)
  end
end

local function leave(self)
  must(3, core.sim.end_all())
  if self.options.trace then self.said = core.sim.trace() end
  core.sim.leave()
  entered = nil
  self.put_back()
  self.put_back = nil
end

local function raise_failure(self, level)
  local failure = self.failure
  self.failure = nil
  if failure then error("a handler failed: " .. failure, level + 1) end
end

function methods:enter()
  check_self(self, "enter", 2)
  enter(self)
end

function methods:leave()
  check_entered(self, "leave")
  leave(self)
  raise_failure(self, 2)
end

-- The error of fn itself tells more than those of the handlers, which it may
-- well come from: they are only shown.
local guard = { __close = function(held, problem)
  local self = held.net
  if entered == self then leave(self) end
  if problem ~= nil and self.failure then
    io.stderr:write("a handler failed: ", self.failure, "\n")
    self.failure = nil
  end
end }

local function run(self, fn, ...)
  local held <close> = setmetatable({ net = self }, guard) -- luacheck: ignore
  return fn(self, ...)
end

function methods:run(fn, ...)
  check_self(self, "run", 2)
  if type(fn) ~= "function" then
    error("bad argument #1 to 'run' (function expected)", 2)
  end
  enter(self)
  local results = table.pack(run(self, fn, ...))
  raise_failure(self, 2)
  return table.unpack(results, 1, results.n)
end

-- ---- what happens on it ----

function methods:now()
  check_entered(self, "now")
  return core.now()
end

function methods:advance(seconds)
  check_entered(self, "advance")
  if not is_duration(seconds) then
    error("bad argument #1 to 'advance' (seconds expected)", 2)
  end
  if core.sleep(seconds) then return true end
  error("net:advance: the network's time is over (see its option 'limit')", 2)
end

local function set_link(conn, options, level)
  local link = option_table.read(options, about_link, level + 1)
  local delay, spread, short, rate, buffer = core.sim.get_link(conn)
  must(level + 1, delay, spread)
  core.sim.set_link(conn, link_of(link, delay, spread, short, rate, buffer))
end

function methods:connect(url, options, link)
  check_entered(self, "connect")
  local conn, why = ws.connect(url, options)
  if not conn then error("net:connect: " .. why, 2) end
  if link then set_link(conn, link, 2) end
  return conn
end

function methods:link(conn, options)
  check_entered(self, "link")
  if type(conn) == "table" then conn, options = nil, conn end
  if type(options) ~= "table" then
    error("bad argument to 'link' (table expected)", 2)
  end
  set_link(conn, options, 2)
end

function methods:vanish(conn)
  check_entered(self, "vanish")
  must(2, core.sim.hold(conn, true))
end

function methods:heal(conn)
  check_entered(self, "heal")
  must(2, core.sim.hold(conn, false))
end

function methods:reset(conn, after)
  check_entered(self, "reset")
  if after ~= nil and (math.type(after) ~= "integer" or after < 0) then
    error("bad argument #2 to 'reset' (bytes expected)", 2)
  end
  must(2, core.sim.reset(conn, after))
end

function methods:trace()
  check_self(self, "trace", 2)
  if not self.options.trace then
    error("net:trace: sim.new was not told to (option 'trace')", 2)
  end
  if entered == self then return core.sim.trace() end
  return self.said or ""
end

return sim
