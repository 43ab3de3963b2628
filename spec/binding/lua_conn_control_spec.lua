-- Pings and pongs as the application sees them: on_ping, on_pong and
-- conn.latency, in the three modes of a connection.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws
local url_of = t.url_of

-- Options whose on_ping and on_pong write into the list.
local function logging(options)
  local log = {}
  local own = {
    on_ping = function(_, payload) log[#log + 1] = "ping " .. payload end,
    on_pong = function(_, payload) log[#log + 1] = "pong " .. payload end,
  }
  for name, value in pairs(options or {}) do own[name] = value end
  return own, log
end

local function read_all(conn, log)
  ws.spawn(function()
    for message in conn:messages() do log[#log + 1] = message end
  end)
end

describe("pings and pongs", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  it("are told, and pings answered", function()
    local options, log = logging { on_message = print }
    local conn, raw = kit.pair(options)
    raw:send(t.frame("ping", "a\0b") .. t.frame("pong", "") .. t.frame "ping")
    t.wait(function() return log[3] end)
    assert.same({ "ping a\0b", "pong ", "ping " }, log)
    raw:expect_frame("pong", "a\0b")
    raw:expect_frame("pong", "")
    assert.equal("open", conn.state)
  end)

  it("are told with the connection first", function()
    local seen
    local conn, raw = kit.pair { on_ping = function(...)
      seen = table.pack(...)
    end }
    raw:send(t.frame("ping", "x"))
    t.wait(function() return seen end)
    assert.same({ conn, "x", n = 2 }, seen)
  end)

  it("stand between the messages they came between", function()
    local options, log = logging {}
    options.on_message = function(_, message)
      ws.sleep(0)
      log[#log + 1] = message
    end
    local _, raw = kit.pair(options)
    raw:send(t.frame("text", "1") .. t.frame("ping", "2")
      .. t.frame("text", "3") .. t.frame("pong", "4") .. t.frame("text", "5"))
    t.wait(function() return log[5] end)
    assert.same({ "1", "ping 2", "3", "pong 4", "5" }, log)
  end)

  it("inside of a message are told before it", function()
    local options, log = logging {}
    options.on_message = function(_, message) log[#log + 1] = message end
    local _, raw = kit.pair(options)
    raw:send(t.frame("text", "a", { fin = false }) .. t.frame("ping", "p")
      .. t.frame("continuation", "b"))
    t.wait(function() return log[2] end)
    assert.same({ "ping p", "ab" }, log)
  end)

  it("wait for a handler that waits", function()
    local log, may_go = {}, false
    local _, raw = kit.pair { on_ping = function(_, payload)
      while not may_go do ws.sleep(0.001) end
      log[#log + 1] = payload
    end, on_message = function(_, message) log[#log + 1] = message end }
    raw:send(t.frame("ping", "1") .. t.frame("text", "2"))
    raw:expect_frame("pong", "1")
    raw:expect_silence()
    assert.same({}, log)
    may_go = true
    t.wait(function() return log[2] end)
    assert.equal("1", log[1])
    assert.equal("2", log[2])
  end)

  it("reach a connection that is pulled", function()
    local options, log = logging { on_open = function(conn)
      conn:messages()
    end }
    local conn, raw = kit.pair(options)
    raw:send(t.frame("ping", "1"))
    t.wait(function() return log[1] end, "on_ping without a receiver")
    read_all(conn, log)
    t.turn()
    raw:send(t.frame("text", "2") .. t.frame("pong", "3")
      .. t.frame("text", "4") .. t.frame("ping", "5"))
    t.wait(function() return log[5] end)
    assert.same({ "ping 1", "2", "pong 3", "4", "ping 5" }, log)
  end)

  it("do not wait for messages that nobody receives", function()
    local options, log = logging { on_open = function(conn)
      conn:messages()
    end }
    local conn, raw = kit.pair(options)
    raw:send(t.frame("text", "unread"))
    for i = 1, 40 do -- more than any queue holds
      raw:send(t.frame("ping", i .. ""))
      raw:expect_frame("pong", i .. "")
      t.wait(function() return log[i] end)
    end
    assert.equal("ping 40", log[40])
    t.pump(function() assert.equal("unread", conn:receive(t.limit)) end)
  end)

  it("reach a connection that discards messages", function()
    local options, log = logging()
    local _, raw = kit.pair(options)
    raw:send(t.frame("text", "gone") .. t.frame("ping", "1")
      .. t.frame("text", "gone") .. t.frame("pong", "2"))
    t.wait(function() return log[2] end)
    assert.same({ "ping 1", "pong 2" }, log)
  end)

  it("reach a client, also outside of any turn", function()
    local options, log = logging()
    local server = t.listen { on_open = function(conn)
      conn:ping "from the server"
      conn:send "hello"
    end }
    local conn <close> = assert(ws.connect(url_of(server), options))
    assert.equal("hello", conn:receive(t.limit))
    t.wait(function() return log[1] end)
    assert.same({ "ping from the server" }, log)
  end)

  it("let their handler receive", function()
    local got
    local _, raw = kit.pair { on_open = function(conn) conn:messages() end,
      on_ping = function(conn) got = conn:receive() end }
    raw:send(t.frame("ping", "1") .. t.frame("text", "2"))
    t.wait(function() return got end)
    assert.equal("2", got)
  end)

  it("of many only 16 wait for a handler, and all are answered", function()
    for _, mode in ipairs { "callback", "pull" } do
      local log, may_go = {}, false
      local _, raw = kit.pair { control_rate = false,
        on_message = mode == "callback" and print or nil,
        on_open = mode == "pull" and function(c) c:messages() end or nil,
        on_ping = function(_, payload)
          while not may_go do ws.sleep(0.001) end
          log[#log + 1] = payload
        end }
      raw:send(t.frame("ping", "0"))
      raw:expect_frame("pong", "0")
      t.turn()
      for i = 1, 300 do raw:send(t.frame("ping", i .. "")) end
      for i = 1, 300 do raw:expect_frame("pong", i .. "") end
      may_go = true
      t.wait(function() return log[17] end, mode)
      raw:expect_silence()
      for i = 0, 16 do assert.equal(i .. "", log[i + 1]) end
      assert.is_true(#log <= 18)
    end
  end)

  it("get their own handler by on_ping and on_pong", function()
    local options, log = logging { on_message = print }
    local conn, raw = kit.pair(options)
    assert.equal(conn, conn:on_ping(function() log[#log + 1] = "own" end))
    assert.equal(conn, conn:on_pong(nil))
    raw:send(t.frame("pong", "x") .. t.frame("ping", "x"))
    t.wait(function() return log[1] end)
    raw:expect_frame("pong", "x")
    assert.same({ "own" }, log)
    conn:on_ping(nil)
    raw:expect_silence()
    assert.same({ "own" }, log)
  end)

  it("raise for what is no function", function()
    local conn = kit.pair()
    assert.matches("bad argument #1 to 'on_ping' %(function expected",
      kit.refusal(function() conn:on_ping "x" end))
    assert.matches("bad option 'on_pong' %(function expected",
      kit.refusal(function() ws.listen { port = 0, on_pong = 1 } end))
  end)

  it("end the connection with 1011 when their handler raises", function()
    for _, mode in ipairs { "callback", "pull", "discard" } do
      local errors, closed = {}, nil
      local _, raw = kit.pair {
        on_message = mode == "callback" and print or nil,
        on_open = mode == "pull" and function(c) c:messages() end or nil,
        on_ping = function() error "oh" end,
        on_error = function(_, message) errors[#errors + 1] = message end,
        on_close = function(_, code, reason) closed = { code, reason } end,
      }
      raw:send(t.frame("ping", "1") .. t.frame("ping", "2"))
      raw:message()
      t.wait(function() return closed end, mode)
      assert.same({ 1011, "handler error" }, closed)
      assert.equal(1, #errors)
      assert.matches("oh$", errors[1])
    end
  end)

  it("are told before on_close, never after it", function()
    for _, mode in ipairs { "callback", "pull", "discard" } do
      local options, log = logging {
        on_message = mode == "callback" and print or nil,
        on_open = mode == "pull" and function(c) c:messages() end or nil,
      }
      options.on_close = function() log[#log + 1] = "closed" end
      local _, raw = kit.pair(options)
      raw:send(t.frame("ping", "1") .. t.frame("close", "\x03\xe8")
        .. t.frame("ping", "2"))
      t.wait(function() return log[2] end, mode)
      for _ = 1, 5 do t.turn() end
      assert.same({ "ping 1", "closed" }, log)
    end
  end)

  it("that wait are dropped when the connection is over", function()
    local log, may_go = {}, false
    local conn, raw = kit.pair { on_open = function(c) c:messages() end,
      on_ping = function(_, payload)
        log[#log + 1] = payload
        while not may_go do ws.sleep(0.001) end
      end,
      on_close = function() log[#log + 1] = "closed" end }
    raw:send(t.frame("ping", "1") .. t.frame("ping", "2"))
    t.wait(function() return log[1] end)
    conn:terminate()
    t.wait(function() return log[2] end)
    may_go = true
    for _ = 1, 5 do t.turn(0.002) end
    assert.same({ "1", "closed" }, log)
  end)

  it("are told while only our half is closed", function()
    local options, log = logging { on_message = print }
    local conn, raw = kit.pair(options)
    conn:shutdown()
    raw:expect_close(1000)
    raw:send(t.frame("ping", "x"))
    t.wait(function() return log[1] end)
    assert.same({ "ping x" }, log)
  end)

  describe("the latency", function()
    it("comes from a ping with a payload, too", function()
      local conn, raw = kit.pair()
      assert.is_nil(conn.latency)
      assert.is_true(conn:ping "mine")
      raw:expect_frame("ping", "mine")
      raw:send(t.frame("pong", "other"))
      raw:expect_silence()
      assert.is_nil(conn.latency)
      raw:send(t.frame("pong", "mine"))
      t.wait(function() return conn.latency end)
      assert.is_true(conn.latency >= 0 and conn.latency < 60)
    end)

    it("comes from the last of several", function()
      local conn, raw = kit.pair()
      conn:ping "one"
      conn:ping()
      raw:expect_frame("ping", "one")
      local f = raw:frame()
      raw:send(t.frame("pong", "one"))
      raw:expect_silence()
      assert.is_nil(conn.latency)
      raw:send(t.frame("pong", f.payload))
      t.wait(function() return conn.latency end)
    end)

    it("comes from the pings that keep a connection alive", function()
      local told
      local conn, raw = kit.pair { keepalive_interval = 0.05,
        keepalive_timeout = false,
        on_pong = function(_, payload) told = payload end }
      local f = raw:frame()
      assert.equal(9, f.opcode)
      raw:send(t.frame("pong", f.payload))
      t.wait(function() return conn.latency end)
      t.wait(function() return told end)
      assert.equal(f.payload, told)
    end)
  end)

  it("without memory end the connection, and nothing else", function()
    local core = require "evws.core"
    if not core.fail_at then pending "built without WS_FAULT" return end
    for n = 1, 12 do
      for _, mode in ipairs { "callback", "pull" } do
        local closed
        local _, raw, server = kit.pair {
          on_message = mode == "callback" and function() end or nil,
          on_open = mode == "pull" and function(c) c:messages() end or nil,
          on_ping = function() end,
          on_error = function() end,
          on_close = function(_, code) closed = code end }
        local other = t.bystander(t.listen { on_message = function(c, m)
          c:send(m)
        end })
        raw:send(t.frame("ping", "1") .. t.frame("text", "2")
          .. t.frame("ping", "3") .. t.frame("close", "\x03\xe8"))
        core.fail_at(n, false)
        for _ = 1, 3 do t.turn() end
        core.fail_at(0, false)
        t.wait(function() return closed end, mode .. " " .. n)
        other:check()
        server:close { timeout = 0 }
      end
    end
  end)
end)
