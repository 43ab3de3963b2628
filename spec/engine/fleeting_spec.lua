-- Messages that may go (src/engine/fleeting.c, conn_send.c): what is too old
-- is not sent, a newer one with the same key takes the place of the older.

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local tls = require "spec.helper.tls"
local deflate = require "evws_probe".deflate

local ws = t.ws
local large = ("x"):rep(1 << 16)
local patient = { keepalive_interval = false, keepalive_timeout = false,
  stall_timeout = false, max_queued = 4 << 20 }

-- A connection whose peer has read nothing yet: conn, raw, the messages of
-- `large` that wait for it, server.
local function slow(options, open)
  local own = {}
  for name, value in pairs(patient) do own[name] = value end
  for name, value in pairs(options or {}) do own[name] = value end
  local server, log = kit.serve(own)
  local raw = (open or t.open)(server, { rcvbuf = 4096 })
  local conn = t.wait(function() return log.conns[1] end)
  local n = 0
  repeat
    assert(conn:send(large, "binary", { compress = false }))
    n = n + 1
  until conn.buffered > 256 << 10
  return conn, raw, n, server
end

local function read_large(raw, n)
  for _ = 1, n do
    local f = raw:frame()
    assert.equal(#large, #f.payload)
  end
end

local function expect(raw, n, list)
  read_large(raw, n)
  for _, text in ipairs(list) do raw:expect_frame("text", text) end
  raw:expect_silence()
end

describe("a message that may go", function()
  after_each(t.cleanup)

  it("is sent at once to who keeps up", function()
    local server, log = kit.serve()
    local raw = t.open(server)
    local conn = t.wait(function() return log.conns[1] end)
    for i = 1, 5 do
      assert(conn:send("k" .. i, "text", { key = "k" }))
      assert(conn:send("t" .. i, "text", { ttl = 1e-9 }))
    end
    for i = 1, 5 do
      raw:expect_frame("text", "k" .. i)
      raw:expect_frame("text", "t" .. i)
    end
    assert.equal(0, conn.missed)
  end)

  for name, open in pairs { plain = t.open, TLS = tls.open } do
    it("is replaced where it waits, the others keep their order: " .. name,
      function()
        local options = name == "TLS" and tls.options() or nil
        local conn, raw, n, server = slow(options, open)
        local before = conn.buffered
        assert(conn:send("a1", "text", { key = "a" }))
        assert(conn:send "between")
        assert(conn:send("b1", "text", { key = "b" }))
        assert(conn:send("a2, longer", "text", { key = "a" }))
        assert(conn:send("end", "text"))
        assert(conn:send("b2", "binary", { key = "b", compress = false }))
        assert.is_true(conn.buffered > before)
        assert.equal(2, conn.missed)
        assert.equal(2, server:stats().dropped)
        read_large(raw, n)
        raw:expect_frame("text", "a2, longer")
        raw:expect_frame("text", "between")
        raw:expect_frame("binary", "b2")
        raw:expect_frame("text", "end")
        raw:expect_silence()
        t.wait(function() return conn.buffered == 0 end)
        assert(conn:send("a3", "text", { key = "a" }))
        raw:expect_frame("text", "a3")
        assert.equal(2, conn.missed)
      end)
  end

  it("is not sent when its time is over", function()
    local conn, raw, n, server = slow()
    assert(conn:send("short", "text", { ttl = 0.001 }))
    assert(conn:send("kept", "text", { ttl = 1000 }))
    assert(conn:send("again", "text", { ttl = 0.001, key = "k" }))
    kit.during(0.01)
    assert(conn:send("newer", "text", { ttl = 1000, key = "k" }))
    assert(conn:send("old", "text", { ttl = 0.001, key = "other" }))
    kit.during(0.01)
    expect(raw, n, { "kept", "newer" })
    assert.equal(3, conn.missed)
    assert.equal(3, server:stats().dropped)
  end)

  it("makes room when its time is over, and not before", function()
    local conn, raw, n = slow { max_queued = 600 << 10 }
    assert(conn:send("k", "text", { key = "k" }))
    local m, ok, why = 0
    repeat
      ok, why = conn:send(large, "text", { ttl = 0.2 * t.factor })
      m = m + (ok and 1 or 0)
    until not ok
    assert.equal("queue full", why)
    assert.is_true(m > 1)
    t.wait(function() return conn:send(large, "text", { ttl = 1000 }) end)
    assert.is_true(conn:send("again", "text", { key = "k" }))
    kit.during(0.2 * t.factor)
    expect(raw, n, { "again", large })
    assert.equal(m + 1, conn.missed)
  end)

  it("is refused like any other where there is no room", function()
    local conn, raw, n = slow { max_queued = 300 << 10 }
    assert(conn:send("k", "text", { key = "k" }))
    local much = ("y"):rep(300 << 10)
    assert.same({ nil, "queue full" }, { conn:send(much, "text",
      { key = "k" }) })
    assert.same({ nil, "queue full" }, { conn:send(much, "text",
      { key = "new" }) })
    expect(raw, n, { "k" })
  end)

  it("waits behind a writer's message too", function()
    for _, ends in ipairs { true, false } do
      local conn, raw, n, server = slow()
      if ends then
        read_large(raw, n)
        n = 0
      end
      local writer = conn:writer()
      writer:write "one "
      assert(conn:send("a1", "text", { key = "a" }))
      assert(conn:send "plain")
      assert(conn:send("a2", "text", { key = "a" }))
      writer:write "two"
      writer:finish()
      read_large(raw, n)
      local kind, text = raw:message()
      assert.same({ "text", "one two" }, { kind, text })
      raw:expect_frame("text", "a2")
      raw:expect_frame("text", "plain")
      raw:close()
      t.pump(server.close, server)
    end
  end)

  it("is out before a writer begins, and before a Close", function()
    local conn, raw, n = slow()
    assert(conn:send("a1", "text", { key = "a" }))
    assert(conn:send("a2", "text", { key = "a" }))
    local writer = conn:writer()
    writer:write "fragment"
    writer:finish()
    assert(conn:send("b", "text", { key = "b" }))
    assert(conn:send "last")
    conn:close(1000, "bye")
    read_large(raw, n)
    raw:expect_frame("text", "a2")
    assert.equal("fragment", select(2, raw:message()))
    raw:expect_frame("text", "b")
    raw:expect_frame("text", "last")
    raw:expect_close(1000)
  end)

  it("keeps its place among what is published", function()
    local conn, raw, n, server = slow()
    conn:subscribe "news"
    server:publish("news", "p1")
    assert(conn:send("a1", "text", { key = "a" }))
    server:publish("news", "p2")
    assert(conn:send("a2", "text", { key = "a" }))
    server:publish("news", "p3")
    expect(raw, n, { "p1", "a2", "p2", "p3" })
    server:publish("news", "p4")
    raw:expect_frame("text", "p4")
  end)

  it("is published so for who is slow alone, each topic's keys its own",
    function()
      local conn, raw, n, server = slow()
      local fast = t.open(server)
      for c in server:each() do c:subscribe "a" end
      conn:subscribe "b"
      assert.equal(2, server:publish("a", "a1", "text", { key = "k" }))
      assert.equal(1, server:publish("b", "b1", "text", { key = "k" }))
      assert(conn:send("c1", "text", { key = "k" }))
      assert.equal(2, server:publish("a", "old", "text", { ttl = 0.001 }))
      server:publish("b", "stays")
      assert.equal(2, server:publish("a", "a2", "text", { key = "k" }))
      assert.equal(1, server:publish("b", "b2", "binary", { key = "k" }))
      kit.during(0.01)
      for _, text in ipairs { "a1", "old", "a2" } do
        fast:expect_frame("text", text)
      end
      read_large(raw, n)
      raw:expect_frame("text", "a2")
      raw:expect_frame("binary", "b2")
      raw:expect_frame("text", "c1")
      raw:expect_frame("text", "stays")
      raw:expect_silence()
      assert.equal(3, conn.missed)
    end)

  it("is published so through a view, and by a connection", function()
    local conn, raw, n, server = slow()
    server:view("loud", function(m) return m:upper() end)
    conn:subscribe("a", { view = "loud" })
    local other = t.open(server)
    local speaker = t.wait(function()
      for c in server:each() do if c ~= conn then return c end end
    end)
    speaker:publish("a", "one", "text", { key = "k" })
    speaker:publish("a", "two", "text", { key = "k" })
    expect(raw, n, { "TWO" })
    other:close()
  end)

  it("is compressed when it leaves, in the order of what leaves", function()
    local field = "Sec-WebSocket-Extensions"
    for _, takeover in ipairs { true, false } do
      local conn, raw, n, server = slow({ compression = {
        context_takeover = takeover, threshold = 0 } }, function(to, o)
        local raw = t.raw(to, o)
        assert.equal(101, (raw:upgrade { headers = {
          [field] = "permessage-deflate" } }))
        return raw
      end)
      conn:subscribe "news"
      local function text(of) return (of .. " says what it says, "):rep(20) end
      conn:send(text "one", "text", { key = "a" })
      conn:send(text "two")
      server:publish("news", text "news")
      conn:send(text "three", "text", { key = "a" })
      conn:send(text "four", "text", { key = "b" })
      server:publish("news", text "more news")
      conn:send(text "five")
      read_large(raw, n)
      local inflater = deflate.inflater()
      for _, of in ipairs { "three", "two", "news", "four", "more news",
        "five" } do
        local f = raw:frame()
        assert.equal(4, f.rsv)
        assert.equal(text(of), (inflater:message(f.payload,
          { fresh = not takeover })))
      end
      raw:close()
      t.pump(server.close, server)
    end
  end)

  it("lets a task wait for all that is queued", function()
    local conn, raw, n = slow { low_water = 0 }
    for i = 1, 100 do conn:send("k" .. i, "text", { key = "k" .. i }) end
    local drained
    ws.spawn(function() drained = conn:drain() end)
    t.turn()
    assert.is_nil(drained)
    read_large(raw, n)
    for i = 1, 100 do raw:expect_frame("text", "k" .. i) end
    t.wait(function() return drained end)
    assert.equal(0, conn.buffered)
  end)

  it("is found among many by its key", function()
    local conn, raw, n = slow()
    for round = 1, 3 do
      for i = 1, 2000 do
        conn:send(round .. " " .. i, "text", { key = "key " .. i })
      end
    end
    assert.equal(4000, conn.missed)
    read_large(raw, n)
    for i = 1, 2000 do raw:expect_frame("text", "3 " .. i) end
  end)

  it("is gone with its connection", function()
    for _, how in ipairs { "terminate", "close", "reset" } do
      local conn, raw, _, server = slow()
      conn:send("k", "text", { key = "k" })
      conn:send("t", "text", { ttl = 1 })
      conn:send "plain"
      if how == "reset" then raw:reset() else conn[how](conn) end
      if how == "close" then raw:close() end
      t.wait(function() return server.connections == 0 end)
      assert.same({ nil, "closed" },
        { conn:send("k", "text", { key = "k" }) })
    end
  end)

  it("is lost or sent in the order of all others, whatever happens",
    function()
      local conn, raw, n, server = slow { compression = true }
      conn:subscribe "news"
      local calm = t.open(server)
      for seed = 1, 20 do
        math.randomseed(seed)
        local sent, keyed, last, missed = {}, 0, {}, conn.missed
        for i = 1, 200 do
          local dice = math.random(5)
          local text = ("%d %s"):format(i, ("z"):rep(math.random(0, 300)))
          if dice == 1 then
            sent[#sent + 1] = "plain " .. text
            assert(conn:send("plain " .. text))
          elseif dice == 2 then
            sent[#sent + 1] = "published " .. text
            server:publish("news", "published " .. text)
          elseif dice == 3 and math.random(20) == 1 then
            sent[#sent + 1] = "written " .. text
            local writer = conn:writer()
            writer:write "written "
            conn:send("key 1 " .. text, "text", { key = "key 1" })
            writer:write(text)
            writer:finish()
            keyed, last["1"] = keyed + 1, text
          else
            local key = tostring(math.random(4))
            keyed, last[key] = keyed + 1, text
            assert(conn:send("key " .. key .. " " .. text, "text",
              { key = "key " .. key }))
          end
          if math.random(40) == 1 and n > 0 then
            read_large(raw, 1)
            n = n - 1
          end
        end
        read_large(raw, n)
        n = 0
        assert(conn:send "round")
        local at, got, newest = 0, 0, {}
        for _ = 1, 1000 do
          local _, text = raw:message()
          if text == "round" then break end
          local key, rest = text:match "^key (%d) (.*)$"
          if key then
            local number = tonumber(rest:match "%d+")
            assert.is_true(number > (newest[key] or 0))
            newest[key], got = number, got + 1
            if number == tonumber(last[key]:match "%d+") then
              last[key] = nil
            end
          else
            at = at + 1
            assert.equal(sent[at], text)
          end
        end
        assert.equal(#sent, at)
        assert.is_nil(next(last))
        assert.equal(keyed, got + conn.missed - missed)
        repeat
          conn:send(large, "binary")
          n = n + 1
        until conn.buffered > 64 << 10
      end
      calm:close()
    end)

  it("ends its connection, and nothing else, without memory", function()
    local core = require "evws.core"
    if not core.fail_at then return pending "built without WS_FAULT" end
    local cuts = 0
    for _, every in ipairs { false, true } do
      for at = 1, 8 do
        local conn, raw, _, server = slow()
        core.fail_at(at, every)
        conn:send("a", "text", { key = "a" })
        conn:send "plain"
        conn:send("longer", "text", { key = "a" })
        conn:send("b", "text", { key = "b", ttl = 5 })
        core.fail_at(0, false)
        cuts = cuts + (conn.state == "open" and 0 or 1)
        raw:close()
        t.wait(function() return server.connections == 0 end)
        t.pump(server.close, server)
      end
    end
    assert.is_true(cuts > 4)
  end)

  it("has a ttl above 0, a key that is a string, and nothing else",
    function()
      local bad = require("spec.binding.kit").refused_call
      local conn = slow()
      for _, ttl in ipairs { 0, -1, 0 / 0, math.huge, "1", true } do
        t.contains(bad(conn, "send", "x", "text", { ttl = ttl }),
          "bad option 'ttl' (seconds above 0 expected, got ")
      end
      for _, key in ipairs { "", ("k"):rep(256), 1, true } do
        t.contains(bad(conn, "send", "x", "text", { key = key }),
          "bad option 'key' (string of 1 to 255 bytes expected, got ")
      end
      t.contains(select(2, pcall(conn.publish, conn, "a", "x", "text",
        { ttl = 0 })), "bad option 'ttl' (seconds above 0 expected, got 0)")
      assert.equal("unknown option 'tll' for 'send' (did you mean 'ttl'?)",
        bad(conn, "send", "x", "text", { tll = 1 }))
      assert(conn:send("x", "text", { key = ("k"):rep(255), ttl = 1e9 }))
    end)
end)
