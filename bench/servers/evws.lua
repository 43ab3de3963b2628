-- The server that is measured: what comes to /echo goes back, what comes to
-- /broadcast goes to everyone there, and to /greeted, where clients shake hands
-- as with a hub; /hub is a SignalR hub, where lua-cjson is.
-- Plain, over TLS, and with compression:
--
--   lua5.4 bench/servers/evws.lua [PORT [TLS_PORT [DEFLATE_PORT]]]
--
-- Ports are printed when all of them listen; 0, the default, is any free one.

local ws = require "evws"

local certificates = "build/certificates/localhost"

local function echo(conn, message, kind) conn:send(message, kind) end

local hub

local function routes_of_hub()
  if not pcall(require, "cjson") then return {} end
  hub = hub or require "evws.signalr".hub { keepalive_interval = false,
    methods = {
      Add = function(_, a, b) return a + b end,
      Said = function(_, text) hub.clients.all:send("Said", text) end,
    } }
  return hub:routes "/hub"
end

local function serve(port, options)
  local server
  options.host, options.port = "127.0.0.1", tonumber(port or 0)
  options.max_connections, options.max_message = false, 64 << 20
  options.routes = {
    ["/echo"] = { on_message = echo },
    ["/broadcast"] = {
      on_open = function(conn) conn:subscribe "all" end,
      on_message = function(_, message, kind)
        server:publish("all", message, kind)
      end,
    },
  }
  -- The same among clients who have spoken and were answered, as with a hub:
  -- the kernel treats their connections in another way.
  options.routes["/greeted"] = {
    on_open = function(conn) conn:subscribe "greeted" end,
    on_message = function(conn, message, kind)
      if message:find('{"protocol"', 1, true) == 1 then
        return conn:send "{}\x1E"
      end
      server:publish("greeted", message, kind)
    end,
  }
  for path, route in pairs(routes_of_hub()) do options.routes[path] = route end
  server = assert(ws.listen(options))
  return server.port
end

print(serve(arg[1], {}), serve(arg[2], { tls = {
  certificate = certificates .. ".pem", key = certificates .. ".key" } }),
  serve(arg[3], { compression = { threshold = 0 } }))
io.stdout:flush()
ws.run()
