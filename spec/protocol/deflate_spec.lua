-- src/protocol/deflate.c and inflate.c: the compressed data of RFC 7692 7.2,
-- its own examples first.

local deflate = require "evws_probe".deflate
local filler = require "spec.helper.filler"
local words, noise = filler.words, filler.noise

local invalid, too_big = -1007, -1009
local has_fault = require "evws_probe".buf.fail_at(0)

local function inflate(pieces, options)
  return deflate.inflater():message(pieces, options)
end

-- The output of a program of Python's that reads `input`; nil without it.
local function python(program, input)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(input)
  file:close()
  local pipe = io.popen(("python3 -c '%s' <%s 2>/dev/null")
    :format(program, path))
  local output = pipe:read "a"
  local ok = pipe:close()
  os.remove(path)
  return ok and output or nil
end

local hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"
local cut_hello = hello:sub(1, -2)

describe("inflating", function()
  it("does the RFC's first example (7.2.3.1), in all pieces", function()
    assert.equal("Hello", (inflate(hello)))
    assert.equal("Hello", (inflate { "\xf2\x48\xcd", "\xc9\xc9\x07\x00" }))
    for i = 0, #hello do
      local pieces = { hello:sub(1, i), "", hello:sub(i + 1), "" }
      assert.equal("Hello", (inflate(pieces)))
      for cap = 1, 6 do
        assert.equal("Hello", (inflate(pieces, { cap = cap })))
      end
    end
  end)

  it("shares the window of messages before (7.2.3.2)", function()
    local f = deflate.inflater()
    assert.equal("Hello", (f:message(hello)))
    assert.equal("Hello", (f:message("\xf2\x00\x11\x00\x00",
      { fresh = false })))
    assert.equal("Hello", (f:message("\xf2\x00\x11\x00\x00",
      { fresh = false })))
    local bytes, err, why = f:message "\xf2\x00\x11\x00\x00"
    assert.same({ nil, invalid, "malformed compressed data" },
      { bytes, err, why })
  end)

  it("does a block without compression (7.2.3.3)", function()
    assert.equal("Hello", (inflate "\x00\x05\x00\xfa\xffHello\x00"))
  end)

  it("BI-24 does a block with BFINAL set (7.2.3.4)", function()
    assert.equal("Hello", (inflate "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"))
    -- and where the sender has forgotten the last byte
    assert.equal("Hello", (inflate "\xf3\x48\xcd\xc9\xc9\x07\x00"))
  end)

  it("BI-24 goes on behind a block with BFINAL set", function()
    local final = "\xf3\x48\xcd\xc9\xc9\x07\x00"
    assert.equal("HelloHello", (inflate(final .. hello)))
    assert.equal("HelloHello", (inflate { final, hello }))
    assert.equal("HelloHello", (inflate { final, final }))
    -- the window is that of one message (and the next, if contexts are kept)
    assert.equal("HelloHello", (inflate(final .. "\xf2\x00\x11\x00\x00")))
    local f = deflate.inflater()
    f:message(final .. "\x00")
    assert.equal("Hello", (f:message("\xf2\x00\x11\x00\x00",
      { fresh = false })))
    f = deflate.inflater()
    f:message(final)
    assert.equal("Hello", (f:message("\xf2\x00\x11\x00\x00",
      { fresh = false })))
  end)

  it("does two blocks (7.2.3.5)", function()
    assert.equal("Hello",
      (inflate "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"))
  end)

  it("BI-24 does what holds nothing (7.2.3.6)", function()
    for _, bytes in ipairs { "", "\x00", "\x02\x00", "\x03\x00", "\x01\x00\x00"
      .. "\xff\xff", "\x03\x00\x00", ("\x03\x00"):rep(1000),
      ("\x00\x00\x00\xff\xff"):rep(1000) .. "\x00" } do
      assert.equal("", (inflate(bytes)))
    end
  end)

  it("BI-24 refuses what is cut, malformed or has more behind", function()
    for _, bytes in ipairs { "\x06", "\x07", "\xff", "\x00\x00",
      "\x00\x05\x00\xfa\xffHel", "\x00\x05\x00\xfb\xffHello\x00",
      "\xf2\x48\xcd", cut_hello:sub(1, -2), hello .. "\x07\x07",
      hello .. "\x00\x00",
      hello .. "\x00\x00\xff\xff", "Hello, world!", noise(100),
      ("\xff"):rep(1000),
      "\x04\xc0\x81" } do
      local out, err, why = inflate(bytes)
      assert.is_nil(out)
      assert.equal(invalid, err)
      assert.is_truthy(why == "malformed compressed data"
        or why == "compressed data cut short")
    end
  end)

  it("never crashes on a flipped bit, and stays usable", function()
    local f = deflate.inflater()
    local data = deflate.pool():whole(words(500))
    for i = 1, #data do
      for bit = 0, 7 do
        local bytes = data:sub(1, i - 1)
          .. string.char(data:byte(i) ~ 1 << bit) .. data:sub(i + 1)
        f:message(bytes, { max = 10000, cap = 4096 })
      end
    end
    assert.equal("Hello", (f:message(hello)))
  end)

  it("BI-20 stops a chunk behind the limit of the message", function()
    local bomb = deflate.pool():whole(("\0"):rep(1 << 20), { level = 9 })
    assert.is_true(#bomb < 1200)
    local out, err, why, made = inflate(bomb, { max = 100000, cap = 4096 })
    assert.same({ nil, too_big, "the message is too big" },
      { out, err, why })
    assert.is_true(#made <= 100000)
    assert.equal(1 << 20, #inflate(bomb, { max = 1 << 20 }))
    assert.is_nil((inflate(bomb, { max = (1 << 20) - 1 })))
  end)

  it("BI-20 stops at the ratio, once past 64 KiB", function()
    local pool = deflate.pool()
    local small = pool:whole(("\0"):rep(65536), { level = 9 })
    assert.equal(65536, #inflate(small, { ratio = 100 }))
    local large = pool:whole(("\0"):rep(65537), { level = 9 })
    local out, err, why = inflate(large, { ratio = 100 })
    assert.same({ nil, too_big, "the message inflates too much" },
      { out, err, why })
    local edge = 65537 // #large + 1
    assert.is_truthy((inflate(large, { ratio = edge })))
    assert.is_nil((inflate(large, { ratio = edge - 1 })))
  end)

  it("keeps a small window where one was agreed on", function()
    local text = words(300):rep(2) .. words(600)
    local small = deflate.pool():whole(text, { bits = 9, level = 9 })
    assert.equal(text, (deflate.inflater(9):message(small)))
    assert.equal(text, (deflate.inflater(8):message(small)))
    local far = words(1500)
    local large = deflate.pool():whole(far .. noise(2000) .. far,
      { level = 9 })
    -- chunks: within one call zlib sees all of its output
    assert.is_nil((deflate.inflater(9):message(large, { cap = 100 })))
    assert.is_truthy((deflate.inflater(15):message(large, { cap = 100 })))
  end)

  it("does what Python's zlib has deflated", function()
    local text = words(70000)
    for _, wbits in ipairs { 9, 12, 15 } do
      local data = python(("import sys,zlib\n"
        .. "c=zlib.compressobj(6,zlib.DEFLATED,-%d)\n"
        .. "b=c.compress(sys.stdin.buffer.read())+c.flush(zlib.Z_SYNC_FLUSH)\n"
        .. "sys.stdout.buffer.write(b[:-4])"):format(wbits), text)
      if not data then return pending "no python3" end
      assert.equal(text, (deflate.inflater(wbits):message(data)))
    end
  end)

  it("says so when there is no memory", function()
    if not has_fault then return pending "built without WS_FAULT" end
    local fail_at = require "evws_probe".buf.fail_at
    for n = 1, 5 do
      fail_at(n)
      local f = deflate.inflater()
      local out, err = "", nil
      if f then out, err = f:message(hello) end
      fail_at(0)
      if f and not out then assert.equal(-1, err) end
      if f and out then assert.equal("Hello", out) end
    end
  end)
end)

describe("deflating", function()
  it("does the RFC's first example (7.2.3.1)", function()
    assert.equal(hello, deflate.pool():whole "Hello")
  end)

  it("shares the window where that is kept (7.2.3.2)", function()
    local pool = deflate.pool()
    assert.equal(hello, pool:keep(1, "Hello"))
    assert.equal(hello, pool:keep(2, "Hello"))
    assert.equal("\xf2\x00\x11\x00\x00", pool:keep(1, "Hello"))
    assert.equal("\xf2\x00\x11\x00\x00", pool:keep(2, "Hello"))
    assert.equal(hello, pool:whole "Hello")
    assert.equal(hello, pool:whole "Hello")
  end)

  it("is undone by inflating, at every size and setting", function()
    local pool = deflate.pool()
    local sizes = { 1, 2, 100, 1024, 1786, 1787, 4096, 7930, 7931, 16384,
      65536, 300000 }
    for _, size in ipairs(sizes) do
      local text = words(size)
      for _, bits in ipairs { 9, 15 } do
        for _, level in ipairs { 1, 9 } do
          for _, memory in ipairs { 1, 9 } do
            local o = { bits = bits, level = level, memory = memory,
              cap = size * 2 + 64 }
            local data = pool:whole(text, o)
            assert.equal(text,
              (deflate.inflater(bits):message(data, { cap = 1000 })))
            assert.is_true(size < 500 or #data < size)
          end
        end
      end
    end
  end)

  it("gives up where the room ends, and goes on afresh", function()
    local pool = deflate.pool()
    for _, n in ipairs { 100, 1024, 16384, 100000 } do
      assert.is_nil(pool:whole(noise(n), { cap = n }))
      assert.is_nil(pool:keep(1, noise(n), { cap = n }))
    end
    assert.equal(hello, pool:whole "Hello")
    assert.equal(hello, pool:keep(1, "Hello"))
    for cap = 6, 30 do -- each end that a flush can have
      local data = pool:whole("Hello, world", { cap = cap })
      if data then assert.equal("Hello, world", (inflate(data))) end
      assert.equal(hello, pool:whole "Hello")
    end
  end)

  it("is flushed by each message, so that two of them make one", function()
    local pool = deflate.pool()
    local a, b, tail = words(3000), noise(2000), "\0\0\255\255"
    for _, list in ipairs { { a, b }, { "", a }, { a, "" }, { "", "" },
      { "x", a, b, "" } } do
      local pieces = {}
      for i, text in ipairs(list) do
        pieces[2 * i - 1] = assert(pool:whole(text))
        if i < #list then pieces[2 * i] = tail end
      end
      assert.equal(table.concat(list), (inflate(pieces)))
      assert.equal(table.concat(list), (inflate(table.concat(pieces))))
    end
  end)

  it("satisfies Python's zlib", function()
    local text = words(70000)
    for _, bits in ipairs { 9, 12, 15 } do
      local data = deflate.pool():whole(text, { bits = bits })
      local back = python(("import sys,zlib\n"
        .. "d=zlib.decompressobj(-%d)\n"
        .. "b=sys.stdin.buffer.read()+bytes([0,0,255,255])\n"
        .. "sys.stdout.buffer.write(d.decompress(b))"):format(bits), data)
      if not back then return pending "no python3" end
      assert.equal(text, back)
    end
  end)
end)

describe("compressors that connections keep", function()
  local each = (1 << 17) + (1 << 17) + 6144

  it("stay within 64 MiB: the one not used for longest goes", function()
    local pool = deflate.pool()
    local most = (64 << 20) // each
    for i = 1, 300 do
      assert.equal(hello, pool:keep(i, "Hello"))
    end
    local n, bytes = pool:keepers()
    assert.equal(most, n)
    assert.equal(most * each, bytes)
    -- keeper 300 still knows; 1 had to give way and begins anew
    local again = "\xf2\x00\x11\x00\x00"
    assert.equal(again, pool:keep(300, "Hello"))
    assert.equal(hello, pool:keep(1, "Hello"))
    assert.equal(again, pool:keep(1, "Hello"))
    assert.equal(most, (pool:keepers()))
  end)

  it("of other sizes give way too", function()
    local pool = deflate.pool()
    for i = 1, 245 do pool:keep(i, "Hello", { bits = 15 }) end
    for i = 246, 290 do pool:keep(i, "Hello", { bits = 9, memory = 1 }) end
    local n, bytes = pool:keepers()
    assert.is_true(bytes <= 64 << 20)
    assert.is_true(n > 245)
  end)

  it("of another size than is wanted are given back", function()
    local pool = deflate.pool()
    for i = 1, 100 do pool:keep(i, "Hello", { bits = 9, memory = 1 }) end
    for i = 101, 300 do pool:keep(i, "Hello", { bits = 15, memory = 9 }) end
    local n, bytes = pool:keepers()
    assert.is_true(bytes <= 64 << 20)
    assert.is_true(n < 200) -- the first have gone
    assert.equal(hello, pool:keep(1, "Hello", { bits = 9, memory = 1 }))
  end)

  it("have nothing to say of nothing, twice", function()
    local pool = deflate.pool()
    assert.equal(hello, pool:keep(1, "Hello"))
    assert.is_nil(pool:keep(1, "")) -- it is flushed already
    assert.equal(hello, pool:keep(1, "Hello"))
  end)

  it("may be dropped between messages", function()
    local pool = deflate.pool()
    pool:keep(1, "Hello")
    pool:drop(1)
    assert.same({ 0, 0 }, { pool:keepers() })
    pool:drop(1)
    assert.equal(hello, pool:keep(1, "Hello"))
  end)

  it("leave nothing behind without memory", function()
    if not has_fault then return pending "built without WS_FAULT" end
    local fail_at = require "evws_probe".buf.fail_at
    for n = 1, 6 do
      local pool = deflate.pool()
      fail_at(n)
      local kept, whole = pool:keep(1, "Hello"), nil
      if kept then whole = pool:whole "Hello" end
      fail_at(0)
      assert.is_true(kept == nil or kept == hello)
      assert.is_true(whole == nil or whole == hello)
      assert.equal(kept and 1 or 0, (pool:keepers()))
    end
  end)
end)
