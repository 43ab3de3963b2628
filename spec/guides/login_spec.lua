-- docs/guides/login.md: login with a cookie.

local t = require "spec.helper"
local guide = require "spec.guides.kit"

describe("the guide to login", function()
  local child

  before_each(function()
    child = guide.start(guide.write "login", "login.lua", 0)
  end)
  after_each(guide.cleanup)

  local function http(method, path, body, fields)
    local raw = t.raw(child.port, { address = "127.0.0.1" })
    raw:send(("%s %s HTTP/1.1\r\nHost: localhost:%d\r\n%s"
      .. "Content-Type: application/x-www-form-urlencoded\r\n"
      .. "Content-Length: %d\r\n\r\n%s"):format(method, path, child.port,
      fields or "", #(body or ""), body or ""))
    return raw:read_http()
  end

  local function sign_in(name, password)
    local status, headers = http("POST", "/in",
      ("name=%s&password=%s"):format(name, password))
    assert.equal(303, status)
    assert.equal("/", headers.location)
    local id, rest = headers["set-cookie"]:match "^sid=(%x+); (.*)$"
    assert.equal("Max-Age=28800; Path=/; HttpOnly; SameSite=Lax", rest)
    return "a=b; sid=" .. id
  end

  local function connect(cookie, options)
    return guide.connect(child, "/ws", { headers = { Cookie = cookie },
      origin = options and options.origin })
  end

  it("knows by the cookie who connects", function()
    for name, password in pairs { anna = "lantern", ben = "h%61rbour" } do
      local conn = assert(connect(sign_in(name, password)))
      guide.expect(conn, "Hello, " .. name)
      conn:send "hi"
      guide.expect(conn, "hi")
    end
  end)

  it("lets nobody in without a session", function()
    for _, cookie in ipairs { "a=b", "sid=", "sid=0123", "xsid=1" } do
      local conn, _, status = connect(cookie)
      assert.same({ nil, 401 }, { conn, status })
    end
    for _, body in ipairs { "", "name=anna", "name=anna&password=wrong",
      "name=nobody&password=", "password=lantern" } do
      local status, headers = http("POST", "/in", body)
      assert.equal(403, status)
      assert.is_nil(headers["set-cookie"])
    end
  end)

  it("ends the connections of a session with it", function()
    local cookie, other = sign_in("anna", "lantern"), sign_in("anna",
      "lantern")
    local conn, stays = assert(connect(cookie)), assert(connect(other))
    guide.expect(conn, "Hello, anna")
    guide.expect(stays, "Hello, anna")
    local status, headers = http("POST", "/out", "", "Cookie: " .. cookie
      .. "\r\n")
    assert.equal(303, status)
    assert.matches("^sid=; Max%-Age=0; ", headers["set-cookie"])
    guide.expect_close(conn, 4001)
    local again, _, refused = connect(cookie)
    assert.same({ nil, 401 }, { again, refused })
    stays:send "still here"
    guide.expect(stays, "still here")
  end)

  it("does nothing for pages of other origins", function()
    local cookie = sign_in("anna", "lantern")
    local conn, _, status = connect(cookie, { origin = "http://evil.test" })
    assert.same({ nil, 403 }, { conn, status })
    assert.equal(403, (http("POST", "/out", "",
      "Origin: http://evil.test\r\nCookie: " .. cookie .. "\r\n")))
    assert(connect(cookie, { origin = "http://localhost:" .. child.port }))
    assert.equal(303, (http("POST", "/in", "name=ben&password=harbour",
      ("Origin: http://localhost:%d\r\n"):format(child.port))))
  end)

  it("shows a form, or who is signed in", function()
    local _, _, body = http("GET", "/")
    assert.is_truthy(body:find("action=/in", 1, true))
    local cookie = sign_in("anna", "lantern")
    local _, headers, again = http("GET", "/", "", "Cookie: " .. cookie
      .. "\r\n")
    assert.is_truthy(again:find("<title>anna</title>", 1, true))
    assert.equal("no-store", headers["cache-control"])
    assert.equal(405, (http("GET", "/in")))
    assert.equal(404, (http("GET", "/nothing")))
  end)
end)
