-- clients.lua, groups.lua, results.lua, streams.lua: who is told what, and who
-- answers.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local kit = require "spec.signalr.kit"
local signalr = require "evws.signalr"
local ws = require "evws"

local function line_of(fn)
  local ok, why = pcall(fn)
  assert.is_false(ok)
  local file, text = tostring(why):match "^([^:]*):%d+: (.*)$"
  assert.is_truthy(file and file:find("clients_spec", 1, true), why)
  return text
end

describe("proxies", function()
  after_each(kit.cleanup)

  -- Three clients, of both protocols: ann, and bob twice.
  local function party(options)
    local own = { methods = {
      Do = function(ctx, what, ...)
        local c, args = ctx.clients, { ... }
        if what == "join" then return ctx:join(args[1]) end
        if what == "leave" then return ctx:leave(args[1]) end
        local proxy = c[what]
        if args[1] ~= nil then proxy = proxy(c, table.unpack(args)) end
        return proxy:send("Told", what)
      end } }
    for name, value in pairs(options or {}) do own[name] = value end
    local hub = kit.hub(own)
    local a = kit.client(hub, { user = "ann" })
    local b = kit.client(hub, { user = "bob", protocol = "messagepack" })
    local c = kit.client(hub, { user = "bob", is_stateful = true })
    c:say { type = 6 }
    return hub, { a, b, c }
  end

  -- Tells by the first client's method, and looks who heard.
  local function expect(clients, heard, ...)
    local what = ...
    local caller = clients[1]
    caller:say { type = 1, invocationId = "d", target = "Do",
      arguments = { ... } }
    local n = 0
    for i, client in ipairs(clients) do
      if heard[i] then
        n = n + 1
        client:expect { type = 1, target = "Told", arguments = { what } }
      end
    end
    caller:expect { type = 3, invocationId = "d", result = n }
    for _, client in ipairs(clients) do client:expect_nothing() end
  end

  it("reach who they say, and tell how many", function()
    local _, clients = party()
    local ids = {}
    for i, client in ipairs(clients) do ids[i] = client.session.id end
    expect(clients, { true, true, true }, "all")
    expect(clients, { true }, "caller")
    expect(clients, { false, true, true }, "others")
    expect(clients, { false, true }, "client", ids[2])
    expect(clients, {}, "client", "nobody")
    expect(clients, { true, false, true }, "clients", { ids[1], ids[3],
      ids[1], "nobody" })
    expect(clients, { false, true }, "all_except", { ids[1], ids[3], "x" })
    expect(clients, { true }, "user", "ann")
    expect(clients, { false, true, true }, "user", "bob")
    expect(clients, { true, true, true }, "users", { "ann", "bob" })
    expect(clients, {}, "user", "eve")
    assert.is_true(clients[1]:invoke("Do", "join", "red"))
    assert.is_true(clients[1]:invoke("Do", "join", "red"))
    assert.is_true(clients[2]:invoke("Do", "join", "red"))
    assert.is_true(clients[3]:invoke("Do", "join", "blue"))
    expect(clients, { true, true }, "group", "red")
    expect(clients, { true, true, true }, "groups", { "red", "blue" })
    expect(clients, { true }, "group_except", "red", { ids[2] })
    expect(clients, { false, true }, "others_in_group", "red")
    expect(clients, { false, false, true }, "others_in_group", "blue")
    expect(clients, {}, "group", "Red")
    assert.is_true(clients[2]:invoke("Do", "leave", "red"))
    assert.is_true(clients[2]:invoke("Do", "leave", "red"))
    expect(clients, { true }, "group", "red")
    clients[1]:lose(true)
    table.remove(clients, 1)
    expect(clients, { true, true }, "all")
  end)

  it("may be kept, and are there outside of calls", function()
    local hub, clients = party()
    local all, red = hub.clients.all, hub.clients:group "red"
    assert.equal(3, all:send("Told", 1, nil))
    for _, client in ipairs(clients) do
      local message = client:next()
      assert.equal(2, #message.arguments)
    end
    assert.equal(0, red:send "Told")
    assert.is_true(hub.groups:add(clients[2].session.id, "red"))
    assert.equal(1, red:send "Told")
    assert.is_true(hub.groups:remove(clients[2].session.id, "red"))
    assert.equal(0, red:send "Told")
    assert.same({ nil, "unknown connection" }, { hub.groups:add("x", "red") })
    assert.same({ nil, "unknown connection" },
      { hub.groups:remove("x", "red") })
  end)

  it("encode once for each protocol that is spoken", function()
    local hub = kit.hub {}
    local n = 0
    local counted = setmetatable({}, { __index = function() n = n + 1 end })
    assert.equal(0, hub.clients.all:send("Told", counted))
    for _ = 1, 5 do
      kit.client(hub)
      kit.client(hub, { protocol = "messagepack" })
    end
    local json
    for _, protocol in pairs(hub.protocols) do
      local invocation = protocol.invocation
      function protocol.invocation(...)
        n = n + 1
        return invocation(...)
      end
      json = protocol.name == "json" and protocol or json
    end
    assert.equal(10, hub.clients.all:send("Told", { 1, 2, 3 }))
    assert.equal(2, n)
    assert.equal(5, hub.speakers[json])
  end)

  it("raise at the caller's line, and then nothing was sent", function()
    local hub, clients = party()
    local all = hub.clients.all
    assert.equal("bad argument #2 to 'send' (a function cannot be written at "
      .. ".x)", line_of(function() all:send("Told", { x = print }) end))
    assert.equal("bad argument #3 to 'send' (text is not UTF-8)",
      line_of(function() all:send("Told", 1, "\255") end))
    assert.equal("bad argument #2 to 'send' (NaN and infinities have no form "
      .. "in JSON)", line_of(function() all:send("Told", 0 / 0) end))
    assert.equal("bad argument #1 to 'send' (a method's name expected)",
      line_of(function() all:send(1) end))
    assert.equal("bad argument #1 to 'client' (string expected, got nil)",
      line_of(function() hub.clients:client() end))
    assert.equal("bad argument #1 to 'clients' (a list expected)",
      line_of(function() hub.clients:clients "x" end))
    assert.equal("bad argument #1 to 'users' (a list of strings expected)",
      line_of(function() hub.clients:users { 1 } end))
    assert.equal("only :client(id) and .caller can be asked for a result",
      line_of(function() all:invoke "Ask" end))
    assert.equal("bad argument #1 to 'within' (seconds expected)",
      line_of(function() all:within(-1) end))
    for _, client in ipairs(clients) do client:expect_nothing() end
  end)
end)

describe("results of clients", function()
  after_each(kit.cleanup)

  local function asking(options)
    local own = { methods = { Ask = function(ctx, ...)
      local result, why = ctx.clients.caller:within(5):invoke("Sum", ...)
      return { result == nil and signalr.null or result, why }
    end, Echo = function(ctx, x) return x end } }
    for name, value in pairs(options or {}) do own[name] = value end
    return kit.client(kit.hub(own))
  end

  local function ask(c)
    c:say { type = 1, invocationId = "a", target = "Ask",
      arguments = { 1, 2 } }
    local call = c:next()
    assert.same({ 1, "Sum", { 1, 2 } }, { call.type, call.target,
      call.arguments })
    return call.invocationId
  end

  it("are awaited, and their errors", function()
    local c = asking()
    c:say { type = 3, invocationId = ask(c), result = 3 }
    c:expect { type = 3, invocationId = "a", result = { 3 } }
    c:say { type = 3, invocationId = ask(c), error = "no idea" }
    c:expect { type = 3, invocationId = "a", result = { kit.null, "no idea" } }
    c:say { type = 3, invocationId = ask(c) }
    c:expect { type = 3, invocationId = "a", result = { kit.null } }
    c:feed(('{"type":3,"invocationId":"%s","result":1e999}\30'):format(
      ask(c)))
    c:expect { type = 3, invocationId = "a", result = { kit.null,
      "the result could not be read" } }
  end)

  it("let other calls go on meanwhile, for the slot is given back",
    function()
      local c = asking()
      local id = ask(c)
      assert.equal(7, c:invoke("Echo", 7))
      c:say { type = 3, invocationId = id, result = 3 }
      c:expect { type = 3, invocationId = "a", result = { 3 } }
      assert.equal(0, c.session.n_calls)
    end)

  it("do not come any more when the client is gone", function()
    local why
    local c = asking { methods = { Ask = function(ctx)
      why = { ctx.clients.caller:invoke("Sum", 1, 2) }
    end } }
    c:say { type = 1, target = "Ask", arguments = {} }
    c:lose()
    kit.settle()
    assert.same({ nil, "closed" }, why)
    local hub = kit.hub {}
    assert.same({ nil, "closed" }, { hub.clients:client "x":invoke "Ask" })
  end)

  it("are not waited for longer than within says", function()
    local result
    local c = asking { methods = { Ask = function(ctx)
      result = { ctx.clients.caller:within(0.01):invoke "Sum" }
    end } }
    c:say { type = 1, target = "Ask", arguments = {} }
    local t = require "spec.helper"
    t.wait(function() return result end)
    assert.same({ nil, "timeout" }, result)
  end)

  it("cannot be awaited in on_connected", function()
    local said
    local hub = kit.hub { on_connected = function(ctx)
      local _, why = pcall(ctx.clients.caller.invoke, ctx.clients.caller,
        "Sum")
      said = why
    end }
    kit.client(hub)
    assert.is_truthy(said:find("client results cannot be awaited in "
      .. "on_connected", 1, true))
  end)
end)

describe("streams", function()
  after_each(kit.cleanup)

  it("are cancelled, and then a completion follows", function()
    local result
    local hub = kit.hub { streams = { Wait = function(ctx, out)
      local queue = ws.queue(1)
      repeat
        result = { out:send(1) }
        queue:take(0)
        ws.sleep(0)
      until not result[1]
    end } }
    local c = kit.client(hub)
    c:say { type = 4, invocationId = "s", target = "Wait", arguments = {} }
    c:say { type = 5, invocationId = "s" }
    for _ = 1, 5 do kit.settle() end
    assert.same({ nil, "cancelled" }, result)
    assert.same({ type = 3, invocationId = "s" }, c.log[#c.log])
    assert.equal(0, c.session.n_streams)
    c:say { type = 4, invocationId = "s", target = "Wait", arguments = {} }
    c:lose()
    for _ = 1, 5 do kit.settle() end
    assert.same({ nil, "closed" }, result)
  end)

  it("wait while the client is slow", function()
    local buffered, gate, sent = 0, ws.queue(1), 0
    local hub = kit.hub { streams = { Flow = function(ctx, out)
      for i = 1, 5 do
        out:send(i)
        sent = i
      end
    end } }
    local c = kit.client(hub, { transport = {
      buffered = function() return buffered end,
      drain = function()
        gate:take()
        buffered = 0
        return true
      end } })
    buffered = 100000
    c:say { type = 4, invocationId = "s", target = "Flow", arguments = {} }
    kit.settle()
    assert.equal(0, sent)
    gate:put(true)
    kit.settle()
    assert.equal(5, sent)
  end)

  it("carry every value there is, null as well", function()
    for _, protocol in ipairs { "json", "messagepack" } do
      local hub = kit.hub { streams = { All = { function(ctx, out, items)
        for item in items:each() do out:send(item) end
        out:send(nil)
      end, uploads = 1 } } }
      local c = kit.client(hub, { protocol = protocol })
      c:say { type = 4, invocationId = "s", target = "All", arguments = {},
        streamIds = { "u" } }
      for _, value in ipairs { 1, false, "x", kit.null, 2.5 } do
        c:say { type = 2, invocationId = "u", item = value }
        local item = c:next().item
        assert.equal(value, item == nil and kit.null or item)
      end
      c:say { type = 3, invocationId = "u" }
      c:next()
      c:expect { type = 3, invocationId = "s" }
    end
  end)

  it("that send what cannot be sent end with an error", function()
    local errors = 0
    local hub = kit.hub { on_error = function() errors = errors + 1 end,
      streams = { Bad = function(ctx, out) out:send(print) end } }
    local c = kit.client(hub)
    c:say { type = 4, invocationId = "s", target = "Bad", arguments = {} }
    c:expect { type = 3, invocationId = "s",
      error = "An unexpected error occurred invoking 'Bad' on the server." }
    kit.settle()
    assert.equal(1, errors)
  end)

  it("raise what cannot be sent whether anybody is there or not", function()
    local hub = kit.hub {}
    local function why()
      local ok, text = pcall(function() hub.clients.all:send("X", print) end)
      assert.is_false(ok)
      return text:gsub("^.-:%d+: ", "")
    end
    local before = why()
    kit.client(hub)
    assert.equal(before, why())
    assert.equal(0, hub.clients:group "nobody":send("X", 1))
  end)

end)
