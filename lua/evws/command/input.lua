-- Standard input, line by line, as a waiting call: the loop goes on meanwhile.

-- Where one of these is closed the next descriptor that is opened, a socket
-- perhaps, would take its place. Now it is at its end, and nothing can be
-- written to it.
local placeholders = {}
for _, file in ipairs { io.stdin, io.stdout, io.stderr } do
  local _, _, errno = file:seek() -- 9, EBADF; a pipe says ESPIPE
  placeholders[#placeholders + 1] = errno == 9 and io.open "/dev/null" or nil
end

local core = require "evws.core"

local input = { placeholders = placeholders, descriptor = core.input(0) }

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
function input.line()
  while next_one > #ready do
    ready, next_one = {}, 1
    local bytes, why = input.descriptor:read()
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

--- Is it one, of descriptor 0, 1 or 2?
function input.is_terminal(descriptor)
  return core.input(descriptor):is_terminal()
end

return input
