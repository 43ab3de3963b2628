-- front.lua: a plain request to what answers it, by method and id; and who may
-- come in at all. The table of answers is that of ASP.NET Core's dispatcher.

local ws = require "evws"
local cors = require "evws.signalr.cors"
local negotiate = require "evws.signalr.negotiate"
local server_of = require "evws.core".server_of
local token = require "evws.signalr.token"
local worker = require "evws.signalr.worker"

local front = {}

-- Names as ASP.NET reads them: without regard to case.
local function query_of(request)
  local fields = {}
  for name, value in pairs(ws.parse_query(request.query)) do
    fields[name:lower()] = value
  end
  if fields.id == "" then fields.id = nil end
  return fields
end

-- The query and the user; or nil, nil, and a refusal.
function front.admit(hub, request)
  local options = hub.options
  if options.authorize then
    local status, body, headers = options.authorize(request)
    if status ~= nil then return nil, nil, status, body, headers end
  end
  local user = options.user_id and options.user_id(request)
  if type(user) == "number" then user = tostring(user) end
  hub.groups:serve(server_of(request))
  return query_of(request), user or nil
end

-- A token that is not known here was given out elsewhere, or is new. A
-- WebSocket is served by whoever has it, unless it may come back; all else by
-- the process that the token names. The session; or nil and a status, which
-- nobody gets where the request was passed on.
local function find_far(hub, request, name, user, is_websocket)
  local told = hub:token():read(name)
  if not told then return nil, 404 end
  if told.user ~= user then return nil, 403 end
  local is_ours = token.is_ours(told)
  if is_websocket and (is_ours or not told.is_stateful)
    or is_ours and request.method == "GET" then
    local session = hub:adopt(told)
    return session, not session and 404 or nil
  end
  if not is_ours and token.is_near(told) then
    worker.pass(told.serial, request)
  end
  return nil, 404
end

-- The session of a token, which must be this user's; or nil and a status.
function front.find(hub, request, name, user, is_websocket)
  local session = hub.by_token[name]
  if not session then
    return find_far(hub, request, name, user, is_websocket)
  end
  if session.user ~= user then return nil, 403 end
  return session
end

local function negotiated(hub, request, query, user)
  if request.method ~= "POST" then return 405, nil, { Allow = "POST" } end
  if hub:is_leaving() or hub.n_new >= hub.options.max_negotiated then
    return 503
  end
  local headers = { ["Content-Type"] = "application/json" }
  local version, refusal = negotiate.version(query.negotiateversion,
    hub.options.minimum_version)
  if not version then return 200, refusal, headers end
  local is_stateful = hub.options.stateful_reconnect
    and query.usestatefulreconnect == "true"
  local promised = hub:promise(user, is_stateful, version, server_of(request))
  return 200, negotiate.answer(promised, version, hub.transports, is_stateful),
    headers
end

local function posted(hub, request, session)
  local transport = session.transport
  if session.state == "new" or not transport then return 404 end
  if transport.name == "WebSockets" then return 405 end
  if not session:post(request.body) then return 404 end
  return 200, "", { ["Content-Type"] = "text/plain" }
end

local function deleted(hub, request, session)
  local transport = session.transport
  if not transport or transport.name ~= "LongPolling" then return 400 end
  session:leave_quietly()
  return 202, ""
end

-- GET: an event stream or a poll, for a session that has no other transport.
local function got(hub, request, session)
  local accept = request.headers.accept or ""
  local name = accept:find("text/event-stream", 1, true)
    and "ServerSentEvents" or "LongPolling"
  local has = session.transport
  if not hub.offers[name] then return 404 end
  if has and has.name ~= name or session.is_claimed then return 400 end
  return hub.serve[name](hub, request, session)
end

local methods = { GET = got, POST = posted, DELETE = deleted }

local function answer(hub, request, is_negotiation)
  local query, user, status, body, headers = front.admit(hub, request)
  if not query then return status, body, headers end
  if is_negotiation then return negotiated(hub, request, query, user) end
  local handle = methods[request.method]
  if not handle then
    return 405, nil, { Allow = "GET, POST, DELETE" }
  end
  if not query.id then return 400 end
  local left = request.method == "GET" and hub.leaving[query.id]
  if left then return left:poll(request) end
  local session
  session, status = front.find(hub, request, query.id, user, false)
  if not session then return status end
  return handle(hub, request, session)
end

-- on_request of a hub's path, or of its negotiation.
function front.handler(hub, is_negotiation)
  return function(request)
    if not cors.is_allowed(request) then return 403 end
    local status, body, headers = cors.preflight(request)
    if not status then
      status, body, headers = answer(hub, request, is_negotiation)
      headers = cors.fields(request, headers)
    end
    return status, body, headers
  end
end

return front
