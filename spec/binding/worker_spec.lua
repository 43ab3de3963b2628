-- worker.c and lua_worker.c, with the spec as the supervisor of one worker: it
-- says what no supervisor of ours would, at moments that ours does not choose.

local t = require "spec.helper"
local workers = require "spec.binding.workers_kit"

local core = require "evws.core"
local serve = core.serve

local who = "3/2/5/9/1" -- id, count, generation, serial, slot

-- What stands before each script. `tell` sends a line to the supervisor;
-- `serve_commands` runs what the supervisor passes, and tells what it returns.
local prologue = [==[
package.path, package.cpath = %q, %q
local probe = require "evws_probe"
local net, control_fd = probe.net, tonumber(os.getenv "EVWS_CONTROL")
%s
local core = require "evws.core"
local ws = require "evws"
local function tell(...)
  local list = table.pack(...)
  for i = 1, list.n do list[i] = tostring(list[i]) end
  assert(core.worker.pass(7, "report", table.concat(list, " ")))
end
local function serve_commands()
  ws.every(600, function() end)
  core.worker.on("run", function(code, fd)
    local env = setmetatable({ core = core, ws = ws, net = net, tell = tell,
      probe = probe, fd = fd, control_fd = control_fd }, { __index = _G })
    tell(select(2, pcall(assert(load(code, "=run", "t", env)))))
    if fd then core.serve.close(fd) end
  end)
  tell "up"
end
]==]

local commands = "serve_commands() ws.run()"

local worker, paths = {}, {}
worker.__index = worker

local started = {}

