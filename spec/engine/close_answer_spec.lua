-- The answer to a peer's Close (RFC 6455 5.5.1): its code and its reason come
-- back, in whichever way it is given.

local t = require "spec.helper"
local common = require "spec.bad_inputs.common"
local kit = require "spec.engine.kit"

local ws, frame, close_frame = t.ws, t.frame, t.close_frame
local second = t.factor

-- { code, reason }; the longest has 123 octets.
local given = {
  { 1000, "" }, { 1000, "bye" }, { 3000, "" }, { 4999, "gr\u{FC}\u{DF}e" },
  { 4000, ("x"):rep(123) }, { 1001, ("\u{20AC}"):rep(41) },
  { 4001, "line\nfeed\0zero" },
}

-- What the peer gets for a Close with this code and reason.
local function answer(client, code, reason)
  client:send(close_frame(code, reason))
  local got = { client:expect_close(code) }
  client:expect_eof()
  client:close()
  return got
end

local function all(server, before)
  for _, want in ipairs(given) do
    local client = t.open(server)
    if before then before(client) end
    assert.same(want, answer(client, table.unpack(want)))
  end
end

describe("the answer to a Close", function()
  after_each(t.cleanup)

  it("is the same when nothing waits", function()
    all(t.listen { on_message = function() end })
    all(t.listen {})
  end)

  it("is empty where nothing was given", function()
    local client = t.open(t.listen {})
    client:send(close_frame())
    local code, reason = client:expect_close()
    assert.same({ 1005, "" }, { code, reason or "" })
  end)

  it("comes octet by octet, behind messages and in one piece", function()
    local server = t.listen { on_message = t.echo }
    for _, want in ipairs(given) do
      local client = t.open(server)
      client:send(frame("text", "a") .. close_frame(table.unpack(want)))
      client:expect_frame("text", "a")
      assert.same(want, { client:expect_close() })
      client:close()
      client = t.open(server)
      client:send_bytewise(close_frame(table.unpack(want)))
      assert.same(want, { client:expect_close() })
      client:close()
    end
  end)

  it("comes after a handler that is at work", function()
    all(t.listen { on_message = function(conn)
      ws.sleep(0.005)
      conn:send "done"
    end }, function(client)
      client:send(frame("text", "x"):rep(3))
      for _ = 1, 3 do client:expect_frame("text", "done") end
    end)
    local server = t.listen { on_message = function(conn)
      ws.sleep(0.005)
      conn:send "done"
    end }
    for _, want in ipairs(given) do
      local client = t.open(server)
      client:send(frame("text", "x"):rep(3) .. close_frame(table.unpack(want)))
      for _ = 1, 3 do client:expect_frame("text", "done") end
      assert.same(want, { client:expect_close() })
      client:close()
    end
  end)

  it("comes after a message that is being written", function()
    local server = t.listen { on_message = function(conn)
      local writer <close> = conn:writer()
      writer:write "a"
      ws.sleep(0.01)
      writer:write "b"
      writer:finish()
    end }
    for _, want in ipairs(given) do
      local client = t.open(server)
      client:send(frame("text", "x") .. close_frame(table.unpack(want)))
      assert.same({ "text", "ab" }, { client:message() })
      assert.same(want, { client:expect_close() })
      client:close()
    end
  end)

  it("comes when the application closes or ends meanwhile", function()
    for _, way in ipairs { "close", "shutdown" } do
      local server = t.listen { on_message = function(conn)
        ws.sleep(0.01)
        conn[way](conn, 4321, "ours")
      end }
      for _, want in ipairs(given) do
        local client = t.open(server)
        client:send(frame("text", "x") .. close_frame(table.unpack(want)))
        assert.same(want, { client:expect_close() })
        client:close()
      end
    end
  end)

  it("comes when the server is closed meanwhile", function()
    for _, want in ipairs(given) do
      local is_at_work
      local server = t.listen { on_message = function()
        is_at_work = true
        ws.sleep(60)
      end }
      local client = t.open(server)
      client:send(frame("text", "x") .. close_frame(table.unpack(want)))
      t.wait(function() return is_at_work end)
      kit.during(0.005)
      ws.spawn(function() server:close { timeout = second } end)
      assert.same(want, { client:expect_close() })
      client:close()
    end
  end)

  it("comes while messages lie unread", function()
    local conns = {}
    local server = t.listen { on_open = function(conn)
      conns[#conns + 1] = conn
      ws.spawn(function() conn:receive() end)
    end }
    for i, want in ipairs(given) do
      local client = t.open(server)
      client:send(frame("text", "x"):rep(3) .. close_frame(table.unpack(want)))
      assert.same(want, { client:expect_close() })
      t.pump(function() repeat until not conns[i]:receive() end)
      client:close()
    end
  end)

  it("comes from a client: at work, receiving, or only sending", function()
    local function close(want)
      return frame("close", (">I2"):pack(want[1]) .. want[2], { mask = false })
    end
    for _, options in ipairs { {}, { on_open = function() end },
      { on_message = function() ws.sleep(0.01) end } } do
      for _, want in ipairs(given) do
        local conn, raw = kit.connected(options)
        raw:send(frame("text", "x", { mask = false }) .. close(want))
        assert.same(want, { raw:expect_close() })
        raw:close()
        t.wait(function() return conn.state == "closed" end)
        conn, raw = kit.connected(options)
        raw:send(close(want))
        assert.same(want, { raw:expect_close() })
        raw:close()
        t.wait(function() return conn.state == "closed" end)
      end
    end
  end)

  it("is what on_close of the one who began is told", function()
    for _, want in ipairs(given) do
      local closed
      local server = t.listen { on_open = function(conn)
        conn:close(table.unpack(want))
      end, on_close = function(_, code, reason) closed = { code, reason } end }
      t.pump(function()
        local conn = assert(ws.connect("ws://127.0.0.1:" .. server.port))
        repeat until not conn:receive()
      end)
      t.wait(function() return closed end)
      assert.same(want, closed)
    end
  end)

  it("comes from a process that ends", function()
    local pipe, finish = common.start [[
      local t = require "spec.helper"
      local server = t.ws.listen { port = 0, host = "127.0.0.1",
        on_message = function()
          t.ws.sleep(0.05)
          os.exit(0, true)
        end }
      io.stdout:setvbuf "no"
      print(server.port)
      t.ws.run()
    ]]
    local client = t.open(tonumber(pipe:read "l"))
    client:send(frame("text", "x") .. close_frame(4000, "not lost"))
    assert.same({ 4000, "not lost" }, { client:expect_close() })
    client:close()
    assert.same({ 0, "", "" }, { finish() })
  end)
end)
