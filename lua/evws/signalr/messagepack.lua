-- messagepack.lua: the hub protocol "messagepack". The messages and the calls
-- are those of json.lua; a record to be read is without its length, one to be
-- sent has it.
--
-- An invocation is read element by element: where only its arguments are at
-- fault, the call fails and not the connection.

local core = require "evws.core"
local reader = require "evws.messagepack_reader"
local values = require "evws.values"
local writer = require "evws.messagepack_writer"

local byte, char, sub = string.byte, string.char, string.sub
local concat = table.concat
local encode, text = writer.encode, writer.text
local list_head = reader.list_head
local null = values.null

local messagepack = {}

-- The length in front of a record: seven bits a byte, the low ones first.
local function framed(record)
  local n = #record
  if n < 0x80 then return char(n) .. record end
  local out = ""
  while n >= 0x80 do
    out = out .. char(n & 0x7f | 0x80)
    n = n >> 7
  end
  return out .. char(n) .. record
end

-- A protocol for values of at most so many levels; most: the bytes of what is
-- read at once, any without it.
function messagepack.new(max_depth, most)
  most = most or math.huge
  local settings = { max_depth = max_depth, is_lenient = true }
  local function read(record, at) return reader.read(record, at, settings) end
  local self = { name = "messagepack", is_binary = true, kind = "binary",
    ping = "\2\x91\6" }

  -- An id or an error: text, or null. The value, the place behind it, ok?
  local function optional_text(record, at)
    local value, after = read(record, at)
    if value == null then return nil, after, true end
    return value, after, type(value) == "string"
  end

  local function id_of(record, at)
    local id, after, ok = optional_text(record, at)
    if not ok then return nil, nil, "the id is no text" end
    return id ~= "" and id or nil, after
  end

  -- Headers are a map, and nobody here reads them. The place behind.
  local function skip_headers(record, at)
    local first = byte(record, at)
    if first == 0x80 then return at + 1 end
    local is_map = first and (first >= 0x80 and first < 0x90
      or first == 0xde or first == 0xdf)
    if not is_map then return nil end
    local headers, after = read(record, at)
    return headers and after
  end

  -- The arguments at `at`, and the place behind them.
  local function read_args(message, record, at)
    local n, after = list_head(record, at)
    if not n then return nil, "the arguments are no list" end
    local args = {}
    message.args, message.n = args, n
    for i = 1, n do
      local value, behind = read(record, after)
      if value == nil then
        message.bad, message.n = behind, i
        return nil
      end
      if value ~= null then args[i] = value end
      after = behind
    end
    return after
  end

  local function read_streams(message, record, at)
    local streams, after = read(record, at)
    if streams == null then return after end
    if not streams or not list_head(record, at) then
      return nil, "the streams are no list"
    end
    for _, id in ipairs(streams) do
      if type(id) ~= "string" then return nil, "a stream's id is no text" end
    end
    if #streams > 0 then message.streams = streams end
    return after
  end

  local function invocation(message, record, at, n)
    if n < 5 then return nil, "elements are missing" end
    if message.type == 4 and not message.id then return nil, "no id" end
    local target, after = read(record, at)
    if type(target) ~= "string" then return nil, "the target is no text" end
    message.target = target
    local why
    after, why = read_args(message, record, after)
    if message.bad then return message end
    if not after then return nil, why end
    if n > 5 then
      after, why = read_streams(message, record, after)
      if not after then return nil, why end
    end
    return message
  end

  local function item(message, record, at, n)
    if n < 4 then return nil, "elements are missing" end
    if not message.id then return nil, "no id" end
    local value, after = read(record, at)
    message.item = value
    if value == nil then message.bad = after end
    return message
  end

  local function completion(message, record, at, n)
    if n < 4 then return nil, "elements are missing" end
    if not message.id then return nil, "no id" end
    local kind, after = read(record, at)
    if kind == 2 then return message end
    if kind ~= 1 and kind ~= 3 or n < 5 then
      return nil, "the kind of a result is none"
    end
    local value, why = read(record, after)
    if kind == 1 then
      if type(value) ~= "string" then return nil, "the error is no text" end
      message.error = value
      return message
    end
    message.has_result, message.result = true, value
    if value == nil then message.bad = why end
    return message
  end

  local function cancel(message)
    if not message.id then return nil, "no id" end
    return message
  end

  local with_headers = { invocation, item, completion, invocation, cancel }

  local function close(message, record, at, n)
    if n < 2 then return message end
    local failure, _, ok = optional_text(record, at)
    if not ok then return nil, "the error is no text" end
    message.error = failure
    return message
  end

  local function sequence(message, record, at, n)
    local id = n >= 2 and read(record, at)
    if math.type(id) ~= "integer" then return nil, "no sequence id" end
    message.sequence = id
    return message
  end

  local without_headers = { [7] = close, [8] = sequence, [9] = sequence }

  -- A message, or nil and why there is none.
  function self.parse(record)
    local n, at = list_head(record, 1)
    if not n or n == 0 then return nil, "no list with a type" end
    local kind
    kind, at = read(record, at)
    if math.type(kind) ~= "integer" then return nil, "the type is no number" end
    local finish = with_headers[kind]
    if not finish then
      finish = without_headers[kind]
      if not finish then return { type = kind } end
      return finish({ type = kind }, record, at, n)
    end
    if n < 3 then return nil, "elements are missing" end
    at = skip_headers(record, at)
    if not at then return nil, "the headers are no map" end
    local id, after, why = id_of(record, at)
    if not after then return nil, why end
    return finish({ type = kind, id = id }, record, after, n)
  end

  -- Bytes of this kind that may be one record with its length. Of an invocation
  -- that has nothing rare about it no table is made: true, its id, target, args
  -- and n. Others: as parse. false: it is not one record, or not as short as
  -- most have it.
  self.read = core.packed_reader(most, max_depth, null, values.map_mark,
    function(bytes, kind)
      if kind ~= "binary" or #bytes > most then return false end
      local need, at = byte(bytes), 2
      if need and need >= 0x80 then
        local high = byte(bytes, 2) or 0x80
        if high >= 0x80 then return false end
        need, at = need & 0x7f | high << 7, 3
      end
      if need ~= #bytes - at + 1 or need == 0 then return false end
      return self.parse(sub(bytes, at))
    end)

  local function list_of(out, args, n)
    for i = 1, n do
      local piece, why, where = encode(args[i], max_depth)
      if not piece then return nil, why, i, where end
      out[#out + 1] = piece
    end
    return true
  end

  function self.invocation(id, target, args, n)
    -- the last one, an empty list, is the streams
    local out = { "\x96\1\x80", id and text(id) or "\xc0", text(target),
      writer.list_head(n) }
    local ok, why, i, where = list_of(out, args, n)
    if not ok then return nil, why, i, where end
    return framed(concat(out) .. "\x90")
  end

  function self.item(id, value)
    local piece, why, where = encode(value, max_depth)
    if not piece then return nil, why, 1, where end
    return framed("\x94\2\x80" .. text(id) .. piece)
  end

  self.result = core.packed_writer(function(id, value)
    local piece, why, where = encode(value, max_depth)
    if not piece then return nil, why, 1, where end
    return framed("\x95\3\x80" .. text(id) .. "\3" .. piece)
  end)

  function self.failure(id, message)
    return framed("\x95\3\x80" .. text(id) .. "\1" .. text(message))
  end

  function self.finished(id)
    return framed("\x94\3\x80" .. text(id) .. "\2")
  end

  function self.close(message, allow_reconnect)
    return framed("\x93\7" .. (message and text(message) or "\xc0")
      .. (allow_reconnect and "\xc3" or "\xc2"))
  end

  function self.ack(n) return framed("\x92\8" .. writer.integer(n)) end

  function self.sequence(n) return framed("\x92\9" .. writer.integer(n)) end

  return self
end

return messagepack
