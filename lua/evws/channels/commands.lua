-- commands.lua: publish, history, presence, rpc, send; and the list of all
-- commands.
--
-- A function takes the client, the fields of the request, the channel and the
-- id, may wait, and returns the reply's fields as JSON; or it raises.

local connect = require "evws.channels.connect"
local errors = require "evws.channels.errors"
local json = require "evws.channels.json"
local presence = require "evws.channels.presence"
local push = require "evws.channels.push"
local subscribe = require "evws.channels.subscribe"

local commands = {}

-- May a client do what `right` is for? ("subscribers": whoever has it)
local function check_right(client, channel, right)
  if right == true or right == "subscribers" and client.subs[channel] then
    return
  end
  error(errors.denied, 0)
end

function commands.publish(client, fields, channel)
  local rights = subscribe.rights_of(client, channel)
  local data = json.raw_field(fields, "data")
  local right = rights.publish
  if type(right) == "function" then
    if not data then error(errors.bad_request, 0) end
    local answer, other = right(client, channel, json.value(data))
    if not answer then error(errors.denied, 0) end
    if other ~= nil then data = json.encode(other, "a publication", 1) end
  else
    check_right(client, channel, right)
    if not data then error(errors.bad_request, 0) end
  end
  local info = presence.info(client, client.subs[channel])
  local ok = client.app:publish_text(client.conn.server, rights, channel, data,
    push.meta(info))
  if not ok then error(errors.internal, 0) end
  return "{}"
end

local function limit_of(app, fields)
  local limit, most = json.integer_field(fields, "limit") or 0,
    app.options.max_history
  if limit < 0 or limit > most then return most end
  return limit
end

function commands.history(client, fields, channel)
  local rights = subscribe.rights_of(client, channel)
  if not rights.history then error(errors.not_available, 0) end
  check_right(client, channel, rights.read_history)
  local since = json.object_field(fields, "since")
  local given = { limit = limit_of(client.app, fields),
    reverse = json.flag_field(fields, "reverse") }
  if since then
    local epoch = json.string_field(since, "epoch")
    given.since = { offset = json.count_field(since, "offset") or 0,
      epoch = epoch ~= "" and epoch or nil }
  end
  local list, at = client.conn.server:history(channel, given)
  if not list then
    error(at == "another epoch" and errors.unrecoverable or errors.internal, 0)
  end
  return ('{"publications":%s,"offset":%d,"epoch":%s}'):format(
    subscribe.publications(list), at.offset, json.text(at.epoch))
end

local function check_presence(client, channel)
  local rights = subscribe.rights_of(client, channel)
  if not rights.presence then error(errors.not_available, 0) end
  check_right(client, channel, rights.read_presence)
  return presence.of(client.conn.server, channel)
    or error(errors.internal, 0)
end

function commands.presence(client, _, channel)
  local list = {}
  for id, info in pairs(check_presence(client, channel)) do
    list[#list + 1] = '"' .. id .. '":' .. info
  end
  return '{"presence":{' .. table.concat(list, ",") .. "}}"
end

function commands.presence_stats(client, _, channel)
  local clients, users, seen = 0, 0, {}
  for _, info in pairs(check_presence(client, channel)) do
    local user = json.decode(info).user
    clients = clients + 1
    if not seen[user] then users, seen[user] = users + 1, true end
  end
  return ('{"num_clients":%d,"num_users":%d}'):format(clients, users)
end

function commands.rpc(client, fields)
  local name = json.string_field(fields, "method") or ""
  local fn = client.app.options.rpc[name]
  if not fn then error(errors.no_method, 0) end
  local value = fn(client, json.value(json.raw_field(fields, "data")))
  return '{"data":' .. json.encode(value, "the result of '" .. name .. "'", 1)
    .. "}"
end

function commands.send(client, fields)
  local app = client.app
  if not app.options.on_message then
    app.counts.ignored = app.counts.ignored + 1
    return nil
  end
  app.options.on_message(client, json.value(json.raw_field(fields, "data")))
  return nil
end

function commands.ping() error(errors.not_available, 0) end

commands.order = { "connect", "subscribe", "unsubscribe", "publish",
  "presence", "presence_stats", "history", "ping", "send", "rpc", "refresh",
  "sub_refresh" }

commands.list = {
  subscribe = { fn = subscribe.command, has_channel = true },
  unsubscribe = { fn = subscribe.unsubscribe, has_channel = true },
  publish = { fn = commands.publish, has_channel = true },
  presence = { fn = commands.presence, has_channel = true },
  presence_stats = { fn = commands.presence_stats, has_channel = true },
  history = { fn = commands.history, has_channel = true },
  ping = { fn = commands.ping },
  send = { fn = commands.send },
  rpc = { fn = commands.rpc },
  refresh = { fn = connect.refresh },
  sub_refresh = { fn = subscribe.refresh, has_channel = true },
}

return commands
