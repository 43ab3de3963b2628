-- A descriptor that the system refuses to watch (epoll_ctl: no memory, or no
-- more watches for the user) was taken for one that is always ready, once, and
-- never heard of again.

local child = require "spec.helper.child"

local enomem, enospc = 12, 28

-- What the script prints, in a process where calls can be refused.
local function run(script, ...)
  local lines, ok, how, code = child.run((([[
    local faults = probe.faults
    assert(faults.is_on())
  ]] .. script):format(...)), { faults = true })
  assert.same({ true, "exit", 0 }, { ok, how, code },
    table.concat(lines, "\n"))
  return lines
end

local serve = [[
  local conns, closed = {}, {}
  local server = assert(ws.listen { host = "127.0.0.1", port = 0,
    on_open = function(conn) conns[#conns + 1] = conn end,
    on_message = function(conn, message) conn:send(message) end,
    on_close = function(_, code, reason)
      closed[#closed + 1] = code .. " " .. reason
    end })
  ws.step(0) -- it is watched
  local url = ("ws://127.0.0.1:%%d/"):format(server.port)
  local function connect(options)
    local results
    ws.spawn(function() results = table.pack(ws.connect(url, options)) end)
    wait(function() return results end)
    return table.unpack(results, 1, results.n)
  end
  local function echo(conn)
    local got
    conn:send "hello"
    ws.spawn(function() got = conn:receive() or "nothing" end)
    wait(function() return got end)
    return got
  end
]]

describe("a refusal to watch", function()
  for name, errno in pairs { ENOMEM = enomem, ENOSPC = enospc } do
    it("a listening socket is tried again and told of: " .. name, function()
      local lines = run([[
        faults.refuse_watch(4, %d)
      ]] .. serve .. [[
        local from = probe.net.now()
        wait(function() return faults.refused() == 4 end)
        log(echo(assert(connect())), faults.refused())
        log(probe.net.now() - from >= 0.09) -- it waits in between
      ]], errno)
      assert.same({ "hello 4", "true" }, { lines[#lines - 1], lines[#lines] })
      assert.equal(3, #lines) -- one warning
      assert.is_truthy(lines[1]:find("^evws: cannot watch the listening "
        .. "socket %(.+%): trying again$"))
    end)

    it("an accepted connection ends that one alone: " .. name, function()
      local lines = run(serve .. [[
        local bystander = assert(connect())
        local before = faults.refused()
        local raw = probe.net.connect { port = server.port }
        wait(function() return raw:connected() end)
        faults.refuse_watch(2, %d)
        wait(function() return select(2, raw:recv()) ~= "again" end)
        log(faults.refused() - before, select(2, raw:recv()))
        log(echo(bystander))
        log(echo(assert(connect())))
        local refused = server:stats().refused
        log(refused.descriptors, refused.memory, #closed)
      ]], errno)
      assert.is_truthy(lines[1] == "2 eof" or lines[1] == "2 reset", lines[1])
      assert.same({ "hello", "hello",
        errno == enomem and "0 1 0" or "1 0 0" },
        table.move(lines, 2, 4, 1, {}))
    end)

    it("an open connection ends it with the reason: " .. name, function()
      local lines = run(serve .. [[
        local bystander, conn = assert(connect()), assert(connect())
        for i, c in ipairs { conns[2], conn } do
          c:pause()
          ws.step(0)
          faults.refuse_watch(2, %d)
          c:resume()
          ws.step(0)
        end
        wait(function() return closed[1] and conn.state == "closed" end)
        log(closed[1])
        log(echo(bystander))
      ]], errno)
      assert.same({ "1006 " .. (errno == enomem and "out of memory"
        or "too many watched descriptors"), "hello" }, lines)
    end)

    it("a client's attempt says so: " .. name, function()
      local lines = run(serve .. [[
        faults.refuse_watch(2, %d)
        log((select(2, connect()):match ": (.+)$"))
        log(echo(assert(connect())))
      ]], errno)
      assert.same({ errno == enomem and "not enough memory"
        or "too many watched descriptors", "hello" }, lines)
    end)

    it("a client's connection says so: " .. name, function()
      local lines = run(serve .. [[
        -- the attempt is watched first, what it comes to after it
        local n, why = 0
        repeat
          n = n + 1
          local listener = assert(probe.net.listen "127.0.0.1")
          local results
          ws.spawn(function()
            results = table.pack(ws.connect("ws://127.0.0.1:"
              .. listener.port, { timeout = 2 }))
          end)
          for _ = 1, n do ws.step(0.01) end
          faults.refuse_watch(2, %d)
          wait(function() return results end)
          faults.refuse_watch(0)
          why = results[2]
        until n == 20 or why:find "timeout$"
        log(n > 1 and n < 20)
        log(echo(assert(connect())))
      ]], errno)
      assert.same({ "true", "hello" }, lines)
    end)
  end

  it("a name's answer fails the look-ups, and no later one", function()
    local lines = run [[
      local names, transport = probe.names, probe.transport
      local loop, answers = probe.loop.new "ev", {}
      names.set("slow.test", { "192.0.2.1" })
      local function ask(n)
        for _ = 1, n do
          transport.lookup(loop, "slow.test", 80, function(l)
            answers[#answers + 1] = select(2, l:answer()) or l:answer()[1]
          end)
        end
      end
      local function expect(n)
        local last = probe.net.now() + 20
        repeat loop:step(0.01) until #answers >= n or probe.net.now() > last
        assert(#answers == n)
      end
      loop:step(0)
      faults.refuse_watch(2, 12)
      ask(3)
      expect(3)
      ask(1)
      names.let_go()
      expect(4)
      for _, answer in ipairs(answers) do log(answer) end
    ]]
    local failed = "the name look-up cannot be watched"
    assert.same({ failed, failed, failed, "192.0.2.1 80" }, lines)
  end)

  it("a descriptor that lingers closes it", function()
    local lines = run(serve .. [[
      local raw = probe.net.connect { port = server.port }
      raw:send "nonsense\r\n\r\n"
      local before
      wait(function()
        before = before or probe.net.fd_count()
        if server:stats().accepted == 1 then faults.refuse_watch(2, 12) end
        return raw:recv() == nil and faults.refused() == 2
      end, 5)
      for _ = 1, 5 do ws.step(0) end
      log(probe.net.fd_count() < before)
    ]])
    assert.equal(1, #lines)
  end)

  it("that is over at once is not told of", function()
    local lines = run(serve .. [[
      for _, errno in ipairs { 12, 28 } do
        for n = 1, 12 do
          local got
          faults.refuse_watch(1, errno)
          ws.spawn(function()
            local conn = assert(ws.connect(url))
            for i = 1, n do
              conn:pause()
              conn:resume()
              ws.sleep(0)
            end
            faults.refuse_watch(1, errno)
            conn:send "hello"
            got = conn:receive()
          end)
          wait(function() return got end)
        end
      end
      log(#closed, faults.refused() >= 24)
    ]])
    assert.same({ "0 true" }, lines)
  end)

  it("all of them, for a while, is survived", function()
    local lines = run(serve .. [[
      local clients = {}
      for i = 1, 20 do clients[i] = assert(connect()) end
      faults.refuse_watch(1000000, 12)
      local last = probe.net.now() + 0.3
      local n = 0
      while probe.net.now() < last do
        ws.step(0.01)
        n = n + 1
        if n %% 5 == 0 then ws.spawn(ws.connect, url, { timeout = 1 }) end
        for _, c in ipairs(clients) do c:pause() c:resume() end
      end
      log(faults.refused() > 0, n < 200)
      faults.refuse_watch(0)
      log(echo(assert(connect())))
      local over = {}
      for i, c in ipairs(clients) do
        wait(function() return c.state == "closed" or c.state == "open" end)
      end
    ]])
    assert.same({ "true true", "hello" }, lines)
  end)

  it("another library's descriptor is told of", function()
    local lines = run [[
      local raw = assert(probe.net.listen "127.0.0.1")
      ws.step(0)
      local results
      for _, errno in ipairs { 12, 28 } do
        results = nil
        faults.refuse_watch(2, errno)
        ws.spawn(function() results = table.pack(ws.wait(raw:fd(), "r", 5)) end)
        wait(function() return results end)
        log(table.unpack(results, 1, results.n))
      end
    ]]
    assert.same({ "nil Cannot allocate memory",
      "nil No space left on device" }, lines)
  end)

  it("a foreign loop's descriptor is told of", function()
    local lines = run [[
      faults.refuse_watch(1, 28)
      log(ws.fd())
      log(math.type(ws.fd()))
    ]]
    assert.same({ "nil No space left on device", "integer" }, lines)
  end)
end)
