-- library/evws/channels.lua and docs/channels.md against the module.

local app = require "evws.channels.app"
local channels = require "evws.channels"
local client = require "evws.channels.client"
local connect_options = require "evws.channels.connect_options"
local connection = require "evws.channels.connection"
local options = require "evws.channels.options"
local reference = require "spec.helper.reference"
local subscription = require "evws.channels.subscription"

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

  local function check_defaults(defaults, text)
    for name, value in pairs(defaults) do
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
  end

  it("has every option and its default", function()
    local fields, text = fields_of "evws.ChannelOptions"
    assert.same(keys(options.checks), keys(fields))
    check_defaults(options.defaults, text)
  end)

  it("has every option of a connection, and its default", function()
    local shared = fields_of "evws.ChannelHandlers"
    local fields, text = fields_of "evws.ChannelConnectOptions"
    assert.same(keys(connect_options.checks), keys(fields, shared))
    check_defaults(connect_options.defaults, text)
    assert.same(keys(connect_options.subscription_checks),
      keys(shared, (fields_of "evws.ChannelSubscribeOptions")))
    assert.is_true(connect_options.read_subscription({}, 1).wait)
  end)

  it("has the methods of its objects", function()
    for name in pairs(documented "chat") do
      assert.is_function(app[name], name)
    end
    for name in pairs(documented "client") do
      assert.is_function(client[name], name)
    end
    for name in pairs(documented "connection") do
      assert.is_function(connection[name], name)
    end
    for name in pairs(documented "subscription") do
      assert.is_function(subscription[name], name)
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
    local connect, conns = channels.connect, {}
    function channels.connect(url, given)
      url = url:gsub(":5000", ":" .. servers[1].port)
      conns[#conns + 1] = assert(connect(url, given))
      return conns[#conns]
    end
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
    ws.listen, ws.run, channels.connect = listen, run, connect
    for _, conn in ipairs(conns) do conn:close() end
    for _, server in ipairs(servers) do server:close { timeout = 0 } end
    assert.same({ 5, 1, 1 }, { n, #servers, #conns })
  end)
end)
