-- A script in a process of its own, for what would take this one with it.
--
--   child.run(script[, options]) -> the lines it prints, both of its streams,
--     and what pipe:close returns. options: shell, what stands before the
--     command; faults: calls of the system can be refused (probe_faults.c);
--     before: Lua that runs before evws is loaded
--   child.open(script[, options]) -> the pipe that its output comes by; whoever
--     closes it waits for its end
--
-- The script finds `ws`, `probe` (the module) and `log(...)`, which prints its
-- arguments as one line.

local child = {}

local prelude = [[
package.path, package.cpath = %q, %q
os.remove %q
io.stdout:setvbuf "line"
local probe = require "evws_probe"
%s
local ws = require "evws"
local function log(...)
  local list = table.pack(...)
  for i = 1, list.n do list[i] = tostring(list[i]) end
  io.stdout:write(table.concat(list, " "), "\n")
end
local function wait(predicate, limit)
  local last = probe.net.now() + (limit or 80)
  while not predicate() do
    if probe.net.now() > last then error("waited in vain", 2) end
    ws.step(0.01)
  end
end
]]

function child.open(script, options)
  local o = options or {}
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(prelude:format(package.path, package.cpath, path,
    o.before or ""), script)
  file:close()
  local preload = os.getenv "LD_PRELOAD"
  local faults = o.faults and ("env LD_PRELOAD=%s%s/evws_probe.so "):format(
    preload and preload .. ":" or "", os.getenv "EVWS_BUILD") or ""
  return assert(io.popen(("%s exec %s%s %s 2>&1"):format(o.shell or "",
    faults, os.getenv "LUA" or "lua5.4", path)))
end

function child.run(script, options)
  local pipe, lines = child.open(script, options), {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  return lines, pipe:close()
end

return child
