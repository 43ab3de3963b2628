-- Secrets that are compared: BI-49.

local t = require "spec.helper"
local ws = t.ws

describe("a secret", function()
  it("BI-49 is compared by ws.equals, whatever bytes are in it", function()
    assert.is_true(ws.equals("", ""))
    assert.is_true(ws.equals("a\0b", "a\0" .. "b"))
    assert.is_false(ws.equals("a\0b", "a\0c"))
    assert.is_false(ws.equals("a", "a\0"))
    assert.is_false(ws.equals("", "a"))
    local long = ("x"):rep(1 << 20)
    assert.is_true(ws.equals(long, ("x"):rep(1 << 20)))
    for _, at in ipairs { 1, 1 << 10, 1 << 20 } do
      local other = long:sub(1, at - 1) .. "y" .. long:sub(at + 1)
      assert.is_false(ws.equals(long, other))
    end
  end)

  it("BI-49 takes as long where the first byte differs as the last", function()
    local n = 1 << 22
    local right = ("x"):rep(n)
    local first, last = "y" .. right:sub(2), right:sub(2) .. "y"
    local function least(other)
      local best = math.huge
      for _ = 1, 15 do
        local from = t.probe.cpu()
        ws.equals(right, other)
        best = math.min(best, t.probe.cpu() - from)
      end
      return best
    end
    least(first)
    assert.is_true(least(first) > least(last) / 2)
  end)

  it("BI-49 is a string, or it raises", function()
    for _, wrong in ipairs { 1, true, {}, print } do
      assert.has_error(function() ws.equals("1", wrong) end)
      assert.has_error(function() ws.equals(wrong, "1") end)
    end
    assert.has_error(function() ws.equals("1") end)
    assert.has_error(function() ws.equals() end)
  end)
end)
