-- How a case of the conformance suite is judged, in both roles of the peer:
-- both what comes back and how the connection ends must be right, and what
-- the suite calls NON-STRICT is a failure here. A case has
--   id, title
--   write    frames (judge.frame), in the order sent
--   by       "frame" or "octet": one of them a write, with a turn after
--            each; a number: pieces of so many octets; nil: all in one go
--   expect   { kind, payload } of every message and pong, in order
-- and one of these endings:
--   nothing  we close with 1000; reply 1000 or none, then the FIN
--   fail     the peer must fail the connection with one of these codes,
--            without a code, or by a bare drop, and nothing else comes
--   reply    we closed in `write`: the codes it may be answered with (none
--            is always right); drop: a bare drop is right as well
--   informational  whatever happens, as long as it ends
-- within is the time limit of what is expected and of a failure, 1 s
-- unless said otherwise. steps(raw, write, encode), where set, does the
-- writing: write(frames[, by]) as above, encode(frame) gives its octets.
-- build(), where set, makes the other fields when the case runs.
--
--   judge.frame(opcode, payload[, options])   as t.frame takes them
--   judge.cases() -> list, case   case(id, title, fields) adds one
--   judge.run(case, role, raw)   raises what is wrong; role is the peer's:
--     "server": raw is a client that t.open has opened, and the peer ends
--     TCP; "client": raw is a server's end, and the peer leaves that to us
--   judge.finish(role, raw)   the closing handshake that we begin
--   judge.accept(listener[, extend])   a client's end, its handshake judged
--     -> raw, the extension; extend(offer) says how it is answered
--   judge.check_request(head, host[, has_extensions])   raises what is wrong
--     with it -> key, the extensions offered

local t = require "spec.helper"
local handshake = require "evws_probe".handshake

local judge = {}

function judge.cases()
  local cases = {}
  return cases, function(id, title, fields)
    fields.id, fields.title = id, title
    fields.expect = fields.expect or {}
    cases[#cases + 1] = fields
  end
end

function judge.frame(opcode, payload, options)
  return { opcode, payload, options }
end

-- Clients mask, each frame afresh; servers do not (RFC 6455 5.1).
local function encoder(role)
  return function(frame)
    local own = {}
    if role == "client" then own.mask = false end
    for name, value in pairs(frame[3] or {}) do own[name] = value end
    return t.frame(frame[1], frame[2], own)
  end
end

local function writer(raw, encode)
  return function(frames, by)
    local list = {}
    for i, frame in ipairs(frames) do list[i] = encode(frame) end
    if by == "frame" then
      raw:send_each(list)
    elseif by == "octet" then
      raw:send_bytewise(table.concat(list))
    elseif by then
      raw:send_pieces(table.concat(list), by)
    else
      raw:send(table.concat(list))
    end
  end
end

local function show(kind, payload)
  if not payload or #payload <= 40 then
    return ("%s %q"):format(kind, payload or "")
  end
  return ("%s of %d octets"):format(kind, #payload)
end

local function expect_message(raw, wanted, within)
  local kind, payload = raw:message(within)
  if kind ~= wanted[1] or payload ~= wanted[2] then
    error(("expected %s, got %s"):format(show(wanted[1], wanted[2]),
      kind and show(kind, payload) or payload), 0)
  end
end

-- The end of TCP. A server ends it itself; a client leaves that to us
-- (7.1.1), and then ends its half.
local function expect_end(role, raw)
  if role == "client" then
    raw:expect_silence(3)
    raw:half_close()
  end
  raw:expect_eof(1)
end

-- The peer's close frame with one of `codes` or none; or a bare drop, where
-- that is right: no number then.
local function expect_close(raw, codes, drop, within)
  return raw:expect_close({ 1005, table.unpack(codes) },
    { drop = drop, limit = within })
end

-- Whatever comes, it comes to an end.
local function await_end(role, raw)
  repeat
    local frame = raw:frame()
    if frame and frame.opcode == 8 and role == "client" then
      raw:half_close()
    end
  until not frame
end

function judge.finish(role, raw)
  raw:send(encoder(role) { "close", (">I2"):pack(1000) })
  expect_close(raw, { 1000 }, false, 1)
  expect_end(role, raw)
end

function judge.run(case, role, raw)
  local encode = encoder(role)
  local write = writer(raw, encode)
  if case.build then case = setmetatable(case.build(), { __index = case }) end
  local within = case.within or 1
  if case.steps then case.steps(raw, write, encode)
  else write(case.write, case.by) end
  if case.informational then return await_end(role, raw) end
  for _, wanted in ipairs(case.expect) do
    expect_message(raw, wanted, within)
  end
  if case.fail then
    local code = expect_close(raw, case.fail, true, within)
    if type(code) ~= "number" then return end -- dropped
    write { { "close", code ~= 1005 and (">I2"):pack(code) or "" } }
    expect_end(role, raw)
  elseif case.reply then
    local code = expect_close(raw, case.reply, case.drop, 1)
    if type(code) == "number" then expect_end(role, raw) end
  else
    judge.finish(role, raw)
  end
end

-- ---- the handshake of a client ----

local keys = {} -- those seen

-- 4.1, and nothing that was not asked for.
function judge.check_request(head, host, has_extensions)
  local line, rest = head:match "^(.-)\r\n(.*)\r\n$"
  local fields = {}
  assert(line == "GET / HTTP/1.1", line)
  for given, value in rest:gmatch "([^\r\n:]+): ([^\r\n]*)\r\n" do
    local name = given:lower()
    assert(not fields[name], name .. " is there twice")
    fields[name] = value
  end
  local function expect(name, wanted)
    assert(fields[name] and fields[name]:lower() == wanted,
      ("%s: %s"):format(name, fields[name]))
  end
  expect("host", host)
  expect("upgrade", "websocket")
  expect("connection", "upgrade")
  expect("sec-websocket-version", "13")
  local extensions = fields["sec-websocket-extensions"]
  for _, name in ipairs { "origin", "sec-websocket-protocol",
    "content-length", "transfer-encoding" } do
    assert(not fields[name], name .. " was sent")
  end
  assert(has_extensions or not extensions, "an extension was offered")
  local key = fields["sec-websocket-key"] or ""
  assert(#key == 24 and key:find "^[%w+/]+[AQgw]==$", -- 16 octets in base64
    "key: " .. key)
  assert(not keys[key], "a key twice")
  keys[key] = true
  return key, extensions
end

function judge.accept(listener, extend)
  local socket = t.wait(function() return listener:accept() end, "the client")
  local raw, head = t.wrap(socket, "client"), ""
  t.wait(function()
    head = head .. (socket:recv() or "")
    return head:find("\r\n\r\n", 1, true)
  end, "a request")
  local key, offer = judge.check_request(head, "127.0.0.1:" .. listener.port,
    extend ~= nil)
  local extension = extend and extend(offer)
  raw:send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    .. "Connection: Upgrade\r\nSec-WebSocket-Accept: "
    .. handshake.accept(key) .. "\r\n"
    .. (extension and "Sec-WebSocket-Extensions: " .. extension .. "\r\n"
      or "") .. "\r\n")
  return raw, extension
end

return judge
