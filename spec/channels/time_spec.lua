-- The clock of channels: in which second somebody is pinged, looked at, ended;
-- and the order of what one client asks for at once.

local kit = require "spec.channels.kit"
local t = kit.t
local ws = t.ws

local function no_timer() return { cancel = function() end } end

local time = os.time
local function set_time(fn) rawset(os, "time", fn) end

describe("the clock of channels", function()
  local seconds

  before_each(function() seconds = time() end)

  after_each(function()
    set_time(time)
    kit.cleanup()
  end)

  -- Its seconds are the spec's; clients by name, as the application has them.
  local function serve(options)
    local clients = {}
    options.connect = options.connect or function(one)
      clients[one.data] = one
      return {}
    end
    local chat, server = kit.serve(options)
    chat.timer = no_timer()
    return chat, server, clients
  end

  -- os.time goes with it.
  local function tick(chat)
    set_time(function() return seconds end)
    seconds = seconds + 1
    chat:tick()
  end

  it("ends who is silent for longer than ping and pong_timeout", function()
    local chat, server, clients = serve { ping = 1, pong = true,
      pong_timeout = 2 }
    local silent = kit.open(server, { data = "silent" })
    local late = kit.open(server, { data = "late" })
    local function states()
      return { clients.silent.state, clients.late.state }
    end
    tick(chat)
    tick(chat)
    late:say "{}"
    t.wait(function() return clients.late.heard == 2 end, "the pong")
    tick(chat)
    assert.same({ "open", "open" }, states())
    tick(chat)
    assert.same({ "closing", "open" }, states())
    for _ = 1, 3 do silent:expect {} end
    assert.equal("no pong", select(2, silent:closed(3012)))
    tick(chat)
    assert.equal("open", clients.late.state)
    tick(chat)
    for _ = 1, 5 do late:expect {} end
    late:closed(3012)
  end)

  it("ends nobody for silence where no answer is asked for", function()
    local chat, server, clients = serve { ping = 1, pong_timeout = 2 }
    kit.open(server, { data = "silent" })
    for _ = 1, 10 do tick(chat) end
    assert.equal("open", clients.silent.state)
  end)

  it("pings those who came one after the other in different seconds",
    function()
      local chat, server = serve { ping = 3 }
      local list = {}
      for i = 1, 6 do list[i] = kit.open(server, { data = i }) end
      for round = 1, 6 do
        tick(chat)
        for i, c in ipairs(list) do
          if i % 3 == round % 3 then c:expect {} end
          c:quiet()
        end
      end
    end)

  it("ends who has not said connect in the second of connect_timeout",
    function()
      local chat, server = serve { connect_timeout = 2.5 }
      local c = kit.open(server, false)
      t.wait(function() return chat.n_clients == 1 end, "the client")
      local one = next(chat.clients)
      tick(chat)
      tick(chat)
      assert.equal("new", one.state)
      tick(chat)
      assert.equal("stale", select(2, c:closed(3502)))
    end)

  it("ends who was refused a second later, with what it was told", function()
    local channels = require "evws.channels"
    for reason, fn in pairs { unauthorized = function() return false end,
      away = function() channels.raise(444, "away", true) end,
      ["connect was refused"] = function() error "at home" end } do
      local chat, server = serve { connect = fn }
      local c = kit.open(server, false)
      c:say '{"id":1,"connect":{}}'
      assert.is_table(c:next().error)
      assert.equal("refused", next(chat.clients).state)
      tick(chat)
      assert.equal(reason, select(2, c:closed(3500)))
    end
  end)

  it("lets channels, then a connection, go on for expiry_grace", function()
    local begin = seconds
    local chat, server, clients
    local function connect(one)
      clients[1] = one
      return { user = "ann", expires = begin + 6 }
    end
    chat, server, clients = serve { expiry_grace = 2, secret = kit.secret,
      connect = connect, namespaces = { ["a:*"] = { subscribe = "token" } } }
    set_time(function() return seconds end)
    local c = kit.open(server)
    assert.equal(6, c.hello.ttl)
    local function token(n, after)
      return kit.token { sub = "ann", channel = "a:" .. n, exp = begin + after }
    end
    assert.equal(2, c:call("subscribe", { channel = "a:1",
      token = token(1, 2) }).ttl)
    assert.is_true(clients[1]:subscribe("a:2", { expires = begin + 3 }))
    c:expect { push = { channel = "a:2", subscribe = { expires = true,
      ttl = 3 } } }
    assert.equal(1, c:call("subscribe", { channel = "a:3",
      token = token(3, 1) }).ttl)
    assert.equal(4, c:call("sub_refresh", { channel = "a:3",
      token = token(3, 4) }).ttl)
    for second = 1, 7 do
      tick(chat)
      local over = ({ [4] = "a:1", [5] = "a:2", [6] = "a:3" })[second]
      if over then
        c:expect { push = { channel = over, unsubscribe = { code = 2501,
          reason = "expired" } } }
      end
      c:quiet()
    end
    tick(chat)
    assert.equal("connection expired", select(2, c:closed(3005)))
  end)

  it("ends all whose time is over in one second, and pings the others",
    function()
      local begin = seconds
      local chat, server, clients
      local function connect(one)
        clients[one.data] = one
        return { expires = one.data < 3 and begin + 1 or nil }
      end
      chat, server, clients = serve { ping = 1, expiry_grace = 1,
        connect = connect }
      set_time(function() return seconds end)
      local list = {}
      for i = 1, 3 do list[i] = kit.open(server, { data = i }) end
      tick(chat)
      tick(chat)
      assert.same({ "closing", "closing", "open" }, { clients[1].state,
        clients[2].state, clients[3].state })
      for i = 1, 2 do
        list[i]:expect {}
        list[i]:closed(3005)
      end
      for _ = 1, 2 do list[3]:expect {} end
      list[3]:quiet()
    end)

  it("takes no end that is now, and counts a second that has begun", function()
    set_time(function() return seconds end)
    local ends = seconds + 0.25
    local _, server = serve { connect = function() return {} end,
      namespaces = { a = { subscribe = function()
        return { expires = ends }
      end } } }
    local c = kit.open(server)
    assert.equal(1, c:call("subscribe", { channel = "a" }).ttl)
    c:call("unsubscribe", { channel = "a" })
    ends = seconds
    assert.same({ code = 109, message = "token expired", temporary = false },
      c:fails(109, "subscribe", { channel = "a" }))
  end)
end)

