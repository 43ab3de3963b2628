-- The channels of npm_centrifuge.mjs and chromium_centrifuge.mjs: lua5.4
-- channels.lua. Prints its URL, that of a page with the client's bundle, and
-- "ready", then serves until it is ended.
local ws = require "evws"
local channels = require "evws.channels"
local core = require "evws.core"
local jwt = require "evws.channels.jwt"

local factor = tonumber(os.getenv "EVWS_TIME_FACTOR") or 1
local secret = "a secret of thirty-two bytes ...."
local kept = { size = 2000, ttl = 300 }
local chat, server

local function is_even(_, _, data) return data % 2 == 0 end

local namespaces = {
  ["plain:*"] = { publish = true, presence = true, read_presence = true,
    join_leave = true },
  ["room:*"] = { publish = true, history = kept, presence = true,
    join_leave = true },
  ["short:*"] = { publish = true, history = { size = 5, ttl = 300 } },
  ["state"] = { publish = true, history = { size = 1, ttl = 300 },
    cache = true },
  ["token:*"] = { subscribe = "token" },
  ["own:*"] = { subscribe = function(client, channel, request)
    if request.data == "no" then return false end
    ws.sleep(0.02)
    return { data = { given = request.data or channels.null },
      info = { nick = client.user } }
  end, publish = is_even },
  ["shut"] = { subscribe = false },
  ["ours:*"] = { publish = true, history = kept },
}

local rpc = {
  echo = function(_, data) return data end,
  slow = function(_, data) ws.sleep(0.05) return data end,
  fail = function() error "secret" end,
  refuse = function() channels.raise(444, "not today") end,
  backplane = function() return core.worker.backplane end,
  me = function(client)
    return { id = client.id, user = client.user, name = client.name,
      headers = channels.object(client.headers) }
  end,
  token = function(_, claims)
    if claims.exp_in then claims.exp = os.time() + claims.exp_in end
    claims.exp_in = nil
    return jwt.sign(claims, secret)
  end,
  raw = function(_, data)
    return (server:publish(data.channel, data.text, data.kind))
  end,
  publish = function(_, data)
    return (chat:publish(data.channel, data.value, { tags = data.tags }))
  end,
  reset = function(_, channel) return chat:reset(channel) end,
  disconnect = function(_, data)
    return chat:disconnect(data.user, data.code, data.reason)
  end,
  subscribe = function(_, data)
    return chat:subscribe(data.user, data.channel)
  end,
  unsubscribe = function(_, data)
    return chat:unsubscribe(data.user, data.channel, data.code)
  end,
  send = function(_, data) return chat:send(data.user, data.value) end,
}

chat = channels.new { secret = secret, namespaces = namespaces, rpc = rpc,
  max_recovered = 2000, ping = 1, pong = true, expiry_grace = 2 * factor,
  origins = "*",
  on_error = function() end,
  connect = function(client)
    local data = client.data or {}
    if data.refuse then return false end
    if data.raise then channels.raise(data.raise, "as you wish") end
    if data.wait then ws.sleep(data.wait) end
    return { user = data.user, info = data.info, data = data.data,
      subscribe = data.subscribe }
  end,
  on_message = function(client, data) client:send { heard = data } end }

local page = '<!DOCTYPE html><title>-</title><script src="/client.js"></script>'

local function serve(request)
  if request.path == "/client.js" then
    local file <close> =
      assert(io.open "node_modules/centrifuge/dist/centrifuge.js")
    return 200, file:read "a", { ["Content-Type"] = "text/javascript" }
  end
  return 200, page, { ["Content-Type"] = "text/html" }
end

server = assert(ws.listen { port = tonumber(arg[1] or 0), history = chat.kept,
  routes = chat:routes "/connection/websocket", on_request = serve })
chat:serve(server)
print(("ws://127.0.0.1:%d/connection/websocket"):format(server.port))
print(("http://localhost:%d/"):format(server.port))
print "ready"
io.stdout:flush()
ws.run()
