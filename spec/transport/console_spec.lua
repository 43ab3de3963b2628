-- Lines on standard error (src/transport/console.c), of a process of its own:
-- nothing that is at its other end ends it, or stops its loop.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local net = require "evws_probe".net

local here = os.tmpname()

-- It answers on stdout that it goes on, between bursts of lines, until it is
-- told to end.
local source = [[
  io.stdout:setvbuf "line"
  local ws = require "evws"
  local here = ...
  local n = 0
  local function exists(name)
    local file = io.open(here .. name)
    return file and file:close()
  end
  while not exists ".begin" do ws.sleep(0.001) end
  local began = ws.now()
  for _ = 1, 40 do
    for _ = 1, 50 do
      n = n + 1
      ws.log("warning", "line " .. n .. (" x"):rep(50))
    end
    ws.sleep(0)
  end
  print("went on", n, ws.now() - began < 20)
  while not exists ".end" do
    n = n + 1
    ws.log("warning", "line " .. n)
    ws.sleep(0.01)
  end
  print("ended", n)
]]

local function write(name, text)
  local file <close> = assert(io.open(here .. name, "wb"))
  file:write(text or "")
end

local function read(name)
  local file <close> = io.open(here .. name, "rb")
  return file and file:read "a" or ""
end

local suffixes = { "", ".lua", ".sh", ".begin", ".end", ".err", ".gone",
  ".release" }

describe("standard error", function()
  before_each(function()
    for _, suffix in ipairs(suffixes) do os.remove(here .. suffix) end
    write(".lua", source)
  end)

  after_each(function()
    kit.cleanup()
    t.cleanup()
    for _, suffix in ipairs(suffixes) do os.remove(here .. suffix) end
  end)

  -- The script runs $LUA; @ is the path that all names begin with.
  local function start(script)
    write(".sh", (script:gsub("@", here)))
    return kit.execute("bash " .. here .. ".sh")
  end

  local lua = (os.getenv "LUA" or "lua5.4") .. " @.lua @"

  local function expect_to_go_on(child)
    write ".begin"
    local n, in_time = child:wait "^went on\t(%d+)\t(%a+)$"
    assert.same({ "2000", "true" }, { n, in_time })
  end

  local function expect_end(child)
    write ".end"
    child:wait "^ended"
    assert.equal(0, child:ended())
  end

  local function lines()
    local list = {}
    for line in read(".err"):gmatch "([^\n]*)\n" do list[#list + 1] = line end
    return list
  end

  -- Every line is there or said to be missing, in order and whole.
  local function expect_all(list)
    local n, missing = 0, 0
    for _, line in ipairs(list) do
      local gap = line:match("^evws: (%d+) lines are missing here: "
        .. "they could not be written$")
      local number = line:match "^evws: line (%d+)[ x]*$"
      assert.is_truthy(gap or number, line)
      if gap then
        n = n + tonumber(gap)
        missing = missing + tonumber(gap)
      else
        n = n + 1
        assert.equal(n, tonumber(number))
      end
    end
    assert.is_true(n >= 2000)
    return missing
  end

  it("that is a file gets every line", function()
    local child = start(lua .. " 2>@.err")
    expect_to_go_on(child)
    expect_end(child)
    assert.equal(0, expect_all(lines()))
  end)

  it("that is a pipe gets every line while it is read", function()
    local child = start("{ " .. lua .. " 2>&1 1>&3 | cat >@.err; } 3>&1\n"
      .. "exit ${PIPESTATUS[0]}")
    expect_to_go_on(child)
    expect_end(child)
    expect_all(lines())
  end)

  it("that is a pipe without a reader does not end the process", function()
    local child = start("{ " .. lua .. " 2>&1 1>&3 | { exec 0<&-; >@.gone; };"
      .. " } 3>&1")
    t.wait(function() return io.open(here .. ".gone") end)
    expect_to_go_on(child)
    expect_end(child)
  end)

  it("that is a pipe nobody reads does not stop the loop, and counts",
    function()
      local child = start("{ " .. lua .. " 2>&1 1>&3 | { "
        .. "while [ ! -e @.release ]; do read -t 0.01 <> <(:); done; "
        .. "cat >@.err; }; } 3>&1")
      expect_to_go_on(child)
      write ".release"
      t.wait(function() return read(".err"):find "are missing here" end)
      expect_end(child)
      t.wait(function()
        local list = lines()
        return #list > 0 and read(".err"):find "\n$"
      end)
      assert.is_true(expect_all(lines()) > 0)
    end)

  it("that is closed, or full, or nothing, changes nothing", function()
    for _, to in ipairs { "2>&-", "2>/dev/full", "2>/dev/null" } do
      os.remove(here .. ".end")
      local child = start(lua .. " " .. to)
      expect_to_go_on(child)
      expect_end(child)
    end
  end)

  it("that is a file as large as it may be does not end the process",
    function()
      local child = start("ulimit -f 8\n" .. lua .. " 2>@.err | cat")
      expect_to_go_on(child)
      expect_end(child)
    end)

  describe("that is a socket", function()
    local listener, socket

    local function start_on_socket()
      listener = assert(net.listen "127.0.0.1")
      local child = start(lua .. " 2>/dev/tcp/127.0.0.1/" .. listener.port)
      socket = t.wait(function() return listener:accept() end)
      return child
    end

    after_each(function()
      socket:close()
      listener:close()
    end)

    it("does not end the process when its peer is gone", function()
      local child = start_on_socket()
      socket:reset()
      expect_to_go_on(child)
      expect_end(child)
    end)

    it("does not stop the loop when nobody reads", function()
      local child = start_on_socket()
      expect_to_go_on(child)
      expect_end(child)
    end)
  end)

  it("keeps the signals of others", function()
    -- what is ignored may be inherited, and is not always nothing
    local child = kit.run [[
      local function ignored()
        for line in io.lines "/proc/self/status" do
          local set = line:match "^SigIgn:%s+(%x+)"
          if set then return set end
        end
      end
      local before = ignored()
      for i = 1, 3 do ws.log("warning", "line " .. i) end
      say("ignored", before, ignored())
      os.exit(0)
    ]]
    local before, after = child:wait "^ignored%s+(%x+)%s+(%x+)"
    assert.equal(before, after)
    assert.equal(0, child:ended())
  end)
end)
