-- records.lua: bytes to records, however they were cut.

local records = require "evws.signalr.records"

-- All that can be taken after each piece; false and why at the end of a list
-- that broke.
local function read(pieces, kind, limit)
  local input, list = records.new(limit), {}
  for _, piece in ipairs(pieces) do
    input:feed(piece)
    while true do
      local record, why = input[kind](input)
      if record == nil then break end
      list[#list + 1] = record or why
      if not record then return list end
    end
  end
  return list
end

local function bytewise(text)
  local pieces = {}
  for c in text:gmatch "." do pieces[#pieces + 1] = c end
  return pieces
end

describe("records of text", function()
  it("end with 0x1E, whole, byte by byte and coalesced", function()
    local wanted = { "a", "", "bcd" }
    assert.same(wanted, read({ "a\30\30bcd\30" }, "text"))
    assert.same(wanted, read({ "a\30", "\30", "bcd\30" }, "text"))
    assert.same(wanted, read(bytewise "a\30\30bcd\30", "text"))
    assert.same({ "a" }, read({ "a\30b" }, "text"))
    assert.same({}, read({ "", "ab" }, "text"))
  end)

  it("are judged by their own length, before they are whole", function()
    local long = ("x"):rep(8)
    assert.same({ long, long }, read({ long .. "\30" .. long .. "\30" },
      "text", 8))
    assert.same({ "a record is too long" }, read({ long .. "y\30" }, "text",
      8))
    assert.same({ "a record is too long" }, read({ long, "y" }, "text", 8))
    assert.same({ long }, read({ "xxxx", "xxxx", "\30" }, "text", 8))
    assert.same({ ("x"):rep(100000) }, read({ ("x"):rep(100000), "\30" },
      "text"))
  end)
end)

describe("records with a length", function()
  it("are whole, byte by byte and coalesced", function()
    local long = ("y"):rep(128)
    local bytes = "\1a\3bcd\x80\1" .. long .. "\x81\x80\0z"
    local wanted = { "a", "bcd", long, "z" }
    assert.same(wanted, read({ bytes }, "binary"))
    assert.same(wanted, read(bytewise(bytes), "binary"))
    assert.same(wanted, read({ bytes:sub(1, 7), bytes:sub(8) }, "binary"))
    assert.same({ ("y"):rep(127) }, read({ "\127" .. ("y"):rep(127) },
      "binary"))
  end)

  it("are refused when the length is read", function()
    for bytes, why in pairs {
      ["\0"] = "a record is empty",
      ["\x80\0"] = "a record is empty",
      ["\x81\1"] = "a record is too long",
      ["\xff\xff\xff\xff\7"] = "a record is too long",
      ["\xff\xff\xff\xff\8"] = "a length is too large",
      ["\x80\x80\x80\x80\x80"] = "a length is too large",
      ["\xff\xff\xff\xff\xff\1"] = "a length is too large",
    } do
      assert.same({ why }, read({ bytes }, "binary", 128))
      assert.same({ why }, read(bytewise(bytes), "binary", 128))
    end
    assert.same({}, read({ "\xff\xff\xff\xff\7" }, "binary"))
  end)

  it("may follow a record of text in the same bytes", function()
    local input = records.new(64)
    input:feed "{}\30\2"
    assert.equal("{}", input:text())
    assert.is_nil(input:binary())
    input:feed "ab\1"
    assert.equal("ab", input:binary())
    assert.is_nil(input:binary())
    input:feed "c"
    assert.equal("c", input:binary())
  end)

  it("are the same wherever bytes are cut", function()
    math.randomseed(5)
    for _ = 1, 200 do
      local wanted, bytes = {}, {}
      for i = 1, math.random(1, 8) do
        local n = math.random(1, 300)
        wanted[i] = ("r"):rep(n)
        bytes[i] = (n < 128 and string.char(n)
          or string.char(n & 127 | 128, n >> 7)) .. wanted[i]
      end
      bytes = table.concat(bytes)
      local pieces, at = {}, 1
      while at <= #bytes do
        local n = math.random(1, 150)
        pieces[#pieces + 1] = bytes:sub(at, at + n - 1)
        at = at + n
      end
      assert.same(wanted, read(pieces, "binary", 300))
    end
  end)
end)
