-- Hears a topic by way of Redis, and says how often, up to a message "end".
--
--   lua5.4 bench/scale/subscriber.lua URL

local ws = require "evws"

local server = assert(ws.listen { port = 0, host = "127.0.0.1",
  backplane = arg[1] })
local count = 0
server:hear("news", function(message)
  count = count + 1
  if message == "end" then ws.stop() end
end)

ws.run(function()
  while server:stats().backplane.subscriptions == 0 do ws.sleep(0.01) end
  print "ready"
  io.stdout:flush()
end)
print(count - 1)
