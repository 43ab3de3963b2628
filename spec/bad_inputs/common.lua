-- What the rows of bad inputs share: the check that each of them makes, and
-- a few ways to be a bad peer.
--
--   common.guarded(fn)    for it(): calls fn(g), then proves that the process
--     is sound: a healthy bystander has lost nothing, each on_open had its
--     one on_close, no handler ran after it, nothing came through
--     ws.on_error that was not expected, and no descriptor is left open
--   common.cleanup        for after_each
--   g:listen(options)     a server that is watched in this way. Without
--     on_message it echoes (echo = false: it does not). Its bystander comes
--     by "/bystander" and sees no other handler; bystander = false: none
--     there; bystander = { ... }: with these options of t.open
--   g.ends                { code=, reason= } of each on_close, in order
--   g:expect_ends(n)      waits for n of them
--   g:end_of(client[, after])  waits for that of a raw client, which is not
--     among the first `after` -> code, reason
--   g:expect_error(text)  waits for an error with this text in it, and
--     strikes it off the unexpected ones -> message, traceback, conn
--   g:refuse(server, bytes, code[, bytewise])  a connection of its own that
--     has to be failed with this code -> the reason on_close was told
--
--   common.is_sanitized   memory and time are then those of the sanitizer, or
--     of an emulator
--   common.cpu(fn)        seconds of processor time that fn took
--   common.is_cheap(cost, little, large, times)
--                         whether cost(large) < times * cost(little)
--   common.rest(n)        true when n turns found nothing to do
--   common.flat(round, n) memory does not grow over n rounds
--   common.statm()        bytes resident, bytes of data mapped
--   common.client(options[, fields])   -> a client of ours, the raw server
--     it is on, whose 101 has these header lines as well
--   common.head(lines)    a request's head
--   common.answer(server, bytes[, o])  -> status, headers, body, raw client
--   common.refused(server, status, bytes[, o])  that is what is answered,
--     and the connection ends -> headers, body
--   common.child(script[, { arguments, env=, nofile=, memory= }])
--     another process, with so many descriptors or KiB of memory
--     -> status, what it printed, its stderr
--   common.start(...)     -> a pipe to read from while it runs, and a
--     function that waits for its end and returns the same

local assert = require "luassert"
local t = require "spec.helper"
local handshake = require("evws_probe").handshake
local echo = t.echo

local ws, probe = t.ws, t.probe

local common = { is_sanitized = os.getenv "ASAN_OPTIONS" ~= nil
  or t.is_emulated }

-- ---- the guard ----

local guard = {}
guard.__index = guard

local own_path = "/bystander"

local function is_bystander(conn) return conn.path == own_path end

local function wrap_handlers(g, own)
  local options = { on_open = own.on_open, on_close = own.on_close,
    on_message = own.on_message, on_upgrade = own.on_upgrade }
  function own.on_open(conn)
    g.opened = g.opened + 1
    if g.state[conn] then g:blame "a second on_open" end
    g.state[conn] = "open"
    if is_bystander(conn) then conn:on_message(echo)
    elseif options.on_open then return options.on_open(conn) end
  end
  function own.on_close(conn, code, reason)
    g.closed = g.closed + 1
    if g.state[conn] ~= "open" then g:blame "on_close without on_open" end
    g.state[conn] = "closed"
    if is_bystander(conn) then return end
    g.ends[#g.ends + 1] = { code = code, reason = reason,
      port = conn.remote_port }
    if options.on_close then return options.on_close(conn, code, reason) end
  end
  if options.on_message then
    function own.on_message(conn, ...)
      if g.state[conn] ~= "open" then g:blame "a message after on_close" end
      return options.on_message(conn, ...)
    end
  end
  if options.on_upgrade then
    function own.on_upgrade(request)
      if request.path ~= own_path then return options.on_upgrade(request) end
    end
  end
end

