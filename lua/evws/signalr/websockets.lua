-- websockets.lua: a session over a WebSocket: the handlers of its route.

local front = require "evws.signalr.front"

local websockets = {}

local transport = { name = "WebSockets", can_binary = true,
  wants_pings = true, kind = "text" }
transport.__index = transport

local send_to -- the method of connections, found once

function transport:send(bytes)
  return send_to(self.conn, bytes, self.kind)
end

function transport:buffered() return self.conn.buffered end

function transport:drain(seconds) return self.conn:drain(seconds) end

function transport:finish(code) self.conn:close(code) end

-- Is this session free for another WebSocket? nil and the status of a refusal.
local function claim(session)
  local has = session.transport
  if has and has.name ~= "WebSockets" then return nil, 400 end
  if session.state == "new" and not session.is_claimed then
    session.is_claimed = true
    return true
  elseif session.replay and session.state == "open" then
    return true
  end
  return nil, 409
end

-- What on_upgrade returns: a refusal, or the session (or, without an id, the
-- user of one that is to be made).
local function judge(hub, request)
  local query, user, status, body, headers = front.admit(hub, request)
  if not query then return status, body, headers end
  if hub:is_leaving() then return 503 end
  if not query.id then return { data = { user = user, request = request } } end
  local session
  session, status = front.find(hub, request, query.id, user, true)
  if not session then return status end
  local ok
  ok, status = claim(session)
  if not ok then return status end
  return { data = { session = session, request = request } }
end

local function open(hub, conn)
  local data = conn.data
  local session = data.session or hub:session(data.user)
  if session.is_over then return conn:close(1008) end
  local old = session.transport
  if old then -- it may look alive: nothing of it comes in any more
    session.transport = nil
    old.conn:terminate()
  end
  local self = setmetatable({ conn = conn, session = session }, transport)
  conn.data, send_to = self, send_to or conn.send
  hub.send = send_to
  if session.protocol then self.kind = session.protocol.kind end
  session:attach(self, data.request)
end

local function close(conn, code, reason)
  local self = conn.data
  if getmetatable(self) ~= transport then return end
  local is_clean = code == 1000 or code == 1001 or code == 1005
  local why
  if not is_clean then
    why = reason ~= "" and reason or "closed with " .. code
  end
  self.session:lost(self, why, code ~= 1006)
end

-- Bytes are bytes, whatever the kind of their message.
local function chunk(conn, bytes, kind)
  local self = conn.data
  local session = self.session
  if not session or session.transport ~= self then return end
  if session.read and session.protocol.short(session, bytes, kind, conn) then
    return
  end
  session:hear(bytes, kind)
end

local function ignore() end

-- The fields of a route that have to do with WebSockets.
function websockets.fill(hub, route)
  local options = hub.options
  local interval = options.client_timeout or 25
  route.on_upgrade = function(request) return judge(hub, request) end
  route.on_open = function(conn) open(hub, conn) end
  route.on_chunk, route.on_close = chunk, close
  -- not the listener's
  route.on_drain, route.on_ping, route.on_pong = ignore, ignore, ignore
  route.keepalive_interval, route.keepalive_timeout = interval, 2 * interval
  route.close_timeout = options.close_timeout
  route.stall_timeout = options.stall_timeout
  route.max_queued = options.max_queued
  route.max_message, route.concurrency = false, 1
  route.idle_timeout, route.subprotocols = false, {}
  route.compression = options.compression or false
  route.message_rate = options.message_rate or false
  route.max_lifetime = options.max_lifetime or false
  if options.on_error then route.on_error = options.on_error end
end

return websockets
