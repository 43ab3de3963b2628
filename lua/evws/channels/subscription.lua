-- subscription.lua: a channel of a connection in Lua: into it, again when the
-- connection is back, and out of it.
--
-- Its position is that of what has been read: it moves with each publication.

local ws = require "evws"
local backoff = require "evws.channels.backoff"
local json = require "evws.channels.json"
local tokens = require "evws.channels.token"
local values = require "evws.values"

local subscription = { __name = "evws.channels.subscription" }
subscription.__index = subscription

local null = values.null
local nowhere = "_" -- an epoch that no channel has
local longest_ttl = 1e7 -- seconds that a timer waits

-- is_ours: the server has said so, not the program.
function subscription.new(connection, channel, options, is_ours)
  local self = setmetatable({ connection = connection, channel = channel,
    options = options, state = "subscribing", by_server = is_ours or false,
    backoff = backoff.new(connection.options.reconnect or backoff.usual) },
    subscription)
  local from = options.recover
  if from then self.offset, self.epoch = from.offset or 0, from.epoch or "" end
  return self
end

-- ---- handlers ----

local function is_here(self)
  return self.connection.subscriptions[self.channel] == self
end

-- Who is out hears nothing but that.
local function handler_of(name)
  return function(event)
    local self = event[1]
    if not is_here(self) and name ~= "on_unsubscribed" then return nil end
    return self.options[name] or self.connection.options[name]
  end
end

local wanted = {}
for _, name in ipairs { "on_publication", "on_join", "on_leave",
  "on_subscribed", "on_unsubscribed" } do
  wanted[name] = handler_of(name)
end

local function tell(self, name, ...)
  self.connection.events:add(wanted[name], self, ...)
end

-- Whoever waits for it to be in.
local function wake(self, ...)
  local queue = self.waiting
  self.waiting = nil
  if queue then queue:put(table.pack(...)) end
end

-- ---- what comes ----

local function take(self, publication)
  if publication.offset then self.offset = publication.offset end
  if publication.data == null then publication.data = nil end
  tell(self, "on_publication", publication)
end

function subscription:publication(publication)
  if self.state == "subscribed" then take(self, publication) end
end

function subscription:presence_event(name, fields)
  if self.state == "subscribed" then tell(self, name, fields.info or {}) end
end

-- The reply to a subscribe, or the server's word.
function subscription:subscribed(reply)
  self.state = "subscribed"
  self.last_error = nil
  self.epoch = reply.epoch
  self.offset = reply.epoch and (reply.offset or 0)
  local data = reply.data
  if data == null then data = nil end
  tell(self, "on_subscribed", { data = data,
    recovered = reply.recovered or false,
    was_recovering = reply.was_recovering or false })
  for _, publication in ipairs(reply.publications or {}) do
    take(self, publication)
  end
  if reply.expires and reply.ttl then self:expires_in(reply.ttl) end
  self.backoff:reset()
  wake(self, self)
end

-- ---- into it ----

local function again(self, seconds)
  if self.timer then return end
  self.timer = ws.after(seconds, function()
    self.timer = nil
    if is_here(self) and self.state == "subscribing" then self:ask() end
  end)
end

local function refused(self, err)
  self.last_error, self.asked = err, nil
  if err.code == 109 then self.is_token_old = true end
  if not err.code then return end -- lost: when the connection is back
  local has_getter = type(self.options.token) == "function"
  if err.temporary or err.code == 109 and has_getter then
    if self.connection.options.reconnect then
      return again(self, self.backoff:next())
    end
  end
  self:over(err.code, err.message)
end

-- Its token: text or nil; false where there is none; raises nothing.
local function token_of(self)
  local given = self.options.token
  if type(given) ~= "function" then return given end
  return tokens.ask(self.connection, given, self)
end

