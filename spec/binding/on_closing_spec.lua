-- on_closing: what an application does before everybody is told that the
-- server closes.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

describe("on_closing", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("is called first, with the server and a quarter of the time", function()
    local seen
    local server
    server = t.listen { on_closing = function(...)
      seen = { ... }
      for conn in server:each() do conn:send "last words" end
      ws.sleep(0.01)
      seen.left = server.connections
    end }
    local raw = t.open(server)
    ws.spawn(function() server:close { timeout = 800, code = 1012 } end)
    raw:expect_frame("text", "last words")
    raw:expect_close(1012)
    assert.same({ server, 200.0, left = 1 }, seen)
  end)

  it("may take a quarter of the time, and no more", function()
    local may_go, is_over
    local server = t.listen { on_closing = function()
      while not may_go do ws.sleep(0.005) end
      is_over = true
    end }
    local raw = t.open(server)
    local from = ws.now()
    ws.spawn(function() server:close { timeout = 0.4 * t.factor } end)
    raw:expect_close(1001)
    assert.is_true(ws.now() - from >= 0.09)
    may_go = true
    raw:close()
    t.wait(function() return is_over end)
  end)

  it("is each route's own, and all of them are called", function()
    local log = {}
    local function notes(name)
      return function() log[#log + 1] = name end
    end
    local server = t.listen { on_closing = notes "all",
      routes = { ["/a"] = { on_closing = notes "a" }, ["/b"] = {} } }
    server:route("/c", { on_closing = notes "c" })
    assert.is_true(t.pump(server.close, server))
    assert.is_true(t.pump(server.close, server))
    table.sort(log)
    assert.same({ "a", "all", "c" }, log)
  end)

  it("that fails holds nothing up", function()
    local errors = kit.errors()
    local server = t.listen { on_closing = function() error "broken" end }
    local raw = t.open(server)
    ws.spawn(function() server:close { timeout = 800 } end)
    raw:expect_close(1001) -- far sooner than in a quarter of that
    t.contains(t.wait(function() return errors[1] end).message, "broken")
  end)

  it("is not asked when the server closes at once", function()
    local n = 0
    local server = t.listen { on_closing = function() n = n + 1 end }
    local raw = t.open(server)
    ws.spawn(function() server:close { timeout = 0 } end)
    raw:expect_close(1001)
    for _ = 1, 5 do t.turn() end
    assert.equal(0, n)
  end)

  it("comes when nobody new is let in any more", function()
    local queue = ws.queue(1)
    local server = t.listen { on_closing = function() queue:take() end,
      on_request = function() return 200, "x" end }
    local open, late = t.open(server), t.raw(server)
    late:send "GET /"
    t.wait(function() return server:stats().accepted == 2 end)
    t.turn()
    ws.spawn(function() server:close { timeout = 20 } end)
    for _ = 1, 3 do t.turn() end
    late:send " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: "
    late:send "Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    late:send "AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    assert.equal(503, (late:read_http()))
    open:send(t.frame("ping", "still")):expect_frame("pong", "still")
    queue:put(true)
    open:expect_close(1001)
  end)

  it("can still end the bodies that are written", function()
    local body
    local server = t.listen {
      on_request = function()
        return 200, function(out)
          local queue = ws.queue(1)
          body = out
          out:on_close(function() queue:put(true) end)
          queue:take()
        end
      end,
      on_closing = function()
        assert.is_false(body.is_closed)
        assert.is_true(body:write "the end")
      end }
    local raw = t.raw(server)
    raw:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    raw:read_http { head = true }
    assert.is_true(t.pump(server.close, server, { timeout = 8 }))
    assert.equal("the end", raw:chunk())
    assert.equal("", raw:chunk())
  end)

  it("is called for a signal, too", function()
    local child = kit.run [[
      ws.listen { port = 0, on_closing = function(server, seconds)
        ws.sleep(0.01)
        say("closing " .. seconds)
      end }
      say "ready"
      ws.run()
    ]]
    child:wait "ready"
    child:signal "INT"
    child:wait "closing 2.5"
    child:ended()
  end)
end)
