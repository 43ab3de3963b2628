-- docs/guides/embedding.md: evws inside of cqueues, luv and luasocket.

local t = require "spec.helper"
local guide = require "spec.guides.kit"

local function skip(library)
  if not t.ws.fd() then return pending "is for systems with epoll" end
  if not pcall(require, library) then
    return pending(library .. " is not installed")
  end
end

describe("the guide to embedding", function()
  local directory

  before_each(function() directory = guide.write "embedding" end)
  after_each(guide.cleanup)

  -- Several numbers, each later than the one before.
  local function expect_clock(child)
    local conns = {}
    for i = 1, 3 do conns[i] = assert(guide.connect(child, "/")) end
    for _, conn in ipairs(conns) do
      local last = 0
      for _ = 1, 5 do
        local now = tonumber((assert(conn:receive(guide.limit))))
        assert.is_true(now > last)
        last = now
      end
    end
  end

  it("works with cqueues", function()
    if skip "cqueues" then return end
    expect_clock(guide.start(directory, "with_cqueues.lua", 0))
  end)

  it("works with luv", function()
    if skip "luv" then return end
    expect_clock(guide.start(directory, "with_luv.lua", 0))
  end)

  it("works with luasocket", function()
    if skip "socket" then return end
    local child = guide.start(directory, "with_luasocket.lua", 0, 0)
    local port = tonumber((child:wait "localhost:%d+%s+(%d+)"))
    local a, b = assert(guide.connect(child, "/")),
      assert(guide.connect(child, "/"))
    local udp = require("socket").udp()
    for i = 1, 20 do
      assert(udp:sendto("datagram " .. i, "127.0.0.1", port))
      guide.expect(a, "datagram " .. i)
      guide.expect(b, "datagram " .. i)
    end
    udp:close()
  end)
end)
