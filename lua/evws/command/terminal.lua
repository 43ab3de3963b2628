-- Standard input as a terminal: lines that are typed, and that stay whole
-- whatever is printed meanwhile.

local editor = require "evws.command.editor"
local escape = require "evws.command.escape"
local input = require "evws.command.input"

local terminal = {}
terminal.__index = terminal

local PASTES = { on = "\27[?2004h", off = "\27[?2004l" }
local ERASE = "\r\27[K"

--- Can lines be edited there?
function terminal.is_fit(screen)
  return screen.is_terminal and input.is_terminal(0) and not screen.is_dumb
end

--- Takes the terminal over, until `release`.
function terminal.new(screen)
  local fd = input.descriptor
  fd:keys(true)
  local self = setmetatable({ fd = fd, screen = screen,
    editor = editor.new() }, terminal)
  self.screen.line = { clear = function() return ERASE end,
    draw = function() return self:draw() end }
  screen:put(PASTES.on, self:draw())
  return self
end

function terminal:draw()
  local text, at = self.editor:view(math.max(self.fd:columns() - 2, 2))
  local right = 2 + at
  return ERASE .. self.screen:paint("sent", "> ") .. text
    .. ("\r\27[%dC"):format(right)
end

function terminal:release()
  if not self.screen.line then return end
  self.screen.line = nil
  self.screen:put(ERASE, PASTES.off)
  self.fd:keys(false)
end

-- What was typed stays above, as what was sent.
function terminal:keep(text)
  local screen = self.screen
  screen:put(ERASE, screen:paint("sent", "> "), escape.lines(text), "\n")
end

-- Stops as any program does at Ctrl-Z, or ends as at Ctrl-\.
function terminal:signal(name)
  self.screen:put(ERASE, PASTES.off)
  self.fd:keys(false)
  self.fd:signal(name)
  self.fd:keys(true)
  self.screen:put(PASTES.on)
end

--- Calls `take` with each line, until the end.
function terminal:lines(take)
  while self.screen.line do
    local bytes = self.fd:read()
    if not bytes then return end
    for _, event in ipairs(self.editor:feed(bytes)) do
      if event.kind == "end" then
        return
      elseif event.kind == "line" then
        self:keep(event.text)
        take(event.text)
      elseif event.kind == "redraw" then
        self.screen:put "\27[H\27[2J"
      else
        self:signal(event.kind)
      end
    end
    if self.screen.line then self.screen:put(self:draw()) end
  end
end

return terminal
