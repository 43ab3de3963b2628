-- A long run of several processes and a Redis: rooms whose members come and go,
-- while workers are replaced and killed, and Redis is restarted. Nobody may be
-- refused but by the death of a worker; no message may be lost inside of a
-- process, come twice, or overtake one of the same publisher; and while Redis
-- is up none may be lost between processes either.
--
--   make soak WORKERS=4 SECONDS=600 CONNECTIONS=2000

local ws = require "evws"

local ROOMS = 20
local SPEAKERS = 10
local SPEAK_EVERY = 0.2 -- seconds
local ACT_EVERY = 7 -- less in a short run, which does all of it as well
local DYING = 3 -- seconds in which a killed worker's clients notice
local AWAY_FOR = 12 -- after a restart of Redis losses are counted apart

-- ---- a worker ----

local function serve()
  local core = require "evws.core"
  local said, server = {}, nil
  server = assert(ws.listen { port = 0, host = "127.0.0.1",
    max_connections = false, message_rate = false, max_queued = 16 << 20,
    routes = { ["/room/:n"] = {
      on_open = function(conn)
        conn:send(("hello %d"):format(core.worker.serial))
        conn:subscribe(conn.params.n)
      end,
      on_message = function(conn)
        local room = conn.params.n
        said[room] = (said[room] or 0) + 1
        server:publish(room, ("%d %d %s"):format(core.worker.serial,
          said[room], ("x"):rep(said[room] % 200)))
      end } } })
  local stat <close> = io.open "/proc/self/stat"
  io.stdout:write(("worker %d %d %s\n"):format(server.port, stat:read "n",
    core.worker.backplane or "none"))
  io.stdout:flush()
  ws.run()
end

-- ---- the clients ----

local count = { opened = 0, got = 0, lost = 0, twice = 0, beyond = 0, away = 0,
  refused = 0, cut = 0, ends = 0, reloads = 0, kills = 0, restarts = 0 }
local base, finish
local away_until, dead_until, pids = 0, 0, {}

local function is_over() return ws.now() >= finish end

local function check(conn, message)
  local serial, n = message:match "^(%d+) (%d+) "
  local own, last = conn.data, conn.data[serial]
  n = tonumber(n)
  count.got = count.got + 1
  if last and n <= last then
    count.twice = count.twice + 1
  elseif last and n > last + 1 then
    local name = serial == own.serial and "lost"
      or ws.now() < away_until and "away" or "beyond"
    count[name] = count[name] + n - last - 1
  end
  own[serial] = n
end

local function member(i)
  while not is_over() do
    local conn, why = ws.connect(("%s/room/%d"):format(base, i % ROOMS),
      { timeout = 60 })
    if not conn and ws.now() < dead_until then
      count.cut = count.cut + 1
    elseif not conn then
      count.refused = count.refused + 1
      io.stderr:write("refused: ", why, "\n")
    else
      count.opened = count.opened + 1
      local hello = conn:receive(60) or "" -- its worker may be dead by now
      conn.data = { serial = hello:match "^hello (%d+)$" }
      local leaves = i % 10 == 0 and ws.now() + 5 + i % 7
      conn:every(SPEAK_EVERY, function()
        if leaves and ws.now() > leaves or is_over() then
          conn:close()
        elseif i <= SPEAKERS then
          conn:send "say"
        end
      end)
      for message in conn:messages() do check(conn, message) end
      count.ends = count.ends + 1
    end
  end
end

-- ---- what is done to the workers ----

local function command(text)
  local process = assert(ws.popen(text))
  local lines = {}
  for line in process:lines() do lines[#lines + 1] = line end
  process:close()
  return table.concat(lines, "\n")
end

local function kill_redis(backplane)
  local path = backplane:match "^redis%+unix:(.*)$"
  local said = command(("redis-cli -s %s info server"):format(path))
  away_until = ws.now() + AWAY_FOR
  command("kill -KILL " .. said:match "process_id:(%d+)")
  count.restarts = count.restarts + 1
end

local function living()
  local list = {}
  for pid in pairs(pids) do
    local file = io.open("/proc/" .. pid .. "/stat")
    if file then
      file:close()
      list[#list + 1] = pid
    else
      pids[pid] = nil
    end
  end
  return list
end

local function act(supervisor, backplane, seconds)
  local began, turn = ws.now(), 0
  local pause = math.min(ACT_EVERY, seconds / 8)
  while ws.now() + pause < finish do
    ws.sleep(pause)
    turn = turn + 1
    local third = (count.restarts + 1) * seconds / 3
    if backplane ~= "none" and count.restarts < 2
      and ws.now() - began > third then
      kill_redis(backplane)
    elseif turn % 2 == 0 then
      local list = living()
      if list[1] then
        dead_until = ws.now() + DYING
        command("kill -KILL " .. list[turn // 2 % #list + 1])
        dead_until = ws.now() + DYING
        count.kills = count.kills + 1
      end
    else
      command("kill -HUP " .. supervisor)
      count.reloads = count.reloads + 1
    end
  end
end

local function report(seconds, n)
  print(("%d connections for %g s: %d opened, %d refused, %d cut by a death, "
    .. "%d ended"):format(n, seconds, count.opened, count.refused,
    count.cut, count.ends))
  print(("%d reloads, %d workers killed, %d restarts of Redis"):format(
    count.reloads, count.kills, count.restarts))
  print(("%d messages: %d lost inside, %d twice or late, %d lost between "
    .. "processes, %d while Redis was away"):format(count.got, count.lost,
    count.twice, count.beyond, count.away))
  local failed = count.got > 0 and 0 or 1
  for _, name in ipairs { "lost", "twice", "beyond", "refused" } do
    if count[name] > 0 then failed = failed + 1 end
  end
  print(("soak-workers: %d passed, %d failed"):format(5 - failed, failed))
  return failed == 0
end

local function run(workers, seconds, n)
  local has_redis = os.execute "command -v redis-server >/dev/null"
    and os.execute "command -v redis-cli >/dev/null"
  local pid_file = os.tmpname()
  local process = assert(ws.popen(("exec %s bin/evws serve %s --workers %d "
    .. "--pid %s %s -- serve"):format(arg[-1], arg[0], workers, pid_file,
    has_redis and "--redis spawn" or "")))
  local first = process:lines()(process)
  local port, pid, backplane = first:match "^worker (%d+) (%d+) (.*)$"
  base, pids[pid] = "ws://127.0.0.1:" .. port, true
  ws.spawn(function()
    for line in process:lines() do
      local other = line:match "^worker %d+ (%d+)"
      if other then pids[other] = true end
    end
  end)
  finish = ws.now() + seconds
  for i = 1, n do
    ws.spawn(member, i)
    if i % 50 == 0 then ws.sleep(0.02) end
  end
  local file <close> = io.open(pid_file)
  local supervisor = file:read "n"
  act(supervisor, backplane, seconds)
  ws.sleep(ACT_EVERY) -- they leave
  command("kill -TERM " .. supervisor)
  process:close(60)
  os.remove(pid_file)
  return report(seconds, n)
end

if arg[1] == "serve" then return serve() end
local is_good
ws.run(function()
  is_good = run(tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3]))
  ws.stop()
end)
os.exit(is_good and 0 or 1, true)
