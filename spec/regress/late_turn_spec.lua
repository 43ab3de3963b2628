-- Two timers are due in one late turn: one ends a client that waits between
-- two attempts, the other is its next attempt. on_close was called again.

local t = require "spec.helper"
local ws = t.ws

local ends = {
  close = function(conn) conn:close() end,
  terminate = function(conn) conn:terminate() end,
  ["both"] = function(conn) conn:close() conn:terminate() end,
  ["a scope that is left"] = function(conn)
    local scoped <close> = conn
    assert(scoped)
  end,
}

-- Sets a timer by `set` once on_close has been called (`log` grows) in a turn
-- that began less than 0.01 s before: the next attempt is as far away. Where
-- this process was held up it waits for the next on_close.
local function between_attempts(conn, log, set)
  for _ = 1, 1000 do
    local n, looked, began = #log, 0, 0
    t.wait(function()
      began, looked = looked, ws.now()
      return conn.state == "connecting" and #log > n and log[#log] ~= "open"
    end, "on_close")
    local timer = set()
    if ws.now() - began < 0.01 then return end
    timer:cancel()
  end
  error "this process is held up again and again"
end

-- The loop gets no time for so long.
local function hold(seconds)
  local last = ws.now() + seconds
  while ws.now() < last do end
end

describe("a client that is ended in a late turn by", function()
  after_each(t.cleanup)

  for name, finish in pairs(ends) do
    for when, delay in pairs { before = 0.01, behind = 0.04 } do
      it(("%s, %s the next attempt"):format(name, when), function()
        local log = {}
        local conn = ws.connect("ws+unix:///nowhere", {
          reconnect = { initial = 0.02, maximum = 0.02, jitter = 0 },
          on_open = print,
          on_close = function(_, code, reason)
            log[#log + 1] = code .. " " .. reason
          end })
        between_attempts(conn, log, function()
          return ws.after(delay, function() finish(conn) end)
        end)
        while log[2] do table.remove(log) end
        hold(0.06)
        t.wait(function() return conn.state == "closed" end)
        local late = false
        ws.after(0.05, function() late = true end)
        t.wait(function() return late end)
        assert.equal("1006 no such socket", log[1])
        if delay < 0.02 then
          assert.same({ log[1] }, log)
        else -- the attempt had begun, and has its own end
          assert.same({ log[1], "1006 closed before it was open" }, {
            log[1], log[2] and "1006 closed before it was open" })
          assert.is_nil(log[3])
        end
      end)
    end
  end

  it("its server, having been lost, is told nothing more", function()
    local log = {}
    local server = t.listen { on_open = function(c) c:terminate() end }
    local conn = ws.connect(t.url_of(server), {
      reconnect = { initial = 0.02, maximum = 0.02, jitter = 0 },
      on_open = function() log[#log + 1] = "open" end,
      on_close = function() log[#log + 1] = "close" end })
    between_attempts(conn, log, function()
      return ws.after(0.01, function() conn:close() end)
    end)
    local n = #log
    hold(0.06)
    t.wait(function() return conn.state == "closed" end)
    for _ = 1, 20 do t.turn() end
    assert.equal(n, #log)
  end)
end)
