-- front.lua, cors.lua, websockets.lua, events.lua, polling.lua over sockets:
-- what is answered to whom (rows SR-n), and the three transports as bytes.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local cjson = require "cjson"
local kit = require "spec.signalr.kit"
local signalr = require "evws.signalr"
local t = require "spec.helper"
local ws = t.ws
local frame = t.frame

local shake = '{"protocol":"json","version":1}\30'

local function http(method, path, fields, body)
  local lines = { ("%s %s HTTP/1.1\r\nHost: localhost\r\n"):format(method,
    path) }
  for name, value in pairs(fields or {}) do
    lines[#lines + 1] = ("%s: %s\r\n"):format(name, value)
  end
  if body or method == "POST" then
    lines[#lines + 1] = ("Content-Length: %d\r\n"):format(#(body or ""))
  end
  return table.concat(lines) .. "\r\n" .. (body or "")
end

describe("a hub's path", function()
  local hubs = {}

  local function serve(options, listen)
    -- no pings between what is expected, however long it takes
    local own = { on_error = function() end, keepalive_interval = false,
      user_id = function(request)
        return ws.parse_query(request.query).user
      end, methods = { Echo = function(ctx, x) return x end,
        End = function(ctx) ctx:close() end } }
    for name, value in pairs(options or {}) do own[name] = value end
    local hub = signalr.hub(own)
    hubs[#hubs + 1] = hub
    local more = { routes = hub:routes "/hub" }
    for name, value in pairs(listen or {}) do more[name] = value end
    return t.listen(more), hub
  end

  after_each(function()
    kit.end_hubs(hubs)
    hubs = {}
    t.cleanup()
  end)

  local function ask(server, ...)
    local raw = t.raw(server)
    raw:send(http(...))
    local status, headers, body = raw:read_http()
    raw:close()
    return status, body, headers
  end

  local function status(...) return (ask(...)) end

  local function negotiated(server, query, fields)
    local code, body = ask(server, "POST", "/hub/negotiate?negotiateVersion=1"
      .. (query or ""), fields)
    assert.equal(200, code)
    return cjson.decode(body)
  end

  local function upgraded(server, query)
    local raw = t.raw(server)
    return raw:upgrade { path = "/hub" .. (query or "") }, raw
  end

  local function get_ready(raw)
    raw:send(frame("text", shake)):expect_frame("text", "{}\30")
    return raw
  end

  it("SR-28 is negotiated by POST", function()
    local server, hub = serve { minimum_version = 1 }
    assert.equal(405, (status(server, "GET", "/hub/negotiate")))
    assert.equal(405, (status(server, "DELETE", "/hub/negotiate")))
    for query, field in pairs { [""] = "error", ["?negotiateVersion=0"] =
      "error", ["?negotiateVersion=abc"] = "error",
      ["?NEGOTIATEVERSION=1"] = "connectionToken",
      ["?negotiateVersion=7&x"] = "connectionToken" } do
      local code, body, headers = ask(server, "POST", "/hub/negotiate"
        .. query)
      assert.equal(200, code)
      assert.equal("application/json", headers["content-type"])
      assert.is_string(cjson.decode(body)[field], query)
    end
    assert.equal(2, hub.n_sessions)
    local old = cjson.decode((select(2, ask(serve(), "POST",
      "/hub/negotiate"))))
    assert.equal(0, old.negotiateVersion)
    assert.is_nil(old.connectionToken)
  end)

  it("SR-29 has room for so many negotiations, then 503", function()
    local server, hub = serve()
    for _ = 1, 8192 do hub:session() end
    assert.equal(503, (status(server, "POST", "/hub/negotiate")))
    server, hub = serve { max_negotiated = 2 }
    local first = negotiated(server)
    negotiated(server)
    assert.equal(503, (status(server, "POST", "/hub/negotiate")))
    assert.equal(2, hub.n_sessions)
    local code, raw = upgraded(server, "?id=" .. first.connectionToken)
    assert.equal(101, code)
    negotiated(server)
    raw:close()
  end)

  it("SR-30, SR-32 wants the token of a session", function()
    local server = serve()
    local one = negotiated(server)
    for _, method in ipairs { "GET", "POST", "DELETE" } do
      assert.equal(400, status(server, method, "/hub"))
      assert.equal(400, status(server, method, "/hub?id="))
      assert.equal(404, status(server, method, "/hub?id=unknown"))
      assert.equal(404, status(server, method, "/hub?id="
        .. one.connectionId))
    end
    assert.equal(405, status(server, "PUT", "/hub?id=x"))
    assert.equal(405, status(server, "OPTIONS", "/hub"))
    assert.equal(404, (upgraded(server, "?id=unknown")))
    assert.equal(404, (upgraded(server, "/negotiate")))
    assert.equal(101, (upgraded(server, "?id=" .. one.connectionToken)))
  end)

  it("SR-31 keeps users and hubs apart", function()
    local server = serve()
    local one = negotiated(server, "&user=ann")
    local id = "?id=" .. one.connectionToken
    assert.equal(403, (upgraded(server, id)))
    assert.equal(403, (upgraded(server, id .. "&user=bob")))
    assert.equal(403, status(server, "GET", "/hub" .. id .. "&user=bob"))
    assert.equal(404, (upgraded(serve(), id .. "&user=ann")))
    assert.equal(101, (upgraded(server, id .. "&user=ann")))
  end)

  it("SR-33, SR-34 has one transport for a session", function()
    local server = serve()
    local id = "?id=" .. negotiated(server).connectionToken
    local code, raw = upgraded(server, id)
    assert.equal(101, code)
    assert.equal(409, (upgraded(server, id)))
    get_ready(raw)
    assert.equal(409, (upgraded(server, id)))
    assert.equal(400, status(server, "GET", "/hub" .. id))
    assert.equal(400, status(server, "GET", "/hub" .. id,
      { Accept = "text/event-stream" }))
    assert.equal(405, status(server, "POST", "/hub" .. id, nil, shake))
    assert.equal(400, status(server, "DELETE", "/hub" .. id))

    id = "?id=" .. negotiated(server).connectionToken
    assert.equal(200, status(server, "GET", "/hub" .. id))
    assert.equal(400, (upgraded(server, id)))
    assert.equal(400, status(server, "GET", "/hub" .. id,
      { Accept = "text/event-stream" }))

    id = "?id=" .. negotiated(server).connectionToken
    local events = t.raw(server)
    events:send(http("GET", "/hub" .. id, { Accept = "text/event-stream" }))
    events:read_http { head = true }
    assert.equal(":\r\n\r\n", events:chunk())
    assert.equal(409, status(server, "GET", "/hub" .. id,
      { Accept = "text/event-stream" }))
    assert.equal(400, status(server, "GET", "/hub" .. id))
    assert.equal(400, status(server, "DELETE", "/hub" .. id))
  end)

  it("SR-33 lets a newer WebSocket take the place of a stateful one",
    function()
      local ended = 0
      local server, hub = serve { stateful_reconnect = true,
        on_disconnected = function() ended = ended + 1 end }
      assert.is_nil(negotiated(server).useStatefulReconnect)
      local one = negotiated(server, "&useStatefulReconnect=true")
      assert.is_true(one.useStatefulReconnect)
      hub:rest() -- no Ack of the clock's between
      local id = "?id=" .. one.connectionToken
      local called = '{"type":1,"invocationId":"%s","target":"Echo",'
        .. '"arguments":[1]}\30'
      local answer = '{"type":3,"invocationId":"%s","result":1}\30'
      local _, old = upgraded(server, id)
      old:send(frame("text", '{"protocol":"json","version":2}\30'))
      old:expect_frame("text", "{}\30")
      old:send(frame("text", called:format "a"))
      old:expect_frame("text", answer:format "a")
      local code, new = upgraded(server, id) -- the old one looks alive
      assert.equal(101, code)
      new:expect_frame("text", '{"type":9,"sequenceId":1}\30')
      new:expect_frame("text", answer:format "a") -- not acknowledged
      new:send(frame("text", '{"type":9,"sequenceId":2}\30'))
      new:send(frame("text", called:format "b"))
      new:expect_frame("text", answer:format "b")
      local last, why = old:frame()
      assert.is_nil(last)
      assert.is_string(why)
      assert.equal(0, ended)
      new:send(frame("close", "\3\232")):expect_close(1000)
      t.wait(function() return ended == 1 end)
      assert.equal(404, (upgraded(server, id)))
    end)

  it("SR-35 offers the transports that it is told to", function()
    local server = serve { transports = { "ServerSentEvents" } }
    local one = negotiated(server)
    assert.same({ { transport = "ServerSentEvents",
      transferFormats = { "Text" } } }, one.availableTransports)
    assert.equal(404, (upgraded(server, "?id=" .. one.connectionToken)))
    assert.equal(404, (upgraded(server)))
    assert.equal(404, status(server, "GET", "/hub?id="
      .. one.connectionToken))
  end)

  it("SR-5, SR-6 takes bytes in frames of either kind", function()
    local server = serve()
    local _, raw = upgraded(server)
    raw:send(frame("binary", shake:sub(1, 9)))
    raw:send(frame("text", shake:sub(10)))
    raw:expect_frame("text", "{}\30")
    raw:send(frame("binary", '{"type":1,"invocationId":"1","target":"echo",'))
    raw:send(frame("text", '"arguments":["\u{E4}"]}\30'))
    raw:expect_frame("text",
      '{"type":3,"invocationId":"1","result":"\u{E4}"}\30')
    raw:send(frame("text", "\255"))
    raw:expect_close(1007)
    _, raw = upgraded(server)
    get_ready(raw)
    raw:send(frame("binary", '{"type":6,"x":"\255"}\30'))
    raw:expect_frame("text", '{"type":7,"error":"Connection closed with an '
      .. 'error.","allowReconnect":true}\30')
    raw:expect_close(1000)
  end)

  it("speaks MessagePack in binary frames, behind a handshake of text",
    function()
      local server, hub = serve()
      local _, raw = upgraded(server)
      raw:send(frame("text", '{"protocol":"messagepack","version":1}\30'))
      raw:expect_frame("text", "{}\30")
      local call = "\x0c\x95\1\x80\xa1" .. "1\xa4Echo\x91\7"
      local answer = "\7\x95\3\x80\xa1" .. "1\3\7"
      raw:send(frame("binary", call)):expect_frame("binary", answer)
      raw:send(frame("binary", call .. call:sub(1, 5)))
      raw:expect_frame("binary", answer)
      raw:send(frame("binary", call:sub(6))):expect_frame("binary", answer)
      assert.equal(1, hub.clients.all:send "A")
      raw:expect_frame("binary", "\8\x96\1\x80\xc0\xa1" .. "A\x90\x90")
    end)

  -- ---- long polling ----

  local function polling(server)
    local id = "/hub?id=" .. negotiated(server).connectionToken
    local raw = t.raw(server)
    local self = { raw = raw, id = id }
    function self.poll()
      raw:send(http("GET", id .. "&_=1"))
      return function()
        local code, headers, body = raw:read_http()
        assert.equal("no-cache, no-store", headers["cache-control"])
        return code, body
      end
    end
    function self.post(bytes) return status(server, "POST", id, nil, bytes) end
    return self
  end

  it("is polled: at first at once, then when there is something", function()
    local server, hub = serve()
    local p = polling(server)
    assert.same({ 200, "" }, { p.poll()() })
    local answer = p.poll()
    assert.equal(200, p.post(shake))
    assert.same({ 200, "{}\30" }, { answer() })
    hub.clients.all:send "A"
    hub.clients.all:send "B"
    assert.same({ 200, '{"type":1,"target":"A","arguments":[]}\30'
      .. '{"type":1,"target":"B","arguments":[]}\30' }, { p.poll()() })
    assert.equal(200, p.post '{"type":1,"invocationId":"1","target":"Ec')
    assert.equal(200, p.post 'ho","arguments":[7]}\30{"type":6}\30')
    assert.same({ 200, '{"type":3,"invocationId":"1","result":7}\30' },
      { p.poll()() })
    answer = p.poll()
    for _ = 1, 3 do t.turn() end
    assert.equal(202, status(server, "DELETE", p.id))
    assert.equal(204, (answer()))
    assert.equal(404, status(server, "GET", p.id))
    assert.equal(404, p.post "x")
    assert.equal(0, hub.n_sessions)
  end)

  it("SR-48 is over when more waits for its polls than max_queued", function()
    local why
    local server, hub = serve { max_queued = 1000,
      on_disconnected = function(_, text) why = text end }
    local p = polling(server)
    p.poll()()
    p.post(shake)
    assert.same({ 200, "{}\30" }, { p.poll()() })
    local text = ("x"):rep(400)
    local record = ('{"type":1,"target":"T","arguments":["%s"]}\30')
      :format(text)
    assert.equal(1, hub.clients.all:send("T", text))
    assert.equal(1, hub.clients.all:send("T", text))
    assert.equal(0, hub.clients.all:send("T", text))
    assert.equal(0, hub.n_sessions)
    t.wait(function() return why end)
    assert.equal("slow consumer", why)
    -- what had room is there for a last poll, as is the Close, which had too
    assert.same({ 200, record .. record
      .. '{"type":7,"error":"Connection closed with an error.",'
      .. '"allowReconnect":true}\30' }, { p.poll()() })
    assert.equal(204, (p.poll()()))
  end)

  it("takes one record for its polls, however long", function()
    local server, hub = serve { max_queued = 100 }
    local p = polling(server)
    p.poll()()
    p.post(shake)
    p.poll()()
    local text = ("x"):rep(400)
    assert.equal(1, hub.clients.all:send("T", text))
    assert.same({ 200, ('{"type":1,"target":"T","arguments":["%s"]}\30')
      :format(text) }, { p.poll()() })
    assert.equal(1, hub.n_sessions)
  end)

  it("is polled in vain for poll_timeout", function()
    local server = serve { poll_timeout = 0.05 }
    local p = polling(server)
    assert.same({ 200, "" }, { p.poll()() })
    assert.equal(200, p.post(shake))
    assert.same({ 200, "{}\30" }, { p.poll()() })
    assert.same({ 200, "" }, { p.poll()() })
  end)

  it("SR-36 answers a poll with 204 when another takes its place", function()
    local server, hub = serve()
    local p = polling(server)
    p.poll()()
    p.poll()
    local other = t.raw(server)
    for _ = 1, 3 do t.turn() end
    other:send(http("GET", p.id))
    assert.equal(204, (p.raw:read_http()))
    p.post(shake)
    local _, _, body = other:read_http()
    assert.equal("{}\30", body)
    assert.equal(1, hub.n_sessions)
  end)

  it("SR-37 keeps what is said while a poll's client is gone", function()
    local server, hub = serve { disconnect_timeout = 2 }
    local p = polling(server)
    p.poll()()
    p.post(shake)
    p.poll()()
    local poll = p.poll()
    for _ = 1, 3 do t.turn() end
    p.raw:reset()
    for _ = 1, 3 do t.turn() end
    assert.is_function(poll)
    hub.clients.all:send "Kept"
    local _, body = ask(server, "GET", p.id)
    assert.equal('{"type":1,"target":"Kept","arguments":[]}\30', body)
    for _ = 1, 4 do hub:tick() end
    assert.equal(0, hub.n_sessions)
    assert.equal(404, status(server, "GET", p.id))
  end)

  it("SR-38 ends a poll with the Close record, and the next with 204",
    function()
      local server = serve()
      local p = polling(server)
      p.poll()()
      p.post(shake)
      p.poll()()
      local answer = p.poll()
      p.post '{"type":1,"target":"End","arguments":[]}\30'
      assert.same({ 200, '{"type":7}\30' }, { answer() })
      assert.equal(404, p.post "x")
      assert.equal(204, (p.poll()()))
      assert.equal(404, status(server, "GET", p.id))
    end)

  it("SR-39 takes no longer body than the server does", function()
    local server = serve(nil, { max_body = 1000 })
    local p = polling(server)
    p.poll()()
    assert.equal(413, p.post(("x"):rep(1001)))
    assert.equal(200, p.post(shake))
  end)

  -- ---- events ----

  it("is listened to: a comment at once, then events", function()
    local server, hub = serve()
    local told
    local id = "/hub?id=" .. negotiated(server).connectionToken
    local raw = t.raw(server)
    raw:send(http("GET", id, { Accept = "text/event-stream" }))
    local code, headers = raw:read_http { head = true }
    assert.same({ 200, "text/event-stream", "no", "identity",
      "no-cache, no-store" }, { code, headers["content-type"],
      headers["x-accel-buffering"], headers["content-encoding"],
      headers["cache-control"] })
    assert.equal(":\r\n\r\n", raw:chunk())
    assert.equal(200, status(server, "POST", id, nil, shake))
    assert.equal("data: {}\30\r\n\r\n", raw:chunk())
    hub.clients.all:send("A", "line\nend")
    assert.equal('data: {"type":1,"target":"A","arguments":["line\\nend"]}'
      .. "\30\r\n\r\n", raw:chunk())
    for _, one in pairs(hub.by_id) do
      one.ctx:on_closed(function() told = true end)
    end
    raw:close()
    t.wait(function() return told end)
    assert.equal(0, hub.n_sessions)
    assert.equal(404, status(server, "POST", id, nil, "x"))
  end)

  it("tells that binary protocols do not go by events", function()
    local server = serve()
    local id = "/hub?id=" .. negotiated(server).connectionToken
    local raw = t.raw(server)
    raw:send(http("GET", id, { Accept = "text/event-stream" }))
    raw:read_http { head = true }
    raw:chunk()
    status(server, "POST", id, nil,
      '{"protocol":"messagepack","version":1}\30')
    t.contains(raw:chunk(), "does not support 'Binary' transfer format.")
    assert.equal("", raw:chunk())
  end)

  -- ---- who may come ----

  it("SR-47 lets pages of other origins in where it is told to", function()
    local origin = "https://app.example"
    local server, hub = serve { origins = { origin } }
    local code, body, headers = ask(server, "OPTIONS", "/hub/negotiate", {
      Origin = origin, ["Access-Control-Request-Method"] = "POST",
      ["Access-Control-Request-Headers"] = "x-requested-with, x-own" })
    assert.same({ 204, "" }, { code, body })
    assert.same({ origin, "true", "GET, POST, DELETE",
      "x-requested-with, x-own", "600", "Origin" }, {
      headers["access-control-allow-origin"],
      headers["access-control-allow-credentials"],
      headers["access-control-allow-methods"],
      headers["access-control-allow-headers"],
      headers["access-control-max-age"], headers.vary })
    for _, request in ipairs { { "POST", "/hub/negotiate" },
      { "GET", "/hub?id=x" }, { "GET", "/hub" }, { "PUT", "/hub" } } do
      local answered = select(3, ask(server, request[1], request[2],
        { Origin = origin }))
      assert.equal(origin, answered["access-control-allow-origin"])
      assert.equal("true", answered["access-control-allow-credentials"])
    end
    local before = hub.counts.sessions
    for _, request in ipairs { { "POST", "/hub/negotiate" },
      { "GET", "/hub?id=x" }, { "OPTIONS", "/hub",
        { ["Access-Control-Request-Method"] = "GET" } } } do
      local fields = request[3] or {}
      fields.Origin = "https://evil.example"
      local refusal, _, answered = ask(server, request[1], request[2], fields)
      assert.equal(403, refusal)
      assert.is_nil(answered["access-control-allow-origin"])
    end
    assert.equal(before, hub.counts.sessions)
    local raw = t.raw(server)
    assert.equal(403, (raw:upgrade { path = "/hub",
      headers = { Origin = "https://evil.example" } }))
    assert.equal(403, (status(serve(), "POST", "/hub/negotiate",
      { Origin = "https://evil.example" })))
    assert.equal(200, (status(serve(), "POST", "/hub/negotiate",
      { Origin = "http://localhost" })))
  end)

  it("asks authorize before anything else", function()
    local seen = {}
    local server = serve { authorize = function(request)
      seen[#seen + 1] = request.method
      if ws.parse_query(request.query).token ~= "good" then
        return 401, "who?", { ["WWW-Authenticate"] = "Bearer" }
      end
    end }
    local code, body, headers = ask(server, "POST", "/hub/negotiate", {
      Origin = "http://localhost" })
    assert.same({ 401, "who?", "Bearer", "http://localhost" }, { code, body,
      headers["www-authenticate"], headers["access-control-allow-origin"] })
    assert.equal(401, status(server, "GET", "/hub?id=x"))
    assert.equal(401, (upgraded(server)))
    assert.equal(101, (upgraded(server, "?token=good")))
    assert.same({ "POST", "GET", "GET", "GET" }, seen)
  end)

  -- ---- broadcasts, and the end ----

  it("publishes to WebSockets, to all and to all but some", function()
    local server, hub = serve { keepalive_interval = 15, methods = {
      Others = function(ctx)
        return ctx.clients.others:send("Told", ctx.user)
      end,
      Join = function(ctx) return ctx:join "g" end } }
    local raws, session = {}, hub.session
    function hub.session(...)
      local one = session(...)
      hub:rest() -- the spec has the clock
      return one
    end
    for i = 1, 3 do
      raws[i] = get_ready(select(2, upgraded(server, "?user=u" .. i)))
    end
    t.wait(function() return hub:stats().sessions.WebSockets == 3 end)
    raws[1]:send(frame("text",
      '{"type":1,"invocationId":"1","target":"Others","arguments":[]}\30'))
    raws[1]:expect_frame("text",
      '{"type":3,"invocationId":"1","result":2}\30')
    for i = 2, 3 do
      raws[i]:expect_frame("text",
        '{"type":1,"target":"Told","arguments":["u1"]}\30')
    end
    raws[2]:send(frame("text",
      '{"type":1,"invocationId":"1","target":"Join","arguments":[]}\30'))
    raws[2]:expect_frame("text",
      '{"type":3,"invocationId":"1","result":true}\30')
    assert.equal(1, hub.clients:group "g":send("G"))
    raws[2]:expect_frame("text",
      '{"type":1,"target":"G","arguments":[]}\30')
    assert.equal(1, hub.clients:user "u3":send("U"))
    raws[3]:expect_frame("text",
      '{"type":1,"target":"U","arguments":[]}\30')
    for _ = 1, 16 do hub:tick() end
    for i = 1, 3 do raws[i]:expect_frame("text", '{"type":6}\30') end
  end)

  it("says Close with allowReconnect when its server closes", function()
    local why = "not told"
    local server, hub = serve { on_disconnected = function(_, text)
      why = text
    end }
    local raw = get_ready(select(2, upgraded(server)))
    local p = polling(server)
    p.poll()()
    p.post(shake)
    p.poll()()
    local answer = p.poll()
    for _ = 1, 3 do t.turn() end
    local over
    ws.spawn(function() over = server:close { timeout = 8 } end)
    raw:expect_frame("text", '{"type":7,"allowReconnect":true}\30')
    raw:expect_close { 1000, 1001 }
    assert.same({ 200, '{"type":7,"allowReconnect":true}\30' }, { answer() })
    raw:close()
    t.wait(function() return over end)
    assert.equal("the server closes", why)
    assert.equal(0, hub.n_sessions)
  end)

  it("shows its request to on_connected, and keeps it for who has read it",
    function()
      local seen = {}
      local server = serve { on_connected = function(ctx)
        ws.sleep(0)
        seen[#seen + 1] = ctx.request.path .. "?" .. ctx.request.query
      end, methods = { Look = function(ctx) return ctx.request.path end } }
      local raw = get_ready(select(2, upgraded(server, "?a=1")))
      raw:send(frame("text",
        '{"type":1,"invocationId":"1","target":"Look","arguments":[]}\30'))
      raw:expect_frame("text",
        '{"type":3,"invocationId":"1","result":"/hub"}\30')
      local p = polling(server)
      p.poll()()
      p.post(shake)
      p.poll()()
      t.wait(function() return seen[2] end)
      assert.equal("/hub?a=1", seen[1])
      t.contains(seen[2], "/hub?id=")
    end)

  it("goes on with its other servers when one closes", function()
    local first, hub = serve()
    local second = t.listen { routes = hub:routes "/hub" }
    local raw = get_ready(select(2, upgraded(first)))
    t.wait(function() return hub:stats().sessions.WebSockets == 1 end)
    ws.spawn(first.close, first)
    raw:expect_frame("text", '{"type":7,"allowReconnect":true}\30')
    assert.equal(200, (status(second, "POST", "/hub/negotiate")))
    get_ready(select(2, upgraded(second)))
    raw:close()
  end)

  it("is closed by itself, and then takes nobody", function()
    local server, hub = serve()
    local raw = get_ready(select(2, upgraded(server)))
    t.pump(hub.close, hub, { allow_reconnect = false })
    raw:expect_frame("text", '{"type":7}\30')
    assert.equal(503, (upgraded(server)))
    assert.equal(503, status(server, "POST", "/hub/negotiate"))
  end)

  it("keeps nothing running when its server has closed", function()
    local processes = require "spec.binding.kit"
    local child = processes.run [[
      local hub = require "evws.signalr".hub {}
      local server = ws.listen { port = 0, routes = hub:routes "/hub" }
      say("port " .. server.port)
      ws.run()
    ]]
    local port = tonumber((child:wait "port (%d+)"))
    local function request(...)
      local raw = t.raw(port)
      raw:send(http(...))
      return raw
    end
    local function begin()
      local _, _, body = request("POST",
        "/hub/negotiate?negotiateVersion=1"):read_http()
      local id = "/hub?id=" .. cjson.decode(body).connectionToken
      request("GET", id):read_http()
      request("POST", id, nil, shake):read_http()
      request("GET", id):read_http()
      return id
    end
    local poll = request("GET", begin())
    begin() -- and one that is between two polls
    local from = ws.now()
    child:signal "TERM"
    local _, _, body = poll:read_http()
    assert.equal('{"type":7,"allowReconnect":true}\30', body)
    child:ended()
    assert.is_true(ws.now() - from < 5 * t.factor)
    processes.cleanup()
  end)

  it("counts, for people and for Prometheus", function()
    local server, hub = serve { name = 'a"b\\c', streams = {
      Sum = { function(ctx, out, items)
        for item in items:each() do out:send(item) end
      end, uploads = 1 } } }
    local raw = get_ready(select(2, upgraded(server)))
    local sent = #shake
    local function say(bytes)
      sent = sent + #bytes
      raw:send(frame("text", bytes))
    end
    for _ = 1, 3 do
      say '{"type":1,"invocationId":"1","target":"Echo","arguments":[1]}\30'
      raw:expect_frame("text",
        '{"type":3,"invocationId":"1","result":1}\30')
    end
    say '{"type":1,"target":"Nope","arguments":[1]}\30{"type":77}\30'
    t.wait(function() return hub:stats().ignored == 1 end)
    say('{"type":4,"invocationId":"2","target":"Sum",'
      .. '"arguments":[],"streamIds":["u"]}\30{"type":2,"invocationId":"u",'
      .. '"item":1}\30{"type":3,"invocationId":"u"}\30')
    raw:expect_frame("text", '{"type":2,"invocationId":"2","item":1}\30')
    raw:expect_frame("text", '{"type":3,"invocationId":"2"}\30')
    local stats = hub:stats()
    local came, went = stats.bytes_in, stats.bytes_out
    stats.bytes_in, stats.bytes_out = nil, nil
    assert.same({ sessions = { WebSockets = 1, ServerSentEvents = 0,
      LongPolling = 0 }, invocations = 5, errors = 1, records_in = 8,
      records_out = 5, items_in = 1, items_out = 1, ignored = 1 }, stats)
    assert.equal(3 * #'{"type":3,"invocationId":"1","result":1}\30'
      + #'{"type":2,"invocationId":"2","item":1}\30'
      + #'{"type":3,"invocationId":"2"}\30', went)
    assert.equal(sent, came)
    local text = hub:metrics()
    local label = 'hub="a\\"b\\\\c"'
    for name, value in pairs {
      [("sessions{%s,transport=\"WebSockets\"}"):format(label)] = 1,
      [("sessions{%s,transport=\"LongPolling\"}"):format(label)] = 0,
      [("calls_total{%s}"):format(label)] = 5,
      [("errors_total{%s}"):format(label)] = 1,
      [("records_received_total{%s}"):format(label)] = 8,
      [("records_sent_total{%s}"):format(label)] = 5,
      [("items_sent_total{%s}"):format(label)] = 1,
      [("received_bytes_total{%s}"):format(label)] = came,
      [("ignored_total{%s}"):format(label)] = 1 } do
      t.contains(text, ("\nevws_hub_%s %d\n"):format(name, value))
    end
    local page = server:metrics()
    t.contains(page, "\nevws_connections 1\n")
    for line in text:gmatch "[^\n]+" do
      t.contains(page, line .. "\n")
      assert.is_truthy(line:find "^# HELP evws_hub_[%l_]+ .+%.$"
        or line:find "^# TYPE evws_hub_[%l_]+ %l+$"
        or line:find "^evws_hub_[%l_]+{.+} %d+$", line)
    end
  end)

  it("is one of several in the page of its server", function()
    local server = serve { name = "a" }
    local other = signalr.hub { name = "b", methods = {} }
    assert(other:mount(server, "/b"))
    assert(other:mount(server, "/c"))
    local page = server:metrics()
    local _, heads = page:gsub("# TYPE evws_hub_calls_total ", "")
    assert.equal(1, heads)
    local lines = page:match "# TYPE evws_hub_calls_total counter\n(.-)#"
    t.contains(lines, 'evws_hub_calls_total{hub="a"} 0\n')
    t.contains(lines, 'evws_hub_calls_total{hub="b"} 0\n')
  end)

  it("keeps tokens out of what is logged", function()
    local lines = {}
    local log = ws.log
    ws.log = function(level, event, fields)
      local line = { level, event }
      for name, value in pairs(fields or {}) do
        line[#line + 1] = name .. "=" .. tostring(value)
      end
      lines[#lines + 1] = table.concat(line, " ")
    end
    local server = serve { user_id = function(request)
      return ws.parse_query(request.query).access_token
    end, methods = { Fail = function() error "broken" end } }
    local token = "&access_token=s3cret"
    local id = negotiated(server, token).connectionToken
    local _, raw = upgraded(server, "?id=" .. id .. token)
    get_ready(raw)
    raw:send(frame("text",
      '{"type":1,"invocationId":"1","target":"Fail","arguments":[]}\30'))
    raw:frame()
    assert.equal(403, (upgraded(server, "?id=" .. id .. "&access_token=s3c")))
    assert.equal(404, status(server, "GET", "/hub?id=x" .. token))
    raw:finish()
    t.cleanup()
    ws.log = log
    assert.is_true(#lines > 4)
    for _, line in ipairs(lines) do
      assert.is_nil(line:find("s3c", 1, true) or line:find(id, 1, true), line)
    end
  end)

  it("has none of the listener's handlers", function()
    local called = {}
    local listen = {}
    for _, name in ipairs { "on_open", "on_message", "on_ping", "on_pong",
      "on_drain", "on_close" } do
      listen[name] = function() called[#called + 1] = name end
    end
    local server, hub = serve(nil, listen)
    local _, raw = upgraded(server)
    get_ready(raw)
    raw:send(frame("pong", "a") .. frame("ping", "b"))
    raw:expect_frame("pong", "b")
    raw:send(frame("close", "\3\232")):expect_close(1000)
    t.wait(function() return hub.n_sessions == 0 end, "its end")
    assert.same({}, called)
  end)

  it("has the limits that the hub was given", function()
    local given = { max_queued = 5000, close_timeout = 3, stall_timeout = 4,
      message_rate = 50, max_lifetime = 60, compression = true,
      origins = { "https://a.example" }, on_error = function() end }
    local hub = signalr.hub(given)
    local route = hub:routes "/hub"["/hub"]
    for name, value in pairs(given) do
      assert.equal(value, route[name], name)
    end
    local plain = signalr.hub { client_timeout = false, poll_timeout = 20 }
    route = plain:routes "/hub"["/hub"]
    assert.same({ false, false, false, 1024 * 1024, 25, 50, 30 }, {
      route.compression, route.message_rate, route.max_lifetime,
      route.max_queued, route.keepalive_interval, route.keepalive_timeout,
      route.upgrade_timeout })
  end)

  it("may be mounted on a server that is there", function()
    local hub = signalr.hub { methods = { Echo = function(_, x)
      return x
    end } }
    hubs[#hubs + 1] = hub
    local server = t.listen { routes = {} }
    assert.equal(server, hub:mount(server, "/hub"))
    get_ready(select(2, upgraded(server)))
    assert.is_false((pcall(hub.mount, hub, server, "/hub")))
    assert.is_false((pcall(hub.routes, hub, "hub")))
    assert.has_error(function() signalr.hub {}.routes "/hub" end,
      "call hub:routes, not hub.routes")
    for message, given in pairs {
      ["bad argument #1 to 'mount' (a server expected)"] = { "/hub" },
      ["bad argument #2 to 'mount' (a path expected)"] = { server, "hub" },
    } do
      local ok, why = pcall(function() hub:mount(given[1], given[2]) end)
      assert.is_false(ok)
      assert.is_truthy(why:find("front_spec.lua:%d+: "), why)
      assert.equal(message, why:match "%d: (.*)$")
    end
  end)
end)
