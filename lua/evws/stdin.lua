-- Standard input, line by line, as a waiting call: the loop goes on meanwhile.
-- For evws's own tools; no part of the API, and free to change.

-- Where descriptor 0 is closed the next one that is opened, a socket perhaps,
-- would take its place: io.open puts /dev/null there first.
local _, _, errno = io.stdin:seek() -- 9, EBADF; a pipe says ESPIPE
local placeholder = errno == 9 and io.open "/dev/null" or nil

local core = require "evws.core"

local stdin = { placeholder = placeholder }

local input = core.input(0)
local pieces = {} -- of a line whose end has not come
local ready, next_one = {}, 1 -- lines

local function take(bytes)
  local from = 1
  while true do
    local stop = bytes:find("\n", from, true)
    if not stop then break end
    pieces[#pieces + 1] = bytes:sub(from, stop - 1)
    ready[#ready + 1] = table.concat(pieces)
    pieces, from = {}, stop + 1
  end
  if from <= #bytes then pieces[#pieces + 1] = bytes:sub(from) end
end

--- The next line without its end, or nil when there is no more. A last line
--- may be without an end.
function stdin.line()
  while next_one > #ready do
    ready, next_one = {}, 1
    local bytes, why = input:read()
    if bytes then
      take(bytes)
    elseif why == "closed" and #pieces > 0 then
      take "\n"
    else
      return nil, why
    end
  end
  next_one = next_one + 1
  return (ready[next_one - 1]:gsub("\r$", ""))
end

function stdin.is_terminal() return input:is_terminal() end

return stdin
