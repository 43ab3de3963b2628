-- groups.lua: who is to get what: everybody of a hub, a group, a user.
--
-- A session on a WebSocket subscribes to topics of its server, one for each
-- target and protocol: what is said to a target is published once. Others
-- (events, polls, stateful ones, which must keep what they send) are walked.

local groups = {}
groups.__index = groups

-- What the topics of a hub begin with; name: the same in every process.
function groups:call(name)
  self.name = name
  self.prefix = ("\0sr%d%s"):format(#name, name)
end

-- by_id: the sessions of the hub.
function groups.new(name, by_id)
  local self = setmetatable({ by_id = by_id, walked = {},
    servers = setmetatable({}, { __mode = "k" }) }, groups)
  self:call(name)
  return self
end

-- Sessions have come by this server.
function groups:serve(server)
  if server then self.servers[server] = true end
end

-- kind: "a" everybody, "g" a group, "u" a user, "p" whom a ping is due to.
local function topic_of(self, protocol, kind, target)
  return self.prefix .. protocol.name .. kind .. target
end

local function conn_of(session)
  local transport = session.transport
  return not session.replay and transport and transport.conn or nil
end

local function add(self, session, kind, target)
  local conn = conn_of(session)
  if conn then
    conn:subscribe(topic_of(self, session.protocol, kind, target))
    return
  end
  local key = kind .. target
  local set = self.walked[key]
  if not set then
    set = {}
    self.walked[key] = set
  end
  set[session] = true
end

local function remove(self, session, kind, target)
  local conn = conn_of(session)
  if conn then
    conn:unsubscribe(topic_of(self, session.protocol, kind, target))
    return
  end
  local key = kind .. target
  local set = self.walked[key]
  if not set then return end
  set[session] = nil
  if next(set) == nil then self.walked[key] = nil end
end

-- A session is open. beat: which of the pings is for it, nil: none.
function groups:enter(session, beat)
  session.targets = { a = true }
  add(self, session, "a", "")
  if session.user then
    session.targets["u" .. session.user] = true
    add(self, session, "u", session.user)
  end
  if beat then
    session.targets["p" .. beat] = true
    add(self, session, "p", beat)
  end
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
groups.check = check

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

-- hub.groups: of a connection by its id. True; or nil and "unknown
-- connection".
function groups:add(id, group)
  check(group, "add", 2)
  local session = self.by_id[id]
  if not session then return nil, "unknown connection" end
  return self:join(session, group, 2)
end

function groups:remove(id, group)
  check(group, "remove", 2)
  local session = self.by_id[id]
  if not session then return nil, "unknown connection" end
  return self:leave(session, group, 2)
end

local function publish(self, kind, target, protocol, record, except)
  local count, conns = 0, nil
  for session in pairs(except or {}) do
    local conn = conn_of(session)
    if conn then
      conns = conns or {}
      conns[#conns + 1] = conn
    end
  end
  local topic = topic_of(self, protocol, kind, target)
  for server in pairs(self.servers) do
    count = count + (server:publish(topic, record, protocol.kind,
      conns and { except = conns }) or 0)
  end
  return count
end

-- Sends to a target: records by protocol (those that are spoken), but not to
-- the sessions of `except`. To how many.
function groups:deliver(kind, target, records, except)
  local count = 0
  if next(self.servers) then
    for protocol, record in pairs(records) do
      count = count + publish(self, kind, target, protocol, record, except)
    end
  end
  local is_counted = kind ~= "p"
  for session in pairs(self.walked[kind .. target] or {}) do
    if not (except and except[session])
      and session:write(records[session.protocol], is_counted) then
      count = count + 1
    end
  end
  return count
end

return groups
