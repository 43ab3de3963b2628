-- channels.connect against workers: lua5.4 lua_channels.lua <file> <pid>
--
-- The server is channels.lua under `evws serve --workers 4 --redis spawn`; its
-- id is the second argument, its output the file: the first line is its URL,
-- and each worker that serves says "ready". Workers are replaced, and Redis is
-- ended, while clients publish and hear.
local ws = require "evws"
local channels = require "evws.channels"

local file, supervisor = arg[1], tonumber(arg[2])
local WORKERS = 4
local factor = tonumber(os.getenv "EVWS_TIME_FACTOR") or 1
local limit = 20 * factor -- seconds for whatever is waited for
local failed = 0
local open = {}

local function test(name, body)
  local ok, why = xpcall(body, debug.traceback)
  for _, conn in ipairs(open) do conn:close() end
  open = {}
  local text = "channels.connect, workers: " .. name
  if ok then
    print("ok - " .. text)
  else
    failed = failed + 1
    io.stderr:write(why, "\n")
    print(("not ok - %s: %s"):format(text, why:match "[^\n]*"))
  end
  io.stdout:flush()
end

local function wait(predicate, what)
  local till = ws.now() + limit
  while not predicate() do
    if ws.now() > till then error("no " .. what, 2) end
    ws.sleep(0.01)
  end
end

local function read(path)
  local from <close> = assert(io.open(path))
  return from:read "a"
end

local url = assert(read(file):match "^[^\n]+")

local function connect(options)
  options.timeout = limit
  options.reconnect = { initial = 0.01, maximum = 0.2 }
  local conn = assert(channels.connect(url, options))
  open[#open + 1] = conn
  return conn
end

local function count_ready()
  return select(2, read(file):gsub("ready\n", ""))
end

local function reload()
  local before = count_ready()
  assert(os.execute(("kill -HUP %d"):format(supervisor)))
  wait(function() return count_ready() >= before + WORKERS end, "new workers")
end

-- What a subscriber is told. Whether a publication that got no answer was done
-- nobody knows, so offsets are what is counted.
local function journal()
  local self = { list = {}, n = 0, subscribed = 0, holes = 0, top = 0 }
  self.handlers = {
    on_publication = function(_, publication)
      self.n = self.n + 1
      self.is_broken = self.is_broken or publication.offset ~= self.top + 1
      self.top, self.list[self.n] = publication.offset, publication.data
    end,
    on_subscribed = function(_, found)
      self.subscribed = self.subscribed + 1
      if found.was_recovering and not found.recovered then
        self.holes, self.top = self.holes + 1, 0
      end
    end }
  return self
end

-- Publishes value until there is an answer that it was.
local function publish(conn, channel, value)
  wait(function() return conn:publish(channel, value) end, "publication")
end

local serial = 0
local function name_of(kind)
  serial = serial + 1
  return ("%s:%d-%d"):format(kind, supervisor, serial)
end

-- Everything that was published was heard, once and in order.
local function check(conn, channel, heard)
  local list
  wait(function()
    local position
    list, position = conn:history(channel, { limit = 100, reverse = true })
    return list and position.offset == heard.top
  end, "end of it")
  assert(not heard.is_broken, "an offset is missing, or came twice")
  assert(heard.n == heard.top)
  for _, one in ipairs(list) do
    assert(one.data == heard.list[one.offset], "another order")
  end
end

local function while_replaced(conn, channel, heard)
  local is_over, n = false, 0
  local talk = ws.spawn(function()
    while not is_over do
      n = n + 1
      publish(conn, channel, n)
      ws.sleep(0.005)
    end
  end)
  for _ = 1, 3 do
    local n_before, times = heard.n, heard.subscribed
    reload()
    wait(function()
      return heard.subscribed > times and heard.n > n_before + 20
    end, "publications")
  end
  is_over = true
  assert(talk:wait(limit))
  assert(heard.holes == 0, "it was not recovered")
end

test("each once and in order, while all are replaced, three times", function()
  local heard, channel = journal(), name_of "room"
  local conn, helper = connect { data = { user = "ann" } },
    connect { data = { user = "ben" } }
  assert(conn:subscribe(channel, heard.handlers))
  assert(helper:subscribe(channel))
  while_replaced(helper, channel, heard)
  check(helper, channel, heard)
end)

test("the same of a channel that the server subscribes to", function()
  local heard, channel = journal(), name_of "ours"
  heard.handlers.data = { user = "ann", subscribe = { channel } }
  connect(heard.handlers)
  local helper = connect { data = { user = "ben", subscribe = { channel } } }
  while_replaced(helper, channel, heard)
  check(helper, channel, heard)
end)

test("is told that Redis has forgotten, and goes on", function()
  local heard, channel = journal(), name_of "room"
  local conn, helper = connect { data = { user = "ann" } },
    connect { data = { user = "ben" } }
  assert(conn:subscribe(channel, heard.handlers))
  for _ = 1, 2 do
    local holes = heard.holes
    publish(helper, channel, "before")
    wait(function() return heard.list[heard.n] == "before" end, "publication")
    local path = helper:rpc "backplane":match "^redis%+unix:(.*)$"
    os.execute(("redis-cli -s '%s' shutdown nosave"):format(path))
    wait(function() return heard.holes > holes end, "word of it")
    publish(helper, channel, "after")
    wait(function() return heard.list[heard.n] == "after" end, "publication")
  end
  assert(not heard.is_broken, "an offset is missing, or came twice")
end)

os.exit(failed == 0 and 0 or 2, true)
