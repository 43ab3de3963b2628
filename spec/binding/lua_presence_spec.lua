-- Who is in a topic: presence of subscribers, joins and leaves.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains

-- A server that notes who comes and goes, and n connections.
local function room(n, options)
  local conns, raws, told = {}, {}, {}
  local own = { on_open = function(c) conns[#conns + 1] = c end,
    on_presence = function(topic, change, id, info, key)
      told[#told + 1] = table.concat({ change, topic, id, info, key }, " ")
    end }
  for name, value in pairs(options or {}) do own[name] = value end
  local server = t.listen(own)
  for i = 1, n do
    raws[i] = t.open(server)
    t.wait(function() return conns[i] end)
  end
  return server, conns, raws, told
end

local function ids(server, topic)
  local list = {}
  for i, one in ipairs(server:presence(topic)) do
    list[i] = ("%s:%s:%s:%d"):format(one.id, one.key, one.info, one.count)
  end
  return table.concat(list, " ")
end

local function settle() t.pump(ws.sleep, 0) end

describe("presence", function()
  after_each(function()
    ws.on_error(nil)
    kit.cleanup()
    t.cleanup()
  end)

  it("is who has subscribed with it, until he leaves", function()
    local server, c, raws, told = room(4)
    assert.same({}, server:presence "a")
    c[1]:subscribe("a", { presence = { id = "1", info = "Ann" } })
    c[2]:subscribe("a", { presence = { id = "2", info = "Bob" } })
    c[3]:subscribe("a", { presence = { id = "3" } })
    c[4]:subscribe "a"
    c[4]:subscribe("b", { presence = { id = "4", info = "Dan" } })
    assert.same({ { id = "1", key = "1", info = "Ann", count = 1 },
      { id = "2", key = "2", info = "Bob", count = 1 },
      { id = "3", key = "3", info = "", count = 1 } }, server:presence "a")
    c[1]:unsubscribe "a"
    raws[2]:reset()
    t.wait(function() return c[2].state == "closed" end)
    c[3]:close()
    raws[3]:finish()
    assert.same({}, server:presence "a")
    settle()
    assert.same({ "join a 1 Ann 1", "join a 2 Bob 2", "join a 3  3",
      "join b 4 Dan 4", "leave a 1 Ann 1", "leave a 2 Bob 2",
      "leave a 3  3" }, told)
  end)

  it("has ids of its own, each another", function()
    local server, c = room(2)
    for i = 1, 2 do c[i]:subscribe("a", { presence = "who" .. i }) end
    local list = server:presence "a"
    assert.equal("who1", list[1].info)
    assert.equal(list[1].id, list[1].key)
    assert.is_truthy(list[1].id:find "^%w+%-%d+$")
    assert.not_equal(list[1].id, list[2].id)
    c[1]:subscribe("b", { presence = "other" })
    assert.equal(list[1].id, server:presence "b"[1].id)
  end)

  it("is one for those with the same key, who come and go as one", function()
    local server, c, _, told = room(3)
    for i = 1, 3 do
      c[i]:subscribe("a", { presence = { id = "tab" .. i, key = "ann",
        info = "v" .. i } })
    end
    assert.equal("tab1:ann:v3:3", ids(server, "a"))
    c[1]:unsubscribe "a"
    c[3]:unsubscribe "a"
    assert.equal("tab1:ann:v3:1", ids(server, "a"))
    c[1]:subscribe("a", { presence = { id = "tab4", key = "ann" } })
    c[2]:unsubscribe "a"
    c[1]:unsubscribe "a"
    settle()
    assert.same({ "join a tab1 v1 ann" }, { told[1] })
    assert.equal(2, #told)
    contains(told[2], "leave a tab4")
  end)

  it("stays when the view changes, changes with what is said, and ends",
    function()
      local server, c, raws, told = room(1)
      server:view("loud", string.upper)
      c[1]:subscribe "a"
      c[1]:subscribe("a", { presence = { id = "1", info = "x" } })
      c[1]:subscribe("a", { view = "loud" })
      c[1]:subscribe "a"
      c[1]:subscribe("a", { presence = { id = "1", info = "y" } })
      assert.equal("1:1:y:1", ids(server, "a"))
      server:publish("a", "m")
      raws[1]:expect_frame("text", "m")
      c[1]:subscribe("a", { presence = { id = "2", info = "z" } })
      assert.equal("2:2:z:1", ids(server, "a"))
      c[1]:subscribe("a", { presence = false })
      c[1]:subscribe("a", { presence = false })
      assert.same({}, server:presence "a")
      assert.equal(1, server:subscribers "a")
      settle()
      assert.same({ "join a 1 x 1", "join a 2 z 2", "leave a 1 y 1",
        "leave a 2 z 2" }, told)
    end)

  it("is told in a topic too, in JSON", function()
    local server, c, raws = room(2, { history = {
      ["*"] = { size = 9, ttl = 9 } } })
    c[1]:subscribe "\0pa"
    local heard = {}
    server:hear("\0pa", function(m, kind, about)
      heard[#heard + 1] = { m, kind, about.offset }
    end)
    c[2]:subscribe("a", { presence = { id = "1", key = "k",
      info = '{"name":' } })
    c[2]:subscribe("a", { presence = { id = "2", key = "k2",
      info = '{"name":1}' } })
    c[2]:unsubscribe "a"
    local form = '{"%s":"%s","key":"%s","topic":"a","info":%s}'
    local bad = [["{\u0022name\u0022:"]]
    for _, m in ipairs { form:format("join", "1", "k", bad),
      form:format("join", "2", "k2", '{"name":1}'),
      form:format("leave", "1", "k", bad),
      form:format("leave", "2", "k2", '{"name":1}') } do
      raws[1]:expect_frame("text", m)
    end
    assert.same({ form:format("join", "1", "k", bad), "text" }, heard[1])
    assert.equal(4, #heard)
    assert.same({ nil, "not kept" }, { server:history "\0pa" })
  end)

  it("ends with the server, and that is told", function()
    local server, c, _, told = room(2)
    for i = 1, 2 do
      c[i]:subscribe("a", { presence = { id = "" .. i } })
    end
    t.pump(server.close, server, { timeout = 0 })
    settle()
    assert.equal(4, #told)
    assert.same({ nil, "closed" }, { server:presence "a" })
  end)

  it("holds thousands, and on_presence may wait and fail", function()
    local errors, n = kit.errors(), 0
    local server, c = room(1, { on_presence = function(_, _, id)
      if id == "5" then error "five" end
      ws.sleep(0)
      n = n + 1
    end })
    for i = 1, 3000 do
      c[1]:subscribe("a" .. i % 3, { presence = { id = "" .. i } })
    end
    t.wait(function() return n == 5995 end)
    assert.equal(2, #errors)
    contains(errors[2].message, "five")
    assert.equal(1, #server:presence "a1")
  end)

  it("is judged", function()
    local _, c = room(1)
    local function refused(presence)
      return kit.refused_call(c[1], "subscribe", "a", { presence = presence })
    end
    contains(refused(7), "bad option 'presence' (a string of at most 4096")
    contains(refused(true), "or false expected, got true")
    contains(refused(("x"):rep(4097)), "at most 4096 bytes")
    contains(refused { ifo = "" }, "unknown field 'ifo', did you mean 'info'?")
    contains(refused { info = ("x"):rep(4097) },
      "(info: a string of at most 4096 bytes expected)")
    contains(refused { id = ("x"):rep(256) }, "(id: a string of at most 255")
    contains(refused { key = 1 }, "(key: a string of at most 255")
    contains(kit.refused { port = 0, on_presence = 1 },
      "bad option 'on_presence' (function expected")
  end)
end)
