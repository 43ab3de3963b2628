-- The echo over TLS (examples/tls.lua), the echo (examples/echo.lua), and
-- their client (examples/client.lua, which is bin/evws).

local t = require "spec.helper"
local kit = require "spec.examples.kit"
local children = require "spec.binding.kit"

describe("examples/tls.lua", function()
  after_each(kit.cleanup)

  local function meet(child, ca)
    local conn = assert(t.ws.connect(("wss://localhost:%d/ws"):format(
      child.port), { tls = { ca = ca }, timeout = kit.limit }))
    assert.is_true(conn.secure)
    conn:send("\0\255", "binary")
    local message, kind = conn:receive(kit.limit)
    assert.same({ "\0\255", "binary" }, { message, kind })
    conn:close()
  end

  it("makes a certificate and echoes over TLS", function()
    meet(kit.serve("tls", "0"), "build/certificates/ca.pem")
  end)

  it("takes a certificate and key that it is given", function()
    assert(os.execute "tools/certificate.sh")
    meet(kit.serve("tls", "0 build/certificates/rsa.pem "
      .. "build/certificates/rsa.key"), "build/certificates/ca.pem")
  end)

  it("says in a line what is wrong with them", function()
    local child = children.start "examples/tls.lua 0 nowhere.pem nowhere.key"
    assert.equal(1, child:ended())
    assert.equal("", child:output())
    assert.matches("^[^\n]*nowhere.pem[^\n]*\n$", child:errors())
  end)

  it("refuses ports that are taken or none", function()
    kit.refuses_ports "tls"
  end)
end)

describe("examples/client.lua", function()
  after_each(kit.cleanup)

  it("talks to examples/echo.lua, wherever it is called from", function()
    local child = kit.serve "echo"
    local input = os.tmpname()
    local file = assert(io.open(input, "w"))
    file:write "one\ntwo\n"
    file:close()
    local client = children.start(
      ("examples/../examples/client.lua localhost:%d/ws"):format(child.port),
      input)
    local status = client:ended()
    os.remove(input)
    assert.same({ "one\ntwo\n", "", 0 },
      { client:output(), client:errors(), status })
  end)

  it("measures round trips to it", function()
    local child = kit.serve "echo"
    local client = children.start(
      ("examples/client.lua --ping -c 2 -i 0 localhost:%d/ws"):format(
        child.port))
    client:wait "^2 sent, 2 answered, 0 %% lost$"
    assert.equal(0, client:ended())
  end)

  it("is told by the echo which ports are taken or none", function()
    kit.refuses_ports "echo"
  end)
end)
