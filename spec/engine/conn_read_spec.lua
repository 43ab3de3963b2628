-- What arrives on an open connection (src/engine/conn_read.c): fairness,
-- pauses, bytes that are kept, write pressure, floods.

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local children = require "spec.binding.kit"
local close_frame = t.close_frame

local frame = t.frame

local function numbered(from, to)
  local list = {}
  for i = from, to do list[#list + 1] = frame("text", tostring(i)) end
  return table.concat(list)
end

-- The log holds these numbers, each once, in order.
local function assert_numbered(log, from, to)
  assert.equal(to - from + 1, #log.messages)
  for i = from, to do
    if log.messages[i - from + 1] ~= tostring(i) then
      assert.equal(tostring(i), log.messages[i - from + 1])
    end
  end
end

local function open(options, raw_options)
  local server, log = kit.serve(options)
  local client = t.open(server, raw_options)
  t.wait(function() return log.conns[1] end)
  return client, log, log.conns[1], server
end

describe("reading", function()
  after_each(t.cleanup)

  it("handles everything, in order, whatever the cuts", function()
    local client, log = open()
    client:send(numbered(1, 3000))
    t.wait(function() return #log.messages == 3000 end)
    client:send_pieces(numbered(3001, 3200), 7)
    t.wait(function() return #log.messages == 3200 end)
    assert_numbered(log, 1, 3200)
  end)

  it("takes messages of any size straight or gathered", function()
    local sizes = { 0, 1, 125, 126, 65535, 65536, 262143, 262144, 262145,
      500000, 1048576 }
    local client, log = open()
    for _, n in ipairs(sizes) do
      client:send(frame("binary", ("%d,"):format(n):rep(n):sub(1, n)))
    end
    t.wait(function() return #log.messages == #sizes end)
    for i, n in ipairs(sizes) do
      assert.is_true(log.messages[i] == ("%d,"):format(n):rep(n):sub(1, n))
    end
  end)

  it("of a busy peer does not starve a bystander", function()
    local handled = 0
    local server = t.listen { on_message = function(conn, message, kind)
      if message:find "^bystander" then
        conn:send(message, kind)
      else
        handled = handled + 1
      end
    end }
    local calm = t.bystander(server)
    local busy = t.open(server)
    busy:send(frame("text", ""):rep(200000))
    t.wait(function() return handled > 0 end)
    for _ = 1, 20 do calm.check() end
    assert.is_true(handled < 100000, handled)
    t.wait(function() return handled == 200000 end)
  end)

  it("takes turns between busy peers, read_budget messages each", function()
    local order = {}
    local server = t.listen { read_budget = 10, on_message = function(conn)
      order[#order + 1] = conn.id
    end }
    local a, b = t.open(server), t.open(server)
    a:send(frame("text", ""):rep(500))
    b:send(frame("text", ""):rep(500))
    t.wait(function() return #order == 1000 end)
    local longest, run = 0, 0
    for i = 2, #order do
      run = order[i] == order[i - 1] and run + 1 or 1
      if i < 900 then longest = math.max(longest, run) end
    end
    assert.is_true(longest <= 20, longest)
    a:close()
    b:close()
  end)

  describe("that is paused", function()
    it("delivers nothing and answers nothing, then everything", function()
      local client, log, conn = open()
      conn:pause()
      client:send(numbered(1, 500) .. frame("ping", "?"))
      client:expect_silence(10)
      assert.equal(0, #log.messages)
      conn:resume()
      client:expect_frame("pong", "?")
      assert_numbered(log, 1, 500)
    end)

    it("by a handler keeps the rest of what was read", function()
      local client, log, conn = open { on_message = function(conn, message)
        if tonumber(message) % 10 == 0 then conn:pause() end
      end }
      client:send(numbered(1, 35))
      for i = 10, 30, 10 do
        t.wait(function() return #log.messages == i end)
        kit.during(0.005)
        assert.equal(i, #log.messages)
        conn:resume()
      end
      t.wait(function() return #log.messages == 35 end)
      assert_numbered(log, 1, 35)
    end)

    it("keeps the rest of a message that was cut there", function()
      local long = ("0123456789"):rep(30000)
      local client, log, conn = open { on_message = function(conn, message)
        if message == "stop" then conn:pause() end
      end }
      local bytes = frame("text", "stop") .. frame("text", long)
        .. frame("text", "end")
      client:send(bytes:sub(1, 150000))
      t.wait(function() return #log.messages == 1 end)
      client:send(bytes:sub(150001))
      conn:resume()
      t.wait(function() return #log.messages == 3 end)
      assert.is_true(log.messages[2] == long)
      assert.equal("end", log.messages[3])
    end)

    it("lets the peer feel it (BI-05)", function()
      local client, log, conn = open()
      conn:pause()
      local piece = frame("binary", ("x"):rep(1 << 20))
      for _ = 1, 16 do client:send(piece) end
      local before = t.probe.rss()
      kit.during(0.05)
      assert.is_true(#client.queue > 0)
      assert.is_true(t.probe.rss() - before < 8 << 20)
      conn:resume()
      t.wait(function() return #log.messages == 16 end)
    end)

    it("can be closed, and ends by the peer's end", function()
      local client, log, conn = open()
      conn:pause()
      client:send(numbered(1, 5))
      kit.during(0.005)
      conn:close(4000)
      client:expect_close(4000)
      client:send(close_frame(4000))
      assert.equal(4000, (kit.closed(log)))
      assert.same({}, log.messages)
    end)
  end)

  describe("while our own queue is high", function()
    it("stops, so that an echo never overflows (BI-06)", function()
      local most = 0
      local client, log, conn = open({ max_queued = 1 << 20,
        on_message = function(conn, message, kind)
          assert(conn:send(message, kind))
          most = math.max(most, conn.buffered)
        end }, { rcvbuf = 4096 })
      local piece = frame("binary", ("x"):rep(100000))
      for _ = 1, 200 do client:send(piece) end
      kit.during(0.05)
      assert.is_true(#log.messages < 200)
      assert.is_true(most <= (64 << 10) + 100100, most)
      assert.equal("open", conn.state)
      for _ = 1, 200 do assert.equal(100000, #client:frame().payload) end
      assert.equal(200, #log.messages)
    end)

    it("goes on with read_ahead", function()
      local client, log = open({ read_ahead = true, max_queued = 20 << 20,
        on_message = function(conn) conn:send(("x"):rep(100000)) end },
        { rcvbuf = 4096 })
      client:send(frame("text", ""):rep(100))
      t.wait(function() return #log.messages == 100 end)
      for _ = 1, 100 do assert.equal(100000, #client:frame().payload) end
    end)

    it("tells when it is low again, once", function()
      local drained = 0
      local client, log, conn = open { max_queued = false,
        on_drain = function() drained = drained + 1 end }
      for _ = 1, 16 do assert(conn:send(("x"):rep(1 << 20))) end
      assert.is_true(conn.buffered > 64 << 10)
      kit.during(0.01)
      assert.equal(0, drained)
      for _ = 1, 16 do client:frame() end
      t.wait(function() return drained == 1 end)
      assert.is_true(conn.buffered <= 32 << 10)
      conn:send "little"
      client:frame()
      kit.during(0.005)
      assert.equal(1, drained)
      assert.equal(0, #log.closed)
    end)
  end)

  it("handles what came before a close, then ends", function()
    local client, log = open { on_message = function(conn, message)
      conn:send("re: " .. message)
    end }
    client:send(numbered(1, 100) .. close_frame(1000, "done"))
    for i = 1, 100 do client:expect_frame("text", "re: " .. i) end
    client:expect_close(1000)
    client:expect_eof()
    assert.same({ 1000, "done" }, { kit.closed(log) })
    assert_numbered(log, 1, 100)
  end)

  it("reads a long message straight to its place, to the end of a piece",
    function()
      local long = ("x"):rep(200000)
      local client, log = open()
      local whole = frame("text", long, { fin = false })
      -- each is read, and comes to its end, before the next is sent
      for _, piece in ipairs { whole:sub(1, 40000), whole:sub(40001),
        frame("ping", "1") } do
        client:send(piece)
        client:flush()
        for _ = 1, 4 do t.turn() end
      end
      client:expect_frame("pong", "1")
      client:send(frame("continuation", "y"))
      t.wait(function() return #log.messages == 1 end)
      assert.is_true(log.messages[1] == long .. "y")
      assert.same({}, log.closed)
    end)

  it("ends a long text that is none, wherever that is seen", function()
    for _, at in ipairs { 50000, 150000, 200000 } do
      local client, log = open()
      local text = ("x"):rep(at - 1) .. "\xff" .. ("x"):rep(200000 - at)
      local bytes = frame("text", text)
      client:send(bytes:sub(1, 40000))
      client:flush()
      for _ = 1, 4 do t.turn() end
      client:send(bytes:sub(40001) .. frame("text", "behind"))
      client:expect_close(1007)
      assert.equal(1007, (kit.closed(log)))
      assert.same({}, log.messages)
      client:close()
    end
  end)

  it("handles what came before an end without a close", function()
    local client, log = open()
    client:send(numbered(1, 1000))
    client:half_close()
    assert.equal(1006, (kit.closed(log)))
    assert_numbered(log, 1, 1000)
  end)

  it("hears nothing behind a close", function()
    local client, log = open()
    client:send(close_frame(1000) .. numbered(1, 10) .. frame("ping", "?"))
    client:expect_close(1000)
    client:expect_eof()
    kit.closed(log)
    assert.same({}, log.messages)
  end)

  it("waits with the next message while a handler waits", function()
    local at_work, most = 0, 0
    local client, log = open { on_message = function()
      at_work = at_work + 1
      most = math.max(most, at_work)
      t.ws.sleep(0)
      at_work = at_work - 1
    end }
    client:send(numbered(1, 50) .. frame("ping", "?"))
    client:expect_frame("pong", "?") -- control frames do not wait
    t.wait(function() return #log.messages == 50 and at_work == 0 end)
    assert_numbered(log, 1, 50)
    assert.equal(1, most)
  end)
end)

describe("pings", function()
  after_each(t.cleanup)

  it("are answered in order, with their payload", function()
    local client = open()
    local list = {}
    for i = 1, 20 do list[i] = frame("ping", ("%d"):format(i):rep(i)) end
    client:send(table.concat(list))
    for i = 1, 20 do
      client:expect_frame("pong", ("%d"):format(i):rep(i))
    end
  end)

  it("beyond 16 have one answer while the peer does not read (BI-07)",
    function()
      local client, _, conn = open({ control_rate = false,
        max_queued = false }, { rcvbuf = 4096 })
      local n = 0
      repeat
        n = n + 1
        assert(conn:send(("x"):rep(1000)))
      until conn.buffered > 0
      for i = 1, 1000 do client:send(frame("ping", "ping " .. i)) end
      kit.during(0.03)
      assert.is_true(conn.buffered < 4000)
      for _ = 1, n do assert.equal(1000, #client:frame().payload) end
      for i = 1, 16 do client:expect_frame("pong", "ping " .. i) end
      client:expect_frame("pong", "ping 1000")
      client:expect_silence()
    end)

  it("beyond control_rate are a flood", function()
    local client, log = open { control_rate = { burst = 20, rate = 1 } }
    client:send(frame("ping"):rep(20))
    for _ = 1, 20 do client:expect_frame("pong", "") end
    client:send(frame("pong"):rep(5))
    client:expect_close(1008)
    client:expect_eof()
    assert.same({ 1008, "control frame flood" }, { kit.closed(log) })
  end)

  it("within control_rate are none, as time goes by", function()
    local client, log = open { control_rate = { burst = 5, rate = 200 } }
    for _ = 1, 20 do
      client:send(frame("ping"))
      client:expect_frame("pong", "")
      kit.during(0.02)
    end
    assert.equal(0, #log.closed)
  end)

  it("by the million are a flood and nothing else (BI-07)", function()
    local server, log = kit.serve()
    local calm = t.open(server)
    local client = t.open(server)
    client:send(frame("ping", ("x"):rep(125)):rep(10000))
    assert.same({ 1008, "control frame flood" }, { kit.closed(log) })
    calm:expect_silence()
  end)
end)

describe("message_rate", function()
  after_each(function()
    children.cleanup()
    t.cleanup()
  end)

  it("ends a connection that sends more", function()
    local client, log = open { message_rate = { burst = 10, rate = 1 } }
    client:send(numbered(1, 10))
    t.wait(function() return #log.messages == 10 end)
    client:send(numbered(11, 20))
    client:expect_close(1008)
    local code, reason = kit.closed(log)
    assert.equal(1008, code)
    assert.is_truthy(reason:find "message")
    assert_numbered(log, 1, 10)
  end)

  it("grows back with time", function()
    local client, log = open { message_rate = { burst = 2, rate = 100 } }
    for i = 1, 10 do
      client:send(frame("text", tostring(i)))
      kit.during(0.03)
    end
    assert_numbered(log, 1, 10)
  end)

  describe("that waits", function()
    local function paced(burst, rate, more)
      local options = { message_rate = { burst = burst, rate = rate },
        on_flood = "wait" }
      for name, value in pairs(more or {}) do options[name] = value end
      return options
    end

    it("loses nothing, and takes as long as the rate says", function()
      local client, log = open(paced(5, 50))
      local began = t.ws.now()
      client:send(numbered(1, 25))
      t.wait(function() return #log.messages >= 5 end)
      assert.is_true(#log.messages < 25)
      t.wait(function() return #log.messages == 25 end)
      assert.is_true(t.ws.now() - began >= 20 / 50 - 0.02)
      assert_numbered(log, 1, 25)
      client:finish()
      assert.same({ 1000, "" }, { kit.closed(log) })
    end)

    it("lets a burst through at once, and again after a rest", function()
      local client, log = open(paced(3, 20))
      client:send(numbered(1, 3))
      t.turn()
      t.wait(function() return #log.messages == 3 end)
      local n, took = 3
      repeat -- until nothing holds this process up meanwhile
        kit.during(0.25)
        local began = t.ws.now()
        client:send(numbered(n + 1, n + 3))
        n = n + 3
        t.wait(function() return #log.messages == n end)
        took = t.ws.now() - began
      until took < 1 / 20 or n > 100
      assert.is_true(took < 1 / 20, took)
    end)

    it("brakes by not reading: the peer's bytes stay with it", function()
      local client, log, conn = open(paced(1, 0.5), { sndbuf = 4096 })
      client:send(frame("text", ("x"):rep(1000)):rep(4000))
      t.wait(function() return #log.messages == 1 end)
      kit.during(0.1)
      assert.is_true(#log.messages <= 2)
      assert.equal("open", conn.state)
      conn:terminate()
    end)

    it("is for receivers and discarded messages, too", function()
      local server, log = kit.serve(paced(2, 40, { on_open = function(c)
        for message in c:messages() do
          c:send(message)
        end
      end }))
      local client = t.open(server)
      local began = t.ws.now()
      client:send(numbered(1, 10))
      for i = 1, 10 do client:expect_frame("text", tostring(i)) end
      assert.is_true(t.ws.now() - began >= 8 / 40 - 0.02)
      client:finish()
      kit.closed(log)
    end)

    it("counts whole messages, not their fragments or chunks", function()
      local chunks = {}
      local server = t.listen(paced(2, 40, { on_chunk = function(_, b, _, f)
        chunks[#chunks + 1] = { b, f }
      end }))
      local client = t.open(server)
      local began = t.ws.now()
      for _ = 1, 4 do
        client:send(frame("text", "a", { fin = false }))
        for _ = 1, 20 do
          client:send(frame("continuation", "b", { fin = false }))
        end
        client:send(frame("continuation", "c"))
      end
      local function n_final()
        local n = 0
        for _, chunk in ipairs(chunks) do n = n + (chunk[2] and 1 or 0) end
        return n
      end
      t.wait(function() return n_final() == 4 end)
      assert.is_true(t.ws.now() - began >= 2 / 40 - 0.02)
    end)

    it("hears a Close behind, and ends when it is told to", function()
      local client, log = open(paced(1, 20))
      client:send(numbered(1, 3) .. t.close_frame(1000, "done"))
      assert.same({ 1000, "done" }, { kit.closed(log) })
      assert_numbered(log, 1, 3)
      local conn
      client, log, conn = open(paced(1, 0.01))
      client:send(numbered(1, 3))
      t.wait(function() return #log.messages == 1 end)
      conn:close(4000, "enough")
      client:expect_close(4000)
      client:send(t.close_frame(4000))
      assert.equal(4000, (kit.closed(log)))
    end)

    it("is a client's too", function()
      local server = t.listen { on_open = function(c)
        for i = 1, 6 do c:send(tostring(i)) end
      end }
      local conn = assert(t.ws.connect("ws://127.0.0.1:" .. server.port,
        paced(2, 40)))
      local began = t.ws.now()
      for i = 1, 6 do assert.equal(tostring(i), (conn:receive(t.limit))) end
      assert.is_true(t.ws.now() - began >= 4 / 40 - 0.03)
      conn:close()
    end)
  end)

  it("is kept from the first moment of a loop", function()
    local child = children.run [[
      local server = assert(ws.listen { port = 0, host = "127.0.0.1",
        message_rate = { burst = 10, rate = 1 },
        on_message = function() end })
      local conn = assert(ws.connect("ws://127.0.0.1:" .. server.port))
      for _ = 1, 11 do conn:send "x" end
      say((select(3, conn:receive())))
    ]]
    child:wait "^1008$"
  end)
end)
