-- options.lua: the options of a hub, and what its methods take.

local options = require "evws.signalr.options"

local function read(given) return options.read(given, 1) end

local function refusal(given)
  local ok, why = pcall(function()
    local _ = read(given)
  end)
  assert.is_false(ok)
  local file, text = tostring(why):match "^([^:]*):%d+: (.*)$"
  assert.is_truthy(file and file:find("options_spec", 1, true), why)
  return text
end

describe("the options of a hub", function()
  it("have the defaults of ASP.NET", function()
    local o = read {}
    assert.same({ 15, 30, 15, 15, 32768, 65536, 1, 10, 64, 100000, false },
      { o.keepalive_interval, o.client_timeout, o.handshake_timeout,
        o.disconnect_timeout, o.max_record, o.max_buffered,
        o.parallel_invocations, o.stream_buffer, o.max_depth,
        o.replay_buffer, o.detailed_errors })
    assert.equal("same", o.origins)
    assert.same({ "json", "messagepack" }, o.protocols)
  end)

  it("are a copy", function()
    local given = { max_streams = 3 }
    local o = read(given)
    given.max_streams = 4
    assert.equal(3, o.max_streams)
  end)

  it("raise at the caller's line when they are wrong", function()
    for text, given in pairs {
      ["unknown option 'methds' for 'hub' (did you mean 'methods'?)"] =
        { methds = {} },
      ["unknown option 'quite_another' for 'hub'"] = { quite_another = 1 },
      ["unknown option '1' for 'hub'"] = { print },
      ["bad option 'max_record' for 'hub' (a whole number from 64 to "
        .. "2147483647, or false expected)"] = { max_record = 63 },
      ["bad option 'max_streams' for 'hub' (a whole number from 0 to 1000000 "
        .. "expected)"] = { max_streams = 1.5 },
      ["bad option 'handshake_timeout' for 'hub' (seconds above 0 expected)"] =
        { handshake_timeout = 0 },
      ["bad option 'client_timeout' for 'hub' (more than 'keepalive_interval'"
        .. " expected)"] = { client_timeout = 15 },
      ["bad option 'methods' for 'hub' (table expected)"] = { methods = 1 },
      ["bad option 'protocols' for 'hub' (a list of json, messagepack "
        .. "expected)"] = { protocols = { "xml" } },
      ["bad option 'on_connected' for 'hub' (function expected)"] =
        { on_connected = true },
      ["bad option 'filters' (a list of { invoke =, connected =, disconnected"
        .. " = } expected)"] = { filters = { { invok = print } } },
    } do
      assert.equal(text, refusal(given))
    end
    assert.equal("bad argument #1 to 'hub' (table expected, got nil)",
      refusal(nil))
    assert.is_false(read { keepalive_interval = false }.keepalive_interval)
    assert.is_false(read { client_timeout = false }.client_timeout)
  end)

  it("are numbers from the least to the most", function()
    local large = 1 << 40
    for name, bounds in pairs { max_record = { 64, 0x7fffffff },
      max_buffered = { 1, large }, max_queued = { 1, large },
      parallel_invocations = { 1, 60000 }, stream_buffer = { 1, 1000000 },
      max_streams = { 0, 1000000 }, max_depth = { 1, 500 },
      max_negotiated = { 1, large }, replay_buffer = { 1, large },
      minimum_version = { 0, 1 } } do
      local text = ("bad option '%s' for 'hub' (a whole number from %d to %d%s "
        .. "expected)"):format(name, bounds[1], bounds[2],
        name == "max_record" and ", or false" or "")
      for _, value in ipairs { bounds[1], bounds[2] } do
        assert.equal(value, read { [name] = value }[name])
      end
      for _, value in ipairs { bounds[1] - 1, bounds[2] + 1, "1", 1.0 } do
        assert.equal(text, refusal { [name] = value })
      end
    end
    assert.is_false(read { max_record = false }.max_record)
  end)

  it("are seconds above 0, and false where there may be none", function()
    for name, has_none in pairs { keepalive_interval = true,
      client_timeout = true, handshake_timeout = false,
      disconnect_timeout = false, poll_timeout = false, close_timeout = false,
      stall_timeout = false } do
      local text = ("bad option '%s' for 'hub' (seconds above 0%s expected)")
        :format(name, has_none and ", or false" or "")
      local value = name == "client_timeout" and 15.001 or 0.001
      assert.equal(value, read { [name] = value }[name])
      for _, wrong in ipairs { 0, -1, math.huge, 0 / 0, "1", true } do
        assert.equal(text, refusal { [name] = wrong })
      end
      if has_none then
        assert.is_false(read { [name] = false }[name])
      else
        assert.equal(text, refusal { [name] = false })
      end
    end
  end)

  it("raise at the line of signalr.hub", function()
    local signalr = require "evws.signalr"
    for _, given in ipairs { { methds = {} }, { max_record = 1 },
      { client_timeout = 1 }, { methods = { a = 1 } }, { filters = { 1 } },
      { methods = { a = { print, x = 1 } } }, { methods = { [1] = print } },
      { methods = { a = print, A = print } }, false } do
      local line = debug.getinfo(1, "l").currentline
      local ok, why = pcall(function()
        local hub = signalr.hub(given or nil)
        return hub
      end)
      assert.is_false(ok)
      assert.equal(line + 2, tonumber(why:match ":(%d+):"), why)
    end
  end)

  it("of hub:close are judged before anything happens", function()
    local hub = require "evws.signalr".hub {}
    for text, given in pairs {
      ["bad option 'timeout' for 'close' (seconds expected)"] =
        { timeout = "x" },
      ["bad option 'allow_reconnect' for 'close' (boolean expected)"] =
        { allow_reconnect = 1 },
      ["unknown option 'allow_reconect' for 'close' (did you mean "
        .. "'allow_reconnect'?)"] = { allow_reconect = false },
      ["bad argument #1 to 'close' (table expected, got boolean)"] = false,
    } do
      local ok, why = pcall(function() hub:close(given) end)
      assert.is_false(ok)
      assert.equal(text, why:match "options_spec.lua:%d+: (.*)$")
      assert.is_false(hub:is_leaving())
    end
    assert.is_true(hub:close { timeout = 0 })
    assert.is_true(hub:is_leaving())
  end)

  it("refuse methods that cannot be told apart, or called", function()
    for text, given in pairs {
      ["methods 'Say' and 'say' have the same name"] =
        { methods = { Say = print, say = print } },
      ["methods 'COUNT' and 'Count' have the same name"] =
        { methods = { Count = print }, streams = { COUNT = print } },
      ["bad method 'Say' (a function, or a table with one expected)"] =
        { methods = { Say = 1 } },
      ["bad method '' (a name expected)"] = { methods = { [""] = print } },
      ["bad method '1' (a name expected)"] = { methods = { print } },
      ["bad method 'a' ({ function, uploads =, args =, authorize = } "
        .. "expected)"] = { methods = { a = { print, arg = 1 } } },
      ["bad method 'b' (a number of uploads expected)"] =
        { methods = { b = { print, uploads = -1 } } },
      ["bad method 'c' (a number of arguments, or { least, most } expected)"] =
        { methods = { c = { print, args = { 2, 1 } } } },
      ["bad method 'd' (a function 'authorize' expected)"] =
        { methods = { d = { print, authorize = 1 } } },
    } do
      assert.equal(text, refusal(given))
    end
  end)

  it("read from a function how many arguments it takes", function()
    local _, methods = read {
      methods = {
        None = function() end,
        One = function(ctx, a) return a end,
        Any = function(ctx, a, ...) return a, ... end,
        Up = { function(ctx, items, a, b) return items, a, b end,
          uploads = 1 },
        Set = { function(...) return ... end, args = 2 },
        Span = { function(...) return ... end, args = { 1, 3 } },
      },
      streams = {
        Down = function(ctx, out, n) return out, n end,
        Both = { function(ctx, out, items) return out, items end,
          uploads = 1 },
      },
    }
    local function span(name)
      return { methods[name].least, methods[name].most,
        methods[name].uploads, methods[name].is_stream }
    end
    assert.same({ 0, 0, 0, false }, span "none")
    assert.same({ 1, 1, 0, false }, span "one")
    assert.same({ 1, math.huge, 0, false }, span "any")
    assert.same({ 2, 2, 1, false }, span "up")
    assert.same({ 2, 2, 0, false }, span "set")
    assert.same({ 1, 3, 0, false }, span "span")
    assert.same({ 1, 1, 0, true }, span "down")
    assert.same({ 0, 0, 1, true }, span "both")
    assert.equal("Down", methods.down.name)
  end)
end)
