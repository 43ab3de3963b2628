-- The life of a connection (src/engine/conn.c): its deadlines, with intervals
-- as short as a test can bear, and the ways it ends.

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local children = require "spec.binding.kit"
local close_frame = t.close_frame

local frame = t.frame
local second = t.factor -- a slow machine has longer ones

local function now() return t.probe.now() end

-- Reads what has come, until nothing more does; the frames, and whether the
-- stream has ended.
local function frames_of(client)
  local list = {}
  while true do
    local f = client:frame()
    if not f then return list end
    list[#list + 1] = f
  end
end

describe("a silent peer", function()
  after_each(t.cleanup)

  local interval = 0.06 * second

  local function serve(options)
    options = options or {}
    options.keepalive_interval = options.keepalive_interval or interval
    options.keepalive_timeout = options.keepalive_timeout or false
    return kit.serve(options)
  end

  it("is pinged after keepalive_interval", function()
    local began = now()
    local client = t.open((serve()))
    local f = client:frame()
    assert.equal(9, f.opcode)
    assert.is_true(now() - began >= 0.9 * interval - 0.01)
    client:send(frame("pong", f.payload))
    assert.equal(9, client:frame().opcode)
  end)

  it("is pinged again while it does not answer", function()
    local client = t.open((serve()))
    local began = now()
    for _ = 1, 3 do assert.equal(9, client:frame().opcode) end
    assert.is_true(now() - began >= 2 * 0.9 * interval)
  end)

  it("is not pinged while it speaks", function()
    local server = serve { keepalive_interval = 0.2 * second }
    local client = t.open(server)
    kit.during(0.5 * second, function()
      client:send(frame("text", "x"))
    end)
    client:expect_silence()
  end)

  it("has no ping at all with keepalive_interval = false", function()
    -- A process of its own waits for nothing but for its two connections.
    local child = children.run [[
      local interval = 40
      local function timeout()
        local options = { port = 0, host = "127.0.0.1",
          keepalive_interval = interval, keepalive_timeout = false }
        local server = assert(ws.listen(options))
        options.port, options.host = nil, nil
        local conn = assert(ws.connect("ws://127.0.0.1:" .. server.port,
          options))
        while server.connections == 0 or not server:each()() do ws.step() end
        for _ = 1, 3 do ws.step(0) end
        local seconds = ws.timeout()
        conn:terminate()
        server:close { timeout = 0 }
        return seconds
      end
      local seconds = timeout()
      say(seconds and seconds > 30 and seconds <= 41)
      interval = false
      say((timeout() or math.huge) > 1000)
    ]]
    assert.equal(0, child:ended(), child:errors())
    assert.equal("true\ntrue\n", child:output())
  end)

  it("is cut at keepalive_timeout", function()
    local server, log = serve { keepalive_timeout = 3 * interval }
    local began = now()
    local client = t.open(server)
    assert.same({ 1006, "keepalive timeout" }, { kit.closed(log) })
    assert.is_true(now() - began >= 3 * interval - 0.02)
    for _, f in ipairs(frames_of(client)) do
      assert.equal(9, f.opcode) -- no farewell
    end
  end)

  it("that answers pings goes on living", function()
    local server, log = serve { keepalive_timeout = 3 * interval }
    local client = t.open(server)
    local last = now() + 8 * interval
    while now() < last do
      local f = client:frame()
      assert.equal(9, f and f.opcode)
      client:send(frame("pong", f.payload))
    end
    assert.equal(0, #log.closed)
    assert.equal("open", log.conns[1].state)
  end)

  it("lives by any byte, of an unfinished frame too", function()
    local server, log = serve { keepalive_timeout = 4 * interval }
    local client = t.open(server)
    local bytes, at = frame("binary", ("x"):rep(1000)), 0
    local last = now() + 10 * interval
    while now() < last do
      at = at + 1
      client:send(bytes:sub(at, at))
      kit.during(interval)
    end
    assert.equal(0, #log.closed)
    client:send(bytes:sub(at + 1))
    t.wait(function() return #log.messages == 1 end)
  end)

  it("is not judged while we do not read", function()
    local server, log = serve { keepalive_timeout = 2 * interval }
    local client = t.open(server)
    t.wait(function() return log.conns[1] end)
    log.conns[1]:pause()
    kit.during(5 * interval)
    assert.equal(0, #log.closed)
    local began = now()
    log.conns[1]:resume()
    assert.same({ 1006, "keepalive timeout" }, { kit.closed(log) })
    assert.is_true(now() - began >= 2 * interval - 0.02)
    client:close()
  end)

  it("has a second to be heard when it was we who slept", function()
    local server, log = serve {
      keepalive_interval = 0.2 * second, keepalive_timeout = 0.4 * second,
      on_message = function()
        local last = now() + 1.1 + 0.4 * second
        repeat until now() > last -- a handler that does not wait but works
      end }
    local client = t.open(server)
    client:send(frame("text", "work"))
    t.wait(function() return #log.messages == 1 end)
    client:send(frame("pong"))
    kit.during(0.1)
    assert.equal(0, #log.closed)
    assert.same({ 1006, "keepalive timeout" }, { kit.closed(log) })
  end)

  it("tells its latency by its pong", function()
    -- long enough for no second ping to come meanwhile
    local server, log = serve { keepalive_interval = 0.4 * second }
    local client = t.open(server)
    local f = client:frame()
    assert.is_nil(log.conns[1].latency)
    kit.during(0.02)
    client:send(frame("pong", "not that")):send(frame("pong", f.payload))
    t.wait(function() return log.conns[1].latency end)
    local latency = log.conns[1].latency
    assert.is_true(latency >= 0.019 and latency < 1 * second, latency)
  end)

  it("without messages is closed at idle_timeout", function()
    local server, log = kit.serve { keepalive_interval = false,
      idle_timeout = 0.15 * second }
    local client = t.open(server)
    local began = now()
    client:send(frame("text", "x"))
    while #log.closed == 0 and now() - began < 2 * second do
      client:send(frame("pong")) -- no message, so no help
      kit.during(0.03 * second)
      if log.conns[1].state ~= "open" then break end
    end
    assert.is_true(now() - began >= 0.14 * second)
    assert.equal(1001, (client:expect_close(1001)))
    client:send(close_frame(1001))
    assert.same({ 1001, "idle timeout" }, { kit.closed(log) })
  end)

  it("with messages is not idle", function()
    local server, log = kit.serve { idle_timeout = 0.2 * second }
    local client = t.open(server)
    kit.during(0.5 * second, function() client:send(frame("text", "x")) end)
    assert.equal(0, #log.closed)
  end)
end)

describe("a connection", function()
  after_each(t.cleanup)

  local function open(options)
    local server, log = kit.serve(options)
    local client = t.open(server)
    t.wait(function() return log.conns[1] end)
    return client, log, log.conns[1], server
  end

  it("is closed at max_lifetime, whatever it does", function()
    local client, log = open { max_lifetime = 0.2 * second }
    local began = now()
    while log.conns[1].state == "open" do
      assert.is_true(now() - began < 3 * second)
      client:send(frame("text", "x"))
      t.turn()
    end
    assert.is_true(now() - began >= 0.15 * second)
    client:expect_close(1001)
    client:send(close_frame(1001))
    assert.same({ 1001, "max lifetime" }, { kit.closed(log) })
  end)

  it("to a peer that does not read is cut at stall_timeout", function()
    local server, log = kit.serve { stall_timeout = 0.15 * second,
      max_queued = false }
    local client = t.open(server, { rcvbuf = 4096 })
    t.wait(function() return log.conns[1] end)
    local conn = log.conns[1]
    local piece = ("x"):rep(1 << 20)
    local began = now() -- the first of these is refused in part
    for _ = 1, 16 do assert(conn:send(piece)) end
    assert.same({ 1006, "write stalled" }, { kit.closed(log) })
    assert.is_true(now() - began >= 0.13 * second)
    assert.same({ nil, "closed" }, { conn:send "x" })
    client:close()
  end)

  it("to a peer that reads slowly is not cut", function()
    local client, log, conn = open { stall_timeout = 0.5 * second,
      max_queued = false }
    local piece = ("x"):rep(1 << 20)
    for _ = 1, 32 do assert(conn:send(piece)) end
    for _ = 1, 14 do -- the kernel takes more only when much of it has left
      local n = 1 << 20
      while n > 0 do n = n - #(client.socket:recv(n) or ("?"):rep(n)) end
      kit.during(0.05 * second)
    end
    assert.equal(0, #log.closed)
    assert.is_true(conn.buffered > 0)
  end)

  it("whose peer does not answer our close ends at close_timeout", function()
    local client, log, conn = open { close_timeout = 0.1 * second }
    local began = now()
    conn:close(4000, "bye")
    assert.equal("closing", conn.state)
    assert.same({ 4000, "bye" }, { client:expect_close(4000) })
    assert.same({ 1006, "close timeout" }, { kit.closed(log) })
    assert.is_true(now() - began >= 0.09 * second)
    assert.equal("closed", conn.state)
  end)

  it("closed by us ends with the peer's answer", function()
    local client, log, conn = open()
    conn:close(4000, "bye")
    client:expect_close(4000)
    client:send(close_frame(4001, "you too"))
    assert.same({ 4001, "you too" }, { kit.closed(log) })
    client:expect_eof()
  end)

  it("closed by the peer ends with its code, which is echoed", function()
    for _, code in ipairs { 1000, 1001, 3999 } do
      local client, log = open()
      client:send(close_frame(code, "bye"))
      client:expect_close(code)
      client:expect_eof()
      assert.same({ code, "bye" }, { kit.closed(log) })
    end
  end)

  it("closed by the peer without a code ends with 1005", function()
    local client, log = open()
    client:send(close_frame())
    assert.equal(1005, (client:expect_close()))
    assert.same({ 1005, "" }, { kit.closed(log) })
  end)

  it("closed by both at once ends once", function()
    local client, log, conn = open()
    client:send(close_frame(4001, "mine"))
    conn:close(4002, "ours")
    client:expect_close(4002)
    client:expect_eof()
    assert.same({ 4001, "mine" }, { kit.closed(log) })
    kit.during(0.02)
    assert.equal(1, #log.closed)
  end)

  it("says how it ended without a close frame", function()
    local client, log = open()
    client:reset()
    assert.same({ 1006, "connection reset" }, { kit.closed(log) })
    client, log = open()
    client:half_close()
    assert.same({ 1006, "connection closed without a close frame" },
      { kit.closed(log) })
    client:expect_eof()
  end)

  it("that is terminated says no farewell", function()
    local client, log, conn = open()
    conn:terminate()
    assert.equal("closed", conn.state)
    assert.same({ 1006, "terminated" }, { kit.closed(log) })
    assert.same({}, frames_of(client))
  end)

  it("sends what is queued before its close frame", function()
    local client, _, conn = open { max_queued = false }
    local piece = ("x"):rep(300000)
    for _ = 1, 20 do assert(conn:send(piece)) end
    conn:close()
    for _ = 1, 20 do
      local _, message = client:message()
      assert.is_true(message == piece)
    end
    client:expect_close(1000)
  end)

  it("has its close_timeout from when the close frame has left", function()
    local client, log, conn = open { max_queued = false,
      close_timeout = 0.15 * second }
    local piece = ("x"):rep(1 << 20)
    for _ = 1, 20 do assert(conn:send(piece)) end
    conn:close()
    kit.during(0.3 * second)
    assert.equal(0, #log.closed)
    for _ = 1, 20 do client:message() end
    client:expect_close(1000)
    client:send(close_frame(1000))
    assert.equal(1000, (kit.closed(log)))
  end)

  it("refuses to send once it is closing", function()
    local client, _, conn = open()
    conn:close()
    assert.same({ nil, "closed" }, { conn:send "x" })
    assert.same({ nil, "closed" }, { conn:ping() })
    client:expect_close(1000)
    client:expect_silence(5)
  end)

  it("shut down by us goes on receiving until the peer's close", function()
    local client, log, conn = open()
    conn:shutdown(1000, "no more from here")
    client:expect_close(1000)
    for i = 1, 3 do client:send(frame("text", "late " .. i)) end
    client:send(close_frame(1000, "nor from here"))
    assert.same({ 1000, "nor from here" }, { kit.closed(log) })
    assert.same({ "late 1", "late 2", "late 3" }, log.messages)
    assert.same({ nil, "closed" }, { conn:send "x" })
  end)

  it("closed by us throws away what still comes", function()
    local client, log, conn = open()
    conn:close()
    client:expect_close(1000)
    client:send(frame("text", "late") .. close_frame(1000))
    kit.closed(log)
    assert.same({}, log.messages)
  end)

  it("does not lose its close frame over unread input", function()
    local client, log, conn = open { on_message = function(conn)
      conn:close(4000, "enough")
    end }
    client:send(frame("text", "x"):rep(20000))
    client:expect_close(4000)
    client:send(close_frame(4000))
    assert.equal(4000, (kit.closed(log)))
    assert.equal(1, #log.messages)
    assert.equal("closed", conn.state)
    client:expect_eof()
  end)

  it("fails with the code that says why", function()
    for code, bytes in pairs {
      [1002] = frame("text", "x", { mask = false }),
      [1007] = frame("text", "\xff"),
      [1009] = frame("text", "", { len = 1 << 40 }),
    } do
      local client, log = open()
      client:send(frame("text", "before") .. bytes)
      client:expect_close(code)
      client:expect_eof()
      local got, reason = kit.closed(log)
      assert.equal(code, got)
      assert.is_true(#reason > 0)
      assert.same({ "before" }, log.messages)
    end
  end)
end)
