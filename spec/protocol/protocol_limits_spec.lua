-- An endpoint's limits, and the memory it keeps (src/protocol/protocol.c).

local protocol = require "evws_probe".protocol
local endpoint = require "spec.protocol.endpoint"
local frame = require "spec.helper.raw".frame

local events, assert_fails = endpoint.events, endpoint.assert_fails
local part = endpoint.part
local masked_hello = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"

describe("an endpoint", function()
  before_each(function() math.randomseed(6455) end)

  describe("at its limits:", function()
    local limit = 1000

    it("a message of max_message passes, one byte more is 1009", function()
      for _, opcode in ipairs { "text", "binary" } do
        local whole = ("x"):rep(limit)
        assert.same({ { opcode, whole } },
          events(frame(opcode, whole), { message = limit }))
        assert_fails(1009, frame(opcode, whole .. "x"), nil,
          { message = limit })
      end
    end)

    it("without any, what is announced is no reason to reserve it", function()
      local e = protocol.new "server"
      assert.same({}, e:run(part("binary", "x")
        .. frame("continuation", "abc", { len = 0x7fffffffffffffff })))
      local n, capacity = e:message()
      assert.equal(4, n)
      assert.is_true(capacity < 1024)
    end)

    it("the sum of the fragments counts, judged from the head", function()
      local bytes = part("binary", ("x"):rep(limit - 1))
      assert.same({ { "ping", "" }, { "binary", ("x"):rep(limit) } },
        events(bytes .. frame("ping") .. frame("continuation",
          "x"), { message = limit }))
      assert_fails(1009, bytes .. frame("continuation", "xx"), nil,
        { message = limit })
      -- before one byte of it has come
      local e = protocol.new("server", limit)
      e:run(bytes)
      local head = frame("continuation", "", { len = 2, form = 7 })
      assert.equal("error", e:run(head)[1][1])
    end)

    it("every large length is 1009 before anything is reserved (BI-01)",
      function()
        for _, len in ipairs { limit + 1, (1 << 31) - 1, 1 << 31,
          (1 << 32) - 1, 1 << 32, math.maxinteger } do
          for _, opcode in ipairs { "text", "binary" } do
            assert_fails(1009, frame(opcode, "", { len = len }), nil,
              { message = limit })
          end
          assert_fails(1009, part("text", "a") .. frame("continuation",
            "", { len = len }), nil, { message = limit })
        end
      end)

    it("no length adds up to less than it is (BI-01)", function()
      local bytes = part("binary", ("x"):rep(limit))
        .. frame("continuation", "", { len = math.maxinteger })
      assert_fails(1009, bytes, nil, { message = math.maxinteger })
    end)

    it("a limit of 0 takes empty messages", function()
      assert.same({ { "text", "" }, { "ping", "abc" } },
        events(frame("text") .. frame("ping", "abc"),
          { message = 0 }))
      assert_fails(1009, frame("text", "x"), nil, { message = 0 })
    end)

    it("max_fragments pass, one more is 1008, empty or not (BI-04)", function()
      for _, payload in ipairs { "", "x" } do
        local list = { part("text", payload) }
        for i = 2, 19 do list[i] = part("continuation", payload) end
        local bytes = table.concat(list)
        assert.same({ { "ping", "" }, { "text", payload:rep(20) } },
          events(bytes .. frame("ping")
            .. frame("continuation", payload), { fragments = 20 }))
        assert_fails(1008, bytes .. part("continuation", payload)
          .. frame("continuation", ""), nil, { fragments = 20 })
      end
    end)

    it("the count of fragments begins again with each message", function()
      local two = part("text", "a") .. frame("continuation", "b")
      assert.same({ { "text", "ab" }, { "text", "ab" }, { "text", "x" } },
        events(two .. two .. frame("text", "x"), { fragments = 2 }))
      assert.same({ { "text", "x" } }, events(frame("text", "x"),
        { fragments = 1 }))
    end)

    it("a million empty fragments are few bytes of memory (BI-04)", function()
      local e = protocol.new("server", 1000, 2000000)
      e:run(part("binary", "abc"))
      e:run(part("continuation", ""):rep(1000000))
      local len, cap = e:message()
      assert.equal(3, len)
      assert.is_true(cap <= 64)
    end)
  end)

  describe("keeps memory for what has come (BI-02):", function()
    it("not for what is declared", function()
      local declared = 1 << 30
      local e = protocol.new("server", declared)
      e:run(frame("binary", "", { len = declared }))
      assert.same({ 0, 0 }, { e:message() })
      e:run("x")
      local len, cap = e:message()
      assert.equal(1, len)
      assert.is_true(cap <= 64)
    end)

    it("at most eight times as much, until the message is whole", function()
      local n = 1 << 20
      local bytes = frame("binary", ("x"):rep(n))
      for _, direct in ipairs { false, true } do
        local e = protocol.new("server")
        for at = 1, #bytes - 1000, 1000 do
          e:run(bytes:sub(at, at + 999), nil, direct)
          local len, cap = e:message()
          assert.is_true(cap <= math.max(8 * len + 8000, 64))
          assert.is_true(cap <= n + 1)
        end
        local _, cap = e:message()
        assert.equal(n + 1, cap) -- the exact size and a byte, from an eighth on
      end
    end)

    it("at most twice as much over many fragments", function()
      local e = protocol.new("server")
      e:run(part("binary", ("x"):rep(100)))
      for _ = 1, 5000 do
        e:run(part("continuation", ("x"):rep(100)))
        local len, cap = e:message()
        assert.is_true(cap <= 2 * len + 200)
      end
    end)

    it("and takes it from the pool only when an eighth is there", function()
      local e = protocol.new("server", -1, -1, true)
      local n = 1 << 20
      local bytes = frame("binary", ("x"):rep(n))
      for _ = 1, 3 do
        e:run(bytes:sub(1, n // 9))
        local _, cap = e:message()
        assert.is_true(cap <= n // 4)
        assert.same({ { "binary", ("x"):rep(n) } }, e:run(bytes:sub(n // 9 + 1),
          30000, true))
        e:release()
        assert.same({ 0, 0 }, { e:message() })
      end
    end)

    it("and none for a message that came whole", function()
      local e = protocol.new("server")
      e:run(masked_hello:rep(3))
      assert.same({ 0, 0 }, { e:message() })
    end)

    it("and none after a message was released", function()
      local e = protocol.new("server")
      e:run(part("text", "abc"))
      e:run(frame("continuation", "def"))
      assert.equal(6, (e:message()))
      e:release()
      assert.same({ 0, 0 }, { e:message() })
      assert.same({ { "text", "Hello" } }, e:run(masked_hello))
    end)

    it("and a control frame in between leaves the message alone", function()
      local e = protocol.new("server")
      e:run(part("text", "abc") .. frame("ping", "x"), 1)
      e:release()
      assert.equal(3, (e:message()))
      assert.same({ { "text", "abcdef" } },
        e:run(frame("continuation", "def")))
    end)
  end)

  it("offers space for the payload of long frames only", function()
    local e = protocol.new("server")
    local bytes = frame("binary", ("x"):rep(200000))
    assert.is_nil(e:space())
    e:run(bytes:sub(1, 1000))
    assert.is_nil(e:space())
    e:run(bytes:sub(1001, 100000))
    local n = e:space()
    assert.is_true(n > 0 and n <= #bytes - 100000)
    e:run(bytes:sub(100001, -10), nil, true)
    assert.is_nil(e:space()) -- what is left is not worth it
    assert.same({ { "binary", ("x"):rep(200000) } },
      e:run(bytes:sub(-9), nil, true))
  end)

  it("gives the event of a payload that filled its space", function()
    local payload = ("x"):rep(1 << 17)
    local bytes = frame("text", payload)
    for _, first in ipairs { 40000, 70000, 100000 } do
      local e = protocol.new("server")
      assert.same({}, e:run(bytes:sub(1, first)))
      assert.same({ { "text", payload } },
        e:run(bytes:sub(first + 1), 16384, true))
    end
  end)
end)
