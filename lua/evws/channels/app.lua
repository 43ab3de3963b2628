-- app.lua: an application: its clients and users, its routes, what it
-- publishes.

local ws = require "evws"
local client = require "evws.channels.client"
local clock = require "evws.signalr.clock"
local errors = require "evws.channels.errors"
local json = require "evws.channels.json"
local jwt = require "evws.channels.jwt"
local options = require "evws.channels.options"
local orders = require "evws.channels.orders"
local presence = require "evws.channels.presence"
local push = require "evws.channels.push"
local stats = require "evws.channels.stats"
local subscribe = require "evws.channels.subscribe"

local app = { __name = "evws.channels.app" }
app.__index = app

local ping_prefix = "\0cb"

-- From its options. Raises at the line `level` calls up.
function app.new(given, level)
  local read = options.read(given, level + 1)
  return setmetatable({ options = read, kept = read.rights:kept(),
    clock = clock.new(), clients = {}, n_clients = 0, users = {}, beats = 0,
    recovered = {}, n_recovered = 0,
    servers = setmetatable({}, { __mode = "k" }),
    counts = { connected = 0, ignored = 0, failures = 0 } }, app)
end

-- ---- the servers ----

local viewed = setmetatable({}, { __mode = "k" })

-- Does the server keep what the namespaces want kept?
local function check_kept(self, server)
  for _, rights in ipairs(self.options.rights.list) do
    if rights.history then
      local channel = rights.prefix and rights.prefix .. "x" or rights.pattern
      local list, why = server:history(channel, { limit = 0 })
      if not list and why == "not kept" then
        return ("namespace '%s' has a history, and the server keeps none "
          .. "(ws.listen { history = chat.kept, ... })"):format(rights.pattern)
      end
    end
  end
end

-- A server of which a connection has come. Nil, and what is wrong with it.
function app:attach(server)
  if self.servers[server] then return true end
  local why = check_kept(self, server)
  self.trouble = why
  if why then return nil, why end
  if self.servers[server] then return true end -- somebody was quicker
  if not viewed[server] then
    viewed[server] = true
    server:view(push.view_name, push.view,
      self.kept and { reset = push.reset })
    server:view(push.quiet_view, push.quiet)
  end
  self.servers[server] = server:stats().backplane and "shared" or "alone"
  for user, known in pairs(self.users) do
    orders.hear(server, user, known)
  end
  return true
end

-- Does it share its topics with other processes? Then a history is elsewhere.
function app:is_shared(server) return self.servers[server] == "shared" end

-- The same for the program, before anybody has come.
function app:serve(server)
  local ok, why = pcall(self.attach, self, server)
  if not ok then
    error("bad argument #1 to 'serve' (a server expected)", 2)
  elseif why ~= true then
    error(self.trouble, 2)
  end
  return server
end

-- To a topic that is not a channel's, on all servers.
function app:send_topic(topic, text, given)
  for server in pairs(self.servers) do
    server:publish(topic, text, "text", given)
  end
end

-- ---- time ----

local function check_epochs(self)
  if self.seen_epochs == push.n_epochs then return end
  self.seen_epochs = push.n_epochs
  for one in pairs(self.clients) do
    for channel, sub in pairs(one.subs) do
      if sub.is_ours and subscribe.is_stale(sub, channel) then
        one:finish(3010, "insufficient state")
        break
      end
    end
  end
end

-- A second has passed.
function app:tick()
  self.clock:tick()
  self.recovered, self.n_recovered = {}, 0
  check_epochs(self)
  local ping = self.options.ping
  if ping then
    self:send_topic(ping_prefix .. self.clock.now % ping, "{}", { here = true })
  end
end

-- Pings from now on, in a second of its own.
function app:beat(one)
  local ping = self.options.ping
  if not ping then return end
  self.beats = (self.beats + 1) % ping
  one.conn:subscribe(ping_prefix .. self.beats, { here = true })
