-- ws.run, ws.stop, ws.step, and the signals. What needs a loop that nobody
-- else drives, or signals, runs in a child process.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains

-- A child that listens and says its port, with the other end of its
-- connections here.
local function server_child(source, n)
  local child = kit.run([[
    local server = assert(ws.listen { port = 0, host = "127.0.0.1",
      on_message = function(conn, m) conn:send(m) end,
      on_close = function(_, code, reason) say("on_close", code, reason) end })
    say("port " .. server.port)
  ]] .. source)
  local port = tonumber((child:wait "^port (%d+)$"))
  local raws = {}
  for i = 1, n or 1 do
    raws[i] = t.open(port)
    raws[i]:send(t.frame("text", "x"))
    raws[i]:expect_frame("text", "x")
  end
  return child, raws
end

local function passes(source)
  local child = kit.run(source)
  assert.equal(0, child:ended(), child:errors())
  assert.equal("", child:errors())
end

local function expect_1001(raws)
  for _, raw in ipairs(raws) do raw:expect_close(1001) end
end

local function answer(raws)
  for _, raw in ipairs(raws) do
    raw:send(t.frame("close", "\x03\xe9"))
    raw:expect_eof()
  end
end

describe("run", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("returns true when nothing is left to do", function()
    passes [[
      local log = {}
      assert(ws.run() == true)
      ws.after(0.005, function() log[#log + 1] = "timer" end)
      ws.spawn(function()
        ws.sleep(0.01)
        log[#log + 1] = "task"
      end)
      assert(ws.run() == true)
      assert(table.concat(log, " ") == "timer task")
    ]]
  end)

  it("goes on while a server listens or a connection is open", function()
    passes [[
      local closed
      local server = assert(ws.listen { port = 0,
        on_message = function(conn) conn:close() end })
      ws.spawn(function()
        local conn = assert(ws.connect("ws://localhost:" .. server.port))
        ws.sleep(0.01)
        conn:on_close(function() closed = true end)
        conn:send "x"
        assert(conn:receive() == nil)
        ws.sleep(0.01)
        server:close()
      end)
      assert(ws.run() == true)
      assert(closed and tostring(server):find "closed")
    ]]
  end)

  it("runs main as a task, which may wait", function()
    passes [[
      local done
      assert(ws.run(function()
        local server <close> = assert(ws.listen { port = 0,
          on_message = function(conn, m) conn:send(m) end })
        local conn <close> = assert(ws.connect("ws://localhost:"
          .. server.port))
        conn:send "x"
        done = conn:receive()
      end))
      assert(done == "x")
    ]]
  end)

  it("raises what main raised, as it was", function()
    local object = {}
    for _, value in ipairs { "text", object, 5 } do
      local ok, why = pcall(ws.run, function()
        ws.sleep(0)
        error(value, 0)
      end)
      assert.is_false(ok)
      assert.equal(value, why)
    end
    local ok, why = pcall(ws.run, function() error() end)
    assert.is_false(ok)
    assert.equal(select(2, pcall(error)), why) -- as Lua has it
    assert.equal(_VERSION == "Lua 5.5" and "<no error object>" or nil, why)
    ok, why = pcall(ws.run, function() coroutine.yield() end)
    assert.is_false(ok)
    contains(why, "attempt to yield")
    assert.is_true(ws.run(ws.stop))
  end)

  it("is left at once when main raised, others go on later", function()
    local n = 0
    local timer = ws.every(0.001, function() n = n + 1 end)
    assert.is_false((pcall(ws.run, function() error "x" end)))
    t.wait(function() return n > 1 end)
    timer:cancel()
  end)

  it("is ended by stop, in any handler", function()
    local timer = ws.every(0.001, ws.stop)
    assert.is_true(ws.run())
    assert.is_true(ws.run())
    timer:cancel()
    local server = t.listen { on_open = ws.stop }
    local raw = t.raw(server)
    raw:send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
      .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    assert.is_true(ws.run())
    assert.equal(1, server.connections)
  end)

  it("is not ended by a stop from before", function()
    ws.stop()
    local called
    ws.after(0.001, function()
      called = true
      ws.stop()
    end)
    assert.is_true(ws.run())
    assert.is_true(called)
  end)

  it("does not raise what main raises after a stop", function()
    local errors = kit.errors()
    assert.is_true(ws.run(function()
      ws.stop()
      ws.sleep(0.001)
      error "late"
    end))
    assert.is_true(ws.sleep(0.01))
    assert.equal(1, #errors)
    contains(errors[1].message, "late")
  end)

  it("tells errors of others to ws.on_error, and goes on", function()
    local errors, done = kit.errors(), nil
    ws.spawn(function() error "boom" end)
    ws.after(0.005, function()
      done = true
      ws.stop()
    end)
    assert.is_true(ws.run())
    assert.is_true(done)
    assert.equal(1, #errors)
  end)

  it("wants a function, options, or both", function()
    for _, value in ipairs { 5, "f", true } do
      assert.is_false((pcall(ws.run, value)))
      assert.is_false((pcall(ws.run, print, value)))
    end
    contains(kit.refusal(function()
      local ok = ws.run { signal = false }
      return ok
    end), "unknown option 'signal' for 'run'")
    contains(kit.refusal(function()
      local ok = ws.run { signals = 1 }
      return ok
    end), "'signals'")
    assert.is_true(ws.run(ws.stop, { signals = false }))
    ws.spawn(ws.stop)
    assert.is_true(ws.run { signals = true })
  end)

  describe("step", function()
    it("runs one turn and leaves everything where it is", function()
      local n = 0
      local timer = ws.every(0.0005, function() n = n + 1 end)
      local from = ws.now()
      repeat
        local before = n
        ws.step(0.1)
        assert.is_true(n <= before + 1)
      until n == 3
      assert.is_true(ws.now() - from < t.limit * t.factor)
      timer:cancel()
    end)

    it("waits at most as long as it is told", function()
      local from = ws.now()
      ws.step()
      ws.step(0)
      assert.is_true(ws.now() - from < t.limit * t.factor)
      local timer = ws.after(60, print)
      from = ws.now()
      ws.step(0.02)
      local took = ws.now() - from
      assert.is_true(took >= 0.015 and took < t.limit * t.factor)
      timer:cancel()
    end)

    it("wants seconds that are not negative", function()
      for _, value in ipairs { -1, 0 / 0, "x", {} } do
        contains(kit.refusal(function()
          local ok = ws.step(value)
          return ok
        end), "bad argument #1 to 'step'")
      end
    end)
  end)

  describe("in a process of its own", function()
    it("ends when the last server is closed", function()
      local child, raws = server_child [[
        ws.spawn(function()
          while server.connections < 2 do ws.sleep(0.001) end
          say(server:close())
        end)
        say(ws.run())
      ]]
      raws[2] = t.open(raws[1].host:match ":(%d+)$" // 1)
      expect_1001(raws)
      answer(raws)
      assert.equal(0, child:ended())
      contains(child:output(), "on_close\t1001\tserver closed\n")
      assert.is_truthy(child:output():find "true\ntrue\n$")
    end)

    for _, name in ipairs { "INT", "TERM" } do
      it("at SIG" .. name .. " closes every server with 1001", function()
        local child, raws = server_child([[
          local other = assert(ws.listen { port = 0 })
          say(ws.run())
          say(tostring(server):match "%((%a+)%)",
            tostring(other):match "%((%a+)%)")
        ]], 3)
        child:signal(name)
        expect_1001(raws)
        assert.is_nil(child:output():find "interrupted")
        answer(raws)
        assert.equal(0, child:ended())
        contains(child:output(), "nil\tinterrupted\nclosed\tclosed\n")
        assert.equal("", child:errors())
      end)
    end

    it("at a second signal cuts", function()
      local child, raws = server_child([[
        say(ws.run())
      ]], 2)
      child:signal "INT"
      expect_1001(raws)
      child:signal "INT"
      assert.equal(0, child:ended())
      contains(child:output(), "nil\tinterrupted\n")
      contains(child:output(), "on_close\t1001")
    end)

    it("without servers is interrupted at once, main as well", function()
      local child = kit.run [[
        say(ws.run(function()
          say "running"
          ws.sleep(60)
        end))
      ]]
      child:wait "running"
      child:signal "TERM"
      assert.equal(0, child:ended())
      assert.equal("running\nnil\tinterrupted\n", child:output())
    end)

    it("puts back the handlers that were there before", function()
      local child = server_child [[
        ws.after(0.01, function() ws.stop() end)
        say(ws.run())
        ws.after(60, print)
        say "again"
        ws.run { signals = false }
      ]]
      child:wait "again"
      child:signal "TERM"
      assert.equal(128 + 15, child:ended())
    end)

    it("with signals = false takes none", function()
      local child = server_child [[
        say "running"
        ws.run { signals = false }
      ]]
      child:wait "running"
      child:signal "TERM"
      assert.equal(128 + 15, child:ended())
      assert.is_nil(child:output():find "on_close")
    end)

    it("leaves an ignored signal ignored", function()
      local child = kit.run([[
        local server = assert(ws.listen { port = 0 })
        ws.spawn(function()
          say "ready"
          while server.connections == 0 do ws.sleep(0.001) end
          ws.stop()
        end)
        say(server.port)
        say(ws.run())
      ]], true)
      local port = tonumber((child:wait "^(%d+)$"))
      child:signal "TERM"
      t.open(port)
      assert.equal(0, child:ended())
      assert.is_truthy(child:output():find "true\n$")
    end)

    it("at SIGINT in a waiting call outside lets Lua say so", function()
      for what, source in pairs {
        ["ws.sleep"] = "ws.sleep(60)",
        ["conn:receive"] = "assert(ws.connect('ws://127.0.0.1:' .. "
          .. "server.port)):receive()",
        ["server:close"] = "client = ws.connect('ws://127.0.0.1:' .. "
          .. "server.port) client:pause() server:close()",
      } do
        local child = server_child(
          "ws.after(0.02, function() say 'waiting' end) " .. source
          .. "\nsay 'not reached'", 0)
        child:wait "waiting"
        child:signal "INT"
        assert.equal(1, child:ended(), what)
        contains(child:errors(), "interrupted!")
        assert.is_nil(child:output():find("not reached", 1, true))
      end
    end)

    it("after such a SIGINT that was caught goes on as before", function()
      local child = kit.run [[
        local ok, why = pcall(function()
          ws.after(0.01, function() say "waiting" end)
          ws.sleep(60)
        end)
        say(ok, why)
        say(ws.sleep(0.001))
      ]]
      child:wait "^waiting"
      child:signal "INT"
      child:wait "^false\t.*(interrupted!)"
      assert.equal(0, child:ended())
      assert.is_truthy(child:output():find "true\n$")
    end)

    it("does not take SIGTERM in a waiting call outside", function()
      local child = kit.run [[
        ws.after(0.01, function() say "waiting" end)
        ws.sleep(60)
      ]]
      child:wait "waiting"
      child:signal "TERM"
      assert.equal(128 + 15, child:ended())
    end)

    it("does not reap children that io.popen waits for", function()
      local child = kit.run [[
        local pipe = io.popen("exit 7")
        ws.sleep(0.02)
        say(pipe:close())
      ]]
      assert.equal(0, child:ended())
      assert.equal("nil\texit\t7\n", child:output())
    end)
  end)
end)
