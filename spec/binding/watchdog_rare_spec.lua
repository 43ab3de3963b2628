-- ws.watchdog where the system or somebody else is in its way, and where
-- nobody can say who holds the loop up. Each in a process of its own.

local child = require "spec.helper.child"
local core = require "evws.core"
local t = require "spec.helper"

local limit = 0.05 * t.factor

-- While a process is stopped it computes nothing, and nobody can watch it.
local prelude = ([==[
  local limit = %g
  local function spin_here()
    local spun, last = 0, ws.now()
    repeat
      local now = ws.now()
      spun, last = spun + math.min(now - last, 0.01), now
    until spun > limit * 6
  end
  local told = {}
  local function tell(seconds, traceback)
    told[#told + 1] = { seconds = seconds, traceback = traceback }
  end
  -- What was told since: how often, whether long enough, with a place or not.
  local function report()
    local one = told[1] or {}
    log("told", #told, one.seconds and one.seconds >= limit,
      one.traceback and one.traceback:match "spin_here")
    told = {}
  end
  local function spin_in_task()
    local is_done
    ws.spawn(function()
      spin_here()
      is_done = true
    end)
    wait(function() return is_done end)
  end
]==]):format(limit)

-- Whoever is stopped in the middle of a turn holds its loop up as well, and is
-- told of: then it is seen once more.
local function expect(wanted, script, options)
  local lines, ok
  for _ = 1, 6 do
    lines, ok = child.run(prelude .. script, options or { faults = true })
    for i, line in ipairs(lines) do
      lines[i] = line:gsub("up for %d+%.%d+ s$", "up for N s")
    end
    if pcall(assert.same, wanted, lines) then break end
  end
  assert.same(wanted, lines)
  assert.is_true(ok)
end

local works = "told 1 true spin_here"

describe("a watchdog", function()
  it("is none without a thread, or where SIGURG is somebody else's",
    function()
      expect({ "nil no thread for the watchdog", "1",
        "nil SIGURG has a handler already", "true", "told 0 nil nil",
        "true", works, "true", "true" }, [[
        probe.faults.fail("pthread_create", 1, 11)
        log(ws.watchdog(limit, tell))
        log(probe.faults.hits())
        probe.state.catch_urgent "own"
        log(ws.watchdog(limit, tell))
        log(probe.state.has_own_urgent())
        spin_in_task()
        report()
        probe.state.catch_urgent "ignore"
        log(ws.watchdog(limit, tell))
        spin_in_task()
        report()
        probe.state.catch_urgent "own" -- from now on it is theirs
        log(ws.watchdog(false))
        log(probe.state.has_own_urgent())
      ]])
    end)

  it("is none without memory, and may be there later", function()
    if not core.fail_at then return pending "built without WS_FAULT" end
    expect({ "nil out of memory", "true", works }, [[
      require "evws.core".fail_at(1)
      log(ws.watchdog(limit, tell))
      require "evws.core".fail_at(0)
      log(ws.watchdog(limit, tell))
      spin_in_task()
      report()
    ]])
  end)

  it("stays where another state of the thread has one, which ends",
    function()
      local one = [[
        local ws = require "evws"
        assert(ws.watchdog(60))
        return "on"
      ]]
      expect({ "true on", "true on", works, works, works, "true" },
        ([==[
          local one = %q
          local first, second = probe.state.new(), probe.state.new()
          log(first:run(one))
          assert(ws.watchdog(limit, tell))
          log(second:run(one))
          spin_in_task()
          report()
          first:close() -- neither the first nor the last of its thread
          spin_in_task()
          report()
          second:close()
          spin_in_task()
          report()
          probe.state.new():close()
          log(ws.watchdog(false))
        ]==]):format(one))
    end)

  it("tells of what is no task, without a place, once", function()
    expect({ "told 1 true nil", "told 0 nil nil" }, [[
      local server = assert(ws.listen { host = "127.0.0.1", port = 0 })
      assert(ws.watchdog(limit, tell))
      local is_slow = true
      local function open()
        local conn
        ws.connect("ws://127.0.0.1:" .. server.port,
          { on_open = function(c) conn = c end })
        wait(function() return conn and server.connections > 0 end)
        conn:terminate()
        wait(function() return server.connections == 0 end)
      end
      ws.log = function(_, event)
        if event ~= "opened" or not is_slow then return end
        is_slow = false
        spin_here()
      end
      open()
      report()
      open()
      report()
    ]])
  end)

  it("may be turned off by what it calls, where there is no place either",
    function()
      expect({ "told 1 true nil", "true", works }, [[
        local server = assert(ws.listen { host = "127.0.0.1", port = 0 })
        local is_off
        local function tell_and_end(...)
          tell(...)
          is_off = ws.watchdog(false)
        end
        assert(ws.watchdog(limit, tell_and_end))
        local is_slow = true
        ws.log = function(_, event)
          if event == "accepted" and is_slow then spin_here() end
        end
        local raw = probe.net.connect { port = server.port }
        wait(function() return is_off end)
        report()
        is_slow = false
        raw:close()
        wait(function() return server:stats().pending == 0 end)
        log(ws.watchdog(limit, tell))
        spin_in_task()
        report()
      ]])
    end)

  it("says nothing of a signal that it has not sent, or sent once more",
    function()
      expect({ "told 0 nil nil", "true", "told 1 true nil" }, [[
        local file <close> = io.open "/proc/self/stat"
        local pid = file:read "n"
        local function signal(after)
          os.execute(("sleep %g; for i in 1 2 3; do kill -URG %d; done")
            :format(after, pid))
        end
        assert(ws.watchdog(limit * 100, tell))
        signal(0)
        local is_done
        ws.spawn(function()
          signal(0)
          is_done = true
        end)
        wait(function() return is_done end)
        report()
        assert(ws.watchdog(limit, tell))
        is_done = false
        ws.spawn(function()
          signal(limit * 6) -- in one C function: all of it
          is_done = true
        end)
        wait(function() return is_done end)
        log(#told == 1)
        report()
      ]], { faults = false })
    end)

  it("knows no place, and goes on, where there is no memory for it",
    function()
      expect({ "told 1 true nil", works }, [[
        assert(ws.watchdog(limit, tell))
        probe.memory.refuse()
        told[1] = false
        told[1] = nil
        local kept = { seconds = 0 }
        local function keep(seconds, traceback)
          kept.seconds, kept.traceback = seconds, traceback
          told[1] = kept
        end
        assert(ws.watchdog(limit, keep))
        local function deep(n) return n > 0 and 1 + deep(n - 1) or 0 end
        local is_done
        ws.spawn(function()
          collectgarbage "stop"
          deep(150) -- there is a stack
          probe.memory.refuse(0)
          spin_here()
          probe.memory.refuse()
          collectgarbage "restart"
          is_done = true
        end)
        wait(function() return is_done end)
        report()
        assert(ws.watchdog(limit, tell))
        spin_in_task()
        report()
      ]])
    end)

  -- A C function that is held up by the system and then waits, so that no Lua
  -- runs in between. `hold` returns in the turn behind that one.
  local function hold(wanted, script)
    expect(wanted, [[
      local is_over
      local function hold()
        is_over = false
        ws.spawn(function()
          probe.faults.hold("fcntl", limit * 6)
          ws.wait(0, "w", 0.001)
          is_over = true
        end)
        ws.step(0)
      end
    ]] .. script)
  end

  it("tells of C that is held up before it waits, and nothing later",
    function()
      hold({ "told 1 true nil", "told 0 nil nil", works }, [[
        assert(ws.watchdog(limit, tell))
        hold()
        report()
        wait(function() return is_over end)
        report()
        spin_in_task()
        report()
      ]])
    end)

  it("leaves nothing with a task where it is turned off meanwhile",
    function()
      hold({ "told 1 true nil", "told 0 nil nil" }, [[
        assert(ws.watchdog(limit, tell))
        hold()
        report()
        ws.watchdog(false)
        wait(function() return is_over end)
        spin_in_task()
        report()
      ]])
    end)

  it("writes one line to stderr where it knows no place", function()
    hold({ "evws: the loop has been held up for N s" }, [[
      assert(ws.watchdog(limit))
      hold()
      ws.watchdog(false)
    ]])
  end)
end)
