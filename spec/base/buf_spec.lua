-- Growable bytes (src/base/buf.c) and the allocator under them.
local buf = require "evws_probe".buf

local has_faults = buf.fail_at(0, false)

local function shape(b)
  local off, len, cap, room = b:shape()
  return { off = off, len = len, cap = cap, room = room }
end

describe("buf", function()
  after_each(function() buf.fail_at(0, false) end)

  it("is empty when zeroed", function()
    local b = buf.new()
    assert.are.equal("", b:bytes())
    assert.are.same({ off = 0, len = 0, cap = 0, room = 0 }, shape(b))
    assert.is_true(b:reserve(0))
    assert.is_true(b:append(""))
    b:consume(0)
    b:free()
    assert.are.same({ off = 0, len = 0, cap = 0, room = 0 }, shape(b))
  end)

  it("keeps what was appended, in order", function()
    local b, want = buf.new(), {}
    for i = 1, 1000 do
      want[i] = ("%d,"):format(i)
      assert.is_true(b:append(want[i]))
    end
    assert.are.equal(table.concat(want), b:bytes())
  end)

  it("at least doubles when it grows", function()
    local b = buf.new()
    local cap, growths = 0, 0
    for _ = 1, 100000 do
      assert(b:append("x"))
      local now = shape(b).cap
      if now ~= cap then
        assert.is_true(now >= 2 * cap)
        cap, growths = now, growths + 1
      end
    end
    assert.is_true(growths <= 17)
  end)

  it("takes what is needed where doubling is not enough", function()
    local b = buf.new()
    b:append("abc")
    assert.is_true(b:reserve(100000))
    assert.are.equal(100003, shape(b).cap)
    assert.are.equal("abc", b:bytes())
  end)

  it("drops consumed bytes and keeps the memory", function()
    local b = buf.new()
    b:append(("x"):rep(60) .. "tail")
    local cap = shape(b).cap
    b:consume(60)
    assert.are.equal("tail", b:bytes())
    assert.are.equal(60, shape(b).off)
    b:consume(4)
    assert.are.same({ off = 0, len = 0, cap = cap, room = cap }, shape(b))
  end)

  it("moves the bytes to the front before it grows", function()
    local b = buf.new()
    b:write(("x"):rep(90) .. "0123456789")
    b:consume(90)
    assert.are.equal(0, shape(b).room)
    assert.is_true(b:reserve(90))
    assert.are.same({ off = 0, len = 10, cap = 100, room = 90 }, shape(b))
    assert.are.equal("0123456789", b:bytes())
  end)

  it("does not move a full buffer for each few bytes consumed", function()
    local b = buf.new()
    b:write(("x"):rep(1000))
    b:consume(1)
    b:append("y")
    assert.is_true(shape(b).cap >= 2000)
    assert.are.equal(("x"):rep(999) .. "y", b:bytes())
  end)

  it("stays within a few times of what passes through it", function()
    local b = buf.new()
    b:append(("x"):rep(1000))
    for _ = 1, 10000 do
      b:consume(7)
      b:append("1234567")
    end
    assert.is_true(shape(b).cap <= 4000)
    assert.are.equal(1000, #b:bytes())
  end)

  it("reserves exactly when asked to", function()
    local b = buf.new()
    assert.is_true(b:write("hello"))
    assert.are.equal(5, shape(b).cap)
    assert.is_true(b:reserve_exact(1000))
    assert.are.equal(1005, shape(b).cap)
    assert.is_true(b:reserve_exact(1000))
    assert.are.equal(1005, shape(b).cap)
    assert.are.equal("hello", b:bytes())
  end)

  it("reserves exactly with consumed bytes in front", function()
    local b = buf.new()
    b:write("0123456789")
    b:consume(1)
    assert.is_true(b:reserve_exact(1)) -- fits once it is moved
    assert.are.same({ off = 0, len = 9, cap = 10, room = 1 }, shape(b))
    b:consume(1)
    assert.is_true(b:reserve_exact(12))
    assert.are.same({ off = 0, len = 8, cap = 20, room = 12 }, shape(b))
    assert.are.equal("23456789", b:bytes())
  end)

  it("is usable again after it was freed", function()
    local b = buf.new()
    b:append("abc")
    b:free()
    b:free()
    assert.are.same({ off = 0, len = 0, cap = 0, room = 0 }, shape(b))
    b:append("def")
    assert.are.equal("def", b:bytes())
  end)

  it("refuses a size that overflows", function()
    local b = buf.new()
    b:append("abc")
    local before = shape(b)
    for _, n in ipairs { -1, -2, -3 } do -- SIZE_MAX and the two below it
      assert.is_false(b:reserve(n))
      assert.is_false(b:reserve_exact(n))
    end
    assert.are.same(before, shape(b))
    assert.are.equal("abc", b:bytes())
  end)
end)

describe("the allocator", function()
  after_each(function() buf.fail_at(0, false) end)

  it("gives zeros when asked to", function()
    for _, n in ipairs { 1, 7, 64, 5000 } do
      assert.are.equal(("\0"):rep(n), buf.zero(n))
    end
  end)

  it("keeps the bytes when it resizes", function()
    assert.are.equal("hello", buf.resize("hello", 5000))
    assert.are.equal("he", buf.resize("hello", 2))
    if os.getenv "ASAN_OPTIONS" then return end -- it takes that for an error
    local before = buf.used and buf.used()
    assert.is_nil((buf.resize("hello", 1 << 62))) -- no machine has it
    assert.equal(before, buf.used and buf.used())
  end)

  it("has no fault left over when none is set", function()
    assert.are.equal("\0", buf.zero(1))
  end)

  it("takes back what a pool has lent, also when that has gone", function()
    assert.same({ 0, 0 }, { buf.lend(0, 1, 0) })
    for late = 0, 3 do
      assert.same({ (3 - late) * 100000, 0 }, { buf.lend(3, 100000, late) })
    end
    assert.same({ 0, 0 }, { buf.lend(3, 100, 0) }) -- not worth it
    assert.same({ 0, 0 }, { buf.lend(3, 3 << 20, 3) })
    assert.same({ 3 << 20, 0 }, { buf.lend(3, 3 << 20, 1) }) -- a limit
    if not has_faults then return end
    buf.fail_at(2, false)
    assert.same({}, { buf.lend(3, 100000, 0) })
  end)

  it("fails the n-th allocation and no other", function()
    if not has_faults then return pending("built without WS_FAULT") end
    buf.fail_at(3, false)
    assert.are.equal("\0", buf.zero(1))
    assert.are.equal("\0", buf.zero(1))
    assert.is_nil(buf.zero(1))
    assert.are.equal("\0", buf.zero(1))
  end)

  it("fails all later ones too when told so", function()
    if not has_faults then return pending("built without WS_FAULT") end
    buf.fail_at(2, true)
    assert.are.equal("\0", buf.zero(1))
    for _ = 1, 5 do assert.is_nil(buf.zero(1)) end
    buf.fail_at(0, true)
    assert.are.equal("\0", buf.zero(1))
  end)

  it("leaves a buffer as it was when it fails", function()
    if not has_faults then return pending("built without WS_FAULT") end
    for consumed = 0, 5, 5 do
      local b = buf.new()
      b:write("0123456789")
      b:consume(consumed)
      local before, bytes = shape(b), b:bytes()
      buf.fail_at(1, true)
      assert.is_false(b:reserve(1000))
      assert.is_false(b:reserve_exact(1000))
      assert.is_false(b:append(("x"):rep(1000)))
      assert.are.same(before, shape(b))
      assert.are.equal(bytes, b:bytes())
      buf.fail_at(0, false)
      assert.is_true(b:append("ab"))
      assert.are.equal(bytes .. "ab", b:bytes())
    end
  end)
end)
