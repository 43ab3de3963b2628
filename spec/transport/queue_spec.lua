-- Bytes that wait to be sent (src/transport/queue.c).

local queue = require "evws_probe".queue

local letters = ("abcdefghijklmnopqrstuvwxyz"):rep(40)

describe("a queue", function()
  it("gives what was put in, in order and in any pieces", function()
    local q = queue.new()
    assert.equal("", q:take(10))
    for _, text in ipairs { "a", "", "bcd", ("e"):rep(5000), "f" } do
      assert.is_true(q:copy(text))
    end
    assert.equal("abc", q:take(3))
    assert.equal("d" .. ("e"):rep(2000), q:take(2001))
    q:copy "g"
    assert.equal(("e"):rep(3000) .. "fg", q:take(9999))
    assert.equal("", q:take(1))
  end)

  it("shares runs of a block, and lets go of it behind the last", function()
    local q, c = queue.new(), queue.block(letters, 1040)
    assert.is_true(q:share(c, 0, 600))
    assert.is_true(q:share(c, 500, 540))
    assert.is_true(q:share(c, 100, 10)) -- not worth it
    assert.equal(3, c:refs())
    assert.equal(letters:sub(1, 600) .. letters:sub(501, 600), q:take(700))
    assert.equal(2, c:refs())
    assert.equal(letters:sub(601, 1040) .. letters:sub(101, 110), q:take(9999))
    assert.equal(1, c:refs())
  end)

  it("joins runs that follow each other", function()
    local q, c = queue.new(), queue.block("", 1040)
    for i = 0, 99 do
      c:append(letters:sub(i * 10 + 1, i * 10 + 10))
      q:share(c, i * 10, 10)
    end
    assert.equal(1, q:places())
    assert.equal(2, c:refs())
    assert.equal(letters:sub(1, 1000), q:take(9999))
  end)

  it("keeps what others append to a shared block out", function()
    local q, c = queue.new(), queue.block("abc", 4096)
    q:share(c, 0, 3)
    c:append "XYZ"
    q:copy "def"
    assert.equal("abcdef", q:take(99))
    q = queue.new()
    q:share(c, 0, 3)
    c:append "more"
    c:release() -- the queue alone holds it now, and only a part waits
    q:copy "def"
    assert.equal("abcdef", q:take(99))
  end)

  it("holds at most one block of which it uses little", function()
    local q, blocks = queue.new(), {}
    for i = 1, 50 do
      blocks[i] = queue.block(letters, 65536)
      q:share(blocks[i], i, 10)
    end
    local held = 0
    for _, c in ipairs(blocks) do held = held + c:refs() - 1 end
    assert.is_true(held <= 1)
    local wanted = {}
    for i = 1, 50 do wanted[i] = letters:sub(i + 1, i + 10) end
    assert.equal(table.concat(wanted), q:take(9999))
  end)

  it("holds no more when the others have let go of theirs", function()
    local q, wanted = queue.new(), {}
    local before = queue.used()
    for i = 1, 200 do
      local c = queue.block(letters, 65536)
      q:share(c, i, 100)
      c:release()
      wanted[i] = letters:sub(i + 1, i + 100)
    end
    assert.is_true(queue.used() - before < 200 * 1024)
    wanted = table.concat(wanted)
    local got = ""
    while #got < #wanted do got = got .. q:take(#wanted) end
    assert.is_true(got == wanted)
  end)

  describe("holds no more than about twice what waits", function()
    local kib = 1024

    -- fn(put, share, n) fills the queue; then what it holds is compared, as
    -- bytes are taken from it in pieces of `step`.
    local function check(fill, step)
      collectgarbage()
      local q, n = queue.new(), 0
      local before = queue.used()
      local function put(text)
        assert.is_true(q:copy(text, n))
        n = n + #text
      end
      local function share(block, off, len)
        assert.is_true(q:share(block, off, len, n))
        n = n + len
      end
      local function compare(where)
        local held = queue.used() - before
        assert(held <= 2 * n + 3 * kib,
          ("%s: %d held for %d"):format(where, held, n))
      end
      fill(put, share)
      compare "filled"
      -- bytes by the hundred would take long where there are millions
      step = math.max(step, n // 5000)
      while n > 0 do
        n = n - #q:take(step)
        q:fit(n)
        compare "taken"
      end
      assert.equal(before, queue.used())
    end

    local patterns = {
      ["small messages"] = function(put)
        for i = 1, 3000 do put(letters:sub(1, i % 100 + 1)) end
      end,
      ["messages of all sizes"] = function(put)
        for i = 1, 40 do put(letters:rep(i)) end
      end,
      ["one of a megabyte"] = function(put)
        put(("m"):rep(1 << 20))
      end,
      ["just above a block's size"] = function(put)
        for _ = 1, 20 do put(("m"):rep(64 * kib + 1)) end
      end,
      ["one topic of many"] = function(_, share)
        for i = 1, 2000 do
          local block = queue.block(letters, 64 * kib)
          share(block, i % 900, 50)
          block:release()
        end
      end,
      ["two of many, beside messages"] = function(put, share)
        for i = 1, 1000 do
          local block = queue.block(letters, 4 * kib)
          share(block, 10, 30)
          put(letters:sub(1, 20))
          share(block, 300 + i % 100, 30)
          block:release()
        end
      end,
      ["a topic alone"] = function(_, share)
        for _ = 1, 50 do
          local block = queue.block("", 64 * kib)
          local off = 0
          while off + #letters <= 64 * kib do
            block:append(letters)
            share(block, off, #letters)
            off = off + #letters
          end
          block:release()
        end
      end,
      ["long messages, shared"] = function(_, share)
        for _ = 1, 20 do
          local text = ("m"):rep(200 * kib)
          local block = queue.block(text, #text)
          share(block, 0, #text)
          block:release()
        end
      end,
    }

    for name, fill in pairs(patterns) do
      it("of " .. name, function()
        for _, step in ipairs { 100, 1000, 70 * kib } do
          check(fill, step)
        end
      end)
    end

    it("whatever is done", function()
      math.randomseed(13)
      for _ = 1, 30 do
        check(function(put, share)
          local log, off = queue.block("", 4 * kib), 0
          for _ = 1, 500 do
            local text = letters:sub(1, math.random(1, 700))
            if math.random(3) == 1 then
              put(text)
            else
              if off + #text > 4 * kib then
                log:release()
                log, off = queue.block("", 4 * kib), 0
              end
              log:append(text)
              if math.random(4) == 1 then share(log, off, #text) end
              off = off + #text
            end
          end
          log:release()
        end, math.random(50, 5000))
      end
    end)
  end)

  it("gives the same as a string, whatever is done", function()
    math.randomseed(7)
    for _ = 1, 50 do
      local q, text, blocks = queue.new(), "", {}
      for i = 1, 8 do
        blocks[i] = queue.block(letters, math.random(1040, 5000))
      end
      for _ = 1, 60 do
        local verb = math.random(3)
        if verb == 1 then
          local part = letters:sub(1, math.random(0, 1040))
          q:copy(part)
          text = text .. part
        elseif verb == 2 then
          local off = math.random(0, 1000)
          local n = math.random(0, 1040 - off)
          q:share(blocks[math.random(8)], off, n)
          text = text .. letters:sub(off + 1, off + n)
        else
          local n = math.random(0, 1500)
          local got = q:take(n)
          assert.equal(text:sub(1, #got), got)
          assert.is_true(#got == n or #got == #text or q:places() > 0)
          text = text:sub(#got + 1)
        end
      end
      while #text > 0 do
        local got = q:take(#text)
        assert.equal(text:sub(1, #got), got)
        text = text:sub(#got + 1)
      end
      assert.equal(0, q:places())
      for _, c in ipairs(blocks) do assert.equal(1, c:refs()) end
    end
  end)
end)
