-- bench/scale.lua, in small: it measures what it says, and ends.

local children = require "spec.binding.kit"

-- The rows of its table: what is measured -> { goal, what was found, verdict }.
local function rows(case)
  local child = children.execute(("env CASES=%s WORKERS=2 CONNECTIONS=20 "
    .. "ROUNDS=1 SECONDS_EACH=0.1 %s bench/scale.lua"):format(case,
    os.getenv "LUA" or "lua5.4"))
  assert.same({ 0, "" }, { child:ended(60), child:errors() })
  local list = {}
  for what, goal, here, is_met in child:output():gmatch
    "| *([^|]-) *| ([^|]-) ?| ([^|]-) | (%l*) ?|" do
    list[what] = { goal, here, is_met }
  end
  return list
end

describe("bench/scale.lua", function()
  after_each(children.cleanup)

  -- Where a process was held up for all of a round, nothing is measured.
  local function ratios()
    for _ = 1, 8 do
      local list, found = rows "echo", {}
      for i, n in ipairs { 1, 16 } do
        local row = list[("echo of 20 bytes, %d in flight, through 2 workers")
          :format(n)]
        local text = row[2]:match "^(%S+) %(%S+ us of CPU, one process %S+"
        assert.is_truthy(text, row[2])
        found[i] = { tonumber(text) or 0, row[3] }
      end
      if math.min(found[1][1], found[2][1]) > 0 then return found end
    end
  end

  it("compares workers with one process", function()
    for _, one in ipairs(assert(ratios())) do
      local ratio, verdict = table.unpack(one)
      if ratio ~= 1.1 then -- as it is shown: a little more, or less
        assert.equal(ratio < 1.1 and "yes" or "no", verdict)
      end
    end
  end)

  it("reloads workers, which refuses nobody", function()
    local list = rows "reload"
    assert.is_truthy(list["reload of 2 workers with 20 connections"])
    local told = list["told by 1012 to go"]
    assert.is_true(tonumber(told[2]:match "^%d+") >= 20)
    assert.equal("yes", told[3])
    assert.matches("^0, of %d+ that came back and %d+ others$",
      list.refused[2])
    for _, who in ipairs { "newcomers", "a bystander's questions" } do
      assert.matches("^[%w. ]+, before it [%w. ]+$",
        list[("99 %% of %s meanwhile"):format(who)][2])
    end
  end)
end)
