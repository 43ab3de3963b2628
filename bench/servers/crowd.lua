-- The server of `make crowd`: one in which much is there that has nothing to
-- do. What comes
--
--   to /echo       goes back
--   to /broadcast  goes to everyone there
--   to /each       goes to everyone there, each by a topic of its own
--   to /sent       the same by `conn:send`
--   to /topics     is nothing; who is there has 100 topics for itself
--
--   lua5.4 bench/servers/crowd.lua [PORT]
--
-- INTERVAL is keepalive_interval. The port is printed when it listens.

local ws = require "evws"

local server
local joined = 0 -- to /topics
local conns, names = {}, {}

-- What opening all of them has left is no part of what a message costs.
local function settle()
  collectgarbage()
  collectgarbage()
  settle = function() end
end

local routes = {
  ["/echo"] = { on_message = function(conn, message, kind)
    settle()
    conn:send(message, kind)
  end },
  ["/broadcast"] = {
    on_open = function(conn) conn:subscribe "all" end,
    on_message = function(_, message, kind)
      settle()
      server:publish("all", message, kind)
    end,
  },
  ["/topics"] = {
    on_open = function(conn)
      for i = 1, 100 do conn:subscribe(joined .. "." .. i) end
      joined = joined + 1
    end,
  },
  ["/each"] = {
    on_open = function(conn)
      names[#names + 1] = "of " .. #names
      conn:subscribe(names[#names])
    end,
    on_message = function(_, message, kind)
      settle()
      for i = 1, #names do server:publish(names[i], message, kind) end
    end,
  },
  ["/sent"] = {
    on_open = function(conn) conns[#conns + 1] = conn end,
    on_message = function(_, message, kind)
      settle()
      for i = 1, #conns do conns[i]:send(message, kind) end
    end,
  },
}

server = assert(ws.listen { host = "127.0.0.1", port = tonumber(arg[1]) or 0,
  routes = routes, max_connections = false,
  keepalive_interval = tonumber(os.getenv "INTERVAL"),
  keepalive_timeout = os.getenv "INTERVAL" and false or nil })
print(server.port .. "\t")
io.stdout:flush()
ws.run()
