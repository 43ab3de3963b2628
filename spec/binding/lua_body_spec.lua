-- A function as the body of an answer, and on_close of who answers: what is
-- written as it is made, to clients that stay, are slow, or go.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains

local function get(path, more, version)
  return ("GET %s HTTP/%s\r\nHost: x\r\n%s\r\n"):format(path or "/",
    version or "1.1", more or "")
end

-- A server that answers with what fn writes, and a client that has asked.
local function stream(fn, options, request)
  local own = { on_request = function() return 200, fn, { ["X-A"] = "b" } end }
  for name, value in pairs(options or {}) do own[name] = value end
  local server = t.listen(own)
  local raw = t.raw(server)
  raw:send(request or get())
  return raw, server
end

local function head_of(raw)
  local status, headers = raw:read_http { head = true }
  assert.equal(200, status)
  return headers
end

describe("a function as body", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("is sent in chunks, and the connection goes on", function()
    local n = 0
    local raw = stream(function(out)
      n = n + 1
      for i = 1, 3 do
        assert.is_true(out:write("piece " .. i))
        assert.is_true(out:write "")
        ws.sleep(0)
      end
      out:write(("x"):rep(200000))
    end)
    for i = 1, 3 do
      raw:send(i > 1 and get() or "")
      local status, headers, body = raw:read_http()
      assert.equal(200, status)
      assert.same({ "chunked", "b", "text/plain; charset=utf-8" },
        { headers["transfer-encoding"], headers["x-a"],
          headers["content-type"] })
      assert.is_nil(headers["content-length"])
      assert.is_nil(headers.connection)
      assert.equal("piece 1piece 2piece 3" .. ("x"):rep(200000), body)
      assert.equal(i, n)
    end
  end)

  it("follows its head, each piece when it is written", function()
    local queue = ws.queue(1)
    local raw = stream(function(out)
      for piece in queue do out:write(piece) end
    end)
    head_of(raw)
    for _, piece in ipairs { "a", "\r\n0\r\n\r\n", "\0" } do
      queue:put(piece)
      assert.equal(piece, raw:chunk())
    end
    queue:close()
    assert.equal("", raw:chunk())
  end)

  it("may be empty, or written before anybody waits", function()
    local raw = stream(function() end)
    assert.equal("", select(3, raw:read_http()))
    raw = stream(function(out) out:write "all" end)
    assert.equal("all", select(3, raw:read_http()))
  end)

  it("ends with the connection in HTTP/1.0", function()
    local raw = stream(function(out)
      out:write "one"
      ws.sleep(0)
      out:write "two"
    end, nil, get("/", "Connection: keep-alive\r\n", "1.0"))
    local _, headers, body = raw:read_http()
    assert.same({ "close", "onetwo" }, { headers.connection, body })
    assert.is_nil(headers["transfer-encoding"])
    raw:expect_eof()
  end)

  it("is not called where there is no body", function()
    local n = 0
    local server = t.listen { on_request = function(request)
      return tonumber(request.path:sub(2)), function() n = n + 1 end
    end }
    local raw = t.raw(server)
    for _, case in ipairs { { "HEAD", 200 }, { "GET", 204 }, { "GET", 304 },
      { "HEAD", 404 } } do
      raw:send(("%s /%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(case[1],
        case[2]))
      local status, headers = raw:read_http { head = true }
      assert.equal(case[2], status)
      assert.is_nil(headers["transfer-encoding"])
    end
    assert.equal(0, n)
  end)

  it("cut by an error has no last chunk, and on_error hears of it", function()
    local errors = kit.errors()
    local raw = stream(function(out)
      out:write "half"
      error "broke off"
    end)
    head_of(raw)
    assert.equal("half", raw:chunk())
    assert.same({ nil, "eof" }, { raw:chunk() })
    contains(t.wait(function() return errors[1] end).message, "broke off")
  end)

  it("waits with drain until the client has read", function()
    local written, most = 0, 0
    local piece = ("p"):rep(50000)
    local raw = stream(function(out)
      for _ = 1, 400 do
        local ok, n = out:write(piece)
        assert.is_true(ok)
        assert.equal(n, out.buffered)
        most = math.max(most, n)
        written = written + 1
        assert.is_true(out:drain())
      end
    end)
    head_of(raw)
    for _ = 1, 20 do t.turn() end
    assert.is_true(written < 400)
    for _ = 1, 400 do assert.equal(piece, raw:chunk()) end
    assert.equal("", raw:chunk())
    assert.is_true(most > 32 * 1024 and most < 1024 * 1024)
  end)

  it("is refused what would exceed max_queued", function()
    local results = {}
    local raw = stream(function(out)
      for _ = 1, 400 do
        local ok, why = out:write(("p"):rep(50000))
        if not ok then results[#results + 1] = why end
      end
      results.drained = { out:drain(0.01) }
      results.is_over = true
    end, { max_queued = 100000 })
    t.wait(function() return results.is_over end)
    assert.equal("queue full", results[1])
    assert.same({ nil, "timeout" }, results.drained)
    raw:reset()
  end)

  it("is cut when the client takes nothing for stall_timeout", function()
    local result, told
    local raw = stream(function(out)
      out:on_close(function() told = true end)
      repeat
        local ok = out:write(("p"):rep(50000))
      until not ok
      result = { out:drain() }
      result.is_closed = out.is_closed
    end, { stall_timeout = 0.1 })
    t.wait(function() return result and told end)
    assert.same({ nil, "closed", is_closed = true }, result)
    raw:close()
  end)

  it("is told when the server closes, and ends in order", function()
    local told, result
    local raw, server = stream(function(out)
      local queue = ws.queue(1)
      out:on_close(function()
        told = true
        queue:put(true)
      end)
      out:write "before"
      queue:take()
      assert.is_true(out.is_closed)
      result = { out:write "after" }
    end)
    head_of(raw)
    assert.equal("before", raw:chunk())
    assert.is_true(t.pump(server.close, server, { timeout = 5 }))
    assert.is_true(told)
    assert.same({ nil, "closed" }, result)
    assert.equal("", raw:chunk())
    raw:expect_eof()
  end)

  it("is told when the client is lost", function()
    local told, result
    local raw = stream(function(out)
      out:on_close(function() told = true end)
      out:write "x"
      while not told do ws.sleep(0.001) end
      result = { out:write "y" }
      result.is_closed = out.is_closed
    end)
    head_of(raw)
    raw:reset()
    t.wait(function() return result end)
    assert.same({ nil, "closed", is_closed = true }, result)
  end)

  it("goes on to a client that has ended its own half", function()
    local told
    local raw = stream(function(out)
      local queue = ws.queue(1)
      out:on_close(function() queue:put(true) end)
      told = queue:take(5)
      for i = 1, 3 do out:write("rest " .. i) end
    end)
    head_of(raw)
    raw:half_close()
    assert.equal("rest 1", raw:chunk())
    assert.equal("rest 2", raw:chunk())
    assert.equal("rest 3", raw:chunk())
    assert.equal("", raw:chunk())
    assert.is_true(told)
    raw:expect_eof()
  end)

  it("keeps what the client sends meanwhile, up to a limit", function()
    local queue, paths = ws.queue(1), {}
    local server = t.listen { on_request = function(request)
      paths[#paths + 1] = request.path
      if request.path == "/slow" then
        return 200, function() queue:take() end
      end
      return 200, request.path
    end }
    local raw = t.raw(server)
    raw:send(get "/slow")
    head_of(raw)
    raw:send(get "/a" .. get "/b")
    raw:expect_silence(0)
    assert.same({ "/slow" }, paths)
    queue:put(true)
    assert.equal("", raw:chunk())
    assert.equal("/a", select(3, raw:read_http()))
    assert.equal("/b", select(3, raw:read_http()))

    raw:send(get "/slow")
    head_of(raw)
    local before = server:stats().memory
    raw:send(("x"):rep(8 * 1024 * 1024))
    for _ = 1, 100 do t.turn() end
    assert.is_true(server:stats().memory - before < 400 * 1024)
    raw:reset()
    queue:put(true)
    t.wait(function() return server:stats().pending == 0 end)
  end)

  it("is of one answer: afterwards it is closed", function()
    local kept
    local raw = stream(function(out) kept = out end)
    raw:read_http()
    assert.is_true(kept.is_closed)
    assert.equal(0, kept.buffered)
    assert.same({ nil, "closed" }, { kept:write "x" })
    assert.same({ nil, "closed" }, { kept:drain() })
    assert.same({ nil, "closed" }, { kept:on_close(print) })
    contains(tostring(kept), "evws.body: ")
    raw:send(get())
    raw:read_http()
    assert.same({ nil, "closed" }, { kept:write "x" })
    assert.is_nil(kept.other)
  end)

  it("with a bad status or fields is answered with 500", function()
    local errors = kit.errors()
    for _, answer in ipairs { { 99, print }, { "x", print },
      { 200, print, { ["Content-Length"] = "x" } }, { 200, print, 1 } } do
      local raw = t.raw(t.listen { on_request = function()
        return table.unpack(answer, 1, 3)
      end })
      raw:send(get())
      assert.equal(500, (raw:read_http()))
    end
    t.wait(function() return #errors == 4 end)
    local raw = t.raw(t.listen { on_upgrade = function()
      return 403, print
    end })
    assert.equal(500, (raw:upgrade()))
    contains(t.wait(function() return errors[5] end).message,
      "returned a function as body: a string expected")
  end)
end)

describe("request:on_close", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("hears that the client has gone, and the answer is still given",
    function()
      local told, kept
      local raw = t.raw(t.listen { on_request = function(request)
        local queue = ws.queue(1)
        kept = request
        assert.equal(request, request:on_close(function()
          told = true
          queue:put "gone"
        end))
        return 200, queue:take(5)
      end })
      raw:send(get())
      for _ = 1, 5 do t.turn() end
      assert.is_nil(told)
      raw:half_close()
      assert.equal("gone", select(3, raw:read_http()))
      raw:expect_eof()
      assert.same({ nil, "closed" }, { kept:on_close(print) })
    end)

  it("hears of a reset, once, also when it asks afterwards", function()
    local n, late, ready = 0, 0, false
    local raw = t.raw(t.listen { on_request = function(request)
      request:on_close(function() n = n + 1 end)
      ready = true
      while n == 0 do ws.sleep(0.001) end
      return 200, "late"
    end })
    raw:send(get())
    t.wait(function() return ready end)
    raw:reset()
    t.wait(function() return n > 0 end)
    raw = t.raw(t.listen { on_request = function(request)
      request:on_close(function() late = late + 1 end)
      while late == 0 do ws.sleep(0) end
      request:on_close(function() late = late + 10 end)
      while late < 11 do ws.sleep(0) end
      return 200, "late"
    end })
    raw:send(get())
    raw:half_close()
    assert.equal("late", select(3, raw:read_http()))
    assert.same({ 1, 11 }, { n, late })
  end)

  it("is silent about clients that stay, or left after their answer",
    function()
      local n = 0
      local raw, server = t.raw(t.listen { on_request = function(request)
        request:on_close(function() n = n + 1 end)
        return 200, "x"
      end })
      for _ = 1, 3 do
        raw:send(get())
        raw:read_http()
      end
      raw:close()
      for _ = 1, 20 do t.turn() end
      assert.equal(0, n)
      assert.is_nil(server)
    end)

  it("hears of a client that wanted a WebSocket", function()
    local told
    local queue = ws.queue(1)
    local server = t.listen { on_upgrade = function(request)
      request:on_close(function()
        told = true
        queue:put(true)
      end)
      queue:take(5)
    end }
    local raw = t.raw(server)
    raw:send(get("/", "Upgrade: websocket\r\nConnection: Upgrade\r\n"
      .. "Sec-WebSocket-Version: 13\r\n"
      .. "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"))
    raw:half_close()
    t.wait(function() return told end)
    raw:expect_eof()
    assert.equal(0, server.connections)
  end)

  it("takes a function, or nil to hear nothing", function()
    local errors = kit.errors()
    local told
    local raw = t.raw(t.listen { on_request = function(request)
      request:on_close(function() told = true end)
      request:on_close(nil)
      ws.sleep(0.02)
      return 200, "x"
    end })
    raw:send(get())
    raw:half_close()
    raw:read_http()
    assert.is_nil(told)
    raw = t.raw(t.listen { on_request = function(request)
      request:on_close "x"
    end })
    raw:send(get())
    assert.equal(500, (raw:read_http()))
    contains(t.wait(function() return errors[1] end).message,
      "bad argument #1 to 'on_close'")
  end)
end)
