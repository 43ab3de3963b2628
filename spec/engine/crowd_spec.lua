-- How many come from one address (src/engine/crowd.c, peer.c), and how much
-- memory all may take (pressure.c).

local t = require "spec.helper"
local kit = require "spec.engine.kit"

local ws = t.ws
local get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

-- Of connections that were collected: after many specs Lua is in no hurry.
local function memory()
  collectgarbage()
  collectgarbage()
  return t.listen():stats().memory
end

local function refused(server, why)
  return server:stats().refused[why]
end

-- Whoever comes is closed without a word.
local function expect_closed(server, options)
  local raw = t.raw(server, options)
  local _, why
  t.wait(function()
    _, why = raw.socket:recv()
    return why == "eof" or why == "reset"
  end, "the end")
  raw:close()
end

local function forwarded(name, more)
  local headers = { ["X-Forwarded-For"] = name }
  for field, value in pairs(more or {}) do headers[field] = value end
  return { headers = headers }
end

local function ask(server, name)
  local raw = t.raw(server)
  local status = raw:upgrade(forwarded(name))
  if status ~= 101 then
    raw:expect_eof()
    raw:close()
  end
  return status, raw
end

describe("connections from one address", function()
  after_each(t.cleanup)

  it("are at most max_per_address, open or not, and those of others come",
    function()
      local server = t.listen { max_per_address = 4, on_message = t.echo,
        path = "/", on_request = function() return 200, "ok" end }
      local calm = t.bystander(server)
      local silent, plain = t.raw(server), t.raw(server)
      plain:send(get:gsub("/ ", "/x ", 1))
      assert.equal(200, (plain:read_http()))
      local fourth = t.open(server)
      expect_closed(server)
      expect_closed(server)
      assert.equal(2, refused(server, "address"))
      local other = t.open(server, { source = "127.0.0.2" })
      for _, raw in ipairs { silent, fourth, plain } do
        raw:close()
        local again
        t.wait(function()
          local ok, opened = pcall(t.open, server)
          again = ok and opened
          return again
        end, "room for one more")
        again:finish()
      end
      calm:check()
      other:finish()
    end)

  it("are one client's behind a proxy, IPv6 by its first 64 bits", function()
    local server = t.listen { max_per_address = 2,
      trusted_proxies = { "loopback" },
      on_request = function() return 200, "ok" end }
    for _, names in ipairs {
      { "192.0.2.7", "192.0.2.7", "::ffff:192.0.2.7" },
      { "2001:db8::1", "2001:db8:0:0:ffff::2", "2001:db8::3" } } do
      local list = {}
      for i = 1, 2 do
        local status
        status, list[i] = ask(server, names[i])
        assert.equal(101, status)
      end
      local before = refused(server, "address")
      assert.equal(429, (ask(server, names[3])))
      assert.equal(before + 1, refused(server, "address"))
      for _, name in ipairs { "192.0.2.8", "2001:db8:0:1::1" } do
        local status, raw = ask(server, name)
        assert.equal(101, status)
        raw:finish()
      end
      list[1]:finish()
      t.wait(function() return server:stats().open == 1 end)
      local status, raw = ask(server, names[3])
      assert.equal(101, status)
      raw:finish()
      list[2]:finish()
      t.wait(function() return server.connections == 0 end)
    end
  end)

  it("do not count for the proxy itself, nor by plain requests", function()
    local server = t.listen { max_per_address = 1,
      trusted_proxies = { "loopback" },
      routes = { ["/ws"] = { on_message = t.echo } },
      on_request = function() return 200, "ok" end }
    local list = {}
    for i = 1, 3 do
      list[i] = t.raw(server)
      for _ = 1, 2 do
        list[i]:send("GET / HTTP/1.1\r\nHost: a\r\n"
          .. "X-Forwarded-For: 192.0.2.7\r\n\r\n")
        assert.equal(200, (list[i]:read_http()))
      end
    end
    for _ = 1, 3 do t.open(server, { path = "/ws" }) end -- says no name
    assert.equal(101, (list[1]:upgrade { path = "/ws",
      headers = forwarded "192.0.2.7".headers }))
    assert.equal(429, (list[2]:upgrade { path = "/ws",
      headers = forwarded "192.0.2.7".headers }))
  end)

  it("are those that a PROXY header names", function()
    local server = t.listen { max_per_address = 1, proxy_protocol = true,
      trusted_proxies = { "loopback" } }
    local function come(from)
      local raw = t.raw(server)
      raw:send(("PROXY TCP4 %s 192.0.2.1 5000 80\r\n"):format(from))
      return raw
    end
    local one = come "192.0.2.7"
    assert.equal(101, (one:upgrade()))
    local two = come "192.0.2.7"
    t.wait(function() return refused(server, "address") == 1 end)
    two:close()
    assert.equal(101, (come "192.0.2.8":upgrade()))
  end)

  it("do not count on a Unix socket", function()
    local path = os.tmpname()
    os.remove(path)
    local server = t.listen { unix = path, max_per_address = 1 }
    for _ = 1, 3 do t.open(server, { unix = path }) end
  end)

  it("are forgotten when they go, however many addresses there were",
    function()
      local server = t.listen { max_per_address = 1,
        trusted_proxies = { "loopback" } }
      local function round()
        local list = {}
        for i = 1, 150 do
          local status
          status, list[i] = ask(server, ("10.0.%d.%d"):format(i // 100, i))
          assert.equal(101, status)
        end
        assert.equal(429, (ask(server, "10.0.0.7")))
        for _, raw in ipairs(list) do raw:close() end
        t.wait(function() return server.connections == 0 end)
      end
      round()
      local before = memory()
      round()
      assert.is_true(memory() - before < 4096)
      assert.equal(101, (ask(server, "10.0.0.7")))
    end)
end)

describe("max_memory", function()
  after_each(t.cleanup)

  local large = ("x"):rep(1 << 20)

  it("lets nobody new in while more is in use", function()
    local server, log = kit.serve { max_queued = false,
      max_memory = memory() + (8 << 20), stall_timeout = false,
      on_message = t.echo, path = "/",
      on_request = function() return 200, "ok" end }
    local calm = t.bystander(server)
    local kept = t.raw(server):send(get:gsub("/ ", "/x ", 1))
    assert.equal(200, (kept:read_http()))
    local slow = t.open(server, { rcvbuf = 4096 })
    local conn = t.wait(function() return log.conns[2] end)
    local n = 0
    repeat
      conn:send(large, "binary")
      n = n + 1
    until conn.buffered > 10 << 20
    expect_closed(server)
    assert.equal(1, refused(server, "memory"))
    kept:send(get)
    assert.equal(503, (kept:read_http()))
    assert.equal(2, refused(server, "memory"))
    calm:check()
    for _ = 1, n do assert.equal(#large, #slow:frame().payload) end
    t.wait(function() return conn.buffered == 0 end)
    t.open(server):finish()
  end)

  it("gives back first what compression keeps", function()
    local server = kit.serve { compression = { context_takeover = true,
      threshold = 0 }, on_message = t.echo }
    local url, list = t.url_of(server), {}
    t.pump(function()
      for i = 1, 10 do
        list[i] = assert(ws.connect(url, { compression = {
          context_takeover = true, threshold = 0 } }))
        list[i]:send(("message " .. i):rep(2000))
        assert(list[i]:receive())
      end
    end)
    local limit = memory() - (1 << 20)
    local strict = t.listen { max_memory = limit, on_message = t.echo }
    t.open(strict):finish()
    assert.equal(0, refused(strict, "memory"))
    assert.is_true(memory() < limit)
    t.pump(function()
      for i = 1, 10 do
        local text = ("again " .. i):rep(2000)
        list[i]:send(text)
        assert.equal(text, list[i]:receive())
        list[i]:close()
      end
    end)
  end)
end)
