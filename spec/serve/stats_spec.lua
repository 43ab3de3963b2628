-- evws serve: what is counted in all workers, and who leads them.

local kit = require "spec.serve.kit"
local redis = require "spec.helper.redis"
local t = require "spec.helper"

local script = [[
local server
local function sums()
  local all, own = server:stats { all = true }, server:stats()
  return ("%d %d %d %d"):format(all.opened, all.open, all.messages_in,
    own.open)
end
server = assert(ws.listen { host = "127.0.0.1", port = 0,
  on_request = function(request)
    if request.path == "/metrics" then return 200, server:metrics() end
    return 200, sums()
  end,
  on_message = function(conn, message)
    if message == "sums" then return conn:send(sums()) end
    conn:send(("%d %d %d"):format(ws.worker.id, ws.worker.generation, pid()))
  end })
say("port", server.port)
]] .. kit.ready .. [[
local led
ws.every(0.02, function()
  local leads = ws.worker.is_leader
  if leads ~= led then
    say("leads", ws.worker.id, ws.worker.generation, leads)
  end
  led = leads
end)
run()
]]

local function get(served, path)
  local raw = t.raw(served:port())
  raw:send("GET " .. path .. " HTTP/1.1\r\nHost: x\r\n\r\n")
  local status, _, body = raw:read_http()
  assert.equal(200, status)
  raw:close()
  return body
end

-- What a worker knows of the others may be a second old.
local function await(served, path, pattern)
  local said
  t.wait(function()
    said = get(served, path)
    return said:find(pattern)
  end, pattern, 10)
  return said
end

local function await_stats(served, pattern)
  return await(served, "/", pattern)
end

describe("what workers count", function()
  after_each(kit.cleanup)

  it("is summed, whichever is asked, those that have ended too", function()
    local served = kit.serve(script, "-w 3")
    served:await("^worker", 3)
    local n, pid, other = 0, nil, nil
    repeat
      local client = served:open()
      local id, _, p = served:who(client)
      n = n + 1
      if id == 2 then pid = p else other = client end
    until pid and other and n >= 12
    local all = ("^%d %d %d "):format(n, n, n)
    for _ = 1, 4 do await_stats(served, all) end -- several
    -- Until another one knows it, too, what worker 2 counts goes with it.
    local n_in = n
    t.wait(function()
      other:send(t.frame("text", "sums"))
      n_in = n_in + 1
      return other:frame().payload:find(("^%d %d %d "):format(n, n, n_in))
    end, "what worker 2 has counted", 10)
    local text = await(served, "/metrics",
      ("\nevws_connections %d\n"):format(n))
    t.contains(text, "\nevws_workers 3\n")
    t.contains(text, "\nevws_worker_restarts_total 0\n")
    local _, lines = text:gsub('evws_worker_connections{worker="%d"}', "")
    assert.equal(3, lines)
    kit.kill(pid)
    served:await("^worker 2", 2)
    await_stats(served, ("^%d %%d+ %d "):format(n, n_in))
    t.contains(get(served, "/metrics"), "\nevws_worker_restarts_total 1\n")
  end)

  it("stays with the sum when all are replaced", function()
    local served = kit.serve(script, "-w 2")
    served:await("^worker", 2)
    for _ = 1, 5 do
      local client = served:open()
      served:who(client)
      client:finish()
    end
    await_stats(served, "^5 0 5 ")
    served.child:signal "HUP"
    served:await("^worker %d 2", 2)
    await_stats(served, "^5 0 5 ")
  end)

  it("is summed of the backplane, too", function()
    if not redis.is_there() then
      return pending "needs hiredis and redis-server"
    end
    local served = kit.serve([[
      local server
      server = assert(ws.listen { host = "127.0.0.1", port = 0,
        on_request = function(request)
          if request.path == "/metrics" then return 200, server:metrics() end
          local all = server:stats { all = true }.backplane
          return 200, ("%s %d"):format(all.up, all.published)
        end,
        on_message = function(conn)
          conn:publish("news", "one more")
          conn:send(("%d %d %d"):format(ws.worker.id, ws.worker.generation,
            pid()))
        end })
      say("port", server.port)
    ]] .. kit.ready .. "run()", "-w 2 --redis spawn")
    served:await("^worker", 2)
    local n, ids = 0, {}
    repeat
      ids[served:who(served:open())] = true
      n = n + 1
    until ids[1] and ids[2] and n >= 5
    local line = ("\nevws_backplane_published_total %d\n"):format(n)
    for _ = 1, 4 do -- several
      t.contains(await(served, "/metrics", line), "\nevws_backplane_up 1\n")
      await_stats(served, ("^true %d$"):format(n))
    end
    served.child:signal "HUP"
    served:await("^worker %d 2", 2)
    await(served, "/metrics", line)
  end)

  it("is of this process where there is no supervisor", function()
    local server = t.listen {}
    assert.same(server:stats().opened, server:stats { all = true }.opened)
    assert.is_nil(server:metrics():find("evws_worker", 1, true))
    local kit_of_binding = require "spec.binding.kit"
    assert.equal("unknown option 'al' for 'stats' (did you mean 'all'?)",
      kit_of_binding.refusal(function() server:stats { al = true } end))
  end)
end)

describe("ws.worker", function()
  after_each(kit.cleanup)

  it("is the first of one without a supervisor", function()
    local worker = {}
    for key, value in pairs(t.ws.worker) do worker[key] = value end
    assert.same({ id = 1, count = 1, generation = 1, supervised = false,
      is_leader = true }, worker)
    assert.is_nil(t.ws.worker.is_leade)
    assert.equal("cannot set 'id' of ws.worker",
      require "spec.binding.kit".refusal(function() t.ws.worker.id = 2 end))
  end)

  it("has one leader, and another when that one is gone", function()
    local served = kit.serve(script, "-w 3")
    served:await("^leads 1 1 true")
    served:await("^leads 2 1 false")
    served:await("^leads 3 1 false")
    local pid
    repeat
      local id, _, p = served:who(served:open())
      if id == 1 then pid = p end
    until pid
    kit.kill(pid, "STOP") -- still the leader: nobody knows better
    kit.kill(pid, "KILL")
    served:await("^leads 1 1 true", 2) -- the one that was started again
    assert.equal(0, served:count "^leads 3 1 true")
  end)

  it("leads by its newest process while it is replaced", function()
    local served = kit.serve(script, "-w 2 --linger 30")
    served:await "^leads 1 1 true"
    local client = served:open() -- for which the old ones stay
    served:who(client)
    served.child:signal "HUP"
    served:await "^leads 1 2 true"
    served:await("^worker 2 2")
  end)

  it("has the variables of its supervisor, but for those of evws and systemd",
    function()
      local served = kit.serve([[
        say("variables", os.getenv "LISTEN_PORT", os.getenv "EVWS_ROOM",
          os.getenv "LISTEN_FDS", os.getenv "EVWS_SECRET")
      ]] .. script, "-w 1", nil,
        "LISTEN_PORT=80 EVWS_ROOM=a LISTEN_FDS=1 EVWS_SECRET=b")
      served:await "^variables 80 a nil nil$"
    end)

  it("is not what a child of a worker is, whatever it inherits", function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write [[
      local ws = require "evws"
      print(ws.worker.supervised, os.getenv "EVWS_CONTROL")]]
    file:close()
    local served = kit.serve(([[
      local pipe = io.popen((arg[-1] or "lua5.4") .. " %s")
      say("child", pipe:read "a")
    ]]):format(path) .. script, "-w 1")
    served.child:wait "^child false%s+nil"
    os.remove(path)
  end)
end)
