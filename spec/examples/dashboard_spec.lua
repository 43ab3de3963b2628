-- The dashboard (examples/dashboard.lua).

local kit = require "spec.examples.kit"

describe("the dashboard", function()
  local child

  before_each(function() child = kit.serve "dashboard" end)
  after_each(kit.cleanup)

  -- The last line of a message: what comes first has those of a minute; how
  -- many lines it has, and when the first one was made.
  local function numbers(conn)
    local fields, message = {}, assert(conn:receive(kit.limit))
    for name, number in message:match "[^\n]*$":gmatch "(%S+)=(%S+)" do
      fields[name] = assert(tonumber(number), name)
    end
    return fields, select(2, message:gsub("\n", "")) + 1,
      tonumber(message:match "now=(%S+)")
  end

  it("sends its numbers at once and every second", function()
    local conn = assert(kit.connect(child, "/stats"))
    local first, before, began = numbers(conn)
    local second = numbers(conn)
    for _, name in ipairs { "open", "messages_in", "messages_out", "bytes_in",
      "bytes_out", "queued_bytes", "memory", "lua_memory", "busy_seconds",
      "lag_seconds" } do
      assert.is_number(first[name], name)
      assert.is_true(second[name] >= 0, name)
    end
    assert.equal(1, second.open)
    assert.is_true(second.now > first.now)
    local third = numbers(conn) -- late perhaps, and never early
    assert.is_true(third.now - began >= before + 1 - 0.01)
  end)

  it("sends what was before to who comes later", function()
    local early = assert(kit.connect(child, "/stats"))
    local seen = {}
    for i = 1, 3 do seen[i] = numbers(early).now end
    local now, count = numbers(assert(kit.connect(child, "/stats")))
    assert.is_true(count >= 3)
    assert.is_true(now.now >= seen[3])
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

  it("serves its page, and refuses ports that are taken or none", function()
    kit.has_page(child, "WebSocket Dashboard")
    kit.refuses_ports "dashboard"
  end)
end)
