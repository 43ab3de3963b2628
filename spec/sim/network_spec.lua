-- evws.sim: servers and clients on a network that is slow, cuts what it
-- carries, and breaks; all of it in virtual time, so nothing here waits.

local t = require "spec.helper"
local sim = require "evws.sim"
local ws = t.ws

local function echo(extra)
  local options = { port = 5000, path = "/", on_message = t.echo }
  for name, value in pairs(extra or {}) do options[name] = value end
  return assert(ws.listen(options))
end

describe("a simulated network", function()
  it("carries messages, with its delay", function()
    sim.new { delay = 0.25 }:run(function(net)
      echo()
      local conn = net:connect "ws://localhost:5000/"
      -- there and back: for the connection, for its upgrade, for the message
      assert.equal(1, net:now())
      conn:send "hi"
      assert.equal("hi", conn:receive())
      assert.equal(1.5, net:now())
    end)
  end)

  it("brings long messages through short reads and writes whole", function()
    for seed = 1, 20 do
      sim.new { seed = seed, delay = { 0, 0.1 }, short = 0.5,
        buffer = 3000 }:run(function(net)
        echo { compression = seed % 2 == 0, max_message = 1 << 20 }
        local conn = net:connect("ws://localhost:5000/",
          { compression = seed % 2 == 0 })
        for n = 1, 5 do
          local message = ws.random(n * 5000)
          assert(conn:send(message, "binary"))
          assert.equal(message, conn:receive())
        end
      end)
    end
  end)

  it("refuses where nobody listens, and knows no other names", function()
    sim.new():run(function()
      local conn, why = ws.connect "ws://elsewhere.example:5001/"
      assert.is_nil(conn)
      t.contains(why, "connection refused")
      echo()
      local there = assert(ws.connect "ws://elsewhere.example:5000/")
      assert.equal("open", there.state)
    end)
  end)

  it("has ports of its own, and Unix sockets", function()
    sim.new():run(function(net)
      local first, second = echo { port = 0 }, echo { port = 0 }
      assert.is_true(first.port ~= second.port)
      local third, why = ws.listen { port = first.port, path = "/" }
      assert.is_nil(third)
      t.contains(why, "in use")
      assert(ws.listen { unix = "/nowhere/at/all", path = "/",
        on_message = t.echo })
      local conn = net:connect "ws+unix:/nowhere/at/all:/"
      conn:send "local"
      assert.equal("local", conn:receive())
    end)
  end)


  it("takes as long as the bytes of a slow line take", function()
    sim.new { delay = 0 }:run(function(net)
      echo { max_message = 1 << 20 }
      local conn = net:connect("ws://localhost:5000/", nil, { rate = 10000 })
      local began = net:now()
      conn:send(("x"):rep(100000))
      conn:receive()
      local took = net:now() - began
      assert(took > 20 and took < 20.1, took)
    end)
  end)

  it("closes in order, told once at each end", function()
    sim.new { delay = { 0, 0.3 }, short = 0.3 }:run(function(net)
      local told = {}
      local server = echo { on_close = function(_, ...)
        told[#told + 1] = { ... } end }
      local conn = net:connect "ws://localhost:5000/"
      conn:close(4001, "enough")
      assert.equal(4001, (conn:wait()))
      net:advance(1)
      assert.equal(1, #told)
      assert.same({ 4001, "enough" }, { told[1][1], told[1][2] })
      assert.equal(0, server.connections)
    end)
  end)

  it("drops who vanishes exactly when the keepalive says so", function()
    local moments = {}
    for _ = 1, 2 do
      sim.new { delay = 0.01 }:run(function(net)
        local gone = {}
        echo { keepalive_interval = 20, keepalive_timeout = 50,
          on_close = function(_, code)
            gone[#gone + 1] = { code, net:now() } end }
        local conn = net:connect "ws://localhost:5000/"
        net:advance(3)
        conn:send "last"
        conn:receive()
        net:vanish(conn)
        net:advance(49.9)
        assert.same({}, gone)
        net:advance(0.2)
        assert.equal(1, #gone)
        assert.equal(1006, gone[1][1])
        moments[#moments + 1] = gone[1][2]
        net:advance(3600)
        assert.equal(1, #gone)
      end)
    end
    assert.equal(moments[1], moments[2])
    -- heard last at 3.05, and ticks of the wheel are 10 ms
    assert(math.abs(moments[1] - 53.05) < 0.03, moments[1])
  end)

  it("keeps who answers, for a week", function()
    sim.new { delay = { 0.05, 0.4 }, short = 0.2 }:run(function(net)
      local pings = 0
      local server = echo { keepalive_interval = 30,
        on_pong = function() pings = pings + 1 end }
      local conn = net:connect "ws://localhost:5000/"
      net:advance(7 * 24 * 3600)
      assert.equal(1, server.connections)
      assert.equal("open", conn.state)
      conn:send "still here"
      assert.equal("still here", conn:receive())
    end)
  end)

  it("delivers what was sent meanwhile when it heals", function()
    sim.new { delay = 0.1 }:run(function(net)
      echo { keepalive_interval = 30, keepalive_timeout = 120 }
      local conn = net:connect "ws://localhost:5000/"
      net:vanish(conn)
      for n = 1, 10 do conn:send("message " .. n) end
      local none, why = conn:receive(60)
      assert.same({ nil, "timeout" }, { none, why })
      local healed = net:now()
      net:heal(conn)
      for n = 1, 10 do
        assert.equal("message " .. n, conn:receive())
      end
      assert(math.abs(net:now() - healed - 0.2) < 1e-9)
    end)
  end)

  it("is down for all, and up again", function()
    sim.new { delay = 0.1 }:run(function(net)
      echo()
      local conn = net:connect "ws://localhost:5000/"
      net:vanish()
      conn:send "hi"
      local other, why = ws.connect("ws://localhost:5000/",
        { timeout = 5 })
      assert.is_nil(other)
      t.contains(why, "timeout")
      assert.is_nil((conn:receive(0)))
      net:heal()
      assert.equal("hi", conn:receive())
      assert(ws.connect "ws://localhost:5000/")
    end)
  end)

  it("resets in the middle of a message", function()
    for after = 1, 100, 9 do
      sim.new { seed = after, delay = 0.01 }:run(function(net)
        local got, told = {}, 0
        local server = echo {
          on_message = function(_, message) got[#got + 1] = message end,
          on_close = function(_, code)
            told = told + 1
            assert.equal(1006, code)
          end }
        local conn = net:connect "ws://localhost:5000/"
        local other = net:connect "ws://localhost:5000/"
        conn:send "whole"
        net:reset(conn, after)
        conn:send(("x"):rep(100))
        assert.equal(1006, (conn:wait()))
        net:advance(1)
        assert.same({ "whole" }, got)
        assert.equal(1, told)
        assert.equal(1, server.connections)
        other:send "here"
        net:advance(1)
        assert.same({ "whole", "here" }, got)
        assert.is_nil((conn:send "lost"))
        other:terminate()
        net:advance(1)
        assert.equal(2, told)
      end)
    end
  end)

  it("shows a slow reader what is stalled", function()
    sim.new { delay = 0.01 }:run(function(net)
      local ended
      echo { stall_timeout = 30, max_queued = false,
        on_open = function(conn) conn:send(("x"):rep(1 << 20)) end,
        on_close = function(_, code, reason)
          ended = { code, reason, net:now() }
        end }
      local conn = net:connect "ws://localhost:5000/"
      conn:pause()
      net:advance(3600)
      assert.same({ 1006, "write stalled" }, { ended[1], ended[2] })
      assert(ended[3] > 30 and ended[3] < 32, ended[3])
    end)
  end)

  it("has a client come back, each wait longer than the last", function()
    sim.new { delay = 0.01 }:run(function(net)
      local opens, closes, gone = {}, {}, 0
      local server = echo()
      local conn = assert(ws.connect("ws://localhost:5000/", {
        reconnect = { initial = 1, maximum = 60, jitter = 0 },
        on_open = function() opens[#opens + 1] = net:now() end,
        on_close = function() closes[#closes + 1] = net:now() end,
        on_message = function() end }))
      net:advance(1)
      assert.equal(1, #opens)
      server:close { timeout = 0 }
      net:advance(100)
      server = echo { on_close = function() gone = gone + 1 end }
      assert.equal(1, #opens)
      local waits = {}
      for n = 2, #closes do waits[#waits + 1] = closes[n] - closes[n - 1] end
      for n = 2, #waits - 1 do
        local part = waits[n] / waits[n - 1]
        assert(part > 1.9 and part < 2.1, part)
      end
      assert(#waits >= 5, #waits)
      net:advance(60)
      assert.equal(2, #opens)
      assert.equal(1, server.connections)
      conn:terminate()
      net:advance(1)
      assert.equal(1, gone)
    end)
  end)

  it("finds it out when there is nothing to wait for", function()
    sim.new():run(function(net)
      echo { keepalive_interval = false }
      local conn = net:connect("ws://localhost:5000/",
        { keepalive_interval = false })
      local none, why = conn:receive()
      assert.same({ nil, "nothing to wait for" }, { none, why })
    end)
  end)

  it("ends its time at the limit", function()
    sim.new { limit = 1000 }:run(function(net)
      local beats = 0
      ws.every(1, function() beats = beats + 1 end)
      local none, why = ws.queue(1):take()
      assert.is_nil(none)
      assert.equal("nothing to wait for", why)
      assert.equal(1000, beats)
      assert.has_error(function() net:advance(1) end, "net:advance: the "
        .. "network's time is over (see its option 'limit')")
    end)
  end)

  it("has two servers and a client between them, and nobody waits for ever",
    function()
    sim.new { delay = { 0, 0.05 }, short = 0.2, buffer = 2000 }
      :run(function(net)
      echo { max_queued = false }
      local behind
      ws.listen { port = 5001, path = "/", max_queued = false,
        on_open = function(conn)
          conn.data = assert(ws.connect("ws://localhost:5000/"))
        end,
        on_message = function(conn, message)
          conn.data:send(message)
          behind = (behind or 0) + 1
          conn:send(conn.data:receive())
        end }
      local conn = net:connect "ws://localhost:5001/"
      local message = ("y"):rep(10000)
      for _ = 1, 20 do conn:send(message) end
      for _ = 1, 20 do assert.equal(message, conn:receive()) end
      assert.equal(20, behind)
    end)
  end)
end)

describe("a thousand clients", function()
  it("come, speak, and half of them vanish", function()
    local opened, closed, n = 0, {}, 1000
    local count = 0
    sim.new { delay = { 0.01, 0.2 }, short = 0.05 }:run(function(net)
      local server = echo { max_connections = 2000, keepalive_interval = 30,
        on_open = function() opened = opened + 1 end,
        on_close = function(conn)
          closed[conn] = (closed[conn] or 0) + 1
          count = count + 1
        end }
      local conns, echoed = {}, 0
      for i = 1, n do
        conns[i] = ws.connect("ws://localhost:5000/", {
          on_open = function(conn) conn:send("I am " .. i) end,
          on_message = function(_, message)
            if message == "I am " .. i then echoed = echoed + 1 end
          end })
      end
      net:advance(10)
      assert.equal(n, opened)
      assert.equal(n, echoed)
      assert.equal(n, server.connections)
      for i = 1, n, 2 do net:vanish(conns[i]) end
      net:advance(100)
      assert.equal(n // 2, server.connections)
      assert.equal(n // 2, count)
    end)
    assert.equal(n, count)
    local most = 0
    for _, times in pairs(closed) do most = math.max(most, times) end
    assert.equal(1, most)
  end)
end)
