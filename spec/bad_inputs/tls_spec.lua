-- Peers that are bad at TLS: renegotiation, floods of new keys, cuts
-- anywhere, bytes that are no TLS at all. Whatever they do, the others on the
-- server notice nothing (common.guarded).

local assert = require "luassert"
local t = require "spec.helper"
local tls = require "spec.helper.tls"
local common = require "spec.bad_inputs.common"

local frame, file = t.frame, tls.file
local guarded = common.guarded

-- A server with TLS, and a healthy client of it from before.
local function serve(g, options)
  local own = tls.options(options)
  local has_bystander = own.bystander ~= false
  own.bystander = false
  local server = g:listen(own)
  if not has_bystander then return server end
  local calm, n = tls.open(server, { path = "/bystander" }), 0
  function calm.check()
    n = n + 1
    calm:send(frame("text", "calm " .. n)):expect_frame("text", "calm " .. n)
  end
  calm.check()
  g.bystanders[#g.bystanders + 1] = calm
  return server
end

-- The socket below, without TLS.
local function below(client) return t.wrap(client.tcp, "server") end

-- One more raw client that the server has accepted.
local function accepted(server)
  local before, raw = server:stats().accepted, t.raw(server)
  t.wait(function() return server:stats().accepted > before end)
  return raw
end

-- Waits until the server has refused n of them before a request, whatever it
-- took for the reason; none was opened.
local function expect_refused(g, server, n)
  local opened = g.opened
  t.wait(function()
    local refused = server:stats().refused
    return refused.tls + refused.lost >= n
  end, n .. " refusals")
  local refused = server:stats().refused
  assert.equal(n, refused.tls + refused.lost)
  assert.equal(opened, g.opened)
  return refused
end

-- Whatever comes, until the end; a reset is one too.
local function drain(client)
  t.wait(function()
    local bytes, why = client.socket:recv()
    return not bytes and why ~= "again"
  end, "the end")
end

local garbage = ("\1\2\3\4\5\6\7\8"):rep(2048)

describe("TLS from a bad peer", function()
  before_each(function() tls.file "ca.pem" end)
  after_each(common.cleanup)

  it("BI-34 trickles: the handshake's time is that of accept", guarded(
    function(g)
      local server = serve(g, { handshake_timeout = 0.3 * t.factor })
      local hello = tls.hello {}
      local raw, n, began = t.raw(server), 0, t.probe.now()
      t.wait(function()
        if n < #hello - 1 then n = n + 1 raw:send(hello:sub(n, n)) end
        local _, why = raw.socket:recv()
        return why == "eof" or why == "reset"
      end, "the end")
      assert.is_true(t.probe.now() - began > 0.25 * t.factor)
      raw:close()
    end))

  it("BI-75 renegotiates: it is refused, and data goes on", guarded(
    function(g)
      local server = serve(g)
      local c = tls.open(server, { tls = { max = "1.2" } })
      assert.is_true(c.tls:renegotiate())
      below(c):send(c.tls:take())
      local alert = t.wait(function() return (c.tcp:recv()) end, "an alert")
      assert.equal(21, alert:byte())
      c:reset()
    end))

  it("BI-75 is openssl s_client with R", guarded(function(g)
    local server = serve(g)
    local output = os.tmpname()
    local pipe = assert(io.popen(("env -u LD_PRELOAD timeout 30 openssl "
      .. "s_client -connect 127.0.0.1:%d -tls1_2 >%s 2>&1"):format(server.port,
      output), "w"))
    pipe:setvbuf "no"
    local function said(text)
      t.wait(function()
        local input <close> = assert(io.open(output))
        return input:read "a":find(text)
      end, text)
    end
    said "Verify return code"
    pipe:write "R\n"
    said "no renegotiation"
    pipe:close()
    os.remove(output)
  end))

  it("BI-76 asks for new keys now and then: it gets them", guarded(
    function(g)
      local server = serve(g)
      local c = tls.open(server, { tls = { min = "1.3" } })
      for i = 1, 10 do
        assert.is_true(c.tls:key_update())
        c:send(frame("text", "key " .. i)):expect_frame("text", "key " .. i)
      end
      c:finish()
    end))

  it("BI-76 asks for new keys a hundred thousand times", guarded(function(g)
    local server = serve(g)
    local c = tls.open(server, { tls = { min = "1.3" } })
    local list = {}
    for i = 1, common.is_sanitized and 1000 or 100000 do
      c.tls:key_update()
      list[i] = c.tls:take()
    end
    local spent = common.cpu(function()
      below(c):send(table.concat(list))
      local code, reason = g:end_of(c)
      assert.same({ 1006, "TLS: message flood" }, { code, reason })
    end)
    assert.is_true(spent < 0.5 * t.factor)
    c:close()
  end))

  it("BI-76 asks for new keys while our writes are refused", guarded(
    function(g)
      local payload, conn = ("x"):rep(1 << 20), nil
      local server = serve(g, { max_queued = 16 << 20,
        on_open = function(c) conn = c end })
      local c = tls.open(server, { rcvbuf = 4096, tls = { min = "1.3" } })
      for _ = 1, 8 do assert.is_true(conn:send(payload)) end
      t.wait(function() return conn.buffered > 0 end)
      for _ = 1, 20 do
        c.tls:key_update()
        c:send(frame("pong", "")) -- and something behind it
        t.turn()
      end
      for _ = 1, 8 do c:expect_frame("text", payload) end
      c:finish()
    end))

  it("BI-77 leaves after each byte of its hello", guarded(function(g)
    local server = serve(g)
    local hello = tls.hello { server_name = "localhost" }
    for i = 0, #hello do
      local raw = accepted(server)
      raw:send(hello:sub(1, i))
      t.turn(0)
      if i % 2 == 0 then raw:close() else raw:reset() end
    end
    expect_refused(g, server, #hello + 1)
  end))

  it("BI-77 sends an alert after each byte of its hello", guarded(
    function(g)
      local server = serve(g)
      local hello, n = tls.hello { server_name = "localhost" }, 0
      for _, alert in ipairs { "\21\3\3\0\2\1\0", "\21\3\3\0\2\2\40" } do
        for i = 0, #hello, 3 do
          local raw = accepted(server)
          raw:send(hello:sub(1, i) .. alert)
          t.turn(0)
          raw:close()
          n = n + 1
        end
      end
      assert.is_true(expect_refused(g, server, n).tls > 0)
    end))

  it("BI-77 sends its hello in records of one byte", guarded(function(g)
    local server = serve(g)
    local c = tls.raw(server)
    local hello, engine = tls.hello {}
    local records = hello:sub(6):gsub(".", "\22\3\1\0\1%0")
    below(c):send_bytewise(records)
    c.socket.engine, c.tls = engine, engine
    assert.is_true(tls.shake(c))
    assert.equal(101, (c:upgrade { path = "/bystander" }))
    c:send(frame("text", "here")):expect_frame("text", "here")
    c:finish()
  end))

  it("BI-78 reads nothing: the stall ends it, and its descriptor", guarded(
    function(g)
      local server = serve(g, { stall_timeout = 0.3 * t.factor,
        max_queued = false, on_open = function(conn)
          conn:send(("x"):rep(16 << 20), "binary")
        end })
      local before = t.fd_count()
      local c = tls.open(server, { rcvbuf = 4096 })
      local code, reason = g:end_of(c)
      assert.same({ 1006, "write stalled" }, { code, reason })
      t.wait(function() return t.probe.fd_count() <= before + 1 end)
      c:close()
    end))

  it("BI-79 ends TCP without an announcement, when idle", guarded(
    function(g)
      local server = serve(g)
      local c = tls.open(server)
      c.tcp:shutdown()
      local code, reason = g:end_of(c)
      assert.same({ 1006, "eof without close_notify" }, { code, reason })
      drain(c)
      c:close()
    end))

  it("BI-79 ends TCP in the middle of a frame or a record", guarded(
    function(g)
      local server = serve(g)
      for _, cut in ipairs { 1, 3, 6, 20 } do
        local n, c = #g.ends, tls.open(server)
        local bytes = frame("text", ("x"):rep(100))
        c.tls:write(bytes:sub(1, cut))
        c.tls:write(bytes:sub(cut + 1))
        local records = c.tls:take()
        local first = 5 + (">I2"):unpack(records, 4)
        below(c):send(records:sub(1, first + cut)):flush()
        c.tcp:shutdown()
        local code, reason = g:end_of(c, n)
        assert.same({ 1006, "eof without close_notify" }, { code, reason })
        c:close()
      end
    end))

  it("BI-79 fails beside others: their errors stay their own", guarded(
    function(g)
      local server = serve(g)
      local list = {}
      for i = 1, 20 do
        list[i] = tls.open(server)
        local c = tls.open(server)
        below(c):send("\23\3\3\0\32" .. ("x"):rep(32)) -- no record of ours
        list[i]:send(frame("text", "beside")):expect_frame("text", "beside")
        drain(c)
        local code, reason = g:end_of(c)
        assert.equal(1006, code)
        assert.equal("TLS: decryption failed or bad record mac", reason)
        c:close()
      end
      for _, c in ipairs(list) do c:finish() end
    end))

  it("BI-80 speaks something else: it is shown out", guarded(function(g)
    local server = serve(g)
    local lies = "\22\3\1\0\9\1\255\255\255\3\3abc"
    for _, bytes in ipairs { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", garbage,
      "\128\46\1\0\2\0\21\0\0\0\16" .. ("\0"):rep(37), lies,
      "\22\3\1\255\255" .. garbage } do
      local raw = t.raw(server)
      raw:send(bytes)
      drain(raw)
      raw:close()
    end
    local plain = g:listen()
    local raw = t.raw(plain)
    raw:send((tls.hello {}))
    assert.equal(400, (raw:read_http()))
    raw:close()
  end))

  it("BI-80 declares lengths: nothing is reserved for them", guarded(
    function(g)
      local server = serve(g)
      local list = {}
      for _ = 1, 10 do t.raw(server):send("\22\3\1\64\0") end
      common.rest(1)
      local _, before = common.statm()
      for i = 1, 100 do
        list[i] = t.raw(server)
        list[i]:send("\22\3\1\64\0\1\0\255\255") -- 64 KiB in a 16 KiB record
      end
      common.rest(1)
      local _, after = common.statm()
      assert.is_true(common.is_sanitized or after - before < 100 * 48 * 1024,
        after - before)
    end))

  it("BI-81 resets at each step, with the server closing", guarded(
    function(g)
      local steps = {
        function(c) return c end,
        function(c) below(c):send((tls.hello {})) end,
        function(c) below(c):send((tls.hello {})) t.turn() end,
        function(c) tls.shake(c) end,
        function(c) tls.shake(c) t.turn() c.tls:write "GET / " end,
        function(c) c:upgrade() end,
      }
      for _, step in ipairs(steps) do
        for _, turns in ipairs { 0, 1 } do
          local server = serve(g, { bystander = false })
          local c = tls.raw(server)
          step(c)
          for _ = 1, turns do t.turn(0) end
          c.tcp:reset()
          local closed
          t.ws.spawn(function()
            closed = table.pack(server:close { timeout = 0 })
          end)
          c:close()
          t.wait(function() return closed end, "the server's end")
          assert.is_true(closed[1] or closed[2] == "timeout")
          assert.equal(0, server.connections)
          assert.matches("closed", tostring(server))
        end
      end
    end))

  it("BI-81 resets a client of ours at each step", guarded(function()
    local listener <close> = assert(t.probe.listen "127.0.0.1")
    local n = 0
    for step = 0, 4 do
      local ended
      local conn = assert(t.ws.connect("wss://127.0.0.1:" .. listener.port, {
        tls = { ca = file "ca.pem" }, on_open = function() end,
        on_close = function(_, code) ended, n = code, n + 1 end }))
      local socket = t.wait(function() return (listener:accept()) end)
      local engine = require "evws_probe".tls.new { server = true,
        certificate = file "localhost.pem", key = file "localhost.key" }
      if step > 0 then
        engine:feed(t.wait(function() return (socket:recv()) end))
        engine:handshake()
        local flight = engine:take()
        socket:send(flight:sub(1, step == 1 and 3 or step == 2 and 200 or -1))
        t.turn()
      end
      if step == 4 then t.wait(function() return (socket:recv()) end) end
      socket:reset()
      if step % 2 == 1 then conn:terminate() end
      t.wait(function() return ended end)
      assert.equal(1006, ended)
    end
    assert.equal(5, n)
  end))

  it("BI-82 offers other protocols alone: it is told so", guarded(
    function(g)
      local server = serve(g)
      local c = tls.raw(server, { tls = { alpn = "\2h2\6\27[31m\n" } })
      local _, why = tls.shake(c)
      assert.equal("tlsv1 alert no application protocol", why)
      below(c):expect_eof()
      c:close()
    end))

  it("BI-82 puts text into its hello: none of it is logged", guarded(
    function()
      local pipe, finish = common.start(([[
        local ws = require "evws"
        local server = assert(ws.listen { port = 0, host = "127.0.0.1",
          tls = { certificate = %q, key = %q } })
        print(server.port)
        io.stdout:flush()
        ws.every(0.01, function()
          if server:stats().refused.tls > 0 then ws.stop() end
        end)
        ws.run()
      ]]):format(file "localhost.pem", file "localhost.key"))
      local port = tonumber(pipe:read "l")
      local c = tls.raw(port, { address = "127.0.0.1",
        tls = { alpn = "\6\27[31m\n", server_name = "\27[32mname" } })
      tls.shake(c)
      c:close()
      local status, _, errors = finish()
      assert.equal(0, status)
      assert.equal("evws: refused 127.0.0.1: TLS: no application protocol\n",
        errors)
    end))

  it("BI-83 is our own file: the old certificate stays", guarded(
    function(g)
      local path, key = os.tmpname(), os.tmpname()
      local function write(to, from)
        local output <close> = assert(io.open(to, "wb"))
        if not from then return end
        local input <close> = assert(io.open(file(from), "rb"))
        output:write(input:read "a")
      end
      write(path, "localhost.pem")
      write(key, "localhost.key")
      local server = serve(g, { tls = { certificate = path, key = key } })
      for _, bad in ipairs { { "expired.pem", "expired.key" },
        { "other.pem", "localhost.key" }, { "localhost.pem", "locked.key" },
        { "localhost.key", "localhost.key" }, {} } do
        write(path, bad[1])
        write(key, bad[2])
        local ok, why = server:reload_tls()
        assert.is_nil(ok)
        assert.is_truthy(why:find "^cannot load ")
        local c = tls.open(server)
        assert.equal("localhost", c.tls:info().subject)
        c:finish()
      end
      os.remove(path)
      assert.is_nil((server:reload_tls()))
      os.remove(key)
      tls.open(server):finish()
    end))
end)
