-- Whatever asks to be let in leaves most of a turn to those who are connected:
-- turns are counted.

local t = require "spec.helper"
local kit = require "spec.engine.kit"

local upgrade = table.concat({ "GET / HTTP/1.1", "Host: a",
  "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "" }, "\r\n")
local in_a_turn = 20 -- 2 ms of 0.1 ms each
local now = t.probe.now

-- How many a turn may let in: called after each. A long one gives a fourth of
-- its time to those who begin in the next.
local function allowance()
  local before = now()
  return function()
    local took = now() - before
    before = now()
    return math.max(in_a_turn, took / 4 / 0.0001 + 1)
  end
end

describe("many who ask at once", function()
  after_each(t.cleanup)

  local function crowd(server, n)
    local raws, before = {}, server:stats().accepted
    for i = 1, n do raws[i] = t.raw(server) end
    t.wait(function() return server:stats().accepted == before + n end)
    return raws
  end

  it("are let in in several turns, between which others are served",
    function()
      local server, log = kit.serve { on_message = t.echo,
        handshake_timeout = 30 }
      local calm = t.open(server)
      local raws = crowd(server, 200)
      for _, raw in ipairs(raws) do raw:send(upgrade) end
      local turns, answers, opened = 0, 0, #log.conns
      local may, most = allowance(), in_a_turn
      calm:send(t.frame("text", "ask"))
      t.wait(function()
        local there = #log.conns
        assert.is_true(there - opened <= most, there - opened)
        most = may()
        if there > opened then turns = turns + 1 end
        opened = there
        if calm.socket:recv() then
          answers = answers + 1
          calm:send(t.frame("text", "ask"))
        end
        return there == 201
      end, "all of them")
      assert.is_true(turns >= 3, turns)
      assert.is_true(answers >= 2, answers)
      for _, raw in ipairs(raws) do
        assert.equal("HTTP/1.1 101", raw.socket:recv():sub(1, 12))
      end
    end)

  it("have a part of long turns, or they would never get in", function()
    local server, log = kit.serve { handshake_timeout = 30,
      on_message = function(conn)
        local last = now() + 0.06
        repeat until now() > last
        conn:send "done"
      end }
    local calm = t.open(server)
    local raws = crowd(server, 300)
    for _, raw in ipairs(raws) do raw:send(upgrade) end
    local turns = 0
    t.wait(function()
      turns = turns + 1
      calm.socket:recv()
      calm:send(t.frame("text", "work"))
      return #log.conns == 301
    end, "all of them")
    assert.is_true(turns <= 10, turns) -- of 20 each it were 15
  end)

  it("wait in the kernel while those before them are let in", function()
    local server, log = kit.serve { handshake_timeout = 30, max_pending = 300,
      backlog = 1000 }
    local raws = {}
    for i = 1, 900 do
      raws[i] = t.raw(server)
      raws[i].socket:send(upgrade)
    end
    t.wait(function() return #log.conns == 900 end, "all of them")
    assert.same({}, t.refusals(server))
  end)

  it("are answered each, in their order", function()
    local order, list = {}, {}
    local server = t.listen { handshake_timeout = 30,
      on_request = function(request)
        order[#order + 1] = request.path
        return 200, ("x"):rep(100000)
      end }
    local raws = crowd(server, 100)
    for i, raw in ipairs(raws) do
      list[i] = "/" .. i
      raw:send(("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"):format(i))
    end
    t.wait(function() return #order == 100 end)
    table.sort(order)
    table.sort(list)
    assert.same(list, order)
    for _, raw in ipairs(raws) do
      local status, _, body = raw:read_http()
      assert.equal(200, status)
      assert.equal(100000, #body)
    end
  end)

  -- Time is judged by who was heard.
  it("are not late for being many", function()
    local server, log = kit.serve { handshake_timeout = 0.2 * t.factor }
    local raws = crowd(server, 60)
    for _, raw in ipairs(raws) do raw:send(upgrade) end
    t.wait(function() return #log.conns == 60 end)
    assert.equal(0, #log.closed)
  end)
end)
