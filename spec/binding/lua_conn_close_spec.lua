-- The ends of a connection: close, shutdown, terminate, a variable that goes
-- out of scope; codes and reasons; what on_close is told.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains, url_of = t.contains, t.url_of
local refused = kit.refused_call

-- kit.pair, and the list of what on_close was given.
local function pair(options, raw_options)
  local closed, own = {}, {}
  for name, value in pairs(options or {}) do own[name] = value end
  function own.on_close(...) closed[#closed + 1] = table.pack(...) end
  local conn, raw, server = kit.pair(own, raw_options)
  return conn, raw, closed, server
end

local function expect_closed(conn, closed, code, reason)
  t.wait(function() return closed[1] end, "on_close")
  for _ = 1, 3 do t.turn(0) end
  assert.same({ { conn, code, reason, n = 3 } }, closed)
  assert.equal("closed", conn.state)
end

describe("the end of a connection", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  describe("by close", function()
    it("is 1000 by default, answered by the peer", function()
      local conn, raw, closed = pair()
      assert.is_true(conn:close())
      assert.equal("closing", conn.state)
      assert.same({ nil, "closed" }, { conn:send "x" })
      assert.same({ 1000, "" }, { raw:expect_close(1000) })
      raw:expect_silence(3)
      assert.same({}, closed)
      raw:send(t.frame("close", "\x03\xe8"))
      raw:expect_eof()
      expect_closed(conn, closed, 1000, "")
    end)

    it("takes a code and a reason", function()
      local conn, raw, closed = pair()
      conn:close(4999, "gr\xc3\xbc\xc3\x9fe")
      assert.same({ 4999, "gr\xc3\xbc\xc3\x9fe" }, { raw:expect_close(4999) })
      raw:send(t.frame("close", "\x0b\xb8theirs"))
      expect_closed(conn, closed, 3000, "theirs")
    end)

    it("comes after everything that was sent before", function()
      local conn, raw = pair({ max_queued = false }, { rcvbuf = 4096 })
      local big = ("x"):rep(4 << 20)
      conn:send(big)
      conn:send "last"
      conn:close()
      assert.is_true(raw:frame().payload == big)
      raw:expect_frame("text", "last")
      raw:expect_close(1000)
    end)

    it("may be asked for twice: the first counts", function()
      local conn, raw, closed = pair()
      assert.is_true(conn:close(4001, "one"))
      assert.is_true(conn:close(4002, "two"))
      raw:finish(4001)
      expect_closed(conn, closed, 4001, "")
      assert.is_true(conn:close(4003))
    end)

    it("ends a connection that is connecting", function()
      local closed
      local conn = ws.connect(url_of(t.listen {}), {
        on_open = function() error "opened" end,
        on_close = function(...) closed = table.pack(...) end,
      })
      conn:close()
      t.wait(function() return closed end)
      assert.equal(conn, closed[1])
      assert.equal(1006, closed[2])
    end)

    it("with messages on their way discards them", function()
      local got = 0
      local conn, raw, closed = pair { on_message = function()
        got = got + 1
      end }
      conn:close()
      raw:send(t.frame("text", "late")):send(t.frame("close", "\x03\xe8"))
      expect_closed(conn, closed, 1000, "")
      assert.equal(0, got)
    end)

    it("waits for the peer at most close_timeout", function()
      local conn, raw, closed = pair { close_timeout = 0.05 }
      local from = ws.now()
      conn:close()
      raw:expect_close(1000)
      expect_closed(conn, closed, 1006, "close timeout")
      assert.is_true(ws.now() - from >= 0.03)
    end)
  end)

  describe("with a code or reason of the application's", function()
    it("raises for codes that may not be sent", function()
      local conn, raw = pair()
      for _, name in ipairs { "close", "shutdown" } do
        for _, code in ipairs { -1, 0, 1, 999, 1004, 1005, 1006, 1015, 1016,
          2000, 2999, 5000, 65536 + 1000, 1 << 40, 1000.5, "x", {}, true } do
          contains(refused(conn, name, code), "bad argument #1 to '" .. name)
        end
        contains(refused(conn, name, 1000, ("x"):rep(124)), "123 bytes")
        contains(refused(conn, name, 1000, "\xff"), "not UTF-8")
        contains(refused(conn, name, 1000, {}), "bad argument #2")
      end
      assert.equal("open", conn.state)
      raw:expect_silence()
    end)

    it("takes every code that may be sent", function()
      local server = t.listen {}
      for _, code in ipairs { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
        1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999 } do
        local raw = t.open(server)
        local conn
        for c in server:each() do conn = c end
        conn:close(code, ("x"):rep(123))
        assert.same({ code, ("x"):rep(123) }, { raw:expect_close(code) })
        raw:close()
        t.wait(function() return conn.state == "closed" end)
      end
    end)
  end)

  describe("by the peer", function()
    it("tells its code and reason, and echoes the code", function()
      local conn, raw, closed = pair()
      raw:send(t.frame("close", "\x0f\xa1bye"))
      raw:expect_close(4001)
      raw:expect_eof()
      expect_closed(conn, closed, 4001, "bye")
    end)

    it("without a code is 1005", function()
      local conn, raw, closed = pair()
      raw:send(t.frame("close", ""))
      raw:expect_close(1005)
      expect_closed(conn, closed, 1005, "")
    end)

    it("comes after the messages before it, answered", function()
      local conn, raw, closed = pair { on_message = function(c, message)
        ws.sleep(0)
        c:send(message)
      end }
      raw:send(t.frame("text", "one") .. t.frame("text", "two")
        .. t.frame("close", "\x03\xe8"))
      raw:expect_frame("text", "one")
      raw:expect_frame("text", "two")
      raw:expect_close(1000)
      expect_closed(conn, closed, 1000, "")
    end)

    it("without a close frame is 1006, with a cause", function()
      local conn, raw, closed = pair()
      raw:close()
      expect_closed(conn, closed, 1006,
        "connection closed without a close frame")
      conn, raw, closed = pair()
      raw:reset()
      expect_closed(conn, closed, 1006, "connection reset")
    end)

    it("by what it may not do is our code, with a cause", function()
      for code, frame in pairs { [1002] = t.frame(3), [1007] = t.frame("text",
        "\xff"), [1009] = t.frame("text", nil, { len = 1 << 40 }) } do
        local conn, raw, closed = pair()
        raw:send(frame)
        raw:expect_close(code)
        t.wait(function() return closed[1] end)
        assert.equal(code, closed[1][2])
        assert.is_true(#closed[1][3] > 0)
        assert.equal("closed", conn.state)
      end
    end)

    it("by silence is 1006, keepalive timeout; pings before", function()
      local conn, raw, closed = pair { keepalive_interval = 0.05,
        keepalive_timeout = 0.2 }
      assert.is_nil(conn.latency)
      local f = raw:frame()
      assert.equal(9, f.opcode)
      raw:send(t.frame("pong", f.payload))
      t.wait(function() return conn.latency end)
      assert.is_true(conn.latency >= 0 and conn.latency < t.limit)
      expect_closed(conn, closed, 1006, "keepalive timeout")
    end)

    it("that stays too long is 1001 after max_lifetime", function()
      local conn, raw, closed = pair { max_lifetime = 0.03 }
      raw:expect_close(1001)
      raw:send(t.frame("close", "\x03\xe9"))
      expect_closed(conn, closed, 1001, "max lifetime")
    end)

    it("without messages is 1001 after idle_timeout", function()
      local conn, raw, closed = pair { idle_timeout = 0.03 }
      raw:expect_close(1001)
      raw:send(t.frame("close", "\x03\xe9"))
      expect_closed(conn, closed, 1001, "idle timeout")
    end)
  end)

  describe("by shutdown", function()
    it("sends the close frame and goes on receiving", function()
      local log = {}
      local conn, raw, closed = pair { on_message = function(_, message)
        log[#log + 1] = message
      end }
      assert.is_true(conn:shutdown(4001, "enough"))
      assert.equal("closing", conn.state)
      assert.same({ nil, "closed" }, { conn:send "x" })
      assert.same({ nil, "closed" }, { conn:shutdown() })
      assert.same({ 4001, "enough" }, { raw:expect_close(4001) })
      raw:send(t.frame("text", "one") .. t.frame("text", "two"))
      t.wait(function() return log[2] end)
      assert.same({}, closed)
      raw:send(t.frame("close", "\x0f\xa1"))
      expect_closed(conn, closed, 4001, "")
    end)

    it("goes on receiving for a pull, too", function()
      local server = t.listen { on_message = function(conn, message)
        if message == "go" then
          conn:send "one"
          conn:send "two"
        end
      end }
      local conn = assert(ws.connect(url_of(server)))
      conn:send "go"
      conn:shutdown()
      assert.equal("one", conn:receive(t.limit))
      assert.equal("two", conn:receive(t.limit))
      assert.same({ nil, "closed", 1000, "" }, { conn:receive(t.limit) })
    end)

    it("then close stops receiving", function()
      local got = 0
      local conn, raw, closed = pair { on_message = function()
        got = got + 1
      end }
      conn:shutdown(1001)
      conn:close()
      raw:send(t.frame("text", "late"))
      raw:finish(1001)
      expect_closed(conn, closed, 1001, "")
      assert.equal(0, got)
    end)
  end)

  describe("by terminate", function()
    it("is at once, without a farewell", function()
      local conn, raw, closed = pair()
      assert.is_true(conn:terminate())
      assert.equal("closed", conn.state)
      expect_closed(conn, closed, 1006, "terminated")
      assert.is_nil((raw:frame()))
    end)

    it("drops what is queued, and what is unread", function()
      local got = 0
      local conn, raw, closed = pair({ on_message = function(c)
        got = got + 1
        c:send(("x"):rep(8 << 20))
        c:terminate()
        ws.sleep(0)
      end }, { rcvbuf = 4096 })
      raw:send(t.frame("text", "one") .. t.frame("text", "two"))
      expect_closed(conn, closed, 1006, "terminated")
      assert.equal(1, got)
      assert.equal(0, conn.buffered)
    end)

    it("cuts a closing handshake short", function()
      local conn, raw, closed = pair()
      conn:close(4000)
      raw:expect_close(4000)
      conn:terminate()
      expect_closed(conn, closed, 1006, "terminated")
    end)
  end)

  describe("of the scope of its variable", function()
    it("closes and waits for the end", function()
      local server = t.listen { on_open = function(c) c:send "x" end }
      local kept
      do
        local conn <close> = assert(ws.connect(url_of(server)))
        kept = conn
        assert.equal("open", conn.state)
      end
      assert.equal("closed", kept.state)
    end)

    it("does so in a task, after an error, and when it is closed", function()
      local server, kept = t.listen {}, nil
      assert.is_false((pcall(t.pump, function()
        local conn <close> = assert(ws.connect(url_of(server)))
        kept = conn
        error "out"
      end)))
      assert.equal("closed", kept.state)
      t.pump(function()
        local conn <close> = kept
        assert.equal("closed", conn.state)
      end)
    end)

    it("ends an attempt to connect", function()
      local go, kept = false
      local server = t.listen { on_upgrade = function()
        while not go do ws.sleep(0) end
      end }
      do
        local conn <close> = ws.connect(url_of(server), { on_open = print })
        kept = conn
      end
      assert.equal("closed", kept.state)
      go = true
    end)

    it("only closes where it cannot wait", function()
      local server = t.listen {}
      local state
      t.pump(function()
        local conn = assert(ws.connect(url_of(server)))
        coroutine.wrap(function()
          local scoped <close> = conn
          assert(scoped)
        end)()
        state = conn.state
        assert.is_nil((conn:receive()))
      end)
      assert.equal("closing", state)
    end)
  end)
end)
