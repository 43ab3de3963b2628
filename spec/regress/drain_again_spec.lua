-- A message that did not fit, sent again when the queue has drained: where a
-- little always waits, below low_water, it would be refused for ever, and
-- whoever tries again in a loop would never let the loop go on.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

describe("what was refused", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  local function read_all(raw, n)
    local seen = {}
    for _ = 1, n do
      local f = raw:frame(20)
      seen[#seen + 1] = #f.payload
    end
    return seen
  end

  it("fits when its queue has drained, however long it is", function()
    local conn, raw = kit.pair({ max_queued = 100000 }, { rcvbuf = 4096 })
    local big = ("x"):rep(4 * 1024 * 1024) -- more than the kernel takes
    local tries, is_done = 0, false
    local function send(message)
      while not conn:send(message) do
        tries = tries + 1
        assert(tries < 100)
        assert(conn:drain())
      end
    end
    ws.spawn(function()
      for _ = 1, 3 do
        send(big)
        send "little"
      end
      is_done = true
    end)
    assert.same({ #big, 6, #big, 6, #big, 6 }, read_all(raw, 6))
    t.wait(function() return is_done end)
    raw:close()
  end)

  it("is heard of by on_drain when it fits", function()
    local drained = 0
    local conn, raw = kit.pair({ max_queued = 100000, low_water = 50000,
      on_drain = function() drained = drained + 1 end }, { rcvbuf = 4096 })
    conn:send(("x"):rep(4 * 1024 * 1024))
    assert.same({ nil, "queue full" }, { conn:send(("y"):rep(90000)) })
    read_all(raw, 1)
    t.wait(function() return drained == 1 end)
    assert.equal(0, conn.buffered)
    assert.is_true((conn:send(("y"):rep(90000))))
    assert.same({ 90000 }, read_all(raw, 1))
    raw:close()
  end)

  it("waits for low_water alone, where it fits then", function()
    local conn, raw = kit.pair({ max_queued = 1000000, low_water = 50000,
      high_water = 60000 }, { rcvbuf = 4096 })
    conn:send(("x"):rep(4 * 1024 * 1024))
    assert.same({ nil, "queue full" }, { conn:send "small" })
    local got
    ws.spawn(function()
      conn:drain()
      got = conn.buffered
    end)
    read_all(raw, 1)
    t.wait(function() return got end)
    assert.is_true(got <= 50000)
    raw:close()
  end)
end)
