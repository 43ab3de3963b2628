-- events.lua: what the handlers of a connection are called for, one after the
-- other, each of which may wait; and who brings more waits for them.

local ws = require "evws"
local catch = require "evws.channels.errors".catch

local events = { __name = "evws.channels.events" }
events.__index = events

-- on_error(message, traceback), or nil: ws.on_error.
function events.new(most, on_error)
  return setmetatable({ first = 1, last = 0, most = most, on_error = on_error,
    is_busy = false }, events)
end

function events:report(caught)
  local on_error, text = self.on_error, caught.traceback or caught.text
    or tostring(caught)
  ws.spawn(function()
    if not on_error then error(text, 0) end
    on_error(caught.text or text, text)
  end)
end

local function work(self)
  self.worker = coroutine.running()
  while self.first <= self.last do
    local event = self[self.first]
    self[self.first], self.first = nil, self.first + 1
    if self.room then self.room:put(true) end
    local fn = event.wanted(event)
    if fn then
      local ok, caught = xpcall(fn, catch, event[1], event[2], event[3])
      self.is_asking = false
      if not ok then self:report(caught) end
    end
  end
  self.is_busy, self.worker = false, nil
end

-- wanted(event) -> the function to be called with the rest, or nil; it is asked
-- when its turn has come.
function events:add(wanted, ...)
  self.last = self.last + 1
  self[self.last] = { wanted = wanted, ... }
  if not self.is_busy then
    self.is_busy = true
    ws.spawn(work, self)
  end
end

-- Whoever asks the server begins to wait for the answer, or has it. If that is
-- a handler all that comes before the answer is taken in, room or not.
function events:asks(is_asking)
  if coroutine.running() ~= self.worker then return end
  self.is_asking = is_asking
  if is_asking then self:let_go() end
end

-- Waits for room, while is_open().
function events:wait(is_open)
  while self.last - self.first >= self.most and not self.is_asking
    and is_open() do
    self.room = self.room or ws.queue(1)
    self.room:take()
  end
end

-- Nobody has to wait any more.
function events:let_go()
  if self.room then self.room:put(true) end
end

return events
