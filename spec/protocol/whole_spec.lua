-- The short way of a message that stands whole (src/protocol/whole.c): it
-- gives what the long way does, which is the only one for single bytes.

local protocol = require "evws_probe".protocol
local endpoint = require "spec.protocol.endpoint"

local second = { 0x00, 0x05, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0x82, 0x85, 0xfc,
  0xfd, 0xfe, 0xff }

-- Behind the first two bytes: as a length of 16 bits 125, 126 and 130.
local behind = {
  "\0\125" .. ("\0"):rep(4) .. ("a"):rep(140),
  "\0\126" .. ("\0"):rep(4) .. ("a"):rep(140),
  "\0\130" .. "\1\2\3\4" .. ("\x80bcd"):rep(40),
  "\0\0\0\0", "\0\0\0", "\0\130\0\0\0\0x", "",
}

local function both(bytes, most, before)
  local function run(cuts)
    local e = protocol.new("server", most)
    return e:run((before or "") .. bytes, cuts)
  end
  endpoint.assert_same(run(1), run())
end

describe("a frame that stands whole", function()
  it("is judged as one that comes byte by byte, whatever it is", function()
    for first = 0, 255 do
      for _, length in ipairs(second) do
        for _, rest in ipairs(behind) do
          both(string.char(first, length) .. rest)
        end
      end
    end
  end)

  it("meets the limit of a message", function()
    for most = 0, 6 do both("\x82\x85\0\0\0\0Hello", most) end
    local long = "\x82\xfe\0\130\0\0\0\0" .. ("x"):rep(130)
    for most = 128, 132 do both(long, most) end
  end)

  it("is judged by what came before it", function()
    local hello = "\x81\x85\0\0\0\0Hello"
    for _, before in ipairs { "\1\x81\0\0\0\0a", "\2\x80\0\0\0\0",
      "\x89\x80\0\0\0\0", "\x88\x80\0\0\0\0", "\x81\x81\0\0\0\0\xff", hello } do
      both(hello, nil, before)
    end
  end)
end)
