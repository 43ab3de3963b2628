-- supervisor.lua: who lives, who is started, who has to go. It never waits:
-- what happens is told to it, and a tick a few times a second compares times.
--
-- Each number has a place: { current = worker, next = worker that is to replace
-- it, delay = before it is started again, retry = timer of that }. Whoever
-- retires is in no place any more. The clock stands still while this process
-- does, so nobody is late because of that.

local core = require "evws.core"
local ws = require "evws"
local serve = core.serve
local sockets = require "evws.serve.sockets"
local workers = require "evws.serve.worker"

local TICK = 0.1
local PING = 1
local ABORT, KILL = 6, 9
local AFTER_ABORT = 5 -- seconds, to write a core in
local GOING_ON = 10 -- seconds a worker has to live to be started again at once
local MOST_DELAY = 30

local supervisor = {}
supervisor.__index = supervisor

-- What systemd has passed to this process (sd_listen_fds).
local function inherited()
  local list = {}
  if tonumber(os.getenv "LISTEN_PID") ~= serve.pid() then return list end
  for i = 1, tonumber(os.getenv "LISTEN_FDS") or 0 do list[i] = 2 + i end
  return list
end

--- options: script, arguments, lua, workers, grace, linger, close_code, ready,
--- hang, backplane, stopping(): is called when all begin to go
function supervisor.new(options)
  local list, why = sockets.new(inherited())
  if not list then return nil, why end
  local page, fd = serve.page()
  local secret = ws.random(32):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end)
  if not page then return nil, fd end
  return setmetatable({ options = options, page = page, page_fd = fd,
    secret = secret, sockets = list, workers = {}, by_serial = {},
    slots = {}, places = {}, count = options.workers, generation = 1,
    serial = 0, clock = 0, last = ws.now(), pinged = 0 }, supervisor)
end

local function tell(format, ...)
  core.log("warning", format:format(...))
end

local function seconds(n)
  return ("%g seconds"):format(n)
end

-- ---- the end ----

function supervisor:exit(status)
  self.status = self.status or status
  for worker in pairs(self.workers) do worker:kill(KILL) end
  ws.stop()
end

local function fail(self, format, ...)
  tell(format, ...)
  self:exit(1)
end

local function check_gone(self)
  if self.stopping and not next(self.workers) then self:exit(0) end
end

local function cancel_retries(self)
  for _, place in pairs(self.places) do
    if place.retry then place.retry:cancel() end
    place.retry = nil
  end
end

-- Those that are not ready are not asked.
local function leave(worker, grace)
  if worker.state == "starting" then
    worker:kill(15)
  else
    worker:retire(0, 1001, grace, true)
  end
end

--- All go; told again: at once.
function supervisor:stop()
  local grace = self.stopping and 0 or self.options.grace
  self.stopping = true
  if self.options.stopping then self.options.stopping() end
  self.reload_at, self.reload_again = nil, nil
  cancel_retries(self)
  for worker in pairs(self.workers) do leave(worker, grace) end
  self.stop_by = math.min(self.stop_by or math.huge, self.clock + grace + 1)
  check_gone(self)
end

-- ---- starting ----

local function free_slot(self)
  for slot = 1, serve.slots - 1 do
    if not self.slots[slot] then return slot end
  end
end

local function start(self, id)
  local o, slot = self.options, free_slot(self)
  if not slot then return nil, "too many processes" end
  local argv = { o.lua, o.script, table.unpack(o.arguments) }
  self.serial = self.serial + 1
  local worker, why = workers.start(self, { id = id, count = self.count,
    generation = self.generation, serial = self.serial, slot = slot }, argv,
    { EVWS_BACKPLANE = o.backplane or "", EVWS_SECRET = self.secret })
  if not worker then return nil, ("%s: %s"):format(o.lua, why) end
  self.slots[slot] = true
  self.workers[worker] = true
  self.by_serial[worker.serial] = worker
  return worker
end

local fill, start_again

-- Nobody is in this place.
function fill(self, id)
  local place = self.places[id] or { delay = 0 }
  local why
  self.places[id] = place
  place.retry = nil
  place.current, why = start(self, id)
  if place.current then return end
  if not self.was_ready then return fail(self, "%s", why) end
  tell("worker %d cannot be started: %s", id, why)
  start_again(self, id, 0)
