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
    local is_open, is_over = false, false
    local conn = ws.connect(t.url_of(server), {
      reconnect = { initial = 60, maximum = 60 },
      on_open = function(c)
        is_open = true
        repeat
          local message, why, code = c:receive()
        until not message and not code or why ~= "closed" or c.data
        is_over = true
      end })
    t.wait(function() return is_open and conn.state == "connecting" end)
    for _ = 1, 5 do t.turn() end
    conn.data = "closed"
    conn:close()
    t.wait(function() return conn.state == "closed" and is_over end)
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

describe("a server whose on_closing was closed from outside", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("is there until the task is gone", function()
    local errors = kit.errors()
    local weak = setmetatable({}, { __mode = "k" })
    local function serve()
      local co
      local server = assert(ws.listen { port = 0, host = "127.0.0.1",
        on_closing = function()
          co = coroutine.running()
          ws.sleep(0.5 * t.factor)
        end })
      weak[server] = true
      t.pump(server.close, server, { timeout = 0.04 })
      assert.is_true(coroutine.close(co))
    end
    serve()
    for _ = 1, 5 do
      collectgarbage()
      t.turn()
    end
    t.wait(function() return errors[1] end)
    assert.equal("a waiting task was closed from outside",
      errors[1].message)
    t.wait(function()
      collectgarbage()
      return not next(weak)
    end, "the server to be collected")
  end)
end)

-- What a task waits for lives by its stack, which goes with who closes it.
describe("what a task waits for that was closed from outside", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  local waits = {
    ["queue:take"] = function() ws.queue(1):take(0.05) end,
    ["queue:put"] = function()
      local queue = ws.queue(1)
      queue:put(1)
      queue:put(2, 0.05)
    end,
    ["queue:take without a limit"] = function() ws.queue(1):take() end,
    ["input:read"] = function()
      local probe = require "evws_probe"
      local listener <close> = assert(probe.net.listen "127.0.0.1")
      local peer <close> = assert(probe.net.connect { port = listener.port })
      require "evws.core".input(peer:fd()):read(0.05)
    end,
    ["task:wait"] = function()
      local co
      local task = ws.spawn(function()
        co = coroutine.running()
        ws.sleep(1000)
      end)
      ws.sleep(0)
      coroutine.close(co) -- which held the task
      task:wait(0.05)
    end,
    ["ws.wait"] = function()
      local probe = require "evws_probe"
      local listener <close> = assert(probe.net.listen "127.0.0.1")
      local peer <close> = assert(probe.net.connect { port = listener.port })
      ws.wait(peer:fd(), "r", 0.05)
    end,
  }
  for name, wait in pairs(waits) do
    it("may be collected: " .. name, function()
      local errors, cos, from
      for _ = 1, 100 do -- until they are closed while they wait
        errors, cos, from = kit.errors(), {}, ws.now()
        for i = 1, 3 do
          ws.spawn(function()
            cos[i] = coroutine.running()
            wait()
          end)
        end
        t.wait(function() return cos[3] end)
        for _ = 1, 3 do t.turn() end
        for i = 1, 3 do coroutine.close(cos[i]) end
        if ws.now() - from < 0.05 then break end
      end
      collectgarbage()
      collectgarbage()
      local filler = {}
      for i = 1, 50 do filler[i] = ws.queue(1) end
      t.wait(function() return errors[3] end)
      for i = 1, 3 do
        assert.equal("a waiting task was closed from outside",
          errors[i].message)
      end
      for i = 1, 50 do assert.equal(0, #filler[i]) end
    end)
  end
end)
