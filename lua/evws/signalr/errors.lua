-- errors.lua: the one error whose text reaches a client, and the texts that
-- people match against: they are those of ASP.NET Core.

local errors = {}

local mark = {
  __name = "evws.signalr.error",
  __tostring = function(self) return self.text end,
}

function errors.raise(text)
  if type(text) ~= "string" or not utf8.len(text) then
    error("bad argument #1 to 'raise' (text expected)", 2)
  end
  error(setmetatable({ text = text }, mark), 0)
end

function errors.is_deliberate(value)
  return getmetatable(value) == mark
end

-- What xpcall catches: deliberate ones as they are, others with where.
function errors.catch(value)
  if getmetatable(value) == mark then return value end
  local text = tostring(value)
  return { text = text, traceback = debug.traceback(text, 2) }
end

-- The text of what xpcall has given back. Where there was no memory it is what
-- Lua itself says: catch was not called.
local function text_of(caught)
  return type(caught) == "table" and caught.text or tostring(caught)
end
errors.text_of = text_of

local function clean(text)
  if utf8.len(text) then return text end
  return (text:gsub("[\128-\255]", "?"))
end
errors.clean = clean

-- What a client is told of one that was caught.
function errors.of(text, caught, is_detailed)
  if errors.is_deliberate(caught) then
    return text .. " HubException: " .. caught.text
  elseif is_detailed then
    return text .. " Error: " .. clean(text_of(caught))
  end
  return text
end

-- Of an argument that cannot be sent, and where in it.
function errors.of_argument(i, name, why, where)
  return ("bad argument #%d to '%s' (%s%s)"):format(i, name, why,
    where ~= "" and " at " .. where or "")
end

function errors.of_method(target, caught, is_detailed)
  return errors.of(("An unexpected error occurred invoking '%s' on the server.")
    :format(target), caught, is_detailed)
end

function errors.of_binding(target, why, is_detailed)
  local text = ("Failed to invoke '%s' due to an error on the server.")
    :format(target)
  return is_detailed and text .. " " .. clean(why) or text
end

function errors.of_connection(why, is_detailed)
  local text = "Connection closed with an error."
  return is_detailed and why and text .. " " .. clean(why) or text
end

function errors.refused(target)
  return ("Failed to invoke '%s' because user is unauthorized"):format(target)
end

function errors.unknown(target)
  return ("Unknown hub method '%s'"):format(target)
end

function errors.is_stream(target)
  return ("The client attempted to invoke the streaming '%s' method with a "
    .. "non-streaming invocation."):format(target)
end

function errors.is_no_stream(target)
  return ("The client attempted to invoke the non-streaming '%s' method with "
    .. "a streaming invocation."):format(target)
end

function errors.in_use(id)
  return ("Invocation ID '%s' is already in use."):format(id)
end

return errors
