-- lua-http: lua5.4 lua_http.lua PORT TLS_PORT _ CERTIFICATE KEY
local cqueues = require "cqueues"
local context = require "openssl.ssl.context"
local pkey = require "openssl.pkey"
local x509 = require "openssl.x509"
local http_server = require "http.server"
local websocket = require "http.websocket"

local everyone = {}

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function on_stream(_, stream)
  local head = assert(stream:get_headers())
  local ws = websocket.new_from_stream(stream, head)
  if not ws or not ws:accept() then return end
  local is_member = head:get ":path" == "/broadcast"
  if is_member then everyone[ws] = true end
  while true do -- Lua 5.1 cannot wait inside of an iterator
    local message, kind = ws:receive()
    if not message then break end
    if not is_member then
      ws:send(message, kind)
    else
      for member in pairs(everyone) do member:send(message, kind) end
    end
  end
  everyone[ws] = nil
  ws:close()
end

local function serve(port, ctx)
  local server = assert(http_server.listen { host = "127.0.0.1",
    port = tonumber(port), max_concurrent = 20000, onstream = on_stream,
    onerror = function() end, tls = ctx ~= nil, ctx = ctx })
  assert(server:listen())
  return server
end

local ctx = context.new("TLS", true)
ctx:setCertificate(x509.new(read(arg[4])))
ctx:setPrivateKey(pkey.new(read(arg[5])))

local loop = cqueues.new()
for _, server in ipairs { serve(arg[1]), serve(arg[2], ctx) } do
  loop:wrap(function() assert(server:loop()) end)
end
assert(loop:loop())
