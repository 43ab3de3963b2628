-- What an echo waits for beside whatever else its server does: 50 connections
-- that ask by a schedule, half as often as the server could answer them.

local steady = require "bench.steady.kit"

local latency = {}

local ECHO = "--conns 50 --size 20"

-- collector: there are objects that live, and this is how they are collected;
-- beside: a load. What is shown is the round whose p99 is in the middle.
local neighbours = {
  { "nothing else" },
  { "16 MiB published to 10, over and over",
    beside = "--mode broadcast --conns 10 --size 16777216 /broadcast" },
  { "1 MiB published to 300, over and over",
    beside = "--mode broadcast --conns 300 --size 1048576 /broadcast" },
  { "1,000 handshakes at a time, over and over",
    beside = "--mode handshake --conns 1000 --burst 1000 /echo" },
  { "%d MiB of objects, and collectgarbage() each second",
    collector = "generational", beside = "--rate 1 /collect" },
  { "%d MiB of objects and 17 MB of garbage a second, generational",
    collector = "generational", beside = "--rate 100 /litter" },
  { "%d MiB of objects and 17 MB of garbage a second, incremental",
    collector = "incremental", beside = "--rate 100 /litter" },
}

local function half_load(seconds)
  local served = steady.serve()
  local most = steady.load(served, ("%s --seconds %g /echo"):format(ECHO,
    seconds)).per_second
  served:stop()
  return math.max(most // 2, 1)
end

local function measure(neighbour, rate, options)
  local served = steady.serve(neighbour.collector and options.mib or 0,
    neighbour.collector)
  local beside = neighbour.beside
    and steady.beside(served, neighbour.beside)
  local rounds = {}
  for i = 1, options.rounds do
    rounds[i] = steady.load(served, ("%s --in-flight 1000 --rate %d "
      .. "--seconds %g --stall 60 --limit 120 /echo"):format(ECHO, rate,
      options.seconds))
  end
  if beside then beside:stop "KILL" end
  served:stop()
  table.sort(rounds, function(a, b) return a.p99_us < b.p99_us end)
  return rounds[(#rounds + 1) // 2]
end

function latency.run(print_row, options)
  local rate = half_load(options.seconds)
  print_row(("an echo of 20 bytes, %d a second, beside"):format(rate),
    "p50 ms", "p99 ms", "worst ms")
  print_row("---", "---:", "---:", "---:")
  for _, neighbour in ipairs(neighbours) do
    local found = measure(neighbour, rate, options)
    print_row(neighbour[1]:format(options.mib),
      ("%.2f"):format(found.p50_us / 1e3), ("%.2f"):format(found.p99_us / 1e3),
      ("%.1f"):format(found.max_us / 1e3))
  end
end

return latency
