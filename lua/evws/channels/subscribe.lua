-- subscribe.lua: into a channel and out of it: rights, positions, what was
-- missed.

local option_table = require "evws.option_table"
local errors = require "evws.channels.errors"
local json = require "evws.channels.json"
local jwt = require "evws.channels.jwt"
local presence = require "evws.channels.presence"
local push = require "evws.channels.push"
local ws = require "evws"

local count_field, string_field = json.count_field, json.string_field

local subscribe = {}

-- Seconds that Redis may take: after 5 a client drops its connection.
subscribe.patience = 3

-- ---- may it? ----

-- The claims of a channel's token: of this channel and this user.
function subscribe.read_token(client, channel, token)
  local secret = client.app.options.secret
  if not secret or not token or token == "" then error(errors.denied, 0) end
  local claims, why = jwt.verify(token, secret, os.time())
  if not claims then
    error(why == "expired" and errors.expired or errors.denied, 0)
  end
  if claims.channel ~= channel or (claims.sub or "") ~= client.user then
    error(errors.denied, 0)
  end
  return claims
end

local granted = { data = true, expires = true, info = true }

-- What a namespace's `subscribe` grants: { info =, data =, expires = }.
local function grant_of(client, channel, rights, request)
  local right = rights.subscribe
  if right == true then return {} end
  if right == false then error(errors.denied, 0) end
  if right == "token" then
    local claims = subscribe.read_token(client, channel, request.token)
    return { info = claims.info, expires = claims.exp }
  end
  local grant = right(client, channel, request)
  if not grant then error(errors.denied, 0) end
  if type(grant) ~= "table" then return {} end
  errors.check_names("subscribe", grant, granted)
  return grant
end
subscribe.grant_of = grant_of

-- The rights of a channel, whose name comes from a client.
function subscribe.rights_of(client, channel)
  local options = client.app.options
  if #channel > options.max_channel then error(errors.bad_request, 0) end
  return options.rights:find(channel) or error(errors.unknown_channel, 0)
end

-- Was it told to come back, as the channel has another epoch now?
function subscribe.is_stale(sub, channel)
  local epoch = push.epochs[channel]
  return epoch ~= nil and sub.epoch ~= nil and sub.epoch ~= epoch
end

local insufficient = 2500

local function check_place(client, channel)
  local sub = client.subs[channel]
  if sub and not subscribe.is_stale(sub, channel) then
    error(errors.subscribed, 0)
  elseif sub then
    subscribe.leave(client, sub, insufficient)
  end
  if client.n_subs >= client.app.options.max_subscriptions then
    error(errors.limit, 0)
  end
end

-- Seconds that are left, where there is an end.
local function ttl_of(expires)
  if not expires then return nil end
  local ttl = math.ceil(expires - os.time())
  if ttl <= 0 then error(errors.expired, 0) end
  return ttl
end
subscribe.ttl_of = ttl_of

-- ---- what was missed ----

