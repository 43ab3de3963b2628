-- What workers count in sum (src/engine/share.c, totals.c).

local t = require "spec.helper"
local workers = require "spec.binding.workers_kit"

local start = workers.start

describe("the sum of workers", function()
  before_each(workers.begin)
  after_each(workers.cleanup)

  -- What it knows is a second old; of what waits for peers, up to ten.
  local function await_others(self, other, expected)
    local list, wrong
    local ok = pcall(t.wait, function()
      other:run "return 'awake'" -- as its supervisor sees to each second
      list, wrong = self:others(), {}
      for key, n in pairs(expected) do
        if list[key] ~= n then
          wrong[#wrong + 1] = ("%s: %s of %s"):format(key, list[key], n)
        end
      end
      return #wrong == 0
    end, "the sums", 20)
    assert.is_true(ok, table.concat(wrong, ", "))
    return list
  end

  local options = [[
    max_queued = 300000, stall_timeout = false, handshake_timeout = false,
    on_request = function() return 204 end,
    on_open = function(conn)
      conns[#conns + 1] = conn
      if conn.query then
        conn:subscribe("room", { presence = { id = conn.query } })
      end
    end,
    on_message = function(conn, message)
      local code = tonumber(message)
      if code then conn:close(code) end
    end,
    on_upgrade = function(request)
      if request.path == "/no" then return 403 end
    end ]]

  local of_now = { open = true, pending = true, queued_bytes = true,
    present = true, memory = true, lag_seconds = true }
  local of_time = { turns = true, busy_seconds = true, memory = true,
    lag_seconds = true }

  local function end_with(self, code)
    local raw = t.open(self.port)
    raw:send(t.frame("text", tostring(code)))
    raw:expect_close(code)
    raw:send(t.close_frame(code))
    raw:expect_eof()
  end

  -- Something of everything that is counted.
  local function be_busy(self)
    local codes = { 1000, 1000, 1001, 4000, 4000 }
    for code = 4001, 4020 do -- more than have a counter of their own
      codes[#codes + 1] = code
    end
    for _, code in ipairs(codes) do end_with(self, code) end
    for _, path in ipairs { "/no", "/no" } do
      local raw = t.raw(self.port)
      assert.equal(403, (raw:upgrade { path = path }))
    end
    local bad, asks = t.raw(self.port), t.raw(self.port)
    bad:send "no request\r\n\r\n"
    assert.equal(400, (bad:read_http()))
    for _ = 1, 3 do
      asks:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
      assert.equal(204, (asks:read_http()))
    end
    for i = 1, 3 do t.open(self.port, { path = "/?" .. i }) end
    t.open(self.port, { path = "/?4" }):finish()
    local deaf = t.open(self.port, { path = "/?5", rcvbuf = 2000 })
    self:run [[
      for _ = 1, 200 do server:publish("room", ("x"):rep(50000)) end
      local held <const> = os.clock() + 1.1 -- a turn longer than a second
      local timer = ws.after(0.01, function() end)
      repeat until os.clock() > held
    ]]
    return deaf
  end

  local function timeless(own)
    local list = {}
    for key, n in pairs(own) do
      if not of_time[key] then list[key] = n end
    end
    return list
  end

  it("has all that another one has counted, also when it is gone", function()
    local a = start(1, 1, 11, options)
    local b = start(2, 2, 12, options)
    assert.equal(0, a:others().opened)
    be_busy(b)
    local own = b:stats()
    for _, key in ipairs { "accepted", "opened", "open", "pending", "requests",
      "refused.bad_request", "refused.application", "closed.1000",
      "closed.1001", "closed.4000", "closed.4015", "closed.other",
      "messages_in", "messages_out", "bytes_in", "bytes_out", "dropped",
      "present", "joins", "leaves", "queued_bytes" } do
      assert.is_true(own[key] and own[key] > 0, key)
    end
    local list = await_others(a, b, timeless(own))
    local last = b:stats()
    assert.is_true(list.busy_seconds >= 1.1)
    assert.is_true(list.busy_seconds <= last.busy_seconds + 1e-5)
    assert.is_true(list.turns > own.accepted and list.turns <= last.turns)
    assert.is_true(list.memory > own.memory / 2)
    local _, both, its = a:others() -- the worst of all, which b's is here
    assert.is_true(both.lag_seconds >= 0.9)
    assert.is_true(both.lag_seconds < last.lag_seconds + 1e-5
      or both.lag_seconds == its.lag_seconds)
    local text = a:run "return server:metrics()"
    local short = text:match '\nevws_turn_seconds_bucket{le="1"} (%d+)\n'
    local all = text:match '\nevws_turn_seconds_bucket{le="%+Inf"} (%d+)\n'
    assert.is_true(tonumber(all) > tonumber(short))
    t.contains(text, '\nevws_worker_connections{worker="1"} 0\n'
      .. 'evws_worker_connections{worker="2"} ' .. own.open .. "\n")
    b:kill()
    local gone
    gone, both, its = a:others()
    for key in pairs(of_now) do assert.equal(its[key], both[key], key) end
    for key, n in pairs(list) do
      if not of_now[key] and not of_time[key] then
        assert.equal(n, gone[key], key)
      end
    end
    assert.is_true(gone.turns >= list.turns and gone.turns <= last.turns + 9)
    assert.is_true(gone.busy_seconds > list.busy_seconds - 1e-5)
  end)

  it("goes on where the one before in a slot has ended", function()
    local a = start(1, 1, 11, options)
    local total = { turns = 0, busy_seconds = 0 }
    for serial = 12, 13 do
      local b = start(2, 2, serial, options)
      for code = 1000, 1001 do end_with(b, code) end
      end_with(b, 3990 + serial)
      t.open(b.port, { path = "/?1" })
      local expected = timeless(b:stats())
      for key, n in pairs(expected) do
        expected[key] = n + (total[key] or 0)
      end
      await_others(a, b, expected)
      b:kill()
      local list, both, its = a:others()
      for key, n in pairs(total) do
        local is_more = list[key] > n or n == 0 or key == "closed.4002"
        assert.is_true(is_more or of_now[key], key)
      end
      for key in pairs(of_now) do
        assert.equal(its[key], both[key], key)
        expected[key] = nil
      end
      for key, n in pairs(expected) do assert.equal(n, list[key], key) end
      total = list
    end
    assert.same({ 2, 2, 1, 1 }, { total["closed.1000"], total["closed.1001"],
      total["closed.4002"], total["closed.4003"] })
    assert.equal(2, total.joins)
  end)
end)
