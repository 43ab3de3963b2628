-- The command bin/evws, as a process of its own against servers of the spec,
-- and what it reads its input with (src/binding/lua_input.c, evws.stdin).

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local tls = require "spec.helper.tls"

local lua = os.getenv "LUA" or "lua5.4"
local second = t.factor

local function read(path)
  local file = io.open(path, "rb")
  local bytes = file and file:read "a" or ""
  if file then file:close() end
  return bytes
end

local function write(path, bytes)
  local file = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  file:close()
end

local scratch = {}

local function scratch_file(bytes)
  local path = os.tmpname()
  scratch[#scratch + 1] = path
  if bytes then write(path, bytes) end
  return path
end

-- Starts `evws arguments`, its input being `from` (of the shell). -> child
local function start(arguments, from, signals)
  local path = scratch_file()
  for _, suffix in ipairs { ".out", ".err", ".pid", ".status" } do
    scratch[#scratch + 1] = path .. suffix
  end
  local command = ([[( sh -c 'echo $$ >@.pid; exec env %s timeout -s KILL 60 ]]
    .. [[%s bin/evws %s' %s >@.out 2>@.err; echo $? >@.status ) ]]
    .. [[>/dev/null 2>&1 &]]):format(signals or "", lua, arguments,
      from or "</dev/null")
  assert(os.execute((command:gsub("@", path))))
  local child = {}
  function child.output() return read(path .. ".out") end
  function child.errors() return read(path .. ".err") end
  function child.status()
    return t.wait(function()
      return tonumber(read(path .. ".status"):match "^(%d+)\n")
    end, "the end of evws: " .. arguments, 20)
  end
  function child.pid()
    return t.wait(function() return read(path .. ".pid"):match "^(%d+)\n" end)
  end
  return child
end

-- Runs it to its end -> output, errors, status
local function run(...)
  local child = start(...)
  local status = child.status()
  return child.output(), child.errors(), status
end

local function piped(bytes)
  return "<" .. scratch_file(bytes)
end

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
    t.cleanup()
    for _, path in ipairs(scratch) do os.remove(path) end
    scratch = {}
  end)

  local function args(text) return text .. " -w 0.3 " .. url end

  it("sends lines and prints the answers, then closes with 1000", function()
    assert.same({ "one\ntwo\n\nlast\n", "", 0 },
      { run(args "", piped "one\ntwo\r\n\nlast") })
    assert.same({ "one", "two", "", "last" }, log.messages)
    assert.equal(1000, (kit.closed(log)))
  end)

  it("reads a file, a pipe, nothing, and a closed descriptor", function()
    assert.same({ "hi\n", "", 0 }, { run(args "", piped "hi\n") })
    local path = scratch_file()
    os.remove(path)
    assert(os.execute("mkfifo " .. path))
    assert(os.execute(("(echo hi; echo there) >%s &"):format(path)))
    assert.same({ "hi\nthere\n", "", 0 }, { run(args "", "<" .. path) })
    assert.same({ "", "", 0 }, { run(args "", "</dev/null") })
    assert.same({ "", "", 0 }, { run(args "", "<&-") })
  end)

  it("prints what comes while its input is silent", function()
    local path = scratch_file()
    os.remove(path)
    assert(os.execute("mkfifo " .. path))
    -- opened for reading and writing: it neither blocks nor ends
    local child = start(url, "<>" .. path)
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
    local output, errors, status = run(args "", piped(text))
    assert.same({ "", 0 }, { errors, status })
    assert.is_true(output == text)
  end)

  it("sends binary, and prints it with what is not printable escaped",
    function()
      assert.same({ 'b"hi\\x00\\xff\\x22\\x5c\\x1b~ "\n', "", 0 },
        { run(args "--binary", piped 'hi\0\xff"\\\27~ \n') })
    end)

  it("lets no peer drive the terminal", function()
    assert.same({ "a\\x1b[31mb\\x0ac\\x0dd\\xc2\\x9be\\x07f\\x7fg\th\u{e9}\n",
      "", 0 }, { run(args "", piped "colours\n") })
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
    assert.same({ "hi\n", "", 0 }, { run("-w0.3 localhost:" .. server.port,
      piped "hi\n") })
  end)

  it("sends header fields, sub-protocols and an origin", function()
    local seen
    local other = t.listen { on_upgrade = function(r) seen = r end,
      subprotocols = { "v1" } }
    local _, errors, status = run([[-w 0 -H "X-A: 1" --header="X-A:2"]]
      .. [[ -HX-B:3 -s v2 --subprotocol v1 -o https://o.test]]
      .. " ws://127.0.0.1:" .. other.port)
    assert.same({ "", 0 }, { errors, status })
    assert.same({ "1, 2", "3", "v2, v1", "https://o.test" },
      { seen.headers["x-a"], seen.headers["x-b"],
        seen.headers["sec-websocket-protocol"], seen.origin })
  end)

  it("refuses a command line that it does not understand", function()
    for arguments, text in pairs {
      [""] = "a URL is missing",
      ["a b"] = "one URL expected",
      ["--bogus a"] = "unknown option '--bogus'",
      ["-x a"] = "unknown option '-x'",
      ["--binary=1 a"] = "unknown option '--binary=1'",
      ["a -H"] = "-H: a value is missing",
      ["-H nonsense a"] = "--header: 'Name: value' expected, not 'nonsense'",
      ["-t x a"] = "--timeout: a number of at least 0.001 expected, not 'x'",
      ["-c 1.5 a"] = "--count: a number of at least 1 expected, not '1.5'",
      ["-w -1 a"] = "--wait: a number of at least 0 expected, not '-1'",
      ["ftp://a"] = "the scheme is not ws, wss or ws+unix",
      ["-H Host:x " .. url] = "header 'Host' cannot be set",
      ["-o 'a b' " .. url] = "bad option 'origin'",
    } do
      local output, errors, status = run((arguments:gsub("'", '"')))
      assert.same({ arguments, "", 2 }, { arguments, output, status })
      assert.is_truthy(errors:find("evws: ", 1, true))
      assert.is_truthy(errors:find((text:gsub("'a b'", "a b")), 1, true),
        errors)
      assert.is_nil(errors:find("traceback", 1, true))
    end
  end)

  it("refuses a line that is no text", function()
    local output, errors, status = run(args "", piped "good\nb\xffd\nmore\n")
    assert.equal(2, status)
    assert.is_truthy(errors:find("not UTF-8", 1, true))
    assert.same({ "good" }, log.messages)
    assert.is_true(output == "" or output == "good\n")
  end)

  it("explains itself", function()
    local output, errors, status = run "--help"
    assert.same({ "", 0 }, { errors, status })
    for _, option in ipairs { "--header", "--subprotocol", "--origin",
      "--insecure", "--ca", "--timeout", "--binary", "--wait", "--ping",
      "--count", "--interval", "--help", "--version", "Exit status" } do
      assert.is_truthy(output:find(option, 1, true), option)
    end
    assert.same({ "evws " .. t.ws.version .. "\n", "", 0 },
      { run "--version" })
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
      local path = scratch_file()
      os.remove(path)
      assert(os.execute("mkfifo " .. path))
      local child = start(url, "<>" .. path,
        "--default-signal=INT,TERM --")
      t.wait(function() return log.conns[n + 1] end, "the connection")
      kit.during(0.4 * second)
      assert(os.execute(("kill -%s %s"):format(name, child.pid())))
      assert.equal(0, child.status())
      assert.same({ 1000 }, { log.closed[n + 1][1] })
      assert.equal("", child.errors())
    end
  end)

  it("verifies the server's certificate, unless it is told not to",
    function()
      local secure = t.listen(tls.options { on_message = function(conn, m)
        conn:send(m)
      end })
      local to = " -w 0.3 wss://localhost:" .. secure.port
      local _, errors, status = run(to, piped "hi\n")
      assert.equal(1, status)
      assert.is_truthy(errors:find("cannot connect", 1, true))
      assert.is_truthy(errors:find "certificate")
      assert.same({ "hi\n", "", 0 }, { run("--ca " .. tls.file "ca.pem" .. to,
        piped "hi\n") })
      local output
      output, errors, status = run("--insecure" .. to, piped "hi\n")
      assert.same({ "hi\n", 0 }, { output, status })
      assert.is_truthy(errors:find("tls.verify", 1, true))
      _, errors, status = run("--ca /no/such/file" .. to)
      assert.equal(1, status)
      assert.is_truthy(errors:find("/no/such/file", 1, true))
    end)

  it("waits for answers as long as it is told to", function()
    local slow = t.listen { on_message = function(conn, message)
      t.ws.sleep(0.2)
      conn:send(message)
    end }
    local to = "ws://127.0.0.1:" .. slow.port
    assert.same({ "", "", 0 }, { run("--wait 0 " .. to, piped "hi\n") })
    assert.same({ "hi\n", "", 0 }, { run(to, piped "hi\n") })
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
