-- Clients of channels from connect to their end: tokens, rights, publications,
-- joins, users, time.

local kit = require "spec.channels.kit"
local t = kit.t
local ws = t.ws

local now = os.time()

describe("connect", function()
  after_each(kit.cleanup)

  it("tells who connects to the application, and the reply to it", function()
    local seen
    local _, server = kit.serve { ping = 25, pong = true,
      connect = function(client)
        seen = client
        return { user = "ann", info = { age = 7 }, data = { hello = 1 } }
      end }
    local c = kit.open(server, { name = "js", version = "5", data = { a = 1 },
      headers = { auth = "x" } })
    assert.same({ client = seen.id, version = "evws " .. ws.version,
      data = { hello = 1 }, ping = 25, pong = true }, c.hello)
    assert.equal(22, #seen.id)
    assert.same({ "ann", "js", "5" }, { seen.user, seen.name, seen.version })
    assert.same({ a = 1 }, seen.data)
    assert.same({ auth = "x" }, seen.headers)
    assert.is_nil(seen.request)
  end)

  it("lets everybody in, nameless, who is not asked for", function()
    local _, server = kit.serve()
    assert.is_string(kit.open(server).hello.client)
  end)

  it("is told to on_error when it returns what is not meant so", function()
    for text, given in pairs {
      ["connect returned a string (a table expected)"] = "ann",
      ["connect returned a user that is no text"] = { user = 7 },
      ["connect returned an unknown field 'usr' (did you mean 'user'?)"] =
        { usr = "ann" },
      ["connect returned an unknown field '1'"] = { "ann" },
      ["connect returned a subscribe that is no list of channels"] =
        { subscribe = "news" },
    } do
      local told
      local _, server = kit.serve { connect = function() return given end,
        on_error = function(_, message) told = message end }
      local c = kit.open(server, false)
      c:say '{"id":1,"connect":{}}'
      assert.same({ id = 1, error = { code = 100, temporary = true,
        message = "internal server error" } }, (c:next()))
      assert.equal(text, t.wait(function() return told end))
    end
  end)

  it("may wait, with all that stands behind it", function()
    local _, server = kit.serve { connect = function()
      ws.sleep(0.01)
      return {}
    end, rpc = { echo = function(_, data) return data end } }
    local c = kit.open(server, false)
    c:say '{"id":1,"connect":{}}\n{"id":2,"rpc":{"method":"echo","data":1}}'
    assert.equal(1, c:next().id)
    c:expect { id = 2, rpc = { data = 1 } }
  end)

  it("is refused by false, by an error of its own, or by a failure",
    function()
      local channels = require "evws.channels"
      for code, fn in pairs { [101] = function() return false end,
        [444] = function() channels.raise(444, "away", true) end,
        [100] = function() error "at home" end } do
        local chat, server = kit.serve { connect = fn }
        local c = kit.open(server, false)
        c:say '{"id":1,"connect":{}}'
        assert.equal(code, c:next().error.code)
        chat:tick()
        c:closed(3500)
      end
    end)

  it("takes the user, info, end and channels from a token", function()
    local chat, server = kit.serve { secret = kit.secret,
      namespaces = { ["open:*"] = { presence = true, read_presence = true } } }
    local c = kit.open(server, { token = kit.token { sub = "ann",
      exp = now + 1000, info = { x = 1 }, channels = { "open:1" } } })
    assert.is_true(c.hello.expires)
    assert.is_true(c.hello.ttl > 900 and c.hello.ttl <= 1000)
    assert.same({}, c.hello.subs["open:1"])
    local _, one = next(chat:presence "open:1")
    assert.same({ user = "ann", info = { x = 1 } }, one)
  end)

  it("needs a token where there is a secret and nobody to ask", function()
    local _, server = kit.serve { secret = kit.secret }
    local c = kit.open(server, false)
    c:say '{"id":1,"connect":{}}'
    assert.equal(101, c:next().error.code)
    c = kit.open(server, false)
    c:say { id = 1, connect = { token = kit.token { exp = now - 1 } } }
    assert.equal(109, c:next().error.code)
  end)

  it("takes so many of one user, and no more", function()
    local _, server = kit.serve { max_per_user = 2,
      connect = function(client) return { user = client.data } end }
    local first = kit.open(server, { data = "ann" })
    kit.open(server, { data = "ann" })
    kit.open(server, { data = "ben" })
    local c = kit.open(server, false)
    c:say { id = 1, connect = { data = "ann" } }
    c:closed(3504)
    first.raw:finish(1000)
    t.wait(function()
      local ok = pcall(kit.open, server, { data = "ann" })
      return ok
    end)
  end)

  it("that came to nothing is not told to have ended", function()
    local gone = {}
    local chat, server = kit.serve { max_per_user = 1,
      connect = function() return { user = "ann" } end,
      on_disconnected = function(client) gone[#gone + 1] = client.id end }
    local first = kit.open(server)
    local c = kit.open(server, false)
    c:say '{"id":1,"connect":{}}'
    c:closed(3504)
    t.wait(function() return chat.n_clients == 1 end)
    first.raw:finish(1000)
    t.wait(function() return #gone > 0 end)
    kit.settle()
    assert.same({ first.hello.client }, gone)
  end)

  it("of a client that leaves meanwhile comes to nothing", function()
    local queue, called = ws.queue(1), false
    local chat, server = kit.serve { connect = function()
      queue:take()
      called = true
      return { user = "ann" }
    end }
    local c = kit.open(server, false)
    c:say '{"id":1,"connect":{}}'
    t.wait(function() return chat.n_clients == 1 end)
    c.raw:reset()
    t.wait(function() return chat.n_clients == 0 end)
    queue:put(true)
    t.wait(function() return called end)
    assert.same({}, chat.users)
  end)
end)

describe("a channel", function()
  after_each(kit.cleanup)

  it("sends the reply before anything else of it, under fire", function()
    local chat, server = kit.serve { namespaces = { ["a"] = {},
      ["k"] = { history = { size = 50, ttl = 9 } } } }
    kit.open(server)
    local clients = {}
    for i = 1, 20 do
      local c = kit.open(server)
      for _, name in ipairs { "a", "k" } do
        chat:publish(name, i)
        c:say(('{"id":%d,"subscribe":{"channel":"%s"}}'):format(
          name == "a" and 2 or 3, name))
        chat:publish(name, i)
        t.turn(0)
        chat:publish(name, i)
      end
      clients[i] = c
    end
    t.wait(function()
      return server:subscribers "a" == 20 and server:subscribers "k" == 20
    end, "the subscriptions")
    chat:publish("a", "end")
    chat:publish("k", "end")
    for _, c in ipairs(clients) do
      local has, n_ended = {}, 0
      repeat
        local message = c:next()
        if message.subscribe then
          has[message.id == 2 and "a" or "k"] = true
        else
          assert.is_true(has[message.push.channel])
          if message.push.pub.data == "end" then n_ended = n_ended + 1 end
        end
      until n_ended == 2
    end
  end)

  it("passes payloads on as they came", function()
    local _, server = kit.serve { namespaces = { a = { publish = true } } }
    local c = kit.open(server)
    c:call("subscribe", { channel = "a" })
    local data = '{"b":1.0, "a":[12345678901234567890,{},[]],"\\u00e9":null}'
    c:say('{"id":8,"publish":{"channel":"a","data":' .. data .. "}}")
    local _, text = c:next()
    t.contains(text, '"data":' .. data)
    c:expect { id = 8, publish = {} }
  end)

  it("says who has published", function()
    local _, server = kit.serve { namespaces = { a = { publish = true } },
      connect = function() return { user = "ann", info = { x = 1 } } end }
    local c = kit.open(server)
    c:call("publish", { channel = "a", data = 1 })
    c:call("subscribe", { channel = "a" })
    c:say '{"id":8,"publish":{"channel":"a","data":2}}'
    c:expect { push = { channel = "a", pub = { data = 2, info = {
      user = "ann", client = c.hello.client, conn_info = { x = 1 } } } } }
  end)

  it("is refused where the application grants what there is not", function()
    local told
    local _, server = kit.serve { on_error = function(_, text) told = text end,
      namespaces = { a = { subscribe = function()
        return { expire = now }
      end } } }
    kit.open(server):fails(100, "subscribe", { channel = "a" })
    assert.equal("subscribe returned an unknown field 'expire' "
      .. "(did you mean 'expires'?)", told)
  end)

  it("asks the application who may do what", function()
    local seen = {}
    local _, server = kit.serve { namespaces = { ["a:*"] = {
      subscribe = function(client, channel, request)
        seen[#seen + 1] = { client.id, channel, request.data, request.token }
        if request.data == "no" then return false end
        return { data = { welcome = 1 }, info = "boss",
          expires = os.time() + 100 }
      end,
      publish = function(_, _, data)
        if data == "change" then return true, { changed = true } end
        return data ~= "no"
      end } } }
    local c = kit.open(server)
    c:fails(103, "subscribe", { channel = "a:1", data = "no" })
    local reply = c:call("subscribe", { channel = "a:1", data = { x = 1 },
      token = "t" })
    assert.same({ welcome = 1 }, reply.data)
    assert.is_true(reply.expires and reply.ttl > 90)
    assert.same({ c.hello.client, "a:1", { x = 1 }, "t" }, seen[2])
    c:fails(103, "publish", { channel = "a:1", data = "no" })
    c:say '{"id":90,"publish":{"channel":"a:1","data":"change"}}'
    local push = c:next().push
    assert.same({ changed = true }, push.pub.data)
    assert.equal("boss", push.pub.info.chan_info)
  end)

  it("is the topic of that name, for all who speak JSON there", function()
    local _, server = kit.serve { namespaces = { a = {} } }
    local c = kit.open(server)
    c:call("subscribe", { channel = "a" })
    server:publish("a", '{"x":1}')
    server:publish("a", "none")
    server:publish("a", "[2]", "binary")
    server:publish("a", "3")
    c:expect { push = { channel = "a", pub = { data = { x = 1 } } } }
    c:expect { push = { channel = "a", pub = { data = 3 } } }
  end)

  it("is heard by connections that do not speak the protocol", function()
    local _, server = kit.serve { namespaces = { a = { publish = true } } }
    local other
    server:route("/raw", { on_open = function(conn)
      conn:subscribe "a"
      other = conn
    end })
    local c, raw = kit.open(server), t.open(server, { path = "/raw" })
    t.wait(function() return other end)
    c:call("subscribe", { channel = "a" })
    c:say '{"id":8,"publish":{"channel":"a","data":{"x": 1.0}}}'
    raw:expect_frame("text", '{"x": 1.0}')
    assert.same({ x = 1.0 }, c:next().push.pub.data)
    c:expect { id = 8, publish = {} }
    server:publish("a", "no JSON")
    raw:expect_frame("text", "no JSON")
    other:publish("a", "[2]")
    c:expect { push = { channel = "a", pub = { data = { 2 } } } }
    c:quiet()
  end)

  it("tells joins and leaves once, one's own after the reply", function()
    local _, server = kit.serve { namespaces = { a = { presence = true,
      join_leave = true } },
      connect = function(client) return { user = client.data } end }
    local ann = kit.open(server, { data = "ann" })
    local ben = kit.open(server, { data = "ben" })
    local function info(c, user)
      return { user = user, client = c.hello.client }
    end
    assert.same({}, ann:call("subscribe", { channel = "a", join_leave = true }))
    ann:expect { push = { channel = "a", join = { info = info(ann, "ann") } } }
    ben:call("subscribe", { channel = "a" })
    ann:expect { push = { channel = "a", join = { info = info(ben, "ben") } } }
    assert.same({ presence = { [ann.hello.client] = info(ann, "ann"),
      [ben.hello.client] = info(ben, "ben") } },
      ben:call("presence", { channel = "a" }))
    assert.same({ num_clients = 2, num_users = 2 },
      ben:call("presence_stats", { channel = "a" }))
    assert.same({}, ben:call("unsubscribe", { channel = "a" }))
    ben.raw:finish(1000)
    ann:expect { push = { channel = "a", leave = { info = info(ben, "ben") } } }
    ann:quiet()
    assert.same({ num_clients = 1, num_users = 1 },
      ann:call("presence_stats", { channel = "a" }))
  end)

  it("shares its presence with others, who are no clients", function()
    local chat, server = kit.serve { namespaces = { a = { presence = true,
      join_leave = "always" } } }
    server:route("/raw", { on_open = function(conn)
      conn:subscribe("a", { presence = "by hand" })
      conn:subscribe("\0pa")
    end })
    local c = kit.open(server)
    c:call("subscribe", { channel = "a" })
    assert.is_table(c:next().push.join)
    local raw = t.open(server, { path = "/raw" })
    assert.equal(1, c:call("presence_stats", { channel = "a" }).num_clients)
    assert.equal(2, #server:presence "a")
    assert.is_table(chat:presence("a")[c.hello.client])
    raw:frame() -- its own join
    c:call("unsubscribe", { channel = "a" })
    t.contains(raw:frame().payload, c.hello.client)
    raw:finish(1000)
    c:quiet()
  end)

  it("has no line breaks in what is sent, whatever is published", function()
    local chat, server = kit.serve { namespaces = { a = {} } }
    local c = kit.open(server)
    c:call("subscribe", { channel = "a" })
    server:publish("a", '{\n"a":\r\n"x\\n"}', "text",
      { meta = '{"tags":{\n"a":"b"}}' })
    c:expect { push = { channel = "a", pub = { data = { a = "x\n" },
      tags = { a = "b" } } } }
    chat:publish("a", "x\ny")
    c:expect { push = { channel = "a", pub = { data = "x\ny" } } }
  end)
end)

describe("the application", function()
  after_each(kit.cleanup)

  it("is told at its line what it gives wrongly to subscribe", function()
    local client
    local chat, server = kit.serve { namespaces = { a = {} },
      connect = function(one)
        client = one
        return true
      end }
    kit.open(server)
    local wrong = { [{ expire = 1 }] = "unknown option 'expire' for "
      .. "'subscribe' (did you mean 'expires'?)",
      [{ expires = "x" }] = "bad option 'expires' for 'subscribe' (number "
        .. "expected)",
      [true] = "bad argument #%d to 'subscribe' (table expected, got boolean)" }
    for given, why in pairs(wrong) do
      for n, call in ipairs {
        function() client:subscribe("a", given) end,
        function() chat:subscribe("ann", "a", given) end } do
        local ok, text = pcall(call)
        assert.is_false(ok)
        assert.equal(why:format(n + 1),
          text:match "^spec/channels/session_spec.lua:%d+: (.*)$", text)
      end
    end
    assert.same({}, client:channels())
    assert.is_true(client:subscribe("a", { expires = os.time() + 1000 }))
    assert.same({ "a" }, client:channels())
  end)

  it("reaches all connections of a user", function()
    local ended = {}
    local chat, server = kit.serve { namespaces = { a = {} },
      connect = function(client) return { user = client.data } end,
      on_disconnected = function(client) ended[#ended + 1] = client.user end }
    local one = kit.open(server, { data = "ann" })
    local two = kit.open(server, { data = "ann" })
    local ben = kit.open(server, { data = "ben" })
    assert.is_true(chat:send("ann", { x = 1 }))
    assert.is_true(chat:subscribe("ann", "a", { data = "in" }))
    assert.is_true(chat:unsubscribe("ann", "a"))
    for _, c in ipairs { one, two } do
      local seen = {}
      for _ = 1, 3 do
        local push = c:next().push
        for name, value in pairs(push) do seen[name] = value end
      end
      assert.same({ channel = "a", message = { data = { x = 1 } },
        subscribe = { data = "in" }, unsubscribe = { code = 2000,
          reason = "server unsubscribe" } }, seen)
    end
    chat:disconnect("ann", 4001, "bye")
    one:closed(4001, "bye")
    two:closed(4001, "bye")
    ben:quiet()
    t.wait(function() return #ended == 2 end)
    assert.same({ "ann", "ann" }, ended)
  end)

  it("counts", function()
    local chat, server = kit.serve { namespaces = { a = {} },
      connect = function(client) return { user = client.data } end }
    local c = kit.open(server, { data = "ann" })
    kit.open(server, { data = "ann" })
    c:call("subscribe", { channel = "a" })
    local skipped = chat:stats().skipped
    server:publish("a", "no JSON")
    c:say '{"send":{"data":1}}'
    c:quiet()
    assert.same({ clients = 2, users = 1, connected = 2, errors = 0,
      ignored = 1, skipped = skipped + 1 }, chat:stats())
    t.contains(chat:metrics(), "# TYPE evws_channels_clients gauge\n"
      .. "evws_channels_clients 2\n")
  end)

  it("has its clients in its hands", function()
    local client
    local _, server = kit.serve { namespaces = { ["a:*"] = {} },
      connect = function(one) client = one return { user = "ann" } end }
    local c = kit.open(server)
    assert.is_true(client:subscribe "a:1")
    assert.is_true(client:subscribe "a:1")
    c:expect { push = { channel = "a:1", subscribe = {} } }
    assert.same({ "a:1" }, client:channels())
    assert.is_true(client:unsubscribe("a:1", 2001, "over"))
    c:expect { push = { channel = "a:1", unsubscribe = { code = 2001,
      reason = "over" } } }
    assert.same({ nil, "not subscribed" }, { client:unsubscribe "a:1" })
    assert.is_true(client:disconnect())
    c:closed(3503, "force disconnect")
    t.wait(function() return client.state == "closed" end)
    assert.same({ nil, "closed" }, { client:send(1) })
    assert.same({ nil, "closed" }, { client:subscribe "a:1" })
  end)

  it("closes with a reason that no client takes for an order", function()
    local client
    local _, server = kit.serve { connect = function(one)
      client = one
      return {}
    end }
    for _, case in ipairs { { "", "closed" }, { "5", "closed: 5" },
      { '{"reconnect":true}', 'closed: {"reconnect":true}' },
      { ("\u{E9}"):rep(100), ("\u{E9}"):rep(61) } } do
      local c = kit.open(server)
      client:disconnect(4500, case[1])
      local _, reason = c:closed(4500)
      assert.equal(case[2], reason)
    end
  end)

  it("raises for names and values that cannot be", function()
    local chat = kit.serve { namespaces = { a = {} } }
    for _, call in ipairs { { chat.publish, chat, "b", 1 },
      { chat.publish, chat, "a", print }, { chat.publish, chat, "\0a", 1 },
      { chat.publish, chat, "a", 1, { tag = 1 } }, { chat.send, chat, "", 1 },
      { chat.history, chat, 7 }, { chat.disconnect, chat, "ann", 1000 },
      { chat.disconnect, chat, "ann", 3000, 1 },
      { chat.unsubscribe, chat, "ann", "a", 1 },
      { chat.subscribe, chat, "ann", "b" } } do
      local ok, why = pcall(function()
        local result = call[1](table.unpack(call, 2))
        return result
      end)
      assert.is_false(ok)
      t.contains(why, "spec/channels/session_spec.lua")
    end
  end)
end)

describe("time", function()
  after_each(kit.cleanup)

  it("pings each client once in its interval, with {}", function()
    local chat, server = kit.serve { ping = 3 }
    local c = kit.open(server)
    assert.equal(3, c.hello.ping)
    local n = 0
    for _ = 1, 9 do
      chat:tick()
      t.turn(0)
    end
    for _ = 1, 3 do
      c:expect {}
      n = n + 1
    end
    c:quiet()
    assert.equal(3, n)
  end)

  it("ends who does not answer a ping, where answers are asked for", function()
    local chat, server = kit.serve { ping = 3, pong = true, pong_timeout = 2 }
    local silent, good = kit.open(server), kit.open(server)
    for _ = 1, 9 do
      good:say "{}"
      t.turn(0)
      t.turn(0)
      chat:tick()
    end
    repeat
      local ok, why = pcall(silent.next, silent)
      if not ok then t.contains(why, "no pong") end
    until not ok
    assert.is_true(chat.n_clients >= 1)
  end)

  it("ends connections and channels that nobody has refreshed", function()
    local client
    local chat, server = kit.serve { expiry_grace = 5, secret = kit.secret,
      namespaces = { ["a:*"] = { subscribe = "token" } },
      connect = function(one)
        client = one
        return { user = "ann", expires = now + 1000 }
      end }
    local c = kit.open(server)
    local reply = c:call("subscribe", { channel = "a:1", token = kit.token {
      sub = "ann", channel = "a:1", exp = now + 500 } })
    assert.is_true(reply.expires)
    reply = c:call("sub_refresh", { channel = "a:1", token = kit.token {
      sub = "ann", channel = "a:1", exp = now + 700 } })
    assert.is_true(reply.ttl > 600)
    c:fails(103, "sub_refresh", { channel = "a:1", token = kit.token {
      sub = "ann", channel = "a:2", exp = now + 700 } })
    client.subs["a:1"].expires = now - 6
    client:due(chat.clock.now)
    c:expect { push = { channel = "a:1", unsubscribe = { code = 2501,
      reason = "expired" } } }
    client.expires = now - 6
    client:due(chat.clock.now)
    c:closed(3005, "connection expired")
  end)

  it("keeps no lists of commands that are done", function()
    local chat, server = kit.serve { namespaces = { a = { publish = true } } }
    local c = kit.open(server)
    for _, name in ipairs { "subscribe", "unsubscribe", "publish" } do
      c:call(name, { channel = "a", data = 1 })
      t.wait(function() return next(chat.clients).jobs == nil end)
    end
  end)

  it("stands still while nobody is there", function()
    local chat, server = kit.serve()
    local c = kit.open(server)
    assert.is_truthy(chat.timer)
    c.raw:finish(1000)
    t.wait(function() return chat.n_clients == 0 end)
    assert.is_nil(chat.timer)
  end)
end)
