-- tools/mutants.lua: what could be changed in a text, and that only that is.

local path = package.path
package.path = "tools/?.lua;" .. path
local mutants = require "mutants"
package.path = path

-- The changed texts of a line of code, sorted.
local function changed(name, text)
  local list = {}
  for _, one in ipairs(mutants.of(name, text)) do
    list[#list + 1] = text:sub(1, one.first - 1) .. one.text
      .. text:sub(one.last + 1)
  end
  table.sort(list)
  return list
end

local function sorted(list)
  table.sort(list)
  return list
end

describe("mutants of C", function()
  it("are operators, limits and conditions", function()
    assert.same(sorted { "if (a <= 9) f();", "if (a < 10) f();",
      "if (a < 8) f();", "if (!(a < 9)) f();" },
      changed("x.c", "if (a < 9) f();"))
    assert.same({ "x = a && b;" }, changed("x.c", "x = a || b;"))
  end)

  it("are a comparison once", function()
    assert.same({ "if (a != b) f();" }, changed("x.c", "if (a == b) f();"))
  end)

  it("are statements that go, and no declarations", function()
    assert.same({ "\n{\n  ;\n}\n" }, changed("x.c", "\n{\n  f(a);\n}\n"))
    assert.same({ "{\n  ;\n}\n" }, changed("x.c", "{\n  a->b = c;\n}\n"))
    assert.same({}, changed("x.c", "{\n  int b = c;\n}\n"))
    assert.same({}, changed("x.c", "{\n  x = f(a,\n    g(b));\n}\n"))
  end)

  it("are in no comment, text or directive of the preprocessor", function()
    assert.same({}, changed("x.c", '/* a < 9 */ f("a < 9", \'<\');'))
    assert.same({}, changed("x.c", "#include <a9.h>\n#if A > 9\n#endif"))
    assert.same({ "#define A 3", "#define A 5" },
      changed("x.c", "#define A 4"))
  end)

  it("are no widths of bits, and no part of another number", function()
    assert.same({}, changed("x.c", "unsigned a : 3;"))
    assert.same({}, changed("x.c", "f(0x1F, 1.5, a9, 9u);"))
  end)

  it("say where they are, and what stands there", function()
    local one = mutants.of("x.c", "\n\n  return a + b;")[1]
    assert.equal(3, one.line)
    assert.equal("return a + b;", one.was)
    assert.equal("return a - b;", one.code)
  end)
end)

describe("mutants of Lua", function()
  it("are operators, limits and conditions", function()
    assert.same(sorted { "if a ~= b then f() end" },
      changed("x.lua", "if a == b then f() end"))
    assert.same(sorted { "if a or b then f() end",
      "if not (a and b) then f() end" },
      changed("x.lua", "if a and b then f() end"))
  end)

  it("are in no comment and no text", function()
    assert.same({}, changed("x.lua", "-- a and 9\nf('9', \"a < b\")"))
    assert.same({}, changed("x.lua", "--[[ 9 < 8\n 7 ]] f([==[ 9 ]] 8 ]==])"))
    assert.same({}, changed("x.lua", "f 'it\\'s 9 < 8'"))
  end)

  it("are statements that go", function()
    assert.same({ "do\n  \nend\n" }, changed("x.lua", "do\n  f(a)\nend\n"))
    assert.same({ "do\n  \nend\n" }, changed("x.lua", "do\n  a.b = c\nend\n"))
    assert.same({}, changed("x.lua", "do\n  local b = c\nend\n"))
    assert.same({}, changed("x.lua", "do\n  f(a)\n    .b = c\nend\n"))
  end)
end)
