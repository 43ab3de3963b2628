-- What max_queued counts is about what is held, whatever way the bytes came
-- into a send queue.

local t = require "spec.helper"
local tls = require "spec.helper.tls"
local kit = require "spec.engine.kit"
local filler = require "spec.helper.filler"

local n_slow = 12
local kib = 1024

-- Calls fill(server, conns) with connections whose peers read nothing and
-- whose kernel has had enough, then compares, also while they read a little.
-- A Unix socket's kernel has enough soon.
local function check(fill, is_tls, compression)
  local own = { unix = os.tmpname(), max_queued = 8 << 20,
    high_water = 8 << 20, stall_timeout = false, keepalive_interval = false,
    keepalive_timeout = false, on_message = false, compression = compression }
  os.remove(own.unix)
  if is_tls then own = tls.options(own) end
  own.host = nil
  local server, log = kit.serve(own)
  local open = is_tls and tls.open or t.open
  local slow = {}
  for i = 1, n_slow do
    slow[i] = open(server, { headers = compression and
      { ["Sec-WebSocket-Extensions"] = "permessage-deflate" } })
  end
  t.wait(function() return #log.conns == n_slow end)
  local function stats() return server:stats() end
  for _, conn in ipairs(log.conns) do
    repeat
      conn:send(("x"):rep(20000), "text", { compress = false })
      t.turn()
    until conn.buffered > 0
  end
  local before = stats().memory
  fill(server, log.conns)
  local function compare(where)
    local now = stats()
    local held, counted = now.memory - before, now.queued_bytes
    assert.is_true(counted > n_slow * 50 * kib or where ~= "filled", counted)
    assert(held <= 2 * counted + (n_slow * 3 + 1024) * kib,
      ("%s: %d held for %d"):format(where, held, counted))
  end
  kit.during(0.01)
  compare "filled"
  local socket = is_tls and "tcp" or "socket"
  for round = 1, 60 do
    local got = 0
    for _, c in ipairs(slow) do
      got = got + #(c[socket]:recv(20 * kib) or "")
    end
    t.turn()
    if round % 10 == 0 then compare("round " .. round) end
  end
end

describe("a send queue holds about what it counts", function()
  after_each(t.cleanup)

  local function each(conns, n, fn)
    for i = 1, n do
      for _, conn in ipairs(conns) do fn(conn, i) end
      if i % 50 == 0 then t.turn() end
    end
  end

  local letters = ("abcdefghij"):rep(100)

  local ways = {
    ["small messages"] = function(_, conns)
      each(conns, 20000, function(conn, i)
        assert(conn:send(letters:sub(1, i % 60)))
      end)
    end,
    ["long messages"] = function(_, conns)
      each(conns, 12, function(conn) assert(conn:send(letters:rep(300))) end)
    end,
    ["one topic of eight"] = function(server, conns)
      for i, conn in ipairs(conns) do conn:subscribe("topic " .. i % 8) end
      for i = 1, 40000 do
        server:publish("topic " .. i % 8, letters:sub(1, 100))
        if i % 24 == 0 then t.turn() end
      end
    end,
    ["two topics of five hundred"] = function(server, conns)
      for i, conn in ipairs(conns) do
        conn:subscribe("topic " .. i)
        conn:subscribe "all"
      end
      for i = 1, 500 do
        for k = 1, n_slow do
          server:publish("topic " .. k, letters:sub(1, 10 + i % 90))
        end
        server:publish("all", letters:sub(1, 50))
        if i % 3 == 0 then t.turn() end
      end
    end,
    ["a topic alone"] = function(server, conns)
      for _, conn in ipairs(conns) do conn:subscribe "all" end
      for i = 1, 20000 do
        server:publish("all", letters:sub(1, 100))
        if i % 100 == 0 then t.turn() end
      end
    end,
    ["a writer"] = function(_, conns)
      local done = 0
      for _, conn in ipairs(conns) do
        t.ws.spawn(function()
          local w <close> = assert(conn:writer "text")
          for i = 1, 3000 do
            assert(w:write(letters:sub(1, 20 + i % 200)))
            if i % 100 == 0 then t.ws.sleep(0) end
          end
          w:finish()
          done = done + 1
        end)
      end
      t.wait(function() return done == #conns end)
    end,
    ["messages behind a writer"] = function(_, conns)
      for _, conn in ipairs(conns) do
        t.ws.spawn(function()
          local w <close> = assert(conn:writer "text")
          for i = 1, 3000 do assert(conn:send(letters:sub(1, i % 50))) end
          t.ws.sleep(0.3)
          w:finish()
        end)
      end
    end,
    ["pings"] = function(_, conns)
      each(conns, 2000, function(conn) conn:ping(letters:sub(1, 100)) end)
    end,
  }

  for name, fill in pairs(ways) do
    it("of " .. name, function() check(fill) end)
    it("of " .. name .. ", over TLS", function() check(fill, true) end)
  end

  it("of compressed messages", function()
    check(function(server, conns)
      for _, conn in ipairs(conns) do conn:subscribe "all" end
      each(conns, 1500, function(conn, i)
        assert(conn:send(filler.noise(100 + i % 200), "binary"))
        if conn == conns[1] then
          server:publish("all", filler.words(100 + i % 1000))
        end
      end)
    end, false, { context_takeover = false, threshold = 100 })
  end)
end)
