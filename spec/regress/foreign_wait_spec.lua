-- A callback of another library waits inside of ws.run, and so drives the loop
-- itself, while the main function raises. The error was left on the stack of
-- who waited, and ws.run raised something else.

local t = require "spec.helper"
local kit = require "spec.binding.kit"

local prologue = [[
  local probe = require "evws_probe"
  local ws = require "evws"
  local listener = assert(probe.net.listen "127.0.0.1")
  local peer = assert(probe.net.connect { port = listener.port })
  local watcher
  local function in_callback(fn)
    watcher = probe.foreign.watch(listener:fd(), function()
      watcher:stop()
      fn()
    end)
  end
]]

-- What the callback does, and what it says.
local waits = {
  ["ws.sleep"] = { "say(ws.sleep(0.05))", "true" },
  ["ws.connect"] = { [[
    local server = assert(ws.listen { port = 0, host = "127.0.0.1" })
    local conn = assert(ws.connect("ws://127.0.0.1:" .. server.port))
    ws.sleep(0.05)
    say(conn.state, select("#", conn:close()))
    server:close()
  ]], "open\t1" },
  ["queue:take"] = { [[
    local q = ws.queue(1)
    ws.after(0.05, function() q:put "late" end)
    say(q:take())
  ]], "late" },
  ["a wait in a wait"] = { [[
    local other = assert(probe.net.connect { port = listener.port })
    watcher = probe.foreign.watch(listener:fd(), function()
      watcher:stop()
      say(ws.sleep(0.05))
    end)
    say(ws.sleep(0.1))
  ]], "true\ntrue" },
}

local raised = {
  ["a string"] = { 'error("from main", 0)', "false\tstring\tfrom main" },
  ["a table"] = { "error(setmetatable({}, "
    .. '{ __tostring = function() return "a table" end }))',
    "false\ttable\ta table" },
  ["what closes it"] = { "coroutine.close(co)",
    "false\tstring\ta waiting task was closed from outside" },
}

describe("an error of ws.run's main function", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  for name, wait in pairs(waits) do
    for what, raise in pairs(raised) do
      it(("is raised where %s waits in a callback: %s"):format(name, what),
        function()
          local child = kit.run(prologue .. ([[
            local co
            in_callback(function() %s end)
            ws.every(0.02, function() %s end)
            local ok, why = pcall(ws.run, function()
              co = coroutine.running()
              ws.sleep(%s)
              if %s then %s end
            end)
            say(ok, type(why), tostring(why))
            os.exit(0)
          ]]):format(wait[1], what == "what closes it"
            and "if co then " .. raise[1] .. " co = nil end" or "",
            what == "what closes it" and "0.03" or "0.01",
            what == "what closes it" and "false" or "true",
            what == "what closes it" and "" or raise[1]))
          assert.equal(0, child:ended(), child:errors())
          assert.equal("", child:errors())
          assert.equal(wait[2] .. "\n" .. raise[2] .. "\n", child:output())
        end)
    end
  end

  it("is that of the run it belongs to", function()
    local child = kit.run(prologue .. [[
      in_callback(function() ws.sleep(0.03) end)
      say(pcall(ws.run, function() ws.sleep(0.01) error("one", 0) end))
      say(pcall(ws.run, function() error("two", 0) end))
      say(pcall(ws.run, function() ws.stop() end))
      say(pcall(ws.run, function() error() end))
      os.exit(0)
    ]])
    assert.equal(0, child:ended(), child:errors())
    assert.matches("^false\tone\nfalse\ttwo\ntrue\ttrue\nfalse\t[^\n]+\n$",
      child:output())
  end)
end)
