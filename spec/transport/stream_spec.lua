-- Writing (src/transport/stream.c): the cork, the queue, and the payloads that
-- go around them, over a kernel that takes as much as the spec allows it.

local probe = require "evws_probe"

local errno = probe.stream.errno
local has_faults = probe.buf.fail_at(0, false)
local read, write = 1, 2

-- Runs fn inside of a turn, then lets the turn end.
local function in_turn(loop, fn)
  loop:job(fn):set()
  loop:turn()
end

-- Everything a stream can be asked to send, in one turn and behind it, as
-- numbered pieces. add(how, bytes) notes what is to be received.
local function mixed(loop, s, other, add)
  local n = 0
  local function piece(size)
    n = n + 1
    return (("%02d:"):format(n) .. ("abcdefghij"):rep(9)):sub(1, size)
  end
  local function put(size) add(piece(size), function(b) return s:put(b) end) end
  local function large(head, size)
    local h, p = piece(head), piece(size)
    add(h .. p, function() return s:write(h, p) end)
  end
  in_turn(loop, function()
    put(7) -- not corked: the queue
    s:cork()
    put(11)
    put(3)
    large(4, 40)
    put(5)
    other:cork() -- takes the cork away
    put(6)
    s:cork()
    large(4, 20)
    large(4, 0)
    put(9)
    s:uncork()
    put(8)
  end)
  put(10) -- outside of a turn
  large(4, 30)
  in_turn(loop, function()
    large(4, 17)
    s:cork()
    put(12)
    s:flush()
    put(13)
    s:uncork()
  end)
end

-- Lets the kernel take `step` bytes more at a time, until all is sent.
local function pump(loop, s, step)
  local turns = 0
  while s:state().pending > 0 and s:state().error == 0 do
    s:kernel { room = step }
    s:ready()
    loop:turn()
    turns = turns + 1
    assert(turns < 2000, "it does not come to an end")
  end
end

