-- What fills the messages of specs, the same in every run.
--
--   filler.words(n[, seed])   n octets of text that compress well
--   filler.noise(n[, seed])   n octets that do not compress at all

local filler = {}

function filler.words(n, seed)
  local list, state = {}, seed or 12345
  for i = 1, n // 6 do
    state = (state * 1103515245 + 12345) & 0x7fffffff
    list[i] = ("%05d "):format(state >> 12 & 1023)
  end
  return table.concat(list) .. ("x"):rep(n % 6)
end

function filler.noise(n, seed)
  local list, state = {}, seed or 99991
  for i = 1, n // 8 + 1 do
    state = state * 6364136223846793005 + 1442695040888963407
    list[i] = ("<I8"):pack(state ~ state >> 29)
  end
  return table.concat(list):sub(1, n)
end

return filler
