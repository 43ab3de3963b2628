-- One endpoint of an open connection (src/protocol/protocol.c): RFC 6455 5 to
-- 8. Whatever is fed is fed whole, byte by byte and in random pieces, with and
-- without the space that is offered for long payloads, and must give the same
-- events each time.

local protocol = require "evws_probe".protocol
local frame = require "spec.helper.raw".frame

local hello = "\x81\x05Hello" -- RFC 6455 5.7
local masked_hello = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"

-- Sizes of pieces, most of them small, that add up to about n.
local function random_cuts(n)
  local cuts, most = {}, 1 << math.random(0, 17)
  local sum = 0
  while sum < n and #cuts < 4000 do
    cuts[#cuts + 1] = math.random(0, most)
    sum = sum + cuts[#cuts]
  end
  return cuts
end

local function all_cuts(bytes)
  local list = { #bytes + 1, 2, 3, 5 }
  if #bytes < 1 << 16 then list[#list + 1] = 1 end
  for _ = 1, 4 do list[#list + 1] = random_cuts(#bytes) end
  return list
end

-- As assert.same, which is slow, for lists of events.
local function assert_same(want, got)
  local is_same = #want == #got
  for i = 1, is_same and #want or 0 do
    for k = 1, 3 do is_same = is_same and want[i][k] == got[i][k] end
  end
  if not is_same then assert.same(want, got) end
end

-- The events of the bytes at an endpoint of `role` ("server" by default).
local function events(bytes, limits, role)
  local l = limits or {}
  local function run(cuts, direct, pool)
    local e = protocol.new(role or "server", l.message, l.fragments, pool)
    return e:run(bytes, cuts, direct)
  end
  local want = run()
  for _, cuts in ipairs(all_cuts(bytes)) do
    assert_same(want, run(cuts))
    assert_same(want, run(cuts, true))
    assert_same(want, run(cuts, true, true))
  end
  return want
end

-- Its last event is this error, and what came before is `before`.
local function assert_fails(code, bytes, before, limits, role)
  local list = events(bytes .. masked_hello, limits, role)
  local last = table.remove(list)
  assert.same({ "error", code }, { last[1], last[2] })
  assert.is_true(#last[3] > 0)
  assert.same(before or {}, list)
end

local function part(opcode, payload) -- an unfinished fragment
  return frame(opcode, payload, { fin = false })
end
local function close(code, reason)
  return frame("close", code and (">I2"):pack(code) .. (reason or "")
    or "")
end

describe("an endpoint", function()
  before_each(function() math.randomseed(6455) end)

  describe("takes the examples of RFC 6455 5.7:", function()
    local want = { { "text", "Hello" } }

    it("an unmasked text", function()
      assert.same(want, events(hello, nil, "client"))
    end)

    it("a masked text", function()
      assert.same(want, events(masked_hello))
    end)

    it("a fragmented unmasked text", function()
      assert.same(want, events("\x01\x03Hel\x80\x02lo", nil, "client"))
    end)

    it("a ping and a masked pong", function()
      assert.same({ { "ping", "Hello" } },
        events("\x89\x05Hello", nil, "client"))
      assert.same({ { "pong", "Hello" } },
        events("\x8a" .. masked_hello:sub(2)))
    end)

    it("256 bytes and 64 KiB of binary in one unmasked frame", function()
      for head, n in pairs { ["\x82\x7e\x01\x00"] = 256,
        ["\x82\x7f\0\0\0\0\0\1\0\0"] = 65536 } do
        local payload = ("\xfe"):rep(n)
        assert.same({ { "binary", payload } },
          events(head .. payload, nil, "client"))
      end
    end)
  end)

  it("takes messages of every length class, back to back", function()
    local bytes, want = {}, {}
    for _, n in ipairs { 0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 124, 125,
      126, 127, 255, 1000, 65535, 65536, 70001 } do
      want[#want + 1] = { "binary", ("\0\xff%d"):format(n):rep(n):sub(1, n) }
      bytes[#bytes + 1] = frame("binary", want[#want][2])
    end
    assert.same(want, events(table.concat(bytes)))
  end)

  it("hands out nothing before a message is complete", function()
    local bytes = part("text", "ab") .. frame("continuation", "cd")
    for n = 0, #bytes - 1 do
      assert.same({}, (protocol.new("server"):run(bytes:sub(1, n))))
    end
    assert.same({ { "text", "abcd" } }, events(bytes))
  end)

  describe("joins fragments (5.4):", function()
    it("empty ones too", function()
      assert.same({ { "text", "" } }, events(part("text", "")
        .. part("continuation", "") .. frame("continuation", "")))
      assert.same({ { "binary", "middle" } }, events(part("binary", "")
        .. part("continuation", "middle")
        .. frame("continuation", "")))
    end)

    it("with control frames between them, in order", function()
      assert.same({ { "ping", "1" }, { "pong", "" }, { "ping", "3" },
        { "text", "abc" }, { "ping", "4" } }, events(part("text", "a")
          .. frame("ping", "1") .. frame("pong")
          .. part("continuation", "b") .. frame("ping", "3")
          .. frame("continuation", "c") .. frame("ping", "4")))
    end)

    it("with a control frame inside of a long message's frames", function()
      local payload = ("0123456789abcdef"):rep(8192)
      local bytes = part("binary", payload) .. frame("ping", "?")
        .. part("continuation", payload) .. frame("pong", "!")
        .. frame("continuation", payload)
      assert.same({ { "ping", "?" }, { "pong", "!" },
        { "binary", payload:rep(3) } }, events(bytes))
    end)

    it("of a character cut at each of its bytes", function()
      local word = "\xf0\x9f\x98\x80\xe2\x82\xac\xc2\xa2"
      local bytes = { part("text", "") }
      for byte in word:gmatch(".") do
        bytes[#bytes + 1] = part("continuation", byte)
      end
      bytes[#bytes + 1] = frame("continuation", "")
      assert.same({ { "text", word } }, events(table.concat(bytes)))
    end)
  end)

  describe("fails with 1002 on", function()
    it("a continuation of nothing", function()
      for _, fin in ipairs { true, false } do
        assert_fails(1002, frame("continuation", "x", { fin = fin }))
        assert_fails(1002, masked_hello
          .. frame("continuation", "x", { fin = fin }),
          { { "text", "Hello" } })
      end
    end)

    it("a message inside a message", function()
      for _, opcode in ipairs { "text", "binary" } do
        assert_fails(1002, part("text", "a") .. frame(opcode, "b"))
        assert_fails(1002, part("text", "a") .. part("continuation", "b")
          .. frame(opcode, "c"))
      end
    end)

    it("reserved bits, on any frame (BI-12)", function()
      for rsv = 1, 7 do
        for _, opcode in ipairs { "text", "binary", "close", "ping", "pong" } do
          assert_fails(1002, frame(opcode, "", { rsv = rsv }))
        end
        assert_fails(1002, part("text", "a")
          .. frame("continuation", "b", { rsv = rsv }))
      end
    end)

    it("reserved opcodes, inside of a message too (BI-12)", function()
      for _, opcode in ipairs { 3, 4, 5, 6, 7, 11, 12, 13, 14, 15 } do
        assert_fails(1002, frame(opcode, ""))
        assert_fails(1002, masked_hello .. frame(opcode, "abc"),
          { { "text", "Hello" } })
        assert_fails(1002, part("text", "a") .. frame(opcode, ""))
      end
    end)

    it("a fragmented control frame, and one over 125 bytes", function()
      for _, opcode in ipairs { "close", "ping", "pong" } do
        assert_fails(1002, part(opcode, ""))
        assert_fails(1002, frame(opcode, ("x"):rep(126)))
        assert_fails(1002, frame(opcode, "", { form = 64, len = -1 }))
      end
    end)

    it("a length that is not in its shortest form", function()
      for _, opcode in ipairs { "text", "binary" } do
        assert_fails(1002, frame(opcode, "abc", { form = 16 }))
        assert_fails(1002, frame(opcode, "abc", { form = 64 }))
        assert_fails(1002, frame(opcode, "", { form = 64,
          len = 65535 }))
      end
    end)

    it("a length of 2^63 and above, whatever the limits (BI-01)", function()
      for _, len in ipairs { math.mininteger, -1, -2 } do
        for _, opcode in ipairs { "text", "binary", "ping", 5 } do
          assert_fails(1002, frame(opcode, "", { len = len }))
        end
        assert_fails(1002, part("text", "a")
          .. frame("continuation", "", { len = len }))
      end
    end)

    it("unmasked frames, as a server (BI-13)", function()
      for _, opcode in ipairs { "text", "binary", "close", "ping", "pong" } do
        assert_fails(1002, frame(opcode, "", { mask = false }))
        assert_fails(1002, masked_hello .. frame(opcode, "x",
          { mask = false }), { { "text", "Hello" } })
      end
    end)

    it("masked frames, as a client (BI-13)", function()
      for _, opcode in ipairs { "text", "binary", "close", "ping", "pong" } do
        assert_fails(1002, frame(opcode, "", { mask = "\0\0\0\0" }), nil, nil,
          "client")
        assert_fails(1002, hello .. frame(opcode, "x"),
          { { "text", "Hello" } }, nil, "client")
      end
    end)
  end)

  describe("at its limits:", function()
    local limit = 1000

    it("a message of max_message passes, one byte more is 1009", function()
      for _, opcode in ipairs { "text", "binary" } do
        local whole = ("x"):rep(limit)
        assert.same({ { opcode, whole } },
          events(frame(opcode, whole), { message = limit }))
        assert_fails(1009, frame(opcode, whole .. "x"), nil,
          { message = limit })
      end
    end)

    it("the sum of the fragments counts, judged from the head", function()
      local bytes = part("binary", ("x"):rep(limit - 1))
      assert.same({ { "ping", "" }, { "binary", ("x"):rep(limit) } },
        events(bytes .. frame("ping") .. frame("continuation",
          "x"), { message = limit }))
      assert_fails(1009, bytes .. frame("continuation", "xx"), nil,
        { message = limit })
      -- before one byte of it has come
      local e = protocol.new("server", limit)
      e:run(bytes)
      local head = frame("continuation", "", { len = 2, form = 7 })
      assert.equal("error", e:run(head)[1][1])
    end)

    it("every large length is 1009 before anything is reserved (BI-01)",
      function()
        for _, len in ipairs { limit + 1, (1 << 31) - 1, 1 << 31,
          (1 << 32) - 1, 1 << 32, math.maxinteger } do
          for _, opcode in ipairs { "text", "binary" } do
            assert_fails(1009, frame(opcode, "", { len = len }), nil,
              { message = limit })
          end
          assert_fails(1009, part("text", "a") .. frame("continuation",
            "", { len = len }), nil, { message = limit })
        end
      end)

    it("no length adds up to less than it is (BI-01)", function()
      local bytes = part("binary", ("x"):rep(limit))
        .. frame("continuation", "", { len = math.maxinteger })
      assert_fails(1009, bytes, nil, { message = math.maxinteger })
    end)

    it("a limit of 0 takes empty messages", function()
      assert.same({ { "text", "" }, { "ping", "abc" } },
        events(frame("text") .. frame("ping", "abc"),
          { message = 0 }))
      assert_fails(1009, frame("text", "x"), nil, { message = 0 })
    end)

    it("max_fragments pass, one more is 1008, empty or not (BI-04)", function()
      for _, payload in ipairs { "", "x" } do
        local list = { part("text", payload) }
        for i = 2, 19 do list[i] = part("continuation", payload) end
        local bytes = table.concat(list)
        assert.same({ { "ping", "" }, { "text", payload:rep(20) } },
          events(bytes .. frame("ping")
            .. frame("continuation", payload), { fragments = 20 }))
        assert_fails(1008, bytes .. part("continuation", payload)
          .. frame("continuation", ""), nil, { fragments = 20 })
      end
    end)

    it("the count of fragments begins again with each message", function()
      local two = part("text", "a") .. frame("continuation", "b")
      assert.same({ { "text", "ab" }, { "text", "ab" }, { "text", "x" } },
        events(two .. two .. frame("text", "x"), { fragments = 2 }))
      assert.same({ { "text", "x" } }, events(frame("text", "x"),
        { fragments = 1 }))
    end)

    it("a million empty fragments are few bytes of memory (BI-04)", function()
      local e = protocol.new("server", 1000, 2000000)
      e:run(part("binary", "abc"))
      e:run(part("continuation", ""):rep(1000000))
      local len, cap = e:message()
      assert.equal(3, len)
      assert.is_true(cap <= 64)
    end)
  end)

  describe("fails with 1007", function()
    local bad = { "\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf",
      "\xed\xa0\x80", "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\xf5", "\xff",
      "\xf8\x88\x80\x80\x80", "\xe2\x28\xa1", "\xf0\x9f\x28\x80" }

    it("on text that is not UTF-8, in any cut (BI-11)", function()
      for _, sequence in ipairs(bad) do
        assert_fails(1007, frame("text", "good" .. sequence .. "more"))
        assert_fails(1007, frame("text", sequence))
      end
    end)

    it("on text that ends inside of a character", function()
      for _, sequence in ipairs { "\xc2", "\xe2\x82", "\xf0\x9f\x98" } do
        assert_fails(1007, frame("text", sequence))
        assert_fails(1007, part("text", sequence)
          .. frame("continuation", ""))
      end
    end)

    it("on a sequence split over fragments", function()
      for _, sequence in ipairs(bad) do
        for cut = 0, #sequence do
          assert_fails(1007, part("text", "a" .. sequence:sub(1, cut))
            .. frame("continuation", sequence:sub(cut + 1) .. "b"))
        end
      end
    end)

    it("at the byte that shows it, in a frame that is not complete",
      function()
        local whole = frame("text", "\xce\xba\xf4\x90\x80\x80edited",
          { mask = "abcd" })
        local e = protocol.new("server")
        local at = 6 + 4 -- the head, and up to 90
        assert.same({}, e:run(whole:sub(1, at - 1)))
        local list = e:run(whole:sub(at, at))
        assert.same({ "error", 1007 }, { list[1][1], list[1][2] })
      end)

    it("in what was read straight into the message", function()
      local long = ("x"):rep(100000)
      assert_fails(1007, frame("text", long .. "\xff" .. long))
      assert_fails(1007, frame("text", long .. long .. "\xf0\x9f"))
      assert_fails(1007, part("text", long .. "\xe2")
        .. frame("continuation", long))
    end)

    it("never on binary", function()
      local list, want = {}, {}
      for i, sequence in ipairs(bad) do
        want[i] = { "binary", sequence }
        list[i] = frame("binary", sequence)
      end
      assert.same(want, events(table.concat(list)))
    end)
  end)

  describe("takes a close (5.5.1)", function()
    it("without a code as 1005", function()
      assert.same({ { "close", 1005, "" } }, events(close()))
    end)

    it("with a code and a reason of up to 123 bytes", function()
      for _, reason in ipairs { "", "done", ("\xc3\xa4"):rep(61) .. "x" } do
        assert.same({ { "close", 1000, reason } },
          events(close(1000, reason)))
      end
    end)

    it("with each code that may be sent, and with no other (BI-10)",
      function()
        for code = 0, 65535 do
          local ok = code >= 1000 and code <= 1003
            or code >= 1007 and code <= 1014 or code >= 3000 and code <= 4999
          local list = protocol.new("server"):run("\x88\x83\0\0\0\0"
            .. (">I2"):pack(code) .. "x")
          assert_same({ { ok and "close" or "error", ok and code or 1002,
            ok and "x" or "a bad close code" } }, list)
          if protocol.may_send_code(code) ~= ok then
            error(code .. " may be sent")
          end
        end
        for _, code in ipairs { -1, -1000, 65536, 66536, 1 << 30 } do
          assert.is_false(protocol.may_send_code(code))
        end
      end)

    it("of one byte as an error", function()
      assert_fails(1002, frame("close", "\x03"))
    end)

    it("with a reason that is not UTF-8 as an error", function()
      assert_fails(1007, close(1000, "\xed\xa0\x80"))
      assert_fails(1007, close(1000, "cut \xe2\x82"))
    end)

    it("inside of a fragmented message, which is dropped", function()
      local e = protocol.new("server")
      assert.same({ { "close", 1001, "bye" } }, e:run(part("text", "abc")
        .. close(1001, "bye") .. frame("continuation", "def")))
      assert.same({ 0, 0 }, { e:message() })
    end)
  end)

  it("is deaf after a close and after an error", function()
    local noise = masked_hello .. frame("ping") .. close(1000)
      .. frame(7, "") .. ("\xff"):rep(300)
    for _, ending in ipairs { close(1000), close(), frame(3, ""),
      frame("text", "\xff"), hello } do
      assert.equal(1, #events(ending .. noise))
      local e = protocol.new("server")
      assert.equal(1, #e:run(ending))
      assert.same({}, e:run(noise, 1, true))
      assert.is_nil(e:space())
      assert.is_false(e:has_event())
      assert.same({ 0, 0 }, { e:message() })
    end
  end)

  describe("keeps memory for what has come (BI-02):", function()
    it("not for what is declared", function()
      local declared = 1 << 30
      local e = protocol.new("server", declared)
      e:run(frame("binary", "", { len = declared }))
      assert.same({ 0, 0 }, { e:message() })
      e:run("x")
      local len, cap = e:message()
      assert.equal(1, len)
      assert.is_true(cap <= 64)
    end)

    it("at most eight times as much, until the message is whole", function()
      local n = 1 << 20
      local bytes = frame("binary", ("x"):rep(n))
      for _, direct in ipairs { false, true } do
        local e = protocol.new("server")
        for at = 1, #bytes - 1000, 1000 do
          e:run(bytes:sub(at, at + 999), nil, direct)
          local len, cap = e:message()
          assert.is_true(cap <= math.max(8 * len + 8000, 64))
          assert.is_true(cap <= n)
        end
        local _, cap = e:message()
        assert.equal(n, cap) -- the exact size, from an eighth on
      end
    end)

    it("at most twice as much over many fragments", function()
      local e = protocol.new("server")
      e:run(part("binary", ("x"):rep(100)))
      for _ = 1, 5000 do
        e:run(part("continuation", ("x"):rep(100)))
        local len, cap = e:message()
        assert.is_true(cap <= 2 * len + 200)
      end
    end)

    it("and takes it from the pool only when an eighth is there", function()
      local e = protocol.new("server", -1, -1, true)
      local n = 1 << 20
      local bytes = frame("binary", ("x"):rep(n))
      for _ = 1, 3 do
        e:run(bytes:sub(1, n // 9))
        local _, cap = e:message()
        assert.is_true(cap <= n // 4)
        assert.same({ { "binary", ("x"):rep(n) } }, e:run(bytes:sub(n // 9 + 1),
          30000, true))
        e:release()
        assert.same({ 0, 0 }, { e:message() })
      end
    end)

    it("and none for a message that came whole", function()
      local e = protocol.new("server")
      e:run(masked_hello:rep(3))
      assert.same({ 0, 0 }, { e:message() })
    end)

    it("and none after a message was released", function()
      local e = protocol.new("server")
      e:run(part("text", "abc"))
      e:run(frame("continuation", "def"))
      assert.equal(6, (e:message()))
      e:release()
      assert.same({ 0, 0 }, { e:message() })
      assert.same({ { "text", "Hello" } }, e:run(masked_hello))
    end)

    it("and a control frame in between leaves the message alone", function()
      local e = protocol.new("server")
      e:run(part("text", "abc") .. frame("ping", "x"), 1)
      e:release()
      assert.equal(3, (e:message()))
      assert.same({ { "text", "abcdef" } },
        e:run(frame("continuation", "def")))
    end)
  end)

  it("offers space for the payload of long frames only", function()
    local e = protocol.new("server")
    local bytes = frame("binary", ("x"):rep(200000))
    assert.is_nil(e:space())
    e:run(bytes:sub(1, 1000))
    assert.is_nil(e:space())
    e:run(bytes:sub(1001, 100000))
    local n = e:space()
    assert.is_true(n > 0 and n <= #bytes - 100000)
    e:run(bytes:sub(100001, -10), nil, true)
    assert.is_nil(e:space()) -- what is left is not worth it
    assert.same({ { "binary", ("x"):rep(200000) } },
      e:run(bytes:sub(-9), nil, true))
  end)

  it("gives the event of a payload that filled its space", function()
    local payload = ("x"):rep(1 << 17)
    local bytes = frame("text", payload)
    for _, first in ipairs { 40000, 70000, 100000 } do
      local e = protocol.new("server")
      assert.same({}, e:run(bytes:sub(1, first)))
      assert.same({ { "text", payload } },
        e:run(bytes:sub(first + 1), 16384, true))
    end
  end)

  it("ends any two first bytes at once or waits (BI-03)", function()
    for first = 0, 255 do
      for second = 0, 255 do
        local e = protocol.new("server", 1 << 20, 10)
        local bytes = string.char(first, second)
          .. "\0\1\2\3\4\5\6\7\x08\x09\x0a\x0b"
        local list = e:run(bytes, 1)
        local whole = protocol.new("server", 1 << 20, 10):run(bytes)
        assert_same(whole, list)
      end
    end
  end)
end)

describe("a close payload", function()
  it("is empty for 1005", function()
    assert.equal("", protocol.close_payload(1005, "ignored"))
  end)

  it("is the code and the reason", function()
    assert.equal("\x03\xe8", protocol.close_payload(1000))
    assert.equal("\x0f\xa0why", protocol.close_payload(4000, "why"))
    local full = ("r"):rep(123)
    assert.equal("\x03\xe9" .. full, protocol.close_payload(1001, full))
  end)

  it("cuts a longer reason between two characters", function()
    for _, character in ipairs { "x", "\xc3\xa4", "\xe2\x82\xac",
      "\xf0\x9f\x98\x80" } do
      for lead = 0, 3 do
        local reason = ("a"):rep(lead) .. character:rep(100)
        local payload = protocol.close_payload(1000, reason)
        assert.is_truthy(utf8.len(payload:sub(3)))
        assert.is_true(#payload <= 125)
        if #reason > 123 then
          assert.is_true(#payload > 125 - #character)
        end
        assert.equal(reason:sub(1, #payload - 2), payload:sub(3))
      end
    end
  end)
end)
