-- docs/guides/backpressure.md: a bridge holds little, however much it passes.

local t = require "spec.helper"
local guide = require "spec.guides.kit"
local ws = t.ws

local MIB = 1 << 20

describe("the guide to backpressure", function()
  local directory

  before_each(function() directory = guide.write "backpressure" end)
  after_each(guide.cleanup)

  local function bridge_to(server)
    return guide.start(directory, "bridge.lua", ("ws://127.0.0.1:%d/")
      :format(server.port), 0)
  end

  it("passes on what comes, and back, with its kind", function()
    local child = bridge_to(t.listen { on_message = t.echo })
    local conn = assert(guide.connect(child, "/"))
    for _, message in ipairs { "", "text", ("x"):rep(MIB) } do
      for _, kind in ipairs { "text", "binary" } do
        conn:send(message, kind)
        local got, of = conn:receive(guide.limit)
        assert.is_true(got == message)
        assert.equal(kind, of)
      end
    end
  end)

  it("passes on how a side ends", function()
    local ended
    local server = t.listen { on_message = function(conn, message)
      if message == "end" then conn:close(4002, "as you like") end
    end, on_close = function(_, code) ended = code end }
    local child = bridge_to(server)
    local conn = assert(guide.connect(child, "/"))
    conn:send "end"
    guide.expect_close(conn, 4002)
    ended = nil
    assert(guide.connect(child, "/")):close(4003)
    t.wait(function() return ended == 4003 end, "the code")
    assert(guide.connect(child, "/")):terminate()
    t.wait(function() return ended == 1001 end, "the loss")
  end)

  it("says that there is nobody", function()
    local server = t.listen {}
    local child = bridge_to(server)
    server:close()
    guide.expect_close(assert(guide.connect(child, "/")), 1014)
  end)

  it("holds little of 24 MiB each way, for sides that read slowly", function()
    local messages, size = 384, 64 * 1024
    local function fill(conn)
      for i = 1, messages do
        conn:send(("%8d"):format(i):rep(size // 8), "binary")
        conn:drain()
      end
    end
    local function empty(conn)
      for i = 1, messages do
        local message = assert(conn:receive())
        assert(message == ("%8d"):format(i):rep(size // 8))
        if i % 32 == 0 then ws.sleep(0.02) end -- the other one waits
      end
      return true
    end
    local got
    local server = t.listen { max_queued = false, on_open = function(conn)
      ws.spawn(fill, conn)
      got = empty(conn)
    end }
    local child = bridge_to(server)
    local before = guide.most_memory(child)
    local conn = assert(guide.connect(child, "/", { max_queued = false }))
    t.pump_for(60, function()
      ws.spawn(fill, conn)
      assert.is_true(empty(conn))
    end)
    t.wait(function() return got end, "the server's side", 60)
    if before then
      assert.is_true(guide.most_memory(child) - before < 8 * MIB)
    end
  end)

  it("does not stall as two that lead to each other", function()
    local far = bridge_to(t.listen { on_message = t.echo,
      max_queued = false })
    local near = guide.start(directory, "bridge.lua",
      ("ws://localhost:%d/"):format(far.port), 0)
    local conn = assert(guide.connect(near, "/", { max_queued = false }))
    local n = 2000
    t.pump_for(60, function()
      ws.spawn(function()
        for i = 1, n do
          conn:send(("%8d"):format(i):rep(512))
          conn:drain()
        end
      end)
      for i = 1, n do
        assert.equal(("%8d"):format(i), assert(conn:receive()):sub(1, 8))
      end
    end)
  end)

  it("keeps a slow reader of cursors current", function()
    local child = guide.start(directory, "cursors.lua", 0)
    local slow = t.open(child.port, { address = "127.0.0.1", rcvbuf = 4096 })
    local mover = assert(guide.connect(child, "/"))
    local watcher = assert(guide.connect(child, "/"))
    local moves = 6000
    local last
    t.pump_for(60, function()
      ws.spawn(function()
        for i = 1, moves do
          assert(mover:send(("at %06d "):format(i) .. ("."):rep(4000)))
          if i % 64 == 0 then
            mover:drain()
            slow:pull() -- slow, but not stalled
          end
        end
      end)
      repeat
        local why, code
        last, why, code = watcher:receive(guide.limit)
        assert(last, ("%s %s: %s"):format(why, code, child:errors()))
      until last:find(("at %06d "):format(moves), 1, true)
    end)
    mover:close()
    guide.expect(watcher, last:match "^%S+" .. " left")
    local got, before = 0, 0
    repeat
      local _, text = slow:message()
      got = got + 1
      local n = tonumber(text:match "at (%d+)")
      assert.is_true(not n or n > before)
      before = n or before
    until text:find " left"
    assert.equal(moves, before) -- the last one came, and before the end
    assert.is_true(got < moves / 2, got)
  end)
end)
