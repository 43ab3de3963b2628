-- hub.lua: a hub: its options and methods, its sessions, what they are told
-- together.

local ws = require "evws"
local clients = require "evws.signalr.clients"
local clock = require "evws.signalr.clock"
local dispatch = require "evws.signalr.dispatch"
local errors = require "evws.signalr.errors"
local events = require "evws.signalr.events"
local front = require "evws.signalr.front"
local groups = require "evws.signalr.groups"
local json = require "evws.signalr.json"
local messagepack = require "evws.signalr.messagepack"
local option_table = require "evws.option_table"
local options = require "evws.signalr.options"
local polling = require "evws.signalr.polling"
local session = require "evws.signalr.session"
local spread = require "evws.signalr.spread"
local stats = require "evws.signalr.stats"
local token = require "evws.signalr.token"
local websockets = require "evws.signalr.websockets"
local worker = require "evws.signalr.worker"

local hub = { __name = "evws.signalr.hub" }
hub.__index = hub

local makers = { json = json.new, messagepack = messagepack.new }

-- From its options. Raises at the line `level` calls up.
function hub.new(given, level)
  local read, methods = options.read(given, level + 1)
  local self = setmetatable({ options = read, methods = methods,
    spelled = {}, simple = {}, slots = read.parallel_invocations,
    n_waiting = 0, send = false,
    protocols = {}, speakers = {},
    by_token = {}, by_id = {}, n_sessions = 0, tokens = false,
    clock = clock.new(), beat = 0, n_new = 0, leaving = {},
    is_closing = false, is_deserted = false,
    transports = read.transports, offers = {},
    counts = { invocations = 0, failures = 0, ignored = 0, records_in = 0,
      records_out = 0, bytes_in = 0, bytes_out = 0, items_in = 0,
      items_out = 0, sessions = 0 } }, hub)
  for _, method in pairs(methods) do
    self.spelled[method.name] = method
    if method.is_simple then -- as core.short_call takes it
      self.simple[method.name] = { method.fn, method.least, method.name }
    end
  end
  for _, name in ipairs(read.protocols) do
    self.protocols[name] = makers[name](read.max_depth,
      read.max_record or nil)
  end
  for _, protocol in pairs(self.protocols) do
    protocol.short, protocol.counted = dispatch.short(self, protocol)
  end
  for _, name in ipairs(read.transports) do self.offers[name] = true end
  self.has_only_websockets = #read.transports == 1 and self.offers.WebSockets
    and not read.stateful_reconnect
  self.spread = spread.new(self)
  self.groups = groups.new(read.name or "", self)
  self.clients = clients.new(self)
  self.beats = read.keepalive_interval and math.ceil(read.keepalive_interval)
  return self
end

-- ---- time ----

-- Seconds between two looks at every session, where they are more than so many.
local look, many = 10, 1000

-- A second has passed: the clock, and the pings of those whose turn it is.
function hub:tick()
  self.clock:tick()
  stats.tell(self, self.n_sessions <= many or self.clock.now % look == 0)
  if self.beats then
    local records = {}
    for protocol in pairs(self.speakers) do
      records[protocol] = protocol.ping
    end
    self.groups:deliver("p", tostring(self.clock.now % self.beats), records)
  end
end

function hub:rest()
  if self.timer then self.timer:cancel() end
  self.timer = nil
  stats.tell(self, true)
end

-- ---- sessions ----

local function add(self, id, name, user, is_stateful)
  local one = session.new(self, id, name, user)
  one.is_stateful = is_stateful or nil
  self.by_token[name], self.by_id[id] = one, one
  self.n_sessions, self.n_new = self.n_sessions + 1, self.n_new + 1
  self.counts.sessions = self.counts.sessions + 1
  self.timer = self.timer or ws.every(1, function() self:tick() end)
  return one
end

-- The tokens of the hub, once it has a name.
function hub:token()
  if not self.tokens then
    self.tokens = token.new(self.groups.name, self.options.secret
      or worker.secret)
  end
  return self.tokens
end

-- A new one, for a user or for nobody. is_stateful: both sides want that.
function hub:session(user, is_stateful)
  return add(self, token.new_id(), token.new_id(), user, is_stateful)
end

-- What a negotiation promises: a session, or, where tokens are signed, only its
-- id and token; { id =, token = }. The server waits for who comes with it.
function hub:promise(user, is_stateful, version, server)
  local tokens = self:token()
  if not tokens.secret then
    local one = self:session(user, is_stateful)
    if version == 0 then self:rename(one, one.id) end
    return one
  end
  local id = token.new_id()
  local name = tokens:make(id, user, is_stateful and "stateful"
    or version == 0 and "old" or "plain", self.options.disconnect_timeout)
  if server and not self.has_only_websockets then
    worker.expect(self, server, self.options.disconnect_timeout)
  end
  return { id = version == 0 and name or id, token = name }
end

-- The session of a connection that is here, and has shaken hands.
function hub:here(id)
  local one = self.by_id[id]
  return one and one.protocol and one or nil
end

-- The session that a token has promised; nil where it is too late, or another
-- one began with it.
function hub:adopt(told)
  if not self:token():use(told) then return nil end
  local one = add(self, told.id, told.name, told.user, told.is_stateful)
  one.is_promised = token.is_ours(told) or nil
  return one
