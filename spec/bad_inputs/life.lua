-- The life of one connection of a server, in which every handler is called:
--
--   life.live(g, name, body[, options])  body(conn) runs in the handler of
--     this name, the first time it is called; conn is nil before on_open
--     -> the statuses of a plain request and of the upgrade, and the close
--     frame's code or nil
--   life.hooks  the names
--   life.big    a text that is more than the kernel takes

local t = require "spec.helper"

local frame = t.frame

local big = ("x"):rep(12 << 20) -- more than the kernel takes

local function live(g, name, body, options)
  local calls = 0
  local function at(hook, conn)
    if hook ~= name then return end
    calls = calls + 1
    if calls == 1 then return body(conn) end
  end
  local own = {
    origins = function() at "origins" return true end,
    on_upgrade = function() at "on_upgrade" end,
    on_request = function() at "on_request" return 200, "ok" end,
    on_open = function(conn) at("on_open", conn) end,
    on_message = function(conn, message, kind)
      at("on_message", conn)
      if name == "on_drain" and message == "1" then conn:send(big) end
      conn:send(message, kind)
    end,
    max_queued = false,
    on_drain = function(conn) at("on_drain", conn) end,
    on_close = function(conn) at("on_close", conn) end,
    close_timeout = 0.1,
  }
  for key, value in pairs(options or {}) do own[key] = value end
  local server = g:listen(own)
  local client = t.raw(server):send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
  local plain = client:read_http()
  client:close()
  client = t.raw(server, { rcvbuf = 65536 })
  client:send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nOrigin: http://b"
    .. "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
  local status, code = client:read_http(), nil
  if status == 101 then
    client:send(frame("text", "1")):send(frame("text", "2"))
    local f = client:frame()
    while f and not f.code do
      if f.message == "2" then client:send(frame("close", "\3\xe8")) end
      f = client:frame()
    end
    code = f and f.code
  end
  client:close()
  t.wait(function() return calls > 0 end, name)
  return plain, status, code
end

local hooks = { "origins", "on_upgrade", "on_request", "on_open", "on_message",
  "on_drain", "on_close" }

return { live = live, hooks = hooks, big = big }
