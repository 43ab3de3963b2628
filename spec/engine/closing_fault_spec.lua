-- The ends of servers, and clients that come back, while an allocation fails,
-- once or from then on: everybody is told once, nothing waits for ever, and
-- what is lost is told. On a simulated network. In builds with faults only.

local t = require "spec.helper"
local sim = require "evws.sim"
local core = require "evws.core"
local ws = t.ws
local url = "ws://localhost:5000/"

local fail_at = core.fail_at -- in builds with faults

describe("without memory", function()
  if not core.fail_at then
    it("a server closes", function() pending "built without WS_FAULT" end)
    return
  end

  before_each(function() ws.on_error(function() end) end)

  after_each(function()
    fail_at(0)
    ws.on_error(nil)
  end)

  -- Memory comes back after half a second.
  local function starve(net, n, every, seconds)
    fail_at(n, every)
    pcall(net.advance, net, seconds or 0.5)
    fail_at(0)
    net:advance(0.1)
  end

  local function many(net, n, ended)
    local opened, conns = 0, {}
    local server = assert(ws.listen { port = 5000,
      on_open = function() opened = opened + 1 end,
      on_closing = function() ws.sleep(0.1) end,
      on_message = t.echo })
    for i = 1, n do
      conns[i] = net:connect(url, { on_close = function(conn, code)
        ended[conn] = ended[conn] and "twice" or code
      end })
    end
    while opened < n do ws.sleep(0.001) end
    return server, conns
  end

  -- So many timers are set beforehand: one more may need memory, or not.
  local function set_timers(n)
    for _ = 1, n do ws.after(1000, function() end) end
  end

  for name, timeout in pairs { ["at once"] = 0, ["in a while"] = 2 } do
    it("a server closes, and everybody is told once: " .. name, function()
      for _, every in ipairs { false, true } do
        for n = 1, 24 do
          local ended = {}
          sim.new { seed = 1 }:run(function(net)
            local server, conns = many(net, n % 4 == 1 and 230 or 3, ended)
            set_timers(n)
            ws.spawn(function()
              fail_at(every and 1 or 1 + n // 8, every)
              server:close { timeout = timeout }
            end)
            pcall(net.advance, net, 0.5)
            fail_at(0)
            net:advance(0.1)
            if server.connections > 0 then
              net:advance(5)
              server:close { timeout = 1 }
            end
            net:advance(300) -- what was lost on its way is noticed
            for _, conn in ipairs(conns) do
              assert.equal("closed", conn.state)
              assert.is_number(ended[conn])
            end
            assert.is_nil((ws.connect(url)))
          end)
        end
      end
    end)
  end

  it("a client comes back, or tells that it does not", function()
    local come_back = 0
    for _, every in ipairs { false, true } do
      for n = 1, 60 do
        sim.new { seed = 1 }:run(function(net)
          local at_server, opens, last, got = nil, 0, nil, nil
          local server = assert(ws.listen { port = 5000,
            on_open = function(conn) at_server = conn end,
            on_message = t.echo })
          local conn = net:connect(url, {
            reconnect = { initial = 0.1, maximum = 0.2 },
            on_open = function()
              assert.is_true(last ~= "open")
              opens, last = opens + 1, "open"
            end,
            on_message = function(_, message) got = message end,
            on_close = function() last = "close" end }) -- or an attempt's
          while opens == 0 do ws.sleep(0.001) end
          set_timers(n % 20)
          net:reset(at_server)
          starve(net, 1 + n // 6, every, 0.35)
          net:advance(10)
          if conn.state == "open" then
            assert.equal("open", last)
            come_back = come_back + 1
            conn:send "hello"
            net:advance(1)
            assert.equal("hello", got)
          else
            assert.equal("close", last) -- what it sent may be lost on its way
          end
          conn:close()
          server:close { timeout = 1 }
          net:advance(5)
        end)
      end
    end
    assert.is_true(come_back > 10)
  end)

  it("a client is made, or is not", function()
    local made = 0
    for _, reconnect in ipairs { false, { initial = 0.1, maximum = 0.2 } } do
      for _, every in ipairs { false, true } do
        for n = 1, 40 do
          sim.new { seed = 1 }:run(function(net)
            local server = assert(ws.listen { port = 5000, path = "/x",
              subprotocols = { "one" }, on_message = t.echo })
            local conn
            ws.spawn(function()
              fail_at(n, every)
              local ok, one = pcall(ws.connect, "ws://localhost.:5000/x?y", {
                subprotocols = { "one" }, origin = "http://a.test",
                headers = { ["X-Own"] = "own" }, reconnect = reconnect,
                timeout = 2 })
              fail_at(0)
              conn = ok and one
            end)
            pcall(net.advance, net, 0.05)
            fail_at(0)
            net:advance(5)
            if conn and conn.state == "open" then
              assert.equal("one", conn.subprotocol)
              conn:send "hello"
              local got = conn:receive(5)
              made = made + (got and 1 or 0)
              if got then assert.equal("hello", got) end
              conn:close()
            end
            server:close { timeout = 1 }
            net:advance(5)
          end)
        end
      end
    end
    assert.is_true(made > 10)
  end)
end)
