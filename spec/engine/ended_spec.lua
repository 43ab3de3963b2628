-- Whoever comes is opened or answered, or counted as refused, once and with
-- the reason; however the connection ends.

local t = require "spec.helper"
local core = require "evws.core"
local kit = require "spec.engine.kit"
local tls = require "spec.helper.tls"
local ws = t.ws

local upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
  .. "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
  .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
local half = upgrade:sub(1, #upgrade // 2)
local post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"

-- A server whose application thinks about what it is asked, until it is told
-- to go on.
local function thinking(options)
  local own = { is_asked = false, go = ws.queue(1) }
  options = options or {}
  function options.on_upgrade()
    own.is_asked = true
    own.go:take()
  end
  function options.on_request()
    options.on_upgrade()
    return 200
  end
  own.server = t.listen(options)
  return own
end

local function accepted(server, n)
  t.wait(function() return server:stats().accepted == n end, "to be accepted")
  t.turn()
end

local function expect_counts(server, expected)
  pcall(t.wait, function() return next(t.refusals(server)) end, "a count", 1)
  t.turn()
  assert.same(expected, t.refusals(server))
end

-- Where nothing is to be counted: behind it comes one that is.
local function expect_none(server)
  local n = server:stats().accepted
  local raw = t.raw(server)
  accepted(server, n + 1)
  raw:close()
  expect_counts(server, { lost = 1 })
end

describe("a connection that ends before it is open", function()
  local log = ws.log

  after_each(function()
    t.cleanup()
    ws.log = log
  end)

  for name, sent in pairs { nothing = "", ["half a head"] = half,
    ["half a body"] = post .. "ab" } do
    for _, how in ipairs { "close", "reset" } do
      it(("is lost after %s, by a %s"):format(name, how), function()
        local own = thinking()
        local raw = t.raw(own.server)
        raw:send(sent)
        accepted(own.server, 1)
        raw[how](raw)
        expect_counts(own.server, { lost = 1 })
        assert.is_false(own.is_asked)
      end)
    end
  end

  for name, sent in pairs { ["an upgrade"] = upgrade,
    ["a request"] = post .. "abcde" } do
    it("is lost while it is thought about: " .. name, function()
      local own = thinking()
      local raw = t.raw(own.server)
      raw:send(sent)
      t.wait(function() return own.is_asked end, "the handler")
      raw:reset()
      expect_counts(own.server, { lost = 1 })
      own.go:put(true)
    end)

    it("is ended by the server meanwhile: " .. name, function()
      local own = thinking()
      local raw = t.raw(own.server)
      raw:send(sent)
      t.wait(function() return own.is_asked end, "the handler")
      own.server:close { timeout = 0 }
      expect_counts(own.server, { closing = 1 })
      own.go:put(true)
    end)
  end

  it("is too late with its body's rest", function()
    local own = thinking { handshake_timeout = 0.05 }
    local raw = t.raw(own.server)
    raw:send(post .. "ab")
    assert.equal(408, (raw:read_http()))
    expect_counts(own.server, { timeout = 1 })
  end)

  it("has not asked when the server ends", function()
    local own = thinking()
    local idle, begun = t.raw(own.server), t.raw(own.server)
    begun:send(half)
    accepted(own.server, 2)
    own.server:close { timeout = 0 }
    expect_counts(own.server, { closing = 2 })
    idle:close()
  end)

  it("has no memory for its head", function()
    if not core.fail_at then pending "built without WS_FAULT" end
    local seen = {}
    for n = 1, 30 do
      local server = t.listen {}
      local raw = t.raw(server)
      accepted(server, 1)
      raw:send(half)
      kit.fail_at(n)
      pcall(t.wait, function() return next(t.refusals(server)) end, "", 0.01)
      kit.fail_at(0)
      raw:close()
      t.wait(function() return next(t.refusals(server)) end, "a count")
      local of_it = t.refusals(server)
      assert.equal(1, of_it.memory or of_it.lost)
      assert.is_nil(next(of_it, next(of_it)))
      seen[next(of_it)] = true
    end
    assert.same({ memory = true, lost = true }, seen)
  end)

  it("was answered before: it is not refused", function()
    local server = t.listen { on_request = function() return 200, "a" end }
    local raw = t.raw(server)
    raw:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert.equal(200, (raw:read_http()))
    raw:send "GET / HTTP/1.1\r\n"
    t.turn()
    raw:close()
    expect_none(server)
  end)

  it("was answered with a refusal: it is refused once", function()
    local server = t.listen { path = "/a" }
    local raw = t.raw(server)
    raw:send(upgrade)
    assert.equal(404, (raw:read_http()))
    raw:reset()
    expect_counts(server, { not_found = 1 })
  end)

  it("was open: it is not refused", function()
    local server, told = kit.serve {}
    local raw = t.open(server)
    raw:reset()
    kit.closed(told)
    raw = t.open(server)
    raw:finish(1000)
    kit.closed(told, 2)
    expect_none(server)
  end)

  it("speaks no TLS where that is spoken", function()
    local server = t.listen(tls.options())
    ws.log = function() end
    local raw = t.raw(server)
    raw:send(("x"):rep(600))
    raw:read_http { limit = 1 }
    expect_counts(server, { tls = 1 })
  end)

  it("is told of with its reason and its address", function()
    local told = {}
    ws.log = function(_, event, fields)
      if event == "refused" then told[#told + 1] = fields end
    end
    local own = thinking()
    local raw = t.raw(own.server)
    raw:send(half)
    accepted(own.server, 1)
    raw:close()
    t.wait(function() return #told > 0 end, "the event")
    assert.equal(1, #told)
    assert.equal("lost", told[1].reason)
    assert.equal("127.0.0.1", told[1].address)
    assert.is_nil(told[1].status)
  end)
end)
