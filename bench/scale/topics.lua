-- Bytes of this process for a topic to which one connection has subscribed:
--
--   lua5.4 bench/scale/topics.lua [URL]
--
-- With a backplane if there is a URL. What the first 100,000 take is not
-- counted: buffers and tables that grow at times have grown by then.

local ws = require "evws"

local url = arg[1]

local function resident() -- bytes, without what is of files
  local file <close> = assert(io.open "/proc/self/status")
  return tonumber(file:read "a":match "RssAnon:%s*(%d+) kB") * 1024
end

assert(ws.run(function()
  local opened = ws.queue(1)
  local server <close> = assert(ws.listen { port = 0, host = "127.0.0.1",
    backplane = url or false,
    on_open = function(conn) opened:put(conn) end })
  local client = assert(ws.connect("ws://127.0.0.1:" .. server.port))
  local conn = opened:take()
  local function subscribe(from, to)
    for i = from, to do
      assert(conn:subscribe(("topic/%06d"):format(i)))
      if i % 500 == 0 then ws.sleep(0.001) end
    end
    ws.sleep(1)
    collectgarbage()
    return resident()
  end
  local before = subscribe(1, 100000)
  print((subscribe(100001, 300000) - before) / 200000)
  client:terminate()
end))
