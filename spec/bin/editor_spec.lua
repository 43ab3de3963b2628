-- A line that is being typed (evws.command.editor), and what is escaped
-- (evws.command.escape): without a terminal.

local editor = require "evws.command.editor"
local escape = require "evws.command.escape"
local width = require "evws.command.width"

-- Types all of it at once, and byte by byte -> what both led to.
local function typed(keys)
  local whole, pieces = editor.new(), editor.new()
  local events, others = whole:feed(keys), {}
  for i = 1, #keys do
    for _, event in ipairs(pieces:feed(keys:sub(i, i))) do
      others[#others + 1] = event
    end
  end
  assert.same(events, others)
  assert.same({ whole:text(), whole.at }, { pieces:text(), pieces.at })
  return whole, events
end

local LEFT, RIGHT, UP, DOWN = "\27[D", "\27[C", "\27[A", "\27[B"

describe("the editor", function()
  it("puts in what is typed, where the cursor stands", function()
    for keys, text in pairs {
      ["abc"] = "abc",
      ["ac" .. LEFT .. "b"] = "abc",
      ["ab" .. LEFT .. LEFT .. RIGHT .. "X"] = "aXb",
      ["ä漢\u{1f600}" .. LEFT .. "x"] = "ä漢x\u{1f600}",
      ["b\1a"] = "ab", ["b\27[Ha"] = "ab", ["b\27OHa"] = "ab",
      ["b\27[1~a"] = "ab", ["a\1\5b"] = "ab", ["a\1\27[Fb"] = "ab",
      ["a\1\27[4~b"] = "ab", ["ab\2\2\6c"] = "acb",
      ["a\tb"] = "a\tb",
    } do
      assert.same({ keys, text }, { keys, typed(keys):text() })
    end
  end)

  it("takes out characters, words and ends of the line", function()
    for keys, text in pairs {
      ["abc\127"] = "ab", ["abc\8"] = "ab", ["\127"] = "",
      ["äö\127"] = "ä", ["abc\1\4"] = "bc", ["abc\1\27[3~"] = "bc",
      ["a\27[3~"] = "a", ["one two \23"] = "one ", ["one two\23\23"] = "",
      ["one two\1\27[1;5C\11"] = "one", ["one two\27[1;5D\11"] = "one ",
      ["one two\27b\21"] = "two", ["one two\1\27d"] = " two",
      ["one two\2\27d"] = "one tw", ["one two\1\27d\27d\27d"] = "",
      ["one \1\27f\27f\27f\23"] = "",
      ["one\27\127"] = "", ["abc\1\11"] = "", ["abc\21"] = "",
    } do
      assert.same({ keys, text }, { keys, typed(keys):text() })
    end
  end)

  it("leaves what combines with a character at it", function()
    for keys, text in pairs {
      ["e\u{301}\127"] = "", ["xe\u{301}" .. LEFT .. "y"] = "xye\u{301}",
      ["e\u{301}z\1\4"] = "z", ["e\u{301}z\1" .. RIGHT .. "y"] = "e\u{301}yz",
    } do
      assert.same({ keys, text }, { keys, typed(keys):text() })
    end
  end)

  it("ends a line at Enter, and the input at Ctrl-D in an empty one",
    function()
      local e, events = typed "one\r\ntwo\n\4"
      assert.same({ { kind = "line", text = "one" },
        { kind = "line", text = "" }, { kind = "line", text = "two" },
        { kind = "end" } }, events)
      assert.equal("", e:text())
      assert.same({}, select(2, typed "ab\1\4"))
    end)

  it("hands on Ctrl-L, Ctrl-Z and Ctrl-\\ ", function()
    local e, events = typed "a\12\26\28b"
    assert.same({ { kind = "redraw" }, { kind = "suspend" },
      { kind = "quit" } }, events)
    assert.equal("ab", e:text())
  end)

  it("has earlier lines, and the one that was begun", function()
    local lines = "one\ntwo\ntwo\n\n"
    for keys, text in pairs {
      [UP] = "two", [UP .. UP] = "one", [UP .. UP .. UP] = "one",
      [UP .. UP .. DOWN] = "two", ["begun" .. UP .. DOWN] = "begun",
      ["begun" .. UP .. DOWN .. DOWN] = "begun", [DOWN] = "",
      ["\16\16\14"] = "two", [UP .. "!\n" .. UP] = "two!",
    } do
      assert.same({ keys, text }, { keys, typed(lines .. keys):text() })
    end
  end)

  it("takes what is pasted as one line, whatever is in it", function()
    local e, events = typed("a\27[200~{\r\n\t\1\"x\27[A\3\": 1\n}\27[201~b\n")
    assert.same({ { kind = "line", text = "a{\n\n\t\"x\": 1\n}b" } }, events)
    assert.equal("", e:text())
  end)

  it("passes over what it does not know", function()
    for _, noise in ipairs { "\27[99~", "\27[1;2;3Z", "\27OP", "\27x", "\0",
      "\7", "\20", "\x80\x80", "\xffz\127", "\xc3(\127", "\xed\xa0\x80",
      "\27[" .. ("1;"):rep(50) .. "Z", "\27[1\7", "\27[\27[Z" } do
      local e, events = typed("a" .. noise .. "b")
      assert.same({ noise, "ab", 0 }, { noise, e:text(), #events })
    end
  end)

  it("shows the part of a line around the cursor", function()
    local e = editor.new()
    e:feed "0123456789"
    assert.same({ "0123456789", 10 }, { e:view(11) })
    assert.same({ "6789", 4 }, { e:view(5) })
    e:feed "\1"
    assert.same({ "0123", 0 }, { e:view(5) })
    e:feed(RIGHT:rep(5))
    assert.same({ "2345", 3 }, { e:view(5) })
    e:feed "\1"
    assert.same({ "0123456789", 0 }, { e:view(11) })
    e:feed(RIGHT:rep(5))
    assert.same({ "0123456789", 5 }, { e:view(11) })
    assert.same({ "5", 0 }, { e:view(2) })
  end)

  it("counts wide characters twice, and controls once", function()
    local e = editor.new()
    e:feed "a漢字\tb\27[200~\n\27[201~"
    assert.same({ "a漢字 b\u{23ce}", 8 }, { e:view(20) })
    local text, at = e:view(6)
    assert.same({ "字 b\u{23ce}", 5 }, { text, at })
    e:feed "\1"
    for _ = 1, 5 do -- less room than a character needs
      e:view(2)
      e:feed(RIGHT)
    end
    assert.equal(5, e.at)
  end)
end)

describe("the width of a character", function()
  it("is that of its cells", function()
    for character, columns in pairs { a = 1, ["ä"] = 1, ["漢"] = 2,
      ["\u{301}"] = 0, ["\u{1f600}"] = 2, ["\u{fe0f}"] = 0, ["한"] = 2,
      ["ﾊ"] = 1, ["Ａ"] = 2, ["א"] = 1, ["\u{200d}"] = 0, ["€"] = 1 } do
      assert.same({ character, columns }, { character, width(character) })
    end
  end)
end)

describe("what is shown of others", function()
  it("has no control characters", function()
    for code = 0, 0x9F do
      local is_control = code < 32 and code ~= 9 or code >= 127
      local text = utf8.char(code)
      local shown = escape.text(text)
      assert.equal(is_control, shown ~= text)
      if is_control then assert.is_truthy(shown:find "^\\x%x%x") end
    end
    for _, text in ipairs { "ä\tb", "漢字", "\u{1f600}\u{200d}", "\\x1b" } do
      assert.equal(text, escape.text(text))
    end
  end)

  it("is not turned around", function()
    for _, code in ipairs { 0x202A, 0x202E, 0x2066, 0x2069 } do
      assert.is_truthy(escape.text("a" .. utf8.char(code) .. "b")
        :find "^a\\xe2\\x8[01]\\x[ab]%xb$" or escape.text(utf8.char(code))
        :find "^\\xe2")
    end
    assert.equal("\u{2026}", escape.text "\u{2026}")
  end)

  it("keeps its lines behind a mark", function()
    assert.equal("a\n  > b\n  \n  c", escape.lines "a\n> b\r\n\nc")
    assert.equal("", escape.lines "")
    assert.equal("a\n  ", escape.lines "a\n")
  end)

  it("is all of its bytes, if it is binary", function()
    assert.equal([[b"a\x22\x5c\x00\x0a\xff~"]], escape.bytes 'a"\\\0\n\255~')
  end)
end)
