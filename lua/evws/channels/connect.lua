-- connect.lua: who a client is: its first command, tokens, and what ends when
-- they do.

local ws = require "evws"
local errors = require "evws.channels.errors"
local json = require "evws.channels.json"
local jwt = require "evws.channels.jwt"
local ours = require "evws.channels.ours"
local presence = require "evws.channels.presence"
local push = require "evws.channels.push"
local subscribe = require "evws.channels.subscribe"

local connect = {}

local longest_info = 2048

local identity = { data = true, expires = true, info = true,
  subscribe = true, user = true }

-- The claims of a connection's token; raises where it is none of ours.
local function read_token(app, token)
  local claims, why = jwt.verify(token, app.options.secret, os.time())
  if not claims then
    error(why == "expired" and errors.expired or errors.invalid_token, 0)
  end
  if claims.sub ~= nil and type(claims.sub) ~= "string"
    or claims.channel ~= nil then
    error(errors.invalid_token, 0)
  end
  return claims
end

-- What the client says of itself, and its token's claims.
local function introduce(client, fields)
  local app = client.app
  client.name = json.string_field(fields, "name") or ""
  client.version = json.string_field(fields, "version") or ""
  local headers = json.object_field(fields, "headers")
  client.headers = headers and json.value(fields.headers) or {}
  client.data = json.value(json.raw_field(fields, "data"))
  local token = json.string_field(fields, "token")
  if app.options.secret and token and token ~= "" then
    client.claims = read_token(app, token)
  end
end

local function names_of(list)
  local names = {}
  for _, name in ipairs(type(list) == "table" and list or {}) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  return names
end

-- What the application says, or the token: user, info, data, subscribe,
-- expires.
local function admit(client)
  local options, claims = client.app.options, client.claims
  local granted = {}
  if options.connect then
    granted = options.connect(client)
    if not granted then error(errors.unauthorized, 0) end
    if granted == true then granted = {} end
    if type(granted) ~= "table" then
      error("connect returned a " .. type(granted) .. " (a table expected)", 0)
    end
    errors.check_names("connect", granted, identity)
    local list = granted.subscribe
    if list ~= nil and type(list) ~= "table" then
      error("connect returned a subscribe that is no list of channels", 0)
    end
  elseif options.secret and not claims then
    error(errors.unauthorized, 0)
  end
  claims = claims or {}
  local function pick(name, claim)
    if granted[name] ~= nil then return granted[name] end
    return claims[claim or name]
  end
  return { user = pick("user", "sub") or "", info = pick "info",
    data = granted.data, expires = pick("expires", "exp"),
    subscribe = names_of(pick("subscribe", "channels")) }
end

local function settle(client, admitted)
  local user = admitted.user
  if type(user) ~= "string" or not utf8.len(user) then
    error("connect returned a user that is no text", 0)
  end
  client.user, client.info = user, admitted.info
  if client.info ~= nil then
    client.conn_info = json.encode(client.info, "info", 1)
    if #client.conn_info > longest_info then
      error(("info is longer than %d bytes"):format(longest_info), 0)
    end
  end
  client.info_text = presence.describe(client)
  client.expires = admitted.expires
end

-- ---- the reply ----

local function reply_of(client, admitted, replies, ttl)
  local options = client.app.options
  local parts = { ('"client":"%s","version":"evws %s"'):format(client.id,
    ws.version) }
  if ttl then parts[#parts + 1] = ('"expires":true,"ttl":%d'):format(ttl) end
  if admitted.data ~= nil then
    parts[#parts + 1] = '"data":' .. json.encode(admitted.data, "data", 1)
  end
  if replies[1] then
    parts[#parts + 1] = '"subs":{' .. table.concat(replies, ",") .. "}"
  end
  if options.ping then
    parts[#parts + 1] = ('"ping":%d'):format(options.ping)
    if options.pong then parts[#parts + 1] = '"pong":true' end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function open(client, fields, id)
  introduce(client, fields)
  local admitted = admit(client)
  client.request = nil
  if client.state ~= "connecting" then return end -- it has left
  settle(client, admitted)
  local ttl = subscribe.ttl_of(client.expires)
  local list = ours.find(client, admitted.subscribe, fields)
  if client.state ~= "connecting" then return end
  if not client.app:enter(client) then error(errors.too_many, 0) end
  local replies, joined = ours.join(client, list)
  client.state, client.was_open = "open", true
  client:write(push.reply(id, "connect", reply_of(client, admitted, replies,
    ttl)))
  client.app:beat(client)
  client:watch()
  for _, sub in ipairs(joined) do subscribe.enter(client, sub) end
end

-- The first command. Who is refused is told why, does nothing more, and goes;
-- or is closed a second later.
function connect.command(client, fields, id, is_over)
  client.state = "connecting"
  client.app.clock:drop(client)
  local ok, caught = false, errors.bad_request
  if not is_over then
    ok, caught = xpcall(open, errors.catch, client, fields, id)
  end
  client.request = nil
  if ok or client.state == "closed" then return end
  client:fail(id, caught)
  if client.state == "closing" then return end
  client.state = "refused"
  client.refusal = errors.is_error(caught) and caught.message
    or errors.refused.reason
  client.app.clock:set(client, 1)
end

-- ---- refresh ----

function connect.refresh(client, fields)
  local token = json.string_field(fields, "token")
  if not token or token == "" then errors.bad "a refresh without a token" end
  if not client.expires then errors.bad "nothing expires" end
  local app = client.app
  if not app.options.secret and not app.options.refresh then
    error(errors.invalid_token, 0) -- nobody can tell a right one
  elseif app.options.secret then
    local claims = read_token(app, token)
    if (claims.sub or client.user) ~= client.user then
      error(errors.invalid_token, 0)
    end
    client.claims = claims
  end
  local expires = client.claims and client.claims.exp
  if app.options.refresh then
    local granted = app.options.refresh(client)
    if not granted then error(errors.unauthorized, 0) end
    if type(granted) == "table" and granted.expires then
      expires = granted.expires
    end
  end
  client.expires = expires
  local ttl = subscribe.ttl_of(expires)
  client:watch()
  return ('{"client":"%s","version":"evws %s"%s}'):format(client.id,
    ws.version, ttl and (',"expires":true,"ttl":%d'):format(ttl) or "")
end

-- Ends what is over, connection or channels: true where it is the connection.
-- The grace begins where a refresh was to come.
function connect.expire(client)
  local before = os.time() - client.app.options.expiry_grace
  if client.expires and client.expires <= before then
    local over = errors.connection_expired
    client:finish(over.code, over.reason)
    return true
  end
  subscribe.expire(client, before)
end

return connect
