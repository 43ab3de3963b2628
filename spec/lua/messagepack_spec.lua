-- evws.messagepack against the formats of the MessagePack specification, then
-- limits, then hostile input: whatever the bytes are, reading neither raises
-- nor makes more than has come.

local messagepack = require "evws.messagepack"

local null, map, time = messagepack.null, messagepack.map, messagepack.time
local binary, extension = messagepack.binary, messagepack.extension

local function bytes_of(hex)
  return (hex:gsub("%s", ""):gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

local function hex_of(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- Equal, with the subtype of numbers and the marks of tables.
local function is_same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return math.type(a) == math.type(b) and (a == b or a ~= a and b ~= b)
  end
  if a == null or b == null then return a == b end
  if getmetatable(a) ~= getmetatable(b) then return false end
  for key, value in pairs(a) do
    if not is_same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local kept = { binary = binary, extension = extension }

local function list_of(n, value)
  local list = {}
  for i = 1, n do list[i] = value end
  return list
end

-- Each format of the specification: bytes, value. The value is written as
-- these bytes, and read from them.
local formats = {
  { "c0", null }, { "c2", false }, { "c3", true },
  { "00", 0 }, { "7f", 127 }, { "ff", -1 }, { "e0", -32 },
  { "cc80", 128 }, { "ccff", 255 },
  { "cd0100", 256 }, { "cdffff", 65535 },
  { "ce00010000", 65536 }, { "ceffffffff", 4294967295 },
  { "cf0000000100000000", 4294967296 },
  { "cf7fffffffffffffff", math.maxinteger },
  { "d0df", -33 }, { "d080", -128 },
  { "d1ff7f", -129 }, { "d18000", -32768 },
  { "d2ffff7fff", -32769 }, { "d280000000", -2147483648 },
  { "d3ffffffff7fffffff", -2147483649 },
  { "d38000000000000000", math.mininteger },
  { "cb0000000000000000", 0.0 }, { "cb3ff8000000000000", 1.5 },
  { "cb4045000000000000", 42.0 }, { "cbbff0000000000000", -1.0 },
  { "cb7ff0000000000000", math.huge }, { "cbfff0000000000000", -math.huge },
  { "a0", "" }, { "a161", "a" }, { "bf" .. ("61"):rep(31), ("a"):rep(31) },
  { "d920" .. ("61"):rep(32), ("a"):rep(32) },
  { "d9ff" .. ("61"):rep(255), ("a"):rep(255) },
  { "da0100" .. ("61"):rep(256), ("a"):rep(256) },
  { "daffff" .. ("61"):rep(65535), ("a"):rep(65535) },
  { "db00010000" .. ("61"):rep(65536), ("a"):rep(65536) },
  { "a6e282acc3a400", "€ä\0" },
  { "c400", binary "" }, { "c403ff00fe", binary "\xff\0\xfe" },
  { "c4ff" .. ("00"):rep(255), binary(("\0"):rep(255)) },
  { "c50100" .. ("00"):rep(256), binary(("\0"):rep(256)) },
  { "c600010000" .. ("00"):rep(65536), binary(("\0"):rep(65536)) },
  { "90", {} }, { "93010203", { 1, 2, 3 } },
  { "9f" .. ("01"):rep(15), list_of(15, 1) },
  { "dc0010" .. ("01"):rep(16), list_of(16, 1) },
  { "dd00010000" .. ("01"):rep(65536), list_of(65536, 1) },
  { "80", map {} }, { "81a16101", { a = 1 } }, { "810102", map { 2 } },
  { "81ff02", map { [-1] = 2 } }, { "92c09180", { null, { map {} } } },
  { "d40561", extension(5, "a") }, { "d5fb6162", extension(-5, "ab") },
  { "d60561626364", extension(5, "abcd") },
  { "d705" .. ("61"):rep(8), extension(5, ("a"):rep(8)) },
  { "d87f" .. ("61"):rep(16), extension(127, ("a"):rep(16)) },
  { "c70080", extension(-128, "") },
  { "c70305616263", extension(5, "abc") },
  { "c8010005" .. ("61"):rep(256), extension(5, ("a"):rep(256)) },
  { "c90001000005" .. ("61"):rep(65536), extension(5, ("a"):rep(65536)) },
  { "d6ff00000000", time(0) }, { "d6ffffffffff", time(4294967295) },
  { "d7ff0000000100000000", time(4294967296) },
  { "d7ff0000000400000000", time(0, 1) },
  { "d7ffee6b27ffffffffff", time(17179869183, 999999999) },
  { "c70cff000000000000000400000000", time(17179869184) },
  { "c70cff00000001ffffffffffffffff", time(-1, 1) },
}

-- Forms that others write: longer ones than are needed, floats of 32 bits.
local read_only = {
  { "cc01", 1 }, { "cd0001", 1 }, { "ce00000001", 1 },
  { "cf0000000000000001", 1 }, { "d001", 1 }, { "d10001", 1 },
  { "d200000001", 1 }, { "d30000000000000001", 1 }, { "d0ff", -1 },
  { "cfffffffffffffffff", 2.0 ^ 64 }, { "cf8000000000000000", 2.0 ^ 63 },
  { "ca3fc00000", 1.5 }, { "ca7f800000", math.huge },
  { "d90161", "a" }, { "da000161", "a" }, { "db0000000161", "a" },
  { "c5000161", binary "a" }, { "c60000000161", binary "a" },
  { "dc000101", { 1 } }, { "dd0000000101", { 1 } },
  { "de0001a16101", { a = 1 } }, { "df00000001a16101", { a = 1 } },
  { "c7010561", extension(5, "a") }, { "c800010561", extension(5, "a") },
  { "c9000000010561", extension(5, "a") },
  { "c704ff00000001", time(1) },
  { "c708ff0000000000000001", time(1) },
  { "82a16101a16102", { a = 2 } },
}

describe("evws.messagepack", function()
  it("writes each format of the specification", function()
    for _, case in ipairs(formats) do
      assert.equal(case[1]:sub(1, 60),
        hex_of(messagepack.encode(case[2])):sub(1, 60))
      assert.is_true(bytes_of(case[1]) == messagepack.encode(case[2]))
    end
  end)

  it("reads each format of the specification", function()
    for _, cases in ipairs { formats, read_only } do
      for _, case in ipairs(cases) do
        local bytes = bytes_of(case[1])
        local value, why = messagepack.decode(bytes, kept)
        assert.is_true(is_same(case[2], value),
          case[1]:sub(1, 60) .. " " .. tostring(why))
      end
    end
  end)

  it("keeps NaN", function()
    local value = messagepack.decode(messagepack.encode(0 / 0))
    assert.is_true(value ~= value)
  end)

  it("has bytes as strings, and extensions as errors, by default", function()
    assert.equal("\xff", messagepack.decode(bytes_of "c401ff"))
    assert.same({ "an extension is not known", 2 },
      { select(2, messagepack.decode(bytes_of "91d40561")) })
    assert.is_true(messagepack.decode(bytes_of "d6ff00000001") == time(1))
  end)

  it("takes nil for null, at the top", function()
    assert.equal("\xc0", messagepack.encode(nil))
    assert.equal(null, messagepack.decode "\xc0")
    assert.equal(null, messagepack.decode("\xd4\5a",
      { extension = function() end }))
    assert.equal(null, messagepack.decode("\xc4\1a",
      { binary = function() end }))
  end)

  it("reads one value after the other", function()
    local bytes = "\1\x91\2\xa1a"
    local value, at = messagepack.read(bytes)
    assert.same({ 1, 2 }, { value, at })
    value, at = messagepack.read(bytes, at)
    assert.same({ { 2 }, 4 }, { value, at })
    value, at = messagepack.read(bytes, at)
    assert.same({ "a", 6 }, { value, at })
    assert.same({ "incomplete", 6 }, { select(2, messagepack.read(bytes, 6)) })
    assert.same({ "incomplete", 9 }, { select(2, messagepack.read(bytes, 9)) })
  end)

  it("takes one value and nothing behind it", function()
    assert.same({ "more than one value", 2 },
      { select(2, messagepack.decode "\1\2") })
    assert.same({ "incomplete", 1 }, { select(2, messagepack.decode "") })
  end)

  it("says incomplete for each beginning of a value", function()
    for _, case in ipairs(formats) do
      local bytes = bytes_of(case[1])
      for cut = 0, math.min(#bytes - 1, 40) do
        local value, why, at = messagepack.read(bytes:sub(1, cut), 1, kept)
        assert.is_nil(value)
        assert.equal("incomplete", why)
        assert.is_true(at >= 1 and at <= cut + 1)
      end
    end
  end)

  it("says what is wrong with bytes, and where", function()
    local cases = {
      { "c1", "a byte 0xc1 begins no value", 1 },
      { "9201c1", "a byte 0xc1 begins no value", 3 },
      { "a1ff", "text is not UTF-8", 1 },
      { "92a161a2c0af", "text is not UTF-8", 4 },
      { "a3eda080", "text is not UTF-8", 1 },
      { "81c001", "a key is neither a string nor an integer", 2 },
      { "81cb7ff800000000000001", "a key is neither a string nor an integer",
        2 },
      { "81c301", "a key is neither a string nor an integer", 2 },
      { "819001", "a key is neither a string nor an integer", 2 },
      { "818001", "a key is neither a string nor an integer", 2 },
      { "81cfffffffffffffffff01", "a key is neither a string nor an integer",
        2 },
      { "d4ff00", "a timestamp is not of 4, 8 or 12 bytes", 1 },
      { "c70dff" .. ("00"):rep(13), "a timestamp is not of 4, 8 or 12 bytes",
        1 },
      { "d7ffee6b280000000000",
        "a timestamp has a second or more of nanoseconds", 1 },
      { "c70cff3b9aca000000000000000000",
        "a timestamp has a second or more of nanoseconds", 1 },
    }
    for _, case in ipairs(cases) do
      local value, why, at = messagepack.decode(bytes_of(case[1]))
      assert.is_nil(value)
      assert.same({ case[1], case[2], case[3] }, { case[1], why, at })
    end
  end)

  it("replaces what is no UTF-8 where it is told to", function()
    local function repaired(text)
      return messagepack.decode(messagepack.encode(binary(text))
        :gsub("^\xc4(.)", function(len)
          return "\xd9" .. len
        end), { invalid_text = "replace" })
    end
    local bad = "\u{FFFD}"
    assert.equal("ä", repaired "ä")
    assert.equal("a" .. bad .. "b", repaired "a\xffb")
    assert.equal(bad .. bad, repaired "\xc0\xaf")
    assert.equal(bad .. "a", repaired "\xe2\x82a")
    assert.equal(bad, repaired "\xf0\x9f\x98")
    assert.equal(bad .. bad .. bad, repaired "\xed\xa0\x80")
    assert.equal(bad:rep(4), repaired "\xf4\x90\x80\x80")
    assert.equal(bad:rep(2) .. "ä" .. bad, repaired "\x80\x80ä\xc3")
  end)

  it("reads as deep as max_depth, and no deeper", function()
    local deep = ("\x91"):rep(64) .. "\1"
    assert.is_table(messagepack.decode(deep))
    assert.same({ "nested too deep", 65 },
      { select(2, messagepack.decode("\x91" .. deep)) })
    assert.is_table(messagepack.decode("\x91\1", { max_depth = 1 }))
    assert.is_nil(messagepack.decode("\x91\x90", { max_depth = 1 }))
    assert.is_table(messagepack.decode(("\x91"):rep(999) .. "\x90",
      { max_depth = 1000 }))
    assert.same({ "nested too deep", 97 },
      { select(2, messagepack.decode(("\x81\1"):rep(32)
        .. ("\x91"):rep(30000))) })
  end)

  it("reserves nothing for a length that was only declared", function()
    local before = collectgarbage "count"
    for _, head in ipairs { "dd", "df", "db", "c6", "c9" } do
      local bytes = bytes_of(head .. "ffffffff") .. ("\0"):rep(20)
      assert.equal("incomplete", select(2, messagepack.decode(bytes)))
      bytes = ("\xdd\0\0\0\1"):rep(60) .. bytes
      assert.equal("incomplete", select(2, messagepack.decode(bytes)))
    end
    assert.is_true(collectgarbage "count" - before < 200)
  end)

  it("raises for what cannot be written, and says where", function()
    local function refuses(what, value, options)
      local ok, why = pcall(messagepack.encode, value, options)
      assert.is_false(ok)
      assert.equal("cannot encode: " .. what, (why:gsub("^[^:]*:%d+: ", "")))
    end
    refuses("a function cannot be written", print)
    refuses("a thread cannot be written at .a[2]",
      { a = { 1, coroutine.create(print) } })
    refuses("text is not UTF-8 at [1]", { "\xff" })
    refuses("text is not UTF-8", { ["\xff"] = 1 })
    refuses("a key is neither a string nor an integer", { [1.5] = 1 })
    refuses("a key is neither a string nor an integer at .x",
      { x = { [true] = 1 } })
    refuses("a table is both a list and a map", { 1, x = 2 })
    refuses("a table is both a list and a map at [1]", { { 1, [0] = 2 } })
    refuses("a list has a hole at [2]", { 1, nil, 3 })
    refuses("a list has a hole at [2]", { 1, [3] = 3 })
    refuses("a list has a hole at .a[3]", { a = { 1, 2, [5] = 3 } })
    local loop = {}
    loop.loop = loop
    refuses("nested too deep at" .. (" .loop"):gsub("loop", ("loop."):rep(63)
      .. "loop"), loop)
    refuses("nested too deep at [1]", { {} }, { max_depth = 1 })
  end)

  it("writes lists whatever way they were made", function()
    local list = {}
    for i = 20, 1, -1 do list[i] = i end
    assert.same(list, messagepack.decode(messagepack.encode(list)))
    list = { [1] = 1, [2] = 2, [3] = 3 }
    assert.equal("\x93\1\2\3", messagepack.encode(list))
    list = setmetatable({ 1 }, { __index = error, __len = error,
      __pairs = error })
    assert.equal("\x91\1", messagepack.encode(list))
  end)

  it("has values that can be compared and told", function()
    assert.is_true(binary "a" == binary "a" and binary "a" ~= binary "b")
    assert.is_true(extension(1, "a") == extension(1, "a"))
    assert.is_true(extension(1, "a") ~= extension(2, "a"))
    assert.is_true(time(1.5) == time(1, 500000000) and time(1) ~= time(2))
    assert.equal("null", tostring(null))
    assert.equal("2021-03-04T05:06:07.25Z", tostring(time(1614834367.25)))
    assert.equal("0000-01-01T00:00:00Z", tostring(time(-62167219200)))
    assert.equal("9999-12-31T23:59:59.999999999Z",
      tostring(time(253402300799, 999999999)))
    assert.equal("253402300800.000000000 s since 1970",
      tostring(time(253402300800)))
    assert.is_true(time(1.9999999999) == time(2))
    assert.has_error(function() null.x = 1 end)
  end)

  it("raises for wrong use at the caller's line", function()
    local function refuses(what, name, ...)
      local arguments = table.pack(...)
      local ok, why = pcall(function()
        local _ = messagepack[name](table.unpack(arguments, 1, arguments.n))
      end)
      assert.is_false(ok)
      local file, message = tostring(why):match "^([^:]*):%d+: (.*)$"
      assert.equal("spec/lua/messagepack_spec.lua", file:match "spec/.*")
      assert.equal(what, message)
    end
    refuses("bad argument #1 to 'decode' (string expected, got nil)", "decode")
    refuses("bad argument #1 to 'read' (string expected, got table)", "read",
      {})
    refuses("bad argument #2 to 'read' (a position from 1 on expected)",
      "read", "", 0)
    refuses("unknown option 'depth' for 'decode'", "decode", "", { depth = 1 })
    refuses("unknown option 'binary' for 'encode'", "encode", 1,
      { binary = print })
    refuses("bad option 'max_depth' for 'read' (an integer from 1 to 1000 "
      .. "expected)", "read", "", 1, { max_depth = 1001 })
    refuses("bad option 'binary' for 'decode' (a function expected)",
      "decode", "", { binary = true })
    refuses("bad option 'invalid_text' for 'decode' (\"error\" or \"replace\""
      .. " expected)", "decode", "", { invalid_text = true })
    refuses("bad options for 'decode' (table expected, got number)", "decode",
      "", 1)
    refuses("cannot encode: a function cannot be written", "encode", print)
    refuses("bad argument #1 to 'binary' (string expected, got number)",
      "binary", 1)
    refuses("bad argument #1 to 'map' (table expected, got string)", "map",
      "a")
    refuses("bad argument #1 to 'map' (the table has a metatable)", "map",
      time(0))
    refuses("bad argument #1 to 'extension' (-128 to 127 expected)",
      "extension", 128, "")
    refuses("bad argument #1 to 'time' (number expected, got string)", "time",
      "1")
    refuses("bad argument #2 to 'time' (0 to 999999999 expected)", "time", 1,
      1000000000)
    refuses("bad argument #1 to 'time' (an integer expected)", "time", 1.5, 1)
    refuses("bad argument #1 to 'time' (out of range)", "time", 2.0 ^ 70)
  end)

  it("reads back whatever it has written", function()
    local random = math.random
    math.randomseed(20)
    local made
    local makers = {
      function() return random(0) end,
      function() return random(-200, 70000) end,
      function() return random() * 2.0 ^ random(-30, 60) end,
      function() return utf8.char(random(0, 0xd7ff)):rep(random(0, 40)) end,
      function() return random() < 0.5 end,
      function() return null end,
      function() return binary(string.char(random(0, 255)):rep(3)) end,
      function() return time(random(-2 ^ 36 // 1 | 0, 2 ^ 36 // 1 | 0),
        random(0, 999999999)) end,
      function(depth)
        local list = {}
        for i = 1, random(0, 20) do list[i] = made(depth - 1) end
        return list
      end,
      function(depth)
        local fields = map {}
        for _ = 1, random(1, 20) do
          fields[random(-9, 9)] = made(depth - 1)
        end
        return fields
      end,
    }
    function made(depth)
      return makers[random(depth > 0 and #makers or #makers - 2)](depth)
    end
    for _ = 1, 300 do
      local value = made(4)
      local bytes = messagepack.encode(value)
      local again = messagepack.decode(bytes, kept)
      assert.is_true(is_same(value, again))
      assert.is_true(messagepack.encode(again):len() == #bytes)
    end
  end)

  it("never raises, whatever the bytes are", function()
    math.randomseed(7)
    local heads = "\x81\x91\x92\xc0\xc4\xc7\xc8\xca\xcc\xd4\xd6\xd9\xdc\xde"
    for round = 1, 20000 do
      local list = {}
      for i = 1, math.random(0, 30) do
        local at = math.random(#heads)
        list[i] = math.random() < 0.3 and heads:sub(at, at)
          or string.char(math.random(0, 255))
      end
      local bytes = table.concat(list)
      local options = round % 2 == 0 and kept or { invalid_text = "replace" }
      local value, after, at = messagepack.read(bytes, 1, options)
      if value == nil then
        assert.is_string(after)
        assert.is_true(at >= 1 and at <= #bytes + 1)
      else
        assert.is_true(after >= 2 and after <= #bytes + 1)
      end
    end
  end)
end)

describe("library/evws/messagepack.lua", function()
  local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "a"
    file:close()
    return text
  end

  local library = read "library/evws/messagepack.lua"

  it("has every function of the module and no other", function()
    local documented, exported = {}, {}
    for name in library:gmatch "\nfunction messagepack%.([%w_]+)%(" do
      documented[name] = true
    end
    for name in library:gmatch "%-%-%-@field ([%w_]+) evws" do
      documented[name] = true
    end
    for name in pairs(messagepack) do exported[name] = true end
    assert.same(exported, documented)
    assert.is_table(assert(load(library))())
  end)

  it("has every option and no other", function()
    local class = library:match "@class evws.DecodeOptions\n(.-)\n\n"
    local n = 0
    for name in class:gmatch "%-%-%-@field ([%w_]+)%?" do
      local _, why = pcall(messagepack.decode, "", { [name] = {} })
      assert.is_truthy(why:find("bad option '" .. name, 1, true), name)
      n = n + 1
    end
    assert.equal(4, n)
    assert.is_truthy(class:find("default `64`", 1, true))
  end)
end)
