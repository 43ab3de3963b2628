-- A Redis that lives, and takes messages more slowly than they come, or sends
-- more than may be (src/engine/bus_link.c, resp.c).

local redis = require "spec.helper.redis"
local t = require "spec.helper"

if redis.is_missing("a slow Redis", "hiredis") then return end

local reply = redis.reply
local most = 64 * 1024 -- max_queued
local message = ("x"):rep(8000)

describe("a Redis that takes messages slowly", function()
  local fake, bus, server, is_slow, commands, got, sent

  before_each(function()
    redis.quiet()
    fake, got, sent, is_slow = redis.fake(), {}, 0, true
    fake.answers.PUBLISH = function(conn, words)
      commands = conn
      got[#got + 1] = tonumber(words[3]:sub(14):match "^(%d+) x+$")
      return reply(0)
    end
    fake.is_idle = function(conn) return is_slow and conn == commands end
  end)
  after_each(redis.cleanup)

  local function start(options)
    bus = redis.backplane { url = fake.url, max_queued = most, timeout = 60,
      ping_interval = 60, pending_timeout = options.pending_timeout }
    server = t.listen { backplane = bus }
    fake:wait(function() return bus.state == "up" end, "the backplane", 20)
    server:publish("news", "0 x")
    fake:wait(function() return commands end, "the first", 20)
  end

  local function stats() return server:stats().backplane end

  -- As many as it takes; each counts that was taken.
  local function publish()
    local n, why = server:publish("news", sent + 1 .. " " .. message)
    assert.equal(0, n)
    if not why then sent = sent + 1 end
    assert.is_true(stats().pending_bytes <= most, stats().pending_bytes)
    return why
  end

  local function fill()
    local why
    for i = 1, 20000 do -- the kernel takes some MiB of them
      why = publish()
      if why then break end
      if i % 10 == 0 then t.turn(0) end
    end
    assert.equal("backplane full", why)
  end

  -- In their order, each once; as many as were taken, but for those dropped.
  local function all_came()
    is_slow = false
    fake:wait(function()
      return #got - 1 + stats().dropped.timeout == sent
    end, "what was taken", 20)
    for i = 2, #got do assert.is_true(got[i] > got[i - 1]) end
    fake:wait(function() return stats().pending_bytes == 0 end, "the end", 20)
    assert.same({ 0, 0, "up" },
      { stats().reconnects, stats().dropped.lost, bus.state })
  end

  it("costs no more memory than it may, and nothing that was taken", function()
    start { pending_timeout = 600 }
    fill()
    local turn = 0
    fake.is_idle = function(conn) -- a piece, now and then
      return is_slow and conn == commands and turn % 4 > 0
    end
    for i = 1, 400 do
      turn = i
      fake:pump()
      t.turn(0)
      publish()
      publish()
    end
    assert.is_true(stats().dropped.full >= 1)
    all_came()
    assert.equal(0, stats().dropped.timeout)
    assert.equal(sent, #got - 1)
  end)

  it("has nothing that waited for longer than it may", function()
    start { pending_timeout = 0.2 }
    fill()
    t.wait(function() return stats().dropped.timeout > 0 end, "the drop", 20)
    local before = sent
    t.wait(function() return not publish() end, "room for another", 20)
    assert.equal(before + 1, sent)
    all_came()
  end)
end)

describe("what a Redis sends", function()
  local fake, bus, server, raw, lines

  before_each(function()
    lines = redis.warnings()
    fake = redis.fake()
    bus = redis.backplane { url = fake.url, max_reply = 65536, timeout = 60 }
    server = t.listen { backplane = bus, max_message = 1000,
      on_open = function(conn) conn:subscribe "news" end }
    fake:wait(function() return bus.state == "up" end, "the backplane", 20)
    raw = t.raw(server)
    local status
    fake:wait(function()
      status = status or raw:upgrade()
      return fake:subscribers "evws:t:news" == 1
    end, "the subscription", 20)
  end)
  after_each(redis.cleanup)

  local function receive(text)
    fake:publish("evws:t:news", text)
    local f
    fake:wait(function()
      local ok, found = pcall(raw.frame, raw, 0.01)
      f = ok and found
      return f
    end, "the message", 20)
    assert.equal(text, f.payload)
  end

  it("may be longer than what a client may", function()
    receive(("y"):rep(60000))
    assert.equal("up", bus.state)
    assert.equal(0, server:stats().backplane.reconnects)
  end)

  for name, bytes in pairs {
    ["without an end"] = "*3\r\n$7\r\nmessage\r\n$11\r\nevws:t:news\r\n"
      .. "$1099511627776\r\n" .. ("z"):rep(100000),
    ["as it is"] = reply { "message", "evws:t:news", ("z"):rep(200000) },
    ["by its name"] = reply { "message", ("n"):rep(200000), "x" },
  } do
    it("and is longer than max_reply, " .. name .. ", ends the connection, "
      .. "not the client's", function()
      fake:push(bytes)
      fake:wait(function()
        return server:stats().backplane.reconnects == 1
          and fake:subscribers "evws:t:news" == 1 and bus.state == "up"
      end, "another connection", 20)
      assert.equal(1, #lines, table.concat(lines, "\n"))
      t.contains(lines[1], "max_reply")
      receive "well again"
    end)
  end
end)
