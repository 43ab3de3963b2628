-- clients.lua: proxies: whom a message is for. A proxy may be kept. What is
-- sent is encoded once for each protocol that is spoken in the hub.

local dispatch = require "evws.signalr.dispatch"
local errors = require "evws.signalr.errors"
local results = require "evws.signalr.results"

local clients = {}

local proxy = { __name = "evws.signalr.proxy" }
proxy.__index = proxy

local function check_target(target, name, level)
  if type(target) ~= "string" or target == "" or not utf8.len(target) then
    error(("bad argument #1 to '%s' (a method's name expected)"):format(name),
      level + 1)
  end
end

-- The record for each protocol in use; others, elsewhere, may use any. Raises
-- at the caller's line, with nothing sent.
local function encode(hub, target, args, n, level)
  local records = {}
  local function add(protocol)
    local record, why, i, where = protocol.invocation(nil, target, args, n)
    if not record then
      error(errors.of_argument(i + 1, "send", why, where), level + 2)
    end
    records[protocol] = record
  end
  if hub.spread.is_on or not next(hub.speakers) then -- it fails for nobody, too
    for _, protocol in pairs(hub.protocols) do add(protocol) end
  else
    for protocol in pairs(hub.speakers) do add(protocol) end
  end
  return records
end

-- Sends; never waits. Returns to how many sessions.
function proxy:send(target, ...)
  check_target(target, "send", 2)
  local hub = self.hub
  local records = encode(hub, target, { ... }, select("#", ...), 2)
  local count = 0
  if self.sessions then
    local list, far = self.sessions()
    for _, session in ipairs(list) do
      if session.protocol and session:write(records[session.protocol], true)
      then
        count = count + 1
      end
    end
    if far[1] and hub.spread.is_on then hub.spread:send(far, records) end
    return count
  end
  local except, far
  if self.except then except, far = self.except() end
  for _, to in ipairs(self.targets) do
    count = count + hub.groups:deliver(self.kind, to, records, except, far)
  end
  return count
end

-- Awaits the client's result.
function proxy:invoke(target, ...)
  check_target(target, "invoke", 2)
  if not self.is_single then
    error("only :client(id) and .caller can be asked for a result", 2)
  end
  dispatch.before_result(2)
  local list, far = self.sessions()
  local session, n = list[1], select("#", ...)
  local result, why = nil, "closed"
  if session and session.protocol then
    result, why = results.invoke(session, target, { ... }, n, self.seconds, 2)
  elseif far[1] and self.hub.spread.is_on then
    result, why = self.hub.spread:invoke(far[1], target, { ... }, n,
      self.seconds, 2)
  end
  return result, why -- no tail call: errors are of the caller's line
end

-- The same proxy, whose invoke waits so long at most.
function proxy:within(seconds)
  if type(seconds) ~= "number" or seconds < 0 or seconds ~= seconds then
    error("bad argument #1 to 'within' (seconds expected)", 2)
  end
  local copy = {}
  for name, value in pairs(self) do copy[name] = value end
  copy.seconds = seconds
  return setmetatable(copy, proxy)
end

local function new(fields) return setmetatable(fields, proxy) end

local function strings(list, name)
  if type(list) ~= "table" then
    error(("bad argument #1 to '%s' (a list expected)"):format(name), 3)
  end
  local copy, seen = {}, {}
  for _, value in ipairs(list) do
    if type(value) ~= "string" then
      error(("bad argument #1 to '%s' (a list of strings expected)"):format(
        name), 3)
    end
    if not seen[value] then copy[#copy + 1] = value end
    seen[value] = true
  end
  return copy
end

local function one(value, name)
  if type(value) ~= "string" then
    error(("bad argument #1 to '%s' (string expected, got %s)"):format(name,
      type(value)), 3)
  end
  return { value }
end

-- The sessions with these ids, when they are asked for, as a list or a set; and
-- the ids of nobody here.
local function by_ids(hub, ids)
  return function()
    local list, far = {}, {}
    for _, id in ipairs(ids) do
      local session = hub:here(id)
      if session then list[#list + 1] = session else far[#far + 1] = id end
    end
    return list, far
  end
end

local function all_but(hub, ids)
  return function()
    local set, far = {}, {}
    for _, id in ipairs(ids) do
      local session = hub:here(id)
      if session then set[session] = true else far[#far + 1] = id end
    end
    return set, far
  end
end

local nobody = {}

local everybody = { "" }

local methods = {}
methods.__index = methods

function methods:all_except(ids)
  return new { hub = self.hub, kind = "a", targets = everybody,
    except = all_but(self.hub, strings(ids, "all_except")) }
end

function methods:client(id)
  return new { hub = self.hub, is_single = true,
    sessions = by_ids(self.hub, one(id, "client")) }
end

function methods:clients(ids)
  return new { hub = self.hub,
    sessions = by_ids(self.hub, strings(ids, "clients")) }
end

function methods:group(group)
  return new { hub = self.hub, kind = "g", targets = one(group, "group") }
end

-- Who is in two of them gets it twice.
function methods:groups(list)
  return new { hub = self.hub, kind = "g", targets = strings(list, "groups") }
end

function methods:group_except(group, ids)
  if type(ids) ~= "table" then
    error("bad argument #2 to 'group_except' (a list expected)", 2)
  end
  return new { hub = self.hub, kind = "g",
    targets = one(group, "group_except"), except = all_but(self.hub, ids) }
end

function methods:user(user)
  return new { hub = self.hub, kind = "u", targets = one(user, "user") }
end

function methods:users(list)
  return new { hub = self.hub, kind = "u", targets = strings(list, "users") }
end

local function of_hub(hub)
  return { hub = hub, all = new { hub = hub, kind = "a",
    targets = everybody } }
end

function clients.new(hub)
  return setmetatable(of_hub(hub), methods)
end

local function others_in_group(self, group)
  local caller = self.session
  return new { hub = self.hub, kind = "g",
    targets = one(group, "others_in_group"),
    except = function() return { [caller] = true } end }
end

-- Those of a hub, and who is seen from the session that calls.
function clients.of_caller(session)
  local self = of_hub(session.hub)
  self.session = session
  self.caller = new { hub = session.hub, is_single = true,
    sessions = function() return { session }, nobody end }
  self.others = new { hub = session.hub, kind = "a", targets = everybody,
    except = function() return { [session] = true } end }
  self.others_in_group = others_in_group
  return setmetatable(self, methods)
end

return clients
