-- Names to addresses, off the loop (src/transport/lookup.c).

local t = require "spec.helper"
local probe = require "evws_probe"

local net, transport, names = probe.net, probe.transport, probe.names
local factor = t.factor
local unknown = "no-such-host.invalid" -- RFC 6761 6.4: there is none

describe("a look-up", function()
  local loop

  local function wait(predicate)
    local last = net.now() + 30 * factor
    while not predicate() do
      if net.now() > last then error("waited in vain", 2) end
      loop:step(0.005)
    end
  end

  local set = {} -- names that are asked for

  local function set_name(name, addresses)
    names.set(name, addresses)
    set[name] = true
  end

  local function ask_unknown(answered)
    set[unknown] = true
    return transport.lookup(loop, unknown, 80, answered)
  end

  -- A name that was given up is asked for until its thread is done, and has
  -- one more be asked for meanwhile. Whoever asks for it again waits for that.
  local function settle()
    local n = 0
    names.let_go()
    for name in pairs(set) do
      n = n + 1
      transport.lookup(loop, name, 80, function() n = n - 1 end)
    end
    wait(function() return n == 0 end)
    names.forget()
  end

  before_each(function() loop, set = probe.loop.new "ev", {} end)

  after_each(settle)

  local function known(host, port)
    local l, is_known = transport.lookup(loop, host, port, function()
      error "it was known already"
    end)
    assert.is_true(is_known)
    return l:answer()
  end

  it("knows localhost without asking anybody (RFC 6761 6.3)", function()
    for _, name in ipairs { "localhost", "LOCALHOST", "LocalHost",
      "localhost.", "a.localhost", "A.B.LocalHost", "a.localhost.",
      ("x"):rep(240) .. ".localhost" } do
      local list = known(name, 81)
      assert.equal("127.0.0.1 81", list[1])
      assert.is_true(#list == 1 or #list == 2 and list[2] == "::1 81")
    end
  end)

  it("takes nothing else for localhost", function()
    for _, name in ipairs { "xlocalhost", "notlocalhost", "localhost.x",
      "localhost..", ".localhost", "local.host", "localhos",
      "localhost.localdomain" } do
      set_name(name, { "192.0.2.7" })
      local found
      local _, is_known = transport.lookup(loop, name, 80, function(self)
        found = self:answer()
      end)
      assert.is_false(is_known, name)
      names.let_go(name)
      wait(function() return found end)
      assert.same({ "192.0.2.7 80" }, found)
    end
  end)

  it("knows addresses", function()
    for _, text in ipairs { "127.0.0.1", "192.0.2.1", "::1",
      "2001:db8::7" } do
      assert.same({ text .. " 65535" }, (known(text, 65535)))
    end
  end)

  it("knows a zone of this machine, by name and number (RFC 4007 11.2)",
    function()
      for text, expected in pairs {
        ["fe80::1%lo"] = "fe80::1 80 in 1", ["fe80::1%1"] = "fe80::1 80 in 1",
        ["fe80::7%1"] = "fe80::7 80 in 1", ["::1%1"] = "::1 80 in 1",
      } do
        assert.same({ expected }, (known(text, 80)))
      end
    end)

  it("never asks for the name of what has a colon", function()
    for text, expected in pairs {
      ["fe80::1%no-such-zone"] = "no such network interface",
      ["fe80::1%"] = "no such network interface",
      ["fe80::x%lo"] = "host name not found",
      ["1:2"] = "host name not found", [":"] = "host name not found",
    } do
      local list, why = known(text, 80)
      assert.same({ {}, expected }, { list, why })
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
    local l, is_known = ask_unknown(function(self)
      assert.is_true(loop:in_turn())
      found = self
    end)
    assert.is_true(net.now() - began < 1 * factor)
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
      local address, list = line:match "^%s*([%x.:]+)%s+([^#]*)"
      for name in (list or ""):gmatch "%S+" do
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
      ask_unknown(function() n = n + 1 end)
    end
    wait(function() return n == 8 end)
    assert.is_false(loop:step(-1)) -- nothing is watched any more
  end)

  it("that is cancelled says nothing, and leaves nothing open", function()
    local before = t.fd_count()
    local list = {}
    for i = 1, 4 do
      list[i] = ask_unknown(function()
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
    a = ask_unknown(done)
    b = ask_unknown(done)
    wait(function() return n > 0 end)
    for _ = 1, 20 do loop:step(0.001) end
    assert.equal(1, n)
  end)

  -- Asks for each of the names; the list fills with the answers.
  local function ask(...)
    local answers = { n = 0 }
    for i, name in ipairs { ... } do
      answers[-i] = transport.lookup(loop, name, 80, function(self)
        answers[i] = self:answer()
        answers.n = answers.n + 1
      end)
    end
    return answers
  end

  local function asking(n)
    wait(function() return names.now() == n end)
  end

  describe("among others", function()
    local function many(n)
      local list = {}
      for i = 1, n do
        list[i] = ("host-%d.test"):format(i)
        set_name(list[i], { "192.0.2." .. i })
      end
      return list
    end

    it("waits while a few threads are busy, and has its turn", function()
      local list = many(20)
      local answers = ask(table.unpack(list))
      asking(4)
      for _ = 1, 5 do loop:step(0.001) end
      assert.same({ 4, 0 }, { names.most(), answers.n })
      for i = 1, 20 do
        names.let_go(list[i])
        wait(function() return answers[i] end)
        assert.same({ ("192.0.2.%d 80"):format(i) }, answers[i])
        assert.equal(i, answers.n)
      end
      assert.equal(4, names.most())
      assert.is_false(loop:step(-1))
    end)

    it("is one with all who ask for the same name", function()
      set_name("one.test", { "192.0.2.1", "2001:db8::1" })
      local answers = ask(table.unpack((function()
        local same = {}
        for i = 1, 100 do same[i] = i % 2 == 0 and "one.test" or "ONE.test" end
        return same
      end)()))
      asking(1)
      local more = ask "one.test" -- it is asked for already
      names.let_go()
      wait(function() return answers.n == 100 and more.n == 1 end)
      assert.equal(1, names.asked "one.test")
      for i = 1, 100 do
        assert.same({ "192.0.2.1 80", "2001:db8::1 80" }, answers[i])
      end
      ask "one.test" -- what is known is not kept
      wait(function() return names.asked "one.test" == 2 end)
    end)

    it("keeps its own port", function()
      set_name("port.test", { "192.0.2.1", "2001:db8::1" })
      local got = {}
      for port = 1, 3 do
        transport.lookup(loop, "port.test", port, function(self)
          got[port] = self:answer()
        end)
      end
      names.let_go()
      wait(function() return #got == 3 end)
      for port = 1, 3 do
        assert.same({ "192.0.2.1 " .. port, "2001:db8::1 " .. port },
          got[port])
      end
    end)

    it("asks no other loop, and answers all of them", function()
      set_name("shared.test", { "192.0.2.1" })
      local other = probe.loop.new "ev"
      local mine = ask "shared.test"
      local theirs
      transport.lookup(other, "shared.test", 443, function(self)
        theirs = self:answer()
      end)
      asking(1)
      names.let_go()
      wait(function()
        other:step(0.001)
        return mine.n == 1 and theirs
      end)
      assert.equal(1, names.asked "shared.test")
      assert.same({ "192.0.2.1 443" }, theirs)
    end)

    it("that is cancelled before its turn is never asked for", function()
      local list = many(6)
      local answers = ask(table.unpack(list))
      asking(4)
      answers[-5]:cancel()
      names.let_go()
      wait(function() return answers.n == 5 end)
      assert.same({ 0, 1 },
        { names.asked(list[5]), names.asked(list[6]) })
    end)

    it("is not held up by what nobody waits for any more", function()
      local stuck, list = many(4), { "live-1.test", "live-2.test" }
      local answers = ask(table.unpack(stuck))
      asking(4)
      for i = 1, 4 do answers[-i]:cancel() end
      for _, name in ipairs(list) do set_name(name, { "192.0.2.99" }) end
      local live = ask(table.unpack(list))
      asking(6)
      names.let_go "live-1.test"
      names.let_go "live-2.test"
      wait(function() return live.n == 2 end)
      assert.equal(0, answers.n)
    end)

    it("takes up what was given up but is still asked for", function()
      set_name("again.test", { "192.0.2.1" })
      local first = ask "again.test"
      asking(1)
      first[-1]:cancel()
      local second = ask "again.test"
      names.let_go()
      wait(function() return second.n == 1 end)
      assert.same({ 0, 1 }, { first.n, names.asked "again.test" })
    end)

    it("has bounds for what is stuck, too", function()
      for round = 1, 5 do
        for i = 1, 4 do
          local name = ("stuck-%d-%d.test"):format(round, i)
          set_name(name, {})
          ask(name)[-1]:cancel()
        end
      end
      local list = many(20)
      local answers = ask(table.unpack(list))
      for _ = 1, 20 do loop:step(0.001) end
      assert.is_true(names.most() <= 8)
      names.let_go()
      wait(function() return answers.n == 20 end)
      assert.is_true(names.most() <= 8)
    end)

    it("needs two descriptors for all of them", function()
      local before = t.fd_count()
      local answers = ask(table.unpack(many(50)))
      assert.is_true(net.fd_count() <= before + 2)
      names.let_go()
      wait(function() return answers.n == 50 end)
      assert.equal(before, net.fd_count())
    end)

    it("answers whatever is cancelled, and whenever", function()
      math.randomseed(11)
      local list = many(12)
      names.let_go()
      for _ = 1, 40 do
        local got, expected, pending = 0, 0, {}
        for _ = 1, 20 do
          local l = transport.lookup(loop, list[math.random(12)], 80,
            function() got = got + 1 end)
          if math.random(3) == 1 then
            l:cancel()
          else
            pending[#pending + 1] = l
            expected = expected + 1
          end
        end
        if math.random(2) == 1 then
          local l = table.remove(pending)
          local before = got
          l:cancel()
          assert.equal(before, got)
          expected = expected - 1
        end
        wait(function() return got == expected end)
        assert.is_false(loop:step(-1))
      end
    end)
  end)

  describe("of a name with many addresses", function()
    local function found(list)
      set_name("many.test", list)
      names.let_go "many.test"
      local answers = ask "many.test"
      wait(function() return answers.n == 1 end)
      return answers[1]
    end

    local function addresses(format, n)
      local list = {}
      for i = 1, n do list[i] = format:format(i) end
      return list
    end

    it("has all of them, 64 at most", function()
      for n, expected in pairs { [9] = 9, [17] = 17, [64] = 64, [65] = 64,
        [100] = 64 } do
        local got = found(addresses("192.0.2.%d", n))
        assert.equal(expected, #got)
        assert.equal("192.0.2.9 80", got[9])
      end
    end)

    it("cuts neither family for the other's sake", function()
      local list = addresses("2001:db8::%d", 60)
      table.move(addresses("192.0.2.%d", 40), 1, 40, #list + 1, list)
      local n = { v4 = 0, v6 = 0 }
      for _, text in ipairs(found(list)) do
        local family = text:find("::", 1, true) and "v6" or "v4"
        n[family] = n[family] + 1
      end
      assert.same({ v4 = 32, v6 = 32 }, n)
      list = addresses("192.0.2.%d", 40)
      table.move(addresses("2001:db8::%d", 60), 1, 60, #list + 1, list)
      local got_first = found(list)
      assert.same({ "192.0.2.32 80", "2001:db8::1 80", 64 },
        { got_first[32], got_first[33], #got_first })
      list = addresses("2001:db8::%d", 100)
      list[101] = "192.0.2.1"
      local got = found(list)
      assert.same({ 64, "192.0.2.1 80" }, { #got, got[64] })
    end)
  end)

  describe("that is pending when the process forks", function()
    it("is heard of while the child lives", function()
      set_name("fork.test", { "192.0.2.1" })
      local answers = ask "fork.test"
      asking(1)
      local child <close> = names.child()
      names.let_go()
      wait(function() return answers.n == 1 end)
      assert.same({ "192.0.2.1 80" }, answers[1])
      child:stop()
    end)

    it("is heard of when it waits for its turn, too", function()
      local list = {}
      for i = 1, 10 do
        list[i] = ("fork-%d.test"):format(i)
        set_name(list[i], { "192.0.2.1" })
      end
      local answers = ask(table.unpack(list))
      asking(4)
      local child <close> = names.child()
      names.let_go()
      wait(function() return answers.n == 10 end)
      child:stop()
    end)
  end)

  it("without memory or a thread is an error, known at once", function()
    if not probe.buf.fail_at(0, false) then
      return pending("built without WS_FAULT")
    end
    probe.buf.fail_at(1, true)
    local l, is_known = ask_unknown(error)
    probe.buf.fail_at(0, false)
    assert.is_true(is_known)
    assert.equal("no thread for the name look-up", select(2, l:answer()))
  end)

  it("fails wherever memory does, and says so", function()
    if not probe.buf.fail_at(0, false) then
      return pending("built without WS_FAULT")
    end
    for n = 1, 12 do
      local done
      set_name("memory.test", { "192.0.2.1", "192.0.2.2" })
      names.let_go()
      probe.buf.fail_at(n, false)
      local l, is_known = transport.lookup(loop, "memory.test", 80, function()
        done = true
      end)
      wait(function() return is_known or done end)
      probe.buf.fail_at(0, false)
      local list, why = l:answer()
      if #list == 0 then
        assert.is_true(why == "not enough memory"
          or why == "no thread for the name look-up", why)
      else
        assert.equal(2, #list)
      end
      assert.is_false(loop:step(-1))
    end
  end)
end)
