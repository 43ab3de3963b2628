-- The chat (examples/chat.lua).

local t = require "spec.helper"
local kit = require "spec.examples.kit"
local ws = t.ws

describe("the chat", function()
  local child

  before_each(function() child = kit.serve "chat" end)
  after_each(kit.cleanup)

  -- The next line but for those that tell of rooms, which come when they like.
  local function heard(conn, seconds)
    local line, why, code
    repeat
      line, why, code = conn:receive(seconds or kit.limit)
    until not line or not line:find "^rooms "
    return line, why, code
  end

  local function expect(conn, line)
    assert.equal(line, (heard(conn)))
  end

  local function connect(room)
    return assert(kit.connect(child, "/chat/" .. room))
  end

  -- Enters, and returns what was said there last as well.
  local function enter(room, name, here)
    local conn, before = connect(room), {}
    conn:send("name " .. name)
    local line
    repeat
      line = assert(heard(conn))
      before[#before + 1] = line
    until line:find "^here "
    assert.equal("here " .. (here or name), table.remove(before))
    return conn, before
  end

  local function parse(line)
    local id, name, text = line:match "^said (%d+) (%S+) (.*)$"
    assert(id, line)
    return name, text, math.tointeger(id)
  end

  local function said(conn) return parse(assert(heard(conn))) end

  local function ended(conn, code)
    local line, why, got = heard(conn)
    assert.same({ nil, "closed", code }, { line, why, got })
  end

  local function rooms(conn)
    local line
    repeat line = assert(conn:receive(kit.limit)) until line:find "^rooms "
    return line
  end

  it("tells everybody in a room what one says, and no other room", function()
    local anna, carl = enter("one", "anna"), enter("two", "carl")
    local ben = enter("one", "ben", "anna ben")
    expect(anna, "joined ben")
    anna:send "say hello to you"
    for _, conn in ipairs { anna, ben } do
      local name, text = said(conn)
      assert.same({ "anna", "hello to you" }, { name, text })
    end
    carl:send "say alone"
    local name, text = said(carl)
    assert.same({ "carl", "alone" }, { name, text })
    ben:send "say answer"
    name, text = said(anna)
    assert.same({ "ben", "answer" }, { name, text })
  end)

  it("tells who comes late what was said last, with growing ids", function()
    local anna = enter("one", "anna")
    for i = 1, 8 do anna:send("say " .. i) end
    for i = 1, 8 do assert.equal(tostring(i), (select(2, said(anna)))) end
    local _, before = enter("one", "ben", "anna ben")
    local last = 0
    assert.equal(8, #before)
    for i, line in ipairs(before) do
      local name, text, id = parse(line)
      assert.same({ "anna", tostring(i) }, { name, text })
      assert.is_true(id > last)
      last = id
    end
    expect(anna, "joined ben")
    assert.is_nil((heard(anna, 0.05)))
  end)

  it("keeps no more than the last 50", function()
    local speakers = {}
    for i = 1, 6 do
      speakers[i] = connect "one"
      speakers[i]:send("name n" .. i)
      for k = 1, 9 do speakers[i]:send(("say %d"):format(9 * (i - 1) + k)) end
      repeat
        local message = assert(speakers[i]:receive(kit.limit))
      until message:find((" n%d %d$"):format(i, 9 * i))
    end
    local _, before = enter("one", "late", "late n1 n2 n3 n4 n5 n6")
    assert.equal(50, #before)
    for i, line in ipairs(before) do
      assert.equal(tostring(i + 4), (select(2, parse(line))))
    end
  end)

  it("lets nobody have a name that is there, in whatever case", function()
    local anna = enter("one", "Anna")
    local other = connect "one"
    other:send "name aNNa"
    expect(other, "sorry somebody here has this name already")
    other:send "name anna2"
    expect(other, "here Anna anna2")
    expect(anna, "joined anna2")
    enter("two", "anna")
  end)

  it("tells who leaves, and the name is free again", function()
    local anna = enter("one", "anna")
    local ben = enter("one", "ben", "anna ben")
    expect(anna, "joined ben")
    ben:close()
    expect(anna, "left ben")
    ben = enter("one", "ben", "anna ben")
    expect(anna, "joined ben")
    ben:terminate()
    expect(anna, "left ben")
  end)

  it("tells everybody which rooms there are, and how many are in them",
    function()
      local watch = connect "one"
      assert.equal("rooms ", rooms(watch))
      enter("two", "anna")
      repeat until rooms(watch) == "rooms two 1"
      local ben = enter("two", "ben", "anna ben")
      enter("one", "carl")
      repeat until rooms(watch) == "rooms one 1 two 2"
      assert.equal("rooms one 1 two 2", rooms(connect "three"))
      ben:close()
      repeat until rooms(watch) == "rooms one 1 two 1"
    end)

  it("forgets a room that everybody has left", function()
    local anna = enter("one", "anna")
    anna:send "say secret"
    said(anna)
    local watch = enter("two", "watch")
    anna:close()
    ended(anna, 1000)
    watch:send "say after"
    said(watch)
    local _, before = enter("one", "ben")
    assert.same({}, before)
  end)

  it("refuses names that are empty, long, or hard to see", function()
    local conn = connect "one"
    for _, name in ipairs { "", "a b", ("x"):rep(25), "<b>", "a\nb",
      "a\u{200b}", "a\u{a0}", "a\u{202e}b", "a," } do
      conn:send("name " .. name)
      expect(conn, "sorry a name is up to 24 letters, digits, _ or -")
    end
    conn:send("name " .. ("ü"):rep(24))
    expect(conn, "here " .. ("ü"):rep(24))
  end)

  it("refuses what is too long or empty, and puts it on one line", function()
    local anna = enter("one", "anna")
    for _, text in ipairs { "", "   ", "\n", ("x"):rep(501) } do
      anna:send("say " .. text)
      expect(anna, "sorry 1 to 500 characters")
    end
    anna:send("say " .. ("ü"):rep(500))
    assert.equal(("ü"):rep(500), (select(2, said(anna))))
    anna:send "say a\nsaid 1 ben b"
    assert.equal("a said 1 ben b", (select(2, said(anna))))
    anna:send(("x"):rep(4097))
    ended(anna, 1009)
  end)

  it("ends who speaks without a name, twice names, or sends bytes", function()
    local conn = connect "one"
    conn:send "say hello"
    ended(conn, 1008)
    conn = enter("one", "anna")
    conn:send "name ben"
    ended(conn, 1008)
    conn = connect "one"
    conn:send("name anna", "binary")
    ended(conn, 1008)
  end)

  it("ends who floods", function()
    local anna = enter("one", "anna")
    for _ = 1, 100 do anna:send "say spam" end
    local message, why, code
    repeat message, why, code = anna:receive(kit.limit) until not message
    assert.same({ "closed", 1008 }, { why, code })
  end)

  it("has rooms of plain names alone, for pages of its own", function()
    for path, status in pairs { ["/chat/a%20b"] = 404, ["/chat/"] = 404,
      ["/chat/" .. ("x"):rep(33)] = 404, ["/"] = 404 } do
      local conn, _, got = kit.connect(child, path)
      assert.same({ nil, status }, { conn, got }, path)
    end
    local conn, _, status = kit.connect(child, "/chat/one",
      { origin = "http://evil.test" })
    assert.same({ nil, 403 }, { conn, status })
    assert(kit.connect(child, "/chat/one",
      { origin = "http://localhost:" .. child.port }))
  end)

  it("serves its page, and refuses ports that are taken or none", function()
    kit.has_page(child, "WebSocket Chat")
    kit.refuses_ports "chat"
  end)

  it("is found again by clients when it comes back", function()
    local opened = 0
    local conn = ws.connect(("ws://localhost:%d/chat/one"):format(child.port),
      { reconnect = { initial = 0.05, maximum = 0.1 },
        on_open = function(c)
          opened = opened + 1
          c:send "name anna"
        end, on_message = function() end })
    t.wait(function() return opened == 1 end, "the first connection")
    child:signal "TERM"
    assert.equal(0, child:ended())
    kit.serve("chat", child.port)
    t.wait(function() return opened == 2 end, "the second connection")
    conn:close()
  end)
end)
