-- records.lua: the bytes of a client as records, however they were cut: text
-- that ends with 0x1E, or a length (LEB128) and so many bytes. No byte is
-- looked at twice, and a record that is too long is told before it is whole.

local byte, find, sub = string.byte, string.find, string.sub
local concat = table.concat

local records = {}
records.__index = records

local largest = 0x7fffffff -- of a length, by the protocol

-- What most of them have most of the time costs no memory.
records.bytes, records.at, records.pieces, records.size = "", 1, false, 0
records.need, records.low, records.shift = false, 0, 0

-- limit: the bytes of one record; false: none.
function records.new(limit)
  return setmetatable({ limit = limit or largest }, records)
end

-- Adds bytes, once what was fed before has been taken.
function records:feed(bytes)
  if self.at <= #self.bytes then
    self.bytes = sub(self.bytes, self.at) .. bytes
  else
    self.bytes = bytes
  end
  self.at = 1
end

-- The rest of the bytes, up to `last`, belongs to a record that goes on.
local function keep(self, last)
  local piece = sub(self.bytes, self.at, last)
  self.bytes, self.at = nil, nil
  if #piece == 0 then return nil end
  self.size = self.size + #piece
  if self.size > self.limit then return false, "a record is too long" end
  local pieces = self.pieces or {}
  pieces[#pieces + 1] = piece
  self.pieces = pieces
  return nil
end

local function whole(self, last)
  local record = sub(self.bytes, self.at, last)
  self.at = last + 1
  if self.pieces then
    self.pieces[#self.pieces + 1] = record
    record = concat(self.pieces)
    self.pieces, self.size = nil, nil
  end
  return record
end

-- The next record that ends with 0x1E, without that; nil: more bytes are
-- needed; false and why: there is none.
function records:text()
  local bytes, at = self.bytes, self.at
  local stop = find(bytes, "\30", at, true)
  if not stop then return keep(self, #bytes) end
  if self.size + stop - at > self.limit then
    return false, "a record is too long"
  end
  local record = whole(self, stop - 1)
  self.at = stop + 1
  return record
end

-- Has it taken all bytes, and does nothing wait for the rest of a record?
function records:is_empty()
  return self.at > #self.bytes and not self.pieces and not self.need
    and self.shift == 0
end

-- The length in front of a record; nil, or false and why, as above.
local function length(self)
  local bytes, at, low, shift = self.bytes, self.at, self.low, self.shift
  local last
  repeat
    last = byte(bytes, at)
    if not last then
      self.at, self.low, self.shift = at, low, shift
      return nil
    end
    at = at + 1
    low = low | (last & 0x7f) << shift
    shift = shift + 7
  until last < 0x80 or shift == 35
  if last >= 0x80 or low > largest then
    return false, "a length is too large"
  end
  if low > self.limit then return false, "a record is too long" end
  if low == 0 then return false, "a record is empty" end
  self.at, self.low, self.shift = at, nil, nil
  return low
end

-- The next record that begins with its length, without that.
function records:binary()
  local need = self.need
  if not need then
    local why
    need, why = length(self)
    if not need then return need, why end
    self.need = need
  end
  local last = self.at + need - self.size - 1
  if last > #self.bytes then return keep(self, #self.bytes) end
  self.need = nil
  return whole(self, last)
end

return records
