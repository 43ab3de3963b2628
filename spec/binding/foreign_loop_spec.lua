-- ws.fd and ws.timeout: the engine inside of a loop that is not libev's. The
-- specs poll by themselves and step only when they are told to; those that
-- count steps would see a busy loop, those that wait a missed wake-up.

local probe = require "evws_probe"
local t = require "spec.helper"
local process = require "spec.helper.child"
local kit = require "spec.binding.kit"
local ws = t.ws

local foreign, net = probe.foreign, probe.net
local fd = ws.fd()

-- Polls until the predicate holds, stepping when ws.fd can be read. Returns
-- the number of steps.
local function drive(predicate, others)
  local last, steps = t.deadline(), 0
  local fds = { fd, table.unpack(others or {}) }
  while not predicate() do
    if net.now() > last then error("polled in vain", 2) end
    if foreign.poll(fds, 1)[fd] then
      ws.step()
      steps = steps + 1
    end
  end
  return steps
end

-- Nothing is due: two looks in a row say so.
local function rest()
  local last = t.deadline()
  repeat
    assert(net.now() < last, "there is always something due")
    ws.step()
  until not foreign.poll({ fd }, 0.01)[fd]
end

-- True when nothing wakes the loop for so long. A deadline that something
-- before has left may come in between, not time after time.
local function rests(seconds)
  for _ = 1, 20 do
    rest()
    if not foreign.poll({ fd }, seconds)[fd] then return true end
  end
  return false
end

-- The same for a number of steps: the least of some tries.
local function fewest(try)
  local least = math.huge
  for _ = 1, 5 do least = math.min(least, try()) end
  return least
end

-- Sends, and polls both sides until `n` octets have come back.
local function exchange(raw, bytes, n)
  local got = ""
  raw.socket:send(bytes)
  local steps = drive(function()
    local more = raw.socket:recv()
    if more then got = got .. more end
    return #got >= n
  end, { raw.socket:fd() })
  return got, steps
end

