-- What can be judged without running the code: lua5.4 tools/lint.lua [check...]
--
--   layers    a file includes only from its own folder or from lower ones;
--             only transport/ev knows libev, only binding/ knows Lua
--   size      src, fuzz, bench: at most 450 lines a file, 80 columns a line
--   calls     src: no unbounded string functions, no alloca, and nobody but
--             base/buf calls the allocator
--   circles   src: the calls and the includes between rooms (tools/rooms.lua)
--             run down, and a header declares what its own .c defines
--   format, tidy, cppcheck, lua    clang-format, clang-tidy, cppcheck, luacheck
--   analyze   src: gcc's -fanalyzer, where cc is gcc; only where it is named
--   scan      src: clang's analyzer; only where it is named
--
-- One line per check, what is wrong above it, and their number at the end.
-- lua5.4 tools/lint.lua rooms prints who stands above whom.

package.path = (arg[0]:match("^.*/") or "") .. "?.lua;" .. package.path
local rooms = require "rooms"
local code_of = require "names".code_of

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function set(names)
  local s = {}
  for name in names:gmatch("%S+") do s[name] = true end
  return s
end

local sources = lines_of("find src -name '*.[ch]' | sort")
local probes = lines_of("find spec/probe -name '*.[ch]' | sort")
local fuzzers = lines_of("find fuzz -name '*.[ch]' | sort")
local benches = lines_of("find bench -name '*.[ch]' | sort")

