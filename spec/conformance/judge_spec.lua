-- The judge of the conformance cases must be able to say no. Its peer here
-- says what the spec wants it to, and ends TCP as the spec wants it to.

local t = require "spec.helper"
local judge = require "spec.conformance.judge"

local case_of = {}
for _, case in ipairs(require "spec.conformance.cases") do
  case_of[case.id] = case
end

local hello = { "text", "Hello World!" }
local bye = { "close", "\x03\xe8" } -- 1000

-- The octets of the frames as a peer in this role has to send them.
local function bytes_of(role, frames)
  local list = {}
  for i, frame in ipairs(frames) do
    local own = {}
    if role == "server" then own.mask = false end
    for name, value in pairs(frame[3] or {}) do own[name] = value end
    list[i] = t.frame(frame[1], frame[2], own)
  end
  return table.concat(list)
end

-- The judge's end of a connection to a peer that sends these frames. Ending:
-- "first" it ends TCP then, "second" when we have, "never".
local function scripted(role, frames, ending)
  local listener <close> = assert(t.probe.listen "127.0.0.1")
  local ours = assert(t.probe.connect { port = listener.port })
  local peer = t.wait(function() return listener:accept() end)
  if role == "client" then ours, peer = peer, ours end
  assert(peer:send(bytes_of(role, frames)))
  if ending == "first" then peer:shutdown() end
  if ending ~= "never" then
    t.ws.spawn(function()
      local got, why
      repeat
        t.ws.sleep(0)
        got, why = peer:recv()
      until not got and why ~= "again"
      peer:close()
    end)
  end
  return t.wrap(ours, role)
end

local function verdict(id, role, frames, ending)
  ending = ending or (role == "server" and "first" or "second")
  return pcall(judge.run, case_of[id], role, scripted(role, frames, ending))
end

local function passes(id, role, frames, ending)
  local ok, why = verdict(id, role, frames, ending)
  if not ok then error(id .. ": " .. tostring(why), 2) end
end

local function fails(id, role, frames, why, ending)
  local ok, got = verdict(id, role, frames, ending)
  if ok or not got:find(why, 1, true) then
    error(("%s: %s instead of %q"):format(id, ok and "passed" or got, why), 2)
  end
end

