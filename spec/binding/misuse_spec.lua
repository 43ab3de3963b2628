-- The commonest slips: what is set that is never called, a dot for a colon, a
-- URL without its scheme, a server that nobody runs.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains
local core = require "evws.core"

local function at_line(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches("^spec/binding/misuse_spec.lua:%d+: ", why)
  return (why:gsub("^.-:%d+: ", ""))
end

describe("the module", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
    ws.log = core.log
  end)

  it("takes its hooks by a call and by an assignment", function()
    for _, set in ipairs { function(f) ws.on_error(f) end,
      function(f) ws.on_error = f end } do
      local said
      set(function(_, message) said = message end)
      ws.spawn(function() error("boom", 0) end)
      t.wait(function() return said end)
      assert.equal("boom", said)
      ws.on_error = nil
    end
    for _, set in ipairs { function(f) ws.log(f) end,
      function(f) ws.log = f end } do
      local events = {}
      ws.log = core.log
      set(function(_, event) events[#events + 1] = event end)
      t.listen {}:close()
      assert.equal("listening", events[1])
    end
    ws.log = nil
    ws.log = core.log
    assert.equal(core.log, ws.log)
    assert.equal(core.on_error, ws.on_error)
  end)

  it("raises for a name that it does not have", function()
    for name, nearest in pairs { onerror = "on_error", on_eror = "on_error",
      lgo = "log", logg = "log", lsiten = "listen" } do
      assert.equal(("cannot set '%s' of evws (did you mean '%s'?)")
        :format(name, nearest), at_line(function() ws[name] = print end))
    end
    assert.equal("cannot set 'handler' of evws",
      at_line(function() ws.handler = print end))
    assert.equal("cannot set '1' of evws", at_line(function() ws[1] = 1 end))
    assert.equal("ws.on_error: a function or nil expected, got a number",
      at_line(function() ws.on_error = 5 end))
    assert.is_nil(ws.handler)
    assert.is_nil(rawget(ws, "handler"))
  end)

  it("shows all that is in it to pairs, once", function()
    local seen = {}
    for name, value in pairs(ws) do
      assert.is_nil(seen[name])
      assert.equal(ws[name], value)
      seen[name] = true
    end
    assert.is_true(seen.on_error and seen.log and seen.listen)
  end)

  it("is no object: its functions are called with a dot", function()
    for name, arguments in pairs { run = {}, step = {}, sleep = { 1 },
      spawn = { print }, after = { 1, print }, every = { 1, print },
      queue = { 1 }, connect = { "ws://127.0.0.1:1" },
      listen = { { port = 0 } },
      on_error = { print }, log = { "info", "x" }, watchdog = { 1 },
      random = { 1 }, equals = { "a", "b" },
      hmac_sha256 = { "a", "b" }, json_split = { "1" } } do
      assert.equal(("call ws.%s, not ws:%s"):format(name, name),
        at_line(function()
          local result = ws[name](ws, table.unpack(arguments))
          return result
        end))
    end
  end)
end)

describe("a method", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("that is called with a dot says so", function()
    local conn, raw = kit.pair()
    local server = conn.server
    local queue = ws.queue(1)
    local timer <close> = ws.after(100, print)
    local text = "bad argument #1 to '%s' (%s expected, got %s; call %s, not "
      .. "%s)"
    for _, row in ipairs {
      { function() local r = conn.send "x" return r end, "send", "evws.conn",
        "string", "conn:send", "conn.send" },
      { function() local r = conn.close() return r end, "close", "evws.conn",
        "no value", "conn:close", "conn.close" },
      { function() local r = server.publish("a", "b") return r end, "publish",
        "evws.server", "string", "server:publish", "server.publish" },
      { function() local r = server.stats() return r end, "stats",
        "evws.server", "no value", "server:stats", "server.stats" },
      { function() local r = queue.put(1) return r end, "put", "evws.queue",
        "number", "queue:put", "queue.put" },
      { function() local r = timer.cancel() return r end, "cancel",
        "evws.timer", "no value", "timer:cancel", "timer.cancel" },
    } do
      assert.equal(text:format(table.unpack(row, 2)), at_line(row[1]))
    end
    raw:finish()
  end)

  it("that is called in another way says what it got, as always", function()
    local conn, raw = kit.pair()
    local send = conn.send
    contains(at_line(function() local r = send "x" return r end),
      "(evws.conn expected, got string)")
    contains(select(2, pcall(conn.send, 5)), "(evws.conn expected, got number)")
    contains(select(2, pcall(conn.send, conn.server)),
      "(evws.conn expected, got evws.server)")
    raw:finish()
  end)

  it("is no place to put something", function()
    local server = t.listen {}
    assert.equal("cannot set 'port' of a server (ws.listen takes options)",
      at_line(function() server.port = 1 end))
    assert.equal("cannot set 'data' of a server (ws.listen takes options)",
      at_line(function() server.data = 1 end))
  end)
end)

describe("a connection", function()
  after_each(t.cleanup)

  it("is told the method that sets a handler", function()
    local conn
    local server = t.listen { on_open = function(c) conn = c end }
    t.open(server)
    for name, method in pairs { on_message = "on_message",
      onmessage = "on_message", onclose = "on_close", on_error = "on_error",
      onMessage = "on_message", on_pongs = "on_pong" } do
      assert.equal(("cannot set '%s' of a connection (conn:%s(fn) sets a "
        .. "handler)"):format(name, method), at_line(function()
        conn[name] = print
      end))
    end
    for _, name in ipairs { "message", "on", "user", "state", 5 } do
      assert.equal(("cannot set '%s' of a connection ('data' is yours)")
        :format(name), at_line(function() conn[name] = 1 end))
    end
  end)
end)

describe("ws.connect", function()
  after_each(t.cleanup)

  local function refusal(url)
    return at_line(function()
      local conn = ws.connect(url)
      return conn
    end)
  end

  it("knows what is meant by a URL of another scheme or none", function()
    for url, meant in pairs { ["localhost:5000/ws"] = "ws://localhost:5000/ws",
      ["localhost"] = "ws://localhost", ["http://a.test/x?y"] =
      "ws://a.test/x?y", ["https://a.test"] = "wss://a.test",
      ["[::1]:80"] = "ws://[::1]:80", ["ws:/a:1/b"] = "ws://a:1/b",
      ["wss:/a"] = "wss://a", ["ws//a"] = "ws://a", ["wss//a"] = "wss://a",
      ["ws:1/a"] = "ws://ws:1/a" } do
      assert.equal("bad argument #1 to 'connect' (bad URL: the scheme is not "
        .. "ws, wss or ws+unix (did you mean \"" .. meant .. "\"?))",
        refusal(url))
    end
    for _, url in ipairs { "", "/tmp/socket", "ftp://a", "http://a:99999",
      "user:pass@host" } do
      assert.is_nil(refusal(url):find("did you mean", 1, true), url)
    end
    contains(refusal "ws://a.test:99999", "bad URL: the port is above 65535")
  end)

  it("names the address, and not what may be a secret", function()
    local server = t.listen { on_upgrade = function() return 403 end }
    local url = t.url_of(server)
    for _, path in ipairs { "", "/", "/a?token=secret", "?token=secret" } do
      local text = "cannot connect to " .. url .. ": 403 Forbidden"
      local conn, why, status, response = ws.connect(url .. path)
      assert.same({ nil, text, 403 }, { conn, why, status })
      assert.equal(403, response.status)
    end
    server:close()
    assert.same({ nil, "cannot connect to " .. url .. ": connection refused" },
      { ws.connect(url .. "/x") })
    assert.same({ nil, "cannot connect to ws+unix:///none/x: no such socket" },
      { ws.connect "ws+unix:///none/x" })
    assert.same({ nil, "cannot connect to ws+unix:/none/x: no such socket" },
      { ws.connect "ws+unix:/none/x:/path" })
    local seen
    ws.connect(url, { on_open = print, on_close = function(_, code, why)
      seen = { code, why }
    end })
    t.wait(function() return seen end)
    assert.same({ 1006, "connection refused" }, seen)
  end)
end)

describe("a program that ends with a server listening", function()
  after_each(kit.cleanup)

  local line = "evws: the program ended with a server listening; ws.run() "
    .. "serves it\n"

  local function errors_of(source)
    local child = kit.run(source)
    child:ended()
    return child:errors()
  end

  it("and no turn ever run gets one line", function()
    assert.equal(line, errors_of [[
      assert(ws.listen { port = 0, host = "127.0.0.1" })
      assert(ws.listen { port = 0, host = "127.0.0.1" }) ]])
    contains(errors_of [[
      assert(ws.listen { port = 0, host = "127.0.0.1" })
      error "boom" ]], "boom")
  end)

  it("gets none where it was served, closed, silenced or forgotten", function()
    for _, source in ipairs {
      "ws.listen { port = 0, host = '127.0.0.1' } ws.step()",
      "ws.listen { port = 0, host = '127.0.0.1' } ws.sleep(0)",
      "ws.listen { port = 0, host = '127.0.0.1' }:close()",
      "local s <close> = ws.listen { port = 0, host = '127.0.0.1' }",
      "ws.log = false ws.listen { port = 0, host = '127.0.0.1' }",
      "ws.listen { port = 0, host = '127.0.0.1' } os.exit(0)",
      "ws.listen { port = 0, host = '127.0.0.1' } ws.run(ws.stop)", "" } do
      assert.equal("", errors_of(source), source)
    end
  end)
end)
