-- Handlers that fail: BI-105, BI-106 and BI-108.

local t = require "spec.helper"
local common = require "spec.bad_inputs.common"
local life = require "spec.bad_inputs.life"

local ws, guarded, frame = t.ws, common.guarded, t.frame
local live, big = life.live, life.big

local http_hooks = { origins = true, on_upgrade = true, on_request = true }

-- On a full stack no finalizer can be called; Lua drops the object then.
local function overflow()
  collectgarbage "stop"
  local function deeper() return 1 + deeper() end
  return deeper()
end

local failures = {
  ["a string"] = { function() error("boom", 0) end, "boom" },
  ["nil"] = { function() error(nil) end,
    _VERSION == "Lua 5.4" and "nil" or "<no error object>" },
  ["a number"] = { function() error(42) end, "42" },
  ["a boolean"] = { function() error(false) end, "false" },
  ["a table"] = { function() error {} end, "table: " },
  ["a function"] = { function() error(print) end, "function: " },
  ["a coroutine"] = { function() error(coroutine.create(print)) end,
    "thread: " },
  ["a table with a text"] = { function()
    error(setmetatable({}, { __tostring = function() return "custom" end }))
  end, "custom" },
  ["a table whose __tostring raises"] = { function()
    error(setmetatable({}, { __tostring = function() error "again" end }))
  end, "" },
  ["a table whose __tostring waits"] = { function()
    error(setmetatable({}, { __tostring = function() ws.sleep(0) end }))
  end, "" },
  ["a table whose __tostring is no text"] = { function()
    error(setmetatable({}, { __tostring = function() return {} end }))
  end, "" },
  ["a runtime error"] = { function() return (nil).x end, "attempt to index" },
  ["a full stack"] = { overflow, "stack overflow", { "on_message" } },
  ["a wrong argument"] = { function() ws.sleep "x" end, "number expected" },
  ["an error after a wait"] = { function() ws.sleep(0) error "late" end,
    "late" },
  ["a yield"] = { function() coroutine.yield(1, 2) end, "yield" },
}

