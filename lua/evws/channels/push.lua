-- push.lua: what clients are sent, as text: replies, pushes, and the view that
-- makes a push of each publication, once for all who have the channel.
--
-- A payload stands in it as the bytes that were published. It is scanned first:
-- one that is no JSON would break the line for everybody, and again for each
-- who recovers it.

local ws = require "evws"
local json = require "evws.channels.json"
local presence = require "evws.channels.presence"

local split, text = ws.json_split, json.text
local byte, find, gsub, sub = string.byte, string.find, string.gsub, string.sub

local push = {}

local deepest = 1024

-- Who publishes, and tags, stand beside a message as JSON.
function push.meta(info, tags)
  if not info and not tags then return nil end
  if not tags then return '{"info":' .. info .. "}" end
  if not info then return '{"tags":' .. tags .. "}" end
  return '{"info":' .. info .. ',"tags":' .. tags .. "}"
end

-- One line: JSON has newlines only between its tokens.
local function one_line(raw)
  if find(raw, "[\r\n]") then raw = gsub(raw, "[\r\n]", " ") end
  return raw
end
push.one_line = one_line

-- What stands beside a message, as a part of a publication; nothing where it
-- is not ours.
local function read_meta(meta)
  local fields = byte(meta) == 123 and split(meta, 1)
  if not fields then return "" end
  local info, tags = fields.info, fields.tags
  return (info and byte(info) == 123 and ',"info":' .. one_line(info) or "")
    .. (tags and byte(tags) == 123 and ',"tags":' .. one_line(tags) or "")
end

-- The same people publish again and again.
local known, n_known, most_known = {}, 0, 256

local function known_meta(meta)
  local part = known[meta]
  if part then return part end
  if n_known >= most_known then known, n_known = {}, 0 end
  part = read_meta(meta)
  known[meta], n_known = part, n_known + 1
  return part
end

-- A publication: {"data":...}; nil where the message is no JSON.
function push.publication(message, kind, offset, meta)
  if kind ~= "text" or not split(message, 0, deepest) then return nil end
  message = one_line(message)
  local head = offset and '{"offset":' .. offset .. ',"data":' or '{"data":'
  if not meta then return head .. message .. "}" end
  return head .. message .. known_meta(meta) .. "}"
end

local last_name, last_head -- most publications are of few channels

local function head_of(channel)
  if channel ~= last_name then
    last_name, last_head = channel, '{"push":{"channel":' .. text(channel)
  end
  return last_head
end

-- A push of any kind.
function push.of(channel, kind, fields)
  return head_of(channel) .. ',"' .. kind .. '":' .. fields .. "}}"
end

push.view_name = "channels"
push.quiet_view = "channels, before they are joined"
push.join_prefix = "\0p"

-- Somebody has come or gone.
local function of_presence(topic, message)
  local event, info = presence.event(message)
  if not event then return nil end
  return push.of(sub(topic, 3), event, '{"info":' .. one_line(info) .. "}")
end

-- The view: of a channel, or of the topic that tells who comes and goes.
function push.view(message, kind, about)
  local topic = about.topic
  if byte(topic) == 0 then
    if sub(topic, 1, 2) ~= push.join_prefix then return nil end
    return of_presence(topic, message)
  end
  local publication = push.publication(message, kind, about.offset, about.meta)
  if not publication then
    push.skipped = push.skipped + 1
    return nil
  end
  return head_of(topic) .. ',"pub":' .. publication .. "}}"
end
push.skipped = 0

-- Of who is not to hear of a channel yet.
function push.quiet() return nil end

-- The epochs that channels got while they had subscribers.
push.epochs, push.n_epochs = {}, 0

-- A channel has a new epoch: its subscribers come back by themselves.
function push.reset(about)
  push.epochs[about.topic] = about.epoch
  push.n_epochs = push.n_epochs + 1
  return push.of(about.topic, "unsubscribe",
    '{"code":2500,"reason":"insufficient state"}')
end

function push.reply(id, name, fields)
  return '{"id":' .. id .. ',"' .. name .. '":' .. fields .. "}"
end

function push.failure(id, err)
  return ('{"id":%s,"error":{"code":%d,"message":%s,"temporary":%s}}'):format(
    id, err.code, text(err.message), tostring(err.temporary))
end

return push
