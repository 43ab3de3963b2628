-- A client of bench/steady.lua that takes nothing of what it is sent; until it
-- is ended. It says when it is there.
--
--   lua5.4 bench/steady/sleeper.lua PORT

local ws = require "evws"

ws.run(function()
  local conn = assert(ws.connect("ws://127.0.0.1:" .. arg[1] .. "/slow"))
  conn:pause()
  print "there"
  io.stdout:flush()
end)
