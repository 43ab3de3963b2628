-- The echo over TLS: lua5.4 examples/tls.lua [port [certificate key]]
-- Without files of your own, tools/certificate.sh makes some to try it with.
local ws = require "evws"
local made = "build/certificates/"
local port, certificate, key = tonumber(arg[1] or 5001), arg[2], arg[3]

if not port then
  io.stderr:write(arg[1], " is no port\n")
  os.exit(1)
end
if not certificate then
  assert(os.execute "tools/certificate.sh")
  certificate, key = made .. "localhost.pem", made .. "localhost.key"
end

local server, why = ws.listen { port = port, path = "/ws",
  tls = { certificate = certificate, key = key },
  on_open = function(conn)
    conn:on_message(conn.send)
  end }

if not server then
  io.stderr:write(why, "\n")
  os.exit(1)
end
print(("Echo: wss://localhost:%d/ws"):format(server.port))

-- A new certificate once a day, without dropping anyone.
ws.every(24 * 3600, function()
  local ok, problem = server:reload_tls()
  if not ok then io.stderr:write(problem, "\n") end
end)
ws.run()
