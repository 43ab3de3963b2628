-- Frames that have broken other servers, on connections: BI-01 to BI-04 and
-- BI-10 to BI-19. Sections are those of RFC 6455. BI-16 is all of them once
-- more without limits.

local t = require "spec.helper"
local common = require "spec.bad_inputs.common"

local guarded, frame = common.guarded, t.frame

local unlimited = { max_message = false, max_fragments = false,
  control_rate = false, max_queued = false, keepalive_interval = false,
  stall_timeout = false, close_timeout = false }

local function with(limits, more)
  local options = {}
  for name, value in pairs(limits) do options[name] = value end
  for name, value in pairs(more or {}) do options[name] = value end
  return options
end

-- A frame's head of 64 bits of length and one octet of its payload.
local function huge(opcode, len, mask)
  return (frame(opcode, "x", { len = len, form = 64, mask = mask }))
end

local tests = {} -- those that hold with and without limits

local function test(title, fn) tests[#tests + 1] = { title, fn } end

test("BI-01 closes with 1002 a frame whose 64-bit length has its top bit set",
  function(g, limits)
    local server = g:listen(limits)
    for _, opcode in ipairs { "text", "binary", "close", "ping", "pong" } do
      for _, len in ipairs { math.mininteger, -1 } do
        for _, mask in ipairs { "\0\0\0\0", false } do
          g:refuse(server, huge(opcode, len, mask), 1002)
          g:refuse(server, huge(opcode, len, mask), 1002, true)
        end
        g:refuse(server, frame("text", "a", { fin = false })
          .. huge("continuation", len), 1002)
      end
    end
  end)

test("BI-01 closes with 1002 control frames and unmasked ones of any length",
  function(g, limits)
    local server = g:listen(limits)
    for _, len in ipairs { 126, 65536, 1 << 31, 1 << 32, math.maxinteger } do
      g:refuse(server, huge("ping", len), 1002)
      g:refuse(server, huge("text", len, false), 1002, true)
      g:refuse(server, huge("continuation", len), 1002)
    end
  end)

test("BI-01 closes with 1002 a length that is not in its shortest form",
  function(g, limits)
    local server = g:listen(limits)
    for len, form in pairs { [0] = 16, [125] = 16, [1] = 64, [65535] = 64 } do
      local bytes = frame("binary", ("x"):rep(len), { form = form })
      g:refuse(server, bytes, 1002)
      g:refuse(server, bytes:sub(1, 20), 1002, true)
    end
  end)

-- The prefixes of one first octet. Where it is no malformed one, the frame
-- waits for the rest of its payload.
local function prefixes(first, filler)
  local list = {}
  for _, second in ipairs { 0x00, 0x05, 0x80, 0x85, 0xfd, 0xfe, 0xff } do
    list[#list + 1] = (string.char(first, second) .. filler):sub(1, 14)
  end
  return list
end

test("BI-03 ends, or waits at rest, after any head of a frame",
  function(g, limits)
    local server = g:listen(with(limits, { control_rate = false }))
    for first = 0, 255 do
      local clients = {}
      for _, bytes in ipairs(prefixes(first, ("\1\2"):rep(first % 3 * 6))) do
        clients[#clients + 1] = t.open(server):send(bytes)
      end
      if first % 16 == 0 then assert.is_true(common.rest(2)) end
      for i, client in ipairs(clients) do
        if i % 2 == 0 then client:half_close() else client:close() end
      end
      g:expect_ends(7 * (first + 1))
      for i, client in ipairs(clients) do
        if i % 2 == 0 then client:close() end
      end
    end
    assert.is_true(common.rest(2))
  end)

local function close_payload(code, reason)
  return frame("close", (">I2"):pack(code) .. (reason or ""))
end

test("BI-10 answers close payloads as 7.4 says", function(g, limits)
  local server = g:listen(limits)
  g:refuse(server, frame("close", "\3"), 1002)
  for _, code in ipairs { 0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000,
                          2999, 5000, 65535 } do
    g:refuse(server, close_payload(code), 1002)
    g:refuse(server, close_payload(code, "why"), 1002)
  end
  for _, code in ipairs { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011,
                          1012, 1013, 1014, 3000, 3999, 4000, 4999 } do
    g:refuse(server, close_payload(code), code)
    local reason = ("é"):rep(61) .. "e"
    assert.equal(reason, g:refuse(server, close_payload(code, reason), code))
  end
  g:refuse(server, frame("close"), 1005)
  for _, reason in ipairs { "\xff", "\xc3", "a\xed\xa0\x80", "\xf4\x90\x80\x80",
                            ("x"):rep(122) .. "\xc3" } do
    g:refuse(server, close_payload(1000, reason), 1007)
  end
  g:refuse(server, close_payload(1000, ("x"):rep(124)), 1002)
end)

local wrong_text = { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3\x28",
  "\xe0\x80\x80", "\xe2\x28\xa1", "\xe2\x82\x28", "\xed\xa0\x80",
  "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x9f\x98\x28", "\xf4\x90\x80\x80",
  "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe", "\xff" }

test("BI-11 closes with 1007 at the first octet that is not UTF-8",
  function(g, limits)
    local server = g:listen(limits)
    for _, wrong in ipairs(wrong_text) do
      local text = "κ" .. wrong .. "ok"
      -- the frame is longer than what comes of it
      g:refuse(server, frame("text", text, { len = #text + 50, form = 7 }),
        1007, true)
      g:refuse(server, frame("text", text .. ("y"):rep(200)), 1007)
      for cut = 0, #text do
        g:refuse(server, frame("text", text:sub(1, cut), { fin = false })
          .. frame("continuation", text:sub(cut + 1), { fin = false }), 1007)
      end
    end
    for _, open in ipairs { "\xc3", "\xe2\x82", "\xf0\x9f\x98" } do
      g:refuse(server, frame("text", "a" .. open), 1007)
      g:refuse(server, frame("text", open, { fin = false })
        .. frame("continuation", ""), 1007)
    end
  end)

test("BI-12 closes with 1002 reserved bits and opcodes", function(g, limits)
  local server = g:listen(limits)
  local begun = frame("text", "a", { fin = false })
  for rsv = 1, 7 do
    for _, opcode in ipairs { "text", "binary", "ping", "pong", "close" } do
      g:refuse(server, frame(opcode, "", { rsv = rsv }), 1002)
    end
    g:refuse(server, begun .. frame("continuation", "", { rsv = rsv }), 1002)
  end
  for _, opcode in ipairs { 3, 4, 5, 6, 7, 11, 12, 13, 14, 15 } do
    for _, before in ipairs { "", begun } do
      g:refuse(server, before .. frame(opcode, ""), 1002)
      g:refuse(server, before .. frame(opcode, "x", { fin = false }), 1002)
    end
  end
end)

test("BI-12 closes with 1002 fragments out of order", function(g, limits)
  local server = g:listen(limits)
  local begun = frame("text", "a", { fin = false })
  for _, opcode in ipairs { "text", "binary" } do
    g:refuse(server, begun .. frame(opcode, "b"), 1002)
  end
  g:refuse(server, frame("continuation", "a"), 1002)
  g:refuse(server, begun .. frame("continuation", "b", { fin = false })
    .. frame("text", "c", { fin = false }), 1002)
  for _, opcode in ipairs { "ping", "pong", "close" } do
    g:refuse(server, frame(opcode, "", { fin = false }), 1002)
  end
end)

test("BI-13 closes with 1002 what a client has not masked",
  function(g, limits)
    local server = g:listen(limits)
    for _, opcode in ipairs { "text", "binary", "ping", "pong", "close" } do
      g:refuse(server, frame(opcode, "", { mask = false }), 1002)
      g:refuse(server, frame(opcode, "abc", { mask = false }), 1002, true)
    end
    g:refuse(server, frame("text", "a", { fin = false })
      .. frame("continuation", "b", { mask = false }), 1002)
  end)

test("BI-13 our client closes with 1002 what a server has masked",
  function(g, limits)
    for _, opcode in ipairs { "text", "ping", "close" } do
      local code
      local conn, raw = common.client(with(limits, {
        on_close = function(_, why) code = why end,
      }))
      raw:send(frame(opcode, ""))
      raw:expect_close(1002)
      raw:half_close()
      raw:expect_eof()
      raw:close()
      t.wait(function() return code end, "on_close")
      assert.equal(1002, code)
      assert.equal("closed", conn.state)
    end
    g:listen(limits)
  end)

test("BI-14 unmasks every length at every offset", function(g, limits)
  local server = g:listen(limits)
  local client = t.open(server)
  local bytes = {}
  for i = 1, 300 do bytes[i] = string.char(i * 7 % 256) end
  local all = table.concat(bytes)
  for len = 0, 300 do
    local payload = all:sub(1, len)
    local wire = frame("binary", payload)
    local cut = len % (#wire - 1) + 1
    client:send_each { wire:sub(1, cut), wire:sub(cut + 1), wire }
    client:expect_frame("binary", payload)
    client:expect_frame("binary", payload)
  end
  for len = 0, 40 do -- each cut of a short one is each phase of its mask
    local wire = frame("binary", all:sub(1, len))
    for step = 1, 7 do
      client:send_pieces(wire, step)
      client:expect_frame("binary", all:sub(1, len))
    end
  end
  client:close()
end)

describe("bad frames", function()
  after_each(common.cleanup)

  for _, case in ipairs(tests) do
    it(case[1], guarded(function(g) case[2](g, {}) end))
  end

  describe("without any limit", function()
    for _, case in ipairs(tests) do
      it("BI-16 " .. case[1], guarded(function(g) case[2](g, unlimited) end))
    end

    it("BI-16 BI-01 waits for what was announced, and reserves nothing",
      guarded(function(g)
        local server = g:listen(unlimited)
        local _, before = common.statm()
        for _, len in ipairs { 1 << 31, 1 << 40, math.maxinteger } do
          for _, opcode in ipairs { "text", "binary" } do
            local client = t.open(server):send(huge(opcode, len))
            client:expect_silence(3)
            client:close()
          end
        end
        g:expect_ends(6)
        local _, after = common.statm()
        assert.is_true(after - before < 64 << 20)
      end))
  end)

  it("BI-01 closes with 1009 a frame that is over max_message",
    guarded(function(g)
      local server = g:listen { max_message = 100000 }
      for _, len in ipairs { 100001, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
                             1 << 32, math.maxinteger } do
        for _, opcode in ipairs { "text", "binary" } do
          g:refuse(server, huge(opcode, len), 1009)
          g:refuse(server, huge(opcode, len), 1009, true)
        end
        g:refuse(server, frame("text", "a", { fin = false })
          .. huge("continuation", len), 1009)
      end
      g:refuse(server, frame("text", "a", { fin = false })
        .. huge("continuation", 100000), 1009)
      local whole = ("x"):rep(100000)
      local client = t.open(server):send(frame("text", whole))
      client:expect_frame("text", whole)
      client:close()
    end))

  it("BI-02 reserves nothing for what was only announced",
    guarded(function(g)
      local n, size = 400, 64 << 20
      local server = g:listen { max_message = size }
      local clients = {}
      for i = 1, n do clients[i] = t.open(server) end
      common.rest(1)
      local resident, data = common.statm()
      for i = 1, n do clients[i]:send(huge("binary", size)) end
      common.rest(2)
      local resident_after, data_after = common.statm()
      local each = common.is_sanitized and 65536 or 8192
      assert.is_true((resident_after - resident) / n < each)
      assert.is_true((data_after - data) / n < 65536)
      for i = 1, n do clients[i]:close() end
      g:expect_ends(n)
    end))

  it("BI-04 closes with 1008 beyond max_fragments, empty ones counted",
    guarded(function(g)
      local server = g:listen { max_message = 1 << 20 }
      for _, payload in ipairs { "x", "" } do
        local more = frame("continuation", payload, { fin = false })
        local first = frame("text", payload, { fin = false })
        g:refuse(server, first .. more:rep(5000), 1008)
        local client = t.open(server)
        client:send(first .. more:rep(4094) .. frame("continuation", payload))
        client:expect_frame("text", payload:rep(4096))
        client:close()
      end
    end))

  it("BI-04 closes with 1009 a message in many fragments at its size",
    guarded(function(g)
      local server = g:listen { max_message = 1000, max_fragments = false }
      local more = frame("continuation", "x", { fin = false })
      g:refuse(server, frame("binary", "", { fin = false })
        .. more:rep(1001), 1009)
      local client = t.open(server)
      client:send(frame("binary", "", { fin = false }) .. more:rep(1000)
        .. frame("continuation", ""))
      client:expect_frame("binary", ("x"):rep(1000))
      client:close()
    end))

  it("BI-04 holds at most twice of a message that never ends",
    guarded(function(g)
      local server = g:listen { max_message = false }
      local client = t.open(server)
      local more = frame("continuation", ("x"):rep(65536), { fin = false })
      client:send(frame("binary", "", { fin = false }))
      collectgarbage()
      local before = common.statm()
      for n = 1, 512 do
        client:send(more):flush()
        t.turn(0)
        local held = common.statm() - before
        assert.is_true(common.is_sanitized or held < n * 131072 + (4 << 20))
      end
      client:close()
      g:expect_ends(1)
    end))

  it("BI-04 closes with 1002 fragments with RSV1", guarded(function(g)
    local server = g:listen()
    g:refuse(server, frame("text", "x", { fin = false, rsv = 4 })
      .. frame("continuation", "x", { fin = false }):rep(5000), 1002)
  end))

  -- 10^5 values of 32 bits: 1.2 repeats are to be expected, and 391 of each
  -- octet in each place, chi-square 255 with a deviation of 23.
  it("BI-18 our client takes a fresh mask for each frame", guarded(function(g)
    g:listen()
    local conn, raw = common.client { max_queued = false }
    local n, seen, repeated, bits = 100000, {}, 0, 0
    local counts = { {}, {}, {}, {} }
    local pieces, bytes, last = {}, 0, 0
    for i = 1, n do
      conn:send ""
      if i % 1000 == 0 then
        t.wait(function()
          local piece = raw.socket:recv() or ""
          pieces[#pieces + 1] = piece
          bytes = bytes + #piece
          return bytes >= i * 6
        end, "the frames")
      end
    end
    for head, mask in table.concat(pieces):gmatch "(..)(....)" do
      assert.equal("\x81\x80", head)
      if seen[mask] then repeated = repeated + 1 end
      seen[mask] = true
      for place = 1, 4 do
        local octet = mask:byte(place)
        counts[place][octet] = (counts[place][octet] or 0) + 1
      end
      local value = ("I4"):unpack(mask)
      local differing = value ~ last -- from the mask before: 16 of 32 bits
      last = value
      while differing ~= 0 do
        bits = bits + 1
        differing = differing & (differing - 1)
      end
    end
    assert.is_true(repeated <= 12, repeated)
    for place = 1, 4 do
      local chi = 0
      for octet = 0, 255 do
        local off = (counts[place][octet] or 0) - n / 256
        chi = chi + off * off / (n / 256)
      end
      assert.is_true(chi > 120 and chi < 440, chi)
    end
    assert.is_true(math.abs(bits - 16 * n) < 8 * math.sqrt(8 * n), bits)
    raw:send(frame("close", "", { mask = false }))
    raw:expect_close(1005)
    raw:close()
    t.wait(function() return conn.state == "closed" end, "the end")
  end))

  it("BI-18 our client closes with 1002 or 1009 lengths beyond its limit",
    guarded(function(g)
      g:listen()
      for len, code in pairs { [-1] = 1002, [math.mininteger] = 1002,
                               [math.maxinteger] = 1009, [1 << 20] = nil,
                               [(1 << 20) + 1] = 1009 } do
        local conn, raw = common.client()
        raw:send(huge("text", len, false))
        raw:expect_close(code)
        raw:half_close()
        raw:expect_eof()
        raw:close()
        t.wait(function() return conn.state == "closed" end, "the end")
      end
    end))
end)
