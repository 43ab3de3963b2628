-- What the specs have reached of src, as `make coverage` has noted it:
--
--   lua5.4 tools/coverage.lua <build>
--
-- Prints lines and branches by folder; writes <build>/missed.txt, a line for
-- each that has a side nobody took, and <build>/reached.info, of which lcov's
-- genhtml makes <build>/report.
--
-- tools/unreachable.txt names what only a broken promise of our own could
-- reach, each with its reason: that counts neither way. An entry whose text
-- stands nowhere in its file, or has been reached, is complained of.

package.path = (arg[0]:match("^.*/") or "") .. "?.lua;" .. package.path
local entries = require "entries"
local json = require "cjson"

local build = arg[1] or "build/coverage"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

local excuses, entry_of = entries.read "tools/unreachable.txt"

local function lines_of(path)
  local list = {}
  for line in (read(path) .. "\n"):gmatch "(.-)\r?\n" do
    list[#list + 1] = line:match "^%s*(.-)%s*$"
  end
  return list
end

-- What gcov says of all objects: by path and number of the line { count =,
-- sides = { count of each } }. Lines of headers are summed over who includes
-- them.
local function read_counts()
  local files = {}
  local pipe = assert(io.popen(("find %s/src -name '*.gcno' | LC_ALL=C sort"
    .. " | xargs gcov -t -j -b 2>/dev/null"):format(build)))
  local function add(file, one)
    local n = one.line_number
    local line = file[n] or { count = 0, sides = {} }
    file[n] = line
    line.count = line.count + one.count
    for i, side in ipairs(one.branches) do
      line.sides[i] = (line.sides[i] or 0) + side.count
    end
  end
  for text in pipe:lines() do
    for _, of_file in ipairs(json.decode(text).files) do
      local path = of_file.file
      if path:find "^src/" then
        files[path] = files[path] or {}
        for _, one in ipairs(of_file.lines) do add(files[path], one) end
      end
    end
  end
  assert(pipe:close(), "gcov has failed")
  return files
end

local rooms, by_room = {}, {}

local function room_of(path)
  local name = path:match "^(.*)/"
  if not by_room[name] then
    by_room[name] = { name = name, lines = 0, seen = 0, sides = 0, taken = 0 }
    rooms[#rooms + 1] = by_room[name]
  end
  return by_room[name]
end

local missed, info = {}, {}

local function miss(path, number, what, code)
  missed[#missed + 1] = ("%s:%d: %s: %s"):format(path, number, what, code)
end

-- Of an excused line, what nobody took is no side of it.
local function excuse(line, entry)
  local kept = {}
  for _, count in ipairs(line.sides) do
    if count > 0 then kept[#kept + 1] = count end
  end
  entry.is_found = true
  entry.is_used = entry.is_used or #kept < #line.sides or line.count == 0
  line.sides = kept
  return line.count == 0
end

-- Lua's macros ask what luaL_argerror returns, which does not return, or
-- luaL_prepbuffsize, which does so with memory alone: the last two sides.
local function leave_out_macros(line, code)
  if code:find "luaL_argcheck%(" or code:find "luaL_argexpected%("
    or code:find "luaL_addchar%(" then
    table.remove(line.sides)
    table.remove(line.sides)
  end
end

local function add_line(path, number, line, code, room)
  local entry, taken = entry_of(path, code), 0
  leave_out_macros(line, code)
  if entry and excuse(line, entry) then return end
  for i, count in ipairs(line.sides) do
    if count > 0 then taken = taken + 1 end
    info[#info + 1] = ("BRDA:%d,0,%d,%s"):format(number, i - 1,
      line.count > 0 and count or "-")
  end
  info[#info + 1] = ("DA:%d,%d"):format(number, line.count)
  room.lines, room.sides = room.lines + 1, room.sides + #line.sides
  room.seen = room.seen + (line.count > 0 and 1 or 0)
  room.taken = room.taken + taken
  if line.count == 0 then
    miss(path, number, "never run", code)
  elseif taken < #line.sides then
    miss(path, number, ("%d of %d sides"):format(taken, #line.sides), code)
  end
end

local function add_file(path, lines)
  local room, code, numbers = room_of(path), lines_of(path), {}
  for number in pairs(lines) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  info[#info + 1] = "SF:" .. path
  for _, number in ipairs(numbers) do
    add_line(path, number, lines[number], code[number] or "", room)
  end
  info[#info + 1] = "end_of_record"
end

local function percent(part, whole)
  return whole == 0 and "-" or ("%.1f %%"):format(
    math.floor(part * 1000 / whole) / 10) -- 100 % is all of it
end

local function print_table()
  local all = { name = "src", lines = 0, seen = 0, sides = 0, taken = 0 }
  table.sort(rooms, function(a, b) return a.name < b.name end)
  for _, room in ipairs(rooms) do
    for key, value in pairs(room) do
      if key ~= "name" then all[key] = all[key] + value end
    end
  end
  rooms[#rooms + 1] = all
  print(("%-16s %8s %14s %8s %14s"):format("", "lines", "", "branches", ""))
  for _, room in ipairs(rooms) do
    print(("%-16s %8s %14s %8s %14s"):format(room.name,
      percent(room.seen, room.lines),
      ("%d/%d"):format(room.seen, room.lines),
      percent(room.taken, room.sides),
      ("%d/%d"):format(room.taken, room.sides)))
  end
end

local function complain_of_entries()
  for _, entry in ipairs(excuses) do
    local why = not entry.is_found and "stands nowhere in its file"
      or not entry.is_used and "is reached"
    if why then
      print(("tools/unreachable.txt: %s: %s: %s"):format(entry.file,
        entry.code, why))
    end
  end
end

local counts, paths = read_counts(), {}
for path in pairs(counts) do paths[#paths + 1] = path end
table.sort(paths)
for _, path in ipairs(paths) do add_file(path, counts[path]) end
write(build .. "/missed.txt", table.concat(missed, "\n") .. "\n")
write(build .. "/reached.info", table.concat(info, "\n") .. "\n")
complain_of_entries()
print_table()
local has_pages = os.execute(("genhtml -q --branch-coverage -t evws -o"
  .. " %s/report %s/reached.info >/dev/null 2>%s/genhtml.log"):format(build,
  build, build))
print(("what is missed: %s/missed.txt%s"):format(build, has_pages
  and (", %s/report/index.html"):format(build) or "; genhtml has failed"))
