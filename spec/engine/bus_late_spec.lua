-- Answers of Redis that come late, to something that is not any more, or that
-- are no (src/engine/bus_presence.c, bus_subscriber.c, bus_link.c): from a
-- Redis of our own making, which answers when the spec says so.

local t = require "spec.helper"
local redis = require "spec.helper.redis"

local ws = t.ws
local reply = redis.reply

if redis.is_missing("answers that come late", "hiredis") then return end

local nobody = ("\0"):rep(8)

describe("answers that come late", function()
  local fake, bus, server, conns, told

  before_each(function()
    redis.quiet()
    fake, conns, told = redis.fake(), {}, {}
    fake.answers.EVAL = function() return reply(0) end
  end)

  after_each(redis.cleanup)

  local function begin(options, is_deaf)
    local o = { url = fake.url, timeout = 60,
      reconnect = { initial = 0.001, maximum = 0.002, jitter = 0 } }
    for name, value in pairs(options or {}) do o[name] = value end
    bus = redis.backplane(o)
    o = { backplane = bus, history = { ["room/*"] = { size = 9, ttl = 60 } },
      on_open = function(conn) conns[#conns + 1] = conn end,
      on_presence = function(_, change, id) told[#told + 1] = change .. id end }
    if is_deaf then o.on_presence = nil end
    server = t.listen(o)
    fake:wait(function() return bus.state == "up" end, "the backplane", 20)
  end

  local function enter()
    local raw, n = t.open(server), #conns
    fake:wait(function() return conns[n] end, "a connection", 20)
    return conns[n], raw
  end

  local function turns()
    for _ = 1, 20 do
      fake:pump()
      t.turn(0)
    end
  end

  local function run(fn, ...)
    local one = {}
    one.task = ws.spawn(function(...)
      one.results = table.pack(fn(...))
    end, ...)
    function one.ended()
      fake:wait(function() return one.results end, "the end of a task", 20)
      return table.unpack(one.results, 1, one.results.n)
    end
    return one
  end

  -- Commands with this word, which wait for `answer`; what is answered then.
  local function hold(word, is_it)
    local usual = fake.answers[word] or redis.usual[word]
    local held = {}
    fake.answers[word] = function(conn, words)
      if not is_it(words) then return usual(conn, words) end
      held[#held + 1] = { conn = conn, words = words }
      return ""
    end
    function held.come(n)
      fake:wait(function() return #held >= n end, word, 20)
    end
    function held.answer(i, bytes)
      local one = held[i]
      one.conn.out = one.conn.out .. (bytes or usual(one.conn, one.words))
      turns()
    end
    function held.over() fake.answers[word] = usual end
    return held
  end

  local function is_list(words) return words[7] == nobody and #words == 8 end
  local function is_put(words) return #words == 9 end
  local function is_drop(words) return #words == 8 and words[7] ~= nobody end

  local function evals(is_it)
    local n = 0
    for _, conn in ipairs(fake.conns) do
      for _, words in ipairs(conn.seen) do
        if words[1] == "EVAL" and is_it(words) then n = n + 1 end
      end
    end
    return n
  end

  it("to who asked who is there are for who still waits", function()
    begin()
    local held = hold("EVAL", is_list)
    local function entry(id)
      return { "enode0001" .. id, string.pack(">I8 s4 I4 s2", 1, "{}", 1, id) }
    end
    local first = run(server.presence, server, "a")
    local second = run(server.presence, server, "b")
    local third = run(server.presence, server, "c")
    held.come(3)
    first.task:cancel()
    turns()
    held.answer(1, reply(entry "ann"))
    held.answer(2, reply(entry "bob"))
    assert.equal("bob", second.ended()[1].id)
    third.task:cancel()
    turns()
    held.answer(3, "-ERR WRONGTYPE\r\n")
    local fourth = run(server.presence, server, "d")
    held.come(4)
    held.answer(4, "-WRONGTYPE it is another\r\n")
    assert.same({ nil, "refused" }, { fourth.ended() })
    assert.is_nil(first.results)
    -- and one that is refused where nobody waits
    local fifth = run(server.presence, server, "e")
    local sixth = run(server.presence, server, "f")
    held.come(6)
    fifth.task:cancel()
    turns()
    held.answer(5, "-WRONGTYPE it is another\r\n")
    held.answer(6, reply(entry "eve"))
    assert.equal("eve", sixth.ended()[1].id)
    assert.equal("up", bus.state)
    assert.equal(0, server:stats().backplane.reconnects)
  end)

  it("are nothing where the connection was lost meanwhile", function()
    begin()
    local held = hold("EVAL", is_list)
    local one = run(server.presence, server, "a")
    local other = run(server.presence, server, "b")
    held.come(2)
    one.task:cancel()
    fake:drop()
    assert.same({ nil, "backplane away" }, { other.ended() })
    held.over()
    fake:wait(function() return bus.state == "up" end, "it to be back", 20)
    fake.answers.EVAL = function(_, words)
      return is_list(words) and reply {} or reply(0)
    end
    assert.same({}, (run(server.presence, server, "a").ended()))
  end)

  it("are asked on for while there is more to sweep", function()
    local left = 1200
    fake.answers.EVAL = function(_, words)
      if #words ~= 7 then return reply(0) end
      local n = math.min(left, 500)
      left = left - n
      return reply(n)
    end
    begin()
    fake:wait(function() return left == 0 end, "the end of the sweep", 20)
    turns()
    assert.equal(3, evals(function(words) return #words == 7 end))
  end)

  it("say nothing of who came and left while Redis was away", function()
    begin()
    fake:stop()
    fake:wait(function() return bus.state ~= "up" end, "the loss", 20)
    local conn = enter()
    conn:subscribe("hall", { presence = { id = "ann" } })
    turns()
    conn:unsubscribe "hall"
    conn:subscribe("hall", { presence = { id = "bob" } })
    turns()
    fake:start()
    fake:wait(function() return bus.state == "up" end, "it to be back", 20)
    fake:wait(function() return evals(is_put) > 0 end, "bob", 20)
    for _, one in ipairs(fake.conns) do
      for _, words in ipairs(one.seen) do
        if words[1] == "EVAL" then
          assert.is_nil(words[8] and words[8]:find "ann")
        end
      end
    end
    assert.equal(0, evals(is_drop))
  end)

  -- Passes of somebody else, who has as many: what is due here has come by.
  local function pass_by()
    local other, n = redis.fake(), 0
    other.answers.EVAL = function()
      n = n + 1
      return reply(0)
    end
    t.listen { backplane = redis.backplane { url = other.url,
      presence_ttl = 0.003 }, on_presence = function() end }
    other:wait(function()
      fake:pump()
      return n > 5
    end, "others' passes", 20)
    other:stop()
  end

  it("are of what was said first, and what changed meanwhile follows",
    function()
      begin { presence_ttl = 0.003 }
      local conn = enter()
      local said = {}
      fake.answers.EVAL = function(_, words)
        if is_put(words) or is_drop(words) then
          said[#said + 1] = words[9] and words[9]:match "%d$" or "drop"
        end
        return reply(0)
      end
      fake.is_idle = function(one) return not next(one.channels) end
      local function is(id)
        conn:subscribe("hall", { presence = { id = "ann", info = id } })
        turns()
      end
      is "1"
      pass_by()
      is "2"
      is "3"
      assert.same({}, said)
      fake.is_idle = nil
      fake:wait(function() return #said > 1 end, "what changed", 20)
      assert.same({ "1", "3" }, { said[1], said[2] })
      fake.is_idle = function(one) return not next(one.channels) end
      is "4"
      conn:unsubscribe "hall"
      turns()
      pass_by()
      fake.is_idle = nil
      fake:wait(function() return said[#said] == "drop" end, "her leave", 20)
      local n = #said
      pass_by()
      assert.equal(n, #said)
      for i = 3, n - 1 do assert.is_true(said[i] == "3" or said[i] == "4") end
    end)

  it("end the passes of who has nobody to tell of, or to listen", function()
    begin({ presence_ttl = 0.003 }, true)
    local conn = enter()
    conn:subscribe("hall", { presence = { id = "ann" } })
    fake:wait(function() return evals(is_put) > 3 end, "passes", 20)
    conn:unsubscribe "hall"
    fake:wait(function() return evals(is_drop) > 0 end, "her leave", 20)
    pass_by()
    local before = evals(is_put) + evals(is_drop)
    pass_by()
    assert.equal(before, evals(is_put) + evals(is_drop))
    conn:subscribe("hall", { presence = { id = "bob" } }) -- they begin again
    before = evals(is_put)
    fake:wait(function() return evals(is_put) > before + 3 end, "passes", 20)
  end)

  it("to a subscription that is over count for nothing", function()
    begin()
    local held = hold("SUBSCRIBE", function(words)
      return words[2] == "evws:t:a"
    end)
    local conn, raw = enter()
    conn:subscribe "a"
    held.come(1)
    conn:unsubscribe "a"
    fake:wait(function() -- it stays for a second
      for _, one in ipairs(fake.conns) do
        for _, words in ipairs(one.seen) do
          if words[1] == "UNSUBSCRIBE" then return true end
        end
      end
    end, "UNSUBSCRIBE", 20)
    local again = run(conn.subscribe, conn, "a", { wait = 60 })
    held.come(2)
    held.answer(1)
    assert.is_nil(again.results) -- it was another's
    held[1].conn.channels["evws:t:a"] = nil
    held.answer(2)
    assert.is_true(again.ended())
    fake:publish("evws:t:a", "here")
    turns()
    raw:expect_frame("text", "here", 20)
    -- nobody has it any more when it is confirmed
    held.over()
    held = hold("SUBSCRIBE", function(words)
      return words[2] == "evws:t:b"
    end)
    conn:subscribe "b"
    held.come(1)
    conn:unsubscribe "b"
    fake:wait(function()
      local n = 0
      for _, one in ipairs(fake.conns) do
        for _, words in ipairs(one.seen) do
          if words[1] == "UNSUBSCRIBE" then n = n + 1 end
        end
      end
      return n == 2
    end, "UNSUBSCRIBE", 20)
    held.answer(1)
    assert.equal("up", bus.state)
    assert.equal(0, server:stats().backplane.reconnects)
    assert.is_true(run(conn.subscribe, conn, "c", { wait = 60 }).ended())
  end)

  it("that deny what has been granted in part end the connection", function()
    begin()
    local conn, raw = enter()
    fake.answers.SUBSCRIBE = function(one, words)
      if #words < 3 then return redis.usual.SUBSCRIBE(one, words) end
      fake.answers.SUBSCRIBE = nil
      return redis.usual.SUBSCRIBE(one, { words[1], words[2] })
        .. "-NOPERM No permissions to access a channel\r\n"
    end
    conn:subscribe "a"
    conn:subscribe "b"
    fake:wait(function()
      return server:stats().backplane.reconnects == 1
        and bus.state == "up"
    end, "the next connection", 20)
    for _, topic in ipairs { "a", "b" } do
      fake:wait(function() return fake:subscribers("evws:t:" .. topic) == 1 end,
        topic, 20)
      fake:publish("evws:t:" .. topic, topic)
      turns()
      raw:expect_frame("text", topic, 20)
    end
  end)

  it("that deny what nobody wants any more are told to nobody", function()
    begin()
    local held = hold("SUBSCRIBE", function(words)
      return words[2]:find "^evws:t:[ab]$"
    end)
    local conn = enter()
    conn:subscribe "a"
    conn:subscribe "b"
    held.come(1)
    conn:unsubscribe "a"
    held.answer(1, "-NOPERM No permissions to access a channel\r\n")
    held.come(2) -- by itself
    assert.same({ "SUBSCRIBE", "evws:t:b" }, held[2].words)
    held.answer(2)
    fake:wait(function()
      return server:stats().backplane.subscriptions_refused == 0
        and fake:subscribers "evws:t:b" == 1
    end, "b", 20)
    assert.equal("up", bus.state)
  end)

  it("that deny what is for everybody leave the topics alone", function()
    fake.answers.SUBSCRIBE = function(one, words)
      for i = 2, #words do
        if words[i] == "evws:all" then
          return "-NOPERM No permissions to access a channel\r\n"
        end
      end
      return redis.usual.SUBSCRIBE(one, words)
    end
    begin()
    local conn, raw = enter()
    assert.is_true(run(conn.subscribe, conn, "a", { wait = 60 }).ended())
    assert.equal(1, server:stats().backplane.subscriptions_refused)
    fake:publish("evws:t:a", "here")
    turns()
    raw:expect_frame("text", "here", 20)
  end)

  it("that were no are so for each server of the process", function()
    fake.answers.SUBSCRIBE = function(one, words)
      for i = 2, #words do
        if words[i] == "evws:t:room/1" then
          return "-NOPERM No permissions to access a channel\r\n"
        end
      end
      return redis.usual.SUBSCRIBE(one, words)
    end
    begin { reconnect = { initial = 0.001, maximum = 600 } }
    local other = t.listen { backplane = bus,
      history = { ["room/*"] = { size = 9, ttl = 60 } } }
    server:hear("room/1", function() end)
    fake:wait(function()
      return server:stats().backplane.subscriptions_refused == 1
    end, "the refusal", 20)
    assert.same({ nil, "refused" },
      { run(other.history, other, "room/1").ended() })
  end)

  it("are not waited for by what is too long, or is closed", function()
    begin { max_queued = 5000 }
    assert.same({ nil, "backplane full" }, { run(server.publish, server,
      "room/1", ("x"):rep(6000), "text", { wait = 60 }).ended() })
    assert.equal(1, server:stats().backplane.dropped.full)
    assert.is_true(server:reset "room/1")
    bus:close()
    fake:wait(function() return #fake.conns == 0 end, "its end", 20)
    assert.same({ nil, "backplane closed" }, { server:reset "room/1" })
    assert.same({ nil, "backplane closed" }, { run(server.publish, server,
      "room/1", "x", "text", { wait = 60 }).ended() })
  end)

  it("end what is published in the same turn, or it leaves later", function()
    begin { pending_timeout = 600 }
    local sent, stop = 0, false
    local here, there = {}, {}
    fake.answers.PUBLISH = function(_, words)
      there[words[3]:match "m(%d+)$"] = true
      return reply(1)
    end
    local task = run(function()
      repeat
        sent = sent + 1
        here[sent] = select(2, bus:publish("news", "m" .. sent)) or true
        server:publish("room/1", "k" .. sent)
        server:presence "hall"
        ws.sleep(0)
      until stop
    end)
    fake.answers.EVAL = function(_, words)
      return is_list(words) and reply {} or reply(0)
    end
    for i = 1, 60 do
      fake:pump()
      t.turn(0)
      if i % 3 == 0 then
        for _, one in ipairs(fake.conns) do
          one.out = one.out .. (i % 2 == 0 and "-LOADING it\r\n" or "+x\r\n")
        end
      end
      if i % 7 == 0 then fake:drop() end
    end
    stop = true
    task.ended()
    fake:wait(function() return bus.state == "up" end, "it to be back", 20)
    turns()
    local lost, stats = 0, server:stats().backplane
    for i = 1, sent do
      if not there[tostring(i)] then lost = lost + 1 end
      assert.is_true(here[i])
    end
    assert.is_true(lost <= stats.dropped.lost)
  end)

  it("to nothing end the connection that they come by", function()
    local reasons = {}
    ws.log = function(_, event, fields)
      if event == "backplane_lost" then
        reasons[#reasons + 1] = fields.reason
      end
    end
    begin()
    for i, text in ipairs { "ERR unasked", "NOAUTH unasked" } do
      for _, one in ipairs(fake.conns) do
        if not next(one.channels) then one.out = "-" .. text .. "\r\n" end
      end
      fake:wait(function() return #reasons == i end, "the loss", 20)
      assert.equal(text, reasons[i])
      fake:wait(function() return bus.state == "up" end, "it to be back", 20)
    end
  end)

  it("are for all that one turn publishes, however much that is", function()
    begin { max_queued = 64 * 1024 * 1024 }
    local there = {}
    fake.answers.PUBLISH = function(_, words)
      there[#there + 1] = tonumber(words[3]:match "m(%d+)x*$")
      return reply(1)
    end
    for i = 1, 120 do
      local text = ("m%d"):format(i) .. ("x"):rep(i % 3 == 0 and 70000 or 50000)
      assert.equal(0, (bus:publish("news", text)))
    end
    fake:wait(function() return #there == 120 end, "all", 20)
    for i = 1, 120 do assert.equal(i, there[i]) end
  end)

  it("are nothing to a server that has closed in the same turn", function()
    fake.answers.EVAL = function(_, words)
      return words[3] == "2" and reply { words[6], 0, {}, 0 } or reply(0)
    end
    begin()
    server:hear("room/1", function() end)
    fake:wait(function() return fake:subscribers "evws:t:room/1" == 1 end,
      "the topic", 20)
    turns()
    local rules = { ["room/*"] = { size = 9, ttl = 0.0001 } }
    for _ = 1, 3 do
      local one = t.listen { backplane = bus, history = rules }
      one:hear("room/1", function() end)
      one:close() -- what is to be read is not asked for
      local two = t.listen { backplane = bus, history = rules }
      two:hear("room/1", function() end)
      fake.is_idle = function() return true end
      turns()
      two:close() -- nor is it waited for
      fake.is_idle = nil
      turns()
    end
    -- nor asked for again where it was refused
    fake.answers.EVAL = function(_, words)
      return words[3] == "2" and "-WRONGTYPE it is\r\n" or reply(0)
    end
    local one = t.listen { backplane = bus, history = rules }
    one:hear("room/1", function() end)
    turns()
    one:close()
    fake.answers.EVAL = function(_, words)
      return words[3] == "2" and reply { words[6], 0, {}, 0 } or reply(0)
    end
    assert.same({}, (run(server.history, server, "room/1").ended()))
    assert.equal(0, server:stats().backplane.reconnects)
  end)

  it("are of people in the order of their coming, then of their keys",
    function()
      local function entry(node, key, at)
        return { "e" .. node .. key, string.pack(">I8 s4 I4 s2", at, "{}", 1,
          "id" .. key) }
      end
      local function all(...)
        local words = {}
        for _, one in ipairs { ... } do
          words[#words + 1], words[#words + 2] = one[1], one[2]
        end
        return reply(words)
      end
      fake.answers.EVAL = function(_, words)
        if not is_list(words) then return reply(0) end
        return all(entry("node0001", "b", 5), entry("node0001", "", 5),
          entry("node0001", "a", 5), entry("node0002", "", 7),
          entry("node0001", "ab", 5), { "e", "cut" },
          { "enode0001x", string.pack(">I8 s4 I4", 1, "{}", 1) },
          { "enode0001y", string.pack(">I8 s4 I4 I2", 1, "{}", 1, 9) },
          { "enode0001z", string.pack(">I8 I4", 1, 9) },
          entry("node0001", "z", 1))
      end
      begin()
      local list = run(server.presence, server, "hall").ended()
      local keys = {}
      for i, one in ipairs(list) do keys[i] = one.key .. one.count end
      assert.same({ "z1", "2", "a1", "ab1", "b1" }, keys)
    end)

  it("of a Redis with a long name are told with a part of it", function()
    local lines = redis.warnings()
    redis.backplane { url = "redis://" .. ("a."):rep(126) .. "ab" }
    t.wait(function() return #lines > 0 end, "a warning", 20)
    assert.is_truthy(lines[1]:find "^backplane redis://a%.a%.")
    assert.is_true(#lines[1] < 600)
  end)

  it("are of one Redis of several, of which another is lost", function()
    local other = redis.fake()
    fake.answers.EVAL = function(_, words)
      return words[3] == "2" and reply { ("e"):rep(10), 0, {}, 0 } or reply(0)
    end
    other.answers.EVAL = fake.answers.EVAL
    bus = redis.backplane { url = { fake.url, other.url }, timeout = 60,
      reconnect = { initial = 0.001, maximum = 0.002, jitter = 0 } }
    server = t.listen { backplane = bus,
      history = { ["room/*"] = { size = 9, ttl = 60 } } }
    local function pump() other:pump() return true end
    local function up()
      fake:wait(function() return pump() and bus.state == "up" end, "both", 20)
    end
    up()
    for i = 1, 9 do server:hear("room/" .. i, function() end) end
    local function reads(one)
      local n = 0
      for _, conn in ipairs(one.conns) do
        for _, words in ipairs(conn.seen) do
          if words[1] == "EVAL" and words[3] == "2" then n = n + 1 end
        end
      end
      return n
    end
    fake:wait(function()
      return pump() and reads(fake) + reads(other) == 9
    end, "nine readings", 20)
    local here, there = reads(fake), reads(other)
    assert.is_true(here > 0 and there > 0)
    other:drop()
    fake:wait(function() return pump() and bus.state ~= "up" end, "it", 20)
    up()
    fake:wait(function() return pump() and reads(other) == there end,
      "its readings", 20)
    assert.equal(here, reads(fake)) -- nothing was lost there
    other:stop()
  end)

  it("are long, and told in part", function()
    local why
    ws.log = function(_, event, fields)
      if event == "backplane_lost" then why = fields.reason end
    end
    fake.answers.ROLE = function()
      fake.answers.ROLE = nil
      return "-ERR " .. ("x"):rep(4000) .. "\r\n"
    end
    begin()
    fake:wait(function() return why end, "the reason", 20)
    assert.is_truthy(why:find "^ERR x+$")
    assert.is_true(#why <= 160)
  end)
end)
