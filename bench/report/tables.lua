-- The tables of a run, as rows of cells: for the terminal and for the page.
--
--   tables.cost(all) -> rows        CPU time of a message, each with its spread
--   tables.ratio(all) -> rows       evws by each of the others
--   tables.latency(all) -> rows     p50 / p99 / p99.9 by rate
--   tables.memory(all) -> rows      bytes of an idle connection
--   tables.hubs(all) -> rows        a hub by what it stands on
--   tables.text(rows), tables.markdown(rows) -> text
--
-- The first row is the head, the first column says what a row is about. A
-- table of a run that has nothing for it is nil.

local names = require "bench.report.names"
local results = require "bench.report.results"

local tables = {}

local none = "–"

function tables.number(value)
  if not value then return none end
  return (value >= 99.5 and "%.0f" or value >= 9.95 and "%.1f" or "%.2f")
    :format(value)
end

-- 1234567 as "1,234,567".
function tables.integer(value)
  if not value then return none end
  local text = ("%.0f"):format(value):reverse():gsub("(%d%d%d)", "%1,")
  return (text:reverse():gsub("^,", ""))
end

local function head(all, first, but)
  local row = { first }
  for _, server in ipairs(all.servers) do
    if server.name ~= but then row[#row + 1] = names.title(server.name) end
  end
  return row
end

-- A row for each case that somebody was measured in; cell(server, case) is a
-- text or nil.
local function by_case(all, first, but, cell)
  local rows = { head(all, first, but) }
  for _, case in ipairs(names.cases) do
    local row, has_any = { case[2] }, false
    for _, server in ipairs(all.servers) do
      if server.name ~= but then
        local text = cell(server.name, case[1])
        has_any = has_any or text ~= nil
        row[#row + 1] = text or none
      end
    end
    if has_any then rows[#rows + 1] = row end
  end
  return rows[2] and rows
end

function tables.cost(all)
  return by_case(all, "us per message", nil, function(server, case)
    local costs = results.column(results.of(all, server, case), "cpu_us")
    if #costs == 0 then return nil end
    return ("%s ±%.0f%%"):format(tables.number(results.median(costs)),
      100 * (results.spread(costs) or 0))
  end)
end

function tables.ratio(all)
  return by_case(all, "evws by", "evws", function(server, case)
    local ratio = results.ratio(results.of(all, "evws", case),
      results.of(all, server, case), "cpu_us")
    return ratio and ("%.2f"):format(ratio)
  end)
end

function tables.hubs(all)
  local rows = { { "us of evws", "raw", "hub", "hub by raw", "hub - raw" } }
  for _, case in ipairs(names.hubs) do
    local raw = results.of(all, "evws", case[1])
    local hub = results.of(all, "evws", case[2])
    local below = results.median(results.column(raw, "cpu_us"))
    local above = results.median(results.column(hub, "cpu_us"))
    local ratio = results.ratio(hub, raw, "cpu_us")
    if below and above and ratio then
      rows[#rows + 1] = { case[3], tables.number(below), tables.number(above),
        ("%.2f"):format(ratio), ("%.2f"):format(above - below) }
    end
  end
  return rows[2] and rows
end

-- Every value that this field of a case's runs has, in order.
function tables.values(all, case, field)
  local seen, list = {}, {}
  for _, run in ipairs(all.runs) do
    if run.case == case and not seen[run[field]] then
      seen[run[field]] = true
      list[#list + 1] = run[field]
    end
  end
  table.sort(list)
  return list
end

local function latency(runs)
  if #runs == 0 then return none end
  local parts = {}
  for i, name in ipairs { "p50_us", "p99_us", "p999_us" } do
    parts[i] = tables.integer(results.median(results.column(runs, name)))
  end
  return table.concat(parts, " / ")
end

function tables.latency(all)
  local rates = tables.values(all, "latency", "rate")
  local rows = { { "us, p50 / p99 / p99.9 at" } }
  for _, rate in ipairs(rates) do
    rows[1][#rows[1] + 1] = tables.integer(rate) .. "/s"
  end
  for _, server in ipairs(all.servers) do
    local row = { names.title(server.name) }
    for _, rate in ipairs(rates) do
      local runs = results.of(all, server.name, "latency", "rate", rate)
      row[#row + 1] = latency(tables.that_kept_up(runs))
    end
    rows[#rows + 1] = row
  end
  return rates[1] and rows
end

-- Without those that fell behind the schedule: their latency only says for
-- how long they were measured.
function tables.that_kept_up(runs)
  local list = {}
  for _, run in ipairs(runs) do
    if run.per_second >= 0.9 * run.rate then list[#list + 1] = run end
  end
  return list
end

function tables.memory(all)
  local crowds = tables.values(all, "memory", "conns")
  local rows = { { "bytes" } }
  for _, n in ipairs(crowds) do
    rows[1][#rows[1] + 1] = "of " .. tables.integer(n)
  end
  table.insert(rows[1], "over TLS")
  for _, server in ipairs(all.servers) do
    local row = { names.title(server.name) }
    for _, n in ipairs(crowds) do
      row[#row + 1] = tables.integer(results.median(results.column(
        results.of(all, server.name, "memory", "conns", n), "bytes")))
    end
    row[#row + 1] = tables.integer(results.median(results.column(
      results.of(all, server.name, "memory-tls"), "bytes")))
    rows[#rows + 1] = row
  end
  return crowds[1] and rows
end

-- ---- how they look ----

function tables.text(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do
      widths[i] = math.max(widths[i] or 0, utf8.len(cell))
    end
  end
  local lines = {}
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      local blanks = (" "):rep(widths[i] - utf8.len(cell))
      cells[i] = i == 1 and cell .. blanks or blanks .. cell
    end
    lines[#lines + 1] = table.concat(cells, "  ")
  end
  return table.concat(lines, "\n") .. "\n"
end

function tables.markdown(rows)
  local lines = {}
  for i, row in ipairs(rows) do
    lines[#lines + 1] = "| " .. table.concat(row, " | ") .. " |"
    if i == 1 then lines[2] = "|---" .. ("|---:"):rep(#row - 1) .. "|" end
  end
  return table.concat(lines, "\n") .. "\n"
end

return tables
