-- Answers that are long: whatever is answered, little of it is held for a
-- client that does not read, and what follows on the connection stays right.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

local MIB = 1 << 20

local function get(path, fields)
  return ("GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n"):format(path or "/",
    fields or "")
end

local function file_of(size)
  local directory = os.tmpname()
  os.remove(directory)
  assert(os.execute("mkdir " .. directory))
  local out = assert(io.open(directory .. "/long.bin", "wb"))
  local line = ("0123456789abcde\n"):rep(4096)
  for _ = 1, size // #line do out:write(line) end
  out:close()
  return directory, line:rep(size // #line)
end

describe("a long answer", function()
  local directory, whole

  setup(function() directory, whole = file_of(8 * MIB) end)
  teardown(function() os.execute("rm -r " .. directory) end)
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  local handlers = {
    string = function() return function() return 200, whole end end,
    file = function() return ws.static(directory) end,
    ["function"] = function()
      return function()
        return 200, function(out)
          for at = 1, #whole, 100000 do
            if not out:write(whole:sub(at, at + 99999)) then return end
            out:drain()
          end
        end, { ["Content-Length"] = tostring(#whole) }
      end
    end,
  }

  for name, make in pairs(handlers) do
    local path = name == "file" and "/long.bin" or "/"

    it("of a " .. name .. " arrives whole, and others behind it", function()
      local raw = t.raw(t.listen { on_request = make() })
      raw:send(get(path) .. get(path) .. get "/none")
      for _ = 1, 2 do
        local status, headers, body = raw:read_http { limit = 20 }
        assert.same({ 200, tostring(#whole) }, { status,
          headers["content-length"] })
        assert.is_nil(headers["transfer-encoding"])
        assert.is_true(body == whole)
      end
      assert.is_truthy(raw:read_http { limit = 20 })
      raw:close()
    end)

    it("of a " .. name .. " is cut when its client leaves", function()
      collectgarbage()
      local server = t.listen { on_request = make() }
      local before = t.fd_count()
      for _ = 1, 5 do
        local raw = t.raw(server, { rcvbuf = 4096 })
        raw:send(get(path))
        t.wait(function() return server:stats().pending > 0 end)
        for _ = 1, 5 do t.turn() end
        raw:close()
        t.wait(function() return server:stats().pending == 0 end)
      end
      collectgarbage()
      t.wait(function() return t.probe.fd_count() <= before end)
    end)

    it("of a " .. name .. " ends with a server that closes", function()
      local server = t.listen { on_request = make() }
      local raw = t.raw(server, { rcvbuf = 65536 })
      raw:send(get(path))
      t.wait(function() return server:stats().pending > 0 end)
      for _ = 1, 5 do t.turn() end
      ws.spawn(server.close, server, { timeout = 20 })
      local status, _, body = raw:read_http { limit = 20 }
      assert.equal(200, status)
      assert.is_true(body == whole)
      raw:expect_eof()
    end)

    it("of a " .. name .. " meets stall_timeout", function()
      local server = t.listen { on_request = make(), stall_timeout = 0.1 }
      local raw = t.raw(server, { rcvbuf = 4096 })
      raw:send(get(path))
      t.wait(function() return server:stats().pending == 1 end)
      t.wait(function() return server:stats().pending == 0 end)
      raw:close()
    end)
  end

  it("in HTTP/1.0 keeps the connection where it may", function()
    local raw = t.raw(t.listen { on_request = handlers.file() })
    raw:send "GET /long.bin HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    local status, headers, body = raw:read_http { limit = 20 }
    assert.same({ 200, "keep-alive" }, { status, headers.connection })
    assert.is_true(body == whole)
    raw:close()
  end)

  it("is a range, or a head", function()
    local raw = t.raw(t.listen { on_request = handlers.file() })
    raw:send(get("/long.bin", "Range: bytes=100-1000099\r\n"))
    local status, headers, body = raw:read_http { limit = 20 }
    assert.same({ 206, "1000000" }, { status, headers["content-length"] })
    assert.is_true(body == whole:sub(101, 1000100))
    raw:send "HEAD /long.bin HTTP/1.1\r\nHost: a\r\n\r\n"
    status, headers = raw:read_http { head = true }
    assert.same({ 200, tostring(#whole) }, { status,
      headers["content-length"] })
    raw:close()
  end)

  it("that is shorter than was announced ends its connection", function()
    local raw = t.raw(t.listen { on_request = function()
      return 200, function(out) out:write "four" end,
        { ["Content-Length"] = "5" }
    end })
    raw:send(get())
    assert.is_false((pcall(raw.read_http, raw, { limit = 5 })))
  end)

  it("that is longer than was announced raises, and is right", function()
    local errors = kit.errors()
    local raw = t.raw(t.listen { on_request = function()
      return 200, function(out)
        out:write "12345"
        out:write "6"
      end, { ["Content-Length"] = "5" }
    end })
    raw:send(get())
    local _, _, body = raw:read_http()
    assert.equal("12345", body)
    t.contains(t.wait(function() return errors[1] end).message,
      "the body is longer than its Content-Length")
    raw:close()
  end)

  it("costs little for clients that do not read", function()
    if os.getenv "ASAN_OPTIONS" then return pending "memory is asan's" end
    if t.is_emulated then return pending "memory is the emulator's" end
    local child = kit.run([[
      local function rss()
        for line in io.lines "/proc/self/status" do
          local n = line:match "^VmRSS:%s+(%d+)"
          if n then return tonumber(n) end
        end
      end
      local text = ("x"):rep(16 << 20)
      local server = assert(ws.listen { host = "127.0.0.1", port = 0,
        on_request = function() return 200, text end })
      say("port", server.port)
      local before = rss()
      while true do
        local n = server:stats().pending
        ws.step(0.01)
        if n == 20 then break end
      end
      for _ = 1, 50 do ws.step(0.01) end
      say("grown", rss() - before)
      os.exit(0)
    ]])
    local port, raws = tonumber(child:wait "port%s+(%d+)"), {}
    for i = 1, 20 do
      raws[i] = t.raw(port, { rcvbuf = 4096 })
      raws[i]:send(get())
      t.turn()
    end
    local grown = tonumber(child:wait "grown%s+(%-?%d+)")
    assert.is_true(grown < 12 * 1024, grown .. " KiB for 20 clients")
    for _, raw in ipairs(raws) do raw:close() end
  end)
end)
