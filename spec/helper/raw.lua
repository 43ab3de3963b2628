-- The raw client of spec/helper.lua, where its calls are described: bytes
-- as the spec wants them on one side, a strict parser on the other. `kit`
-- is spec.helper: the raw client turns the loop and waits by it.
--
--   raw.new(kit, socket, peer), raw.frame(opcode, payload[, options]),
--   raw.close_frame(code[, reason])
--   raw.open    the clients that are open; raw.queued  those of them with
--               bytes the kernel refused; raw.write(client) offers these
--   raw.fail(format, ...)  raises at the line of the spec

local probe = require "evws_probe".net

local pause = 0.00025 -- between two writes to a server that is elsewhere
local key = "dGhlIHNhbXBsZSBub25jZQ==" -- RFC 6455 1.3, with its answer
local accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
local usual = { "Upgrade", "Connection", "Sec-WebSocket-Version",
  Upgrade = "websocket", Connection = "Upgrade",
  ["Sec-WebSocket-Version"] = "13" }
local opcodes = { [0] = "continuation", "text", "binary", [8] = "close",
  [9] = "ping", [10] = "pong" }
local header = "^([%w!#$%%&'*+.^_`|~-]+):[ \t]*([^\0-\8\10-\31\127]-)[ \t]*$"
local numbers = {}
for number, name in pairs(opcodes) do numbers[name] = number end

local raw = { open = {}, queued = {} }
local client = {}
client.__index = client
local raws, queued = raw.open, raw.queued

local function show(value)
  if type(value) ~= "string" then return tostring(value) end
  if #value > 80 then return #value .. " octets" end
  return (("%q"):format(value):gsub("\\\n", "\\n"))
end

-- Raises at the line of the spec, not of the kit.
function raw.fail(text, ...)
  local level, at = 2, debug.getinfo(2, "S")
  while at and at.source:find("spec/helper", 1, true) do
    level = level + 1
    at = debug.getinfo(level, "S")
  end
  error(text:format(...), level)
end

local fail = raw.fail

-- Offers the queue to the kernel; a dead connection swallows it all.
function raw.write(self)
  local queue = self.queue
  while queue[1] do
    local n, why = self.socket:send(queue[1], self.sent + 1)
    if n then
      self.sent = self.sent + n
      if self.sent == #queue[1] then
        table.remove(queue, 1)
        self.sent = 0
      end
    elseif why == "again" then
      queued[self] = true
      return
    else
      self.queue = {}
      break
    end
  end
  queued[self] = nil
end

local formats = {}

