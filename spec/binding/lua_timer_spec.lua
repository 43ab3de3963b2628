-- ws.sleep, ws.after, ws.every.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains

describe("time", function()
  local timers = {}

  local function keep(timer)
    timers[#timers + 1] = timer
    return timer
  end

  after_each(function()
    for _, timer in ipairs(timers) do timer:cancel() end
    timers = {}
    kit.cleanup()
    t.cleanup()
  end)

  describe("sleep", function()
    it("lasts as long as it says, and returns true", function()
      for _, seconds in ipairs { 0, 0.001, 0.02 } do
        local from = ws.now()
        assert.is_true(ws.sleep(seconds))
        assert.is_true(ws.now() - from >= seconds)
        assert.is_true(t.pump(ws.sleep, seconds))
      end
    end)

    it("of 0 lets others have their turn", function()
      local log, last = {}, ws.now() + t.limit * t.factor
      local server = t.listen { on_message = function(_, m)
        log[#log + 1] = m
      end }
      local raw = t.open(server)
      raw:send(t.frame("text", "x"))
      t.pump(function()
        repeat ws.sleep(0) until log[1] or ws.now() > last
      end)
      assert.same({ "x" }, log)
    end)

    it("ends in the order of the times", function()
      local list, log = { 0.02, 0.005, 0.01, 0 }, {}
      local soonest, latest = {}, {}
      for i, seconds in ipairs(list) do
        ws.spawn(function()
          soonest[i] = ws.now() + seconds
          ws.sleep(seconds)
          log[#log + 1] = i
        end)
        ws.spawn(function() latest[i] = ws.now() + seconds end)
      end
      t.wait(function() return #log == 4 end)
      for k = 2, 4 do -- where this process is held up they overlap
        assert.is_true(soonest[log[k - 1]] <= latest[log[k]])
      end
    end)

    it("takes numbers that are not negative", function()
      for _, value in ipairs { -1, 0 / 0, "x", {}, true } do
        contains(kit.refusal(function()
          local ok = ws.sleep(value)
          return ok
        end), "bad argument #1 to 'sleep'")
      end
      assert.is_false((pcall(ws.sleep)))
    end)
  end)

  describe("after", function()
    it("calls once, in time", function()
      local n, at = 0, nil
      local from = ws.now()
      keep(ws.after(0.01, function()
        n = n + 1
        at = ws.now()
      end))
      t.wait(function() return at end)
      assert.is_true(at - from >= 0.01)
      for _ = 1, 10 do t.turn() end
      assert.equal(1, n)
    end)

    it("of 0 does not call before it returns", function()
      local called = false
      keep(ws.after(0, function() called = true end))
      assert.is_false(called)
      t.wait(function() return called end)
    end)

    it("may be cancelled: true the first time", function()
      local called = false
      local timer = ws.after(0, function() called = true end)
      assert.is_true(timer:cancel())
      assert.is_false(timer:cancel())
      for _ = 1, 3 do t.turn() end
      assert.is_false(called)
    end)

    it("is over when it was called: cancel says false", function()
      local called
      local timer
      timer = ws.after(0, function() called = timer:cancel() end)
      t.wait(function() return called ~= nil end)
      assert.is_false(called)
      assert.is_false(timer:cancel())
    end)

    it("stays when its timer is dropped", function()
      local called
      ws.after(0.005, function() called = true end)
      collectgarbage()
      collectgarbage()
      t.wait(function() return called end)
    end)

    it("gives back its function when it is over", function()
      local weak = setmetatable({}, { __mode = "k" })
      do
        local fn = function() weak = weak end
        weak[fn] = true
        ws.after(0, fn)
      end
      t.wait(function()
        collectgarbage()
        return next(weak) == nil
      end)
    end)

    it("may wait in its function", function()
      local done
      keep(ws.after(0, function()
        ws.sleep(0)
        local server <close> = assert(ws.listen { port = 0 })
        assert(ws.connect("ws://127.0.0.1:" .. server.port)):close()
        done = true
      end))
      t.wait(function() return done end)
    end)
  end)

  describe("every", function()
    it("calls again and again until it is cancelled", function()
      local n, timer = 0, nil
      timer = keep(ws.every(0.002, function()
        n = n + 1
        if n == 5 then timer:cancel() end
      end))
      t.wait(function() return n == 5 end)
      for _ = 1, 5 do t.turn() end
      assert.equal(5, n)
      assert.is_false(timer:cancel())
    end)

    it("goes on when it raised, each error told once", function()
      local errors, n = kit.errors(), 0
      local timer = keep(ws.every(0.001, function()
        n = n + 1
        error("beat " .. n, 0)
      end))
      t.wait(function() return n >= 3 end)
      timer:cancel()
      for i = 1, n do
        assert.is_nil(errors[i].conn)
        assert.equal("beat " .. i, errors[i].message)
      end
      assert.equal(n, #errors)
    end)

    it("goes on when it yielded, which is an error", function()
      local errors, n = kit.errors(), 0
      keep(ws.every(0.001, function()
        n = n + 1
        coroutine.yield()
      end))
      t.wait(function() return n >= 2 and #errors >= 2 end)
    end)

    it("does not overlap itself, and goes on after a wait", function()
      local active, most, n, beats = 0, 0, 0, 0
      keep(ws.every(0.001, function() beats = beats + 1 end))
      keep(ws.every(0.001, function()
        active = active + 1
        most = math.max(most, active)
        local from = beats
        while beats < from + 5 do ws.sleep(0) end
        active = active - 1
        n = n + 1
      end))
      t.wait(function() return n == 3 end)
      assert.equal(1, most)
    end)

    it("leaves out what it missed while the loop was held up", function()
      local n = 0
      keep(ws.every(0.001, function() n = n + 1 end))
      local from = ws.now()
      repeat until ws.now() - from > 0.02
      t.turn(0)
      assert.is_true(n <= 1, n)
    end)

    it("may be cancelled while its function waits", function()
      local n, timer = 0, nil
      timer = ws.every(0.001, function()
        timer:cancel()
        ws.sleep(0.002)
        n = n + 1
      end)
      t.wait(function() return n == 1 end)
      for _ = 1, 5 do t.turn() end
      assert.equal(1, n)
    end)
  end)

  it("of timers is a number above 0, or 0 for after", function()
    for _, name in ipairs { "after", "every" } do
      for _, value in ipairs { -1, 0 / 0, "x", {}, true,
        name == "every" and 0 or -0.5 } do
        contains(kit.refusal(function()
          local timer = ws[name](value, print)
          return timer
        end), "bad argument #1")
      end
      for _, value in ipairs { 1, "f", {} } do
        contains(kit.refusal(function()
          local timer = ws[name](1, value)
          return timer
        end), "bad argument #2")
      end
      assert.is_false((pcall(ws[name], 1)))
    end
  end)

  it("of a timer is over at the end of its scope", function()
    local called = false
    do
      local timer <close> = ws.after(0, function() called = true end)
      assert.is_truthy(tostring(timer):find "^evws%.timer: .*%(set%)$")
    end
    for _ = 1, 3 do t.turn() end
    assert.is_false(called)
  end)

  it("of a timer is in what tostring says", function()
    local timer = ws.after(1, print)
    assert.is_truthy(tostring(timer):find "%(set%)$")
    timer:cancel()
    assert.is_truthy(tostring(timer):find "%(over%)$")
    assert.equal("evws.timer", debug.getmetatable(timer).__name)
  end)

  it("is kept by hundreds of timers", function()
    local n, early = 0, 0
    for _ = 1, 500 do
      local seconds = math.random() / 50
      local due = ws.now() + seconds
      ws.after(seconds, function()
        n = n + 1
        if ws.now() < due then early = early + 1 end
      end)
    end
    t.wait(function() return n == 500 end)
    assert.equal(0, early)
  end)

  it("is kept by 100,000 timers: order, numbers, cancelled ones", function()
    local n, log, early, wrong = 100000, {}, 0, 0
    local list, soonest, latest = {}, {}, {}
    for i = 1, n do
      local seconds = (i * 7919 % n) / n -- each a different one, mixed
      local at = ws.now() + seconds
      list[i] = ws.after(seconds, function()
        log[#log + 1] = i
        if ws.now() < at then early = early + 1 end
      end)
      soonest[i], latest[i] = at, ws.now() + seconds
    end
    local cancelled = 0
    for i = 1, n, 2 do
      if list[i]:cancel() then cancelled = cancelled + 1 end
    end
    assert.equal(n / 2, cancelled)
    t.wait(function() return #log >= n / 2 end, "the timers", 20)
    for _ = 1, 5 do t.turn() end
    assert.equal(n / 2, #log)
    assert.equal(0, early)
    local seen = {}
    for k, i in ipairs(log) do
      if i % 2 == 1 or seen[i] then wrong = wrong + 1 end
      seen[i] = true
      -- it was set between these two looks at the clock
      if k > 1 and latest[i] < soonest[log[k - 1]] then wrong = wrong + 1 end
    end
    assert.equal(0, wrong)
    for i = 1, n do assert(list[i]:cancel() == false) end
  end)

  it("of a task that dies is told to ws.on_error, once", function()
    local errors = kit.errors()
    keep(ws.after(0, function() error("after", 0) end))
    keep(ws.after(0, function()
      ws.sleep(0)
      error("waited", 0)
    end))
    local timer = keep(ws.every(0.001, function()
      ws.sleep(0)
      error("every", 0)
    end))
    t.wait(function() return #errors >= 4 end)
    timer:cancel()
    local count = {}
    for _, one in ipairs(errors) do
      assert.is_nil(one.conn)
      assert.is_truthy(one.traceback:find "stack traceback")
      count[one.message] = (count[one.message] or 0) + 1
    end
    assert.equal(1, count.after)
    assert.equal(1, count.waited)
    assert.is_true(count.every >= 2)
  end)
end)
