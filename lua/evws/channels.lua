-- channels.lua: channels for the clients of Centrifugo, and one in Lua: the
-- public module. The reference is library/evws/channels.lua.

local app = require "evws.channels.app"
local connection = require "evws.channels.connection"
local errors = require "evws.channels.errors"
local values = require "evws.values"

local channels = {
  null = values.null,
  object = values.map,
  raise = errors.raise,
}

function channels.new(options)
  local made = app.new(options, 2)
  return made -- no tail call: errors are of the caller's line
end

function channels.connect(url, options)
  local made, why, code = connection.new(url, options, 2)
  return made, why, code
end

-- A list is one already; this says so where one may be empty.
function channels.array(list)
  if list == nil then list = {} end
  if type(list) ~= "table" or getmetatable(list) ~= nil then
    error("bad argument #1 to 'array' (a plain table expected)", 2)
  end
  return list
end

return channels
