-- lua_pass.c: a request that goes on in another process. Here both ends are
-- one process: the descriptor is doubled, as sending it does.

local core = require "evws.core"
local t = require "spec.helper"
local tls = require "spec.helper.tls"
local ws = t.ws
local frame, net = t.frame, t.probe

describe("a request that is passed on", function()
  after_each(t.cleanup)

  -- Passes each request once, and answers it the second time.
  local function passing(options)
    local own, seen = {}, {}
    local function pass(request)
      local n = (seen[request.path] or 0) + 1
      seen[request.path] = n
      if n % 2 == 0 then return false end
      local fd, bytes = core.passable(request, request.body)
      assert(fd, "it cannot be passed")
      fd = net.dup(fd)
      core.passed(request)
      seen[#seen + 1] = core.adopt(bytes, fd)
      return true
    end
    function own.on_request(request)
      if pass(request) then return 404 end
      return 200, ("%s %s %s %s"):format(request.method, request.path,
        request.body, request.remote_address)
    end
    function own.on_upgrade(request)
      if pass(request) then return 404 end
    end
    function own.on_message(conn, message, kind) conn:send(message, kind) end
    for name, value in pairs(options or {}) do own[name] = value end
    return t.listen(own), seen
  end

  local function body(raw, wanted)
    local status, _, text = raw:read_http()
    assert.same({ 200, wanted }, { status, text })
  end

  it("is answered there, with its body, and what comes behind it", function()
    local raw = t.raw((passing()))
    raw:send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
      .. "GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
    body(raw, "POST /a hello 127.0.0.1")
    body(raw, "GET /b  127.0.0.1")
    raw:send("POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")
    body(raw, "POST /c abcde 127.0.0.1")
    raw:send("POST /d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. "0\r\n\r\n")
    body(raw, "POST /d  127.0.0.1")
  end)

  it("is what it was, also where the process has had children", function()
    require "evws_probe".loop.new "ev":random_in_child() -- a fork
    local raw = t.raw((passing()))
    raw:send "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    body(raw, "GET /a  127.0.0.1")
  end)

  it("has a body of any length, and its head in any pieces", function()
    local server = passing { max_body = 1 << 20 }
    local raw, text = t.raw(server), ("y"):rep(900000)
    raw:send("POST /long HTTP/1.1\r\nHost: x\r\nContent-Le")
    raw:send "ngth: 900000\r\n\r\n"
    raw:send(text)
    body(raw, "POST /long " .. text .. " 127.0.0.1")
  end)

  it("takes the connection with it", function()
    local server, seen = passing()
    local raw = t.raw(server)
    for i = 1, 3 do
      raw:send(("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(i))
      body(raw, ("GET /%d  127.0.0.1"):format(i))
    end
    assert.same({ true, true, true }, { table.unpack(seen) })
    raw:close()
    t.wait(function() return server:stats().pending == 0 end)
  end)

  it("may be an upgrade, with the first frames behind it", function()
    local raw = t.raw((passing { path = "/ws" }))
    assert.equal(101, (raw:upgrade { path = "/ws", behind = "" }))
    raw:send(frame("text", "there")):expect_frame("text", "there")
  end)

  it("may wait before it is", function()
    local n = 0
    local server = t.listen { on_request = function(request)
      n = n + 1
      ws.sleep(0.01)
      if n > 1 then return 200, "second" end
      local fd, bytes = core.passable(request)
      fd = net.dup(fd)
      core.passed(request)
      assert.is_true(core.adopt(bytes, fd))
    end }
    local raw = t.raw(server)
    raw:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    body(raw, "second")
  end)

  it("knows its server, while it is asked about", function()
    local kept, server, got
    server = t.listen { on_request = function(request)
      kept, got = request, { core.server_of(request) }
      return 200, "x"
    end }
    local raw = t.raw(server)
    raw:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    body(raw, "x")
    assert.same({ server }, got)
    assert.is_nil(core.server_of(kept))
    assert.is_nil(core.passable(kept))
    assert.is_nil(core.server_of {})
    core.passed(kept)
    core.passed {}
  end)

  it("is none over TLS", function()
    local passable
    local server = t.listen(tls.options { on_upgrade = function(request)
      passable = core.passable(request) ~= nil
      return 404
    end })
    t.pump(function()
      assert.is_nil(ws.connect(("wss://localhost:%d/"):format(server.port),
        { tls = { ca = tls.file "ca.pem" } }))
    end)
    assert.is_false(passable)
  end)

  it("goes nowhere where nobody listens so, or is cut", function()
    local function adopt(bytes)
      return core.adopt(bytes, net.dup(0))
    end
    local bytes
    local server = t.listen { on_request = function(request)
      local _, all = core.passable(request)
      bytes = all
      return 200, "x"
    end }
    local raw = t.raw(server)
    raw:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    body(raw, "x")
    for n = 0, #bytes - #"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 7 do
      assert.is_false(adopt(bytes:sub(1, n)))
    end
    t.pump(server.close, server)
    assert.is_false(adopt(bytes))
  end)
end)
