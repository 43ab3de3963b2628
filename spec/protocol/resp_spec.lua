-- The protocol of Redis (src/protocol/resp.c): replies however they are cut,
-- what is none, and commands.

local child = require "spec.helper.child"
local redis = require "evws_probe".redis
local reply = require "spec.helper.redis".reply

local function read(bytes, n, max)
  local pieces = {}
  for at = 1, #bytes, n or #bytes do
    pieces[#pieces + 1] = bytes:sub(at, at + (n or #bytes) - 1)
  end
  return redis.read(pieces, max)
end

describe("replies of Redis", function()
  if not redis.has_reader then
    it("are read", function() pending "built without hiredis" end)
    return
  end

  local cases = {
    ["+OK\r\n"] = { "0.0 status OK", "done" },
    ["-ERR no\r\n"] = { "0.0 error ERR no", "done" },
    [":-12\r\n"] = { "0.0 integer -12", "done" },
    ["$-1\r\n"] = { "0.0 nil 0", "done" },
    ["$0\r\n\r\n"] = { "0.0 string ", "done" },
    ["*-1\r\n"] = { "0.0 nil 0", "done" },
    ["*0\r\n"] = { "0.0 array 0", "done" },
    [reply { "message", "a\r\nb", "\0" }] = { "0.0 array 3",
      "1.0 string message", "1.1 string a\r\nb", "1.2 string \0", "done" },
    [reply { "role", { 1, { "x" }, {} }, false }] = { "0.0 array 3",
      "1.0 string role", "1.1 array 3", "2.0 integer 1", "2.1 array 1",
      "3.0 string x", "2.2 array 0", "1.2 nil 0", "done" },
  }

  it("are read no further than somebody wants", function()
    local two = "*2\r\n:1\r\n:2\r\n:3\r\n"
    local all = { "0.0 array 2", "1.0 integer 1", "1.1 integer 2", "done",
      "0.0 integer 3", "done" }
    for n = 1, #all do
      for _, size in ipairs { #two, 1, 4 } do
        local pieces = {}
        for at = 1, #two, size do
          pieces[#pieces + 1] = two:sub(at, at + size - 1)
        end
        assert.same(table.move(all, 1, n, 1, {}),
          (redis.read(pieces, 1024, n)))
      end
    end
    -- nor is what it has had enough of too long
    assert.same({ { "0.0 array 1" } },
      { redis.read({ "*1\r\n$9\r\n", ("x"):rep(9) }, 3, 1) })
  end)

  for kind, why in pairs { redisReaderCreate = "no reader",
    redisReaderFeed = "out of memory", redisReaderGetReply = "out of memory" }
  do
    it("are none without memory: " .. kind, function()
      local lines, ok = child.run(([[
        local faults = probe.faults
        assert(faults.is_on())
        for _, n in ipairs { 1, 2 } do
          faults.fail(%q, n)
          local ok, list, why = pcall(probe.redis.read, { ":1\r\n", ":2\r\n" })
          log(n, faults.hits(), ok and tostring(why) or list)
          faults.fail(%q, 0)
        end
        log(#probe.redis.read { ":1\r\n" })
      ]]):format(kind, kind), { faults = true })
      assert.is_true(ok, table.concat(lines, "\n"))
      assert.equal("1 1 " .. why, lines[1])
      assert.equal(kind == "redisReaderCreate" and "2 0 nil" or "2 1 " .. why,
        lines[2])
      assert.equal("2", lines[3])
    end)
  end

  it("are the same whole and in pieces of any length", function()
    local all, want = "", {}
    for bytes, items in pairs(cases) do
      all = all .. bytes
      table.move(items, 1, #items, #want + 1, want)
      for n = 1, #bytes do
        local got, why = read(bytes, n)
        assert.same({ items }, { got, why })
      end
    end
    for n = 1, #all do
      local got, why = read(all, n)
      assert.same({ want }, { got, why })
    end
  end)

  it("may be many and long", function()
    local long = ("x"):rep(100000)
    local bytes = reply { "message", "c", long }:rep(3)
    for _, n in ipairs { 1000, 8191, 8192, 8193, #bytes } do
      local got, why = read(bytes, n, 200000)
      assert.is_nil(why)
      assert.equal(15, #got)
      assert.equal("1.2 string " .. long, got[14])
    end
    local got = read(reply { "message", "c", "m" }:rep(5000), 8000)
    assert.equal(25000, #got)
  end)

  it("are bounded, whatever they announce", function()
    for _, bytes in ipairs { "$1099511627776\r\n", "$5000\r\n",
      "*100000\r\n$2\r\n", "+", "*2\r\n$1\r\nx\r\n$4000\r\n" } do
      local _, why = read(bytes .. ("x"):rep(20000), 100)
      assert.is_truthy(why, bytes)
    end
    local got, why = read("$900\r\n" .. ("x"):rep(900) .. "\r\n", 100)
    assert.same({ 2 }, { #got, why })
  end)

  it("that are none are refused", function()
    for _, bytes in ipairs { "HTTP/1.1 200 OK\r\n", "\0\0\0\0", "x\r\n",
      "*x\r\n", "$x\r\n", "*99999999999999999999\r\n", ":x\r\n",
      ("*1\r\n"):rep(20), "$-2\r\n", "*-2\r\n" } do
      local _, why = read(bytes, 1)
      assert.is_truthy(why, bytes)
    end
  end)

  it("that are half are not told", function()
    for bytes in pairs(cases) do
      local got, why = read(bytes:sub(1, -2))
      assert.is_nil(why)
      assert.not_equal("done", got[#got])
    end
  end)
end)

describe("a command for Redis", function()
  it("is a list of words of any bytes", function()
    assert.equal("*2\r\n$4\r\nPING\r\n$0\r\n\r\n",
      redis.command { "PING", "" })
    assert.equal("*1\r\n$13\r\n\0\r\n$*12345678\r\n",
      redis.command { "\0\r\n$*12345678" })
    local long = ("x"):rep(70000)
    assert.equal("*1\r\n$70000\r\n" .. long .. "\r\n",
      redis.command { long })
  end)
end)

describe("a URL of Redis", function()
  it("names host, port, database, user and password", function()
    assert.same({ host = "localhost", port = 6379, db = 0, secure = false },
      redis.url "redis://localhost")
    assert.same({ host = "a.test", port = 7000, db = 12, secure = true,
      username = "ann", password = "p:w@/%" },
      redis.url "rediss://ann:p:w%40%2f%25@a.test:7000/12")
    assert.same({ host = "::1", port = 1, db = 0, secure = false,
      username = "", password = "x" }, redis.url "REDIS://:x@[::1]:1/")
    assert.same({ path = "/run/redis.sock", port = 6379, db = 0,
      secure = false }, redis.url "redis+unix:/run/redis.sock")
    assert.same({ path = "/a b", port = 6379, db = 3, secure = false,
      username = "u", password = "p" },
      redis.url "redis+unix://u:p@/a%20b?db=3")
    assert.same({ path = "/s", port = 6379, db = 0, secure = false },
      redis.url "redis+unix:///s")
  end)

  it("says what is wrong, and repeats nothing", function()
    for text, why in pairs {
      [""] = "the scheme is not redis, rediss or redis+unix",
      ["http://a"] = "the scheme is not redis, rediss or redis+unix",
      ["localhost:6379"] = "the scheme is not redis, rediss or redis+unix",
      ["redis://"] = "the host or port is malformed",
      ["redis://a:b:c"] = "the host or port is malformed",
      ["redis://a:0"] = "the host or port is malformed",
      ["redis://a:65536"] = "the host or port is malformed",
      ["redis://secret@"] = "the host or port is malformed",
      ["redis://a/x"] =
        "after the host only the number of a database is known",
      ["redis://a/-1"] =
        "after the host only the number of a database is known",
      ["redis://a/99999999"] =
        "after the host only the number of a database is known",
      ["redis://a?db=1"] = "a query is not known here",
      ["redis+unix:"] = "the path of the socket is missing",
      ["redis+unix:x"] = "the path of the socket is missing",
      ["redis+unix:/x?db="] =
        "after the path of the socket only ?db=number is known",
      ["redis+unix:/x?y=1"] =
        "after the path of the socket only ?db=number is known",
      ["redis://a b"] = "a character that must be percent-encoded",
      ["redis://a%zz"] = "a character that must be percent-encoded",
      ["redis://u:%00@a"] = "a character that must be percent-encoded",
      ["redis://a\127"] = "a character that must be percent-encoded",
      ["redis://a#x"] = "a character that must be percent-encoded",
    } do
      assert.same({ nil, why }, { redis.url(text) }, text)
    end
  end)
end)

describe("the envelope of a message", function()
  it("holds what it was given", function()
    for _, flags in ipairs { 0, 1, 4, 5 } do
      for _, meta in ipairs { "", "about", ("m"):rep(4096) } do
        for _, message in ipairs { "", "text", "\0evw", ("x"):rep(70000) } do
          local with = flags & 4 > 0
          local got = redis.open(redis.close { flags = flags, node = -2,
            offset = 1 << 40, epoch = "k3f9", meta = meta,
            message = message })
          assert.same({ flags | (meta ~= "" and 8 or 0), -2, message,
            meta ~= "" and meta or nil, with and "k3f9" or nil,
            with and 1 << 40 or 0 }, { got.flags, got.node, got.message,
            got.meta, got.epoch, got.offset })
        end
      end
    end
  end)

  it("names the connections that are left out", function()
    local except = (">I8I8I8I8I8I8"):pack(7, 1, 8, 2, 7, 3)
    local bytes = redis.close { node = 5, except = except, message = "m" }
    assert.same({ 1, 3 }, redis.excepted(bytes, 7))
    assert.same({ 2 }, redis.excepted(bytes, 8))
    assert.same({}, redis.excepted(bytes, 5))
    assert.equal("m", redis.open(bytes).message)
  end)

  it("cut anywhere is none", function()
    local bytes = redis.close { flags = 4, node = 1, offset = 2, epoch = "e",
      meta = "meta", except = ("x"):rep(32), message = "" }
    for n = 4, #bytes - 1 do
      assert.is_nil(redis.open(bytes:sub(1, n)), n)
    end
    assert.equal("", redis.open(bytes).message)
  end)

  it("of a later version is none", function()
    for flag = 4, 7 do
      assert.is_nil(redis.open("\0evw" .. string.char(1 << flag)
        .. ("\0"):rep(8) .. "x"))
    end
  end)

  it("says text of what is text alone", function()
    local node = ("\0"):rep(8)
    assert.is_nil(redis.open("\0evw\0" .. node .. "\xff"))
    assert.equal("\xff", redis.open("\0evw\1" .. node .. "\xff").message)
    assert.equal("ä", redis.open("\0evw\0" .. node .. "ä").message)
  end)

  it("may be missing", function()
    for bytes, flags in pairs { [""] = 0, ["hello"] = 0, ["\xff"] = 1,
      ["\0ev"] = 0, ["\0evx\0"] = 0, ["evw"] = 0 } do
      local got = redis.open(bytes)
      assert.same({ true, flags, bytes, 0 }, { got.foreign, got.flags,
        got.message, got.node })
    end
  end)
end)
