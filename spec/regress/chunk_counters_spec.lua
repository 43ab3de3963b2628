-- Messages that go to on_chunk were in no counter, and a compressed one cost
-- as little of read_budget as an empty one, whatever it became.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local deflate = require "evws_probe".deflate
local frame = t.frame

local field = "Sec-WebSocket-Extensions"

local function part(opcode, payload, options)
  local own = { fin = false }
  for name, value in pairs(options or {}) do own[name] = value end
  return frame(opcode, payload, own)
end

-- Who gets the messages; all are counted alike.
local takers = {
  on_message = { on_message = function() end },
  on_chunk = { on_chunk = function() end },
  ["a slow on_chunk"] = { on_chunk = function() t.ws.sleep(0.002) end },
  receive = { on_open = function(conn)
    while conn:receive() do end
  end },
  nobody = {},
  ["an on_chunk that is taken away"] = { on_chunk = function(conn)
    conn:on_chunk(nil)
  end },
}

-- What is sent, and what is counted: messages, and bytes.
local inputs = {
  ["whole ones"] = { frame("text", "one") .. frame("binary", "three"), 2, 8 },
  ["empty ones"] = { frame("text", ""):rep(3), 3, 0 },
  ["one in fragments"] = { part("text", "ab") .. part("continuation", "")
    .. frame("continuation", "cd"), 1, 4 },
  ["characters that are cut"] = { part("text", "a\xe2") .. part(
    "continuation", "\x82") .. frame("continuation", "\xac"), 1, 4 },
  ["a long one"] = { frame("binary", ("x"):rep(300000)), 1, 300000 },
}

describe("a message is counted that goes to", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  for taker, handlers in pairs(takers) do
    for name, input in pairs(inputs) do
      it(("%s: %s"):format(taker, name), function()
        local options = { routes = { ["/a"] = handlers } }
        local server = t.listen(options)
        local client = t.open(server, { path = "/a" })
        client:send(input[1])
        t.wait(function()
          local stats = server:stats()
          return stats.messages_in == input[2] and stats.bytes_in == input[3]
        end, "the counters")
        client:finish()
        local stats = server:stats()
        assert.equal(input[2], stats.messages_in)
        assert.equal(input[3], stats.bytes_in)
        assert.is_truthy(server:metrics():find(
          "evws_messages_received_total " .. input[2] .. "\n", 1, true))
      end)
    end

    it(taker .. ": compressed ones, by what they became", function()
      local own = { compression = true }
      for key, value in pairs(handlers) do own[key] = value end
      local server = t.listen(own)
      local client = t.raw(server)
      client:upgrade { headers = { [field] = "permessage-deflate" } }
      local text = ("some words "):rep(1000)
      local data = deflate.pool():whole(text)
      client:send(frame("text", data, { rsv = 4 }))
      client:send(frame("text", "plain"))
      t.wait(function() return server:stats().messages_in == 2 end)
      assert.equal(#text + 5, server:stats().bytes_in)
    end)
  end

  it("on_chunk, of a message that is cut: its bytes alone", function()
    local closed
    local server = t.listen { on_chunk = function() end,
      on_close = function() closed = true end }
    local client = t.open(server)
    client:send(frame("text", "whole") .. part("text", "half"))
    t.wait(function() return server:stats().bytes_in == 9 end)
    client:close()
    t.wait(function() return closed end)
    assert.equal(1, server:stats().messages_in)
  end)

  it("on_chunk behind our close: not at all", function()
    local conn, client, server = kit.pair { on_chunk = function() end }
    conn:close()
    client:send(frame("text", "late") .. frame("close", "\x03\xe8"))
    t.wait(function() return conn.state == "closed" end)
    assert.equal(0, server:stats().messages_in)
  end)
end)

describe("read_budget", function()
  after_each(t.cleanup)

  -- How many messages of one connection are handled in a row, while another
  -- one has some, too.
  local function longest_run(handler, compression, message)
    local order = {}
    local options = { read_budget = 64, compression = compression,
      max_ratio = false }
    options[handler] = function(conn) order[#order + 1] = conn.id end
    local server = t.listen(options)
    local clients = {}
    for i = 1, 2 do
      clients[i] = t.raw(server)
      clients[i]:upgrade { headers = compression
        and { [field] = "permessage-deflate; client_no_context_takeover" } }
    end
    local n = 200
    for i = 1, 2 do clients[i]:send(message:rep(n)) end
    t.wait(function() return #order == 2 * n end, "all", 20)
    local longest, run = 0, 0
    for i = 2, #order do
      run = order[i] == order[i - 1] and run + 1 or 1
      if i < 2 * n - 2 * 64 then longest = math.max(longest, run) end
    end
    return longest
  end

  for _, handler in ipairs { "on_message", "on_chunk" } do
    it("is spent by what a compressed message became: " .. handler,
      function()
        local data = deflate.pool():whole(("x"):rep(64 * 1024))
        local longest = longest_run(handler, true,
          frame("text", data, { rsv = 4 }))
        assert.is_true(longest <= 16, longest) -- 17 of 64 each
      end)

    it("is one for each of the others: " .. handler, function()
      local longest = longest_run(handler, false, frame("text", "x"))
      assert.is_true(longest >= 32, longest)
    end)
  end
end)
