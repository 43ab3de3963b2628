-- What the specs of hubs share: a hub, and clients without a socket. Bytes go
-- in by client:feed, what the hub sends is decoded by lua-cjson or by
-- evws.messagepack: not by the code that is looked at.
--
--   kit.hub(options) -> hub             its timer is the spec's: hub:tick()
--   kit.client(hub[, options]) -> client
--     options: protocol ("json"), user, is_stateful, is_binary, transport
--     (fields of the transport to replace), raw (no handshake)
--     client.session, client.log (the messages, in order), client.ended (the
--     code it was finished with)
--     client:feed(bytes)      as a transport does; what waits is a task's
--     client:say(message)     a record: a table as JSON has it, or bytes
--     client:expect(fields)   the next message must have these
--     client:invoke(target, ...) -> result | nil, error
--     client:lose([is_clean])
--   kit.settle()              turns until nothing more happens
--   kit.end_hubs(list)        for after_each: hubs that were made without it
--   kit.null                  null in a message
--   kit.told(value)           all of it as text: kinds of numbers, marks

local assert = require "luassert"
local cjson = require "cjson"
local messagepack = require "evws.messagepack"
local t = require "spec.helper"
local ws = t.ws

local kit = { null = cjson.null }

local plain = cjson.new()
plain.encode_number_precision(14)

local function framed(record)
  local n, out = #record, ""
  while n >= 0x80 do
    out = out .. string.char(n & 0x7f | 0x80)
    n = n >> 7
  end
  return out .. string.char(n) .. record
end
kit.framed = framed

local function or_null(value)
  if value == nil or value == cjson.null then return messagepack.null end
  return value
end

local function list_of(values)
  local list = {}
  for i = 1, #values do
    list[i] = or_null(values[i])
  end
  return list
end

-- The same message as MessagePack: its elements by type.
local function elements(m)
  local head = { m.type, messagepack.map {}, or_null(m.invocationId) }
  if m.type == 1 or m.type == 4 then
    head[4], head[5] = m.target, list_of(m.arguments)
    head[6] = m.streamIds
  elseif m.type == 2 then
    head[4] = or_null(m.item)
  elseif m.type == 3 then
    head[4] = m.error and 1 or m.result == nil and 2 or 3
    head[5] = m.error or m.result ~= nil and or_null(m.result) or nil
  elseif m.type == 6 then
    return { 6 }
  elseif m.type == 7 then
    return { 7, or_null(m.error) }
  elseif m.type >= 8 then
    return { m.type, m.sequenceId }
  end
  return head
end

local names = {
  { "headers", "invocationId", "target", "arguments", "streamIds" },
  { "headers", "invocationId", "item" },
  { "headers", "invocationId", "kind", "value" },
  [6] = {}, [7] = { "error", "allowReconnect" }, [8] = { "sequenceId" },
  [9] = { "sequenceId" },
}

local function named(list)
  local m = { type = list[1] }
  for i, name in ipairs(names[m.type]) do
    local value = list[i + 1]
    if value ~= messagepack.null then m[name] = value end
  end
  if m.kind == 1 then m.error = m.value end
  if m.kind == 3 then
    m.result = list[5] == messagepack.null and cjson.null or list[5]
  end
  m.kind, m.value, m.headers = nil, nil, nil
  if m.streamIds and #m.streamIds == 0 then m.streamIds = nil end
  if m.allowReconnect == false then m.allowReconnect = nil end
  return m
end

