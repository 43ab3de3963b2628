-- core.call_reader and core.result_writer: an invocation and its result where
-- nothing about them is rare, and what is left to others.

local core = require "evws.core"

local null = io.stdout -- any userdata; cjson's is a pointer

describe("core.call_reader", function()
  local asked, decoded

  -- Of the arguments it is told what they are.
  local function reader(args, most, value)
    return core.call_reader(most or math.huge, function(text)
      decoded = text
      if args == "raise" then error "no JSON" end
      return args
    end, value or function(raw) return { raw } end, function(bytes, kind)
      asked = { bytes, kind }
      return "otherwise", nil, 7
    end)
  end

  local function read(bytes, args)
    asked, decoded = nil, nil
    return { n = 6, reader(args or {})(bytes, "text") }
  end

  local plain = '{"arguments":[1],"invocationId":"7","target":"S","type":1}\30'

  it("reads what it may be", function()
    for bytes, id in pairs {
      [plain] = "7",
      ['{"type":1,"target":"S","arguments":[1]}\30'] = false,
      ['{"type":1,"target":"S","invocationId":"\u{E4} \127",'
        .. '"arguments":[1]}\30'] = "\u{E4} \127" } do
      local got = read(bytes, { "a" })
      assert.same({ n = 6, true, id or nil, "S", { "a" }, 1, nil }, got, bytes)
      assert.equal("[1]", decoded)
      assert.is_nil(asked)
    end
  end)

  it("leaves an integer as it was read, of 64 bits", function()
    local most = 9007199254740993 -- no double
    local got = read(plain, { most, -most, math.mininteger, 2.0, 2.0 ^ 53 })
    for i, n in ipairs { most, -most, math.mininteger, 2, 2 ^ 53 | 0 } do
      assert.equal("integer", math.type(got[4][i]))
      assert.equal(n, got[4][i])
    end
  end)

  it("hands the arguments on as they are", function()
    for _, args in ipairs { '["]","}\\"","\\\\"]', '[{"a":[1,{"b":[2]}]},[ 3]]',
      "[ 1 , 2 ]", '["\u{1F600}",{}]', "[1}", '["\\\1"]' } do
      read('{"type":1,"arguments":' .. args .. ',"target":"S"}\30', { 1 })
      assert.equal(args, decoded)
    end
    for _, args in ipairs { "[]", "[ ]", "[   ]" } do
      assert.same({ n = 6, true, nil, "S", {}, 0, nil },
        read('{"type":1,"arguments":' .. args .. ',"target":"S"}\30'))
      assert.is_nil(decoded)
    end
  end)

  it("leaves the rest to others, and says what they say", function()
    local function other(bytes, args)
      assert.same({ n = 6, "otherwise", nil, 7 }, read(bytes, args), bytes)
      assert.same({ bytes, "text" }, asked)
    end
    for i = 0, #plain - 1 do other(plain:sub(1, i)) end
    for i = 1, #plain do
      other(plain:sub(1, i) .. "\30" .. plain:sub(i + 1))
      other(plain:sub(1, i - 1) .. "\0" .. plain:sub(i + 1))
    end
    for _, field in ipairs { '"type":1', '"type":10', '"type":1.0',
      '"type":"1"', '"type" :1', '"type": 1', '"Type":1', '"headers":{}',
      '"streamIds":[]', '"invocationId":null', '"invocationId":""',
      '"invocationId":"\\u0041"', '"invocationId":7', '"target":"T"',
      '"arguments":[]', "" } do
      other('{"type":1,"target":"S","arguments":[1],' .. field .. "}\30")
      other("{" .. field .. ',"type":1,"target":"S","arguments":[1]}\30')
    end
    for _, args in ipairs { "{}", "null", "1", '"[]"', "[[]]", "[[ ]]",
      '[{"a":[]}]', "[\t1]", '["\n"]', "[1", '["]', '["\\', "]" } do
      other('{"type":1,"target":"S","arguments":' .. args .. "}\30")
    end
    for _, cut in ipairs { '["abc', '["abc\\', '["abc\\"', '["a","' } do
      other('{"type":1,"target":"S","arguments":' .. cut)
    end
    other('{"type":1,"target":"S"}\30')
    other('{"type":1,"arguments":[1]}\30')
    other('{"target":"S","arguments":[1]}\30')
    other(plain .. " ")
    other(plain, "raise")
    other(plain, 7)
    asked = nil
    assert.equal("otherwise", (reader({}, #plain - 1)(plain, "text")))
    assert.is_true((reader({}, #plain)(plain, "text")))
    assert.equal("otherwise", (reader {}(plain, "binary")))
    assert.same({ plain, "binary" }, asked)
  end)

  it("makes values of the arguments", function()
    local huge = 1e308 * 10
    local args = { 1.0, -0.0, 1.5, -2.0 ^ 53, 2.0 ^ 53 + 2, "a", true, false,
      null, { 1 } }
    local got = { reader(args)(plain, "text") }
    assert.same({ true, "7", "S", { 1, 0, 1.5, -2 ^ 53 | 0, 2.0 ^ 53 + 2, "a",
      true, false, nil, { { 1 } } }, 10, nil }, got)
    for i, kind in ipairs { "integer", "integer", "float", "integer",
      "float" } do
      assert.equal(kind, math.type(got[4][i]))
    end
    for _, bad in ipairs { huge, -huge } do
      got = { reader { 1.0, bad, 2.0 }(plain, "text") }
      assert.same({ true, "7", "S", { 1, nil, 2 }, 3, "a number is too large" },
        got)
    end
    got = { reader({ { 1 }, 2.0, { 3 } }, nil, function(raw)
      if raw[1] == 3 then return nil, "three" end
      return "one"
    end)(plain, "text") }
    assert.same({ true, "7", "S", { "one", 2 }, 3, "three" }, got)
  end)

  it("raises what others raise", function()
    local read_it = core.call_reader(9, print, print, function()
      error "mine"
    end)
    assert.error_matches(function() read_it("x", "text") end, "mine")
    assert.error_matches(function() read_it(nil, "text") end, "string expected")
    assert.error_matches(function() core.call_reader(9, print, print) end,
      "function expected")
    assert.error_matches(function() core.call_reader("x", print) end,
      "number expected")
  end)
end)

describe("core.result_writer", function()
  local write = core.result_writer(function(id, value)
    return "otherwise", id, value
  end)

  local function other(id, value)
    assert.same({ "otherwise", id, value }, { write(id, value) })
  end

  it("writes what has one form", function()
    for text, value in pairs { ["0"] = 0, ["-1"] = -1, ["1000"] = 1000,
      ["9223372036854775807"] = math.maxinteger,
      ["-9223372036854775808"] = math.mininteger, ["true"] = true,
      ["false"] = false, ['""'] = "", ['"a \u{E4}\127"'] = "a \u{E4}\127",
      ['"' .. ("x"):rep(5000) .. '"'] = ("x"):rep(5000) } do
      local id = ("7"):rep(#text % 90)
      assert.equal(('{"type":3,"invocationId":"%s","result":%s}\30'):format(id,
        text), write(id, value))
    end
    assert.equal('{"type":3,"invocationId":"a","result":null}\30',
      write("a", nil))
    assert.equal(write("a", nil), (write "a"))
  end)

  it("leaves the rest to others", function()
    for _, value in ipairs { 1.5, 1.0, {}, print, 'a"b', "a\\b", "\n", "\0",
      "\255", "\u{E4}\xc3", "\xed\xa0\x80" } do other("7", value) end
    for _, id in ipairs { '"', "\\", "\1" } do other(id, 1) end
    assert.error_matches(function() core.result_writer() end,
      "function expected")
  end)
end)
