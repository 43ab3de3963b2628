-- What the specs of `evws serve` share: a supervisor and its workers as real
-- processes, which end by signals to their ids.
--
--   kit.serve(source[, options[, words[, variables]]]) -> served   runs the Lua
--     source in workers (options: the command line, "--workers 2" if nil) until
--     cleanup; variables: of the environment, "A=b C=d".
--     It finds ws, and say(...), which writes a line.
--     served.child   of spec.binding.kit; served:write(source) changes the
--     script; served.path is it
--   served:port()    of the line "port N" that a worker said
--   served:count(pattern)   lines of the output that have it
--   kit.pid_of(conn)   asks a worker by a connection of kit.echo
--   kit.echo           a script: answers each message with "id generation pid"
--   kit.cleanup()      for after_each

local processes = require "spec.binding.kit"
local t = require "spec.helper"

local kit = {}

local prologue = [[
local ws = require "evws"
local function say(...)
  local list = table.pack(...)
  for i = 1, list.n do list[i] = tostring(list[i]) end
  io.stdout:write(table.concat(list, " "), "\n")
  io.stdout:flush()
end
local function pid()
  local file <close> = io.open "/proc/self/stat"
  return file:read "n"
end
]]

kit.echo = [[
local server = assert(ws.listen { host = "127.0.0.1", port = 0,
  on_message = function(conn)
    conn:send(("%d %d %d"):format(ws.worker.id, ws.worker.generation, pid()))
  end })
say("port", server.port)
say("worker", ws.worker.id, ws.worker.generation)
say("end", ws.worker.id, ws.run())
]]

local served = {}
served.__index = served

local paths = {}

function served:write(source)
  local file <close> = assert(io.open(self.path, "w"))
  file:write(prologue, source)
end

function served:port()
  return tonumber((self.child:wait "^port (%d+)$"))
end

function served:count(pattern)
  local n = 0
  for line in self.child:output():gmatch "[^\n]+" do
    if line:find(pattern) then n = n + 1 end
  end
  return n
end

function served:await(pattern, n, limit)
  local ok = pcall(t.wait, function()
    return self:count(pattern) >= (n or 1) or self.child:ended(0)
  end, pattern, limit or 10)
  if not ok or self:count(pattern) < (n or 1) then
    error(("no %d lines of %s in:\n%s%s"):format(n or 1, pattern,
      self.child:output(), self.child:errors()), 2)
  end
end

function served:errors(pattern)
  t.wait(function() return self.child:errors():find(pattern) end,
    "a complaint of " .. pattern, 10)
  return self.child:errors()
end

--- What the worker says of itself that this connection got: id, generation,
--- pid.
function served.who(_, conn)
  conn:send(t.frame("text", "who"))
  local id, generation, pid =
    conn:frame().payload:match "^(%d+) (%d+) (%d+)$"
  return tonumber(id), tonumber(generation), tonumber(pid)
end

function served:open(...)
  return t.open(self:port(), ...)
end

function kit.serve(source, options, words, variables)
  local self = setmetatable({ path = os.tmpname() }, served)
  paths[#paths + 1] = self.path
  self:write(source)
  -- a worker that hangs is aborted, and its core is of no use here
  self.child = processes.execute(('sh -c "ulimit -c 0; exec env %s %s '
    .. 'bin/evws serve %s %s %s"'):format(variables or "",
    os.getenv "LUA" or "lua5.4", self.path,
    options or "--workers 2", words and "-- " .. words or ""))
  return self
end

function kit.kill(pid, signal)
  assert(os.execute(("kill -%s %d"):format(signal or "KILL", pid)))
end

function kit.is_running(pid)
  return os.execute(("kill -0 %d 2>/dev/null"):format(pid)) ~= nil
end

function kit.cleanup()
  t.cleanup()
  processes.cleanup()
  for _, path in ipairs(paths) do os.remove(path) end
  paths = {}
end

return kit
