-- What bench/scale.lua measures: an echo, which says when it is ready. What it
-- tells its clients when it goes is up to evws.

local ws = require "evws"

local server = assert(ws.listen { host = "127.0.0.1", port = 0, backlog = 4096,
  max_connections = false, max_pending = 20000, max_per_address = false,
  message_rate = false,
  on_message = function(conn, message, kind) conn:send(message, kind) end })

ws.run(function()
  local stat <close> = assert(io.open "/proc/self/stat")
  print(("ready %d %d %d"):format(server.port, stat:read "n",
    ws.worker.generation))
  io.stdout:flush()
end)
