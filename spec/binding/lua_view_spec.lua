-- Views of topics: what becomes of a message for those who have one.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains

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

local function shout(message) return message:upper() end

describe("a view", function()
  after_each(function()
    ws.on_error(nil)
    kit.cleanup()
    t.cleanup()
  end)

  it("is made once for each message, for all who have it", function()
    local server, c, raws = room(4)
    local calls = {}
    server:view("loud", function(message, kind, about)
      calls[#calls + 1] = { message, kind, about.topic, about.meta }
      return message:upper(), kind
    end)
    assert.equal(0, server:publish("a", "nobody"))
    assert.is_true(c[1]:subscribe("a", { view = "loud" }))
    assert.is_true(c[2]:subscribe("a", { view = "loud" }))
    assert.is_true(c[3]:subscribe "a")
    assert.equal(3, server:subscribers "a")
    assert.equal(3, server:publish("a", "x", "binary", { meta = "m\0" }))
    raws[1]:expect_frame("binary", "X")
    raws[2]:expect_frame("binary", "X")
    raws[3]:expect_frame("binary", "x")
    raws[4]:expect_silence()
    assert.same({ { "x", "binary", "a", "m\0" } }, calls)
    assert.equal(2, c[1]:publish("a", "y"))
    raws[2]:expect_frame("text", "Y")
    raws[3]:expect_frame("text", "y")
    raws[1]:expect_silence()
  end)

  it("leaves out what it returns nothing for", function()
    local server, c, raws = room(2)
    server:view("even", function(m)
      return tonumber(m) % 2 == 0 and m or nil
    end)
    c[1]:subscribe("a", { view = "even" })
    c[2]:subscribe "a"
    assert.equal(1, server:publish("a", "1"))
    assert.equal(2, server:publish("a", "2"))
    assert.equal(1, server:publish("a", "3", "text", { except = { c[2] } })
      + server:publish("a", "4", "text", { except = { c[2] } }))
    raws[1]:expect_frame("text", "2")
    raws[1]:expect_frame("text", "4")
    raws[2]:expect_frame("text", "1")
    raws[2]:expect_frame("text", "2")
    raws[2]:expect_silence()
  end)

  it("keeps its place among everything else that is sent", function()
    local server, c, raws = room(1)
    server:view("loud", shout)
    c[1]:subscribe("a", { view = "loud" })
    c[1]:subscribe "b"
    t.pump(function()
      server:publish("a", "1")
      c[1]:send "2"
      server:publish("b", "3")
      server:publish("a", "four")
      server:broadcast "5"
      server:publish("a", "six")
    end)
    for _, m in ipairs { "1", "2", "3", "FOUR", "5", "SIX" } do
      raws[1]:expect_frame("text", m)
    end
  end)

  it("is one at a time: another takes its place", function()
    local server, c, raws = room(1)
    server:view("loud", shout)
    server:view("twice", function(m) return m .. m end)
    t.pump(function()
      c[1]:subscribe("a", { view = "loud" })
      server:publish("a", "x")
      c[1]:subscribe("a", { view = "twice" })
      server:publish("a", "y")
      c[1]:subscribe "a"
      server:publish("a", "z")
      c[1]:subscribe("a", { view = "loud" })
      server:publish("a", "w")
    end)
    for _, m in ipairs { "X", "yy", "z", "W" } do
      raws[1]:expect_frame("text", m)
    end
    assert.same({ "a" }, c[1]:topics())
    assert.equal(1, server:subscribers "a")
    assert.equal(c[1], server:each "a" ())
    assert.is_true(c[1]:unsubscribe "a")
    assert.is_false(c[1]:unsubscribe "a")
    assert.equal(0, server:publish("a", "v"))
    raws[1]:expect_silence()
  end)

  it("is compressed once, and given to who compresses and who does not",
    function()
      local server, c, raws = room(1, { compression = { threshold = 10 } })
      local calls = 0
      server:view("long", function(m)
        calls = calls + 1
        return m:rep(100)
      end)
      t.pump(function()
        local client <close> = assert(ws.connect(t.url_of(server),
          { compression = true }))
        while not c[2] do ws.sleep(0) end
        for i = 1, 2 do c[i]:subscribe("a", { view = "long" }) end
        assert.equal(2, server:publish("a", "abcde"))
        assert.equal(("abcde"):rep(100), (client:receive()))
      end)
      raws[1]:expect_frame("text", ("abcde"):rep(100))
      assert.equal(1, calls)
    end)

  it("that fails costs its subscribers that message, and is told", function()
    local server, c, raws = room(2)
    local errors = kit.errors()
    local answers = { { "fine" }, {}, { 7 }, { "\255" }, { "x", "none" },
      { "\255", "binary" } }
    local n = 0
    server:view("odd", function()
      n = n + 1
      if n == 2 then error "no" end
      return table.unpack(answers[n])
    end)
    c[1]:subscribe("a", { view = "odd" })
    c[2]:subscribe "a"
    local counts = {}
    t.pump(function()
      for i = 1, #answers do counts[i] = server:publish("a", "m" .. i) end
    end)
    assert.same({ 2, 1, 1, 1, 1, 2 }, counts)
    raws[1]:expect_frame("text", "fine")
    raws[1]:expect_frame("binary", "\255")
    for i = 1, #answers do raws[2]:expect_frame("text", "m" .. i) end
    t.wait(function() return #errors == 4 end)
    contains(errors[1].message, "no")
    contains(errors[2].message, "a view returned a number")
    contains(errors[3].message, "a view returned text that is not UTF-8")
    contains(errors[4].message, '"text" or "binary" expected')
  end)

  it("may not wait, publish or subscribe; it may send and end", function()
    local server, c, raws = room(3)
    local said = {}
    local function try(fn)
      said[#said + 1] = select(2, pcall(fn))
    end
    server:view("meddling", function(m)
      if m ~= "go" then return m end
      try(function() ws.sleep(0) end)
      try(function() ws.step(0) end)
      try(function() server:publish("a", "y") end)
      try(function() server:broadcast "y" end)
      try(function() c[1]:publish("a", "y") end)
      try(function() c[3]:subscribe "a" end)
      c[1]:send "mine"
      c[2]:terminate()
      c[1]:unsubscribe "a"
      return "went"
    end)
    c[1]:subscribe("a", { view = "meddling" })
    c[2]:subscribe("a", { view = "meddling" })
    for _, how in ipairs { t.pump, pcall } do
      said = {}
      how(function() server:publish("a", "go") end)
      for i, text in ipairs { "cannot wait here", "the loop is already running",
        "cannot publish inside of", "cannot publish inside of",
        "cannot publish inside of", "cannot subscribe inside of" } do
        contains(said[i], text)
      end
      c[1]:subscribe("a", { view = "meddling" })
    end
    server:publish("a", "on")
    raws[1]:expect_frame("text", "mine")
    raws[1]:expect_frame("text", "mine")
    raws[1]:expect_frame("text", "on")
  end)

  it("is judged", function()
    local server, c = room(1)
    local loose = kit.refused_call
    contains(loose(server, "view", "", shout), "a name of 1 to 64 bytes")
    contains(loose(server, "view", ("x"):rep(65), shout), "1 to 64 bytes")
    contains(loose(server, "view", "x"), "function expected")
    server:view("loud", shout)
    contains(loose(server, "view", "loud", shout),
      "the view 'loud' is there already")
    contains(loose(c[1], "subscribe", "a", { view = "lout" }),
      "the server has no view 'lout' (did you mean 'loud'?)")
    contains(loose(c[1], "subscribe", "a", { view = 1 }),
      "bad option 'view' (string or false expected")
    contains(loose(c[1], "subscribe", "a", { vew = "x" }),
      "unknown option 'vew' for 'subscribe' (did you mean 'view'?)")
    contains(loose(c[1], "subscribe", "a", 1), "table expected")
    contains(loose(c[1], "subscribe", "a", { here = 1 }),
      "bad option 'here' (boolean expected")
  end)
end)

describe("meta", function()
  after_each(t.cleanup)

  it("has up to 4096 bytes, and is not seen by who has no view", function()
    local server, c, raws = room(1)
    c[1]:subscribe "a"
    local function refused(meta)
      return kit.refusal(function()
        server:publish("a", "x", "text", { meta = meta })
      end)
    end
    contains(refused(("x"):rep(4097)), "a string of at most 4096 bytes")
    contains(refused(7), "a string of at most 4096 bytes")
    assert.equal(1, server:publish("a", "x", "text",
      { meta = ("x"):rep(4096), here = true }))
    assert.equal(1, server:publish("a", "y", nil, { meta = "" }))
    raws[1]:expect_frame("text", "x")
    raws[1]:expect_frame("text", "y")
    contains(kit.refusal(function()
      c[1]:publish("a", "x", "text", { except = {} })
    end), "unknown option 'except' for 'publish'")
  end)
end)
