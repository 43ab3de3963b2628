-- The parts of channels that know no socket: tokens, rights by name, options,
-- texts that are sent, reasons.

local errors = require "evws.channels.errors"
local json = require "evws.channels.json"
local jwt = require "evws.channels.jwt"
local namespaces = require "evws.channels.namespaces"
local options = require "evws.channels.options"
local push = require "evws.channels.push"
local ws = require "evws"

describe("base64url", function()
  it("brings back any bytes, without padding", function()
    for n = 0, 40 do
      local bytes = ws.random(n)
      local text = jwt.encode_part(bytes)
      assert.is_nil(text:find "[^%w_-]")
      assert.equal(bytes, jwt.decode_part(text))
    end
    assert.equal("-_8", jwt.encode_part "\xfb\xff")
  end)

  it("is refused where it is none", function()
    for _, text in ipairs { "a", "aaaaa", "ab", "a+/a", "YQ==", "a b", "-_9",
      "\0" } do
      assert.is_nil(jwt.decode_part(text), text)
    end
  end)
end)

describe("a token", function()
  local key = "your-256-bit-secret"
  -- made by others: the sample of jwt.io
  local sample = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3"
    .. "ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKK"
    .. "F2QT4fwpMeJf36POk6yJV_adQssw5c"

  it("of others is read", function()
    assert.same({ sub = "1234567890", name = "John Doe", iat = 1516239022 },
      jwt.verify(sample, key, 0))
  end)

  it("is invalid when any character of it is another", function()
    for i = 1, #sample do
      local other = sample:sub(i, i) == "A" and "B" or "A"
      local claims, why = jwt.verify(sample:sub(1, i - 1) .. other
        .. sample:sub(i + 1), key, 0)
      assert.is_nil(claims)
      assert.equal("invalid", why)
    end
    assert.same({ nil, "invalid" }, { jwt.verify(sample, "other", 0) })
  end)

  it("has its time", function()
    local token = jwt.sign({ exp = 100, nbf = 50 }, key)
    assert.same({ nil, "invalid" }, { jwt.verify(token, key, 49) })
    assert.is_table(jwt.verify(token, key, 50))
    assert.is_table(jwt.verify(token, key, 99.5))
    assert.same({ nil, "expired" }, { jwt.verify(token, key, 100) })
    assert.is_table(jwt.verify(jwt.sign({ exp = 100.5 }, key), key, 100))
  end)
end)

describe("namespaces", function()
  local function new(given)
    return namespaces.new(given, 255, 1)
  end

  it("are found by the whole name, else by the longest beginning", function()
    local rights = new { ["a"] = {}, ["a*"] = {}, ["a:*"] = {}, ["a:b*"] = {},
      ["a:bc"] = {} }
    for name, pattern in pairs { a = "a", ab = "a*", ["a:"] = "a:*",
      ["a:x"] = "a:*", ["a:b"] = "a:b*", ["a:bc"] = "a:bc",
      ["a:bcd"] = "a:b*" } do
      assert.equal(pattern, rights:find(name).pattern, name)
    end
    assert.is_nil(rights:find "b")
    assert.is_nil(rights:find "")
    assert.equal("*", new { ["*"] = {} }:find("anything").pattern)
    assert.is_nil(new { ["*"] = {} }:find "\0uann")
  end)

  it("say what is to be kept", function()
    assert.is_nil(new { a = {} }:kept())
    assert.same({ ["a:*"] = { size = 5, ttl = 60 } },
      new { ["a:*"] = { history = { size = 5, ttl = 60 } }, b = {} }:kept())
  end)
end)

