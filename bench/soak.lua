-- A long run of everything at once: connections that echo, compress, listen
-- to a feed, read slowly, vanish without a word, and whose handlers raise,
-- against one server in a process of its own. Nothing a healthy one was sent
-- may be lost or come out of order, and the server's memory has to stay flat.
--
--   make soak SECONDS=600 CONNECTIONS=5000

local ws = require "evws"

local limits = { max_connections = false, message_rate = false,
  max_queued = 256 * 1024, compression = { threshold = 256 } }

local function with(options, more)
  for name, value in pairs(more) do options[name] = value end
  return options
end

local function resident(pid) -- bytes
  local file = io.open("/proc/" .. pid .. "/statm")
  local pages = file and file:read "a":match "%d+ (%d+)"
  if file then file:close() end
  return pages and tonumber(pages) * 4096 or 0
end

-- ---- the server ----

local function serve()
  ws.on_error(function() end) -- they are meant to raise
  local server = assert(ws.listen(with({ port = 0, on_error = function() end,
    routes = {
      ["/echo"] = { on_message = function(conn, m, kind)
        conn:send(m, kind)
      end },
      ["/raise"] = { on_message = function() error "as asked" end },
      ["/feed"] = { on_open = function(conn) conn:subscribe "feed" end },
    } }, limits)))
  local n = 0
  ws.every(0.25, function()
    n = n + 1
    server:publish("feed", n .. ":" .. ("x"):rep(n * 37 % 3000))
  end)
  print(server.port, io.open "/proc/self/stat":read "n")
  io.stdout:flush()
  ws.run()
  print(("closed with %d connections"):format(server.connections))
end

-- ---- the clients ----

local base, finish
local count = { echoed = 0, fed = 0, lost = 0, reordered = 0, ends = 0,
  failed = 0, vanished = 0, raised = 0, missed = 0 }

local function is_over() return ws.now() >= finish end

local function connect(path, options)
  local conn, why = ws.connect(base .. path, with(options or {},
    { timeout = 60, max_ratio = false }))
  if not conn then
    count.failed = count.failed + 1
    io.stderr:write("cannot connect: ", why, "\n")
  end
  return conn
end

-- Sends a few at a time, each with its number, and takes back every one.
local function echo(id, options)
  local conn = connect("/echo", options)
  local n = 0
  while conn and not is_over() do
    local sent = {}
    for i = 1, 1 + n % 4 do
      n = n + 1
      sent[i] = ("%d:%d:"):format(id, n)
        .. ("data %d "):format(n % 10):rep(n * id % 300)
      conn:send(sent[i], n % 2 == 0 and "text" or "binary")
    end
    for _, wanted in ipairs(sent) do
      local got, why, code = conn:receive(120)
      if got == nil then
        count.lost = count.lost + 1
        io.stderr:write(("lost: %s %s\n"):format(why, code))
        return
      end
      if got ~= wanted then count.reordered = count.reordered + 1 end
      count.echoed = count.echoed + 1
    end
    ws.sleep(0.5 + math.random())
  end
  if conn then conn:close() end
end

-- Hears a feed; a slow one pauses, and may miss but never go back.
local function feed(is_slow)
  local conn = connect "/feed"
  local last
  while conn and not is_over() do
    local m = conn:receive(10)
    if not m then break end
    local n = tonumber(m:match "^%d+")
    if last and n ~= last + 1 then
      if n <= last then
        count.reordered = count.reordered + 1
      elseif is_slow then
        count.missed = count.missed + n - last - 1
      else
        count.lost = count.lost + n - last - 1
      end
    end
    last, count.fed = n, count.fed + 1
    if is_slow then
      conn:pause()
      ws.sleep(5 * math.random())
      conn:resume()
    end
  end
  if conn and not is_over() then count.ends = count.ends + 1 end
  if conn then conn:close() end
end

local function vanish()
  while not is_over() do
    local conn = connect("/echo", { compression = math.random() < 0.5 })
    if conn then
      conn:send(("gone "):rep(math.random(400)))
      ws.sleep(2 * math.random())
      conn:terminate()
      count.vanished = count.vanished + 1
    end
    ws.sleep(3 * math.random())
  end
end

local function provoke()
  while not is_over() do
    local conn = connect "/raise"
    if conn then
      conn:send "raise"
      local _, _, code = conn:receive(60)
      if code == 1011 then count.raised = count.raised + 1 end
    end
    ws.sleep(4 * math.random())
  end
end

local roles = {
  { 50, function(id) echo(id) end },
  { 15, function(id) echo(id, { compression = true }) end },
  { 5, function(id)
    echo(id, { compression = { context_takeover = true } })
  end },
  { 15, function() feed(false) end },
  { 5, function() feed(true) end },
  { 6, vanish },
  { 4, provoke },
}

local function report(pid, from)
  print(("%5.0f s  server %6.1f MB  %d echoed, %d fed, %d lost, "
    .. "%d reordered"):format(ws.now() - from, resident(pid) / 1e6,
    count.echoed, count.fed, count.lost, count.reordered))
  io.stdout:flush()
end

local function main(seconds, connections)
  local server = io.popen(("exec %s %s server"):format(arg[-1], arg[0]))
  local port, pid = server:read("n", "n")
  base = ("ws://127.0.0.1:%d"):format(port)
  local from = ws.now()
  finish = from + seconds
  local running, id = 0, 0
  for _, role in ipairs(roles) do
    for _ = 1, connections * role[1] // 100 do
      id = id + 1
      local own = id
      running = running + 1
      ws.spawn(function()
        ws.sleep(math.min(10, seconds / 5) * math.random())
        local ok, why = pcall(role[2], own)
        if not ok then io.stderr:write(tostring(why), "\n") end
        running = running - 1
      end)
    end
  end
  local least, most = math.huge, 0 -- once all are there
  while running > 0 do
    ws.sleep(math.max(1, seconds / 60))
    report(pid, from)
    if ws.now() - from > seconds / 4 and not is_over() then
      local now = resident(pid)
      least, most = math.min(least, now), math.max(most, now)
    end
  end
  os.execute("kill -INT " .. pid)
  print(server:read "a")
  for _, name in ipairs { "echoed", "fed", "missed", "vanished", "raised",
    "ends", "failed", "lost", "reordered" } do
    print(name, count[name])
  end
  print(("server memory from %.1f to %.1f MB"):format(least / 1e6, most / 1e6))
  local failed = 0
  for _, name in ipairs { "lost", "reordered", "failed", "ends" } do
    if count[name] > 0 then failed = failed + 1 end
  end
  print(("soak: %d passed, %d failed"):format(4 - failed, failed))
  return failed == 0
end

if arg[1] == "server" then
  serve()
else
  local ok = ws.run(function()
    local fine = main(tonumber(arg[1]) or 600, tonumber(arg[2]) or 5000)
    os.exit(fine, true)
  end)
  os.exit(ok and true or false)
end
