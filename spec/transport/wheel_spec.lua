-- The timing wheel and the timer heap (src/transport/wheel.c), against models
-- that do the same slowly.

local wheel = require "evws_probe".wheel
local buf = require "evws_probe".buf

local has_faults = buf.fail_at(0, false)
local random = math.random
local far = 0x3fffffff -- WS_TICKS_MAX
local wrap = 0xffffffff

-- Ticks from a to b, which are 32 bits wide.
local function distance(a, b)
  local d = (b - a) & wrap
  return d > 0x7fffffff and d - (wrap + 1) or d
end

-- A wheel beside its model: a table of deadlines, gone through each time.
local function new_pair(tick)
  local w, set = wheel.new(tick), {}
  local pair = { wheel = w, set = set, now = tick }

  function pair.put(i, delta)
    local at = (pair.now + delta) & wrap
    w:set(i, at)
    local d = math.min(math.max(delta, 1), far)
    set[i] = (pair.now + d) & wrap
  end

  function pair.clear(i)
    w:clear(i)
    set[i] = nil
  end

  function pair.check_next()
    local least
    for _, at in pairs(set) do
      local d = distance(pair.now, at)
      least = math.min(least or d, d)
    end
    local next = w:next()
    if not least then
      assert.equal(-1, next)
    elseif next < 1 or next > least then
      error(("next is %d with a deadline in %d"):format(next, least))
    end
    return least
  end

  function pair.advance(span)
    pair.now = (pair.now + span) & wrap
    local want = {}
    for i, at in pairs(set) do
      if distance(pair.now, at) <= 0 then want[#want + 1] = i end
    end
    for _, i in ipairs(want) do set[i] = nil end
    local got = w:advance(pair.now)
    table.sort(want)
    table.sort(got)
    assert.equal(table.concat(want, " "), table.concat(got, " "))
    assert.equal(pair.now, w:tick())
    return #got
  end

  return pair
end

-- Mostly near, sometimes far, seldom past or beyond the last level.
local function some_delta()
  local kind = random(20)
  if kind == 1 then return -random(0, 1000) end
  if kind == 2 then return far + random(0, 1000) end
  return random(0, (1 << random(0, 30)) - 1)
end

local function live(pair, steps, count)
  local due = 0
  for _ = 1, steps do
    local what = random(6)
    if what <= 3 then
      pair.put(random(count), some_delta())
    elseif what == 4 then
      pair.clear(random(count))
    else
      local span = (1 << random(0, 26)) - random(0, 1)
      if random(3) == 1 then span = pair.check_next() or span end
      due = due + pair.advance(math.max(span, 0))
    end
    pair.check_next()
  end
  return due
end

describe("a timing wheel", function()
  it("hands out each deadline when it is due, not before", function()
    local w = wheel.new(0)
    for i, tick in ipairs { 1, 63, 64, 65, 4095, 4096, 4097, 1 << 18,
      1 << 24, far } do
      w:set(i, tick)
      assert.same({}, w:advance(tick - 1))
      assert.same({ i }, w:advance(tick))
    end
    assert.equal(-1, w:next())
  end)

  it("is due at once for what is past, at the next advance", function()
    local w = wheel.new(1000)
    w:set(1, 1000)
    w:set(2, 5)
    w:set(3, 1001)
    assert.equal(1, w:next())
    assert.same({}, w:advance(1000))
    local due = w:advance(1001)
    table.sort(due)
    assert.same({ 1, 2, 3 }, due)
  end)

  it("brings a deadline beyond its span early", function()
    local w = wheel.new(0)
    w:set(1, 0x7fffffff)
    assert.same({}, w:advance(far - 1))
    assert.same({ 1 }, w:advance(far))
  end)

  it("moves a deadline that is set again", function()
    local w = wheel.new(0)
    w:set(1, 10)
    w:set(1, 5000)
    assert.same({}, w:advance(4999))
    w:set(1, 5001)
    w:set(1, 6000)
    assert.same({ 1 }, w:advance(6000))
  end)

  it("forgets a deadline that is cleared, twice too", function()
    local w = wheel.new(0)
    w:clear(1)
    for _, tick in ipairs { 3, 70, 5000, 1 << 20 } do
      w:set(1, tick)
      assert.is_true(w:next() > 0)
      w:clear(1)
      w:clear(1)
      assert.equal(-1, w:next())
    end
    assert.same({}, w:advance(1 << 21))
  end)

  it("forgets one that is due but was not handed out yet", function()
    local w = wheel.new(0)
    for i = 1, 3 do w:set(i, 9 + i) end
    assert.same({ 1, 3 }, w:advance(20, 2))
    assert.equal(-1, w:next())
  end)

  it("moves one that is due but was not handed out yet", function()
    local w = wheel.new(0)
    for i = 1, 3 do w:set(i, 9 + i) end
    assert.same({ 2, 3 }, w:advance(20, 1, 100))
    assert.is_true(w:next() <= 80)
    assert.same({ 1 }, w:advance(100))
  end)

  it("hands out deadlines in the order of their ticks", function()
    math.randomseed(7)
    local w = wheel.new(0)
    for i = 1, 200 do w:set(i, random(1, 60)) end
    local last = 0
    for _, i in ipairs(w:advance(100)) do
      assert.is_true(w:at(i) >= last)
      last = w:at(i)
    end
  end)

  it("says never too late when to come back", function()
    local w = wheel.new(12345)
    w:set(1, 12345 + 1000000)
    local turns = 0
    repeat
      local next = w:next()
      assert.is_true(next >= 1)
      turns = turns + 1
    until #w:advance(w:tick() + next) > 0
    assert.equal(12345 + 1000000, w:tick())
    assert.is_true(turns <= 5) -- once a level
  end)

  it("does what its model does", function()
    for seed = 1, 40 do
      math.randomseed(seed)
      live(new_pair(random(0, wrap)), 300, random(2, 200))
    end
  end)

  it("does so where the ticks wrap", function()
    local due = 0
    for seed = 1, 40 do
      math.randomseed(seed)
      local pair = new_pair((wrap - random(0, 1 << random(0, 27))) & wrap)
      due = due + live(pair, 300, 60)
    end
    assert.is_true(due > 1000)
  end)

  it("is empty for its model's last clear", function()
    math.randomseed(3)
    local pair = new_pair(0)
    for _ = 1, 20 do
      live(pair, 50, 100)
      for i = 1, 100 do pair.clear(i) end
      assert.equal(-1, pair.wheel:next())
    end
  end)
end)

describe("a timer heap", function()
  after_each(function() buf.fail_at(0, false) end)

  it("has the earliest first, whatever was done to it", function()
    math.randomseed(11)
    local h, set = wheel.heap(), {}
    for _ = 1, 5000 do
      local i = random(300)
      if random(3) == 1 then
        h:clear(i)
        set[i] = nil
      else
        set[i] = random(0, 1000)
        assert(h:set(i, set[i]))
      end
      local least
      for _, at in pairs(set) do least = math.min(least or at, at) end
      local first, at = h:first()
      if at ~= least or first and set[first] ~= at then
        error("the first is not the earliest")
      end
    end
  end)

  it("gives its timers back in order", function()
    math.randomseed(12)
    local h, last, n = wheel.heap(), -1, 0
    for i = 1, 1000 do h:set(i, random()) end
    for i, at in function() return h:first() end do
      assert.is_true(at >= last)
      last, n = at, n + 1
      h:clear(i)
      h:clear(i)
    end
    assert.equal(1000, n)
  end)

  it("leaves a timer as it was when there is no memory", function()
    if not has_faults then return pending("built without WS_FAULT") end
    local h = wheel.heap()
    buf.fail_at(1, true)
    assert.is_false(h:set(1, 5))
    assert.is_nil(h:first())
    buf.fail_at(0, false)
    assert.is_true(h:set(1, 5))
    buf.fail_at(1, true)
    assert.is_true(h:set(1, 3)) -- moving needs none
    local n = 1
    while h:set(n + 1, 9) do n = n + 1 end
    assert.same({ 1, 3 }, { h:first() })
    buf.fail_at(0, false)
    assert.is_true(h:set(n + 1, 1))
    assert.same({ n + 1, 1 }, { h:first() })
  end)
end)
