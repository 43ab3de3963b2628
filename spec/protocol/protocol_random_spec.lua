-- Random streams at an endpoint (src/protocol/protocol.c): valid ones against
-- a model that knows what it wrote, damaged ones against themselves: every cut
-- of the same bytes gives the same events.

local protocol = require "evws_probe".protocol
local frame = require "spec.helper.raw".frame
local assert_same = require "spec.protocol.endpoint".assert_same

local random = math.random
local characters = { "a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
  "plain text, for a while " }

local function some_text()
  local list = {}
  for i = 1, random(0, 40) do list[i] = characters[random(#characters)] end
  return table.concat(list)
end

local function some_bytes(n)
  local list = {}
  for i = 1, n do list[i] = string.char(random(0, 255)) end
  return table.concat(list)
end

local function payload_of(kind)
  local payload = kind == "text" and some_text() or some_bytes(random(0, 300))
  local size = random(20)
  if size == 1 then return payload:rep(random(500)) end
  if size == 2 then return payload:rep(random(20)) end
  return payload
end

-- Appends the frames of one message, control frames among them.
local function add_message(frames, want, options)
  local kind = random(2) == 1 and "text" or "binary"
  local payload, at, opcode = payload_of(kind), 1, kind
  local n = random(3) == 1 and random(6) or 1
  for i = 1, n do
    local stop = i == n and #payload or random(at - 1, #payload)
    frames[#frames + 1] = frame(opcode, payload:sub(at, stop),
      { fin = i == n, mask = options.mask })
    at, opcode = stop + 1, "continuation"
    if i < n and random(3) == 1 then
      local control = random(2) == 1 and "ping" or "pong"
      local own = some_bytes(random(0, 125))
      frames[#frames + 1] = frame(control, own, { mask = options.mask })
      want[#want + 1] = { control, own }
    end
  end
  want[#want + 1] = { kind, payload }
end

local function stream(role)
  local options = {}
  if role == "client" then options.mask = false end
  local frames, want = {}, {}
  for _ = 1, random(12) do add_message(frames, want, options) end
  if random(4) == 1 then
    frames[#frames + 1] = frame("close", (">I2"):pack(1000) .. "bye", options)
    want[#want + 1] = { "close", 1000, "bye" }
    frames[#frames + 1] = frame("text", "late", options)
  end
  return frames, want
end

local function cuts_of(n)
  local cuts, most, sum = {}, 1 << random(0, 14), 0
  while sum < n and #cuts < 3000 do
    cuts[#cuts + 1] = random(0, most)
    sum = sum + cuts[#cuts]
  end
  return cuts
end

local function run(role, bytes, cuts, direct)
  local pool = random(2) == 1
  return protocol.new(role, 200000, 5, pool):run(bytes, cuts, direct)
end

-- One frame cut short, doubled, or with a byte of it changed.
local function damage(frames)
  local i = random(#frames)
  local f, how = frames[i], random(4)
  if how == 1 then
    frames[i] = f:sub(1, random(0, #f))
  elseif how == 2 then
    frames[i] = f .. f
  else
    local at = how == 3 and random(math.min(#f, 14)) or random(#f)
    frames[i] = f:sub(1, at - 1) .. string.char(random(0, 255))
      .. f:sub(at + 1)
  end
end

describe("an endpoint", function()
  for _, role in ipairs { "server", "client" } do
    it("finds in random streams what was written, as a " .. role, function()
      for seed = 1, 100 do
        math.randomseed(seed)
        local frames, want = stream(role)
        local bytes = table.concat(frames)
        local got = protocol.new(role):run(bytes)
        assert_same(want, got)
        assert_same(want, protocol.new(role):run(bytes, cuts_of(#bytes)))
        assert_same(want, protocol.new(role):run(bytes, cuts_of(#bytes), true))
        assert_same(want, protocol.new(role):run(bytes, 1))
      end
    end)

    it("judges damaged streams alike in every cut, as a " .. role, function()
      local errors = 0
      for seed = 1, 150 do
        math.randomseed(seed)
        local frames = stream(role)
        damage(frames)
        local bytes = table.concat(frames)
        local want = run(role, bytes)
        assert_same(want, run(role, bytes, 1))
        assert_same(want, run(role, bytes, 1, true))
        for _ = 1, 3 do
          assert_same(want, run(role, bytes, cuts_of(#bytes)))
          assert_same(want, run(role, bytes, cuts_of(#bytes), true))
        end
        if #want > 0 and want[#want][1] == "error" then errors = errors + 1 end
      end
      assert.is_true(errors > 30) -- the damage is damage
    end)
  end

  it("survives bytes that are nothing at all", function()
    for seed = 1, 200 do
      math.randomseed(seed)
      local bytes = some_bytes(random(400))
      local want = run("server", bytes)
      assert_same(want, run("server", bytes, 1))
      assert_same(want, run("server", bytes, cuts_of(#bytes), true))
    end
  end)
end)
