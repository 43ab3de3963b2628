-- Peers that do their worst, and a bystander who asks and is answered all the
-- while: how long that takes, beside a time without them.
--
--   make hostile [SECONDS=n] [LIMIT=ms] [TURN=ms] [ROWS=word]
--     of each row; what p99 may be; what the longest turn of the server may
--     take of its own processor time; only rows with this word
--
-- Three processes: the server, the peers, and this one, which is the
-- bystander. The figures are the machine's as well: what counts is the row
-- beside the idle one, and that nothing of the bystander's is lost.

local t = require "spec.helper"
local tls = require "spec.helper.tls"
local trial = require "spec.trials.kit"
local deflate = require "evws_probe".deflate

local ws, probe, frame = t.ws, t.probe, t.frame
local seconds, role = tonumber(arg[1]) or 5, arg[2]
local limit = tonumber(os.getenv "LIMIT") or math.huge
local turn_limit = tonumber(os.getenv "TURN") or math.huge
local only = os.getenv "ROWS" or ""
local body = ("x"):rep(1 << 20)

-- ---- the server ----

-- What the processor did for the longest turn since it was asked last: other
-- processes make it no longer, unlike the bystander's times.
local longest, is_over = 0, false

local function run()
  while not is_over do
    local began = os.clock()
    ws.step(1)
    longest = math.max(longest, os.clock() - began)
  end
end

local function echo(conn, message, kind)
  if message == "longest turn" then
    message, longest = ("%.3f"):format(longest * 1000), 0
  end
  is_over = message == "the end"
  conn:send(message, kind)
end

local function serve()
  local o = { host = "127.0.0.1", port = 0, handshake_timeout = 2,
    stall_timeout = 3, compression = true, max_connections = 4000,
    on_error = function() end,
    on_request = function() return 200, body end,
    on_message = echo,
    on_open = function(conn)
      if conn.path == "/news" then conn:subscribe "news" end
      if conn.path == "/paused" then conn:pause() end
    end }
  local server = assert(ws.listen(o))
  o.tls = { certificate = tls.file "localhost.pem",
    key = tls.file "localhost.key" }
  local secure = assert(ws.listen(o))
  ws.every(0.01, function() server:publish("news", ("n"):rep(4000)) end)
  print(server.port, secure.port)
  io.stdout:flush()
  run()
end

-- ---- the peers ----

