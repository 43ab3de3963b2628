-- A Redis for specs: one of our own making, whose replies can be any bytes,
-- and real ones.
--
--   redis.fake() -> f, which serves on a port of 127.0.0.1:
--     f.url, f.port; f:pump() reads and answers; f:wait(predicate[, what])
--     f.answers[WORD] = function(conn, words) -> bytes, or "" for silence;
--                    redis.usual[WORD] is what is answered otherwise
--     f.piece = n    so many bytes leave at a time; nil: all
--     f.is_idle = function(conn) -> true: it is not read now
--     f.conns        open connections, each with its words seen (conn.seen)
--     f:subscribers(channel) -> how many connections have it
--     f:publish(channel, bytes), f:push(bytes) to all who have subscribed
--     f:drop()       cuts all connections; f:stop(), f:start() of listening
--   redis.reply(value)  a string, a number, a list, false (nil) as RESP
--   redis.is_built()    is evws built with hiredis?
--   redis.has_server()  is there a redis-server?
--   redis.is_there()    both
--   redis.is_missing(name[, needs]) -> true in front of specs that cannot run
--     here; then there is a pending one, which says so, in a describe `name`.
--     needs = "hiredis": where evws is built with that they can
--   redis.start([arguments]) -> r, a redis-server on a Unix socket and a port:
--     r.url, r.port, r.pid; r:ask(words...) -> its reply as a Lua value, or
--     nil and an error's text; r:stop(), r:signal(name), r:again(); r.failed:
--     it did not want to begin
--   redis.backplane(options) -> one that is quick to come back; options.url
--     at least; redis.bus(options) -> the same when it is up
--   redis.join(process) -> the next connection of a { server, conns }, whose
--     on_open adds to conns, and its client
--   redis.close(list)   closes backplanes, and with them all that is fake: a
--     backplane waits for replies
--   redis.quiet()       evws says nothing, until the end
--   redis.warnings() -> texts of the warnings from now on, until the end
--   redis.cleanup()     for after_each: what is open ends: servers and clients
--     of the helper, backplanes, redis-servers

local t = require "spec.helper"

local probe = t.probe
local redis = {}
local open, buses = {}, {}

