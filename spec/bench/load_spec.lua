-- The load generator (bench/load): it takes what is right, in whatever form,
-- and notices everything that is not, in a bounded time.

local t = require "spec.helper"
local ekit = require "spec.engine.kit"
local pack = require "evws.messagepack"
local children = require "spec.binding.kit"
local tls = require "spec.helper.tls"

local program = (os.getenv "EVWS_BUILD" or "build/release") .. "/evws_load"
local frame = t.frame

local function echo(conn, message, kind) conn:send(message, kind) end

local function start(port, options, path)
  return children.execute(("%s --stall %g %s 127.0.0.1 %d %s"):format(program,
    t.limit * t.factor, options or "", port, path or "/"))
end

-- What it reports, as a table; what it complains about fails the spec.
local function report(child)
  local status = child:ended(20)
  assert.same({ 0, "" }, { status, child:errors() })
  local values = {}
  for name, value in child:output():gmatch "(%S+)=(%S+)" do
    values[name] = tonumber(value) or value
  end
  return values
end

-- The same of a load for a tenth of a second; again, where this process was
-- held up for as long, until at least so many (1) have come back.
local function measured(begin, least)
  local values
  for _ = 1, 10 do
    values = report(begin())
    if values.n >= (least or 1) then break end
  end
  return values
end

local function complaint(child)
  assert.equal(1, child:ended(20))
  assert.equal("", child:output())
  return child:errors():match "^load: ([^\n]*)\n$"
end

local function copied(options, more)
  local own = {}
  for name, value in pairs(options) do own[name] = value end
  for name, value in pairs(more or {}) do own[name] = value end
  return own
end

-- Calls fn(conn, message, kind) for message number n, else echoes.
local function but(n, fn)
  local count = 0
  return function(conn, message, kind)
    count = count + 1
    return (count == n and fn or echo)(conn, message, kind)
  end
end

local function with_byte(message, at)
  return message:sub(1, at - 1) .. string.char(message:byte(at) ~ 1)
    .. message:sub(at + 1)
end

-- A server of raw sockets: fn(raw) speaks, when the upgrade has been answered
-- with these fields.
local function raw_server(fn, fields)
  local listener = assert(t.probe.listen "127.0.0.1")
  local child = start(listener.port, "--seconds 1 --warmup 0")
  local socket
  t.wait(function()
    socket = listener:accept()
    return socket
  end, "the load to come")
  listener:close()
  local raw = t.wrap(socket, "client")
  if fields ~= false then ekit.answer(raw, fields) end
  fn(raw)
  return child, raw
end

-- Adds by this function, where lua-cjson is.
local function hub_server(add)
  if not pcall(require, "cjson") then return nil end
  local hub
  hub = require "evws.signalr".hub { methods = {
    Add = function(_, a, b) return add(a, b) end,
    Said = function(_, text) hub.clients.all:send("Said", text) end,
  } }
  return t.listen { routes = hub:routes "/hub", max_connections = false }
end

