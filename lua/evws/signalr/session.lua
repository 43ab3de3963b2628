-- session.lua: one client, for as long as it is one, whatever transport it has:
-- new, handshaking, open, over.
--
-- A transport is an object with name, can_binary, wants_pings, conn (of a
-- WebSocket) and the methods send(bytes) -> true, or nil and why; buffered() ->
-- bytes; drain(seconds); finish(code), after which it tells nothing more; and
-- perhaps make_room(), which ends the waiting in drain.

local ws = require "evws"
local context = require "evws.signalr.context"
local dispatch = require "evws.signalr.dispatch"
local errors = require "evws.signalr.errors"
local handshake = require "evws.signalr.handshake"
local records = require "evws.signalr.records"
local replay = require "evws.signalr.replay"

local call = dispatch.call

local session = {}
session.__index = session

-- Whoever waits in such a queue looks again.
local function wake_all(self, name)
  local queue = self[name]
  self[name] = nil
  if queue then queue:close() end
end

-- What most of them have most of the time costs no memory.
session.is_over, session.heard = false, 0
session.n_calls, session.n_running, session.n_streams = 0, 0, 0

-- Of a hub; it expires unless a transport comes.
function session.new(hub, id, token, user)
  local self = setmetatable({ hub = hub, id = id, token = token, user = user,
    state = "new" }, session)
  self.ctx = context.new(self)
  self:expire_in(hub.options.disconnect_timeout)
  return self
end

-- ---- transports ----

function session:attach(transport, request)
  self.transport, self.request = transport, request
  self.heard = self.hub.clock.now
  if self.state == "new" then
    self.hub.n_new = self.hub.n_new - 1
    self.state = "handshaking"
    self:expire_in(self.hub.options.handshake_timeout)
    return
  end
  -- a stateful one is back: Sequence, what it missed, then what is new. What
  -- was held is among what it missed.
  self.deadline = nil
  self.records, self.held = nil, nil
  local protocol = self.protocol
  transport:send(protocol.sequence(self.replay:reconnect()))
  if not self:say_all(self.replay:records()) then return end
  self:make_room()
  self:watch()
end

-- The transport is gone. is_clean: the client has ended it in order.
function session:lost(transport, why, is_clean)
  if self.is_over or self.transport ~= transport then return end
  self.transport = nil
  if self.replay and not is_clean then
    self:expire_in(self.hub.options.disconnect_timeout)
  else
    self:over(why)
  end
end

-- ---- the way in ----

local function shake(self, record)
  local transport, hub = self.transport, self.hub
  local protocol, refusal = handshake.judge(record, hub.protocols,
    transport.can_binary)
  if not protocol then
    transport:send(refusal)
    self:over "the handshake was refused"
    transport:finish(1000)
    return
  end
  self.protocol, self.state, self.deadline = protocol, "open", nil
  transport:send(handshake.accepted)
  if protocol.kind ~= "text" then transport.kind = protocol.kind end
  if self.is_stateful then
    -- what comes in one piece with that answer is not counted by the client
    self.replay, self.held = replay.new(), {}
  end
  hub:opened(self)
  if self.is_over then return end
  self:watch()
  self.is_connected = true
  local caught = dispatch.hook(self, "connected", hub.options.on_connected)
  self.request = nil -- ctx.request has it, if anybody wants it
  if caught and not self.is_over then
    self.is_connected = false
    self:finish(errors.of("Connection closed with an error.", caught,
      hub.options.detailed_errors), false, "on_connected raised an error")
  end
end

-- A record that holds no message, or none that may be: Close, and the end.
local function break_off(self, why)
  self:finish(errors.of_connection(why, self.hub.options.detailed_errors),
    true, why)
end

local function handle(self, record)
  local message, why = self.protocol.parse(record)
  if not message then return break_off(self, why) end
  self.hub.counts.records_in = self.hub.counts.records_in + 1
  if self.held and not self:release() then return end
  local numbers = self.replay
  if numbers then
    local is_new
    is_new, why = numbers:accept(message)
    if is_new == nil then return break_off(self, why) end
    if message.type == 8 then self:make_room() end
    self:watch()
    if not is_new then return end
  end
  dispatch.message(self, message)
end

