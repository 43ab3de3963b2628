-- Which process serves whom (examples/workers.lua), alone and in several.

local kit = require "spec.examples.kit"
local served = require "spec.serve.kit"
local processes = require "spec.binding.kit"

describe("examples/workers.lua", function()
  after_each(function()
    kit.cleanup()
    served.cleanup()
  end)

  it("runs alone", function()
    local child = kit.serve "workers"
    local conn = assert(kit.connect(child, "/ws"))
    kit.expect(conn, "worker 1 of 1, generation 1: 1 of 1 connections")
    conn:send "again"
    kit.expect(conn, "worker 1 of 1, generation 1: 1 of 1 connections")
    child:signal "TERM"
    kit.expect_close(conn, 1001)
    child:wait "^worker 1 has ended$"
    kit.refuses_ports "workers"
  end)

  it("runs in several processes", function()
    local child = processes.start(
      "bin/evws serve examples/workers.lua -w 2 -- 0")
    child.port = child:wait "^Workers: ws://localhost:(%d+)/ws %(worker 2%)$"
    local seen = {}
    repeat
      local conn = assert(kit.connect(child, "/ws"))
      local id = conn:receive(kit.limit)
        :match "^worker ([12]) of 2, generation 1"
      seen[id] = true
    until seen["1"] and seen["2"]
    child:wait "^worker 1 of 2 leads: %d+ connections, 0 messages so far$"
    child:signal "HUP"
    local conn
    repeat
      conn = assert(kit.connect(child, "/ws"))
    until conn:receive(kit.limit):find "generation 2"
    child:signal "TERM"
    kit.expect_close(conn, 1001)
    assert.equal(0, child:ended(20))
  end)
end)
