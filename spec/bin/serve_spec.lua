-- The command line of `evws serve`; what it does with it is spec/serve.

local serve = require "evws.command.serve"
local processes = require "spec.binding.kit"
local t = require "spec.helper"

local function read(...)
  return serve.read { [0] = "bin/evws", [-1] = "a-lua", "serve", ... }
end

local function refused(...)
  local ok, what = pcall(read, ...)
  assert.is_false(ok)
  return what.usage
end

describe("the command line of evws serve", function()
  after_each(processes.cleanup)

  it("has a script, options around it, and arguments behind --", function()
    local o = read("-w", "3", "app.lua", "--grace=5", "--linger", "2", "--",
      "8080", "--x", "--")
    assert.same({ "app.lua", { "8080", "--x", "--" }, 3, 5, 2, 1012, 30, 60,
      "a-lua" }, { o.script, o.arguments, o.workers, o.grace, o.linger,
      o.close_code, o.ready, o.hang, o.lua })
    o = read("app.lua", "--lua", "/bin/lua", "--hang", "0", "--close-code",
      "4000", "--redis", "spawn", "--pid", "x", "--ready", "0.5")
    assert.same({ "/bin/lua", 0, 4000, "spawn", "x", 0.5, {} }, { o.lua, o.hang,
      o.close_code, o.redis, o.pid, o.ready, o.arguments })
    assert.is_true(o.workers >= 1)
    assert.equal("rediss://u:p@h:1/2", read("a", "--redis",
      "rediss://u:p@h:1/2").redis)
  end)

  it("says what is wrong", function()
    for message, words in pairs {
      ["a script is missing"] = { "-w", "2" },
      ["'b.lua' stands behind the script (its arguments stand behind --)"] =
        { "a.lua", "b.lua" },
      ["--workers: a number of at least 1 expected, not '0'"] =
        { "a.lua", "-w", "0" },
      ["--workers: a number of at least 1 expected, not '1.5'"] =
        { "a.lua", "-w1.5" },
      ["--workers: at most 128, not '129'"] = { "a.lua", "-w", "129" },
      ["--grace: a number of at least 0 expected, not '-1'"] =
        { "a.lua", "--grace", "-1" },
      ["--linger: a number of at least 0 expected, not 'long'"] =
        { "a.lua", "--linger=long" },
      ["--ready: a number of at least 0.001 expected, not '0'"] =
        { "a.lua", "--ready", "0" },
      ["--hang: a number of at least 0 expected, not 'never'"] =
        { "a.lua", "--hang", "never" },
      ["--close-code: a code that may be sent expected, not '1005'"] =
        { "a.lua", "--close-code", "1005" },
      ["--close-code: a code that may be sent expected, not '5000'"] =
        { "a.lua", "--close-code", "5000" },
      ["--redis: redis://HOST, redis+unix:/PATH or spawn expected, not 'h'"] =
        { "a.lua", "--redis", "h" },
      ["--workers: a value is missing"] = { "a.lua", "--workers" },
      ["unknown option '--instances' (--workers)"] = { "--instances" },
      ["unknown option '--timeout=3' (--hang)"] = { "--timeout=3" },
      ["unknown option '--port' (the script's ws.listen says it)"] =
        { "--port", "80" },
      ["unknown option '--worker' (did you mean '--workers'?)"] =
        { "--worker", "4" },
      ["unknown option '--rediss=spawn' (did you mean '--redis'?)"] =
        { "--rediss=spawn" },
      ["unknown option '--nothing-like-it'"] = { "--nothing-like-it" },
      ["unknown option '-x'"] = { "-x" },
    } do
      assert.equal(message, refused(table.unpack(words)))
    end
  end)

  it("is told with its usage, and status 2", function()
    local child = processes.start "bin/evws serve"
    assert.equal(2, child:ended())
    assert.equal("evws: a script is missing\nusage: evws serve [OPTION]... "
      .. "SCRIPT [-- ARGUMENT]...; evws serve --help says more\n",
      child:errors())
  end)

  it("is explained by --help", function()
    local child = processes.start "bin/evws serve --help"
    assert.equal(0, child:ended())
    local text = child:output()
    for option in require "evws.command.manual".each(
      require "evws.command.serve_manual") do
      t.contains(text, "--" .. option.long)
    end
    t.contains(text, "TTIN, TTOU")
    for line in text:gmatch "[^\n]+" do assert.is_true(#line < 80, line) end
  end)

  it("leaves a host of that name alone", function()
    local o = require "evws.command.arguments".read { "ws://serve" }
    assert.equal("ws://serve", o.url)
  end)
end)
