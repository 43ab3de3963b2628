-- What is over is collected, also where its handlers name it, which is how
-- everybody writes them. Each kind is made many times, in cycles with itself
-- and with what its handlers see.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local tls = require "spec.helper.tls"
local ws = t.ws
local url_of = t.url_of

local N = 50

-- Makes them N times; waits until none is left of what `make` returned.
local function expect_collected(make)
  local weak, n = setmetatable({}, { __mode = "k" }), 0
  for _ = 1, N do
    for _, object in ipairs { make() } do
      weak[object] = true
      n = n + 1
    end
  end
  assert.is_true(n >= N)
  local left
  pcall(t.wait, function()
    collectgarbage()
    left = 0
    for _ in pairs(weak) do left = left + 1 end
    return left == 0
  end, "all to be collected", 2)
  assert.equal(0, left, left .. " of " .. n .. " stay")
end

local function listen(options)
  options.host, options.port = "127.0.0.1", 0
  return assert(ws.listen(options))
end

-- A table that names an object, and a function that does.
local function box()
  local b = {}
  function b.see() return b end
  return b
end

local kinds = {
  ["a server"] = function()
    local b = box()
    b.server = listen { on_open = b.see, on_message = b.see, on_error = b.see,
      on_request = b.see, on_upgrade = b.see, origins = b.see }
    b.server:close()
    return b.server, b
  end,

  ["a server with routes"] = function()
    local b = box()
    b.server = listen { on_close = b.see, routes = {
      ["/a"] = { on_message = b.see }, ["/:x"] = { on_chunk = b.see } } }
    b.server:route("/later", { on_open = b.see })
    b.server:close()
    return b.server, b
  end,

  ["a server that had connections and topics"] = function()
    local b = box()
    b.server = listen { on_close = b.see, on_open = function(conn)
      b.conn = conn
      conn.data = b
      conn:subscribe("a")
      conn:on_close(b.see)
      b.server:publish("a", "x")
      b.server:broadcast "y"
    end }
    local raw = t.open(b.server)
    t.wait(function() return b.conn end)
    raw:close()
    t.wait(function() return b.conn.state == "closed" end)
    b.server:close()
    return b.server, b.conn, b
  end,

  ["a server that cut its connections"] = function()
    local b = box()
    b.server = listen { on_close = b.see, on_message = b.see }
    local conn = assert(ws.connect(url_of(b.server)))
    conn:pause()
    b.server:close { timeout = 0 }
    conn:terminate()
    t.wait(function() return conn.state == "closed" end)
    return b.server, conn, b
  end,

  ["a server with TLS"] = function()
    local b = box()
    local options = tls.options { on_open = b.see }
    b.server = listen(options)
    b.server:reload_tls()
    b.server:close()
    return b.server, b
  end,

  ["a server that is closed by its handler"] = function()
    local b = box()
    b.server = listen { on_open = function()
      ws.spawn(function() b.server:close { timeout = 0 } end)
    end }
    local raw = t.open(b.server)
    raw:read_http { limit = 0.01 }
    t.wait(function()
      return tostring(b.server):find "closed"
    end)
    raw:close()
    return b.server, b
  end,

  ["a closed client"] = function()
    local b = box()
    local server = listen {}
    b.conn = assert(ws.connect(url_of(server), { on_message = b.see,
      on_close = b.see, on_error = b.see }))
    b.conn.data = b
    b.conn:on_drain(b.see)
    b.conn:close()
    t.wait(function() return b.conn.state == "closed" end)
    server:close { timeout = 0 }
    return b.conn, server, b
  end,

  ["a client that never got through"] = function()
    local b = box()
    local is_over
    b.conn = ws.connect("ws+unix:///nowhere", { on_open = b.see,
      on_close = function() is_over = b end })
    t.wait(function() return is_over end)
    return b.conn, b
  end,

  ["a client that is closed between two attempts"] = function()
    local b = box()
    local is_lost
    b.conn = ws.connect("ws+unix:///nowhere", { on_open = b.see,
      reconnect = true, on_close = function() is_lost = b end })
    t.wait(function() return is_lost end)
    b.conn:close()
    return b.conn, b
  end,

  ["a timer"] = function()
    local b = box()
    local has_come
    b.after = ws.after(0, function() has_come = b end)
    b.cancelled = ws.after(60, b.see)
    b.every = ws.every(60, b.see)
    b.own = ws.every(0.0001, function() b.own:cancel() end)
    b.waits = ws.every(0.0001, function()
      b.waits:cancel()
      ws.sleep(0)
    end)
    b.raises = ws.after(0, function() error { b } end)
    t.wait(function() return has_come end)
    b.cancelled:cancel()
    b.every:cancel()
    return b.after, b.cancelled, b.every, b.own, b.waits, b.raises, b
  end,

  ["a writer"] = function()
    local b = box()
    local server = listen { on_open = function(conn)
      b.conn = conn
      b.finished = conn:writer()
      b.finished:finish()
      b.left = conn:writer()
      b.left:write "x"
      conn.data = b
    end }
    local raw = t.open(server)
    t.wait(function() return b.left end)
    raw:close()
    t.wait(function() return b.conn.state == "closed" end)
    server:close { timeout = 0 }
    return b.finished, b.left, b.conn, server, b
  end,

  ["a queue"] = function()
    local b = box()
    b.queue = ws.queue(1)
    b.queue:put(b)
    ws.spawn(function() b.got = b.queue:take() b.queue:take() end)
    t.wait(function() return b.got end)
    b.queue:close()
    return b.queue, b
  end,

  ["a task and its coroutine"] = function()
    local b = box()
    ws.spawn(function(...)
      local seen = { ... }
      ws.sleep(0)
      b.is_over = seen
    end, b)
    t.wait(function() return b.is_over end)
    return b
  end,

  ["a task that was hooked"] = function()
    local b = box()
    ws.spawn(function()
      debug.sethook(b.see, "l")
      b.is_over = b
    end)
    t.wait(function() return b.is_over end)
    return b
  end,

  ["a task that raised"] = function()
    local b = box()
    ws.spawn(function() error(b) end)
    ws.spawn(function()
      ws.sleep(0)
      b.is_over = b
      error(b)
    end)
    t.wait(function() return b.is_over end)
    t.turn()
    return b
  end,

  ["a handler that the module had"] = function()
    local b = box()
    ws.on_error(b.see)
    ws.watchdog(100, b.see)
    ws.watchdog(false)
    ws.on_error(function() end)
    return b
  end,

  ["a request"] = function()
    local b = box()
    local server = listen { on_request = function(request)
      b.request = request
      request.b = b
      return 200, "x"
    end, on_upgrade = function(request)
      b.upgrade = request
    end, on_open = function(conn)
      b.conn, b.own = conn, conn.request
    end }
    local raw = t.open(server)
    t.wait(function() return b.conn end)
    raw:close()
    raw = t.raw(server)
    raw:send "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    raw:read_http()
    raw:close()
    t.pump(server.close, server, { timeout = 0 })
    return b.request, b.upgrade, server, b
  end,
}

