-- What the specs of the command share: it is run as a process of its own,
-- against servers of the spec.
--
--   kit.start(arguments[, from[, with]]) -> child    `evws arguments` as the
--     shell reads them; its input is `from`, of the shell; `with` stands before
--     it (a variable of the environment, an option of env)
--   child.output(), child.errors(), child.pid(), child.status() (waits for it)
--   kit.run(...) -> output, errors, status           the same to its end
--   kit.answered(expected, arguments[, from]) -> output, errors, status
--     the same, waiting for ever, until it has printed what is expected, or as
--     much; then SIGTERM ends it
--   kit.piped(bytes)   the `from` of a file with them
--   kit.fifo() -> path, from
--   kit.terminal(arguments[, o]) -> child            the same at a terminal;
--     o: columns (80), with, command (instead of evws: what the shell reads)
--     child.type(bytes), child.screen() (see emulator.lua)
--     child.shows(line)   waits for it -> where it stands
--   kit.file([bytes]) -> path
--   kit.cleanup()      for after_each

local emulator = require "spec.bin.emulator"
local t = require "spec.helper"

local kit = {}

local lua = os.getenv "LUA" or "lua5.4"
local scratch, running = {}, {}

local function read(path)
  local file = io.open(path, "rb")
  local bytes = file and file:read "a" or ""
  if file then file:close() end
  return bytes
end

local function write(path, bytes)
  local file = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  file:close()
end

function kit.file(bytes)
  local path = os.tmpname()
  scratch[#scratch + 1] = path
  if bytes then write(path, bytes) end
  return path
end

function kit.piped(bytes) return "<" .. kit.file(bytes) end

function kit.fifo()
  local path = kit.file()
  os.remove(path)
  assert(os.execute("mkfifo " .. path))
  -- opened for reading and writing: it neither blocks nor ends
  return path, "<>" .. path
end

-- Runs a line of the shell beside the spec.
local function start(line, from)
  local path = kit.file()
  for _, suffix in ipairs { ".out", ".err", ".pid", ".status", ".sh" } do
    scratch[#scratch + 1] = path .. suffix
  end
  write(path .. ".sh", ("echo $$ >%s.pid\n%s\n"):format(path, line))
  local command = ("( sh @.sh %s >@.out 2>@.err; echo $? >@.status ) "
    .. ">/dev/null 2>&1 &"):format(from)
  assert(os.execute((command:gsub("@", path))))
  local child = {}
  running[#running + 1] = child
  function child.output() return read(path .. ".out") end
  function child.errors() return read(path .. ".err") end
  function child.has_ended()
    return tonumber(read(path .. ".status"):match "^(%d+)\n")
  end
  function child.status()
    return t.wait(child.has_ended, "the end of " .. line, 20)
  end
  function child.pid()
    return t.wait(function() return read(path .. ".pid"):match "^(%d+)\n" end)
  end
  return child
end

function kit.start(arguments, from, with)
  -- in the foreground: else a signal to it is sent twice
  return start(("exec env %s timeout --foreground -s KILL %d %s bin/evws %s")
    :format(with or "", 60 * t.factor, lua, arguments), from or "</dev/null")
end

function kit.run(...)
  local child = kit.start(...)
  local status = child.status()
  return child.output(), child.errors(), status
end

function kit.answered(expected, arguments, from)
  local child = kit.start("--wait forever " .. arguments, from)
  local is_told = pcall(t.wait, function()
    return #child.output() >= #expected or child.has_ended()
  end, expected, 20)
  if not is_told or not child.has_ended() then
    os.execute(("kill -TERM %s 2>/dev/null"):format(child.pid()))
  end
  local status = child.status()
  return child.output(), child.errors(), status
end

function kit.terminal(arguments, o)
  o = o or {}
  local keys = kit.fifo()
  local columns = o.columns or 80
  local child = start(([[
preload=$LD_PRELOAD
unset LD_PRELOAD
exec timeout -s KILL %d python3 spec/bin/at_terminal.py %s 24 %d \
  env TERM=xterm LD_PRELOAD="$preload" %s %s]]):format(60 * t.factor, keys,
    columns, o.with or "",
    o.command or ("%s bin/evws %s"):format(lua, arguments)), "</dev/null")
  local typing = assert(io.open(keys, "r+b"))
  typing:setvbuf "no"
  function child.type(bytes) assert(typing:write(bytes)) end
  function child.close() typing:close() end
  function child.screen() return emulator.show(child.output(), columns) end
  function child.shows(line)
    local ok, why = pcall(t.wait, function()
      for i, shown in ipairs(child.screen()) do
        if shown == line then return i end
      end
    end, ("%q"):format(line))
    if not ok then error(why .. "; on the screen:\n" .. child.output(), 2) end
    return why
  end
  return child
end

function kit.cleanup()
  for _, child in ipairs(running) do
    if child.close then child.close() end
    if not child.has_ended() then
      os.execute("kill " .. child.pid() .. " 2>/dev/null")
      child.status()
    end
  end
  for _, path in ipairs(scratch) do os.remove(path) end
  scratch, running = {}, {}
end

return kit
