-- What bench/run has measured, and what stands out of it.
--
--   results.read(path) -> {
--     machine = { cpu =, kernel =, date =, ... },
--     servers = { { name =, version = }, ... }, in the order of the run
--     skipped = { { name =, why = }, ... },
--     runs = { { server =, case =, round =, cpu_us =, ... }, ... },
--     failures = { { server =, case =, why = }, ... }, each once }
--   results.of(all, server, case[, field, value]) -> runs
--   results.column(runs, name) -> numbers
--   results.median(numbers) -> number | nil
--   results.spread(numbers) -> half the distance of the quartiles, as a part
--     of the median | nil
--   results.ratio(runs, others, name) -> the median over rounds of the first
--     by the second of the same round | nil

local results = {}

local function read_run(line)
  local run, why = {}, line:match " failed=(.*)$"
  if why then line = line:sub(1, -#why - #" failed=" - 1) end
  for name, value in line:gmatch "(%S+)=(%S+)" do
    run[name] = tonumber(value) or value
  end
  return run, why
end

function results.read(path)
  local all = { machine = {}, servers = {}, skipped = {}, runs = {},
    failures = {} }
  local told = {}
  for line in io.lines(path) do
    local kind, value, rest = line:match "^(%a+)[ =]([^ =]+)[ =](.*)$"
    if kind == "machine" then
      all.machine[value] = rest
    elseif kind == "peer" then
      all.servers[#all.servers + 1] = { name = value,
        version = rest:match "^version=(.*)$" }
    elseif kind == "skipped" then
      all.skipped[#all.skipped + 1] = { name = value,
        why = rest:match "^why=(.*)$" }
    elseif kind == "server" then
      local run, why = read_run(line)
      if not why then
        all.runs[#all.runs + 1] = run
      elseif not told[run.server .. run.case] then
        told[run.server .. run.case] = true
        all.failures[#all.failures + 1] = { server = run.server,
          case = run.case, why = why }
      end
    elseif line ~= "" then
      error(("%s: what is %q?"):format(path, line))
    end
  end
  return all
end

function results.of(all, server, case, field, value)
  local runs = {}
  for _, run in ipairs(all.runs) do
    if run.server == server and run.case == case
      and (not field or run[field] == value) then
      runs[#runs + 1] = run
    end
  end
  return runs
end

function results.column(runs, name)
  local numbers = {}
  for _, run in ipairs(runs) do numbers[#numbers + 1] = run[name] end
  return numbers
end

-- The number below which a part q of them lies, between two of them where it
-- has to be.
local function quantile(numbers, q)
  local sorted = table.move(numbers, 1, #numbers, 1, {})
  table.sort(sorted)
  local at = 1 + q * (#sorted - 1)
  local below = sorted[math.floor(at)]
  return below and below
    + (at - math.floor(at)) * (sorted[math.ceil(at)] - below)
end

function results.median(numbers)
  return quantile(numbers, 0.5)
end

function results.spread(numbers)
  local median = quantile(numbers, 0.5)
  if not median or median == 0 then return nil end
  return (quantile(numbers, 0.75) - quantile(numbers, 0.25)) / 2 / median
end

function results.ratio(runs, others, name)
  local by_round, ratios = {}, {}
  for _, run in ipairs(others) do by_round[run.round] = run[name] end
  for _, run in ipairs(runs) do
    local other = by_round[run.round]
    if run[name] and other and other > 0 then
      ratios[#ratios + 1] = run[name] / other
    end
  end
  return results.median(ratios)
end

return results