describe("what is over is collected:", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  for name, make in pairs(kinds) do
    it(name, function()
      ws.on_error(function() end)
      expect_collected(make)
    end)
  end
end)

-- In a process whose Lua holds little else, and that allocates nothing more.
local crowd = [[
  collectgarbage(%q)
  local weak = setmetatable({}, { __mode = "k" })
  local server = assert(ws.listen { port = 0, host = "127.0.0.1",
    on_open = function(conn) weak[conn] = true end })
  local url = "ws://127.0.0.1:" .. server.port
  local made = 0
  local function come_and_go(n)
    local all = {}
    for i = 1, n do
      local conn = assert(ws.connect(url))
      all[i], weak[conn] = conn, true
    end
    for i = 1, n do all[i]:close() end
    while server.connections > 0 do ws.sleep(0.01) end
    made = made + 2 * n
  end
  local function left()
    local n = 0
    for _ in pairs(weak) do n = n + 1 end
    return n
  end
  -- what goes behind a collection may be too few for a further one: more come
  ws.run(function()
    local limit = ws.now() + 60
    repeat
      for _ = 1, 10 do come_and_go(60) end
      local again = ws.now() + 10
      repeat ws.sleep(0.1) until left() < 300 or ws.now() > again
    until left() < 300 or ws.now() > limit
    assert(made >= 1200 and left() < 300, "some stay")
    server:close()
  end)
]]

describe("a crowd that has gone is collected", function()
  after_each(kit.cleanup)

  for _, mode in ipairs { "incremental", "generational" } do
    it("while nothing happens, by the " .. mode .. " collector", function()
      local child = kit.run(crowd:format(mode))
      assert.equal(0, child:ended(60), child:errors())
    end)
  end
end)

-- In a process that holds much else, of which the generational collector lets
-- a fifth gather before it looks, and then goes through all of it at once.
local busy = [[
  collectgarbage "generational"
  local ballast = {}
  for i = 1, 80 do ballast[i] = ("x"):rep((1 << 20) + i) end
  local server = assert(ws.listen { port = 0, host = "127.0.0.1",
    on_upgrade = function() return 403 end })
  local url = "ws://127.0.0.1:" .. server.port
  ws.run(function()
    collectgarbage()
    local before, most = collectgarbage "count", 0
    for _ = 1, 100 do
      local all = {}
      for i = 1, 50 do
        all[i] = ws.spawn(function() assert(not ws.connect(url)) end)
      end
      for i = 1, 50 do all[i]:wait() end
      most = math.max(most, collectgarbage "count" - before)
    end
    assert(#ballast == 80)
    server:close()
    print(("%.0f"):format(most))
  end)
]]

-- Each lives until a thousand others have come and gone.
local lasting = [[
  collectgarbage "generational"
  local server = assert(ws.listen { port = 0, host = "127.0.0.1" })
  local url = "ws://127.0.0.1:" .. server.port
  local own, most = {}, 0
  ws.run(function()
    collectgarbage()
    local before = collectgarbage "count"
    for i = 1, 24000 do
      local at = i % 1000
      if own[at] then own[at]:terminate() end
      own[at] = assert(ws.connect(url))
      most = math.max(most, collectgarbage "count" - before)
    end
    print(("%.0f"):format(most))
    os.exit(0)
  end)
]]

describe("a crowd that goes is collected", function()
  after_each(kit.cleanup)

  it("also when each has stayed for a while", function()
    local child = kit.run(lasting)
    assert.equal(0, child:ended(120), child:errors())
    local most = tonumber(child:output())
    assert.is_true(most < 14000, most .. " KiB")
  end)

  it("a part at a time, whatever else there is", function()
    local child = kit.run(busy)
    assert.equal(0, child:ended(60), child:errors())
    local most = tonumber(child:output())
    assert.is_true(most < 6000, most .. " KiB at once")
  end)
end)
