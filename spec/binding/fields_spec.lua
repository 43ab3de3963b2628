-- Header lines from tables: of answers, of the 101 and of ws.connect. What
-- would break out of its line, or the framing, raises.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains

-- A request that is answered with these headers.
local function answer(headers, method, body)
  local server = t.listen { on_request = function()
    return 200, body, headers
  end }
  local raw = t.raw(server)
  raw:send((method or "GET") .. " / HTTP/1.1\r\nHost: a\r\n\r\n")
  return raw:read_http { head = method == "HEAD" }
end

describe("a table of headers", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("maps names to strings, numbers or lists of them", function()
    local status, headers = answer { ["X-One"] = "1", ["x-two"] = 2,
      ["Set-Cookie"] = { "a=1", "b=2" }, Empty = "", None = {} }
    assert.equal(200, status)
    assert.equal("1", headers["x-one"])
    assert.equal("2", headers["x-two"])
    assert.equal("a=1, b=2", headers["set-cookie"])
    assert.equal("", headers.empty)
    assert.is_nil(headers.none)
  end)

  it("may hold obs-text and tabs", function()
    local _, headers = answer { ["X-Text"] = "a\tb \xe9" }
    assert.equal("a\tb \xe9", headers["x-text"])
  end)

  it("sets the type of the body; text otherwise", function()
    local _, headers, body = answer({ ["content-type"] = "text/html" }, "GET",
      "<p>")
    assert.equal("text/html", headers["content-type"])
    assert.equal("<p>", body)
    _, headers = answer(nil, "GET", "text")
    assert.equal("text/plain; charset=utf-8", headers["content-type"])
  end)

  it("may tell the length of a body that is not sent", function()
    local status, headers = answer({ ["Content-Length"] = "5000" }, "HEAD")
    assert.equal(200, status)
    assert.equal("5000", headers["content-length"])
  end)

  local wrong = {
    { { ["X-A"] = "1\r\nX-B: 2" }, "X-A" }, { { ["X-A"] = "1\n" }, "X-A" },
    { { ["X-A"] = "\0" }, "X-A" }, { { ["X-A"] = "\x7f" }, "X-A" },
    { { ["X-A"] = { "1", "2\r\n" } }, "X-A" },
    { { ["X-A: 1\r\nX-B"] = "2" }, "X-A" }, { { ["X A"] = "1" }, "X A" },
    { { [""] = "1" }, "cannot be set" }, { { ["X-A:"] = "1" }, "X-A:" },
    { { ["X-A"] = true }, "X-A" }, { { ["X-A"] = { {} } }, "X-A" },
    { { "X-A: 1" }, "names" }, { "X-A: 1", "headers" }, { 5, "headers" },
    { { Connection = "keep-alive" }, "Connection" },
    { { ["Transfer-Encoding"] = "chunked" }, "Transfer-Encoding" },
    { { Upgrade = "h2c" }, "Upgrade" },
    { { ["Sec-WebSocket-Protocol"] = "v1" }, "Sec-WebSocket-Protocol" },
    { { ["Content-Length"] = "5" }, "Content-Length" },
    { { ["content-length"] = "0" }, "content-length" },
  }

  it("that could inject raises in on_request: 500", function()
    for _, row in ipairs(wrong) do
      local errors = kit.errors()
      local status, headers = answer(row[1])
      assert.equal(500, status)
      assert.is_nil(headers["x-a"])
      assert.equal(1, #errors)
      contains(errors[1].message:lower(), row[2]:lower())
    end
  end)

  it("that could inject raises in on_upgrade: 500", function()
    for _, row in ipairs(wrong) do
      local errors = kit.errors()
      local server = t.listen { on_upgrade = function()
        return { headers = row[1] }
      end }
      assert.equal(500, (t.raw(server):upgrade()))
      assert.equal(1, #errors)
      contains(errors[1].message:lower(), row[2]:lower())
    end
  end)

  it("that could inject raises in connect, at its line", function()
    for _, row in ipairs(wrong) do
      local before = t.fd_count()
      contains(kit.refusal(function()
        local conn = ws.connect("ws://127.0.0.1:1", { headers = row[1] })
        return conn
      end):lower(), row[2]:lower())
      assert.equal(before, t.probe.fd_count())
    end
  end)

  it("of connect cannot set what connect sets itself", function()
    for _, name in ipairs { "Host", "Origin", "Sec-WebSocket-Key",
      "Sec-WebSocket-Version", "Sec-WebSocket-Extensions" } do
      contains(kit.refusal(function()
        local conn = ws.connect("ws://127.0.0.1:1",
          { headers = { [name] = "x" } })
        return conn
      end), name)
    end
  end)

  it("reaches the peer of a 101", function()
    local server = t.listen { on_upgrade = function()
      return { headers = { ["X-Node"] = "seven", ["Set-Cookie"] = { "a=1" } } }
    end }
    local status, headers = t.raw(server):upgrade()
    assert.equal(101, status)
    assert.equal("seven", headers["x-node"])
    assert.equal("a=1", headers["set-cookie"])
  end)

  it("of connect reaches the server", function()
    local seen
    local server = t.listen { on_upgrade = function(request)
      seen = request.headers
    end }
    local conn <close> = assert(ws.connect("ws://127.0.0.1:" .. server.port,
      { headers = { Authorization = "Bearer x", Cookie = { "a=1", "b=2" } } }))
    assert.equal("open", conn.state)
    assert.equal("Bearer x", seen.authorization)
    assert.equal("a=1; b=2", seen.cookie)
  end)
end)
