-- Answers to plain requests (src/engine/response.c): RFC 9110, RFC 9112.

local t = require "spec.helper"

local function request(method, path, fields, body)
  return ("%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s"):format(method,
    path, fields or "", body or "")
end

local function get(path) return request("GET", path or "/") end

local function serve(...)
  local answer = table.pack(...)
  return t.listen { on_request = function()
    return table.unpack(answer, 1, answer.n)
  end }
end

local function ask(server, bytes, options)
  local client = t.raw(server)
  client:send(bytes or get())
  local status, headers, body = client:read_http(options)
  return status, headers, body, client
end

describe("an answer", function()
  after_each(t.cleanup)

  it("has status, length and body", function()
    local status, headers, body = ask(serve(201, "made"))
    assert.same({ 201, "4", "made" }, { status, headers["content-length"],
      body })
    assert.equal("text/plain; charset=utf-8", headers["content-type"])
  end)

  it("has the fields that were given, and their type", function()
    local _, headers = ask(serve(200, "{}", {
      ["Content-Type"] = "application/json", ["X-One"] = "1",
      ["Set-Cookie"] = { "a=b", "c=d" } }))
    assert.equal("application/json", headers["content-type"])
    assert.equal("1", headers["x-one"])
    assert.equal("a=b, c=d", headers["set-cookie"])
  end)

  it("has a date (RFC 9110 6.6.1)", function()
    local before = os.date "!%a, %d %b %Y %H:%M:%S GMT"
    local _, headers = ask(serve(200))
    local after = os.date "!%a, %d %b %Y %H:%M:%S GMT"
    assert.is_true(headers.date == before or headers.date == after)
  end)

  it("of nothing is 404", function()
    local status = ask(t.listen { on_request = function() end })
    assert.equal(404, status)
  end)

  it("of any size arrives whole", function()
    for _, n in ipairs { 0, 1, 1000, 32767, 32768, 32769, 65536, 1 << 20 } do
      local body = ("%d,"):format(n):rep(n):sub(1, n)
      local status, headers, got = ask(serve(200, body))
      assert.same({ 200, tostring(n) }, { status,
        headers["content-length"] })
      assert.is_true(got == body)
    end
  end)

  it("to HEAD has the length and no body (BI-47)", function()
    local client = t.raw((serve(200, "0123456789")))
    client:send(request("HEAD", "/") .. get())
    local status, headers, body = client:read_http { head = true }
    assert.same({ 200, "10", "" }, { status, headers["content-length"],
      body })
    status, headers, body = client:read_http()
    assert.same({ 200, "10", "0123456789" }, { status,
      headers["content-length"], body })
  end)

  it("of 204 and 304 has no body, and the next one follows (BI-47)",
    function()
      for _, code in ipairs { 204, 304 } do
        local client = t.raw((serve(code, "ignored")))
        client:send(get() .. get())
        for _ = 1, 2 do
          local status, headers, body = client:read_http()
          assert.same({ code, "" }, { status, body })
          if code == 204 then assert.is_nil(headers["content-length"]) end
        end
        client:expect_silence(5)
      end
    end)

  it("of the engine says its status as text", function()
    local status, headers, body = ask(t.listen { path = "/ws" },
      get "/nowhere")
    assert.equal(404, status)
    assert.equal("404 Not Found\n", body)
    assert.equal("text/plain; charset=utf-8", headers["content-type"])
  end)

  it("of an error in on_request is 500, and says nothing of it", function()
    local errors = {}
    t.ws.on_error(function(_, message) errors[#errors + 1] = message end)
    local status, headers, body = ask(t.listen { on_request = function()
      error "secret"
    end })
    t.ws.on_error(nil)
    assert.equal(500, status)
    assert.is_truthy(headers.connection:find "close")
    assert.is_nil(body:find "secret")
    assert.is_truthy(errors[1]:find "secret")
  end)

  it("to a body that is awaited begins with 100 (BI-48)", function()
    local server = t.listen { on_request = function(r)
      return 200, r.body
    end }
    local client = t.raw(server)
    client:send(request("POST", "/", "Content-Length: 4\r\n"
      .. "Expect: 100-continue\r\n"))
    assert.equal(100, (client:read_http()))
    client:send "body"
    local status, _, body = client:read_http()
    assert.same({ 200, "body" }, { status, body })
    -- and does not where the body is there already
    client:send(request("POST", "/", "Content-Length: 4\r\n"
      .. "Expect: 100-continue\r\n", "body"))
    assert.equal(200, (client:read_http()))
  end)

  it("to an expectation nobody knows is 417 (BI-48)", function()
    local status = ask(serve(200), request("GET", "/", "Expect: magic\r\n"))
    assert.equal(417, status)
  end)

  it("to a peer that does not read waits for it", function()
    local body = ("x"):rep(6 << 20)
    local client = t.raw((serve(200, body)), { rcvbuf = 4096 })
    client:send(get():rep(3))
    for _ = 1, 20 do t.turn() end
    for _ = 1, 3 do
      local status, _, got = client:read_http()
      assert.equal(200, status)
      assert.is_true(got == body)
    end
  end)

  it("that is the last arrives whole, over unread input", function()
    local body = ("x"):rep(3 << 20)
    local client = t.raw((serve(200, body)))
    client:send(request("GET", "/", "Connection: close\r\n")
      .. ("unread"):rep(20000))
    local status, _, got = client:read_http()
    assert.equal(200, status)
    assert.is_true(got == body)
    client:expect_eof()
  end)
end)
