-- The command evws. bin/evws is its start, evws/command/*.lua are its parts,
-- and evws/command/manual.lua is what it takes. No part of the API.

local input = require "evws.command.input" -- first: see there
local arguments = require "evws.command.arguments"
local manual = require "evws.command.manual"
local pings = require "evws.command.pings"
local screens = require "evws.command.screen"
local sessions = require "evws.command.session"
local talk = require "evws.command.talk"
local ws = require "evws"

local command = {}

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local function new_screen(o)
  local is_terminal = input.is_terminal(1)
  local is_dumb = (environment "TERM" or "dumb") == "dumb"
  return screens.new { is_terminal = is_terminal, is_dumb = is_dumb,
    is_raw = o.raw, has_colours = is_terminal and not is_dumb
      and not environment "NO_COLOR" }
end

-- Of the engine, and of our own tasks.
local function tell_by(screen, session)
  ws.log = function(level, event, fields)
    if level == "warning" then
      screen:complain("%s", fields.message or event)
    end
  end
  ws.on_error(function(_, message)
    screen:complain("error: %s", message)
    session.status = 3
    session:close()
  end)
end

local function talk_to(o)
  local screen = new_screen(o)
  local session = sessions.new(o, screen, o.ping and pings.work or talk.work)
  if not o.ping then talk.prepare(session) end
  tell_by(screen, session)
  return session:run()
end

-- What was asked for is text.
local function answer(text)
  local screen = screens.new {}
  if screen:put(text, "\n") then return 0 end
  screen:complain("cannot write: %s", screen.failure)
  return 4
end

local function wrong(what, of)
  if type(what) ~= "table" then error(what, 0) end
  screens.new {}:complain("%s", what.usage)
  io.stderr:write(("usage: %s %s; %s --help says more\n"):format(of.name,
    of.usage, of.name))
  return 2
end

-- It loads what only a supervisor needs.
local function serve(list)
  local ok, o = pcall(require "evws.command.serve".read, list)
  if not ok then return wrong(o, manual.serve) end
  if o.help then return answer(manual.serve_help()) end
  return require "evws.serve"(o)
end

--- Does what the command line says -> the status of the process.
function command.run(list)
  if list[1] == "serve" then return serve(list) end
  local ok, o = pcall(arguments.read, list)
  if not ok then
    return wrong(o, manual)
  elseif o.help then
    return answer(manual.help())
  elseif o.version then
    return answer("evws " .. ws.version)
  end
  return talk_to(o)
end

return command
