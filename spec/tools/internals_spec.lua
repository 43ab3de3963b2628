-- docs/internals.md draws the rooms of src/engine and src/binding as
-- tools/rooms.lua finds them.

local path = package.path
package.path = "tools/?.lua;" .. path
local rooms = require "rooms"
package.path = path

local function read(name)
  local file <close> = assert(io.open(name, "rb"))
  return file:read "a"
end

local function sources()
  local list, pipe = {}, assert(io.popen "find src -name '*.[ch]' | sort")
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

describe("docs/internals.md", function()
  local page, tree = read "docs/internals.md", rooms.read(sources(), read)

  for _, folder in ipairs { "engine", "binding" } do
    local section = page:match("\n## The rooms of the " .. folder
      .. "\n(.-)\n## ")
    local drawing = section:match "\n```\n(.-\n)```\n"

    local function drawn()
      local floors, floor = {}, 0
      for line in drawing:gmatch "([^\n]*)\n" do
        floor = floor + 1
        for name in line:gmatch "%S+" do
          assert.is_nil(floors[name], name .. " is drawn twice")
          floors[name] = floor
        end
      end
      return floors
    end

    it("draws each room of " .. folder .. " once, and no other", function()
      local floors, there = drawn(), {}
      for _, name in ipairs(tree.names) do
        local room = name:match("^src/" .. folder .. "/(.*)$")
        if room then
          there[room] = true
          assert.is_truthy(floors[room], room .. " is not drawn")
        end
      end
      for name in pairs(floors) do
        assert.is_truthy(there[name], name
          .. " is drawn, and is no room")
      end
    end)

    it("draws who is called in " .. folder .. " below who calls", function()
      local floors, n = drawn(), 0
      for from, edges in pairs(tree.all) do
        local above = floors[from:match("^src/" .. folder .. "/(.*)$")]
        for to in pairs(above and edges or {}) do
          local below = floors[to:match("^src/" .. folder .. "/(.*)$")]
          if below then
            n = n + 1
            assert.is_true(below > above, to .. " is not below " .. from)
          end
        end
      end
      assert.is_true(n > 20, n)
    end)

    it("says what each room of " .. folder .. " knows", function()
      local told = {}
      for row in section:gmatch "\n| ([^|\n]*) |" do
        for name in row:gmatch "`([%w_]+)`" do told[name] = true end
      end
      for name in pairs(drawn()) do
        assert.is_truthy(told[name], name .. " is in no row")
      end
    end)
  end
end)
