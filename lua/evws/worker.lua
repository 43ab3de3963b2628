-- worker.lua: ws.worker, what this process is among those of `evws serve`. Who
-- leads may change at any time, so that it is asked.

local core = require "evws.core"

local own = core.worker
local worker = { id = own.id, count = own.count, generation = own.generation,
  supervised = own.supervised }

local function get(_, key)
  if key == "is_leader" then return own.is_leader() end
end

local function set(_, key)
  error(("cannot set '%s' of ws.worker"):format(tostring(key)), 2)
end

local function all()
  local list = { is_leader = own.is_leader() }
  for key, value in pairs(worker) do list[key] = value end
  return next, list
end

return setmetatable({}, { __name = "evws.worker", __newindex = set,
  __pairs = all, __index = function(_, key)
    local value = worker[key]
    if value == nil then return get(_, key) end
    return value
  end })
