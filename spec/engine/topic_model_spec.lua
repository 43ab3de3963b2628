-- Topics against a model that sends to each: whatever is subscribed to, left
-- and published in however many turns, everybody gets what was published to
-- its topics while it had them, in the order of publishing, and what is sent
-- to it alone between.

local t = require "spec.helper"

local frame = t.frame

-- A generator of its own: the same on every Lua.
local function random(seed)
  local x = seed
  return function(n)
    x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return (x >> 8) % n + 1
  end
end

local function topic(i) return "topic " .. i end

local function run(seed, n_conns, n_topics, n_turns, options)
  local rnd, conns, raws, expected, has = random(seed), {}, {}, {}, {}
  local server = t.listen { path = "/", on_open = function(conn)
    conns[#conns + 1] = conn
  end, compression = options.compression }
  for i = 1, n_conns do
    raws[i] = t.open(server, options.open)
    t.wait(function() return conns[i] end)
    expected[i], has[i] = {}, {}
  end
  local count = 0
  local function publish(from)
    count = count + 1
    local name, message = topic(rnd(n_topics)), "message " .. count
    local n = 0
    for i = 1, n_conns do
      if has[i][name] and i ~= from then
        n = n + 1
        table.insert(expected[i], message)
      end
    end
    local told = from and conns[from]:publish(name, message)
      or not from and server:publish(name, message)
    assert.equal(n, told)
  end
  local function step()
    local i, what = rnd(n_conns), rnd(10)
    if what <= 3 then
      local name = topic(rnd(n_topics))
      conns[i]:subscribe(name)
      has[i][name] = true
    elseif what == 4 then
      local name = topic(rnd(n_topics))
      assert.equal(has[i][name] or false, (conns[i]:unsubscribe(name)))
      has[i][name] = nil
    elseif what == 5 then
      count = count + 1
      conns[i]:send("alone " .. count)
      table.insert(expected[i], "alone " .. count)
    elseif what == 6 then
      publish(i)
    else
      publish()
    end
  end
  local turns = 0
  local timer = t.ws.every(0.001, function()
    if turns == n_turns then return end
    turns = turns + 1
    for _ = 1, rnd(options.steps or 30) do step() end
  end)
  t.wait(function() return turns == n_turns end, "all turns", 20)
  timer:cancel()
  for i = 1, n_conns do
    for k, message in ipairs(expected[i]) do
      local got = raws[i]:frame(10)
      assert.same(message, got.message or got.payload,
        ("seed %d, connection %d, message %d"):format(seed, i, k))
    end
    local names, listed = {}, conns[i]:topics()
    for name in pairs(has[i]) do names[#names + 1] = name end
    table.sort(names)
    table.sort(listed)
    assert.same(names, listed)
  end
  for k = 1, n_topics do
    local n = 0
    for i = 1, n_conns do n = n + (has[i][topic(k)] and 1 or 0) end
    assert.equal(n, server:subscribers(topic(k)))
  end
end

describe("topics, against a model,", function()
  after_each(t.cleanup)

  for seed = 1, 6 do
    it("with few topics, seed " .. seed, function() run(seed, 4, 3, 40, {}) end)
    it("with many topics, seed " .. seed, function()
      run(seed, 5, 60, 40, { steps = 120 })
    end)
  end

  it("with more in a turn than the log holds", function()
    run(7, 3, 40, 2, { steps = 12000 })
  end)

  it("one connection has 20,000 of them, and lets go of them", function()
    local conn
    local server = t.listen { on_open = function(c) conn = c end }
    local raw = t.open(server)
    t.wait(function() return conn end)
    for i = 1, 20000 do assert(conn:subscribe(topic(i))) end
    assert.equal(20000, #conn:topics())
    for i = 1, 20000, 2 do assert.is_true((conn:unsubscribe(topic(i)))) end
    for i = 1, 20000 do
      assert.equal(i % 2 == 0 and 1 or 0, server:subscribers(topic(i)))
    end
    server:publish(topic(2), "two")
    server:publish(topic(3), "three")
    server:publish(topic(20000), "last")
    raw:expect_frame("text", "two")
    raw:expect_frame("text", "last")
    for i = 2, 20000, 2 do assert.is_true((conn:unsubscribe(topic(i)))) end
    assert.same({}, conn:topics())
    raw:send(frame("close", ""))
    raw:expect_close(1005)
    raw:close()
  end)

  it("each of 300 has its own, all published to in one turn", function()
    local conns, raws = {}, {}
    local server = t.listen { on_open = function(c)
      conns[#conns + 1] = c
      c:subscribe(topic(#conns))
    end }
    for i = 1, 300 do raws[i] = t.open(server) end
    t.wait(function() return #conns == 300 end)
    t.ws.spawn(function()
      for round = 1, 3 do
        for i = 1, 300 do
          assert.equal(1, server:publish(topic(i), round .. " for " .. i))
        end
      end
    end)
    for i = 1, 300 do
      for round = 1, 3 do
        raws[i]:expect_frame("text", round .. " for " .. i)
      end
      raws[i]:close()
    end
  end)
end)

describe("a published message", function()
  after_each(t.cleanup)

  it("is compressed as each subscriber's route says", function()
    local offer = "Sec-WebSocket-Extensions: permessage-deflate"
    local function subscribe(conn) conn:subscribe "news" end
    local server = t.listen { routes = {
      ["/never"] = { on_open = subscribe },
      ["/always"] = { on_open = subscribe, compression = { threshold = 0 } },
      ["/long"] = { on_open = subscribe, compression = { threshold = 200,
        level = 9 } },
    } }
    local raws = {}
    for _, path in ipairs { "/never", "/always", "/long" } do
      raws[path] = t.open(server, { path = path, headers = { offer } })
    end
    t.wait(function() return server:subscribers "news" == 3 end)
    for _, case in ipairs { { 100, false, true, false },
        { 1000, false, true, true } } do
      local message = ("x"):rep(case[1])
      server:publish("news", message)
      for i, path in ipairs { "/never", "/always", "/long" } do
        local got = raws[path]:frame()
        assert.equal(case[i + 1] and 4 or 0, got.rsv, path)
        if got.rsv == 0 then assert.equal(message, got.payload) end
      end
    end
    for _, raw in pairs(raws) do raw:close() end
  end)
end)
