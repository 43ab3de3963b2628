-- token.lua: what a connection in Lua says who it is with: the program's token,
-- and another one before its time is over.

local errors = require "evws.channels.errors"
local json = require "evws.channels.json"

local token = {}

local longest_ttl = 1e7 -- seconds that a timer waits

-- A function of the program that brings a token: text; or false, and an error:
-- one that it raises is told, and passes.
function token.ask(self, getter, of)
  local ok, text = xpcall(getter, errors.catch, of)
  if not ok then
    self.events:report(text)
    return false, { code = 100, message = "no token", temporary = true }
  end
  if type(text) == "string" and text ~= "" then return text end
  return false, { code = 101, message = errors.unauthorized.message }
end

-- Of the connection: as it is, or from its function; nil where there is none.
function token.of(self)
  local given = self.options.token
  if type(given) ~= "function" then return given end
  if self.token then return self.token end
  local text, why = token.ask(self, given, self)
  if text then self.token = text end
  return text, why
end

-- An error instead of a connection.
function token.refused(self, err)
  if not err.code then return end
  local has_getter = type(self.options.token) == "function"
  if err.code == 109 then self.token = nil end
  if err.temporary or err.code == 109 and has_getter then
    return self:abandon(err.code, err.message)
  end
  self:finish(err.code, err.message)
end

local refresh

-- Another one is to come in so many seconds.
function token.refresh_in(self, seconds)
  if type(self.options.token) ~= "function" then return end
  local conn = self.conn
  conn:after(math.min(seconds, longest_ttl), function()
    refresh(self, conn)
  end)
end

function refresh(self, conn)
  self.token = nil
  local text, why = token.of(self)
  if self.conn ~= conn then return end
  local function failed(err)
    if err.code and err.temporary then
      local rule = self.backoff.rule
      token.refresh_in(self, rule and rule.initial or 1)
    else
      token.refused(self, err)
    end
  end
  if not text then return failed(why) end
  self:ask("refresh", '{"token":' .. json.text(text) .. "}",
    function(reply, err)
      if err then return failed(err) end
      if reply.expires and reply.ttl then token.refresh_in(self, reply.ttl) end
    end, true)
end

return token
