-- Several Redises as one (src/engine/bus_sums.c, bus_link.c): what is said of
-- all of them, and when they are tried again. They are of our own making.

local t = require "spec.helper"
local redis = require "spec.helper.redis"

local ws = t.ws

if redis.is_missing("several Redises", "hiredis") then return end

-- Topics of the first and the second one of two, by CRC16.
local first, second = "b", "123456789"

describe("several Redises", function()
  local fakes, bus, server, conn

  before_each(function()
    redis.quiet()
    fakes = { redis.fake(), redis.fake() }
  end)

  after_each(function()
    for _, fake in ipairs(fakes) do fake.answers = {} end
    if bus then redis.close { bus } end
    redis.cleanup()
  end)

  local function wait(predicate, what, limit)
    return fakes[1]:wait(function()
      fakes[2]:pump()
      return predicate()
    end, what, limit)
  end

  local function is(state)
    wait(function() return bus.state == state end, state, 20)
  end

  local function begin(options)
    local o = { url = { fakes[1].url, fakes[2].url },
      reconnect = { initial = 0.01, maximum = 0.02 } }
    for name, value in pairs(options or {}) do o[name] = value end
    bus = ws.backplane(o)
    server = t.listen { backplane = bus, on_open = function(c) conn = c end }
    t.open(server)
    t.wait(function() return conn end)
  end

  local function stats() return server:stats().backplane end

  -- Its replies to a word wait until they are let go.
  local function hold(fake, word)
    local held = {}
    fake.answers[word] = function(one, words)
      held[#held + 1] = { one, redis.usual[word](one, words) }
      return ""
    end
    return held, function()
      fake.answers[word] = nil
      for _, row in ipairs(held) do row[1].out = row[1].out .. row[2] end
    end
  end

  it("are up when all are, and away when one is", function()
    local held, let_go = hold(fakes[2], "ROLE")
    begin()
    wait(function() return #held == 2 and #fakes[1].conns == 2 end)
    server:publish(first, "x")
    wait(function()
      for _, one in ipairs(fakes[1].conns) do
        for _, words in ipairs(one.seen) do
          if words[1] == "PUBLISH" then return true end
        end
      end
    end, "the other one to be there")
    assert.equal("connecting", bus.state)
    assert.is_false(stats().up)
    let_go()
    is "up"
    assert.is_true(stats().up)
    for i = 1, 2 do
      fakes[i]:stop()
      is "away"
      assert.is_false(stats().up)
      assert.equal(i - 1, stats().reconnects)
      fakes[i]:start()
      is "up"
      assert.equal(i, stats().reconnects)
    end
  end)

  it("come back as often as they have been there", function()
    fakes[1]:stop()
    fakes[2]:stop()
    begin()
    is "away"
    for i = 1, 2 do fakes[i]:start() end
    is "up"
    assert.equal(0, stats().reconnects)
  end)

  it("are counted together", function()
    begin()
    is "up"
    local before = stats()
    assert.same({ 0, 0, 0, 1, 0 }, { before.published, before.received,
      before.pending_bytes, before.subscriptions,
      before.subscriptions_refused })
    for _, topic in ipairs { first, second, "news" } do
      conn:subscribe(topic)
    end
    assert.equal(4, stats().subscriptions)
    wait(function()
      return fakes[1]:subscribers("evws:t:" .. first) == 1
        and fakes[2]:subscribers("evws:t:" .. second) == 1
    end, "all to be there")
    assert.equal(0, fakes[2]:subscribers("evws:t:" .. first))
    for i, topic in ipairs { first, second } do
      for _ = 1, i do fakes[i]:publish("evws:t:" .. topic, "theirs") end
      server:publish(topic, "ours")
    end
    wait(function() return stats().received == 3 end, "all of theirs")
    assert.equal(2, stats().published)
    for _, topic in ipairs { first, second, "news" } do
      conn:unsubscribe(topic)
    end
    assert.equal(4, stats().subscriptions) -- they stay for a second
    wait(function() return stats().subscriptions == 1 end, "the end of them")
    assert.equal(3, stats().received)
  end)

  it("have refused what any of them has refused", function()
    for _, fake in ipairs(fakes) do
      fake.answers.SUBSCRIBE = function(one, words)
        if words[2]:find "evws:t:" then
          return "-NOPERM No permissions to access a channel\r\n"
        end
        return redis.usual.SUBSCRIBE(one, words)
      end
    end
    begin { reconnect = { initial = 0.01, maximum = 600 } }
    is "up"
    for i, topic in ipairs { first, second } do
      conn:subscribe(topic)
      wait(function() return stats().subscriptions_refused == i end, topic)
      assert.equal(i + 1, stats().subscriptions)
    end
    for i, topic in ipairs { first, second } do
      conn:unsubscribe(topic)
      wait(function() return stats().subscriptions_refused == 2 - i end, topic)
      assert.equal(3 - i, stats().subscriptions)
    end
  end)

  it("keep what waits for any of them, each for its time", function()
    local timeout = 0.4 * t.factor
    begin { pending_timeout = timeout }
    is "up"
    for i = 1, 2 do fakes[i]:stop() end
    is "away"
    wait(function() return tostring(bus):find "away" end)
    local given, before = {}, 0
    for i, topic in ipairs { first, second, first } do
      if i == 3 then
        wait(function() return t.probe.now() > given[2] + timeout / 2 end)
      end
      server:publish(topic, "message")
      given[i] = t.probe.now()
      assert.is_true(stats().pending_bytes >= before + #"message")
      before = stats().pending_bytes
    end
    assert.equal(0, stats().dropped.timeout)
    wait(function() return stats().dropped.timeout == 2 end, "two to be over")
    local now = t.probe.now()
    assert.is_true(now >= given[1] + timeout - 0.01)
    local left = stats().pending_bytes
    assert.is_true(left > 0 and left < before or now > given[3] + timeout)
    wait(function() return stats().dropped.timeout == 3 end, "the third")
    assert.is_true(t.probe.now() >= given[3] + timeout - 0.01)
    assert.equal(0, stats().pending_bytes)
  end)

  it("answer a ping as late as the latest", function()
    begin { ping_interval = 0.1 * t.factor }
    is "up"
    wait(function() return stats().rtt_seconds > 0 end, "a ping")
    for i = 1, 2 do
      local held, let_go = hold(fakes[i], "ROLE")
      wait(function() return #held > 0 end, "the next one")
      local since = t.probe.now()
      wait(function() return t.probe.now() > since + 0.3 end)
      let_go()
      wait(function() return stats().rtt_seconds >= 0.3 end, "that")
      assert.is_true(stats().rtt_seconds < t.probe.now() - since + 1)
      wait(function() return stats().rtt_seconds < 0.3 end, "another", 20)
    end
    assert.equal("up", bus.state)
  end)

  it("are closed when the last of them is", function()
    begin()
    is "up"
    local held, let_go = hold(fakes[2], "PUBLISH")
    for _, topic in ipairs { first, second } do server:publish(topic, "x") end
    wait(function() return #held == 1 end, "what one has not answered")
    bus:close()
    wait(function() return #fakes[1].conns == 0 end, "the other to close")
    assert.equal(2, #fakes[2].conns)
    assert.is_false(stats().up)
    let_go()
    wait(function() return #fakes[2].conns == 0 end, "the last one")
    assert.equal(0, stats().dropped.lost)
  end)
end)

describe("a Redis", function()
  local fake, bus

  before_each(function()
    redis.quiet()
    fake = redis.fake()
  end)

  after_each(function()
    redis.close { bus }
    redis.cleanup()
  end)

  it("that is there for a moment only is tried later and later, and one that "
    .. "has stayed as soon as ever", function()
    local initial = 0.02 * t.factor
    local stays = false
    bus = ws.backplane { url = fake.url,
      reconnect = { initial = initial, maximum = 600 } }
    local server = t.listen { backplane = bus }
    local function is_up() return bus.state == "up" end
    local n, times = 0, {}
    while n < 6 do
      fake:wait(is_up, "it", 60)
      n = n + 1
      times[n] = t.probe.now()
      if not stays then fake:drop() end
      fake:wait(function() return not is_up() end, "the loss")
    end
    -- 1, 2, 4, 8, 16 times as long, each shorter by chance
    assert.is_true(times[6] - times[5] >= 4 * initial)
    assert.is_true(times[6] - times[1] >= 10 * initial)
    fake:wait(is_up, "it", 60)
    local since = t.probe.now()
    fake:wait(function()
      return t.probe.now() > since + 100 * initial
    end, "it to have stayed", 60)
    assert.equal("up", bus.state)
    fake:drop()
    since = t.probe.now()
    fake:wait(function() return not is_up() end, "the loss")
    fake:wait(is_up, "it", 60)
    assert.is_true(t.probe.now() - since < 20 * initial)
    assert.equal(7, server:stats().backplane.reconnects)
  end)
end)
