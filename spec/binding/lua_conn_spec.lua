-- The methods of a connection but for receiving (lua_conn_receive_spec):
-- sending, the send queue, ending, pausing, handlers of its own.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains, url_of = t.contains, t.url_of
local refused = kit.refused_call

-- A message of 16 KiB that says its number.
local function numbered(n) return tostring(n) .. (" "):rep(16380) end

-- Sends 16 KiB messages to a peer that does not read, until one is refused;
-- how many were taken.
local function overfill(conn)
  local n = 0
  while true do
    local ok, why = conn:send(numbered(n + 1))
    if not ok then return n, why end
    n = n + 1
    t.turn(0)
  end
end

local function expect_numbers(raw, n)
  for i = 1, n do
    local _, message = raw:message()
    assert.equal(i, tonumber(message))
  end
end

local function ended(conn)
  return t.wait(function() return conn.state == "closed" end, "the end")
end

describe("a connection", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  describe("sending", function()
    it("is of text by default, of binary when asked", function()
      local conn, raw = kit.pair()
      assert.same({ true, 0 }, { conn:send "gr\xc3\xbc\xc3\x9fe" })
      assert.same({ true, 0 }, { conn:send("x", "text") })
      assert.same({ true, 0 }, { conn:send("\0\xff", "binary") })
      assert.same({ true, 0 }, { conn:send("", "binary", nil) })
      assert.same({ true, 0 }, { conn:send("y", nil, { compress = false }) })
      raw:expect_frame("text", "gr\xc3\xbc\xc3\x9fe")
      raw:expect_frame("text", "x")
      raw:expect_frame("binary", "\0\xff")
      raw:expect_frame("binary", "")
      raw:expect_frame("text", "y")
    end)

    it("leaves at once outside of a turn", function()
      local conn, raw = kit.pair()
      conn:send "now"
      conn:ping "p"
      local bytes = raw.socket:recv()
      assert.equal(t.frame("text", "now", { mask = false })
        .. t.frame("ping", "p", { mask = false }), bytes)
    end)

    it("inside of a turn leaves at its end, in order", function()
      local conn, raw = kit.pair()
      t.pump(function()
        for i = 1, 50 do conn:send("m" .. i) end
        conn:ping "p"
        conn:send(("x"):rep(100000))
        conn:send "last"
      end)
      for i = 1, 50 do raw:expect_frame("text", "m" .. i) end
      raw:expect_frame("ping", "p")
      raw:expect_frame("text", ("x"):rep(100000))
      raw:expect_frame("text", "last")
    end)

    it("of every size arrives, from both ends", function()
      local server = t.listen { max_message = 1 << 22,
        on_message = function(conn, m, kind) conn:send(m, kind) end }
      local conn <close> = assert(ws.connect(url_of(server),
        { max_message = 1 << 22 }))
      for _, n in ipairs { 0, 1, 125, 126, 127, 65535, 65536, 65537, 1 << 18,
        (1 << 20) + 1, 3 << 20 } do
        local message = ("\xff\0" .. n):rep(n):sub(1, n)
        assert.is_true(conn:send(message, "binary"))
        local echo, kind = conn:receive(t.limit)
        assert.is_true(echo == message)
        assert.equal("binary", kind)
      end
    end)

    it("raises for what is no message", function()
      local conn, raw = kit.pair()
      contains(refused(conn, "send"), "bad argument #1 to 'send'")
      for _, value in ipairs { {}, true, print } do
        contains(refused(conn, "send", value), "bad argument #1 to 'send'")
      end
      for _, bytes in ipairs { "\xff", "a\xc3", "\xed\xa0\x80",
        "\xf4\x90\x80\x80" } do
        contains(refused(conn, "send", bytes), "not UTF-8")
        contains(refused(conn, "send", bytes, "text"), "not UTF-8")
      end
      for _, kind in ipairs { "ping", "TEXT", "", 1, true } do
        contains(refused(conn, "send", "x", kind), "bad argument #2 to 'send'")
      end
      contains(refused(conn, "send", "x", nil, true), "#3")
      contains(refused(conn, "send", "x", nil, { compres = true }),
        "unknown option 'compres' for 'send'")
      contains(refused(conn, "send", "x", nil, { compress = 1 }), "compress")
      raw:expect_silence()
      conn:send(5)
      raw:expect_frame("text", "5")
    end)

    it("on one that is closed returns nil, closed", function()
      local conn, raw = kit.pair()
      raw:finish()
      ended(conn)
      for _, name in ipairs { "send", "ping", "shutdown", "drain" } do
        local ok, why = conn[name](conn, name == "send" and "x" or nil)
        assert.is_nil(ok)
        assert.equal("closed", why)
      end
      assert.is_true(conn:close())
      assert.is_true(conn:terminate())
      assert.equal(conn, conn:pause())
      assert.equal(conn, conn:resume())
    end)

    it("on one that is connecting returns nil, closed", function()
      local conn = ws.connect(url_of(t.listen {}), { on_open = print })
      assert.equal("connecting", conn.state)
      assert.same({ nil, "closed" }, { conn:send "x" })
      conn:terminate()
    end)
  end)

  describe("ping", function()
    it("takes up to 125 bytes of anything", function()
      local conn, raw = kit.pair()
      assert.is_true(conn:ping "")
      assert.is_true(conn:ping(("\xff"):rep(125)))
      raw:expect_frame("ping", "")
      raw:expect_frame("ping", ("\xff"):rep(125))
      contains(refused(conn, "ping", ("x"):rep(126)), "more than 125 bytes")
      contains(refused(conn, "ping", {}), "bad argument #1 to 'ping'")
    end)

    it("without a payload measures the latency", function()
      local conn, raw = kit.pair()
      assert.is_nil(conn.latency)
      assert.is_true(conn:ping())
      local frame = raw:frame()
      assert.equal(9, frame.opcode)
      raw:send(t.frame("pong", frame.payload))
      t.wait(function() return conn.latency end, "the latency")
      assert.is_true(conn.latency >= 0 and conn.latency < 5)
    end)
  end)

  describe("whose peer does not read", function()
    it("says how much waits", function()
      local conn, raw = kit.pair({}, { rcvbuf = 4096 })
      repeat
        local ok, buffered = conn:send(("x"):rep(1 << 16))
        assert.is_true(ok)
        assert.equal(conn.buffered, buffered)
      until buffered > 0
      local waiting = conn.buffered
      conn:send "12345"
      assert.equal(waiting + 7, conn.buffered)
      raw:close()
    end)

    it("refuses what is over max_queued, and nothing else", function()
      local conn, raw = kit.pair({ max_queued = 100000 }, { rcvbuf = 4096 })
      local n, why = overfill(conn)
      assert.equal("queue full", why)
      assert.is_true(conn.buffered <= 100000)
      assert.is_true(conn:ping "fits")
      assert.equal("open", conn.state)
      expect_numbers(raw, n)
      raw:expect_frame("ping", "fits")
      conn:send "again"
      raw:expect_frame("text", "again")
    end)

    it("takes one message of any size when nothing waits", function()
      local conn, raw = kit.pair({ max_queued = 1000 }, { rcvbuf = 4096 })
      local big = ("x"):rep(8 << 20)
      assert.is_true(conn:send(big))
      assert.same({ nil, "queue full" }, { conn:send(("x"):rep(1000)) })
      assert.is_true(conn:close(1000, "fits"))
      local _, message = raw:message()
      assert.is_true(message == big)
      raw:expect_close(1000)
    end)

    it("is closed with 1008 when on_full is close", function()
      local log = {}
      local conn, raw = kit.pair({ max_queued = 100000, on_full = "close",
        on_close = function(...) log[#log + 1] = table.pack(...) end },
        { rcvbuf = 4096 })
      local n, why = overfill(conn)
      assert.equal("queue full", why)
      assert.same({ nil, "closed" }, { conn:send "x" })
      expect_numbers(raw, n)
      raw:expect_close(1008)
      t.wait(function() return log[1] end)
      assert.same({ { conn, 1008, "slow consumer", n = 3 } }, log)
    end)

    it("can be drained: below the low-water mark", function()
      local conn, raw = kit.pair({ high_water = 50000, low_water = 1000 },
        { rcvbuf = 4096 })
      local n = 0
      repeat
        n = n + 1
        conn:send(numbered(n))
      until conn.buffered > 100000
      local from = ws.now()
      assert.same({ nil, "timeout" }, { conn:drain(0.02) })
      assert.is_true(ws.now() - from >= 0.02)
      local drained
      ws.spawn(function()
        drained = { conn:drain(), conn.buffered <= 1000 }
      end)
      expect_numbers(raw, n)
      t.wait(function() return drained end)
      assert.same({ true, true }, drained)
      assert.is_true(conn:drain(0))
    end)

    it("wakes a drain when it ends", function()
      local conn, raw = kit.pair({}, { rcvbuf = 4096 })
      repeat conn:send(("x"):rep(1 << 16)) until conn.buffered > 1 << 17
      local result
      ws.spawn(function() result = { conn:drain() } end)
      t.turn()
      raw:reset()
      t.wait(function() return result end)
      assert.is_nil(result[1])
      assert.equal("closed", result[2])
    end)

    it("wakes a drain when it ends with messages unread", function()
      local log, go = {}, false
      local _, raw = kit.pair({
        on_message = function(conn, message)
          log[#log + 1] = message
          if message ~= "one" then return end
          while not go do ws.sleep(0) end
          conn:send(("x"):rep(8 << 20))
          log[#log + 1] = "drain: " .. tostring((conn:drain()))
        end,
        on_close = function() log[#log + 1] = "closed" end,
      }, { rcvbuf = 4096 })
      raw:send(t.frame("text", "one") .. t.frame("text", "two"))
      t.wait(function() return log[1] end)
      for _ = 1, 3 do t.turn() end
      go = true
      t.turn()
      raw:reset()
      t.wait(function() return log[#log] == "closed" end)
      assert.equal("drain: nil", log[2])
    end)

    it("is cut after stall_timeout, also while it is closing", function()
      for _, closing in ipairs { false, true } do
        local closed
        local conn, raw = kit.pair({ stall_timeout = 0.05,
          on_close = function(_, ...) closed = { ... } end },
          { rcvbuf = 4096 })
        conn:send(("x"):rep(8 << 20))
        if closing then conn:close() end
        t.wait(function() return closed end)
        assert.same({ 1006, "write stalled" }, closed)
        raw:close()
      end
    end)

    it("calls on_drain once it is low after having been high", function()
      local drained = {}
      local conn, raw = kit.pair({ high_water = 50000, low_water = 20000,
        on_drain = function(c) drained[#drained + 1] = c end },
        { rcvbuf = 4096 })
      conn:send "low"
      raw:expect_frame("text", "low")
      local n = 0
      repeat
        n = n + 1
        conn:send(numbered(n))
      until conn.buffered > 50000
      t.turn()
      assert.same({}, drained)
      expect_numbers(raw, n)
      t.wait(function() return drained[1] end)
      t.turn()
      assert.same({ conn }, drained)
    end)

    it("is not sent more by an echo; read_ahead turns that off", function()
      for _, read_ahead in ipairs { false, true } do
        local n = 0
        local _, raw = kit.pair({ read_ahead = read_ahead, high_water = 1000,
          max_queued = false,
          on_message = function(conn, message)
            n = n + 1
            conn:send(message:rep(300))
          end }, { rcvbuf = 4096 })
        local frame = t.frame("text", ("x"):rep(1000))
        for _ = 1, 50 do raw:send(frame) end
        if read_ahead then
          t.wait(function() return n == 50 end)
        else
          t.wait(function() return n > 0 end)
          for _ = 1, 20 do t.turn() end
          assert.is_true(n < 20)
        end
        for _ = 1, 50 do
          local _, message = raw:message()
          assert.equal(300000, #message)
        end
        raw:close()
      end
    end)
  end)

  describe("pause", function()
    it("stops reading, pings included, until resume", function()
      local conn, raw = kit.pair { on_message = function(c, m) c:send(m) end }
      assert.equal(conn, conn:pause())
      raw:send(t.frame("text", "one") .. t.frame("ping", "p"))
      raw:expect_silence(5)
      conn:send "still sends"
      raw:expect_frame("text", "still sends")
      assert.equal(conn, conn:resume())
      raw:expect_frame("text", "one")
      raw:expect_frame("pong", "p")
    end)

    it("in a handler stops with the next message", function()
      local log = {}
      local conn, raw = kit.pair { on_message = function(c, message)
        log[#log + 1] = message
        c:pause()
      end }
      raw:send(t.frame("text", "one") .. t.frame("text", "two"))
      t.wait(function() return log[1] end)
      for _ = 1, 5 do t.turn() end
      assert.same({ "one" }, log)
      conn:resume()
      t.wait(function() return log[2] end)
    end)

    it("does not hold up a close", function()
      local conn, raw = kit.pair()
      conn:pause():close(1000)
      raw:finish()
      ended(conn)
    end)
  end)

  describe("handlers of its own", function()
    it("replace the route's, for it alone", function()
      local log = {}
      local function note(name)
        return function(c) log[#log + 1] = name .. " " .. c.id end
      end
      local server = t.listen { on_close = note "route", on_open = function(c)
        if c.path == "/own" then
          assert(c:on_close(note "own") == c)
          assert(c:on_drain(note "d"):on_error(note "e") == c)
        end
      end }
      t.open(server, { path = "/own" }):finish()
      t.open(server, { path = "/other" }):finish()
      t.wait(function() return log[2] end)
      assert.equal("own", log[1]:match "%a+")
      assert.equal("route", log[2]:match "%a+")
    end)

    it("are functions, or nil for none", function()
      local closed = 0
      local conn, raw = kit.pair { on_close = function()
        closed = closed + 1
      end }
      for _, name in ipairs { "on_close", "on_drain", "on_error" } do
        for _, value in ipairs { 5, "f", {} } do
          contains(refused(conn, name, value), "bad argument #1 to '" .. name)
        end
      end
      conn:on_close(nil)
      raw:finish()
      ended(conn)
      t.turn()
      assert.equal(0, closed)
    end)
  end)

  it("is asked for by every method", function()
    local conn = kit.pair()
    for _, value in ipairs { 5, {}, "x", io.stdout } do
      assert.is_false((pcall(conn.send, value, "x")))
      assert.is_false((pcall(conn.receive, value)))
    end
    contains(kit.refusal(function() conn.send() end), "bad argument #1")
  end)
end)
