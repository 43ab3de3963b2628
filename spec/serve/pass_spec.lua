-- core.worker: bytes and descriptors from one worker to another, by the serial
-- number of its process.

local kit = require "spec.serve.kit"
local t = require "spec.helper"

-- A worker answers "who" with its serial number. "pass SERIAL N" passes so many
-- bytes and one end of a new socket to that worker; who gets it says so and
-- closes it, which is seen at the other end. "leave SERIAL N" passes bytes
-- alone, and ends the process.
local script = [[
local core = require "evws.core"
local worker, serve = core.worker, core.serve
local function heard(channel)
  worker.on(channel, function(bytes, fd)
    say(channel, worker.serial, #bytes, fd ~= nil)
    if fd then serve.close(fd) end
  end)
end
heard "greet"
heard "back:greet"
heard "back:nobody"
local function pass(to, n, channel)
  local control, fd = serve.control()
  local ok, why = worker.pass(to, channel, ("x"):rep(n), fd)
  serve.close(fd)
  if not ok then return why end
  core.wait(control:fd(), "r", 30)
  return select(2, control:read())
end
local server = assert(ws.listen { host = "127.0.0.1", port = 0,
  on_message = function(conn, message)
    local other, most = message:match "^leave (%d+) (%d+)$"
    if other then
      assert(worker.pass(tonumber(other), "greet", ("x"):rep(tonumber(most))))
      os.exit(0)
    end
    local to, n, channel = message:match "^pass (%d+) (%d+) (%S+)$"
    conn:send(to and pass(tonumber(to), tonumber(n), channel)
      or tostring(worker.serial))
  end })
say("port", server.port)
say("worker", worker.serial, pid())
ws.run()
]]

-- One connection to each of two workers, and their serial numbers.
local function two(served)
  served:await("^worker", 2)
  local one = served:open()
  local function serial(client)
    client:send(t.frame("text", "who"))
    return client:frame().payload
  end
  local first = serial(one)
  while true do
    local other = served:open()
    local second = serial(other)
    if second ~= first then return one, first, other, second end
  end
end

local function ask(client, ...)
  client:send(t.frame("text", ("pass %s %d %s"):format(...)))
  return client:frame(20).payload
end

describe("a worker passes bytes and a descriptor", function()
  after_each(kit.cleanup)

  it("to another one, and to itself", function()
    local served = kit.serve(script)
    local one, first, _, second = two(served)
    for _, n in ipairs { 0, 1, 70000, 1024 * 1024 } do
      assert.equal("closed", ask(one, second, n, "greet"))
      served:await(("^greet %s %d true$"):format(second, n))
      assert.equal("closed", ask(one, first, n, "greet"))
      served:await(("^greet %s %d true$"):format(first, n))
    end
  end)

  it("and gets them back where that one is gone", function()
    local served = kit.serve(script)
    local one, first = two(served)
    assert.equal("closed", ask(one, 99, 300, "greet"))
    served:await(("^back:greet %s 300 true$"):format(first))
    assert.equal("closed", ask(one, 99, 7, "nobody"))
    served:await(("^back:nobody %s 7 true$"):format(first))
  end)

  local function has_ended(pid)
    local file <close> = io.open(("/proc/%s/stat"):format(pid))
    return not file or file:read "a":find "%) Z " ~= nil
  end

  it("though it has ended before the supervisor hears of it", function()
    local served = kit.serve(script)
    local one, first, _, second = two(served)
    local pid = served.child:wait(("^worker %s (%%d+)$"):format(first))
    served.child:signal "STOP"
    one:send(t.frame("text", ("leave %s 9"):format(second)))
    t.wait(function() return has_ended(pid) end, "the end of the first one")
    served.child:signal "CONT"
    served:await(("^greet %s 9 false$"):format(second))
  end)

  it("to a channel that nobody has: they are let go", function()
    local served = kit.serve(script)
    local one, _, other, second = two(served)
    assert.equal("closed", ask(one, second, 5, "silence"))
    assert.equal("closed", ask(other, second, 5, "greet")) -- it goes on
  end)

  it("not of any length, nor by any name", function()
    local served = kit.serve(script)
    local one, _, _, second = two(served)
    assert.equal("Message too long", ask(one, second, 3 * 1024 * 1024, "greet"))
    assert.equal("Invalid argument", ask(one, second, 1, ("c"):rep(40)))
  end)

  it("to the one that was meant, though another has its number", function()
    local served = kit.serve(script, "-w 2 --linger 30")
    local one, first, _, second = two(served)
    served.child:signal "HUP"
    served:await("^worker", 4)
    local fresh, third
    repeat -- whoever is to go accepts until it hears of it
      fresh = served:open()
      fresh:send(t.frame("text", "who"))
      third = fresh:frame().payload
    until third ~= first and third ~= second
    assert.equal("closed", ask(fresh, second, 11, "greet"))
    served:await(("^greet %s 11 true$"):format(second))
    assert.equal("closed", ask(one, third, 12, "greet"))
    served:await(("^greet %s 12 true$"):format(third))
  end)

  it("is nobody's without a supervisor", function()
    local worker = require "evws.core".worker
    assert.same({ nil, "no worker of a supervisor", n = 2 },
      table.pack(worker.pass(1, "x", "y")))
    worker.on("x", function() end)
  end)
end)
