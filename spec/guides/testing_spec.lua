-- docs/guides/testing.md: the spec that stands there, run by busted; and that
-- it can fail.

local guide = require "spec.guides.kit"

describe("the guide to testing", function()
  after_each(guide.cleanup)

  local function busted(directory)
    local lua = os.getenv "LUA" or "lua5.4"
    local pipe = assert(io.popen(("cd %s && timeout 240 %s "
      .. '"$(command -v busted)" --ignore-lua -o TAP greeter_spec.lua 2>&1')
      :format(directory, lua)))
    local output = pipe:read "a"
    return pipe:close(), output
  end

  it("has a spec that passes", function()
    local ok, output = busted(guide.write "testing")
    assert(ok, output)
    assert.equal(5, select(2, output:gsub("ok %d+ %- the greeter", "")))
  end)

  it("has a spec that fails where the application is wrong", function()
    for from, to in pairs { ["Hello, "] = "Hi, ", ["1008"] = "1011",
      ['"/greet"'] = '"/"', [':upper()'] = "", ['error "'] = 'print "' } do
      local directory = guide.write "testing"
      local path = directory .. "/greeter.lua"
      local file = assert(io.open(path))
      local text = file:read "a"
      file:close()
      local at, stop = text:find(from, 1, true)
      file = assert(io.open(path, "w"))
      file:write(text:sub(1, at - 1), to, text:sub(stop + 1))
      file:close()
      local ok, output = busted(directory)
      assert.is_falsy(ok, from .. output)
      assert.matches("not ok", output)
    end
  end)
end)
