-- The server draws itself: lua5.4 examples/dashboard.lua [port]
--
-- /stats sends a line of "name=number" each second, from server:stats(), to
-- whoever connects, and first those of the last minute; /echo is there to make
-- load with (the page can), and /metrics is the same for Prometheus.
local ws = require "evws"
local here, port = arg[0]:match("^.*/") or "", tonumber(arg[1] or 5000)
local policy = { headers = { ["Content-Security-Policy"] =
  "default-src 'self'; img-src data:; frame-ancestors 'none'" } }
local page, common = ws.static(here .. "dashboard", policy), ws.static(here)
local is_common = { ["/style.css"] = true, ["/chart.js"] = true }

local shown = { "open", "messages_in", "messages_out", "bytes_in", "bytes_out",
  "queued_bytes", "memory", "busy_seconds", "lag_seconds" }
local recent = {} -- the lines of the last minute
local server, why

local function line()
  local stats = server:stats()
  local fields = { ("now=%.6f"):format(ws.now()),
    ("lua_memory=%.0f"):format(collectgarbage "count" * 1024) }
  for _, name in ipairs(shown) do
    fields[#fields + 1] = ("%s=%.17g"):format(name, stats[name])
  end
  return table.concat(fields, " ")
end

local function tick()
  recent[#recent + 1] = line()
  if #recent > 61 then table.remove(recent, 1) end
  server:publish("stats", recent[#recent])
end

if not port then
  io.stderr:write(arg[1], " is no port\n")
  os.exit(1)
end
server, why = ws.listen { port = port, origins = "same", hosts = "auto",
  on_request = function(request)
    if request.path == "/metrics" then
      return 200, server:metrics(),
        { ["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8" }
    end
    return (is_common[request.path] and common or page)(request)
  end,
  routes = {
    ["/stats"] = { on_open = function(conn)
      conn:subscribe "stats"
      conn:send(table.concat(recent, "\n"))
    end },
    ["/echo"] = { on_message = function(conn, message, kind)
      conn:send(message, kind)
    end },
  } }

if not server then
  io.stderr:write(why, "\n")
  os.exit(1)
end
tick()
ws.every(1, tick)
print("Dashboard: http://localhost:" .. server.port)
ws.run()
