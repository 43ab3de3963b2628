-- An echo server, and a page to try it with: lua5.4 examples/echo.lua [port]
local ws = require "evws"
local here, port = arg[0]:match("^.*/") or "", tonumber(arg[1] or 5000)

if not port then
  io.stderr:write(arg[1], " is no port\n")
  os.exit(1)
end
local server, why = ws.listen { port = port, path = "/ws",
  on_request = ws.static(here .. "echo"),
  on_open = function(conn)
    conn:on_message(conn.send)
  end }

if not server then
  io.stderr:write(why, "\n")
  os.exit(1)
end
print("Echo: http://localhost:" .. server.port)
ws.run()
