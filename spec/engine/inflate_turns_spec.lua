-- Inflating is cut into turns: whatever a message inflates to, others are
-- served in between. Nothing of it depends on how fast the machine is: turns
-- and answers are counted.

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local deflate = require "evws_probe".deflate

local frame = t.frame
local mebibyte = deflate.pool():whole(("\0"):rep(1 << 20), { level = 9 })
local large = 1 << 19 -- a byte less is not half inflated for long

-- So many MiB, compressed; what is flushed between them does no harm.
local function bomb(n)
  return frame("binary", (mebibyte .. "\0\0\xff\xff"):rep(n - 1) .. mebibyte,
    { rsv = 4 })
end

local function serve(options)
  local o = { compression = true, max_message = false }
  for name, value in pairs(options or {}) do o[name] = value end
  return kit.serve(o)
end

local function open(server)
  return t.open(server,
    { headers = { ["Sec-WebSocket-Extensions"] = "permessage-deflate" } })
end

-- Echoes what is short; log.sizes: of what is long.
local function serve_echo(options)
  local sizes = {}
  local o = { on_message = function(conn, message, kind)
    if #message < 1000 then conn:send(message, kind) return end
    sizes[#sizes + 1] = #message
  end }
  for name, value in pairs(options or {}) do o[name] = value end
  local server, log = serve(o)
  log.sizes = sizes
  return server, log
end

-- Asks as often as there is an answer, while predicate() is false.
local function ask(raw, request, predicate)
  local n, is_asked = 0, false
  t.wait(function()
    if not is_asked then raw:send(request) end
    is_asked = raw.socket:recv() == nil
    if not is_asked then n = n + 1 end
    return predicate()
  end, "the bombs", 30)
  return n
end

-- One of n MiB is half inflated; its connection.
local function half(n, options)
  local server, log = serve_echo(options)
  local raw = open(server)
  t.wait(function() return log.conns[1] end)
  local before = server:stats().memory
  raw:send(bomb(n))
  t.wait(function() return server:stats().memory > before + large end)
  assert.equal(0, #log.sizes)
  return raw, log, server, before
end

describe("inflating", function()
  after_each(t.cleanup)

  it("64 MiB leaves their turns to others", function()
    local server, log = serve_echo()
    local raw, other = open(server), t.open(server)
    raw:send(bomb(64))
    assert.is_true(ask(other, frame("text", "ask"),
      function() return log.sizes[1] end) >= 20)
    assert.same({ 64 << 20 }, log.sizes)
  end)

  it("leaves some of each turn to short messages", function()
    local server, log = serve_echo { compression = { threshold = 1 << 20 } }
    local request = frame("text", deflate.pool():whole(("ask "):rep(100)),
      { rsv = 4 })
    local other, raws = open(server), {}
    for i = 1, 8 do raws[i] = open(server) end
    for i = 1, 8 do raws[i]:send(bomb(8)) end
    assert.is_true(ask(other, request,
      function() return #log.sizes == 8 end) >= 20)
    for i = 1, 8 do assert.equal(8 << 20, log.sizes[i]) end
  end)

  -- Others have sent hundreds, which are all there: how many come before?
  local function come_before(n_others, theirs, ours)
    local n, before = 0, nil
    local server = serve { on_message = function(_, message)
      if message:byte() == 0 then n = n + 1 else before = before or n end
    end }
    local raw = open(server)
    for _ = 1, n_others do
      open(server):send(theirs:rep(60000 // #theirs))
    end
    t.wait(function() return n >= n_others end)
    local at = n
    raw:send(frame("binary", deflate.pool():whole(ours), { rsv = 4 }))
    t.wait(function() return before end)
    return before - at
  end

  it("comes to a long message beside others that go on and on", function()
    assert.is_true(come_before(3, bomb(1), ("a long one "):rep(1 << 15)) < 12)
  end)

  it("comes to a short message beside others that go on and on", function()
    assert.is_true(come_before(10, frame("binary",
      deflate.pool():whole(("\0"):rep(60000)), { rsv = 4 }), "short") < 500)
  end)

  it("is bounded as it was", function()
    local server, log = serve_echo { max_message = 16 << 20 }
    local raw = open(server)
    raw:send(bomb(16))
    t.wait(function() return log.sizes[1] == 16 << 20 end)
    raw:send(bomb(17))
    assert.equal("the message is too big", (select(2,
      raw:expect_close(1009))))
    t.wait(function() return server.connections == 0 end)
  end)

  it("keeps the order of what comes behind", function()
    local raw, log = half(16)
    raw:send(frame("ping", "p") .. frame("text", "one") .. bomb(3)
      .. frame("text", "two"))
    raw:expect_frame("pong", "p")
    assert.same({ 16 << 20 }, log.sizes)
    raw:expect_frame("text", "one")
    raw:expect_frame("text", "two")
    assert.same({ 16 << 20, 3 << 20 }, log.sizes)
    raw:finish()
  end)

  it("waits while it is paused, and lets others go on", function()
    local raw, log, server, before = half(16)
    local other = open(server)
    log.conns[1]:pause()
    other:send(bomb(8) .. frame("text", "x"))
    other:expect_frame("text", "x")
    assert.same({ 8 << 20 }, log.sizes)
    assert.is_true(server:stats().memory > before + large)
    raw:send(frame("text", "behind"))
    log.conns[1]:resume()
    raw:expect_frame("text", "behind")
    assert.same({ 8 << 20, 16 << 20 }, log.sizes)
  end)

  it("goes on while we close", function()
    local raw, log = half(16)
    log.conns[1]:close(4000, "enough")
    raw:expect_frame("close", (">I2"):pack(4000) .. "enough")
    raw:send(t.close_frame(4000))
    assert.equal(4000, (kit.closed(log)))
    assert.same({}, log.sizes)
  end)

  it("ends with its connection, and gives all back", function()
    local _, log, server, before = half(64)
    log.conns[1]:terminate()
    assert.equal(1006, (kit.closed(log)))
    t.wait(function() return server:stats().memory < before + large end)
    assert.equal(1, #log.closed)
    assert.same({}, log.sizes)
  end)

  it("ends when its peer is gone", function()
    local raw, log, server = half(64)
    raw:reset()
    assert.equal(1006, (kit.closed(log)))
    t.wait(function() return server.connections == 0 end)
    assert.equal(1, #log.closed)
  end)

  it("ends when the server does", function()
    local _, log, server = half(64)
    t.pump(function() server:close { timeout = 0 } end)
    kit.closed(log)
    assert.equal(1, #log.closed)
  end)

  -- They have sent all there is before the server looks, and then wait for
  -- each other.
  it("is no silence of the peer's", function()
    local server, log = serve_echo { idle_timeout = 0.02,
      keepalive_interval = 0.01, keepalive_timeout = 0.02,
      close_timeout = 0.05 }
    local head = table.concat({ "GET / HTTP/1.1", "Host: a",
      "Upgrade: websocket", "Connection: Upgrade",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      "Sec-WebSocket-Extensions: permessage-deflate", "", "" }, "\r\n")
    local raws = {}
    for i = 1, 12 do
      raws[i] = t.raw(server)
      raws[i]:send(head .. bomb(16))
    end
    t.wait(function() return #log.closed == 12 end, "the ends", 30)
    assert.equal(12, #log.sizes)
  end)

  it("brings messages to whoever receives", function()
    local text = ("0123456789"):rep(1 << 20)
    local server = t.listen { compression = true, max_message = false,
      max_queued = false, on_message = function(conn, message)
        conn:send(message)
      end }
    local got, n = {}, 0
    local function dial()
      return assert(t.ws.connect("ws://127.0.0.1:" .. server.port,
        { compression = true, max_message = false }))
    end
    t.pump(function()
      local long, short = dial(), dial()
      local task = t.ws.spawn(function()
        assert(long:send(text))
        assert(long:send "behind")
        got[1], got[2] = long:receive(), long:receive()
      end)
      repeat
        assert(short:send "ask")
        assert.equal("ask", short:receive())
        n = n + 1
      until got[2]
      task:wait()
      long:close()
      short:close()
    end)
    assert.is_true(got[1] == text)
    assert.equal("behind", got[2])
    assert.is_true(n >= 10, n)
  end)
end)