end

function app:keep_recovered(key, text)
  if self.n_recovered >= 64 then self.recovered, self.n_recovered = {}, 0 end
  self.recovered[key], self.n_recovered = text, self.n_recovered + 1
end

-- ---- clients ----

local function new_id()
  return (jwt.encode_part(ws.random(16)))
end

local function open(self, conn)
  local request = conn.data
  local ok, why = self:attach(conn.server)
  if not ok then
    conn.data = nil
    conn:close(1011, "the server is set up wrongly")
    error(why, 0)
  end
  local one = client.new(self, conn, new_id(), request)
  conn.data = one
  self.clients[one] = true
  self.n_clients = self.n_clients + 1
  self.counts.connected = self.counts.connected + 1
  self.timer = self.timer or ws.every(1, function() self:tick() end)
  self.clock:set(one, self.options.connect_timeout)
end

local function receive(conn, text, kind)
  local one = conn.data
  if one then one:feed(text, kind) end
end

local function close(conn, code, reason)
  local one = conn.data
  if getmetatable(one) == client then one:ended(code, reason) end
end

-- Its user is known: false where the user has too many connections.
function app:enter(one)
  local known = self.users[one.user]
  local most = self.options.max_per_user
  if one.user == "" then return true end
  if known and most and known.n >= most then return false end
  if not known then
    known = { n = 0, clients = {}, hearers = {} }
    self.users[one.user] = known
    for server in pairs(self.servers) do
      orders.hear(server, one.user, known)
    end
  end
  known.clients[one], known.n = true, known.n + 1
  return true
end

function app:forget(one)
  if not self.clients[one] then return end
  self.clients[one] = nil
  self.n_clients = self.n_clients - 1
  local known = one.user and self.users[one.user]
  if known and known.clients[one] then
    known.clients[one], known.n = nil, known.n - 1
    if known.n == 0 then
      for _, hearer in ipairs(known.hearers) do hearer:cancel() end
      self.users[one.user] = nil
    end
  end
  if self.n_clients == 0 then
    self.clock:clear()
    if self.timer then self.timer:cancel() end
    self.timer = nil
  end
end

-- ---- what is called of the application ----

-- Where there was no memory it is a string of Lua: errors.catch was not called.
function app:report(conn, caught)
  self.counts.failures = self.counts.failures + 1
  local report, text = self.options.on_error, caught.text or tostring(caught)
  local trace = caught.traceback or text
  ws.spawn(function()
    if not report then error(trace, 0) end
    report(conn, text, trace)
  end)
end

-- A handler that is told: what it raises is the application's alone.
function app:call(name, one, ...)
  local fn = self.options[name]
  if not fn then return end
  ws.spawn(function(...)
    local ok, caught = xpcall(fn, errors.catch, one, ...)
    if not ok then self:report(one.conn, caught) end
  end, ...)
end

-- ---- the routes ----

local function judge(self, request)
  for _, name in ipairs(request.subprotocols) do
    if name == "centrifuge-protobuf" then
      return 400, "this server speaks JSON only\n"
    end
  end
  if self.trouble then return 500 end
  return { data = request }
end

function app:routes(path)
  if type(self) == "string" then
    error("call app:routes, not app.routes", 2)
  elseif type(path) ~= "string" or path:sub(1, 1) ~= "/" then
    error("bad argument #1 to 'routes' (a path expected)", 2)
  end
  local read = self.options
  return { [path] = {
    on_upgrade = function(request) return judge(self, request) end,
    on_open = function(conn) open(self, conn) end,
    on_message = receive, on_close = close,
    origins = read.origins, subprotocols = {},
    max_message = read.max_message, concurrency = 1,
    on_full = "close", idle_timeout = false,
    keepalive_interval = 25, keepalive_timeout = 33,
    compression = read.compression or false,
    message_rate = read.message_rate or false,
    max_lifetime = read.max_lifetime or false,
    on_error = read.on_error,
  } }
