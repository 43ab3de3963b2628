-- server:stats and server:metrics.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

local function get(raw, path)
  raw:send(("GET %s HTTP/1.1\r\nHost: a\r\n\r\n"):format(path or "/"))
  return raw:read_http()
end

local function wait_refused(server, expected)
  t.wait(function() return next(t.refusals(server)) end, "a refusal")
  assert.same(expected, t.refusals(server))
end

-- Prometheus' text: name -> type, and series -> value. Every line is judged.
local function parse(text)
  local types, series, helps = {}, {}, {}
  assert.equal("\n", text:sub(-1))
  for line in text:gmatch "([^\n]*)\n" do
    local help = line:match "^# HELP ([%a_][%w_]*) [^\\]+%.$"
    local name, kind = line:match "^# TYPE ([%a_][%w_]*) (%l+)$"
    local sample, labels, value =
      line:match '^([%a_][%w_]*)({[%a_]+="[%w_.+]+".-}) ([%d.]+)$'
    if not sample then
      sample, value = line:match "^([%a_][%w_]*) ([%d.]+)$"
    end
    if help then
      assert.is_nil(helps[help], line)
      helps[help] = true
    elseif name then
      assert.is_true(helps[name], line)
      assert.is_nil(types[name], line)
      types[name] = kind
    else
      assert.is_truthy(sample, line)
      local base = types[sample] and sample
        or sample:gsub("_bucket$", ""):gsub("_sum$", ""):gsub("_count$", "")
      assert.is_truthy(types[base], line)
      assert.equal(types[base] == "counter", base:find "_total$" ~= nil)
      assert.is_truthy(base:find "^evws_")
      local key = sample .. (labels or "")
      assert.is_nil(series[key], line)
      series[key] = assert(tonumber(value), line)
    end
  end
  return types, series
end

