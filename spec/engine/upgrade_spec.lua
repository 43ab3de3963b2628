-- The HTTP in front of a connection (src/engine/upgrade.c, server.c): who gets
-- which answer, and what may be waited for how long.

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local echo = t.echo

local frame = t.frame
local second = t.factor

local function request(method, path, fields, body)
  return ("%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s"):format(method,
    path, fields or "", body or "")
end

local function get(path, fields)
  return request("GET", path or "/", fields)
end

-- The upgrade of RFC 6455 1.3.
local function upgrade(path)
  return get(path, "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    .. "Sec-WebSocket-Version: 13\r\n"
    .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
end

-- Answers every plain request with its path, and notes it.
local function notes(options)
  local paths = {}
  local own = { path = "/ws", on_message = echo, on_request = function(r)
    paths[#paths + 1] = r.path
    return 200, r.path
  end }
  for name, value in pairs(options or {}) do own[name] = value end
  return t.listen(own), paths
end

-- The status, and that the connection then ends.
local function assert_refused(status, client)
  local got, headers = client:read_http()
  assert.equal(status, got)
  assert.is_truthy((headers.connection or ""):find "close")
  client:expect_eof()
  return headers
end

describe("an upgrade", function()
  after_each(t.cleanup)

  it("opens, whole and byte by byte", function()
    local server = t.listen { on_message = echo }
    for _, bytewise in ipairs { false, true } do
      local client = t.open(server, { bytewise = bytewise })
      client:send(frame("text", "hi")):expect_frame("text", "hi")
    end
  end)

  it("may have its first frames right behind it", function()
    local client = t.raw(t.listen { on_message = echo })
    client:send(upgrade() .. frame("text", "a") .. frame("text", "b"))
    assert.equal(101, (client:read_http()))
    client:expect_frame("text", "a")
    client:expect_frame("text", "b")
  end)

  it("may have half a frame right behind it", function()
    local client = t.raw(t.listen { on_message = echo })
    local bytes = frame("text", ("x"):rep(1000))
    client:send(upgrade() .. bytes:sub(1, 100))
    assert.equal(101, (client:read_http()))
    client:send(bytes:sub(101))
    client:expect_frame("text", ("x"):rep(1000))
  end)

  it("keeps early frames while on_upgrade waits", function()
    local go
    local client = t.raw(t.listen { on_message = echo, on_upgrade = function()
      while not go do t.ws.sleep(0.001) end
    end })
    client:send(upgrade() .. frame("text", "early"))
    client:expect_silence(5)
    client:send(frame("text", "later"))
    client:expect_silence(5)
    go = true
    assert.equal(101, (client:read_http()))
    client:expect_frame("text", "early")
    client:expect_frame("text", "later")
  end)

  it("may come behind plain requests", function()
    local server, paths = notes()
    local client = t.raw(server)
    client:send(get "/a" .. upgrade "/ws" .. frame("text", "hi"))
    assert.equal(200, (client:read_http()))
    assert.equal(101, (client:read_http()))
    client:expect_frame("text", "hi")
    assert.same({ "/a" }, paths)
  end)

  it("that is refused discards what stands behind it (BI-40)", function()
    local server, paths = notes { on_upgrade = function() return 401 end }
    local client = t.raw(server)
    client:send(upgrade "/ws" .. get "/smuggled" .. frame("text", "x"))
    assert_refused(401, client)
    assert.same({}, paths)
  end)

  it("is refused with the status that says why", function()
    local server = notes { hosts = { "localhost" },
      on_upgrade = function(r)
        if r.origin == "https://evil.test" then return 403 end
      end }
    local ok = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
      .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    local version = "Sec-WebSocket-Version: 13\r\n"
    for _, case in ipairs {
      { 404, get("/nowhere", ok .. version) },
      { 403, get("/ws", ok .. version .. "Origin: https://evil.test\r\n") },
      { 400, get("/ws", ok .. version .. "Origin: https://good.test\r\n"
        .. "Origin: https://good.test\r\n") },
      { 426, get("/ws", ok .. "Sec-WebSocket-Version: 8\r\n") },
      { 400, get("/ws", version .. ok:gsub("dGhl", "dGh")) },
      { 400, get("/ws", ok .. version .. "Content-Length: 3\r\n") .. "abc" },
      { 421, (get("/ws", ok .. version):gsub("localhost", "evil.test")) },
      { 400, (get("/ws", ok .. version):gsub("Host: [^\r]*\r\n", "")) },
      { 400, "GET /ws HTTP/1.1\nHost: localhost\n\n" },
      { 400, get("/ws", "Bad Name: x\r\n") },
      { 505, (get("/ws"):gsub("HTTP/1.1", "HTTP/2.0")) },
    } do
      local client = t.raw(server)
      client:send(case[2])
      local status, headers = client:read_http()
      assert.equal(case[1], status, case[2])
      assert.is_truthy((headers.connection or ""):find "close")
      client:expect_eof()
      if case[2]:find "Version: 8" then
        assert.equal("13", headers["sec-websocket-version"])
      end
    end
  end)

  it("of a plain request on its route is asked for with 426", function()
    local client = t.raw((notes()))
    client:send(get "/ws")
    local status, headers = client:read_http()
    assert.equal(426, status)
    assert.equal("websocket", headers.upgrade)
    assert.is_truthy(headers.connection:find "Upgrade")
  end)

  it("is refused when the head is too large, by its part", function()
    local server = t.listen { max_request_line = 200, max_header_line = 300,
      max_header_bytes = 1000, max_headers = 10 }
    for _, case in ipairs {
      { 414, get("/" .. ("p"):rep(300)) },
      { 431, get("/", "X: " .. ("x"):rep(400) .. "\r\n") },
      { 431, get("/", ("X: " .. ("x"):rep(100) .. "\r\n"):rep(12)) },
      { 431, get("/", ("X: y\r\n"):rep(10)) }, -- and Host
    } do
      for _, bytewise in ipairs { false, true } do
        local client = t.raw(server)
        if bytewise then client:send_pieces(case[2], 50)
        else client:send(case[2]) end
        assert_refused(case[1], client)
      end
    end
  end)

  it("without an answer of on_upgrade is 503 at upgrade_timeout", function()
    local may_go, is_late
    local server, log = kit.serve { upgrade_timeout = 0.05 * second,
      on_upgrade = function()
        while not may_go do t.ws.sleep(0.001) end
        is_late = true
      end }
    local client = t.raw(server)
    client:send(upgrade())
    assert_refused(503, client)
    may_go = true
    t.wait(function() return is_late end, "the answer that is too late")
    t.turn()
    assert.same({ 0, 0 }, { server.connections, #log.conns })
    assert.equal(1, server:stats().refused.handler_timeout)
  end)

  it("whose peer has left while on_upgrade waits is no more", function()
    local go, is_asked
    local server, log = kit.serve { on_upgrade = function()
      is_asked = true
      while not go do t.ws.sleep(0.001) end
    end }
    local client = t.raw(server)
    client:send(upgrade())
    t.wait(function() return is_asked end, "on_upgrade")
    client:reset()
    t.turn()
    go = true
    t.wait(function() return server.connections == 0 end, "its end")
    t.wait(function() return #log.closed == #log.conns end, "on_close")
    assert.is_true(#log.conns <= 1) -- it is not seen before it is written to
  end)
end)

describe("plain requests", function()
  after_each(t.cleanup)

  it("are answered in order when they come at once", function()
    local server, paths = notes()
    local client = t.raw(server)
    local list = {}
    for i = 1, 50 do list[i] = get("/" .. i) end
    client:send(table.concat(list))
    for i = 1, 50 do
      local status, _, body = client:read_http()
      assert.same({ 200, "/" .. i }, { status, body })
    end
    assert.equal(50, #paths)
  end)

  it("are answered in order by handlers that wait", function()
    local client = t.raw(t.listen { on_request = function(r)
      t.ws.sleep(r.path == "/1" and 0.02 or 0)
      return 200, r.path
    end })
    client:send(get "/1" .. get "/2" .. get "/3")
    for i = 1, 3 do
      assert.equal("/" .. i, (select(3, client:read_http())))
    end
  end)

  it("may come in any pieces, with bodies (BI-43)", function()
    local bodies = {}
    local server = t.listen { on_request = function(r)
      bodies[#bodies + 1] = r.body
      return 200, r.body
    end }
    local bytes = request("POST", "/", "Content-Length: 5\r\n", "hello")
      .. request("POST", "/", "Transfer-Encoding: chunked\r\n",
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n") .. get()
    for _, n in ipairs { #bytes, 1, 7, 40 } do
      local client = t.raw(server)
      client:send_pieces(bytes, n)
      for _, body in ipairs { "hello", "abcde", "" } do
        assert.equal(body, (select(3, client:read_http())))
      end
      client:close()
    end
    assert.equal(12, #bodies)
  end)

  it("are counted once each, whatever follows (BI-43)", function()
    local server, paths = notes()
    local bytes = get "/1" .. get "/2"
    local first = #get "/1"
    for stop = 0, #bytes do
      local before = #paths
      local client = t.raw(server)
      client:send(bytes:sub(1, stop))
      client:half_close()
      repeat
        local status = client:read_http()
        assert.is_true(status == 200 or status == nil)
      until not status
      local n = stop == #bytes and 2 or stop >= first and 1 or 0
      assert.equal(before + n, #paths)
      client:close()
    end
  end)

  it("do not keep a bystander waiting (BI-51)", function()
    local server = notes { http_keepalive = { requests = 5000 } }
    local calm = t.bystander(server, { path = "/ws" })
    local client = t.raw(server)
    client:send(get("/x"):rep(2000))
    for _ = 1, 20 do
      local began = t.probe.cpu()
      calm.check()
      assert.is_true(t.probe.cpu() - began < 0.5 * second)
    end
    for _ = 1, 2000 do assert.equal(200, (client:read_http())) end
  end)

  it("end after http_keepalive.requests", function()
    local client = t.raw((notes { http_keepalive = { requests = 3 } }))
    client:send(get "/1" .. get "/2" .. get "/3" .. get "/4")
    for _ = 1, 2 do
      local _, headers = client:read_http()
      assert.is_nil(headers.connection)
    end
    assert_refused(200, client)
  end)

  it("end when the peer says so, or speaks HTTP/1.0", function()
    local server = notes()
    local client = t.raw(server)
    client:send(get("/", "Connection: close\r\n"))
    assert_refused(200, client)
    client = t.raw(server)
    client:send "GET / HTTP/1.0\r\n\r\n"
    assert_refused(200, client)
    client = t.raw(server)
    client:send "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    local status, headers = client:read_http()
    assert.same({ 200, "keep-alive" }, { status, headers.connection })
    client:send(get "/again")
    assert.equal(200, (client:read_http()))
  end)

  it("by OPTIONS * ask about the server (RFC 9112 3.2.4)", function()
    local options = "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n"
    local function ask(own, more, body)
      own.on_message = echo
      local client = t.raw(t.listen(own))
      client:send(options .. (more or "") .. "\r\n" .. (body or ""))
      local status, headers, text = client:read_http()
      return client, status, headers.allow, text, headers.connection
    end
    local function told(own)
      local client, status, allow, body = ask(own)
      assert.same({ 204, "GET, HEAD, OPTIONS", "" }, { status, allow, body })
      -- the connection serves on
      client:send(options .. "\r\n")
      assert.equal(204, (client:read_http()))
      assert.equal(101, (client:upgrade { path = own.path or own.routes
        and "/a" }))
    end
    told {}
    told { path = "/ws" }
    told { routes = { ["/a"] = {}, ["/:any"] = {}, ["/*"] = {} } }
    told { routes = { ["/a"] = { on_request = error } } }
    local seen
    told { on_request = function(r) seen = r.method .. r.path end }
    assert.equal("OPTIONS*", seen)
    told { on_request = t.ws.static "spec" }
    local _, status, allow, body = ask { on_request = function(r)
      return 200, r.path, { Allow = "GET" }
    end }
    assert.same({ 200, "GET", "*" }, { status, allow, body })
    -- a body that is not read ends the connection
    for _, framing in ipairs { "Content-Length: 100000\r\n",
                               "Transfer-Encoding: chunked\r\n" } do
      local client, got, _, _, connection = ask({}, framing)
      assert.same({ 204, "close" }, { got, connection })
      client:send(("x"):rep(1000))
      client:expect_eof()
    end
    assert.equal(421, (select(2, ask { hosts = { "other" } })))
  end)

  it("are told apart wherever their bytes are cut", function()
    local seen = {}
    local server = t.listen { on_request = function(r)
      if r.query == "late" then t.ws.sleep(0) end
      seen[#seen + 1] = r.path .. " " .. r.headers.x .. " " .. r.body
      return 200, r.body
    end }
    local function one(i, late)
      local body = ("%d"):format(i):rep(i)
      local path = "/" .. i .. (late and "?late" or "")
      if i % 2 == 0 then
        return request("POST", path, "X: " .. i .. "\r\nContent-Length: "
          .. #body .. "\r\n", body)
      end
      return request("POST", path, "X: " .. i .. "\r\n"
        .. "Transfer-Encoding: chunked\r\n", ("%x;a\r\n%s\r\n"):format(#body,
        body) .. "0\r\nT: u\r\n\r\n")
    end
    local want, bytes = {}, { {}, {} }
    for i = 1, 4 do
      want[i] = ("/%d %d %s"):format(i, i, ("%d"):format(i):rep(i))
      bytes[1][i], bytes[2][i] = one(i), one(i, true)
    end
    for _, list in ipairs(bytes) do
      local all = table.concat(list)
      for cut = 0, #all, 3 do
        seen = {}
        local client = t.raw(server):send(all:sub(1, cut)):flush()
        if cut > 0 then t.turn() end
        client:send(all:sub(cut + 1))
        for i = 1, 4 do
          local status, _, body = client:read_http()
          assert.same({ 200, ("%d"):format(i):rep(i) }, { status, body })
        end
        assert.same(want, seen)
        client:close()
      end
    end
  end)

  it("with a body over max_body are 413", function()
    local server = notes { max_body = 10 }
    local client = t.raw(server)
    client:send(request("POST", "/", "Content-Length: 11\r\n"))
    assert_refused(413, client)
    client = t.raw(server)
    client:send(request("POST", "/", "Transfer-Encoding: chunked\r\n",
      "8\r\n12345678\r\n3\r\n"))
    assert_refused(413, client)
    client = t.raw(server)
    client:send(request("POST", "/", "Content-Length: 10\r\n", "1234567890"))
    assert.equal(200, (client:read_http()))
  end)
end)

describe("time runs out", function()
  after_each(t.cleanup)

  local limit = 0.1 * second

  it("for a peer that says nothing: it is closed", function()
    local client = t.raw((notes { handshake_timeout = limit }))
    local began = t.probe.now()
    client:expect_eof()
    assert.is_true(t.probe.now() - began >= limit - 0.02)
  end)

  it("for a head that does not end, however it trickles (BI-34)",
    function()
      local client = t.raw((notes { handshake_timeout = limit,
        max_headers = 10000, max_header_bytes = 1 << 20 }))
      client:send "GET / HTTP/1.1\r\n"
      t.wait(function()
        client:send "X: y\r\n"
        kit.during(0.01)
        return t.probe.poll({ client.socket }, 0) == 1
      end, "an answer while it goes on trickling")
      assert_refused(408, client)
    end)

  it("for a body that does not end", function()
    local client = t.raw((notes { handshake_timeout = limit }))
    client:send(request("POST", "/", "Content-Length: 10\r\n", "12345"))
    assert_refused(408, client)
  end)

  it("for a further request, from its first byte", function()
    local client = t.raw((notes { handshake_timeout = limit }))
    client:send(get())
    assert.equal(200, (client:read_http()))
    kit.during(2 * limit) -- idle: that is another clock
    client:send(get())
    assert.equal(200, (client:read_http()))
    client:send "GET / HT"
    assert_refused(408, client)
  end)

  it("for one who says nothing but empty lines: it is closed", function()
    local server = notes { handshake_timeout = limit,
      http_keepalive = { timeout = 4 * limit } }
    local client = t.raw(server):send "\r\n\r\n"
    assert.is_nil((client:read_http()))
    -- behind a body that does not count its line break: no request yet
    for _, cut in ipairs { false, true } do
      client = t.raw(server)
      local body = request("POST", "/", "Content-Length: 2\r\n", "ab")
      if cut then client:send(body):flush():send "\r\n"
      else client:send(body .. "\r\n") end
      assert.equal(200, (client:read_http()))
      kit.during(2 * limit)
      client:send(get "/again")
      assert.equal(200, (client:read_http()))
      client = t.raw(server):send(body .. "\r\n")
      assert.equal(200, (client:read_http()))
      assert.is_nil((client:read_http())) -- http_keepalive
    end
  end)

  it("between two requests: the connection is closed", function()
    local client = t.raw((notes { http_keepalive = { timeout = limit } }))
    client:send(get())
    assert.equal(200, (client:read_http()))
    local began = t.probe.now()
    client:expect_eof()
    assert.is_true(t.probe.now() - began >= limit - 0.02)
  end)
end)

describe("a crowd", function()
  after_each(t.cleanup)

  it("over max_pending costs the oldest its place", function()
    local server = notes { max_pending = 3 }
    local list = {}
    for i = 1, 5 do
      list[i] = t.raw(server)
      list[i]:send "GET / HTTP/1.1\r\n"
      kit.during(0.005)
    end
    for i = 1, 2 do assert_refused(503, list[i]) end
    for i = 3, 5 do
      list[i]:send "Host: localhost\r\n\r\n"
      assert.equal(200, (list[i]:read_http()))
    end
  end)

  it("over max_pending that said nothing is closed", function()
    local server = notes { max_pending = 2 }
    local list = {}
    for i = 1, 3 do
      list[i] = t.raw(server)
      kit.during(0.005)
    end
    list[1]:expect_eof()
    list[3]:send(get())
    assert.equal(200, (list[3]:read_http()))
  end)

  it("of open connections is not pending", function()
    local server = notes { max_pending = 2 }
    local list = {}
    for i = 1, 6 do list[i] = t.open(server, { path = "/ws" }) end
    for i = 1, 6 do
      list[i]:send(frame("text", "x")):expect_frame("text", "x")
    end
  end)

  it("over max_connections is turned away, until one leaves", function()
    local server = notes { max_connections = 2 }
    local a = t.open(server, { path = "/ws" })
    local b = t.open(server, { path = "/ws" })
    local c = t.raw(server)
    assert.is_nil((c:frame()))
    a:finish()
    t.wait(function() return server.connections == 1 end)
    t.open(server, { path = "/ws" })
    b:send(frame("text", "x")):expect_frame("text", "x")
  end)
end)