local function fields_of(self, token)
  local options = self.options
  local parts = { '{"channel":' .. json.text(self.channel) }
  if token then parts[#parts + 1] = '"token":' .. json.text(token) end
  if self.data_text then parts[#parts + 1] = '"data":' .. self.data_text end
  if options.join_leave then parts[#parts + 1] = '"join_leave":true' end
  if self.epoch then
    parts[#parts + 1] = ('"recover":true,"offset":%d,"epoch":%s'):format(
      self.offset, json.text(self.epoch))
  end
  return table.concat(parts, ",") .. "}"
end

-- Asks the server, if there is one; else it is asked when there is.
function subscription:ask()
  local connection = self.connection
  local conn = connection.conn
  if connection.state ~= "connected" or self.asked == conn then return end
  self.asked = conn -- whoever opened it has asked, or the program: once
  local token, why = token_of(self)
  if connection.conn ~= conn or not is_here(self)
    or connection.state ~= "connected" then
    return
  end
  if token == false then
    return refused(self, why)
  end
  connection:ask("subscribe", fields_of(self, token), function(reply, err)
    if not is_here(self) then return end
    if err then return refused(self, err) end
    self:subscribed(reply)
  end, true)
end

-- Waits until it is in: itself; or nil, what is in the way, and its code.
function subscription:enter(seconds)
  local queue = ws.queue(1)
  self.waiting = queue
  if self.state == "subscribing" then self:ask() end
  local events = self.connection.events
  events:asks(true)
  local got, why = queue:take(seconds)
  events:asks(false)
  if got then return table.unpack(got, 1, got.n) end
  local err = why == "timeout" and self.last_error or { message = why }
  self.waiting = nil
  self:leave()
  return nil, err.message, err.code
end

-- ---- an end that is put off ----

function subscription:expires_in(ttl)
  local token, connection = self.options.token, self.connection
  if type(token) ~= "function" then return end
  local conn = connection.conn
  conn:after(math.min(ttl, longest_ttl), function()
    local text, why = token_of(self)
    if connection.conn ~= conn or not is_here(self) then return end
    local function failed(err)
      if not err.code or not is_here(self) then return end
      if err.temporary then return self:expires_in(self.backoff:next()) end
      self:leave()
      tell(self, "on_unsubscribed", err.code, err.message)
    end
    if text == false then return failed(why) end
    connection:ask("sub_refresh", ('{"channel":%s,"token":%s}'):format(
      json.text(self.channel), json.text(text)), function(reply, err)
        if err then return failed(err) end
        if reply.expires and reply.ttl then self:expires_in(reply.ttl) end
      end, true)
  end)
end

-- ---- out of it ----

-- It is lost with its connection, and asks again with the next.
function subscription:lost(is_position_lost)
  if self.timer then self.timer:cancel() end
  self.timer, self.state, self.asked = nil, "subscribing", nil
  if is_position_lost and self.epoch then
    self.offset, self.epoch = 0, nowhere
  end
end

local function remove(self)
  self:lost()
  self.state = "unsubscribed"
  self.connection.subscriptions[self.channel] = nil
end

-- For good. Who waits for it to be in is told, and nobody else.
function subscription:over(code, reason)
  if not is_here(self) then return end
  remove(self)
  if self.waiting then return wake(self, nil, reason, code) end
  tell(self, "on_unsubscribed", code, reason)
end

-- By the server: from 2500 on it is to come back.
function subscription:ended(code, reason)
  if code < 2500 or self.by_server then return self:over(code, reason) end
  self:lost(code == 2502)
  again(self, 0)
end

-- By the program.
function subscription:leave()
  local connection = self.connection
  remove(self)
  if connection.state ~= "connected" then return end
  connection:ask("unsubscribe", ('{"channel":%s}'):format(
    json.text(self.channel)), function(_, err)
      if err and err.code then connection:drop(err.message) end
    end, true)
end

-- ---- for the program ----

function subscription:unsubscribe()
  if not is_here(self) then return nil, "not subscribed" end
  self:leave()
  if self.waiting then wake(self, nil, "unsubscribed", 0) end
  tell(self, "on_unsubscribed", 0, "unsubscribed")
  return true
end

function subscription:publish(value)
  local text = json.encode(value, "a publication", 2)
  local ok, why, code = self.connection:publish_text(self.channel, text)
  return ok, why, code
end

function subscription:history(options)
  local list, at, code = self.connection:read_history(self.channel, options, 2)
  return list, at, code
end

function subscription:presence()
  return self.connection:presence(self.channel)
end

function subscription:presence_stats()
  return self.connection:presence_stats(self.channel)
end

function subscription:__tostring()
  return ("evws.channels.subscription: %s (%s)"):format(self.channel,
    self.state)
end

return subscription
