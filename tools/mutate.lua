-- Do the specs notice when a line is wrong? `make mutate`:
--
--   lua5.4 tools/mutate.lua <n> <seed> [file or folder...]
--
-- Takes n changes by the seed out of all that tools/mutants.lua finds in
-- src/*/*.c and lua/, or in what is named, and builds each in a copy of the
-- tree (build/mutants), where the specs of its room judge it, file by file
-- until one fails twice: `rooms` below. ALL=1 in the environment: then all
-- others. What ends in the same object code is nobody's fault and does not
-- count, nor what tools/equivalent.txt lists with a reason. A spec that has
-- failed is run on the unchanged tree, once: one that fails there, too, judges
-- nothing.
--
-- Prints a line for each, names who survived, and ends with 1 where that are
-- more than one in twenty.

package.path = (arg[0]:match("^.*/") or "") .. "?.lua;" .. package.path
local entries = require "entries"
local mutants = require "mutants"

local most, seed = tonumber(arg[1]) or 20, tonumber(arg[2]) or 1
local wanted = table.move(arg, 3, #arg, 1, {})
local is_all = os.getenv "ALL" == "1"
local limit = 120 -- seconds for one file of specs
local tree = "build/mutants"

-- The longest that fits: specs of a room, and of who calls it most.
local rooms = {
  ["src/base"] = "base protocol transport",
  ["src/protocol"] = "protocol bad_inputs",
  ["src/transport"] = "transport engine",
  ["src/engine"] = "engine binding regress",
  ["src/binding"] = "binding bad_inputs regress",
  ["lua/evws.lua"] = "binding bad_inputs lua",
  ["lua/evws"] = "lua signalr bin",
  ["lua/evws/channels"] = "channels",
  ["lua/evws/signalr"] = "signalr",
  ["lua/evws/serve"] = "serve bin",
  ["lua/evws/worker"] = "serve binding",
  ["lua/evws/command"] = "bin",
}

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function lines_of(command)
  local list, pipe = {}, assert(io.popen(command))
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local function succeeds(...)
  return os.execute(string.format(...)) == true
end

-- A mutant may kill any process but for its own ones only where it sees no
-- others.
local apart = "unshare --pid --fork --kill-child --mount-proc"
if not succeeds("%s true 2>/dev/null", apart) then apart = "" end

local flags = ("SETUP=: BUILD=build/release CFLAGS=-O2 CC=%q"):format(
  succeeds "command -v ccache >/dev/null" and "ccache cc" or "cc")

local function make(what)
  return succeeds("cd %s && make -s %s %s >make.log 2>&1", tree, flags, what)
end

local function passes(spec)
  return succeeds("cd %s && ulimit -v 8000000 && exec timeout -k 5 %d %s"
    .. " make -s %s run-specs SPEC=%s BUSTED_FLAGS='--no-keep-going"
    .. " -o plainTerminal' >spec.log 2>&1 </dev/null", tree, limit, apart,
    flags, spec)
end

local function plant()
  assert(succeeds("rm -rf %s/src %s/lua && mkdir -p %s && tar -cf -"
    .. " --exclude=./build --exclude=./.git --exclude=node_modules ."
    .. " | tar -xmf - -C %s", tree, tree, tree, tree))
  assert(make "build-all", tree .. "/make.log says what failed")
end

-- Of which mutants a sample is taken.
local function is_wanted(path)
  if apart == "" and read(path):find "[^%w_]kill%(" then return false end
  for _, prefix in ipairs(wanted) do
    if path:sub(1, #prefix) == prefix then return true end
  end
  return #wanted == 0
end

local function find_mutants()
  local all = {}
  for _, path in ipairs(lines_of(
    "find src lua -name '*.c' -o -name '*.lua' | LC_ALL=C sort")) do
    if is_wanted(path) then
      for _, one in ipairs(mutants.of(path, read(path))) do
        one.path = path
        all[#all + 1] = one
      end
    end
  end
  return all
end

-- The first n of a shuffle; more of the same seed begin with the same.
local function sample(all, n)
  math.randomseed(seed)
  for i = 1, math.min(n, #all) do
    local other = math.random(i, #all)
    all[i], all[other] = all[other], all[i]
  end
  return table.move(all, 1, math.min(n, #all), 1, {})
end

local function rooms_of(path)
  local found = ""
  for prefix in pairs(rooms) do
    if path:sub(1, #prefix) == prefix and #prefix > #found then
      found = prefix
    end
  end
  return rooms[found]
end

-- The specs for a file: those with its name, wherever they stand, then those
-- of its rooms.
local function specs_of(path)
  local stem, list, known = path:match "([%w_]+)%.%w+$", {}, {}
  local function add(folders, pattern)
    for folder in folders:gmatch "%S+" do
      for _, path_of in ipairs(lines_of(("cd spec && find %s -name"
        .. " '*_spec.lua' | LC_ALL=C sort"):format(folder))) do
        local spec = "spec/" .. path_of:gsub("^%./", "")
        if not spec:find "/tools/" and not known[spec]
          and spec:match("[^/]+$"):find(pattern) then
          known[spec] = true
          list[#list + 1] = spec
        end
      end
    end
  end
  add(rooms_of(path), "%f[%w]" .. stem .. "%f[^%w]")
  add(".", "%f[%w]" .. stem .. "%f[^%w]")
  add(rooms_of(path), "")
  if is_all then add(".", "") end
  return list
end

local useless, proven = {}, {} -- specs that fail unchanged, or do not

local function who_kills(one)
  for _, spec in ipairs(specs_of(one.path)) do
    if not useless[spec] and not passes(spec) and not passes(spec) then
      return spec
    end
  end
  return nil
end

local function change(one, text)
  write(tree .. "/" .. one.path, text)
  return one.path:find "%.lua$" and true or make "build-all"
end

local function object_of(one)
  if one.path:find "%.lua$" then return nil end
  return read(("%s/build/release/%s"):format(tree,
    one.path:gsub("%.c$", ".o")))
end

-- "killed" and by whom; "survived"; or why it does not count.
local function judge(one)
  local text = read(one.path)
  local is = text:sub(1, one.first - 1) .. one.text
    .. text:sub(one.last + 1)
  if one.path:find "%.lua$" and not load(is) then return "unbuilt" end
  local before = object_of(one)
  local verdict, spec
  repeat
    local is_doubtful = false
    if not change(one, is) then
      verdict = "unbuilt"
    elseif before and object_of(one) == before then
      verdict = "same"
    else
      spec = who_kills(one)
      verdict = spec and "killed" or "survived"
    end
    assert(change(one, text), "the unchanged tree does not build")
    if spec and not proven[spec] then
      proven[spec] = passes(spec)
      useless[spec] = not proven[spec]
      is_doubtful = useless[spec]
      if is_doubtful then print(spec .. " fails on the unchanged tree") end
    end
  until not is_doubtful
  return verdict, spec
end

local _, listed = entries.read "tools/equivalent.txt"

local function in_words(one)
  return ("%s:%d: %s  =>  %s"):format(one.path, one.line, one.was, one.code)
end

print(("mutate: %d by seed %d"):format(most, seed))
plant()
local counts = { killed = 0, survived = 0, same = 0, unbuilt = 0, listed = 0 }
local survivors = {}
for i, one in ipairs(sample(find_mutants(), most)) do
  local verdict, spec = "listed", nil
  if not listed(one.path, one.code) then verdict, spec = judge(one) end
  counts[verdict] = counts[verdict] + 1
  if verdict == "survived" then survivors[#survivors + 1] = one end
  print(("%3d %-8s %s%s"):format(i, verdict, in_words(one),
    spec and "  (" .. spec .. ")" or ""))
  io.stdout:flush()
end
for _, one in ipairs(survivors) do print("survived: " .. in_words(one)) end
print(("of the others %d came to the same code, %d are listed as"
  .. " equivalent, %d did not build"):format(counts.same, counts.listed,
  counts.unbuilt))
print(("mutate: %d passed, %d failed"):format(counts.killed, counts.survived))
os.exit(counts.survived * 20 <= counts.killed + counts.survived)
