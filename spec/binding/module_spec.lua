-- The module: what it holds, the one engine of a state, and what lua_close
-- does with everything that is still open.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

-- What a client of the child reads until the end.
local function rest_of(raw)
  local list = {}
  repeat
    local f = raw:frame()
    if f then list[#list + 1] = f.opcode == 8 and f.code or f.payload end
  until not f
  return list
end

-- Starts the child and connects; `finish` is what ends it, called with the
-- first connection of a server with a client of its own on each of many more.
local busy = [[
  local function finish(conn) %s end
  local seen = {}
  local server = assert(ws.listen { port = 0, host = "127.0.0.1",
    on_request = function() ws.sleep(60) end,
    on_upgrade = function(request)
      if request.path == "/slow" then ws.sleep(60) end
    end,
    on_message = function(conn, message)
      if message == "wait" then ws.sleep(60) end
      if message == "receive" then
        local other = assert(ws.connect(server_url))
        other:receive()
      end
      if message == "finish" then finish(conn) end
    end,
    on_close = function(conn) seen[#seen + 1] = conn.id end })
  server_url = "ws://127.0.0.1:" .. server.port
  client = assert(ws.connect(server_url))
  ws.connect(server_url .. "/slow", { on_open = print })
  ws.every(0.01, function() ws.sleep(60) end)
  ws.after(60, print)
  ws.spawn(function()
    local scoped <close> = setmetatable({}, { __close = print })
    client:receive()
  end)
  ws.sleep(0.02)
  say(server.port)
  %s
]]

describe("the module", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("is loaded once for a state, however often it is opened", function()
    local core = require "evws.core"
    local loader = package.searchers[3]("evws.core")
    local again = assert(loader) ("evws.core")
    assert.not_equal(core, again)
    local server = t.listen { on_message = function(c, m) c:send(m) end }
    local conn <close> = assert(again.connect("ws://127.0.0.1:"
      .. server.port))
    conn:send "x"
    assert.equal("x", conn:receive(t.limit))
  end)

  it("says its version", function()
    assert.is_truthy(ws.version:find "^%d+%.%d+%.%d+")
  end)

  it("has a clock that is monotonic and read afresh", function()
    local first = ws.now()
    local before = t.probe.now()
    assert.equal("float", math.type(first))
    repeat until t.probe.now() > before
    assert.is_true(ws.now() > first)
  end)

  it("takes a function, or nil, in ws.on_error", function()
    for _, value in ipairs { 5, "f", {} } do
      assert.is_false((pcall(ws.on_error, value)))
    end
    ws.on_error(nil)
    ws.on_error(print)
    ws.on_error(nil)
  end)

  it("tells on stderr of errors that nobody takes", function()
    local child = kit.run [[
      ws.spawn(function() error "nobody listens" end)
      ws.run()
      ws.on_error(function() error "and here" end)
      ws.spawn(function() error "first" end)
      ws.run()
      say "went on"
    ]]
    assert.equal(0, child:ended())
    assert.equal("went on\n", child:output())
    assert.is_truthy(child:errors():find("nobody listens", 1, true))
    assert.is_truthy(child:errors():find("traceback", 1, true))
    assert.is_truthy(child:errors():find("and here", 1, true))
  end)

  describe("at lua_close", function()
    local endings = {
      ["the end of the script"] = { "ws.stop()", "ws.run()" },
      ["os.exit(0, true)"] = { "ws.stop()", "ws.run() os.exit(0, true)" },
      ["os.exit(0, true) in a handler"] = { "os.exit(0, true)", "ws.run()" },
      ["os.exit(0, true) in a task that waited"] = {
        "ws.spawn(function() ws.sleep(0) os.exit(0, true) end)", "ws.run()" },
      ["os.exit(0, true) in a handler while another drives"] = {
        "os.exit(0, true)", "ws.sleep(60)" },
    }
    for name, how in pairs(endings) do
      it("by " .. name .. ": queued bytes, then 1001", function()
        local last = "for i = 1, 3 do conn:send('last ' .. i) end "
        local child = kit.run(busy:format(last .. how[1], how[2]))
        local port = tonumber((child:wait "^(%d+)$"))
        local bystander = t.open(port)
        local waiting = t.open(port)
        waiting:send(t.frame("text", "wait") .. t.frame("text", "unread"))
        t.open(port):send(t.frame("text", "receive"))
        t.raw(port):send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        t.raw(port):send "GET / HT"
        local raw = t.open(port)
        raw:send(t.frame("text", "finish"))
        assert.same({ "last 1", "last 2", "last 3", 1001 }, rest_of(raw))
        assert.same({ 1001 }, rest_of(bystander))
        assert.equal(0, child:ended())
        assert.equal("", child:errors())
      end)
    end

    it("what the kernel refuses is given up, nobody waits", function()
      local child = kit.run [[
        local server = assert(ws.listen { port = 0, host = "127.0.0.1",
          on_open = function(conn)
            conn:send(("x"):rep(32 << 20), "binary")
            ws.stop()
          end })
        say(server.port)
        ws.run()
        say "over"
      ]]
      local raw = t.open(tonumber((child:wait "^(%d+)$")))
      assert.equal(0, child:ended())
      assert.equal("", child:errors())
      raw:close()
    end)

    -- Finalizers run in the reverse order of setmetatable: before those of
    -- the module's objects, or after.
    for when, order in pairs { before = "open() keep()",
      after = "keep() open()" } do
    it("a finalizer " .. when .. " them may use the objects", function()
      local child = kit.run([[
        local server, conn, timer
        local function open()
        local ws = require "evws"
        server = assert(ws.listen { port = 0, host = "127.0.0.1" })
        conn = assert(ws.connect("ws://127.0.0.1:" .. server.port))
        timer = ws.after(60, print)
        end
        local function keep()
        kept = setmetatable({}, { __gc = function()
          local name = tostring(conn) .. tostring(server) .. tostring(timer)
          conn:send "x"
          conn:ping()
          conn:pause():resume()
          conn:close()
          conn:terminate()
          local s = conn.state .. conn.buffered
          server:each()
          timer:cancel()
          local n = server.connections
          local ws = package.loaded.evws
          say(pcall(conn.receive, conn, 0))
          say(pcall(ws.sleep, 0))
          say(pcall(server.close, server, {}))
          say(pcall(ws.after, 0, print))
          say(pcall(ws.spawn, print))
          say(pcall(ws.connect, "ws://127.0.0.1:1", { on_open = print }))
          say(pcall(ws.listen, { port = 0 }))
        end })
        end
      ]] .. order .. " os.exit(0, true)")
      assert.equal(0, child:ended())
      assert.equal("", child:errors())
      local _, lines = child:output():gsub("\n", "")
      assert.equal(7, lines)
    end)
    end
  end)

  it("gives none of its descriptors to programs that are started", function()
    local function inherited()
      local pipe = assert(io.popen("ls /proc/self/fd | wc -l"))
      local n = pipe:read "n"
      pipe:close()
      return n
    end
    local before = inherited()
    local server = t.listen {}
    for _ = 1, 3 do
      assert(ws.connect("ws://127.0.0.1:" .. server.port))
    end
    assert.equal(before, inherited())
    for conn in server:each() do conn:terminate() end
  end)
end)
