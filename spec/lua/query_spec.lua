-- ws.parse_query.

local parse = require "evws.query"

describe("ws.parse_query", function()
  it("has the fields by name, decoded", function()
    for query, fields in pairs {
      [""] = {},
      ["a=1"] = { a = "1" },
      ["a=1&b=2"] = { a = "1", b = "2" },
      ["a"] = { a = "" },
      ["a="] = { a = "" },
      ["=1"] = { [""] = "1" },
      ["&&a=1&"] = { a = "1" },
      ["a=b=c"] = { a = "b=c" },
      ["a=1&a=2&a="] = { a = "1" },
      ["a+b=c+d%2B%20e"] = { ["a b"] = "c d+ e" },
      ["%61=%C3%a4%00%26%3d"] = { a = "ä\0&=" },
      ["a=%&b=%2&c=%zz&d=%%41"] = { a = "%", b = "%2", c = "%zz", d = "%A" },
      ["a=%2541"] = { a = "%41" },
      ["%3D=%3D"] = { ["="] = "=" },
      ["a;b=1"] = { ["a;b"] = "1" },
      ["access_token=eyJ.x-_~"] = { access_token = "eyJ.x-_~" },
    } do
      assert.same(fields, parse(query))
    end
    assert.same({}, parse(nil))
  end)

  it("looks at 256 pairs", function()
    local list = {}
    for i = 1, 300 do list[i] = "n" .. i .. "=" .. i end
    local fields = parse(table.concat(list, "&"))
    assert.equal("256", fields.n256)
    assert.is_nil(fields.n257)
  end)

  it("raises for what is no string", function()
    local line = debug.getinfo(1, "l").currentline + 2
    local ok, why = pcall(function()
      local fields = parse(1)
      return fields
    end)
    assert.is_false(ok)
    assert.equal(("spec/lua/query_spec.lua:%d: bad argument #1 to "
      .. "'parse_query' (string expected, got number)"):format(line), why)
  end)
end)
