-- evws as a client of servers by others:
-- lua5.4 dial.lua <peer> <file> <file of the CA> [<URL of a proxy>]
--
-- The file has lines "<over what>\t<variant>\t<url>". Every server has these
-- paths:
--   /echo       sends back what comes; chooses the sub-protocol v2
--   /echo?id=N  the same; how it was closed is what
--   /end?id=N   tells, "<code> <reason>"
--   /close?code=N   closes with this code and the reason "Grüße"
--   /ping       pings, and tells of the pong: "pong from the server"
--   /fragments  sends "Grüße, 世界" in fragments, with pings between them
--   /refuse     is 403 Forbidden
local ws = require "evws"

local peer, file, ca, proxy = arg[1], arg[2], arg[3], arg[4]
local MIB = 1 << 20
local factor = tonumber(os.getenv "EVWS_TIME_FACTOR") or 1
local limit = 10 * factor -- seconds for whatever is waited for
local failed = 0

local function test(over, name, body)
  local ok, why = xpcall(body, debug.traceback)
  local text = ("%s, client, %s: %s"):format(peer, over, name)
  if ok then
    print("ok - " .. text)
  else
    failed = failed + 1
    io.stderr:write(why, "\n")
    print(("not ok - %s: %s"):format(text, why:match "[^\n]*"))
  end
end

local function expect(wanted, got)
  if got ~= wanted then
    error(("expected %.60s, got %.60s"):format(wanted, got), 2)
  end
end

local url, more -- of the server that is tried, and options for it
local function connect(path, options)
  local own = { max_message = 4 * MIB }
  for name, value in pairs(more) do own[name] = value end
  for name, value in pairs(options or {}) do own[name] = value end
  local conn, why, status = ws.connect(url .. path, own)
  if not conn then error(("%s %s"):format(why, status or ""), 2) end
  return conn
end

local function receive(conn)
  local message, kind, code = conn:receive(limit)
  if not message then error(("%s %s"):format(kind, code or ""), 2) end
  return message, kind
end

