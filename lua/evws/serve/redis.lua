-- redis.lua: a Redis of one's own, on a Unix socket in a directory that nobody
-- else may enter. It keeps nothing on disk, and ends when this process does,
-- however that happens: the shell around it waits for the end of its input.

local core = require "evws.core"
local ws = require "evws"

local START_WITHIN = 10 -- seconds
local NOT_FOUND = 127 -- the shell's status

local redis = {}
redis.__index = redis

local command = [[
exec 3<&0
program=$(command -v redis-server || command -v valkey-server) || exit 127
cd '%s' || exit 1
"$program" --port 0 --unixsocket '%s' --unixsocketperm 600 \
  --save '' --appendonly no --daemonize no --loglevel warning \
  </dev/null >/dev/null 3<&- & server=$!
(read _ <&3; trap '' TERM; kill $server; rm -f redis.sock; rmdir "$PWD") \
  2>/dev/null & watch=$!
wait $server 2>/dev/null; status=$?
kill $watch 2>/dev/null
exit $status]]

local function quote(path)
  return (path:gsub("'", "'\\''"))
end

local function run(self)
  local process, why = core.process(command:format(quote(self.directory),
    quote(self.socket)), "w")
  self.process = process
  return process, why
end

-- The file is there once it listens.
local function has_socket(self)
  local file, _, errno = io.open(self.socket, "rb")
  if file then file:close() end
  return file or errno ~= 2
end

local function await_start(self)
  local last = ws.now() + START_WITHIN
  while not has_socket(self) do
    local how, status = self.process:poll()
    if how then
      return nil, status == NOT_FOUND
        and "redis-server not found (apt install redis-server)"
        or ("redis-server has ended (%s %s)"):format(how, status)
    elseif ws.now() > last then
      return nil, "redis-server does not start"
    end
    ws.sleep(0.02)
  end
  return true
end

-- Started again when it ends; who publishes meanwhile is told.
local function keep(self)
  local delay = 0.1
  while not self.is_stopping do
    local since = ws.now()
    while not self.process:poll() do
      local pidfd = self.process:pidfd()
      if not pidfd then ws.sleep(0.2) else core.wait(pidfd, "r") end
    end
    ws.sleep(0.1) -- whoever has ended it may have meant all of us
    if self.is_stopping then return end
    core.log("warning", "redis-server has ended; it is started again")
    if ws.now() - since > 10 then delay = 0.1 end
    ws.sleep(delay)
    delay = math.min(delay * 2, 5)
    os.remove(self.socket)
    if not run(self) then return end
  end
end

local function make_directory()
  local pipe = io.popen "mktemp -d \"${TMPDIR:-/tmp}/evws.XXXXXX\" 2>/dev/null"
  local path = pipe:read "l"
  pipe:close()
  return path
end

function redis.start()
  local self = setmetatable({ directory = make_directory() }, redis)
  if not self.directory then return nil, "no directory for redis-server" end
  self.socket = self.directory .. "/redis.sock"
  self.url = "redis+unix:" .. self.socket
  local ok, why = run(self)
  if ok then ok, why = await_start(self) end
  if not ok then
    self:stop()
    return nil, why
  end
  ws.spawn(keep, self)
  return self
end

function redis:stop()
  self.is_stopping = true
  if self.process then
    local last = ws.now() + 5
    self.process:shut()
    while not self.process:poll() and ws.now() < last do ws.sleep(0.02) end
  end
  os.remove(self.socket)
  os.remove(self.directory)
end

return redis
