-- Option tables: what is not an option, or no value of one, raises at the
-- caller's line and before anything has happened.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains, refused = t.contains, kit.refused
local refused_by_connect = kit.refused_by_connect

local nan = 0 / 0

local seconds = { "close_timeout", "handshake_timeout", "idle_timeout",
  "keepalive_interval", "keepalive_timeout", "max_lifetime",
  "stall_timeout", "upgrade_timeout" }

local counts = { -- name, least, most, may it be false
  { "concurrency", 1, 60000 }, { "high_water", 1 }, { "low_water", 0 },
  { "max_body", 0 }, { "max_connections", 1, nil, true },
  { "max_fragments", 1, nil, true }, { "max_header_bytes", 64, 1 << 20 },
  { "max_header_line", 64, 1 << 20 }, { "max_headers", 8, 10000 },
  { "max_memory", 1 << 20, nil, true }, { "max_message", 0, nil, true },
  { "max_pending", 1, nil, true }, { "max_per_address", 1, nil, true },
  { "max_queued", 1, nil, true }, { "max_ratio", 1, nil, true },
  { "max_request_line", 64, 65535 },
  { "read_budget", 1 }, { "receive_queue", 1 },
}

local others = {
  backlog = { 0, 65536, 1.5, "10", true },
  control_rate = { true, 5, {}, { burst = 0, rate = 1 }, { burst = 5 },
    { burst = "5", rate = 1 }, { burst = 5, rate = -1 },
    { burst = nan, rate = 1 }, { burst = 5, rate = nan } },
  host = { 5, true, "local\0host" },
  http_keepalive = { true, 5, { timeout = 0 }, { timeout = "1" },
    { timeout = nan }, { requests = 0 }, { requests = 1.5 },
    { requests = {} } },
  on_close = { 1, "f", {}, true }, on_drain = { 1 }, on_error = { 1 },
  on_full = { "drop", true, 1 },
  on_flood = { "drop", true, 1, "wait" }, on_message = { 1 }, on_open = { 1 },
  on_request = { 1 }, on_upgrade = { 1 },
  path = { 5, "ws", "", "/a?b", "/a#b", "/a b", "/a\0b" },
  port = { -1, 65536, 1.5, "80", true },
  read_ahead = { 1, "yes" }, require_origin = { 1, "yes" },
  reuse_port = { 1, "yes" },
}
others.message_rate = others.control_rate

local of_connect = {
  headers = { 5, "X: y" },
  proxy = { 5, "", "x y", "socks5://a", "https://", "http://a/b" },
  origin = { 5, "a b", "a,b", "a\r\nb" },
  timeout = { 0, -1, nan, true, "1" },
  on_open = { 1 }, on_message = { 1 }, on_close = { 1 },
  close_timeout = { 0, "1" }, max_message = { -1 },
}

