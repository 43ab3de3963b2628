-- handshake.lua: the first record of a client, JSON whatever protocol it
-- names, and what it is answered.

local json_reader = require "evws.json_reader"
local json_writer = require "evws.json_writer"

local handshake = {
  accepted = "{}\30",
  canceled = '{"error":"Handshake was canceled."}\30',
}

local highest_version = 2 -- 1, or 2 where a stateful reconnect was negotiated

local parse

local function failed(text)
  return nil, '{"error":' .. json_writer.text(text) .. "}\30"
end

local function malformed()
  return failed "An unexpected error occurred during connection handshake."
end

-- The protocol of this name among those of the hub (name -> protocol); or nil
-- and the answer, after which the connection ends. can_binary: does the
-- transport deliver bytes?
function handshake.judge(record, protocols, can_binary)
  parse = parse or json_reader.new(8).parse
  local message = parse(record)
  if type(message) ~= "table" or message.type ~= nil then return malformed() end
  local name, version = message.protocol, message.version
  if type(name) ~= "string" or type(version) ~= "number"
    or not math.tointeger(version) then
    return malformed()
  end
  local protocol = protocols[name]
  if not protocol then
    return failed(("The protocol '%s' is not supported."):format(name))
  elseif version > highest_version then
    return failed(("The server does not support version %d of the '%s' "
      .. "protocol."):format(math.tointeger(version), name))
  elseif protocol.is_binary and not can_binary then
    return failed(("Cannot use the '%s' protocol on the current transport. The"
      .. " transport does not support 'Binary' transfer format."):format(name))
  end
  return protocol
end

return handshake
