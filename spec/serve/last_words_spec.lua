-- What workers publish until their very end reaches other processes, and each
-- message once, while they are replaced and ended.

local kit = require "spec.serve.kit"
local processes = require "spec.binding.kit"
local redis = require "spec.helper.redis"
local t = require "spec.helper"

-- It speaks until ws.run has returned, and once more behind that.
local script = [[
local serial, n = require "evws.core".worker.serial, 0
local bus = ws.backplane { url = "%s", timeout = 60, pending_timeout = 60 }
local server = assert(ws.listen { host = "127.0.0.1", port = 0,
  backplane = bus })
local function speak()
  for _ = 1, 20 do
    local _, why = server:publish("words", serial .. " " .. n + 1)
    if why then return end
    n = n + 1
  end
end
ws.spawn(function()
  assert(bus:wait(60))
  ws.every(0.002, speak)
end)
]] .. kit.ready .. [[
run()
speak()
say("last", serial, n)
]]

describe("what workers publish last", function()
  if redis.is_missing "with redis-server" then return end

  after_each(function()
    kit.cleanup()
    redis.cleanup()
  end)

  for _, way in ipairs { "a Unix socket", "TCP" } do
    it("arrives by " .. way, function()
      local db = redis.start()
      local url = way == "TCP" and "redis://127.0.0.1:" .. db.port or db.url
      local bus = redis.bus { url = url, timeout = 60 * t.factor }
      local last, n_heard, odd = {}, 0, nil
      local ear = t.listen { backplane = bus }
      ear:hear("words", function(message)
        local serial, n = message:match "^(%d+) (%d+)$"
        if tonumber(n) ~= (last[serial] or 0) + 1 then odd = odd or message end
        last[serial] = tonumber(n)
        n_heard = n_heard + 1
      end)
      t.wait(function()
        return db:ask("PUBSUB", "NUMSUB", "evws:t:words")[2] == 1
      end, "the ear")
      local served = kit.serve(script:format(url), "--workers 2")
      served:await("^worker", 2, 20)
      local function hear(n)
        local before = n_heard
        t.wait(function() return n_heard >= before + n end, "words", 20)
      end
      for i = 1, 2 do
        hear(200)
        served.child:signal "HUP"
        served:await("^last", 2 * i, 40)
      end
      hear(200)
      served.child:signal "TERM"
      served:await("^last", 6, 40)
      assert.equal(0, served.child:ended(40))
      for serial, n in served.child:output():gmatch "last (%d+) (%d+)\n" do
        t.wait(function()
          return (last[serial] or 0) >= tonumber(n)
        end, "the last word of " .. serial, 20)
        assert.equal(tonumber(n), last[serial] or 0)
      end
      assert.is_nil(odd)
    end)
  end
end)

-- One that goes on behind its servers' end says so by its ticks.
local waiting = [[
local bus = ws.backplane { url = "redis://127.0.0.1:%d", timeout = 60,
  pending_timeout = 60 }
local server = assert(ws.listen { host = "127.0.0.1", port = 0,
  backplane = bus })
ws.spawn(function()
  assert(bus:wait(60))
  assert(server:publish("words", "one"))
  ws.every(0.01, function()
    say(tostring(server):find "closed" and "tock" or "tick")
  end)
end)
]] .. kit.ready .. [[
run()
say "last"
]]

-- One that goes on to publish, for 9 s at least behind its servers' end.
local endless = [[
local bus = ws.backplane { url = "redis://127.0.0.1:%d", timeout = 60,
  pending_timeout = 60 }
local server = assert(ws.listen { host = "127.0.0.1", port = 0,
  backplane = bus })
local n, is_over = 0, false
ws.spawn(function()
  assert(bus:wait(60))
  ws.every(0.01, function()
    assert(bus:publish("words", "more"))
    n = n + 1
    if is_over or not tostring(server):find "closed" then return end
    is_over = true
    ws.after(9, function() say "late" end)
    ws.after(0.1, function() say("over", n) end)
  end)
end)
]] .. kit.ready .. [[
run()
say "last"
]]

-- What is published behind ws.run, and the process ends.
local behind = [[
local ws = require "evws"
local bus = ws.backplane { url = "redis://127.0.0.1:%d", timeout = %s,
  max_queued = 1 << 30 }
ws.run(function() assert(bus:wait(60)) end)
for i = 1, 3 do bus:publish("words", i .. ("x"):rep(1 << 20)) end
print "last"
]]

