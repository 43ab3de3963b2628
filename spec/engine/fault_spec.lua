-- Every allocation of the engine fails once, and every one from each on: no
-- crash, no leak, on_close exactly once per on_open, and a bystander that had
-- its connection before loses nothing. In builds with faults only.

local t = require "spec.helper"

local core = require "evws.core"
local kit = require "spec.engine.kit"
local fail_at = kit.fail_at
local frame = t.frame
local factor = t.factor
local large = ("large"):rep(60000)

describe("without memory", function()
  if not core.fail_at then
    it("a connection ends, and nothing else", function()
      pending "built without WS_FAULT"
    end)
    return
  end

  local server, opened, closed, client_ends, calm

  before_each(function()
    t.ws.on_error(function() end) -- handlers that meet an error, too
    opened, closed, client_ends = 0, 0, {}
    server = t.listen { close_timeout = 0.2 * factor, max_ratio = false,
      compression = { context_takeover = true, threshold = 5 },
      on_request = function() return 200, large end,
      on_upgrade = function(r)
        return { subprotocol = r.subprotocols[1], data = r.path }
      end,
      on_open = function() opened = opened + 1 end,
      on_message = function(conn, message, kind)
        conn:send(message, kind)
      end,
      on_close = function() closed = closed + 1 end }
    calm = t.bystander(server)
  end)

  after_each(function()
    fail_at(0)
    t.cleanup()
    t.ws.on_error(nil)
  end)

  -- Handshake, echoes small and large, a close, by our own client. True when
  -- nothing was in the way.
  local function talk(compression)
    local url = ("ws://127.0.0.1:%d/path?q"):format(server.port)
    local conn = t.ws.connect(url, { subprotocols = { "one" },
      timeout = 1 * factor, close_timeout = 0.2 * factor,
      compression = compression, max_ratio = false,
      on_close = function(conn)
        client_ends[conn] = (client_ends[conn] or 0) + 1
      end })
    if not conn then return false end
    local ok = conn:send "small" and conn:receive(0.5) == "small"
      and conn:send(large) and conn:receive(0.5) == large
      and conn:send("more", "binary") and conn:receive(0.5) == "more"
    conn:close()
    return ok
  end

  -- The same by a raw one, cut into pieces, with control frames.
  local function talk_raw()
    local client = t.raw(server)
    client.raw_talk = true
    local ok = pcall(function()
      client:send "GET /page HTTP/1.1\r\nHost: x\r\n\r\n"
      local status, _, body = client:read_http { limit = 0.3 }
      assert(status == 200 and body == large)
      assert(client:upgrade { path = "/ws" } == 101)
      local bytes = frame("text", "first", { fin = false })
        .. frame("ping", "between") .. frame("continuation", large)
      client:send(bytes:sub(1, 8))
      t.turn()
      client:send(bytes:sub(9, 100000))
      t.turn()
      client:send(bytes:sub(100001))
      client:expect_frame("pong", "between", 0.3)
      client:expect_frame("text", "first" .. large, 0.3)
      client:send(frame("close", "\3\232bye"))
      client:expect_close(1000, { limit = 0.3 })
    end)
    client:close()
    return ok
  end

  -- Sweeps until three runs in a row met no fault.
  local function sweep(run, every)
    local n, clean = 0, 0
    while clean < 3 do
      n = n + 1
      assert.is_true(n < 400)
      fail_at(n, every)
      local ok = run()
      fail_at(0)
      clean = ok and clean + 1 or 0
      t.wait(function() return server.connections == 1 end,
        "the connection to end at " .. n)
      t.wait(function() return opened == closed + 1 end,
        "on_close at " .. n)
      for _, count in pairs(client_ends) do assert.equal(1, count) end
      calm.check()
    end
    return n
  end

  it("a connection ends, and nothing else: one allocation fails",
    function()
      assert.is_true(sweep(function() return kit.attempt(2, talk) end) > 5)
    end)

  it("a connection ends, and nothing else: all from one on fail",
    function()
      local function once() return kit.attempt(2, talk) end
      assert.is_true(sweep(once, true) > 5)
    end)

  it("a connection with compression ends, or goes on without", function()
    local takeover = { context_takeover = true, threshold = 5 }
    for _, compression in ipairs { true, takeover } do
      for _, every in ipairs { false, true } do
        assert.is_true(sweep(function()
          return kit.attempt(2, function() return talk(compression) end)
        end, every) > 5)
      end
    end
  end)

  it("a raw peer's connection ends, and nothing else", function()
    assert.is_true(sweep(talk_raw) > 5)
  end)

  it("a raw peer's connection ends, when all from one on fail", function()
    assert.is_true(sweep(talk_raw, true) > 5)
  end)

  it("a server cannot listen, or can", function()
    local n, server_or_nil = 0
    local before = t.fd_count()
    repeat
      n = n + 1
      fail_at(n)
      local ok, result = pcall(t.ws.listen, { host = "127.0.0.1", port = 0,
        subprotocols = { "a", "b" }, origins = { "https://a.test" },
        hosts = { "localhost" }, path = "/" })
      fail_at(0)
      server_or_nil = ok and result or nil
      if not server_or_nil then
        collectgarbage()
        assert.equal(before, t.probe.fd_count())
      end
    until server_or_nil or n > 100
    assert.is_true(n > 3)
    t.pump(server_or_nil.close, server_or_nil)
    calm.check()
  end)

  it("on_close comes as soon as there is some", function()
    local stop
    local client = t.open(server)
    for _ = 1, 80 do -- no coroutine is left in the pool
      t.ws.spawn(function()
        while not stop do t.ws.sleep(0.01) end
      end)
    end
    for _ = 1, 3 do t.turn() end
    fail_at(1, true)
    client:reset()
    local is_at_rest = false -- and meanwhile the loop does not spin
    for _ = 1, 100 do
      t.turn()
      is_at_rest = is_at_rest or t.ws.timeout() > 0
    end
    assert.equal(0, closed)
    assert.is_true(is_at_rest)
    fail_at(0)
    t.wait(function() return closed == 1 end, "on_close")
    stop = true
    calm.check()
  end)

  it("large sends to a peer that does not read end it only", function()
    for _, every in ipairs { false, true } do
      for n = 1, 12 do
        local client = t.open(server, { rcvbuf = 4096 })
        local conn
        for each in server:each() do
          if each.path == "/" then conn = each end
        end
        fail_at(n, every)
        for _ = 1, 60 do
          if not conn:send(large) then break end
        end
        fail_at(0)
        client:close()
        t.wait(function() return server.connections == 1 end)
        calm.check()
      end
    end
  end)

  it("publishing and subscribing fail, or do all of it", function()
    local hub = t.listen { -- the bystander would get what is broadcast
      on_open = function() opened = opened + 1 end,
      on_close = function() closed = closed + 1 end }
    for _, every in ipairs { false, true } do
      for n = 1, 25 do
        local raws, conns = { t.open(hub), t.open(hub) }, {}
        for conn in hub:each() do conns[#conns + 1] = conn end
        assert.equal(2, #conns)
        fail_at(n, every)
        local subscribed = 0
        for i = 1, 40 do
          if conns[1]:subscribe("t" .. i) then subscribed = subscribed + 1 end
        end
        local both = conns[1]:subscribe "x" and conns[2]:subscribe "x"
        local sent = hub:publish("x", large)
        local all = hub:broadcast "all"
        pcall(hub.route, hub, ("/late/%s/%d"):format(every, n), {})
        fail_at(0)
        assert.equal(subscribed, #conns[1]:topics()
          - (hub:subscribers "x" > 0 and conns[1].state == "open"
            and 1 or 0))
        for i, raw in ipairs(raws) do
          if both and sent == 2 and conns[i].state == "open" then
            raw:expect_frame("text", large)
          end
          raw:close()
        end
        assert.is_true(all == nil or all <= 2)
        t.wait(function() return hub.connections == 0 end)
        assert.equal(0, hub:subscribers "x")
      end
    end
    t.wait(function() return opened == closed + 1 end)
  end)
end)
