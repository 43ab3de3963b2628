-- Writes docs/conformance.md out of what a run has printed:
--
--   lua5.4 tools/conformance.lua <specs.tap> <peers.log> <page>
--
-- specs.tap is of spec/conformance_spec.lua, peers.log of spec/peers/run.
-- Ends with 1 when anything has failed; the page then says so.

local specs, peers, page = arg[1], arg[2], arg[3]

local sections = { "Framing", "Pings and pongs", "Reserved bits",
  "Reserved opcodes", "Fragmentation", "UTF-8", "Closing",
  [9] = "Limits and performance (reduced)", [10] = "Automatic fragmentation",
  [12] = "Compression: sizes (reduced)",
  [13] = "Compression: parameters (reduced)" }

local out, failures = {}, {}
local function line(...) out[#out + 1] = string.format(...) end

-- A list without doubles, in the order of `add`.
local function set()
  local s = { known = {} }
  function s.add(value)
    if not s.known[value] then
      s.known[value] = true
      s[#s + 1] = value
    end
  end
  return s
end

-- Sums by any number of names.
local function sums()
  local passed, total = {}, {}
  local function key(...) return table.concat({ ... }, "\0") end
  local s = {}
  function s.add(ok, ...)
    local k = key(...)
    total[k] = (total[k] or 0) + 1
    passed[k] = (passed[k] or 0) + (ok and 1 or 0)
  end
  function s.cell(...)
    local k = key(...)
    if not total[k] then return "–" end
    return ("%d/%d"):format(passed[k], total[k])
  end
  return s
end

local function row(cells) line("| %s |", table.concat(cells, " | ")) end

local function head(cells)
  row(cells)
  line("|%s", ("---|"):rep(#cells))
end

-- "ok 7 - conformance of a server that echoes text by callback: 6.1.1 ..."
local function read_specs()
  local results, ways, ids = sums(), set(), {}
  for text in io.lines(specs) do
    local verdict, role, how, id, section = text:match(
      "^([not ]*ok) %d+ %- conformance of a (%a+) that (.-): ((%d+)[%d.]*) ")
    if verdict then
      local ok, way = verdict == "ok", how:match "by %a+$" or how
      section = math.tointeger(section)
      way = role .. ", " .. way
      ways.add(way)
      ids[section] = ids[section] or set()
      ids[section].add(id)
      results.add(ok, section, way)
      if not ok then failures[#failures + 1] = text end
    elseif text:find "^not ok" then
      failures[#failures + 1] = text
    end
  end
  return results, ways, ids
end

local function write_specs()
  local results, ways, ids = read_specs()
  head { "section", "cases", table.unpack(ways) }
  for section = 1, 13 do
    if ids[section] then
      local cells = { ("%d %s"):format(section, sections[section]),
        #ids[section] }
      for _, way in ipairs(ways) do
        cells[#cells + 1] = results.cell(section, way)
      end
      row(cells)
    end
  end
  return #ways > 0
end

-- What a hub was tried for: "ok - npm @microsoft/signalr, hub, WebSockets,
-- json: title". A table for each client, in the order of what was tried.
local hubs = {}

local function add_hub(ok, peer, cell, title)
  local one = hubs[peer]
  if not one then
    one = { peer = peer, results = sums(), titles = set(), cells = set() }
    hubs[peer], hubs[#hubs + 1] = one, one
  end
  one.titles.add(title)
  one.cells.add(cell)
  one.results.add(ok, title, cell)
end

local function write_hub(one, version)
  line ""
  head { ("%s %s"):format(one.peer, version), table.unpack(one.cells) }
  for _, title in ipairs(one.titles) do
    local cells = { title }
    for _, cell in ipairs(one.cells) do
      cells[#cells + 1] = one.results.cell(title, cell)
    end
    row(cells)
  end
end

local function write_hubs(versions)
  if #hubs == 0 then return end
  line ""
  line "## Hubs, with SignalR's official client"
  line ""
  line("Unmodified, in Node and in a page of another origin, against hubs of "
    .. "[evws.signalr](signalr.md): [npm_signalr.mjs]"
    .. "(../spec/peers/npm_signalr.mjs), [chromium_signalr.mjs]"
    .. "(../spec/peers/chromium_signalr.mjs).")
  for _, one in ipairs(hubs) do write_hub(one, versions[one.peer] or "") end
end

-- "version - npm ws 8.23.0" and "ok - npm ws, client, plain: text"
local function read_peers()
  local results, versions, rows, overs = sums(), {}, set(), set()
  for text in io.lines(peers) do
    local name, version = text:match "^version %- (.-) ([%d.]+)$"
    if name then versions[name] = version end
    local verdict, peer, role, over, title = text:match(
      "^([not ]*ok) %- (.-), (%l+), ([^:]+): ([^:]*)")
    if role == "hub" then
      add_hub(verdict == "ok", peer, over, title)
    elseif verdict then
      rows.add(peer .. "\0" .. role)
      overs.add(over)
      results.add(verdict == "ok", peer, role, over)
    end
    if text:find "^not ok" then failures[#failures + 1] = text end
  end
  return results, versions, rows, overs
end

local function write_peers()
  local results, versions, rows, overs = read_peers()
  table.sort(rows)
  table.sort(overs, function(a, b)
    if a == "plain" or b == "plain" then return a == "plain" and b ~= a end
    return a < b
  end)
  head { "peer", "evws is the", table.unpack(overs) }
  for _, name in ipairs(rows) do
    local peer, role = name:match "^(.*)\0(.*)$"
    local cells = { peer .. " " .. (versions[peer] or ""), role }
    for _, over in ipairs(overs) do
      cells[#cells + 1] = results.cell(peer, role, over)
    end
    row(cells)
  end
  write_hubs(versions)
  return #rows > 0 or #hubs > 0
end

line "<!-- Made by `make conformance`. Do not edit. -->"
line ""
line "# What evws was tried against"
line ""
line("`make conformance` runs all of this and writes this page; this is the "
  .. "run of %s. A cell holds what has passed and what was tried.",
  os.date "!%Y-%m-%d")
line ""
line "## The cases of the field's conformance suite"
line ""
line("Every case is judged by what comes back, in which order, and by how the "
  .. "connection ends: who closes, with which code, who ends TCP, and when. "
  .. "What the suite lets pass as not strict counts as failed. evws echoes as "
  .. "a server and as a client, by `on_message` (callback) and in a loop over "
  .. "`conn:receive` (receive): [spec/conformance_spec.lua]"
  .. "(../spec/conformance_spec.lua), and [the judge's own specs]"
  .. "(../spec/conformance/judge_spec.lua).")
line ""
local has_specs = write_specs()
line ""
line "## Peers written by others"
line ""
line("Real programs on the loopback interface: [spec/peers](../spec/peers). "
  .. "Sizes from nothing to 1 MiB, both kinds of messages, fragments, control "
  .. "frames, close codes both ways, many connections, refusals, and the ways "
  .. "to break the protocol that each peer has.")
line ""
local has_peers = write_peers()
if #failures > 0 then
  line ""
  line "## Failed"
  line ""
  for _, text in ipairs(failures) do
    line("- %s", (text:gsub("[|`<\n]", " ")))
  end
end

if not has_specs or not has_peers then
  io.stderr:write("no results to write about\n")
  os.exit(1)
end
local file <close> = assert(io.open(page, "w"))
file:write(table.concat(out, "\n"), "\n")
for _, text in ipairs(failures) do io.stderr:write(text, "\n") end
os.exit(#failures == 0)
