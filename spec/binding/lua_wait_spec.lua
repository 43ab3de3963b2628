-- ws.wait: a task waits for a descriptor of another library.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws, probe = t.ws, t.probe
local contains = t.contains

local has_socket, socket = pcall(require, "socket")

-- Two ends of a connection, as probe.socket; both are closed by `finally`.
local function pair()
  local listener = assert(probe.listen("127.0.0.1", 0))
  local raw = t.raw(listener.port)
  local other = t.wait(function() return listener:accept() end)
  listener:close()
  return raw, other
end

describe("ws.wait", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("returns when there is something to read", function()
    local raw, other = pair()
    local fd = other:fd()
    assert.same({ nil, "timeout" }, { ws.wait(fd, "r", 0.01) })
    assert.same({ nil, "timeout" }, { ws.wait(fd, "r", 0) })
    local got
    ws.spawn(function() got = { ws.wait(fd) } end)
    t.turn()
    t.turn()
    assert.is_nil(got)
    raw:send "x"
    t.wait(function() return got end)
    assert.same({ true }, got)
    assert.is_true(ws.wait(fd, "r", 0.5)) -- it was not read
    other:close()
  end)

  it("returns when there is room to write, and at the end", function()
    local raw, other = pair()
    assert.is_true(ws.wait(other:fd(), "w"))
    raw:close()
    assert.is_true(ws.wait(other:fd(), "r"))
    other:close()
  end)

  it("may be called for one descriptor by several", function()
    local raw, other = pair()
    local fd = other:fd()
    local tasks = {}
    for i = 1, 3 do tasks[i] = ws.spawn(ws.wait, fd, "r") end
    local writer = ws.spawn(ws.wait, fd, "w")
    assert.same({ true, true }, { writer:wait(t.limit) })
    raw:send "x"
    for i = 1, 3 do
      assert.same({ true, true }, { tasks[i]:wait(t.limit) })
    end
    other:close()
  end)

  it("keeps no descriptor watched once it is over", function()
    local raw, other = pair()
    local fd = other:fd()
    local task = ws.spawn(ws.wait, fd)
    t.turn()
    t.turn()
    task:cancel()
    assert.same({ nil, "cancelled" }, { task:wait() })
    ws.wait(fd, "r", 0)
    raw:send "x"
    t.turn()
    assert.is_true(ws.wait(fd, "r", t.limit))
    other:close()
    local child = kit.run [[
      local task = ws.spawn(ws.wait, 0, "r")
      ws.spawn(function() ws.sleep(0.01) task:cancel() end)
      say(ws.run())
    ]]
    assert.equal(0, child:ended())
    contains(child:output(), "true")
  end)

  it("is always over for a regular file", function()
    local file = assert(io.open("README.md"))
    local stat = assert(io.open "/proc/self/stat")
    local list = assert(io.popen(("ls -l /proc/%d/fd"):format(stat:read "n")))
    local fd = tonumber(list:read("a"):match "(%d+) %-> [^\n]*/README%.md\n")
    list:close()
    stat:close()
    assert.is_true(ws.wait(fd, "r", t.limit))
    assert.is_true(ws.wait(fd, "w", t.limit))
    file:close()
  end)

  it("takes objects that tell their descriptor", function()
    local raw, other = pair()
    local object = { getfd = function() return other:fd() end }
    assert.same({ nil, "timeout" }, { ws.wait(object, "r", 0) })
    raw:send "x"
    assert.is_true(ws.wait(object, "r", t.limit))
    other:close()
  end)

  it("judges its arguments", function()
    local text = "a descriptor, or an object with getfd, expected"
    for _, value in ipairs { -1, 1.5, "0", {}, io.stdout, 1 << 40,
      { getfd = function() return "x" end } } do
      contains(kit.refusal(function()
        local r = ws.wait(value, "r")
        return r
      end), text)
    end
    contains(kit.refusal(function() local r = ws.wait(0, "x") return r end),
      "invalid option 'x'")
    contains(kit.refusal(function() local r = ws.wait(0, "r", -1) return r end),
      "seconds must not be negative")
    contains(kit.refusal(function() local r = ws:wait(0) return r end),
      "call ws.wait, not ws:wait")
    assert.same({ nil, "Bad file descriptor" }, { ws.wait(9999, "r") })
  end)

  local luasocket = has_socket and it or pending
  luasocket("serves luasocket beside evws", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    server:settimeout(0)
    local _, port = server:getsockname()
    local task = ws.spawn(function()
      assert(ws.wait(server, "r", t.limit))
      local accepted = assert(server:accept())
      accepted:settimeout(0)
      local text = ""
      while not text:find "\n" do
        assert(ws.wait(accepted, "r", t.limit))
        local line, _, part = accepted:receive(100)
        text = text .. (line or part)
      end
      accepted:send(text:upper())
      accepted:close()
      return text
    end)
    local raw = t.raw(tonumber(port))
    raw:send "hel"
    t.turn()
    raw:send "lo\n"
    assert.same({ true, "hello\n" }, { t.pump(task.wait, task, t.limit) })
    server:close()
  end)
end)
