-- Servers that share topics by way of a real redis-server, without memory:
-- each allocation of one thing that they do fails once, and then all from each
-- on. Whatever that was, it says so or has been done; what is kept reaches
-- everybody, and who is there is known to all. In builds with faults only.

local t = require "spec.helper"
local redis = require "spec.helper.redis"

local core = require "evws.core"
local ws = t.ws

if redis.is_missing "servers of a backplane without memory" then return end

describe("servers of a backplane without memory", function()
  if not core.fail_at then
    it("have told the same in the end", function()
      pending "built without WS_FAULT"
    end)
    return
  end

  local long = ("x"):rep(70000)
  local db, a, b, c, others
  local d, plain -- a server of a's backplane that keeps nothing

  local function process()
    local self = { conns = {} }
    self.bus = redis.bus { url = db.url, timeout = 60,
      reconnect = { initial = 0.001, maximum = 0.002, jitter = 0 } }
    self.server = t.listen { backplane = self.bus, max_queued = false,
      history = { ["room/*"] = { size = 5000, ttl = 600, stamp = "json" } },
      on_presence = function() end,
      on_open = function(conn) self.conns[#self.conns + 1] = conn end }
    return self
  end

  -- Somebody who reads room/1, and comes back behind what he has seen.
  local function come(self)
    local last = self.last
    self.conn, self.raw = redis.join(self)
    local found = assert(t.pump(self.conn.subscribe, self.conn, "room/1",
      { wait = 60, recover = last or {} }))
    assert.is_true(not last or found.recovered)
    self.last = last or { offset = found.offset, epoch = found.epoch }
  end

  -- Up to this one, none missing, none twice; false: the connection has ended.
  local function read(self, offset)
    while not offset or self.last.offset < offset do
      local kind, text = self.raw:message()
      if kind ~= "text" then return false end
      local at, epoch = text:match '^{"offset":(%d+),"epoch":"(%w+)"'
      assert.same({ self.last.offset + 1, self.last.epoch },
        { tonumber(at), epoch })
      self.last.offset = self.last.offset + 1
    end
    return true
  end

  local function is_in(conn, topic)
    if conn.state ~= "open" then return false end
    for _, name in ipairs(conn:topics()) do
      if name == topic then return true end
    end
    return false
  end

  local function leave(self)
    self.conn:close()
    read(self)
    self.raw:close()
  end

  local function ids(self, topic)
    local people, why = t.pump(self.server.presence, self.server, topic)
    if not people then return why end
    local list = {}
    for i, one in ipairs(people) do list[i] = one.id .. one.count end
    return table.concat(list, " ")
  end

  local function settle()
    for _, one in ipairs { a, b } do
      t.wait(function() return one.bus.state == "up" end, "the backplane", 20)
      if not is_in(one.conn, "room/1") then
        leave(one)
        come(one)
      end
    end
    local offset
    t.wait(function()
      offset = t.pump(a.server.publish, a.server, "room/1", "0", "text",
        { wait = 60 })
      return offset
    end, "a place", 20)
    for _, one in ipairs { a, b } do
      while not read(one, offset) do
        leave(one)
        come(one)
      end
    end
    local expected = is_in(others[1], "hall") and "ann1" or ""
    for _, one in ipairs { a, b } do
      t.wait(function() return ids(one, "hall") == expected end, expected, 20)
    end
  end

  local function open_others()
    for i, one in ipairs { a, b } do
      if not others[i] or others[i].state ~= "open" then
        others[i] = redis.join(one)
      end
    end
  end

  before_each(function()
    redis.quiet()
    ws.on_error(function() end)
    db, others, c = redis.start(), {}, nil
    a, b = process(), process()
    come(a)
    come(b)
    d, plain = { conns = {} }, nil
    d.server = t.listen { backplane = a.bus,
      on_open = function(conn) d.conns[#d.conns + 1] = conn end }
  end)

  after_each(function()
    core.fail_at(0)
    redis.cleanup()
    ws.on_error(nil)
  end)

  -- What is asked of Redis has been answered.
  local function turns()
    for _ = 1, 2 do
      t.turn(0)
      db:ask "PING"
    end
    t.turn(0)
  end

  -- Begins it, and goes on when it may have been answered; without memory it
  -- may end later, or raise.
  local running

  local function attempt_soon(fn, ...)
    local one = { told = function() end }
    running[#running + 1] = one
    local args = table.pack(...)
    local ok, why = pcall(ws.spawn, function()
      one.results = table.pack(pcall(fn, table.unpack(args, 1, args.n)))
    end)
    if not ok then one.results = { false, why } end
    return one
  end

  local function attempt(...)
    local one = attempt_soon(...)
    turns()
    return one
  end

  local function finish()
    for _, one in ipairs(running) do
      t.wait(function() return one.results end, "the end of a task", 20)
      local ok, first, second = table.unpack(one.results, 1, 3)
      if ok then
        one.told(first, second)
      else
        t.contains(tostring(first), "not enough memory")
      end
    end
  end

  -- What they do: `fails` while allocations fail, so many of them one by one,
  -- behind `ready` and in front of `check`, which have memory.
  local things = {
    ["a message that is kept"] = { 40, fails = function()
      local last = a.last.offset
      attempt(a.server.publish, a.server, "room/1", "1", "text", { wait = 60,
        meta = "x" }).told = function(offset, why)
        assert(offset and offset > last or why)
      end
    end },

    ["one of a connection"] = { 40, fails = function()
      attempt(b.conn.publish, b.conn, "hall", long)
      attempt(others[2].publish, others[2], "room/1", '"other"', "text",
        { wait = 60 })
    end },

    ["one of the backplane"] = { 40, ready = function()
      for i = 1, 2 do others[i]:subscribe "street" end
      if not plain or plain.state ~= "open" then plain = redis.join(d) end
      plain:subscribe "room/1"
    end, fails = function()
      attempt(a.bus.publish, a.bus, "room/1", '"of all"')
      attempt(a.bus.publish, a.bus, "street", "of all", "binary")
    end },

    ["who comes and goes"] = { 60, fails = function(n)
      local conn = others[1]
      attempt(conn.subscribe, conn, "hall", { presence = { id = "ann",
        info = ("\1"):rep(4000) } })
      attempt(conn.subscribe, conn, "hall", { presence = { id = "ann",
        info = "[]" } })
      if n % 4 < 2 then attempt(conn.unsubscribe, conn, "hall") end
    end },

    ["who hears of it"] = { 60, ready = function()
      for i = 1, 2 do others[i]:subscribe "\0phall" end
    end, fails = function(n)
      local conn = others[1]
      if n % 4 < 2 then attempt(conn.unsubscribe, conn, "hall") end
      attempt(conn.subscribe, conn, "hall", { presence = { id = "ann" } })
    end },

    ["who asks who is there"] = { 40, ready = function()
      others[1]:subscribe("hall", { presence = { id = "ann" } })
      t.wait(function() return ids(b, "hall") == "ann1" end, "her", 20)
    end, fails = function()
      attempt(b.server.presence, b.server, "hall").told = function(list, why)
        assert(list and #list == 1 or why)
      end
    end },

    ["many that wait for an answer"] = { 60, fails = function()
      for i = 1, 18 do
        pcall(a.bus.publish, a.bus, "hall", "x")
        attempt_soon(a.bus.presence, a.bus, "hall")
        if i == 17 then pcall(a.bus.publish, a.bus, "hall", long) end
      end
      turns()
    end },

    ["a history that is read"] = { 40, ready = function(n)
      for i = 1, 3 do
        assert.equal(i, t.pump(a.server.publish, a.server, "room/a" .. n, "1",
          "text", { wait = 60 }))
      end
    end, fails = function(n)
      attempt(b.server.history, b.server, "room/a" .. n).told = function(list,
        why)
        assert(list and #list == 3 or why)
      end
    end, check = function(n)
      t.wait(function()
        local list = t.pump(b.server.history, b.server, "room/a" .. n)
        return list and #list == 3
      end, "the history", 20)
    end },

    ["one that begins anew"] = { 40, ready = function(n)
      for i = 1, 2 do
        assert.equal(i, t.pump(a.server.publish, a.server, "room/b" .. n, "1",
          "text", { wait = 60 }))
      end
      assert.equal(2, #t.pump(b.server.history, b.server, "room/b" .. n))
    end, fails = function(n)
      attempt(a.server.reset, a.server, "room/b" .. n)
    end, check = function(n)
      t.wait(function()
        local x = t.pump(a.server.history, a.server, "room/b" .. n)
        local y = t.pump(b.server.history, b.server, "room/b" .. n)
        return x and y and #x == #y
      end, "both to have the same", 20)
    end },

    ["topics that are new, and are left"] = { 60, fails = function(n)
      for _, name in ipairs { "subscribe", "unsubscribe" } do
        for i = 1, 5 do
          local topic, conn = ("new %d %d"):format(n, i), others[1]
          pcall(conn[name], conn, topic)
          attempt(conn[name], conn, "room/" .. topic)
        end
      end
    end },

    ["a connection of Redis that is lost"] = { 90, fails = function()
      db:ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      for _ = 1, 10 do turns() end
    end },

    ["a server that begins"] = { 60, ready = function()
      if c then c:close() end
      c = redis.bus { url = db.url }
    end, fails = function(n)
      local ok, one = pcall(ws.listen, { host = "127.0.0.1", port = 0,
        backplane = c, on_presence = function() end,
        history = { ["room/*"] = { size = 10, ttl = 600 } } })
      turns()
      if not ok then return t.contains(one, "not enough memory") end
      if not one then return end
      attempt(one.hear, one, "hear " .. n, function() end)
      attempt(one.publish, one, "hall", "of another")
      attempt(one.close, one)
    end },

    ["a backplane that begins"] = { 40, fails = function()
      local ok, bus = pcall(ws.backplane, { url = { db.url,
        "redis://127.0.0.1:" .. db.port }, on_presence = function() end,
        reconnect = { initial = 0.001, maximum = 0.002 } })
      turns()
      if not ok then return t.contains(bus, "not enough memory") end
      turns()
      attempt(bus.close, bus)
    end },
  }

  local function nothing() end

  for name, thing in pairs(things) do
    it("have told the same in the end, after " .. name, function()
      for k = 1, 2 * thing[1] do
        local n, every = (k + 1) // 2, k % 2 == 0
        open_others();
        (thing.ready or nothing)(k)
        core.fail_at(n, every)
        running = {}
        local ok, why = pcall(thing.fails, k)
        core.fail_at(0)
        assert(ok, why)
        finish()
        settle();
        (thing.check or nothing)(k)
      end
    end)
  end
end)
