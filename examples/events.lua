-- Notes by event stream, with a page: lua5.4 examples/events.lua [port]
--
-- Server-Sent Events are no WebSocket, but an answer that goes on: GET /events
-- is what was noted last, then all that follows. The notes are a topic with a
-- history. Each event has an id, its place there, and a page that comes back
-- sends the last one it has seen (Last-Event-ID): it gets what it missed, and
-- nothing twice. POST /notes takes a note. Who reads too slowly is cut off, and
-- comes back by itself.
local ws = require "evws"
local here, port = arg[0]:match("^.*/") or "", tonumber(arg[1] or 5000)
local policy = { headers = { ["Content-Security-Policy"] =
  "default-src 'self'; img-src data:; frame-ancestors 'none'" } }
local page, common = ws.static(here .. "events", policy), ws.static(here)

local longest = 200
local server, why

local stream = { ["Content-Type"] = "text/event-stream",
  ["Cache-Control"] = "no-store", ["X-Accel-Buffering"] = "no" }

local function follow(request)
  local last = request.headers["last-event-id"] or ""
  local epoch, digits = last:match "^(%w+)%-(%d+)$"
  local offset = digits and math.tointeger(tonumber(digits))
  return 200, function(out)
    local over <close> = ws.queue(1)
    local function send(text)
      if not out:write(text) then over:close() end
    end
    local function show(note, at)
      send(("id: %s-%d\ndata: %s\n\n"):format(at.epoch, at.offset, note))
    end
    send "retry: 1000\n\n"
    local hearer = server:hear("notes", function(note, _, at)
      show(note, at)
    end, {
      recover = { epoch = epoch, offset = offset },
      joined = function(found)
        local notes = found.recovered and found.missed
          or server:history "notes"
        for _, note in ipairs(notes) do
          show(note.message, { epoch = found.epoch, offset = note.offset })
        end
      end })
    out:on_close(function() over:close() end)
    repeat -- a proxy hears that the stream is alive
      local _, late = over:take(25)
      if late == "timeout" then send ":\n\n" end
    until late ~= "timeout"
    hearer:cancel()
  end, stream
end

local function take(request)
  local text = request.body:gsub("%s+", " "):match "^ ?(.-) ?$"
  local length = utf8.len(text)
  if not request.is_origin_allowed then return 403 end
  if not length or length == 0 or length > longest then
    return 422, ("A note has 1 to %d characters."):format(longest)
  end
  server:publish("notes", text)
  return 204
end

if not port then
  io.stderr:write(arg[1], " is no port\n")
  os.exit(1)
end
server, why = ws.listen { port = port, max_body = 4096,
  history = { notes = { size = 50, ttl = 86400 } },
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
