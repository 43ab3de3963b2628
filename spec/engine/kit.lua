-- What the specs of the engine share, on top of spec.helper.
--
--   kit.serve(options) -> server, log     handlers of the options are called
--     behind those that write the log: log.conns, log.messages (lists),
--     log.closed (a list of { code, reason, conn }); on_message = false: none
--   kit.closed(log[, n])   waits for n ends (1); code and reason of the last
--   kit.during(seconds, fn)  turns for so long, calling fn before each
--   kit.dial([options[, path]]) -> outcome, raw: ws.connect in a task to a raw
--     server, accepted; when the task has ended outcome.done is set and
--     outcome[1], ... are its results
--   kit.answer(raw[, fields[, behind]])  reads the request and writes a 101
--   kit.connected(options) -> conn, raw   both of these
--   kit.fail_at(n[, every])   the n-th allocation from here on fails (every:
--     and all behind it); 0: none. Nothing in builds without faults
--   kit.attempt(limit, fn)   runs fn as a task, for so many seconds at most;
--     what it returned, or nothing

local t = require "spec.helper"
local core = require "evws.core"
local handshake = require "evws_probe".handshake

local kit = {}

function kit.serve(options)
  local log = { conns = {}, messages = {}, closed = {} }
  local own = {}
  for name, value in pairs(options or {}) do own[name] = value end
  local on_open, on_message, on_close = own.on_open, own.on_message,
    own.on_close
  function own.on_open(conn)
    log.conns[#log.conns + 1] = conn
    if on_open then on_open(conn) end
  end
  function own.on_message(conn, message, kind)
    log.messages[#log.messages + 1] = message
    if on_message then on_message(conn, message, kind) end
  end
  if on_message == false then own.on_message = nil end
  function own.on_close(conn, code, reason)
    log.closed[#log.closed + 1] = { code, reason, conn }
    if on_close then on_close(conn, code, reason) end
  end
  return t.listen(own), log
end

function kit.closed(log, n)
  t.wait(function() return #log.closed >= (n or 1) end, "on_close")
  local last = log.closed[#log.closed]
  return last[1], last[2]
end

function kit.during(seconds, fn)
  local last = t.probe.now() + seconds
  repeat
    if fn then fn() end
    t.turn()
  until t.probe.now() > last
end

function kit.dial(options, path)
  local listener <close> = assert(t.probe.listen "127.0.0.1")
  local outcome, socket = {}, nil
  local url = ("ws://127.0.0.1:%d%s"):format(listener.port, path or "/")
  t.ws.spawn(function()
    local results = table.pack(t.connect(url, options))
    table.move(results, 1, results.n, 1, outcome)
    outcome.done = true
  end)
  t.wait(function()
    socket = listener:accept()
    return socket
  end, "the client to come")
  return outcome, t.wrap(socket, "client")
end

function kit.read_request(raw)
  local head
  t.wait(function()
    local bytes = raw.socket:recv()
    if bytes then raw.head = (raw.head or "") .. bytes end
    head = raw.head and raw.head:match "^(.-\r\n\r\n)"
    return head
  end, "a request")
  return head
end

function kit.answer(raw, fields, behind)
  local head = kit.read_request(raw)
  local key = head:match "\r\nSec%-WebSocket%-Key: (%S+)\r\n"
  raw:send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    .. "Connection: Upgrade\r\nSec-WebSocket-Accept: "
    .. handshake.accept(key) .. "\r\n" .. (fields or "") .. "\r\n"
    .. (behind or ""))
  return head
end

function kit.connected(options)
  local outcome, raw = kit.dial(options)
  kit.answer(raw)
  t.wait(function() return outcome.done end, "the connection")
  return assert(outcome[1], outcome[2]), raw
end

function kit.fail_at(n, every)
  if core.fail_at then core.fail_at(n, every or false) end
end

function kit.attempt(limit, fn)
  local results
  local ok = pcall(t.ws.spawn, function()
    results = table.pack(pcall(fn))
  end)
  if not ok then return end
  pcall(t.wait, function() return results end, "the task", limit)
  return results and results[1] and table.unpack(results, 2, results.n)
end

return kit
