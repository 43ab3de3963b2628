-- The option compression: what it takes, and what raises at the caller's
-- line.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

local prefix = "bad option 'compression"

local function refused(value)
  local message = kit.refused { port = 0, compression = value }
  assert.equal(message, kit.refused_by_connect { compression = value })
  return message
end

describe("the option compression", function()
  after_each(t.cleanup)

  it("takes true, false and a table", function()
    for _, value in ipairs { true, false, {}, { threshold = 0 },
      { threshold = 1 << 30, level = 9, memory = 9,
        server_max_window_bits = 9, client_max_window_bits = 15 },
      { level = 1, memory = 1, context_takeover = true },
      { context_takeover = false }, { context_takeover = {} },
      { context_takeover = { server = true, client = false } } } do
      t.listen { compression = value }
    end
    assert.is_false(ws.defaults.compression)
    assert.is_false(ws.defaults.max_ratio)
  end)

  it("refuses anything else", function()
    for text, value in pairs { ["1"] = 1, ['the string "true"'] = "true",
      ["a function"] = print } do
      assert.equal(prefix .. "' (a boolean or a table expected, got "
        .. text .. ")", refused(value))
    end
  end)

  it("refuses fields that it does not have", function()
    assert.equal(prefix .. "' (unknown field 'treshold', did you mean "
      .. "'threshold'?)", refused { treshold = 5 })
    assert.equal(prefix .. "' (unknown field 'context_takover', did you mean "
      .. "'context_takeover'?)", refused { context_takover = true })
    assert.equal(prefix .. "' (unknown field 'x')", refused { x = 5 })
    assert.equal(prefix .. "' (unknown field '1')", refused { true })
    assert.is_truthy(refused({ context_takeover = { both = true } })
      :find("unknown field 'both'", 1, true))
  end)

  it("refuses numbers out of bounds", function()
    local nan = 0 / 0
    for name, bounds in pairs { threshold = { 0, 1 << 30 }, level = { 1, 9 },
      memory = { 1, 9 }, server_max_window_bits = { 9, 15 },
      client_max_window_bits = { 9, 15 } } do
      for _, value in ipairs { bounds[1] - 1, bounds[2] + 1, 9.5, "9", true,
        nan, -1 } do
        assert.equal(("%s.%s' (a whole number from %d to %d expected, got %s)")
          :format(prefix, name, bounds[1], bounds[2],
            value == "9" and 'the string "9" (tonumber?)' or value),
          refused { [name] = value })
      end
    end
  end)

  it("refuses a takeover that is neither", function()
    for _, value in ipairs { 1, "server", { server = 1 },
      { client = "yes" } } do
      assert.is_truthy(refused({ context_takeover = value }):find(
        prefix .. ".context_takeover' (a boolean or { server =, client = } "
        .. "with booleans expected, got ", 1, true))
    end
  end)
end)
