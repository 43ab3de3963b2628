-- Sockets that listen where something is in the way (net.c), what the system
-- says seldom (io_kernel.c), and addresses of all kinds.

local t = require "spec.helper"
local kit = require "spec.transport.fault_kit"
local probe = require "evws_probe"

local transport = probe.transport

local function said(script, options)
  return table.concat(kit.lines(script, options), "\n")
end

describe("listening at several addresses", function()
  local script = [[
    local function attempt(errno, kind, n, every)
      local before = probe.net.fd_count()
      faults.fail(kind, n, errno, every)
      local port, fds = serve.open { host = "localhost" }
      local hits = faults.hits()
      faults.fail(kind, 0)
      log(port and #fds or "none", port and "" or fds, hits)
      for _, fd in ipairs(port and fds or {}) do serve.close(fd) end
      assert(probe.net.fd_count() == before)
    end
  ]]

  local function has_two()
    local loop = probe.loop.new "ev"
    local fds = assert(transport.listen(loop, { host = "localhost" }))
    for _, fd in ipairs(fds) do transport.close(loop, fd) end
    return #fds == 2
  end

  it("tries another port where one is taken at the second", function()
    if not has_two() then return pending "localhost has one address" end
    assert.equal("2  1\nnone Address already in use 16\n"
      .. "none Permission denied 1", said(script .. [[
      attempt(98, "bind", 2)
      attempt(98, "bind", 1, true) -- again and again
      attempt(13, "bind", 2)
    ]]))
  end)

  it("leaves out a family that the machine has not", function()
    if not has_two() then return pending "localhost has one address" end
    assert.equal("1  1\n1  1\nnone Address family not supported by protocol 2\n"
      .. "1  1", said(script .. [[
      attempt(97, "socket", 1)
      attempt(97, "socket", 2)
      attempt(97, "socket", 1, true)
      attempt(99, "bind", 2)
    ]]))
  end)

  it("takes no name that none can have, nor sockets of other kinds", function()
    for _, host in ipairs { "fe80::1%none", "1:2:3" } do
      local server, why = t.ws.listen { host = host, port = 0 }
      assert.is_nil(server)
      t.contains(why, "host name was not found")
    end
    local seam = probe.seam.new "kernel"
    local fd = assert(seam("socket", 4, true)) -- of datagrams
    local server, why = t.ws.listen { fd = fd }
    assert.is_nil(server)
    t.contains(why, "no stream socket that listens")
    seam("close", fd)
  end)
end)

describe("an address", function()
  it("is of this machine, or is not", function()
    for address, is_own in pairs { ["127.0.0.1"] = true, ["126.0.0.1"] = false,
      ["::1"] = true, ["::2"] = false, ["0:0:0:1::1"] = false,
      ["0:0:1::1"] = false, ["0:1::1"] = false, ["1::1"] = false,
      ["0:0:0:0:1::1"] = false, ["0:0:0:0:0:0:1:1"] = false,
      ["::fffe:127.0.0.1"] = false } do
      local text, port, own = transport.text(address, 80)
      assert.same({ 80, is_own }, { port, own }, address)
      assert.is_true(#text > 2)
    end
    assert.same({ "127.0.0.1", 80, true }, { transport.text("127.0.0.1", 80,
      true) })
  end)
end)

describe("the kernel's provider", function()
  it("tells that a connection is gone, by whatever reason there is", function()
    assert.equal("nil Connection reset by peer\nnil Connection reset by peer\n"
      .. "nil Connection reset by peer", said [[
      local p = probe.seam.new "kernel"
      local function attempt(fail)
        local listener <close> = assert(probe.net.listen "127.0.0.1")
        local one, other = probe.net.connect { port = listener.port }, nil
        wait(function()
          other = listener:accept()
          return other
        end)
        other:reset()
        probe.net.poll({ one }, 60)
        if fail then faults.fail("getsockopt", 1, 9) end
        log(p("hangup", one:fd()))
        faults.fail("getsockopt", 0)
        return one
      end
      attempt(true)
      local one = attempt(false)
      log(p("hangup", one:fd())) -- the reason has been told
    ]])
  end)

  it("asks again for random bytes where a signal came", function()
    assert.equal("64 1\nfalse", said [[
      faults.fail("getrandom", 1, 4)
      log(#core.random(64), faults.hits())
      faults.fail("getrandom", 1, 5, true)
      local ok
      for _ = 1, 100 do -- what is left of a block is given
        ok = pcall(core.random, 64)
        if not ok then break end
      end
      log(ok)
    ]])
  end)
end)
