-- tools/lint.lua circles and rooms, on small trees made up here.

local lua = os.getenv "LUA" or "lua5.4"
local here = io.popen "pwd":read "l"

local trees = {}

-- A tree with these files; the names without a folder are src/engine's.
local function plant(files)
  local top = os.tmpname()
  os.remove(top)
  trees[#trees + 1] = top
  assert(os.execute(("mkdir -p %s/src/engine %s/src/base %s/fuzz "
    .. "%s/spec/probe"):format(top, top, top, top)))
  for name, text in pairs(files) do
    local path = name:find("/") and name or "engine/" .. name
    local file = assert(io.open(("%s/src/%s"):format(top, path), "wb"))
    file:write(text)
    file:close()
  end
  return top
end

-- What the tool prints, and whether it is content. Folders that are not there
-- are nobody's business.
local function lint(files, what)
  local pipe = assert(io.popen(("cd %s && timeout 60 %s %s/tools/lint.lua %s "
    .. "2>/dev/null"):format(plant(files), lua, here, what or "circles")))
  local text = pipe:read "a"
  return text, pipe:close() == true
end

local function assert_green(files)
  local text, is_green = lint(files)
  assert.equal("ok - lint: circles\nlint: 1 passed, 0 failed\n", text)
  assert.is_true(is_green)
end

local function assert_red(files, complaint)
  local text, is_green = lint(files)
  assert.equal(complaint .. "not ok - lint: circles\n"
    .. "lint: 0 passed, 1 failed\n", text)
  assert.is_false(is_green)
end

-- A header that declares; a file that includes "engine/<name>.h" of each name
-- and calls from one function.
local function header(...)
  local list = { ... }
  for i, name in ipairs(list) do
    list[i] = ("void ws_%s(void);\n"):format(name)
  end
  return table.concat(list)
end

local function file(name, calls, more)
  local list = { ('#include "engine/%s.h"\n'):format(name) }
  for call in (calls or ""):gmatch("%S+") do
    list[#list + 1] = ('#include "engine/%s.h"\n'):format(call)
  end
  list[#list + 1] = ("\nvoid ws_%s(void) {\n"):format(name)
  for call in (calls or ""):gmatch("%S+") do
    list[#list + 1] = ("  ws_%s();\n"):format(call)
  end
  return table.concat(list) .. "}\n" .. (more or "")
end

describe("lint: circles", function()
  teardown(function()
    for _, top in ipairs(trees) do os.execute("rm -r " .. top) end
  end)

  it("lets calls run down", function()
    assert_green { ["a.h"] = header "a", ["a.c"] = file("a", "b c"),
      ["b.h"] = header "b", ["b.c"] = file("b", "c"),
      ["c.h"] = header "c", ["c.c"] = file "c" }
  end)

  it("finds a circle of two, and names the calls", function()
    assert_red({ ["a.h"] = header("a", "more"),
      ["a.c"] = file("a", "b", "\nvoid ws_more(void) {\n}\n"),
      ["b.h"] = header "b", ["b.c"] = [[
#include "engine/b.h"
#include "engine/a.h"

static void (*hook)(void) = ws_more;

void ws_b(void) {
  ws_a();
  hook();
}
]] }, "src/engine: a circle of 2: a, b\n  a.c -> b.c: ws_b\n"
      .. "  b.c -> a.c: ws_a, ws_more\n")
  end)

  it("finds a circle of three, and not those who only call it", function()
    assert_red({ ["a.h"] = header "a", ["a.c"] = file("a", "b"),
      ["b.h"] = header "b", ["b.c"] = file("b", "c"),
      ["c.h"] = header "c", ["c.c"] = file("c", "a low"),
      ["low.h"] = header "low", ["low.c"] = file "low",
      ["top.h"] = header "top", ["top.c"] = file("top", "a b c") },
      "src/engine: a circle of 3: a, b, c\n  a.c -> b.c: ws_b\n"
      .. "  b.c -> c.c: ws_c\n  c.c -> a.c: ws_a\n")
  end)

  it("tells two circles, the smaller one first", function()
    local text = lint { ["a.h"] = header "a", ["a.c"] = file("a", "b"),
      ["b.h"] = header "b", ["b.c"] = file("b", "c"),
      ["c.h"] = header "c", ["c.c"] = file("c", "a"),
      ["y.h"] = header "y", ["y.c"] = file("y", "z"),
      ["z.h"] = header "z", ["z.c"] = file("z", "y") }
    assert.truthy(text:find("^src/engine: a circle of 2: y, z\n"))
    assert.truthy(text:find("\nsrc/engine: a circle of 3: a, b, c\n"))
  end)

  it("takes the inline functions of a header for its room's", function()
    local inline = header "a" .. '#include "engine/b.h"\n'
      .. "static inline void ws_quick(void) {\n  ws_b();\n}\n"
    assert_red({ ["a.h"] = inline, ["a.c"] = file "a", ["b.h"] = header "b",
      ["b.c"] = '#include "engine/b.h"\n#include "engine/a.h"\n'
        .. "void ws_b(void) {\n  ws_quick();\n}\n" },
      "src/engine: a circle of 2: a, b\n  a.h -> b.c: ws_b\n"
      .. "  b.c -> a.h: ws_quick\n")
  end)

  it("takes macros and variables of other files for uses", function()
    assert_red({ ["a.h"] = header "a" .. "#define WS_A(x) \\\n  ws_b(x)\n"
        .. "extern const int ws_number;\n",
      ["a.c"] = file("a", "b", "const int ws_number = 3;\n"),
      ["b.h"] = header "b", ["b.c"] = '#include "engine/a.h"\n'
        .. "void ws_b(void) {\n  WS_A(ws_number);\n}\n" },
      "src/engine: a circle of 2: a, b\n  a.c -> b.c: ws_b\n"
      .. "  a.h -> b.c: ws_b\n  b.c -> a.c: ws_number\n"
      .. "  b.c -> a.h: WS_A\n")
  end)

  it("does not take a table of function pointers for a way up", function()
    assert_green { ["low.h"] = "struct ws_phase {\n  void (*ws_up)(void);\n"
        .. "};\nvoid ws_low(struct ws_phase *p);\n",
      ["low.c"] = '#include "engine/low.h"\n'
        .. "void ws_low(struct ws_phase *p) {\n  p->ws_up();\n}\n",
      ["up.h"] = header "up", ["up.c"] = [[
#include "engine/up.h"
#include "engine/low.h"

void ws_up(void) {
}

static struct ws_phase phase = { .ws_up = ws_up };

void ws_start(void) {
  ws_low(&phase);
}
]] }
  end)

  it("reads neither comments nor strings nor what is a file's own", function()
    assert_green { ["a.h"] = header "a", ["a.c"] = file("a", "b"),
      ["b.h"] = header "b", ["b.c"] = '#include "engine/b.h"\n'
        .. "/* ws_a() */ // ws_a()\nvoid ws_b(void) {\n"
        .. '  puts("ws_a()");\n}\n',
      ["c.h"] = header "c", ["c.c"] = '#include "engine/c.h"\n'
        .. "static void ws_a(void) {\n}\n\nvoid ws_c(void) {\n  ws_a();\n}\n"
    }
  end)

  it("finds a circle through two folders", function()
    local text = lint { ["a.h"] = header "a",
      ["a.c"] = '#include "base/b.h"\nvoid ws_a(void) {\n  ws_b();\n}\n',
      ["base/b.h"] = header "b",
      ["base/b.c"] = '#include "engine/a.h"\n'
        .. "void ws_b(void) {\n  ws_a();\n}\n" }
    assert.truthy(text:find("a circle of 2: b, a\n  a.c -> b.c: ws_b\n"
      .. "  b.c -> a.c: ws_a\n", 1, true))
  end)

  it("finds an include that runs up, and how it comes back", function()
    assert_red({ ["a.h"] = header "a" .. "struct ws_a_part {\n  int n;\n};\n",
      ["a.c"] = file("a", "b"), ["b.h"] = header "b",
      ["b.c"] = '#include "engine/a.h"\nvoid ws_b(void) {\n}\n' },
      "src/engine/b.c includes engine/a.h, which is above it:\n"
      .. "  a.c -> b.c: ws_b\n")
  end)

  it("finds headers that include one another", function()
    assert_red({ ["a.h"] = '#include "engine/b.h"\n',
      ["b.h"] = '#include "engine/c.h"\n',
      ["c.h"] = '#include "engine/a.h"\n' },
      "src/engine/a.h includes engine/b.h, which is above it:\n"
      .. "  src/engine/b.h includes engine/c.h\n"
      .. "  src/engine/c.h includes engine/a.h\n"
      .. "src/engine/b.h includes engine/c.h, which is above it:\n"
      .. "  src/engine/c.h includes engine/a.h\n"
      .. "  src/engine/a.h includes engine/b.h\n"
      .. "src/engine/c.h includes engine/a.h, which is above it:\n"
      .. "  src/engine/a.h includes engine/b.h\n"
      .. "  src/engine/b.h includes engine/c.h\n")
  end)

  it("finds a prototype in a header that is not its file's", function()
    assert_red({ ["a.h"] = header("a", "low", "lower"), ["a.c"] = file "a",
      ["low.c"] = "void ws_low(void) {\n}\n\nint\nws_lower(void) {\n}\n" },
      "src/engine/a.h: declares what low.c defines: ws_low, ws_lower\n")
  end)

  it("finds a prototype in a .c, and one that nobody defines", function()
    assert_red({ ["a.h"] = header("a", "gone"), ["a.c"] = file "a",
      ["b.c"] = "void ws_a(void);\nextern int ws_elsewhere;\n" },
      "src/engine/a.h: ws_gone is defined nowhere\n"
      .. "src/engine/b.c: ws_elsewhere is defined nowhere\n"
      .. "src/engine/b.c: declares what a.c defines: ws_a\n")
  end)

  it("lets a header of another name stand for one file", function()
    assert_green { ["driver.h"] = header("ev", "go"), ["ev.c"] =
      '#include "engine/driver.h"\n\nvoid ws_ev(void) {\n}\n\n'
      .. "__attribute__((format(printf, 1, 2))) void ws_go(void) {\n}\n" }
  end)

  it("does not pass what it cannot read", function()
    assert_red({ ["a.c"] = "void ws_a(void) {\n{\n}\n" },
      "src/engine/a.c: its braces do not close\n")
  end)

  it("prints the floors, a circle in brackets", function()
    local text, is_green = lint({ ["a.h"] = header "a",
      ["a.c"] = file("a", "b c"), ["b.h"] = header "b",
      ["b.c"] = file("b", "c d"), ["c.h"] = header "c",
      ["c.c"] = file("c", "b"), ["d.h"] = header "d", ["d.c"] = file "d",
      ["e.h"] = "", ["base/x.h"] = "" }, "rooms")
    assert.is_true(is_green)
    assert.equal("src/base\n   1  x\nsrc/engine\n   3  a\n   2  [b c]\n"
      .. "   1  d, e\n", text)
  end)
end)
