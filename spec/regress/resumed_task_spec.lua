-- A coroutine that waited in one of our calls was resumed or closed by code
-- that is not the loop. Behind `local conn <close>` it went on, and the loop
-- resumed what stood on the C stack. Seen by the sanitizer build.

local t = require "spec.helper"
local ws = t.ws

local refused = { true, nil, "a waiting task cannot be resumed from outside",
  n = 3 }

-- Each waiting call: what it is given, the call, and what it returns.
local calls = {
  ["ws.sleep"] = function()
    return function() return ws.sleep(0.01) end, { true, n = 1 }
  end,
  ["conn:receive"] = function()
    local server = t.listen { on_open = function(conn)
      ws.after(0.01, function() conn:send("late") end)
    end }
    local conn = t.pump(ws.connect, t.url_of(server))
    return function() return conn:receive() end, { "late", "text", n = 2 }
  end,
  ["conn:drain"] = function()
    local server = t.listen { max_message = 32 << 20, on_open = function(conn)
      conn:pause()
      ws.after(0.01, function() conn:resume() end)
    end }
    local conn = t.pump(ws.connect, t.url_of(server), { max_queued = false })
    return function()
      conn:send(("x"):rep(16 << 20))
      return conn:drain()
    end, { true, n = 1 }
  end,
  ["ws.connect"] = function()
    local server = t.listen {}
    return function() return ws.connect(t.url_of(server)).state end,
      { "open", n = 1 }
  end,
  ["queue:take"] = function()
    local queue = ws.queue(1)
    return function()
      ws.after(0.01, function() queue:put("late") end)
      return queue:take()
    end, { "late", n = 1 }
  end,
  ["server:close"] = function()
    local server = t.listen {}
    local conn = t.pump(ws.connect, t.url_of(server))
    return function() return server:close(), conn.state end,
      { true, "closed", n = 2 }
  end,
  ["local conn <close>"] = function()
    local server = t.listen {}
    local kept
    return function()
      do
        local conn <close> = assert(ws.connect(t.url_of(server)))
        kept = conn
      end
      return kept.state
    end, { "closed", n = 1 }
  end,
}

-- Who resumes it, given a function that does.
local others = {
  ["the main chunk"] = function(resume) return resume() end,
  ["a coroutine of the main chunk"] = function(resume)
    return coroutine.wrap(resume)()
  end,
  ["another task"] = function(resume) return t.pump(resume) end,
}

describe("a task that waits, resumed by somebody else", function()
  after_each(function()
    ws.on_error(nil)
    t.cleanup()
  end)

  -- Starts the call; its coroutine, once it waits, and where results appear.
  local function start(call)
    local co
    local box = {}
    ws.spawn(function()
      co = coroutine.running()
      box.results = table.pack(call())
    end)
    t.wait(function() return co end, "the task")
    return co, box
  end

  for name, make in pairs(calls) do
    for who, by in pairs(others) do
      it("goes on waiting: " .. name .. ", by " .. who, function()
        local call, expected = make()
        local co, box = start(call)
        for _ = 1, 3 do
          if coroutine.status(co) ~= "suspended" then break end
          local got = by(function()
            if coroutine.status(co) ~= "suspended" then return refused end
            return table.pack(coroutine.resume(co, "some", "values"))
          end)
          assert.same(refused, got)
        end
        t.wait(function() return box.results end, "the results of " .. name)
        assert.same(expected, box.results)
        assert.equal("dead", coroutine.status(co))
      end)
    end

    it("ends with an error when it was closed: " .. name, function()
      local said = {}
      ws.on_error(function(conn, message)
        said[#said + 1] = { conn, message }
      end)
      local co, box = start((make()))
      assert.equal("suspended", coroutine.status(co))
      assert.is_true(coroutine.close(co))
      t.wait(function() return #said > 0 end, "the error")
      assert.same({ { nil, "a waiting task was closed from outside" } }, said)
      assert.is_nil(box.results)
    end)
  end

  it("costs a handler its connection when it was closed", function()
    local co, server_conn
    local server = t.listen {
      on_error = function() end,
      on_message = function(conn, message)
        if message ~= "wait" then return conn:send(message) end
        co, server_conn = coroutine.running(), conn
        ws.sleep(0.01)
      end,
    }
    local client = t.open(server)
    local bystander = t.bystander(server)
    client:send(t.frame("text", "wait"))
    t.wait(function() return co end, "the handler")
    coroutine.close(co)
    client:expect_close(1011)
    t.wait(function() return server_conn.state == "closed" end)
    bystander:check()
  end)

  it("may be closed while it is closed", function()
    local said, co
    ws.on_error(function(_, message) said = message end)
    ws.spawn(function()
      co = coroutine.running()
      local _ <close> = setmetatable({}, { __close = function()
        ws.sleep(0.03) -- drives the loop, which finds the task that it wakes
      end })
      ws.sleep(0.01)
    end)
    t.wait(function() return co end, "the task")
    assert.is_true(coroutine.close(co))
    assert.equal("a waiting task was closed from outside", said)
    assert.equal("dead", coroutine.status(co))
  end)
end)
