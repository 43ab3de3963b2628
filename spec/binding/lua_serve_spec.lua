-- lua_serve.c and lua_process.c: what only the library itself calls, with what
-- it never says.

local core = require "evws.core"
local t = require "spec.helper"

local serve = core.serve

local function refused(part, fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok)
  t.contains(why, part)
end

-- How a process ended.
local function ended(process)
  local how, number
  t.wait(function()
    how, number = process:poll()
    return how
  end, "the end of a process")
  return how, number
end

describe("a program", function()
  it("is a list of strings that begins with its name", function()
    refused("a program expected", serve.spawn, {}, {}, {})
    refused("strings expected", serve.spawn, { "/bin/true", 5 }, {}, {})
    refused("strings expected", serve.spawn, { "/bin/true" }, { {} }, {})
    refused("table expected", serve.spawn, { "/bin/true" }, {})
    local before = t.fd_count()
    assert.is_nil((serve.spawn({ "/nowhere/at all" }, {}, {})))
    assert.equal(before, t.fd_count())
  end)

  it("gets 64 descriptors, and ends in its own way", function()
    local control, fd = serve.control()
    local fds = {}
    for i = 1, 70 do fds[i] = fd end
    local process = assert(serve.spawn({ "/bin/sh", "-c",
      ("[ -e /proc/self/fd/%d ] && exit 7"):format(fd) }, {}, fds))
    assert.same({ "exit", 7 }, { ended(process) })
    assert.same({ "exit", 7 }, { process:poll() })
    assert.is_nil(process:fd()) -- there is no pipe to it
    process = assert(serve.spawn({ "/bin/sh", "-c", "kill -9 $$" }, {}, {}))
    assert.same({ "signal", 9 }, { ended(process) })
    assert.is_false(process:kill(0))
    serve.close(fd)
    control:close()
  end)

  it("is lost where somebody else has asked for its end", function()
    local process = assert(serve.spawn({ "/bin/sh", "-c", ":" }, {}, {}))
    require "evws_probe".state.reap(-1)
    assert.same({ "lost" }, { ended(process) })
  end)

  it("takes what it is written, from any place on", function()
    local path = os.tmpname()
    local process = assert(core.process("cat >" .. path, "w"))
    local n = process:write("some text", 6)
    assert.equal(4, n)
    for _, from in ipairs { 0, -1, 10, 99 } do
      assert.equal(0, process:write("some text", from))
    end
    process:shut()
    assert.is_nil(process:fd())
    assert.same({ nil, "closed" }, { process:write("x", 1) })
    assert.same({ "exit", 0 }, { ended(process) })
    local file <close> = assert(io.open(path))
    assert.equal("text", file:read "a")
    os.remove(path)
  end)

  it("says again where there is nothing to read yet", function()
    local process = assert(core.process "read x; echo some text")
    local other = assert(core.process("exec sleep 60", "w"))
    assert.same({ nil, "again" }, { other:read() })
    other:kill(9)
    assert.same({ "signal", 9 }, { ended(other) })
    local text
    t.wait(function()
      local why
      text, why = process:read()
      assert.is_true(text ~= nil or why == "again")
      return text
    end)
    assert.equal("some text\n", text)
    t.wait(function() return select(2, process:read()) == "closed" end)
    assert.same({ "exit", 0 }, { ended(process) })
  end)
end)

describe("a page", function()
  it("has slots, and a word for what is in one", function()
    local before = t.fd_count()
    local page, fd = assert(serve.page())
    for _, slot in ipairs { 0, -1, serve.slots, 1 << 40 } do
      refused("a slot expected", page.set, page, slot, 1, 1, 1)
      refused("a slot expected", page.state, page, slot, "ready")
    end
    refused("invalid option 'gone'", page.state, page, 1, "gone")
    page:set(serve.slots - 1, 1, 1, 1)
    for _, state in ipairs { "ready", "retiring", "starting", "free" } do
      page:state(serve.slots - 1, state)
    end
    debug.getmetatable(page).__gc(page)
    refused("an open page expected", page.restarted, page)
    serve.close(fd)
    assert.equal(before, t.fd_count())
  end)
end)

describe("a place", function()
  it("is a host or a path, or it is said what is wrong with it", function()
    refused("a place expected", serve.open, {})
    local path = os.tmpname() -- which is a file, and stays one
    local n, why, errno = serve.open { unix = path }
    assert.same({ nil, "string", serve.in_use }, { n, type(why), errno })
    assert.is_nil((serve.unlink "/nowhere/at all"))
    os.remove(path)
    local port, fds = assert(serve.open { unix = path, backlog = 5,
      mode = tonumber("600", 8) })
    assert.same({ 0, 1 }, { port, #fds })
    serve.close(fds[1])
    assert.is_true(serve.unlink(path))
    assert.is_nil(io.open(path))
    local other, other_fds = assert(serve.open { host = "127.0.0.1" })
    n, why, errno = serve.open { host = "127.0.0.1", port = other }
    assert.same({ nil, "Address already in use", serve.in_use },
      { n, why, errno })
    serve.close(other_fds[1])
  end)
end)
