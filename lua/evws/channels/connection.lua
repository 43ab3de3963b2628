-- connection.lua: a client in Lua, which comes back and has what it missed.
--
-- Each attempt is a ws.connect of its own, as it goes by the protocol's codes
-- and errors whether there is a next one. What comes of an older attempt is not
-- listened to: each has its conn, and `self.conn` is that of now.
--
-- states: "connecting", at first and between two attempts; "connected";
-- "closed".

local ws = require "evws"
local backoff = require "evws.channels.backoff"
local calls = require "evws.channels.calls"
local connect_options = require "evws.channels.connect_options"
local events = require "evws.channels.events"
local incoming = require "evws.channels.incoming"
local json = require "evws.channels.json"
local subscription = require "evws.channels.subscription"
local token = require "evws.channels.token"
local values = require "evws.values"

local connection = { __name = "evws.channels.connection" }
connection.__index = connection
connection.slack = 10 -- seconds that a ping may be late
for name, fn in pairs(calls) do connection[name] = fn end

local null = values.null
local gmatch = string.gmatch
local longest_asked = 3600 -- seconds that a server may ask for

local lost = { message = "lost" } -- it may have been done

-- ---- handlers ----

local function wanted_of(name)
  return function(event) return event[1].options[name] end
end

local on_connected = wanted_of "on_connected"
local on_disconnected = wanted_of "on_disconnected"
local on_message = wanted_of "on_message"

-- ---- the end, and the next attempt ----

-- Of closes: the client is not to come back.
local function is_final(code)
  return code == 1009 or code >= 3500 and code < 4000 or code >= 4500
end

-- Would the same request be answered otherwise a little later?
local function is_passing(status)
  return status == 101 or status >= 500 or status == 404 or status == 408
    or status == 425 or status == 429
end

local function wake(self, ...)
  local waiting = self.waiting
  self.waiting = {}
  for _, queue in ipairs(waiting) do queue:put(table.pack(...)) end
end

-- Whatever hangs on the connection is told that it is gone.
local function let_go(self)
  local conn, pending = self.conn, self.pending
  self.conn, self.pending = nil, {}
  if self.timer then self.timer:cancel() end
  self.timer = nil
  for _, one in pairs(pending) do one.done(nil, lost) end
  return conn
end

-- For good. code: of a Close, or of the error that connect was answered with.
function connection:finish(code, reason)
  if self.state == "closed" then return end
  self.state, self.code, self.reason = "closed", code, reason
  self.last_conn = let_go(self)
  if self.last_conn then self.last_conn:close(1000) end
  self.events:add(on_disconnected, self, code, reason)
  for _, sub in pairs(self.subscriptions) do sub:over(code, reason) end
  self.events:let_go()
  wake(self, nil, reason, code)
  self.over:close()
end

local dial

local function asked_for(response)
  if not response or response.status ~= 429 and response.status ~= 503 then
    return 0
  end
  local seconds = tonumber(response.headers["retry-after"] or "") or 0
  return math.min(math.max(seconds, 0), longest_asked)
end

-- The connection of this moment is gone, and another is to come, if that can
-- help.
local function left(self, code, reason, response)
  if self.state == "closed" then return end
  local status = response and response.status or 101
  if is_final(code) or not is_passing(status) or not self.options.reconnect
    or self.is_first_awaited then
    return self:finish(status ~= 101 and status or code, reason)
  end
  local lasted = self.connected_at and ws.now() - self.connected_at or 0
  if lasted > (self.backoff.delay or 0) then self.backoff:reset() end
  self.state, self.connected_at = "connecting", nil
  let_go(self)
  self.events:let_go()
  if code == 3014 then self.token = nil end
  for _, sub in pairs(self.subscriptions) do sub:lost(code == 3014) end
  self.events:add(on_disconnected, self, code, reason)
  local seconds = math.max(self.backoff:next(), asked_for(response))
  self.timer = ws.after(seconds, function()
    self.timer = nil
    dial(self)
  end)
end

