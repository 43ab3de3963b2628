-- The hub of npm_signalr.mjs and chromium_signalr.mjs: lua5.4 signalr.lua, or
-- in several processes evws serve signalr.lua --workers 4 --redis spawn
-- Prints its URL, that of an empty page of another origin, and "ready", then
-- serves until it is ended.
local ws = require "evws"
local signalr = require "evws.signalr"

local factor = tonumber(os.getenv "EVWS_TIME_FACTOR") or 1
local server
local conns = {} -- transports of WebSockets, by the connection's id

local methods = {
  Add = function(ctx, a, b) return a + b end,
  Echo = function(ctx, ...) return ... end,
  Nothing = function() end,
  Kind = function(ctx, value)
    return math.type(value) or type(value)
  end,
  Bytes = function(ctx, n) return signalr.binary(("\0\255"):rep(n // 2)) end,
  Time = function() return signalr.time(1700000000.5) end,
  Values = function()
    return { list = {}, map = signalr.object {}, null = signalr.null,
      float = 1.5, integer = 42, text = "ä😀\n\30", yes = true }
  end,
  Fail = function() error "secret" end,
  Refuse = function() signalr.raise "not today" end,
  Me = function(ctx)
    return { id = ctx.id, user = ctx.user or signalr.null,
      transport = ctx.transport, protocol = ctx.protocol }
  end,
  Join = function(ctx, group) return ctx:join(group) end,
  Leave = function(ctx, group) return ctx:leave(group) end,
  To = function(ctx, whom, target, text)
    local c = ctx.clients
    local proxy = whom == "all" and c.all or whom == "others" and c.others
      or whom == "caller" and c.caller
      or whom == "client" and c:client(target)
      or whom == "clients" and c:clients(target)
      or whom == "except" and c:all_except(target)
      or whom == "group" and c:group(target)
      or whom == "groups" and c:groups(target)
      or whom == "others_in_group" and c:others_in_group(target)
      or whom == "user" and c:user(target)
    return proxy:send("Told", text)
  end,
  Collect = { function(ctx, items, more)
    local list = {}
    for item in items:each() do list[#list + 1] = item end
    return { items = list, more = more, error = items.error
      or signalr.null }
  end, uploads = 1 },
  Ask = function(ctx, a, b)
    local sum, why = ctx.clients.caller:within(5 * factor):invoke("Sum", a, b)
    return sum or why
  end,
  AskThree = function(ctx)
    local queue, list = ws.queue(3), {}
    for i = 1, 3 do
      ws.spawn(function()
        queue:put(ctx.clients.caller:invoke("Sum", i, i))
      end)
    end
    for i = 1, 3 do list[i] = queue:take(5 * factor) end
    table.sort(list)
    return list
  end,
  End = function(ctx, allow_reconnect)
    ctx:close { allow_reconnect = allow_reconnect }
  end,
  Tag = function(ctx) return ctx.items.tag end,
  Sockets = function() return server.connections end,
  Cut = function(ctx)
    local conn = conns[ctx.id]
    if conn then conn:terminate() end
  end,
}

-- How a client has left, and whose stream was given up, once it was: by a
-- topic, for whoever asks may be in another process.
local left, waiting = {}, {}
local function has_left(name, how)
  server:publish("left", name .. "\n" .. how)
end

local function hear_who_left(message)
  local name, how = message:match "^(.*)\n(.*)$"
  left[name] = how
  if waiting[name] then waiting[name]:put(how) end
end
methods.Left = function(ctx, name)
  if left[name] then return left[name] end
  waiting[name] = waiting[name] or ws.queue(1)
  return waiting[name]:take(8 * factor) or "there"
end

local streams = {
  Count = function(ctx, out, n, pause)
    for i = 1, n do
      if not out:send(i) then
        return has_left("stream of " .. ctx.id, "yes")
      end
      if pause > 0 then ws.sleep(pause) end
    end
  end,
  Long = function(ctx, out, n, length)
    for _ = 1, n do out:send(("d"):rep(length)) end
  end,
  CountAndFail = function(ctx, out, n)
    for i = 1, n do out:send(i) end
    signalr.raise "enough"
  end,
  Double = { function(ctx, out, items)
    for item in items:each() do out:send(item * 2) end
  end, uploads = 1 },
}

local function user_id(request)
  local query = ws.parse_query(request.query)
  local token = (request.headers.authorization or ""):match "^Bearer (.+)$"
  return token or query.access_token
end

local base = { methods = methods, streams = streams, user_id = user_id,
  on_error = function() end, keepalive_interval = 1, client_timeout = 30,
  on_connected = function(ctx)
    ctx.items.tag = ctx.request.headers["x-tag"]
  end,
  on_disconnected = function(ctx, why)
    has_left(ctx.id, why or "clean")
    conns[ctx.id] = nil
  end }

local function hub(more)
  local options = {}
  for name, value in pairs(base) do options[name] = value end
  for name, value in pairs(more or {}) do options[name] = value end
  return signalr.hub(options)
end

local routes = {}
local function serve(path, more)
  for pattern, route in pairs(hub(more):routes(path)) do
    if route.on_open then
      local open = route.on_open
      route.on_open = function(conn)
        open(conn)
        conns[conn.data.session.id] = conn
      end
    end
    routes[pattern] = route
  end
end

serve "/hub"
serve("/refusing", { on_connected = function()
  signalr.raise "not you"
end })
serve("/stateful", { stateful_reconnect = true })
serve("/guarded", { authorize = function(request)
  local user = user_id(request)
  if user ~= "good" then return 401 end
end })

serve("/silent", { keepalive_interval = false })
serve("/impatient", { client_timeout = 2 })

-- A token is "user.1" until the user lets it expire, then "user.2".
local expired = {}
local function holder(request)
  return (user_id(request) or ""):match "^(.*)%.(%d)$"
end
local expiring = { Expire = function(ctx) expired[ctx.user] = true end }
for name, method in pairs(methods) do expiring[name] = method end
serve("/expiring", { methods = expiring, user_id = function(request)
  return (holder(request))
end, authorize = function(request)
  local user, n = holder(request)
  if n ~= "2" and (n ~= "1" or expired[user]) then return 401 end
end })

-- For pages of another port, with cookies.
serve("/cross", { origins = function(origin)
  return origin:find "^http://localhost:%d+$" ~= nil
end, authorize = function(request)
  if user_id(request) ~= "good" then return 401 end
end })

local bundles = ws.static "node_modules/@microsoft"
local pages = assert(ws.listen { port = 0, on_request = function(request)
  if request.path ~= "/" then return bundles(request) end
  return 200, "<!doctype html><title>Hubs</title>"
    .. "<script src=/signalr/dist/browser/signalr.min.js></script>"
    .. "<script src=/signalr-protocol-msgpack/dist/browser/"
    .. "signalr-protocol-msgpack.min.js></script>",
    { ["Content-Type"] = "text/html" }
end })
server = assert(ws.listen { port = 0, routes = routes })
-- From then on it hears of all who leave others.
server:hear("left", hear_who_left, { wait = 5 * factor })
print("http://127.0.0.1:" .. server.port)
print("http://localhost:" .. pages.port)
io.write "ready\n"
io.flush()
ws.run()
