-- Calls of the system that fail where something begins: sockets that listen,
-- commands of the shell, look-ups, ws.fd, and what a supervisor has (net.c,
-- io_kernel.c, process.c, lookup.c, wakefd.c, ev.c, control.c, page.c,
-- pidfile.c, standard.c). What has failed says so and leaves nothing open; the
-- next attempt is as if nothing had been.

local kit = require "spec.transport.fault_kit"

local run, path = kit.run, kit.path

describe("when a call of the system fails,", function()
  it("a server does not listen, or does", function()
    run("socket bind listen getsockname setsockopt", [[
      function attempt()
        for _, host in ipairs { "127.0.0.1", "*" } do
          local server, why = ws.listen { host = host, port = 0,
            reuse_port = true, origins = { "https://a.test" } }
          assert(server or type(why) == "string")
          if server then server:close() end
        end
      end]])
  end)

  it("nor at a path, where no file stays", function()
    run("socket bind listen chmod", path .. [[
      function attempt(kind)
        local server, why = ws.listen { unix = path, unix_mode = "600" }
        assert(server or type(why) == "string")
        if server then server:close() end
        assert(not os.rename(path, path), "the file is there")
      end]])
  end)

  it("nor at the path of one that is gone", function()
    run("socket bind connect lstat unlink", path .. [[
      function attempt(kind)
        local port, fds = serve.open { unix = path }
        if port then serve.close(fds[1]) end -- its file stays
        local server, why = ws.listen { unix = path }
        assert(server or type(why) == "string")
        if server then server:close() end
        os.remove(path)
      end]])
  end)

  it("a socket of somebody else's is not taken, or is", function()
    run("getsockopt getsockname fcntl", [[
      function attempt(kind)
        local port, fds = serve.open { host = "127.0.0.1" }
        if not port then return end
        local server, why = ws.listen { fd = fds[1] }
        assert(server or type(why) == "string")
        if server then server:close() else serve.close(fds[1]) end
      end]])
  end)

  it("a command does not begin, or does", function()
    run("pipe socketpair posix_spawnp fcntl", [[
      function attempt(kind)
        for _, mode in ipairs { "r", "w" } do
          local process, why = ws.popen("exit 3", mode)
          assert(process or type(why) == "string")
          if process then process:close() end
        end
      end]])
  end)

  it("a name is not found, or is", function()
    run("pipe2 pthread_create", [[
      function attempt(kind)
        -- no name, so that nobody outside of this machine is asked
        local conn, why = ws.connect("ws://" .. ("x"):rep(64) .. ".invalid")
        assert(not conn and (why:find "host name not found$"
          or why:find "no thread for the name look%-up$"), why)
      end]])
  end)

  it("a supervisor has no control socket or page, or has", function()
    run("socketpair memfd_create ftruncate fstat", [[
      function attempt(kind)
        local one, fd = serve.control()
        assert(one or type(fd) == "string")
        if one then
          one:close()
          serve.close(fd)
        end
        local page, page_fd = serve.page()
        assert(page or type(page_fd) == "string")
        if page then serve.close(page_fd) end
      end]])
  end)

  it("descriptors come over a control socket, or the record without",
    function()
      run("sendmsg recvmsg fcntl", [[
        function attempt(kind)
          local one, fd = serve.control()
          local other = serve.control(fd)
          local sent, why = one:send("record", nil, 0, 1)
          assert(sent or type(why) == "string")
          local list, why_not = other:read()
          assert(list or type(why_not) == "string")
          for _, record in ipairs(list or {}) do
            assert(record[1] == "record")
            for _, each in ipairs(record.fds or {}) do serve.close(each) end
          end
          one:close()
          other:close()
        end]])
    end)

  it("a file has the number of the process, or nobody's", function()
    run("fcntl fstat ftruncate", path .. [[
      function attempt(kind)
        local fd, why = serve.take_pidfile(path)
        assert(fd or type(why) == "string")
        if fd then
          serve.leave_pidfile(path, fd)
        end
        os.remove(path)
      end]])
  end)

  it("a loop does not begin, or does", function()
    run("pipe dup", [[
      function attempt(kind)
        local ok, loop = pcall(probe.loop.new, "ev")
        assert(ok or type(loop) == "string")
        loop = nil
        collectgarbage()
      end]])
  end)

  it("signals are not heard, or are", function()
    local lines = kit.lines [[
      faults.fail("pipe", 1, 24)
      local fd, why = serve.signals()
      log(fd, type(why), faults.hits())
      faults.fail("pipe", 0)
      fd = serve.signals()
      log(fd == serve.signals(), #serve.take_signals(fd))
    ]]
    assert.same({ "nil string 1", "true 0" }, lines)
  end)

  it("there is no descriptor of the loop, or there is", function()
    for _, kind in ipairs { "timerfd_create", "epoll_create1" } do
      local lines = kit.lines(([[
        local before = probe.net.fd_count()
        faults.fail(%q, 1, 24, true)
        local fd, why = ws.fd()
        log(fd, type(why), faults.hits() > 0, probe.net.fd_count() - before)
        faults.fail(%q, 0)
        log(type(ws.fd()))
      ]]):format(kind, kind))
      assert.same({ "nil string true 0", "number" }, lines)
    end
  end)
end)
