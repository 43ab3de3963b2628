-- replay.lua: stateful reconnect: the records of types 1 to 5 are numbered on
-- both sides, each side its own from 1 on, without the numbers being written.
-- What was sent and not yet acknowledged is kept, and sent again on a new
-- connection; what arrives twice is told by its number.

local replay = {}
replay.__index = replay

function replay.new()
  return setmetatable({
    sent = 0,          -- the number of the last record that was sent
    first = 1,         -- of the first that is kept
    kept = {},         -- number -> record
    bytes = 0,         -- of those that are kept
    next_number = 1,   -- of the next record that arrives
    latest = 0,        -- the highest that has arrived
    acked = 0,         -- the highest that was told to the client
    is_waiting = false -- for the client's Sequence
  }, replay)
end

function replay.is_counted(kind) return kind >= 1 and kind <= 5 end

-- A record that counts is sent, or would be were there a connection.
function replay:keep(record)
  self.sent = self.sent + 1
  self.kept[self.sent] = record
  self.bytes = self.bytes + #record
end

-- The client has got everything up to this number. One above what was sent is
-- taken for the last.
function replay:ack(number)
  if number > self.sent then number = self.sent end
  for i = self.first, number do
    self.bytes = self.bytes - #self.kept[i]
    self.kept[i] = nil
  end
  if number >= self.first then self.first = number + 1 end
end

-- There is a new connection: until the client's Sequence nothing of it counts.
-- The number to tell in ours.
function replay:reconnect()
  self.is_waiting = true
  return self.first
end

-- What to send again, in order.
function replay:records()
  return table.move(self.kept, self.first, self.sent, 1, {})
end

-- A message has arrived: is it to be looked at? nil and why: the connection is
-- to end.
function replay:accept(message)
  local kind = message.type
  if self.is_waiting then
    if kind ~= 9 then return false end
    self.is_waiting = false
  end
  if kind == 8 then
    self:ack(message.sequence)
    return false
  elseif kind == 9 then
    if message.sequence > self.next_number or message.sequence < 1 then
      return nil, "a sequence id is greater than what was sent"
    end
    self.next_number = message.sequence
    return false
  elseif not replay.is_counted(kind) then
    return true
  end
  local number = self.next_number
  self.next_number = number + 1
  if number <= self.latest then
    -- the client has not seen that we have it
    if self.acked >= number then self.acked = number - 1 end
    return false
  end
  self.latest = number
  return true
end

-- The number for an Ack, where one is due: ask once a second.
function replay:due_ack()
  if self.latest <= self.acked then return nil end
  self.acked = self.latest
  return self.latest
end

return replay
