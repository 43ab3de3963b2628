-- client.lua: one client: frames to commands, commands to their functions, and
-- its end.
--
-- Commands of one channel are done one after the other, those of different
-- channels side by side, up to `parallel` of them; up to `max_commands` wait
-- for that, then reading does.

local ws = require "evws"
local core = require "evws.core"
local commands = require "evws.channels.commands"
local connect = require "evws.channels.connect"
local errors = require "evws.channels.errors"
local json = require "evws.channels.json"
local push = require "evws.channels.push"
local subscribe = require "evws.channels.subscribe"

local split, spawn_now = ws.json_split, core.spawn_now
local find, gmatch, match = string.find, string.gmatch, string.match
local bad, catch = errors.bad, errors.catch

local client = { __name = "evws.channels.client" }
client.__index = client

local deepest = 1024
local at_once = 512 -- commands of a frame, before others have their turn

function client.new(app, conn, id, request)
  return setmetatable({ app = app, conn = conn, id = id, request = request,
    state = "new", subs = {}, n_subs = 0, heard = app.clock.now }, client)
end

-- ---- what it is sent ----

function client:write(text)
  return self.state ~= "closed" and self.conn:send(text)
end

-- Ends the connection; the client goes by the code.
function client:finish(code, reason)
  if self.state == "closed" then return end
  self.state = "closing"
  self.conn:close(code, errors.reason(reason))
end

-- Of something that went wrong in a command.
function client:fail(id, caught)
  if errors.is_close(caught) then
    self:finish(caught.code, caught.reason)
  else
    if not errors.is_error(caught) then
      self.app:report(self.conn, caught)
      caught = errors.internal
    end
    if id then self:write(push.failure(id, caught)) end
  end
end

-- ---- commands, side by side and one after the other ----

-- What is under way: channel -> jobs that wait for the one before; jobs that
-- wait for a place. Who is idle has none, and there are many of them.
local spare

local function begin_jobs(self)
  local jobs = spare or { chains = {}, ready = {}, n_running = 0,
    n_waiting = 0 }
  spare, self.jobs = nil, jobs
  return jobs
end

local function end_jobs(self, jobs)
  if self.jobs == jobs then self.jobs = nil end
  if next(jobs.chains) == nil and jobs.n_waiting == 0 then spare = jobs end
end

