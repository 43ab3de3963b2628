-- server:hear: functions that get what is published to a topic.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains

describe("server:hear", function()
  after_each(function()
    ws.on_error(nil)
    kit.cleanup()
    t.cleanup()
  end)

  local function listening()
    local server, list = t.listen {}, {}
    return server, list, function(message, kind, about)
      list[#list + 1] = { message, kind, about.topic, about.meta }
    end
  end

  it("calls for each message of the topic, in order, and for no other",
    function()
      local server, list, note = listening()
      local hearer = server:hear("a", note)
      t.pump(function()
        assert.equal(0, server:publish("a", "1"))
        server:publish("b", "not")
        server:publish("a", "\0\255", "binary", { meta = "who" })
        server:broadcast "not"
        assert.same({}, list) -- not inside of publish
      end)
      server:publish("a", "3", "text", { here = true })
      t.wait(function() return #list == 3 end)
      assert.same({ { "1", "text", "a" }, { "\0\255", "binary", "a", "who" },
        { "3", "text", "a" } }, list)
      assert.equal(0, server:subscribers "a")
      assert.is_true(hearer:cancel())
      assert.is_false(hearer:cancel())
      server:publish("a", "4")
      t.pump(ws.sleep, 0)
      assert.equal(3, #list)
    end)

  it("begins with what is published later, and ends at once", function()
    local server, list, note = listening()
    t.pump(function()
      local first = server:hear("a", note)
      server:publish("a", "1")
      server:hear("a", note)
      server:publish("a", "2")
      first:cancel()
      server:publish("a", "3")
    end)
    t.wait(function() return #list == 2 end)
    t.pump(ws.sleep, 0)
    assert.same({ "2", "3" }, { list[1][1], list[2][1] })
    assert.is_nil(list[3])
  end)

  it("gives all hearers one order, whatever they publish", function()
    local server = t.listen {}
    local seen = { {}, {}, {} }
    for i = 1, 3 do
      server:hear("a", function(m)
        table.insert(seen[i], m)
        if #m < 3 then server:publish("a", m .. i) end
      end)
    end
    server:publish("a", "x")
    t.wait(function() return #seen[3] == 13 end)
    assert.same(seen[1], seen[2])
    assert.same(seen[1], seen[3])
    assert.same({ "x", "x1", "x2", "x3", "x11" },
      table.move(seen[1], 1, 5, 1, {}))
  end)

  it("lets its function wait, and holds nothing up", function()
    local server = t.listen {}
    local list, go = {}, ws.queue(10)
    server:hear("a", function(m)
      if m == "slow" then go:take() end
      list[#list + 1] = m
    end)
    t.pump(function()
      server:publish("a", "slow")
      server:publish("a", "fast")
    end)
    t.wait(function() return #list == 1 end)
    go:put(true)
    t.wait(function() return #list == 2 end)
    assert.same({ "fast", "slow" }, list)
  end)

  it("survives cancelling, hearing and errors while it tells", function()
    local server, list, note = listening()
    local errors, hearers = kit.errors(), {}
    hearers[1] = server:hear("a", function()
      hearers[2]:cancel()
      hearers[1]:cancel()
      hearers[1], hearers[2] = nil, nil
      collectgarbage()
      server:hear("a", note)
      error "first"
    end)
    hearers[2] = server:hear("a", function() error "never" end)
    hearers[3] = server:hear("a", note)
    server:publish("a", "1")
    t.wait(function() return #list == 1 and errors[1] end)
    server:publish("a", "2")
    t.wait(function() return #list == 3 end)
    assert.equal(1, #errors)
    contains(errors[1].message, "first")
    assert.same({ "1", "2", "2" }, { list[1][1], list[2][1], list[3][1] })
  end)

  it("ends with the server, and with the variable", function()
    local server, list, note = listening()
    do
      local hearer <close> = server:hear("a", note)
      contains(tostring(hearer), "hears")
    end
    local hearer = server:hear("a", note)
    server:publish("a", "1")
    t.wait(function() return list[1] end)
    t.pump(server.close, server, { timeout = 0 })
    assert.is_false(hearer:cancel())
    contains(tostring(hearer), "over")
    assert.same({ nil, "closed" }, { server:hear("a", note) })
    assert.same({ nil, "closed" }, { server:view("a", note) })
    assert.equal(1, #list)
  end)

  it("is kept while it hears, and then let go", function()
    local server, _, note = listening()
    local weak = setmetatable({}, { __mode = "v" })
    weak[1] = server:hear("a", note)
    weak[2] = server:hear("a", note)
    collectgarbage()
    assert.is_not_nil(weak[1])
    weak[1]:cancel()
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
    assert.is_not_nil(weak[2])
  end)

  it("does not keep ws.run going, nor the state at its end", function()
    local child = kit.run [[
      local server = ws.listen { port = 0 }
      server:hear("a", function(m) say("heard " .. m) server:close() end)
      ws.after(0, function() server:publish("a", "x") end)
      ws.run()
      local other = ws.listen { port = 0 }
      other:hear("b", print)
      other:publish("b", "left")
      say "end"
    ]]
    child:wait "heard x"
    child:wait "end"
    assert.equal(0, child:ended())
  end)

  it("is judged", function()
    local server, _, note = listening()
    local refused = kit.refused_call
    contains(refused(server, "hear", "", note), "a name of 1 to 65535 bytes")
    contains(refused(server, "hear", "a"), "function expected")
    contains(refused(server, "hear", "a", note, { her = true }),
      "unknown option 'her' for 'hear' (did you mean 'here'?)")
    contains(refused(server, "hear", "a", note, { here = 1 }),
      "bad option 'here' (boolean expected")
  end)
end)
