-- Calls of the system that hardly ever fail, in what a supervisor and ws.popen
-- have (process.c, control.c, pidfile.c, page.c, signals.c), in the console
-- and the loop itself (console.c, ev.c, standard.c, wakefd.c, io_kernel.c).

local core = require "evws.core"
local kit = require "spec.transport.fault_kit"

local run, path = kit.run, kit.path

-- As one string, so that one comparison shows all.
local function said(script, options)
  return table.concat(kit.lines(script, options), "\n")
end

describe("a command", function()
  it("does not begin, or does, and nothing of it stays", function()
    run("posix_spawn_file_actions_init posix_spawn_file_actions_adddup2 "
      .. "posix_spawnattr_init", [[
        function attempt()
          for _, mode in ipairs { "r", "w" } do
            local process, why = ws.popen("exit 3", mode)
            assert(process or why == "Too many open files", why)
            if process then
              local _, how, number = process:close(60)
              assert(how == "exit" and number == 3)
            end
          end
          local page, fd = serve.page()
          local process, why = serve.spawn({ "true" }, serve.environment(),
            { fd, fd })
          assert(process or why == "Too many open files", why)
          if process then wait(function() return process:poll() end) end
          serve.close(fd)
          assert(page)
        end]])
  end)

  it("is waited for again where a signal came between", function()
    assert.equal("nil exit 3", said [[
      local process = ws.popen "exit 3"
      faults.fail("waitpid", 1, 4)
      log(process:close(60))
      assert(faults.hits() == 1)
    ]])
  end)

  it("is lost where somebody else has waited for it", function()
    assert.equal("nil lost nil\ntrue", said [[
      local process = ws.popen "exit 3"
      faults.fail("waitpid", 1, 10)
      log(process:close(60))
      faults.fail("waitpid", 0)
      log(process:kill() == false) -- its number may be another's
    ]])
  end)

  it("that must not be ended says so", function()
    assert.equal("false\ntrue\nnil signal 15", said [[
      local process = ws.popen("exec sleep 600")
      faults.fail("kill", 1, 1)
      log(process:kill())
      log(process:kill())
      log(process:close(60))
    ]])
  end)

  it("takes nothing more where writing fails, by its reason", function()
    assert.equal("nil closed\nnil Input/output error\ntrue", said [[
      local process = ws.popen("cat >/dev/null", "w")
      for _, errno in ipairs { 104, 5 } do
        faults.fail("send", 1, errno)
        log(process:write "text")
      end
      log(process:write "text")
      process:close(60)
    ]])
  end)

  it("has nothing to be read or written when its end is shut", function()
    assert.equal("nil closed\nnil closed", said [[
      local process = core.process("exit 0", "r")
      process:shut()
      log(process:read())
      process = core.process("exit 0", "w")
      process:shut()
      log(process:write("text", 1))
    ]])
  end)
end)

