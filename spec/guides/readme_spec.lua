-- The README's samples of three lines, each run as it stands there, in a
-- process of its own, and what it says about installing.

local t = require "spec.helper"
local guide = require "spec.guides.kit"
local children = require "spec.binding.kit"
local tls = require "spec.helper.tls"

local ws = t.ws

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local readme = read "README.md"
local samples = {}
for text in readme:gmatch "\n```lua\n(%-%- .-\n)```" do
  samples[text:match "^%-%- (.-)[:\n]"] = text
end

-- Free ports instead of those that stand there; what the servers are is said.
local around = [[
local ws = require "evws"
local listen, connect = ws.listen, ws.connect
function ws.listen(options)
  options.port = 0
  local server, why = listen(options)
  say(server and "localhost:" .. server.port or why)
  return server
end
function ws.connect(url, ...)
  return connect((url:gsub("localhost:%%d+", "localhost:%d")), ...)
end
%s
do
%s
end
ws.run()
]]

local function start(name, before, port)
  local child = children.run(around:format(port or 1, before or "",
    assert(samples[name], name)))
  if not port then
    child.port = tonumber((child:wait "^localhost:(%d+)$"))
  end
  return child
end

describe("the README's samples", function()
  after_each(guide.cleanup)

  it("are of three or four lines each, and all of them are run here",
    function()
      local names = {}
      for name, text in pairs(samples) do
        names[#names + 1] = name
        assert.is_true(select(2, text:gsub("\n", "")) <= 5)
      end
      table.sort(names)
      assert.same({ "A client that comes back after a loss, and says so each "
        .. "time.", "Login", "TLS", "Topics" }, names)
    end)

  it("publish", function()
    local child = start "Topics"
    local conns = {}
    for i = 1, 3 do conns[i] = assert(guide.connect(child, "/")) end
    for i = 1, 3 do
      conns[i]:send("from " .. i)
      for k = 1, 3 do
        if k ~= i then guide.expect(conns[k], "from " .. i) end
      end
    end
  end)

  it("speak TLS", function()
    local before = "local function echo(conn, m) conn:send(m) end"
    local text = samples.TLS
    samples.TLS = text:gsub("server%.pem", tls.file "localhost.pem")
      :gsub("server%.key", tls.file "localhost.key")
    assert.not_equal(text, samples.TLS)
    local child = start("TLS", before)
    samples.TLS = text
    local conn = assert(ws.connect("wss://localhost:" .. child.port,
      { tls = { ca = tls.file "ca.pem" }, timeout = guide.limit }))
    conn:send "hi"
    guide.expect(conn, "hi")
    conn:close()
  end)

  it("let in who has a session", function()
    local child = start("Login", 'local sessions = { af01 = "anna" }')
    local function status(cookie)
      local conn, _, refused = guide.connect(child, "/",
        { headers = { Cookie = cookie } })
      return conn and 101 or refused
    end
    assert.equal(101, status "a=b; sid=af01")
    assert.equal(401, status "sid=af02")
    assert.equal(401, status "a=b")
    local _, _, refused = guide.connect(child, "/")
    assert.equal(401, refused)
  end)

  it("come back", function()
    local heard, conns = {}, {}
    local server = t.listen { on_message = function(conn, message)
      heard[#heard + 1], conns[#conns + 1] = message, conn
    end }
    start("A client that comes back after a loss, and says so each time.", "",
      server.port)
    t.wait(function() return #heard == 1 end, "the first time")
    conns[1]:terminate()
    t.wait(function() return #heard == 2 end, "the second time")
    assert.same({ "here I am", "here I am" }, heard)
  end)
end)

describe("the README's packages", function()
  local setup = read "tools/setup.sh"

  -- What tools/setup.sh installs for `make run`, by system.
  local function expected(column)
    local list = { make = true }
    for need in setup:match "\nbuild='([^']+)'":gmatch "%S+" do
      local line = setup:match("\n    " .. need .. "%) choose ([^;]+) ;;")
      local words, at = {}, 1
      while at <= #line do
        local word, stop = line:match("^'([^']*)'%s*()", at)
        if not word then word, stop = line:match("^(%S+)%s*()", at) end
        words[#words + 1], at = word, stop
      end
      for name in words[column]:gmatch "%S+" do list[name] = true end
    end
    return list
  end

  it("are those of tools/setup.sh", function()
    for column, command in ipairs { "apt-get install", "apk add",
      "dnf install", "brew install" } do
      local line = assert(readme:match("`" .. command:gsub("%-", "%%-")
        .. " ([^`]+)`"), command)
      local found = { make = true }
      for name in line:gmatch "%S+" do found[name] = true end
      assert.same(expected(column), found)
    end
  end)
end)
