-- The command evws at a terminal: a real one (spec/bin/at_terminal.py), whose
-- screen is read back (spec/bin/emulator.lua).

local command = require "spec.bin.kit"
local emulator = require "spec.bin.emulator"
local kit = require "spec.engine.kit"
local t = require "spec.helper"

describe("the terminal of the specs", function()
  it("shows what is written", function()
    for bytes, lines in pairs {
      ["ab\r\nc"] = { "ab", "c" }, ["abc\rX\27[K"] = { "X" },
      ["ab\r\27[1CX"] = { "aX" }, ["\27[31mred\27[0m"] = { "red" },
      ["abcdef"] = { "abcd", "ef" }, ["abcd\r\nx"] = { "abcd", "x" },
      ["漢字漢"] = { "漢字", "漢" }, ["e\u{301}x"] = { "e\u{301}x" },
      ["ab\27[H\27[2Jc\27"] = { "c" }, ["a\xc3"] = { "a" },
    } do
      local shown = emulator.show(bytes, 4)
      assert.same(lines, { table.unpack(shown) })
    end
    assert.is_false((pcall(emulator.show, "\27]0;title\7", 4)))
    assert.is_false((pcall(emulator.show, "\1", 4)))
  end)
end)

describe("the command evws at a terminal", function()
  local server, log, url

  before_each(function()
    server, log = kit.serve { on_message = function(conn, message, kind)
      local reason = message:match "^close (.*)"
      if reason then
        conn:close(1000, reason)
      elseif message ~= "quiet" then
        conn:send(message, kind)
      end
    end }
    url = "ws://127.0.0.1:" .. server.port
  end)

  after_each(function()
    command.cleanup()
    t.cleanup()
  end)

  local greeting = "; /help lists commands; Ctrl-D closes"

  local function open(arguments, o)
    local child = command.terminal((arguments or "") .. " " .. url, o)
    child.shows ">"
    return child
  end

  -- The screen from the prompt's first line on, without the greeting.
  local function rest(child)
    local lines = child.screen()
    return table.concat(lines, "\n", 2)
  end

  -- What the child writes may come in pieces.
  local function becomes(child, read, expected)
    pcall(t.wait, function() return read(child) == expected end)
    assert.equal(expected, read(child))
  end

  local function last_line(child)
    local lines = child.screen()
    return ("%s, %d"):format(lines[#lines], lines.column)
  end

  it("tells what was sent from what came, and how it ended", function()
    local child = open()
    child.type "hello\r"
    child.shows "< hello"
    child.type "close see you\r"
    assert.equal(0, child.status())
    assert.equal("connected to " .. url .. greeting, child.screen()[1])
    assert.equal("> hello\n< hello\n> close see you\nclosed: 1000 see you",
      rest(child))
    assert.same({ "hello", "close see you" }, log.messages)
  end)

  it("does not tear a line that is being typed", function()
    local child = open()
    child.type "half a li"
    child.shows "> half a li"
    for i = 1, 20 do log.conns[1]:send("news " .. i) end
    child.shows "< news 20"
    child.type "ne\27[D\27[D\27[D\27[DX"
    child.shows "> half a Xline"
    log.conns[1]:send "more"
    child.shows "< more"
    becomes(child, last_line, "> half a Xline, 11")
    child.type "\r"
    child.shows "< half a Xline"
    assert.same({ "half a Xline" }, log.messages)
    local expected = {}
    for i = 1, 20 do expected[i] = "< news " .. i end
    expected[21] = "< more"
    expected[22] = "> half a Xline"
    expected[23] = "< half a Xline\n>"
    becomes(child, rest, table.concat(expected, "\n"))
  end)

  it("shows a long line in part, and all of it when it is sent", function()
    local child = open("", { columns = 20 })
    local text = "0123456789abcdefghijklmnop"
    child.type(text)
    child.shows "> 9abcdefghijklmnop"
    log.conns[1]:send "news"
    child.shows "< news"
    child.type "\1"
    child.shows "> 0123456789abcdefg"
    child.type "\r"
    child.shows "< 0123456789abcdefgh"
    assert.same({ text }, log.messages)
    becomes(child, function()
      local all = rest(child)
      return all:find("> 0123456789abcdefgh\nijklmnop\n"
        .. "< 0123456789abcdefgh\nijklmnop\n>", 1, true) and "shown" or all
    end, "shown")
  end)

  it("has colours, unless NO_COLOR is set or TERM is dumb", function()
    for with, expected in pairs { [""] = true, ["NO_COLOR="] = true,
      ["NO_COLOR=1"] = false, ["TERM=dumb"] = false, ["TERM="] = false } do
      local child = command.terminal(url, { with = with })
      child.shows("connected to " .. url .. greeting)
      child.type "hi\r"
      child.shows "< hi"
      child.type "\4"
      assert.equal(0, child.status())
      local output = child.output()
      assert.same({ with, expected }, { with,
        output:find "\27%[[%d;]+m" ~= nil })
      if expected then
        local sent = output:match "\27%[(%d+)m> "
        local received = output:match "\27%[(%d+)m< hi"
        assert.is_true(sent ~= received and received ~= nil)
      end
    end
  end)

  it("reads lines as from a pipe where TERM is dumb", function()
    local child = command.terminal(url, { with = "TERM=dumb" })
    child.shows("connected to " .. url .. greeting)
    child.type "hello\n"
    child.shows "< hello"
    child.type "/close 1000\n"
    assert.equal(0, child.status())
    assert.is_nil(child.output():find("\27", 1, true))
  end)

  it("lets no peer drive it, nor fake a line of its own", function()
    local child = open()
    log.conns[1]:send "a\27[2Jb\rc\7\u{9b}1Ad\u{202e}e\nclosed: 1000\r\n> f"
    child.shows "  > f"
    log.conns[1]:send("\0\27", "binary")
    child.shows [[< b"\x00\x1b"]]
    log.conns[1]:close(1000, "bye\27[31m\nevws: no")
    assert.equal(0, child.status())
    assert.equal([[
< a\x1b[2Jb\x0dc\x07\xc2\x9b1Ad\xe2\x80\xaee
  closed: 1000
  > f
< b"\x00\x1b"
closed: 1000 bye\x1b[31m\x0aevws: no]], rest(child))
  end)

  it("lets it with --raw, and stays behind what came", function()
    local child = open("--raw", { columns = 40 })
    log.conns[1]:send "\27[31mred\27[0m"
    child.shows "red"
    assert.is_truthy(child.output():find("\27[31mred\27[0m", 1, true))
    log.conns[1]:send("no end", "binary")
    child.shows "no end"
    becomes(child, function()
      local screen = child.screen()
      return table.concat(screen, "\n", math.max(1, #screen - 2))
    end, "red\nno end\n>")
  end)

  it("takes /ping, /close and //text", function()
    local child = open()
    child.type "/ping\r"
    t.wait(function() return rest(child):find "\npong: [%d.]+ ms\n" end)
    child.type "//text\r/nonsense\r"
    child.shows "< /text"
    child.shows("evws: no command /nonsense (/help lists them; //nonsense "
      .. "sends it)")
    child.type "/help\r"
    child.shows "//TEXT                   send /TEXT"
    child.type "/close 4000 bye\r"
    assert.equal(0, child.status())
    local lines = child.screen()
    assert.equal("closed: 4000 bye", lines[#lines])
    assert.same({ 4000, "bye" }, { table.unpack(log.closed[1], 1, 2) })
  end)

  it("sends what is pasted as one message", function()
    local child = open()
    child.type "\27[200~{\r  1\r}\27[201~"
    child.shows "> {\u{23ce}  1\u{23ce}}"
    child.type "\r"
    t.wait(function() return log.messages[1] == "{\n  1\n}" end)
    child.shows "< {"
    becomes(child, rest, "> {\n    1\n  }\n< {\n    1\n  }\n>")
  end)

  it("closes at Ctrl-D and at Ctrl-C, and leaves the terminal as it was",
    function()
      for key, code in pairs { ["\4"] = 1000, ["begun\3"] = 1000 } do
        local child = command.terminal(nil, { command = "sh -c 'trap : INT; "
          .. (os.getenv "LUA" or "lua5.4") .. " bin/evws " .. url
          .. "; echo ended $?; stty -a | tr \" \" \"\\n\" | grep -x "
          .. "-e icanon -e echo -e icrnl -e ixon'" })
        child.shows("connected to " .. url .. greeting)
        child.shows ">"
        child.type(key)
        assert.equal(0, child.status())
        assert.equal("closed: 1000\nended 0\nicrnl\nixon\nicanon\necho",
          (rest(child):gsub("^\n", "")))
        assert.equal(code, log.closed[#log.closed][1])
        local output = child.output()
        assert.equal(select(2, output:gsub("\27%[%?2004h", "")),
          select(2, output:gsub("\27%[%?2004l", "")))
      end
    end)

  it("stops at Ctrl-Z with the terminal as it was, and comes back", function()
    local child = command.terminal(nil,
      { command = "PS1='$ ' bash --norc --noediting -i" })
    child.shows "$"
    child.type(((os.getenv "LUA" or "lua5.4") .. " bin/evws %s\n"):format(url))
    child.shows ">"
    child.type "begun"
    child.shows "> begun"
    child.type "\26"
    t.wait(function() return rest(child):find("Stopped", 1, true) end)
    child.type "stty -a | grep -c ' icanon'\n"
    child.shows "1"
    log.conns[1]:send "meanwhile"
    child.type "fg\n"
    child.shows "< meanwhile"
    child.shows "> begun"
    child.type "!\r"
    child.shows "< begun!"
    child.type "\4"
    child.shows "closed: 1000"
    child.type "exit\n"
    assert.equal(0, child.status())
  end)

  it("ends at Ctrl-\\ as a program without an editor would", function()
    local child = open()
    child.type "\28"
    assert.is_true(child.status() > 0)
    assert.same({ 1006 }, { (kit.closed(log)) })
  end)

  it("tells of a loss and of coming back, above the line", function()
    local child = open("--reconnect")
    child.type "begun"
    child.shows "> begun"
    log.conns[1]:terminate()
    child.shows "evws: connected again"
    becomes(child, last_line, "> begun, 8")
    local lines = child.screen()
    assert.is_truthy(lines[2]:find "^evws: closed: 1006 .*connecting again$")
    child.type "\r"
    child.shows "< begun"
  end)

  it("marks what comes also where the input is no terminal", function()
    local child = command.terminal(nil, { command = "sh -c 'echo hi | "
      .. (os.getenv "LUA" or "lua5.4") .. " bin/evws -w "
      .. 0.5 * t.factor .. " " .. url .. "'" })
    assert.equal(0, child.status())
    assert.same({ "< hi" }, { table.unpack(child.screen()) })
  end)

  it("edits nothing where the output is no terminal", function()
    local path = command.file()
    local child = command.terminal(nil, { command = "sh -c '"
      .. (os.getenv "LUA" or "lua5.4") .. " bin/evws " .. url .. " >" .. path
      .. "'" })
    child.shows("connected to " .. url .. greeting)
    child.type "a\27[31mb\n"
    local function written()
      local file <close> = assert(io.open(path))
      return file:read "a"
    end
    t.wait(function() return written() ~= "" end, "the answer")
    child.type "\4"
    assert.equal(0, child.status())
    assert.equal("a\27[31mb\n", written())
  end)
end)