-- Publications as JSON; of a cache the last alone.
local function publications(missed, is_cache)
  local list = {}
  for i = #missed, 1, -1 do
    local one = missed[i]
    local text = push.publication(one.message, one.kind, one.offset, one.meta)
    list[#list + 1] = text
    if text and is_cache then break end
  end
  for i = 1, #list // 2 do
    list[i], list[#list + 1 - i] = list[#list + 1 - i], list[i]
  end
  return "[" .. table.concat(list, ",") .. "]"
end
subscribe.publications = publications

-- The same for all who come back from one place to another: it is made once.
local function recovered_text(app, channel, since, found, is_cache)
  local key = ("%d %d %s %s"):format(since, found.offset, found.epoch, channel)
  local text = app.recovered[key]
  if not text then
    text = publications(found.missed, is_cache)
    app:keep_recovered(key, text)
  end
  return text
end

-- Where a channel with a history is, and what was missed since request.offset.
local function position(sub, request, found)
  if not found.offset then return "" end
  local app, rights = sub.client.app, sub.rights
  local top = { '"recoverable":true,"positioned":true,"epoch":',
    json.text(found.epoch), ',"offset":' }
  local since = sub.since
  if since and found.recovered
    and #found.missed <= app.options.max_recovered then
    top[#top + 1] = ('%d,"recovered":true,"publications":'):format(since)
    top[#top + 1] = recovered_text(app, sub.channel, since, found, rights.cache)
  else
    top[#top + 1] = ("%d"):format(found.offset)
  end
  if request.recover then top[#top + 1] = ',"was_recovering":true' end
  return table.concat(top)
end

-- Of a cache: everybody is given the last publication, whatever came before.
local function cached_since(sub, request)
  local conn, channel = sub.client.conn, sub.channel
  local server = conn.server
  if sub.client.app:is_shared(server) then -- it is known here, or soon
    conn:subscribe(channel, { view = push.quiet_view, recover = {},
      wait = math.max(sub.till - ws.now(), 0) })
  end
  local list, at = server:history(channel, { limit = 1, reverse = true })
  if not list then error(errors.internal, 0) end
  local last = list[1]
  if not last then return at.offset, at.epoch end
  if request.recover and request.epoch == at.epoch
    and request.offset == last.offset then
    return last.offset, at.epoch
  end
  return last.offset - 1, at.epoch
end

local function recover_option(sub, request)
  if not sub.rights.history then return nil end
  local since, epoch
  if sub.rights.cache then
    since, epoch = cached_since(sub, request)
  elseif request.recover and not request.is_beyond then
    since, epoch = request.offset, request.epoch
  end
  sub.since = since
  return { offset = since, epoch = epoch }
end

-- ---- joining ----

local function make_reply(sub, request, found)
  local parts = {}
  local where = position(sub, request, found)
  if where ~= "" then parts[1] = where end
  if sub.ttl then
    parts[#parts + 1] = ('"expires":true,"ttl":%d'):format(sub.ttl)
  end
  if sub.data_text then parts[#parts + 1] = '"data":' .. sub.data_text end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function hears_joins(rights, request)
  return rights.join_leave == "always"
    or rights.join_leave and request.join_leave or false
end

-- The topics of a channel that Redis has to know of, in front of `list`; where
-- there is a history that is a matter of the channel's place.
function subscribe.topics(list, channel, rights, request)
  if hears_joins(rights, request) then
    list[#list + 1] = push.join_prefix .. channel
  end
  if not rights.history then list[#list + 1] = channel end
end

-- With a backplane: who is told that it is in misses nothing of what others
-- publish from then on, in any process. Redis is to know of the topics first;
-- until then the client has them in a view that sends nothing. At most so many
-- seconds, and while it is wanted.
function subscribe.reach(client, topics, seconds, is_wanted)
  local conn, till = client.conn, ws.now() + seconds
  for _, topic in ipairs(topics) do
    conn:subscribe(topic, { view = push.quiet_view })
  end
  for _, topic in ipairs(topics) do
    if not is_wanted() then return end
    conn:subscribe(topic, { view = push.quiet_view,
      wait = math.max(till - ws.now(), 0) })
  end
end

local function reach(sub, request)
  local client, channel, topics = sub.client, sub.channel, {}
  sub.till = ws.now() + subscribe.patience
  if request.is_reached or not client.app:is_shared(client.conn.server) then
    return true
  end
  local function is_wanted() return client.subs[channel] == sub end
  subscribe.topics(topics, channel, sub.rights, request)
  subscribe.reach(client, topics, subscribe.patience, is_wanted)
  return is_wanted()
end

-- Without a history nothing comes between: it is joined when it has subscribed.
local function enroll(sub, request, joined)
  if not reach(sub, request) then return end
  local conn, channel = sub.client.conn, sub.channel
  local recover = recover_option(sub, request)
  local who = presence.option(sub.client, sub)
  if recover then
    return assert(conn:subscribe(channel, { view = push.view_name,
      recover = recover, joined = joined, presence = who,
      wait = math.max(sub.till - ws.now(), 0) }))
  end
  assert(conn:subscribe(channel, { view = push.view_name, presence = who }))
  joined {}
end

local function leave_topics(client, sub)
  client.conn:unsubscribe(sub.channel)
  if sub.hears_joins then
    client.conn:unsubscribe(push.join_prefix .. sub.channel)
  end
end

-- request: { recover =, offset =, epoch =, join_leave =, is_beyond =,
-- is_reached =, is_asked = (by the client) };
-- tell(reply) is called at the moment of joining, before anything of the
-- channel is sent. is_beyond: nothing can be there that it was told of.
function subscribe.join(client, channel, rights, grant, request, tell)
  check_place(client, channel)
  local sub = { client = client, channel = channel, rights = rights,
    expires = grant.expires, ttl = ttl_of(grant.expires),
    hears_joins = hears_joins(rights, request), is_asked = request.is_asked }
  sub.info_text = presence.channel_info(grant.info)
  if grant.data ~= nil then
    sub.data_text = json.encode(grant.data, "data of a channel", 1)
  end
  client.subs[channel], client.n_subs = sub, client.n_subs + 1
  local function joined(found)
    if client.subs[channel] ~= sub then return end
    sub.epoch = found.epoch
    tell(make_reply(sub, request, found))
    sub.is_joined = true
  end
  local ok, why = pcall(enroll, sub, request, joined)
  local now = client.subs[channel]
  if now ~= sub then -- ended meanwhile
    if not now then
      leave_topics(client, sub)
    elseif not now.is_joined then
      client.conn:subscribe(channel, { view = push.quiet_view })
    end
    if client.state == "closed" or sub.is_joined then return nil end
    error(errors.internal, 0)
  end
  if not ok or not sub.is_joined then
    client.subs[channel], client.n_subs = nil, client.n_subs - 1
    leave_topics(client, sub)
    if client.state == "closed" then return nil end
    error(getmetatable(why) and why or errors.internal, 0)
  end
  if sub.hears_joins then
    client.conn:subscribe(push.join_prefix .. channel,
      { view = push.view_name })
  end
  return sub
end

-- Behind the reply.
function subscribe.enter(client, sub)
  if sub.expires then client:watch() end
  sub.is_told = true
  client.app:call("on_subscribed", client, sub.channel)
end

local function read_request(request)
  if json.raw_field(request, "tf") then error(errors.bad_request, 0) end
  local kind = json.integer_field(request, "type")
  if kind and kind ~= 0 then error(errors.not_available, 0) end
  json.integer_field(request, "flag")
  local epoch = string_field(request, "epoch")
  return { token = string_field(request, "token"), is_asked = true,
    recover = json.flag_field(request, "recover"),
    join_leave = json.flag_field(request, "join_leave"),
    offset = count_field(request, "offset") or 0,
    epoch = epoch ~= "" and epoch or nil,
    raw_data = json.raw_field(request, "data") }
end

function subscribe.command(client, fields, channel, id)
  local request = read_request(fields)
  local rights = subscribe.rights_of(client, channel)
  check_place(client, channel)
  if type(rights.subscribe) == "function" then
    request.data = json.value(request.raw_data)
  end
  local grant = grant_of(client, channel, rights, request)
  if client.state ~= "open" then return nil end
  local sub = subscribe.join(client, channel, rights, grant, request,
    function(reply) client:write(push.reply(id, "subscribe", reply)) end)
  if sub then subscribe.enter(client, sub) end
  return nil -- it is told
end

local by_application = { name = "subscribe", defaults = {}, checks = {
  data = option_table.any, expires = option_table.is_type "number",
  info = option_table.any } }

-- What the application gives along, checked; n: which argument it is. Raises at
-- the line `level` calls up.
function subscribe.read_grant(given, n, level)
  if given ~= nil and type(given) ~= "table" then
    error(("bad argument #%d to 'subscribe' (table expected, got %s)"):format(n,
      type(given)), level + 1)
  end
  local read = option_table.read(given or {}, by_application, level + 1)
  return read
end

-- By the application, with what read_grant gives: true; or nil and what is in
-- the way.
function subscribe.by_server(client, channel, grant, level)
  local rights = client.app.options.rights:find(channel)
  if not rights then
    error(("no namespace has the channel '%s'"):format(channel), level + 1)
  end
  if client.subs[channel] then return true end
  local ok, sub = pcall(subscribe.join, client, channel, rights, grant,
    { join_leave = true }, function(reply)
      client:write(push.of(channel, "subscribe", reply))
    end)
  if not ok then
    if errors.is_error(sub) then return nil, sub.message end
    error(sub, level + 1)
  end
  if not sub then return nil, "closed" end
  sub.is_ours = true
  subscribe.enter(client, sub)
  return true
end

-- ---- leaving ----

function subscribe.leave(client, sub, code)
  local channel = sub.channel
  client.subs[channel], client.n_subs = nil, client.n_subs - 1
  leave_topics(client, sub)
  if sub.is_told then
    client.app:call("on_unsubscribed", client, channel, code)
  end
end

local leave = subscribe.leave
local by_client, by_disconnect = 0, 1

function subscribe.unsubscribe(client, _, channel)
  local sub = client.subs[channel]
  if sub then leave(client, sub, by_client) end
  return "{}"
end

-- By the server: the client is told why. True; or nil and "not subscribed".
function subscribe.ended(client, channel, code, reason)
  local sub = client.subs[channel]
  if not sub then return nil, "not subscribed" end
  leave(client, sub, code)
  if sub.is_joined or sub.is_asked then -- or it knows nothing of it
    client:write(push.of(channel, "unsubscribe",
      ('{"code":%d,"reason":%s}'):format(code, json.text(reason))))
  end
  return true
end

function subscribe.leave_all(client)
  local list = {}
  for _, sub in pairs(client.subs) do list[#list + 1] = sub end
  for _, sub in ipairs(list) do leave(client, sub, by_disconnect) end
end

-- ---- an end that is put off ----

function subscribe.refresh(client, fields, channel)
  local sub = client.subs[channel]
  if not sub then error(errors.denied, 0) end
  local rights, token = sub.rights, string_field(fields, "token")
  if not sub.expires then errors.bad "a channel that does not expire" end
  local grant
  if rights.subscribe == "token" or rights.subscribe == true then
    local claims = subscribe.read_token(client, channel, token)
    grant = { info = claims.info, expires = claims.exp }
  else
    grant = grant_of(client, channel, rights, { token = token,
      is_refresh = true })
  end
  sub.expires, sub.ttl = grant.expires, ttl_of(grant.expires)
  if not sub.ttl then return "{}" end
  client:watch()
  return ('{"expires":true,"ttl":%d}'):format(sub.ttl)
end

-- Those whose time is over.
function subscribe.expire(client, before)
  local over = {}
  for channel, sub in pairs(client.subs) do
    if sub.expires and sub.expires <= before then over[#over + 1] = channel end
  end
  for _, channel in ipairs(over) do
    subscribe.ended(client, channel, 2501, "expired")
  end
end

return subscribe