local function echoes(conn, message, kind)
  assert(conn:send(message, kind))
  local back, back_kind = receive(conn)
  expect(kind, back_kind)
  expect(#message, #back)
  assert(message == back, "it came back changed")
end

-- Waits for the end that the peer began -> code, reason
local function ended(conn)
  local code, reason
  conn:on_close(function(_, ...) code, reason = ... end)
  local message, why = conn:receive(limit)
  expect("nil closed", ("%s %s"):format(message, why))
  while not code do ws.sleep(0) end -- whoever receives is told first
  return code, reason
end

-- It repeats itself as text does.
local function text_of(size)
  local list, len = {}, 0
  for i = 1, math.huge do
    if len >= size then break end
    list[i] = ("%d Gruesse; "):format(i * i)
    len = len + #list[i]
  end
  return table.concat(list):sub(1, size)
end

local function random(size)
  local words = {}
  for i = 1, size // 8 + 1 do
    words[i] = string.pack("i8", math.random(0))
  end
  return table.concat(words):sub(1, size)
end

-- What every connection can do, whatever it runs over.
local function basics(over)
  test(over, "text and binary", function()
    local conn <close> = connect "/echo"
    echoes(conn, "Grüße, 世界 🎉", "text")
    echoes(conn, "\x00\xff\xfe\x80", "binary")
  end)
  for _, size in ipairs { 0, 1, 125, 126, 65535, 65536, MIB } do
    test(over, size .. " bytes as text and as binary", function()
      local conn <close> = connect "/echo"
      echoes(conn, text_of(size), "text")
      echoes(conn, random(size), "binary")
    end)
  end
  test(over, "1,000 messages in order", function()
    local conn <close> = connect "/echo"
    for i = 1, 1000 do assert(conn:send("message " .. i)) end
    for i = 1, 1000 do expect("message " .. i, receive(conn)) end
  end)
  test(over, "fragments with pings between them", function()
    local conn <close> = connect "/fragments"
    expect("Grüße, 世界", receive(conn))
  end)
end

local function control_frames(over)
  test(over, "a ping of the server's", function()
    local conn <close> = connect "/ping"
    expect("pong from the server", receive(conn))
  end)
  test(over, "pings of ours, in order", function()
    local pongs = {}
    local conn <close> = connect("/echo", { on_pong = function(_, payload)
      pongs[#pongs + 1] = payload
    end })
    for _, payload in ipairs { "", "Hello", ("x"):rep(125) } do
      assert(conn:ping(payload))
    end
    echoes(conn, "behind them", "text")
    expect(",Hello," .. ("x"):rep(125), table.concat(pongs, ","))
  end)
end

local ids = 0
local function closes(over)
  for _, code in ipairs { 1000, 1001, 3000, 4999 } do
    test(over, ("our close %d with a reason"):format(code), function()
      ids = ids + 1
      local id = ("%s-%d"):format(over:gsub("%W", "-"), ids)
      local conn = connect("/echo?id=" .. id)
      echoes(conn, "last words", "text")
      local began = ws.now()
      conn:close(code, "Grüße")
      local observer <close> = connect("/end?id=" .. id)
      expect(code .. " Grüße", receive(observer))
      expect("closed", conn.state)
      assert(ws.now() - began < limit / 2, "it took long")
    end)
    test(over, ("the server's close %d with a reason"):format(code),
      function()
        local conn = connect("/close?code=" .. code)
        local got, reason = ended(conn)
        expect(code .. " Grüße", got .. " " .. reason)
      end)
  end
end

local function handshakes(over)
  test(over, "a sub-protocol that both know", function()
    local conn <close> = connect("/echo", { subprotocols = { "v3", "v2" } })
    expect("v2", conn.subprotocol)
  end)
  test(over, "no sub-protocol", function()
    local conn <close> = connect "/echo"
    expect(nil, conn.subprotocol)
    echoes(conn, "x", "text")
  end)
  test(over, "a refusal", function()
    local conn, why, status = ws.connect(url .. "/refuse", more)
    expect("nil 403 Forbidden 403", ("%s %s %s"):format(conn,
      (why:gsub("^cannot connect to %S+: ", "")), status))
  end)
  test(over, "20 connections at once", function()
    local done = 0
    for i = 1, 20 do
      ws.spawn(function()
        local conn <close> = connect "/echo"
        for n = 1, 10 do
          echoes(conn, ("connection %d, message %d"):format(i, n), "text")
          echoes(conn, random(1000 * i), "binary")
        end
        done = done + 1
      end)
    end
    local last = ws.now() + limit
    while done < 20 and ws.now() < last do ws.sleep(0.01) end
    expect(20, done)
  end)
end

local function certificates(over)
  for part, tls in pairs { ["unable to get local issuer"] = {},
    ["hostname mismatch"] = { ca = ca, server_name = "other.test" } } do
    test(over, "refuses a certificate: " .. part, function()
      local conn, why = ws.connect(url .. "/echo",
        { tls = tls, timeout = limit })
      expect(nil, conn)
      assert(why:find(part, 1, true), why)
    end)
  end
end

-- Of a proxy between the two, which wants to know who asks.
local function proxies(over)
  local options = { tls = more.tls, proxy_tls = more.proxy_tls,
    timeout = limit }
  test(over, "a proxy that is not told who asks", function()
    options.proxy = proxy:gsub("//.*@", "//")
    local conn, why, status, response = ws.connect(url .. "/echo", options)
    expect("nil 407", ("%s %s"):format(conn, status))
    assert(why:find("proxy " .. proxy:match "@(.*)", 1, true), why)
    assert(response.headers["proxy-authenticate"]:find "^Basic", "no scheme")
    assert(#response.body > 0, "no body")
  end)
  test(over, "a proxy that cannot reach the server", function()
    options.proxy = proxy
    local conn, why, status = ws.connect("ws://127.0.0.1:1/", options)
    assert(not conn and status >= 500, why)
  end)
  test(over, "a client that comes back through a proxy", function()
    local opens = 0
    local conn <close> = connect("/close?code=4000", { on_open = function()
      opens = opens + 1
    end, reconnect = { initial = 0.01, maximum = 0.01 } })
    local last = ws.now() + limit
    while opens < 3 and ws.now() < last do ws.sleep(0.01) end
    assert(opens >= 3, "it has not come back")
    conn:terminate()
  end)
end

local wishes = {
  ["default"] = true,
  ["takeover"] = { context_takeover = true, threshold = 0 },
  ["windows of 512"] = { context_takeover = true, threshold = 0,
    server_max_window_bits = 9, client_max_window_bits = 9 },
}

-- Whatever the server answers to what we offer.
local function combinations(over, variant)
  for name, compression in pairs(wishes) do
    test(over, ("%s, offer %s"):format(variant, name), function()
      local conn <close> = connect("/echo", { compression = compression })
      -- a server of windows of 512 may decline an offer without them
      for _, size in ipairs { 0, 16, 1000, 1000, 70000, 200000, 1000 } do
        echoes(conn, text_of(size), "text")
        echoes(conn, random(size), "binary")
      end
      assert(conn.compressed, "it was declined")
    end)
  end
end

local function try(over, variant)
  more = { timeout = limit }
  if url:find "^wss:" then
    more.tls = { ca = ca }
    certificates(over)
  end
  if over == "deflate" then return combinations(over, variant) end
  if proxy then
    more.proxy_tls = { ca = ca }
    proxies(over)
    more.proxy = proxy
  end
  if over:find "deflate" then more.compression = { threshold = 0 } end
  basics(over)
  control_frames(over)
  closes(over)
  handshakes(over)
end

ws.run(function()
  for line in io.lines(file) do
    local over, variant, where = line:match "^([^\t]+)\t([^\t]*)\t(%S+)$"
    if over then
      url = where
      try(over, variant)
    end
  end
end)
os.exit(failed == 0 and 0 or 2) -- 1 is left for a breakdown of this script
