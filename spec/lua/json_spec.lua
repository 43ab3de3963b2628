-- evws.json_writer and evws.json_reader: what is written is JSON (RFC 8259)
-- that brings the same value back, and what is read is no less strict.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local json_reader = require "evws.json_reader"
local json_writer = require "evws.json_writer"
local values = require "evws.values"

local null, map = values.null, values.map

local function encode(value, depth)
  return json_writer.encode(value, depth or 64)
end

local reader = json_reader.new(64)

local function decode(text)
  local raw, why = reader.parse(text)
  if raw == nil then return nil, why end
  return reader.value(raw)
end

describe("the JSON writer", function()
  it("writes scalars", function()
    local cases = {
      [0] = "0", [42] = "42", [-1] = "-1",
      [math.maxinteger] = "9223372036854775807",
      [math.mininteger] = "-9223372036854775808",
      [9007199254740993] = "9007199254740993",
      [0.1] = "0.1", [1.5] = "1.5", [1 / 3] = "0.3333333333333333",
      [5e-324] = "4.94065645841247e-324", [1e300] = "1e+300",
      [0.1 + 0.2] = "0.30000000000000004",
      [""] = '""', ["a"] = '"a"', ["ä€😀"] = '"ä€😀"',
      [true] = "true", [false] = "false",
    }
    for value, text in pairs(cases) do assert.equal(text, encode(value)) end
    assert.equal("42", encode(42.0))
    assert.equal("1.2345678901234568e+17", encode(123456789012345680.0))
    assert.equal("-0", encode(-0.0))
    assert.equal("null", encode(nil))
    assert.equal("null", encode(null))
  end)

  it("escapes whatever must be, and no more", function()
    assert.equal([["\"\\/\b\f\n\r\t"]], encode '"\\/\b\f\n\r\t')
    assert.equal([["\u0000\u001e\u001f]] .. "\127\"", encode "\0\30\31\127")
    for code = 0, 31 do
      local text = encode("a" .. string.char(code))
      assert.is_nil(text:find "[\0-\31]")
      assert.equal("a" .. string.char(code), decode("[" .. text .. "]")[1])
    end
  end)

  it("writes lists and maps, and keeps them apart when empty", function()
    assert.equal("[]", encode {})
    assert.equal("{}", encode(map {}))
    assert.equal('[1,"a",[],null]', encode { 1, "a", {}, null })
    assert.equal('{"a":{"b":[true]}}', encode { a = { b = { true } } })
    assert.equal('{"1":"x"}', encode(map { "x" }))
    assert.equal('{"-7":1}', encode { [-7] = 1 })
  end)

  it("writes bytes as base64 and times as RFC 3339", function()
    for bytes, text in pairs { [""] = "", f = "Zg==", fo = "Zm8=",
      foo = "Zm9v", foob = "Zm9vYg==", fooba = "Zm9vYmE=",
      foobar = "Zm9vYmFy", ["\xff\xfe\xfd"] = "//79" } do
      assert.equal('"' .. text .. '"', encode(values.binary(bytes)))
    end
    assert.equal('["1970-01-01T00:00:01.5Z"]', encode { values.time(1.5) })
  end)

  it("says what cannot be written, and where", function()
    local loop = {}
    loop[1] = loop
    local cases = {
      { 0 / 0, "NaN and infinities have no form in JSON", "" },
      { { 1, -math.huge }, "NaN and infinities have no form in JSON", "[2]" },
      { { a = { print } }, "a function cannot be written", ".a[1]" },
      { "\xff", "text is not UTF-8", "" },
      { { ["\xff"] = 1 }, "text is not UTF-8", "" },
      { { [true] = 1 }, "a key is neither a string nor an integer", "" },
      { { 1, a = 1 }, "a table is both a list and a map", "" },
      { { 1, nil, 3 }, "a list has a hole", "[2]" },
      { { 1, [3] = 3 }, "a list has a hole", "[2]" },
      { { values.extension(1, "") }, "an extension has no form in JSON",
        "[1]" },
      { values.time(1 << 40), "the year has not four digits", "" },
      { loop, "nested too deep", ("[1]"):rep(64) },
    }
    for _, case in ipairs(cases) do
      local text, why, where = encode(case[1])
      assert.is_nil(text)
      assert.same({ case[2], case[3] }, { why, where })
    end
  end)

  it("writes lists whatever way they were made", function()
    for n = 2, 40 do
      local list, text = {}, {}
      for i = n, 1, -1 do list[i], text[i] = i, tostring(i) end
      assert.equal("[" .. table.concat(text, ",") .. "]", (encode(list)))
      list[n + 2] = 1
      assert.is_nil((encode(list)))
    end
    -- those whose keys stand in no order
    for _, made in ipairs { "[2]=2,[1]=1", "[3]=3,[1]=1,[2]=2",
      "[3]=3,[2]=2,[1]=1", "1,[3]=3,[2]=2", "[4]=4,[2]=2,[3]=3,[1]=1",
      "[5]=5,[4]=4,[3]=3,[2]=2,[1]=1" } do
      local list = assert(load("return {" .. made .. "}"))()
      local text = {}
      for i = 1, #list do text[i] = tostring(i) end
      assert.equal("[" .. table.concat(text, ",") .. "]", (encode(list)))
    end
  end)

  it("writes lists and maps as deep as it is told, and no deeper", function()
    for depth = 1, 4 do
      for kind = 1, 3 do -- lists, maps, and both by turns
        local value, text = 1, "1"
        local place = ""
        for i = 1, depth do
          if kind == 1 or kind == 3 and i % 2 == 0 then
            value, text, place = { value }, "[" .. text .. "]", "[1]" .. place
          else
            value, text, place = { a = value }, '{"a":' .. text .. "}",
              ".a" .. place
          end
        end
        assert.equal(text, (json_writer.encode(value, depth)))
        local got, why, where = json_writer.encode(value, depth - 1)
        assert.is_nil(got)
        assert.same({ "nested too deep", place:sub(1, kind == 1 and -4 or -3) },
          { why, where })
      end
    end
    assert.equal("1", (json_writer.encode(1, 0)))
    assert.equal("null", (json_writer.encode(values.null, 0)))
  end)
end)

describe("the JSON reader", function()
  it("has integers up to 2^53, and floats beyond", function()
    local list = decode "[0, -1, 42.0, 1e2, 9007199254740992, -0, 1.5, 1e17]"
    assert.same({ 0, -1, 42, 100, 2 ^ 53 | 0, 0, 1.5, 1e17 }, list)
    for i = 1, 6 do assert.equal("integer", math.type(list[i])) end
    assert.equal("float", math.type(list[8]))
    assert.equal("room 1", "room " .. list[3] // 42)
  end)

  it("keeps empty lists and maps apart, and nulls in their places", function()
    for _, text in ipairs { "[]", "{}", "[[],{},[{}],null]", '{"a":[]}',
      '["[]","\\"[]",[],"\\\\",[]]', '[[[]],"]["]', "[null,null]",
      '{"[]":"[]\\\\"}' } do
      assert.equal(text, encode(decode(text)))
    end
    assert.equal("[[],[],{}]", encode(decode "[[ ], [\n\t], { } ]"))
  end)

  it("counts the elements of raw lists", function()
    assert.equal(0, reader.count(reader.parse "[]"))
    assert.equal(2, reader.count(reader.parse "[null,[]]"))
    assert.is_nil(reader.count(reader.parse '{"a":1}'))
    assert.is_nil(reader.count(reader.parse "{}"))
    assert.is_nil(reader.count "a")
  end)

  it("refuses what is no JSON", function()
    for _, text in ipairs { "", "[", "[1,]", "[NaN]", "[Infinity]", "[0x10]",
      "[01]", "[1] 2", '["\\ud800"]', '["\xff"]', '["\xed\xa0\x80"]',
      '["\0"]', "[1]\0", "{'a':1}", '["', '["\\', '["\\"]',
      "[[]", "[]]", ("["):rep(65) .. ("]"):rep(65), "[" .. ("[],"):rep(9) } do
      local value, why = decode(text)
      assert.is_nil(value, text)
      assert.is_string(why)
    end
  end)

  it("refuses numbers that no float can hold", function()
    assert.same({ "a number is too large" }, { select(2, decode "[1e999]") })
    assert.is_nil(decode '{"a":[-1e999]}')
  end)

  it("takes the last of two equal keys", function()
    assert.same({ a = 2 }, decode '{"a":1,"a":2}')
  end)

  it("takes time that grows with the text, and no more", function()
    local blanks = (" "):rep(20000)
    assert.is_nil(decode(("[" .. blanks):rep(20)))
    assert.is_table(decode("[" .. ("[" .. blanks .. "],"):rep(20) .. "1]"))
    assert.is_nil(decode('["' .. ("\\"):rep(100001)))
  end)

  it("reads back whatever was written", function()
    math.randomseed(3)
    local random = math.random
    local made
    local makers = {
      function() return random(-2 ^ 53 | 0, 2 ^ 53 | 0) end,
      function() return random() * 2.0 ^ random(-60, 30) end,
      function() return utf8.char(random(0, 0xd7ff), random(0, 127)) end,
      function() return random() < 0.5 end,
      function() return null end,
      function(depth)
        local list = {}
        for i = 1, random(0, 9) do list[i] = made(depth - 1) end
        return list
      end,
      function(depth)
        local fields = map {}
        for _ = 1, random(0, 9) do
          fields["k" .. random(99)] = made(depth - 1)
        end
        return fields
      end,
    }
    function made(depth)
      return makers[random(depth > 0 and #makers or #makers - 2)](depth)
    end
    for _ = 1, 500 do
      local value = { made(5) }
      assert.same(value, decode(encode(value)))
    end
  end)

  it("never raises, whatever the bytes are", function()
    math.randomseed(11)
    local alphabet = '[]{}",:\\ 01e-.u\ntrfalsn'
    for _ = 1, 20000 do
      local list = {}
      for i = 1, math.random(0, 24) do
        local at = math.random(#alphabet)
        list[i] = alphabet:sub(at, at)
      end
      local value, why = decode(table.concat(list))
      assert.is_true(value ~= nil or type(why) == "string")
    end
  end)
end)
