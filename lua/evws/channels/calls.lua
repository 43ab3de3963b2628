-- calls.lua: what a connection in Lua asks of its server, and waits for: each
-- returns what was answered; or nil, what is wrong, and the server's code.

local ws = require "evws"
local check_channel = require "evws.channels.client".check_channel
local connect_options = require "evws.channels.connect_options"
local json = require "evws.channels.json"
local subscription = require "evws.channels.subscription"
local values = require "evws.values"

local calls = {}

local null = values.null

-- Waits until it is connected: true; or nil and why not.
function calls:ready(seconds)
  if self.state == "connected" then return true end
  if self.state == "closed" then return nil, "closed", self.code end
  local queue = ws.queue(1)
  self.waiting[#self.waiting + 1] = queue
  local got, why = queue:take(seconds)
  if not got then return nil, why end
  return table.unpack(got, 1, got.n)
end

-- Sends a request, on the next connection where this one is just going: its
-- id; or nil and why not.
local function ask(self, last, name, fields, done)
  while true do
    local ok, problem, code = self:ready(math.max(last - ws.now(), 0))
    if not ok then return nil, problem, code end
    local id, why = self:ask(name, fields, done)
    if id or why ~= "closed" then return id, why end
  end
end

-- The reply's fields; or nil, what is wrong, and its code.
local function call(self, name, fields)
  local last, queue = ws.now() + self.options.timeout, ws.queue(1)
  local id, problem, code = ask(self, last, name, fields, function(reply, err)
    queue:put(err and { err = err } or { reply = reply })
  end)
  if not id then return nil, problem, code end
  self.events:asks(true)
  local got, why = queue:take(math.max(last - ws.now(), 0))
  self.events:asks(false)
  if not got then
    self.pending[id] = nil
    return nil, why
  end
  if got.err then return nil, got.err.message, got.err.code end
  return got.reply
end

local function of_channel(channel, rest)
  return '{"channel":' .. json.text(channel) .. (rest or "") .. "}"
end

function calls:publish_text(channel, text)
  local reply, why, code = call(self, "publish", of_channel(channel,
    ',"data":' .. text))
  if not reply then return nil, why, code end
  return true
end

function calls:publish(channel, value)
  check_channel(channel, "publish", 2)
  local text = json.encode(value, "a publication", 2)
  local ok, why, code = self:publish_text(channel, text)
  return ok, why, code
end

function calls:read_history(channel, options, level)
  local fields = connect_options.history_fields(options, json.text, level + 1)
  local reply, why, code = call(self, "history", of_channel(channel, fields))
  if not reply then return nil, why, code end
  local list = reply.publications or {}
  for _, one in ipairs(list) do
    if one.data == null then one.data = nil end
  end
  return list, { offset = reply.offset or 0, epoch = reply.epoch }
end

function calls:history(channel, options)
  check_channel(channel, "history", 2)
  local list, at, code = self:read_history(channel, options, 2)
  return list, at, code
end

function calls:presence(channel)
  check_channel(channel, "presence", 2)
  local reply, why, code = call(self, "presence", of_channel(channel))
  if not reply then return nil, why, code end
  return reply.presence or {}
end

function calls:presence_stats(channel)
  check_channel(channel, "presence_stats", 2)
  local reply, why, code = call(self, "presence_stats", of_channel(channel))
  if not reply then return nil, why, code end
  return { clients = reply.num_clients or 0, users = reply.num_users or 0 }
end

local function check_method(method, name)
  if type(method) ~= "string" or not utf8.len(method) then
    error(("bad argument #1 to '%s' (text expected)"):format(name), 3)
  end
end

function calls:rpc(method, value)
  check_method(method, "rpc")
  local reply, why, code = call(self, "rpc", ('{"method":%s,"data":%s}'):format(
    json.text(method), json.encode(value, "data", 2)))
  if not reply then return nil, why, code end
  if reply.data == nil then return null end
  return reply.data
end

-- Without an answer, and never waits.
function calls:send(value)
  local text = json.encode(value, "a message", 2)
  if self.state ~= "connected" then return nil, "closed" end
  local ok, why = self.conn:send('{"send":{"data":' .. text .. "}}")
  return ok, why
end

function calls:subscribe(channel, given)
  check_channel(channel, "subscribe", 2)
  local options = connect_options.read_subscription(given, 2)
  local data_text = options.data ~= nil
    and json.encode(options.data, "data", 2) or nil
  if self.state == "closed" then return nil, "closed", self.code end
  if self.subscriptions[channel] then
    return nil, "already subscribed", 105
  end
  local sub = subscription.new(self, channel, options)
  sub.data_text = data_text
  self.subscriptions[channel] = sub
  if not options.wait then
    ws.spawn(sub.ask, sub)
    return sub
  end
  local ok, why, code = sub:enter(self.options.timeout)
  return ok, why, code
end

return calls
