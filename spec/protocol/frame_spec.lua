-- Frame heads and masking (src/protocol/frame.c): RFC 6455 5.2, 5.3, 5.5.
local frame = require "evws_probe".frame
local noise = require "spec.helper.filler".noise

local PROTOCOL = -1002
local key = "\x37\xfa\x21\x3d" -- RFC 6455 5.7

local function mask_slowly(s, k, phase)
  local bytes = { s:byte(1, -1) }
  for i = 1, #bytes do
    bytes[i] = string.char(bytes[i] ~ k:byte((phase + i - 1) % 4 + 1))
  end
  return table.concat(bytes)
end

-- Every shorter piece of a good head asks for more.
local function assert_head(want, head)
  for n = 0, #head - 1 do
    assert.are.equal(0, (frame.decode(head:sub(1, n))))
  end
  for _, after in ipairs { "", "payload" } do
    local size, f = frame.decode(head .. after)
    assert.are.equal(#head, size)
    assert.are.same(want, f)
  end
  assert.are.equal(#head, frame.head_size(head))
end

-- Refused at the n-th octet, not before, and whatever follows.
local function assert_refused(n, head)
  for i = 0, n - 1 do
    assert.are.equal(0, (frame.decode(head:sub(1, i))))
  end
  for i = n, #head do
    local size, code = frame.decode(head:sub(1, i))
    assert.is_nil(size)
    assert.are.equal(PROTOCOL, code)
  end
end

describe("a frame head", function()
  it("is decoded as in the examples of RFC 6455 5.7", function()
    assert_head({ len = 5, fin = true, rsv = 0, opcode = 1 }, "\x81\x05")
    assert_head({ len = 5, fin = true, rsv = 0, opcode = 1, mask = key },
      "\x81\x85" .. key)
    assert_head({ len = 3, fin = false, rsv = 0, opcode = 1 }, "\x01\x03")
    assert_head({ len = 2, fin = true, rsv = 0, opcode = 0 }, "\x80\x02")
    assert_head({ len = 5, fin = true, rsv = 0, opcode = 9 }, "\x89\x05")
    assert_head({ len = 5, fin = true, rsv = 0, opcode = 10, mask = key },
      "\x8a\x85" .. key)
    assert_head({ len = 256, fin = true, rsv = 0, opcode = 2 },
      "\x82\x7e\x01\x00")
    assert_head({ len = 65536, fin = true, rsv = 0, opcode = 2 },
      "\x82\x7f\0\0\0\0\0\1\0\0")
  end)

  it("is encoded as in the examples of RFC 6455 5.7", function()
    assert.are.equal("\x81\x05", frame.encode(0x81, 5))
    assert.are.equal("\x81\x85" .. key, frame.encode(0x81, 5, key))
    assert.are.equal("\x01\x03", frame.encode(0x01, 3))
    assert.are.equal("\x82\x7e\x01\x00", frame.encode(0x82, 256))
    assert.are.equal("\x82\x7f\0\0\0\0\0\1\0\0", frame.encode(0x82, 65536))
  end)

  it("reads back what was written, at every edge of a length", function()
    for _, len in ipairs { 0, 1, 124, 125, 126, 127, 128, 255, 256, 65534,
      65535, 65536, 65537, 2 ^ 24 | 0, 2 ^ 31 | 0, 2 ^ 32 | 0,
      math.maxinteger } do
      for _, mask in ipairs { false, "\0\0\0\0", "\xFF\xFE\x80\x7F" } do
        local head = frame.encode(0xC1, len, mask or nil)
        local size = len < 126 and 2 or len < 65536 and 4 or 10
        assert.are.equal(size + (mask and 4 or 0), #head)
        assert_head({ len = len, fin = true, rsv = 0x40, opcode = 1,
          mask = mask or nil }, head)
      end
    end
  end)

  it("is decoded for all first octets, masked or not", function()
    for first = 0, 255 do
      for _, mask in ipairs { false, key } do
        local head = frame.encode(first, 7, mask or nil)
        local opcode, fin = first & 15, first >= 128
        if opcode >= 8 and not fin then
          assert_refused(1, head) -- 5.5: never fragmented
        else
          assert_head({ len = 7, fin = fin, rsv = first & 0x70,
            opcode = opcode, mask = mask or nil }, head)
        end
      end
    end
  end)

  it("of a control frame allows 125 octets and no more", function()
    for opcode = 8, 15 do
      assert_head({ len = 125, fin = true, rsv = 0, opcode = opcode },
        frame.encode(0x80 | opcode, 125))
      assert_refused(2, frame.encode(0x80 | opcode, 126))
      assert_refused(2, frame.encode(0x80 | opcode, 65536))
      assert_refused(2, frame.encode(0x80 | opcode, 126, key))
    end
  end)

  it("is refused with a length that is not in its shortest form", function()
    for _, len in ipairs { 0, 1, 124, 125 } do
      assert_refused(4, "\x82\x7e" .. string.pack(">I2", len))
      assert_refused(4, "\x82\xfe" .. string.pack(">I2", len) .. key)
    end
    for _, len in ipairs { 0, 125, 126, 65535 } do
      assert_refused(8, "\x82\x7f" .. string.pack(">I8", len))
      assert_refused(8, "\x82\xff" .. string.pack(">I8", len) .. key)
    end
  end)

  it("is refused with the top bit of a 64 bit length set", function()
    for _, len in ipairs { math.mininteger, -1, -65536 } do
      assert_refused(3, "\x82\x7f" .. string.pack(">i8", len))
      assert_refused(3, "\x82\xff" .. string.pack(">i8", len) .. key)
    end
  end)

  it("keeps its bounds for all kinds of first two octets", function()
    for first = 0, 255 do
      for _, second in ipairs { 0, 1, 124, 125, 126, 127, 128, 129, 252, 253,
        254, 255 } do
        local head = string.char(first, second)
        local size = frame.head_size(head)
        local got = frame.decode(head)
        local is_wrong = first & 0x88 == 0x08
          or first & 0x08 ~= 0 and second & 0x7F > 125
        if is_wrong then
          assert.is_nil(got)
        else
          assert.are.equal(size == 2 and 2 or 0, got)
        end
      end
    end
  end)
end)

describe("masking", function()
  it("is that of the example of RFC 6455 5.7", function()
    assert.are.equal("\x7f\x9f\x4d\x51\x58", frame.mask("Hello", key, 0))
    assert.are.equal("Hello", frame.mask("\x7f\x9f\x4d\x51\x58", key, 0))
    assert.are.equal("Hello", frame.mask_copy("\x7f\x9f\x4d\x51\x58", key, 0))
  end)

  it("BI-14: is right for all lengths and phases beside a guard page",
    function()
      local keys = { key, "\0\0\0\0", "\xFF\xFF\xFF\xFF", "\1\2\3\4" }
      for n = 0, 300 do
        local s = noise(n, n)
        for phase = 0, 3 do
          local k = keys[n % #keys + 1]
          local want = mask_slowly(s, k, phase)
          for _, side in ipairs { "back", "front" } do
            if frame.mask(s, k, phase, side) ~= want
              or frame.mask_copy(s, k, phase, side) ~= want then
              error(("%d octets, phase %d, %s"):format(n, phase, side))
            end
          end
        end
      end
    end)

  it("BI-14: is right for long payloads beside a guard page", function()
    for _, n in ipairs { 4095, 4096, 4097, 65535, 100003 } do
      local s = noise(n)
      local got = frame.mask(s, key, 3)
      assert.is_true(got == frame.mask_copy(s, key, 3, "front"))
      assert.is_true(frame.mask(got, key, 3, "front") == s)
      for i = 1, n, 997 do
        assert.are.equal(s:byte(i) ~ key:byte((i + 2) % 4 + 1), got:byte(i))
      end
    end
  end)

  it("goes on in phase when a payload is cut anywhere", function()
    local s = noise(100)
    local want = frame.mask(s, key, 0)
    for cut = 0, 100 do
      assert.are.equal(want, frame.mask(s:sub(1, cut), key, 0)
        .. frame.mask(s:sub(cut + 1), key, cut % 4))
    end
  end)

  it("takes a phase modulo 4", function()
    assert.are.equal(frame.mask("Hello", key, 1), frame.mask("Hello", key, 5))
  end)
end)
