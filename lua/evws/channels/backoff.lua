-- backoff.lua: how long to wait before the next attempt: twice as long each
-- time, and a part of it is left to chance.

local backoff = {}
backoff.__index = backoff

backoff.usual = { initial = 0.5, maximum = 20, jitter = 0.5 }

-- rule: { initial =, maximum =, jitter = }; false where there is no next one.
function backoff.new(rule)
  return setmetatable({ rule = rule }, backoff)
end

function backoff:next()
  local rule = self.rule
  local delay = self.delay and self.delay * 2 or rule.initial
  self.delay = math.min(delay, rule.maximum)
  return self.delay * (1 - rule.jitter * math.random())
end

function backoff:reset() self.delay = nil end

return backoff
