-- The kit of every spec that uses real sockets: a server of the engine
-- and raw clients in one process, driven turn by turn. Nothing sleeps:
-- whatever is awaited is awaited with one time limit, `t.limit` seconds,
-- or what the call is given as its limit; either is multiplied by
-- EVWS_TIME_FACTOR (t.factor; 1 where it is not set).
--
--   t.turn([timeout])      one turn: queued raw bytes leave, ws.step
--   t.wait(predicate[, what[, limit]])  turns until it holds, or raises
--   t.listen(options)      ws.listen on a free port of 127.0.0.1
--   t.pump(fn, ...)        fn as a task, turns until it ended; its results
--   t.pump_for(limit, fn, ...)   the same of one that may take longer
--   t.cleanup()            for after_each: closes all of the above
--   t.frame(opcode, payload[, { fin=, rsv=, mask=, len=, form= }])
--     the octets of a frame; mask: 4 octets or false (random), rsv: 0..7
--     (RSV1 = 4), len: a declared length, form: 7, 16 or 64 bits of it
--   t.close_frame([code[, reason]])
--   t.connect(...)         ws.connect; its message without the address
--   t.contains(text, part)  raises unless this part stands in the text
--   t.url_of(server)       of a server on 127.0.0.1
--   t.refusals(server)     how many it has refused, by reason, no zeroes
--   t.fd_count()           descriptors of this process, without those that
--                          only garbage holds: to compare with later
--   t.is_emulated          the machine is an emulator of the processor (make
--     cross): what is of the kernel or the process may not be as it should
--   t.echo                 an on_message that sends each message back
--   t.raw(server_or_port[, { address=, unix=, rcvbuf=, sndbuf=, source= }])
--   t.wrap(socket, peer)   the same around an accepted probe.socket; peer
--                          is who is at the other end: "server", "client"
--   t.open(...)            t.raw and an upgrade that must succeed
--   t.bystander(server)    one more connection; :check() proves it healthy
--
-- Opcodes are numbers or names: "continuation", "text", "binary", "close",
-- "ping", "pong". A raw client reads only when asked to, and its `send`
-- never waits: what the kernel refuses leaves during later turns. Turns do
-- not nest, so raw clients are for the spec's own code, not for handlers.
-- They are spec/helper/raw.lua.
--
--   c:send(bytes), c:send_each(list), c:send_pieces(bytes, n),
--   c:send_bytewise(bytes)   with a turn after each write
--   c:flush([limit])         waits until everything queued has left
--   c:upgrade{ path=, host=, key=, headers=, bytewise= }
--     headers: { ["Name"] = "value" | { values } | false, "raw line" };
--     -> status, headers (lower case), body; a wrong 101 raises
--   c:read_http{ head=, limit= }  -> status, headers, body | nil, why
--   c:chunk([limit])  -> the next chunk of a body, "" the last | nil, why
--   c:frame([limit]) -> { fin=, rsv=, opcode=, payload=, masked=, mask=,
--     message=, compressed= (in a message's last frame) } | nil, "eof" or
--     "reset", octets left over; raises on whatever a strict receiver must
--     not accept
--   c:expect_frame(opcode, payload[, limit])
--   c:expect_close(codes[, { drop=, limit= }]) -> code, reason; one code, a
--     list, or nil for any; 1005 is "no code"; drop = true takes a bare end
--   c:expect_eof([limit])
--   c:expect_silence([turns])  nothing but the pong to our ping comes, or
--                              nothing at all for so many turns
--   c:pull()           reads what is there, for later, without a turn
--   c:finish([code])           the closing handshake, as far as the FIN
--   c:half_close(), c:reset(), c:close()

local probe = require "evws_probe".net
local raw = require "spec.helper.raw"
local has_engine, ws = pcall(require, "evws")

local t = { limit = 5, factor = tonumber(os.getenv "EVWS_TIME_FACTOR") or 1,
  probe = probe, ws = has_engine and ws or nil, frame = raw.frame,
  close_frame = raw.close_frame,
  is_emulated = os.getenv "EVWS_EMULATED" ~= nil }

local turn_timeout = 0.002 -- how long an idle turn waits
local servers = {} -- open ones, for cleanup
local raws, queued = raw.open, raw.queued
local addresses = setmetatable({}, { __mode = "k" }) -- by server

function t.contains(text, part)
  if not text:find(part, 1, true) then
    raw.fail("%q is not in: %s", part, text)
  end
end

function t.url_of(server)
  return "ws://127.0.0.1:" .. server.port
end

function t.refusals(server)
  local list = {}
  for reason, n in pairs(server:stats().refused) do
    if n > 0 then list[reason] = n end
  end
  return list
end

function t.fd_count()
  collectgarbage()
  collectgarbage()
  return probe.fd_count()
end

function t.echo(conn, message, kind)
  conn:send(message, kind)
end

function t.deadline(limit)
  return probe.now() + (limit or t.limit) * t.factor
end

local function without_address(conn, why, ...)
  if conn then return conn, why, ... end
  return nil, why and (why:gsub("^cannot connect to %S+: ", "")), ...
end

function t.connect(...)
  return without_address(t.ws.connect(...))
end

function t.turn(timeout)
  for client in pairs(queued) do raw.write(client) end
  if t.ws then return t.ws.step(timeout or turn_timeout) end
  local sockets, writers = {}, {} -- no engine: the server is elsewhere
  for client in pairs(raws) do sockets[#sockets + 1] = client.socket end
  for client in pairs(queued) do writers[#writers + 1] = client.socket end
  probe.poll(sockets, timeout or turn_timeout, writers)
end

function t.wait(predicate, what, limit)
  local last = t.deadline(limit)
  while true do
    local late = probe.now() > last
    local value = predicate()
    if value then return value end
    if late then
      raw.fail("waited %g s in vain for %s", (limit or t.limit) * t.factor,
        what or "what the spec expects")
    end
    t.turn()
  end
end

function t.listen(options)
  if not t.ws then raw.fail("no engine: %s", ws) end
  local own = {}
  for name, value in pairs(options or {}) do own[name] = value end
  if not own.unix and not own.fd then
    own.host, own.port = own.host or "127.0.0.1", own.port or 0
  end
  local server = assert(t.ws.listen(own))
  servers[#servers + 1] = server
  addresses[server] = { address = own.host, unix = own.unix }
  return server
end

function t.pump_for(limit, fn, ...)
  local results
  t.ws.spawn(function(...)
    results = table.pack(xpcall(fn, debug.traceback, ...))
  end, ...)
  t.wait(function() return results end, "the end of the task", limit)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

function t.pump(...)
  return t.pump_for(nil, ...)
end

function t.cleanup()
  local closing, failure = servers, nil
  servers = {}
  for client in pairs(raws) do client:close() end
  for _, server in ipairs(closing) do
    local ok, why = pcall(function()
      t.pump(server.close, server, { timeout = t.limit * t.factor / 2 })
      t.wait(function() return server.connections == 0 end,
        "the server's last connection to go")
    end)
    failure = failure or not ok and why
  end
  if failure then error(failure, 0) end
end

function t.wrap(socket, peer)
  return raw.new(t, socket, peer)
end

function t.raw(target, options)
  local o, to = options or {}, addresses[target] or {}
  local address = o.address or to.address
  if address == "localhost" or address == "*" then address = nil end
  local unix = o.unix or to.unix
  local port = type(target) == "number" and target or not unix and target.port
  local self = t.wrap(assert(probe.connect {
    host = address, port = port or nil, unix = unix, rcvbuf = o.rcvbuf,
    sndbuf = o.sndbuf, source = o.source,
  }))
  address = address or "127.0.0.1"
  self.host = unix and "localhost"
    or (address:find(":") and "[%s]:%d" or "%s:%d"):format(address, port)
  return self
end

function t.open(target, options)
  local self = t.raw(target, options)
  local status = self:upgrade(options)
  if status ~= 101 then raw.fail("upgrade answered with %s", status) end
  return self
end

local checks = 0

function t.bystander(target, options)
  local self = t.open(target, options)
  function self.check()
    checks = checks + 1
    local text = "bystander " .. checks
    local f, why
    self:send(t.frame("text", text))
    repeat -- after a long silence there are pings
      f, why = self:frame()
      local is_ping = f and f.opcode == 9
      if is_ping then self:send(t.frame("pong", f.payload)) end
    until not is_ping
    if not f or f.opcode ~= 1 or f.payload ~= text then
      raw.fail("expected %q, got %q", text, f and f.payload or why)
    end
  end
  self:check()
  return self
end

return t