-- Complaints of the check that runs.
local complaints = {}
local function complain(...)
  complaints[#complaints + 1] = string.format(...)
end

-- Runs a tool; what it prints is shown only when it fails.
local function run(...)
  local command = string.format(...)
  local pipe = assert(io.popen("{ " .. command .. "; } 2>&1"))
  local text = pipe:read("a")
  if not pipe:close() then complain("%s", (text:gsub("%s+$", ""))) end
end

-- Layers.

local layers = { "base", "protocol", "transport", "engine", "binding" }
local height = {}
for i, layer in ipairs(layers) do height[layer] = i end

-- The pure layers: what they may use is listed; elsewhere what is not.
-- (arpa/inet.h is for inet_pton, which only reads text.)
local standard = [[assert.h ctype.h errno.h inttypes.h limits.h math.h
  stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h
  string.h strings.h arm_neon.h cpuid.h emmintrin.h immintrin.h
  smmintrin.h tmmintrin.h]]
local allowed = {
  base = set(standard .. " malloc.h malloc/malloc.h sys/mman.h"),
  protocol = set(standard
    .. " arpa/inet.h openssl/crypto.h openssl/evp.h openssl/hmac.h"
    .. " openssl/sha.h zlib.h"),
}
local lua_headers = set "lua.h lauxlib.h lualib.h"
local sockets = set [[sys/socket.h sys/un.h netinet/in.h netinet/tcp.h
  arpa/inet.h netdb.h poll.h sys/epoll.h]]

local function is_forbidden(layer, path, header)
  if header == "ev.h" then
    return not path:match("^src/transport/ev%.[ch]$")
  end
  if header == "hiredis/read.h" then
    return path ~= "src/protocol/resp.c"
  end
  if lua_headers[header] then return layer ~= "binding" end
  if allowed[layer] then return not allowed[layer][header] end
  if layer == "transport" then return header == "zlib.h" end
  return sockets[header] or header:match("^openssl/")
end

local function check_layers()
  for _, path in ipairs(sources) do
    local layer = path:match("^src/(%w+)/[%w_]+%.[ch]$")
    if not height[layer] then
      complain("%s: not in a layer (%s)", path, table.concat(layers, ", "))
    else
      local n = 0
      for line in (read(path) .. "\n"):gmatch("(.-)\n") do
        n = n + 1
        local mark, header = line:match("^%s*#%s*include%s*([<\"])([^>\"]+)")
        local from = mark == '"' and header:match("^(%w+)/[%w_]+%.h$")
        if mark == "<" and is_forbidden(layer, path, header) then
          complain("%s:%d: <%s> does not belong into %s", path, n, header,
            layer)
        elseif mark == '"' and not height[from] then
          complain("%s:%d: \"%s\" is not layer/file.h", path, n, header)
        elseif mark == '"' and height[from] > height[layer] then
          complain("%s:%d: %s must not know %s", path, n, layer, header)
        end
      end
    end
  end
end

-- Size and calls.

local function check_size()
  local all = table.concat({ table.concat(sources, "\n"), "\n",
    table.concat(fuzzers, "\n"), "\n", table.concat(benches, "\n") })
  for path in all:gmatch("[^\n]+") do
    local n = 0
    for line in read(path):gmatch("([^\n]*)\n") do
      n = n + 1
      local width = utf8.len(line) or #line
      if width > 80 then complain("%s:%d: %d columns", path, n, width) end
      if line:find("[ \t]$") or line:find("\t") then
        complain("%s:%d: a tab, or blanks at the end", path, n)
      end
    end
    if n > 450 then complain("%s: %d lines", path, n) end
  end
end

local banned = set [[sprintf vsprintf strcpy strcat stpcpy gets
  alloca setlocale exit abort]]
local allocator = set [[malloc calloc realloc reallocarray free strdup strndup
  asprintf vasprintf aligned_alloc posix_memalign]]

local function check_calls()
  for _, path in ipairs(sources) do
    local n = 0
    for line in (code_of(read(path)) .. "\n"):gmatch("(.-)\n") do
      n = n + 1
      for before, name in line:gmatch("([^%w_]?)%f[%w_]([%a_][%w_]*)%s*%(") do
        local is_ours = before == "." or before == ">"
        if not is_ours and (banned[name] or
            allocator[name] and not path:match("^src/base/buf%.c$")) then
          complain("%s:%d: %s()", path, n, name)
        end
      end
    end
  end
end

-- Circles.

local function check_circles()
  rooms.check(rooms.read(sources, read), complain)
end

if arg[1] == "rooms" then
  rooms.print(rooms.read(sources, read))
  os.exit(true)
end

-- Other people's tools.

local cpus = lines_of("nproc 2>/dev/null || echo 2")[1]

local function check_format()
  run("status=0; for f in %s %s %s %s; do clang-format \"$f\" |"
    .. " diff -u --label \"$f\" --label formatted \"$f\" - || status=1;"
    .. " done; exit $status", table.concat(sources, " "),
    table.concat(probes, " "), table.concat(fuzzers, " "),
    table.concat(benches, " "))
  if #complaints > 0 then complain("`make format` does it") end
end

-- Of the compiler's command, what clang needs to read the sources.
local function flags()
  local make = os.getenv "MAKE" or "make"
  local list = {}
  local words = lines_of(make .. " -s --no-print-directory flags")[1]
  for flag, value in words:gmatch("(%-%S+)%s*([^%s%-]*)") do
    if flag == "-isystem" then
      list[#list + 1] = flag .. " " .. value
    elseif flag:match("^%-[ID]") or flag:match("^%-std=") then
      list[#list + 1] = flag
    end
  end
  return table.concat(list, " ")
end

-- One file a run: with several, clang 14 forgets va_start in the second.
local function tidy(files, more)
  run("printf '%%s\\n' %s | xargs -P %s -I FILE sh -c"
    .. " 'clang-tidy --quiet FILE -- -Wall -Wextra %s %s 2>/dev/null'",
    table.concat(files, " "), cpus, flags(), more)
end

local function check_tidy()
  tidy(lines_of("find src -name '*.c' -not -path 'src/binding/*' | sort"), "")
  tidy(lines_of("find src/binding -name '*.c' | sort"),
    "-include tools/noreturn.h")
end

-- What is compiled with each file, but by whom; the binding is told what never
-- returns. WS_ANALYZE stands where neither can see what holds.
local function each_file(command)
  run("find src -name '*.c' | LC_ALL=C sort | xargs -P %s -I FILE sh -c '"
    .. "case FILE in src/binding/*) more=\"-include tools/noreturn.h\";;"
    .. " *) more= ;; esac; %s %s -O2 -DWS_ANALYZE -DWS_VERSION=lint $more"
    .. " FILE 2>&1'", cpus, command, flags())
end

local function check_analyze()
  if lines_of("${CC:-cc} -fanalyzer -E -x c /dev/null 2>&1 | grep -c rror")[1]
    == "0" then
    each_file("${CC:-cc} -c -o /dev/null -fanalyzer -Werror"
      .. " -fdiagnostics-plain-output")
  end
end

-- What scan-build would say, without its pages. One of clang's own headers,
-- about shadow stacks, would be complained of: it is left out by its guard.
local function check_scan()
  each_file("clang --analyze --analyzer-output text -Xclang"
    .. " -analyzer-werror -Xclang -analyzer-opt-analyze-headers"
    .. " -D__CETINTRIN_H")
end

local function check_cppcheck()
  run("cppcheck -q -j %s --std=c11 --language=c --inline-suppr"
    .. " --enable=warning,performance,portability --error-exitcode=1"
    .. " --suppress=missingIncludeSystem --suppress=missingInclude"
    .. " --suppress=unmatchedSuppression -Isrc"
    -- it knows no __has_include, and takes (n < 8) above for a hint
    .. " --suppress=preprocessorErrorDirective"
    .. " --suppress=pointerOutOfBoundsCond src", cpus)
end

local function check_lua()
  run("luacheck -q --no-color %s", table.concat(lines_of(
    "find lua examples spec tools bench fuzz library bin/evws "
    .. "'(' -name '*.lua' -o -path bin/evws ')' "
    .. "-not -path '*/node_modules/*' 2>/dev/null | sort"), " "))
end

local checks = {
  { "layers", check_layers }, { "size", check_size }, { "calls", check_calls },
  { "circles", check_circles },
  { "format", check_format }, { "tidy", check_tidy },
  { "cppcheck", check_cppcheck }, { "lua", check_lua },
  { "analyze", check_analyze, is_on_demand = true },
  { "scan", check_scan, is_on_demand = true },
}

local wanted = #arg > 0 and set(table.concat(arg, " ")) or nil
local passed, failed = 0, 0
for _, check in ipairs(checks) do
  local name, judge = check[1], check[2]
  if wanted and wanted[name] or not wanted and not check.is_on_demand then
    complaints = {}
    judge()
    if #complaints == 0 then
      passed = passed + 1
      print("ok - lint: " .. name)
    else
      failed = failed + 1
      print(table.concat(complaints, "\n"))
      print("not ok - lint: " .. name)
    end
    io.stdout:flush()
    if wanted then wanted[name] = nil end
  end
end
for name in pairs(wanted or {}) do
  print("not ok - lint: there is no check called " .. name)
  failed = failed + 1
end
print(("lint: %d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
