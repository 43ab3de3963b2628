-- What a session costs while it has nothing to do, beside its connection.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local signalr = require "evws.signalr"
local t = require "spec.helper"
local frame = t.frame

local sessions = 100
local most = 1.2 * 1024 -- bytes of Lua

describe("an idle session", function()
  local hub

  local function used()
    collectgarbage()
    collectgarbage() -- what finalizers have let go
    return collectgarbage "count" * 1024
  end

  local function open(server, path, protocol)
    local raw = t.raw(server)
    assert.equal(101, raw:upgrade { path = path })
    if not protocol then return raw end
    raw:send(frame("text", ('{"protocol":"%s","version":1}\30')
      :format(protocol)))
    return raw:expect_frame("text", "{}\30")
  end

  -- Bytes of Lua that each of many takes.
  local function weigh(server, path, protocol)
    local before = used()
    for _ = 1, sessions do open(server, path, protocol) end
    return (used() - before) / sessions
  end

  -- Bytes of Lua of a session, and those of a plain connection.
  local function compare(protocol)
    hub = signalr.hub { keepalive_interval = false, client_timeout = false,
      methods = { Add = function(_, a, b) return a + b end } }
    local routes = hub:routes "/hub"
    routes["/raw"] = { on_message = function() end, keepalive_interval = 25 }
    local server = t.listen { routes = routes, max_connections = false }
    local raw = weigh(server, "/raw")
    local whole = weigh(server, "/hub", protocol)
    assert.equal(sessions, hub.n_sessions)
    return whole - raw, raw
  end

  local function leave()
    for _, one in pairs(hub.by_id) do one:over() end
    t.cleanup()
  end
  after_each(leave)

  for _, protocol in ipairs { "json", "messagepack" } do
    it("takes little memory: " .. protocol, function()
      -- what is made once for all, or where a table of the state grows, is in
      -- one of them
      local least, told = math.huge, {}
      for i = 1, 3 do
        local bytes, raw = compare(protocol)
        least = math.min(least, bytes)
        told[i] = ("%.0f bytes beside %.0f"):format(bytes, raw)
        leave()
      end
      assert.is_true(least < most, table.concat(told, ", "))
    end)
  end
end)
