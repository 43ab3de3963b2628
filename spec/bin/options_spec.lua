-- The options of the command evws, each by what it does.

local command = require "spec.bin.kit"
local kit = require "spec.engine.kit"
local proxy = require "spec.engine.proxy"
local t = require "spec.helper"
local tls = require "spec.helper.tls"

local run, start, piped = command.run, command.start, command.piped
local answered = command.answered

local function url_of(server) return "ws://127.0.0.1:" .. server.port end

local function echo(options)
  options = options or {}
  options.on_message = options.on_message or function(conn, message, kind)
    conn:send(message, kind)
  end
  return kit.serve(options)
end

describe("the command's", function()
  after_each(function()
    command.cleanup()
    t.cleanup()
  end)

  it("headers, sub-protocols and origin are sent", function()
    local seen
    local server = t.listen { on_upgrade = function(r) seen = r end,
      subprotocols = { "v1" } }
    local _, errors, status = run("-w 0 -H 'X-A: 1' --header=X-A:2 -HX-B:3"
      .. " -s v2 --subprotocol v1 -o https://o.test " .. url_of(server))
    assert.same({ "", 0 }, { errors, status })
    assert.same({ "1, 2", "3", "v2, v1", "https://o.test" },
      { seen.headers["x-a"], seen.headers["x-b"],
        seen.headers["sec-websocket-protocol"], seen.origin })
  end)

  it("--auth is HTTP's Basic (RFC 7617)", function()
    local seen
    local server = t.listen { on_upgrade = function(r) seen = r end }
    for given, sent in pairs { ["Aladdin:open sesame"] =
      "QWxhZGRpbjpvcGVuIHNlc2FtZQ==", ["a:"] = "YTo=", ["a:b"] = "YTpi",
      [":"] = "Og==", ["a:b:c\u{e9}"] = "YTpiOmPDqQ==" } do
      run(("-w 0 --auth '%s' %s"):format(given, url_of(server)))
      assert.equal("Basic " .. sent, seen.headers.authorization)
    end
  end)

  it("--proxy-ca has signed the certificate of a proxy", function()
    local server = t.listen { on_message = t.echo }
    local files = { server = true, certificate = tls.file "localhost.pem",
      key = tls.file "localhost.key" }
    local port, log = proxy.relay(server.port, { tls = files })
    local via = ("--proxy https://localhost:%d %s hello"):format(port,
      url_of(server))
    assert.same({ "hello\n", "", 0 }, { answered("hello\n",
      ("--proxy-ca %s %s"):format(tls.file "ca.pem", via)) })
    assert.equal(1, log.n)
    local _, errors, status = run(via)
    t.contains(errors, ("proxy localhost:%d: certificate verify failed")
      :format(port))
    assert.equal(1, status)
    proxy.cleanup()
  end)

  it("--proxy is whom it asks for the way, or env", function()
    local target = "ws://a.invalid:81/"
    local listener <close> = assert(t.probe.listen "127.0.0.1")
    local name = "127.0.0.1:" .. listener.port
    local seen = {}
    t.ws.spawn(function()
      while #seen < 2 do
        local socket = listener:accept()
        local head = ""
        while socket and not head:find "\r\n\r\n" do
          head = head .. (socket:recv() or "")
          t.ws.sleep(0)
        end
        if socket then
          seen[#seen + 1] = head
          socket:send "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
        end
        t.ws.sleep(0)
      end
    end)
    for options, with in pairs { ["--proxy http://a:b@" .. name] = "",
      ["--proxy=env"] = "http_proxy=a:b@" .. name } do
      local _, errors, status = run(options .. " " .. target, nil, with)
      assert.same({ ("evws: cannot connect to %s: proxy %s: 403 No\n"):format(
        target, name), 1 }, { errors, status })
    end
    for _, head in ipairs(seen) do
      assert.is_truthy(head:find("CONNECT a.invalid:81 ", 1, true))
      assert.is_truthy(head:find("Basic YTpi\r\n", 1, true))
    end
    assert.equal(2, #seen)
  end)

  it("messages behind the URL are sent, and no input is read", function()
    local server, log = echo()
    local _, from = command.fifo() -- never ends
    local lines = "one\ntwo three\n-4\n"
    assert.same({ lines, "", 0 }, { answered(lines,
      url_of(server) .. " one 'two three' -- -4", from) })
    assert.same({ "one", "two three", "-4" }, log.messages)
    assert.same({ 'b"\\xff"\n', "", 0 }, { answered('b"\\xff"\n', "-b "
      .. url_of(server) .. [[ "$(printf '\377')"]], from) })
    local output, errors, status = run("-w 0.3 " .. url_of(server)
      .. [[ fine "$(printf '\377')" never]], from)
    assert.same({ 2, "fine" }, { status, log.messages[5] })
    assert.is_truthy(output == "fine\n" or output == "")
    assert.is_truthy(errors:find("not UTF-8", 1, true))
  end)

  it("--max-message bounds what comes", function()
    local server = echo()
    local text = ("x"):rep(2000) .. "\n"
    local function try(limit)
      return answered(text, ("--max-message %s %s"):format(limit,
        url_of(server)), piped(text))
    end
    assert.same({ "", "evws: closed: 1009 the message is too big "
      .. "(--max-message allows more)\n", 3 }, { try "1999" })
    for _, enough in ipairs { "2000", "2K", "1M", "1G", "none" } do
      assert.same({ text, "", 0 }, { try(enough) })
    end
  end)

  it("--raw writes the bytes, and text with its line end", function()
    local server = echo()
    local bytes, lines = "\0\255\27[31m\"", "a\27[31m\nb\n"
    assert.same({ bytes, "", 0 }, { answered(bytes, "--raw -b "
      .. url_of(server), piped(bytes .. "\n")) })
    assert.same({ lines, "", 0 }, { answered(lines, "--raw "
      .. url_of(server), piped(lines)) })
  end)

  it("--slash takes commands in a pipe, which are text without it", function()
    local server, log = echo()
    assert.same({ "/close 4000\n", "", 0 }, { answered("/close 4000\n",
      url_of(server), piped "/close 4000\n") })
    local path, from = command.fifo()
    local child = start("--slash " .. url_of(server), from)
    local writer = assert(io.open(path, "w"))
    writer:setvbuf "no"
    writer:write "//text\n/ping\n/ping hello\n"
    t.wait(function()
      return child.output() == "/text\n"
        and child.errors():find "^pong: [%d.]+ ms\npong: [%d.]+ ms\n$"
    end, "both pongs")
    writer:write "/close 4000 bye now \n"
    assert.equal(0, child.status())
    writer:close()
    assert.same({ 4000, "bye now" }, { table.unpack(log.closed[2], 1, 2) })
    assert.same({ "/close 4000", "/text" }, log.messages)
  end)

  it("--slash says what is wrong with a command, and goes on", function()
    local server = echo()
    for line, text in pairs {
      ["/nonsense x"] = "no command /nonsense (/help lists them; "
        .. "//nonsense x sends it)",
      ["/close x"] = "/close: a code expected, not 'x'",
      ["/close 12345"] = "/close: a code expected, not '12345'",
      ["/close 1005"] = "/close: a close code that may be sent expected",
      ["/close 99999999999999999999"] = "/close: a code expected",
      ["/close 4000 " .. ("x"):rep(124)] = "/close: more than 123 bytes",
      ["/ping " .. ("x"):rep(126)] = "/ping: more than 125 bytes",
    } do
      local output, errors, status = answered("still here\n",
        "--slash " .. url_of(server), piped(line .. "\nstill here\n"))
      assert.same({ line, "still here\n", 0 }, { line, output, status })
      assert.equal("evws: " .. text, errors:sub(1, #text + 6))
    end
    local _, errors = run("--slash -w0 " .. url_of(server), piped "/help\n")
    for _, name in ipairs { "/ping", "/close", "/help", "//TEXT" } do
      assert.is_truthy(errors:find("\n" .. name, 1, true)
        or errors:find(name, 1, true) == 1, name)
    end
  end)

  it("--compress offers compression", function()
    local compressed
    local server = echo { compression = { threshold = 1 },
      on_open = function(conn) compressed = conn.compressed end }
    local text = ("compressible "):rep(200)
    for _, option in ipairs { "", "--compress" } do
      local output, errors, status = answered(text .. "\n",
        option .. " " .. url_of(server), piped(text .. "\n"))
      assert.same({ text .. "\n", "", 0 }, { output, errors, status })
      assert.equal(option ~= "", compressed)
    end
  end)

  it("--verbose tells how it is connected, and of pings and pongs", function()
    local server = t.listen { subprotocols = { "v1" }, compression = true,
      on_open = function(conn) conn:ping "are you\27there" end,
      on_message = function(conn) conn:close(4001, "enough") end }
    local path, from = command.fifo()
    local child = start("--compress -v -s v1 " .. url_of(server), from)
    t.wait(function() return child.errors():find "ping: " end, "the ping")
    local writer = assert(io.open(path, "w"))
    writer:write "x\n"
    writer:close()
    assert.equal(3, child.status())
    assert.equal(("connected to %s (127.0.0.1); sub-protocol v1; compressed\n"
      .. "ping: are you\\x1bthere\nevws: closed: 4001 enough\n")
      :format(url_of(server)), child.errors())
  end)

  it("--reconnect comes back after a loss, and holds lines meanwhile",
    function()
      local server, log = echo { on_message = function(conn, message)
        if message == "die" then conn:terminate() else conn:send(message) end
      end }
      local port = server.port
      local path, from = command.fifo()
      local child = start("--reconnect --slash " .. url_of(server), from)
      local writer = assert(io.open(path, "w"))
      local function say(line)
        writer:write(line, "\n")
        writer:flush()
      end
      say "one"
      t.wait(function() return child.output() == "one\n" end)
      say "die"
      t.wait(function() return child.errors():find "connecting again\n" end)
      say "two"
      t.wait(function() return child.output() == "one\ntwo\n" end, "two", 10)
      assert.same({ "one", "die", "two" }, log.messages)
      t.cleanup() -- 1001: comes back as well
      t.wait(function() return child.errors():find "refused" end, "refused",
        10)
      local again = t.listen { port = port, on_message = function(conn, m)
        conn:send("again " .. m)
      end }
      say "three"
      t.wait(function() return child.output():find "again three\n" end, nil,
        20)
      assert.equal(1, again.connections)
      say "/close 4000"
      writer:close()
      assert.equal(0, child.status())
      local errors = child.errors()
      assert.is_truthy(errors:find("evws: closed: 1006", 1, true))
      assert.equal(2, select(2, errors:gsub("evws: connected again\n", "")))
      assert.equal(1, select(2, errors:gsub("refused; connecting again", "")))
    end)

  it("--reconnect ends at answers that would be the same again", function()
    local server = t.listen { on_upgrade = function() return 403 end }
    local _, errors, status = run("--reconnect " .. url_of(server))
    assert.same({ "evws: cannot connect to " .. url_of(server)
      .. ": 403 Forbidden\n", 1 }, { errors, status })
  end)

  it("--reconnect ends by a signal while nobody is there", function()
    local silent = assert(t.probe.listen "127.0.0.1")
    local port = silent.port
    silent:close()
    local child = start("--reconnect ws://127.0.0.1:" .. port, nil,
      "--default-signal=INT,TERM --")
    t.wait(function() return child.errors():find "connecting again" end)
    assert(os.execute("kill -TERM " .. child.pid()))
    assert.equal(1, child.status())
    assert.is_truthy(child.errors():find("cannot connect to", 1, true))
  end)

  it("--ca, --cert, --key and --insecure are of TLS", function()
    local subject
    local server = t.listen(tls.options { tls = { ca = tls.file "ca.pem",
      verify = "optional" }, on_upgrade = function(r)
        subject = r.client_certificate
      end, on_message = function(conn, m) conn:send(m) end })
    local to = " wss://localhost:" .. server.port
    local _, errors, status = run(to, piped "hi\n")
    assert.equal(1, status)
    assert.is_truthy(errors:find "^evws: cannot connect .* certificate")
    local ca = "--ca " .. tls.file "ca.pem"
    local function greet(options)
      return answered("hi\n", options .. to, piped "hi\n")
    end
    assert.same({ "hi\n", "", 0 }, { greet(ca) })
    assert.is_nil(subject)
    assert.same({ "hi\n", "", 0 }, { greet(ca .. " --cert "
      .. tls.file "client.pem" .. " --key " .. tls.file "client.key") })
    assert.is_truthy(subject)
    subject = nil
    assert(os.execute(("cat %s %s >%s"):format(tls.file "client.pem",
      tls.file "client.key", tls.file "both.pem")))
    greet(ca .. " --cert " .. tls.file "both.pem")
    assert.is_truthy(subject)
    local output
    output, errors, status = answered("hi\n",
      "--insecure" .. to:gsub("wss:", "https:"), piped "hi\n")
    assert.same({ "hi\n", 0 }, { output, status })
    assert.is_truthy(errors:find("tls.verify", 1, true))
    _, errors, status = run("--ca /no/such/file" .. to)
    assert.equal(1, status)
    assert.is_truthy(errors:find("/no/such/file", 1, true))
  end)
end)

describe("the command line", function()
  local server, url

  before_each(function()
    server = echo()
    url = url_of(server)
  end)

  after_each(function()
    command.cleanup()
    t.cleanup()
  end)

  it("is refused where it is not understood, without Lua's insides",
    function()
      for arguments, text in pairs {
        [""] = "a URL is missing",
        ["--bogus a"] = "unknown option '--bogus'",
        ["-x a"] = "unknown option '-x'",
        ["-kbx a"] = "unknown option '-kbx'",
        ["--binary=1 a"] = "unknown option '--binary=1'",
        ["--no-check a"] = "unknown option '--no-check' (--insecure)",
        ["--connect=x"] = "unknown option '--connect=x' (the URL stands",
        ["a -H"] = "-H: a value is missing",
        ["a --origin"] = "--origin: a value is missing",
        ["-H nonsense a"] = "--header: 'Name: value' expected, not 'nonsense'",
        ["-t x a"] = "--timeout: a number of at least 0.001 expected, not 'x'",
        ["-c 1.5 a"] = "--count: a number of at least 1 expected, not '1.5'",
        ["-w -1 a"] = "--wait: a number of at least 0 expected, not '-1'",
        ["-t nan a"] = "--timeout: a number of at least 0.001 expected",
        ["--max-message 0 a"] = "--max-message: bytes (64K, 16M) or none",
        ["--max-message 1T a"] = "--max-message: bytes (64K, 16M) or none",
        ["--max-message 99999999999 a"] = "--max-message: bytes",
        ["--auth name a"] = "--auth: USER:PASSWORD expected, not 'name'",
        ["--proxy socks5://b a"] = "--proxy: only HTTP proxies are supported",
        ["--key x a"] = "--key: --cert is missing",
        ["--ping a b"] = "--ping sends no messages",
        ["\"$(printf -- '--\\033[31m')\" a"] = "unknown option '--\\x1b[31m'",
        ["ftp://a"] = "bad URL: the scheme is not ws, wss or ws+unix",
        ["ws://"] = "bad URL: the host is malformed",
        ["ws://u:p@a"] = "bad URL: user info before the host: --auth USER:",
        ["'ws://a b'"] = "bad URL: a space",
        ["ws://a/#b"] = "bad URL: a fragment",
        ["-H Host:x " .. url] = "--header: header 'Host' cannot be set",
        ["-o 'a b' " .. url] = "--origin: an origin expected, got",
        ["-s 'a b' " .. url] = "--subprotocol: 'a b' is no token",
      } do
        local output, errors, status = run(arguments)
        assert.same({ arguments, "", 2 }, { arguments, output, status })
        assert.equal("evws: " .. text, errors:sub(1, #text + 6))
        for _, inside in ipairs { "traceback", "bad argument", ".lua:" } do
          assert.is_nil(errors:find(inside, 1, true), errors)
        end
      end
    end)

  it("takes options in every form", function()
    for _, arguments in ipairs { "-bwforever %s", "-b -w forever %s",
      "%s -bw forever", "--binary --wait=forever %s",
      "--wait forever -b -- %s" } do
      assert.same({ 'b"hi"\n', "", 0 }, { answered('b"hi"\n',
        "-w0 " .. arguments:format(url), piped "hi\n") })
    end
  end)

  it("takes a URL without a scheme, and those of HTTP", function()
    for _, to in ipairs { "localhost:%d", "http://localhost:%d/x",
      "HTTP://127.0.0.1:%d", "WS://localhost:%d" } do
      assert.same({ "hi\n", "", 0 }, { answered("hi\n",
        to:format(server.port), piped "hi\n") })
    end
  end)

  it("is explained by --help, which has every option", function()
    local output, errors, status = run "--help"
    assert.same({ "", 0 }, { errors, status })
    local manual = require "evws.command.manual"
    local n = 0
    for option in manual.each() do
      n = n + 1
      assert.is_truthy(output:find("--" .. option.long, 1, true))
    end
    assert.is_true(n > 20)
    for line in output:gmatch "[^\n]+" do
      assert.is_true(#line < 80, line)
    end
    assert.same({ "evws " .. t.ws.version .. "\n", "", 0 },
      { run "--version" })
  end)

  it("ends with 4 where what comes cannot be written", function()
    if not io.open "/dev/full" then return pending "no /dev/full" end
    local closed = "evws: cannot write: No space left on device\n"
    for _, arguments in ipairs { "--help", "--version", "-w forever " .. url
      .. " hi", "--raw -w forever " .. url .. " hi", "--ping " .. url } do
      local _, errors, status = run(arguments .. " >/dev/full")
      assert.same({ arguments, closed, 4 }, { arguments, errors, status })
    end
    local _, errors, status = run("-w forever " .. url .. " hi >&-")
    assert.same({ "evws: cannot write: Bad file descriptor\n", 4 },
      { errors, status })
  end)
end)
