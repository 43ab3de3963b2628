-- clock.lua: what comes due for the sessions of a hub, by one timer a second.
-- A session has at most one entry: it says itself when it wants to be looked
-- at again. Entries of the same second share a slot, so nothing is searched.

local clock = {}
clock.__index = clock

function clock.new()
  return setmetatable({ now = 0, slots = {} }, clock)
end

function clock:drop(session)
  local slot = self.slots[session.due_at]
  if slot then slot[session.due_place] = false end -- it is held no longer
  session.due_at, session.due_place = nil, nil
end

-- session:due(now) is called in so many seconds, or up to one later; an entry
-- that it has already is moved only if it were to be sooner.
function clock:set(session, seconds)
  local at = self.now + math.max(1, math.ceil(seconds))
  if session.due_at then
    if session.due_at <= at then return end
    self:drop(session)
  end
  local slot = self.slots[at]
  if not slot then
    slot = {}
    self.slots[at] = slot
  end
  slot[#slot + 1] = session
  session.due_at, session.due_place = at, #slot
end

-- Nobody is left: what stands in the slots would stay while the clock stops.
function clock:clear() self.slots = {} end

-- A second has passed.
function clock:tick()
  self.now = self.now + 1
  local now = self.now
  local slot = self.slots[now]
  self.slots[now] = nil
  for _, session in ipairs(slot or {}) do
    if session then
      session.due_at, session.due_place = nil, nil
      local seconds = session:due(now)
      if seconds then self:set(session, seconds) end
    end
  end
end

return clock
