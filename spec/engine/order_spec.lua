-- The ends of a connection in any order (BI-09): whatever the two sides do,
-- and whenever, on_close comes exactly once, nothing is delivered behind the
-- end, and nothing is left.

local t = require "spec.helper"
local kit = require "spec.engine.kit"

local random = math.random

local function frame_to(side, opcode, payload)
  local options
  if side == "client" then options = { mask = false } end
  return t.frame(opcode, payload, options)
end

-- What may happen to one connection. `c` holds it: conn, raw, side, got (what
-- was delivered), sent (numbers sent to it before the peer's close frame).
local acts = {
  function(c) c.conn:close(4000, "ours") end,
  function(c) c.conn:shutdown(4001) end,
  function(c) c.conn:send(("x"):rep(random(3) == 1 and 100000 or 10)) end,
  function(c) c.conn:ping "?" end,
  function(c) c.conn:pause() end,
  function(c) c.conn:resume() end,
  function(c) if random(3) == 1 then c.conn:terminate() end end,
  function(c) -- data
    if not c.raw then return end
    for _ = 1, random(3) do
      if not c.is_over then c.sent = c.sent + 1 end
      local number = c.is_over and "late" or tostring(c.sent)
      c.raw:send(frame_to(c.side, "text", number))
    end
  end,
  function(c) if c.raw then c.raw:send(frame_to(c.side, "ping", "x")) end end,
  function(c) if c.raw then c.raw:send(frame_to(c.side, "pong", "x")) end end,
  function(c) -- the peer's close
    if not c.raw then return end
    c.raw:send(frame_to(c.side, "close", (">I2"):pack(4002) .. "theirs"))
    c.is_over = true
  end,
  function(c) -- a frame that must not be
    if not c.raw or random(3) > 1 then return end
    c.raw:send(frame_to(c.side, 3, ""))
    c.is_over = true
  end,
  function(c) -- half of a frame, or of a message
    if not c.raw or c.is_over then return end
    local whole = frame_to(c.side, "binary", ("x"):rep(100000))
    local first = frame_to(c.side, "text", "late"):gsub("^\x81", "\1")
    c.raw:send(random(2) == 1 and whole:sub(1, random(20, 99)) or first)
    c.is_over = true -- what follows means something else now
  end,
  function(c) if c.raw then c.raw:half_close() end end,
  function(c) -- EOF and RST
    if not c.raw or random(2) == 1 then return end
    c.raw[random(2) == 1 and "reset" or "close"](c.raw)
    c.raw = nil
  end,
}

local function run_acts(c)
  for _ = 1, random(2, 8) do
    local act = acts[random(#acts)]
    local mode = random(3)
    if mode == 1 then
      t.ws.spawn(act, c) -- inside of a turn, with the next one perhaps
    else
      act(c)
    end
    if mode ~= 2 then t.turn(0) end
  end
end

local codes = { [1000] = true, [1002] = true, [1005] = true, [1006] = true,
  [4000] = true, [4001] = true, [4002] = true }

-- The connection ends now, if it has not.
local function finish(c)
  if c.raw then
    c.raw:flush()
    t.turn(0)
    c.raw:close()
  end
  c.conn:resume()
  t.wait(function() return #c.ends > 0 end, "on_close")
  for _ = 1, 3 do t.turn(0) end
end

local function check(c, seed)
  local what = ("%s of seed %d"):format(c.side, seed)
  assert.equal(1, #c.ends, what)
  assert.is_true(codes[c.ends[1]] == true, what .. ": code " .. c.ends[1])
  assert.equal("closed", c.conn.state, what)
  assert.same({ nil, "closed" }, { c.conn:send "x" }, what)
  assert.is_false(c.is_late, what)
  assert.is_true(#c.got <= c.sent, what)
  for i, number in ipairs(c.got) do -- in order, none of it late
    assert.equal(tostring(i), number, what)
  end
end

local function new_case(side)
  local c = { side = side, ends = {}, got = {}, sent = 0, is_late = false }
  function c.on_message(_, message)
    c.is_late = c.is_late or #c.ends > 0
    c.got[#c.got + 1] = message
    if random(8) == 1 then t.ws.sleep(0) end
  end
  function c.on_close(_, code)
    c.ends[#c.ends + 1] = code
  end
  return c
end

describe("a connection that ends in any order (BI-09)", function()
  after_each(t.cleanup)

  local left = setmetatable({}, { __mode = "k" })

  local function assert_nothing_left(before)
    t.wait(function() return t.probe.fd_count() <= before end,
      "the descriptors to be closed")
    for _ = 1, 3 do collectgarbage() end
    assert.is_nil(next(left), "a connection is still held")
  end

  it("ends once, and leaves nothing, on a server", function()
    local current = new_case "server"
    local server = t.listen { close_timeout = 0.2, control_rate = false,
      on_upgrade = function() return { data = current } end,
      on_open = function(conn) conn.data.conn = conn end,
      on_message = function(conn, ...) conn.data.on_message(conn, ...) end,
      on_close = function(conn, ...) conn.data.on_close(conn, ...) end }
    local calm = t.open(server)
    local before = t.fd_count()
    for seed = 1, 600 do
      math.randomseed(seed)
      local c = new_case "server"
      current = c
      c.raw = t.open(server)
      t.wait(function() return c.conn end)
      left[c.conn] = true
      run_acts(c)
      finish(c)
      check(c, seed)
      c.conn, current = nil, nil
      if seed % 50 == 0 then calm:expect_silence() end
    end
    assert_nothing_left(before)
  end)

  it("ends once, and leaves nothing, on a client", function()
    local before = t.fd_count()
    for seed = 1, 200 do
      math.randomseed(seed)
      local c = new_case "client"
      c.conn, c.raw = kit.connected { close_timeout = 0.2,
        on_message = c.on_message, on_close = c.on_close }
      left[c.conn] = true
      run_acts(c)
      finish(c)
      check(c, seed)
      c.conn = nil
    end
    assert_nothing_left(before)
  end)
end)
