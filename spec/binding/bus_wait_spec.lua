-- What waits until Redis knows of a topic (src/binding/bus_wait.c): `wait` of
-- conn:subscribe and server:hear, against a Redis that confirms when it is told
-- to.

local redis = require "spec.helper.redis"
local refused = require "spec.binding.kit".refused_call
local t = require "spec.helper"

if redis.is_missing("what waits for Redis", "hiredis") then return end

local ws = t.ws
local function note() end

local long = 1000 -- seconds: the spec would be over before

describe("what waits until Redis knows of it", function()
  local fake, bus, server, conn, held

  before_each(function()
    redis.quiet()
    ws.on_error(note) -- of coroutines that were closed
    fake, held = redis.fake(), {}
    fake.answers.SUBSCRIBE = function(to, words)
      local bytes = redis.usual.SUBSCRIBE(to, words)
      if not held then return bytes end
      held[#held + 1] = function() to.out = to.out .. bytes end
      return ""
    end
    bus = redis.backplane { url = fake.url, timeout = 600,
      ping_interval = 600 }
    server = t.listen { backplane = bus,
      on_open = function(c) conn = c end }
    fake:wait(function() return held[1] end)
    held[1]()
    fake:wait(function() return bus.state == "up" end, "the backplane", 20)
    t.open(server)
    t.wait(function() return conn end)
    held = {}
  end)
  after_each(function()
    collectgarbage "restart"
    ws.on_error(nil)
    conn, held = nil, nil
    redis.cleanup()
  end)

  -- Its results are in what is returned, when it has returned; is_quick: it has
  -- done so without waiting.
  local function begin(fn, ...)
    local got = { has_waited = false }
    ws.spawn(function(...)
      local list = table.pack(pcall(fn, ...))
      table.move(list, 1, list.n, 1, got)
      got.is_over, got.is_quick = true, not got.has_waited
    end, ...)
    ws.spawn(function() got.has_waited = true end)
    return got
  end

  local function confirm()
    fake:wait(function() return held[1] end, "SUBSCRIBE", 20)
    for _, let_go in ipairs(held) do let_go() end
    held = {}
  end

  local function over(got)
    fake:wait(function() return got.is_over end, "it to return", 20)
    return got
  end

  it("returns when Redis has said so", function()
    local one = begin(conn.subscribe, conn, "a", { wait = long })
    local two = begin(server.hear, server, "b", note, { wait = long })
    fake:wait(function() return held[1] end)
    assert.is_nil(one.is_over or two.is_over)
    confirm()
    assert.is_true(over(one)[2])
    t.contains(tostring(over(two)[2]), "hears")
    -- and at once where it is known already
    local three <close> = server:hear("a", note, { wait = long })
    assert.is_true(conn:subscribe("b", { wait = long }))
    t.contains(tostring(three), "hears")
  end)

  it("returns why not, and it is in all the same", function()
    local hearer, why = server:hear("a", note, { wait = 0 })
    assert.same({ "timeout", true }, { why, hearer:cancel() })
    assert.same({ nil, "timeout" }, { conn:subscribe("b", { wait = 0 }) })
    assert.equal(1, server:subscribers "b")
    local one = begin(conn.subscribe, conn, "c", { wait = 0.01 })
    over(one)
    assert.equal(1, server:subscribers "c")
    local got = begin(function()
      local h, reason = server:hear("d", note, { wait = 0.01 })
      return h:cancel(), reason
    end)
    assert.same({ true, true, "timeout" }, { table.unpack(over(got), 1, 3) })
    local two = begin(server.hear, server, "e", note, { wait = long })
    fake:wait(function() return held[1] end)
    bus:close()
    fake:drop()
    over(two)
    assert.equal("closed", two[3])
    two[2]:cancel()
  end)

  it("does not wait anew for a Redis that has long been away", function()
    local heard = {}
    fake:stop()
    t.wait(function() return bus.state == "away" end, "Redis to go", 20)
    local since = ws.now()
    t.wait(function() return ws.now() - since > 0.02 end)
    local got = begin(server.hear, server, "a", function(message)
      heard[1] = message
    end, { wait = 0.02 })
    assert.same({ true, "timeout" }, { over(got).is_quick, got[3] })
    got = begin(conn.subscribe, conn, "a", { wait = 0.02 })
    assert.same({ true, "timeout" }, { over(got).is_quick, got[3] })
    assert.equal(1, (server:publish("a", "here")))
    t.wait(function() return heard[1] end)
    -- who wants to wait for longer does, and it comes back
    local one = begin(conn.subscribe, conn, "b", { wait = long })
    held = nil
    fake:start()
    assert.is_true(over(one)[2])
  end)

  it("needs no Redis for what is of this process alone", function()
    local hearer <close> = server:hear("a", note, { here = true, wait = long })
    assert.is_true(conn:subscribe("a", { here = true, wait = long }))
    t.contains(tostring(hearer), "hears")
    local alone = t.listen {}
    local other <close> = alone:hear("a", note, { wait = long })
    t.contains(tostring(other), "hears")
  end)

  -- Nobody has its handle.
  it("leaves no hearer of a task that is cancelled", function()
    local heard = 0
    local task = ws.spawn(function()
      local hearer <close> = server:hear("a", function() heard = heard + 1 end,
        { wait = long })
      ws.sleep(tonumber(tostring(hearer) and long))
    end)
    fake:wait(function() return held[1] end)
    task:cancel()
    fake:wait(function() return select(2, task:wait(0)) == "cancelled" end)
    server:publish("a", "x")
    for _ = 1, 5 do t.turn(0) end
    assert.equal(0, heard)
    confirm()
    fake:wait(function() return fake:subscribers "evws:t:a" == 0 end, "its end",
      20)
  end)

  -- A coroutine that waits for a topic, and is closed. Nothing has it any more.
  local function close_one(what, topic, fn)
    local co
    if what == "recover" then
      local kept = t.listen { backplane = bus, history = { ["*"] = { size = 9,
        ttl = 9 } }, on_open = function(c) conn = c end }
      conn = nil
      t.open(kept)
      t.wait(function() return conn end)
    end
    ws.spawn(function()
      co = coroutine.running()
      if what == "hear" then
        server:hear(topic, fn, { wait = long })
      else
        conn:subscribe(topic, { wait = what == "timeout" and 0.05 or long,
          recover = what == "recover" and {} or nil })
      end
    end)
    fake:wait(function() return held[1] end)
    coroutine.close(co)
  end

  for _, what in ipairs { "hear", "subscribe", "recover" } do
    it("is over with its coroutine: " .. what, function()
      local heard, topic = 0, ("a"):rep(100)
      close_one(what, topic, function() heard = heard + 1 end)
      collectgarbage()
      collectgarbage()
      server:publish(topic, "x")
      confirm()
      for _ = 1, 5 do
        fake:pump()
        t.turn(0)
      end
      assert.equal(0, heard)
    end)
  end

  for _, what in ipairs { "hear", "subscribe", "timeout", "recover" } do
    it("is over with its coroutine, which stays a while: " .. what, function()
      collectgarbage "stop"
      close_one(what, "a", note)
      local since = ws.now()
      t.wait(function() return ws.now() - since > 0.06 end)
      confirm()
      for i = 1, 3 do -- news, and news again
        conn:subscribe("b" .. i)
        confirm()
        fake:wait(function() return fake:subscribers("evws:t:b" .. i) > 0 end)
        t.turn(0)
      end
      collectgarbage "restart"
      collectgarbage()
    end)
  end

  it("ends when nobody wants it any more", function()
    local one = begin(conn.subscribe, conn, "a", { wait = long })
    ws.spawn(function() conn:unsubscribe "a" end)
    assert.same({ nil, "unsubscribed" }, { table.unpack(over(one), 2, 3) })
    local two = begin(conn.subscribe, conn, "b", { wait = long })
    fake:wait(function() return held[1] end) -- it has been asked for
    conn:unsubscribe "b"
    assert.same({ nil, "unsubscribed" }, { table.unpack(over(two), 2, 3) })
  end)

  it("counts from when Redis began to say nothing", function()
    local one = begin(conn.subscribe, conn, "a", { wait = 0.05 })
    fake:wait(function() return held[1] end)
    over(one)
    local since = ws.now()
    t.wait(function() return ws.now() - since > 0.05 end)
    local two = begin(conn.subscribe, conn, "b", { wait = 0.05 })
    assert.same({ true, "timeout" }, { over(two).is_quick, two[3] })
    fake:stop() -- which is not noticed earlier than now
    t.wait(function() return bus.state == "away" end, "Redis to go", 20)
    local three = begin(conn.subscribe, conn, "c", { wait = 0.05 })
    assert.same({ true, "timeout" }, { over(three).is_quick, three[3] })
  end)

  it("is judged", function()
    t.contains(refused(server, "hear", "a", note, { wait = -1 }),
      "bad option 'wait' (seconds of at least 0 expected")
    t.contains(refused(server, "hear", "a", note, { wait = "1" }),
      "bad option 'wait' (seconds of at least 0 expected")
  end)

  local function keep()
    local kept = t.listen { backplane = bus, history = { ["*"] = { size = 9,
      ttl = 9 } }, on_open = function(c) conn = c end }
    conn = nil
    t.open(kept)
    t.wait(function() return conn end)
    return kept
  end

  it("is closed while the backplane closes", function()
    local kept = keep()
    bus:close()
    assert.same({ nil, "closed" }, { kept:history "a" })
    assert.same({ nil, "closed" }, { conn:subscribe("a", { recover = {} }) })
    assert.same({ nil, "closed" }, { kept:presence "a" })
    assert.same({ nil, "closed" }, { server:hear("a", note,
      { wait = long }):cancel() and nil, "closed" })
  end)

  -- The server has ended what the task waits for; then the task ends.
  it("is over with its server, and its task after it", function()
    local task = ws.spawn(function()
      return server:hear("a", note, { wait = long })
    end)
    fake:wait(function() return held[1] end)
    local ended
    ws.spawn(function() ended = server:close { timeout = 0 } or true end)
    fake:wait(function() return ended end, "the server to close", 20)
    task:cancel()
    fake:wait(function() return select(2, task:wait(0)) ~= "timeout" end)
    collectgarbage()
    assert.same({ nil, "closed" }, { server:hear("b", note) })
  end)

  it("has no hearer where there is no memory to wait", function()
    local memory = require "evws_probe".memory
    local heard, n, got = 0, 0
    local function hear()
      heard = heard + 1
    end
    memory.refuse()
    repeat
      collectgarbage()
      local topic = "topic " .. n
      got = nil
      local task = ws.spawn(function()
        memory.refuse(n)
        local ok, why = pcall(server.hear, server, topic, hear,
          { wait = long })
        memory.refuse()
        got = { ok, why }
      end)
      ws.spawn(function() memory.refuse() end)
      for _ = 1, 3 do t.turn(0) end
      memory.refuse()
      local waits = select(2, task:wait(0)) == "timeout"
      if waits then
        task:cancel()
        fake:wait(function() return got end)
      end
      if got and not waits then
        assert.is_false(got[1])
        t.contains(tostring(got[2]), "not enough memory")
      end
      server:publish(topic, "x") -- nobody hears it
      for _ = 1, 3 do t.turn(0) end
      n = n + 1
    until waits or n == 200
    t.contains(tostring(got[2]), "cancelled")
    assert.same({ 0, true }, { heard, n > 2 })
  end)

  it("knows nobody where Redis is lost before it has said so", function()
    fake.answers.EVALSHA = function() return "" end
    fake.answers.EVAL = fake.answers.EVALSHA
    local got = begin(server.presence, server, "a")
    for _ = 1, 5 do
      fake:pump()
      t.turn(0)
    end
    assert.is_nil(got.is_over)
    fake:drop()
    over(got)
    assert.same({ true, nil, "backplane away" }, { table.unpack(got, 1, 3) })
  end)
end)
