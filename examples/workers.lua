-- Which process serves whom: make run EXAMPLE=workers WORKERS=4 [ARGS=8080]
--
-- Each client is told the worker it got, and may ask again by any message. The
-- one that leads says every two seconds how many there are: one line, however
-- many workers run. It runs alone, too: lua5.4 examples/workers.lua [port]
local ws = require "evws"
local worker, port = ws.worker, tonumber(arg[1] or 5000)
local server, why

local function say(...)
  io.stdout:write(string.format(...), "\n")
  io.stdout:flush()
end

local function greet(conn)
  local all = server:stats { all = true }
  conn:send(("worker %d of %d, generation %d: %d of %d connections"):format(
    worker.id, worker.count, worker.generation, server.connections, all.open))
end

if not port then
  io.stderr:write(arg[1], " is no port\n")
  os.exit(1)
end
server, why = ws.listen { port = port, path = "/ws", on_open = greet,
  on_message = greet, on_request = function(request)
    if request.path == "/metrics" then return 200, server:metrics() end
  end }
if not server then
  io.stderr:write(why, "\n")
  os.exit(1)
end

ws.every(2, function()
  if not worker.is_leader then return end
  local all = server:stats { all = true }
  say("worker %d of %d leads: %d connections, %d messages so far", worker.id,
    worker.count, all.open, all.messages_in)
end)
say("Workers: ws://localhost:%d/ws (worker %d)", server.port, worker.id)
ws.run()
say("worker %d has ended", worker.id)
