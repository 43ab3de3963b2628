-- evws serve: topics over workers, and what is said where they stay inside.

local kit = require "spec.serve.kit"
local t = require "spec.helper"
local redis = require "spec.helper.redis"

local script = [[
local server = assert(ws.listen { host = "127.0.0.1", port = 0, %s
  on_open = function(conn) conn:subscribe("news", { %s }) end,
  on_message = function(conn, message)
    if message == "who" then
      conn:send(("%%d 1 %%d"):format(ws.worker.id, pid()))
    else
      conn:publish("news", message, "text", { here = message == "here" })
    end
  end })
say("port", server.port)
say("worker", ws.worker.id)
ws.run()
]]

local function serve(options, listening, subscribing)
  return kit.serve(script:format(listening or "", subscribing or ""), options)
end

-- Connections, at least one to each of two workers.
local function of_two(served)
  served:await("^worker", 2)
  local one = served:open()
  local id = served:who(one)
  while true do
    local other = served:open()
    if served:who(other) ~= id then return one, other end
  end
end

describe("topics in workers", function()
  after_each(kit.cleanup)

  it("stay inside of one, which is said once by each", function()
    local served = serve "-w 2"
    local one, other = of_two(served)
    one:send(t.frame("text", "a"))
    one:send(t.frame("text", "b"))
    other:expect_silence()
    t.contains(served:errors "topics", "evws[")
    local _, n = served.child:errors():gsub("evws%[%d%]: topics stay inside of "
      .. "a worker; %-%-redis spawn joins them\n", "")
    assert.equal(1, n)
  end)

  it("keep their history inside, which is said as well", function()
    local served = serve("-w 2", 'history = { news = { size = 3, ttl = 60 } },')
    served:await("^worker", 2)
    t.contains(served:errors "history",
      "evws[1]: history stays inside of a worker; --redis spawn shares it\n")
  end)

  it("are not worth a word where it is meant so, or there is one", function()
    local served = serve("-w 2", "backplane = false,")
    local one = of_two(served)
    one:send(t.frame("text", "a"))
    served:who(one)
    local alone = serve "-w 1"
    local client = alone:open()
    client:send(t.frame("text", "a"))
    alone:who(client)
    assert.equal("", served.child:errors() .. alone.child:errors())
  end)

  local has = redis.is_there()
  local it_if = has and it or pending

  it_if("reach all of them by --redis spawn", function()
    local served = serve("-w 2 --redis spawn", "", "wait = 10")
    local one, other = of_two(served)
    one:send(t.frame("text", "from one"))
    other:expect_frame("text", "from one", 10)
    other:send(t.frame("text", "from the other"))
    one:expect_frame("text", "from the other", 10)
    assert.equal("", served.child:errors())
  end)
end)
