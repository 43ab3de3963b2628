-- A connection is given back, and wakes a task of its own that waits on it; the
-- task ends at once, and was the last one to hold the object. Its place in the
-- table of those that are kept was free twice then: two later connections had
-- the same, and the end of one took it from the other.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

-- Each ends a connection that a handler of its own waits on.
local ways = {
  ["a client that waits for its next attempt"] = function()
    local server = t.listen { on_open = function(c) c:terminate() end }
    local is_over = false
    local conn = ws.connect(t.url_of(server), {
      reconnect = { initial = 60, maximum = 60 },
      on_open = function(c)
        repeat
          local message, why, code = c:receive()
        until not message and not code or why ~= "closed" or c.data
        is_over = true
      end })
    t.wait(function() return conn.state == "connecting" end)
    for _ = 1, 5 do t.turn() end
    conn.data = "closed"
    conn:close()
    t.wait(function() return conn.state == "closed" end)
    for _ = 1, 5 do t.turn() end
    return is_over
  end,

  ["an answer that nobody reads"] = function()
    local is_over, is_begun = false, false
    local server = t.listen { on_request = function()
      return 200, function(out)
        is_begun = true
        while out:write(("x"):rep(100000)) do
          if not out:drain() then break end
        end
        is_over = true
      end
    end }
    local raw = t.raw(server)
    raw:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    t.wait(function() return is_begun end)
    for _ = 1, 20 do t.turn() end
    raw:reset()
    t.wait(function() return is_over end)
    return is_over
  end,
}

describe("a connection that wakes the last task that holds it:", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  for name, finish in pairs(ways) do
    it(name .. ", gives its place back once", function()
      for _ = 1, 3 do assert.is_true(finish()) end
      local got, errors = {}, kit.errors()
      local server = t.listen { on_message = function(conn, message)
        got[conn] = message
        conn:send(message)
      end, on_close = function(conn) got[conn] = nil end }
      local raws = {}
      for i = 1, 8 do raws[i] = t.open(server) end
      for i = 1, 8, 2 do raws[i]:finish() end
      for _ = 1, 5 do t.turn() end
      collectgarbage()
      for i = 2, 8, 2 do
        raws[i]:send(t.frame("text", "m" .. i))
        raws[i]:expect_frame("text", "m" .. i)
      end
      local n = 0
      for _ in pairs(got) do n = n + 1 end
      assert.equal(4, n)
      assert.same({}, errors)
    end)
  end
end)
