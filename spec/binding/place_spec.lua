-- Errors say where they belong: what a handler returned wrongly, with the
-- hook, its place in the script and the request; what one raised, with its
-- name and the path.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains

local cookie = { ["Sec-WebSocket-Protocol"] = "v1, v2" }

-- A handler that stands at line 7 of app.lua.
local function in_app(source)
  return assert(load(("\n"):rep(6) .. "return function(...) " .. source
    .. "\nend", "@app.lua"))()
end

local function upgrade_error(source, path)
  local errors = kit.errors()
  local raw = t.raw(t.listen { on_upgrade = in_app(source) })
  assert.equal(500, (raw:upgrade { path = path or "/ws", headers = cookie }))
  assert.equal(1, #errors)
  return errors[1].message, errors[1].traceback
end

local function request_error(source, line)
  local errors = kit.errors()
  local raw = t.raw(t.listen { on_request = in_app(source) })
  raw:send((line or "GET /a?b=c") .. " HTTP/1.1\r\nHost: a\r\n\r\n")
  assert.equal(500, (raw:read_http { head = line and line:find "HEAD" }))
  assert.equal(1, #errors)
  return errors[1].message, errors[1].traceback
end

describe("the place of an error", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("is told of what on_upgrade returned", function()
    local expected = ": nothing, a table or a status (300 to 599) expected"
    for source, text in pairs {
      ["return false"] = "returned false" .. expected,
      ["return true"] = "returned true" .. expected,
      ["return 200"] = "returned 200" .. expected,
      ["return 600"] = "returned 600" .. expected,
      ["return 'no'"] = 'returned the string "no"' .. expected,
      ["return print"] = "returned a function" .. expected,
      ["return 403, {}"] = "returned a table as body: a string expected",
      ["return 403, true"] = "returned true as body: a string expected",
      ["return 403, '', 'X: y'"] = "returned bad headers: a table of headers "
        .. 'expected, got the string "X: y"',
      ["return 403, '', { Connection = 'x' }"] = "returned bad headers: "
        .. "header 'Connection' cannot be set",
      ["return { headers = 5 }"] = "returned bad headers: a table of headers "
        .. "expected, got 5",
      ["return { headers = { ['X-A'] = true } }"] = "returned bad headers: "
        .. "bad value for header 'X-A' (string expected, got true)",
      ["return { headers = { ['X-A'] = 'a\\nb' } }"] = "returned bad headers: "
        .. "bad value for header 'X-A' (a control character)",
      ["return { subprotocol = 'v3' }"] = "returned subprotocol 'v3', which "
        .. "was not offered",
      ["return { subprotocol = 1 }"] = "returned 1 as subprotocol: a string "
        .. "expected",
      ["return { status = 401 }"] = "returned a table with 'status': data, "
        .. "headers and subprotocol may be in it (a refusal is: return 403, "
        .. "body, headers)",
      ["return { 401 }"] = "returned a table with '1': data, headers and "
        .. "subprotocol may be in it (a refusal is: return 403, body, headers)",
    } do
      assert.equal("on_upgrade (app.lua:7) of GET /ws " .. text,
        (upgrade_error(source)))
    end
  end)

  it("is told of what on_request returned", function()
    local expected = ": nothing or a status (200 to 599) expected"
    for source, text in pairs {
      ["return false"] = "returned false" .. expected,
      ["return 'hello'"] = 'returned the string "hello"' .. expected,
      ["return 199"] = "returned 199" .. expected,
      ["return {}"] = "returned a table" .. expected,
      ["return 99, print"] = "returned 99" .. expected,
      ["return 200, {}"] = "returned a table as body: a string or a function "
        .. "expected",
      ["return 200, '', 7"] = "returned bad headers: a table of headers "
        .. "expected, got 7",
      ["return 200, print, { Upgrade = '1' }"] = "returned bad headers: header "
        .. "'Upgrade' cannot be set",
      ["return 200, '', { 'X: y' }"] = "returned bad headers: header names "
        .. "must be strings",
    } do
      assert.equal("on_request (app.lua:7) of GET /a " .. text,
        (request_error(source)))
    end
  end)

  it("is the method and path that came, cut", function()
    contains(request_error("return false", "HEAD /x"),
      "on_request (app.lua:7) of HEAD /x returned false")
    contains(request_error("return false", "DELETE /" .. ("p"):rep(200)),
      " of DELETE /" .. ("p"):rep(99) .. "... returned false")
  end)

  it("outlives what a script does to the request", function()
    for _, source in ipairs { "local r = ... r.path = nil return false",
      "local r = ... r.path, r.method = {}, print return false" } do
      contains(upgrade_error(source), " returned false: nothing")
    end
  end)

  it("needs no line where the handler has none", function()
    local errors = kit.errors()
    local raw = t.raw(t.listen { on_upgrade = rawequal })
    assert.equal(500, (raw:upgrade { path = "/ws" }))
    contains(errors[1].message, "bad argument #2")
    raw = t.raw(t.listen { on_upgrade = type })
    assert.equal(500, (raw:upgrade { path = "/ws" }))
    contains(errors[2].message, 'on_upgrade of GET /ws returned the string '
      .. '"table"')
  end)

  it("is in the traceback of what a request's handler raised", function()
    local message, traceback = upgrade_error("error 'boom'", "/a/b")
    assert.equal("app.lua:7: boom", message)
    assert.equal("in on_upgrade of GET /a/b: app.lua:7: boom\n",
      traceback:match "^[^\n]*\n")
    message, traceback = request_error("error 'boom'", "PUT /c")
    assert.equal("app.lua:7: boom", message)
    assert.equal("in on_request of PUT /c: app.lua:7: boom\n",
      traceback:match "^[^\n]*\n")
  end)

  it("is in the traceback of what a connection's handler raised", function()
    local log = {}
    local default = ws.log
    finally(function() ws.log = default end)
    ws.log = function(_, event, fields)
      if event == "handler_error" then log[#log + 1] = fields end
    end
    for name, provoke in pairs {
      on_open = function() end,
      on_message = function(raw) raw:send(t.frame("text", "x")) end,
      on_chunk = function(raw) raw:send(t.frame("text", "x")) end,
      on_ping = function(raw) raw:send(t.frame("ping", "x")) end,
      on_pong = function(raw) raw:send(t.frame("pong", "x")) end,
      on_close = function(raw) raw:finish() end,
    } do
      local errors = kit.errors()
      log = {}
      local server = t.listen { on_message = name == "on_ping" and t.echo
        or nil, [name] = in_app "error 'boom'" }
      provoke(t.open(server, { path = "/ws?x=1" }))
      t.wait(function() return errors[1] end)
      assert.equal("app.lua:7: boom", errors[1].message)
      assert.equal("in " .. name .. " of /ws: app.lua:7: boom",
        errors[1].traceback:match "^[^\n]*")
      assert.same({ name, "/ws" }, { log[1].handler, log[1].path })
    end
  end)

  it("is that of the handler that raised, not of one before it", function()
    local errors = kit.errors()
    local server = t.listen { on_message = function() end,
      on_ping = function() end, on_close = in_app "error 'boom'" }
    local raw = t.open(server, { path = "/x" })
    raw:send(t.frame("text", "a") .. t.frame("ping", "b"))
    raw:expect_frame("pong", "b")
    raw:finish()
    t.wait(function() return errors[1] end)
    contains(errors[1].traceback, "in on_close of /x: ")
    ws.spawn(in_app "error 'alone'")
    t.wait(function() return errors[2] end)
    assert.equal("app.lua:7: alone", errors[2].traceback:match "^[^\n]*")
  end)

  it("is on stderr where nobody takes errors", function()
    local child = kit.run [[
      local server = assert(ws.listen { port = 0, host = "127.0.0.1",
        on_message = function() error "boom" end,
        on_close = function() ws.stop() end })
      say(server.port)
      ws.run()
    ]]
    local raw = t.open(tonumber((child:wait "^(%d+)$")), { path = "/a" })
    raw:send(t.frame("text", "x"))
    raw:expect_close(1011)
    assert.equal(0, child:ended())
    assert.matches("^evws: in on_message of /a: .-boom\n", child:errors())
  end)

  it("of headers is the option of ws.connect", function()
    for _, headers in ipairs { "X: y", 5, { Host = "x" }, { "X: y" } } do
      contains(kit.refusal(function()
        local conn = ws.connect("ws://127.0.0.1:1", { headers = headers })
        return conn
      end), "bad option 'headers' (")
    end
  end)
end)
