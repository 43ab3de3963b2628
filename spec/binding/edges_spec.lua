-- Values at the edges of what calls take, and calls at the edges of the life of
-- what they are of: what is said of them.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local core = require "evws.core"
local ws = t.ws
local contains = t.contains

local function note() end
local nan = 0 / 0

-- What fn raises of the arguments, whoever raises it.
local function raised(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(why)
end

describe("at the edge", function()
  after_each(function()
    ws.on_error(nil)
    kit.cleanup()
    t.cleanup()
  end)

  it("seconds are numbers that are not negative", function()
    local server = t.listen {}
    local conn = kit.pair()
    for _, seconds in ipairs { -1, nan, -math.huge } do
      for _, call in ipairs { { ws.sleep, seconds },
        { ws.after, seconds, note },
        { conn.receive, conn, seconds }, { conn.wait, conn, seconds },
        { conn.after, conn, seconds, note },
        { server.close, server, seconds } } do
        contains(raised(table.unpack(call)), call[1] == server.close
          and "expected" or "must not be negative")
      end
    end
    for _, seconds in ipairs { 0, -1, nan } do
      contains(raised(ws.every, seconds, note), "seconds above 0 expected")
    end
  end)

  it("nesting is counted from 0 to 1024", function()
    for _, depth in ipairs { -1, 1025, math.mininteger } do
      contains(raised(ws.json_split, "[]", depth), "0 to 1024 expected")
      contains(raised(ws.json_split, "[]", 1, depth), "0 to 1024 expected")
    end
    assert.is_truthy(ws.json_split("[]", 1024, 1024))
  end)

  it("a descriptor is a small number, a queue holds one value at least",
    function()
      for _, fd in ipairs { -1, 1 << 20, math.maxinteger } do
        contains(raised(core.input, fd), "a descriptor expected")
      end
      for _, limit in ipairs { 0, -1 } do
        contains(raised(ws.queue, limit), "at least 1 expected")
      end
      contains(raised(function() ws.queue(1):put(nil) end), "nil cannot be put")
    end)

  it("a pattern of a history is a name, or its beginning", function()
    local rule = { size = 1, ttl = 1 }
    for _, pattern in ipairs { "", "*a", "a*b", ("x"):rep(65536) } do
      contains(kit.refused { port = 0, history = { [pattern] = rule } },
        "a name, or the beginning of names and a '*'")
    end
    contains(kit.refused { port = 0, history = { [5] = rule } },
      "patterns of topics expected")
    for _, stamp in ipairs { true, 5, "JSON" } do
      contains(kit.refused { port = 0, history = { a = { size = 1, ttl = 1,
        stamp = stamp } } }, "bad option 'stamp'")
    end
    local server = t.listen { history = { a = { size = 1, ttl = 1,
      stamp = false }, [("x"):rep(65535)] = rule } }
    assert.same({}, (server:history "a"))
    t.listen { history = {} }
  end)

  it("a history is not reset inside of a view", function()
    local conn, raw, server = kit.pair {
      history = { a = { size = 9, ttl = 9 } } }
    local why
    server:view("v", function(message)
      why = raised(server.reset, server, "a")
      return message
    end)
    conn:subscribe("a", { view = "v" })
    server:publish("a", "seen")
    raw:expect_frame("text", "seen")
    contains(why, "cannot reset inside of a view")
    assert.equal(1, #server:history "a")
  end)

  it("a history is read before a position, from its end", function()
    local server = t.listen { history = { a = { size = 9, ttl = 9 } } }
    for i = 1, 5 do server:publish("a", "m" .. i) end
    local function read(options)
      local texts = {}
      for i, entry in ipairs((server:history("a", options))) do
        texts[i] = entry.message
      end
      return table.concat(texts, " ")
    end
    assert.equal("m2 m1", read { since = { offset = 3 }, reverse = true })
    assert.equal("m5 m4 m3 m2 m1", read { since = { offset = 9 },
      reverse = true })
    assert.equal("", read { since = { offset = 0 }, reverse = true })
    assert.equal("m4 m5", read { since = { offset = 3 } })
    assert.equal("m1 m2 m3 m4 m5", read { since = { offset = 0 } })
    assert.equal("", read { since = { offset = 5 } })
  end)

  it("a path is a string, a view one that is there", function()
    contains(kit.refused { port = 0, path = 5 },
      "bad option 'path' (string expected, got 5)")
    contains(kit.refused { port = 0, path = true },
      "bad option 'path' (string expected, got true)")
    local conn, _, server = kit.pair()
    local function view(name)
      return raised(conn.subscribe, conn, "a", { view = name })
    end
    contains(view "v", "the server has no view 'v' (server:view makes one)")
    server:view("shortened", note)
    contains(view "shorten", "(did you mean 'shortened'?)")
    contains(view "v", "(server:view makes one)")
    contains(view(true), "bad option 'view' (string or false expected")
    contains(view(5), "bad option 'view' (string or false expected")
    assert.is_true(conn:subscribe("a", { view = false }))
    for _, name in ipairs { "", ("x"):rep(65) } do
      contains(raised(server.view, server, name, note),
        "a name of 1 to 64 bytes expected")
    end
  end)

  it("the hosts of who listens on this machine alone are its names", function()
    for _, host in ipairs { "127.0.0.1", "127.1.2.3" } do
      local server = t.listen { host = host, hosts = "auto" }
      local function status(name)
        local raw = t.raw(server, { address = host })
        local got = raw:upgrade { host = name }
        raw:close()
        return got
      end
      assert.same({ 101, 101, 101, 421 }, { status "localhost",
        status "a.localhost", status "[::1]", status "other.test" })
    end
    local named = t.listen { host = "a.localhost", hosts = "auto" }
    assert.equal(421, (t.raw(named.port):upgrade { host = "other.test" }))
    -- of another address every name is welcome; and it is not of this machine
    for _, host in ipairs { "203.0.113.9", "2001:db8::9" } do
      local server, why = ws.listen { host = host, port = 0, hosts = "auto" }
      assert.is_nil(server)
      assert.is_string(why)
    end
  end)

  it("what is said of a value is cut between its characters", function()
    local why = kit.refused { port = 0, compression = ("x"):rep(39) .. "ö"
      .. ("y"):rep(9) }
    contains(why, ("x"):rep(39) .. "...\"")
    assert.is_nil(why:find "\195")
    why = kit.refused { port = 0, compression = ("x"):rep(40) .. "ö" }
    contains(why, ("x"):rep(40) .. "...\"")
    contains(kit.refused { port = 0, compression = {
      context_takeover = { [5] = true } } }, "5")
  end)

  it("of names that are too long or empty nothing is guessed", function()
    local long = ("x"):rep(50)
    contains(kit.refused { port = 0, [long] = 1 }, long)
    contains(kit.refused { port = 0, ["___"] = 1 }, "'___'")
    assert.is_nil(core.suggest(long, { "xxx" }))
    assert.is_nil(core.suggest("xxx", { long, "__" }))
    assert.equal("xxxx", core.suggest("xxxy", { long, "xxxx" }))
  end)

  it("a rate that is waited for is above 0", function()
    for _, rate in ipairs { false, { burst = 1, rate = 0 } } do
      contains(kit.refused { port = 0, on_flood = "wait", message_rate = rate },
        "option 'on_flood' needs 'message_rate' with a rate above 0")
    end
  end)

  it("an error says where, of a long path its beginning", function()
    local traces = {}
    local path = "/" .. ("p"):rep(200)
    local server = t.listen {
      on_error = function(_, _, trace) traces[#traces + 1] = trace end,
      on_request = function() error "first" end,
      on_message = function() error "second" end }
    local shown = path:sub(1, 100) .. "...: "
    local raw = t.raw(server)
    raw:send("GET " .. path .. " HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.equal(500, (raw:read_http()))
    local other = t.open(server, { path = path })
    other:send(t.frame("text", "x"))
    other:expect_close(1011)
    contains(traces[1], "in on_request of GET " .. shown)
    contains(traces[2], "in on_message of " .. shown)
  end)

  it("a handler in C is named without its place", function()
    local messages = {}
    local server = t.listen { on_request = tostring,
      on_error = function(_, message) messages[1] = message end }
    local raw = t.raw(server)
    raw:send "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
    assert.equal(500, (raw:read_http()))
    contains(messages[1], "on_request of GET /x returned ")
  end)

  it("HEAD gets the length of a long string, and none of it", function()
    local server = t.listen { on_request = function()
      return 200, ("x"):rep(200000)
    end }
    local raw = t.raw(server)
    raw:send "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    local status, headers = raw:read_http { head = true }
    assert.same({ 200, "200000" }, { status, headers["content-length"] })
    raw:expect_eof()
  end)

  it("what is sent with options that say nothing is sent", function()
    local conn, raw = kit.pair()
    assert.is_true((conn:send("a", "text", {})))
    raw:expect_frame("text", "a")
  end)

  -- One that runs, but has called another one.
  it("a task is cancelled where it waits next", function()
    local outer, got
    outer = ws.spawn(function()
      core.spawn_now(function() outer:cancel() end)
      got = "it went on"
      got = { pcall(ws.sleep, 1000) }
      ws.sleep(0) -- not for ever
      got[3] = "and on"
    end)
    t.wait(function() return select(2, outer:wait(0)) ~= "timeout" end)
    assert.equal("it went on", type(got) == "table" and "it went on")
    contains(tostring(got[2]), "cancelled")
    assert.equal("and on", got[3])
  end)

  it("a connection whose server has gone takes no wishes", function()
    local conn, _, server = kit.pair()
    t.pump(server.close, server, { timeout = 0 })
    t.wait(function() return conn.state == "closed" end)
    collectgarbage()
    for _, wish in ipairs { { presence = "x" }, { view = "v" }, { wait = 1 },
      { recover = {} } } do
      assert.same({ nil, "closed" }, { conn:subscribe("a", wish) })
    end
    assert.same({ nil, "closed" }, { conn:publish("a", "x") })
    assert.same({ nil, "closed" }, { conn:shutdown() })
    assert.same({ nil, "closed" }, { conn:after(1, note) })
    local other = kit.pair()
    assert.is_true(other:shutdown())
    assert.same({ nil, "closed" }, { other:shutdown() })
  end)
end)
