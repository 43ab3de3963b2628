-- results.lua: invocations of clients that are awaited. Ids are the session's
-- own, so nobody can answer for another.

local ws = require "evws"
local errors = require "evws.signalr.errors"

local null = require "evws.values".null

local results = {}

-- Invokes a method of the client and waits. The result (nil for null, or for
-- none); or nil and the client's text, "closed" or "timeout".
function results.invoke(session, target, args, n, seconds, level)
  if session.is_over then return nil, "closed" end
  local awaited = session.awaited or {}
  session.awaited = awaited
  local number = (session.last_call or 0) + 1
  local id = "s" .. number
  local record, why, i, where = session.protocol.invocation(id, target, args,
    n)
  if not record then
    error(errors.of_argument(i + 1, "invoke", why, where), level + 1)
  end
  session.last_call = number
  local queue = ws.queue(1)
  awaited[id] = queue
  local message
  if session:write(record, true) then
    message, why = queue:take(seconds)
  else
    why = "closed"
  end
  awaited[id] = nil
  if not message then return nil, why end
  if message.error then return nil, message.error end
  if message.bad then return nil, "the result could not be read" end
  if message.result == null then return nil end
  return message.result
end

-- A completion has come. Is anybody waiting for it?
function results.complete(session, message)
  local queue = session.awaited and session.awaited[message.id]
  if not queue then return false end
  queue:put(message)
  return true
end

-- The session is over.
function results.drop(session)
  for _, queue in pairs(session.awaited or {}) do queue:close() end
end

return results
