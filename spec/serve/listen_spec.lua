-- evws serve: what workers listen on, and how connections are dealt out.

local kit = require "spec.serve.kit"
local t = require "spec.helper"

-- Whoever has the fewest gets the next one, so that this comes to hold even
-- where a worker was held up.
local function at_most(share)
  return function(by_id, n)
    local most = 0
    for _, own in pairs(by_id) do most = math.max(most, own) end
    return most <= share * n
  end
end

describe("listening in workers", function()
  after_each(kit.cleanup)

  it("gives a connection to the worker that has the fewest", function()
    local served = kit.serve(kit.echo, "-w 4")
    served:await("^worker", 4)
    served:deal(40, at_most(0.4)) -- 10 each is even
  end)

  it("does so by the socket, whatever else a worker listens on", function()
    local path = os.tmpname()
    os.remove(path)
    local served = kit.serve(([[
      if ws.worker.id == 2 then assert(ws.listen { unix = %q }) end
    ]]):format(path) .. kit.echo, "-w 2")
    served:await("^worker", 2)
    served:deal(40, at_most(0.7)) -- 20 each is even
    local by_other = t.open(nil, { unix = path })
    served:deal(40, at_most(0.7))
    by_other:finish()
  end)

  it("gives those that come to the one that has lost its own", function()
    local served = kit.serve(kit.echo, "-w 2")
    served:await("^worker", 2)
    local clients = { {}, {} }
    repeat
      local client = served:open()
      table.insert(clients[served:who(client)], client)
    until #clients[1] >= 8 and #clients[2] >= 8
    for _, client in ipairs(clients[1]) do client:finish() end
    served:deal(8, function(by_id) return by_id[1] > by_id[2] + 2 end)
  end)

  it("is not held up by a worker that is asleep", function()
    local served = kit.serve(kit.echo, "-w 2 --hang 0")
    served:await("^worker", 2)
    local client = served:open()
    local id, _, pid = served:who(client)
    kit.kill(pid, "STOP")
    assert.same({ [3 - id] = 30 },
      served:deal(30, function() return true end))
    kit.kill(pid, "CONT")
    assert.equal(id, (served:who(client)))
  end)

  it("is told that an address is in use", function()
    local other <close> = assert(t.probe.listen "127.0.0.1")
    local served = kit.serve(([[
      say(ws.listen { host = "127.0.0.1", port = %d })
    ]]):format(other.port) .. kit.echo, "-w 1")
    served.child:wait(("^nil cannot listen on 127.0.0.1 port %d: Address "
      .. "already in use %%d+$"):format(other.port))
  end)

  -- What a worker may not, who has no such right.
  local function without_right()
    local file <close> = io.open "/proc/sys/net/ipv4/ip_unprivileged_port_start"
    if not file or file:read "n" <= 1 then return nil end
    local as <close> = assert(io.popen "id -u")
    if as:read "n" > 0 then return "" end
    local drop = "setpriv --bounding-set=-net_bind_service"
    return os.execute(drop .. " true 2>/dev/null") and drop
  end

  it("is told that a port below 1024 is not for it", function()
    local drop = without_right()
    if not drop then return pending "every port is for everybody" end
    local served = kit.serve([[
      say(ws.listen { host = "127.0.0.1", port = 1 })
    ]] .. kit.echo, "-w 2", nil, drop)
    served:await("^nil cannot listen on 127.0.0.1 port 1: Permission denied %d",
      2, 20)
    served:await("^worker", 2)
    served:open():finish()
  end)

  it("ends with that where a script insists on such a port", function()
    local drop = without_right()
    if not drop then return pending "every port is for everybody" end
    local served = kit.serve([[
      assert(ws.listen { host = "127.0.0.1", port = 1 })
      ws.run()
    ]], "-w 2", nil, drop)
    assert.equal(1, served.child:ended(20))
    local errors = served.child:errors()
    assert.equal(1, select(2, errors:gsub("Permission denied", "")), errors)
    t.contains(errors, "ended before it was ready")
  end)

  it("leaves who comes to the others while it has no descriptor", function()
    local path = os.tmpname()
    finally(function() os.remove(path) end)
    local file <close> = assert(io.open(path, "w"))
    file:write 'ulimit -n 1024\nexec "$@"\n'
    file:close()
    local served = kit.serve([[
      local held = {}
      local function take()
        local file = io.open "/dev/null"
        while file do
          held[#held + 1] = file
          file = io.open "/dev/null"
        end
      end
      local function give()
        for _, file in ipairs(held) do file:close() end
        held = {}
      end
      local server = assert(ws.listen { host = "127.0.0.1", port = 0,
        on_message = function(conn, message)
          if message == "take" then take() end
          if message == "give" then give() end
          conn:send(("%d %d %d"):format(ws.worker.id, ws.worker.generation,
            #held))
        end })
      say("port", server.port)
    ]] .. kit.ready .. "run()", "-w 2", nil, "sh " .. path)
    served:await("^worker", 2, 20)
    local client = served:open()
    local id = served:who(client)
    client:send(t.frame("text", "take"))
    assert.is_truthy(client:frame().payload:find "^%d 1 %d%d%d")
    assert.equal(0, served:deal(20, function() return true end)[id])
    local function newcomer()
      local raw = served:open()
      local its = served:who(raw)
      raw:close()
      return its
    end
    t.wait(function() -- it may be held up
      assert.equal(3 - id, newcomer())
      return served.child:errors():find "cannot accept"
    end, "its complaint", 20)
    client:send(t.frame("text", "give"))
    assert.is_truthy(client:frame().payload:find "^%d 1 0$")
    t.wait(function() return newcomer() == id end, "its share", 20)
    local errors = served.child:errors()
    assert.equal(1, select(2, errors:gsub("\n", "")), errors)
    t.contains(errors, ("evws[%d]: cannot accept (Too many open files)")
      :format(id))
  end)

  it("does not listen on one port twice", function()
    local served = kit.serve([[
      local first = assert(ws.listen { host = "127.0.0.1", port = 0 })
      local place = { host = "127.0.0.1", port = first.port }
      say(ws.listen(place))
      first:close()
    ]] .. kit.echo, "-w 2")
    served:await("^nil cannot listen .* Address already in use %d+$", 2)
    served:await("^worker", 2)
  end)

  it("waits 5 seconds for a supervisor, and takes no late answer", function()
    local served = kit.serve([[
      local server = assert(ws.listen { host = "127.0.0.1", port = 0,
        on_message = function(conn, message)
          local place = { port = 0, host = message, on_message = conn.send }
          local other, why = ws.listen(place)
          conn:send(other and other.host .. " " .. other.port or why)
        end })
      say("port", server.port)
      ws.run()
    ]], "-w 1")
    local client = served:open()
    served.child:signal "STOP"
    client:send(t.frame("text", "127.0.0.1"))
    client:expect_frame("text", "cannot listen on 127.0.0.1 port 0: the "
      .. "supervisor does not answer", 20)
    served.child:signal "CONT"
    client:send(t.frame("text", "localhost")) -- the first answer is there, too
    local host, port = client:frame(20).payload:match "^(%S+) (%d+)$"
    assert.equal("localhost", host)
    t.raw(tonumber(port)):close()
    client:send(t.frame("text", "127.0.0.1"))
    assert.is_truthy(client:frame(20).payload:find "^127.0.0.1 %d+$")
  end)

  it("has servers of its own, on ports that are the same in all", function()
    local served = kit.serve([[
      local one = assert(ws.listen { host = "127.0.0.1", port = 0 })
      local two = assert(ws.listen { host = "localhost", port = 0 })
      local own = assert(ws.listen { host = "127.0.0.1", port = 0,
        shared = false })
      say("ports", one.port, two.port)
      say("own", own.port)
    ]] .. kit.echo, "-w 3")
    served:await("^ports", 3)
    local found = {}
    for line in served.child:output():gmatch "[^\n]+" do
      if line:find "^ports" then found[line] = true end
      if line:find "^own" then
        assert.is_nil(found[line])
        found[line] = true
      end
    end
    local n = 0
    for line in pairs(found) do n = n + (line:find "^ports" and 1 or 0) end
    assert.equal(1, n)
  end)

  it("takes a port again that it has closed", function()
    local served = kit.serve([[
      ws.run(function()
        local place = { host = "127.0.0.1", port = 0 }
        local first = assert(ws.listen(place))
        place.port = first.port
        local port = first.port
        first:close()
        first = assert(ws.listen(place))
        say("again", first.port == port)
        first:close()
        ws.stop()
      end)
    ]] .. kit.echo, "-w 2")
    served:await("^again true", 2)
  end)

  it("refuses whoever connects to what all workers have closed", function()
    local path = os.tmpname()
    os.remove(path)
    local served = kit.serve(([[
      local other = assert(ws.listen { unix = %q, on_message = function()
        error "nobody sends"
      end })
      ws.every(0.05, function()
        if other and io.open(%q .. ".go") then
          other:close()
          other = nil
          say("closed")
        end
      end)
    ]]):format(path, path) .. kit.echo, "-w 2")
    served:await("^worker", 2)
    t.open(nil, { unix = path }):close()
    finally(function() os.remove(path .. ".go") end)
    assert(io.open(path .. ".go", "w")):close()
    served:await("^closed", 2)
    t.wait(function()
      local file, _, errno = io.open(path)
      if file then file:close() end
      return errno == 2
    end, "the socket to go")
    served:open():finish()
  end)

  it("keeps a Unix socket for as long as anybody lives", function()
    local path = os.tmpname()
    os.remove(path)
    local script = ([[
      assert(ws.listen { unix = %q, unix_mode = "600",
        on_message = function(conn) conn:send(tostring(pid())) end })
    ]]):format(path) .. kit.echo
    local served = kit.serve(script, "-w 2")
    served:await("^worker", 2)
    local client = t.open(nil, { unix = path })
    served.child:signal "HUP"
    served:await("^worker %d 2", 2)
    client:expect_close(1012)
    client:close()
    served:await("^end", 2)
    t.open(nil, { unix = path }):finish()
    served.child:signal "TERM"
    assert.equal(0, served.child:ended(20))
    assert.is_nil(io.open(path))
  end)

  it("closes what a new script does not listen on", function()
    local path = os.tmpname()
    os.remove(path)
    local served = kit.serve(("assert(ws.listen { unix = %q })"):format(path)
      .. kit.echo, "-w 1")
    served:await "^worker"
    t.open(nil, { unix = path }):close()
    served:write(kit.echo)
    served.child:signal "HUP"
    served:await "^worker 1 2"
    t.wait(function()
      local file, _, errno = io.open(path)
      if file then file:close() end
      return errno == 2
    end, "the socket to go")
  end)

  it("leaves what is not shared alone", function()
    assert.equal("options 'shared' and 'reuse_port' exclude each other",
      require "spec.binding.kit".refused { port = 0, shared = true,
        reuse_port = true })
    assert.equal("options 'shared' and 'fd' exclude each other",
      require "spec.binding.kit".refused { fd = 3, shared = true })
    -- no worker: as ever
    local server = t.listen { shared = true, on_message = t.echo }
    t.bystander(server):finish()
  end)

  -- As systemd passes sockets: from 3 on, to the process that is told so.
  local paths, passing = {}, {}

  after_each(function()
    for _, path in ipairs(paths) do os.remove(path) end
    for _, fd in ipairs(passing) do t.probe.close_fd(fd) end
    paths, passing = {}, {}
  end)

  local function passed(source, ...)
    local path, moved = os.tmpname(), ""
    paths[#paths + 1] = path
    for i, fd in ipairs { ... } do
      moved = ("%s %d<&%d"):format(moved, 2 + i, fd)
    end
    local file <close> = assert(io.open(path, "w"))
    file:write("exec", moved, "\nLISTEN_FDS=", select("#", ...),
      ' LISTEN_PID=$$ exec "$@"\n')
    file:close()
    return kit.serve(source, "-w 2", nil, "bash " .. path)
  end

  local function inherit(addresses)
    local port, fds = nil, {}
    for i, address in ipairs(addresses) do
      local listener <close> = assert(t.probe.listen(address, port))
      port, fds[i] = listener.port, listener:inherit()
      passing[#passing + 1] = fds[i]
    end
    return port, table.unpack(fds)
  end

  local has_bash = os.execute "command -v bash >/dev/null"

  it("gives each address of a port its own of the sockets that were passed",
    function()
      if not has_bash then return pending "no bash" end
      local port, one, two = inherit { "127.0.0.1", "127.0.0.2" }
      local served = passed(([[
        for _, host in ipairs { "127.0.0.1", "127.0.0.2" } do
          assert(ws.listen { host = host, port = %d,
            on_open = function(conn) conn:send(host) end })
        end
        say("again", ws.listen { host = "127.0.0.2", port = %d })
        say("worker", ws.worker.id)
        ws.run()
      ]]):format(port, port), one, two)
      served:await("^worker", 2)
      for _ = 1, 4 do
        for _, host in ipairs { "127.0.0.1", "127.0.0.2" } do
          local raw = t.raw(port, { address = host })
          assert.equal(101, (raw:upgrade()))
          raw:expect_frame("text", host)
        end
      end
      assert.equal(2, served:count "^again nil .*Address already in use")
    end)

  it("gives all sockets of a port to who asks for none of their addresses",
    function()
      if not has_bash then return pending "no bash" end
      local port, one, two = inherit { "127.0.0.1", "127.0.0.2" }
      local served = passed(([[
        assert(ws.listen { port = %d,
          on_open = function(conn) conn:send "here" end })
        say("worker", ws.worker.id)
        ws.run()
      ]]):format(port), one, two)
      served:await("^worker", 2)
      for _, host in ipairs { "127.0.0.1", "127.0.0.2" } do
        local raw = t.raw(port, { address = host })
        assert.equal(101, (raw:upgrade()))
        raw:expect_frame("text", "here")
      end
    end)

end)
