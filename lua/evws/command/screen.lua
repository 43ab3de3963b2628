-- What is printed, and where: messages to standard output, what evws itself
-- has to say to standard error. A line that is being typed is taken away before
-- and drawn again behind it.

local escape = require "evws.command.escape"

local screen = {}
screen.__index = screen

local colours = { sent = "32", received = "36", note = "2", wrong = "31" }

--- o: is_terminal (standard output), is_dumb, has_colours, is_raw
function screen.new(o)
  return setmetatable({ is_terminal = o.is_terminal, is_dumb = o.is_dumb,
    is_raw = o.is_raw, has_colours = o.has_colours }, screen)
end

function screen:paint(colour, text)
  if not self.has_colours then return text end
  return "\27[" .. colours[colour] .. "m" .. text .. "\27[0m"
end

--- Bytes to standard output, at once; false when they cannot be written. Then
--- `failure` says why, and on_failure is called, once.
function screen:put(...)
  if self.failure then return false end
  local ok, why = io.stdout:write(...)
  if ok then ok, why = io.stdout:flush() end
  if ok then return true end
  self.failure = why or "unknown error"
  if self.on_failure then self.on_failure() end
  return false
end

-- With the line being typed out of the way.
function screen:above(write, ...)
  local line = self.line
  if not line then return write(...) end
  self:put(line.clear())
  write(...)
  self:put(line.draw())
end

function screen:text_of(message, kind)
  if self.is_raw then
    local needs_end = self.line and message:sub(-1) ~= "\n"
    return message .. ((kind == "text" or needs_end) and "\n" or "")
  end
  local text = kind == "binary" and escape.bytes(message) or message
  if not self.is_terminal then return text .. "\n" end
  return self:paint("received", "< " .. escape.lines(text)) .. "\n"
end

function screen:received(message, kind)
  local line = self.line
  local text = self:text_of(message, kind)
  if line then
    self:put(line.clear(), text, line.draw())
  else
    self:put(text)
  end
end

--- A line of the output that is no message.
function screen:print(format, ...)
  return self:put(escape.text(format:format(...)), "\n")
end

local function to_stderr(text)
  io.stderr:write(text, "\n")
end

--- To whoever looks on.
function screen:note(format, ...)
  self:above(to_stderr, self:paint("note", escape.text(format:format(...))))
end

--- What went wrong, with our name in front: it may stand in a log.
function screen:complain(format, ...)
  self:above(to_stderr, self:paint("wrong",
    "evws: " .. escape.text(format:format(...))))
end

return screen
