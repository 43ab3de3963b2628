-- A connection that is over was kept, and what it had its options from (the
-- server, its own route) was gone: sending looked there before it looked at
-- the state. Seen by the sanitizer build.

local t = require "spec.helper"
local ws = t.ws

describe("a connection that has outlived its server", function()
  after_each(t.cleanup)

  for title, compression in pairs { plain = false, compressed = true } do
    it("says that it is closed: " .. title, function()
      local kept
      local gone = setmetatable({}, { __mode = "v" })
      local function talk()
        local server = assert(ws.listen { port = 0, host = "127.0.0.1",
          compression = compression, routes = { ["/:x"] = {
            on_open = function(conn) kept = conn end } } })
        local client = assert(ws.connect("ws://127.0.0.1:" .. server.port
          .. "/a", { compression = compression }))
        t.wait(function() return kept end)
        client:close()
        server:close()
        t.wait(function() return kept.state == "closed" end)
        gone[1], gone[2] = server, client
      end
      talk()
      t.wait(function()
        collectgarbage()
        return next(gone) == nil
      end, "the server to be collected")
      local long = ("long "):rep(1000)
      for _, kind in ipairs { "text", "binary" } do
        assert.same({ nil, "closed" }, { kept:send(long, kind) })
        assert.same({ nil, "closed" }, { kept:send("short", kind) })
      end
      assert.same({ nil, "closed" },
        { kept:send(long, "text", { compress = false }) })
      assert.same({ nil, "closed" }, { kept:writer() })
      assert.same({ nil, "closed" }, { kept:ping() })
      assert.same({ nil, "closed" }, { kept:publish("x", long) })
      assert.same({ nil, "closed" }, { kept:subscribe "x" })
      assert.is_false(kept:unsubscribe "x")
      assert.same({}, kept:topics())
      assert.is_nil((kept:receive(0)))
      assert.is_nil((kept:drain(0)))
      kept:pause():resume():on_message(print):on_chunk(nil)
      kept:close()
      kept:terminate()
      assert.equal(0, kept.buffered)
      assert.equal("a", kept.params.x)
      assert.is_nil(kept.server)
    end)
  end
end)
