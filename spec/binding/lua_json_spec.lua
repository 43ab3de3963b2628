-- ws.json_split, and core.json_decode, which reads the same texts to values.

local core = require "evws.core"
local ws = require "evws"

local null, map_mark = setmetatable({}, {}), {}

local function decode(text, depth)
  return core.json_decode(text, depth or 64, null, map_mark)
end

local taken = {
  "0", "-0", "12", "-1.5", "1e5", "1E+5", "0.25e-3", '""', '"a"', '"\\""',
  '"\\\\"', '"\\u00e9"', '"\\ud83d\\ude00"', '"\\ud800"',
  '"\\/\\b\\f\\n\\r\\t"',
  '"\u{1F600}"', "true", "false", "null", "[]", "{}", "[1]", "[1,2]",
  "[[],[[]],{}]", '{"a":1}', '{"a":{"b":[{"c":null}]},"d":""}',
  ' {\t"a"\r\n: [ 1 , 2 ] } \n', '"\127"',
}

local refused = {
  "", " ", "-", "01", "1.", ".5", "+1", "1e", "1e+", "0x10", "NaN", "Infinity",
  "-Infinity", "nul", "nulll", "True", "'a'", '"', '"a', '"\\', '"\\x"',
  '"\\u12g4"', '"\\u123', '"a\nb"', '"\0"', "a", "[", "]", "[1", "[1,", "[1,]",
  "[,1]", "[1 2]", "[1}", "{", "}", '{"a"', '{"a":', '{"a":1', '{"a":1,',
  '{"a":1,}', "{,}", "{1:2}", '{"a",1}', '{"a":1]', '{"a" 1}', '{"a":1 "b":2}',
  "1 2", "{}{}", "[]]", "// 1", "1 // 1", "\u{FEFF}1", "\0", "1\0", "[1]\0",
  "\v1", "\f1",
}

