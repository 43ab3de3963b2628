-- docs/guides/history.md: a topic with a history, and a client that comes back.

local t = require "spec.helper"
local children = require "spec.binding.kit"
local guide = require "spec.guides.kit"

describe("the guide to histories", function()
  after_each(guide.cleanup)

  local function place(conn)
    local message = assert(conn:receive(guide.limit))
    local offset, epoch, data =
      message:match '^{"offset":(%d+),"epoch":"(%w+)",.-"data":(.*)}$'
    return data, tonumber(offset), epoch
  end

  it("gives who comes back what was missed, once", function()
    local server = guide.start(guide.write "history", "news.lua", 0)
    local writer = assert(guide.connect(server, "/"))
    local epoch
    for i = 1, 3 do
      writer:send(tostring(i))
      local data, offset, e = place(writer)
      assert.same({ tostring(i), i }, { data, offset })
      epoch = e
    end
    local back = assert(guide.connect(server,
      "/?offset=1&epoch=" .. epoch))
    assert.same({ "2", 2, epoch }, { place(back) })
    assert.same({ "3", 3, epoch }, { place(back) })
    guide.expect(assert(guide.connect(server, "/?offset=1&epoch=x")),
      '{"reload":true}')
    writer:send "{"
    guide.expect_close(writer, 1003)
  end)

  it("tells who is there, each person once", function()
    local server = guide.start(guide.write "history", "lobby.lua", 0)
    local function enter(name)
      return assert(guide.connect(server, "/?name=" .. name))
    end
    local ann = enter "ann"
    guide.expect(ann, "here: ann")
    guide.expect(ann, "join: ann")
    local ben, tab = enter "ben", enter "ann"
    guide.expect(ann, "join: ben")
    guide.expect(ben, "here: ann ben")
    guide.expect(ben, "join: ben")
    guide.expect(tab, "here: ann ben")
    tab:close()
    enter "%20"
    guide.expect(ann, "join: somebody")
    guide.expect(ben, "join: somebody")
    ann:terminate()
    guide.expect(ben, "leave: ann")
  end)

  it("has a reader that notices a server that was started anew", function()
    local directory = guide.write "history"
    local server = guide.start(directory, "news.lua", 0)
    local reader = children.start(("%s/reader.lua ws://localhost:%d/"):format(
      directory, server.port))
    local function say(text)
      local writer = assert(guide.connect(server, "/"))
      t.wait(function()
        writer:send(text)
        place(writer)
        return reader:output():find(text, 1, true)
      end, "the reader")
    end
    say '"one"'
    server:signal "KILL"
    server:ended()
    server = guide.start(directory, "news.lua", server.port)
    t.wait(function() return reader:output():find "everything anew" end)
    say '"two"'
  end)
end)
