-- Peers that do not read, or write too much, and ends in every order: BI-05
-- to BI-09, BI-15, BI-17 and BI-61.

local t = require "spec.helper"
local common = require "spec.bad_inputs.common"

local ws, guarded, frame = t.ws, common.guarded, t.frame

-- Writes one long stream as far as the kernel takes it; returns how far.
-- Once nothing has been taken for 20 turns it is stuck.
local function push(client, stream, from)
  local at, idle = from, 0
  while idle < 20 and at <= #stream do
    local n = client.socket:send(stream, at)
    at, idle = at + (n or 0), n and 0 or idle + 1
    t.turn()
  end
  return at
end

-- Something keeps the server from taking what comes: it holds little, and
-- gives it all when go_on() says that it may. setup(count) -> options, go_on;
-- count(message) is for each message that was taken.
local function expect_pushback(g, setup)
  local got, parts, n = 0, {}, 16 << 10
  local options, go_on = setup(function(message)
    got = got + 1
    assert(tonumber(message:sub(1, 8)) == got, "out of order")
  end)
  local server = g:listen(options)
  local client = t.open(server)
  for i = 1, n do
    parts[i] = frame("text", ("%08d"):format(i) .. ("x"):rep(1000))
  end
  local stream = table.concat(parts)
  collectgarbage()
  local before = common.statm()
  local at = push(client, stream, 1)
  assert.is_true(at < #stream / 2)
  assert.is_true(got <= 1)
  assert.is_true(common.statm() - before < 2 << 20)
  g.bystanders[1].check()
  go_on()
  while at <= #stream do at = push(client, stream, at) end
  t.wait(function() return got == n end, "all messages")
  client:finish()
end

local operations = { -- of BI-09, by either side
  function(conn) conn:close() end,
  function(conn) conn:close(4001, "bye") end,
  function(conn) conn:shutdown(3001) end,
  function(conn) conn:terminate() end,
  function(conn) conn:send "late" end,
  function(conn) conn:ping "late" end,
  function(conn) conn:pause() end,
  function(conn) conn:resume() end,
  function(_, client) client:send(frame("text", "data")) end,
  function(_, client) client:send(frame("ping", "data")) end,
  function(_, client) client:send(frame("close", "\3\xe9")) end,
  function(_, client) client:send(frame("close", "")) end,
  function(_, client) client:send "\xff\xff" end,
  function(_, client) client:half_close() end,
  function(_, client) client:reset() return true end,
}

-- Always the same numbers, whatever else draws some.
local function generator(seed)
  return function(n)
    seed = seed * 1103515245 + 12345 & 0x7fffffff
    return (seed >> 8) % n + 1
  end
end

-- Some of them in some order; then a proper end. The kit raises for a frame
-- behind a close frame, the guard for a second on_close.
local function run_order(server, conns, random)
  local client, is_gone = t.open(server), false
  local conn = conns[#conns]
  for _ = 1, 2 + random(6) do
    local operation = operations[random(#operations)]
    if not is_gone then is_gone = operation(conn, client) or false end
    if random(2) == 1 then t.turn(0) end
  end
  conn:resume()
  if not is_gone then
    client:send(frame("close", "\3\xe8"))
    repeat local f = client:frame() until not f
    client:close()
  end
  t.wait(function() return conn.state == "closed" end, "the end")
  local sent, why = conn:send "x"
  assert.same({ nil, "closed" }, { sent, why })
end

describe("the flow of a connection", function()
  after_each(common.cleanup)

  it("BI-05 stops the peer by its window while it is paused",
    guarded(function(g)
      expect_pushback(g, function(count)
        local paused
        return {
          on_open = function(conn) paused = conn:pause() end,
          on_message = function(_, message) count(message) end,
        }, function() paused:resume() end
      end)
    end))

  it("BI-05 stops the peer by its window while a handler waits",
    guarded(function(g)
      expect_pushback(g, function(count)
        local may_go = false
        return { on_message = function(_, message)
          count(message)
          while not may_go do ws.sleep(0.005) end
        end }, function() may_go = true end
      end)
    end))

  it("BI-05 stops the peer by its window while nobody receives",
    guarded(function(g)
      expect_pushback(g, function(count)
        local may_go = false
        return { echo = false, on_open = function(conn)
          while not may_go do ws.sleep(0.005) end
          for message in conn:messages() do count(message) end
        end }, function() may_go = true end
      end)
    end))

  it("BI-06 says \"queue full\" to whoever sends to a peer that does not read",
    guarded(function(g)
      local conn, n = nil, 0
      local server = g:listen { echo = false, max_queued = 256 << 10,
        on_open = function(opened) conn = opened end }
      local client = t.open(server, { rcvbuf = 4096 })
      local filler, sent, why = ("x"):rep(32768), true, nil
      while sent do
        sent, why = conn:send(("%04d"):format(n + 1) .. filler)
        if sent then n = n + 1 end
        assert.is_true(n < 1000)
      end
      assert.equal("queue full", why)
      assert.is_true(conn.buffered <= 256 << 10)
      assert.equal("open", conn.state)
      g.bystanders[1].check()
      for i = 1, n do
        local _, message = client:message()
        assert.equal(("%04d"):format(i), message:sub(1, 4))
      end
      t.wait(function() return conn.buffered == 0 end, "the queue to empty")
      assert.is_true((conn:send("again")))
      client:expect_frame("text", "again")
      client:close()
    end))

  it("BI-06 closes with 1008 with on_full = \"close\"", guarded(function(g)
    local conn
    local server = g:listen { echo = false, max_queued = 256 << 10,
      on_full = "close", on_open = function(opened) conn = opened end }
    local client = t.open(server, { rcvbuf = 4096 })
    local filler, sent, n = ("x"):rep(32768), true, -1
    while sent do sent, n = conn:send(filler), n + 1 end
    local code, reason = g:end_of(client)
    assert.same({ 1008, "slow consumer" }, { code, reason })
    for _ = 1, n do client:expect_frame("text", filler) end
    client:expect_close(1008)
    client:expect_eof()
    client:close()
  end))

  it("BI-06 cuts a peer that takes nothing for stall_timeout",
    guarded(function(g)
      local server = g:listen { echo = false, stall_timeout = 0.1,
        on_open = function(conn) conn:send(("x"):rep(16 << 20)) end }
      local client = t.open(server, { rcvbuf = 4096 })
      local code, reason = g:end_of(client)
      assert.same({ 1006, "write stalled" }, { code, reason })
      client:close()
    end))

  it("BI-07 closes with 1008 a flood of pings", guarded(function(g)
    local server = g:listen()
    local client = t.open(server)
    client:send(frame("ping", ("p"):rep(125)):rep(20000))
    local code, reason = g:end_of(client)
    assert.same({ 1008, "control frame flood" }, { code, reason })
    local pongs, f = 0, client:frame()
    while f and not f.code do
      pongs, f = pongs + 1, client:frame()
      assert.is_true(pongs < 100)
    end
    if f then assert.equal(1008, f.code) end
    client:close()
  end))

  it("BI-07 holds few pongs for a peer that does not read, the last included",
    guarded(function(g)
      local conn, seen
      local server = g:listen { control_rate = false, max_queued = false,
        high_water = 1 << 30, stall_timeout = false,
        on_open = function(opened) conn = opened end,
        on_message = function() seen = true end }
      local client = t.open(server, { rcvbuf = 4096 })
      conn:send(("x"):rep(16 << 20), "binary")
      local before = conn.buffered
      assert.is_true(before > 0)
      local function payload_of(i) return ("%05d"):format(i):rep(25) end
      for i = 1, 3000 do
        client:send(frame("ping", payload_of(i)))
        if i % 100 == 0 then t.turn(0) end
      end
      client:send(frame("text", "end"))
      t.wait(function() return seen end, "all pings")
      assert.is_true(conn.buffered - before <= 17 * 127)
      local kind, payload = client:message()
      assert.equal("binary", kind)
      assert.equal(16 << 20, #payload)
      local n = 0
      repeat
        kind, payload = client:message()
        assert.equal("pong", kind)
        n = n + 1
      until payload == payload_of(3000)
      assert.is_true(n <= 17)
      client:close()
    end))

  it("BI-08 sends pings and closes exactly as given, or raises",
    guarded(function(g)
      local conn
      local server = g:listen { on_open = function(opened) conn = opened end }
      local client = t.open(server)
      for n = 0, 125 do
        local payload = ("\0\xff"):rep(63):sub(1, n)
        assert.is_true((conn:ping(payload)))
        client:expect_frame("ping", payload)
      end
      for _, payload in ipairs { 12, 1.5 } do
        assert.is_true((conn:ping(payload)))
        client:expect_frame("ping", tostring(payload))
      end
      assert.is_true((conn:ping())) -- the payload is the engine's own
      assert.equal(9, client:frame().opcode)
      for _, wrong in ipairs { true, {}, print, io.stdout, conn,
                               ("x"):rep(126), ("x"):rep(70000) } do
        assert.has_error(function() conn:ping(wrong) end)
        assert.has_error(function() conn:send(wrong, wrong) end)
        assert.has_error(function() conn:send({}, wrong) end)
        assert.has_error(function() conn:close(wrong) end)
        assert.has_error(function() conn:close(1000, { wrong }) end)
        assert.has_error(function() conn:shutdown(wrong) end)
      end
      for _, code in ipairs { 0, -1, 999, 1004, 1005, 1006, 1015, 1016, 2999,
                              5000, 65536, 1000.5, 1 << 32, "x" } do
        assert.has_error(function() conn:close(code) end)
      end
      for _, reason in ipairs { ("x"):rep(124), "\xff", "\xc3" } do
        assert.has_error(function() conn:close(1000, reason) end)
      end
      client:expect_silence()
      client:close()
      for n = 0, 123, 41 do
        client = t.open(server)
        conn:close(3000, ("\0x"):rep(62):sub(1, n))
        client:expect_frame("close", "\11\xb8" .. ("\0x"):rep(62):sub(1, n))
        client:close()
      end
    end))

  it("BI-09 ends once, whatever the order of what happens", guarded(function(g)
    local conns, random = {}, generator(9)
    local server = g:listen { close_timeout = 0.02,
      on_open = function(conn) conns[#conns + 1] = conn end }
    for _ = 1, 1000 do run_order(server, conns, random) end
  end))

  it("BI-09 tells on_close the code of the end", guarded(function(g)
    local conn
    local server = g:listen { close_timeout = 0.05,
      on_open = function(opened) conn = opened end }
    local function ends(code, reason, ...)
      local client = t.open(server)
      for _, step in ipairs { ... } do
        if type(step) == "function" then step(client)
        else client:send(step) end
      end
      local ended, why = g:end_of(client, #g.ends)
      assert.same({ code, reason }, { ended, why })
      client:close()
    end
    local close, data = frame("close", "\3\xe8"), frame("text", "x")
    local function by_us() conn:close(4001, "bye") end
    local function eof(client) client:half_close() end
    ends(1000, "", close)
    ends(1000, "done", frame("close", "\3\xe8done"), data)
    ends(1005, "", frame("close"))
    ends(1002, "a reserved opcode", frame(3))
    ends(1000, "", by_us, close)
    ends(4001, "", by_us, data, data, frame("close", "\15\xa1"), data)
    ends(1006, "connection closed without a close frame", by_us, eof)
    ends(1006, "connection closed without a close frame", data, eof)
    ends(1006, "close timeout", by_us)
    ends(1006, "terminated", function() conn:terminate() end, close)
    ends(1006, "terminated", by_us, function() conn:terminate() end)
  end))

  it("BI-15 writes the same stream wherever a write is cut short",
    guarded(function(g)
      local conn
      local server = g:listen { echo = false, max_queued = false,
        on_open = function(opened) conn = opened end }
      local client = t.open(server, { rcvbuf = 2048 })
      local sizes, n = {}, 0
      for i = 1, 120 do
        local size = (i * 7919) % 3000
        if i % 10 == 0 then size = 65520 + i end -- beside the cork's limit
        if i % 40 == 0 then size = 300000 + i end
        sizes[i] = size
      end
      local function payload(i)
        return (string.char(97 + i % 26) .. i):rep(sizes[i]):sub(1, sizes[i])
      end
      ws.spawn(function()
        for i = 1, #sizes do
          conn:send(payload(i), i % 2 == 0 and "text" or "binary")
          if i % 7 == 0 then ws.sleep(0) end
          if i % 5 == 0 then conn:ping(tostring(i)) end
        end
      end)
      while n < #sizes do
        local kind, got = client:message()
        if kind ~= "ping" then
          n = n + 1
          assert.equal(n % 2 == 0 and "text" or "binary", kind)
          assert.is_true(payload(n) == got)
        else
          assert.equal(tostring(n), got)
        end
      end
      client:close()
    end))

  it("BI-17 never reaches the connection that took the place of a closed one",
    guarded(function(g)
      local conns = {}
      local server = g:listen { on_open = function(conn)
        conns[#conns + 1] = conn
      end }
      local first = t.open(server)
      first:finish()
      g:expect_ends(1)
      local second = t.open(server)
      local old, new = conns[1], conns[2]
      assert.not_equal(old.id, new.id)
      assert.same({ nil, "closed" }, { old:send("stray") })
      assert.same({ nil, "closed" }, { old:ping("stray") })
      assert.equal("closed", (select(2, old:drain())))
      assert.same({ nil, "closed" }, { old:shutdown() })
      old:close(3000)
      old:pause()
      old:terminate()
      old.data = "old"
      assert.is_nil(new.data)
      assert.equal("open", new.state)
      second:expect_silence()
      second:send(frame("text", "new")):expect_frame("text", "new")
      second:finish()
    end))

  it("BI-17 gives no two connections of a process one id", guarded(function(g)
    local ids, n = {}, 0
    local function note(conn)
      assert.is_nil(ids[conn.id])
      ids[conn.id], n = true, n + 1
    end
    for _ = 1, 3 do
      local server = g:listen { on_open = note }
      for _ = 1, 3 do
        t.open(server):finish()
        ws.connect("ws://127.0.0.1:" .. server.port,
          { on_open = function(conn) note(conn) conn:close() end })
      end
    end
    t.wait(function() return n == 27 end, "all connections")
  end))

  it("BI-61 gives a flood of small messages one handler, in bounded memory",
    guarded(function(g)
      local got, busy, most, may_go = 0, 0, 0, false
      local server = g:listen { on_message = function()
        busy = busy + 1
        most = math.max(most, busy)
        while not may_go do ws.sleep(0.001) end
        got, busy = got + 1, busy - 1
      end }
      local client = t.open(server)
      local n = 1 << 20
      local stream = frame("text", "", { mask = "\0\0\0\0" }):rep(n)
      collectgarbage()
      local before = common.statm()
      local at = push(client, stream, 1)
      assert.is_true(at < #stream, "all was taken")
      local room = common.is_sanitized and 64 << 20 or 8 << 20
      assert.is_true(common.statm() - before < room)
      assert.same({ 0, 1 }, { got, most })
      g.bystanders[1].check()
      may_go = true
      t.wait(function() return got > 5000 end)
      g.bystanders[1].check()
      assert.equal(1, most)
      client:reset()
    end))
end)
