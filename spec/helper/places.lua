-- Errors with the line in which somebody was given something wrongly.
--
--   places.said(fn, ...)   calls it in the third line of a chunk of its own,
--     where it has to raise; returns what was raised
--   places.check(object, cases)   each: what is said, without its place, the
--     name of a method, its arguments (n: how many)

local assert = require "luassert"

local places = {}

local call = load([[
local fn = ...
return (function(...)
  local result = fn(select(2, ...))
  return result
end)(...)
]], "=caller")

function places.said(fn, ...)
  local ok, why = pcall(call, fn, ...)
  assert.is_false(ok)
  return why
end

function places.check(object, cases)
  for _, case in ipairs(cases) do
    assert.equal("caller:3: " .. case[1], places.said(object[case[2]], object,
      table.unpack(case, 3, case.n or #case)))
  end
end

return places
