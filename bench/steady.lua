-- What stays as it is, whatever comes: what an echo waits for beside other
-- work, and what a byte costs in messages of any shape.
--
--   make steady [CASES="latency bytes"] [ROUNDS=5] [SECONDS=3] [MIB=200]
--
-- Some three minutes; MIB are of objects that a collection goes through.
-- Nothing is judged but in the tables: a machine that does something else
-- meanwhile is slower.

package.path = "./?.lua;" .. package.path

local kit = require "bench.scale.kit"

local function given(name, default)
  return tonumber(os.getenv(name) or "") or default
end

local options = { rounds = given("ROUNDS", 5),
  seconds = given("SECONDS_EACH", 3), mib = given("MIB", 200) }

local cases = os.getenv "CASES" or ""
if cases == "" then cases = "latency bytes" end

local function print_row(...)
  print("| " .. table.concat({ ... }, " | ") .. " |")
end

io.stdout:setvbuf "line"
local is_next = false
for name in cases:gmatch "%S+" do
  if is_next then print "" end
  is_next = true
  local ok, why = xpcall(require("bench.steady." .. name).run, debug.traceback,
    print_row, options)
  if not ok then
    kit.stop_all()
    error(why, 0)
  end
end
