-- presence.lua: who is in a channel. That is known by its topic: here is how a
-- client is described there, and who of those there is one.

local json = require "evws.channels.json"
local ws = require "evws"

local split = ws.json_split

local presence = {}

local longest_info = 1024

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

-- Info of a channel, as JSON.
function presence.channel_info(info)
  if info == nil then return nil end
  local text = json.encode(info, "info of a channel", 1)
  if #text > longest_info then
    error(("info of a channel is longer than %d bytes"):format(longest_info), 0)
  end
  return text
end

-- What conn:subscribe is told of who comes: each client is one person, as each
-- is shown.
function presence.option(client, sub)
  local rights = sub.rights
  if not rights.presence and not rights.join_leave then return nil end
  return { id = client.id, info = presence.info(client, sub) }
end

-- Is this the info of a client? Others may be in the topic as well.
local function is_client(info)
  local fields = info:byte() == 123 and split(info)
  return fields and fields.client and fields.user
end

-- id -> info as JSON; or nil and why it is not known.
function presence.of(server, channel)
  local people, why = server:presence(channel)
  if not people then return nil, why end
  local list = {}
  for _, person in ipairs(people) do
    if is_client(person.info) then list[person.id] = person.info end
  end
  return list
end

-- The event of a message of the topic "\0p" .. channel, and the info in it; nil
-- where it is none of a client.
function presence.event(message)
  local fields = split(message)
  local info = fields and fields.info
  if not info or not is_client(info) then return nil end
  return fields.join and "join" or "leave", info
end

return presence
