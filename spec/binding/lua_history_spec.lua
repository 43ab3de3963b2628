-- Topics with a history: positions, recovery, what is forgotten and when.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains

local rules = { ["room/*"] = { size = 5, ttl = 60 } }

-- A server with histories, and n connections: accepted ones and raw ones.
local function room(n, history, options)
  local conns, raws = {}, {}
  local own = { history = history or rules,
    on_open = function(c) conns[#conns + 1] = c end }
  for name, value in pairs(options or {}) do own[name] = value end
  local server = t.listen(own)
  for i = 1, n do
    raws[i] = t.open(server)
    t.wait(function() return conns[i] end)
  end
  return server, conns, raws
end

local function fill(server, topic, from, to)
  for i = from, to do
    assert.equal(i, (server:publish(topic, "m" .. i)))
  end
end

local function messages(list)
  local texts = {}
  for i, entry in ipairs(list) do texts[i] = entry.message end
  return texts
end

local function position(server, topic)
  local _, at = server:history(topic, { limit = 0 })
  return at
end

describe("a topic with a history", function()
  after_each(function()
    ws.on_error(nil)
    kit.cleanup()
    t.cleanup()
  end)

  it("counts its messages in an epoch, and keeps the last ones", function()
    local server, c, raws = room(1)
    local offset, epoch = server:publish("room/1", "a", "text",
      { meta = "m" })
    assert.equal(1, offset)
    assert.equal(10, #epoch)
    assert.same({ 2, epoch }, { c[1]:publish("room/1", "\0\255", "binary") })
    assert.same({ { { offset = 1, message = "a", kind = "text", meta = "m" },
      { offset = 2, message = "\0\255", kind = "binary" } },
      { offset = 2, epoch = epoch } }, { server:history "room/1" })
    fill(server, "room/1", 3, 9)
    local list, at = server:history "room/1"
    assert.same({ "m5", "m6", "m7", "m8", "m9" }, messages(list))
    assert.same({ offset = 9, epoch = epoch }, at)
    assert.not_equal(epoch, position(server, "room/2").epoch)
    assert.equal(0, server:publish("hall/1", "plain"))
    assert.same({ nil, "not kept" }, { server:history "hall/1" })
    raws[1]:expect_silence()
  end)

  it("is read in parts, from either end", function()
    local server = room(0)
    fill(server, "room/1", 1, 5)
    local function read(options)
      return table.concat(messages(server:history("room/1", options)), " ")
    end
    assert.equal("m1 m2", read { limit = 2 })
    assert.equal("m5 m4", read { limit = 2, reverse = true })
    assert.equal("m4 m5", read { since = { offset = 3 } })
    assert.equal("m4", read { since = { offset = 3 }, limit = 1 })
    assert.equal("m2 m1", read { since = { offset = 3 }, reverse = true })
    assert.equal("", read { since = { offset = 5 } })
    assert.equal("", read { since = { offset = 99 } })
    assert.equal("m5 m4 m3 m2 m1",
      read { since = { offset = 99 }, reverse = true })
    assert.equal("", read { since = { offset = 1 }, reverse = true })
    assert.equal("", read { since = { offset = 0 }, reverse = true })
    assert.equal("", read { limit = 0 })
    assert.equal("m5", read { since = { offset = 4,
      epoch = position(server, "room/1").epoch } })
    assert.same({ nil, "another epoch" }, { server:history("room/1",
      { since = { offset = 4, epoch = "other" } }) })
  end)

  it("gives who comes back what was missed, then what follows", function()
    local server, c, raws = room(3)
    local _, epoch = server:publish("room/1", "m1")
    fill(server, "room/1", 2, 5)
    t.pump(function()
      assert.same({ recovered = true, offset = 5, epoch = epoch, missed = 2 },
        c[1]:subscribe("room/1", { recover = { offset = 3, epoch = epoch } }))
      fill(server, "room/1", 6, 6)
      c[1]:send "mine"
      fill(server, "room/1", 7, 7)
    end)
    for _, m in ipairs { "m4", "m5", "m6", "mine", "m7" } do
      raws[1]:expect_frame("text", m)
    end
    raws[1]:expect_silence()
    assert.same({ recovered = true, offset = 7, epoch = epoch, missed = 0 },
      c[2]:subscribe("room/1", { recover = { offset = 7, epoch = epoch } }))
    assert.same({ recovered = true, offset = 7, epoch = epoch, missed = 5 },
      c[3]:subscribe("room/1", { recover = { offset = 2 } }))
    raws[2]:expect_silence()
    for i = 3, 7 do raws[3]:expect_frame("text", "m" .. i) end
  end)

  it("says where it cannot: too far back, ahead, of another epoch", function()
    local server, c, raws = room(1)
    local _, epoch = server:publish("room/1", "m1")
    fill(server, "room/1", 2, 7)
    for _, at in ipairs { { offset = 1, epoch = epoch },
      { offset = 8, epoch = epoch }, { offset = math.maxinteger },
      { offset = 7, epoch = "elsewhere" }, { epoch = epoch }, {} } do
      assert.same({ recovered = false, offset = 7, epoch = epoch, missed = 0 },
        c[1]:subscribe("room/1", { recover = at }))
    end
    assert.same({ recovered = false, missed = 0 },
      c[1]:subscribe("hall", { recover = { offset = 0 } }))
    raws[1]:expect_silence()
    fill(server, "room/1", 8, 8)
    raws[1]:expect_frame("text", "m8")
  end)

  it("tells who joins before anything of the topic", function()
    local server, c, raws = room(2)
    local seen = {}
    local _, epoch = server:publish("room/1", "m1", "text", { meta = "x" })
    fill(server, "room/1", 2, 3)
    t.pump(function()
      server:publish("room/1", "m4")
      local got = c[1]:subscribe("room/1", {
        recover = { offset = 0, epoch = epoch },
        joined = function(found)
          seen[1] = found
          seen[2] = select(2, pcall(ws.sleep, 0))
          c[1]:send "reply"
          server:publish("room/1", "m5")
        end })
      assert.equal(seen[1], got)
      c[2]:subscribe("room/2", { joined = function(found)
        seen[3] = found
        c[2]:send "reply"
      end })
      c[2]:subscribe("hall", { joined = function(found) seen[4] = found end })
    end)
    assert.same({ recovered = true, offset = 4, epoch = epoch, missed = {
      { offset = 1, message = "m1", kind = "text", meta = "x" },
      { offset = 2, message = "m2", kind = "text" },
      { offset = 3, message = "m3", kind = "text" },
      { offset = 4, message = "m4", kind = "text" } } }, seen[1])
    contains(seen[2], "cannot wait here")
    assert.same({ recovered = false, offset = 0, missed = {},
      epoch = position(server, "room/2").epoch }, seen[3])
    assert.same({ recovered = false, missed = {} }, seen[4])
    raws[1]:expect_frame("text", "reply")
    raws[1]:expect_frame("text", "m5")
    raws[1]:expect_silence()
    raws[2]:expect_frame("text", "reply")
  end)

  it("may be left by who is told of joining, or fail there", function()
    local server, c, raws = room(2)
    fill(server, "room/1", 1, 2)
    c[1]:subscribe("room/1", { joined = function()
      c[1]:unsubscribe "room/1"
    end })
    contains(kit.refusal(function()
      c[2]:subscribe("room/1", { joined = function() error "no" end })
    end), "no")
    assert.equal(0, server:subscribers "room/1")
    c[2]:subscribe("room/1", { joined = function() c[2]:terminate() end })
    t.wait(function() return c[2].state == "closed" end)
    fill(server, "room/1", 3, 3)
    raws[1]:expect_silence()
  end)

  it("is seen by a stamp, live and when somebody comes back", function()
    local calls = 0
    local server, c, raws = room(3, { ["room/*"] = { size = 3, ttl = 60,
      stamp = function(message, kind, about)
        calls = calls + 1
        if message == "m2" then return nil end
        return ("%d %s %s %s"):format(about.offset, about.epoch, about.topic,
          message), kind
      end } })
    c[1]:subscribe "room/1"
    c[2]:subscribe("room/1", { view = false })
    local _, epoch = server:publish("room/1", "m1")
    fill(server, "room/1", 2, 3)
    local function stamped(i)
      return ("%d %s room/1 m%d"):format(i, epoch, i)
    end
    raws[1]:expect_frame("text", stamped(1))
    raws[1]:expect_frame("text", stamped(3))
    for i = 1, 3 do raws[2]:expect_frame("text", "m" .. i) end
    assert.equal(3, calls)
    assert.equal(3, c[3]:subscribe("room/1",
      { recover = { offset = 0, epoch = epoch } }).missed)
    raws[3]:expect_frame("text", stamped(1))
    raws[3]:expect_frame("text", stamped(3))
    assert.equal(0, c[3]:subscribe("room/1",
      { view = false, recover = { offset = 3, epoch = epoch } }).missed)
    fill(server, "room/1", 4, 4)
    raws[3]:expect_frame("text", "m4")
  end)

  it("is stamped as JSON, and then takes JSON alone", function()
    local server, c, raws = room(2, { ["*"] = { size = 3, ttl = 60,
      stamp = "json" } })
    local topic = 'a"\\\n\255'
    c[1]:subscribe(topic)
    local _, epoch = server:publish(topic, '{"a":[1,2.50],"b":"é"}')
    assert.equal(2, (server:publish(topic, " null ")))
    local form = '{"offset":%d,"epoch":"' .. epoch
      .. [[","topic":"a\u0022\u005c\u000a\u00ff","data":%s}]]
    local first = form:format(1, '{"a":[1,2.50],"b":"é"}')
    raws[1]:expect_frame("text", first)
    raws[1]:expect_frame("text", form:format(2, " null "))
    for _, bad in ipairs { "", "x", "{", '{"a":1}}', '1},"x":{', "1 2",
      "NaN", ("["):rep(2000) } do
      assert.same({ nil, "not JSON" }, { server:publish(topic, bad) })
    end
    assert.same({ nil, "not JSON" }, { c[2]:publish(topic, "[]", "binary") })
    c[2]:subscribe(topic, { recover = { offset = 0 } })
    raws[2]:expect_frame("text", first)
    raws[2]:expect_frame("text", form:format(2, " null "))
    local _, at = server:publish("é", "[]")
    c[1]:subscribe("é", { recover = { offset = 0, epoch = at } })
    raws[1]:expect_frame("text", ('{"offset":1,"epoch":"%s","topic":"é",')
      :format(at) .. '"data":[]}')
  end)

  it("waits behind a message that is being written", function()
    local server, c, raws = room(1)
    fill(server, "room/1", 1, 2)
    t.pump(function()
      local writer = c[1]:writer()
      writer:write "one "
      assert.equal(2, c[1]:subscribe("room/1",
        { recover = { offset = 0 } }).missed)
      fill(server, "room/1", 3, 3)
      writer:finish()
    end)
    assert.equal("one ", raws[1]:frame().payload)
    assert.is_true(raws[1]:frame().fin)
    for i = 1, 3 do raws[1]:expect_frame("text", "m" .. i) end
  end)

  it("gives the same bytes to thousands, who share them", function()
    local big = ("x"):rep(100000)
    local server, c, raws = room(20, { a = { size = 5, ttl = 60 } },
      { max_queued = 1000, on_full = "close" })
    for _ = 1, 5 do server:publish("a", big) end
    collectgarbage()
    local before = server:stats().memory
    for i = 1, 20 do
      assert.equal(5, c[i]:subscribe("a", { recover = { offset = 0 } }).missed)
    end
    assert.is_true(server:stats().memory - before < 5000000)
    for i = 1, 20 do
      for _ = 1, 5 do raws[i]:expect_frame("text", big) end
    end
  end)

  it("is forgotten ttl after its last message, its position later",
    function()
      local server, c = room(1, { ["*"] = { size = 5, ttl = 0.02 } })
      c[1]:subscribe "a" -- which keeps the position
      local _, epoch = server:publish("a", "m1")
      t.wait(function() return #server:history "a" == 0 end)
      assert.same({ offset = 1, epoch = epoch }, position(server, "a"))
      assert.is_true(c[1]:subscribe("a",
        { recover = { offset = 1, epoch = epoch } }).recovered)
      assert.is_false(c[1]:subscribe("a",
        { recover = { offset = 0, epoch = epoch } }).recovered)
      t.wait(function() return #server:history "a" == 0 end)
      c[1]:unsubscribe "a"
      t.wait(function() return position(server, "a").epoch ~= epoch end)
      assert.equal(1, (server:publish("a", "again")))
    end)

  it("has new topics for old ones beyond its bytes", function()
    local server = room(0, { ["*"] = { size = 100, ttl = 60, bytes = 2000 } })
    local text = ("x"):rep(500)
    for i = 1, 3 do server:publish("a", text .. i) end
    assert.equal(3, #server:history "a")
    for i = 1, 3 do server:publish("b", text .. i) end
    assert.equal(0, #server:history "a")
    assert.equal(3, position(server, "a").offset)
    assert.equal(3, #server:history "b")
    for i = 4, 6 do server:publish("b", text .. i) end
    assert.same({ text .. 4, text .. 5, text .. 6 },
      messages(server:history "b"))
    server:publish("c", ("x"):rep(5000))
    assert.equal(0, #server:history "c")
    assert.equal(1, position(server, "c").offset)
  end)

  it("costs 48 bytes a message beside the payload", function()
    local server = room(0, { ["*"] = { size = 10000, ttl = 60 } })
    server:publish("warm", "x")
    local before = server:stats().memory
    for _ = 1, 10000 do server:publish("a", ("x"):rep(100)) end
    local each = (server:stats().memory - before) / 10000
    assert.is_true(each < 148, each)
  end)

  it("takes the longest pattern that fits", function()
    local server = room(0, { ["*"] = { size = 1, ttl = 9 },
      ["a/*"] = { size = 2, ttl = 9 }, ["a/b"] = { size = 3, ttl = 9 },
      ["a/b*"] = { size = 4, ttl = 9 } })
    for topic, n in pairs { x = 1, ["a/c"] = 2, ["a/b"] = 3, ["a/bc"] = 4,
      ["a/"] = 2, a = 1 } do
      fill(server, topic, 1, 6)
      assert.equal(n, #server:history(topic), topic)
    end
  end)

  it("begins anew by reset, which hearers and views are told", function()
    local server, c, raws = room(2)
    local told = {}
    server:view("counted", function(m, _, about)
      return about.offset .. m
    end, { reset = function(about) return "reset " .. about.topic end })
    server:view("deaf", function(m) return m end)
    server:hear("room/1", function(m, _, about)
      told[#told + 1] = { m, about.offset }
    end, { reset = function(about)
      told[#told + 1] = { "reset", about.offset, about.epoch }
    end })
    server:hear("room/1", function() end)
    c[1]:subscribe("room/1", { view = "counted" })
    c[2]:subscribe("room/1", { view = "deaf" })
    local _, epoch = server:publish("room/1", "m1")
    assert.is_true(server:reset "room/1")
    local _, later = server:publish("room/1", "m1")
    assert.not_equal(epoch, later)
    t.wait(function() return #told == 3 end)
    assert.same({ { "m1", 1 }, { "reset", 0, later }, { "m1", 1 } }, told)
    raws[1]:expect_frame("text", "1m1")
    raws[1]:expect_frame("text", "reset room/1")
    raws[1]:expect_frame("text", "1m1")
    raws[2]:expect_frame("text", "m1")
    raws[2]:expect_frame("text", "m1")
    assert.same({ nil, "not kept" }, { server:reset "hall" })
    assert.is_true(server:reset "room/new")
  end)

  it("is heard from a position on, without a gap", function()
    local server = room(0)
    local list = {}
    local _, epoch = server:publish("room/1", "m1")
    fill(server, "room/1", 2, 3)
    local function note(m, _, about)
      list[#list + 1] = about.offset .. m
    end
    t.pump(function()
      server:publish("room/1", "m4")
      server:hear("room/1", note, { recover = { offset = 1, epoch = epoch },
        joined = function(found)
          for _, e in ipairs(found.missed) do
            list[#list + 1] = e.offset .. e.message
          end
        end })
      server:publish("room/1", "m5")
    end)
    t.wait(function() return #list == 4 end)
    assert.same({ "2m2", "3m3", "4m4", "5m5" }, list)
    contains(kit.refused_call(server, "hear", "room/1", note,
      { recover = { offset = 1 } }), "'recover' of 'hear' needs 'joined'")
    contains(kit.refusal(function()
      server:hear("room/1", note, { joined = function() error "no" end })
    end), "no")
    fill(server, "room/1", 6, 6)
    t.wait(function() return #list == 5 end)
    t.pump(ws.sleep, 0)
    assert.equal(5, #list)
  end)

  it("is over with its server", function()
    local server, c = room(1)
    fill(server, "room/1", 1, 3)
    c[1]:subscribe "room/1"
    t.pump(server.close, server, { timeout = 0 })
    assert.same({ nil, "closed" }, { server:history "room/1" })
    assert.same({ nil, "closed" }, { server:reset "room/1" })
    assert.same({ nil, "closed" }, { c[1]:subscribe("room/1",
      { recover = { offset = 0 } }) })
  end)

  it("survives finalizers that publish and reset while it is read", function()
    local server, c = room(1)
    local mode = collectgarbage "incremental"
    local turns = 0
    local function again()
      setmetatable({}, { __gc = function()
        turns = turns + 1
        if turns % 7 == 0 then server:reset "room/1" end
        server:publish("room/1", "late" .. turns)
        if turns < 300 then again() end
      end })
    end
    again()
    for i = 1, 3000 do
      local list, at = server:history "room/1"
      assert.is_true(#list <= 5)
      if #list > 0 then assert.equal(at.offset, list[#list].offset) end
      for k = 2, #list do
        assert.equal(list[k - 1].offset + 1, list[k].offset)
      end
      c[1]:subscribe("room/1", { recover = { offset = 0 },
        joined = function() end })
      collectgarbage("step", 1)
      if i % 100 == 0 then collectgarbage() end -- whatever else there is
    end
    collectgarbage(mode)
    assert.is_true(turns > 0)
  end)
end)

describe("the option 'history'", function()
  after_each(t.cleanup)

  it("is judged", function()
    local good = { size = 1, ttl = 1 }
    for _, case in ipairs {
      { 1, "bad option 'history' ({ [pattern] = { size =, ttl = } } expected" },
      { { good }, "bad option 'history' (patterns of topics expected)" },
      { { ["a*b"] = good }, "the pattern 'a*b': a name, or the beginning" },
      { { [""] = good }, "the pattern ''" },
      { { size = 1, ttl = 1 },
        "bad option 'history' ({ [pattern] = { size =, ttl = } } expected" },
      { { a = { size = 1, ttl = 1, tll = 1 } },
        "unknown field 'tll', did you mean 'ttl'?" },
      { { a = { ttl = 1 } }, "option 'size' of 'history' is missing" },
      { { a = { size = 0, ttl = 1 } }, "bad option 'size' (an integer from 1" },
      { { a = { size = 70000, ttl = 1 } }, "to 65536 expected" },
      { { a = { size = 1 } }, "option 'ttl' of 'history' is missing" },
      { { a = { size = 1, ttl = 0 } }, "bad option 'ttl' (seconds above 0" },
      { { a = { size = 1, ttl = 0 / 0 } }, "bad option 'ttl'" },
      { { a = { size = 1, ttl = 1e9 } }, "bad option 'ttl'" },
      { { a = { size = 1, ttl = "1" } }, "tonumber?" },
      { { a = { size = 1, ttl = 1, bytes = 0 } }, "bad option 'bytes'" },
      { { a = { size = 1, ttl = 1, stamp = true } },
        "bad option 'stamp' (" },
      { { a = { size = 1, ttl = 1, stamp = {} } }, "bad option 'stamp' (" },
      { { a = { size = 1, ttl = 1, stamp = "jsn" } },
        "bad option 'stamp' (\"json\", a function or false expected" },
    } do
      contains(kit.refused { port = 0, history = case[1] }, case[2])
    end
  end)

  it("is judged where somebody comes back", function()
    local conn
    local server = t.listen { history = { a = { size = 1, ttl = 1 } },
      on_open = function(c) conn = c end }
    t.open(server)
    t.wait(function() return conn end)
    for _, case in ipairs {
      { 7, "bad option 'recover' ({ offset =, epoch = } expected" },
      { { offset = -1 }, "an offset that is a whole number from 0" },
      { { offset = 0.5 }, "an offset that is a whole number from 0" },
      { { offset = "1" }, "an offset that is a whole number from 0" },
      { { epoch = 1 }, "an epoch that is a string" },
      { { ofset = 1 }, "unknown field 'ofset', did you mean 'offset'?" },
    } do
      contains(kit.refused_call(conn, "subscribe", "a", { recover = case[1] }),
        case[2])
      contains(kit.refused_call(server, "history", "a", { since = case[1] }),
        (case[2]:gsub("recover", "since")))
    end
    contains(kit.refusal(function()
      server:publish("a", "x", "text", { here = true })
    end), "option 'here' is not for topics with a history")
    contains(kit.refused_call(conn, "subscribe", "a", { joined = 1 }),
      "bad option 'joined' (function expected")
    contains(kit.refused_call(server, "history", "a", { limit = -1 }),
      "bad option 'limit'")
    contains(kit.refused_call(server, "history", "a", { sinc = 1 }),
      "unknown option 'sinc' for 'history' (did you mean 'since'?)")
  end)
end)
