-- library/evws/sim.lua describes what evws.sim has, and nothing else; the
-- defaults that it names are those there are.

local reference = require "spec.helper.reference"
local sim = require "evws.sim"
local keys = reference.keys

local library = reference.read "library/evws/sim.lua"
local documented, fields_of = reference.of(library)

describe("library/evws/sim.lua", function()
  it("has every function and method", function()
    assert.same(keys(sim), keys(documented "sim"))
    local net = getmetatable(sim.new()).__index
    assert.same(keys(net), keys(documented "net"))
  end)

  it("has every option, and its default", function()
    local told = keys((fields_of "evws.SimLink"), (fields_of "evws.SimOptions"))
    local net = sim.new()
    assert.same(keys(net.options), told)
    for name, value in pairs(net.options) do
      local about = library:match("\n([^@]-)%-%-%-@field " .. name .. "%?")
        :match "[^@]*$":gsub("\n%-%-%-", " ")
      if name == "limit" then
        assert.is_truthy(about:find "default a year")
      else
        assert.is_truthy(about:find(("efault `%s`"):format(value), 1, true),
          name)
      end
    end
  end)

  it("is named in its guide", function()
    local page = reference.read "docs/guides/network.md"
    local net = getmetatable(sim.new()).__index
    for name in pairs(net) do
      assert.is_truthy(page:find("net:" .. name, 1, true), name)
    end
  end)
end)
