-- events.lua: a session over Server-Sent Events: one answer that goes on, each
-- record an event of it; what the client says comes by requests of their own.

local ws = require "evws"

local events = {}

local transport = { name = "ServerSentEvents", can_binary = false,
  wants_pings = true }
transport.__index = transport

-- A record of JSON has no line ends.
function transport:send(bytes)
  return self.out:write("data: " .. bytes .. "\r\n\r\n")
end

function transport:buffered() return self.out.buffered end

function transport:drain(seconds) return self.out:drain(seconds) end

function transport:finish() self.over:put(true) end

local headers = {
  ["Content-Type"] = "text/event-stream",
  ["Cache-Control"] = "no-cache, no-store",
  ["Content-Encoding"] = "identity",
  ["X-Accel-Buffering"] = "no",
}

function events.serve(hub, request, session)
  if session.state ~= "new" then return 409 end
  session.is_claimed = true
  local fields = {}
  for name, value in pairs(headers) do fields[name] = value end
  return 200, function(out)
    if session.is_over then return end
    local self = setmetatable({ out = out, over = ws.queue(1) }, transport)
    out:on_close(function() -- there is no other way to say goodbye
      session:lost(self, nil, true)
      self.over:put(true)
    end)
    out:write ":\r\n\r\n" -- the page's `open`
    session.is_claimed = nil
    session:attach(self, request)
    self.over:take()
  end, fields
end

return events
