-- What a client keeps of the answer to its request (src/protocol/reply.c):
-- conn.response, and the fourth result of ws.connect.

local t = require "spec.helper"
local kit = require "spec.engine.kit"

local ws = t.ws
local second = t.factor

-- What ws.connect returns where the server says so; done: it says no more.
local function refused(bytes, done)
  local outcome, raw = kit.dial()
  kit.read_request(raw)
  raw:send(bytes)
  if done then
    raw:flush()
    raw:close()
  end
  t.wait(function() return outcome.done end, "the end of connect")
  return outcome[4], outcome[3], outcome[2], outcome[1]
end

local function chunked(list, last)
  local out = { "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n" }
  for _, data in ipairs(list) do
    out[#out + 1] = ("%x\r\n%s\r\n"):format(#data, data)
  end
  return table.concat(out) .. (last or "0\r\n\r\n")
end

describe("the answer to a client", function()
  after_each(t.cleanup)

  it("tells status and headers of an open connection", function()
    local outcome, raw = kit.dial()
    kit.answer(raw, "X-One: a\r\nx-one:  b \r\nServer: s\r\n",
      t.frame("text", "early", { mask = false }))
    t.wait(function() return outcome.done end)
    local conn = assert(outcome[1])
    local response = conn.response
    assert.same({ 101, "Switching Protocols", nil }, { response.status,
      response.reason, response.body })
    local accept = response.headers["sec-websocket-accept"]
    assert.same({ ["x-one"] = "a, b", server = "s", upgrade = "websocket",
      connection = "Upgrade", ["sec-websocket-accept"] = accept },
      response.headers)
    assert.equal(28, #accept)
    assert.equal("early", (t.pump(function() return conn:receive() end)))
    raw:close()
    t.wait(function() return conn.state == "closed" end)
    assert.same(response, conn.response)
    assert.has_error(function() conn.response = {} end)
  end)

  it("is said as text that a terminal can bear", function()
    for line, want in pairs {
      ["403 No"] = "403 No", ["403 "] = "403", ["403    "] = "403",
      ["403 \t\xc3\xa4\xff~"] = "403 ????~",
      ["403 " .. ("x"):rep(100)] = "403 " .. ("x"):rep(100),
      ["403 " .. ("x"):rep(101)] = "403 " .. ("x"):rep(100),
    } do
      local _, _, why = refused("HTTP/1.1 " .. line
        .. "\r\nContent-Length: 0\r\n\r\n")
      assert.equal(want, why:match "403.*")
    end
  end)

  it("is none of an accepted connection, nor before it is there", function()
    local _, log = kit.serve()
    local conn = assert(t.open(_))
    t.wait(function() return log.conns[1] end)
    assert.is_nil(log.conns[1].response)
    assert(conn)
    local client = ws.connect("ws://127.0.0.1:1/", { on_open = error })
    assert.is_nil(client.response)
    t.wait(function() return client.state == "closed" end)
    assert.is_nil(client.response)
  end)

  it("keeps folded fields as they are read, and the longest head", function()
    local outcome, raw = kit.dial()
    local long = ("x"):rep(8000)
    kit.answer(raw, "X-Fold: a\r\n\t b\r\nLong: " .. long .. "\r\nA: " .. long
      .. "\r\nB: " .. long .. "\r\nC: " .. long .. "\r\n")
    t.wait(function() return outcome.done end)
    local headers = assert(outcome[1], outcome[2]).response.headers
    assert.equal("a b", (headers["x-fold"]:gsub("%s+", " ")))
    for _, name in ipairs { "long", "a", "b", "c" } do
      assert.equal(long, headers[name])
    end
  end)

  it("tells headers and body of a refusal", function()
    local response, status, why, conn = refused("HTTP/1.1 401 Who?\r\n"
      .. "WWW-Authenticate: Bearer\r\nWWW-Authenticate: Basic\r\n"
      .. "Content-Length: 5\r\n\r\nhello, and more")
    assert.same({ nil, "401 Who?", 401 }, { conn, why, status })
    assert.same({ status = 401, reason = "Who?", body = "hello", headers = {
      ["www-authenticate"] = "Bearer, Basic", ["content-length"] = "5" } },
      response)
    response = refused("HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n", true)
    assert.same({ "/b", "" }, { response.headers.location, response.body })
  end)

  it("does not wait for what is not to come", function()
    for bytes, body in pairs {
      ["HTTP/1.1 204 None\r\n\r\n"] = "",
      ["HTTP/1.1 304 Same\r\nETag: x\r\n\r\n"] = "",
      ["HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"] = "",
      ["HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"] = "no",
      ["HTTP/1.1 403 No\r\nContent-Length: 9999\r\n\r\n"
        .. ("x"):rep(1024)] = ("x"):rep(1024),
      ["HTTP/1.1 403 No\r\n\r\n" .. ("x"):rep(5000)] = ("x"):rep(1024),
      [chunked { "a", "bc", ("x"):rep(20) }] = "abc" .. ("x"):rep(20),
      [chunked({ "a" }, "nonsense\r\n")] = "a",
      [chunked { ("x"):rep(700), ("y"):rep(700) }] =
        ("x"):rep(700) .. ("y"):rep(324),
    } do
      local began = t.probe.now()
      assert.equal(body, refused(bytes).body)
      assert.is_true(t.probe.now() - began < 0.9 * second)
    end
  end)

  it("waits for a body, but not for long", function()
    for bytes, body in pairs {
      ["HTTP/1.1 403 No\r\n\r\nhalf"] = "half",
      ["HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nhalf"] = "half",
      ["HTTP/1.1 403 No\r\nContent-Length: x\r\n\r\nhalf"] = "half",
      [chunked({ "half" }, "5\r\nab")] = "halfab",
    } do
      assert.equal(body, refused(bytes, true).body)
    end
    local began = t.probe.now()
    assert.equal("half", refused("HTTP/1.1 403 No\r\n\r\nhalf").body)
    assert.is_true(t.probe.now() - began > 0.8)
    local outcome, raw = kit.dial { timeout = 0.5 * t.factor }
    kit.read_request(raw)
    raw:send "HTTP/1.1 403 No\r\n\r\n"
    t.wait(function() return outcome.done end)
    assert.same({ "403 No", 403 }, { outcome[2], outcome[3] })
  end)

  it("comes in pieces of any kind", function()
    local bytes = chunked { "abc", ("x"):rep(30) }
    local outcome, raw = kit.dial()
    kit.read_request(raw)
    raw:send_bytewise(bytes)
    t.wait(function() return outcome.done end)
    assert.equal("abc" .. ("x"):rep(30), outcome[4].body)
  end)

  it("is there for on_close", function()
    local seen
    local server = t.listen { path = "/a", on_upgrade = function()
      return 403, "go away", { ["X-Why"] = "because" }
    end }
    local conn = ws.connect(t.url_of(server) .. "/a?q", { on_open = error,
      on_close = function(c) seen = c.response end })
    t.wait(function() return seen end)
    assert.same({ 403, "because", "go away" },
      { seen.status, seen.headers["x-why"], seen.body })
    assert.same(seen, conn.response)
  end)
end)

describe("the answer to a client without memory", function()
  local fail_at = require "evws.core".fail_at

  after_each(function()
    if fail_at then fail_at(0, false) end
    t.cleanup()
  end)

  it("is told as far as it was kept", function()
    if not fail_at then return pending "built without WS_FAULT" end
    local seen = {}
    for _, every in ipairs { false, true } do
      local n = 0
      local what
      repeat
        n = n + 1
        local outcome, raw = kit.dial()
        kit.read_request(raw)
        fail_at(n, every)
        raw:send(chunked { ("x"):rep(600), ("y"):rep(600) })
        t.wait(function()
          return outcome.done or pcall(raw.expect_eof, raw, 0)
        end, "the end of connect")
        fail_at(0, false)
        t.wait(function() return outcome.done end, "what it returns")
        assert.is_nil(outcome[1])
        what = outcome[3] == 403 and "403" or outcome[2]
        local body = outcome[4] and outcome[4].body or ""
        if what == "403" and #body < 1024 then what = "cut" end
        seen[what] = true
        raw:close()
      until what == "403" or n == 100
      assert.is_true(n < 100)
    end
    assert.is_true(seen["403"])
  end)
end)
