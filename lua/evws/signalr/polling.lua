-- polling.lua: a session over long polling: what there is to say waits for the
-- next request, or a request waits for it.

local ws = require "evws"

local polling = {}

local transport = { name = "LongPolling", can_binary = true,
  wants_pings = false }
transport.__index = transport

local lingering = 15 -- seconds that the last records wait for their poll

function transport:send(bytes)
  if self.bytes > 0 and self.bytes + #bytes > self.hub.options.max_queued then
    return nil, "queue full"
  end
  self.waiting[#self.waiting + 1] = bytes
  self.bytes = self.bytes + #bytes
  self:wake "data"
  return true
end

function transport:buffered() return self.bytes end

-- True when somebody has taken what there was.
function transport:drain(seconds)
  self.room = self.room or ws.queue(1)
  local _, why = self.room:take(seconds)
  return why == "closed" and not self.is_over
end

-- All who wait look again.
function transport:make_room()
  if self.room then self.room:close() end
  self.room = nil
end

-- The poll that waits is told why it goes on.
function transport:wake(why)
  if self.poller then self.poller:put(why) end
end

-- Records that are still there go with a last poll.
function transport:finish()
  self.is_over = true
  self:make_room()
  if self.hub:is_leaving() and not self.poller then return end
  self.hub.leaving[self.session.token] = self
  self.timer = ws.after(lingering, function() self:forget() end)
  self:wake "over"
end

-- No further poll is expected.
function transport:forget()
  self.timer:cancel()
  self.hub.leaving[self.session.token] = nil
end

local fresh = { ["Cache-Control"] = "no-cache, no-store" }

local function answer(status, body, content_type)
  local headers = {}
  for name, value in pairs(fresh) do headers[name] = value end
  headers["Content-Type"] = content_type
  return status, body, headers
end

local function take(self)
  local body = table.concat(self.waiting)
  self.waiting, self.bytes = {}, 0
  self:make_room()
  return answer(200, body, "application/octet-stream")
end

-- Waits for the first record, the end, or the time that a poll may take; nil:
-- the client has gone, or another poll takes the place of this one.
local function wait(self, request)
  local queue = ws.queue(4)
  self.poller = queue
  request:on_close(function() queue:put "gone" end)
  local why = queue:take(self.hub.options.poll_timeout)
  if self.poller == queue then self.poller = nil end
  return why or "timeout"
end

function transport:poll(request)
  local session = self.session
  self:wake "replaced"
  session.deadline = nil
  local why = "data"
  if self.bytes == 0 and not self.is_over then why = wait(self, request) end
  if why == "replaced" then return answer(204) end
  if not session.is_over then
    session:expire_in(self.hub.options.disconnect_timeout)
  end
  if why == "gone" then return answer(204) end
  if self.timer and (self.bytes == 0 or self.hub:is_leaving()) then
    self:forget()
  end
  if self.bytes > 0 then return take(self) end
  if session.is_over then return answer(204) end
  return answer(200, "")
end

function polling.serve(hub, request, session)
  if session.state ~= "new" then return session.transport:poll(request) end
  local self = setmetatable({ hub = hub, session = session, waiting = {},
    bytes = 0 }, transport)
  session:attach(self, request)
  return answer(200, "")
end

return polling
