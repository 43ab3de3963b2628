-- config.json, by which the Lua language server takes the folder for an addon.

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

describe("the addon of the language server", function()
  local config = read "config.json"

  -- The patterns it has for Lua, of a JSON without escapes but for quotes.
  local function words()
    local list = {}
    for word in config:match '"words": %[(.-)%]\n':gmatch '"(.-[^\\])"' do
      list[#list + 1] = word:gsub('\\"', '"')
    end
    return list
  end

  it("is JSON with the fields that it may have", function()
    local pipe = assert(io.popen("env -u LD_PRELOAD python3 -c 'import json,"
      .. " sys; print(*sorted(json.load(sys.stdin)))' <config.json"))
    assert.equal("$schema name words\n", pipe:read "a")
    assert.is_true(pipe:close())
  end)

  it("is proposed for whoever requires evws, and for nobody else", function()
    local pattern = words()[1]
    assert.equal(1, #words())
    for _, line in ipairs { 'local ws = require "evws"', "require 'evws'",
      'require("evws")', "require ( 'evws' )", 'require "evws.static"',
      'require"evws"' } do
      assert.is_truthy(line:find(pattern), line)
    end
    for _, line in ipairs { 'require "ev"', 'require "evwsx"', "evws",
      'require "my.evws"', "-- requires evws" } do
      assert.is_nil(line:find(pattern), line)
    end
  end)
end)
