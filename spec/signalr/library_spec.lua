-- library/evws/signalr.lua and docs/signalr.md against the module.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local clients = require "evws.signalr.clients"
local groups = require "evws.signalr.groups"
local hub = require "evws.signalr.hub"
local kit = require "spec.signalr.kit"
local options = require "evws.signalr.options"
local reference = require "spec.helper.reference"
local signalr = require "evws.signalr"

local keys, read = reference.keys, reference.read
local library = read "library/evws/signalr.lua"
local documented, fields_of = reference.of(library)

describe("library/evws/signalr.lua", function()
  after_each(kit.cleanup)

  it("has every function of the module and no other", function()
    local exported = documented "signalr"
    exported.null = true
    assert.same(keys(signalr), keys(exported))
    assert.is_table(assert(load(library))())
  end)

  it("has every option and its default", function()
    local fields, text = fields_of "evws.HubOptions"
    assert.same(keys(options.checks), keys(fields))
    for name, value in pairs(options.defaults) do
      local about = text:match("([^\n]*\n[^\n]*\n[^\n]*\n[^\n]*)\n%-%-%-@field "
        .. name .. "%?"):gsub("\n%-%-%-", " ")
      local default
      for expression in about:gmatch "[Dd]efault%s+`([^`]+)`" do
        default = expression
      end
      assert.is_string(default, name)
      assert.same({ name, value }, { name,
        assert(load("return " .. default))() })
    end
  end)

  it("has the methods of its objects", function()
    local one = kit.client(kit.hub())
    local ctx = one.session.ctx
    for name in pairs(documented "ctx") do
      assert.is_function(ctx[name], name)
    end
    for name in pairs(fields_of "evws.HubContext") do
      -- these are nil at first
      assert.is_true(name == "user" or name == "request" or name == "data"
        or ctx[name] ~= nil, name)
    end
    for name in pairs(documented "hub") do
      assert.is_function(hub[name], name)
    end
    for name in pairs(documented "groups") do
      assert.is_function(groups[name], name)
    end
    for name in pairs(documented "clients") do
      assert.is_function(ctx.clients[name], name)
    end
    for name in pairs(fields_of "evws.HubClients") do
      assert.is_table(ctx.clients[name], name)
    end
    local all = clients.new(kit.hub()).all
    assert.same({ "invoke", "send", "within" }, keys(documented "proxy"))
    for name in pairs(documented "proxy") do
      assert.is_function(all[name], name)
    end
  end)
end)

describe("evws.signalr", function()
  it("says what it needs where lua-cjson is missing", function()
    local lua = os.getenv "LUA" or "lua5.4"
    local script = os.tmpname()
    local file = assert(io.open(script, "w"))
    file:write [[
      package.preload.cjson = function() error "no cjson here" end
      local signalr = require "evws.signalr"
      print(pcall(function()
        local hub = signalr.hub {}
        return hub
      end))
    ]]
    file:close()
    local pipe = assert(io.popen(("%s %s 2>&1"):format(lua, script)))
    local output = pipe:read "a"
    pipe:close()
    os.remove(script)
    assert.is_truthy(output:find("evws.signalr needs lua-cjson (apt "
      .. "install lua-cjson, or luarocks install lua-cjson)", 1, true), output)
    assert.is_truthy(output:find(script .. ":4:", 1, true), output)
  end)
end)

describe("docs/signalr.md", function()
  local page = read "docs/signalr.md"

  it("names what there is", function()
    for name in page:gmatch "`([%w_]+)`[,: ]" do
      if name:find "_" and not name:find "%u" then
        assert.is_truthy(options.checks[name] or library:find(name, 1, true),
          name)
      end
    end
  end)

  it("has samples that run", function()
    local ws = require "evws"
    local listen, run, n, servers = ws.listen, ws.run, 0, {}
    function ws.listen(given)
      local own = {}
      for name, value in pairs(given) do own[name] = value end
      own.port, own.host = 0, "127.0.0.1"
      servers[#servers + 1] = listen(own)
      return servers[#servers]
    end
    function ws.run() end
    for sample in page:gmatch "\n```lua\n(.-)```" do
      n = n + 1
      local prelude = sample:find("require \"evws.signalr\"", 1, true) and ""
        or "local signalr = require 'evws.signalr'\n"
      local ok, why = pcall(assert(load(prelude .. sample, "sample " .. n)))
      assert.is_true(ok, why)
    end
    ws.listen, ws.run = listen, run
    for _, server in ipairs(servers) do server:close { timeout = 0 } end
    assert.same({ 6, 2 }, { n, #servers })
  end)
end)
