-- Whoever waits with a deadline needs a place among the timers: where there is
-- none, and no memory for more, the call says so at once, holds nothing, and
-- works when there is memory again. In builds with faults only.

local t = require "spec.helper"
local redis = require "spec.helper.redis"
local core = require "evws.core"
local ws = t.ws

local long = 1000 -- seconds: the spec would be over before
local large = ("large"):rep(200000)
local function note() end

describe("a deadline without memory", function()
  if not core.fail_at then
    it("is refused, and nothing else happens", function()
      pending "built without WS_FAULT"
    end)
    return
  end

  local timers, errors

  -- As many timers as there is room for, but for some; the next one would need
  -- more.
  local function fill(spare)
    local ok, timer
    core.fail_at(1, true)
    repeat
      ok, timer = pcall(ws.after, long, note)
      if ok then timers[#timers + 1] = timer end
    until not ok
    core.fail_at(0)
    assert.equal("not enough memory", (timer:gsub("^.-%d: ", "")))
    for _ = 1, spare or 0 do table.remove(timers):cancel() end
  end

  local function empty()
    for _, timer in ipairs(timers) do timer:cancel() end
    timers = {}
  end

  before_each(function()
    redis.quiet()
    timers, errors = {}, {}
    ws.on_error(function(_, message) errors[#errors + 1] = message end)
  end)

  after_each(function()
    core.fail_at(0)
    empty()
    redis.cleanup()
    t.cleanup()
    ws.on_error(nil)
  end)

  -- The call in a task while the n-th allocation fails: its results, or that it
  -- waits, in which case it is cancelled.
  local function attempt(n, call)
    local got
    local task = ws.spawn(function()
      core.fail_at(n)
      local list = table.pack(pcall(call))
      core.fail_at(0)
      got = list
    end)
    ws.spawn(function() core.fail_at(0) end)
    t.wait(function() return got or core.fail_at(0) or true end)
    for _ = 1, 2 do t.turn(0) end
    if got then return got end
    task:cancel()
    t.wait(function() return got end, "the task to end")
    return "it waits"
  end

  local function refused(got)
    return got ~= "it waits" and not got[1]
      and tostring(got[2]):find "not enough memory$" ~= nil
  end

  -- Each allocation of the call fails, until it is that of the timers, which
  -- never grow so; then it waits, as it does where all is well.
  local function sweep(call, spare)
    local n, got = 0
    repeat
      n = n + 1
      fill(spare)
      got = attempt(n, call)
      empty()
    until got == "it waits" or refused(got) or n == 40
    assert.is_true(refused(got))
    assert.equal("it waits", attempt(0, call))
    assert.same({}, errors)
  end

  local function pair(options, more)
    local conn
    local own = { on_open = function(c) conn = c end }
    for name, value in pairs(options or {}) do own[name] = value end
    local server = t.listen(own)
    local raw = t.open(server, more)
    t.wait(function() return conn end)
    return conn, raw, server
  end

  it("of ws.sleep is refused, and of ws.every", function()
    sweep(function() ws.sleep(long) end)
    fill()
    core.fail_at(1, true)
    local ok, why = pcall(ws.every, long, note)
    core.fail_at(0)
    assert.is_false(ok)
    t.contains(why, "not enough memory")
    empty()
    ws.every(long, note):cancel()
  end)

  it("of a queue is refused, and the queue is as it was", function()
    local queue = ws.queue(1)
    sweep(function() return queue:take(long) end)
    queue:put "only"
    sweep(function() return queue:put("more", long) end)
    assert.equal(1, #queue)
    assert.equal("only", queue:take())
  end)

  it("of a connection is refused, which goes on", function()
    local conn, raw = pair()
    sweep(function() return conn:wait(long) end)
    sweep(function() return conn:receive(long) end)
    raw:send(t.frame("text", "still heard"))
    assert.equal("still heard", conn:receive(5))
  end)

  it("of who waits for a full queue to leave is, and it leaves", function()
    local conn, raw = pair({ max_queued = 100 * #large }, { rcvbuf = 4096 })
    local n = 0
    repeat
      assert(conn:send(large))
      n = n + 1
      t.turn(0)
    until conn.buffered > 2 * #large
    sweep(function() return conn:drain(long) end)
    for _ = 1, n do raw:expect_frame("text", large, 20) end
    assert.is_true(conn:drain(20))
  end)

  it("of an input is refused", function()
    local listener <close> = t.probe.listen "127.0.0.1"
    local near <close> = t.probe.connect { port = listener.port }
    local far
    t.wait(function()
      far = far or listener:accept()
      return far and near:connected()
    end)
    local input = core.input(near:fd())
    sweep(function() return input:read(long) end)
    far:send "heard"
    assert.equal("heard", input:read(5))
    far:close()
  end)

  it("of the body of an answer is refused, and it goes on", function()
    local tried, done = 0, nil
    local server = t.listen { max_queued = 100 * #large,
      on_request = function()
        return 200, function(out)
          repeat
            assert(out:write(large))
          until out.buffered > 2 * #large
          fill()
          core.fail_at(1, true)
          local ok, why = pcall(out.drain, out, long)
          core.fail_at(0)
          empty()
          if not ok and why:find "not enough memory" then tried = tried + 1 end
          done = out:drain(20) and out:write "the end"
        end
      end }
    local raw = t.raw(server, { rcvbuf = 4096 })
    raw:send "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    t.wait(function() return tried > 0 end)
    local status, _, body = raw:read_http { limit = 20 }
    assert.same({ 200, "the end" }, { status, body:sub(-7) })
    assert.same({ 1, true }, { tried, done })
  end)

  -- Between two pieces nothing is waited for but the turn.
  it("of a long string is refused: it is cut, and told", function()
    local n, text = 0, ("x"):rep(400000)
    local server = t.listen { high_water = 2 * #text, low_water = 2 * #text,
      on_message = t.echo,
      on_request = function()
        if n == 0 then return 200, text end
        fill()
        core.fail_at(n)
        return 200, text
      end }
    local calm = t.bystander(server)
    local function is_whole()
      local raw = t.raw(server)
      raw:send "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
      local ok, status, _, body = pcall(raw.read_http, raw)
      core.fail_at(0)
      empty()
      raw:close()
      calm:check()
      return ok and status == 200 and body == text
    end
    repeat
      n = n + 1
      assert.is_false(is_whole())
    until errors[1] or n == 40
    assert.equal(1, #errors)
    t.contains(errors[1], "not enough memory")
    n = 0
    assert.is_true(is_whole())
  end)

  describe("of a backplane", function()
    if not redis.is_built() then
      pending "needs hiredis"
      return
    end

    local fake, bus, is_mute

    local function begin()
      fake = redis.fake()
      is_mute = false
      for _, word in ipairs { "SUBSCRIBE", "EVALSHA", "EVAL", "SCRIPT" } do
        fake.answers[word] = function(...)
          if is_mute then return "" end
          local fn = redis.usual[word]
          return fn and fn(...) or "-ERR unknown command\r\n"
        end
      end
      bus = redis.backplane { url = fake.url, timeout = 600,
        ping_interval = 600 }
    end

    local function up(options)
      begin()
      local own = { backplane = bus }
      for name, value in pairs(options or {}) do own[name] = value end
      local conn, _, server = pair(own)
      fake:wait(function() return bus.state == "up" end, "the backplane", 20)
      is_mute = true
      return server, conn
    end

    it("that is not up is refused", function()
      begin()
      is_mute = true
      fake.is_idle = function() return true end
      sweep(function() return bus:wait(long) end)
      sweep(function() return bus:wait() end)
      assert.equal("connecting", bus.state)
    end)

    it("is refused to who asks who is there", function()
      local server = up()
      sweep(function() return server:presence "room" end)
      sweep(function() return bus:presence "room" end)
    end)

    it("is refused to who subscribes or hears", function()
      local server, conn = up()
      local i = 0
      sweep(function()
        i = i + 1
        return conn:subscribe("a" .. i, { wait = long })
      end)
      sweep(function()
        i = i + 1
        return server:hear("b" .. i, note, { wait = long })
      end)
      -- nobody has the handle of a hearer that was refused
      for k = 1, i do assert.equal(0, server:subscribers("b" .. k)) end
    end)

    it("is refused to who reads or writes a history", function()
      local server, conn = up { history = { ["*"] = { size = 9, ttl = 9 } } }
      local i = 0
      local function next_topic()
        i = i + 1
        return "a" .. i
      end
      sweep(function() return server:history(next_topic()) end, 1)
      sweep(function()
        return conn:subscribe(next_topic(), { recover = { offset = 0 } })
      end, 1)
      sweep(function()
        return server:publish(next_topic(), "m", "text", { wait = long })
      end)
    end)
  end)
end)
