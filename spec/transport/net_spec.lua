-- Listening, connecting, addresses as text (src/transport/net.c) and the calls
-- of the kernel provider (src/transport/io_kernel.c), over real sockets.

local t = require "spec.helper"
local probe = require "evws_probe"
local lfs = require "lfs"

local net, transport = probe.net, probe.transport

local function has_ipv6()
  local listener = net.listen("::1", 0)
  if listener then listener:close() end
  return listener ~= nil
end

describe("net", function()
  local loop, opened, directory

  before_each(function()
    loop, opened = probe.loop.new "ev", {}
    directory = os.tmpname()
    os.remove(directory)
    assert(lfs.mkdir(directory))
  end)

  after_each(function()
    for _, fd in ipairs(opened) do transport.close(loop, fd) end
    for name in lfs.dir(directory) do
      if name:find "^%w" then os.remove(directory .. "/" .. name) end
    end
    assert(lfs.rmdir(directory))
  end)

  local function listen(what)
    local fds, port, why = transport.listen(loop, what)
    if not fds then return nil, port, why end
    for _, fd in ipairs(fds) do opened[#opened + 1] = fd end
    return fds, port
  end

  -- A client of that address is accepted at one of the fds: as seen there.
  local function meet(fds, target)
    local client <close> = assert(net.connect(target))
    local _, own = client:sockname()
    local last = net.now() + 5
    repeat
      for _, fd in ipairs(fds) do
        local got, address, port = transport.accept(loop, fd)
        opened[#opened + 1] = got
        if got and port == (own or 0) then return address, got end
      end
    until net.now() > last
    error("nobody was accepted")
  end

  it("listens on both families of localhost, on one port", function()
    for _ = 1, 10 do
      local fds, port = assert(listen { host = "localhost", port = 0 })
      assert.is_true(port > 0)
      assert.equal("127.0.0.1", (meet(fds, { port = port })))
      if has_ipv6() then
        assert.equal(2, #fds)
        assert.equal("::1", (meet(fds, { host = "::1", port = port })))
      end
    end
  end)

  it("listens on one address when that is what is asked for", function()
    local fds, port = assert(listen { host = "127.0.0.1" })
    assert.equal(1, #fds)
    meet(fds, { port = port })
    if not has_ipv6() then return end
    fds, port = assert(listen { host = "::1" })
    assert.equal("::1", (meet(fds, { host = "::1", port = port })))
    -- and there only: the port is free for the other family
    assert.is_truthy(listen { host = "127.0.0.1", port = port })
  end)

  it("listens on :: for IPv6 alone", function()
    if not has_ipv6() then return pending "no IPv6" end
    local fds, port = assert(listen { host = "::" })
    assert.equal("::1", (meet(fds, { host = "::1", port = port })))
    local four = assert(listen { host = "127.0.0.1", port = port })
    assert.equal("127.0.0.1", (meet(four, { port = port })))
  end)

  it("listens everywhere by one socket for both families", function()
    local fds, port = assert(listen { host = "*" })
    assert.equal(1, #fds)
    assert.equal("127.0.0.1", (meet(fds, { port = port })))
    if not has_ipv6() then return end
    assert.equal("::1", (meet(fds, { host = "::1", port = port })))
  end)

  it("says that a port is taken, and leaves nothing open", function()
    local _, port = assert(listen { host = "localhost" })
    local before = t.fd_count()
    local fds, message = listen { host = "localhost", port = port }
    assert.is_nil(fds)
    assert.equal("Address already in use", message)
    assert.equal(before, net.fd_count())
    assert.is_nil((listen { host = "*", port = port }))
  end)

  it("shares a port with reuse_port", function()
    local _, port = assert(listen { host = "127.0.0.1", reuse_port = true })
    assert.is_truthy(listen { host = "127.0.0.1", port = port,
      reuse_port = true })
  end)

  it("says that an address is not of this machine", function()
    local fds, message = listen { host = "192.0.2.1" }
    assert.is_nil(fds)
    assert.equal("Cannot assign requested address", message)
  end)

  describe("on a Unix socket", function()
    local path
    before_each(function() path = directory .. "/socket" end)

    it("listens and is met", function()
      local fds, port = assert(listen { unix = path })
      assert.same({ 1, 0 }, { #fds, port })
      assert.equal("", (meet(fds, { unix = path })))
    end)

    it("replaces a file that nobody answers on", function()
      net.listen(path):close() -- the file stays behind
      assert.equal("socket", lfs.attributes(path, "mode"))
      local fds = assert(listen { unix = path })
      meet(fds, { unix = path })
    end)

    it("leaves one alone that somebody answers on", function()
      local fds = assert(listen { unix = path })
      local again, message = listen { unix = path }
      assert.is_nil(again)
      assert.equal("Address already in use", message)
      meet(fds, { unix = path })
    end)

    it("never replaces what is no socket", function()
      local file = assert(io.open(path, "w"))
      file:write "precious"
      file:close()
      local fds, message = listen { unix = path }
      assert.is_nil(fds)
      assert.equal("Address already in use", message)
      assert.equal("precious", assert(io.open(path)):read "a")
    end)

    it("says that a path is too long, or not there", function()
      assert.is_true(transport.unix("/" .. ("x"):rep(106)))
      assert.is_false(transport.unix("/" .. ("x"):rep(107)))
      local _, message = listen { unix = "/" .. ("x"):rep(107) }
      assert.equal("File name too long", message)
      _, message = listen { unix = directory .. "/none/socket" }
      assert.equal("No such file or directory", message)
    end)
  end)

  it("opens nothing that a child would inherit or that waits", function()
    local fds, port = assert(listen { host = "127.0.0.1" })
    local connecting = transport.connect(loop, "127.0.0.1", port)
    opened[#opened + 1] = connecting
    local _, accepted = meet(fds, { port = port })
    for _, fd in ipairs { fds[1], connecting, accepted } do
      assert.same({ true, true, true }, { transport.flags(fd) })
    end
  end)

  it("does not raise SIGPIPE", function()
    local fds, port = assert(listen { host = "127.0.0.1" })
    local _, fd = meet(fds, { port = port }) -- and the client is gone
    local n, message
    local last = net.now() + 5
    repeat
      n, message = transport.send(loop, fd, "x")
    until not n or net.now() > last
    assert.is_nil(n)
    assert.is_truthy(message == "Broken pipe"
      or message == "Connection reset by peer", message)
  end)
end)

describe("an address", function()
  it("is shown as text, with its port", function()
    for _, text in ipairs { "127.0.0.1", "0.0.0.0", "255.255.255.255",
      "192.0.2.7", "::1", "::", "2001:db8::1", "fe80::1:2:3:4",
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" } do
      for _, port in ipairs { 0, 1, 80, 65535 } do
        local shown, its = transport.text(text, port)
        assert.same({ text, port }, { shown, its })
      end
    end
  end)

  it("of IPv4 is shown whatever its bytes are", function()
    for n = 0, 255 do
      local address = ("%d.%d.%d.%d"):format(n, 255 - n, n // 10, n % 10)
      assert.equal(address, (transport.text(address, 80)))
      assert.equal(address, (transport.text(address, 80, true)))
    end
  end)

  it("of IPv4 is shown as such where it came mapped into IPv6", function()
    for _, text in ipairs { "127.0.0.1", "192.0.2.7", "255.255.255.255" } do
      assert.equal(text, (transport.text(text, 1, true)))
    end
  end)

  it("reaches this machine only, or does not", function()
    local function is_loopback(text, mapped)
      return (select(3, transport.text(text, 1, mapped)))
    end
    for _, text in ipairs { "127.0.0.1", "127.255.255.254", "::1" } do
      assert.is_true(is_loopback(text))
    end
    assert.is_true(is_loopback("127.0.0.1", true))
    for _, text in ipairs { "0.0.0.0", "126.0.0.1", "128.0.0.1", "::",
      "192.0.2.1", "fe80::1", "2001:db8::1", "::2" } do
      assert.is_false(is_loopback(text))
    end
    assert.is_false(is_loopback("192.0.2.1", true))
  end)
end)

describe("the kernel provider", function()
  local loop

  before_each(function() loop = probe.loop.new "ev" end)

  it("gives random bytes that are not the same twice", function()
    assert.equal("", transport.random(loop, 0))
    local seen = {}
    for _ = 1, 1000 do
      local bytes = transport.random(loop, 8)
      assert.equal(8, #bytes)
      assert.is_nil(seen[bytes])
      seen[bytes] = true
    end
    assert.equal(65536, #transport.random(loop, 65536))
  end)

  it("has a clock that goes forward, and one of the calendar", function()
    local last = loop:now()
    for _ = 1, 1000 do
      local now = loop:now()
      assert.is_true(now >= last)
      last = now
    end
    assert.is_true(math.abs(transport.wall(loop) - os.time()) <= 1)
  end)
end)
