-- Rooms that lose nothing, with a page: lua5.4 examples/rooms.lua [port]
--
-- Who is here, what was said before one came, and what one missed while one was
-- away. The page is a client like any other: Centrifugo's own, unchanged.
local ws = require "evws"
local channels = require "evws.channels"
local here, port = arg[0]:match("^.*/") or "", tonumber(arg[1] or 5000)
local policy = { headers = { ["Content-Security-Policy"] =
  "default-src 'self'; img-src data:; frame-ancestors 'none'" } }
local page, common = ws.static(here .. "rooms", policy), ws.static(here)

local longest_name, longest_text = 24, 500
local name_pattern = "^[%w_\xc3-\xdf\x80-\xbf-]+$"

local function is_text(value, longest)
  local length = type(value) == "string" and utf8.len(value)
  return length and length >= 1 and length <= longest
end

local chat = channels.new {
  connect = function(client)
    local name = type(client.data) == "table" and client.data.name
    if not is_text(name, longest_name) then
      channels.raise(400, ("a name has 1 to %d characters"):format(
        longest_name))
    elseif not name:find(name_pattern) then
      channels.raise(400, "a name has letters, digits, _ and -")
    end
    return { user = name }
  end,
  namespaces = { ["room:*"] = {
    publish = function(client, channel, data)
      local text = type(data) == "table" and data.text
      return is_text(text, longest_text), { text = text, at = os.time() }
    end,
    history = { size = 100, ttl = 3600 },
    presence = true, join_leave = true } } }

if not port then
  io.stderr:write(arg[1], " is no port\n")
  os.exit(1)
end
local server, why = ws.listen { port = port, hosts = "auto",
  history = chat.kept, routes = chat:routes "/connection/websocket",
  on_request = function(request)
    return (request.path == "/style.css" and common or page)(request)
  end }

if not server then
  io.stderr:write(why, "\n")
  os.exit(1)
end
chat:serve(server)
print("Rooms: http://localhost:" .. server.port)
ws.run()
