-- Channels of two processes with one Redis between them: two applications, each
-- with a server and a backplane of its own.

local redis = require "spec.helper.redis"

local kit = require "spec.channels.kit"
local subscribe = require "evws.channels.subscribe"
local t = kit.t

if redis.is_missing "what needs redis-server and hiredis" then return end

describe("channels of two processes", function()
  local db
  local patience = subscribe.patience

  before_each(function()
    db = redis.start()
    subscribe.patience = 20
  end)

  after_each(function()
    subscribe.patience = patience
    redis.cleanup()
  end)

  -- An application on a server whose backplane is up.
  local function serve(options)
    local bus = redis.bus { url = db.url }
    local own = { connect = function(client)
      return { user = client.data or "" }
    end }
    for name, value in pairs(options) do own[name] = value end
    local chat, server = kit.serve(own, { backplane = bus })
    t.pump(chat.serve, chat, server)
    return chat, server, bus
  end

  it("share what is published, in order", function()
    local options = { namespaces = { a = { publish = true } } }
    local _, here = serve(options)
    local _, there = serve(options)
    local ann, ben = kit.open(here), kit.open(there)
    ben:call("subscribe", { channel = "a" })
    for i = 1, 50 do
      assert.same({}, ann:call("publish", { channel = "a", data = i }))
    end
    for i = 1, 50 do
      local pub = ben:next().push.pub
      assert.equal(i, pub.data)
      assert.equal(ann.hello.client, pub.info.client)
    end
  end)

  it("reach a user wherever he is", function()
    local options = { namespaces = { a = {} } }
    local one = serve(options)
    local _, there = serve(options)
    local ben = kit.open(there, { data = "ben" })
    one:send("ben", "hello")
    one:subscribe("ben", "a", { data = 1 })
    ben:expect { push = { message = { data = "hello" } } }
    ben:expect { push = { channel = "a", subscribe = { data = 1 } } }
    one:disconnect("ben", 4001, "bye")
    ben:closed(4001, "bye")
  end)

  it("tell who comes and goes", function()
    local options = { namespaces = { a = { join_leave = true } } }
    local _, here = serve(options)
    local _, there = serve(options)
    local ann = kit.open(here, { data = "ann" })
    ann:call("subscribe", { channel = "a", join_leave = true })
    assert.equal("ann", ann:next().push.join.info.user)
    local ben = kit.open(there, { data = "ben" })
    ben:call("subscribe", { channel = "a" })
    assert.equal("ben", ann:next().push.join.info.user)
    ben.raw:reset()
    assert.equal("ben", ann:next().push.leave.info.user)
  end)

  it("say that Redis is away, and go on when it is back", function()
    redis.quiet()
    local chat, server, bus = serve { namespaces = { ["k:*"] = {
      publish = true, presence = true, history = { size = 9, ttl = 60 } } } }
    local c = kit.open(server)
    assert.is_true(c:call("subscribe", { channel = "k:1" }).recoverable)
    db:stop()
    t.wait(function() return bus.state == "away" end, "Redis to go", 20)
    c:fails(100, "publish", { channel = "k:1", data = 1 })
    c:fails(100, "presence", { channel = "k:1" })
    assert.is_true(patience < 5) -- of clients
    subscribe.patience = 0.01
    c:fails(100, "subscribe", { channel = "k:2" })
    subscribe.patience = 20
    db:again()
    t.wait(function() return chat:publish("k:1", 2) end, "Redis", 20)
    -- it has forgotten everything
    assert.equal(2500, c:next().push.unsubscribe.code)
    assert.equal(2, c:next().push.pub.data)
    assert.equal(1, c:call("subscribe", { channel = "k:1" }).offset)
  end)

  it("know who is there in all of them", function()
    local options = { namespaces = { a = { presence = true } } }
    local one, here = serve(options)
    local other, there = serve(options)
    local ann = kit.open(here, { data = "ann" })
    local ben = kit.open(there, { data = "ben" })
    ann:call("subscribe", { channel = "a" })
    ben:call("subscribe", { channel = "a" })
    local function users(chat)
      local list = {}
      for id, who in pairs(assert(t.pump(chat.presence, chat, "a"))) do
        list[who.user] = id
      end
      return list
    end
    local all = { ann = ann.hello.client, ben = ben.hello.client }
    for _, chat in ipairs { one, other } do
      t.wait(function()
        local found = users(chat)
        return found.ann and found.ben
      end, "both to be known")
      assert.same(all, users(chat))
    end
    assert.same({ num_clients = 2, num_users = 2 },
      (ben:call("presence_stats", { channel = "a" })))
    local reply = ann:call("presence", { channel = "a" })
    assert.equal("ben", reply.presence[all.ben].user)
  end)
end)
