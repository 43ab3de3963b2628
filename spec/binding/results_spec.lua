-- How many values each call returns: those that are promised, and nothing
-- behind them.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local sim = require "evws.sim"
local ws = t.ws

local function is(kind)
  return function(value)
    return math.type(value) == kind or type(value) == kind
  end
end

local integer, number, text = is "integer", is "number", is "string"
local list, object = is "table", is "userdata"

-- gives(what, { wanted, ... }, call's results): a function judges a value.
local function gives(what, want, ...)
  local n = select("#", ...)
  local got = table.pack(...)
  local wanted = want.n or #want
  local told = {}
  for i = 1, n do told[i] = tostring(got[i]) end
  if n ~= wanted then
    error(("%s returned %d values, not %d: %s"):format(what, n, wanted,
      table.concat(told, ", ")), 2)
  end
  for i = 1, n do
    local expected = want[i]
    local is_good = got[i] == expected
    if type(expected) == "function" then is_good = expected(got[i]) end
    if not is_good then
      error(("%s returned %s as value %d"):format(what, told[i], i), 2)
    end
  end
end

local function why(word, ...)
  return table.pack(nil, word, ...)
end

local yes, no, none = { true }, { false }, {}
local closed = why "closed"

describe("what is returned", function()
  after_each(function()
    ws.on_error(nil)
    kit.cleanup()
    t.cleanup()
  end)

  it("by a connection's calls that send", function()
    local conn = kit.pair()
    gives("send", { true, integer }, conn:send "a")
    gives("send", { true, integer }, conn:send("a", "binary"))
    gives("send", { true, integer }, conn:send("a", nil, { ttl = 5 }))
    gives("ping", yes, conn:ping())
    gives("ping", yes, conn:ping "x")
    gives("drain", yes, conn:drain())
    gives("publish", { 0 }, conn:publish("a", "m"))
    local writer = conn:writer "text"
    gives("write", { true, integer }, writer:write "a")
    gives("finish", { true, integer }, writer:finish())
    gives("writer", { object }, conn:writer())
    conn:terminate()
    gives("send", closed, conn:send "a")
    gives("send", closed, conn:send("a", nil, { ttl = 5 }))
    gives("ping", closed, conn:ping())
    gives("publish", closed, conn:publish("a", "m"))
    gives("writer", closed, conn:writer())
    gives("drain", why("closed", 1006, "terminated"), conn:drain())
  end)

  it("by a writer whose connection has ended", function()
    local conn = kit.pair()
    local writer = conn:writer()
    conn:terminate()
    gives("write", closed, writer:write "a")
    gives("finish", closed, writer:finish())
  end)

  it("by a connection whose queue is full", function()
    local conn = kit.pair { max_queued = 10 }
    local full = why "queue full"
    local long = ("x"):rep(16 << 20)
    gives("send", { true, integer }, conn:send(long))
    gives("send", full, conn:send(long))
    gives("send", full, conn:send(long, nil, { compress = false }))
  end)

  it("by a connection's calls that receive", function()
    local conn, raw = kit.pair()
    gives("receive", why "timeout", conn:receive(0))
    raw:send(t.frame("text", "a"))
    gives("receive", { "a", "text" }, conn:receive(t.limit))
    raw:send(t.frame("binary", "b"))
    gives("receive", { "b", "binary" }, conn:receive(t.limit))
    local iterate, state = conn:messages()
    gives("messages", { is "function", conn }, conn:messages())
    raw:send(t.frame("text", "c"))
    gives("an iterator", { "c", "text" }, iterate(state))
    gives("wait", why "timeout", conn:wait(0))
    raw:send(t.close_frame(3000, "enough"))
    local over = why("closed", 3000, "enough")
    gives("receive", over, conn:receive(t.limit))
    gives("receive", over, conn:receive(0))
    gives("an iterator", over, iterate(state))
    gives("wait", { 3000, "enough" }, conn:wait(t.limit))
    gives("drain", over, conn:drain())
  end)

  it("by a connection's calls that end it", function()
    for _, call in ipairs { "close", "shutdown", "terminate" } do
      local conn = kit.pair()
      gives(call, yes, conn[call](conn))
    end
    local conn = kit.pair()
    conn:terminate()
    gives("terminate", yes, conn:terminate())
    gives("close", yes, conn:close())
    gives("shutdown", closed, conn:shutdown())
    gives("after", closed, conn:after(1, print))
    gives("every", closed, conn:every(1, print))
    gives("subscribe", closed, conn:subscribe "a")
    gives("unsubscribe", no, conn:unsubscribe "a")
    gives("topics", { list }, conn:topics())
  end)

  it("by what sets a handler or stops the flow: the connection", function()
    local conn = kit.pair()
    for _, name in ipairs { "on_message", "on_chunk", "on_close", "on_drain",
      "on_error", "on_ping", "on_pong" } do
      gives(name, { conn }, conn[name](conn, function() end))
      gives(name, { conn }, conn[name](conn, nil))
    end
    gives("pause", { conn }, conn:pause())
    gives("resume", { conn }, conn:resume())
  end)

  it("by calls of topics", function()
    local conn, _, server = kit.pair { history = {
      kept = { size = 5, ttl = 60 } } }
    gives("subscribe", yes, conn:subscribe "a")
    gives("subscribe", yes, conn:subscribe("a", { wait = 0 }))
    gives("topics", { list }, conn:topics())
    gives("publish", { 1 }, server:publish("a", "m"))
    gives("publish", { 1 }, server:publish("a", "m", "text", { meta = "x" }))
    gives("broadcast", { 1 }, server:broadcast "m")
    gives("subscribers", { 1 }, server:subscribers "a")
    gives("unsubscribe", yes, conn:unsubscribe "a")
    gives("unsubscribe", no, conn:unsubscribe "a")
    gives("publish", { 1, text }, server:publish("kept", "m"))
    gives("publish", { 2, text }, conn:publish("kept", "m"))
    gives("history", { list, list }, server:history "kept")
    gives("history", why "another epoch", server:history("kept",
      { since = { offset = 0, epoch = "x" } }))
    gives("history", why "not kept", server:history "a")
    gives("reset", yes, server:reset "kept")
    gives("reset", why "not kept", server:reset "a")
    gives("subscribe", { list }, conn:subscribe("kept",
      { recover = { offset = 0 } }))
    gives("subscribe", { list }, conn:subscribe("kept",
      { joined = function() end }))
    gives("presence", { list }, server:presence "a")
    local hearer = server:hear("a", function() end)
    gives("cancel", yes, hearer:cancel())
    gives("cancel", no, hearer:cancel())
    gives("hear", { object }, server:hear("a", function() end))
    gives("hear", { object }, server:hear("a", function() end, { wait = 0 }))
    gives("hear", { object }, server:hear("kept", function() end,
      { joined = function() end }))
    gives("view", yes, server:view("v", function() end))
  end)

  it("by a server's calls", function()
    local _, _, server = kit.pair()
    gives("stats", { list }, server:stats())
    gives("metrics", { text }, server:metrics())
    gives("route", { server }, server:route("/more", {}))
    local each = server:each()
    gives("each", { is "function" }, server:each())
    gives("an iterator", { object }, each())
    gives("an iterator", { nil, n = 1 }, each())
    gives("close", why "timeout", server:close { timeout = 0 })
    gives("close", yes, server:close())
    gives("close", yes, t.listen {}:close())
    for call, arguments in pairs { publish = { "a", "m" },
      broadcast = { "m" }, hear = { "a", print }, presence = { "a" },
      history = { "a" }, reset = { "a" }, view = { "v", print },
      route = { "/x", {} } } do
      gives(call, closed, server[call](server, table.unpack(arguments)))
    end
    gives("subscribers", { 0 }, server:subscribers "a")
  end)

  it("by what cannot be opened", function()
    local server = t.listen {}
    gives("listen", why(text, integer), ws.listen { host = "127.0.0.1",
      port = server.port })
    gives("listen", why(text, integer), ws.listen { fd = 100000 })
    gives("connect", why(text, nil, nil), ws.connect "ws://127.0.0.1:1/")
  end)

  it("by timers", function()
    local conn = kit.pair()
    gives("after", { object }, ws.after(1000, print))
    gives("every", { object }, ws.every(1000, print))
    for _, timer in ipairs { ws.after(1000, print), ws.every(1000, print),
      conn:after(1000, print), conn:every(1000, print) } do
      gives("cancel", yes, timer:cancel())
      gives("cancel", no, timer:cancel())
    end
    gives("after", { object }, conn:after(1000, print))
    gives("every", { object }, conn:every(1000, print))
    gives("sleep", yes, ws.sleep(0))
  end)

  it("by tasks", function()
    local go = ws.queue(1)
    local function spawned(...)
      local task = ws.spawn(function(...)
        go:take()
        return ...
      end, ...)
      t.turn()
      return task
    end
    local task = spawned(1, nil, nil)
    gives("spawn", { object }, task)
    gives("wait", why "timeout", task:wait(0))
    go:put(1)
    gives("wait", { true, 1, nil, nil, n = 4 }, task:wait(t.limit))
    gives("wait", { true, 1, nil, nil, n = 4 }, task:wait(0))
    gives("cancel", no, task:cancel())
    task = spawned()
    go:put(1)
    gives("wait", yes, task:wait(t.limit))
    task = spawned()
    gives("cancel", yes, task:cancel())
    gives("wait", why "cancelled", task:wait(t.limit))
    ws.on_error(function() end)
    task = ws.spawn(error, "oh", 0)
    gives("wait", why "oh", task:wait(t.limit))
  end)

  it("by queues", function()
    local queue = ws.queue(1)
    gives("put", yes, queue:put(1))
    gives("put", why "full", queue:put(2))
    gives("put", why "timeout", queue:put(2, 0))
    gives("take", { 1 }, queue:take())
    gives("take", why "timeout", queue:take(0))
    queue:put(false)
    gives("an iterator", no, queue())
    gives("close", yes, queue:close())
    gives("put", closed, queue:put(1))
    gives("put", closed, queue:put(1, 0))
    gives("take", closed, queue:take())
    gives("an iterator", closed, queue())
    gives("close", yes, queue:close())
  end)

  it("by what is set: nothing", function()
    gives("on_error", none, ws.on_error(print))
    gives("on_error", none, ws.on_error(nil))
    gives("stop", none, ws.stop())
    local own = ws.log
    for _, level in ipairs { "info", "debug", "other" } do
      gives("log", none, ws.log(level, "event"))
      gives("log", none, ws.log(level, "event", { a = 1 }))
    end
    gives("log", none, ws.log(function() end))
    ws.log = own
  end)

  it("by what drives the loop", function()
    local quiet = { signals = false }
    gives("step", yes, ws.step(0))
    gives("step", yes, ws.step())
    gives("run", yes, ws.run(ws.stop, quiet))
    gives("run", yes, ws.run(function() ws.sleep(0) ws.stop() end, quiet))
    sim.new():run(function()
      gives("run", yes, ws.run())
      gives("run", yes, ws.run(function() end))
      gives("run", yes, ws.run(quiet))
    end)
  end)

  it("by the rest", function()
    gives("now", { number }, ws.now())
    gives("random", { text }, ws.random(70))
    gives("equals", yes, ws.equals("a", "a"))
    gives("equals", no, ws.equals("a", "b"))
    gives("hmac_sha256", { text }, ws.hmac_sha256("a", "b"))
    gives("watchdog", yes, ws.watchdog(1000))
    gives("watchdog", yes, ws.watchdog(false))
    gives("timeout", { function(value)
      return value == nil or number(value)
    end, n = 1 }, ws.timeout())
    local fd = table.pack(ws.fd())
    gives("fd", fd[1] and { integer } or why "not supported", ws.fd())
  end)
end)
