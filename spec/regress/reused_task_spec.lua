-- A task that has ended leaves its coroutine to the next one, and scripts may
-- hold it. A debug hook stayed on it and ran in other connections' handlers;
-- who resumed or closed it before the next task had begun made the loop call
-- what stood on the C stack.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

-- Runs fn as a task, and returns its coroutine when it has ended.
local function ended(fn)
  local co
  t.pump(function()
    co = coroutine.running()
    if fn then fn() end
  end)
  t.wait(function() return coroutine.status(co) == "dead" end)
  return co
end

-- Tasks until one runs on this coroutine; false if none does.
local function comes_back(co, fn)
  for _ = 1, 100 do
    local is_same = false
    t.pump(function()
      is_same = coroutine.running() == co
      if is_same and fn then fn() end
    end)
    if is_same then return true end
  end
  return false
end

describe("the coroutine of a task that has ended", function()
  after_each(function()
    debug.sethook()
    kit.cleanup()
    t.cleanup()
  end)

  it("is used again", function()
    assert.is_true(comes_back(ended()))
  end)

  for name, mask in pairs { call = "c", ["return"] = "r", line = "l" } do
    it("has no hook of it any more: " .. name, function()
      local calls = 0
      local co = ended(function()
        debug.sethook(function() calls = calls + 1 end, mask)
      end)
      local before = calls
      for _ = 1, 200 do t.pump(function() local x = 1 return x end) end
      assert.is_true(calls > 0)
      assert.equal(before, calls)
      assert.is_false(comes_back(co))
    end)
  end

  it("has no count hook of it any more, in other connections' handlers",
    function()
      local calls, seen = 0, {}
      local server = t.listen { on_message = function(conn, message)
        if message == "hook" then
          debug.sethook(function() calls = calls + 1 end, "", 1)
        end
        seen[#seen + 1] = { debug.gethook() == nil, calls }
        conn:send(message)
      end }
      local a, b = t.open(server), t.open(server)
      a:send(t.frame("text", "hook"))
      a:expect_frame("text", "hook")
      local before = calls
      assert.is_true(before > 0)
      for i = 1, 5 do
        b:send(t.frame("text", "m" .. i))
        b:expect_frame("text", "m" .. i)
      end
      assert.equal(before, calls)
      for i = 2, 6 do assert.same({ true, before }, seen[i]) end
    end)

  it("takes no hook from who still holds it", function()
    local calls = 0
    local co = ended()
    debug.sethook(co, function() calls = calls + 1 end, "crl", 1)
    for _ = 1, 200 do t.pump(function() local x = 1 return x end) end
    assert.equal(0, calls)
  end)

  it("keeps what the hook names from nobody", function()
    local weak = setmetatable({}, { __mode = "k" })
    ended(function()
      local big = {}
      weak[big] = true
      debug.sethook(function() return big end, "l")
    end)
    t.wait(function()
      collectgarbage()
      return next(weak) == nil
    end, "the hook to be collected")
  end)

  it("waits like any other with a hook of its own", function()
    local calls = 0
    t.pump(function()
      debug.sethook(function() calls = calls + 1 end, "l")
      local before = calls
      ws.sleep(0)
      local x = 1
      assert(x and calls > before and debug.gethook())
    end)
  end)

  describe("that is to be the next one's", function()
    -- A coroutine whose next task has been asked for, and has not begun.
    local function asked_for(fn, ...)
      for _ = 1, 10 do
        local held = {}
        for i = 1, 70 do held[i] = ended() end -- more than are kept
        local ran_on
        ws.spawn(function(...)
          ran_on = coroutine.running()
          return fn(...)
        end, ...)
        for _, co in ipairs(held) do
          if coroutine.status(co) == "suspended" then
            return co, function() return ran_on end
          end
        end
        t.wait(function() return ran_on end)
      end
      error "no task came back"
    end

    it("is not begun by who resumes it", function()
      local got
      local co, ran_on = asked_for(function(...)
        got = table.pack(...)
        ws.sleep(0)
        got.is_over = true
      end, 1, nil, 3)
      for _ = 1, 3 do
        assert.same({ true, nil,
          "a waiting task cannot be resumed from outside", n = 3 },
          table.pack(coroutine.resume(co, "some", "values")))
      end
      assert.is_nil(got)
      t.wait(function() return got and got.is_over end)
      assert.equal(co, ran_on())
      assert.same({ 1, nil, 3, n = 3, is_over = true }, got)
    end)

    it("is lost to who closes it, and that is told", function()
      local errors, is_run = kit.errors(), false
      local co = asked_for(function() is_run = true end)
      assert.is_true(coroutine.close(co))
      t.wait(function() return errors[1] end)
      assert.equal("a waiting task was closed from outside",
        errors[1].message)
      assert.is_false(is_run)
      t.pump(function() ws.sleep(0) end)
    end)

    it("is lost to who resumes and closes it", function()
      local errors, is_run = kit.errors(), false
      local co = asked_for(function() is_run = true end)
      coroutine.resume(co)
      assert.is_true(coroutine.close(co))
      t.wait(function() return errors[1] end)
      assert.is_false(is_run)
    end)

    it("may be that of ws.run's main function", function()
      local child = kit.run [[
        local held = {}
        for i = 1, 3 do
          ws.spawn(function() held[i] = coroutine.running() end)
        end
        ws.sleep(0)
        ws.every(0.001, print)
        local is_over
        ws.spawn(function() -- it comes before main, and holds main's
          for _, co in ipairs(held) do
            if coroutine.status(co) == "suspended" then
              say(coroutine.resume(co))
            end
          end
        end)
        say(pcall(ws.run, function()
          ws.sleep(0)
          error("from main", 0)
        end))
      ]]
      assert.equal(0, child:ended())
      assert.equal("", child:errors())
      assert.matches("true\tnil\ta waiting task cannot be resumed from outside",
        child:output())
      assert.matches("false\tfrom main\n", child:output())
    end)
  end)
end)
