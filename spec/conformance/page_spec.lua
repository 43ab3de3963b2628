-- docs/conformance.md is what tools/conformance.lua made of a whole run in
-- which nothing has failed.

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- What is wrong with the page, or nothing.
local function fault_of(page)
  if not page:find("^<!%-%- Made by `make conformance`") then
    return "it was not made by the command"
  end
  if page:find("\n## Failed", 1, true) then return "something has failed" end
  local count = 0
  for passed, total in page:gmatch "| (%d+)/(%d+) %f[|]" do
    count = count + 1
    if passed ~= total or total == "0" then return passed .. "/" .. total end
  end
  if count == 0 then return "it has no results" end
  if not page:find("run of %d%d%d%d%-%d%d%-%d%d") then return "no date" end
end

describe("the page of conformance", function()
  local lua = os.getenv "LUA" or "lua5.4"

  -- A page made of these results.
  local function make(specs, peers)
    local names = { os.tmpname(), os.tmpname(), os.tmpname() }
    for i, text in ipairs { specs, peers } do
      local file <close> = assert(io.open(names[i], "w"))
      file:write(text)
    end
    local ok = os.execute(("%s tools/conformance.lua %s 2>/dev/null"):format(
      lua, table.concat(names, " ")))
    local page = read(names[3])
    for _, name in ipairs(names) do os.remove(name) end
    return page, ok
  end

  local good = "ok 1 - conformance of a server that echoes text by callback: "
    .. "6.1.1 echoes empty text\n"
  local peer = "version - curl 7.0\nok - curl, server, plain: GET\n"

  it("has no failed cell", function()
    assert.is_nil(fault_of(read "docs/conformance.md"))
  end)

  it("says where it is not so", function()
    assert.is_nil(fault_of((make(good, peer))))
    for _, results in ipairs { { "not " .. good, peer },
      { good, "not " .. peer:match "ok.*" }, { "", peer }, { good, "" },
      { good .. "not ok 2 - another spec\n", peer },
      { good, peer .. "not ok - server: is gone\n" } } do
      local page, ok = make(table.unpack(results))
      assert.is_string(fault_of(page))
      assert.is_falsy(ok)
    end
  end)

  it("has a matrix of what hubs were tried for", function()
    local hub = "version - npm @microsoft/signalr 10.0\n"
      .. "ok - npm @microsoft/signalr, hub, WebSockets, json: starts\n"
      .. "ok - npm @microsoft/signalr, hub, LongPolling, json: starts\n"
      .. "ok - npm @microsoft/signalr, hub, LongPolling, json: streams\n"
    local page = make(good, peer .. hub)
    assert.is_nil(fault_of(page))
    assert.is_truthy(page:find("| npm @microsoft/signalr 10.0 | WebSockets, "
      .. "json | LongPolling, json |\n", 1, true))
    assert.is_truthy(page:find("| starts | 1/1 | 1/1 |\n| streams | \u{2013} | "
      .. "1/1 |\n", 1, true))
    assert.is_string(fault_of((make(good, peer .. hub:gsub("ok", "not ok",
      1)))))
  end)

  it("counts passed and tried", function()
    local page = make(good .. "not " .. good, peer .. peer .. "not "
      .. peer:match "ok.*")
    assert.is_truthy(page:find("| 6 UTF-8 | 1 | 1/2 |", 1, true))
    assert.is_truthy(page:find("| curl 7.0 | server | 2/3 |", 1, true))
  end)
end)
