-- evws serve --redis: a private redis-server, and the URL that workers find.

local kit = require "spec.serve.kit"
local processes = require "spec.binding.kit"
local t = require "spec.helper"

local script = [[
say("backplane", require "evws.core".worker.backplane)
say("environment", os.getenv "EVWS_BACKPLANE")
]] .. kit.echo

local function has(program)
  return os.execute("command -v " .. program .. " >/dev/null 2>&1") ~= nil
end

-- Asks the Redis at a Unix socket -> all that it has said so far.
local function ask(path, question, pattern)
  local raw = t.raw(nil, { unix = path })
  raw:send(question .. "\r\n")
  local said
  t.wait(function()
    said = (said or "") .. (raw.socket:recv() or "")
    return said:find(pattern)
  end, pattern)
  raw:close()
  return said
end

local function redis_of(served)
  local path = served.child:wait "^backplane redis%+unix:(.+)$"
  local pid = ask(path, "INFO server", "process_id:%d+\r")
    :match "process_id:(%d+)"
  return path, tonumber(pid)
end

local function expect_gone(path, pid)
  t.wait(function() return not kit.is_running(pid) end, "the end of redis", 10)
  t.wait(function()
    return not os.execute(("test -e %s"):format(path:match "^(.*)/"))
  end, "the end of its directory", 10)
end

describe("evws serve --redis", function()
  after_each(kit.cleanup)

  it("gives a URL to the workers, and leaves none for their children",
    function()
      local served = kit.serve(script, "-w 2 --redis redis://localhost:7777/1")
      served:await("^backplane redis://localhost:7777/1$", 2)
      served:await("^environment nil$", 2)
    end)

  it("takes no other thing", function()
    local child = processes.start "bin/evws serve x.lua --redis localhost"
    assert.equal(2, child:ended())
    t.contains(child:errors(), "evws: --redis: redis://HOST, redis+unix:/PATH "
      .. "or spawn expected, not 'localhost'")
  end)

  it("says that there is no redis-server", function()
    local directory = os.tmpname()
    os.remove(directory)
    assert(os.execute(([[mkdir %s && for name in mktemp rm; do
      ln -s "$(command -v $name)" %s/$name; done]]):format(directory,
      directory)))
    local lua = io.popen("command -v " .. (os.getenv "LUA" or "lua5.4"))
      :read "l"
    local child = processes.execute(("env PATH=%s %s bin/evws serve "
      .. "examples/echo.lua -w 1 --redis spawn"):format(directory, lua))
    assert.equal(1, child:ended(20))
    assert.equal("evws: redis-server not found (apt install redis-server)\n",
      child:errors())
    os.execute("rm -r " .. directory)
  end)

  describe("spawn", function()
    local it_if = has "redis-server" and it or pending

    it_if("starts a redis-server that ends with the workers", function()
      local served = kit.serve(script, "-w 2 --redis spawn")
      served:await("^worker", 2)
      local path, pid = redis_of(served)
      t.contains(ask(path, "PING", "PONG"), "+PONG")
      served.child:signal "TERM"
      assert.equal(0, served.child:ended(20))
      expect_gone(path, pid)
    end)

    it_if("ends it when the supervisor is killed", function()
      local served = kit.serve(script, "-w 1 --redis spawn")
      local path, pid = redis_of(served)
      served.child:signal "KILL" -- of what it has left nothing stays
      expect_gone(path, pid)
    end)

    it_if("starts it again when it ends", function()
      local served = kit.serve(script, "-w 1 --redis spawn")
      local path, pid = redis_of(served)
      kit.kill(pid)
      served:errors "redis%-server has ended; it is started again"
      t.wait(function()
        local _, fresh = pcall(redis_of, served)
        return type(fresh) == "string" and fresh == path
      end, "another one", 20)
    end)

    it_if("ends it where the script is no good", function()
      local served = kit.serve([[
        io.stderr:write(require "evws.core".worker.backplane, "\n")
        os.exit(1)
      ]], "-w 1 --redis spawn")
      assert.equal(1, served.child:ended(20))
      local path = served.child:errors():match "redis%+unix:([^\n]+)"
      assert.is_nil(os.execute("test -e " .. path:match "^(.*)/"))
    end)
  end)
end)
