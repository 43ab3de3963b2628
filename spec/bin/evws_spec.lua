-- The command bin/evws, as a process of its own against servers of the spec,
-- and what it reads its input with (src/binding/lua_input.c). Its options
-- have options_spec.lua, its terminal has terminal_spec.lua.

local t = require "spec.helper"
local command = require "spec.bin.kit"
local kit = require "spec.engine.kit"

local run, start, piped = command.run, command.start, command.piped
local answered = command.answered

describe("the command evws", function()
  local server, log, url

  before_each(function()
    server, log = kit.serve { on_message = function(conn, message, kind)
      if message == "die" then
        conn:terminate()
      elseif message:find "^close " then
        conn:close(math.tointeger(message:sub(7)), "a\27[31mreason")
      elseif message == "colours" then
        conn:send "a\27[31mb\nc\rd\u{9b}e\7f\127g\th\u{e9}"
      else
        conn:send(message, kind)
      end
    end }
    url = "ws://127.0.0.1:" .. server.port
  end)

  after_each(function()
    command.cleanup()
    t.cleanup()
  end)

  local function args(text)
    return ("%s -w %g %s"):format(text, 0.3 * t.factor, url)
  end

  it("sends lines and prints the answers, then closes with 1000", function()
    assert.same({ "one\ntwo\n\nlast\n", "", 0 },
      { answered("one\ntwo\n\nlast\n", url, piped "one\ntwo\r\n\nlast") })
    assert.same({ "one", "two", "", "last" }, log.messages)
    assert.equal(1000, (kit.closed(log)))
  end)

  it("reads a file, a pipe, nothing, and a closed descriptor", function()
    assert.same({ "hi\n", "", 0 }, { answered("hi\n", url, piped "hi\n") })
    local path = command.fifo()
    assert(os.execute(("(echo hi; echo there) >%s &"):format(path)))
    assert.same({ "hi\nthere\n", "", 0 },
      { answered("hi\nthere\n", url, "<" .. path) })
    assert.same({ "", "", 0 }, { run(args "", "</dev/null") })
    assert.same({ "", "", 0 }, { run(args "", "<&-") })
  end)

  it("prints what comes while its input is silent", function()
    local path, from = command.fifo()
    local child = start(url, from)
    t.wait(function() return log.conns[1] end, "the connection")
    log.conns[1]:send "unasked"
    t.wait(function() return child.output() == "unasked\n" end, "the output")
    local writer = assert(io.open(path, "wb"))
    writer:write "typed "
    writer:flush()
    kit.during(0.05)
    assert.equal(0, #log.messages)
    writer:write "line\n"
    writer:close()
    t.wait(function() return child.output():find "typed line\n" end)
    log.conns[1]:close()
    assert.equal(0, child.status())
  end)

  it("sends a long file through a slow connection", function()
    local lines = {}
    for i = 1, 20000 do lines[i] = ("%d %s"):format(i, ("x"):rep(100)) end
    local text = table.concat(lines, "\n") .. "\n"
    local output, errors, status = answered(text, url, piped(text))
    assert.same({ "", 0 }, { errors, status })
    assert.is_true(output == text)
  end)

  it("sends binary, and prints it with what is not printable escaped",
    function()
      local shown = 'b"hi\\x00\\xff\\x22\\x5c\\x1b~ "\n'
      assert.same({ shown, "", 0 }, { answered(shown, "--binary " .. url,
        piped 'hi\0\xff"\\\27~ \n') })
    end)

  it("writes text into a pipe as it is, but for what it says itself",
    function()
      local text = "a\27[31mb\nc\rd\u{9b}e\7f\127g\th\u{e9}\n"
      assert.same({ text, "", 0 }, { answered(text, url, piped "colours\n") })
      assert.same({ "", "evws: closed: 4000 a\\x1b[31mreason\n", 3 },
        { run(args "", piped "close 4000\n") })
    end)

  it("says by its status how it ended", function()
    for input, expected in pairs { ["close 1000"] = 0, ["close 1001"] = 0,
      ["close 1011"] = 3, ["close 4000"] = 3, die = 3, hi = 0 } do
      local _, errors, status = run(args "", piped(input .. "\n"))
      assert.same({ input, expected }, { input, status })
      assert.equal(expected == 0, errors == "")
    end
  end)

  it("says that it could not connect", function()
    local port = server.port
    t.cleanup()
    local _, errors, status = run("ws://127.0.0.1:" .. port)
    assert.equal(1, status)
    assert.equal(("evws: cannot connect to ws://127.0.0.1:%d: connection "
      .. "refused\n"):format(port), errors)
    local refusing = t.listen { on_upgrade = function() return 403 end }
    _, errors, status = run("ws://127.0.0.1:" .. refusing.port)
    assert.equal(1, status)
    assert.is_truthy(errors:find("403 Forbidden", 1, true))
    local silent = assert(t.probe.listen "127.0.0.1")
    _, errors, status = run("--timeout 0.1 ws://127.0.0.1:" .. silent.port)
    assert.equal(1, status)
    assert.is_truthy(errors:find ": timeout\n$")
    silent:close()
  end)

  it("takes a URL without a scheme", function()
    assert.same({ "hi\n", "", 0 }, { answered("hi\n",
      "localhost:" .. server.port, piped "hi\n") })
  end)

  it("refuses a line that is no text", function()
    local output, errors, status = run(args "", piped "good\nb\xffd\nmore\n")
    assert.equal(2, status)
    assert.is_truthy(errors:find("not UTF-8", 1, true))
    assert.same({ "good" }, log.messages)
    assert.is_true(output == "" or output == "good\n")
  end)

  it("measures round trips", function()
    local output, errors, status = run("--ping --count 3 --interval 0.01 "
      .. url)
    assert.same({ "", 0 }, { errors, status })
    local n = 0
    for seq, ms in output:gmatch "\npong: seq=(%d+) time=([%d.]+) ms" do
      n = n + 1
      assert.equal(n, tonumber(seq))
      assert.is_true(tonumber(ms) >= 0)
    end
    assert.equal(3, n)
    assert.is_truthy(output:find("\n3 sent, 3 answered, 0 % lost\n", 1, true))
    assert.is_truthy(output:find "round trip min/avg/max = [%d.]+/")
  end)

  it("closes politely at Ctrl-C, and at SIGTERM", function()
    for _, name in ipairs { "INT", "TERM" } do
      local n = #log.conns
      local _, from = command.fifo()
      local child = start("-v " .. url, from, "--default-signal=INT,TERM --")
      t.wait(function() return child.errors():find "^connected" end)
      assert(os.execute(("kill -%s %s"):format(name, child.pid())))
      assert.equal(0, child.status())
      assert.same({ 1000 }, { log.closed[n + 1][1] })
      assert.is_truthy(child.errors():find "\nclosed: 1000\n$")
    end
  end)

  -- The same of several tries: who is held up hears of what came meanwhile, or
  -- waits no longer for it.
  local function once(expected, arguments, bytes)
    local got
    for _ = 1, 10 do
      got = { run(arguments, piped(bytes)) }
      if got[1] == expected then break end
    end
    assert.same({ expected, "", 0 }, got)
  end

  it("waits for answers as long as it is told to", function()
    local slow = t.listen { on_message = function(conn, message)
      t.ws.sleep(0.2)
      conn:send(message)
    end }
    local to = "ws://127.0.0.1:" .. slow.port
    once("", "--wait 0 " .. to, "hi\n")
    once("hi\n", to, "hi\n")
    local closing = t.listen { on_message = function(conn, message)
      t.ws.sleep(0.1)
      conn:send(message)
      conn:close()
    end }
    assert.same({ "hi\n", "", 0 }, { run("--wait forever ws://127.0.0.1:"
      .. closing.port, piped "hi\n") })
  end)
end)

describe("input that is watched", function()
  local core = require "evws.core"

  it("takes only descriptors", function()
    for _, bad in ipairs { -1, 1 << 40, "x", 1.5 } do
      assert.is_false((pcall(core.input, bad)))
    end
  end)

  it("reads what is there, waits for what is not, and sees the end",
    function()
      local listener = assert(t.probe.listen "127.0.0.1")
      local socket = assert(t.probe.connect { port = listener.port })
      local peer = t.wait(function() return listener:accept() end)
      local input = core.input(socket:fd())
      peer:send "one"
      assert.equal("one", input:read(5))
      assert.same({ nil, "timeout" }, { input:read(0.01) })
      local got
      t.ws.spawn(function() got = input:read() end)
      kit.during(0.02)
      assert.is_nil(got)
      assert.is_false((pcall(input.read, input)))
      peer:send "two"
      t.wait(function() return got == "two" end)
      peer:close()
      assert.same({ nil, "closed" }, { input:read(5) })
      assert.is_false(input:is_terminal())
      socket:close()
      listener:close()
    end)

  it("is left alone by the collector while a task reads", function()
    local listener = assert(t.probe.listen "127.0.0.1")
    local socket = assert(t.probe.connect { port = listener.port })
    local peer = t.wait(function() return listener:accept() end)
    local got
    t.ws.spawn(function() got = core.input(socket:fd()):read() end)
    for _ = 1, 3 do
      t.turn()
      collectgarbage()
    end
    peer:send "late"
    t.wait(function() return got == "late" end)
    peer:close()
    socket:close()
    listener:close()
  end)
end)
