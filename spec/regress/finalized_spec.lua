-- Whoever is finalized after our objects (older than the module, or older
-- than they in one cycle of garbage) may still hold them, and call what it
-- likes; so may whoever keeps a connection longer than its server. Some
-- methods reached tasks, options and loops that were not there any more, or
-- not yet. Seen by the sanitizer build.

local t = require "spec.helper"
local kit = require "spec.binding.kit"

-- Every method, metamethod and property of every object, with every kind of
-- argument; it says what those returned that have only one right answer.
local try_all = [==[
  local objects = {}
  local function methods_of(object)
    local index = debug.getmetatable(object).__index
    if type(index) == "table" then return index end
    local _, methods = debug.getupvalue(index, 1)
    return methods
  end
  local properties = { "buffered", "compressed", "connections", "data",
    "host", "id", "latency", "missed", "origin", "params", "path", "port",
    "query", "remote_address", "remote_port", "request", "secure", "server",
    "state", "subprotocol" }
  local odd = { table.pack(), table.pack(nil), table.pack(true),
    table.pack(0), table.pack(-1), table.pack(1000), table.pack(1e300),
    table.pack(0/0), table.pack "x", table.pack("x", "binary"),
    table.pack("x", "y", "text"), table.pack "\xff", table.pack(print),
    table.pack {}, table.pack("/new", { on_open = print }),
    table.pack(("x"):rep(100000)), table.pack(coroutine.create(print)),
    table.pack(io.stderr), table.pack("x", 0), table.pack({ timeout = 0 }) }
  local n = 0
  local function try(f, ...)
    n = n + 1
    return table.pack(pcall(f, ...))
  end
  -- What an object says that was finalized, for it is over.
  local function check()
    for name, object in pairs(objects) do
      if debug.getmetatable(object).__name == "evws.conn" then
        for _, call in ipairs { { "send", "x" }, { "ping" }, { "writer" },
          { "shutdown" }, { "receive", 0 }, { "drain", 0 } } do
          local got
          repeat -- messages that were not read come first
            got = try(object[call[1]], object, call[2])
          until got[3] ~= "text"
          local is_right = got[1] and got[2] == nil and got[3] == "closed"
          if not is_right then
            say("wrong", name, call[1], table.unpack(got, 1, got.n))
          end
        end
        if object.state ~= "closed" then say("wrong", name, object.state) end
      end
    end
  end
  local is_finalized
  local function try_all()
    if is_finalized then check() end
    local lists = { table.unpack(odd) }
    for _, object in pairs(objects) do
      lists[#lists + 1] = table.pack(object)
    end
    for _, object in pairs(objects) do
      local meta = debug.getmetatable(object)
      for name, f in pairs(methods_of(object)) do
        if name ~= "signal" then
          for _, list in ipairs(lists) do
            try(f, object, table.unpack(list, 1, list.n))
          end
        end
      end
      for _, name in ipairs(properties) do
        try(function() return object[name] end)
        try(function() object[name] = 1 end)
      end
      for _, name in ipairs { "__tostring", "__close", "__len", "__gc",
        "__index", "__newindex" } do
        if type(meta[name]) == "function" then
          for _, list in ipairs(lists) do
            try(meta[name], object, table.unpack(list, 1, list.n))
          end
        end
      end
    end
    say("tried", n > 200)
  end
  local function keep() kept = setmetatable({}, { __gc = try_all }) end
]==]

-- All kinds of objects, at work: tasks wait on most of them.
local at_work = [[
  local function open()
    local ws = require "evws"
    local core = require "evws.core"
    local o = objects
    o.server = assert(ws.listen { port = 0, host = "127.0.0.1",
      compression = true, routes = {
        ["/:x"] = { on_open = function(conn)
          o.accepted = conn
          conn:subscribe "x"
          o.writer = conn:writer()
          o.writer:write "x"
          conn:send(("x"):rep(1 << 20), "binary", { compress = false })
          conn:drain()
        end } },
      on_request = function(request)
        o.request = request
        return 200, function(out)
          o.body = out
          out:write(("x"):rep(1 << 22))
          out:drain()
          ws.sleep(60)
        end
      end })
    o.peer = assert(require "evws_probe".net.connect {
      port = o.server.port })
    o.peer:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    local url = "ws://127.0.0.1:" .. o.server.port .. "/a"
    o.client = assert(ws.connect(url, { compression = true,
      reconnect = true }))
    o.client:pause()
    o.client:send "x"
    ws.spawn(function() o.client:receive() end)
    o.trying = ws.connect(url, { on_open = print })
    o.waiting = ws.connect("ws+unix:///nowhere", { on_open = print,
      reconnect = true, on_close = print })
    o.timer = ws.after(60, print)
    o.beat = ws.every(0.001, function() ws.sleep(60) end)
    o.over = ws.after(0, print)
    o.queue, o.full = ws.queue(1), ws.queue(1)
    o.full:put(1)
    ws.spawn(function() o.queue:take() end)
    ws.spawn(function() o.full:put(2, 60) end)
    o.input = core.input(0)
    ws.spawn(function() o.input:read() end)
    o.closing = assert(ws.listen { port = 0, host = "127.0.0.1" })
    o.other = assert(ws.connect("ws://127.0.0.1:" .. o.closing.port))
    o.other:pause()
    ws.spawn(function() o.closing:close { timeout = 60 } end)
    while not (o.body and o.writer) do ws.sleep(0.001) end
    ws.sleep(0.02)
  end
]]

-- The same kinds, all of them over.
local all_over = [[
  local function open()
    local ws = require "evws"
    local o = objects
    o.server = assert(ws.listen { port = 0, host = "127.0.0.1",
      compression = true, routes = { ["/:x"] = { on_open = function(conn)
        o.accepted = conn
        conn:subscribe "x"
        o.writer = conn:writer()
      end, on_close = function() return o end } },
      on_request = function(request)
        o.request = request
        return 200, function(out)
          o.body = out
          out:write "x"
        end
      end })
    local url = "ws://127.0.0.1:" .. o.server.port .. "/a"
    local peer = assert(require "evws_probe".net.connect {
      port = o.server.port })
    peer:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    o.client = assert(ws.connect(url, { compression = true }))
    o.reconnecting = assert(ws.connect(url, { reconnect = true }))
    o.failed = ws.connect("ws+unix:///nowhere", { on_open = print,
      on_close = print, reconnect = { initial = 0.001 } })
    o.timer = ws.after(60, function() return o end)
    o.queue = ws.queue(1)
    o.queue:put(o)
    while not (o.body and o.writer) do ws.sleep(0.001) end
    ws.sleep(0.02)
    for _, name in ipairs { "client", "reconnecting", "failed" } do
      o[name]:close()
    end
    o.timer:cancel()
    o.queue:close()
    o.server:close { timeout = 0 }
    ws.sleep(0.02)
  end
]]

local function run(source)
  local child = kit.run("local function print() end " .. source
    .. ' -- local ws = require "evws" ')
  local status = child:ended(20)
  assert.equal("", child:errors())
  assert.equal(0, status)
  assert.equal("tried\ttrue\n", child:output())
end

describe("an object that is finalized", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  local endings = {
    ["the end of the script"] = "",
    ["os.exit"] = "os.exit(0, true)",
    ["os.exit in a task"] = [[
      local ws = require "evws"
      ws.spawn(function() ws.sleep(0) os.exit(0, true) end)
      ws.run()
    ]],
    ["os.exit in a handler"] = [[
      local ws = require "evws"
      ws.after(0, function() os.exit(0, true) end)
      ws.sleep(60)
    ]],
    ["os.exit in a scope that closes"] = [[
      local ws = require "evws"
      ws.spawn(function()
        ws.sleep(0)
        local x <close> = setmetatable({}, { __close = function()
          os.exit(0, true)
        end })
      end)
      ws.run()
    ]],
  }
  for name, ending in pairs(endings) do
    for order, calls in pairs { older = "is_finalized = true keep() open() ",
      younger = "open() keep() " } do
      it(("bears whatever is called at %s, from an %s finalizer")
        :format(name, order), function()
        run(try_all .. at_work .. calls .. ending)
      end)
    end
  end

  for order, calls in pairs { older = "is_finalized = true keep() open() ",
    younger = "open() keep() " } do
    it("bears it in a cycle of garbage, from an " .. order .. " finalizer",
      function()
        run("local function make() " .. try_all .. all_over .. calls .. [[
          kept = nil
          end
          make()
          for _ = 1, 3 do
            collectgarbage()
            require "evws".sleep(0.001)
          end
          os.exit(0, false)
        ]])
      end)
  end

  local ends = {
    ["is closed"] = "o.client:close()",
    ["is terminated"] = "o.accepted:terminate()",
    ["is lost"] = "o.client:terminate()",
    ["raised"] = "o.accepted:on_ping(function() error 'x' end) "
      .. "o.client:ping()",
    ["is closed by its server"] = "o.server:close()",
    ["has unread messages, pings and pongs"] = [[
      o.accepted:on_ping(function() end)
      o.accepted:on_pong(function() end)
      o.accepted:on_message(function() ws.sleep(0.02) end)
      for i = 1, 5 do
        o.client:send("m" .. i)
        o.client:ping("p" .. i)
      end
      ws.sleep(0.005)
      o.accepted:on_message(nil)
      o.client:close()
      ws.sleep(0.1)
    ]],
  }
  for name, ending in pairs(ends) do
    it("bears it when it outlived its server: it " .. name, function()
      run(try_all .. [[
        local ws = require "evws"
        ws.on_error(function() end)
        local gone = setmetatable({}, { __mode = "v" })
        local function open()
          local o = {}
          o.server = assert(ws.listen { port = 0, host = "127.0.0.1",
            read_ahead = true, close_timeout = 0.01, routes = { ["/:x"] = {
              on_open = function(conn)
                o.accepted = conn
                conn:subscribe "x"
                conn:messages()
              end } } })
          o.client = assert(ws.connect("ws://127.0.0.1:" .. o.server.port
            .. "/a"))
          ws.sleep(0.005)
          objects.writer = o.accepted:writer()
          ]] .. ending .. [[
          o.server:close()
          while o.accepted.state ~= "closed" do ws.sleep(0.001) end
          ws.sleep(0.03)
          objects.accepted, objects.client = o.accepted, o.client
          gone[1], o.server = o.server, nil
        end
        open()
        for _ = 1, 100 do
          collectgarbage()
          if not gone[1] then break end
          ws.sleep(0.001)
        end
        assert(not gone[1], "the server stays")
        is_finalized = true
        try_all()
        os.exit(0, true)
      ]])
    end)
  end

  -- The only way to one of these: what the handler of an error finds on the
  -- stack of who raises it.
  for name, made in pairs {
    ["a client that was not started"] = 'ws.connect, find, '
      .. '"ws://127.0.0.1:1", { on_open = print, timeout = -1 }',
    ["a server that did not listen"] = "ws.listen, find, "
      .. '{ port = 0, path = "bad" }',
  } do
    it("bears it when it was never alive: " .. name, function()
      run(try_all .. [[
        local function open()
          local ws = require "evws"
          local function find()
            for i = 1, 250 do
              local name, value = debug.getlocal(2, i)
              if not name then break end
              if type(value) == "userdata" then objects.found = value end
            end
            assert(objects.found)
            try_all()
          end
          assert(not xpcall(]] .. made .. [[))
        end
        open()
        objects.found = nil
        collectgarbage()
        os.exit(0, true)
      ]])
    end)
  end
end)
