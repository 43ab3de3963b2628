-- The rooms of src, for tools/lint.lua: who stands above whom, and what is
-- wrong with it.
--
-- A room is x.c and x.h, or one of them alone; a header that has no x.c
-- belongs to the file that defines all it declares, if that has no header of
-- its own. A room stands above another when it names (calls, or takes the
-- address of) what the other defines: functions, variables, the inline
-- functions and macros of its header. What is called through a pointer is no
-- edge: that is the way up. What is included stands below, too, used or not.

local names = require "names"

local rooms = {}

local note = names.note

local function base(path)
  return path:match("[^/]+$")
end

local function folder(path)
  return path:match("^(.*)/")
end

-- A header without a .c joins the one headerless file that defines all it
-- declares.
local function join_headers(tree)
  local joined = {}
  for _, file in ipairs(tree.files) do
    local stem = file.path:match("^(.*)%.h$")
    if stem and not tree.by_path[stem .. ".c"] then
      local home
      for _, name in ipairs(file.declares) do
        local at = tree.defined[name]
        local definer = at and at[1]
        if not definer or home and home ~= definer then
          home = nil
          break
        end
        home = definer
      end
      local other = home and home.path:match("^(.*)%.c$")
      if other and not tree.by_path[other .. ".h"]
        and folder(other) == folder(stem) and not joined[other] then
        joined[other], file.room = stem, other
      end
    end
  end
end

