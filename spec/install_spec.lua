-- What an installed evws can do: from a rock, and from `make install`. Works
-- on a copy of the tree, so that the checkout stays as it is.

local lua = os.getenv "LUA" or "lua5.4"

-- How the specs themselves are run is no business of the tools called here.
local clean = "unset LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS"
  .. " MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL BUILD CFLAGS LDFLAGS DESTDIR"
  .. " PREFIX EVWS_BUILD LUA_PATH LUA_CPATH LUA_PATH_5_4 LUA_CPATH_5_4; "

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
print(package.searchpath("evws", package.path))
print(package.searchpath("evws.core", package.cpath))
]]

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

-- Runs a command of the shell in a folder; what it printed, or an error with
-- it.
local function run(folder, command, ...)
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

describe("installing", function()
  local work, tree

  setup(function()
    work = run(".", "mktemp -d"):match("^%S+")
    tree = work .. "/tree"
    local files = {}
    local list = run(".", "git ls-files -co --exclude-standard")
    for path in list:gmatch("[^\n]+") do
      local file = io.open(path) -- one that was deleted is still listed
      if file then
        file:close()
        files[#files + 1] = path
      end
    end
    write(work .. "/files", table.concat(files, "\n") .. "\n")
    run(".", "mkdir '%s' && tar -cf - -T '%s/files' | tar -xf - -C '%s'",
      tree, work, tree)
    write(work .. "/echo.lua", echo)
  end)

  teardown(function()
    if work then run(".", "rm -rf '%s'", work) end
  end)

  -- Runs the echo with the modules below root and no others.
  local function expect_echo(root)
    local output = run(work, "LUA_PATH_5_4='%s/share/lua/5.4/?.lua'"
      .. " LUA_CPATH_5_4='%s/lib/lua/5.4/?.so' timeout 20 %s echo.lua",
      root, root, lua)
    assert.equal(root .. "/share/lua/5.4/evws.lua\n"
      .. root .. "/lib/lua/5.4/evws/core.so\n", output)
  end

  -- The same of the command, found as a shell would find it.
  local function expect_command(root)
    local path = ("PATH='%s/bin':\"$PATH\" "):format(root)
    local modules = ("LUA_PATH_5_4='%s/share/lua/5.4/?.lua'"
      .. " LUA_CPATH_5_4='%s/lib/lua/5.4/?.so' "):format(root, root)
    local output = run(work, "%s %s timeout 20 evws --version", modules, path)
    assert.is_truthy(output:find "^evws %d")
    output = run(work, "%s %s timeout 20 evws --help", modules, path)
    assert.is_truthy(output:find("usage: evws", 1, true))
    output = run(work, "%s %s timeout 20 evws ws://127.0.0.1:1/ || echo $?",
      modules, path)
    assert.equal("evws: cannot connect to ws://127.0.0.1:1/: connection "
      .. "refused\n1\n", output)
  end

  it("works from a rock that was made, packed and installed", function()
    local luarocks = "luarocks --lua-version 5.4 --tree "
    run(tree, "MAKEFLAGS=-j2 %s '%s/made' make evws-scm-1.rockspec", luarocks,
      work)
    expect_echo(work .. "/made")
    expect_command(work .. "/made")
    run(work, "%s '%s/made' pack evws", luarocks, work)
    run(work, "rm -rf made && %s '%s/installed' install evws-scm-1.*.rock",
      luarocks, work)
    expect_echo(work .. "/installed")
    expect_command(work .. "/installed")
  end)

  it("works from make install, and make uninstall leaves nothing", function()
    local make = "make --no-print-directory CFLAGS=-O1 PREFIX=/usr"
      .. (" DESTDIR='%s/root' "):format(work)
    run(tree, "%s -j2 install", make)
    expect_echo(work .. "/root/usr")
    expect_command(work .. "/root/usr")
    run(tree, "%s uninstall", make)
    assert.equal("", run(work, "find root -type f -o -name evws"))
  end)
end)
