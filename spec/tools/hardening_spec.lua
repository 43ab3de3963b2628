-- What the compiler and the linker put into the C core against those who find
-- a mistake in it; and that who packages it may say otherwise.

local build = os.getenv "EVWS_BUILD" or "build/release"

-- The sanitizers of these specs are no business of the tools called here.
local function output(command, ...)
  local pipe = assert(io.popen("unset LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS; "
    .. command:format(...)))
  local text = pipe:read "a"
  return pipe:close() and text or nil
end

local has_elf = output "command -v readelf" and output "uname -s" == "Linux\n"
-- Sanitizers and gcov are in the way of some of it.
local is_plain = not require "evws.core".fail_at

local function elf(what)
  return output("readelf -W %s '%s/evws/core.so'", what, build)
end

local clean = "unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL CFLAGS CPPFLAGS"
  .. " LDFLAGS; "

-- The compiler's command, as one word after the other.
local function command(variables)
  return output("%s make -s --no-print-directory flags LUA=%s %s", clean,
    os.getenv "LUA" or "lua5.4", variables or ""):match "[^\n]+"
end

local function is_before(text, one, other)
  local first, second = text:find(one, 1, true), text:find(other, 1, true)
  return first ~= nil and second ~= nil and first < second
end

describe("the C core", function()
  if not has_elf then
    it("is hardened", function() pending "no ELF here, or no readelf" end)
    return
  end

  it("is bound before it runs, and nothing of that can be written", function()
    local segments, dynamic = elf "-l", elf "-d"
    assert.is_truthy(segments:find "GNU_RELRO")
    assert.is_truthy(dynamic:find "BIND_NOW" or dynamic:find "Flags: NOW")
    assert.is_falsy(dynamic:find "TEXTREL")
    assert.is_falsy(dynamic:find "R.-PATH")
  end)

  it("has no memory that can be written and run", function()
    local stack = elf "-l":match "GNU_STACK[^\n]*"
    assert.is_truthy(stack:find "RW " and not stack:find "RWE")
    for line in elf "-l":gmatch "LOAD[^\n]*" do
      assert.is_falsy(line:find "W ?E", line)
    end
  end)

  it("shows nothing but what Lua looks for", function()
    if not is_plain then return pending "a build for tests" end
    local shown = {}
    for line in elf "--dyn-syms":gmatch "[^\n]+" do
      local name = line:match "GLOBAL DEFAULT%s+%d+ ([%w_]+)$"
      if name then shown[#shown + 1] = name end
    end
    assert.same({ "luaopen_evws_core" }, shown)
  end)

  it("watches its stack and the sizes of its copies", function()
    if not is_plain then return pending "a build for tests" end
    local symbols = elf "--dyn-syms"
    assert.is_truthy(symbols:find "UND __stack_chk_fail")
    if output "ldd --version 2>&1":find "GLIBC" then
      assert.is_truthy(symbols:find "UND __[%w_]+_chk@")
    end
  end)

  it("may have a shadow stack where there is one", function()
    if not output "uname -m":find "^x86_64" then
      return pending "of other processors"
    end
    assert.is_truthy(elf "-n":find "SHSTK")
  end)
end)

describe("the Makefile", function()
  it("fortifies, guards and probes stacks of its own accord", function()
    local flags = command()
    for flag in ([[_FORTIFY_SOURCE=3 -fstack-protector-strong
      -fvisibility=hidden]]):gmatch "%S+" do
      assert.is_truthy(flags:find(flag, 1, true), flag)
    end
    if output "uname -s" == "Linux\n" then
      assert.is_truthy(flags:find("-fstack-clash-protection", 1, true))
    end
  end)

  it("leaves the level of fortified functions to a packager", function()
    for _, variable in ipairs { "CPPFLAGS", "CFLAGS" } do
      local flags = command(variable .. "='-O2 -D_FORTIFY_SOURCE=2'")
      assert.is_truthy(flags:find("_FORTIFY_SOURCE=2", 1, true))
      assert.is_falsy(flags:find("_FORTIFY_SOURCE=3", 1, true))
    end
  end)

  it("has none of them without optimization, which only warns", function()
    for _, given in ipairs { "-O0", "-g" } do
      local flags = command(("CFLAGS='%s'"):format(given))
      assert.is_falsy(flags:find("_FORTIFY_SOURCE", 1, true))
    end
  end)

  it("puts a packager's flags behind its own, so that they win", function()
    local flags = command "CFLAGS='-O2 -fno-stack-protector -DOF_OTHERS'"
    assert.is_true(is_before(flags, "-fstack-protector-strong",
      "-fno-stack-protector"))
    assert.is_true(is_before(flags, "-fvisibility=hidden", "-DOF_OTHERS"))
  end)
end)