describe("options of channels", function()
  local channels = require "evws.channels"

  local function why_of(given)
    local ok, why = pcall(function()
      local made = channels.new(given)
      return made
    end)
    assert.is_false(ok)
    return why:match "^spec/channels/parts_spec.lua:%d+: (.*)$"
  end

  it("raise at the caller's line, with the name that was meant", function()
    assert.equal("bad argument #1 to 'new' (table expected, got number)",
      why_of(1))
    assert.equal("unknown option 'namespace' for 'channels' (did you mean "
      .. "'namespaces'?)", why_of { namespace = {} })
    assert.equal("bad option 'ping' for 'channels' (a whole number from 1 to "
      .. "3600, or false expected)", why_of { ping = 0 })
    assert.equal("bad option 'pong' for 'channels' (there is no ping to "
      .. "answer)", why_of { ping = false, pong = true })
    assert.equal("bad option 'rpc' for 'channels' (names and functions "
      .. "expected)", why_of { rpc = { a = 1 } })
    for name in pairs(options.checks) do
      if not ({ origins = 1, compression = 1, message_rate = 1,
        max_lifetime = 1 })[name] then
        assert.is_truthy(why_of { [name] = -1 }:find(name, 1, true))
      end
    end
  end)

  it("are numbers from the least to the most", function()
    local function check(name, least, most, read, more)
      for _, value in ipairs { least, most } do
        assert.equal(value, read({ [name] = value })[name])
      end
      for _, value in ipairs { least - 1, most + 1, "1", least + 0.5 } do
        local ok, why = pcall(read, { [name] = value })
        assert.is_false(ok, name)
        assert.is_truthy(why:find(("(a whole number from %d to %d%s expected)")
          :format(least, most, more or ""), 1, true), why)
      end
    end
    local function read(given) return options.read(given, 1) end
    for name, bounds in pairs { max_command = { 64, 0x7fffffff },
      max_message = { 64, 0x7fffffff }, max_subscriptions = { 1, 1000000 },
      max_channel = { 1, 65535 }, max_depth = { 2, 1000 },
      max_recovered = { 0, 1000000 }, max_history = { 1, 1000000 },
      parallel = { 1, 60000 }, max_commands = { 1, 1000000 } } do
      check(name, bounds[1], bounds[2], read)
    end
    check("ping", 1, 3600, read, ", or false")
    check("max_per_user", 1, 1 << 40, read, ", or false")
    local connect_options = require "evws.channels.connect_options"
    local function read_connect(given) return connect_options.read(given, 1) end
    check("receive_queue", 1, 1 << 30, read_connect)
    local rule = read_connect({}).reconnect
    assert.same({ 0.5, 20, 0.5 }, { rule.initial, rule.maximum, rule.jitter })
    rule = read_connect({ reconnect = { initial = 30, jitter = 0 } }).reconnect
    assert.same({ 30, 30, 0 }, { rule.initial, rule.maximum, rule.jitter })
    assert.is_false(read_connect({ reconnect = false }).reconnect)
    for name in pairs { pong_timeout = 1, connect_timeout = 1,
      expiry_grace = 1 } do
      assert.equal(0.001, read({ [name] = 0.001 })[name])
      for _, value in ipairs { 0, math.huge, false } do
        assert.is_false(pcall(read, { [name] = value }))
      end
    end
  end)

  it("raise for namespaces that no name can match, and wrong rights",
    function()
      for _, name in ipairs { "", "a*b", "*a", "**", "\0a", "\xff",
        ("x"):rep(256), 7 } do
        assert.is_truthy(why_of { namespaces = { [name] = {} } }
          :find("bad namespace", 1, true))
      end
      assert.equal("namespace 'a': unknown right 'publsh' (did you mean "
        .. "'publish'?)", why_of { namespaces = { a = { publsh = true } } })
      for _, rights in ipairs { { publish = 1 }, { subscribe = "maybe" },
        { history = true }, { history = { size = 0, ttl = 1 } },
        { history = { size = 1 } }, { history = { size = 1, ttl = 1, x = 1 } },
        { cache = 1 }, { presence = "x" }, { join_leave = "never" },
        { read_history = 1 } } do
        assert.is_truthy(why_of { namespaces = { a = rights } }
          :find("namespace 'a': bad right", 1, true))
      end
      assert.equal("namespace 'a': 'cache' needs 'history'",
        why_of { namespaces = { a = { cache = true } } })
      assert.equal("namespace 'a': subscribe = \"token\" needs the option "
        .. "'secret'", why_of { namespaces = { a = { subscribe = "token" } } })
    end)

  it("with a secret too short to sign with raises", function()
    for _, secret in ipairs { "", "short", ("x"):rep(31), 1 } do
      assert.equal("bad option 'secret' for 'channels' (a string of at "
        .. "least 32 bytes expected)", why_of { secret = secret })
    end
    channels.new { secret = ("x"):rep(32) }
  end)

  it("of paths and values raise as well", function()
    assert.has_error(function() channels.new():routes "chat" end,
      "bad argument #1 to 'routes' (a path expected)")
    assert.has_error(function() channels.new().routes "/chat" end,
      "call app:routes, not app.routes")
    assert.has_error(function() channels.raise(100, "x") end,
      "bad argument #1 to 'raise' (a code from 400 to 1999 expected)")
    assert.has_error(function() channels.raise(400, 7) end)
    assert.has_error(function() channels.array "x" end)
    assert.same({}, channels.array())
  end)
end)

