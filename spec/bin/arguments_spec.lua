-- The command lines of evws and of evws serve as options: the last value that
-- is taken, the first that is not, and the words for it (without a process).

local arguments = require "evws.command.arguments"
local pings = require "evws.command.pings"
local serve = require "evws.command.serve"
local session = require "evws.command.session"
local slash = require "evws.command.slash"
local words = require "evws.command.words"

local function refused(read, ...)
  local ok, why = pcall(read, { ... })
  assert.is_false(ok)
  return why.usage
end

local function read(...) return arguments.read { ... } end

local function read_serve(...)
  return serve.read { "serve", "a.lua", "-w1", ... }
end

describe("evws", function()
  it("takes a number from the least one on", function()
    for _, case in ipairs { { "timeout", "0.001", 0.001 },
      { "timeout", "1e3", 1000 }, { "interval", "0", 0 }, { "count", "1", 1 },
      { "wait", "0", 0 }, { "wait", "forever", math.huge } } do
      assert.equal(case[3], read("a", "--" .. case[1], case[2])[case[1]])
    end
    local said = "--%s: a number of at least %s expected, not '%s'"
    for _, case in ipairs { { "timeout", "0.0009", "0.001" },
      { "timeout", "-1", "0.001" }, { "interval", "-0.1", "0" },
      { "count", "0", "1" }, { "count", "2.5", "1" }, { "count", "2.0", "1" },
      { "wait", "-0.5", "0" }, { "wait", "never", "0" },
      { "wait", "nan", "0" } } do
      assert.equal(said:format(case[1], case[3], case[2]),
        refused(arguments.read, "a", ("--%s=%s"):format(case[1], case[2])))
    end
  end)

  it("takes bytes with a unit", function()
    for text, bytes in pairs { ["1"] = 1, ["1K"] = 1024, ["64K"] = 65536,
      ["16M"] = 1 << 24, ["3G"] = 3 << 30, ["999999999"] = 999999999,
      none = false } do
      assert.equal(bytes, read("a", "--max-message", text).max_message)
    end
    for _, text in ipairs { "0", "0K", "1000000000", "1T", "K", "1k", "-1",
      "1.5K", "" } do
      assert.equal("--max-message: bytes (64K, 16M) or none expected, not '"
        .. text .. "'", refused(arguments.read, "a", "--max-message=" .. text))
    end
  end)

  it("writes HTTP's Basic, whatever its length", function()
    -- RFC 4648 10, behind the user's name
    for password, text in pairs { [""] = "Og==", f = "OmY=", fo = "OmZv",
      foo = "OmZvbw==", foob = "OmZvb2I=", fooba = "OmZvb2Jh",
      ["\255\254\253"] = "Ov/+/Q==" } do
      assert.same({ Authorization = { "Basic " .. text } },
        read("a", "--auth", ":" .. password).headers)
    end
    assert.equal("--auth: USER:PASSWORD expected, not 'x'",
      refused(arguments.read, "a", "--auth", "x"))
  end)

  it("takes headers, one behind the other", function()
    assert.same({ A = { "1", "2 3" }, B = { "" }, ["C-D"] = { "x:y" } },
      read("a", "-H", "A:1", "-HA:  2 3 ", "--header=B:", "-H",
        "C-D: x:y").headers)
    for _, text in ipairs { "A", ": x", "A B: x", " A: x", "A : x" } do
      assert.equal("--header: 'Name: value' expected, not '" .. text .. "'",
        refused(arguments.read, "a", "-H", text))
    end
    assert.same({ "x", "y" }, read("a", "-sx", "-s", "y").subprotocols)
  end)

  it("takes a URL, with the scheme that is meant", function()
    for given, url in pairs { a = "ws://a", ["a:80/x"] = "ws://a:80/x",
      ["http://a"] = "ws://a", ["HTTPS://a"] = "wss://a",
      ["wss://a"] = "wss://a", ["WSS://a"] = "WSS://a", ["ftp://a"] = "ftp://a",
      ["ws+unix:/a:b"] = "ws+unix:/a:b", ["[::1]:80"] = "ws://[::1]:80" } do
      assert.equal(url, read(given).url)
    end
    assert.equal("a URL is missing", refused(arguments.read, "-b"))
    assert.is_true(read("-h").help)
    assert.is_true(read("-V").version)
  end)

  it("takes what stands behind the URL for messages", function()
    assert.is_nil(read("a").messages)
    local o = read("-b", "a", "one", "-v", "--", "-two", "--three")
    assert.same({ "one", "-two", "--three" }, o.messages)
    assert.same({ true, true, "ws://a" }, { o.binary, o.verbose, o.url })
    assert.equal("ws://-a", read("--", "-a").url)
    assert.same({ "-" }, read("a", "-").messages)
    assert.equal("--ping sends no messages",
      refused(arguments.read, "-p", "a", "b"))
  end)

  it("takes letters together, the last of them with a value", function()
    local o = read("-kbc3", "a", "-vt", "2", "-i0.5")
    assert.same({ true, true, 3, true, 2, 0.5 }, { o.insecure, o.binary,
      o.count, o.verbose, o.timeout, o.interval })
    assert.equal("-bt: a value is missing", refused(arguments.read, "a",
      "-bt"))
    assert.equal("--key: --cert is missing", refused(arguments.read, "a",
      "--key", "x"))
    assert.equal("x", read("a", "--key", "x", "--cert", "y").key)
    assert.equal("", read("a", "--origin=").origin)
  end)

  it("says what may have been meant", function()
    for text, hint in pairs { ["--bogus"] = "",
      ["--binry"] = " (did you mean '--binary'?)",
      ["--user=x"] = " (--auth)", ["--text"] = " (text is the default)",
      ["--binary=1"] = "", ["--heder=a"] = " (did you mean '--header'?)" } do
      assert.equal("unknown option '" .. text .. "'" .. hint,
        refused(arguments.read, "a", text))
    end
  end)

  it("has a proxy of the environment, or of a URL", function()
    local o = read("a", "--proxy", "env", "--proxy-ca", "x")
    assert.same({ true, { ca = "x" } }, { o.proxy, o.proxy_tls })
    assert.equal("http://p", read("a", "--proxy=http://p").proxy)
  end)
end)

