-- Of many that came in one turn, only the first cost the oldest its place: it
-- was chosen again and again, and max_pending was no limit.

local t = require "spec.helper"

local begun = "GET / HTTP/1.1\r\n"

-- What those are that come first; and what they are left with.
local crowds = {
  ["said nothing"] = { "", function(client) client:expect_eof() end },
  ["have begun"] = { begun, function(client)
    assert.equal(503, (client:read_http()))
    client:expect_eof()
  end },
}

describe("max_pending, of a crowd that comes at once", function()
  after_each(t.cleanup)

  for name, crowd in pairs(crowds) do
    local bytes, is_left = table.unpack(crowd)

    it("keeps the latest of those that " .. name, function()
      local list, most, n = {}, 3, 12
      local server = t.listen { max_pending = most, handshake_timeout = 1000,
        on_request = function() return 200, "here" end }
      for i = 1, most do list[i] = t.raw(server):send(bytes):flush() end
      t.wait(function() return server:stats().pending == most end, "the first")
      for _ = 1, 5 do t.turn() end -- what they have sent is read
      for i = most + 1, n do list[i] = t.raw(server) end
      t.wait(function()
        return server:stats().accepted == n
      end, "all of them")
      local stats = server:stats()
      assert.equal(most, stats.pending)
      assert.equal(n - most, stats.refused.pending)
      for i = 1, most do is_left(list[i]) end
      for i = most + 1, n - most do list[i]:expect_eof() end
      for i = n - most + 1, n do
        list[i]:send "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert.equal(200, (list[i]:read_http()))
      end
    end)
  end

  it("counts nobody that is on its way out", function()
    local server = t.listen { max_pending = 2, on_request = function()
      return 200, "here"
    end }
    local gone = { t.raw(server), t.raw(server) }
    t.wait(function() return server:stats().pending == 2 end, "the first")
    for _, client in ipairs(gone) do client:close() end
    local list = { t.raw(server), t.raw(server) }
    t.wait(function() return server:stats().accepted == 4 end, "all of them")
    for _, client in ipairs(list) do
      client:send "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
      assert.equal(200, (client:read_http()))
    end
  end)
end)
