-- permessage-deflate (RFC 7692) on connections: our client and our server
-- with every set of parameters, and what each of them leaves to the other.

local t = require "spec.helper"
local children = require "spec.binding.kit"
local probe = require "evws_probe"
local deflate, protocol = probe.deflate, probe.protocol
local kit = require "spec.engine.kit"
local filler = require "spec.helper.filler"
local words, noise = filler.words, filler.noise
local ws, frame = t.ws, t.frame
local echo = t.echo

local field = "Sec-WebSocket-Extensions"

local function open(server, offer)
  local client = t.raw(server)
  local status, headers = client:upgrade {
    headers = { [field] = offer or "permessage-deflate" } }
  assert.equal(101, status)
  return client, headers[field:lower()]
end

local function inflated(f, inflater, fresh)
  return ((inflater or deflate.inflater()):message(f.payload,
    { fresh = fresh }))
end

-- One after the other, so that what one remembers is used by the next.
local messages = { "", "a", words(1023), words(1024), words(3000),
  words(3000), words(65536), noise(2000), words(3000), words(100000, 3),
  noise(70000, 7), words(5000, 5) }

local function exchange(client)
  for _, message in ipairs(messages) do
    client:send(message, "binary")
    local got, kind = client:receive(t.limit * t.factor)
    assert(got == message, "another message came back")
    assert.equal("binary", kind)
  end
end

