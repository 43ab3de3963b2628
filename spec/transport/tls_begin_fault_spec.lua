-- Calls of OpenSSL by which TLS begins fail (tls_context.c, tls.c): a server
-- listens or says why not, a connection is there or is not, and the next one
-- is as if nothing had been.

local kit = require "spec.transport.fault_kit"
local core = require "evws.core"
local tls = require "spec.helper.tls"

local file = tls.file

-- options(more), of a server whose clients may show certificates; serve(more),
-- connect(port[, more]); echoes(conn), which closes it.
local prelude = ([[
  local ca, mine = %q, { certificate = %q, key = %q }
  local function options(more)
    local own = { host = "127.0.0.1", port = 0, tls = { certificate = %q,
      key = %q, ca = ca, verify = "optional",
      hosts = { ["other.test"] = { certificate = %q, key = %q } } } }
    for name, value in pairs(more or {}) do own[name] = value end
    return own
  end
  local function serve(more)
    local own = options(more)
    own.on_message = own.on_message or function(conn, text) conn:send(text) end
    return assert(ws.listen(own))
  end
  local function connect(port, more)
    local own = { ca = ca }
    for name, value in pairs(more or {}) do own[name] = value end
    return ws.connect("wss://localhost:" .. port, { tls = own, timeout = 60 })
  end
  local function echoes(conn)
    local ok = conn:send "echo" and conn:receive(60) == "echo"
    conn:close()
    return ok
  end
  local function short(why)
    return (why:gsub("^cannot connect to %%S+: ", ""))
  end
]]):format(file "ca.pem", file "client.pem", file "client.key",
  file "localhost.pem", file "localhost.key", file "other.pem",
  file "other.key")

local function said(script)
  return table.concat(kit.lines(prelude .. script), "\n")
end

describe("when a call of OpenSSL fails,", function()
  it("a server does not listen and says why, or does", function()
    kit.run("SSL_CTX_new SSL_CTX_use_certificate_chain_file "
      .. "SSL_load_client_CA_file fopen", prelude .. [[
      function attempt()
        local server, why = ws.listen(options())
        assert(server or why == "out of memory" or why:find "^cannot load %l+ ",
          why)
        if server then
          local ok = pcall(server.reload_tls, server)
          assert(ok)
          server:close()
        end
      end]])
  end)

  it("it says so where OpenSSL does not say why", function()
    assert.equal(("nil cannot load certificate %s: it cannot be read"):format(
      file "localhost.pem"), said [[
      faults.fail("SSL_CTX_use_certificate_chain_file", 1, 0)
      log(ws.listen(options()))
    ]])
  end)

  it("it says so where the file goes while it is read", function()
    assert.equal(("nil cannot load certificate %s: Too many open files\n"
      .. "nil cannot load certificate %s: it cannot be read\ntrue"):format(
      file "localhost.pem", file "localhost.pem"), said [[
      assert(ws.listen(options())):close() -- OpenSSL has read its own files
      for n = 1, 2 do
        faults.fail("fopen", n, 24)
        log(ws.listen(options()))
      end
      faults.fail("fopen", 0)
      local server = ws.listen(options())
      log(server ~= nil)
      server:close()
    ]])
  end)

  it("a connection is not there, or is", function()
    kit.run("BIO_new SSL_new SSL_set_tlsext_host_name "
      .. "X509_VERIFY_PARAM_set1_host SSL_do_handshake", prelude .. [[
      ws.log = function() end
      local server = serve()
      function attempt()
        local conn, why = connect(server.port)
        assert(conn or type(why) == "string")
        if conn then conn:close() end
        wait(function() return server.connections == 0 end)
      end]])
  end)

  it("the first connection is not there, and the next one is", function()
    local text = said [[
      ws.log = function() end
      local server = serve()
      faults.fail("BIO_meth_new", 1, 12)
      local conn, why = connect(server.port)
      log(conn, short(why), faults.hits())
      log(echoes(assert(connect(server.port))))
    ]]
    -- whichever end is the first to begin with TLS
    local why = text:match "^nil (.-) 1\ntrue$"
    assert.is_true(why == "out of memory"
      or why == "closed during the handshake", text)
  end)

  it("a connection ends, and its reason is there without OpenSSL's", function()
    assert.equal("nil 1006 TLS: failed\n1006", said [[
      local ended
      local server = serve { on_close = function(_, code, reason)
        ended = code .. " " .. reason
      end }
      local conn = connect(server.port)
      faults.fail("SSL_read", 1, 0)
      conn:send "text"
      local _, code = conn:receive(60)
      wait(function() return ended end)
      log(nil, ended)
      log((conn:wait()))
    ]])
  end)

  it("a connection goes on where a signal came between", function()
    assert.equal("true 1\ntrue 1", said [[
      local server = serve()
      for _, kind in ipairs { "send", "recv" } do
        local conn = connect(server.port)
        faults.fail(kind, 1, 4)
        log(echoes(conn), faults.hits())
      end
      server:close()
    ]])
  end)

  it("a client's certificate has no subject, or the right one", function()
    kit.run("X509_NAME_print_ex BIO_new", prelude .. [[
      ws.log = function() end
      local seen
      local server = serve { on_upgrade = function(r)
        seen = r.client_certificate or "none"
      end }
      function attempt()
        seen = nil
        local conn, why = connect(server.port, mine)
        assert(conn or type(why) == "string")
        assert(not seen or seen == "none" or seen == "CN=a client,O=evws", seen)
        if conn then conn:close() end
        wait(function() return server.connections == 0 end)
      end]])
  end)
end)

