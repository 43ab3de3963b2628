-- popen.lua: ws.popen, commands of the shell that are waited for as everything
-- else is. The system's side is process.c.

local core = require "evws.core"

local process = {}
local meta = { __index = process, __name = "evws.process" }

local function time_left(last)
  return last and math.max(last - core.now(), 0)
end

local function check(self, name, mode)
  if getmetatable(self) ~= meta then
    error(("bad argument #1 to '%s' (evws.process expected, got %s; call "
      .. "process:%s)"):format(name, type(self), name), 3)
  elseif mode and self.mode ~= mode then
    error(("cannot %s: the process was opened with \"%s\""):format(name,
      self.mode), 3)
  end
end

local function last_of(timeout, name, n)
  if timeout == nil then return nil end
  if type(timeout) ~= "number" or timeout < 0 or timeout ~= timeout then
    error(("bad argument #%d to '%s' (seconds expected)"):format(n, name), 3)
  end
  return core.now() + timeout
end

local function read(self, last)
  while true do
    local bytes, why = self.raw:read()
    if bytes or why ~= "again" then return bytes, why end
    local is_ready, because = core.wait(self.raw:fd(), "r", time_left(last))
    if not is_ready then return nil, because end
  end
end

function process:read(timeout)
  check(self, "read", "r")
  local last = last_of(timeout, "read", 1)
  local rest = self.rest
  self.rest = nil
  if rest then return rest end
  return read(self, last)
end

-- What stands behind the line is kept for the next one.
local function next_line(self)
  local pieces, piece = {}, self.rest
  self.rest = nil
  while true do
    local at = piece and piece:find("\n", 1, true)
    if at then
      pieces[#pieces + 1] = piece:sub(1, at - 1)
      if at < #piece then self.rest = piece:sub(at + 1) end
      return table.concat(pieces)
    end
    pieces[#pieces + 1] = piece
    piece = read(self)
    if not piece then break end
  end
  return pieces[1] and table.concat(pieces)
end

function process:lines()
  check(self, "lines", "r")
  return next_line, self
end

function process:write(bytes, timeout)
  check(self, "write", "w")
  if type(bytes) ~= "string" then
    error(("bad argument #1 to 'write' (string expected, got %s)")
      :format(type(bytes)), 2)
  end
  local last, from = last_of(timeout, "write", 2), 1
  while from <= #bytes do
    local n, why = self.raw:write(bytes, from)
    if not n and why == "again" then
      n, why = core.wait(self.raw:fd(), "w", time_left(last))
    end
    if not n then return nil, why end
    from = from + (math.tointeger(n) or 0) -- true: there is room now
  end
  return true
end

function process:close(timeout)
  check(self, "close")
  local last = last_of(timeout, "close", 1)
  self.raw:shut()
  while true do
    local how, number = self.raw:poll()
    if how then return how == "exit" and number == 0 or nil, how, number end
    local pidfd = self.raw:pidfd()
    if not pidfd and last and core.now() >= last then return nil, "timeout" end
    local ok, why
    if pidfd then
      ok, why = core.wait(pidfd, "r", time_left(last))
    else
      ok, why = core.sleep(0.01)
    end
    if not ok then return nil, why end
  end
end

function process:kill(signal)
  check(self, "kill")
  if signal ~= nil and math.type(signal) ~= "integer" then
    error("bad argument #1 to 'kill' (the number of a signal expected)", 2)
  end
  return self.raw:kill(signal or 15)
end

function meta:__close()
  self.raw:shut()
  self.raw:kill(15)
end

function meta:__tostring()
  return ("evws.process: %s (%s)"):format(self.command,
    self.raw:poll() or "running")
end

return function(command, mode)
  if type(command) ~= "string" or command:find("\0", 1, true) then
    error(("bad argument #1 to 'popen' (string expected, got %s)")
      :format(type(command)), 2)
  elseif mode ~= nil and mode ~= "r" and mode ~= "w" then
    error("bad argument #2 to 'popen' (\"r\" or \"w\" expected)", 2)
  end
  local raw, why = core.process(command, mode or "r")
  if not raw then return nil, why end
  return setmetatable({ raw = raw, mode = mode or "r", command = command },
    meta)
end
