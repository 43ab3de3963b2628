-- An echo server and a page to try it with: lua5.4 examples/echo.lua [port]
local ws = require "evws"

local here = arg[0]:match("^(.*)/") or "."
local port = tonumber(arg[1] or os.getenv "PORT" or 5000)

local server, why = ws.listen { port = port, path = "/ws",
  on_request = ws.static(here .. "/echo"),
  on_open = function(conn)
    conn:on_message(conn.send)
  end
}
if not server then
  io.stderr:write(("cannot listen on port %d: %s\n"):format(port, why))
  os.exit(1)
end

print("Echo: http://localhost:" .. server.port)
ws.run()