function redis.reply(value)
  if value == false then return "$-1\r\n" end
  if type(value) == "number" then return ":" .. value .. "\r\n" end
  if type(value) == "string" then
    return "$" .. #value .. "\r\n" .. value .. "\r\n"
  end
  local parts = { "*" .. #value .. "\r\n" }
  for _, v in ipairs(value) do parts[#parts + 1] = redis.reply(v) end
  return table.concat(parts)
end

local reply = redis.reply

-- A command at `at`: its words and what follows it, or nothing yet.
local function command(bytes, at)
  local n, next_at = bytes:match("^%*(%d+)\r\n()", at)
  if not n then return end
  local words = {}
  for i = 1, tonumber(n) do
    local len, from = bytes:match("^%$(%d+)\r\n()", next_at)
    if not len or #bytes < from + len + 1 then return end
    words[i] = bytes:sub(from, from + len - 1)
    next_at = from + len + 2
  end
  return words, next_at
end

-- ---- one of our own making ----

local fake = {}
fake.__index = fake

local usual = {}
redis.usual = usual

local function ok() return "+OK\r\n" end
usual.AUTH, usual.SELECT, usual.CLIENT = ok, ok, ok

function usual.ROLE() return reply { "master", 0, {} } end

function usual.PING(conn)
  return next(conn.channels) and reply { "pong", "" } or "+PONG\r\n"
end

local function confirm(conn, verb, words)
  local out, n = {}, 0
  for i = 2, #words do
    conn.channels[words[i]] = verb == "subscribe" or nil
    n = n + 1
    out[n] = reply { verb, words[i], i }
  end
  return table.concat(out)
end

function usual.SUBSCRIBE(conn, words)
  return confirm(conn, "subscribe", words)
end

function usual.UNSUBSCRIBE(conn, words)
  return confirm(conn, "unsubscribe", words)
end

function usual.PUBLISH(conn, words)
  conn.fake:publish(words[2], words[3])
  return reply(1)
end

local function write(conn, bytes) conn.out = conn.out .. bytes end

function fake:publish(channel, bytes)
  for _, conn in ipairs(self.conns) do
    if conn.channels[channel] then
      write(conn, reply { "message", channel, bytes })
    end
  end
end

function fake:subscribers(channel)
  local n = 0
  for _, conn in ipairs(self.conns) do
    n = n + (conn.channels[channel] and 1 or 0)
  end
  return n
end

function fake:push(bytes)
  for _, conn in ipairs(self.conns) do
    if next(conn.channels) then write(conn, bytes) end
  end
end

local function answer(self, conn, words)
  conn.seen[#conn.seen + 1] = words
  local fn = self.answers[words[1]] or usual[words[1]]
  write(conn, fn and fn(conn, words) or "-ERR unknown command\r\n")
end

local function serve(self, conn)
  local bytes, why = nil, "again"
  if not (self.is_idle and self.is_idle(conn)) then
    bytes, why = conn.socket:recv()
  end
  if bytes then
    conn.input = conn.input .. bytes
    local at = 1
    for words, next_at in function() return command(conn.input, at) end do
      at = next_at
      answer(self, conn, words)
    end
    conn.input = conn.input:sub(at)
  elseif why ~= "again" then
    conn.is_over = true
  end
  if conn.out ~= "" and not conn.is_over then
    local n = conn.socket:send(conn.out:sub(1, self.piece))
    if n then conn.out = conn.out:sub(n + 1) end
  end
end

function fake:pump()
  local socket = self.listener and self.listener:accept()
  while socket do
    self.conns[#self.conns + 1] = { socket = socket, input = "", out = "",
      seen = {}, channels = {}, fake = self }
    self.count = self.count + 1
    socket = self.listener:accept()
  end
  for i = #self.conns, 1, -1 do
    local conn = self.conns[i]
    serve(self, conn)
    if conn.is_over then
      conn.socket:close()
      table.remove(self.conns, i)
    end
  end
end

function fake:wait(predicate, what, limit)
  return t.wait(function()
    self:pump()
    return predicate()
  end, what, limit)
end

function fake:drop()
  for _, conn in ipairs(self.conns) do conn.socket:close() end
  self.conns = {}
end

function fake:stop()
  if self.listener then self.listener:close() end
  self.listener = nil
  self:drop()
end

-- A connection of another may have its port for a moment.
function fake:start()
  t.wait(function()
    self.listener = probe.listen("127.0.0.1", self.port)
    return self.listener
  end, "the port to be free", 20)
end

function redis.fake()
  local self = setmetatable({ conns = {}, answers = {}, count = 0 }, fake)
  self.listener = assert(probe.listen "127.0.0.1")
  self.port = self.listener.port
  self.url = "redis://127.0.0.1:" .. self.port
  open[#open + 1] = self
  return self
end

-- ---- real ones ----

local real = {}
real.__index = real

-- valkey-server takes the same arguments.
local function program()
  for _, name in ipairs { "redis-server", "valkey-server" } do
    if os.execute("command -v " .. name .. " >/dev/null") then return name end
  end
end

function redis.is_built()
  return (pcall(function() t.ws.backplane("redis://127.0.0.1:1"):close() end))
end

function redis.has_server()
  return program() ~= nil
end

function redis.is_there()
  return redis.is_built() and redis.has_server()
end

function redis.is_missing(name, needs)
  if redis.is_built() and (needs == "hiredis" or redis.has_server()) then
    return false
  end
  local busted = require "busted"
  busted.describe(name, function()
    busted.pending("needs hiredis"
      .. (needs and "" or " and redis-server"))
  end)
  return true
end

local function run(command_line)
  local pipe <close> = assert(io.popen(command_line))
  return (pipe:read "a":gsub("%s+$", ""))
end

-- A value of a reply at `at`, and what follows it; nothing while it is not
-- all there.
local function value(bytes, at)
  local mark, line, from = bytes:match("^(.)([^\r]*)\r\n()", at)
  if not mark then return end
  if mark == "+" then return { line }, from end
  if mark == "-" then return { nil, line }, from end
  if mark == ":" then return { math.tointeger(line) }, from end
  local n = tonumber(line)
  if n < 0 then return { false }, from end
  if mark == "$" then
    if #bytes < from + n + 1 then return end
    return { bytes:sub(from, from + n - 1) }, from + n + 2
  end
  local list = {}
  for i = 1, n do
    local v
    v, from = value(bytes, from)
    if not v then return end
    list[i] = v[1]
  end
  return { list }, from
end

function real:ask(...)
  local socket <close> = assert(probe.connect { unix = self.path })
  t.wait(function()
    local done, why = socket:connected()
    return done or why ~= "again"
  end)
  local bytes, v, sent, words = "", nil, 0, reply { ... }
  t.wait(function()
    sent = sent + (sent < #words and socket:send(words, sent + 1) or 0)
    local more = socket:recv()
    bytes = bytes .. (more or "")
    v = value(bytes, 1)
    return v
  end, "the reply of redis-server")
  return v[1], v[2]
end

function real:signal(name)
  os.execute(("kill -%s %d 2>/dev/null"):format(name, self.pid))
end

-- One that has ended may wait for whoever has to be told of it.
function real:is_alive()
  local file <close> = io.open(("/proc/%d/stat"):format(self.pid))
  local stat = file and file:read "a"
  if stat then return not stat:find "%) [ZX] " end
  return (os.execute(("kill -0 %d 2>/dev/null"):format(self.pid)))
end

function real:stop()
  if not self.pid then return end
  self:signal "CONT"
  self:signal "KILL"
  t.wait(function() return not self:is_alive() end, "redis-server to end")
  os.remove(self.path)
  self.pid = nil
end

-- False when it has ended at once.
function real:begin()
  local pid = run((program() .. " --unixsocket %s --port %d --bind 127.0.0.1"
    .. " --save '' --dir %s --enable-debug-command yes --loglevel warning %s"
    .. " >/dev/null 2>&1 & echo $!"):format(self.path, self.port,
    self.directory, self.arguments))
  self.pid = tonumber(pid)
  t.wait(function()
    local socket <close> = probe.connect { unix = self.path }
    self.failed = not self:is_alive()
    return self.failed or socket and socket:connected()
  end, "redis-server to begin", 20)
  return not self.failed
end

-- A connection of another may have its port for a moment.
function real:again()
  local last = t.deadline(20)
  while not self:begin() do
    assert(probe.now() < last, "redis-server does not begin")
  end
end

-- The port may be another's by the time that it begins.
local function on_free_port(self)
  for _ = 1, 3 do
    local listener = assert(probe.listen "127.0.0.1")
    self.port = listener.port
    listener:close()
    if self:begin() then return end
  end
end

function redis.start(arguments)
  local self = setmetatable({ arguments = arguments or "" }, real)
  self.directory = run "mktemp -d"
  self.path = self.directory .. "/redis.sock"
  self.url = "redis+unix:" .. self.path
  open[#open + 1] = self
  on_free_port(self)
  return self
end

-- ---- backplanes ----

function redis.backplane(options)
  local given = { reconnect = { initial = 0.01, maximum = 0.02 } }
  for name, option in pairs(options) do given[name] = option end
  local bus = assert(t.ws.backplane(given))
  buses[#buses + 1] = bus
  return bus
end

function redis.bus(options)
  local bus = redis.backplane(options)
  t.wait(function() return bus.state == "up" end, "the backplane", 20)
  return bus
end

function redis.join(process)
  local n = #process.conns
  local raw = t.open(process.server)
  t.wait(function() return process.conns[n + 1] end)
  return process.conns[n + 1], raw
end

function redis.quiet() t.ws.log = function() end end

function redis.warnings()
  local lines = {}
  t.ws.log = function(level, _, fields)
    if level == "warning" then lines[#lines + 1] = fields.message end
  end
  return lines
end

function redis.close(list)
  for _, bus in ipairs(list) do bus:close() end
  t.turn()
  for _, one in ipairs(open) do
    if getmetatable(one) == fake then one:stop() end
  end
  for _, bus in ipairs(list) do
    t.wait(function() return tostring(bus):find "closed" end,
      "a backplane to close", 20)
  end
  t.turn()
end

-- ---- the end ----

function redis.cleanup()
  t.cleanup()
  local list = buses
  buses = {}
  redis.close(list)
  list = open
  open = {}
  for _, one in ipairs(list) do
    one:stop()
    if one.directory then os.execute("rm -rf " .. one.directory) end
  end
  t.ws.log = require "evws.core".log
end

return redis
