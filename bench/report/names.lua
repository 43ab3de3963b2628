-- What the servers and the cases of bench/run are called.

local names = {}

-- A title, a colour for lines, and what one has to know of it.
names.servers = {
  evws = { "evws", "#e8590c" },
  engine = { "evws, C alone", "#f08c4b",
    "the same echo on the engine of evws, without Lua" },
  floor = { "floor", "#868e96",
    "the least C on epoll: checks and limits nothing, no UTF-8, no pings" },
  uws = { "uWebSockets", "#1c7ed6", "C++, -O3 -flto" },
  lws = { "libwebsockets", "#2f9e44",
    "C; UTF-8 is not checked unless an extension of its own is asked for" },
  gorilla = { "gorilla", "#15aabf", "Go, GOMAXPROCS=1; UTF-8 is not checked" },
  resty = { "resty", "#7048e8",
    "LuaJIT inside of nginx; UTF-8 is not checked" },
  node_ws = { "npm ws", "#82a80d", "JavaScript, with bufferutil" },
  python = { "Python websockets", "#d6a100" },
  lua_http = { "lua-http", "#c2255c", "Lua on cqueues" },
}

-- A name that says what comes in, and one for the charts, where it has a
-- place there.
names.cases = {
  { "echo-20-1", "20 B x 1" },
  { "echo-20-16", "20 B x 16", "20 B, 16 in flight" },
  { "echo-125-16", "125 B x 16" },
  { "echo-1k-1", "1 KiB x 1", "1 KiB, one by one" },
  { "echo-1k-16", "1 KiB x 16", "1 KiB, 16 in flight" },
  { "echo-16k-16", "16 KiB x 16", "16 KiB, 16 in flight" },
  { "echo-64k-1", "64 KiB x 1" },
  { "echo-1m-1", "1 MiB x 1", "1 MiB, one by one" },
  { "utf8-1k-16", "UTF-8, 1 KiB x 16" },
  { "utf8-16k-16", "UTF-8, 16 KiB x 16", "text of 16 KiB, 16 in flight" },
  { "handshake", "handshake", "handshakes" },
  { "broadcast-1", "broadcast, 125 B x 1" },
  { "broadcast-16", "broadcast, 125 B x 16", "125 B to each of 1,000" },
  { "tls-1k-1", "TLS, 1 KiB x 1" },
  { "tls-1k-16", "TLS, 1 KiB x 16", "1 KiB over TLS, 16 in flight" },
  { "tls-16k-16", "TLS, 16 KiB x 16" },
  { "tls-handshake", "TLS handshake, full" },
  { "deflate-1k-1", "deflate, 1 KiB x 1" },
  { "deflate-1k-16", "deflate, 1 KiB x 16",
    "1 KiB compressed, 16 in flight" },
  { "deflate-16k-16", "deflate, 16 KiB x 16" },
}

-- Of evws alone: what is compared, without a hub and with one.
names.hubs = {
  { "raw-call-1", "hub-call-1", "a call, 1 in flight" },
  { "raw-call-16", "hub-call-16", "a call, 16 in flight" },
  { "raw-packed-1", "hub-packed-1", "one in MessagePack" },
  { "raw-packed-16", "hub-packed-16", "16 in MessagePack" },
  { "raw-all", "hub-all", "to all of 10,000" },
}

function names.title(server)
  local known = names.servers[server]
  return known and known[1] or server
end

function names.colour(server)
  local known = names.servers[server]
  return known and known[2] or "#868e96"
end

function names.case(case)
  for _, known in ipairs(names.cases) do
    if known[1] == case then return known[2] end
  end
  return case
end

return names
