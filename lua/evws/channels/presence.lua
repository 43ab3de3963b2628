-- presence.lua: who is in a channel, and the joins and leaves of it.

local push = require "evws.channels.push"
local json = require "evws.channels.json"

local presence = {}

-- {"user":...,"client":...}: who somebody is, as clients are told.
function presence.info(client, sub)
  local info = client.info_text
  local own = sub and sub.info_text
  if not own then return info end
  return info:sub(1, -2) .. ',"chan_info":' .. own .. "}"
end

-- Of a client that is known now.
function presence.describe(client)
  local info = '{"user":' .. json.text(client.user) .. ',"client":"'
    .. client.id .. '"'
  if client.info ~= nil then
    info = info .. ',"conn_info":' .. client.conn_info
  end
  return info .. "}"
end

local function tell(client, channel, sign, info)
  client.app:send_topic(push.join_prefix .. channel, sign .. info)
end

function presence.enter(client, sub)
  local rights, channel = sub.rights, sub.channel
  if not rights.presence and not rights.join_leave then return end
  local info = presence.info(client, sub)
  sub.present = info
  if rights.presence then
    local here = client.app.present[channel]
    if not here then
      here = {}
      client.app.present[channel] = here
    end
    here[client.id] = { client = client, info = info }
  end
  if rights.join_leave then tell(client, channel, "+", info) end
end

-- Once, however often it is said.
function presence.leave(client, sub)
  local info, channel = sub.present, sub.channel
  if not info then return end
  sub.present = nil
  local here = client.app.present[channel]
  if here then
    here[client.id] = nil
    if next(here) == nil then client.app.present[channel] = nil end
  end
  if sub.rights.join_leave then tell(client, channel, "-", info) end
end

-- id -> info as JSON.
function presence.of(app, channel)
  local list = {}
  for id, one in pairs(app.present[channel] or {}) do list[id] = one.info end
  return list
end

return presence
