-- What bench/report makes of the measurements of bench/run.

local chart = require "bench.report.chart"
local charts = require "bench.report.charts"
local names = require "bench.report.names"
local page = require "bench.report.page"
local results = require "bench.report.results"
local tables = require "bench.report.tables"

local sample = ([[
machine cpu=Some CPU @ 3 GHz
machine cpus=2
machine kernel=Linux 6.1
machine date=2025-01-02
machine rounds=3
machine seconds=1
peer=evws version=v1-3-gabc
peer=uws version=v20, "the" <new> & best
skipped=gorilla why=golang is not installed
server=evws case=echo-20-16 round=1 mode=echo n=5 cpu_us=1.000 p50_us=3.0
server=uws case=echo-20-16 round=1 mode=echo n=5 cpu_us=0.500 p50_us=3.0
server=evws case=echo-20-16 round=2 mode=echo n=5 cpu_us=2.000 p50_us=3.0
server=uws case=echo-20-16 round=2 mode=echo n=5 cpu_us=2.500 p50_us=3.0
server=evws case=echo-20-16 round=3 mode=echo n=5 cpu_us=3.000 p50_us=3.0
server=uws case=tls-1k-1 round=1 failed=a close frame 1011 (5 answers=so far)
server=uws case=tls-1k-1 round=2 failed=another reason
server=evws case=latency round=1 rate=1000 per_second=1000 @10 20 1234.5
server=evws case=latency round=1 rate=5000 per_second=4990 @30 50 60
server=uws case=latency round=1 rate=5000 per_second=3000 @9 9 9
server=evws case=memory round=1 conns=1000 bytes=700
server=evws case=memory round=1 conns=10000 bytes=650
server=uws case=memory round=1 conns=10000 bytes=256
server=uws case=memory-tls round=1 conns=5000 bytes=32000
]]):gsub("@(%S+) (%S+) (%S+)", "p50_us=%1 p99_us=%2 p999_us=%3")

