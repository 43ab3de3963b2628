-- json.lua: the hub protocol "json": a record without its 0x1E to a message,
-- and records from what is to be said.
--
-- A message: type; id (nil: none); of an invocation target, args (nulls are
-- nil), n, streams (ids, or nil); of a stream item item; of a completion
-- has_result, result and error; of an Ack or a Sequence sequence. `bad` says
-- that the record could be read, but not all of its values.

local core = require "evws.core"
local json_reader = require "evws.json_reader"
local values = require "evws.values"
local writer = require "evws.json_writer"

local concat, find, sub = table.concat, string.find, string.sub
local encode, text = writer.encode, writer.text
local null = values.null

local json = {}

-- Text in front of which stands `{"type":n` and perhaps an id.
local function head(kind, id)
  if not id then return '{"type":' .. kind end
  return '{"type":' .. kind .. ',"invocationId":' .. text(id)
end

-- Some versions take "1" for a number.
local function whole(raw)
  return type(raw) == "number" and math.tointeger(raw) or nil
end

local function optional_text(raw, raw_null)
  if raw == nil or raw == raw_null then return nil, true end
  return raw, type(raw) == "string"
end

-- A protocol for values of at most so many levels; most: the bytes of what is
-- read at once, any without it.
function json.new(max_depth, most)
  most = most or math.huge
  -- above the values stand the record and the list of arguments
  local reader = json_reader.new(max_depth + 2)
  local list_reader = json_reader.new(max_depth + 1)
  local raw_null, value_of = reader.null, reader.value
  local self = { name = "json", is_binary = false, kind = "text",
    ping = '{"type":6}\30' }

  -- The raw list becomes that of the arguments; how many, and what was wrong
  -- with one of them. nil: it is no list.
  local function read_args(raw)
    local n, bad = reader.count(raw), nil
    if not n then return nil end
    if n == 0 then raw[1] = nil end -- what marks an empty list
    for i = 1, n do
      local value = raw[i]
      if type(value) ~= "string" then
        local why
        value, why = value_of(value)
        if value == nil then bad = why end
        if value == null then value = nil end
        raw[i] = value
      end
    end
    return n, bad
  end

  local function read_streams(message, raw)
    local n = reader.count(raw)
    if not n then return nil, "the streams are no list" end
    if n == 0 then return message end
    for i = 1, n do
      if type(raw[i]) ~= "string" then
        return nil, "a stream's id is no text"
      end
    end
    message.streams = raw
    return message
  end

  local function invocation(kind, id, raw)
    local target, args, streams = raw.target, raw.arguments, raw.streamIds
    if type(target) ~= "string" then return nil, "the target is no text" end
    if kind == 4 and not id then return nil, "no id" end
    local n, bad = read_args(args)
    if not n then return nil, "the arguments are no list" end
    -- with room for what dispatch adds
    local message = { type = kind, id = id, target = target, args = args,
      n = n, bad = bad, session = nil, holds_slot = nil }
    if streams == nil or streams == raw_null then return message end
    return read_streams(message, streams)
  end

  local function item(message, raw)
    if not message.id then return nil, "no id" end
    local value, why = null, nil -- of `undefined` JavaScript writes nothing
    if raw.item ~= nil then value, why = value_of(raw.item) end
    message.item = value
    if value == nil then message.bad = why end
    return message
  end

  local function completion(message, raw)
    if not message.id then return nil, "no id" end
    local failure, ok = optional_text(raw.error, raw_null)
    if not ok then return nil, "the error is no text" end
    if failure and raw.result ~= nil then
      return nil, "both a result and an error"
    end
    message.error = failure
    if raw.result == nil then return message end
    local value, why = value_of(raw.result)
    message.has_result, message.result = true, value
    if value == nil then message.bad = why end
    return message
  end

  local function cancel(message)
    if not message.id then return nil, "no id" end
    return message
  end

  local function close(message, raw)
    local failure, ok = optional_text(raw.error, raw_null)
    if not ok then return nil, "the error is no text" end
    message.error = failure
    return message
  end

  local function sequence(message, raw)
    message.sequence = whole(raw.sequenceId)
    if not message.sequence then return nil, "no sequence id" end
    return message
  end

  local readers = { invocation, item, completion, invocation, cancel,
    nil, close, sequence, sequence }

  local function message_of(raw)
    local kind = whole(raw.type)
    if not kind then return nil, "the type is no number" end
    local read = readers[kind]
    if not read then return { type = kind } end
    local id, ok = optional_text(raw.invocationId, raw_null)
    if not ok then return nil, "the id is no text" end
    if type(raw.headers) ~= "table" and raw.headers ~= nil
      and raw.headers ~= raw_null then
      return nil, "the headers are no map"
    end
    if id == "" then id = nil end
    if read == invocation then return invocation(kind, id, raw) end
    return read({ type = kind, id = id }, raw)
  end

  -- A message, or nil and why there is none.
  function self.parse(record)
    local raw, why = reader.parse(record)
    if type(raw) ~= "table" then return nil, why or "no object" end
    return message_of(raw)
  end

  -- Bytes of this kind that may be one record with its 0x1E; text is known to
  -- be UTF-8. Of an invocation that has nothing rare about it no table is made:
  -- true, its id, target, args, n and bad. Others: as parse. false: it is not
  -- one record, or not as short as most have it.
  self.read = core.call_reader(most, list_reader.decode, value_of,
    function(bytes, kind)
      if kind ~= "text" or #bytes > most or find(bytes, "\0", 1, true)
        or find(bytes, "\30", 1, true) ~= #bytes then
        return false
      end
      return self.parse(sub(bytes, 1, -2))
    end)

  -- The records below are strings; or nil, what is wrong, and in which value
  -- and where that is.

  local function list_of(args, n)
    if n == 0 then return "[]" end
    local out = {}
    for i = 1, n do
      local piece, why, where = encode(args[i], max_depth)
      if not piece then return nil, why, i, where end
      out[i] = piece
    end
    return "[" .. concat(out, ",", 1, n) .. "]"
  end

  function self.invocation(id, target, args, n)
    local list, why, i, where = list_of(args, n)
    if not list then return nil, why, i, where end
    return head("1", id) .. ',"target":' .. text(target) .. ',"arguments":'
      .. list .. "}\30"
  end

  function self.item(id, value)
    local piece, why, where = encode(value, max_depth)
    if not piece then return nil, why, 1, where end
    return '{"type":2,"invocationId":' .. text(id) .. ',"item":' .. piece
      .. "}\30"
  end

  self.result = core.result_writer(function(id, value)
    local piece, why, where = encode(value, max_depth)
    if not piece then return nil, why, 1, where end
    return head("3", id) .. ',"result":' .. piece .. "}\30"
  end)

  function self.failure(id, message)
    return head("3", id) .. ',"error":' .. text(message) .. "}\30"
  end

  function self.finished(id)
    return head("3", id) .. "}\30"
  end

  function self.close(message, allow_reconnect)
    return '{"type":7' .. (message and ',"error":' .. text(message) or "")
      .. (allow_reconnect and ',"allowReconnect":true' or "") .. "}\30"
  end

  function self.ack(n) return '{"type":8,"sequenceId":' .. n .. "}\30" end

  function self.sequence(n) return '{"type":9,"sequenceId":' .. n .. "}\30" end

  return self
end

return json
