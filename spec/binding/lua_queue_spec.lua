-- ws.queue: tasks that wait for one another; and ws.random.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

local lua = os.getenv "LUA" or "lua5.4"

-- Runs a script in a process of its own; what it wrote.
local function run(script)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  assert(file:write(script))
  file:close()
  local pipe = assert(io.popen(("timeout 80 %s %s 2>&1"):format(lua, path)))
  local output = pipe:read "a"
  assert(pipe:close(), output)
  os.remove(path)
  return output
end

describe("a queue", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("gives values back in their order", function()
    local queue = ws.queue(4)
    for _, value in ipairs { "a", false, 1.5, queue } do
      assert.is_true(queue:put(value))
    end
    assert.equal(4, #queue)
    assert.same({ nil, "full" }, { queue:put("e") })
    assert.equal("a", queue:take())
    assert.is_false(queue:take())
    assert.is_true(queue:put("e"))
    assert.equal(1.5, queue:take())
    assert.equal(queue, queue:take())
    assert.equal("e", queue:take())
    assert.equal(0, #queue)
    assert.same({ nil, "timeout" }, { queue:take(0) })
  end)

  it("lets who takes wait for who puts", function()
    local queue, got = ws.queue(1), nil
    ws.spawn(function() got = { queue:take() } end)
    t.pump(ws.sleep, 0)
    assert.is_nil(got)
    queue:put("x")
    t.wait(function() return got end)
    assert.same({ "x" }, got)
  end)

  it("serves those who wait in the order in which they came", function()
    local queue, log = ws.queue(1), {}
    for i = 1, 3 do
      ws.spawn(function()
        local value = queue:take()
        log[#log + 1] = i .. value
      end)
    end
    t.pump(function()
      ws.sleep(0)
      for _, value in ipairs { "a", "b", "c" } do
        assert.is_true(queue:put(value, 1))
      end
    end)
    t.wait(function() return #log == 3 end)
    assert.same({ "1a", "2b", "3c" }, log)
  end)

  it("lets who puts wait for room, with the seconds it is given", function()
    local queue, log = ws.queue(1), {}
    queue:put("a")
    for _, value in ipairs { "b", "c" } do
      ws.spawn(function()
        assert.is_true(queue:put(value, math.huge))
        log[#log + 1] = value
      end)
    end
    t.pump(function()
      ws.sleep(0)
      assert.same({}, log)
      for _, value in ipairs { "a", "b", "c" } do
        assert.equal(value, queue:take(1))
      end
    end)
    assert.same({ "b", "c" }, log)
    queue:put("d")
    assert.same({ nil, "timeout" }, { t.pump(queue.put, queue, "e", 0.01) })
    assert.equal("d", queue:take())
    assert.equal(0, #queue)
  end)

  it("has a time limit for taking, woken in vain or not", function()
    local queue = ws.queue(1)
    local from = ws.now()
    assert.same({ nil, "timeout" }, { t.pump(queue.take, queue, 0.02) })
    assert.is_true(ws.now() - from >= 0.02)
    local result
    ws.spawn(function() result = { queue:take(0.05) } end)
    from = ws.now()
    t.pump(function()
      while not result do -- who does not wait is always faster
        queue:put("x")
        queue:take()
        ws.sleep(0)
      end
    end)
    assert.same({ nil, "timeout" }, result)
    assert.is_true(ws.now() - from < t.limit * t.factor)
  end)

  it("tells who waits that it is closed, and keeps what is in it", function()
    local queue, log = ws.queue(1), {}
    for i = 1, 2 do
      ws.spawn(function() log[i] = { queue:take() } end)
    end
    t.pump(ws.sleep, 0)
    assert.is_true(queue:close())
    t.wait(function() return log[1] and log[2] end)
    assert.same({ { nil, "closed" }, { nil, "closed" } }, log)
    assert.same({ nil, "closed" }, { queue:put("x") })
    assert.is_true(queue:close())

    queue = ws.queue(1)
    queue:put("a")
    ws.spawn(function() log[3] = { queue:put("b", 1) } end)
    t.pump(ws.sleep, 0)
    queue:close()
    t.wait(function() return log[3] end)
    assert.same({ nil, "closed" }, log[3])
    assert.equal("a", queue:take())
    assert.same({ nil, "closed" }, { queue:take() })
    assert.same({ nil, "closed" }, { queue:take(1) })
  end)

  it("is an iterator, and is closed at the end of a scope", function()
    local seen, other = {}
    do
      local queue <close> = ws.queue(8)
      other = queue
      for _, value in ipairs { 1, "b", 3 } do queue:put(value) end
      ws.spawn(function()
        for value in queue do seen[#seen + 1] = value end
        seen[#seen + 1] = "end"
      end)
    end
    t.wait(function() return seen[4] end)
    assert.same({ 1, "b", 3, "end" }, seen)
    assert.is_truthy(tostring(other):find "^evws%.queue: .* %(0 of 8, closed%)")
  end)

  it("keeps memory in bounds, however many pass", function()
    local queue = ws.queue(100)
    for i = 1, 50 do queue:put(i) end
    local function pass(n)
      for _ = 1, n do
        queue:put(ws)
        queue:take()
      end
    end
    pass(1000)
    collectgarbage()
    local before = collectgarbage "count"
    pass(20000)
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 20)
  end)

  it("drives the loop in a script's own code", function()
    assert.equal("x\tnil\nnil\tnothing to wait for\nnil\ttimeout\n", run [[
      local ws = require "evws"
      local queue = ws.queue(1)
      ws.after(0.01, function() queue:put "x" end)
      print(queue:take(5), nil)
      print(queue:take())
      print(queue:take(0.01))
    ]])
    assert.equal("true\nnil\tnothing to wait for\n", run [[
      local ws = require "evws"
      local queue = ws.queue(1)
      queue:put "x"
      ws.after(0.01, function() queue:take() end)
      print(queue:put("y", 5))
      print(queue:put("z", math.huge))
    ]])
  end)

  it("has room on the stack, however often who drives is woken in vain",
    function()
      assert.equal("nil\ttimeout\n", run [[
        local ws = require "evws"
        local queue = ws.queue(1)
        ws.spawn(function()
          for _ = 1, 300000 do
            queue:put "x"
            queue:take()
            if _ % 100 == 0 then ws.sleep(0) end
          end
        end)
        print(queue:take(0.5))
      ]])
    end)

  it("does no harm when the state ends, whoever waits", function()
    assert.equal("closing\n", run [[
      local early = setmetatable({}, { __gc = function(self)
        print "closing"
        self.queue:close()
        self.queue:put "x"
      end })
      local ws = require "evws"
      local queue = ws.queue(1)
      early.queue = queue
      ws.spawn(function() queue:take() end)
      ws.spawn(function() ws.queue(1):take() end)
      ws.step()
      ws.step()
      collectgarbage()
    ]])
  end)

  it("raises where nobody can wait", function()
    local queue = ws.queue(1)
    local said
    ws.on_error(function(_, message) said = message end)
    ws.spawn(function()
      coroutine.wrap(function() queue:take() end)()
    end)
    t.wait(function() return said end)
    ws.on_error(nil)
    t.contains(said, "cannot wait here (use ws.spawn)")
    queue:put(1)
    assert.equal(1, coroutine.wrap(function() return queue:take() end)())
  end)

  it("takes what it says and nothing else", function()
    local queue = ws.queue(1)
    for _, call in ipairs {
      { "bad argument #1 to 'queue' (at least 1 expected)",
        function() return ws.queue(0) end },
      { "bad argument #1 to 'queue'", function() return ws.queue "x" end },
      { "bad argument #1 to 'queue'", function() return ws.queue() end },
      { "bad argument #1 to 'put' (nil cannot be put)",
        function() return queue:put(nil) end },
      { "bad argument #2 to 'put' (seconds must not be negative)",
        function() return queue:put(1, -1) end },
      { "bad argument #1 to 'take'", function() return queue:take "x" end },
      { "bad argument #1 to 'take' (evws.queue expected, got table; "
        .. "call queue:take, not queue.take)",
        function() return queue.take {} end },
    } do
      t.contains(kit.refusal(call[2]), call[1])
    end
  end)
end)

describe("ws.random", function()
  it("gives as many bytes as are asked for, others each time", function()
    for _, n in ipairs { 0, 1, 16, 63, 64, 65, 1000, 65536 } do
      assert.equal(n, #ws.random(n))
    end
    local seen = {}
    for _ = 1, 2000 do
      local bytes = ws.random(16)
      assert.is_nil(seen[bytes])
      seen[bytes] = true
    end
    local counts = {}
    for byte in ws.random(65536):gmatch "." do
      counts[byte] = (counts[byte] or 0) + 1
    end
    for code = 0, 255 do
      local n = counts[string.char(code)]
      assert.is_true(n > 128 and n < 512)
    end
  end)

  it("takes 0 to 65536", function()
    for _, n in ipairs { -1, 65537, 1.5, "x", {} } do
      t.contains(kit.refusal(function() return ws.random(n) end),
        "bad argument #1 to 'random'")
    end
  end)
end)
