-- Lua has no memory in the moment in which a handler is to be called. on_close
-- was lost then, or came without on_open; ws.after was forgotten.

local t = require "spec.helper"
local kit = require "spec.binding.kit"

-- `body` does something with `attempt(n, fn)`: fn while memory is refused from
-- the nth request on, for n from 0 until it needs no more.
local function run(body)
  local child = kit.run([[
    local memory = require "evws_probe".memory
    local ws = require "evws"
    memory.refuse()
    ws.on_error(function() end)
    local report = {}
    local function attempt(n, fn)
      collectgarbage()
      collectgarbage "stop"
      local before = memory.count()
      memory.refuse(n)
      local ok, why = pcall(fn)
      memory.refuse()
      collectgarbage "restart"
      if not ok and why ~= "not enough memory" then error(why, 0) end
      return memory.count() - before < n
    end
    local function step() ws.step(0.001) end
    local function wait(predicate, what)
      local last = ws.now() + 5
      while not predicate() do
        if ws.now() > last then error("no " .. what, 2) end
        step()
      end
    end
    -- A handler that needs a large stack to begin with, and nothing more.
    local calls = { open = 0, close = 0, after = 0 }
    local function counts(name)
      local names = {}
      for i = 1, 180 do names[i] = "v" .. i end
      return load(("local calls, name = ... return function() local %s "
        .. "calls[name] = calls[name] + 1 end"):format(
        table.concat(names, ", ")))(calls, name)
    end
    local function settle()
      local last = ws.now() + 0.25
      while ws.now() < last do step() end
    end
  ]] .. body)
  assert.equal(0, child:ended(60), child:errors())
  for line in child:errors():gmatch "[^\n]+" do
    assert.matches("^evws: .*not enough memory$", line)
  end
  assert.equal("done\n", child:output())
end

describe("Lua without memory", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  for name, path in pairs { plain = "/", routed = "/a" } do
    it("calls on_close once for each on_open: " .. name, function()
      run([[
        local o = { port = 0, host = "127.0.0.1", on_message = print,
          on_open = counts "open", on_close = counts "close" }
        o.routes = { ["/"] = {}, ["/:a"] = {} }
        local server = assert(ws.listen(o))
        local url = "ws://127.0.0.1:" .. server.port .. "]] .. path .. [["
        local n, was_enough, seen = 0, false, 0
        local function is_empty()
          local stats = server:stats()
          return stats.open + stats.pending == 0
        end
        while not was_enough do
          local ended
          ws.connect(url, { on_open = function(conn) seen = seen + 1 end,
            on_close = function() ended = true end, on_message = print })
          was_enough = attempt(n, function()
            for _ = 1, 12 do ws.step(0) end
          end)
          for _ = 1, 3 do step() end
          local mine = {}
          for conn in server:each() do mine[#mine + 1] = conn end
          was_enough = attempt(n, function()
            for _, conn in ipairs(mine) do conn:terminate() end
            for _ = 1, 12 do ws.step(0) end
          end) and was_enough
          for _, conn in ipairs(mine) do conn:terminate() end -- if not yet
          wait(function() return ended and is_empty() end, "end")
          if calls.open ~= calls.close then
            error(("%d: %d opened, %d closed"):format(n, calls.open,
              calls.close), 0)
          end
          n = n + 1
        end
        if n < 3 or seen == 0 then error(n .. " " .. seen, 0) end
        say "done"
      ]])
    end)
  end

  it("does the same for a client, whose attempts may fail", function()
    run [[
      local server = assert(ws.listen { port = 0, host = "127.0.0.1",
        on_message = print })
      local url = "ws://127.0.0.1:" .. server.port
      local n, was_enough = 0, false
      while not was_enough do
        local got
        calls.open, calls.close = 0, 0
        local conn = ws.connect(url, { on_open = counts "open",
          on_close = counts "close",
          on_message = function(_, m) got = m end,
          reconnect = { initial = 0.01, maximum = 0.01 } })
        was_enough = attempt(n, function()
          for _ = 1, 10 do ws.step(0) end
        end)
        wait(function() return conn.state == "open" end, "on_open " .. n)
        if calls.open ~= 1 then error(calls.open .. " on_open", 0) end
        for c in server:each() do c:send "still heard" end
        wait(function() return got end, "message " .. n)
        local failed = calls.close
        conn:close()
        was_enough = attempt(n, function()
          for _ = 1, 10 do ws.step(0) end
        end) and was_enough
        wait(function() return calls.close > failed end, "on_close " .. n)
        settle()
        if calls.close > failed + 1 then error("two on_close", 0) end
        n = n + 1
      end
      if n < 3 then error(n, 0) end
      say "done"
    ]]
  end)

  it("answers a request with 503, not 500", function()
    run [[
      local server = assert(ws.listen { port = 0, host = "127.0.0.1",
        on_request = function() return 200, "fine" end,
        on_upgrade = function() return 204 end })
      local net = require "evws_probe".net
      local n, was_enough, answers = 0, false, {}
      while not was_enough do
        local raw = assert(net.connect { host = "127.0.0.1",
          port = server.port })
        raw:send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        for _ = 1, 3 do step() end
        was_enough = attempt(n, function()
          for _ = 1, 4 do ws.step(0) end
        end)
        settle()
        n = n + 1
        raw:close()
      end
      local stats = server:stats()
      if stats.refused.handler_error > 0 then error("500", 0) end
      say "done"
    ]]
  end)

  it("calls what ws.after was given, a little later", function()
    run [[
      local n, was_enough = 0, false
      while not was_enough do
        local every = 0
        calls.after = 0
        ws.after(0.001, counts "after")
        local beat = ws.every(0.001, function() every = every + 1 end)
        was_enough = attempt(n, function()
          local last = ws.now() + 0.01
          while ws.now() < last do ws.step(0) end
        end)
        wait(function() return calls.after > 0 and every > 0 end, "call " .. n)
        beat:cancel()
        if calls.after ~= 1 then error(calls.after .. " calls", 0) end
        n = n + 1
      end
      say "done"
    ]]
  end)
end)
