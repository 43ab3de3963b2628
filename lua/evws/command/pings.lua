-- Pings that were sent, and how long their pongs took; `evws --ping`.

local ws = require "evws"

local pings = {}
pings.__index = pings

function pings.new()
  return setmetatable({ sent = {}, n_sent = 0, n_answered = 0, sum = 0,
    least = math.huge, most = 0 }, pings)
end

--- Sends one; raises for a text that is too long.
function pings:send(conn, text)
  text = text or "evws " .. self.n_sent + 1
  local ok, why = conn:ping(text)
  if not ok then return nil, why end
  self.n_sent = self.n_sent + 1
  self.sent[text] = ws.now()
  return true
end

--- A pong has come -> milliseconds; nil where it answers none of ours.
function pings:answered(text)
  local since = self.sent[text]
  if not since then return nil end
  self.sent[text] = nil
  local ms = (ws.now() - since) * 1000
  self.n_answered, self.sum = self.n_answered + 1, self.sum + ms
  self.least, self.most = math.min(self.least, ms), math.max(self.most, ms)
  return ms
end

local function summary(self, screen)
  if self.n_sent == 0 then return end
  screen:print("%d sent, %d answered, %.0f %% lost", self.n_sent,
    self.n_answered, 100 * (self.n_sent - self.n_answered) / self.n_sent)
  if self.n_answered > 0 then
    screen:print("round trip min/avg/max = %.3f/%.3f/%.3f ms", self.least,
      self.sum / self.n_answered, self.most)
  end
end

--- What a session does with --ping.
function pings.work(session)
  local o, screen, self = session.o, session.screen, session.pings
  local count, interval = o.count or 4, o.interval or 1
  screen:print("ping %s (%s)", o.url, session.conn.remote_address)
  function session.on_ping(text, ms)
    screen:print("pong: seq=%s time=%.3f ms", text:match "%d+$", ms)
  end
  function session.before_end()
    summary(self, screen)
    if self.n_answered == 0 then session.status = 3 end
  end
  for seq = 1, count do
    self:send(session.conn)
    if seq < count then ws.sleep(interval) end
  end
  local last = ws.now() + math.max(interval, 1)
  while next(self.sent) and ws.now() < last do ws.sleep(0.01) end
  session:close()
end

return pings
