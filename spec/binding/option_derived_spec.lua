-- Options that nobody gave, whose value follows from another one or from the
-- machine.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local sim = require "evws.sim"
local ws = t.ws

local url = "ws://localhost:5000/"
local get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"

describe("without", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  -- When either end notices that the line is dead, in seconds behind it.
  local function ends_after(options, own)
    local ended = {}
    sim.new { delay = 0 }:run(function(net)
      local since, is_over
      local function note(who)
        return function(_, code, why)
          local after = math.floor(net:now() - since + 0.5)
          ended[who] = not is_over and { code, why, after }
        end
      end
      options.port, options.on_close = 5000, note "server"
      own.on_close = note "client"
      assert(ws.listen(options))
      local conn = net:connect(url, own)
      net:advance(0.1)
      since = net:now()
      net:vanish(conn)
      net:advance(100)
      is_over = true
    end)
    return ended
  end

  it("keepalive_timeout it is twice keepalive_interval", function()
    local function lost(seconds)
      return { 1006, "keepalive timeout", seconds }
    end
    local off = { keepalive_interval = false }
    assert.same({ server = lost(20) },
      { server = ends_after({ keepalive_interval = 10 }, off).server })
    assert.same({ client = lost(24) },
      { client = ends_after({ keepalive_interval = false },
        { keepalive_interval = 12 }).client })
    assert.same({ server = lost(15), client = lost(30) },
      ends_after({ keepalive_interval = 10, keepalive_timeout = 15 },
        { keepalive_interval = 15 }))
  end)

  it("keepalive_interval keepalive_timeout is off as well", function()
    assert.same({ server = false, client = false },
      ends_after({ keepalive_interval = false },
        { keepalive_interval = false }))
  end)

  -- What waits when there is room again, of a line that carries little by
  -- little.
  local function drained_at(options)
    local waiting
    sim.new { delay = 0, buffer = 100 }:run(function(net)
      options.port, options.stall_timeout = 5000, false
      options.on_open = function(conn)
        net:link(conn, { rate = 10000 })
        repeat conn:send(("x"):rep(98)) until conn.buffered > 12000
        conn:drain()
        waiting = conn.buffered
      end
      assert(ws.listen(options))
      net:connect(url)
      net:advance(100)
    end)
    return waiting
  end

  it("low_water it is half of high_water", function()
    for _, row in ipairs { { { high_water = 10000 }, 5000 },
      { { high_water = 6000 }, 3000 },
      { { high_water = 10000, low_water = 8000 }, 8000 } } do
      local waiting = drained_at(row[1])
      assert.is_true(waiting <= row[2] and waiting > row[2] - 400, waiting)
    end
  end)

  it("requests in http_keepalive there are a thousand", function()
    local raw = t.raw(t.listen { http_keepalive = { timeout = 60 },
      on_request = function() return 204 end })
    raw:send(get:rep(1001))
    for i = 1, 1000 do
      local status, headers = raw:read_http()
      assert.same({ i, 204, i == 1000 and "close" or nil },
        { i, status, headers.connection })
    end
    raw:expect_eof()
  end)

  it("timeout in http_keepalive there are 75 seconds", function()
    local child = kit.run(([[
      local t = require "spec.helper"
      local raw = t.raw(t.listen { http_keepalive = { requests = 2 },
        on_request = function() return 204 end })
      raw:send %q
      assert(raw:read_http() == 204)
      for _ = 1, 3 do ws.step(0) end
      local seconds = ws.timeout()
      say(seconds > 30 and seconds <= 75.5 or seconds)
    ]]):format(get))
    assert.equal(0, child:ended(), child:errors())
    assert.equal("true\n", child:output())
  end)

  it("max_connections some descriptors are for others", function()
    for descriptors, most in pairs { [128] = 64, [129] = 65, [150] = 86 } do
      local path = os.tmpname()
      local file <close> = assert(io.open(path, "wb"))
      file:write [[
        local ws = require "evws"
        io.stdout:setvbuf "line"
        local server = ws.listen { port = 0, host = "127.0.0.1" }
        print(server.port)
        ws.run()
      ]]
      file:close()
      local child = kit.execute(('sh -c "ulimit -n %d; exec %s %s"'):format(
        descriptors, os.getenv "LUA" or "lua5.4", path))
      local port = tonumber(child:wait "^(%d+)$")
      os.remove(path)
      local raws = {}
      for i = 1, most - 1 do raws[i] = t.raw(port) end
      raws[most] = t.open(port)
      local one_more = t.raw(port)
      one_more:send(get)
      assert.is_nil((one_more:read_http()))
      one_more:close()
      for _, raw in ipairs(raws) do raw:close() end
    end
  end)
end)
