-- worker.lua: one process of a supervisor: its socket, and what it says.
--
-- Its life: "starting", "ready", "retiring", "ended". The supervisor is told by
-- heard(worker, verb, arguments, rest, fds); its clock counts what deadlines
-- are compared with.

local core = require "evws.core"
local ws = require "evws"
local serve = core.serve

local worker = {}
worker.__index = worker

local of_systemd = { LISTEN_FDNAMES = true, LISTEN_FDS = true,
  LISTEN_PID = true, LISTEN_PIDFDID = true }

-- What a program of ours inherits, but for what says who it is.
local function environment(own)
  local list = {}
  for _, line in ipairs(serve.environment()) do
    local name = line:match "^[^=]*"
    if not own[name] and not of_systemd[name] then list[#list + 1] = line end
  end
  for name, value in pairs(own) do
    list[#list + 1] = ("%s=%s"):format(name, value)
  end
  return list
end

local function take(self, record)
  local line, rest = record[1]:match "^([^\n]*)\n?(.*)$"
  local verb, arguments = line:match "^(%l+) ?(.*)$"
  self.supervisor:heard(self, verb, arguments, rest, record.fds or {})
  for _, fd in ipairs(record.fds or {}) do serve.close(fd) end
end

local function read(self)
  while true do
    local list, why = self.control:read()
    for _, record in ipairs(list or {}) do take(self, record) end
    if not list then
      if why ~= "again" then return end
      core.wait(self.control:fd(), "r")
    end
  end
end

local function flush(self)
  local _, why = self.control:flush()
  while why == "again" do
    core.wait(self.control:fd(), "w")
    _, why = self.control:flush()
  end
  self.flushing = nil
end

--- who: { id =, count =, generation =, serial =, slot = }, argv: a list, own:
--- variables of the environment -> worker | nil, why
function worker.start(supervisor, who, argv, own)
  local control, theirs = serve.control()
  if not control then return nil, theirs end
  local page = supervisor.page
  page:set(who.slot, who.id, who.generation, who.serial)
  own.EVWS_CONTROL, own.EVWS_PAGE = theirs, supervisor.page_fd
  own.EVWS_WORKER = ("%d/%d/%d/%d/%d"):format(who.id, who.count,
    who.generation, who.serial, who.slot)
  local process, why = serve.spawn(argv, environment(own),
    { theirs, supervisor.page_fd })
  serve.close(theirs)
  if not process then
    page:state(who.slot, "free")
    control:close()
    return nil, why
  end
  local self = setmetatable({ supervisor = supervisor, control = control,
    process = process, id = who.id, generation = who.generation,
    serial = who.serial, slot = who.slot, state = "starting", holds = {},
    since = supervisor.clock, silent = supervisor.clock }, worker)
  self.reading = ws.spawn(read, self)
  return self
end

function worker:send(line, rest, ...)
  local ok, why = self.control:send(line, rest, ...)
  if ok and not self.flushing then
    local _, more = self.control:flush()
    if more == "again" then self.flushing = ws.spawn(flush, self) end
  end
  return ok, why
end

function worker:is_ready()
  self.state = "ready"
  self.ready_since = self.supervisor.clock
  self.silent = self.ready_since
  self.supervisor.page:state(self.slot, "ready")
end

--- Tells it to go: seconds, close code, seconds; for_all: nobody stays.
function worker:retire(linger, code, grace, for_all)
  local clock = self.supervisor.clock
  self.state = "retiring"
  self.holds = {} -- it listens no more
  self.supervisor.page:state(self.slot, "retiring")
  local last = clock + linger + grace + 2
  self.last = math.min(self.last or last, last)
  self:send(("retire %d %d %d %d"):format(math.ceil(linger * 1000), code,
    math.ceil(grace * 1000), for_all and 1 or 0))
end

--- Is it asked already, it has not answered yet.
function worker:ping()
  if self.is_asked then return end
  self.is_asked = true
  self:send "ping"
end

function worker:pong()
  self.is_asked = false
  self.silent = self.supervisor.clock
end

--- nil while it lives; then how it ended, in words, and its exit status.
function worker:poll()
  local how, number = self.process:poll()
  if not how then return nil end
  if how == "exit" then return "ended with status " .. number, number end
  if how == "signal" then return "was ended by signal " .. number end
  return "ended"
end

function worker:kill(signal)
  return self.process:kill(signal)
end

--- It has ended: what it said before that is heard, but for that it was ready;
--- then nothing of it is left.
function worker:forget()
  self.state = "ended"
  local list = self.control:read()
  while list do
    for _, record in ipairs(list) do take(self, record) end
    list = self.control:read()
  end
  self.reading:cancel()
  if self.flushing then self.flushing:cancel() end
  self.control:close()
  self.supervisor.page:state(self.slot, "free")
end

return worker
