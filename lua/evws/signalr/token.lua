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
  return setmetatable({ name = name, secret = secret, used = {}, before = {},
    turn = 0, longest = 0 }, token)
end

local function sign(self, text)
  return url64(ws.hmac_sha256(self.secret,
    ("evws.signalr %d:%s "):format(#self.name, self.name) .. text))
end

-- Of a session that has to have a transport within so many seconds. kind:
-- "plain", "stateful", or "old", of the version 0, whose id it is as well.
function token:make(id, user, kind, seconds)
  if not self.secret then return token.new_id() end
  local text = ("%s.%d-%s.%d.%s.%s"):format(id, worker.serial, worker.machine,
    os.time() + math.ceil(seconds) + 1, kind:sub(1, 1),
    user and "u" .. url64(user) or "n")
  return text .. "." .. sign(self, text)
end

-- What a token says: { id =, name = it, serial =, machine =, expires =,
-- is_stateful =, user = }; nil where it was not made for this hub.
function token:read(text)
  if not self.secret then return nil end
  local body, signature = text:match "^(.*)%.([%w_-]+)$"
  if not body or not ws.equals(sign(self, body), signature) then return nil end
  local id, serial, machine, expires, kind, user = body:match
    "^([%w_-]+)%.(%d+)-([%w_-]+)%.(%d+)%.([spo])%.([un][%w_-]*)$"
  if not id then return nil end
  return { id = kind == "o" and text or id, name = text,
    serial = tonumber(serial), machine = machine,
    expires = tonumber(expires), is_stateful = kind == "s",
    user = user:sub(1, 1) == "u" and from64(user:sub(2)) or nil }
end

-- Once and in time: a session begins with it. Those that were used are known
-- for as long as they would be good.
function token:use(told)
  local now = os.time()
  local left = told.expires - now
  if left < 0 or self.used[told.name] or self.before[told.name] then
    return false
  end
  self.longest = math.max(self.longest, left + 1)
  if now >= self.turn then
    self.used, self.before, self.turn = {}, self.used, now + self.longest
  end
  self.used[told.name] = true
  return true
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
