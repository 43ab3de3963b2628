-- Requests and answers that are written while memory fails: whole, or not at
-- all (src/protocol/handshake.c, handshake_client.c, tunnel.c).

local probe = require "evws_probe"
local handshake, tunnel, fail_at = probe.handshake, probe.tunnel,
  probe.buf.fail_at

local key = "dGhlIHNhbXBsZSBub25jZQ=="

local words = {
  ["the answer to an upgrade"] = function()
    return handshake.write_101(key, "chat", "X: y\r\n",
      "permessage-deflate")
  end,
  ["a client's request"] = function()
    return handshake.write_request { host = "a.test", target = "/", key = key,
      origin = "http://a.test", subprotocols = "chat",
      extensions = "permessage-deflate", fields = "X: y\r\n" }
  end,
  ["a client's words to a proxy"] = function()
    return tunnel.request("a.test", 443, "Basic " .. ("a"):rep(4000))
  end,
  ["a client's words to a proxy, of many lengths"] = function()
    local all = {}
    for n = 1, 300 do -- each of them ends where the room does, once
      all[n] = tunnel.request("a.test", 443, "Basic " .. ("a"):rep(n))
      if not all[n] then return nil end
    end
    return table.concat(all)
  end,
  ["a client's shortest words to a proxy"] = function()
    return tunnel.request("a.test", 443, "Basic a")
  end,
}

describe("without memory", function()
  after_each(function() fail_at(0, false) end)

  for name, write in pairs(words) do
    for _, every in ipairs { false, true } do
      it(("%s is written whole, or not%s"):format(name, every
        and ", however long that lasts" or ""), function()
        if not fail_at(0, false) then
          return pending "built without WS_FAULT"
        end
        local whole, failures, got = write(), 0, nil
        for n = 1, 2000 do
          fail_at(n, every)
          got = write()
          fail_at(0, false)
          if got then break end
          failures = failures + 1
        end
        assert.equal(whole, got)
        assert.is_true(failures > 0)
      end)
    end
  end
end)