describe("options", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  describe("names", function()
    it("that are unknown raise and the nearest one is suggested", function()
      for name, suggestion in pairs { prot = "port", on_mesage = "on_message",
        Path = "path", keepalive_intervall = "keepalive_interval",
        max_mesage = "max_message", origin = "origins" } do
        assert.equal(("unknown option '%s' for 'listen' (did you mean '%s'?)")
          :format(name, suggestion), refused { port = 0, [name] = 1 })
      end
    end)

    it("that resemble nothing are not guessed at", function()
      assert.equal("unknown option 'completely_else' for 'listen'",
        refused { port = 0, completely_else = 1 })
    end)

    it("are names: a list raises", function()
      contains(refused { 8080 }, "'listen'")
      contains(refused { port = 0, [true] = 1 }, "'listen'")
    end)

    it("of the other function are unknown", function()
      contains(refused { port = 0, timeout = 1 }, "unknown option 'timeout'")
      for _, name in ipairs { "port", "on_request", "on_upgrade",
        "require_origin", "max_body", "unix" } do
        contains(refused_by_connect { [name] = 1 },
          ("unknown option '%s' for 'connect'"):format(name))
      end
    end)

    it("inside of a table raise as well", function()
      contains(refused { port = 0, http_keepalive = { timout = 1 } },
        "http_keepalive")
      contains(refused { port = 0,
        control_rate = { burst = 5, rate = 1, reit = 1 } }, "control_rate")
    end)

    it("stand in a table: anything else raises", function()
      for _, value in ipairs { 8080, "localhost", true } do
        contains(kit.refusal(function()
          local server = ws.listen(value)
          return server
        end), "bad argument #1 to 'listen' (table expected")
      end
      assert.is_false((pcall(ws.listen)))
    end)
  end)

  describe("values", function()
    for _, name in ipairs(seconds) do
      it("of " .. name .. " are seconds above 0, or false", function()
        for _, value in ipairs { true, "5", 0, -1, nan, {} } do
          contains(refused { port = 0, [name] = value }, "'" .. name .. "'")
        end
        for _, value in ipairs { 0.001, 300, 300.5, false } do
          t.listen { keepalive_timeout = false, [name] = value,
            keepalive_interval = name == "keepalive_interval" and value }
        end
      end)
    end

    for _, row in ipairs(counts) do
      local name, least, most, can_be_off = table.unpack(row, 1, 4)
      it("of " .. name .. " are whole numbers in their range", function()
        local wrong = { true, "5", least - 1, least + 0.5, nan, {} }
        if most then wrong[#wrong + 1] = most + 1 end
        if not can_be_off then wrong[#wrong + 1] = false end
        for _, value in ipairs(wrong) do
          contains(refused { port = 0, [name] = value }, "'" .. name .. "'")
        end
        t.listen { low_water = 0, [name] = least }
        if most then t.listen { [name] = most } end
        if can_be_off then t.listen { [name] = false } end
      end)
    end

    it("that are no numbers are told what was expected", function()
      for _, row in ipairs {
        { "idle_timeout", "5",
          [[number or false expected, got the string "5" (tonumber?)]] },
        { "idle_timeout", true, "number or false expected, got true" },
        { "idle_timeout", 0, "seconds above 0 expected, got 0" },
        { "idle_timeout", -1.5, "seconds above 0 expected, got -1.5" },
        { "max_body", false, "number expected, got false" },
        { "max_body", "5",
          [[number expected, got the string "5" (tonumber?)]] },
        { "max_body", -1, "a whole number of at least 0 expected, got -1" },
        { "max_body", 0.5, "a whole number of at least 0 expected, got 0.5" },
        { "max_message", "", [[number or false expected, got the string ""]] },
        { "max_message", "1k",
          [[number or false expected, got the string "1k"]] },
        { "max_queued", 0, "a whole number of at least 1 expected, got 0" },
        { "concurrency", 60001,
          "a whole number from 1 to 60000 expected, got 60001" },
        { "concurrency", 0, "a whole number from 1 to 60000 expected, got 0" },
        { "max_headers", 8.5,
          "a whole number from 8 to 10000 expected, got 8.5" },
        { "max_header_line", 1 << 21,
          "a whole number from 64 to 1048576 expected, got 2097152" },
        { "backlog", 0, "an integer from 1 to 65535 expected, got 0" },
        { "backlog", "10", "an integer from 1 to 65535 expected, got the "
          .. 'string "10" (tonumber?)' },
        { "port", "8080", "an integer from 0 to 65535 expected, got the "
          .. 'string "8080" (tonumber?)' },
        { "port", t.echo, "an integer from 0 to 65535 expected, got a "
          .. "function" },
        { "reuse_port", "yes", [[boolean expected, got the string "yes"]] },
        { "host", { "a" }, "string expected, got a table" },
        { "host", io.stdout, "string expected, got a FILE*" },
        { "reuse_port", "a\0\27", "boolean expected, got the string "
          .. [["a\x00\x1b"]] },
        { "reuse_port", ("ä"):rep(21), "boolean expected, got the string "
          .. '"' .. ("ä"):rep(20) .. '..."' },
        { "message_rate", 5, "{ burst =, rate = } or false expected, got 5" },
      } do
        local name, value, text = table.unpack(row)
        assert.equal(("bad option '%s' (%s)"):format(name, text),
          refused { port = 0, [name] = value })
      end
      assert.equal("bad option 'port' (an integer from 0 to 65535 expected, "
        .. "got 65536)", refused { port = 65536 })
      assert.matches("^bad option 'idle_timeout' %(seconds above 0 expected, "
        .. "got %-?nan%)$", refused { port = 0, idle_timeout = nan })
      assert.matches("^bad option 'control_rate' %({ burst =, rate = } with "
        .. "numbers expected, got a table%)$",
        refused { port = 0, control_rate = { burst = 0, rate = 1 } })
      assert.equal("bad option 'control_rate' (unknown field 'x')",
        refused { port = 0, control_rate = { x = 1 } })
    end)

    for name, wrong in pairs(others) do
      it("of " .. name .. " are checked", function()
        for _, value in ipairs(wrong) do
          contains(refused { port = name ~= "port" and 0 or nil,
            [name] = value }, "'" .. name .. "'")
        end
      end)
    end

    for name, wrong in pairs(of_connect) do
      it("of connect's " .. name .. " are checked", function()
        for _, value in ipairs(wrong) do
          contains(refused_by_connect { [name] = value }, name)
        end
      end)
    end

    it("of rates and http_keepalive may be false", function()
      t.listen { control_rate = false, message_rate = false,
        http_keepalive = false }
      t.listen { control_rate = { burst = 1, rate = 0 },
        http_keepalive = { timeout = 1, requests = 1 } }
    end)

    it("of keepalive_timeout are above 1.1 intervals", function()
      contains(refused { port = 0, keepalive_interval = 10,
        keepalive_timeout = 11 }, "'keepalive_timeout'")
      contains(refused { port = 0, keepalive_timeout = 100 },
        "'keepalive_timeout'")
      t.listen { keepalive_interval = 10, keepalive_timeout = 11.5 }
      t.listen { keepalive_interval = false, keepalive_timeout = 1 }
      t.listen { keepalive_interval = 1000 } -- the timeout is then 2000
    end)

    it("of low_water are not above high_water", function()
      contains(refused { port = 0, high_water = 10, low_water = 11 },
        "'low_water'")
      t.listen { high_water = 10, low_water = 10 }
      t.listen { high_water = 10 }
    end)

    it("of port or unix: one of them", function()
      contains(refused {}, "'port'")
      contains(refused { port = 0, unix = "/tmp/x" }, "'unix'")
    end)
  end)

  it("are all judged before the port is taken", function()
    local server = t.listen {}
    local port = server.port
    server:close()
    for _, wrong in ipairs { { on_message = 1 }, { origins = { "?" } },
      { subprotocols = { "a b" } }, { max_message = -1 } } do
      wrong.port, wrong.host = port, "127.0.0.1"
      refused(wrong)
    end
    assert.equal(port, t.listen({ port = port }).port)
  end)

  it("leave alone the table they stand in", function()
    local options = { port = 0, host = "127.0.0.1", max_message = 5 }
    local server = assert(ws.listen(options))
    server:close()
    local n = 0
    for _ in pairs(options) do n = n + 1 end
    assert.equal(3, n)
  end)

  it("are read when listen is called, not later", function()
    local options = { on_message = function(c, m) c:send("first " .. m) end }
    options.port, options.host = 0, "127.0.0.1"
    local server <close> = assert(ws.listen(options))
    options.on_message = function(c) c:send "second" end
    local conn <close> = assert(ws.connect("ws://127.0.0.1:" .. server.port))
    conn:send "x"
    assert.equal("first x", conn:receive(t.limit))
  end)

  it("have defaults that can be read", function()
    for name, value in pairs { max_request_line = 8192,
      max_header_bytes = 32768, max_header_line = 8192, max_headers = 100,
      handshake_timeout = 10, upgrade_timeout = 30, max_pending = 1024,
      max_body = 1 << 20, require_origin = false, max_message = 1 << 20,
      max_fragments = 4096, receive_queue = 65536, concurrency = 1,
      read_ahead = false, high_water = 65536, low_water = 32768,
      max_queued = 1 << 20,
      on_full = "reject", on_flood = "close", stall_timeout = 10,
      keepalive_interval = 120, keepalive_timeout = 240,
      idle_timeout = false, close_timeout = 5, max_lifetime = false,
      message_rate = false, origins = "*", hosts = "*" } do
      assert.equal(value, ws.defaults[name], name)
    end
    assert.same({ burst = 50, rate = 10 }, ws.defaults.control_rate)
    assert.same({ timeout = 75, requests = 1000 },
      ws.defaults.http_keepalive)
  end)

  it("have defaults that are options themselves", function()
    local options = { port = 0 }
    for name, value in pairs(ws.defaults) do options[name] = value end
    local server <close> = assert(ws.listen(options))
    assert.equal("localhost", server.host)
  end)
end)
