-- Every program of every guide is run by the guide's own spec.

local guide = require "spec.guides.kit"

local function read(path)
  local file = io.open(path)
  local text = file and file:read "a"
  if file then file:close() end
  return text
end

describe("the guides", function()
  local names = {}
  for path in io.popen "ls docs/guides/*.md":lines() do
    names[#names + 1] = path:match "([%w_]+)%.md$"
  end

  it("have programs, each in a file that the guide's spec runs", function()
    assert.is_true(#names >= 7)
    for _, name in ipairs(names) do
      local blocks, page = guide.read(name)
      local spec = assert(read(("spec/guides/%s_spec.lua"):format(name)), name)
      assert.is_truthy(page:find(("](../../spec/guides/%s_spec.lua)"):format(
        name), 1, true), name)
      assert.is_true(#blocks > 0, name)
      local _, fences = page:gsub("\n```", "")
      assert.equal(2 * #blocks, fences, name)
      for _, block in ipairs(blocks) do
        assert.is_string(block.file, name)
        assert(spec:find(block.file, 1, true), name .. ": " .. block.file)
      end
    end
  end)

  it("fit on a page: no program is longer than 110 lines", function()
    for _, name in ipairs(names) do
      for _, block in ipairs(guide.read(name)) do
        local _, lines = block.text:gsub("\n", "")
        assert(lines < 110, name .. ": " .. block.file)
        for line in block.text:gmatch "[^\n]+" do
          assert(utf8.len(line) <= 80, line)
        end
      end
    end
  end)
end)
