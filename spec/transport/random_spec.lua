-- Random bytes in blocks (src/transport/random.c). The fake's count up, so
-- that a byte that is given out twice is seen.

local probe = require "evws_probe"

describe("random bytes", function()
  local loop

  before_each(function() loop = probe.loop.new() end)

  it("cost one call of the system for a block of 1 KiB", function()
    for i = 1, 256 do
      local _, calls, left = loop:random()
      assert.same({ 1, 1024 - 4 * i }, { calls, left })
    end
    assert.equal(2, (select(2, loop:random())))
  end)

  it("are never given out twice", function()
    local seen = {}
    for _ = 1, 5000 do
      local word = loop:random()
      assert.is_nil(seen[word])
      seen[word] = true
    end
  end)

  it("are never given out twice, whatever the size", function()
    local seen = {}
    for i = 1, 2000 do
      local bytes = loop:random(4 * (i % 17))
      for word in bytes:gmatch "...." do
        assert.is_nil(seen[word])
        seen[word] = true
      end
    end
  end)

  it("are wiped where they were used", function()
    for _ = 1, 300 do
      local _, _, _, used = loop:random()
      assert.is_nil(used:find "[^\0]")
    end
  end)

  it("fail when the system has none, and come when it has", function()
    for n = 1, 3 do
      local bytes, calls = loop:random(4, true)
      assert.same({ nil, n }, { bytes, calls })
    end
    assert.equal(4, #loop:random())
  end)

  it("of the block still come when the system has none", function()
    loop:random()
    assert.equal(4, #loop:random(4, true))
  end)

  it("of a forked child are none of its parent's", function()
    local real = probe.loop.new "ev"
    real:random()
    local child = real:random_in_child()
    local again = real:random_in_child()
    assert.not_equal(child, again)
    for _ = 1, 255 do
      local own = real:random()
      assert.not_equal(child, own)
      assert.not_equal(again, own)
    end
  end)
end)
