-- library/evws/channels.lua and docs/channels.md against the module.

local app = require "evws.channels.app"
local channels = require "evws.channels"
local client = require "evws.channels.client"
local options = require "evws.channels.options"
local reference = require "spec.helper.reference"

local keys, read = reference.keys, reference.read
local library = read "library/evws/channels.lua"
local documented, fields_of = reference.of(library)

describe("library/evws/channels.lua", function()
  it("has every function of the module and no other", function()
    local exported = documented "channels"
    exported.null = true
    assert.same(keys(channels), keys(exported))
    assert.is_table(assert(load(library))())
  end)

  it("has every option and its default", function()
    local fields, text = fields_of "evws.ChannelOptions"
    assert.same(keys(options.checks), keys(fields))
    for name, value in pairs(options.defaults) do
      local about = text:match("([^\n]*\n[^\n]*\n[^\n]*)\n%-%-%-@field "
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
    for name in pairs(documented "chat") do
      assert.is_function(app[name], name)
    end
    for name in pairs(documented "client") do
      assert.is_function(client[name], name)
    end
  end)
end)

describe("docs/channels.md", function()
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
    local prelude = "local channels = require 'evws.channels'\n"
    local usual = "local chat = channels.new { namespaces = "
      .. "{ ['room:*'] = {} } }\n"
    for sample in read "docs/channels.md":gmatch "\n```lua\n(.-)```" do
      n = n + 1
      local before = prelude
        .. (sample:find("local chat", 1, true) and "" or usual)
      local ok, why = pcall(assert(load(before .. sample, "sample " .. n)))
      assert.is_true(ok, why)
    end
    ws.listen, ws.run = listen, run
    for _, server in ipairs(servers) do server:close { timeout = 0 } end
    assert.same({ 4, 1 }, { n, #servers })
  end)
end)
