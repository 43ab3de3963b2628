-- src/protocol/zmem.c: what zlib asks for stands in pages of its own, and what
-- goes beyond them where everything else does.

local zmem = require "evws_probe".memory.zmem

describe("zlib's memory", function()
  it("is in pages as far as they go", function()
    assert.equal(2, zmem(65536, { 30000, 30000 }))
    assert.equal(2, zmem(65536, { 30000, 30000, 30000 }))
    assert.equal(3, zmem(65536, { 30000, 65536, 30000, 1000 }))
    assert.equal(1, zmem(65536, { 65536, 1 }))
  end)

  it("is not where that is not worth it", function()
    assert.equal(0, zmem(0, { 1, 30000 }))
    assert.equal(0, zmem(4096, { 1, 4096 }))
  end)
end)
