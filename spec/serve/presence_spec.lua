-- Who is there while workers are replaced and killed: everybody once, and each
-- join and leave is told once and in turn.

local kit = require "spec.serve.kit"
local redis = require "spec.helper.redis"
local t = require "spec.helper"

local ws = t.ws

if redis.is_missing "presence over workers" then return end

local script = [[
local server = assert(ws.listen { host = "127.0.0.1", port = 0,
  on_open = function(conn)
    conn:subscribe("room", { presence = { key = conn.query,
      info = conn.query } })
  end })
say("port", server.port)
say("pid", pid())
]] .. kit.ready .. "run()"

local most = 10 -- people

describe("presence over workers", function()
  local db, bus, conns, opened, wrong, present

  before_each(function()
    ws.log = function() end
    db, conns, opened, wrong, present = redis.start(), {}, {}, {}, {}
  end)

  after_each(function()
    for _, conn in ipairs(conns) do conn:close() end
    bus:close()
    t.wait(function() return tostring(bus):find "closed" end)
    kit.cleanup()
    redis.cleanup()
    ws.log = require "evws.core".log
  end)

  -- Each comes and goes in turn.
  local function hear(_, change, _, _, key)
    local is_join = change == "join"
    if is_join == (present[key] or false) then
      wrong[#wrong + 1] = change .. " " .. key
    end
    present[key] = is_join
  end

  local function begin()
    bus = ws.backplane { url = db.url, on_presence = hear }
    t.wait(function()
      return bus.state == "up"
        and db:ask("PUBSUB", "NUMSUB", "evws:t:\0w")[2] > 0
    end, "the backplane", 20)
    local served = kit.serve(script, "-w 2 --redis " .. db.url)
    served:await("^worker", 2, 30)
    local url = ("ws://127.0.0.1:%d/?n"):format(served:port())
    for i = 1, most do
      opened[i] = 0
      conns[i] = ws.connect(url .. i, { reconnect = { initial = 0.01,
        maximum = 0.05 }, on_open = function()
        opened[i] = opened[i] + 1
      end })
    end
    return served
  end

  -- All of them, none twice, as often as they are said to be; asked again and
  -- again while things happen.
  local function all_are_there(is_count)
    local people = t.pump(bus.presence, bus, "room")
    local seen, is_right = {}, #(people or {}) == most
    for _, one in ipairs(people or {}) do
      assert.is_nil(seen[one.key])
      seen[one.key] = true
      is_right = is_right and is_count(one.count)
    end
    return is_right
  end

  local function is_one(n) return n == 1 end

  local function await(is_count, what)
    t.wait(function()
      if not all_are_there(is_count) then return false end
      for i = 1, most do
        if not present["n" .. i] then return false end
      end
      return true
    end, what, 30)
    assert.same({}, wrong)
  end

  it("shows nobody twice while all are replaced, three times", function()
    local served = begin()
    await(is_one, "everybody")
    for round = 1, 3 do
      served.child:signal "HUP"
      served:await(("^worker %%d+ %d$"):format(round + 1), 2, 30)
      t.wait(function()
        all_are_there(is_one)
        for i = 1, most do
          if opened[i] <= round then return false end
        end
        return true
      end, "everybody to come back", 30)
      await(is_one, "everybody, once")
    end
  end)

  it("shows nobody twice where one is killed", function()
    local served = begin()
    await(is_one, "everybody")
    local pid = tonumber((served.child:wait "^pid (%d+)$"))
    kit.kill(pid)
    served:await("^worker", 3, 30)
    t.wait(function()
      for i = 1, most do
        if conns[i].state ~= "open" then return false end
      end
      return opened[1] + opened[most] > 0
    end, "everybody to come back", 30)
    -- what the dead one has said counts until its time is over
    await(function(n) return n <= 2 end, "everybody, once")
  end)
end)
