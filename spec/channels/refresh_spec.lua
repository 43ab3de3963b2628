-- A connection whose time is put off: who is asked for that, what is answered;
-- and a connection in Lua whose program has no token, or no answer to one.

local channels = require "evws.channels"
local kit = require "spec.channels.kit"
local sim = require "evws.sim"
local t = kit.t
local ws = t.ws

local time = os.time

describe("a refresh", function()
  local seconds

  before_each(function()
    seconds = time()
    rawset(os, "time", function() return seconds end)
  end)

  after_each(function()
    rawset(os, "time", time)
    kit.cleanup()
  end)

  local function open(options, first)
    local own = { connect = function()
      return { user = "ann", expires = seconds + (first or 10) }
    end }
    for name, value in pairs(options) do own[name] = value end
    local chat, server = kit.serve(own)
    local c = kit.open(server)
    assert.same({ true, first or 10 }, { c.hello.expires, c.hello.ttl })
    return c, chat, next(chat.clients)
  end

  local function reply_of(c, fields)
    local reply = { client = c.hello.client, version = "evws " .. ws.version }
    for name, value in pairs(fields or {}) do reply[name] = value end
    return reply
  end

  it("is the application's matter where it says so", function()
    local answer
    local c, _, one = open { refresh = function(client)
      assert.equal("ann", client.user)
      return answer
    end }
    local err = c:fails(101, "refresh", { token = "x" })
    assert.equal("unauthorized", err.message)
    answer = false
    c:fails(101, "refresh", { token = "x" })
    assert.equal(seconds + 10, one.expires)
    answer = { expires = seconds + 50 }
    assert.same(reply_of(c, { expires = true, ttl = 50 }),
      c:call("refresh", { token = "x" }))
    assert.equal(seconds + 50, one.expires)
    answer = true -- and nothing expires any more
    assert.same(reply_of(c), c:call("refresh", { token = "x" }))
    assert.is_nil(one.expires)
    c:say '{"id":90,"refresh":{"token":"x"}}'
    c:closed(3501, "nothing expires")
  end)

  it("is both's where there is a secret: the token's, then its", function()
    local answer = true
    local c, _, one = open { secret = kit.secret,
      refresh = function() return answer end }
    local function token(claims)
      return { token = kit.token(claims) }
    end
    assert.same(reply_of(c, { expires = true, ttl = 30 }),
      c:call("refresh", token { sub = "ann", exp = seconds + 30 }))
    answer = {}
    assert.equal(40, c:call("refresh", token { exp = seconds + 40 }).ttl)
    answer = { expires = seconds + 5 }
    assert.equal(5, c:call("refresh", token { sub = "ann",
      exp = seconds + 60 }).ttl)
    assert.equal(seconds + 5, one.expires)
    answer = nil
    c:fails(101, "refresh", token { sub = "ann", exp = seconds + 60 })
    c:say { id = 90, refresh = token { sub = "ben", exp = seconds + 60 } }
    c:closed(3500, "invalid token")
  end)

  it("may bring the end nearer", function()
    local c, chat, one = open({ expiry_grace = 2, refresh = function()
      return { expires = seconds + 3 }
    end }, 50)
    chat.timer:cancel()
    assert.equal(3, c:call("refresh", { token = "x" }).ttl)
    for _ = 1, 4 do
      seconds = seconds + 1
      chat:tick()
    end
    assert.equal("open", one.state)
    seconds = seconds + 1
    chat:tick()
    c:closed(3005, "connection expired")
  end)

  it("needs a token", function()
    for _, token in ipairs { '""', "null" } do
      local c = open { refresh = function() return true end }
      c:say('{"id":90,"refresh":{"token":' .. token .. "}}")
      c:closed(3501, "a refresh without a token")
      kit.cleanup()
    end
  end)

  it("is of no use where nobody can judge it", function()
    local c = open {}
    c:say '{"id":90,"refresh":{"token":"x"}}'
    assert.equal("invalid token", select(2, c:closed(3500)))
  end)
end)

describe("channels.connect", function()
  local conn

  after_each(function()
    if conn then conn:close() end
    conn = nil
    kit.cleanup()
  end)

  it("says that its program has brought no token", function()
    local _, server = kit.serve()
    local url, told = t.url_of(server) .. "/c", {}
    assert.same({ nil, "no token", 100 }, { t.pump(channels.connect, url, {
      token = function() error "at home" end,
      on_error = function(_, text) told[#told + 1] = text end }) })
    t.wait(function() return told[1] end, "the error")
    t.contains(told[1], "at home")
    for _, given in ipairs { "", 5 } do
      assert.same({ nil, "unauthorized", 101 }, { t.pump(channels.connect, url,
        { token = function() return given end }) })
    end
    assert.equal(1, #told)
  end)

  it("goes on until its program has a token", function()
    local _, server = kit.serve { namespaces = { a = {} } }
    local n, m, told = 0, 0, 0
    conn = t.pump(channels.connect, t.url_of(server) .. "/c", {
      reconnect = { initial = 0.001, maximum = 0.002, jitter = 0 },
      on_connected = function() end, on_error = function() told = told + 1 end,
      token = function()
        n = n + 1
        if n < 3 then error "not yet" end
        return "t"
      end })
    t.wait(function() return conn.state == "connected" end, "it")
    assert.equal(3, n)
    assert(t.pump(conn.subscribe, conn, "a", { token = function()
      m = m + 1
      if m < 3 then error "not yet" end
      return "t"
    end }))
    assert.equal(3, m)
    t.wait(function() return told == 4 end, "the errors")
  end)

  it("recovers from the very beginning where no more is said", function()
    local chat, server = kit.serve { namespaces = { room = {
      history = { size = 9, ttl = 60 } } } }
    chat:serve(server)
    for i = 1, 3 do chat:publish("room", i) end
    local seen = {}
    conn = t.pump(channels.connect, t.url_of(server) .. "/c")
    assert(t.pump(conn.subscribe, conn, "room", { recover = {},
      on_publication = function(_, one) seen[#seen + 1] = one.data end }))
    t.wait(function() return #seen == 3 end, "what was missed")
    assert.same({ 1, 2, 3 }, seen)
  end)

  it("drops who does not answer what has to be answered", function()
    for _, silent in ipairs { "refresh", "sub_refresh", "unsubscribe" } do
      sim.new { limit = 1000, delay = 0 }:run(function(net)
        local list = {}
        ws.listen { port = 5000, path = "/c", on_message = function(c, text)
          for id, name in text:gmatch '{"id":(%d+),"([%w_]+)"' do
            if name ~= silent then
              c:send(('{"id":%s,"%s":{"expires":true,"ttl":%d}}'):format(id,
                name, name == "connect" and silent ~= "refresh" and 900 or 20))
            end
          end
        end }
        local function bring() return "t" end
        local one = assert(channels.connect("ws://localhost:5000/c", {
          token = bring, on_disconnected = function(_, code, why)
            list[#list + 1] = code .. " " .. why
          end }))
        local sub = assert(one:subscribe("a", { token = bring }))
        if silent == "unsubscribe" then sub:unsubscribe() end
        net:advance(4)
        assert.same({}, list)
        net:advance(22)
        assert.equal("1006 no answer to " .. silent, list[1])
      end)
    end
  end)
end)
