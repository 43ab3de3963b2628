-- Topics that keep something (src/engine/history.c): how many, and how long.

local t = require "spec.helper"

describe("topics that keep something", function()
  after_each(t.cleanup)

  local function epoch(server, topic)
    return select(2, server:history(topic)).epoch
  end

  it("are so many; then those go that nobody has asked for longest",
    function()
      local most = 100000
      local bytes = 20000000
      local server = t.listen { history = { ["*"] = { size = 1, ttl = 600,
        bytes = bytes } } }
      local wanted = {}
      for i = 1, 8 do
        server:hear("wanted " .. i, function() end)
        server:publish("wanted " .. i, "x")
        wanted[i] = epoch(server, "wanted " .. i)
      end
      for i = 1, most - 8 do server:publish("t" .. i, "x") end
      local first, second = epoch(server, "t1"), epoch(server, "t2")
      server:publish("one more", "x") -- eight are looked at: all are wanted
      assert.equal(first, epoch(server, "t1"))
      server:publish("and another", "x") -- in front are others now
      assert.equal(second, epoch(server, "t2"))
      assert.equal(0, #server:history "t1")
      for i = 1, 8 do
        assert.equal(wanted[i], epoch(server, "wanted " .. i))
        assert.equal(1, #server:history("wanted " .. i))
      end
      -- all of them give way to one that is as long as all may be
      server:publish("long", ("x"):rep(bytes - 70))
      assert.equal(1, #server:history "long")
      for i = 1, 8 do
        assert.equal(0, #server:history("wanted " .. i))
        assert.equal(wanted[i], epoch(server, "wanted " .. i))
      end
    end)

  it("forget it after their time, and where they were later, unless somebody "
    .. "has them", function()
    local ttl = 0.03
    local server = t.listen { history = { ["*"] = { size = 9, ttl = ttl } } }
    server:hear("heard", function() end)
    server:hear("silent", function() end)
    for _, topic in ipairs { "heard", "left" } do server:publish(topic, "x") end
    local before = {}
    for _, topic in ipairs { "heard", "silent", "left", "empty" } do
      before[topic] = epoch(server, topic)
    end
    t.wait(function() return epoch(server, "empty") ~= before.empty end,
      "the empty one to go", 20)
    server:publish("heard", "y")
    t.wait(function() return epoch(server, "left") ~= before.left end,
      "the other one to go", 20)
    t.wait(function() return #server:history "heard" == 0 end,
      "the messages of the third", 20)
    assert.equal(before.heard, epoch(server, "heard"))
    assert.equal(before.silent, epoch(server, "silent"))
    assert.equal(2, select(2, server:history "heard").offset)
  end)

  it("are there or not, when there is no memory or no chance", function()
    local child = require "spec.helper.child"
    local lines = child.run([[
      local core, faults = require "evws.core", probe.faults
      assert(faults.is_on())
      local fail_at = core.fail_at or function() end
      local timers = {}
      local server = ws.listen { port = 0,
        history = { ["*"] = { size = 9, ttl = 600 } } }
      local kept = 0
      for k = 1, 100 do
        timers[k] = ws.every(600, function() end)
        fail_at(3 + k % 3, true)
        local n, why = server:publish("t" .. k, "x")
        fail_at(0)
        assert(n or why)
        server:publish("t" .. k, "y")
        local list, at = server:history("t" .. k)
        assert(#list == (n and 2 or 1) and at.offset == #list)
        kept = kept + 1
      end
      log("kept", kept)
      faults.fail("getrandom", 1, 5, true)
      local failed, reset = 0, 0
      for k = 1, 500 do
        local ok, why = server:publish("r" .. k, "x")
        if not ok then failed = failed + 1 end
        if not server:reset "t1" then reset = reset + 1 end
      end
      faults.fail("getrandom", 0)
      log(failed > 0, reset > 0, #server:history "t1" <= 2)
      log(server:publish("r500", "x"), server:reset "t1")
      server:close()
    ]], { faults = true })
    assert.same({ "kept 100", "true true true", "1 true" }, lines)
  end)
end)
