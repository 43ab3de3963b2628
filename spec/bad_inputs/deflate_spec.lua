-- permessage-deflate in the hands of a bad peer: BI-20 to BI-26, on
-- connections, in both roles and in every mode that can be agreed on.

local t = require "spec.helper"
local common = require "spec.bad_inputs.common"
local child = require "spec.helper.child"
local deflate = require "evws_probe".deflate

local guarded, frame = common.guarded, t.frame
local field = "Sec-WebSocket-Extensions"
local no_takeover = "permessage-deflate; server_no_context_takeover; "
  .. "client_no_context_takeover"
local hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"
local again = "\xf2\x00\x11\x00\x00"

local modes = {
  { title = "without takeover", compression = true, answer = no_takeover },
  { title = "with takeover", compression = { context_takeover = true },
    answer = "permessage-deflate" },
  { title = "with small windows", compression = { context_takeover = true,
    server_max_window_bits = 9, client_max_window_bits = 9 },
    answer = "permessage-deflate; server_max_window_bits=9; "
      .. "client_max_window_bits=9" },
}

-- A client that has offered what it is given.
local function open(server, offer)
  local client = t.raw(server)
  local status, headers = client:upgrade { headers = { [field] = offer } }
  assert.equal(101, status)
  return client, headers[field:lower()]
end

-- What inflates to n zeros: 1 MiB once by zlib, and its block once more for
-- each further one, flushed and so independent of where it stands.
local function bomb(n)
  local pool, list = deflate.pool(), {}
  local options = { level = 9, bits = 9 }
  if n <= 1 << 20 then return pool:whole(("\0"):rep(n), options) end
  local block = pool:whole(("\0"):rep(1 << 20), options) .. "\0\0\xff\xff"
  for i = 1, n >> 20 do list[i] = block end
  return table.concat(list):sub(1, -5)
end

-- Eight of the shortest blocks with codes of their own (RFC 1951 3.2.7): two
-- lengths of codes are used, one code each for the end and a distance.
local function empty_dynamic_blocks()
  local lengths = ("000"):rep(2) .. "100" .. ("000"):rep(14) .. "100"
  local bits = ("001" .. "00000" .. "00000" .. "0111" .. lengths
    .. "1" .. "1111111" .. "1" .. "1101011" .. "0" .. "0" .. "0"):rep(8)
  return (bits:gsub("........", function(byte)
    return string.char(tonumber(byte:reverse(), 2))
  end))
end

local bombs = {}
for _, size in ipairs { 2 << 20, 64 << 20, 1 << 30 } do
  bombs[size] = bomb(size)
end

local function frames(bytes, n, mask)
  local list, size = {}, #bytes // n
  for i = 1, n do
    list[i] = frame(i == 1 and "binary" or "continuation",
      bytes:sub((i - 1) * size + 1, i == n and -1 or i * size),
      { fin = i == n, rsv = i == 1 and 4 or 0, mask = mask })
  end
  return table.concat(list)
end

