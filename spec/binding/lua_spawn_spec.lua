-- The task that ws.spawn returns: waiting for it, cancelling it.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains

local function state_of(task)
  return tostring(task):match "%((%a+)%)$"
end

-- A task that notes what became of it, and waits for what `wait` does.
local function waiting(wait)
  local log = {}
  local task = ws.spawn(function()
    local own <close> = setmetatable({}, { __close = function()
      log[#log + 1] = "closed"
    end })
    log[#log + 1] = "begun"
    log[#log + 1] = table.pack(wait(own))
  end)
  t.wait(function() return log[1] end)
  return task, log
end

describe("a task", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("is waited for, and its results returned", function()
    local task = ws.spawn(function(...) ws.sleep(0) return ... end, 1, nil, "x")
    assert.equal("running", state_of(task))
    assert.same({ n = 4, true, 1, nil, "x" }, table.pack(task:wait()))
    assert.same({ n = 4, true, 1, nil, "x" }, table.pack(task:wait(0)))
    assert.equal("ended", state_of(task))
    assert.same({ n = 1, true }, table.pack(ws.spawn(function() end):wait()))
    assert.same({ n = 2, true }, table.pack(ws.spawn(function()
      return nil
    end):wait()))
    local many = table.pack(ws.spawn(function()
      return table.unpack({}, 1, 200)
    end):wait())
    assert.equal(201, many.n)
  end)

  it("may be waited for by many, in tasks too", function()
    local go = false
    local task = ws.spawn(function()
      while not go do ws.sleep(0.001) end
      return "done"
    end)
    local waiters = {}
    for i = 1, 5 do
      waiters[i] = ws.spawn(function() return task:wait() end)
    end
    assert.same({ nil, "timeout" }, { task:wait(0.01) })
    assert.same({ nil, "timeout" }, { t.pump(task.wait, task, 0) })
    go = true
    for i = 1, 5 do
      assert.same({ true, true, "done" }, { waiters[i]:wait() })
    end
  end)

  it("that failed says why, and on_error is told all the same", function()
    local errors = kit.errors()
    local task = ws.spawn(function() error("boom", 0) end)
    assert.same({ nil, "boom" }, { task:wait() })
    assert.same({ nil, "boom" }, { task:wait() })
    assert.equal("failed", state_of(task))
    assert.equal("boom", errors[1].message)
    task = ws.spawn(function()
      error(setmetatable({}, { __tostring = function() return "own" end }))
    end)
    assert.same({ nil, "own" }, { task:wait() })
    task = ws.spawn(function()
      error(setmetatable({}, { __tostring = error }))
    end)
    assert.same({ nil, "the task failed" }, { task:wait() })
    task = ws.spawn(function() coroutine.yield() end)
    contains(select(2, task:wait()), "attempt to yield")
    assert.equal(4, #errors)
  end)

  it("cannot wait for itself, and judges its arguments", function()
    local task
    task = ws.spawn(function()
      ws.sleep(0)
      return select(2, pcall(task.wait, task))
    end)
    local _, why = task:wait()
    contains(why, "a task cannot wait for itself")
    contains(kit.refusal(function() local r = task:wait(-1) return r end),
      "seconds must not be negative")
    contains(kit.refusal(function() local r = task.wait() return r end),
      "call task:wait, not task.wait")
  end)

  local waits = {
    sleep = function() return ws.sleep(100) end,
    queue = function() return ws.queue(1):take() end,
    put = function()
      local queue = ws.queue(1)
      queue:put(1)
      return queue:put(2, math.huge)
    end,
    task = function() return ws.spawn(ws.sleep, 100):wait() end,
  }
  for name, wait in pairs(waits) do
    it("is cancelled while it waits: " .. name, function()
      local errors = kit.errors()
      local task, log = waiting(wait)
      assert.is_true(task:cancel())
      assert.same({ nil, "cancelled" }, { task:wait() })
      assert.same({ "begun", "closed" }, log)
      assert.is_false(task:cancel())
      assert.equal("cancelled", state_of(task))
      assert.same({}, errors)
    end)
  end

  it("is cancelled while it receives: no message is lost", function()
    local conn, raw = kit.pair()
    local task, log = waiting(function() return conn:receive() end)
    raw:send(t.frame("text", "kept"))
    t.wait(function()
      if #log == 1 then return task:cancel() end
      return true
    end)
    task:wait()
    if #log == 2 then
      assert.same({ "begun", "closed" }, log)
      assert.same({ "kept", "text" }, { conn:receive(t.limit) })
    end
    task, log = waiting(function() return conn:wait() end)
    task:cancel()
    assert.same({ nil, "cancelled" }, { task:wait() })
    assert.same({ "begun", "closed" }, log)
    raw:send(t.frame("text", "on"))
    assert.same({ "on", "text" }, { conn:receive(t.limit) })
    assert.equal("open", conn.state)
    raw:finish()
  end)

  it("is cancelled while it connects: the connection is given up", function()
    local errors = kit.errors()
    local probe = t.probe
    local before = t.fd_count()
    local listener = assert(probe.listen("127.0.0.1", 0))
    local url = "ws://127.0.0.1:" .. listener.port
    local task, log = waiting(function() return ws.connect(url) end)
    local socket
    t.wait(function()
      socket = listener:accept()
      return socket
    end)
    task:cancel()
    assert.same({ nil, "cancelled" }, { task:wait() })
    assert.same({ "begun", "closed" }, log)
    socket:close()
    listener:close()
    t.wait(function() return probe.fd_count() <= before end)
    local opened = {}
    local server = t.listen { on_open = function(c) opened[1] = c end }
    task = ws.spawn(function() return ws.connect(t.url_of(server)) end)
    t.wait(function() return opened[1] end)
    if task:cancel() then
      t.wait(function() return opened[1].state == "closed" end)
    end
    assert.same({}, errors)
  end)

  it("is cancelled before it has begun", function()
    local begun
    local task = ws.spawn(function() begun = true end)
    assert.is_true(task:cancel())
    assert.same({ nil, "cancelled" }, { task:wait() })
    assert.is_nil(begun)
  end)

  it("cancels itself, at once or at its next wait", function()
    local log, task = {}, nil
    task = ws.spawn(function()
      ws.sleep(0)
      log[#log + 1] = "before"
      task:cancel()
      log[#log + 1] = "after"
    end)
    assert.same({ nil, "cancelled" }, { task:wait() })
    assert.same({ "before" }, log)
  end)

  it("may catch that, and go on", function()
    local errors = kit.errors()
    local task = ws.spawn(function()
      local ok, why = pcall(ws.sleep, 100)
      ws.sleep(0)
      return ok, why
    end)
    t.turn()
    t.turn()
    task:cancel()
    assert.same({ true, false, "cancelled" }, { task:wait() })
    assert.equal("ended", state_of(task))
    task = ws.spawn(function()
      pcall(ws.sleep, 100)
      error("another", 0)
    end)
    t.turn()
    t.turn()
    task:cancel()
    assert.same({ nil, "another" }, { task:wait() })
    assert.equal("another", errors[1].message)
    assert.equal(1, #errors)
  end)

  it("ends with the variable that it is in", function()
    local outer
    do
      local task <close> = ws.spawn(ws.sleep, 100)
      outer = task
      t.turn()
    end
    assert.same({ nil, "cancelled" }, { outer:wait() })
  end)

  it("needs nobody who keeps it, and keeps nobody", function()
    local done, weak = 0, setmetatable({}, { __mode = "k" })
    for _ = 1, 50 do
      weak[ws.spawn(function()
        ws.sleep(0.01)
        done = done + 1
        return {}
      end)] = true
    end
    collectgarbage()
    t.wait(function() return done == 50 end)
    t.wait(function()
      collectgarbage()
      return next(weak) == nil
    end)
  end)

  it("outlives the state without harm", function()
    local child = kit.run [[
      kept = { ws.spawn(ws.sleep, 100), ws.spawn(function() return 1 end),
        ws.spawn(error) }
      ws.on_error(function() end)
      setmetatable({}, { __gc = function()
        for _, task in ipairs(kept) do
          tostring(task)
          say(task:cancel(), pcall(task.wait, task, 0))
        end
      end })
      ws.sleep(0.01)
      os.exit(0, true)
    ]]
    assert.equal(0, child:ended())
    assert.equal("", child:errors())
  end)
end)

describe("a timer of a connection", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("calls with it, and ends with it", function()
    local n, once, closed = 0, {}, nil
    local server = t.listen { on_open = function(c)
      assert(c:every(0.005, function(own)
        n = n + 1
        own:send(tostring(n))
      end))
      assert(c:after(0.005, function(own) once[#once + 1] = own end))
      c:after(1000, error)
    end, on_close = function() closed = n end }
    local raw = t.open(server)
    for i = 1, 3 do raw:expect_frame("text", tostring(i)) end
    raw:reset()
    t.wait(function() return closed end)
    local at = closed
    ws.sleep(0.03)
    assert.equal(at, n)
    assert.equal(1, #once)
    assert.equal("closed", once[1].state)
  end)

  it("is cancelled like any other", function()
    local conn, raw = kit.pair()
    local n = 0
    local timer = conn:every(0.001, function() n = n + 1 end)
    t.wait(function() return n > 2 end)
    assert.is_true(timer:cancel())
    assert.is_false(timer:cancel())
    local at = n
    ws.sleep(0.01)
    assert.equal(at, n)
    local first, last = conn:after(50, error), conn:after(60, error)
    first:cancel()
    contains(tostring(last), "(set)")
    raw:finish()
    t.wait(function() return conn.state == "closed" end)
    t.wait(function() return tostring(last):find("(over)", 1, true) end)
    assert.is_false(last:cancel())
  end)

  it("of one that is over is not set", function()
    local conn, raw = kit.pair()
    raw:finish()
    t.wait(function() return conn.state == "closed" end)
    assert.same({ nil, "closed" }, { conn:every(1, print) })
    assert.same({ nil, "closed" }, { conn:after(1, print) })
  end)

  it("that raises ends its connection, and says where", function()
    local errors = kit.errors()
    local conn, raw = kit.pair(nil, { path = "/x" })
    conn:after(0, function() error("boom", 0) end)
    raw:expect_close(1011)
    assert.equal(conn, errors[1].conn)
    contains(errors[1].traceback, "in a timer of /x: boom")
  end)

  it("that waits goes on beyond the end", function()
    local conn, raw = kit.pair()
    local seen
    conn:after(0, function(c)
      seen = { c:wait() }
    end)
    t.turn()
    raw:finish()
    t.wait(function() return seen end)
    assert.same({ 1000, "" }, seen)
  end)

  it("judges its arguments", function()
    local conn, raw = kit.pair()
    for _, call in ipairs {
      { "every", 0, print, "seconds above 0 expected" },
      { "every", "x", print, "number expected" },
      { "after", -1, print, "seconds must not be negative" },
      { "after", 1, 5, "function expected" },
    } do
      contains(kit.refusal(function()
        local r = conn[call[1]](conn, call[2], call[3])
        return r
      end), call[4])
    end
    raw:finish()
  end)

  it("of a client that comes back is of that connection alone", function()
    local beats, opens = {}, 0
    local server = t.listen { on_message = function(c) c:terminate() end }
    local conn = ws.connect(t.url_of(server), {
      reconnect = { initial = 0.001, jitter = 0 },
      on_open = function(c)
        opens = opens + 1
        local own = opens
        beats[own] = 0
        c:every(0.001, function() beats[own] = beats[own] + 1 end)
      end })
    t.wait(function() return opens == 1 and beats[1] > 1 end)
    conn:send "go"
    t.wait(function() return opens == 2 and beats[2] > 1 end)
    local at = beats[1]
    t.wait(function() return beats[2] > 4 end)
    assert.equal(at, beats[1])
    conn:close()
    conn:wait(t.limit)
  end)
end)
