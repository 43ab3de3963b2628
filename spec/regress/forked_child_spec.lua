-- What is closed while a child lives that was forked without exec: its copies
-- of the descriptors kept connections and ports open until it ended.

local child = require "spec.helper.child"


describe("beside a forked child", function()
  local function run(script)
    local lines, ok = child.run(([[
      local list = {}
      local server = assert(ws.listen { host = "127.0.0.1", port = 0,
        on_open = function(conn) list[#list + 1] = conn end,
        on_request = function() return 200, "answer" end })
      local function dial()
        return assert(probe.net.connect { port = server.port })
      end
      local function open()
        local c = dial()
        c:send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
          .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
          .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        local n = #list
        wait(function() return #list > n end)
        return c, list[#list]
      end
      local function ended(c)
        local got, why
        wait(function()
          got, why = c:recv()
          return not got and why ~= "again"
        end)
        return why
      end
    ]]) .. script)
    return lines, ok
  end

  it("a connection that is terminated ends for its peer", function()
    assert.same({ { "eof" }, true }, { run [[
      local c, conn = open()
      local copy <close> = probe.names.child()
      conn:terminate()
      log(ended(c))
    ]] })
  end)

  it("a connection that is cut by a limit does, too", function()
    assert.same({ { "eof" }, true }, { run [[
      local c, conn = open()
      local copy <close> = probe.names.child()
      for _ = 1, 3 do c:send "\255\255\255" end
      log(ended(c))
    ]] })
  end)

  it("an answer's connection does", function()
    assert.same({ { "eof" }, true }, { run [[
      local c = dial()
      c:send "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
      wait(function() return server:stats().accepted == 1 end)
      local copy <close> = probe.names.child()
      log(ended(c))
    ]] })
  end)

  it("a port is free when its server has closed", function()
    assert.same({ { "true" }, true }, { run [[
      local port = server.port
      ws.step(0)
      local copy <close> = probe.names.child()
      ws.spawn(function() server:close() end)
      ws.step(0)
      local again
      wait(function()
        again = probe.net.connect { port = port }
        local ok, why = again:connected()
        return not ok and why ~= "again"
      end)
      log(ws.listen { host = "127.0.0.1", port = port } ~= nil)
    ]] })
  end)

  it("a client's connection ends for its server", function()
    assert.same({ { "true" }, true }, { run [[
      local conn
      ws.spawn(function()
        conn = assert(ws.connect(("ws://127.0.0.1:%d/"):format(server.port)))
      end)
      wait(function() return conn and #list == 1 end)
      local copy <close> = probe.names.child()
      conn:terminate()
      wait(function() return list[1].state == "closed" end)
      log(true)
    ]] })
  end)
end)
