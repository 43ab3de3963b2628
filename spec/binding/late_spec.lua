-- What an object of evws does in a finalizer that runs when the state of evws
-- has been closed: at the end of a script, of what was made before evws was
-- loaded. Nothing crashes or hangs, and each call says so or does nothing.

local child = require "spec.helper.child"
local redis = require "spec.helper.redis"

-- `late(name, fn)` is called then, in the reverse order of these calls.
local before = [[
  local calls = {}
  local function late(name, fn) calls[#calls + 1] = { name, fn } end
  local guard = setmetatable({}, { __gc = function()
    for i = #calls, 1, -1 do
      local got = table.pack(pcall(calls[i][2]))
      for k = 1, got.n do
        got[k] = tostring(got[k]):gsub("^.-:%d+: ", "")
      end
      print(calls[i][1] .. ": " .. table.concat(got, " ", 1, got.n))
    end
  end })
]]

local function run(script)
  local lines, ok = child.run(script, { before = before })
  assert.is_true(ok, table.concat(lines, "\n"))
  return lines
end

describe("when the state of evws is closed", function()
  it("a queue is closed, can be taken from, and wakes nobody", function()
    assert.same({ "take: true one", "put: true nil closed",
      "close: true true" }, run [[
        local queue, full = ws.queue(4), ws.queue(1)
        full:put "one"
        ws.spawn(function() queue:take() end)
        ws.spawn(function() full:put "two" end)
        for _ = 1, 3 do ws.step(0) end
        late("close", function() return queue:close() and full:close() end)
        late("put", function() return queue:put "more" end)
        late("take", function() return full:take() end)
      ]])
  end)

  it("nothing can be waited for, and a task that waits cannot go on", function()
    assert.same({ "resume: true false evws is closed",
      "after: false evws is closed", "sleep: false evws is closed" }, run [[
        local co
        ws.spawn(function()
          co = coroutine.running()
          ws.sleep(1000)
        end)
        for _ = 1, 3 do ws.step(0) end
        late("sleep", function() return ws.sleep(0) end)
        late("after", function() return ws.after(0, print) end)
        late("resume", function()
          local ok, why = coroutine.resume(co)
          return ok, (tostring(why):gsub("^.-:%d+: ", ""))
        end)
      ]])
  end)

  it("a server and its connections are closed", function()
    assert.same({ "hear: true nil closed", "history: true nil closed",
      "publish: true nil closed", "send: true nil closed" }, run [[
        local conn
        local server = assert(ws.listen { host = "127.0.0.1", port = 0,
          history = { a = { size = 1, ttl = 1 } },
          on_open = function(c) conn = c end })
        local client
        ws.spawn(function()
          client = ws.connect(("ws://127.0.0.1:%d/"):format(server.port))
        end)
        wait(function() return conn and client end)
        late("send", function() return conn:send "x" end)
        late("publish", function() return server:publish("b", "x") end)
        late("history", function() return server:history "a" end)
        late("hear", function() return server:hear("a", print) end)
      ]])
  end)

  it("a backplane is closed", function()
    if not redis.is_built() then
      pending "needs hiredis"
      return
    end
    assert.same({ "close: true true" }, run [[
      local bus = ws.backplane "redis://127.0.0.1:1"
      late("close", function() return bus:close() end)
    ]])
  end)
end)
