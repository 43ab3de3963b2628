-- ws.log: events for the application, warnings for stderr.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local sim = require "evws.sim"
local ws = t.ws

describe("log", function()
  local own = ws.log
  local log = {}

  -- From now on events stand in `log`.
  local function listen_in(fn)
    log = {}
    ws.log = function(level, event, fields)
      log[#log + 1] = { level = level, event = event, fields = fields }
      if fn then fn(level, event, fields) end
    end
  end

  local function find(event)
    for _, entry in ipairs(log) do
      if entry.event == event then return entry end
    end
  end

  after_each(function()
    kit.cleanup()
    t.cleanup()
    ws.log = own
  end)

  it("tells the life of a server and its connections", function()
    listen_in()
    local server = t.listen { on_message = function() end }
    local raw = t.open(server, { path = "/a?b" })
    raw:finish(1000)
    t.wait(function() return find "closed" end)
    t.pump(server.close, server)
    local events = {}
    for i, entry in ipairs(log) do
      events[i] = entry.event
      assert.equal("info", entry.level)
    end
    assert.same({ "listening", "accepted", "opened", "closed",
      "server_closed" }, events)
    local id = log[2].fields.id
    assert.equal("integer", math.type(id))
    assert.same({ host = "127.0.0.1", port = server.port }, log[1].fields)
    local port = log[2].fields.port
    assert.same({ id = id, address = "127.0.0.1", port = port },
      log[2].fields)
    assert.same({ id = id, address = "127.0.0.1", port = port,
      path = "/a" }, log[3].fields)
    local closed = log[4].fields
    assert.is_true(closed.seconds >= 0 and closed.seconds < 60)
    closed.seconds = nil
    assert.same({ id = id, address = "127.0.0.1", port = port, path = "/a",
      code = 1000, reason = "" }, closed)
    assert.same(log[1].fields, log[5].fields)
  end)

  it("tells of a client's connection as well", function()
    local server = t.listen { on_message = function() end }
    listen_in()
    local conn = assert(ws.connect("ws://127.0.0.1:" .. server.port))
    conn:close(4001, "bye")
    t.wait(function() return conn.state == "closed" and #log >= 5 end)
    local ids = {}
    for _, entry in ipairs(log) do
      if entry.event == "closed" then
        ids[entry.fields.id] = entry.fields.code
      end
    end
    assert.equal(4001, ids[conn.id])
  end)

  it("tells of refusals, with reason and status", function()
    listen_in()
    local server = t.listen { path = "/ws" }
    t.raw(server):upgrade { path = "/no" }
    local entry = t.wait(function() return find "refused" end)
    assert.equal("not_found", entry.fields.reason)
    assert.equal(404, entry.fields.status)
    assert.equal("127.0.0.1", entry.fields.address)
    assert.is_nil(find "opened")
  end)

  it("tells of a refusal for want of memory, before there is a request",
    function()
      local fail_at = require "evws.core".fail_at
      if not fail_at then return pending "built without WS_FAULT" end
      local server = t.listen { proxy_protocol = true,
        trusted_proxies = { "127.0.0.1" } }
      t.bystander(t.listen { on_message = t.echo }) -- what is made once is
      local seen, n = {}, 0
      local refused
      repeat
        n = n + 1
        listen_in()
        local before = server:stats()
        local raw = t.raw(server)
        fail_at(n, false)
        t.wait(function() return find "accepted" or find "refused" end)
        fail_at(0, false)
        refused = find "refused"
        local count = server:stats().refused.memory - before.refused.memory
        assert.equal(refused and 1 or 0, count)
        if refused then
          local fields = refused.fields
          assert.equal("memory", fields.reason)
          assert.equal("integer", math.type(fields.id))
          assert.is_nil(fields.status)
          assert.is_true(fields.address == nil
            or fields.address == "127.0.0.1")
          if not fields.address then assert.is_nil(find "accepted") end
          seen[fields.address or "unknown"] = true
          raw:expect_eof()
        end
        raw:close()
        t.wait(function() return server.connections == 0 end)
      until not refused
      assert.is_true(seen.unknown and seen["127.0.0.1"])
    end)

  it("gets the warnings that would go to stderr", function()
    local child = kit.run [[
      ws.log = function(level, event, fields)
        if level == "warning" then say(level, event, fields.message) end
      end
      assert(ws.listen { port = 0, host = "*" })
    ]]
    assert.equal(0, child:ended())
    assert.equal("", child:errors())
    assert.is_truthy(child:output():find "^warning\twarning\tlistening beyond")
  end)

  it("writes warnings, and nothing else, as long as it is not replaced",
    function()
      local child = kit.run [[
        local server = assert(ws.listen { port = 0, host = "*" })
        local conn = assert(ws.connect("ws://127.0.0.1:" .. server.port))
        conn:close()
        server:close { timeout = 0 }
      ]]
      assert.equal(0, child:ended())
      assert.is_truthy(child:errors():find "^evws: listening beyond [^\n]+\n$")
    end)

  it("is silent when it is taken away", function()
    for _, value in ipairs { "nil", "false" } do
      local child = kit.run("ws.log = " .. value .. [[
        local server = assert(ws.listen { port = 0, host = "*" })
        server:close()
      ]])
      assert.equal(0, child:ended())
      assert.equal("", child:errors())
    end
  end)

  it("gets errors of handlers, which on_error gets all the same", function()
    local errors = kit.errors()
    listen_in()
    local server = t.listen { on_message = function()
      error("boom\n\27[1m")
    end }
    t.open(server):send(t.frame("text", "x"))
    local entry = t.wait(function() return find "handler_error" end)
    assert.equal("error", entry.level)
    assert.is_truthy(entry.fields.message:find("boom\\x0a\\x1b[1m", 1, true))
    assert.equal("integer", math.type(entry.fields.id))
    assert.equal(1, #errors)
    ws.spawn(function() error("task", 0) end)
    t.wait(function() return #errors == 2 end)
    assert.equal("task", log[#log].fields.message)
    assert.is_nil(log[#log].fields.id)
  end)

  it("gets text from the network escaped and cut, BI-46", function()
    listen_in()
    local server = t.listen { on_message = function() end }
    local reason = "a\nb\27[31m\\ \u{e9}" .. ("x"):rep(100)
    local raw = t.open(server, { path = "/" .. ("p"):rep(300) })
    raw:send(t.frame("close", "\x0f\xa1" .. reason))
    local entry = t.wait(function() return find "closed" end)
    assert.equal("a\\x0ab\\x1b[31m\\x5c \\xc3\\xa9" .. ("x"):rep(100),
      entry.fields.reason)
    assert.equal("/" .. ("p"):rep(127) .. "...", entry.fields.path)
  end)

  it("may raise: the connection is not affected", function()
    local child = kit.run [[
      ws.log = function(_, event) error("log " .. event .. "\n\27", 0) end
      local server = assert(ws.listen { port = 0, host = "127.0.0.1",
        on_message = function(c, m) c:send(m) end })
      local conn = assert(ws.connect("ws://127.0.0.1:" .. server.port))
      conn:send "x"
      say(conn:receive())
      ws.log = function() error({}) end
      conn:close()
      server:close()
      say(conn.state)
    ]]
    assert.equal(0, child:ended())
    assert.equal("x\ttext\nclosed\n", child:output())
    local errors = child:errors()
    assert.is_truthy(errors:find(
      "evws: error in ws.log: log listening\\x0a\\x1b\n", 1, true), errors)
    assert.is_truthy(errors:find(
      "evws: error in ws.log: an error that is no string\n", 1, true))
  end)

  it("may use the engine, but not wait", function()
    local refusals = {}
    local server
    listen_in(function(_, event)
      if event == "listening" then
        for name, fn in pairs { sleep = function() ws.sleep(0) end,
          run = ws.run, step = ws.step, yield = coroutine.yield } do
          local ok, why = pcall(fn)
          refusals[name] = not ok and why
        end
      elseif event == "opened" then
        for conn in server:each() do conn:terminate() end
      end
    end)
    server = t.listen { on_message = function() end }
    local raw = t.raw(server)
    pcall(raw.upgrade, raw)
    t.wait(function() return find "closed" end)
    assert.is_truthy(refusals.sleep:find "cannot wait here")
    assert.is_truthy(refusals.run:find "already running")
    assert.is_truthy(refusals.step:find "already running")
    assert.is_truthy(refusals.yield:find "yield")
    assert.equal(1006, find "closed".fields.code)
  end)

  it("does not tell of what it does itself", function()
    local n = 0
    listen_in(function()
      n = n + 1
      if n > 10 then return end
      ws.listen { port = 0, host = "127.0.0.1" }:close()
    end)
    t.listen {}
    assert.equal(1, n)
  end)

  it("may close the server that it is told of", function()
    for _, event in ipairs { "accepted", "opened", "refused", "closed" } do
      local server
      listen_in(function(_, what)
        if what == event then ws.spawn(server.close, server) end
      end)
      server = t.listen { path = "/", on_message = function() end }
      local raw = t.raw(server)
      pcall(raw.upgrade, raw, { path = event == "refused" and "/x" or "/" })
      raw:close()
      t.wait(function() return find "server_closed" end)
    end
  end)

  it("says for how long a connection was open, if it was", function()
    listen_in()
    sim.new { delay = 0 }:run(function(net)
      assert(ws.listen { port = 5000, path = "/",
        on_upgrade = function(request)
          if request.query then return 403 end
        end })
      net:advance(7)
      local conn = net:connect "ws://localhost:5000/"
      net:advance(30)
      conn:close(4000, "enough")
      net:advance(1)
      assert.is_nil((ws.connect "ws://localhost:5000/?no"))
    end)
    local closed = {}
    for _, entry in ipairs(log) do
      if entry.event == "closed" then
        local f = entry.fields
        closed[#closed + 1] = { f.code, f.reason,
          f.seconds and math.floor(f.seconds + 0.5) }
      end
    end
    table.sort(closed, function(a, b) return a[1] > b[1] end)
    assert.same({ { 4000, "enough", 30 }, { 4000, "enough", 30 } },
      { closed[1], closed[2] })
    for i = 3, #closed do assert.is_nil(closed[i][3]) end
    assert.is_true(#closed > 2)
  end)

  it("of the application's own goes where it stands", function()
    local child = kit.run [[
      ws.log("info", "started")
      ws.log("warning", "disk", { free = 12, name = "a\nb\27" })
      ws.log("error", "disk")
    ]]
    assert.equal(0, child:ended())
    local lines = {}
    for line in child:errors():gmatch "([^\n]*)\n" do
      lines[#lines + 1] = line
    end
    assert.equal(2, #lines)
    assert.is_truthy(lines[1]:find "^evws: disk ")
    assert.is_truthy(lines[1]:find(" free=12", 1, true))
    assert.is_truthy(lines[1]:find(" name=a\\x0ab\\x1b", 1, true))
    assert.equal("evws: error: disk", lines[2])
    for _, arguments in ipairs { {}, { "info" }, { "info", "x", 5 },
      { {}, "x" } } do
      assert.is_false((pcall(own, table.unpack(arguments))))
    end
  end)
end)
