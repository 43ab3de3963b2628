-- Descriptors 0, 1 and 2 are for others (src/transport/standard.c): a socket
-- of that number would get what is printed, or end the process by SIGPIPE.

local child = require "spec.helper.child"

-- Runs in a process where these are closed, before evws is loaded or after
-- it. The script has note(...), whose lines come back, though there may be no
-- standard output.
local function run(closed, is_before, script)
  local path = os.tmpname()
  local close = ("for _, fd in ipairs { %s } do probe.net.close_fd(fd) end\n")
    :format(closed)
  child.run((is_before and "" or close) .. ([[
    local fds = {}
    for fd = 0, 2 do fds[fd] = probe.net.fd_name(fd) end
    local function note(...)
      local file = assert(io.open(%q, "a"))
      file:write(table.concat({ ... }, " "), "\n")
      file:close()
    end
    local function names()
      local list = {}
      for fd = 0, 2 do
        local name = probe.net.fd_name(fd)
        list[#list + 1] = not name and "closed" or name == "/dev/null"
          and "null" or fds[fd] == name and "same" or name
      end
      return table.concat(list, " ")
    end
    local function main(fn)
      ws.spawn(function()
        local ok, why = xpcall(fn, debug.traceback)
        note(ok and "done" or why)
        ws.stop()
      end)
      ws.run()
    end
  ]]):format(path) .. script, { before = is_before and close or nil })
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  os.remove(path)
  return lines
end

local function listen_first(script)
  return [[
    local server = assert(ws.listen { host = "127.0.0.1", port = 0,
      on_message = function(conn, message)
        if message == "raise" then error "raised" end
        conn:send(message)
      end })
    local url = ("ws://127.0.0.1:%d/"):format(server.port)
  ]] .. script
end

local sets = { "0", "1", "2", "1, 2", "0, 2", "0, 1, 2" }

describe("standard descriptors that are closed", function()
  for _, closed in ipairs(sets) do
    it("when evws is loaded become /dev/null: " .. closed, function()
      local list = run(closed, true, "note(names())")[1]
      for fd in closed:gmatch "%d" do
        local at = 0
        for name in list:gmatch "%S+" do
          if at == tonumber(fd) then assert.equal("null", name) end
          at = at + 1
        end
      end
      assert.is_nil(list:find "closed")
    end)

    for when, is_before in pairs { ["before"] = true, ["after"] = false } do
      it(("%s evws is loaded end nothing: %s"):format(when, closed), function()
        local lines = run(closed, is_before, listen_first [[
          main(function()
            local conn = assert(ws.connect(url))
            conn:send "hello"
            note(conn:receive())
            -- a warning: TLS to a plain port
            ws.connect("wss" .. url:sub(3), { timeout = 5 })
            -- an error with its traceback
            local other = assert(ws.connect(url))
            other:send "raise"
            note(tostring(other:receive()))
            conn:send "bye"
            note(conn:receive())
          end)
        ]])
        assert.same({ "hello text", "nil", "bye text", "done" }, lines)
      end)
    end

    it("after evws is loaded are not taken: " .. closed, function()
      local lines = run(closed, false, listen_first [[
        local bad = {}
        local function look()
          for name in names():gmatch "%S+" do
            if name ~= "closed" and name ~= "null" and name ~= "same" then
              bad[#bad + 1] = name
            end
          end
        end
        look()
        main(function()
          look()
          local conn = assert(ws.connect(url))
          look()
          ws.connect("ws://no-such-host.invalid/")
          look()
          conn:send "hello"
          note(conn:receive())
          note(math.type(ws.fd()) or "no")
          look()
          local command = assert(ws.popen("cat; echo behind", "w"))
          look()
          command:close()
          command = assert(ws.popen("echo a; cat", "r"))
          look()
          note((command:read():gsub("%s", "")))
          command:close()
        end)
        note(table.concat(bad, " "))
      ]])
      assert.same({ "hello text", "integer", "a", "done", "" }, lines)
    end)

    it("after evws is loaded are not a command's: " .. closed, function()
      for _, mode in ipairs { "r", "w" } do
        local lines = run(closed, false, ([[
          local command = assert(ws.popen("cat", %q))
          note(names())
          command:close()
        ]]):format(mode))
        assert.is_nil(lines[1]:find "pipe", lines[1])
        assert.is_nil(lines[1]:find "socket", lines[1])
      end
    end)
  end
end)
