-- What the parts of bench/steady.lua share: a server on one core and loads on
-- another, where there are two.
--
--   steady.serve(...) -> served         bench/servers/steady.lua with these
--                                       arguments: served.port, served:stop()
--   steady.floor() -> served            the least server in C (floor.c)
--   steady.load(served, options) -> { name = number }   what evws_load says;
--     options: as bench/load/main.c has them ("--size 20"), and the path
--   steady.beside(served, options) -> load   the same, on the core of the load
--     that is measured, until load:stop "KILL"
--   steady.sleeper(served) -> sleeper   who takes nothing of what is published
--     to /slow, likewise

local kit = require "bench.scale.kit"

local steady = {}

local has_cores = tonumber(kit.ask "nproc") >= 2
  and pcall(kit.ask, "command -v taskset")

local function on_core(n)
  return has_cores and ("taskset -c %d "):format(n) or ""
end

function steady.serve(...)
  local self = kit.spawn(on_core(0) .. table.concat({ kit.lua,
    "bench/servers/steady.lua", ... }, " "))
  self.port = tonumber((self:read()))
  return self
end

function steady.floor()
  local self = kit.spawn(("%s%s/evws_floor"):format(on_core(0), kit.build))
  self.port = tonumber((self:read()))
  return self
end

local function command(served, options)
  return ("%s%s/evws_load --pid %d %s 127.0.0.1 %d "):format(on_core(1),
    kit.build, served.pid, options:match "^(.-) ?/", served.port)
    .. options:match "/%l+$"
end

function steady.load(served, options)
  local list = {}
  for name, value in kit.ask(command(served, options)):gmatch
    "([%w_]+)=([%d.]+)" do
    list[name] = tonumber(value)
  end
  return list
end

function steady.beside(served, options)
  return kit.spawn(command(served, "--seconds 600 --stall 60 " .. options))
end

-- A member of /slow that reads nothing.
function steady.sleeper(served)
  local self = kit.spawn(kit.lua .. " bench/steady/sleeper.lua " .. served.port)
  self:read()
  return self
end

return steady
