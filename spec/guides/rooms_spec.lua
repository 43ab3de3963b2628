-- docs/guides/rooms.md: rooms, and who is in them.

local guide = require "spec.guides.kit"

describe("the guide to rooms", function()
  local child

  before_each(function()
    child = guide.start(guide.write "rooms", "board.lua", 0)
  end)
  after_each(guide.cleanup)

  local function enter(room, name, here)
    local conn = assert(guide.connect(child, ("/rooms/%s/%s"):format(room,
      name)))
    guide.expect(conn, "here " .. here)
    return conn
  end

  it("tells a room who is there, who comes and who goes", function()
    local anna = enter("one", "anna", "anna")
    local ben = enter("one", "ben", "anna ben")
    guide.expect(anna, "joined ben")
    ben:close()
    guide.expect(anna, "left ben")
    enter("one", "carl", "anna carl"):terminate()
    guide.expect(anna, "joined carl")
    guide.expect(anna, "left carl")
  end)

  it("says what is said to the room, and to no other", function()
    local anna, ben = enter("one", "anna", "anna"), enter("two", "ben", "ben")
    local carl = enter("one", "carl", "anna carl")
    guide.expect(anna, "joined carl")
    anna:send "hello to you"
    guide.expect(anna, "said anna hello to you")
    guide.expect(carl, "said anna hello to you")
    ben:send "alone"
    guide.expect(ben, "said ben alone")
  end)

  it("counts who is there twice once", function()
    local watch = enter("one", "watch", "watch")
    local first = enter("one", "anna", "anna watch")
    guide.expect(watch, "joined anna")
    local second = enter("one", "anna", "anna watch")
    first:close()
    guide.expect_close(first, 1000)
    second:send "still here"
    guide.expect(watch, "said anna still here")
    second:close()
    guide.expect(watch, "left anna")
  end)

  it("forgets a room that is empty, and names that are none", function()
    enter("one", "anna", "anna"):close()
    local watch = enter("one", "watch", "watch")
    watch:close()
    for _, path in ipairs { "/rooms/one/a%20b", "/rooms/one/", "/rooms/one" } do
      local conn, _, status = guide.connect(child, path)
      assert.is_nil(conn)
      assert.is_true(status == 400 or status == 404)
    end
  end)
end)
