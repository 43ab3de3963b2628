-- The end of the process, or of the Lua state, in the midst of everything:
-- BI-107, in processes of its own.

local common = require "spec.bad_inputs.common"

local guarded = common.guarded

local exit_script = [[
  local ws = require "evws"
  local hook, waits = arg[1], arg[2] == "waits"
  local function leave()
    if waits then ws.sleep(0) end
    os.exit(0, true)
  end
  local function at(name)
    return function(conn)
      if name == hook then leave() end
      if name == "request" then return 200, "ok" end
      if name == "origins" then return true end
      if name == "message" then
        conn:send(("x"):rep(16 << 20)) -- so that on_drain has something to do
      elseif name == "on_drain" then
        conn:close()
      elseif name == "fails" then
        error "boom"
      end
    end
  end
  if hook == "ws.on_error" then ws.on_error(leave) end
  local server = assert(ws.listen { port = 0, origins = at "origins",
    max_queued = false, on_upgrade = at "on_upgrade", on_open = at "on_open",
    on_request = at "on_request", on_drain = at "on_drain",
    on_message = (hook == "on_error" or hook == "ws.on_error") and at "fails"
      or hook == "on_message" and leave or at "message",
    on_error = hook ~= "ws.on_error" and leave or nil,
    on_close = at "on_close" })
  local url = "ws://127.0.0.1:" .. server.port .. "/"
  if hook == "finalizer" then
    setmetatable({}, { __gc = function() os.exit(0, true) end })
  end
  ws.run(function()
    if hook == "main" then leave() end
    if hook == "spawn" then ws.spawn(leave) end
    if hook == "after" then ws.after(0, leave) end
    if hook == "every" then ws.every(0.001, leave) end
    if hook == "finalizer" then collectgarbage() end
    if hook == "client open" or hook == "client message" then
      ws.connect(url, { origin = "http://a",
        on_open = hook == "client open" and leave
          or function(conn) conn:send "x" end,
        on_message = hook == "client message" and leave or nil,
        max_message = false })
      ws.sleep(30)
    elseif hook == "client failure" then
      ws.connect("ws://127.0.0.1:1/", { on_open = print, on_close = leave })
      ws.sleep(30)
    end
    local conn = assert(ws.connect(url, { origin = "http://a",
      max_message = false }))
    conn:on_close(function() if hook == "client close" then leave() end end)
    conn:send "x"
    conn:receive()
    if hook == "receive" then leave() end
    conn:close()
    ws.sleep(30)
  end)
  os.exit(3)
]]

describe("the end of a state", function()
  after_each(common.cleanup)

  for _, hook in ipairs { "main", "spawn", "after", "every", "finalizer",
    "origins", "on_upgrade", "on_open", "on_message", "on_drain", "on_close",
    "on_error", "ws.on_error", "client open", "client message",
    "client close", "client failure", "receive" } do
    it("BI-107 os.exit(0, true) inside " .. hook .. " ends the process well",
      guarded(function(g)
        g:listen()
        for _, how in ipairs { "at once", "waits" } do
          local status, output, errors = common.child(exit_script,
            { hook, how })
          assert.same({ 0, "", "" }, { status, output, errors })
        end
      end))
  end

  it("BI-107 a state that is closed with everything open ends well",
    guarded(function(g)
      g:listen()
      local status, output, errors = common.child [[
        local t = require "spec.helper"
        local ws = t.ws
        local server = t.listen { on_message = function() ws.sleep(60) end,
          on_upgrade = function(request)
            if request.path == "/wait" then ws.sleep(60) end
          end }
        clients = {}
        for i = 1, 4 do clients[i] = t.open(server) end
        clients[1]:send(t.frame("text", "waits"))
        clients[2]:send(t.frame("text", ("x"):rep(70000)):sub(1, 50000))
        clients[3]:close()
        clients[5] = t.raw(server):send "GET /wait HTTP/1.1\r\n"
        ws.connect("ws://127.0.0.1:" .. server.port .. "/wait",
          { on_open = print })
        own = assert(ws.connect("ws://127.0.0.1:" .. server.port))
        ws.spawn(function() own:receive() end)
        ws.spawn(function() server:close() end)
        timer = ws.every(60, print)
        setmetatable({}, { __gc = function()
          own:send "x" own:close() server:close() timer:cancel()
          ws.spawn(print)
        end })
        for _ = 1, 20 do t.turn(0) end
      ]]
      assert.same({ 0, "", "" }, { status, output, errors })
    end))
end)
