-- Several routes of one server: patterns, their handlers and options, what
-- they inherit, and those that are added later.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local contains, refused = t.contains, kit.refused

-- A handler that says who it is.
local function says(name)
  return { on_open = function(conn) conn:send(name) end }
end

local function said(server, path)
  local raw = t.open(server, { path = path })
  local _, text = raw:message()
  raw:close()
  return text
end

local function status(server, path, options)
  local raw = t.raw(server)
  options = options or {}
  options.path = path
  local code, headers = raw:upgrade(options)
  raw:close()
  return code, headers
end

local function get(server, path)
  local raw = t.raw(server)
  raw:send("GET " .. path .. " HTTP/1.1\r\nHost: x\r\n\r\n")
  local code, headers, body = raw:read_http()
  raw:close()
  return code, headers, body
end

describe("routes", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("have handlers of their own, the most specific pattern's first",
    function()
      local server = t.listen { routes = {
        ["/chat/:room"] = says "room", ["/chat/lobby"] = says "lobby",
        ["/chat/*"] = says "rest", ["/"] = says "root" } }
      assert.equal("lobby", said(server, "/chat/lobby"))
      assert.equal("room", said(server, "/chat/other?x=1"))
      assert.equal("rest", said(server, "/chat/a/b"))
      assert.equal("root", said(server, "/"))
    end)

  it("fill conn.params and request.params, also after the end", function()
    local asked, kept
    local server = t.listen { routes = { ["/chat/:room/*"] = {
      on_upgrade = function(request) asked = request.params end,
      on_open = function(conn) kept = conn; conn:send(conn.params.room) end
    } } }
    assert.equal("caf\u{E9}", said(server, "/chat/caf%C3%A9/x/y"))
    assert.same({ room = "caf\u{E9}", ["*"] = "x/y" }, asked)
    t.wait(function() return kept.state == "closed" end)
    assert.same({ room = "caf\u{E9}", ["*"] = "x/y" }, kept.params)
  end)

  it("belong to every spelling of their paths, which stay as sent", function()
    local asked
    local options = { on_upgrade = function(request) asked = request.path end,
      on_open = function(conn) conn:send(conn.path) end }
    local servers = {
      t.listen { routes = { ["/caf\u{E9}/~:x"] = options } },
      t.listen { path = "/caf%C3%A9/%7e:x", on_upgrade = options.on_upgrade,
        on_open = options.on_open } }
    for _, server in ipairs(servers) do
      for _, path in ipairs { "/caf\u{E9}/~:x", "/caf%c3%a9/~:x",
        "/%63af%C3%A9/%7E:x" } do
        assert.equal(path, said(server, path))
        assert.equal(path, asked)
        assert.equal(426, (get(server, path)))
      end
      assert.equal(404, (status(server, "/caf%C3%A9%2F~:x")))
    end
    contains(refused { port = 0, routes = {
      ["/caf\u{E9}"] = {}, ["/caf%c3%a9"] = {} } },
      "(there is one for the same paths)")
    contains(refused { port = 0, path = "/caf\xE9" }, "it is not UTF-8")
  end)

  it("answer 404 elsewhere, 426 to a plain request, 405 to another method",
    function()
      local server = t.listen { routes = { ["/ws/:id"] = says "x" } }
      assert.equal(404, (status(server, "/ws")))
      assert.equal(404, (status(server, "/other")))
      assert.equal(404, (status(server, "/ws/%00")))
      local code, headers = get(server, "/ws/1")
      assert.equal(426, code)
      assert.equal("websocket", headers.upgrade)
      assert.equal(404, (get(server, "/other")))
      local raw = t.raw(server)
      raw:send("POST /ws/1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        .. "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
      assert.equal(405, (raw:read_http()))
    end)

  it("leave plain requests for other paths to on_request", function()
    local params
    local server = t.listen { routes = { ["/ws/:id"] = says "x" },
      on_request = function(request)
        params = request.params
        return 200, request.path
      end }
    local code, _, body = get(server, "/page/1")
    assert.same({ 200, "/page/1" }, { code, body })
    assert.same({}, params)
    assert.equal(426, (get(server, "/ws/1")))
    assert.equal(404, (status(server, "/page/1")))
  end)

  it("BI-58: are all guarded by an on_upgrade beside them", function()
    local server = t.listen {
      routes = { ["/a"] = says "a", ["/b/:x"] = says "b",
        ["/open"] = { on_upgrade = function() end,
          on_open = says "open".on_open } },
      on_upgrade = function(request)
        if request.headers.authorization ~= "yes" then return 401 end
      end }
    server:route("/late", says "late")
    for _, path in ipairs { "/a", "/b/1", "/late" } do
      assert.equal(401, (status(server, path)))
      assert.equal(101, (status(server, path,
        { headers = { ["Authorization"] = "yes" } })))
    end
    assert.equal("open", said(server, "/open"))
  end)

  it("inherit every handler and option they do not set", function()
    local ends = {}
    local server = t.listen {
      max_message = 10, subprotocols = { "base" }, require_origin = true,
      on_message = function(conn, m) conn:send("base " .. m) end,
      on_close = function(conn, code) ends[conn.path] = code end,
      routes = { ["/plain"] = {}, ["/own"] = {
        max_message = 20, subprotocols = { "own" }, require_origin = false,
        on_message = function(conn, m) conn:send("own " .. m) end } } }
    assert.equal(403, (status(server, "/plain")))
    local both = { "Sec-WebSocket-Protocol: own, base", "Origin: http://a" }
    for path, name in pairs { ["/plain"] = "base", ["/own"] = "own" } do
      local raw = t.raw(server)
      local code, headers = raw:upgrade { path = path, headers = both }
      assert.equal(101, code)
      assert.equal(name, headers["sec-websocket-protocol"])
      raw:send(t.frame("text", "hi"))
      raw:expect_frame("text", name .. " hi")
      raw:send(t.frame("text", ("x"):rep(15)))
      if name == "own" then
        raw:expect_frame("text", "own " .. ("x"):rep(15))
        raw:finish()
      else
        raw:expect_close(1009)
      end
      t.wait(function() return ends[path] end)
    end
    assert.same({ ["/plain"] = 1009, ["/own"] = 1000 }, ends)
  end)

  it("have origins of their own", function()
    local server = t.listen { origins = { "https://a.example" }, routes = {
      ["/a"] = says "a", ["/b"] = { origins = { "https://b.example" } },
      ["/c"] = { origins = function(origin) return origin:find "c%." end } } }
    for path, good in pairs { ["/a"] = "a", ["/b"] = "b", ["/c"] = "c" } do
      for _, who in ipairs { "a", "b", "c" } do
        assert.equal(who == good and 101 or 403, (status(server, path,
          { headers = { Origin = ("https://%s.example"):format(who) } })))
      end
    end
  end)

  it("tell errors to their own on_error", function()
    local told = {}
    local function on_error(name)
      return function(_, message) told[#told + 1] = name .. message end
    end
    local function fail() error("x", 0) end
    local server = t.listen { on_error = on_error "base ", on_open = fail,
      routes = { ["/a"] = {}, ["/b"] = { on_error = on_error "own " },
        ["/c"] = { on_upgrade = fail, on_error = on_error "upgrade " } } }
    t.open(server, { path = "/a" }):expect_close(1011)
    t.open(server, { path = "/b" }):expect_close(1011)
    assert.equal(500, (status(server, "/c")))
    t.wait(function() return #told == 3 end)
    assert.same({ "base x", "own x", "upgrade x" }, told)
  end)

  it("may be added while the server runs", function()
    local server = t.listen { routes = {} }
    assert.equal(404, (status(server, "/a/1")))
    assert.equal(server, server:route("/a/:x", says "a"))
    assert.equal("a", said(server, "/a/1"))
    server:route("/a/1", says "one")
    assert.equal("one", said(server, "/a/1"))
    server:close()
    local ok, why = server:route("/b", {})
    assert.is_nil(ok)
    assert.equal("closed", why)
  end)

  it("come before the server that accepts every path, which stays", function()
    local server = t.listen { on_open = says "any".on_open }
    server:route("/a", says "a")
    assert.equal("a", said(server, "/a"))
    assert.equal("any", said(server, "/b"))
  end)

  it("are one with `path`, which may be a pattern too", function()
    local server = t.listen { path = "/chat/:room",
      on_open = function(conn) conn:send(conn.params.room) end }
    assert.equal("x", said(server, "/chat/x"))
    assert.equal(404, (status(server, "/chat")))
    server:route("/b", says "b")
    assert.equal("b", said(server, "/b"))
  end)

  it("keep what they hold as long as a connection needs it", function()
    local closed
    local held = setmetatable({}, { __mode = "k" })
    local function handler()
      local own = {}
      held[own] = true
      return function(conn) closed = own and conn.params ~= nil end
    end
    local server = t.listen { routes = { ["/a"] = { on_close = handler() } } }
    server:route("/b", { on_close = handler() })
    local raw = t.open(server, { path = "/a" })
    collectgarbage()
    raw:finish()
    t.wait(function() return closed end)
    collectgarbage()
    local n = 0
    for _ in pairs(held) do n = n + 1 end
    assert.equal(2, n)
    t.pump(server.close, server)
    server = nil -- luacheck: ignore 311
    t.cleanup() -- holds it, too
    t.wait(function()
      collectgarbage()
      return not next(held)
    end, "the handlers to go")
  end)

  it("that are malformed raise at the caller's line", function()
    contains(refused { port = 0, routes = 1 }, "bad option 'routes'")
    contains(refused { port = 0, routes = { {} } }, "a table of paths")
    contains(refused { port = 0, routes = { ["/a"] = print } },
      "bad route '/a' (a table of handlers and options expected)")
    contains(refused { port = 0, routes = { a = {} } },
      "bad route 'a' (it does not start with '/')")
    contains(refused { port = 0, routes = { ["/:a"] = {}, ["/:b"] = {} } },
      "there is one for the same paths")
    contains(refused { port = 0, path = "/a", routes = {} },
      "options 'path' and 'routes' exclude each other")
    contains(refused { port = 0, path = "/*/a" }, "bad option 'path'")
    contains(refused { port = 0, routes = { ["/a"] = { on_mesage = print } } },
      "unknown option 'on_mesage' for 'route' (did you mean 'on_message'?)")
    contains(refused { port = 0, routes = { ["/a"] = { max_message = "x" } } },
      "bad option 'max_message'")
    for _, name in ipairs { "port", "max_headers", "hosts", "max_body",
      "handshake_timeout", "routes", "path" } do
      local why = refused { port = 0, routes = { ["/a"] = { [name] = 1 } } }
      contains(why, ("option '%s' belongs to 'listen', not to a route")
        :format(name))
    end
  end)

  it("added with bad arguments raise, and change nothing", function()
    local server = t.listen { routes = { ["/a"] = says "a" } }
    for _, call in ipairs { { 1, {} }, { "/b" }, { "b", {} }, { "/a", {} },
      { "/b", { on_open = 1 } }, { "/b", { max_message = -1 } } } do
      assert.is_false((pcall(server.route, server, call[1], call[2])))
    end
    assert.equal("a", said(server, "/a"))
    assert.equal(404, (status(server, "/b")))
  end)
end)
