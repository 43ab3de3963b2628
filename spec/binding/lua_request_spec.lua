-- on_request: what it is given, and what it may return. on_upgrade has a
-- file of its own, lua_request_upgrade_spec.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains

local function get(path, more)
  return ("GET %s HTTP/1.1\r\nHost: a.example\r\n%s\r\n"):format(path or "/",
    more or "")
end

local function post(body, more)
  return ("POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n%s")
    :format(#body, more or "", body)
end

-- What on_request is given for these bytes, sent by `how` of a raw client.
local function seen_of(bytes, how, options)
  local seen
  local own = { on_request = function(request)
    seen = request
    return 204
  end }
  for name, value in pairs(options or {}) do own[name] = value end
  local raw = t.raw(t.listen(own))
  raw[how or "send"](raw, bytes)
  assert.equal(204, (raw:read_http()))
  return seen, raw
end

-- The answer to a GET by on_request's results.
local function answer(...)
  local results = table.pack(...)
  local raw = t.raw(t.listen { on_request = function()
    return table.unpack(results, 1, results.n)
  end })
  raw:send(get())
  local status, headers, body = raw:read_http()
  return status, headers, body, raw
end

describe("a request", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("has method, path, query, version, host, headers", function()
    local r, raw = seen_of(get("/a/b%20c?x=1&y", "X-One: 1\r\nx-one: 2\r\n"
      .. "COOKIE: a=1\r\nCookie: b=2\r\nOrigin: https://o.example\r\n"))
    local _, port = raw.socket:sockname()
    for name, value in pairs { method = "GET", path = "/a/b%20c",
      query = "x=1&y", version = "1.1", host = "a.example",
      origin = "https://o.example", remote_address = "127.0.0.1",
      remote_port = port, secure = false, is_websocket = false,
      body = "" } do
      assert.equal(value, r[name], name)
    end
    assert.same({ host = "a.example", ["x-one"] = "1, 2",
      cookie = "a=1; b=2", origin = "https://o.example" }, r.headers)
    assert.same({}, r.subprotocols)
  end)

  it("without a query, an origin or a Host has none", function()
    local r = seen_of("GET / HTTP/1.0\r\n\r\n")
    assert.is_nil(r.query)
    assert.is_nil(r.origin)
    assert.equal("1.0", r.version)
    assert.same({}, r.headers)
    assert.equal("", seen_of(get("/?")).query)
  end)

  it("by its whole URL has the path and host of that", function()
    for _, line in ipairs { "http://a.example:80", "WS://A.example.",
      "http://a.example:" } do
      local r = seen_of(get(line .. "/a%20b?x=1"), "send",
        { hosts = { "a.example" } })
      assert.same({ "/a%20b", "x=1", line:match "//(.*)", "a.example" },
        { r.path, r.query, r.host, r.headers.host })
    end
  end)

  it("has a body, by length or in chunks, however it comes", function()
    local chunked = "POST /post HTTP/1.1\r\nHost: a\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n"
      .. "5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nTrailer: x\r\n\r\n"
    for _, how in ipairs { "send", "send_bytewise" } do
      local r = seen_of(post("hello, world", "X-A: b\r\n"), how)
      assert.equal("hello, world", r.body)
      assert.equal("POST", r.method)
      assert.equal("/post", r.path)
      assert.equal("b", r.headers["x-a"])
      r = seen_of(chunked, how)
      assert.equal("hello, world", r.body)
      assert.equal("/post", r.path)
    end
  end)

  it("keeps its head while a long body comes in", function()
    local body = ("0123456789"):rep(50000)
    local server = t.listen { on_request = function(r)
      return 200, r.path .. r.headers["x-a"] .. #r.body
    end, on_message = function(c, m) c:send(m) end }
    local busy = t.open(server)
    local raw = t.raw(server)
    local bytes = post(body, "X-A: b\r\n")
    for from = 1, #bytes, 50000 do
      raw:send(bytes:sub(from, from + 49999))
      busy:send(t.frame("binary", ("z"):rep(60000)))
      busy:message()
    end
    local _, _, answered = raw:read_http()
    assert.equal("/postb500000", answered)
  end)

  it("with too much of a body is 413", function()
    local called = 0
    local server = t.listen { max_body = 10, on_request = function()
      called = called + 1
    end }
    local raw = t.raw(server)
    raw:send(post "12345678901")
    assert.equal(413, (raw:read_http()))
    raw = t.raw(server)
    raw:send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. "6\r\n123456\r\n5\r\n12345\r\n0\r\n\r\n")
    assert.equal(413, (raw:read_http()))
    assert.equal(0, called)
  end)

  it("that expects it gets 100 Continue first", function()
    local raw = t.raw(t.listen { on_request = function(r)
      return 200, r.body
    end })
    raw:send(post("", "Expect: 100-continue\r\n"):gsub("Length: 0",
      "Length: 5"))
    assert.equal(100, (raw:read_http()))
    raw:send "hello"
    local status, _, body = raw:read_http()
    assert.same({ 200, "hello" }, { status, body })
  end)

  it("owns its bytes: it may be kept", function()
    local kept = {}
    local server = t.listen { on_request = function(r)
      kept[#kept + 1] = r
      return 200
    end }
    local raw = t.raw(server)
    for i = 1, 3 do
      raw:send(get("/" .. i, "X-N: " .. i .. "\r\n"))
      raw:read_http()
    end
    raw:close()
    t.turn()
    collectgarbage()
    for i = 1, 3 do
      assert.equal("/" .. i, kept[i].path)
      assert.equal(tostring(i), kept[i].headers["x-n"])
    end
  end)

  describe("that is plain", function()
    it("is 426 without on_request, and on a WebSocket route", function()
      local function status_of(options, path)
        local raw = t.raw(t.listen(options))
        raw:send(get(path))
        local status, headers = raw:read_http()
        return status, headers.upgrade
      end
      local function ok() return 200 end
      assert.same({ 426, "websocket" }, { status_of {} })
      assert.same({ 426, "websocket" },
        { status_of({ path = "/ws", on_request = ok }, "/ws") })
      assert.equal(200, (status_of({ path = "/ws", on_request = ok }, "/")))
      assert.equal(404, (status_of({ path = "/ws" }, "/")))
      assert.equal(200, (status_of({ on_request = ok }, "/ws")))
    end)
  end)

  describe("is answered by on_request", function()
    it("with status, body and headers", function()
      local status, headers, body = answer(201, "made", { ["X-A"] = "1" })
      assert.same({ 201, "made", "1", "4" }, { status, body, headers["x-a"],
        headers["content-length"] })
      assert.is_truthy(headers.date)
    end)

    it("with a status alone, or a body of any length", function()
      local status, headers, body = answer(200)
      assert.same({ 200, "", "0" }, { status, body,
        headers["content-length"] })
      for _, n in ipairs { 0, 1, 65535, 65536, 3 << 20 } do
        local answered, _, whole = answer(200, ("x"):rep(n))
        assert.equal(200, answered)
        assert.is_true(whole == ("x"):rep(n))
      end
      assert.equal("42", (select(3, answer(200, 42))))
    end)

    it("with nothing: 404", function()
      assert.equal(404, (answer()))
      assert.equal(404, (answer(nil)))
    end)

    it("with a status that has no body: none is sent", function()
      for _, code in ipairs { 204, 304 } do
        local status, _, _, raw = answer(code, "ignored")
        assert.equal(code, status)
        raw:send(get())
        assert.equal(code, (raw:read_http()))
      end
    end)

    it("with what is none: 500 and on_error", function()
      for _, results in ipairs { { "x" }, { 99 }, { 199 }, { 600 }, { 200.5 },
        { true }, { {} }, { 200, {} }, { 200, true }, { 200, "", "x" } } do
        local errors = kit.errors()
        local status, _, body = answer(table.unpack(results))
        assert.equal(500, status)
        assert.equal(1, #errors)
        assert.matches("^on_request %(.+_spec.lua:%d+%) of GET / returned ",
          errors[1].message)
        assert.is_nil(body:find("returned", 1, true))
      end
    end)

    it("with an error: 500, the text stays here", function()
      local seen
      local raw = t.raw(t.listen {
        on_request = function() error "secret" end,
        on_error = function(_, message, traceback)
          seen = message .. traceback
        end,
      })
      raw:send(get())
      local status, headers, body = raw:read_http()
      assert.equal(500, status)
      assert.is_nil(body:find "secret")
      for _, value in pairs(headers) do assert.is_nil(value:find "secret") end
      contains(seen, "secret")
      contains(seen, "traceback")
    end)

    it("after a wait, requests behind it in order", function()
      local active = 0
      local raw = t.raw(t.listen { on_request = function(r)
        active = active + 1
        assert(active == 1)
        ws.sleep(0.001)
        active = active - 1
        return 200, r.path
      end })
      local all = ""
      for i = 1, 20 do all = all .. get("/" .. i) end
      raw:send(all)
      for i = 1, 20 do
        local _, _, body = raw:read_http()
        assert.equal("/" .. i, body)
      end
    end)

    it("at once, requests behind it in order, an upgrade last", function()
      local server = t.listen {
        on_request = function(r) return 200, r.path .. r.body end,
        on_message = function(c, m) c:send(m) end,
      }
      local raw = t.raw(server)
      raw:send(get "/1" .. post "body" .. get "/3")
      for _, expected in ipairs { "/1", "/postbody", "/3" } do
        local _, _, body = raw:read_http()
        assert.equal(expected, body)
      end
      assert.equal(101, (raw:upgrade()))
      raw:send(t.frame("text", "x"))
      raw:expect_frame("text", "x")
    end)

    it("for HEAD with the head alone", function()
      local raw = t.raw(t.listen { on_request = function(r)
        return 200, "the body of " .. r.method
      end })
      for _ = 1, 2 do
        raw:send "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
        local status, headers = raw:read_http { head = true }
        assert.equal(200, status)
        assert.equal("16", headers["content-length"])
      end
      raw:send(get())
      local _, _, body = raw:read_http()
      assert.equal("the body of GET", body)
    end)

    it("and closes when the request says so", function()
      local server = t.listen { on_request = function() return 200, "x" end }
      for _, bytes in ipairs { get("/", "Connection: close\r\n"),
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n" } do
        local raw = t.raw(server)
        raw:send(bytes)
        local _, headers = raw:read_http()
        assert.equal("close", headers.connection)
        raw:expect_eof()
      end
    end)

    it("for as many requests as http_keepalive says", function()
      local raw = t.raw(t.listen { http_keepalive = { requests = 2 },
        on_request = function() return 200 end })
      raw:send(get() .. get() .. get())
      raw:read_http()
      local _, headers = raw:read_http()
      assert.equal("close", headers.connection)
      raw:expect_eof()
    end)

    it("too late: 503, and what it returns then is ignored", function()
      local go, done = false, false
      local raw = t.raw(t.listen { upgrade_timeout = 0.03,
        on_request = function()
          while not go do ws.sleep(0) end
          done = true
          return 200, "late"
        end })
      raw:send(get())
      assert.equal(503, (raw:read_http()))
      raw:expect_eof()
      go = true
      t.wait(function() return done end)
      t.turn()
    end)

    it("of a peer that is gone by then", function()
      local go, done, errors = false, false, kit.errors()
      local raw = t.raw(t.listen { on_request = function()
        while not go do ws.sleep(0) end
        done = true
        return 200, ("x"):rep(1 << 20)
      end })
      raw:send(get())
      t.turn()
      raw:reset()
      for _ = 1, 3 do t.turn() end
      go = true
      t.wait(function() return done end)
      assert.equal(0, #errors)
    end)
  end)
end)
