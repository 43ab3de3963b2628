-- The chat (examples/chat.lua).

local t = require "spec.helper"
local kit = require "spec.examples.kit"
local ws = t.ws

describe("the chat", function()
  local child

  before_each(function() child = kit.serve "chat" end)
  after_each(kit.cleanup)

  local function enter(room, name, here)
    local conn = assert(kit.connect(child, "/chat/" .. room))
    conn:send("name " .. name)
    kit.expect(conn, "here " .. (here or name))
    return conn
  end

  local function said(conn)
    local message = assert(conn:receive(kit.limit))
    local id, name, text = message:match "^said (%d+) (%S+) (.*)$"
    assert(id, message)
    return name, text, math.tointeger(id)
  end

  it("tells everybody in a room what one says, and no other room", function()
    local anna, carl = enter("one", "anna"), enter("two", "carl")
    local ben = enter("one", "ben", "anna ben")
    kit.expect(anna, "joined ben")
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
    local ben, last = enter("one", "ben", "anna ben"), 0
    for i = 1, 8 do
      local name, text, id = said(ben)
      assert.same({ "anna", tostring(i) }, { name, text })
      assert.is_true(id > last)
      last = id
    end
    kit.expect(anna, "joined ben")
    assert.is_nil((anna:receive(0.05)))
  end)

  it("keeps no more than the last 50", function()
    local speakers = {}
    for i = 1, 6 do
      speakers[i] = assert(kit.connect(child, "/chat/one"))
      speakers[i]:send("name n" .. i)
      for k = 1, 9 do speakers[i]:send(("say %d"):format(9 * (i - 1) + k)) end
      repeat
        local message = assert(speakers[i]:receive(kit.limit))
      until message:find((" n%d %d$"):format(i, 9 * i))
    end
    local late = enter("one", "late", "late n1 n2 n3 n4 n5 n6")
    for i = 5, 54 do assert.equal(tostring(i), (select(2, said(late)))) end
    assert.is_nil((late:receive(0.05)))
  end)

  it("lets nobody have a name that is there, in whatever case", function()
    local anna = enter("one", "Anna")
    local other = assert(kit.connect(child, "/chat/one"))
    other:send "name aNNa"
    kit.expect(other, "sorry somebody here has this name already")
    other:send "name anna2"
    kit.expect(other, "here Anna anna2")
    kit.expect(anna, "joined anna2")
    enter("two", "anna")
  end)

  it("tells who leaves, and the name is free again", function()
    local anna = enter("one", "anna")
    local ben = enter("one", "ben", "anna ben")
    kit.expect(anna, "joined ben")
    ben:close()
    kit.expect(anna, "left ben")
    ben = enter("one", "ben", "anna ben")
    kit.expect(anna, "joined ben")
    ben:terminate()
    kit.expect(anna, "left ben")
  end)

  it("forgets a room that everybody has left", function()
    local anna = enter("one", "anna")
    anna:send "say secret"
    said(anna)
    local watch = enter("two", "watch")
    anna:close()
    kit.expect_close(anna, 1000)
    watch:send "say after"
    said(watch)
    local ben = enter("one", "ben")
    assert.is_nil((ben:receive(0.05)))
  end)

  it("refuses names that are empty, long, or hard to see", function()
    local conn = assert(kit.connect(child, "/chat/one"))
    for _, name in ipairs { "", "a b", ("x"):rep(25), "<b>", "a\nb",
      "a\u{200b}", "a\u{a0}", "a\u{202e}b", "a," } do
      conn:send("name " .. name)
      kit.expect(conn, "sorry a name is up to 24 letters, digits, _ or -")
    end
    conn:send("name " .. ("ü"):rep(24))
    kit.expect(conn, "here " .. ("ü"):rep(24))
  end)

  it("refuses what is too long or empty, and puts it on one line", function()
    local anna = enter("one", "anna")
    for _, text in ipairs { "", "   ", "\n", ("x"):rep(501) } do
      anna:send("say " .. text)
      kit.expect(anna, "sorry 1 to 500 characters")
    end
    anna:send("say " .. ("ü"):rep(500))
    assert.equal(("ü"):rep(500), (select(2, said(anna))))
    anna:send "say a\nsaid 1 ben b"
    assert.equal("a said 1 ben b", (select(2, said(anna))))
    anna:send(("x"):rep(4097))
    kit.expect_close(anna, 1009)
  end)

  it("ends who speaks without a name, twice names, or sends bytes", function()
    local conn = assert(kit.connect(child, "/chat/one"))
    conn:send "say hello"
    kit.expect_close(conn, 1008)
    conn = enter("one", "anna")
    conn:send "name ben"
    kit.expect_close(conn, 1008)
    conn = assert(kit.connect(child, "/chat/one"))
    conn:send("name anna", "binary")
    kit.expect_close(conn, 1008)
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

  it("serves its page, and says when its port is taken", function()
    local status, headers, body = kit.http(child, "GET", "/")
    assert.equal(200, status)
    assert.equal("text/html; charset=utf-8", headers["content-type"])
    assert.is_truthy(body:find("WebSocket Chat", 1, true))
    kit.refuses_a_taken_port "chat"
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