describe("a handler", function()
  after_each(function()
    collectgarbage "restart"
    common.cleanup()
  end)

  for what, case in pairs(failures) do
    it("BI-105 that raises " .. what .. " ends its connection, and is told",
      guarded(function(g)
        for _, hook in ipairs(case[3] or life.hooks) do
          local plain, status, code = live(g, hook, case[1])
          assert.equal(hook == "on_request" and 500 or 200, plain)
          if http_hooks[hook] and hook ~= "on_request" then
            assert.equal(500, status)
          elseif hook == "on_open" or hook == "on_message"
            or hook == "on_drain" then
            assert.equal(1011, code)
          else
            assert.equal(1000, code)
          end
          local message, traceback, conn = g:expect_error(case[2])
          assert.equal("string", type(message))
          assert.equal("string", type(traceback))
          assert.equal("evws.conn", (tostring(conn):match "^[^:]+"))
          assert.same({}, g.errors)
        end
      end))
  end

  it("BI-105 that raises is told to its server's own on_error, once",
    guarded(function(g)
      for _, hook in ipairs(life.hooks) do
        local told = 0
        live(g, hook, function() error "boom" end, {
          on_error = function(conn, message)
            told = told + 1
            assert.is_truthy(message:find("boom", 1, true))
            conn:send "too late"
            conn:close()
          end })
        assert.equal(1, told)
      end
    end))

  it("BI-105 that raises after its connection has gone harms no other one",
    guarded(function(g)
      for _, hook in ipairs { "on_open", "on_message", "on_close" } do
        local mine, may_go
        local own = { echo = hook ~= "on_message", bystander = false }
        own[hook] = function(conn)
          if mine then return end
          mine = conn
          while not may_go do ws.sleep(0.002) end
          error "boom"
        end
        local server = g:listen(own)
        local n = #g.ends
        t.open(server):send(frame("text", "x")):flush():close()
        g:expect_ends(n + 1)
        t.wait(function() return mine.state == "closed" end, "the end")
        local others = {}
        for i = 1, 3 do others[i] = t.bystander(g:listen()) end
        may_go = true
        local _, _, conn = g:expect_error "boom"
        assert.is_true(rawequal(mine, conn))
        for i = 1, 3 do others[i].check() end
      end
    end))

  it("BI-105 that raises after its request was given up harms no other one",
    guarded(function(g)
      for _, hook in ipairs { "on_upgrade", "on_request" } do
        local may_go
        local server = g:listen { upgrade_timeout = 0.02,
          [hook] = function()
            while not may_go do ws.sleep(0.002) end
            error "boom"
          end }
        local client = t.raw(server)
        if hook == "on_upgrade" then
          assert.equal(503, (client:upgrade()))
        else
          client:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
          assert.equal(503, (client:read_http()))
        end
        client:expect_eof()
        client:close()
        common.rest(1)
        local others = {}
        for i = 1, 3 do others[i] = t.bystander(g:listen()) end
        may_go = true
        g:expect_error "boom"
        for i = 1, 3 do others[i].check() end
      end
    end))

  it("BI-105 that runs out of memory ends its connection", guarded(function(g)
    g:listen()
    local status, output, errors = common.child([[
      local t = require "spec.helper"
      local zeros = assert(io.open "/dev/zero")
      local n = 0
      t.ws.on_error(function(_, message)
        assert(message == "not enough memory", message)
        n = n + 1
      end)
      local server = t.listen { on_message = function(conn, message)
        if message == "buffer" then
          zeros:read(1 << 46)
        elseif message == "text" then
          while true do message = message .. message end
        end
        conn:send(message)
      end }
      local bystander = t.bystander(server)
      for _, how in ipairs(arg) do
        local client = t.open(server):send(t.frame("text", how))
        client:expect_close(1011)
        client:close()
        bystander.check()
      end
      t.cleanup()
      print(n)
    ]], common.is_sanitized
      and { "buffer", "buffer", env = { ASAN_OPTIONS = os.getenv "ASAN_OPTIONS"
        .. ":allocator_may_return_null=1" } }
      or { "buffer", "text", memory = 400000 })
    assert.equal(0, status, errors)
    assert.equal("2\n", output)
  end))

  it("BI-105 of errors that raises goes to stderr, and ends nothing else",
    guarded(function(g)
      g:listen()
      local status, _, errors = common.child [[
        local t = require "spec.helper"
        t.ws.on_error(function() error "second" end)
        local server = t.listen {
          on_message = function() error "first" end,
          on_open = function(conn) conn:on_message(conn.send) end,
        }
        local bystander = t.bystander(server)
        for _, value in ipairs { "first", 42, {}, print } do
          t.ws.spawn(error, value)
          t.ws.step(0)
        end
        local own = t.listen { on_message = function() error "first" end,
          on_error = function() error {} end }
        local client = t.open(own):send(t.frame("text", "x"))
        client:expect_close(1011)
        client:close()
        bystander.check()
        t.cleanup()
      ]]
      assert.equal(0, status, errors)
      local _, n = errors:gsub("error in an error handler", "")
      assert.equal(5, n)
    end))

  it("BI-106 that fails again and again leaves nothing behind",
    guarded(function(g)
      local server = g:listen { on_message = function() error {} end }
      local n = 0
      ws.on_error(function() n = n + 1 end)
      common.flat(function()
        local before = n
        for _ = 1, 2000 do ws.spawn(error, "boom") end
        for _ = 1, 10 do ws.after(0, function() error "boom" end) end
        for _ = 1, 10 do
          local client = t.open(server):send(frame("text", "x"))
          client:expect_close(1011)
          client:close()
        end
        t.wait(function() return n == before + 2020 end, "all errors")
      end, 10)
    end))

  it("BI-108 from a coroutine that has died is called all the same",
    guarded(function(g)
      local server, ended, drained
      coroutine.wrap(function()
        server = g:listen { on_open = function(conn)
          coroutine.wrap(function()
            conn:on_message(function(self, text)
              self:send(text == "b" and big .. text or text .. "!")
            end)
            conn:on_drain(function() drained = true end)
            conn:on_close(function() ended = true end)
          end)()
          g.state[conn], g.closed = "closed", g.closed + 1 -- it has its own
        end }
        ws.after(0.01, function() collectgarbage() end)
      end)()
      collectgarbage()
      collectgarbage()
      local client = t.open(server, { rcvbuf = 65536 })
      client:send(frame("text", "a")):expect_frame("text", "a!")
      client:send(frame("text", "b")):expect_frame("text", big .. "b")
      t.wait(function() return drained end, "on_drain")
      client:finish()
      t.wait(function() return ended end, "on_close")
    end))
end)
