-- The judge of compressed messages must be able to say no: it is given
-- streams that are wrong in the ways an endpoint may get them wrong.

local t = require "spec.helper"
local deflate = require "spec.conformance.deflate"

local case = { kind = "text", size = 4096, fragment = 0, count = 3, set = {} }
local texts = {}

-- Text whose only repetition is 2 KiB away, or in the message before.
function case.make()
  local half = {}
  for i = 1, 256 do half[i] = ("%08d"):format(math.random(0, 99999999)) end
  half = table.concat(half)
  texts[#texts + 1] = half .. half
  return texts[#texts]
end

-- The answers of a server: what `change` makes of each message's squeezed
-- octets, with a stream of these parameters.
local function verdict(answer, bits, forget, change, set)
  local listener <close> = assert(t.probe.listen "127.0.0.1")
  local ours = assert(t.probe.connect { port = listener.port })
  local peer = t.wait(function() return listener:accept() end)
  local squeeze = deflate.stream("D", bits, forget)
  local own = setmetatable({ set = set or {} }, { __index = case })
  function own.make()
    local text = case.make()
    local payload, kind, rsv = squeeze(text), "text", 4
    if change then payload, kind, rsv = change(payload, text) end
    peer:send(t.frame(kind or "text", payload,
      { mask = false, rsv = rsv or 4 }))
    return text
  end
  local raw = t.wrap(ours, "server")
  local ok, why = pcall(deflate.run, own, "server", raw, answer)
  peer:close()
  return ok, why
end

local function passes(...)
  local ok, why = verdict(...)
  if not ok then error(why, 2) end
end

local function fails(part, ...)
  local ok, why = verdict(...)
  if ok or not tostring(why):find(part, 1, true) then
    error(("%s instead of %q"):format(ok and "passed" or why, part), 2)
  end
end

describe("the judge of compressed messages", function()
  local plain = "permessage-deflate"
  local fresh = plain .. "; server_no_context_takeover"
  local narrow = plain .. "; server_max_window_bits=9"

  setup(deflate.start)
  teardown(deflate.stop)
  before_each(function() math.randomseed(1) end)
  after_each(t.cleanup)

  local function try(name, fn)
    it(name, function()
      if not deflate.is_running then return pending "no python3 here" end
      fn()
    end)
  end

  try("lets pass what is right", function()
    passes(plain, 15, false)
    passes(plain, 15, true)
    passes(fresh, 15, true)
    passes(narrow, 9, false)
    passes(plain, 9, false)
  end)

  try("refuses a window that is larger than agreed", function()
    fails("too far back", narrow, 15, false)
  end)

  try("refuses a context that was to be forgotten", function()
    -- what was said before is said again, and only refers to it
    local make, first = case.make, nil
    function case.make()
      first = first or make()
      return first
    end
    local ok, why = verdict(fresh, 15, false)
    case.make = make
    assert.is_false(ok)
    assert.is_truthy(why:find "too far back")
  end)

  try("refuses another message, length or kind", function()
    fails("it is binary", plain, 15, true, function(payload)
      return payload, "binary"
    end)
    local other = deflate.stream("D", 15, true)
    fails("came back changed", plain, 15, true, function(_, text)
      return other((text:gsub("^.", "x")))
    end)
    fails("4096 octets are 4095", plain, 15, true, function(_, text)
      return other(text:sub(2))
    end)
    fails("", plain, 15, true, function(payload)
      return payload:sub(1, -2) .. "\xff"
    end)
  end)

  try("refuses messages that are not compressed", function()
    fails("not all was compressed", plain, 15, true, function(_, text)
      return text, "text", 0
    end)
  end)

  try("refuses an answer that does not do", function()
    fails("declined", nil, 15, true)
    for _, answer in ipairs { plain .. "; server_max_window_bits=8",
      plain .. "; x", "permessage-bzip2",
      plain .. "; client_max_window_bits=16" } do
      assert.is_false((verdict(answer, 15, true)))
    end
    for answer, set in pairs { [plain] = { snt = true },
      [plain .. "; server_max_window_bits=10"] = { sw = 9 },
      [fresh] = { cw = 9 } } do
      assert.is_false((verdict(answer, 9, true, nil, set)))
    end
  end)
end)
