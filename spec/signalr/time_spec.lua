-- Seconds and bytes of a hub: the last that is good, and the first that is not.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local kit = require "spec.signalr.kit"
local ws = require "evws"

local function ticks(hub, n)
  for _ = 1, n do hub:tick() end
  kit.settle()
end

describe("the seconds of a hub", function()
  after_each(kit.cleanup)

  it("SR-27 let a client be silent for client_timeout after its last word",
    function()
      local why
      local hub = kit.hub { keepalive_interval = false, client_timeout = 4,
        detailed_errors = true, on_disconnected = function(_, text)
          why = text
        end }
      local c = kit.client(hub)
      c:say { type = 6 }
      ticks(hub, 1)
      c:say { type = 6 }
      ticks(hub, 4)
      assert.is_false(c.session.is_over)
      ticks(hub, 1)
      local text = "Client hasn't sent a message/ping within the configured "
        .. "ClientTimeoutInterval."
      c:expect_end("Connection closed with an error. " .. text, true)
      assert.equal(text, why)
    end)

  it("SR-27 let a stateful one be silent for as long", function()
    local hub = kit.hub { keepalive_interval = false, client_timeout = 4 }
    local c = kit.client(hub, { is_stateful = true })
    c:say { type = 6 }
    ticks(hub, 4)
    assert.is_false(c.session.is_over)
    ticks(hub, 1)
    c:expect_end("Connection closed with an error.", true)
  end)

  it("cancel a handshake that is not there in time", function()
    local hub = kit.hub { handshake_timeout = 1.5 }
    local c = kit.client(hub, { raw = true })
    ticks(hub, 2)
    c:expect_nothing()
    ticks(hub, 1)
    c:expect { error = "Handshake was canceled." }
    assert.equal(1000, c.ended)
    assert.equal(0, hub.n_sessions)
    c = kit.client(hub, { raw = true })
    c:feed '{"protocol":"json","version":1}\30'
    c:expect {}
    ticks(hub, 20)
    c:expect { type = 6 }
    assert.is_false(c.session.is_over)
  end)

  it("keep a session for disconnect_timeout, new or lost", function()
    local why
    local hub = kit.hub { disconnect_timeout = 2,
      on_disconnected = function(_, text) why = text end }
    hub:session()
    hub:rest()
    ticks(hub, 2)
    assert.equal(1, hub.n_sessions)
    ticks(hub, 1)
    assert.equal(0, hub.n_sessions)
    local c = kit.client(hub, { is_stateful = true })
    c:lose()
    ticks(hub, 2)
    assert.same({ 1 }, { hub.n_sessions, why })
    ticks(hub, 1)
    assert.same({ 0, "the client did not come back" }, { hub.n_sessions, why })
    c = kit.client(hub, { is_stateful = true })
    c:lose()
    ticks(hub, 2)
    c:come_back()
    ticks(hub, 5)
    assert.is_false(c.session.is_over)
  end)

  it("acknowledge what a stateful client has said, once a second", function()
    local hub = kit.hub { keepalive_interval = false,
      methods = { Hear = function() end } }
    local c = kit.client(hub, { is_stateful = true })
    local function hear()
      c:say { type = 1, target = "Hear", arguments = {} }
    end
    hear()
    hear()
    c:expect_nothing()
    ticks(hub, 1)
    c:expect { type = 8, sequenceId = 2 }
    ticks(hub, 3)
    c:expect_nothing()
    hear()
    c:lose()
    ticks(hub, 3)
    c:come_back()
    c:expect { type = 9, sequenceId = 1 }
    ticks(hub, 1)
    c:expect { type = 8, sequenceId = 3 }
  end)
end)

