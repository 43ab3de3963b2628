-- Topics without memory: whatever is asked of a server first, who subscribes
-- and who hears. What fails says so, changes nothing, and works when it is
-- asked again; what has been told as done is done. On a simulated network. In
-- builds with faults only.

local t = require "spec.helper"
local sim = require "evws.sim"
local core = require "evws.core"
local ws = t.ws

local fail_at = core.fail_at -- in builds with faults

-- A server with history, and a member of it: conn, the server's end.
local function with(fn, options)
  sim.new { seed = 1, buffer = 1 << 20 }:run(function(net)
    local conn
    local got = {}
    local own = { port = 5000, keepalive_interval = false,
      history = { ["kept:*"] = { size = 4, ttl = 600 } },
      on_open = function(c) conn = c end, on_message = function() end }
    for name, value in pairs(options or {}) do own[name] = value end
    local server = assert(ws.listen(own))
    local peer = net:connect("ws://localhost:5000/", {
      keepalive_interval = false,
      on_message = function(_, message) got[#got + 1] = message end })
    while not conn do ws.sleep(0.001) end
    fn { net = net, server = server, conn = conn, peer = peer, got = got }
    fail_at(0)
    server:close { timeout = 1 }
    net:advance(5)
  end)
end

-- Did it fail for want of memory? Its result, or nil.
local function attempt(fn, n, every)
  fail_at(n, every)
  local results = table.pack(pcall(fn))
  fail_at(0)
  if results[1] and results[2] ~= nil then return results[2], results[3] end
  local why = results[1] and results[3] or results[2]
  assert.matches("memory", tostring(why))
end

-- What is asked of a server; `check` is what has to hold once it has worked.
local calls = {
  history = { function(s) return s.server:history "kept:a" end,
    function(_, list) assert.same({}, list) end },
  reset = { function(s) return s.server:reset "kept:a" end,
    function(s)
      local _, at = s.server:history "kept:a"
      assert.equal(0, at.offset)
    end },
  broadcast = { function(s) return s.server:broadcast "all" end,
    function(s, n) -- or it ended, as it could not be told
      if s.conn.state ~= "open" then return end
      assert.equal(1, n)
      assert.same({ "all" }, s.got)
    end },
  publish = { function(s) return s.server:publish("kept:a", "one") end,
    function(s, offset)
      assert.equal(1, offset)
      local list = s.server:history "kept:a"
      assert.equal(1, #list)
      assert.equal("one", list[1].message)
    end },
  subscribe = { function(s) return s.conn:subscribe "plain" end,
    function(s)
      assert.equal(1, s.server:publish("plain", "for it"))
      assert.same({ "plain" }, s.conn:topics())
      s.net:advance(1)
      assert.same({ "for it" }, s.got)
    end },
  ["subscribe to what is kept"] = { function(s)
    return s.conn:subscribe("kept:a", { recover = { offset = 0 } })
  end, function(s)
    assert.equal(1, s.server:publish("kept:a", "for it"))
    s.net:advance(1)
    assert.same({ "for it" }, s.got)
  end },
  present = { function(s)
    return s.conn:subscribe("plain", { presence = { id = "me" } })
  end, function(s)
    local list = s.server:presence "plain"
    assert.equal(1, #list)
    assert.equal("me", list[1].id)
  end },
  ["present at last"] = { function(s)
    if not s.has_subscribed then s.conn:subscribe "plain" end
    s.has_subscribed = true
    return s.conn:subscribe("plain", { presence = { id = "me" } })
  end, function(s) assert.equal(1, #s.server:presence "plain") end },
  hear = { function(s)
    return s.server:hear("plain", function(m) s.got[#s.got + 1] = m end)
  end, function(s)
    s.server:publish("plain", "for it")
    s.net:advance(1)
    assert.same({ "for it" }, s.got)
  end },
  view = { function(s)
    if not s.has_view then s.server:view("loud", string.upper) end
    s.has_view = true
    return s.conn:subscribe("plain", { view = "loud" })
  end, function(s)
    s.server:publish("plain", "for it")
    s.net:advance(1)
    assert.same({ "FOR IT" }, s.got)
  end },
}

describe("topics without memory", function()
  if not core.fail_at then
    it("say so, and change nothing", function()
      pending "built without WS_FAULT"
    end)
    return
  end

  before_each(function() ws.on_error(function() end) end)

  after_each(function()
    fail_at(0)
    ws.on_error(nil)
  end)

  for name, call in pairs(calls) do
    it("say so, and change nothing: " .. name, function()
      local fn, check = call[1], call[2]
      local failures = 0
      for _, every in ipairs { false, true } do
        for n = 1, 24 do
          with(function(s)
            local function run() return fn(s) end
            local result = attempt(run, n, every)
            failures = failures + (result == nil and 1 or 0)
            if result == nil then result = assert(fn(s)) end
            s.net:advance(1)
            check(s, result)
          end)
        end
      end
      assert.is_true(failures > 0)
    end)
  end

  -- No task is left for who hears, and none can be made.
  local function hog()
    local queue = ws.queue(1)
    for _ = 1, 80 do ws.spawn(function() queue:take() end) end
    return queue
  end

  it("are heard of later where it was one message", function()
    with(function(s)
      local heard = {}
      s.server:hear("plain", function(m) heard[#heard + 1] = m end)
      s.net:advance(1)
      local queue = hog()
      s.server:publish("plain", "only")
      fail_at(1, true)
      s.net:advance(0.05)
      fail_at(0)
      s.server:publish("plain", "and another")
      s.net:advance(1)
      assert.same({ "only", "and another" }, heard)
      queue:close()
    end)
  end)

  it("are heard of later, by each once, in order", function()
    with(function(s)
      local heard = { {}, {}, {} }
      for i = 1, 3 do
        s.server:hear("plain", function(m)
          heard[i][#heard[i] + 1] = m
        end)
      end
      s.server:publish("plain", "1")
      s.net:advance(1)
      local queue = hog()
      for i = 2, 4 do s.server:publish("plain", tostring(i)) end
      fail_at(1, true)
      s.net:advance(0.35)
      fail_at(0)
      local sum = #heard[1] + #heard[2] + #heard[3]
      assert.equal(3, sum)
      s.net:advance(1)
      for i = 1, 3 do assert.same({ "1", "2", "3", "4" }, heard[i]) end
      queue:close()
    end)
  end)

  it("are heard of no more by a server that closes meanwhile", function()
    with(function(s)
      local heard = {}
      s.server:hear("plain", function(m) heard[#heard + 1] = m end)
      s.net:advance(1)
      local queue = hog()
      s.server:publish("plain", "1")
      s.server:publish("plain", "2")
      fail_at(1, true)
      s.net:advance(0.05)
      fail_at(0)
      s.server:close { timeout = 0 }
      s.net:advance(5)
      queue:close()
      assert.same({}, heard)
    end)
  end)
end)
