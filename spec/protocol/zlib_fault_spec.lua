-- zlib without memory, or with an error of its own (src/protocol/deflate.c,
-- inflate.c, compression.c): a message is sent as it is, or one that comes
-- fails with 1011 or 1007; what is kept of others is right afterwards.

local child = require "spec.helper.child"

-- What an endpoint and its peer say while the n-th call of `kind` fails, once
-- or from then on, until none of them does.
local script = [[
  local faults, protocol = probe.faults, probe.protocol
  assert(faults.is_on())
  package.path = "./?.lua;" .. package.path
  local frame = require "spec.helper.raw".frame
  local text = ("a message that gets smaller "):rep(200)

  local function send(from, to)
    local data = from:deflate(text)
    if not data then return "as it is" end
    assert(#data < #text)
    local list = to:run(frame("text", data, { rsv = 4 }))
    assert(#list == 1)
    if list[1][1] ~= "error" then assert(list[1][2] == text) end
    return list[1][1] == "error" and list[1][2] or "text"
  end

  local seen, failures = {}, 0
  for _, takeover in ipairs { false, true } do
    for _, every in ipairs { false, true } do
      local n = 0
      repeat
        n = n + 1
        local agreed = { server_takeover = takeover,
          client_takeover = takeover }
        local client = protocol.new("client", nil, nil, false, agreed)
        local server = protocol.new("server", nil, nil, false, agreed)
        faults.fail(%q, n, 12, every)
        for _ = 1, 3 do
          local what = send(client, server)
          seen[what] = true
          if what ~= "text" and what ~= "as it is" then break end
        end
        local hits = faults.hits()
        failures = failures + hits
        faults.fail(%q, 0)
        local other = protocol.new("server", nil, nil, false, agreed)
        local fresh = protocol.new("client", nil, nil, false, agreed)
        assert(send(fresh, other) == "text")
      until hits == 0 or n > 100
      assert(n <= 100)
    end
  end
  local list = {}
  for what in pairs(seen) do list[#list + 1] = tostring(what) end
  table.sort(list)
  log(failures > 0, table.concat(list, ", "))
]]

describe("when a call of zlib fails", function()
  for kind, said in pairs {
    deflateInit2 = "as it is, text", deflate = "as it is, text",
    inflateInit2 = "1011, text", inflate = "1011, text",
  } do
    it(("what is said is right: %s"):format(kind), function()
      local lines, ok = child.run(script:format(kind, kind), { faults = true })
      local all = table.concat(lines, "\n")
      assert.is_true(ok, all)
      assert.equal("true " .. said, all)
    end)
  end
end)
