-- All samples that have a page, and a page that lists them:
-- lua5.4 examples/index.lua [port]
--
-- Each is run as it stands, here in one process and with a free port of its
-- own; /chat leads to the page of examples/chat.lua.
local ws = require "evws"
local here, port = arg[0]:match("^.*/") or "", tonumber(arg[1] or 5000)
local policy = { headers = { ["Content-Security-Policy"] =
  "default-src 'self'; img-src data:; frame-ancestors 'none'" } }
local page = ws.static(here, policy)
local files = { ["/"] = true, ["/style.css"] = true }
local urls = {} -- by the sample's name

-- What a sample sees of evws: all of it, but the loop is run here, for all.
local shared = setmetatable({ run = function() end }, { __index = ws })

local function run(name)
  local path = here .. name .. ".lua"
  local globals = { arg = { [0] = path, "0" },
    require = function(module)
      return module == "evws" and shared or require(module)
    end,
    print = function(...)
      print(...)
      urls[name] = urls[name] or tostring((...)):match "http://%S+"
    end }
  assert(loadfile(path, "t", setmetatable(globals, { __index = _G })))()
end

if not port then
  io.stderr:write(arg[1], " is no port\n")
  os.exit(1)
end
local server, why = ws.listen { port = port, hosts = "auto",
  on_request = function(request)
    local url = urls[request.path:sub(2)]
    if url then return 302, nil, { Location = url } end
    if files[request.path] then return page(request) end
  end }

if not server then
  io.stderr:write(why, "\n")
  os.exit(1)
end
print("Samples: http://localhost:" .. server.port)
for _, name in ipairs { "echo", "chat", "broadcast", "dashboard", "auth",
  "events", "signalr", "rooms" } do
  run(name)
end
ws.run()
