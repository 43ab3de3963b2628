-- Who is told that it is in a channel misses nothing of what other processes
-- publish from then on: Redis is waited for before the answer.

local kit = require "spec.channels.kit"
local ours = require "evws.channels.ours"
local redis = require "spec.helper.redis"
local relay = require "spec.helper.relay"
local subscribe = require "evws.channels.subscribe"
local t = kit.t

if redis.is_missing "what needs redis-server and hiredis" then return end

local namespaces = { ["plain:*"] = { publish = true },
  ["known:*"] = { publish = true, presence = true, join_leave = true },
  ["kept:*"] = { join_leave = true, history = { size = 9, ttl = 60 } } }

describe("who is in a channel that is in Redis", function()
  local db, between
  local patience, connecting = subscribe.patience, ours.patience

  before_each(function()
    redis.quiet()
    subscribe.patience, ours.patience = 100, 100
    db = redis.start()
    between = relay.between { unix = db.path }
  end)

  after_each(function()
    subscribe.patience, ours.patience = patience, connecting
    redis.cleanup()
    relay.cleanup()
  end)

  local function serve(url)
    local chat, server = kit.serve({ connect = function(client)
      local data = client.data or {}
      return { user = data.user, subscribe = data.names }
    end, namespaces = namespaces }, { backplane = redis.bus { url = url } })
    t.pump(chat.serve, chat, server)
    return chat, server
  end

  local function near() return serve("redis://127.0.0.1:" .. between.port) end

  -- What is said is not answered before Redis has answered as well.
  local function held(client, text)
    between.hold, between.has_held = "SUBSCRIBE", false
    client:say(text)
    t.wait(function() return between.has_held end, "an answer of Redis", 20)
    client.raw:expect_silence()
  end

  for _, channel in ipairs { "plain:1", "known:1" } do
    it("hears others from its answer on: " .. channel, function()
      local far = serve(db.url)
      local chat, server = near()
      local one, quick = kit.open(server), kit.open(server)
      held(one, ('{"id":1,"subscribe":{"channel":"%s"}}'):format(channel))
      chat:publish(channel, "too early")
      between.hold = nil
      assert.equal(1, one:next().id)
      -- it is known now, so the next one need not wait
      between.hold = "SUBSCRIBE"
      quick:call("subscribe", { channel = channel })
      between.hold = nil
      far:publish(channel, 2)
      one:expect { push = { channel = channel, pub = { data = 2 } } }
      quick:expect { push = { channel = channel, pub = { data = 2 } } }
      one:call("unsubscribe", { channel = channel })
      one:quiet()
    end)
  end

  for _, channel in ipairs { "known:1", "kept:1" } do
    it("hears who comes, wherever: " .. channel, function()
      local _, far = serve(db.url)
      local _, server = near()
      local one = kit.open(server)
      local other = kit.open(far, { data = { user = "ben" } })
      held(one, ('{"id":1,"subscribe":{"channel":"%s","join_leave":true}}')
        :format(channel))
      between.hold = nil
      assert.equal(1, one:next().id)
      other:call("subscribe", { channel = channel })
      local users = {}
      for i = 1, 2 do users[i] = one:next().push.join.info.user end
      table.sort(users)
      assert.same({ "", "ben" }, users)
      one:call("unsubscribe", { channel = channel })
      other.raw:reset()
      t.wait(function()
        return db:ask("PUBSUB", "NUMSUB", "evws:t:\0p" .. channel)[2] == 0
      end, "nobody to be told", 20)
    end)
  end

  it("is reached as it connects: in its channels, and as a user", function()
    local far = serve(db.url)
    local chat, server = near()
    local one, other = kit.open(server, false), kit.open(server, false)
    held(one, { id = 1, connect = { data = { user = "ann",
      names = { "plain:1", "kept:1" } } } })
    other:say { id = 1, connect = { data = { user = "ann" } } }
    kit.settle()
    between.hold = nil
    assert.same({}, one:next().connect.subs["plain:1"])
    assert.equal(1, other:next().id)
    far:publish("plain:1", 1)
    far:send("ann", 2)
    local got = {} -- two, and that it has come itself to kept:1
    for _ = 1, 3 do
      local push = one:next().push
      got[push.message and "user" or push.channel] = push
    end
    assert.equal(1, got["plain:1"].pub.data)
    assert.equal(2, got.user.message.data)
    other:expect { push = { message = { data = 2 } } }
    one.raw:reset()
    other.raw:reset()
    t.wait(function() return chat:stats().clients == 0 end)
    t.wait(function()
      return db:ask("PUBSUB", "NUMSUB", "evws:t:\0uann")[2] == 0
        and db:ask("PUBSUB", "NUMSUB", "evws:t:plain:1")[2] == 0
    end, "nobody to be told", 20)
  end)

  it("is where the last of two orders has left it", function()
    serve(db.url)
    local chat, server = near()
    local list = {}
    for i = 1, 2 do list[i] = kit.open(server, { data = { user = "ann" } }) end
    chat:subscribe("ann", "plain:1")
    chat:unsubscribe("ann", "plain:1")
    chat:subscribe("ann", "plain:2")
    chat:send("ann", "end")
    for _, one in ipairs(list) do -- of plain:1 nothing was told yet
      local first, second = one:next().push, one:next().push
      if first.message then first, second = second, first end
      assert.same({ "plain:2", "end" },
        { first.subscribe and first.channel, second.message.data })
      one:quiet()
    end
    for one in pairs(chat.clients) do
      assert.same({ "plain:2" }, one:channels())
    end
  end)

  it("is out for good where the server has said so meanwhile", function()
    serve(db.url)
    local chat, server = near()
    local one = kit.open(server, { data = { user = "ann" } })
    held(one, '{"id":1,"subscribe":{"channel":"plain:1"}}')
    chat:unsubscribe("ann", "plain:1")
    assert.equal(2000, one:next().push.unsubscribe.code)
    between.hold = nil
    assert.equal(1, one:next().id)
    one:quiet()
  end)

  it("may have left, or be lost, before that", function()
    local far = serve(db.url)
    local chat, server = near()
    local one, gone = kit.open(server), kit.open(server)
    held(one, '{"id":1,"subscribe":{"channel":"known:1","join_leave":true}}')
    one:say '{"id":2,"unsubscribe":{"channel":"known:1"}}'
    gone:say '{"id":1,"subscribe":{"channel":"known:1","join_leave":true}}'
    kit.settle()
    gone.raw:reset()
    t.wait(function() return chat:stats().clients == 1 end)
    between.hold = nil
    local ids = {}
    repeat
      local id = one:next().id
      if id then ids[#ids + 1] = id end -- or that it has come itself
    until id == 2
    assert.same({ 1, 2 }, ids)
    far:publish("known:1", 1)
    one:quiet()
    t.wait(function()
      return db:ask("PUBSUB", "NUMSUB", "evws:t:known:1")[2] == 0
        and db:ask("PUBSUB", "NUMSUB", "evws:t:\0pknown:1")[2] == 0
    end, "nobody to be told", 20)
    t.wait(function()
      return next(t.pump(far.presence, far, "known:1")) == nil
    end, "nobody to be there", 20)
  end)

  it("is in here while Redis is away", function()
    local _, server = near()
    local one = kit.open(server)
    between:drop()
    db:stop()
    t.wait(function()
      return not server:stats().backplane.up
    end, "Redis to go", 20)
    subscribe.patience = 0.01
    assert.same({}, one:call("subscribe", { channel = "plain:1" }))
    one:say '{"id":9,"publish":{"channel":"plain:1","data":1}}'
    assert.equal(1, one:next().push.pub.data)
    one:expect { id = 9, publish = {} }
  end)
end)
