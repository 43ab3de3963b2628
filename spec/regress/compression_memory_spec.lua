-- Compressors of connections that are gone stayed resident: the allocator kept
-- their memory between smaller things that were still there.

local t = require "spec.helper"
local child = require "spec.helper.child"

local n_clients = 100
local options = { context_takeover = true, threshold = 100 }

-- Tells what it has when as many are there, and when they are gone again.
local script = [[
  local server = assert(ws.listen { host = "127.0.0.1", port = 0,
    compression = { context_takeover = true, threshold = 100 },
    on_message = function(conn, message) conn:send(message) end })
  log(server.port)
  for _, n in ipairs { 5, %d, %d } do
    wait(function() return server.connections == n end)
    local high = 0
    wait(function()
      high = math.max(high, probe.net.rss())
      return server.connections == 0
    end)
    collectgarbage()
    collectgarbage()
    log(high, probe.net.rss())
  end
]]

local function round(url, n)
  local list = {}
  t.pump(function()
    for i = 1, n do
      list[i] = assert(t.ws.connect(url, { compression = options }))
    end
    for i, conn in ipairs(list) do
      assert(conn.compressed)
      conn:send(("message %d, "):format(i):rep(3000))
      assert(#conn:receive() > 20000)
    end
  end)
  for _, conn in ipairs(list) do conn:close() end
end

describe("memory of compression", function()
  if os.getenv "ASAN_OPTIONS" then
    it("is the sanitizers' own there", pending)
    return
  end

  it("is given back when its connections have gone", function()
    local pipe = child.open(script:format(n_clients, n_clients))
    local url = ("ws://127.0.0.1:%d/"):format(pipe:read "n")
    round(url, 5)
    local _, first = pipe:read("n", "n")
    for _ = 1, 2 do
      round(url, n_clients)
      local high, after = pipe:read("n", "n")
      assert.is_true(high - first > 15 << 20, high - first)
      assert.is_true(after - first < 3 << 20, after - first)
    end
    assert.is_true(pipe:close())
  end)
end)
