-- A handler of a request had an on_close and raised, and there was no memory
-- for the 500: on_close was called while the connection was being freed, which
-- gave its slot back twice. Two others then had the same.

local t = require "spec.helper"
local ws = t.ws
local fail_at = require "evws.core".fail_at

-- What the handler does, with an on_close and little memory, and then raises.
local ways = {
  ["raises"] = function() end,
  ["raises behind a wait"] = function() ws.sleep(0) end,
}

describe("request:on_close, of a handler that", function()
  after_each(function()
    if fail_at then fail_at(0, false) end
    ws.on_error(nil)
    t.cleanup()
  end)

  for name, way in pairs(ways) do
    it(name .. " without memory for the answer", function()
      if not fail_at then return pending "built without WS_FAULT" end
      ws.on_error(function() end)
      for n = 1, 8 do
        local gone, ids = 0, {}
        local server = t.listen {
          on_request = function(request)
            request:on_close(function() gone = gone + 1 end)
            way()
            fail_at(n, false)
            error "x"
          end,
          routes = { ["/ws"] = {
            on_open = function(conn) ids[#ids + 1] = conn.id end,
            on_message = function(conn) conn:send(tostring(conn.id)) end,
          } },
        }
        local client = t.raw(server)
        client:send "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        client:read_http() -- the 500, or an end
        fail_at(0, false)
        client:close()
        t.wait(function() return server:stats().pending == 0 end, "the end")
        assert.equal(0, gone)
        local list = {}
        for i = 1, 3 do list[i] = t.open(server, { path = "/ws" }) end
        for i = 1, 3 do
          list[i]:send(t.frame("text", "who?"))
          list[i]:expect_frame("text", tostring(ids[i]))
          list[i]:close()
        end
        server:close { timeout = 0 }
      end
    end)
  end
end)
