-- Tasks: where a call may wait and where it may not, and that turns of the
-- loop never nest.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains, url_of = t.contains, t.url_of

local cannot = "cannot wait here (use ws.spawn)"
local running = "the loop is already running"

-- What fn returns in a task, or its error.
local function in_task(fn)
  local result
  ws.spawn(function() result = table.pack(pcall(fn)) end)
  t.wait(function() return result end, "the task")
  return table.unpack(result, 1, result.n)
end

-- Every call that may wait, as a function without arguments.
local function waiting_calls()
  local server = t.listen {}
  local conn = assert(ws.connect(url_of(server)))
  local high = t.listen { on_open = function(c) c:pause() end }
  local full = assert(ws.connect(url_of(high)))
  full:send(("x"):rep(16 << 20))
  return {
    ["ws.sleep"] = function() return ws.sleep(0) end,
    ["ws.connect"] = function() return ws.connect(url_of(server)) end,
    ["conn:receive"] = function() return conn:receive(0.01) end,
    ["conn:messages"] = function() return conn:messages()(conn) end,
    ["conn:drain"] = function() return full:drain(0.01) end,
    ["server:close"] = function() return server:close() end,
  }, function()
    conn:terminate()
    full:terminate()
  end
end

-- Places inside of a task where a coroutine cannot yield.
local places = {
  ["a coroutine of the user's own"] = function(fn)
    return coroutine.wrap(function() return pcall(fn) end)()
  end,
  ["table.sort"] = function(fn)
    local ok, why
    table.sort({ 1, 2 }, function(a, b)
      ok, why = pcall(fn)
      return a < b
    end)
    return ok, why
  end,
  ["string.gsub"] = function(fn)
    local ok, why
    string.gsub("x", ".", function() ok, why = pcall(fn) end)
    return ok, why
  end,
  ["a metamethod called by C"] = function(fn)
    local ok, why
    tostring(setmetatable({}, { __tostring = function()
      ok, why = pcall(fn)
      return ""
    end }))
    return ok, why
  end,
  ["require"] = function(fn)
    local ok, why
    package.preload["evws.spec.waits"] = function() ok, why = pcall(fn) end
    require "evws.spec.waits"
    package.loaded["evws.spec.waits"] = nil
    package.preload["evws.spec.waits"] = nil
    return ok, why
  end,
  ["a finalizer"] = function(fn)
    local ok, why
    setmetatable({}, { __gc = function() ok, why = pcall(fn) end })
    collectgarbage()
    return ok, why
  end,
}

