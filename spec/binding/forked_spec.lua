-- A process that has loaded evws forks: the copy has objects of connections
-- that are its parent's. Whatever it calls, and however it ends, the parent
-- and its peers notice nothing of it.

local child = require "spec.helper.child"

local path

local script = [==[
  local path = %q
  ws.log = function() end
  local function echo(conn, text) conn:send(text) end
  local kept, unix_conn
  local unix = assert(ws.listen { unix = path, on_message = echo,
    on_open = function(conn) unix_conn = conn end })
  local server = assert(ws.listen { host = "127.0.0.1", port = 0,
    on_message = echo, on_open = function(conn) kept = conn end,
    history = { kept = { size = 5, ttl = 60 } } })
  local url = ("ws://127.0.0.1:%%d/"):format(server.port)
  local conn, other
  ws.spawn(function()
    conn = assert(ws.connect(url))
    other = assert(ws.connect("ws+unix://" .. path))
  end)
  wait(function() return other and kept and unix_conn end)
  local backplane = assert(ws.backplane "redis://127.0.0.1:1/")
  local queue = ws.queue(1)
  local task = ws.spawn(function() return queue:take() end)
  local timer = ws.every(0.01, function() end)
  assert(ws.watchdog(60))
  ws.step(0)

  -- What a call returns or raises, as text.
  local function said(fn, ...)
    local got, list = table.pack(pcall(fn, ...)), {}
    for i = 2, got.n do list[#list + 1] = tostring(got[i]) end
    return (got[1] and "" or "raised: ") .. table.concat(list, " ")
  end

  -- Echoes by both sockets: they are whole.
  local function check()
    local got
    ws.spawn(function()
      conn:send "one"
      other:send "other"
      got = tostring(conn:receive(20)) .. tostring(other:receive(20))
    end)
    wait(function() return got end)
    return got
  end

  local function fork(fn)
    local pid = probe.state.fork()
    if pid == 0 then
      fn()
      os.exit(0, true)
    end
    log(probe.state.reap(pid))
    log(check(), server.connections, unix.connections)
  end
]==]

local function run(body)
  local lines, ok = child.run(script:format(path) .. body)
  assert.is_true(ok, table.concat(lines, "\n"))
  return lines
end

local whole = { "exit 0", "oneother 1 1" } -- what the parent says then

local function expect(wanted, lines)
  for _, line in ipairs(whole) do wanted[#wanted + 1] = line end
  assert.same(wanted, lines)
end

describe("a forked copy of a process", function()
  if os.getenv "ASAN_OPTIONS" then
    it("does nothing to what is its parent's", function()
      pending "the sanitizer waits there for a thread that it does not have"
    end)
    return
  end

  before_each(function()
    path = os.tmpname()
    os.remove(path)
  end)

  after_each(function() os.remove(path) end)

  it("may end by lua_close", function()
    assert.same({ "exit 0", "oneother 1 1", "exit 0", "oneother 1 1", "true" },
      run [[
        fork(function() end)
        fork(function() collectgarbage() end)
        log(io.open(path) == nil and os.rename(path, path))
      ]])
  end)

  it("says so of what opens, waits or drives", function()
    local lines, wanted = run [[
      fork(function()
        for name, call in pairs {
          listen = { ws.listen, { port = 0 } },
          connect = { ws.connect, url },
          ["connect later"] = { ws.connect, url, { on_open = print } },
          sleep = { ws.sleep, 0 }, spawn = { ws.spawn, print },
          after = { ws.after, 1, print }, every = { ws.every, 1, print },
          run = { ws.run }, step = { ws.step }, fd = { ws.fd },
          timeout = { ws.timeout }, watchdog = { ws.watchdog, 1 },
          unwatched = { ws.watchdog, false }, wait = { ws.wait, 0 },
          take = { queue.take, queue }, task = { task.wait, task },
          backplane = { ws.backplane, "redis://127.0.0.1:1/" },
          close = { server.close, server },
          reload_tls = { server.reload_tls, server },
          receive = { conn.receive, conn, 0 },
        } do
          log(name, said(table.unpack(call)))
        end
      end)
    ]], {}
    assert.equal(20 + #whole, #lines)
    for i = 1, 20 do
      wanted[i] = tostring(lines[i]:match "^(.-) raised: ")
        .. " raised: evws was loaded before this process was forked"
    end
    expect(wanted, lines)
  end)

  it("does nothing to what is its parent's", function()
    local list, wanted = {}, {}
    for i, call in ipairs { "conn:send('x')", "conn:ping()", "conn:close()",
      "conn:shutdown()", "conn:writer()", "conn:drain()",
      "kept:subscribe('kept')", "kept:subscribe('kept', { recover = {} })",
      "server:publish('kept', 'x')",
      "server:broadcast('x')", "server:hear('kept', print)",
      "server:history('kept')", "server:reset('kept')",
      "backplane:publish('kept', 'x')", "backplane:presence('kept')",
      "backplane:history('kept')", "kept:terminate()",
      "backplane:close()", "timer:cancel()", "task:cancel()" } do
      list[i] = ("log(said(function() return %s end))"):format(call)
      wanted[i] = i < 17 and "nil closed" or "true"
    end
    wanted[#wanted + 1] = "open 1"
    expect(wanted, run(("fork(function() %s " .. [[
      conn:pause()
      kept:resume()
      log(conn.state, server.connections)
      do
        local closing <close> = server
        local other <close> = unix
        local cut <close> = conn
        collectgarbage()
        assert(closing and other and cut)
      end
    end)]]):format(table.concat(list, " "))))
  end)

  it("comes back out of a handler, and changes nothing", function()
    assert.same({ "raised: evws was loaded before this process was forked",
      "nil closed", "exit 0", "parent hello open", "oneother" }, run [[
      local pid
      local once = assert(ws.listen { host = "127.0.0.1", port = 0,
        on_message = function(c, text)
          pid = probe.state.fork()
          c:send((pid == 0 and "child " or "parent ") .. text)
          if pid == 0 then c:close() end
        end })
      local got
      local client = assert(ws.connect(("ws://127.0.0.1:%d/"):format(
        once.port), { on_open = function(c) c:send "hello" end,
        on_message = function(_, text) got = text end }))
      local last = probe.net.now() + 80
      while pid == nil do
        local ok, why = pcall(ws.step, 0.01)
        if not ok then log(why) end
        if probe.net.now() > last then error "waited in vain" end
      end
      if pid == 0 then
        log(said(ws.step, 0))
        log(said(client.send, client, "more"))
        os.exit(0, true)
      end
      log(probe.state.reap(pid))
      wait(function() return got end)
      log(got, client.state)
      log(check())
    ]])
  end)
end)
