-- docs/deploy.md: its configurations work, as they stand there.

local t = require "spec.helper"
local tls = require "spec.helper.tls"
local processes = require "spec.binding.kit"

local ws = t.ws

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

local page, hubs_page = read "docs/deploy.md", read "docs/signalr.md"

local function block(language, from)
  return assert((from or page):match("\n```" .. language .. "\n(.-)\n```"),
    language)
end

-- A line of the page, which must be there, becomes another.
local function replace(text, line, other)
  local at, stop = text:find(line, 1, true)
  assert(at, line .. " is not in the page")
  return text:sub(1, at - 1) .. other .. text:sub(stop + 1)
end

local function has(program)
  return (os.execute("PATH=$PATH:/usr/sbin command -v " .. program
    .. " >/dev/null"))
end

local function write(path, text)
  local out = assert(io.open(path, "w"))
  out:write(text)
  out:close()
end

local function free_port()
  local listener <close> = assert(t.probe.listen "127.0.0.1")
  return listener.port
end

local directory

-- A program that listens on a port of its own, until cleanup.
local function start(command, port)
  local child = processes.run(("os.execute(%q)"):format(
    "PATH=$PATH:/usr/sbin; echo $$ >" .. directory .. "/pid; exec "
    .. command))
  t.wait(function()
    local client <close> = t.probe.connect { port = port }
    local ok, why
    t.wait(function()
      ok, why = client:connected()
      return ok or why ~= "again"
    end)
    return ok or child:ended(0)
  end, command)
  assert(not child:ended(0), child:errors())
end

