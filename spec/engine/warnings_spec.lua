-- What a server warns of (src/engine/server_log.c): settings that let in more
-- than is meant, and peers that are refused, once a minute of each kind.

local sim = require "evws.sim"
local t = require "spec.helper"
local tls = require "spec.helper.tls"

local ws = t.ws
local every = "listening beyond this machine for pages of every origin;"
  .. " option 'origins' says which may connect"

local hello = "\22\3\1\2\0\1\0\1\252\3\3" .. ("r"):rep(32)

local lines

local function hear()
  lines = {}
  ws.log = function(level, event, fields)
    if event == "warning" then
      lines[#lines + 1] = level .. ": " .. fields.message
    end
  end
end

local function await(n)
  t.wait(function() return #lines >= n end, "a warning")
end

describe("a server warns", function()
  before_each(hear)

  after_each(function()
    ws.log = require "evws.core".log
    t.cleanup()
  end)

  it("where pages of every origin may connect from beyond this machine",
    function()
      local same, all = "same", "0.0.0.0"
      local path = os.tmpname()
      os.remove(path)
      for _, case in ipairs {
        { 1, { host = all } }, { 1, { host = "*", path = "/a" } },
        { 1, { host = all, origins = "*" } },
        { 0, { host = "127.0.0.1" } }, { 0, { host = "localhost" } },
        { 0, { host = "::1" } }, { 0, { unix = path } },
        { 0, { host = all, origins = same } },
        { 0, { host = all, origins = { "https://a.test" } } },
        { 0, { host = all, origins = function() return true end } },
        { 1, { host = all, routes = { ["/a"] = {} } } },
        { 0, { host = all, routes = { ["/a"] = { origins = same } } } },
        { 0, { host = all, routes = { ["/a"] = { origins = same },
          ["/b"] = { origins = same } } } },
        { 1, { host = all, routes = { ["/a"] = { origins = same },
          ["/b"] = {} } } },
        { 1, { host = all, routes = { ["/a"] = {},
          ["/b"] = { origins = same } } } },
        { 1, { host = all, origins = same, routes = { ["/a"] = {},
          ["/b"] = { origins = "*" } } } },
        { 0, { host = all, origins = same, routes = { ["/a"] = {} } } },
        { 0, { host = "127.0.0.1", routes = { ["/a"] = {} } } },
        { 0, { unix = path, routes = { ["/a"] = {} } } },
      } do
        hear()
        t.listen(case[2])
        assert.same(case[1] == 1 and { "warning: " .. every } or {}, lines)
        t.cleanup()
      end
    end)

  it("of an origin that it refuses, and of none", function()
    local server = t.listen { origins = { "https://a.test" } }
    assert.equal(403, (t.raw(server):upgrade {
      headers = { Origin = "https://b.test" } }))
    server = t.listen { require_origin = true }
    assert.equal(403, (t.raw(server):upgrade()))
    assert.same({ "warning: refused the origin https://b.test (403);"
      .. " option 'origins'", "warning: refused a connection without Origin"
      .. " (403); option 'require_origin'" }, lines)
  end)

  it("of TLS that it does not speak, or that fails", function()
    local server = t.listen()
    local raw = t.raw(server)
    raw:send(hello)
    await(1)
    server = t.listen(tls.options())
    raw = t.raw(server)
    raw:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    await(2)
    assert.same({ "warning: refused TLS from 127.0.0.1: this server has no"
      .. " option 'tls'", "warning: refused 127.0.0.1: TLS: http request" },
      lines)
  end)

  it("of who is no proxy of its own, by its address or its socket", function()
    local path = os.tmpname()
    os.remove(path)
    local wanted = ": a PROXY header is wanted, and it is none of option"
      .. " 'trusted_proxies'"
    t.raw(t.listen { proxy_protocol = true, trusted_proxies = { "::1" } })
    await(1)
    t.raw(t.listen { unix = path, proxy_protocol = true,
      trusted_proxies = { "::1" } })
    await(2)
    local raw = t.raw(t.listen { proxy_protocol = true,
      trusted_proxies = { "127.0.0.1" } })
    raw:send "GET / HTTP/1.1\r\n"
    await(3)
    assert.same({ "warning: refused 127.0.0.1" .. wanted,
      "warning: refused a peer on the Unix socket" .. wanted,
      "warning: refused 127.0.0.1: it sent no PROXY header" }, lines)
  end)

  it("once a minute of each kind", function()
    local server = t.listen { origins = { "https://a.test" } }
    for _ = 1, 3 do
      t.raw(server):upgrade { headers = { Origin = "https://b.test" } }
      local raw = t.raw(server)
      raw:send(hello)
      assert.equal(400, (raw:read_http()))
    end
    assert.equal(2, #lines)
    -- each server by itself
    t.raw(t.listen { require_origin = true }):upgrade()
    assert.equal(3, #lines)
  end)

  it("again when the minute is over, not before", function()
    sim.new { delay = 0 }:run(function(net)
      local url = "ws://localhost:5000/"
      local server = assert(ws.listen { port = 5000,
        origins = { "https://a.test" } })
      local function told_at(seconds)
        net:advance(seconds - net:now())
        local before = #lines
        assert.is_nil((ws.connect(url, { origin = "https://b.test" })))
        assert.equal(seconds, net:now())
        return #lines - before
      end
      local told = {}
      for _, seconds in ipairs { 1, 2, 60, 60.5, 61, 62, 120.5, 121 } do
        if told_at(seconds) == 1 then told[#told + 1] = seconds end
      end
      assert.same({ 1, 61, 121 }, told)
      server:close { timeout = 0 }
    end)
  end)
end)
