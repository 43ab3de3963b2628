-- src/protocol/compression.c with protocol.c: an endpoint that has agreed on
-- permessage-deflate. As in protocol_spec.lua everything is fed whole, byte by
-- byte and in other pieces.

local protocol = require "evws_probe".protocol
local deflate = require "evws_probe".deflate
local frame = require "spec.helper.raw".frame
local filler = require "spec.helper.filler"
local words = filler.words

local pool = deflate.pool()
local hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"
local again = "\xf2\x00\x11\x00\x00"
local both = { server_takeover = true, client_takeover = true }

local function squeezed(opcode, payload, options)
  local o = { rsv = 4 }
  for k, v in pairs(options or {}) do o[k] = v end
  return frame(opcode, payload, o)
end

-- The fragments of a message: RSV1 on the first alone.
local function fragments(opcode, payload, n, role)
  local list, size = {}, #payload // n
  for i = 1, n do
    local last = i == n
    local part = payload:sub((i - 1) * size + 1, last and -1 or i * size)
    list[i] = frame(i == 1 and opcode or "continuation", part,
      { fin = last, rsv = i == 1 and 4 or 0, mask = role == "client" and
        false or nil })
  end
  return table.concat(list)
end

local function events(bytes, o)
  o = o or {}
  local function run(cuts, direct, buffers, lent, work)
    local e = protocol.new(o.role or "server", o.message, o.fragments,
      buffers, o.agreed or {})
    e:lend(lent)
    e:turns(work or 0)
    return e:run(bytes, cuts, direct)
  end
  local want = run()
  local sizes = #bytes < 1 << 15 and { 1, 2, 7 } or { 1000, 33333 }
  for _, size in ipairs(sizes) do
    assert.same(want, run(size))
    assert.same(want, run(size, true, true))
    assert.same(want, run(size, false, false, true))
  end
  assert.same(want, run(nil, true, true, true))
  for _, work in ipairs { 1, 2, 7, 1000, 100000 } do -- bytes in a turn
    if work * 2000 > #bytes then
      assert.same(want, run(nil, false, false, false, work))
      assert.same(want, run(1000, true, true, true, work))
    end
  end
  return want
end

local function fails(code, bytes, before, o)
  local list = events(bytes .. frame("text", "never"), o)
  local last = table.remove(list)
  assert.same({ "error", code }, { last[1], last[2] })
  assert.same(before or {}, list)
  return last[3]
end

