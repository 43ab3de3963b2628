-- What an installed evws can do: from a rock, and from `make install`.

local tree = require "spec.helper.tree"

local run = tree.run

describe("installing", function()
  if os.getenv "EVWS_EMULATED" then
    it("works on the machine itself", function()
      pending "the compiler's machine is another"
    end)
    return
  end

  local copy

  setup(function() copy = tree.new() end)
  teardown(function() if copy then tree.remove(copy) end end)

  it("works from a rock that was made, packed and installed", function()
    if tree.version ~= "5.4" then
      return pending "Debian's luarocks knows Lua up to 5.4"
    end
    local luarocks = "luarocks --lua-version 5.4 --tree "
    run(copy.tree, "MAKEFLAGS=-j2 %s '%s/made' make evws-scm-1.rockspec",
      luarocks, copy.work)
    tree.expect_echo(copy, copy.work .. "/made")
    tree.expect_command(copy, copy.work .. "/made")
    run(copy.work, "%s '%s/made' pack evws", luarocks, copy.work)
    run(copy.work, "rm -rf made && %s '%s/installed' install"
      .. " evws-scm-1.*.rock", luarocks, copy.work)
    local root = copy.work .. "/installed"
    tree.expect_echo(copy, root)
    tree.expect_command(copy, root)
    -- what is beside the modules is the rock's own
    local rock = root .. "/lib/luarocks/rocks-5.4/evws/scm-1"
    for _, path in ipairs { "docs/api.md", "examples/echo.lua",
      "library/evws.lua", "share/man/man1/evws.1",
      "share/evws/config.json" } do
      run(rock, "test -f '%s'", path)
    end
  end)

  it("works from make install, and make uninstall leaves nothing", function()
    local root = copy.work .. "/a root"
    local make = ("make --no-print-directory LUA='%s' CFLAGS=-O1 PREFIX=/usr"
      .. " DESTDIR='%s' "):format(tree.lua, root)
    run(copy.tree, "%s -j2 install", make)
    tree.expect_echo(copy, root .. "/usr")
    tree.expect_command(copy, root .. "/usr")
    for _, path in ipairs { "man/man1/evws.1", "evws/config.json",
      "bash-completion/completions/evws", "zsh/site-functions/_evws",
      "fish/vendor_completions.d/evws.fish", "evws/library/evws.lua" } do
      run(root, "cmp 'usr/share/%s' '%s/%s'", path, copy.tree,
        path:find "^evws/" and path:sub(6) or "share/" .. path)
    end
    run(copy.tree, "%s uninstall", make)
    assert.equal("", run(root, "find . -type f -o -name evws"))
  end)
end)

describe("another Lua", function()
  it("is told what evws needs", function()
    local n = 0
    for name, this in pairs { ["lua5.1"] = "Lua 5.1", ["lua5.2"] = "Lua 5.2",
      ["lua5.3"] = "Lua 5.3", luajit = "LuaJIT .+" } do
      if run(".", "command -v %s || true", name) ~= "" then
        n = n + 1
        local said = run(".", [[LUA_PATH='lua/?.lua' %s -e ']]
          .. [[print(select(2, pcall(require, "evws")))']], name)
        assert.is_truthy(said:find("^evws needs Lua 5.4 or 5.5, and this is "
          .. this .. "\n$"), said)
      end
    end
    if n == 0 then pending "no other Lua" end
  end)
end)
