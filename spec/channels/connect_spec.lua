-- channels.connect: the client in Lua, against an application of evws, and
-- against servers that say what one of evws does not.

local kit = require "spec.channels.kit"
local channels = require "evws.channels"
local t = kit.t

local soon = { initial = 0.001, maximum = 0.002, jitter = 0 }

describe("channels.connect", function()
  local conn

  after_each(function()
    if conn then conn:close() end
    conn = nil
    kit.cleanup()
  end)

  local function url_of(server) return t.url_of(server) .. "/c" end

  -- Connects; given: options beside a quick return.
  local function connect(server, given)
    local own = { reconnect = soon }
    for name, value in pairs(given or {}) do own[name] = value end
    local why, code
    conn, why, code = t.pump(channels.connect, url_of(server), own)
    return conn, why, code
  end

  local function call(object, name, ...)
    return t.pump(object[name], object, ...)
  end

  local function await(list, n)
    t.wait(function() return #list >= n end, n .. " of what is told", 20)
    return list
  end

  -- A server that answers as a list of functions says: requests[name](fields,
  -- conn) -> the reply's text, or nil for none.
  local function scripted(requests)
    local self = { seen = {}, conns = {} }
    self.server = t.listen { routes = { ["/c"] = {
      on_open = function(c) self.conns[#self.conns + 1] = c end,
      on_message = function(c, text)
        for line in text:gmatch "[^\n]+" do
          local id, name = line:match '^{"id":(%d+),"([%w_]+)":'
          self.seen[#self.seen + 1] = line
          local answer = requests[name or ""]
          local reply = answer and answer(line, c)
          if reply then c:send('{"id":' .. id .. "," .. reply .. "}") end
        end
      end } } }
    return self
  end

  local function hello() return '"connect":{"client":"x","version":"y"}' end

  it("says who it is, and calls", function()
    local told
    local _, server = kit.serve {
      connect = function(client)
        told = { client.data.name, client.name }
        return { user = "Ann", data = { hi = true } }
      end,
      rpc = {
        add = function(_, list) return list[1] + list[2] end,
        nothing = function() end,
        wrong = function() channels.raise(400, "no") end,
        broken = function() error "x" end,
        same = function(_, value) return value end,
      } }
    local hi
    assert(connect(server, { data = { name = "Ann" }, name = "me",
      on_connected = function(_, data) hi = data end }))
    t.wait(function() return hi end)
    assert.same({ hi = true }, hi)
    assert.same({ "Ann", "me" }, told)
    assert.equal("connected", conn.state)
    assert.is_true(#conn.id == 22)
    assert.equal(3, call(conn, "rpc", "add", { 1, 2 }))
    assert.equal(channels.null, call(conn, "rpc", "nothing"))
    assert.same({ nil, "no", 400 }, { call(conn, "rpc", "wrong") })
    assert.same({ nil, "internal server error", 100 },
      { call(conn, "rpc", "broken") })
    assert.same({ nil, "method not found", 104 }, { call(conn, "rpc", "x") })
    assert.same({ a = { 1, 0.5, "\0\n\"é" }, b = {} },
      call(conn, "rpc", "same", { a = { 1, 0.5, "\0\n\"é" }, b = {} }))
    local answers = {}
    for i = 1, 50 do
      t.ws.spawn(function() answers[i] = conn:rpc("add", { i, i }) end)
    end
    await(answers, 50)
    for i = 1, 50 do assert.equal(2 * i, answers[i]) end
  end)

  it("subscribes, publishes, reads the history and who is there", function()
    local chat, server = kit.serve {
      connect = function() return { user = "Ann", info = { age = 7 } } end,
      namespaces = { ["room:*"] = { publish = "subscribers", presence = true,
        join_leave = true, history = { size = 10, ttl = 60 },
        subscribe = function(_, _, request)
          return { data = request.data, info = "x" }
        end } } }
    chat:serve(server)
    local list = {}
    local function note(kind)
      return function(_, what)
        list[#list + 1] = { kind, type(what) == "table"
          and (what.data or what.user) or what }
      end
    end
    assert(connect(server))
    local room = assert(call(conn, "subscribe", "room:1", { data = 5,
      join_leave = true, on_subscribed = note "in",
      on_publication = note "pub", on_join = note "join",
      on_leave = note "leave", on_unsubscribed = note "out" }))
    assert.equal("subscribed", room.state)
    await(list, 2)
    assert.same({ { "in", 5 }, { "join", "Ann" } }, list)
    assert.same({ "room:1", "subscribed", 0, conn, false }, { room.channel,
      room.state, room.offset, room.connection, room.by_server })
    assert.is_true(call(room, "publish", { a = 1 }))
    chat:publish("room:1", "b", { tags = { t = "1" } })
    assert.same({ a = 1 }, await(list, 4)[3][2])
    assert.same({ "pub", "b" }, list[4])
    local history, at = call(room, "history")
    assert.same({ offset = 2, epoch = room.epoch }, at)
    assert.same({ a = 1 }, history[1].data)
    assert.same({ user = "Ann", client = conn.id, conn_info = { age = 7 },
      chan_info = "x" }, history[1].info)
    assert.same({ { offset = 2, data = "b", tags = { t = "1" } } },
      (call(conn, "history", "room:1", { limit = 1, reverse = true })))
    assert.same({ {}, at }, { call(room, "history", { limit = 0 }) })
    assert.equal(2, call(room, "history", { since = { offset = 1 } })[1].offset)
    assert.same({ nil, "unrecoverable position", 112 }, { call(room, "history",
      { since = { offset = 1, epoch = "x" } }) })
    assert.same({ [conn.id] = { user = "Ann", client = conn.id,
      conn_info = { age = 7 }, chan_info = "x" } }, call(room, "presence"))
    assert.same({ clients = 1, users = 1 }, call(room, "presence_stats"))
    assert.same({ nil, "already subscribed", 105 },
      { call(conn, "subscribe", "room:1") })
    assert.is_true(room:unsubscribe())
    assert.same({ nil, "not subscribed" }, { room:unsubscribe() })
    assert.equal("unsubscribed", room.state)
    assert.same({ "out", 0 }, await(list, 5)[5])
    assert.same({ nil, "permission denied", 103 },
      { call(conn, "publish", "room:1", 1) })
    assert.same({ nil, "unknown channel", 102 },
      { call(conn, "subscribe", "nowhere") })
    room = assert(call(conn, "subscribe", "room:1",
      { recover = { offset = 1, epoch = at.epoch },
        on_publication = note "pub" }))
    assert.same({ "pub", "b" }, await(list, 6)[6])
    assert.equal(2, room.offset)
  end)

  it("is given what was missed in order, once, and told what was lost",
    function()
      local chat, server = kit.serve { namespaces = {
        room = { history = { size = 5, ttl = 60 } } } }
      chat:serve(server)
      local seen, found, losses = {}, {}, {}
      assert(connect(server, { on_disconnected = function(_, code)
        losses[#losses + 1] = code
      end }))
      assert(call(conn, "subscribe", "room", {
        on_subscribed = function(_, what) found[#found + 1] = what end,
        on_publication = function(_, one) seen[#seen + 1] = one.data end }))
      for round, missed in ipairs { 5, 6, 0, 3 } do
        for one in pairs(chat.clients) do one.conn:terminate() end
        for i = 1, missed do chat:publish("room", round * 10 + i) end
        await(found, round + 1)
      end
      assert.same({ 1006, 1006, 1006, 1006 }, losses)
      for i, is_there in ipairs { true, false, true, true } do
        assert.same({ recovered = is_there, was_recovering = true },
          found[i + 1])
      end
      assert.same({ recovered = false, was_recovering = false }, found[1])
      await(seen, 8)
      assert.same({ 11, 12, 13, 14, 15, 41, 42, 43 }, seen)
    end)

  it("has handlers that may wait, call and fail, one after the other",
    function()
      local chat, server = kit.serve { rpc = { twice = function(_, n)
        return 2 * n end }, namespaces = { room = {
        history = { size = 100, ttl = 60 } } } }
      chat:serve(server)
      local seen, failed = {}, {}
      assert(connect(server, { receive_queue = 3,
        on_error = function(who, message)
          failed[#failed + 1] = message
          assert.equal(conn, who)
        end }))
      local room = assert(call(conn, "subscribe", "room", {
        on_publication = function(_, one)
          t.ws.sleep(0)
          seen[#seen + 1] = conn:rpc("twice", one.data)
          if one.data == 2 then error "oh" end
        end }))
      for i = 1, 4 do chat:publish("room", i) end
      assert.same({ 2, 4, 6, 8 }, await(seen, 4))
      t.contains(await(failed, 1)[1], "oh")
      local late = {}
      room:unsubscribe()
      room = assert(call(conn, "subscribe", "room", {
        on_publication = function(sub, one)
          late[#late + 1] = one.data
          sub:unsubscribe() -- and nothing more
        end }))
      for i = 1, 9 do chat:publish("room", i) end
      t.wait(function() return room.state == "unsubscribed" end)
      call(conn, "rpc", "twice", 1)
      assert.same({ 1 }, late)
    end)

  it("has the channels that the server puts it into, again and again",
    function()
      local is_in = true
      local chat, server = kit.serve {
        connect = function()
          return { user = "Ann", subscribe = is_in and { "news" } or {} }
        end,
        namespaces = { news = { history = { size = 10, ttl = 60 } },
          other = {} } }
      chat:serve(server)
      local list = {}
      local function note(kind)
        return function(sub, what)
          assert.is_true(sub.by_server)
          list[#list + 1] = sub.channel .. " " .. kind .. " "
            .. tostring(type(what) ~= "table" and what or what.data
              or what.recovered)
        end
      end
      assert(connect(server, { on_subscribed = note "in",
        on_publication = note "pub", on_unsubscribed = note "out" }))
      chat:publish("news", 1)
      await(list, 2)
      conn.conn:terminate()
      chat:publish("news", 2)
      await(list, 4)
      assert.same({ "news in false", "news pub 1", "news in true",
        "news pub 2" }, list)
      chat:subscribe("Ann", "other")
      await(list, 5)
      chat:publish("other", 3)
      await(list, 6)
      assert.same({ nil, "already subscribed", 105 },
        { call(conn, "subscribe", "other") })
      chat:unsubscribe("Ann", "other")
      await(list, 7)
      is_in = false
      conn.conn:terminate()
      await(list, 8)
      assert.same({ "other in false", "other pub 3", "other out 2000",
        "news out 2000" }, { table.unpack(list, 5) })
      local got = {}
      conn.options.on_message = function(_, data) got[#got + 1] = data end
      chat:send("Ann", { x = 1 })
      assert.same({ { x = 1 } }, await(got, 1))
    end)

  it("brings tokens, and others when they are over", function()
    local n, ends = 0, {}
    local _, server = kit.serve { secret = kit.secret,
      namespaces = { ["p:*"] = { subscribe = "token" } } }
    local function token(claims, seconds)
      n = n + 1
      claims.exp = os.time() + seconds
      return kit.token(claims)
    end
    assert.same({ nil, "unauthorized", 101 }, { connect(server) })
    assert.same({ nil, "token expired", 109 },
      { connect(server, { token = token({ sub = "a" }, -5) }) })
    assert.same({ nil, "invalid token", 3500 },
      { connect(server, { token = "x" }) })
    assert.same({ nil, "unauthorized", 101 },
      { connect(server, { token = function() return nil end }) })
    n = 0
    assert(connect(server, { -- the first is over when it is brought
      on_connected = function() end,
      on_disconnected = function(_, code) ends[#ends + 1] = code end,
      token = function(who)
        assert.equal(conn or who, who)
        t.ws.sleep(0)
        return token({ sub = "a" }, n == 0 and -5 or 3600)
      end }))
    t.wait(function() return conn.state == "connected" end, "it", 20)
    assert.same({ { 109 }, 2 }, { ends, n })
    local subs = 0
    assert.same({ nil, "permission denied", 103 },
      { call(conn, "subscribe", "p:1", { token = "x" }) })
    assert(call(conn, "subscribe", "p:1", { token = function(sub)
      subs = subs + 1
      return token({ sub = "a", channel = sub.channel },
        subs == 1 and -5 or 3600)
    end }))
    assert.equal(2, subs)
  end)

  it("brings another token before the time of one is over", function()
    local list, ends, refusal = {}, {}, nil
    local function answer(name)
      return function(line)
        list[#list + 1] = name .. " " .. line:match '"token":"(%d+)"'
        return refusal or ('"%s":{"expires":true,"ttl":0.01}'):format(name)
      end
    end
    local fake = scripted { connect = answer "connect",
      refresh = answer "refresh", subscribe = answer "subscribe",
      sub_refresh = answer "sub_refresh",
      unsubscribe = function() return '"unsubscribe":{}' end }
    local n = 0
    assert(connect(fake.server, { token = function()
      n = n + 1
      return tostring(n)
    end, on_disconnected = function(_, ...) ends = { ... } end }))
    await(list, 4)
    assert.same({ "connect 1", "refresh 2", "refresh 3", "refresh 4" },
      { table.unpack(list, 1, 4) })
    local told, m = {}, 0
    assert(call(conn, "subscribe", "a", { token = function()
      m = m + 1
      return tostring(m)
    end, on_unsubscribed = function(_, ...) told = { ... } end }))
    t.wait(function() return m >= 3 end, "the channel's", 20)
    t.contains(table.concat(list, "\n"), "subscribe 1")
    t.contains(table.concat(list, "\n"), "sub_refresh 2")
    refusal = '"error":{"code":103,"message":"no"}'
    t.wait(function() return told[1] and ends[1] end, "the end", 20)
    assert.same({ 103, "no" }, ends)
    assert.same({ 103, "no" }, told)
  end)

  it("ends for good where it is told so, and comes back otherwise", function()
    local ends = {}
    local fake = scripted { connect = hello }
    local function begin()
      ends = {}
      assert(connect(fake.server, { on_disconnected = function(_, code, why)
        ends[#ends + 1] = ("%d %s %s"):format(code, why, conn.state)
      end }))
      return fake.conns[#fake.conns]
    end
    for _, code in ipairs { 3500, 3999, 4500, 4999, 1009 } do
      begin():close(code, "x")
      assert.same({ code .. " x closed" }, await(ends, 1))
      assert.same({ code, "x" }, { call(conn, "wait") })
      assert.same({ nil, "closed", code }, { call(conn, "rpc", "a") })
      assert.same({ nil, "closed", code }, { call(conn, "subscribe", "a") })
      assert.same({ nil, "closed" }, { conn:send(1) })
    end
    for _, code in ipairs { 1000, 1001, 1008, 1012, 3000, 3499, 4000, 4499 } do
      local c = begin()
      local before = #fake.conns
      c:close(code, "x")
      await(ends, 1)
      t.wait(function() return #fake.conns > before end, "another", 20)
      t.wait(function() return conn.state == "connected" end, "it", 20)
      assert.same({ code .. " x connecting" }, ends)
      conn:close()
      assert.same({ 1000, "closed" }, { call(conn, "wait") })
    end
    begin():send '{"push":{"disconnect":{"code":3501,"reason":"no"}}}'
    assert.same({ "3501 no closed" }, await(ends, 1))
    begin():send "5"
    t.contains(await(ends, 1)[1], "1002 what came is none")
  end)

  it("says at the first attempt what is wrong, and later goes on", function()
    local answer
    local fake = scripted { connect = function() return answer end }
    answer = '"error":{"code":100,"message":"busy","temporary":true}'
    assert.same({ nil, "busy", 100 }, { connect(fake.server) })
    assert.same({ nil, "404 Not Found", 404 },
      { t.pump(function()
        local _, why, code = channels.connect(t.url_of(fake.server) .. "/x")
        return nil, why:gsub("^.*: ", ""), code
      end) })
    local list, n = {}, 0
    assert(connect(fake.server, {
      on_connected = function() n = n + 1 end,
      on_disconnected = function(_, code) list[#list + 1] = code end }))
    assert.same({ 100, 100, 100 }, { table.unpack(await(list, 3), 1, 3) })
    assert.same({ nil, "timeout" }, { t.pump(conn.wait, conn, 0) })
    answer = hello()
    t.wait(function() return n == 1 end, "it", 20)
    answer = '"error":{"code":103,"message":"go"}'
    fake.conns[#fake.conns]:terminate()
    assert.same({ 103, "go" }, { call(conn, "wait") })
  end)

  it("tries a channel again where that is said to help", function()
    local answers, n = {}, 0
    local fake = scripted { connect = hello, unsubscribe = function()
      return '"unsubscribe":{}'
    end, subscribe = function()
      n = n + 1
      return table.remove(answers, 1) or '"subscribe":{"epoch":"e"}'
    end }
    local busy = '"error":{"code":100,"message":"busy","temporary":true}'
    assert(connect(fake.server))
    answers = { busy, busy }
    local told = {}
    local sub = assert(call(conn, "subscribe", "a", {
      on_unsubscribed = function(_, code) told[#told + 1] = code end }))
    assert.same({ 3, "e" }, { n, sub.epoch })
    local c = fake.conns[1]
    c:send '{"push":{"channel":"a","pub":{"data":1,"offset":4}}}'
    t.wait(function() return sub.offset == 4 end)
    c:send '{"push":{"channel":"a","unsubscribe":{"code":2500}}}'
    t.wait(function() return n == 4 end, "it to come back", 20)
    t.contains(fake.seen[#fake.seen], '"recover":true,"offset":4,"epoch":"e"')
    t.wait(function() return sub.state == "subscribed" end, "it", 20)
    c:send '{"push":{"channel":"a","unsubscribe":{"code":2502}}}'
    t.wait(function() return n == 5 end, "it to come back", 20)
    t.contains(fake.seen[#fake.seen], '"recover":true,"offset":0,"epoch":"_"')
    t.wait(function() return sub.state == "subscribed" end, "it", 20)
    c:send '{"push":{"channel":"a","unsubscribe":{"code":2001}}}'
    assert.same({ 2001 }, await(told, 1))
    answers = { busy, busy, busy }
    conn.options.reconnect = false
    assert.same({ nil, "busy", 100 }, { call(conn, "subscribe", "a") })
    conn.options.reconnect = soon
    assert.is_nil(conn.subscriptions.a)
    answers = { busy, busy, '"error":{"code":103,"message":"no"}' }
    sub = assert(conn:subscribe("a", { wait = false,
      on_unsubscribed = function(_, code) told[#told + 1] = code end }))
    assert.equal("subscribing", sub.state)
    assert.same({ 2001, 103 }, await(told, 2))
  end)

  it("drops who says nothing, and answers pings where that is wished",
    function()
      local connect_reply
      local fake = scripted { connect = function() return connect_reply end }
      local ends = {}
      local function note(_, _, why) ends[#ends + 1] = why end
      assert(connect(fake.server, { timeout = 0.05,
        on_connected = function() end, on_disconnected = note }))
      assert.equal("no answer to connect", await(ends, 1)[1])
      conn:close()
      connect_reply = '"connect":{"client":"x","ping":1,"pong":true}'
      assert(connect(fake.server))
      local before = #fake.seen
      fake.conns[#fake.conns]:send "{}"
      t.wait(function() return #fake.seen > before end)
      assert.equal("{}", fake.seen[#fake.seen])
      conn.options.timeout = 0.05
      assert.same({ nil, "timeout" }, { call(conn, "rpc", "a") })
      conn:close()
      ends = {}
      local class = getmetatable(conn)
      local slack = class.slack
      class.slack = -0.98
      assert(connect(fake.server, { on_disconnected = note }))
      await(ends, 1)
      class.slack = slack
      assert.equal("no ping", ends[1])
    end)

  it("raises at the caller's line", function()
    local _, server = kit.serve()
    local url = url_of(server)
    local function fails(part, fn, ...)
      local ok, why = pcall(function(...) local a = fn(...) return a end, ...)
      assert.is_false(ok)
      t.contains(why, part)
      t.contains(why, "connect_spec.lua:")
    end
    local c = channels.connect
    fails("unknown option 'tokn' for 'connect' (did you mean 'token'?)", c,
      url, { tokn = "x" })
    fails("bad option 'timeout' for 'connect'", c, url, { timeout = 0 })
    fails("unknown option 'inital' for 'reconnect' (did you mean 'initial'?)",
      c, url, { reconnect = { inital = 1 } })
    fails("bad option 'reconnect' for 'connect'", c, url, { reconnect = 1 })
    fails("bad option 'tls'", c, url, { tls = 1 })
    fails("bad URL: the scheme", c, "localhost/c")
    fails("bad argument #2 to 'connect'", c, url, 1)
    fails("data cannot be sent", c, url, { data = print })
    assert(connect(server))
    local function on_conn(name) return function(...)
      local a = conn[name](conn, ...)
      return a
    end end
    fails("bad argument #1 to 'subscribe'", on_conn "subscribe", "")
    fails("unknown option 'on_pub' for 'subscribe'", on_conn "subscribe", "a",
      { on_pub = print })
    fails("bad option 'recover'", on_conn "subscribe", "a",
      { recover = { offset = -1 } })
    fails("unknown option 'sinc' for 'history' (did you mean 'since'?)",
      on_conn "history", "a", { sinc = 1 })
    fails("bad option 'limit'", on_conn "history", "a", { limit = "x" })
    fails("a publication cannot be sent", on_conn "publish", "a", print)
    fails("data cannot be sent", on_conn "rpc", "a", print)
    fails("bad argument #1 to 'rpc'", on_conn "rpc", 1)
    fails("bad argument #1 to 'presence'", on_conn "presence", "\0p")
  end)
end)
