-- ws.popen: commands of the shell, while everything else goes on.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local contains = t.contains
local limit = t.limit * t.factor

local function read_all(process)
  local pieces = {}
  for piece in function() return process:read(limit) end do
    pieces[#pieces + 1] = piece
  end
  return table.concat(pieces)
end

describe("ws.popen", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("reads what a command writes, and tells how it ended", function()
    local process = assert(ws.popen "printf 'a\\nb'; exit 3")
    assert.equal("a\nb", read_all(process))
    assert.same({ nil, "closed" }, { process:read() })
    assert.same({ nil, "exit", 3 }, { process:close() })
    assert.same({ nil, "exit", 3 }, { process:close() })
    assert.same({ true, "exit", 0 }, { assert(ws.popen "true"):close() })
    assert.same({ nil, "exit", 127 },
      { assert(ws.popen "no-such-command 2>&-"):close() })
  end)

  it("goes by lines, whatever the pieces", function()
    local process = assert(ws.popen
      "printf 'one\\n\\nthr'; sleep 0.02; printf 'ee\\nfour'")
    local lines = {}
    for line in process:lines() do lines[#lines + 1] = line end
    assert.same({ "one", "", "three", "four" }, lines)
    process = assert(ws.popen "printf 'one\\ntwo\\n'")
    assert.equal("one", process:lines()(process))
    assert.equal("two\n", process:read(limit))
    assert.is_nil(process:lines()(process))
    assert.is_true((process:close()))
  end)

  it("carries much, both ways", function()
    local process = assert(ws.popen("seq 1 200000"))
    local n = 0
    for line in process:lines() do
      n = n + 1
      if tonumber(line) ~= n then assert.equal(tostring(n), line) end
    end
    assert.equal(200000, n)
    process = assert(ws.popen("test $(wc -c) -eq 3000000", "w"))
    assert.is_true(process:write(("x"):rep(3000000), limit))
    assert.same({ true, "exit", 0 }, { process:close(limit) })
  end)

  it("lets everybody else go on meanwhile", function()
    local beats = 0
    local server = t.listen { on_message = t.echo }
    local timer <close> = ws.every(0.005, function() beats = beats + 1 end)
    local raw = t.open(server)
    local task = ws.spawn(function()
      local process = assert(ws.popen "sleep 0.1; echo late")
      return process:read(), process:close()
    end)
    raw:send(t.frame("text", "x"))
    raw:expect_frame("text", "x")
    local echoed = beats
    local results = table.pack(t.pump(task.wait, task))
    assert.same({ true, "late\n", true, "exit", 0 },
      { table.unpack(results, 1, 5) })
    assert.is_true(beats > echoed)
    assert.is_truthy(tostring(timer))
  end)

  it("waits no longer than it is told, and can be cancelled", function()
    local process = assert(ws.popen "exec sleep 100")
    assert.same({ nil, "timeout" }, { process:read(0.01) })
    assert.same({ nil, "timeout" }, { process:read(0) })
    local task = ws.spawn(function() return process:read() end)
    t.turn()
    t.turn()
    task:cancel()
    assert.same({ nil, "cancelled" }, { task:wait() })
    assert.same({ nil, "timeout" }, { process:close(0.01) })
    contains(tostring(process), "sleep 100 (running)")
    assert.is_true(process:kill())
    assert.same({ nil, "signal", 15 }, { process:close(limit) })
    assert.is_false(process:kill(9))
    contains(tostring(process), "sleep 100 (signal)")
  end)

  it("writing to one that does not read is told, and kills nobody", function()
    local process = assert(ws.popen("exec <&-; sleep 0.05; exit 5", "w"))
    local ok, why
    t.wait(function()
      ok, why = process:write(("x"):rep(100000), 0.01)
      return not ok and why ~= "timeout"
    end)
    assert.same({ nil, "closed" }, { ok, why })
    assert.same({ nil, "exit", 5 }, { process:close(limit) })
    assert.same({ nil, "closed" }, { process:write "x" })
  end)

  it("ends with the variable that it is in, and leaves nothing", function()
    local before = t.fd_count()
    local kept
    do
      local process <close> = assert(ws.popen "exec sleep 100")
      kept = process
    end
    assert.same({ nil, "signal", 15 }, { kept:close(limit) })
    for _ = 1, 20 do ws.popen "true" end
    t.wait(function()
      collectgarbage()
      return t.probe.fd_count() <= before
    end)
  end)

  it("judges how it is called", function()
    for text, call in pairs {
      ["bad argument #1 to 'popen' (string expected, got table)"] =
        function() local r = ws:popen "x" return r end,
      ["bad argument #1 to 'popen' (string expected, got nil)"] =
        function() local r = ws.popen() return r end,
      ["bad argument #2 to 'popen' (\"r\" or \"w\" expected)"] =
        function() local r = ws.popen("true", "rw") return r end,
      ["cannot write: the process was opened with \"r\""] =
        function() local r = ws.popen "true":write "x" return r end,
      ["cannot read: the process was opened with \"w\""] =
        function() local r = ws.popen("true", "w"):read() return r end,
      ["bad argument #1 to 'read' (seconds expected)"] =
        function() local r = ws.popen "true":read "x" return r end,
      ["bad argument #1 to 'write' (string expected, got number)"] =
        function() local r = ws.popen("true", "w"):write(1) return r end,
      ["bad argument #1 to 'kill' (the number of a signal expected)"] =
        function() local r = ws.popen "true":kill "TERM" return r end,
      ["(evws.process expected, got string; call process:read)"] =
        function() local r = ws.popen "true".read "x" return r end,
    } do
      local ok, why = pcall(call)
      assert.is_false(ok)
      contains(why, text)
      assert.matches("^spec/lua/popen_spec.lua:%d+: ", why)
    end
  end)
end)
