-- Two ends that both wait for the other to read would stall each other. Each
-- spec sends more than all queues and sockets between them hold, with every
-- option as it is by default.

local t = require "spec.helper"
local ws = t.ws

local function echo_by_callback(conn)
  conn:on_message(function(c, message, kind) assert(c:send(message, kind)) end)
end

local function echo_by_loop(conn)
  for message, kind in conn:messages() do
    assert(conn:send(message, kind))
    conn:drain()
  end
end

local function pump(from, to)
  for message, kind in from:messages() do
    if not to:send(message, kind) then break end
    to:drain()
  end
  to:close()
end

-- A server that hands everything on to `target`, and its answers back.
local function bridge(listen, target)
  return t.listen { path = "/ws", unix = listen.unix, on_open = function(a)
    local b = assert(ws.connect(target))
    ws.spawn(pump, a, b)
    pump(b, a)
  end }
end

local places, used = {
  tcp = function() return {} end,
  unix = function()
    local name = os.tmpname()
    os.remove(name)
    return { unix = name }
  end,
}, nil

local function url_of(server, place)
  return place.unix and "ws+unix://" .. place.unix .. ":/ws"
    or ("ws://127.0.0.1:%d/ws"):format(server.port)
end

-- Sends n messages without waiting for answers, as fast as the queue takes
-- them, or draining after each; how the answers are received is up to
-- `receive`. Returns the most that waited in the client's queue.
local function flood(conn, n, size, drains, receives)
  local came, most = 0, 0
  local function take(_, message)
    assert(#message == size)
    assert(tonumber(message:sub(1, 8)) == came + 1)
    came = came + 1
    most = math.max(most, conn.buffered)
  end
  if receives == "callback" then
    conn:on_message(take)
  else
    ws.spawn(function()
      for message in conn:messages() do take(conn, message) end
    end)
  end
  t.pump_for(60, function()
    for i = 1, n do
      local message = ("%08d"):format(i) .. ("x"):rep(size - 8)
      local ok, why = conn:send(message)
      while not ok and why == "queue full" do
        conn:drain()
        ok, why = conn:send(message)
      end
      assert(ok, why)
      if drains then conn:drain() end
    end
  end)
  t.wait(function() return came == n end, "all that was sent to come back", 60)
  assert.equal("open", conn.state)
  return most
end

describe("two ends with every default", function()
  after_each(function()
    t.cleanup()
    if used and used.unix then os.remove(used.unix) end
    used = nil
  end)

  for _, transport in ipairs { "tcp", "unix" } do
    for name, handler in pairs { callback = echo_by_callback,
        loop = echo_by_loop } do
      for _, receives in ipairs { "callback", "loop" } do
        for _, drains in ipairs { false, true } do
          it(("never stall: %s, echo by %s, client by %s%s"):format(transport,
              name, receives, drains and ", draining" or ""), function()
            used = places[transport]()
            local server = t.listen { path = "/ws", unix = used.unix,
              on_open = handler }
            local conn = t.pump(ws.connect, url_of(server, used))
            local most = flood(conn, 500, 100000, drains, receives)
            assert.is_true(most <= ws.defaults.max_queued)
            conn:close()
          end)
        end
      end
    end
  end

  it("never stall with many small messages", function()
    local server = t.listen { path = "/ws", on_open = echo_by_callback }
    local conn = t.pump(ws.connect, url_of(server, {}))
    flood(conn, 48 * 1024, 1024, false, "callback")
    conn:close()
  end)

  it("never stall with a bridge between them", function()
    for _, handler in ipairs { echo_by_callback, echo_by_loop } do
      local far = t.listen { path = "/ws", on_open = handler }
      local near = bridge({}, url_of(far, {}))
      local conn = t.pump(ws.connect, url_of(near, {}))
      flood(conn, 500, 100000, false, "loop")
      conn:close()
    end
  end)

  it("never stall when both ends pipeline", function()
    local sent, got = 300, {}
    local message = ("x"):rep(100000)
    local function talk(conn, who)
      got[who] = 0
      conn:on_message(function() got[who] = got[who] + 1 end)
      ws.spawn(function()
        for _ = 1, sent do
          while not conn:send(message) do conn:drain() end
        end
      end)
    end
    local server = t.listen { path = "/ws",
      on_open = function(conn) talk(conn, "server") end }
    local conn = t.pump(ws.connect, url_of(server, {}))
    talk(conn, "client")
    t.wait(function() return got.server == sent and got.client == sent end,
      "all messages of both", 60)
    conn:close()
  end)
end)

describe("write pressure", function()
  after_each(t.cleanup)

  it("still keeps a handler that answers from being called", function()
    local n = 0
    local server = t.listen { high_water = 1000, on_message = function(conn)
      n = n + 1
      conn:send(("x"):rep(65536))
    end }
    local raw = t.open(server, { rcvbuf = 4096 })
    for _ = 1, 200 do raw:send(t.frame("text", "more")) end
    local last = -1
    t.wait(function() -- until nothing goes on any more
      for _ = 1, 20 do t.turn() end
      local is_still = n == last
      last = n
      return is_still
    end)
    assert.is_true(n < 200)
    raw:close()
  end)
end)
