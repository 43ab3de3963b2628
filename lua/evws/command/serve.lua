-- The command line of `evws serve`, read by the table in serve_manual.lua.

local manual = require "evws.command.serve_manual"
local words = require "evws.command.words"
local fail, number = words.fail, words.number

local serve = {}

-- What others call it.
local others = {
  ["--cluster"] = "--workers",
  ["--instances"] = "--workers",
  ["--pidfile"] = "--pid",
  ["--processes"] = "--workers",
  ["--graceful-timeout"] = "--grace",
  ["--timeout"] = "--hang",
  ["--port"] = "the script's ws.listen says it",
}

local WORKERS_MAX = 128

-- What is done with a value; others are kept as they are.
local take = {
  workers = function(o, text)
    o.workers = number("workers", text, 1, true)
    if o.workers > WORKERS_MAX then
      fail("--workers: at most %d, not '%s'", WORKERS_MAX, text)
    end
  end,
  grace = function(o, text) o.grace = number("grace", text, 0) end,
  linger = function(o, text) o.linger = number("linger", text, 0) end,
  ready = function(o, text) o.ready = number("ready", text, 0.001) end,
  hang = function(o, text) o.hang = number("hang", text, 0) end,
  ["close-code"] = function(o, text)
    local code = math.tointeger(tonumber(text))
    local is_good = code and (code >= 1000 and code <= 1014
      and code ~= 1004 and code ~= 1005 and code ~= 1006
      or code >= 3000 and code <= 4999)
    if not is_good then
      fail("--close-code: a code that may be sent expected, not '%s'", text)
    end
    o.close_code = code
  end,
  redis = function(o, text)
    if text ~= "spawn" and not text:find "^rediss?://."
      and not text:find "^redis%+unix:." then
      fail("--redis: redis://HOST, redis+unix:/PATH or spawn expected, not "
        .. "'%s'", text)
    end
    o.redis = text
  end,
}

-- Those that this process may run on.
local function cores()
  local pipe = io.popen "nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null"
  local n = pipe:read "n"
  pipe:close()
  return math.min(math.tointeger(n) or 1, WORKERS_MAX)
end

-- What ran this script.
local function interpreter(list)
  local i = 0
  while list[i - 1] do i = i - 1 end
  return list[i]
end

--- list: of the command, its first word "serve" -> what evws.serve takes; what
--- is wrong is raised as { usage = text }.
function serve.read(list)
  local o, rest, behind = words.read(table.move(list, 2, #list, 1, {}),
    manual.groups, take, others)
  if o.help then return o end
  if #rest == 0 then fail "a script is missing" end
  if #rest > 1 then
    fail("'%s' stands behind the script (its arguments stand behind --)",
      rest[2])
  end
  o.script, o.arguments = rest[1], behind
  o.workers = o.workers or cores()
  o.lua = o.lua or interpreter(list)
  for name, value in pairs(manual.defaults) do
    if o[name] == nil then o[name] = value end
  end
  return o
end

return serve
