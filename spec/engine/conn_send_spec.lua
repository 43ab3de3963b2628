-- What leaves a connection (src/engine/conn_send.c): order, sizes, limits, and
-- the masks of our client.

local t = require "spec.helper"
local kit = require "spec.engine.kit"

local frame = t.frame
local sizes = { 0, 1, 124, 125, 126, 127, 65535, 65536, 65537, 65550, 131072,
  262144, 300001 }

local function text_of(i, n)
  return ("%d;"):format(i):rep(n):sub(1, n)
end

local function open(options, raw_options)
  local server, log = kit.serve(options)
  local client = t.open(server, raw_options)
  t.wait(function() return log.conns[1] end)
  return client, log.conns[1], log
end

-- Both ends that send: a server's connection and a client's, with the raw
-- peer of each.
local function both(fn, options)
  return function()
    local client, conn = open(options)
    fn(conn, client)
    local own
    own, client = kit.connected(options)
    fn(own, client)
  end
end

local function expect(client, kind, payload)
  local f, why = client:frame()
  assert(f, why)
  if f.payload ~= payload or f.opcode ~= kind or not f.fin then
    error(("a frame of %d octets, opcode %d"):format(#f.payload, f.opcode), 2)
  end
end

describe("sending", function()
  after_each(t.cleanup)

  it("keeps order and bytes at every size, in one turn", both(
    function(conn, client)
      t.ws.spawn(function()
        for i, n in ipairs(sizes) do
          assert(conn:send(text_of(i, n)))
          assert(conn:send(text_of(i, n), "binary"))
        end
        for i = #sizes, 1, -1 do assert(conn:send(text_of(i, sizes[i]))) end
      end)
      for i, n in ipairs(sizes) do
        expect(client, 1, text_of(i, n))
        expect(client, 2, text_of(i, n))
      end
      for i = #sizes, 1, -1 do expect(client, 1, text_of(i, sizes[i])) end
    end, { max_queued = false }))

  it("keeps order and bytes at every size, outside of turns", both(
    function(conn, client)
      for i, n in ipairs(sizes) do assert(conn:send(text_of(i, n))) end
      for i, n in ipairs(sizes) do expect(client, 1, text_of(i, n)) end
    end, { max_queued = false }))

  it("keeps order and bytes at every size, as answers", function()
    local client = open { on_message = function(conn, message)
      local i = tonumber(message)
      for k = 0, 2 do assert(conn:send(text_of(i + k, sizes[i]))) end
    end }
    for i in ipairs(sizes) do client:send(frame("text", tostring(i))) end
    for i, n in ipairs(sizes) do
      for k = 0, 2 do expect(client, 1, text_of(i + k, n)) end
    end
  end)

  it("is at once outside of a turn", both(function(conn, client)
    local bytes
    assert(conn:send "now")
    local last = t.probe.now() + 5
    repeat
      bytes = client.socket:recv()
    until bytes or t.probe.now() > last
    assert.is_truthy(bytes)
  end))

  it("keeps control frames in their place", both(function(conn, client)
    t.ws.spawn(function()
      conn:send "a"
      conn:ping "1"
      conn:send(("b"):rep(100000))
      conn:ping "2"
      conn:close(4000, "end")
    end)
    expect(client, 1, "a")
    expect(client, 9, "1")
    expect(client, 1, ("b"):rep(100000))
    expect(client, 9, "2")
    assert.same({ 4000, "end" }, { client:expect_close(4000) })
  end))

  it("survives a small window, whatever was mixed", both(
    function(conn, client)
      math.randomseed(65)
      local want = {}
      for i = 1, 400 do
        local n = sizes[math.random(#sizes)] // math.random(3)
        want[i] = text_of(i, n)
        if i % 7 == 0 then
          t.ws.spawn(function() conn:send(want[i]) end)
          t.turn()
        else
          assert(conn:send(want[i]))
        end
      end
      assert.is_true(conn.buffered > 0)
      for i = 1, 400 do expect(client, 1, want[i]) end
      assert.equal(0, conn.buffered)
    end, { max_queued = false }))

  it("returns the bytes that wait", function()
    local client, conn = open({ max_queued = false }, { rcvbuf = 4096 })
    assert.same({ true, 0 }, { conn:send "x" })
    local last
    repeat last = select(2, conn:send(("x"):rep(100000))) until last > 0
    assert.equal(conn.buffered, last)
    local _, more = conn:send "abc"
    assert.equal(last + 5, more)
    client:close()
  end)
end)

describe("max_queued", function()
  after_each(t.cleanup)

  -- Sends until it is refused; how many were taken.
  local function fill(conn, piece)
    local n = 0
    while true do
      local ok, why = conn:send(piece)
      if not ok then return n, why end
      n = n + 1
      assert(n < 100000)
    end
  end

  it("refuses a message, and nothing else is lost", both(
    function(conn, client)
      local piece = ("x"):rep(10000)
      local n, why = fill(conn, piece)
      assert.equal("queue full", why)
      assert.equal("open", conn.state)
      assert.is_true(conn.buffered <= 200000)
      assert.is_true(conn:ping "always fits")
      for _ = 1, n do expect(client, 1, piece) end
      expect(client, 9, "always fits")
      assert(conn:send "again")
      expect(client, 1, "again")
    end, { max_queued = 200000 }))

  it("takes one message of any size when nothing waits", both(
    function(conn, client)
      local large = ("x"):rep(8 << 20)
      assert(conn:send(large, "binary"))
      if conn.buffered > 0 then
        assert.same({ nil, "queue full" }, { conn:send "x" })
      end
      expect(client, 2, large)
    end, { max_queued = 1000 }))

  it("with on_full = \"close\" ends the connection", function()
    local client, conn, log = open({ max_queued = 100000,
      on_full = "close" }, { rcvbuf = 4096 })
    local n, why = fill(conn, ("x"):rep(10000))
    assert.equal("queue full", why)
    assert.same({ 1008, "slow consumer" }, { kit.closed(log) })
    for _ = 1, n do assert.equal(10000, #client:frame().payload) end
    client:expect_close(1008)
    client:expect_eof()
    assert.same({ nil, "closed" }, { conn:send "x" })
  end)
end)

describe("our client", function()
  after_each(t.cleanup)

  -- Four octets drawn 10,000 times: a repeat is a matter of one in a hundred.
  it("masks each frame with fresh random bytes (BI-18)", function()
    local conn, raw = kit.connected { max_queued = false }
    local seen, repeats, ones, zeros = {}, 0, 0, 0
    for part = 1, 10 do
      for i = 1, 1000 do
        assert(conn:send(tostring(part * i), "text"))
      end
      for _ = 1, 1000 do
        local mask = raw:frame().mask
        if seen[mask] then repeats = repeats + 1 end
        if mask == "\0\0\0\0" then zeros = zeros + 1 end
        seen[mask] = true
        local bits = ("I4"):unpack(mask)
        for _ = 1, 32 do
          ones = ones + (bits & 1)
          bits = bits >> 1
        end
      end
    end
    assert.is_true(repeats <= 2, repeats)
    assert.is_true(zeros <= 1)
    -- 320,000 fair bits, give or take ten standard deviations
    assert.is_true(math.abs(ones - 160000) < 2900, ones)
  end)

  it("masks control frames too", function()
    local conn, raw = kit.connected()
    conn:ping "hello"
    local f = raw:frame()
    assert.same({ true, "hello" }, { f.masked, f.payload })
    raw:send(frame("ping", "?", { mask = false }))
    f = raw:frame()
    assert.same({ 10, true, "?" }, { f.opcode, f.masked, f.payload })
    conn:close(1000, "bye")
    f = raw:frame()
    assert.same({ 8, true, "bye" }, { f.opcode, f.masked, f.reason })
  end)

  it("masks a long message as one frame", function()
    local conn, raw = kit.connected { max_queued = false }
    for _, n in ipairs { 65536, 65537, 65539, 200001, 1 << 20 } do
      assert(conn:send(text_of(n, n)))
      expect(raw, 1, text_of(n, n))
    end
  end)
end)
