-- json.lua and messagepack.lua: what a record says, and what is written.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local binary = require "evws.messagepack".binary
local json = require "evws.signalr.json".new(64)
local map = require "evws.messagepack".map
local messagepack = require "evws.signalr.messagepack".new(64)
local null = require "evws.messagepack".null
local values = require "evws.messagepack"
local write = require "evws.messagepack".encode

local function no(message)
  assert.is_nil(message)
end

describe("the protocol json", function()
  it("reads the messages of the specification", function()
    local cases = {
      ['{"type":1,"invocationId":"123","target":"Send","arguments":[42,"x"]}'] =
        { type = 1, id = "123", target = "Send", args = { 42, "x" }, n = 2 },
      ['{"target":"Send","arguments":[],"type":1,"headers":{"a":"b"}}'] =
        { type = 1, target = "Send", args = {}, n = 0 },
      ['{"type":1,"target":"S","arguments":[null,1,null],"streamIds":["1"]}'] =
        { type = 1, target = "S", args = { nil, 1 }, n = 3,
          streams = { "1" } },
      ['{"type":4,"invocationId":"1","target":"C","arguments":[[],{}]}'] =
        { type = 4, id = "1", target = "C", args = { {}, map {} }, n = 2 },
      ['{"type":2,"invocationId":"1","item":null}'] =
        { type = 2, id = "1", item = null },
      ['{"type":2,"invocationId":"1"}'] =
        { type = 2, id = "1", item = null },
      ['{"type":2,"invocationId":"1","item":{"a":[1,null]}}'] =
        { type = 2, id = "1", item = { a = { 1, null } } },
      ['{"type":3,"invocationId":"1","result":42}'] =
        { type = 3, id = "1", has_result = true, result = 42 },
      ['{"type":3,"invocationId":"1","result":null}'] =
        { type = 3, id = "1", has_result = true, result = null },
      ['{"type":3,"invocationId":"1"}'] = { type = 3, id = "1" },
      ['{"type":3,"invocationId":"1","error":"no"}'] =
        { type = 3, id = "1", error = "no" },
      ['{"type":3,"invocationId":"1","error":null,"result":1}'] =
        { type = 3, id = "1", has_result = true, result = 1 },
      ['{"type":5,"invocationId":"1"}'] = { type = 5, id = "1" },
      ['{"type":6}'] = { type = 6 },
      ['{"type":7}'] = { type = 7 },
      ['{"type":7,"error":"x","allowReconnect":true}'] =
        { type = 7, error = "x" },
      ['{"type":8,"sequenceId":1394}'] = { type = 8, sequence = 1394 },
      ['{"type":9,"sequenceId":1}'] = { type = 9, sequence = 1 },
      ['{"type":99,"target":7}'] = { type = 99 },
      ['{"type":1,"invocationId":"","target":"S","arguments":[],'
        .. '"streamIds":[]}'] = { type = 1, target = "S", args = {}, n = 0 },
      ['{"type":1,"invocationId":null,"target":"S","arguments":[]}'] =
        { type = 1, target = "S", args = {}, n = 0 },
    }
    for record, message in pairs(cases) do
      assert.same(message, (json.parse(record)))
    end
    assert.equal("integer", math.type(json.parse(
      '{"type":1,"target":"S","arguments":[42.0]}').args[1]))
  end)

  it("has no message in what is malformed", function()
    for _, record in ipairs { "", "x", "[]", "1", "null", '"a"', "{}",
      '{"type":"1"}', '{"type":1.5}', '{"type":null}', '{"type":[]}',
      '{"type":1,"arguments":[]}', '{"type":1,"target":1,"arguments":[]}',
      '{"type":1,"target":"S"}', '{"type":1,"target":"S","arguments":{}}',
      '{"type":1,"target":"S","arguments":null}',
      '{"type":1,"target":"S","arguments":[],"invocationId":1}',
      '{"type":1,"target":"S","arguments":[],"headers":1}',
      '{"type":1,"target":"S","arguments":[],"streamIds":"1"}',
      '{"type":1,"target":"S","arguments":[],"streamIds":[1]}',
      '{"type":4,"target":"S","arguments":[]}',
      '{"type":4,"invocationId":"","target":"S","arguments":[]}',
      '{"type":2,"item":1}', '{"type":3}', '{"type":5}',
      '{"type":3,"invocationId":"1","result":1,"error":"x"}',
      '{"type":3,"invocationId":"1","error":1}', '{"type":7,"error":1}',
      '{"type":8}', '{"type":8,"sequenceId":"1"}',
      '{"type":9,"sequenceId":1.5}', '{"type":6}x', '{"type":6', "\255",
      '{"type":1,"target":"\\ud800","arguments":[]}' } do
      local message, why = json.parse(record)
      assert.is_nil(message, record)
      assert.is_string(why)
    end
  end)

  it("tells what could not be read from what could not be bound", function()
    local message = json.parse
      '{"type":1,"invocationId":"1","target":"S","arguments":[1e999,2]}'
    assert.same({ "1", "S", 2, "a number is too large" },
      { message.id, message.target, message.n, message.bad })
    assert.is_string(json.parse
      '{"type":2,"invocationId":"1","item":[1e999]}'.bad)
    no(json.parse('{"type":1,"target":"S","arguments":['
      .. ("["):rep(65) .. ("]"):rep(65) .. "]}"))
    assert.is_nil(json.parse('{"type":1,"target":"S","arguments":['
      .. ("["):rep(64) .. ("]"):rep(64) .. "]}").bad)
  end)

  it("writes records", function()
    local cases = {
      [json.invocation(nil, "S", { "a\30", nil, {} }, 3)] =
        '{"type":1,"target":"S","arguments":["a\\u001e",null,[]]}\30',
      [json.invocation("7", 'a"b', {}, 0)] =
        '{"type":1,"invocationId":"7","target":"a\\"b","arguments":[]}\30',
      [json.item("1", nil)] = '{"type":2,"invocationId":"1","item":null}\30',
      [json.result("1", nil)] =
        '{"type":3,"invocationId":"1","result":null}\30',
      [json.result("1", { a = 1 })] =
        '{"type":3,"invocationId":"1","result":{"a":1}}\30',
      [json.failure("1", 'no "x"')] =
        '{"type":3,"invocationId":"1","error":"no \\"x\\""}\30',
      [json.finished("1")] = '{"type":3,"invocationId":"1"}\30',
      [json.close(nil, false)] = '{"type":7}\30',
      [json.close("x", true)] =
        '{"type":7,"error":"x","allowReconnect":true}\30',
      [json.ack(3)] = '{"type":8,"sequenceId":3}\30',
      [json.sequence(1)] = '{"type":9,"sequenceId":1}\30',
      [json.ping] = '{"type":6}\30',
    }
    for written, record in pairs(cases) do assert.equal(record, written) end
    assert.same({ nil, "NaN and infinities have no form in JSON", 2, "[1]" },
      { json.invocation(nil, "S", { 1, { 0 / 0 } }, 2) })
    assert.same({ nil, "a function cannot be written", 1, "" },
      { json.result("1", print) })
    assert.same({ nil, "text is not UTF-8", 1, ".x" },
      { json.item("1", { x = "\255" }) })
  end)
end)