-- Ends the connection of this moment by oneself, for another.
function connection:abandon(code, reason)
  local conn = self.conn
  if not conn then return end
  self.conn = nil
  conn:close(1000)
  left(self, code, reason)
end

function connection:drop(reason) self:abandon(1006, reason) end

-- ---- requests ----

-- Asks: an id; or nil and why nothing was sent. done(reply, err) is called once
-- then, err being { code =, message =, temporary = }, without code where that
-- is not the server's word. Whoever has to be answered is vital: without an
-- answer in time the connection is none.
function connection:ask(name, fields, done, is_vital)
  local id, conn = self.last_id + 1, self.conn
  self.last_id = id
  local ok, why = conn:send(('{"id":%d,"%s":%s}'):format(id, name, fields))
  if not ok then
    if why == "closed" then -- and its end is about to be told
      self.state = "connecting"
    elseif is_vital then
      self:drop(why)
    end
    return nil, why
  end
  self.pending[id] = { done = done }
  if is_vital then
    conn:after(self.options.timeout, function()
      if self.conn == conn and self.pending[id] then
        self:drop("no answer to " .. name)
      end
    end)
  end
  return id
end

-- ---- connect ----

-- Pings come, or there is nobody any more.
local function listen_for_pings(self, reply)
  self.answers_pings = reply.pong
  if not reply.ping or reply.ping <= 0 then return end
  local conn, most = self.conn, reply.ping + self.slack
  conn:every(most / 2, function()
    if self.conn == conn and ws.now() - self.heard > most then
      self:drop "no ping"
    end
  end)
end

-- Channels that the server has put us into; those of before that it has not
-- are over.
local function enter_ours(self, replies)
  for channel, sub in pairs(self.subscriptions) do
    if sub.by_server and not replies[channel] then
      sub:over(2000, "server unsubscribe")
    end
  end
  for channel, reply in pairs(replies) do self:entered(channel, reply) end
end

