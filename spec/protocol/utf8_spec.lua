-- UTF-8 validation (src/protocol/utf8.c): RFC 3629, RFC 6455 8.1. Each
-- variant that this machine can run is held against the grammar of RFC 3629
-- (probe.utf8.judge), and the grammar against Lua's own utf8.len.
local probe = require "evws_probe".utf8

local every_byte = {}
for byte = 0, 255 do every_byte[#every_byte + 1] = string.char(byte) end
every_byte = table.concat(every_byte)

-- both sides of each edge in RFC 3629 4
local edges = "\0\x7F\x80\x8F\x90\x9F\xA0\xBF\xC0\xC1\xC2\xDF\xE0\xE1\xEC"
  .. "\xED\xEE\xEF\xF0\xF1\xF3\xF4\xF5\xF7\xF8\xFF"
-- one byte of each kind
local kinds = "a\x80\x90\xA0\xC1\xC2\xE0\xE1\xED\xF0\xF1\xF4\xF5"

-- "bad", "open" or "whole"; variants that need more bytes get ASCII in front
local function verdict(variant, s, state)
  local short = probe.smallest[variant] - #s
  if short > 0 then
    if state then return nil end
    s = ("a"):rep(short) .. s
  end
  local after = probe.feed(variant, state or 0, s)
  if not after then return "bad" end
  return after == 0 and "whole" or "open", after
end

local function assert_verdict(want, s)
  assert.are.equal(want, probe.judge(s))
  assert.are.equal(want == "whole", probe.is_valid(s))
  for _, variant in ipairs(probe.variants) do
    local got = verdict(variant, s)
    if got ~= want then
      error(("%s: %s instead of %s for %q"):format(variant, got, want, s), 2)
    end
  end
end

-- each text, in two pieces cut everywhere, and byte by byte
local function assert_split(want, s)
  for cut = 0, #s do
    local head, tail = s:sub(1, cut), s:sub(cut + 1)
    for _, variant in ipairs(probe.variants) do
      for _, second in ipairs(probe.variants) do
        if cut >= probe.smallest[variant]
          and #tail >= probe.smallest[second] then
          local got, state = verdict(variant, head)
          assert.are.equal(probe.judge(head), got)
          if got ~= "bad" then got = verdict(second, tail, state) end
          assert.are.equal(want, got)
        end
      end
    end
  end
  local state = 0
  for i = 1, #s do
    state = probe.feed("feed", state, s:sub(i, i))
    local judged = probe.judge(s:sub(1, i))
    assert.are.equal(judged == "bad", state == nil)
    if not state then break end
    assert.are.equal(judged == "whole", state == 0)
  end
end

describe("utf8", function()
  it("takes the examples of RFC 3629 7", function()
    assert_verdict("whole", "A\u{2262}\u{391}.")
    assert_verdict("whole", "\u{D55C}\u{AD6D}\u{C5B4}")
    assert_verdict("whole", "\u{65E5}\u{672C}\u{8A9E}")
    assert_verdict("whole", "\u{FEFF}\u{233B4}")
  end)

  it("takes the empty string", function()
    assert.is_true(probe.is_valid(""))
    assert.are.equal(0, probe.feed("feed", 0, ""))
  end)

  it("is between two characters where a piece ends behind one", function()
    assert_verdict("whole", "\u{E9}")
    assert_verdict("open", "\u{E9}\xC3")
    local state = probe.feed("feed", 0, "\xE2\x82")
    assert.are_not.equal(0, state)
    assert.are.equal(state, probe.feed("feed", state, ""))
    assert.are.equal(0, probe.feed("feed", state, "\xAC"))
    assert.is_false(probe.is_valid("\xE2\x82"))
  end)

  it("takes the first and the last of each length", function()
    for _, c in ipairs { 0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD,
      0xFFFE, 0xFFFF, 0x10000, 0x10FFFF } do
      assert_verdict("whole", utf8.char(c))
    end
  end)

  it("refuses surrogates, overlong forms and what is above U+10FFFF",
    function()
      for _, s in ipairs { "\xED\xA0\x80", "\xED\xAF\xBF", "\xED\xB0\x80",
        "\xED\xBF\xBF", "\xED\xA0\x80\xED\xB0\x80", "\xC0\x80", "\xC1\xBF",
        "\xC0\xAF", "\xE0\x80\xAF", "\xE0\x9F\xBF", "\xF0\x80\x80\xAF",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF7\xBF\xBF\xBF",
        "\xF8\x88\x80\x80\x80", "\xFC\x84\x80\x80\x80\x80", "\xFE", "\xFF" }
      do
        assert_verdict("bad", s)
      end
    end)

  it("BI-11: refuses each wrong class split at every byte", function()
    -- the last byte is the first bad one
    for _, s in ipairs { "\x80", "\xBF", "\xC0", "\xC1", "\xF5", "\xFE",
      "\xFF", "\xC3\x28", "\xC3\xC3", "\xE0\x80", "\xE0\x9F", "\xE2\x28",
      "\xE2\x82\x28", "\xED\xA0", "\xED\xBF", "\xEF\xBF\xC0", "\xF0\x80",
      "\xF0\x8F", "\xF0\x90\x28", "\xF1\x80\x80\xC2", "\xF4\x90", "\xF4\xBF",
      "\u{20AC}\x80", "\u{10FFFF}\x80", "\u{E9}\xA9" } do
      for _, before in ipairs { "", "\u{3BA}", ("a"):rep(40),
        ("\u{20AC}"):rep(20), ("\u{1F600}"):rep(17) .. "abc" } do
        local text = before .. s
        assert.are_not.equal("bad", probe.judge(text:sub(1, -2)))
        assert_verdict("bad", text)
        assert_split("bad", text)
      end
    end
  end)

  it("BI-11: fails at the first bad byte, not at the end of the sequence",
    function()
      -- Autobahn 6.4: U+110000 arrives byte by byte
      local text = "\u{3BA}\u{1F79}\u{3C3}\u{3BC}\u{3B5}"
      local state = assert(probe.feed("feed", 0, text))
      assert.are.equal(0, state)
      state = assert(probe.feed("feed", state, "\xF4"))
      assert.is_nil(probe.feed("feed", state, "\x90"))
    end)

  for _, variant in ipairs(probe.variants) do
    local smallest = probe.smallest[variant]

    local function sweep(alphabet, k, before, after)
      local count, wrong = probe.sweep(variant, alphabet, k, before, after)
      if not count then
        error(("%q after %d and before %d bytes")
          :format(wrong, #before, #after), 2)
      end
      assert.are.equal((#alphabet) ^ k, count)
    end

    it("judges all sequences of 1 to 3 bytes: " .. variant, function()
      for k = 1, 3 do
        sweep(every_byte, k, ("a"):rep(smallest), "")
      end
    end)

    it("judges 4 byte sequences over all edges: " .. variant, function()
      sweep(edges, 4, ("a"):rep(smallest), "")
      sweep(edges, 4, ("a"):rep(smallest + 13), ("a"):rep(90))
    end)

    it("judges sequences wherever a block begins or ends: " .. variant,
      function()
        for before = smallest, smallest + 66 do
          sweep(kinds, 3, ("a"):rep(before), "")
          sweep(kinds, 3, ("a"):rep(before), ("a"):rep(150))
          sweep(kinds, 3, ("\u{E9}"):rep(before // 2) .. ("a"):rep(before % 2),
            ("\u{20AC}"):rep(22))
          sweep(kinds, 2, ("a"):rep(before), ("\x80"):rep(2))
        end
      end)

    it("judges what a piece begins with after each head: " .. variant,
      function()
        local rest = ("a"):rep(smallest)
        for _, head in ipairs { "\xC2", "\xE0", "\xE1", "\xED", "\xF0",
          "\xF1", "\xF4", "\xE0\xA0", "\xED\x9F", "\xF0\x90", "\xF4\x8F",
          "\xF1\x80\x80" } do
          local state = assert(probe.feed("scalar", 0, head))
          for a = 1, #kinds do
            for b = 1, #kinds do
              for c = 1, #kinds do
                local s = kinds:sub(a, a) .. kinds:sub(b, b) .. kinds:sub(c, c)
                  .. rest
                local got = verdict(variant, s, state)
                if got ~= probe.judge(head .. s) then
                  error(("%s: %q %q"):format(got, head, s))
                end
              end
            end
          end
        end
      end)
  end

  it("gives the same verdict for a text in pieces", function()
    for _, s in ipairs {
      "Hello-\u{B5}@\u{DF}\u{F6}\u{E4}\u{FC}\u{E0}\u{E1}-UTF-8!!",
      ("\u{20AC}"):rep(30),
      ("\u{1F600}"):rep(25),
      ("a"):rep(70) .. "\u{E9}" .. ("b"):rep(70),
      "a\u{E9}\u{20AC}\u{1F600}" .. ("x\u{10FFFF}\u{7FF}\u{FFFF}"):rep(9)
    } do
      assert_verdict("whole", s)
      assert_split("whole", s)
      assert_split("open", s .. "\xF0\x90\x80")
    end
  end)

  it("agrees with utf8.len on random text, whole and in pieces", function()
    math.randomseed(6455)
    local pool = { "a", "bc", "\0", "0123456789abcdef", ("z"):rep(64), "\u{E9}",
      "\u{7FF}", "\u{800}", "\u{FFFF}", "\u{10000}", "\u{10FFFF}",
      "\u{20AC}\u{20AC}\u{20AC}" }
    for _ = 1, 3000 do
      local parts = {}
      for i = 1, math.random(0, 40) do parts[i] = pool[math.random(#pool)] end
      local s = table.concat(parts)
      if #s > 0 and math.random(3) > 1 then -- one byte changed or dropped
        local i = math.random(#s)
        local byte = math.random(3) > 1
          and edges:sub(math.random(#edges)):sub(1, 1) or ""
        s = s:sub(1, i - 1) .. byte .. s:sub(i + 1)
      end
      local is_valid = utf8.len(s) ~= nil
      assert.are.equal(is_valid, probe.is_valid(s))
      assert.are.equal(is_valid, probe.judge(s) == "whole")
      for _, variant in ipairs(probe.variants) do
        assert.are.equal(probe.judge(s .. ("a"):rep(40)),
          (verdict(variant, s .. ("a"):rep(40))))
        local state, i = 0, 1
        while state and i <= #s do
          local j = i + math.random(0, 60)
          local piece = s:sub(i, j)
          local by = #piece >= probe.smallest[variant] and variant or "feed"
          state = probe.feed(by, state, piece)
          i = j + 1
        end
        assert.are.equal(is_valid, state == 0)
      end
    end
  end)

  it("reads nothing beside its bytes", function()
    for n = 0, 200 do
      for _, text in ipairs { ("a"):rep(n), ("\u{20AC}"):rep(n // 3),
        ("a"):rep(n) .. "\xF0\x90", ("\u{E9}"):rep(n // 2) .. "\xC1" } do
        for _, variant in ipairs(probe.variants) do
          if #text >= probe.smallest[variant] then
            assert.are.equal((probe.feed(variant, 0, text)),
              (probe.feed_fenced(variant, 0, text)))
          end
        end
      end
    end
  end)

  it("finds one bad byte anywhere in a long ASCII text", function()
    for _, n in ipairs { 1, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128,
      129, 130, 193, 300 } do
      local text = ("a"):rep(n)
      assert_verdict("whole", text)
      for i = 1, n do
        local s = text:sub(1, i - 1) .. "\xFF" .. text:sub(i + 1)
        assert.is_false(probe.is_valid(s))
      end
    end
  end)
end)
