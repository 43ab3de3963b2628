-- on_request of a route: plain requests for the path of a WebSocket, and what
-- both kinds of request know: parameters, whether the origin is allowed.

local t = require "spec.helper"
local kit = require "spec.binding.kit"

local function line(method, path, more, body)
  return ("%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n%s"):format(method, path,
    more or "", body or "")
end

local function ask(raw, ...)
  raw:send(line(...))
  local status, _, body = raw:read_http()
  return status, body
end

-- Answers with a name and the path.
local function page(name)
  return function(request) return 200, name .. " " .. request.path end
end

describe("on_request of a route", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("gets the plain requests for its path, whatever their method", function()
    local methods = {}
    local server = t.listen { routes = { ["/hub/:id"] = {
      on_open = function(conn) conn:send(conn.params.id) end,
      on_request = function(request)
        methods[#methods + 1] = request.method
        return 200, request.params.id .. request.body
      end } } }
    local raw = t.raw(server)
    assert.same({ 200, "7" }, { ask(raw, "GET", "/hub/7") })
    assert.same({ 200, "8abc" }, { ask(raw, "POST", "/hub/8",
      "Content-Length: 3\r\n", "abc") })
    assert.equal(200, (ask(raw, "DELETE", "/hub/9")))
    assert.equal(200, (ask(raw, "OPTIONS", "/hub/9")))
    assert.same({ "GET", "POST", "DELETE", "OPTIONS" }, methods)
    assert.equal(404, (ask(raw, "GET", "/other")))
    local _, text = t.open(server, { path = "/hub/5" }):message()
    assert.equal("5", text)
  end)

  it("is the route's own: one beside the routes is for other paths", function()
    local server = t.listen { on_request = page "rest", routes = {
      ["/ws"] = {}, ["/a"] = { on_request = page "a" },
      ["/b/*"] = { on_request = page "b" } } }
    local raw = t.raw(server)
    for path, body in pairs { ["/a"] = "a /a", ["/b/x"] = "b /b/x",
      ["/c"] = "rest /c" } do
      assert.same({ 200, body }, { ask(raw, "GET", path) })
    end
    assert.equal(426, (ask(raw, "GET", "/ws")))
    raw = t.raw(t.listen { on_request = page "rest", path = "/ws" })
    assert.same({ 200, "rest /c" }, { ask(raw, "GET", "/c") })
    assert.equal(426, (ask(raw, "GET", "/ws")))
  end)

  it("may be added later", function()
    local server = t.listen { routes = {} }
    assert.equal(404, (ask(t.raw(server), "GET", "/a")))
    server:route("/a", { on_request = page "late" })
    assert.same({ 200, "late /a" }, { ask(t.raw(server), "GET", "/a") })
  end)

  it("leaves nothing behind for what follows on the connection", function()
    local asked
    local errors = {}
    local server = t.listen {
      on_open = function(conn) conn:send "first" end,
      on_request = page "rest",
      routes = { ["/a"] = {
        on_open = function(conn) conn:send "a" end,
        on_request = function(request)
          asked = request.params
          return 200, "a"
        end },
        ["/ws"] = {},
        ["/bad"] = { on_request = function() error "bad page" end,
          on_error = function(_, message) errors[1] = message end } } }
    local raw = t.raw(server)
    assert.same({ 200, "a" }, { ask(raw, "GET", "/a") })
    assert.same({}, asked)
    assert.same({ 200, "rest /x" }, { ask(raw, "GET", "/x") })
    assert.same({ 200, "a" }, { ask(raw, "GET", "/a") })
    assert.equal(101, (raw:upgrade { path = "/ws" }))
    assert.equal("first", select(2, raw:message()))
    assert.equal(500, (ask(t.raw(server), "GET", "/bad")))
    t.wait(function() return errors[1] end)
    t.contains(errors[1], "bad page")
  end)

  it("has the upgrade_timeout of its route", function()
    local function wait() t.ws.sleep(30) end
    local server = t.listen { upgrade_timeout = 20, routes = {
      ["/a"] = { on_request = wait, upgrade_timeout = 0.03 },
      ["/b"] = { on_upgrade = wait, upgrade_timeout = 0.03 } } }
    assert.equal(503, (ask(t.raw(server), "GET", "/a")))
    local raw = t.raw(server)
    assert.equal(503, (raw:upgrade { path = "/b" }))
  end)

  it("is told whether the origin is allowed, by the route's rules", function()
    local function told(origins, origin, require_origin)
      local seen
      local raw = t.raw(t.listen { routes = { ["/a"] = { origins = origins,
        require_origin = require_origin,
        on_request = function(request)
          seen = request.is_origin_allowed
          return 204
        end } } })
      assert.equal(204, (ask(raw, "GET", "/a", origin and "Origin: "
        .. origin .. "\r\n")))
      return seen
    end
    assert.is_true(told("*", "https://a.example"))
    assert.is_true(told("same", "http://x"))
    assert.is_false(told("same", "http://y"))
    assert.is_true(told({ "https://*.a.example" }, "https://b.a.example"))
    assert.is_false(told({ "https://*.a.example" }, "https://a.example"))
    assert.is_true(told("same", nil))
    assert.is_false(told("same", nil, true))
    local asked = {}
    local function judge(origin, request)
      t.ws.sleep(0)
      asked[#asked + 1] = origin .. request.path
      return origin == "https://good"
    end
    assert.is_true(told(judge, "https://good"))
    assert.is_false(told(judge, "https://bad"))
    assert.is_true(told(judge, nil))
    assert.same({ "https://good/a", "https://bad/a" }, asked)
  end)
end)
