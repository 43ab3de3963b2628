-- The seam (src/transport/io.h): what the simulated network answers is what
-- the kernel does, call by call; and what it has of its own.

local t = require "spec.helper"
local probe = require "evws_probe"

local seam, memory = probe.seam, probe.queue.used
local read, write, deaf, quiet = 1, 2, 8, 16

-- Whatever a script notes of each provider, as lines, is the same.
local function alike(script)
  local lines = {}
  for i, kind in ipairs { "kernel", "sim" } do
    local p, own = seam.new(kind), {}
    script(p, function(what, ...)
      local values = table.pack(...)
      for n = 1, values.n do values[n] = tostring(values[n]) end
      own[#own + 1] = what .. ": " .. table.concat(values, " ")
    end)
    lines[i] = own
  end
  assert.is_true(#lines[1] > 0)
  assert.same(lines[1], lines[2])
  return lines[1]
end

local function listener(p, address, port)
  local fd = assert(p("socket", address:find ":" and 6 or 4))
  assert(p("bind", fd, address, port or 0))
  assert(p("listen", fd, 16))
  return fd, p("sockname", fd)
end

-- It begins, as far as may be told at once.
local function dial(p, address, port)
  local fd = assert(p("socket", address:find "^/" and 1
    or address:find ":" and 6 or 4))
  local ok, why = p("connect", fd, address, port)
  assert(ok or why == "Operation now in progress", why)
  return fd
end

local function pair(p)
  local at, port = listener(p, "127.0.0.1")
  local one = dial(p, "127.0.0.1", port)
  assert(p:await(at, read))
  local other = assert(p("accept", at))
  assert(p:await(one, write))
  return one, other, at
end

local function close(p, ...)
  for _, fd in ipairs { ... } do assert(p("close", fd)) end
end

-- What comes until there is nothing more to come, or so many bytes.
local function take(p, fd, n)
  local got = ""
  while #got < n do
    p:await(fd, read)
    local bytes, why = p("recv", fd, n - #got)
    if not bytes then return got, why end
    if bytes == "" then return got, "end" end
    got = got .. bytes
  end
  return got
end

describe("the simulated network, as the kernel,", function()
  it("knows no descriptor that is not open", function()
    local lines = alike(function(p, note)
      local fd = assert(p("socket"))
      close(p, fd)
      for _, bad in ipairs { -1, 999999, 1000000, 2000000 } do
        for _, call in ipairs { { "bind", "127.0.0.1", 0 }, { "listen", 1 },
          { "adopt" }, { "accept" }, { "connect", "127.0.0.1", 1 },
          { "sockname" }, { "setsockopt" }, { "getsockopt", "error" },
          { "recv", 1 }, { "peek", 1 }, { "readv", 1, 1 }, { "send", "x" },
          { "writev", "x", "y" }, { "shutdown" }, { "close" } } do
          note(call[1], p(call[1], bad, table.unpack(call, 2)))
        end
      end
    end)
    assert.equal("bind: nil Bad file descriptor", lines[1])
  end)

  it("carries nothing by what is not connected", function()
    local lines = alike(function(p, note)
      local fd = assert(p("socket"))
      note("send", p("send", fd, "x"))
      note("recv", p("recv", fd, 1))
      note("peek", p("peek", fd, 1))
      note("shutdown", p("shutdown", fd))
      note("accept", p("accept", fd))
      note("adopt", p("adopt", fd))
      for _, name in ipairs { "error", "type", "listens", "nodelay" } do
        note(name, p("getsockopt", fd, name))
      end
      close(p, fd)
    end)
    assert.same({ "send: nil Broken pipe",
      "recv: nil Transport endpoint is not connected" },
      { lines[1], lines[2] })
  end)

  it("binds each address and port once", function()
    alike(function(p, note)
      local one, port = listener(p, "127.0.0.1")
      note("listens", p("getsockopt", one, "listens"))
      note("nobody", p("accept", one))
      local two = assert(p("socket"))
      note("the same", p("bind", two, "127.0.0.1", port))
      note("all of them", p("bind", two, "0.0.0.0", port))
      note("another", p("bind", two, "127.0.0.2", port))
      note("it listens", p("listen", two, 4))
      -- who comes to which
      local a, b = dial(p, "127.0.0.1", port), dial(p, "127.0.0.2", port)
      note("to the first", p:await(one, read))
      note("to the second", p:await(two, read))
      local of_a, of_b = assert(p("accept", one)), assert(p("accept", two))
      p:await(a, write)
      p:await(b, write)
      p("send", a, "to one")
      p("send", b, "to two")
      note("a", take(p, of_a, 6))
      note("b", take(p, of_b, 6))
      close(p, one, two, a, b, of_a, of_b)
    end)
  end)

  it("takes from everywhere what is bound to all addresses", function()
    for _, any in ipairs { "0.0.0.0", "::" } do
      alike(function(p, note)
        local at, port = listener(p, any)
        local address = any == "::" and "::1" or "127.0.0.1"
        local fd = dial(p, address, port)
        note("comes", p:await(at, read))
        local other = assert(p("accept", at))
        assert(p:await(fd, write))
        note("error", p("getsockopt", fd, "error"))
        close(p, fd, other, at)
      end)
    end
  end)

  it("refuses where nobody listens, though somebody is bound", function()
    alike(function(p, note)
      local at = assert(p("socket"))
      assert(p("bind", at, "127.0.0.1", 0))
      local fd = dial(p, "127.0.0.1", p("sockname", at))
      note("ready", p:await(fd, read | write))
      note("error", p("getsockopt", fd, "error"))
      close(p, fd, at)
    end)
  end)

  it("has Unix sockets by their paths", function()
    local path = os.tmpname()
    os.remove(path)
    alike(function(p, note)
      local at = assert(p("socket", 1))
      note("bind", p("bind", at, path))
      note("chmod", p("chmod", path))
      note("listen", p("listen", at, 4))
      local two = assert(p("socket", 1))
      note("again", p("bind", two, path))
      local fd = dial(p, path)
      note("comes", p:await(at, read))
      local other = assert(p("accept", at))
      assert(p:await(fd, write))
      p("send", fd, "by a path")
      note("gets", take(p, other, 9))
      note("unlink", p("unlink", path))
      close(p, fd, other, two, at)
    end)
  end)

  it("carries bytes, and looks at them", function()
    alike(function(p, note)
      local one, other, at = pair(p)
      note("nothing yet", p("recv", other, 10))
      note("writev", p("writev", one, "to", "gether"))
      note("readable", p:await(other, read))
      note("peek", p("peek", other, 3))
      note("recv of none", p("recv", other, 0))
      note("readv", p("readv", other, 2, 6))
      note("readv of nothing", p("readv", other, 2, 6))
      note("hangup", p("hangup", other))
      close(p, one, other, at)
    end)
  end)

  it("ends one half, and the other goes on", function()
    local lines = alike(function(p, note)
      local one, other, at = pair(p)
      p("send", one, "last")
      note("shutdown", p("shutdown", one))
      note("send", p("send", one, "x"))
      note("gets", take(p, other, 5))
      note("again", p("recv", other, 5))
      note("hangup", p("hangup", other))
      note("back", p("send", other, "back"))
      note("gets that", take(p, one, 4))
      close(p, one, other, at)
    end)
    assert.equal("send: nil Broken pipe", lines[2])
  end)

  it("is reset where somebody leaves with bytes unread", function()
    local lines = alike(function(p, note)
      local one, other, at = pair(p)
      p("send", one, "unread")
      p:await(other, read)
      close(p, other)
      note("ready", p:await(one, read) ~= nil)
      note("recv", p("recv", one, 1))
      close(p, one, at)
    end)
    assert.equal("recv: nil Connection reset by peer", lines[2])
  end)

  it("is reset where somebody sends to who has left", function()
    alike(function(p, note)
      local one, other, at = pair(p)
      close(p, other)
      note("end", take(p, one, 1))
      note("send", p("send", one, "x"))
      local why
      for _ = 1, 100 do -- the answer takes its time
        local _
        _, why = p("send", one, "y")
        if why then break end
        p:await(at, read, 0.01)
      end
      note("fails", why == "Connection reset by peer" or why == "Broken pipe")
      close(p, one, at)
    end)
  end)

  it("keeps for who accepts later what was sent, or the end", function()
    alike(function(p, note)
      local at, port = listener(p, "127.0.0.1")
      local early = dial(p, "127.0.0.1", port)
      p:await(early, write)
      p("send", early, "early")
      local gone = dial(p, "127.0.0.1", port)
      p:await(gone, write)
      close(p, gone)
      p:await(at, read)
      local first = assert(p("accept", at))
      note("first", take(p, first, 5))
      p:await(at, read)
      local second = assert(p("accept", at))
      note("second", take(p, second, 1))
      close(p, first, second, early, at)
    end)
  end)

  it("resets those who wait where nobody listens any more", function()
    alike(function(p, note)
      local at, port = listener(p, "127.0.0.1")
      local fd = dial(p, "127.0.0.1", port)
      p:await(fd, write)
      p:await(at, read)
      close(p, at)
      note("ready", p:await(fd, read) ~= nil)
      note("recv", p("recv", fd, 1))
      close(p, fd)
    end)
  end)
end)

describe("the simulated network", function()
  it("passes no descriptors, and knows none of the kernel's", function()
    local p = seam.new "sim"
    local one, other, at = pair(p)
    local no = "Operation not supported"
    assert.same({ nil, no }, { p("send_fds", one, "x") })
    assert.same({ nil, no }, { p("recv_fds", other) })
    assert.same({ nil, "Bad file descriptor" }, { p("hangup", 0) })
    assert.equal(deaf, p:await(0, read))
    close(p, one, other, at)
  end)

  it("has neither sent nor got before it is connected", function()
    local p = seam.new("sim", { delay = 1 })
    local at, port = listener(p, "127.0.0.1")
    local fd = dial(p, "127.0.0.1", port)
    for _ = 1, 2 do
      assert.same({ nil, "Resource temporarily unavailable" },
        { p("send", fd, "x") })
      assert.same({ nil, "Resource temporarily unavailable" },
        { p("recv", fd, 1) })
      assert.is_nil(p:await(fd, write, 0.75))
    end
    assert.equal(write, p:await(fd, write))
    assert.equal(2, p:now())
    close(p, fd, at)
  end)

  it("goes on as long as somebody waits for something", function()
    local p = seam.new("sim", { delay = 1, limit = 100 })
    local one, other, at = pair(p)
    local began = p:now()
    assert.is_false(p:step()) -- nobody does
    assert.is_false(p:step(5))
    assert.equal(began, p:now())
    assert.is_nil(p:await(other, read | quiet))
    assert.equal(began, p:now())
    assert.is_nil(p:await(other, read, 3)) -- so long
    assert.equal(began + 3, p:now())
    p("send", one, "x")
    assert.equal(read, p:await(other, read, 3))
    assert.equal(began + 4, p:now())
    assert.equal("x", p("recv", other, 1))
    assert.is_nil(p:await(other, read)) -- until the limit
    assert.is_true(p:now() <= 100)
    close(p, one, other, at)
  end)

  it("asks again where a queue is full, a second later", function()
    local p = seam.new("sim", { delay = 0.125 })
    local at = assert(p("socket"))
    assert(p("bind", at, "127.0.0.1", 0))
    assert(p("listen", at, 1))
    local port = p("sockname", at)
    local one, two = dial(p, "127.0.0.1", port), dial(p, "127.0.0.1", port)
    assert.equal(write, p:await(one, write))
    assert.equal(0.25, p:now())
    local other = assert(p("accept", at))
    assert.equal(write, p:await(two, write))
    assert.equal(1.25, p:now())
    close(p, one, two, other, at)
  end)

  it("breaks behind so many bytes, in however many pieces", function()
    local p = seam.new "sim"
    local one, other, at = pair(p)
    assert.is_true(p:reset(one, 10))
    local sent = {}
    for i = 1, 5 do sent[i] = p("send", one, "four") or "broken" end
    assert.same({ 4, 4, 2, "broken", "broken" }, sent)
    local got, why = take(p, other, 20)
    assert.equal(10, #got)
    assert.equal("Connection reset by peer", why)
    assert.same({ nil, "Transport endpoint is not connected" },
      { p("shutdown", one) })
    -- with bytes unread and an error, one that leaves says no more
    close(p, one, other, at)
  end)

  it("leaves quietly where it was reset with bytes unread", function()
    local p = seam.new "sim"
    local one, other, at = pair(p)
    p("send", one, "unread")
    assert.equal(read, p:await(other, read))
    assert.is_true(p:reset(one))
    p:await(at, read, 1)
    assert.same({ nil, "Connection reset by peer" }, { p("send", other, "x") })
    close(p, other, one, at)
    assert.is_false(p:reset(one))
  end)

  it("tells of what is no connection that it is none", function()
    local p = seam.new "sim"
    local one, other, at = pair(p)
    for _, fd in ipairs { at, 0, 2000000 } do
      assert.is_false(p:reset(fd))
      assert.is_false(p:hold(fd, true))
      assert.is_false(p:link(fd, 5))
      assert.equal(0.001, p:link(fd)) -- that of those to come
    end
    assert.is_true(p:link(-1, 5))
    assert.equal(5, p:link(-1))
    assert.equal(5, p:link(one))
    assert.is_true(p:link(one, 2))
    assert.same({ 2, 2 }, { p:link(one), p:link(other) })
    close(p, one, other, at)
  end)

  it("takes no address that ends in zeros for all of them", function()
    local p = seam.new "sim"
    local at, port = listener(p, "2001:db8::1")
    local fd = dial(p, "2001:db8::", port)
    assert.equal(read | write, p:await(fd, read | write))
    assert.equal(111, p("getsockopt", fd, "error")) -- ECONNREFUSED
    close(p, fd, at)
  end)

  it("keeps the order of what was under way when it was held", function()
    local p = seam.new("sim", { delay = 0.125 })
    local one, other, at = pair(p)
    local began = p:now()
    assert.is_true(p:link(one, 2))
    p("send", one, "slow ")
    assert.is_true(p:link(one, 0.5))
    p("send", one, "fast")
    assert.is_true(p:hold(one, true))
    assert.is_true(p:hold(one, false)) -- what is later stays so
    assert.equal("slow fast", take(p, other, 9))
    assert.equal(began + 2, p:now())
    close(p, one, other, at)
  end)

  it("gives back its memory with whatever is open", function()
    collectgarbage()
    collectgarbage()
    local before = memory()
    for _ = 1, 3 do
      local p = seam.new("sim", { delay = 1 })
      local one, other, at = pair(p)
      local _, port = at, p("sockname", at)
      p("send", one, ("x"):rep(5000)) -- on its way
      dial(p, "127.0.0.1", port)
      dial(p, "127.0.0.1", port)
      p:await(at, read) -- one waits to be accepted
      assert(other)
    end
    collectgarbage()
    collectgarbage()
    assert.equal(before, memory())
  end)

  it("accepts later where there was no memory", function()
    if not probe.buf.fail_at(0, false) then
      return pending "built without WS_FAULT"
    end
    local p = seam.new "sim"
    local one, other, at = pair(p)
    local _, port = at, p("sockname", at)
    local list = {}
    for i = 1, 60 do list[i] = assert(p("socket")) end
    local late = dial(p, "127.0.0.1", port) -- the last there is room for
    assert(p:await(at, read))
    probe.buf.fail_at(1, true)
    local fd, why = p("accept", at)
    probe.buf.fail_at(0, false)
    assert.same({ nil, "Cannot allocate memory" }, { fd, why })
    fd = assert(p("accept", at))
    assert(p:await(late, write))
    p("send", late, "late")
    assert.equal("late", take(p, fd, 4))
    close(p, one, other, at, late, fd, table.unpack(list))
  end)

  it("does not wait for what the kernel has", function()
    require "evws.sim".new():run(function()
      local process = t.ws.popen "exec sleep 600"
      local text, why = process:read(5)
      process:kill(9)
      assert.is_nil(text)
      t.contains(why, "not supported")
    end)
  end)
end)
