-- metrics.lua: several texts for Prometheus (exposition format 0.0.4) as one.
-- A metric may have one head, and all its lines stand behind that: where
-- several texts have the same metric, its lines are put together.

-- texts: a list -> text
return function(texts)
  local order, families = {}, {}
  for _, text in ipairs(texts) do
    local last
    for line in text:gmatch "[^\n]+" do
      local name = line:match "^# HELP (%S+)" or line:match "^# TYPE (%S+)"
        or not last and line:match "^[^#{ ]+"
      if name and name ~= last then
        last = name
        if not families[name] then
          families[name] = {}
          order[#order + 1] = families[name]
        end
      end
      local family = families[last]
      if family and not (line:byte() == 35 and family[line:sub(1, 7)]) then
        family[#family + 1] = line
        if line:byte() == 35 then family[line:sub(1, 7)] = true end
      end
    end
  end
  local out = {}
  for i, family in ipairs(order) do out[i] = table.concat(family, "\n") end
  return table.concat(out, "\n") .. "\n"
end
