-- Clients of bench/scale.lua, in a process of their own: one that asks every 2
-- ms, and comes back at once when its server goes, and beside it newcomers one
-- after the other. Until SIGTERM, each line is "asked", "came" or "refused",
-- when that began and how long it took (coming back included), in seconds.
--
--   lua5.4 bench/scale/bystander.lua PORT

local ws = require "evws"

local url = "ws://127.0.0.1:" .. arg[1]
io.stdout:setvbuf "line"

local function say(what, began)
  io.write(("%s %.6f %.6f\n"):format(what, began, ws.now() - began))
end

local function connect()
  local began, conn = ws.now(), ws.connect(url, { timeout = 30 })
  if not conn then say("refused", began) end
  return conn
end

local function ask()
  local conn
  while true do
    local began = ws.now()
    repeat
      conn = conn or connect()
      if not (conn and conn:send "ask" and conn:receive(30)) then conn = nil end
    until conn
    say("asked", began)
    ws.sleep(0.002)
  end
end

local function come()
  while true do
    local began, conn = ws.now(), connect()
    say("came", began)
    if conn then conn:close() end
    ws.sleep(0.01)
  end
end

ws.spawn(ask)
ws.spawn(come)
ws.run()
