-- What a client says while its request is thought about (src/engine/answer.c,
-- pending.c): it is read so that its end is heard of, but 64 KiB at most are
-- kept.

local t = require "spec.helper"

local ws = t.ws
local get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

-- A request of n bytes, all in all.
local function post(n)
  local head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %05d\r\n\r\n"
  local body = ("x"):rep(n - #head:format(0))
  return head:format(#body) .. body
end

describe("behind a request that is thought about", function()
  local server, gate, asked, left

  before_each(function()
    gate, asked, left = ws.queue(99), 0, 0
    server = t.listen { on_request = function(request)
      asked = asked + 1
      request:on_close(function() left = left + 1 end)
      gate:take()
      return 200, #request.body .. ""
    end }
  end)

  after_each(function()
    for _ = 1, 9 do gate:put(true) end
    t.cleanup()
  end)

  local function ask(behind)
    local raw = t.raw(server)
    local before = asked
    raw:send(get)
    t.wait(function() return asked > before end, "the request")
    raw:send(behind)
    raw:half_close()
    return raw
  end

  it("an end is heard of as long as less than 64 KiB stand before it",
    function()
      ask(post(65535))
      t.wait(function() return left == 1 end, "the end")
      ask(post(65536))
      t.bystander(t.listen { on_message = t.echo }):check()
      for _ = 1, 20 do t.turn() end
      assert.equal(1, left)
    end)

  it("what stands there is answered all the same, in order", function()
    for i, n in ipairs { 100, 65535, 65536, 65537, 90000 } do
      local raw = t.raw(server)
      raw:send(get)
      t.wait(function() return asked == 3 * i - 2 end, "the request")
      raw:send(post(n) .. post(200))
      for _ = 1, 3 do gate:put(true) end
      for _, body in ipairs { 0, n - #post(0), 200 - #post(0) } do
        local status, _, got = raw:read_http()
        assert.same({ 200, body .. "" }, { status, got })
      end
      raw:close()
    end
  end)
end)
