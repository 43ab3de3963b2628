-- query.lua: ws.parse_query: what stands behind the `?` of a URL, as pages send
-- it (application/x-www-form-urlencoded of the URL standard, 5.1).

local char, find, gmatch, gsub = string.char, string.find, string.gmatch,
  string.gsub

local most = 256 -- pairs that are looked at

-- What is no escape stays as it is.
local function decode(text)
  if not find(text, "[%%+]") then return text end
  return (gsub(gsub(text, "%+", " "), "%%(%x%x)", function(hex)
    return char(tonumber(hex, 16))
  end))
end

return function(query)
  if query == nil then return {} end
  if type(query) ~= "string" then
    error(("bad argument #1 to 'parse_query' (string expected, got %s)")
      :format(type(query)), 2)
  end
  local fields, n = {}, 0
  for pair in gmatch(query, "[^&]+") do
    n = n + 1
    if n > most then break end
    local equals = find(pair, "=", 1, true) or #pair + 1
    local name = decode(pair:sub(1, equals - 1))
    if fields[name] == nil then fields[name] = decode(pair:sub(equals + 1)) end
  end
  return fields
end
