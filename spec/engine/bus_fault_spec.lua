-- The backplane without memory: each allocation fails once, and every one from
-- each on. Nothing crashes or leaks, local delivery goes on, and when there is
-- memory again it comes back, whole. In builds with faults only; and watches
-- that the system refuses.

local t = require "spec.helper"
local redis = require "spec.helper.redis"
local child = require "spec.helper.child"

local core = require "evws.core"
local ws = t.ws

if redis.is_missing("a backplane without memory", "hiredis") then return end

describe("a backplane", function()
  if not core.fail_at then
    it("comes back when there is memory again", function()
      pending "built without WS_FAULT"
    end)
    return
  end

  local fake, bus, server, conn, raw

  before_each(function()
    ws.log = function() end
    ws.on_error(function() end)
    fake = redis.fake()
    -- every other topic is refused, and whatever is asked for with it
    fake.answers.SUBSCRIBE = function(one, words)
      for _, word in ipairs(words) do
        if word:find "^evws:t:topic %d*[13579]$" then
          return "-NOPERM No permissions to access a channel\r\n"
        end
      end
      return redis.usual.SUBSCRIBE(one, words)
    end
    bus = ws.backplane { url = fake.url,
      reconnect = { initial = 0.005, maximum = 0.01 } }
    server = t.listen { backplane = bus, on_open = function(c)
      conn = c
      c:subscribe "news"
    end }
    raw = t.open(server)
    fake:wait(function() return bus.state == "up" and conn end, "the backplane")
  end)

  after_each(function()
    core.fail_at(0)
    t.cleanup()
    redis.close { bus }
    redis.cleanup()
    ws.on_error(nil)
    ws.log = core.log
  end)

  local function turns(n)
    for _ = 1, n do
      fake:pump()
      t.turn(0)
    end
  end

  -- Whatever of this fails, it fails alone.
  local function live(i)
    pcall(server.publish, server, "news", "a message " .. i)
    pcall(conn.subscribe, conn, "topic " .. i)
    pcall(conn.subscribe, conn, "topic " .. i, { presence = "somebody" })
    pcall(conn.subscribe, conn, "room", { presence = { id = "i" .. i } })
    pcall(ws.spawn, function() pcall(server.presence, server, "room") end)
    pcall(bus.publish, bus, "topic " .. i, ("x"):rep(70000))
    turns(3)
    fake:publish("evws:t:news", "from elsewhere " .. i)
    turns(2)
    fake:drop()
    turns(6)
    pcall(conn.unsubscribe, conn, "topic " .. i)
    pcall(bus.publish, bus, "news", "while it is away")
    turns(6)
  end

  local function check(i)
    core.fail_at(0)
    if conn.state ~= "open" then
      raw:close()
      conn = nil
      raw = t.open(server)
      t.wait(function() return conn end)
    end
    conn:subscribe "news"
    fake:wait(function() return bus.state == "up" end,
      "the backplane, behind allocation " .. i, 20)
    t.turn()
    local text = "proof " .. i
    fake:wait(function()
      for _, one in ipairs(fake.conns) do
        if one.channels["evws:t:news"] then return true end
      end
    end, "the subscription")
    fake:publish("evws:t:news", text)
    local f
    repeat
      fake:wait(function()
        t.turn()
        local ok, got = pcall(raw.frame, raw, 0.02)
        f = ok and got
        return f
      end, text)
    until f.payload == text
  end

  -- The odd ones are refused.
  it("asks for each topic in the end, those that are refused too", function()
    for n = 1, 40 do
      local topic = "topic " .. n .. 1
      core.fail_at(n // 2 + 1, n % 2 == 0)
      pcall(conn.subscribe, conn, topic)
      pcall(conn.subscribe, conn, "topic " .. n .. 2)
      turns(8)
      core.fail_at(0)
      check(n)
      for i = 1, 2 do
        local name, results = "topic " .. n .. i, nil
        ws.spawn(function()
          results = table.pack(conn:subscribe(name, { wait = 60 }))
        end)
        fake:wait(function() return results end, name, 20)
        assert.same(i == 2 and { true } or { nil, "refused" },
          { results[1], results[2] })
        conn:unsubscribe(name)
      end
    end
  end)

  it("is away when it cannot say what nobody wants any more", function()
    conn:subscribe "topic 2"
    turns(5)
    conn:unsubscribe "topic 2"
    core.fail_at(1, true)
    fake:wait(function() return bus.state ~= "up" end, "the loss", 20)
    core.fail_at(0)
    check(1)
    assert.equal(0, fake:subscribers "evws:t:topic 2")
  end)

  for _, every in ipairs { false, true } do
    it(("comes back when %s"):format(every
      and "none of many allocations has worked"
      or "one allocation has failed"), function()
      local step = every and 7 or 3
      for n = 1, 200, step do
        core.fail_at(n, every)
        live(n)
        check(n)
      end
    end)
  end
end)

describe("a backplane whose descriptors cannot be watched", function()
  it("is away, says why, and comes back", function()
    local lines = child.run([[
      local faults = require "evws_probe".faults
      local redis = require "spec.helper.redis"
      assert(faults.is_on())
      local fake = redis.fake()
      local reasons = {}
      ws.log = function(_, event, fields)
        if event == "backplane_lost" then reasons[fields.reason] = true end
      end
      for k = 1, 8 do
        local before = faults.refused()
        faults.refuse_watch(k, 28)
        local bus = ws.backplane { url = fake.url,
          reconnect = { initial = 0.01, maximum = 0.02 } }
        fake:wait(function() return bus.state == "up" end, "it", 20)
        log(k, faults.refused() - before)
        bus:close()
      end
      for reason in pairs(reasons) do log(reason) end
    ]], { faults = true })
    for k = 1, 8 do assert.equal(k .. " " .. k, lines[k]) end
    assert.is_true(#lines > 8)
    for k = 9, #lines do
      assert.is_truthy(lines[k]:find "watched descriptors"
        or lines[k]:find "No space left", lines[k])
    end
  end)
end)