-- What comes after this job: the channel's next goes behind all that is ready.
local function next_job(self, jobs, job)
  local ready, chain = jobs.ready, job.channel and jobs.chains[job.channel]
  if chain then
    if chain[1] then
      ready[#ready + 1] = table.remove(chain, 1)
    else
      jobs.chains[job.channel] = nil
    end
  end
  local following = table.remove(ready, 1)
  if following then
    jobs.n_waiting = jobs.n_waiting - 1
    if self.room then self.room:put(true) end
  end
  return following
end

local function work(self, jobs, job)
  repeat
    local ok, result = xpcall(job.fn, catch, self, job.request, job.channel,
      job.id)
    if not ok then
      self:fail(job.id, result)
    elseif result and job.id then
      self:write(push.reply(job.id, job.name, result))
    end
    job = next_job(self, jobs, job)
  until not job
  jobs.n_running = jobs.n_running - 1
  if jobs.n_running == 0 then end_jobs(self, jobs) end
end

local function submit(self, job)
  local options, channel = self.app.options, job.channel
  local jobs = self.jobs or begin_jobs(self)
  local chain = channel and jobs.chains[channel]
  if channel and not chain then jobs.chains[channel] = {} end
  if not chain and jobs.n_running < options.parallel then
    jobs.n_running = jobs.n_running + 1
    return spawn_now(work, self, jobs, job)
  end
  local list = chain or jobs.ready
  list[#list + 1] = job
  jobs.n_waiting = jobs.n_waiting + 1
  while self.jobs == jobs and jobs.n_waiting >= options.max_commands
    and self.state == "open" do
    self.room = self.room or ws.queue(1)
    self.room:take()
  end
end

-- ---- frames to commands ----

local function read_id(fields, name)
  local raw = fields.id
  if raw == nil or raw == "null" or raw == "0" then
    if name ~= "send" then bad "a command has no id" end
    return nil
  end
  if not match(raw, "^[1-9]%d*$") or #raw > 10
    or tonumber(raw) > 0xFFFFFFFF then
    bad "an id is none"
  end
  return raw
end

-- The request of a command: the first in the protocol's order.
local function read_request(fields)
  for _, name in ipairs(commands.order) do
    local request = fields[name]
    if request and request ~= "null" then
      if type(request) ~= "table" then bad(name .. " is no object") end
      return name, request
    end
  end
  bad "a command has no request"
end

-- The fields of a line, those of its request taken apart as well; and is it
-- beyond a limit that ends the command only?
local function parse(self, line)
  local options = self.app.options
  local fields, why = split(line, 2, options.max_depth)
  local is_over = #line > options.max_command
  if why == "nested too deep" then
    is_over, fields = true, split(line, 2, deepest)
  end
  if not fields or not find(line, "^[ \t\r]*{") then
    bad "no JSON object"
  end
  return fields, is_over
end

local function command(self, line)
  if not find(line, "[^ \t\r]") then return end
  local fields, is_over = parse(self, line)
  if next(fields) == nil then -- a pong
    if self.state == "new" then bad "connect comes first" end
    return
  end
  local name, request = read_request(fields)
  local id = read_id(fields, name)
  local is_first = self.state == "new"
  if is_first ~= (name == "connect") then
    bad(is_first and "connect comes first" or "a second connect")
  end
  if is_first then
    return connect.command(self, request, id, is_over)
  elseif is_over then
    return self:fail(id, errors.bad_request)
  end
  local entry = commands.list[name]
  local channel
  if entry.has_channel then
    channel = json.string_field(request, "channel")
    if not channel or channel == "" then bad "a channel has no name" end
  end
  submit(self, { id = id, name = name, fn = entry.fn, request = request,
    channel = channel })
end

local function take(self, line)
  local ok, caught = xpcall(command, catch, self, line)
  if not ok then self:fail(nil, caught) end
end

-- A frame: commands, one a line.
function client:feed(text, kind)
  self.heard = self.app.clock.now
  if kind == "binary" and not utf8.len(text) then
    return self:fail(nil, errors.bad_frame)
  end
  if not find(text, "\n", 1, true) then
    if self:is_read() then take(self, text) end
    return
  end
  local n = 0
  for line in gmatch(text, "[^\n]+") do
    if not self:is_read() then return end
    take(self, line)
    n = n + 1
    if n % at_once == 0 then ws.sleep(0) end
  end
end

-- May commands come in?
function client:is_read()
  return self.state == "new" or self.state == "open"
end

-- ---- time ----

-- Called by the clock; the seconds until it is to be called again.
function client:due(now)
  local options = self.app.options
  if self.state == "new" then
    self:fail(nil, errors.stale)
  elseif self.state == "refused" then
    self:finish(errors.refused.code, self.refusal)
  elseif self.state == "open" then
    if options.pong
      and now - self.heard > options.ping + options.pong_timeout then
      return self:fail(nil, errors.no_pong)
    end
    if connect.expire(self) then return nil end
    return self:wait_for()
  end
end

-- In how many seconds is there something to look at?
function client:wait_for()
  local options, now, least = self.app.options, os.time(), math.huge
  if options.pong then least = options.ping end
  if self.expires then
    least = math.min(least, self.expires + options.expiry_grace - now)
  end
  for _, sub in pairs(self.subs) do
    if sub.expires then
      least = math.min(least, sub.expires + options.expiry_grace - now)
    end
  end
  return least < math.huge and math.max(least, 1) or nil
end

function client:watch()
  local seconds = self:wait_for()
  if seconds then self.app.clock:set(self, seconds) end
end

-- ---- the end ----

function client:ended(code, reason)
  self.state = "closed"
  local jobs = self.jobs
  if jobs then jobs.chains, jobs.ready, jobs.n_waiting = {}, {}, 0 end
  if self.room then self.room:put(true) end
  self.app.clock:drop(self)
  subscribe.leave_all(self)
  self.app:forget(self)
  if self.was_open then
    self.app:call("on_disconnected", self, code, reason)
  end
end

-- ---- for the application ----

local function check_channel(channel, name, level)
  if type(channel) ~= "string" or channel == "" or not utf8.len(channel)
    or channel:byte() == 0 then
    error(("bad argument #1 to '%s' (the name of a channel expected)")
      :format(name), level + 1)
  end
end
client.check_channel = check_channel

-- Of a Close, or of the end of a subscription: in this range.
local function check_code(code, name, n, least, most, level)
  if code ~= nil and (math.type(code) ~= "integer" or code < least
    or code > most) then
    error(("bad argument #%d to '%s' (a code from %d to %d expected)"):format(
      n, name, least, most), level + 1)
  end
end
client.check_code = check_code

local function check_reason(reason, name, n, level)
  if reason ~= nil and (type(reason) ~= "string" or not utf8.len(reason)) then
    error(("bad argument #%d to '%s' (text expected)"):format(n, name),
      level + 1)
  end
end
client.check_reason = check_reason

function client:send(value)
  local text = '{"push":{"message":{"data":' .. json.encode(value, "a message",
    2) .. "}}}"
  if self.state ~= "open" then return nil, "closed" end
  return self:write(text)
end

function client:subscribe(channel, given)
  check_channel(channel, "subscribe", 2)
  local grant = subscribe.read_grant(given, 2, 2)
  if self.state ~= "open" then return nil, "closed" end
  local ok, why = subscribe.by_server(self, channel, grant, 2)
  return ok, why
end

function client:unsubscribe(channel, code, reason)
  check_channel(channel, "unsubscribe", 2)
  check_code(code, "unsubscribe", 2, 2000, 2999, 2)
  check_reason(reason, "unsubscribe", 3, 2)
  return subscribe.ended(self, channel, code or 2000,
    reason or "server unsubscribe")
end

function client:disconnect(code, reason)
  check_code(code, "disconnect", 1, 3000, 4999, 2)
  check_reason(reason, "disconnect", 2, 2)
  if self.state == "closed" then return nil, "closed" end
  self:finish(code or 3503, reason or "force disconnect")
  return true
end

function client:channels()
  local list = {}
  for channel in pairs(self.subs) do list[#list + 1] = channel end
  table.sort(list)
  return list
end

return client
