-- replay.lua: numbers, acknowledgements, what is sent again; and clock.lua.

local clock = require "evws.signalr.clock"
local replay = require "evws.signalr.replay"

local function keep(r, ...)
  for _, record in ipairs { ... } do r:keep(record) end
end

describe("replay", function()
  it("keeps what was sent until it is acknowledged", function()
    local r = replay.new()
    keep(r, "a", "bb", "ccc")
    assert.equal(6, r.bytes)
    assert.is_false(r:accept { type = 8, sequence = 2 })
    assert.equal(3, r.bytes)
    assert.equal(3, r:reconnect())
    assert.same({ "ccc" }, r:records())
    r:ack(3)
    assert.equal(0, r.bytes)
    assert.equal(4, r:reconnect())
    assert.same({}, r:records())
  end)

  it("takes each number once, whatever comes again", function()
    local r = replay.new()
    local function take() return r:accept { type = 1 } end
    assert.is_true(take())
    assert.is_true(take())
    r:reconnect()
    assert.is_false(take()) -- before the Sequence nothing counts
    assert.is_false(r:accept { type = 6 })
    assert.is_false(r:accept { type = 9, sequence = 1 })
    assert.is_false(take())
    assert.is_false(take())
    assert.is_true(take())
    assert.equal(3, r.latest)
  end)

  it("counts the types 1 to 5 and no others", function()
    local r = replay.new()
    for kind = 1, 5 do assert.is_true(r:accept { type = kind }) end
    for _, kind in ipairs { 6, 7, 10, 99, 0, -1 } do
      assert.is_true(r:accept { type = kind })
    end
    assert.equal(5, r.latest)
  end)

  it("is due to acknowledge what came since the last time", function()
    local r = replay.new()
    assert.is_nil(r:due_ack())
    r:accept { type = 1 }
    r:accept { type = 1 }
    assert.equal(2, r:due_ack())
    assert.is_nil(r:due_ack())
    r:accept { type = 6 }
    assert.is_nil(r:due_ack())
    r:reconnect()
    r:accept { type = 9, sequence = 2 }
    assert.is_false(r:accept { type = 1 })
    assert.equal(2, r:due_ack()) -- the client has not heard of it
    assert.is_true(r:accept { type = 1 })
    assert.equal(3, r:due_ack())
  end)

  it("SR-24 takes an Ack of what was not sent for the last", function()
    local r = replay.new()
    keep(r, "a", "b")
    r:ack(1000)
    assert.same({ 0, {}, 3 }, { r.bytes, r:records(), r:reconnect() })
    r:ack(-5)
    keep(r, "c")
    r:ack(0)
    assert.same({ "c" }, r:records())
  end)

  it("SR-24 refuses a Sequence beyond what comes next", function()
    local r = replay.new()
    r:accept { type = 1 }
    r:reconnect()
    assert.is_nil(r:accept { type = 9, sequence = 3 })
    r = replay.new()
    assert.is_nil(r:accept { type = 9, sequence = 0 })
    assert.is_false(r:accept { type = 9, sequence = 1 })
  end)
end)

describe("the clock", function()
  local function entry(log, answer)
    return { due = function(_, now)
      log[#log + 1] = now
      return answer
    end }
  end

  it("looks at who is due, once", function()
    local c, log = clock.new(), {}
    c:set(entry(log), 2)
    for _ = 1, 5 do c:tick() end
    assert.same({ 2 }, log)
  end)

  it("goes on for as long as it is told to", function()
    local c, log = clock.new(), {}
    c:set(entry(log, 3), 0.5)
    for _ = 1, 8 do c:tick() end
    assert.same({ 1, 4, 7 }, log)
  end)

  it("keeps the sooner of two times", function()
    local c, log = clock.new(), {}
    local e = entry(log)
    c:set(e, 5)
    c:set(e, 2)
    c:set(e, 4)
    for _ = 1, 8 do c:tick() end
    assert.same({ 2 }, log)
  end)

  it("forgets who is dropped", function()
    local c, log = clock.new(), {}
    local e = entry(log)
    c:set(e, 2)
    c:set(e, 1)
    c:drop(e)
    c:drop(e)
    assert.same({ { false }, { false } }, c.slots)
    c:tick()
    c:tick()
    assert.same({}, log)
    assert.is_nil(next(c.slots))
  end)
end)
