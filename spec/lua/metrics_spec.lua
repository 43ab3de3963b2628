-- Several texts for Prometheus as one.

local join = require "evws.metrics"

local function text(name, ...)
  return ("# HELP %s It.\n# TYPE %s gauge\n"):format(name, name)
    .. table.concat({ ... }, "\n") .. "\n"
end

describe("texts for Prometheus", function()
  it("stand behind one another", function()
    assert.equal(text("a", "a 1") .. text("b", "b 2"),
      join { text("a", "a 1"), text("b", "b 2") })
    assert.equal(text("a", "a 1"), join { text("a", "a 1"), "" })
  end)

  it("are put together where they have the same metric", function()
    assert.equal(
      text("a", 'a{x="1"} 1', 'a{x="2"} 3') .. text("b", "b_sum 2", "b_sum 4"),
      join { text("a", 'a{x="1"} 1') .. text("b", "b_sum 2"),
        text("b", "b_sum 4") .. text("a", 'a{x="2"} 3') })
  end)

  it("may have no heads", function()
    assert.equal("a 1\n" .. text("b", "b 2"),
      join { "a 1", text("b", "b 2") })
    assert.equal(text("b", "b 2") .. "a 1\n",
      join { text("b", "b 2"), "a 1\n" })
  end)
end)