describe("ws.json_split", function()
  it("takes JSON as it is, but for the blanks around it", function()
    for _, text in ipairs(taken) do
      local bare = text:match "^%s*(.-)%s*$"
      assert.equal(bare, ws.json_split(text, 0))
    end
  end)

  it("refuses what is no JSON, and says where", function()
    for _, text in ipairs(refused) do
      for levels = 0, 3 do
        local value, why = ws.json_split(text, levels)
        assert.is_nil(value)
        assert.is_truthy(why:find "^no JSON at byte %d+$", text)
      end
    end
    assert.same({ nil, "no JSON at byte 6" },
      { ws.json_split("[1,2,]") })
    assert.same({ nil, "text is not UTF-8" }, { ws.json_split '"\xff"' })
  end)

  it("refuses every text that is cut", function()
    local text = '{"a":[1.5e-3,"\\u00e9\\n",{"b":[true,false,null,{}]}]}'
    for n = 0, #text - 1 do
      assert.is_nil(ws.json_split(text:sub(1, n)))
    end
    assert.is_table(ws.json_split(text))
  end)

  it("makes tables of as many levels of objects as it is told", function()
    local text = '{ "a" : {"b": { "c":1 } } , "d": [ {"e":2} ],"f":"x"}'
    assert.same({ a = '{"b": { "c":1 } }', d = '[ {"e":2} ]', f = '"x"' },
      ws.json_split(text))
    assert.same({ a = { b = '{ "c":1 }' }, d = '[ {"e":2} ]', f = '"x"' },
      ws.json_split(text, 2))
    assert.same({ a = { b = { c = "1" } }, d = '[ {"e":2} ]', f = '"x"' },
      ws.json_split(text, 9))
  end)

  it("makes a list of a text that is one, and of no other", function()
    assert.same({ "1", "[2, 3]", { a = "[ 4]" } },
      ws.json_split(' [1, [2, 3], {"a":[ 4]}]', 2))
    assert.same({}, ws.json_split "[]")
  end)

  it("reads keys, and takes the last of those that are the same", function()
    assert.same({ ['a"\u{e9}\u{1F600}'] = "1", [""] = "2", b = "4" },
      ws.json_split '{"a\\"\\u00e9\\ud83d\\ude00":1,"":2,"b":3,"b":4}')
    assert.same({ ["\0"] = "1" }, ws.json_split '{"\\u0000":1}')
    assert.same({ ["\u{FFFD}x"] = "1", ["\u{FFFD}\u{E9}"] = "2",
      ["\u{FFFD}"] = "3" }, ws.json_split
      '{"\\ud800x":1,"\\ud800\\u00e9":2,"\\udc00":3}')
    -- halves of a pair beside what is none
    for text, want in pairs { ["\\ue000"] = "\u{E000}",
      ["\\uffff"] = "\u{FFFF}", ["\\ud800\\n1234"] = "\u{FFFD}\n1234",
      ["\\ud800123456"] = "\u{FFFD}123456",
      ["\\ud800\\ue000"] = "\u{FFFD}\u{E000}",
      ["\\ud800\\ud800"] = "\u{FFFD}\u{FFFD}",
      ["\\udbff\\udfff"] = "\u{10FFFF}" } do
      assert.same({ [want] = "1" }, ws.json_split('{"' .. text .. '":1}'))
    end
  end)

  it("counts what is nested, 64 levels unless told otherwise", function()
    local function nested(n) return ("["):rep(n) .. ("]"):rep(n) end
    assert.is_truthy(ws.json_split(nested(64)))
    assert.same({ nil, "nested too deep" }, { ws.json_split(nested(65)) })
    assert.is_truthy(ws.json_split(nested(1024), 0, 1024))
    assert.is_nil(ws.json_split(nested(1025), 0, 1024))
    assert.same({ nil, "nested too deep" }, { ws.json_split("{}", 1, 0) })
    assert.equal("1", ws.json_split("1", 1, 0))
    local deep = ('{"a":'):rep(1024) .. "1" .. ("}"):rep(1024)
    local inner = ws.json_split(deep, 1024, 1024)
    for _ = 1, 1024 do inner = inner.a end
    assert.equal("1", inner)
    assert.is_nil(ws.json_split(("["):rep(100000), 0, 1024))
  end)

  it("raises for other than text and small numbers", function()
    assert.has_error(function() ws.json_split(1) end)
    assert.has_error(function() ws.json_split("1", -1) end,
      "bad argument #2 to 'json_split' (0 to 1024 expected)")
    assert.has_error(function() ws.json_split("1", 1, 1025) end,
      "bad argument #3 to 'json_split' (0 to 1024 expected)")
  end)

  it("leaves no error in a text of any bytes", function()
    math.randomseed(7)
    local letters = '{}[]",:0 1e.-\\u"tfn\n'
    for _ = 1, 20000 do
      local text = {}
      for i = 1, math.random(12) do
        local at = math.random(#letters)
        text[i] = letters:sub(at, at)
      end
      text = table.concat(text)
      local raw = ws.json_split(text, 0)
      assert.equal(raw == nil, ws.json_split(text, 3) == nil)
      assert.equal(raw == nil, decode(text) == nil)
    end
  end)
end)

describe("core.json_decode", function()
  it("gives the values that a text has", function()
    assert.same({ a = { 1, 2.5, { b = null }, true, false, "x\n" } },
      decode '{"a":[1,2.5,{"b":null},true,false,"x\\n"]}')
    assert.equal(null, decode "null")
    assert.equal("\u{E9}\u{1F600}", decode '"\\u00e9\\ud83d\\ude00"')
  end)

  it("tells integers from others as long as they can be told", function()
    for text, value in pairs { ["1"] = 1, ["1.0"] = 1, ["1e2"] = 100,
      ["9223372036854775807"] = math.maxinteger, ["-0"] = 0,
      ["9007199254740993"] = 9007199254740993 } do
      assert.equal("integer", math.type(decode(text)))
      assert.equal(value, decode(text))
    end
    assert.equal(1e19, decode "10000000000000000000")
    assert.equal("float", math.type(decode "1e300"))
    assert.is_nil(decode "1e999")
    assert.is_nil(decode("[" .. ("1"):rep(500) .. "]"))
  end)

  it("tells them up to 2^53 where they have a point or an exponent",
    function()
      for text, value in pairs { ["9007199254740992.0"] = 1 << 53,
        ["-9007199254740992e0"] = -(1 << 53), ["9007199254740991.0"]
        = (1 << 53) - 1, ["9007199254740994.0"] = 2.0 ^ 53 + 2,
        ["-9007199254740994.0"] = -2.0 ^ 53 - 2, ["0.5"] = 0.5,
        ["-1.5e0"] = -1.5 } do
        assert.same({ text, math.type(value), value },
          { text, math.type(decode(text)), decode(text) })
      end
    end)

  it("takes numbers of less than 400 characters", function()
    for _, head in ipairs { "0.", "-1.", "1e" } do
      local function long(n) return head .. ("0"):rep(n - #head) end
      assert.equal(tonumber(long(399)), decode(long(399)))
      assert.is_nil(decode(long(400)))
      assert.is_nil(decode("[" .. long(400) .. "]"))
      assert.same({ tonumber(long(399)), 1 },
        decode("[" .. long(399) .. ",1]"))
    end
  end)

  it("marks an object without members, and no list", function()
    assert.equal(map_mark, getmetatable(decode "{}"))
    assert.is_nil(getmetatable(decode "[]"))
    assert.is_nil(getmetatable(decode '{"a":1}'))
    local list = decode "[[],{},[{}]]"
    assert.is_nil(getmetatable(list[1]))
    assert.equal(map_mark, getmetatable(list[2]))
    assert.equal(map_mark, getmetatable(list[3][1]))
  end)
end)

describe("ws.hmac_sha256", function()
  local function hex(bytes)
    return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
  end

  it("signs as RFC 4231 shows it", function()
    for _, case in ipairs {
      { ("\x0b"):rep(20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b"
        .. "881dc200c9833da726e9376c2e32cff7" },
      { "Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426"
        .. "089575c75a003f089d2739839dec58b964ec3843" },
      { ("\xaa"):rep(131), "Test Using Larger Than Block-Size Key - Hash "
        .. "Key First", "60e431591ee0b67f0d8a26aacbf5b77f"
        .. "8e0bc6213728c5140546040f0ee37f54" },
    } do
      assert.equal(case[3], hex(ws.hmac_sha256(case[1], case[2])))
    end
    assert.equal(32, #ws.hmac_sha256("", ""))
  end)

  it("takes strings, or it raises", function()
    for _, wrong in ipairs { 1, true, {} } do
      assert.has_error(function() ws.hmac_sha256("a", wrong) end)
      assert.has_error(function() ws.hmac_sha256(wrong, "a") end)
    end
  end)
end)
