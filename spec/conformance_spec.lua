-- The cases of the field's conformance suite, judged as it judges, against
-- an echo server: both what comes back and how the connection ends must be
-- right, and what the suite calls NON-STRICT is a failure here. With
-- EVWS_ECHO_PORT set, the echo server on that port of 127.0.0.1 is judged.

local t = require "spec.helper"

local external = tonumber(os.getenv "EVWS_ECHO_PORT")

local function echo_server()
  return external or t.listen {
    max_message = 16 << 20, max_fragments = 1 << 17,
    on_message = function(conn, message, kind) conn:send(message, kind) end,
  }
end

local function write(client, case)
  if case.steps then
    case.steps(client)
  elseif case.by == "frame" then
    client:send_each(case.write)
  else
    local bytes = table.concat(case.write)
    if case.by == "octet" then client:send_bytewise(bytes)
    elseif case.by then client:send_pieces(bytes, case.by)
    else client:send(bytes) end
  end
end

local function show(kind, payload)
  if not payload or #payload <= 40 then
    return ("%s %q"):format(kind, payload or "")
  end
  return ("%s of %d octets"):format(kind, #payload)
end

local function expect_message(client, wanted, within)
  local kind, payload = client:message(within)
  if kind ~= wanted[1] or payload ~= wanted[2] then
    error(("expected %s, got %s"):format(show(wanted[1], wanted[2]),
      kind and show(kind, payload) or payload), 0)
  end
end

-- The peer's close frame with one of `codes` or none; or a bare drop, where
-- that is right: nil then.
local function expect_close(client, codes, drop, within)
  local accepted = { 1005, table.unpack(codes) }
  return client:expect_close(accepted, { drop = drop, limit = within })
end

local function judge(case, client)
  local within = case.within or 1
  write(client, case)
  if case.informational then
    repeat local f = client:frame() until not f
    return
  end
  for _, wanted in ipairs(case.expect) do
    expect_message(client, wanted, within)
  end
  if case.fail then
    local code = expect_close(client, case.fail, true, within)
    if type(code) ~= "number" then return end -- dropped
    client:send(t.frame("close", code ~= 1005 and (">I2"):pack(code) or ""))
    assert(not client:frame(1), "more came behind the close frame")
  elseif case.reply then
    local code = expect_close(client, case.reply, case.drop, 1)
    if type(code) == "number" then client:expect_eof(1) end
  else
    client:send(t.frame("close", (">I2"):pack(1000)))
    expect_close(client, { 1000 }, false, 1)
    client:expect_eof(1)
  end
end

local function run(cases)
  for _, case in ipairs(cases) do
    it(case.id .. " " .. case.title, function()
      judge(case.build and case.build() or case, t.open(echo_server()))
    end)
  end
end

describe("conformance", function()
  local engine = t.ws

  setup(function()
    if external then t.ws = nil end -- turns then wait for its bytes
  end)
  teardown(function() t.ws = engine end)
  after_each(t.cleanup)

  run(require "spec.conformance.cases")

  describe("of text", function()
    run(require "spec.conformance.utf8")
  end)

  describe("at large sizes", function()
    run(require "spec.conformance.limits")
  end)
end)
