-- What breaks a C module in a host with a collector, and what leaks: BI-52,
-- BI-107 (its processes are in exit_spec.lua), BI-109, BI-112 to BI-115.

local t = require "spec.helper"
local common = require "spec.bad_inputs.common"
local life = require "spec.bad_inputs.life"

local ws, probe, guarded, frame = t.ws, t.probe, common.guarded, t.frame

local get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

-- One end of an upgrade each, on a server with these options.
local ends = {
  ["a closing handshake"] = { {}, function(server)
    t.open(server):finish()
  end },
  ["our own close"] = { { on_open = function(conn) conn:close() end },
    function(server)
      local client = t.open(server)
      client:expect_close(1000)
      client:send(frame("close", "\3\xe8"))
      client:expect_eof()
      client:close()
    end },
  ["a reset"] = { {}, function(server) t.open(server):reset() end },
  ["a reset inside a message"] = { {}, function(server)
    t.open(server):send(frame("text", ("x"):rep(70000)):sub(1, 40000))
      :flush():reset()
  end },
  ["an end without a close"] = { {}, function(server)
    t.open(server):close()
  end },
  ["a bad frame"] = { {}, function(server)
    local client = t.open(server):send(frame(3))
    client:expect_close(1002)
    client:close()
  end },
  ["a refusal"] = { { on_upgrade = function() return 403, "no" end },
    function(server)
      local client = t.raw(server)
      assert.equal(403, (client:upgrade()))
      client:close()
    end },
  ["a bad request"] = { {}, function(server)
    local client = t.raw(server):send "GET / HTTP/1.1\n"
    assert.equal(400, (client:read_http()))
    client:close()
  end },
  ["half a request"] = { {}, function(server)
    t.raw(server):send(get:sub(1, 10)):flush():reset()
  end },
  ["a timeout"] = { { handshake_timeout = 0.01, bystander = false },
    function(server)
      local clients = {}
      for i = 1, 20 do clients[i] = t.raw(server) end
      for i = 1, 20 do
        clients[i]:expect_eof()
        clients[i]:close()
      end
    end, 1 },
  ["an error of the application"] = { {
    on_message = function() error "boom" end, on_error = function() end,
  }, function(server)
    local client = t.open(server):send(frame("text", "x"))
    client:expect_close(1011)
    client:close()
  end },
  ["a queue that is full"] = { { echo = false, max_queued = 1,
    on_full = "close", on_open = function(conn)
      repeat until not conn:send(("x"):rep(1 << 20))
    end }, function(server) t.open(server, { rcvbuf = 4096 }):close() end, 2 },
  ["a handler that goes on for a while"] = { {
    on_message = function() ws.sleep(0.005) end,
  }, function(server)
    t.open(server):send(frame("text", "x")):send(frame("text", "y"))
      :flush():reset()
  end },
}