describe("a stream", function()
  local loop, s, other

  local function renew()
    loop = probe.loop.new()
    s, other = probe.stream.new(loop, 0), probe.stream.new(loop, 1)
  end

  before_each(renew)
  after_each(function() probe.buf.fail_at(0, false) end)

  local function assert_sent(bytes, calls)
    local sent, n = s:sent()
    assert.equal(bytes, sent)
    if calls then assert.equal(calls, n) end
  end

  it("sends what was corked in one call", function()
    in_turn(loop, function()
      s:cork()
      for i = 1, 100 do s:put(i .. ",") end
      assert_sent("", 0)
      assert.is_true(s:state().pending > 0)
      s:uncork()
      local _, calls = s:sent()
      assert.equal(1, calls)
    end)
    local _, calls = s:sent()
    assert.equal(1, calls)
    assert.equal(0, s:state().pending)
  end)

  it("sends a full cork before it goes on", function()
    local piece = ("x"):rep(64 * 1024)
    in_turn(loop, function()
      s:cork()
      for _ = 1, 9 do s:put(piece) end
      s:uncork()
    end)
    local sent, calls = s:sent()
    assert.is_true(sent == piece:rep(9))
    assert.is_true(calls > 1 and calls <= 3) -- four and more fit in
  end)

  it("gives the cork to another stream, sending first", function()
    in_turn(loop, function()
      s:cork()
      s:put "mine"
      other:cork()
      assert_sent("mine", 1)
      other:put "theirs"
      s:put "behind"
      other:uncork()
    end)
    assert_sent("minebehind", 2)
    assert.equal("theirs", (other:sent()))
  end)

  it("gathers what is not corked until the turn's end", function()
    in_turn(loop, function()
      for i = 1, 100 do s:put(i .. ",") end
      assert_sent("", 0)
    end)
    local sent, calls = s:sent()
    assert.equal("1,2,3,", sent:sub(1, 6))
    assert.equal(1, calls)
  end)

  it("sends at once outside of a turn", function()
    s:put "a"
    assert_sent("a", 1)
    s:write("h", "p")
    assert_sent("ahp", 2)
  end)

  it("sends a large payload with what is corked, in one call", function()
    in_turn(loop, function()
      s:cork()
      s:put "before "
      s:write("head ", ("p"):rep(100000))
      assert_sent("before head " .. ("p"):rep(100000), 1)
      s:put " behind"
      s:uncork()
    end)
    assert_sent("before head " .. ("p"):rep(100000) .. " behind", 2)
  end)

  it("sends what is queued before a large payload", function()
    in_turn(loop, function()
      s:put "queued "
      s:write("head ", "payload")
    end)
    assert_sent("queued head payload")
  end)

  it("watches for writing only while the kernel refuses bytes", function()
    s:want_read(true)
    assert.equal(read, s:want())
    s:kernel { room = 2 }
    in_turn(loop, function() s:put "abcdef" end)
    assert.equal(read | write, s:want())
    assert.is_true(s:state().blocked)
    assert.equal(4, s:state().queued)
    s:want_read(false)
    assert.equal(write, s:want())
    s:kernel { room = -1 }
    s:ready()
    loop:turn()
    assert.equal(0, s:want())
    assert.is_false(s:state().blocked)
    assert_sent("abcdef")
  end)

  it("asks a kernel that refused no more before it is ready", function()
    s:kernel { room = 0 }
    in_turn(loop, function() s:put "a" end)
    local _, before = s:sent()
    in_turn(loop, function()
      s:put "b"
      s:cork()
      s:put "c"
      s:write("d", "e")
      s:uncork()
    end)
    local _, after = s:sent()
    assert.equal(before, after)
    pump(loop, s, 1)
    assert_sent("abcde")
  end)

  it("tries again when a signal breaks a call", function()
    s:kernel { breaks = 3 }
    s:put "abc"
    assert_sent("abc", 4)
  end)

  it("delivers the same, cut at every byte (BI-15)", function()
    local want = {}
    mixed(loop, s, other, function(bytes, send)
      want[#want + 1] = bytes
      assert.is_true(send(bytes))
    end)
    want = table.concat(want)
    assert_sent(want)
    for _, step in ipairs { 1, 3, 50, -1 } do
      for first = 0, #want do
        renew()
        s:kernel { room = first }
        mixed(loop, s, other, function(bytes, send)
          assert(send(bytes))
        end)
        pump(loop, s, step)
        if s:sent() ~= want then assert_sent(want) end
      end
    end
  end)

  it("delivers the same in short writes of every size (BI-15)", function()
    local want = {}
    mixed(loop, s, other, function(bytes, send)
      want[#want + 1] = bytes
      send(bytes)
    end)
    want = table.concat(want)
    for most = 1, #want do
      renew()
      s:kernel { most = most }
      mixed(loop, s, other, function(bytes, send) assert(send(bytes)) end)
      pump(loop, s, -1)
      if s:sent() ~= want then assert_sent(want) end
    end
  end)

  it("delivers the same when the kernel opens and shuts at random", function()
    for seed = 1, 300 do
      math.randomseed(seed)
      renew()
      local want = {}
      for _ = 1, 4 do
        mixed(loop, s, other, function(bytes, send)
          s:kernel { room = math.random(4) == 1 and math.random(0, 60) or 0,
            most = math.random(50) }
          if math.random(8) == 1 then s:flush() end
          want[#want + 1] = bytes
          assert(send(bytes))
        end)
      end
      pump(loop, s, math.random(100))
      assert_sent(table.concat(want))
    end
  end)

  it("ends with the error of any byte, and takes what follows", function()
    local want
    for first = 0, 330 do
      for _, name in ipairs { "EPIPE", "ECONNRESET" } do
        renew()
        s:kernel { room = first, error = errno[name] }
        local all = {}
        mixed(loop, s, other, function(bytes, send)
          all[#all + 1] = bytes
          send(bytes)
        end)
        want = want or table.concat(all)
        s:ready() -- the error may be the answer to the next attempt only
        loop:turn()
        local state = s:state()
        if first < #want then
          assert.equal(errno[name], state.error)
          assert.is_true(state.late > 0)
          assert_sent(want:sub(1, first))
        else
          assert.equal(0, state.error)
        end
        s:close()
      end
    end
  end)

  it("is broken when there is no memory for what was refused", function()
    if not has_faults then return pending("built without WS_FAULT") end
    local want = {}
    mixed(loop, s, other, function(bytes, send)
      want[#want + 1] = bytes
      send(bytes)
    end)
    want = table.concat(want)
    local failures = 0
    for n = 1, 30 do
      for first = 0, #want, 7 do
        renew()
        s:kernel { room = first }
        local took, is_lost = {}, false
        probe.buf.fail_at(n, true)
        mixed(loop, s, other, function(bytes, send)
          is_lost = is_lost or not send(bytes) -- a connection is cut then
          if not is_lost then took[#took + 1] = bytes end
        end)
        probe.buf.fail_at(0, false)
        pump(loop, s, 13)
        local sent, state = s:sent(), s:state()
        if state.error == 0 then
          assert.equal(table.concat(took), sent)
        else
          assert.equal(errno.ENOMEM, state.error)
          assert.equal(want:sub(1, #sent), sent)
        end
        if is_lost or state.error ~= 0 then failures = failures + 1 end
        s:close()
      end
    end
    assert.is_true(failures > 100)
  end)

  it("forgets everything when it is closed", function()
    s:want_read(true)
    s:kernel { room = 2 }
    in_turn(loop, function()
      s:put "abcdef"
      s:cork()
      s:put "more"
      s:close()
      s:close()
    end)
    assert.is_true(s:is_closed())
    assert.equal(0, s:want())
    assert.same({ 0, false }, { s:state().pending, s:state().blocked })
    assert.is_false(loop:busy())
  end)

  it("hands its descriptor out open", function()
    s:want_read(true)
    assert.equal(0, s:detach())
    assert.is_false(s:is_closed())
    assert.equal(0, s:want())
    s:close()
    assert.is_false(s:is_closed())
  end)

  it("keeps little more memory than what waits", function()
    s:kernel { room = 0 }
    for i = 1, 1000 do s:put(("%04d"):format(i)) end
    assert.equal(4000, s:state().queued)
    local long = ("x"):rep(200000)
    s:write("head", long)
    assert.equal(204004, s:state().queued)
    pump(loop, s, 5000)
    local sent = s:sent()
    assert.equal(204004, #sent)
    assert.equal("head" .. long, sent:sub(4001))
  end)
end)

describe("streams of one loop", function()
  local loop

  before_each(function() loop = probe.loop.new() end)

  local function open(n)
    local list = {}
    for i = 1, n do list[i] = probe.stream.new(loop, i - 1) end
    return table.unpack(list)
  end

  it("count what is theirs alone", function()
    local a, b = open(2)
    in_turn(loop, function()
      a:cork()
      a:put "four"
      assert.same({ 4, 0 }, { a:state().pending, b:state().pending })
      b:put "no"
      assert.same({ 4, 2 }, { a:state().pending, b:state().pending })
      b:flush()
      assert.same({ "", "no" }, { (a:sent()), (b:sent()) })
      b:uncork()
      assert.equal("", (a:sent()))
      a:uncork()
    end)
    assert.same({ "four", "no" }, { (a:sent()), (b:sent()) })
  end)

  it("send large payloads past the other's cork", function()
    local a, b = open(2)
    in_turn(loop, function()
      a:cork()
      a:put "corked "
      b:write("head ", "payload")
      assert.same({ "", "head payload" }, { (a:sent()), (b:sent()) })
      a:write("and ", "more")
      a:uncork()
    end)
    assert.same({ "corked and more", "head payload" },
      { (a:sent()), (b:sent()) })
  end)

  it("lose their own bytes alone when they are closed or break", function()
    for _, ending in ipairs { "close", "detach", "break" } do
      for corked = 1, 2 do
        loop = probe.loop.new()
        local a, b = open(2)
        local ends, stays = a, b
        in_turn(loop, function()
          ends:put "lost"
          local holder = corked == 1 and ends or stays
          holder:cork()
          holder:put "corked "
          if ending == "break" then
            ends:kernel { room = 0, error = errno.EPIPE }
            ends:flush()
          else
            ends[ending](ends)
          end
          stays:put "stays "
          stays:cork()
          stays:put "here"
          stays:uncork()
        end)
        assert.equal((corked == 2 and "corked " or "") .. "stays here",
          (stays:sent()))
        assert.equal("", (ends:sent()))
        assert.equal(0, ends:state().pending)
      end
    end
  end)

  -- What each of three is asked to send, in random order, with their kernels
  -- opening and shutting; one may be closed and another opened.
  local function at_random(seed)
    math.randomseed(seed)
    loop = probe.loop.new()
    local all, next_fd = {}, 0
    local function new()
      local one = { s = probe.stream.new(loop, next_fd), want = {} }
      next_fd = next_fd + 1
      one.name = ("%d"):format(next_fd)
      all[#all + 1] = one
      return one
    end
    local live, n = { new(), new(), new() }, 0
    local function bytes(size)
      n = n + 1
      return (live.name .. ":" .. n .. ("abcdefghij"):rep(9)):sub(1, size)
    end
    local calls = {
      function(one) one.s:cork() end,
      function(one) one.s:uncork() end,
      function(one) one.s:flush() end,
      function(one)
        local b = bytes(math.random(60))
        assert.is_true(one.s:put(b))
        one.want[#one.want + 1] = b
      end,
      function(one)
        local h, b = bytes(math.random(10)), bytes(math.random(80))
        assert.is_true(one.s:write(h, b))
        one.want[#one.want + 1] = h .. b
      end,
      function(one)
        one.s:kernel { room = math.random(3) == 1 and -1 or math.random(0, 90),
          most = math.random(50) }
        one.s:ready()
      end,
    }
    local function step()
      local i = math.random(#live)
      local one = live[i]
      live.name = one.name
      if next_fd < 8 and math.random(60) == 1 then
        one.s:close()
        one.sent, one.s = one.s:sent(), nil
        collectgarbage() -- whoever still looks at it is seen by a sanitizer
        live[i] = new()
      else
        calls[math.random(#calls)](one)
      end
    end
    for _ = 1, 6 do
      in_turn(loop, function() for _ = 1, 25 do step() end end)
      for _ = 1, 3 do step() end
    end
    for _, one in ipairs(live) do
      in_turn(loop, function() one.s:uncork() end)
      pump(loop, one.s, -1)
    end
    for _, one in ipairs(all) do
      local want, sent = table.concat(one.want), one.sent or one.s:sent()
      if one.sent then want = want:sub(1, #sent) end
      assert.equal(want, sent, "seed " .. seed .. ", stream " .. one.name)
    end
  end

  it("never mix, whatever is corked, closed and refused", function()
    for seed = 1, 200 do at_random(seed) end
  end)
end)

describe("a turn of many streams", function()
  local mib = 1 << 20
  local piece = ("x"):rep(65536)
  local loop, streams

  before_each(function()
    loop, streams = probe.loop.new(), {}
    for i = 1, 12 do streams[i] = probe.stream.new(loop, i) end
  end)

  local function sent()
    local n = 0
    for _, s in ipairs(streams) do n = n + #(s:sent()) end
    return n
  end

  -- What each turn hands to the kernel, until nothing is left.
  local function turns()
    local list, before = {}, sent()
    repeat
      loop:turn()
      list[#list + 1] = sent() - before
      before = sent()
    until not loop:busy()
    return list
  end

  it("hands some of it to the kernel, and goes on where it was", function()
    local before
    in_turn(loop, function()
      before = sent()
      for _, s in ipairs(streams) do
        for _ = 1, 16 do assert.is_true(s:put(piece)) end
      end
    end)
    assert.equal(2 * mib, sent() - before)
    assert.same({ 2 * mib, 2 * mib, 2 * mib, 2 * mib, 2 * mib }, turns())
    for _, s in ipairs(streams) do assert.equal(mib, #(s:sent())) end
  end)

  it("does so, too, when the kernel takes bytes again", function()
    for _, s in ipairs(streams) do s:kernel { room = 0 } end
    in_turn(loop, function()
      for _, s in ipairs(streams) do
        for _ = 1, 16 do s:put(piece) end
      end
    end)
    for _, s in ipairs(streams) do
      s:kernel { room = -1 }
      s:ready()
    end
    local list = turns()
    assert.equal(6, #list)
    for _, n in ipairs(list) do assert.equal(2 * mib, n) end
  end)

  it("does not count what is small", function()
    in_turn(loop, function()
      for _, s in ipairs(streams) do s:put "small" end
    end)
    assert.equal(12 * 5, sent())
    assert.is_false(loop:busy())
  end)
end)
