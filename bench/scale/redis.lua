-- What a backplane costs, by a redis-server of its own on a Unix socket.

local kit = require "bench.scale.kit"

local redis = {}

local function us(text, name)
  return tonumber(text:match(name .. "%s+([%d.]+) us"))
end

-- bench/backplane.lua measures; here it gets its goals. What else the machine
-- does only adds, so the least of some rounds is told.
local function measure(url, rounds)
  local least = { shared = math.huge, incoming = math.huge, most = math.huge,
    half = math.huge }
  for _ = 1, rounds do
    local said = kit.ask("%s bench/backplane.lua %s", kit.lua, url)
    local alone = us(said, "publish without a backplane")
    local shared = us(said, "publish with one")
    if shared - alone < least.shared then
      least.shared, least.alone = shared - alone, alone
    end
    least.incoming = math.min(least.incoming, us(said, "what comes in"))
    local half, most = said:match "other%s+([%d.]+) ms, 99 %% in ([%d.]+) ms"
    least.half = math.min(least.half, tonumber(half))
    least.most = math.min(least.most, tonumber(most))
  end
  return least
end

local function cost(row, url, rounds)
  local least = measure(url, rounds)
  row("publish, 64 in a turn, 100 bytes: CPU beyond that without a backplane",
    "at most 0.4 us", ("%.2f us (without one %.2f)"):format(least.shared,
    least.alone), least.shared <= 0.4)
  row("a message that comes in, until it has left to one subscriber: CPU",
    "at most 0.35 us", ("%.2f us"):format(least.incoming),
    least.incoming <= 0.35)
  row("from one backplane to another, idle", "50 % in 0.15 ms, 99 % in 1 ms",
    ("50 %% in %.3f ms, 99 %% in %.3f ms"):format(least.half, least.most),
    least.half <= 0.15 and least.most <= 1)
end

-- redis-benchmark publishes; so many processes have subscribed.
local function rate(row, db, options)
  local count, subscribers = 1000000, {}
  for i = 1, options.workers do
    subscribers[i] = kit.spawn(("%s bench/scale/subscriber.lua %s"):format(
      kit.lua, db.url))
    assert(subscribers[i]:read() == "ready")
  end
  local said = kit.ask("redis-benchmark -s %s -q -P 64 -c 2 -n %d PUBLISH "
    .. "evws:t:news %s", db.path, count, ("x"):rep(100))
  kit.ask("redis-cli -s %s PUBLISH evws:t:news end", db.path)
  local per_second = tonumber(said:match "([%d.]+) requests per second")
  local least = count
  for _, each in ipairs(subscribers) do
    least = math.min(least, tonumber((each:read())))
    each:stop "KILL"
  end
  row(("messages of 100 bytes through one Redis to %d processes"):format(
    options.workers), "at least 400,000 a second, all arrive",
    ("%.0f a second, %d of %d arrived everywhere"):format(per_second, least,
    count), per_second >= 400000 and least == count)
end

local function bytes_of_a_topic(url)
  return tonumber((kit.ask("%s bench/scale/topics.lua %s", kit.lua, url)))
end

local function memory(row, url)
  local alone, shared = bytes_of_a_topic "", bytes_of_a_topic(url)
  row("memory of a topic with one subscriber, beyond that without a backplane",
    "at most 16 bytes", ("%.0f bytes (without one %.0f)"):format(shared - alone,
    alone), shared - alone <= 16)
  local said = kit.ask("%s bench/history.lua", kit.lua)
  local kept = tonumber(said:match "message of 100 bytes%s+([%d.]+) bytes")
  row("memory of a message of 100 bytes that a history keeps, beyond these",
    "at most 48 bytes", ("%.0f bytes"):format(kept), kept <= 48)
end

function redis.run(row, options)
  local db = kit.redis()
  cost(row, db.url, math.ceil(options.rounds / 2))
  rate(row, db, options)
  memory(row, db.url)
  db:stop()
end

return redis