describe("a push", function()
  local about = { topic = 'a"b' }

  it("is one line around the payload as it came", function()
    assert.equal('{"push":{"channel":"a\\"b","pub":{"data":{"x": 1.0}}}}',
      (push.view('{"x":\n1.0}', "text", about)))
    about.offset = 7
    about.meta = '{"tags":{"a":\n"b"},"info":{"user":"ann"},"x":1}'
    assert.equal('{"push":{"channel":"a\\"b","pub":{"offset":7,"data":1,'
      .. '"info":{"user":"ann"},"tags":{"a": "b"}}}}',
      (push.view("1", "text", about)))
  end)

  it("is none of a payload that would break it", function()
    for _, text in ipairs { "", "x", '1},"x":{', "1 2", '"\1"', '{"a":}' } do
      assert.is_nil(push.view(text, "text", { topic = "a" }))
    end
    assert.is_nil(push.view("1", "binary", { topic = "a" }))
    assert.is_nil(push.view("1", "text", { topic = "\0other" }))
  end)

  it("takes nothing beside a message that is not ours", function()
    for _, meta in ipairs { "x", "1", '{"info":1,"tags":"a"}', "{", "[]" } do
      assert.equal('{"push":{"channel":"a","pub":{"data":1}}}',
        (push.view("1", "text", { topic = "a", meta = meta })))
    end
  end)
end)

describe("the metrics of channels", function()
  it("are counts and gauges, each with its head", function()
    local app = require "evws.channels".new()
    app.n_clients, app.users = 5, { ann = {}, ben = {} }
    app.counts = { connected = 7, failures = 3, ignored = 4 }
    assert.same({ clients = 5, users = 2, connected = 7, errors = 3,
      ignored = 4, skipped = push.skipped }, app:stats())
    local lines = {}
    for line in app:metrics():gmatch "[^\n]+" do lines[#lines + 1] = line end
    local i = 0
    for _, one in ipairs { { "clients", "gauge", 5 }, { "users", "gauge", 2 },
      { "clients_total", "counter", 7 }, { "errors_total", "counter", 3 },
      { "ignored_total", "counter", 4 },
      { "skipped_total", "counter", push.skipped } } do
      local name = "evws_channels_" .. one[1]
      assert.equal(1, (lines[i + 1]:find("# HELP " .. name .. " %u.*%.$")))
      assert.same({ "# TYPE " .. name .. " " .. one[2], name .. " " .. one[3] },
        { lines[i + 2], lines[i + 3] })
      i = i + 3
    end
    assert.equal(i, #lines)
  end)
end)

describe("a reason", function()
  it("is never an order, and fits", function()
    for text, reason in pairs { [""] = "closed", ["5"] = "closed: 5",
      ["true"] = "closed: true", ['"x"'] = 'closed: "x"', ["bye"] = "bye",
      [("x"):rep(200)] = ("x"):rep(123),
      ["a" .. ("\u{1F600}"):rep(40)] = "a" .. ("\u{1F600}"):rep(30) } do
      assert.equal(reason, errors.reason(text))
    end
  end)
end)

describe("fields of a request", function()
  local function read(name, raw)
    return pcall(json[name], { x = raw }, "x")
  end

  it("are what they have to be, or nothing", function()
    for name, cases in pairs {
      string_field = { ['"a"'] = "a", ['"\\u0041\\n"'] = "A\n", ['""'] = "" },
      flag_field = { ["true"] = true, ["false"] = false, ["null"] = false },
      count_field = { ["0"] = 0, ["17"] = 17,
        ["9223372036854775808"] = math.maxinteger },
      integer_field = { ["-1"] = -1, ["7"] = 7,
        ["-99999999999999999999"] = math.mininteger } } do
      for raw, value in pairs(cases) do
        assert.same({ true, value }, { read(name, raw) })
      end
      local ok, value = read(name, "null")
      assert.is_true(ok and not value)
    end
  end)

  it("break the protocol otherwise", function()
    for name, cases in pairs { string_field = { "1", "{}", "true" },
      flag_field = { "1", '"true"', "[]" },
      count_field = { "-1", "1.0", "1e3", '"1"' },
      integer_field = { "1.5", '"1"', "1e3" },
      object_field = { "1", "[]", '"{}"' } } do
      for _, raw in ipairs(cases) do
        local ok, why = read(name, raw)
        assert.is_false(ok)
        assert.is_true(errors.is_close(why))
        assert.equal(3501, why.code)
      end
    end
  end)
end)
