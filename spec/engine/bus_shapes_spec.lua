-- What no Redis answers (src/engine/bus_*.c, redis.c): each reply once in each
-- shape there is, from a Redis of our own making. Whoever waits is told, the
-- connection ends or goes on, and all is well behind it.

local t = require "spec.helper"
local redis = require "spec.helper.redis"
local close = require "evws_probe".redis.close

local ws = t.ws
local reply = redis.reply

if redis.is_missing("replies of any shape", "hiredis") then return end

local nobody = ("\0"):rep(8)

-- What a command is for.
local function kind_of(words)
  if words[1] ~= "EVAL" then return words[1] end
  if words[3] == "2" and #words == 11 then return "keep" end
  if words[3] == "2" then
    return words[8]:find "^evws:t:" and "reset" or "read"
  end
  if #words == 9 then return "put" end
  if #words == 7 then return "sweep" end
  return words[7] == nobody and "list" or "drop"
end

local function place(offset, epoch)
  return string.pack(">I8 s1", offset, epoch)
end

local fake, bus, server, conns, kept, answers

local function history(topic, epoch)
  kept[topic] = kept[topic] or { epoch = epoch, top = 0 }
  return kept[topic]
end

-- As the scripts do it, but that nothing is ever over.
local usual = {}

function usual.keep(_, words)
  local h = history(words[4], words[6])
  h.top = h.top + 1
  h[h.top] = words[10] .. place(h.top, h.epoch) .. words[11]
  fake:publish(words[9], h[h.top])
  return reply { h.top, h.epoch }
end

