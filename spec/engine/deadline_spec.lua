-- What time does to a connection (src/engine/conn_deadline.c, conn_flow.c): on
-- a simulated network, so hours take nothing.

local t = require "spec.helper"
local sim = require "evws.sim"
local ws = t.ws
local url = "ws://localhost:5000/"

-- Both ends: conn (the server's), peer, what both have got and their ends.
local function with(options, own, fn)
  sim.new { seed = 1, buffer = 4096 }:run(function(net)
    local s = { net = net, got = {}, ended = {}, told = 0 }
    local o = { port = 5000, keepalive_interval = false,
      on_open = function(conn) s.conn = conn end,
      on_message = function(_, message) s.got[#s.got + 1] = message end,
      on_close = function(_, code, why)
        s.ended[#s.ended + 1] = code .. " " .. why
        s.at = net:now()
      end }
    for name, value in pairs(options) do o[name] = value end
    s.server = assert(ws.listen(o))
    local mine = { keepalive_interval = false }
    for name, value in pairs(own) do mine[name] = value end
    s.peer = net:connect(url, mine)
    while not s.conn do ws.sleep(0.001) end
    s.since = net:now()
    if mine.receive_queue and not mine.keepalive_interval then
      s.conn:send "first" -- it is one that receives
      assert.equal("first", s.peer:receive(5))
    end
    fn(s)
    s.peer:terminate()
    s.server:close { timeout = 1 }
    net:advance(10)
    assert.is_true(#s.ended <= 1)
  end)
end

local function near(want, got)
  if not got or math.abs(got - want) > want / 8 + 0.2 then
    error(("%g s expected, got %s"):format(want, tostring(got)), 2)
  end
end

describe("a connection", function()
  it("that says nothing ends by keepalive_timeout, asked or not", function()
    for _, interval in ipairs { false, 5 } do
      for _, lives in ipairs { false, true } do
        with({ keepalive_interval = interval, keepalive_timeout = 20 }, {},
          function(s)
            if not lives then s.net:vanish(s.peer) end
            s.net:advance(100)
            if lives and interval then -- it answers
              assert.same({}, s.ended)
              return
            end
            assert.same({ "1006 keepalive timeout" }, s.ended)
            near(20, s.at - s.since)
          end)
      end
    end
  end)

  it("lives as long as it may, in whatever state", function()
    for _, case in ipairs {
      { "idle_timeout", 30, "idle timeout" },
      { "max_lifetime", 30, "max lifetime" } } do
      for _, state in ipairs { "open", "paused", "vanished" } do
        with({ [case[1]] = case[2], close_timeout = 5 }, {}, function(s)
          if state == "paused" then s.conn:pause() end
          if state == "vanished" then s.net:vanish(s.peer) end
          s.net:advance(100)
          if case[1] == "idle_timeout" and state == "paused" then
            assert.same({}, s.ended) -- it is not listened to
            return
          end
          local is_lost = state == "vanished"
          assert.same({ is_lost and "1006 close timeout"
            or "1001 " .. case[3] }, s.ended)
          local more = is_lost and 5 or 0
          near(30 + more, s.at - s.since)
        end)
      end
    end
  end)

  it("that is being closed waits no longer than close_timeout", function()
    for _, limit in ipairs { 4, false } do
      for _, who in ipairs { "conn", "peer" } do
        with({ close_timeout = limit, keepalive_interval = 1,
          max_lifetime = 50,
          on_message = function() ws.sleep(20) end }, { close_timeout = 60 },
          function(s)
            s.peer:send "work for long"
            s.net:advance(1)
            local is_vanished = who == "conn"
            if is_vanished then s.net:vanish(s.peer) end
            local from = s.net:now()
            s[who]:close(4000, "enough")
            s.net:advance(40)
            if is_vanished then
              assert.same(limit and { "1006 close timeout" } or {}, s.ended)
            else
              assert.same({ "4000 enough" }, s.ended)
            end
            if s.at and limit then near(limit, s.at - from) end
            if s.at and not limit then near(19, s.at - from) end
          end)
      end
    end
  end)

  it("that floods is braked, whatever it is looked at for", function()
    with({ message_rate = { burst = 2, rate = 0.5 }, on_flood = "wait",
      keepalive_interval = 0.3, keepalive_timeout = 40,
      close_timeout = 90 }, { close_timeout = 90 }, function(s)
      for i = 1, 10 do s.peer:send(tostring(i)) end
      s.net:advance(1)
      assert.equal(2, #s.got)
      s.net:advance(7)
      near(6, #s.got)
      s.net:advance(20)
      assert.equal(10, #s.got)
      for i = 1, 10 do s.peer:send(tostring(i)) end
      s.net:advance(1)
      s.peer:close() -- behind what waits
      s.net:advance(60)
      assert.equal(20, #s.got)
      assert.same({ "1000 " }, s.ended)
    end)
  end)

  it("that nobody has ever received answers pings after a while", function()
    with({ keepalive_interval = 0.4, keepalive_timeout = 30 },
      { receive_queue = 1, keepalive_interval = 0.4,
        keepalive_timeout = 60 }, function(s)
        for i = 1, 20 do s.conn:send(("%d"):format(i)) end
        s.net:advance(1)
        assert.equal(0, s.peer.missed)
        s.net:advance(100)
        assert.same({}, s.ended)
        assert.is_true(s.peer.missed > 0)
        assert(s.peer:send "still here")
        s.net:advance(1)
        assert.same({ "still here" }, s.got)
      end)
  end)

  -- It is not read, so its end is looked for.
  it("that is not read ends when its peer has, behind what it has said",
    function()
      for _, n in ipairs { 0, 1, 100 } do
        for _, how in ipairs { "close", "terminate" } do
          with({}, {}, function(s)
            s.conn:pause()
            for _ = 1, n do s.peer:send "said before" end
            s.net:advance(1)
            s.peer[how](s.peer)
            s.net:advance(30)
            local was_told = #s.ended > 0
            s.conn:resume()
            s.net:advance(30)
            assert.equal(1, #s.ended)
            if how == "close" then
              assert.equal(n, #s.got)
              assert.same({ "1000 " }, s.ended)
            end
            if n == 0 and how == "terminate" then assert.is_true(was_told) end
          end)
        end
      end
    end)

  it("that stalls ends by stall_timeout, if there is one", function()
    for _, limit in ipairs { 6, false } do
      with({ stall_timeout = limit, max_queued = false }, {}, function(s)
        s.net:vanish(s.peer)
        local from = s.net:now()
        for _ = 1, 40 do s.conn:send(("x"):rep(1000)) end
        s.net:advance(60)
        assert.same(limit and { "1006 write stalled" } or {}, s.ended)
        if limit then near(limit, s.at - from) end
      end)
    end
  end)

  -- Whoever is pressed calls no handler, and lives on.
  it("whose own queue is high waits for its peer to read", function()
    with({ high_water = 5000, low_water = 1000, max_queued = false,
      keepalive_interval = 1, keepalive_timeout = 90, read_ahead = false,
      stall_timeout = false, on_message = t.echo },
      { receive_queue = 1, stall_timeout = false }, function(s)
        local text = ("e"):rep(3000)
        for _ = 1, 20 do s.peer:send(text) end
        s.net:advance(20)
        assert.is_true(s.conn.buffered > 0)
        assert.is_true(s.conn.buffered < 20000)
        for _ = 1, 20 do assert.equal(text, s.peer:receive(10)) end
        assert.same({}, s.ended)
      end)
  end)
end)

-- Messages that may go, of which some are too old: the handler is called again
-- as soon as what waits is below high_water, though not all of it has left.
describe("what waits and may go", function()
  it("holds its peer up until there is room, and no longer", function()
    with({ high_water = 130000, low_water = 1000, max_queued = false,
      stall_timeout = false, read_ahead = false }, { receive_queue = 1,
      stall_timeout = false }, function(s)
      local text = ("f"):rep(40000)
      for i = 1, 8 do
        assert(s.conn:send(i .. text, "text", { ttl = 10000 }))
      end
      s.peer:send "wanted"
      s.net:advance(5)
      assert.same({}, s.got)
      local n, waited = 0, nil
      while #s.got == 0 and n < 40 do
        assert(s.peer:receive(5))
        s.net:advance(1)
        n, waited = n + 1, s.conn.buffered
      end
      assert.same({ "wanted" }, s.got)
      assert.is_true(waited > 0 and waited <= 130000)
    end)
  end)

  it("is old by itself, the oldest first, and leaves the others", function()
    with({ max_queued = 60000, stall_timeout = false }, { receive_queue = 1,
      max_message = 1 << 20 }, function(s)
      local text = ("f"):rep(4000)
      local before = 0
      while s.conn.buffered == 0 do
        s.conn:send(text)
        before = before + 1
        ws.sleep(0.01)
      end
      local function send(name, ttl)
        return s.conn:send(name == "" and "" or name .. text, "text",
          { ttl = ttl, key = not ttl and name or nil })
      end
      for i, ttl in ipairs { 5, 30, 1, 20, 5, 30 } do
        assert(send("m" .. i, ttl))
      end
      assert(send("", 30))
      assert(send("k"))
      s.net:advance(10)
      for i = 7, 9 do assert(send("m" .. i, 40)) end
      local has_room = true -- what is old makes some, once
      for i = 1, 20 do has_room = has_room and send("x" .. i, 30) end
      assert.is_nil(has_room)
      s.net:advance(15)
      assert(send("y", 30)) -- m4 has gone meanwhile
      local got = {}
      while true do
        local message = s.peer:receive(5)
        if not message then break end
        got[#got + 1] = message:match "^%a?%d*"
      end
      assert.same({ "m2", "m6", "", "k", "m7", "m8", "m9" },
        { table.unpack(got, before + 1, before + 7) })
      assert.equal("y", got[#got])
    end)
  end)
end)