-- A crowd of at most n, each made by make(i) and stirred by turn(peer).
local function crowd(n, make, stir)
  return function(port, secure)
    local list, made = {}, 0
    return function()
      for _ = 1, 40 do
        if #list >= n then break end
        made = made + 1
        local ok, peer = pcall(make, port, made, secure)
        if not ok then break end
        list[#list + 1] = peer
      end
      for i = #list, 1, -1 do
        if not pcall(stir, list[i]) or list[i].is_done then
          pcall(list[i].close, list[i])
          table.remove(list, i)
        end
      end
    end
  end
end

local function drain(peer)
  for _ = 1, 4 do
    local bytes, why = peer.socket:recv()
    if why == "eof" or why == "reset" then peer.is_done = true end
    if not bytes then return end
  end
end

local function opened(port, path, o)
  local peer = t.raw(port, { address = "127.0.0.1",
    rcvbuf = o and o.rcvbuf })
  local lines = { ("GET %s HTTP/1.1"):format(path), "Host: a",
    "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Extensions: permessage-deflate", "", "" }
  return peer:send(table.concat(lines, "\r\n"))
end

local function raw(port) return t.raw(port, { address = "127.0.0.1" }) end

local function push(bytes)
  return function(peer)
    drain(peer)
    if not peer.is_done then peer.socket:send(bytes) end
  end
end

local bomb = deflate.pool():whole(("\0"):rep(16 << 20), { level = 9 })
local many = frame("ping", "x"):rep(200)
local tiny = frame("text", "a", { fin = false })
  .. frame("continuation", "", { fin = false }):rep(500)
local hello = tls.hello { server_name = "localhost" }

local peers = {
  { "none of them" },
  { "slow heads", crowd(1000, function(port)
    return raw(port):send "GET / HTTP/1.1\r\n"
  end, push "X: y\r\n") },
  { "heads without an end", crowd(50, raw, push(("X: y\r\n"):rep(2000))) },
  { "bodies without an end", crowd(50, function(port)
    return raw(port):send("POST / HTTP/1.1\r\nHost: a\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n")
  end, push(("1000\r\n%s\r\n"):format(("b"):rep(4096)))) },
  { "connections that go at once", crowd(200, raw, function(peer)
    peer.is_done = true
  end) },
  { "resets", crowd(200, function(port) return opened(port, "/") end,
    function(peer) peer:reset() peer.is_done = true end) },
  { "floods of pings", crowd(50, function(port)
    return opened(port, "/")
  end, push(many)) },
  { "tiny and empty fragments", crowd(50, function(port)
    return opened(port, "/")
  end, push(tiny)) },
  { "bombs to inflate", crowd(8, function(port)
    return opened(port, "/"):send(frame("binary", bomb, { rsv = 4 }))
  end, drain) },
  { "megabytes to who is paused", crowd(20, function(port)
    return opened(port, "/paused")
  end, push(frame("binary", ("x"):rep(65536)))) },
  { "answers that nobody reads", crowd(200, function(port)
    return t.raw(port, { address = "127.0.0.1", rcvbuf = 4096 })
      :send(("GET / HTTP/1.1\r\nHost: a\r\n\r\n"):rep(4))
  end, function() end) },
  { "topics that nobody reads", crowd(300, function(port)
    return opened(port, "/news", { rcvbuf = 4096 })
  end, function() end) },
  { "TLS that is cut anywhere", crowd(100, function(_, i, secure)
    return raw(secure):send(hello:sub(1, i % #hello + 1))
  end, function(peer)
    peer.age = (peer.age or 0) + 1
    peer.is_done = peer.age > 5
  end) },
  { "garbage to TLS", crowd(50, function(_, _, secure)
    return raw(secure)
  end, push(("\1\2\3\4"):rep(1000))) },
}

local function harass(port, secure, which)
  local stir = peers[which][2](port, secure)
  local last = probe.now() + seconds
  while probe.now() < last do
    stir()
    t.turn(0.001)
  end
end

-- ---- the bystander ----

local function child(...)
  local words = { arg[-1], arg[0], seconds, ... }
  return assert(io.popen("exec " .. table.concat(words, " "), "r"))
end

-- Round trips for so long, one every 2 ms: sorted.
local function measure(conn, span)
  local list, n = {}, 0
  local last = ws.now() + span
  while ws.now() < last do
    n = n + 1
    local message, began = "calm " .. n, ws.now()
    assert(conn:send(message))
    local got, why = conn:receive(10)
    trial.hold(got == message, "the bystander got " .. tostring(got or why))
    list[#list + 1] = ws.now() - began
    if not got then break end
    ws.sleep(0.002)
  end
  table.sort(list)
  return list
end

local function figures(list)
  local function at(part) return list[math.ceil(#list * part)] * 1000 end
  return at(0.5), at(0.99), list[#list] * 1000
end

local function longest_turn(conn)
  assert(conn:send "longest turn")
  return tonumber((conn:receive(10)))
end

local function try(conn, which, port, secure)
  local name, is_alone = peers[which][1], not peers[which][2]
  longest_turn(conn)
  local others = not is_alone and child("peers", port, secure, which)
  if others then ws.sleep(0.3) end
  local list = measure(conn, math.max(seconds - 0.5, 0.5))
  local turn = longest_turn(conn)
  if others then others:close() end
  local p50, p99, worst = figures(list)
  trial.row(name, #list, ("%8.2f %8.2f %8.2f %8.2f"):format(p50, p99, worst,
    turn))
  trial.hold(p99 <= limit, ("%s: p99 is %.1f ms"):format(name, p99))
  trial.hold(turn <= turn_limit, ("%s: a turn of %.1f ms"):format(name, turn))
end

local function main()
  local server = child "server"
  local port, secure = server:read("n", "n")
  print(("%-48s %10s  %8s %8s %8s %8s ms"):format("", "asked", "p50", "p99",
    "worst", "turn"))
  ws.run(function()
    local conn = assert(ws.connect("ws://127.0.0.1:" .. port))
    for which, row in ipairs(peers) do
      if row[1]:find(only, 1, true) then try(conn, which, port, secure) end
    end
    conn:send "the end"
    conn:receive(10)
  end)
  trial.hold(server:close(), "the server has failed")
end

if role == "server" then
  serve()
elseif role == "peers" then
  harass(tonumber(arg[3]), tonumber(arg[4]), tonumber(arg[5]))
  os.exit(true)
else
  trial.run("hostile", main)
end
