-- evws serve: how workers begin, are replaced and end, as real processes.

local kit = require "spec.serve.kit"
local t = require "spec.helper"

-- Told so, it answers and is let go.
local function told(client, code)
  client:expect_close(code)
  client:send(t.close_frame(code))
  client:expect_eof()
end

describe("evws serve", function()
  after_each(kit.cleanup)

  it("runs a script in several processes on one port", function()
    local served = kit.serve(kit.echo, "--workers 3")
    served:await("^worker", 3)
    local pids, n = {}, 0
    repeat
      local id, generation, pid = served:who(served:open())
      assert.equal(1, generation)
      if not pids[id] then n = n + 1 end
      assert.equal(pid, pids[id] or pid)
      pids[id] = pid
    until n == 3
    assert.equal(3, #pids)
    assert.is_true(pids[1] ~= pids[2] and pids[2] ~= pids[3])
    for _, pid in ipairs(pids) do
      assert.not_equal(tonumber(served.child.pid), pid)
    end
  end)

  it("gives the script its arguments, and one process if that is said",
    function()
      local served = kit.serve("say(#arg, ...) " .. kit.echo, "-w 1",
        "8080 --workers")
      served.child:wait "^2 8080 %-%-workers$"
      assert.equal(1, (served:who(served:open())))
    end)

  it("ends at SIGTERM: all are told 1001, and the status is 0", function()
    local served = kit.serve(kit.echo)
    served:await("^worker", 2)
    local one, other = served:open(), served:open()
    served.child:signal "TERM"
    told(one, 1001)
    told(other, 1001)
    assert.equal(0, served.child:ended(20))
    assert.equal(2, served:count "^end %d nil interrupted$")
    assert.equal("", served.child:errors())
  end)

  it("ends quietly where all get the signal, as at a terminal", function()
    local served = kit.serve(kit.echo, "-w 3")
    served:await("^worker", 3)
    local pids, seen = {}, 0
    while seen < 3 do
      local _, _, pid = served:who(served:open())
      if not pids[pid] then seen = seen + 1 end
      pids[pid] = true
    end
    local list = { served.child.pid }
    for pid in pairs(pids) do list[#list + 1] = pid end
    os.execute("kill -INT " .. table.concat(list, " "))
    assert.equal(0, served.child:ended(40))
    assert.equal("", served.child:errors())
  end)

  it("starts nobody when it has to end as the first one gets ready", function()
    local gate = os.tmpname()
    os.remove(gate)
    finally(function() os.remove(gate) end)
    local served = kit.serve([[
      assert(ws.listen { host = "127.0.0.1", port = 0 })
      say "up"
      while not io.open(arg[1]) do ws.sleep(0.02) end
      ws.after(0.1, function() say "turned" end)
      ws.run()
    ]], "-w 3", gate)
    served:await "^up"
    served.child:signal "STOP"
    assert(io.open(gate, "w")):close()
    served:await "^turned"
    served.child:signal "TERM"
    served.child:signal "CONT"
    assert.equal(0, served.child:ended(20))
    assert.equal(1, served:count "^up")
  end)

  it("ends at once at the second SIGTERM", function()
    local served = kit.serve(kit.echo)
    served:await("^worker", 2)
    local client = served:open()
    served.child:signal "INT"
    client:expect_close(1001) -- and does not answer
    served.child:signal "TERM"
    assert.equal(0, served.child:ended(10))
  end)

  it("cuts who does not leave within --grace", function()
    local served = kit.serve(kit.echo, "-w 2 --grace " .. 0.5 * t.factor)
    served:await("^worker", 2)
    local client = served:open()
    served.child:signal "TERM"
    client:expect_close(1001)
    assert.equal(0, served.child:ended(10))
  end)

  it("replaces all at SIGHUP, and tells clients 1012", function()
    local served = kit.serve(kit.echo)
    served:await("^worker", 2)
    local client = served:open()
    local _, _, pid = served:who(client)
    served.child:signal "HUP"
    served:await("^worker %d 2$", 2)
    told(client, 1012)
    t.wait(function() return not kit.is_running(pid) end, "the old one's end")
    served:await("^end", 2)
    local _, generation = served:who(served:open())
    assert.equal(2, generation)
    assert.equal("", served.child:errors())
  end)

  it("closes with another code, after --linger", function()
    local served = kit.serve(kit.echo, "-w 1 --close-code 4001 --linger "
      .. 1.5 * t.factor)
    local client = served:open()
    served:who(client)
    served.child:signal "HUP"
    served:open_at(2)
    assert.equal(1, select(2, served:who(client))) -- it goes on
    told(client, 4001)
  end)

  it("keeps the old workers where the new script is broken", function()
    local served = kit.serve(kit.echo)
    served:await("^worker", 2)
    local client = served:open()
    local _, _, pid = served:who(client)
    served:write "error 'broken'"
    served.child:signal "HUP"
    t.contains(served:errors "the reload stops",
      "worker 1 ended with status 1; the old workers stay")
    t.contains(served.child:errors(), "broken")
    assert.equal(pid, select(3, served:who(client)))
    served:write(kit.echo)
    served.child:signal "HUP"
    served:await("^worker %d 3$", 2)
    client:expect_close(1012)
  end)

  it("keeps the old ones where a new one is not ready in time", function()
    local ready = 3 * t.factor
    local served = kit.serve(kit.echo, "-w 1 --ready " .. ready)
    local client = served:open()
    local _, _, pid = served:who(client)
    served:write "os.execute 'exec sleep 30'"
    served.child:signal "HUP"
    t.contains(served:errors "the reload stops",
      ("was not ready within %g seconds"):format(ready))
    assert.equal(pid, select(3, served:who(client)))
  end)

  it("reloads where it was told to before the first one was ready", function()
    local served = kit.serve("say 'up' ws.sleep(1)" .. kit.echo)
    served:await "^up"
    served.child:signal "HUP"
    served:await("^worker %d 2$", 2)
  end)

  it("reloads once more where it was told to while a reload failed",
    function()
      local served = kit.serve(kit.echo, "-w 1 --ready " .. 3 * t.factor)
      served:await "^worker"
      served:write "say 'slow' ws.sleep(60)"
      served.child:signal "HUP"
      served:await "^slow"
      served:write(kit.echo)
      served.child:signal "HUP"
      served:await "^worker 1 3$"
    end)

  it("goes on trying where a reload finds nobody to replace", function()
    local link = os.tmpname()
    local function make_link()
      os.execute(("ln -sf $(command -v %s) %s"):format(
        os.getenv "LUA" or "lua5.4", link))
    end
    make_link()
    finally(function() os.remove(link) end)
    local served = kit.serve(kit.echo, "-w 1 --lua " .. link)
    served:await "^worker"
    local pid = select(3, served:who(served:open()))
    os.remove(link)
    kit.kill(pid)
    served:errors "cannot be started"
    served.child:signal "HUP"
    served:errors "the reload stops"
    make_link()
    served:await("^worker", 2, 20)
  end)

  it("starts another worker when one is killed", function()
    local served = kit.serve(kit.echo)
    served:await("^worker", 2)
    local id, _, pid = served:who(served:open())
    local other, other_id
    repeat
      other = served:open()
      other_id = served:who(other)
    until other_id ~= id
    kit.kill(pid)
    served:await(("^worker %d"):format(id), 2)
    t.contains(served.child:errors(), ("worker %d was ended by signal 9; it is "
      .. "started again"):format(id))
    assert.equal(other_id, (served:who(other)))
    for _ = 1, 4 do served:who(served:open()) end
  end)

  it("waits longer and longer for one that does not live", function()
    local served = kit.serve([[
      if ws.worker.id == 2 then error "not me" end
    ]] .. kit.echo)
    t.contains(served:errors "again in 0%.4 s", "it is started again in 0.1 s")
    assert.equal(1, (served:who(served:open())))
  end)

  it("has one worker more at SIGTTIN, and one less at SIGTTOU", function()
    local served = kit.serve(kit.echo, "-w 1")
    served:await "^worker 1"
    served.child:signal "TTIN"
    served:await "^worker 2"
    served.child:signal "TTOU"
    served:await "^end 2"
    served.child:signal "TTOU" -- the last one stays
    served.child:signal "HUP" -- who has heard this has heard that
    served:await "^worker 1 2"
    served.child:signal "TTIN"
    served:await "^worker 2 2"
  end)

  it("minds these before the first one is ready, too", function()
    for signal, n in pairs { TTIN = 3, TTOU = 1 } do
      local gate = os.tmpname()
      os.remove(gate)
      finally(function() os.remove(gate) end)
      local served = kit.serve([[
        say "up"
        while not io.open(arg[1]) do ws.sleep(0.02) end
      ]] .. kit.echo, "-w 2", gate)
      served:await "^up"
      served.child:signal(signal)
      assert(io.open(gate, "w")):close()
      served:await("^worker", n)
      served.child:signal "HUP"
      served:await("^worker %d 2", n)
      assert.equal(n, served:count "^worker %d 2")
      os.remove(gate)
      kit.cleanup()
    end
  end)

  it("aborts a worker whose loop does not turn", function()
    local mark = os.tmpname()
    os.remove(mark)
    local served = kit.serve([[
      ws.after(0.2, function()
        if ws.worker.id ~= 2 or io.open(arg[1]) then return end
        io.open(arg[1], "w"):close()
        while true do end
      end)
    ]] .. kit.echo, "-w 2 --hang 3", mark)
    t.contains(served:errors "worker 2 .*signal",
      "has not turned its loop for 3 seconds, and was ended by signal 6")
    served:await("^worker 2", 2)
    assert.equal(0, served:count "^end 1")
    os.remove(mark)
  end)

  it("does not take its own stop for theirs", function()
    local hang = 1 + t.factor
    local served = kit.serve(kit.echo, "-w 1 --hang " .. hang)
    local client = served:open()
    local _, _, pid = served:who(client)
    served.child:signal "STOP"
    local last = t.probe.now() + hang + 1
    t.wait(function() return t.probe.now() > last end)
    served.child:signal "CONT"
    last = t.probe.now() + 0.5
    t.wait(function() return t.probe.now() > last end)
    assert.equal(pid, select(3, served:who(client)))
    assert.equal("", served.child:errors())
  end)

  it("has its workers retire when it is killed", function()
    local served = kit.serve(kit.echo)
    served:await("^worker", 2)
    local one, other = served:open(), served:open()
    local port = served:port()
    served.child:signal "KILL"
    told(one, 1001)
    told(other, 1001)
    t.wait(function()
      return served:count "^end %d nil interrupted" == 2
    end, "the workers' end", 10)
    local listener <close> = t.wait(function() -- they have yet to exit
      return t.probe.listen("127.0.0.1", port)
    end, "the port to be free")
    assert.equal(port, listener.port)
  end)

  describe("ends with status 1", function()
    local function ends(source, pattern, options)
      local served = kit.serve(source, options)
      assert.equal(1, served.child:ended(20))
      local errors = served.child:errors()
      assert.is_truthy(errors:find(pattern), errors)
      return errors
    end

    it("where the script raises, which is told once", function()
      local errors = ends("error 'no good'", "ended before it was ready",
        "-w 4")
      assert.equal(1, select(2, errors:gsub("no good", "")))
    end)

    it("where it has no ws.run", function()
      ends("ws.listen { port = 0 }", "ended before it was ready")
    end)

    it("where it has no ws.listen", function()
      ends("ws.after(0.1, function() end) ws.run()",
        "ended before it was ready %(ended with status 0%)")
    end)

    it("where it is never ready", function()
      ends("ws.sleep(30)", "was not ready within 1 seconds", "--ready 1")
    end)

    it("where there is none", function()
      local processes = require "spec.binding.kit"
      local child = processes.start "bin/evws serve /nowhere.lua"
      assert.equal(1, child:ended())
      assert.equal("evws: cannot open /nowhere.lua: No such file or "
        .. "directory\n", child:errors())
    end)

    it("where there is no such interpreter", function()
      ends(kit.echo, "evws: /nowhere/lua: No such file or directory",
        "--lua /nowhere/lua")
    end)
  end)

  it("is reloaded by HUP under nohup, too, and survives the terminal's end",
    function()
      local served = kit.serve(kit.echo, "-w 2", nil, "nohup")
      served:await("^worker %d 1", 2)
      served.child:signal "HUP"
      served:await("^worker %d 2", 2)
      served:await("^end", 2)
      assert.equal(0, served:count "^worker %d 3")
    end)

end)
