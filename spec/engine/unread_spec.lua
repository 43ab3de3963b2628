-- A client whose messages wait for somebody who receives them: Pings and Close
-- are answered all the same. And what is asked for is no flood.

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local ws = t.ws

local frame = t.frame

local function plain(opcode, payload)
  return frame(opcode, payload, { mask = false })
end

local function close_frame(code, reason)
  return plain("close", string.pack(">I2", code) .. (reason or ""))
end

describe("a client with unread messages", function()
  after_each(t.cleanup)

  it("answers Close when it comes, and gives them afterwards", function()
    local conn, raw = kit.connected()
    raw:send(plain("text", "one") .. plain("text", "two")
      .. close_frame(4000, "bye"))
    assert.equal(4000, (raw:expect_close(4000)))
    raw:close()
    assert.same({ "one", "text" }, { t.pump(conn.receive, conn, 1) })
    assert.same({ "two", "text" }, { t.pump(conn.receive, conn, 1) })
    local message, why, code = t.pump(conn.receive, conn, 1)
    assert.same({ nil, "closed", 4000 }, { message, why, code })
  end)

  it("does so for a server of evws, within close_timeout", function()
    local log = {}
    local server = t.listen { path = "/ws", close_timeout = 60,
      on_open = function(c)
        c:send "unread"
        c:close(4000, "enough")
      end,
      on_close = function(_, code, reason) log = { code, reason } end }
    local conn = t.pump(ws.connect,
      ("ws://127.0.0.1:%d/ws"):format(server.port))
    t.wait(function() return log[1] end, "on_close of the server")
    assert.equal(4000, log[1])
    assert.equal("unread", (t.pump(conn.receive, conn, 1)))
  end)

  it("is read on after a while, and loses what is too much", function()
    local conn, raw = kit.connected { receive_queue = 1000 }
    local piece = ("x"):rep(500)
    for _ = 1, 2000 do raw:send(plain("text", piece)) end
    raw:send(plain("ping", "still there?"))
    raw:expect_frame("pong", "still there?", 10)
    assert.equal("open", conn.state)
    assert.is_true(conn.missed >= 1990)
    raw:send(close_frame(1000))
    raw:expect_close(1000)
    local n = 0
    while t.pump(conn.receive, conn, 1) do n = n + 1 end
    assert.equal(2000, n + conn.missed)
    raw:close()
  end)

  it("loses nothing once it has received", function()
    local conn, raw = kit.connected { receive_queue = 1000 }
    local sent = 2000
    raw:send(plain("text", "first"))
    assert.equal("first", (t.pump(conn.receive, conn, 1)))
    for i = 1, sent do
      raw:send(plain("text", ("%04d"):format(i) .. ("x"):rep(496)))
    end
    kit.during(2.5) -- longer than one that never receives is waited for
    for i = 1, sent do
      local message = t.pump(conn.receive, conn, 5)
      assert.equal(i, tonumber(message:sub(1, 4)))
    end
    assert.equal(0, conn.missed)
    raw:close()
  end)

  it("begins to receive late, and loses nothing more from then on", function()
    local conn, raw = kit.connected { receive_queue = 1000 }
    for _ = 1, 100 do raw:send(plain("text", ("x"):rep(500))) end
    raw:send(plain("ping", "?"))
    raw:expect_frame("pong", "?", 10)
    local missed = conn.missed
    assert.is_true(missed > 0)
    while t.pump(conn.receive, conn, 0.05) do end
    for i = 1, 500 do
      raw:send(plain("text", ("%04d"):format(i) .. ("x"):rep(496)))
    end
    for i = 1, 500 do
      assert.equal(i, tonumber((t.pump(conn.receive, conn, 5)):sub(1, 4)))
    end
    assert.equal(missed, conn.missed)
    raw:close()
  end)
end)

