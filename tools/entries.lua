-- Lists of code with reasons, for tools/coverage.lua and tools/mutate.lua: the
-- path of a file; two blanks deep, a line of code without the blanks around
-- it; below that, four deep, the reason.

local entries = {}

-- A list of { file, code, reason }, and a function that finds one of them by
-- its file and code.
function entries.read(path)
  local list, by_place, file = {}, {}, nil
  for line in io.lines(path) do
    local blanks, text = line:match "^( *)(.-)%s*$"
    if text ~= "" and not text:find "^#" then
      if #blanks == 0 then
        file = text
      elseif #blanks == 2 then
        list[#list + 1] = { file = file, code = text }
        by_place[file .. "\0" .. text] = list[#list]
      else
        local entry = list[#list]
        entry.reason = entry.reason and entry.reason .. " " .. text or text
      end
    end
  end
  for _, one in ipairs(list) do
    assert(one.reason, path .. ": " .. one.code .. ": no reason stands below")
  end
  return list, function(where, code) return by_place[where .. "\0" .. code] end
end

return entries
