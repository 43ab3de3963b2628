-- Clients of channels, through reloads: all workers are replaced under load,
-- again and again. Each client counts what it is sent by its offsets: nothing
-- may be missing, come twice or in another order, and whoever comes back has to
-- be told that it was recovered. Half of them ask for their channel, the server
-- puts the other half into one.
--
--   make soak RELOADS=10 CONNECTIONS=1000 WORKERS=2

local ws = require "evws"
local channels = require "evws.channels"

local SPEAKERS = 10
local SPEAK_EVERY = 1 -- seconds
local REST = 2 -- seconds between reloads
local PATIENCE = 300 -- seconds for everything to be as it should be
local NAMES = { "asked", "given" }

-- ---- a worker ----

local function serve()
  local rights = { publish = true, read_history = true,
    history = { size = 20000, ttl = 3600 } }
  local chat = channels.new { max_recovered = 20000,
    connect = function(client) return { subscribe = client.data } end,
    namespaces = { asked = rights, given = rights } }
  local server = assert(ws.listen { port = 0, host = "127.0.0.1",
    max_connections = false, message_rate = false, history = chat.kept,
    routes = chat:routes "/channels" })
  chat:serve(server)
  io.stdout:write(("worker %d\n"):format(server.port))
  io.stdout:flush()
  ws.run()
end

-- ---- the clients ----

local function wait(predicate, what)
  local till = ws.now() + PATIENCE
  while not predicate() do
    if ws.now() > till then error("no " .. what, 0) end
    ws.sleep(0.05)
  end
end

local count = { got = 0, lost = 0, twice = 0, unrecovered = 0, joins = 0,
  failed = 0 }

local function new_client()
  local self = { top = 0, joins = 0 }
  self.handlers = {
    on_publication = function(_, publication)
      local offset = publication.offset
      count.got = count.got + 1
      if offset <= self.top then
        count.twice = count.twice + 1
      else
        count.lost = count.lost + offset - self.top - 1
        self.top = offset
      end
    end,
    on_subscribed = function(_, found)
      self.joins, count.joins = self.joins + 1, count.joins + 1
      if found.was_recovering and not found.recovered then
        count.unrecovered = count.unrecovered + 1
      end
    end,
    on_unsubscribed = function() count.failed = count.failed + 1 end }
  return self
end

local reconnect = { initial = 0.1, maximum = 2 }

local function follow(url, name)
  local self = new_client()
  local options = name == "given" and self.handlers or {}
  options.timeout, options.reconnect = 60, reconnect
  options.data = { name == "given" and name or nil }
  options.on_connected = function() end
  self.conn, self.name = assert(channels.connect(url, options)), name
  if name == "asked" then
    self.handlers.wait = false
    assert(self.conn:subscribe(name, self.handlers))
  end
  return self
end

local function connect(url)
  return assert(channels.connect(url, { timeout = 60, reconnect = reconnect,
    data = {} }))
end

local function speak(url, state)
  local conn <close> = connect(url)
  while not state.is_over do
    for _, name in ipairs(NAMES) do
      if conn:publish(name, "hello") then state.n = state.n + 1 end
    end
    ws.sleep(SPEAK_EVERY)
  end
end

-- Where the channels are at the end.
local function find(url, state)
  local conn <close> = connect(url)
  for _, name in ipairs(NAMES) do
    wait(function()
      local list, at = conn:history(name, { limit = 0 })
      state[name] = list and at.offset
      return list
    end, "position of the channels")
  end
end

-- ---- what is done to the workers ----

local function all(list, predicate)
  for _, one in ipairs(list) do
    if not predicate(one) then return false end
  end
  return true
end

local function wait_for_joins(list, n)
  wait(function()
    return all(list, function(one) return one.joins >= n end)
  end, "client in each channel")
end

local function report(list, state, reloads, workers)
  local owed = 0
  for _, one in ipairs(list) do owed = owed + state[one.name] end
  print(("%d clients through %d reloads of %d workers: %d times into a "
    .. "channel, %d not recovered, %d put out"):format(#list, reloads, workers,
    count.joins, count.unrecovered, count.failed))
  print(("%d publications, %d messages of %d: %d lost, %d twice or late")
    :format(state.asked + state.given, count.got, owed, count.lost,
    count.twice))
  return count.lost + count.twice + count.unrecovered + count.failed == 0
    and count.got == owed and owed > 0
end

local function run(reloads, workers, n)
  local pid_file = os.tmpname()
  local process = assert(ws.popen(("exec %s bin/evws serve %s --workers %d "
    .. "--pid %s --redis spawn -- serve"):format(arg[-1], arg[0], workers,
    pid_file)))
  local first = process:lines()(process)
  local url = ("ws://127.0.0.1:%d/channels"):format(first:match "^worker (%d+)")
  local ready, list, state = 1, {}, { n = 0 }
  ws.spawn(function()
    for line in process:lines() do
      if line:find "^worker" then ready = ready + 1 end
    end
  end)
  for i = 1, n do
    list[i] = follow(url, NAMES[i % #NAMES + 1])
    if i % 50 == 0 then ws.sleep(0.02) end
  end
  wait_for_joins(list, 1)
  local speakers = {}
  for i = 1, SPEAKERS do speakers[i] = ws.spawn(speak, url, state) end
  local file <close> = io.open(pid_file)
  local supervisor = file:read "n"
  for i = 1, reloads do
    local said = state.n
    assert(os.execute("kill -HUP " .. supervisor))
    wait(function()
      return ready >= (i + 1) * workers and state.n > said
    end, "new workers")
    wait_for_joins(list, i + 1)
    ws.sleep(REST)
  end
  state.is_over = true
  for _, speaker in ipairs(speakers) do speaker:wait() end
  find(url, state)
  local ok, why = pcall(wait, function()
    return all(list, function(one) return one.top >= state[one.name] end)
  end, "end of the messages")
  if not ok then io.stderr:write(why, "\n") end
  local is_good = report(list, state, reloads, workers)
  for _, one in ipairs(list) do one.conn:close() end
  os.execute("kill -TERM " .. supervisor)
  process:close(60)
  os.remove(pid_file)
  return is_good
end

if arg[1] == "serve" then return serve() end
local was_good
ws.run(function()
  was_good = run(tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3]))
  ws.stop()
end)
os.exit(was_good and 0 or 1, true)
