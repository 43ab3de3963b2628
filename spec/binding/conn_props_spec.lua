-- What can be read of a connection, before, while and after it is open, and
-- the one thing that can be written: data.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains
local url_of = t.url_of

describe("a property", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("tells of an accepted connection what its request said", function()
    local conn, raw, server = kit.pair({ subprotocols = { "v1" } }, {
      path = "/a/b%20c?x=1&y=2",
      headers = { Origin = "https://client.example",
        ["Sec-WebSocket-Protocol"] = "v1" },
    })
    local _, port = raw.socket:sockname()
    for name, value in pairs { path = "/a/b%20c", query = "x=1&y=2",
      origin = "https://client.example", subprotocol = "v1",
      remote_address = "127.0.0.1", remote_port = port, secure = false,
      state = "open", buffered = 0, server = server } do
      assert.equal(value, conn[name], name)
    end
    assert.equal("integer", math.type(conn.id))
  end)

  it("that was not in the request is nil", function()
    local conn = kit.pair()
    assert.equal("/", conn.path)
    for _, name in ipairs { "query", "origin", "subprotocol", "latency",
      "data", "anything" } do
      assert.is_nil(conn[name])
    end
    assert.is_nil(conn[1])
    assert.is_nil(conn[true])
  end)

  it("tells of a client's connection where it leads", function()
    local server = t.listen { subprotocols = { "v1" } }
    local conn <close> = assert(ws.connect(url_of(server) .. "/x?y=1",
      { subprotocols = { "v1" } }))
    for name, value in pairs { path = "/x", query = "y=1",
      subprotocol = "v1", remote_address = "127.0.0.1",
      remote_port = server.port, secure = false, state = "open" } do
      assert.equal(value, conn[name], name)
    end
    assert.is_nil(conn.server)
    assert.is_nil(conn.origin)
    assert.is_nil(conn.request)
  end)

  it("is there after the end", function()
    local conn, raw = kit.pair(nil, { path = "/x?y=1",
      headers = { Origin = "https://client.example" } })
    conn.data = "mine"
    local id = conn.id
    raw:finish()
    t.wait(function() return conn.state == "closed" end)
    for _ = 1, 5 do t.turn() end
    for name, value in pairs { path = "/x", query = "y=1", id = id,
      origin = "https://client.example", remote_address = "127.0.0.1",
      state = "closed", buffered = 0, data = "mine", secure = false } do
      assert.equal(value, conn[name], name)
    end
  end)

  describe("state", function()
    it("is connecting, open, closing, closed", function()
      local states = {}
      local server = t.listen {}
      local conn
      conn = ws.connect(url_of(server), {
        on_open = function(c) states[#states + 1] = c.state end,
        on_close = function(c) states[#states + 1] = c.state end,
      })
      states[1] = conn.state
      t.wait(function() return conn.state == "open" end)
      conn:close()
      states[#states + 1] = conn.state
      t.wait(function() return states[4] end)
      assert.same({ "connecting", "open", "closing", "closed" }, states)
    end)

    it("is in what tostring says", function()
      local conn, raw = kit.pair()
      assert.equal(("evws.conn: %d (open)"):format(conn.id), tostring(conn))
      raw:finish()
      t.wait(function() return conn.state == "closed" end)
      assert.equal(("evws.conn: %d (closed)"):format(conn.id),
        tostring(conn))
    end)
  end)

  describe("id", function()
    it("is never used twice in a process", function()
      local seen, n = {}, 0
      local function note(conn)
        assert.is_nil(seen[conn.id])
        seen[conn.id] = true
        n = n + 1
      end
      local first = t.listen { on_open = note }
      local second = t.listen { on_open = note }
      for _ = 1, 3 do
        for _, server in ipairs { first, second } do
          local conn <close> = assert(ws.connect(url_of(server)))
          note(conn)
        end
      end
      assert.equal(12, n)
    end)
  end)

  describe("remote_address", function()
    it("is IPv4 where the peer is, whatever listens", function()
      for _, host in ipairs { "*", "localhost", "127.0.0.1" } do
        local conn, raw = kit.pair({ host = host, origins = "same" })
        assert.equal("127.0.0.1", conn.remote_address)
        raw:close()
      end
    end)

    it("is IPv6 where the peer is", function()
      local conn = kit.pair({ host = "::1" }, { address = "::1" })
      assert.equal("::1", conn.remote_address)
    end)

    it("is empty, without a port, for a Unix socket", function()
      local path = os.tmpname()
      os.remove(path)
      local conn = kit.pair { unix = path }
      assert.equal("", conn.remote_address)
      assert.equal(0, conn.remote_port)
    end)
  end)

  describe("data", function()
    it("is the application's, of any type", function()
      local conn = kit.pair()
      for _, value in ipairs { 1, "x", {}, false, print, conn } do
        conn.data = value
        assert.equal(value, conn.data)
      end
      conn.data = nil
      assert.is_nil(conn.data)
    end)

    it("is the only one that can be set", function()
      local conn = kit.pair()
      for _, name in ipairs { "id", "state", "send", "mine", 1, true } do
        local why = kit.refusal(function() conn[name] = 1 end)
        assert.is_truthy(why:find("cannot set '" .. tostring(name) .. "'", 1,
          true), why)
      end
      assert.equal("open", conn.state)
    end)
  end)

  describe("request", function()
    local function headers(raw_options)
      raw_options.headers = { ["X-Token"] = "abc", ["X-List"] = { "a", "b" } }
      return raw_options
    end

    it("is there until on_open returns, and after if it was read", function()
      local seen, method, list
      local conn = kit.pair({ on_open = function(c)
        seen = c.request
        method, list = c.request.method, c.request.headers["x-list"]
      end }, headers {})
      assert.equal("GET", method)
      assert.equal("a, b", list)
      assert.equal(seen, conn.request)
      assert.equal("abc", conn.request.headers["x-token"])
      assert.is_true(conn.request.is_websocket)
    end)

    it("raises later if it was not, and says when it may be read", function()
      local waited
      local conn, raw = kit.pair({ on_open = function(c)
        ws.sleep(0)
        waited = select(2, pcall(function() return c.request end))
      end }, headers {})
      local gone = "the request is gone: read conn.request in on_open, before "
        .. "that waits or returns"
      contains(kit.refusal(function() return conn.request end), gone)
      t.wait(function() return waited end)
      contains(waited, gone)
      raw:finish()
      t.wait(function() return conn.state == "closed" end)
      contains(kit.refusal(function() return conn.request end), gone)
    end)

    it("stays when on_open has waited after reading it", function()
      local token
      local conn = kit.pair({ on_open = function(c)
        local first = c.request
        ws.sleep(0)
        token = c.request == first and c.request.headers["x-token"]
      end }, headers {})
      t.wait(function() return token end)
      assert.equal("abc", token)
      assert.equal("abc", conn.request.headers["x-token"])
    end)
  end)
end)