describe("bench/load", function()
  if not io.open "/proc/self/schedstat" then
    pending "is made of what Linux has" return
  end

  after_each(function()
    children.cleanup()
    t.cleanup()
  end)

  describe("takes what is right:", function()
    local shared = "--seconds 0.1 --warmup 0.02 "
    for _, case in ipairs { "--size 0", "--size 1", "--size 20", "--size 125",
      "--size 126 --in-flight 7 --conns 3", "--size 65535", "--size 65536",
      "--size 300000 --in-flight 2", "--text --size 200",
      "--utf8 --size 999 --in-flight 5", "--size 1000 --fragments 9",
      "--size 3 --fragments 8", "--conns 20 --in-flight 16 --burst 3",
      "--rate 500 --conns 4" } do
      it(case, function()
        local server = t.listen { on_message = echo, max_connections = false }
        local r = measured(function()
          return start(server.port, shared .. case)
        end)
        assert.is_true(r.n > 0 and r.per_second > 0)
        assert.is_true(r.p50_us > 0 and r.p50_us <= r.p99_us)
        assert.is_true(r.p99_us <= r.p999_us and r.p999_us <= r.max_us)
      end)
    end

    it("every message that a server was sent", function()
      local seen, kinds = {}, {}
      local server = t.listen { on_message = function(conn, message, kind)
        seen[#seen + 1] = message
        kinds[kind] = true
        conn:send(message, kind)
      end }
      report(start(server.port, "--steps 5 --in-flight 4 --size 40 --text"))
      assert.equal(20, #seen)
      assert.same({ text = true }, kinds)
      for i, message in ipairs(seen) do
        assert.equal(40, #message)
        for k = 1, i - 1 do assert.not_equal(message, seen[k]) end
      end
    end)

    it("UTF-8 of characters of every length", function()
      local seen
      local server = t.listen { on_message = function(conn, message, kind)
        seen = message
        conn:send(message, kind)
      end }
      report(start(server.port, "--steps 1 --size 1000 --utf8"))
      local lengths = {}
      for _, code in utf8.codes(seen) do
        lengths[#utf8.char(code)] = true
      end
      assert.same({ true, true, true, true }, lengths)
    end)

    it("compressed answers, whatever they look like", function()
      for _, level in ipairs { 1, 9 } do
        local server = t.listen { on_message = echo,
          compression = { threshold = 0, level = level } }
        for _, case in ipairs { "--size 20", "--size 1000 --in-flight 16",
          "--size 30000 --text --fragments 3" } do
          local r = measured(function()
            return start(server.port, shared .. "--deflate " .. case)
          end)
          assert.is_true(r.n > 0)
          assert.equal(1, r.deflate)
        end
      end
    end)

    it("uncompressed answers where compression was agreed upon", function()
      local server = t.listen { on_message = echo,
        compression = { threshold = 1 << 20 } }
      report(start(server.port, shared .. "--deflate --size 500"))
    end)

    it("TLS", function()
      local server = t.listen(tls.options { on_message = echo })
      for _, case in ipairs { "--size 20 --in-flight 16 --conns 3",
        "--size 70000", "--size 300000", "--mode handshake --conns 2",
        "--mode idle --conns 5", "--steps 4 --in-flight 16 --size 16384",
        "--steps 3 --mode handshake" } do
        assert.is_true(measured(function()
          return start(server.port, "--tls " .. shared .. case)
        end).n > 0)
      end
    end)

    it("a broadcast to all", function()
      local server
      server = t.listen {
        on_open = function(conn) conn:subscribe "all" end,
        on_message = function(_, message, kind)
          server:publish("all", message, kind)
        end,
      }
      for _, case in ipairs { shared, "--steps 10 " } do
        local r = measured(function()
          return start(server.port,
            case .. "--mode broadcast --conns 10 --in-flight 3")
        end, 30)
        assert.is_true(r.n >= 30)
      end
    end)

    it("calls that come back as they are", function()
      local seen
      local server = t.listen { max_connections = false,
        on_message = function(conn, message, kind)
          seen = message
          conn:send(message, kind)
        end }
      local r = measured(function()
        return start(server.port, shared .. "--calls --conns 3")
      end)
      assert.equal(#seen, r.size)
      assert.truthy(seen:match('^{"arguments":%[%d+,%d+%],"invocationId":"%d+",'
        .. '"target":"Add","type":1}\30$'))
    end)

    it("calls in MessagePack, of a hub and as they are", function()
      local seen
      local server = t.listen { max_connections = false,
        on_message = function(conn, message, kind)
          seen = message
          conn:send(message, kind)
        end }
      local r = report(start(server.port,
        shared .. "--calls --messagepack --conns 3"))
      assert.equal(#seen, r.size)
      local call = pack.decode(seen:sub(2))
      assert.equal(#seen - 1, seen:byte())
      assert.same({ 1, 5, "Add", 2 }, { call[1], #call, call[4], #call[5] })
      server = hub_server(function(a, b) return a + b end)
      if not server then return end
      for _, case in ipairs { shared .. "--conns 3 --in-flight 5",
        "--steps 3 --in-flight 4" } do
        assert.is_true(report(start(server.port, "--hub --messagepack " .. case,
          "/hub")).n > 0)
      end
    end)

    it("results of a hub, and what it says to all", function()
      local server = hub_server(function(a, b) return a + b end)
      if not server then return end
      for _, case in ipairs { shared .. "--conns 3 --in-flight 5", "--steps 3 "
        .. "--in-flight 4", shared .. "--mode broadcast --size 99 --conns 4",
        "--steps 3 --mode broadcast --size 60 --conns 3", shared
        .. "--mode idle --conns 3" } do
        assert.is_true(measured(function()
          return start(server.port, "--hub " .. case, "/hub")
        end).n > 0)
      end
    end)

    it("handshakes", function()
      -- One of its own for each: the last ones of a load that ends may be
      -- accepted afterwards.
      local function counting()
        local seen = { opened = 0 }
        seen.server = t.listen {
          on_open = function() seen.opened = seen.opened + 1 end }
        return seen
      end
      local timed, counted = counting(), counting()
      local r = measured(function()
        return start(timed.server.port, shared .. "--mode handshake --conns 3")
      end)
      assert.is_true(r.n > 0 and timed.opened >= r.n)
      report(start(counted.server.port, "--mode handshake --steps 7"))
      assert.equal(7, counted.opened)
      t.wait(function()
        return timed.server.connections + counted.server.connections == 0
      end, "the end of the last ones")
    end)

    it("the memory of idle connections", function()
      local most, now = 0, 0
      local server = t.listen {
        on_open = function()
          now = now + 1
          most = math.max(most, now)
        end,
        on_close = function() now = now - 1 end,
      }
      local pid = io.open "/proc/self/stat":read "n"
      local r = report(start(server.port, ("--mode idle --conns 30 "
        .. "--seconds 0.05 --pid %d"):format(pid)))
      assert.equal(30, most)
      assert.equal(30, r.n)
      assert.is_true(r.memory > 1e6 and r.bytes < 1e6)
      t.wait(function() return now == 0 end, "their end")
    end)

    it("and tells the server's CPU time", function()
      local server = t.listen { on_message = echo }
      local pid = io.open "/proc/self/stat":read "n"
      local r = measured(function()
        return start(server.port, shared .. "--pid " .. pid)
      end)
      assert.is_true(r.cpu_us > 0 and r.cpu_share > 0)
    end)
  end)

  describe("takes it in other forms:", function()
    local function answering(send)
      return function(raw)
        local deadline = t.probe.now() + 30 * t.factor
        while t.probe.now() < deadline do
          local got = raw:frame()
          if not got then return end
          if got.opcode == 2 then send(raw, got.payload) end
        end
      end
    end

    local function plain(opcode, payload, options)
      return frame(opcode, payload, copied(options or {}, { mask = false }))
    end

    for name, send in pairs {
      ["fragments"] = function(raw, message)
        raw:send(plain("binary", message:sub(1, 7), { fin = false }))
        raw:send(plain("continuation", "", { fin = false }))
        raw:send(plain("continuation", message:sub(8)))
      end,
      ["an empty last fragment"] = function(raw, message)
        raw:send(plain("binary", message, { fin = false }))
        raw:send(plain("continuation", ""))
      end,
      ["byte by byte"] = function(raw, message)
        raw:send_bytewise(plain("binary", message))
      end,
      ["lengths in their longest form"] = function(raw, message)
        raw:send(plain("binary", message, { form = 64 }))
      end,
      ["an unasked pong in front"] = function(raw, message)
        raw:send(plain("pong", "x"):rep(2) .. plain("binary", message))
      end,
    } do
      it(name, function()
        assert.is_true(measured(function()
          return (raw_server(answering(send)))
        end).n > 0)
      end)
    end

    it("and answers pings", function()
      local pongs = {}
      local child = raw_server(function(raw)
        raw:send(plain("ping", "one"))
        while true do
          local got = raw:frame()
          if not got then break end
          if got.opcode == 10 then
            pongs[got.payload] = true
            if got.payload == "one" then raw:send(plain("ping", "")) end
          else
            raw:send(plain("binary", got.payload:sub(1, 5), { fin = false })
              .. plain("ping", "two") .. plain("continuation",
                got.payload:sub(6)))
          end
        end
      end)
      report(child)
      assert.same({ one = true, [""] = true, two = true }, pongs)
    end)
  end)

  describe("notices", function()
    local options = "--seconds 20 --in-flight 4 "
    local wrong = "an answer differs from what was sent"
    local large = "--size 200000 --in-flight 2"
    local cases = {
      { "a first byte", function(conn, m, kind)
        conn:send(with_byte(m, 1), kind)
      end, wrong },
      { "a last byte", function(conn, m, kind)
        conn:send(with_byte(m, #m), kind)
      end, wrong },
      { "a byte in the middle of much", function(conn, m, kind)
        conn:send(with_byte(m, 123456), kind)
      end, wrong, large },
      { "the last byte of much", function(conn, m, kind)
        conn:send(with_byte(m, #m), kind)
      end, wrong, large },
      { "a byte too few", function(conn, m, kind)
        conn:send(m:sub(1, -2), kind)
      end, "an answer has 19 bytes instead of 20" },
      { "a byte too many", function(conn, m, kind)
        conn:send(m .. "x", kind)
      end, wrong },
      { "no bytes", function(conn, _, kind) conn:send("", kind) end,
        "an answer has 0 bytes instead of 20" },
      { "text for binary", function(conn, m)
        conn:send(("x"):rep(#m), "text")
      end, "opcode 1 instead of 2" },
      { "binary for text", function(conn, m) conn:send(m, "binary") end,
        "opcode 2 instead of 1", "--text" },
      { "an answer twice", function(conn, m, kind)
        conn:send(m, kind)
        conn:send(m, kind)
      end, wrong },
      { "a character", function(conn, m, kind)
        conn:send(m:sub(1, -2) .. "?", kind)
      end, wrong, "--utf8 --size 500" },
      { "a close frame", function(conn) conn:close(3001) end,
        "a close frame 3001" },
      { "a cut", function(conn) conn:terminate() end, "connection 0 was lost" },
    }
    for _, case in ipairs(cases) do
      for _, n in ipairs { 1, 200 } do
        it(("%s, in message %d"):format(case[1], n), function()
          local server = t.listen { on_message = but(n, case[2]) }
          local text = complaint(start(server.port,
            options .. (case[4] or "")))
          assert.equal(case[3], text:sub(1, #case[3]))
        end)
      end
    end

    it("answers in another order", function()
      local kept
      local server = t.listen { on_message = but(9, function(conn, m)
        kept = m
        conn:on_message(function(_, next_one, kind)
          conn:send(next_one, kind)
          conn:send(kept, kind)
        end)
      end) }
      assert.equal(wrong, complaint(start(server.port, options)))
    end)

    it("another message of its own for the next", function()
      local last
      local server = t.listen { on_message = function(conn, m, kind)
        conn:send(last or m, kind)
        last = m
      end }
      assert.equal(wrong, complaint(start(server.port, options)))
    end)

    it("an answer that is missing", function()
      local server = t.listen { on_message = but(50, function() end) }
      assert.equal(wrong, complaint(start(server.port, options)))
    end)

    it("the last answer's missing", function()
      local why
      for _ = 1, 10 do -- we may be held up before
        local server = t.listen { on_message = but(50, function() end) }
        why = complaint(start(server.port, "--steps 50 --stall 0.2"))
        if why:find "49 answers" then break end
      end
      assert.matches("^nothing came for 0%.2 s .*49 answers to 50 messages",
        why)
    end)

    it("a wrong result, and who is no hub", function()
      local n = 0
      local server = hub_server(function(a, b)
        n = n + 1
        return a + b + (n == 30 and 1 or 0)
      end)
      if server then
        assert.equal(wrong, complaint(start(server.port, options .. "--hub",
          "/hub")))
      end
      server = t.listen { on_message = echo }
      assert.equal("the hub does not answer", complaint(start(server.port,
        options .. "--hub")))
    end)

    it("a wrong byte in what was compressed", function()
      for _, n in ipairs { 1, 300 } do
        local server = t.listen { compression = { threshold = 0 },
          on_message = but(n, function(conn, m, kind)
            conn:send(with_byte(m, #m), kind)
          end) }
        assert.equal("a compressed answer is wrong", complaint(start(
          server.port, options .. "--deflate --size 1000")))
      end
    end)

    it("compression that is refused", function()
      local server = t.listen { on_message = echo }
      assert.equal("permessage-deflate is refused",
        complaint(start(server.port, "--deflate")))
    end)

    describe("in a broadcast", function()
      local function broadcasting(fn, more)
        local conns = {}
        local count = 0
        local server = t.listen {
          on_open = function(conn) conns[#conns + 1] = conn end,
          on_message = function(_, message, kind)
            count = count + 1
            for i, conn in ipairs(conns) do
              fn(conn, message, kind, count == 50 and i == 3)
            end
          end,
        }
        return complaint(start(server.port,
          "--mode broadcast --conns 5 --steps 60 " .. (more or "")))
      end

      it("a member that is left out", function()
        assert.matches("^nothing came", broadcasting(
          function(conn, message, kind, is_it)
            if not is_it then conn:send(message, kind) end
          end, "--stall 0.3"))
      end)

      it("a member that is told something else", function()
        assert.equal(wrong, broadcasting(
          function(conn, message, kind, is_it)
            conn:send(is_it and with_byte(message, 3) or message, kind)
          end))
      end)

      it("a member that is told it twice", function()
        assert.equal(wrong, broadcasting(
          function(conn, message, kind, is_it)
            conn:send(message, kind)
            if is_it then conn:send(message, kind) end
          end))
      end)
    end)

    describe("frames that break RFC 6455:", function()
      local m = ("x"):rep(20)
      for _, case in ipairs { { "a masked one", frame("binary", m),
        "a masked frame" },
        { "RSV1", frame("binary", m, { mask = false, rsv = 4 }),
          "RSV1 without an extension" },
        { "RSV2", frame("binary", m, { mask = false, rsv = 2 }),
          "a frame with a reserved bit" },
        { "a continuation of nothing",
          frame("continuation", m, { mask = false }),
          "opcode 0 instead of 2" },
        { "opcode 3", frame(3, m, { mask = false }), "opcode 3 instead of 2" },
        { "opcode 11", frame(11, "", { mask = false }),
          "a bad control frame" },
        { "a long ping", frame("ping", ("x"):rep(126), { mask = false }),
          "a bad control frame" },
        { "a ping in pieces", frame("ping", "x", { mask = false, fin = false }),
          "a bad control frame" },
        { "a message in a message", frame("binary", "",
          { mask = false, fin = false }) .. frame("binary", m,
          { mask = false }), "a message inside of another one" },
        { "a close frame without a code", frame("close", "",
          { mask = false }), "a close frame 1005" },
      } do
        it(case[1], function()
          local child, raw = raw_server(function(raw) raw:send(case[2]) end)
          assert.equal(case[3], complaint(child))
          raw:close()
        end)
      end
    end)

    describe("in the handshake", function()
      for _, case in ipairs {
        { "another status", "HTTP/1.1 404 Not Found\r\n\r\n",
          "the upgrade was answered by HTTP/1.1 404 Not Found" },
        { "the wrong key", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\n"
          .. "Connection: Upgrade\r\nSec-WebSocket-Accept: nonsense=\r\n\r\n",
          "the wrong Sec-WebSocket-Accept" },
        { "an extension that was not offered", "HTTP/1.1 101 X\r\n"
          .. "Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\n"
          .. "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
          "permessage-deflate is accepted, but was not offered" },
        { "no end", ("x"):rep(5000),
          "the answer to the upgrade does not end" },
      } do
        it(case[1], function()
          local child, raw = raw_server(function(raw)
            ekit.read_request(raw)
            raw:send(case[2])
          end, false)
          assert.equal(case[3], complaint(child))
          raw:close()
        end)
      end
    end)
  end)

  describe("comes to an end", function()
    it("where nobody listens", function()
      local listener = assert(t.probe.listen "127.0.0.1")
      local port = listener.port
      listener:close()
      assert.matches("^connection 0 was lost connecting: ",
        complaint(start(port)))
    end)

    it("where a server says nothing", function()
      local listener <close> = assert(t.probe.listen "127.0.0.1")
      for _, mode in ipairs { "echo", "idle", "handshake --steps 1",
        "echo --tls" } do
        assert.matches("^nothing came for 0%.1 s",
          complaint(start(listener.port, "--stall 0.1 --mode " .. mode)))
      end
    end)

    it("when the time for everything is over", function()
      local server = t.listen { on_message = echo }
      assert.equal("the time for everything is over",
        complaint(start(server.port, "--seconds 30 --limit 0.2")))
    end)

    it("when it is called wrongly", function()
      for _, arguments in ipairs { "", "a b", "--nonsense 127.0.0.1 1 /",
        "--size -1 127.0.0.1 1 /", "--size 1x 127.0.0.1 1 /",
        "--conns 0 127.0.0.1 1 /", "--mode x 127.0.0.1 1 /",
        "--pid 1,a 127.0.0.1 1 /", "--rate 5 --mode idle 127.0.0.1 1 /",
        "--steps 5 --mode idle 127.0.0.1 1 /",
        "--messagepack 127.0.0.1 1 /", "--hub --messagepack --mode broadcast "
        .. "127.0.0.1 1 /" } do
        local child = children.execute(program .. " " .. arguments)
        assert.equal(2, child:ended())
        assert.equal("", child:output())
        assert.matches("load", child:errors())
      end
    end)
  end)
end)