for _, role in ipairs { "server", "client" } do
  local other = role == "server" and "first" or "second"

  describe("the judge of a " .. role, function()
    local factor = t.factor
    before_each(function() t.factor = 0.2 end) -- most of it waits in vain
    after_each(function()
      t.factor = factor
      t.cleanup()
    end)

    it("lets pass what is right", function()
      passes("7.1.1", role, { hello, bye })
      passes("7.1.1", role, { hello, { "close" } })
      passes("7.1.1", role, { { "text", "Hello ", { fin = false } },
        { "continuation", "World!" }, bye })
      passes("3.2", role, { { "text", "Hello, world!" },
        { "close", "\x03\xea" } })
      passes("3.1", role, {}, "first")
      passes("7.7.2", role, { { "close", "\x03\xe9" } })
      passes("2.9", role, { { "pong", "ping payload" }, bye })
    end)

    it("refuses another echo", function()
      local text = "expected text \"Hello World!\""
      fails("7.1.1", role, { { "binary", "Hello World!" }, bye }, text)
      fails("7.1.1", role, { { "text", "Hello World?" }, bye }, text)
      fails("7.1.1", role, { bye }, text)
      fails("7.1.1", role, {}, text, "first")
      fails("7.1.1", role, { { "ping", "" }, hello, bye }, text)
      fails("7.1.1", role, { hello, hello, bye }, "expected close")
      fails("7.1.1", role, {}, "the time is over", "never")
      fails("2.9", role, { { "pong", "unsolicited pong payload" },
        { "pong", "ping payload" }, bye }, "expected pong")
      fails("2.9", role, { { "pong", "ping payload" },
        { "pong", "ping payload" }, bye }, "expected close")
    end)

    it("refuses frames that break the protocol", function()
      for why, frame in pairs {
        ["wrong mask bit"] = { "text", "Hello World!",
          { mask = role == "server" and "mask" or false } },
        ["reserved bits"] = { "text", "Hello World!", { rsv = 4 } },
        ["reserved opcode"] = { 3, "Hello World!" },
        ["shortest form"] = { "text", "Hello World!", { form = 16 } },
        ["nothing to continue"] = { "continuation", "Hello World!" },
        ["not UTF-8"] = { "text", "\xff" },
        ["fragmented control"] = { "ping", "", { fin = false } },
        ["over 125 octets"] = { "ping", ("x"):rep(126) },
        ["one octet"] = { "close", "x" },
        ["close code 1006"] = { "close", "\x03\xee" },
      } do
        fails("7.1.1", role, { frame, bye }, why)
      end
      fails("7.1.1", role, { { "text", "Hello ", { fin = false } }, hello,
        bye }, "a new message inside one")
    end)

    it("refuses an unclean end", function()
      fails("7.1.1", role, { hello, { "close", "\x03\xe9" } },
        "expected close 1005/1000")
      fails("7.1.1", role, { hello }, "got eof", "first")
      fails("7.1.1", role, { hello }, "the time is over", "never")
      fails("7.1.1", role, { hello, bye }, "the time is over", "never")
      fails("7.1.1", role, { hello, bye, { "ping", "" } }, role == "server"
        and "after the close frame" or "expected silence")
    end)

    it("refuses what does not fail a connection, or not as it should",
      function()
        local text = { "text", "Hello, world!" }
        local failed = { "close", "\x03\xea" }
        fails("3.1", role, { text, bye }, "expected close 1005/1002")
        fails("3.1", role, { bye }, "expected close 1005/1002")
        fails("3.1", role, {}, "the time is over", "never")
        fails("3.2", role, { failed }, "expected text") -- NON-STRICT
        fails("3.2", role, { text, { "pong", "" }, failed }, "expected close")
        fails("3.2", role, { text, text, failed }, "expected close")
        fails("3.1", role, { failed }, "the time is over", "never")
        fails("7.1.3", role, { { "pong", "" }, bye }, "expected close")
        fails("7.1.5", role, { failed }, "expected close 1005/1000")
      end)

    if role == "client" then
      it("refuses a client that ends TCP first", function()
        fails("7.1.1", role, { hello, bye }, "expected silence, got eof",
          "first")
      end)
    else
      it("refuses a server that waits for the end of TCP", function()
        fails("7.1.1", role, { hello, bye }, "the time is over", "second")
      end)
    end

    it("wants an end where nothing else matters", function()
      passes("7.13.1", role, { hello, bye }, other)
      assert.is_false((verdict("7.13.1", role, { hello }, "never")))
    end)
  end)
end

describe("the judge of a client's request", function()
  local host = "127.0.0.1:5000"
  local lines = { "GET / HTTP/1.1", "Host: " .. host, "Upgrade: websocket",
    "Connection: Upgrade", "Sec-WebSocket-Version: 13" }

  local function with(at, line)
    local own = { table.unpack(lines) }
    own[at] = line
    return own
  end

  local count = 0
  local function judged(own, key)
    count = count + 1
    key = key or ("AAAAAAAAAAAAAAAA%05dA=="):format(count)
    return pcall(judge.check_request, table.concat(own, "\r\n")
      .. "\r\nSec-WebSocket-Key: " .. key .. "\r\n\r\n", host)
  end

  it("lets pass what is right", function()
    assert.is_true(judged(lines))
    assert.is_true(judged(with(3, "upgrade: WebSocket")))
  end)

  it("refuses the rest", function()
    for _, own in ipairs { with(1, "POST / HTTP/1.1"),
      with(1, "GET / HTTP/1.0"), with(2, "Host: 127.0.0.1"), with(2, "X: y"),
      with(3, "Upgrade: h2c"), with(4, "Connection: close"),
      with(5, "Sec-WebSocket-Version: 8"), with(6, lines[2]),
      with(6, "Origin: http://a"), with(6, "Content-Length: 0"),
      with(6, "Sec-WebSocket-Extensions: permessage-deflate"),
      with(6, "Sec-WebSocket-Protocol: chat") } do
      assert.is_false(judged(own), table.concat(own, " | "))
    end
    for _, key in ipairs { "", "AAAAAAAAAAAAAAAAAAAAAA",
      "AAAAAAAAAAAAAAAAAAAAAB==", "AAAAAAAAAAAAAAAAAAAAAAA=",
      "AAAAAAAAAAAAAAAA-AAAAA==" } do
      assert.is_false(judged(lines, key), key)
    end
  end)

  it("refuses a key that was there before", function()
    assert.is_true(judged(lines, "BBBBBBBBBBBBBBBBBBBBBA=="))
    assert.is_false(judged(lines, "BBBBBBBBBBBBBBBBBBBBBA=="))
  end)
end)
