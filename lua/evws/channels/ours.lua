-- ours.lua: the channels that the server puts a client into as it connects.
--
-- Their replies are a part of connect's: nothing of them may be sent before
-- that. Where a history is in Redis its place has to be waited for. So a client
-- has such channels in a view that sends nothing at first, which keeps them in
-- step here; when it is known of each where it is, all are joined in one turn.

local core = require "evws.core"
local ws = require "evws"
local errors = require "evws.channels.errors"
local json = require "evws.channels.json"
local orders = require "evws.channels.orders"
local push = require "evws.channels.push"
local subscribe = require "evws.channels.subscribe"

local ours = {}

ours.patience = 5 -- seconds that Redis may take

-- What a client says of a channel that it was in.
local function past_of(fields, channel)
  local subs = json.object_field(fields, "subs")
  local past = subs and json.object_field(subs, channel)
  if not past then return { join_leave = true } end
  local epoch = json.string_field(past, "epoch")
  return { join_leave = true, recover = json.flag_field(past, "recover"),
    offset = json.count_field(past, "offset") or 0,
    epoch = epoch ~= "" and epoch or nil }
end

-- ---- where they are ----

-- True when it is known here where the channel is; or nil and why not.
local function look(client, one, since, wait)
  local past = one.request
  return client.conn:subscribe(one.channel, { view = push.quiet_view,
    recover = since, wait = wait, joined = function(found)
      past.is_beyond = past.recover and past.offset > found.offset
    end })
end

-- Each is looked for in a task of its own, so many seconds at most.
local function search(client, list, seconds)
  local answers = ws.queue(#list)
  for _, one in ipairs(list) do
    local past = one.request
    core.spawn_now(function()
      answers:put(table.pack(pcall(look, client, one,
        { offset = past.recover and past.offset or nil, epoch = past.epoch },
        seconds)))
    end)
  end
  for _ = 1, #list do
    local answer = answers:take()
    if not answer[1] then error(answer[2], 0) end
    if not answer[2] then error(errors.internal, 0) end
  end
end

-- The place of each is known, and is until the turn ends.
local function are_known(client, list)
  for _, one in ipairs(list) do
    if not look(client, one, {}, 0) then return false end
  end
  return true
end

-- One that was found may be out of step when the last one is.
local function wait_for(client, list, till)
  repeat
    search(client, list, math.max(till - ws.now(), 0))
    if client.state ~= "connecting" then return end
  until are_known(client, list)
end

-- And what is for the user, wherever he is.
local function reach(client, topics)
  if client.user ~= "" then
    topics[#topics + 1] = orders.topic(client.user)
  end
  subscribe.reach(client, topics, subscribe.patience, function()
    return client.state == "connecting"
  end)
end

-- From their names, and what connect says of them: what ours.join takes. May
-- wait.
function ours.find(client, names, fields)
  local app = client.app
  local is_shared = app:is_shared(client.conn.server)
  local list, far, seen, topics = {}, {}, {}, {}
  for _, channel in ipairs(names) do
    local rights = app.options.rights:find(channel)
    if not rights then
      error(("connect: no namespace has the channel '%s'"):format(channel), 0)
    end
    if not seen[channel] then
      local one = { channel = channel, rights = rights,
        request = past_of(fields, channel) }
      one.request.is_reached = true
      seen[channel], list[#list + 1] = true, one
      if is_shared and rights.history then far[#far + 1] = one end
      subscribe.topics(topics, channel, rights, one.request)
    end
  end
  local till = ws.now() + ours.patience
  if is_shared then reach(client, topics) end
  if far[1] then wait_for(client, far, till) end
  return list
end

-- ---- in ----

-- Their replies by channel, as JSON; and the subscriptions. Does not wait. What
-- is for the user is heard by now.
function ours.join(client, list)
  local replies, joined = {}, {}
  if client.app:is_shared(client.conn.server) then
    client.conn:unsubscribe(orders.topic(client.user))
  end
  for _, one in ipairs(list) do
    local sub = subscribe.join(client, one.channel, one.rights, {},
      one.request, function(reply)
        replies[#replies + 1] = json.text(one.channel) .. ":" .. reply
      end)
    sub.is_ours = true
    joined[#joined + 1] = sub
  end
  return replies, joined
end

return ours
