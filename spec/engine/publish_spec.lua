-- How what is published in a turn reaches each member (src/engine/publish.c):
-- long runs, holes in them, who is left out, who lags, and what becomes of it
-- without memory. On a simulated network, so nothing here waits.

local t = require "spec.helper"
local sim = require "evws.sim"
local core = require "evws.core"
local kit = require "spec.engine.kit"
local fail_at = kit.fail_at
local ws = t.ws

local compressed = { context_takeover = true, threshold = 5 }

-- A network with members: list[i] = { its topics, compress = }; each has conn
-- (the server's end), peer, got. fn(server, members, net) runs in one turn.
local function with(list, options, fn, after)
  sim.new { seed = 1, buffer = 1 << 20 }:run(function(net)
    local accepted
    local own = { port = 5000, max_queued = false, stall_timeout = false,
      keepalive_interval = false, compression = compressed,
      on_open = function(conn) accepted = conn end,
      on_message = function() end }
    for name, value in pairs(options) do own[name] = value end
    local server = assert(ws.listen(own))
    local members = {}
    for i, topics in ipairs(list) do
      local member = { got = {} }
      accepted = nil
      member.peer = net:connect("ws://localhost:5000/", {
        compression = topics.compress and compressed or false,
        keepalive_interval = false, max_ratio = false,
        on_message = function(_, message)
          member.got[#member.got + 1] = message
        end })
      while not accepted do ws.sleep(0.001) end
      member.conn = accepted
      for _, name in ipairs(topics) do assert(member.conn:subscribe(name)) end
      members[i] = member
    end
    local ok, why
    ws.after(0.001, function() ok, why = pcall(fn, server, members, net) end)
    net:advance(10)
    if not ok then error(why, 0) end
    if after then after(server, members, net) end
    server:close { timeout = 1 }
    net:advance(10)
  end)
end

local function numbered(from, to, format)
  local list = {}
  for i = from, to do list[#list + 1] = format:format(i) end
  return list
end

describe("what is published in a turn", function()
  before_each(function() ws.on_error(function() end) end)

  after_each(function()
    fail_at(0)
    ws.on_error(nil)
  end)

  local kinds = { { "a" }, { "b" }, { "a", "b" }, { "a", "c" }, {},
    { "a", compress = true }, { "a", "c", compress = true } }

  it("comes to each with holes, however many they are", function()
    for _, n in ipairs { 3, 64, 65, 200 } do
      with(kinds, {}, function(server)
        for i = 1, n do
          server:publish("a", "a " .. i)
          server:publish("b", "b " .. i)
        end
      end, function(_, members)
        local a, b, both = numbered(1, n, "a %d"), numbered(1, n, "b %d"), {}
        for i = 1, n do
          both[#both + 1] = a[i]
          both[#both + 1] = b[i]
        end
        for i, want in ipairs { a, b, both, a, {}, a, a } do
          assert.same(want, members[i].got)
        end
      end)
    end
  end)

  it("comes to all in time where it is more than a turn keeps", function()
    with({ { "a" }, { "a", "b" } }, {}, function(server)
      for i = 1, 9000 do server:publish("a", "a " .. i) end
    end, function(_, members)
      for i = 1, 2 do
        assert.same(numbered(1, 9000, "a %d"), members[i].got)
      end
    end)
  end)

  it("leaves out whom it is not for, each once, who has not subscribed as well",
    function()
      with(kinds, {}, function(server, m)
        local conns = {}
        for i = 1, #m do conns[i] = m[i].conn end
        assert.equal(4, server:publish("a", "but 1", "text",
          { except = { conns[1] } }))
        conns[1]:send "between" -- it has seen the first one
        assert.equal(2, server:publish("a", "but 1, 3 and 2", "text",
          { except = { conns[1], conns[3], conns[2], conns[5], conns[1],
            conns[3], conns[4] } }))
        conns[4]:send "between"
        assert.equal(5, server:publish("a", "for all"))
        assert.equal(4, server:publish("a", "but 6", "text",
          { except = { conns[6], conns[2], conns[5] } }))
        assert.equal(0, server:publish("b", "but 2 and 3", "text",
          { except = { conns[3], conns[2] } }))
      end, function(_, m)
        assert.same({ "between", "for all", "but 6" }, m[1].got)
        assert.same({}, m[2].got)
        assert.same({ "but 1", "for all", "but 6" }, m[3].got)
        assert.same({ "but 1", "between", "for all", "but 6" }, m[4].got)
        assert.same({}, m[5].got)
        assert.same({ "but 1", "but 1, 3 and 2", "for all" }, m[6].got)
        assert.same({ "but 1", "but 1, 3 and 2", "for all", "but 6" },
          m[7].got)
      end)
    end)

  it("is the same for all who are as far, whatever the others have taken",
    function()
      with({ { "a" }, { "a" }, { "a" }, { "a" }, { "b" } }, {},
        function(server, m)
          for i = 1, 40 do
            server:publish("a", ("%d"):format(i), "text",
              i % 7 == 0 and { except = { m[1 + i % 4].conn } } or nil)
            server:publish("b", "other")
            if i % 3 == 0 then m[1 + i % 5].conn:send "own" end
          end
        end, function(_, m)
          for k = 1, 4 do
            local want = {}
            for i = 1, 40 do
              if not (i % 7 == 0 and 1 + i % 4 == k) then
                want[#want + 1] = ("%d"):format(i)
              end
              if i % 3 == 0 and 1 + i % 5 == k then want[#want + 1] = "own" end
            end
            assert.same(want, m[k].got)
          end
        end)
    end)

  -- Some of many lag, and of other topics, too.
  it("is lost by those alone who lag and have no room", function()
    for _, n_slow in ipairs { 1, 5 } do
      local list = {}
      for i = 1, 6 do list[i] = { i <= 3 and "a" or "b" } end
      with(list, { max_queued = 3000 }, function(server, m)
        for i = 1, n_slow do
          m[i].peer:pause()
          m[i].conn:writer():write "begun" -- what comes waits behind it
        end
        for i = 1, 10 do
          local n = server:publish("a", ("%d:"):format(i) .. ("x"):rep(497))
          local lost = i > 5 and math.min(n_slow, 3) or 0
          assert.equal(3 - lost, n)
        end
        assert.equal(3, server:publish("b", "small"))
      end, function(_, m)
        for i = 1, 6 do
          local is_slow = i <= n_slow
          assert.equal(i <= 3 and is_slow and 5 or 0, m[i].conn.missed)
          if not is_slow then
            assert.equal(i <= 3 and 10 or 1, #m[i].got)
          end
        end
      end)
    end
  end)

  -- Each allocation fails: what was counted arrives, or the member has gone.
  it("is counted for whom it reaches, without memory", function()
    if not core.fail_at then return pending "built without WS_FAULT" end
    for _, every in ipairs { false, true } do
      for n = 1, 30 do
        local told, rows = 0, {}
        with(kinds, {},
          function(server, m)
            local except = { m[1].conn, m[5].conn, m[3].conn }
            m[4].conn:writer():write "begun"
            fail_at(n, every)
            for i, topic in ipairs { "a", "b", "a", "c", "a" } do
              local message = ("%d of "):format(i):rep(30)
              rows[i] = { topic, message, server:publish(topic, message,
                "text", i == 3 and { except = except } or nil) }
              told = told + (rows[i][3] or 0)
            end
            ws.after(0.001, function() fail_at(0) end)
          end, function(_, m)
            fail_at(0)
            local got, gone = 0, false
            for i, member in ipairs(m) do
              gone = gone or member.conn.state ~= "open"
              local at = 0 -- in the order of publishing, each once
              for _, message in ipairs(member.got) do
                local found
                for k = at + 1, #rows do
                  found = found or rows[k][2] == message and k
                end
                assert.is_truthy(found, ("%d at %d"):format(i, n))
                at, got = found, got + 1
              end
            end
            -- two of the fourth wait behind its writer
            local behind = m[4].conn.state == "open" and m[4].conn.buffered > 0
            if not gone and not behind then assert.equal(told, got) end
            assert.is_true(got <= told)
          end)
      end
    end
  end)

  -- What has its place in a history nobody may miss.
  it("has its place, or has not; then nobody misses it, without memory",
    function()
      if not core.fail_at then return pending "built without WS_FAULT" end
      local list = { { "kept" }, { "kept", "a" }, { "kept", compress = true },
        {} }
      for _, every in ipairs { false, true } do
        for n = 1, 20 do
          local offset
          with(list, { history = { kept = { size = 3, ttl = 60 } } },
            function(server, m)
              server:view("loud", string.upper)
              m[4].conn:subscribe("kept", { view = "loud" })
              for i = 1, 16 do server:publish("a", "a " .. i) end
              fail_at(n, every)
              offset = server:publish("kept", "message")
              ws.after(0.001, function() fail_at(0) end)
            end, function(server, m)
              fail_at(0)
              local kept = server:history "kept"
              assert.equal(offset and 1 or 0, #kept)
              for i, member in ipairs(m) do
                local last = member.got[#member.got]
                local has = last and last:lower() == "message"
                if member.conn.state == "open" then
                  assert.equal(offset ~= nil, has or false, i .. " at " .. n)
                end
              end
            end)
        end
      end
    end)
end)

-- A history of five, and a member that asks for all of it: behind a writer, or
-- when its peer is gone.
describe("what was missed", function()
  before_each(function() ws.on_error(function() end) end)

  after_each(function()
    fail_at(0)
    ws.on_error(nil)
  end)

  local texts = numbered(1, 5, "message %d" .. ("."):rep(200))

  local function recover(o, harm, check)
    with({ {} }, { max_queued = o.max_queued or false,
      history = { kept = { size = 10, ttl = 60 } } },
      function(server, m, net)
        server:view("loud", string.upper)
        for _, text in ipairs(texts) do server:publish("kept", text) end
        harm(m[1], net)
        m[1].ok = m[1].conn:subscribe("kept", { view = o.view,
          recover = { offset = 0 } })
      end, function(_, m)
        fail_at(0)
        check(m[1])
      end)
  end

  local function upper(list)
    local other = {}
    for i, text in ipairs(list) do other[i] = text:upper() end
    return other
  end

  for name, view in pairs { ["as it is"] = false, ["as a view"] = "loud" } do
    local want = view and upper(texts) or texts

    it("comes behind a message that is being written: " .. name, function()
      local writer
      recover({ view = view }, function(m)
        writer = m.conn:writer()
        writer:write "wri"
      end, function(m)
        assert.equal(5, m.ok.missed)
        assert.same({}, m.got)
        writer:write "tten"
        writer:finish()
        ws.sleep(1)
        assert.same({ "written", table.unpack(want) }, m.got)
      end)
    end)

    it("ends who has no room for it: " .. name, function()
      recover({ view = view, max_queued = 700 }, function(m)
        m.conn:writer():write "wri"
      end, function(m)
        assert.equal("closed", m.conn.state)
        assert.same({ 1008, "slow consumer" },
          { m.peer.close_code, m.peer.close_reason })
      end)
    end)

    it("does not come to who is gone: " .. name, function()
      recover({ view = view }, function(m, net) net:reset(m.conn) end,
        function(m)
          assert.equal("closed", m.conn.state)
          assert.same({}, m.got)
        end)
    end)

    it("comes without holes, without memory: " .. name, function()
      if not core.fail_at then return pending "built without WS_FAULT" end
      for _, every in ipairs { false, true } do
        for n = 1, 30 do
          recover({ view = view }, function() fail_at(n, every) end,
            function(m)
              local is_whole = m.ok and m.conn.state == "open"
              for i, text in ipairs(m.got) do assert.equal(want[i], text) end
              if is_whole then assert.equal(5, #m.got) end
            end)
        end
      end
    end)
  end
end)

describe("who hears a topic", function()
  after_each(t.cleanup)

  it("hears nothing behind its end, whoever else has the topic", function()
    for _, then_what in ipairs { "nobody", "a subscriber", "another" } do
      with({ {} }, {}, function(server, m)
        local heard = {}
        local hearer = server:hear("a", function(text)
          heard[#heard + 1] = text
        end)
        server:publish("a", "never heard")
        hearer:cancel()
        if then_what == "a subscriber" then m[1].conn:subscribe "a" end
        if then_what == "another" then
          server:hear("a", function(text) heard[#heard + 1] = text end)
        end
        ws.sleep(0.01)
        assert.same({}, heard)
      end)
    end
  end)

  it("may end the others that have not heard yet", function()
    with({ {} }, {}, function(server)
      local hearers, heard = {}, 0
      for i = 1, 3 do
        hearers[i] = server:hear("a", function()
          heard = heard + 1
          for k = 1, 3 do hearers[k]:cancel() end
        end)
      end
      server:publish("a", "m")
      ws.sleep(0.01)
      assert.equal(1, heard)
    end)
  end)
end)
