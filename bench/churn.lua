-- What a server keeps of connections that came and went: rounds of many that
-- open, say and hear something, and go. After each round, when the server has
-- been left alone for a moment, what is resident of its memory is told: from
-- the second round on it has to stay where it is.
--
--   make churn [ROUNDS=100] [CONNECTIONS=10000] [DEFLATE=1]
--
-- Ends with 1 when after the last round it is more than a tenth, and 1 MiB,
-- above what it was after the first.

local rounds = tonumber(arg[1]) or 100
local connections = tonumber(arg[2]) or 10000
local is_deflated = arg[3] == "deflate"
local build = os.getenv "EVWS_BUILD" or "build/release"
local MOMENT = 10 -- seconds

local function resident(pid) -- KiB, without what is of files
  local file = assert(io.open("/proc/" .. pid .. "/status"))
  local text = file:read "a"
  file:close()
  return tonumber(text:match "RssAnon:%s*(%d+) kB")
end

local function start()
  local out = assert(io.popen(("echo $$; exec '%s' bench/servers/evws.lua")
    :format(os.getenv "LUA" or "lua5.4")))
  local pid, plain, _, deflate = out:read("n", "n", "n", "n")
  assert(deflate, "the server does not start")
  return { out = out, pid = pid, port = is_deflated and deflate or plain }
end

local function come_and_go(server)
  local out = assert(io.popen(("'%s/evws_load' %s --conns %d --size 1024 "
    .. "--steps %d --limit 600 --stall 120 127.0.0.1 %d /echo"):format(build,
    is_deflated and "--deflate" or "", connections, connections, server.port)))
  out:read "a"
  return out:close()
end

local server = start()
local first, last, is_well = nil, nil, true
print(("%5s %8d KiB"):format("", resident(server.pid)))
for round = 1, rounds do
  is_well = come_and_go(server) and os.execute("sleep " .. MOMENT)
  if not is_well then break end
  last = resident(server.pid)
  first = first or last
  print(("%5d %8d KiB"):format(round, last))
  io.stdout:flush()
end
os.execute("kill " .. server.pid)
server.out:close()
os.exit(is_well and last - first <= first / 10 + 1024)
