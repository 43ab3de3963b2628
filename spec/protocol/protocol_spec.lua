-- One endpoint of an open connection (src/protocol/protocol.c): RFC 6455 5 to
-- 8, in any cuts. Its limits and its memory are in protocol_limits_spec.lua.

local protocol = require "evws_probe".protocol
local endpoint = require "spec.protocol.endpoint"
local frame = require "spec.helper.raw".frame

local events, assert_fails = endpoint.events, endpoint.assert_fails
local assert_same = endpoint.assert_same
local part, close = endpoint.part, endpoint.close

local hello = "\x81\x05Hello" -- RFC 6455 5.7
local masked_hello = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"

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

  it("has no event when a fragment was read straight in to its end", function()
    local bytes = frame("binary", ("x"):rep(50000), { fin = false })
    local e = protocol.new("server")
    assert.same({}, e:run(bytes, { #bytes - 30000 }, true))
    assert.equal(50000, (e:message()))
    assert.is_false(e:has_event())
    assert.same({ { "binary", ("x"):rep(50000) } },
      e:run(frame("continuation")))
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
