-- Back-pressure over TLS: what the kernel refuses is kept, counted and sent
-- later, byte for byte, and nothing is encrypted far ahead of it.

local t = require "spec.helper"
local tls = require "spec.helper.tls"
local kit = require "spec.engine.kit"

local frame = t.frame
local size, in_flight, n_clients = 64 * 1024, 16, 12
local rounds = os.getenv "ASAN_OPTIONS" and 20 or 48

-- Each message of each client is another one.
local function payload(client, i)
  local line = ("client %d, message %d: "):format(client, i)
  return line:rep(size // #line + 1):sub(1, size)
end

describe("back-pressure over TLS", function()
  after_each(t.cleanup)

  it("loses and mixes up nothing, whoever reads slowly", function()
    local server = kit.serve(tls.options { on_message =
      function(conn, message, kind) assert(conn:send(message, kind)) end })
    local clients = {}
    for c = 1, n_clients do
      local slow = c % 3
      clients[c] = { sent = 0, got = 0, slow = slow,
        raw = tls.open(server, { rcvbuf = slow > 0 and 32768 or nil }) }
    end
    local left = n_clients
    t.wait(function()
      for c, client in ipairs(clients) do
        while client.sent < rounds and client.sent - client.got < in_flight do
          client.sent = client.sent + 1
          client.raw:send(frame("binary", payload(c, client.sent)))
        end
        if client.got < rounds and math.random(0, client.slow * 2) == 0 then
          client.got = client.got + 1
          client.raw:expect_frame("binary", payload(c, client.got))
          if client.got == rounds then left = left - 1 end
        end
      end
      return left == 0
    end, "all echoes", 60)
  end)

  it("counts what waits, and drains it", function()
    local conn, high
    local server, log = kit.serve(tls.options { on_message = false,
      high_water = 65536, max_queued = 4 << 20,
      on_open = function(c) conn = c end,
      on_drain = function() high = true end })
    local c = tls.open(server, { rcvbuf = 32768 })
    local n, message = 0, ("m"):rep(100000)
    while conn:send(message) do n = n + 1 end
    assert.is_true(n * #message > 4 << 20)
    assert.is_true(conn.buffered > (4 << 20) - 2 * #message)
    local said = select(2, conn:send(message))
    assert.equal("queue full", said)
    for _ = 1, n do c:expect_frame("text", message) end
    t.wait(function() return conn.buffered == 0 and high end)
    c:finish()
    assert.equal(1000, (kit.closed(log)))
  end)

  it("encrypts one batch ahead of the kernel at most", function()
    local conn
    local server = kit.serve(tls.options { on_message = false,
      max_queued = false, on_open = function(c) conn = c end })
    local c = tls.open(server, { rcvbuf = 32768, tls = { min = "1.3" } })
    local bytes = 8 << 20
    conn:send(("m"):rep(bytes), "binary")
    local left = conn.buffered
    assert.is_true(left > 0 and left < bytes)
    -- records add 22 bytes to each 16384: were all of it encrypted, what is
    -- left would be more than what has not left
    local taken = 0
    t.wait(function()
      local more = c.tcp:recv()
      if more then taken = taken + #more end
      return conn.buffered == 0
    end, "the queue to drain", 20)
    t.wait(function()
      local more = c.tcp:recv()
      if more then taken = taken + #more end
      return taken >= bytes + bytes // 16384 * 22
    end)
    assert.is_true(taken < bytes + bytes // 16384 * 22 + 4096)
  end)

  it("closes after what waits, over a slow line", function()
    local server, log = kit.serve(tls.options { on_message = false,
      on_open = function(conn)
        conn:send(("m"):rep(6 << 20), "binary")
        conn:close(4000, "bye")
      end })
    local c = tls.open(server, { rcvbuf = 32768 })
    c:expect_frame("binary", ("m"):rep(6 << 20))
    local code, reason = c:expect_close(4000)
    assert.same({ 4000, "bye" }, { code, reason })
    c:send(frame("close", (">I2"):pack(4000)))
    c:expect_eof()
    assert.equal(4000, (kit.closed(log)))
  end)

  -- RFC 8446 4.6.3, 4.6.1: messages of the handshake's kind, of which a peer
  -- may put each byte into a record of its own. Nothing can be encrypted
  -- between the first and the last.
  local key_update = "\24\0\0\1\0"
  local ticket = (">Bs3"):pack(4, (">I4I4s1s2I2"):pack(3600, 1, "n",
    "a ticket, really", 0))

  local function pieces(text, cut)
    if cut == 0 then
      local list = {}
      for i = 1, #text do list[i] = text:sub(i, i) end
      return list
    end
    return { text:sub(1, cut), text:sub(cut + 1) }
  end

  -- Sends the message in pieces; write() is called before the last one. The
  -- peer sends nothing else.
  local function send_split(c, text, cut, write)
    local records = table.pack(c.tls:split(table.unpack(pieces(text, cut))))
    for i = 1, records.n - 1 do c.tcp:send(records[i]) end
    kit.during(0.02) -- they are read
    write()
    kit.during(0.02)
    if cut == 0 or cut >= 4 then -- OpenSSL knows by now what it is
      assert.same({ nil, "again" }, { c.tcp:recv(1) })
    end
    c.tcp:send(records[records.n])
  end

  local writes = {
    ["one message"] = function(conn) return conn:send "held" end,
    ["a long one"] = function(conn) return conn:send(("h"):rep(300000)) end,
    ["many"] = function(conn)
      for _ = 1, 100 do conn:send "held" end
      return true
    end,
    ["a ping"] = function(conn) return conn:ping "held" end,
    ["a close"] = function(conn)
      conn:close(1000, "held")
      return true
    end,
  }

  for what, write in pairs(writes) do
    it("sends " .. what .. " that came in the middle of a KeyUpdate",
      function()
        for cut = 0, 4 do
          local server, log = kit.serve(tls.options())
          local c = tls.open(server, { tls = { min = "1.3", split = true } })
          t.wait(function() return #log.conns == 1 end)
          send_split(c, key_update, cut, function()
            assert.is_truthy(write(log.conns[1]))
          end)
          local f = c:frame()
          assert.equal(what == "a close" and 8 or what == "a ping" and 9 or 1,
            f and f.opcode)
          t.cleanup()
        end
      end)
  end

  it("sends what came in the middle of a ticket", function()
    for cut = 0, #ticket - 1, 7 do
      local listener <close> = assert(t.probe.listen "127.0.0.1")
      local conn = assert(t.ws.connect("wss://127.0.0.1:" .. listener.port, {
        tls = { ca = tls.file "ca.pem" }, on_open = function() end }))
      local c = tls.wrap(t.wait(function() return (listener:accept()) end), {
        server = true, split = true, certificate = tls.file "localhost.pem",
        key = tls.file "localhost.key" }, "client")
      assert.is_true(tls.shake(c))
      kit.answer(c)
      t.wait(function() return conn.state == "open" end)
      send_split(c, ticket, cut, function() assert(conn:send "held") end)
      assert.equal("held", c:frame().payload)
      t.cleanup()
    end
  end)

  it("goes on with what is published meanwhile", function()
    local server, log = kit.serve(tls.options())
    local c = tls.open(server, { tls = { min = "1.3", split = true } })
    t.wait(function() return #log.conns == 1 end)
    log.conns[1]:subscribe "news"
    send_split(c, key_update, 4, function()
      for i = 1, 300 do server:publish("news", ("n%d"):format(i)) end
    end)
    for i = 1, 300 do c:expect_frame("text", ("n%d"):format(i)) end
  end)

  it("ends who never ends the message, and waits without a turn", function()
    local server, log = kit.serve(tls.options { stall_timeout = 0.3,
      keepalive_interval = false, keepalive_timeout = false })
    local c = tls.open(server, { tls = { min = "1.3", split = true } })
    t.wait(function() return #log.conns == 1 end)
    c.tcp:send((c.tls:split(key_update:sub(1, 4))))
    kit.during(0.02)
    local turns, from = 0, t.probe.now()
    assert(log.conns[1]:send "held")
    while #log.closed == 0 do
      t.ws.step(1)
      turns = turns + 1
    end
    assert.is_true(turns < 30)
    assert.is_true(t.probe.now() - from > 0.25)
    assert.same({ 1006, "write stalled" }, { kit.closed(log) })
  end)

  it("holds nothing against who has nothing to wait for", function()
    local server, log = kit.serve(tls.options { stall_timeout = 0.1 })
    local c = tls.open(server, { tls = { min = "1.3", split = true } })
    t.wait(function() return #log.conns == 1 end)
    c.tcp:send((c.tls:split(key_update:sub(1, 4))))
    kit.during(0.4)
    assert.equal("open", log.conns[1].state)
  end)
end)
