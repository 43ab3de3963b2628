-- The server of `make steady`. What comes
--
--   to /echo       goes back
--   to /broadcast  goes to everyone there
--   to /slow       goes to everyone there, who take it or miss it
--   to /collect    is answered when all garbage has been collected
--   to /litter     is answered when 170 KiB of garbage have been made
--
--   lua5.4 bench/servers/steady.lua [MIB [COLLECTOR]]
--
-- MIB: of objects that live, 0 by default. COLLECTOR: "generational" or
-- "incremental"; else as the interpreter has it. Its port is printed when it
-- listens.

local ws = require "evws"

local mib, collector = tonumber(arg[1] or 0), arg[2]
if collector then collectgarbage(collector) end

-- Small tables, as an application's records are.
local living = {}
debug.getregistry()["what lives"] = living
while collectgarbage "count" < mib * 1024 do
  living[#living + 1] = { id = #living, name = "n" .. #living, list = { 1 } }
end

local server

local function members(topic)
  return { on_open = function(conn) conn:subscribe(topic) end,
    on_message = function(_, message, kind)
      server:publish(topic, message, kind)
    end }
end

local function litter()
  for i = 1, 1000 do local _ = { i, "x" .. i } end
end

server = assert(ws.listen { host = "127.0.0.1", port = 0, backlog = 4096,
  max_connections = false, max_pending = 20000, max_per_address = false,
  max_message = 64 << 20, max_queued = 64 << 20, message_rate = false,
  keepalive_interval = false,
  routes = {
    ["/echo"] = { on_message = function(conn, message, kind)
      conn:send(message, kind)
    end },
    ["/broadcast"] = members "all",
    ["/slow"] = members "slow",
    ["/collect"] = { on_message = function(conn, message, kind)
      collectgarbage()
      conn:send(message, kind)
    end },
    ["/litter"] = { on_message = function(conn, message, kind)
      litter()
      conn:send(message, kind)
    end },
  } })

ws.run(function()
  print(server.port)
  io.stdout:flush()
end)