-- Bytes of a WebSocket, in order, as feed. What they are most of the time, one
-- invocation, takes a short way. kind: text is known to be UTF-8.
function session:hear(bytes, kind)
  local read = self.read
  if not read then return self:feed(bytes) end
  local is_call, id, target, args, n, bad = read(bytes, kind)
  if is_call == false then return self:feed(bytes) end
  if not is_call then return break_off(self, id) end
  local hub = self.hub
  local counts = hub.counts
  self.heard, counts.records_in = hub.clock.now, counts.records_in + 1
  counts.bytes_in = counts.bytes_in + #bytes
  if is_call == true then
    return call(self, hub, id, target, args, n, bad)
  end
  dispatch.message(self, is_call)
end

-- Bytes of the client, in order. May wait, and then so does the client.
function session:feed(bytes)
  if self.is_over then return end
  local input = self.records or records.new(self.hub.options.max_record)
  self.records, self.read = input, nil
  local hub = self.hub
  self.heard, hub.counts.bytes_in = hub.clock.now,
    hub.counts.bytes_in + #bytes
  input:feed(bytes)
  while not self.is_over and self.records == input do
    local protocol = self.protocol
    local record, why
    if protocol and protocol.is_binary then
      record, why = input:binary()
    else
      record, why = input:text()
    end
    if record == nil then break end
    if record and protocol then
      handle(self, record)
    elseif record then
      shake(self, record)
    elseif protocol then
      return break_off(self, why)
    else
      return self:cancel_handshake()
    end
  end
  -- most of them have none most of the time
  if self.records ~= input or not input:is_empty() then return end
  self.records = nil
  if self.state == "open" and not self.replay then
    self.read = self.protocol.read
  end
end

