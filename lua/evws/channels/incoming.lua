-- incoming.lua: a line of the server to a message, whose fields are of the
-- types that the protocol has for them: a client does not fail by what others
-- write. A field's name means the same wherever it stands.

local core = require "evws.core"
local values = require "evws.values"

local incoming = {}

local null, map_mark = values.null, values.map_mark
local deepest = 512

local function of_type(name)
  return function(value) return type(value) == name end
end

local function is_count(value)
  return math.type(value) == "integer" and value >= 0
end

local function is_duration(value)
  return type(value) == "number" and value >= 0
end

local is_text, is_flag = of_type "string", of_type "boolean"

local kinds = {
  id = is_count, code = is_count, offset = is_count, num_clients = is_count,
  num_users = is_count,
  ping = is_duration, ttl = is_duration,
  channel = is_text, client = is_text, version = is_text, epoch = is_text,
  reason = is_text,
  pong = is_flag, expires = is_flag, recovered = is_flag, temporary = is_flag,
  was_recovering = is_flag,
}

-- Null is what is not there, but for a value of the program's own.
local function check(fields)
  if type(fields) ~= "table" or fields == null then return false end
  for name, value in pairs(fields) do
    if value == null and name ~= "data" then
      fields[name] = nil
    elseif kinds[name] and not kinds[name](value) then
      return false
    end
  end
  return true
end

local function each(fields, is_good)
  if fields == nil then return true end
  if type(fields) ~= "table" then return false end
  for _, one in pairs(fields) do
    if not is_good(one) then return false end
  end
  return true
end

local function check_error(err)
  return check(err) and (err.message == nil or is_text(err.message))
end

local function check_reply(reply)
  return check(reply) and each(reply.publications, check)
    and each(reply.presence, of_type "table")
end

local function check_connect(reply)
  return check_reply(reply) and each(reply.subs, check_reply)
end

-- What a message is: a push, or the reply to a request.
local function is_good(message)
  if not check(message) then return false end
  local push = message.push
  if push == nil or message.id then
    if message.error then return check_error(message.error) end
    for name, reply in pairs(message) do
      if name ~= "id" and not check_connect(reply) then return false end
    end
    return true
  end
  if not check(push) or push.subscribe and not push.channel then
    return false
  end
  for name, fields in pairs(push) do
    if name ~= "channel" and not check_reply(fields) then return false end
  end
  return true
end

-- The message; nil: it is none.
function incoming.read(line)
  local message = core.json_decode(line, deepest, null, map_mark)
  if is_good(message) then return message end
  return nil
end

return incoming
