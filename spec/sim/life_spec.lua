-- evws.sim: entering and leaving; what is the same again with the same seed;
-- what is said of mistakes.

local t = require "spec.helper"
local sim = require "evws.sim"
local ws = t.ws

local lua = os.getenv "LUA" or "lua5.4"

local function raised(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok)
  return why
end

-- A bit of everything that goes by chance.
local program = [[
local ws, sim = require "evws", require "evws.sim"
local net = sim.new { seed = SEED, delay = { 0.001, 0.3 }, short = 0.3,
  trace = true }
net:run(function()
  local server = assert(ws.listen { port = 0, path = "/", compression = true,
    on_open = function(conn) conn:subscribe "all" end,
    on_message = function(conn, message)
      conn:publish("all", message, "binary")
      conn:send(math.random(1000) .. " at " .. os.time())
    end })
  local url = ("ws://localhost:%d/"):format(server.port)
  local conns = {}
  for i = 1, 10 do
    conns[i] = net:connect(url, { reconnect = { initial = 0.5 },
      on_message = function() end, on_open = function(conn)
        conn:send(ws.random(math.random(300)), "binary")
      end })
  end
  net:advance(5)
  net:reset(conns[3])
  net:vanish(conns[4])
  net:advance(200)
end)
]]

local function trace_of(seed)
  local text = program:gsub("SEED", seed)
  return assert(load(text .. "return net:trace()"))()
end

