-- When there is room for a message again (src/engine/conn_send.c), to the byte,
-- on a simulated network that takes little at a time.

local sim = require "evws.sim"
local t = require "spec.helper"

local ws = t.ws
local url = "ws://localhost:5000/"

-- fn(conn) as a task: the server's connection.
local function with(fn, rate)
  sim.new { delay = 0 }:run(function(net)
    local conn
    local server = assert(ws.listen { port = 5000, max_queued = 2000,
      high_water = 1500, low_water = 1000,
      on_open = function(other) conn = other end })
    local peer = net:connect(url, { on_message = function() end },
      { buffer = 100, rate = rate or 1000 })
    while not conn do ws.sleep(0.01) end
    ws.sleep(1)
    local ok, why
    ws.spawn(function() ok, why = xpcall(fn, debug.traceback, conn) end)
    while ok == nil do ws.sleep(0.1) end
    assert(ok, why)
    peer:terminate()
    server:close { timeout = 0 }
  end)
end

local function x(n) return ("x"):rep(n) end

-- More waits than the network takes now.
local function begin(conn)
  assert(conn:send(x(300)))
  ws.sleep(0.001)
  while conn.buffered < 1500 do assert(conn:send(x(50))) end
end

local function fill(conn)
  begin(conn)
  assert(conn:send(x(2000 - conn.buffered)))
end

describe("a queue", function()
  it("takes what fits into it, and not a byte more", function()
    with(function(conn)
      begin(conn)
      local room = 2000 - conn.buffered
      assert.same({ nil, "queue full" }, { conn:send(x(room + 1)) })
      assert.is_true((conn:send(x(room))))
      assert.same({ nil, "queue full" }, { conn:send "" })
    end)
  end)

  it("behind a writer, too", function()
    with(function(conn)
      local writer = assert(conn:writer())
      writer:write "first"
      begin(conn)
      local before = conn.buffered
      assert(conn:send(x(50)))
      local head = conn.buffered - before - 50 -- of what waits
      assert.is_true(head >= 0)
      local room = 2000 - conn.buffered
      assert.same({ nil, "queue full" }, { conn:send(x(room + 1)) })
      assert.is_true((conn:send(x(room))))
      assert.is_true(conn.buffered <= 2000 + head)
      assert.same({ nil, "queue full" }, { conn:send(x(1)) })
    end)
  end)

  it("has the room of what has grown old by then", function()
    -- What is returned for n bytes more, and what waits behind that.
    local function try(n)
      local result
      with(function(conn)
        begin(conn)
        assert(conn:send(x(300), "text", { ttl = 5 }))
        ws.sleep(6)
        result = { conn:send(x(n)) }
        result[3] = conn.buffered
      end, 1)
      return result
    end
    local full = try(2000)
    assert.same({ nil, "queue full" }, { full[1], full[2] })
    local room = 2000 - full[3]
    assert.is_true(room > 300, room)
    assert.is_true(try(room)[1])
    assert.same({ nil, "queue full", full[3] }, try(room + 1))
  end)

  it("that has refused one is drained to where that one fits", function()
    with(function(conn)
      for _, n in ipairs { 1, 500, 1000 } do
        fill(conn)
        assert.same({ nil, "queue full" }, { conn:send(x(n)) }, n)
        assert.is_true(conn:drain(60))
        assert.is_true(conn.buffered > 500 and conn.buffered <= 1000, n)
        assert.is_true((conn:send(x(n))))
        assert.is_true(conn:drain(60))
      end
      for _, n in ipairs { 1001, 1500, 2000, 9000 } do
        fill(conn)
        assert.same({ nil, "queue full" }, { conn:send(x(n)) })
        assert.is_true(conn:drain(60))
        assert.equal(0, conn.buffered)
        assert.is_true((conn:send(x(n))))
        assert.is_true(conn:drain(60))
      end
    end)
  end)
end)
