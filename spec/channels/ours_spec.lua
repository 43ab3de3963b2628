-- Channels that the server puts a client into, whose histories are in Redis:
-- connect's answer says where they are, and nothing of them comes before it.

local kit = require "spec.channels.kit"
local ours = require "evws.channels.ours"
local redis = require "spec.helper.redis"
local relay = require "spec.helper.relay"
local t = kit.t

if redis.is_missing "what needs redis-server and hiredis" then return end

describe("channels of the server", function()
  local db, between
  local turn, patience = t.turn, ours.patience
  local names = { "a:1", "plain", "a:2", "a:1", "a:3" }

  before_each(function()
    redis.quiet()
    db = redis.start()
    between = relay.between { unix = db.path }
  end)

  after_each(function()
    ours.patience = patience
    redis.cleanup()
    relay.cleanup()
  end)

  local function serve(url, handlers)
    local options = { connect = function(client)
      return { user = "ann", subscribe = client.data or names }
    end, rpc = { echo = function(_, data) return data end },
      namespaces = { plain = {}, ["a:*"] = {
        history = { size = 2000, ttl = 300 } },
        ["state:*"] = { history = { size = 9, ttl = 300 }, cache = true } } }
    for name, fn in pairs(handlers or {}) do options[name] = fn end
    local chat, server = kit.serve(options,
      { backplane = redis.bus { url = url } })
    t.pump(chat.serve, chat, server)
    return chat, server
  end

  local function behind(handlers)
    return serve("redis://127.0.0.1:" .. between.port, handlers)
  end

  local function publish(chat, channel, value)
    local offset, epoch = t.pump(chat.publish, chat, channel, value,
      { wait = 20 })
    assert.is_number(offset)
    return offset, epoch
  end

  local function again(offset, epoch)
    return { recover = true, offset = offset, epoch = epoch }
  end

  it("stand in connect's answer, with what was missed", function()
    local far = serve(db.url)
    local _, near = behind()
    local epochs = {}
    for i = 1, 3 do
      for k = 1, 5 do
        local _, epoch = publish(far, "a:" .. i, k)
        epochs[i] = epoch
      end
    end
    local first = kit.open(near).hello.subs
    assert.same({ recoverable = true, positioned = true, offset = 5,
      epoch = epochs[1] }, first["a:1"])
    assert.same({}, first.plain)
    local subs = kit.open(near, { subs = {
      ["a:1"] = again(3, epochs[1]), ["a:2"] = again(5, epochs[2]),
      ["a:3"] = again(2, "another!") } }).hello.subs
    assert.same({ recoverable = true, positioned = true, offset = 3,
      epoch = epochs[1], recovered = true, was_recovering = true,
      publications = { { offset = 4, data = 4 }, { offset = 5, data = 5 } } },
      subs["a:1"])
    assert.same({ true, 5, {} }, { subs["a:2"].recovered,
      subs["a:2"].offset, subs["a:2"].publications })
    assert.same({ recoverable = true, positioned = true, offset = 5,
      epoch = epochs[3], was_recovering = true }, subs["a:3"])
  end)

  it("were never where nobody is yet", function()
    local far = serve(db.url)
    local _, near = behind()
    local _, epoch = publish(far, "a:1", 1)
    local client = kit.open(near, { data = { "a:1", "plain" },
      subs = { ["a:1"] = again(7, epoch) } })
    assert.same({ recoverable = true, positioned = true, offset = 1,
      epoch = epoch, was_recovering = true }, client.hello.subs["a:1"])
    publish(far, "a:1", 2)
    client:expect { push = { channel = "a:1", pub = { offset = 2, data = 2 } } }
  end)

  it("that are a state bring it along", function()
    local far = serve(db.url)
    local _, near = behind()
    publish(far, "state:1", "old")
    local _, epoch = publish(far, "state:1", "new")
    local function state(fields)
      fields.data = { "a:1", "state:1" }
      return kit.open(near, fields).hello.subs["state:1"]
    end
    assert.same({ { offset = 2, data = "new" } }, state {}.publications)
    assert.same({}, state { subs = { ["state:1"] = again(2, epoch) } }
      .publications)
  end)

  -- What a client has, as the official one counts: the answer moves it, then
  -- each push. Raises where one comes before the answer, twice or not at all.
  local function reader(server)
    local self = { at = {}, epoch = {} }

    local function take(channel, pub)
      assert.equal(self.at[channel] + 1, pub.offset)
      assert.equal(pub.offset, pub.data)
      self.at[channel] = pub.offset
    end

    function self.come()
      local subs = {}
      for channel, at in pairs(self.at) do
        subs[channel] = again(at, self.epoch[channel])
      end
      local first = next(subs) == nil
      self.conn = kit.open(server, { subs = not first and subs or nil })
      for channel, sub in pairs(self.conn.hello.subs) do
        if sub.positioned then
          assert.is_true(first or sub.recovered)
          self.at[channel], self.epoch[channel] = sub.offset, sub.epoch
          for _, pub in ipairs(sub.publications or {}) do take(channel, pub) end
        end
      end
    end

    function self.read()
      local push = self.conn:next().push
      take(push.channel, push.pub)
    end

    return self
  end

  it("lose nothing while others publish, come who may", function()
    local far = serve(db.url)
    local _, near = behind()
    local n, one = 0, reader(near)
    local function more()
      n = n + 1
      for i = 1, 3 do far:publish("a:" .. i, n) end
      turn(0)
    end
    one.come()
    for round = 1, 40 do
      more()
      if round % 3 == 0 then one.read() end
      one.conn.raw:reset()
      more()
      if round % 8 == 0 then between:drop() end -- Redis is away for a moment
      one.come()
      more()
    end
    for i = 1, 3 do publish(far, "a:" .. i, n + 1) end
    while one.at["a:1"] + one.at["a:2"] + one.at["a:3"] < 3 * (n + 1) do
      one.read()
    end
    one.conn:quiet()
  end)

  it("are waited for, and what is said behind connect waits too", function()
    local far = serve(db.url)
    local chat, near = behind()
    local _, epoch = publish(far, "a:2", 1)
    between.hold = "XRANGE"
    local one, gone = kit.open(near, false), kit.open(near, false)
    gone:say { id = 1, connect = {} }
    one:say('{"id":1,"connect":{}}\n{"id":2,"rpc":{"method":"echo","data":7}}')
    t.wait(function() return between.has_held end, "an answer of Redis", 20)
    t.wait(function() return chat:stats().clients == 2 end)
    gone.raw:reset()
    t.wait(function() return chat:stats().clients == 1 end)
    between.hold = nil
    local first = one:next()
    assert.equal(1, first.id)
    assert.equal(epoch, first.connect.subs["a:2"].epoch)
    one:expect { id = 2, rpc = { data = 7 } }
    one.raw:reset()
    t.wait(function() return near.connections == 0 end, "it to be gone", 20)
    t.wait(function()
      return db:ask("PUBSUB", "NUMSUB", "evws:t:a:2")[2] == 0
    end, "nobody to have the channel", 20)
    assert.same({ 0, 0 }, { chat:stats().clients, chat:stats().users })
  end)

  it("and others are told once: who comes to nothing does not leave",
    function()
      local far, told = serve(db.url), {}
      local function note(what)
        return function(_, channel) told[#told + 1] = what .. channel end
      end
      local chat, near = behind { on_subscribed = note "in ",
        on_unsubscribed = note "out " }
      publish(far, "a:2", 1)
      local one = kit.open(near, { data = { "plain" } })
      between.hold = "XRANGE"
      one:say '{"id":2,"subscribe":{"channel":"a:2"}}'
      t.wait(function() return between.has_held end, "an answer of Redis", 20)
      one.raw:reset()
      t.wait(function() return chat:stats().clients == 0 end)
      between.hold = nil
      t.wait(function() return near.connections == 0 end, "it to be gone", 20)
      t.wait(function() return #told >= 2 end)
      kit.settle()
      assert.same({ "in plain", "out plain" }, told)
    end)

  it("are an error that passes while Redis is away", function()
    ours.patience = 0.05
    local _, near = behind()
    db:stop()
    local one = kit.open(near, false)
    one:fails(100, "connect")
    db:again()
    ours.patience = 20
    assert.is_table(kit.open(near).hello.subs["a:1"])
  end)

  it("that Redis cannot read are one as well", function()
    local _, near = behind()
    db:ask("SET", "evws:m:a:2", "no hash")
    kit.open(near, false):fails(100, "connect")
    assert.is_table(kit.open(near, { data = { "a:1" } }).hello.subs["a:1"])
  end)
end)
