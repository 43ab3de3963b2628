-- The end of a TCP stream that owes nothing any more (src/transport/linger.c),
-- over sockets: input that nobody reads does not become a reset.

local t = require "spec.helper"
local probe = require "evws_probe"

local net, transport = probe.net, probe.transport
local factor = t.factor
local has_faults = probe.buf.fail_at(0, false)

describe("lingering", function()
  local loop, client, server, before

  -- Steps until the predicate holds.
  local function wait(predicate, seconds)
    local last = net.now() + (seconds or 5) * factor
    while not predicate() do
      if net.now() > last then error("waited in vain", 2) end
      loop:step(0.002)
    end
  end

  local function begin()
    collectgarbage() -- loops of other specs have descriptors too
    collectgarbage()
    loop = probe.loop.new "ev"
    local listener = assert(net.listen "127.0.0.1")
    client = assert(net.connect { port = listener.port })
    local accepted
    wait(function()
      accepted = listener:accept()
      return accepted
    end)
    server = accepted
    listener:close()
    before = t.fd_count()
  end

  local function finish()
    probe.buf.fail_at(0, false)
    transport.stop_lingers(loop)
    client:close()
    server:close()
  end

  before_each(begin)
  after_each(finish)

  -- A linger takes a second. `try` returns whether it is right; where this
  -- process was held up for long it is done again, from a new begin on.
  local function in_time(try)
    for _ = 1, 20 do
      local from = net.now()
      if try() then return end
      assert.is_true(net.now() - from > 0.8)
      finish()
      begin()
    end
    error "this process is held up again and again"
  end

  local function hand_over(second)
    transport.linger(loop, server:fd(), second)
    server:close()
  end

  -- Everything that comes, then how it ends.
  local function drain()
    local bytes, got, why = {}, nil, nil
    wait(function()
      got, why = client:recv()
      if got then bytes[#bytes + 1] = got end
      return not got and why ~= "again"
    end)
    return table.concat(bytes), why
  end

  local function none_left()
    return transport.lingers(loop) == 0
  end

  it("lets the last words arrive over unread input", function()
    in_time(function()
      local unread = ("x"):rep(50000)
      assert.equal(#unread, client:send(unread))
      assert.equal(9, server:send "last word")
      hand_over()
      assert.same({ "last word", "eof" }, { drain() })
      -- and what is still sent is taken
      local is_taken = client:send "more"
      loop:step(0)
      loop:step(0)
      is_taken = is_taken and client:send "and more"
      return is_taken and transport.lingers(loop) == 1
    end)
    client:shutdown()
    wait(none_left)
    assert.equal(before - 1, net.fd_count())
  end)

  it("without it would lose them", function()
    client:send(("x"):rep(50000))
    wait(function() return net.poll({ server }, 0) == 1 end)
    server:send "last word"
    server:close()
    wait(function() return select(2, client:recv()) == "reset" end)
  end)

  it("ends at once when the peer has ended", function()
    client:send "unread"
    client:shutdown()
    hand_over()
    wait(none_left, 0.5)
    assert.same({ "", "eof" }, { drain() })
  end)

  it("ends when the peer resets", function()
    hand_over()
    client:reset()
    wait(none_left, 0.5)
  end)

  it("ends after a while, whatever the peer does", function()
    local began = net.now()
    hand_over()
    wait(function()
      client:send "still here"
      return none_left()
    end, 3)
    local took = net.now() - began
    assert.is_true(took > 0.85, took)
    assert.equal(before - 1, net.fd_count())
  end)

  it("ends after many bytes, before the time is over", function()
    in_time(function()
      local sent, piece = 0, ("x"):rep(1 << 18)
      hand_over()
      wait(function()
        for _ = 1, 8 do sent = sent + (client:send(piece) or 0) end
        return none_left() or sent > 64 << 20
      end)
      assert.is_true(none_left())
      return sent >= 16 << 20
    end)
  end)

  describe("second, as a client does (RFC 6455 7.1.1)", function()
    it("lets the peer end first", function()
      in_time(function()
        server:send "last word"
        hand_over(true)
        for _ = 1, 5 do loop:step(0.002) end
        assert.equal("last word", client:recv())
        return select(2, client:recv()) == "again"
      end)
      client:shutdown()
      wait(none_left, 0.5)
      assert.same({ "", "eof" }, { drain() })
      assert.equal(before - 1, net.fd_count())
    end)

    it("ends itself after a while", function()
      local began = net.now()
      hand_over(true)
      wait(none_left, 3)
      assert.is_true(net.now() - began > 0.85)
      assert.same({ "", "eof" }, { drain() })
    end)
  end)

  it("of many ends for all of them when it is stopped", function()
    for _ = 1, 5 do transport.linger(loop, server:fd()) end
    assert.equal(5, transport.lingers(loop))
    transport.stop_lingers(loop)
    assert.is_true(none_left())
    assert.equal(before, net.fd_count())
  end)

  it("is left out where the stream is broken", function()
    client:reset()
    wait(function() return select(2, server:recv()) == "reset" end)
    hand_over()
    loop:step(0)
    assert.is_true(none_left())
  end)

  it("is left out without memory", function()
    if not has_faults then return pending("built without WS_FAULT") end
    for n = 1, 4 do
      probe.buf.fail_at(n, true)
      transport.linger(loop, server:fd())
      probe.buf.fail_at(0, false)
      transport.stop_lingers(loop)
      assert.equal(before, net.fd_count())
    end
  end)
end)
