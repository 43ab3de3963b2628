-- channels.connect by the clock: when it gives up, comes back, brings another
-- token, and for how long it waits.

local channels = require "evws.channels"
local sim = require "evws.sim"
local ws = require "evws"

local url = "ws://localhost:5000/c"

-- A server that answers each request as it is told to, by name; it notes who
-- asks for what, and when. answers.upgrade: what an attempt is refused with.
local function serve(net, answers)
  local self = { seen = {}, times = {}, attempts = {} }
  local listener = assert(ws.listen { port = 5000, path = "/c",
    on_upgrade = function()
      self.attempts[#self.attempts + 1] = net:now()
      local refusal = answers.upgrade and answers.upgrade(#self.attempts)
      if refusal then return table.unpack(refusal) end
    end,
    on_open = function(c) self.conn = c end,
    on_close = function(_, code) self.code = code end,
    on_message = function(c, text)
      for id, name in text:gmatch '{"id":(%d+),"([%w_]+)"' do
        local answer = answers[name]
        if type(answer) == "function" then answer = answer() end
        self.seen[#self.seen + 1] = name
        self.times[#self.times + 1] = net:now()
        if answer then
          c:send(('{"id":%s,%s}'):format(id, answer))
        end
      end
    end })
  self.listener = listener
  return self
end

local function hello(fields)
  return '"connect":{' .. (fields or "") .. "}"
end

local function run(fn)
  sim.new { limit = 100000, delay = 0 }:run(fn)
end

-- Is it so, but for what a network takes?
local function about(seconds, value)
  assert.is_true(value >= seconds - 0.001 and value < seconds + 0.1,
    ("%s instead of %s"):format(value, seconds))
end

local function noting(list, net)
  return function(_, code, why)
    list[#list + 1] = { code, why, net:now() }
  end
end

local steady = { initial = 1, maximum = 4, jitter = 0 }

describe("channels.connect", function()
  it("drops a server whose ping is late by more than ten seconds", function()
    run(function(net)
      local list = {}
      local server = serve(net, { connect = hello '"ping":10' })
      local conn = assert(channels.connect(url, {
        on_disconnected = noting(list, net) }))
      for _ = 1, 10 do
        net:advance(10)
        server.conn:send "{}"
      end
      assert.same({ "connected", 0 }, { conn.state, #list })
      net:advance(19)
      assert.equal(0, #list)
      net:advance(12)
      assert.same({ 1006, "no ping" }, { list[1][1], list[1][2] })
      assert.same({ 1, 1000 }, { #list, server.code })
    end)
    run(function(net)
      local list = {}
      serve(net, { connect = hello '"ping":1' })
      assert(channels.connect(url, { on_disconnected = noting(list, net) }))
      net:advance(10)
      assert.equal(0, #list)
      net:advance(7)
      assert.equal("no ping", list[1][2])
    end)
  end)

  it("does not wait for pings that nobody has promised", function()
    for _, fields in ipairs { "", '"ping":0' } do
      run(function(net)
        local server = serve(net, { connect = hello(fields) })
        local conn = assert(channels.connect(url))
        net:advance(1000)
        assert.same({ "connected", 1 }, { conn.state, #server.attempts })
      end)
    end
  end)

  it("drops who does not answer connect or subscribe within timeout",
    function()
      run(function(net)
        local list, answers = {}, {}
        serve(net, answers)
        local conn = assert(channels.connect(url, { reconnect = steady,
          on_connected = function() end,
          on_disconnected = noting(list, net) }))
        net:advance(5.5)
        about(5, list[1][3])
        assert.same({ 1006, "no answer to connect" }, { list[1][1],
          list[1][2] })
        answers.connect = hello()
        net:advance(5)
        local since = net:now()
        assert.is_nil((conn:subscribe "a"))
        about(5, net:now() - since)
        net:advance(6)
        assert.equal("no answer to subscribe", list[2][2])
        assert.equal(2, #list)
      end)
    end)

  it("waits for the answer to a call as long as timeout says", function()
    run(function(net)
      serve(net, { connect = hello() })
      local conn = assert(channels.connect(url, { timeout = 2.5 }))
      for _, call in ipairs { { "rpc", "x" }, { "publish", "a", 1 },
        { "history", "a" }, { "presence", "a" }, { "presence_stats", "a" } } do
        local since = net:now()
        assert.same({ nil, "timeout" }, { conn[call[1]](conn,
          table.unpack(call, 2)) })
        about(2.5, net:now() - since)
      end
      assert.is_nil(next(conn.pending))
      assert.equal("connected", conn.state)
    end)
  end)

  it("comes back after twice as long each time, up to the maximum", function()
    run(function(net)
      local answers = { connect = hello() }
      local server = serve(net, answers)
      assert(channels.connect(url, { reconnect = steady }))
      net:advance(10)
      function answers.upgrade(n) return n < 7 and { 503 } or nil end
      local since = net:now()
      server.conn:terminate()
      net:advance(30)
      for i, after in ipairs { 1, 3, 7, 11, 15, 19 } do
        about(after, server.attempts[i + 1] - since)
      end
      assert.equal(7, #server.attempts)
      -- that one has lasted for long enough to begin with the first again
      since = net:now()
      server.conn:terminate()
      net:advance(1.5)
      about(1, server.attempts[8] - since)
      -- and this one has not
      since = net:now()
      server.conn:terminate()
      net:advance(5)
      about(2, server.attempts[9] - since)
    end)
  end)

  it("leaves a part of each wait to chance, as jitter says", function()
    run(function(net)
      local n = 0
      local answers = { connect = hello() }
      local server = serve(net, answers)
      assert(channels.connect(url, { reconnect = { initial = 8, maximum = 8,
        jitter = 0.5 } }))
      function answers.upgrade() return { 503 } end
      server.conn:terminate()
      net:advance(1000)
      for i = 3, #server.attempts do
        local waited = server.attempts[i] - server.attempts[i - 1]
        assert.is_true(waited >= 4 - 0.001 and waited <= 8.1, waited)
        if waited < 6 then n = n + 1 end
      end
      assert.is_true(n > 20 and n < #server.attempts - 20)
    end)
  end)

  it("comes back where another answer may come, not before Retry-After",
    function()
      local quick = { initial = 0.25, maximum = 4, jitter = 0 }
      for _, case in ipairs { { 503, "7", 7 }, { 429, "7", 7 },
        { 503, "0.75", 0.75 }, { 503, nil, 0.5 }, { 503, "0.2", 0.5 },
        { 429, "-5", 0.5 }, { 503, "soon", 0.5 }, { 503, "7200", 3600 },
        { 500, "7", 0.5 }, { 404, "7", 0.5 }, { 408, nil, 0.5 },
        { 425, nil, 0.5 }, { 599, nil, 0.5 } } do
        run(function(net)
          local answers = { connect = hello() }
          local server = serve(net, answers)
          local conn = assert(channels.connect(url, { reconnect = quick }))
          net:advance(10)
          function answers.upgrade(n)
            if n > 2 then return nil end
            return { case[1], "", { ["Retry-After"] = case[2] } }
          end
          server.conn:terminate()
          net:advance(5000)
          assert.same({ "connected", 3 }, { conn.state, #server.attempts })
          about(case[3], server.attempts[3] - server.attempts[2])
        end)
      end
    end)

  it("ends with a status that will be the same tomorrow", function()
    for _, status in ipairs { 400, 401, 403, 405, 410, 426, 428, 499 } do
      run(function(net)
        local answers, list = { connect = hello() }, {}
        local server = serve(net, answers)
        local conn = assert(channels.connect(url, { reconnect = steady,
          on_disconnected = noting(list, net) }))
        function answers.upgrade() return { status } end
        server.conn:terminate()
        net:advance(100)
        assert.same({ "closed", 2 }, { conn.state, #server.attempts })
        assert.same({ 1006, status }, { list[1][1], list[2][1] })
        assert.equal(status, (conn:wait()))
        assert.equal(2, #list)
      end)
    end
  end)

  it("brings another token when it is told to, and again", function()
    run(function(net)
      local n, m = 0, 0
      local answers = { connect = hello '"expires":true,"ttl":50',
        refresh = '"refresh":{"expires":true,"ttl":20}',
        subscribe = '"subscribe":{"expires":true,"ttl":30}',
        sub_refresh = '"sub_refresh":{"expires":true,"ttl":15}' }
      local server = serve(net, answers)
      local conn = assert(channels.connect(url, { token = function()
        n = n + 1
        return "t" .. n
      end }))
      assert(conn:subscribe("a", { token = function()
        m = m + 1
        return "s" .. m
      end }))
      net:advance(49)
      answers.refresh = '"refresh":{}'
      answers.sub_refresh = '"sub_refresh":{"expires":false,"ttl":1}'
      net:advance(1000)
      assert.same({ "connect", "subscribe", "sub_refresh", "sub_refresh",
        "refresh", "sub_refresh" }, { table.unpack(server.seen, 1, 6) })
      for i, at in ipairs { 0, 0, 30, 45, 50, 60 } do
        about(at, server.times[i])
      end
      assert.same({ 6, 2, 4 }, { #server.seen, n, m })
      assert.equal("connected", conn.state)
    end)
  end)

  it("brings another token a little later where the server is busy",
    function()
      run(function(net)
        local busy = '"error":{"code":100,"message":"busy","temporary":true}'
        local answers = { connect = hello '"expires":true,"ttl":50',
          refresh = busy }
        local server = serve(net, answers)
        local conn = assert(channels.connect(url, { reconnect = { initial = 3,
          maximum = 9, jitter = 0 }, token = function() return "t" end }))
        net:advance(54)
        assert.same({ "connect", "refresh", "refresh" }, server.seen)
        about(50, server.times[2])
        about(53, server.times[3])
        answers.refresh = '"error":{"code":109,"message":"token expired"}'
        net:advance(3)
        assert.equal("connecting", conn.state)
        net:advance(5)
        assert.equal("connected", conn.state)
        assert.equal("connect", server.seen[#server.seen])
      end)
    end)

  it("does not bring another token where it has no function for it",
    function()
      run(function(net)
        local server = serve(net, { connect = hello '"expires":true,"ttl":5',
          subscribe = '"subscribe":{"expires":true,"ttl":5}' })
        local conn = assert(channels.connect(url, { token = "t" }))
        assert(conn:subscribe("a", { token = "s" }))
        net:advance(1000)
        assert.same({ "connect", "subscribe" }, server.seen)
      end)
    end)
end)
