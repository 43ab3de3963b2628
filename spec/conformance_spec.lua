-- The cases of the field's conformance suite, judged as it judges
-- (conformance/judge.lua), against an echo of evws: as a server and as a
-- client, by callback and in a loop that receives. With EVWS_ECHO_PORT set,
-- the echo server on that port of 127.0.0.1 is judged, and nothing else.

local t = require "spec.helper"
local judge = require "spec.conformance.judge"
local deflate = require "spec.conformance.deflate"

local external = tonumber(os.getenv "EVWS_ECHO_PORT")

local groups = {
  { "frames", require "spec.conformance.cases" },
  { "text", require "spec.conformance.utf8" },
  { "large messages", require "spec.conformance.limits" },
}

local function echo_all(conn)
  for message, kind in conn:messages() do conn:send(message, kind) end
end

local function options_of(form, compression)
  local handler = form == "by callback" and t.echo or form
  return { max_message = 16 << 20, max_fragments = 1 << 17,
    max_ratio = compression and false, compression = compression,
    on_message = type(handler) == "function" and handler or nil }
end

-- role -> a raw connection to an echo in that role, and the extension agreed
-- on; form may be a handler, case is one of compression
local opens = {}

function opens.server(form, case)
  local options = options_of(form, case and deflate.options(case, "server"))
  if not options.on_message then options.on_open = echo_all end
  local raw = t.raw(external or t.listen(options))
  local status, headers = raw:upgrade { headers = {
    ["Sec-WebSocket-Extensions"] = case and deflate.offer(case) } }
  assert(status == 101, status)
  return raw, headers["sec-websocket-extensions"]
end

local dialled -- the client that was judged last

function opens.client(form, case)
  local listener <close> = assert(t.probe.listen "127.0.0.1")
  t.ws.spawn(function()
    local options = options_of(form, case and deflate.options(case, "client"))
    dialled = assert(t.ws.connect("ws://127.0.0.1:" .. listener.port, options))
    if not options.on_message then echo_all(dialled) end
  end)
  return judge.accept(listener, case and function(offer)
    return deflate.answer(case, offer)
  end)
end

local function is_over(role)
  if role ~= "client" then return end
  t.wait(function() return dialled.state == "closed" end, "its end", 1)
end

local function run(role, form, cases)
  for _, case in ipairs(cases) do
    it(case.id .. " " .. case.title, function()
      judge.run(case, role, (opens[role](form)))
      is_over(role)
    end)
  end
end

local function run_deflate(role, form)
  for _, case in ipairs(deflate.cases) do
    it(case.id .. " " .. case.title, function()
      if not deflate.is_running then return pending "no python3 here" end
      local raw, agreed = opens[role](form, case)
      deflate.run(case, role, raw, agreed)
      judge.finish(role, raw)
      is_over(role)
    end)
  end
end

for _, role in ipairs { "server", "client" } do
  describe("conformance of a " .. role, function()
    local engine, factor = t.ws, t.factor

    setup(function()
      if external then t.ws = nil end -- turns then wait for its bytes
    end)
    teardown(function() t.ws = engine end)
    after_each(function()
      t.factor = factor
      t.cleanup()
    end)

    for _, form in ipairs { "by callback", "by receive" } do
      for _, group in ipairs(groups) do
        if not external or role == "server" and form == "by callback" then
          describe(("that echoes %s %s:"):format(group[1], form), function()
            run(role, form, group[2])
          end)
        end
      end
    end

    describe("that echoes compressed messages by callback:", function()
      setup(deflate.start)
      teardown(deflate.stop)
      if not external then run_deflate(role, "by callback") end
    end)

    it("fails an echo that is broken", function()
      if external then return end
      local case = groups[1][2][10] -- 1.2.2
      t.factor = 0.2 -- one waits in vain
      for _, broken in ipairs { function() end,
        function(conn, message) conn:send("", "text") end,
        function(conn, message, kind) conn:send(message .. "x", kind) end,
        function(conn, message, kind)
          conn:send(message, kind)
          conn:send("", kind)
        end,
        function(conn) conn:close(1000) end } do
        assert.is_false((pcall(judge.run, case, role, (opens[role](broken)))))
        t.cleanup()
      end
    end)
  end)
end
