-- Calls of the system that fail under connections (src/engine): a server goes
-- on, a client says why, and nothing is lost that was not said to be. In a
-- process of its own, where calls are made to fail.

local child = require "spec.helper.child"

-- The script has `t` (spec.helper), `faults`, `fail(kind, errno, every)`, and
-- `heal(kind)`; it ends with "done".
local kit = [[
  local t = require "spec.helper"
  local faults = probe.faults
  assert(faults.is_on())
  local function fail(kind, errno, every, n)
    faults.fail(kind, n or 1, errno, every or false)
  end
  local function heal(kind) faults.fail(kind, 0) end
  local function equal(want, got)
    if want ~= got then
      error(("%s expected, got %s"):format(want, got), 2)
    end
  end
  ws.on_error(function(_, why) log("an error: " .. why) end)
]]

local function run(script)
  local lines, ok, how, code = child.run(kit .. script
    .. "\nt.cleanup() log 'done'", { faults = true })
  assert.same({ true, "exit", 0 }, { ok, how, code },
    table.concat(lines, "\n"))
  for _, line in ipairs(lines) do
    if line == "done" then return end
  end
  error(table.concat(lines, "\n"), 2)
end

-- errno of Linux
local errors = [[
  local E = { PERM = 1, INTR = 4, AGAIN = 11, NOMEM = 12, NFILE = 23,
    MFILE = 24, NOSPC = 28, PIPE = 32, NETUNREACH = 101, CONNABORTED = 103,
    CONNRESET = 104, TIMEDOUT = 110, CONNREFUSED = 111, HOSTUNREACH = 113,
    ADDRNOTAVAIL = 99, AFNOSUPPORT = 97 }
]]

