-- ws.listen with all that it may be given, and what makes a server more, where
-- each allocation fails: nothing is opened or changed, and the call says why.
-- In builds with faults only.

local t = require "spec.helper"
local core = require "evws.core"
local ws = t.ws

local function note() end

describe("what makes a server, without memory,", function()
  if not core.fail_at then
    it("does all of it or nothing", function()
      pending "built without WS_FAULT"
    end)
    return
  end

  after_each(function()
    core.fail_at(0)
    t.cleanup()
  end)

  -- Until it is done, or nothing fails any more; how often it said no.
  local function sweep(fn, is_undone)
    local n, met = 0, 0
    while true do
      n = n + 1
      core.fail_at(n)
      local ok, result, why = pcall(fn)
      core.fail_at(0)
      if ok and result then return result, met end
      t.contains(tostring(why or result), "memory")
      met = met + 1
      assert.is_true(n < 300)
      if is_undone then assert.is_true(is_undone()) end
    end
  end

  it("listens, or has opened nothing", function()
    for name, more in pairs {
      plain = {}, routed = { routes = { ["/a"] = {}, ["/b/:c"] = {
        subprotocols = { "d" }, origins = { "https://a.test" } } } },
      one = { path = "/only" } } do
      local own = { host = "127.0.0.1", port = 0, hosts = "auto",
        subprotocols = { "one", "two" }, origins = { "https://a.test" },
        trusted_proxies = { "loopback", "private", "unix", "203.0.113.0/24" },
        history = { kept = { size = 1, ttl = 1 }, ["more*"] = { size = 1,
          ttl = 1, stamp = tostring } },
        on_message = note, on_presence = note }
      for key, value in pairs(more) do own[key] = value end
      local before = t.fd_count()
      local server, met = sweep(function() return ws.listen(own) end,
        function() return t.fd_count() == before end)
      assert.is_true(met > 10, name)
      t.pump(server.close, server)
    end
  end)

  it("has a view or a route more, or not", function()
    local server = t.listen { routes = {} }
    local _, met = sweep(function() return server:view("v", note) end)
    assert.is_true(met > 0)
    local ok, why = pcall(server.view, server, "v", note)
    assert.is_false(ok)
    t.contains(why, "the view 'v' is there already")
    _, met = sweep(function() return server:route("/a", {}) end)
    assert.is_true(met > 0)
  end)

  it("says who somebody is, or lets nobody in", function()
    local conn
    local server = t.listen { on_open = function(c) conn = c end }
    t.open(server)
    t.wait(function() return conn end)
    local _, met = sweep(function()
      return conn:subscribe("room", { presence = { info = "x" } })
    end, function() return #server:presence "room" == 0 end)
    assert.is_true(met > 4)
    assert.equal("x", server:presence "room"[1].info)
  end)

  it("keeps what was kept of a history, or says that it cannot tell", function()
    local server = t.listen { history = { ["*"] = { size = 9, ttl = 9 } } }
    local list, met = sweep(function() return server:history "new" end)
    assert.same({ {}, true }, { list, met > 0 })
    local _, more = sweep(function() return server:reset "other" end)
    assert.is_true(more > 0)
  end)
end)
