-- file.c: calls of the system that fail beneath core.file, each in a process
-- of its own; and what it is called with that it cannot take.

local child = require "spec.helper.child"
local core = require "evws.core"
local t = require "spec.helper"
local kit = require "spec.binding.kit"

local file = core.file

local prelude = [==[
  local faults, net = probe.faults, probe.net
  local file = require "evws.core".file
  local root = %q
  local EINTR, EIO, EAGAIN, EPERM, ENOSYS = 4, 5, 11, 1, 38
  local before
  -- What a call says while one of the system fails, and how many did.
  local function with(kind, n, errno, every, fn)
    faults.fail(kind, n, errno, every)
    local got = table.pack(fn())
    local hits = faults.hits()
    faults.fail(kind, 0)
    for i = 1, got.n do
      if type(got[i]) == "userdata" then got[i]:close() got[i] = "opened" end
    end
    log(hits, table.unpack(got, 1, got[1] == "opened" and 2 or 3))
  end
  local function open() return file.open_directory(root) end
  local function open_walking()
    return file.open_directory(root, false, true)
  end
  before = net.fd_count()
]==]

local epilogue = [==[
  log("left", net.fd_count() - before)
]==]

local function run(script)
  local root = os.tmpname()
  os.execute(("rm %s; mkdir -p %s/a/b"):format(root, root))
  local out <close> = assert(io.open(root .. "/a/b/text", "w"))
  out:write(("x"):rep(1000)):flush()
  local lines, ok = child.run(prelude:format(root) .. script .. epilogue,
    { faults = true })
  os.execute("rm -r " .. root)
  assert.is_true(ok, table.concat(lines, "\n"))
  assert.equal("left 0", table.remove(lines))
  for i, line in ipairs(lines) do lines[i] = line:gsub("/tmp/%S+: ", "") end
  return lines
end

-- Is there openat2, which following links needs?
local function has_openat2()
  local opened <close> = file.open_directory("/", true)
  return opened ~= nil
end

describe("files, where the system says no", function()
  it("are opened again after a signal, and not after an error", function()
    assert.same({ "1 opened nil", "1 nil Input/output error 5",
      "2 opened 1000", "1 nil Input/output error 5" }, run [[
      with("openat", 1, EINTR, false, open)
      with("openat", 1, EIO, false, open)
      local directory = open_walking()
      with("openat", 1, EINTR, false, function()
        faults.fail("openat", 1, EINTR)
        local one, n = directory:open "a/b/text"
        faults.fail("openat", 0)
        log("2", one and "opened", n)
        one:close()
        faults.fail("openat", 2, EIO) -- in the middle of the path
        return directory:open "a/b/text"
      end)
      directory:close()
    ]])
  end)

  it("are opened again where a rename was in the way, eight times", function()
    if not has_openat2() then return pending "no openat2" end
    assert.same({ "1 opened 1000", "1 opened 1000",
      "8 nil Resource temporarily unavailable 11" }, run [[
      local directory = open()
      local function one() return directory:open "a/b/text" end
      with("openat2", 1, EINTR, false, one)
      with("openat2", 1, EAGAIN, false, one)
      with("openat2", 1, EAGAIN, true, one)
      directory:close()
    ]])
  end)

  it("are found step by step where openat2 is missing or forbidden, and no "
    .. "link is followed then", function()
      if not has_openat2() then return pending "no openat2" end
      local links = "nil following links needs openat2 38"
      assert.same({ "1 " .. links, "1 " .. links, "1 opened nil",
        "opened 1000" },
        run [[
        local function with_links() return file.open_directory(root, true) end
        with("openat2", 1, ENOSYS, false, with_links)
        with("openat2", 1, EPERM, false, with_links)
        with("openat2", 1, EIO, false, with_links) -- it is there
        faults.fail("openat2", 1, ENOSYS)
        local directory = open()
        faults.fail("openat2", 1, EIO, true) -- and is not asked any more
        local one, n = directory:open "a/b/text"
        log(one and "opened", n)
        one:close()
        directory:close()
      ]])
    end)

  it("are not left open, or read in part", function()
    assert.same({ "1 nil Input/output error 5", "1 1000 nil nil",
      "1 nil Input/output error 5", "1 true nil nil",
      "0 false nil nil" }, run [[
      local directory = open()
      with("fstat", 1, EIO, false, function()
        return directory:open "a/b/text"
      end)
      local one = directory:open "a/b/text"
      with("pread", 1, EINTR, false, function()
        local text, why = one:read(0, 1000)
        return #text, why
      end)
      with("pread", 1, EIO, false, function() return one:read(0, 1000) end)
      with("fstat", 1, EIO, false, function() return one:is_changed() end)
      with("fstat", 0, EIO, false, function() return one:is_changed() end)
      one:close()
      directory:close()
    ]])
  end)
end)

describe("files", function()
  local root

  before_each(function()
    root = os.tmpname()
    os.remove(root)
    assert(os.execute("mkdir " .. root .. " " .. root .. "/..."))
    local out <close> = assert(io.open(root .. "/text", "w"))
    out:write "some text"
  end)

  after_each(function() os.execute("rm -r " .. root) end)

  it("are nothing any more once they are closed", function()
    local directory = assert(file.open_directory(root))
    local one = assert(directory:open "text")
    t.contains(tostring(one), "(open)")
    t.contains(tostring(directory), "(open)")
    for _ = 1, 2 do
      assert.is_true(one:close())
      assert.is_true(directory:close())
    end
    t.contains(tostring(one), "(closed)")
    t.contains(tostring(directory), "(closed)")
    for name, call in pairs { ["file is closed"] = one.is_changed,
      ["directory is closed"] = directory.open } do
      local object = name:find "^file" and one or directory
      t.contains(kit.refusal(function()
        local r = call(object, "text")
        return r
      end), name)
    end
  end)

  it("have names without a zero byte, and paths without dots", function()
    t.contains(kit.refusal(function()
      local r = file.open_directory(root .. "\0")
      return r
    end), "path contains a zero byte")
    local directory <close> = assert(file.open_directory(root))
    for _, path in ipairs { "", ".", "..", "./text", "../text", "a/../text",
      "text/", "/text", "a//text", "text\0", ".../.." } do
      local opened, why, errno = directory:open(path)
      assert.same({ nil, "not a path", core.file.EINVAL },
        { opened, why, errno }, path)
    end
    for _, path in ipairs { "...", ".x", "x.", ".../.x", "..x" } do
      local opened, why = directory:open(path)
      assert.is_nil(opened)
      assert.not_equal("not a path", why)
    end
  end)

  it("are seen to change: longer, or written over at the same length",
    function()
      local directory <close> = assert(file.open_directory(root))
      local function write(text)
        local out <close> = assert(io.open(root .. "/text", "w"))
        out:write(text)
      end
      for _, text in ipairs { "SOME TEXT", "some text that is longer" } do
        local one <close> = assert(directory:open "text")
        assert.is_false(one:is_changed())
        -- a file system counts time in its own steps
        t.wait(function()
          write(text)
          return one:is_changed()
        end)
      end
      local one <close> = assert(directory:open "text")
      os.execute("touch -d 2001-02-03 " .. root .. "/text")
      assert.is_true(one:is_changed())
      -- the same content time, another time of the status
      local again <close> = assert(directory:open "text")
      t.wait(function()
        os.execute("chmod 600 " .. root .. "/text; chmod 644 " .. root
          .. "/text")
        return again:is_changed()
      end)
    end)
end)
