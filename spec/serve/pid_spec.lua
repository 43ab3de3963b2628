-- evws serve --pid: a file that is this supervisor's for as long as it runs.

local kit = require "spec.serve.kit"
local t = require "spec.helper"

describe("the file of --pid", function()
  local path

  before_each(function()
    path = os.tmpname()
    os.remove(path)
  end)

  after_each(function()
    kit.cleanup()
    os.remove(path)
  end)

  local function content()
    local file <close> = io.open(path)
    return file and file:read "a"
  end

  local function write(text)
    local file <close> = assert(io.open(path, "w"))
    file:write(text)
  end

  local function start()
    local served = kit.serve(kit.echo, "-w 1 --pid " .. path)
    served:await "^worker"
    return served
  end

  local function refused(pattern)
    local served = kit.serve(kit.echo, "-w 1 --pid " .. path)
    assert.equal(1, served.child:ended())
    t.contains(served.child:errors(), pattern)
    assert.equal("", served.child:output())
  end

  it("is there while it runs, and nobody else's", function()
    local served = start()
    local own = content()
    local pid = assert(tonumber(own:match "^(%d+)\n$"))
    assert.is_true(kit.is_running(pid))
    for _ = 1, 2 do
      refused(("evws: %s belongs to process %d, which is running"):format(path,
        pid))
      assert.equal(own, content())
    end
    served.child:signal "TERM"
    served.child:ended()
    assert.is_nil(content())
  end)

  it("is taken over from who is dead, whatever number it has", function()
    local served = start()
    kit.kill(content():match "%d+")
    served.child:ended()
    local old = content()
    local other = start()
    assert.not_equal(old, content())
    other.child:signal "TERM"
    other.child:ended()
    assert.is_nil(content())
    write "1\n" -- of a process that runs, and has nothing to do with it
    start()
    assert.is_truthy(content():find "^%d%d+\n$")
  end)

  it("is left alone where it is another's by now, or no such file", function()
    local served = start()
    os.remove(path)
    write "ours\n"
    served.child:signal "TERM"
    served.child:ended()
    assert.equal("ours\n", content())
    refused(("evws: %s is no file of a process id"):format(path))
    assert.equal("ours\n", content())
    path = path .. "/x"
    refused "evws: cannot write "
  end)
end)
