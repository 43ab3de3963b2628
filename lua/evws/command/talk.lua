-- What is sent: lines of standard input, lines that are typed, or what stands
-- on the command line.

local input = require "evws.command.input"
local slash = require "evws.command.slash"
local terminal = require "evws.command.terminal"
local ws = require "evws"

local talk = {}

-- Waits for room, so that a long file does not have to fit into a queue; and
-- for the connection, while it is made again.
local function send(session, line)
  local kind = session.o.binary and "binary" or "text"
  if kind == "text" and not utf8.len(line) then
    return false, "a line is not UTF-8 (--binary sends any)"
  end
  local conn = session.conn
  while true do
    local ok, why = conn:send(line, kind)
    if ok then
      conn:drain()
      return true
    elseif why == "queue full" then
      conn:drain()
    elseif not session.o.reconnect or session.asked then
      return true -- how it ended is told at the end
    else
      ws.sleep(0.05)
    end
  end
end

-- A command, or a message. False ends the input.
local function take(session, line)
  if session.takes_commands and line:sub(1, 1) == "/" then
    line = slash.run(session, line)
    if not line then return true end
  end
  local ok, why = send(session, line)
  if ok then return true end
  session.screen:complain("%s", why)
  if session.is_interactive then return true end
  session.status = 2
  session:close()
  return false
end

-- Nothing is left to be sent.
local function finish(session)
  local wait = session.o.wait or (session.is_interactive and 0 or 1)
  session.last_heard = ws.now()
  while ws.now() - session.last_heard < wait do
    ws.sleep(math.min(session.last_heard + wait - ws.now(), 3600))
  end
  session:close()
end

-- Lines wait for those before them, the keyboard waits for none.
local function queue(session)
  local lines, is_busy, is_ended = {}, false, false
  local function work()
    while lines[1] do take(session, table.remove(lines, 1)) end
    is_busy = false
    if is_ended then finish(session) end
  end
  local function start()
    if is_busy then return end
    is_busy = true
    ws.spawn(work)
  end
  return function(line)
    if line then
      lines[#lines + 1] = line
    else
      is_ended = true
    end
    start()
  end
end

-- What a session does at a terminal.
local function typed(session)
  local put = queue(session)
  session.terminal:lines(put)
  put(nil)
end

-- The same with a list, or an iterator.
local function each(session, next_line)
  for line in next_line do
    if not take(session, line) then return end
  end
  finish(session)
end

--- What a session does with its connection.
function talk.work(session)
  local messages = session.o.messages
  if messages then
    local i = 0
    each(session, function()
      i = i + 1
      return messages[i]
    end)
  elseif session.is_interactive and terminal.is_fit(session.screen) then
    session.terminal = terminal.new(session.screen)
    session.before_end = function() session.terminal:release() end
    typed(session)
  else
    each(session, input.line)
  end
end

--- What of it is known before.
function talk.prepare(session)
  session.is_interactive = not session.o.messages and input.is_terminal(0)
  session.takes_commands = session.o.slash or session.is_interactive
end

return talk
