-- A proxy for specs, which does what it is for, or whatever else it is told.
--
--   proxy.relay(port[, options]) -> port, log
--     leads to this port, whatever it is asked for. log: the heads of the
--     requests, n, how many were let through, and the last one's subject.
--     options.answer(head, i): what it says instead, or nil
--     options.tls: what it needs of spec/helper/tls.lua to speak TLS itself
--     options.behind: bytes that it sends behind its 200
--   proxy.without_memory(n, connect)   n attempts, connect(options) each, in
--     which allocations fail, one after the other -> how many opened, and not
--   proxy.cleanup()   for after_each, in front of t.cleanup

local t = require "spec.helper"
local tls = require "spec.helper.tls"
local core = require "evws.core"

local ws, probe = t.ws, t.probe
local proxy = { ok = "HTTP/1.1 200 Connection established\r\n\r\n" }
local logs = {}

local function send_all(to, bytes)
  local at = 1
  while at <= #bytes do
    local n = to:send(bytes, at)
    if not n then ws.sleep(0) end
    at = at + (n or 0)
  end
end

local function carry(from, to)
  while true do
    local bytes, why = from:recv()
    if bytes then
      send_all(to, bytes)
    elseif why == "again" then
      ws.sleep(0)
    else
      to:close()
      from:close()
      return
    end
  end
end

local function read_head(inner)
  local head = ""
  repeat
    local bytes, why = inner:recv()
    if not bytes and why ~= "again" then return nil end
    head = head .. (bytes or "")
    ws.sleep(0)
  until head:find("\r\n\r\n", 1, true)
  return head
end

local function serve(inner, port, log, options)
  local raw = options.tls and tls.wrap(inner, options.tls, "client")
  if raw then inner = raw.socket end
  local head = read_head(inner)
  if not head then return inner:close() end
  log.subject = raw and raw.tls:info().subject
  log[#log + 1] = head
  local other = options.answer and options.answer(head, #log)
  if other then
    send_all(inner, other)
    return inner:close()
  end
  local outer = assert(probe.connect { port = port })
  repeat ws.sleep(0) until outer:connected()
  send_all(inner, proxy.ok .. (options.behind or ""))
  log.n = log.n + 1
  ws.spawn(function() pcall(carry, inner, outer) end)
  pcall(carry, outer, inner)
end

function proxy.relay(port, options)
  local listener = assert(probe.listen "127.0.0.1")
  local log, own = { n = 0 }, listener.port
  logs[#logs + 1] = log
  ws.spawn(function()
    while not log.is_over do
      local socket = listener:accept()
      if socket then ws.spawn(serve, socket, port, log, options or {}) end
      ws.sleep(0)
    end
    listener:close()
  end)
  return own, log
end

function proxy.without_memory(n, connect)
  local opened = 0
  for i = 1, n do
    local state
    core.fail_at(i // 2 + 1, i % 2 == 0)
    local done, conn = pcall(connect, {
      on_open = function() state = "open" end,
      on_close = function() state = "closed" end })
    for _ = 1, 3 do t.turn() end
    core.fail_at(0)
    if done and conn then
      t.wait(function() return state or conn.state == "closed" end)
      conn:terminate()
    end
    if state == "open" then opened = opened + 1 end
  end
  return opened, n - opened
end

function proxy.cleanup()
  for _, log in ipairs(logs) do log.is_over = true end
  logs = {}
  t.turn()
end

return proxy
