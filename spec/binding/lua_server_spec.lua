-- Listening and the server object: addresses, routing by one path, counts,
-- closing.

local lfs = require "lfs"
local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains, url_of, echo = t.contains, t.url_of, t.echo

-- Does a server echo there?
local function echoes(target, options)
  local raw = t.open(target, options)
  raw:send(t.frame("text", "x"))
  raw:expect_frame("text", "x")
  raw:close()
  return true
end

describe("a server", function()
  local paths = {}

  local function socket_path()
    local path = os.tmpname()
    os.remove(path)
    paths[#paths + 1] = path
    return path
  end

  after_each(function()
    kit.cleanup()
    t.cleanup()
    for _, path in ipairs(paths) do os.remove(path) end
    paths = {}
  end)

  describe("listens", function()
    it("on any free port when that is 0, and says which", function()
      local server = t.listen { on_message = echo }
      assert.equal("integer", math.type(server.port))
      assert.is_true(server.port > 0)
      assert.equal("127.0.0.1", server.host)
      assert.is_true(echoes(server.port))
    end)

    it("on localhost by default: both families, one port", function()
      local server <close> = assert(ws.listen { port = 0, on_message = echo })
      assert.equal("localhost", server.host)
      assert.is_true(echoes(server.port, { address = "127.0.0.1" }))
      assert.is_true(echoes(server.port, { address = "::1" }))
    end)

    it("on every address for \"*\"", function()
      local server = t.listen { host = "*", origins = "same",
        on_message = echo }
      assert.is_true(echoes(server.port, { address = "127.0.0.1" }))
      assert.is_true(echoes(server.port, { address = "127.0.0.2" }))
      assert.is_true(echoes(server.port, { address = "::1" }))
    end)

    it("on one address alone", function()
      local server = t.listen { host = "::1", on_message = echo }
      assert.is_true(echoes(server.port, { address = "::1" }))
      assert.is_nil((t.ws.connect(url_of(server))))
    end)

    it("not on a port that is taken: nil, message, code", function()
      local first = t.listen {}
      local server, why, code = ws.listen { host = "127.0.0.1",
        port = first.port }
      assert.is_nil(server)
      contains(why, "127.0.0.1")
      contains(why, tostring(first.port))
      assert.equal("integer", math.type(code))
      assert.is_true(code > 0)
    end)

    it("not on an address that is not ours, or no address", function()
      for _, host in ipairs { "192.0.2.1", "999.999.1.1", "" } do
        local server, why, code = ws.listen { host = host, port = 0 }
        assert.is_nil(server)
        assert.equal("string", type(why))
        assert.is_true(code > 0)
      end
    end)

    it("on a port that was just used", function()
      local first = t.listen {}
      local raw = t.open(first)
      local port = first.port
      local done
      ws.spawn(function() done = first:close() end)
      raw:expect_close(1001)
      raw:send(t.frame("close", "\x03\xe9"))
      t.wait(function() return done end)
      assert.equal(port, t.listen({ port = port }).port)
    end)

    it("beside another with reuse_port", function()
      local first = t.listen { reuse_port = true, on_message = echo }
      local second = t.listen { reuse_port = true, port = first.port,
        on_message = echo }
      assert.equal(first.port, second.port)
      for _ = 1, 8 do echoes(first.port) end
      assert.is_nil((ws.listen { host = "127.0.0.1", port = first.port }))
    end)

    it("with a backlog", function()
      assert.is_true(echoes(t.listen { backlog = 1, on_message = echo }))
    end)
  end)

  describe("on a Unix socket", function()
    it("has a file while it listens", function()
      local path = socket_path()
      local server = t.listen { unix = path, on_message = echo }
      assert.equal("socket", lfs.attributes(path, "mode"))
      assert.equal(path, server.host)
      assert.is_nil(server.port)
      assert.is_true(echoes(server))
      local conn <close> = assert(ws.connect("ws+unix://" .. path))
      conn:send "hello"
      assert.equal("hello", conn:receive(t.limit))
      server:close()
      assert.is_nil(lfs.attributes(path))
    end)

    it("has none any more when its script has ended", function()
      for _, ending in ipairs { "", "server = nil", "os.exit(0, true)",
        "io.stderr:close() error 'on purpose'",
        "ws.spawn(function() ws.stop() end) ws.run()" } do
        local path = socket_path()
        local child = kit.run(([[
          local server = assert(ws.listen { unix = %q })
          say(server.host)
          %s
        ]]):format(path, ending))
        assert.equal(path, child:wait "^(/.*)$")
        child:ended()
        assert.is_nil(lfs.attributes(path), ending)
      end
    end)

    it("has the mode that unix_mode says, whatever the umask", function()
      for mode, shown in pairs { ["660"] = "rw-rw----", ["0600"] = "rw-------",
        ["777"] = "rwxrwxrwx" } do
        for _, umask in ipairs { "000", "077" } do
          local path = socket_path()
          local child = kit.execute(([[sh -c "umask %s; exec %s -e \
            \"ws = require \\\"evws\\\" \
            assert(ws.listen { unix = \\\"%s\\\", \
              unix_mode = \\\"%s\\\" }) ws.run()\""]]):format(umask,
            os.getenv "LUA" or "lua5.4", path, mode))
          t.wait(function()
            return lfs.attributes(path, "permissions") == shown
          end, shown)
          child:signal "TERM"
          child:ended()
        end
      end
    end)

    it("has the mode that the umask leaves, without", function()
      local path = socket_path()
      t.listen { unix = path }
      local pipe = assert(io.popen "umask")
      local umask = tonumber(pipe:read "a", 8)
      pipe:close()
      assert.equal(umask & 1 == 0, lfs.attributes(path,
        "permissions"):sub(9) == "x")
    end)

    it("has no mode that is none, nor without a path", function()
      for _, mode in ipairs { "", "66", "0", "000", "888", "66a", "1777",
        "06600", " 660", "-660", "rw-rw----" } do
        contains(kit.refused { unix = socket_path(), unix_mode = mode },
          'bad option \'unix_mode\' (octal digits as "660" expected, got')
      end
      contains(kit.refused { unix = socket_path(), unix_mode = 660 },
        "bad option 'unix_mode' (string expected, got 660")
      assert.equal("option 'unix_mode' needs 'unix'",
        kit.refused { port = 0, unix_mode = "660" })
    end)

    it("is removed at the end whatever its mode is", function()
      local path = socket_path()
      local server = t.listen { unix = path, unix_mode = "600" }
      t.pump(server.close, server)
      assert.is_nil(lfs.attributes(path))
    end)

    it("replaces a stale file that nobody answers on", function()
      local path = socket_path()
      local child = kit.run(([[
        local server = assert(ws.listen { unix = %q })
        say "listening"
        ws.run()
      ]]):format(path))
      child:wait "listening"
      child:signal "KILL"
      child:ended()
      assert.equal("socket", lfs.attributes(path, "mode"))
      assert.is_true(echoes(t.listen { unix = path, on_message = echo }))
    end)

    it("does not replace one that is alive", function()
      local path = socket_path()
      local first = t.listen { unix = path, on_message = echo }
      local server, why, code = ws.listen { unix = path }
      assert.is_nil(server)
      contains(why, path)
      assert.is_true(code > 0)
      assert.is_true(echoes(first))
    end)

    it("never replaces what is no socket", function()
      local path = socket_path()
      local file = assert(io.open(path, "w"))
      file:write "precious"
      file:close()
      local server, why = ws.listen { unix = path }
      assert.is_nil(server)
      contains(why, path)
      assert.equal(8, lfs.attributes(path, "size"))
    end)

    it("cannot have a path that is too long, or nowhere", function()
      for _, path in ipairs { "/tmp/" .. ("x"):rep(200),
        "/nonexistent/directory/socket" } do
        local server, why, code = ws.listen { unix = path }
        assert.is_nil(server)
        contains(why, path)
        assert.is_true(code > 0)
      end
    end)
  end)

  describe("routes", function()
    it("every URL without a path", function()
      local server = t.listen { on_message = echo }
      for _, path in ipairs { "/", "/x", "/x/y?z=1", "/%20" } do
        assert.is_true(echoes(server, { path = path }))
      end
    end)

    it("its one path, with any query; 404 otherwise", function()
      local server = t.listen { path = "/ws", on_message = echo }
      assert.is_true(echoes(server, { path = "/ws" }))
      assert.is_true(echoes(server, { path = "/ws?token=x" }))
      assert.equal(404, (t.raw(server):upgrade { path = "/" }))
    end)
  end)

  describe("knows", function()
    it("how many connections are open", function()
      local server = t.listen {}
      assert.equal(0, server.connections)
      local raws = {}
      for i = 1, 3 do
        raws[i] = t.open(server)
        assert.equal(i, server.connections)
      end
      t.raw(server):send "GET"
      for i = 1, 3 do
        raws[i]:finish()
        t.wait(function() return server.connections == 3 - i end)
      end
    end)

    it("each of them, as they were when it was asked", function()
      local server = t.listen { on_open = function(c) c.data = c.path end }
      for i = 1, 5 do t.open(server, { path = "/" .. i }) end
      local seen = {}
      for conn in server:each() do
        seen[#seen + 1] = conn.data
        if #seen == 1 then
          t.open(server, { path = "/late" })
          for other in server:each() do
            if other.data == "/3" then other:terminate() end
          end
        end
      end
      table.sort(seen)
      assert.same({ "/1", "/2", "/4", "/5" }, seen)
    end)

    it("none when it is closed", function()
      local server = t.listen {}
      t.open(server):close()
      assert.is_true(server:close())
      assert.is_nil((server:each()()))
      assert.equal(0, server.connections)
    end)

    it("its state, as text", function()
      local server = t.listen {}
      assert.equal(("evws.server: 127.0.0.1:%d (listening)"):format(
        server.port), tostring(server))
      server:close()
      contains(tostring(server), "(closed)")
      assert.equal("evws.server", debug.getmetatable(server).__name)
      assert.is_nil(server.anything)
      assert.is_false((pcall(function() server.port = 1 end)))
    end)
  end)

  describe("by close", function()
    it("sends 1001 to everyone and waits until all is gone", function()
      local closed = {}
      local server = t.listen { on_close = function(_, code, reason)
        closed[#closed + 1] = { code, reason }
      end }
      local raws, result = { t.open(server), t.open(server) }, nil
      ws.spawn(function() result = table.pack(server:close()) end)
      for _, raw in ipairs(raws) do raw:expect_close(1001) end
      assert.is_nil(result)
      contains(tostring(server), "(closing)")
      for _, raw in ipairs(raws) do
        raw:send(t.frame("close", "\x03\xe9"))
      end
      t.wait(function() return result end)
      assert.same({ true, n = 1 }, result)
      assert.same({ { 1001, "server closed" }, { 1001, "server closed" } },
        closed)
    end)

    it("stops accepting at once", function()
      local server = t.listen {}
      local port = server.port
      local raw = t.open(server)
      ws.spawn(server.close, server)
      raw:expect_close(1001)
      assert.is_nil((ws.connect("ws://127.0.0.1:" .. port)))
    end)

    it("takes a code and a reason", function()
      local server = t.listen {}
      local raw = t.open(server)
      ws.spawn(server.close, server, { code = 4000, reason = "so long" })
      assert.same({ 4000, "so long" }, { raw:expect_close(4000) })
    end)

    it("cuts after the timeout: nil, timeout", function()
      local server = t.listen {}
      local raw = t.open(server)
      local from = ws.now()
      assert.same({ nil, "timeout" }, { server:close { timeout = 0.05 } })
      assert.is_true(ws.now() - from >= 0.05)
      raw:expect_close(1001)
      assert.equal(0, server.connections)
    end)

    it("hurries requests that are not complete", function()
      local server = t.listen {}
      local raw = t.raw(server)
      raw:send "GET / HT"
      t.turn()
      assert.is_true(server:close())
      assert.equal(408, (raw:read_http()))
      raw:expect_eof()
    end)

    it("waits for who was found in the backlog", function()
      local server = t.listen {}
      local raw = t.raw(server)
      assert.is_true(server:close())
      raw:expect_eof()
    end)

    it("gives handlers that were asked the time to answer", function()
      local go = false
      local server = t.listen { on_request = function()
        while not go do ws.sleep(0) end
        return 200, "answered"
      end }
      local raw, result = t.raw(server), nil
      raw:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
      for _ = 1, 3 do t.turn() end
      ws.spawn(function() result = server:close() end)
      for _ = 1, 3 do t.turn() end
      assert.is_nil(result)
      go = true
      local status, headers, body = raw:read_http()
      assert.same({ 200, "answered", "close" },
        { status, body, headers.connection })
      t.wait(function() return result end)
    end)

    it("may be waited for by several, and called again", function()
      local server = t.listen {}
      local raw, results = t.open(server), {}
      for i = 1, 3 do
        ws.spawn(function() results[i] = server:close() end)
      end
      raw:expect_close(1001)
      raw:send(t.frame("close", "\x03\xe9"))
      t.wait(function() return #results == 3 end)
      assert.same({ true, true, true }, results)
      assert.is_true(server:close())
    end)

    it("may be called in a handler of one of its connections", function()
      local result, server
      server = t.listen { on_message = function()
        result = table.pack(server:close())
      end }
      local raw = t.open(server)
      raw:send(t.frame("text", "x"))
      raw:expect_close(1001)
      raw:send(t.frame("close", "\x03\xe9"))
      t.wait(function() return result end)
      assert.is_true(result[1])
    end)

    it("raises where it cannot wait", function()
      local server, result = t.listen {}, nil
      t.open(server)
      ws.spawn(function()
        coroutine.wrap(function()
          result = { pcall(server.close, server) }
        end)()
      end)
      t.wait(function() return result end)
      assert.is_false(result[1])
      contains(result[2], "cannot wait here (use ws.spawn)")
      contains(tostring(server), "(listening)")
    end)

    it("raises for options that are none", function()
      local server = t.listen {}
      for name, values in pairs { code = { 999, 1005, 5000, "x", 1000.5 },
        reason = { 5, ("x"):rep(124), "\xff" },
        timeout = { -1, 0 / 0, "x", {}, true } } do
        for _, value in ipairs(values) do
          contains(kit.refusal(function()
            local ok = server:close { [name] = value }
            return ok
          end), "'" .. name .. "'")
        end
      end
      contains(kit.refusal(function()
        local ok = server:close { tiemout = 1 }
        return ok
      end), "'tiemout'")
      contains(kit.refusal(function()
        local ok = server:close(5)
        return ok
      end), "bad argument #1 to 'close'")
      contains(tostring(server), "(listening)")
    end)
  end)

  describe("at the end of its variable's scope", function()
    it("is closed, and its end awaited", function()
      local kept
      do
        local server <close> = assert(ws.listen { port = 0 })
        kept = server
      end
      contains(tostring(kept), "(closed)")
    end)

    it("lets an error through as it was", function()
      local kept
      local ok, why = pcall(function()
        local server <close> = assert(ws.listen { port = 0 })
        kept = server
        error("as it was", 0)
      end)
      assert.is_false(ok)
      assert.equal("as it was", why)
      contains(tostring(kept), "(closed)")
      local object = { code = 4000 }
      ok, why = pcall(function()
        local server <close> = assert(ws.listen { port = 0 })
        assert(server)
        error(object)
      end)
      assert.is_false(ok)
      assert.equal(object, why)
    end)
  end)

  it("that is dropped goes on listening", function()
    local port = assert(ws.listen { port = 0, host = "127.0.0.1",
      on_open = function(conn) conn.server:close {} end }).port
    collectgarbage()
    collectgarbage()
    local raw = t.open(port)
    raw:expect_close(1001)
    raw:close()
    t.wait(function() return not ws.connect("ws://127.0.0.1:" .. port) end)
  end)

  it("at max_connections closes who comes", function()
    local server = t.listen { max_connections = 2, on_message = echo }
    local first, second = t.open(server), t.bystander(server)
    assert.is_nil((t.raw(server):read_http()))
    second:check()
    first:finish()
    t.wait(function() return server.connections == 1 end)
    t.wait(function()
      local conn = ws.connect(url_of(server))
      return conn and conn:terminate()
    end)
  end)
end)
