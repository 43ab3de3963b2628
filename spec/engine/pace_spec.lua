-- How long waits are, to the very moment: on a simulated network without delay,
-- where the clock goes on only to what is next.

local sim = require "evws.sim"
local t = require "spec.helper"

local ws = t.ws
local url = "ws://localhost:5000/"

local function run(fn, seed)
  sim.new { delay = 0, limit = 8000, seed = seed or 1 }:run(fn)
end

-- But for the ticks of deadlines.
local function near(want, got)
  if not got or math.abs(want - got) > 0.021 then
    error(("%g s expected, got %s"):format(want, got), 2)
  end
end

describe("the next attempt", function()
  -- Seconds between two requests, the first of which is answered so.
  local function gap(net, status, after, reconnect)
    local times = {}
    local server = assert(ws.listen { port = 5000, on_upgrade = function()
      times[#times + 1] = net:now()
      return status, "", { ["Retry-After"] = after }
    end })
    local conn = ws.connect(url, { reconnect = reconnect,
      on_open = function() end })
    while #times < 2 do net:advance(0.25) end
    conn:close()
    server:close { timeout = 0 }
    net:advance(1)
    return times[2] - times[1]
  end

  it("is not before Retry-After has it, nor later than in an hour", function()
    local once = { initial = 2, maximum = 2, jitter = 0 }
    for _, case in ipairs { { "1", 2 }, { "2", 2 }, { "3", 3 },
      { "3599", 3599 }, { "3600", 3600 }, { "3601", 3600 },
      { "99999999", 3600 } } do
      for _, status in ipairs { 429, 503 } do
        run(function(net)
          assert.equal(case[2], gap(net, status, case[1], once))
        end)
      end
    end
    for _, status in ipairs { 404, 408, 425, 500, 502, 504 } do
      run(function(net) assert.equal(2, gap(net, status, "9", once)) end)
    end
  end)

  it("is later by chance than Retry-After, and earlier than its own",
    function()
      local least, most, own_least, own_most = 99, 0, 99, 0
      for seed = 1, 20 do
        local how = { initial = 8, maximum = 8, jitter = 0.5 }
        run(function(net)
          local got = gap(net, 503, "30", how)
          least, most = math.min(least, got), math.max(most, got)
        end, seed)
        run(function(net)
          local got = gap(net, 503, "0", how)
          own_least, own_most = math.min(own_least, got),
            math.max(own_most, got)
        end, seed)
      end
      assert.is_true(least >= 30 and most <= 34, least .. " " .. most)
      assert.is_true(most - least > 1)
      assert.is_true(own_least >= 4 and own_most <= 8,
        own_least .. " " .. own_most)
      assert.is_true(own_most - own_least > 1)
    end)

  -- Failures at 0, 1 and 3 s; from 4 s on somebody listens, so that it is open
  -- at 7 s: for so long. When it comes again.
  local function back(lasts)
    local opened = {}
    run(function(net)
      local began = net:now()
      local function listen()
        return assert(ws.listen { port = 5000, on_open = function(conn)
          opened[#opened + 1] = net:now() - began
          if #opened == 1 then ws.sleep(lasts) conn:terminate() end
        end })
      end
      local conn = ws.connect(url, { on_open = function() end,
        reconnect = { initial = 1, maximum = 64, jitter = 0 } })
      net:advance(4)
      local server = listen()
      net:advance(40)
      conn:close()
      server:close { timeout = 0 }
      net:advance(1)
    end)
    assert.equal(7, opened[1])
    return opened[2] - opened[1] - lasts
  end

  it("is as soon as the first after one that outlasted the last wait",
    function()
      assert.equal(8, back(0))
      assert.equal(8, back(3))
      assert.equal(8, back(4))
      assert.equal(1, back(4.5))
      assert.equal(1, back(9))
    end)
end)

describe("a server that closes", function()
  -- Seconds from the call at which each of n connections is told.
  local function told(n, timeout, options)
    local at, asked, result = {}, nil, nil
    run(function(net)
      local own = { port = 5000 }
      for name, value in pairs(options or {}) do own[name] = value end
      local began
      if own.on_closing then
        function own.on_closing(_, seconds)
          asked = { net:now() - began, seconds }
          ws.sleep(timeout)
        end
      end
      local server = assert(ws.listen(own))
      for _ = 1, n do
        assert(ws.connect(url, { on_close = function()
          at[#at + 1] = net:now() - began
        end }))
      end
      net:advance(1)
      began = net:now()
      result = server:close { timeout = timeout }
      net:advance(1)
    end)
    assert.equal(n, #at)
    assert.is_true(result)
    return at, asked
  end

  it("tells a hundred at once, and the next a tenth of a second later",
    function()
      local at = told(250, 30)
      for i, seconds in pairs { [1] = 0, [100] = 0, [101] = 0.1,
        [200] = 0.1, [201] = 0.2, [250] = 0.2 } do
        near(seconds, at[i])
      end
    end)

  it("has told all in a quarter of its time", function()
    local at = told(250, 0.8)
    for i, seconds in pairs { [1] = 0, [100] = 0, [101] = 0.08,
      [200] = 0.08, [201] = 0.16, [250] = 0.16 } do
      near(seconds, at[i])
    end
  end)

  it("leaves a quarter of its time to on_closing", function()
    local at, asked = told(1, 8, { on_closing = true })
    assert.same({ 0, 2 }, asked)
    near(2, at[1])
  end)

  it("gives who has not asked whole a second, or what its time has left",
    function()
      -- The seconds until it is refused: it takes half a minute to ask.
      local function lasts(closes_at, options)
        local refused
        ws.log = function(_, event, fields)
          if event == "refused" then refused = { ws.now(), fields.reason } end
        end
        run(function(net)
          local began = net:now()
          local server = assert(ws.listen(options))
          net:link { rate = 5 }
          ws.spawn(ws.connect, url)
          net:advance(closes_at)
          ws.spawn(server.close, server, { timeout = 20 })
          net:advance(15)
          refused[1] = refused[1] - began
        end)
        ws.log = require "evws.core".log
        assert.equal("timeout", refused[2])
        return refused[1]
      end
      near(3, lasts(2, { port = 5000 }))
      near(5, lasts(4.5, { port = 5000, handshake_timeout = 5 }))
      near(5.5, lasts(4.5, { port = 5000, handshake_timeout = 5.6 }))
    end)
end)

describe("a client that is refused", function()
  it("waits a second for what it is told, within its timeout", function()
    -- its head is there at 0.3 s, all of it after 10 s
    for _, case in ipairs { { 30, 1.3 }, { 1.2, 1.2 }, { 0.5, 0.5 } } do
      run(function(net)
        local server = assert(ws.listen { port = 5000, on_upgrade = function()
          return 403, ("x"):rep(10000)
        end })
        net:link { rate = 1000, buffer = 50 }
        local began = net:now()
        local _, why = ws.connect(url, { timeout = case[1] })
        near(case[2], net:now() - began)
        t.contains(why, "403 Forbidden")
        server:close { timeout = 0 }
      end)
    end
  end)
end)

describe("a connection that is not read", function()
  it("is looked at every two seconds: is its peer still there?", function()
    for _, case in ipairs { { 0.5, 2 }, { 1.9, 2 }, { 2.1, 4 }, { 5, 6 } } do
      local ended
      run(function(net)
        local began
        local server = assert(ws.listen { port = 5000,
          keepalive_interval = false, on_open = function(conn)
            conn:pause()
            began = net:now()
          end, on_close = function() ended = net:now() - began end })
        local conn = net:connect(url, { keepalive_interval = false })
        net:advance(case[1])
        conn:terminate()
        net:advance(10)
        server:close { timeout = 0 }
      end)
      near(case[2], ended)
    end
  end)
end)

describe("of many connections each", function()
  -- least and most of a list
  local function ends_of(list)
    table.sort(list)
    return list[1], list[#list]
  end

  local function open(net, n, options, own)
    local server = assert(ws.listen(options))
    for _ = 1, n do net:connect(url, own) end
    return server
  end

  it("is pinged up to a tenth before its interval is over, by chance",
    function()
      run(function(net)
        local began, times = net:now(), {}
        local server = open(net, 40, { port = 5000, keepalive_interval = 100,
          keepalive_timeout = 300 }, { keepalive_interval = false,
          on_ping = function() times[#times + 1] = net:now() - began end })
        net:advance(110)
        assert.equal(40, #times)
        local least, most = ends_of(times)
        assert.is_true(least >= 89.9 and least < 93, least)
        assert.is_true(most <= 100.1 and most > 97, most)
        server:close { timeout = 0 }
      end)
    end)

  it("lives up to a tenth less than max_lifetime, by chance", function()
    run(function(net)
      local began, times = net:now(), {}
      open(net, 40, { port = 5000, max_lifetime = 1000,
        keepalive_interval = false, on_close = function(_, code, why)
          assert.same({ 1001, "max lifetime" }, { code, why })
          times[#times + 1] = net:now() - began
        end }, { keepalive_interval = false })
      net:advance(1100)
      assert.equal(40, #times)
      local least, most = ends_of(times)
      assert.is_true(least >= 899.9 and least < 930, least)
      assert.is_true(most <= 1000.1 and most > 970, most)
    end)
  end)
end)
