-- What a client may say wrongly, row by row (CH-n), and what becomes of it.

local kit = require "spec.channels.kit"
local t = kit.t
local ws = t.ws

local function everything(more)
  local options = { secret = kit.secret,
    connect = function(client)
      if client.data == "wait" then ws.sleep(0.01) end
      if client.data == "refuse" then return false end
      return { user = "ann" }
    end,
    namespaces = {
      ["open:*"] = { publish = "subscribers", presence = true },
      ["any:*"] = { publish = true },
      ["token:*"] = { subscribe = "token" },
      ["shut"] = { subscribe = false },
    },
    rpc = { echo = function(_, data) return data end,
      fail = function() error "at home" end,
      odd = function() return print end,
      wait = function(_, data) ws.sleep(0.01) return data end } }
  for name, value in pairs(more or {}) do options[name] = value end
  return kit.serve(options)
end

describe("a client that says", function()
  after_each(kit.cleanup)

  local function open(more, fields)
    local chat, server = everything(more)
    return kit.open(server, fields), chat, server
  end

  it("CH-1 something else before connect, or connect twice, is closed",
    function()
      local _, _, server = open()
      for _, text in ipairs { '{"id":1,"subscribe":{"channel":"open:1"}}',
        "{}", '{"send":{"data":1}}', '{"id":1,"ping":{}}' } do
        local c = kit.open(server, false)
        c:say(text)
        c:closed(3501)
      end
      local c = kit.open(server)
      c:say '{"id":2,"connect":{}}'
      c:closed(3501, "second connect")
    end)

  it("CH-2 nothing is closed after connect_timeout", function()
    local c = open({ connect_timeout = 0.5 }, false)
    c:closed(3502)
  end)

  it("CH-3 more behind a connect that is refused has no effect", function()
    local chat, server = everything()
    local published = 0
    server:hear("any:1", function() published = published + 1 end)
    local c = kit.open(server, false)
    c:say('{"id":1,"connect":{"data":"refuse"}}\n'
      .. '{"id":2,"publish":{"channel":"any:1","data":1}}')
    local reply = c:next()
    assert.equal(101, reply.error.code)
    chat:tick()
    c:closed(3500, "unauthorized")
    assert.same({ 0, 0 }, { chat.counts.failures, published })
  end)

  it("CH-4 what is no JSON object is closed", function()
    local _, server = everything()
    for _, text in ipairs { "x", "[]", "1", '"a"', "null", "{} {}", "{},",
      '{"id":1,"rpc":{"data":NaN}}', '{"id":1,"rpc":{"data":[1,]}}',
      '{"id":1,"rpc":{"data":"\1"}}', '{"id":2,"rpc":{}', "[{}]" } do
      local c = kit.open(server)
      c:say(text)
      c:closed(3501)
    end
  end)

  it("CH-5 blanks, CR LF, empty lines and unknown fields is understood",
    function()
      local c = open()
      c:say '\r\n\n  {"id" : 2, "x":[1], "rpc":{"method":"echo","y":{}}}\r\n'
      c:expect { id = 2, rpc = { data = kit.null } }
      c:say('{"id":3,"connect":null,"rpc":{"method":"echo","data":null}}\n'
        .. ' \n{"id":4,"rpc":{"method":"echo","data":4}}\n')
      c:expect { id = 3, rpc = { data = kit.null } }
      c:expect { id = 4, rpc = { data = 4 } }
    end)

  it("CH-6 no request, an unknown one, or one that is no object is closed",
    function()
      local _, server = everything()
      for _, text in ipairs { '{"id":2}', '{"id":2,"dance":{}}',
        '{"id":2,"rpc":[]}', '{"id":2,"rpc":"echo"}', '{"id":2,"rpc":null}',
        '{"id":2,"rpc":true}' } do
        local c = kit.open(server)
        c:say(text)
        c:closed(3501)
      end
    end)

  it("CH-7 two requests has the first in the protocol's order; of a key twice "
    .. "the last", function()
      local c = open()
      c:say('{"id":2,"rpc":{"method":"echo"},'
        .. '"publish":{"channel":"any:1","data":1}}')
      c:expect { id = 2, publish = {} }
      c:say '{"id":3,"rpc":{"method":"echo","data":1,"data":2},"id":4}'
      c:expect { id = 4, rpc = { data = 2 } }
    end)

  it("CH-8 a wrong id is closed; send needs none", function()
    local _, server = everything()
    for _, id in ipairs { "0", "-1", "1.5", '"1"', "4294967296", "null", "true",
      "1e2", "[1]", "01" } do
      local c = kit.open(server)
      c:say(('{"id":%s,"rpc":{"method":"echo"}}'):format(id))
      c:closed(3501)
    end
    local c = kit.open(server)
    c:say '{"rpc":{"method":"echo"}}'
    c:closed(3501)
    c = kit.open(server)
    c:say '{"send":{"data":1}}'
    c:say '{"id":4294967295,"rpc":{"method":"echo","data":1}}'
    c:expect { id = 4294967295, rpc = { data = 1 } }
  end)

  it("CH-9 a pong unasked has no effect", function()
    local c = open()
    c:say "{}"
    c:say "{}\n{}"
    c:quiet()
  end)

  it("CH-10 bytes is understood where they are text", function()
    local c = open()
    c.raw:send(t.frame("binary",
      '{"id":2,"rpc":{"method":"echo","data":"\u{E9}"}}'))
    c:expect { id = 2, rpc = { data = "\u{E9}" } }
    c.raw:send(t.frame("binary", "\xff"))
    c:closed(3501)
  end)

  it("CH-11 that it speaks Protobuf is refused with a sentence", function()
    local _, server = everything()
    local raw = t.raw(server)
    local status, _, body = raw:upgrade { path = "/c",
      headers = { ["Sec-WebSocket-Protocol"] = "centrifuge-protobuf" } }
    assert.equal(400, status)
    t.contains(body, "speaks JSON only")
  end)

  it("CH-12 too much in one command, or too deep, fails", function()
    local c = open { max_command = 256, max_depth = 6 }
    c:fails(107, "rpc", { method = "echo", data = ("x"):rep(256) })
    c:fails(107, "rpc", '{"method":"echo","data":[[[[[1]]]]]}')
    assert.same({ data = { { { { 1 } } } } },
      c:call("rpc", '{"method":"echo","data":[[[[1]]]]}'))
    c:say('{"id":9,"rpc":{"data":' .. ("["):rep(1100) .. ("]"):rep(1100)
      .. "}}")
    c:closed(3501)
  end)

  it("CH-13 too long a frame is closed, and many commands in one are not",
    function()
      local _, server = everything { max_message = 4000, max_command = 100 }
      local c = kit.open(server)
      local lines = {}
      for i = 1, 60 do
        lines[i] = ('{"id":%d,"rpc":{"method":"echo","data":%d}}'):format(
          i + 1, i)
      end
      c:say(table.concat(lines, "\n"))
      for i = 1, 60 do c:expect { id = i + 1, rpc = { data = i } } end
      c:say((" "):rep(5000))
      c:closed(1009)
    end)

  it("CH-14 a channel without a name, or a wrong offset, is closed", function()
    local _, server = everything()
    for _, fields in ipairs { "{}", '{"channel":""}', '{"channel":1}',
      '{"channel":["open:1"]}', '{"channel":"open:1","offset":-1}',
      '{"channel":"open:1","offset":1.5}', '{"channel":"open:1","offset":"1"}',
      '{"channel":"open:1","recover":1}', '{"channel":"open:1","epoch":2}',
      '{"channel":"open:1","token":{}}' } do
      local c = kit.open(server)
      c:say(('{"id":2,"subscribe":%s}'):format(fields))
      c:closed(3501)
    end
  end)

  it("CH-15 a channel of no namespace, or too long a name, fails", function()
    local c = open()
    c:fails(107, "subscribe", { channel = "open:" .. ("x"):rep(255) })
    for _, name in ipairs { "nothing", "open", "\0open:1", "\0jopen:1",
      "\0uann", "shut:1" } do
      c:fails(102, "subscribe", { channel = name })
      c:fails(102, "publish", { channel = name, data = 1 })
    end
    c:fails(103, "subscribe", { channel = "shut" })
  end)

  it("CH-16 subscribe twice, or too often, fails", function()
    local c = open({ max_subscriptions = 2, connect = function()
      return { user = "ann", subscribe = { "open:ours" } }
    end })
    c:fails(105, "subscribe", { channel = "open:ours" })
    assert.same({}, c:call("subscribe", { channel = "open:1" }))
    c:fails(105, "subscribe", { channel = "open:1" })
    c:fails(106, "subscribe", { channel = "open:2" })
  end)

  it("CH-17 unsubscribe and subscribe in one breath is subscribed", function()
    local c = open { namespaces = { ["slow:*"] = {
      subscribe = function() ws.sleep(0.01) return true end } } }
    c:say('{"id":2,"subscribe":{"channel":"slow:1"}}\n'
      .. '{"id":3,"unsubscribe":{"channel":"slow:1"}}\n'
      .. '{"id":4,"subscribe":{"channel":"slow:1"}}\n'
      .. '{"id":5,"subscribe":{"channel":"slow:1"}}')
    c:expect { id = 2, subscribe = {} }
    c:expect { id = 3, unsubscribe = {} }
    c:expect { id = 4, subscribe = {} }
    assert.equal(105, c:next().error.code)
  end)

  it("CH-18 unsubscribe of what it has not is answered", function()
    local c = open()
    assert.same({}, c:call("unsubscribe", { channel = "open:1" }))
    assert.same({}, c:call("unsubscribe", { channel = "nothing" }))
  end)

  local now = os.time()
  local head = '{"alg":"%s"}'
  local jwt = require "evws.channels.jwt"

  local function signed(header, claims, key)
    local text = jwt.encode_part(header) .. "." .. jwt.encode_part(claims)
    return text .. "." .. jwt.encode_part(ws.hmac_sha256(key or kit.secret,
      text))
  end

  local wrong = { "x", "a.b.c", "..", signed(head:format "none", "{}"),
    signed(head:format "HS512", "{}"), signed(head:format "hs256", "{}"),
    signed(head:format "HS256", "{}", "other"), signed("[]", "{}"),
    signed(head:format "HS256", "[]"), signed(head:format "HS256", "x"),
    signed('{"alg":"HS256","crit":["x"]}', "{}"),
    signed(head:format "HS256", '{"nbf":' .. now + 100 .. "}"),
    signed(head:format "HS256", '{"exp":"soon"}'),
    kit.token { sub = "ann" } .. "x", kit.token { sub = "ann" } .. "=",
    kit.token { sub = ("x"):rep(20000) },
    (kit.token { sub = "ann" }:gsub("%..*%.", ".e30.")) }

  it("CH-19 a wrong token is closed; for a channel it fails", function()
    local _, server = everything()
    for _, token in ipairs(wrong) do
      local c = kit.open(server, false)
      c:say { id = 1, connect = { token = token } }
      c:closed(3500, "invalid token")
    end
    local c = kit.open(server)
    for _, token in ipairs(wrong) do
      c:fails(103, "subscribe", { channel = "token:1", token = token })
    end
    c:fails(103, "subscribe", { channel = "token:1" })
  end)

  it("CH-19 claims are taken to sixteen levels", function()
    for depth, is_taken in pairs { [16] = true, [17] = false } do
      local claims, why = jwt.verify(signed(head:format "HS256", '{"sub":"ann",'
        .. '"a":' .. ("["):rep(depth - 1) .. ("]"):rep(depth - 1) .. "}"),
        kit.secret, now)
      assert.equal(is_taken and "ann" or nil, claims and claims.sub)
      assert.equal(not is_taken and "invalid" or nil, why)
    end
  end)

  it("CH-20 the token of another channel or user fails", function()
    local c = open()
    for _, claims in ipairs { { sub = "ann", channel = "token:2" },
      { sub = "ben", channel = "token:1" }, { channel = "token:1" },
      { sub = "ann" } } do
      c:fails(103, "subscribe", { channel = "token:1",
        token = kit.token(claims) })
    end
    c:fails(109, "subscribe", { channel = "token:1", token = kit.token {
      sub = "ann", channel = "token:1", exp = now - 1 } })
    assert.same({}, c:call("subscribe", { channel = "token:1",
      token = kit.token { sub = "ann", channel = "token:1" } }))
  end)

  it("CH-21 refresh where nothing expires, or by a wrong token, is closed",
    function()
      local _, server = everything { connect = function(client)
        return { expires = client.claims and client.claims.exp }
      end }
      local c = kit.open(server)
      c:say { id = 2, refresh = { token = kit.token { sub = "ann" } } }
      c:closed(3501)
      local function expiring()
        return kit.open(server, { token = kit.token { sub = "ann",
          exp = now + 100 } })
      end
      c = expiring()
      c:say '{"id":2,"refresh":{}}'
      c:closed(3501)
      c = expiring()
      c:say { id = 2, refresh = { token = "a.b.c" } }
      c:closed(3500)
      c = expiring()
      c:say { id = 2, refresh = { token = kit.token { sub = "ben",
        exp = now + 100 } } }
      c:closed(3500)
      c = expiring()
      c:fails(109, "refresh", { token = kit.token { sub = "ann",
        exp = now - 1 } })
      local reply = c:call("refresh", { token = kit.token { sub = "ann",
        exp = now + 200 } })
      assert.is_true(reply.expires and reply.ttl > 100 and reply.ttl <= 200)
    end)

  it("CH-22 sub_refresh of what it has not fails", function()
    open():fails(103, "sub_refresh", { channel = "token:1", token = "x" })
  end)

  it("CH-24 recover where nothing is kept is subscribed, not recoverable",
    function()
      assert.same({}, open():call("subscribe", { channel = "open:1",
        recover = true, offset = 7, epoch = "x" }))
    end)

  it("CH-25 it wants what is not offered gets the rest", function()
    assert.same({}, open():call("subscribe", { channel = "open:1",
      recoverable = true, positioned = true, delta = "fossil", flag = 255 }))
  end)

  it("CH-26 filters, maps and shared polls fail", function()
    local c = open()
    c:fails(107, "subscribe", { channel = "open:1", tf = { op = "eq" } })
    for kind = 1, 4 do
      c:fails(108, "subscribe", { channel = "open:1", type = kind })
    end
    assert.same({}, c:call("subscribe", { channel = "open:1", type = 0 }))
  end)

  it("CH-27 publish without the right, the data or a subscription fails",
    function()
      local c = open()
      c:fails(103, "publish", { channel = "token:1", data = 1 })
      c:fails(103, "publish", { channel = "open:1", data = 1 })
      c:fails(107, "publish", { channel = "any:1" })
      c:fails(107, "publish", { channel = "any:1", data = kit.null })
      assert.same({}, c:call("publish", { channel = "any:1", data = false }))
    end)

  it("CH-30 presence where there is none, or of strangers, fails", function()
    local c = open()
    for _, name in ipairs { "presence", "presence_stats" } do
      c:fails(108, name, { channel = "any:1" })
      c:fails(103, name, { channel = "open:1" })
      c:fails(102, name, { channel = "nothing" })
    end
  end)

  it("CH-31 rpc of what is no method fails", function()
    local c = open()
    for _, name in ipairs { "__index", "constructor", "", "Echo" } do
      c:fails(104, "rpc", { method = name })
    end
    c:fails(104, "rpc", {})
    c:fails(108, "ping", {})
  end)

  it("CH-32 send where nobody listens is counted", function()
    local c, chat = open()
    c:say '{"send":{"data":{"a":1}}}'
    c:quiet()
    assert.equal(1, chat.counts.ignored)
  end)

  it("CH-33 rpc of a method that fails is told nothing of it", function()
    local told = {}
    local c = open { on_error = function(_, text)
      told[#told + 1] = text
    end }
    for _, name in ipairs { "fail", "odd" } do
      local err = c:fails(100, "rpc", { method = name })
      assert.same({ code = 100, message = "internal server error",
        temporary = true }, err)
    end
    t.wait(function() return #told == 2 end)
    t.contains(told[1], "at home")
    t.contains(told[2], "the result of 'odd' cannot be sent")
  end)

  it("CH-34 more than can be done at once waits", function()
    local most, now_running = 0, 0
    local c, _, server = open { parallel = 4, max_commands = 8, rpc = {
      slow = function(_, data)
        now_running = now_running + 1
        most = math.max(most, now_running)
        ws.sleep(0.001)
        now_running = now_running - 1
        return data
      end } }
    local lines = {}
    for i = 1, 500 do
      lines[i] = ('{"id":%d,"rpc":{"method":"slow","data":%d}}'):format(i + 1,
        i)
    end
    c:say(table.concat(lines, "\n"))
    local seen = {}
    for _ = 1, 500 do
      local reply = c:next()
      seen[reply.rpc.data] = true
    end
    for i = 1, 500 do assert.is_true(seen[i]) end
    assert.equal(4, most)
    kit.open(server):quiet()
  end)

  it("CH-34 more than may wait is not read", function()
    local gate = ws.queue(1)
    local c, chat = open { parallel = 2, max_commands = 4, rpc = {
      slow = function(_, data)
        gate:take()
        return data
      end } }
    local lines = {}
    for i = 1, 100 do
      lines[i] = ('{"id":%d,"rpc":{"method":"slow","data":%d}}'):format(i + 1,
        i)
    end
    c:say(table.concat(lines, "\n"))
    local jobs
    t.wait(function()
      jobs = next(chat.clients).jobs
      return jobs and jobs.n_waiting >= 4
    end)
    kit.settle()
    assert.same({ 2, 4 }, { jobs.n_running, jobs.n_waiting })
    gate:close()
    local seen = {}
    for _ = 1, 100 do seen[c:next().rpc.data] = true end
    for i = 1, 100 do assert.is_true(seen[i]) end
  end)

  it("CH-34 hundreds of thousands of lines holds nobody else up", function()
    local turns, n = 0, 0
    local c, _, server = open { rpc = { n = function() n = n + 1 end } }
    kit.open(server)
    local timer <close> = ws.every(0.001, function() turns = turns + 1 end)
    c:say(("{}\n"):rep(30000) .. '{"id":9,"rpc":{"method":"n"}}')
    assert.equal(9, c:next().id)
    assert.equal(1, n)
    assert.is_true(turns >= 2)
    assert.is_truthy(timer)
  end)

  it("CH-35 nothing, and reads nothing, is closed", function()
    local code
    local chat, server = everything {
      on_disconnected = function(_, given) code = given end }
    local c = kit.open(server)
    c:call("subscribe", { channel = "any:1" })
    local text = ("x"):rep(100000)
    for _ = 1, 60 do
      chat:publish("any:1", text)
      t.turn(0)
    end
    t.wait(function() return code end, "its end", 20)
    assert.same({ 1008, 0 }, { code, chat.n_clients })
  end)
end)

describe("handlers", function()
  after_each(kit.cleanup)

  it("hear of each client once", function()
    local log = {}
    local function put(...) log[#log + 1] = table.concat({ ... }, " ") end
    local _, server = everything {
      connect = function() return { user = "ann" } end,
      on_subscribed = function(client, name) put("in", client.user, name) end,
      on_unsubscribed = function(client, name, code)
        put("out", client.user, name, code)
      end,
      on_disconnected = function(client, code)
        put("gone", client.user, code)
      end,
    }
    local c = kit.open(server)
    c:call("subscribe", { channel = "open:1" })
    c:call("subscribe", { channel = "open:2" })
    c:call("unsubscribe", { channel = "open:1" })
    c.raw:finish(1000)
    t.wait(function() return #log == 5 end)
    table.sort(log)
    assert.same({ "gone ann 1000", "in ann open:1", "in ann open:2",
      "out ann open:1 0", "out ann open:2 1" }, log)
  end)
end)