describe("what a client asks for at once", function()
  after_each(kit.cleanup)

  it("is done channel by channel, the next of one behind what is ready",
    function()
      local gate = ws.queue(1)
      local _, server = kit.serve { parallel = 1,
        rpc = { n = function(_, n) return n end },
        namespaces = { a = { publish = true, subscribe = function()
          gate:take()
          return true
        end }, b = { publish = true } } }
      local c = kit.open(server)
      c:say('{"id":2,"subscribe":{"channel":"a"}}\n'
        .. '{"id":3,"publish":{"channel":"a","data":1}}\n'
        .. '{"id":4,"rpc":{"method":"n","data":1}}\n'
        .. '{"id":5,"publish":{"channel":"a","data":2}}\n'
        .. '{"id":6,"publish":{"channel":"b","data":1}}\n'
        .. '{"id":7,"publish":{"channel":"b","data":2}}\n'
        .. '{"id":8,"rpc":{"method":"n","data":2}}')
      t.wait(function() return gate:take(0) == nil end, "the queue")
      kit.settle()
      gate:put(true)
      local ids = {}
      while #ids < 7 do
        local message = c:next()
        if message.id then ids[#ids + 1] = message.id end
      end
      assert.same({ 2, 4, 6, 8, 3, 7, 5 }, ids)
    end)

  it("waits in its channel only, while others go on", function()
    local gate = ws.queue(1)
    local _, server = kit.serve { parallel = 3,
      namespaces = { ["a:*"] = { publish = function(_, channel)
        if channel == "a:1" then gate:take() end
        return true
      end } } }
    local c = kit.open(server)
    c:say('{"id":2,"publish":{"channel":"a:1","data":1}}\n'
      .. '{"id":3,"publish":{"channel":"a:1","data":2}}\n'
      .. '{"id":4,"publish":{"channel":"a:2","data":1}}\n'
      .. '{"id":5,"publish":{"channel":"a:2","data":2}}')
    c:expect { id = 4, publish = {} }
    c:expect { id = 5, publish = {} }
    gate:close()
    c:expect { id = 2, publish = {} }
    c:expect { id = 3, publish = {} }
  end)
end)

describe("limits of channels", function()
  after_each(kit.cleanup)

  it("are met by what is just as long, and not by one more", function()
    local _, server = kit.serve { max_channel = 8, max_command = 100,
      namespaces = { ["a*"] = { publish = true } } }
    local c = kit.open(server)
    assert.same({}, c:call("subscribe", { channel = "a2345678" }))
    c:fails(107, "subscribe", { channel = "a23456789" })
    assert.same({}, c:call("publish", { channel = "a8765432", data = 1 }))
    c:fails(107, "publish", { channel = "a23456789", data = 1 })
    local head = '{"id":50,"rpc":{"method":"'
    for length, code in pairs { [100] = 104, [101] = 107 } do
      c:say(head .. ("x"):rep(length - #head - 3) .. '"}}')
      local message = c:next()
      assert.same({ 50, code }, { message.id, message.error.code })
    end
  end)

  it("of a connect that is too long end it", function()
    local chat, server = kit.serve { max_command = 100 }
    local text = '{"id":1,"connect":{"name":"'
    local c = kit.open(server, false)
    c:say(text .. ("x"):rep(100 - #text - 3) .. '"}}')
    assert.is_table(c:next().connect)
    c = kit.open(server, false)
    c:say(text .. ("x"):rep(101 - #text - 3) .. '"}}')
    c:expect { id = 1, error = { code = 107, message = "bad request",
      temporary = false } }
    chat:tick()
    assert.equal("bad request", select(2, c:closed(3500)))
  end)

  it("of depth end a command, and at 1024 the connection", function()
    local _, server = kit.serve()
    for deep, is_closed in pairs { [1022] = false, [1023] = true } do
      local c = kit.open(server)
      c:say('{"id":2,"rpc":{"data":' .. ("["):rep(deep) .. ("]"):rep(deep)
        .. "}}")
      if is_closed then
        c:closed(3501, "no JSON object")
      else
        assert.equal(107, c:next().error.code)
      end
    end
  end)

  it("of info are 2048 bytes of a client and 1024 in a channel", function()
    local told, size = {}, 0
    local _, server = kit.serve {
      on_error = function(_, text) told[#told + 1] = text end,
      connect = function(one)
        return { user = "ann", info = ("x"):rep((one.data or 2) - 2) }
      end,
      namespaces = { a = { presence = true, subscribe = function()
        return { info = ("x"):rep(size - 2) }
      end } } }
    local c = kit.open(server, { data = 2048 })
    size = 1024
    assert.same({}, c:call("subscribe", { channel = "a" }))
    c:call("unsubscribe", { channel = "a" })
    size = 1025
    c:fails(100, "subscribe", { channel = "a" })
    c = kit.open(server, false)
    c:say '{"id":1,"connect":{"data":2049}}'
    assert.equal(100, c:next().error.code)
    t.wait(function() return #told == 2 end, "both errors")
    assert.same({ "info of a channel is longer than 1024 bytes",
      "info is longer than 2048 bytes" }, told)
  end)
end)
