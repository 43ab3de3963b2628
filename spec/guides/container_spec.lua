-- docs/guides/container.md: no container here, but the Dockerfile is read as
-- strictly as by those who build from it, and what its steps do is done in a
-- folder instead of an image.

local t = require "spec.helper"
local guide = require "spec.guides.kit"
local processes = require "spec.binding.kit"

local ws = t.ws
local lua = os.getenv "LUA" or "lua5.4"

-- How the specs themselves are run is no business of what is called here.
local clean = "unset LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS"
  .. " MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL BUILD CFLAGS LDFLAGS DESTDIR"
  .. " PREFIX EVWS_BUILD LUA LUA_PATH LUA_CPATH LUA_PATH_5_4 LUA_CPATH_5_4; "

local function shell(command, ...)
  local pipe = assert(io.popen(clean .. "{ " .. command:format(...)
    .. "; } </dev/null 2>&1"))
  local output = pipe:read "a"
  return pipe:close(), output
end

local function run(...)
  local ok, output = shell(...)
  if not ok then error(output, 2) end
  return output
end

-- { name, arguments } for each instruction, lines joined.
local function instructions()
  local list = {}
  for _, block in ipairs(guide.read "container") do
    if block.file == "Dockerfile" then
      local text = block.text:gsub("\\\n%s*", "")
      for line in text:gmatch "[^\n]+" do
        local name, rest = line:match "^(%u+)%s+(.+)$"
        if name then
          list[#list + 1] = { name = name, rest = rest }
        else
          assert.matches("^# ", line)
        end
      end
    end
  end
  return list
end

local function all(name)
  local found = {}
  for _, one in ipairs(instructions()) do
    if one.name == name then found[#found + 1] = one.rest end
  end
  return found
end

-- The words of ["lua5.4", "app.lua"].
local function exec_form(text)
  local words = {}
  for word in text:match "%[(.-)%]$":gmatch '"([^"]*)"' do
    words[#words + 1] = word
  end
  return table.concat(words, " ")
end

local function packages(step)
  local list = {}
  local names = step:match "install%s+(.-)%s*&&" or step:match "install%s+(.+)$"
  for name in names:gmatch "%S+" do
    if name:sub(1, 1) ~= "-" then list[#list + 1] = name end
  end
  return list
end

local function is_debian_12()
  local file <close> = io.open "/etc/os-release"
  local text = file and file:read "a" or ""
  return text:find "\nID=debian\n" and text:find 'VERSION_ID="12"'
end

describe("the guide to containers", function()
  after_each(guide.cleanup)

  it("has a Dockerfile that is well-formed", function()
    local known = {}
    for name in ([[FROM RUN COPY USER WORKDIR EXPOSE HEALTHCHECK CMD]])
      :gmatch "%u+" do known[name] = true end
    local list = instructions()
    assert.equal("FROM", list[1].name)
    local stages, user, last = {}, nil, nil
    for _, one in ipairs(list) do
      assert(known[one.name], one.name)
      if one.name == "FROM" then
        local image, stage = one.rest:match "^([%w:-]+)%s*A?S?%s*(%w*)$"
        assert.matches("^debian:%d+%-slim$", image)
        stages[stage] = true
        user = nil
      elseif one.name == "COPY" then
        local from = one.rest:match "^%-%-from=(%w+) "
        assert(not from or stages[from], from)
      elseif one.name == "USER" then
        user = one.rest
      elseif one.name == "RUN" and one.rest:find "apt%-get install" then
        assert.matches("apt%-get update && apt%-get install %-y "
          .. "%-%-no%-install%-recommends", one.rest)
      end
      last = one.name
    end
    assert.matches("^[1-9]%d+:[1-9]%d+$", user)
    assert.equal("CMD", last)
    assert.equal(1, #all "HEALTHCHECK")
  end)

  it("installs packages that there are", function()
    if not is_debian_12() then return pending "is for Debian 12" end
    local n = 0
    for _, step in ipairs(all "RUN") do
      if step:find "apt%-get install" then
        for _, name in ipairs(packages(step)) do
          n = n + 1
          assert((shell("apt-cache show %s >/dev/null || dpkg -s %s", name,
            name)), name)
        end
      end
    end
    assert.is_true(n > 10)
  end)

  it("builds, installs, and serves as nobody in particular", function()
    if not is_debian_12() then return pending "is for Debian 12" end
    local directory = guide.write "container"
    local source, image = directory .. "/evws", directory .. "/image"
    run("mkdir %s && git ls-files -co --exclude-standard | while read -r f; do"
      .. " test -e \"$f\" && echo \"$f\"; done | tar -cf - -T - |"
      .. " tar -xf - -C %s", source, source)
    local step
    for _, one in ipairs(all "RUN") do step = one:match "^make .*" or step end
    step = step:gsub("/src/evws", source):gsub("/image", image)
    run("MAKEFLAGS=-j2 %s", step)

    -- What the module needs is among the packages of the second stage.
    local runtime = {}
    for _, one in ipairs(all "RUN") do
      if one:find "apt%-get install" then runtime = packages(one) end
    end
    runtime = " " .. table.concat(runtime, " ") .. " libc6 libgcc-s1 "
    local needed = run("ldd %s/usr/local/lib/lua/5.4/evws/core.so", image)
    for library in needed:gmatch "=> (/%S+)" do
      local package = run("dpkg -S $(realpath %s) || dpkg -S %s", library,
        library):match "\n?([%w.+-]+):?%w*: [^\n]*\n$"
      assert(runtime:find(" " .. package .. " ", 1, true), package)
    end

    local listener = assert(t.probe.listen "127.0.0.1")
    local port = listener.port
    listener:close()
    local root = run "id -u":match "^0\n"
    local environment = ("PORT=%d ORIGIN=https://a.example"
      .. " LUA_PATH_5_4='%s/usr/local/share/lua/5.4/?.lua;;'"
      .. " LUA_CPATH_5_4='%s/usr/local/lib/lua/5.4/?.so;;'"):format(port,
      image, image)
    local as = root and "setpriv --reuid 10001 --regid 10001 --clear-groups"
      or ""
    local child = processes.run(("local ok, how, status = os.execute(%q)"
      .. " say(how, status)"):format(clean .. ("cd %s; echo $$ >pid;"
      .. " exec env --default-signal %s %s %s"):format(directory, environment,
      as, lua .. " " .. exec_form(all "CMD"[1])
        :gsub("^evws", image .. "/usr/local/bin/evws"))))
    child:wait("^listening on " .. port .. "$")

    local conn = assert(ws.connect(("ws://localhost:%d/ws"):format(port),
      { origin = "https://a.example", timeout = guide.limit }))
    conn:send "hi"
    guide.expect(conn, "hi")
    local refused, _, status = ws.connect(("ws://localhost:%d/ws")
      :format(port), { origin = "https://b.example" })
    assert.same({ nil, 403 }, { refused, status })
    local raw = t.raw(port, { address = "127.0.0.1" })
    raw:send "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    assert.equal(200, (raw:read_http()))
    raw:close()

    local check = exec_form(all "HEALTHCHECK"[1])
    local command = check:gsub("^evws", image .. "/usr/local/bin/evws")
      :gsub("localhost:8080", "localhost:" .. port)
    -- this process serves nothing meanwhile, so the check may take its time
    run("%s timeout 80 %s", environment, command)

    local pid = io.open(directory .. "/pid"):read "n"
    run("kill -TERM %d", pid)
    guide.expect_close(conn, 1001)
    assert.equal("0", (child:wait "^exit%s+(%d+)$"))
    assert.matches("info\tclosed", (child:output():gsub(" ", "\t")))
  end)
end)
