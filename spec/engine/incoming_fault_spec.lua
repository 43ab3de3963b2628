-- What comes in while an allocation fails, once or from then on: messages are
-- handed over in order, each once, up to the end of their connection, which is
-- told once. On a simulated network. In builds with faults only.

local t = require "spec.helper"
local sim = require "evws.sim"
local core = require "evws.core"
local ws = t.ws
local url = "ws://localhost:5000/"

local fail_at = core.fail_at -- in builds with faults

local long = ("long "):rep(2000)

-- What the peer says, in pieces that come in turns.
local says = {
  messages = function(peer)
    peer:send "one"
    peer:send(long)
    peer:send "two"
  end,
  ["pings and messages"] = function(peer)
    for i = 1, 20 do peer:ping("ping " .. i) end
    peer:send "one"
    peer:ping "last"
  end,
  fragments = function(peer)
    local writer = peer:writer()
    if not writer then return end
    writer:write "o"
    ws.sleep(0.003)
    peer:ping "between"
    writer:write "ne"
    writer:finish()
    peer:send "two"
  end,
  ["a close"] = function(peer)
    peer:send "one"
    peer:close(4000, "enough of it")
  end,
}
local want = { messages = { "one", long, "two" }, fragments = { "one", "two" },
  ["pings and messages"] = { "one" }, ["a close"] = { "one" } }

local ways = {
  handler = {},
  ["handler that waits"] = { waits = true },
  receiver = { is_pulled = true },
  ["receiver that comes late"] = { is_pulled = true, is_late = true },
  ["handler, at a rate"] = { rate = "wait" },
  ["handler, or it is closed"] = { rate = "close" },
  ["handler, and its own queue is high"] = { is_blocked = true },
}

local function session(what, way, compression, n, every)
  local got, ended = {}, 0
  sim.new { seed = 1, buffer = 6000 }:run(function(net)
    local conn
    local server = assert(ws.listen { port = 5000, compression = compression,
      keepalive_interval = false, stall_timeout = false, max_queued = false,
      message_rate = way.rate and { burst = 2, rate = 1 } or false,
      on_flood = way.rate, receive_queue = 20000, close_timeout = 5,
      on_open = function(c) conn = c end,
      on_ping = function() end, on_pong = function() end,
      on_message = not way.is_pulled and function(_, message)
        got[#got + 1] = message
        if way.waits then ws.sleep(0.002) end
      end or nil,
      on_close = function() ended = ended + 1 end })
    local peer = net:connect(url, { compression = compression,
      keepalive_interval = false, close_timeout = 5, max_queued = false,
      control_rate = false })
    while not conn do ws.sleep(0.001) end
    local function receive()
      ws.spawn(function()
        for message in conn:messages() do got[#got + 1] = message end
      end)
    end
    if way.is_pulled and not way.is_late then receive() end
    if way.is_late then -- from then on it is one that receives
      peer:send "hello"
      assert.equal("hello", conn:receive(5))
    end
    if way.is_blocked then
      peer:pause()
      while conn.buffered == 0 do
        conn:send(long)
        ws.sleep(0.01)
      end
    end
    ws.spawn(function()
      ws.sleep(0.001)
      fail_at(n, every)
      pcall(says[what], peer)
    end)
    pcall(net.advance, net, 0.02)
    fail_at(0)
    if way.is_late then receive() end
    if way.is_blocked then peer:resume() end
    net:advance(20)
    peer:terminate()
    net:advance(20)
    server:close { timeout = 1 }
    net:advance(5)
  end)
  assert.equal(1, ended)
  for i, message in ipairs(got) do assert.equal(want[what][i], message) end
  return #got == #want[what]
end

describe("what comes in", function()
  before_each(function() ws.on_error(function() end) end)

  after_each(function()
    if core.fail_at then fail_at(0) end
    ws.on_error(nil)
  end)

  for name, way in pairs(ways) do
    it("is handed over, or the connection ends: " .. name, function()
      if not core.fail_at then return pending "built without WS_FAULT" end
      for what in pairs(says) do
        for _, compression in ipairs { false, { threshold = 5 } } do
          local whole = 0
          for _, every in ipairs { false, true } do
            for n = 1, 24 do
              whole = whole
                + (session(what, way, compression, n, every) and 1 or 0)
            end
          end
          assert.is_true(whole > 0 or way.rate == "close", what)
        end
      end
    end)
  end
end)
