-- Sections 12 and 13 of the conformance suite, permessage-deflate, with fewer
-- messages, and with parameters for the client's direction as well. The judge
-- compresses with the zlib of Python, in a process of its own.
--
--   deflate.start(), deflate.stop()   that process
--   deflate.is_running                without Python it is not
--   deflate.cases    id, title, and what deflate.run needs
--   deflate.options(case, role)   the option `compression` of the peer
--   deflate.offer(case)           what a client of ours offers
--   deflate.answer(case, offer)   what a server of ours answers
--   deflate.run(case, role, raw, answer)   raises what is wrong; role is the
--     peer's, answer what was agreed on

local t = require "spec.helper"

local deflate = { cases = {} }

-- ---- the process ----

local pipe, socket, streams

function deflate.start()
  pipe = io.popen("exec env -u LD_PRELOAD python3 "
    .. "spec/conformance/zlib_helper.py 2>/dev/null")
  local port = tonumber(pipe:read "l")
  if not port then return end
  socket, streams = assert(t.probe.connect { port = port }), 0
  deflate.is_running = true
end

function deflate.stop()
  if socket then socket:close() end
  pipe:close()
  pipe, socket, deflate.is_running = nil, nil, nil
end

-- Nothing turns the loop meanwhile: the peer can wait.
local function send(bytes)
  local at, last = 1, t.deadline(10)
  while at <= #bytes do
    at = at + (socket:send(bytes, at) or 0)
    assert(t.probe.now() < last, "the compressor does not read")
    if at <= #bytes then t.probe.poll({}, 0.1, { socket }) end
  end
end

