-- errors.lua: what a client is told by number: errors of a command, after which
-- the connection stays, and the codes it is closed with.

local hint = require "evws.option_table".hint

local errors = {}

local mark = {
  __name = "evws.channels.error",
  __tostring = function(self) return self.message end,
}

local function new(code, message, temporary)
  return setmetatable({ code = code, message = message,
    temporary = temporary or false }, mark)
end

errors.internal = new(100, "internal server error", true)
errors.unauthorized = new(101, "unauthorized")
errors.unknown_channel = new(102, "unknown channel")
errors.denied = new(103, "permission denied")
errors.no_method = new(104, "method not found")
errors.subscribed = new(105, "already subscribed")
errors.limit = new(106, "limit exceeded")
errors.bad_request = new(107, "bad request")
errors.not_available = new(108, "not available")
errors.expired = new(109, "token expired")
errors.unrecoverable = new(112, "unrecoverable position")

-- The end of a connection, as an error: what breaks the protocol.
local fatal = { __name = "evws.channels.close" }

local function close(code, reason)
  return setmetatable({ code = code, reason = reason }, fatal)
end

errors.connection_expired = close(3005, "connection expired")
errors.no_pong = close(3012, "no pong")
errors.invalid_token = close(3500, "invalid token")
errors.bad_frame = close(3501, "bad request")
errors.stale = close(3502, "stale")
errors.refused = close(3500, "connect was refused")
errors.too_many = close(3504, "connection limit")

function errors.is_error(value) return getmetatable(value) == mark end
function errors.is_close(value) return getmetatable(value) == fatal end

-- A command that breaks the protocol: the connection ends with 3501.
function errors.bad(what)
  error(close(3501, "bad request: " .. what), 0)
end

-- Raises an error that the client is told.
function errors.raise(code, message, temporary)
  if math.type(code) ~= "integer" or code < 400 or code > 1999 then
    error("bad argument #1 to 'raise' (a code from 400 to 1999 expected)", 2)
  end
  if type(message) ~= "string" or not utf8.len(message) then
    error("bad argument #2 to 'raise' (text expected)", 2)
  end
  error(new(code, message, temporary and true or false), 0)
end

-- A table that a handler has returned has no other names than these.
function errors.check_names(handler, given, names)
  for name in pairs(given) do
    if not names[name] then
      error(("%s returned an unknown field '%s'%s"):format(handler,
        tostring(name), hint(name, names)), 0)
    end
  end
end

-- What xpcall catches: what is for the client as it is, all else with where.
function errors.catch(value)
  local kind = getmetatable(value)
  if kind == mark or kind == fatal then return value end
  local text = tostring(value)
  return { text = text, traceback = debug.traceback(text, 2) }
end

-- A reason that clients show and do not take for an order: they judge a code
-- only beside a reason, and one that is JSON says what to do. At most 123
-- bytes, of whole characters.
function errors.reason(text)
  if text == "" then return "closed" end
  if require "evws".json_split(text, 0) then text = "closed: " .. text end
  if #text <= 123 then return text end
  local last = 123
  while last > 0 and text:byte(last + 1) & 0xC0 == 0x80 do last = last - 1 end
  return text:sub(1, last)
end

return errors
