-- Waiting costs nothing: whatever state a connection is in, as long as nothing
-- can be done for it the loop sleeps.

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local close_frame = t.close_frame

local frame = t.frame
local second = t.factor

-- The engine alone is at work for a while; almost none of it is.
local function assert_asleep()
  local last, turns = t.probe.now() + 0.1 * second, 0
  local cpu = t.probe.cpu()
  while t.probe.now() < last do
    t.ws.step(0.02 * second)
    turns = turns + 1
  end
  cpu = t.probe.cpu() - cpu
  assert.is_true(turns <= 25, turns .. " turns")
  assert.is_true(cpu < 0.05 * second, cpu .. " s")
end

-- A connection whose handler waits until `go` is set, and its raw peer; five
-- messages have been sent.
local function held(options)
  local gate = {}
  options = options or {}
  function options.on_message()
    while not gate.go do t.ws.sleep(0.05 * second) end
  end
  local server, log = kit.serve(options)
  local client = t.open(server)
  client:send(frame("text", "x"):rep(5))
  t.wait(function() return #log.messages == 1 end)
  function gate.finish(n)
    gate.go = true
    t.wait(function() return #log.closed == 1 end, "on_close")
    assert.equal(n, #log.messages)
  end
  return gate, client, log
end

describe("the loop sleeps", function()
  after_each(t.cleanup)

  it("with nothing to do", function()
    t.open((kit.serve()))
    assert_asleep()
  end)

  it("while a handler waits with messages behind it", function()
    local gate, client = held()
    assert_asleep()
    client:send(close_frame(1000))
    gate.finish(5)
  end)

  it("while a handler waits and the peer has closed", function()
    local gate, client, log = held()
    client:send(close_frame(1000))
    assert_asleep()
    assert.equal(0, #log.closed)
    gate.finish(5)
    client:expect_close(1000)
  end)

  it("while a handler waits and the peer's half has ended", function()
    local gate, client = held()
    client:half_close()
    assert_asleep()
    gate.finish(5)
  end)

  it("while a handler waits and the peer has reset", function()
    local gate, client, log = held()
    client:reset()
    assert_asleep()
    gate.go = true
    t.wait(function() return #log.closed == 1 end, "on_close")
  end)

  it("while a handler waits and we have closed", function()
    local gate, client, log = held { close_timeout = 2 * second }
    log.conns[1]:close()
    client:expect_close(1000)
    assert_asleep()
    client:send(close_frame(1000))
    gate.finish(1)
  end)

  it("while a handler waits and we have terminated", function()
    local gate, client, log = held()
    log.conns[1]:terminate()
    assert_asleep()
    gate.finish(1)
    client:close()
  end)

  it("while it is paused with input behind it, and the peer gone", function()
    local server, log = kit.serve()
    for _, how in ipairs { "half_close", "reset", "close" } do
      local client = t.open(server)
      t.wait(function() return #log.conns > 0 end)
      local conn = log.conns[#log.conns]
      conn:pause()
      client:send(frame("text", "x"):rep(1000))
      kit.during(0.01)
      client[how](client)
      assert_asleep()
      conn:terminate()
    end
  end)

  it("while the peer does not read", function()
    local server, log = kit.serve { max_queued = false }
    local client = t.open(server)
    t.wait(function() return log.conns[1] end)
    for _ = 1, 12 do log.conns[1]:send(("x"):rep(1 << 20)) end
    client:send(frame("ping", "?"):rep(5) .. frame("text", "x"))
    kit.during(0.01)
    assert_asleep()
    client:half_close()
    assert_asleep()
    client:close()
  end)

  it("while a close frame waits for the peer to read", function()
    local server, log = kit.serve { max_queued = false }
    local client = t.open(server)
    t.wait(function() return log.conns[1] end)
    for _ = 1, 12 do log.conns[1]:send(("x"):rep(1 << 20)) end
    log.conns[1]:close()
    client:send(frame("text", "x"):rep(10))
    kit.during(0.01)
    assert_asleep()
    client:close()
  end)

  it("while nobody receives", function()
    local conn, raw = kit.connected()
    raw:send(frame("text", "x", { mask = false }):rep(5000))
    raw:send(frame("close", "\3\232", { mask = false }))
    kit.during(0.02)
    assert_asleep()
    raw:close()
    assert_asleep()
    conn:terminate()
  end)

  it("while a request is thought about", function()
    local go
    local client = t.raw(t.listen { on_request = function()
      while not go do t.ws.sleep(0.05 * second) end
      return 200
    end })
    client:send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"):send("GET /more")
    kit.during(0.01)
    assert_asleep()
    client:half_close()
    assert_asleep()
    go = true
    assert.equal(200, (client:read_http()))
  end)

  it("while an answer waits for the peer to read", function()
    local client = t.raw(t.listen { on_request = function()
      return 200, ("x"):rep(12 << 20)
    end })
    client:send(("GET / HTTP/1.1\r\nHost: x\r\n\r\n"):rep(3))
    kit.during(0.02)
    assert_asleep()
    client:close()
  end)

  it("while half a request has come", function()
    local client = t.raw(t.listen {})
    client:send "GET / HTTP/1.1\r\nHost:"
    kit.during(0.01)
    assert_asleep()
  end)
end)
