-- For how long topics keep what they keep (src/engine/history.c), to a moment,
-- by a simulated clock.

local sim = require "evws.sim"
local t = require "spec.helper"

local ws = t.ws
local ttl = 10

describe("what a topic keeps, by the clock,", function()
  local server, at

  -- Runs fn with a server; at(seconds) is then, counted from the beginning.
  local function run(fn)
    local net = sim.new {}
    net:run(function()
      local began = ws.now()
      server = assert(ws.listen { port = 0, path = "/",
        history = { ["*"] = { size = 9, ttl = ttl } } })
      function at(seconds) net:advance(began + seconds - ws.now()) end
      fn(net)
      server:close()
    end)
  end

  local function look(topic)
    local list, where = server:history(topic)
    return #list, where.epoch, where.offset
  end

  local function stays(topic, n, epoch)
    local now_n, now_epoch = look(topic)
    assert.same({ n, epoch }, { now_n, now_epoch })
  end

  local function is_new(topic, epoch)
    local n, now_epoch, offset = look(topic)
    assert.same({ 0, 0 }, { n, offset })
    assert.not_equal(epoch, now_epoch)
  end

  it("is forgotten its ttl after the last message, the position ten times that",
    function()
      run(function()
        local _, epoch = server:publish("a", "m1")
        at(6)
        server:publish("a", "m2")
        at(15.9)
        stays("a", 2, epoch)
        at(16.1)
        stays("a", 0, epoch)
        at(105.9)
        stays("a", 0, epoch)
        at(106.1)
        is_new("a", epoch)
      end)
    end)

  it("is forgotten sooner where nothing was published: twice the ttl",
    function()
      run(function()
        local _, epoch = look "a"
        at(19.9)
        stays("a", 0, epoch)
        at(20.1)
        is_new("a", epoch)
      end)
    end)

  it("counts from a message that comes back into the quiet", function()
    run(function()
      local _, epoch = server:publish("a", "m1")
      at(95)
      assert.equal(2, (server:publish("a", "m2")))
      at(104.9)
      stays("a", 1, epoch)
      at(105.1)
      stays("a", 0, epoch)
      at(194.9)
      stays("a", 0, epoch)
      at(195.1)
      is_new("a", epoch)
    end)
  end)

  it("counts from a reset, too", function()
    run(function()
      server:publish("a", "m1")
      at(95)
      server:reset "a"
      local _, epoch = look "a"
      at(114.9)
      stays("a", 0, epoch)
      at(115.1)
      is_new("a", epoch)
    end)
  end)

  it("has its place for as long as somebody has the topic, and then as long "
    .. "as without", function()
    run(function(net)
      local conn
      server:route("/in", { on_open = function(c)
        conn = c
        c:subscribe "empty"
        c:subscribe "a"
      end })
      net:connect(("ws://localhost:%d/in"):format(server.port),
        { on_message = function() end })
      server:publish("a", "m1")
      local _, epoch = look "a"
      local _, of_empty = look "empty"
      at(500)
      stays("a", 0, epoch)
      stays("empty", 0, of_empty)
      conn:unsubscribe "a"
      conn:unsubscribe "empty"
      at(509.9) -- it is seen every ten seconds that somebody has it
      stays("empty", 0, of_empty)
      at(520.1)
      is_new("empty", of_empty)
      at(589.9)
      stays("a", 0, epoch)
      at(600.1)
      is_new("a", epoch)
    end)
  end)
end)
