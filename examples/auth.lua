-- Who may connect: lua5.4 examples/auth.lua [port], with a page.
--
-- Programs show their token in the request: "Authorization: Bearer TOKEN".
-- Pages cannot set headers there, so they show it to POST /ticket and get a
-- ticket, good once and for 30 seconds, which they offer as a sub-protocol
-- (a query would stand in every log). Beyond one's own machine: over TLS.
local ws = require "evws"
local here, port = arg[0]:match("^.*/") or "", tonumber(arg[1] or 5000)
local policy = { headers = { ["Content-Security-Policy"] =
  "default-src 'self'; img-src data:; frame-ancestors 'none'" } }
local page, common = ws.static(here .. "auth", policy), ws.static(here)

local function random()
  return (ws.random(16):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end))
end

-- Yours would come from a file; these are new at each start.
local tokens = { anna = random(), ben = random() }
local tickets, waiting = {}, 0

-- Looks at all of them: the time it takes tells nothing about any.
local function owner(request)
  local found
  local shown = (request.headers.authorization or ""):match "^Bearer (.+)$"
  for name, token in pairs(tokens) do
    if ws.equals(shown or "", token) then found = name end
  end
  return found
end

local function give_ticket(request)
  local name = owner(request)
  if not name then
    return 401, "Wrong token", { ["WWW-Authenticate"] = "Bearer" }
  elseif waiting >= 1000 then
    return 503, "Too many tickets"
  end
  local ticket = random()
  tickets[ticket], waiting = name, waiting + 1
  ws.after(30, function()
    tickets[ticket], waiting = nil, waiting - 1
  end)
  return 200, ticket, { ["Cache-Control"] = "no-store" }
end

local function use_ticket(request)
  for _, offered in ipairs(request.subprotocols) do
    local ticket = offered:match "^ticket%.(%x+)$"
    local name = tickets[ticket or ""]
    if name then
      tickets[ticket] = nil
      return name
    end
  end
end

if not port then
  io.stderr:write(arg[1], " is no port\n")
  os.exit(1)
end
local server, why = ws.listen { port = port, path = "/ws", origins = "same",
  hosts = "auto", subprotocols = { "echo" },
  on_request = function(request)
    if request.path == "/style.css" then return common(request) end
    if request.path ~= "/ticket" then return page(request) end
    if request.method ~= "POST" then return 405, nil, { Allow = "POST" } end
    return give_ticket(request)
  end,
  on_upgrade = function(request)
    local name = use_ticket(request) or owner(request)
    if not name then
      return 401, "Unauthorized", { ["WWW-Authenticate"] = "Bearer" }
    end
    return { data = { name = name } }
  end,
  on_open = function(conn) conn:send("Hello, " .. conn.data.name) end,
  on_message = function(conn, message, kind) conn:send(message, kind) end }

if not server then
  io.stderr:write(why, "\n")
  os.exit(1)
end
print("Token: http://localhost:" .. server.port)
for name, token in pairs(tokens) do print(name, token) end
ws.run()
