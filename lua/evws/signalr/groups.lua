-- groups.lua: who is to get what: everybody of a hub, a group, a user.
--
-- A session on a WebSocket subscribes to topics of its server, one for each
-- target and protocol: what is said to a target is published once. Others
-- (events, polls, stateful ones, which must keep what they send) are walked.

local spread = require "evws.signalr.spread"

local groups = {}
groups.__index = groups

-- What the topics of a hub begin with; name: the same in every process.
function groups:call(name)
  self.name = name
  self.prefix = ("\0sr%d%s"):format(#name, name)
end

function groups.new(name, hub)
  local self = setmetatable({ hub = hub, walked = {}, spaces = {},
    spread = hub.spread, servers = setmetatable({}, { __mode = "k" }),
    deserted = setmetatable({}, { __mode = "k" }) }, groups)
  self:call(name)
  return self
end

-- The servers that are published to: of those with one backplane only one, the
-- same for as long as it is there.
local function choose_spaces(self)
  local spaces, taken, far = {}, {}, self.spread.server
  local carrier = far and self.servers[far]
  if carrier then
    spaces[1], taken[carrier] = far, true
  else
    far = nil
  end
  for server, own in pairs(self.servers) do
    if not own or not taken[own] then
      spaces[#spaces + 1] = server
      if own then taken[own], far = true, far or server end
    end
  end
  self.spaces = spaces
  self.spread:use(far)
end

-- Requests have come by this server; carrier: of its topics, beyond it.
function groups:serve(server, carrier)
  if not server or self.servers[server] ~= nil or self.deserted[server] then
    return
  end
  self.servers[server] = carrier or false
  self.hub.is_deserted = false
  choose_spaces(self)
end

-- It begins to close.
function groups:desert(server)
  self.deserted[server] = true -- it may still have requests
  if self.servers[server] == nil then return end
  self.servers[server] = nil
  choose_spaces(self)
end

-- kind: "a" everybody, "g" a group, "u" a user, "p" whom a ping is due to.
local function topic_of(self, protocol, kind, target)
  return self.prefix .. protocol.name .. kind .. target
end

local function conn_of(session)
  local transport = session.transport
  return not session.replay and transport and transport.conn or nil
end

local here = { here = true }
-- From then on nothing that others say is missed.
local known = { wait = spread.known_within }

local function add(self, session, kind, target)
  local conn = conn_of(session)
  local topic = topic_of(self, session.protocol, kind, target)
  if conn then
    conn:subscribe(topic, kind == "p" and here
      or self.spread.is_on and known or nil)
    return
  end
  local key, protocol = kind .. target, session.protocol
  local set = self.walked[key]
  if not set then
    set = {}
    self.walked[key] = set
  end
  set[session] = true
  if kind == "p" then return end
  self.spread:want(topic, function(record)
    for one in pairs(self.walked[key] or {}) do
      if one.protocol == protocol then one:write(record, true) end
    end
  end)
end

local function remove(self, session, kind, target)
  local conn = conn_of(session)
  local topic = topic_of(self, session.protocol, kind, target)
  local key = kind .. target
  local set = self.walked[key]
  if conn then
    conn:unsubscribe(topic)
  elseif set and set[session] then
    set[session] = nil
    if next(set) == nil then self.walked[key] = nil end
    if kind ~= "p" then self.spread:ignore(topic) end
  end
end

-- A session is open. beat: which of the pings is for it, nil: none.
function groups:enter(session, beat)
  local user = session.user
  session.targets = { a = true }
  if user then session.targets["u" .. user] = true end
  if beat then
    session.targets["p" .. beat] = true
    add(self, session, "p", beat)
  end
  add(self, session, "a", "") -- may wait, and it may be over then
  if user and session.targets then add(self, session, "u", user) end
end

function groups:exit(session)
  for key in pairs(session.targets or {}) do
    remove(self, session, key:sub(1, 1), key:sub(2))
  end
  session.targets = nil
end

local function check(group, name, level)
  if type(group) ~= "string" or group == "" or #group > 1024 then
    error(("bad argument to '%s' (a group's name of 1 to 1024 bytes expected)")
      :format(name), level + 1)
  end
end

-- True; or nil and "closed". Joining twice is the same as once.
function groups:join(session, group, level)
  check(group, "join", level + 1)
  if not session.targets then return nil, "closed" end
  if not session.targets["g" .. group] then
    session.targets["g" .. group] = true
    add(self, session, "g", group)
  end
  return true
end

function groups:leave(session, group, level)
  check(group, "leave", level + 1)
  if not session.targets then return nil, "closed" end
  if session.targets["g" .. group] then
    session.targets["g" .. group] = nil
    remove(self, session, "g", group)
  end
  return true
end

-- One that is not here may be elsewhere.
function groups:of_id(verb, id, group)
  local session = self.hub:here(id)
  if session then return self[verb](self, session, group, 2) end
  if not self.spread.is_on then return nil, "unknown connection" end
  self.spread:group(verb, id, group)
  return true
end

-- hub.groups: of a connection by its id. True; or nil and "unknown
-- connection".
function groups:add(id, group)
  check(group, "add", 2)
  return self:of_id("join", id, group)
end

function groups:remove(id, group)
  check(group, "remove", 2)
  return self:of_id("leave", id, group)
end

local function publish(self, topic, record, kind, except, is_here)
  local count, options = 0, nil
  if except or is_here then
    options = { here = is_here or nil }
    for session in pairs(except or {}) do
      local conn = conn_of(session)
      if conn then
        options.except = options.except or {}
        table.insert(options.except, conn)
      end
    end
  end
  if self.spread.is_on then -- it is heard here too, and was walked already
    options = options or {}
    options.meta = self.spread.node
  end
  for _, server in ipairs(self.spaces) do
    count = count + (server:publish(topic, record, kind, options) or 0)
  end
  return count
end

local function deliver(self, kind, target, records, except, is_here)
  local count = 0
  for protocol, record in pairs(records) do
    count = count + publish(self, topic_of(self, protocol, kind, target),
      record, protocol.kind, except, is_here)
  end
  local is_counted = kind ~= "p"
  for session in pairs(self.walked[kind .. target] or {}) do
    local record = records[session.protocol]
    if record and not (except and except[session])
      and session:write(record, is_counted) then
      count = count + 1
    end
  end
  return count
end

-- Sends to a target: records by protocol, but not to the sessions of `except`,
-- nor to the ids of `far`, who are not here. To how many here.
function groups:deliver(kind, target, records, except, far)
  local is_named = far and far[1] and self.spread.is_on
  if is_named then self.spread:deliver(kind, target, far, records) end
  return deliver(self, kind, target, records, except,
    kind == "p" or is_named or false)
end

-- The same, to nobody elsewhere.
function groups:deliver_here(kind, target, records, except)
  return deliver(self, kind, target, records, except, true)
end

return groups
