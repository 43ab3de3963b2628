-- What workers know of each other by the page that they share
-- (src/engine/share.c).

local t = require "spec.helper"
local workers = require "spec.binding.workers_kit"

local serve = require "evws.core".serve
local start = workers.start

local page

describe("workers of one page", function()
  before_each(function()
    workers.begin()
    page = workers.page()
  end)

  after_each(workers.cleanup)

  it("have eight names each for what scripts count", function()
    local a, b = start(1, 1, 11, "backlog = 9"), start(2, 2, 12, "backlog = 9")
    a:tell("x", 1, "5, 7, 2")
    assert.equal("6 8", b:sum("x", "1, 1"))
    assert.equal("6 8 2 0", b:sum("x", "1, 1, 0, 0"))
    assert.equal("1 1", a:sum("x", "1, 1")) -- without its own
    assert.equal("0 0", b:sum("y", "0, 0"))
    a:tell("x", 1, "6, 9")
    for i = 2, 9 do a:tell("n" .. i, 0, tostring(i)) end
    assert.equal("8", b:sum("n8", "0"))
    assert.equal("0", b:sum("n9", "0"))
    b:tell("x", 1, "1, 1")
    assert.equal("1 1", a:sum("x", "0, 0"))
    a:kill()
    assert.equal("0 9 2", b:sum("x", "0, 0, 0")) -- what was of then is over
    assert.equal("8", b:sum("n8", "0"))
    local c = start(1, 1, 13, "backlog = 9")
    assert.equal("1 10 2", c:sum("x", "0, 0, 0"))
    assert.equal("0 9 2", b:sum("x", "0, 0, 0"))
    c:tell("y", 0, "4")
    c:tell("x", 1, "3, 3")
    assert.equal("4", b:sum("y", "0")) -- it has eight names of its own
    assert.equal("3 12 2", b:sum("x", "0, 0, 0"))
    c:kill()
    assert.equal("0 12 2", b:sum("x", "0, 0, 0"))
    assert.equal("8", b:sum("n8", "0"))
    assert.equal("0", b:sum("y", "0")) -- there are eight of the past, too
  end)

  it("are led by the first of those that are ready, of two by the newer one",
    function()
      local a = start(2, 3, 11, "backlog = 9")
      local function leads() return a:run "return ws.worker.is_leader" end
      local function is(...)
        for _, row in ipairs { ... } do
          local slot, id, serial, state, expected = table.unpack(row)
          page:set(slot, id, 1, serial)
          page:state(slot, state)
          assert.equal(tostring(expected), leads(), table.concat({ slot, id,
            serial, state }, " "))
          page:state(slot, "free")
        end
      end
      is({ 1, 2, 9, "ready", false }, { 1, 2, 9, "starting", true },
        { 1, 2, 9, "retiring", true }, { 3, 2, 9, "ready", false },
        { 1, 4, 9, "ready", true }, { 3, 4, 99, "ready", true },
        { 1, 3, 10, "ready", true }, { 3, 3, 12, "ready", false },
        { serve.slots - 1, 2, 9, "ready", false })
      for state, expected in pairs { starting = false, retiring = false,
        ready = true } do
        page:state(2, state)
        assert.equal(tostring(expected), leads(), state)
      end
    end)

  it("tell how many serve, and how many connections each of them has",
    function()
      local a = start(1, 1, 11, "backlog = 9")
      local b = start(3, 2, 12, "backlog = 9")
      local function series()
        local text = a:run "return server:metrics()"
        local list = {}
        for id, n in text:gmatch
          '\nevws_worker_connections{worker="(%d+)"} (%d+)' do
          list[#list + 1] = id .. ":" .. n
        end
        return text:match "\nevws_workers (%d+)\n" .. " of "
          .. text:match "\nevws_worker_restarts_total (%d+)\n" .. " "
          .. table.concat(list, " ")
      end
      t.open(a.port)
      for _ = 1, 2 do t.open(b.port) end
      t.wait(function()
        b:run "return 'awake'"
        return series() == "2 of 0 1:1 2:2"
      end, "all three", 20)
      page:state(3, "retiring")
      assert.equal("1 of 0 1:1 2:2", series())
      page:set(4, 2, 2, 13)
      assert.equal("1 of 0 1:1 2:2", series())
      page:state(4, "ready")
      assert.equal("2 of 0 1:1 2:2", series())
      page:state(3, "starting")
      assert.equal("2 of 0 1:1 2:0", series())
      page:restarted()
      page:restarted()
      assert.equal("2 of 2 1:1 2:0", series())
    end)

  it("have eight servers that are counted together, and a word on the ninth",
    function()
      local a, b = start(1, 1, 11), start(2, 2, 12)
      local ports = {}
      for key = 1, 8 do
        a:listen("", key)
        ports[key] = a.port
      end
      assert.equal("", a:output())
      for key = 9, 10 do a:listen("", key) end
      t.contains(a:output(), "more than 8 servers in a worker: the others are "
        .. "neither balanced nor counted together\n")
      assert.equal(1, select(2, a:output():gsub("\n", "")))
      t.open(a.port)
      for key = 1, 8 do
        for _ = 1, key do t.open(ports[key]) end
        b:listen("", key)
      end
      local function sees(key, n)
        b:run("server = servers[" .. key .. "]")
        t.wait(function()
          a:run "return 'awake'"
          return b:others().opened == n
        end, ("%d in the place of %d"):format(n, key), 20)
      end
      for key = 1, 8 do sees(key, key) end
      a:run "servers[3]:close() servers[6]:close()"
      a:listen("", 99) -- nobody's place: the last one that is free
      for _ = 1, 20 do t.open(a.port) end
      a:listen("", 3)
      t.open(a.port)
      sees(6, 20)
      sees(3, 1)
      assert.equal(1, select(2, a:output():gsub("\n", "")))
    end)

  it("take of those who come as many at once as make it even", function()
    local a, b = start(1, 1, 11, ""), start(2, 2, 12, "")
    for _ = 1, 3 do t.open(b.port) end
    a:run [[
      last = 0
      turned = function()
        local n = server:stats().accepted
        if n > last then deltas[#deltas + 1] = n - last end
        last = n
      end
    ]]
    local function first_of(n)
      a:run "deltas, last = {}, server:stats().accepted"
      a.process:kill(19) -- SIGSTOP: all are there when it looks
      local list = {}
      for i = 1, n do list[i] = t.raw(a.port) end
      a.process:kill(18) -- SIGCONT
      t.wait(function()
        return a:run "return last" == a:run "return server:stats().accepted"
          and tonumber(a:run [[
            local sum = 0
            for _, n in ipairs(deltas) do sum = sum + n end
            return sum
          ]]) == n
      end, "all to be accepted", 20)
      local first = a:run "return deltas[1]"
      for _, raw in ipairs(list) do raw:close() end
      t.wait(function()
        return a:stats().pending == 0
      end, "them to leave", 20)
      return first
    end
    assert.equal("4", first_of(10)) -- as many as the other, and one more
    page:state(2, "retiring")
    assert.equal("10", first_of(10))
    page:state(2, "ready")
    assert.equal("4", first_of(10))
    b:run "server:close()"
    assert.equal("10", first_of(10)) -- nobody listens there any more
  end)

  it("say once that topics stay inside, where there is another one",
    function()
      local a = start(1, 1, 11, "")
      a:run "server:publish('a', 'x')"
      page:set(2, 2, 1, 12)
      a:run "server:publish('a', 'x')"
      assert.equal("", a:output())
      page:state(2, "ready")
      for _ = 1, 2 do a:run "server:publish('a', 'x')" end
      t.contains(a:output(),
        "topics stay inside of a worker; --redis spawn joins them\n")
      assert.equal(1, select(2, a:output():gsub("\n", "")))
    end)
end)
