-- Workers of one page (src/engine/share.c), with the spec as their supervisor.
--
--   workers.begin(), workers.cleanup()   for before_each and after_each
--   workers.environment(own)   what this process has, but what makes it a
--     worker, and these variables (false: none)
--   workers.page()   the page of these specs
--   workers.start(slot, id, serial[, options]) -> a worker; with options, as
--     text, it listens on self.port and is ready
--   self:run(code)   what this code returns there, as a task with globals of
--     the worker's own: ws, core, server, servers (by the key of their socket),
--     conns, flat (a table as lines) and turned, called after each turn
--   self:listen([options[, key]])   on another socket, too
--   self:stats(), self:others(), self:tell(...), self:sum(...)
--   self:output()    what it has logged
--   self:kill()      its slot is free when it has ended, whatever it had to say

local t = require "spec.helper"

local core = require "evws.core"
local serve = core.serve

local script = [==[
package.path, package.cpath = %q, %q
local core = require "evws.core"
local ws = require "evws"
local env = setmetatable({ core = core, ws = ws, conns = {}, servers = {},
  deltas = {} }, { __index = _G })
local function tell(...)
  local words = table.pack(...)
  for i = 1, words.n do words[i] = tostring(words[i]) end
  assert(core.worker.pass(7, "report", table.concat(words, " ")))
end
function env.flat(list, prefix, into)
  into, prefix = into or {}, prefix or ""
  for key, value in pairs(list) do
    if type(value) == "table" then
      env.flat(value, prefix .. key .. ".", into)
    else
      into[#into + 1] = ("%%s%%s=%%s"):format(prefix, key, value)
    end
  end
  return into
end
core.worker.on("run", function(code)
  ws.spawn(function()
    tell(select(2, pcall(assert(load(code, "=run", "t", env)))))
  end)
end)
while true do
  ws.step(1)
  if env.turned then env.turned() end
end
]==]

local workers, worker, paths, started, fds = {}, {}, {}, {}, {}
local page, page_fd
worker.__index = worker

function workers.environment(own)
  local list = {}
  for _, line in ipairs(serve.environment()) do
    if not line:find "^EVWS_%u+=" or line:find "^EVWS_TIME"
      or line:find "^EVWS_BUILD" or line:find "^EVWS_EMULATED" then
      list[#list + 1] = line
    end
  end
  for name, value in pairs(own) do
    if value then list[#list + 1] = name .. "=" .. value end
  end
  return list
end

function workers.start(slot, id, serial, options)
  local path = os.tmpname()
  paths[#paths + 1] = path
  local source <close> = assert(io.open(path, "w"))
  source:write(script:format(package.path, package.cpath)):flush()
  local control, theirs = serve.control()
  page:set(slot, id, 1, serial)
  local who = ("%d/2/1/%d/%d"):format(id, serial, slot)
  local command = ("exec %s %s >%s.out 2>&1"):format(os.getenv "LUA"
    or "lua5.4", path, path)
  local process = assert(serve.spawn({ "/bin/sh", "-c", command },
    workers.environment { EVWS_CONTROL = theirs, EVWS_PAGE = page_fd,
      EVWS_WORKER = who }, { theirs, page_fd }))
  serve.close(theirs)
  local self = setmetatable({ path = path, control = control, slot = slot,
    process = process, records = {} }, worker)
  started[#started + 1] = self
  if options then self:listen(options) end
  return self
end

function worker:output()
  local file <close> = assert(io.open(self.path .. ".out"))
  return file:read "a"
end

function worker:await(pattern)
  local found
  t.wait(function()
    for _, record in ipairs(self.control:read() or {}) do
      self.records[#self.records + 1] = record[1]
    end
    for i, text in ipairs(self.records) do
      found = text:match(pattern)
      if found then return table.remove(self.records, i) end
    end
    if self.process:poll() then error("it ended: " .. self:output(), 0) end
  end, pattern, 20)
  return found
end

function worker:begin(code)
  if not self.control:send("take run\n", code) then
    error("it ended: " .. self:output(), 0)
  end
end

function worker:report() return self:await "^pass 7 report\n(.*)$" end

function worker:run(code)
  self:begin(code)
  return self:report()
end

-- It listens on a socket of its own, in a place that is the same in all.
function worker:listen(options, key)
  local port, list = assert(serve.open { host = "127.0.0.1", port = 0 })
  fds[#fds + 1] = list[1]
  self:begin(([[
    server = assert(ws.listen { host = "127.0.0.1", port = 0, %s })
    servers[%d] = server
    return "listens"
  ]]):format(options or "", key or 1))
  local n = self:await "^listen (%d+)"
  assert(self.control:send(("listening %s %d %d 0"):format(n, key or 1, port),
    nil, list[1]))
  local said = self:report()
  assert(said == "listens", said)
  self.port = port
  page:state(self.slot, "ready")
end

-- What is in its server's stats.
function worker:stats()
  local list = {}
  local text = self:run "return table.concat(flat(server:stats()), '\\n')"
  for key, value in text:gmatch "([^\n=]+)=([^\n]+)" do
    list[key] = tonumber(value)
  end
  return list
end

function worker:sum(name, numbers)
  return self:run(("return table.concat(core.worker.sum(%q, { %s }), ' ')")
    :format(name, numbers))
end

function worker:tell(name, gauges, numbers)
  self:run(("core.worker.tell(%q, %d, { %s })"):format(name, gauges, numbers))
end

function worker:kill()
  self.process:kill(9)
  t.wait(function() return self.process:poll() end, "its end", 20)
  page:state(self.slot, "free")
end

-- What all others have counted, as this one knows it; that and its own; its
-- own.
function worker:others()
  local list, both, own = {}, {}, {}
  local text = self:run [[
    local all, own = server:stats { all = true }, server:stats()
    return table.concat(flat { all = all, own = own }, "\n")
  ]]
  for key, value in text:gmatch "all%.([^\n=]+)=([^\n]+)" do
    both[key] = tonumber(value)
  end
  for key, value in text:gmatch "own%.([^\n=]+)=([^\n]+)" do
    own[key] = tonumber(value)
  end
  for key, n in pairs(both) do list[key] = n - (own[key] or 0) end
  return list, both, own
end

function workers.page() return page end

function workers.begin() page, page_fd = serve.page() end

function workers.cleanup()
  for _, self in ipairs(started) do
    self.control:close()
    if not self.process:poll() then self.process:kill(9) end
    t.wait(function() return self.process:poll() end, "its end", 20)
  end
  for _, path in ipairs(paths) do
    os.remove(path)
    os.remove(path .. ".out")
  end
  for _, fd in ipairs(fds) do serve.close(fd) end
  serve.close(page_fd)
  started, paths, fds = {}, {}, {}
  t.cleanup()
end

return workers