describe("evws serve", function()
  it("takes values from the least to the most", function()
    for _, case in ipairs { { "workers", "1", 1 }, { "workers", "128", 128 },
      { "grace", "0", 0 }, { "linger", "0", 0 }, { "ready", "0.001", 0.001 },
      { "hang", "0", 0 } } do
      assert.equal(case[3], read_serve("--" .. case[1], case[2])[case[1]])
    end
    assert.equal("--workers: at most 128, not '129'",
      refused(serve.read, "serve", "a.lua", "-w129"))
    assert.equal("--ready: a number of at least 0.001 expected, not '0.0001'",
      refused(serve.read, "serve", "a.lua", "--ready", "0.0001"))
    for _, name in ipairs { "grace", "linger", "hang" } do
      assert.equal(("--%s: a number of at least 0 expected, not '-0.1'")
        :format(name), refused(serve.read, "serve", "a.lua", "--" .. name,
        "-0.1"))
    end
  end)

  it("takes each code that a Close may have, and no other", function()
    for code = 900, 5100 do
      local is_good = code >= 1000 and code <= 1003
        or code >= 1007 and code <= 1014 or code >= 3000 and code <= 4999
      local ok, o = pcall(read_serve, "--close-code", tostring(code))
      assert.equal(is_good, ok, code)
      if ok then assert.equal(code, o.close_code) end
    end
    assert.equal("--close-code: a code that may be sent expected, not '1e'",
      refused(serve.read, "serve", "a.lua", "--close-code", "1e"))
  end)

  it("takes a Redis by its URL, or one of its own", function()
    for _, text in ipairs { "spawn", "redis://h", "rediss://h",
      "redis+unix:/p" } do
      assert.equal(text, read_serve("--redis", text).redis)
    end
    for _, text in ipairs { "redis://", "redis+unix:", "spawn ", "xredis://h",
      "http://h" } do
      assert.equal("--redis: redis://HOST, redis+unix:/PATH or spawn expected, "
        .. "not '" .. text .. "'", refused(serve.read, "serve", "a.lua",
        "--redis", text))
    end
  end)

  it("has its defaults, and arguments for the script", function()
    local o = read_serve("-w2", "--lua", "/l", "--", "-w", "3", "--")
    assert.same({ script = "a.lua", workers = 2, lua = "/l", grace = 30,
      linger = 0, close_code = 1012, ready = 30, hang = 60,
      arguments = { "-w", "3", "--" } }, o)
    local list = { [-2] = "lua", [-1] = "-W", [0] = "evws", "serve", "a.lua" }
    o = serve.read(list)
    assert.equal("lua", o.lua)
    assert.is_true(o.workers >= 1 and o.workers <= 128)
    assert.same({}, o.arguments)
  end)

  it("says which number is none", function()
    assert.same({ usage = "--n: a number of at least 2 expected, not '1'" },
      select(2, pcall(words.number, "n", "1", 2)))
    assert.equal(2, words.number("n", "2", 2, true))
    assert.equal(2.5, words.number("n", "2.5", 2))
  end)
end)

