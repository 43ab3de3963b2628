-- A server that nobody held any more was collected while ws.log was about to
-- hear of its end: what is told of it was read from memory given back.

local t = require "spec.helper"
local kit = require "spec.binding.kit"

describe("the end of a server that nobody holds", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("is logged as any other", function()
    local child = kit.run [[
      local ws = require "evws"
      -- from now on each allocation goes through all of the collector's work
      collectgarbage("incremental", 1, 1000, 30)
      collectgarbage()
      local name = "127.0.0.1"
      local host, port, was
      ws.log = function(_, event, fields)
        if event ~= "server_closed" then return end
        host, port = fields.host, fields.port
      end
      ws.spawn(function()
        local server = assert(ws.listen { port = 0, host = name })
        assert(ws.connect("ws://" .. name .. ":" .. server.port))
        was = server.port
        -- where nothing can wait it closes, and whoever closes goes on
        coroutine.wrap(function() local _ <close> = server end)()
      end)
      local last = ws.now() + 5
      while not host and ws.now() < last do ws.step(0.01) end
      assert(host == name, tostring(host))
      assert(port == was, tostring(port))
      print "done"
    ]]
    assert.equal(0, child:ended(60), child:errors())
    assert.equal("done\n", child:output())
  end)
end)
