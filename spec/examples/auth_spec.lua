-- Who may connect (examples/auth.lua).

local kit = require "spec.examples.kit"

describe("the token sample", function()
  local child, anna, ben

  before_each(function()
    child = kit.serve "auth"
    anna, ben = child:wait "^anna%s+(%x+)$", child:wait "^ben%s+(%x+)$"
  end)
  after_each(kit.cleanup)

  local function with_token(token)
    return kit.connect(child, "/ws",
      { headers = { Authorization = token and "Bearer " .. token or nil } })
  end

  local function with_ticket(ticket)
    return kit.connect(child, "/ws",
      { subprotocols = { "echo", "ticket." .. ticket } })
  end

  local function ticket(token)
    local status, headers, body = kit.http(child, "POST", "/ticket",
      "Authorization: Bearer " .. token .. "\r\n")
    assert.equal(200, status)
    assert.equal("no-store", headers["cache-control"])
    return body
  end

  it("knows by the token who it is", function()
    for name, token in pairs { anna = anna, ben = ben } do
      local conn = assert(with_token(token))
      kit.expect(conn, "Hello, " .. name)
      conn:send "hi"
      kit.expect(conn, "hi")
    end
    assert.not_equal(anna, ben)
  end)

  it("refuses with 401 without a token, or with a wrong one", function()
    for _, token in ipairs { false, "wrong", anna:sub(1, -2),
      anna .. "0", ("0"):rep(#anna) } do
      local conn, why, status = with_token(token)
      assert.same({ nil, 401 }, { conn, status })
      assert.matches("401 Unauthorized$", why)
    end
  end)

  it("gives tickets for tokens alone", function()
    local status, headers = kit.http(child, "POST", "/ticket")
    assert.equal(401, status)
    assert.equal("Bearer", headers["www-authenticate"])
    status = kit.http(child, "POST", "/ticket",
      "Authorization: Bearer wrong\r\n")
    assert.equal(401, status)
    status, headers = kit.http(child, "GET", "/ticket")
    assert.equal(405, status)
    assert.equal("POST", headers.allow)
  end)

  it("takes a ticket once, and never names it in the answer", function()
    local pass = ticket(ben)
    local conn = assert(with_ticket(pass))
    assert.equal("echo", conn.subprotocol)
    kit.expect(conn, "Hello, ben")
    local again, _, status = with_ticket(pass)
    assert.same({ nil, 401 }, { again, status })
    assert.not_equal(ticket(ben), ticket(ben))
  end)

  it("refuses tickets that were never given", function()
    for _, pass in ipairs { ("0"):rep(32), "x", anna } do
      local conn, _, status = with_ticket(pass)
      assert.same({ nil, 401 }, { conn, status })
    end
  end)

  it("refuses pages of other origins, whatever they show", function()
    local conn, _, status = kit.connect(child, "/ws",
      { origin = "http://evil.test",
        subprotocols = { "ticket." .. ticket(anna) } })
    assert.same({ nil, 403 }, { conn, status })
  end)

  it("has other tokens at the next start", function()
    local other = kit.serve "auth"
    assert.not_equal(anna, (other:wait "^anna%s+(%x+)$"))
  end)

  it("serves its page, and refuses ports that are taken or none", function()
    kit.has_page(child, "WebSocket with a Token")
    kit.refuses_ports "auth"
  end)
end)
