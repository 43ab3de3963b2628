-- orders.lua: what is to be done with all connections of a user, wherever they
-- are: it travels in a topic of the user's, which every process hears where he
-- has a connection.

local core = require "evws.core"
local json = require "evws.channels.json"

local orders = {}

local user_prefix = "\0u"

local acts = {}

function acts.disconnect(one, order)
  one:disconnect(order.code, order.reason)
end

function acts.unsubscribe(one, order)
  one:unsubscribe(order.channel, order.code, order.reason)
end

function acts.subscribe(one, order)
  one:subscribe(order.channel, { info = order.info, data = order.data,
    expires = order.expires })
end

function acts.send(one, order) one:send(order.data) end

function orders.topic(user) return user_prefix .. user end

-- known: { clients =, hearers = } of this process.
function orders.hear(server, user, known)
  known.hearers[#known.hearers + 1] = assert(server:hear(user_prefix .. user,
    function(message)
      local order = json.decode(message)
      local act = type(order) == "table" and acts[order.act]
      local list = {}
      for one in pairs(known.clients) do list[#list + 1] = one end
      for _, one in ipairs(act and list or {}) do
        core.spawn_now(act, one, order)
      end
    end))
end

-- True, however many there are.
function orders.give(app, act, user, fields, level)
  if type(user) ~= "string" or user == "" or not utf8.len(user) then
    error(("bad argument #1 to '%s' (a user expected)"):format(act), level + 1)
  end
  fields.act = act
  app:send_topic(user_prefix .. user, json.encode(fields, "this", level + 1))
  return true
end

return orders
