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
end)