describe("stats", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("of a new server are all zero", function()
    local stats = t.listen {}:stats()
    for _, name in ipairs { "accepted", "opened", "open", "pending",
      "requests", "messages_in", "messages_out", "bytes_in", "bytes_out",
      "dropped", "queued_bytes", "present", "joins", "leaves" } do
      assert.equal(0, stats[name], name)
    end
    assert.same({}, stats.closed)
    for reason, n in pairs(stats.refused) do assert.equal(0, n, reason) end
    assert.is_true(stats.memory > 0)
  end)

  it("count connections from accept to the end", function()
    local server = t.listen { on_message = function() end }
    local raw = t.raw(server)
    t.wait(function() return server:stats().accepted == 1 end)
    assert.equal(1, server:stats().pending)
    assert.equal(0, server:stats().open)
    raw:upgrade()
    local second = t.open(server)
    local stats = server:stats()
    assert.same({ 2, 2, 2, 0 }, { stats.accepted, stats.opened, stats.open,
      stats.pending })
    raw:finish(1000)
    second:send(t.frame("close", "\x0f\xa1"))
    second:expect_close(4001)
    t.wait(function() return server.connections == 0 end)
    stats = server:stats()
    assert.same({ 2, 2, 0, 0 }, { stats.accepted, stats.opened, stats.open,
      stats.pending })
    assert.same({ [1000] = 1, [4001] = 1 }, stats.closed)
  end)

  it("count ends by the code that on_close gets", function()
    local codes = {}
    local server = t.listen { max_message = 100, on_message = function(_, m)
      if m == "raise" then error "x" end
    end, on_error = function() end, on_close = function(_, code)
      codes[code] = (codes[code] or 0) + 1
    end }
    for _, bytes in ipairs { t.frame("text", ("x"):rep(101)),
      t.frame("text", "\xff"), t.frame("text", "raise"), t.frame("close", ""),
      t.frame("text", "x", { rsv = 4 }), t.frame("text", "\xff") } do
      local raw = t.open(server)
      raw:send(bytes)
      raw:expect_close(nil)
    end
    t.open(server):reset()
    t.wait(function() return server.connections == 0 end)
    assert.same(codes, server:stats().closed)
    assert.same({ [1002] = 1, [1005] = 1, [1006] = 1, [1007] = 2,
      [1009] = 1, [1011] = 1 }, codes)
  end)

  it("of codes that nobody defined stay few", function()
    local server = t.listen {}
    for code = 4000, 4019 do
      local raw = t.open(server)
      raw:send(t.frame("close", (">I2"):pack(code)))
      raw:expect_close(code)
    end
    t.wait(function() return server.connections == 0 end)
    local closed = server:stats().closed
    assert.equal(4, closed.other)
    assert.equal(1, closed[4015])
    assert.is_nil(closed[4016])
  end)

  it("count messages and their bytes, of every route", function()
    local server = t.listen { routes = {
      ["/echo"] = { on_message = function(c, m, k) c:send(m, k) end },
      ["/sink"] = { on_message = function() end },
      ["/feed"] = { on_open = function(c) c:send(("x"):rep(100000)) end },
      ["/nobody"] = {},
    } }
    local echo = t.open(server, { path = "/echo" })
    echo:send(t.frame("text", "12345") .. t.frame("ping", "x")
      .. t.frame("text", "12", { fin = false })
      .. t.frame("continuation", "3") .. t.frame("binary", ""))
    for _ = 1, 4 do echo:frame() end
    t.open(server, { path = "/feed" }):frame()
    for _, path in ipairs { "/sink", "/nobody" } do
      local raw = t.open(server, { path = path })
      raw:send(t.frame("text", "1234567"))
      raw:finish(1000)
    end
    local stats = server:stats()
    assert.same({ 5, 22, 4, 100008 }, { stats.messages_in, stats.bytes_in,
      stats.messages_out, stats.bytes_out })
  end)

  it("count a message in fragments once", function()
    local conn, raw, server = kit.pair()
    local writer = conn:writer()
    writer:write "ab"
    writer:write "c"
    conn:send "behind"
    writer:finish()
    assert.same({ "text", "abc" }, { raw:message() })
    assert.same({ "text", "behind" }, { raw:message() })
    local stats = server:stats()
    assert.same({ 2, 9 }, { stats.messages_out, stats.bytes_out })
  end)

  it("count what is published, for each who gets it", function()
    local first
    local server = t.listen { max_queued = 1000, on_open = function(c)
      c:subscribe "news"
      first = first or c
    end }
    local slow = t.open(server, { rcvbuf = 4096 })
    local raw = t.open(server)
    assert.equal(2, server:publish("news", "hello"))
    raw:expect_frame("text", "hello")
    slow:expect_frame("text", "hello")
    local stats = server:stats()
    assert.same({ 2, 10, 0 }, { stats.messages_out, stats.bytes_out,
      stats.dropped })
    first:send(("x"):rep(8 << 20), "binary")
    t.turn()
    assert.equal(1, server:publish("news", ("y"):rep(1000)))
    t.turn()
    stats = server:stats()
    assert.same({ 4, 10 + (8 << 20) + 1000, 1 }, { stats.messages_out,
      stats.bytes_out, stats.dropped })
  end)

  it("know what waits for a peer that does not read", function()
    local conn, raw, server = kit.pair({ max_queued = false },
      { rcvbuf = 4096 })
    conn:send(("x"):rep(8 << 20), "binary")
    t.turn()
    local stats = server:stats()
    assert.is_true(stats.queued_bytes > 0)
    assert.equal(conn.buffered, stats.queued_bytes)
    assert.is_true(stats.memory >= stats.queued_bytes)
    raw:close()
    t.wait(function() return server.connections == 0 end)
    assert.is_true(server:stats().memory < stats.memory)
    assert.equal(0, server:stats().queued_bytes)
  end)

  it("tell how long turns take", function()
    local server = t.listen { on_message = function(c, m)
      local from = ws.now()
      repeat until ws.now() - from > 0.02
      c:send(m)
    end }
    local before = server:stats()
    local raw = t.open(server)
    raw:send(t.frame("text", "x"))
    raw:frame()
    ws.spawn(function()
      local from = ws.now()
      repeat until ws.now() - from > 0.02
    end)
    ws.step()
    local after = server:stats()
    assert.is_true(after.turns > before.turns)
    assert.is_true(after.busy_seconds - before.busy_seconds >= 0.04)
  end)

  it("tell how late timers come", function()
    local server = t.listen {}
    local called
    ws.after(0.005, function() called = true end)
    ws.step()
    local from = ws.now()
    repeat until ws.now() - from > 0.05
    t.wait(function() return called end)
    assert.is_true(server:stats().lag_seconds >= 0.045)
  end)

  it("can be read when the server is closed", function()
    local server = t.listen {}
    t.open(server)
    t.pump(server.close, server, { timeout = 0 })
    local stats = server:stats()
    assert.equal(1, stats.accepted)
    assert.same({ [1001] = 1 }, stats.closed)
    assert.equal(0, stats.queued_bytes)
    parse(server:metrics())
  end)

  it("do not raise in a finalizer that comes late", function()
    local child = kit.run [[
      local server = assert(ws.listen { port = 0, host = "127.0.0.1" })
      kept = setmetatable({}, { __gc = function()
        local ok, why = pcall(server.stats, server)
        say(ok or why)
      end })
      say(server:stats().accepted)
      ws.step()
    ]]
    assert.equal(0, child:ended())
    assert.equal("", child:errors())
  end)

  describe("of refusals", function()
    it("know the limits", function()
      local server = t.listen { max_connections = 1 }
      t.open(server)
      t.raw(server):expect_eof()
      wait_refused(server, { connections = 1 })

      server = t.listen { max_pending = 1 }
      t.raw(server)
      t.wait(function() return server:stats().accepted == 1 end)
      t.raw(server)
      wait_refused(server, { pending = 1 })

      server = t.listen { max_pending = 1 }
      local raw = t.raw(server)
      raw:send "GET / HTTP/1.1\r\n"
      t.wait(function() return server:stats().accepted == 1 end)
      t.turn()
      t.raw(server)
      wait_refused(server, { pending = 1 })
      assert.equal(503, (raw:read_http()))
    end)

    it("know who is too slow, silent or not", function()
      local server = t.listen { handshake_timeout = 0.02 }
      t.raw(server):expect_eof()
      wait_refused(server, { timeout = 1 })
      local raw = t.raw(server)
      raw:send "GET / HTTP"
      assert.equal(408, (raw:read_http()))
      wait_refused(server, { timeout = 2 })
    end)

    it("know who left", function()
      local server = t.listen {}
      t.raw(server):close()
      wait_refused(server, { lost = 1 })
    end)

    it("know TLS where there is none", function()
      local server = t.listen {}
      t.raw(server):send("\x16\3\1\2\0\1\0\1\xfc\3\3" .. ("\n"):rep(9))
      wait_refused(server, { tls = 1 })
    end)

    it("do not count who leaves after an answer", function()
      local server = t.listen { on_request = function() return 200, "x" end }
      local raw = t.raw(server)
      get(raw)
      raw:close()
      t.wait(function() return server:stats().pending == 0 end)
      assert.same({}, t.refusals(server))
      assert.equal(1, server:stats().requests)
    end)

    it("know what is wrong with a request", function()
      local server = t.listen { path = "/ws", hosts = { "a.example" },
        max_request_line = 100, origins = { "https://a.example" } }
      local function upgrade(host, fields, path)
        local raw = t.raw(server)
        return (raw:upgrade { path = path or "/ws", host = host,
          headers = fields })
      end
      local function ask(bytes)
        local raw = t.raw(server)
        raw:send(bytes)
        return (raw:read_http())
      end
      local host = "Host: a.example\r\n"
      assert.equal(400, ask "NONSENSE\r\n\r\n")
      assert.equal(414, ask("GET /" .. ("x"):rep(200)))
      assert.equal(404, ask("GET / HTTP/1.1\r\n" .. host .. "\r\n"))
      assert.equal(426, ask("GET /ws HTTP/1.1\r\n" .. host .. "\r\n"))
      assert.equal(421, upgrade "b.example")
      assert.equal(404, upgrade("a.example", nil, "/other"))
      assert.equal(403, upgrade("a.example",
        { Origin = "https://b.example" }))
      assert.equal(426, upgrade("a.example",
        { ["Sec-WebSocket-Version"] = "8" }))
      assert.equal(101, upgrade "a.example")
      assert.same({ bad_request = 1, too_big = 1, not_found = 2, upgrade = 2,
        host = 1, origin = 1 }, t.refusals(server))
      assert.equal(8, server:stats().requests)
    end)

    it("know the application's", function()
      local server = t.listen { upgrade_timeout = 0.05,
        on_error = function() end,
        on_upgrade = function(request)
          if request.path == "/no" then return 401 end
          if request.path == "/raise" then error "x" end
          if request.path == "/bad" then return "x" end
          if request.path == "/wait" then ws.sleep(10) end
        end, origins = function(origin) return origin ~= "https://no" end }
      for path, status in pairs { ["/no"] = 401, ["/raise"] = 500,
        ["/bad"] = 500, ["/wait"] = 503, ["/"] = 101 } do
        assert.equal(status, (t.raw(server):upgrade { path = path }), path)
      end
      assert.equal(403, (t.raw(server):upgrade {
        headers = { Origin = "https://no" } }))
      assert.same({ application = 1, handler_error = 2, handler_timeout = 1,
        origin = 1 }, t.refusals(server))
    end)

    it("know a server that closes", function()
      local server
      server = t.listen { on_upgrade = function()
        ws.spawn(server.close, server, { timeout = 60 })
        while not tostring(server):find "closing" do ws.sleep(0) end
      end }
      assert.equal(503, (t.raw(server):upgrade()))
      assert.same({ closing = 1 }, t.refusals(server))
    end)
  end)
end)