end

function start_again(self, id, lived)
  local place = self.places[id]
  if lived >= GOING_ON then
    place.delay = 0
  else
    place.delay = math.min(math.max(place.delay * 2, 0.1), MOST_DELAY)
  end
  place.current = nil
  place.retry = ws.after(place.delay, function() fill(self, id) end)
end

--- The first one shows whether the script is any good.
function supervisor:start()
  fill(self, 1)
end

local function start_others(self)
  for id = 1, self.count do
    if not self.places[id] then fill(self, id) end
  end
end

-- ---- reloading ----

local function retire(self, worker)
  local o = self.options
  worker:retire(o.linger, o.close_code, o.grace)
end

local function hurry(self)
  local o = self.options
  for worker in pairs(self.workers) do
    if worker.state == "retiring" then
      worker:retire(0, o.close_code, o.grace)
    end
  end
end

local replace_next

local function end_reload(self)
  self.reload_at = nil
  self.sockets:keep(self.workers)
  if self.reload_again then self:reload() end
end

-- Whoever has told it meanwhile may know of a better script.
local function fail_reload(self, id, why)
  local place, again = self.places[id], self.reload_again
  place.next = nil
  self.reload_at, self.reload_again = nil, nil
  tell("the reload stops: worker %d %s; the old workers stay", id, why)
  if not place.current then start_again(self, id, 0) end
  if again then self:reload() end
end

function replace_next(self)
  local id = self.reload_at + 1
  local place = self.places[id]
  if id > self.count or not place then return end_reload(self) end
  self.reload_at = id
  if place.retry then
    place.retry:cancel()
    place.retry = nil
  end
  local why
  place.next, why = start(self, id)
  if not place.next then fail_reload(self, id, "cannot be started: " .. why) end
end

--- One after the other; told meanwhile, or before the first one is ready: once
--- more afterwards.
function supervisor:reload()
  if self.stopping then return end
  self.reload_again = self.reload_at ~= nil or not self.was_ready
  if self.reload_again then return end
  hurry(self)
  self.generation = self.generation + 1
  self.reload_at = 0
  replace_next(self)
end

--- Before the first one is ready: with the others, then.
function supervisor:more()
  if self.stopping or self.count >= 128 then return end
  self.count = self.count + 1
  if self.was_ready then fill(self, self.count) end
end

-- Whoever is being replaced there goes with the one that was to come.
function supervisor:less()
  local place = self.places[self.count]
  if self.stopping or self.count == 1 then return end
  self.places[self.count] = nil
  self.count = self.count - 1
  if not place then return end
  if place.retry then place.retry:cancel() end
  for _, worker in pairs { place.current, place.next } do
    if worker.state == "starting" then
      worker:kill(15)
    else
      retire(self, worker)
    end
  end
  if self.reload_at and self.reload_at > self.count then end_reload(self) end
end

-- ---- what workers say ----

local function is_ready(self, worker)
  local place = self.places[worker.id]
  if worker.state ~= "starting" then return end
  worker:is_ready()
  self.was_ready = true
  if self.stopping then return end
  start_others(self)
  if self.reload_again and not self.reload_at then self:reload() end
  if not place or place.next ~= worker then return end
  local old = place.current
  place.current, place.next = worker, nil
  if old and self.workers[old] then retire(self, old) end
  replace_next(self)
end

local function listen(self, worker, arguments, place)
  local n, backlog, port, mode, kind =
    arguments:match "^(%d+) (%d+) (%d+) (%d+) ([hu])$"
  local entry, why, errno = self.sockets:get(worker, {
    backlog = tonumber(backlog), port = tonumber(port), mode = tonumber(mode),
    host = kind == "h" and place or nil, unix = kind == "u" and place or nil })
  if entry then
    worker:send(("listening %s %d %d %d"):format(n, entry.key, entry.port,
      entry.is_inherited and 1 or 0), nil, table.unpack(entry.fds))
  else
    worker:send(("refused %s %d\n"):format(n, errno or 0), why)
  end
end

