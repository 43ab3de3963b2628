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

local options = { rounds = kit.given("ROUNDS", 5),
  seconds = kit.given("SECONDS_EACH", 3), mib = kit.given("MIB", 200) }

local function print_row(...)
  print("| " .. table.concat({ ... }, " | ") .. " |")
end

io.stdout:setvbuf "line"
kit.run("steady", "latency bytes", print_row, options)
