-- What a peer has said stands in the message of an error, and that was printed
-- as it was: a peer wrote lines of the log, and coloured them. And standard
-- error itself: one whose reader is gone ended the process, one that nobody
-- reads stopped the loop.

local t = require "spec.helper"
local kit = require "spec.binding.kit"

local forged = "bad order: x\nevws: error: disk full"

-- What a peer may say, and how it is shown.
local payloads = {
  ["a line"] = { forged, "bad order: x\\x0aevws: error: disk full" },
  ["a carriage return"] = { "x\rok", "x\\x0dok" },
  ["a colour"] = { "\27[31mred\27[0m", "\\x1b[31mred\\x1b[0m" },
  ["a colour in C1"] = { "\u{9b}31mred", "\\xc2\\x9b31mred" },
  ["a colour in Latin-1"] = { "\x9b31mred", "\\x9b31mred" },
  ["a bell, a backspace, a tab"] = { "\a\b\t", "\\x07\\x08\\x09" },
  ["a zero byte"] = { "a\0b", "a\\x00b" },
  ["another direction"] = { "\u{202e}txt", "\\xe2\\x80\\xaetxt" },
  ["a line of Unicode"] = { "a\u{2028}b\u{85}c",
    "a\\xe2\\x80\\xa8b\\xc2\\x85c" },
  ["letters"] = { "gr\u{fc}n \u{2713}", "gr\u{fc}n \u{2713}" },
}

-- Where it gets into a line; `said` is there.
local ways = {
  ["a handler's error"] = [[
    local server = assert(ws.listen { port = 0, host = "127.0.0.1",
      on_message = function(_, message) error(message, 0) end })
    local conn = assert(ws.connect("ws://127.0.0.1:" .. server.port))
    conn:send(said, "binary")
    conn:receive()
  ]],
  ["a task's error"] = "ws.spawn(error, said, 0) ws.sleep(0)",
  ["an error's __tostring"] = [[
    ws.spawn(error, setmetatable({}, { __tostring = function()
      return said
    end }))
    ws.sleep(0)
  ]],
  ["an error in on_error"] = [[
    ws.on_error(function() error(said, 0) end)
    ws.spawn(error, "x")
    ws.sleep(0)
  ]],
  ["an error in ws.log"] = [[
    ws.log = function() error(said, 0) end
    ws.listen { port = 0, host = "127.0.0.1" }
    os.exit(0)
  ]],
  ["a warning of the application"] = 'ws.log("warning", "x", { a = said })',
  ["the name of a field"] = 'ws.log("error", "x", { [said] = "a" })',
  ["an event of the application"] = 'ws.log("warning", said)',
}

local function is_of_trace(line)
  return line == "stack traceback:" or line:find "^\t" ~= nil
end

describe("a line of the log", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  for way, source in pairs(ways) do
    for name, payload in pairs(payloads) do
      it(("is one line: %s, by %s"):format(name, way), function()
        local child = kit.run(("local said = %q "):format(payload[1])
          :gsub("\\\n", "\\n"):gsub("\r", "\\r") .. source .. " os.exit(0)")
        assert.equal(0, child:ended(), child:errors())
        local n = 0
        for line in child:errors():gmatch "([^\n]*)\n" do
          if not is_of_trace(line) then
            n = n + 1
            assert.matches("^evws: ", line)
            assert.is_truthy(line:find(payload[2], 1, true), line)
          end
        end
        assert.equal(1, n, child:errors())
        assert.is_nil(child:errors():find "[%z\1-\8\11-\31\127]")
      end)
    end
  end

  it("of an error has its traceback behind it", function()
    local child = kit.run [[
      local function inner() error("a\nb", 0) end
      ws.spawn(function() inner() end)
      ws.sleep(0)
    ]]
    assert.equal(0, child:ended())
    assert.matches("^evws: a\\x0ab\nstack traceback:\n\t.*in upvalue 'inner'",
      child:errors())
  end)

  it("of any length is cut, and keeps its traceback", function()
    local child = kit.run [[
      ws.spawn(error, ("\27"):rep(1 << 20), 0)
      ws.spawn(error, ("a"):rep(1 << 20), 0)
      ws.sleep(0)
      ws.log("warning", ("b"):rep(1 << 20))
    ]]
    assert.equal(0, child:ended())
    local errors = child:errors()
    assert.is_true(#errors < 3 * 4096, #errors)
    assert.matches("^evws: [\\x1b]+%.%.%.\nstack traceback:\n", errors)
    assert.matches("\nevws: a+%.%.%.\nstack traceback:\n", errors)
    assert.matches("\nevws: b+%.%.%.\n$", errors)
  end)
end)
