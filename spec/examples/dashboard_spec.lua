-- The dashboard (examples/dashboard.lua).

local kit = require "spec.examples.kit"

describe("the dashboard", function()
  local child

  before_each(function() child = kit.serve "dashboard" end)
  after_each(kit.cleanup)

  local function numbers(conn)
    local fields = {}
    for name, number in assert(conn:receive(kit.limit)):gmatch "(%S+)=(%S+)" do
      fields[name] = assert(tonumber(number), name)
    end
    return fields
  end

  it("sends its numbers at once and every second", function()
    local conn = assert(kit.connect(child, "/stats"))
    local first, second = numbers(conn), numbers(conn)
    for _, name in ipairs { "open", "messages_in", "messages_out", "bytes_in",
      "bytes_out", "queued_bytes", "memory", "lua_memory", "busy_seconds",
      "lag_seconds" } do
      assert.is_number(first[name], name)
      assert.is_true(second[name] >= 0, name)
    end
    assert.equal(1, second.open)
    assert.is_true(second.now > first.now)
    local third = numbers(conn)
    assert.is_true(third.now - second.now > 0.5)
  end)

  it("counts the load that is made on its echo", function()
    local watch = assert(kit.connect(child, "/stats"))
    local before = numbers(watch)
    local echo = assert(kit.connect(child, "/echo"))
    for i = 1, 50 do
      echo:send("message " .. i)
      kit.expect(echo, "message " .. i)
    end
    local after
    repeat after = numbers(watch) until after.messages_in >= 50
    assert.equal(50, after.messages_in - before.messages_in)
    assert.equal(2, after.open)
    assert.is_true(after.bytes_in > before.bytes_in + 400)
  end)

  it("tells Prometheus the same", function()
    local status, headers, body = kit.http(child, "GET", "/metrics")
    assert.equal(200, status)
    assert.matches("version=0.0.4", headers["content-type"], 1, true)
    assert.is_truthy(body:find "\nevws_connections%S* 0\n")
  end)

  it("serves its page, and says when its port is taken", function()
    local _, _, body = kit.http(child, "GET", "/")
    assert.is_truthy(body:find("WebSocket Dashboard", 1, true))
    kit.refuses_a_taken_port "dashboard"
  end)
end)
