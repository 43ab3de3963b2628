-- websockets.lua and polling.lua on a simulated network: who may have a
-- session, how it is lost, what waits for a poll and for how long.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local polling = require "evws.signalr.polling"
local signalr = require "evws.signalr"
local sim = require "evws.sim"
local websockets = require "evws.signalr.websockets"
local ws = require "evws"

local shake = '{"protocol":"json","version":1}\30'

local function run(fn) sim.new { limit = 100000, delay = 0 }:run(fn) end

-- A client that polls. client.poll() -> status, body; or, with options.later,
-- what becomes { status, body } once it is answered.
local function polled(hub)
  local self = { session = hub:session() }
  local function request()
    return { on_close = function(_, fn) self.hang_up = fn end }
  end
  polling.serve(hub, request(), self.session)
  local transport = self.session.transport
  self.transport = transport
  function self.poll()
    local status, body, headers = transport:poll(request())
    return status, body, headers
  end
  function self.later()
    local answer = {}
    ws.spawn(function()
      answer[1], answer[2] = transport:poll(request())
    end)
    ws.sleep(0)
    return answer
  end
  self.session:feed(shake)
  assert.same({ 200, "{}\30" }, { (select(1, self.poll())), "{}\30" })
  return self
end

describe("a session that is polled", function()
  it("is not pinged", function()
    run(function(net)
      local hub = signalr.hub { keepalive_interval = 1 }
      local c = polled(hub)
      local answer = c.later()
      net:advance(10)
      assert.same({}, answer)
      assert.equal(0, c.transport:buffered())
      hub.clients.all:send "A"
      net:advance(0.1)
      assert.same({ 200, '{"type":1,"target":"A","arguments":[]}\30' }, answer)
    end)
  end)

  it("has its polls answered after poll_timeout, and lasts between them",
    function()
      run(function(net)
        local hub = signalr.hub { poll_timeout = 30, disconnect_timeout = 5 }
        local c = polled(hub)
        for _ = 1, 3 do
          net:advance(4)
          local answer = c.later()
          net:advance(29.5)
          assert.same({}, answer)
          net:advance(1)
          assert.same({ 200, "" }, answer)
        end
        net:advance(4)
        assert.equal(1, hub.n_sessions)
        net:advance(4)
        assert.equal(0, hub.n_sessions)
      end)
    end)

  it("speaks MessagePack, too", function()
    run(function()
      local hub = signalr.hub {}
      local session = hub:session()
      polling.serve(hub, {}, session)
      session:feed '{"protocol":"messagepack","version":1}\30'
      assert.equal("messagepack", session.ctx.protocol)
      local transport = session.transport
      assert.equal("{}\30", (select(2, transport:poll {})))
      assert.equal(1, hub.clients.all:send "A")
      assert.equal("\8\x96\1\x80\xc0\xa1A\x90\x90",
        (select(2, transport:poll {})))
    end)
  end)

  it("is answered with types that nobody keeps", function()
    run(function()
      local hub = signalr.hub {}
      local c = polled(hub)
      hub.clients.all:send "A"
      assert.same({ ["Cache-Control"] = "no-cache, no-store",
        ["Content-Type"] = "application/octet-stream" }, (select(3, c.poll())))
    end)
  end)

  for _, is_quiet in ipairs { true, false } do
    it("makes a stream wait for a poll, no longer than until it "
      .. (is_quiet and "has left" or "has expired"), function()
      run(function(net)
        local sent, why, ended = 0, nil, nil
        local hub = signalr.hub { stall_timeout = 600, streams = {
          Flow = function(_, out)
            local ok
            repeat
              ok, why = out:send(("x"):rep(100))
              sent = sent + (ok and 1 or 0)
            until not ok
          end }, on_disconnected = function() ended = net:now() end }
        local size = #hub.protocols.json.item("s", ("x"):rep(100))
        hub.options.max_buffered = 3 * size
        local c = polled(hub)
        c.session:feed '{"type":4,"invocationId":"s","target":"Flow",'
        c.session:feed '"arguments":[]}\30'
        ws.sleep(0)
        assert.same({ 3, 4 * size }, { sent, c.transport:buffered() })
        local _, body = c.poll()
        net:advance(0.1)
        assert.same({ 4 * size, 7 }, { #body, sent })
        net:advance(10)
        assert.equal(7, sent)
        -- and then it is over, in order or by time
        if is_quiet then c.session:leave_quietly() end
        local since = net:now()
        net:advance(20)
        assert.same({ 7, "closed" }, { sent, why })
        assert.is_true(ended - since < (is_quiet and 0.1 or 10))
      end)
    end)
  end

  it("keeps its last records for a poll, for a quarter of a minute",
    function()
      run(function(net)
        local hub = signalr.hub {}
        local close = '{"type":7}\30'
        local c = polled(hub)
        c.session.ctx:close()
        assert.equal(c.transport, hub.leaving[c.session.token])
        net:advance(14)
        assert.same({ 200, close }, { (select(1, c.poll())), close })
        assert.equal(204, (c.poll()))
        assert.is_nil(hub.leaving[c.session.token])
        c = polled(hub)
        c.session.ctx:close()
        net:advance(14.5)
        assert.equal(c.transport, hub.leaving[c.session.token])
        net:advance(1)
        assert.is_nil(next(hub.leaving))
      end)
    end)

  it("answers a poll that waits, and another takes the place of", function()
    run(function(net)
      local hub = signalr.hub {}
      local c = polled(hub)
      local first = c.later()
      local second = c.later()
      assert.same({ { 204 }, {} }, { first, second })
      c.hang_up()
      net:advance(0.1)
      assert.equal(204, second[1])
      hub.clients.all:send "Kept"
      local _, body = c.poll()
      assert.equal('{"type":1,"target":"Kept","arguments":[]}\30', body)
    end)
  end)
end)

describe("a session on a WebSocket", function()
  -- A stateful one, and how it ends on both sides.
  local function lose(how)
    local hub, why, state
    run(function(net)
      hub = signalr.hub { disconnect_timeout = 5, keepalive_interval = false,
        stateful_reconnect = true, on_disconnected = function(_, text)
          why = text or "in order"
        end }
      ws.listen { port = 5000, routes = hub:routes "/hub" }
      local one = hub:session(nil, true)
      local conn = net:connect("ws://localhost:5000/hub?id=" .. one.token)
      conn:send(shake)
      assert.equal("{}\30", conn:receive())
      how(conn, net)
      net:advance(1)
      state = hub.n_sessions == 1 and "it may come back" or "over"
      net:advance(10)
      assert.equal(0, hub.n_sessions)
    end)
    return state, why
  end

  it("may come back when it was lost, and not when it was closed", function()
    for _, code in ipairs { 1000, 1001, 1005 } do
      assert.same({ "over", "in order" }, { lose(function(conn)
        conn:close(code ~= 1005 and code or nil)
      end) })
    end
    assert.same({ "over", "closed with 3000" }, { lose(function(conn)
      conn:close(3000)
    end) })
    assert.same({ "over", "that is it" }, { lose(function(conn)
      conn:close(3000, "that is it")
    end) })
    assert.same({ "it may come back", "the client did not come back" },
      { lose(function(conn, net) net:reset(conn) end) })
  end)

  it("is claimed by one request, while that one is on its way", function()
    local hub = signalr.hub {}
    local route = {}
    websockets.fill(hub, route)
    local one = hub:session()
    local request = { query = "id=" .. one.token, headers = {} }
    assert.equal(one, route.on_upgrade(request).data.session)
    assert.equal(409, route.on_upgrade(request))
    assert.equal(404, route.on_upgrade { query = "id=x", headers = {} })
    assert.is_nil(route.on_upgrade({ headers = {} }).data.session)
    one:over()
    hub:rest()
  end)
end)
