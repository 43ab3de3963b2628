-- token.lua: connection tokens. Alone a process remembers what it has given
-- out; of several each has to know what another has promised, so the token says
-- it, signed: the id, who has the session, until when it may be attached, and
-- whose it is.

local ws = require "evws"
local json_writer = require "evws.json_writer"
local worker = require "evws.signalr.worker"

local token = {}
token.__index = token

local safe = { ["+"] = "-", ["/"] = "_", ["="] = "" }
local plain = { ["-"] = "+", ["_"] = "/" }

-- As a URL takes it.
local function url64(bytes)
  return (json_writer.base64(bytes):gsub("[+/=]", safe))
end
token.url64 = url64

local letters =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function from64(text)
  local bits, n, out = 0, 0, {}
  for c in text:gsub("[-_]", plain):gmatch "." do
    local value = letters:find(c, 1, true)
    if not value then return nil end
    bits, n = (bits << 6 | value - 1) & 0xffffff, n + 6
    if n >= 8 then
      n = n - 8
      out[#out + 1] = string.char(bits >> n & 0xff)
    end
  end
  return table.concat(out)
end

-- 128 random bits as 22 characters.
function token.new_id() return url64(ws.random(16)) end

-- For a hub of this name; secret: nil where there is only this process.
function token.new(name, secret)
  return setmetatable({ name = name, secret = secret }, token)
end

local function sign(self, text)
  return url64(ws.hmac_sha256(self.secret,
    ("evws.signalr %d:%s "):format(#self.name, self.name) .. text))
end

-- Of a session that has to have a transport within so many seconds.
function token:make(id, user, is_stateful, seconds)
  if not self.secret then return token.new_id() end
  local text = ("%s.%d-%s.%d.%s.%s"):format(id, worker.serial, worker.machine,
    os.time() + math.ceil(seconds) + 1, is_stateful and "s" or "p",
    user and "u" .. url64(user) or "n")
  return text .. "." .. sign(self, text)
end

-- What a token says: { id =, serial =, machine =, expires =, is_stateful =,
-- user = }; nil where it was not made for this hub.
function token:read(text)
  if not self.secret then return nil end
  local body, signature = text:match "^(.*)%.([%w_-]+)$"
  if not body or not ws.equals(sign(self, body), signature) then return nil end
  local id, serial, machine, expires, kind, user = body:match
    "^([%w_-]+)%.(%d+)-([%w_-]+)%.(%d+)%.([sp])%.([un][%w_-]*)$"
  if not id then return nil end
  return { id = id, serial = tonumber(serial), machine = machine,
    expires = tonumber(expires), is_stateful = kind == "s",
    user = user:sub(1, 1) == "u" and from64(user:sub(2)) or nil }
end

-- Is it of this process?
function token.is_ours(one)
  return one.serial == worker.serial and one.machine == worker.machine
end

-- May a process of this machine have it?
function token.is_near(one)
  return one.serial > 0 and one.machine == worker.machine
end

return token