local function serve(options)
  local seen = {}
  local own = { path = "/ws", on_message = function(conn, m, kind)
    conn:send(m, kind)
  end, on_open = function(conn)
    seen[#seen + 1] = ("%s %s"):format(conn.remote_address, conn.secure)
    seen.port = conn.remote_port
  end, trusted_proxies = { "loopback" }, origins = "same" }
  for name, value in pairs(options or {}) do own[name] = value end
  return t.listen(own), seen
end

-- Through the proxy: an echo with the page's Origin, and a page's that is not.
local function try(port)
  t.pump(function()
    local options = { tls = { ca = tls.file "ca.pem" },
      headers = { ["X-Forwarded-For"] = "6.6.6.6",
        Forwarded = "for=6.6.6.6;proto=http",
        ["X-Forwarded-Proto"] = "http" },
      origin = "https://localhost:" .. port }
    local url = ("wss://localhost:%d/ws"):format(port)
    local conn = assert(ws.connect(url, options))
    assert(conn:send(("x"):rep(100000), "binary"))
    assert.equal(100000, #conn:receive(t.limit * t.factor))
    conn:close()
    options.origin = "https://evil.test"
    local refused, _, status = ws.connect(url, options)
    assert.is_nil(refused)
    assert.equal(403, status)
  end)
end

describe("docs/deploy.md", function()
  before_each(function()
    directory = os.tmpname()
    os.remove(directory)
    assert(os.execute("mkdir " .. directory))
  end)

  after_each(function()
    os.execute(("kill $(cat %s/pid) 2>/dev/null"):format(directory))
    t.cleanup()
    processes.cleanup()
    os.execute("rm -r " .. directory)
  end)

  -- In front of a server, on a free port.
  local function nginx(server, text)
    local port = free_port()
    text = replace(text, "127.0.0.1:5000", "127.0.0.1:" .. server.port)
    text = replace(text, "listen 443", "listen 127.0.0.1:" .. port)
    local places = {}
    for _, name in ipairs { "client_body", "proxy", "fastcgi", "uwsgi",
      "scgi" } do
      places[#places + 1] = ("%s_temp_path %s/%s;"):format(name, directory,
        name)
    end
    write(directory .. "/conf", ("daemon off; master_process off;\n"
      .. "pid %s/nginx.pid; error_log stderr; events {}\n"
      .. "http { access_log off; %s\n%s\n}\n"):format(directory,
      table.concat(places, " "), text))
    start(("nginx -p %s -c %s/conf"):format(directory, directory), port)
    return port
  end

  it("has a configuration of nginx", function()
    if not has "nginx" then return pending "nginx is not installed" end
    local server, seen = serve()
    local cwd = io.popen("pwd"):read "l" .. "/"
    local text = block "nginx"
    text = replace(text, "/etc/ssl/example.com.pem",
      cwd .. tls.file "localhost.pem")
    text = replace(text, "/etc/ssl/example.com.key",
      cwd .. tls.file "localhost.key")
    try(nginx(server, text))
    assert.same({ "127.0.0.1 true" }, { seen[1] })
    assert.equal(0, seen.port) -- told, not the socket's own
  end)

  -- A hub behind the nginx of the page, without TLS there: the hub, and
  -- request(method, path[, fields, body[, at_port]]) by which nginx is asked.
  local function hub_behind_nginx(options, change)
    local hub = require "evws.signalr".hub(options)
    local server = t.listen { routes = hub:routes "/hub",
      trusted_proxies = { "loopback" } }
    local text = block "nginx"
    text = replace(text, "listen 443 ssl;", "listen 443;")
    text = text:gsub("%s*ssl_certificate[^\n]*", "")
    local port = nginx(server, change and change(text) or text)
    return hub, function(method, path, fields, body, at_port)
      local raw = t.raw(at_port or port)
      raw:send(("%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s")
        :format(method, path, fields or "", #(body or ""), body or ""))
      return raw
    end
  end

  local function negotiate(request)
    local _, _, body = request("POST",
      "/hub/negotiate?negotiateVersion=1"):read_http()
    return "/hub?id=" .. body:match '"connectionToken":"([^"]+)"'
  end

  local shake = '{"protocol":"json","version":1}\30'

  -- The path of a session whose next poll waits.
  local function polling(request)
    local id = negotiate(request)
    assert.equal(200, (request("GET", id):read_http()))
    request("POST", id, "", shake):read_http()
    assert.equal("{}\30", select(3, request("GET", id):read_http()))
    return id
  end

  it("lets hubs through nginx: events as they come, polls that wait",
    function()
      if not has "nginx" then return pending "nginx is not installed" end
      if not pcall(require, "cjson") then
        return pending "lua-cjson is not installed"
      end
      assert.is_true(tonumber(block "nginx":match
        "proxy_read_timeout (%d+)s;") > 100)
      local hub, request = hub_behind_nginx { poll_timeout = 1.5 }
      local id = negotiate(request)
      local events = request("GET", id, "Accept: text/event-stream\r\n")
      assert.equal(200, (events:read_http { head = true }))
      assert.equal(":\r\n\r\n", events:chunk())
      assert.equal(200, (request("POST", id, "", shake):read_http()))
      assert.equal("data: {}\30\r\n\r\n", events:chunk())
      for i = 1, 3 do
        assert.equal(1, hub.clients.all:send("N", i))
        t.contains(events:chunk(), ('"arguments":[%d]'):format(i))
      end

      id = polling(request)
      local from = ws.now()
      assert.equal("", select(3, request("GET", id):read_http()))
      assert.is_true(ws.now() - from > 1.4)
      t.pump(hub.close, hub)
    end)

  -- Two servers, neither of which knows the other's sessions.
  local function two_hubs()
    local ports = {}
    for i = 1, 2 do
      ports[i] = t.listen { routes = require "evws.signalr".hub {}
        :routes "/hub", trusted_proxies = { "loopback" } }.port
    end
    return ports
  end

  -- Sessions whose requests come by connections of their own, with the cookies
  -- that they were given.
  local function poll_all(port)
    for _ = 1, 6 do
      local cookie
      local function request(method, path, body)
        local raw = t.raw(port)
        raw:send(("%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s")
          :format(method, path, cookie and "Cookie: " .. cookie .. "\r\n" or "",
          #(body or ""), body or ""))
        local status, headers, text = raw:read_http()
        local set = headers["set-cookie"]
        cookie = set and set:match "^[^;]*" or cookie
        assert.equal(200, status)
        return text
      end
      local id = "/hub?id=" .. request("POST",
        "/hub/negotiate?negotiateVersion=1"):match '"connectionToken":"([^"]+)"'
      request("GET", id)
      request("POST", id, shake)
      assert.equal("{}\30", request("GET", id))
    end
  end

  it("keeps clients of hubs at one server, by nginx", function()
    if not has "nginx" then return pending "nginx is not installed" end
    if not pcall(require, "cjson") then
      return pending "lua-cjson is not installed"
    end
    local ports = two_hubs()
    local hubs = block("nginx", hubs_page)
    for i, port in ipairs(ports) do
      hubs = replace(hubs, "127.0.0.1:500" .. i, "127.0.0.1:" .. port)
    end
    local text = block "nginx"
    text = replace(text, "http://evws;", "http://hubs;")
    text = replace(text, "listen 443 ssl;", "listen 443;")
    text = text:gsub("%s*ssl_certificate[^\n]*", "")
    poll_all(nginx({ port = ports[1] }, text .. "\n" .. hubs))
  end)

  -- A minute and a half: only where EVWS_LONG_POLL is set.
  local on_demand = os.getenv "EVWS_LONG_POLL" and it or function() end
  on_demand("lets polls wait for longer than nginx by itself would", function()
    if not has "nginx" then return pending "nginx is not installed" end
    -- beside it a server as nginx has it without the line
    local short = free_port()
    local hub, request = hub_behind_nginx({}, function(text)
      local other = text:match "\n(server {.*})"
      other = replace(other, "listen 443", "listen 127.0.0.1:" .. short)
      other = other:gsub("%s*proxy_read_timeout[^\n]*", "")
      return text .. "\n" .. other
    end)
    local id, lost = polling(request), polling(request)
    local from = ws.now()
    local poll = request("GET", id)
    local cut = request("GET", lost, nil, nil, short)
    assert.equal(504, (cut:read_http { limit = 75 }))
    assert.is_true(ws.now() - from > 59)
    local status, _, body = poll:read_http { limit = 60 }
    assert.same({ 200, "" }, { status, body })
    assert.is_true(ws.now() - from > 89)
    -- and the session goes on
    poll = request("GET", id)
    assert.equal(1, hub.clients.all:send "N")
    t.contains(select(3, poll:read_http()), '"target":"N"')
    t.pump(hub.close, hub)
  end)

  local function haproxy(language, server, bind)
    local port = free_port()
    local text = block(language)
    text = replace(text, "127.0.0.1:5000", "127.0.0.1:" .. server.port)
    text = replace(text, "bind :443", "bind 127.0.0.1:" .. port)
    if bind then
      write(directory .. "/both.pem", assert(io.popen(("cat %s %s"):format(
        tls.file "localhost.pem", tls.file "localhost.key"))):read "a")
      text = replace(text, "/etc/ssl/example.com.both.pem",
        directory .. "/both.pem")
    end
    write(directory .. "/conf", text .. "\n")
    start(("haproxy -db -f %s/conf"):format(directory), port)
    return port
  end

  it("keeps clients of hubs at one server, by HAProxy", function()
    if not has "haproxy" then return pending "haproxy is not installed" end
    if not pcall(require, "cjson") then
      return pending "lua-cjson is not installed"
    end
    local ports, port = two_hubs(), free_port()
    local text = block "haproxy" .. "\n" .. block("haproxy", hubs_page)
    for i, own in ipairs(ports) do
      text = replace(text, "127.0.0.1:500" .. i, "127.0.0.1:" .. own)
    end
    text = replace(text, "bind :443 ssl crt /etc/ssl/example.com.both.pem",
      "bind 127.0.0.1:" .. port)
    text = replace(text, "default_backend evws", "default_backend hubs")
    write(directory .. "/conf", text .. "\n")
    start(("haproxy -db -f %s/conf"):format(directory), port)
    poll_all(port)
  end)

  it("has a configuration of HAProxy", function()
    if not has "haproxy" then return pending "haproxy is not installed" end
    local server, seen = serve()
    try(haproxy("haproxy", server, true))
    assert.same({ "127.0.0.1 true" }, { seen[1] })
    assert.equal(0, seen.port)
  end)

  it("has a configuration of HAProxy with the PROXY protocol", function()
    if not has "haproxy" then return pending "haproxy is not installed" end
    local options = tls.options { proxy_protocol = true }
    local server, seen = serve { proxy_protocol = true, tls = options.tls,
      trusted_proxies = { "127.0.0.1" } }
    local port = haproxy("haproxy%-proxy", server)
    t.pump(function()
      local conn = assert(ws.connect(("wss://localhost:%d/ws"):format(port),
        { tls = { ca = tls.file "ca.pem" } }))
      assert(conn:send "through")
      assert.equal("through", (conn:receive(t.limit * t.factor)))
      conn:close()
    end)
    assert.same({ "127.0.0.1 true" }, { seen[1] })
  end)

  -- A shell that can pass this descriptor on: some know those of one digit
  -- alone. nil: there is none.
  local function shell_for(fd)
    for _, shell in ipairs { "sh", "bash" } do
      if os.execute(("%s -c 'exec 3<&%d' 2>/dev/null"):format(shell, fd)) then
        return shell
      end
    end
  end

  it("finds the descriptors that systemd has passed", function()
    local listener = assert(t.probe.listen "127.0.0.1")
    local port, fd = listener.port, listener:inherit()
    listener:close()
    local shell = shell_for(fd)
    if not shell then
      t.probe.close_fd(fd)
      return pending("no shell for descriptor " .. fd)
    end
    local inherited = page:match "\n(local function inherited%b())"
      and page:match "\n(local function inherited.-\nend)\n"
    local use = page:match "\n(local fd = inherited.-\nws%.run%(%))"
    write(directory .. "/server.lua", "local ws = require 'evws'\n"
      .. "local function echo(c, m) c:send(m) end\n" .. inherited .. "\n"
      .. use)
    -- exec keeps the process id, as systemd does
    start(("%s -c 'exec 3<&%d; LISTEN_FDS=1 LISTEN_PID=$$ exec %s "
      .. "%s/server.lua'"):format(shell, fd, os.getenv "LUA" or "lua5.4",
        directory), port)
    t.probe.close_fd(fd)
    t.bystander(port):finish()
  end)

  -- The value of a line of the unit, which is there once.
  local function unit(name)
    local value, n
    for line in block "ini":gmatch "[^\n]+" do
      local found = line:match("^" .. name .. "=(.*)$")
      value, n = found or value, (n or 0) + (found and 1 or 0)
    end
    assert.equal(1, n, name)
    return value
  end

  local function write_echo(port)
    write(directory .. "/server.lua", ([[
      local ws = require "evws"
      assert(ws.listen { port = %d, on_message = function(conn, message)
        conn:send(message == "which" and tostring(ws.worker.generation)
          or message)
      end })
      ws.run()
      local ended <close> = io.open(%q, "a")
      ended:write "x"]]):format(port, directory .. "/ended"))
  end

  -- One who is told to go may still get connections until it hears of it.
  local function await_ended(n)
    t.wait(function()
      local file <close> = io.open(directory .. "/ended")
      return file and #file:read "a" == n
    end, "the end of the workers before", 10)
  end

  -- What systemd would run, with paths of here.
  local function command_of_unit()
    local command = unit "ExecStart"
    command = replace(command, "/usr/local/bin/evws",
      (os.getenv "LUA" or "lua5.4") .. " bin/evws")
    return replace(command, "/srv/chat/server.lua", directory .. "/server.lua")
  end

  local function pid()
    local in_file <close> = assert(io.open(directory .. "/pid"))
    return in_file:read "n"
  end

  it("has a unit that serves, reloads and stops", function()
    local port = free_port()
    write_echo(port)
    start(command_of_unit(), port)
    local manual = require "evws.command.serve_manual"
    assert.is_true(tonumber(unit "TimeoutStopSec") > manual.defaults.grace)
    local client = t.bystander(port)
    local reload = unit "ExecReload":match "^/bin/(kill %-%u+) %$MAINPID$"
    assert(os.execute(("%s %d"):format(reload, pid())))
    client:expect_close(1012)
    client:close()
    await_ended(tonumber(command_of_unit():match "%-%-workers (%d+)"))
    client = t.bystander(port)
    client:send(t.frame("text", "which"))
    assert.equal("2", client:frame().payload)
    os.execute(("kill -TERM %d"):format(pid()))
    client:expect_close(1001)
  end)

  it("has workers listen on what systemd has passed", function()
    local listener <close> = assert(t.probe.listen "127.0.0.1")
    local port, fd = listener.port, listener:inherit()
    local shell = shell_for(fd)
    if not shell then
      t.probe.close_fd(fd)
      return pending("no shell for descriptor " .. fd)
    end
    write_echo(port)
    local command = ("%s -c 'exec 3<&%d; LISTEN_FDS=1 LISTEN_PID=$$ exec %s'")
      :format(shell, fd, command_of_unit())
    start(command, port)
    local client = t.bystander(port)
    os.execute(("kill -TERM %d"):format(pid()))
    client:expect_close(1001)
    client:send(t.close_frame(1001))
    client:expect_eof()
    t.wait(function() return not os.execute(("kill -0 %d 2>/dev/null")
      :format(pid())) end, "its end", 20)
    local early = t.raw(port) -- while nobody accepts
    start(command, port)
    t.probe.close_fd(fd)
    assert.equal(101, (early:upgrade()))
    early:send(t.frame("text", "kept"))
    early:expect_frame("text", "kept")
  end)
end)
