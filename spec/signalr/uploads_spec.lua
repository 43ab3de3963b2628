-- streams.lua: what a method is told of a client's streams, to their end; how
-- far they are read ahead.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local kit = require "spec.signalr.kit"
local signalr = require "evws.signalr"
local ws = require "evws"

describe("a stream of a client", function()
  after_each(kit.cleanup)

  local log

  before_each(function() log = {} end)

  -- A method that notes what it receives, and what it receives behind the end.
  local function listen(up)
    repeat
      local item, why = up:receive()
      log[#log + 1] = item == signalr.null and "null" or item or why
    until item == nil
    log[#log + 1] = select(2, up:receive())
    return "over"
  end

  local function open(options, protocol)
    local own = { methods = { Up = { function(_, up) return listen(up) end,
      uploads = 1 } } }
    for name, value in pairs(options or {}) do own[name] = value end
    local hub = kit.hub(own)
    local c = kit.client(hub, { protocol = protocol })
    function c.begin()
      c:say { type = 1, invocationId = "1", target = "Up", arguments = {},
        streamIds = { "s" } }
    end
    function c.item(item)
      c:say { type = 2, invocationId = "s", item = item }
    end
    function c.finish(why)
      c:say { type = 3, invocationId = "s", error = why }
    end
    c.begin()
    return c, hub
  end

  for _, protocol in ipairs { "json", "messagepack" } do
    it("brings its items, null as well, until it has ended: " .. protocol,
      function()
        local c, hub = open(nil, protocol)
        c.item(1)
        c.item(kit.null)
        c.item "x"
        c.finish()
        assert.same({ 1, "null", "x", "ended", "ended" }, log)
        c:expect { type = 3, invocationId = "1", result = "over" }
        assert.same({ 0, 0, 3 }, { c.session.n_streams, c.session.n_running,
          hub:stats().items_in })
        c.item(2) -- of no stream any more
        c.finish()
        c:expect_nothing()
        assert.equal(3, hub:stats().items_in)
      end)
  end

  it("ends with the client's error, behind what came before", function()
    local c = open()
    c.item(1)
    c.finish "no more"
    assert.same({ 1, "no more", "no more" }, log)
    c:expect { type = 3, invocationId = "1", result = "over" }
    log = {}
    c.begin()
    c.finish ""
    assert.same({ "", "" }, log)
  end)

  it("ends once: what is said of it later changes nothing", function()
    local gate = ws.queue(1)
    local c = open { methods = { Up = { function(_, up)
      gate:take()
      return listen(up)
    end, uploads = 1 } } }
    c.item(1)
    c.finish()
    c.finish "an error"
    gate:put(true)
    kit.settle()
    assert.same({ 1, "ended", "ended" }, log)
  end)

  it("is closed when the client is gone, and when the method is over",
    function()
      local kept
      local c = open { methods = { Up = { function(_, up)
        kept = up
        return listen(up)
      end, uploads = 1 }, Leave = { function(_, up)
        kept = up
      end, uploads = 1 } } }
      c.item(1)
      c:lose()
      kit.settle()
      assert.same({ 1, "closed", "closed" }, log)
      c = open { methods = { Up = { function(_, up) kept = up end,
        uploads = 1 } } }
      c:expect { type = 3, invocationId = "1", result = kit.null }
      assert.same({ nil, "closed" }, { kept:receive() })
    end)

  it("is waited for as long as it is told, and goes on then", function()
    local c = open { methods = { Up = { function(_, up)
      log[1] = { up:receive(0) }
      return listen(up)
    end, uploads = 1 } } }
    c.item(1)
    c.finish()
    assert.same({ { nil, "timeout" }, 1, "ended", "ended" }, log)
  end)

  it("is a loop's, which ends without a word", function()
    local c = open { methods = { Up = { function(_, up)
      for item in up:each() do log[#log + 1] = item end
      return "over"
    end, uploads = 1 } } }
    c.item(1)
    c.item(2)
    c.finish "an error"
    assert.same({ 1, 2 }, log)
    c:expect { type = 3, invocationId = "1", result = "over" }
  end)

  it("is read ahead by stream_buffer, and then its client waits", function()
    local gate = ws.queue(9)
    local c, hub = open { stream_buffer = 2, methods = {
      Up = { function(_, up)
        repeat
          gate:take()
          local item, why = up:receive()
          log[#log + 1] = item or why
        until item == nil
      end, uploads = 1 } } }
    for i = 1, 5 do c.item(i) end
    -- two are kept, and with the third the reader waits
    assert.equal(3, hub:stats().items_in)
    gate:put(true)
    kit.settle()
    assert.equal(4, hub:stats().items_in)
    for _ = 1, 4 do gate:put(true) end
    kit.settle()
    assert.equal(5, hub:stats().items_in)
    c.finish()
    gate:put(true)
    kit.settle()
    assert.same({ 1, 2, 3, 4, 5, "ended" }, log)
  end)

  it("is one of max_streams, which are free again behind it", function()
    local c = open { max_streams = 2, methods = {
      Two = { function(_, a, b) return listen(a) .. listen(b) end,
        uploads = 2 }, Up = { function(_, up) return listen(up) end,
        uploads = 1 } } }
    assert.equal(1, c.session.n_streams)
    c:say { type = 1, invocationId = "2", target = "Two", arguments = {},
      streamIds = { "t", "u" } }
    c:expect { type = 3, invocationId = "2", error = "An unexpected error "
      .. "occurred invoking 'Two' on the server. HubException: Too many "
      .. "streams." }
    assert.equal(1, c.session.n_streams)
    c.finish()
    c:expect { type = 3, invocationId = "1", result = "over" }
    c:say { type = 1, invocationId = "3", target = "Two", arguments = {},
      streamIds = { "t", "u" } }
    assert.equal(2, c.session.n_streams)
    for _, id in ipairs { "t", "u" } do
      c:say { type = 3, invocationId = id }
    end
    c:expect { type = 3, invocationId = "3", result = "overover" }
    assert.equal(0, c.session.n_streams)
  end)
end)
