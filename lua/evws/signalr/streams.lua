-- streams.lua: items up and down: what a method reads of a client's streams,
-- what it sends as one, and how many there may be.

local ws = require "evws"
local errors = require "evws.signalr.errors"

local streams = {}

-- ---- up ----

local upload = {}
upload.__index = upload

-- An item, `signalr.null` for null; or nil and "ended", "timeout", "closed" or
-- the client's error.
function upload:receive(seconds)
  local item, why = self.queue:take(seconds)
  if item ~= nil then return item end
  if why == "closed" then return nil, self.error or "ended" end
  return nil, why
end

function upload:each()
  return function() return self:receive() end -- not with the last item
end

-- Ends it; why: nil where the client did.
local function finish(self, why)
  self.error = self.error or why
  self.queue:close()
end

-- Opens the uploads of an invocation; or nil and why it cannot be.
function streams.open(session, ids)
  if session.n_streams + #ids > session.hub.options.max_streams then
    return nil, "Too many streams."
  end
  local uploads = session.uploads or {}
  session.uploads = uploads
  local list = {}
  for i, id in ipairs(ids) do
    if uploads[id] then
      for j = 1, i - 1 do uploads[ids[j]] = nil end
      return nil, ("Stream ID '%s' is already in use."):format(id)
    end
    list[i] = setmetatable({
      queue = ws.queue(session.hub.options.stream_buffer) }, upload)
    uploads[id] = list[i]
  end
  session.n_streams = session.n_streams + #ids
  return list
end

-- The method is over: what else comes of its uploads is of no stream.
function streams.close(session, ids)
  for _, id in ipairs(ids) do
    local one = session.uploads[id]
    if one then
      session.uploads[id] = nil
      finish(one, "closed")
    end
  end
  session.n_streams = session.n_streams - #ids
end

-- An item has come. Waits while the method has not taken enough of those
-- before it.
function streams.item(session, message)
  local one = session.uploads and session.uploads[message.id]
  if not one then return end
  local counts = session.hub.counts
  counts.items_in = counts.items_in + 1
  if message.bad then
    finish(one, "an item could not be read: " .. message.bad)
  else
    one.queue:put(message.item, math.huge)
  end
end

-- The client has ended a stream. Is there such a one?
function streams.complete(session, message)
  local one = session.uploads and session.uploads[message.id]
  if not one then return false end
  if not one.is_complete then
    one.is_complete = true
    finish(one, message.error)
  end
  return true
end

-- ---- down ----

local out = {}
out.__index = out

-- Sends an item and waits while the peer is slow. True; or nil and "cancelled"
-- or "closed": the method should return.
function out:send(item)
  local session = self.session
  if self.is_cancelled then return nil, "cancelled" end
  if session.is_over then return nil, "closed" end
  local record, why, _, where = session.protocol.item(self.id, item)
  if not record then
    error(("cannot send: %s%s"):format(why, where ~= "" and " at " .. where
      or ""), 2)
  end
  if not session:write(record, true) then return nil, "closed" end
  local counts = session.hub.counts
  counts.items_out = counts.items_out + 1
  session:drain()
  if self.is_cancelled then return nil, "cancelled" end
  if session.is_over then return nil, "closed" end
  return true
end

-- A stream down for an invocation; or nil and why it cannot be.
function streams.begin(session, id)
  local downloads = session.downloads or {}
  session.downloads = downloads
  if downloads[id] then return nil, errors.in_use(id) end
  if session.n_streams >= session.hub.options.max_streams then
    return nil, "Too many streams."
  end
  session.n_streams = session.n_streams + 1
  local one = setmetatable({ session = session, id = id,
    is_cancelled = false }, out)
  downloads[id] = one
  return one
end

function streams.finish(session, one)
  session.downloads[one.id] = nil
  session.n_streams = session.n_streams - 1
end

function streams.cancel(session, id)
  local one = session.downloads and session.downloads[id]
  if one then one.is_cancelled = true end
end

-- The session is over.
function streams.drop(session)
  for _, one in pairs(session.uploads or {}) do finish(one, "closed") end
end

return streams
