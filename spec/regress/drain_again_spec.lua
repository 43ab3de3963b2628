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
    local piece, big = ("x"):rep(10000), ("y"):rep(200000)
    local n, tries, is_done = 0, 0, false
    repeat -- until the kernel takes no more, and a little waits
      assert(conn:send(piece))
      n = n + 1
      t.turn()
    until conn.buffered > 0
    assert.is_true(conn.buffered < ws.defaults.low_water)
    ws.spawn(function()
      while not conn:send(big) do
        tries = tries + 1
        assert(tries < 100, "the loop does not go on")
        assert(conn:drain())
      end
      is_done = true
    end)
    t.turn()
    for _ = 1, n do assert.equal(#piece, #raw:frame(20).payload) end
    assert.equal(#big, #raw:frame(20).payload)
    assert.is_true(is_done and tries >= 1)
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
