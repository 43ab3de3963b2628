-- The charts of a run: charts.cost(all), .latency(all), .memory(all) make what
-- bench.report.chart draws, or nil where a run has nothing for it.

local names = require "bench.report.names"
local results = require "bench.report.results"
local tables = require "bench.report.tables"

local charts = {}

-- 2345678 as "2.3 M".
local function short(value)
  if value >= 1e3 and value % 1e3 == 0 and value < 1e6 then
    return ("%.0f k"):format(value / 1e3)
  end
  if value >= 1e6 then return ("%.1f M"):format(value / 1e6) end
  if value >= 1e4 then return ("%.0f k"):format(value / 1e3) end
  if value >= 1e3 then return ("%.1f k"):format(value / 1e3) end
  return ("%.0f"):format(value)
end

local function ours(server)
  return server == "evws" or server == "engine" and "engine" or nil
end

local function panel(all, case)
  local bars = {}
  for _, server in ipairs(all.servers) do
    local cost = results.median(results.column(results.of(all, server.name,
      case[1]), "cpu_us"))
    if cost and cost > 0 then
      bars[#bars + 1] = { label = names.title(server.name),
        value = 1e6 / cost, text = short(1e6 / cost),
        is_ours = ours(server.name) }
    end
  end
  return bars[1] and { title = case[3], bars = bars }
end

function charts.cost(all)
  local panels = {}
  for _, case in ipairs(names.cases) do
    panels[#panels + 1] = case[3] and panel(all, case) or nil
  end
  return panels[1] and { panels = panels,
    title = "Messages for each second of CPU time: longer is better" }
end

-- The ticks of an axis from below the least to above the most.
local function ticks(list, least, most)
  local first, last = 1, #list
  while list[first + 1] and list[first + 1][1] <= least do first = first + 1 end
  while last > 1 and list[last - 1][1] >= most do last = last - 1 end
  return table.move(list, first, math.max(last, first + 1), 1, {})
end

local times = { { 10, "10 us" }, { 30, "30 us" }, { 100, "100 us" },
  { 300, "300 us" }, { 1000, "1 ms" }, { 3000, "3 ms" }, { 10000, "10 ms" },
  { 30000, "30 ms" }, { 100000, "100 ms" }, { 300000, "300 ms" },
  { 1e6, "1 s" }, { 1e7, "10 s" } }

local function numbers(values)
  local list = {}
  for i, value in ipairs(values) do list[i] = { value, short(value) } end
  return list
end

-- One line for each server: points(server) -> { { x, y }, ... }
local function lines(all, points)
  local list, least, most = {}, math.huge, 0
  for _, server in ipairs(all.servers) do
    local own = points(server.name)
    for _, p in ipairs(own) do
      least, most = math.min(least, p[2]), math.max(most, p[2])
    end
    list[#list + 1] = own[1] and { label = names.title(server.name),
      colour = names.colour(server.name), points = own,
      is_ours = server.name == "evws" } or nil
  end
  return list, least, most
end

function charts.latency(all)
  local rates = tables.values(all, "latency", "rate")
  local list, least, most = lines(all, function(server)
    local points = {}
    for _, rate in ipairs(rates) do
      local runs = tables.that_kept_up(results.of(all, server, "latency",
        "rate", rate))
      if runs[1] then
        points[#points + 1] = { rate, results.median(results.column(runs,
          "p99_us")) }
      end
    end
    return points
  end)
  if not list[1] or not rates[2] then return nil end
  return { title = "Latency of 20 B echoed over 100 connections",
    x = "messages a second, on a schedule", is_log = true, lines = list,
    y = "99 of 100 are answered within", x_ticks = numbers(rates),
    y_ticks = ticks(times, least, most) }
end

function charts.memory(all)
  local crowds = tables.values(all, "memory", "conns")
  local list, _, most = lines(all, function(server)
    local points = {}
    for _, n in ipairs(crowds) do
      local bytes = results.median(results.column(results.of(all, server,
        "memory", "conns", n), "bytes"))
      if bytes then
        points[#points + 1] = { n, n * math.max(bytes, 0) / (1 << 20) }
      end
    end
    return points
  end)
  if not list[1] or not crowds[2] then return nil end
  local y_ticks, step = {}, 10
  while most / step > 8 do step = step * (step % 4 == 0 and 2.5 or 2) end
  for i = 0, math.max(1, math.ceil(most / step)) do
    y_ticks[i + 1] = { i * step, ("%.0f MiB"):format(i * step) }
  end
  return { title = "Memory of idle connections", x = "connections",
    y = "more than without any", lines = list, y_ticks = y_ticks,
    x_ticks = numbers { 0, table.unpack(crowds) } }
end

return charts