describe("a loop around the engine", function()
  if not fd then
    pending("is for systems with epoll: " .. select(2, ws.fd()))
    return
  end

  after_each(function() t.cleanup() end)

  it("gets the same descriptor at each call", function()
    assert.equal("integer", math.type(fd))
    assert.equal(fd, ws.fd())
    assert.equal(fd, ws.fd())
  end)

  it("serves an echo client, without a busy loop", function()
    -- in a process of its own: nobody else's deadlines wake it
    local lines = process.run [[
      local t = require "spec.helper"
      local foreign, fd = probe.foreign, ws.fd()
      local server = t.listen { on_message = t.echo }
      local raw = t.open(server)
      repeat ws.step() until not foreign.poll({ fd }, 0.01)[fd]
      local steps = 0
      for i = 1, 100 do
        local text, got, last = "message " .. i, "", t.deadline()
        raw.socket:send(t.frame("text", text))
        while #got < #text + 2 and probe.net.now() < last do
          if foreign.poll({ fd, raw.socket:fd() }, 1)[fd] then
            ws.step()
            steps = steps + 1
          end
          got = got .. (raw.socket:recv() or "")
        end
        assert(got == "\x81" .. string.char(#text) .. text)
      end
      log(steps >= 100 and steps <= 220)
      log(foreign.poll({ fd }, 0.05)[fd])
      os.exit(true)
    ]]
    assert.same({ "true", "nil" }, lines)
  end)

  it("sees the listener of a ws.listen outside of a step", function()
    rest()
    local server = t.listen { on_open = function() end }
    local steps = fewest(function()
      local raw, head = t.raw(server), nil
      raw.socket:send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
        .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
      local taken = drive(function()
        head = raw.socket:recv()
        return head
      end, { raw.socket:fd() })
      assert.is_truthy(head:find("^HTTP/1.1 101"))
      return taken
    end)
    assert.is_true(steps <= 12, steps)
    assert.is_true(rests(0.02))
  end)

  it("rests while a connection is paused though bytes are there", function()
    local conn
    local server = t.listen { on_open = function(c) conn = c end,
      on_message = function() end }
    local raw = t.open(server)
    t.wait(function() return conn end)
    conn:pause()
    raw.socket:send(t.frame("text", "unread"))
    assert.is_true(rests(0.05))
    conn:resume()
    assert.is_true(foreign.poll({ fd }, 1)[fd])
  end)

  it("is told of timers in time", function()
    rest()
    for _, seconds in ipairs { 0, 0.003, 0.02 } do
      local steps = fewest(function()
        local from, at = ws.now(), nil
        ws.after(seconds, function() at = ws.now() end)
        local taken = drive(function() return at end)
        assert.is_true(at >= from + seconds)
        return taken
      end)
      assert.is_true(steps <= 4, steps)
    end
    assert.is_true(rests(0.02))
  end)

  it("is told at once of a timer that is earlier than the others", function()
    local lines = process.run [[
      local foreign, fd, called = probe.foreign, ws.fd(), nil
      ws.step(0)
      ws.after(60, print)
      log(ws.timeout() > 50)
      ws.after(0.005, function() called = true end)
      log(ws.timeout() <= 0.005)
      local last = probe.net.now() + 20
      while not called and probe.net.now() < last do
        if foreign.poll({ fd }, 20)[fd] then ws.step() end
      end
      log(called)
    ]]
    assert.same({ "true", "true", "true" }, lines)
  end)

  it("does not wake for a timer that was cancelled", function()
    local woken = fewest(function()
      rest()
      ws.after(0.1, print):cancel()
      rest()
      return foreign.poll({ fd }, 0.2)[fd] and 1 or 0
    end)
    assert.equal(0, woken)
  end)

  it("is told at once of work in user space", function()
    local log, conn = {}, nil
    local server = t.listen { read_budget = 1, on_message = function(c, m)
      conn = c
      log[#log + 1] = m
    end }
    local raw = t.open(server)
    rest()
    raw.socket:send(t.frame("text", "1") .. t.frame("text", "2")
      .. t.frame("text", "3"))
    drive(function() return #log > 0 end)
    local steps = drive(function() return #log == 3 end)
    assert.is_true(steps <= 4, steps)
    assert.same({ "1", "2", "3" }, log)

    rest()
    ws.spawn(function() log[4] = "4" end)
    assert.equal(0, ws.timeout())
    assert.is_true(foreign.poll({ fd }, 0)[fd])
    drive(function() return log[4] end)

    conn:on_message(nil)
    assert.is_true(rests(0.02))
  end)

  it("is told of a name that was looked up in a thread", function()
    local server = t.listen { host = "localhost" }
    local conn, failed
    rest()
    ws.connect("ws://localhost:" .. server.port, {
      on_open = function(c) conn = c end,
      on_close = function(_, _, why) failed = why end })
    drive(function() return conn or failed end)
    assert.is_nil(failed)
  end)

  it("goes on after the engine has driven itself", function()
    local server = t.listen { on_message = function(c, m) c:send(m) end }
    local raw = t.open(server)
    rest()
    local conn = assert(ws.connect("ws://127.0.0.1:" .. server.port))
    conn:send "x"
    assert.equal("x", conn:receive(t.limit))
    assert.equal("\x81\1y", (exchange(raw, t.frame("text", "y"), 3)))
    conn:terminate()
  end)

  it("sees the descriptors of other libraries on the same libev", function()
    local listener <close> = assert(net.listen "127.0.0.1")
    local a <close> = assert(net.connect { port = listener.port })
    local accepted, got, second
    local first = foreign.watch(listener:fd(), function()
      accepted = accepted or listener:accept()
      -- what they begin to watch in a callback as well
      second = second or foreign.watch(accepted:fd(), function()
        got = accepted:recv()
      end)
    end)
    ws.step() -- what was begun outside of a step is known from the next on
    drive(function() return second end)
    rest()
    a:send "hello"
    local steps = drive(function() return got end)
    assert.equal("hello", got)
    assert.is_true(steps <= 3, steps)
    rest()
    first:stop()
    second:stop()
    accepted:close()
    ws.step()
  end)

  it("works with lua-ev", function()
    local has_ev, ev = pcall(require, "ev")
    if not has_ev then
      pending "the rock lua-ev is not installed"
      return
    end
    local listener <close> = assert(net.listen "127.0.0.1")
    local called
    local io = ev.IO.new(function() called = listener:accept() end,
      listener:fd(), ev.READ)
    io:start(ev.Loop.default)
    ws.step()
    local a <close> = assert(net.connect { port = listener.port })
    drive(function() return called end)
    io:stop(ev.Loop.default)
    called:close()
    assert.is_truthy(a)
  end)
end)

describe("a loop around an engine that has nothing to wait for", function()
  if not fd then return end

  after_each(kit.cleanup)

  -- A process of its own has no deadlines but its own. What it says last is
  -- whether its loop was woken when it had come to rest.
  local function assert_rests(source)
    local child = kit.run(([[
      local foreign = require "evws_probe".foreign
      local fd = ws.fd()
      local function rest()
        for _ = 1, 4 do ws.step() end
        say(ws.timeout(), foreign.poll({ fd }, 0.05)[fd])
      end
    ]]) .. source)
    assert.equal(0, child:ended(), child:errors())
    assert.equal("nil\tnil", child:output():match "([^\n]*)\n$")
  end

  it("rests from the start", function() assert_rests "rest()" end)

  it("rests when its last timer has rung", function()
    assert_rests [[
      local rang
      ws.after(0.002, function() rang = true end)
      while not rang do
        foreign.poll({ fd }, 5)
        ws.step()
      end
      rest()
    ]]
  end)

  it("rests when its last timer was cancelled", function()
    assert_rests [[
      local timer = ws.after(0.02, print)
      ws.step()
      timer:cancel()
      rest()
    ]]
  end)
end)

describe("timeout", function()
  after_each(function() t.cleanup() end)

  it("is the time to the next deadline", function()
    local lines = process.run [[
      ws.after(30, print)
      ws.step(0)
      local seconds = ws.timeout()
      log(math.type(seconds), seconds > 20 and seconds <= 30)
    ]]
    assert.same({ "float true" }, lines)
  end)

  it("is 0 where something is due, never less", function()
    local timer = ws.after(0.001, print)
    local from = ws.now()
    repeat until ws.now() > from + 0.002
    assert.equal(0, ws.timeout())
    timer:cancel()
  end)

  it("is nil where there is no deadline", function()
    local child = kit.run [[
      say(ws.timeout())
      local fd, why = ws.fd()
      say(math.type(fd) or why)
      ws.step()
      say(ws.timeout())
      ws.after(50, print)
      say(ws.timeout() > 40)
    ]]
    assert.equal(0, child:ended())
    assert.is_truthy(child:output():find "^nil\n[^\n]+\nnil\ntrue\n$")
    kit.cleanup()
  end)

  it("is known inside of a handler", function()
    local seconds
    local timer = ws.after(30, print)
    t.pump(function() seconds = ws.timeout() end)
    assert.is_true(seconds >= 0 and seconds <= 30)
    timer:cancel()
  end)
end)
