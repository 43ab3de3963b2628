-- docs/benchmarks.md: page(all, pictures) -> text, where pictures are the
-- names of the charts that there are.

local names = require "bench.report.names"
local tables = require "bench.report.tables"

local intro = [[
# Benchmarks

<!-- made by `make bench`; edits here are lost -->

How much of a processor a WebSocket server takes for a message, how long its
answers take when messages come on a schedule, and what an idle connection
holds. To see it on a machine of one's own:

```sh
make bench                            # what Debian and npm carry; an hour
make bench UWS=dir                    # and uWebSockets, from a checkout
make bench ROUNDS=2 CASES="echo-20-16 tls-1k-16" PEERS="evws lws"   # a look
```

- Cost is the CPU time of the server's process for a message, the kernel's
  share included: it is the same whatever else the machine has to do, and
  however fast the load is. Medians of %s rounds of %s s, in which each server
  has its turn, ± half the distance of the quartiles.
- Ratios are medians of the ratios within a round, so they need not be the
  quotient of two medians. Below 1, evws takes less.
- "x 16" are 16 messages in flight on each of 100 connections (10 at 1 MiB). A
  broadcast goes to 1,000 connections; its cost is that of one delivery.
- The servers share one core, the load ([bench/load](../bench/load)) has
  another. It compares every byte that comes back.
- The servers are in [bench/servers](../bench/servers) and
  [bench/peers](../bench/peers). That of evws is a Lua script; "evws, C alone"
  is the same on its engine, so what lies between the two is the price of the
  script. "floor" is the least that can be done.
]]

local about_hubs = [[
## SignalR hubs

What a call costs on top of its bytes: `connection.invoke("Add", 123, 456)` as
JSON, and as MessagePack, over a WebSocket, answered, beside the echo of the
same bytes; and `hub.clients.all:send` beside `server:publish` of the same
record to clients who have shaken hands in the same way, of each delivery.
]]

local function picture(name, alt)
  return ([[
<picture>
  <source media="(prefers-color-scheme: dark)" srcset="benchmarks/%s-dark.svg">
  <img alt="%s" src="benchmarks/%s-light.svg">
</picture>
]]):format(name, alt, name)
end

local function about(all)
  local m = all.machine
  local lines = { "## What was measured\n",
    ("%s, %s processors, %s, %s.\n"):format(m.cpu, m.cpus,
      m.kernel:match "^%a+ [%d.]+" or m.kernel, m.date),
    "| | version | |\n|---|---|---|" }
  for _, server in ipairs(all.servers) do
    local known = names.servers[server.name]
    lines[#lines + 1] = ("| %s | %s | %s |"):format(names.title(server.name),
      server.version, known and known[3] or "")
  end
  lines[#lines + 1] = ""
  for _, left in ipairs(all.skipped) do
    lines[#lines + 1] = ("- Left out: %s (%s)."):format(
      names.title(left.name), left.why)
  end
  for _, f in ipairs(all.failures) do
    lines[#lines + 1] = ("- %s, %s: %s."):format(names.title(f.server),
      names.case(f.case), f.why)
  end
  return table.concat(lines, "\n") .. "\n"
end

local about_latency = [[
Where the processors are those of a virtual machine that others share, moments
in which it stands still fall on whoever has its turn: of the higher percentiles
that is the larger part.
]]

local function section(out, title, chart, alt, ...)
  if not chart and not (...) then return end
  out[#out + 1] = "## " .. title .. "\n"
  if chart then out[#out + 1] = picture(chart, alt) end
  for _, rows in ipairs { ... } do out[#out + 1] = tables.markdown(rows) end
end

return function(all, pictures)
  local out = { intro:format(all.machine.rounds, all.machine.seconds) }
  section(out, "CPU time of a message", pictures.cost and "cost",
    "Messages for each second of CPU time, by server and case",
    tables.cost(all), tables.ratio(all))
  local hubs = tables.hubs(all)
  if hubs then
    out[#out + 1] = about_hubs
    out[#out + 1] = tables.markdown(hubs)
  end
  section(out, "Latency over load", pictures.latency and "latency",
    "The 99th percentile of the latency, by server and load",
    tables.latency(all))
  if pictures.latency then out[#out + 1] = about_latency end
  section(out, "Memory over connections", pictures.memory and "memory",
    "Memory of idle connections, by server and their number",
    tables.memory(all))
  out[#out + 1] = about(all)
  return (table.concat(out, "\n"))
end
