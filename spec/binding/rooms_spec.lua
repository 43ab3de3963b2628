-- Who is in a room: server:each(topic), and the topics of a connection that
-- is over.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

-- A server, and n connections: accepted ones and raw ones, by their order.
local function room(n, options)
  local conns, raws = {}, {}
  local own = { on_open = function(c) conns[#conns + 1] = c end }
  for name, value in pairs(options or {}) do own[name] = value end
  local server = t.listen(own)
  for i = 1, n do
    raws[i] = t.open(server)
    t.wait(function() return conns[i] end)
  end
  return server, conns, raws
end

local function members(server, topic)
  local list = {}
  for conn in server:each(topic) do list[#list + 1] = conn.id end
  table.sort(list)
  return list
end

local function ids(...)
  local list = {}
  for _, conn in ipairs { ... } do list[#list + 1] = conn.id end
  return list
end

describe("server:each(topic)", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("goes through those who have subscribed, and no others", function()
    local server, c = room(4)
    assert.same({}, members(server, "a"))
    for i = 1, 3 do c[i]:subscribe "a" end
    c[4]:subscribe "b"
    assert.same(ids(c[1], c[2], c[3]), members(server, "a"))
    assert.same(ids(c[4]), members(server, "b"))
    assert.same(ids(c[1], c[2], c[3], c[4]), members(server))
    assert.same(ids(c[1], c[2], c[3], c[4]), members(server, nil))
    c[2]:unsubscribe "a"
    assert.same(ids(c[1], c[3]), members(server, "a"))
    assert.equal(2, server:subscribers "a")
    assert.same({}, members(server, "c"))
    server:broadcast "x"
    assert.same(ids(c[1], c[3]), members(server, "a"))
  end)

  it("is as it was when it was asked, without those who ended", function()
    local server, c, raws = room(3)
    for i = 1, 3 do c[i]:subscribe "a" end
    local next_one = server:each "a"
    local first = next_one()
    local rest = {}
    for i = 1, 3 do
      if c[i] ~= first then rest[#rest + 1] = i end
    end
    c[rest[1]]:terminate()
    t.wait(function() return c[rest[1]].state == "closed" end)
    c[rest[2]]:unsubscribe "a"
    assert.equal(c[rest[2]], next_one())
    assert.is_nil(next_one())
    assert.is_nil(next_one())
    for _, raw in ipairs(raws) do raw:close() end
  end)

  it("is judged, and is empty where the server is gone", function()
    local server, c = room(1)
    c[1]:subscribe "a"
    t.contains(kit.refusal(function()
      local r = server:each ""
      return r
    end), "a name of 1 to 65535 bytes expected")
    t.contains(kit.refusal(function()
      local r = server:each {}
      return r
    end), "string expected")
    t.pump(server.close, server, { timeout = 0 })
    assert.same({}, members(server, "a"))
    assert.same({}, members(server))
  end)

  it("holds many, while finalizers change who is in it", function()
    local server, c = room(20)
    for i = 1, 20 do c[i]:subscribe "a" end
    local mode = collectgarbage "incremental"
    for i = 1, 19 do
      setmetatable({}, { __gc = function()
        c[i]:unsubscribe "a"
        c[i]:subscribe("b" .. i)
      end })
    end
    local seen = 0
    while server:subscribers "a" > 1 do
      for conn in server:each "a" do
        assert.equal("open", conn.state)
        seen = seen + 1
      end
      collectgarbage("step", 1)
    end
    collectgarbage(mode)
    assert.is_true(seen > 0)
    assert.same(ids(c[20]), members(server, "a"))
  end)
end)

describe("the topics of a connection that is over", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  local function closing()
    local seen = {}
    local server, c, raws = room(2, { on_close = function(conn)
      local first = conn:topics()
      table.sort(first)
      ws.sleep(0)
      local later = conn:topics()
      table.sort(later)
      seen[#seen + 1] = { first, later,
        conn.server and conn.server:subscribers "a" }
    end })
    return server, c, raws, seen
  end

  for name, finish in pairs {
    ["by the peer's Close"] = function(_, raw) raw:finish() end,
    ["by a reset"] = function(_, raw) raw:reset() end,
    ["by close"] = function(conn, raw)
      conn:close()
      raw:send(t.close_frame(1000))
    end,
    ["by terminate"] = function(conn) conn:terminate() end,
  } do
    it("can be read in on_close, " .. name, function()
      local server, c, raws, seen = closing()
      c[1]:subscribe "a"
      c[1]:subscribe "b"
      c[1]:subscribe "c"
      c[1]:unsubscribe "b"
      c[2]:subscribe "a"
      server:publish("a", "x")
      raws[1]:expect_frame("text", "x")
      finish(c[1], raws[1])
      t.wait(function() return seen[1] end)
      assert.same({ { "a", "c" }, { "a", "c" } }, { seen[1][1], seen[1][2] })
      assert.equal(1, server:subscribers "a")
      assert.equal(0, server:subscribers "c")
      assert.same({ nil, "closed" }, { c[1]:subscribe "d" })
      assert.is_false(c[1]:unsubscribe "a")
      assert.same(ids(c[2]), members(server, "a"))
    end)
  end

  it("are none where it had none, broadcasts or not", function()
    local server, c, raws, seen = closing()
    server:broadcast "x"
    c[1]:subscribe "a"
    c[1]:unsubscribe "a"
    raws[1]:reset()
    raws[2]:reset()
    t.wait(function() return seen[2] end)
    assert.same({ {}, {} }, { seen[1][1], seen[2][1] })
  end)

  it("stay while the topic goes, and the server", function()
    local server, c = room(1)
    c[1]:subscribe "gone"
    t.pump(server.close, server, { timeout = 0 })
    server = nil
    collectgarbage()
    assert.is_nil(server)
    assert.same({ "gone" }, c[1]:topics())
  end)
end)
