-- What a backplane costs, in CPU of this process, and how long a message takes
-- from one backplane to another by way of Redis:
--
--   lua5.4 bench/backplane.lua redis+unix:/run/redis/redis.sock
--
-- A publish is measured with and without a backplane, 64 of them in a turn,
-- one connection having subscribed to another topic. What comes in is
-- published by a process of its own and reaches one subscriber, whose reading
-- counts too. Nothing else may use the Redis meanwhile.

local ws = require "evws"

local url = assert(arg[1], "the URL of a Redis is missing")
local count, in_a_turn = 200000, 64
local message = ("x"):rep(100)

local function listen(backplane)
  return assert(ws.listen { port = 0, backplane = backplane or false,
    on_open = function(conn) conn:subscribe "news" end })
end

local function subscriber(server)
  return assert(ws.connect("ws://localhost:" .. server.port,
    { on_open = function() end, on_message = function() end }))
end

local function backplane()
  local bus = assert(ws.backplane { url = url, max_queued = 64 << 20 })
  assert(bus:wait(5))
  return bus
end

local function publish(server, topic)
  local began = os.clock()
  for _ = 1, count // in_a_turn do
    for _ = 1, in_a_turn do server:publish(topic, message) end
    ws.sleep(0)
  end
  return (os.clock() - began) / count * 1e6
end

local function measure_publish(bus)
  local server <close> = listen(bus)
  local conn = subscriber(server)
  ws.sleep(0.2)
  local cost = publish(server, "other")
  conn:close()
  return cost
end

local function measure_incoming(bus)
  local server <close> = listen(bus)
  local conn = subscriber(server)
  ws.sleep(0.2)
  local child <close> = assert(ws.popen(("%s %s %s publish"):format(arg[-1],
    arg[0], url)))
  local began, before = os.clock(), server:stats().backplane.received
  local function received()
    return server:stats().backplane.received - before
  end
  repeat
    ws.sleep(0.02)
  until received() >= count - in_a_turn
  local cost = (os.clock() - began) / received() * 1e6
  child:read()
  conn:close()
  return cost
end

local function measure_latency(one, other)
  local from <close> = listen(one)
  local to <close> = listen(other)
  local got, times = ws.queue(10), {}
  to:hear("latency", function() got:put(true) end)
  ws.sleep(0.2)
  for i = 1, 5000 do
    local began = ws.now()
    from:publish("latency", message)
    assert(got:take(5))
    times[i] = ws.now() - began
  end
  table.sort(times)
  return times[#times // 2] * 1e3, times[#times * 99 // 100] * 1e3
end

assert(ws.run(function()
  local bus <close> = backplane()
  if arg[2] == "publish" then
    local server <close> = listen(bus)
    return publish(server, "news")
  end
  print(("publish without a backplane   %.2f us"):format(measure_publish()))
  print(("publish with one              %.2f us"):format(measure_publish(bus)))
  print(("what comes in                 %.2f us"):format(measure_incoming(bus)))
  local other <close> = backplane()
  print(("from one to another           %.3f ms, 99 %% in %.3f ms"):format(
    measure_latency(bus, other)))
end))
