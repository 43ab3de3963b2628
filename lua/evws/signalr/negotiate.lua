-- negotiate.lua: what a negotiation is answered.

local json_writer = require "evws.json_writer"

local negotiate = {}

-- The version to answer with; or nil and the body of the refusal (of status
-- 200 as well).
function negotiate.version(text, minimum)
  local version = 0
  if text and text ~= "" then
    version = text:match "^%s*[+-]?%d+%s*$" and #text < 12
      and math.tointeger(tonumber(text))
    if not version then
      return nil, json_writer.encode({ error = "The client requested an "
        .. "invalid protocol version '" .. negotiate.printable(text) .. "'" },
        2)
    end
  end
  if version < minimum then
    return nil, json_writer.encode({ error = ("The client requested version "
      .. "'%d', but the server does not support this version."):format(
      version) }, 2)
  end
  return math.max(0, math.min(version, 1))
end

-- Text of a client that may be quoted.
function negotiate.printable(text)
  return (text:sub(1, 64):gsub("[^\32-\126]", "?"))
end

local formats = {
  WebSockets = '["Text","Binary"]', ServerSentEvents = '["Text"]',
  LongPolling = '["Text","Binary"]',
}

-- The body for a session: with version 0 its id is its token.
function negotiate.answer(session, version, transports, is_stateful)
  local list = {}
  for i, name in ipairs(transports) do
    list[i] = ('{"transport":"%s","transferFormats":%s}'):format(name,
      formats[name])
  end
  return ('{"negotiateVersion":%d,"connectionId":"%s",%s%s'
    .. '"availableTransports":[%s]}'):format(version, session.id,
    version > 0 and ('"connectionToken":"%s",'):format(session.token) or "",
    is_stateful and '"useStatefulReconnect":true,' or "",
    table.concat(list, ","))
end

return negotiate
