-- What is written about evws is compared with evws: library/evws.lua, the
-- README, the documents. Whatever exists is described, nothing else is, and
-- the numbers are those of ws.defaults.

local reference = require "spec.helper.reference"
local t = require "spec.helper"
local ws = t.ws

local lua = os.getenv "LUA" or "lua5.4"

local keys, read = reference.keys, reference.read

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function lines_of(command)
  local list = {}
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local function upvalue(fn, name)
  for i = 1, 255 do
    local known, value = debug.getupvalue(fn, i)
    if not known then break end
    if known == name then return value end
  end
end

local function evaluate(expression)
  return assert(load("return " .. expression, expression))()
end

-- ---- library/evws.lua ----

local library = read "library/evws.lua"

-- Class -> { fields = { name -> the text above it }, extends = }; and the same
-- of functions, by the variable they belong to.
local function parse(text)
  local classes, functions, above, class = {}, {}, {}, nil
  for line in text:gmatch("([^\n]*)\n") do
    local name, parent = line:match("^%-%-%-@class ([%w_.]+):? ?([%w_.]*)")
    local field, about = line:match("^%-%-%-@field ([%w_]+)%?? (.+)$")
    local owner, method = line:match("^function ([%w_]+)[.:]([%w_]+)%(")
    local comment = line:match("^%-%-%-([^@].*)$")
    if name then
      classes[name] = { fields = {}, extends = parent }
      class, above = name, {}
    elseif field then
      classes[class].fields[field] = table.concat(above, " ") .. " " .. about
      above = {}
    elseif owner then
      functions[owner] = functions[owner] or {}
      functions[owner][method] = table.concat(above, " ")
      above = {}
    elseif comment then
      above[#above + 1] = comment
    elseif not line:find("^%-%-%-") then
      above = {}
    end
  end
  return classes, functions
end

local classes, functions = parse(library)

-- The fields of a class and of those it extends.
local function fields_of(name)
  local all = {}
  while classes[name] do
    for field, text in pairs(classes[name].fields) do all[field] = text end
    name = classes[name].extends
  end
  return all
end

-- The value in "default `value`"; second: is there one?
local function default_of(text)
  local expression = text:match("[Dd]efault `([^`]+)`")
  if not expression then return nil, false end
  return evaluate(expression), true
end

-- Methods and properties of an object: its __index is a table, or a function
-- with the methods as its first upvalue, and perhaps the properties' names as
-- its second, or among the methods, as numbers.
local function members(name)
  local index = debug.getregistry()[name].__index
  if type(index) == "table" then return keys(index) end
  local _, all = debug.getupvalue(index, 1)
  local _, named = debug.getupvalue(index, 2)
  local methods, properties = {}, named or {}
  for member, what in pairs(all) do
    if type(what) == "number" then
      properties[member] = true
    else
      methods[member] = true
    end
  end
  return keys(methods), keys(properties)
end

-- The C table of options: name -> the functions that take it.
local function options_in_source()
  local text = read("src/binding/options.c")
    :match("struct option options%[%] = (%b{})")
  local scopes = { BOTH = { listen = true, connect = true, route = true },
    SERVE = { listen = true, route = true },
    ENDPOINT = { listen = true, connect = true },
    WS_FOR_LISTEN = { listen = true }, WS_FOR_CONNECT = { connect = true } }
  local found = {}
  for entry in text:sub(2, -2):gmatch("%b{}") do
    local scope = entry:match("BOTH") or entry:match("SERVE")
      or entry:match("ENDPOINT")
      or entry:match("WS_FOR_%u+")
    found[entry:match('"([%w_]+)"')] = assert(scopes[scope], entry)
  end
  return found
end

-- The call raises in any case, as no option may be 0/0; does it know this one?
local function is_known(fn, name, ...)
  local arguments = table.pack(...)
  arguments[arguments.n + 1] = { [name] = 0 / 0 }
  local ok, why = pcall(fn, table.unpack(arguments, 1, arguments.n + 1))
  assert.is_false(ok)
  return not tostring(why):find("unknown option", 1, true)
end

describe("library/evws.lua", function()
  it("is Lua, and nothing in it runs", function()
    local mentioned = setmetatable({}, { __index = function(_, name)
      error("global " .. name)
    end })
    local module = assert(load(library, "=library", "t", mentioned))()
    assert.is_table(module)
  end)

  it("has every function of the module and no other", function()
    local exported = {}
    for name, value in pairs(ws) do
      if type(value) == "function" then exported[name] = true end
    end
    assert.same(keys(exported), keys(functions.ws))
    assert.same({ "defaults", "version", "worker" }, keys(classes.evws.fields))
  end)

  it("has every member of a connection and no other", function()
    local methods, properties = members "evws.conn"
    assert.same(methods, keys(functions.conn))
    assert.same(properties, keys(classes["evws.Conn"].fields))
  end)

  it("has every member of the other objects and no other", function()
    local server = t.listen {}
    assert.same(members "evws.server", keys(functions.server))
    for name in pairs(classes["evws.Server"].fields) do
      assert.is_not_nil(server[name], name)
    end
    t.cleanup()
    assert.same(members "evws.timer", keys(functions.timer))
    assert.same(members "evws.task", keys(functions.task))
    local process <close> = assert(ws.popen "true")
    assert.same(keys(getmetatable(process).__index), keys(functions.process))
    assert.same(members "evws.writer", keys(functions.writer))
    assert.same(members "evws.queue", keys(functions.queue))
    assert.same(members "evws.backplane", keys(functions.backplane))
    assert.same({ "state" }, keys(classes["evws.Backplane"].fields))
    assert.same(members "evws.hearer", keys(functions.hearer))
    assert.same(members "evws.request", keys(functions.request))
    local methods, properties = members "evws.body"
    assert.same(methods, keys(functions.body))
    assert.same(properties, keys(classes["evws.Body"].fields))
    assert.same({}, keys(classes["evws.Timer"].fields))
  end)

  it("has every field of a request and no other", function()
    local request
    local server = t.listen { origins = "*", on_upgrade = function(r)
      request = r
    end }
    t.open(server, { path = "/a?b", headers = { Origin = "http://a" } })
    t.cleanup()
    request.client_certificate = "" -- only over TLS, from those who have one
    assert.same(keys(request), keys(classes["evws.Request"].fields))
  end)

  it("has every option, where it belongs, and no other", function()
    local wanted = { listen = {}, connect = {}, route = {} }
    for name, scopes in pairs(options_in_source()) do
      for scope in pairs(scopes) do wanted[scope][name] = true end
    end
    assert.is_true(#keys(wanted.listen) > 40)
    assert.same(keys(wanted.listen), keys(fields_of "evws.ListenOptions"))
    assert.same(keys(wanted.connect), keys(fields_of "evws.ConnectOptions"))
    assert.same(keys(wanted.route), keys(fields_of "evws.RouteOptions"))
  end)

  it("has no option that the functions do not know", function()
    for name in pairs(fields_of "evws.ListenOptions") do
      assert.is_true(is_known(ws.listen, name), name)
    end
    for name in pairs(fields_of "evws.ConnectOptions") do
      assert.is_true(is_known(ws.connect, name, "ws://127.0.0.1:1"), name)
    end
    for name in pairs(fields_of "evws.StaticOptions") do
      assert.is_true(is_known(ws.static, name, "examples"), name)
    end
  end)

  it("has the defaults of ws.defaults", function()
    local documented = fields_of "evws.ListenOptions"
    for name, value in pairs(ws.defaults) do
      local text = assert(documented[name], name)
      local default, is_there = default_of(text)
      if name == "max_connections" then -- the machine's
        assert.is_false(is_there)
      else
        assert.same({ name, value }, { name, default })
      end
    end
  end)

  it("has the options of ws.backplane", function()
    local known = {}
    local list = read "src/binding/option_backplane.c":match
      "names%[%] = {(.-)NULL}"
    for name in list:gmatch '"([%w_]+)"' do known[name] = true end
    assert.same(keys(known), keys(fields_of "evws.BackplaneOptions"))
  end)

  it("has the options and defaults of ws.static", function()
    local known = upvalue(upvalue(ws.static, "read_options"), "defaults")
    local documented = fields_of "evws.StaticOptions"
    assert.same(keys(known), keys(documented))
    for name, value in pairs(known) do
      assert.same({ name, value }, { name, (default_of(documented[name])) })
    end
  end)

  it("has the options and defaults of ws.cookie", function()
    local known = keys(upvalue(upvalue(ws.cookie, "check_names"), "names"))
    local defaults = upvalue(ws.cookie, "defaults")
    local documented = fields_of "evws.CookieOptions"
    assert.same(known, keys(documented))
    for name, text in pairs(documented) do
      assert.same({ name, defaults[name] }, { name, (default_of(text)) })
    end
  end)

  it("describes whatever it has", function()
    for _, owner in ipairs { "ws", "conn", "server", "timer", "task",
      "writer", "process", "hearer",
      "queue", "request", "body", "backplane" } do
      for name, text in pairs(functions[owner]) do
        assert.is_true(#text > 20, owner .. "." .. name)
      end
    end
    for name, text in pairs(fields_of "evws.ListenOptions") do
      assert.is_true(#text > 60, name)
    end
  end)
end)

-- ---- the README ----

-- The value in a cell: "1 MiB", "10 s (remark)", "`false`", or both fields of
-- a table: "burst 50, rate 10/s".
local function value_of(cell)
  if cell:find("^`") then return evaluate(cell:match "^`([^`]+)`") end
  local pair, n = cell:gsub("(%l+) (%d+)[ /s]*", "%1 = %2")
  if n == 2 then return evaluate("{ " .. pair .. " }") end
  local units = { s = 1, KiB = 1024, MiB = 1024 * 1024, [""] = 1 }
  local number, unit = cell:match("^(%d+) ?(%a*)")
  return number and math.tointeger(tonumber(number) * assert(units[unit], cell))
end

-- The table below the heading: names in the first cell, values in the second,
-- both with semicolons between them.
local function defaults_of(text)
  local found = {}
  local section = text:match("\n## Defaults\n(.-)\n## ")
  for names, values in section:gmatch("\n| (`[^|]+) | ([^|]+) |") do
    local list = {}
    for value in (values .. ";"):gmatch(" *(.-);") do
      list[#list + 1] = value
    end
    for name in names:gmatch("`([%w_]+)`") do
      found[name] = assert(table.remove(list, 1), name)
    end
    assert.same({}, list)
  end
  return found
end

-- The heading's anchor, as the web shows it.
local function anchors_of(text)
  local anchors = {}
  for heading in ("\n" .. text):gmatch("\n#+ ([^\n]+)") do
    anchors[heading:lower():gsub("[^%w %-_]", ""):gsub(" ", "-")] = true
  end
  return anchors
end

local documents = lines_of "ls *.md docs/*.md docs/guides/*.md"

-- A sample is run as it stands in a process of its own. What it listens on is
-- a free port, and what it connects to is an echo server beside it.
local before = [[
local ws = require "evws"
local listen, connect, run = ws.listen, ws.connect, ws.run
local port
function ws.listen(options)
  options.port, options.host = 0, "127.0.0.1"
  local server, why, code = listen(options)
  port = server and server.port
  return server, why, code
end
function ws.connect(url, ...)
  if not port then
    ws.listen { on_message = function(c, m, k) c:send(m, k) end }
  end
  return connect((url:gsub("localhost:%d+", "127.0.0.1:" .. port)), ...)
end
function ws.run()
  run(function()
    local c = assert(ws.connect "ws://localhost:5000/ws")
    for _, kind in ipairs { "text", "binary" } do
      assert(c:send("an echo", kind))
      print(c:receive(5))
    end
    c:close()
    ws.stop()
  end)
end
]]

local function run_sample(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  assert(file:write(before, "do\n", text, "\nend\n"))
  file:close()
  local pipe = assert(io.popen(("timeout 80 %s %s 2>&1"):format(lua, path)))
  local output = pipe:read("a")
  local ok = pipe:close()
  os.remove(path)
  assert(ok, output)
  return output
end

describe("docs/api.md", function()
  local page = read "docs/api.md"

  it("is what `make docs` makes of library/evws.lua", function()
    local run = assert(io.popen((os.getenv "LUA" or "lua5.4")
      .. " tools/docs.lua"))
    local made = run:read "a"
    assert.is_true(run:close())
    assert.is_true(made == page, "run `make docs`")
  end)

  it("has every function, and every option and property", function()
    for owner, list in pairs(functions) do
      for name in pairs(list) do
        local sign = owner == "ws" and "." or ":"
        assert.is_truthy(page:find("### `" .. owner .. sign .. name .. "(", 1,
          true), owner .. sign .. name)
      end
    end
    for name, class in pairs(classes) do
      assert.is_truthy(page:find("### " .. name .. "\n", 1, true), name)
      for field in pairs(class.fields) do
        assert.is_truthy(page:find("- **`" .. field .. "`**", 1, true), field)
      end
    end
  end)
end)

describe("the README", function()
  local readme = read "README.md"

  it("is under 150 lines", function()
    assert.is_true(select(2, readme:gsub("\n", "")) < 150)
  end)

  it("has the defaults of ws.defaults", function()
    local found = defaults_of(readme)
    local options = options_in_source()
    for name, value in pairs(ws.defaults) do
      assert.is_not_nil(found[name], name)
      if name ~= "max_connections" then
        assert.same({ name, value }, { name, value_of(found[name]) })
      end
    end
    for name in pairs(found) do assert.is_not_nil(options[name], name) end
  end)

  it("has samples that run", function()
    local n = 0
    -- those with a comment first are run by spec/guides/readme_spec.lua
    for sample in readme:gmatch("\n```lua\n([^-].-)```") do
      n = n + 1
      local output = run_sample(sample)
      local said = sample:match("%-%->([^\n]+)")
      if said then
        assert.same({ said:match("(%S+)%s+(%S+)") },
          { output:match("^(%S+)%s+(%S+)\n$") })
      else
        assert.equal("an echo\ttext\nan echo\tbinary\n", output)
      end
    end
    assert.equal(3, n)
  end)

  it("names commands that there are", function()
    local makefile = read "Makefile"
    local n = 0
    for target in readme:gmatch("[`\n]make (%l[%l-]*)") do
      assert.is_truthy(makefile:find("\n" .. target .. ":"), target)
      n = n + 1
    end
    assert.is_true(n > 5)
  end)
end)

describe("documents", function()
  it("have links that lead somewhere", function()
    local n = 0
    for _, path in ipairs(documents) do
      local text = read(path)
      local folder = path:match("^(.*/)") or ""
      for target in text:gmatch("%]%(([^)]+)%)") do
        local file, anchor = target:match("^([^#]*)#?(.*)$")
        if not target:find("^https?://") then
          n = n + 1
          if file ~= "" then
            assert.is_true(exists(folder .. file), path .. ": " .. target)
          end
          if anchor ~= "" then
            local there = file == "" and text or read(folder .. file)
            assert.is_true(anchors_of(there)[anchor], path .. ": " .. target)
          end
        end
      end
    end
    assert.is_true(n > 10)
  end)

  it("are each linked to by another one", function()
    for _, path in ipairs(documents) do
      local found = path == "README.md"
      for _, other in ipairs(documents) do
        local folder = other:match("^(.*/)") or ""
        for target in read(other):gmatch("%]%(([^)#]+)") do
          local full = folder .. target
          local n
          repeat full, n = full:gsub("[^/]+/%.%./", "", 1) until n == 0
          found = found or other ~= path and full == path
        end
      end
      assert.is_true(found, path .. " is linked from nowhere")
    end
  end)

  it("name the version that is next", function()
    local number = ws.version:match "^[%d.]+"
    assert.is_truthy(read "CHANGELOG.md":find(number, 1, true))
  end)
end)

-- ---- docs/errors.md ----

-- The strings in a piece of C, neighbours joined, conversions as "…".
local function strings(text)
  local list, last, from = {}, nil, 1
  while true do
    local at = text:find('"', from, true)
    if not at then return list end
    local stop = at + 1
    while text:sub(stop, stop) ~= '"' do
      assert(stop <= #text, "a string without an end: " .. text)
      stop = stop + (text:sub(stop, stop) == "\\" and 2 or 1)
    end
    local body = text:sub(at + 1, stop - 1):gsub("\\(.)", "%1")
      :gsub("%%%a", "…")
    if last and not text:sub(last + 1, at - 1):find("%S") then
      list[#list] = list[#list] .. body
    else
      list[#list + 1] = body
    end
    last, from = stop, stop + 1
  end
end

-- Semicolons inside of strings end no statement.
local function hide(text)
  return (text:gsub('"[^"\n]*"', function(s) return (s:gsub(";", "\1")) end))
end

-- The strings in what a pattern captures in the files, comments left out.
local function messages(files, ...)
  local found = {}
  for _, path in ipairs(lines_of("ls " .. files)) do
    local text = hide(read(path):gsub("/%*.-%*/", ""))
    for _, pattern in ipairs { ... } do
      for part in text:gmatch(pattern) do
        for _, message in ipairs(strings((part:gsub("\1", ";")))) do
          found[message] = path
        end
      end
    end
  end
  return found
end

describe("docs/errors.md", function()
  local text = read("docs/errors.md"):gsub("%s+", " ")

  local function expect_all(found, least)
    local n = 0
    for message, path in pairs(found) do
      if message:find("%a") then
        n = n + 1
        assert(text:find("`" .. message .. "`", 1, true)
          or text:find(" " .. message .. "`", 1, true),
          ("%q, in %s, is missing"):format(message, path))
      end
    end
    assert.is_true(n >= least)
  end

  it("has every cause of a connection's end", function()
    expect_all(messages("src/engine/*.c src/binding/*.c",
      "[^%w_]ws_conn_cut(%b())", "[^%w_]ws_conn_terminate(%b())",
      "[^%w_]ws_conn_fail(%b())", "[^%w_]ws_conn_close(%b())",
      "[^%w_]ws_conn_end(%b())", "[^%w_]give_up(%b())"), 20)
    expect_all(messages("src/engine/*.c",
      "describe%(int error%) (%b{})"), 6)
    expect_all(messages("src/engine/*.c src/transport/lookup.c",
      "error = ([^;]*\"[^;]*);"), 3)
    expect_all(messages("src/transport/lookup.c", "return ([^;]*\"[^;]*);",
      "why = ([^;]*\"[^;]*);"), 3)
  end)

  it("has every breach of the protocol", function()
    expect_all(messages("src/protocol/protocol.c", "[^%w_]fail(%b())",
      "return ([^;]*\"[^;]*);"), 10)
    expect_all(messages("src/protocol/inflate.c", "[^%w_]fail(%b())"), 5)
    expect_all(messages("src/protocol/handshake_client.c "
      .. "src/protocol/extension.c", "return ([^;]*\"[^;]*);"), 11)
  end)

  it("has every error that is raised", function()
    expect_all(messages(
      "src/binding/[!f]*.c src/binding/fields.c", "luaL_error(%b())",
      "luaL_argerror(%b())", "luaL_argcheck(%b())"), 50)
    expect_all(messages("src/binding/fields.c", "return refuse(%b())"), 6)
    expect_all(messages("src/binding/options.c",
      "[^%w_]ws_option_bad[_number]*%(L, o?[^()]*%)"), 5)
    expect_all(messages("src/protocol/url.c src/protocol/origin.c",
      "return (\"[^;]+);", "%*why = (\"[^;]+);"), 12)
  end)

  it("has what a handler that yields is told", function()
    local said
    ws.on_error(function(_, message) said = message end)
    ws.spawn(function() coroutine.yield() end)
    t.wait(function() return said end)
    ws.on_error(nil)
    assert.is_truthy(text:find("`" .. said .. "`", 1, true), said)
  end)

  it("has every answer before a connection is open", function()
    local n = 0
    for status in read("src/base/err.h"):gmatch("= %-([45]%d%d),") do
      n = n + 1
      assert.is_truthy(text:find("| " .. status .. " "), status)
    end
    assert.is_true(n > 10)
  end)

  it("has every line that the engine writes", function()
    expect_all(messages("src/engine/*.c", "ws_server_log(%b())"), 3)
  end)
end)
