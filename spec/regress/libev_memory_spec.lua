-- libev ends the process when it cannot enlarge its arrays ("cannot allocate
-- 576 bytes, aborting"): as many events at once as never before, or one more
-- descriptor, in a moment without memory.

local child = require "spec.helper.child"

-- The script has clients(n), which are open, all(bytes), which sends something
-- to each, answered(), how many of them have got something, and starve(fn),
-- which calls it while no memory is left and none is given back.
local prelude = [[
  local conns = {}
  local server = assert(ws.listen { host = "127.0.0.1", port = 0,
    on_open = function(conn) conns[#conns + 1] = conn end,
    on_message = function(conn, message) conn:send(message) end })
  ws.on_error(function() end)
  local list = {}
  local function dial()
    local c = assert(probe.net.connect { port = server.port })
    c:send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
      .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    return c
  end
  local function clients(n)
    for i = 1, n do
      list[i] = dial()
      wait(function() return #conns == i end)
      list[i]:recv()
    end
  end
  local function all(bytes)
    for _, c in ipairs(list) do c:send(bytes) end
  end
  local function answered()
    local n = 0
    for _, c in ipairs(list) do
      if c:recv() then n = n + 1 end
    end
    return n
  end
  local function hog()
    local pieces, size = {}, 1 << 20
    local function more() -- made while there is memory for it
      pieces = { pieces, ("x"):rep(size - 16) .. size }
    end
    while size >= 16 do
      while pcall(more) do end
      size = size // 2
    end
    return pieces
  end
  local function starve(fn)
    collectgarbage "stop"
    local pieces = hog()
    local ok, why = pcall(fn) -- a table for them could not be had
    pieces = nil
    collectgarbage "restart"
    collectgarbage()
    return ok, why
  end
  local message = "\129\133\0\0\0\0hello"
]]

local function run(script)
  local lines, ok, how, code = child.run(prelude .. script,
    { shell = "ulimit -v 200000;" })
  assert.same({ true, "exit", 0 }, { ok, how, code },
    table.concat(lines, "\n"))
  return lines
end

describe("without memory libev", function()
  if os.getenv "ASAN_OPTIONS" then
    it("is tried without the sanitizers, which need addresses", pending)
    return
  end

  it("hands on many events at once", function()
    assert.same({ "true", "300" }, run [[
      clients(300)
      all(message)
      log((starve(function()
        for _ = 1, 3 do ws.step(0) end
      end)))
      local n = 0
      wait(function()
        n = n + answered()
        return n == 300
      end)
      log(n)
    ]])
  end)

  it("watches no more than it can, and accepts again", function()
    local lines = run [[
      clients(10)
      local late = {}
      for i = 1, 150 do late[i] = dial() end
      log((starve(function()
        for _ = 1, 20 do ws.step(0) end
      end)))
      all(message)
      local n = 0
      wait(function()
        n = n + answered()
        return n == 10
      end)
      local again = dial()
      wait(function() return again:recv() end)
      log "accepted"
    ]]
    assert.equal("accepted", lines[#lines])
  end)

  it("tells every room that is changed in the same moment", function()
    assert.same({ "true" }, run [[
      clients(200)
      log((starve(function()
        for i, conn in ipairs(conns) do
          if i % 2 == 0 then conn:pause() end
        end
        ws.step(0)
        for i, conn in ipairs(conns) do
          if i % 2 == 0 then conn:resume() end
        end
        ws.step(0)
      end)))
      all(message)
      local n = 0
      wait(function()
        n = n + answered()
        return n == 200
      end)
    ]])
  end)

  it("opens no loop for a foreign one, and ends nothing", function()
    local lines = run [[
      clients(5)
      starve(function() ws.fd() end)
      all(message)
      wait(function() return answered() > 0 end)
      log "it lives"
    ]]
    assert.equal("it lives", lines[#lines])
  end)

  it("catches signals, or says that it cannot", function()
    local lines = run [[
      clients(5)
      starve(function()
        ws.after(0, ws.stop)
        ws.run()
      end)
      ws.after(0, ws.stop)
      ws.run()
      log "it lives"
    ]]
    assert.equal("it lives", lines[#lines])
  end)
end)

describe("without descriptors libev", function()
  it("is not made, and the process lives", function()
    local came = {}
    for left = 0, 6 do
      local lines, _, how, code = child.run("log 'loaded'", {
        shell = "ulimit -n 40;", before = ([[
          local list, file = {}, io.open "/dev/null"
          while file do
            list[#list + 1] = file
            file = io.open "/dev/null"
          end
          for _ = 1, %d do table.remove(list):close() end
        ]]):format(left) })
      local text = table.concat(lines, "\n")
      assert.equal("exit", how, text)
      came[#came + 1] = code == 0 and "loaded"
        or text:match "libev has no event loop to give" or "not found"
    end
    assert.equal("not found", came[1])
    assert.equal("loaded", came[#came])
    assert.is_truthy(table.concat(came, " "):find "libev has no event loop")
  end)
end)
