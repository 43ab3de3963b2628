-- Notes by event stream, with a page: lua5.4 examples/events.lua [port]
--
-- Server-Sent Events are no WebSocket, but an answer that goes on: GET /events
-- is what was noted last, then all that follows. Each event has an id, and a
-- page that comes back sends the last one it has seen (Last-Event-ID): it gets
-- what it missed, and nothing twice. POST /notes takes a note. Who reads too
-- slowly is cut off, and comes back by itself.
local ws = require "evws"
local here, port = arg[0]:match("^.*/") or "", tonumber(arg[1] or 5000)
local policy = { headers = { ["Content-Security-Policy"] =
  "default-src 'self'; img-src data:; frame-ancestors 'none'" } }
local page, common = ws.static(here .. "events", policy), ws.static(here)

local longest, kept = 200, 50
-- A server that was here in this very second has given smaller ones.
local notes, last_id = {}, (os.time() + 1) * 1000
local readers = {} -- what writes a body -> the queue that its function waits on

local stream = { ["Content-Type"] = "text/event-stream",
  ["Cache-Control"] = "no-store", ["X-Accel-Buffering"] = "no" }

local function send(out, text)
  if not out:write(text) then readers[out]:close() end
end

local function add(text)
  last_id = last_id + 1
  local note = { id = last_id,
    event = ("id: %d\ndata: %s\n\n"):format(last_id, text) }
  notes[#notes + 1] = note
  if #notes > kept then table.remove(notes, 1) end
  for out in pairs(readers) do send(out, note.event) end
end

local function follow(request)
  local seen = tonumber(request.headers["last-event-id"]) or 0
  return 200, function(out)
    local over <close> = ws.queue(1)
    readers[out] = over
    out:on_close(function() over:close() end)
    send(out, "retry: 1000\n\n")
    for _, note in ipairs(notes) do
      if note.id > seen then send(out, note.event) end
    end
    repeat -- a proxy hears that the stream is alive
      local _, why = over:take(25)
      if why == "timeout" then send(out, ":\n\n") end
    until why ~= "timeout"
    readers[out] = nil
  end, stream
end

local function take(request)
  local text = request.body:gsub("%s+", " "):match "^ ?(.-) ?$"
  local length = utf8.len(text)
  if not request.is_origin_allowed then return 403 end
  if not length or length == 0 or length > longest then
    return 422, ("A note has 1 to %d characters."):format(longest)
  end
  add(text)
  return 204
end

if not port then
  io.stderr:write(arg[1], " is no port\n")
  os.exit(1)
end
local server, why = ws.listen { port = port, max_body = 4096,
  origins = "same", routes = {
    ["/events"] = { on_request = follow, max_queued = 64 * 1024 },
    ["/notes"] = { on_request = function(request)
      if request.method == "POST" then return take(request) end
      return 405, nil, { Allow = "POST" }
    end },
  },
  on_request = function(request)
    return (request.path == "/style.css" and common or page)(request)
  end }

if not server then
  io.stderr:write(why, "\n")
  os.exit(1)
end
print("Notes: http://localhost:" .. server.port)
ws.run()
