-- serve.lua: the supervisor of `evws serve`: signals and ticks, on a loop of
-- evws. The rest is in evws/serve/. No part of the API.

local core = require "evws.core"
local ws = require "evws"
local serve = core.serve
local redis = require "evws.serve.redis"
local supervisors = require "evws.serve.supervisor"

local actions = {
  HUP = function(supervisor) supervisor:reload() end,
  INT = function(supervisor) supervisor:stop() end,
  TERM = function(supervisor) supervisor:stop() end,
  TTIN = function(supervisor) supervisor:more() end,
  TTOU = function(supervisor) supervisor:less() end,
}

local function complain(format, ...)
  io.stderr:write("evws: ", format:format(...), "\n")
  return 1
end

-- What has to be done comes before who has ended: at a terminal all get the
-- same signal, and nobody is to be started again because of it.
local function heed(supervisor, fd)
  local has_ended = false
  for _, name in ipairs(serve.take_signals(fd)) do
    if name == "CHLD" then
      has_ended = true
    else
      actions[name](supervisor)
    end
  end
  if has_ended then supervisor:reap() end
end

local function heed_all(supervisor, fd)
  while true do
    core.wait(fd, "r")
    heed(supervisor, fd)
  end
end

local EINVAL = 22

-- The file of --pid, which is ours for as long as we run -> fd | nil, why
local function take_pid(path)
  local fd, why, errno, holder = serve.take_pidfile(path)
  if fd then return fd end
  if why == "again" then
    return nil, ("%s belongs to process %d, which is running"):format(path,
      holder)
  elseif errno == EINVAL then
    return nil, path .. " is no file of a process id"
  end
  return nil, ("cannot write %s: %s"):format(path, why)
end

local function supervise(options)
  local supervisor, why = supervisors.new(options)
  if not supervisor then return complain("%s", why) end
  local fd, failure = serve.signals()
  if not fd then return complain("%s", failure) end
  ws.spawn(heed_all, supervisor, fd)
  ws.every(supervisor.TICK, function()
    heed(supervisor, fd)
    supervisor:tick()
  end)
  ws.run(function() supervisor:start() end, { signals = false })
  supervisor.sockets:keep {}
  return supervisor.status or 1
end

-- With a private Redis, where that is asked for.
local function with_redis(options)
  if options.redis ~= "spawn" then
    options.backplane = options.redis or os.getenv "EVWS_BACKPLANE"
    return supervise(options)
  end
  local server, why = redis.start()
  if not server then return complain("%s", why) end
  options.backplane = server.url
  function options.stopping() server.is_stopping = true end
  local status = supervise(options)
  server:stop()
  return status
end

--- Serves until it is told to end -> the status of the process.
return function(options)
  local script, why = io.open(options.script, "rb")
  if not script then return complain("cannot open %s", why) end
  script:close()
  if not options.pid then return with_redis(options) end
  local pid, failure = take_pid(options.pid)
  if not pid then return complain("%s", failure) end
  local status = with_redis(options)
  serve.leave_pidfile(options.pid, pid)
  return status
end
