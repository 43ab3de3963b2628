-- Echo servers of evws for peers: lua5.4 echo.lua <folder of certificates>
-- Prints "<over what>\t<variant>\t<url>" for each, then "ready". What stands
-- behind "/close/" is the code it closes with; v2 is its sub-protocol.
local ws = require "evws"

local certificates = arg[1]
local MIB = 1 << 20

local function on_open(conn)
  local code = conn.path:match "^/close/(%d+)$"
  if code then
    conn:close(math.tointeger(code), "Grüße")
  else
    conn:on_message(conn.send)
  end
end

local function listen(over, variant, options)
  local own = { port = 0, on_open = on_open, subprotocols = { "v2" },
    max_message = 4 * MIB, max_queued = 64 * MIB }
  for name, value in pairs(options) do own[name] = value end
  local server = assert(ws.listen(own))
  print(("%s\t%s\t%s://localhost:%d"):format(over, variant,
    own.tls and "wss" or "ws", server.port))
end

local tls = { certificate = certificates .. "/localhost.pem",
  key = certificates .. "/localhost.key" }

listen("TLS 1.2", "", { tls = tls })
listen("TLS 1.3", "", { tls = tls })
for _, variant in ipairs {
  { "default", true },
  { "takeover", { context_takeover = true, threshold = 0 } },
  { "server's takeover", { context_takeover = { server = true },
    threshold = 0, level = 9 } },
  { "windows of 512", { context_takeover = true, threshold = 0, memory = 1,
    server_max_window_bits = 9, client_max_window_bits = 9 } },
} do
  listen("deflate", variant[1], { compression = variant[2] })
end
listen("deflate over TLS", "", { tls = tls, compression = true })
io.write "ready\n"
io.flush()
ws.run()
