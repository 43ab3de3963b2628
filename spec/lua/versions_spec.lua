-- What Lua 5.5 takes and 5.4 lets pass: variables of a `for` are constant.

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

-- The same with the variables of each `for` constant; any: what may stand
-- between it and its `do`.
local function strict(text, any)
  return (text:gsub("(%f[%w_]for%s+)([%w_, ]-)(%s+in%s" .. any
    .. "-%f[%w_]do)%f[^%w_]", function(start, names, rest)
      return start .. names .. rest .. " local "
        .. names:gsub("[%w_]+", "%0 <const>") .. " = " .. names .. " "
    end):gsub("(%f[%w_]for%s+)([%w_]+)(%s*=" .. any .. "-%f[%w_]do)%f[^%w_]",
    "%1%2%3 local %2 <const> = %2 "))
end

-- Where one is assigned. The `for` of a comment may spoil the first try, which
-- is why there is a second with those that stand on one line.
local function assigned(text, name)
  for _, any in ipairs { ".", "[^\n]" } do
    local _, why = load(strict(text, any), "@" .. name)
    local where = why and why:match "[^\n]*const variable[^\n]*"
    if where then return where end
  end
end

describe("Lua of either version", function()
  it("is told from what only 5.4 takes", function()
    for _, text in ipairs { "for i = 1, 2 do\ni = 3 end",
      "for _, x in y do for a in b do x = a end end",
      "for a in b do local function f() a = 1 end end",
      "for _, a in ipairs {\n1 } do\n_ = a end",
      "-- for those\nfor a in b do a = 1 end" } do
      assert.is_truthy(assigned(text, "text"), text)
    end
    for _, text in ipairs { "for i = 1, 2 do local i = 3 i = i end",
      "local x for a in b do x = a end", "for k, v in next, t do t[k] = v end",
      "for\na in b do a.b = 1 end" } do
      assert.is_nil(assigned(text, "text"), text)
      assert(load(strict(text, ".")))
    end
  end)

  it("is what every file is written in", function()
    local n, found = 0, {}
    for path in io.popen("find bin bench examples fuzz library lua spec tools"
      .. " '(' -name '*.lua' -o -path bin/evws ')'"
      .. " -not -path '*/node_modules/*'"):lines() do
      n = n + 1
      found[#found + 1] = assigned(read(path):gsub("^#[^\n]*", ""), path)
    end
    assert.same({}, found)
    assert.is_true(n > 150)
  end)
end)
