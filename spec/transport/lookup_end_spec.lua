-- Threads of look-ups that come to an end, processes that fork meanwhile, and
-- ways to part from a peer (lookup.c, parting.c, loop.c, random.c).

local kit = require "spec.transport.fault_kit"

local function said(script, options)
  return table.concat(kit.lines(script, options), "\n")
end

-- ask(name...) -> a table that has how many have been answered as n, and
-- look-ups by their negated numbers
local ask = [[
  local names, transport = probe.names, probe.transport
  local loop = probe.loop.new "ev"
  local function turn_until(predicate, of)
    local last = probe.net.now() + 80
    while not predicate() do
      assert(probe.net.now() < last, "waited in vain")
      ;(of or loop):step(0.005)
    end
  end
  local function ask(...)
    local answers = { n = 0 }
    for i, name in ipairs { ... } do
      names.set(name, { "192.0.2." .. i })
      answers[-i] = transport.lookup(loop, name, 80, function(l)
        answers.n = answers.n + 1
        answers[i] = table.concat(l:answer(), " ")
      end)
    end
    return answers
  end
  local function asking(n)
    turn_until(function() return names.now() == n end)
  end
]]

describe("threads of look-ups", function()
  it("go when fewer are stuck, and the others answer all", function()
    assert.equal("8 8 4\n4 true", said(ask .. [[
      local stuck = ask("a.test", "b.test", "c.test", "d.test")
      asking(4)
      for i = 1, 4 do stuck[-i]:cancel() end
      local live = ask("e.test", "f.test", "g.test", "h.test")
      asking(8)
      local now, most = names.now(), names.most()
      for _, name in ipairs { "a", "b", "c", "d" } do
        names.let_go(name .. ".test")
      end
      asking(4)
      log(now, most, names.now())
      names.let_go()
      turn_until(function() return live.n == 4 end)
      log(live.n, live[4] == "192.0.2.4 80" and stuck.n == 0)
    ]]))
  end)

  it("serve those that get none of their own", function()
    assert.equal("true\n1 192.0.2.1 80 192.0.2.2 80", said(ask .. [[
      local answers = ask "a.test"
      asking(1)
      faults.fail("pthread_create", 1, 11, true)
      local more = ask("x.test", "b.test")
      log(faults.hits() > 0)
      faults.fail("pthread_create", 0)
      names.let_go()
      turn_until(function() return answers.n == 1 and more.n == 2 end)
      log(names.most(), answers[1], more[2])
    ]]))
  end)

  it("are the parent's: a child has its own, and no old questions", function()
    if os.getenv "ASAN_OPTIONS" then
      return pending "at its exit it looks for threads that only its parent has"
    end
    assert.equal("child 1 192.0.2.1 80\nexit 0\n6 192.0.2.6 80", said(ask .. [[
      local answers = ask("a.test", "b.test", "c.test", "d.test", "e.test",
        "f.test") -- two of them wait for a thread
      asking(4)
      local id = probe.state.fork()
      if id == 0 then
        answers[-1]:cancel() -- nobody will answer it here
        local parents = loop
        loop = probe.loop.new "ev"
        local own = ask "child.test"
        names.let_go "child.test"
        turn_until(function() return own.n == 1 end)
        log("child", own.n, own[1])
        os.exit(parents and answers.n == 0 and 0 or 1)
      end
      local how, number = probe.state.reap(id)
      log(how, number)
      names.let_go()
      turn_until(function() return answers.n == 6 end)
      log(answers.n, answers[6])
    ]]))
  end)
end)

describe("a child that was forked in a handler and goes on", function()
  it("sends nothing to its parent's peers, and has its own random bytes",
    function()
      assert.equal("exit 0\nonce eof", said [[
        local server = assert(ws.listen { host = "127.0.0.1", port = 0,
          on_message = function(conn)
            local id = probe.state.fork()
            if id == 0 then -- what it sends would be a second voice
              for _ = 1, 3 do conn:send "twice" end
              local ok = #core.random(32) == 32
              os.exit(ok and conn:send(("x"):rep(100000)) == nil and 0 or 1)
            end
            log(probe.state.reap(id))
            conn:send "once"
            conn:close()
          end })
        local got, ended
        ws.run(function()
          local conn = assert(ws.connect("ws://127.0.0.1:" .. server.port))
          conn:send "go"
          got = conn:receive(60)
          ended = conn:receive(60)
          server:close()
          ws.stop()
        end)
        log(got, ended and "more" or "eof")
      ]])
    end)
end)

