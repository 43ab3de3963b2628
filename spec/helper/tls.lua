-- The raw client of spec/helper.lua over TLS: probe_tls.c on a probe.socket.
--
--   tls.file(name)      a file of tools/certificate.sh, made if need be
--   tls.options(options)  a copy with tls = the certificate for localhost;
--     what options.tls has is added
--   tls.raw(server_or_port, options) -> a raw client, with client.tls, the
--     engine, and client.tcp, the socket below; options: of t.raw, and as tls
--     those of the engine. The handshake goes on with whatever is sent.
--   tls.open(...)       the same and an upgrade that must succeed
--   tls.wrap(socket, options, peer)  the same around an accepted socket
--   tls.shake(client[, limit])  waits for the end of the handshake
--     -> true | nil, reason
--   tls.hello(options)  -> a ClientHello, and the engine it is from

local t = require "spec.helper"
local probe = require "evws_probe"

local tls = {}

local directory = "build/certificates/"
local is_made

function tls.file(name)
  is_made = is_made or assert(os.execute("env -u LD_PRELOAD "
    .. "tools/certificate.sh " .. directory))
  return directory .. name
end

function tls.options(options)
  local own = { host = "127.0.0.1" }
  for name, value in pairs(options or {}) do own[name] = value end
  local files = { certificate = tls.file "localhost.pem",
    key = tls.file "localhost.key" }
  for name, value in pairs(own.tls or {}) do files[name] = value end
  own.tls = files
  return own
end

local socket = {}
socket.__index = socket

-- Ciphertext leaves; false while some is refused.
local function push(self)
  self.out = self.out .. self.engine:take()
  while self.out ~= "" do
    local n, why = self.tcp:send(self.out)
    if not n then
      if why ~= "again" then self.dead = why end
      return false
    end
    self.out = self.out:sub(n + 1)
  end
  return true
end

local function pull(self)
  if self.ended then return end
  local bytes, why = self.tcp:recv()
  if bytes then
    self.engine:feed(bytes)
    return true
  elseif why ~= "again" then
    self.ended = why
  end
end

-- One step; true when the handshake is done.
local function shake(self)
  if self.ready then return true end
  while not self.failed do
    local ok, why = self.engine:handshake()
    self.ready = ok
    if not ok and why ~= "again" then self.failed = why end
    push(self)
    if ok then return true end
    if not pull(self) then break end
  end
  return false
end

function socket:send(bytes, from)
  if not shake(self) then
    return nil, (self.failed or self.dead or self.ended) and "reset" or "again"
  end
  if not push(self) then return nil, self.dead and "reset" or "again" end
  local n, why = self.engine:write(bytes:sub(from or 1, (from or 1) + 65535))
  push(self)
  return n, why
end

function socket:recv()
  if not shake(self) then
    if self.failed then return nil, self.failed end
    return nil, self.ended or "again"
  end
  local bytes, why = self.engine:read()
  if not bytes and why == "again" and pull(self) then
    bytes, why = self.engine:read()
  end
  push(self)
  if bytes or why ~= "again" then
    if why == "eof" then self.notified = true end
    return bytes, why
  end
  return nil, self.ended or "again"
end

function socket:shutdown()
  self.engine:shutdown()
  push(self)
  return self.tcp:shutdown()
end

function socket:close() self.tcp:close() end

function socket:reset() self.tcp:reset() end

function socket:sockname() return self.tcp:sockname() end

function tls.wrap(tcp, options, peer)
  local engine = probe.tls.new(options or {})
  local self = t.wrap(setmetatable({ engine = engine, tcp = tcp, out = "" },
    socket), peer)
  self.tls, self.tcp = engine, tcp
  return self
end

function tls.raw(target, options)
  local o = options or {}
  local plain = t.raw(target, o)
  local self = tls.wrap(plain.socket, o.tls)
  self.host = plain.host
  require "spec.helper.raw".open[plain] = nil
  return self
end

function tls.open(target, options)
  local self = tls.raw(target, options)
  local status = self:upgrade(options)
  if status ~= 101 then error("upgrade answered with " .. status, 2) end
  return self
end

function tls.shake(client, limit)
  local s = client.socket
  t.wait(function() return shake(s) or s.failed or s.ended end,
    "the handshake", limit)
  if s.ready then return true end
  return nil, s.failed or s.ended
end

function tls.hello(options)
  local engine = probe.tls.new(options or {})
  engine:handshake()
  return engine:take(), engine
end

return tls
