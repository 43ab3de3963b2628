-- docs/guides/reconnect.md: a client that comes back. The connection is cut by
-- a bridge (docs/guides/backpressure.md) that is killed.

local t = require "spec.helper"
local children = require "spec.binding.kit"
local guide = require "spec.guides.kit"

describe("the guide to reconnecting", function()
  after_each(guide.cleanup)

  -- The marks of the lines that it has printed: "start-n".
  local function marks_of(child)
    local marks = {}
    for mark in child:output():gmatch "([%d.]+%-%d+) [^\n]+\n" do
      marks[#marks + 1] = mark
    end
    return marks
  end

  local function wait_for_lines(child, n)
    local before = #marks_of(child)
    t.wait(function() return #marks_of(child) >= before + n end, "lines")
  end

  local function watch(directory, port)
    return children.start(("%s/watch.lua ws://localhost:%d/feed"):format(
      directory, port))
  end

  it("misses nothing and hears nothing twice, when the way is cut", function()
    local directory = guide.write "reconnect"
    local bridges = guide.write "backpressure"
    local feed = guide.start(directory, "feed.lua", 0)
    local url = ("ws://localhost:%d/feed"):format(feed.port)
    local bridge = guide.start(bridges, "bridge.lua", url, 0)
    local whole = watch(directory, feed.port)
    wait_for_lines(whole, 1)
    local cut = watch(directory, bridge.port)
    for round = 1, 3 do
      wait_for_lines(cut, 5)
      bridge:signal "KILL"
      t.wait(function()
        return select(2, cut:errors():gsub("lost: 1006", "")) >= round
      end, "the loss")
      bridge = guide.start(bridges, "bridge.lua", url, bridge.port)
      wait_for_lines(cut, 5)
    end
    local marks, all, expected = marks_of(cut), nil, {}
    t.wait(function()
      all = marks_of(whole)
      return #all >= #marks
    end, "the whole feed")
    for i = 1, #marks do expected[i] = all[i] end
    assert.same(expected, marks)
  end)

  it("goes on with a server that was started anew", function()
    local directory = guide.write "reconnect"
    local feed = guide.start(directory, "feed.lua", 0)
    local port = feed.port
    local child = watch(directory, port)
    wait_for_lines(child, 3)
    feed:signal "TERM"
    assert.equal(0, feed:ended())
    t.wait(function() return child:errors():find "lost: 1001" end, "the loss")
    local before = #marks_of(child)
    guide.start(directory, "feed.lua", port)
    wait_for_lines(child, 3)
    local marks = marks_of(child)
    local start = marks[before + 1]:match "^[%d.]+"
    assert.not_equal(start, marks[before]:match "^[%d.]+")
    for i = before + 1, #marks do
      assert.equal(("%s-%d"):format(start, i - before), marks[i])
    end
  end)

  it("tells who asks for nothing", function()
    local feed = guide.start(guide.write "reconnect", "feed.lua", 0)
    for _, message in ipairs { "since", "from 1", "" } do
      local conn = assert(guide.connect(feed, "/feed"))
      conn:send(message)
      guide.expect_close(conn, 1008)
    end
  end)
end)