describe("the same seed", function()
  it("brings the same again, to the byte", function()
    local first = trace_of(7)
    assert.is_true(#first > 3000, first)
    for _ = 1, 3 do assert.is_true(first == trace_of(7)) end
    assert.is_true(first ~= trace_of(8))
  end)

  it("does so behind a network that had to be abandoned", function()
    -- left while the server's side waits for the end of the client's
    local function run()
      local net = sim.new { delay = 0.1, trace = true }
      net:run(function()
        local server = assert(ws.listen { port = 0, path = "/",
          on_message = function(conn, message) conn:send(message) end })
        local conn = net:connect(("ws://localhost:%d/"):format(server.port))
        conn:send "x"
        assert.equal("x", conn:receive())
        conn:close()
        net:advance(0.15)
      end)
      return net:trace()
    end
    local first = run()
    sim.new():run(function()
      local function again()
        ws.connect("ws://localhost:1/", { on_open = function() end,
          on_close = again })
      end
      again()
    end)
    assert.equal(first, run())
  end)

  it("does so in another process", function()
    local name = os.tmpname()
    local file = assert(io.open(name, "w"))
    assert(file:write((program:gsub("SEED", "7")), "io.write(net:trace())"))
    assert(file:close())
    local pipe = assert(io.popen(("%s %s"):format(lua, name)))
    local said = pipe:read "a"
    pipe:close()
    os.remove(name)
    assert.is_true(said == trace_of(7), said)
  end)
end)

describe("leaving a simulated network", function()
  after_each(t.cleanup)

  it("puts back the real one, with what is open there", function()
    local server = t.listen { path = "/", on_message = t.echo,
      keepalive_interval = 3600 }
    local conn = assert(ws.connect(t.url_of(server)))
    local before, zone = ws.now(), os.time()
    sim.new():run(function(net)
      assert.equal(0, net:now())
      assert.equal(1000000000, os.time())
      net:advance(1e6)
      assert.equal(1001000000, os.time())
      assert.equal("2001-09-20", os.date "!%Y-%m-%d")
      assert.equal(86400, os.time { year = 1970, month = 1, day = 2, hour = 0 }
        - os.time { year = 1970, month = 1, day = 1, hour = 0 })
    end)
    assert.is_true(ws.now() >= before and ws.now() < before + 1e5)
    assert.is_true(os.time() >= zone)
    conn:send "still here"
    assert.equal("still here", conn:receive(t.limit * t.factor))
    assert.equal(1, server.connections)
  end)

  it("does so when the spec raises, and its error is the error", function()
    local problem = {}
    local net, random, time = sim.new(), math.random, os.time
    local server
    assert.equal(problem, raised(net.run, net, function()
      server = ws.listen { port = 5000, path = "/" }
      error(problem)
    end))
    assert.equal(random, math.random)
    assert.equal(time, os.time)
    assert.is_truthy(tostring(server):find "closed")
    local real = t.listen { path = "/", on_message = t.echo }
    local conn = assert(ws.connect(t.url_of(real)))
    conn:send "real"
    assert.equal("real", conn:receive(t.limit * t.factor))
    -- and it can be entered again, from the start
    net:run(function()
      assert.equal(0, net:now())
      assert(ws.listen { port = 5000, path = "/" })
    end)
  end)

  it("ends what is open, and tells it once", function()
    local told, cancelled, beats, late = {}, 0, 0, false
    local conn, server, handle
    sim.new():run(function(net)
      server = ws.listen { port = 5000, path = "/",
        on_open = function(other)
          local _ <close> = setmetatable({}, { __close = function()
            cancelled = cancelled + 1 end })
          other:receive()
        end,
        on_close = function(_, code)
          told[#told + 1] = code
          ws.after(1, function() late = true end)
          ws.sleep(3600)
          late = true
        end }
      conn = net:connect "ws://localhost:5000/"
      ws.connect("ws://localhost:5001/", { reconnect = true,
        on_open = function() end })
      ws.every(1, function() beats = beats + 1 end)
      handle = ws.spawn(function() ws.sleep(1e9) end)
      net:advance(10)
    end)
    assert.same({ 1006 }, told)
    assert.equal(1, cancelled)
    assert.equal(10, beats)
    assert.is_false(late)
    assert.equal("closed", conn.state)
    assert.same({ nil, "closed" }, { conn:send "x" })
    assert.is_truthy(tostring(server):find "closed")
    assert.is_not_nil(handle)
    for _ = 1, 5 do collectgarbage() t.turn(0) end
    assert.equal(10, beats)
  end)

  it("has an end that a backplane may outlive", function()
    local kept, log = {}, ws.log
    finally(function() ws.log = log end)
    ws.log = function() end
    sim.new():run(function(net)
      local ok, made = pcall(ws.backplane, "redis://localhost:1")
      kept[1] = ok and made or nil
      net:advance(1)
    end)
    if not kept[1] then return pending "is skipped: built without hiredis" end
    assert.equal("closed", kept[1].state)
    kept[1] = nil
    collectgarbage()
    collectgarbage()
  end)

  it("has an end though handlers open without one", function()
    local n = 0
    sim.new():run(function(net)
      local function again()
        n = n + 1
        ws.spawn(again)
      end
      ws.spawn(function() pcall(ws.sleep, 1e6) again() end)
      net:advance(1)
    end)
    assert.is_true(n > 0)
    collectgarbage()
    collectgarbage()
  end)

  it("takes what a handler raised for a failure of the spec", function()
    local net = sim.new()
    local why = raised(net.run, net, function()
      ws.listen { port = 5000, path = "/",
        on_message = function() error "no such thing" end }
      local conn = net:connect "ws://localhost:5000/"
      conn:send "x"
      assert.equal(1011, (conn:wait()))
    end)
    t.contains(why, "a handler failed: ")
    t.contains(why, "no such thing")
    -- not where somebody listens for it
    local heard
    net:run(function()
      ws.on_error(function(_, message) heard = message end)
      ws.after(0, function() error "heard" end)
      net:advance(1)
    end)
    t.contains(heard, "heard")
  end)

  it("may be done by hand", function()
    local net = sim.new { delay = 0.5 }
    net:enter()
    local server = assert(ws.listen { port = 5000, path = "/" })
    local conn = net:connect "ws://localhost:5000/"
    assert.equal(2, net:now())
    net:leave()
    assert.equal("closed", conn.state)
    assert.is_truthy(tostring(server):find "closed")
    assert.has_error(function() net:now() end, "net:now: the network is not "
      .. "entered (use it in net:run, or behind net:enter)")
  end)

  it("gives results of the function", function()
    assert.same({ 1, nil, 3, n = 3 }, table.pack(sim.new():run(function()
      return 1, nil, 3
    end)))
    assert.same({ "a", "b" }, { sim.new():run(function(net, ...)
      assert.equal(0, net:now())
      return ...
    end, "a", "b") })
  end)

  it("gives back its memory", function()
    local function once()
      sim.new { trace = true, short = 0.5 }:run(function(net)
        ws.listen { port = 5000, path = "/", on_message = t.echo }
        for _ = 1, 50 do
          net:connect("ws://localhost:5000/"):send(("x"):rep(1000))
        end
        net:reset()
        net:advance(0.0005)
      end)
    end
    local memory = require "evws_probe".buf.used
    once()
    collectgarbage()
    collectgarbage()
    local fds, used = t.fd_count(), memory and memory()
    for _ = 1, 5 do once() end
    collectgarbage()
    collectgarbage()
    assert.equal(fds, t.fd_count())
    if memory then assert.is_true(memory() <= used + 4096) end
  end)
end)

describe("a server's file", function()
  it("goes on behind its ws.run, main as a task", function()
    local steps = {}
    sim.new():run(function(net)
      local chunk = assert(load [[
        local ws, steps = require "evws", ...
        ws.listen { port = 5000, path = "/" }
        ws.run(function()
          ws.sleep(5)
          steps[#steps + 1] = "main"
        end)
        steps[#steps + 1] = "behind"
        return ws.run { signals = false }
      ]])
      assert.is_true(chunk(steps))
      net:connect "ws://localhost:5000/"
      net:advance(6)
    end)
    assert.same({ "behind", "main" }, steps)
  end)
end)

describe("a mistake with a simulated network", function()
  local function line(fn)
    local why = raised(fn)
    return why:match "^spec/sim/life_spec.lua:%d+: (.*)" or why
  end

  it("is told at the caller's line", function()
    for expected, fn in pairs {
      ["unknown option 'sed' for 'sim.new' (did you mean 'seed'?)"] =
        function() sim.new { sed = 1 } end,
      ["bad option 'short' for 'sim.new' (0 to 1 expected)"] =
        function() sim.new { short = 2 } end,
      ["bad option 'delay' for 'sim.new' (seconds, or { least, most } "
        .. "expected)"] = function() sim.new { delay = { 2, 1 } } end,
      ["bad option 'seed' for 'sim.new' (an integer expected)"] =
        function() sim.new { seed = 0.5 } end,
      ["bad argument #1 to 'new' (table expected)"] =
        function() sim.new(1) end,
      ["bad argument #1 to 'run' (function expected)"] =
        function() sim.new():run() end,
      ["call net:run, not net.run"] = function() sim.new().run(print) end,
      ["net:trace: sim.new was not told to (option 'trace')"] =
        function() local net = sim.new() net:trace() end,
    } do
      assert.equal(expected, line(fn))
    end
  end)

  it("is told inside, and nothing is changed", function()
    sim.new():run(function(net)
      local server = ws.listen { port = 5000, path = "/", on_message = t.echo }
      local conn = net:connect "ws://localhost:5000/"
      assert.equal("a simulated network is entered already",
        (line(function() net:enter() end)))
      assert.equal("unknown option 'rte' for 'link' (did you mean 'rate'?)",
        line(function() net:link(conn, { rte = 1 }) end))
      assert.equal("bad argument #1 to 'advance' (seconds expected)",
        line(function() net:advance(-1) end))
      assert.equal("bad argument #2 to 'reset' (bytes expected)",
        line(function() net:reset(conn, -1) end))
      assert.equal("net:connect: cannot connect to ws://localhost:1: "
        .. "connection refused",
        line(function() net:connect "ws://localhost:1/" end))
      t.contains(raised(ws.fd), "has no descriptor")
      conn:close()
      conn:wait()
      net:advance(1)
      t.contains(raised(net.vanish, net, conn), "not open on this network")
      assert.equal(0, server.connections)
    end)
  end)

  it("is told in a handler", function()
    local inside, outside
    sim.new():run(function(net)
      ws.after(0, function() inside = raised(net.leave, net) end)
      net:advance(1)
    end)
    ws.after(0, function()
      local net = sim.new()
      outside = raised(net.run, net, function() end)
    end)
    t.wait(function() return outside end)
    t.contains(inside, "cannot be left in a handler or a task")
    t.contains(outside, "cannot be entered in a handler or a task")
  end)

  it("is told in ws.log, whose caller goes on with the network", function()
    local net, log, inside, outside, other = sim.new(), ws.log, nil, nil, nil
    finally(function() ws.log = log end)
    net:enter()
    ws.log = function()
      inside = inside or raised(net.leave, net)
    end
    assert(ws.listen { port = 5000, path = "/" })
    net:leave()
    ws.log = function()
      other = other or sim.new()
      outside = outside or raised(other.enter, other)
    end
    t.listen { path = "/" }
    ws.log = log
    t.contains(inside, "cannot be left in a handler or a task")
    t.contains(outside, "cannot be entered in a handler or a task")
  end)
end)
