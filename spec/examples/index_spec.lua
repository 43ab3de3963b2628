-- All samples at once (examples/index.lua), and how `make run` finds one.

local kit = require "spec.examples.kit"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

-- The samples: those that have a page, and all.
local function samples()
  local pages, all = {}, {}
  for path in io.popen "ls examples/*.lua":lines() do
    local name = path:match "(%w+)%.lua$"
    local page = io.open("examples/" .. name .. "/index.html")
    if page then
      page:close()
      pages[#pages + 1] = name
    end
    all[#all + 1] = name
  end
  assert.is_true(#pages > 4 and #all > #pages)
  return pages, all
end

describe("the list of samples", function()
  local child

  before_each(function() child = kit.serve "index" end)
  after_each(kit.cleanup)

  it("runs each that has a page, and leads there", function()
    for _, name in ipairs(samples()) do
      local status, headers = kit.http(child, "GET", "/" .. name)
      assert.equal(302, status, name)
      local port = headers.location:match "^http://localhost:(%d+)$"
      local code, _, body = kit.http({ port = tonumber(port) }, "GET", "/")
      assert.equal(200, code)
      assert.is_true(body == read("examples/" .. name .. "/index.html"))
    end
    local conn = assert(kit.connect({ port = child:wait
      "^Chat: http://localhost:(%d+)$" }, "/chat/one"))
    kit.expect(conn, "rooms ")
  end)

  it("names each on its page", function()
    local _, _, body = kit.http(child, "GET", "/")
    local pages, all = samples()
    for _, name in ipairs(pages) do
      assert.is_truthy(body:find('href="/' .. name .. '"', 1, true), name)
    end
    for _, name in ipairs(all) do
      assert(name == "index" or body:find("EXAMPLE=" .. name, 1, true), name)
    end
  end)

  it("serves its page, and refuses ports that are taken or none", function()
    kit.has_page(child, "WebSocket Samples")
    assert.equal(404, (kit.http(child, "GET", "/index.lua")))
    kit.refuses_ports "index"
  end)
end)

describe("make run", function()
  local function make(arguments)
    local pipe = assert(io.popen("unset LD_PRELOAD MAKEFLAGS MFLAGS"
      .. " MAKEOVERRIDES MAKELEVEL; make SETUP=: run " .. arguments
      .. " 2>&1"))
    local output = pipe:read "a"
    local _, _, status = pipe:close()
    return output, status
  end

  it("lists the samples when there is none of that name", function()
    for _, wrong in ipairs { "nope", "", "'a b; exit 0'" } do
      local output, status = make("EXAMPLE=" .. wrong)
      assert.not_equal(0, status)
      assert.matches("^make run: no sample '.-'%. ", output)
      local _, all = samples()
      for _, name in ipairs(all) do
        assert.matches("\n  " .. name .. " +%u[^\n:]+\n", output)
      end
    end
  end)
end)
