-- spread.lua: a hub in several processes. Here they are hubs of one name whose
-- servers are tables: what one publishes, all of them hear.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local kit = require "spec.signalr.kit"
local messagepack = require "evws.messagepack"
local signalr = require "evws.signalr"
local ws = require "evws"

describe("hubs that share their topics", function()
  local servers, log, failures

  before_each(function()
    servers, log, failures = {}, {}, {}
    ws.on_error(function(_, message) failures[#failures + 1] = message end)
  end)

  after_each(function()
    kit.cleanup()
    ws.on_error(nil)
    assert.same({}, failures)
  end)

  local function server_of()
    local server = { heard = {} }
    function server:hear(topic, fn, options)
      local hearer = { topic = topic, fn = fn }
      function hearer.cancel() server.heard[hearer] = nil end
      self.heard[hearer] = true
      if self.gate and options and options.wait then self.gate:take() end
      return hearer
    end
    function server:publish(topic, message, kind, options)
      options = options or {}
      log[#log + 1] = topic:match "[^/]*$"
      for _, other in ipairs(options.here and { self } or servers) do
        for hearer in pairs(other.heard) do
          if hearer.topic == topic then
            ws.spawn(hearer.fn, message, kind, { topic = topic,
              meta = options.meta })
          end
        end
      end
      return 0
    end
    servers[#servers + 1] = server
    return server
  end

  -- Hubs of so many processes, with what the last call has returned.
  local function hubs(n, options)
    local list = {}
    for i = 1, n do
      local own = { name = "/hub", methods = {
        Others = function(ctx) return ctx.clients.others:send "Told" end,
        Join = function(ctx, group) return ctx:join(group) end,
        Ask = function(ctx, id, x)
          local value, why = ctx.clients:client(id):within(5):invoke("Q", x)
          return { value = value, why = why }
        end } }
      for name, value in pairs(options or {}) do own[name] = value end
      list[i] = kit.hub(own)
      list[i].groups:serve(server_of(), "the bus")
    end
    return table.unpack(list)
  end

  local function told(target, ...)
    return { type = 1, target = target, arguments = { ... } }
  end

  it("tell all, groups and users of each other, once", function()
    local a, b = hubs(2)
    local one = kit.client(a, { user = "ann" })
    local two = kit.client(b, { user = "ann" })
    local three = kit.client(b, { protocol = "messagepack", user = "bob" })
    two:invoke("Join", "g")
    three:invoke("Join", "g")
    assert.equal(1, a.clients.all:send("N", 1))
    for _, c in ipairs { one, two, three } do c:expect(told("N", 1)) end
    assert.equal(0, a.clients:group "g":send("G", 2))
    two:expect(told("G", 2))
    three:expect(told("G", 2))
    assert.equal(1, b.clients:user "ann":send("U", 3))
    one:expect(told("U", 3))
    two:expect(told("U", 3))
    one:say { type = 1, target = "Others", arguments = {} }
    two:expect { type = 1, target = "Told", arguments = {} }
    three:expect { type = 1, target = "Told", arguments = {} }
    for _, c in ipairs { one, two, three } do c:expect_nothing() end
  end)

  it("hear only what somebody there wants", function()
    local a, b = hubs(2)
    local c = kit.client(b)
    local function count()
      local n = 0
      for _ in pairs(servers[2].heard) do n = n + 1 end
      return n
    end
    assert.equal(2, count()) -- commands, and all
    c:invoke("Join", "g")
    c:invoke("Join", "g")
    assert.equal(3, count())
    local d = kit.client(b)
    d:invoke("Join", "g")
    assert.equal(3, count())
    c:lose(true)
    assert.equal(3, count())
    d:lose(true)
    assert.equal(1, count())
    a.clients.all:send "N"
  end)

  it("are joined when others know of it", function()
    local a, b = hubs(2)
    local c, d = kit.client(b), kit.client(b)
    servers[2].gate = ws.queue(2)
    for _, client in ipairs { c, d } do
      client:say { type = 1, invocationId = "1", target = "Join",
        arguments = { "g" } }
    end
    kit.settle()
    c:expect_nothing()
    d:expect_nothing()
    d:lose()
    servers[2].gate:put(1)
    servers[2].gate:put(1)
    kit.settle()
    assert.equal("1", c:next().invocationId)
    a.clients:group "g":send "G"
    c:expect { type = 1, target = "G", arguments = {} }
    c:lose(true)
    for hearer in pairs(servers[2].heard) do
      assert.is_nil(hearer.topic:find("gg", 1, true))
    end
  end)

  it("find single connections, and leave some out", function()
    local a, b, c = hubs(3)
    local clients = { kit.client(a), kit.client(b), kit.client(c),
      kit.client(c, { protocol = "messagepack" }) }
    local ids = {}
    for i, client in ipairs(clients) do ids[i] = client.session.id end
    assert.equal(0, a.clients:client(ids[2]):send("One", 1))
    clients[2]:expect(told("One", 1))
    assert.equal(1, a.clients:clients { ids[1], ids[3], ids[4], "nobody" }
      :send("Some", signalr.binary "\255"))
    clients[1]:expect(told("Some", "/w=="))
    clients[3]:expect(told("Some", "/w=="))
    clients[4]:expect(told("Some", "\255"))
    assert.equal(1, a.clients:all_except { ids[2], ids[4] }:send("But", 2))
    clients[1]:expect(told("But", 2))
    clients[3]:expect(told("But", 2))
    for i = 2, 4 do clients[i]:invoke("Join", "g") end
    assert.equal(0, a.clients:group_except("g", { ids[3] }):send("G", 3))
    clients[2]:expect(told("G", 3))
    clients[4]:expect(told("G", 3))
    for _, client in ipairs(clients) do client:expect_nothing() end
  end)

  it("know that what was negotiated here may be there", function()
    local a, b = hubs(2)
    local stale = a:session()
    function b:session()
      return self:adopt { id = stale.id, name = "x", expires = math.huge }
    end
    local c = kit.client(b)
    b:rest()
    assert.equal(stale.id, c.session.id)
    a.clients:client(stale.id):send("One", 1)
    c:expect(told("One", 1))
    assert.is_true(a.groups:add(stale.id, "g"))
    kit.settle()
    a.clients:group "g":send("G", 2)
    c:expect(told("G", 2))
    a.clients:all_except { stale.id }:send("But", 3)
    c:expect_nothing()
  end)

  it("put connections of each other into groups", function()
    local a, b = hubs(2)
    local c = kit.client(b)
    assert.is_true(a.groups:add(c.session.id, "\255g"))
    kit.settle()
    a.clients:group "\255g":send "G"
    c:expect { type = 1, target = "G", arguments = {} }
    assert.is_true(a.groups:remove(c.session.id, "\255g"))
    kit.settle()
    a.clients:group "\255g":send "G"
    c:expect_nothing()
    assert.is_true(a.groups:add("nobody", "g"))
  end)

  it("get results of each other's clients", function()
    local a, b = hubs(2)
    local asking = kit.client(a)
    local asked = kit.client(b, { protocol = "messagepack" })
    local function ask(answer, value)
      asking:say { type = 1, invocationId = "7", target = "Ask",
        arguments = { asked.session.id, value } }
      kit.settle()
      local call = asked:next()
      assert.same({ "Q", { value } }, { call.target, call.arguments })
      answer.type, answer.invocationId = 3, call.invocationId
      asked:say(answer)
      kit.settle()
      return asking:next().result
    end
    assert.same({ value = { 1, "x" } }, ask({ result = { 1, "x" } }, 5))
    assert.same({ why = "no" }, ask({ error = "no" }, "text"))
    -- of null, or nothing, there is no value
    local nothing = ask({ result = kit.null }, 1)
    assert.is_nil(nothing.value)
    assert.is_nil(nothing.why)
  end)

  it("do not wait for ever for a result", function()
    local a, b = hubs(2)
    local asked = kit.client(b)
    local got
    ws.spawn(function()
      got = { a.clients:client(asked.session.id):within(0.01):invoke("Q") }
    end)
    local last = ws.now() + 5
    while not got and ws.now() < last do ws.step(0.05) end
    assert.same({ nil, "timeout" }, got)
    got = nil
    ws.spawn(function()
      got = { a.clients:client(asked.session.id):invoke("Q") }
    end)
    kit.settle()
    asked:lose(true)
    kit.settle()
    assert.same({ nil, "closed" }, got)
  end)

  it("raise before anything is sent, for both protocols", function()
    local a = hubs(1)
    kit.client(a, { protocol = "messagepack" })
    local n = #log
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, why = pcall(function() a.clients.all:send("N", 0 / 0) end)
    assert.is_false(ok)
    assert.truthy(why:find(("spread_spec.lua:%d: bad argument #2 to 'send' "
      .. "(NaN and infinities have no form in JSON)"):format(line), 1, true))
    assert.equal(n, #log)
    ws.spawn(function()
      line = debug.getinfo(1, "l").currentline + 2
      ok, why = pcall(function()
        a.clients:client "far":invoke("N", print)
      end)
    end)
    kit.settle()
    assert.is_false(ok)
    assert.truthy(why:find(("spread_spec.lua:%d: bad argument #2 to 'invoke' "
      .. "(a function cannot be written)"):format(line), 1, true), why)
    assert.equal(n, #log)
  end)

  it("go on with another server of the same bus", function()
    local a, b = hubs(2)
    local first, second = servers[1], server_of()
    a.groups:serve(second, "the bus")
    kit.client(a)
    local c = kit.client(b)
    a.clients.all:send("N", 1)
    c:expect(told("N", 1))
    c:expect_nothing()
    a.groups:desert(first)
    first.heard, servers[1] = {}, servers[3]
    servers[3] = nil
    a.clients.all:send("N", 2)
    c:expect(told("N", 2))
    c:expect_nothing()
    a.groups:desert(second)
    assert.is_false(a.spread.is_on)
    assert.equal(1, a.clients.all:send("N", 3))
    c:expect_nothing()
  end)

  it("ignore what is no command", function()
    local a, b = hubs(2)
    local c = kit.client(b)
    local topic = a.spread:topic()
    math.randomseed(42)
    local good = messagepack.encode { "send", { c.session.id }, {} }
    for i = 1, 300 do
      local noise = {}
      for k = 1, math.random(0, 30) do
        noise[k] = string.char(math.random(0, 255))
      end
      local bytes = table.concat(noise)
      if i % 2 == 0 then
        local at = math.random(#good)
        bytes = good:sub(1, at) .. bytes .. good:sub(at + 1)
      end
      servers[1]:publish(topic, bytes, "binary", { meta = "x" })
    end
    for _, command in ipairs { {}, { 1 }, { "send" }, { "send", 1, 2 },
      { "take" }, { "deliver", "g" }, { "join", c.session.id },
      { "join", c.session.id, ("g"):rep(2000) }, { "invoke" },
      { "invoke", "n", 1, c.session.id, 7, "x" }, { "result", "", 1 },
      { "result", messagepack.binary(b.spread.node) } } do
      servers[1]:publish(topic, messagepack.encode(command, {}), "binary",
        { meta = "x" })
      kit.settle()
    end
    a.clients.all:send("N", 1)
    c:expect(told("N", 1))
  end)
end)
