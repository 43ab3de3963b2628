-- conn:writer: one message in fragments, and whatever else is said meanwhile.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local url_of = t.url_of

-- The next frame: opcode, payload, fin.
local function next_frame(raw)
  local f = assert(raw:frame())
  return f.opcode, f.payload, f.fin
end

local function expect_frames(raw, list)
  for _, wanted in ipairs(list) do
    assert.same(wanted, { next_frame(raw) })
  end
end

local function no_memory(core)
  if not core.fail_at then pending "built without WS_FAULT" end
  return core.fail_at
end

describe("a writer", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("sends one message in fragments", function()
    local conn, raw = kit.pair()
    local w = conn:writer "binary"
    assert.is_true((w:write "a\xff"))
    assert.is_true((w:write "b"))
    assert.is_true((w:finish()))
    expect_frames(raw, { { 2, "a\xff", false }, { 0, "b", false },
      { 0, "", true } })
  end)

  it("sends text without a kind", function()
    local conn, raw = kit.pair()
    local w = conn:writer()
    w:write "one"
    w:finish()
    assert.same({ "text", "one" }, { raw:message() })
    w = conn:writer "text"
    w:write "two"
    w:finish()
    assert.same({ "text", "two" }, { raw:message() })
  end)

  it("sends each piece at once", function()
    local conn, raw = kit.pair()
    local w <close> = conn:writer()
    w:write "at once"
    assert.same({ 1, "at once", false }, { next_frame(raw) })
    w:finish()
  end)

  it("sends nothing for an empty piece, and an empty message", function()
    local conn, raw = kit.pair()
    local w = conn:writer()
    assert.is_true((w:write ""))
    raw:expect_silence()
    w:finish()
    raw:expect_frame("text", "")
  end)

  it("sends pieces of every size, from both sides", function()
    local got
    local server = t.listen { max_message = 2^22, on_message = function(c, m, k)
      got = #m .. k
      local w = c:writer(k)
      for from = 1, #m, 300000 do
        assert(w:write(m:sub(from, from + 299999)))
      end
      w:finish()
    end }
    local conn <close> = assert(ws.connect(url_of(server),
      { max_message = 2^22 }))
    local pieces = {}
    for i, n in ipairs { 1, 125, 126, 65535, 65536, 65537, 400000 } do
      pieces[i] = string.char(96 + i):rep(n)
    end
    local w = conn:writer "binary"
    for _, piece in ipairs(pieces) do assert(w:write(piece)) end
    assert(w:finish())
    local whole = table.concat(pieces)
    local message, kind = conn:receive(t.limit * t.factor)
    assert.equal(#whole .. "binary", got)
    assert.is_true(message == whole)
    assert.equal("binary", kind)
  end)

  it("tells true and the bytes that wait", function()
    local conn, raw = kit.pair({ max_queued = 2^24 }, { rcvbuf = 4096 })
    local w <close> = conn:writer "binary"
    local ok, n = w:write "x"
    assert.same({ true, 0 }, { ok, n })
    ok, n = w:write(("x"):rep(2^23))
    assert.is_true(ok)
    assert.is_true(n > 0)
    assert.equal(n, conn.buffered)
    raw:close()
  end)

  describe("for text", function()
    it("takes a character in two pieces", function()
      local conn, raw = kit.pair()
      local w = conn:writer()
      w:write "k\xce"
      w:write "\xba\xe1\xbd"
      w:write "\xb9"
      w:finish()
      assert.same({ "text", "k\u{3ba}\u{1f79}" }, { raw:message() })
    end)

    it("raises for what cannot be UTF-8, and sends nothing of it", function()
      local conn, raw = kit.pair()
      local w = conn:writer()
      w:write "k\xce"
      assert.matches("bad argument #1 to 'write' %(text is not UTF%-8",
        kit.refusal(function() w:write "x" end))
      w:write "\xba"
      w:finish()
      assert.same({ "text", "k\u{3ba}" }, { raw:message() })
    end)

    it("raises when it ends inside of a character", function()
      local conn, raw = kit.pair()
      local w = conn:writer()
      w:write "\xce"
      assert.equal("the text ends inside of a character",
        kit.refusal(function() w:finish() end))
      w:write "\xba"
      w:finish()
      assert.same({ "text", "\u{3ba}" }, { raw:message() })
    end)
  end)

  describe("lets other messages wait", function()
    it("until it has finished, in their order", function()
      local conn, raw = kit.pair()
      local w = conn:writer()
      w:write "a"
      local ok, n = conn:send "second"
      assert.is_true(ok and n >= #"second")
      assert.equal(n, conn.buffered)
      conn:send("third", "binary")
      w:write "b"
      w:finish()
      assert.equal(0, conn.buffered)
      conn:send "fourth"
      for _, wanted in ipairs { "ab", "second", "third", "fourth" } do
        local _, message = raw:message()
        assert.equal(wanted, message)
      end
    end)

    it("also those of another task", function()
      local conn, raw = kit.pair()
      ws.spawn(function()
        local w = conn:writer()
        for i = 1, 5 do
          w:write(i .. "")
          ws.sleep(0)
        end
        w:finish()
      end)
      ws.spawn(function()
        for i = 1, 3 do
          conn:send("m" .. i)
          ws.sleep(0)
        end
      end)
      for _, wanted in ipairs { "12345", "m1", "m2", "m3" } do
        assert.same({ "text", wanted }, { raw:message() })
      end
    end)

    it("up to max_queued, and loses none that was taken", function()
      local conn, raw = kit.pair { max_queued = 1000 }
      local w = conn:writer()
      w:write "a"
      local taken = 0
      while true do
        local ok, why = conn:send(("x"):rep(100))
        if not ok then
          assert.equal("queue full", why)
          break
        end
        taken = taken + 1
      end
      assert.is_true(taken > 5 and taken < 10)
      assert.is_true((w:write "b"))
      w:finish()
      assert.same({ "text", "ab" }, { raw:message() })
      for _ = 1, taken do
        assert.same({ "text", ("x"):rep(100) }, { raw:message() })
      end
      assert.is_true((conn:send "again"))
      raw:expect_frame("text", "again")
    end)

    it("but not pings and pongs", function()
      local conn, raw = kit.pair()
      local w = conn:writer()
      w:write "a"
      raw:send(t.frame("ping", "p"))
      t.turn()
      conn:ping "q"
      w:finish()
      expect_frames(raw, { { 1, "a", false }, { 10, "p", true },
        { 9, "q", true }, { 0, "", true } })
    end)

    it("and answers, so that no handler overflows the queue", function()
      local refused = 0
      local conn, raw = kit.pair { high_water = 1000, max_queued = 4000,
        on_message = function(c, m)
          if not c:send(m) then refused = refused + 1 end
        end }
      local w = conn:writer()
      w:write "a"
      for i = 1, 100 do raw:send(t.frame("text", i .. ("x"):rep(97))) end
      t.wait(function() return conn.buffered > 1000 end)
      for _ = 1, 10 do t.turn() end
      assert.equal(0, refused)
      w:finish()
      assert.same({ "text", "a" }, { raw:message() })
      for i = 1, 100 do
        assert.same({ "text", i .. ("x"):rep(97) }, { raw:message() })
      end
    end)

    it("and tells on_drain when they have left", function()
      local drained = 0
      local conn, raw = kit.pair { high_water = 100,
        on_drain = function() drained = drained + 1 end }
      local w = conn:writer()
      conn:send(("x"):rep(200))
      for _ = 1, 5 do t.turn() end
      assert.equal(0, drained)
      w:finish()
      t.wait(function() return drained == 1 end)
      raw:message()
      raw:message()
    end)
  end)

  describe("whose peer does not read", function()
    local function stuffed()
      local conn, raw = kit.pair({ max_queued = 100000, low_water = 1,
        stall_timeout = false }, { rcvbuf = 4096 })
      local w = conn:writer "binary"
      local sent = {}
      t.wait(function()
        local piece = string.char(65 + #sent % 26):rep(50000)
        local ok, why = w:write(piece)
        if not ok then
          assert.equal("queue full", why)
          return true
        end
        sent[#sent + 1] = piece
      end)
      return conn, raw, w, sent
    end

    it("is told that the queue is full, and loses nothing", function()
      local _, raw, w, sent = stuffed()
      local message, done
      t.wait(function()
        local f = raw:frame()
        message = f.message
        if not done and w:write "the end" then
          done = true
          w:finish()
        end
        return f.fin
      end)
      assert.is_true(message == table.concat(sent) .. "the end")
    end)

    it("drains, whatever waits behind it", function()
      local conn, raw, w = stuffed()
      local drained
      ws.spawn(function()
        conn:send(("x"):rep(1000))
        assert.equal("queue full", select(2, w:write(("x"):rep(1e5))))
        drained = conn:drain()
        w:finish()
      end)
      t.wait(function() return raw:frame().fin end)
      assert.is_true(drained)
    end)

    it("lets others drain when it has finished", function()
      local conn, raw = kit.pair { low_water = 0 }
      local w = conn:writer()
      w:write "a"
      conn:send "behind"
      local drained
      ws.spawn(function() drained = conn:drain() end)
      for _ = 1, 5 do t.turn() end
      assert.is_nil(drained)
      assert.is_true((conn:drain(0.001))) -- its own writer here
      w:finish()
      t.wait(function() return drained end)
      assert.same({ "text", "a" }, { raw:message() })
      raw:expect_frame("text", "behind")
    end)

    it("ends with 1008 where on_full says so", function()
      local closed
      local conn, raw = kit.pair({ max_queued = 10000, on_full = "close",
        on_close = function(_, code, reason) closed = { code, reason } end },
        { rcvbuf = 4096 })
      local w = conn:writer "binary"
      t.wait(function() return not w:write(("x"):rep(9000)) end)
      t.wait(function() return closed end)
      assert.same({ 1008, "slow consumer" }, closed)
      raw:close()
    end)
  end)

  describe("left unfinished", function()
    local function pair()
      local closed = {}
      local conn, raw = kit.pair { on_close = function(_, code, reason)
        closed[#closed + 1] = { code, reason }
      end }
      return conn, raw, closed
    end

    it("ends the connection with 1011 when it goes out of scope", function()
      local conn, raw, closed = pair()
      pcall(function()
        local w <close> = conn:writer()
        w:write "half"
        error "oh"
      end)
      assert.same({ 1, "half", false }, { next_frame(raw) })
      raw:expect_close(1011)
      t.wait(function() return closed[1] end)
      assert.same({ { 1011, "unfinished message" } }, closed)
    end)

    it("ends it when it is collected", function()
      local conn, raw, closed = pair()
      conn:writer():write "half"
      collectgarbage()
      collectgarbage()
      assert.equal("half", select(2, next_frame(raw)))
      raw:expect_close(1011)
      t.wait(function() return closed[1] end)
      assert.same({ { 1011, "unfinished message" } }, closed)
    end)

    it("ends it by what waits behind it, too", function()
      local conn, raw, closed = pair()
      local w <close> = conn:writer()
      w:write "half"
      conn:send "behind"
      conn:close()
      assert.equal("half", select(2, next_frame(raw)))
      raw:expect_close(1011)
      raw:send(t.frame("close", "\x03\xf3"))
      t.wait(function() return closed[1] end)
      assert.equal(1011, closed[1][1])
      assert.equal(0, conn.buffered)
    end)

    it("lets close and shutdown say another code", function()
      for _, name in ipairs { "close", "shutdown" } do
        local conn, raw, closed = pair()
        local w <close> = conn:writer()
        w:write "half"
        assert.is_true((conn[name](conn, 4000, "enough")))
        assert.same({ nil, "closed" }, { w:write "more" })
        assert.same({ nil, "closed" }, { w:finish() })
        assert.equal("half", select(2, next_frame(raw)))
        raw:expect_close(4000)
        raw:send(t.frame("close", "\x0f\xa0"))
        t.wait(function() return closed[1] end)
      end
    end)

    it("is no harm once it is finished", function()
      local conn, raw, closed = pair()
      do
        local w <close> = conn:writer()
        w:write "whole"
        w:finish()
      end
      collectgarbage()
      collectgarbage()
      assert.same({ "text", "whole" }, { raw:message() })
      raw:expect_silence()
      assert.same({}, closed)
    end)

    it("ends nothing that is over", function()
      local conn, _, closed = pair()
      local w = conn:writer()
      conn:terminate()
      t.wait(function() return closed[1] end)
      assert.same({ nil, "closed" }, { w:write "x" })
      w = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      t.turn()
      assert.same({ { 1006, "terminated" } }, closed)
    end)

    it("is no harm when the Lua state is closed", function()
      local child = kit.run [[
        local s = assert(ws.listen { port = 0 })
        local c = assert(ws.connect("ws://127.0.0.1:" .. s.port))
        keep = c:writer()
        keep:write "half"
        c:send "behind"
        say "here"
        os.exit(0, true)]]
      child:wait "here"
      assert.equal(0, child:ended())
      assert.equal("", child:errors())
    end)
  end)

  describe("and a Close of the peer", function()
    it("may go on until close_timeout", function()
      local closed
      local conn, raw = kit.pair { close_timeout = 60,
        on_close = function(_, code) closed = code end }
      local w = conn:writer()
      w:write "a"
      raw:send(t.frame("close", "\x03\xe8"))
      for _ = 1, 5 do t.turn() end
      assert.is_nil(closed)
      assert.is_true((w:write "b"))
      assert.is_true((w:finish()))
      assert.same({ "text", "ab" }, { raw:message() })
      raw:expect_close(1000)
      t.wait(function() return closed end)
      assert.equal(1000, closed)
    end)

    it("is answered at close_timeout at the latest", function()
      local closed
      local conn, raw = kit.pair { close_timeout = 0.05,
        on_close = function(_, code) closed = code end }
      local w = conn:writer()
      w:write "a"
      raw:send(t.frame("close", "\x03\xe8"))
      t.wait(function() return closed end)
      assert.equal(1000, closed)
      assert.same({ nil, "closed" }, { w:write "b" })
    end)
  end)

  describe("used in a wrong way", function()
    it("raises when it is finished", function()
      local conn = kit.pair()
      local w = conn:writer()
      w:finish()
      assert.equal("the writer is finished",
        kit.refusal(function() w:write "x" end))
      assert.equal("the writer is finished",
        kit.refusal(function() w:finish() end))
    end)

    it("raises while another one is open", function()
      local conn, raw = kit.pair()
      local w = conn:writer()
      assert.equal("another writer of the connection is not finished",
        kit.refusal(function() conn:writer() end))
      w:finish()
      conn:writer():finish()
      raw:expect_frame("text", "")
      raw:expect_frame("text", "")
    end)

    it("raises where a finalizer has begun one meanwhile", function()
      local conn = kit.pair()
      local is_asked, other, refused
      local meta = { __gc = function()
        if is_asked and not other then other = conn:writer() end
      end }
      local mode = collectgarbage("incremental", 10, 1000, 1)
      for _ = 1, 20000 do -- until Lua collects while it makes one
        for _ = 1, 5 do setmetatable({}, meta) end
        is_asked = true
        local ok, w = pcall(conn.writer, conn)
        is_asked = false
        refused = refused or not ok and w
        if ok then w:finish() end
        if other then other:finish() end
        other = nil
        if refused then break end
      end
      collectgarbage("incremental", 200, 100, 13)
      collectgarbage(mode)
      if refused then
        t.contains(refused, "another writer of the connection is not finished")
      end
    end)

    it("raises for what is no string and no kind", function()
      local conn = kit.pair()
      assert.matches("bad argument #1 to 'writer' %(\"text\" or \"binary\"",
        kit.refusal(function() conn:writer "utf-8" end))
      local w <close> = conn:writer()
      assert.matches("bad argument #1 to 'write' %(string expected",
        kit.refusal(function() w:write {} end))
      w:finish()
    end)

    it("is nil, closed where nothing can be sent", function()
      local conn, raw = kit.pair()
      conn:close()
      assert.same({ nil, "closed" }, { conn:writer() })
      raw:finish()
      local opening = ws.connect("ws://127.0.0.1:1", { on_open = print })
      assert.same({ nil, "closed" }, { opening:writer() })
      opening:terminate()
    end)

    it("has a name and a state", function()
      local conn = kit.pair()
      local w = conn:writer()
      assert.equal("evws.writer: " .. conn.id .. " (open)", tostring(w))
      w:finish()
      assert.equal("evws.writer: " .. conn.id .. " (finished)", tostring(w))
      w = conn:writer()
      conn:terminate()
      assert.equal("evws.writer: " .. conn.id .. " (closed)", tostring(w))
      assert.equal("evws.writer", getmetatable(w))
    end)
  end)

  it("without memory ends the connection, and nothing else", function()
    local fail_at = no_memory(require "evws.core")
    for n = 1, 14 do
      local closed
      local conn, raw, server = kit.pair { high_water = 100,
        on_close = function() closed = true end }
      local other = t.bystander(t.listen { on_message = function(c, m)
        c:send(m)
      end })
      fail_at(n, false)
      pcall(function()
        local w = assert(conn:writer "binary")
        assert(w:write "a")
        for _ = 1, 5 do assert(conn:send(("x"):rep(200))) end
        assert(w:write(("y"):rep(100000)))
        assert(w:finish())
      end)
      fail_at(0, false)
      other:check()
      raw:close()
      t.wait(function() return closed end, "on_close " .. n)
      collectgarbage()
      server:close { timeout = 0 }
    end
  end)
end)