-- Reads the files; read(path) gives a text.
function rooms.read(paths, read)
  local tree = { files = {}, by_path = {}, defined = {}, names = {} }
  for _, path in ipairs(paths) do
    local file = names.read(path, read(path))
    file.room = path:gsub("%.[ch]$", "")
    tree.files[#tree.files + 1], tree.by_path[path] = file, file
    for _, name in ipairs(file.defines) do
      local at = tree.defined[name] or {}
      tree.defined[name] = at
      at[#at + 1] = file
    end
  end
  join_headers(tree)
  local seen = {}
  for _, file in ipairs(tree.files) do
    if not seen[file.room] then
      seen[file.room] = true
      tree.names[#tree.names + 1] = file.room
    end
  end
  rooms.link(tree)
  return tree
end

local function edge(graph, from, to)
  graph[from] = graph[from] or {}
  graph[from][to] = graph[from][to] or { from = from, to = to, why = {} }
  return graph[from][to]
end

-- tree.calls: room -> room -> why; tree.all: with the includes.
function rooms.link(tree)
  tree.calls, tree.all = {}, {}
  for _, file in ipairs(tree.files) do
    for _, name in ipairs(file.uses) do
      for _, other in ipairs(not file.own[name] and tree.defined[name] or {})
      do
        if other.room ~= file.room then
          local pair = base(file.path) .. " -> " .. base(other.path)
          local why = edge(tree.calls, file.room, other.room).why
          note(why, pair, why[pair] or {})
          table.insert(why[pair], name)
          edge(tree.all, file.room, other.room)
        end
      end
    end
    for _, path in ipairs(file.includes) do
      local header = tree.by_path[path]
      if header and header.room ~= file.room then
        local one = edge(tree.all, file.room, header.room)
        one.include = one.include
          or ("%s includes %s"):format(file.path, path:gsub("^src/", ""))
      end
    end
  end
end

-- The strongly connected components (Tarjan); the rooms below come first.
local function components(list_of, graph)
  local list, stack, index, low, on, n = {}, {}, {}, {}, {}, 0
  local function visit(v)
    n = n + 1
    index[v], low[v], on[v] = n, n, true
    stack[#stack + 1] = v
    local next_ones = {}
    for w in pairs(graph[v] or {}) do next_ones[#next_ones + 1] = w end
    table.sort(next_ones)
    for _, w in ipairs(next_ones) do
      if not index[w] then
        visit(w)
        low[v] = math.min(low[v], low[w])
      elseif on[w] then
        low[v] = math.min(low[v], index[w])
      end
    end
    if low[v] == index[v] then
      local one = {}
      repeat
        local w = table.remove(stack)
        on[w] = nil
        one[#one + 1] = w
      until w == v
      table.sort(one)
      list[#list + 1] = one
    end
  end
  for _, name in ipairs(list_of) do
    if not index[name] then visit(name) end
  end
  return list
end

-- The shortest way from one room to another, as edges.
local function way(graph, from, to)
  local came, queue, n = { [from] = true }, { from }, 1
  while queue[n] do
    local next_ones = {}
    for w in pairs(graph[queue[n]] or {}) do next_ones[#next_ones + 1] = w end
    table.sort(next_ones)
    for _, w in ipairs(next_ones) do
      if not came[w] then
        came[w] = queue[n]
        queue[#queue + 1] = w
      end
    end
    n = n + 1
  end
  local list = {}
  while came[to] and to ~= from do
    table.insert(list, 1, graph[came[to]][to])
    to = came[to]
  end
  return list
end

local function in_words(why)
  local list = {}
  for _, pair in ipairs(why) do
    table.sort(why[pair])
    list[#list + 1] = { #why[pair],
      ("%s: %s"):format(pair, table.concat(why[pair], ", ")) }
  end
  return list
end

local function complain_of_circles(tree, complain)
  local at = {}
  local circles = {}
  for _, one in ipairs(components(tree.names, tree.calls)) do
    for _, name in ipairs(one) do at[name] = one end
    if #one > 1 then circles[#circles + 1] = one end
  end
  table.sort(circles, function(a, b)
    return #a < #b or #a == #b and a[1] < b[1]
  end)
  for _, one in ipairs(circles) do
    local lines, short = {}, {}
    for _, from in ipairs(one) do
      short[#short + 1] = base(from)
      for to, e in pairs(tree.calls[from]) do
        if at[to] == one then
          for _, words in ipairs(in_words(e.why)) do
            lines[#lines + 1] = words
          end
        end
      end
    end
    table.sort(lines, function(a, b)
      return a[1] < b[1] or a[1] == b[1] and a[2] < b[2]
    end)
    complain("%s: a circle of %d: %s", folder(one[1]), #one,
      table.concat(short, ", "))
    for _, line in ipairs(lines) do complain("  %s", line[2]) end
  end
  return at
end

-- Includes that run up: without a use, of a room that is above.
local function complain_of_includes(tree, circle, complain)
  local whole = {}
  for _, one in ipairs(components(tree.names, tree.all)) do
    for _, name in ipairs(one) do whole[name] = one end
  end
  for _, from in ipairs(tree.names) do
    for _, to in ipairs(tree.names) do
      local e = tree.all[from] and tree.all[from][to]
      local is_used = tree.calls[from] and tree.calls[from][to]
      if e and not is_used and whole[from] == whole[to]
        and circle[from] ~= circle[to] then
        local steps = {}
        for _, step in ipairs(way(tree.all, to, from)) do
          local call = tree.calls[step.from] and tree.calls[step.from][step.to]
          steps[#steps + 1] = call and in_words(call.why)[1][2]
            or step.include
        end
        complain("%s, which is above it:\n  %s", e.include,
          table.concat(steps, "\n  "))
      end
    end
  end
end

-- What is declared elsewhere than where it is defined.
local function complain_of_headers(tree, complain)
  for _, file in ipairs(tree.files) do
    local by = {}
    for _, name in ipairs(file.declares) do
      local definers = tree.defined[name]
      if not definers then
        complain("%s: %s is defined nowhere", file.path, name)
      else
        for _, definer in ipairs(definers) do
          local is_home = definer == file
            or definer.room == file.room and file.path:find("%.h$")
          if not is_home then
            note(by, definer.path, by[definer.path] or {})
            table.insert(by[definer.path], name)
          end
        end
      end
    end
    for _, path in ipairs(by) do
      complain("%s: declares what %s defines: %s", file.path, base(path),
        table.concat(by[path], ", "))
    end
  end
end

function rooms.check(tree, complain)
  for _, file in ipairs(tree.files) do
    if not file.is_whole then
      complain("%s: its braces do not close", file.path)
    end
  end
  local circle = complain_of_circles(tree, complain)
  complain_of_includes(tree, circle, complain)
  complain_of_headers(tree, complain)
end

-- The floors of each folder, the highest first; what is in a circle stands in
-- brackets.
function rooms.print(tree)
  local floor, by_folder, folders = {}, {}, {}
  for _, one in ipairs(components(tree.names, tree.all)) do
    local height, here = 1, {}
    for _, name in ipairs(one) do here[name] = true end
    for _, name in ipairs(one) do
      for to in pairs(tree.all[name] or {}) do
        if not here[to] and folder(to) == folder(name) then
          height = math.max(height, floor[to] + 1)
        end
      end
    end
    local short = {}
    for i, name in ipairs(one) do
      floor[name] = height
      short[i] = base(name)
    end
    local at = folder(one[1])
    if not by_folder[at] then
      by_folder[at] = {}
      folders[#folders + 1] = at
    end
    local floors = by_folder[at]
    for i = #floors + 1, height do floors[i] = {} end
    local words = table.concat(short, " ")
    table.insert(floors[height], #one > 1 and "[" .. words .. "]" or words)
  end
  table.sort(folders)
  for _, at in ipairs(folders) do
    print(at)
    for height = #by_folder[at], 1, -1 do
      table.sort(by_folder[at][height])
      print(("  %2d  %s"):format(height,
        table.concat(by_folder[at][height], ", ")))
    end
  end
end

return rooms