-- To another worker, or back.
local function pass(self, worker, arguments, rest, fds)
  local serial, channel = arguments:match "^(%d+) (.*)$"
  local to = self.by_serial[tonumber(serial)]
  if to and to.state ~= "starting"
    and to:send(("take %s\n"):format(channel), rest, table.unpack(fds)) then
    return
  end
  worker:send(("take back:%s\n"):format(channel), rest, table.unpack(fds))
end

-- What everybody has closed is closed, unless somebody is to come who may want
-- it.
local function closed(self, worker, key)
  worker.holds[key] = nil
  if self.stopping or self.reload_at then return end
  for id = 1, self.count do
    local current = self.places[id] and self.places[id].current
    if not current or current.state ~= "ready" then return end
  end
  self.sockets:keep(self.workers)
end

function supervisor:heard(worker, verb, arguments, rest, fds)
  if verb == "pong" then
    worker:pong()
  elseif verb == "ready" then
    is_ready(self, worker)
  elseif verb == "listen" then
    listen(self, worker, arguments, rest)
  elseif verb == "closed" then
    closed(self, worker, tonumber(arguments))
  elseif verb == "pass" then
    pass(self, worker, arguments, rest, fds)
  end
end

-- ---- how they end ----

local function why_of(worker, how)
  return worker.why and ("%s, and %s"):format(worker.why, how) or how
end

-- Of one in a place, which nobody has asked to go.
local function has_died(self, worker, place, how)
  local lived = self.clock - (worker.ready_since or self.clock)
  if not self.was_ready then
    return fail(self, "%s ended before it was ready (%s)",
      self.options.script, why_of(worker, how))
  end
  start_again(self, worker.id, lived)
  self.page:restarted()
  tell("worker %d %s; it is started again%s", worker.id, why_of(worker, how),
    place.delay > 0 and (" in %g s"):format(place.delay) or "")
end

local function has_ended(self, worker, how)
  local place = self.places[worker.id]
  self.workers[worker] = nil
  self.by_serial[worker.serial] = nil
  self.slots[worker.slot] = nil
  worker:forget()
  if self.stopping then
    check_gone(self)
  elseif place and place.next == worker then
    fail_reload(self, worker.id, why_of(worker, how))
  elseif place and place.current == worker then
    if place.next then -- it was to be replaced anyway
      place.current = nil
    else
      has_died(self, worker, place, how)
    end
  end
end

--- Some child has ended.
function supervisor:reap()
  local ended = {}
  for worker in pairs(self.workers) do
    local how = worker:poll()
    if how then ended[#ended + 1] = { worker, how } end
  end
  for _, one in ipairs(ended) do has_ended(self, table.unpack(one)) end
end

-- ---- time ----

local function kill(worker, why)
  worker.why = worker.why or why
  worker:kill(KILL)
end

local function check_hang(self, worker)
  local hang = self.options.hang
  local silent = self.clock - worker.silent
  if worker.aborted and self.clock > worker.aborted + AFTER_ABORT then
    kill(worker)
  elseif hang > 0 and silent > hang and not worker.aborted then
    worker.why = ("has not turned its loop for %s"):format(seconds(hang))
    worker.aborted = self.clock
    worker:kill(ABORT)
  end
end

local function check(self, worker)
  local o = self.options
  if worker.state == "starting" then
    if self.clock > worker.since + o.ready then
      kill(worker, ("was not ready within %s"):format(seconds(o.ready)))
    end
  elseif worker.state == "retiring" and self.clock > worker.last then
    kill(worker)
  else
    check_hang(self, worker)
  end
end

--- A stop of this process, however long, counts as one tick.
function supervisor:tick()
  local now = ws.now()
  self.clock = self.clock + math.min(now - self.last, 2 * TICK)
  self.last = now
  for worker in pairs(self.workers) do check(self, worker) end
  if self.clock >= self.pinged + PING then
    self.pinged = self.clock
    for worker in pairs(self.workers) do
      if worker.state ~= "starting" then worker:ping() end
    end
  end
  if self.stop_by and self.clock > self.stop_by then self:exit(0) end
  self:reap()
end

supervisor.TICK = TICK

return supervisor
