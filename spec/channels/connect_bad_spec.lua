-- channels.connect where a server answers what it should not, where handlers
-- are slower than what comes, and where two things happen in one turn.

local channels = require "evws.channels"
local sim = require "evws.sim"
local t = require "spec.helper"
local ws = t.ws

local url = "ws://localhost:5000/c"
local none = "what came is none of the protocol's messages"

-- What is wrong in a connect's reply, in a subscribe's and in what is pushed.
local replies = { '{"client":5}', '{"ping":"x"}', '{"ping":-1}', '{"pong":1}',
  '{"subs":5}', '{"subs":{"a":5}}', '{"subs":{"a":{"epoch":5}}}',
  '{"expires":true,"ttl":"9"}', '{"expires":1}', "5", '"x"', "false" }
local subscriptions = { '{"epoch":5}', '{"epoch":"e","offset":1.5}',
  '{"epoch":"e","offset":"9"}', '{"offset":-1}', '{"publications":5}',
  '{"publications":[1]}', '{"publications":[{"offset":"q"}]}',
  '{"recovered":"yes"}', '{"expires":true,"ttl":-1}' }
local pushes = { "5", "null", '"x"', "{", '{"id":[]}', '{"id":"1"}',
  '{"push":5}', '{"push":"x"}', '{"push":true}', '{"push":{"pub":5}}',
  '{"push":{"channel":5,"pub":{"data":1}}}',
  '{"push":{"channel":"a","pub":{"data":1,"offset":{}}}}',
  '{"push":{"disconnect":{"code":"x"}}}', '{"push":{"disconnect":[{}]}',
  '{"push":{"disconnect":{"code":3000,"reason":5}}}',
  '{"push":{"subscribe":{}}}', '{"push":{"channel":null,"subscribe":{}}}',
  '{"push":{"channel":"a","subscribe":{"publications":[1]}}}',
  '{"push":{"channel":"a","unsubscribe":{"code":"x"}}}',
  ("["):rep(600) .. ("]"):rep(600) }

-- A server that answers so, and pushes so once somebody is connected.
local function answer(connect, subscribe, pushed)
  local self = { connects = 0 }
  local said = { connect = connect or "{}", subscribe = subscribe or "{}" }
  assert(ws.listen { port = 5000, path = "/c", on_message = function(c, text)
    for id, name in text:gmatch '{"id":(%d+),"([%w_]+)"' do
      c:send(('{"id":%s,"%s":%s}'):format(id, name, said[name] or "{}"))
      if name == "connect" then
        self.connects = self.connects + 1
        if pushed then c:send(pushed) end
      end
    end
  end })
  return self
end

-- A program with a room that keeps what is said.
local function serve(connect)
  local app = channels.new { connect = connect or function()
    return { user = "Ann" }
  end, rpc = { echo = function(_, value) return value end },
    namespaces = { room = { history = { size = 1000, ttl = 300 } },
      other = {} } }
  app:serve(assert(ws.listen { port = 5000, history = app.kept,
    routes = app:routes "/c" }))
  return app
end

local function run(fn) sim.new { limit = 1000 }:run(fn) end

describe("channels.connect and a server that is none", function()
  it("says so when it is answered so", function()
    for _, reply in ipairs(replies) do
      run(function(net)
        local server = answer(reply)
        assert.same({ nil, none, 1002 }, { channels.connect(url) }, reply)
        net:advance(100)
        assert.equal(1, server.connects)
      end)
    end
  end)

  it("ends when subscribing is answered so", function()
    for _, reply in ipairs(subscriptions) do
      run(function()
        answer(nil, reply)
        local conn = assert(channels.connect(url))
        assert.same({ nil, none, 1002 }, { conn:subscribe "room" }, reply)
        assert.same({ 1002, none }, { conn:wait() })
      end)
    end
  end)

  it("ends when such a thing is pushed", function()
    for _, pushed in ipairs(pushes) do
      run(function(net)
        local server, told = answer(nil, nil, pushed), nil
        local conn = channels.connect(url, { on_connected = function() end,
          on_disconnected = function(_, code) told = code end })
        assert.same({ 1002, none }, { conn:wait() }, pushed)
        net:advance(100)
        assert.same({ 1002, 1 }, { told, server.connects })
        assert.same({ nil, "closed", 1002 }, { conn:publish("a", 1) })
      end)
    end
  end)

  it("takes null for what is not there", function()
    run(function(net)
      answer('{"client":null,"ping":null,"ttl":null,"subs":null}',
        '{"epoch":null,"publications":null,"data":null}', '{"push":{"channel":'
        .. 'null,"message":{"data":null}}}')
      local conn = assert(channels.connect(url))
      assert(conn:subscribe "room")
      net:advance(1)
      assert.equal("connected", conn.state)
      assert.is_nil(conn.id)
    end)
  end)
end)

describe("channels.connect and handlers that are slow", function()
  it("answers calls of theirs, however much waits behind them", function()
    run(function(net)
      local app, seen, inner = serve(), {}, nil
      local conn = assert(channels.connect(url, { receive_queue = 2 }))
      assert(conn:subscribe("room", { on_publication = function(_, one)
        assert.equal(one.data, (assert(conn:rpc("echo", one.data))))
        seen[#seen + 1] = one.data
        inner = inner or assert(conn:subscribe "other")
      end }))
      local since = net:now()
      for n = 1, 50 do app:publish("room", n) end
      repeat net:advance(0.1) until #seen == 50 or net:now() > since + 100
      assert.is_true(net:now() < since + 5) -- no call came to its end by time
      for n = 1, 50 do assert.equal(n, seen[n]) end
    end)
  end)

  it("is read no further while they wait for something else", function()
    run(function(net)
      local app, seen = serve(), 0
      local conn = assert(channels.connect(url, { receive_queue = 2 }))
      local go = ws.queue(1)
      assert(conn:subscribe("room", { on_publication = function()
        conn:rpc("echo", 1)
        seen = seen + 1
        go:take()
      end }))
      for n = 1, 50 do
        app:publish("room", n)
        net:advance(0.1)
      end
      assert.is_true(conn.events.last - conn.events.first < 10)
      for _ = 1, 50 do
        go:put(true)
        net:advance(0.1)
      end
      assert.equal(50, seen)
    end)
  end)
end)

describe("a subscription that does not wait", function()
  it("asks once where the connection opens in the same turn", function()
    for _, has_getter in ipairs { false, true } do
      run(function(net)
        local conn, sub, other, state, ends, asked
        asked = 0
        ws.listen { port = 6000, path = "/", on_open = function(c)
          other = c
        end }
        net:connect("ws://localhost:6000/", { on_open = function() end,
          on_message = function()
            state = conn.state
            sub = assert(conn:subscribe("room", { wait = false,
              token = has_getter and function()
                asked = asked + 1
                ws.sleep(0.1)
                return "text"
              end or nil, on_unsubscribed = function(_, code) ends = code end
            }))
          end })
        net:advance(1)
        serve(function()
          ws.sleep(0)
          other:send "now" -- it arrives with the answer
          return { user = "Ann" }
        end)
        conn = channels.connect(url, { on_connected = function() end })
        net:advance(3)
        assert.same({ "connecting", "subscribed", has_getter and 1 or 0 },
          { state, sub.state, asked })
        assert.is_nil(ends)
      end)
    end
  end)
end)
