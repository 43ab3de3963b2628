-- The end of a server (src/engine/farewell.c) with many connections, and its
-- place being taken by the next one: the option fd, reuse_port.

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local processes = require "spec.binding.kit"
local close_frame = t.close_frame

local frame = t.frame
local second = t.factor

local function closing(server, options)
  local outcome = {}
  t.ws.spawn(function()
    outcome.result, outcome.why = server:close(options)
    outcome.done = true
  end)
  return outcome
end

describe("a server with many connections", function()
  after_each(t.cleanup)

  it("loses nothing that send has taken, and tells each end once", function()
    local server, log = kit.serve { max_queued = false,
      close_timeout = 60 * second } -- each has to wait for those before it
    local clients, piece = {}, ("x"):rep(20000)
    for i = 1, 200 do clients[i] = t.open(server, { rcvbuf = 4096 }) end
    t.wait(function() return #log.conns == 200 end)
    for i, conn in ipairs(log.conns) do
      for _ = 1, 5 do assert(conn:send(piece)) end
      assert(conn:send("last of " .. i))
    end
    local outcome = closing(server, { timeout = 60 * second })
    for i, client in ipairs(clients) do
      for _ = 1, 5 do client:expect_frame("text", piece) end
      client:expect_frame("text", "last of " .. i)
      client:expect_close(1001)
      client:send(close_frame(1001))
      client:expect_eof()
    end
    t.wait(function() return outcome.done end)
    assert.is_true(outcome.result)
    assert.equal(200, #log.closed)
    local seen = {}
    for _, ended in ipairs(log.closed) do
      assert.same({ 1001, "server closed" }, { ended[1], ended[2] })
      assert.is_nil(seen[ended[3]])
      seen[ended[3]] = true
    end
  end)

  it("tells them a hundred at a time, within its timeout", function()
    local server, log = kit.serve {}
    local clients = {}
    for i = 1, 250 do clients[i] = t.open(server) end
    t.wait(function() return #log.conns == 250 end)
    local function count(state)
      local n = 0
      for _, conn in ipairs(log.conns) do
        n = n + (conn.state == state and 1 or 0)
      end
      return n
    end
    local outcome = closing(server, { timeout = 10 * second })
    t.wait(function() return count "open" < 250 end)
    assert.equal(150, count "open")
    clients[250]:expect_silence() -- who is not told yet is served as before
    local steps = {}
    t.wait(function()
      local n = count "open"
      if n ~= steps[#steps] then steps[#steps + 1] = n end
      return n == 0
    end)
    assert.equal(0, steps[#steps])
    assert.is_true(#steps >= 2)
    for _, client in ipairs(clients) do
      client:expect_close(1001)
      client:send(close_frame(1001))
    end
    t.wait(function() return outcome.done end)
    assert.is_true(outcome.result)
    assert.equal(250, #log.closed)
  end)

  it("cuts them all when its time is over", function()
    local server, log = kit.serve {}
    for _ = 1, 250 do t.open(server) end
    t.wait(function() return #log.conns == 250 end)
    local began = t.probe.now()
    local outcome = closing(server, { timeout = 0.2 * second })
    t.wait(function() return outcome.done end)
    assert.same({ nil, "timeout" }, { outcome.result, outcome.why })
    assert.is_true(t.probe.now() - began < 2 * second)
    assert.equal(250, #log.closed)
  end)
end)

describe("a connection that has not asked yet", function()
  after_each(t.cleanup)

  it("is answered with 503 when the server closes, if it asks soon",
    function()
      local server = kit.serve()
      local accepted = t.raw(server)
      t.turn()
      local queued = t.raw(server) -- still in the kernel's queue
      local outcome = closing(server)
      t.turn()
      for _, client in ipairs { accepted, queued } do
        assert.equal(503, (client:upgrade()))
        client:close()
      end
      t.wait(function() return outcome.done end)
      assert.is_true(outcome.result)
    end)

  it("does not keep it from closing when it is silent", function()
    local server = kit.serve()
    local silent = t.raw(server)
    t.turn()
    local outcome = closing(server)
    assert.is_nil((silent:frame()))
    t.wait(function() return outcome.done end)
    assert.is_true(outcome.result)
  end)
end)

describe("the option fd", function()
  after_each(function()
    processes.cleanup()
    t.cleanup()
  end)

  it("takes a socket that listens, and tells where", function()
    local listener <close> = assert(t.probe.listen "127.0.0.1")
    local server = t.listen { fd = listener:inherit() }
    assert.equal(listener.port, server.port)
    assert.equal("127.0.0.1", server.host)
    t.open(listener.port):finish()
    assert.is_truthy(tostring(server):find("127.0.0.1:" .. listener.port, 1,
      true))
  end)

  it("leaves the socket to others when the server closes", function()
    local listener <close> = assert(t.probe.listen "127.0.0.1")
    local server = t.listen { fd = listener:inherit() }
    local before = t.raw(listener.port) -- waits in the kernel's queue
    assert.is_true(server:close()) -- before a turn could accept it
    local again = t.listen { fd = listener:inherit() }
    assert.equal(101, (before:upgrade()))
    t.open(listener.port):finish()
    assert.equal(listener.port, again.port)
  end)

  it("is refused where it is no such thing", function()
    local listener <close> = assert(t.probe.listen "127.0.0.1")
    local client = t.raw(listener.port)
    for fd, why in pairs {
      [client.socket:fd()] = "it is no stream socket that listens",
      [0xFFFF] = "Bad file descriptor",
    } do
      local server, message, code = t.ws.listen { fd = fd }
      assert.is_nil(server)
      assert.equal(("cannot listen on descriptor %d: %s"):format(fd, why),
        message)
      assert.equal("number", type(code))
    end
    for _, options in ipairs { { fd = 3, port = 0 },
      { fd = 3, unix = "/tmp/x" } } do
      local ok, why = pcall(t.ws.listen, options)
      assert.is_false(ok)
      assert.is_truthy(why:find("option 'fd' excludes 'port' and 'unix'", 1,
        true))
    end
  end)

  local serve = [[
    local server = assert(ws.listen { %s, on_message = function(conn, m)
      conn:send(m)
    end, on_open = function() say "open" end })
    say("ready " .. server.port)
    ws.run()]]

  -- Clients all the time while one process takes over from another.
  local function restart(first, port, start_second)
    local counts = { [101] = 0, [503] = 0, lost = 0 }
    local function connect()
      local from, took = t.probe.now(), nil
      local client = t.raw(port)
      function client:send(bytes)
        getmetatable(self).send(self, bytes)
        took = took or t.probe.now() - from
        return self
      end
      local ok, status = pcall(client.upgrade, client)
      if not ok and took > 0.8 then return end -- we were held up, a second too
      counts[ok and status or "lost"] = (counts[ok and status or "lost"] or 0)
        + 1
      if ok and status == 101 then
        local f = client:send(frame("text", "x")):frame()
        assert(f and (f.payload == "x" or f.code == 1001), "cut off")
      end
      client:close()
    end
    for _ = 1, 20 do connect() end
    local second_one = start_second()
    first:signal "TERM"
    t.wait(function()
      connect()
      return first:ended(0)
    end, "the first process to end")
    for _ = 1, 20 do connect() end
    second_one:signal "TERM"
    second_one:ended()
    return counts
  end

  it("lets a second process take over with no connection lost", function()
    local listener = assert(t.probe.listen "127.0.0.1")
    local port, fd = listener.port, listener:inherit()
    listener:close()
    local source = serve:format("fd = " .. fd)
    local first = processes.run(source)
    first:wait "^ready"
    local counts = restart(first, port, function()
      local child = processes.run(source)
      child:wait "^ready"
      return child
    end)
    t.probe.close_fd(fd)
    assert.equal(0, counts.lost)
    assert.is_true(counts[101] >= 40)
  end)

  it("or with reuse_port, by what one drains of its queue", function()
    local first = processes.run(serve:format "port = 0, reuse_port = true")
    local port = tonumber((first:wait "^ready (%d+)"))
    local counts = restart(first, port, function()
      local child = processes.run(serve:format("reuse_port = true, port = "
        .. port))
      child:wait "^ready"
      return child
    end)
    assert.equal(0, counts.lost)
    assert.is_true(counts[101] >= 40)
  end)
end)