describe("at the edge of the engine", function()
  after_each(common.cleanup)

  for what, case in pairs(ends) do
    it("BI-52 an upgrade that ends by " .. what .. " leaves nothing behind",
      guarded(function(g)
        local server = g:listen(case[1])
        local fds = t.fd_count()
        common.flat(function()
          g.ends = {} -- the guard's own
          for _ = 1, case[3] or 20 do case[2](server) end
          t.wait(function() return probe.fd_count() <= fds end, "descriptors")
        end, 8)
      end))
  end

  it("BI-52 a server that is closed with its connections leaves nothing behind",
    guarded(function()
      common.flat(function()
        for i = 1, 5 do
          local server = t.listen { on_message = function(conn, message)
            conn:send(message)
          end }
          local clients = {}
          for k = 1, 4 do clients[k] = t.open(server) end
          clients[5] = t.raw(server)
          ws.spawn(function() server:close { timeout = i % 2 * 0.02 } end)
          for k = 1, 5 do
            if k < 5 then clients[k]:expect_close(1001, { drop = true }) end
            clients[k]:close()
          end
        end
        t.cleanup()
      end, 8)
    end))

  it("BI-107 what is open stays open when nobody holds it", guarded(function(g)
    local port
    do
      local server = g:listen { on_message = function(conn, text)
        collectgarbage()
        conn:send(text)
      end, on_open = function() collectgarbage() end,
        on_close = function() collectgarbage() end }
      port = server.port
    end
    collectgarbage()
    collectgarbage()
    local answers = 0
    for _ = 1, 5 do
      ws.connect("ws://127.0.0.1:" .. port, {
        on_open = function(conn) conn:send "x" end,
        on_message = function(conn, text)
          collectgarbage()
          answers = answers + (text == "x" and 1 or 0)
          conn:close()
        end })
    end
    collectgarbage()
    local client = t.open(port)
    collectgarbage()
    client:send(frame("text", "y")):expect_frame("text", "y")
    t.wait(function() return answers == 5 end, "all answers")
    client:finish()
  end))

  it("BI-107 the collector may run at every step of a connection's life",
    guarded(function(g)
      collectgarbage("incremental", 10, 1000)
      for _, hook in ipairs(life.hooks) do
        local n = 0
        assert.same({ 200, 101, 1000 }, { life.live(g, hook, function()
          collectgarbage()
          n = n + 1
        end) })
        assert.equal(1, n, hook)
      end
      collectgarbage("incremental", 200, 100)
    end))

  it("BI-107 a finalizer is out of a script's reach", guarded(function(g)
    local server = g:listen { on_open = function(conn)
      assert(not pcall(function() getmetatable(conn).__gc(conn) end))
    end }
    assert.has_error(function() getmetatable(server).__gc(server) end)
    t.open(server):finish()
  end))

  it("BI-107 a finalizer may be called twice", guarded(function(g)
    local conn
    local server = g:listen { on_open = function(opened) conn = opened end }
    local client = t.open(server)
    client:finish()
    g:expect_ends(1)
    local timer = ws.after(0, function() end)
    local idle = assert(ws.listen { port = 0 })
    t.pump(idle.close, idle)
    for _, object in ipairs { conn, timer, idle } do
      local finalize = debug.getmetatable(object).__gc
      finalize(object)
      finalize(object)
      assert.is_string(tostring(object))
    end
    assert.same({ nil, "closed" }, { conn:send "x" })
    assert.is_nil(conn.path)
    idle:close()
  end))

  it("BI-109 options that raise while they are read leave nothing open",
    guarded(function(g)
      local server = g:listen()
      local url = "ws://127.0.0.1:" .. server.port
      local function failing(n, own)
        return setmetatable(own, { __index = function()
          n = n - 1
          if n == 0 then error "not this one" end
        end })
      end
      for n = 1, 100 do
        local opened, own = pcall(ws.listen, failing(n, { port = 0 }))
        local connected, conn = pcall(ws.connect, url, failing(n, {}))
        if opened then t.pump(own.close, own) end
        if connected then conn:close() end
        if opened and connected then return end
      end
      error "the options are read without end"
    end))

  it("BI-109 what cannot be opened leaves nothing open", guarded(function(g)
    local server = g:listen()
    local fds = t.fd_count()
    for _ = 1, 50 do
      assert.is_nil((ws.listen { host = "127.0.0.1", port = server.port }))
      assert.is_nil((ws.listen { unix = "/nowhere/at/all" }))
      assert.is_nil((ws.connect "ws://127.0.0.1:1/"))
      assert.is_nil((ws.connect "ws+unix:///nowhere/at/all"))
    end
    t.wait(function() return probe.fd_count() <= fds end, "descriptors")
  end))

  -- The files of a directory of the sources, without comments.
  local function sources(directory, pattern)
    local list = {}
    local pipe <close> = assert(io.popen("find " .. directory))
    for path in pipe:lines() do
      if path:find(pattern) then
        local file <close> = assert(io.open(path))
        list[path] = file:read("a"):gsub("/%*.-%*/", ""):gsub("%-%-[^\n]*", "")
      end
    end
    assert.is_truthy(next(list))
    return list
  end

  it("BI-112 no stack but Lua's own is ever changed", function()
    for path, text in pairs(sources("src", "%.[ch]$")) do
      for _, word in ipairs { "makecontext", "swapcontext", "sigaltstack",
                              "setjmp", "longjmp" } do
        assert.is_nil(text:find(word, 1, true), path)
      end
    end
  end)

  it("BI-113 a server without descriptors sheds, rests and recovers",
    guarded(function(g)
      g:listen()
      local pipe, finish = common.start([[
        local t = require "spec.helper"
        local ws, done = t.ws, false
        local server = t.listen { max_connections = 1000,
          on_message = function(conn, text)
            if text == "cpu" then text = tostring(t.probe.cpu()) end
            conn:send(text)
          end,
          on_close = function(conn) done = done or conn.path == "/control" end }
        io.stdout:setvbuf "no"
        print(server.port)
        t.wait(function() return done end, "the end", 50)
        t.cleanup()
      ]], { nofile = 48 })
      local port = tonumber(pipe:read "l")
      local control = t.open(port, { path = "/control" })
      local clients, opened, shed = {}, {}, 0
      for i = 1, 100 do clients[i] = t.raw(port) end
      for i = 1, 100 do
        local status
        local ok = pcall(function() status = clients[i]:upgrade() end)
        if ok and status == 101 then opened[#opened + 1] = clients[i]
        else shed = shed + 1 end
      end
      assert.is_true(#opened > 20 and shed > 50)
      local function cpu()
        control:send(frame("text", "cpu"))
        local _, text = control:message()
        return tonumber(text)
      end
      local before = cpu()
      common.rest(20) -- 0.2 s
      assert.is_true(cpu() - before < 0.1)
      for _, client in ipairs(opened) do
        client:send(frame("text", "x")):expect_frame("text", "x")
      end
      for i = 1, 10 do opened[i]:close() end
      t.wait(function()
        local client = t.raw(port)
        local ok, status = pcall(client.upgrade, client)
        client:close()
        return ok and status == 101
      end, "room for another")
      control:close()
      local status, _, errors = finish()
      assert.same({ 0, "evws: cannot accept (Too many open files): "
        .. "connections wait or are refused\n" }, { status, errors })
    end))

  it("BI-114 a descriptor that is used again belongs to the new connection",
    guarded(function(g)
      local server = g:listen { on_message = function(conn, text)
        if text == "cut" then conn:terminate() else conn:send(text) end
      end }
      local last
      for i = 1, 200 do
        local client = t.open(server)
        if last then last:send(frame("text", "late")):send "\xff\xff" end
        client:send(frame("text", "cut")):flush()
        if i % 3 == 0 then client:reset() client = nil end
        local other = t.open(server):send(frame("text", "x"))
        other:expect_frame("text", "x")
        if client then client:close() end
        if last then last:close() end
        last = other
      end
    end))

  -- Both ends are in the child, whose descriptors are known one by one.
  local outside_script = [[
    local ws = require "evws"
    local probe = require "evws_probe".net
    local how, sends = arg[1], arg[2] == "sends"
    local function fds()
      local list = {}
      for n = 3, 100 do list[n] = probe.has_fd(n) or nil end
      return list
    end
    local function at(host) return "ws://127.0.0.1:" .. host.port end
    local closed = 0
    local server = assert(ws.listen { port = 0, host = "127.0.0.1",
      keepalive_interval = 0.05, keepalive_timeout = 0.2, stall_timeout = 0.2,
      close_timeout = 0.2,
      on_message = function(conn, text) conn:send(text) end,
      on_close = function() closed = closed + 1 end })
    local other = assert(ws.connect(at(server)))
    local before = fds()
    local client = assert(ws.connect(at(server)))
    for n in pairs(fds()) do
      if not before[n] then assert(probe[how](n)) end
    end
    local from = probe.cpu()
    if sends then
      client:send "x"
      for conn in server:each() do conn:send "y" end
    end
    ws.sleep(0.5)
    assert(probe.cpu() - from < 0.25, "it spins")
    local last = ws.now() + 20 -- if it was held up it judges later
    while closed == 0 and ws.now() < last do ws.sleep(0.01) end
    ws.sleep(0.05)
    assert(closed == 1, "on_close was called " .. closed .. " times")
    client:terminate()
    ws.sleep(0.05)
    assert(other:send "z")
    repeat until assert(other:receive(5)) == "z"
    print "sound"
    os.exit(0, true)
  ]]

  for _, how in ipairs { "close_fd", "null_over_fd" } do
    for _, sends in ipairs { "sends", "waits" } do
      it("BI-114 a descriptor that is taken away from outside by " .. how
        .. " and " .. sends .. " harms nobody else", function()
        local status, out, errors = common.child(outside_script,
          { how, sends })
        assert.equal("", errors)
        assert.same({ 0, "sound\n" }, { status, out })
      end)
    end
  end

  it("BI-115 no text is ever taken for code", function()
    for path, text in pairs(sources("lua", "%.lua$")) do
      for _, name in ipairs { "load", "loadstring", "loadfile", "dofile" } do
        assert.is_nil(text:find("%f[%w_]" .. name .. "%f[^%w_]"), path)
      end
    end
    for path, text in pairs(sources("src", "%.[ch]$")) do
      assert.is_nil(text:find "luaL?_[dl]o[a-z]*string"
        or text:find "luaL_loadbuffer" or text:find "luaL?_load%f[%W]", path)
    end
  end)

  it("BI-115 files are found in time linear in what is asked",
    guarded(function(g)
      local server = g:listen { max_request_line = 60000,
        max_header_line = 60000, max_header_bytes = 200000,
        on_request = ws.static("spec/bad_inputs") }
      local function cost(piece, n)
        local text = piece:rep(n // #piece)
        return common.cpu(function()
          for _, lines in ipairs {
            { "GET /" .. text:gsub(" ", "+") .. " HTTP/1.1" },
            { "GET /life.lua HTTP/1.1", "If-None-Match: " .. text },
            { "GET /life.lua HTTP/1.1", "Range: bytes=" .. text },
            { "GET /life.lua HTTP/1.1", "If-Modified-Since: " .. text },
            { "GET /life.lua HTTP/1.1", "If-Range: " .. text, "Range: x" },
          } do
            lines[#lines + 1] = "Host: a"
            for _ = 1, 20 do
              local status, _, _, client = common.answer(server,
                common.head(lines))
              assert.is_true(status >= 200 and status < 500)
              client:close()
            end
          end
        end)
      end
      for _, piece in ipairs { "(", "%25", "a,", "\"", "/", "../", "W/\"", ".",
                               "0-", "[", "% ", "Mon, " } do
        cost(piece, 1000)
        if not common.is_sanitized then -- its own searches are not linear
          assert.is_true(common.is_cheap(function(n)
            return cost(piece, n)
          end, 12000, 48000, 10)) -- not 16 times
        end
      end
    end))
end)
