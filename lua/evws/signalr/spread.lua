-- spread.lua: a hub in several processes, which share the topics of their
-- servers (a backplane). What is said to all, a group or a user are topics, so
-- WebSockets elsewhere get it without any Lua; for clients that are walked
-- their process hears the same topics. What names a connection elsewhere goes
-- by a topic of the hub, as a command, and so do results.

local ws = require "evws"
local errors = require "evws.signalr.errors"
local messagepack = require "evws.messagepack"
local results = require "evws.signalr.results"

local spread = {}
spread.__index = spread

spread.known_within = 2 -- seconds that Redis may take

local patience = 30 -- seconds, for a result that nobody has bounded

function spread.new(hub)
  return setmetatable({ hub = hub, node = ws.random(8), is_on = false,
    heard = {}, awaited = {}, last_call = 0 }, spread)
end

-- ---- what is heard ----

-- fn(message) for what others publish to a topic; ends with `ignore`.
local function listen(self, topic, fn)
  return self.server:hear(topic, function(message, _, about)
    if about.meta ~= self.node then fn(message) end
  end)
end

local function ignore() end

-- May wait: until Redis knows of it, so that nothing that others say is missed
-- from then on.
function spread:want(topic, fn)
  local one = self.heard[topic] or { n = 0, fn = fn }
  self.heard[topic] = one
  one.n = one.n + 1
  if not self.is_on then return end
  if one.n == 1 then one.hearer = listen(self, topic, fn) end
  local known = self.server:hear(topic, ignore, { wait = spread.known_within })
  if known then known:cancel() end
end

function spread:ignore(topic)
  local one = self.heard[topic]
  one.n = one.n - 1
  if one.n > 0 then return end
  self.heard[topic] = nil
  if one.hearer then one.hearer:cancel() end
end

-- Topics go beyond this process by this server from now on; nil: they do not.
function spread:use(server)
  if self.server == server then return end
  self.server, self.is_on = server, server ~= nil
  if self.commands then self.commands:cancel() end
  self.commands = server and listen(self, self:topic(), function(message)
    self:take(message)
  end)
  for topic, one in pairs(self.heard) do
    if one.hearer then one.hearer:cancel() end
    one.hearer = server and listen(self, topic, one.fn)
  end
end

-- ---- commands ----

function spread:topic() return self.hub.groups.prefix .. "c" end

local function tell(self, command)
  self.server:publish(self:topic(), messagepack.encode(command,
    { max_depth = self.hub.options.max_depth + 4 }), "binary",
    { meta = self.node })
end

-- Strings of the application may be any bytes.
local function binaries(list)
  local copy = {}
  for i, text in ipairs(list) do copy[i] = messagepack.binary(text) end
  return copy
end

-- Records by protocol as what they are called by, and back.
local function by_name(records)
  local named = {}
  for protocol, record in pairs(records) do
    named[protocol.name] = messagepack.binary(record)
  end
  return messagepack.map(named)
end

local function by_protocol(self, named)
  local records = {}
  for name, record in pairs(named) do
    local protocol = self.hub.protocols[name]
    if protocol then records[protocol] = record end
  end
  return records
end

-- To those with these ids, who are not here.
function spread:send(ids, records)
  tell(self, { "send", binaries(ids), by_name(records) })
end

-- To a target elsewhere, but not to these ids.
function spread:deliver(kind, target, ids, records)
  tell(self, { "deliver", kind, messagepack.binary(target), binaries(ids),
    by_name(records) })
end

-- verb: "join" or "leave", of a connection elsewhere.
function spread:group(verb, id, group)
  tell(self, { verb, messagepack.binary(id), messagepack.binary(group) })
end

-- ---- results ----

local function or_null(value)
  if value == nil then return messagepack.null end
  return value
end

local function or_nil(value)
  if value ~= messagepack.null then return value end
end

-- As results.invoke, of a connection elsewhere.
function spread:invoke(id, target, args, n, seconds, level)
  local list = {}
  for i = 1, n do list[i] = or_null(args[i]) end
  for _, protocol in pairs(self.hub.protocols) do
    local record, why, i, where = protocol.invocation("1", target, args, n)
    if not record then
      error(errors.of_argument(i + 1, "invoke", why, where), level + 1)
    end
  end
  seconds = math.min(seconds or patience, 1e6)
  self.last_call = self.last_call + 1
  local call, queue = self.last_call, ws.queue(1)
  self.awaited[call] = queue
  tell(self, { "invoke", messagepack.binary(self.node), call,
    messagepack.binary(id), target, n, list, seconds })
  local answer, why = queue:take(seconds)
  self.awaited[call] = nil
  if not answer then return nil, why end
  if answer.why ~= messagepack.null then return nil, answer.why end
  return or_nil(answer.value)
end

local function invoke_here(self, node, call, session, target, n, list, seconds)
  local args = {}
  for i = 1, n do args[i] = or_nil(list[i]) end
  local ok, value, why = pcall(results.invoke, session, target, args, n,
    seconds, 1)
  if not ok then value, why = nil, "the call cannot be sent" end
  local answer = { "result", messagepack.binary(node), call, or_null(why),
    or_null(value) }
  local is_sent = pcall(tell, self, answer)
  if is_sent then return end
  answer[4], answer[5] = "the result cannot be passed on", messagepack.null
  tell(self, answer)
end

-- ---- what others command ----

local takes = {}

function takes:send(ids, named)
  local records = by_protocol(self, named)
  for _, id in ipairs(ids) do
    local session = self.hub:here(id)
    if session and session.protocol then
      session:write(records[session.protocol], true)
    end
  end
end

function takes:deliver(kind, target, ids, named)
  local except = {}
  for _, id in ipairs(ids) do
    local session = self.hub:here(id)
    if session then except[session] = true end
  end
  self.hub.groups:deliver_here(kind, target, by_protocol(self, named), except)
end

function takes:join(id, group)
  local session = self.hub:here(id)
  if session then self.hub.groups:join(session, group, 1) end
end

function takes:leave(id, group)
  local session = self.hub:here(id)
  if session then self.hub.groups:leave(session, group, 1) end
end

function takes:invoke(node, call, id, target, n, list, seconds)
  local session = self.hub:here(id)
  if not session or not session.protocol then return end
  invoke_here(self, node, call, session, target, n, list, seconds)
end

function takes:result(node, call, why, value)
  local queue = node == self.node and self.awaited[call]
  if queue then queue:put { why = why, value = value } end
end

-- What is no command of ours is ignored: topics are open to whoever has the
-- backplane.
function spread:take(message)
  local command = messagepack.decode(message,
    { max_depth = self.hub.options.max_depth + 4 })
  local fn = type(command) == "table" and takes[command[1]]
  if fn then pcall(fn, self, table.unpack(command, 2)) end
end

return spread
