-- Happy Eyeballs (src/engine/dial.c) on a loop in the spec's hands: addresses
-- hang, refuse or answer late, and the clock stands until it is set.

local probe = require "evws_probe"

local delay = 0.25

describe("dialing", function()
  local loop, now

  local function renew()
    loop, now = probe.loop.new(), 100
    loop:now(now)
  end

  before_each(renew)

  after_each(function() probe.buf.fail_at(0, false) end)

  local function dial(...)
    renew()
    local d = probe.dial.new(loop, ...)
    loop:turn()
    return d
  end

  local function pass(seconds)
    now = now + seconds
    loop:now(now)
    loop:turn()
  end

  local function answer(d, ...)
    local found = d:answer(...)
    loop:turn()
    return found
  end

  local function assert_won(d, address)
    local times, winner, why, open = d:outcome()
    assert.same({ 1, address, nil, 0 }, { times, winner, why, open })
    assert.equal(-1, (loop:wake())) -- no timer is left
    assert.is_false(loop:busy())
  end

  local function assert_failed(d, expected)
    local times, winner, why, open = d:outcome()
    assert.same({ 1, nil, expected, 0 }, { times, winner, why, open })
    assert.equal(-1, (loop:wake()))
    assert.is_false(loop:busy())
  end

  it("connects to the only address", function()
    local d = dial { "4" }
    assert.same({ 1 }, d:connecting())
    assert.equal(0, (d:outcome()))
    answer(d, 1)
    assert_won(d, 1)
  end)

  it("never calls back before it has returned", function()
    local d = probe.dial.new(loop, {})
    assert.equal(0, (d:outcome()))
    loop:turn()
    assert_failed(d, "host name not found")
    d = probe.dial.new(loop, { "4 ECONNREFUSED" })
    assert.equal(0, (d:outcome()))
    loop:turn()
    assert_failed(d, "connection refused")
  end)

  it("waits for the look-up, then goes on at once", function()
    local d = dial({ "6", "4" }, true)
    assert.same({}, d:connecting())
    d:found()
    assert.same({ 1 }, d:connecting())
    answer(d, 1)
    assert_won(d, 1)
    d = dial({}, true)
    d:found()
    assert_failed(d, "host name not found")
  end)

  it("starts the next attempt a quarter of a second after the last "
    .. "(RFC 8305 5)", function()
    local d = dial { "6", "4", "6" }
    pass(delay - 0.01)
    assert.same({ 1 }, d:connecting())
    pass(0.01)
    assert.same({ 1, 2 }, d:connecting())
    pass(delay - 0.01)
    assert.same({ 1, 2 }, d:connecting())
    pass(0.01)
    assert.same({ 1, 2, 3 }, d:connecting())
    assert.equal(-1, (loop:wake())) -- there is nothing left to start
    pass(100)
    assert.equal(0, (d:outcome()))
    answer(d, 2)
    assert_won(d, 2)
  end)

  it("lets the first that connects win, however late it was started",
    function()
      for winner = 1, 3 do
        local d = dial { "6", "4", "6" }
        for _ = 1, 2 do pass(delay) end
        answer(d, winner)
        assert_won(d, winner)
        for other = 1, 3 do assert.is_false(answer(d, other)) end
        assert.equal(1, (d:outcome()))
      end
    end)

  it("closes the loser that connects in the same turn", function()
    local d = dial { "6", "4" }
    pass(delay)
    d:answer(2)
    d:answer(1)
    loop:turn()
    assert_won(d, 2)
  end)

  it("starts the next at once when one fails", function()
    local d = dial { "6", "4", "6" }
    answer(d, 1, "ECONNREFUSED")
    assert.same({ 2 }, d:connecting())
    pass(delay - 0.01) -- of the second one, not of the first
    assert.same({ 2 }, d:connecting())
    answer(d, 2, "ECONNREFUSED")
    assert.same({ 3 }, d:connecting())
    answer(d, 3)
    assert_won(d, 3)
  end)

  it("passes by what refuses within the call", function()
    local d = dial { "6 ENETUNREACH", "6 ENETUNREACH", "4" }
    assert.same({ 3 }, d:connecting())
    answer(d, 3)
    assert_won(d, 3)
  end)

  it("lets the families take turns, the preferred one first (RFC 8305 4)",
    function()
      for families, expected in pairs {
        ["6 6 6 4 4"] = { 1, 4, 2, 5, 3 },
        ["4 6 6 6"] = { 1, 2, 3, 4 },
        ["4 4 4 6"] = { 1, 4, 2, 3 },
        ["6 6"] = { 1, 2 },
        ["6 6 6 6 6 6 6 4"] = { 1, 8, 2, 3, 4, 5, 6, 7 },
      } do
        local list, order = {}, {}
        for family in families:gmatch "%d" do list[#list + 1] = family end
        local d = dial(list)
        for i = 1, #list do
          order[i] = d:connecting()[1]
          answer(d, order[i], "ECONNREFUSED")
        end
        assert.same(expected, order)
        assert_failed(d, "connection refused")
      end
    end)

  it("fails with what tells most", function()
    for expected, addresses in pairs {
      ["connection refused"] = { "6 ECONNREFUSED", "4 ENETUNREACH" },
      ["connection timed out"] = { "6 ECONNREFUSED", "4 ETIMEDOUT" },
      ["host unreachable"] = { "6 EADDRNOTAVAIL", "4 EHOSTUNREACH" },
      ["too many open files"] = { "6 EMFILE", "4 EMFILE" },
    } do
      assert_failed(dial(addresses), expected)
    end
    local d = dial { "6 ENETUNREACH", "4" }
    answer(d, 2, "ECONNREFUSED")
    assert_failed(d, "connection refused")
  end)

  it("fails only when the last attempt has", function()
    local d = dial { "6", "4" }
    pass(delay)
    answer(d, 2, "ECONNREFUSED")
    assert.equal(0, (d:outcome()))
    answer(d, 1, "ETIMEDOUT")
    assert_failed(d, "connection timed out")
  end)

  it("can be stopped at any point, and leaves nothing", function()
    local points = {
      function(d) return d end,
      function(d) d:found() end,
      function(d) d:found() pass(delay) end,
      function(d) d:found() pass(delay) d:answer(1) end,
      function(d) d:found() d:answer(1, "ECONNREFUSED") end,
      function(d) d:found() answer(d, 1, "ECONNREFUSED") end,
    }
    for _, come_to in ipairs(points) do
      local d = dial({ "6", "4", "6" }, true)
      come_to(d)
      for _ = 1, 2 do d:stop() end
      for _ = 1, 3 do pass(delay) end
      d:found()
      local times, _, _, open = d:outcome()
      assert.same({ 0, 0 }, { times, open })
      assert.equal(-1, (loop:wake()))
    end
    local d = probe.dial.new(loop, { "6" }) -- before its first turn
    d:stop()
    loop:turn()
    assert.same({ 0, nil, nil, 0 }, { d:outcome() })
  end)

  it("does not wait between attempts when a timer has no memory", function()
    local d = probe.dial.new(loop, { "6", "4" })
    if not probe.buf.fail_at(2, true) then
      pending "built without WS_FAULT"
      return
    end
    loop:turn()
    probe.buf.fail_at(0, false)
    assert.same({ 1, 2 }, d:connecting())
    answer(d, 1)
    assert_won(d, 1)
  end)

  it("fails where there is no memory for its attempts", function()
    local d = probe.dial.new(loop, { "6", "4" })
    if not probe.buf.fail_at(1, true) then
      pending "built without WS_FAULT"
      return
    end
    loop:turn()
    probe.buf.fail_at(0, false)
    assert_failed(d, "not enough memory")
  end)

  it("tries every address, 64 if need be", function()
    local list = {}
    for i = 1, 64 do list[i] = "4 ECONNREFUSED" end
    list[64] = "4"
    local d = dial(list)
    assert.same({ 64 }, d:connecting())
    answer(d, 64)
    assert_won(d, 64)
    for i = 1, 64 do list[i] = "4" end
    d = dial(list)
    for _ = 1, 70 do pass(delay) end
    assert.equal(64, #d:connecting())
    answer(d, 37)
    assert_won(d, 37)
  end)
end)
