-- Channels with a history: positions, what was missed, caches, new epochs.

local kit = require "spec.channels.kit"
local t = kit.t

local kept = { ["room:*"] = { publish = true, history = { size = 10, ttl = 60 },
  read_history = true } }

local function serve(more, namespaces)
  local options = { namespaces = namespaces or kept }
  for name, value in pairs(more or {}) do options[name] = value end
  return kit.serve(options)
end

local function data_of(publications)
  local list = {}
  for i, one in ipairs(publications or {}) do list[i] = one.data end
  return list
end

describe("a channel with a history", function()
  after_each(kit.cleanup)

  it("has an epoch before its first publication", function()
    local _, server = serve()
    local c = kit.open(server)
    local reply = c:call("subscribe", { channel = "room:1" })
    assert.is_true(reply.recoverable and reply.positioned)
    assert.equal(0, reply.offset)
    assert.is_true(#reply.epoch > 0 and reply.epoch ~= "_")
    assert.is_nil(reply.publications)
    assert.is_nil(reply.recovered)
  end)

  it("numbers what is published", function()
    local chat, server = serve()
    local c = kit.open(server)
    c:call("subscribe", { channel = "room:1" })
    local offset, epoch = chat:publish("room:1", { a = 1 })
    assert.equal(1, offset)
    assert.is_string(epoch)
    c:expect { push = { channel = "room:1", pub = { offset = 1,
      data = { a = 1 } } } }
  end)

  it("gives who comes back what was missed, from where it asked", function()
    local chat, server = serve()
    local c = kit.open(server)
    local at = c:call("subscribe", { channel = "room:1" })
    for i = 1, 5 do chat:publish("room:1", i, { tags = { n = "x" } }) end
    c = kit.open(server)
    local reply = c:call("subscribe", { channel = "room:1", recover = true,
      offset = 2, epoch = at.epoch })
    assert.same({ recoverable = true, positioned = true, epoch = at.epoch,
      offset = 2, recovered = true, was_recovering = true, publications = {
        { offset = 3, data = 3, tags = { n = "x" } },
        { offset = 4, data = 4, tags = { n = "x" } },
        { offset = 5, data = 5, tags = { n = "x" } } } }, reply)
    chat:publish("room:1", 6)
    c:expect { push = { channel = "room:1", pub = { offset = 6, data = 6 } } }
  end)

  it("takes an empty epoch for any", function()
    local chat, server = serve()
    local c = kit.open(server)
    for i = 1, 3 do
      c:call("publish", { channel = "room:1", data = i })
    end
    local reply = c:call("subscribe", { channel = "room:1", recover = true,
      offset = 1, epoch = "" })
    assert.is_true(reply.recovered)
    assert.same({ 2, 3 }, data_of(reply.publications))
    assert.equal(3, select(2, chat:history("room:1")).offset)
  end)

  it("CH-23 says where it is to who cannot be given what was missed",
    function()
      local chat, server = serve { max_recovered = 4 }
      local c = kit.open(server)
      local at = c:call("subscribe", { channel = "room:1" })
      for i = 1, 15 do
        chat:publish("room:1", i)
        c:next()
      end
      for _, fields in ipairs {
        { offset = 16, epoch = at.epoch }, { offset = 10, epoch = "other" },
        { offset = 3, epoch = at.epoch }, { offset = 10, epoch = at.epoch },
        { offset = "9223372036854775808", epoch = at.epoch } } do
        c:call("unsubscribe", { channel = "room:1" })
        local reply = c:call("subscribe", ('{"channel":"room:1","recover":true,'
          .. '"offset":%s,"epoch":"%s"}'):format(fields.offset, fields.epoch))
        assert.same({ recoverable = true, positioned = true, offset = 15,
          epoch = at.epoch, was_recovering = true }, reply)
      end
      c:call("unsubscribe", { channel = "room:1" })
      local reply = c:call("subscribe", { channel = "room:1", recover = true,
        offset = 11, epoch = at.epoch })
      assert.same({ 12, 13, 14, 15 }, data_of(reply.publications))
    end)

  it("CH-28 skips what is no JSON, live and recovered", function()
    local _, server = serve()
    local c, raw = kit.open(server), kit.open(server)
    local at = c:call("subscribe", { channel = "room:1" })
    assert(server:publish("room:1", 'x'))
    assert(server:publish("room:1", '1},"x":{'))
    assert(server:publish("room:1", "1", "binary"))
    assert(server:publish("room:1", '{"a":\r\n [1.0,12345678901234567890]}'))
    assert(server:publish("room:1", "5", "text", { meta = "not ours" }))
    local _, text = c:next()
    t.contains(text, '"offset":4,"data":{"a":   [1.0,12345678901234567890]}')
    c:expect { push = { channel = "room:1", pub = { offset = 5, data = 5 } } }
    raw:say(('{"id":7,"subscribe":{"channel":"room:1","recover":true,'
      .. '"offset":0,"epoch":"%s"}}'):format(at.epoch))
    local reply
    reply, text = raw:next()
    t.contains(text, '"offset":4,"data":{"a":   [1.0,12345678901234567890]}')
    assert.equal(2, #reply.subscribe.publications)
  end)

  it("CH-29 reads its history within limits", function()
    local chat, server = serve({ max_history = 4 }, {
      ["room:*"] = { publish = true, history = { size = 10, ttl = 60 } },
      ["plain"] = {} })
    local c = kit.open(server)
    c:fails(103, "history", { channel = "room:1" })
    c:fails(108, "history", { channel = "plain" })
    local at = c:call("subscribe", { channel = "room:1" })
    for i = 1, 6 do
      chat:publish("room:1", i)
      c:next()
    end
    local function read(fields)
      fields.channel = "room:1"
      local reply = c:call("history", fields)
      assert.equal(at.epoch, reply.epoch)
      assert.equal(6, reply.offset)
      return data_of(reply.publications)
    end
    assert.same({}, read {})
    assert.same({ 1, 2 }, read { limit = 2 })
    assert.same({ 1, 2, 3, 4 }, read { limit = -1 })
    assert.same({ 1, 2, 3, 4 }, read { limit = 100 })
    assert.same({ 6, 5 }, read { limit = 2, reverse = true })
    assert.same({ 4, 5 }, read { limit = 2,
      since = { offset = 3, epoch = at.epoch } })
    assert.same({ 5, 6 }, read { limit = 9, since = { offset = 4,
      epoch = "" } })
    c:fails(112, "history", { channel = "room:1", limit = 1,
      since = { offset = 3, epoch = "other" } })
  end)

  it("gives the last one alone where it is a cache", function()
    local chat, server = serve(nil, { state = { cache = true,
      history = { size = 10, ttl = 60 } } })
    local c = kit.open(server)
    local reply = c:call("subscribe", { channel = "state" })
    assert.same({}, data_of(reply.publications))
    c:call("unsubscribe", { channel = "state" })
    for i = 1, 3 do chat:publish("state", i) end
    reply = c:call("subscribe", { channel = "state" })
    assert.is_true(reply.recovered)
    assert.equal(2, reply.offset)
    assert.same({ 3 }, data_of(reply.publications))
    c:call("unsubscribe", { channel = "state" })
    local now = c:call("subscribe", { channel = "state", recover = true,
      offset = 3, epoch = reply.epoch })
    assert.same({}, data_of(now.publications))
    assert.is_true(now.recovered)
    c:call("unsubscribe", { channel = "state" })
    for i = 4, 40 do chat:publish("state", i) end
    now = c:call("subscribe", { channel = "state", recover = true,
      offset = 3, epoch = reply.epoch })
    assert.same({ 40 }, data_of(now.publications))
  end)

  it("is told of a new epoch, and taken back in", function()
    local chat, server = serve()
    local c = kit.open(server)
    local at = c:call("subscribe", { channel = "room:1" })
    chat:publish("room:1", 1)
    c:next()
    assert.is_true(chat:reset "room:1")
    c:expect { push = { channel = "room:1", unsubscribe = { code = 2500,
      reason = "insufficient state" } } }
    local reply = c:call("subscribe", { channel = "room:1", recover = true,
      offset = 1, epoch = at.epoch })
    assert.is_nil(reply.recovered)
    assert.equal(0, reply.offset)
    assert.is_true(reply.epoch ~= at.epoch)
    c:fails(105, "subscribe", { channel = "room:1" })
    chat:publish("room:1", 2)
    c:expect { push = { channel = "room:1", pub = { offset = 1, data = 2 } } }
  end)

  it("recovers what the server has subscribed to, in connect", function()
    local chat, server = serve { connect = function()
      return { user = "ann", subscribe = { "room:1", "room:2" } }
    end }
    local c = kit.open(server)
    local at = c.hello.subs["room:1"]
    assert.equal(0, at.offset)
    chat:publish("room:1", 1)
    c:expect { push = { channel = "room:1", pub = { offset = 1, data = 1 } } }
    c = kit.open(server, { subs = { ["room:1"] = { recover = true, offset = 0,
      epoch = at.epoch } } })
    assert.same({ recoverable = true, positioned = true, recovered = true,
      was_recovering = true, offset = 0, epoch = at.epoch,
      publications = { { offset = 1, data = 1 } } }, c.hello.subs["room:1"])
    assert.is_nil(c.hello.subs["room:2"].publications)
  end)

  it("ends connections that the server has subscribed, at a new epoch",
    function()
      local chat, server = serve { connect = function()
        return { user = "ann", subscribe = { "room:1" } }
      end }
      local c = kit.open(server)
      chat:reset "room:1"
      c:next()
      chat:tick()
      c:closed(3010)
    end)

  it("is what the server has to keep, or it raises", function()
    local told = {}
    local chat, server = kit.serve({ namespaces = kept,
      on_error = function(_, text) told[#told + 1] = text end },
      { history = { other = { size = 1, ttl = 1 } } })
    local c = kit.open(server, false)
    c:closed(1011)
    t.wait(function() return told[1] end)
    t.contains(told[1], "namespace 'room:*' has a history")
    assert.has_error(function() chat:publish("room:1", 1) end, told[1])
    assert.equal(500, t.raw(server):upgrade { path = "/c" })
  end)

  it("keeps what is published before anybody has come", function()
    local chat, server = serve()
    assert.same({ nil, "no server" }, { chat:publish("room:1", 1) })
    assert.equal(server, chat:serve(server))
    assert.equal(1, (chat:publish("room:1", 1)))
    local reply = kit.open(server):call("subscribe", { channel = "room:1",
      recover = true, offset = 0 })
    assert.same({ 1 }, data_of(reply.publications))
  end)

  it("is missed at once where the server is shown", function()
    local chat = kit.serve { namespaces = kept }
    local other = t.listen { history = { other = { size = 1, ttl = 1 } } }
    local ok, why = pcall(function() chat:serve(other) end)
    assert.is_false(ok)
    t.contains(why, "history_spec.lua")
    t.contains(why, "the server keeps none")
    ok, why = pcall(function() chat:serve "x" end)
    assert.is_false(ok)
    t.contains(why, "a server expected")
  end)

  it("is read by the application", function()
    local chat, server = serve()
    local c = kit.open(server)
    c:call("publish", { channel = "room:1", data = { a = {} } })
    chat:publish("room:1", 2, { tags = { x = "y" } })
    server:publish("room:1", "no JSON")
    local list, at = chat:history "room:1"
    assert.equal(3, at.offset)
    assert.equal(2, #list)
    assert.equal("", list[1].info.user)
    assert.same({ { offset = 2, data = 2, tags = { x = "y" } } },
      chat:history("room:1", { since = { offset = 1 } }))
  end)
end)
