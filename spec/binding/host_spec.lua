-- What rises from the engine as calls of handlers: their order, errors in
-- them, and that one which waits holds up nobody else.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains, url_of = t.contains, t.url_of

-- Values that are raised, and what on_error gets as the message.
local raised = {
  { "a string", function() error "boom" end, "host_spec%.lua:%d+: boom$" },
  { "a string without a place", function() error("boom", 0) end, "^boom$" },
  { "a number", function() error(42) end, "42$" },
  { "nil", function() error() end,
    _VERSION == "Lua 5.4" and "^nil$" or "^<no error object>$" },
  { "a table", function() error {} end, "table" },
  { "an object with __tostring", function()
    error(setmetatable({}, { __tostring = function() return "object!" end }))
  end, "^object!$" },
  { "an object whose __tostring raises", function()
    error(setmetatable({}, { __tostring = function() error "again" end }))
  end, "." },
  { "an object whose __tostring returns none", function()
    error(setmetatable({}, { __tostring = function() return {} end }))
  end, "." },
  { "an error of C", function() string.rep() end, "bad argument" },
  { "an error of the interpreter", function() kit.nothing() end, "attempt to" },
  { "a stray coroutine.yield", function() coroutine.yield() end,
    "attempt to yield" },
  { "an error after a wait", function() ws.sleep(0) error "late" end,
    "late$" },
  { "an overflow of the stack", function()
    local function f() return 1 + f() end
    f()
  end, "stack overflow" },
}

-- For each handler: how a raw client makes it run.
local handlers = {
  on_open = function() end,
  on_message = function(raw) raw:send(t.frame("text", "x")) end,
  on_drain = function(raw) raw:send(t.frame("text", "fill")) raw:frame(20) end,
}

-- A server whose handler `name` is fn (for connections to /raise) and which
-- echoes otherwise.
local function raising(name, fn, options)
  local own = { high_water = 1000 }
  for key, value in pairs(options or {}) do own[key] = value end
  local normal = {
    on_message = function(conn, message)
      if message == "fill" then message = ("x"):rep(12 << 20) end
      conn:send(message)
    end,
  }
  for _, handler in ipairs { "on_open", "on_message", "on_drain" } do
    own[handler] = function(conn, ...)
      if handler == name and conn.path == "/raise" then fn() end
      if normal[handler] then normal[handler](conn, ...) end
    end
  end
  return t.listen(own)
end

