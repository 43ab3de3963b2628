-- Says what bench/run has measured:
--
--   lua5.4 bench/report.lua RESULTS          tables, to the terminal
--   lua5.4 bench/report.lua RESULTS DOCS     and DOCS/benchmarks.md with its
--                                            charts in DOCS/benchmarks/

package.path = "./?.lua;" .. package.path

local chart = require "bench.report.chart"
local charts = require "bench.report.charts"
local page = require "bench.report.page"
local results = require "bench.report.results"
local tables = require "bench.report.tables"

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

local all = results.read(arg[1] or "build/bench/results.txt")

for _, name in ipairs { "cost", "ratio", "hubs", "latency", "memory" } do
  local rows = tables[name](all)
  if rows then io.write(tables.text(rows), "\n") end
end
for _, left in ipairs(all.skipped) do
  print(("left out: %s (%s)"):format(left.name, left.why))
end
for _, f in ipairs(all.failures) do
  print(("%s failed in %s: %s"):format(f.server, f.case, f.why))
end

if arg[2] then
  local pictures = {}
  assert(os.execute(("mkdir -p %s/benchmarks"):format(arg[2])))
  for _, name in ipairs { "cost", "latency", "memory" } do
    local what = charts[name](all)
    pictures[name] = what and true
    for theme, colours in pairs(what and chart.themes or {}) do
      write(("%s/benchmarks/%s-%s.svg"):format(arg[2], name, theme),
        (name == "cost" and chart.bars or chart.lines)(what, colours))
    end
  end
  write(arg[2] .. "/benchmarks.md", page(all, pictures))
end
