-- What the trials share: rows of figures, and what has to hold.
--
--   trial.row(what, n[, more])  prints a row, and counts n
--   trial.hold(condition, what) notes what does not hold
--   trial.settle()              Lua's garbage goes, and a few turns pass
--   trial.run(name, fn)         calls fn; prints "name: N passed, N failed",
--                               and ends the process

local t = require "spec.helper"

local trial = { descriptors = math.huge }
local rows, sum, failures = 0, 0, {}

function trial.row(what, n, more)
  rows, sum = rows + 1, sum + n
  print(("%-48s %10d  %s"):format(what, n, more or ""))
  io.stdout:flush()
end

function trial.hold(condition, what)
  if condition then return true end
  failures[#failures + 1] = what
  print("NOT: " .. what)
  return false
end

function trial.settle()
  for _ = 1, 3 do
    collectgarbage()
    for _ = 1, 5 do t.turn() end
  end
end

function trial.run(name, fn)
  local ok, why = xpcall(fn, debug.traceback)
  if not ok then failures[#failures + 1] = why print(why) end
  local cleaned, failure = pcall(t.cleanup)
  if not cleaned then failures[#failures + 1] = failure print(failure) end
  print(("%-48s %10d"):format("in all", sum))
  print(("%s: %d passed, %d failed"):format(name, rows, #failures))
  os.exit(#failures == 0, true)
end

return trial
