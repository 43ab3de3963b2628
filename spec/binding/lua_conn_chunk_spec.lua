-- on_chunk: messages as they come, with nothing gathered.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local url_of = t.url_of

local function part(opcode, payload)
  return t.frame(opcode, payload, { fin = false })
end

-- A connection whose chunks are written into the list.
local function pair(options, raw_options)
  local log = {}
  local own = { on_chunk = function(_, bytes, kind, final)
    log[#log + 1] = { bytes, kind, final }
  end }
  for name, value in pairs(options or {}) do own[name] = value end
  local conn, raw, server = kit.pair(own, raw_options)
  return conn, raw, log, server
end

local function wait_for(list, n)
  return t.wait(function() return #list >= n end, n .. " chunks")
end

describe("on_chunk", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("gets messages in pieces, with their kind", function()
    local conn, raw, log = pair()
    raw:send(part("text", "one ") .. t.frame("continuation", "two")
      .. t.frame("binary", "\xff") .. t.frame("text", ""))
    wait_for(log, 4)
    assert.same({ { "one ", "text", false }, { "two", "text", true },
      { "\xff", "binary", true }, { "", "text", true } }, log)
    assert.equal("open", conn.state)
  end)

  it("gets the connection first, and nothing else", function()
    local seen
    local conn, raw = kit.pair { on_chunk = function(...)
      seen = table.pack(...)
    end }
    raw:send(t.frame("text", "x"))
    t.wait(function() return seen end)
    assert.same({ conn, "x", "text", true, n = 4 }, seen)
  end)

  it("gets each piece when it comes", function()
    local _, raw, log = pair()
    local bytes = t.frame("binary", "abcdef")
    raw:send(bytes:sub(1, 8))
    wait_for(log, 1)
    assert.same({ "ab", "binary", false }, log[1])
    raw:send(bytes:sub(9))
    wait_for(log, 2)
    assert.same({ "cdef", "binary", true }, log[2])
  end)

  it("gets text between two characters", function()
    local _, raw, log = pair()
    raw:send_bytewise(part("text", "a\xe2\x82"))
    raw:expect_silence()
    raw:send_bytewise(t.frame("continuation", "\xacb"))
    wait_for(log, 3)
    assert.same({ { "a", "text", false }, { "\u{20ac}", "text", false },
      { "b", "text", true } }, log)
  end)

  it("gets far more than max_message is by default", function()
    local n, finals = 0, 0
    local server = t.listen { on_chunk = function(c, bytes, _, final)
      n = n + #bytes
      if final then
        finals = finals + 1
        c:send "done"
      end
    end }
    local conn <close> = assert(ws.connect(url_of(server)))
    local w = conn:writer "binary"
    local piece = ("x"):rep(2^18)
    for _ = 1, 64 do
      while not w:write(piece) do assert(conn:drain(t.limit * t.factor)) end
    end
    w:finish()
    assert.equal("done", conn:receive(t.limit * t.factor))
    assert.equal(64 * 2^18, n)
    assert.equal(1, finals)
  end)

  it("keeps to a max_message that is given", function()
    local closed
    local _, raw, log = pair { max_message = 10,
      on_close = function(_, code, reason) closed = { code, reason } end }
    raw:send(part("binary", "12345") .. t.frame("continuation", "123456"))
    t.wait(function() return closed end)
    assert.same({ 1009, "the message is too big" }, closed)
    assert.same({ { "12345", "binary", false } }, log)
  end)

  it("is called for one chunk at a time", function()
    local log, busy = {}, false
    local _, raw = kit.pair { on_chunk = function(_, bytes)
      assert(not busy)
      busy = true
      ws.sleep(0)
      log[#log + 1] = bytes
      busy = false
    end }
    raw:send(part("text", "1") .. t.frame("continuation", "2")
      .. t.frame("text", "3"))
    wait_for(log, 3)
    assert.same({ "1", "2", "3" }, log)
  end)

  it("BI-05 that waits lets the peer wait, in bounded memory", function()
    local got, may_go = 0, false
    local _, raw = kit.pair({ stall_timeout = false,
      on_chunk = function(_, bytes)
        while not may_go do ws.sleep(0.001) end
        got = got + #bytes
      end }, { sndbuf = 65536 })
    local piece = t.frame("binary", ("x"):rep(2^20))
    collectgarbage()
    for _ = 1, 64 do raw:send(piece) end
    for _ = 1, 50 do t.turn() end
    local left = 0
    for i, bytes in ipairs(raw.queue) do
      left = left + #bytes - (i == 1 and raw.sent or 0)
    end
    assert.is_true(left > 40 * 2^20, left .. " bytes are with the peer")
    may_go = true
    t.wait(function() return got == 64 * 2^20 end, "all", 20)
  end)

  it("has pings answered while it waits", function()
    local may_go = false
    local _, raw = kit.pair { on_chunk = function()
      while not may_go do ws.sleep(0.001) end
    end }
    raw:send(part("text", "1") .. t.frame("ping", "p")
      .. t.frame("continuation", "2"))
    raw:expect_frame("pong", "p")
    may_go = true
  end)

  it("stands in order with pings", function()
    local log = {}
    local _, raw = kit.pair {
      on_ping = function(_, p) log[#log + 1] = p end,
      on_chunk = function(_, bytes)
        ws.sleep(0)
        log[#log + 1] = bytes
      end }
    raw:send(part("text", "1") .. t.frame("ping", "2")
      .. t.frame("continuation", "3") .. t.frame("ping", "4"))
    wait_for(log, 4)
    assert.same({ "1", "2", "3", "4" }, log)
  end)

  it("gets no final chunk of a message that was cut", function()
    local closed
    local _, raw, log = pair { on_close = function(_, code) closed = code end }
    raw:send(part("text", "half") .. t.frame("close", "\x03\xe8"))
    t.wait(function() return closed end)
    assert.same({ { "half", "text", false } }, log)
    assert.equal(1000, closed)
  end)

  it("gets what came before a close, and nothing after it", function()
    local log = {}
    local _, raw = kit.pair {
      on_chunk = function(_, bytes)
        ws.sleep(0)
        log[#log + 1] = bytes
      end,
      on_close = function() log[#log + 1] = "closed" end }
    raw:send(t.frame("text", "1") .. part("text", "2")
      .. t.frame("close", "\x03\xe8"))
    wait_for(log, 3)
    assert.same({ "1", "2", "closed" }, log)
  end)

  it("ends the connection with 1011 when it raises", function()
    local closed, message
    local _, raw = kit.pair { on_chunk = function() error "oh" end,
      on_error = function(_, m) message = m end,
      on_close = function(_, code) closed = code end }
    raw:send(part("text", "1") .. t.frame("continuation", "2"))
    raw:expect_close(1011)
    t.wait(function() return closed end)
    assert.matches("oh$", message)
  end)

  it("fails with 1007 at bad text, having given what was right", function()
    local closed
    local _, raw, log = pair { on_close = function(_, code) closed = code end }
    raw:send(part("text", "ok") .. part("continuation", "\xff"))
    raw:expect_close(1007)
    t.wait(function() return closed end)
    assert.same({ { "ok", "text", false } }, log)
  end)

  it("counts messages, not chunks, against message_rate", function()
    local closed
    local _, raw, log = pair { message_rate = { burst = 2, rate = 0 },
      on_close = function(_, code) closed = code end }
    raw:send(part("text", "1") .. part("continuation", "2")
      .. t.frame("continuation", "3") .. t.frame("text", "4"))
    wait_for(log, 4)
    assert.is_nil(closed)
    raw:send(t.frame("text", "5"))
    t.wait(function() return closed end)
    assert.equal(1008, closed)
  end)

  it("is for a client, too", function()
    local server = t.listen { on_open = function(c)
      local w = c:writer()
      w:write "one"
      ws.sleep(0)
      w:write "two"
      w:finish()
    end }
    local text, finals = "", 0
    local conn <close> = assert(ws.connect(url_of(server), {
      on_chunk = function(_, bytes, _, final)
        text = text .. bytes
        finals = finals + (final and 1 or 0)
      end }))
    t.wait(function() return finals == 1 end)
    assert.equal("onetwo", text)
    assert.equal("open", conn.state)
  end)

  it("of a route comes in the place of the listener's on_message", function()
    local log = {}
    local server = t.listen {
      on_message = function(_, m) log[#log + 1] = "whole " .. m end,
      routes = { ["/a"] = {}, ["/b"] = {
        on_chunk = function(_, m) log[#log + 1] = "chunk " .. m end } } }
    for i, path in ipairs { "/a", "/b" } do
      t.open(server, { path = path }):send(t.frame("text", path))
      wait_for(log, i)
    end
    assert.same({ "whole /a", "chunk /b" }, log)
  end)

  describe("of one connection", function()
    it("takes the messages that begin from now on", function()
      local log = {}
      local conn, raw = kit.pair { on_message = function(_, m)
        log[#log + 1] = "whole " .. m
      end }
      raw:send(part("text", "be"))
      raw:expect_silence()
      assert.equal(conn, conn:on_chunk(function(_, bytes, _, final)
        log[#log + 1] = "chunk " .. bytes .. tostring(final)
      end))
      raw:send(t.frame("continuation", "gun") .. part("text", "a"))
      wait_for(log, 2)
      conn:on_message(function(_, m) log[#log + 1] = "again " .. m end)
      raw:send(t.frame("continuation", "b") .. t.frame("text", "c"))
      wait_for(log, 4)
      assert.same({ "whole begun", "chunk afalse", "chunk btrue", "again c" },
        log)
    end)

    it("set on a pulled one gets what is unread first, whole", function()
      local log = {}
      local conn, raw = kit.pair { on_open = function(c) c:messages() end }
      raw:send(t.frame("text", "unread") .. part("text", "be"))
      raw:expect_silence()
      conn:on_chunk(function(_, bytes, kind, final)
        log[#log + 1] = { bytes, kind, final }
      end)
      raw:send(t.frame("continuation", "gun") .. part("binary", "a"))
      wait_for(log, 3)
      assert.same({ { "unread", "text", true }, { "begun", "text", true },
        { "a", "binary", false } }, log)
    end)

    it("may wait for what is unread, too", function()
      local log = {}
      local conn, raw = kit.pair { on_open = function(c) c:messages() end }
      raw:send(t.frame("text", "1") .. t.frame("text", "2"))
      raw:expect_silence()
      conn:on_chunk(function(_, bytes)
        ws.sleep(0)
        log[#log + 1] = bytes
      end)
      wait_for(log, 2)
      assert.same({ "1", "2" }, log)
    end)

    it("taken away leaves on_message, or none", function()
      local log = {}
      local conn, raw = kit.pair { on_message = function(_, m)
        log[#log + 1] = m
      end }
      conn:on_chunk(function(_, m) log[#log + 1] = "chunk " .. m end)
      conn:on_message(nil)
      raw:send(t.frame("text", "1"))
      wait_for(log, 1)
      conn:on_chunk(nil)
      raw:send(t.frame("text", "discarded"))
      raw:expect_silence()
      conn:on_message(function(_, m) log[#log + 1] = m end)
      raw:send(t.frame("text", "2"))
      wait_for(log, 2)
      assert.same({ "chunk 1", "2" }, log)
    end)

    it("taken away in a message gets no more of it", function()
      local log = {}
      local conn, raw = kit.pair { on_chunk = function(c, m)
        log[#log + 1] = m
        c:on_chunk(nil)
      end }
      raw:send(part("text", "1") .. t.frame("continuation", "2")
        .. t.frame("text", "3"))
      raw:expect_silence()
      assert.same({ "1" }, log)
      assert.equal("open", conn.state)
    end)
  end)

  it("taken away in on_open leaves the next whole message to receive",
    function()
      local got, may_go, is_gone
      local _, raw = kit.pair { on_chunk = print, on_open = function(c)
        while not may_go do ws.sleep(0.001) end
        c:on_chunk(nil)
        is_gone = true
        got = c:receive()
      end }
      raw:send(t.frame("text", "1") .. part("text", "2"))
      raw:expect_silence()
      may_go = true
      t.wait(function() return is_gone end)
      raw:send(t.frame("continuation", "3") .. t.frame("text", "4"))
      t.wait(function() return got end)
      assert.equal("4", got)
    end)

  describe("used in a wrong way", function()
    it("raises beside on_message", function()
      assert.equal("options 'on_message' and 'on_chunk' exclude each other",
        kit.refusal(function()
          ws.listen { port = 0, on_message = print, on_chunk = print }
        end))
    end)

    it("raises with a concurrency above 1", function()
      assert.equal("bad option 'concurrency' (1 expected, beside 'on_chunk')",
        kit.refusal(function()
          ws.connect("ws://127.0.0.1:1", { on_chunk = print,
            concurrency = 2 })
        end))
      local conn = kit.pair { concurrency = 2 }
      assert.equal("cannot set on_chunk: 'concurrency' is above 1",
        kit.refusal(function() conn:on_chunk(print) end))
    end)

    it("raises for what is no function", function()
      local conn = kit.pair()
      assert.matches("bad argument #1 to 'on_chunk' %(function expected",
        kit.refusal(function() conn:on_chunk {} end))
      assert.matches("bad option 'on_chunk' %(function expected",
        kit.refusal(function() ws.listen { port = 0, on_chunk = 1 } end))
    end)

    it("makes receive and messages raise, also in on_open", function()
      local refused = {}
      local server = t.listen { on_chunk = print, on_open = function(c)
        refused[1] = select(2, pcall(c.receive, c))
        refused[2] = select(2, pcall(c.messages, c))
      end }
      t.open(server)
      t.wait(function() return refused[2] end)
      for _, message in ipairs(refused) do
        assert.equal("cannot receive: the connection has an on_chunk", message)
      end
    end)

    it("raises while a task is receiving", function()
      local conn = kit.pair { on_open = function(c) c:messages() end }
      ws.spawn(function() conn:receive() end)
      t.turn()
      assert.equal("cannot set on_chunk: a task is receiving",
        kit.refusal(function() conn:on_chunk(print) end))
    end)
  end)

  it("without memory ends the connection, and nothing else", function()
    local core = require "evws.core"
    if not core.fail_at then pending "built without WS_FAULT" end
    for n = 1, 10 do
      local closed
      local _, raw, server = kit.pair { on_error = function() end,
        on_chunk = function(c) c:send "x" ws.sleep(0) end,
        on_close = function() closed = true end }
      local other = t.bystander(t.listen { on_message = function(c, m)
        c:send(m)
      end })
      raw:send(part("text", "\xe2\x82") .. t.frame("ping", "2")
        .. t.frame("continuation", "\xac") .. t.frame("binary", "3"))
      core.fail_at(n, false)
      for _ = 1, 3 do t.turn() end
      core.fail_at(0, false)
      other:check()
      raw:close()
      t.wait(function() return closed end, "on_close " .. n)
      server:close { timeout = 0 }
    end
  end)
end)
