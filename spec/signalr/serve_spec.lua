-- Hubs in the workers of a supervisor: whichever of them a request meets, it is
-- answered by the one that has the session. Connections stay open, so that the
-- next one comes to another worker.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local cjson = require "cjson"
local redis = require "spec.helper.redis"
local serve = require "spec.serve.kit"
local t = require "spec.helper"
local frame = t.frame

local script = [[
local signalr = require "evws.signalr"
local hub = signalr.hub { keepalive_interval = false,
  disconnect_timeout = 60,
  stateful_reconnect = true, user_id = function(request)
  return ws.parse_query(request.query).user
end, methods = { Who = function(ctx)
  return { worker = ws.worker.id, id = ctx.id, user = ctx.user or signalr.null }
end, Echo = function(ctx, x) return x end,
Join = function(ctx, group) return ctx:join(group) end,
Tell = function(ctx, group, text)
  ctx.clients:others_in_group(group):send("Told", text)
end,
Ask = function(ctx, id) return ctx.clients:client(id):within(9):invoke "Q" end,
Cut = function(ctx) ctx:close { allow_reconnect = true } end } }
local server
server = assert(ws.listen { host = "127.0.0.1", port = 0,
  routes = hub:routes "/hub", on_request = function(request)
    if request.path == "/metrics" then
      return 200, ws.worker.id .. "\n" .. server:metrics()
    end
  end })
say("port", server.port)
say("worker", ws.worker.id, pid())
ws.run()
say "end"
]]

local shake = '{"protocol":"json","version":1}\30'
local WORKERS = 3

