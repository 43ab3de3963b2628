-- What the specs of channels share: an application on a server, and clients of
-- raw bytes, which see what is on the wire.
--
--   kit.serve(options[, listen]) -> app, server    no pings unless asked for
--   kit.open(server[, fields]) -> client    fields: of connect; false: nothing
--     is sent yet; client.hello is the reply
--   client:say(text or table)         one frame
--   client:next() -> message          decoded
--   client:expect(message)
--   client:call(request[, fields]) -> reply   a command with an id of its own
--   client:closed(code[, part of the reason])
--   client:quiet()                    nothing has come
--   kit.token(claims) -> text         signed with kit.secret

local assert = require "luassert"
local app = require "evws.channels.app"
local core = require "evws.core"
local jwt = require "evws.channels.jwt"
local t = require "spec.helper"
local values = require "evws.values"
local writer = require "evws.json_writer"

local kit = { secret = "a secret of thirty-two bytes ....", t = t,
  null = values.null }

local function encode(value) return assert(writer.encode(value, 100)) end

local function decode(text)
  return core.json_decode(text, 100, values.null, nil)
end

function kit.token(claims) return jwt.sign(claims, kit.secret) end

function kit.serve(options, listen)
  local own = { ping = false, on_error = function() end }
  for name, value in pairs(options or {}) do own[name] = value end
  local chat = app.new(own, 1)
  local given = { routes = chat:routes "/c" }
  if chat.kept then given.history = chat.kept end
  for name, value in pairs(listen or {}) do given[name] = value end
  return chat, t.listen(given)
end

local client = {}
client.__index = client

function client:say(message)
  if type(message) == "table" then message = encode(message) end
  self.raw:send(t.frame("text", message))
end

function client:next()
  local frame, why = self.raw:frame()
  if not frame then error("no frame: " .. tostring(why), 2) end
  if frame.opcode ~= 1 then
    error(("a frame %d: %q"):format(frame.opcode, frame.payload), 2)
  end
  assert.is_nil(frame.payload:find "[\r\n]")
  local message = decode(frame.payload)
  return message, frame.payload
end

function client:expect(message)
  assert.same(message, (self:next()))
end

function client:call(name, fields)
  self.id = self.id + 1
  local id = self.id
  self:say(('{"id":%d,"%s":%s}'):format(id, name,
    type(fields) == "string" and fields or fields and next(fields)
      and encode(fields) or "{}"))
  local reply = self:next()
  assert.equal(id, reply.id)
  return reply[name], reply.error
end

-- The reply is an error of this code, and the connection stays.
function client:fails(code, name, fields)
  local reply, err = self:call(name, fields)
  assert.is_nil(reply)
  assert.equal(code, err and err.code)
  return err
end

function client:closed(code, part)
  local got, reason = self.raw:expect_close(code, { drop = true })
  if part then t.contains(reason, part) end
  assert.is_true(reason ~= "" and #reason <= 123)
  self.raw:close()
  return got, reason
end

-- A command is answered: nothing came before it.
function client:quiet()
  assert.equal(108, select(2, self:call "ping").code)
end

function kit.open(server, fields)
  local raw = t.open(server, { path = "/c" })
  local self = setmetatable({ raw = raw, id = 0 }, client)
  if fields == false then return self end
  local why
  self.hello, why = self:call("connect", fields)
  if not self.hello then error(("refused: %d %s"):format(why.code,
    why.message), 2) end
  return self
end

-- Turns until nothing more is to be expected of what is ready.
function kit.settle()
  for _ = 1, 5 do t.turn(0) end
end

kit.cleanup = t.cleanup

return kit
