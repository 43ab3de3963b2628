-- Peers that were answered and stay: their descriptors are counted, and go for
-- those who come.

local t = require "spec.helper"

describe("descriptors on their way out", function()
  after_each(t.cleanup)

  it("are within max_connections", function()
    local server = t.listen { max_connections = 10, on_message = function(c, m)
      c:send(m)
    end }
    local bystander = t.bystander(server)
    collectgarbage()
    local before, raws = t.probe.fd_count(), {}
    for i = 1, 60 do
      raws[i] = t.raw(server)
      raws[i]:send "nonsense\r\n\r\n"
      assert.equal(400, (raws[i]:read_http()))
      -- one at this end and one at the other, but for those that were cut
      assert.is_true(t.probe.fd_count() - before <= i + 10)
    end
    bystander:check()
    t.open(server):close()
    for _, raw in ipairs(raws) do raw:close() end
  end)

  it("do not keep who comes out", function()
    local server = t.listen { max_connections = 2 }
    local raws = {}
    for i = 1, 10 do
      raws[i] = t.open(server)
      raws[i]:send(t.frame("close", ""))
      raws[i]:expect_close(1005)
    end
    for _, raw in ipairs(raws) do raw:close() end
  end)

  it("count no more than open ones that are too many", function()
    local server = t.listen { max_connections = 2 }
    local one, two = t.open(server), t.open(server)
    local three = t.raw(server)
    three:expect_eof()
    one:send(t.frame("close", ""))
    one:expect_close(1005)
    t.wait(function() return server.connections == 1 end)
    local four = t.open(server)
    for _, raw in ipairs { one, two, three, four } do raw:close() end
  end)
end)