describe("a hub in several workers", function()
  after_each(serve.cleanup)

  local served, port

  local function start(options, workers)
    served = serve.serve(script, ("--workers %d%s"):format(workers or WORKERS,
      options or ""))
    served:await("^worker ", workers or WORKERS)
    port = served:port()
  end

  -- By a connection of its own.
  local function send(method, path, body, fields)
    local raw = t.raw(port)
    raw:send(("%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n"
      .. "\r\n%s"):format(method, path, fields or "", #(body or ""), body
      or ""))
    return raw
  end

  local function ask(...)
    local status, _, body = send(...):read_http()
    return status, body
  end

  local function negotiate(query)
    local status, body = ask("POST", "/hub/negotiate?negotiateVersion=1"
      .. (query or ""))
    assert.equal(200, status)
    body = cjson.decode(body)
    return "/hub?id=" .. body.connectionToken, body.connectionId
  end

  local call = '{"type":1,"invocationId":"1","target":"%s","arguments":[]}\30'

  local function result(record)
    return cjson.decode(record:match "^[^{]*(.-)\30").result
  end

  -- The next record but for the Acks, which come by the clock.
  local function said(raw)
    local record
    repeat record = raw:frame().payload until not record:find('"type":8', 1,
      true)
    return record
  end

  -- A WebSocket, and what Who says of it.
  local function open(path, query)
    local raw = t.raw(port)
    assert.equal(101, (raw:upgrade { path = path .. query }))
    raw:send(frame("text", shake)):expect_frame("text", "{}\30")
    raw:send(frame("text", call:format "Who"))
    return raw, result(raw:frame().payload)
  end

  it("accepts a WebSocket that another has negotiated", function()
    start()
    local elsewhere = 0
    for i = 1, 600 do -- one of them may be held up
      local path, id = negotiate("&user=u" .. i)
      assert.equal(403, (t.raw(port):upgrade { path = path }))
      local _, who = open(path, "&user=u" .. i)
      assert.same({ id, "u" .. i }, { who.id, who.user })
      local serial = tonumber(path:match "%.(%d+)%-")
      if serial ~= who.worker then elsewhere = elsewhere + 1 end
      if elsewhere == WORKERS then break end
    end
    assert.equal(WORKERS, elsewhere)
  end)

  -- Of a worker other than this one: what it knows of the others may be a
  -- second old.
  local function await_page(id, line)
    local page
    t.wait(function()
      local _, body = ask("GET", "/metrics")
      page = body
      return body:match "^%d+" ~= id
        and body:find("\n" .. line .. "\n", 1, true)
    end, line, 30)
    return page
  end

  it("is counted in all of them, those that have ended too", function()
    start()
    local all = 2 * WORKERS
    local calls = 'evws_hub_calls_total{hub="/hub"} ' .. all
    local sessions = 'evws_hub_sessions{hub="/hub",transport="WebSockets"} '
    local id
    for _ = 1, all do
      local _, who = open((negotiate()), "")
      id = ("%d"):format(who.worker)
    end
    await_page(id, calls)
    await_page(id, sessions .. all)
    serve.kill(served.child:output():match("worker " .. id .. " (%d+)"))
    served:await("^worker " .. id, 2)
    local page = await_page(id, calls)
    t.contains(page, "evws_worker_restarts_total 1\n")
    assert.is_true(tonumber(page:match(sessions .. "(%d+)")) < all)
  end)

  it("is polled by whichever of them", function()
    start()
    local workers = {}
    for i = 1, 2 * WORKERS do
      local path, id = negotiate()
      assert.equal(200, (ask("GET", path)))
      assert.equal(200, (ask("POST", path, shake)))
      assert.same({ 200, "{}\30" }, { ask("GET", path) })
      local poll = send("GET", path)
      assert.equal(200, (ask("POST", path, call:format "Who")))
      local status, _, body = poll:read_http()
      assert.equal(200, status)
      local who = result(body)
      assert.equal(id, who.id)
      workers[who.worker] = true
      -- a body of any length, and more than one request in a connection
      local long = ("x"):rep(30000)
      local raw = send("POST", path, ('{"type":1,"invocationId":"%d","target":'
        .. '"Echo","arguments":["%s"]}\30'):format(i, long))
      assert.equal(200, (raw:read_http()))
      raw:send(("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(path))
      local _, _, answer = raw:read_http()
      assert.equal(long, result(answer))
      assert.equal(202, (ask("DELETE", path)))
      assert.equal(404, (ask("GET", path)))
    end
    assert.is_true(next(workers) ~= nil)
  end)

  it("sends events from the one that has the session", function()
    start()
    for _ = 1, 2 * WORKERS do
      local path, id = negotiate()
      local events = send("GET", path, nil, "Accept: text/event-stream\r\n")
      assert.equal(200, (events:read_http { head = true }))
      assert.equal(":\r\n\r\n", events:chunk())
      assert.equal(200, (ask("POST", path, shake)))
      assert.equal("data: {}\30\r\n\r\n", events:chunk())
      assert.equal(200, (ask("POST", path, call:format "Who")))
      assert.equal(id, result(events:chunk()).id)
    end
  end)

  it("lets a stateful client come back to it", function()
    start()
    for _ = 1, WORKERS do
      local path, id = negotiate "&useStatefulReconnect=true"
      local first
      for round = 1, 3 do
        local raw = t.raw(port)
        assert.equal(101, (raw:upgrade { path = path }))
        if round == 1 then
          raw:send(frame("text", '{"protocol":"json","version":2}\30'))
          raw:expect_frame("text", "{}\30")
        else
          raw:send(frame("text", '{"type":9,"sequenceId":' .. round .. "}\30"))
          raw:expect_frame("text", '{"type":9,"sequenceId":1}\30')
          for _ = 1, round - 1 do said(raw) end -- not acknowledged
        end
        raw:send(frame("text", call:format "Who"))
        local who = result(said(raw))
        first = first or who
        assert.equal(id, who.id)
        assert.same(first, who)
        raw:reset()
      end
    end
  end)

  it("tells groups in all of them, and asks clients anywhere", function()
    if not redis.is_there() then
      return pending "there is no redis-server, or no hiredis"
    end
    start " --redis spawn"
    local raws, ids = {}, {}
    for _ = 1, 600 do
      local raw, who = open("/hub", "?user=u")
      if not raws[who.worker] then
        raws[who.worker], ids[who.worker] = raw, who.id
        raw:send(frame("text", '{"type":1,"invocationId":"2","target":"Join",'
          .. '"arguments":["g"]}\30'))
        raw:expect_frame("text",
          '{"type":3,"invocationId":"2","result":true}\30')
      end
      if #raws == WORKERS then break end
    end
    raws[1]:send(frame("text",
      '{"type":1,"target":"Tell","arguments":["g","x"]}\30'))
    for i = 2, WORKERS do
      raws[i]:expect_frame("text",
        '{"type":1,"target":"Told","arguments":["x"]}\30')
    end
    raws[1]:send(frame("text", ('{"type":1,"invocationId":"3","target":"Ask",'
      .. '"arguments":["%s"]}\30'):format(ids[3])))
    raws[3]:expect_frame("text",
      '{"type":1,"invocationId":"s1","target":"Q","arguments":[]}\30')
    raws[3]:send(frame("text",
      '{"type":3,"invocationId":"s1","result":[1,"a"]}\30'))
    raws[1]:expect_frame("text",
      '{"type":3,"invocationId":"3","result":[1,"a"]}\30')
  end)

  it("has no tokens but its own", function()
    start()
    local path = negotiate()
    for i = #"/hub?id=" + 1, #path, 5 do
      local c = path:sub(i, i)
      local other = path:sub(1, i - 1) .. (c == "A" and "B" or "A")
        .. path:sub(i + 1)
      assert.equal(404, (ask("GET", other)), other)
    end
    assert.equal(404, (ask("GET", path .. "A")))
    assert.equal(404, (ask("GET", "/hub?id=....")))
    assert.equal(200, (ask("GET", path)))
  end)

  it("lets its clients go to new ones at a reload", function()
    start " --grace 200"
    local path = negotiate()
    assert.equal(200, (ask("GET", path)))
    assert.equal(200, (ask("POST", path, shake)))
    assert.equal(200, (ask("GET", path)))
    local poll = send("GET", path)
    served.child:signal "HUP"
    -- 5 seconds after its handshake, far sooner than in a poll's time
    local status, _, body = poll:read_http { limit = 30 }
    assert.same({ 200, '{"type":7,"allowReconnect":true}\30' },
      { status, body })
    served:await("^worker ", 2 * WORKERS, 20)
    served:await("^end$", WORKERS, 40) -- whoever goes has no new sessions
    assert.equal(200, (ask("GET", (negotiate()))))
  end)

  it("takes a poll that was negotiated before a reload", function()
    start(" --grace 200", 1)
    local path = negotiate()
    served.child:signal "HUP"
    served:await("^worker ", 2)
    assert.equal(200, (ask("GET", path)))
    assert.equal(200, (ask("POST", path, shake)))
    assert.same({ 200, "{}\30" }, { ask("GET", path) })
    -- nobody else is waited for: it goes, 5 seconds later, and says so
    local status, _, body = send("GET", path):read_http { limit = 20 }
    assert.same({ 200, '{"type":7,"allowReconnect":true}\30' },
      { status, body })
    served:await("^end$", 1, 40)
  end)

  it("takes an event stream that was negotiated before a reload", function()
    start(" --grace 200", 1)
    local path = negotiate()
    served.child:signal "HUP"
    served:await("^worker ", 2)
    local events = send("GET", path, nil, "Accept: text/event-stream\r\n")
    assert.equal(200, (events:read_http { head = true }))
    assert.equal(":\r\n\r\n", events:chunk())
    assert.equal(200, (ask("POST", path, shake)))
    assert.equal("data: {}\30\r\n\r\n", events:chunk())
    assert.equal('data: {"type":7,"allowReconnect":true}\30\r\n\r\n',
      events:chunk(20))
    served:await("^end$", 1, 40)
  end)

  it("has nothing of one that has died", function()
    start()
    -- serials are the ids while nobody has been started again
    local path = negotiate()
    local serial = path:match "%.(%d+)%-"
    serve.kill(served.child:output():match("worker " .. serial .. " (%d+)"))
    served:await("^worker ", WORKERS + 1)
    assert.equal(404, (ask("GET", path)))
    assert.equal(404, (ask("POST", path, shake)))
    assert.equal(200, (ask("GET", (negotiate()))))
  end)
end)
