-- Handlers that end what they are called for, or wait where they must not:
-- BI-110 and BI-111.

local t = require "spec.helper"
local common = require "spec.bad_inputs.common"
local life = require "spec.bad_inputs.life"

local ws, guarded, frame = t.ws, common.guarded, t.frame
local live, big = life.live, life.big

describe("a handler", function()
  after_each(common.cleanup)

  local actions = { -- (server, conn or nil, another connection)
    ["closes twice"] = function(_, conn)
      if conn then conn:close() conn:close(3000, "again") end
    end,
    ["cuts twice"] = function(_, conn)
      if conn then conn:terminate() conn:terminate() end
    end,
    ["shuts down, closes and cuts"] = function(_, conn)
      if conn then conn:shutdown() conn:close() conn:terminate() end
    end,
    ["sends, closes and sends"] = function(_, conn)
      if conn then conn:send(big) conn:close() conn:send(big) end
    end,
    ["closes another"] = function(_, _, other)
      other:close() other:close()
    end,
    ["cuts another"] = function(_, _, other)
      other:terminate() other:close()
    end,
    ["closes the server"] = function(server)
      server:close { timeout = 0.05 }
      server:close { timeout = 0.05 }
    end,
    ["lets the server be closed"] = function(server)
      ws.spawn(server.close, server, { timeout = 0.05 })
      ws.spawn(server.close, server, { timeout = 0 })
    end,
    ["listens again"] = function(server)
      local again, why, code = ws.listen { port = server.port,
        host = "127.0.0.1" }
      assert(not again and why and code)
      local own = assert(ws.listen { port = 0 })
      own:close()
      own:close()
    end,
    ["leaves and collects"] = function()
      for _ = 1, 3 do collectgarbage() end
    end,
    ["drives the loop"] = function()
      for _, fn in ipairs { ws.run, ws.step } do
        local ok, why = pcall(fn)
        assert(not ok and why:find("already running", 1, true), why)
      end
      ws.stop()
    end,
    ["pauses and goes on"] = function(_, conn)
      if conn then conn:pause() conn:resume() end
    end,
    ["connects to its own server"] = function(server)
      local url = "ws://127.0.0.1:" .. server.port
      local conn <close> = assert(ws.connect(url))
      conn:send "x"
      conn:terminate()
    end,
  }
  for what, action in pairs(actions) do
    it("BI-110 that " .. what .. " does so from everywhere",
      guarded(function(g)
        g:listen()
        for _, hook in ipairs(life.hooks) do
          for _, waits in ipairs { false, true } do
            local other, server
            server = g:listen { on_open = function(conn) other = conn end,
              bystander = false }
            local others = t.open(server)
            live(g, hook, function(conn)
              if waits then ws.sleep(0) end
              action(conn and conn.server or server, conn, other)
            end, { bystander = false })
            others:close()
          end
        end
      end))
  end

  it("BI-110 that waits while its server closes cannot open a connection",
    guarded(function(g)
      g:listen()
      local may_go, closed
      local server = g:listen { bystander = false, on_upgrade = function()
        while not may_go do ws.sleep(0.002) end
      end, on_request = function()
        while not may_go do ws.sleep(0.002) end
        return 200, "ok"
      end }
      local client = t.raw(server):send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
      local upgrade = t.raw(server)
      ws.after(0.02, function()
        ws.spawn(function() closed = server:close { timeout = 4 } end)
        ws.after(0.02, function() may_go = true end)
      end)
      assert.equal(503, (upgrade:upgrade()))
      upgrade:expect_eof()
      upgrade:close()
      assert.equal(200, (client:read_http())) -- had begun before
      client:expect_eof()
      client:close()
      t.wait(function() return closed end, "the end of the server")
    end))

  local cannot = "cannot %a+ here %(use ws.spawn%)"
  local places = { -- where a wait must not be: each -> ok, why
    ["table.sort"] = function(wait)
      return pcall(table.sort, { 3, 1, 2 }, function(a, b)
        wait()
        return a < b
      end)
    end,
    ["string.gsub"] = function(wait)
      return pcall(string.gsub, "abc", "%w", wait)
    end,
    ["__tostring"] = function(wait)
      return pcall(tostring, setmetatable({}, { __tostring = wait }))
    end,
    ["require"] = function(wait)
      package.preload.bad_input = wait
      local ok, why = pcall(require, "bad_input")
      package.preload.bad_input = nil
      return ok, why
    end,
    ["a coroutine of its own"] = function(wait)
      return pcall(coroutine.wrap(wait))
    end,
    ["a finalizer"] = function(wait)
      local ok, why
      setmetatable({}, { __gc = function() ok, why = pcall(wait) end })
      collectgarbage()
      return ok, why
    end,
  }
  for place, try in pairs(places) do
    it("BI-111 that waits in " .. place .. " is told that it cannot",
      guarded(function(g)
        local failed = {}
        local waits = { ws.sleep, function(_, conn) conn:receive() end,
          function() ws.connect "ws://127.0.0.1:1" end }
        local server = g:listen { on_message = function(conn, text)
          for i, wait in ipairs(waits) do
            if i == 2 then conn:on_message(nil) end
            local ok, why = try(function() wait(0, conn) end)
            failed[i] = ok == false and why
          end
          conn:send(text)
        end }
        local client = t.open(server):send(frame("text", "x"))
        client:expect_frame("text", "x")
        for i = 1, #waits do
          assert.is_truthy(failed[i] and failed[i]:find(cannot), failed[i])
        end
        client:finish()
      end))
  end

  it("BI-111 may wait in pcall, an iterator, a metamethod and at a scope's end",
    guarded(function(g)
      local order = {}
      local function note(text)
        ws.sleep(0)
        order[#order + 1] = text
      end
      local server = g:listen { on_message = function(conn, text)
        pcall(pcall, note, "pcall")
        xpcall(error, note, "xpcall")
        for value in function(_, last) note "for" return not last or nil end do
          order[#order + 1] = tostring(value)
        end
        local lazy = setmetatable({}, { __index = function(_, key)
          note(key)
          return key
        end, __close = function() note "close" end })
        do
          local scope <close> = lazy
          assert(scope.index == "index")
        end
        conn:send(text)
      end }
      local client = t.open(server):send(frame("text", "x"))
      client:expect_frame("text", "x")
      assert.same({ "pcall", "for", "true", "for", "index", "close" }, order)
      client:finish()
    end))
end)
