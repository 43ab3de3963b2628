-- Receiving: the three modes of a connection (pull, callback, discard), the
-- ways from one to the other, and that none of them loses or reorders
-- anything.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local url_of = t.url_of

local function text(...)
  local frames = {}
  for i, message in ipairs { ... } do frames[i] = t.frame("text", message) end
  return table.concat(frames)
end

-- A connection that is pulled from the start.
local function pulled(options)
  local own = {}
  for name, value in pairs(options or {}) do own[name] = value end
  own.on_open = function(conn) conn:messages() end
  return kit.pair(own)
end

describe("receiving", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  describe("by pulling", function()
    it("is what a connection returned by connect does", function()
      local server = t.listen { on_open = function(conn)
        conn:send "one"
        conn:send("two\0\xff", "binary")
        conn:send ""
      end }
      local conn <close> = assert(ws.connect(url_of(server)))
      assert.same({ "one", "text" }, { conn:receive() })
      assert.same({ "two\0\xff", "binary" }, { conn:receive(t.limit) })
      assert.same({ "", "text" }, { conn:receive() })
    end)

    it("is what connect's does with an on_open too", function()
      local server = t.listen { on_open = function(conn)
        conn:send "one"
        conn:send "two"
      end }
      local opened
      local conn <close> = assert(ws.connect(url_of(server),
        { on_open = function() opened = true end }))
      t.wait(function() return opened end)
      for _ = 1, 5 do t.turn() end
      assert.equal("one", conn:receive(t.limit))
      assert.equal("two", conn:receive(t.limit))
    end)

    it("is what an accepted one does until on_open returned", function()
      local log = {}
      local _, raw = kit.pair {
        on_open = function(conn)
          log[#log + 1] = "in on_open: " .. conn:receive()
          ws.sleep(0)
          log[#log + 1] = "and: " .. conn:receive(t.limit)
        end,
      }
      raw:send(text("one", "two"))
      t.wait(function() return log[2] end)
      assert.same({ "in on_open: one", "and: two" }, log)
    end)

    it("is for ever once receive or messages was called", function()
      for _, name in ipairs { "receive", "messages" } do
        local called = 0
        local conn, raw = kit.pair {
          on_message = function() called = called + 1 end,
          on_open = function(conn) conn[name](conn, 0) end,
        }
        raw:send(text("one", "two"))
        raw:expect_silence()
        assert.equal("one", conn:receive(t.limit))
        assert.equal("two", conn:receive(t.limit))
        assert.equal(0, called)
      end
    end)

    it("goes through the messages until the close", function()
      local conn, raw = pulled()
      raw:send(text("one", "two") .. t.frame("close", "\x0f\xa0bye"))
      local list = {}
      for message, kind in conn:messages() do
        list[#list + 1] = kind .. " " .. message
      end
      assert.same({ "text one", "text two" }, list)
      assert.same({ nil, "closed", 4000, "bye", n = 4 },
        table.pack(conn:receive()))
    end)

    it("echoes in a loop", function()
      local server = t.listen { on_open = function(conn)
        for message, kind in conn:messages() do conn:send(message, kind) end
      end }
      local raw = t.open(server)
      for i = 1, 20 do
        raw:send(t.frame(i % 2 == 0 and "text" or "binary", "m" .. i))
      end
      for i = 1, 20 do
        raw:expect_frame(i % 2 == 0 and "text" or "binary", "m" .. i)
      end
      raw:finish()
    end)

    it("loses nothing between two loops", function()
      local conn, raw = pulled()
      raw:send(text("one", "two", "three"))
      for i, last in ipairs { "one", "two" } do
        for message in conn:messages() do
          assert.equal(last, message)
          if i > 0 then break end
        end
      end
      assert.equal("three", conn:receive(t.limit))
    end)

    it("takes what came with the handshake", function()
      local server = t.listen { on_open = function(conn)
        conn:send(conn:receive() .. conn:receive())
      end }
      local raw = t.raw(server)
      raw:send(("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
        .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        .. text("one", "two"))
      assert.equal(101, (raw:read_http()))
      raw:expect_frame("text", "onetwo")
    end)

    it("in a task gets each message when it comes", function()
      local conn, raw = pulled()
      local got
      ws.spawn(function()
        for message in conn:messages() do got = message end
      end)
      for i = 1, 3 do
        raw:send(text("m" .. i))
        t.wait(function() return got == "m" .. i end)
      end
    end)

    it("is for one task at a time: a second one raises", function()
      local conn, raw = pulled()
      local first
      ws.spawn(function() first = conn:receive() end)
      t.turn()
      for _, name in ipairs { "receive", "messages" } do
        local why = kit.refusal(function()
          local message = conn[name](conn)
          return message
        end)
        assert.is_truthy(why:find("another task is receiving", 1, true))
      end
      raw:send(text "one")
      t.wait(function() return first == "one" end)
      raw:send(text "two")
      assert.equal("two", conn:receive(t.limit))
    end)
  end)

  describe("with a timeout", function()
    it("gives up in time, and loses nothing", function()
      local conn, raw = pulled()
      local from = ws.now()
      assert.same({ nil, "timeout" }, { conn:receive(0.03) })
      assert.is_true(ws.now() - from >= 0.03)
      assert.same({ nil, "timeout" }, { conn:receive(0) })
      raw:send(text "one")
      assert.same({ "one", "text" }, { conn:receive(t.limit) })
    end)

    it("takes what is there even when that is 0", function()
      local conn, raw = pulled()
      raw:send(text("one", "two"))
      t.wait(function() return conn:receive(0) end)
      assert.equal("two", conn:receive(0))
    end)

    it("gives up in a task as well", function()
      local conn = pulled()
      assert.same({ nil, "timeout" },
        t.pump(function() return { conn:receive(0.01) } end))
    end)

    it("counts on while control frames and fragments come", function()
      local conn, raw = pulled { control_rate = false }
      local timer = ws.every(0.005, function() conn:ping() end)
      raw:send(t.frame("text", "part", { fin = false }))
      local beat = ws.every(0.005, function()
        raw.socket:send(t.frame("ping"))
        raw.socket:send(t.frame("continuation", "x", { fin = false }))
      end)
      local from = ws.now()
      assert.same({ nil, "timeout" }, { conn:receive(0.05) })
      assert.same({ nil, "timeout" },
        t.pump(function() return { conn:receive(0.05) } end))
      assert.is_true(ws.now() - from < t.limit * t.factor)
      timer:cancel()
      beat:cancel()
    end)

    it("has seconds that are numbers, not negative", function()
      local conn = pulled()
      for _, value in ipairs { -1, 0 / 0, "x", {}, true } do
        assert.is_truthy(kit.refusal(function()
          local message = conn:receive(value)
          return message
        end):find "bad argument #1 to 'receive'")
      end
    end)
  end)

  describe("after the end", function()
    it("returns what is unread, then closed and the code", function()
      local conn, raw = pulled { close_timeout = 0.02 }
      raw:send(text("one", "two") .. t.frame("close", "\x0f\xa0bye"))
      raw:expect_close(4000)
      t.wait(function() return conn.state == "closed" end)
      assert.equal("one", conn:receive())
      assert.equal("two", conn:receive(0))
      for _ = 1, 2 do
        assert.same({ nil, "closed", 4000, "bye", n = 4 },
          table.pack(conn:receive()))
      end
    end)

    it("without a close frame has code 1006", function()
      local conn, raw = pulled()
      raw:send(text "one"):reset()
      t.wait(function() return conn.state == "closed" end)
      if conn:receive() then conn:receive() end -- a reset may overtake it
      assert.same({ nil, "closed", 1006, "connection reset" },
        { conn:receive() })
    end)

    it("wakes whoever waits", function()
      local conn, raw = pulled()
      local got
      ws.spawn(function() got = table.pack(conn:receive()) end)
      raw:finish(1000)
      t.wait(function() return got end)
      assert.same({ nil, "closed", 1000, "", n = 4 }, got)
    end)

    it("by our own close has the peer's code", function()
      local conn, raw = pulled()
      ws.after(0, function() conn:close(1000, "done") end)
      ws.spawn(function() ws.sleep(0) end)
      local got
      ws.spawn(function() got = table.pack(conn:receive()) end)
      raw:expect_close(1000)
      raw:send(t.frame("close", "\x03\xe8"))
      t.wait(function() return got end)
      assert.same({ nil, "closed", 1000, "", n = 4 }, got)
    end)
  end)

  describe("by callback", function()
    it("begins when on_open has returned, nothing lost before", function()
      local log, go = {}, false
      local server = t.listen {
        on_open = function()
          while not go do ws.sleep(0) end
          log[#log + 1] = "opened"
        end,
        on_message = function(_, message) log[#log + 1] = message end,
      }
      local raw = t.open(server)
      raw:send(text("one", "two"))
      raw:expect_silence()
      assert.same({}, log)
      raw:send(text("three"))
      go = true
      t.wait(function() return log[4] end)
      assert.same({ "opened", "one", "two", "three" }, log)
    end)

    it("has no receive", function()
      local conn = kit.pair { on_message = function() end }
      for _, name in ipairs { "receive", "messages" } do
        assert.is_truthy(kit.refusal(function()
          local message = conn[name](conn)
          return message
        end):find("has an on_message", 1, true))
      end
    end)

    it("set late delivers what is unread first, in order", function()
      local conn, raw = pulled()
      raw:send(text("one", "two", "three"))
      assert.equal("one", conn:receive(t.limit))
      raw:expect_silence()
      local log = {}
      assert.equal(conn, conn:on_message(function(c, message, kind)
        log[#log + 1] = { c == conn, message, kind }
      end))
      raw:send(t.frame("binary", "four"))
      t.wait(function() return log[3] end)
      assert.same({ { true, "two", "text" }, { true, "three", "text" },
        { true, "four", "binary" } }, log)
    end)

    it("set late on a client's connection does so too", function()
      local server = t.listen { on_open = function(conn)
        for i = 1, 5 do conn:send("m" .. i) end
      end }
      local conn <close> = assert(ws.connect(url_of(server)))
      assert.equal("m1", conn:receive())
      local log = {}
      conn:on_message(function(_, message) log[#log + 1] = message end)
      t.wait(function() return log[4] end)
      assert.same({ "m2", "m3", "m4", "m5" }, log)
    end)

    it("cannot be set while a task receives", function()
      local conn, raw = pulled()
      local got
      ws.spawn(function() got = conn:receive() end)
      t.turn()
      assert.is_truthy(kit.refusal(function()
        conn:on_message(print)
      end):find("a task is receiving", 1, true))
      raw:send(text "one")
      t.wait(function() return got == "one" end)
      conn:on_message(function() end)
    end)

    it("taken away leaves the mode that was there before", function()
      local conn, raw = pulled()
      conn:on_message(print):on_message(nil)
      raw:send(text "one")
      assert.equal("one", conn:receive(t.limit))
      local server = t.listen { on_message = conn.send }
      local client <close> = assert(ws.connect(url_of(server)))
      client:on_message(print):on_message(nil)
      client:send "two"
      t.bystander(server):finish()
      assert.equal("two", client:receive(t.limit))
    end)

    it("is a function or nil", function()
      local conn = kit.pair()
      for _, value in ipairs { 5, "f", {} } do
        assert.is_truthy(kit.refusal(function()
          conn:on_message(value)
        end):find "bad argument #1 to 'on_message'")
      end
    end)

    it("handles one message at a time, in order", function()
      local log, active, most = {}, 0, 0
      local _, raw = kit.pair { on_message = function(_, message)
        active = active + 1
        most = math.max(most, active)
        ws.sleep(tonumber(message) % 2 == 0 and 0 or 0.001)
        log[#log + 1] = message
        active = active - 1
      end }
      local expected = {}
      for i = 1, 20 do
        expected[i] = tostring(i)
        raw:send(text(expected[i]))
      end
      t.wait(function() return #log == 20 end)
      assert.same(expected, log)
      assert.equal(1, most)
    end)

    it("overlaps as often as concurrency allows", function()
      local active, most, done, go = 0, 0, 0, false
      local _, raw = kit.pair { concurrency = 3, on_message = function()
        active = active + 1
        most = math.max(most, active)
        while not go do ws.sleep(0) end
        active = active - 1
        done = done + 1
      end }
      for i = 1, 10 do raw:send(text("m" .. i)) end
      raw:expect_silence()
      t.wait(function() return active == 3 end)
      go = true
      t.wait(function() return done == 10 end)
      assert.equal(3, most)
    end)

    it("answers pings while a handler waits", function()
      local go = false
      local _, raw = kit.pair { on_message = function(conn, message)
        while not go do ws.sleep(0) end
        conn:send(message)
      end }
      raw:send(text("one", "two"))
      raw:expect_silence()
      go = true
      raw:expect_frame("text", "one")
      raw:expect_frame("text", "two")
    end)
  end)

  describe("not at all", function()
    it("discards, on an accepted connection with neither", function()
      local conn, raw = kit.pair()
      raw:send(text("one", "two"))
      raw:expect_silence()
      assert.same({ nil, "timeout" }, { conn:receive(0) })
      raw:send(text "three")
      assert.equal("three", conn:receive(t.limit))
    end)
  end)
end)
