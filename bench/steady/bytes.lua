-- What a byte costs, whatever it comes in: CPU of the server, by pairs with the
-- shape that is as good as it gets; and the same of the least server in C, who
-- has what the kernel and the caches cost, and nothing else.

local steady = require "bench.steady.kit"
local kit = require "bench.scale.kit"

local bytes = {}

local MOST = 1.5 -- of what it is compared with, or of the least server's

local usual = "--conns 10 --in-flight 16 --size 16384 /echo"
local single = "--conns 10 --in-flight 16 --size 1 /echo"

-- what: a load; size: the bytes of what it counts; than: what it is compared
-- with, and the bytes of that. The least server takes no fragments.
local shapes = {
  { "64 messages of 16 KiB at a time",
    "--conns 10 --in-flight 64 --size 16384 /echo", 16384 },
  { "messages of 1 MiB", "--conns 10 --size 1048576 /echo", 1 << 20 },
  { "messages of 16 MiB", "--conns 2 --size 16777216 /echo", 1 << 24 },
  { "one byte in each fragment, 1,000 of them",
    "--conns 10 --in-flight 4 --size 1000 --fragments 1000 /echo", 1000,
    "messages of one byte", single, 1 },
}

local function of_byte(served, load, size, seconds)
  return steady.load(served, ("--warmup 0.3 --seconds %g %s"):format(seconds,
    load)).cpu_us * 1e3 / size
end

local function compare(served, least, shape, options)
  local _, load, size, _, than, than_size = table.unpack(shape, 1, 6)
  local ratios, costs, leasts = {}, {}, {}
  local function pair(who)
    local best = of_byte(who, than or usual, than_size or 16384,
      options.seconds)
    local cost = of_byte(who, load, size, options.seconds)
    return cost, cost / best
  end
  for i = 1, options.rounds do
    costs[i], ratios[i] = pair(served)
    if not than then leasts[i] = select(2, pair(least)) end
  end
  return kit.at(costs, 0.5), kit.at(ratios, 0.5), not than
    and kit.at(leasts, 0.5)
end

-- One that takes nothing for a while costs the others nothing.
local function slow_reader(served, options)
  local load = "--mode broadcast --conns 100 --size 1024 /slow"
  local ratios, costs = {}, {}
  for i = 1, options.rounds do
    local alone = of_byte(served, load, 1024, options.seconds)
    local slow = steady.sleeper(served)
    costs[i] = of_byte(served, load, 1024, options.seconds)
    slow:stop "KILL"
    ratios[i] = costs[i] / alone
  end
  return kit.at(costs, 0.5), kit.at(ratios, 0.5)
end

function bytes.run(print_row, options)
  local function tell(what, cost, ratio, least, than)
    print_row(what, ("%.2f"):format(cost), ("%.2f of %s"):format(ratio, than),
      least and ("%.2f"):format(least) or "–",
      ratio <= MOST * math.max(1, least or 1) and "yes" or "no")
  end
  print ""
  print_row("what a byte comes in", "ns of CPU", "beside",
    "the least server's", ("at most %.1f, or of that"):format(MOST))
  print_row("---", "---:", "---", "---:", "---")
  local served, least = steady.serve(), steady.floor()
  for _, shape in ipairs(shapes) do
    local cost, ratio, of_least = compare(served, least, shape, options)
    tell(shape[1], cost, ratio, of_least,
      shape[4] or "16 messages of 16 KiB at a time")
  end
  local cost, ratio = slow_reader(served, options)
  tell("1 KiB to 100, one of whom takes nothing", cost, ratio, nil,
    "all take it")
  served:stop()
  least:stop()
end

return bytes
