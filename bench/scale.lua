-- What many processes and a Redis cost, beside what they may:
--
--   make scale [CASES="echo reload redis"] [WORKERS=4] [CONNECTIONS=10000]
--     [ROUNDS=8] [SECONDS=1]
--
-- Some two minutes. Nothing is judged but in the table: a machine that does
-- something else meanwhile is slower. Two processes hold a descriptor for each
-- connection of the reload; where `ulimit -n` is less, there are fewer.

package.path = "./?.lua;" .. package.path

local kit = require "bench.scale.kit"

local given = kit.given
local descriptors = tonumber(kit.ask "ulimit -n") or math.huge -- "unlimited"
local options = { workers = given("WORKERS", 4), rounds = given("ROUNDS", 8),
  seconds = given("SECONDS_EACH", 1),
  connections = math.floor(math.min(given("CONNECTIONS", 10000),
    descriptors - 200)) }

local function row(what, goal, here, is_met)
  print(("| %s | %s | %s | %s |"):format(what, goal, here,
    is_met == nil and "" or is_met and "yes" or "no"))
end

io.stdout:setvbuf "line"
print "| what | goal | here | |\n|---|---|---|---|"
kit.run("scale", "echo reload redis", row, options)
