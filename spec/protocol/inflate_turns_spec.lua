-- src/protocol/inflate.c and compression.c: a long message is inflated in
-- several turns, each of which does so much work.

local protocol = require "evws_probe".protocol
local deflate = require "evws_probe".deflate
local frame = require "spec.helper.raw".frame
local words = require "spec.helper.filler".words

local pool = deflate.pool()
local both = { server_takeover = true, client_takeover = true }

-- A block that holds nothing but its own code lengths (RFC 1951 3.2.7).
local function empty_blocks(n)
  local bits = {}
  local function put(value, count)
    for i = 0, count - 1 do bits[#bits + 1] = value >> i & 1 end
  end
  put(0, 1) put(2, 2) put(0, 5) put(0, 5) put(14, 4)
  for _, symbol in ipairs { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3,
    13, 2, 14, 1 } do
    put((symbol == 18 or symbol == 1) and 1 or 0, 3)
  end
  put(1, 1) put(127, 7) put(1, 1) put(107, 7) -- 256 times 0
  put(0, 3) -- the end's code, the distance's, and the end
  local text, all = table.concat(bits), {}
  for i = 1, 8 do all[i] = text end
  text = table.concat(all) -- so that it ends with a byte
  return (text:gsub(("."):rep(8), function(byte)
    return string.char(tonumber(byte:reverse(), 2))
  end):rep(n // 8))
end

local function turns(data, work, o)
  local e = protocol.new("server", o and o.message, nil, false,
    o and o.agreed or {})
  e:turns(work)
  local list = e:run(frame(o and o.kind or "binary", data, { rsv = 4 }),
    o and o.cuts)
  return list, e:later(), e
end

describe("inflating in turns", function()
  it("is as good as in one", function()
    local text = words(300000)
    local data = pool:whole(text)
    for _, agreed in ipairs { {}, both } do
      for _, cuts in ipairs { #data + 20, 1000 } do
        local list, n = turns(data, 10000, { agreed = agreed, cuts = cuts })
        assert.equal(1, #list)
        assert.is_true(list[1][2] == text)
        assert.is_true(n >= 300000 // 10000 - 7, n) -- the first are short ones
        assert.is_true(n <= 600000 // 10000, n)
      end
    end
  end)

  it("does not put off what is done", function()
    local list, n = turns(pool:whole(words(3000)), 100000)
    assert.equal(1, #list)
    assert.equal(0, n)
  end)

  it("counts blocks that hold nothing", function()
    local data = empty_blocks(4000) .. "\0"
    local list, n = turns(data, 64 * 1024)
    assert.same({ { "binary", "" } }, list)
    assert.is_true(n >= 4000 // 64 - 1 and n <= 4100 // 64, n)
  end)

  it("keeps the limits", function()
    local text = words(200000)
    local data = pool:whole(text)
    local list = turns(data, 1000, { message = #text })
    assert.is_true(list[1][2] == text)
    list = turns(data, 1000, { message = #text - 1 })
    assert.same({ "error", 1009, "the message is too big" }, list[1])
    local bomb = pool:whole(("\0"):rep(300000), { level = 9 })
    list = turns(bomb, 1000, { agreed = { ratio = 100 } })
    assert.same({ "error", 1009, "the message inflates too much" }, list[1])
  end)

  it("judges text as it would in one", function()
    for _, end_of in ipairs { "", "\xe2\x82", "\xff" } do
      for _, at in ipairs { 1, 70000, 150000 } do
        local text = ("\xe2\x82\xac"):rep(at) .. end_of
          .. (end_of == "\xff" and ("x"):rep(1000) or "")
        local data = pool:whole(text)
        for _, work in ipairs { 1000, 65537 } do
          local list = turns(data, work, { kind = "text" })
          if end_of == "" then
            assert.is_true(list[1][2] == text)
          else
            assert.same({ "error", 1007 }, { list[1][1], list[1][2] })
          end
        end
      end
    end
  end)

  it("fails as it would in one", function()
    local data = pool:whole(words(200000))
    for _, wrong in ipairs { data:sub(1, -10), data .. "\x07",
      data:sub(1, 9000) .. ("\xff"):rep(9000) } do
      local want = turns(wrong, 0)
      for _, work in ipairs { 100, 5000 } do
        assert.same(want, (turns(wrong, work)))
      end
    end
  end)

  it("keeps the context, and what comes behind it", function()
    local sender = protocol.new("client", nil, nil, false, both)
    local texts, bytes = {}, {}
    for i = 1, 4 do
      texts[i] = { "text", words(90000) .. i }
      bytes[i] = frame("text", sender:deflate(texts[i][2]), { rsv = 4 })
    end
    table.insert(bytes, 2, frame("ping", "between"))
    table.insert(texts, 2, { "ping", "between" })
    local e = protocol.new("server", nil, nil, true, both)
    e:turns(777)
    assert.same(texts, e:run(table.concat(bytes)))
    assert.is_true(e:later() > 100)
  end)

  it("puts off all of a message, when others have had the turn", function()
    local fail_at = require "evws_probe".buf.fail_at
    local has_fault = fail_at(0)
    local text = words(3000)
    for _, agreed in ipairs { {}, both } do
      local sender = protocol.new("client", nil, nil, false, agreed)
      local before = frame("text", sender:deflate(text), { rsv = 4 })
      local first = frame("text", sender:deflate(text), { rsv = 4 })
      local second = frame("text", sender:deflate(text), { rsv = 4 })
      local n = 0
      local e, got
      repeat
        n = n + 1
        e = protocol.new("server", nil, nil, false, agreed)
        assert.equal(1, #e:run(before))
        e:turns(-(1 << 19), 1) -- nothing is left, for one turn
        if has_fault then fail_at(n) end
        got = e:run(first)
        if has_fault then fail_at(0) end
        if #got > 0 then
          assert.same({ { "error", 1011, "out of memory" } }, got)
        end
      until #got == 0 or n == 20
      assert.is_true(n < 20)
      assert.equal(1, e:later())
      e:turns(1 << 19)
      assert.same({ { "text", text }, { "text", text } }, e:run(second))
    end
  end)

  it("leaves what is remembered of messages sent", function()
    local server = protocol.new("server", nil, nil, false,
      { server_takeover = true })
    local text = words(1000)
    local first = server:deflate(text)
    server:turns(1000)
    local long = words(100000)
    assert.same({ { "text", long } },
      server:run(frame("text", pool:whole(long), { rsv = 4 })))
    assert.is_true(server:later() > 10)
    assert.is_true(#server:deflate(text) < #first / 10)
  end)

  it("may end in the middle", function()
    local e = protocol.new("server", nil, nil, false, {})
    e:turns(1000, 5)
    assert.same({}, e:run(frame("text", pool:whole(words(200000)),
      { rsv = 4 })))
    assert.equal(5, e:later())
    e = nil -- luacheck: ignore
    collectgarbage() -- the sanitizers see whether all is given back
  end)

  it("neither leaks nor lies without memory", function()
    local fail_at = require "evws_probe".buf.fail_at
    if not fail_at(0) then return pending "built without WS_FAULT" end
    local text = words(200000)
    local bytes = frame("text", pool:whole(text), { rsv = 4 })
    for _, agreed in ipairs { {}, both } do
      for n = 1, 20 do
        local e = protocol.new("server", nil, nil, false, agreed)
        e:turns(30000)
        fail_at(n)
        local list = e:run(bytes)
        fail_at(0)
        assert.equal(1, #list)
        if list[1][1] == "text" then
          assert.is_true(list[1][2] == text)
        else
          assert.same({ "error", 1011, "out of memory" }, list[1])
        end
      end
    end
  end)
end)
