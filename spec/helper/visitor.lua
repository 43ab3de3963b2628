-- A client of evws that visits a server which runs as a process of its own
-- (spec/binding/kit.lua).
--
--   visitor.connect(child, path[, options]) -> conn   child.port, with limits
--     of time
--   visitor.expect(conn, text)         the next message is this
--   visitor.expect_close(conn, code)   nothing comes any more but this code
--   visitor.cleanup()                  ends the connections

local t = require "spec.helper"

local visitor = { limit = t.limit * t.factor }
local conns = {}

function visitor.connect(child, path, options)
  local own = { timeout = visitor.limit }
  for name, value in pairs(options or {}) do own[name] = value end
  local conn, why, status = t.ws.connect(("ws://localhost:%d%s"):format(
    child.port, path), own)
  conns[#conns + 1] = conn
  return conn, why, status
end

function visitor.expect(conn, text)
  local message, why = conn:receive(visitor.limit)
  if message ~= text then
    error(("%q expected, got %q"):format(text, message or why), 2)
  end
end

function visitor.expect_close(conn, code)
  local message, why, got = conn:receive(visitor.limit)
  if message or why ~= "closed" or got ~= code then
    error(("Close %d expected, got %q %s"):format(code, message or why,
      got), 2)
  end
end

function visitor.cleanup()
  for _, conn in ipairs(conns) do conn:terminate() end
  conns = {}
end

return visitor
