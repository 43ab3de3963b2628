-- Messages of a megabyte: their memory is used again, not asked for anew. In
-- Lua 5.5 they are strings without a copy.

local probe = require "evws_probe"
local child = require "spec.helper.child"

local is_sanitized = probe.buf.fail_at(0, false)

local script = [[
local function faults() -- of pages, of this process
  local file = assert(io.open "/proc/self/stat")
  local fields = file:read("a"):match "%) (.+)"
  file:close()
  return tonumber(fields:match(("%S+ "):rep(7) .. "(%d+)"))
end

local limits = { max_message = 4 << 20 }
local server = assert(ws.listen { host = "127.0.0.1", port = 0,
  max_message = limits.max_message,
  on_message = function(conn, message) conn:send(message, "binary") end })
local url = "ws://127.0.0.1:" .. server.port .. "/"
local conns, message = {}, ("x"):rep(1 << 20)
local function round()
  for _, conn in ipairs(conns) do conn:send(message, "binary") end
  for _, conn in ipairs(conns) do assert(#conn:receive() == #message) end
end
ws.run(function()
  for i = 1, 6 do conns[i] = assert(ws.connect(url, limits)) end
  for _ = 1, 20 do round() end
  local before = faults()
  for _ = 1, 40 do round() end
  log((faults() - before) // 40)
  ws.stop()
end)
]]

-- What is received is kept by the script, and by the state to its very end.
local keeping = [[
local server = assert(ws.listen { host = "127.0.0.1", port = 0,
  max_message = 4 << 20,
  on_message = function(conn, message) conn:send(message, "binary") end })
local url = "ws://127.0.0.1:" .. server.port .. "/"
local sizes = { 32767, 32768, 65535, 65536, 262144, 300000, 1048575, 1048576,
  3000001 }
kept = {} -- globals are looked at when the state is closed
local function made(size, seed)
  return (string.char(seed) .. "."):rep(size // 2) .. (size % 2 == 1 and "!"
    or "")
end
ws.run(function()
  local conn = assert(ws.connect(url, { max_message = 4 << 20 }))
  for round = 1, 3 do
    for _, size in ipairs(sizes) do
      conn:send(made(size, 64 + round), "binary")
      kept[#kept + 1] = assert(conn:receive())
    end
  end
  for i, message in ipairs(kept) do
    local round, k = (i - 1) // #sizes + 1, (i - 1) % #sizes + 1
    assert(message == made(sizes[k], 64 + round), i)
  end
  conn:close()
  server:close()
  collectgarbage()
  local last = kept[#kept] .. ""
  for i, message in ipairs(kept) do
    assert(#message == sizes[(i - 1) % #sizes + 1], i)
    assert(message:sub(-2) == made(#message, 64 + (i - 1) // #sizes + 1)
      :sub(-2), i)
  end
  log(#kept, #last)
  ws.stop()
end)
]]

-- Nothing of a long message is kept: how much is held at most, in MiB.
local dropping = [[
local server = assert(ws.listen { host = "127.0.0.1", port = 0,
  max_message = 1 << 20, on_message = function(conn) conn:send "" end })
local url = "ws://127.0.0.1:" .. server.port .. "/"
ws.run(function()
  local conn, most = assert(ws.connect(url)), 0
  for _ = 1, 200 do
    conn:send(("x"):rep(1 << 20))
    assert(conn:receive())
    most = math.max(most, server:stats().memory)
  end
  log(most // (1 << 20))
  ws.stop()
end)
]]

describe("long messages", function()
  it("stay what they are as long as a script has them", function()
    assert.same({ "27 3000001" }, child.run(keeping))
  end)

  it("are collected as they come", function()
    local lines = child.run(dropping)
    local most = tonumber(lines[1])
    assert(most, table.concat(lines, "\n"))
    assert.is_true(most < 24, most .. " MiB are held of 200 messages")
  end)

  it("cost no fresh pages once there were some", function()
    local file = io.open "/proc/self/stat"
    if not file or is_sanitized then
      return pending("another allocator, or no /proc")
    end
    file:close()
    local lines = child.run(script)
    local each = tonumber(lines[1])
    assert(each, table.concat(lines, "\n"))
    assert.is_true(each < 100, each .. " page faults for 12 MiB")
  end)
end)