-- The messages in bytes that were sent: whole records, or it raises.
local function decode(bytes, protocol, log)
  if protocol == "messagepack" then
    local at = 1
    while at <= #bytes do
      local n, shift = 0, 0
      repeat
        local b = bytes:byte(at)
        n, shift, at = n | (b & 0x7f) << shift, shift + 7, at + 1
      until b < 0x80
      log[#log + 1] = named(assert(messagepack.decode(
        bytes:sub(at, at + n - 1))))
      at = at + n
    end
    assert(at == #bytes + 1, "half a record was sent")
    return
  end
  assert(bytes:sub(-1) == "\30", "half a record was sent")
  for record in bytes:gmatch "([^\30]*)\30" do
    log[#log + 1] = cjson.decode(record)
  end
end

local hubs = {}

function kit.hub(options)
  local hub = require "evws.signalr.hub".new(options or {}, 1)
  local session = hub.session
  function hub.session(...)
    local one = session(...)
    hub:rest() -- the spec has the clock
    return one
  end
  hubs[#hubs + 1] = hub
  return hub
end

-- Turns until the loop has nothing to do at once.
function kit.settle()
  for _ = 1, 8 do ws.step() end
end

local client = {}
client.__index = client

local function transport_of(self, options)
  local transport = {
    name = "WebSockets", can_binary = true, wants_pings = true,
    send = function(_, bytes)
      self.bytes[#self.bytes + 1] = bytes
      local is_first = not self.is_answered
      self.is_answered = true
      decode(bytes, is_first and not self.is_back and "json" or self.protocol,
        self.log)
      return true
    end,
    buffered = function() return 0 end,
    drain = function() return true end,
    finish = function(_, code)
      assert(not self.ended, "it was finished twice")
      self.ended = code
    end,
  }
  for name, value in pairs(options.transport or {}) do
    transport[name] = value
  end
  return transport
end

function kit.client(hub, options)
  options = options or {}
  local self = setmetatable({ log = {}, bytes = {}, at = 0, ids = 0,
    protocol = options.protocol or "json" }, client)
  self.is_binary = self.protocol == "messagepack" and not options.raw
  self.session = hub:session(options.user, options.is_stateful)
  self.transport = transport_of(self, options)
  self.session:attach(self.transport, {})
  if options.raw then return self end
  self:feed(('{"protocol":"%s","version":1}\30'):format(self.protocol))
  kit.settle()
  self:expect {}
  return self
end

-- A new transport for the same session, as a stateful client has it.
function client:come_back()
  self.transport = transport_of(self, {})
  self.is_back, self.ended = true, nil
  self.session:attach(self.transport, {})
  kit.settle()
end

function client:feed(bytes)
  local session = self.session
  self.inbox = (self.inbox or "") .. bytes
  if self.is_busy then return end -- as a transport: one after the other
  self.is_busy = true
  ws.spawn(function()
    while self.inbox ~= "" do
      local some = self.inbox
      self.inbox = ""
      session:hear(some, not self.is_binary and utf8.len(some) and "text"
        or "binary")
    end
    self.is_busy = false
  end)
  kit.settle()
end

function client:say(message)
  if type(message) == "string" then return self:feed(message) end
  if self.protocol == "messagepack" then
    return self:feed(framed(messagepack.encode(elements(message))))
  end
  local empty = message.arguments and #message.arguments == 0
  local text = plain.encode(message)
  if empty then text = text:gsub('"arguments":{}', '"arguments":[]') end
  self:feed(text .. "\30")
end

-- The next message of any kind.
function client:next()
  kit.settle()
  self.at = self.at + 1
  return self.log[self.at]
end

function client:expect(fields)
  local message = self:next()
  assert.same(fields, message)
  return message
end

function client:expect_nothing()
  kit.settle()
  assert.is_nil(self.log[self.at + 1])
end

function client:invoke(target, ...)
  self.ids = self.ids + 1
  local id = tostring(self.ids)
  self:say { type = 1, invocationId = id, target = target,
    arguments = { ... } }
  local message = assert(self:next(), "no answer")
  assert.same({ 3, id }, { message.type, message.invocationId })
  if message.error then return nil, message.error end
  return message.result
end

-- The next message is a Close, and the transport is at its end.
function client:expect_end(text, allow_reconnect)
  self:expect { type = 7, error = text,
    allowReconnect = allow_reconnect or nil }
  assert.equal(1000, self.ended)
  assert.is_true(self.session.is_over)
end

function client:lose(is_clean)
  self.session:lost(self.transport, not is_clean and "connection lost" or nil,
    is_clean)
  kit.settle()
end

function kit.end_hubs(list)
  for _, hub in ipairs(list) do
    for _, one in pairs(hub.by_id) do one:over() end
    hub:rest()
  end
end

function kit.cleanup()
  kit.end_hubs(hubs)
  hubs = {}
  kit.settle()
end

function kit.told(value)
  if type(value) ~= "table" or value == messagepack.null then
    return ("%s %s"):format(math.type(value) or type(value),
      type(value) == "number" and ("%q"):format(value) or tostring(value))
  end
  local out = {}
  for key, one in pairs(value) do
    out[#out + 1] = kit.told(key) .. "=" .. kit.told(one)
  end
  table.sort(out)
  return tostring(getmetatable(value)) .. "{" .. table.concat(out, ",") .. "}"
end

return kit
