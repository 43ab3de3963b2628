-- Messages in chunks (src/protocol/chunk.c): given as they come.

local protocol = require "evws_probe".protocol
local frame = require "spec.helper.raw".frame

-- The events of the bytes, fed in pieces of `cuts`.
local function run(bytes, cuts, limits, role)
  local l = limits or {}
  local e = protocol.new(role or "server", l.message, l.fragments)
  e:chunks(true)
  return e:run(bytes, cuts, l.direct), e
end

-- Messages put together from their chunks; what else came stands between.
local function joined(events)
  local list, parts, kind = {}, {}, nil
  for _, ev in ipairs(events) do
    if ev[3] == "more" or ev[3] == "final" then
      assert(not kind or kind == ev[1])
      kind = ev[1]
      assert(kind == "binary" or utf8.len(ev[2]), "a chunk is not UTF-8")
      assert(ev[3] == "final" or #ev[2] > 0, "an empty chunk")
      parts[#parts + 1] = ev[2]
      if ev[3] == "final" then
        list[#list + 1] = { kind, table.concat(parts) }
        parts, kind = {}, nil
      end
    else
      list[#list + 1] = ev
    end
  end
  return list, #parts > 0
end

-- As joined, for every way to cut the bytes that is tried.
local function same_for_all(wanted, bytes, limits, role)
  for cut = 1, math.min(#bytes, 20) do
    assert.same(wanted, (joined(run(bytes, cut, limits, role))))
  end
  for _ = 1, 20 do
    local cuts = {}
    for i = 1, 200 do cuts[i] = math.random(0, 9) end
    assert.same(wanted, (joined(run(bytes, cuts, limits, role))))
    assert.same(wanted, (joined(run(bytes, cuts,
      { message = limits and limits.message, direct = true }, role))))
  end
end

local function part(opcode, payload)
  return frame(opcode, payload, { fin = false })
end

describe("a message in chunks", function()
  it("that is there whole is one, the final one", function()
    assert.same({ { "text", "Hello", "final" } }, (run(frame("text", "Hello"))))
    assert.same({ { "binary", "\xff", "final" } },
      (run(frame("binary", "\xff"))))
    assert.same({ { "text", "", "final" } }, (run(frame("text", ""))))
  end)

  it("is given as it comes", function()
    local bytes = frame("binary", "abcdef")
    assert.same({ { "binary", "ab", "more" }, { "binary", "cd", "more" },
      { "binary", "ef", "final" } }, (run(bytes, { 8, 2, 2 })))
  end)

  it("may end in an empty one", function()
    assert.same({ { "binary", "a", "more" }, { "binary", "", "final" } },
      (run(part("binary", "a") .. frame("continuation", ""))))
  end)

  it("skips empty fragments", function()
    assert.same({ { "text", "a", "more" }, { "text", "b", "final" } },
      (run(part("text", "") .. part("continuation", "a")
        .. part("continuation", "") .. frame("continuation", "b"))))
  end)

  it("is the same however it is cut", function()
    local text = "k\u{3ba}\u{1f79}\u{3c3}\u{10ffff}\u{20ac}\u{a2}x"
    local bytes = ""
    for i = 1, #text do bytes = bytes .. part(i == 1 and "text"
      or "continuation", text:sub(i, i)) end
    bytes = bytes .. frame("continuation", "") .. frame("text", text)
      .. part("text", text) .. frame("ping", "p")
      .. frame("continuation", text) .. frame("binary", "\xff\xfe")
    same_for_all({ { "text", text }, { "text", text }, { "ping", "p" },
      { "text", text .. text }, { "binary", "\xff\xfe" } }, bytes)
  end)

  it("is the same for a client", function()
    local text = ("\u{20ac}\u{1f600}a"):rep(20)
    local bytes = frame("text", text:sub(1, 31), { fin = false, mask = false })
      .. frame("continuation", text:sub(32), { mask = false })
    same_for_all({ { "text", text } }, bytes, nil, "client")
  end)

  it("of text ends between two characters", function()
    assert.same({ { "text", "a", "more" }, { "text", "\u{20ac}", "more" },
      { "text", "b", "final" } },
      (run(part("text", "a\xe2\x82") .. frame("continuation", "\xacb"))))
    assert.same({ { "text", "\u{1f600}", "final" } },
      (run(part("text", "\xf0") .. part("continuation", "\x9f\x98")
        .. frame("continuation", "\x80"))))
  end)

  it("lets control frames pass, with a character held back", function()
    assert.same({ { "ping", "p" }, { "text", "\u{20ac}", "final" } },
      (run(part("text", "\xe2\x82") .. frame("ping", "p")
        .. frame("continuation", "\xac"))))
  end)

  it("BI-11 fails with 1007 at the first byte that is not UTF-8", function()
    for _, bad in ipairs { "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90",
      "\xe2\x28", "\x80" } do
      for cut = 1, 6 do
        local list = run(part("text", "ok" .. bad), cut)
        local last = list[#list]
        assert.same({ "error", 1007 }, { last[1], last[2] })
        table.remove(list)
        for _, ev in ipairs(list) do assert.is_truthy(utf8.len(ev[2])) end
      end
    end
  end)

  it("fails with 1007 when it ends inside of a character", function()
    for _, bytes in ipairs { frame("text", "a\xe2\x82"),
      part("text", "a\xe2\x82") .. frame("continuation", "") } do
      local list = run(bytes)
      assert.same({ "error", 1007 }, { list[#list][1], list[#list][2] })
    end
  end)

  it("BI-02 holds no bytes of it", function()
    local _, e = run(frame("binary", ("x"):rep(100000), { fin = false }))
    assert.same({ 0, 0 }, { e:message() })
    assert.is_nil(e:space())
  end)

  it("BI-01 over its limit fails with 1009, by the frame's head", function()
    local limits = { message = 10 }
    assert.same({ { "binary", ("x"):rep(10), "final" } },
      (run(frame("binary", ("x"):rep(10)), nil, limits)))
    local list = run(frame("binary", "", { len = 11 }), nil, limits)
    assert.same({ "error", 1009 }, { list[1][1], list[1][2] })
    list = run(part("binary", "12345678") .. frame("continuation", "",
      { len = 3 }), nil, limits)
    assert.same({ "binary", "12345678", "more" }, list[1])
    assert.same({ "error", 1009 }, { list[2][1], list[2][2] })
    list = run(part("binary", "1") .. frame("continuation", "",
      { len = 0x7fffffffffffffff }), nil, limits)
    assert.same({ "error", 1009 }, { list[2][1], list[2][2] })
  end)

  it("has a limit of its own, but where it is compressed", function()
    local function last(bytes, message, stream, compression)
      local e = protocol.new("server", message, nil, nil, compression)
      e:chunks(true, stream)
      local list = e:run(bytes)
      return list[#list]
    end
    local six = part("binary", "123456")
    assert.same({ "binary", "123456", "final" },
      last(six .. frame("continuation", "123456"), 10, 12))
    for _, stream in ipairs { 11, 5 } do -- 5: they are one message all the same
      assert.same({ "error", 1009, "the message is too big" },
        last(six .. frame("continuation", "123456"), 10, stream))
    end
    for _, bytes in ipairs {
      frame("binary", ("x"):rep(11), { rsv = 4 }),
      frame("binary", "123456", { fin = false, rsv = 4 })
        .. frame("continuation", "123456") } do
      assert.same({ "error", 1009, "the message is too big" },
        last(bytes, 10, 100, {}))
    end
  end)

  it("counts the next message afresh", function()
    local six = part("binary", "123") .. frame("continuation", "456")
    local list = run(six:rep(5), nil, { message = 6 })
    assert.same({ "binary", "456", "final" }, list[10])
  end)

  it("BI-04 fails with 1008 for too many empty fragments", function()
    local limits = { fragments = 5 }
    local list = run(part("binary", "") .. part("continuation", ""):rep(9),
      nil, limits)
    assert.same({ "error", 1008 }, { list[1][1], list[1][2] })
    list = run(part("binary", "a") .. part("continuation", "a"):rep(99)
      .. frame("continuation", ""), nil, limits)
    assert.same({ "binary", "", "final" }, list[101])
  end)

  it("fails as a whole one does", function()
    for _, case in ipairs {
      { part("text", "a") .. frame("text", "b"), 1002 },
      { frame("continuation", "b"), 1002 },
      { part("text", "a") .. frame("continuation", "b", { rsv = 4 }), 1002 },
      { frame("text", "a", { mask = false }), 1002 } } do
      local list = run(case[1])
      assert.same({ "error", case[2] }, { list[#list][1], list[#list][2] })
    end
  end)

  it("is chosen when it begins, and stays so", function()
    local e = protocol.new "server"
    assert.same({}, e:run(part("text", "whole ")))
    e:chunks(true)
    assert.same({ { "text", "whole one" } },
      e:run(frame("continuation", "one")))
    assert.same({ { "text", "piece", "more" } }, e:run(part("text", "piece")))
    e:chunks(false)
    assert.same({ { "text", "s", "final" }, { "text", "whole" } },
      e:run(frame("continuation", "s") .. frame("text", "whole")))
  end)
end)