-- Bytes that came by a request of their own: it waits only while too much
-- waits already, for the answer that a running method needs may be in the
-- next one. False: the session is over.
function session:post(bytes)
  local most = self.hub.options.max_buffered
  while self.inbox and self.inbox.bytes > most and not self.is_over do
    self.inbox_room = self.inbox_room or ws.queue(1)
    self.inbox_room:take()
  end
  if self.is_over then return false end
  local inbox = self.inbox
  if inbox then
    inbox[#inbox + 1], inbox.bytes = bytes, inbox.bytes + #bytes
    return true
  end
  inbox = { bytes, bytes = #bytes }
  self.inbox = inbox
  ws.spawn(function()
    while inbox[1] and not self.is_over do
      local next_bytes = table.remove(inbox, 1)
      inbox.bytes = inbox.bytes - #next_bytes
      wake_all(self, "inbox_room")
      self:feed(next_bytes)
    end
    self.inbox = nil
    wake_all(self, "inbox_room")
  end)
  return true
end

function session:cancel_handshake()
  local transport = self.transport
  transport:send(handshake.canceled)
  self:over "the handshake was canceled"
  transport:finish(1000)
end

-- The clock of a client starts at its first ping.
function session:pinged()
  if self.has_pinged then return end
  self.has_pinged = true
  self:watch()
end

-- ---- the way out ----

-- Says these records to the transport there is. False: there was no room for
-- one, and the session is over, for one that is left out would shift the
-- numbers of all others.
function session:say_all(list)
  local transport = self.transport
  for _, record in ipairs(list) do
    local _, why = transport:send(record)
    if why == "queue full" then
      self:overflow()
      return false
    end
  end
  return true
end

-- What was held back until the client counts. Without a transport: what counts
-- is kept to be said again. False: that was too much for it.
function session:release()
  local held = self.held
  self.held = nil
  return not self.transport or self:say_all(held)
end

-- Sends a record; is_counted: of the types 1 to 5. Never waits. True, or nil
-- and why.
function session:write(record, is_counted)
  if self.is_over then return nil, "closed" end
  local counts, numbers = self.hub.counts, self.replay
  counts.records_out = counts.records_out + 1
  counts.bytes_out = counts.bytes_out + #record
  if numbers and is_counted then
    numbers:keep(record)
    if numbers.bytes > self.hub.options.max_queued then
      return self:overflow()
    end
  end
  if self.held then
    self.held[#self.held + 1] = record
    return true
  end
  local transport = self.transport
  if not transport then
    if numbers then return true end
    return nil, "closed"
  end
  local ok, why = transport:send(record)
  if ok then return true end
  if why == "queue full" then return self:overflow() end
  if numbers then return true end -- it is about to be lost, and comes back
  return nil, why
end

function session:overflow()
  self:finish(errors.of_connection("slow consumer",
    self.hub.options.detailed_errors), true, "slow consumer", 1008)
  return nil, "closed"
end

-- Waits while the client is slow, or away.
function session:drain()
  local options, numbers = self.hub.options, self.replay
  while not self.is_over do
    local transport = self.transport
    if not transport or numbers and numbers.bytes > options.replay_buffer then
      if not numbers then return end
      self.room = self.room or ws.queue(1)
      self.room:take()
    elseif transport:buffered() > options.max_buffered then
      if not transport:drain(options.stall_timeout) then return end
    else
      return
    end
  end
end

function session:make_room() wake_all(self, "room") end

-- ---- the end ----

-- The client has ended it without a word (DELETE).
function session:leave_quietly()
  local transport = self.transport
  self:over()
  if transport then transport:wake "over" end
end

-- The client has said Close.
function session:leave(text)
  self:finish(nil, false, text)
end

-- Says Close and ends. The id is dead before: a stateful client looks whether
-- it may come back. why: what on_disconnected is told.
function session:finish(text, allow_reconnect, why, code)
  if self.is_over then return end
  local transport, protocol = self.transport, self.protocol
  self.hub:forget(self)
  if transport and protocol then
    if self.held and not self:release() then return end
    transport:send(protocol.close(text, allow_reconnect))
  end
  self:over(why)
  if transport then transport:finish(code or 1000) end
end

local function tell_end(self)
  dispatch.hook(self, "disconnected", self.hub.options.on_disconnected,
    self.why)
end

-- It is over; whatever waits in it is told.
function session:over(why)
  if self.is_over then return end
  self.hub:forget(self)
  self.is_over, self.why, self.state = true, why, "over"
  self.read = nil
  self.hub:closed(self)
  dispatch.drop(self)
  wake_all(self, "room")
  wake_all(self, "inbox_room")
  local transport = self.transport -- others hear of their connection's end
  if transport and transport.make_room then transport:make_room() end
  for _, fn in ipairs(self.on_closed or {}) do ws.spawn(fn, self.ctx) end
  self.on_closed = nil
  if self:is_at_rest() then ws.spawn(tell_end, self) end
end

function session:enter_call() self.n_running = self.n_running + 1 end

-- on_disconnected comes after the last method.
function session:leave_call()
  self.n_running = self.n_running - 1
  if self.is_over then self:rest() end
end

function session:is_at_rest()
  return self.is_connected and self.n_running == 0 and self.n_calls == 0
end

-- It is over, and a method has returned.
function session:rest()
  if self:is_at_rest() then tell_end(self) end
end

-- ---- the clock ----

function session:expire_in(seconds)
  local whole = math.ceil(seconds) + 1 -- the second that runs does not count
  self.deadline = self.hub.clock.now + whole
  self.hub.clock:set(self, whole)
end

-- Wants to be looked at when the client would be too late.
function session:watch()
  local timeout = self.hub.options.client_timeout
  if self.replay then
    self.hub.clock:set(self, 1) -- acks, and what is held back
  elseif timeout and self.has_pinged then
    self.hub.clock:set(self, timeout + 1)
  end
end

local function expire(self)
  if self.state == "handshaking" then
    self:cancel_handshake()
  else
    self:over(self.state == "open" and "the client did not come back" or nil)
  end
end

-- By the clock: seconds until the next look, or nil.
function session:due(now)
  if self.is_over then return nil end
  if self.deadline then
    if now >= self.deadline then return expire(self) end
    return self.deadline - now
  end
  if self.held and not self:release() then return nil end
  local numbers, timeout = self.replay, self.hub.options.client_timeout
  local ack = numbers and self.transport and numbers:due_ack()
  if ack then self:write(self.protocol.ack(ack), false) end
  local quiet = now - self.heard
  if timeout and self.has_pinged and quiet > timeout then
    return break_off(self, "Client hasn't sent a message/ping within the "
      .. "configured ClientTimeoutInterval.")
  end
  if numbers then return 1 end
  return timeout and self.has_pinged and timeout + 1 - quiet or nil
end

return session
