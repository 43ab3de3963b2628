-- jwt.lua: tokens (RFC 7519), signed with HS256 and nothing else.

local ws = require "evws"
local json = require "evws.channels.json"

local jwt = {}

local longest = 16 * 1024

local letters =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local value_of = {}
for i = 1, #letters do value_of[letters:byte(i)] = i - 1 end

-- The bytes of base64url without padding (RFC 7515 2); nil where it is none, or
-- has bits behind the last byte.
function jwt.decode_part(text)
  local out, bits, n = {}, 0, 0
  for i = 1, #text do
    local value = value_of[text:byte(i)]
    if not value then return nil end
    bits, n = bits << 6 | value, n + 6
    if n >= 8 then
      n = n - 8
      out[#out + 1] = string.char(bits >> n & 0xFF)
      bits = bits & (1 << n) - 1
    end
  end
  if n >= 6 or bits ~= 0 then return nil end
  return table.concat(out)
end

function jwt.encode_part(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local group = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 0, c and 3 or b and 2 or 1 do
      local at = (group >> 18 - 6 * k & 63) + 1
      out[#out + 1] = letters:sub(at, at)
    end
  end
  return table.concat(out)
end

local function object(part)
  local text = jwt.decode_part(part)
  local value = text and text:find "^[ \t\r\n]*{" and json.decode(text, 16)
  return value or nil
end

local function time_of(claims, name)
  local value = claims[name]
  if value == nil then return nil, true end
  return math.type(value) and value, math.type(value) ~= nil
end

-- The claims of a token that the key has signed; or nil and "expired" or
-- "invalid". now: unix time.
function jwt.verify(token, key, now)
  if #token > longest then return nil, "invalid" end
  local signed, head, body, mac =
    token:match "^(([%w_-]+)%.([%w_-]+))%.([%w_-]+)$"
  local given = mac and jwt.decode_part(mac)
  if not given or not ws.equals(given, ws.hmac_sha256(key, signed)) then
    return nil, "invalid"
  end
  local header, claims = object(head), object(body)
  if not header or not claims or header.alg ~= "HS256" or header.crit then
    return nil, "invalid"
  end
  local expires, has_expires = time_of(claims, "exp")
  local begins, has_begins = time_of(claims, "nbf")
  if not has_expires or not has_begins or begins and begins > now then
    return nil, "invalid"
  end
  if expires and expires <= now then return nil, "expired" end
  return claims
end

-- A token, for tests and for programs that have no other means.
function jwt.sign(claims, key)
  local head = jwt.encode_part '{"alg":"HS256","typ":"JWT"}'
  local body = jwt.encode_part(json.encode(claims, "a token", 2))
  local signed = head .. "." .. body
  return signed .. "." .. jwt.encode_part(ws.hmac_sha256(key, signed))
end

return jwt