end

-- ---- publishing ----

-- The same result as server:publish has.
function app:publish_text(server, rights, channel, text, meta, wait)
  return server:publish(channel, text, "text", { meta = meta,
    wait = rights.history and wait or nil })
end

local function rights_of(self, channel, name, level)
  client.check_channel(channel, name, level + 1)
  local rights = self.options.rights:find(channel)
  if not rights then
    error(("no namespace has the channel '%s'"):format(channel), level + 1)
  end
  return rights
end

local function check_options(given, name, known, level)
  for option in pairs(given) do
    if not known[option] then
      error(("unknown option '%s' for '%s'"):format(tostring(option), name),
        level + 1)
    end
  end
end

local publish_options = { tags = true, wait = true }

function app:publish(channel, value, given)
  local rights = rights_of(self, channel, "publish", 2)
  given = given or {}
  check_options(given, "publish", publish_options, 2)
  local text = json.encode(value, "a publication", 2)
  local tags = given.tags and json.encode(given.tags, "tags", 2)
  if self.trouble then error(self.trouble, 2) end
  local first, second = nil, "no server"
  for server in pairs(self.servers) do
    first, second = self:publish_text(server, rights, channel, text,
      push.meta(nil, tags), given.wait)
  end
  return first, second
end

local function any_server(self) return (next(self.servers)) end

local history_options = { since = true, limit = true, reverse = true }

local function read_message(one)
  local meta = one.meta and json.decode(one.meta) or {}
  return { offset = one.offset, data = json.decode(one.message),
    info = meta.info, tags = meta.tags }
end

function app:history(channel, given)
  rights_of(self, channel, "history", 2)
  given = given or {}
  check_options(given, "history", history_options, 2)
  local server = any_server(self)
  if not server then return nil, "no server" end
  local list, at = server:history(channel, given)
  if not list then return nil, at end
  local read = {}
  for _, one in ipairs(list) do
    local message = read_message(one)
    if message.data ~= nil then read[#read + 1] = message end
  end
  return read, at
end

function app:reset(channel)
  rights_of(self, channel, "reset", 2)
  local ok, why = nil, "no server"
  for server in pairs(self.servers) do ok, why = server:reset(channel) end
  return ok, why
end

function app:presence(channel)
  rights_of(self, channel, "presence", 2)
  local server = any_server(self)
  if not server then return nil, "no server" end
  local known, why = presence.of(server, channel)
  if not known then return nil, why end
  local list = {}
  for id, text in pairs(known) do
    local info = json.decode(text)
    list[id] = { user = info.user, info = info.conn_info,
      channel_info = info.chan_info }
  end
  return list
end

-- ---- all connections of a user, wherever they are ----

function app:disconnect(user, code, reason)
  client.check_code(code, "disconnect", 2, 3000, 4999, 2)
  client.check_reason(reason, "disconnect", 3, 2)
  local ok = orders.give(self, "disconnect", user, { code = code,
    reason = reason }, 2)
  return ok
end

function app:unsubscribe(user, channel, code, reason)
  rights_of(self, channel, "unsubscribe", 2)
  client.check_code(code, "unsubscribe", 3, 2000, 2999, 2)
  client.check_reason(reason, "unsubscribe", 4, 2)
  local ok = orders.give(self, "unsubscribe", user, { channel = channel,
    code = code, reason = reason }, 2)
  return ok
end

function app:subscribe(user, channel, given)
  rights_of(self, channel, "subscribe", 2)
  local grant = subscribe.read_grant(given, 3, 2)
  grant.channel = channel
  local ok = orders.give(self, "subscribe", user, grant, 2)
  return ok
end

function app:send(user, value)
  local ok = orders.give(self, "send", user, { data = value }, 2)
  return ok
end

app.stats, app.metrics = stats.of, stats.text

return app