describe("a control socket", function()
  local pair = [[
    local one, fd = serve.control()
    local other = serve.control(fd)
    local function records()
      local list, why = other:read()
      if not list then return why end
      for i, record in ipairs(list) do
        for _, each in ipairs(record.fds or {}) do serve.close(each) end
        list[i] = record[1] .. (record.fds and #record.fds or "")
      end
      return table.concat(list, " ")
    end
  ]]

  it("goes on where a signal came between", function()
    assert.equal("true\nfirst second", said(pair .. [[
      faults.fail("sendmsg", 1, 4)
      log(one:send "first")
      assert(faults.hits() == 1 and one:send "second")
      faults.fail("recvmsg", 1, 4)
      log(records())
      assert(faults.hits() == 1)
    ]]))
  end)

  it("is closed where it was reset, and tells other reasons", function()
    assert.equal("nil closed 32\nnil Input/output error 5\nclosed\n"
      .. "Input/output error\nx\ntrue\nagain", said(pair .. [[
      for _, kind in ipairs { "sendmsg", "recvmsg" } do
        for _, errno in ipairs { 104, 5 } do
          faults.fail(kind, 1, errno)
          if kind == "sendmsg" then
            log(one:send("x", nil, fd))
          else
            log(records())
          end
        end
        if kind == "sendmsg" then assert(one:send "x") end
      end
      log(records())
      log(one:flush())
      log(records())
    ]]))
  end)

  it("keeps copies of the descriptors of what has to wait, or nothing",
    function()
      assert.equal("nil Too many open files 24\ntrue\nagain\ntrue\n"
        .. "kept1\nnil closed 32", said(pair .. [[
        local before = probe.net.fd_count()
        faults.fail("sendmsg", 1, 11)
        faults.fail("fcntl", 1, 24)
        log(one:send("lost", nil, fd))
        assert(probe.net.fd_count() == before)
        faults.fail("fcntl", 0)
        faults.fail("sendmsg", 1, 11)
        log(one:send("kept", nil, fd))
        assert(probe.net.fd_count() == before + 1)
        log(records())
        log(one:flush())
        assert(probe.net.fd_count() == before)
        log(records())
        one:close()
        log(one:flush())
      ]]))
    end)

  it("that is no socket, or another program's, makes nobody a worker",
    function()
      local as_worker = "EVWS_CONTROL=0 EVWS_PAGE=0 EVWS_WORKER=1/1/1/1/1 "
      local script = "log(tostring(ws.worker.supervised))"
      assert.equal("false", said(script))
      assert.equal("false", said(script, { shell = as_worker }))
      -- a socket of ours, but no page
      assert.equal("exit 0", said(([[
        local path = os.tmpname()
        local file = serve.take_pidfile(path)
        local one, fd = serve.control()
        local list = serve.environment()
        for name, value in pairs { EVWS_CONTROL = fd, EVWS_PAGE = file,
          EVWS_WORKER = "1/1/1/1/1", LD_PRELOAD = %q } do
          list[#list + 1] = name .. "=" .. value
        end
        local process = serve.spawn({ %q, "-e", %q }, list, { fd, file })
        local how, number
        wait(function()
          how, number = process:poll()
          return how
        end)
        log(how, number)
        os.remove(path)
        assert(one)
      ]]):format(os.getenv "LD_PRELOAD" or "", os.getenv "LUA" or "lua5.4",
        "os.exit(require 'evws'.worker.supervised == false)")))
      -- a socket of ours, but not by a shell that lives on: it is nobody's
      -- who is our parent
      assert.equal("exit 0", said(([[
        local one, fd = serve.control()
        local page, page_fd = serve.page()
        local list = serve.environment()
        for name, value in pairs { EVWS_CONTROL = fd, EVWS_PAGE = page_fd,
          EVWS_WORKER = "1/1/1/1/1", LD_PRELOAD = %q } do
          list[#list + 1] = name .. "=" .. value
        end
        local process = serve.spawn({ "/bin/sh", "-c", %q }, list,
          { fd, page_fd })
        local how, number
        wait(function()
          how, number = process:poll()
          return how
        end)
        log(how, number)
        assert(one and page)
      ]]):format(os.getenv "LD_PRELOAD" or "", (os.getenv "LUA" or "lua5.4")
        .. [[ -e "os.exit(require 'evws'.worker.supervised == false)"]]
        .. "\nexit $?")))
    end)
end)

describe("who waits for a supervisor", function()
  local pair = [[
    local net = probe.net
    local listener <close> = assert(net.listen "127.0.0.1")
    local path = os.tmpname()
    os.remove(path)
    local function pair()
      local at <close> = assert(net.listen(path))
      local one, other = assert(net.connect { unix = path }), nil
      wait(function()
        other = at:accept()
        return other
      end)
      os.remove(path)
      local a = probe.control.new(net.dup(one:fd()))
      local b = probe.control.new(net.dup(other:fd()))
      one:close()
      other:close()
      return a, b
    end
  ]]

  it("is woken by what comes, and by the end", function()
    assert.equal("nil Resource temporarily unavailable\ntrue\ntrue record\n"
      .. "true\nnil Broken pipe\nnil\nnil Broken pipe\nnil Broken pipe",
      said(pair .. [[
      local a, b = pair()
      log(a:wait(0))
      b:send "record"
      log(a:wait(60))
      log(a:read(), a:next())
      b:close()
      log(a:wait(60))
      log(a:read())
      a:close()
      log((a:next()))
      log(a:wait(60))
      log(a:send "x")
    ]]))
  end)

  it("waits on where a signal came, or there is room, and no longer where it "
    .. "cannot", function()
      assert.equal("true\nnil Cannot allocate memory\n"
        .. "nil Input/output error\nnil Resource temporarily unavailable\n"
        .. "true kept\nnil Message too long", said(pair .. [[
        local a, b = pair()
        b:send "x"
        faults.fail("poll", 1, 4)
        log(a:wait(60))
        faults.fail("poll", 1, 12)
        log(a:wait(60))
        faults.fail("sendmsg", 1, 11)
        a:send "kept"
        faults.fail("sendmsg", 1, 5)
        log(a:wait(60))
        faults.fail("sendmsg", 1, 11)
        a:read()
        while a:next() do end
        log(a:wait(0.05)) -- there is room, and nothing comes
        a:send "" -- what was kept goes first
        log(b:read(), b:next())
        log(a:send("x", 65, 0))
      ]]))
    end)
end)

describe("a file with the number of a process", function()
  it("is somebody's who has just gone, or cannot be asked for", function()
    assert.equal("nil again 11 0\nnil again 11 0\n"
      .. "nil Input/output error 5 0\nnumber", said(path .. [[
      for _, errno in ipairs { 11, 13 } do -- EAGAIN, EACCES
        faults.fail("fcntl", 1, errno)
        log(serve.take_pidfile(path))
      end
      faults.fail("fcntl", 1, 5)
      log(serve.take_pidfile(path))
      faults.fail("fcntl", 0)
      log(type(serve.take_pidfile(path)))
      os.remove(path)
    ]]))
  end)

  it("is not taken where its lock cannot be told", function()
    assert.equal("nil again 11 0", said(path .. [[
      faults.fail("fcntl", 1, 11, true)
      log(serve.take_pidfile(path))
      os.remove(path)
    ]]))
  end)

  it("is not taken where it cannot be read or written", function()
    assert.equal("nil Input/output error 5 0\n"
      .. "nil No space left on device 28 0\nnil Input/output error 5 0\n"
      .. "number", said(path .. [[
      local function attempt(kind, errno)
        local before = probe.net.fd_count()
        faults.fail(kind, 1, errno)
        log(serve.take_pidfile(path))
        assert(probe.net.fd_count() == before)
      end
      attempt("pread", 5)
      attempt("pwrite", 28)
      attempt("pwrite", 0) -- it took less, and there is no reason
      log(type(serve.take_pidfile(path)))
      os.remove(path)
    ]]))
  end)

  it("that was taken away needs not go", function()
    assert.equal("true", said(path .. [[
      local before = probe.net.fd_count()
      local fd = serve.take_pidfile(path)
      os.remove(path)
      serve.leave_pidfile(path, fd)
      log(probe.net.fd_count() == before)
    ]]))
  end)
end)

describe("a page", function()
  it("is not there without memory of the system's", function()
    run("mmap", [[
      function attempt()
        local page, fd = serve.page()
        assert(page or fd == "Cannot allocate memory", fd)
        if page then serve.close(fd) end
      end]], 12)
  end)
end)

describe("signals", function()
  it("are not heard where the system refuses", function()
    assert.equal("nil Invalid argument\nnumber", said [[
      faults.fail("sigaction", 1, 22)
      local fd, why = serve.signals()
      log(fd, why)
      log(type(serve.signals()))
    ]])
  end)
end)

describe("a line on standard error", function()
  local script = [[
    faults.fail(%q, 1, 24)
    core.log("warning", "lost")
    assert(faults.hits() > 0)
    core.log("warning", "seen")
  ]]

  it("is counted where it cannot be written", function()
    assert.equal("evws: 1 lines are missing here: they could not be written\n"
      .. "evws: seen", said(script:format "fstat"))
  end)

  it("is written to what cannot be opened again, or left out where there is "
    .. "no room", function()
      if not io.open "/proc/self/fd/2" then return pending "no /proc" end
      assert.equal("evws: lost\nevws: seen", said(script:format "open"))
      assert.equal("evws: 1 lines are missing here: they could not be "
        .. "written\nevws: seen", said("faults.fail('poll', 1, 4)\n"
        .. script:format "open"))
    end)
end)

describe("a signal that was there before", function()
  it("is not taken for one that writing a line has raised", function()
    assert.equal("evws: a line\ntrue true", said [[
      for _, signum in ipairs { 13, 25 } do probe.net.hold(signum) end
      core.log("warning", "a line")
      log(probe.net.held(13), probe.net.held(25))
    ]])
  end)
end)

describe("the loop", function()
  it("has no descriptor where libev has none", function()
    assert.equal("nil true 1\nnil true 1\nnumber", said [[
      for _, kind in ipairs { "ev_backend", "ev_loop_new" } do
        faults.fail(kind, 1, 12)
        local fd, why = ws.fd()
        log(fd, type(why) == "string", faults.hits())
      end
      log(type(ws.fd()))
    ]])
  end)

  it("has none where one of its two cannot be waited for", function()
    for n = 1, 2 do
      assert.equal("nil Cannot allocate memory 1\nnumber", said(([[
        local before = probe.net.fd_count()
        faults.fail("epoll_ctl", %d, 12)
        local fd, why = ws.fd()
        assert(probe.net.fd_count() == before)
        log(fd, why, faults.hits())
        log(type(ws.fd()))
      ]]):format(n)))
    end
  end)

  it("does not begin where libev gives none", function()
    assert.equal("false\ntrue\n0", said [[
      local before = probe.net.fd_count()
      faults.fail("ev_loop_new", 1, 12)
      log((pcall(probe.loop.new, "ev")))
      log((pcall(probe.loop.new, "ev")))
      collectgarbage()
      log(probe.net.fd_count() - before)
    ]])
  end)

  it("keeps a low descriptor where it cannot be moved", function()
    assert.equal("0 true\nit works", said [[
      probe.net.close_fd(0)
      faults.fail("fcntl", 2, 24) -- behind FD_CLOEXEC
      local one, fd = serve.control()
      log(one:fd(), faults.hits() == 1)
      local other = serve.control(fd)
      one:send "it works"
      log(other:read()[1][1])
    ]])
  end)

  it("leaves SIGINT and SIGTERM ignored where they are", function()
    assert.equal("went on\ntrue", said [[
      for _, signum in ipairs { 2, 15 } do probe.net.ignore(signum) end
      ws.after(0, function()
        for _, name in ipairs { "INT", "TERM" } do
          local process = ws.popen("kill -" .. name .. " " .. serve.pid())
          process:close()
        end
        ws.after(0, function()
          log "went on"
          ws.stop()
        end)
      end)
      log(ws.run())
    ]])
  end)

  it("is ended by SIGTERM alone where SIGINT is ignored", function()
    assert.equal("nil interrupted", said [[
      probe.net.ignore(2)
      ws.after(0, function()
        ws.popen("kill -INT " .. serve.pid()):close()
        ws.popen("kill -TERM " .. serve.pid()):close()
      end)
      log(ws.run())
    ]])
  end)

  it("is told where there is no descriptor to ask the system by", function()
    assert.equal("8 2", said [[
      local listener <close> = assert(probe.net.listen "127.0.0.1")
      local loop, got = probe.loop.new "ev", nil
      local w = loop:watch(listener:fd(), function(x) got = x end)
      faults.fail("epoll_ctl", 1, 12)
      faults.fail("epoll_create1", 1, 24)
      w:set(1)
      wait(function()
        loop:step(0.01)
        return got
      end)
      log(got, faults.hits())
      w:stop()
    ]])
  end)

  it("begins, or does not, and watches, or tells, without memory", function()
    if not core.fail_at then return pending "built without WS_FAULT" end
    assert.equal("true\n8\n1", said [[
      local failed, buf = 0, probe.buf
      for n = 1, 8 do
        buf.fail_at(n, true)
        local ok = pcall(probe.loop.new, "ev")
        buf.fail_at(0, false)
        if not ok then failed = failed + 1 end
        collectgarbage()
      end
      log(failed > 1)
      local listener <close> = assert(probe.net.listen "127.0.0.1")
      local held = {}
      repeat held[#held + 1] = probe.net.dup(listener:fd())
      until held[#held] > 70
      local loop, got = probe.loop.new "ev", nil
      local w = loop:watch(held[#held], function(x) got = x end)
      local client <close> = assert(probe.net.connect { port = listener.port })
      for _, starving in ipairs { true, false } do
        buf.fail_at(starving and 1 or 0, true)
        w:set(0)
        w:set(1)
        buf.fail_at(0, false)
        got = nil
        wait(function()
          loop:step(0.01)
          return got
        end)
        log(got)
      end
      w:stop()
    ]])
  end)

  it("of a second state takes no signals, and ends as its own", function()
    assert.equal("true second\nnil interrupted", said [[
      local state = probe.state.new()
      log(state:run [=[
        local ws = require "evws"
        local server = assert(ws.listen { host = "127.0.0.1", port = 0,
          on_message = function(conn, text) conn:send(text) end })
        local got
        ws.run(function()
          local conn = assert(ws.connect("ws://127.0.0.1:" .. server.port))
          conn:send "second"
          got = conn:receive(60)
          conn:close()
          server:close()
          ws.stop()
        end)
        return got
      ]=])
      state:close()
      ws.after(0, function()
        ws.popen("kill -INT " .. serve.pid()):close()
      end)
      log(ws.run())
    ]])
  end)
end)
