-- `make dist`, and that a release is whole: built and installed from what it
-- made. In a repository of its own.

local tree = require "spec.helper.tree"

local run = tree.run

local function lines_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  table.sort(list)
  return list
end

describe("make dist", function()
  local copy, repository
  local dist = "make --no-print-directory dist"

  local function write(path, text)
    local file = assert(io.open(repository .. "/" .. path, "w"))
    assert(file:write(text))
    assert(file:close())
  end

  local function read(path)
    local file = assert(io.open(path))
    local text = file:read "a"
    file:close()
    return text
  end

  local function commit(text)
    run(repository, "git add -A && git -c user.name=spec"
      .. " -c user.email=spec@localhost commit -q -m '%s'", text)
  end

  local function complaint(command)
    local ok, why = pcall(run, repository, command)
    assert.is_false(ok)
    return why:match "dist: [^\n]*"
  end

  local version = read "VERSION":match "%S+"

  setup(function()
    copy = tree.new()
    repository = copy.tree
    run(repository, "git init -q")
    commit "all"
    run(repository, "git branch start")
  end)

  before_each(function()
    run(repository, "git reset -q --hard start && git clean -qfdx"
      .. " && git tag -d $(git tag)")
  end)

  teardown(function() if copy then tree.remove(copy) end end)

  local function release()
    write("VERSION", "0.9.8\n")
    write("CHANGELOG.md", "## [0.9.8] - 2030-01-01\n")
    commit "released"
    run(repository, "git tag v0.9.8")
    assert.equal("build/dist/evws-0.9.8.tar.gz\n"
      .. "build/dist/evws-0.9.8-1.rockspec\n", run(repository, dist))
  end

  local function go_on()
    write("VERSION", "0.9.9-dev\n")
    commit "after the release"
    run(repository, dist)
  end

  it("wants a repository", function()
    run(copy.work, "cp -R tree plain && rm -rf plain/.git")
    assert.equal("dist: not in a git repository", complaint(
      ("cd ../plain && GIT_CEILING_DIRECTORIES='%s' %s"):format(copy.work,
        dist)))
  end)

  it("makes a tarball of what is committed, and nothing else", function()
    run(repository, "mkdir -p build && touch build/stray core.c.o x.so")
    local output = run(repository, dist)
    local name = "evws-" .. version
    assert.equal(("build/dist/%s.tar.gz\n"):format(name),
      output:match "^[^\n]*\n")
    local inside = lines_of(run(repository, "tar -tzf build/dist/%s.tar.gz"
      .. " | grep -v '/$'", name))
    local wanted = lines_of(run(repository,
      "git ls-files | sed 's|^|%s/|'", name))
    assert.same(wanted, inside)
    local sum = "sha256sum build/dist/*"
    local before = run(repository, sum)
    run(repository, "rm -r build/dist && " .. dist)
    assert.equal(before, run(repository, sum))
  end)

  it("wants everything committed", function()
    write("new", "")
    assert.equal("dist: something is not committed", complaint(dist))
    run(repository, "rm new")
  end)

  it("gives a release its tag, and wants it noted", function()
    write("VERSION", "0.9.8\n")
    commit "release"
    assert.equal("dist: CHANGELOG.md has no section [0.9.8]", complaint(dist))
    write("CHANGELOG.md", "## [0.9.8] - 2030-01-01\n")
    commit "noted"
    assert.equal("dist: the tag v0.9.8 is not here", complaint(dist))
    run(repository, "git tag v0.9.8 HEAD~")
    assert.equal("dist: the tag v0.9.8 is not here", complaint(dist))
    run(repository, "git tag -d v0.9.8 && git reset -q --hard start")
    release()
    local spec = {}
    assert(load(read(repository .. "/build/dist/evws-0.9.8-1.rockspec"),
      "rockspec", "t", spec))()
    local before = {}
    assert(load(read "evws-scm-1.rockspec", "rockspec", "t", before))()
    assert.same({ "0.9.8-1", "v0.9.8" }, { spec.version, spec.source.tag })
    before.version, before.source.tag = spec.version, spec.source.tag
    assert.same(before, spec)
  end)

  it("names a branch until then", function()
    go_on()
    local text = read(repository .. "/build/dist/evws-0.9.9dev-1.rockspec")
    assert.is_truthy(text:find('\n  branch = "main"\n', 1, true))
  end)

  it("makes rockspecs that luarocks takes", function()
    release()
    go_on()
    for _, name in ipairs { "build/dist/evws-0.9.8-1.rockspec",
      "build/dist/evws-0.9.9dev-1.rockspec", "evws-scm-1.rockspec" } do
      run(repository, "luarocks lint '%s'", name)
    end
  end)

  it("makes a tarball that builds and installs", function()
    release()
    run(copy.work, "tar -xzf tree/build/dist/evws-0.9.8.tar.gz")
    local make = ("make --no-print-directory LUA='%s' CFLAGS=-O1"
      .. " PREFIX='%s/prefix' "):format(tree.lua, copy.work)
    run(copy.work .. "/evws-0.9.8", make .. " -j2 install")
    tree.expect_echo(copy, copy.work .. "/prefix")
    tree.expect_command(copy, copy.work .. "/prefix")
    assert.equal("evws 0.9.8\n", run(copy.work, "%s prefix/bin/evws -V",
      tree.modules(copy.work .. "/prefix")))
  end)
end)

describe("the version", function()
  local function read(path)
    local file = assert(io.open(path))
    local text = file:read "a"
    file:close()
    return text
  end

  it("stands in one place", function()
    local version = read "VERSION":match "^(%d+%.%d+%.%d+%-?%l*)\n$"
    assert.equal(version, require "evws".version)
    local number = version:match "^[%d.]+"
    -- but in its history
    local found = run(".", "grep -rlF -e '%s' Makefile *.rockspec src lua bin"
      .. " library tools share README.md || true", number)
    assert.equal("", found)
  end)
end)
