-- A connection that is not read, for a handler is at work or the script has
-- paused it: its peer is pinged, and an end is noticed. And idle_timeout, which
-- long messages must not meet.

local t = require "spec.helper"
local kit = require "spec.engine.kit"

local frame = t.frame
local second = t.factor -- where the machine is shared

local function paused(options)
  local server, log = kit.serve(options)
  local raw = t.open(server)
  t.wait(function() return log.conns[1] end)
  log.conns[1]:pause()
  return raw, log, log.conns[1], server
end

describe("a paused connection", function()
  after_each(t.cleanup)

  it("is pinged all the same", function()
    local raw, log = paused { keepalive_interval = 0.05 }
    for _ = 1, 3 do assert.equal(9, raw:frame().opcode) end
    assert.equal(0, #log.closed)
    raw:close()
  end)

  it("is pinged while its handler is at work", function()
    local server, log = kit.serve { keepalive_interval = 0.05,
      on_message = function() t.ws.sleep(1) end, receive_queue = 1 }
    local raw = t.open(server)
    for _ = 1, 5 do raw:send(frame("text", "x")) end
    for _ = 1, 3 do assert.equal(9, raw:frame().opcode) end
    assert.equal(0, #log.closed)
    raw:close()
  end)

  it("is not held to a silence that is ours", function()
    local raw, log, conn = paused { keepalive_interval = 0.05,
      keepalive_timeout = 0.1 * second, idle_timeout = 0.15 * second }
    kit.during(0.4 * second)
    assert.equal(0, #log.closed)
    conn:resume()
    raw:send(frame("text", "here"))
    t.wait(function() return log.messages[1] end)
    raw:close()
  end)

  it("notices that its peer has reset it, with bytes unread or not", function()
    for _, bytes in ipairs { "", frame("text", "unread") } do
      local raw, log, _, server = paused { keepalive_interval = false }
      raw:send(bytes)
      raw:reset()
      assert.same({ 1006, "connection reset" }, { kit.closed(log) })
      t.wait(function() return server.connections == 0 end)
    end
  end)

  it("notices that its peer has ended", function()
    local raw, log, _, server = paused { keepalive_interval = false }
    raw:close()
    assert.same({ 1006, "connection closed without a close frame" },
      { kit.closed(log) })
    t.wait(function() return server.connections == 0 end)
  end)

  it("still gives what came before the peer's end", function()
    local raw, log, conn = paused { keepalive_interval = false }
    raw:send(frame("text", "last words") .. frame("close", "\x03\xE8"))
    raw:half_close()
    kit.during(2.2)
    conn:resume()
    assert.equal(1000, (kit.closed(log)))
    assert.same({ "last words" }, log.messages)
    raw:close()
  end)

  it("notices a loss by the ping that cannot be written", function()
    local raw, log = paused { keepalive_interval = 0.05 }
    raw:send(frame("text", "unread"))
    t.turn()
    raw:close()
    assert.equal(1006, (kit.closed(log)))
  end)
end)

describe("idle_timeout", function()
  after_each(t.cleanup)

  -- nil where this process was held up, which is a silence like any other.
  local function try(options, pieces)
    local from = t.probe.now()
    local server, log = kit.serve(options)
    local raw = t.open(server)
    for _, piece in ipairs(pieces) do
      raw:send(piece)
      kit.during(0.06 * second)
      if t.probe.now() - from > 0.12 * second then
        raw:close()
        return nil
      end
      from = t.probe.now()
    end
    return log, raw
  end

  local function trickle(options, pieces)
    for _ = 1, 20 do
      local log, raw = try(options, pieces)
      if log then return log, raw end
    end
    error "this process is held up again and again"
  end

  it("does not meet a message whose bytes arrive", function()
    local whole = frame("text", ("x"):rep(1000))
    local pieces = {}
    for i = 1, #whole, 200 do pieces[#pieces + 1] = whole:sub(i, i + 199) end
    local log, raw = trickle({ idle_timeout = 0.15 * second }, pieces)
    assert.equal(1000, #log.messages[1])
    raw:close()
  end)

  it("does not meet one that comes in fragments, or in chunks", function()
    local pieces = { frame("text", "a", { fin = false }) }
    for _ = 1, 4 do
      pieces[#pieces + 1] = frame("continuation", "b", { fin = false })
    end
    pieces[#pieces + 1] = frame("continuation", "c")
    local log, raw = trickle({ idle_timeout = 0.15 * second }, pieces)
    assert.same({ "abbbbc" }, log.messages)
    raw:close()
    local got
    log, raw = trickle({ idle_timeout = 0.15 * second, on_message = false,
      on_open = function() got = {} end,
      on_chunk = function(_, piece) got[#got + 1] = piece end }, pieces)
    assert.same({ 0, "abbbbc" }, { #log.closed, table.concat(got) })
    raw:close()
  end)

  it("does not meet one that is received by a task", function()
    local got
    local whole = frame("text", ("x"):rep(1000))
    local pieces = {}
    for i = 1, #whole, 200 do pieces[#pieces + 1] = whole:sub(i, i + 199) end
    local log, raw = trickle({ idle_timeout = 0.15 * second, on_message = false,
      on_open = function(conn) got = conn:receive() end }, pieces)
    assert.same({ 1000, 0 }, { #got, #log.closed })
    raw:close()
  end)

  it("meets who only pings inside of a message", function()
    local log, raw = trickle({ idle_timeout = 0.15 * second }, {
      frame("text", "a", { fin = false }), frame("ping", ""),
      frame("ping", ""), frame("ping", "") })
    local last
    repeat last = raw:frame() until last.opcode ~= 10
    assert.same({ 8, "\x03\xE9idle timeout" }, { last.opcode, last.payload })
    raw:send(frame("close", "\x03\xE9"))
    assert.same({ 1001, "idle timeout" }, { kit.closed(log) })
    raw:close()
  end)

  it("does not meet who still reads a long one of ours", function()
    local server, log = kit.serve { idle_timeout = 0.15 * second,
      max_queued = false }
    local raw = t.open(server, { rcvbuf = 4096 })
    t.wait(function() return log.conns[1] end)
    log.conns[1]:send(("x"):rep(8 * 1024 * 1024))
    local got, now = 0, t.probe.now()
    local last = now + 0.5 * second
    while now < last do
      t.turn()
      local bytes = raw.socket:recv(65536)
      got = got + #(bytes or "")
      local past = now
      now = t.probe.now()
      if now - past > 0.1 * second then return end -- we were held up
      assert.equal(0, #log.closed)
    end
    assert.is_true(got > 0 and got < 8 * 1024 * 1024)
    raw:close()
  end)
end)
