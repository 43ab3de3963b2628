-- Connection objects: one for each connection, the same in every handler,
-- kept alive by the engine while it is open and collected when it is not.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local url_of = t.url_of

local function collect()
  collectgarbage()
  collectgarbage()
end

local function size(set)
  local n = 0
  for _ in pairs(set) do n = n + 1 end
  return n
end

describe("a connection object", function()
  after_each(function()
    collectgarbage "incremental"
    collectgarbage("incremental", 200, 100, 13)
    kit.cleanup()
    t.cleanup()
  end)

  it("is the same userdata wherever it comes from", function()
    local seen, server = {}, nil
    local function note(conn) seen[conn] = true end
    server = t.listen {
      on_open = note,
      on_drain = note,
      on_close = note,
      on_error = note,
      high_water = 1000,
      on_message = function(conn, message)
        note(conn)
        for c in server:each() do note(c) end
        note(conn:pause():resume():on_drain(note))
        conn:send(("x"):rep(8 << 20))
        conn:drain()
        note(conn)
        if message == "raise" then error "x" end
      end,
    }
    local raw = t.open(server, { rcvbuf = 4096 })
    raw:send(t.frame("text", "x"))
    raw:message()
    raw:send(t.frame("text", "raise"))
    raw:message()
    raw:expect_close(1011)
    t.wait(function() return server.connections == 0 end)
    assert.equal(1, size(seen))
    assert.equal("userdata", type(next(seen)))
    assert.equal("evws.conn", getmetatable(next(seen)))
  end)

  it("that is dropped stays alive while it is open", function()
    local closed = 0
    local server = t.listen {
      on_message = function(conn, message) conn:send(message) end,
      on_close = function() closed = closed + 1 end,
    }
    local raw = t.open(server)
    for i = 1, 3 do
      collect()
      raw:send(t.frame("text", "m" .. i))
      raw:expect_frame("text", "m" .. i)
    end
    assert.equal(0, closed)
  end)

  it("of a client that is dropped stays alive, too", function()
    local got = {}
    local server = t.listen {}
    ws.connect(url_of(server), { on_open = function() end,
      on_message = function(_, message) got[#got + 1] = message end })
    t.wait(function() return server.connections == 1 end)
    collect()
    for conn in server:each() do conn:send "one" end
    t.wait(function() return got[1] end)
  end)

  it("is collected when it is closed, with cycles to itself", function()
    local weak = setmetatable({}, { __mode = "k" })
    local server = t.listen { on_open = function(conn)
      weak[conn] = true
      conn.data = { conn = conn, f = function() return conn end }
      conn:on_message(function() return conn end)
      conn:on_close(function() return conn end)
    end }
    local raw = t.open(server)
    raw:send(t.frame("text", "x"))
    raw:expect_silence()
    collect()
    assert.equal(1, size(weak))
    raw:finish()
    t.wait(function() return server.connections == 0 end)
    t.wait(function()
      collect()
      return size(weak) == 0
    end, "the object to be collected")
  end)

  it("of a failed attempt is collected", function()
    local weak = setmetatable({}, { __mode = "k" })
    for _ = 1, 10 do
      ws.connect("ws+unix:///nonexistent/socket", {
        on_open = print, on_close = function(conn) weak[conn] = true end })
    end
    t.wait(function() return size(weak) > 0 end)
    t.wait(function()
      collect()
      return size(weak) == 0
    end)
  end)

  it("is one of many hundreds, and slots are used again", function()
    local server = t.listen {
      on_open = function(conn) conn.data = conn.path end,
      on_message = function(conn, message)
        assert(conn.data == message)
        conn:send(message .. " " .. conn.path)
      end,
    }
    for round = 1, 2 do
      local raws = {}
      for i = 1, 300 do
        raws[i] = t.open(server, { path = ("/%d/%d"):format(round, i) })
      end
      assert.equal(300, server.connections)
      for i = 300, 1, -7 do
        local path = ("/%d/%d"):format(round, i)
        raws[i]:send(t.frame("text", path))
        raws[i]:expect_frame("text", path .. " " .. path)
      end
      local n = 0
      for conn in server:each() do
        n = n + 1
        assert.equal(conn.path, conn.data)
      end
      assert.equal(300, n)
      for _, raw in ipairs(raws) do raw:close() end
      t.wait(function() return server.connections == 0 end)
    end
  end)

  it("stays itself for a handler that outlives the connection", function()
    local log, errors, go = {}, kit.errors(), false
    local server = t.listen {
      on_message = function(conn, message)
        while not go do ws.sleep(0) end
        log[#log + 1] = { message, conn.path, conn.state, conn:send "x" }
        error("late " .. message)
      end,
      on_close = function(conn)
        while not go do ws.sleep(0) end
        if conn.path == "/gone" then error "late close" end
      end,
    }
    local raw = t.open(server, { path = "/gone" })
    raw:send(t.frame("text", "one"))
    raw:expect_silence()
    raw:reset()
    t.wait(function() return server.connections == 0 end)
    local others = {}
    for i = 1, 5 do others[i] = t.open(server, { path = "/other" }) end
    collect()
    go = true
    t.wait(function() return errors[2] end)
    for _ = 1, 3 do t.turn() end
    assert.same({ { "one", "/gone", "closed", nil, "closed" } }, log)
    assert.equal(2, #errors)
    for _, e in ipairs(errors) do assert.equal("/gone", e.conn.path) end
    for _, other in ipairs(others) do other:expect_silence() end
  end)

  for _, mode in ipairs { "generational", "a tireless collector" } do
    it("stands " .. mode .. " during a busy echo", function()
      local server = t.listen {
        on_message = function(conn, message, kind)
          conn.data = { conn, message }
          if #message % 3 == 0 then ws.sleep(0) end
          conn:send(message, kind)
        end,
      }
      if mode == "generational" then
        collectgarbage "generational"
      else
        collectgarbage("incremental", 1, 1000, 1)
      end
      local done = 0
      for _ = 1, 8 do
        ws.spawn(function()
          local conn <close> = assert(ws.connect(url_of(server)))
          for i = 1, 40 do
            local message = tostring(i):rep(i)
            conn:send(message, "binary")
            assert(conn:receive(t.limit) == message)
          end
          done = done + 1
        end)
      end
      t.wait(function() return done == 8 end, "the echoes", 20)
    end)
  end
end)
