-- error(nil): Lua 5.4 hands on nil, Lua 5.5 a text in its place. Wherever an
-- error comes out of evws it is what pcall has in the same Lua, as text where
-- text is asked for.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

local is_5_4 = _VERSION == "Lua 5.4"
local value = not is_5_4 and "<no error object>" or nil
local text = is_5_4 and "nil" or "<no error object>"
local no_text = is_5_4 and "an error that is no string"
  or "<no error object>"

describe("an error of nil", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("is what pcall has: of ws.run", function()
    for _, main in ipairs { function() error() end, function()
      ws.sleep(0)
      error(nil)
    end } do
      local results = table.pack(pcall(ws.run, main))
      assert.same({ false, value, n = 2 }, results)
      assert.equal(select(2, pcall(error)), results[2])
    end
  end)

  it("is a text for ws.on_error", function()
    local errors = kit.errors()
    ws.spawn(function() error(nil) end)
    ws.after(0, function() ws.sleep(0) error() end)
    t.wait(function() return errors[2] end)
    for _, e in ipairs(errors) do
      assert.equal(text, e.message)
      assert.equal(text .. "\n", e.traceback:sub(1, #text + 1))
    end
  end)

  it("is a text for a connection's on_error, and ends it", function()
    local got
    local _, raw = kit.pair { on_message = function() error(nil) end,
      on_error = function(_, message) got = message end }
    raw:send(t.frame("text", "x"))
    raw:expect_close(1011)
    assert.equal(text, got)
  end)

  it("is a line of the log, from wherever it comes", function()
    for source, line in pairs {
      ["ws.spawn(function() error(nil) end) ws.sleep(0)"] = text,
      [ [[ws.on_error(function() error(nil) end)
        ws.spawn(error, "x") ws.sleep(0)]] ] = "error in an error handler: "
        .. no_text,
      [ [[ws.log = function() error(nil) end
        ws.listen { port = 0, host = "127.0.0.1" }]] ] = "error in ws.log: "
        .. no_text,
    } do
      local child = kit.run(source .. " os.exit(0)")
      assert.equal(0, child:ended())
      assert.equal("evws: " .. line .. "\n",
        child:errors():match "^[^\n]*\n")
    end
  end)
end)