describe("metrics", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("are Prometheus' text, and say what stats says", function()
    local server = t.listen { on_message = function(c, m) c:send(m) end }
    local raw = t.open(server)
    raw:send(t.frame("text", "hello"))
    raw:frame()
    local second = t.open(server)
    second:send(t.frame("close", "\x0f\xa1"))
    second:expect_close(4001)
    assert.equal(426, (get(t.raw(server), "/x")))
    t.wait(function() return server.connections == 1 end)
    local stats = server:stats()
    local types, series = parse(server:metrics())
    assert.equal(stats.accepted, series.evws_accepted_total)
    assert.equal(2, series.evws_opened_total)
    assert.equal(1, series.evws_connections)
    assert.equal(stats.requests, series.evws_http_requests_total)
    assert.equal(1, series.evws_messages_received_total)
    assert.equal(1, series.evws_messages_sent_total)
    assert.equal(5, series.evws_received_bytes_total)
    assert.equal(5, series.evws_sent_bytes_total)
    assert.equal(0, series.evws_dropped_total)
    assert.equal(1, series['evws_closed_total{code="4001"}'])
    for reason, n in pairs(stats.refused) do
      assert.equal(n, series[('evws_refused_total{reason="%s"}')
        :format(reason)], reason)
    end
    assert.equal(series.evws_turn_seconds_count,
      series['evws_turn_seconds_bucket{le="+Inf"}'])
    assert.equal("histogram", types.evws_turn_seconds)
    assert.equal("gauge", types.evws_loop_lag_seconds)
  end)

  it("count who is in topics, who came and who left, by key", function()
    local conns = {}
    local server = t.listen { on_open = function(conn)
      conns[#conns + 1] = conn
    end }
    local raws = {}
    for i = 1, 3 do
      raws[i] = t.open(server)
      t.wait(function() return conns[i] end)
      conns[i]:subscribe("a", { presence = { key = i < 3 and "ann" or "bob" } })
    end
    conns[1]:subscribe("b", { presence = "x" })
    local function counted()
      local stats, _, series = server:stats(), parse(server:metrics())
      local list = { stats.present, stats.joins, stats.leaves }
      assert.same(list, { series.evws_present, series.evws_joins_total,
        series.evws_leaves_total })
      return list
    end
    assert.same({ 3, 3, 0 }, counted())
    conns[2]:unsubscribe "a" -- and by another tab he is there still
    assert.same({ 3, 3, 0 }, counted())
    raws[1]:reset()
    t.wait(function() return server.connections == 2 end)
    assert.same({ 1, 3, 2 }, counted())
    conns[3]:subscribe("a", { presence = false })
    assert.same({ 0, 3, 3 }, counted())
  end)

  it("are served by three lines of on_request", function()
    local server
    server = t.listen { path = "/ws", on_request = function(request)
      if request.path == "/metrics" then return 200, server:metrics() end
    end }
    local raw = t.raw(server)
    local status, headers, body = get(raw, "/metrics")
    assert.equal(200, status)
    assert.is_truthy(headers["content-type"]:find "^text/plain")
    parse(body)
    assert.equal(404, (get(raw, "/other")))
  end)

  it("never go back", function()
    local server = t.listen { on_message = function(c, m) c:send(m) end }
    local last = {}
    for i = 1, 5 do
      local raw = t.open(server)
      raw:send(t.frame("text", "x"))
      raw:frame()
      if i % 2 == 0 then raw:finish(1000) end
      local types, series = parse(server:metrics())
      for name, value in pairs(series) do
        if not types[name] or types[name] == "counter" then
          assert.is_true(value >= (last[name] or 0), name)
        end
      end
      last = series
    end
  end)

  it("are documented, one by one", function()
    local file = assert(io.open "docs/metrics.md")
    local text = file:read "a"
    file:close()
    local with_redis, server = pcall(t.listen, {
      backplane = "redis://127.0.0.1:1" })
    if not with_redis then server = t.listen {} end
    local types = parse(server:metrics()
      .. require "evws.signalr.hub".new({ name = "chat" }, 1):metrics()
      .. require "evws.channels".new({}):metrics())
    for name in pairs(types) do
      assert.is_truthy(text:find("`" .. name .. "`", 1, true), name)
    end
    -- of workers alone (spec/serve)
    for _, name in ipairs { "evws_workers", "evws_worker_restarts_total",
      "evws_worker_connections" } do
      assert.is_nil(types[name])
      types[name] = "gauge"
    end
    for name in text:gmatch "`(evws_[%w_]+)`" do
      assert.is_truthy(types[name]
        or not with_redis and name:find "_backplane_", name)
    end
    for reason in pairs(server:stats().refused) do
      assert.is_truthy(text:find("`" .. reason .. "`", 1, true), reason)
    end
  end)

  it("hold what on_metrics tells, each function once", function()
    local asked = 0
    local function own(server)
      asked = asked + 1
      return "# HELP evws_own Of us.\n# TYPE evws_own gauge\nevws_own "
        .. server.connections + 7 .. "\n"
    end
    local server = t.listen { on_metrics = function() return nil end,
      routes = { ["/a"] = { on_metrics = own },
        ["/b"] = { on_metrics = own }, ["/c"] = {} } }
    local types, series = parse(server:metrics())
    assert.equal("gauge", types.evws_own)
    assert.equal(7, series.evws_own)
    assert.equal(0, series.evws_connections)
    assert.equal(1, asked)
    parse(server:metrics())
    assert.equal(2, asked)
  end)

  it("raise what on_metrics raises, or returns that is no text", function()
    local answer
    local server = t.listen { on_metrics = function() return answer() end }
    answer = function() error("no sums", 0) end
    assert.has_error(function() server:metrics() end, "no sums")
    for _, wrong in ipairs { {}, 5, true } do
      answer = function() return wrong end
      assert.equal(("on_metrics returned a %s (a string or nil expected)")
        :format(type(wrong)), kit.refusal(function() server:metrics() end))
    end
  end)

end)