describe("when a call of the system fails,", function()
  it("who waits is accepted all the same, or let go", function()
    run(errors .. [[
      local server = t.listen { on_message = t.echo }
      local calm = t.bystander(server)
      ws.log = function() end
      for name, errno in pairs(E) do
        local lost = name:find "FILE" -- it is told by being let go
        for _, every in ipairs { false, true } do
          fail("accept", errno, every)
          local raw = t.raw(server)
          t.wait(function() return faults.hits() > 0 end, "the fault")
          if every then for _ = 1, 5 do t.turn() end end
          heal "accept"
          if not pcall(raw.upgrade, raw) then assert(lost, name) end
          raw:close()
          calm.check()
          local later = t.open(server)
          later:close()
          t.wait(function() return server.connections == 1 end, "the end")
        end
      end
      -- nor where there is no memory for the timer that it is tried again by
      local core = require "evws.core"
      if not core.fail_at then return log "done" end
      for _ = 1, 20 do
        ws.after(1000, function() end)
        fail("accept", E.PERM)
        local raw = t.raw(server)
        core.fail_at(1, true)
        for _ = 1, 3 do pcall(t.turn) end
        core.fail_at(0, false)
        t.wait(function() return faults.hits() > 0 end, "the fault")
        heal "accept"
        raw:close() -- it may have been refused
        t.open(server):close()
      end
    ]])
  end)

  it("who was let go makes room for who comes", function()
    run(errors .. [[
      ws.log = function() end
      local server = t.listen { on_message = t.echo }
      local gone = t.open(server)
      gone:send(t.close_frame(1000))
      gone:expect_close(1000) -- and does not end its half
      t.wait(function() return server.connections == 0 end, "the end")
      fail("accept", E.MFILE)
      local raw = t.open(server)
      equal(1, faults.hits())
      raw:send(t.frame("text", "hello")):expect_frame("text", "hello")
      gone:close()
      raw:close()
    ]])
  end)

  it("nor is it without a descriptor in reserve", function()
    run(errors .. [[
      ws.log = function() end
      -- the second socket is the spare one
      fail("socket", E.MFILE, false, 2)
      local server = t.listen { on_message = t.echo }
      equal(1, faults.hits())
      fail("socket", E.MFILE, true)
      fail("accept", E.MFILE, true)
      local raw = probe.net.connect
      heal "socket"
      local client = t.raw(server)
      fail("socket", E.MFILE, true)
      t.wait(function() return server:stats().turns > 20 end, "turns")
      equal(0, server.connections)
      heal "accept"
      heal "socket"
      equal(101, (client:upgrade()))
      client:close()
    ]])
  end)

  it("an open connection says what it was", function()
    run(errors .. [[
      local last
      local server = t.listen { on_message = t.echo,
        on_close = function(_, code, why) last = code .. " " .. why end }
      local calm = t.bystander(server)
      local want = { CONNRESET = "connection reset", PIPE = "connection reset",
        TIMEDOUT = "connection timed out", NOMEM = "out of memory",
        NOSPC = "too many watched descriptors", PERM = "connection lost" }
      for name, why in pairs(want) do
        for _, kind in ipairs { "recv", "send" } do
          local conn
          local raw = t.open(server)
          for c in server:each() do
            if c.id > (conn and conn.id or 0) then conn = c end
          end
          last = nil
          if kind == "recv" then
            raw:send(t.frame("text", "hello"))
            fail("recv", E[name])
            t.wait(function() return faults.hits() > 0 end, "the fault")
            heal "recv"
          else
            fail("send", E[name])
            conn:send "hello"
            heal "send"
          end
          t.wait(function() return last end, "the end")
          equal("1006 " .. why, last)
          raw:close()
          calm.check()
        end
      end
    ]])
  end)

  it("who is lost before a request is counted, whatever told of it", function()
    run(errors .. [[
      faults.leave_children()
      local tls = require "spec.helper.tls"
      local server = t.listen(tls.options())
      ws.log = function() end
      for name, reason in pairs { PIPE = "lost", NOMEM = "memory" } do
        local raw = t.raw(server)
        raw:send(tls.hello {})
        fail("send", E.AGAIN) -- the server's part of the handshake waits
        t.wait(function() return faults.hits() > 0 end, "the handshake")
        fail("send", E[name])
        t.wait(function()
          return server:stats().refused[reason] == 1
        end, "the count")
        heal "send"
        raw:close()
      end
      for reason, n in pairs(server:stats().refused) do
        equal((reason == "lost" or reason == "memory") and 1 or 0, n)
      end
    ]])
  end)

  it("a client says why it has no connection", function()
    run(errors .. [[
      local server = t.listen { host = "*", on_message = t.echo }
      local want = { CONNREFUSED = "connection refused",
        TIMEDOUT = "connection timed out", NETUNREACH = "host unreachable",
        HOSTUNREACH = "host unreachable", MFILE = "too many open files",
        NFILE = "too many open files", NOMEM = "not enough memory",
        NOSPC = "too many watched descriptors",
        PERM = "Operation not permitted",
        ADDRNOTAVAIL = "Cannot assign requested address",
        AFNOSUPPORT = "Address family not supported by protocol" }
      for name, why in pairs(want) do
        for _, host in ipairs { "127.0.0.1", "[::1]", "localhost" } do
          for _, kind in ipairs { "connect", "socket" } do
            local url = ("ws://%s:%d/"):format(host, server.port)
            fail(kind, E[name], true)
            local conn, what = ws.connect(url, { timeout = 20 })
            heal(kind)
            assert(not conn)
            assert(what:find(why, 1, true), what)
          end
          -- one of two addresses will do
          if host == "localhost" then
            fail("connect", E[name])
            local conn, what = ws.connect("ws://localhost:" .. server.port,
              { timeout = 20 })
            heal "connect"
            conn = assert(conn, what)
            conn:close()
          end
        end
      end
      -- the state of an attempt cannot be asked for
      fail("getsockopt", E.NOMEM, true)
      local conn, what = ws.connect("ws://127.0.0.1:" .. server.port,
        { timeout = 20 })
      heal "getsockopt"
      assert(not conn and what:find "not enough memory", what)
      -- that this machine has no way there tells less than a refusal
      local closed = t.listen {}
      local port = closed.port
      t.pump(closed.close, closed)
      fail("connect", E.NETUNREACH)
      conn, what = ws.connect("ws://localhost:" .. port, { timeout = 20 })
      heal "connect"
      assert(not conn and what:find "connection refused", what)
    ]])
  end)

  it("no frame is sent without its own mask", function()
    run(errors .. [[
      local got = 0
      local server = t.listen { on_message = function() got = got + 1 end,
        max_message = 1 << 20 }
      local url = "ws://127.0.0.1:" .. server.port
      for _, text in ipairs { "short", ("long"):rep(30000) } do
        local code, why
        local conn = assert(ws.connect(url, { max_queued = false,
          on_close = function(_, c, w) code, why = c, w end }))
        got = 0
        fail("getrandom", E.NOSPC, true)
        local sent, what = 0
        for _ = 1, 400 do
          local ok, reason = conn:send(text)
          if not ok then what = reason break end
          sent = sent + 1
        end
        assert(sent < 400 and type(what) == "string")
        heal "getrandom"
        t.wait(function() return code end, "the end")
        equal("1006 no random bytes", code .. " " .. why)
        assert(got <= sent)
      end
      fail("getrandom", E.NOSPC, true)
      local ok, conn = pcall(ws.connect, url)
      heal "getrandom"
      assert(not ok or not conn)
      assert(ws.connect(url)):close()
    ]])
  end)

  it("no table is made whose order strangers could know", function()
    run(errors .. [[
      local function fresh(options)
        local conn
        local own = { on_open = function(c) conn = c end }
        for name, value in pairs(options or {}) do own[name] = value end
        local server = t.listen(own)
        local raw = t.open(server)
        return server, conn, raw
      end
      local kept = { history = { ["*"] = { size = 3, ttl = 60 } } }
      local calls = {
        function(s) return s:publish("a", "m") end,
        function(s) return s:history "a" end,
        function(s) return s:reset "a" end,
        function(s) return s:broadcast "m" end,
        function(s) return s:hear("a", print) end,
        function(_, conn) return conn:subscribe "a" end,
      }
      for i, call in ipairs(calls) do
        local server, conn, raw = fresh(kept)
        fail("getrandom", E.NOSPC, true)
        local ok, result, why = pcall(call, server, conn)
        heal "getrandom"
        if ok then assert(not result and type(why) == "string", i)
        else assert(tostring(result):find "memory", result) end
        assert(call(server, conn), i)
        raw:close()
      end
      -- how many there are of an address; who is not counted is not let in
      local server = t.listen { max_per_address = 5 }
      local sink = t.listen { on_message = function() end }
      local own = assert(ws.connect(t.url_of(sink), { max_queued = false }))
      local function drain() -- and what has been drawn already is used up
        fail("getrandom", E.NOSPC, true)
        for i = 1, 300 do
          if not own:send "x" then break end
          assert(i < 300)
        end
      end
      drain()
      local refused = t.raw(server)
      t.wait(function() return faults.hits() > 1 end, "the fault")
      heal "getrandom"
      local ok, status = pcall(refused.upgrade, refused)
      assert(not ok or status ~= 101)
      t.open(server)
      -- and the keys of messages that wait
      own = assert(ws.connect(t.url_of(sink), { max_queued = false }))
      local conn
      local slow = t.listen { on_open = function(c) conn = c end,
        max_queued = false }
      local raw = t.open(slow, { rcvbuf = 4096 })
      while conn.buffered == 0 do conn:send(("x"):rep(100000)) end
      drain()
      local sent, why = conn:send("m", "text", { key = "k" })
      heal "getrandom"
      assert(not sent and type(why) == "string")
      t.wait(function() return slow.connections == 0 end, "the end")
      raw:close()
      own:close()
    ]])
  end)

  it("a request that is thought about ends, or goes on", function()
    run(errors .. [[
      local gate
      local server = t.listen { on_request = function()
        local mine = gate
        mine.n = mine.n + 1
        while not mine.is_open do ws.sleep(0.001) end
        return 200, "fine"
      end }
      local get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      for name, errno in pairs(E) do
        local raw = t.raw(server)
        gate = { n = 0 }
        raw:send(get)
        t.wait(function() return gate.n == 1 end, "the request")
        raw:send(get)
        fail("recv", errno)
        t.wait(function() return faults.hits() > 0 end, "the fault")
        heal "recv"
        gate.is_open = true
        local is_whole = name == "AGAIN" or name == "INTR"
        for _ = 1, is_whole and 2 or 1 do
          local status, _, body = raw:read_http()
          equal(is_whole and "fine" or nil, status and body)
        end
        raw:close()
        t.wait(function()
          return server:stats().pending == 0
        end, "the end of " .. name)
      end
    ]])
  end)

  it("a PROXY header is read, or the connection ends", function()
    run(errors .. [[
      ws.log = function() end
      local server = t.listen { proxy_protocol = true, on_message = t.echo,
        trusted_proxies = { "127.0.0.1" } }
      for name, errno in pairs(E) do
        for n = 1, 3 do
          local raw = t.raw(server)
          t.wait(function() return server:stats().pending == 1 end, "it")
          raw:send "PROXY TCP4 10.1.2.3 10.1.2.4 1000 2000\r\n"
          fail("recv", errno, false, n)
          ws.step(0.05)
          local was_hit = faults.hits() > 0
          heal "recv"
          local ok, status = pcall(raw.upgrade, raw)
          if ok and status == 101 then
            raw:send(t.frame("text", "hello")):expect_frame("text", "hello")
          else
            -- what was looked at is taken then, and there
            assert(was_hit and (name ~= "AGAIN" or n == 2), name)
          end
          raw:close()
          t.wait(function() return server.connections == 0 end, "the end")
        end
      end
    ]])
  end)

  it("what a proxy answers is read, or its connection was reset", function()
    run(errors .. [[
      local kit = require "spec.engine.kit"
      for _, name in ipairs { "AGAIN", "INTR", "CONNRESET" } do
        for n = 1, 2 do -- it is looked at, and taken
          local listener = assert(probe.net.listen "127.0.0.1")
          local conn, why, socket
          local is_done = false
          ws.spawn(function()
            conn, why = ws.connect("ws://a.invalid/", { timeout = 80,
              proxy = "http://127.0.0.1:" .. listener.port })
            is_done = true
          end)
          t.wait(function()
            socket = listener:accept()
            return socket
          end, "the client")
          local raw = t.wrap(socket, "client")
          kit.read_request(raw)
          raw.head = nil
          raw:send "HTTP/1.1 200 OK\r\n\r\n"
          fail("recv", E[name], false, n)
          t.wait(function() return faults.hits() > 0 end, "the fault")
          heal "recv"
          if n == 1 and name ~= "CONNRESET" then kit.answer(raw) end
          t.wait(function() return is_done end, "the end of connect")
          if n == 1 and name ~= "CONNRESET" then
            assert(conn, why)
            conn:terminate()
          else
            assert(not conn and why:find "connection reset", why)
          end
          raw:close()
          listener:close()
        end
      end
    ]])
  end)

  it("an answer without a date is an answer", function()
    run([[
      local server = t.listen { on_request = function() return 200, "x" end }
      local raw = t.raw(server)
      raw:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      local _, headers = raw:read_http()
      assert(headers.date)
      faults.shift(1 << 60, 0)
      raw:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      local status
      status, headers = raw:read_http()
      equal(200, status)
      equal(nil, headers.date)
      faults.shift(0, 0)
      raw:close()
    ]])
  end)
end)
