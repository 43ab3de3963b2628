-- Processes whose clocks differ share topics, histories and presence: what has
-- a time has it from Redis. The others are processes indeed, whose clocks are
-- more than a year ahead of this one's, and behind it (probe_faults.c), and
-- which count the seconds since their start from another number.

local processes = require "spec.binding.kit"
local redis = require "spec.helper.redis"
local t = require "spec.helper"

if redis.is_missing "processes whose clocks differ" then return end

local seconds = 400 * 24 * 3600
local ttl = 12 -- of presence, which is refreshed at a third of it

local script = [[
local probe = require "evws_probe"
if not probe.faults.is_on() then print "no faults" os.exit(0) end
local before, monotonic = os.time(), probe.net.now()
probe.faults.shift(%d, %d)
local ws = require "evws"
local bus = ws.backplane { url = %q, presence_ttl = %d }
local server
local calls = {}
function calls.publish(_, message)
  return server:publish("room/1", message, "text", { wait = 20 })
end
function calls.history()
  local list, at = server:history "room/1"
  local words = { at.offset, at.epoch }
  for _, one in ipairs(list) do words[#words + 1] = one.message end
  return table.concat(words, " ")
end
function calls.recover(conn, epoch)
  local found = conn:subscribe("room/1", { recover = { offset = 1,
    epoch = epoch } })
  return found.recovered, found.missed
end
function calls.people()
  local words = {}
  for i, one in ipairs(server:presence "lobby") do words[i] = one.id end
  return table.concat(words, " ")
end
server = assert(ws.listen { host = "127.0.0.1", port = 0, backplane = bus,
  history = { ["room/*"] = { size = 10, ttl = 60 } },
  on_open = function(conn)
    if conn.query then
      conn:subscribe("lobby", { presence = { id = conn.query } })
    end
  end,
  on_message = function(conn, message)
    local name, argument = message:match "^(%%S+) ?(.*)$"
    local results = table.pack(calls[name](conn, argument))
    for i = 1, results.n do results[i] = tostring(results[i]) end
    conn:send(table.concat(results, " "))
  end })
ws.run(function()
  assert(bus:wait(60))
  print("port", server.port, os.time() - before, probe.net.now() - monotonic)
  io.stdout:flush()
end)
]]

describe("processes whose clocks differ", function()
  local db, paths

  before_each(function()
    redis.quiet()
    db, paths = redis.start(), {}
  end)

  after_each(function()
    t.cleanup()
    processes.cleanup()
    redis.cleanup()
    for _, path in ipairs(paths) do os.remove(path) end
  end)

  -- -> connect(query) -> call(words) -> reply; nil where nothing can be shifted
  local function begin(ahead)
    local path = os.tmpname()
    paths[#paths + 1] = path
    local file <close> = assert(io.open(path, "w"))
    file:write(script:format(ahead, math.abs(ahead), db.url, ttl))
    file:close()
    local preload = os.getenv "LD_PRELOAD"
    local child = processes.execute(("env LD_PRELOAD=%s%s/evws_probe.so %s %s")
      :format(preload and preload .. ":" or "", os.getenv "EVWS_BUILD",
        os.getenv "LUA" or "lua5.4", path))
    t.wait(function()
      return child:output():find "\n" or child:ended(0)
    end, "the process", 20)
    local port, wall, monotonic =
      child:output():match "^port%s(%d+)%s(%S+)%s(%S+)\n"
    if not port and child:output() == "no faults\n" then return end
    assert(port, child:errors())
    assert.is_true(math.abs(wall - ahead) < seconds / 2, wall)
    local other = math.abs(ahead)
    assert.is_true(math.abs(monotonic - other) < seconds / 2, monotonic)
    return function(query)
      local raw = t.open(tonumber(port), { path = "/" .. (query or "") })
      return function(words)
        raw:send(t.frame("text", words))
        repeat
          local f = raw:frame(20)
          if f.payload:find "^m%d" == nil then return f.payload end
        until false
      end
    end
  end

  -- In the order in which they have come.
  local function all()
    local list = {}
    for i, ahead in ipairs { seconds, 0, -seconds } do
      local connect = begin(ahead)
      if not connect then return end
      list[i] = connect("?" .. i)
      t.wait(function()
        return list[i] "people" == ("1 2 3"):sub(1, 2 * i - 1)
      end, "it to be there", 20)
    end
    return list
  end

  it("see the same people, for as long as they are there", function()
    local list = all()
    if not list then return pending "no clock can be shifted" end
    local members = db:ask("ZRANGE", "evws:x", "0", "-1")
    assert.equal(3, #members)
    for _, member in ipairs(members) do
      local at = db:ask("ZSCORE", "evws:x", member)
      local now = db:ask "TIME"
      local left = tonumber(at) / 1000 - tonumber(now[1])
      assert.is_true(left > -1 and left <= ttl + 1, left)
      t.wait(function()
        return db:ask("ZSCORE", "evws:x", member) ~= at
      end, "it to be said again", 20)
    end
    for _, call in ipairs(list) do assert.equal("1 2 3", call "people") end
  end)

  it("have the same history, and come back to it", function()
    local list = all()
    if not list then return pending "no clock can be shifted" end
    local epoch
    for i, call in ipairs(list) do
      local offset, its = call("publish m" .. i):match "^(%d+) (%w+)$"
      assert.equal(tostring(i), offset)
      assert.equal(epoch or its, its)
      epoch = its
    end
    for _, call in ipairs(list) do
      assert.equal("3 " .. epoch .. " m1 m2 m3", call "history")
      assert.equal("true 2", call("recover " .. epoch))
    end
    local left = db:ask("PTTL", "evws:s:room/1")
    assert.is_true(left > 0 and left <= 60000, left)
  end)
end)
