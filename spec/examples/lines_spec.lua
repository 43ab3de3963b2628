-- A room met by WebSockets and by lines over TCP (examples/lines.lua).

local t = require "spec.helper"
local kit = require "spec.examples.kit"

local has_socket, socket = pcall(require, "socket")
local describe_it = has_socket and describe or pending

describe_it("examples/lines.lua", function()
  local child, line_port

  before_each(function()
    child = kit.serve "lines"
    line_port = child:wait "^Lines: (%d+)$"
  end)
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  local function telnet()
    local client = assert(socket.connect("127.0.0.1", line_port))
    client:settimeout(kit.limit)
    return client
  end

  it("carries text both ways, in pieces too", function()
    local conn = assert(kit.connect(child, "/ws"))
    local client = telnet()
    client:send "from a "
    client:send "terminal\n"
    kit.expect(conn, "from a terminal")
    assert.equal("from a terminal", (client:receive "*l"))
    conn:send "from a page"
    assert.equal("from a page", (client:receive "*l"))
    kit.expect(conn, "from a page")
    client:close()
    conn:send "still here"
    kit.expect(conn, "still here")
  end)

  it("ends who sends a line without an end, and nobody else", function()
    local conn = assert(kit.connect(child, "/ws"))
    local rude, polite = telnet(), telnet()
    rude:send(("x"):rep(10000))
    local _, why = rude:receive "*l"
    assert.equal("closed", why)
    polite:send "hello\n"
    kit.expect(conn, "hello")
    polite:send "\255\n"
    polite:send "on\n"
    kit.expect(conn, "on")
    polite:close()
  end)

  it("refuses ports that are taken or none", function()
    kit.refuses_ports "lines"
  end)
end)
