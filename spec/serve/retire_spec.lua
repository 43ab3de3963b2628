-- evws serve: a worker that is replaced answers whatever it has accepted.

local kit = require "spec.serve.kit"
local t = require "spec.helper"

local ws = t.ws

-- "/slow" is opened, and "/page" answered, when the file arg[1] is there.
local script = [[
local function wait()
  say "asked"
  while true do
    local file = io.open(arg[1])
    if file then return file:close() end
    ws.sleep(0.02)
  end
end
local server = assert(ws.listen { host = "127.0.0.1", port = 0, routes = {
  ["/slow"] = { on_upgrade = function() wait() end,
    on_message = function(conn, message) conn:send(message) end },
  ["/"] = { on_message = function(conn)
    conn:send(("%d %d %d"):format(ws.worker.id, ws.worker.generation, pid()))
  end } },
  on_request = function(request)
    if request.path == "/stream" then
      return 200, function(out)
        for i = 1, 3 do
          out:write(i .. "\n")
          if i == 1 then wait() end
        end
      end
    end
    if request.path == "/page" then wait() end
    return 200, "page"
  end })
say("port", server.port)
]] .. kit.ready .. [[
say("end", ws.worker.generation, run())
]]

local gate

local function open_gate()
  local file = assert(io.open(gate, "w"))
  file:close()
end

local function serve(options)
  return kit.serve(script, options or "-w 1", gate)
end

local function reload(served)
  served.child:signal "HUP"
  served:await "^worker 1 2"
end

describe("a worker that is replaced", function()
  before_each(function()
    gate = os.tmpname()
    os.remove(gate)
  end)

  after_each(function()
    kit.cleanup()
    os.remove(gate)
  end)

  local function upgrade_later(client, path, cut)
    local request = ("GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
      .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"):format(path)
    client:send(request:sub(1, cut or -1))
    return cut and request:sub(cut + 1)
  end

  it("opens what on_upgrade still thinks about", function()
    local served = serve()
    local client = t.raw(served:port())
    upgrade_later(client, "/slow")
    served:await "^asked"
    reload(served)
    open_gate()
    assert.equal(101, (client:read_http { head = true, limit = 10 }))
    assert.same({ 1012, "server closed" }, { client:expect_close(1012) })
  end)

  -- Whoever has not asked whole has a second for it from when a new worker is
  -- ready; nil where this process was held up until that was over.
  local function ask_the_rest()
    local served = serve()
    local client = t.raw(served:port())
    local rest = upgrade_later(client, "/", 30)
    t.bystander(t.listen { on_message = t.echo }):check() -- it has arrived
    local other = served:open()
    served:who(other)
    served.child:signal "HUP"
    local before, looked -- the new one is ready
    t.wait(function()
      before, looked = looked, t.probe.now()
      return served:count "^worker 1 2" > 0
    end, "the new worker", 10)
    client:send(rest)
    if t.probe.now() - (before or 0) > 0.8 then return nil end
    return client, other
  end

  it("opens what was not yet asked whole", function()
    local client, other
    for _ = 1, 10 do
      client, other = ask_the_rest()
      if client then break end
      kit.cleanup()
    end
    assert.equal(101, (client:read_http { head = true }))
    client:expect_close(1012)
    other:expect_close(1012)
  end)

  it("answers, and ends the connection", function()
    local served = serve()
    local client, idle = t.raw(served:port()), t.raw(served:port())
    client:send "GET /page HTTP/1.1\r\nHost: x\r\n\r\n"
    served:await "^asked"
    idle:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert.equal(426, (idle:read_http()))
    idle:close()
    idle = t.raw(served:port())
    idle:send "GET /other HTTP/1.1\r\nHost: x\r\n\r\n"
    assert.equal(200, (idle:read_http()))
    reload(served)
    idle:expect_eof()
    open_gate()
    local status, headers, body = client:read_http { limit = 10 }
    assert.same({ 200, "close", "page" }, { status, headers.connection, body })
    client:expect_eof()
  end)

  it("finishes a body that is being written while it lingers", function()
    local served = serve "-w 1 --linger 60"
    local client = t.raw(served:port())
    client:send "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"
    assert.equal(200, (client:read_http { head = true }))
    assert.equal("1\n", client:chunk())
    reload(served)
    open_gate()
    assert.equal("2\n", client:chunk(10))
    assert.equal("3\n", client:chunk(10))
    assert.equal("", client:chunk(10))
    served:await "^end 1 nil interrupted"
  end)

  it("refuses nobody while clients connect without pause", function()
    local served = serve "-w 3"
    served:await("^worker", 3)
    local url = ("ws://127.0.0.1:%d/"):format(served:port())
    local opened, failures, ended, is_over = 0, {}, 0, false
    -- whoever is held up may not ask in the second there is for it
    local beat, late = ws.now(), 0
    local timer <close> = ws.every(0.02, function()
      local now = ws.now()
      if now - beat > 0.5 then late = now end
      beat = now
    end)
    local function was_held_up(since)
      return late >= since or ws.now() - beat > 0.5
    end
    local function connect()
      while not is_over do
        local from = ws.now()
        local conn, why = ws.connect(url, { timeout = 20 })
        if conn then
          opened = opened + 1
          conn:close()
        elseif not was_held_up(from) then
          failures[#failures + 1] = why
        end
      end
      ended = ended + 1
    end
    for _ = 1, 8 do ws.spawn(connect) end
    for generation = 2, 4 do
      served.child:signal "HUP"
      served:await(("^worker %%d %d"):format(generation), 3, 30)
      served:await(("^end %d"):format(generation - 1), 3, 30)
    end
    is_over = true
    t.wait(function() return ended == 8 end, "the clients", 30)
    timer:cancel()
    assert.same({}, failures)
    assert.is_true(opened >= 8, opened) -- each of them, at least once
    assert.equal("", served.child:errors())
  end)

  it("hurries those of an older generation that linger", function()
    local served = serve "-w 1 --linger 60"
    local first = served:open()
    served:who(first)
    reload(served)
    local second = served:open_at(2)
    assert.equal(1, select(2, served:who(first)))
    served.child:signal "HUP"
    served:await "^worker 1 3"
    first:expect_close(1012)
    assert.equal(2, select(2, served:who(second)))
  end)
end)