function guard:blame(what) self.faults[#self.faults + 1] = what end

function guard:listen(options)
  local own = {}
  for name, value in pairs(options or {}) do own[name] = value end
  local bystander = own.bystander
  if own.echo ~= false then own.on_message = own.on_message or echo end
  own.echo, own.bystander = nil, nil
  wrap_handlers(self, own)
  local server = t.listen(own)
  if bystander == false then return server end
  local how = bystander or {}
  self.bystanders[#self.bystanders + 1] = t.bystander(server,
    { path = how.path or own_path, host = how.host, headers = how.headers })
  return server
end

function guard:expect_ends(n)
  t.wait(function() return #self.ends >= n end, "the ends of connections")
end

function guard:end_of(client, after)
  local _, port = client.socket:sockname()
  local found = t.wait(function()
    for i = (after or 0) + 1, #self.ends do
      if self.ends[i].port == port then return self.ends[i] end
    end
  end, "the end of a connection")
  return found.code, found.reason
end

function guard:expect_error(text)
  local at
  t.wait(function()
    for i, e in ipairs(self.errors) do
      at = e.message:find(text, 1, true) and i
      if at then return true end
    end
  end, "an error with " .. text)
  local e = table.remove(self.errors, at)
  return e.message, e.traceback, e.conn
end

function guard:refuse(server, bytes, code, bytewise)
  local n, client = #self.ends, t.open(server)
  if bytewise then client:send_bytewise(bytes) else client:send(bytes) end
  client:expect_close(code)
  client:expect_eof()
  local ended, reason = self:end_of(client, n)
  assert.equal(code, ended)
  client:close()
  return reason
end

local is_warm = false

-- The loop has its descriptors and buffers from the first connection on.
local function warm_up()
  if is_warm then return end
  is_warm = true
  t.bystander(t.listen { on_message = echo })
  t.cleanup()
  common.rest(1)
end

local function start()
  warm_up()
  local g = setmetatable({ opened = 0, closed = 0, ends = {}, errors = {},
    faults = {}, bystanders = {}, fds = probe.fd_count(),
    state = setmetatable({}, { __mode = "k" }) }, guard)
  ws.on_error(function(conn, message, traceback)
    g.errors[#g.errors + 1] = { message = message, traceback = traceback,
      conn = conn }
  end)
  return g
end

local function finish(g)
  for _, bystander in ipairs(g.bystanders) do bystander.check() end
  t.cleanup()
  t.wait(function() return g.closed == g.opened end,
    "one on_close for each on_open")
  assert.same({}, g.faults)
  for _, e in ipairs(g.errors) do error(e.traceback, 0) end
  t.wait(function()
    collectgarbage() -- what holds a descriptor may be garbage
    return probe.fd_count() <= g.fds
  end, "descriptors to be closed")
end

function common.guarded(fn)
  return function()
    local g = start()
    fn(g)
    finish(g)
  end
end

function common.cleanup()
  t.cleanup()
  ws.on_error(nil)
end

-- ---- measuring ----

function common.cpu(fn)
  local before = probe.cpu()
  fn()
  return probe.cpu() - before
end

-- Whether cost(large) is less than so many times cost(little); who else uses
-- the processor may slow down one of them, so that one try of five is enough.
function common.is_cheap(cost, little, large, times)
  for _ = 1, 5 do
    local most = times * cost(little)
    if cost(large) < most then return true end
  end
  return false
end

-- An idle turn lasts as long as it may: that much is certain however busy
-- the machine is.
function common.rest(n)
  local busy, long = 0, 0.01
  while n > 0 and busy < 100 do
    local before = probe.now()
    t.turn(long)
    local is_idle = probe.now() - before > long / 2
    if is_idle then n = n - 1 else busy = busy + 1 end
  end
  return n == 0
end

function common.statm()
  local file <close> = assert(io.open "/proc/self/statm")
  local _, resident, _, _, _, data = file:read("n", "n", "n", "n", "n", "n")
  return resident * 4096, data * 4096
end

local function settle()
  common.rest(1)
  collectgarbage()
  collectgarbage()
  return collectgarbage "count" * 1024, (common.statm())
end

-- The first rounds bring every pool and cache to its size. A table that
-- happens to double makes one step; what leaks grows again and again.
function common.flat(round, n)
  local lua, resident
  local function rounds()
    for _ = 1, n do round() end
    local lua_before, resident_before = lua or 0, resident or 0
    lua, resident = settle()
    return lua - lua_before, resident - resident_before
  end
  rounds()
  local grown, grown_resident
  for _ = 1, 4 do
    grown, grown_resident = rounds()
    -- a sanitizer keeps what was freed for a while
    if common.is_sanitized then grown_resident = 0 end
    if grown < 16 * 1024 and grown_resident < 1 << 20 then return end
  end
  error(("memory grew by %d, Lua's by %d"):format(grown_resident, grown), 2)
end

-- ---- peers ----

-- The octets of a request up to the end of its head.
local function read_head(socket)
  local head = ""
  t.wait(function()
    local bytes = socket:recv(1)
    while bytes and not head:find("\r\n\r\n", 1, true) do
      head = head .. bytes
      bytes = not head:find("\r\n\r\n", 1, true) and socket:recv(1)
    end
    return head:find("\r\n\r\n", 1, true)
  end, "a request")
  return head
end

function common.client(options, fields)
  local listener <close> = assert(probe.listen "127.0.0.1")
  local own, is_open, has_ended = { on_open = function() end }, false, false
  for name, value in pairs(options or {}) do own[name] = value end
  local on_open, on_close = own.on_open, own.on_close
  function own.on_open(conn)
    is_open = true
    return on_open(conn)
  end
  function own.on_close(...)
    has_ended = true
    if on_close then return on_close(...) end
  end
  local conn = assert(ws.connect("ws://127.0.0.1:" .. listener.port, own))
  local socket = t.wait(function() return (listener:accept()) end, "a client")
  local key = read_head(socket):match "Sec%-WebSocket%-Key: (%S+)\r\n"
  local raw = t.wrap(socket, "client")
  raw:send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    .. "Connection: Upgrade\r\nSec-WebSocket-Accept: "
    .. handshake.accept(key) .. "\r\n" .. (fields or "") .. "\r\n")
  t.wait(function() return is_open or has_ended end, "the client to be open")
  if not is_open then error("the client has ended", 2) end
  return conn, raw
end

function common.head(lines)
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

function common.answer(server, bytes, options)
  local o = options or {}
  local client = t.raw(server)
  if o.bytewise then client:send_bytewise(bytes) else client:send(bytes) end
  local status, headers, body = client:read_http { head = o.head }
  return status, headers, body, client
end

-- It is refused with this status, and the connection ends.
function common.refused(server, status, bytes, options)
  local got, headers, body, client = common.answer(server, bytes, options)
  if got ~= status then
    error(("%s instead of %d for %q"):format(got, status, bytes:sub(1, 200)), 2)
  end
  assert.equal(status == 426 and "close, Upgrade" or "close",
    headers.connection)
  client:expect_eof()
  client:close()
  return headers, body
end

-- ---- processes ----

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function read_and_remove(path)
  local file <close> = assert(io.open(path, "rb"))
  local text = file:read "a"
  os.remove(path)
  return text
end

-- The shell becomes the interpreter, so nothing but it is judged by a
-- sanitizer; `timeout` ends a child that hangs.
function common.start(script, options)
  local o = options or {}
  local path, errors = os.tmpname(), os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(script)
  file:close()
  local words = { "env -u LD_PRELOAD timeout 60 env" }
  local function add(word) words[#words + 1] = quote(word) end
  add("LD_PRELOAD=" .. (os.getenv "LD_PRELOAD" or ""))
  local version = _VERSION:match "%d.%d":gsub("%.", "_")
  add("LUA_PATH_" .. version .. "=" .. package.path)
  add("LUA_CPATH_" .. version .. "=" .. package.cpath)
  for name, value in pairs(o.env or {}) do add(name .. "=" .. value) end
  add(os.getenv "LUA" or "lua5.4")
  add(path)
  for _, argument in ipairs(o) do add(argument) end
  local limit = o.nofile and ("ulimit -n %d; "):format(o.nofile)
    or o.memory and ("ulimit -v %d; "):format(o.memory) or ""
  local pipe = assert(io.popen(("%sexec %s 2>%s"):format(limit,
    table.concat(words, " "), quote(errors))))
  return pipe, function()
    local output = pipe:read "a"
    local _, _, status = pipe:close()
    os.remove(path)
    return status, output, read_and_remove(errors)
  end
end

function common.child(script, options)
  local _, finish_it = common.start(script, options)
  return finish_it()
end

return common
