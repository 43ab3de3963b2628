-- When the loop got no time for longer than a deadline, peers that were on
-- time were cut: the deadline was judged before what they had sent was read.

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local child = require "spec.helper.child"

local ws, frame = t.ws, t.frame
local limit, stall = 0.3, 0.7 -- seconds: the deadline, and without a turn

local function block(seconds)
  local last = t.probe.now() + (seconds or stall)
  repeat until t.probe.now() > last
end

-- The ways of getting no time; act() is what the peer does meanwhile, early.
local ways = {
  ["no turn"] = function(act)
    act()
    block()
  end,
  ["a timer's handler"] = function(act)
    local done
    ws.after(0, function()
      act()
      block()
      done = true
    end)
    t.wait(function() return done end)
  end,
  ["another one's handler"] = function(act)
    local done
    local server = t.listen { on_message = function()
      act()
      block()
      done = true
    end }
    t.open(server):send(frame("text", "block"))
    t.wait(function() return done end)
  end,
}

-- Longer than anything is held back for a stall.
local function turns()
  kit.during(1.5 * stall)
end

describe("a peer that was on time is not cut after", function()
  after_each(t.cleanup)

  for way, hold_up in pairs(ways) do
    it(way .. " by close_timeout", function()
      local server, log = kit.serve { close_timeout = limit }
      local c = t.open(server)
      t.wait(function() return #log.conns == 1 end)
      log.conns[1]:close(1000, "bye")
      c:expect_frame("close", "\3\232bye")
      hold_up(function() c:send(t.close_frame(1000, "bye")) end)
      assert.same({ 1000, "bye" }, { kit.closed(log) })
    end)

    it(way .. " by idle_timeout", function()
      local server, log = kit.serve { idle_timeout = limit }
      local c = t.open(server)
      t.wait(function() return #log.conns == 1 end)
      hold_up(function() c:send(frame("text", "here")) end)
      t.wait(function() return log.messages[1] end)
      assert.same({ {}, "open" }, { log.closed, log.conns[1].state })
    end)

    it(way .. " by stall_timeout", function()
      local server, log = kit.serve { stall_timeout = limit,
        max_queued = 16 << 20 }
      local c = t.open(server, { rcvbuf = 4096 })
      t.wait(function() return #log.conns == 1 end)
      local conn = log.conns[1]
      local n = 0
      repeat
        conn:send(("x"):rep(1 << 20))
        n = n + 1
        t.turn()
      until conn.buffered > 0
      local got = 0
      hold_up(function() -- the peer takes what the kernel has
        local last = t.probe.now() + 0.05
        repeat
          got = got + #(c.socket:recv() or "")
        until t.probe.now() > last
      end)
      t.wait(function()
        local bytes
        repeat
          bytes = c.socket:recv()
          got = got + #(bytes or "")
        until not bytes
        return got == n * ((1 << 20) + 10)
      end, "all of it", 60)
      assert.same({ {}, "open" }, { log.closed, conn.state })
    end)

    it(way .. " by keepalive_timeout", function()
      local server, log = kit.serve { keepalive_interval = limit / 2,
        keepalive_timeout = limit }
      local c = t.open(server)
      t.wait(function() return #log.conns == 1 end)
      hold_up(function() end) -- nobody has asked it
      local ping
      repeat ping = c:frame() until ping.opcode == 9
      c:send(frame("pong", ping.payload))
      t.turn()
      assert.same({ {}, "open" }, { log.closed, log.conns[1].state })
    end)

    it(way .. " by handshake_timeout", function()
      local server = kit.serve { handshake_timeout = limit }
      local c = t.raw(server)
      t.wait(function() return server:stats().pending == 1 end)
      hold_up(function()
        c:send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
          .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
          .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
      end)
      assert.equal(101, (c:read_http()))
    end)

    it(way .. " between two requests", function()
      local server = t.listen { on_request = function() return 200, "yes" end,
        http_keepalive = { timeout = limit, requests = 100 } }
      local c = t.raw(server)
      local request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
      for _ = 1, 2 do
        c:send(request)
        assert.equal(200, (c:read_http()))
      end
      hold_up(function() c:send(request) end)
      assert.equal(200, (c:read_http()))
    end)

    it(way .. " by the timeout of ws.connect", function()
      local outcome, raw = kit.dial { timeout = limit }
      kit.read_request(raw)
      hold_up(function() kit.answer(raw) end)
      t.wait(function() return outcome.done end)
      assert.is_nil(outcome[2])
      assert.equal("open", outcome[1].state)
      outcome[1]:terminate()
    end)
  end

  it("a while, with hundreds of others", function()
    local function open(options)
      local server, log = kit.serve(options)
      local clients, from = {}, t.probe.now()
      for i = 1, 300 do clients[i] = t.open(server) end
      t.wait(function() return #log.conns == 300 end)
      return log, clients, t.probe.now() - from
    end
    local _, _, took = open {}
    local idle = 2 + 4 * took -- on a slow machine it is none that they come
    local log, clients = open { idle_timeout = idle }
    for _, c in ipairs(clients) do c:send(frame("text", "here")) end
    block(idle + 0.5)
    t.wait(function() return #log.messages == 300 end)
    assert.same({}, log.closed)
  end)

  -- The code that a process that was stopped within its close_timeout tells;
  -- nil where it was later, for this one was held up.
  local function stopped()
    local wait = 0.4 * t.factor
    local pipe = child.open([[
      local server = ws.listen { host = "127.0.0.1", port = 0,
        close_timeout = ]] .. wait .. [[,
        on_open = function(conn) conn:close() end,
        on_close = function(_, code) log(code) ws.stop() end }
      local pid = io.open "/proc/self/stat":read "n"
      log(server.port, pid)
      ws.run()
    ]])
    local port, pid = pipe:read("n", "n")
    local from = t.probe.now()
    local c = t.open(port)
    c:expect_close(1000)
    os.execute("kill -STOP " .. pid)
    local is_within = t.probe.now() - from < wait
    c:send(t.close_frame(1000))
    block(wait + 0.3)
    os.execute("kill -CONT " .. pid)
    local code = pipe:read "n"
    assert.is_true(pipe:close())
    return is_within and code or nil
  end

  it("a while, in which the process was stopped", function()
    local code
    for _ = 1, 10 do code = code or stopped() end
    assert.equal(1000, code)
  end)
end)

describe("a peer that is late", function()
  after_each(t.cleanup)

  it("is cut after a stall, too", function()
    local server, log = kit.serve { close_timeout = limit,
      keepalive_interval = false, keepalive_timeout = false }
    local c = t.open(server)
    t.wait(function() return #log.conns == 1 end)
    log.conns[1]:close(1000, "bye")
    c:expect_frame("close", "\3\232bye")
    block()
    turns()
    assert.same({ 1006, "close timeout" }, { kit.closed(log) })
  end)

  it("is cut by a loop that never has time", function()
    local server, log = kit.serve { idle_timeout = limit }
    t.open(server)
    t.wait(function() return #log.conns == 1 end)
    local last = t.probe.now() + 10 * t.factor
    repeat
      local busy = t.probe.now() + 0.12
      repeat until t.probe.now() > busy
      t.turn()
    until log.conns[1].state ~= "open" or t.probe.now() > last
    assert.is_true(log.conns[1].state ~= "open")
  end)

  it("is cut when it answers no ping", function()
    local server, log = kit.serve { keepalive_interval = limit / 2,
      keepalive_timeout = limit }
    t.open(server)
    t.wait(function() return #log.conns == 1 end)
    block()
    assert.same({ 1006, "keepalive timeout" }, { kit.closed(log) })
  end)
end)
