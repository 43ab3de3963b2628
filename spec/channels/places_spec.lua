-- Where it is said that something was given wrongly: in the line that called,
-- whole.

local kit = require "spec.channels.kit"
local channels = require "evws.channels"
local places = require "spec.helper.places"
local t = kit.t

local said, check = places.said, places.check

local no_channel = "bad argument #1 to '%s' (the name of a channel expected)"
local code_from = "bad argument #%d to '%s' (a code from %d to %d expected)"
local no_text = "bad argument #%d to '%s' (text expected)"
local nowhere = "no namespace has the channel 'b'"

local function function_in(what)
  return what .. " cannot be sent: a function cannot be written"
end

describe("what is wrong is said at the caller's line", function()
  after_each(kit.cleanup)

  it("by an application", function()
    local chat = kit.serve { namespaces = { a = {} } }
    local no_user = "bad argument #1 to '%s' (a user expected)"
    local this = function_in "this" .. " at .data"
    for _, name in ipairs { "publish", "history", "reset", "presence" } do
      check(chat, { { no_channel:format(name), name, "" },
        { no_channel:format(name), name, "\255" },
        { no_channel:format(name), name, "\0a" },
        { no_channel:format(name), name, 7 }, { nowhere, name, "b" } })
    end
    check(chat, {
      { function_in "a publication", "publish", "a", print },
      { function_in "tags", "publish", "a", 1, { tags = print } },
      { "unknown option 'tag' for 'publish'", "publish", "a", 1, { tag = 1 } },
      { "unknown option 'last' for 'history'", "history", "a", { last = 1 } },
      { code_from:format(2, "disconnect", 3000, 4999), "disconnect", "u",
        2999 },
      { code_from:format(2, "disconnect", 3000, 4999), "disconnect", "u",
        5000 },
      { code_from:format(2, "disconnect", 3000, 4999), "disconnect", "u",
        3000.0 },
      { no_text:format(3, "disconnect"), "disconnect", "u", 3000, 1 },
      { no_text:format(3, "disconnect"), "disconnect", "u", 3000, "\255" },
      { no_user:format "disconnect", "disconnect", "" },
      { nowhere, "unsubscribe", "u", "b" },
      { code_from:format(3, "unsubscribe", 2000, 2999), "unsubscribe", "u", "a",
        1999 },
      { code_from:format(3, "unsubscribe", 2000, 2999), "unsubscribe", "u", "a",
        3000 },
      { no_text:format(4, "unsubscribe"), "unsubscribe", "u", "a", 2000, 1 },
      { no_user:format "unsubscribe", "unsubscribe", 1, "a" },
      { nowhere, "subscribe", "u", "b" },
      { "bad option 'expires' for 'subscribe' (number expected)", "subscribe",
        "u", "a", { expires = "x" } },
      { no_user:format "subscribe", "subscribe", "\255", "a" },
      { this, "subscribe", "u", "a", { data = print } },
      { no_user:format "send", "send", "", 1 },
      { this, "send", "u", print },
      { "bad argument #1 to 'routes' (a path expected)", "routes", "x" },
      { "bad argument #1 to 'serve' (a server expected)", "serve", 1 } })
  end)

  it("by an application whose server keeps no history", function()
    local given = { namespaces = { ["a:*"] = { history = { size = 5,
      ttl = 60 } } } }
    local why = "namespace 'a:*' has a history, and the server keeps none "
      .. "(ws.listen { history = chat.kept, ... })"
    local chat = channels.new(given)
    check(chat, { { why, "serve", t.listen {} } })
    check(chat, { { why, "publish", "a:1", 1 } })
    chat = channels.new(given)
    assert.equal("caller:3: call app:routes, not app.routes",
      said(chat.routes, "/x"))
    chat:serve(t.listen { history = chat.kept })
    assert.equal(1, (chat:publish("a:1", 1)))
  end)

  it("by a client of an application, and the codes between are taken",
    function()
      local clients = {}
      local chat, server = kit.serve { namespaces = { a = {} },
        connect = function(one)
          clients[#clients + 1] = one
          return { user = "ann" }
        end }
      local c, d = kit.open(server), kit.open(server)
      check(clients[1], {
        { function_in "a message", "send", print },
        { no_channel:format "subscribe", "subscribe", "" },
        { nowhere, "subscribe", "b" },
        { "bad argument #2 to 'subscribe' (table expected, got number)",
          "subscribe", "a", 1 },
        { no_channel:format "unsubscribe", "unsubscribe", "" },
        { code_from:format(2, "unsubscribe", 2000, 2999), "unsubscribe", "a",
          1999 },
        { code_from:format(2, "unsubscribe", 2000, 2999), "unsubscribe", "a",
          3000 },
        { no_text:format(3, "unsubscribe"), "unsubscribe", "a", 2000, "\255" },
        { code_from:format(1, "disconnect", 3000, 4999), "disconnect", 2999 },
        { code_from:format(1, "disconnect", 3000, 4999), "disconnect", 5000 },
        { no_text:format(2, "disconnect"), "disconnect", 3000, 1 } })
      for _, code in ipairs { 2000, 2999 } do
        assert.is_true(clients[1]:subscribe "a")
        c:expect { push = { channel = "a", subscribe = {} } }
        assert.is_true(chat:unsubscribe("ann", "a", code, "x"))
        c:expect { push = { channel = "a", unsubscribe = { code = code,
          reason = "x" } } }
      end
      clients[1]:disconnect(3000, "first")
      c:closed(3000, "first")
      clients[2]:disconnect(4999, "last")
      d:closed(4999, "last")
    end)

  it("by a connection in Lua, and by its channels", function()
    local _, server = kit.serve { namespaces = { a = { publish = true } } }
    local url = t.url_of(server) .. "/c"
    for _, case in ipairs {
      { "bad argument #2 to 'connect' (table expected, got number)", 1 },
      { "bad option 'timeout' for 'connect' (seconds above 0 expected)",
        { timeout = 0 } },
      { "bad option 'reconnect' for 'connect' (a boolean or a table expected)",
        { reconnect = 1 } },
      { "bad option 'jitter' for 'reconnect' (0 to 1 expected)",
        { reconnect = { jitter = 1.01 } } },
      { "bad option 'token' for 'connect' (text or a function expected)",
        { token = 1 } },
      { function_in "data", { data = print } } } do
      assert.equal("caller:3: " .. case[1], said(channels.connect, url,
        case[2]))
    end
    local conn <close> = t.pump(channels.connect, url, { reconnect = {
      jitter = 1 } })
    for _, name in ipairs { "publish", "history", "presence", "presence_stats",
      "subscribe" } do
      check(conn, { { no_channel:format(name), name, "" } })
    end
    local position = "bad option '%s' for '%s' ({ offset =, epoch = } expected)"
    local limit = "bad option 'limit' for 'history' (an integer expected)"
    local no_rpc = "bad argument #1 to 'rpc' (text expected)"
    check(conn, {
      { function_in "a publication", "publish", "a", print },
      { function_in "data", "rpc", "x", print },
      { function_in "a message", "send", print },
      { function_in "data", "subscribe", "a", { data = print } },
      { no_rpc, "rpc", 1 }, { no_rpc, "rpc", "\255" },
      { "bad argument #2 to 'subscribe' (table expected, got boolean)",
        "subscribe", "a", true },
      { "unknown option 'wai' for 'subscribe' (did you mean 'wait'?)",
        "subscribe", "a", { wai = true } },
      { "bad argument #2 to 'history' (table expected, got boolean)",
        "history", "a", true },
      { limit, "history", "a", { limit = 1.0 } },
      { position:format("since", "history"), "history", "a", { since = 1 } },
      { position:format("since", "history"), "history", "a",
        { since = { offset = -1 } } },
      { position:format("since", "history"), "history", "a",
        { since = { epoch = 1 } } },
      { position:format("recover", "subscribe"), "subscribe", "a",
        { recover = { offset = 0.5 } } } })
    local sub = assert(t.pump(conn.subscribe, conn, "a",
      { recover = { offset = 0 } }))
    check(sub, { { function_in "a publication", "publish", print },
      { limit, "history", { limit = "x" } } })
  end)

  it("by channels.new and channels.raise", function()
    local raise = "bad argument #%d to 'raise' (%s expected)"
    for _, code in ipairs { 399, 2000, 400.0, "400" } do
      assert.equal("caller:3: " .. raise:format(1, "a code from 400 to 1999"),
        said(channels.raise, code, "x"))
    end
    for _, text in ipairs { 7, "\255" } do
      assert.equal("caller:3: " .. raise:format(2, "text"),
        said(channels.raise, 400, text))
    end
    for _, code in ipairs { 400, 1999 } do
      local ok, why = pcall(channels.raise, code, "x", code == 400)
      assert.is_false(ok)
      assert.same({ code, "x", code == 400, "x" }, { why.code, why.message,
        why.temporary, tostring(why) })
    end
    for text, given in pairs {
      ["bad argument #1 to 'new' (table expected, got string)"] = "x",
      ["bad option 'pong' for 'channels' (there is no ping to answer)"] =
        { ping = false, pong = true },
      ["bad option 'max_depth' for 'channels' (a whole number from 2 to 1000 "
        .. "expected)"] = { max_depth = 1 },
      ["namespace 'a': a table of rights expected"] =
        { namespaces = { a = 1 } },
      ["namespace 'a': bad right 'history' ({ size =, ttl = } expected)"] =
        { namespaces = { a = { history = { size = 1, ttl = 0 } } } },
      ["namespace 'a': subscribe = \"token\" needs the option 'secret'"] =
        { namespaces = { a = { subscribe = "token" } } },
      ["bad namespace '*a' (a channel's name expected, or the beginning of "
        .. "one and a *)"] = { namespaces = { ["*a"] = {} } },
      ["bad namespace 'abc' (a channel's name expected, or the beginning of "
        .. "one and a *)"] = { max_channel = 2, namespaces = { abc = {} } },
    } do
      assert.equal("caller:3: " .. text, said(channels.new, given))
    end
    channels.new { max_channel = 2, namespaces = { ab = {} } }
  end)
end)