describe("a waiting call", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  describe("in a task", function()
    for name, place in pairs(places) do
      it("cannot wait in " .. name .. ", and says so", function()
        local calls, done = waiting_calls()
        for what, call in pairs(calls) do
          local ok, waited, why = in_task(function() return place(call) end)
          assert.is_true(ok, waited)
          assert.is_false(waited, what)
          contains(why, cannot)
        end
        done()
      end)
    end

    it("may stand in pcall, metamethods, iterators of Lua", function()
      assert.is_true(in_task(function()
        assert(pcall(ws.sleep, 0))
        assert(xpcall(ws.sleep, debug.traceback, 0))
        local o = setmetatable({}, {
          __index = function(_, k) ws.sleep(0) return k end,
          __add = function() ws.sleep(0) return "sum" end,
          __call = function() ws.sleep(0) return "called" end,
          __close = function() ws.sleep(0) end,
        })
        assert(o.x == "x" and o + o == "sum" and o() == "called")
        do local scoped <close> = o assert(scoped) end
        for _ in function() ws.sleep(0) end do assert(false) end
        return true
      end))
    end)

    it("may be the last of many coroutines' ends", function()
      local n = 0
      for i = 1, 200 do
        ws.spawn(function()
          ws.sleep(i % 3 / 1000)
          n = n + 1
        end)
      end
      t.wait(function() return n == 200 end)
    end)
  end)

  describe("outside of any turn", function()
    it("drives the loop itself until it has its answer", function()
      local server = t.listen { on_message = function(conn, m)
        ws.sleep(0.001)
        conn:send(m)
      end }
      local conn <close> = assert(ws.connect(url_of(server)))
      conn:send "x"
      assert.equal("x", conn:receive())
      local from = ws.now()
      assert.is_true(ws.sleep(0.01))
      assert.is_true(ws.now() - from >= 0.01)
    end)

    it("does so in a coroutine of the user's own, too", function()
      local server = t.listen { on_message = function(conn, m)
        conn:send(m)
      end }
      local co = coroutine.create(function(first)
        local conn <close> = assert(ws.connect(url_of(server)))
        conn:send(first)
        local second = coroutine.yield(conn:receive())
        conn:send(second)
        return conn:receive()
      end)
      assert.same({ true, "a", "text" }, { coroutine.resume(co, "a") })
      assert.same({ true, "b", "text" }, { coroutine.resume(co, "b") })
      assert.equal("dead", coroutine.status(co))
    end)

    it("does so where no coroutine could yield", function()
      for name, place in pairs(places) do
        if name ~= "a finalizer" then
          assert.is_true((place(function() ws.sleep(0) end)), name)
        end
      end
    end)

    it("cannot wait in a finalizer", function()
      local ok, why = places["a finalizer"](function() ws.sleep(0) end)
      assert.is_false(ok)
      contains(why, cannot)
    end)

    it("may leave work to ws.spawn in a finalizer", function()
      local done
      places["a finalizer"](function()
        ws.spawn(function()
          ws.sleep(0)
          done = true
        end)
      end)
      t.wait(function() return done end)
    end)

    it("is not ended by what others wait for", function()
      local ended = {}
      ws.after(0.005, function() ended[#ended + 1] = "timer" end)
      ws.spawn(function()
        ws.sleep(0.01)
        ended[#ended + 1] = "task"
      end)
      local from = ws.now()
      ws.sleep(0.02)
      assert.is_true(ws.now() - from >= 0.02)
      t.wait(function() return #ended == 2 end)
      assert.same({ "timer", "task" }, ended)
    end)

    it("lets errors in handlers go where they belong", function()
      local errors = kit.errors()
      ws.spawn(function() error "boom" end)
      assert.is_true(ws.sleep(0.005))
      assert.equal(1, #errors)
      contains(errors[1].message, "boom")
    end)
  end)

  describe("in a turn", function()
    it("never is a turn: run and step raise", function()
      for _, fn in ipairs { function() ws.run() end, function() ws.step() end,
        function() ws.step(0) end, function() ws.run(print) end } do
        local ok, why = in_task(fn)
        assert.is_false(ok)
        contains(why, running)
      end
      local _, raw = kit.pair { on_message = function(conn)
        local _, why = pcall(ws.step)
        conn:send(why)
        _, why = pcall(ws.run)
        conn:send(why)
      end }
      raw:send(t.frame("text", "x"))
      for _ = 1, 2 do
        local _, why = raw:message()
        contains(why, running)
      end
    end)
  end)

  describe("that is yielded out of", function()
    it("is an error of the handler", function()
      local errors = kit.errors()
      local conn, raw = kit.pair { on_message = function()
        coroutine.yield "mine"
      end }
      raw:send(t.frame("text", "x"))
      raw:expect_close(1011)
      assert.equal(1, #errors)
      assert.equal(conn, errors[1].conn)
      contains(errors[1].message, "attempt to yield out of a handler")
    end)

    it("is an error of a task, after it has waited as well", function()
      local errors = kit.errors()
      ws.spawn(function()
        ws.sleep(0)
        coroutine.yield()
      end)
      t.wait(function() return errors[1] end)
      assert.is_nil(errors[1].conn)
      contains(errors[1].message, "attempt to yield")
    end)

    it("leaves coroutines of the user's own to the user", function()
      assert.same({ true, 1, 2, 3 }, { in_task(function()
        local next_one = coroutine.wrap(function()
          for i = 1, 3 do coroutine.yield(i) end
        end)
        ws.sleep(0)
        local a = next_one()
        ws.sleep(0)
        return a, next_one(), next_one()
      end) })
    end)
  end)

  it("whose task others resume is not fooled", function()
    local co, woken, ok, why
    local errors = kit.errors()
    ws.spawn(function()
      co = coroutine.running()
      ws.sleep(0.01)
      woken = true
    end)
    t.wait(function() return co end)
    ok, why = coroutine.resume(co)
    t.wait(function() return woken or not ok or #errors > 0 end, why)
  end)
end)

describe("ws.spawn", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("starts a function with its arguments, in the loop", function()
    local got
    ws.spawn(function(...) got = table.pack(...) end, 1, nil, "x", nil)
    assert.is_nil(got)
    t.wait(function() return got end)
    assert.same({ 1, nil, "x", nil, n = 4 }, got)
  end)

  it("keeps the order of those it started", function()
    local log = {}
    for i = 1, 10 do ws.spawn(function() log[i] = #log + 1 end) end
    t.wait(function() return #log == 10 end)
    for i = 1, 10 do assert.equal(i, log[i]) end
  end)

  it("may be called in a task, of which it is independent", function()
    local done
    ws.spawn(function()
      ws.spawn(function()
        ws.sleep(0)
        done = true
      end)
      error "gone"
    end)
    local errors = kit.errors()
    t.wait(function() return done end)
    assert.equal(1, #errors)
  end)

  it("takes hundreds of arguments", function()
    local n
    ws.spawn(function(...) n = select("#", ...) end,
      table.unpack({}, 1, 5000))
    t.wait(function() return n end)
    assert.equal(5000, n)
  end)

  it("wants a function", function()
    for _, value in ipairs { 1, "f", {} } do
      contains(kit.refusal(function() ws.spawn(value) end),
        "bad argument #1 to 'spawn'")
    end
    assert.is_false((pcall(ws.spawn)))
  end)

  it("tells of an error with a traceback of the task", function()
    local errors = kit.errors()
    local function inner() error "boom" end
    ws.spawn(function()
      ws.sleep(0)
      inner()
    end)
    t.wait(function() return errors[1] end)
    assert.is_nil(errors[1].conn)
    contains(errors[1].traceback, "task_spec.lua")
    contains(errors[1].traceback, "inner")
  end)
end)
