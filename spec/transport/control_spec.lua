-- Records and descriptors over a pair of Unix sockets (control.c), by way of
-- core.serve.control, both ends in this process.

local child = require "spec.helper.child"
local t = require "spec.helper"

local has_core, core = pcall(require, "evws.core")
local serve = has_core and core.serve

local function pair()
  local one, fd = assert(serve.control())
  return one, serve.control(fd)
end

-- What one read and all further ones bring, until there are n records.
local function read(control, n)
  local all = {}
  t.wait(function()
    local list, why = control:read()
    for _, record in ipairs(list or {}) do all[#all + 1] = record end
    if not list and why ~= "again" then error(why) end
    return #all >= n
  end, n .. " records")
  return all
end

local function close(...)
  for _, control in ipairs { ... } do control:close() end
end

describe("a control socket", function()
  it("keeps records apart, empty and long ones too", function()
    local one, other = pair()
    local texts = { "", "a", "line\n", ("x"):rep(65536), "\0\n\0",
      ("y"):rep(100000) }
    for _, text in ipairs(texts) do assert(one:send(text)) end
    assert(one:send("head\n", "and body"))
    local got
    t.wait(function()
      one:flush()
      local list = other:read()
      for _, record in ipairs(list or {}) do
        got = got or {}
        got[#got + 1] = record[1]
      end
      return got and #got == 7
    end)
    texts[7] = "head\nand body"
    assert.same(texts, got)
    assert.equal("again", (select(2, other:read())))
    close(one, other)
  end)

  it("passes descriptors with the record they belong to", function()
    local before = t.fd_count()
    local one, other = pair()
    local a, a_fd = serve.control()
    local b, b_fd = serve.control()
    assert(one:send "none")
    assert(one:send("one", nil, a_fd))
    assert(one:send("two", nil, a_fd, b_fd))
    assert(one:send "none again")
    serve.close(a_fd)
    serve.close(b_fd)
    local list = read(other, 4)
    assert.is_nil(list[1].fds)
    assert.equal(1, #list[2].fds)
    assert.equal(2, #list[3].fds)
    assert.is_nil(list[4].fds)
    local a_other = serve.control(list[2].fds[1])
    assert(a_other:send "by way of it")
    assert.equal("by way of it", read(a, 1)[1][1])
    local b_other = serve.control(list[3].fds[2])
    assert(b_other:send "and of this")
    assert.equal("and of this", read(b, 1)[1][1])
    serve.close(list[3].fds[1])
    close(one, other, a, b, a_other, b_other)
    assert.equal(before, t.probe.fd_count())
  end)

  it("queues what the other side does not read, up to 8 MiB", function()
    local before = t.fd_count()
    local one, other = pair()
    local a, a_fd = serve.control()
    local text, n = ("z"):rep(1024 * 1024), 0
    while true do
      local ok, why = one:send(text, nil, a_fd)
      if not ok then
        assert.equal("No buffer space available", why)
        break
      end
      n = n + 1
    end
    assert.is_true(n >= 7 and n <= 9, n)
    local fds, got = 0, 0
    t.wait(function()
      local list = other:read()
      for _, record in ipairs(list or {}) do
        assert.is_true(record[1] == text)
        for _, fd in ipairs(record.fds) do
          fds = fds + 1
          serve.close(fd)
        end
        got = got + 1
      end
      return select(2, one:flush()) ~= "again" and got == n
    end)
    assert.equal(n, fds)
    assert(one:send "goes on")
    assert.equal("goes on", read(other, 1)[1][1])
    serve.close(a_fd)
    close(one, other, a)
    assert.equal(before, t.probe.fd_count())
  end)

  it("closes what it holds when it is closed", function()
    local before = t.fd_count()
    local one, other = pair()
    local a, a_fd = serve.control()
    for _ = 1, 3 do one:send(("z"):rep(1024 * 1024), nil, a_fd) end
    other:read() -- descriptors without their whole record
    serve.close(a_fd)
    close(one, other, a)
    assert.equal(before, t.probe.fd_count())
    assert.equal("closed", (select(2, one:send "x")))
    assert.equal("closed", (select(2, other:read())))
  end)

  it("has an end", function()
    local one, other = pair()
    assert(one:send "last")
    one:close()
    assert.equal("last", read(other, 1)[1][1])
    assert.equal("closed", (select(2, other:read())))
    assert.equal("closed", (select(2, other:send "into nowhere")))
    other:close()
  end)

  it("is over where what comes is no record", function()
    local before = t.fd_count()
    local path = os.tmpname()
    os.remove(path)
    local net = t.probe
    local listener = assert(net.listen(path))
    local function head(n, fds) return ("<I4I4"):pack(n, fds or 0) end
    local function from(...)
      local raw, taken = assert(net.connect { unix = path }), nil
      t.wait(function()
        taken = listener:accept()
        return taken
      end)
      local control, all = serve.control(net.dup(taken:fd())), {}
      taken:close()
      local why
      for _, bytes in ipairs { ... } do
        assert.equal(#bytes, raw:send(bytes))
        local list
        t.wait(function()
          list, why = control:read()
          return list or why ~= "again"
        end)
        for _, record in ipairs(list or {}) do
          all[#all + 1] = record.fds and "descriptors" or record[1]
        end
      end
      raw:close()
      control:close()
      return all, why
    end
    assert.same({ { "ab", "", "c" } }, { from(head(2), "a", "b" .. head(0)
      .. head(1):sub(1, 3), head(1):sub(4) .. "c") })
    -- descriptors that do not come
    assert.same({ { "x", "y" } }, { from(head(1, 1) .. "x" .. head(1) .. "y") })
    for _, bytes in ipairs { head((2 << 20) + 1), head(1, 65),
      head(0xffffffff), head(1, 0xffffffff) } do
      assert.same({ { "ok" }, "closed" }, { from(head(2) .. "ok" .. bytes,
        "more") })
    end
    listener:close()
    os.remove(path)
    assert.equal(before, t.probe.fd_count())
  end)

  it("takes no more than 2 MiB and 64 descriptors a record", function()
    local one, other = pair()
    assert.equal("Message too long",
      (select(2, one:send(("x"):rep(2 * 1024 * 1024 + 1)))))
    local long = ("x"):rep(2 * 1024 * 1024)
    assert(one:send(long))
    t.wait(function()
      one:flush()
      local list = other:read()
      return list and list[1] and list[1][1] == long
    end, "the longest one")
    local fds = {}
    for i = 1, 64 do fds[i] = other:fd() end
    assert(one:send("all", nil, table.unpack(fds)))
    local record = read(other, 1)[1]
    assert.equal(64, #record.fds)
    for _, fd in ipairs(record.fds) do serve.close(fd) end
    close(one, other)
  end)

  it("is told of descriptors that this process has no room for", function()
    local lines = child.run([[
      local serve = require "evws.core".serve
      local one, fd = serve.control()
      local other = serve.control(fd)
      local first, first_fd = serve.control()
      one:send("without room", nil, first_fd)
      local held = {}
      while #held < 60 do
        local file = io.open "/dev/null"
        if not file then break end
        held[#held + 1] = file
      end
      local list = other:read()
      log(#list, list[1][1], list[1].fds)
      for _, file in ipairs(held) do file:close() end
      one:send("with room", nil, first_fd)
      list = other:read()
      log(#list, list[1][1], #list[1].fds)
    ]], { shell = "ulimit -n 40;" })
    assert.same({ "1 without room nil", "1 with room 1" }, lines)
  end)

  it("survives a lack of memory at every place", function()
    if not core.fail_at then return pending "built without WS_FAULT" end
    local before = t.fd_count()
    for n = 1, 12 do
      local one, other = pair()
      local a, a_fd = serve.control()
      core.fail_at(n, true)
      for _ = 1, 3 do
        pcall(one.send, one, "some", "thing", a_fd)
        local ok, list = pcall(other.read, other)
        for _, record in ipairs(ok and list or {}) do
          for _, fd in ipairs(record.fds or {}) do serve.close(fd) end
        end
      end
      core.fail_at(0)
      for _ = 1, 2 do
        for _, record in ipairs(other:read() or {}) do
          for _, fd in ipairs(record.fds or {}) do serve.close(fd) end
        end
      end
      assert(one:send "whole again")
      local list = read(other, 1)
      assert.equal("whole again", list[#list][1])
      serve.close(a_fd)
      close(one, other, a)
    end
    assert.equal(before, t.probe.fd_count())
  end)
end)

describe("a socket that somebody else has opened", function()
  local net = t.probe

  it("is known by its port, or its path", function()
    local path = os.tmpname()
    os.remove(path)
    for _, listener in ipairs { net.listen "127.0.0.1", net.listen(path) } do
      local fd = net.dup(listener:fd())
      local port, where = serve.adopt(fd)
      if listener.port and listener.port > 0 then
        assert.same({ listener.port, "127.0.0.1" }, { port, where })
      else
        assert.same({ 0, path }, { port, where })
      end
      serve.close(fd)
      listener:close()
    end
    os.remove(path)
  end)

  it("is none where it does not listen, or is closed", function()
    local listener = assert(net.listen "127.0.0.1")
    local raw = assert(net.connect { port = listener.port })
    assert.is_nil((serve.adopt(raw:fd())))
    raw:close()
    listener:close()
    local file <close> = assert(io.open "/dev/null")
    local fd = net.dup(0)
    serve.close(fd)
    assert.same({ nil, "Bad file descriptor" },
      { (serve.adopt(fd)), (select(2, serve.adopt(fd))) })
    assert(file)
  end)
end)

describe("a file with the number of a process", function()
  local path

  before_each(function() path = os.tmpname() end)

  after_each(function() os.remove(path) end)

  local function write(text)
    local file <close> = assert(io.open(path, "w"))
    file:write(text)
  end

  it("is written where there is a number, or nothing", function()
    for _, text in ipairs { "", "1\n", "12 \r\n", ("1"):rep(31) } do
      write(text)
      local fd = assert(serve.take_pidfile(path))
      local file <close> = assert(io.open(path))
      assert.equal(serve.pid() .. "\n", file:read "a")
      serve.leave_pidfile(path, fd)
      assert.is_nil(io.open(path))
    end
  end)

  it("is no other file, which stays as it is", function()
    for _, text in ipairs { "x", "1x", "1\0", ("1"):rep(32), ("1"):rep(99) } do
      write(text)
      local fd, why = serve.take_pidfile(path)
      assert.same({ nil, "Invalid argument" }, { fd, why })
      local file <close> = assert(io.open(path))
      assert.equal(text, file:read "a")
    end
    for place, said in pairs { ["/"] = "directory", ["/no/such/place"] =
      "No such file" } do
      local fd, why = serve.take_pidfile(place)
      assert.is_nil(fd)
      t.contains(why, said)
    end
  end)

  it("is left alone where it is another by then", function()
    local fd = assert(serve.take_pidfile(path))
    os.remove(path)
    write "7\n"
    serve.leave_pidfile(path, fd)
    local file <close> = assert(io.open(path))
    assert.equal("7\n", file:read "a")
  end)
end)
