-- Topics with all they may have, where memory fails: each allocation once, and
-- all from each on. In builds with faults only.

local t = require "spec.helper"
local core = require "evws.core"
local ws = t.ws

describe("topics without memory", function()
  if not core.fail_at then
    it("lose nothing but what fails", function()
      pending "built without WS_FAULT"
    end)
    return
  end

  after_each(function()
    core.fail_at(0, false)
    t.cleanup()
    ws.on_error(nil)
  end)

  -- One round of everything; what is kept in the end is in order.
  local function round(n, every)
    local server = t.listen { history = { ["*"] = { size = 3, ttl = 60,
      stamp = function(m, _, about) return about.offset .. m end } },
      on_presence = function() end }
    local conn
    local raw = t.open(server)
    for c in server:each() do conn = c end
    local name = "topic " .. n
    server:view("v", string.upper)
    core.fail_at(n, every)
    pcall(function()
      server:hear(name, function() end, { reset = function() end })
      conn:subscribe(name, { presence = { info = "x", id = "1" } })
      for i = 1, 5 do server:publish(name, "m" .. i, "text", { meta = "y" }) end
      conn:subscribe(name, { view = "v", recover = { offset = 0 } })
      server:publish(name, "m6")
      conn:subscribe(name, { recover = { offset = 3 },
        joined = function() end })
      server:reset(name)
      server:publish(name, "m7")
      conn:subscribe(name, { presence = { id = "2" } })
      conn:unsubscribe(name)
    end)
    core.fail_at(0, false)
    for _ = 1, 3 do t.turn() end
    local list, at = server:history(name)
    for i, entry in ipairs(list) do
      assert.equal(at.offset - #list + i, entry.offset)
    end
    raw:close()
    t.cleanup()
  end

  for name, every in pairs { ["once"] = false, ["from then on"] = true } do
    it("go on when it fails " .. name, function()
      ws.on_error(function() end)
      ws.log = function() end
      for n = 1, 120 do round(n, every) end
      ws.log = require "evws.core".log
    end)
  end
end)
