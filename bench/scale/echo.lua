-- An echo through workers beside that of one process: CPU for each message, by
-- rounds of both, so that what the machine does meanwhile meets both alike.
-- Each process has as many connections, since more in a turn cost less each.

local kit = require "bench.scale.kit"

local echo = {}

local CONNS = 25 -- of each process

local function load(served, in_flight, seconds)
  local said = kit.ask("%s/evws_load --conns %d --size 20 --in-flight %d "
    .. "--seconds %g --warmup 0.3 --pid %s 127.0.0.1 %d /", kit.build,
    CONNS * #served.pids, in_flight, seconds, table.concat(served.pids, ","),
    served.port)
  return tonumber(said:match "cpu_us=([%d.]+)")
end

local function compare(row, one, many, in_flight, options)
  local ratios, alone, shared = {}, {}, {}
  for i = 1, options.rounds do
    local first, second = one, many
    if i % 2 == 0 then first, second = many, one end
    local cpu = { [first] = load(first, in_flight, options.seconds),
      [second] = load(second, in_flight, options.seconds) }
    alone[i], shared[i] = cpu[one], cpu[many]
    ratios[i] = cpu[many] / cpu[one]
  end
  local ratio = kit.at(ratios, 0.5)
  row(("echo of 20 bytes, %d in flight, through %d workers"):format(in_flight,
    options.workers), "at most 1.1 of one process", ("%.2f (%.2f us of CPU, "
    .. "one process %.2f us)"):format(ratio, kit.at(shared, 0.5),
    kit.at(alone, 0.5)), ratio <= 1.1)
end

function echo.run(row, options)
  local one, many = kit.serve(), kit.serve(options.workers)
  for _, in_flight in ipairs { 1, 16 } do
    compare(row, one, many, in_flight, options)
  end
  one:stop()
  many:stop()
end

return echo
