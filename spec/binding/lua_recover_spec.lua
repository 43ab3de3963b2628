-- No loss, no duplicate, no reordering: clients that are cut off at any moment
-- and come back with the position of the last message they have seen.

local t = require "spec.helper"
local ws = t.ws

describe("a client that comes back", function()
  after_each(t.cleanup)

  -- A server that stamps, and whose clients say in the path where they are.
  local function stamping(size)
    return t.listen { max_queued = false,
      history = { room = { size = size, ttl = 60,
        stamp = function(message, _, about)
          return about.offset .. " " .. about.epoch .. " " .. message
        end } },
      on_open = function(conn)
        local offset, epoch = conn.path:match "^/(%d+)/(%w+)$"
        local found = conn:subscribe("room", { recover = {
          offset = math.tointeger(tonumber(offset)), epoch = epoch } })
        if not found.recovered and offset then conn:send "lost" end
      end }
  end

  -- Reads n messages, checking each against the one before; the position.
  local function read(raw, n, at)
    for _ = 1, n do
      local offset, epoch, text =
        raw:frame().payload:match "^(%d+) (%w+) m(%d+)$"
      assert.equal(at.offset + 1, tonumber(offset))
      assert.equal(offset, text)
      assert.is_true(at.epoch == nil or at.epoch == epoch)
      at = { offset = at.offset + 1, epoch = epoch }
    end
    return at
  end

  it("has each message once, wherever it was cut off", function()
    local server = stamping(1000)
    local published = 0
    local function publish(n)
      for _ = 1, n do
        published = published + 1
        assert.equal(published,
          (server:publish("room", "m" .. published)))
      end
    end
    local raw, at = t.open(server), { offset = 0 }
    t.wait(function() return server:subscribers "room" == 1 end)
    for cut = 1, 40 do
      t.pump(function()
        publish(cut % 7)
        ws.sleep(0)
        publish(cut % 5)
      end)
      at = read(raw, math.min(published - at.offset, cut % 4), at)
      if cut % 3 == 0 then raw:close() else raw:reset() end
      publish(cut % 3)
      raw = t.open(server, { path = at.epoch
        and ("/%d/%s"):format(at.offset, at.epoch) or "/" })
      if not at.epoch then at.offset = published end
      publish(1)
    end
    at = read(raw, published - at.offset, at)
    assert.equal(published, at.offset)
    raw:expect_silence()
  end)

  it("is told where more was missed than is kept", function()
    local server = stamping(3)
    local _, epoch = server:publish("room", "m1")
    for i = 2, 5 do server:publish("room", "m" .. i) end
    t.open(server, { path = "/1/" .. epoch }):expect_frame("text", "lost")
    local raw = t.open(server, { path = "/2/" .. epoch })
    assert.equal(5, read(raw, 3, { offset = 2, epoch = epoch }).offset)
  end)

  it("is one of hundreds, each with its own place", function()
    local server = stamping(1000)
    local raws, places = {}, {}
    local _, epoch = server:publish("room", "m1")
    for i = 2, 200 do server:publish("room", "m" .. i) end
    for i = 1, 200 do
      raws[i] = t.open(server, { path = ("/%d/%s"):format(i, epoch) })
      places[i] = { offset = i, epoch = epoch }
    end
    for i = 201, 210 do server:publish("room", "m" .. i) end
    for i = 1, 200 do
      assert.equal(210, read(raws[i], 210 - i, places[i]).offset)
    end
  end)
end)
