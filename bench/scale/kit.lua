-- What the parts of bench/scale.lua share: processes and numbers.
--
--   kit.spawn(command) -> child         child.pid, child:read() is a line of
--                                       what it says, child:stop() ends it
--   kit.stop_all()                      of what an error has left
--   kit.serve([workers]) -> served      bench/scale/served.lua, alone or in so
--     many workers: served.port, served.pid, which signals go to, and
--     served.pids of those who serve
--   kit.ask(command) -> what it says; an error if it fails
--   kit.redis() -> redis                a redis-server of its own: redis.url,
--                                       redis.path, redis:stop()
--   kit.given(name, default)            a number of the environment
--   kit.run(family, usual, print_row, options)   bench/<family>/<case>.lua for
--     each of CASES, `usual` without: its run(print_row, options)
--   kit.at(list, share)                 of a list of numbers, 0.5: the median

local kit = { lua = arg[-1], build = os.getenv "EVWS_BUILD" or "build/release" }

local child = {}
child.__index = child

local living = {}

function kit.spawn(command)
  local out = assert(io.popen("echo $$; exec " .. command))
  local self = setmetatable({ out = out, pid = out:read("n", "l") }, child)
  living[self] = true
  return self
end

function child:read()
  return assert(self.out:read "l", "it has ended")
end

function child:stop(signal)
  os.execute(("kill -%s %d"):format(signal or "TERM", self.pid))
  self.out:close()
  living[self] = nil
end

function kit.stop_all()
  for each in pairs(living) do each:stop "KILL" end
end

function kit.serve(workers)
  local self = kit.spawn(kit.lua .. (workers and (" bin/evws serve "
    .. "bench/scale/served.lua --workers %d"):format(workers)
    or " bench/scale/served.lua"))
  self.pids = {}
  for i = 1, workers or 1 do
    self.port, self.pids[i] = self:read():match "^ready (%d+) (%d+) 1$"
  end
  return self
end

function kit.ask(command, ...)
  local out <close> = assert(io.popen(command:format(...)))
  local text = out:read "a"
  return out:close() and text or error("failed: " .. command)
end

function kit.redis()
  local directory = kit.ask "mktemp -d":gsub("%s+$", "")
  local path = directory .. "/redis.sock"
  local self = kit.spawn(("redis-server --port 0 --save '' --dir %s "
    .. "--unixsocket %s"):format(directory, path))
  repeat until self:read():find "eady to accept connections"
  self.path, self.url = path, "redis+unix:" .. path
  function self.stop()
    child.stop(self)
    kit.ask("rm -r " .. directory)
  end
  return self
end

function kit.given(name, default)
  return tonumber(os.getenv(name) or "") or default
end

function kit.run(family, usual, print_row, options)
  local cases = os.getenv "CASES" or ""
  if cases == "" then cases = usual end
  for name in cases:gmatch "%S+" do
    local case = require("bench." .. family .. "." .. name)
    local ok, why = xpcall(case.run, debug.traceback, print_row, options)
    if not ok then
      kit.stop_all()
      error(why, 0)
    end
  end
end

function kit.at(list, share)
  table.sort(list)
  return list[math.max(1, math.ceil(#list * share))]
end

return kit