describe("the protocol messagepack", function()
  local function parse(...)
    return messagepack.parse(write { ... })
  end

  local h = map {}

  it("reads the messages of the specification", function()
    local cases = {
      { { type = 1, id = "1", target = "S", args = { 42, "x" }, n = 2 },
        parse(1, h, "1", "S", { 42, "x" }) },
      { { type = 1, target = "S", args = { nil, 1 }, n = 3, streams = { "7" } },
        parse(1, h, null, "S", { null, 1, null }, { "7" }) },
      { { type = 1, target = "S", args = {}, n = 0 },
        parse(1, { a = "b" }, "", "S", {}, {}, "more") },
      { { type = 1, target = "S", args = {}, n = 0 },
        parse(1, map { a = "b" }, null, "S", {}, null) },
      { { type = 4, id = "1", target = "C", args = { {}, map {} }, n = 2 },
        parse(4, h, "1", "C", { {}, h }) },
      { { type = 2, id = "1", item = null }, parse(2, h, "1", null) },
      { { type = 2, id = "1", item = "\255" }, parse(2, h, "1",
        binary "\255") },
      { { type = 3, id = "1", error = "no" }, parse(3, h, "1", 1, "no") },
      { { type = 3, id = "1" }, parse(3, h, "1", 2) },
      { { type = 3, id = "1", has_result = true, result = null },
        parse(3, h, "1", 3, null) },
      { { type = 3, id = "1", has_result = true, result = 2.0 ^ 63 },
        messagepack.parse("\x95\3\x80\xa1" .. "1\3\xcf\x80" .. ("\0"):rep(7)) },
      { { type = 5, id = "1" }, parse(5, h, "1") },
      { { type = 6 }, parse(6) },
      { { type = 7 }, parse(7) }, { { type = 7 }, parse(7, null) },
      { { type = 7, error = "x" }, parse(7, "x", true) },
      { { type = 8, sequence = 5 }, parse(8, 5) },
      { { type = 9, sequence = 5 }, parse(9, 5) },
      { { type = 77 }, parse(77, "what", "ever") },
      { { type = 1, target = "\u{FFFD}", args = { "a\u{FFFD}" }, n = 1 },
        messagepack.parse "\x95\1\x80\xc0\xa1\xff\x91\xa2a\xff" },
    }
    for i, case in ipairs(cases) do
      assert.same({ i, case[1] }, { i, case[2] })
    end
  end)

  it("has no message in what is malformed", function()
    for i, record in ipairs { "", "\xc0", "\x80", "\x90", "\x91\xc0", "\xc1",
      "\x91\xa1a", "\x91\xcb", "\xdd\xff\xff\xff\xff\1",
      write { 1, h, null, "S" }, write { 1, h, null, 1, {} },
      write { 1, h, null, "S", 1 }, write { 1, h, 1, "S", {} },
      write { 1, {}, null, "S", {} }, write { 1, null, null, "S", {} },
      write { 1, 1, null, "S", {} }, write { 1, h },
      write { 1, h, null, "S", {}, "1" }, write { 1, h, null, "S", {}, { 1 } },
      write { 1, h, null, "S", {}, { a = 1 } },
      write { 4, h, null, "S", {} }, write { 4, h, "", "S", {} },
      write { 2, h, "1" }, write { 2, h, null, 1 }, write { 3, h, "1" },
      write { 3, h, "1", 4 }, write { 3, h, "1", 4, 1 },
      write { 3, h, "1", 3 }, write { 3, h, "1", 1, 1 },
      write { 3, h, null, 2 }, write { 5, h, null }, write { 5, h },
      write { 7, 1 }, write { 8 }, write { 8, "1" }, write { 9, 1.0 },
      "\x95\1\x81\xc0\1\xc0\xa1S\x90" } do
      local message, why = messagepack.parse(record)
      assert.is_nil(message, "record " .. i)
      assert.is_string(why)
    end
  end)

  it("tells what could not be read from what could not be bound", function()
    local function bad(arguments, why)
      local message = messagepack.parse("\x95\1\x80\xa1" .. "1\xa1S"
        .. arguments)
      assert.same({ "1", "S", why }, { message.id, message.target,
        message.bad })
    end
    bad("\x91\xd4\5a", "an extension is not known")
    bad("\x91\x81\xc0\1", "a key is neither a string nor an integer")
    bad("\x91\x81\xcb\x7f\xf8" .. ("\0"):rep(6) .. "\1",
      "a key is neither a string nor an integer")
    bad("\x91" .. ("\x91"):rep(65) .. "\1", "nested too deep")
    bad("\x91" .. ("\x91"):rep(30000) .. "\1", "nested too deep")
    bad("\x91\xdd\xff\xff\xff\xff", "incomplete")
    bad("\x91\xdf\xff\xff\xff\xff\1", "incomplete")
    bad("\x91\xdb\xff\xff\xff\xff", "incomplete")
    bad("\x91\xc6\xff\xff\xff\xff", "incomplete")
    bad("\x91\xc9\xff\xff\xff\xff", "incomplete")
    bad("\xdd\xff\xff\xff\xff\1", "incomplete")
    bad("\x91\xc1", "a byte 0xc1 begins no value")
    assert.equal("an extension is not known",
      messagepack.parse("\x94\2\x80\xa1" .. "1\xd4\5a").bad)
  end)

  it("writes records with their length", function()
    local function record_of(bytes, ...)
      local body = write { ... }
      assert.equal(string.char(#body) .. body, bytes)
    end
    record_of(messagepack.invocation("1", "S", { "a", nil }, 2), 1, h, "1",
      "S", { "a", null }, {})
    record_of(messagepack.invocation(nil, "S", {}, 0), 1, h, null, "S", {}, {})
    record_of(messagepack.item("1", nil), 2, h, "1", null)
    record_of(messagepack.result("1", { 1.5 }), 3, h, "1", 3, { 1.5 })
    record_of(messagepack.failure("1", "no"), 3, h, "1", 1, "no")
    record_of(messagepack.finished "1", 3, h, "1", 2)
    record_of(messagepack.close("x", true), 7, "x", true)
    record_of(messagepack.close(nil, false), 7, null, false)
    record_of(messagepack.ack(300), 8, 300)
    record_of(messagepack.sequence(1), 9, 1)
    assert.equal("\2\x91\6", messagepack.ping)
    assert.same({ nil, "a function cannot be written", 1, ".x" },
      { messagepack.invocation(nil, "S", { { x = print } }, 1) })
  end)

  it("writes lengths of 127, 128 and more bytes", function()
    for size, head in pairs { [127] = "\127", [128] = "\128\1",
      [16383] = "\255\127", [16384] = "\128\128\1" } do
      local n = size - (size < 256 and 7 or 8)
      local bytes = messagepack.item("1", values.binary(("x"):rep(n)))
      assert.is_true(bytes:sub(1, #head) == head)
      assert.equal(size, #bytes - #head)
    end
  end)
end)
