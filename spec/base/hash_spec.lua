-- SipHash-2-4 (src/base/hash.c), against the vectors of its authors: key 00 to
-- 0f, text 00 01 02 ... of so many bytes.

local hash = require "evws_probe".hash.hash

local function bytes(n)
  local list = {}
  for i = 0, n - 1 do list[i + 1] = string.char(i) end
  return table.concat(list)
end

local function hex(s)
  return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

describe("a hash", function()
  it("is SipHash-2-4", function()
    for n, digest in pairs { [0] = "310e0edd47db6f72", [1] = "fd67dc93c539f874",
      [7] = "37d1018bf50002ab", [8] = "6224939a79f5f593",
      [15] = "e545be4961ca29a1", [63] = "724506eb4c328a95" } do
      assert.equal(digest, hex(hash(bytes(16), bytes(n))))
    end
  end)

  it("changes with every bit of the key and of the text", function()
    local key, text = bytes(16), bytes(20)
    local seen = { [hash(key, text)] = true }
    local function flip(s, bit)
      local i = bit // 8 + 1
      return s:sub(1, i - 1) .. string.char(s:byte(i) ~ (1 << bit % 8))
        .. s:sub(i + 1)
    end
    for bit = 0, 16 * 8 - 1 do
      local h = hash(flip(key, bit), text)
      assert.is_nil(seen[h])
      seen[h] = true
    end
    for bit = 0, 20 * 8 - 1 do
      local h = hash(key, flip(text, bit))
      assert.is_nil(seen[h])
      seen[h] = true
    end
  end)
end)