function usual.read(_, words)
  local h = history(words[4], words[6])
  local list, from = {}, words[8] == h.epoch and tonumber(words[9]) or 1
  for i = from, h.top do list[#list + 1] = { i .. "-0", { "m", h[i] } } end
  return reply { h.epoch, h.top, list, 0 }
end

function usual.reset(_, words)
  kept[words[4]] = { epoch = words[6], top = 0 }
  fake:publish(words[8], words[9] .. place(0, words[6]) .. words[10])
  return reply(0)
end

function usual.put() return reply(0) end
function usual.drop() return reply(0) end
function usual.sweep() return reply(0) end
function usual.list() return reply {} end

local function answer(conn, words)
  local kind = kind_of(words)
  local fn = answers[kind] or usual[kind] or redis.usual[kind]
  return fn(conn, words)
end

local function begin(options)
  local o = { url = fake.url, timeout = 60, on_presence = function() end,
    reconnect = { initial = 0.001, maximum = 0.002, jitter = 0 } }
  for name, value in pairs(options or {}) do o[name] = value end
  bus = redis.backplane(o)
  server = t.listen { backplane = bus, max_queued = false,
    history = { ["room/*"] = { size = 100, ttl = 60 } },
    on_open = function(conn) conns[#conns + 1] = conn end }
  fake:wait(function() return bus.state == "up" end, "the backplane", 20)
end

local function enter()
  local raw, n = t.open(server), #conns
  fake:wait(function() return conns[n] end, "a connection", 20)
  return conns[n], raw
end

-- Turns in which it reads and answers all there is.
local function turns(n)
  for _ = 1, n or 20 do
    fake:pump()
    t.turn(0)
  end
end

local function run(fn, ...)
  local results
  ws.spawn(function(...)
    results = table.pack(pcall(fn, ...))
  end, ...)
  return function()
    fake:wait(function() return results end, "the end of a task", 20)
    assert(results[1], results[2])
    return table.unpack(results, 2, results.n)
  end
end

describe("replies of any shape", function()
  before_each(function()
    redis.quiet()
    fake, conns, kept, answers = redis.fake(), {}, {}, {}
    for _, word in ipairs { "EVAL", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE",
      "PING", "ROLE", "CLIENT" } do
      fake.answers[word] = answer
    end
  end)

  after_each(redis.cleanup)

  local shapes = { "+OK\r\n", "$-1\r\n", "$0\r\n\r\n", "$3\r\nabc\r\n",
    ":7\r\n", ":0\r\n", ":-1\r\n", "*0\r\n", "*-1\r\n", "-ERR odd\r\n",
    "-NOPERM odd\r\n", "-READONLY odd\r\n", "-NOPERM no right to run it\r\n",
    "*1\r\n*1\r\n:1\r\n", "*2\r\n+x\r\n:9\r\n", "*2\r\n:1\r\n$3\r\nabc\r\n",
    "*2\r\n:0\r\n-ERR in it\r\n",
    reply { "abcdefghij", "x", 3, { { "1-0", { "m", "n" } } } },
    reply { "abcdefghij", 3, { { "1-0", { "m", "plain" } }, { "2-0",
      { "m", "\0evw" } } }, 1 },
    reply { "subscribe", "evws:t:nothing", 1 },
    reply { "message", "evws:t:room/1", "foreign" },
    reply { "message", "evws:tx", "x" }, reply { "message", "evws:t:", "x" },
    reply { "message", "evws:", "x" }, reply { "message", "other:t:x", "x" },
    reply { "message", "evws:t:news", 7 },
    reply { "message", "evws:t:news", { "x" } },
    reply { "message", { "evws:t:news" }, "x" },
    reply { "message", "evws:t:\0w", "J" }, reply { "ping", "evws:t:x", "y" },
    reply { "pong", "evws:t:x" }, reply { { "message" }, "evws:t:news", "x" },
  }

  local kinds = { "keep", "read", "reset", "put", "drop", "list", "sweep",
    "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "PING", "ROLE", "CLIENT" }

  -- Everything once; each of them ends, with something or with why not.
  local function live(n)
    local conn = enter()
    local tasks = {}
    local function add(fn, ...) tasks[#tasks + 1] = run(fn, ...) end
    conn:subscribe("hall", { presence = { id = "p" .. n } })
    add(conn.subscribe, conn, "topic" .. n, { wait = 60 })
    turns()
    conn:unsubscribe "hall"
    add(server.presence, server, "hall")
    add(server.publish, server, "room/k" .. n, "x", "text", { wait = 60 })
    add(server.history, server, "room/h" .. n)
    bus:publish("news", "x")
    turns()
    add(server.reset, server, "room/k" .. n)
    turns()
    return tasks, conn
  end

  for _, kind in ipairs(kinds) do
    it("to " .. kind .. " end nothing but a connection to Redis", function()
      begin { ping_interval = 0.001, presence_ttl = 0.003 }
      for n, shape in ipairs(shapes) do
        local given
        answers[kind] = function()
          answers[kind], given = nil, true
          return shape
        end
        if kind == "ROLE" or kind == "CLIENT" then fake:drop() end
        fake:wait(function()
          return given or bus.state == "up"
        end, "the backplane", 20)
        local tasks, conn = live(n)
        fake:wait(function()
          if given then return true end
          bus:publish("news", "y")
          conn:subscribe("more", { presence = { id = "q" .. n } })
          conn:unsubscribe "more"
          if kind == "UNSUBSCRIBE" then conn:subscribe "left" end
          if kind == "UNSUBSCRIBE" then conn:unsubscribe "left" end
        end, kind, 20)
        turns()
        fake:drop()
        for _, ended in ipairs(tasks) do ended() end
        fake:wait(function() return bus.state == "up" end, "the next one", 20)
        local offset
        fake:wait(function()
          offset = offset or run(server.publish, server, "room/k" .. n, "y",
            "text", { wait = 60 })()
          return offset
        end, "a place", 20)
        local list
        fake:wait(function()
          list = run(server.history, server, "room/k" .. n)()
          return list and #list == offset
        end, "the history", 20)
        assert.equal("y", list[offset].message)
        fake:wait(function()
          local people = run(server.presence, server, "hall")()
          return people and #people == 0
        end, "nobody", 20)
        conn:close()
      end
    end)
  end

  it("tell who waits for it a message's place: connections, too", function()
    begin()
    local conn = enter()
    local epoch
    local function publish(who, n, options)
      return table.pack(run(who.publish, who, "room/1", "m" .. n, "text",
        options)())
    end
    for n, who in ipairs { server, conn, server, conn } do
      local got = publish(who, n, { wait = 60 })
      epoch = epoch or got[2]
      assert.same({ n, epoch, n = 2 }, got)
    end
    assert.equal("string", type(epoch))
    for _, who in ipairs { server, conn } do
      assert.same({ true, n = 1 }, publish(who, 5))
      assert.same({ true, n = 1 }, publish(who, 5, {}))
      assert.same({ true, n = 1 }, publish(who, 5, { meta = "x" }))
    end
  end)

  it("close to the right one are no message and no place", function()
    begin()
    for _, one in ipairs(fake.conns) do -- by which an operator knows them
      t.contains(table.concat(one.seen[1], " "), "CLIENT SETNAME evws-")
    end
    local conn, raw = enter()
    assert(run(conn.subscribe, conn, "room/1", { recover = {} })())
    local h = history "evws:s:room/1"
    local function at(offset, epoch, message, flags)
      return close { flags = 4 | (flags or 0), node = 77, offset = offset,
        epoch = epoch, message = message }
    end
    h.top = 6
    answers.read = function(_, words)
      answers.read = nil
      assert.same({ "1", "8388608" }, { words[9], words[10] })
      return reply { h.epoch, 6, {
        { "1-0", { "m", "no envelope" } },
        { "1-0", { "m", close { flags = 0, node = 77, epoch = "",
          message = "no place" } } },
        { "1-0", { "m", "\0evw\4broken" } },
        { "1-0", { "m", at(1, "zzzzzzzzzz", "of another epoch") } },
        { "1-0", { "m", at(1, h.epoch, "one") } },
        { "1-0", { "m", at(1, h.epoch, "one, again") } },
        { "3-0", { "m", at(3, h.epoch, "three", 1) } },
      }, 0 }
    end
    fake:publish("evws:t:room/1", at(6, h.epoch, "six"))
    fake:wait(function() return not answers.read end, "the reading", 20)
    raw:expect_frame("text", "one", 20)
    raw:expect_frame("binary", "three", 20)
    h[7] = at(7, h.epoch, "seven")
    h.top = 7
    fake:publish("evws:t:room/1", h[7])
    fake:wait(function() raw:pull() return raw.at and #raw.input > 0 end)
    raw:expect_frame("text", "seven", 20)
  end)

  it("are of others who have left, for who comes in the middle", function()
    begin()
    local one, raw = enter()
    local two, other = enter()
    assert(run(one.subscribe, one, "room/1", { recover = {} })())
    local h, asked = history "evws:s:room/1", {}
    for i = 1, 7 do
      h[i] = close { flags = 4, node = 77, offset = i, epoch = h.epoch,
        message = "number " .. i }
    end
    answers.read = function(conn, words)
      asked[#asked + 1] = { conn = conn, words = words }
      return ""
    end
    h.top = 6
    fake:publish("evws:t:room/1", h[6])
    fake:wait(function() return #asked == 1 end, "the reading", 20)
    local bytes = usual.read(nil, asked[1].words)
    local conn, cut = asked[1].conn, bytes:find("number 4", 1, true)
    conn.out = conn.out .. bytes:sub(1, cut)
    fake:wait(function() return conn.out == "" end, "a part of it", 20)
    for i = 1, 3 do raw:expect_frame("text", "number " .. i, 20) end
    one:unsubscribe "room/1"
    two:subscribe "room/1"
    fake:wait(function() return #asked == 2 end, "the next reading", 20)
    conn.out = bytes:sub(cut + 1) .. usual.read(nil, asked[2].words)
    fake:wait(function() return conn.out == "" end, "the rest", 20)
    answers.read = nil
    h.top = 7
    fake:publish("evws:t:room/1", h[7])
    fake:wait(function() other:pull() return #other.input > 0 end)
    other:expect_frame("text", "number 7", 20)
    raw:expect_silence()
  end)
end)
