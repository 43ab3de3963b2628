-- Options that are lists (origins, hosts, subprotocols): what is accepted as
-- one, and what each form of them lets in.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains, refused = t.contains, kit.refused

-- The status of an upgrade with this Origin, false: without one.
local function status_of(server, origin, host)
  local raw = t.raw(server)
  local status = raw:upgrade { host = host,
    headers = { Origin = origin or nil } }
  raw:close()
  return status
end

describe("a list option", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("is a list of strings and nothing else", function()
    for _, name in ipairs { "origins", "hosts", "subprotocols" } do
      for _, value in ipairs { 5, true, { 5 }, { "a", {} }, { a = "b" },
        { "a", x = "b" } } do
        contains(refused { port = 0, [name] = value }, "'" .. name .. "'")
      end
    end
  end)

  it("of origins has patterns that can match", function()
    for _, value in ipairs { "any", "", { "example.com" }, { "https://" },
      { "https://a.com/" }, { "https://*" }, { "https://a.*.com" },
      { "https://a.com/path" }, { "https://a b.com" }, { "" } } do
      contains(refused { port = 0, origins = value }, "'origins'")
    end
  end)

  it("of hosts has host names", function()
    for _, value in ipairs { "any", { "" }, { "a b" }, { "http://a" },
      { "a/b" } } do
      contains(refused { port = 0, hosts = value }, "'hosts'")
    end
  end)

  it("of subprotocols has tokens, for connect too", function()
    for _, value in ipairs { { "" }, { "a b" }, { "a," }, { "\xc3\xa9" } } do
      contains(refused { port = 0, subprotocols = value }, "'subprotocols'")
      contains(kit.refusal(function()
        local conn = ws.connect("ws://127.0.0.1:1", { subprotocols = value })
        return conn
      end), "'subprotocols'")
    end
  end)

  describe("of origins", function()
    it("is \"*\" by default: every origin, and none", function()
      local server = t.listen {}
      assert.equal(101, status_of(server, "https://anywhere.example"))
      assert.equal(101, status_of(server, "null"))
      assert.equal(101, status_of(server, false))
      assert.equal(101, status_of(t.listen { origins = "*" },
        "https://anywhere.example"))
    end)

    it("may be \"same\": Origin's host and port are Host's", function()
      local server = t.listen { origins = "same" }
      local here = "127.0.0.1:" .. server.port
      assert.equal(101, status_of(server, "http://" .. here))
      assert.equal(101, status_of(server, "http://EXAMPLE.com", "example.com"))
      assert.equal(101, status_of(server, "http://a.com", "a.com:80"))
      assert.equal(101, status_of(server, "http://a.com", "a.com:"))
      assert.equal(101, status_of(server, "http://[::1]", "[::1]:"))
      assert.equal(101, status_of(server, "http://a.com", "a.com."))
      assert.equal(101, status_of(server, "http://a.com.", "a.com:80"))
      assert.equal(403, status_of(server, "http://127.0.0.1:1"))
      assert.equal(403, status_of(server, "http://evil.example"))
      assert.equal(101, status_of(server, false))
    end)

    it("may be a list of exact origins and host wildcards", function()
      local server = t.listen { origins = { "https://client.com",
        "https://*.client.com.", "http://local.:8080" } }
      for origin, status in pairs { ["https://client.com"] = 101,
        ["https://client.com:443"] = 101, ["HTTPS://Client.COM"] = 101,
        ["https://a.client.com"] = 101, ["https://a.b.client.com"] = 101,
        ["http://local:8080"] = 101, ["http://client.com"] = 403,
        ["https://client.com:444"] = 403, ["https://evilclient.com"] = 403,
        ["https://client.com.evil.com"] = 403, ["http://local"] = 403,
        ["https://client.com."] = 101, ["http://local.:8080"] = 101,
        ["https://evil.com."] = 403, ["null"] = 403, ["file://"] = 403 } do
        assert.equal(status, status_of(server, origin), origin)
      end
      assert.equal(101, status_of(server, false))
    end)

    it("may name pages without a host", function()
      local server = t.listen { origins = { "null", "https://client.com" } }
      for origin, status in pairs { null = 101, NULL = 403, ["file://"] = 403,
        ["https://client.com"] = 101, ["http://null"] = 403 } do
        assert.equal(status, status_of(server, origin), origin)
      end
      server = t.listen { origins = { "file://" } }
      for origin, status in pairs { null = 403, ["file://"] = 101,
        ["file:///"] = 403, ["file://x"] = 403 } do
        assert.equal(status, status_of(server, origin), origin)
      end
      assert.equal(403, status_of(t.listen { origins = "same" }, "null"))
    end)

    it("may be a function, which may wait", function()
      local seen = {}
      local server = t.listen {
        origins = function(origin, request)
          ws.sleep(0)
          seen[#seen + 1] = { origin, request.path, request.origin }
          return origin == "https://good.example"
        end,
      }
      assert.equal(101, status_of(server, "https://good.example"))
      assert.equal(403, status_of(server, "https://bad.example"))
      assert.equal(101, status_of(server, false))
      assert.same({ { "https://good.example", "/", "https://good.example" },
        { "https://bad.example", "/", "https://bad.example" } }, seen)
    end)

    it("may be a function that raises: 500 and on_error", function()
      local errors = kit.errors()
      local server = t.listen { origins = function() error "boom" end }
      assert.equal(500, status_of(server, "https://good.example"))
      assert.equal(1, #errors)
      contains(errors[1].message, "boom")
    end)

    it("comes before on_upgrade", function()
      local asked = 0
      local server = t.listen { origins = function() return false end,
        on_upgrade = function() asked = asked + 1 end }
      assert.equal(403, status_of(server, "https://good.example"))
      assert.equal(0, asked)
      assert.equal(101, status_of(server, false))
      assert.equal(1, asked)
    end)

    it("with require_origin refuses those without", function()
      local server = t.listen { require_origin = true }
      assert.equal(403, status_of(server, false))
      assert.equal(101, status_of(server, "https://anywhere.example"))
    end)

    it("logs a refusal once, with the option to set", function()
      local child = kit.run [[
        local server = assert(ws.listen { port = 0, host = "127.0.0.1",
          origins = { "https://client.com" } })
        say(server.port)
        ws.run()
      ]]
      local port = tonumber((child:wait "^(%d+)$"))
      assert.equal(403, status_of(port, "https://evil.example"))
      assert.equal(403, status_of(port, "https://evil.example"))
      contains(child:errors(), "https://evil.example")
      contains(child:errors(), "option 'origins'")
      local _, lines = child:errors():gsub("\n", "")
      assert.equal(1, lines)
    end)

    it("unset beyond loopback logs one warning", function()
      local child = kit.run [[
        local options = { port = 0, host = "*" }
        assert(ws.listen(options)):close()
        options.origins = "same"
        assert(ws.listen(options)):close()
        options.origins, options.host = nil, "localhost"
        assert(ws.listen(options)):close()
      ]]
      assert.equal(0, child:ended())
      contains(child:errors(), "'origins'")
      local _, lines = child:errors():gsub("\n", "")
      assert.equal(1, lines)
    end)
  end)

  describe("of hosts", function()
    local function status_with(server, host)
      local raw = t.raw(server)
      local status = raw:upgrade { host = host }
      raw:close()
      return status
    end

    it("is \"*\" by default", function()
      assert.equal(101, status_with(t.listen {}, "anything.example"))
      assert.equal(101, status_with(t.listen { hosts = "*" }, "any.example"))
    end)

    it("names who is answered; others get 421", function()
      local server = t.listen { hosts = { "a.example.", "*.b.example" } }
      assert.equal(101, status_with(server, "a.example"))
      assert.equal(101, status_with(server, "A.Example:8080"))
      assert.equal(101, status_with(server, "x.b.example"))
      assert.equal(421, status_with(server, "b.example"))
      assert.equal(421, status_with(server, "c.example"))
      assert.equal(421, status_with(server, "127.0.0.1"))
    end)

    it("may be \"auto\": this machine's names", function()
      local server = t.listen { hosts = "auto" }
      for host, status in pairs { localhost = 101, ["localhost:80"] = 101,
        ["127.0.0.1"] = 101, ["[::1]"] = 101, ["app.localhost"] = 101,
        ["localhost:"] = 101, ["[::1]:"] = 101, ["rebound.example:"] = 421,
        ["localhost."] = 101, ["app.localhost.:80"] = 101,
        ["localhost.rebound.example."] = 421,
        ["rebound.example"] = 421 } do
        assert.equal(status, status_with(server, host), host)
      end
    end)

    it("\"auto\" is for every name of the loopback", function()
      for _, host in ipairs { "127.0.0.1", "127.9.9.9", "LOCALHOST",
        "localhost.", "app.localhost", "::1", "0:0:0:0:0:0:0:1" } do
        local server = t.listen { host = host, hosts = "auto" }
        local at = host:find ":" and "::1" or host:find "^127" and host
          or "127.0.0.1"
        local raw = t.raw(server, { address = at })
        assert.equal(421, (raw:upgrade { host = "rebound.example" }))
        raw:close()
      end
    end)

    it("counts for plain requests as well", function()
      local server = t.listen { hosts = { "a.example" },
        on_request = function() return 200 end }
      local raw = t.raw(server)
      raw:send "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
      assert.equal(200, (raw:read_http()))
      raw:send "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n"
      assert.equal(421, (raw:read_http()))
    end)
  end)

  describe("of subprotocols", function()
    local function chosen(server, offered)
      local raw = t.raw(server)
      local status, headers = raw:upgrade {
        headers = { ["Sec-WebSocket-Protocol"] = offered } }
      assert.equal(101, status)
      raw:close()
      return headers["sec-websocket-protocol"]
    end

    it("is in the server's order", function()
      local server = t.listen { subprotocols = { "v2", "v1" } }
      assert.equal("v2", chosen(server, "v1, v2"))
      assert.equal("v2", chosen(server, { "v1", "v2" }))
      assert.equal("v1", chosen(server, "v0, v1"))
    end)

    it("without a match connects without one", function()
      local server = t.listen { subprotocols = { "v2" } }
      assert.is_nil(chosen(server, "v1"))
      assert.is_nil(chosen(server, nil))
      assert.is_nil(chosen(server, "V2"))
      assert.is_nil(chosen(t.listen {}, "v1"))
    end)

    it("is what conn.subprotocol says, at both ends", function()
      local ends = {}
      local server = t.listen { subprotocols = { "v2", "v1" },
        on_open = function(conn)
          ends[#ends + 1] = conn.subprotocol or "none"
        end }
      local url = "ws://127.0.0.1:" .. server.port
      for _, row in ipairs { { { "v1" }, "v1" }, { { "v1", "v2" }, "v2" },
        { { "x" } } } do
        local conn <close> = assert(ws.connect(url,
          { subprotocols = row[1] }))
        assert.equal(row[2], conn.subprotocol)
      end
      assert.same({ "v1", "v2", "none" }, ends)
    end)
  end)
end)
