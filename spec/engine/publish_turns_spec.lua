-- What is published to many leaves in several turns: others are served in
-- between. Turns are counted, and what each of them has sent.

local t = require "spec.helper"

local MANY, SIZE = 200, 64 * 1024
local IN_A_PHASE = 33 -- 2 MiB of such messages; a turn has two phases

describe("what many get", function()
  after_each(t.cleanup)

  local server, conns, raws, published

  local function crowd(times)
    conns, raws, published = {}, {}, nil
    server = t.listen { max_connections = false,
      on_open = function(conn)
        if conn.path == "/member" then
          conns[#conns + 1] = conn
          conn:subscribe "all"
        end
      end,
      on_message = function(conn, message)
        if message ~= "publish" then return conn:send(message) end
        for i = 1, times do
          published = server:publish("all", i .. ("m"):rep(SIZE - 1))
        end
      end }
    for i = 1, MANY do raws[i] = t.open(server, { path = "/member" }) end
  end

  local function waiting()
    local n = 0
    for _, conn in ipairs(conns) do
      if conn.buffered > 0 then n = n + 1 end
    end
    return n
  end

  local function publish(raw)
    raw:send(t.frame("text", "publish"))
    local last = t.deadline(20)
    while not published do
      t.turn(1)
      assert(t.probe.now() < last, "nothing is published")
    end
    assert.equal(MANY, published)
  end

  it("waits for the turn of each, and is what it is", function()
    crowd(1)
    local other, answers, turns = t.open(server), 0, 0
    publish(other)
    local left = waiting()
    assert.is_true(left >= MANY - 2 * IN_A_PHASE, left)
    other:send(t.frame("text", "ask"))
    local last = t.deadline(20)
    while left > 0 do
      assert(t.probe.now() < last, "they wait in vain")
      t.turn(1)
      turns = turns + 1
      local now = waiting()
      assert.is_true(left - now <= 2 * IN_A_PHASE, left - now)
      left = now
      if other.socket:recv() then
        answers = answers + 1
        other:send(t.frame("text", "ask"))
      end
    end
    assert.is_true(turns >= 2, turns)
    assert.is_true(answers >= 1, answers)
    for _, raw in ipairs(raws) do
      raw:expect_frame("text", "1" .. ("m"):rep(SIZE - 1))
      raw:expect_silence()
    end
  end)

  it("comes in its order, with what is sent to one of them behind it",
    function()
      crowd(3)
      publish(t.open(server))
      assert.is_true(waiting() > 0)
      for i, conn in ipairs(conns) do assert.is_true(conn:send("own " .. i)) end
      for i, raw in ipairs(raws) do
        for k = 1, 3 do
          raw:expect_frame("text", k .. ("m"):rep(SIZE - 1))
        end
        raw:expect_frame("text", "own " .. i)
      end
    end)

  it("goes with who ends before its turn, and is nobody else's loss",
    function()
      crowd(1)
      publish(t.open(server))
      assert.is_true(waiting() > 0)
      for i = 2, MANY, 2 do conns[i]:terminate() end
      for i = 1, MANY, 2 do
        raws[i]:expect_frame("text", "1" .. ("m"):rep(SIZE - 1))
      end
      t.wait(function() return server.connections == MANY // 2 + 1 end)
    end)
end)
