-- What is logged of a Redis that is away (src/engine/bus_tell.c): a line a
-- minute, by a simulated clock, which says how often it was so since.

local redis = require "spec.helper.redis"
local sim = require "evws.sim"
local t = require "spec.helper"

if redis.is_missing("the log of a backplane", "hiredis") then return end

local ws = t.ws

describe("the log of a backplane", function()
  after_each(function() ws.log = require "evws.core".log end)

  -- Times, texts, and losses up to each of them.
  local function watch(minutes)
    local lines, n_lost = {}, 0
    ws.log = function(_, event, fields)
      if event == "backplane_lost" then n_lost = n_lost + 1 end
      if event == "warning" then
        lines[#lines + 1] = { at = ws.now(), text = fields.message,
          n_lost = n_lost }
      end
    end
    sim.new {}:run(function()
      local bus = ws.backplane { url = "redis://127.0.0.1:6379" }
      ws.sleep(minutes * 60)
      bus:close()
    end)
    return lines
  end

  it("has a line a minute, and how often it was lost meanwhile", function()
    local lines = watch(10)
    assert.is_true(#lines >= 9 and #lines <= 10, #lines)
    assert.equal("backplane redis://127.0.0.1:6379: connection refused",
      lines[1].text)
    for i = 2, #lines do
      assert.is_true(lines[i].at - lines[i - 1].at >= 60)
      assert.is_true(lines[i].at - lines[i - 1].at <= 70)
      local n = lines[i].n_lost - lines[i - 1].n_lost - 1
      assert.is_true(n >= 10, n)
      assert.equal(("%s (and %d times since the last line)"):format(
        lines[1].text, n), lines[i].text)
    end
  end)

  it("has one line at first", function()
    assert.equal(1, #watch(0.01))
  end)
end)
