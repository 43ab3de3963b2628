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
    assert.is_true(q:share(c, 700, 300))
    assert.equal(3, c:refs())
    assert.equal(letters:sub(1, 600) .. letters:sub(701, 800), q:take(700))
    assert.equal(2, c:refs())
    assert.equal(letters:sub(801, 1000), q:take(9999))
    assert.equal(1, c:refs())
  end)

  it("joins runs that follow each other", function()
    local q, c = queue.new(), queue.block(letters, 1040)
    for i = 0, 99 do q:share(c, i * 10, 10) end
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
