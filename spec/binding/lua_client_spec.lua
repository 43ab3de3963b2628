-- ws.connect: URLs, waiting and not, what it says when it cannot.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local handshake = require("evws_probe").handshake
local ws, probe = t.ws, t.probe
local contains, url_of, echo = t.contains, t.url_of, t.echo

-- A port whose listener belongs to the spec: what comes is answered with
-- `reply`, or with nothing when that is nil.
local function fake(reply)
  local listener = assert(probe.listen("127.0.0.1", 0))
  local accepted
  ws.spawn(function()
    repeat
      accepted = listener:accept()
      ws.sleep(0)
    until accepted
    local got = ""
    repeat
      got = got .. (accepted:recv() or "")
      ws.sleep(0)
    until got:find("\r\n\r\n", 1, true)
    if reply then accepted:send(reply) end
    if reply == "" then accepted:close() end
  end)
  return "ws://127.0.0.1:" .. listener.port, function()
    listener:close()
    if accepted then accepted:close() end
  end
end

describe("connect", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  describe("with a URL", function()
    it("opens what it names", function()
      local seen
      local server = t.listen { on_message = echo,
        on_upgrade = function(r) seen = r end }
      local port = server.port
      for url, expected in pairs {
        ["ws://127.0.0.1:" .. port] = { "/", nil, "127.0.0.1:" .. port },
        ["WS://127.0.0.1:" .. port .. "/"] = { "/", nil,
          "127.0.0.1:" .. port },
        ["ws://localhost:" .. port .. "/a/b?c=d"] = { "/a/b", "c=d",
          "localhost:" .. port },
        ["ws://127.0.0.1:" .. port .. "?q"] = { "/", "q",
          "127.0.0.1:" .. port },
      } do
        local conn <close> = assert(ws.connect(url))
        assert.same(expected, { seen.path, seen.query, seen.host }, url)
        conn:send("x", "binary")
        assert.same({ "x", "binary" }, { conn:receive(t.limit) })
      end
    end)

    it("of an IPv6 address", function()
      local server = t.listen { host = "::1", on_message = echo }
      local conn <close> = assert(ws.connect(("ws://[::1]:%d/"):format(
        server.port)))
      assert.equal("::1", conn.remote_address)
    end)

    it("of an IPv6 address with its zone, which is kept to itself", function()
      local seen = {}
      local server = t.listen { host = "::1", origins = "same", on_message =
        function(conn) conn:terminate() end,
        on_upgrade = function(r) seen[#seen + 1] = r.host end }
      local host = "[::1]:" .. server.port
      -- the number of the loopback interface
      local url = ("ws://[::1%%251]:%d/"):format(server.port)
      local conn <close> = assert(ws.connect(url, { reconnect = {
        initial = 0.01, jitter = 0 }, origin = "http://" .. host }))
      conn:send "again"
      t.wait(function() return #seen == 2 and conn.state == "open" end)
      assert.same({ host, host }, seen)
      local _, why = t.connect "ws://[fe80::1%25no-such-zone]/"
      assert.equal("no such network interface", why)
    end)

    it("of a Unix socket", function()
      local path = os.tmpname()
      os.remove(path)
      local seen
      t.listen { unix = path, on_upgrade = function(r) seen = r end }
      local conn <close> = assert(ws.connect("ws+unix://" .. path))
      assert.equal("open", conn.state)
      assert.equal("/", seen.path)
      local other <close> = assert(ws.connect("ws+unix://" .. path
        .. ":/chat?x=1"))
      assert.equal("open", other.state)
      assert.same({ "/chat", "x=1" }, { seen.path, seen.query })
    end)

    it("that is none raises at the caller's line", function()
      for _, url in ipairs { "", "x", "http://a", "ws:/a", "ws://",
        "ws://a:0x", "ws://a:99999", "ws://a b", "ws://a/#f", "ws://u:p@a",
        "ws://[::1", "ws+unix://", "ws://a/\r\nX: y", "ws://a\0b" } do
        contains(kit.refusal(function()
          local conn = ws.connect(url)
          return conn
        end), "bad argument #1 to 'connect' (bad URL: ")
      end
      for url, why in pairs {
        ["ws://u:p@a/"] = "give headers = { authorization = ... }",
        ["ws://b\u{FC}cher.example/"] = "ASCII form (punycode)",
      } do
        contains(kit.refusal(function()
          local conn = ws.connect(url)
          return conn
        end), why)
      end
      for _, url in ipairs { {}, true } do
        assert.is_false((pcall(ws.connect, url)))
      end
    end)
  end)

  describe("that cannot", function()
    it("returns nil and why, when nobody listens", function()
      local server = t.listen {}
      local url = url_of(server)
      server:close()
      local result = table.pack(t.connect(url))
      assert.is_nil(result[1])
      assert.equal("connection refused", result[2])
      assert.is_nil(result[3])
      assert.is_nil((ws.connect "ws+unix:///nonexistent/socket"))
    end)

    it("returns nil and why, when the name is not known", function()
      local conn, why = t.connect "ws://name.invalid:1/"
      assert.is_nil(conn)
      contains(why, "not found")
    end)

    it("returns status and phrase of a refusal", function()
      local server = t.listen { path = "/ws", on_upgrade = function()
        return 403
      end }
      local function refusal(path)
        return table.move({ t.connect(url_of(server) .. path) }, 1, 3, 1, {})
      end
      assert.same({ nil, "403 Forbidden", 403 }, refusal "/ws")
      assert.same({ nil, "404 Not Found", 404 }, refusal "")
    end)

    it("says what is wrong with an answer", function()
      for reply, part in pairs {
        ["SMTP ready\r\n\r\n"] = "HTTP",
        ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
          .. "Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"] = "",
        ["HTTP/1.1 200 \27[31mred\r\n\r\n"] = "",
        ["HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"] = "302 Found",
        [""] = "",
      } do
        local url, close = fake(reply)
        local conn, why = t.connect(url)
        close()
        assert.is_nil(conn)
        contains(why, part)
        assert.is_nil(why:find "%c")
      end
    end)

    it("gives up after its timeout", function()
      local url, close = fake(nil)
      local from = ws.now()
      local conn, why = t.connect(url, { timeout = 0.05 })
      close()
      assert.is_nil(conn)
      assert.equal("timeout", why)
      local took = ws.now() - from
      assert.is_true(took >= 0.03 and took < t.limit * t.factor, took)
    end)

    it("leaves no descriptor behind", function()
      local server = t.listen { on_upgrade = function() return 403 end }
      local function count()
        for _ = 1, 3 do t.turn() end
        return probe.fd_count()
      end
      ws.connect(url_of(server))
      t.wait(function() return server.connections == 0 end)
      local before = count()
      for _ = 1, 5 do
        ws.connect(url_of(server))
        ws.connect "ws+unix:///nonexistent/socket"
        ws.connect "ws://name.invalid:1/"
      end
      t.wait(function() return count() <= before end)
    end)
  end)

  describe("with on_open", function()
    it("returns at once, connecting", function()
      local opened
      local server = t.listen { on_message = echo }
      local conn = ws.connect(url_of(server), {
        on_open = function(c)
          opened = c
          c:send "x"
        end,
      })
      assert.equal("connecting", conn.state)
      assert.is_nil(opened)
      t.wait(function() return opened end)
      assert.equal(conn, opened)
      assert.equal("open", conn.state)
      assert.equal("x", conn:receive(t.limit))
    end)

    it("that cannot: on_close alone, 1006 and why", function()
      local server = t.listen { path = "/ws" }
      local gone = t.listen {}
      local gone_url = url_of(gone)
      gone:close()
      local log, conns = {}, {}
      for i, url in ipairs { url_of(server), gone_url,
        "ws+unix:///nonexistent/socket" } do
        conns[i] = ws.connect(url, {
          on_open = function() log[#log + 1] = "opened" end,
          on_close = function(conn, code, reason)
            assert(conn == conns[i] and conn.state == "closed")
            log[#log + 1] = ("%d %d %s"):format(i, code, reason)
          end,
        })
      end
      t.wait(function() return #log == 3 end)
      for _ = 1, 3 do t.turn() end
      table.sort(log)
      assert.equal(3, #log)
      assert.equal("1 1006 404 Not Found", log[1])
      assert.equal("2 1006 connection refused", log[2])
      assert.equal("3 1006 no such socket", log[3])
    end)

    it("wakes a receive that was waiting for it", function()
      local server = t.listen { on_open = function(c) c:send "x" end }
      local got, lost
      local conn = ws.connect(url_of(server), { on_open = function() end })
      ws.spawn(function() got = conn:receive() end)
      local none = ws.connect("ws+unix:///nonexistent/socket",
        { on_open = function() end })
      ws.spawn(function() lost = table.pack(none:receive()) end)
      t.wait(function() return got and lost end)
      assert.equal("x", got)
      assert.same({ nil, "closed", 1006, "no such socket", n = 4 }, lost)
    end)
  end)

  describe("without on_open", function()
    it("waits: outside of a turn, in a task, in a coroutine", function()
      local server = t.listen { on_message = echo }
      local function once()
        local conn <close> = assert(ws.connect(url_of(server)))
        conn:send "x"
        return conn:receive(t.limit)
      end
      assert.equal("x", once())
      assert.equal("x", t.pump(once))
      assert.equal("x", coroutine.wrap(once)())
    end)

    it("raises where it cannot wait, and opens nothing", function()
      local server, result = t.listen {}, nil
      t.pump(function()
        local before = t.fd_count()
        coroutine.wrap(function()
          result = { pcall(ws.connect, url_of(server)) }
        end)()
        assert.equal(before, probe.fd_count())
      end)
      assert.is_false(result[1])
      contains(result[2], "cannot wait here (use ws.spawn)")
      for _ = 1, 5 do t.turn() end
      assert.equal(0, server.connections)
    end)

    it("calls the other handlers all the same", function()
      local log = {}
      local server = t.listen { on_open = function(c)
        c:send "hello"
        c:close(4000, "bye")
      end }
      local conn = assert(ws.connect(url_of(server), {
        on_message = function(c, m) log[#log + 1] = m end,
        on_close = function(c, ...) log[#log + 1] = { ... } end,
      }))
      t.wait(function() return log[2] end)
      assert.same({ "hello", { 4000, "bye" } }, log)
      assert.equal("closed", conn.state)
    end)

    it("calls on_close once when it cannot", function()
      local log = {}
      local conn = ws.connect("ws+unix:///nonexistent/socket", {
        on_close = function(c, code) log[#log + 1] = code end })
      assert.is_nil(conn)
      for _ = 1, 3 do t.turn() end
      assert.same({ 1006 }, log)
    end)

    it("tells an error in on_close of the attempt", function()
      local errors = kit.errors()
      assert.is_nil((ws.connect("ws+unix:///nonexistent/socket", {
        on_close = function() error "boom" end })))
      t.wait(function() return errors[1] end)
      contains(errors[1].message, "boom")
    end)
  end)

  describe("to a server of the spec's own", function()
    -- The raw end of a connection that connect has opened.
    local function dial(options, early)
      local listener = assert(probe.listen("127.0.0.1", 0))
      local own = { on_open = function() end }
      for name, value in pairs(options or {}) do own[name] = value end
      local conn = ws.connect("ws://127.0.0.1:" .. listener.port, own)
      local raw = t.wrap(t.wait(function() return listener:accept() end),
        "client")
      listener:close()
      local head = ""
      t.wait(function()
        head = head .. (raw.socket:recv() or "")
        return head:find("\r\n\r\n", 1, true)
      end)
      local key = head:match "Sec%-WebSocket%-Key: (%S+)"
      raw:send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        .. "Connection: Upgrade\r\nSec-WebSocket-Accept: "
        .. handshake.accept(key) .. "\r\n\r\n" .. (early or ""))
      t.wait(function() return conn.state ~= "connecting" end)
      return conn, raw, key
    end

    it("masks, with a fresh key each time", function()
      local conn, raw = dial()
      for _ = 1, 2 do conn:send "hello" end
      local bytes = ""
      t.wait(function()
        bytes = bytes .. (raw.socket:recv() or "")
        return #bytes == 22
      end)
      assert.not_equal(bytes:sub(1, 11), bytes:sub(12))
      conn, raw = dial()
      conn:send(("x"):rep(100000), "binary")
      raw:expect_frame("binary", ("x"):rep(100000))
      conn:close()
      raw:expect_close(1000)
    end)

    it("takes what comes with the 101", function()
      local conn = dial(nil, t.frame("text", "one", { mask = false })
        .. t.frame("text", "two", { mask = false }))
      assert.equal("one", conn:receive(t.limit))
      assert.equal("two", conn:receive(t.limit))
      conn:terminate()
    end)

    it("refuses what is masked: 1002", function()
      local conn, raw = dial()
      raw:send(t.frame("text", "x"))
      raw:expect_close(1002)
      assert.same({ nil, "closed", 1002, "a masked frame" },
        { conn:receive(t.limit) })
    end)

    it("sends a new key each time", function()
      local seen = {}
      for _ = 1, 5 do
        local conn, _, key = dial()
        assert.equal(24, #key)
        assert.is_nil(seen[key])
        seen[key] = true
        conn:terminate()
      end
    end)
  end)

  it("sends Origin, and nothing that was not asked for", function()
    local seen
    local server = t.listen { on_upgrade = function(r) seen = r.headers end }
    local conn <close> = assert(ws.connect(url_of(server),
      { origin = "https://o.example", subprotocols = { "a", "b" } }))
    assert.equal("open", conn.state)
    assert.equal("https://o.example", seen.origin)
    assert.equal("a, b", seen["sec-websocket-protocol"])
    local other <close> = assert(ws.connect(url_of(server)))
    assert.equal("open", other.state)
    assert.is_nil(seen.origin)
    assert.is_nil(seen["sec-websocket-protocol"])
    assert.is_nil(seen["sec-websocket-extensions"])
  end)

  it("raises for a bad reconnect, and opens nothing", function()
    local before = t.fd_count()
    for part, value in pairs {
      ["boolean or { initial =, maximum =, jitter = } expected, got 1"] = 1,
      ["unknown field 'max'"] = { max = 1 },
      ["unknown field '1'"] = { 5 },
      [ [[a number as 'initial' expected, got the string "1" (tonumber?)]] ]
        = { initial = "1" },
      ["a number as 'jitter' expected, got true"] = { jitter = true },
    } do
      contains(kit.refusal(function()
        local conn = ws.connect("ws://127.0.0.1:1", { reconnect = value })
        return conn
      end), "bad option 'reconnect' (" .. part)
    end
    for _, value in ipairs { { initial = 0 }, { initial = -1 },
      { initial = 2, maximum = 1 }, { maximum = 0.5 }, { jitter = 1.5 },
      { jitter = -0.1 }, { initial = 0 / 0 }, { maximum = 1 / 0 } } do
      contains(kit.refusal(function()
        local conn = ws.connect("ws://127.0.0.1:1", { reconnect = value })
        return conn
      end), "0 < initial <= maximum and 0 <= jitter <= 1 expected")
    end
    assert.equal(before, probe.fd_count())
  end)

  it("takes reconnect = false, true and a long initial wait", function()
    local server = t.listen {}
    for _, value in ipairs { false, true, {}, { initial = 100 },
      { jitter = 0 } } do
      local conn <close> = assert(ws.connect(url_of(server),
        { reconnect = value }))
      assert.equal("open", conn.state)
    end
  end)

  it("has the options of a connection", function()
    local server = t.listen { on_message = echo }
    local conn = assert(ws.connect(url_of(server), { max_message = 10 }))
    conn:send(("x"):rep(11))
    assert.same({ nil, "closed", 1009, "the message is too big" },
      { conn:receive(t.limit) })
  end)
end)
