-- How a connection ended: conn:wait, close_code and close_reason, and what
-- receive and drain return.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

local function ended(conn)
  return { conn.state, conn.close_code, conn.close_reason }
end

describe("the end of a connection", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("can be read afterwards, on both sides", function()
    local accepted
    local server = t.listen { on_open = function(c) accepted = c end }
    local conn = assert(ws.connect(t.url_of(server)))
    assert.same({ "open" }, ended(conn))
    conn:close(4001, "bye")
    assert.is_nil(conn.close_code)
    t.wait(function() return accepted and accepted.state == "closed" end)
    t.wait(function() return conn.state == "closed" end)
    assert.same({ "closed", 4001, "bye" }, ended(accepted))
    assert.same({ "closed", 4001, "bye" }, ended(conn))
  end)

  it("without a close frame has a cause, without a code 1005", function()
    local conn, raw = kit.pair()
    conn:terminate()
    t.wait(function() return conn.state == "closed" end)
    assert.same({ "closed", 1006, "terminated" }, ended(conn))
    raw:close()
    conn, raw = kit.pair()
    raw:send(t.frame("close", ""))
    t.wait(function() return conn.state == "closed" end)
    assert.same({ "closed", 1005, "" }, ended(conn))
  end)

  it("is there in on_close, and after the object was kept", function()
    local seen
    local conn, raw = kit.pair { on_close = function(c, code, reason)
      seen = { c.close_code == code, c.close_reason == reason, code, reason }
    end }
    raw:send(t.close_frame(4002, "x\u{e9}"))
    t.wait(function() return seen end)
    assert.same({ true, true, 4002, "x\u{e9}" }, seen)
    raw:expect_close(4002)
    raw:expect_eof()
    for _ = 1, 3 do t.turn() end
    collectgarbage()
    assert.same({ "closed", 4002, "x\u{e9}" }, ended(conn))
  end)

  it("of an attempt that failed is why", function()
    local conn
    conn = ws.connect("ws+unix:///none/x", { on_open = print })
    assert.same({ "connecting" }, ended(conn))
    assert.same({ 1006, "no such socket" }, { t.pump(conn.wait, conn) })
    assert.same({ "closed", 1006, "no such socket" }, ended(conn))
  end)

  it("is told to who receives, with its reason", function()
    local server = t.listen { on_open = function(c)
      c:send "last"
      c:close(4003, "enough")
    end }
    local conn = assert(ws.connect(t.url_of(server)))
    assert.same({ "last", "text" }, { conn:receive() })
    assert.same({ nil, "closed", 4003, "enough" }, { conn:receive() })
    assert.same({ nil, "closed", 4003, "enough" }, { conn:receive() })
    assert.same({ nil, "closed", 4003, "enough" }, { conn:drain() })
  end)
end)

describe("conn:wait", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  local function closing(code, reason)
    return t.listen { on_message = function(c) c:close(code, reason) end }
  end

  it("returns code and reason, at once where it is over", function()
    local conn = assert(ws.connect(t.url_of(closing(4000, "why"))))
    conn:send "x"
    assert.same({ 4000, "why" }, { conn:wait() })
    assert.same({ 4000, "why" }, { conn:wait(0) })
    assert.same({ 4000, "why" }, { t.pump(conn.wait, conn) })
  end)

  it("waits in a task, and for what was closed here", function()
    local conn = assert(ws.connect(t.url_of(closing())))
    local results = {}
    for i = 1, 3 do
      ws.spawn(function() results[i] = { conn:wait() } end)
    end
    t.turn()
    assert.same({}, results)
    assert.is_true(conn:close(4009, "own"))
    local own = { 4009, "own" }
    assert.same(own, { conn:wait(t.limit) })
    t.wait(function() return #results == 3 end)
    assert.same({ own, own, own }, results)
  end)

  it("has a timeout, and arguments that are judged", function()
    local conn, raw = kit.pair()
    assert.same({ nil, "timeout" }, { conn:wait(0) })
    assert.same({ nil, "timeout" }, { conn:wait(0.01) })
    assert.same({ nil, "timeout" }, { t.pump(conn.wait, conn, 0.01) })
    t.contains(kit.refusal(function() local r = conn:wait(-1) return r end),
      "seconds must not be negative")
    t.contains(kit.refusal(function() local r = conn:wait "x" return r end),
      "number expected")
    raw:finish()
  end)

  it("in on_open neither keeps Close from being answered, nor Pings", function()
    local seen
    local server = t.listen { close_timeout = 100, on_open = function(c)
      seen = { c:wait() }
    end }
    local raw = t.open(server)
    raw:send(t.frame("text", "unread") .. t.frame("ping", "p"))
    raw:expect_frame("pong", "p")
    raw:send(t.close_frame(1000, "done"))
    raw:expect_close(1000)
    t.wait(function() return seen end)
    assert.same({ 1000, "done" }, seen)
  end)

  it("lets a handler at work finish before Close is answered", function()
    local order, go = {}, false
    local server = t.listen { close_timeout = 100,
      on_open = function(c)
        c:on_message(function(own, message)
          while not go do ws.sleep(0.001) end
          order[#order + 1] = message
          own:send "answer"
        end)
        ws.spawn(function()
          local code = c:wait()
          order[#order + 1] = code
        end)
      end }
    local raw = t.open(server)
    go = true
    raw:send(t.frame("text", "m") .. t.close_frame(1000))
    raw:expect_frame("text", "answer")
    raw:expect_close(1000)
    t.wait(function() return #order == 2 end)
    assert.same({ "m", 1000 }, order)
  end)

  it("of a client that comes back waits until it does not", function()
    local n = 0
    local server = t.listen { on_open = function(c)
      n = n + 1
      if n < 4 then c:terminate() else c:close(1000, "that was all") end
    end }
    local function options()
      return { reconnect = { initial = 0.001, jitter = 0 },
        on_open = function() end }
    end
    local conn = ws.connect(t.url_of(server), options())
    assert.same({ 1000, "that was all" }, { conn:wait(t.limit) })
    assert.equal(4, n)
    n = 0
    conn = ws.connect(t.url_of(server), options())
    assert.same({ 1000, "that was all" }, { t.pump(conn.wait, conn, t.limit) })
    assert.equal(4, n)
  end)

  it("shows how the last one ended while it comes back", function()
    local first
    local server = t.listen { on_open = function(c)
      if not first then first = true c:close(4005, "again") end
    end }
    local states = {}
    local conn = ws.connect(t.url_of(server), {
      reconnect = { initial = 0.001, jitter = 0 },
      on_open = function(c) states[#states + 1] = ended(c) end,
      on_close = function(c)
        ws.sleep(0)
        states[#states + 1] = { c.close_code, c.close_reason }
      end })
    t.wait(function() return #states >= 3 end)
    assert.same({ "open" }, states[1])
    assert.same({ 4005, "again" }, states[2])
    assert.same({ "open" }, states[3])
    conn:close()
    conn:wait(t.limit)
  end)
end)