describe("the bytes of a hub", function()
  after_each(kit.cleanup)

  it("are posted for as long as no more than max_buffered wait", function()
    local queue, answered = ws.queue(9), 0
    local hub = kit.hub { max_buffered = 100, methods = {
      Wait = function() queue:take() end } }
    local c = kit.client(hub)
    local record = '{"type":1,"target":"Wait","arguments":[]}'
    record = record .. (" "):rep(49 - #record) .. "\30"
    for _ = 1, 7 do
      ws.spawn(function()
        c.session:post(record)
        answered = answered + 1
      end)
      kit.settle()
    end
    -- one runs, one waits to run, and two of 50 bytes are no more than 100
    assert.equal(5, answered)
    queue:put(true)
    kit.settle()
    assert.equal(6, answered)
    c:lose(true)
    kit.settle()
    assert.equal(7, answered)
    queue:close()
  end)

  it("make a stream wait where more than max_buffered are not sent", function()
    local n, waited, results = 1000, {}, {}
    local hub = kit.hub { max_buffered = 1000, stall_timeout = 7, streams = {
      Flow = function(_, out)
        for i = 1, 3 do
          results[i] = table.pack(out:send(i))
          n = n + 1
        end
      end } }
    local c = kit.client(hub, { transport = {
      buffered = function() return n end,
      drain = function(_, seconds)
        waited[#waited + 1] = { n, seconds }
        n = 999
        return true
      end } })
    c:say { type = 4, invocationId = "s", target = "Flow", arguments = {} }
    assert.same({ { 1001, 7 } }, waited)
    for i = 1, 3 do
      c:expect { type = 2, invocationId = "s", item = i }
      assert.same({ true, n = 1 }, results[i])
    end
    c:expect { type = 3, invocationId = "s" }
  end)

  it("make a stream wait where more than replay_buffer may be lost", function()
    local size = #kit.hub {}.protocols.json.item("s", 1)
    local sent = 0
    local hub = kit.hub { replay_buffer = 3 * size, streams = {
      Flow = function(_, out)
        for i = 1, 9 do
          sent = i
          out:send(i)
        end
      end } }
    local c = kit.client(hub, { is_stateful = true })
    c:say { type = 4, invocationId = "s", target = "Flow", arguments = {} }
    assert.equal(4, sent)
    c:say { type = 8, sequenceId = 2 }
    kit.settle()
    assert.equal(6, sent)
    c:lose(true)
    kit.settle()
    assert.equal(9, sent)
  end)

  it("end a stateful session where more than max_queued may be lost",
    function()
      local why
      local size = #kit.hub {}.protocols.json.invocation(nil, "Text", { "x" },
        1)
      local hub = kit.hub { max_queued = 5 * size, replay_buffer = 5 * size,
        on_disconnected = function(_, text) why = text end }
      local c = kit.client(hub, { is_stateful = true })
      c:say { type = 6 }
      c:lose()
      for _ = 1, 5 do
        assert.equal(1, hub.clients.all:send("Text", "x"))
      end
      assert.is_false(c.session.is_over)
      assert.equal(0, hub.clients.all:send("Text", "x"))
      kit.settle()
      assert.is_true(c.session.is_over)
      assert.equal("slow consumer", why)
    end)

  it("end a client that takes nothing, with 1008 and a Close before it",
    function()
      local is_full = false
      local hub = kit.hub { detailed_errors = true }
      local c = kit.client(hub)
      local send = c.transport.send
      function c.transport.send(...)
        if is_full then
          is_full = false
          return nil, "queue full"
        end
        return send(...)
      end
      is_full = true
      assert.equal(0, hub.clients.all:send "Text")
      c:expect { type = 7, allowReconnect = true,
        error = "Connection closed with an error. slow consumer" }
      assert.same({ 1008, true }, { c.ended, c.session.is_over })
    end)
end)

describe("what a negotiation promises", function()
  after_each(kit.cleanup)

  it("is a token beside an id, or, of the version 0, both in one", function()
    local hub = kit.hub { name = "/hub", secret = ("s"):rep(32) }
    local now = hub:promise("ann", false, 1)
    local told = hub:token():read(now.token)
    assert.is_true(now.id ~= now.token)
    assert.same({ 22, now.id, false, "ann" }, { #now.id, told.id,
      told.is_stateful, told.user })
    told = hub:token():read(hub:promise(nil, true, 1).token)
    assert.same({ true }, { told.is_stateful, told.user })
    local old = hub:promise("ann", false, 0)
    assert.equal(old.id, old.token)
    told = hub:token():read(old.token)
    assert.same({ old.id, false }, { told.id, told.is_stateful })
    local one = hub:adopt(told)
    hub:rest()
    assert.equal(one, hub.by_token[old.id])
    assert.is_nil(hub:adopt(told))
  end)

  it("is no session before it comes where tokens are signed", function()
    local hub = kit.hub { name = "/hub", secret = ("s"):rep(32) }
    hub:promise("ann", false, 1)
    assert.same({ 0, 0 }, { hub.n_sessions, hub.n_new })
    hub = kit.hub {}
    local one = hub:promise("ann", false, 0)
    assert.same({ 1, 1, one.id }, { hub.n_sessions, hub.n_new, one.token })
    assert.equal(one, hub.by_token[one.id])
    one = hub:promise("ann", false, 1)
    assert.is_true(one.id ~= one.token)
  end)
end)

describe("a hub whose server begins to close", function()
  after_each(kit.cleanup)

  it("leaves, whoever still asks there, until there is another", function()
    local hub, first, second = kit.hub {}, {}, {}
    hub.groups:serve(first)
    assert.is_false(hub:is_leaving())
    hub:retire(first, 0)
    assert.is_true(hub:is_leaving())
    hub.groups:serve(first)
    assert.is_true(hub:is_leaving())
    assert.same({}, hub.groups.spaces)
    hub.groups:serve(second)
    assert.is_false(hub:is_leaving())
    assert.same({ second }, hub.groups.spaces)
  end)
end)
