-- src/protocol/body.c: bodies by Content-Length and in chunks, RFC 9112 6, 7.

local body = require "evws_probe".body

local bad, too_big = -400, -413

-- Whole, byte by byte and in pieces: always the same data, or the same error.
local function feed(framing, bytes, max)
  local data, taken, done = body.feed(framing, bytes, 1, max)
  for _, step in ipairs { #bytes, 2, 3, 5, 16 } do
    local d, t, e = body.feed(framing, bytes, math.max(step, 1), max)
    assert.equal(data, d)
    if data then assert.same({ taken, done }, { t, e }) end
    if not data then assert.equal(taken, t) end
  end
  return data, taken, done
end

local function chunked(bytes, max) return feed("chunked", bytes, max) end

-- Each of them is refused, and so it is after a chunk that was in order.
local function refuses(list)
  for _, bytes in ipairs(list) do
    local what = ("%q"):format(bytes)
    local data, err = chunked(bytes)
    assert.is_nil(data, what)
    assert.equal(bad, err, what)
    data, err = chunked("3\r\nabc\r\n" .. bytes)
    assert.is_nil(data, what)
    assert.equal(bad, err, what)
  end
end

describe("body", function()
  it("takes chunks apart (RFC 9112 7.1)", function()
    local bytes = "4\r\nWiki\r\n5\r\npedia\r\nE\r\n in\r\n\r\nchunks.\r\n"
      .. "0\r\n\r\n"
    local data, taken, done = chunked(bytes)
    assert.equal("Wikipedia in\r\n\r\nchunks.", data)
    assert.equal(#bytes, taken)
    assert.is_true(done)
  end)

  it("takes as many bytes as Content-Length says", function()
    local data, taken, done = feed(5, "helloGET / HTTP/1.1\r\n")
    assert.same({ "hello", 5, true }, { data, taken, done })
    data, taken, done = feed(5, "hell")
    assert.same({ "hell", 4, false }, { data, taken, done })
    data, taken, done = feed(0, "GET")
    assert.same({ "", 0, true }, { data, taken, done })
  end)

  it("takes nothing behind the last chunk", function()
    local data, taken, done = chunked("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n")
    assert.same({ "x", 11, true }, { data, taken, done })
  end)

  it("is not done before the very last byte", function()
    local bytes = "2;e\r\nab\r\n0\r\nA: b\r\n\r\n"
    for n = 0, #bytes - 1 do
      local _, taken, done = body.feed("chunked", bytes:sub(1, n), n + 1)
      assert.same({ n, false }, { taken, done })
    end
    assert.is_true((select(3, chunked(bytes))))
  end)

  it("reads sizes in either case, with zeros in front", function()
    local data = ("x"):rep(0x1aF)
    for _, size in ipairs { "1af", "1AF", "1aF", "01af", "00000000000001af" } do
      for _, last in ipairs { "0", "00", "0000000000000000" } do
        local bytes = size .. "\r\n" .. data .. "\r\n" .. last .. "\r\n\r\n"
        assert.equal(data, (chunked(bytes)))
      end
    end
  end)

  it("drops extensions and trailers", function()
    for _, extension in ipairs { ";a", ";a=b", ";a=\"b;c\"", "; a = b", ";",
                                 ";\x80" } do
      for _, trailer in ipairs { "", "A: b\r\n",
                                 "A:\r\nB:\t\x80\xFF c \r\n" } do
        local bytes = "1" .. extension .. "\r\nx\r\n0" .. extension .. "\r\n"
          .. trailer .. "\r\n"
        local data, taken, done = chunked(bytes)
        assert.same({ "x", #bytes, true }, { data, taken, done })
      end
    end
  end)

  describe("limits", function()
    it("a known length", function()
      assert.equal("abc", (feed(3, "abc", 3)))
      assert.same({ nil, too_big }, { (feed(4, "abcd", 3)),
                                      (select(2, feed(4, "abcd", 3))) })
      assert.equal(too_big, (select(2, feed(-1, "x", math.maxinteger))))
    end)

    it("the sum of all chunks, judged by the head of the next", function()
      local bytes = "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
      assert.equal("abcde", (chunked(bytes, 5)))
      local _, err, at = body.feed("chunked", bytes, 1, 4)
      assert.same({ too_big, 10 }, { err, at })
      assert.equal("", (chunked("0\r\n\r\n", 0)))
      assert.equal(too_big, (select(2, chunked("1\r\nx\r\n0\r\n\r\n", 0))))
    end)

    it("sizes that do not fit with what was there (BI-35)", function()
      -- -1 is the largest number: no limit but that of the counters
      local all = "ffffffffffffffff\r\n"
      assert.equal("xy", (chunked(all .. "xy", -1)))
      assert.equal(too_big, (select(2, chunked("1\r\nx\r\n" .. all, -1))))
      assert.equal(too_big, (select(2, chunked(all, math.maxinteger))))
      assert.equal(too_big, (select(2, chunked("8000000000000000\r\n"))))
      assert.equal(too_big, (select(2, chunked("100001\r\n"))))
      assert.equal("", (chunked("100000\r\n")))
    end)

    it("a chunk head without data at 4 KiB (BI-36)", function()
      local function head(n) return "1;" .. ("e"):rep(n - 4) .. "\r\n" end
      assert.equal("x", (body.feed("chunked", head(4096) .. "x")))
      assert.equal(bad, (select(2, body.feed("chunked", head(4097) .. "x"))))
      assert.same({ nil, bad, 4096 },
                  { body.feed("chunked", "1;" .. ("e"):rep(100000), 1) })
    end)

    it("trailers at 16 KiB, whatever the data (BI-32)", function()
      local start = "8000\r\n" .. ("d"):rep(0x8000) .. "\r\n0\r\n"
      local function trailer(n)
        return "T: " .. ("t"):rep(n - 7) .. "\r\n\r\n"
      end
      assert.is_true((select(3, body.feed("chunked", start .. trailer(16384)))))
      assert.equal(bad, (select(2, body.feed("chunked",
                                             start .. trailer(16385)))))
      local endless = start .. ("A: b\r\n"):rep(9999)
      local _, err, at = body.feed("chunked", endless, 1)
      assert.same({ bad, #start + 16384 }, { err, at })
    end)
  end)

  describe("weighs heads against data (BI-36):", function()
    it("one byte with an extension of 16 KiB each is refused", function()
      local chunk = "1;" .. ("e"):rep(16384) .. "\r\nx\r\n"
      assert.equal(bad, (select(2, body.feed("chunked", chunk:rep(2)))))
    end)

    it("one byte with an extension of 200 bytes each, before long", function()
      local chunk = "1;" .. ("e"):rep(200) .. "\r\nx\r\n"
      local _, err, at = body.feed("chunked", chunk:rep(2000))
      assert.equal(bad, err)
      assert.is_true(at < 5000)
    end)

    it("eight bytes of head for a byte pass, nine do not", function()
      for _, head in ipairs { "0001", "1;ee", "0a;", "00a;xyzzy", "1;" } do
        local size = tonumber(head:match "%x+", 16)
        local bytes = (head .. "\r\n" .. ("x"):rep(size) .. "\r\n"):rep(50000)
        assert.equal(50000 * size,
                     #body.feed("chunked", bytes .. "0\r\n\r\n"))
      end
      for _, head in ipairs { "00001", "1;eee", "2;" .. ("e"):rep(11),
                              "0000000000000001" } do
        local size = tonumber(head:match "%x+", 16)
        local chunk = head .. "\r\n" .. ("x"):rep(size) .. "\r\n"
        local _, err, at = body.feed("chunked", chunk:rep(50000))
        assert.equal(bad, err, head)
        assert.is_true(at < 4096 * 10)
      end
    end)

    it("what went before counts, in both ways", function()
      local large = "8000\r\n" .. ("d"):rep(0x8000) .. "\r\n"
      local heavy = ("1;" .. ("e"):rep(1000) .. "\r\nx\r\n")
      assert.equal(0x8000 + 200,
                   #body.feed("chunked", large .. heavy:rep(200)))
      assert.equal(bad, (select(2, body.feed("chunked",
                                             heavy:rep(200) .. large))))
      assert.equal(bad, (select(2, body.feed("chunked",
                                             large .. heavy:rep(300)))))
    end)

    it("chunks of one byte without extensions pass", function()
      local bytes = ("1\r\nx\r\n"):rep(100000) .. "0\r\n\r\n"
      assert.equal(("x"):rep(100000), (body.feed("chunked", bytes)))
    end)
  end)

  it("refuses malformed chunk heads (BI-35)", function()
    local heads = {
      -- no size
      "\r\n", ";a\r\n", "\r\n5\r\n", "\n5\r\n", "=5\r\n",
      -- whitespace
      " 5\r\n", "\t5\r\n", "5 \r\n", "5\t\r\n", "5 ;a\r\n", "5\t;a\r\n",
      "5 5\r\n", "5\v\r\n", "5\f\r\n", "\v5\r\n",
      -- line ends
      "5\n", "5\n\r\n", "5\rhello", "5\r\r\n", "5\r\0\n", "5\r;a\r\n",
      "5\r 5\r\n", "0\n\r\n", "0\r\r\n\r\n",
      -- signs, prefixes, other notations
      "+5\r\n", "-5\r\n", "-0\r\n", "+0\r\n", "-1\r\n", "0x5\r\n", "0X5\r\n",
      "x5\r\n", "0b1\r\0", "5h\r\n", "$5\r\n", "#5\r\n", "%35\r\n", "5.0\r\n",
      "5,0\r\n", "5_0\r\n", "1e+1\r\n", "\"5\"\r\n", "'5'\r\n", "(5)\r\n",
      "5:\r\n", "5=a\r\n", "5/\r\n",
      -- the neighbours of digits in ASCII
      "/\r\n", ":\r\n", "@\r\n", "G\r\n", "`\r\n", "g\r\n", "5g\r\n",
      -- bytes that are none of it
      "\0005\r\n", "5\0\r\n", "5\127\r\n", "5\x80\r\n",
      "\xEF\xBB\xBF5\r\n", "\xC2\xA05\r\n", "\xEF\xBC\x95\r\n",
      -- more than 64 bits
      "00000000000000005\r\n", "10000000000000000\r\n",
      "fffffffffffffffff\r\n", ("0"):rep(100) .. "\r\n",
      -- extensions
      "5;a\n", "5;a\nb\r\n", "5;a\rb\r\n", "5;a\r\r\n", "5;a\0b\r\n",
      "5;a\127\r\n", "5;\ta\r\n", "5;a=\"\n\"\r\n", "5;a\27[0m\r\n",
    }
    assert.is_true(#heads >= 60)
    refuses(heads)
  end)

  it("refuses data that is not followed by CR LF (BI-35)", function()
    refuses {
      "2\r\nabc\r\n", "2\r\nab\n", "2\r\nab\r\r\n", "2\r\nab0\r\n\r\n",
      "2\r\nab\rx", "2\r\na\r\n0\r\n\r\n", "2\r\nab \r\n", "2\r\nab\0\r\n",
    }
  end)

  it("refuses malformed trailers (BI-39)", function()
    local list = {}
    for _, line in ipairs {
      ": v\r\n", "A : v\r\n", " A: v\r\n", "\tA: v\r\n", "A\r\n", "A: b\n",
      "A(: v\r\n",
      "A: b\rc\r\n", "A: b\r\r\n", "A: \0\r\n", "A: \127\r\n", "A: \v\r\n",
      "A\0: b\r\n", "\x80: b\r\n", "A: b\r\n c\r\n", "\n", "\r\r\n",
      "\rA: b\r\n",
    } do
      list[#list + 1] = "0\r\n" .. line
      list[#list + 1] = "0\r\nX: y\r\n" .. line
    end
    refuses(list)
  end)

  it("takes lengths that are digits only (BI-37)", function()
    for _, s in ipairs { "0", "5", "18446744073709551615" } do
      assert.equal(s, body.parse_length(s))
    end
    assert.equal("5", body.parse_length("005"))
    assert.equal("7", body.parse_length(("0"):rep(100) .. "7"))
    for _, s in ipairs {
      "", " ", "-1", "-0", "-100", "+5", "0x5", "5 ", " 5", "5,5", "5, 6",
      "5.0", "5e0", "1_000", "18446744073709551616", "18446744073709551620",
      "36893488147419103232", "99999999999999999999", ("9"):rep(1000),
      "5\0", "\0", "5;", "five", "\xEF\xBC\x95", "/", ":",
      "9223372036854775808x",
    } do
      assert.is_nil(body.parse_length(s), s)
    end
  end)
end)