describe("a handler", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  describe("that raises", function()
    for name, provoke in pairs(handlers) do
      it("in " .. name .. " ends its connection alone, with 1011", function()
        local errors, log = {}, {}
        local what = {}
        local server = raising(name, function() error "secret" end, {
          on_error = function(...) errors[#errors + 1] = table.pack(...) end,
          on_close = function(conn, code, reason)
            log[#log + 1] = { code, reason }
            what[#what + 1] = conn
          end,
        })
        local bystander = t.bystander(server)
        local raw = t.open(server, { path = "/raise", rcvbuf = 4096 })
        provoke(raw)
        assert.same({ 1011, "" }, { raw:expect_close(1011) })
        raw:expect_eof()
        t.wait(function() return log[1] end)
        bystander:check()
        assert.equal(1, #errors)
        assert.equal(what[1], errors[1][1])
        contains(errors[1][2], "secret")
        contains(errors[1][3], "stack traceback")
        contains(errors[1][3], "host_spec.lua")
        assert.equal(3, errors[1].n)
        assert.same({ { 1011, "handler error" } }, log)
      end)
    end

    for _, row in ipairs(raised) do
      it("takes " .. row[1] .. " to on_error, once", function()
        local errors, log = {}, {}
        local server = raising("on_message", row[2], {
          on_error = function(conn, message, traceback)
            errors[#errors + 1] = { conn.path, message, traceback }
          end,
          on_close = function(_, code) log[#log + 1] = code end,
        })
        local bystander = t.bystander(server)
        local raw = t.open(server, { path = "/raise" })
        raw:send(t.frame("text", "x") .. t.frame("text", "y"))
        assert.same({ 1011, "" }, { raw:expect_close(1011) })
        t.wait(function() return log[1] end)
        for _ = 1, 3 do t.turn() end
        bystander:check()
        assert.equal(1, #errors)
        assert.equal("/raise", errors[1][1])
        assert.equal("string", type(errors[1][2]))
        assert.is_truthy(errors[1][2]:find(row[3]), errors[1][2])
        assert.equal("string", type(errors[1][3]))
        assert.same({ 1011 }, log)
      end)
    end

    it("in on_close is told, the connection is over anyway", function()
      local errors = {}
      local conn, raw = kit.pair { on_close = function() error "boom" end,
        on_error = function(c, message) errors[#errors + 1] = { c, message } end
      }
      raw:finish()
      t.wait(function() return errors[1] end)
      for _ = 1, 3 do t.turn() end
      assert.equal(1, #errors)
      assert.equal(conn, errors[1][1])
      contains(errors[1][2], "boom")
    end)

    it("in on_error goes to stderr, and no further", function()
      local child = kit.run [[
        local server = assert(ws.listen { port = 0, host = "127.0.0.1",
          on_message = function() error "first" end,
          on_error = function() error "second" end,
          on_close = function(_, code) say("closed", code) ws.stop() end })
        say(server.port)
        ws.run()
      ]]
      local raw = t.open(tonumber((child:wait "^(%d+)$")))
      raw:send(t.frame("text", "x"))
      raw:expect_close(1011)
      assert.equal(0, child:ended())
      contains(child:output(), "closed\t1011")
      contains(child:errors(), "second")
      local _, n = child:errors():gsub("error in an error handler", "")
      assert.equal(1, n)
    end)

    it("without an on_error is taken by ws.on_error", function()
      local errors = kit.errors()
      local conn, raw = kit.pair { on_message = function() error "boom" end }
      raw:send(t.frame("text", "x"))
      raw:expect_close(1011)
      assert.equal(1, #errors)
      assert.equal(conn, errors[1].conn)
      contains(errors[1].message, "boom")
      contains(errors[1].traceback, "traceback")
    end)

    it("may be told to an on_error that waits", function()
      local told
      local _, raw = kit.pair { on_message = function() error "boom" end,
        on_error = function(conn, message)
          ws.sleep(0)
          told = { conn.state, message }
        end }
      raw:send(t.frame("text", "x"))
      raw:expect_close(1011)
      t.wait(function() return told end)
      contains(told[2], "boom")
    end)

    it("closes the variables of its scope", function()
      local closed = 0
      local _, raw = kit.pair { on_error = function() end,
        on_message = function()
          local scoped <close> = setmetatable({}, { __close = function()
            closed = closed + 1
          end })
          ws.sleep(0)
          error(scoped)
        end }
      raw:send(t.frame("text", "x"))
      raw:expect_close(1011)
      assert.equal(1, closed)
    end)

    it("loses what was unread, on a client's connection too", function()
      local server = t.listen { on_open = function(conn)
        for i = 1, 5 do conn:send("m" .. i) end
      end }
      local log, errors = {}, kit.errors()
      local conn = assert(ws.connect(url_of(server)))
      conn:on_close(function(_, code) log[#log + 1] = code end)
      conn:on_message(function(_, message)
        log[#log + 1] = message
        if message == "m2" then error "enough" end
      end)
      t.wait(function() return #log == 3 end)
      for _ = 1, 3 do t.turn() end
      assert.same({ "m1", "m2", 1011 }, log)
      assert.equal(1, #errors)
    end)
  end)

  describe("on_open", function()
    it("is called when the 101 is queued, before any message", function()
      local log = {}
      local server = t.listen {
        on_open = function(conn)
          log[#log + 1] = conn.state
          conn:send "hello"
        end,
        on_message = function(_, message) log[#log + 1] = message end,
      }
      local raw = t.open(server)
      raw:expect_frame("text", "hello")
      raw:send(t.frame("text", "x"))
      t.wait(function() return log[2] end)
      assert.same({ "open", "x" }, log)
    end)

    it("may close the connection at once", function()
      local log = {}
      local server = t.listen {
        on_open = function(conn) conn:close(4000, "no") end,
        on_message = function() log[#log + 1] = "message" end,
        on_close = function(_, code) log[#log + 1] = code end,
      }
      local raw = t.open(server)
      raw:send(t.frame("text", "x"))
      raw:finish(4000)
      t.wait(function() return log[1] end)
      assert.same({ 4000 }, log)
    end)
  end)

  describe("on_close", function()
    it("is called once for each on_open, however it ends", function()
      local opened, closed = 0, 0
      local server = t.listen {
        close_timeout = 0.02,
        on_open = function() opened = opened + 1 end,
        on_message = function(conn, message)
          conn[message](conn)
          if message == "close" then conn:terminate() end
        end,
        on_close = function() closed = closed + 1 end,
      }
      for _, how in ipairs { "close", "terminate", "shutdown" } do
        t.open(server):send(t.frame("text", how))
      end
      t.open(server):finish()
      t.open(server):reset()
      t.open(server):close()
      t.open(server):send(t.frame("close", "\x03\xe8")):reset()
      t.open(server):send "\xff\xff\xff"
      t.raw(server):send "GET / HTTP/1.0\r\n\r\n"
      t.raw(server):close()
      t.wait(function() return opened == 8 and closed == 8 end)
      for _ = 1, 5 do t.turn() end
      assert.same({ 8, 8, 0 }, { opened, closed, server.connections })
    end)

    it("comes after whoever waits on the connection was woken", function()
      local log = {}
      local conn, raw = kit.pair({
        on_open = function(c) c:messages() end,
        on_close = function(_, code) log[#log + 1] = "on_close " .. code end,
      }, { rcvbuf = 4096 })
      ws.spawn(function()
        local m, why, code = conn:receive()
        log[#log + 1] = ("%s %s %d"):format(m, why, code)
      end)
      ws.spawn(function()
        conn:send(("x"):rep(8 << 20))
        local ok, why = conn:drain()
        log[#log + 1] = ("%s %s"):format(ok, why)
      end)
      t.turn()
      raw:reset()
      t.wait(function() return log[3] end)
      assert.same({ "nil closed 1006", "nil closed", "on_close 1006" }, log)
    end)

    it("is the last: no other handler starts after it", function()
      local log, go = {}, false
      local _, raw = kit.pair {
        close_timeout = 0.02,
        on_message = function(_, message)
          log[#log + 1] = message
          while not go do ws.sleep(0) end
        end,
        on_close = function() log[#log + 1] = "closed" end,
      }
      raw:send(t.frame("text", "one") .. t.frame("text", "two")
        .. t.frame("text", "three"))
      t.wait(function() return log[1] end)
      raw:reset()
      for _ = 1, 10 do t.turn() end
      go = true
      t.wait(function() return log[#log] == "closed" end)
      for _ = 1, 5 do t.turn() end
      assert.equal("closed", log[#log])
      assert.equal("one", log[1])
    end)

    it("is not held up for ever when its server must be gone", function()
      local log, go = {}, false
      local _, raw, server = kit.pair {
        on_message = function(_, message)
          log[#log + 1] = message
          while not go do ws.sleep(0) end
        end,
        on_close = function(_, code) log[#log + 1] = code end,
      }
      raw:send(t.frame("text", "one") .. t.frame("text", "two"))
      t.wait(function() return log[1] end)
      assert.same({ nil, "timeout" }, { server:close { timeout = 0.02 } })
      assert.same({ "one", 1001 }, log)
      go = true
      for _ = 1, 3 do t.turn() end
      assert.same({ "one", 1001 }, log)
    end)
  end)

  describe("that waits", function()
    local others = {
      sleep = function() ws.sleep(0.01) end,
      receive = function(server)
        local conn = assert(ws.connect(url_of(server) .. "/echo"))
        conn:send "x"
        assert(conn:receive(t.limit) == "x")
        conn:terminate()
      end,
      connect = function(server)
        local conn <close> = assert(ws.connect(url_of(server) .. "/echo"))
        assert(conn.state == "open")
      end,
    }
    local names = { "on_open", "on_message", "on_close", "on_upgrade",
      "on_request", "on_drain" }

    for how, wait in pairs(others) do
      it("by " .. how .. " may do so in every handler", function()
        local server
        local done, options = {}, { high_water = 1000 }
        for _, name in ipairs(names) do
          options[name] = function(conn, message)
            if conn.path == "/echo" then
              if name == "on_message" then conn:send(message) end
              return
            end
            if name == "on_message" then conn:send(("x"):rep(12 << 20)) end
            wait(server)
            done[name] = true
            if name == "on_request" then return 200 end
          end
        end
        server = t.listen(options)
        local bystander = t.bystander(server, { path = "/echo" })
        local raw = t.raw(server)
        raw:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        assert.equal(200, (raw:read_http()))
        raw = t.open(server, { rcvbuf = 4096 })
        t.wait(function() return done.on_open end)
        raw:send(t.frame("text", "x"))
        bystander:check()
        raw:message()
        t.wait(function() return done.on_drain end)
        bystander:check()
        raw:finish()
        t.wait(function() return done.on_close end)
        for _, name in ipairs(names) do assert.is_true(done[name], name) end
      end)
    end

    it("holds up no other connection", function()
      local go = false
      local server = t.listen { on_message = function(conn, message)
        if message == "wait" then
          while not go do ws.sleep(0) end
        end
        conn:send(message)
      end }
      local slow, quick = t.open(server), t.bystander(server)
      slow:send(t.frame("text", "wait") .. t.frame("text", "next"))
      for _ = 1, 5 do quick:check() end
      slow:expect_silence()
      go = true
      slow:expect_frame("text", "wait")
      slow:expect_frame("text", "next")
    end)
  end)
end)
