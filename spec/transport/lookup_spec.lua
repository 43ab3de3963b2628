-- Names to addresses, off the loop (src/transport/lookup.c).

local probe = require "evws_probe"

local net, transport = probe.net, probe.transport
local factor = tonumber(os.getenv "EVWS_TIME_FACTOR") or 1
local unknown = "no-such-host.invalid" -- RFC 6761 6.4: there is none

describe("a look-up", function()
  local loop

  before_each(function() loop = probe.loop.new "ev" end)

  local function wait(predicate)
    local last = net.now() + 30 * factor
    while not predicate() do
      if net.now() > last then error("waited in vain", 2) end
      loop:step(0.005)
    end
  end

  local function known(host, port)
    local l, is_known = transport.lookup(loop, host, port, function()
      error "it was known already"
    end)
    assert.is_true(is_known)
    return l:answer()
  end

  it("knows localhost without asking anybody (RFC 6761 6.3)", function()
    for _, name in ipairs { "localhost", "LOCALHOST", "LocalHost" } do
      local list = known(name, 81)
      assert.equal("127.0.0.1 81", list[1])
      assert.is_true(#list == 1 or #list == 2 and list[2] == "::1 81")
    end
  end)

  it("knows addresses", function()
    for _, text in ipairs { "127.0.0.1", "192.0.2.1", "::1",
      "2001:db8::7" } do
      assert.same({ text .. " 65535" }, (known(text, 65535)))
    end
  end)

  it("refuses a name that is too long at once", function()
    local list, why = known(("x"):rep(256), 80)
    assert.same({}, list)
    assert.equal("host name not found", why)
  end)

  it("of an unknown name does not hold up the loop", function()
    local found, beats
    local began = net.now()
    local l, is_known = transport.lookup(loop, unknown, 80, function(self)
      assert.is_true(loop:in_turn())
      found = self
    end)
    assert.is_true(net.now() - began < 0.25 * factor)
    assert.is_false(is_known)
    assert.is_nil(found)
    local timer = loop:timer(function() beats = true end)
    timer:set(0)
    wait(function() return beats end)
    wait(function() return found end)
    assert.equal(l, found)
    assert.same({ {}, "host name not found" }, { l:answer() })
  end)

  -- A name of the hosts file that is not known without asking.
  local function name_of_hosts()
    for line in io.lines "/etc/hosts" do
      local address, names = line:match "^%s*([%x.:]+)%s+([^#]*)"
      for name in (names or ""):gmatch "%S+" do
        if name:lower() ~= "localhost" then return name, address end
      end
    end
  end

  it("finds a name in a thread, with the port that was asked for", function()
    local name, address = name_of_hosts()
    if not name then return pending "no name in /etc/hosts" end
    for _, port in ipairs { 1, 8081, 65535 } do
      local found
      local _, is_known = transport.lookup(loop, name, port, function(self)
        found = self
      end)
      assert.is_false(is_known)
      wait(function() return found end)
      local list, why = found:answer()
      assert.is_nil(why)
      local expected = address .. " " .. port
      assert.is_truthy((" " .. table.concat(list, " ") .. " "):find(
        " " .. expected .. " ", 1, true), expected)
      for _, one in ipairs(list) do
        assert.equal(port, tonumber(one:match " (%d+)$"))
      end
    end
  end)

  it("is one of many", function()
    local n = 0
    for _ = 1, 8 do
      transport.lookup(loop, unknown, 80, function() n = n + 1 end)
    end
    wait(function() return n == 8 end)
    assert.is_false(loop:step(-1)) -- nothing is watched any more
  end)

  it("that is cancelled says nothing, and leaves nothing open", function()
    collectgarbage() -- loops of other specs have descriptors too
    local before = net.fd_count()
    local list = {}
    for i = 1, 4 do
      list[i] = transport.lookup(loop, unknown, 80, function()
        error "it was cancelled"
      end)
      list[i]:cancel()
      list[i]:cancel()
    end
    wait(function() return net.fd_count() <= before end)
    assert.is_false(loop:step(-1))
  end)

  it("can be cancelled from another one's answer", function()
    local a, b, n
    n = 0
    local function done(self)
      n = n + 1
      if self == a then b:cancel() else a:cancel() end
    end
    a = transport.lookup(loop, unknown, 80, done)
    b = transport.lookup(loop, unknown, 80, done)
    wait(function() return n > 0 end)
    for _ = 1, 20 do loop:step(0.001) end
    assert.equal(1, n)
  end)

  it("without memory or a thread is an error, known at once", function()
    if not probe.buf.fail_at(0, false) then
      return pending("built without WS_FAULT")
    end
    probe.buf.fail_at(1, true)
    local l, is_known = transport.lookup(loop, unknown, 80, error)
    probe.buf.fail_at(0, false)
    assert.is_true(is_known)
    assert.equal("no thread for the name look-up", select(2, l:answer()))
  end)
end)