local function read(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local ok, all = pcall(results.read, path)
  os.remove(path)
  if not ok then error(all, 0) end
  return all
end

-- Elements that are opened and closed in their order, or a message.
local function fault_of(svg)
  local open = {}
  for close, name, alone in svg:gmatch "<(/?)(%a+)[^>]-(/?)>" do
    if close == "/" then
      if table.remove(open) ~= name then return "</" .. name .. ">" end
    elseif alone == "" then
      open[#open + 1] = name
    end
  end
  return open[1] or svg:match "&[^agqlt#]" or svg:match "nan" or
    svg:match "inf"
end

describe("bench/report", function()
  it("reads what was measured", function()
    local all = read(sample)
    assert.equal("Some CPU @ 3 GHz", all.machine.cpu)
    assert.same({ { name = "evws", version = "v1-3-gabc" },
      { name = "uws", version = 'v20, "the" <new> & best' } }, all.servers)
    assert.same({ { name = "gorilla", why = "golang is not installed" } },
      all.skipped)
    assert.same({ { server = "uws", case = "tls-1k-1",
      why = "a close frame 1011 (5 answers=so far)" } }, all.failures)
    assert.equal(3, #results.of(all, "evws", "echo-20-16"))
    assert.equal(1, #results.of(all, "evws", "latency", "rate", 5000))
    assert.same({ 1, 2, 3 }, results.column(results.of(all, "evws",
      "echo-20-16"), "cpu_us"))
  end)

  it("refuses a line that it does not know", function()
    assert.has_error(function() read "server=evws\n" end)
    assert.has_error(function() read(sample .. "nonsense\n") end)
  end)

  it("knows medians and spreads", function()
    assert.is_nil(results.median {})
    assert.equal(5, results.median { 5 })
    assert.equal(2.5, results.median { 4, 1, 3, 2 })
    assert.equal(3, results.median { 9, 3, 1 })
    assert.equal(0, results.spread { 5 })
    assert.equal(0.25, results.spread { 1, 2, 3 })
    assert.is_nil(results.spread {})
  end)

  it("divides within a round", function()
    local all = read(sample)
    local evws = results.of(all, "evws", "echo-20-16")
    local uws = results.of(all, "uws", "echo-20-16")
    assert.equal((2 + 0.8) / 2, results.ratio(evws, uws, "cpu_us"))
    assert.is_nil(results.ratio(evws, {}, "cpu_us"))
  end)

  it("makes tables", function()
    local all = read(sample)
    assert.same({ { "us per message", "evws", "uWebSockets" },
      { "20 B x 16", "2.00 ±25%", "1.50 ±33%" } }, tables.cost(all))
    assert.same({ { "evws by", "uWebSockets" }, { "20 B x 16", "1.40" } },
      tables.ratio(all))
    assert.same({ { "us, p50 / p99 / p99.9 at", "1,000/s", "5,000/s" },
      { "evws", "10 / 20 / 1,234", "30 / 50 / 60" },
      { "uWebSockets", "–", "–" } }, tables.latency(all))
    assert.same({ { "bytes", "of 1,000", "of 10,000", "over TLS" },
      { "evws", "700", "650", "–" }, { "uWebSockets", "–", "256", "32,000" } },
      tables.memory(all))
  end)

  it("compares hubs with what they stand on", function()
    local all = read(sample .. [[
server=evws case=raw-call-1 round=1 cpu_us=4.0
server=evws case=hub-call-1 round=1 cpu_us=6.0
server=evws case=raw-call-1 round=2 cpu_us=8.0
server=evws case=hub-call-1 round=2 cpu_us=10.0
server=evws case=raw-all round=1 cpu_us=1.0
]])
    local rows = tables.hubs(all)
    assert.same({ "a call, 1 in flight", "6.00", "8.00", "1.38", "2.00" },
      rows[2])
    assert.is_nil(rows[3])
    assert.truthy(page(all, {}):find("| a call, 1 in flight | 6.00 |", 1, true))
    assert.is_nil(page(read(sample), {}):find("SignalR", 1, true))
  end)

  it("has none of what was not measured", function()
    local all = read "machine cpu=x\npeer=evws version=1\n"
    for _, name in ipairs { "cost", "ratio", "hubs", "latency", "memory" } do
      assert.is_nil(tables[name](all))
    end
    for _, name in ipairs { "cost", "latency", "memory" } do
      assert.is_nil(charts[name](all))
    end
  end)

  it("writes numbers as people read them", function()
    for text, value in pairs { ["0.05"] = 0.046, ["9.94"] = 9.94,
      ["10.0"] = 9.96, ["99.4"] = 99.4, ["100"] = 99.6, ["1234"] = 1234.4 } do
      assert.equal(text, tables.number(value))
    end
    for text, value in pairs { ["0"] = 0, ["999"] = 999, ["1,000"] = 1000,
      ["12,345"] = 12345, ["123,456"] = 123456, ["1,234,567"] = 1234567 } do
      assert.equal(text, tables.integer(value))
    end
  end)

  it("aligns columns in the terminal", function()
    assert.equal("a    bb\nccc   –\n", tables.text { { "a", "bb" },
      { "ccc", "–" } })
  end)

  it("draws charts in both themes", function()
    local all = read(sample)
    for theme, colours in pairs(chart.themes) do
      for _, name in ipairs { "cost", "latency", "memory" } do
        local svg = (name == "cost" and chart.bars or chart.lines)(
          charts[name](all), colours)
        assert.is_nil(fault_of(svg), name .. " " .. theme)
        assert.is_truthy(svg:find(colours.ground, 1, true))
        assert.is_truthy(svg:find(">evws</text>", 1, true), name)
      end
    end
  end)

  it("draws a longer bar for what costs less", function()
    local svg = chart.bars(charts.cost(read(sample)), chart.themes.light)
    local widths = {}
    for width in svg:gmatch '<rect x=[^>]- width="([%d.]+)" [^>]-rx=' do
      widths[#widths + 1] = tonumber(width)
    end
    assert.equal(2, #widths)
    assert.near(1.5 / 2, widths[1] / widths[2], 0.01)
  end)

  it("escapes what stands in a chart", function()
    local svg = chart.bars({ title = "a<b&c", panels = { { title = '"x"',
      bars = { { label = "<>", value = 1, text = "&" } } } } },
      chart.themes.dark)
    assert.is_nil(fault_of(svg))
    assert.is_truthy(svg:find("a&lt;b&amp;c", 1, true))
  end)

  it("keeps labels apart, and above the axis", function()
    local lines = {}
    for i = 1, 8 do
      lines[i] = { label = "line " .. i, colour = "#123456",
        points = { { 0, 0 }, { 10, i / 100 } } }
    end
    local svg = chart.lines({ title = "t", x = "x", y = "y", lines = lines,
      x_ticks = { { 0, "0" }, { 10, "10" } },
      y_ticks = { { 0, "0" }, { 100, "100" } } }, chart.themes.light)
    local at = {}
    for y in svg:gmatch 'y="([%d.]+)"[^>]*>line %d' do
      at[#at + 1] = tonumber(y)
    end
    table.sort(at)
    assert.equal(8, #at)
    for i = 2, 8 do assert.is_true(at[i] - at[i - 1] >= 14.9) end
    local base = tonumber(svg:match 'y="([%d.]+)"[^>]*>0</text>')
    assert.is_true(at[8] <= base + 1)
  end)

  it("writes a page of it all", function()
    local text = page(read(sample), { cost = true, latency = true,
      memory = true })
    for _, part in ipairs { "make bench", "| 20 B x 16 | 2.00 ±25% |",
      "benchmarks/cost-dark.svg", "benchmarks/memory-light.svg",
      "Some CPU @ 3 GHz, 2 processors, Linux 6.1, 2025-01-02",
      "Left out: gorilla (golang is not installed)", "3 rounds of 1 s",
      "uWebSockets, TLS, 1 KiB x 1: a close frame 1011" } do
      assert.is_truthy(text:find(part, 1, true), part)
    end
  end)

  it("has a name for each case that bench/run measures, and each server",
    function()
      local file = assert(io.open "bench/run")
      local text = file:read "a"
      file:close()
      local cases = 0
      for case in text:match "all_cases=(%b())":gmatch "\n  '(%S+)" do
        cases = cases + 1
        assert.equal(case, names.cases[cases][1])
      end
      assert.equal(#names.cases, cases)
      file = assert(io.open "bench/peers/start")
      text = file:read "a"
      file:close()
      local servers = 0
      for list in text:gmatch "\n  ([%l_ |]+)%)" do
        for server in list:gmatch "[%l_]+" do
          servers = servers + 1
          assert.is_truthy(names.servers[server], server)
        end
      end
      assert.equal(10, servers)
    end)
end)
