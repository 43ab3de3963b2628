-- What the specs of the binding share beside spec/helper.lua.
--
--   kit.pair([options[, raw_options]]) -> conn, raw, server
--     a server whose first accepted connection is `conn`; its on_open, if
--     given, is called as always
--   kit.refusal(fn, ...) -> message   what fn raises, which must be at a line
--                                     of the file that fn is from
--   kit.refused(options) -> message   what ws.listen raises for these, having
--                                     opened nothing; kit.refused_by_connect
--   kit.refused_call(conn, name, ...) -> message   of conn:name(...)
--   kit.errors() -> list   of { conn, message, traceback }, as ws.on_error
--                          gets them, until kit.cleanup
--   kit.run(source[, ignores_signals]) -> child   a process of its own runs
--     the Lua source; `ws` and `say` (print, flushed) are there
--     child.pid, child:output(), child:errors()
--     child:wait(pattern) -> captures of a line it said
--     child:signal("INT"), child:ended([limit]) -> exit status
--   kit.start(arguments[, input]) -> child   the same of a file: what the
--     shell sees behind `lua5.4`; `input` is the file it reads from
--   kit.execute(command) -> child   the same of any program
--   kit.cleanup()          for after_each, before t.cleanup

local t = require "spec.helper"
local ws = t.ws

local kit = {}

function kit.pair(options, raw_options)
  local own, conn = {}, nil
  for name, value in pairs(options or {}) do own[name] = value end
  function own.on_open(c)
    conn = conn or c
    if options and options.on_open then return options.on_open(c) end
  end
  local server = t.listen(own)
  local raw = t.open(server, raw_options)
  return t.wait(function() return conn end, "on_open"), raw, server
end

function kit.refusal(fn, ...)
  local ok, message = pcall(fn, ...)
  if ok then error("nothing was raised", 2) end
  local file = debug.getinfo(fn, "S").short_src
  local where, text = tostring(message):match("^(.-):%d+: (.*)$")
  if where ~= file then error("raised elsewhere: " .. tostring(message), 2) end
  return text
end

local function refusal_without_fd(open, ...)
  local before = t.probe.fd_count()
  local message = kit.refusal(function(...)
    local opened = open(...)
    return opened
  end, ...)
  if t.probe.fd_count() > before then error("something was opened", 3) end
  return message
end

function kit.refused(options)
  return refusal_without_fd(ws.listen, options)
end

function kit.refused_by_connect(options)
  return refusal_without_fd(ws.connect, "ws://127.0.0.1:1/", options)
end

local call = "local conn, a, b, c = ... local r = conn:%s(a, b, c) return r"

function kit.refused_call(conn, name, ...)
  return kit.refusal(load(call:format(name), "=call"), conn, ...)
end

function kit.errors()
  local list = {}
  ws.on_error(function(conn, message, traceback)
    list[#list + 1] = { conn = conn, message = message,
      traceback = traceback }
  end)
  return list
end

local function read(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local bytes = file:read "a"
  file:close()
  return bytes
end

local child = {}
child.__index = child

local children = {}

local prologue = 'io.stdout:setvbuf "line" local say = print '
local load_it = 'local ws = require "evws" '

-- Whatever the specs were started with, the child begins with the signal
-- dispositions of a process in the foreground.
local command = [[( sh -c 'echo $$ >@.pid; exec %s %s' \
<%s >@.out 2>@.err; echo $? >@.status ) >/dev/null 2>&1 &]]
local foreground = "env --default-signal=INT,TERM"
local ignoring = "env --ignore-signal=INT,TERM"

local lua = (os.getenv "LUA" or "lua5.4") .. " "

local function begin(path, dispositions, program, input)
  local self = setmetatable({ path = path }, child)
  children[self] = true
  assert(os.execute((command:format(dispositions, program,
    input or "/dev/null"):gsub("@", path))))
  self.pid = t.wait(function()
    return read(path .. ".pid"):match("^(%d+)\n")
  end, "the child process")
  return self
end

function kit.run(source, ignores_signals)
  local path = os.tmpname()
  local file = assert(io.open(path .. ".lua", "wb"))
  file:write(prologue, source:find(load_it, 1, true) and "" or load_it,
    source)
  file:close()
  return begin(path, ignores_signals and ignoring or foreground, lua .. "@.lua")
end

function kit.start(arguments, input)
  return begin(os.tmpname(), foreground, lua .. arguments, input)
end

function kit.execute(program)
  return begin(os.tmpname(), foreground, program)
end

function child:output() return read(self.path .. ".out") end

function child:errors() return read(self.path .. ".err") end

-- Whether a line is there that matches, with its captures.
local function line_of(output, pattern)
  for line in output:gmatch("([^\n]*)\n") do
    local found = table.pack(line:match(pattern))
    if found[1] then return found end
  end
end

function child:wait(pattern)
  local found
  t.wait(function()
    local has_ended = self:ended(0) -- first: what it says last is read then
    found = line_of(self:output(), pattern)
    return found or has_ended
  end, "the child to say " .. pattern)
  if not found then error("the child ended: " .. self:errors(), 2) end
  return table.unpack(found, 1, found.n)
end

function child:signal(name)
  assert(os.execute(("kill -%s %s"):format(name, self.pid)))
end

function child:ended(limit)
  local path = self.path .. ".status"
  if limit == 0 then return tonumber(read(path):match("^(%d+)\n")) end
  return t.wait(function() return self:ended(0) end,
    "the child to end", limit)
end

function kit.cleanup()
  if ws then ws.on_error(nil) end
  for self in pairs(children) do
    if not self:ended(0) then
      os.execute(("kill -KILL %s 2>/dev/null"):format(self.pid))
      self:ended()
    end
    for _, suffix in ipairs { "", ".lua", ".pid", ".out", ".err",
      ".status" } do
      os.remove(self.path .. suffix)
    end
  end
  children = {}
end

return kit
