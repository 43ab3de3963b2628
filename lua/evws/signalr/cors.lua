-- cors.lua: pages of other origins: what a browser asks before it lets them
-- (the Fetch standard, 3.2), and the fields that every answer to them has.

local cors = {}

-- May the request be served? No Origin: no page asks.
function cors.is_allowed(request)
  return request.origin == nil or request.is_origin_allowed
end

-- The headers with what an allowed page needs to see the answer at all.
function cors.fields(request, headers)
  if not request.origin then return headers end
  headers = headers or {}
  headers["Access-Control-Allow-Origin"] = request.origin
  headers["Access-Control-Allow-Credentials"] = "true"
  headers["Vary"] = "Origin"
  return headers
end

-- The answer to a preflight; nil where it is none.
function cors.preflight(request)
  local asked = request.headers["access-control-request-method"]
  if request.method ~= "OPTIONS" or not asked then return nil end
  return 204, nil, cors.fields(request, {
    ["Access-Control-Allow-Methods"] = "GET, POST, DELETE",
    -- users add fields of their own
    ["Access-Control-Allow-Headers"] =
      request.headers["access-control-request-headers"],
    ["Access-Control-Max-Age"] = "600",
  })
end

return cors
