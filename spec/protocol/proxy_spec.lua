-- The PROXY protocol (src/protocol/proxy.c), versions 1 and 2: the examples of
-- its specification, then what is no header.
local proxy = require "evws_probe".proxy

local signature = "\r\n\r\n\0\r\nQUIT\n"

local function v2(command, family, block, len)
  return signature .. (">BBI2"):pack(command, family, len or #block) .. block
end

local tcp4 = "\192\0\2\1\192\0\2\2" .. (">I2I2"):pack(56324, 443)
local tcp6 = "\x20\x01\x0d\xb8" .. ("\0"):rep(11) .. "\1"
  .. ("\0"):rep(15) .. "\2" .. (">I2I2"):pack(4711, 80)
local tlv = "\4\0\3abc" -- NOOP

local good = {
  -- header, address, port
  { "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", "192.0.2.1", 56324 },
  { "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
    "255.255.255.255", 65535 },
  { "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0", 0 },
  { "PROXY TCP6 2001:db8::1 ::2 4711 80\r\n", "2001:db8::1", 4711 },
  { "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
    .. "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535 },
  { "PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7", 1 },
  { "PROXY UNKNOWN\r\n", "", 0 },
  { "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
    .. "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "", 0 },
  { "PROXY UNKNOWN what\0ever \xFF\r\n", "", 0 },
  { v2(0x21, 0x11, tcp4), "192.0.2.1", 56324 },
  { v2(0x21, 0x21, tcp6), "2001:db8::1", 4711 },
  { v2(0x21, 0x11, tcp4 .. tlv), "192.0.2.1", 56324 },
  { v2(0x21, 0x21, tcp6 .. tlv:rep(100)), "2001:db8::1", 4711 },
  { v2(0x21, 0x21, ("\0"):rep(10) .. "\xFF\xFF\10\0\0\1"
    .. ("\0"):rep(16) .. "\0\1\0\2"), "10.0.0.1", 1 },
  { v2(0x21, 0x31, ("/run/x"):rep(36)), "unix", 0 },
  { v2(0x21, 0x31, ("\0"):rep(216) .. tlv), "unix", 0 },
  { v2(0x20, 0x00, ""), "", 0 },
  { v2(0x20, 0x11, tcp4), "", 0 },
  { v2(0x20, 0x7F, tlv), "", 0 },
  { v2(0x21, 0x00, ""), "", 0 },
  { v2(0x21, 0x00, tlv), "", 0 },
  { v2(0x21, 0x11, tcp4 .. ("x"):rep(4096 - #tcp4)), "192.0.2.1", 56324 },
}

local bad = {
  "GET / HTTP/1.1\r\n", "\22\3\1\2\0\1\0\1\xFC", "\0", "P\0", "proxy TCP4",
  "PROXY\tTCP4", "PROXY\r\n", "PROXY \r\n", "PROXY  UNKNOWN\r\n",
  "PROXY UNKNOWN\n", "PROXY UNKNOWN\r\r\n", "PROXY UNKNOWN\rx",
  "PROXY unknown\r\n", "PROXY UNKNOWNS\r\n", "PROXY TCP\r\n",
  "PROXY TCP4\r\n", "PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
  "PROXY TCP4 1.1.1.1\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
  "PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
  "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
  "PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n",
  "PROXY TCP4 1.1.1.1 2.2.2.2  1 2\r\n",
  "PROXY TCP4 1.1.1.1\t2.2.2.2 1 2\r\n",
  "PROXY TCP4 ::1 ::2 1 2\r\n", "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
  "PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n", "PROXY TCP4 256.1.1.1 2.2.2.2 1 2\r\n",
  "PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n", "PROXY TCP4 1.1.1.1 x 1 2\r\n",
  "PROXY TCP4 1.1.1.1\0 2.2.2.2 1 2\r\n",
  "PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n",
  "PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
  "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 x\r\n",
  "PROXY TCP4 1.1.1.1 2.2.2.2 1 999999\r\n",
  "PROXY TCP6 ::1%lo ::1 1 2\r\n", "PROXY TCP6 [::1] [::1] 1 2\r\n",
  "PROXY TCP6 " .. ("1"):rep(60) .. " ::1 1 2\r\n",
  "PROXY UNKNOWN " .. ("x"):rep(92) .. "\r\n", -- one byte over 107
  "PROXY " .. ("x"):rep(200),
  "\r\n\r\n\0\r\nQUIT\r", "\r\n\r\n\1\r\nQUIT\n", "\r\nGET / HTTP/1.1\r\n",
  v2(0x11, 0x11, tcp4), v2(0x22, 0x11, tcp4), v2(0x2F, 0x11, tcp4),
  v2(0x31, 0x11, tcp4), v2(0x00, 0x00, ""), v2(0x21, 0x12, tcp4),
  v2(0x21, 0x22, tcp6), v2(0x21, 0x32, ("x"):rep(216)),
  v2(0x21, 0x10, tcp4), v2(0x21, 0x01, tcp4), v2(0x21, 0x41, tcp4),
  v2(0x21, 0x11, tcp4:sub(2)), v2(0x21, 0x11, ""), v2(0x21, 0x21, tcp4),
  v2(0x21, 0x31, ("x"):rep(215)),
  v2(0x21, 0x11, tcp4, 4097), v2(0x21, 0x11, tcp4, 65535),
  v2(0x20, 0x00, "", 4097),
}

local function pieces(bytes, size)
  local list = {}
  for from = 1, #bytes, size do
    list[#list + 1] = bytes:sub(from, from + size - 1)
  end
  return list
end

describe("a PROXY header", function()
  it("tells whom the connection is for, in pieces of any size", function()
    for _, row in ipairs(good) do
      for _, size in ipairs { #row[1], 1, 2, 5, 7, 16 } do
        local used, address, port = proxy.feed(pieces(row[1], size))
        if used ~= #row[1] or address ~= row[2] or port ~= row[3] then
          error(("%q by %d: %s %s %s"):format(row[1], size, used, address,
            port))
        end
      end
    end
  end)

  it("BI-50: ends where it ends: what is behind it is not touched", function()
    for _, row in ipairs(good) do
      for _, behind in ipairs { "GET / HTTP/1.1\r\n\r\n", row[1], "\r\n",
        ("\0"):rep(300) } do
        assert.equal(#row[1], (proxy.feed { row[1] .. behind }))
      end
    end
  end)

  it("is not complete with any part of it", function()
    for _, row in ipairs(good) do
      for n = 0, math.min(#row[1] - 1, 120) do
        assert.is_nil((proxy.feed { row[1]:sub(1, n) }))
        assert.is_nil((proxy.feed(pieces(row[1]:sub(1, n), 3))))
      end
    end
  end)

  it("BI-32: that is malformed or too long is refused, in pieces too",
    function()
      for _, bytes in ipairs(bad) do
        for _, size in ipairs { #bytes, 1, 3, 16 } do
          local used, code = proxy.feed(pieces(bytes, size))
          if used or code ~= -400 then
            error(("%q by %d: %s %s"):format(bytes, size, used, code))
          end
        end
      end
    end)

  it("BI-32: without an end is refused at its limit", function()
    local _, code, before = proxy.feed(pieces("PROXY UNKNOWN "
      .. ("x"):rep(1000), 1))
    assert.equal(-400, code)
    assert.equal(107, before)
  end)

  it("is refused with the first byte that cannot be one", function()
    for _, row in ipairs { { "GET ", 0 }, { "PRI * HTTP/2.0", 2 },
      { "\r\nGET", 2 }, { "\22\3\1", 0 }, { "PROXYTCP4", 5 } } do
      local _, code, before = proxy.feed(pieces(row[1], 1))
      assert.equal(-400, code)
      assert.equal(row[2], before)
    end
  end)

  it("survives random changes of every byte", function()
    for _, row in ipairs(good) do
      for i = 1, math.min(#row[1], 60) do
        for _, byte in ipairs { 0, 10, 13, 32, 0x7F, 0xFF } do
          local bytes = row[1]:sub(1, i - 1) .. string.char(byte)
            .. row[1]:sub(i + 1)
          local used, address = proxy.feed(pieces(bytes, 20))
          local again, same = proxy.feed(pieces(bytes, 1))
          assert.equal(used, again)
          if used then assert.equal(address, same) end
        end
      end
    end
  end)
end)
