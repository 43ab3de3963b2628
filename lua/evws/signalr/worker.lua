-- worker.lua: what this process is among those of a supervisor, as hubs need
-- it: serial (0: it has none), machine (the same for all of one supervisor),
-- secret (theirs, or nil), and a request that goes on in another of them.

local core = require "evws.core"
local ws = require "evws"

local own = core.worker or {}
local channel = "evws.request"

local worker = { serial = own.supervised and own.serial or 0,
  secret = own.supervised and own.secret or nil, gone = {} }

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

worker.machine = hex(worker.secret
  and ws.hmac_sha256(worker.secret, "evws.machine"):sub(1, 6)
  or ws.random(6))

-- Passes a request to the worker of this serial. False: it cannot have it.
function worker.pass(serial, request)
  if serial == worker.serial or worker.gone[serial] then return false end
  local fd, bytes = core.passable(request, request.body)
  if not fd then return false end
  if not own.pass(serial, channel, serial .. "\n" .. bytes, fd) then
    return false
  end
  core.passed(request)
  return true
end

-- A token has been given out by this server, whose session begins here within
-- so many seconds, unless it is for a WebSocket, which anybody may take. One
-- that retires waits for it. hub.promised: { server =, n =, by = }
function worker.expect(hub, server, seconds)
  if worker.serial == 0 then return end
  local now, promised = ws.now(), hub.promised
  if not promised or promised.server ~= server or now > promised.by then
    promised = { server = server, n = 0 }
    hub.promised = promised
  end
  promised.n, promised.by = promised.n + 1, now + seconds
  core.expect(server, seconds)
end

local settling = 5 -- seconds: the answer to the handshake has to be fetched

-- The session of such a token has shaken hands: where it was the last one,
-- nobody is waited for any longer.
function worker.kept(hub)
  local promised = hub.promised
  if not promised then return end
  promised.n = promised.n - 1
  if promised.n > 0 then return end
  core.expect(promised.server, settling)
  hub.promised = nil
end

-- Passed to us; or back to us, as that worker is no more.
local function take(bytes, fd)
  if fd then core.adopt(bytes:match "^%d+\n(.*)$", fd) end
end

local function take_back(bytes, fd)
  worker.gone[tonumber(bytes:match "^%d+") or 0] = true
  take(bytes, fd)
end

if own.on and worker.serial > 0 then
  own.on(channel, take)
  own.on("back:" .. channel, take_back)
end

return worker