-- options: before, Lua that runs before evws is loaded; shell, what stands
-- before the command; faults: calls of the system can fail; own: variables
-- instead of the right ones (false: none)
local function start(script, options)
  local o = options or {}
  local path = os.tmpname()
  paths[#paths + 1] = path
  local source <close> = assert(io.open(path, "w"))
  source:write(prologue:format(package.path, package.cpath, o.before or ""),
    script):flush()
  local control, theirs = serve.control()
  local page, page_fd = serve.page()
  page:set(1, 3, 5, 9)
  local own = { EVWS_CONTROL = theirs, EVWS_PAGE = page_fd, EVWS_WORKER = who }
  for name, value in pairs(o.own or {}) do
    own[name] = type(value) == "function" and value(theirs, page_fd) or value
  end
  local preload = os.getenv "LD_PRELOAD"
  local faults = o.faults and ("env LD_PRELOAD=%s%s/evws_probe.so "):format(
    preload and preload .. ":" or "", os.getenv "EVWS_BUILD") or ""
  local command = ("%s exec %s%s %s >%s.out 2>&1"):format(o.shell or "",
    faults, os.getenv "LUA" or "lua5.4", path, path)
  local process = assert(serve.spawn({ "/bin/sh", "-c", command },
    workers.environment(own), { theirs, page_fd }))
  serve.close(theirs)
  local self = setmetatable({ path = path, control = control, page = page,
    page_fd = page_fd, process = process, records = {} }, worker)
  started[#started + 1] = self
  return self
end

function worker:output()
  local file = io.open(self.path .. ".out")
  local text = file and file:read "a" or ""
  if file then file:close() end
  return text
end

function worker:send(line, rest, ...)
  assert(self.control:send(line, rest, ...))
end

-- The next record that begins so; what it captures, its rest, descriptors.
-- Others stay for later.
function worker:await(pattern)
  local found
  t.wait(function()
    for _, record in ipairs(self.control:read() or {}) do
      self.records[#self.records + 1] = record
    end
    for i, record in ipairs(self.records) do
      local line, rest = record[1]:match "^([^\n]*)\n?(.*)$"
      local captures = table.pack(line:match(pattern))
      if captures[1] then
        table.remove(self.records, i)
        captures[captures.n + 1] = rest
        found = table.pack(table.unpack(captures, 1, captures.n + 1))
        return true
      end
    end
    if self.process:poll() then error("it ended: " .. self:output(), 0) end
  end, "the worker to say " .. pattern, 20)
  return table.unpack(found, 1, found.n)
end

function worker:report()
  return (select(2, self:await "^pass 7 report$"))
end

function worker:begin(code, ...)
  self:send("take run\n", code, ...)
end

-- What this code says there.
function worker:run(code, ...)
  self:begin(code, ...)
  return self:report()
end

-- How it ended: "exit", number.
function worker:ended()
  local how, number
  t.wait(function()
    how, number = self.process:poll()
    return how
  end, "the worker's end", 20)
  return how, number
end

-- Without a supervisor it leaves by itself.
function worker:finish()
  self.control:close()
  assert.same({ "exit", 0 }, { self:ended() }, self:output())
  return self:output()
end

local function cleanup()
  for _, self in ipairs(started) do
    self.control:close()
    if not self.process:poll() then self.process:kill(9) end
    self:ended()
    serve.close(self.page_fd)
  end
  for _, path in ipairs(paths) do
    os.remove(path)
    os.remove(path .. ".out")
  end
  started, paths = {}, {}
  t.cleanup()
end

local listen = [[
  local server, why, errno = ws.listen { host = "127.0.0.1", port = 0 }
  if server then server:close() end
  return table.concat({ server and "server" or "none", tostring(why),
    tostring(errno) }, "|")
]]

local function port_and_fds()
  local port, fds = assert(serve.open { host = "127.0.0.1", port = 0 })
  return port, fds[1]
end

describe("a worker", function()
  after_each(cleanup)

  it("is what its supervisor says, and leaves nothing of that", function()
    local secret = ("5"):rep(64)
    local self = start(commands, { own = { EVWS_SECRET = secret,
      EVWS_BACKPLANE = "redis://127.0.0.1:1/" } })
    self:report()
    assert.equal("true 3 2 5 9 redis://127.0.0.1:1/ " .. secret, self:run [[
      local w = core.worker
      return table.concat({ tostring(w.supervised), w.id, w.count,
        w.generation, w.serial, w.backplane, w.secret }, " ")
    ]])
    assert.equal("nothing", self:run [[
      for _, name in ipairs { "CONTROL", "PAGE", "WORKER", "BACKPLANE",
        "SECRET" } do
        if os.getenv("EVWS_" .. name) then return name end
      end
      return "nothing"
    ]])
    assert.equal("", self:finish())
  end)

  it("has no secret of another length, and no empty backplane", function()
    for _, secret in ipairs { "", ("5"):rep(63), ("5"):rep(65) } do
      local self = start(commands, { own = { EVWS_SECRET = secret,
        EVWS_BACKPLANE = "" } })
      self:report()
      assert.equal("nil nil", self:run [[
        return tostring(core.worker.secret) .. " "
          .. tostring(core.worker.backplane)
      ]])
      self:finish()
    end
  end)

  describe("is none", function()
    local script = [[
      print(core.worker.supervised, core.worker.id, os.getenv "EVWS_CONTROL",
        os.getenv "EVWS_PAGE", os.getenv "EVWS_WORKER")
      print(core.worker.is_leader(), core.worker.pass(1, "a", "b"))
    ]]
    local alone = "false\t1\tnil\tnil\tnil\n"
      .. "true\tnil\tno worker of a supervisor\n"

    local function page_of(_, page) return page end
    local function control_of(control) return control end
    for name, own in pairs {
      ["an empty descriptor"] = { EVWS_CONTROL = "" },
      ["a descriptor that is no number"] = { EVWS_CONTROL = "x" },
      ["a descriptor and more"] = { EVWS_CONTROL = function(control)
        return control .. "x"
      end },
      ["a standard descriptor"] = { EVWS_CONTROL = "2" },
      ["a descriptor beyond all"] = { EVWS_CONTROL = "9999999" },
      ["a descriptor that is closed"] = { EVWS_CONTROL = "1000000" },
      ["a descriptor that is no socket"] = { EVWS_CONTROL = page_of },
      ["no page"] = { EVWS_PAGE = false },
      ["a page that is none"] = { EVWS_PAGE = control_of },
      ["no name"] = { EVWS_WORKER = false },
      ["an empty name"] = { EVWS_WORKER = "" },
      ["half a name"] = { EVWS_WORKER = "1/2/3" },
      ["a name that ends too soon"] = { EVWS_WORKER = "1/2/3/4/" },
      ["a place below the page"] = { EVWS_WORKER = "1/2/3/4/0" },
      ["a place beyond the page"] = { EVWS_WORKER = "1/2/3/4/99999" },
    } do
      it("by " .. name, function()
        local self = start(script, { own = own })
        assert.same({ "exit", 0 }, { self:ended() })
        assert.equal(alone, self:output())
      end)
    end

    it("where the system does not let it have the socket", function()
      local self = start(script, { faults = true,
        before = 'probe.faults.fail("fcntl", 1, 5, true)' })
      assert.same({ "exit", 0 }, { self:ended() })
      assert.equal(alone, self:output())
    end)
  end)

  it("answers what is sound, and lets go of all else", function()
    local self = start [[
      tell("fds", net.fd_count())
      -- nobody takes anything so far
      tell(probe.foreign.poll({ control_fd }, 20)[control_fd])
      repeat ws.step(0) until probe.foreign.poll({ control_fd }, 0)[control_fd]
        == nil
      tell("fds", net.fd_count())
      serve_commands()
      ws.run()
    ]]
    local before = self:report()
    local one, fd = serve.control()
    self:send("take early\n", "x", fd)
    assert.equal("true", self:report())
    assert.equal(before, self:report())
    assert.equal("up", self:report())
    local n = self:run "return net.fd_count()"
    for _, row in ipairs {
      { "ping", answer = "^pong$" }, { "pingx" }, { "pin" }, { "" },
      { "nothing we know", nil, fd }, { ("x"):rep(5000) },
      { "retire" }, { "retire 1 2" }, { "retire 1 2 3" }, { "retire x" },
      { "listening" }, { "listening x" }, { "listening 5", nil, fd },
      { "listening 5 77 8080 0", nil, fd, answer = "^closed 77$" },
      { "refused 5 13\n", "why" }, { "take", nil, fd },
      { "take nobody\n", "x", fd }, { "take nobody\n", "x" },
      { "take run\n", "error 'never run'", fd, fd },
    } do
      self:send(row[1], table.unpack(row, 2, 4))
      if row.answer then self:await(row.answer) end
      assert.equal(n, self:run "return net.fd_count()", row[1])
    end
    assert.same({}, self.records)
    serve.close(fd)
    one:close()
    assert.equal("", self:finish())
  end)

  describe("that asks for a socket", function()
    local question = "^listen (%d+) 1024 0 0 h$"

    -- What it says of ws.listen, answered so: a line (N is the question's
    -- number), what stands behind it, descriptors.
    local function answered(self, line, rest, ...)
      self:begin(listen)
      local n, host = self:await(question)
      assert.equal("127.0.0.1", host)
      self:send(line:gsub("N", n), rest, ...)
      return self:report()
    end

    it("gets it, or is told why not", function()
      local self = start(commands)
      self:report()
      local before = self:run "return net.fd_count()"
      local failed = "none|cannot listen on 127.0.0.1 port 0: "
      assert.equal(failed .. "Address in use|98",
        answered(self, "refused N 98\n", "Address in use"))
      assert.equal(failed .. "odd|5", answered(self, "refused N 0\n", "odd"))
      assert.equal(failed .. "|5", answered(self, "refused N"))
      -- a socket that does not come
      assert.equal(failed .. "Protocol error|71",
        answered(self, "listening N 4 8080 0"))
      local port, fd = port_and_fds()
      assert.equal("server|nil|nil",
        answered(self, ("listening N 4 %d 0"):format(port), nil, fd))
      self:await "^closed 4$"
      serve.close(fd)
      assert.equal(before, self:run "return net.fd_count()")
      self:finish()
    end)

    it("hears afterwards what came in between", function()
      local self = start(commands)
      self:report()
      self:begin(listen)
      local n = self:await(question)
      local port, fd = port_and_fds()
      local one, other = serve.control()
      self:send("listening 999 31 80 0", nil, other) -- given up long ago
      self:send "ping"
      self:send("take run\n", "return fd and 'in between'", other)
      self:send("take nobody\n", "x", other)
      self:send(("listening %d 4 %d 0"):format(n, port), nil, fd)
      assert.equal("server|nil|nil", self:report())
      self:await "^closed 4$"
      self:await "^closed 31$"
      self:await "^pong$"
      assert.equal("in between", self:report())
      serve.close(other)
      self:finish()
      -- nobody has the other end any more
      assert.same({ nil, "closed" }, { (one:read()), (select(2, one:read())) })
      one:close()
      serve.close(fd)
    end)

    it("ends with what came in between unheard, and not open", function()
      local self = start [[
        serve_commands()
        local server = ws.listen { host = "127.0.0.1", port = 0 }
        os.exit(server and 7 or 1, true)
      ]]
      local n = self:await(question)
      local port, fd = port_and_fds()
      local one, other = serve.control()
      self:send "ping"
      self:send("take run\n", "return fd", other)
      self:send(("listening %d 4 %d 0"):format(n, port), nil, fd)
      assert.same({ "exit", 7 }, { self:ended() })
      serve.close(other)
      serve.close(fd)
      assert.equal("closed", (select(2, one:read())))
      one:close()
    end)

    it("goes on where a read was in vain", function()
      local self = start(commands, { faults = true })
      self:report()
      local port, fd = port_and_fds()
      self:begin("probe.faults.fail('recvmsg', 1, 11) " .. listen)
      local n = self:await(question)
      self:send(("listening %d 4 %d 0"):format(n, port), nil, fd)
      assert.equal("server|nil|nil", self:report())
      assert.equal("1", self:run "return probe.faults.hits()")
      serve.close(fd)
      self:finish()
    end)

    it("says so where waiting fails", function()
      local self = start(commands, { faults = true })
      self:report()
      assert.equal("none|cannot listen on 127.0.0.1 port 0: Input/output "
        .. "error|5", self:run("probe.faults.fail('poll', 1, 5) " .. listen))
      -- the answer to that is of no use any more
      local n = self:await(question)
      local port, fd = port_and_fds()
      self:send(("listening %d 4 %d 0"):format(n, port), nil, fd)
      self:await "^closed 4$"
      serve.close(fd)
      self:finish()
    end)

    it("has no descriptor left for it", function()
      local self = start([[
        local held = {}
        serve_commands()
        local server, why, errno
        ws.spawn(function()
          while true do
            local file = io.open "/dev/null"
            if not file then break end
            held[#held + 1] = file
          end
          server, why, errno = ws.listen { host = "127.0.0.1", port = 0 }
          for _, file in ipairs(held) do file:close() end
          tell(server, why, errno)
        end)
        ws.run()
      ]], { shell = "ulimit -n 60;" })
      self:report()
      local n = self:await(question)
      local port, fd = port_and_fds()
      self:send("take run\n", "return 'without its descriptor'", fd)
      self:send(("listening %d 4 %d 0"):format(n, port), nil, fd)
      assert.equal("nil cannot listen on 127.0.0.1 port 0: Too many open files "
        .. "24", self:report())
      assert.equal("without its descriptor", self:report())
      self:begin(listen)
      n = self:await(question)
      self:send(("listening %d 4 %d 0"):format(n, port), nil, fd)
      assert.equal("server|nil|nil", self:report())
      serve.close(fd)
      self:finish()
    end)

    it("waits five seconds, and gives back what comes later", function()
      local self = start(commands)
      self:report()
      self:begin(listen)
      local n = self:await(question)
      t.contains(self:report(), "the supervisor does not answer|110")
      local port, fd = port_and_fds()
      self:send(("listening %d 4 %d 0"):format(n, port), nil, fd)
      self:await "^closed 4$"
      serve.close(fd)
      self:finish()
    end)

    it("is told that the supervisor is gone: before, meanwhile, after",
      function()
        local script = [[
          serve_commands()
          ws.spawn(function()
            %s
            local _, why, errno = ws.listen { host = "127.0.0.1", port = 0 }
            print(why, errno)
          end)
          print(select(2, ws.run()))
          local _, why, errno = ws.listen { host = "127.0.0.1", port = 0 }
          print(why, errno)
        ]]
        local failed = "cannot listen on 127.0.0.1 port 0: %s\t%d\n"
        local gone = failed:format("the supervisor is gone", 32)
          .. "interrupted\n" .. failed:format("the worker is retiring", 125)
        local before = start(script:format
          "tell 'now' probe.foreign.poll({ control_fd }, 20)")
        before:report()
        before:report()
        assert.equal(gone, before:finish())
        local meanwhile = start(script:format "")
        meanwhile:await(question)
        assert.equal(gone, meanwhile:finish())
      end)

    it("without memory has it or not, and loses no descriptor", function()
      if not core.fail_at then return pending "built without WS_FAULT" end
      local self = start(commands)
      self:report()
      local port, fd = port_and_fds()
      local _, other = serve.control()
      local before = self:run "collectgarbage() return net.fd_count()"
      local said, n, asked = {}, 0, 0
      repeat
        n = n + 1
        self:begin(("core.fail_at(%d)\n"):format(n) .. [[
          local ok, server, why, errno = pcall(ws.listen,
            { host = "127.0.0.1", port = 0 })
          core.fail_at(0)
          if ok and server then
            server:close()
            return "server"
          end
          return ok and why .. " " .. errno or server
        ]])
        local report
        repeat
          local verb, number, rest = self:await "^(%l+) ?(%d*)"
          if verb == "listen" then
            asked = asked + 1
            self:send "ping"
            self:send("take nobody\n", "x", other)
            self:send(("listening %s 4 %d 0"):format(number, port), nil, fd)
          elseif verb == "pass" then
            report = rest
          end
        until report
        said[report] = (said[report] or 0) + 1
        assert.is_true(n < 150, report)
      until report == "server" and n > 5 and asked > 10
      for report in pairs(said) do
        assert.is_truthy(report == "server" or report == "not enough memory"
          or report == "cannot listen on 127.0.0.1 port 0: Cannot allocate "
          .. "memory 12", report)
      end
      assert.equal(before, self:run "collectgarbage() return net.fd_count()")
      serve.close(fd)
      serve.close(other)
      self:finish()
    end)
  end)

  it("warns once of histories that others do not have", function()
    local self = start(commands)
    self:report()
    local port, fd = port_and_fds()
    for key, backplane in ipairs { "ws.backplane 'redis://127.0.0.1:1/'",
      "nil", "nil" } do
      self:begin(([[
        local server, why = ws.listen { host = "127.0.0.%d", port = 0,
          history = { a = { size = 5, ttl = 60 } },
          backplane = %s }
        return server and "server" or why
      ]]):format(key, backplane))
      local n = self:await "^listen (%d+)"
      self:send(("listening %d %d %d 0"):format(n, key, port), nil, fd)
      assert.equal("server", self:report())
    end
    serve.close(fd)
    self:finish()
    local _, warnings = self:output():gsub("history stays inside", "")
    assert.equal(1, warnings)
  end)

  it("is ready when its loop turns, by ws.step too", function()
    local self = start [[
      local server = assert(ws.listen { host = "127.0.0.1", port = 0 })
      tell "listens"
      local is_told
      server:route("/told", { on_open = function() is_told = true end })
      while not is_told do ws.step(0.01) end
      tell "told"
    ]]
    local n = self:await "^listen (%d+)"
    local port, fd = port_and_fds()
    self:send(("listening %d 4 %d 0"):format(n, port), nil, fd)
    assert.equal("listens", self:report())
    self:await "^ready$"
    t.open(port, { path = "/told" })
    assert.equal("told", self:report())
    serve.close(fd)
    assert.same({ "exit", 0 }, { self:ended() })
  end)

  it("hears all of many, in order, whatever a turn reads", function()
    local self = start [[
      local list = {}
      core.worker.on("many", function(text, fd)
        list[#list + 1] = text
        core.serve.close(fd)
      end)
      serve_commands()
      core.worker.on("end", function() tell(table.concat(list, " ")) end)
      ws.run()
    ]]
    self:report()
    local one, fd = serve.control()
    local wanted = {}
    self.process:kill(19) -- SIGSTOP
    for i = 1, 40 do -- descriptors of two records never come in one read
      self:send("take many\n", tostring(i), fd)
      wanted[i] = tostring(i)
    end
    self:send "take end"
    self.process:kill(18) -- SIGCONT
    assert.equal(table.concat(wanted, " "), self:report())
    serve.close(fd)
    self:finish()
    assert.equal("closed", (select(2, one:read())))
    one:close()
  end)

  -- One record after the other comes to a worker whose nth request for memory
  -- fails, of C or of Lua: it is heard, or its descriptor closed.
  for kind, refuse in pairs {
    C = { "core.fail_at(n)", "core.fail_at(0)" },
    ["C, once"] = { "core.fail_at(n, true)", "core.fail_at(0)" },
    Lua = { "probe.memory.refuse(n)", "probe.memory.refuse()" },
  } do
    it("without memory hears a record or not: " .. kind, function()
      if not core.fail_at then return pending "built without WS_FAULT" end
      local self = start([[
        local heard, kept = 0, nil
        core.worker.on("x", function(_, fd) heard, kept = heard + 1, fd end)
        local function step(n)
          collectgarbage()
          collectgarbage "stop"
          ]] .. refuse[1] .. [[ pcall(ws.step, 0) ]] .. refuse[2] .. [[
          collectgarbage "restart"
        end
        ws.step(0)
        tell(net.fd_count())
        for n = 0, 24 do
          heard, kept = 0, nil
          tell "next"
          probe.foreign.poll({ control_fd }, 20)
          for _ = 1, 3 do step(n) end
          for _ = 1, 3 do ws.step(0) end
          if kept then core.serve.close(kept) end
          tell(heard .. " " .. net.fd_count())
        end
      ]])
      local before = self:report()
      local one, fd = serve.control()
      local seen = { ["0 " .. before] = 0, ["1 " .. before] = 0 }
      for _ = 0, 24 do
        assert.equal("next", self:report())
        self:send("take x\n", "some", fd)
        local said = self:report()
        assert.is_number(seen[said], said)
        seen[said] = seen[said] + 1
      end
      assert.is_true(seen["1 " .. before] > 0)
      assert.same({ "exit", 0 }, { self:ended() })
      assert.equal("", self:output())
      serve.close(fd)
      assert.equal("closed", (select(2, one:read())))
      one:close()
    end)
  end

  for kind, refuse in pairs { C = "core.fail_at(%d)", Lua = "s:refuse(%d)" } do
    it("may be loaded where that failed for want of memory: " .. kind,
      function()
        if not core.fail_at then return pending "built without WS_FAULT" end
        local self = start(([==[
          local load_it = [[
            return tostring(require "evws.core".worker.supervised)
          ]]
          local n, ok, what, again, then_what = 0, nil, nil, nil, nil
          local said, fine = {}, 0
          repeat
            for name, value in pairs(saved) do
              probe.state.setenv(name, value)
            end
            local fds = { net.dup(saved.EVWS_CONTROL),
              net.dup(saved.EVWS_PAGE) }
            probe.state.setenv("EVWS_CONTROL", fds[1])
            probe.state.setenv("EVWS_PAGE", fds[2])
            local s = probe.state.new()
            REFUSE
            ok, what = s:run(load_it)
            s:refuse(-1)
            core.fail_at(0)
            again, then_what = s:run(load_it)
            if not again then error(then_what, 0) end
            s:close()
            for _, fd in ipairs(fds) do
              if net.has_fd(fd) then net.close_fd(fd) end
            end
            what = what:gsub("^.*: ", ""):gsub("\n.*", "")
            said[tostring(ok) .. " " .. what] = true
            n = n + 1
            fine = ok and what == "true" and fine + 1 or 0
          until n > 3000 or fine == 40
          local list = {}
          for text in pairs(said) do list[#list + 1] = text end
          table.sort(list)
          print(table.concat(list, "; "))
          assert(n < 3000, n)
        ]==]):gsub("REFUSE", (refuse:gsub("%%d", "n + 1"))), { before = [==[
          local saved = {}
          for _, name in ipairs { "CONTROL", "PAGE", "WORKER", "BACKPLANE" } do
            name = "EVWS_" .. name
            saved[name] = os.getenv(name)
            probe.state.setenv(name)
          end
        ]==], own = { EVWS_BACKPLANE = "redis://127.0.0.1:1/" } })
        self:ended()
        local expected = {
          C = "false libev has no event loop to give; true false; true true\n",
          Lua = "false not enough memory; true true\n" }
        assert.equal(expected[kind], self:output())
      end)
  end

  it("has a channel by a short name, and numbers in few words", function()
    for _, supervised in ipairs { true, false } do
      local self = start([[
        local w = core.worker
        local function refused(...)
          local ok, why = pcall(...)
          return not ok and why:gsub("^.*%((.-)%)$", "%1") or "fine"
        end
        print(refused(w.on, "", print))
        print(refused(w.on, ("x"):rep(33), print))
        print(refused(w.on, "x", 5))
        print(refused(w.on, ("x"):rep(32), print), refused(w.on, "x"))
        print(w.pass(1, ("x"):rep(33), "text"))
        local many = {}
        for i = 1, 100 do many[i] = i end
        w.tell("name", 1, many)
        local sum = w.sum("name", many)
        print(sum[1], sum[2], #sum <= 100 and sum[#sum] == #sum)
        print(refused(w.tell, "name", 1, { 1.5 }))
      ]], { own = { EVWS_WORKER = supervised and who or false } })
      assert.same({ "exit", 0 }, { self:ended() })
      assert.equal("short name expected, got string\n"
        .. "short name expected, got string\n"
        .. "function expected, got number\nfine\tfine\nnil\t"
        .. (supervised and "Invalid argument" or "no worker of a supervisor")
        .. "\n1\t2\ttrue\nnumber has no integer representation\n",
        (self:output():gsub("a short", "short")))
    end
  end)
end)
