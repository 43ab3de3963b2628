-- Messages of a megabyte: their memory is used again, not asked for anew.

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

describe("long messages", function()
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
