-- Messages in pieces while memory fails (src/protocol/protocol.c, chunk.c and
-- compression.c): what was complete before is told, then 1011, once.

local probe = require "evws_probe"
local frame = require "spec.helper.raw".frame
local filler = require "spec.helper.filler"

local protocol, fail_at = probe.protocol, probe.buf.fail_at
local text = filler.words(70000)
local data = probe.deflate.pool():whole(text)

-- A message in three fragments, a ping that is cut among them, and another
-- message behind it.
local function stream(payload, rsv)
  local third = #payload // 3
  return table.concat {
    frame("text", "before"),
    frame("text", payload:sub(1, third), { fin = false, rsv = rsv }),
    frame("ping", ("p"):rep(100)),
    frame("continuation", payload:sub(third + 1, 2 * third), { fin = false }),
    frame("continuation", payload:sub(2 * third + 1)),
    frame("binary", payload, { rsv = rsv }),
  }
end

local agreed = { client_takeover = true, server_takeover = true }
local cases = {
  ["that is plain"] = { stream(text) },
  ["that is compressed"] = { stream(data, 4), compression = {} },
  ["that is compressed, with what was before"] = { stream(data, 4),
    compression = agreed },
  ["that is compressed while the room is lent"] = { stream(data, 4),
    compression = {}, lent = true },
  ["or in one that is compressed, while the room is lent,"] = {
    frame("binary", data, { rsv = 4 }), compression = {}, lent = true },
  ["that is given in chunks"] = { stream(text), chunks = true },
  ["that is compressed and given in chunks"] = { stream(data, 4),
    chunks = true, compression = {} },
}

describe("a message in pieces", function()
  after_each(function() fail_at(0, false) end)

  -- n: the allocation that fails
  local function run(case, way, n, every)
    local e = protocol.new("server", nil, nil, way.pool, case.compression)
    e:lend(case.lent or false)
    e:chunks(case.chunks or false)
    fail_at(n, every)
    local list = e:run(case[1], way.size, way.direct)
    fail_at(0, false)
    return list
  end

  local ways = { { size = 50 }, { size = 997, direct = true },
    { size = 20000, pool = true, direct = true }, { size = 1 << 20 } }

  for name, case in pairs(cases) do
    it(name .. " fails with 1011 where memory does", function()
      if not fail_at(0, false) then
        return pending "built without WS_FAULT"
      end
      local failures = 0
      for _, way in ipairs(ways) do
        local whole = run(case, way, 0, false)
        assert.not_equal("error", whole[#whole][1])
        for _, every in ipairs { false, true } do
          local n = 0
          local last
          repeat
            n = n + 1
            local list = run(case, way, n, every)
            last = list[#list]
            if last[1] == "error" then
              failures = failures + 1
              assert.same({ "error", 1011, "out of memory" }, last)
              for i = 1, #list - 1 do assert.same(whole[i], list[i]) end
            else
              assert.same(whole, list)
            end
          until last[1] ~= "error" or n > 500
          assert.is_true(n <= 500)
        end
      end
      assert.is_true(failures > 1)
    end)
  end
end)

describe("the space for a long payload", function()
  after_each(function() fail_at(0, false) end)

  it("is not offered without memory, and what comes is taken all the same",
    function()
      if not fail_at(0, false) then return pending "built without WS_FAULT" end
      local long = filler.words(400000)
      local bytes = frame("text", long)
      local e = protocol.new "server"
      assert.same({}, e:run(bytes:sub(1, 20000)))
      fail_at(1, true)
      assert.is_nil(e:space())
      fail_at(0, false)
      assert.is_true(e:space() > 0)
      assert.same({ { "text", long } }, e:run(bytes:sub(20001)))
    end)
end)
