-- on_upgrade: what may be returned, and what becomes of what the peer sends
-- while it waits.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

local plain = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"

local function request(path, more)
  return ("GET %s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n")
    :format(path or "/", more or "")
end

local function upgrade(on_upgrade, options, server_options)
  local own = { on_upgrade = on_upgrade }
  for name, value in pairs(server_options or {}) do own[name] = value end
  local server = t.listen(own)
  local raw = t.raw(server)
  local status, headers, body = raw:upgrade(options)
  return status, headers, body, raw, server
end

describe("an upgrade", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("is accepted when on_upgrade returns nothing", function()
    local seen
    local status = upgrade(function(r) seen = r end, { path = "/x?y=1",
      headers = { ["Sec-WebSocket-Protocol"] = "a, b" } })
    assert.equal(101, status)
    assert.is_true(seen.is_websocket)
    assert.equal("/x", seen.path)
    assert.equal("y=1", seen.query)
    assert.same({ "a", "b" }, seen.subprotocols)
    assert.equal("websocket", seen.headers.upgrade)
  end)

  it("may be given subprotocol, headers and data by a table", function()
    local data = {}
    local seen
    local status, headers = upgrade(function()
      return { subprotocol = "b", headers = { ["X-A"] = "1" }, data = data }
    end, { headers = { ["Sec-WebSocket-Protocol"] = "a, b" } },
      { on_open = function(conn) seen = conn end })
    assert.equal(101, status)
    assert.equal("b", headers["sec-websocket-protocol"])
    assert.equal("1", headers["x-a"])
    assert.equal(data, seen.data)
    assert.equal("b", seen.subprotocol)
  end)

  it("with a table that says nothing is accepted as always", function()
    local status, headers = upgrade(function() return {} end,
      { headers = { ["Sec-WebSocket-Protocol"] = "v1" } },
      { subprotocols = { "v1" } })
    assert.equal(101, status)
    assert.equal("v1", headers["sec-websocket-protocol"])
  end)

  it("is refused with status, body and headers", function()
    local opened = 0
    local status, headers, body, raw = upgrade(function()
      return 401, "who are you?", { ["WWW-Authenticate"] = "Basic" }
    end, nil, { on_open = function() opened = opened + 1 end })
    assert.same({ 401, "who are you?", "Basic" },
      { status, body, headers["www-authenticate"] })
    assert.equal("close", headers.connection)
    raw:expect_eof()
    assert.equal(0, opened)
    assert.equal(302, (upgrade(function() return 302 end)))
    assert.equal(599, (upgrade(function() return 599 end)))
  end)

  it("by anything else, or an error, is 500 and on_error", function()
    for _, on_upgrade in ipairs { function() return 200 end,
      function() return 101 end, function() return 299 end,
      function() return 600 end, function() return false end,
      function() return true end, function() return "x" end,
      function() return { subprotocol = "a b" } end,
      function() return { subprotocol = {} } end,
      function() return { headers = 5 } end,
      function() error "boom" end, function() error() end,
      function() ws.sleep(0) error {} end } do
      local errors = kit.errors()
      local status, _, body, raw = upgrade(on_upgrade)
      assert.equal(500, status)
      assert.equal(1, #errors)
      assert.is_nil(body:find "boom")
      raw:expect_eof()
    end
  end)

  it("may wait: the request stays what it was", function()
    local go = false
    local server = t.listen {
      on_upgrade = function(r)
        if r.path == "/busy" then return end
        while not go do ws.sleep(0) end
        return { headers = { ["X-Path"] = r.path } }
      end,
      on_message = function(conn, m) conn:send(conn.path .. " " .. m) end,
    }
    local raw = t.raw(server)
    raw:send(request("/slow?q=1", "Origin: https://o.example\r\n"))
    for _ = 1, 3 do t.turn() end
    local busy = t.open(server, { path = "/busy" })
    busy:send(t.frame("text", ("z"):rep(5000)))
    busy:message()
    go = true
    local status, headers = raw:read_http()
    assert.equal(101, status)
    assert.equal("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
      headers["sec-websocket-accept"])
    assert.equal("/slow", headers["x-path"])
    for conn in server:each() do
      if conn.path ~= "/busy" then
        assert.same({ "/slow", "q=1", "https://o.example" },
          { conn.path, conn.query, conn.origin })
      end
    end
    raw:send(t.frame("text", "x"))
    raw:expect_frame("text", "/slow x")
  end)

  it("may wait: early frames are kept if it is accepted", function()
    local go = false
    local server = t.listen {
      on_upgrade = function() while not go do ws.sleep(0) end end,
      on_message = function(conn, m) conn:send(m) end,
    }
    local raw = t.raw(server)
    raw:send(request() .. t.frame("text", "with it"))
    for _ = 1, 3 do t.turn() end
    raw:send(t.frame("text", "while it waits")
      .. t.frame("binary", ("x"):rep(70000)))
    for _ = 1, 3 do t.turn() end
    go = true
    assert.equal(101, (raw:read_http()))
    raw:expect_frame("text", "with it")
    raw:expect_frame("text", "while it waits")
    assert.equal(70000, #raw:frame().payload)
  end)

  it("may wait: early frames are discarded if it is refused", function()
    local go, requests = false, 0
    local raw = t.raw(t.listen {
      on_upgrade = function()
        while not go do ws.sleep(0) end
        return 403
      end,
      on_request = function() requests = requests + 1 end,
    })
    raw:send(request() .. plain)
    for _ = 1, 3 do t.turn() end
    go = true
    assert.equal(403, (raw:read_http()))
    raw:expect_eof()
    assert.equal(0, requests)
  end)

  it("too late is 503, and what is returned then is ignored", function()
    local go, done, opened, errors = false, false, 0, kit.errors()
    local status, _, _, raw = upgrade(function()
      while not go do ws.sleep(0) end
      done = true
      return { headers = { ["X-A"] = "1" } }
    end, nil, { upgrade_timeout = 0.03,
      on_open = function() opened = opened + 1 end })
    assert.equal(503, status)
    raw:expect_eof()
    go = true
    t.wait(function() return done end)
    for _ = 1, 3 do t.turn() end
    assert.equal(0, opened)
    assert.equal(0, #errors)
  end)

  it("of a peer that is gone by then opens nothing that stays", function()
    local go, done = false, false
    local server = t.listen { on_upgrade = function()
      while not go do ws.sleep(0) end
      done = true
    end }
    local raw = t.raw(server)
    raw:send(request())
    for _ = 1, 3 do t.turn() end
    raw:reset()
    go = true
    t.wait(function() return done end)
    t.wait(function() return server.connections == 0 end)
  end)

  it("on no route is 404, and nobody is asked", function()
    local asked = 0
    local server = t.listen { path = "/ws", on_upgrade = function()
      asked = asked + 1
    end }
    for _, path in ipairs { "/", "/ws/", "/WS", "/w", "/ws2" } do
      assert.equal(404, (t.raw(server):upgrade { path = path }))
    end
    assert.equal(0, asked)
    assert.equal(101, (t.raw(server):upgrade { path = "/ws?x=1" }))
    assert.equal(1, asked)
  end)
end)
