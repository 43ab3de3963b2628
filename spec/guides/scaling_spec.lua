-- docs/scaling.md: its programs, each a process of its own, with a Redis.

local t = require "spec.helper"
local guide = require "spec.guides.kit"
local children = require "spec.binding.kit"
local redis = require "spec.helper.redis"

if redis.is_missing "docs/scaling.md" then return end

local programs = {}
do
  local file <close> = assert(io.open "docs/scaling.md")
  for text in file:read "a":gmatch "\n```lua\n(.-\n)```" do
    programs[#programs + 1] = text
  end
end

-- As it stands there, but for the port and where Redis is.
local function start(n, url)
  local text = programs[n]:gsub("redis://localhost", url)
  return children.run(([[
    local load_ws = require
    local function require(name)
      local ws = load_ws(name)
      local listen = ws.listen
      function ws.listen(options)
        options.port = 0
        local server, why = listen(options)
        say(server and "localhost:" .. server.port or why)
        return server, why
      end
      return ws
    end
    %s
  ]]):format(text))
end

describe("docs/scaling.md", function()
  after_each(function()
    guide.cleanup()
    redis.cleanup()
  end)

  it("has a server whose topics reach all processes, and a publisher",
    function()
      assert.equal(2, #programs)
      local url = redis.start().url
      local conns = {}
      for i = 1, 2 do
        local child = start(1, url)
        child.port = tonumber((child:wait "^localhost:(%d+)$"))
        conns[i] = assert(guide.connect(child, "/"))
      end
      for i = 1, 2 do -- until both have subscribed at Redis
        t.wait(function()
          assert(conns[3 - i]:send "hello")
          local heard, why = conns[i]:receive(0.1)
          assert.is_true(heard == "hello" or why == "timeout")
          return heard
        end, "the other process")
      end
      assert.equal(0, start(2, url):ended())
      for i = 1, 2 do
        local heard
        repeat heard = conns[i]:receive(guide.limit) until heard ~= "hello"
        assert.equal("the nightly figures are there", heard)
      end
    end)

  it("has a publisher that ends where there is no Redis", function()
    local child = start(2, "redis://127.0.0.1:1")
    assert.equal(1, child:ended(30))
    assert.is_truthy(child:errors():find("timeout", 1, true))
  end)
end)
