-- Section 9 of the conformance suite, reduced to what runs in a moment.
-- The fields of a case are those of judge.lua, made by `build` when the case
-- runs: these messages are large.

local frame = require("spec.conformance.judge").frame

local cases = {}

local function case(id, title, build)
  cases[#cases + 1] = { id = id, title = title, build = build }
end

local function repeated(pattern, size)
  return pattern:rep(size // #pattern + 1):sub(1, size)
end

local function echoed(kind, payload, frames, by)
  return { write = frames or { frame(kind, payload) }, by = by, within = 10,
    expect = { { kind, payload } } }
end

for section, kind in ipairs { "text", "binary" } do
  local pattern = kind == "text" and "BAsd7&jh23" or "\x00\xfe\x23\xfa\xf0"
  for i, kib in ipairs { 64, 256, 1024, 4096 } do
    case(("9.%d.%d"):format(section, i),
      ("echoes one %s frame of %d KiB"):format(kind, kib), function()
      return echoed(kind, repeated(pattern, kib * 1024))
    end)
  end
end

for i, kind in ipairs { "text", "binary" } do
  case(("9.%d.1"):format(i + 2), "echoes 4 MiB of " .. kind
    .. " in 65537 fragments", function()
    local piece, frames = (kind == "text" and "*" or "\xfe"):rep(64), {}
    for n = 1, 65536 do
      frames[n] = frame(n == 1 and kind or "continuation", piece,
        { fin = false })
    end
    frames[65537] = frame("continuation", "")
    return echoed(kind, piece:rep(65536), frames)
  end)
end

case("9.5.1", "echoes 1 MiB of text written in pieces of 64 octets", function()
  return echoed("text", repeated("BAsd7&jh23", 1 << 20), nil, 64)
end)

case("9.7.1", "echoes 1000 messages one after the other", function()
  return { expect = {}, steps = function(raw, write)
    for _ = 1, 1000 do
      write { frame("text", "") }
      raw:expect_frame("text", "")
    end
  end }
end)

return cases
