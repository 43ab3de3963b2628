-- A ticker, with a page that draws it: lua5.4 examples/broadcast.lua [port]
--
-- A client sends "+NAME" or "-NAME" to get the prices of NAME or not, and gets
-- "NAME PRICE": the last one at once, then four a second. Prices move only
-- while somebody looks. A slow reader misses some, which does no harm here.
local ws = require "evws"
local here, port = arg[0]:match("^.*/") or "", tonumber(arg[1] or 5000)
local policy = { headers = { ["Content-Security-Policy"] =
  "default-src 'self'; img-src data:; frame-ancestors 'none'" } }
local page, common = ws.static(here .. "broadcast", policy), ws.static(here)
local is_common = { ["/style.css"] = true, ["/chart.js"] = true }

local prices = { ALFA = 120, BETA = 80, GAMMA = 45 }
local server, why, timer

local function show(name) return ("%s %.2f"):format(name, prices[name]) end

local function tick()
  local somebody = false
  for name, price in pairs(prices) do
    if server:subscribers(name) > 0 then
      somebody = true
      prices[name] = math.max(1, price * (1 + (math.random() - 0.5) / 50))
      server:publish(name, show(name))
    end
  end
  if not somebody then
    timer:cancel()
    timer = nil
  end
end

if not port then
  io.stderr:write(arg[1], " is no port\n")
  os.exit(1)
end
server, why = ws.listen { port = port, path = "/ticker", origins = "same",
  max_message = 64, max_queued = 16 * 1024,
  on_request = function(request)
    return (is_common[request.path] and common or page)(request)
  end,
  on_message = function(conn, message)
    local sign, name = message:match "^([+-])(%u+)$"
    if not prices[name] then
      conn:close(1008, "+NAME or -NAME")
    elseif sign == "-" then
      conn:unsubscribe(name)
    else
      conn:subscribe(name)
      conn:send(show(name))
      timer = timer or ws.every(0.25, tick)
    end
  end }

if not server then
  io.stderr:write(why, "\n")
  os.exit(1)
end
print("Ticker: http://localhost:" .. server.port)
ws.run()
