-- What the specs of the examples share: each runs as a process of its own, as
-- `make run` starts it, and is met by clients of evws.
--
--   kit.serve(name[, arguments]) -> child   on a free port: child.port; see
--                                           spec/binding/kit.lua for the rest
--   kit.connect(child, path[, options]) -> conn, with spec limits of time
--   kit.expect(conn, text)       the next message is this
--   kit.expect_close(conn, code) nothing comes any more but this code
--   kit.http(child, method, path[, fields]) -> status, headers, body
--   kit.cleanup()                for after_each

local t = require "spec.helper"
local children = require "spec.binding.kit"
local ws = t.ws
local assert = require "luassert"

local kit = { limit = t.limit * t.factor }
local conns = {}

function kit.serve(name, arguments)
  local child = children.start(("examples/%s.lua %s"):format(name,
    arguments or "0"))
  child.port = tonumber((child:wait "^%w+: %w+://localhost:(%d+)"))
  return child
end

function kit.connect(child, path, options)
  local own = { timeout = kit.limit }
  for name, value in pairs(options or {}) do own[name] = value end
  local conn, why, status = ws.connect(("ws://localhost:%d%s"):format(
    child.port, path), own)
  conns[#conns + 1] = conn
  return conn, why, status
end

function kit.expect(conn, text)
  local message, why = conn:receive(kit.limit)
  if message ~= text then
    error(("%q expected, got %q"):format(text, message or why), 2)
  end
end

function kit.expect_close(conn, code)
  local message, why, got = conn:receive(kit.limit)
  if message or why ~= "closed" or got ~= code then
    error(("Close %d expected, got %q %s"):format(code, message or why,
      got), 2)
  end
end

function kit.http(child, method, path, fields)
  local raw = t.raw(child.port, { address = "127.0.0.1" })
  raw:send(("%s %s HTTP/1.1\r\nHost: localhost:%d\r\n%s"
    .. "Content-Length: 0\r\n\r\n"):format(method, path, child.port,
      fields or ""))
  return raw:read_http()
end

-- The one line that it says, and exit 1, when its port is taken.
function kit.refuses_a_taken_port(name)
  local server = t.listen { host = "localhost" }
  local child = children.start(("examples/%s.lua %d"):format(name,
    server.port))
  assert.equal(1, child:ended())
  assert.equal("", child:output())
  assert.matches(("^cannot listen on localhost port %d: [^\n]+\n$"):format(
    server.port), child:errors())
end

function kit.cleanup()
  for _, conn in ipairs(conns) do conn:terminate() end
  conns = {}
  children.cleanup()
  t.cleanup()
end

return kit