local function opened(self, reply)
  self.state, self.id, self.connected_at = "connected", reply.client, ws.now()
  self.is_first_awaited = nil
  listen_for_pings(self, reply)
  if reply.expires and reply.ttl then token.refresh_in(self, reply.ttl) end
  local data = reply.data
  if data == null then data = nil end
  self.events:add(on_connected, self, data)
  enter_ours(self, reply.subs or {})
  local own = {}
  for _, sub in pairs(self.subscriptions) do
    if not sub.by_server then own[#own + 1] = sub end
  end
  for _, sub in ipairs(own) do
    if type(sub.options.token) == "function" then
      ws.spawn(sub.ask, sub)
    else
      sub:ask()
    end
  end
  wake(self, true)
end

local function past_of(self)
  local list = {}
  for channel, sub in pairs(self.subscriptions) do
    if sub.by_server and sub.epoch then
      list[#list + 1] = ('%s:{"recover":true,"offset":%d,"epoch":%s}'):format(
        json.text(channel), sub.offset, json.text(sub.epoch))
    end
  end
  return list
end

local function say_who(self, conn)
  local text, why = token.of(self)
  if self.conn ~= conn then return end
  if text == false then return token.refused(self, why) end
  local options = self.options
  local parts = { '{"name":' .. json.text(options.name) .. ',"version":'
    .. json.text(options.version or ws.version) }
  if text then parts[#parts + 1] = '"token":' .. json.text(text) end
  if self.data_text then parts[#parts + 1] = '"data":' .. self.data_text end
  local past = past_of(self)
  if past[1] then
    parts[#parts + 1] = '"subs":{' .. table.concat(past, ",") .. "}"
  end
  self:ask("connect", table.concat(parts, ",") .. "}", function(reply, err)
    if err then return token.refused(self, err) end
    opened(self, reply)
  end, true)
end

-- ---- what comes ----

function connection:entered(channel, reply)
  local sub = self.subscriptions[channel]
  if sub and not sub.by_server then return end
  if not sub then
    sub = subscription.new(self, channel, {}, true)
    self.subscriptions[channel] = sub
  end
  sub:subscribed(reply)
end

local pushes = {}

function pushes.pub(_, sub, fields)
  if sub then sub:publication(fields) end
end

function pushes.join(_, sub, fields)
  if sub then sub:presence_event("on_join", fields) end
end

function pushes.leave(_, sub, fields)
  if sub then sub:presence_event("on_leave", fields) end
end

function pushes.subscribe(self, _, fields, channel)
  self:entered(channel, fields)
end

function pushes.unsubscribe(_, sub, fields)
  if sub then sub:ended(fields.code or 2000, fields.reason or "") end
end

function pushes.message(self, _, fields)
  local data = fields.data
  if data == null then data = nil end
  self.events:add(on_message, self, data)
end

function pushes.disconnect(self, _, fields)
  self:abandon(fields.code or 3000, fields.reason or "")
end

local function push(self, message)
  for name, fn in pairs(pushes) do
    local fields = message[name]
    if fields then
      local channel = message.channel
      return fn(self, channel and self.subscriptions[channel], fields, channel)
    end
  end
end

local function replied(self, message)
  local one = self.pending[message.id]
  if not one then return end
  self.pending[message.id] = nil
  local err = message.error
  if err then
    return one.done(nil, { code = err.code or 100,
      message = err.message or "", temporary = err.temporary })
  end
  for name, reply in pairs(message) do
    if name ~= "id" then return one.done(reply) end
  end
  one.done {}
end

local function take(self, line)
  local message = incoming.read(line)
  if not message then
    return self:finish(1002, "what came is none of the protocol's messages")
  elseif message.id then
    replied(self, message)
  elseif message.push then
    push(self, message.push)
  elseif next(message) == nil and self.answers_pings then
    self.conn:send "{}"
  end
end

local function receive(self, conn, text)
  self.heard = ws.now()
  for line in gmatch(text, "[^\r\n]+") do
    if self.conn ~= conn then return end
    take(self, line)
  end
  self.events:wait(function() return self.conn == conn end)
end

function dial(self)
  local why
  self.conn, why = ws.connect(self.url, self.dialing)
  if not self.conn then left(self, 1006, why) end
end

local function dialing(self)
  local options = self.options
  local given = {
    timeout = 30,
    on_open = function(conn)
      if self.conn == conn then say_who(self, conn) end
    end,
    on_message = function(conn, text)
      if self.conn == conn then receive(self, conn, text) end
    end,
    on_close = function(conn, code, reason)
      if self.conn == conn then
        left(self, code, reason, conn.response)
      end
    end,
  }
  for _, name in ipairs(connect_options.passed) do
    given[name] = options[name]
  end
  return given
end

-- ---- for the program ----

-- From its URL and options. Raises at the line `level` calls up. Waits until it
-- is connected, unless on_connected is told.
function connection.new(url, given, level)
  local options = connect_options.read(given, level + 1)
  local data_text = options.data ~= nil
    and json.encode(options.data, "data", level + 1) or nil
  local on_error = options.on_error
  local self = setmetatable({ url = url, options = options, last_id = 0,
    pending = {}, subscriptions = {}, waiting = {},
    state = "connecting", data_text = data_text, heard = ws.now(),
    backoff = backoff.new(options.reconnect), over = ws.queue(1),
    is_first_awaited = not options.on_connected }, connection)
  self.events = events.new(options.receive_queue, on_error
    and function(...) on_error(self, ...) end)
  self.dialing = dialing(self)
  local ok, why = pcall(dial, self)
  if not ok then error((tostring(why):gsub("^[^:]*:%d+: ", "")), level + 1) end
  if options.on_connected then return self end
  local is_there, message, code = self:ready(nil)
  if is_there then return self end
  self:finish(code or 1000, message)
  return nil, message, code
end

function connection:close()
  self:finish(1000, "closed")
  return true
end

connection.__close = connection.close

function connection:wait(seconds)
  if self.state ~= "closed" then
    local _, why = self.over:take(seconds)
    if why ~= "closed" then return nil, why end
  end
  if self.last_conn then self.last_conn:wait(seconds) end
  return self.code, self.reason
end

function connection:__tostring()
  return ("evws.channels.connection: %s (%s)"):format(self.id or "new",
    self.state)
end

return connection
