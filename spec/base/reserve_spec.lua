-- Memory for bad times (src/base/reserve.c).

local probe = require "evws_probe"

local reserve, buf = probe.reserve, probe.buf

describe("a reserve", function()
  -- No machine has it; the sanitizers take the question for an error.
  local huge = not os.getenv "ASAN_OPTIONS" and 1 << 62

  after_each(function() buf.fail_at(0, false) end)

  it("is had, or not, and then everything is as before", function()
    local before = probe.queue.used()
    assert.is_true(reserve.grow(100000))
    if huge then assert.is_false(reserve.grow(huge)) end
    assert.is_true(reserve.grow(1))
    assert.is_true(reserve.alloc(5000))
    reserve.shrink(100001)
    assert.equal(before, probe.queue.used()) -- it is not counted
  end)

  it("is of no use for more than there is", function()
    assert.is_true(reserve.grow(4096))
    if huge then assert.is_false(reserve.alloc(huge)) end
    assert.is_true(reserve.grow(4096))
    reserve.shrink(8192)
  end)

  it("gives what is asked for when nobody else does", function()
    if not buf.fail_at(0, false) then
      return pending "built without WS_FAULT"
    end
    assert.is_true(reserve.grow(4096))
    assert.is_true(reserve.grow(0)) -- it is there
    for _ = 1, 3 do
      assert.is_true(reserve.alloc(1000, true))
      assert.is_true(reserve.alloc(1000, true, true))
    end
    reserve.shrink(4096)
  end)

  it("has to be whole again before it grows", function()
    if not buf.fail_at(0, false) then
      return pending "built without WS_FAULT"
    end
    assert.is_true(reserve.grow(4096))
    reserve.alloc(4000, true, true) -- given up, and not got back
    buf.fail_at(1, false)
    assert.is_true(reserve.grow(0)) -- the second attempt is without it
    reserve.alloc(4000, true, true)
    buf.fail_at(1, true)
    assert.is_false(reserve.grow(16))
    buf.fail_at(0, false)
    assert.is_true(reserve.grow(16))
    buf.fail_at(1, true)
    assert.is_false(reserve.grow(16))
    buf.fail_at(0, false)
    reserve.shrink(4096 + 16)
  end)
end)
