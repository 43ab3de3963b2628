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
--   served:await(pattern[, n[, limit]])   waits for so many of them
--   served:open_at(generation) -> conn   to a worker of this one: whoever is
--     to go accepts until it hears of it
--   served:deal(least, done) -> by_id   opens connections, which stay, until
--     there are so many and done(by_id) holds, where by_id says how many each
--     worker got; a worker that was held up gets the more afterwards
--   kit.echo           a script: answers each message with "id generation
--     pid"; says "worker ID GENERATION" when it serves, and minds signals
--   kit.ready          a script's run(): ws.run, which says that line
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

kit.ready = [[
local function run()
  return ws.run(function()
    say("worker", ws.worker.id, ws.worker.generation)
  end)
end
]]

kit.echo = [[
local server = assert(ws.listen { host = "127.0.0.1", port = 0,
  on_message = function(conn)
    conn:send(("%d %d %d"):format(ws.worker.id, ws.worker.generation, pid()))
  end })
say("port", server.port)
]] .. kit.ready .. [[
say("end", ws.worker.id, run())
]]

local served = {}
served.__index = served

local paths, running = {}, {}

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

function served:open_at(generation)
  while true do
    local client = self:open()
    if select(2, self:who(client)) == generation then return client end
    client:close()
  end
end

function served:deal(least, done)
  local by_id, n = setmetatable({}, { __index = function() return 0 end }), 0
  repeat
    n = n + 1
    if n > 10 * least then error("so many connections, and not dealt", 2) end
    if n > least then t.turn(0.1) end -- somebody is held up
    local id = self:who(self:open())
    by_id[id] = by_id[id] + 1
  until n >= least and done(by_id, n)
  return by_id
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
  running[#running + 1] = self.child
  return self
end

function kit.kill(pid, signal)
  assert(os.execute(("kill -%s %d"):format(signal or "KILL", pid)))
end

function kit.is_running(pid)
  return os.execute(("kill -0 %d 2>/dev/null"):format(pid)) ~= nil
end

-- By its own end, at which it counts what was reached (make coverage); who
-- cannot (it is stopped, say) is killed.
local function finish(child)
  for _ = 1, 2 do
    if child:ended(0) then return end
    child:signal "TERM"
    if pcall(child.ended, child, 0.5) then return end
  end
end

function kit.cleanup()
  local ok, why = pcall(t.cleanup)
  for _, child in ipairs(running) do pcall(finish, child) end
  running = {}
  processes.cleanup()
  for _, path in ipairs(paths) do os.remove(path) end
  paths = {}
  if not ok then error(why, 0) end
end

return kit
