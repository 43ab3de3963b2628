-- What is written in library/, read for specs that compare it.
--
--   reference.read(path)   the bytes of a file
--   reference.keys(t...)   the keys of all of them, sorted
--   reference.of(text) -> documented(owner), the functions of a variable as
--     { name = true }, and fields_of(class), its own fields as
--     { name = what follows it }, and the text of the class

local reference = {}

function reference.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

function reference.keys(...)
  local list = {}
  for _, from in ipairs { ... } do
    for key in pairs(from) do list[#list + 1] = key end
  end
  table.sort(list)
  return list
end

function reference.of(library)
  local function documented(owner)
    local found = {}
    for name in library:gmatch("\nfunction " .. owner .. "[.:]([%w_]+)%(") do
      found[name] = true
    end
    return found
  end
  local function fields_of(class)
    local text = library:match("@class " .. class:gsub("%.", "%%.")
      .. "[ :\n](.-)\n[^-]")
    local found = {}
    for name, rest in (text .. "\n"):gmatch "%-%-%-@field ([%w_]+)%??(.-)\n" do
      found[name] = rest
    end
    return found, text
  end
  return documented, fields_of
end

return reference
