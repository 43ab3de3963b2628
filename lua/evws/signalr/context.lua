-- context.lua: what a method gets as its first argument: who calls, and what
-- can be done about it.

local clients = require "evws.signalr.clients"
local option_table = require "evws.option_table"

local context = {}

local methods = {}

-- The session of a context. A key of its own: `pairs` shows nothing else.
local of = setmetatable({}, { __mode = "k" })
context.session_of = of

function methods:join(group)
  local session = of[self]
  local ok, why = session.hub.groups:join(session, group, 2)
  return ok, why -- no tail call: errors are of the caller's line
end

function methods:leave(group)
  local session = of[self]
  local ok, why = session.hub.groups:leave(session, group, 2)
  return ok, why -- no tail call: errors are of the caller's line
end

local closing = { name = "close", defaults = {}, checks = {
  error = function(value)
    return type(value) == "string" and utf8.len(value) ~= nil, "text"
  end,
  allow_reconnect = option_table.is_type "boolean" } }

-- Ends the connection, by default for good (Context.Abort).
function methods:close(options)
  if options ~= nil and type(options) ~= "table" then
    error("bad argument #1 to 'close' (table expected)", 2)
  end
  options = option_table.read(options or {}, closing, 2)
  of[self]:finish(options.error, options.allow_reconnect == true,
    options.error)
  return true
end

function methods:on_closed(fn)
  local session = of[self]
  if type(fn) ~= "function" then
    error(("bad argument #1 to 'on_closed' (function expected, got %s)")
      :format(type(fn)), 2)
  end
  if session.is_over then
    require "evws".spawn(fn, self)
  else
    session.on_closed = session.on_closed or {}
    table.insert(session.on_closed, fn)
  end
  return self
end

local properties = {}

function properties.items(session, ctx)
  ctx.items = {}
  return ctx.items
end

function properties.clients(session, ctx)
  ctx.clients = clients.of_caller(session)
  return ctx.clients
end

-- Kept by who has read it: most never do, and it is large.
function properties.request(session, ctx)
  ctx.request = session.request
  return session.request
end

function properties.id(session) return session.id end
function properties.user(session) return session.user end
function properties.is_closed(session) return session.is_over end

function properties.transport(session)
  return session.transport and session.transport.name
end

function properties.protocol(session)
  return session.protocol and session.protocol.name
end

local meta = { __name = "evws.signalr.context" }

function meta.__index(self, name)
  local method = methods[name]
  if method then return method end
  local property = properties[name]
  return property and property(of[self], self)
end

function meta.__tostring(self)
  return "evws.signalr.context: " .. of[self].id
end

function context.new(session)
  local ctx = setmetatable({}, meta)
  of[ctx] = session
  return ctx
end

return context
