-- A simulated network while memory fails: what is meant to be seen there is
-- how an application does without, so nothing crashes, hangs or leaks, and the
-- next network is as good as any.

local t = require "spec.helper"
local sim = require "evws.sim"
local core = require "evws.core"
local ws = t.ws

-- As much as a network can do; "done", or why not.
local function session(options, url)
  return sim.new(options):run(function(net)
    local server, why = ws.listen { unix = url:match "unix:([^:]+)",
      port = not url:find "unix" and 5000 or nil, path = "/",
      on_open = function(conn) conn:subscribe "news" end,
      on_message = function(conn, message)
        conn:send(message)
        conn.server:publish("news", "published")
      end }
    if not server then return why end
    local conns = {}
    for i = 1, 3 do
      conns[i], why = ws.connect(url, { timeout = 5 })
      if not conns[i] then return why end
    end
    for _, conn in ipairs(conns) do
      if not conn:send(("x"):rep(5000)) then return "not sent" end
      local message, what = conn:receive(5)
      if not message then return what end
    end
    net:reset(conns[1])
    conns[2]:close()
    server:close { timeout = 1 }
    return "done"
  end)
end

describe("a simulated network without memory", function()
  if not core.fail_at then
    it("ends, and the next one is as good as any", function()
      pending "built without WS_FAULT"
    end)
    return
  end

  before_each(function() ws.on_error(function() end) end)

  after_each(function()
    core.fail_at(0, false)
    ws.on_error(nil)
  end)

  for name, url in pairs { ["by ports"] = "ws://localhost:5000/",
    ["by Unix sockets"] = "ws+unix:/nowhere/at/all:/" } do
    it("ends, and the next one is as good as any: " .. name, function()
      local options = { seed = 3, delay = { 0, 0.01 }, short = 0.3,
        limit = 3600 }
      assert.equal("done", session(options, url))
      local before, failures = t.fd_count(), 0
      for _, every in ipairs { false, true } do
        local n, clean = 0, 0
        repeat
          n = n + 1
          core.fail_at(n, every)
          local ok, what = pcall(session, options, url)
          core.fail_at(0, false)
          clean = ok and what == "done" and clean + 1 or 0
          if clean == 0 then failures = failures + 1 end
        until clean == 3 or n == 1000
        assert.is_true(n < 1000)
        assert.equal("done", session(options, url))
      end
      assert.is_true(failures > 20, failures)
      assert.equal(before, t.fd_count())
    end)
  end
end)
