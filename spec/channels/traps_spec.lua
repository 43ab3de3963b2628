-- What clients take badly, and are therefore never told or made to wait for.

local kit = require "spec.channels.kit"
local memory = require "evws_probe".memory
local t = kit.t
local ws = t.ws

describe("channels", function()
  after_each(kit.cleanup)

  it("take connect and all subscriptions of a client in one frame", function()
    local _, server = kit.serve { max_subscriptions = 1500,
      namespaces = { ["a:*"] = {} } }
    local lines = { '{"id":1,"connect":{}}' }
    for i = 2, 1501 do
      lines[i] = ('{"id":%d,"subscribe":{"channel":"a:%s%d"}}'):format(i,
        ("x"):rep(40), i)
    end
    local c = kit.open(server, false)
    local frame = table.concat(lines, "\n")
    assert.is_true(#frame > 64 * 1024)
    c:say(frame)
    assert.is_table(c:next().connect)
    for i = 2, 1501 do c:expect { id = i, subscribe = {} } end
    c:quiet()
  end)

  it("answer for one while the application thinks about another", function()
    local gate = ws.queue(1)
    local _, server = kit.serve { namespaces = { quick = {}, slow = {
      subscribe = function() return gate:take() end } } }
    local c = kit.open(server)
    c:say '{"id":2,"subscribe":{"channel":"slow"}}'
    c:say '{"id":3,"unsubscribe":{"channel":"slow"}}'
    c:say '{"id":4,"subscribe":{"channel":"quick"}}'
    c:expect { id = 4, subscribe = {} }
    gate:put(true)
    c:expect { id = 2, subscribe = {} }
    c:expect { id = 3, unsubscribe = {} }
  end)

  it("say no time that is over already", function()
    local told
    local _, server = kit.serve {
      connect = function(client)
        return { user = "ann", expires = client.data and os.time() or nil }
      end,
      rpc = { enter = function(client)
        told = { client:subscribe("a", { expires = os.time() }) }
      end },
      namespaces = { a = { subscribe = function()
        return { expires = os.time() }
      end } } }
    kit.open(server, false):fails(109, "connect", { data = 1 })
    local c = kit.open(server)
    c:fails(109, "subscribe", { channel = "a" })
    c:call("rpc", { method = "enter" })
    assert.same({ nil, "token expired" }, told)
  end)

  it("answer a refresh with all that clients read", function()
    local now = os.time()
    local _, server = kit.serve { secret = kit.secret }
    local function token(seconds)
      return kit.token { sub = "ann", exp = now + seconds }
    end
    local c = kit.open(server, { token = token(1000) })
    local reply = c:call("refresh", { token = token(2000) })
    assert.is_true(reply.ttl > 1000 and reply.ttl <= 2000)
    reply.ttl = nil
    assert.same({ client = c.hello.client, version = "evws " .. ws.version,
      expires = true }, reply)
  end)

  it("let nobody put off an end by a token that cannot be checked", function()
    local failed, soon = 0, os.time() + 1000
    local _, server = kit.serve {
      connect = function() return { user = "ann", expires = soon } end,
      rpc = { enter = function(client)
        return client:subscribe("a", { expires = soon })
      end },
      on_error = function() failed = failed + 1 end,
      namespaces = { a = {} } }
    local token = kit.token { sub = "ann", channel = "a", exp = soon + 1000 }
    local c = kit.open(server)
    c:say '{"id":2,"rpc":{"method":"enter"}}'
    assert.equal("a", c:next().push.channel)
    c:expect { id = 2, rpc = { data = true } }
    c:fails(103, "sub_refresh", { channel = "a", token = token })
    c:say { id = 9, refresh = { token = kit.token { sub = "ann" } } }
    c:closed(3500, "invalid token")
    assert.equal(0, failed)
  end)

  it("keep tokens to themselves", function()
    local told = {}
    local _, server = kit.serve { secret = kit.secret,
      namespaces = { a = { subscribe = "token" } },
      connect = function() error "at home" end,
      on_error = function(_, text, where)
        told[#told + 1] = text .. where
      end }
    local bad, good = "aaaa.bbbb.cccc", kit.token { sub = "ann" }
    local c = kit.open(server, false)
    c:say { id = 1, connect = { token = bad } }
    local _, reason = c:closed(3500)
    assert.equal("invalid token", reason)
    kit.open(server, false):fails(100, "connect", { token = good })
    t.wait(function() return #told == 1 end)
    assert.is_nil(told[1]:find(good, 1, true))
    t.contains(told[1], "at home")
  end)

  it("say of a handler that finds no memory what Lua says", function()
    local why
    local _, server = kit.serve { rpc = { large = function()
      local _ <close> = setmetatable({}, { __close = function()
        memory.refuse()
      end })
      local long = ("x"):rep(100)
      memory.refuse(0)
      return long .. long
    end }, on_error = function(_, ...) why = { ... } end }
    kit.open(server):fails(100, "rpc", { method = "large" })
    t.wait(function() return why end)
    assert.same({ "not enough memory", "not enough memory" }, why)
  end)

  it("say where a channel is that the server puts a client into", function()
    local client
    local chat, server = kit.serve { connect = function(one)
      client = one
      return { user = "ann" }
    end, namespaces = { k = { history = { size = 9, ttl = 60 } } } }
    local c = kit.open(server)
    local offset, epoch = chat:publish("k", 1)
    assert.equal(1, offset)
    assert.is_true(client:subscribe("k", { data = { x = 1 } }))
    c:expect { push = { channel = "k", subscribe = { recoverable = true,
      positioned = true, offset = 1, epoch = epoch, data = { x = 1 } } } }
    chat:publish("k", 2)
    c:expect { push = { channel = "k", pub = { offset = 2, data = 2 } } }
  end)
end)
