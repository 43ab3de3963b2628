-- What others say, made harmless for a terminal.

local escape = {}

local function hex(bytes)
  return (bytes:gsub(".", function(byte)
    return ("\\x%02x"):format(byte:byte())
  end))
end

--- Text: what could drive the terminal as \xNN. That is C0 but for tabs, DEL,
--- C1 (U+0080 to U+009F), and what turns the direction of writing.
function escape.text(text)
  return (text:gsub("[%z\1-\8\10-\31\127]", hex)
    :gsub("\xc2[\x80-\x9f]", hex)
    :gsub("\xe2\x80[\xaa-\xae]", hex)
    :gsub("\xe2\x81[\xa6-\xa9]", hex))
end

--- The same in lines, the later ones set in by two columns: no line of it can
--- pass for one of ours.
function escape.lines(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\r?\n" do
    lines[#lines + 1] = escape.text(line)
  end
  return table.concat(lines, "\n  ")
end

--- Any bytes, as b"..."
function escape.bytes(bytes)
  return 'b"' .. bytes:gsub('[%z\1-\31"\\\127-\255]', hex) .. '"'
end

return escape
