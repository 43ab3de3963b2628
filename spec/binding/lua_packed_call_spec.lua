-- core.packed_reader and core.packed_writer: an invocation and its result in
-- MessagePack where nothing about them is rare, as Lua reads and writes them;
-- and what is left to that.

local core = require "evws.core"
local pack = require "evws.messagepack"
local protocol = require "evws.signalr.messagepack"
local values = require "evws.values"
local writer = require "evws.messagepack_writer"

local null, map_mark = values.null, values.map_mark
local random = math.random
local framed = require "spec.signalr.kit".framed

-- The same value: kinds of numbers, marks and what NaN is count.
local function alike(a, b)
  if type(a) ~= "table" or type(b) ~= "table" or a == null or b == null then
    return rawequal(a, b) and math.type(a) == math.type(b)
      or a ~= a and b ~= b
  end
  if getmetatable(a) ~= getmetatable(b) then return false end
  for key, value in next, a do
    if not alike(value, rawget(b, key)) then return false end
  end
  for key in next, b do
    if rawget(a, key) == nil then return false end
  end
  return true
end

local function reader(most, levels)
  return core.packed_reader(most or math.huge, levels or 64, null, map_mark,
    function(bytes, kind) return "otherwise", bytes, kind end)
end

-- ---- forms: each value in one of those that MessagePack has for it ----

