-- The chat (examples/chat.lua) in several processes, which a Redis joins.

local t = require "spec.helper"
local kit = require "spec.examples.kit"
local processes = require "spec.binding.kit"
local redis = require "spec.helper.redis"

if redis.is_missing "the chat in several processes" then return end

local lua = os.getenv "LUA" or "lua5.4"

describe("the chat in several processes", function()
  local db

  before_each(function() db = redis.start() end)
  after_each(function()
    kit.cleanup()
    redis.cleanup()
  end)

  local function serve(command)
    local child = processes.execute(command)
    child.port = tonumber((child:wait "^Chat: http://localhost:(%d+)$"))
    return child
  end

  local function connect(child, room)
    return assert(kit.connect(child, "/chat/" .. room))
  end

  -- The next line but for those that tell of rooms: for these, a connection
  -- that hears nothing else.
  local function heard(conn)
    local line, why, code
    repeat
      line, why, code = conn:receive(kit.limit)
    until not line or not line:find "^rooms "
    return line, why, code
  end

  local function expect(conn, line)
    assert.equal(line, (heard(conn)))
  end

  local function said(conn)
    local line = heard(conn)
    return line and line:match "^said %d+ (.*)$" or line
  end

  local function rooms(conn, line)
    local got
    repeat got = assert(conn:receive(kit.limit)) until got == line
  end

  local function await(conn, line)
    local got
    repeat got = assert(heard(conn)) until got:gsub("^said %d+ ", "") == line
  end

  -- Comes in -> the connection, who is there and what was said before; or nil
  -- and why not.
  local function try(child, room, name)
    local conn, before = connect(child, room), {}
    conn:send("name " .. name)
    local line = heard(conn)
    while line and line:find "^said " do
      before[#before + 1] = line:match "^said %d+ (.*)$"
      line = heard(conn)
    end
    return line and line:match "^here (.*)$" and conn, line, before
  end

  -- The same, but nobody may: a moment after a start there may be no Redis yet.
  local function keep_trying(child, room, name)
    local conn, line, before
    t.wait(function()
      conn, line, before = try(child, room, name)
      return conn
    end, name .. " to come in", 20)
    return conn, line, before
  end

  local function enter(child, room, name, here)
    local conn, line, before = try(child, room, name)
    assert.equal("here " .. here, line)
    return conn, before
  end

  -- One process, that has its Redis; which of them somebody meets is up to the
  -- spec.
  local function worker()
    local child = serve(("env EVWS_BACKPLANE=%s %s examples/chat.lua 0"):format(
      db.url, lua))
    keep_trying(child, "start" .. child.port, "up"):close()
    return child
  end

  it("is one: people, what they say, names and rooms", function()
    local one, two = worker(), worker()
    local watch = connect(two, "tea")
    local anna = enter(one, "tea", "anna", "anna")
    local ben = enter(two, "tea", "ben", "anna ben")
    expect(anna, "joined ben")
    rooms(watch, "rooms tea 2")
    for conn, line in pairs { [anna] = "hello", [ben] = "you" } do
      conn:send("say " .. line)
      local told = said(anna)
      assert.equal(told, said(ben))
      assert.matches(" " .. line .. "$", told)
    end
    local taken = connect(two, "tea")
    taken:send "name ANNA"
    expect(taken, "sorry somebody here has this name already")

    ben:close()
    expect(anna, "left ben")
    rooms(watch, "rooms tea 1")
    local carl, before = enter(two, "tea", "carl", "anna carl")
    table.sort(before)
    assert.same({ "anna hello", "ben you" }, before)
    expect(anna, "joined carl")
    two:signal "TERM"
    assert.equal("closed", (select(2, heard(carl))))
    expect(anna, "left carl")
  end)

  it("forgets a room that everybody has left", function()
    local one, two = worker(), worker()
    local anna = enter(one, "tea", "anna", "anna")
    local watch = connect(two, "else")
    anna:send "say secret"
    assert.equal("anna secret", said(anna))
    rooms(watch, "rooms tea 1")
    anna:close()
    rooms(watch, "rooms ")
    local _, before = enter(two, "tea", "ben", "ben")
    assert.same({}, before)
  end)

  it("gives a name to one, where two want it at the same time", function()
    local one, two = worker(), worker()
    for i = 1, 10 do
      local both = { connect(one, "room" .. i), connect(two, "room" .. i) }
      for _, conn in ipairs(both) do conn:send "name anna" end
      local lines = { heard(both[1]), (heard(both[2])) }
      table.sort(lines)
      assert.same({ "here anna",
        "sorry somebody here has this name already" }, lines)
    end
  end)

  it("shows who is where to one that starts later", function()
    local one = worker()
    enter(one, "tea", "anna", "anna")
    local watch = connect(worker(), "tea")
    rooms(watch, "rooms tea 1")
    watch:send "name ben"
    expect(watch, "here anna ben")
  end)

  it("goes on when Redis was away", function()
    local one, two = worker(), worker()
    local anna = enter(one, "tea", "anna", "anna")
    local ben = enter(two, "tea", "ben", "anna ben")
    expect(anna, "joined ben")
    db:stop()
    anna:send "say lost"
    local _, why, code = heard(anna)
    assert.same({ "closed", 1013 }, { why, code })
    local _, line = try(one, "tea", "anna")
    assert.equal("sorry nobody gets in just now, try again", line)
    db:again()
    anna, line = keep_trying(one, "tea", "anna")
    if line == "here anna" then await(anna, "joined ben") end
    anna:send "say again"
    anna:send "say " -- is refused when that has its place
    await(anna, "sorry 1 to 500 characters")
    local _, _, before = keep_trying(two, "tea", "dave")
    assert.same({ "anna again" }, before)
    await(ben, "joined dave")
  end)

  it("is one in the workers of evws serve", function()
    local all = serve(("%s bin/evws serve examples/chat.lua -w 2 --redis %s "
      .. "-- 0"):format(lua, db.url))
    local guests, line = {}, nil
    for i = 1, 8 do
      guests[i], line = keep_trying(all, "tea", "n" .. i)
    end
    assert.equal("here n1 n2 n3 n4 n5 n6 n7 n8", line)
    for i = 1, 7 do await(guests[i], "joined n8") end
    guests[1]:send "say hello"
    for i = 1, 8 do await(guests[i], "n1 hello") end
    guests[8]:close()
    for i = 1, 7 do await(guests[i], "left n8") end
    assert.equal("here late n1 n2 n3 n4 n5 n6 n7",
      (select(2, keep_trying(all, "tea", "late"))))
  end)

  -- Nothing is built, and what is preloaded is for Lua alone.
  it("is what `make run` starts, a Redis of its own with it", function()
    local preload = os.getenv "LD_PRELOAD"
    local all = serve(("env -u LD_PRELOAD -u MAKEFLAGS -u MFLAGS make "
      .. "SETUP=: MAKE=: BUILD=%q LUA=\"%s%s\" run EXAMPLE=chat WORKERS=4 "
      .. "REDIS=spawn ARGS=0"):format(os.getenv "EVWS_BUILD" or "build/release",
      preload and "env LD_PRELOAD=" .. preload .. " " or "", lua))
    finally(function() -- by make alone: killed, it would leave them
      if all:ended(0) then return end
      all:signal "TERM"
      all:ended(20)
    end)
    t.wait(function() -- each gets somebody
      return select(2, all:output():gsub("Chat: ", "")) == 4
    end, "all workers", 10)
    local anna = keep_trying(all, "tea", "anna")
    local ben, line = keep_trying(all, "tea", "ben")
    assert.equal("here anna ben", line)
    await(anna, "joined ben")
    ben:send "say hello"
    for _, conn in ipairs { anna, ben } do await(conn, "ben hello") end
    assert.is_nil(all:errors():find "stay inside")
    all:signal "TERM"
    for _, conn in ipairs { anna, ben } do
      assert.same({ nil, "closed", 1001 }, { heard(conn) })
    end
    assert.equal(128 + 15, all:ended(20))
    assert.is_nil((kit.connect(all, "/chat/tea")))
  end)
end)
