-- What an application does not take: receive_queue, and how the peer feels
-- it; what a peer does not take: who waits in drain.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

local function text(...)
  local frames = {}
  for i, message in ipairs { ... } do frames[i] = t.frame("text", message) end
  return table.concat(frames)
end

-- A connection that is pulled from the start.
local function pulled(options)
  options.on_open = function(conn) conn:messages() end
  return kit.pair(options)
end

describe("a full receive_queue", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  -- Frames of 64 KiB, until the kernel takes no more of them.
  local function fill(raw, n)
    for i = 1, n do
      raw:send(t.frame("binary", ("%8d"):format(i) .. ("x"):rep(65528)))
    end
    local left
    repeat
      left = #raw.queue
      for _ = 1, 20 do t.turn(0) end
    until #raw.queue == left
  end

  it("pauses reading, so that the peer feels it; nothing lost", function()
    local conn, raw = pulled { receive_queue = 1000 }
    fill(raw, 300)
    assert.is_true(#raw.queue > 20)
    for i = 1, 300 do
      local message = assert(conn:receive(t.limit))
      assert.equal(i, tonumber(message:sub(1, 8)))
      assert.equal(65536, #message)
      t.turn(0)
    end
    assert.equal(0, #raw.queue)
  end)

  it("pauses while a handler waits, too", function()
    local go, n = false, 0
    local _, raw = kit.pair { receive_queue = 1000,
      on_message = function(_, message)
        while not go do ws.sleep(0) end
        n = n + 1
        assert(tonumber(message:sub(1, 8)) == n)
      end }
    fill(raw, 300)
    assert.is_true(#raw.queue > 20)
    go = true
    t.wait(function() return n == 300 end)
  end)

  it("holds at least one message, however small it is", function()
    local conn, raw = pulled { receive_queue = 1 }
    raw:send(text(("x"):rep(5000), "y"))
    assert.equal(5000, #conn:receive(t.limit))
    assert.equal("y", conn:receive(t.limit))
  end)

  it("keeps thousands of tiny ones in order", function()
    local conn, raw = pulled {}
    for i = 1, 3000 do raw:send(text(tostring(i))) end
    for _ = 1, 10 do t.turn() end
    for i = 1, 3000 do
      assert.equal(tostring(i), conn:receive(t.limit))
    end
  end)
end)

describe("two tasks in drain", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  -- The first is woken when all has left, and fills the queue again: what do
  -- both of them get? limit: of the second one, which is told too early.
  local function drained(limit)
    local conn, raw = kit.pair({ low_water = 0 }, { rcvbuf = 1 << 16 })
    local function fill() conn:send(("x"):rep(8 << 20)) end
    local first, second
    fill()
    ws.spawn(function()
      first = table.pack(conn:drain())
      fill()
    end)
    ws.spawn(function()
      second = table.pack(conn:drain(limit))
    end)
    t.turn()
    assert.is_nil(first)
    t.wait(function()
      raw.socket:recv()
      return first
    end, "the first of them")
    assert.same({ true, n = 1 }, first)
    for _ = 1, 5 do t.turn() end
    if not limit then assert.is_nil(second) end
    return conn, raw, function() return second end
  end

  it("without a limit both wait for what is sent meanwhile, too", function()
    local conn, raw, second = drained()
    t.wait(function()
      raw.socket:recv()
      return second()
    end, "the second of them")
    assert.same({ true, n = 1 }, second())
    assert.equal(0, conn.buffered)
  end)

  it("with a limit the second has what is left of it", function()
    local from = ws.now()
    local conn, _, second = drained(0.5 * t.factor)
    t.wait(second)
    assert.same({ nil, "timeout", n = 2 }, second())
    assert.is_true(conn.buffered > 0)
    assert.is_true(ws.now() - from >= 0.5 * t.factor)
  end)
end)
