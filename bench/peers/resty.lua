-- The handler of nginx.conf: lua-resty-websocket inside of nginx's LuaJIT.
-- Debian calls it by another name.
local is_there, server = pcall(require, "resty.websocket.server")
if not is_there then server = require "nginx.websocket.server" end

local ws = server:new { timeout = 3600000, max_payload_len = 64 * 1024 * 1024 }
if not ws then return ngx.exit(400) end
while true do
  local message, kind = ws:recv_frame()
  local sent
  if kind == "text" then
    sent = ws:send_text(message)
  elseif kind == "binary" then
    sent = ws:send_binary(message)
  end
  if not sent then break end
end
