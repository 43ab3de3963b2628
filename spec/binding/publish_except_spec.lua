-- server:publish to all but some.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local frame = t.frame

describe("publish with except", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  -- n clients of a server that have subscribed to "a"; they pull.
  local function audience(n, options)
    local own, conns, raws = {}, {}, {}
    for name, value in pairs(options or {}) do own[name] = value end
    function own.on_open(conn)
      conns[#conns + 1] = conn
      conn:subscribe "a"
    end
    local server = t.listen(own)
    for i = 1, n do
      raws[i] = t.open(server)
      t.wait(function() return conns[i] end)
    end
    return server, conns, raws
  end

  local function expect(raws, text, who)
    for i, raw in ipairs(raws) do
      if who[i] then
        raw:expect_frame("text", text)
      else
        raw:send(frame("ping", "?")):expect_frame("pong", "?")
      end
    end
  end

  it("leaves out one, some, all, and none", function()
    local server, conns, raws = audience(4)
    for _, case in ipairs {
      { {}, { true, true, true, true } },
      { { 2 }, { true, false, true, true } },
      { { 4, 1 }, { false, true, true, false } },
      { { 3, 3, 3 }, { true, true, false, true } },
      { { 2, 2, 1, 4, 1 }, { false, false, true, false } },
      { { 4, 3, 2, 1 }, {} } } do
      local except, count = {}, 0
      for i, n in ipairs(case[1]) do except[i] = conns[n] end
      for i = 1, 4 do count = count + (case[2][i] and 1 or 0) end
      assert.equal(count, server:publish("a", "to " .. count, "text",
        { except = except }))
      expect(raws, "to " .. count, case[2])
    end
    assert.equal(4, server:publish("a", "x", "text", {}))
    assert.equal(4, server:publish("a", "y", "text", nil))
  end)

  it("does not mind who has not subscribed, is closed, or another server's",
    function()
      local server, conns, raws = audience(2)
      local _, others = audience(1)
      conns[1]:unsubscribe "a"
      raws[1]:finish()
      t.wait(function() return conns[1].state == "closed" end)
      assert.equal(1, server:publish("a", "hi", "text",
        { except = { conns[1], others[1], conns[1] } }))
      raws[2]:expect_frame("text", "hi")
      assert.equal(0, server:publish("b", "hi", "text",
        { except = { conns[1], conns[2] } }))
    end)

  it("keeps the order of what is published in a turn", function()
    local server, conns, raws = audience(3)
    t.pump(function()
      for i = 1, 30 do
        server:publish("a", tostring(i), "text",
          { except = { conns[i % 3 + 1], conns[(i + 1) % 3 + 1] } })
      end
    end)
    for i = 1, 30 do
      raws[(i + 2) % 3 + 1]:expect_frame("text", tostring(i))
    end
  end)

  it("holds for those that are slow as well", function()
    local server, conns, raws = audience(3, { max_queued = 1 << 24 })
    local big = ("x"):rep(1 << 20)
    for _ = 1, 8 do conns[1]:send(big) end
    assert.equal(1, server:publish("a", "not one", "text",
      { except = { conns[1], conns[3] } }))
    assert.equal(2, server:publish("a", "one", "text",
      { except = { conns[2] } }))
    for _ = 1, 8 do raws[1]:expect_frame("text", big, 20) end
    raws[1]:expect_frame("text", "one")
    raws[2]:expect_frame("text", "not one")
    raws[3]:expect_frame("text", "one")
  end)

  it("takes a list of connections, and nothing else", function()
    local server = audience(1)
    for text, options in pairs {
      ["bad option 'except' (a list of connections expected)"] =
        { except = 1 },
      ["bad option 'except' (entry 1 is no connection)"] =
        { except = { server } },
      ["unknown option 'exept' for 'publish'"] = { exept = {} },
    } do
      t.contains(kit.refusal(function()
        return server:publish("a", "x", "text", options)
      end), text)
    end
    t.contains(kit.refusal(function()
      return server:publish("a", "x", "text", 1)
    end), "bad argument #4 to 'publish'")
  end)
end)