-- One that is told twice.
local twice = [[
local bus = ws.backplane { url = "redis://127.0.0.1:%d", timeout = 60 }
local server = assert(ws.listen { host = "127.0.0.1", port = 0,
  backplane = bus })
ws.spawn(function()
  assert(bus:wait(60))
  bus:publish("words", "one")
  while not tostring(server):find "closed" do ws.sleep(0.01) end
  ws.sleep(0.01)
  say "closed"
end)
ws.run()
bus:publish("words", "two")
]]

describe("a worker that ends", function()
  if redis.is_missing("with hiredis", "hiredis") then return end

  after_each(function()
    kit.cleanup()
    redis.cleanup()
  end)

  it("waits until Redis has answered", function()
    local fake = redis.fake()
    local held
    fake.answers.PUBLISH = function(conn)
      held = conn
      return ""
    end
    local served = kit.serve(waiting:format(fake.port), "--workers 1")
    fake:wait(function()
      return held and served:count "^tick" > 0
    end, "what is published", 20)
    served.child:signal "TERM"
    fake:wait(function()
      return served:count "^tock" >= 5 or served.child:ended(0)
    end, "its server's end", 20)
    assert.is_nil(served.child:ended(0))
    assert.equal(0, served:count "^last")
    held.out = held.out .. redis.reply(0)
    fake:wait(function() return served.child:ended(0) end, "its end", 20)
    assert.equal(0, served.child:ended(0))
    assert.equal(1, served:count "^last")
  end)

  it("waits for what was published until then, for nothing later", function()
    local fake = redis.fake()
    local conn, n_seen = nil, 0
    fake.answers.PUBLISH = function(c)
      conn, n_seen = c, n_seen + 1
      return ""
    end
    local served = kit.serve(endless:format(fake.port), "--workers 1")
    fake:wait(function()
      return n_seen > 0 or served.child:ended(0)
    end, "what is published", 20)
    served.child:signal "TERM"
    local n
    fake:wait(function()
      n = n or tonumber(served.child:output():match "\nover (%d+)\n")
      return n and n_seen >= n or served.child:ended(0)
    end, "its server's end", 20)
    assert.equal(0, served:count "^last")
    conn.out = conn.out .. redis.reply(0):rep(n)
    fake:wait(function() return served.child:ended(0) end, "its end", 20)
    assert.equal(0, served.child:ended(0))
    assert.equal(1, served:count "^last")
    assert.equal(0, served:count "^late")
  end)
end)

describe("a script that ends behind ws.run", function()
  if not redis.is_built() then
    it("waits", function() pending "no hiredis" end)
    return
  end

  after_each(function()
    kit.cleanup()
    redis.cleanup()
  end)

  -- Behind the first message nothing is read of the connection before read().
  local function start(timeout)
    local fake, seen, held = redis.fake(), {}, nil
    local is_held = true
    fake.answers.PUBLISH = function(conn, words)
      held = conn
      seen[#seen + 1] = words[3]:sub(14, 14)
      return redis.reply(0)
    end
    fake.is_idle = function(conn) return is_held and conn == held end
    local child = processes.run(behind:format(fake.port, timeout))
    local function is_last() return child:output():find "^last\n" end
    local function read() is_held = false end
    return fake, child, seen, is_last, read
  end

  it("waits until Redis has taken what it published", function()
    local fake, child, seen, is_last, read = start(60)
    fake:wait(is_last, "its last word", 20)
    for _ = 1, 50 do t.turn() end
    assert.is_nil(child:ended(0))
    read()
    fake:wait(function() return child:ended(0) end, "its end", 20)
    assert.equal(0, child:ended(0))
    assert.same({ "1", "2", "3" }, seen)
  end)

  it("does not wait behind a second signal, but says it", function()
    local fake, seen = redis.fake(), {}
    fake.answers.PUBLISH = function(_, words)
      seen[#seen + 1] = words[3]:sub(14)
      return ""
    end
    local child = processes.run(twice:format(fake.port))
    fake:wait(function() return seen[1] end, "the first word", 20)
    child:signal "TERM"
    fake:wait(function()
      return child:output():find "closed\n" or child:ended(0)
    end, "its servers' end", 20)
    child:signal "TERM"
    assert.equal(0, child:ended(20))
    fake:wait(function() return seen[2] end, "its last word", 20)
    assert.same({ "one", "two" }, seen)
  end)

  it("waits no longer than for a reply", function()
    local fake, child, _, is_last = start(0.5 * t.factor)
    fake:wait(is_last, "its last word", 20)
    assert.equal(0, child:ended(20))
  end)
end)
