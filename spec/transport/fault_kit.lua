-- A script in a process of its own, in which calls of the system, of libev or
-- of OpenSSL fail.
--
--   kit.run(kinds, script[, errno])  the script defines attempt(kind), which
--     is called with the n-th call of each kind failing, once and from then
--     on, until none was met; it returns nothing, but raises what it does not
--     expect. Each of the kinds must have been met, and no descriptor stay
--     open
--   kit.lines(script[, options]) -> what it prints; it ends well. It finds
--     what child.lua has, `faults`, `core`, `serve`, and sweep(kinds, fn,
--     errno), which run is made of
--   kit.path   for a script: `path`, of a file that is not there

local assert = require "luassert"
local child = require "spec.helper.child"

local kit = {}

-- sweep prints the name of each kind that was met, once.
local prelude = [[
  local faults = probe.faults
  assert(faults.is_on())
  faults.leave_children()
  local core = require "evws.core"
  local serve = core.serve
  local function sweep(kinds, fn, errno)
    fn() -- what is made once is there
    collectgarbage()
    local before = probe.net.fd_count()
    for kind in kinds:gmatch "%S+" do
      local met = false
      for _, every in ipairs { false, true } do
        for n = 1, 60 do
          faults.fail(kind, n, errno or 24, every)
          local ok, why = pcall(fn, kind)
          local hits = faults.hits()
          faults.fail(kind, 0)
          if not ok then error(kind .. " " .. n .. ": " .. tostring(why), 0) end
          met = met or hits > 0
          collectgarbage()
          wait(function()
            collectgarbage()
            return probe.net.fd_count() <= before
          end)
          if hits == 0 then break end
          assert(n < 60, "no end of " .. kind)
        end
      end
      log(kind, met and "met" or "never met")
      fn()
    end
  end
]]

function kit.lines(script, options)
  local own = { faults = true }
  for name, value in pairs(options or {}) do own[name] = value end
  local lines, ok, how, code = child.run(prelude .. script, own)
  local text = table.concat(lines, "\n")
  assert.same({ true, "exit", 0 }, { ok, how, code }, text)
  return lines
end

function kit.run(kinds, script, errno)
  local lines = kit.lines(script
    .. ("\nsweep(%q, attempt, %s)"):format(kinds, errno or "nil"))
  local text = table.concat(lines, "\n")
  local want = {}
  for kind in kinds:gmatch "%S+" do want[#want + 1] = kind .. " met" end
  local got = {}
  for _, line in ipairs(lines) do
    if line:find " met$" then got[#got + 1] = line end
  end
  assert.same(want, got, text)
end

kit.path = [[
  local path = os.tmpname()
  os.remove(path)
]]

return kit
