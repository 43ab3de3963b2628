-- A room for WebSockets and for lines over TCP:
-- lua5.4 examples/lines.lua [port [port of the lines]]
--
-- The lines are luasocket's (apt install lua-socket); try `nc localhost PORT`.
-- luasocket is told never to wait; ws.wait does that for it, so that one
-- program and one loop serve both.
local ws = require "evws"
local socket = require "socket"
local port, line_port = tonumber(arg[1] or 5000), tonumber(arg[2] or 0)
local server, telnets = nil, {}

if not port or not line_port then
  io.stderr:write(port and arg[2] or arg[1], " is no port\n")
  os.exit(1)
end

local function tell_all(text)
  server:publish("room", text)
  for _, queue in pairs(telnets) do queue:put(text) end -- full: it misses one
end

local function write_all(client, queue)
  for text in queue do
    local bytes, from = text .. "\n", 1
    while from <= #bytes do
      local last, why, sent = client:send(bytes, from)
      if not last and why ~= "timeout" then return end
      from = (last or sent) + 1
      if not last and not ws.wait(client, "w", 10) then return end
    end
  end
end

-- A line may come in pieces; what is longer than any line should be ends it.
local function read_all(client)
  local text = ""
  while true do
    local line, why, part = client:receive "*l"
    text = text .. (line or part)
    if line then
      if utf8.len(text) then tell_all(text) end
      text = ""
    elseif #text > 4096 or why ~= "timeout" or not ws.wait(client, "r") then
      return
    end
  end
end

local function serve(client)
  client:settimeout(0)
  local queue <close> = ws.queue(100)
  local _ <close> = ws.spawn(write_all, client, queue)
  telnets[client] = queue
  read_all(client)
  telnets[client] = nil
  client:close()
end

local why
server, why = ws.listen { port = port, path = "/ws",
  on_open = function(conn) conn:subscribe "room" end,
  on_message = function(_, message) tell_all(message) end }
local lines = server and socket.bind("127.0.0.1", line_port)
if not lines then
  io.stderr:write(why or "the port of the lines is taken", "\n")
  os.exit(1)
end
lines:settimeout(0)
print(("Room: ws://localhost:%d/ws"):format(server.port))
print(("Lines: %d"):format(select(2, lines:getsockname())))

ws.run(function()
  while ws.wait(lines, "r") do
    local client = lines:accept()
    if client then ws.spawn(serve, client) end
  end
end)