describe("compression", function()
  after_each(function()
    children.cleanup()
    t.cleanup()
  end)

  for takeover = 0, 3 do
    for _, bits in ipairs { 9, 15 } do
      local both = { threshold = 16, context_takeover = {
        server = takeover & 1 > 0, client = takeover & 2 > 0 } }
      local title = ("with takeover %d and windows of %d bits"):format(
        takeover, bits)

      it("joins our client and our server " .. title, function()
        local server = t.listen { compression = {
          threshold = both.threshold, context_takeover = both.context_takeover,
          server_max_window_bits = bits, client_max_window_bits = bits,
          level = 9 - takeover, memory = 1 + takeover * 2 },
          max_message = false, max_ratio = false, on_message = echo }
        for _, compression in ipairs { true, both, { context_takeover = true,
          level = 9, memory = 9, server_max_window_bits = 10 } } do
          t.pump(function()
            local client <close> = assert(ws.connect("ws://127.0.0.1:"
              .. server.port, { compression = compression,
                max_message = false }))
            assert.is_true(client.compressed)
            exchange(client)
          end)
        end
      end)
    end
  end

  -- Text without repetitions that gets smaller all the same.
  local function distinct(n, bits)
    local most = bits < 11 and 15 or 63
    return (noise(n):gsub(".", function(char)
      return string.char(64 + (char:byte() & most))
    end))
  end

  -- Many clients take the bits for a word, or their zlib writes 9 for 8: what
  -- counts is what the server has answered.
  for offer, cases in pairs {
    ["client_max_window_bits=8"] = { [15] = { "", 15 }, [12] = { "=8", 9 },
      [9] = { "=8", 9 } },
    ["client_max_window_bits=10"] = { [15] = { "", 15 }, [12] = { "=10", 10 },
      [9] = { "=9", 9 } },
    ["client_max_window_bits=15"] = { [15] = { "", 15 }, [12] = { "=12", 12 } },
    ["client_max_window_bits"] = { [15] = { "", 15 }, [12] = { "=12", 12 } },
    ["server_no_context_takeover"] = { [15] = { "", 15 }, [9] = { "", 15 } },
  } do
    for wish, case in pairs(cases) do
      it(("inflates what its answer to %s allows, with %d wished for"):format(
        offer, wish), function()
        local answer, bits = case[1], case[2]
        local server = t.listen { on_message = echo, compression = {
          threshold = 1 << 30, context_takeover = true,
          client_max_window_bits = wish } }
        local client, told = open(server, "permessage-deflate; " .. offer)
        assert.equal(answer, told:match "client_max_window_bits(=%d+)" or "")
        local sender = protocol.new("client", nil, nil, false,
          { client_takeover = true, client_bits = bits })
        local far = distinct((1 << bits) - 300, bits)
        local first, second = sender:deflate(far), sender:deflate(far)
        -- so it points back as far as the window allows
        assert.is_true(#second < #first / 4)
        for _, data in ipairs { first, second, sender:deflate(far) } do
          client:send(frame("binary", data, { rsv = 4 }))
          local kind, got = client:message()
          assert.equal("binary", kind)
          assert.is_true(got == far)
        end
        client:finish()
      end)
    end
  end

  -- RFC 7692 7.1.1.1: a server that takes up the offer says so; many do not.
  local bare = { "permessage-deflate", "permessage-deflate; "
    .. "server_max_window_bits=15", "permessage-deflate; "
    .. "client_no_context_takeover", "PERMESSAGE-DEFLATE" }

  it("of a client comes with the server's takeover, unless that is refused",
    function()
      for _, answer in ipairs(bare) do
        for _, compression in ipairs { true, {}, { threshold = 0, level = 9 },
          { context_takeover = {} }, { context_takeover = { client = true } },
          { context_takeover = true },
          { context_takeover = { server = true } } } do
          local outcome, raw = kit.dial { compression = compression }
          kit.answer(raw, field .. ": " .. answer .. "\r\n")
          t.wait(function() return outcome.done end)
          local conn = assert(outcome[1], outcome[2])
          assert.is_true(conn.compressed)
          -- each message refers to the one before it
          local sender = protocol.new("server", nil, nil, false,
            { server_takeover = true })
          local text = distinct(30000, 15)
          for i = 1, 4 do
            local data = sender:deflate(text)
            assert.is_true(i == 1 or #data < 1000)
            raw:send(frame("binary", data, { rsv = 4, mask = false }))
            assert.is_true(t.pump(conn.receive, conn) == text)
          end
          conn:terminate()
          raw:close()
        end
      end
    end)

  it("of a client fails where what it has written out is not granted",
    function()
      local takeover = "permessage-deflate with the server's context takeover"
      local window = "permessage-deflate with too large a window"
      for _, case in ipairs {
        { { context_takeover = false }, takeover },
        { { context_takeover = { server = false } }, takeover },
        { { context_takeover = { server = false, client = true } }, takeover },
        { { server_max_window_bits = 14 }, window },
        { { server_max_window_bits = 9, context_takeover = true }, window },
      } do
        for _, answer in ipairs(bare) do
          local outcome, raw = kit.dial { compression = case[1] }
          kit.answer(raw, field .. ": " .. answer .. "\r\n")
          t.wait(function() return outcome.done end)
          assert.same({ nil, case[2] }, { outcome[1], outcome[2] })
          raw:close()
        end
      end
    end)

  it("is not there where one side has not asked for it", function()
    for _, case in ipairs { { true, false }, { false, true },
      { false, false } } do
      local server = t.listen { compression = case[1], on_message = echo }
      t.pump(function()
        local client <close> = assert(ws.connect("ws://127.0.0.1:"
          .. server.port, { compression = case[2] }))
        assert.is_false(client.compressed)
        exchange(client)
      end)
    end
  end)

  it("sends RSV1 from the threshold on", function()
    local server = t.listen { compression = true, on_message = echo }
    local client = open(server)
    for _, n in ipairs { 0, 1, 1023 } do
      client:send(frame("text", ("x"):rep(n)))
      assert.equal(0, client:frame().rsv)
    end
    client:send(frame("text", ("x"):rep(1024)))
    local f = client:frame()
    assert.same({ 4, ("x"):rep(1024) }, { f.rsv, inflated(f) })
    client:finish()
  end)

  it("leaves a message that does not get smaller, then goes on", function()
    for _, takeover in ipairs { false, true } do
      local server = t.listen { on_message = echo, compression = {
        context_takeover = takeover } }
      local client = open(server)
      local f9 = deflate.inflater()
      for i = 1, 4 do
        local text, rough = words(2000 + i, i), noise(2000, i)
        client:send(frame("text", text) .. frame("binary", rough))
        local f = client:frame()
        assert.equal(4, f.rsv)
        assert.equal(text, inflated(f, f9, not takeover))
        f = client:frame()
        assert.same({ 0, rough }, { f.rsv, f.payload })
      end
      client:finish()
    end
  end)

  it("never compresses control frames", function()
    local server = t.listen { compression = { threshold = 0 },
      on_open = function(conn) conn:ping(("x"):rep(100)) end,
      on_message = echo }
    local client = open(server)
    assert.equal(0, client:frame().rsv)
    client:send(frame("ping", ("y"):rep(125)))
    local f = client:frame()
    assert.same({ 0, ("y"):rep(125) }, { f.rsv, f.payload })
    client:finish()
  end)

  it("is the same byte by byte and in fragments", function()
    local server = t.listen { compression = true, on_message = echo }
    local client = open(server)
    local text = words(900)
    local data = deflate.pool():whole(text)
    local cut = #data // 2
    client:send_bytewise(frame("text", data, { rsv = 4 }))
    client:expect_frame("text", text)
    client:send_bytewise(frame("text", data:sub(1, cut), { rsv = 4,
      fin = false }) .. frame("ping", "p") .. frame("continuation",
      data:sub(cut + 1)))
    client:expect_frame("pong", "p")
    client:expect_frame("text", text)
    client:finish()
  end)

  it("refuses RSV1 where it was not agreed on (BI-12)", function()
    local server = t.listen { on_message = echo, compression = true }
    local client = t.open(server)
    client:send(frame("text", "\xf2\x48\xcd\xc9\xc9\x07\0", { rsv = 4 }))
    client:expect_close(1002)
  end)

  it("keeps to max_queued, and in step when a message is refused", function()
    local conn
    local server = t.listen { max_queued = 20000, stall_timeout = false,
      compression = { context_takeover = true },
      on_open = function(c) conn = c end }
    local client = t.raw(server, { rcvbuf = 4096 })
    client:upgrade { headers = { [field] = "permessage-deflate" } }
    t.wait(function() return conn end)
    local sent, refused = {}, 0
    for i = 1, 3000 do
      local text = words(3000 + i, i) .. i
      local ok, why = conn:send(text)
      if ok then
        sent[#sent + 1] = text
      else
        assert.equal("queue full", why)
        refused = refused + 1
      end
      if refused > 3 and refused % 7 == 0 then t.turn(0) end
      if refused > 60 then break end
    end
    assert.is_true(refused > 0)
    conn:send("end")
    local f9 = deflate.inflater()
    for _, text in ipairs(sent) do
      local f = client:frame()
      local got = f.rsv == 4 and inflated(f, f9, false) or f.payload
      assert.is_true(got == text)
    end
  end)

  it("takes memory for itself only with takeover", function()
    if os.getenv "ASAN_OPTIONS" then return pending "memory is asan's" end
    -- What a connection takes, in a process that is nothing but the server.
    local function each(compression)
      local child = children.run(([[
        local function resident()
          local file <close> = assert(io.open "/proc/self/statm")
          local _, pages = file:read("n", "n")
          return pages * 4096
        end
        local server = assert(ws.listen { port = 0, host = "127.0.0.1",
          compression = %s, on_message = function(conn, message, kind)
            collectgarbage()
            conn:send(message == "memory" and tostring(resident()) or message,
              kind)
          end })
        say(server.port)
        ws.run()
      ]]):format(compression))
      local port = tonumber((child:wait "^(%d+)$"))
      local clients = {}
      local function add(n)
        for _ = 1, n do
          local client = open(port)
          clients[#clients + 1] = client
          client:send(frame("text", words(2000))):frame()
        end
        clients[1]:send(frame("text", "memory"))
        return tonumber(clients[1]:frame().payload)
      end
      local before = add(20)
      local one = (add(100) - before) / 100
      for _, client in ipairs(clients) do client:close() end
      return one
    end
    local without, with = each "true", each "{ context_takeover = true }"
    assert.is_true(without < 8192, without)
    assert.is_true(with > 65536, with)
  end)

  it("forgets an idle connection's compressor, and is understood", function()
    local conn
    local server = t.listen { keepalive_interval = 0.05,
      keepalive_timeout = 60, compression = { context_takeover = true },
      on_open = function(c) conn = c end }
    local text, client, sizes, f9 = words(3000), nil, nil, nil
    local function receive()
      conn:send(text)
      local is_pinged, f = false
      repeat
        f = client:frame()
        is_pinged = is_pinged or f.opcode == 9
      until f.opcode == 1
      sizes[#sizes + 1] = #f.payload
      assert.equal(text, inflated(f, f9, false))
      return is_pinged
    end
    for _ = 1, 100 do -- until it is not idle in between: we may be held up
      conn, sizes, f9 = nil, {}, deflate.inflater()
      client = open(server)
      t.wait(function() return conn end)
      receive()
      if not receive() then break end
      client:close()
    end
    assert.equal(9, client:frame().opcode) -- the ping
    receive()
    assert.is_true(sizes[2] < sizes[1] / 5)
    assert.equal(sizes[1], sizes[3])
    client:close()
  end)

  it("can be a route's own", function()
    local server = t.listen { compression = true, on_message = echo,
      routes = { ["/plain"] = { compression = false },
        ["/small"] = { compression = { server_max_window_bits = 9 } },
        ["/"] = {} } }
    local function answer(path)
      local client = t.raw(server)
      local _, headers = client:upgrade { path = path,
        headers = { [field] = "permessage-deflate" } }
      return headers[field:lower()]
    end
    assert.is_nil(answer "/plain")
    assert.is_truthy(answer("/small"):find("server_max_window_bits=9", 1,
      true))
    assert.equal("permessage-deflate; server_no_context_takeover; "
      .. "client_no_context_takeover", answer "/")
  end)
end)