end

-- Found by another token from now on.
function hub:rename(one, name)
  self.by_token[one.token] = nil
  one.token = name
  self.by_token[name] = one
end

-- It has shaken hands: from now on it gets what is sent to all.
function hub:opened(one)
  if one.is_promised then worker.kept(self) end
  self.speakers[one.protocol] = (self.speakers[one.protocol] or 0) + 1
  local beat
  if self.beats and one.transport.wants_pings ~= false then
    self.beat = (self.beat + 1) % self.beats
    beat = tostring(self.beat)
  end
  self.groups:enter(one, beat)
end

-- Nobody finds it any more.
function hub:forget(one)
  if self.by_token[one.token] ~= one then return end
  self.by_token[one.token], self.by_id[one.id] = nil, nil
  self.n_sessions = self.n_sessions - 1
  if one.state == "new" then self.n_new = self.n_new - 1 end
  if self.n_sessions > 0 then return end
  self.clock:clear()
  self:rest()
end

function hub:closed(one)
  self.clock:drop(one)
  self.groups:exit(one)
  local protocol = one.protocol
  if not protocol then return end
  local left = self.speakers[protocol] - 1
  self.speakers[protocol] = left > 0 and left or nil
end

-- ---- where it is served ----

hub.serve = { ServerSentEvents = events.serve, LongPolling = polling.serve }

local function is_path(path)
  return type(path) == "string" and path:sub(1, 1) == "/"
end

-- The routes of a path, for ws.listen or server:route.
function hub:routes(path)
  if type(self) == "string" then
    error("call hub:routes, not hub.routes", 2)
  elseif not is_path(path) then
    error("bad argument #1 to 'routes' (a path expected)", 2)
  end
  if self.groups.name == "" then self.groups:call(path) end
  local origins = self.options.origins
  local function closing(server, seconds) self:retire(server, seconds) end
  self.page = self.page or function() return self:metrics() end
  local route = { origins = origins, on_closing = closing,
    on_metrics = self.page, -- one of the hub, however many routes it has
    on_request = front.handler(self, false),
    upgrade_timeout = self.options.poll_timeout + 10 }
  websockets.fill(self, route)
  if not self.offers.WebSockets then
    route.on_upgrade = function() return 404 end
  end
  return { [path] = route, [path .. "/negotiate"] = { origins = origins,
    on_request = front.handler(self, true),
    on_upgrade = function() return 404 end } }
end

function hub:mount(server, path)
  if type(server) ~= "userdata" then
    error("bad argument #1 to 'mount' (a server expected)", 2)
  elseif not is_path(path) then
    error("bad argument #2 to 'mount' (a path expected)", 2)
  end
  for pattern, route in pairs(self:routes(path)) do
    local ok, why = server:route(pattern, route)
    if not ok then return nil, why end
  end
  return server
end

-- ---- the end ----

local batch, step = 100, 0.1 -- sessions at a time, seconds between

-- Close records to these sessions, a batch at a time, over so many seconds at
-- most: they may come back, but not all at once.
local function farewell(sessions, seconds, allow_reconnect)
  local steps = #sessions / batch
  local pause = math.min(step, seconds / math.max(steps, 1))
  for i, one in ipairs(sessions) do
    one:finish(nil, allow_reconnect, "the server closes")
    if i % batch == 0 then ws.sleep(pause) end
  end
end

local function sessions_of(self, server)
  local list = {}
  for _, one in pairs(self.by_token) do
    local conn = one.transport and one.transport.conn
    if not server or not conn or conn.server == server then
      list[#list + 1] = one
    end
  end
  return list
end

-- Is nobody let in any more?
function hub:is_leaving() return self.is_closing or self.is_deserted end

-- A server of the hub begins to close.
function hub:retire(server, seconds)
  self.groups:desert(server)
  self.is_deserted = not next(self.groups.servers)
  farewell(sessions_of(self, server), seconds * 0.8, true)
end

local closing = { name = "close",
  defaults = { timeout = 10, allow_reconnect = true },
  checks = { timeout = function(value)
    return value == 0 or option_table.is_seconds(value), "seconds"
  end, allow_reconnect = option_table.is_type "boolean" } }

-- Says Close to everybody, in batches, and waits until all are told.
function hub:close(given)
  if given ~= nil and type(given) ~= "table" then
    error(("bad argument #1 to 'close' (table expected, got %s)"):format(
      type(given)), 2)
  end
  local read = option_table.read(given or {}, closing, 2)
  self.is_closing = true
  farewell(sessions_of(self), read.timeout / 4, read.allow_reconnect)
  return true
end

hub.stats, hub.metrics = stats.of, stats.text

-- An error of a method or hook, unless it was raised on purpose.
function hub:report(one, caught)
  if errors.is_deliberate(caught) then return end
  local report = self.options.on_error
  local text = errors.text_of(caught)
  local trace = type(caught) == "table" and caught.traceback or text
  ws.spawn(function()
    if not report then error(trace, 0) end
    report(one.transport and one.transport.conn, text, trace)
  end)
end

return hub
