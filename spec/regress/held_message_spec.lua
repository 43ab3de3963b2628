-- The end of a long message came with that of a message of TLS, behind which
-- our own bytes had to wait: too many to call a handler. When they had left the
-- loop turned and turned, and the message waited for the next one.

local t = require "spec.helper"
local tls = require "spec.helper.tls"
local kit = require "spec.engine.kit"

-- RFC 8446 4.6.1
local ticket = (">Bs3"):pack(4, (">I4I4s1s2I2"):pack(3600, 1, "n",
  "a ticket, really", 0))

describe("a long message that ends", function()
  after_each(t.cleanup)

  it("in the middle of a ticket is delivered", function()
    local got
    local listener <close> = assert(t.probe.listen "127.0.0.1")
    local conn = assert(t.ws.connect("wss://127.0.0.1:" .. listener.port, {
      tls = { ca = tls.file "ca.pem" }, read_ahead = false, high_water = 1000,
      on_open = function() end,
      on_message = function(_, message) got = message end }))
    local c = tls.wrap(t.wait(function() return (listener:accept()) end), {
      server = true, split = true, certificate = tls.file "localhost.pem",
      key = tls.file "localhost.key" }, "client")
    assert.is_true(tls.shake(c))
    kit.answer(c)
    t.wait(function() return conn.state == "open" end)
    local payload = ("m"):rep(60000)
    local bytes = t.frame("binary", payload, { mask = false })
    c:send(bytes:sub(1, 30000)):flush()
    kit.during(0.02) -- it is read
    local first, last = c.tls:split(ticket:sub(1, 9), ticket:sub(10))
    c.tcp:send(first)
    kit.during(0.02)
    assert(conn:send(("h"):rep(100000)))
    local pieces = {}
    for at = 30001, #bytes, 800 do
      pieces[#pieces + 1] = bytes:sub(at, at + 799)
    end
    c.tcp:send(last .. table.concat { c.tls:seal(table.unpack(pieces)) })
    t.wait(function() return got end, "the message")
    assert.equal(payload, got)
    c:expect_frame("text", ("h"):rep(100000))
  end)
end)
