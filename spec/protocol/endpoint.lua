-- What the specs of src/protocol/protocol.c share. Whatever is fed is fed
-- whole, byte by byte and in random pieces, with and without the space that is
-- offered for long payloads, and must give the same events each time.
--
--   endpoint.events(bytes[, { message=, fragments= }[, role]]) -> events
--   endpoint.assert_fails(code, bytes[, before[, limits[, role]]])
--   endpoint.assert_same(want, got)   lists of events
--   endpoint.part(opcode, payload)    an unfinished fragment
--   endpoint.close([code[, reason]])  a close frame

local assert = require "luassert"
local protocol = require "evws_probe".protocol
local frame = require "spec.helper.raw".frame

local endpoint = {}

local masked_hello = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"

-- Sizes of pieces, most of them small, that add up to about n.
local function random_cuts(n)
  local cuts, most = {}, 1 << math.random(0, 17)
  local sum = 0
  while sum < n and #cuts < 4000 do
    cuts[#cuts + 1] = math.random(0, most)
    sum = sum + cuts[#cuts]
  end
  return cuts
end

local function all_cuts(bytes)
  local list = { #bytes + 1, 2, 3, 5 }
  if #bytes < 1 << 16 then list[#list + 1] = 1 end
  for _ = 1, 4 do list[#list + 1] = random_cuts(#bytes) end
  return list
end

-- As assert.same, which is slow, for lists of events.
function endpoint.assert_same(want, got)
  local is_same = #want == #got
  for i = 1, is_same and #want or 0 do
    for k = 1, 3 do is_same = is_same and want[i][k] == got[i][k] end
  end
  if not is_same then assert.same(want, got) end
end

-- The events of the bytes at an endpoint of `role` ("server" by default).
function endpoint.events(bytes, limits, role)
  local l = limits or {}
  local function run(cuts, direct, pool)
    local e = protocol.new(role or "server", l.message, l.fragments, pool)
    return e:run(bytes, cuts, direct)
  end
  local want = run()
  for _, cuts in ipairs(all_cuts(bytes)) do
    endpoint.assert_same(want, run(cuts))
    endpoint.assert_same(want, run(cuts, true))
    endpoint.assert_same(want, run(cuts, true, true))
  end
  return want
end

-- Its last event is this error, and what came before is `before`.
function endpoint.assert_fails(code, bytes, before, limits, role)
  local list = endpoint.events(bytes .. masked_hello, limits, role)
  local last = table.remove(list)
  assert.same({ "error", code }, { last[1], last[2] })
  assert.is_true(#last[3] > 0)
  assert.same(before or {}, list)
end

function endpoint.part(opcode, payload)
  return frame(opcode, payload, { fin = false })
end

function endpoint.close(code, reason)
  return frame("close", code and (">I2"):pack(code) .. (reason or "")
    or "")
end

return endpoint
