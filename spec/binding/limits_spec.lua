-- What options and arguments take up to their limit: the last value that is
-- good, and the first that is not, with all that is said of it.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local redis = require "spec.helper.redis"
local ws = t.ws

local function x(n) return ("x"):rep(n) end

local function whole(name, least, most, got)
  return ("bad option '%s' (an integer from %d to %d expected, got %s)")
    :format(name, least, most, got)
end

describe("the limit", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("of what topics keep", function()
    local function rule(name, value)
      local history = { size = 1, ttl = 1 }
      history[name] = value
      return { port = 0, history = { ["a*"] = history } }
    end
    for _, row in ipairs {
      { "size", 1, 65536, 0, 65537, whole("size", 1, 65536, "%d") },
      { "bytes", 1, 1 << 53, 0, (1 << 53) + 1,
        whole("bytes", 1, 1 << 53, "%d") },
      { "ttl", 0.001, 366 * 86400, 0, 366 * 86400 + 1, "bad option 'ttl' "
        .. "(seconds above 0, and of a year at most expected, got %d)" } } do
      local name, least, most, below, above, text = table.unpack(row)
      t.listen(rule(name, least))
      t.listen(rule(name, most))
      assert.equal(text:format(below), kit.refused(rule(name, below)))
      assert.equal(text:format(above), kit.refused(rule(name, above)))
    end
    local good = { size = 1, ttl = 1 }
    for _, pattern in ipairs { "*", "a", "a*", x(65535), x(65534) .. "*" } do
      t.listen { history = { [pattern] = good } }
    end
    for _, pattern in ipairs { "**", "*a", x(65536), x(65535) .. "*" } do
      assert.equal(("bad option 'history' (the pattern '%s': a name, or the "
        .. "beginning of names and a '*')"):format(pattern),
        kit.refused { port = 0, history = { [pattern] = good } })
    end
  end)

  it("of what a history is asked for", function()
    local server = t.listen { history = { a = { size = 2, ttl = 60 } } }
    for i = 1, 3 do server:publish("a", "m" .. i) end
    local function n(limit)
      return #server:history("a", { limit = limit })
    end
    assert.same({ 0, 1, 2, 2, 2 }, { n(0), n(1), n(2), n(3), n(1 << 53) })
    for _, limit in ipairs { -1, (1 << 53) + 1 } do
      assert.equal(whole("limit", 0, 1 << 53, limit),
        kit.refused_call(server, "history", "a", { limit = limit }))
    end
  end)

  it("of a topic's name", function()
    local conn, _, server = kit.pair()
    local longest = x(65535)
    assert.is_true(conn:subscribe(longest))
    assert.same({ longest }, conn:topics())
    assert.equal(1, server:publish(longest, "m"))
    assert.equal(1, server:subscribers(longest))
    assert.is_true(conn:unsubscribe(longest))
    assert.equal(0, server:subscribers "y")
    for _, name in ipairs { "", x(65536) } do
      for who, calls in pairs {
        [conn] = { "subscribe", "unsubscribe", "publish" },
        [server] = { "publish", "subscribers", "each", "presence", "history",
          "reset" } } do
        for _, call in ipairs(calls) do
          assert.equal(("bad argument #1 to '%s' (a name of 1 to 65535 bytes "
            .. "expected)"):format(call), kit.refused_call(who, call, name,
              "m"))
        end
      end
    end
  end)

  it("of who somebody is", function()
    local conn, _, server = kit.pair()
    local function come(presence)
      assert.is_true(conn:subscribe("a", { presence = presence }))
      local list = server:presence "a"
      assert.is_true(conn:unsubscribe "a")
      return list
    end
    for name, most in pairs { id = 255, key = 255, info = 4096 } do
      for _, text in ipairs { x(most), x(most - 1) } do
        local list = come { [name] = text }
        assert.same({ 1, text }, { #list, list[1][name] })
      end
      for _, wrong in ipairs { x(most + 1), 5, true } do
        assert.equal(("bad option 'presence' (%s: a string of at most %d "
          .. "bytes expected)"):format(name, most),
          kit.refused_call(conn, "subscribe", "a",
            { presence = { [name] = wrong } }))
      end
    end
    assert.equal(x(4096), come(x(4096))[1].info)
    assert.equal("bad option 'presence' (a string of at most 4096 bytes, "
      .. '{ info =, key =, id = } or false expected, got the string "'
      .. x(40) .. '...")', kit.refused_call(conn, "subscribe", "a",
        { presence = x(4097) }))
  end)

  it("of what stands beside a message", function()
    local conn, _, server = kit.pair()
    local got
    server:hear("a", function(_, _, about) got = about.meta end)
    for _, who in ipairs { conn, server } do
      got = nil
      assert(who:publish("a", "m", "text", { meta = x(4096) }))
      t.wait(function() return got end)
      assert.equal(4096, #got)
      for wrong, shown in pairs { [x(4097)] = 'the string "' .. x(40)
        .. '..."', [5] = "5" } do
        assert.equal("bad option 'meta' (a string of at most 4096 bytes "
          .. "expected, got " .. shown .. ")", kit.refusal(function()
            local n = who:publish("a", "m", "text", { meta = wrong })
            return n
          end))
      end
    end
  end)

  it("of a close code and its reason", function()
    local may = "bad argument #1 to '%s' (a close code that may be sent "
      .. "expected (1000 to 1003, 1007 to 1014, 3000 to 4999))"
    local conn, _, server = kit.pair()
    for _, call in ipairs { "close", "shutdown" } do
      for _, code in ipairs { -1, 0, 999, 1004, 1005, 1006, 1015, 2999, 5000,
        65535, 65536, 66536 } do
        assert.equal(may:format(call), kit.refused_call(conn, call, code))
      end
      assert.equal(("bad argument #2 to '%s' (more than 123 bytes)")
        :format(call), kit.refused_call(conn, call, 1000, x(124)))
    end
    for _, code in ipairs { 999, 5000 } do
      assert.equal(whole("code", 1000, 4999, code),
        kit.refused_call(server, "close", { code = code }))
    end
    for _, reason in ipairs { x(124), "\xff" } do
      assert.equal("bad option 'reason' (at most 123 bytes of UTF-8 expected)",
        kit.refused_call(server, "close", { reason = reason }))
    end
    for _, code in ipairs { 1000, 1003, 1007, 1014, 3000, 4999 } do
      local c, raw, its = kit.pair()
      local one, two = c, t.open(its)
      one:close(code, x(123))
      raw:expect_close(code)
      its:close { code = code, reason = x(123), timeout = 0 }
      local got, why = two:expect_close(code)
      assert.same({ code, x(123) }, { got, why })
    end
  end)

  it("of what a ping carries", function()
    local conn, raw = kit.pair()
    assert.is_true(conn:ping(x(125)))
    raw:expect_frame("ping", x(125))
    assert.equal("bad argument #1 to 'ping' (more than 125 bytes)",
      kit.refused_call(conn, "ping", x(126)))
  end)

  it("of random bytes that are asked for at once", function()
    for _, n in ipairs { 0, 1, 63, 64, 65, 65535, 65536 } do
      assert.equal(n, #ws.random(n))
    end
    for _, n in ipairs { -1, 65537 } do
      assert.equal("bad argument #1 to 'random' (0 to 65536 expected)",
        kit.refusal(function() local bytes = ws.random(n) return bytes end))
    end
  end)

  it("of the seconds of a watchdog", function()
    for _, limit in ipairs { 0.001, 1e6 } do
      assert.is_true(ws.watchdog(limit))
    end
    for _, limit in ipairs { 0.0009, 1000001, 0, -1, 0 / 0 } do
      assert.equal("bad argument #1 to 'watchdog' (seconds of at least 0.001, "
        .. "or false, expected)",
        kit.refusal(function() local ok = ws.watchdog(limit) return ok end))
    end
    assert.is_true(ws.watchdog(false))
  end)

  it("of a URL", function()
    local head = "ws://127.0.0.1:1/"
    local function connect(n)
      return t.pump(function() return ws.connect(head .. x(n - #head)) end)
    end
    local conn, why = connect(32768)
    assert.is_nil(conn)
    t.contains(why, "connection refused")
    assert.equal("bad argument #1 to 'connect' (bad URL: too long)",
      kit.refusal(function()
        local made = ws.connect(head .. x(32769 - #head))
        return made
      end))
  end)

  it("of the compression's numbers", function()
    for name, bounds in pairs { threshold = { 0, 1 << 30 }, level = { 1, 9 },
      memory = { 1, 9 }, server_max_window_bits = { 9, 15 },
      client_max_window_bits = { 9, 15 } } do
      for _, value in ipairs(bounds) do
        t.listen { compression = { [name] = value } }
      end
    end
  end)

  it("of when a client tries again", function()
    local server = t.listen {}
    for _, value in ipairs { { initial = 2, maximum = 2 }, { jitter = 1 },
      { jitter = 0 }, { initial = 0.001 } } do
      local conn = assert(ws.connect(t.url_of(server), { reconnect = value }))
      conn:terminate()
    end
    for _, value in ipairs { { initial = 2, maximum = 1.99 }, { jitter = 1.01 },
      { jitter = -0.01 } } do
      assert.equal("bad option 'reconnect' (0 < initial <= maximum and 0 <= "
        .. "jitter <= 1 expected)", kit.refused_by_connect
          { reconnect = value })
    end
  end)

  it("of the permissions of a socket", function()
    local path = os.tmpname()
    os.remove(path)
    for mode, want in pairs { ["777"] = "rwxrwxrwx", ["0001"] = "--------x",
      ["600"] = "rw-------", ["0770"] = "rwxrwx---" } do
      local server = t.listen { unix = path, unix_mode = mode }
      local pipe <close> = assert(io.popen("ls -ld " .. path))
      assert.equal("s" .. want, pipe:read(10))
      server:close()
    end
    for _, mode in ipairs { "", "0", "77", "000", "0000", "778", "1777",
      "00777", "7777", "6 6", "0o66" } do
      assert.equal(('bad option \'unix_mode\' (octal digits as "660" expected,'
        .. ' got the string "%s")'):format(mode),
        kit.refused { unix = path, unix_mode = mode })
    end
  end)

  it("of where one listens", function()
    local function said(name, least, most, value, more)
      local options = { [name] = value }
      for k, v in pairs(more or {}) do options[k] = v end
      assert.equal(whole(name, least, most, value), kit.refused(options))
    end
    for _, backlog in ipairs { 1, 65535 } do
      t.listen { backlog = backlog }
    end
    said("backlog", 1, 65535, 0, { port = 0 })
    said("backlog", 1, 65535, 65536, { port = 0 })
    said("port", 0, 65535, -1)
    said("port", 0, 65535, 65536)
    said("fd", 0, (1 << 31) - 1, -1)
    said("fd", 0, (1 << 31) - 1, 1 << 31)
    local server, why, code = ws.listen { fd = (1 << 31) - 1 }
    assert.is_nil(server)
    t.contains(why, "cannot listen on descriptor 2147483647: ")
    assert.equal("number", type(code))
  end)
end)

if redis.is_missing("a backplane's limits", "hiredis") then return end

describe("the limit of a backplane's", function()
  local url = "redis://127.0.0.1:1"
  local mib = 1 << 20

  local function take(options)
    options.url = options.url or url
    local bus <close> = assert(ws.backplane(options))
    assert.equal("connecting", bus.state)
  end

  local function refused(options)
    options.url = options.url or url
    return kit.refusal(function()
      local bus = ws.backplane(options)
      return bus
    end)
  end

  after_each(t.cleanup)

  it("numbers", function()
    for name, bounds in pairs { max_queued = { 1, 1024 * mib },
      max_reply = { 1024, 1024 * mib } } do
      local least, most = table.unpack(bounds)
      take { [name] = least }
      take { [name] = most }
      for _, wrong in ipairs { least - 1, most + 1 } do
        assert.equal(whole(name, least, most, wrong),
          refused { [name] = wrong })
      end
    end
  end)

  it("texts", function()
    for name, most in pairs { prefix = 1024, username = 65535,
      password = 65535 } do
      take { [name] = x(most) }
      take { [name] = "" }
      assert.equal(("bad option '%s' (at most %d bytes expected)")
        :format(name, most), refused { [name] = x(most + 1) })
      assert.equal(("bad option '%s' (string expected)"):format(name),
        refused { [name] = 5 })
    end
  end)

  it("seconds", function()
    for _, name in ipairs { "pending_timeout", "ping_interval",
      "presence_ttl", "timeout" } do
      take { [name] = 0.001 }
      take { [name] = 1e9 }
      for wrong, shown in pairs { [0] = "0", [-1] = "-1",
        [math.huge] = "inf", ["5"] = 'the string "5" (tonumber?)' } do
        assert.equal(("bad option '%s' (seconds above 0 expected, got %s)")
          :format(name, shown), refused { [name] = wrong })
      end
    end
  end)

  it("URLs", function()
    local many = {}
    for i = 1, 64 do many[i] = url end
    take { url = { url } }
    take { url = many }
    many[65] = url
    for _, wrong in ipairs { {}, many } do
      assert.equal("bad option 'url' (1 to 64 URLs expected)",
        refused { url = wrong })
    end
  end)
end)