local function receive()
  local pieces, count, last = {}, 0, t.deadline(10)
  local len = math.huge
  while count < 5 + len do
    local bytes, why = socket:recv()
    if bytes then
      pieces[#pieces + 1], count = bytes, count + #bytes
      if count >= 5 and len == math.huge then
        pieces = { table.concat(pieces) }
        len = (">I4"):unpack(pieces[1], 2)
      end
    else
      assert(why == "again", "the compressor is gone")
      assert(t.probe.now() < last, "the compressor does not answer")
      t.probe.poll({ socket }, 0.1)
    end
  end
  local answer = table.concat(pieces)
  if answer:byte() == 1 then error(answer:sub(6), 0) end
  return answer:sub(6)
end

-- A stream in one direction: a function from message to message.
function deflate.stream(kind, bits, forget)
  streams = streams + 1
  local number = streams
  return function(message)
    send((">c1I4BBs4"):pack(kind, number, bits, forget and 1 or 0, message))
    return receive()
  end
end

-- ---- cases ----

-- Octets and the size of fragments; 0 is none.
local sizes = { { 16, 0 }, { 64, 0 }, { 256, 0 }, { 1024, 0 }, { 4096, 0 },
  { 8192, 0 }, { 16384, 0 }, { 32768, 0 }, { 65536, 0 }, { 131072, 0 },
  { 8192, 256 }, { 16384, 256 }, { 32768, 256 }, { 65536, 256 },
  { 131072, 256 }, { 131072, 1024 }, { 131072, 4096 }, { 131072, 32768 } }

local state = 1
local function random(n) -- the same in each run
  state = (state * 6364136223846793005 + 1442695040888963407)
  return (state >> 33) % n
end

local words = { "lamp", "Tisch", "größe", "世界", "κόσμε", "🎉", "order",
  "price", "null", "true", "0.25", "id" }

-- Text that repeats itself near and far, cut out of one that is made once.
local whole

local function prose(size)
  local list = {}
  for i = 1, whole and 0 or 1 << 16 do
    list[i] = random(4) > 0 and words[random(#words) + 1] .. " "
      or ("%d "):format(random(1 << 20))
  end
  whole = whole or table.concat(list)
  local from = utf8.offset(whole, 0, random(1 << 17) + 1)
  local text = whole:sub(from, from + size - 1)
  while not utf8.len(text) do text = text:sub(1, -2) end
  return text .. ("."):rep(size - #text)
end

local function json(size)
  return ('{"id":%d,"items":["%s"]}'):format(random(1 << 30),
    prose(math.max(size - 32, 0)))
end

local function noise(size)
  local list = {}
  for i = 1, size // 4 do list[i] = ("I4"):pack(random(1 << 31)) end
  return table.concat(list)
end

local kinds = {
  { "json", "text", json },
  { "prose", "text", prose },
  { "one octet over and over", "binary", function(size)
    return string.char(random(256)):rep(size)
  end },
  { "records", "binary", function(size)
    return ("I4I4I8"):pack(random(1 << 16), 7, 0):rep(size // 16)
  end },
  { "noise", "binary", noise },
}

-- What is asked for: no takeover of the server's or the client's context
-- (snt, cnt), and the bits of their windows (sw, cw).
local sets = {
  {}, { snt = true }, { sw = 9 }, { sw = 15 }, { snt = true, sw = 9 },
  { snt = true, sw = 15 }, { cnt = true }, { cw = 9 }, { cw = 15 },
  { cnt = true, cw = 9 }, { snt = true, cnt = true },
  { snt = true, cnt = true, sw = 9, cw = 9 }, { sw = 15, cw = 9 },
  { sw = 9, cw = 15 },
}

local function name_of(set)
  local list = {}
  if set.snt then list[#list + 1] = "server_no_context_takeover" end
  if set.cnt then list[#list + 1] = "client_no_context_takeover" end
  if set.sw then list[#list + 1] = "server_max_window_bits=" .. set.sw end
  if set.cw then list[#list + 1] = "client_max_window_bits=" .. set.cw end
  return table.concat(list, "; ")
end

local function add(section, i, j, kind, set, title)
  local size, fragment = table.unpack(sizes[j])
  deflate.cases[#deflate.cases + 1] = {
    id = ("%d.%d.%d"):format(section, i, j), set = set, kind = kind[2],
    make = kind[3], size = size, fragment = fragment,
    count = math.max(2, math.min(4, 32768 // size)),
    title = ("echoes %d octets of %s%s"):format(size, title, fragment > 0
      and ", in fragments of " .. fragment or ""),
  }
end

for i, kind in ipairs(kinds) do
  for j = 1, #sizes do add(12, i, j, kind, {}, kind[1]) end
end
for i, set in ipairs(sets) do
  for j = i % 2 + 1, #sizes, 2 do -- half of the sizes, in turns
    local title = name_of(set)
    add(13, i, j, kinds[1], set, title == "" and "json" or "json, " .. title)
  end
end

-- ---- negotiation ----

function deflate.options(case, role)
  local set = case.set
  if role == "server" then
    return { threshold = 0, context_takeover = true,
      client_max_window_bits = set.cw }
  end
  return { threshold = 0, server_max_window_bits = set.sw,
    client_max_window_bits = set.cw,
    context_takeover = { server = not set.snt, client = not set.cnt } }
end

local function extension(case)
  local name = name_of(case.set)
  return "permessage-deflate" .. (name == "" and "" or "; ") .. name
end

-- The server is told of our window, or asked to choose it (RFC 7692 7.1.2.2).
function deflate.offer(case)
  return (extension(case):gsub("(client_max_window_bits)=9", "%1"))
end

function deflate.answer(case, offer)
  assert(offer, "no extension was offered")
  assert(not case.set.cw or offer:find("client_max_window_bits", 1, true),
    "client_max_window_bits was not offered")
  return extension(case)
end

-- The parameters of an answer; what was asked for must be among them.
local function agreed(case, answer)
  assert(answer, "permessage-deflate was declined")
  local found = { sw = 15, cw = 15 }
  for parameter in answer:gmatch "[^;]+" do
    local name, value = parameter:match "^%s*([%w_-]+)=?(.-)%s*$"
    local bits = tonumber(value)
    if name == "server_no_context_takeover" then found.snt = true
    elseif name == "client_no_context_takeover" then found.cnt = true
    elseif name == "server_max_window_bits" then found.sw = bits
    elseif name == "client_max_window_bits" then found.cw = bits
    else assert(name == "permessage-deflate", parameter) end
  end
  for _, bits in pairs { found.sw, found.cw } do
    assert(bits >= 9 and bits <= 15, answer)
  end
  assert(found.snt or not case.set.snt, answer)
  assert(found.sw <= (case.set.sw or 15), answer)
  assert(found.cw <= (case.set.cw or 15), answer)
  return found
end

-- ---- judgement ----

local function frames_of(case, role, bytes)
  local list, size = {}, case.fragment
  if size == 0 then size = math.max(#bytes, 1) end
  for from = 1, math.max(#bytes, 1), size do
    local o = { fin = from + size > #bytes, rsv = from == 1 and 4 or 0 }
    if role == "client" then o.mask = false end
    list[#list + 1] = t.frame(from == 1 and case.kind or "continuation",
      bytes:sub(from, from + size - 1), o)
  end
  return table.concat(list)
end

local function next_message(raw)
  local frame, why
  repeat
    frame, why = raw:frame(10)
    if not frame then error("expected a message, got " .. why, 0) end
    if frame.opcode >= 8 then error("expected a message, got control", 0) end
  until frame.fin
  return frame
end

function deflate.run(case, role, raw, answer)
  local found = agreed(case, answer)
  raw.compressed = true
  local is_server = role == "server" -- then we are the client
  local squeeze = deflate.stream("D", is_server and found.cw or found.sw,
    is_server and found.cnt or not is_server and found.snt)
  local expand = deflate.stream("I", is_server and found.sw or found.cw,
    is_server and found.snt or not is_server and found.cnt)
  local compressed = 0
  for _ = 1, case.count do
    local message = case.make(case.size)
    raw:send(frames_of(case, role, squeeze(message)))
    local frame = next_message(raw)
    local back = frame.message
    if frame.compressed then
      compressed = compressed + 1
      back = expand(back)
    end
    assert(frame.kind == case.kind, "it is " .. frame.kind)
    assert(#back == #message, ("%d octets are %d"):format(#message, #back))
    assert(back == message, "it came back changed")
  end
  if case.size >= 1024 and case.make ~= noise then
    assert(compressed == case.count, "not all was compressed")
  end
end

return deflate