describe("pings", function()
  it("are counted, and each is answered once", function()
    local own, sent = pings.new(), {}
    local conn = { ping = function(_, text)
      sent[#sent + 1] = text
      if text == "no" then return nil, "closed" end
      return true
    end }
    assert.is_true(own:send(conn))
    assert.is_true(own:send(conn))
    assert.is_true(own:send(conn, "mine"))
    assert.same({ nil, "closed" }, { own:send(conn, "no") })
    assert.same({ "evws 1", "evws 2", "mine", "no" }, sent)
    assert.equal(3, own.n_sent)
    assert.is_true(own:answered "evws 2" >= 0)
    assert.is_nil(own:answered "evws 2")
    assert.is_nil(own:answered "no")
    local ms = own:answered "mine"
    assert.equal(2, own.n_answered)
    assert.is_true(own.least <= ms and own.most >= ms
      and own.sum >= own.most)
  end)
end)

describe("a line with a slash", function()
  it("is a command, or text behind two", function()
    local log = {}
    local own = { screen = {
      complain = function(_, ...) log[#log + 1] = string.format(...) end,
      note = function(_, ...) log[#log + 1] = string.format(...) end },
      close = function(_, code, reason)
        log[#log + 1] = ("close %s %s"):format(code, reason)
      end }
    assert.equal("/text", slash.run(own, "//text"))
    for line, said in pairs { ["/close"] = "close nil nil",
      ["/close 1000"] = "close 1000 ", ["/close 4000  so it is "] =
        "close 4000 so it is", ["/close x"] =
        "/close: a code expected, not 'x'", ["/close 10000"] =
        "/close: a code expected, not '10000'", ["/none x"] =
        "no command /none (/help lists them; //none x sends it)" } do
      log = {}
      assert.is_nil(slash.run(own, line))
      assert.same({ said }, log)
    end
    log = {}
    assert.is_nil(slash.run(own, "/help"))
    assert.equal(#require "evws.command.manual".commands, #log)
  end)
end)

describe("what evws has to say", function()
  it("has no words of Lua around it", function()
    for text, plain in pairs {
      ["lua/a.lua:12: bad option 'subprotocols' (x)"] = "--subprotocol: x",
      ["bad option 'max_message' (bytes)"] = "--max-message: bytes",
      ["x.lua:1: bad argument #1 to 'connect' (bad URL: a space)"] =
        "bad URL: a space",
      ["user info: give headers = { Authorization = x }"] =
        "user info: --auth USER:PASSWORD gives it",
      ["as it is"] = "as it is" } do
      assert.equal(plain, session.plainly(text))
    end
  end)
end)
