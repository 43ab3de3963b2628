-- Peers that are there no more, or read no more: a process that is stopped, a
-- link that is down, and a reader that does not read however much there is.

local t = require "spec.helper"
local kit = require "spec.engine.kit"
local processes = require "spec.binding.kit"

local second = t.factor

-- A client in a process of its own; it answers pings while it runs.
local client = [[
  local c = assert(ws.connect(%q, { keepalive_timeout = 30,
    keepalive_interval = 20 }))
  say "open"
  repeat until not c:receive()]]

local function sh(command)
  return (os.execute("unset LD_PRELOAD; " .. command .. " >/dev/null 2>&1"))
end

-- Names of this run alone: others may run beside it.
local mark = os.tmpname():match "(%w+)$":sub(-6)
local namespace, link = "evws-" .. mark, "evws0" .. mark
local far = "evws1" .. mark
local made = false

local function remove_namespace()
  if not made then return end
  made = false
  sh("ip link del " .. link)
  sh("ip netns del " .. namespace)
end

-- A namespace with a link to here, at 198.18.213.1 (RFC 2544); or why not.
-- What the machine has a way to already, but the default one, is left alone.
local function add_namespace()
  if not sh "command -v ip" then return nil, "there is no command ip" end
  if sh "ip route show match 198.18.213.1 | grep -v ^default | grep -q ." then
    return nil, "198.18.213.1 is in use here"
  end
  made = true
  for _, command in ipairs {
    "ip netns add " .. namespace,
    ("ip link add %s type veth peer name %s netns %s"):format(link, far,
      namespace),
    ("ip addr add 198.18.213.1/30 dev %s"):format(link),
    ("ip link set %s up"):format(link),
    ("ip -n %s addr add 198.18.213.2/30 dev %s"):format(namespace, far),
    ("ip -n %s link set %s up"):format(namespace, far),
  } do
    if not sh(command) then
      remove_namespace()
      return nil, "not permitted or not there: " .. command
    end
  end
  return true
end

describe("a peer that vanishes", function()
  after_each(function()
    processes.cleanup()
    t.cleanup()
    remove_namespace()
  end)

  local patience = { keepalive_interval = 0.15 * second,
    keepalive_timeout = 0.6 * second }

  it("as a process that is stopped is cut at keepalive_timeout", function()
    local server, log = kit.serve(patience)
    local source = client:format("ws://127.0.0.1:" .. server.port)
    local stopped, running = processes.run(source), processes.run(source)
    t.wait(function() return #log.conns == 2 end)
    stopped:wait "^open"
    running:wait "^open"
    local began = t.probe.now()
    stopped:signal "STOP"
    assert.same({ 1006, "keepalive timeout" }, { kit.closed(log) })
    assert.is_true(t.probe.now() - began >= 0.4 * second)
    kit.during(0.7 * second) -- whoever answers stays
    assert.equal(1, #log.closed)
    assert.equal(1, server.connections)
    stopped:signal "CONT"
  end)

  it("behind a link that is down is cut at keepalive_timeout", function()
    local ok, why = add_namespace()
    if not ok then return pending(why) end
    local own = { host = "198.18.213.1", origins = "same" }
    for name, value in pairs(patience) do own[name] = value end
    local server, log = kit.serve(own)
    local source = os.tmpname()
    local file = assert(io.open(source, "w"))
    file:write("local ws, say = require 'evws', print\n",
      client:format("ws://198.18.213.1:" .. server.port))
    file:close()
    local child = processes.run(("os.execute 'ip netns exec %s %s %s'"):format(
      namespace, os.getenv "LUA" or "lua5.4", source))
    t.wait(function() return #log.conns == 1 or child:ended(0) end)
    assert(#log.conns == 1, child:errors())
    local conn = log.conns[1]
    kit.during(0.7 * second) -- the link is up: it lives
    assert.equal("open", conn.state)
    assert(sh("ip link set " .. link .. " down"))
    local code, reason = kit.closed(log)
    assert.same({ 1006, "keepalive timeout" }, { code, reason })
    assert.equal(1, #log.closed)
    sh(("ip netns pids %s | xargs -r kill"):format(namespace))
    os.remove(source)
  end)
end)

describe("a peer that reads no more", function()
  after_each(t.cleanup)

  it("costs max_queued at most, however much is offered (256 MiB)",
    function()
      local limit, piece = 8 << 20, ("x"):rep(64 << 10)
      local server, log = kit.serve { max_queued = limit,
        stall_timeout = false, on_message = function(conn, message)
          conn:send(message)
        end }
      local stuck = t.open(server, { rcvbuf = 4096 })
      t.wait(function() return log.conns[1] end)
      local other = t.bystander(server)
      local conn, taken, refused = log.conns[1], 0, 0
      collectgarbage()
      local before = t.probe.rss()
      for i = 1, 4096 do
        local ok, why = conn:send(piece)
        if ok then
          taken = taken + 1
        else
          assert.equal("queue full", why)
          refused = refused + 1
        end
        if i % 256 == 0 then
          assert.is_true(conn.buffered <= limit)
          other:check()
        end
      end
      assert.equal(4096, taken + refused)
      assert.is_true(taken >= limit // #piece and refused > 3000)
      local is_sanitized = require("evws.core").fail_at ~= nil
      collectgarbage()
      assert.is_true(is_sanitized
        or t.probe.rss() - before <= limit * 1.1 + (1 << 20))
      for _ = 1, taken do -- and what was taken arrives
        assert.equal(#piece, #stuck:frame().payload)
      end
      stuck:expect_silence()
      t.wait(function() return conn.buffered == 0 end)
    end)
end)
