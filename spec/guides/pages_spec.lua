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

-- What is named there as being of evws is: "`conn:send(...)`, `conn.state`".
describe("docs/coming-from.md", function()
  it("names what there is", function()
    local library, n = read "library/evws.lua", 0
    local page = read "docs/coming-from.md"
    for right in page:gmatch "\n|[^\n]- | ([^\n]-) |" do
      for code in right:gmatch "`([^`]+)`" do
        for owner, name in code:gmatch "(%l+)[.:]([%l_]+)" do
          if ("ws conn server request"):find(owner, 1, true) then
            n = n + 1
            assert(library:find("\nfunction " .. owner .. "[.:]" .. name
              .. "%(") or library:find("@field " .. name .. "[? ]"),
              owner .. " " .. name)
          end
        end
        local option = code:match "^([%l_]+)$"
        for name in (code:match "^%b{}$" or code:match "[({].*[})]" or "")
          :gmatch "[{,] ?([%l_]+) =" do
          n = n + 1
          assert(library:find("@field " .. name .. "[? ]"), name)
        end
        if option and option:find "_" then
          n = n + 1
          assert(library:find("@field " .. option .. "[? ]"), option)
        end
      end
    end
    assert.is_true(n > 100)
  end)
end)
