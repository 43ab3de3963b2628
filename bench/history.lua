-- What a topic with a history costs: the memory of a process beside each kept
-- message, ten thousand clients that come back at once, and, given a Redis,
-- its CPU for each message published to it:
--
--   lua5.4 bench/history.lua [redis+unix:/run/redis/redis.sock]
--
-- The clients are connections of this process too: 10,000 where `ulimit -n` is
-- 20,200 or more, else as many as there is room for. Nothing else may use the
-- Redis meanwhile.

local ws = require "evws"

local url = arg[1]
local message = ("x"):rep(100)
local kept = { ["room"] = { size = 65536, ttl = 300 } }

local function limit()
  local pipe <close> = assert(io.popen "ulimit -n")
  return math.tointeger(tonumber(pipe:read "l")) or 1024
end

local function measure_memory()
  local server <close> = assert(ws.listen { port = 0, history = kept,
    backplane = false })
  server:publish("room", message)
  local before = server:stats().memory
  for i = 2, 65536 do
    server:publish("room", message)
    if i % 1000 == 0 then ws.sleep(0) end
  end
  return (server:stats().memory - before) / 65535 - #message
end

local function measure_recovery(count)
  local opened, got, done = {}, 0, ws.queue(1)
  local server = assert(ws.listen { port = 0, history = kept, backplane = false,
    backlog = 4096, max_pending = 20000,
    on_open = function(conn) opened[#opened + 1] = conn end })
  local clients = {}
  for i = 1, count do
    clients[i] = assert(ws.connect("ws://127.0.0.1:" .. server.port,
      { on_message = function()
        got = got + 1
        if got == 5 * count then done:put(true) end
      end }))
  end
  for _ = 1, 5 do server:publish("room", message) end
  local began, cpu = ws.now(), os.clock()
  for _, conn in ipairs(opened) do
    assert(conn:subscribe("room", { recover = { offset = 0 } }).recovered)
  end
  cpu = os.clock() - cpu
  assert(done:take(60))
  local seconds = ws.now() - began
  for _, conn in ipairs(clients) do conn:terminate() end
  server:close { timeout = 0 }
  return cpu, seconds
end

-- Seconds of CPU that a redis-server at a Unix socket has used.
local function redis_cpu(path)
  local pipe <close> = assert(io.popen("redis-cli -s '" .. path
    .. "' INFO cpu"))
  local text = pipe:read "a"
  return tonumber(text:match "used_cpu_user:([%d.]+)")
    + tonumber(text:match "used_cpu_sys:([%d.]+)")
end

local function measure_redis()
  local path = assert(url:match "^redis%+unix:([^?]+)", "a Unix socket's URL")
  local bus <close> = ws.backplane { url = url, max_queued = 64 << 20,
    pending_timeout = 60 }
  assert(bus:wait(5))
  local server <close> = assert(ws.listen { port = 0, backplane = bus,
    history = { ["room"] = { size = 100, ttl = 300 } } })
  local count = 50000
  assert(server:publish("room", message, "text", { wait = 5 }))
  local before = redis_cpu(path)
  for i = 1, count - 1 do
    server:publish("room", message)
    if i % 64 == 0 then ws.sleep(0) end
  end
  assert(server:publish("room", message, "text", { wait = 30 }))
  return (redis_cpu(path) - before) / count * 1e6
end

assert(ws.run(function()
  print(("beside a kept message of %d bytes  %.1f bytes"):format(#message,
    measure_memory()))
  local count = math.min(10000, (limit() - 200) // 2)
  print(("%d clients come back           %.2f s of CPU, %.2f s until all have "
    .. "all"):format(count, measure_recovery(count)))
  if url then
    print(("Redis, for each message            %.1f us"):format(
      measure_redis()))
  end
end))
