-- The turn (src/transport/loop.c) over a provider that is a fake: its clock
-- stands still until the spec sets it, and nothing is ready by itself.

local probe = require "evws_probe"

local read, write, again = 1, 2, 4

-- Turns at the times that the loop asks for, as the driver makes them, up to
-- but not at this one.
local function drive(loop, seconds)
  local wake = loop:wake()
  while wake >= 0 and wake < seconds do
    loop:now(math.max(wake, loop:now()))
    loop:rang()
    loop:turn()
    wake = loop:wake()
  end
end

describe("a turn", function()
  local loop, log

  before_each(function()
    loop, log = probe.loop.new(), {}
  end)

  -- A function that notes its name, then does something more.
  local function note(name, fn)
    return function(...)
      log[#log + 1] = name
      if fn then return fn(...) end
    end
  end

  local function turn_at(seconds)
    log = {}
    loop:now(seconds)
    loop:turn()
    return log
  end

  it("goes from the ready list to late work", function()
    local late = loop:late(note "late")
    local job = loop:job(note("job", function() late:set() end))
    local timer = loop:timer(note("timer", function() job:set() end))
    local deadline = loop:deadline(note "deadline")
    local watch = loop:watch(0, note "watch")
    timer:set(1.015)
    deadline:set(100)
    drive(loop, 1)
    assert.same({}, turn_at(1.01))
    watch:ready(read)
    assert.same({ "watch", "deadline", "timer", "job", "late" },
      turn_at(1.02))
    assert.same({}, turn_at(5))
  end)

  it("tells a watch what it is ready for, and once", function()
    local got = {}
    local w = loop:watch(0, function(x) got[#got + 1] = x end)
    w:ready(read)
    w:ready(write)
    loop:turn()
    loop:turn()
    w:again()
    loop:turn()
    assert.same({ read | write, again }, got)
  end)

  it("calls in this turn only who was ready before it", function()
    local a, b
    a = loop:watch(0, note("a", function()
      a:again()
      b:ready(read)
    end))
    b = loop:watch(1, note "b")
    a:again()
    assert.same({ "a" }, turn_at(0))
    assert.same({ "a", "b" }, turn_at(0))
  end)

  it("leaves out a watch that was stopped in the meantime", function()
    local b
    local a = loop:watch(0, note("a", function() b:stop() end))
    b = loop:watch(1, note "b")
    b:set(read)
    a:ready(read)
    b:ready(read)
    assert.same({ "a" }, turn_at(0))
    assert.same({}, turn_at(0))
  end)

  it("judges deadlines after what was read", function()
    local d = loop:deadline(note "deadline")
    local w = loop:watch(0, note("watch", function() d:set(1000) end))
    d:set(100)
    drive(loop, 1)
    turn_at(1.001)
    w:ready(read)
    assert.same({ "watch" }, turn_at(1.002))
    drive(loop, 11)
    turn_at(11.005)
    assert.same({ "deadline" }, turn_at(11.006))
  end)

  it("judges a deadline when it has looked at the descriptors since", function()
    local d = loop:deadline(note "deadline")
    d:set(100)
    drive(loop, 1)
    assert.same({}, turn_at(1.01))
    assert.is_true(loop:wake() <= 1.01) -- it will do so at once
    assert.same({ "deadline" }, turn_at(1.01))
    assert.equal(-1, (loop:wake()))
  end)

  it("judges none by the time that its own handlers took", function()
    local d = loop:deadline(note "deadline")
    local w = loop:watch(0, note("watch", function() loop:now(1.01) end))
    d:set(100)
    drive(loop, 0.99)
    w:ready(read)
    assert.same({ "watch" }, turn_at(0.99))
    assert.same({ "deadline" }, turn_at(1.02))
  end)

  it("judges a deadline after the late work of what was read", function()
    local d = loop:deadline(note "deadline")
    local late = loop:late(note("late", function() d:set(1000) end))
    local w = loop:watch(0, note("watch", function() late:set() end))
    d:set(100)
    drive(loop, 1)
    turn_at(1.01)
    w:ready(read)
    assert.same({ "watch", "late" }, turn_at(1.02))
  end)

  it("leaves out a deadline that another one has stopped", function()
    local b
    local a = loop:deadline(note("a", function() b:stop() end))
    b = loop:deadline(note "b")
    a:set(100)
    b:set(100)
    drive(loop, 1)
    turn_at(1.01)
    assert.same({ "a" }, turn_at(1.02))
  end)

  it("hands out no deadline before its tick", function()
    for _, ticks in ipairs { 1, 2, 63, 64, 100, 4097 } do
      local d = loop:deadline(note "deadline")
      local from = loop:now()
      d:set(ticks)
      drive(loop, from + ticks * 0.01 - 0.011)
      assert.same({}, turn_at(from + ticks * 0.01 - 0.011))
      assert.same({}, turn_at(from + ticks * 0.01 + 0.005))
      assert.same({ "deadline" }, turn_at(from + ticks * 0.01 + 0.005))
    end
  end)

  describe("calls a timer", function()
    it("when its time has come, not before", function()
      local t = loop:timer(note "timer")
      loop:now(100)
      t:set(0.5)
      assert.same({}, turn_at(100.499))
      assert.same({ "timer" }, turn_at(100.5))
      assert.same({}, turn_at(200))
    end)

    it("in the order of time, whatever the order of setting", function()
      for _, at in ipairs { 0.3, 0.1, 0.2 } do
        loop:timer(note(at)):set(at)
      end
      assert.same({ 0.1, 0.2, 0.3 }, turn_at(1))
    end)

    it("counting from the clock read afresh", function()
      local t = loop:timer(note "timer")
      local w = loop:watch(0, function()
        loop:now(10) -- the handler takes its time
        t:set(1)
      end)
      w:ready(read)
      assert.same({}, turn_at(0))
      assert.same({}, turn_at(10.9))
      assert.same({ "timer" }, turn_at(11))
    end)

    it("that was set by a timer in a turn of its own", function()
      local t
      t = loop:timer(note("timer", function() t:set(0) end))
      t:set(0)
      assert.same({ "timer" }, turn_at(1))
      assert.same({ "timer" }, turn_at(1))
    end)

    it("no more once it was stopped", function()
      local b
      local a = loop:timer(note("a", function() b:stop() end))
      b = loop:timer(note "b")
      a:set(1)
      b:set(1)
      assert.same({ "a" }, turn_at(2))
      b:set(1)
      b:stop()
      b:stop()
      assert.same({}, turn_at(9))
    end)
  end)

  describe("runs a job", function()
    it("once, however often it was asked for", function()
      local j = loop:job(note "job")
      j:set()
      j:set()
      assert.same({ "job" }, turn_at(0))
      assert.same({}, turn_at(0))
    end)

    it("again when it asks for itself, but not for ever", function()
      local j
      j = loop:job(note("job", function() j:set() end))
      j:set()
      local n = #turn_at(0)
      assert.is_true(n > 1 and n <= 100)
      assert.is_true(loop:busy())
      assert.equal(n, #turn_at(0))
    end)

    it("behind the late work that came before it", function()
      local j = loop:job(note "job")
      local late = loop:late(note("late", function()
        if #log < 2 then j:set() end
      end))
      late:set()
      assert.same({ "late", "job" }, turn_at(0))
    end)
  end)

  it("does late work that asks for itself in the same turn", function()
    local l
    l = loop:late(note("late", function()
      if #log < 3 then l:set() end
    end))
    l:set()
    assert.same({ "late", "late", "late" }, turn_at(0))
    assert.is_false(loop:busy())
  end)

  it("frees at its end what nobody can know any more", function()
    local dead = {}
    local late = loop:late(function() dead.late = loop:dead() end)
    local w = loop:watch(0, function()
      loop:free_later()
      loop:free_later()
      late:set()
      dead.watch = loop:dead()
    end)
    w:ready(read)
    loop:turn()
    assert.same({ watch = 2, late = 2 }, dead)
    assert.equal(0, loop:dead())
    loop:free_later() -- outside of a turn: at once
    assert.equal(0, loop:dead())
  end)

  describe("that has handed a lot to the kernel", function()
    local most = 2 << 20

    -- Five of a kind, each of which spends so much.
    local function five(kind, bytes)
      local items = {}
      for i = 1, 5 do
        local function fn()
          log[#log + 1] = i
          loop:spend(bytes)
        end
        items[i] = kind == "watch" and loop:watch(i, fn) or loop[kind](loop, fn)
      end
      return items
    end

    local function start(items, kind)
      for _, item in ipairs(items) do
        if kind == "watch" then item:ready(read) else item:set() end
      end
    end

    for _, kind in ipairs { "watch", "job", "late" } do
      it("leaves the rest to the next one: " .. kind, function()
        local items = five(kind, most // 2)
        start(items, kind)
        assert.same({ 1, 2 }, turn_at(0))
        assert.is_true(loop:busy())
        assert.same({ 3, 4 }, turn_at(0))
        assert.same({ 5 }, turn_at(0))
        assert.is_false(loop:busy())
      end)

      it("has them first there: " .. kind, function()
        local items = five(kind, most)
        start(items, kind)
        assert.same({ 1 }, turn_at(0))
        start({ items[1] }, kind)
        assert.same({ 2 }, turn_at(0))
        assert.same({ 3 }, turn_at(0))
        assert.same({ 4 }, turn_at(0))
        assert.same({ 5 }, turn_at(0))
        assert.same({ 1 }, turn_at(0))
      end)

      it("knows of one that is stopped meanwhile: " .. kind, function()
        if kind ~= "watch" then return end
        local items = five(kind, most)
        start(items, kind)
        assert.same({ 1 }, turn_at(0))
        items[2]:stop()
        assert.same({ 3 }, turn_at(0))
      end)
    end

    local look = 256 << 10

    for _, kind in ipairs { "watch", "job", "late" } do
      it("looks at the clock: " .. kind, function()
        local items, ran = {}, {}
        for i = 1, 5 do
          local function fn()
            ran[#ran + 1] = i
            loop:now(loop:now() + 0.0015)
            loop:spend(look)
          end
          items[i] = kind == "watch" and loop:watch(i, fn)
            or loop[kind](loop, fn)
        end
        start(items, kind)
        loop:turn()
        assert.same({ 1, 2 }, ran)
        loop:turn()
        assert.same({ 1, 2, 3, 4 }, ran)
        loop:turn()
        assert.same({ 1, 2, 3, 4, 5 }, ran)
      end)
    end

    it("does not look for what is less", function()
      local items = five("job", look // 6)
      for i = 1, 5 do items[i]:set() end
      loop:now(1)
      assert.same({ 1, 2, 3, 4, 5 }, turn_at(0))
    end)

    it("has no further round of jobs that spend again", function()
      local n, job = 0, nil
      job = loop:job(function()
        n = n + 1
        loop:spend(most // 8)
        job:set()
      end)
      job:set()
      loop:turn()
      assert.equal(8, n)
      loop:turn()
      assert.equal(16, n)
    end)

    it("nor of jobs and late work that take turns", function()
      local n, late = 0, nil
      local job = loop:job(function() late:set() end)
      late = loop:late(function()
        n = n + 1
        loop:spend(most // 8)
        job:set()
      end)
      job:set()
      loop:turn()
      assert.equal(8, n)
    end)

    it("gives each phase its share", function()
      local w = loop:watch(0, note("watch", function() loop:spend(most) end))
      local job = loop:job(note("job", function() loop:spend(most) end))
      local late = loop:late(note("late", function() loop:spend(most) end))
      for _ = 1, 3 do
        w:ready(read)
        job:set()
        late:set()
        assert.same({ "watch", "job", "late" }, turn_at(0))
      end
    end)

    it("judges no deadline before the rest was heard, for a while", function()
      local d = loop:deadline(note "deadline")
      local items = five("watch", most)
      d:set(100)
      drive(loop, 1)
      turn_at(1.01)
      start(items, "watch")
      for i = 1, 4 do assert.same({ i }, turn_at(1.01)) end
      assert.same({ 5 }, turn_at(1.5))
      assert.same({ "deadline" }, turn_at(2.1))
    end)
  end)

  it("is known to whoever works in it", function()
    local inner
    local w = loop:watch(0, function()
      inner = loop:in_turn()
      loop:late(note "late"):set()
      log[#log + 1] = "read"
    end)
    w:ready(read)
    assert.same({ "read", "late" }, turn_at(0))
    assert.is_true(inner)
    assert.is_false(loop:in_turn())
  end)
end)

describe("the driver", function()
  local loop

  before_each(function() loop = probe.loop.new() end)

  local function nothing() end

  local function wake_after_turn(seconds)
    if seconds then loop:now(seconds) end
    loop:turn()
    return (loop:wake())
  end

  it("is asked for no turn while there is nothing to do", function()
    assert.equal(-1, wake_after_turn(5))
    assert.is_false(loop:busy())
  end)

  it("is told the time of the first timer", function()
    local a, b = loop:timer(nothing), loop:timer(nothing)
    a:set(3)
    assert.equal(3, (loop:wake()))
    b:set(2)
    assert.equal(2, (loop:wake()))
    assert.equal(2, wake_after_turn(1))
    b:stop()
    assert.equal(3, (loop:wake()))
    a:stop()
    assert.equal(-1, (loop:wake()))
  end)

  it("is told a time at which a deadline is due", function()
    local fired
    local d = loop:deadline(function() fired = loop:now() end)
    for _, ticks in ipairs { 1, 7, 64, 1000, 70000 } do
      fired = nil
      loop:turn()
      local from = loop:now()
      d:set(ticks)
      local turns = 0
      while not fired do -- turned only when it asks for that
        turns = turns + 1
        assert.is_true(turns <= 10)
        local wake = loop:wake()
        assert.is_true(wake > from)
        loop:now(math.max(wake, loop:now()))
        loop:rang()
        loop:turn()
      end
      assert.is_true(fired >= from + (ticks - 1) * 0.01)
      assert.is_true(fired <= from + (ticks + 1) * 0.01)
    end
  end)

  it("is asked for a turn at once while there is work", function()
    loop:now(7)
    local j
    j = loop:job(function() j:set() end)
    j:set()
    assert.is_true(loop:wake() <= 7)
    assert.equal(8, wake_after_turn(8))
    local w = loop:watch(0, nothing)
    w:again()
    assert.equal(9, wake_after_turn(9))
  end)

  it("is told nothing that it knows already", function()
    local t = loop:timer(nothing)
    t:set(100)
    local _, before = loop:wake()
    for i = 1, 10 do
      loop:now(i)
      loop:turn()
    end
    local wake, after = loop:wake()
    assert.same({ 100, before }, { wake, after })
    t:stop()
  end)

  it("is told again once what it was told has come", function()
    local t = loop:timer(nothing)
    t:set(100)
    local _, before = loop:wake()
    loop:rang() -- too early
    assert.equal(100, wake_after_turn(50))
    local _, after = loop:wake()
    assert.equal(before + 1, after)
    t:stop()
  end)

  describe("that comes late", function()
    -- Turns as the driver makes them, so often in a row without waiting.
    local function turns(n, seconds)
      for i = 1, n do
        loop:now(seconds + i * 0.0001)
        loop:turn()
      end
    end

    local function deadline(ticks)
      local d = { n = 0 }
      d.item = loop:deadline(function() d.n = d.n + 1 end)
      d.item:set(ticks)
      return d
    end

    it("judges nothing for as long as it was late, a second at most", function()
      for late, hold in pairs { [0.2] = 0.2, [0.9] = 0.9, [5] = 1,
        [3600] = 1 } do
        local from = loop:now()
        local d = deadline(100)
        drive(loop, from + 0.98)
        local back = from + 1 + late
        turns(50, back)
        assert.equal(0, d.n)
        local wake = loop:wake()
        assert.is_true(math.abs(wake - back - hold) < 0.05)
        turns(1, wake + 0.001)
        assert.equal(1, d.n)
      end
    end)

    it("reads meanwhile, and goes by what it reads", function()
      local d = deadline(100)
      local w = loop:watch(0, function() d.item:set(1000) end)
      loop:turn()
      turns(1, 3)
      w:ready(read)
      turns(1, 3.5)
      turns(2, 4.5)
      assert.equal(0, d.n)
    end)

    it("is not held up by a little", function()
      local d = deadline(100)
      drive(loop, 1)
      turns(2, 1.04)
      assert.equal(1, d.n)
    end)

    it("judges in between when every turn comes late", function()
      local d = deadline(10)
      local n = 0
      local often = loop:timer(function() end)
      for i = 1, 200 do
        often:set(0)
        loop:now(i * 0.3)
        loop:turn()
        if d.n > n then
          n = d.n
          d.item:set(10)
        end
      end
      assert.is_true(n > 20)
    end)

    it("is not late where it was not asked to come", function()
      loop:now(500)
      loop:turn()
      local d = deadline(100)
      drive(loop, 501)
      turns(3, 501.01)
      assert.equal(1, d.n)
    end)

    it("is late after a handler that took long, too", function()
      local d = deadline(100)
      local w = loop:watch(0, function() loop:now(10) end)
      w:ready(read)
      loop:turn()
      turns(5, 10)
      assert.equal(0, d.n)
      turns(1, 11.001)
      assert.equal(1, d.n)
    end)

    it("calls timers meanwhile", function()
      local called
      local t = loop:timer(function() called = true end)
      deadline(100)
      t:set(1)
      loop:turn()
      turns(1, 8)
      assert.is_true(called)
    end)
  end)

  it("must not begin a turn inside of a turn #assert", function()
    local script = [[
      local loop = require("evws_probe").loop.new()
      loop:job(function() loop:turn() end):set()
      loop:turn()
      print "it went on"]]
    local lua = os.getenv "LUA" or "lua5.4"
    local pipe = io.popen(("%s -e 'package.cpath=%q' -e '%s' 2>&1")
      :format(lua, package.cpath, script))
    local text = pipe:read "a"
    local ok, _, signal = pipe:close()
    assert.is_falsy(ok)
    assert.is_truthy(text:find("in_turn", 1, true), text)
    assert.is_falsy(text:find "it went on")
    assert.is_number(signal)
  end)
end)
