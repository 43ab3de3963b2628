-- What the specs of the examples share: each runs as a process of its own, as
-- `make run` starts it, and is met by clients of evws.
--
--   kit.serve(name[, arguments]) -> child   on a free port: child.port; see
--                                           spec/binding/kit.lua for the rest
--   kit.connect(child, path[, options]) -> conn, with spec limits of time
--   kit.expect(conn, text)       the next message is this
--   kit.expect_close(conn, code) nothing comes any more but this code
--   kit.http(child, method, path[, fields]) -> status, headers, body
--   kit.has_page(child, title)   the page, all that it needs, and no more
--   kit.refuses_ports(name)      a port that is taken, or is none
--   kit.cleanup()                for after_each

local t = require "spec.helper"
local children = require "spec.binding.kit"
local visitor = require "spec.helper.visitor"
local assert = require "luassert"

local kit = { limit = visitor.limit, connect = visitor.connect,
  expect = visitor.expect, expect_close = visitor.expect_close }

function kit.serve(name, arguments)
  local child = children.start(("examples/%s.lua %s"):format(name,
    arguments or "0"))
  child.port = tonumber((child:wait "^%w+: %w+://localhost:(%d+)"))
  return child
end

function kit.http(child, method, path, fields)
  local raw = t.raw(child.port, { address = "127.0.0.1" })
  raw:send(("%s %s HTTP/1.1\r\nHost: localhost:%d\r\n%s"
    .. "Content-Length: 0\r\n\r\n"):format(method, path, child.port,
      fields or ""))
  return raw:read_http()
end

-- The page may load what stands beside it, and finds it there; the sources of
-- the samples are not served.
function kit.has_page(child, title)
  local status, headers, body = kit.http(child, "GET", "/")
  assert.equal(200, status)
  assert.equal("text/html; charset=utf-8", headers["content-type"])
  assert.is_truthy(body:find("<title>" .. title .. "</title>", 1, true))
  assert.matches("^default%-src 'self'; ", headers["content-security-policy"])
  local n = 0
  for link in body:gmatch '%s[sh]r[ce]f?="([%w/.]+)"' do
    if link:find "%." then
      n = n + 1
      local path = link:find "^/" and link or "/" .. link
      assert.equal(200, (kit.http(child, "GET", path)), path)
    end
  end
  assert.is_true(n > 0)
  assert.is_nil(body:find("<script>", 1, true) or body:find("<style", 1, true))
  for _, path in ipairs { "/chat.lua", "/../chat.lua", "/auth/page.js" } do
    assert.equal(404, (kit.http(child, "GET", path)), path)
  end
end

-- One line and exit 1.
local function refuses(name, port, pattern)
  local child = children.start(("examples/%s.lua %s"):format(name, port))
  assert.equal(1, child:ended())
  assert.equal("", child:output())
  assert.matches(pattern, child:errors())
end

function kit.refuses_ports(name)
  local server = t.listen { host = "localhost" }
  refuses(name, server.port,
    ("^cannot listen on localhost port %d: [^\n]+\n$"):format(server.port))
  refuses(name, "abc", "^abc is no port\n$")
end

function kit.cleanup()
  visitor.cleanup()
  children.cleanup()
  t.cleanup()
end

return kit