describe("permessage-deflate in bad hands", function()
  after_each(common.cleanup)

  for _, mode in ipairs(modes) do
    for _, parts in ipairs { 1, 1000 } do
      for _, size in ipairs { 2 << 20, 64 << 20, 1 << 30 } do
        local title = ("BI-20 %d MiB in %d frames, %s, "):format(size >> 20,
          parts, mode.title)
        local data = bombs[size]

        it(title .. "end a server's connection with 1009",
          guarded(function(g)
          local server = g:listen { compression = mode.compression,
            max_ratio = false }
          local client, answer = open(server, "permessage-deflate; "
            .. "client_max_window_bits")
          assert.is_string(answer)
          local bytes = frames(data, parts)
          local _, before = common.statm()
          local cpu = common.cpu(function()
            client:send(bytes)
            client:expect_close(1009)
          end)
          local _, after = common.statm()
          client:expect_eof()
          assert.equal(1009, (g:end_of(client)))
          if not common.is_sanitized then
            assert.is_true(after - before < 8 << 20)
            assert.is_true(cpu < 0.2 * t.factor, ("%.3f s"):format(cpu))
          end
        end))

        it(title .. "end a client's connection with 1009",
          guarded(function()
          local code
          local _, raw = common.client({ compression = mode.compression,
            on_message = function() end,
            on_close = function(_, c) code = c end },
            field .. ": " .. mode.answer .. "\r\n")
          raw:send(frames(data, parts, false))
          raw:expect_close(1009)
          raw:close()
          t.wait(function() return code end)
          assert.equal(1009, code)
        end))
      end
    end

    it("BI-20 less than max_message arrives, " .. mode.title,
      guarded(function(g)
      local server = g:listen { compression = mode.compression }
      local client = open(server,
        "permessage-deflate; client_max_window_bits")
      client:send(frames(bomb(1 << 20), 7))
      assert.equal("binary", (client:message()))
      client:finish()
    end))

    it("BI-20 max_ratio is kept, " .. mode.title, guarded(function(g)
      local server = g:listen { compression = mode.compression,
        max_ratio = 100 }
      local client = open(server,
        "permessage-deflate; client_max_window_bits")
      client:send(frames(bomb(100000), 1))
      client:expect_close(1009)
      local code, reason = g:end_of(client)
      assert.same({ 1009, "the message inflates too much" },
        { code, reason })
    end))

    it("BI-20 what repeats itself arrives, " .. mode.title,
      guarded(function(g)
      local seen
      local server = g:listen { compression = mode.compression,
        on_message = function(conn, message)
          seen = message
          conn:send "seen"
        end }
      local client = open(server,
        "permessage-deflate; client_max_window_bits")
      for _, line in ipairs { "GET /health 200 0.3 ms\n", "\0",
        '{"id":1,"value":20.5},' } do
        local text = line:rep(100000 // #line)
        local data = deflate.pool():whole(text, { level = 9, bits = 9 })
        assert.is_true(#text > 100 * #data)
        for _, n in ipairs { 1, 3 } do
          client:send(frames(data, n)):expect_frame("text", "seen")
          assert.is_true(seen == text)
        end
      end
      client:finish()
    end))

    it("BI-24 wrong data ends with 1007, " .. mode.title,
      guarded(function(g)
      local server = g:listen { compression = mode.compression }
      for _, data in ipairs { "\x07", "\xff", hello .. "\0\0",
        "\xf2\x48\xcd", "Hello, world!" } do
        local n = #g.ends
        local client = open(server,
          "permessage-deflate; client_max_window_bits")
        client:send(frame("binary", data, { rsv = 4 }))
        client:expect_close(1007)
        assert.equal(1007, (g:end_of(client, n)))
        client:close()
      end
    end))
  end

  it("BI-20 the limit holds for a message of many ratios in a row",
    guarded(function(g)
    local server = g:listen { compression = true, max_message = 100000,
      max_ratio = 100 }
    local client = open(server, "permessage-deflate")
    local data = deflate.pool():whole(("x"):rep(60000))
    for _ = 1, 20 do
      client:send(frame("text", data, { rsv = 4 }))
      local kind, payload = client:message()
      assert.equal("text", kind)
      assert.equal(("x"):rep(60000), (deflate.inflater():message(payload)))
    end
    client:finish()
  end))

  it("BI-21 an offer that is wrong is declined, and the connection goes on",
    guarded(function(g)
    local server = g:listen { compression = true }
    for _, name in ipairs { "server", "client" } do
      for _, value in ipairs { "=", "=7", "=16", "=99", "=-1", "=+8", "=08",
        "=0x9", "=8; " .. name .. "_max_window_bits=8", "=9; x" } do
        local client, answer = open(server, ("permessage-deflate; "
          .. "%s_max_window_bits%s"):format(name, value))
        assert.is_nil(answer)
        client:send(frame("text", "plain"))
        client:expect_frame("text", "plain")
        client:close()
      end
    end
    local client, answer = open(server,
      "permessage-deflate; server_max_window_bits=8")
    assert.is_nil(answer)
    client:finish()
  end))

  it("BI-21 an answer that is wrong fails the client", function()
    for _, params in ipairs { "; server_max_window_bits=16",
      "; server_max_window_bits=08", "; client_max_window_bits",
      "; client_max_window_bits=99", "; x=1", "; client_max_window_bits=9"
      .. "; client_max_window_bits=9" } do
      local reason
      local ok, failure = pcall(common.client, { compression = true,
        on_close = function(_, _, why) reason = why end },
        field .. ": " .. no_takeover .. params .. "\r\n")
      assert.is_false(ok)
      t.contains(failure, "the client has ended")
      assert.equal("bad parameters of permessage-deflate", reason)
      t.cleanup()
    end
  end)

  it("BI-22 a hostile field costs no more than another", guarded(function(g)
    local server = g:listen { compression = true }
    for _, value in ipairs { 'a; b="' .. ("\\c"):rep(3900),
      "a; b" .. (" "):rep(7900) .. "x", (","):rep(5000) .. "a", "__index",
      "__gc, __metatable; __index" } do
      local client, answer = open(server, value)
      assert.is_nil(answer)
      client:send(frame("text", "plain")):expect_frame("text", "plain")
      client:close()
    end
  end))

  it("BI-23 many offers get one answer", guarded(function(g)
    local server = g:listen { compression = true }
    for _, n in ipairs { 1, 2, 200 } do
      local client, answer = open(server,
        ("permessage-deflate, x, "):rep(n) .. "permessage-deflate")
      assert.equal(no_takeover, answer)
      client:finish()
      client:close()
    end
  end))

  it("BI-24 empty, final and stored blocks have a defined result",
    guarded(function(g)
    local server = g:listen { compression = { context_takeover = true } }
    local client = open(server, "permessage-deflate")
    local results = { { "", "" }, { "\0", "" }, { hello, "Hello" },
      { again, "Hello" }, { "\xf3\x48\xcd\xc9\xc9\x07\0\0", "Hello" },
      { "\xf3\x48\xcd\xc9\xc9\x07\0" .. hello, "HelloHello" },
      { again, "Hello" }, { "\0\5\0\xfa\xffHello\0", "Hello" } }
    for _, case in ipairs(results) do
      client:send(frame("text", case[1], { rsv = 4 }))
      client:expect_frame("text", case[2])
    end
    client:finish()
  end))

  it("BI-25 nothing is compressed unless it was asked for",
    guarded(function(g)
    local server = g:listen {}
    local client, answer = open(server, "permessage-deflate")
    assert.is_nil(answer)
    client:finish()
  end))

  it("BI-25 compress = false sends RSV1 = 0", guarded(function(g)
    local server = g:listen { compression = true,
      on_message = function(conn, message, kind)
        conn:send(message, kind, { compress = false })
        conn:send(message, kind, { compress = true })
        conn:send(message, kind)
      end }
    local client = open(server, "permessage-deflate")
    local text = ("secret "):rep(1000)
    client:send(frame("text", text))
    local f = client:frame()
    assert.same({ 0, text }, { f.rsv, f.payload })
    for _ = 1, 2 do
      f = client:frame()
      assert.equal(4, f.rsv)
      assert.equal(text, (deflate.inflater():message(f.payload)))
    end
    client:finish()
  end))

  it("BI-26 blocks that are all head cost in proportion to their bytes",
    guarded(function(g)
    local server = g:listen { compression = true, echo = false,
      on_message = function() end }
    for _, block in ipairs { "\3\0", "\0\0\0\xff\xff",
      empty_dynamic_blocks() } do
      local client = open(server, "permessage-deflate")
      local data = block:rep((1 << 20) // #block - 1) .. "\0"
      local cpu = common.cpu(function()
        client:send(frame("binary", data, { rsv = 4 }))
        client:send(frame("ping", "x"))
        client:expect_frame("pong", "x")
      end)
      if not common.is_sanitized then
        assert.is_true(cpu < 0.5 * t.factor, ("%.3f s"):format(cpu))
      end
      client:finish()
      client:close()
    end
  end))

  -- The server is a process of its own: the memory is its alone.
  it("memory with takeover is bounded and given back", function()
    local most = 110 << 20 -- 64 MiB of compressors, 300 windows to inflate
    local pipe = child.open [[
      local server = assert(ws.listen { host = "127.0.0.1", port = 0,
        compression = { context_takeover = true, threshold = 0 },
        on_message = function(conn, m, kind) conn:send(m, kind) end })
      log(server.port)
      wait(function() return server.connections > 0 end, 60)
      local first, high = probe.net.rss(), 0
      wait(function()
        high = math.max(high, probe.net.rss())
        return server:stats().messages_in == 600
      end, 60)
      wait(function() return server.connections == 0 end, 60)
      log(high - first, probe.net.rss() - first)
    ]]
    local port = pipe:read "n"
    local clients, text = {}, ("some text "):rep(200)
    for i = 1, 300 do clients[i] = open(port, "permessage-deflate") end
    for _, client in ipairs(clients) do
      client:send(frame("text", text))
      local f = client:frame()
      assert.equal(text, (deflate.inflater():message(f.payload)))
    end
    for _, client in ipairs(clients) do -- those that were dropped as well
      client:send(frame("text", text))
      assert.equal(4, client:frame().rsv)
    end
    for _, client in ipairs(clients) do client:close() end
    local high, after = pipe:read("n", "n")
    assert.is_true(pipe:close())
    if common.is_sanitized then return end
    assert.is_true(high > 8 << 20 and high < most, high)
    assert.is_true(after < 4 << 20, after)
  end)
end)
