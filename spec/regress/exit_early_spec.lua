-- A script that ends inside of what it is told of who was refused: it ends, and
-- nothing more is told.

local t = require "spec.helper"
local kit = require "spec.binding.kit"

describe("a script ends", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("in the event that tells of a peer who left", function()
    local child = kit.run [[
      local server = assert(ws.listen { port = 0, host = "127.0.0.1" })
      ws.log = function(_, event)
        if event == "refused" then os.exit(7, true) end
      end
      print(server.port)
      io.stdout:flush()
      ws.run()
    ]]
    local port = tonumber(child:wait "^%d+")
    t.raw(port, { address = "127.0.0.1" }):close()
    assert.equal(7, child:ended(10), child:errors())
  end)

  it("while others are pending, who are not told of as refused", function()
    local child = kit.run [[
      local server = assert(ws.listen { port = 0, host = "127.0.0.1",
        on_request = function() os.exit(7, true) end })
      ws.log = function(_, event) io.stderr:write(event, "\n") end
      print(server.port)
      io.stdout:flush()
      ws.run()
    ]]
    local port = tonumber(child:wait "^%d+")
    local raws = {}
    for i = 1, 3 do
      raws[i] = t.raw(port, { address = "127.0.0.1" })
      raws[i]:send "GET / HTTP/1.1\r\n"
    end
    t.wait(function()
      return select(2, child:errors():gsub("accepted", "")) == 3
    end, "all to be accepted")
    raws[3]:send "Host: a\r\n\r\n"
    t.wait(function() return child:ended(0) ~= nil end, "the end")
    assert.equal(7, child:ended(10), child:errors())
    assert.is_nil(child:errors():find "refused")
  end)
end)