describe("a connection that is received from by its handler", function()
  after_each(t.cleanup)

  it("answers Close after the messages that wait for it", function()
    local seen, goes_on = {}, false
    local server = t.listen { on_open = function(conn)
      for message in conn:messages() do
        t.ws.sleep(goes_on and 0 or 0.05)
        seen[#seen + 1] = message
        conn:send("to " .. message)
      end
    end }
    local raw = t.open(server)
    raw:send(frame("text", "1") .. frame("text", "2") .. frame("text", "3")
      .. frame("close", string.pack(">I2", 1000)))
    goes_on = true
    for i = 1, 2 do raw:expect_frame("text", "to " .. i) end
    raw:expect_close(1000)
    t.wait(function() return #seen == 3 end)
    raw:close()
  end)

  it("answers it when the handler has ended before that", function()
    local server = t.listen { close_timeout = 60, on_open = function(conn)
      assert(conn:receive() == "1")
      t.ws.sleep(0.05)
    end }
    local raw = t.open(server)
    raw:send(frame("text", "1") .. frame("text", "2")
      .. frame("close", string.pack(">I2", 1000)))
    raw:expect_close(1000)
    raw:close()
  end)
end)

describe("pongs", function()
  after_each(t.cleanup)

  it("that answer pings of ours are no flood, however many", function()
    local server, log = kit.serve { control_rate = { burst = 5, rate = 1 } }
    local raw = t.open(server)
    t.wait(function() return log.conns[1] end)
    for _ = 1, 60 do log.conns[1]:ping() end
    for _ = 1, 60 do raw:send(frame("pong", raw:frame().payload)) end
    raw:send(frame("text", "fine"))
    t.wait(function() return log.messages[1] end)
    assert.equal("open", log.conns[1].state)
    -- and those that were not asked for are one
    for _ = 1, 10 do raw:send(frame("pong", "")) end
    assert.same({ 1008, "control frame flood" }, { kit.closed(log) })
    raw:close()
  end)

  it("of a keepalive that is faster than control_rate are none", function()
    local server, log = kit.serve { keepalive_interval = 0.02,
      keepalive_timeout = 60, control_rate = { burst = 3, rate = 0.1 } }
    local raw = t.open(server)
    for _ = 1, 20 do
      local ping = raw:frame()
      assert.equal(9, ping.opcode)
      raw:send(frame("pong", ping.payload))
    end
    assert.equal("open", log.conns[1].state)
    raw:close()
  end)
end)

describe("what ends a connection", function()
  after_each(t.cleanup)

  it("is told the peer as well: limits", function()
    for _, case in ipairs {
      { { max_message = 10 }, frame("text", ("x"):rep(11)), 1009,
        "the message is too big" },
      { { max_fragments = 1 }, frame("text", "a", { fin = false })
        .. frame("continuation", "b", { fin = false }), 1008,
        "too many fragments" },
      { { control_rate = { burst = 1, rate = 0.1 } },
        frame("ping", "") .. frame("ping", ""), 1008, "control frame flood" },
      { { message_rate = { burst = 1, rate = 0.1 } },
        frame("text", "") .. frame("text", ""), 1008, "message flood" },
      { { idle_timeout = 0.05 }, "", 1001, "idle timeout" },
      { { max_lifetime = 0.05 }, "", 1001, "max lifetime" },
      { {}, frame("text", "\xFF"), 1007, "text that is not UTF-8" },
      { {}, frame("text", "x", { rsv = 4 }), 1002, "reserved bits are set" },
    } do
      local raw = t.open((kit.serve(case[1])))
      raw:send(case[2])
      local last
      repeat last = raw:frame() until last.opcode == 8
      assert.same({ case[3], case[4] }, { (string.unpack(">I2", last.payload)),
        last.payload:sub(3) }, case[4])
      raw:close()
    end
  end)

  it("is told the peer: a server that closes", function()
    local server = kit.serve()
    local raw = t.open(server)
    t.turn()
    ws.spawn(server.close, server, { timeout = 5 })
    assert.same({ 1001, "server closed" }, { raw:expect_close(1001) })
    raw:close()
  end)

  it("is nobody's business when a handler has raised", function()
    local server = kit.serve { on_message = function() error "secret" end }
    ws.on_error(function() end)
    local raw = t.open(server)
    raw:send(frame("text", "x"))
    assert.same({ 1011, "" }, { raw:expect_close(1011) })
    ws.on_error(nil)
    raw:close()
  end)
end)
