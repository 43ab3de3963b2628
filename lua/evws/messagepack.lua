-- messagepack.lua: MessagePack for its own sake, and for SignalR. The reference
-- is library/evws/messagepack.lua.

local reader = require "evws.messagepack_reader"
local values = require "evws.values"
local writer = require "evws.messagepack_writer"

local messagepack = {
  null = values.null,
  map = values.map,
  binary = values.binary,
  extension = values.extension,
  time = values.time,
}

local default_depth = 64

local encode_options = { max_depth = "depth" }
local decode_options = { max_depth = "depth", binary = "function",
  extension = "function", invalid_text = "reaction" }

local function is_right(kind, value)
  if kind == "depth" then
    return math.type(value) == "integer" and value >= 1 and value <= 1000
  elseif kind == "reaction" then
    return value == "error" or value == "replace"
  end
  return type(value) == "function"
end

local expected = {
  depth = "an integer from 1 to 1000", reaction = "\"error\" or \"replace\"",
  ["function"] = "a function",
}

-- Level 3: the line of whoever called encode, decode or read.
local function check_options(options, known, name)
  if type(options) ~= "table" then
    error(("bad options for '%s' (table expected, got %s)"):format(name,
      type(options)), 3)
  end
  for option, value in pairs(options) do
    local kind = known[option]
    if not kind then
      error(("unknown option '%s' for '%s'"):format(tostring(option), name), 3)
    elseif not is_right(kind, value) then
      error(("bad option '%s' for '%s' (%s expected)"):format(option, name,
        expected[kind]), 3)
    end
  end
end

function messagepack.encode(value, options)
  if options ~= nil then check_options(options, encode_options, "encode") end
  local bytes, why, where = writer.encode(value,
    options and options.max_depth or default_depth)
  if bytes then return bytes end
  error("cannot encode: " .. why .. (where ~= "" and " at " .. where or ""), 2)
end

local defaults = { max_depth = default_depth }

local function settings_of(options)
  if not options then return defaults end
  return {
    max_depth = options.max_depth or default_depth,
    binary = options.binary, extension = options.extension,
    is_lenient = options.invalid_text == "replace",
  }
end

local function check_bytes(bytes, name)
  if type(bytes) == "string" then return end
  error(("bad argument #1 to '%s' (string expected, got %s)"):format(name,
    type(bytes)), 3)
end

function messagepack.decode(bytes, options)
  check_bytes(bytes, "decode")
  if options ~= nil then check_options(options, decode_options, "decode") end
  local value, after, place = reader.read(bytes, 1, settings_of(options))
  if value == nil then return nil, after, place end
  if after <= #bytes then return nil, "more than one value", after end
  return value
end

function messagepack.read(bytes, position, options)
  check_bytes(bytes, "read")
  if position == nil then position = 1 end
  if math.type(position) ~= "integer" or position < 1 then
    error("bad argument #2 to 'read' (a position from 1 on expected)", 2)
  end
  if options ~= nil then check_options(options, decode_options, "read") end
  return reader.read(bytes, position, settings_of(options))
end

return messagepack
