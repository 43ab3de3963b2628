-- ws.backplane and its methods (src/binding/lua_backplane.c,
-- option_backplane.c): what they take, what is said of mistakes, and whom a
-- change wakes. That Redis is there or not is spec/engine's.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local redis = require "spec.helper.redis"
local core = require "evws.core"
local ws = t.ws
local contains = t.contains

if redis.is_missing("a backplane's methods", "hiredis") then return end

local function note() end
local long = 1000 -- seconds: the spec would be over before

describe("ws.backplane", function()
  before_each(redis.quiet)
  after_each(function()
    if core.fail_at then core.fail_at(0) end
    ws.on_error(nil)
    redis.cleanup()
    kit.cleanup()
    t.cleanup()
  end)

  local url = "redis://127.0.0.1:1"

  local function refused(options)
    return kit.refusal(function() return (ws.backplane(options)) end)
  end

  it("says what is wrong with its options", function()
    local many = {}
    for i = 1, 65 do many[i] = url end
    for text, options in pairs {
      ["a URL or a table expected, got number"] = 5,
      ["option 'url' is missing"] = {},
      ["bad option 'url' (a string, or a list of them, expected)"] =
        { url = 5 },
      ["bad option 'url' (1 to 64 URLs expected)"] = { url = {} },
      ["bad option 'timeout' (seconds above 0 expected, got 0)"] = { url = url,
        timeout = 0 },
      ["bad option 'ping_interval' (seconds above 0 expected, got inf)"] =
        { url = url, ping_interval = math.huge },
      ["bad option 'presence_ttl' (seconds above 0 expected, got the string"] =
        { url = url, presence_ttl = "5" },
      ["bad option 'prefix' (at most 1024 bytes expected)"] = { url = url,
        prefix = ("x"):rep(1025) },
      ["bad option 'prefix' (string expected)"] = { url = url, prefix = 5 },
      ["bad option 'username' (at most 65535 bytes expected)"] = { url = url,
        username = ("x"):rep(65536) },
      ["bad option 'reconnect' (a backplane always reconnects)"] = { url = url,
        reconnect = false },
      ["bad option 'on_presence' (function expected"] = { url = url,
        on_presence = 5 },
      ["unknown option 'urls'"] = { urls = url },
    } do
      contains(refused(options), text)
    end
    contains(refused { url = many }, "bad option 'url' (1 to 64 URLs expected)")
    contains(refused { url = { url, 5 } },
      "bad option 'url' (a string, or a list of them, expected)")
  end)

  it("is judged where a server has it", function()
    for _, value in ipairs { 5, true, {} } do
      contains(kit.refused { port = 0, backplane = value },
        "bad option 'backplane' (a ws.backplane or a URL expected, got ")
    end
    local closed = ws.backplane(url)
    closed:close()
    contains(kit.refused { port = 0, backplane = closed },
      "bad option 'backplane' (it is closed)")
    t.listen { backplane = false }
  end)

  it("has a state, methods, and nothing else", function()
    local fake = redis.fake()
    local bus = redis.backplane { url = fake.url }
    assert.equal("connecting", bus.state)
    assert.is_nil(bus.other)
    assert.same({ nil, nil }, { bus[5], bus[true] })
    assert.equal(bus, bus:on_state(nil))
    contains(kit.refused_call(bus, "on_state", 5), "function expected")
    contains(tostring(bus), "(connecting)")
    fake:wait(function() return bus.state == "up" end, "it", 20)
    assert.is_true(bus:wait())
    assert.is_true(bus:wait(0))
    assert.is_true(bus:close())
    assert.is_true(bus:close())
    assert.equal("closed", bus.state)
    for name, arguments in pairs { publish = { "a", "x" }, presence = { "a" },
      history = { "a" }, wait = {} } do
      assert.same({ nil, "closed" },
        { bus[name](bus, table.unpack(arguments)) }, name)
    end
    contains(tostring(bus), "(closed)")
  end)

  -- Options that nobody but the backplane has any more, and other texts of
  -- their length in the memory that a loss of one would have set free.
  it("keeps what its options say, for each time that it comes back",
    function()
      local fake, others = redis.fake(), {}
      local function text(word) return table.concat { word, "-", fake.port } end
      local function usual(of_url)
        local options = { url = ("redis://%s127.0.0.1:%d/3"):format(
          of_url and text "who" .. ":" .. text "word" .. "@" or "",
          fake.port), prefix = text "prefix" .. ":" }
        if not of_url then
          options.username, options.password = text "who", text "word"
        end
        return options
      end
      local function greeting(bus)
        fake:wait(function() return bus.state == "up" end, "it", 20)
        local said, all = {}, {}
        for _, conn in ipairs(fake.conns) do
          for _, words in ipairs(conn.seen) do
            for _, word in ipairs(words) do said[word] = true end
          end
        end
        said.PING = nil
        for word in pairs(said) do all[#all + 1] = word end
        table.sort(all)
        return all
      end
      for _, of_url in ipairs { true, false } do
        local bus = redis.backplane(usual(of_url))
        t.listen { backplane = bus }:hear("news", print)
        fake:wait(function()
          return fake:subscribers(text "prefix" .. ":t:news") > 0
        end, "it", 20)
        local first = greeting(bus)
        for _, word in ipairs { text "who", text "word", "3" } do
          contains(" " .. table.concat(first, " "), " " .. word)
        end
        for _ = 1, 3 do
          collectgarbage()
          for i = 1, 20000 do others[i] = ("x"):rep(i % 60) .. i end
        end
        fake:drop()
        t.wait(function() return bus.state ~= "up" end, "the loss", 20)
        assert.same(first, greeting(bus))
        assert.equal(20000, #others)
        bus:close()
        fake:wait(function() return #fake.conns == 0 end, "the end", 20)
      end
    end)

  it("takes meta for what it publishes, and no message of a view", function()
    local fake = redis.fake()
    local bus = redis.backplane { url = fake.url }
    local got
    local server = t.listen { backplane = bus }
    server:hear("news", function(message, _, about)
      got = { message, about.meta }
    end)
    fake:wait(function() return fake:subscribers "evws:t:news" > 0 end, "it",
      20)
    local function refusal(...)
      local list = table.pack(...)
      return kit.refusal(function()
        return (bus:publish(table.unpack(list, 1, list.n)))
      end)
    end
    contains(refusal("news", "x", "text", 5), "table expected")
    contains(refusal("news", "x", "text", { metta = "x" }), "'meta'")
    contains(refusal("news", "x", "text", { meta = 5 }), "'meta'")
    assert.equal(0, (bus:publish("news", "x", "text", { meta = "about" })))
    fake:wait(function() return got end, "it", 20)
    assert.same({ "x", "about" }, got)
    local why
    local conn
    local viewer = t.listen { backplane = bus,
      on_open = function(c) conn = c end }
    viewer:view("v", function(message)
      why = select(2, pcall(bus.publish, bus, "other", message))
      return message
    end)
    t.open(viewer)
    t.wait(function() return conn end)
    conn:subscribe("news", { view = "v" })
    viewer:publish("news", "seen")
    fake:wait(function() return why end)
    contains(why, "cannot publish inside of a view")
  end)

  it("says why, to who waits, when it is closed", function()
    local fake = redis.fake()
    fake.is_idle = function() return true end
    local bus = redis.backplane { url = fake.url, timeout = 600 }
    local got = {}
    for i = 1, 2 do
      ws.spawn(function() got[i] = table.pack(bus:wait(long)) end)
    end
    t.turn(0)
    assert.same({}, got)
    bus:close()
    t.wait(function() return got[1] and got[2] end, "both")
    for i = 1, 2 do
      assert.same({ n = 2, nil, "closed" }, got[i])
    end
  end)

  it("has channels of its own, behind its prefix", function()
    local fake = redis.fake()
    local bus = redis.backplane { url = fake.url, prefix = "mine:" }
    t.listen { backplane = bus }:hear("news", note)
    fake:wait(function() return fake:subscribers "mine:t:news" > 0 end, "it",
      20)
  end)

  it("is not made where its certificates cannot be read", function()
    local before = t.fd_count()
    local secure = "rediss://127.0.0.1:1"
    local tls = { ca = "spec/no such file" }
    for _, list in ipairs { { secure, secure }, { url, secure } } do
      local bus, why = ws.backplane { url = list, tls = tls }
      assert.is_nil(bus)
      contains(why, "spec/no such file")
    end
    assert.equal(before, t.fd_count())
  end)

  -- As ws.listen makes one of a URL.
  it("is one for all servers with a URL, while one of them is there", function()
    local a, b = redis.fake(), redis.fake()
    local function count() return a.count, b.count end
    local mute = ws.backplane(url) -- nobody's
    local one = t.listen { backplane = a.url }
    local other = t.listen { backplane = b.url }
    local two = t.listen { backplane = a.url }
    a:wait(function()
      b:pump()
      return a.count == 2 and b.count == 2
    end, "the connections", 20)
    -- what both servers of a Redis have is asked of it once
    one:hear("news", note)
    two:hear("news", note)
    other:hear("news", note)
    a:wait(function()
      b:pump()
      return a:subscribers "evws:t:news" == 1
        and b:subscribers "evws:t:news" == 1
    end, "the topics", 20)
    t.pump(one.close, one)
    for _ = 1, 5 do a:pump() b:pump() t.turn(0) end
    assert.same({ 2, 2, 2, 2 }, { #a.conns, #b.conns, count() })
    t.pump(two.close, two)
    -- the next server has one of its own
    local three = t.listen { backplane = a.url }
    a:wait(function()
      b:pump()
      return a.count == 4 and #a.conns == 2
    end, "the new one", 20)
    t.pump(three.close, three)
    t.pump(other.close, other)
    mute:close()
    a:wait(function()
      b:pump()
      return #a.conns == 0 and #b.conns == 0
    end, "the end of all", 20)
  end)

  it("is no matter of an environment that says nothing", function()
    local child = kit.execute(("env EVWS_BACKPLANE= %s -e \"%s\""):format(
      os.getenv "LUA" or "lua5.4", "local ws = require [[evws]] "
        .. "print(ws.listen { port = 0, host = [[127.0.0.1]] } ~= nil)"))
    assert.equal(0, child:ended(20), child:errors())
    assert.equal("true\n", child:output())
  end)

  it("tells a change to who hears by then, whatever came before", function()
    local fake, told = redis.fake(), {}
    local bus = redis.backplane { url = fake.url }
    local function hear(state) told[#told + 1] = state end
    bus:on_state(hear)
    t.listen { backplane = bus }
    fake:wait(function() return told[1] end, "the first change", 20)
    assert.same({ "up" }, told)
    bus:on_state(nil)
    fake:stop()
    t.wait(function() return bus.state == "away" end, "the loss", 20)
    bus:on_state(hear)
    fake:start()
    fake:wait(function() return told[2] end, "the second change", 20)
    assert.same({ "up", "up" }, told)
  end)

  it("tells the history of the server that keeps the topic", function()
    local fake = redis.fake()
    local bus = redis.backplane { url = fake.url }
    local rules = { kept = { size = 9, ttl = 9 } }
    t.listen {}
    local gone = t.listen { backplane = bus, history = rules }
    t.listen { backplane = bus, history = { other = rules.kept } }
    assert.same({ nil, "not kept" }, { bus:history "none" })
    -- it waits for Redis, which has not said yet what there is
    local got
    local task = ws.spawn(function() got = table.pack(bus:history "kept") end)
    t.turn(0)
    assert.is_nil(got)
    task:cancel()
    t.turn(0)
    t.pump(gone.close, gone)
    assert.same({ nil, "not kept" }, { bus:history "kept" })
  end)

  it("is made whole or not at all, without memory", function()
    if not core.fail_at then
      pending "built without WS_FAULT"
      return
    end
    local secure = "rediss://127.0.0.1:1"
    local function listen(backplane)
      return ws.listen { host = "127.0.0.1", port = 0, backplane = backplane }
    end
    local bus = ws.backplane(url)
    for name, make in pairs {
      alone = function() return ws.backplane { url = { url, secure } } end,
      of_a_server = function() return listen(secure) end,
      joined = function() return listen(bus) end } do
      local n, before = 0, t.fd_count()
      local made
      repeat
        n = n + 1
        core.fail_at(n)
        local ok, first, second = pcall(make)
        core.fail_at(0)
        made = ok and first
        if not made then
          contains(tostring(second or first), "memory")
          for _ = 1, 3 do t.turn(0) end
          assert.is_true(t.fd_count() <= before)
        end
      until made or n == 200
      assert.is_truthy(made, name)
      assert.is_true(n > 1)
      t.pump(made.close, made)
    end
    bus:close()
  end)
end)
