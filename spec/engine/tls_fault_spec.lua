-- Every allocation of ours on the way of TLS fails once, and every one from
-- each on: a connection ends or is not made, nothing leaks, and a bystander
-- loses nothing. (OpenSSL's own allocations are not reached.)

local t = require "spec.helper"
local tls = require "spec.helper.tls"

local core = require "evws.core"
local kit = require "spec.engine.kit"
local fail_at = kit.fail_at
local frame, file = t.frame, tls.file
local factor = t.factor
local large = ("large"):rep(60000)

describe("TLS without memory", function()
  if not core.fail_at then
    it("ends a connection, and nothing else", function()
      pending "built without WS_FAULT"
    end)
    return
  end

  local server, opened, closed, ends, calm

  before_each(function()
    t.ws.on_error(function() end)
    opened, closed, ends = 0, 0, {}
    server = t.listen(tls.options { close_timeout = 0.2 * factor,
      on_open = function() opened = opened + 1 end,
      on_message = function(conn, message, kind)
        conn:send(message, kind)
      end,
      on_close = function() closed = closed + 1 end })
    calm = tls.open(server)
  end)

  after_each(function()
    fail_at(0)
    t.cleanup()
    t.ws.on_error(nil)
  end)

  local function check(n)
    t.wait(function() return server.connections == 1 end,
      "the connection to end at " .. n)
    t.wait(function() return opened == closed + 1 end, "on_close at " .. n)
    for _, count in pairs(ends) do assert.equal(1, count) end
    calm:send(frame("text", "calm " .. n)):expect_frame("text", "calm " .. n)
  end

  local function talk()
    local url = ("wss://127.0.0.1:%d/"):format(server.port)
    local conn = t.ws.connect(url, { timeout = 0.5 * factor,
      close_timeout = 0.2 * factor, tls = { ca = file "ca.pem" },
      on_close = function(conn) ends[conn] = (ends[conn] or 0) + 1 end })
    if not conn then return false end
    local ok = conn:send "small" and conn:receive(0.5) == "small"
      and conn:send(large) and conn:receive(0.5) == large
    conn:close()
    return ok
  end

  for _, every in ipairs { false, true } do
    it("ends a connection, and nothing else: " .. (every and "all from one on"
      or "one allocation") .. " fails", function()
      local n, clean = 0, 0
      while clean < 3 do
        n = n + 1
        assert.is_true(n < 300)
        fail_at(n, every)
        local ok = kit.attempt(1, talk)
        fail_at(0)
        clean = ok and clean + 1 or 0
        check(n)
      end
      assert.is_true(n > 10)
    end)
  end

  it("cannot load certificates, or can", function()
    local hosts = { ["a.test"] = { certificate = file "other.pem",
      key = file "other.key" } }
    local n, made = 0
    local options = tls.options { port = 0, tls = { hosts = hosts,
      ca = file "ca.pem" } }
    repeat
      n = n + 1
      fail_at(n)
      local ok, result = pcall(t.ws.listen, options)
      fail_at(0)
      made = ok and result or nil
    until made or n > 100
    assert.is_true(n > 4)
    for i = 1, 3 do
      fail_at(i)
      local ok, why = made:reload_tls()
      fail_at(0)
      assert.same({ nil, "out of memory" }, { ok, why })
    end
    assert.is_true(made:reload_tls())
    t.pump(made.close, made)
  end)

  it("ends slow readers alone when what was refused cannot be kept",
    function()
      for n = 1, 12 do
        local before = closed
        local client, conn = tls.open(server, { rcvbuf = 32768 }), nil
        for each in server:each() do
          if not conn or each.id > conn.id then conn = each end
        end
        fail_at(n, true)
        for _ = 1, 40 do
          if not conn:send(large) then break end
        end
        fail_at(0)
        client:close()
        t.wait(function() return closed == before + 1 end)
        check(n)
      end
    end)
end)
