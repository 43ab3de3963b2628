-- Request heads and upgrades that have broken other servers, on connections:
-- BI-19, BI-30 to BI-34 and BI-39 to BI-42, BI-44, BI-50.

local t = require "spec.helper"
local common = require "spec.bad_inputs.common"

local ws, probe, guarded, frame = t.ws, t.probe, common.guarded, t.frame
local head, refused = common.head, common.refused

local key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
local usual = { "Host: 127.0.0.1", "Upgrade: websocket",
  "Connection: Upgrade", "Sec-WebSocket-Version: 13", key }

-- A request for an upgrade: the first line, more fields, then the usual ones
-- but those whose names are in `without`.
local function upgrade(more, without, first)
  local lines = { first or "GET / HTTP/1.1", table.unpack(more or {}) }
  for _, line in ipairs(usual) do
    if not (without or ""):find(line:match "^[^:]+", 1, true) then
      lines[#lines + 1] = line
    end
  end
  return head(lines)
end

local function all_refused(server, status, list)
  for _, bytes in ipairs(list) do
    refused(server, status, bytes)
    refused(server, status, bytes .. frame("text", "smuggled"))
  end
end

local function plain(...)
  return head { "GET / HTTP/1.1", "Host: 127.0.0.1", ... }
end

-- A server on which no request may succeed.
local function strict(g, options)
  local own = { on_request = function() error "served" end }
  for name, value in pairs(options or {}) do own[name] = value end
  return g:listen(own)
end

local function fillers(n, text)
  local lines = {}
  for i = 1, n do lines[i] = (text or "X-%d: y"):format(i) end
  return lines
end

describe("a request", function()
  after_each(common.cleanup)

  it("BI-19 of an older draft is 426 with the version we speak",
    guarded(function(g)
      local server = strict(g)
      local list = { upgrade(nil, "Sec-WebSocket-Version"),
        head { "GET /demo HTTP/1.1", "Host: a", "Connection: Upgrade",
          "Sec-WebSocket-Key2: 12998 5 Y3 1  .P00", "Upgrade: WebSocket",
          "Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5", "Origin: http://a" }
          .. "^n:ds[4U",
        head { "GET /demo HTTP/1.1", "Upgrade: WebSocket", "Host: a",
          "Connection: Upgrade", "WebSocket-Protocol: sample" } }
      for _, version in ipairs { "0", "8", "12", "14", "" } do
        list[#list + 1] = upgrade({ "Sec-WebSocket-Version: " .. version },
          "Sec-WebSocket-Version")
      end
      for _, bytes in ipairs(list) do
        local headers = refused(server, 426, bytes)
        assert.equal("13", headers["sec-websocket-version"])
        assert.equal("websocket", headers.upgrade)
      end
    end))

  it("BI-30 may have 100 fields, the needed ones last, and no more",
    guarded(function(g)
      local server = g:listen()
      for _, n in ipairs { 99, 100 } do
        local status, _, _, client = common.answer(server,
          upgrade(fillers(n - 5)))
        assert.equal(101, status)
        client:send(frame("text", "x")):expect_frame("text", "x")
        client:close()
      end
      for _, n in ipairs { 101, 102, 2000, 100000 } do
        refused(server, 431, upgrade(fillers(n - 5, "a:")))
      end
    end))

  it("BI-31 costs in proportion to its length when it comes octet by octet",
    guarded(function(g)
      local server = g:listen { handshake_timeout = 600 }
      local function cost(n)
        local bytes = upgrade(fillers(n, "X-%d: " .. ("y"):rep(1000)))
        return common.cpu(function()
          local status, _, _, client = common.answer(server, bytes,
            { bytewise = true })
          assert.equal(101, status)
          client:close()
        end)
      end
      cost(1)
      assert.is_true(common.is_cheap(cost, 6, 24, 10)) -- 4 times the bytes
    end))

  it("BI-32 that never ends is refused at the limit of its part",
    guarded(function(g)
      local server = strict(g)
      local much = ("a"):rep(8192)
      local post = "POST / HTTP/1.1\r\nHost: a\r\n"
      local coded = post .. "Transfer-Encoding: chunked\r\n\r\n"
      for start, case in pairs {
        ["GET /"] = { 414, much },
        ["GET / HTTP/1.1\r\nHost: a\r\nX: "] = { 431, much },
        ["GET / HTTP/1.1\r\nHost: a\r\n"] = { 431, "X: y\r\n" },
        ["GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n"] = { 431,
          "X: " .. ("y"):rep(8000) .. "\r\n" },
        [coded .. "1;"] = { 400, much },
        [coded .. "0\r\n"] = { 400, "X: y\r\n" },
        [coded .. "0\r\nX: "] = { 400, much },
        [coded] = { 413, "2000\r\n" .. much .. "\r\n" },
        [post .. "Content-Length: 1048577\r\n\r\n"] = { 413, "" },
      } do
        refused(server, case[1],
          start .. case[2]:rep((4 << 20) // math.max(#case[2], 1)))
        local client = t.raw(server):send(start)
        local bytes, sent = nil, 0
        while not bytes and sent < 4 << 20 do
          client:send(case[2]):flush()
          sent = sent + #case[2]
          t.turn()
          bytes = client.socket:recv()
        end
        assert.equal("HTTP/1.1 " .. case[1], bytes:sub(1, 12))
        client:close()
      end
    end))

  it("BI-33 with one field many times costs in proportion to them",
    guarded(function(g)
      local headers
      local server = g:listen { on_request = function(request)
        headers = request.headers
        return 200
      end }
      local function cost(text, n)
        local bytes = head { "GET / HTTP/1.1", "Host: a",
          table.unpack(fillers(n, text)) }
        local client = t.raw(server)
        local spent = common.cpu(function()
          for _ = 1, 300 do
            client:send(bytes)
            assert.equal(200, (client:read_http()))
          end
        end)
        client:close()
        return spent
      end
      for _, text in ipairs { "Same: value", "Cookie: a=b", "X-%d: value" } do
        cost(text, 1)
        assert.is_true(common.is_cheap(function(n) return cost(text, n) end,
          24, 96, 12)) -- 16 would be quadratic
      end
      assert.equal("value", headers["x-96"])
      cost("Same: value", 96)
      assert.equal(("value, "):rep(95) .. "value", headers.same)
      cost("Cookie: " .. (";"):rep(8000), 1)
      assert.equal((";"):rep(8000), headers.cookie)
    end))

  local whole = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
  local starts = {
    ["the connection"] = { "" },
    ["the request line"] = { "GET /", "x" },
    ["the headers"] = { "GET / HTTP/1.1\r\nX: ", "y" },
    ["many headers"] = { "GET / HTTP/1.1\r\n", "X: y\r\n" },
    ["the body"] = { "POST / HTTP/1.1\r\nHost: a\r\n"
      .. "Content-Length: 100000\r\n\r\n", "x" },
    ["a chunk's data"] = { "POST / HTTP/1.1\r\nHost: a\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n10000\r\n", "x" },
    ["a further request"] = { whole .. "GET / HTTP/1.1\r\nX: ", "y" },
  }
  for state, start in pairs(starts) do
    it("BI-34 that trickles in " .. state .. " has handshake_timeout in all",
      guarded(function(g)
        local server = g:listen { handshake_timeout = 0.15,
          on_request = function() return 200, "ok" end }
        local client, answer, why = t.raw(server):send(start[1]), "", nil
        local began = probe.now()
        local next_at = began
        t.wait(function()
          if start[2] and probe.now() >= next_at then
            client.socket:send(start[2])
            next_at = probe.now() + 0.004
          end
          local bytes
          bytes, why = client.socket:recv()
          answer = answer .. (bytes or "")
          return why == "eof" or why == "reset"
        end, "the end")
        assert.is_true(probe.now() - began > 0.1)
        assert.is_truthy(answer == "" or answer:find("HTTP/1.1 408", 1, true))
        client:close()
      end))
  end

  it("BI-34 is 503 when on_upgrade or on_request takes too long",
    guarded(function(g)
      local may_go, returned, opened = false, 0, 0
      local function wait()
        while not may_go do ws.sleep(0.005) end
        returned = returned + 1
      end
      local server = g:listen { upgrade_timeout = 0.1, on_upgrade = wait,
        on_request = function() wait() return 200, "late" end,
        on_open = function() opened = opened + 1 end }
      refused(server, 503, upgrade())
      refused(server, 503, whole)
      may_go = true
      t.wait(function() return returned == 2 end, "the handlers")
      assert.equal(0, opened)
    end))

  it("BI-34 that is not made gives way at max_pending", guarded(function(g)
    local server = g:listen { max_pending = 4 }
    local clients = {}
    for i = 1, 10 do
      clients[i] = t.raw(server)
      t.turn()
    end
    for i = 1, 6 do clients[i]:expect_eof() end
    assert.equal(101, (clients[10]:upgrade()))
    clients[10]:finish()
  end))

  it("BI-39 with lenient grammar is 400", guarded(function(g)
    local server = strict(g)
    local list = {}
    for _, line in ipairs { "X : y", ": y", " X: y", "X: a\r\n b",
                            "X: a\r\n\tb", "X: a\0b", "X: a\rb", "X: a\vb",
                            "X: a\127b", "X(Y): z", "X\tY: z", "X y: z",
                            "\xc3\xa9: y", "X", "X: a\nY: b", "X: a\n" } do
      list[#list + 1] = plain(line)
      list[#list + 1] = upgrade { line }
    end
    for _, first in ipairs { "GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ",
                             " GET / HTTP/1.1", "GET\t/ HTTP/1.1",
                             "GET / http/1.1", "G@T / HTTP/1.1",
                             "GET /\0 HTTP/1.1", "GET /\27[m HTTP/1.1",
                             "GET / HTTP/1.1\r", "GET / HTTP/11", "" } do
      list[#list + 1] = upgrade(nil, nil, first)
    end
    list[#list + 1] = (plain():gsub("\r\n", "\n"))
    list[#list + 1] = (upgrade():gsub("\r\n", "\n"))
    list[#list + 1] = "\22\3\1\0\5\1\0\0\1\3\r\n" -- TLS
    list[#list + 1] = "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n" .. plain()
    all_refused(server, 400, list)
  end))

  it("BI-40 for an upgrade must not have a body", guarded(function(g)
    local server = strict(g)
    all_refused(server, 400, {
      upgrade { "Content-Length: 1" } .. "x",
      upgrade { "Content-Length: 29" } .. plain(),
      upgrade { "Transfer-Encoding: chunked" } .. "0\r\n\r\n",
      upgrade { "Content-Length: 0", "Transfer-Encoding: chunked" },
    })
  end))

  it("BI-40 for an upgrade may be followed by frames at once",
    guarded(function(g)
      local server = g:listen { on_upgrade = function(request)
        if request.query == "late" then ws.sleep(0.02) end
      end }
      local early = {}
      for i = 1, 100 do early[i] = frame("text", tostring(i)) end
      for _, path in ipairs { "/", "/?late" } do
        local first = ("GET %s HTTP/1.1"):format(path)
        local client = t.raw(server)
        client:send(upgrade(nil, nil, first) .. table.concat(early))
        client:send(frame("binary", ("x"):rep(200000)))
        assert.equal(101, (client:read_http()))
        for i = 1, 100 do client:expect_frame("text", tostring(i)) end
        client:expect_frame("binary", ("x"):rep(200000))
        client:finish()
      end
    end))

  it("BI-40 behind a refused upgrade is never served", guarded(function(g)
    local server = strict(g, { on_upgrade = function(request)
      if request.path == "/late" then ws.sleep(0.02) end
      return 403
    end })
    local requests = plain():rep(3)
    refused(server, 403, upgrade() .. requests)
    refused(server, 403, upgrade(nil, nil, "GET /late HTTP/1.1") .. requests)
    refused(server, 426, upgrade(nil, "Sec-WebSocket-Version") .. requests)
    refused(server, 400, upgrade(nil, "Sec-WebSocket-Key") .. requests)
  end))

  it("BI-41 for a bad upgrade never switches, and ends the connection",
    guarded(function(g)
      local server = strict(g, { path = "/ws", bystander = { path = "/ws" } })
      local first = "GET /ws HTTP/1.1"
      local list = { upgrade(nil, "Sec-WebSocket-Key", first),
        upgrade({ key }, nil, first), upgrade(nil, "Connection", first),
        upgrade({ "Connection: close" }, "Connection", first),
        upgrade({ "Sec-WebSocket-Version: 13" }, nil, first) }
      for _, value in ipairs { "", "x", "AAAA", ("A"):rep(24),
                               ("A"):rep(23) .. "=", ("A"):rep(22) } do
        list[#list + 1] = upgrade({ "Sec-WebSocket-Key: " .. value },
          "Sec-WebSocket-Key", first)
      end
      all_refused(server, 400, list)
      for _, path in ipairs { "/", "/w", "/ws/", "/wss", "/WS", "//ws",
                              "/%2Fws", "/%57s", "/./ws", "/ws%2F",
                              "/%2577s", "/ws%00", "/ws;x" } do
        refused(server, 404, upgrade(nil, nil, "GET " .. path .. " HTTP/1.1"))
      end
    end))

  it("BI-41 for h2c is a plain one", guarded(function(g)
    local server = g:listen { on_request = function() return 200, "plain" end }
    local status, headers, body, client = common.answer(server, head {
      "GET / HTTP/1.1", "Host: a", "Connection: Upgrade, HTTP2-Settings",
      "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__" })
    assert.same({ 200, nil, "plain" }, { status, headers.upgrade, body })
    client:close()
  end))

  it("BI-42 has one well-formed Host, that of its target", guarded(function(g)
    local server = strict(g)
    local list = { upgrade(nil, "Host"), upgrade { "Host: b" },
      upgrade { "Host: 127.0.0.1" }, head { "GET / HTTP/1.1" },
      plain("Host: 127.0.0.1"),
      upgrade(nil, nil, "GET http://other/ HTTP/1.1"),
      upgrade(nil, nil, "GET ws://127.0.0.1:81/ HTTP/1.1"),
      upgrade(nil, nil, "GET wss://127.0.0.1:80/ HTTP/1.1"),
      upgrade(nil, nil, "GET http://u@127.0.0.1/ HTTP/1.1"),
      upgrade(nil, nil, "GET http:// HTTP/1.1") }
    for _, host in ipairs { "", "a@b", "a/b", "a?b", "a#b", "[::1", "::1",
                            "[::1]x", "a:99999", "a:x", "a:-1", "a:1:2", "a b",
                            "a,b", "a\0", "a\\b", "a\"b", "<a>", "%" } do
      list[#list + 1] = upgrade({ "Host: " .. host }, "Host")
      list[#list + 1] = head { "GET / HTTP/1.1", "Host: " .. host }
    end
    all_refused(server, 400, list)
    for _, host in ipairs { ("a"):rep(300), "\xc3\xa9.example" } do
      local status, _, _, client = common.answer(server,
        upgrade({ "Host: " .. host }, "Host"))
      assert.is_true(status == 400 or status == 101)
      client:close()
    end
  end))

  it("BI-44 of another kind is answered on the path of a WebSocket",
    guarded(function(g)
      local server = g:listen { path = "/", bystander = { path = "/" } }
      for _, first in ipairs { "GET / HTTP/1.1", "POST / HTTP/1.1",
                               "OPTIONS / HTTP/1.1", "GET / HTTP/1.0",
                               "FOO / HTTP/1.1" } do
        assert.equal("websocket", refused(server, 426,
          head { first, "Host: a" }).upgrade)
        for _, value in ipairs { "foo", "h2c", "websocketx", "TLS/1.0" } do
          refused(server, 426, head { first, "Host: a",
            "Connection: Upgrade", "Upgrade: " .. value })
        end
      end
      local _, body = refused(server, 426,
        head { "HEAD / HTTP/1.1", "Host: a" }, { head = true })
      assert.equal("", body)
      for _, method in ipairs { "POST", "OPTIONS", "PUT" } do
        assert.equal("GET", refused(server, 405,
          upgrade(nil, nil, method .. " / HTTP/1.1")).allow)
      end
      for _, host in ipairs { "a.example:443", "[::1]:80", "127.0.0.1:1" } do
        local line = "CONNECT " .. host .. " HTTP/1.1"
        assert.equal("GET", refused(server, 405,
          head { line, "Host: " .. host } .. "\22\3\1").allow)
        refused(server, 405, upgrade({ "Host: " .. host }, "Host", line))
        refused(server, 400, head { line, "Host: other" })
      end
      refused(server, 400, head { "CONNECT / HTTP/1.1", "Host: a" })
      refused(server, 400, head { "GET * HTTP/1.1", "Host: a" })
      refused(server, 426, upgrade(nil, nil, "GET / HTTP/1.0"))
      for _, version in ipairs { "HTTP/2.0", "HTTP/3.0", "HTTP/0.9",
                                 "HTTP/1.2" } do
        refused(server, 505, upgrade(nil, nil, "GET / " .. version))
      end
      refused(server, 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    end))

  it("BI-50 cannot say by itself where it comes from", guarded(function(g)
    local seen
    local server = g:listen {
      on_upgrade = function(request) seen = request end }
    local client = t.open(server, { headers = {
      ["X-Forwarded-For"] = { "1.2.3.4", "5.6.7.8" }, ["X-Real-IP"] = "1.2.3.4",
      ["X-Forwarded-Proto"] = "https", ["X_Forwarded_For"] = "9.9.9.9",
      Forwarded = "for=1.2.3.4;proto=https" } })
    assert.equal("127.0.0.1", seen.remote_address)
    assert.is_false(seen.secure)
    assert.equal("1.2.3.4, 5.6.7.8", seen.headers["x-forwarded-for"])
    assert.equal("9.9.9.9", seen.headers.x_forwarded_for)
    client:finish()
  end))
end)
