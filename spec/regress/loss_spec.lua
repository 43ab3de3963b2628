-- The peer is gone, and the script has not been told yet, or goes on all the
-- same: no method may call that the script's error. conn:writer said that
-- another writer was not finished, which nobody could have finished any more.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local ws = t.ws

local function print() end

-- Each call, as a script makes it that is right; false stands for nil.
local calls = {
  { "send", "x" }, { "send", "x", "binary", { compress = false } },
  { "ping" }, { "ping", "x" }, { "writer" }, { "writer", "binary" },
  { "shutdown" }, { "shutdown", 1001, "bye" }, { "subscribe", "a" },
  { "unsubscribe", "a" }, { "topics" }, { "publish", "a", "x" }, { "pause" },
  { "resume" }, { "drain", 0 }, { "drain" }, { "receive", 0 },
  { "receive" }, { "messages" }, { "on_close", print }, { "on_drain", print },
  { "on_error", print }, { "on_ping", print }, { "on_pong", print },
  { "on_message", print }, { "on_message", false }, { "on_chunk", print },
  { "on_chunk", false }, { "close" }, { "close", 4000, "bye" },
  { "terminate" }, { "close" }, { "shutdown" },
}

local refusals = { send = true, ping = true, writer = true, shutdown = true,
  write = true, finish = true }

-- How it was lost, in a handler that goes on in the same turn.
local losses = {
  ["a reset that a send has met"] = function(conn, raw, writer)
    writer:finish()
    raw:reset()
    conn:send(("x"):rep(1 << 20), "binary")
    conn:send(("x"):rep(1 << 20), "binary")
  end,
  ["a reset that a writer has met"] = function(_, raw, writer)
    raw:reset()
    writer:write(("x"):rep(1 << 20))
    writer:write(("x"):rep(1 << 20))
  end,
  ["a reset that is known"] = function(conn, raw)
    raw:reset()
    while conn.state ~= "closed" do ws.sleep(0) end
  end,
  ["an end of TCP"] = function(conn, raw)
    raw:close()
    while conn.state ~= "closed" do ws.sleep(0) end
  end,
  ["a close frame"] = function(conn, raw, writer)
    writer:finish()
    raw:send(t.frame("close", "\x03\xe8"))
    while conn.state ~= "closed" do ws.sleep(0) end
  end,
  ["a protocol error"] = function(conn, raw)
    raw:send "\xff\xff\xff\xff"
    while conn.state ~= "closed" do ws.sleep(0) end
  end,
  ["terminate"] = function(conn) conn:terminate() end,
  ["close"] = function(conn) conn:close() end,
  ["shutdown"] = function(conn) conn:shutdown() end,
}

describe("after the loss of a connection by", function()
  after_each(function()
    kit.cleanup()
    t.cleanup()
  end)

  for name, lose in pairs(losses) do
    it(name .. ", no method raises", function()
      local failures, n = {}, 0
      local conn, raw = kit.pair { close_timeout = 0.01,
        on_open = function(c) c:messages() end }
      local writer = conn:writer()
      t.pump(function()
        lose(conn, raw, writer)
        local function try(object, method, ...)
          local got = table.pack(pcall(object[method], object, ...))
          local is_right = got[1] and (not refusals[method]
            or got[2] == nil and got[3] == "closed")
          if not is_right then
            failures[#failures + 1] = method .. ": "
              .. tostring(not got[1] and got[2] or got[3] or got[2])
          end
          n = n + 1
        end
        local is_finished = tostring(writer):find "finished"
        for _ = 1, 2 do
          for _, call in ipairs(calls) do
            try(conn, call[1], call[2] or nil, call[3], call[4])
            if not is_finished then
              try(writer, "write", "x")
              try(writer, "finish")
            end
          end
        end
      end)
      assert.same({}, failures)
      assert.is_true(n >= 2 * #calls)
    end)
  end

  it("reset, a new writer is none", function()
    local conn, raw = kit.pair()
    local writer = conn:writer()
    local results
    t.pump(function()
      raw:reset()
      writer:write(("x"):rep(1 << 20))
      results = { table.pack(writer:write "x"), table.pack(writer:finish()),
        table.pack(conn:writer()) }
    end)
    local closed = { nil, "closed", n = 2 }
    assert.same({ closed, closed, closed }, results)
  end)

  it("nothing, a second writer is the script's error", function()
    local conn = kit.pair()
    local writer = conn:writer()
    assert.equal("another writer of the connection is not finished",
      kit.refused_call(conn, "writer"))
    writer:finish()
    assert.is_truthy(conn:writer())
  end)

  it("its server's end, no method of the server raises", function()
    local server = t.listen { routes = { ["/a"] = {} } }
    t.pump(server.close, server)
    local closed = { nil, "closed", n = 2 }
    assert.same(closed, table.pack(server:publish("a", "x")))
    assert.same(closed, table.pack(server:broadcast "x"))
    assert.same(closed, table.pack(server:route("/a", {})))
    assert.same(closed, table.pack(server:route("/b", {})))
    assert.equal(0, server:subscribers "a")
    assert.is_nil(server:each()())
    assert.equal(0, server.connections)
    assert.is_table(server:stats())
    assert.is_string(server:metrics())
    assert.is_true(t.pump(server.close, server))
  end)
end)
