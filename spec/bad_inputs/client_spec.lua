-- What a server may do to our client: answers to the opening handshake that
-- are wrong, late, endless or unusual (src/engine/client.c), and frames.

local t = require "spec.helper"
local common = require "spec.bad_inputs.common"
local kit = require "spec.engine.kit"
local handshake = require "evws_probe".handshake

local frame, guarded = t.frame, common.guarded
local switching = "HTTP/1.1 101 Switching Protocols"
local usual = { "Upgrade: websocket", "Connection: Upgrade" }

local function plain(kind, payload)
  return frame(kind, payload, { mask = false })
end

-- Dials, and answers the request with what `reply` makes of the accept key.
-- Without the reason.
local function three(message, why, code)
  return message, why, code
end

-- -> raw, and a function that waits for the result of ws.connect
local function dial(reply, options)
  local outcome, raw = kit.dial(options)
  local key = kit.read_request(raw):match "Sec%-WebSocket%-Key: (%S+)\r\n"
  local bytes = reply(handshake.accept(key))
  if bytes then raw:send(bytes) end
  return raw, function()
    t.wait(function() return outcome.done end, "the end of connect")
    return outcome[1], outcome[2], outcome[3]
  end
end

-- A 101 with these lines beside the usual ones, and these bytes behind it.
local function accepting(lines, behind, before)
  return function(accept)
    local head = { switching, table.unpack(usual) }
    head[#head + 1] = "Sec-WebSocket-Accept: " .. accept
    for _, line in ipairs(lines or {}) do head[#head + 1] = line end
    return (before or "") .. common.head(head) .. (behind or "")
  end
end

-- Why our client does not take this answer.
local function why_not(bytes, options)
  local raw, result = dial(function() return bytes end, options)
  local conn, why, status = result()
  assert.is_nil(conn)
  raw:close()
  return why, status
end

local function echoes(conn, raw)
  conn:send("ping")
  raw:expect_frame("text", "ping")
  raw:send(plain("text", "pong"))
  assert.equal("pong", t.pump(conn.receive, conn))
  conn:terminate()
  raw:close()
end

describe("our client", function()
  after_each(common.cleanup)

  it("skips interim answers before the 101 (RFC 9110 15.2)",
    guarded(function()
      for _, before in ipairs {
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 \r\nX: y\r\n\r\n",
        ("HTTP/1.1 100 Continue\r\n\r\n"):rep(16),
      } do
        local raw, result = dial(accepting({}, nil, before))
        echoes(assert(result()), raw)
      end
    end))

  it("skips interim answers in single bytes, and takes the frames behind",
    guarded(function()
      local whole
      local raw, result = dial(function(accept)
        whole = accepting({}, plain("text", "early"),
          "HTTP/1.1 103 Early Hints\r\n\r\n")(accept)
      end)
      raw:send_bytewise(whole)
      local conn = assert(result())
      assert.equal("early", t.pump(conn.receive, conn))
      echoes(conn, raw)
    end))

  it("does not skip interim answers for ever", guarded(function()
    assert.equal("the head of the answer is too big",
      (why_not(("HTTP/1.1 100 Continue\r\n\r\n"):rep(17))))
  end))

  it("takes the status behind an interim answer", guarded(function()
    assert.same({ "403 Forbidden", 403 }, { why_not(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n") })
  end))

  it("BI-62 follows no redirection, so that no credentials go elsewhere",
    guarded(function()
      local elsewhere = assert(t.probe.listen "127.0.0.1")
      for status, text in pairs { [301] = "Moved Permanently",
        [302] = "Found", [303] = "See Other", [307] = "Temporary Redirect",
        [308] = "Permanent Redirect" } do
        local raw, result = dial(function()
          return common.head { ("HTTP/1.1 %d %s"):format(status, text),
            "Content-Length: 0",
            ("Location: ws://127.0.0.1:%d/"):format(elsewhere.port) }
        end, { headers = { Authorization = "Bearer secret",
          Cookie = "id=1" } })
        local conn, why, code = result()
        assert.same({ nil, status .. " " .. text, status },
          { conn, why, code })
        raw:close()
      end
      for _ = 1, 10 do t.turn() end
      assert.is_nil((elsewhere:accept()))
      elsewhere:close()
    end))

  it("BI-62 takes no credentials from a URL, and does not repeat them",
    function()
      local ok, why = pcall(t.connect, "ws://user:secret@127.0.0.1:1/")
      assert.is_false(ok)
      assert.is_truthy(why:find "user info before the host")
      assert.is_nil(why:find "secret")
    end)

  it("waits no longer than its timeout for what follows an interim answer",
    guarded(function()
      assert.equal("timeout", (why_not("HTTP/1.1 100 Continue\r\n\r\n",
        { timeout = 0.05 * t.factor })))
    end))

  it("says that it has to authenticate itself", guarded(function()
    for status, phrase in pairs { [401] = "Unauthorized",
      [407] = "Proxy Authentication Required" } do
      local text = ("%d %s"):format(status, phrase)
      assert.same({ text, status }, { why_not("HTTP/1.1 " .. text
        .. "\r\nWWW-Authenticate: Basic realm=\"x\"\r\n"
        .. "Content-Length: 5\r\n\r\nlogin") })
    end
  end))

  it("takes a refusal in HTTP/1.0, but no 101", guarded(function()
    assert.same({ "404 Not Found", 404 },
      { why_not "HTTP/1.0 404 Not Found\r\n\r\n" })
    local raw, result = dial(function(accept)
      return (accepting()(accept):gsub("HTTP/1.1", "HTTP/1.0"))
    end)
    assert.same({ nil, "an answer in HTTP/1.0" }, { result() })
    raw:close()
  end))

  it("does not read the body of a refusal", guarded(function()
    local raw, result = dial(function()
      return "HTTP/1.1 500 Internal Server Error\r\n"
        .. "Content-Length: 1099511627776\r\n\r\n"
    end)
    local piece = ("x"):rep(1 << 20)
    local before = common.statm()
    for _ = 1, 32 do raw:send(piece) end
    assert.same({ nil, "500 Internal Server Error", 500 }, { result() })
    assert.is_true(common.is_sanitized or common.statm() - before < 64 << 20)
    raw:close()
  end))

  it("limits the head of the answer: BI-30, BI-32", guarded(function()
    local function fields(n) -- beside the three of a 101
      local lines = {}
      for i = 1, n do lines[i] = "X-" .. i .. ": y" end
      return lines
    end
    local longest = "X: " .. ("x"):rep(8192 - 3)
    for _, lines in ipairs { fields(97), { longest }, { longest, longest } } do
      local raw, result = dial(accepting(lines))
      echoes(assert(result()), raw)
    end
    for _, lines in ipairs { fields(98), fields(100000), { longest .. "x" },
      { longest, longest, longest, longest, longest } } do
      local raw, result = dial(accepting(lines))
      assert.same({ nil, "the head of the answer is too big" }, { result() })
      raw:close()
    end
    for _, bytes in ipairs { "HTTP/1.1 200 " .. ("x"):rep(10000),
      ("x"):rep(10000) } do
      assert.equal("the answer is not HTTP", (why_not(bytes)))
    end
  end))

  it("refuses a malformed head: BI-39", guarded(function()
    for _, line in ipairs { "X : y", ": y", "X\0: y", "X: \0", "X: \r",
      "X: a\r\n \0", "X: \127", "X", "X: a\r\nb" } do
      local raw, result = dial(accepting { line })
      assert.same({ nil, "the answer is not HTTP" }, { result() })
      raw:close()
    end
    assert.equal("the answer is not HTTP",
      (why_not(switching .. "\r\n " .. usual[1] .. "\r\n\r\n")))
  end))

  it("names line breaks that are none: BI-39", guarded(function()
    local why = "lines of the answer end in LF without CR"
    for _, change in ipairs { { "\r", "" }, { "\r\n\r\n$", "\r\n\n" },
      { "\r\nSec", "\nSec" }, { "Protocols\r", "Protocols" } } do
      local raw, result = dial(function(accept)
        return (accepting()(accept):gsub(table.unpack(change)))
      end)
      assert.same({ nil, why }, { result() })
      raw:close()
    end
    assert.equal(why, (why_not "HTTP/1.1 403 Forbidden\nX: y\n\n"))
    for _, bytes in ipairs { "220 mail.example\n", "SSH-2.0-x\n", "\n" } do
      assert.equal("the answer is not HTTP", (why_not(bytes)))
    end
  end))

  it("takes folded fields, as RFC 9112 5.2 asks", guarded(function()
    for _, bytewise in ipairs { false, true } do
      local outcome, raw = kit.dial { subprotocols = { "chat" } }
      local key = kit.read_request(raw):match "Sec%-WebSocket%-Key: (%S+)\r\n"
      local bytes = common.head { switching, "Upgrade:", " websocket",
        "Connection: keep-alive,", "\t upgrade", "Server: a", "  b ", " ",
        "Sec-WebSocket-Protocol:", " \t", " chat",
        "Sec-WebSocket-Accept:", " " .. handshake.accept(key) }
      raw[bytewise and "send_bytewise" or "send"](raw, bytes)
      t.wait(function() return outcome.done end, "the end of connect")
      local conn = assert(outcome[1], outcome[2])
      assert.equal("chat", conn.subprotocol)
      echoes(conn, raw)
    end
    assert.same({ "403 Forbidden", 403 },
      { why_not "HTTP/1.1 403 Forbidden\r\nX: a\r\n b\r\n\r\n" })
    local raw, result = dial(accepting({}, nil,
      "HTTP/1.1 103 Early Hints\r\nLink: </a>,\r\n </b>\r\n\r\n"))
    echoes(assert(result()), raw)
  end))

  it("refuses a sub-protocol of no name", guarded(function()
    for _, line in ipairs { "Sec-WebSocket-Protocol:",
      "Sec-WebSocket-Protocol: \t", "Sec-WebSocket-Protocol:\r\n " } do
      for _, offered in ipairs { {}, { "chat" } } do
        local raw, result = dial(accepting { line }, { subprotocols = offered })
        assert.same({ nil, "an empty Sec-WebSocket-Protocol" }, { result() })
        raw:close()
      end
    end
  end))

  it("takes the bytes behind the 101 for the first frames: BI-40",
    guarded(function()
      local raw, result = dial(accepting({}, plain("text", "first")
        .. plain("ping", "p") .. plain("binary", ("x"):rep(200000))
        .. plain("close", "\x03\xe8")))
      local conn = assert(result())
      t.pump(function()
        assert.same({ "first", "text" }, { conn:receive() })
        assert.same({ ("x"):rep(200000), "binary" }, { conn:receive() })
        assert.same({ nil, "closed", 1000 }, { three(conn:receive()) })
      end)
      raw:expect_frame("pong", "p")
      raw:expect_close(1000)
      raw:close()
    end))

  it("fails on what is wrong behind the 101", guarded(function()
    for code, bytes in pairs { [1002] = frame("text", "masked"),
      [1007] = plain("text", "\xff") } do
      local raw, result = dial(accepting({}, bytes))
      local conn = assert(result())
      raw:expect_close(code)
      assert.same({ nil, "closed", code },
        { three(t.pump(conn.receive, conn)) })
      raw:close()
    end
  end))

  it("does not take the frames behind an answer that is wrong",
    guarded(function()
      local seen = {}
      local raw, result = dial(accepting(
        { "Sec-WebSocket-Protocol: never-offered" }, plain("text", "x")),
        { on_message = function(_, message) seen[#seen + 1] = message end })
      assert.same({ nil, "a sub-protocol that was not offered" },
        { result() })
      for _ = 1, 3 do t.turn() end
      assert.same({}, seen)
      assert.is_nil((raw:frame()))
      raw:close()
    end))

  it("fails on reserved bits: BI-12", guarded(function()
    for rsv = 1, 7 do
      local raw, result = dial(accepting())
      local conn = assert(result())
      raw:send(frame("text", "x", { mask = false, rsv = rsv }))
      raw:expect_close(1002)
      assert.same({ nil, "closed", 1002 },
        { three(t.pump(conn.receive, conn)) })
      raw:close()
    end
  end))

  it("does not wait for ever for a server to end TCP (RFC 6455 7.1.1)",
    guarded(function()
      local raw, result = dial(accepting())
      local conn = assert(result())
      conn:close(1000)
      raw:expect_close(1000)
      raw:send(plain("close", "\x03\xe8"))
      t.wait(function() return conn.state == "closed" end)
      raw:expect_silence(5) -- it waits for us
      raw:expect_eof(2)
      raw:close()
    end))
end)
