-- Text of others where it is shown (src/base/escape.c).

local escape = require "evws_probe".escape

local kinds = { "word", "ascii", "text", "lines" }

local function all(text, how)
  return escape.escape(text, how, #text * 4 + 8)
end

describe("escape", function()
  it("leaves what is plain, of each kind", function()
    local text = "GET /a?b=1 \\ 'q' \"~"
    assert.equal(text, all(text, "text"))
    assert.equal(text, all(text, "lines"))
    assert.equal((text:gsub("\\", "\\x5c")), all(text, "ascii"))
    assert.equal((text:gsub("\\", "\\x5c"):gsub(" ", "\\x20")),
      all(text, "word"))
    for _, how in ipairs(kinds) do assert.equal("", all("", how)) end
  end)

  it("turns every control character into its number", function()
    for i = 0, 31 do
      local shown = ("\\x%02x"):format(i)
      for _, how in ipairs(kinds) do
        local stays = how == "lines" and (i == 9 or i == 10)
        assert.equal("a" .. (stays and string.char(i) or shown) .. "b",
          all("a" .. string.char(i) .. "b", how))
      end
    end
    for _, how in ipairs(kinds) do
      assert.equal("\\x7f", all("\127", how))
    end
    for i = 0x80, 0x9F do
      assert.equal(("\\xc2\\x%02x"):format(i), all(utf8.char(i), "text"))
    end
  end)

  it("leaves characters of UTF-8 as text, and not as ASCII", function()
    for _, c in ipairs { "\u{a0}", "\u{e9}", "\u{7ff}", "\u{800}", "\u{2027}",
      "\u{202f}", "\u{2065}", "\u{206a}", "\u{d7ff}", "\u{e000}", "\u{ffff}",
      "\u{10000}", "\u{1f600}", "\u{10ffff}" } do
      assert.equal("<" .. c .. ">", all("<" .. c .. ">", "text"))
      assert.equal("<" .. c .. ">", all("<" .. c .. ">", "lines"))
      assert.is_nil(all(c, "ascii"):find "[\x80-\xff]")
    end
  end)

  it("shows what ends a line or turns its direction", function()
    for _, code in ipairs { 0x61C, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A,
      0x202E, 0x2066, 0x2069 } do
      for _, how in ipairs(kinds) do
        assert.is_nil(all("a" .. utf8.char(code), how):find "[\x80-\xff]")
      end
    end
  end)

  it("shows the bytes of what is no UTF-8", function()
    for _, bytes in ipairs { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2",
      "\xe2\x82", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",
      "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
      "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xff",
      "\x9b31m" } do
      local shown = all("a" .. bytes .. "z", "text")
      assert.is_nil(shown:find "[\x80-\xff]", shown)
      assert.equal("a" .. bytes:gsub("[\x80-\xff]", function(c)
        return ("\\x%02x"):format(c:byte())
      end) .. "z", shown)
    end
    assert.equal("\\xe2\\x82A\u{20ac}", all("\xe2\x82A\u{20ac}", "text"))
  end)

  it("says with dots what did not fit, and cuts no character", function()
    local text = "ab\u{20ac}\27cd\n"
    local whole = all(text, "text")
    for cap = 4, #whole + 8 do
      local shown = escape.escape(text, "text", cap)
      assert.is_true(#shown < cap)
      if cap > #whole then
        assert.equal(whole, shown)
      else
        local head = shown:match "^(.*)%.%.%.$"
        assert.equal(whole:sub(1, #head), head)
        assert.is_truthy(utf8.len(head))
        local cut = head:match "\\x?%x?$"
        assert.is_nil(cut, head)
      end
    end
  end)

  it("shows 128 bytes of a long one", function()
    assert.equal(("a"):rep(128), escape.short(("a"):rep(128), "word"))
    assert.equal(("a"):rep(128) .. "...",
      escape.short(("a"):rep(129), "word"))
    assert.equal(("\\x00"):rep(128) .. "...",
      escape.short(("\0"):rep(1000), "text"))
  end)

  it("holds for anything", function()
    math.randomseed(7)
    for _ = 1, 3000 do
      local bytes = {}
      for i = 1, math.random(0, 40) do
        local any = math.random(4)
        bytes[i] = any == 1 and utf8.char(math.random(0, 0x2100))
          or string.char(math.random(0, 255))
      end
      local text = table.concat(bytes)
      for _, how in ipairs(kinds) do
        local shown = escape.escape(text, how, math.random(4, 200))
        assert.is_truthy(utf8.len(shown))
        assert.is_nil(shown:find(how == "lines" and "[%z\1-\8\11-\31\127]"
          or "[%z\1-\31\127]"))
      end
    end
  end)
end)
