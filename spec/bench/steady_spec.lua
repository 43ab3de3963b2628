-- bench/steady.lua, in small: it measures what it says, and ends.

local children = require "spec.binding.kit"

-- The rows of its table, without its head: { what, three cells or four }.
local function rows(case, seconds)
  local child = children.execute(("env CASES=%s ROUNDS=1 SECONDS_EACH=%g "
    .. "MIB=1 %s bench/steady.lua"):format(case, seconds,
    os.getenv "LUA" or "lua5.4"))
  assert.same({ 0, "" }, { child:ended(120), child:errors() })
  local list = {}
  for line in child:output():gmatch "[^\n]+" do
    list[#list + 1] = {}
    for cell in line:gmatch "| ([^|]-) %f[|]" do
      table.insert(list[#list], cell)
    end
  end
  assert.equal("---", list[2][1])
  table.remove(list, 1)
  table.remove(list, 1)
  return list
end

describe("bench/steady.lua", function()
  after_each(children.cleanup)

  it("says what an echo waits for", function()
    local list = rows("latency", 0.05)
    assert.equal(7, #list)
    assert.equal("1 MiB of objects, and collectgarbage() each second",
      list[5][1])
    for _, row in ipairs(list) do
      local p50, p99, most = tonumber(row[2]), tonumber(row[3]),
        tonumber(row[4])
      assert.is_true(p50 >= 0 and p99 >= p50 and most >= p99 - 0.1, row[1])
    end
  end)

  -- Where a process was held up for all of a round, nothing is measured.
  local function measured()
    for i = 0, 6 do
      local list, is_complete = rows("bytes", 0.05 * 2 ^ i), true
      for _, row in ipairs(list) do
        local cost, ratio = tonumber(row[2]),
          tonumber(row[3]:match "^(%S+) of %w+")
        local least = row[4] == "–" and 1 or tonumber(row[4])
        is_complete = is_complete and cost and cost > 0 and ratio
          and ratio > 0 and ratio < math.huge and least and least > 0
          and least < math.huge
      end
      if is_complete then return list end
    end
  end

  it("says what a byte costs, and judges it", function()
    local list = assert(measured())
    assert.equal(5, #list)
    for _, row in ipairs(list) do
      local ratio = tonumber(row[3]:match "^%S+")
      local most = 1.5 * math.max(1, tonumber(row[4]) or 1)
      if math.abs(ratio - most) > 0.02 then -- as it is shown: a little more
        assert.equal(ratio < most and "yes" or "no", row[5])
      end
    end
  end)
end)
