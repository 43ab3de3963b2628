-- Lua has no memory in the moment in which a task is to be made or to begin, or
-- deep inside of a handler: whoever waits for what it would have done hears of
-- it, and the next one is served.

local t = require "spec.helper"
local child = require "spec.helper.child"

-- `sweep(fn, check)` calls fn while memory is refused from the nth request on,
-- for n from 0 until it needs no more, and check(n) after each. Nobody is in
-- the pool then whom another task has left behind. What comes late, as on a
-- machine that is busy, is met with another n: where `what` has fewer than
-- `least` outcomes in the end, all is done once more.
local prelude = [[
  local memory = require "evws_probe".memory
  local net = probe.net
  memory.refuse()
  local errors = {}
  ws.on_error(function(_, message) errors[#errors + 1] = message end)
  local spawn_now = require "evws.core".spawn_now
  local function empty_pool(n)
    for _ = 1, n or 8 do spawn_now(function() ws.sleep(1e6) end) end
  end
  empty_pool(70)
  local function attempt(n, fn)
    collectgarbage()
    collectgarbage "stop"
    local before = memory.count()
    memory.refuse(n)
    local ok, why = pcall(fn)
    memory.refuse()
    collectgarbage "restart"
    if not ok and not tostring(why):find "not enough memory" then
      error(why, 0)
    end
    return memory.count() - before < n
  end
  local function sweep_once(fn, check, has_pool)
    local n, is_enough = 0, false
    repeat
      if not has_pool then empty_pool() end
      is_enough = attempt(n, fn)
      if check then check(n) end
      n = n + 1
    until is_enough or n > 300
    if not is_enough or n < 2 then error(n .. " rounds", 0) end
  end
  local function size(what)
    local n = 0
    for _ in pairs(what) do n = n + 1 end
    return n
  end
  local function sweep(fn, check, has_pool, what, least)
    for _ = 1, 20 do
      sweep_once(fn, check, has_pool)
      if not what or size(what) >= least then return end
    end
  end
  local function turns(n)
    for _ = 1, n or 4 do ws.step(0) end
  end
  local key = "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
  local function dial(server)
    local c = assert(net.connect { port = server.port })
    wait(function() return c:connected() end)
    return c
  end
  local function hear(c, pattern)
    local got, why = ""
    wait(function()
      local bytes
      bytes, why = c:recv()
      got = got .. (bytes or "")
      return got:find(pattern) or not bytes and why ~= "again"
    end)
    return got, why
  end
  local list, ends = {}, {}
  local function options(more)
    local own = { port = 0, host = "127.0.0.1", close_timeout = 0.05,
      on_open = function(conn) list[#list + 1] = conn end,
      on_close = function(conn, code, reason)
        ends[conn] = (ends[conn] or 0) + 1
        conn.data = code .. " " .. reason
      end }
    for name, value in pairs(more) do own[name] = value end
    return own
  end
  local function open(server)
    local c, n = dial(server), #list
    c:send((key:format "/"))
    hear(c, "\r\n\r\n")
    wait(function() return #list > n end)
    return c, list[#list]
  end
  local function frame(opcode, text)
    return string.char(0x80 | opcode, 0x80 | #text, 0, 0, 0, 0) .. text
  end
  local function seen(what)
    local names = {}
    for name in pairs(what) do names[#names + 1] = name end
    table.sort(names)
    log(table.concat(names, ", "))
  end
]]

local function run(script)
  local lines, ok = child.run(prelude .. script)
  assert.is_true(ok, table.concat(lines, "\n"))
  for i = #lines, 1, -1 do -- of what has no on_error, or none in time
    if lines[i]:find "^evws: .*not enough memory$" then
      table.remove(lines, i)
    end
  end
  return lines
end

describe("Lua without memory", function()
  if t.is_emulated then return end

  it("answers a request with 503, or drops it, and then with 200", function()
    assert.same({ "0 handler errors", "200, 503" }, run [[
      local server = assert(ws.listen(options { on_request = function()
        return 200, "fine" end }))
      local what = {}
      for _, has_pool in ipairs { false, true } do
        local c
        sweep(function() turns() end, function()
          if c then
            local got = hear(c, "\r\n\r\n")
            what[got:match "^HTTP/1.1 (%d+)" or "gone"] = true
            c:close()
          end
          c = dial(server)
          turns()
          c:send "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        end, has_pool, what, 2)
      end
      log(server:stats().refused.handler_error, "handler errors")
      seen(what)
    ]])
  end)

  it("cuts a connection whose message nobody can be given", function()
    assert.same({ "1006 out of memory, 1011 handler error, echoed", "0" },
      run [[
      local server = assert(ws.listen(options {
        on_message = function(conn, m) conn:send(m) end }))
      local what, c, conn = {}, nil, nil
      sweep(turns, function()
        if c then
          local got = hear(c, "heard")
          wait(function() return got:find "heard" or ends[conn] end)
          if ends[conn] and ends[conn] ~= 1 then error "two ends" end
          what[got:find "heard" and "echoed" or conn.data] = true
          c:close()
          wait(function() return ends[conn] end)
        end
        c, conn = open(server)
        c:send((frame(1, "heard")))
      end, false, what, 3)
      seen(what)
      log(#errors)
    ]])
  end)

  it("cuts one whose ping nobody can be told of", function()
    assert.same({ "1006 out of memory, 1011 handler error, told" }, run [[
      local told
      local server = assert(ws.listen(options {
        on_ping = function() told = true end }))
      local what, c, conn = {}, nil, nil
      sweep(turns, function()
        if c then
          wait(function() return told or ends[conn] end)
          what[told and "told" or conn.data] = true
          c:close()
          wait(function() return ends[conn] end)
        end
        c, conn = open(server)
        ws.spawn(function() conn:receive() end)
        turns()
        told = nil
        c:send((frame(9, "heard")))
      end, false, what, 3)
      seen(what)
    ]])
  end)

  it("cuts one whose on_drain cannot be called", function()
    assert.same({ "1006 out of memory, 1011 handler error, drained" }, run [[
      local drained
      local large = ("x"):rep(1 << 20)
      local server = assert(ws.listen(options { high_water = 1 << 18,
        max_queued = 1 << 26, on_drain = function() drained = true end }))
      local what, c, conn = {}, nil, nil
      local function take()
        for _ = 1, 3 do
          while c:recv() do end
          ws.step(0)
        end
      end
      sweep(take, function()
        if c then
          wait(function()
            while c:recv() do end
            return drained or ends[conn]
          end)
          what[drained and "drained" or conn.data] = true
          c:close()
          wait(function() return ends[conn] end)
        end
        c, conn = open(server)
        repeat conn:send(large) until conn.buffered > 1 << 21
        drained = nil
      end, false, what, 3)
      seen(what)
    ]])
  end)

  it("says who is there, or raises; the collector runs as before", function()
    assert.same({ "1 somebody", "true false" }, run [[
      local server = assert(ws.listen(options {}))
      local c, conn = open(server)
      conn:subscribe("room", { presence = { id = "somebody" } })
      local people
      sweep(function()
        people = nil
        people = server:presence "room"
      end, function(n)
        if n > 0 and not people and not collectgarbage "isrunning" then
          error "it has stopped"
        end
      end)
      log(#people, people[1].id)
      local was = collectgarbage "isrunning"
      collectgarbage "stop"
      server:presence "room"
      log(was, collectgarbage "isrunning")
    ]])
  end)

  it("cuts the answer that is not told of its client's end", function()
    assert.same({ "gone, told" }, run [[
      local told
      local server = assert(ws.listen(options { on_request = function(request)
        request:on_close(function() told = true end)
        ws.sleep(0.001)
        return 200, function(out)
          while out:write "x" do ws.sleep(0.001) end
        end
      end }))
      local what, c = {}, nil
      sweep(turns, function()
        if c then
          wait(function() return server:stats().pending == 0 end)
          what[told and "told" or "gone"] = true
        end
        told = nil
        c = dial(server)
        c:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        hear(c, "\r\n\r\n")
        c:reset()
      end, false, what, 2)
      seen(what)
    ]])
  end)

  it("is told of a client that has gone before it asked, or of nothing",
    function()
      assert.same({ "nothing, told", "true nil" }, run [[
        local n, is_enough, is_quick = 0, false, false
        local has_run, first, second
        local server = assert(ws.listen(options { on_request = function(request)
          request:on_close(function() first = true end)
          has_run = true
          while not first do ws.sleep(0.001) end
          empty_pool()
          is_enough = attempt(n, function()
            request:on_close(function() second = true end)
          end)
          if not is_quick then ws.sleep(0.001) end
          return 200, "x" -- of what is over nothing is told any more
        end }))
        local what = {}
        local function once()
          has_run, first, second = nil, nil, nil
          local c = dial(server)
          c:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
          wait(function() return has_run end)
          c:close()
          wait(function() return first and server:stats().pending == 0 end)
          turns()
        end
        repeat
          once()
          what[second and "told" or "nothing"] = true
          if is_enough and not second then error "not told" end
          n = n + 1
        until is_enough or n > 300
        seen(what)
        is_quick = true
        once()
        log(is_enough, second)
      ]])
    end)

  -- A call at the very end of a frame, for which the stack has to grow.
  it("ends in a handler that is called deep: told to nobody", function()
    local lines = run [[
      ws.on_error(nil)
      local names = {}
      for i = 1, 199 do names[i] = "v" .. i end
      local deep = load(("return function(f) local %s f(f) return f end")
        :format(table.concat(names, ", ")))()
      local reached
      local function leaf(f) reached = f end
      local server = assert(ws.listen(options {
        on_message = function(conn) deep(leaf) conn:send "heard" end }))
      local what, c, conn = {}, nil, nil
      sweep(turns, function()
        if c then
          local got = hear(c, "heard")
          if not got:find "heard" then
            wait(function() return ends[conn] end)
          end
          what[got:find "heard" and "heard" or conn.data] = true
          c:close()
          wait(function() return ends[conn] end)
        end
        c, conn = open(server)
        for _ = 1, 4 do ws.spawn(function() ws.sleep(0) end) end
        turns(8) -- they are in the pool: somebody is there to tell of it
        c:send((frame(1, "heard")))
      end, true, what, 2)
      seen(what)
    ]]
    assert.same({ "1011 handler error, heard" }, lines)
  end)
end)
