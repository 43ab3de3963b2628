-- signalr.lua: SignalR hubs: the public module. The reference is
-- library/evws/signalr.lua.

local errors = require "evws.signalr.errors"
local values = require "evws.values"

local signalr = {
  null = values.null,
  object = values.map,
  binary = values.binary,
  time = values.time,
  raise = errors.raise,
}

-- The handshake is JSON, whatever the protocol.
local function check_cjson(level)
  if require "evws.json_reader".is_available() then return end
  error("evws.signalr needs lua-cjson (apt install lua-cjson, or luarocks "
    .. "install lua-cjson)", level + 1)
end

function signalr.hub(options)
  check_cjson(2)
  local hub = require "evws.signalr.hub".new(options, 2)
  return hub -- no tail call: errors are of the caller's line
end

return signalr
