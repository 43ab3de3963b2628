-- evws built without hiredis (make plain): what needs it says so, and all else
-- works.

local kit = require "spec.serve.kit"
local refusal = require "spec.binding.kit".refusal
local redis = require "spec.helper.redis"
local t = require "spec.helper"

local ws = t.ws
local why = "evws was built without hiredis (install libhiredis-dev and build "
  .. "again)"

describe("without hiredis", function()
  if redis.is_built() then
    it("a backplane says so", function() pending "built with hiredis" end)
    return
  end

  after_each(kit.cleanup)

  it("a backplane says so, at the line that wants one", function()
    for _, given in ipairs { "redis://localhost",
      { url = "redis://localhost" }, { url = { "redis://a", "redis://b" } } } do
      assert.equal(why, refusal(function()
        local bus = ws.backplane(given)
        return bus
      end))
    end
    assert.equal(why, require "spec.binding.kit".refused {
      port = 0, backplane = "redis://localhost" })
    t.bystander(t.listen { backplane = false, on_message = t.echo }):finish()
  end)

  it("topics, histories and presence are those of the process", function()
    local conns = {}
    local server = t.listen { history = { kept = { size = 2, ttl = 60 } },
      on_open = function(conn)
        conns[#conns + 1] = conn
        conn:subscribe("kept", { presence = { id = conn.query } })
      end }
    local ann = t.open(server, { path = "/?ann" })
    local bob = t.open(server, { path = "/?bob" })
    t.wait(function() return conns[2] end)
    for i = 1, 3 do assert.equal(i, (server:publish("kept", "m" .. i))) end
    for _, raw in ipairs { ann, bob } do
      for i = 1, 3 do raw:expect_frame("text", "m" .. i) end
    end
    local list, at = server:history "kept"
    assert.same({ 2, 3, "m3" }, { #list, at.offset, list[2].message })
    assert.equal(2, #server:presence "kept")
    assert.is_nil(server:stats().backplane)
    t.contains(server:metrics(), "evws_present 2\n")
  end)

  it("workers serve, and without a Redis that is asked for", function()
    local served = kit.serve(kit.echo, "-w 2")
    served:await("^worker", 2, 20)
    served:open():finish()
    local refused = kit.serve(kit.echo, "-w 2 --redis redis://localhost")
    assert.equal(1, refused.child:ended(20))
    local errors = refused.child:errors()
    assert.equal(1, select(2, errors:gsub("built without hiredis", "")), errors)
  end)
end)
