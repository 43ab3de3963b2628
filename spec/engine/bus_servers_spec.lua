-- Several servers on one backplane of a process (src/engine/bus.c), with a
-- real redis-server: each has what is its own, and goes when it likes, even
-- while a message goes through all of them.

local t = require "spec.helper"
local redis = require "spec.helper.redis"
local child = require "spec.helper.child"

local ws = t.ws

if redis.is_missing "servers of one backplane" then return end

local rules = { ["room/*"] = { size = 100, ttl = 60 } }

describe("servers of one backplane", function()
  local db, bus, far

  before_each(function()
    redis.quiet()
    db = redis.start()
    bus = redis.bus { url = db.url }
    far = redis.bus { url = db.url }
  end)

  after_each(redis.cleanup)

  -- One of them.
  local function new(options)
    local o = { backplane = bus, port = 0, host = "127.0.0.1" }
    for name, value in pairs(options or {}) do o[name] = value end
    local self = { conns = {} }
    o.on_open = function(conn) self.conns[#self.conns + 1] = conn end
    self.server = t.listen(o)
    return self
  end

  local function subscribe(self, topic, options)
    local conn, raw = redis.join(self)
    options = options or {}
    options.wait = 20
    assert(t.pump(conn.subscribe, conn, topic, options))
    return raw, conn
  end

  local function expect(list, ...)
    for _, raw in ipairs(list) do
      for _, text in ipairs { ... } do raw:expect_frame("text", text, 20) end
    end
  end

  local function silent(list)
    for _, raw in ipairs(list) do raw:expect_silence() end
  end

  local function keep(server, topic, text)
    return assert(t.pump(server.publish, server, topic, text, "text",
      { wait = 20 }))
  end

  it("give on plainly what another of them keeps, and each once", function()
    local one, plain = new { history = rules }, new()
    local a = subscribe(one, "room/1", { recover = {} })
    local b = subscribe(plain, "room/1")
    keep(one.server, "room/1", "first")
    expect({ a, b }, "first")
    -- by the backplane: once to Redis, for all
    assert.equal(0, bus:publish("room/1", "second"))
    expect({ a, b }, "second")
    -- by the one that does not keep it: it has no place, for nobody
    plain.server:publish("room/1", "third")
    expect({ a, b }, "third")
    far:publish("room/1", "fourth")
    expect({ a, b }, "fourth")
    assert.is_true(one.server:reset "room/1") -- is no message
    keep(one.server, "room/1", "fifth")
    expect({ a, b }, "fifth")
    silent { a, b }
    assert.equal(1, #t.pump(one.server.history, one.server, "room/1"))
    assert.same({ nil, "not kept" }, { t.pump(plain.server.history,
      plain.server, "room/1") })
    assert.equal(1, #t.pump(bus.history, bus, "room/1"))
  end)

  it("keep apart who is there with whom", function()
    local one, other = new { on_presence = function() end }, new()
    local function ids()
      local list = {}
      for i, who in ipairs(t.pump(bus.presence, bus, "hall")) do
        list[i] = who.id
      end
      return table.concat(list, " ")
    end
    for id, self in pairs { ann = one, bob = other } do
      local conn = redis.join(self)
      assert(conn:subscribe("hall", { presence = { id = id } }))
      t.wait(function() return ids():find(id) end, id, 20)
    end
    t.pump(other.server.close, other.server)
    t.wait(function() return ids() == "ann" end, "bob to leave", 20)
    other.server, other.conns = nil, nil
    collectgarbage()
    assert.equal("ann", ids())
  end)

  -- It has joined, and is collected some time later.
  it("do without one that could not listen", function()
    local one = new { history = rules, on_presence = function() end }
    local a = subscribe(one, "news")
    local kept = subscribe(one, "room/1", { recover = {} })
    local conn = redis.join(one)
    collectgarbage "stop"
    local none = ws.listen { port = one.server.port, host = "127.0.0.1",
      backplane = bus, history = rules, on_presence = function() end }
    assert.is_nil(none)
    far:publish("news", "from afar")
    a:expect_frame("text", "from afar", 20)
    assert.equal(1, bus:publish("news", "from here"))
    a:expect_frame("text", "from here", 20)
    keep(one.server, "room/1", "kept")
    kept:expect_frame("text", "kept", 20)
    conn:subscribe("hall", { presence = "Ann" })
    assert.equal(1, #t.pump(one.server.presence, one.server, "hall"))
    db:ask("CLIENT", "KILL", "TYPE", "pubsub")
    t.wait(function() return bus.state ~= "up" end, "the loss", 20)
    t.wait(function() return bus.state == "up" end, "it to be back", 20)
    keep(one.server, "room/1", "again")
    kept:expect_frame("text", "again", 20)
    collectgarbage "restart"
    collectgarbage()
    keep(one.server, "room/1", "at last")
    kept:expect_frame("text", "at last", 20)
  end)

  -- Three of them, of which the one in the middle closes while the first calls
  -- its script for what all are told.
  local function closing(fn)
    local victim
    local function view(m)
      if victim then victim:close { timeout = 0 } end
      victim = nil
      return m .. "!"
    end
    local first
    local told = {}
    first = new { history = rules, on_presence = function(_, _, id)
      told[#told + 1] = id
      if id == "bob" then view "" end
      fn(id)
    end }
    first.told = told
    first.server:view("v", view)
    local one = new { history = rules }
    local last = new { history = { ["room/*"] = rules["room/*"],
      ["late/*"] = rules["room/*"] } }
    local raws = { news = {}, ["room/1"] = {}, ["late/1"] = {} }
    for topic, list in pairs(raws) do
      local recover = topic ~= "news" and {} or nil
      list[1] = subscribe(first, topic, { view = "v", recover = recover })
      list[2] = subscribe(last, topic, { recover = recover })
    end
    victim = one.server
    fn("begin", first, last)
    t.wait(function() return not victim end, "it to close", 20)
    return raws, first
  end

  for name, publish in pairs {
    ["the backplane publishes"] = function() bus:publish("news", "m") end,
    ["another process publishes"] = function() far:publish("news", "m") end,
    ["another server publishes"] = function(_, last)
      last.server:publish("news", "m")
    end,
  } do
    it("lose one in the middle while " .. name, function()
      local raws = closing(function(what, ...)
        if what == "begin" then publish(...) end
      end)
      raws.news[1]:expect_frame("text", "m!", 20)
      raws.news[2]:expect_frame("text", "m", 20)
      far:publish("news", "n")
      raws.news[1]:expect_frame("text", "n!", 20)
      raws.news[2]:expect_frame("text", "n", 20)
      silent(raws.news)
    end)
  end

  it("lose one in the middle while something is kept", function()
    local raws, first = closing(function(what, one)
      if what == "begin" then one.server:publish("room/1", "m") end
    end)
    raws["room/1"][1]:expect_frame("text", "m!", 20)
    raws["room/1"][2]:expect_frame("text", "m", 20)
    keep(first.server, "room/1", "n")
    raws["room/1"][1]:expect_frame("text", "n!", 20)
    raws["room/1"][2]:expect_frame("text", "n", 20)
    silent(raws["room/1"])
  end)

  -- So many come at once, as another process would tell it.
  local function tell(ids)
    local head = "\0evw\1" .. ("\0"):rep(8)
    local words = { "EVAL",
      "for i=1,#ARGV do redis.call('PUBLISH',KEYS[1],ARGV[i])end", "1",
      "evws:t:\0w" }
    for _, id in ipairs(ids) do
      words[#words + 1] = head .. "J" .. string.pack(">s4 s4 I4 s2", "hall", id,
        1, id)
    end
    db:ask(table.unpack(words))
  end

  local function wait_to_listen()
    t.wait(function()
      return db:ask("PUBSUB", "NUMSUB", "evws:t:\0w")[2] > 0
    end, "it to listen", 20)
  end

  it("lose one while they are told who comes, who ask and publish", function()
    local lists = {}
    local raws = closing(function(what, one)
      if what == "begin" then
        wait_to_listen()
        tell { "ann", "bob", "eve" }
        t.wait(function() return #one.told == 3 end, "them", 20)
        t.wait(function()
          return lists.ann and lists.bob and lists.eve
        end, "their answers", 20)
        return
      end
      if what ~= "ann" then
        bus:publish("room/1", "kept " .. what)
        bus:publish("late/1", "late " .. what) -- the last one's alone
        bus:publish("news", "plain " .. what)
      end
      lists[what] = bus:presence "hall"
    end)
    -- who asks hears of the next one before there is an answer
    local function both(raw, format)
      local texts = { raw:frame(20).payload, raw:frame(20).payload }
      table.sort(texts)
      assert.same({ format:format "bob", format:format "eve" }, texts)
    end
    both(raws.news[1], "plain %s!")
    both(raws.news[2], "plain %s")
    both(raws["room/1"][1], "kept %s!")
    both(raws["room/1"][2], "kept %s")
    both(raws["late/1"][2], "late %s")
    assert.same({ ann = {}, bob = {}, eve = {} }, lists)
  end)

  it("end with a script that has published more than Redis takes at once",
    function()
      local one, n = new(), 0
      one.server:hear("news", function(message)
        n = n + 1
        assert(tonumber(message:match "^(%d+)x+$") == n)
      end)
      t.wait(function()
        return db:ask("PUBSUB", "NUMSUB", "evws:t:news")[2] == 1
      end, "it to listen", 20)
      local lines = child.run(([[
        local bus = ws.backplane { url = %q, timeout = 60,
          max_queued = 64 * 1024 * 1024 }
        wait(function() return bus.state == "up" end)
        for i = 1, 100 do
          local n, why = bus:publish("news", i .. ("x"):rep(70000))
          assert(n == 0 and not why, why)
        end
        log "published"
      ]]):format(db.url))
      assert.same({ "published" }, lines)
      t.wait(function() return n == 100 end, "all of it", 20)
    end)

  it("end with a script that closes nothing, and lose nothing", function()
    local raw = subscribe(new(), "news")
    local lines = child.run(([[
      local server = ws.listen { port = 0, backplane = %q,
        history = { ["room/*"] = { size = 5, ttl = 5 } },
        on_presence = function() end }
      server:hear("room/1", function() end)
      server:hear("news", function() end)
      local bus = ws.backplane { url = %q, presence_ttl = 0.0001 }
      local other = ws.listen { port = 0, backplane = bus }
      wait(function() return bus.state == "up" end)
      ws.spawn(function() bus:presence "hall" end)
      ws.spawn(function() server:history "room/2" end)
      log(bus:publish("news", "the last word"))
    ]]):format(db.url, db.url))
    assert.same({ "0" }, lines)
    raw:expect_frame("text", "the last word", 20)
  end)

  it("end with a script that ends while a message goes through them",
    function()
      local lines, _, how, code = child.run(([[
        local bus = ws.backplane { url = %q, timeout = 60 }
        local conns = {}
        local server = assert(ws.listen { port = 0, backplane = bus,
          on_open = function(conn) conns[1] = conn end })
        assert(server:view("v", function()
          log "view"
          os.exit(7, true)
        end))
        local client
        ws.spawn(function()
          client = assert(ws.connect("ws://127.0.0.1:" .. server.port))
        end)
        wait(function() return client and conns[1] end)
        conns[1]:subscribe("a", { view = "v" })
        bus:publish("a", "x")
      ]]):format(db.url))
      assert.same({ "view", "exit", 7 }, { lines[1], how, code })
      assert.equal(1, #lines)
    end)

  it("end with a forked copy while who is there is on its way", function()
    if os.getenv "ASAN_OPTIONS" then
      pending "the sanitizer waits there for a thread that it does not have"
      return
    end
    assert.same({ "exit 0", "join" }, (child.run(([[
      local bus = ws.backplane { url = %q, timeout = 60 }
      local told, conns = {}, {}
      local server = assert(ws.listen { port = 0, backplane = bus,
        on_open = function(conn) conns[1] = conn end,
        on_presence = function(_, change) told[1] = change end })
      local client
      ws.spawn(function()
        client = assert(ws.connect("ws://127.0.0.1:" .. server.port))
      end)
      wait(function() return client and conns[1] and bus.state == "up" end)
      conns[1]:subscribe("a", { presence = "Ann" })
      ws.step(0) -- the change leaves; what answers it is read by the next one
      local pid = probe.state.fork()
      if pid == 0 then os.exit(0, true) end
      log(probe.state.reap(pid))
      wait(function() return told[1] end)
      log(told[1])
    ]]):format(db.url))))
  end)
end)
