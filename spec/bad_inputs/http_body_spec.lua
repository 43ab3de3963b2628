-- Bodies, answers and log lines that have broken other servers, on
-- connections: BI-35 to BI-38, BI-43, BI-45 to BI-48 and BI-51.

local t = require "spec.helper"
local common = require "spec.bad_inputs.common"

local ws, guarded, frame = t.ws, common.guarded, t.frame
local head = common.head

local get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

local function post(...)
  return head { "POST / HTTP/1.1", "Host: a", ... }
end

local coded = post "Transfer-Encoding: chunked"

-- A server that keeps the bodies of the requests it served.
local function keeper(g, options)
  local bodies, own = {}, {}
  function own.on_request(request)
    bodies[#bodies + 1] = request.body
    return 200, "ok"
  end
  for name, value in pairs(options or {}) do own[name] = value end
  return g:listen(own), bodies
end

-- Refused with this status; nothing behind it is served.
local function refused(server, status, bytes)
  common.refused(server, status, bytes .. get)
end

local bad_chunk_heads = { "", "\n", "\r", "g\r\n", "0x1\r\n", "+1\r\n",
  "-1\r\n", " 1\r\n", "1 \r\n", "1\t\r\n", "\t1\r\n", "1\n", "1\r", "1\rx",
  "1\r\r\n", "1;a\n", "1;a\rb\r\n", "1;a\n\r\n", "1;\0\r\n", "1;\127\r\n",
  "1;a\vb\r\n", "1 ;a\r\n", "1,1\r\n", "1.0\r\n", "h\r\n",
  "0x\r\n", "_1\r\n", "1_0\r\n", "\0001\r\n", "1\0\r\n", "\xc3\xa9\r\n",
  "00000000000000001\r\n", "10000000000000000\r\n",
  "fffffffffffffffff\r\n", "1\r\nxx", "1\r\nx\n", "1\r\nx\rx", "1\r\nx0\r\n",
  "1\r\n\r\nx\r\n", "2\r\nx\r\n0\r\n\r\n", "0\r\nx\r\n", "0\r\n: y\r\n\r\n",
  "0\r\nX : y\r\n\r\n", "0\r\n X: y\r\n\r\n", "0\r\nX: a\0b\r\n\r\n",
  "0\r\nX: y\n\r\n", "0\r\nX: y\r\r\n", "0\r\nX\r\n\r\n", "0\r\n\n", "0\n\r\n",
  "0\r\n\rx", "0;\n\r\n", "[\r\n", "\"1\"\r\n", "1'\r\n", "١\r\n", "%31\r\n",
  "1\\\r\n", "GET\r\n" }

describe("HTTP on a connection", function()
  after_each(common.cleanup)

  it("BI-35 refuses malformed chunks with 400", guarded(function(g)
    local server, bodies = keeper(g)
    for _, bytes in ipairs(bad_chunk_heads) do
      -- so that none of them waits for more
      local more = "\r\n\r\nG\r\n\r\n"
      refused(server, 400, coded .. bytes .. more)
      refused(server, 400, coded .. "3\r\nabc\r\n" .. bytes .. more)
    end
    assert.same({}, bodies)
    refused(server, 413, coded .. "ffffffffffffffff\r\n")
    refused(server, 413, coded .. "7fffffffffffffff\r\n")
    refused(server, 413, coded .. "3\r\nabc\r\nfffffffffffffffd\r\n")
    assert.same({}, bodies)
  end))

  it("BI-36 refuses more overhead than data with 400", guarded(function(g)
    local server, bodies = keeper(g)
    local heavy = "1;" .. ("e"):rep(1000) .. "\r\nx\r\n"
    refused(server, 400, coded .. heavy:rep(40))
    refused(server, 400, coded .. ("1;eee\r\nx\r\n"):rep(5000))
    refused(server, 400, coded .. ("00001\r\nx\r\n"):rep(5000))
    refused(server, 400, coded .. "1;" .. ("e"):rep(17000) .. "\r\n")
    assert.same({}, bodies)
    local light = ("1;ee\r\nx\r\n"):rep(1000)
    local _, _, _, client = common.answer(server, coded .. light
      .. "0\r\n\r\n")
    client:close()
    assert.same({ ("x"):rep(1000) }, bodies)
  end))

  it("BI-36 keeps of a body what it holds, and nothing beside",
    guarded(function(g)
      local size, n = 1 << 20, 16
      local server, bodies = keeper(g, { max_body = size })
      local data = ("x"):rep(size)
      for framing, bytes in pairs {
        ["Content-Length: " .. size] = data,
        ["Transfer-Encoding: chunked"] = "100000\r\n" .. data
          .. "\r\n0\r\n\r\n",
        -- six bytes and more for each that counts
        ["Transfer-Encoding:\tchunked"] = ("1\r\nx\r\n"):rep(size)
          .. "0\r\n\r\n",
      } do
        local clients = {}
        for i = 1, n do
          clients[i] = t.raw(server):send(post(framing)):flush()
        end
        local most = bytes:sub(1, -2)
        collectgarbage()
        local before = common.statm()
        for i = 1, n do clients[i]:send(most):flush() end
        common.rest(20)
        collectgarbage()
        local held = common.statm() - before
        if not common.is_sanitized then
          assert.is_true(held < 2 * n * size, held)
        end
        for i = 1, n do
          clients[i]:send(bytes:sub(-1) .. get)
          assert.equal(200, (clients[i]:read_http()))
          assert.equal(200, (clients[i]:read_http()))
          clients[i]:close()
          assert.is_true(bodies[2 * i - 1] == data and bodies[2 * i] == "")
        end
        for i = 1, 2 * n do bodies[i] = nil end
        collectgarbage()
      end
    end))

  it("BI-36 does not read what nobody asked for", guarded(function(g)
    local ways = {
      { {}, "/", 426 }, { { path = "/ws" }, "/ws", 426 },
      { { path = "/ws" }, "/", 404 },
      { { routes = { ["/a"] = {} } }, "/b", 404 },
      { { routes = { ["/a"] = {} } }, "/a", 426 },
    }
    for _, way in ipairs(ways) do
      local options, path, want = table.unpack(way)
      options.bystander = { path = options.path
        or options.routes and "/a" or nil }
      local server = g:listen(options)
      for _, framing in ipairs { "Content-Length: 1000000", "Content-Length: 5",
                                 "Transfer-Encoding: chunked" } do
        for _, more in ipairs { "X: y", "Expect: 100-continue" } do
          -- the answer is there before a byte of the body
          local client = t.raw(server):send(head { "POST " .. path
            .. " HTTP/1.1", "Host: a", framing, more })
          local status, headers = client:read_http()
          assert.same({ want, "close" },
            { status, headers.connection:match "close" })
          client:send(("x"):rep(100000))
          client:expect_eof()
          client:close()
        end
      end
    end
  end))

  it("BI-37 refuses a Content-Length that is not digits, or two, with 400",
    guarded(function(g)
      local server, bodies = keeper(g)
      for _, length in ipairs { "-1", "-" .. #get, "+5", "0x5", "", "5,5",
                                "5, 6", "5 5", "5;", "5.0", "1e1", "five",
                                "9223372036854775808000",
                                "18446744073709551616", "\xd9\xa1" } do
        refused(server, 400, post("Content-Length: " .. length) .. "hello")
        refused(server, 400, head { "GET / HTTP/1.0",
          "Content-Length: " .. length })
      end
      refused(server, 400,
        post("Content-Length: 5", "Content-Length: 5") .. "hello")
      refused(server, 400,
        post("Content-Length: 5", "Content-Length: 6") .. "hello")
      for _, length in ipairs { "9223372036854775807", "9223372036854775808",
                                "18446744073709551615", "1048577" } do
        refused(server, 413, post("Content-Length: " .. length) .. "hello")
      end
      assert.same({}, bodies)
      local _, _, _, client = common.answer(server,
        post("Content-Length: 5 ") .. "hello")
      client:close()
      assert.same({ "hello" }, bodies)
    end))

  it("BI-38 refuses two ways to frame a body, and codings it does not know",
    guarded(function(g)
      local server, bodies = keeper(g)
      local body = "5\r\nhello\r\n0\r\n\r\n"
      local function te(value) return "Transfer-Encoding: " .. value end
      for _, lines in ipairs {
        { te "chunked", "Content-Length: 5" }, { "Content-Length: 0",
          te "chunked" }, { te "chunked", te "chunked" }, { te "identity",
          te "chunked" }, { te "xchunked" }, { te "chunked, identity" },
        { te "CHUNKED" }, { te "Chunked" }, { te "\vchunked" },
        { te "chunked\v" }, { te "chunked, chunked" }, { te "identity" },
        { te "" }, { te "\"chunked\"" }, { te "chunked;q=1" },
        { "Transfer-Encoding : chunked" }, { "Transfer-Encoding:\r\n chunked" },
      } do
        refused(server, 400, post(table.unpack(lines)) .. body)
      end
      refused(server, 501, post(te "gzip, chunked") .. body)
      refused(server, 400, head { "POST / HTTP/1.0", te "chunked" } .. body)
      assert.same({}, bodies)
    end))

  -- What is served of these bytes when the peer says no more.
  local function serve(server, bytes)
    local client, statuses = t.raw(server):send(bytes), {}
    client:half_close()
    while true do
      local status = client:read_http()
      if not status then break end
      statuses[#statuses + 1] = status
    end
    client:close()
    return statuses
  end

  it("BI-43 takes the end of a peer for no request", guarded(function(g)
    local server, bodies = keeper(g)
    assert.same({ 400 }, serve(server, "GET / HTTP/1.1\r\n\r\n\r\n"))
    assert.same({}, bodies)
    assert.same({ 200 }, serve(server, get .. "\r\n"))
    assert.equal(1, #bodies)
    assert.same({ 200, 400 }, serve(server, get .. "\n"))
    assert.same({ 200, 400 }, serve(server, get .. "\r\n\n" .. get))
    assert.same({ 400 }, serve(server, ("\r\n"):rep(5) .. get))
    assert.same({}, serve(server, ("\r\n"):rep(4)))
    assert.equal(3, #bodies)
    local first = post "Content-Length: 3" .. "abc"
    local second = coded .. "3\r\ndef\r\n0\r\n\r\n"
    local both = first .. second
    for n = 0, #both do
      local before = #bodies
      local whole = (n >= #first and 1 or 0) + (n == #both and 1 or 0)
      assert.equal(whole, #serve(server, both:sub(1, n)))
      assert.equal(before + whole, #bodies)
    end
    assert.is_true(common.rest(2))
  end))

  it("BI-43 is served behind empty lines, as after an uncounted one",
    guarded(function(g)
      local server, bodies = keeper(g)
      local body = post "Content-Length: 3" .. "abc"
      local chunks = coded .. "3\r\ndef\r\n0\r\n\r\n"
      for _, blank in ipairs { "\r\n", ("\r\n"):rep(4) } do
        assert.same({ 200, 200, 200 }, serve(server,
          blank .. body .. blank .. chunks .. blank .. get .. blank))
      end
      assert.same({ "abc", "def", "", "abc", "def", "" }, bodies)
      local client = t.raw(server):send "\r\n\r\n"
      client:send_bytewise(body .. "\r\n")
      assert.equal(200, (client:read_http()))
      assert.equal(101, (client:upgrade()))
      client:send(frame("text", "x")):expect_frame("text", "x")
      client:finish()
    end))

  it("BI-45 raises where an answer would break out of its line",
    guarded(function(g)
      local answer
      local server = g:listen {
        on_request = function() return 200, "body", answer.headers end,
        on_upgrade = function() return answer end,
      }
      local upgrade = head { "GET / HTTP/1.1", "Host: a", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: a",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" }
      local function raises(request)
        local status, headers, _, client = common.answer(server, request)
        assert.equal(500, status)
        assert.is_nil(headers.b)
        client:close()
        g:expect_error ""
      end
      for _, text in ipairs { "a\r\nB: c", "a\nB: c", "a\rB: c", "a\0", "a\127",
                              " a", "a " } do
        for _, headers in ipairs { { X = text }, { X = { "a", text } },
                                   { [text] = "x" } } do
          answer = { headers = headers }
          raises(get)
          raises(upgrade)
        end
        answer = { subprotocol = text }
        raises(upgrade)
      end
      for _, name in ipairs { "Content-Length", "Transfer-Encoding",
                              "Connection", "Upgrade", "Sec-WebSocket-Accept",
                              "sec-websocket-protocol", "", "a:" } do
        answer = { headers = { [name] = "1" } }
        raises(get)
        raises(upgrade)
      end
    end))

  it("BI-45 raises where a request of ours would break out of its line",
    guarded(function(g)
      local server = g:listen()
      local url = "ws://127.0.0.1:" .. server.port .. "/"
      for _, text in ipairs { "a\r\nB: c", "a\nB", "a\r", "a\0", "a b\r\n" } do
        for _, options in ipairs { { headers = { X = text } },
                                   { headers = { [text] = "x" } },
                                   { origin = text },
                                   { subprotocols = { text } } } do
          assert.has_error(function() ws.connect(url, options) end)
        end
        assert.has_error(function() ws.connect(url .. text) end)
        assert.has_error(function()
          ws.connect("ws://127.0.0.1:1\r\n@127.0.0.1/" .. text)
        end)
        assert.has_error(function()
          ws.listen { port = 0, subprotocols = { text } }
        end)
      end
    end))

  it("BI-46 logs what a peer said on one line, escaped and cut",
    guarded(function(g)
      g:listen()
      local status, _, log = common.child [[
        local t = require "spec.helper"
        for _, origin in ipairs { "http://a\u{202e}b", "http://" ..
          ("x"):rep(8000), "http://\xff\\x\x9b31m", "a\tb" } do
          local server = t.listen { origins = { "https://good" } }
          local client = t.raw(server)
          local status = client:upgrade { headers = { Origin = origin } }
          assert(status == 403, status)
          client:close()
        end
        for _, text in ipairs { "\27[31m", "\r\nevws: fine", "\0", "\x9b" } do
          local server = t.listen()
          for _, name in ipairs { "Origin", "Host", "X",
            "Sec-WebSocket-Protocol" } do
            local client = t.raw(server)
            client:upgrade { path = "/" .. text, headers = { [name] = text } }
            client:close()
          end
        end
        t.cleanup()
      ]]
      assert.equal(0, status)
      local lines = {}
      for line in log:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
      assert.equal(4, #lines)
      for _, line in ipairs(lines) do
        assert.is_nil(line:find "[^\32-\126]")
        assert.is_true(#line < 700)
        assert.is_truthy(line:find("option 'origins'", 1, true))
      end
      assert.is_truthy(lines[1]:find("a\\xe2\\x80\\xaeb", 1, true))
      assert.is_nil(lines[2]:find(("x"):rep(128), 1, true))
      assert.is_truthy(lines[3]:find("\\xff\\x5cx\\x9b31m", 1, true))
      assert.is_truthy(lines[4]:find("a\\x09b", 1, true))
    end))

  it("BI-46 lets no control byte of an error's text into the log",
    guarded(function(g)
      g:listen()
      local status, _, log = common.child [[
        local t = require "spec.helper"
        local server = t.listen {
          on_message = function(_, message) error("bad: " .. message) end,
        }
        local client = t.open(server)
        client:send(t.frame("text", "\27[31m\r\8\127\u{9b}31m\0"))
        client:expect_close(1011)
        client:close()
        t.cleanup()
      ]]
      assert.equal(0, status)
      assert.is_truthy(log:find("bad: \\x1b[31m\\x0d\\x08\\x7f", 1, true))
      assert.is_nil(log:find "[^\9\10\32-\126]")
    end))

  it("BI-47 frames the answers to HEAD, of 204, 304 and errors",
    guarded(function(g)
      local server = g:listen { on_request = function(request)
        local status = tonumber(request.path:sub(2))
        local length = request.query and { ["Content-Length"] = "1000" }
        return status, not length and "some text" or nil, length
      end }
      local function round(method, path, length)
        local client = t.raw(server)
        local request = head { method .. " " .. path .. " HTTP/1.1", "Host: a" }
        client:send(request .. get:gsub("/", "/201", 1) .. request)
        for i = 1, 3 do
          local is_first = i ~= 2
          local status, headers, body = client:read_http {
            head = is_first and method == "HEAD" }
          assert.equal(is_first and tonumber(path:match "%d+") or 201, status)
          if is_first then assert.equal(length, headers["content-length"])
          else assert.equal("9", headers["content-length"]) end
          assert.is_true(body == "some text" or is_first and body == "")
        end
        client:close()
      end
      for _, status in ipairs { 200, 206, 302, 404, 416, 500, 503 } do
        round("HEAD", "/" .. status, "9")
        round("GET", "/" .. status, "9")
        round("HEAD", "/" .. status .. "?length", "1000")
      end
      round("GET", "/204", nil)
      round("HEAD", "/204", nil)
      round("GET", "/304", "9")
      round("HEAD", "/304", "9")
      round("GET", "/304?length", "1000")
    end))

  it("BI-06 cuts whoever takes nothing of an answer for stall_timeout",
    guarded(function(g)
      local server = g:listen { stall_timeout = 0.1,
        on_request = function() return 200, ("x"):rep(32 << 20) end }
      local fds = t.fd_count()
      local client = t.raw(server, { rcvbuf = 4096 }):send(get)
      local function has_socket() return t.probe.fd_count() > fds + 1 end
      t.wait(has_socket, "the connection")
      t.wait(function() return not has_socket() end, "its end")
      client:close()
    end))

  it("BI-06 waits for whoever takes an answer slowly", guarded(function(g)
    local server = g:listen { http_keepalive = { timeout = 0.05 },
      on_request = function() return 200, ("x"):rep(12 << 20) end }
    local client = t.raw(server, { rcvbuf = 4096 }):send(get)
    common.rest(20) -- 0.2 s
    local status, _, body = client:read_http()
    assert.same({ 200, 12 << 20 }, { status, #body })
    client:expect_eof() -- now nothing is asked for
    client:close()
  end))

  it("BI-06 has time for another request after a slow answer",
    guarded(function(g)
      local limit, name = 0.3 * t.factor, os.tmpname()
      os.remove(name)
      local server = g:listen { unix = name, http_keepalive = {
        timeout = limit }, on_request = function(r)
          return 200, ("x"):rep(tonumber(r.path:match "%d+") or 5)
        end }
      for kib = 300, 1200, 100 do -- more than the kernel takes
        local client = t.raw(server)
        client:send(("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"):format(kib << 10))
        common.rest(math.ceil(1.2 * limit / 0.01))
        local got, from = {}, nil
        t.wait(function()
          -- the loop has no turn while the kernel's part is read
          local last = t.probe.now() + 0.03
          repeat
            local bytes = client.socket:recv()
            got[#got + 1] = bytes
            from = from or bytes and select(2, bytes:find "\r\n\r\n")
          until t.probe.now() > last
          return #table.concat(got) == from + (kib << 10)
        end)
        client:send(get)
        assert.equal(200, (client:read_http()))
        client:close()
      end
    end))

  it("BI-47 raises for a length that is not the body's", guarded(function(g)
    local server = g:listen { on_request = function()
      return 200, "four", { ["Content-Length"] = "5" }
    end }
    for _, method in ipairs { "GET", "POST" } do
      local status, _, _, client = common.answer(server,
        head { method .. " / HTTP/1.1", "Host: a" })
      assert.equal(500, status)
      client:close()
      g:expect_error "Content-Length"
    end
  end))

  it("BI-48 answers Expect: 100-continue, and no other expectation",
    guarded(function(g)
      local server, bodies = keeper(g)
      local function expects(more)
        return post("Expect: 100-continue", more)
      end
      local status, _, _, client = common.answer(server,
        expects "Content-Length: 3")
      assert.equal(100, status)
      client:send("abc" .. get)
      assert.equal(200, (client:read_http()))
      assert.equal(200, (client:read_http()))
      client:close()
      -- one that does not wait needs no invitation
      status, _, _, client = common.answer(server,
        expects "Content-Length: 3" .. "def")
      assert.equal(200, status)
      client:close()
      assert.same({ "abc", "", "def" }, bodies)
      refused(server, 413, expects "Content-Length: 1048577")
      refused(server, 400, expects "Content-Length: x")
      refused(server, 400, expects "Transfer-Encoding: x")
      refused(server, 417, post "Expect: 200-ok" .. "abc")
      refused(server, 417, post("Expect: 100-continue", "Expect: x"))
      local upgraded = t.open(server, { headers = { Expect = "100-continue" } })
      upgraded:send(frame("text", "x")):expect_frame("text", "x")
      upgraded:finish()
      assert.same({ "abc", "", "def" }, bodies)
    end))

  it("BI-51 serves others beside 10,000 requests in one write",
    guarded(function(g)
      local served = 0
      local server = g:listen { http_keepalive = { requests = 20000 },
        on_request = function() served = served + 1 return 200, "ok" end }
      local client = t.raw(server):send(get:rep(10000))
      local bystander = g.bystanders[1]
      local most = 0
      while served < 10000 do
        local before = served
        bystander.check()
        most = math.max(most, served - before)
        for _ = 1, 50 do t.turn(0) end
      end
      assert.is_true(most < 64) -- each turn serves one of them
      for _ = 1, 10000 do assert.equal(200, (client:read_http())) end
      client:close()
    end))

  it("BI-51 serves others beside 10,000 messages in one write",
    guarded(function(g)
      local got = 0
      local server = g:listen { on_message = function() got = got + 1 end }
      local client = t.open(server)
      client:send(frame("text", "x"):rep(10000))
      local most = 0
      while got < 10000 do
        local before = got
        g.bystanders[1].check()
        most = math.max(most, got - before)
      end
      assert.is_true(most < 2000) -- read_budget: 256 in a turn
      client:finish()
    end))
end)
