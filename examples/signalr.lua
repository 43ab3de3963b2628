-- A hub, with a page: lua5.4 examples/signalr.lua [port]
--
-- Rooms to talk in, who is typing, and a long job with its progress. The page
-- is a client like any other: SignalR's own, unchanged. Needs lua-cjson.
local ws = require "evws"
local signalr = require "evws.signalr"
local here, port = arg[0]:match("^.*/") or "", tonumber(arg[1] or 5000)
local policy = { headers = { ["Content-Security-Policy"] =
  "default-src 'self'; img-src data:; frame-ancestors 'none'" } }
local page, common = ws.static(here .. "signalr", policy), ws.static(here)

local longest_name, longest_text, most_steps = 24, 500, 100
local name_pattern = "^[%w_\xc3-\xdf\x80-\xbf-]+$"

local function check(text, longest, what)
  local length = type(text) == "string" and utf8.len(text)
  if not length or length < 1 or length > longest then
    signalr.raise(("%s has 1 to %d characters"):format(what, longest))
  end
  return text
end

-- Who has not entered a room says nothing.
local function room_of(ctx)
  return ctx.items.room or signalr.raise "enter a room first"
end

local methods = {}

function methods.Enter(ctx, room, name)
  if ctx.items.room then signalr.raise "you are in a room already" end
  check(room, longest_name, "a room's name")
  if not check(name, longest_name, "a name"):find(name_pattern) then
    signalr.raise "a name has letters, digits, _ and -"
  end
  ctx.items.room, ctx.items.name = room, name
  ctx:join(room)
  ctx.clients:others_in_group(room):send("Entered", name)
end

function methods.Say(ctx, text)
  local room = room_of(ctx)
  check(text, longest_text, "a message")
  ctx.clients:others_in_group(room):send("Said", ctx.items.name, text)
end

function methods.Typing(ctx)
  ctx.clients:others_in_group(room_of(ctx)):send("Typing", ctx.items.name)
end

-- A job: its progress goes to who asked, until it is done or cancelled.
local function work(ctx, out, steps)
  if math.type(steps) ~= "integer" or steps < 1 or steps > most_steps then
    signalr.raise(("1 to %d steps"):format(most_steps))
  end
  for i = 1, steps do
    ws.sleep(0.05)
    if not out:send { done = i, of = steps } then return end
  end
end

local hub = signalr.hub { methods = methods, streams = { Work = work },
  on_disconnected = function(ctx)
    if ctx.items.room then
      ctx.clients:group(ctx.items.room):send("Left", ctx.items.name)
    end
  end }

if not port then
  io.stderr:write(arg[1], " is no port\n")
  os.exit(1)
end
local server, why = ws.listen { port = port, routes = hub:routes "/hub",
  on_request = function(request)
    return (request.path == "/style.css" and common or page)(request)
  end }

if not server then
  io.stderr:write(why, "\n")
  os.exit(1)
end
print("Hub: http://localhost:" .. server.port)
ws.run()