describe("an endpoint with permessage-deflate", function()
  it("takes the RFC's examples (7.2.3)", function()
    assert.same({ { "text", "Hello" } }, events(squeezed("text", hello)))
    assert.same({ { "text", "Hello" } },
      events(squeezed("text", "\xf2\x48\xcd", { fin = false })
        .. frame("continuation", "\xc9\xc9\x07\x00")))
    assert.same({ { "text", "Hello" }, { "text", "Hello" } },
      events(squeezed("text", hello) .. squeezed("text", again),
        { agreed = both }))
    for _, data in ipairs { "\x00\x05\x00\xfa\xffHello\x00",
      "\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
      "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00" } do
      assert.same({ { "binary", "Hello" } }, events(squeezed("binary", data)))
    end
  end)

  it("takes them as a client", function()
    assert.same({ { "text", "Hello" } },
      events(squeezed("text", hello, { mask = false }), { role = "client" }))
    assert.same({ { "text", "Hello" }, { "text", "Hello" } },
      events(squeezed("text", hello, { mask = false })
        .. squeezed("text", again, { mask = false }),
        { role = "client", agreed = both }))
  end)

  it("takes plain messages among compressed ones", function()
    local bytes = frame("text", "plain") .. squeezed("text", hello)
      .. frame("binary", "\xff") .. squeezed("binary", again)
    assert.same({ { "text", "plain" }, { "text", "Hello" },
      { "binary", "\xff" }, { "binary", "Hello" } },
      events(bytes, { agreed = both }))
  end)

  it("takes control frames between compressed fragments", function()
    local bytes = squeezed("text", "\xf2\x48", { fin = false })
      .. frame("ping", "a") .. frame("continuation", "", { fin = false })
      .. frame("pong", "b") .. frame("continuation", "\xcd\xc9\xc9\x07\x00")
    assert.same({ { "ping", "a" }, { "pong", "b" }, { "text", "Hello" } },
      events(bytes))
  end)

  it("keeps the context of a direction only where that was agreed", function()
    fails(1007, squeezed("text", hello) .. squeezed("text", again),
      { { "text", "Hello" } }, { agreed = { server_takeover = true } })
    assert.same({ { "text", "Hello" }, { "text", "Hello" } },
      events(squeezed("text", hello) .. squeezed("text", again),
        { agreed = { client_takeover = true } }))
  end)

  it("BI-12 refuses RSV1 without the extension, on control and "
    .. "continuation frames, and RSV2 and RSV3", function()
    local e = protocol.new("server")
    assert.equal(1002, e:run(squeezed("text", hello))[1][2])
    for _, opcode in ipairs { "continuation", "ping", "pong", "close" } do
      local start = opcode == "continuation"
        and squeezed("text", "\xf2", { fin = false }) or ""
      fails(1002, start .. squeezed(opcode, ""))
    end
    fails(1002, frame("text", "", { fin = false })
      .. squeezed("continuation", ""))
    for _, rsv in ipairs { 1, 2, 3, 5, 6, 7 } do
      fails(1002, frame("text", hello, { rsv = rsv }))
    end
    fails(1002, squeezed(3, ""))
  end)

  it("judges text as it was before it was compressed", function()
    local euro = pool:whole("\xe2\x82\xac")
    assert.same({ { "text", "\xe2\x82\xac" } },
      events(fragments("text", euro, #euro)))
    fails(1007, squeezed("text", pool:whole("\xff")))
    fails(1007, squeezed("text", pool:whole("abc\xe2\x82")))
    assert.same({ { "binary", "\xff" } },
      events(squeezed("binary", pool:whole("\xff"))))
  end)

  it("BI-24 takes messages of nothing", function()
    for _, data in ipairs { "", "\x00", "\x02\x00", "\x03\x00" } do
      assert.same({ { "text", "" } }, events(squeezed("text", data)))
      assert.same({ { "text", "" }, { "text", "Hello" } },
        events(squeezed("text", data) .. squeezed("text", hello),
          { agreed = both }))
    end
    assert.same({ { "text", "" } }, events(squeezed("text", "",
      { fin = false }) .. frame("continuation", "")))
  end)

  it("BI-24 fails with 1007 on data that is wrong", function()
    for _, data in ipairs { "\x07", "\xff\xff", "\xf2\x48\xcd",
      hello .. "\x00\x00", "Hello, world!" } do
      fails(1007, squeezed("text", data))
      fails(1007, squeezed("binary", data), nil, { agreed = both })
      fails(1007, fragments("binary", data, #data), nil, { agreed = both })
    end
  end)

  it("BI-20 holds max_message against what comes out", function()
    local text = words(50000)
    local data = pool:whole(text)
    local n = #text
    assert.same({ { "text", text } },
      events(squeezed("text", data), { message = n }))
    for _, parts in ipairs { 1, 3 } do
      assert.equal("the message is too big",
        fails(1009, fragments("text", data, parts), nil, { message = n - 1 }))
    end
  end)

  it("BI-20 holds max_message against what comes in", function()
    local padding = ("\x00\x00\x00\xff\xff"):rep(300)
    assert.equal("the message is too big",
      fails(1009, squeezed("text", padding .. hello), nil,
        { message = 1000 }))
    fails(1009, fragments("text", padding .. hello, 10), nil,
      { message = 1000 })
  end)

  it("BI-20 never takes more room than max_message and a chunk", function()
    for _, size in ipairs { 1000, 65536, 100000, 1 << 20 } do
      for _, parts in ipairs { 1, 100 } do
        local bomb = pool:whole(("\0"):rep(4 << 20), { level = 9 })
        local e = protocol.new("server", size, nil, true, {})
        local list = e:run(fragments("binary", bomb, parts))
        assert.equal(1009, list[1][2])
        assert.is_true(e:room() <= size + 1)
      end
    end
  end)

  it("BI-20 fails with 1009 past the ratio", function()
    local bomb = pool:whole(("\0"):rep(70000), { level = 9 })
    assert.equal("the message inflates too much",
      fails(1009, squeezed("binary", bomb), nil, { agreed = { ratio = 100 } }))
    local small = pool:whole(("\0"):rep(60000), { level = 9 })
    assert.equal(60000, #events(squeezed("binary", small),
      { agreed = { ratio = 100 } })[1][2])
  end)

  it("takes long messages in every way there is", function()
    for _, size in ipairs { 60000, 65532, 300000, 2000000 } do
      local text = words(size)
      local data = pool:whole(text)
      for _, parts in ipairs { 1, 10 } do
        local list = events(fragments("text", data, parts))
        assert.equal(1, #list)
        assert.is_true(list[1][2] == text)
      end
    end
  end)

  it("gives large rooms back", function()
    local e = protocol.new("server", nil, nil, false, {})
    e:run(squeezed("text", pool:whole(words(300000))))
    e:release()
    assert.equal(0, (e:room()))
    e:run(squeezed("text", hello))
    e:release()
    assert.equal(65536, (e:room()))
  end)

  it("gives large rooms back to the pool where there is one", function()
    local e = protocol.new("server", nil, nil, true, {})
    e:run(squeezed("text", pool:whole(words(300000))))
    e:release()
    local room, _, pooled = e:room()
    assert.equal(0, room)
    assert.is_true(pooled >= 300000, pooled)
    e:run(squeezed("text", hello))
    e:release()
    assert.same({ 0, 0, pooled }, { e:room() }) -- lent and given back
  end)
end)

describe("an endpoint that deflates", function()
  local function endpoint(role, agreed)
    return protocol.new(role, nil, nil, false, agreed)
  end

  it("is understood by another one, in every mode", function()
    for mode = 0, 3 do
      for _, bits in ipairs { 9, 12, 15 } do
        local agreed = { server_takeover = mode & 1 > 0,
          client_takeover = mode & 2 > 0, server_bits = bits,
          client_bits = bits }
        local server = endpoint("server", agreed)
        local client = endpoint("client", agreed)
        for i = 1, 20 do
          local text = words(100 + i * i * 137) .. i
          local data = server:deflate(text)
          assert.same({ { "text", text } },
            client:run(squeezed("text", data, { mask = false })))
          data = client:deflate(text)
          assert.same({ { "text", text } }, server:run(squeezed("text", data)))
        end
      end
    end
  end)

  it("remembers where that was agreed", function()
    local server = endpoint("server", { server_takeover = true })
    local text = words(1000)
    local first, second = server:deflate(text), server:deflate(text)
    assert.is_true(#second < #first / 10)
    local client = endpoint("client", { server_takeover = true })
    assert.equal(client:deflate(text), client:deflate(text))
  end)

  it("may forget between two messages", function()
    local server = endpoint("server", both)
    local client = endpoint("client", both)
    local text = words(1000)
    for i = 1, 6 do
      local data = server:deflate(text)
      assert.same({ { "text", text } },
        client:run(squeezed("text", data, { mask = false })))
      if i % 2 == 0 then server:forget() end
    end
  end)

  it("forgets nothing where it knows nothing", function()
    local server = endpoint("server", { server_takeover = true })
    server:forget()
    local text = words(1000)
    local data = server:deflate(text)
    assert.same({ { "text", text } },
      endpoint("client", both):run(squeezed("text", data, { mask = false })))
  end)

  it("gives large rooms back before the next message", function()
    for _, has_pool in ipairs { false, true } do
      local e = protocol.new("server", nil, nil, has_pool, {})
      local most = 256 * 1024
      for _, row in ipairs { { most, most }, { most + 1, 1000 } } do
        assert.is_truthy(e:deflate(words(row[1])))
        assert.equal(row[1], (select(2, e:room())))
        assert.is_truthy(e:deflate(words(1000)))
        assert.equal(row[2], (select(2, e:room())))
      end
      assert.equal(has_pool and most + 1 or 0, (select(3, e:room())))
      assert.is_truthy(e:deflate(words(most - 5)))
      assert.same(has_pool and { 0, most + 1, 0 } or { 0, most - 5, 0 },
        { e:room() })
    end
  end)

  it("leaves what does not get smaller, and goes on rightly", function()
    local noise = filler.noise(4000)
    for _, agreed in ipairs { {}, both } do
      local server = endpoint("server", agreed)
      local client = endpoint("client", agreed)
      for _ = 1, 3 do
        local text = words(1000)
        assert.is_nil(server:deflate(noise))
        assert.is_nil(server:deflate "x")
        local data = server:deflate(text)
        assert.same({ { "text", text } },
          client:run(squeezed("text", data, { mask = false })))
      end
    end
  end)

  it("sends as it is where the peer wants a window of 256 bytes", function()
    local client = endpoint("client", { client_bits = 8 })
    assert.is_nil(client:deflate(words(5000)))
  end)

  it("neither leaks nor lies without memory", function()
    local fail_at = require "evws_probe".buf.fail_at
    if not fail_at(0) then return pending "built without WS_FAULT" end
    local text, data = words(3000), nil
    for _, agreed in ipairs { {}, both } do
      for n = 1, 14 do
        local server = endpoint("server", agreed)
        fail_at(n)
        data = server:deflate(text)
        fail_at(0)
        if data then
          local bytes = squeezed("text", data)
          local e = endpoint("server", agreed)
          fail_at(n)
          local list = e:run(bytes)
          fail_at(0)
          assert.is_true(list[1][1] == "error" and list[1][2] == 1011
            or list[1][2] == text)
        end
      end
    end
    assert.is_truthy(data)
  end)
end)
