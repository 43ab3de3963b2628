-- standard.lua: what of Lua's own library tells the time or what chance says:
-- on a simulated network both are the network's.

local core = require "evws.core".sim

local standard = {}

-- SplitMix64, as the network's own.
local function generator(seed)
  local state = seed
  local function bits()
    state = state + 0x9E3779B97F4A7C15
    local z = state
    z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ~ (z >> 27)) * 0x94D049BB133111EB
    return z ~ (z >> 31)
  end
  local function random(low, high)
    if not low then return (bits() >> 11) * 0x1p-53 end
    if not high then
      if low == 0 then return bits() end
      low, high = 1, low
    end
    low = math.tointeger(low) or error("bad argument to 'random' (number has"
      .. " no integer representation)", 2)
    high = math.tointeger(high) or error("bad argument to 'random' (number has"
      .. " no integer representation)", 2)
    if low > high then
      error("bad argument to 'random' (interval is empty)", 2)
    end
    local span = high - low + 1
    if span <= 0 then return low + (bits() & (high - low)) end
    return low + (bits() >> 1) % span
  end
  local function reseed(new)
    if new then state = math.tointeger(new) or new * 0x1p20 // 1 | 0 end
  end
  return random, reseed
end

-- Puts the network's in the place of Lua's; calling what it returns puts them
-- back.
function standard.enter(seed)
  local time, date = os.time, os.date
  local random, randomseed = math.random, math.randomseed
  function os.time(at) -- luacheck: ignore 122
    if at then return time(at) end
    return core.wall()
  end
  function os.date(format, at) -- luacheck: ignore 122
    return date(format or "%c", at or core.wall())
  end
  math.random, math.randomseed = generator(seed) -- luacheck: ignore 122
  return function()
    os.time, os.date = time, date -- luacheck: ignore 122
    math.random, math.randomseed = random, randomseed -- luacheck: ignore 122
  end
end

return standard
