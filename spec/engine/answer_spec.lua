-- Answers as their clients get them (src/engine/answer.c, response.c,
-- upgrade.c): each kind of body to each kind of request, and what becomes of
-- those that come too late.

local t = require "spec.helper"
local ws = t.ws

local function get(path, more)
  return ("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n"):format(path, more or "")
end

describe("an answer", function()
  after_each(t.cleanup)

  local bodies = {
    none = function() end,
    text = function() return "text" end,
    made = function()
      return function(out) out:write "ma" out:write "de" end
    end,
    counted = function()
      return function(out) out:write "made" end, { ["Content-Length"] = "4" }
    end,
    long = function() return ("long"):rep(30000) end,
    wide = function()
      return function(out) out:write(("long"):rep(30000)) end
    end,
  }
  local texts = { none = "", text = "text", made = "made", counted = "made",
    long = ("long"):rep(30000), wide = ("long"):rep(30000) }

  it("is what RFC 9110 says of its method, version, status and body", function()
    local server = t.listen { on_request = function(r)
      local status, kind = r.path:match "^/(%d+)/(%a+)$"
      return tonumber(status), bodies[kind]()
    end }
    for _, version in ipairs { "1.0", "1.1" } do
      for _, method in ipairs { "GET", "HEAD", "POST" } do
        for _, status in ipairs { 200, 204, 304, 404, 426, 503 } do
          for kind, text in pairs(texts) do
            local raw = t.raw(server)
            raw:send(("%s /%d/%s HTTP/%s\r\nHost: x\r\n%s%s\r\n"):format(method,
              status, kind, version, method == "POST"
              and "Content-Length: 0\r\n" or "", version == "1.0"
              and "Connection: keep-alive\r\n" or ""))
            local got, headers, body = raw:read_http { head = method == "HEAD" }
            local what = ("%s %s %d %s"):format(version, method, status, kind)
            local has_none = status == 204 or status == 304
              or method == "HEAD"
            assert.equal(status, got, what)
            assert.equal(has_none and "" or text, body, what)
            local length = headers["content-length"]
            if status == 204 then assert.is_nil(length, what) end
            if length then assert.equal(#text, tonumber(length), what) end
            local coding = headers["transfer-encoding"]
            if version == "1.0" or status == 204 then
              assert.is_nil(coding, what)
            end
            assert.is_nil(length and coding, what)
            local stays = headers.connection ~= "close"
              and headers.connection ~= "close, Upgrade"
            if version == "1.0" and stays then
              assert.equal("keep-alive", headers.connection, what)
            end
            if stays then
              raw:send(get "/200/text")
              local next_status, _, next_body = raw:read_http()
              assert.equal("200 text", next_status .. " " .. next_body, what)
            else
              raw:expect_eof()
            end
            raw:close()
          end
        end
      end
    end
  end)

  it("is not made when its time was over", function()
    local gate, was_made, finished = ws.queue(1), false, false
    local server = t.listen { upgrade_timeout = 0.05,
      on_request = function()
        gate:take()
        finished = true
        return 200, function() was_made = true end
      end }
    local raw = t.raw(server)
    raw:send(get "/")
    assert.equal(503, (raw:read_http()))
    gate:put(true)
    t.wait(function() return finished end, "the handler")
    for _ = 1, 3 do t.turn() end
    assert.is_false(was_made)
  end)

  it("is told at once that it cannot go on when its server closes", function()
    local gate, told, ended = ws.queue(1), nil, nil
    local server = t.listen { on_request = function()
      gate:take()
      return 200, function(out)
        out:on_close(function() told = true end)
        local was_closed = out.is_closed
        ws.sleep(0.001)
        ended = was_closed
      end
    end }
    local raw = t.raw(server)
    raw:send(get "/")
    t.wait(function() return server:stats().pending == 1 end, "it")
    local closed
    ws.spawn(function()
      server:close { timeout = 4 }
      closed = true
    end)
    for _ = 1, 3 do t.turn() end
    gate:put(true)
    t.wait(function() return closed and ended end, "the end")
    assert.is_true(told)
  end)

  for _, on_full in ipairs { "reject", "close" } do
    it("is full, " .. on_full, function()
      local why, is_closed
      local server = t.listen { max_queued = 2000, on_full = on_full,
        on_request = function()
          return 200, function(out)
            local ok
            repeat ok, why = out:write(("x"):rep(1500)) until not ok
            is_closed = out.is_closed
          end
        end }
      local raw = t.raw(server, { rcvbuf = 4096 })
      raw:send(get "/")
      t.wait(function() return why end, "a full queue")
      assert.equal("queue full", why)
      assert.equal(on_full == "close", is_closed)
      if on_full == "reject" then
        local status, _, body = raw:read_http()
        assert.equal(200, status)
        assert.equal(0, #body % 1500)
      else
        assert.has_error(function() raw:read_http() end)
      end
    end)
  end

  it("is 400 to offers that are no tokens", function()
    local server = t.listen { subprotocols = { "a" } }
    for _, offer in ipairs { "a b", "(", "a;b", "\"a\"" } do
      local raw = t.raw(server)
      assert.equal(400, (raw:upgrade { headers = {
        ["Sec-WebSocket-Protocol"] = offer } }))
      raw:close()
    end
  end)

  it("asks for no body where there is none", function()
    local server = t.listen { on_request = function(r)
      return 200, "got " .. r.body
    end }
    local raw = t.raw(server)
    for _, length in ipairs { 0, 3 } do
      raw:send(("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        .. "Content-Length: %d\r\n\r\n"):format(length))
      local status, _, body = raw:read_http()
      if length > 0 then
        assert.equal(100, status)
        raw:send "abc"
        status, _, body = raw:read_http()
      end
      assert.equal("200 got " .. ("abc"):sub(1, length),
        status .. " " .. body)
    end
  end)

  it("of 101 is all that one gets who is let go at once", function()
    for _, how in ipairs { "terminate", "close" } do
      local messages, closed = 0, false
      local server = t.listen { on_open = function(conn) conn[how](conn) end,
        on_message = function() messages = messages + 1 end,
        on_close = function() closed = true end }
      local raw = t.raw(server)
      raw:send(get("/", "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        .. "Sec-WebSocket-Version: 13\r\n"
        .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
        .. t.frame("text", "hello") .. t.close_frame(1000))
      t.wait(function() return closed end, "on_close")
      assert.equal(0, messages)
      raw:close()
    end
  end)
end)

-- A task that answers may be woken by what another connection says, within the
-- reading of that.
describe("an upgrade that another's message answers", function()
  after_each(t.cleanup)

  it("gets what came behind it all the same", function()
    for _, behind in ipairs { "", t.frame("text", "behind") } do
      local first
      local server = t.listen {
        on_open = function(conn) first = first or conn end,
        on_upgrade = function(r)
          if r.path ~= "/second" then return end
          local message = first:receive(20)
          return { data = message }
        end,
        routes = { ["/"] = {}, ["/second"] = { on_message = t.echo } } }
      local one = t.open(server)
      t.wait(function() return first end, "it")
      local two = t.raw(server)
      two:send(get("/second", "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        .. "Sec-WebSocket-Version: 13\r\n"
        .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n") .. behind)
      t.wait(function() return server:stats().pending == 1 end, "the second")
      for _ = 1, 3 do t.turn() end
      one:send(t.frame("text", "answer it"))
      assert.equal(101, (two:read_http()))
      if behind ~= "" then two:expect_frame("text", "behind") end
      two:send(t.frame("text", "later")):expect_frame("text", "later")
      one:close()
      two:close()
      t.cleanup()
    end
  end)
end)
