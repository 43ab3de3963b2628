-- The ticker (examples/broadcast.lua).

local t = require "spec.helper"
local kit = require "spec.examples.kit"

describe("the ticker", function()
  local child

  before_each(function() child = kit.serve "broadcast" end)
  after_each(kit.cleanup)

  local function price(conn)
    local message = assert(conn:receive(kit.limit))
    local name, number = message:match "^(%u+) (%d+%.%d%d)$"
    assert(name, message)
    return name, tonumber(number)
  end

  local function follow(...)
    local conn = assert(kit.connect(child, "/ticker"))
    for _, name in ipairs { ... } do conn:send("+" .. name) end
    return conn
  end

  it("ticks for all who follow a name, with the same prices", function()
    local a, b = follow "ALFA", follow "ALFA"
    price(a)
    price(b)
    local seen = {}
    for _ = 1, 5 do seen[select(2, price(b))] = true end
    local same = 0
    for _ = 1, 5 do
      local name, number = price(a)
      assert.equal("ALFA", name)
      if seen[number] then same = same + 1 end
    end
    assert.is_true(same >= 3)
    assert.is_truthy(next(seen, next(seen))) -- they move
  end)

  it("sends what was asked for, until it is not wanted any more", function()
    local a = follow("BETA", "GAMMA")
    local got = {}
    for _ = 1, 8 do got[price(a)] = true end
    assert.same({ BETA = true, GAMMA = true }, got)
    a:send "-BETA"
    a:send "+ALFA" -- its price comes at once, so the other is gone by then
    repeat local name = price(a) until name == "ALFA"
    for _ = 1, 6 do assert.not_equal("BETA", (price(a))) end
  end)

  it("stands still while nobody looks", function()
    local a = follow "ALFA"
    for _ = 1, 4 do price(a) end
    a:send "-ALFA"
    a:send "+BETA"
    repeat local name = price(a) until name == "BETA"
    local b = follow "ALFA"
    local _, before = price(b)
    b:send "-ALFA"
    for _ = 1, 8 do price(a) end -- two seconds of the other's
    b:send "+GAMMA"
    repeat local name = price(b) until name == "GAMMA"
    b:send "+ALFA"
    local name, after
    repeat name, after = price(b) until name == "ALFA"
    assert.equal(before, after)
  end)

  it("goes on after everybody was gone", function()
    local a = follow "ALFA"
    price(a)
    a:close()
    kit.expect_close(a, 1000)
    t.wait(function()
      local status, _, body = kit.http(child, "GET", "/")
      return status == 200 and body
    end)
    local b = follow "ALFA"
    for _ = 1, 4 do assert.equal("ALFA", (price(b))) end
  end)

  it("ends who asks for something else", function()
    for _, message in ipairs { "+DELTA", "ALFA", "", "+alfa", "+" } do
      local conn = follow()
      conn:send(message)
      kit.expect_close(conn, 1008)
    end
    local conn = follow()
    conn:send(("x"):rep(65))
    kit.expect_close(conn, 1009)
  end)

  it("serves its page, and refuses ports that are taken or none", function()
    kit.has_page(child, "WebSocket Ticker")
    kit.refuses_ports "broadcast"
  end)
end)