-- RFC 6455 5.3; 64 words at a time, since some messages are long.
local function masked(payload, mask)
  local word = ("<i8"):unpack(mask .. mask)
  local padded = payload .. ("\0"):rep(-#payload % 8)
  local pieces = {}
  for from = 1, #padded, 512 do
    local n = math.min(64, (#padded - from + 1) // 8)
    formats[n] = formats[n] or "<" .. ("i8"):rep(n)
    local words = { formats[n]:unpack(padded, from) }
    for i = 1, n do words[i] = words[i] ~ word end
    pieces[#pieces + 1] = formats[n]:pack(table.unpack(words, 1, n))
  end
  return table.concat(pieces):sub(1, #payload)
end

function raw.frame(opcode, payload, options)
  local o = options or {}
  payload = payload or ""
  local len, mask = o.len or #payload, o.mask
  if mask == nil then mask = ("I4"):pack(math.random(0, 0xffffffff)) end
  local form = o.form or len >= 0 and (len < 126 and 7
    or len < 65536 and 16) or 64
  local first = (o.fin == false and 0 or 128) + (o.rsv or 0) * 16
    + (numbers[opcode] or opcode)
  local bit = mask and 128 or 0
  local head = form == 7 and ("BB"):pack(first, bit + len)
    or form == 16 and (">BBI2"):pack(first, bit + 126, len)
    or (">BBi8"):pack(first, bit + 127, len)
  if not mask then return head .. payload end
  return head .. mask .. masked(payload, mask)
end

-- Without a code the frame is empty.
function raw.close_frame(code, reason)
  return raw.frame("close", code and (">I2"):pack(code) .. (reason or "") or "")
end

function raw.new(kit, socket, peer)
  local self = setmetatable({ kit = kit, socket = socket,
    peer = peer or "server", queue = {}, sent = 0, input = "", at = 1,
    pieces = {}, count = 0 }, client)
  raws[self] = true
  return self
end

function client:send(bytes)
  if bytes ~= "" then self.queue[#self.queue + 1] = bytes end
  if not queued[self] then raw.write(self) end
  return self
end

function client:flush(limit)
  self.kit.wait(function() return not queued[self] end, "bytes to leave",
    limit)
  return self
end

function client:send_each(list)
  for _, bytes in ipairs(list) do
    self:send(bytes):flush()
    self.kit.turn(self.kit.ws and 0 or pause)
  end
  return self
end

function client:send_pieces(bytes, n)
  local list = {}
  for from = 1, #bytes, n do list[#list + 1] = bytes:sub(from, from + n - 1) end
  return self:send_each(list)
end

function client:send_bytewise(bytes)
  return self:send_pieces(bytes, 1)
end

-- One read; true when it found something, the end included.
local function read(self)
  local bytes, why = self.socket:recv()
  if bytes then
    self.pieces[#self.pieces + 1] = bytes
    self.count = self.count + #bytes
  elseif why ~= "again" then
    self.ended = why
  end
  return why ~= "again"
end

function client:pull() return read(self) end

-- Reads until `n` octets wait in self.input from self.at on; nil and why
-- when the stream ends before.
local function fill(self, n, last)
  while self.count < n do
    if self.ended then return nil, self.ended, self.count end
    local late = probe.now() > last
    if not read(self) then
      if late then
        fail("the time is over, with %d octets unread", self.count)
      end
      self.kit.turn()
    end
  end
  if self.pieces[1] then
    self.input = self.input:sub(self.at) .. table.concat(self.pieces)
    self.at, self.pieces = 1, {}
  end
  return true
end

local function take(self, n)
  local bytes = self.input:sub(self.at, self.at + n - 1)
  self.at, self.count = self.at + n, self.count - n
  return bytes
end

-- The next chunk of a body (RFC 9112 7.1), "" for the last; nil and why.
function client:chunk(limit)
  local last = self.kit.deadline(limit)
  while not self.input:find("\r\n", self.at, true) do
    local ok, why = fill(self, self.count + 1, last)
    if not ok then return nil, why end
  end
  local line = take(self, self.input:find("\r\n", self.at, true) + 2 - self.at)
  local size = tonumber(line:match "^(%x+)\r\n$" or fail("no chunk: %s",
    show(line)), 16)
  local ok, why = fill(self, size + 2, last)
  if not ok then return nil, why end
  local data = take(self, size)
  if take(self, 2) ~= "\r\n" then fail "a chunk without an end" end
  return data
end

local function chunks(self, limit)
  local pieces = {}
  repeat
    pieces[#pieces + 1] = self:chunk(limit) or fail "the body is cut short"
  until pieces[#pieces] == ""
  return table.concat(pieces)
end

function client:read_http(options)
  local o = options or {}
  local last = self.kit.deadline(o.limit)
  while not self.input:find("\r\n\r\n", self.at, true) do
    local ok, why = fill(self, self.count + 1, last)
    if not ok then return nil, why end
  end
  local _, stop = self.input:find("\r\n\r\n", self.at, true)
  local head, headers = take(self, stop + 1 - self.at), {}
  local status, rest = head:match("^HTTP/1%.1 (%d%d%d) [^\r\n]*\r\n(.*)\r\n$")
  if not status then fail("not a status line: %s", show(head)) end
  for line in rest:gmatch("(.-)\r\n") do
    local name, value = line:match(header)
    if not name then fail("not a header line: %s", show(line)) end
    name = name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  status = tonumber(status)
  if o.head or status < 200 or status == 204 or status == 304 then
    return status, headers, ""
  end
  if headers["transfer-encoding"] == "chunked" then
    return status, headers, chunks(self, o.limit)
  end
  local len = tonumber(headers["content-length"])
  local ok, why = fill(self, len or math.huge, last)
  if not ok and (len or why ~= "eof") then fail("the body is cut short") end
  if not ok then fill(self, self.count, last) end
  return status, headers, take(self, len or self.count)
end

-- What is wrong with a 101 (RFC 6455 4.1), or nothing.
local function fault_of_101(headers, request, answer)
  if (headers.upgrade or ""):lower() ~= "websocket"
    or not (headers.connection or ""):lower():find("upgrade") then
    return "without Upgrade: websocket"
  end
  if answer and headers["sec-websocket-accept"] ~= answer then
    return "with the wrong accept key"
  end
  for _, name in ipairs { "sec-websocket-protocol",
    "sec-websocket-extensions" } do
    if headers[name] and not request:find("\n" .. name .. ":", 1, true) then
      return "with " .. name .. ", which was not offered"
    end
  end
end

function client:upgrade(options)
  local o = options or {}
  local lines, own = { "GET " .. (o.path or "/") .. " HTTP/1.1" }, {}
  local function add(name, value)
    for _, v in ipairs(type(value) == "table" and value or { value }) do
      if v then lines[#lines + 1] = name .. ": " .. v end
    end
  end
  for name, value in pairs(o.headers or {}) do
    if type(name) == "number" then lines[#lines + 1] = value
    else own[name:lower()] = value or "" add(name, value) end
  end
  for _, name in ipairs(usual) do
    if not own[name:lower()] then add(name, usual[name]) end
  end
  if not own.host then add("Host", o.host or self.host) end
  if not own["sec-websocket-key"] then
    add("Sec-WebSocket-Key", o.key or key)
  end
  local request = table.concat(lines, "\r\n") .. "\r\n\r\n"
  if o.bytewise then self:send_bytewise(request) else self:send(request) end
  local status, headers, body = self:read_http()
  if status == 101 then
    local fault = fault_of_101(headers, request:lower(),
      not (o.key or own["sec-websocket-key"]) and accept)
    if fault then fail("a 101 %s", fault) end
    self.compressed = headers["sec-websocket-extensions"] ~= nil
  end
  return status, headers, body
end

-- What is wrong with a frame's head (RFC 6455 5.2 to 5.5), or nothing.
local function fault_of_head(self, f, len, len7)
  local control = f.opcode >= 8
  if self.closed then return "after the close frame" end
  if f.masked ~= (self.peer == "client") then return "wrong mask bit" end
  if f.rsv ~= 0 and (f.rsv ~= 4 or not self.compressed or control
    or f.opcode == 0) then return "reserved bits" end
  if not opcodes[f.opcode] then return "reserved opcode" end
  if len7 == 126 and len < 126 or len7 == 127 and len >> 16 == 0 then
    return "length not in its shortest form"
  end
  if len < 0 then return "length over 63 bits" end
  if control and len > 125 then return "control frame over 125 octets" end
  if control and not f.fin then return "fragmented control frame" end
  if f.opcode == 0 and not self.parts then return "nothing to continue" end
  if (f.opcode == 1 or f.opcode == 2) and self.parts then
    return "a new message inside one"
  end
end

-- The same for its payload; joins the fragments of a message.
local function fault_of_payload(self, f)
  if f.opcode == 8 then
    self.closed = true
    f.code = #f.payload > 1 and (">I2"):unpack(f.payload) or 1005
    f.reason = f.payload:sub(3)
    if #f.payload == 1 then return "close payload of one octet" end
    if #f.payload > 1 and not (f.code >= 3000 and f.code <= 4999
      or f.code >= 1000 and f.code <= 1014
      and (f.code < 1004 or f.code > 1006)) then
      return "close code " .. f.code
    end
    return not utf8.len(f.reason) and "reason is not UTF-8" or nil
  elseif f.opcode < 8 then
    self.parts = self.parts or { kind = opcodes[f.opcode], rsv = f.rsv }
    local parts = self.parts
    parts[#parts + 1] = f.payload
    if not f.fin then return end
    f.kind, f.message, self.parts = parts.kind, table.concat(parts), nil
    f.compressed = parts.rsv ~= 0
    if f.kind == "text" and parts.rsv == 0 and not utf8.len(f.message) then
      return "text is not UTF-8"
    end
  end
end

local function next_frame(self, last)
  local ok, why, left = fill(self, 2, last)
  if not ok then return nil, why, left end
  local a, b = self.input:byte(self.at, self.at + 1)
  local f = { fin = a > 127, rsv = a >> 4 & 7, opcode = a & 15,
    masked = b > 127 }
  local len, len7, head = b & 127, b & 127, f.masked and 6 or 2
  local form = len7 == 126 and ">I2" or len7 == 127 and ">i8"
  if form then head = head + form:packsize() end
  ok, why, left = fill(self, head, last)
  if not ok then return nil, why, left end
  if form then len = form:unpack(self.input, self.at + 2) end
  local fault = fault_of_head(self, f, len, len7)
  if not fault then
    ok, why, left = fill(self, head + len, last)
    if not ok then return nil, why, left end
    local mask = take(self, head):sub(-4)
    f.payload = take(self, len)
    if f.masked then f.mask, f.payload = mask, masked(f.payload, mask) end
    fault = fault_of_payload(self, f)
  end
  if fault then fail("a frame no receiver may accept: %s", fault) end
  return f
end

function client:frame(limit)
  return next_frame(self, self.kit.deadline(limit))
end

function client:message(limit)
  local last = self.kit.deadline(limit)
  repeat
    local f, why = next_frame(self, last)
    if not f then return nil, why end
    if f.opcode >= 8 then return opcodes[f.opcode], f.payload end
    if f.fin then return f.kind, f.message end
  until false
end

local function describe(f, why)
  if not f then return why end
  return (f.fin and "" or "unfinished ")
    .. (opcodes[f.opcode] or f.opcode) .. " " .. show(f.payload)
end

function client:expect_frame(opcode, payload, limit)
  local f, why = self:frame(limit)
  if not f or not f.fin or f.opcode ~= (numbers[opcode] or opcode)
    or f.payload ~= payload then
    fail("expected %s %s, got %s", opcode, show(payload), describe(f, why))
  end
  return f
end

function client:expect_close(codes, options)
  local o = options or {}
  local f, why = self:frame(o.limit)
  if not f and o.drop then return why end
  local accepted = codes == nil
  for _, code in ipairs(type(codes) == "table" and codes or { codes }) do
    accepted = accepted or f and f.code == code
  end
  if not f or not f.code or not accepted then
    fail("expected close %s, got %s", type(codes) == "table"
      and table.concat(codes, "/") or codes, describe(f, why))
  end
  return f.code, f.reason
end

function client:expect_eof(limit)
  local f, why, left = self:frame(limit)
  if f or why ~= "eof" or left > 0 then
    fail("expected the end, got %s", describe(f, why))
  end
end

local checks = 0

function client:expect_silence(turns)
  if not turns then
    checks = checks + 1
    self:send(raw.frame("ping", "silence " .. checks))
    return self:expect_frame("pong", "silence " .. checks)
  end
  for _ = 1, turns do
    self.kit.turn()
    if read(self) or self.count > 0 then
      fail("expected silence, got %s", self.ended or self.count .. " octets")
    end
  end
end

function client:finish(code)
  self:send(raw.frame("close", (">I2"):pack(code or 1000)))
  self:expect_close({ code or 1000, 1005 }, { limit = 1 })
  self:expect_eof(1)
  self:close()
end

function client:half_close()
  self:flush()
  return self.socket:shutdown()
end

function client:close(how)
  raws[self], queued[self] = nil, nil
  self.socket[how or "close"](self.socket)
end

function client:reset()
  self:close("reset")
end

return raw
