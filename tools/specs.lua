-- Runs specs, each file in a process of its own, so that no file meets the
-- deadlines, descriptors and garbage of another: specs.lua <file or
-- directory>... -- <command of busted>. Says what busted says in the end, of
-- all. A process that ends badly without a failed spec is an error (a crash,
-- a sanitizer's report).

local paths, command = {}, {}
do
  local at = paths
  for _, word in ipairs(arg) do
    if word == "--" and at == paths then
      at = command
    else
      at[#at + 1] = word
    end
  end
end

local function has(word)
  for _, each in ipairs(command) do
    if each == word then return true end
  end
  return false
end

local function quoted(words)
  local list = {}
  for i, word in ipairs(words) do
    list[i] = "'" .. word:gsub("'", "'\\''") .. "'"
  end
  return table.concat(list, " ")
end

local function files_of(list)
  local files = {}
  for _, path in ipairs(list) do
    local before, name = #files, quoted { path }
    local pipe <close> = assert(io.popen(("find %s -type f"
      .. " '(' -name '*_spec.lua' -o -path %s ')' | LC_ALL=C sort")
      :format(name, name)))
    for file in pipe:lines() do files[#files + 1] = file end
    if #files == before then
      io.stderr:write("no spec: ", path, "\n")
      os.exit(2)
    end
  end
  return files
end

local number = "(%d+)"
local summary = "^" .. number .. " success%a* / " .. number .. " failures? / "
  .. number .. " errors? / " .. number .. " pending : ([%d.]+)"

-- What a line of busted's own says in numbers, or nil.
local function counts(line)
  local plain = line:gsub("\27%[[%d;]*m", "")
  local all = { plain:match(summary) }
  for i, each in ipairs(all) do all[i] = tonumber(each) end
  return all[1] and all
end

-- Runs one file; shows what it says but for its marks and its sum.
local function run(file)
  io.write(file, "\n")
  local own = { 0, 0, 0, 0, 0 }
  local child = assert(io.popen(quoted(command) .. " " .. quoted { file }
    .. " 2>&1"))
  for line in child:lines() do
    local found = counts(line)
    if found then
      own = found
    elseif line:find "[^%s%+%-%*%.◼◘●◌]" then
      io.write(line, "\n")
    end
  end
  local ended, how, code = child:close()
  if not ended and own[2] + own[3] == 0 then
    own[3] = 1
    io.write(("Error -> %s: the process ended with %s %d\n"):format(file, how,
      code))
  end
  return own
end

if #paths == 0 then paths[1] = "spec" end
local files = files_of(paths)
if #files == 1 or has "TAP" then
  local _, _, code = os.execute(quoted(command) .. " " .. quoted(files))
  os.exit(code)
end

local sum = { 0, 0, 0, 0, 0 }
for _, file in ipairs(files) do
  for i, n in ipairs(run(file)) do sum[i] = sum[i] + n end
  if has "--no-keep-going" and sum[2] + sum[3] > 0 then break end
end
io.write(("%d successes / %d failures / %d errors / %d pending : "
  .. "%.1f seconds\n"):format(table.unpack(sum)))
os.exit(sum[2] + sum[3] == 0 and sum[1] > 0)