-- pair(): two ends of a connection; part(fd, bytes, seconds), of a copy.
local pair = [[
  local net, transport = probe.net, probe.transport
  local loop = probe.loop.new "ev"
  local function pair()
    local listener <close> = assert(net.listen "127.0.0.1")
    local one, other = assert(net.connect { port = listener.port }), nil
    wait(function()
      other = listener:accept()
      return other
    end)
    return one, other
  end
  local function part(socket, bytes, seconds)
    local fd = net.dup(socket:fd())
    socket:close()
    transport.part(loop, fd, bytes, seconds)
    return net.has_fd(fd)
  end
  -- "eof" or what it is, and how many bytes came before
  local function rest(socket)
    local n, last = 0, net.now() + 80
    while true do
      local bytes, why = socket:recv()
      n = n + #(bytes or "")
      if not bytes and why ~= "again" then return n, why end
      assert(net.now() < last, "no end")
      net.poll({ socket }, 1)
    end
  end
]]

describe("parting", function()
  it("sends the rest and waits for the peer's end", function()
    assert.equal("false\n6 eof", said(pair .. [[
      local one, other = pair()
      other:send(("unread"):rep(2000)) -- more than is read at once
      other:shutdown()
      log(part(one, "parted", 60))
      log(rest(other))
    ]]))
  end)

  it("waits until a slow peer has taken all", function()
    assert.equal("false\nexit 0", said(pair .. [[
      local one, other = pair()
      local id = probe.state.fork()
      if id == 0 then
        one:close()
        local n, why = rest(other)
        other:close()
        os.exit(n == 16 << 20 and why == "eof" and 0 or 1)
      end
      other:close()
      log(part(one, ("x"):rep(16 << 20), 60))
      log(probe.state.reap(id))
    ]]))
  end)

  it("ends when the time is over, whatever the peer does", function()
    assert.equal("false\nfalse\ntrue", said(pair .. [[
      local one, other = pair()
      log(part(one, "parted", 0))
      local two, reader = pair()
      log(part(two, ("x"):rep(16 << 20), 0.05)) -- nobody reads
      local n = rest(reader)
      log(n > 0 and n < 16 << 20 and other ~= nil)
    ]]))
  end)

  it("ends at once where there is nobody any more", function()
    assert.equal("false\nfalse\nfalse", said(pair .. [[
      local one, other = pair()
      other:reset()
      wait(function() return select(2, one:recv()) == "reset" end)
      log(part(one, ("x"):rep(100000), 60)) -- broken before it begins
      one, other = pair()
      other:send "x"
      other:reset()
      log(part(one, "", 60))
      transport.part(loop, -1, "", 60)
      one, other = pair()
      local fd = net.dup(one:fd())
      net.close_fd(fd)
      transport.part(loop, fd, "", 60)
      log(net.has_fd(fd))
    ]]))
  end)

  it("goes on where a signal comes between, and ends where it cannot wait",
    function()
      assert.equal("1 false\n1 false\n6 eof\n1 false", said(pair .. [[
        for kind, errno in pairs { recv = 4 } do
          local one, other = pair()
          other:shutdown()
          faults.fail(kind, 1, errno)
          local open = part(one, "", 60)
          log(faults.hits(), open)
          other:close()
        end
        for _, errno in ipairs { 4, 12 } do -- EINTR, ENOMEM
          local one, other = pair()
          faults.fail("poll", 1, errno)
          local open = part(one, "parted", errno == 4 and 3 or 60)
          log(faults.hits(), open)
          if errno == 4 then log(rest(other)) end
          other:close()
        end
      ]]))
    end)
end)
