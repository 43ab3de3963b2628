-- Lines that begin with a slash: /ping, /close. The list is in manual.lua.

local manual = require "evws.command.manual"

local slash = {}

local commands = {}

function commands.ping(session, text)
  if text == "" then text = nil end
  local ok, sent, why = pcall(session.pings.send, session.pings, session.conn,
    text)
  if not ok then
    session.screen:complain("/ping: %s", session.plainly(sent))
  elseif not sent then
    session.screen:complain("/ping: %s", why)
  end
end

function commands.close(session, text)
  local digits, reason = text:match "^(%d%d%d%d)%f[%D]%s*(.*)$"
  if text ~= "" and not digits then
    session.screen:complain("/close: a code expected, not '%s'", text)
    return
  end
  local code = digits and tonumber(digits)
  local ok, why = pcall(session.close, session, code, reason)
  if not ok then session.screen:complain("/close: %s", session.plainly(why)) end
end

function commands.help(session)
  for _, command in ipairs(manual.commands) do
    session.screen:note("%-24s %s", command.usage, command.about)
  end
end

--- Does what a line says -> the line to send, where it is none: //TEXT.
function slash.run(session, line)
  if line:sub(1, 2) == "//" then return line:sub(2) end
  local name, rest = line:match "^/(%S*)%s*(.-)%s*$"
  if commands[name] then
    commands[name](session, rest)
  else
    session.screen:complain("no command /%s (/help lists them; /%s sends it)",
      name, line)
  end
end

return slash