describe("without memory", function()
  if not core.fail_at then
    it("the first connection of a process opens, or does not", function()
      pending "built without WS_FAULT"
    end)
    return
  end

  it("the first connection of a process opens, or does not", function()
    local lines = kit.lines(prelude .. [[
      ws.log = function() end
      local server = serve()
      local failed, clean = 0, 0
      for n = 1, 200 do
        core.fail_at(n, true)
        local ok, conn = pcall(connect, server.port)
        core.fail_at(0, false)
        ok = ok and conn and true
        if ok then conn:close() end
        failed = failed + (ok and 0 or 1)
        clean = ok and clean + 1 or 0
        if clean == 8 then break end
      end
      log(failed > 5, clean, echoes(assert(connect(server.port))))
    ]])
    assert.same({ "true 8 true" }, lines)
  end)

  it("the first one behind a proxy over TLS opens, or does not", function()
    local lines = kit.lines(prelude .. [[
      ws.log = function() end
      local proxy = require "spec.engine.proxy"
      local t = require "spec.helper"
      local tls = require "spec.helper.tls"
      local server = serve()
      local port = proxy.relay(server.port, { tls = { server = true,
        certificate = tls.file "localhost.pem",
        key = tls.file "localhost.key" } })
      local function dial()
        return ws.connect("wss://localhost:" .. server.port, {
          tls = { ca = ca }, proxy = "https://localhost:" .. port,
          proxy_tls = { ca = ca }, timeout = 5 * t.factor })
      end
      -- the buffers of what carries another are the last that are made
      local failed, opened = 0, 0
      for n = 1, 40 do
        core.fail_at(n, false)
        local done, ok, conn
        local has_begun = pcall(ws.spawn, function()
          ok, conn = pcall(dial)
          done = true
        end)
        if has_begun then
          pcall(t.wait, function() return done end, "the end", 10)
        end
        core.fail_at(0, false)
        ok = ok and conn
        if ok then conn:terminate() end
        failed, opened = failed + (ok and 0 or 1), opened + (ok and 1 or 0)
      end
      local ok
      t.pump(function() ok = echoes(assert(dial())) end)
      log(failed > 5, ok)
      proxy.cleanup()
    ]])
    assert.same({ "true true" }, lines)
  end)
end)
