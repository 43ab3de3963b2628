-- Where it is said that a hub was given something wrongly: in the line that
-- called, whole.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local kit = require "spec.signalr.kit"
local signalr = require "evws.signalr"
local places = require "spec.helper.places"
local t = require "spec.helper"

local said, check = places.said, places.check

local group_of = "bad argument to '%s' (a group's name of 1 to 1024 bytes "
  .. "expected)"
local path = "bad argument #%d to '%s' (a path expected)"
local text_of = "bad argument #1 to '%s' (string expected, got %s)"
local list = "bad argument #1 to '%s' (a list expected)"
local strings = "bad argument #1 to '%s' (a list of strings expected)"
local method = "bad argument #1 to '%s' (a method's name expected)"

describe("what is wrong is said at the caller's line", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  -- A hub, a client of it, and its context.
  local function party(more)
    local ctx
    local options = { methods = { Look = function(own) ctx = own end } }
    for name, value in pairs(more or {}) do options[name] = value end
    local hub = kit.hub(options)
    local c = kit.client(hub)
    c:say { type = 1, target = "Look", arguments = {} }
    return hub, c, ctx
  end

  it("by a hub", function()
    local hub = kit.hub {}
    local server = t.listen()
    check(hub, { { path:format(1, "routes"), "routes", "x" },
      { path:format(1, "routes"), "routes", 1 },
      { path:format(2, "mount"), "mount", server, "x" },
      { "bad argument #1 to 'mount' (a server expected)", "mount", "x", "/" },
      { "bad argument #1 to 'close' (table expected, got number)", "close", 1 },
      { "bad option 'timeout' for 'close' (seconds expected)", "close",
        { timeout = -1 } } })
    assert.equal("caller:3: call hub:routes, not hub.routes",
      said(hub.routes, "/x"))
    assert.is_false(hub:is_leaving())
  end)

  it("by groups and a context, and names of 1 to 1024 bytes are taken",
    function()
      local hub, c, ctx = party()
      local id = c.session.id
      for _, name in ipairs { "", ("x"):rep(1025), 1 } do
        check(hub.groups, { { group_of:format "add", "add", id, name },
          { group_of:format "remove", "remove", id, name } })
        check(ctx, { { group_of:format "join", "join", name },
          { group_of:format "leave", "leave", name } })
      end
      for _, name in ipairs { "x", ("x"):rep(1024) } do
        assert.is_true(ctx:join(name))
        assert.equal(1, hub.clients:group(name):send "Hi")
        assert.is_true(hub.groups:remove(id, name))
        assert.equal(0, hub.clients:group(name):send "Hi")
      end
      check(ctx, { { "bad argument #1 to 'close' (table expected)", "close",
        1 }, { "bad option 'error' for 'close' (text expected)", "close",
        { error = 1 } }, { "bad argument #1 to 'on_closed' (function expected,"
        .. " got nil)", "on_closed" } })
      assert.same({ nil, "unknown connection" }, { hub.groups:add("x", "g") })
      c:lose()
      assert.same({ nil, "closed" }, { ctx:join "g" })
      assert.same({ nil, "closed" }, { ctx:leave "g" })
    end)

  it("by clients of a hub and of a caller", function()
    local hub, _, ctx = party()
    for _, clients in ipairs { hub.clients, ctx.clients } do
      for _, name in ipairs { "client", "group", "user" } do
        check(clients, { { text_of:format(name, "nil"), name },
          { text_of:format(name, "number"), name, 1 } })
      end
      for _, name in ipairs { "clients", "groups", "users", "all_except" } do
        check(clients, { { list:format(name), name, "x" },
          { strings:format(name), name, { "x", 1 } } })
      end
      check(clients, { { text_of:format("group_except", "nil"), "group_except",
        nil, {} }, { "bad argument #2 to 'group_except' (a list expected)",
        "group_except", "g" } })
      local one = clients:client "x"
      check(one, { { method:format "send", "send", "" },
        { method:format "send", "send", "\255" },
        { method:format "invoke", "invoke", 1 },
        { "bad argument #1 to 'within' (seconds expected)", "within", 0 / 0 },
        { "bad argument #2 to 'send' (a function cannot be written)", "send",
          "Hi", print },
        { "bad argument #3 to 'send' (a function cannot be written at [1])",
          "send", "Hi", 1, { print } } })
      check(clients.all, { { "only :client(id) and .caller can be asked for a "
        .. "result", "invoke", "Hi" } })
    end
    check(ctx.clients, { { text_of:format("others_in_group", "nil"),
      "others_in_group" } })
    check(ctx.clients.caller, { { "bad argument #3 to 'invoke' (a function "
      .. "cannot be written)", "invoke", "Hi", 1, print } })
  end)

  it("by what a stream sends, and by a result awaited too early", function()
    local told = {}
    local hub = kit.hub { on_connected = function(ctx)
      told[1] = said(ctx.clients.caller.invoke, ctx.clients.caller, "Hi")
    end, streams = { Down = function(_, out)
      told[2] = said(out.send, out, print)
      told[3] = said(out.send, out, { x = print })
    end } }
    local c = kit.client(hub)
    c:say { type = 4, invocationId = "1", target = "Down", arguments = {} }
    c:expect { type = 3, invocationId = "1" }
    assert.same({ "caller:3: client results cannot be awaited in on_connected",
      "caller:3: cannot send: a function cannot be written",
      "caller:3: cannot send: a function cannot be written at .x" }, told)
  end)

  it("by signalr.raise and signalr.hub", function()
    local raise = "caller:3: bad argument #1 to 'raise' (text expected)"
    assert.equal(raise, said(signalr.raise, 1))
    assert.equal(raise, said(signalr.raise, "\255"))
    for text, given in pairs {
      ["bad option 'client_timeout' for 'hub' (more than 'keepalive_interval' "
        .. "expected)"] = { keepalive_interval = 2, client_timeout = 2 },
      ["bad option 'secret' for 'hub' (16 bytes or more expected)"] =
        { secret = ("x"):rep(15) },
      ["bad option 'minimum_version' for 'hub' (a whole number from 0 to 1 "
        .. "expected)"] = { minimum_version = 2 },
      ["bad option 'filters' (a list of { invoke =, connected =, disconnected "
        .. "= } expected)"] = { filters = { 1 } },
      ["bad method 'a' (a function 'authorize' expected)"] =
        { methods = { a = { print, authorize = 1 } } },
      ["bad method 'a' (a number of arguments, or { least, most } expected)"] =
        { streams = { a = { print, args = -1 } } },
      ["bad method 'b' (a number of arguments, or { least, most } expected)"] =
        { streams = { b = { print, args = "1" } } },
      ["methods 'A' and 'a' have the same name"] =
        { methods = { a = print, A = print } } } do
      assert.equal("caller:3: " .. text, said(signalr.hub, given))
    end
    signalr.hub { secret = ("x"):rep(16), keepalive_interval = 2,
      client_timeout = 2.5, methods = { a = { print, args = { 1, 1 } } } }
  end)
end)
