-- A listener and its connections (src/engine/server.c), above all its end.

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local close_frame = t.close_frame

local frame = t.frame
local second = t.factor

-- server:close in a task; outcome.done when it has ended.
local function closing(server, options)
  local outcome = {}
  t.ws.spawn(function()
    outcome.result, outcome.why = server:close(options)
    outcome.done = true
  end)
  t.turn()
  return outcome
end

local function wait_done(outcome)
  t.wait(function() return outcome.done end, "the end of the server")
  return outcome.result, outcome.why
end

describe("a server that closes", function()
  after_each(t.cleanup)

  it("says 1001 to everyone and waits for their answer", function()
    local server, log = kit.serve()
    local clients = {}
    for i = 1, 10 do clients[i] = t.open(server) end
    local outcome = closing(server)
    for _, client in ipairs(clients) do
      client:expect_close(1001)
      assert.is_nil(outcome.done)
      client:send(close_frame(1001))
      client:expect_eof()
    end
    assert.is_true((wait_done(outcome)))
    assert.equal(10, #log.closed)
    for _, ended in ipairs(log.closed) do
      assert.same({ 1001, "server closed" }, { ended[1], ended[2] })
    end
    assert.equal(0, server.connections)
  end)

  it("says the code and reason it is given", function()
    local server = kit.serve()
    local client = t.open(server)
    local outcome = closing(server, { code = 4000, reason = "maintenance" })
    assert.same({ 4000, "maintenance" }, { client:expect_close(4000) })
    client:send(close_frame(4000))
    assert.is_true((wait_done(outcome)))
  end)

  it("has nobody left to wait for when nobody is there", function()
    local server = kit.serve()
    assert.is_true((wait_done(closing(server))))
    assert.is_true((wait_done(closing(server)))) -- twice is harmless
  end)

  it("takes no new connection", function()
    local server = kit.serve()
    local client = t.open(server)
    local port = server.port
    local outcome = closing(server)
    local late = assert(t.probe.connect { port = port })
    t.wait(function()
      local ok, why = late:connected()
      return not ok and why ~= "again"
    end, "the refusal")
    late:close()
    client:send(close_frame(1001))
    assert.is_true((wait_done(outcome)))
  end)

  it("frees its port at once", function()
    local server = kit.serve()
    local port = server.port
    local client = t.open(server)
    client:finish()
    assert.is_true((wait_done(closing(server))))
    local again = t.listen { port = port }
    t.open(again)
  end)

  it("cuts who does not answer, after its timeout", function()
    local server, log = kit.serve()
    local good, bad = t.open(server), t.open(server)
    local began = t.probe.now()
    local outcome = closing(server, { timeout = 0.1 * second })
    good:expect_close(1001)
    good:send(close_frame(1001))
    assert.same({ nil, "timeout" }, { wait_done(outcome) })
    assert.is_true(t.probe.now() - began >= 0.09 * second)
    assert.equal(2, #log.closed)
    bad:expect_close(1001)
    assert.is_nil((bad:frame()))
  end)

  it("cuts at once with a timeout of 0", function()
    local server, log = kit.serve()
    for _ = 1, 3 do t.open(server) end
    wait_done(closing(server, { timeout = 0 }))
    assert.equal(3, #log.closed)
    assert.equal(0, server.connections)
  end)

  it("loses nothing that was sent before", function()
    local server, log = kit.serve { max_queued = false }
    local clients, piece = {}, ("x"):rep(1 << 20)
    for i = 1, 4 do clients[i] = t.open(server) end
    t.wait(function() return #log.conns == 4 end)
    for i, conn in ipairs(log.conns) do
      for _ = 1, 8 do assert(conn:send(piece)) end
      assert(conn:send("last of " .. i))
    end
    local outcome = closing(server)
    for i, client in ipairs(clients) do
      for _ = 1, 8 do
        assert.is_true(#client:frame().payload == #piece)
      end
      client:expect_frame("text", "last of " .. i)
      client:expect_close(1001)
      client:send(close_frame(1001))
    end
    assert.is_true((wait_done(outcome)))
    assert.equal(4, #log.closed)
  end)

  it("ends everything in flight, each once", function()
    local server, log = kit.serve { path = "/ws", max_queued = false,
      on_upgrade = function(r)
        if r.query == "slow" then t.ws.sleep(0.05 * second) end
      end,
      on_request = function()
        t.ws.sleep(0.05 * second)
        return 200, "answered"
      end,
      on_message = function(conn, message)
        if message == "slow" then t.ws.sleep(0.05 * second) end
        conn:send("re: " .. message)
      end }
    local function open() return t.open(server, { path = "/ws" }) end
    local idle, working, reading, half, leaving = open(), open(), open(),
      open(), open()
    t.wait(function() return #log.conns == 5 end)
    log.conns[3]:send(("x"):rep(12 << 20))
    working:send(frame("text", "slow"))
    half:send(frame("text", "unfinished"):sub(1, 9))
    leaving:send(close_frame(1000))
    local asked, upgrading, silent = t.raw(server), t.raw(server),
      t.raw(server)
    asked:send "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    upgrading:send("GET /ws?slow HTTP/1.1\r\nHost: localhost\r\n"
      .. "Upgrade: websocket\r\nConnection: Upgrade\r\n"
      .. "Sec-WebSocket-Version: 13\r\n"
      .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    kit.during(0.01)
    local outcome = closing(server, { timeout = 3 * second })
    local status, headers, body = asked:read_http()
    assert.same({ 200, "answered" }, { status, body })
    assert.is_truthy(headers.connection:find "close")
    assert.is_nil((silent:frame()))
    assert.equal(12 << 20, #reading:frame().payload)
    for _, client in ipairs { idle, working, reading, half } do
      local code
      repeat
        local f = assert(client:frame())
        code = f.code
      until code
      assert.equal(1001, code)
      client:send(close_frame(1001))
      client:close()
    end
    leaving:expect_close(1000)
    upgrading:close()
    wait_done(outcome)
    assert.is_true(#log.closed == #log.conns)
    local seen = {}
    for _, ended in ipairs(log.closed) do
      assert.is_nil(seen[ended[3]])
      seen[ended[3]] = true
    end
  end)

  it("can be closed from any of its handlers", function()
    for _, name in ipairs { "on_open", "on_message", "on_close",
      "on_request", "on_upgrade" } do
      local server, closed
      local options = { path = "/ws", [name] = function()
        t.ws.spawn(function() server:close { timeout = 0.05 * second } end)
        server:close { timeout = 0.1 * second }
        closed = true
      end }
      server = t.listen(options)
      local client = t.raw(server)
      if name == "on_request" then
        client:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      else
        client:send("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
          .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
          .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
          .. frame("text", "x") .. close_frame(1000))
      end
      t.wait(function() return closed and server.connections == 0 end)
      client:close()
    end
  end)

  it("leaves no descriptor behind", function()
    local before = t.fd_count()
    for _ = 1, 3 do
      local server = kit.serve { host = "localhost" }
      local client = t.open(server)
      t.raw(server)
      kit.during(0.005)
      local outcome = closing(server)
      client:expect_close(1001)
      client:send(close_frame(1001))
      assert.is_true((wait_done(outcome)))
      t.cleanup()
    end
    t.wait(function() return t.probe.fd_count() <= before end)
  end)

  it("removes the file of its Unix socket", function()
    local path = os.tmpname()
    os.remove(path)
    local server = kit.serve { unix = path }
    local client = t.open(server)
    client:send(frame("text", "x"))
    client:finish()
    assert.is_true((wait_done(closing(server))))
    assert.is_nil((io.open(path)))
  end)
end)

describe("a server", function()
  after_each(t.cleanup)

  it("counts its open connections", function()
    local server = kit.serve()
    assert.equal(0, server.connections)
    local a, b = t.open(server), t.open(server)
    local waiting = t.raw(server)
    t.turn()
    assert.equal(2, server.connections)
    a:finish()
    b:reset()
    t.wait(function() return server.connections == 0 end)
    waiting:close()
  end)

  it("gives its connections one at a time", function()
    local server, log = kit.serve()
    for _ = 1, 5 do t.open(server) end
    t.wait(function() return #log.conns == 5 end)
    local n = 0
    for conn in server:each() do
      n = n + 1
      if n == 1 then -- those gone meanwhile are skipped
        for _, other in ipairs(log.conns) do
          if other ~= conn then other:terminate() end
        end
      end
    end
    assert.equal(1, n)
  end)

  it("goes on accepting when connections come and go (BI-52)", function()
    local server, log = kit.serve()
    local rss
    for i = 1, 600 do
      local client = t.open(server)
      if i % 3 == 0 then client:reset()
      elseif i % 3 == 1 then client:finish()
      else client:close() end
      if i == 200 then
        collectgarbage()
        rss = t.probe.rss()
      end
    end
    t.wait(function() return server.connections == 0 end)
    t.wait(function() return #log.closed == 600 end)
    log.conns, log.closed = {}, {}
    collectgarbage()
    -- the address sanitizer keeps what is freed, and finds leaks itself
    local is_sanitized = require("evws.core").fail_at ~= nil
    assert.is_true(is_sanitized or t.probe.rss() - rss < 4 << 20)
  end)

  it("that has no descriptor left sheds, sleeps, and recovers (BI-113)",
    function()
      local script = [[
        local t = require "spec.helper"
        local server = t.listen { on_message = function(conn, message)
          conn:send(message)
        end }
        local calm, list = t.bystander(server), {}
        repeat
          local ok, client = pcall(t.raw, server)
          list[#list + 1] = ok and client or nil
          t.turn(0)
        until not ok
        local last, turns = t.probe.now() + 0.3, 0
        while t.probe.now() < last do
          t.ws.step(0.05)
          turns = turns + 1
        end
        print(#list > 5, turns < 50)
        calm.check()
        for _, client in ipairs(list) do client:close() end
        t.wait(function() return pcall(t.open, server) end)
        t.open(server):finish()
        print "well"]]
      local path = os.tmpname()
      local file = assert(io.open(path, "w"))
      file:write(("package.path, package.cpath = %q, %q\n"):format(
        package.path, package.cpath), script)
      file:close()
      local pipe = assert(io.popen(("ulimit -n 40; exec %s %s 2>&1"):format(
        os.getenv "LUA" or "lua5.4", path)))
      local text = pipe:read "a"
      pipe:close()
      os.remove(path)
      local said, rest = text:match "^(evws: cannot accept [^\n]*\n)(.*)$"
      assert.equal("true\ttrue\nwell\n", rest, text)
      t.contains(said, "(Too many open files)")
    end)
end)