local function head(fixed, most, wide, n)
  local forms = {}
  if n <= most then forms[1] = string.char(fixed + n) end
  for i, format in ipairs { "B", ">I2", ">I4" } do
    local first = wide[i]
    if first and n < 1 << (8 << i - 1) then
      forms[#forms + 1] = string.char(first) .. format:pack(n)
    end
  end
  return forms[random(#forms)]
end

local texts = { "", "a", "S", "\u{E4}\u{20AC}\u{1F600}", ("x"):rep(31),
  ("y"):rep(32), ("z"):rep(255), ("w"):rep(256), "\0\30", "\255",
  "\xed\xa0\x80", "a\xc3" }

local function text(value)
  return head(0xa0, 31, { 0xd9, 0xda, 0xdb }, #value) .. value
end

local scalars = { "\0", "\x7f", "\xe0", "\xff", "\xcc\0", "\xcc\xff",
  "\xcd\1\2", "\xce\xff\xff\xff\xff", "\xcf\0\0\0\0\0\0\0\1",
  "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", "\xcf\x80\0\0\0\0\0\0\0",
  "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "\xcf\xff\xff\xff\xff\xff\xff\xf8\1",
  "\xd0\x80", "\xd0\1", "\xd1\x80\0", "\xd2\x80\0\0\0",
  "\xd3\x80\0\0\0\0\0\0\0", "\xd3\xff\xff\xff\xff\xff\xff\xff\xff",
  "\xca\x3f\x80\0\0", "\xca\x7f\xc0\0\0",
  "\xcb\x40\x09\x21\xfb\x54\x44\x2d\x18",
  "\xcb\x7f\xf0\0\0\0\0\0\0", "\xcb\x80\0\0\0\0\0\0\0", "\xc0", "\xc2", "\xc3",
  "\xc4\3abc", "\xc5\0\0", "\xc6\0\0\0\1\255" }
local foreign = { "\xc1", "\xd6\xff\0\0\0\1", "\xd4\5a", "\xc7\0\7" }

local value

local function list(depth)
  local n = random(0, 4)
  if random(20) == 1 then n = random(15, 40) end
  local out = { head(0x90, 15, { nil, 0xdc, 0xdd }, n) }
  for i = 1, n do out[i + 1] = value(depth - 1) end
  return table.concat(out)
end

local function map(depth)
  local n = random(0, 3)
  local out = { head(0x80, 15, { nil, 0xde, 0xdf }, n) }
  for _ = 1, n do
    local key = text("k" .. random(3))
    if random(4) == 1 then key = scalars[random(#scalars)] end
    out[#out + 1] = key .. value(depth - 1)
  end
  return table.concat(out)
end

function value(depth)
  local kind = random(depth > 0 and 6 or 3)
  if random(60) == 1 then return foreign[random(#foreign)] end
  if kind == 1 then
    return text(texts[random(random(9) == 1 and #texts or 9)])
  end
  if kind <= 3 then return scalars[random(#scalars)] end
  if kind == 4 then return map(depth) end
  return list(depth)
end

local function some(...) return (select(random(select("#", ...)), ...)) end

local function record()
  local out = { some("\x95", "\x95", "\x96", "\x96", "\x94", "\x97"), "\1",
    random(20) == 1 and "\x81\xa1a\xa1b" or "\x80",
    some("\xc0", "\xa17", text(texts[random(9)])),
    random(20) == 1 and "\7" or text(texts[random(2, 9)]), list(4) }
  if out[1] ~= "\x95" then
    out[7] = some("\x90", "\x90", "\x91\xa1s", "\xdc\0\0", "")
  end
  return table.concat(out)
end

local function damaged(bytes)
  local at, n = random(#bytes), random(0, 2)
  local noise = {}
  for i = 1, random(0, 2) do noise[i] = string.char(random(0, 255)) end
  return bytes:sub(1, at - 1) .. table.concat(noise) .. bytes:sub(at + n)
end

describe("core.packed_reader", function()
  local plain = framed "\x95\1\x80\xa17\xa1S\x92\1\xc0"

  it("reads what it may be", function()
    local read = reader()
    for bytes, id in pairs { [plain] = "7",
      [framed "\x96\1\x80\xa17\xa1S\x92\1\xc0\x90"] = "7",
      [framed "\x95\1\x80\xc0\xa1S\x92\1\xc0"] = false,
      [framed("\x95\1\x80\xda\1\0" .. ("i"):rep(256)
        .. "\xd9\1S\xdc\0\2\1\xc0")] = ("i"):rep(256) } do
      local got = table.pack(read(bytes, "binary"))
      assert.same({ n = 5, true, id or nil, "S", { 1 }, 2 }, got)
    end
    assert.is_true((reader(#plain)(plain, "binary")))
    assert.equal("otherwise", (reader(#plain - 1)(plain, "binary")))
  end)

  it("leaves the rest to others, and says what they say", function()
    local read = reader()
    local function other(bytes, kind)
      assert.same({ "otherwise", bytes, kind or "binary" },
        { read(bytes, kind or "binary") })
    end
    other(plain, "text")
    for i = 0, #plain - 1 do other(plain:sub(1, i)) end
    other(plain .. "\1")
    other "\0"
    other(plain:sub(1, 1) .. "\0" .. plain:sub(3))
    for _, bad in ipairs { "\x95\1\x80\xa17\xa1S\x92\1\xc0\1", -- more
      "\x95\1\x80\xa17\xa1S\x92\1",
      "\x95\1\x80\xa17\xa1S\xdd\xff\xff\xff\xff\1",
      "\x95\1\x80\xa17\xa1S\x91\xdf\xff\xff\xff\xff",
      "\x95\1\x80\xa17\xa1S\x91\xdb\xff\xff\xff\xff", -- cut
      "\x95\1\x80\xa17\xa1S\x80", "\x95\1\x80\xa17\xa1S\xc0", -- no list
      "\x95\1\x80\xa17\7\x90", "\x95\1\x80\7\xa1S\x90", -- no text
      "\x95\1\x80\xc4\1a\xa1S\x90", "\x95\1\x80\xa17\xc4\1a\x90",
      "\x95\1\x80\xa0\xa1S\x90", "\x95\1\x80\xa17\xa0\x90", -- empty
      "\x95\1\x80\xa1\255\xa1S\x90", "\x95\1\x80\xa17\xa1\255\x90",
      "\x95\1\x80\xa17\xa1S\x91\xa1\255", -- no UTF-8
      "\x95\1\x80\xa17\xa1S\x91\x81\xa1\255\1",
      "\x95\1\x80\xa17\xa1S\x91\x81\xc0\1",
      "\x95\1\x80\xa17\xa1S\x91\x81\x90\1",
      "\x95\1\x80\xa17\xa1S\x91\x81\xcb\0\0\0\0\0\0\0\0\1", -- keys
      "\x95\1\x80\xa17\xa1S\x91\xc1", "\x95\1\x80\xa17\xa1S\x91\xd4\5a",
      "\x96\1\x80\xa17\xa1S\x90", -- streams
      "\x96\1\x80\xa17\xa1S\x90\x91\xa1s",
      "\x95\2\x80\xa17\xa1S\x90", "\x95\1\x81\xa1a\1\xa17\xa1S\x90",
      "\x94\1\x80\xa17\xa1S", "\x97\1\x80\xa17\xa1S\x90\x90\x90" } do
      other(framed(bad))
    end
    local whole = "\x95\1\x80\xa17\xa1S\x92\1\xc0"
    for i = 0, #whole - 1 do other(framed(whole:sub(1, i))) end
    -- a length of three bytes
    other(framed("\x95\1\x80\xa17\xa1S\x91\xda\x40\0" .. ("x"):rep(0x4000)))
  end)

  it("reads so many levels, and no more", function()
    for levels, most in pairs { [1] = 1, [3] = 3, [64] = 64, [1000] = 64 } do
      local read = reader(nil, levels)
      for _, one in ipairs { "\x91", "\x81\xa1k" } do
        local function nested(n)
          return read(framed("\x95\1\x80\xa17\xa1S\x91" .. one:rep(n) .. "\7"),
            "binary")
        end
        assert.is_true((nested(most)))
        assert.equal("otherwise", (nested(most + 1)))
      end
    end
  end)

  it("finds what Lua finds, in whatever form it is", function()
    math.randomseed(2718)
    local lua, calls, others = protocol.new(64), 0, 0
    local read = reader()
    for round = 1, 4000 do
      local bytes = record()
      for _ = 1, round % 3 * random(0, 1) do
        if #bytes > 0 then bytes = damaged(bytes) end
      end
      local is_call, id, target, args, n = read(framed(bytes), "binary")
      if is_call == true then
        calls = calls + 1
        local wanted = lua.parse(bytes)
        assert.is_true(alike({ type = 1, id = id, target = target, args = args,
          n = n }, wanted), bytes)
        assert.same({ math.type(wanted.n) }, { math.type(n) })
      else
        others = others + 1
      end
    end
    assert.is_true(calls > 500 and others > 500)
  end)

  it("raises what others raise", function()
    local read = core.packed_reader(99, 9, null, map_mark, function()
      error "mine"
    end)
    assert.error_matches(function() read("x", "binary") end, "mine")
    assert.error_matches(function() read(nil, "binary") end, "string expected")
    assert.error_matches(function() read("x", "nonsense") end, "binary")
    assert.error_matches(function() core.packed_reader(9, 9, 1, map_mark) end,
      "function expected")
    assert.error_matches(function() core.packed_reader(9, 9, 1, 1, print) end,
      "table expected")
    assert.error_matches(function() core.packed_reader("x", 1) end,
      "number expected")
    assert.error_matches(function() core.packed_reader(1, 1.5) end,
      "number has no integer")
  end)
end)

describe("core.packed_writer", function()
  local write = core.packed_writer(function(id, v)
    return "otherwise", id, v
  end)

  local function record_of(id, v)
    return framed("\x95\3\x80" .. writer.text(id) .. "\3" .. pack.encode(v))
  end

  it("writes what Lua writes", function()
    local all = { true, false, "", ("a"):rep(31), ("b"):rep(32),
      ("c"):rep(255), ("d"):rep(256), ("e"):rep(65535), ("f"):rep(65536),
      "\0\u{1F600}", 0.0, -0.0, 1.5, 1e300, math.huge, 2.0 ^ 53,
      math.maxinteger, math.mininteger }
    for shift = 0, 62 do
      for off = -1, 1 do
        all[#all + 1] = (1 << shift) + off
        all[#all + 1] = -(1 << shift) + off
      end
    end
    for _, id in ipairs { "7", "", ("i"):rep(31), ("j"):rep(32),
      ("k"):rep(256), "\u{E4}" } do
      for _, v in ipairs(all) do
        assert.equal(record_of(id, v), write(id, v))
      end
      assert.equal(record_of(id, nil), write(id))
    end
    -- lengths of one byte, two and three
    for n = 100, 140 do
      assert.equal(record_of("7", ("x"):rep(n)), write("7", ("x"):rep(n)))
    end
    for n = 16370, 16390 do
      assert.equal(record_of("7", ("x"):rep(n)), write("7", ("x"):rep(n)))
    end
  end)

  it("leaves the rest to others", function()
    for _, v in ipairs { {}, null, "\255", "\xed\xa0\x80", print, io.stdout,
      pack.binary "x" } do
      assert.same({ "otherwise", "7", v }, { write("7", v) })
    end
    assert.same({ "otherwise", "\255", 1 }, { write("\255", 1) })
    assert.error_matches(function() write({}, 1) end, "string expected")
    assert.error_matches(function() core.packed_writer(1) end,
      "function expected")
  end)
end)
