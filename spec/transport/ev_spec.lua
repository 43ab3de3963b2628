-- libev as the driver of a loop (src/transport/ev.c): readiness, waking, and
-- signals; the last in processes of their own.

local probe = require "evws_probe"

local net = probe.net
local factor = tonumber(os.getenv "EVWS_TIME_FACTOR") or 1
local emulated = os.getenv "EVWS_EMULATED"
local read, write, again = 1, 2, 4

describe("libev", function()
  local loop, a, b

  before_each(function()
    loop = probe.loop.new "ev"
    local listener <close> = assert(net.listen "127.0.0.1")
    a = assert(net.connect { port = listener.port })
    repeat b = listener:accept() until b
  end)

  after_each(function()
    a:close()
    b:close()
  end)

  local function wait(predicate)
    local last = net.now() + 5 * factor
    while not predicate() do
      if net.now() > last then error("waited in vain", 2) end
      loop:step(0.01)
    end
  end

  it("tells when a descriptor can be read", function()
    local got
    local w = loop:watch(b:fd(), function(x) got = x end)
    w:set(read)
    loop:step(0)
    assert.is_nil(got)
    a:send "x"
    loop:step(5)
    assert.equal(read, got)
    b:recv()
    got = nil
    loop:step(0)
    assert.is_nil(got)
    w:stop()
  end)

  it("tells again while it has not been read", function()
    local n = 0
    local w = loop:watch(b:fd(), function() n = n + 1 end)
    w:set(read)
    a:send "x"
    for _ = 1, 3 do loop:step(5) end
    assert.equal(3, n)
    w:stop()
  end)

  it("tells when it can be written, or both", function()
    local got
    local w = loop:watch(b:fd(), function(x) got = x end)
    w:set(write)
    loop:step(5)
    assert.equal(write, got)
    a:send "x"
    w:set(read | write)
    wait(function() return got == read | write end)
    w:set(0)
    got = nil
    loop:step(0)
    assert.is_nil(got)
  end)

  it("tells of the end of a stream as of bytes", function()
    local got
    local w = loop:watch(b:fd(), function(x) got = x end)
    w:set(read)
    a:close()
    loop:step(5)
    assert.equal(read, got)
    w:stop()
  end)

  it("does not wait while there is work in user space", function()
    local got
    local w = loop:watch(b:fd(), function(x) got = x end)
    w:set(read)
    w:again()
    local began = net.now()
    loop:step(100)
    assert.is_true(net.now() - began < 50)
    assert.equal(again, got)
    w:stop()
  end)

  it("wakes for a timer, not before its time", function()
    local at
    local from = net.now()
    loop:timer(function() at = net.now() end):set(0.03)
    while not at do loop:step(5) end
    assert.is_true(at - from >= 0.03)
    assert.is_true(at - from < 0.5 * factor)
  end)

  it("wakes for a deadline", function()
    local at
    local from = net.now()
    loop:deadline(function() at = net.now() end):set(3)
    while not at do loop:step(5) end
    assert.is_true(at - from >= 0.02)
    assert.is_true(at - from < 0.5 * factor)
  end)

  it("comes back after the timeout of a step", function()
    local w = loop:watch(b:fd(), function() end)
    w:set(read)
    local from = net.now()
    loop:step(0.02)
    assert.is_true(net.now() - from >= 0.019)
    w:stop()
  end)

  it("says when nothing is left that could happen", function()
    assert.is_false(loop:step(-1))
    local t = loop:timer(function() end)
    t:set(0.001)
    wait(function() return not loop:step(-1) end)
  end)
end)

describe("signals", function()
  local lua = os.getenv "LUA" or "lua5.4"

  -- The lines that a script prints in a process of its own. before: shell.
  local function run(script, before)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(([[
      package.path, package.cpath = %q, %q
      io.stdout:setvbuf "line"
      local ws = require "evws"
      local pid = assert(io.open "/proc/self/stat"):read "n"
      local function mask(name) -- of SIGINT (2) and SIGTERM (15)
        local status = assert(io.open "/proc/self/status"):read "a"
        local bits = tonumber(status:match(name .. ":%%s*(%%x+)"), 16)
        return bits & (1 << 1 | 1 << 14)
      end
      local function kill(name) -- os.execute would ignore SIGINT meanwhile
        io.popen("kill -" .. name .. " " .. pid):close()
      end
    ]]):format(package.path, package.cpath), script)
    file:close()
    local pipe = assert(io.popen(("%s exec %s %s 2>&1"):format(
      before or "", lua, path)))
    local lines = {}
    for line in pipe:lines() do lines[#lines + 1] = line end
    local ok, how, code = pipe:close()
    os.remove(path)
    return lines, ok, how, code
  end

  local interrupted = [[
    local caught, ignored = mask "SigCgt", mask "SigIgn"
    ws.after(0, function()
      print(mask "SigCgt" == (1 << 1 | 1 << 14))
      kill "%s"
    end)
    local guard = ws.after(20, function() end)
    print(ws.run())
    guard:cancel()
    print(mask "SigCgt" == caught, mask "SigIgn" == ignored)
  ]]

  it("end a run and are as before after it", function()
    for _, name in ipairs { "INT", "TERM" } do
      assert.same({ "true", "nil\tinterrupted", "true\ttrue" },
        (run(interrupted:format(name))))
    end
  end)

  it("that are ignored stay ignored", function()
    if emulated then pending "the emulator ignores signals of its own" end
    local lines = run([[
      ws.after(0, function() kill "TERM" end)
      ws.after(0.05, ws.stop)
      print(ws.run())
      print(mask "SigIgn" == 1 << 14)
    ]], "trap '' TERM;")
    assert.same({ "true", "true" }, lines)
  end)

  it("are left alone when a run is told so", function()
    local lines = run [[
      local caught = mask "SigCgt"
      ws.run(function() print(mask "SigCgt" == caught) end,
        { signals = false })
    ]]
    assert.same({ "true" }, lines)
  end)

  it("end a wait outside of a run as they end the interpreter", function()
    local lines, ok = run [[
      ws.after(0, function() kill "INT" end)
      ws.sleep(20)
      print "it went on"
    ]]
    assert.is_falsy(ok)
    assert.is_nil(table.concat(lines, "\n"):find "it went on")
    assert.is_truthy(table.concat(lines, "\n"):find "interrupted!")
  end)

  it("of children are the program's own", function()
    local lines = run [[
      ws.after(0, function()
        local pipe = io.popen "echo child; exit 3"
        print(pipe:read "l")
        print(pipe:close())
      end)
      ws.run()
    ]]
    assert.same({ "child", "nil\texit\t3" }, lines)
  end)
end)
