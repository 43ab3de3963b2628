-- ws.watchdog: who holds the loop up is told, with where it is.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

local limit = 0.05 * t.factor -- a busy machine holds turns up, too

-- While this process is stopped it computes nothing, and nobody can watch it.
local spin = [[
local ws = require "evws"
local function spin_here(seconds)
  local spun, last = 0, ws.now()
  repeat
    local now = ws.now()
    spun, last = spun + math.min(now - last, 0.01), now
  until spun > seconds
end
]]

local spin_here = load(spin .. "return spin_here", "=spin")()

describe("a watchdog", function()
  local told = {}

  local function watch(fn, seconds)
    told = {}
    assert.is_true(ws.watchdog(seconds or limit, function(held, traceback)
      told[#told + 1] = { seconds = held, traceback = traceback }
      if fn then fn() end
    end))
  end

  after_each(function()
    ws.watchdog(false)
    kit.cleanup()
    t.cleanup()
  end)

  it("tells where a handler is that computes for too long, once", function()
    local server = t.listen { on_message = function(c, m)
      spin_here(limit * 6)
      c:send(m)
    end }
    local raw = t.open(server)
    watch()
    raw:send(t.frame("text", "x"))
    raw:expect_frame("text", "x")
    assert.equal(1, #told)
    assert.is_true(told[1].seconds >= limit)
    assert.is_truthy(told[1].traceback:find("spin_here", 1, true))
    assert.is_truthy(told[1].traceback:find "^stack traceback")
    raw:send(t.frame("text", "y"))
    raw:expect_frame("text", "y")
    assert.equal(2, #told)
  end)

  it("tells of one that blocks in C when it goes on", function()
    watch()
    t.pump(function()
      os.execute("sleep " .. limit * 6)
      local x = 0
      for i = 1, 100 do x = x + i end
      return x
    end)
    assert.equal(1, #told)
    assert.is_truthy(told[1].traceback:find("watchdog_spec", 1, true))
  end)

  it("tells of a C function that is all the task is", function()
    watch()
    ws.spawn(os.execute, "sleep " .. limit * 6)
    t.wait(function() return #told > 0 end)
    assert.equal(1, #told)
    assert.is_true(told[1].seconds >= limit * 4)
    assert.is_truthy(told[1].traceback:find("os.execute", 1, true))
  end)

  it("is silent while nobody holds the loop", function()
    local server = t.listen { on_message = function(c, m) c:send(m) end }
    local raw = t.open(server)
    local long = limit * 6
    watch(nil, long)
    local from = ws.now()
    repeat
      raw:send(t.frame("text", "x"))
      raw:expect_frame("text", "x")
    until ws.now() - from > long * 2
    ws.sleep(long * 2) -- a turn that waits is none
    spin_here(long * 2) -- nor is the script's own code
    t.turn()
    assert.same({}, told)
  end)

  it("may be turned off, also by what it calls", function()
    watch(function() ws.watchdog(false) end)
    t.pump(spin_here, limit * 6)
    assert.equal(1, #told)
    t.pump(spin_here, limit * 6)
    assert.equal(1, #told)
    assert.is_true(ws.watchdog(false))
    assert.is_true(ws.watchdog(false))
  end)

  it("puts back the hook that a debugger had set", function()
    local lines = 0
    local function hook() lines = lines + 1 end
    watch()
    t.pump(function()
      debug.sethook(hook, "l")
      spin_here(limit * 6)
      assert.equal(hook, debug.gethook())
      debug.sethook()
    end)
    assert.equal(1, #told)
    assert.is_true(lines > 0)
  end)

  it("survives a function that raises or waits", function()
    local child = kit.run(spin .. ([[
      local what = { function() error "told" end,
        function() ws.sleep(1) end, coroutine.yield }
      for _, fn in ipairs(what) do
        assert(ws.watchdog(%g, fn))
        ws.spawn(function()
          spin_here(%g)
          say "went on"
        end)
        ws.run()
      end
    ]]):format(limit, limit * 6))
    assert.equal(0, child:ended())
    assert.equal(("went on\n"):rep(3), child:output())
    local _, n = child:errors():gsub("evws: error in ws.watchdog: ", "")
    assert.equal(3, n)
    assert.is_truthy(child:errors():find("cannot wait here", 1, true))
  end)

  it("writes to stderr, or to ws.log, without a function", function()
    local child = kit.run(spin .. ([[
      local limit = %g
      assert(ws.watchdog(limit))
      ws.spawn(function() spin_here(limit * 6) end)
      ws.run()
      ws.log = function(level, event, fields)
        say(level, event, fields.seconds >= limit,
          fields.traceback:match "spin_here")
      end
      ws.spawn(function() spin_here(limit * 6) end)
      ws.run()
    ]]):format(limit))
    assert.equal(0, child:ended())
    assert.is_truthy(child:errors():find(
      "^evws: the loop has been held up for %d+%.%d+ s\n"))
    assert.is_truthy(child:errors():find("spin_here", 1, true))
    assert.equal("warning\theld_up\ttrue\tspin_here\n", child:output())
  end)

  it("is gone at lua_close, in a turn too", function()
    local child = kit.run [[
      assert(ws.watchdog(0.05))
      ws.spawn(function() os.exit(0, true) end)
      ws.run()
    ]]
    assert.equal(0, child:ended())
    assert.equal("", child:errors())
  end)

  it("wants seconds, or false, and a function", function()
    for _, arguments in ipairs { {}, { "x" }, { true }, { 0 }, { -1 },
      { 0 / 0 }, { 1 / 0 }, { 1, 5 }, { 1, {} } } do
      assert.is_false((pcall(ws.watchdog, table.unpack(arguments))))
    end
  end)
end)
