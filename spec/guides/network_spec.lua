-- docs/guides/network.md: the spec that stands there (chat_spec.lua), run by
-- busted beside the sample that it is about; and that it can fail.

local guide = require "spec.guides.kit"

describe("the guide to testing against a bad network", function()
  after_each(guide.cleanup)

  local function read(path)
    local file <close> = assert(io.open(path))
    return file:read "a"
  end

  -- The spec in a directory with the chat, of which something is replaced.
  local function busted(from, to)
    local directory = guide.write "network"
    assert(os.execute(("cp -R examples/. '%s'"):format(directory)))
    if from then
      local path = directory .. "/chat.lua"
      local text = read(path)
      local at, stop = assert(text:find(from, 1, true))
      local file <close> = assert(io.open(path, "w"))
      file:write(text:sub(1, at - 1), to, text:sub(stop + 1))
    end
    local lua = os.getenv "LUA" or "lua5.4"
    local pipe = assert(io.popen(("cd %s && timeout 300 %s "
      .. '"$(command -v busted)" --ignore-lua -o TAP chat_spec.lua 2>&1')
      :format(directory, lua)))
    local output = pipe:read "a"
    return pipe:close(), output
  end

  it("has a spec that passes", function()
    local ok, output = busted()
    assert(ok, output)
    local _, n = output:gsub("ok %d+ %- the chat, on a bad network", "")
    assert.equal(5, n, output)
  end)

  it("has a spec that fails where the application is wrong", function()
    for from, to in pairs {
      ["keepalive_interval = 20"] = "keepalive_interval = 30",
      ["last_id = math.max(last_id + 1, os.time() * 1000)"] = "last_id = 1000",
      ["on_presence = look_soon"] = "on_close = print",
      ['"said %d %s %s"'] = '"said %d %s %.6s"',
    } do
      local ok, output = busted(from, to)
      assert.is_falsy(ok, from .. output)
      assert.matches("not ok", output)
    end
  end)
end)
