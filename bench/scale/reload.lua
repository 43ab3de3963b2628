-- A rolling reload of workers that have many connections: how long until all
-- are back, whom it refuses, and what a bystander notices of it.

local kit = require "bench.scale.kit"
local ws = require "evws"

local reload = {}

local BEFORE = 3 -- seconds of a bystander without a reload
local MOST = 120 -- for the reload

-- Clients that come back at once. count.told: by which code they were closed
-- and how often; count.again: who was told again.
local function clients(url, n, count)
  local function client()
    local times = 0
    while true do
      local conn, why = ws.connect(url, { timeout = 60 })
      if not conn then
        count.refused = count.refused + 1
        io.stderr:write("refused: ", why, "\n")
        return
      end
      count.open = count.open + 1
      while conn:receive() do end
      count.open = count.open - 1
      if count.is_over then return end
      local code = conn.close_code or 1006
      count.told[code] = (count.told[code] or 0) + 1
      times = times + 1
      if times == 2 then count.again = count.again + 1 end
    end
  end
  for i = 1, n do
    ws.spawn(client)
    if i % 100 == 0 then ws.sleep(0.01) end
  end
  while count.open + count.refused < n do ws.sleep(0.05) end
end

local function is_any_alive(pids)
  for _, pid in ipairs(pids) do
    local file <close> = io.open(("/proc/%d/stat"):format(pid))
    if file then return true end
  end
  return false
end

-- The waits of such lines of a bystander in ms, which began in this time; and
-- how many were refused by then (behind it the bystander is ended).
local function waits(path, what, from, to)
  local list, refused = {}, 0
  for line in io.lines(path) do
    local name, at, took = line:match "^(%l+) (%S+) (%S+)$"
    at, took = tonumber(at), tonumber(took)
    if name == "refused" and at + took < to then
      refused = refused + 1
    elseif name == what and at >= from and at < to then
      list[#list + 1] = took * 1e3
    end
  end
  return list, refused
end

local function most(list)
  return #list > 0 and ("%.1f ms"):format(kit.at(list, 0.99)) or "none"
end

local function tell(row, options, count, seconds)
  local n, told, codes = options.connections, 0, 0
  for _, times in pairs(count.told) do told, codes = told + times, codes + 1 end
  row(("reload of %d workers with %d connections"):format(options.workers, n),
    "at most 60 s", ("%.1f s until all are back"):format(seconds),
    seconds <= 60)
  row("  told by 1012 to go", "all", ("%d, %d of them by a second worker, too")
    :format((count.told[1012] or 0) - count.again, count.again),
    codes == 1 and count.told[1012] >= n)
  return told
end

local function measure(row, options, served, path)
  local n, url = options.connections, "ws://127.0.0.1:" .. served.port
  local count = { open = 0, refused = 0, again = 0, told = {} }
  clients(url, n, count)
  local bystander = assert(ws.popen(("exec %s bench/scale/bystander.lua %d "
    .. ">%s"):format(kit.lua, served.port, path)))
  repeat ws.sleep(0.1) until #waits(path, "asked", 0, math.huge) > 0
  ws.sleep(BEFORE)
  local began = ws.now()
  os.execute("kill -HUP " .. served.pid)
  repeat
    ws.sleep(0.05)
  until ws.now() > began + MOST
    or not is_any_alive(served.pids) and count.open + count.refused >= n
  local ended = ws.now()
  bystander:kill()
  bystander:close(10)
  count.is_over = true
  local back = tell(row, options, count, ended - began)
  local came, refused = waits(path, "came", began, ended)
  refused = refused + count.refused
  row("  refused", "none", ("%d, of %d that came back and %d others"):format(
    refused, back, #came), refused == 0)
  for what, name in pairs { asked = "a bystander's questions meanwhile",
    came = "newcomers meanwhile" } do
    row(("  99 %% of %s"):format(name), "", most(waits(path, what, began,
      ended)) .. ", before it " .. most(waits(path, what, 0, began)))
  end
end

function reload.run(row, options)
  local served, path = kit.serve(options.workers), os.tmpname()
  assert(ws.run(function()
    measure(row, options, served, path)
    ws.stop()
  end))
  served:stop()
  os.remove(path)
end

return reload
