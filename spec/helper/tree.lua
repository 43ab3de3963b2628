-- A copy of the tree in a folder of its own, for what builds and installs: the
-- checkout stays as it is.
--
--   tree.run(folder, command, ...)   of the shell, formatted -> what it
--     printed; one that fails raises, with that
--   tree.new() -> { work = folder, tree = folder in it }   a copy of all that
--     is or may become part of the repository
--   tree.remove(copy)
--   tree.modules(root) -> variables of the environment, by which Lua finds the
--     modules below root (a prefix) and no others
--   tree.expect_echo(copy, root), tree.expect_command(copy, root)   what is
--     installed there works
--   tree.lua, tree.version   the interpreter; "5.4"

local assert = require "luassert"

local tree = { lua = os.getenv "LUA" or "lua5.4",
  version = _VERSION:match "%d%.%d" }

local suffix = tree.version:gsub("%.", "_")

-- How the specs themselves are run is no business of the tools called here.
local clean = "unset LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS"
  .. " MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL BUILD CFLAGS LDFLAGS DESTDIR"
  .. " PREFIX EVWS_BUILD LUA_PATH LUA_CPATH LUA_PATH_" .. suffix
  .. " LUA_CPATH_" .. suffix .. "; "

local echo = [[
local ws = require "evws"
local s = assert(ws.listen { port = 0, on_message = function(c, m, k)
  c:send(m, k)
end })
ws.run(function()
  local c = assert(ws.connect("ws://127.0.0.1:" .. s.port .. "/"))
  c:send("hi")
  assert(c:receive() == "hi")
  c:close()
  s:close()
end)
require "evws.sim".new():run(function(net)
  ws.listen { port = 1, on_message = function(c, m) c:send(m) end }
  local c = net:connect "ws://localhost:1/"
  c:send("hi")
  assert(c:receive() == "hi")
end)
print(package.searchpath("evws", package.path))
print(package.searchpath("evws.core", package.cpath))
]]

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

function tree.run(folder, command, ...)
  command = command:format(...)
  local pipe = assert(io.popen(("%s cd '%s' && { %s; } </dev/null 2>&1")
    :format(clean, folder, command)))
  local output = pipe:read("a")
  local ok, _, status = pipe:close()
  if not ok then
    error(("%s\nexit %d: %s"):format(output, status, command), 2)
  end
  return output
end

local run = tree.run

-- Of a checkout, or of a release that was unpacked.
local function files()
  local list = {}
  local output = run(".", "git ls-files -co --exclude-standard 2>/dev/null"
    .. " || find . -type f -not -path './build/*'")
  for path in output:gmatch("[^\n]+") do
    local file = io.open(path) -- one that was deleted is still listed
    if file then
      file:close()
      list[#list + 1] = path
    end
  end
  return list
end

function tree.new()
  local work = run(".", "mktemp -d"):match("^%S+")
  local copy = { work = work, tree = work .. "/tree" }
  write(work .. "/files", table.concat(files(), "\n") .. "\n")
  run(".", "mkdir '%s' && tar -cf - -T '%s/files' | tar -xf - -C '%s'",
    copy.tree, work, copy.tree)
  write(work .. "/echo.lua", echo)
  return copy
end

function tree.remove(copy) run(".", "rm -rf '%s'", copy.work) end

function tree.modules(root)
  return ("LUA_PATH_%s='%s/share/lua/%s/?.lua' "
    .. "LUA_CPATH_%s='%s/lib/lua/%s/?.so'")
    :format(suffix, root, tree.version, suffix, root, tree.version)
end

function tree.expect_echo(copy, root)
  local output = run(copy.work, "%s timeout 80 %s echo.lua",
    tree.modules(root), tree.lua)
  assert.equal(("%s/share/lua/%s/evws.lua\n%s/lib/lua/%s/evws/core.so\n")
    :format(root, tree.version, root, tree.version), output)
end

-- Found as a shell would find it.
function tree.expect_command(copy, root)
  local command = ("PATH='%s/bin':\"$PATH\" %s timeout 80 evws ")
    :format(root, tree.modules(root))
  local output = run(copy.work, command .. "--version")
  assert.is_truthy(output:find "^evws %d")
  output = run(copy.work, command .. "--help")
  assert.is_truthy(output:find("usage: evws", 1, true))
  output = run(copy.work, command .. "ws://127.0.0.1:1/ || echo $?")
  assert.equal("evws: cannot connect to ws://127.0.0.1:1/: connection "
    .. "refused\n1\n", output)
end

return tree
